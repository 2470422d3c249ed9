//! What the code knows better than the pages.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use tenantry::cli::{CLEAN, FAILED, FINDINGS};
use tenantry::rewrite::postgres_type;
use tenantry::schema::{Declared, PgType};

/// Returns the texts between backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// Returns the cells of a page's table rows, heads left out.
fn rows(page: &str) -> Vec<Vec<&str>> {
    let lines = page.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    lines.map(|line| line.split(" | ").collect()).collect()
}

#[test]
fn a_declared_type_becomes_what_the_page_says() {
    let page = fs::read_to_string("docs/types.md").unwrap();
    let mut compared = 0;
    for row in rows(&page).into_iter().skip(1) {
        let [declared, in_postgres] = row[..] else { panic!("{row:?}") };
        // A column without a type stands there as "nothing".
        let nothing = declared.contains("nothing").then_some("");
        for name in quoted(declared).into_iter().chain(nothing) {
            let found = postgres_type(&Declared(name.to_owned())).map(|data_type| data_type.to_string());
            let expected = (!in_postgres.starts_with("to be decided")).then(|| quoted(in_postgres)[0].to_owned());
            assert_eq!(found, expected, "{name}");
            compared += 1;
        }
    }
    assert!(compared > 45, "{compared}");
}

#[test]
fn the_types_that_a_spec_can_give_are_those_that_it_takes() {
    let page = fs::read_to_string("docs/types.md").unwrap();
    let (_, section) = page.split_once("## Types that the spec can give\n").unwrap();
    let named = quoted(section.split("```").next().unwrap());
    for name in &named {
        assert_eq!(PgType::parse(name).map(|found| found.to_string()).as_deref(), Some(*name));
    }
    // What the first table and `types:` can lead to, each once and without its lengths.
    let kinds: BTreeSet<String> = named.iter().map(|name| name.split('(').next().unwrap().to_owned()).collect();
    let schema = fs::read_to_string("src/schema/pg_type.rs").unwrap();
    let (_, variants) = schema.split_once("pub enum PgType {").unwrap();
    let variants = variants.split("\n}").next().unwrap().lines().filter(|line| line.ends_with(',')).count();
    assert_eq!(kinds.len(), variants, "{kinds:?}");
}

#[test]
fn exit_codes_are_the_constants() {
    let page = fs::read_to_string("docs/exit-codes.md").unwrap();
    for (code, name) in [(CLEAN, "clean"), (FINDINGS, "findings"), (FAILED, "failed")] {
        assert!(page.contains(&format!("\n| {code} | {name} | ")), "{code} {name}");
    }
}

/// Returns the verbs in the order of `tenantry --help`, which asks the command line's own description.
fn verbs() -> Vec<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_tenantry")).arg("--help").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let commands = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap().to_owned();
    let lines = commands.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = lines.map(|line| line.split_whitespace().next().unwrap().to_owned());
    names.filter(|name| name != "help").collect()
}

#[test]
fn each_verb_has_its_section_and_what_its_findings_are() {
    let page = fs::read_to_string("docs/verbs.md").unwrap();
    let sections: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert_eq!(sections, verbs());
    // A verb whose file returns FINDINGS says in the table what they are, and no other does.
    let table = fs::read_to_string("docs/exit-codes.md").unwrap();
    let (_, table) = table.split_once("| verb | 1 means |").unwrap();
    let told: BTreeSet<String> = rows(table).iter().map(|row| quoted(row[0])[0].to_owned()).collect();
    let finds = |verb: &String| {
        let code = fs::read_to_string(format!("src/cli/{verb}.rs")).unwrap();
        code.contains("FINDINGS")
    };
    let finding: BTreeSet<String> = verbs().into_iter().filter(finds).collect();
    assert_eq!(told, finding);
}

#[test]
fn commands_within_a_sentence_name_verbs_and_flags_that_exist() {
    let mut asked = 0;
    for page in super::page::pages() {
        for command in &page.commands {
            let mut words = command.split_whitespace().skip(1).peekable();
            let Some(verb) = words.next_if(|word| !word.starts_with('-') && !word.contains('…')) else { continue };
            let known = verbs();
            if verb == verb.to_uppercase() {
                continue;
            }
            assert!(known.iter().any(|name| name == verb), "{}: `{command}`", page.path.display());
            let output = Command::new(env!("CARGO_BIN_EXE_tenantry")).args([verb, "--help"]).output().unwrap();
            let help = String::from_utf8(output.stdout).unwrap();
            for flag in words.filter(|word| word.starts_with("--")) {
                let flag = flag.trim_end_matches(['`', ',', ')']);
                assert!(help.contains(flag), "{}: `{command}`: {flag}", page.path.display());
                asked += 1;
            }
        }
    }
    assert!(asked > 15, "{asked}");
}

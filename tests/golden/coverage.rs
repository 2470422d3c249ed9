//! Every diagnostic code and every key of the grammar has a golden case.

use super::case::{Case, sorted};
use super::grammar::Grammar;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use tenantry::rewrite::HAZARD_CODES;

/// Lists the Rust files below a folder.
fn rust_files(folder: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for path in sorted(folder) {
        if path.is_dir() {
            files.extend(rust_files(&path.to_string_lossy()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// Splits a source file into what is compiled always and its unit tests.
fn code_and_tests(path: &Path) -> (String, String) {
    let text = fs::read_to_string(path).unwrap();
    match text.split_once("#[cfg(test)]\nmod ") {
        Some((code, tests)) => (code.to_owned(), tests.to_owned()),
        None => (text, String::new()),
    }
}

/// Finds the string that follows each occurrence of a piece of code, wherever rustfmt breaks the line.
fn strings_after(code: &str, before: &str) -> BTreeSet<String> {
    code.split(before)
        .skip(1)
        .filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next())
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_diagnostic_code_has_an_err_case_or_a_unit_test() {
    let mut codes = BTreeSet::new();
    let mut tested = String::new();
    for folder in ["src/spec", "src/rewrite", "src/plan"] {
        for path in rust_files(folder) {
            let (code, tests) = code_and_tests(&path);
            codes.extend(strings_after(&code, "Diagnostic::error("));
            tested.push_str(&tests);
        }
    }
    let mut produced = BTreeSet::new();
    for case in Case::all() {
        let errors = case.load().err().map(|failure| failure.errors.0).unwrap_or_default();
        produced.extend(errors.iter().map(|error| error.code.to_owned()));
    }
    assert!(codes.len() > 20, "the codes are not found in the sources: {codes:?}");
    let missing: Vec<&String> =
        codes.iter().filter(|&code| !produced.contains(code) && !tested.contains(&format!("\"{code}\""))).collect();
    assert!(missing.is_empty(), "codes without an err case or a unit test: {missing:#?}");
    println!("{} codes, {} of them by golden cases", codes.len(), codes.intersection(&produced).count());
}

#[test]
fn every_code_is_in_the_documentation() {
    let page = fs::read_to_string("docs/diagnostics.md").unwrap();
    let mut codes = BTreeSet::new();
    for path in rust_files("src") {
        let (code, _) = code_and_tests(&path);
        codes.extend(strings_after(&code, "Diagnostic::error("));
        // Where a code is chosen first, it is one of the words with hyphens.
        if ["error.rs", "fault.rs", "guard.rs", "others.rs"].iter().any(|file| path.ends_with(file)) {
            let words = code.split('"').skip(1).step_by(2);
            let is_code = |word: &&str| {
                word.contains('-') && word.chars().all(|character| character.is_ascii_lowercase() || character == '-')
            };
            codes.extend(words.filter(is_code).map(str::to_owned));
        }
    }
    assert!(codes.contains("tls-required") && codes.contains("tenant-conflict"), "{codes:?}");
    let missing: Vec<&String> = codes.iter().filter(|code| !page.contains(&format!("| `{code}` |"))).collect();
    assert!(missing.is_empty(), "codes without a line in docs/diagnostics.md: {missing:#?}");
}

#[test]
fn every_hazard_has_an_ok_case() {
    let mut codes = BTreeSet::new();
    for path in rust_files("src/rewrite").into_iter().chain(rust_files("src/plan")) {
        codes.extend(strings_after(&code_and_tests(&path).0, "code:"));
    }
    let listed: BTreeSet<String> = HAZARD_CODES.iter().map(|&code| code.to_owned()).collect();
    assert_eq!(codes, listed, "the codes in the sources and in the list");
    let page = fs::read_to_string("docs/hazards.md").unwrap();
    let undocumented: Vec<&String> = codes.iter().filter(|code| !page.contains(&format!("| `{code}` |"))).collect();
    assert!(undocumented.is_empty(), "hazards without a line in docs/hazards.md: {undocumented:?}");
    let plans = Case::all().into_iter().filter_map(|case| case.load().ok());
    let produced: BTreeSet<&str> =
        plans.flat_map(|project| project.plan.hazards().iter().map(|hazard| hazard.code).collect::<Vec<_>>()).collect();
    assert!(codes.contains("unique-weakened"), "the codes are not found in the sources: {codes:?}");
    let missing: Vec<&String> = codes.iter().filter(|code| !produced.contains(code.as_str())).collect();
    assert!(missing.is_empty(), "hazards without an ok case: {missing:#?}");
}

/// Reads the grammar of specs.
pub fn grammar() -> Grammar {
    Grammar::read(&rust_files("src/spec").iter().map(|path| code_and_tests(path).0).collect::<String>())
}

#[test]
fn every_key_and_word_of_the_grammar_occurs_in_an_ok_case() {
    let grammar = grammar();
    let known = grammar.everything();
    assert!(known.contains("SpecFile.version") && known.contains("TableEntry: shared"), "{known:#?}");
    let mut used = BTreeSet::new();
    for case in Case::all().iter().filter(|case| case.load().is_ok()) {
        let spec = serde_yaml::from_str(&fs::read_to_string(&case.spec).unwrap()).unwrap();
        grammar.collect("SpecFile", &spec, &mut used);
    }
    let missing: Vec<&String> = known.difference(&used).collect();
    assert!(missing.is_empty(), "keys and words without an ok case: {missing:#?}");
}

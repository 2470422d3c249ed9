//! `init --all-shared` over every schema of the fixtures: a spec that leaves nothing to choose, and DDL that PostgreSQL
//! takes and reads back as planned.

use super::case::{Case, sorted};
use super::expected::expect_catalog;
use std::fs;
use std::path::PathBuf;
use tenantry::cli::Project;
use tenantry::diagnostic::Sources;
use tenantry::scaffold::{Request, all_shared, with_tenancy};
use tenantry::schema::TableId;
use tenantry::sqlite::read_source;

/// Lists what the cases read: one file or folder of DDL each.
fn schemas() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Case::all().iter().map(|case| case.folder.join("schema.sql")).collect();
    found.extend(sorted("fixtures").into_iter().map(|folder| folder.join("migrations")));
    found.retain(|path| path.exists());
    found.sort();
    found.dedup();
    found
}

#[test]
fn every_schema_becomes_a_spec_without_choices() {
    let mut failures = Vec::new();
    let (mut tried, mut decided) = (0, 0);
    for path in schemas() {
        let mut sources = Sources::default();
        // What SQLite itself refuses has no spec.
        let Ok(schema) = read_source(&path, &mut sources) else { continue };
        tried += 1;
        let absolute = fs::canonicalize(&path).unwrap();
        let request = Request { source: &absolute.to_string_lossy(), output: "schema.postgres.sql" };
        let scaffold = all_shared(&schema, &request);
        decided += scaffold.decided.values().sum::<usize>();
        let result = match scaffold.remaining.0.as_slice() {
            [] => try_out(&scaffold.text),
            remaining => Err(format!("{remaining:#?}")),
        };
        failures.extend(result.err().map(|failure| format!("{}:\n{failure}\n{}", path.display(), scaffold.text)));
    }
    println!("{tried} schemas, {decided} decisions");
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    assert!(tried > 80 && decided > 40, "{tried} schemas, {decided} decisions: they are not found");
}

/// Uses a spec as the command line would, and compares what PostgreSQL then has.
fn try_out(text: &str) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let spec = folder.path().join("spec.yaml");
    fs::write(&spec, text).unwrap();
    let project = Project::load(&spec, true).map_err(|failure| format!("{:?}", failure.errors))?;
    expect_catalog(&project.plan)
}

#[test]
fn the_spec_does_not_depend_on_the_order_of_the_tables() {
    let tables =
        ["CREATE TABLE a (x RANDOM TYPE)", "CREATE TABLE b (y UNIQUE)", "CREATE TABLE c (z CHECK (typeof(z) = 'x'))"];
    let spec = |order: [usize; 3]| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("schema.sql");
        fs::write(&path, order.map(|at| tables[at]).join(";\n")).unwrap();
        let schema = read_source(&path, &mut Sources::default()).unwrap();
        all_shared(&schema, &Request { source: "schema.sql", output: "out.sql" }).text
    };
    let first = spec([0, 1, 2]);
    assert!(first.contains("type: text"), "{first}");
    assert_eq!(first, spec([2, 0, 1]));
}

/// Takes the first line of every choice, as a person would: the `#` away from it and from the keys above it.
fn first_choices(text: &str) -> String {
    let mut chosen = String::new();
    let mut is_choosing = false;
    for line in text.lines() {
        let trimmed = line.trim_start();
        let indent = &line[..line.len() - trimmed.len()];
        let commented = trimmed.strip_prefix('#').filter(|rest| !rest.starts_with(' ') && !rest.is_empty());
        is_choosing |= trimmed.starts_with("# CHOOSE");
        match commented {
            Some(key) if key.ends_with(':') => chosen.push_str(&format!("{indent}{key}\n")),
            Some(choice) if is_choosing => {
                chosen.push_str(&format!("{indent}{choice}\n"));
                is_choosing = false;
            }
            _ => chosen.push_str(&format!("{line}\n")),
        }
    }
    chosen
}

#[test]
fn once_the_choices_are_made_a_proposal_is_a_spec() {
    let mut failures = Vec::new();
    let (mut tried, mut open, mut stuck) = (0, 0, 0);
    for path in schemas() {
        let Ok(schema) = read_source(&path, &mut Sources::default()) else { continue };
        let absolute = fs::canonicalize(&path).unwrap();
        let request = Request { source: &absolute.to_string_lossy(), output: "schema.postgres.sql" };
        let has_key =
            |table: &TableId| schema.table(*table).primary_key.is_some_and(|key| schema.key(key).columns.len() == 1);
        let most_used = schema.table_ids().filter(has_key).max_by_key(|&table| {
            schema.foreign_keys.iter().filter(|foreign_key| foreign_key.referenced_table == table).count()
        });
        for root in [None, most_used] {
            tried += 1;
            let scaffold = with_tenancy(&schema, &request, root).finish();
            open += scaffold.open.len();
            let name = |table: TableId| schema.table(table).name.clone();
            let text = first_choices(&scaffold.text);
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("spec.yaml"), &text).unwrap();
            match (Project::load(&folder.path().join("spec.yaml"), true), scaffold.remaining.is_empty()) {
                (Ok(_), true) => {}
                (Err(_), false) => {
                    println!("{} {:?}: {}", path.display(), root.map(name), scaffold.remaining);
                    stuck += 1;
                }
                (Ok(_), false) => {
                    failures.push(format!("{}: works, and says {}", path.display(), scaffold.remaining));
                }
                (Err(failure), true) => failures.push(format!(
                    "{} {:?}: {:?}\n{text}",
                    path.display(),
                    root.map(name),
                    failure.errors.to_string()
                )),
            }
        }
    }
    println!("{tried} proposals, {open} choices, {stuck} need more than choices");
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    assert!(tried > 160 && open > 100, "{tried} proposals, {open} choices: they are not found");
    assert!(stuck * 10 < tried, "{stuck} of {tried} proposals need more than choices");
}

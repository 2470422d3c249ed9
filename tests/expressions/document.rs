//! The tables of docs/expressions.md: each row is translated as it says, means the same, or is refused as it says.

use super::evaluate::{Databases, Use, database, plan, translate};
use super::grid::{self, Random};
use std::collections::BTreeMap;
use tenantry::emit;
use tenantry::plan::Section;

const DOCUMENT: &str = "docs/expressions.md";

/// Reads the rows of the tables, by the heading above them; `\|` is a bar.
fn tables() -> BTreeMap<String, Vec<Vec<String>>> {
    let text = std::fs::read_to_string(DOCUMENT).expect("tests run in the package's root");
    let mut tables: BTreeMap<String, Vec<Vec<String>>> = BTreeMap::new();
    let mut heading = String::new();
    for line in text.lines() {
        if let Some(found) = line.strip_prefix("## ") {
            heading = found.to_owned();
        }
        if line.starts_with("| `") {
            let cells = line.trim().trim_matches('|').replace("\\|", "\u{1}");
            let cells = cells.split('|').map(|cell| cell.trim().trim_matches('`').replace('\u{1}', "|"));
            tables.entry(heading.clone()).or_default().push(cells.collect());
        }
    }
    tables
}

/// Writes what comes out over what a row says, where `TENANTRY_BLESS` asks for it.
fn bless(from: &[&str], to: &str) -> bool {
    if std::env::var_os("TENANTRY_BLESS").is_none() {
        return false;
    }
    // Tests of one process take turns.
    static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _turn = TURN.lock().unwrap();
    let cell = |text: &str| format!("`{}`", text.replace('|', "\\|"));
    let before: Vec<String> = from.iter().map(|text| cell(text)).collect();
    let mut after = before.clone();
    *after.last_mut().unwrap() = if to.is_empty() { "nothing".to_owned() } else { cell(to) };
    let text = std::fs::read_to_string(DOCUMENT).unwrap();
    let line = |cells: &[String]| format!("\n| {} |", cells.join(" | "));
    std::fs::write(DOCUMENT, text.replace(&line(&before), &line(&after))).unwrap();
    true
}

#[test]
fn every_row_means_the_same_in_both_databases() {
    let random = Random::seeded("the grid");
    let mut databases = Databases::with(&grid::rows(&random, 250));
    let tables = tables();
    let mut failures = Vec::new();
    let mut tried = 0;
    for (heading, used) in [("Conditions", Use::Condition), ("Values", Use::Value), ("Checks", Use::Check)] {
        for row in &tables[heading] {
            tried += 1;
            let [expression, expected, ..] = &row[..] else { panic!("{row:?}") };
            let expected = if used == Use::Check && expected == "nothing" { "" } else { expected };
            match translate(used, expression) {
                Err(error) => failures.push(format!("{expression}: {error}")),
                Ok(translated) if translated != expected && !bless(&[expression, expected], &translated) => {
                    failures.push(format!("{expression}\nbecomes      {translated}\nand not      {expected}"));
                }
                Ok(translated) => match databases.compare(used, expression, &translated) {
                    Ok(compared) if compared.same == 0 => failures.push(format!("{expression}: no row was compared")),
                    Ok(_) => {}
                    Err(difference) => failures.push(difference),
                },
            }
        }
    }
    println!("{tried} expressions, {} failures", failures.len());
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn every_refused_row_is_refused_for_its_reason() {
    let mut failures = Vec::new();
    for row in &tables()["Refused"] {
        let [used, expression, reason] = &row[..] else { panic!("{row:?}") };
        let refused = match used.as_str() {
            "condition" => translate(Use::Condition, expression),
            "value" => translate(Use::Value, expression),
            "check" => translate(Use::Check, expression),
            declared => plan(&format!("CREATE TABLE t (a {declared} DEFAULT ({expression}));")).map(|_| String::new()),
        };
        match refused {
            Ok(translated) => failures.push(format!("{expression} becomes {translated}")),
            Err(error) if !error.contains(reason.as_str()) => failures.push(format!("{expression}: {error}")),
            Err(_) => {}
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// Inserts a row of defaults and returns the value: in SQLite, in PostgreSQL, and in SQLite again.
fn defaults(declared: &str, default: &str, expected: &str) -> Result<[Option<String>; 3], String> {
    let ddl = format!("CREATE TABLE t (id INTEGER PRIMARY KEY, a {declared} DEFAULT {default});");
    let plan = plan(&ddl)?;
    let emitted = emit::postgres(&plan, &[Section::PreData]);
    let found = emitted.split_once("\n    a ").and_then(|(_, column)| column.split_once(" DEFAULT "));
    let found = found.map_or("nothing", |(_, rest)| rest.split("\n);").next().unwrap());
    if found != expected && !bless(&[declared, default, expected], found) {
        return Err(format!("becomes {found}\nand not {expected}"));
    }
    let sqlite = rusqlite::Connection::open_in_memory().unwrap();
    sqlite.execute_batch(&ddl).unwrap();
    let insert = || {
        sqlite.execute_batch("DELETE FROM t; INSERT INTO t DEFAULT VALUES").unwrap();
        let text = "SELECT CASE WHEN typeof(a) = 'blob' THEN '\\x' || lower(hex(a)) ELSE CAST(a AS TEXT) END FROM t";
        sqlite.query_row(text, [], |row| row.get::<_, Option<String>>(0)).unwrap()
    };
    let mut postgres = database();
    for statement in plan.section(Section::PreData) {
        postgres.execute(&emit::statement(&plan, statement).unwrap(), "create").map_err(|error| error.message)?;
    }
    let before = insert();
    postgres.execute("INSERT INTO t (id) VALUES (1)", "insert").map_err(|error| format!("{error:?}"))?;
    let row = postgres.query_one("SELECT a::text FROM t", &[], "read").map_err(|error| error.message)?;
    Ok([before, row.optional(0).map(str::to_owned), insert()])
}

#[test]
fn every_default_fills_a_column_alike() {
    let mut failures = Vec::new();
    for row in &tables()["Defaults"] {
        let [declared, default, expected, ..] = &row[..] else { panic!("{row:?}") };
        match defaults(declared, default, expected) {
            Err(error) => failures.push(format!("{declared} DEFAULT {default}: {error}")),
            Ok([before, found, after]) => {
                // The present time lies between that before and that after; SQLite cuts off what PostgreSQL tells more.
                let cut = |text: &Option<String>| {
                    let length = before.as_deref().unwrap_or_default().len();
                    text.as_deref().map(|text| text.get(..length).unwrap_or(text).to_owned())
                };
                let truth = |text: &Option<String>| match text.as_deref() {
                    Some("true") => Some("1".to_owned()),
                    Some("false") => Some("0".to_owned()),
                    _ => text.clone(),
                };
                let is_number = |text: &Option<String>| text.as_deref().and_then(|text| text.parse::<f64>().ok());
                let same = match (is_number(&before), is_number(&found), is_number(&after)) {
                    (Some(before), Some(found), Some(after)) => before <= found && found <= after,
                    _ => before <= cut(&truth(&found)) && cut(&truth(&found)) <= after,
                };
                if !same {
                    failures.push(format!("{declared} DEFAULT {default}: {before:?}, {found:?}, {after:?}"));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

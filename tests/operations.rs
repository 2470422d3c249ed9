//! What somebody who runs a cutover is told: events while it works, an estimate before, a runbook from the rehearsal.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use rusqlite::Connection as Sqlite;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

const SQLITE: &str = "
    CREATE TABLE accounts (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
    CREATE TABLE items (id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL REFERENCES accounts (id), label TEXT);
    CREATE INDEX items_by_label ON items (label);
    INSERT INTO accounts VALUES (1, 'one'), (2, 'two');
    INSERT INTO items WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 20000)
        SELECT n, 1 + n % 2, printf('item %.*c', n % 90, 'x') FROM s;";

const SPEC: &str = "version: 1\nsource: app.db\ntenant: {column: account_id, root: accounts}\n\
                    tables:\n  items: {tenant: {column: account_id}}\n";

/// Makes a source with its spec.
fn case() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    Sqlite::open(folder.path().join("app.db")).unwrap().execute_batch(SQLITE).unwrap();
    std::fs::write(folder.path().join("spec.yaml"), SPEC).unwrap();
    folder
}

fn tenantry(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tenantry")).current_dir(folder).args(arguments).output().unwrap()
}

/// Reads the events of a program, and makes sure that each has the keys that all have.
fn events(output: &Output, verb: &str) -> Vec<Value> {
    let text = std::str::from_utf8(&output.stderr).unwrap();
    let events: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    for event in &events {
        assert_eq!((&event["schema_version"], &event["verb"]), (&1.into(), &verb.into()), "{event}");
        let time = event["time"].as_str().unwrap();
        assert!(time.len() == "2026-01-01T00:00:00.000Z".len() && time.ends_with('Z'), "{time}");
        assert!(["info", "warning", "error"].contains(&event["level"].as_str().unwrap()), "{event}");
    }
    let names: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    let page = include_str!("../docs/log.md");
    for name in &names {
        assert!(page.contains(&format!("| `{name}` |")), "docs/log.md lacks {name}");
    }
    assert_eq!((names.first(), names.last()), (Some(&"begin"), Some(&"end")), "{names:?}");
    assert_eq!(events.last().unwrap()["exit_code"].as_i64(), output.status.code().map(i64::from));
    events
}

#[test]
fn a_run_tells_machines_what_happens() {
    let folder = case();
    let run = ["cutover", "spec.yaml", "--source", "app.db", "--target", "scratch", "--log-format", "json"];
    let output = tenantry(folder.path(), &run);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("proven"), "the result is a report for people still");
    let events = events(&output, "cutover");
    let phases: BTreeSet<&str> = events.iter().filter_map(|event| event["phase"].as_str()).collect();
    for phase in ["target", "snapshot", "audit", "schema", "copy", "constraints", "verify", "isolation", "finish"] {
        assert!(phases.contains(phase), "{phase} in {phases:?}");
    }
    for phase in ["audit", "copy", "verify"] {
        let of_items = |event: &&Value| event["phase"] == phase && event["table"] == "items";
        let progress: Vec<&Value> = events.iter().filter(of_items).collect();
        let last = progress.last().unwrap_or_else(|| panic!("{phase} in {events:#?}"));
        let rows = |part: &str, key: &str| last[part][key].as_u64();
        assert_eq!((rows("of_table", "rows"), rows("of_table", "of")), (Some(20_000), Some(20_000)), "{last}");
        assert_eq!(rows("overall", "of"), Some(20_002), "{last}");
    }
}

#[test]
fn errors_findings_and_warnings_are_events_and_plain_lines_stay_plain() {
    let folder = case();
    let run = |verb: &'static str, more: &[&str]| {
        let source = [verb, "spec.yaml", "--source", "app.db"];
        let output = tenantry(folder.path(), &[&source[..], more].concat());
        let events = if more.contains(&"--log-format") { events(&output, verb) } else { Vec::new() };
        (output, events)
    };
    let json = ["--log-format", "json"];
    let (output, plain) = run("audit", &[]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(plain.is_empty() && text.contains("audit …") && !text.contains('{'), "{text}");

    let nowhere = ["--target", "postgresql://postgres:secret@127.0.0.1:1/app", "--log-format", "json"];
    for verb in ["cutover", "verify"] {
        let (output, events) = run(verb, &nowhere);
        assert_eq!(output.status.code(), Some(2));
        let error = events.iter().find(|event| event["event"] == "diagnostic").unwrap();
        assert_eq!((&error["level"], &error["code"]), (&"error".into(), &"connection-failed".into()), "{error}");
        assert!(error["help"].is_string() && !format!("{output:?}").contains("secret"), "{output:?}");
    }
    let rollback = ["rollback", "spec.yaml", "--target", "postgresql://postgres@127.0.0.1:1/app"];
    let output = tenantry(folder.path(), &[&rollback[..], &json].concat());
    assert!(events(&output, "rollback").iter().any(|event| event["code"] == "connection-failed"));

    let sqlite = Sqlite::open(folder.path().join("app.db")).unwrap();
    sqlite.execute_batch("PRAGMA foreign_keys = OFF; INSERT INTO items VALUES (30000, 9, 'SECRET')").unwrap();
    let (output, events) = run("audit", &json);
    let finding = events.iter().find(|event| event["event"] == "finding").unwrap();
    assert_eq!(
        (output.status.code(), &finding["level"], finding["rows"].as_u64()),
        (Some(1), &"error".into(), Some(1))
    );
    assert!(!String::from_utf8_lossy(&output.stderr).contains("SECRET"), "values are no part of events");
}

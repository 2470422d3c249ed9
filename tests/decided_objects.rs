//! Rows come over, and are proven, under every kind of decision about keys, references, columns and names.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;

/// Cuts over a fixture with some rows into a throwaway server; returns the exit code and what was said.
fn cutover(fixture: &str, rows: &str) -> (Option<i32>, String) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source.db");
    let sqlite = rusqlite::Connection::open(&source).unwrap();
    let case = root.join("fixtures").join(fixture);
    sqlite.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    sqlite.execute_batch(&std::fs::read_to_string(case.join("schema.sql")).unwrap()).unwrap();
    sqlite.execute_batch(rows).unwrap();
    drop(sqlite);
    let output = Command::new(env!("CARGO_BIN_EXE_tenantry"))
        .arg("cutover")
        .arg(case.join("spec.yaml"))
        .arg("--source")
        .arg(&source)
        .args(["--target", "scratch"])
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    (output.status.code(), said)
}

#[test]
fn rows_come_over_and_are_proven() {
    for (fixture, rows) in [
        (
            "undeclared-foreign-key",
            "INSERT INTO accounts VALUES (1, 'a'), (2, 'b');
             INSERT INTO projects VALUES (10, 1, 'x'), (11, 2, 'y');
             INSERT INTO tasks VALUES (5, 10, NULL), (6, 11, NULL), (7, 10, 5);
             INSERT INTO notes VALUES (1, 5), (2, 6);
             INSERT INTO events VALUES (1, 'x', 5), (2, 'y', NULL);",
        ),
        (
            // The payer of order 1 belongs to another tenant, which the spec allows.
            "reference-columns",
            "INSERT INTO customers VALUES (1, 1, 'n', 'a'), (2, 2, 'n', 'b'), (3, 1, NULL, NULL);
             INSERT INTO orders VALUES (1, 1, 1, 2, 3, 'n', 'a'), (2, 2, 2, NULL, NULL, 'z', NULL);
             INSERT INTO featured VALUES (1, 2);",
        ),
        (
            "to-the-root",
            "INSERT INTO accounts VALUES (1, NULL, 5, 'c1'), (2, 1, 6, 'c2');
             INSERT INTO users VALUES (5, 1), (6, 2);
             INSERT INTO transfers VALUES (1, 1, 1, 2, 'c1'), (2, 2, NULL, 1, NULL);",
        ),
        (
            "column-changes",
            "INSERT INTO People (Id, account_id, FirstName, LastName, FullName, Joined, Score, Weight, Data)
               VALUES (1, 1, 'Al', 'Bo', 'Al Bo', '2020', 1.5, 2.25, '{\"b\":1,\"a\":2}');
             INSERT INTO counters VALUES (4, 1, 9);",
        ),
        ("names-snake", "INSERT INTO \"Order Details\" VALUES (1, 1, NULL, 2.5, 3), (2, 1, 1, 3.5, 3);"),
        (
            "key-columns",
            "INSERT INTO regions VALUES (1, 'de', 'x');
             INSERT INTO invoices VALUES (1, 1, 'n1', 2020, 1), (2, 2, 'n2', 2021, NULL);
             INSERT INTO invoice_lines VALUES (1, 1, 1, 'x'), (2, 2, 1, NULL);
             INSERT INTO log VALUES (1, 't');",
        ),
        (
            "action-choices",
            "INSERT INTO groups VALUES (1, 1), (2, 2); INSERT INTO members VALUES (1, 1, 1, 1, NULL, 1, 1);",
        ),
    ] {
        let (code, said) = cutover(fixture, rows);
        assert!(code == Some(0) && said.contains("proven:"), "{fixture}: {code:?}\n{said}");
    }
}

#[test]
fn rows_that_a_decision_cannot_hold_for_are_named_before_anything_is_written() {
    for (fixture, rows, found) in [
        (
            // A column beside the tenant's names another tenant, and nothing in the spec allows that.
            "to-the-root",
            "INSERT INTO accounts VALUES (1, NULL, NULL, 'c1'), (2, NULL, NULL, 'c2');
             INSERT INTO transfers VALUES (1, 1, 2, NULL, NULL);",
            "another tenant",
        ),
        (
            "reference-columns",
            "INSERT INTO customers VALUES (1, 1, 'n', 'a'), (2, 2, 'n', 'b');
             INSERT INTO orders VALUES (1, 1, 2, NULL, NULL, 'z', NULL);",
            "another tenant",
        ),
        (
            "undeclared-foreign-key",
            "INSERT INTO accounts VALUES (1, 'a'); INSERT INTO projects VALUES (10, 1, 'x'); INSERT INTO tasks VALUES (5, 10, 99);",
            "does not exist",
        ),
        ("key-columns", "INSERT INTO log VALUES (1, NULL);", "NULL"),
        (
            "column-changes",
            "INSERT INTO People (Id, account_id, FirstName, LastName, FullName) VALUES (1, 1, 'Al', 'Bo', 'Bo, Al');",
            "NOT proven",
        ),
    ] {
        let (code, said) = cutover(fixture, rows);
        assert!(code != Some(0) && said.contains(found), "{fixture}: {code:?}\n{said}");
    }
}

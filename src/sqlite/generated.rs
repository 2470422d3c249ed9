//! Generated CREATE statements that take every branch of SQLite's grammar, compared with what was put into them.
//!
//! What SQLite's pragmas report is compared on every read anyway; here is what only the text has. SQLite decides which
//! statements count: one that it refuses has to be refused here.

use super::clauses::{TableClauses, read_table};
use super::index_clauses::read_index;
use super::statement_writer::{Put, Writer};
use super::token::tokenize;
use crate::diagnostic::Sources;
use std::collections::BTreeMap;

fn tokens(text: &str) -> Vec<String> {
    tokenize(text).map(|token| token.text(text).to_owned()).collect()
}

/// Returns what was read in the form of what was put.
fn found(text: &str, clauses: &TableClauses) -> Put {
    let slice = |range: &std::ops::Range<usize>| text[range.clone()].to_owned();
    Put {
        not_null_conflicts: clauses.columns.iter().map(|column| column.not_null_conflict.clone()).collect(),
        collations: clauses.columns.iter().map(|column| column.collation.clone()).collect(),
        defaults: clauses.columns.iter().map(|column| column.default.as_ref().map(slice)).collect(),
        generated: clauses.columns.iter().map(|c| c.generated.as_ref().map(|(range, s)| (slice(range), *s))).collect(),
        keys: clauses
            .keys
            .iter()
            .map(|key| {
                let parts = key.columns.iter().map(|part| (part.column.clone(), part.collation.clone())).collect();
                (key.kind, key.name.clone(), parts, key.on_conflict.clone())
            })
            .collect(),
        foreign_keys: clauses
            .foreign_keys
            .iter()
            .map(|key| (key.name.clone(), key.columns.clone(), key.table.clone(), key.referenced.clone(), key.deferral))
            .collect(),
        checks: clauses.checks.iter().map(|check| (check.name.clone(), slice(&check.expr))).collect(),
        options: (clauses.without_rowid, clauses.strict, clauses.autoincrement),
    }
}

/// Asks SQLite, with the collation that some of the statements name.
fn sqlite_takes(sql: &str) -> bool {
    let connection = rusqlite::Connection::open_in_memory().unwrap();
    connection.create_collation("own", |a: &str, b: &str| a.cmp(b)).unwrap();
    connection.execute_batch(sql).is_ok()
}

#[test]
fn whatever_sqlite_takes_is_read_without_loss() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("schema.sql");
    let mut taken = 0;
    let mut branches: BTreeMap<&str, u32> = BTreeMap::new();
    const SEEDS: u64 = 3000;
    for seed in 1..=SEEDS {
        let mut writer = Writer::new(seed);
        let put = writer.table();
        let sql = writer.text.as_str();
        std::fs::write(&path, sql).unwrap();
        let read = super::read_source(&path, &mut Sources::default());
        if !sqlite_takes(sql) {
            assert!(read.is_err(), "seed {seed}: SQLite refuses {sql}");
            continue;
        }
        taken += 1;
        for (branch, count) in &writer.branches {
            *branches.entry(branch).or_default() += count;
        }
        if let Err(errors) = read {
            panic!("seed {seed}: {errors}\n{sql}");
        }
        let start = super::statements::split(sql).next().map(|s| s.tokens[s.created(sql).unwrap().name].range.start);
        let text = &sql[start.unwrap()..];
        assert_eq!(found(text, &read_table(text).unwrap()), put, "seed {seed}: {sql}");
    }
    assert!(taken > SEEDS / 3, "only {taken} of {SEEDS} statements count");
    let rare: Vec<_> = branches.iter().filter(|(_, count)| **count < 10).collect();
    assert!(rare.is_empty() && branches.len() >= 20, "branches hardly taken: {rare:?} of {branches:?}");
}

#[test]
fn indexes_are_read_without_loss() {
    let parts = [
        "a",
        "\"b c\"",
        "'a'",
        "[b c]",
        "lower(a)",
        "a || 'x,)'",
        "(a)",
        "a + 1",
        "-a",
        "CASE WHEN a THEN 1 END",
        "\"nosuch\"",
        "a IS NOT NULL",
    ];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("schema.sql");
    let mut taken = 0;
    for (first, second) in parts.iter().flat_map(|first| parts.iter().map(move |second| (first, second))) {
        for (collation, direction, predicate) in [
            ("", "", ""),
            (" COLLATE nocase", " DESC", " WHERE a > 1"),
            (" COLLATE rtrim COLLATE 'nocase'", " ASC", " WHERE \"b c\" IS NOT NULL AND a NOT NULL"),
            ("", " ASC NULLS FIRST", ""),
        ] {
            let text = format!("i ON t({first}{collation}{direction}, {second}{direction}){predicate}");
            let sql = format!("CREATE TABLE t(a TEXT COLLATE rtrim, 'b c' INT); CREATE UNIQUE INDEX {text};");
            if !sqlite_takes(&sql) {
                continue;
            }
            taken += 1;
            std::fs::write(&path, &sql).unwrap();
            if let Err(errors) = super::read_source(&path, &mut Sources::default()) {
                panic!("{errors}\n{sql}");
            }
            let clauses = read_index(&text).unwrap();
            let found = clauses.predicate.map(|range| tokens(&text[range])).unwrap_or_default();
            assert_eq!(found, tokens(predicate).into_iter().skip(1).collect::<Vec<_>>(), "{sql}");
            assert!(clauses.parts.iter().all(|part| part.descending == direction.contains("DESC")), "{sql}");
        }
    }
    assert!(taken > 300, "only {taken} indexes count");
}

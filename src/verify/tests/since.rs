//! A target that the application writes to after the switch.

use super::fixture::{Fixture, run};
use crate::verify::{SinceRun, verify_since};

const SQLITE: &str = "
    CREATE TABLE users (id INTEGER PRIMARY KEY, owner TEXT NOT NULL, name TEXT);
    CREATE TABLE notes (id INTEGER PRIMARY KEY, user_id INTEGER REFERENCES users (id), text TEXT);
    CREATE TABLE log (line TEXT);
    INSERT INTO users VALUES (1, 'a', 'Ann'), (2, 'b', 'Bob'), (3, 'a', 'Al');
    INSERT INTO notes VALUES (10, 1, 'x'), (11, 1, 'y'), (12, 2, 'z'), (13, NULL, 'w');
    INSERT INTO log VALUES ('one'), ('one'), ('two');";

const SPEC: &str = "
version: 1
source: source.db
tenant: {column: owner, type: text}
tables:
  users: {tenant: {column: owner}}
  notes: {tenant: {first: [{via: user_id}, {constant: a}]}}
  log: shared
";

const ROWS: &[&str] = &[
    "INSERT INTO users (owner, id, name) VALUES ('a', 1, 'Ann'), ('b', 2, 'Bob'), ('a', 3, 'Al')",
    "INSERT INTO notes (owner, id, user_id, text) VALUES ('a', 10, 1, 'x'), ('a', 11, 1, 'y'), ('b', 12, 2, 'z'), ('a', 13, NULL, 'w')",
    "INSERT INTO log (line) VALUES ('one'), ('one'), ('two')",
    "SELECT setval('users_id_seq', 3)",
    "SELECT setval('notes_id_seq', 13)",
];

/// The counts of each table: unchanged, updated, deleted, new, moved.
fn counts(since: &SinceRun) -> Vec<(&str, [u64; 5])> {
    let count =
        |table: &'_ crate::verify::TableSince| [table.unchanged, table.updated, table.deleted, table.new, table.moved];
    let mut counts: Vec<_> = since.tables.iter().map(|table| (table.table.as_str(), count(table))).collect();
    counts.sort_unstable();
    counts
}

#[test]
fn rows_are_told_apart_by_what_became_of_them() {
    let fixture = Fixture::new(SQLITE, SPEC);
    let mut target = fixture.target(ROWS);
    let mut since = |sql: &[&str]| {
        let mut transaction = target.begin().unwrap();
        sql.iter().for_each(|sql| run(&mut transaction, sql));
        let found = verify_since(&fixture.plan, &fixture.source, &mut transaction, &mut |_, _| {}).unwrap();
        transaction.rollback().unwrap();
        found
    };
    let untouched = since(&[]);
    assert!(untouched.is_sound(), "{untouched:#?}");
    assert_eq!(counts(&untouched), [("log", [3, 0, 0, 0, 0]), ("notes", [4, 0, 0, 0, 0]), ("users", [3, 0, 0, 0, 0])]);

    let used = since(&[
        "UPDATE notes SET text = 'changed' WHERE id = 10",
        "DELETE FROM notes WHERE id = 13",
        "INSERT INTO users (owner, name) VALUES ('b', 'New')",
        "INSERT INTO notes (owner, user_id, text) VALUES ('b', 2, 'new'), ('b', 4, 'newer')",
        // The id of a row that is gone, in another tenant: a new row, with values of its own.
        "INSERT INTO notes (owner, id, user_id, text) VALUES ('b', 13, 2, 'other')",
        "INSERT INTO log (line) VALUES ('one')",
        "DELETE FROM log WHERE line = 'two'",
    ]);
    assert!(used.is_sound(), "{used:#?}");
    assert_eq!(counts(&used), [("log", [2, 0, 1, 1, 0]), ("notes", [2, 1, 1, 3, 0]), ("users", [3, 0, 0, 1, 0])]);

    let moved = since(&[
        "ALTER TABLE notes DROP CONSTRAINT notes_owner_user_id_fkey",
        "UPDATE notes SET owner = 'b' WHERE id = 11",
        "UPDATE notes SET text = 'v' WHERE id = 10",
    ]);
    assert!(!moved.is_sound());
    assert_eq!(counts(&moved)[1], ("notes", [2, 1, 0, 0, 1]));
    let example = &moved.tables.iter().find(|table| table.table == "notes").unwrap().moved_examples[0];
    assert_eq!((example.tenant.as_deref(), example.key[0].value.as_str()), (Some("a"), "11"));

    let behind = since(&["SELECT setval('users_id_seq', 2, false)"]);
    assert!(!behind.is_sound(), "the schema has to hold whatever becomes of the rows");
}

/// Most rows changed, with little memory: the batches together see every row once.
#[test]
fn batches_count_every_row_once() {
    let sqlite = "CREATE TABLE t (id INTEGER PRIMARY KEY, owner INTEGER, v TEXT);
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000)
        INSERT INTO t SELECT i, i % 7, 'v' || i FROM n;";
    let spec = "{version: 1, source: s, tenant: {column: owner, type: bigint}, tables: {t: {tenant: {column: owner}}}}";
    let fixture = Fixture::new(sqlite, spec);
    let mut target = fixture.target(&[
        "INSERT INTO t (owner, id, v) SELECT i % 7, i, 'v' || i FROM generate_series(1, 4000) i",
        "UPDATE t SET v = 'x' WHERE id % 2 = 0",
        "DELETE FROM t WHERE id > 3900",
        "INSERT INTO t (owner, id, v) SELECT 1, i, 'n' FROM generate_series(5001, 5050) i",
        "SELECT setval('t_id_seq', 6000)",
    ]);
    let tenants = crate::verify::tenant_sql::TenantSql::new(&fixture.plan);
    tenants.derive(&fixture.source).unwrap();
    let rows = crate::verify::rows::TableRows::new(&fixture.plan, &tenants, crate::schema::TableId(0));
    for batch in [100, 1_000_000] {
        let since = crate::verify::since::compare(&rows, &fixture.source, &mut target, &mut |_, _| {}, batch).unwrap();
        let counts = [since.unchanged, since.updated, since.deleted, since.new, since.moved];
        assert_eq!(counts, [1950, 1950, 100, 50, 0], "batches of {batch}");
    }
}

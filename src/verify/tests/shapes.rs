//! Tables that are out of the ordinary: no key, odd names, a root that refers to its tenants, computed columns.

use super::fixture::{Fixture, findings, run};

const SQLITE: &str = "
    CREATE TABLE accounts (id INTEGER PRIMARY KEY, owner_id INTEGER REFERENCES users (id));
    CREATE TABLE users (id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL REFERENCES accounts (id));
    CREATE TABLE \"odd \"\"name\" (\"select\" TEXT NOT NULL, \"a b\" INTEGER, user_id INTEGER REFERENCES users (id),
        doubled INTEGER AS (\"a b\" * 2) VIRTUAL, PRIMARY KEY (\"select\"));
    CREATE TABLE log (user_id INTEGER REFERENCES users (id), line TEXT);
    CREATE TABLE empty (id INTEGER PRIMARY KEY AUTOINCREMENT, user_id INTEGER REFERENCES users (id));
    INSERT INTO accounts VALUES (1, 10), (2, 20), (-3, NULL);
    INSERT INTO users VALUES (10, 1), (20, 2);
    INSERT INTO \"odd \"\"name\" VALUES ('x', 4, 10), ('y', NULL, 20);
    INSERT INTO log VALUES (10, 'in'), (10, 'in'), (10, 'out'), (20, NULL);";

const SPEC: &str = "
version: 1
source: source.db
tenant: {column: account_id, root: accounts}
tables:
  users: {tenant: {column: account_id}}
  'odd \"name': {tenant: {via: user_id}}
  log: {tenant: {via: user_id}}
  empty: {tenant: {via: user_id}}
";

const ROWS: &[&str] = &[
    "INSERT INTO accounts (id, owner_id) VALUES (1, 10), (2, 20), (-3, NULL)",
    "INSERT INTO users (id, account_id) VALUES (10, 1), (20, 2)",
    "INSERT INTO \"odd \"\"name\" (account_id, \"select\", \"a b\", user_id) VALUES (1, 'x', 4, 10), (2, 'y', NULL, 20)",
    "INSERT INTO log (account_id, user_id, line) VALUES (1, 10, 'in'), (1, 10, 'in'), (1, 10, 'out'), (2, 20, NULL)",
    "SELECT setval('accounts_id_seq', 2), setval('users_id_seq', 20)",
];

#[test]
fn each_shape_is_proven_and_its_faults_are_named() {
    let fixture = Fixture::new(SQLITE, SPEC);
    let mut target = fixture.target(ROWS);
    assert_eq!(findings(&fixture.verify(&mut target)), Vec::<String>::new());
    for (fault, expected) in [
        // Without a key the whole row is what it is found by, and no value of it is shown.
        (&["DELETE FROM log WHERE line = 'out'"][..], &["log: 1 : missing"][..]),
        (&["INSERT INTO log VALUES (1, 10, 'in')"], &["log: 1 : doubled"]),
        (&["INSERT INTO log VALUES (1, 10, 'new')"], &["log: 1 : extra"]),
        (&["UPDATE log SET line = '' WHERE line IS NULL"], &["log: 2 : missing", "log: 2 : extra"]),
        (&["DELETE FROM log WHERE ctid = (SELECT min(ctid) FROM log)"], &["log: 1 : missing"]),
        (
            &["UPDATE \"odd \"\"name\" SET \"a b\" = 5 WHERE \"select\" = 'x'"],
            &["odd \"name: 1 select=x: changed in a b, doubled"],
        ),
        (&["UPDATE accounts SET owner_id = NULL WHERE id = 2"], &["accounts: 2 id=2: changed in owner_id"]),
        (&["INSERT INTO accounts (id) VALUES (-4)"], &["accounts: -4 id=-4: extra"]),
    ] {
        let mut transaction = target.begin().unwrap();
        for sql in fault {
            run(&mut transaction, sql);
        }
        let mut found = findings(&fixture.verify(&mut transaction));
        let mut expected = expected.to_vec();
        found.sort();
        expected.sort_unstable();
        assert_eq!(found, expected, "{fault:?}");
    }
}

#[test]
fn an_owner_of_another_account_is_a_reference_across_tenants() {
    let fixture = Fixture::new(SQLITE, SPEC);
    let mut target = fixture.target(ROWS);
    run(&mut target, "ALTER TABLE accounts DROP CONSTRAINT accounts_id_owner_id_fkey");
    run(&mut target, "UPDATE accounts SET owner_id = 20 WHERE id = 1");
    let found = findings(&fixture.verify(&mut target));
    let expected = ["accounts: 1 id=1: changed in owner_id", "accounts_id_owner_id_fkey: OtherTenant × 1: id=1"];
    assert_eq!(found[..2], expected, "{found:#?}");
}

#[test]
fn a_reference_that_may_cross_tenants_is_no_difference() {
    let sqlite = "CREATE TABLE users (id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL);
        CREATE TABLE letters (id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL, reader_id INTEGER REFERENCES users (id));
        INSERT INTO users VALUES (1, 10); INSERT INTO letters VALUES (7, 20, 1);";
    let spec = "
version: 1
source: source.db
tenant: {column: account_id, type: bigint}
tables:
  users: {tenant: {column: account_id}}
  letters:
    tenant: {column: account_id}
    foreign_keys: {reader_id: {column: reader_account_id, cross_tenant: allow}}
";
    let rows = [
        "INSERT INTO users (account_id, id) VALUES (10, 1)",
        "INSERT INTO letters (account_id, id, reader_account_id, reader_id) VALUES (20, 7, 10, 1)",
        "SELECT setval('users_id_seq', 1), setval('letters_id_seq', 7)",
    ];
    let fixture = Fixture::new(sqlite, spec);
    assert_eq!(findings(&fixture.verify(&mut fixture.target(&rows))), Vec::<String>::new());
}

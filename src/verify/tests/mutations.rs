//! One fault at a time in a finished target: each has to be found, and named by table, tenant, key and column.

use super::fixture::{Fixture, findings, run};
use crate::postgres::{Connection, testing};
use crate::verify::{Verification, verify};
use std::collections::BTreeMap;

const SQLITE: &str = "
    CREATE TABLE accounts (id TEXT PRIMARY KEY, name TEXT NOT NULL);
    CREATE TABLE units (code VARCHAR(10) PRIMARY KEY, factor REAL);
    CREATE TABLE users (
        id INTEGER PRIMARY KEY AUTOINCREMENT, account_id TEXT NOT NULL REFERENCES accounts (id),
        email TEXT NOT NULL UNIQUE, active BOOLEAN DEFAULT 1, born DATE);
    CREATE TABLE projects (
        id INTEGER PRIMARY KEY, owner_id INTEGER NOT NULL REFERENCES users (id), title TEXT,
        budget DECIMAL(10,2) CHECK (budget >= 0), started DATETIME);
    CREATE TABLE tasks (
        id INTEGER PRIMARY KEY, project_id INTEGER NOT NULL REFERENCES projects (id),
        parent_id INTEGER REFERENCES tasks (id) ON DELETE SET NULL, assignee_id INTEGER REFERENCES users (id),
        unit VARCHAR(10) REFERENCES units (code), note TEXT, payload JSON);
    CREATE INDEX tasks_by_note ON tasks (note DESC);
    INSERT INTO accounts VALUES ('a', 'Ann'), ('b', 'Bob');
    INSERT INTO units VALUES ('kg', 1.0), ('g', 0.001);
    INSERT INTO users VALUES (1, 'a', 'one@a', 1, '1980-02-29'), (2, 'b', 'two@b', 0, NULL), (3, 'a', 'three@a', 't', NULL);
    INSERT INTO users VALUES (9, 'a', 'gone', 1, NULL); DELETE FROM users WHERE id = 9;
    INSERT INTO projects VALUES (10, 1, 'Roof', 1200, '2024-01-31 10:00:00'), (20, 2, 'Cellar', 0.1, '2024-01-31T10:00:00.5');
    INSERT INTO tasks VALUES (100, 10, NULL, 3, 'kg', 'first', '{\"b\": 1.50, \"a\": []}'), (101, 10, 100, NULL, NULL, NULL, NULL),
        (102, 10, 100, 1, 'g', 'third', '7'), (200, 20, NULL, 2, 'kg', 'other', NULL);";

const SPEC: &str = "
version: 1
source: source.db
target: {schema: app}
tenant: {column: account_id, root: accounts}
tables:
  units: shared
  users: {tenant: {column: account_id}, unique: {email: global}}
  projects: {tenant: {via: owner_id}}
  tasks:
    tenant: {via: project_id}
    foreign_keys: {assignee_id: {column: assignee_account_id}}
";

/// Written by hand, so that nothing but PostgreSQL converts them.
const ROWS: &[&str] = &[
    "INSERT INTO app.accounts (id, name) VALUES ('a', 'Ann'), ('b', 'Bob')",
    "INSERT INTO app.units (code, factor) VALUES ('kg', 1), ('g', 0.001)",
    "INSERT INTO app.users (account_id, id, email, active, born) VALUES
        ('a', 1, 'one@a', true, '1980-02-29'), ('b', 2, 'two@b', false, NULL), ('a', 3, 'three@a', true, NULL)",
    "INSERT INTO app.projects (account_id, id, owner_id, title, budget, started) VALUES
        ('a', 10, 1, 'Roof', 1200, '2024-01-31 10:00'), ('b', 20, 2, 'Cellar', 0.1, '2024-01-31 10:00:00.5')",
    "INSERT INTO app.tasks
        (account_id, id, project_id, parent_id, assignee_account_id, assignee_id, unit, note, payload) VALUES
        ('a', 100, 10, NULL, 'a', 3, 'kg', 'first', '{\"a\": [], \"b\": 1.5}'),
        ('a', 101, 10, 100, NULL, NULL, NULL, NULL, NULL),
        ('a', 102, 10, 100, 'a', 1, 'g', 'third', '7'),
        ('b', 200, 20, NULL, 'b', 2, 'kg', 'other', NULL)",
    "SELECT setval('app.users_id_seq', 9)",
    "SELECT setval('app.projects_id_seq', 20)",
    "SELECT setval('app.tasks_id_seq', 200)",
];

/// Drops what would refuse the fault.
const UNGUARDED: &[&str] = &[
    "ALTER TABLE app.tasks DROP CONSTRAINT tasks_account_id_fkey, DROP CONSTRAINT tasks_account_id_project_id_fkey,
        DROP CONSTRAINT tasks_account_id_parent_id_fkey, DROP CONSTRAINT tasks_assignee_account_id_assignee_id_fkey,
        DROP CONSTRAINT tasks_unit_fkey, DROP CONSTRAINT tasks_assignee_account_id_check",
    "ALTER TABLE app.projects DROP CONSTRAINT projects_account_id_owner_id_fkey,
        DROP CONSTRAINT projects_account_id_fkey",
];

fn fixture() -> (Fixture, Connection) {
    let fixture = Fixture::new(SQLITE, SPEC);
    let target = fixture.target(ROWS);
    (fixture, target)
}

/// Applies a fault in a transaction that is rolled back, and returns the findings without those about what was dropped
/// to make room for it.
fn with_fault(fixture: &Fixture, target: &mut Connection, prepare: &[&str], fault: &[&str]) -> Vec<String> {
    let mut transaction = target.begin().unwrap();
    for sql in prepare {
        run(&mut transaction, sql);
    }
    let before = findings(&fixture.verify(&mut transaction));
    for sql in fault {
        run(&mut transaction, sql);
    }
    let after = findings(&fixture.verify(&mut transaction));
    after.into_iter().filter(|line| !before.contains(line)).collect()
}

#[test]
fn a_faithful_target_is_proven() {
    let (fixture, mut target) = fixture();
    let found = fixture.verify(&mut target);
    assert_eq!(findings(&found), Vec::<String>::new());
    let rows: Vec<_> =
        found.tables.iter().map(|table| (table.table.as_str(), table.source_rows, table.tenants)).collect();
    assert_eq!(rows, [("accounts", 2, 2), ("units", 2, 0), ("users", 3, 2), ("projects", 2, 2), ("tasks", 4, 2)]);
    assert!(found.tables.iter().all(|table| table.source_rows == table.target_rows));
    assert_eq!(found.foreign_keys.len(), fixture.plan.rewritten.target.foreign_keys.len());
    assert_eq!(found.sequences.len(), 3);
    // A second run finds the TEMP tables of the first gone.
    assert!(fixture.verify(&mut target).is_proven());
}

fn without_sums(mut verification: Verification) -> Verification {
    verification.sum_key.clear();
    for sum in verification.tables.iter_mut().flat_map(|table| &mut table.sums) {
        (sum.source_sum, sum.target_sum) = (0, 0);
    }
    verification
}

#[test]
fn several_connections_find_what_one_finds() {
    let fixture = Fixture::new(SQLITE, SPEC);
    let database = testing::database();
    let mut target = fixture.target_in(&database, ROWS);
    let mut readers = [(); 3].map(|()| database.connect_reader("public", testing::PATIENCE).unwrap());
    let mut verified = |target: &mut Connection| {
        let one = verify(&fixture.plan, &fixture.source, Vec::new(), target, &mut [], &mut |_, _| {}).unwrap();
        let several = verify(&fixture.plan, &fixture.source, Vec::new(), target, &mut readers, &mut |_, _| {}).unwrap();
        // Each proof has a key of its own, and so other sums.
        assert_eq!(without_sums(one), without_sums(several.clone()));
        several
    };
    assert_eq!(findings(&verified(&mut target)), Vec::<String>::new());
    for sql in UNGUARDED {
        run(&mut target, sql);
    }
    run(&mut target, "UPDATE app.tasks SET project_id = 20, note = NULL WHERE id = 100");
    run(&mut target, "DELETE FROM app.users WHERE id = 2");
    run(&mut target, "SELECT setval('app.tasks_id_seq', 7)");
    let found = findings(&verified(&mut target));
    for part in ["tasks: a id=100: changed", "users: b id=2: missing", "tasks.id: next", "OtherTenant"] {
        assert!(found.iter().any(|line| line.contains(part)), "{part}: {found:#?}");
    }
}

#[test]
fn a_table_whose_rowids_are_all_negative_is_read_by_two_connections() {
    let sqlite = "CREATE TABLE t (id INTEGER PRIMARY KEY, owner INTEGER, v TEXT);
        INSERT INTO t VALUES (-5, 1, 'x'), (-9, 2, 'y');";
    let spec = "{version: 1, source: s, tenant: {column: owner, type: bigint}, tables: {t: {tenant: {column: owner}}}}";
    let fixture = Fixture::new(sqlite, spec);
    let beside = vec![Fixture::new(sqlite, spec).source];
    let mut target = fixture.target(&["INSERT INTO t (owner, id, v) VALUES (1, -5, 'x'), (2, -9, 'y')"]);
    let found = verify(&fixture.plan, &fixture.source, beside, &mut target, &mut [], &mut |_, _| {}).unwrap();
    assert_eq!(findings(&found), Vec::<String>::new());
}

#[test]
fn a_connection_that_fails_fails_the_proof() {
    let fixture = Fixture::new(SQLITE, SPEC);
    let database = testing::database();
    let mut target = fixture.target_in(&database, ROWS);
    let mut readers = [(); 2].map(|()| database.connect_reader("public", testing::PATIENCE).unwrap());
    let others = "SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity \
                  WHERE datname = current_database() AND pid <> pg_backend_pid() ORDER BY pid LIMIT 1";
    assert_eq!(target.query(others, &[], "cut").unwrap().len(), 1);
    let read = verify(&fixture.plan, &fixture.source, Vec::new(), &mut target, &mut readers, &mut |_, _| {});
    let error = read.unwrap_err();
    assert_eq!(error.code, "connection-lost");
    assert!(
        verify(&fixture.plan, &fixture.source, Vec::new(), &mut target, &mut [], &mut |_, _| {}).unwrap().is_proven()
    );
}

#[test]
fn every_fault_in_the_rows_is_named() {
    let (fixture, mut target) = fixture();
    for (fault, expected) in [
        (&["DELETE FROM app.tasks WHERE id = 102"][..], &["tasks: a id=102: missing"][..]),
        (
            &["DELETE FROM app.units WHERE code = 'g'"],
            &["units: shared code=g: missing", "tasks_unit_fkey: Orphan × 1: account_id=a,id=102"],
        ),
        (&["INSERT INTO app.units VALUES ('t', 1000)"], &["units: shared code=t: extra"]),
        (
            &["INSERT INTO app.tasks (account_id, id, project_id) VALUES ('b', 201, 20)"],
            &["tasks: b id=201: extra", "tasks.id: next Some(201), least 202"],
        ),
        (&["UPDATE app.tasks SET note = '' WHERE id = 101"], &["tasks: a id=101: changed in note"]),
        (&["UPDATE app.projects SET budget = 0.11 WHERE id = 20"], &["projects: b id=20: changed in budget"]),
        (
            &["UPDATE app.projects SET started = started + interval '1 microsecond' WHERE id = 20"],
            &["projects: b id=20: changed in started"],
        ),
        (
            &["UPDATE app.tasks SET payload = '{\"a\": {}, \"b\": 1.5}' WHERE id = 100"],
            &["tasks: a id=100: changed in payload"],
        ),
        (
            &["UPDATE app.users SET active = false, born = NULL WHERE id = 1"],
            &["users: a id=1: changed in active, born"],
        ),
        (&["UPDATE app.tasks SET note = left(note, 3) WHERE id = 100"], &["tasks: a id=100: changed in note"]),
        (
            &["UPDATE app.tasks SET note = CASE id WHEN 100 THEN 'third' ELSE 'first' END WHERE id IN (100, 102)"],
            &["tasks: a id=100: changed in note", "tasks: a id=102: changed in note"],
        ),
        (
            &["UPDATE app.tasks SET account_id = 'b' WHERE id = 101"],
            &[
                "tasks: a id=101: wrong tenant b",
                "tasks_account_id_parent_id_fkey: OtherTenant × 1: account_id=b,id=101",
                "tasks_account_id_project_id_fkey: OtherTenant × 1: account_id=b,id=101",
            ],
        ),
        (
            &["UPDATE app.tasks SET assignee_account_id = 'b', assignee_id = 2 WHERE id = 102"],
            &[
                "tasks: a id=102: changed in assignee_account_id, assignee_id",
                "tasks_assignee_account_id_assignee_id_fkey: OtherTenant × 1: account_id=a,id=102",
            ],
        ),
        (
            &["UPDATE app.tasks SET project_id = 20 WHERE id = 101"],
            &[
                "tasks: a id=101: changed in project_id",
                "tasks_account_id_project_id_fkey: OtherTenant × 1: account_id=a,id=101",
            ],
        ),
        (
            &["UPDATE app.tasks SET parent_id = 999 WHERE id = 101"],
            &[
                "tasks: a id=101: changed in parent_id",
                "tasks_account_id_parent_id_fkey: Orphan × 1: account_id=a,id=101",
            ],
        ),
        (
            &["UPDATE app.tasks SET assignee_account_id = 'a' WHERE id = 101"],
            &[
                "tasks: a id=101: changed in assignee_account_id",
                "tasks_assignee_account_id_assignee_id_fkey: HalfNull × 1: account_id=a,id=101",
            ],
        ),
        (
            &["UPDATE app.tasks SET account_id = 'c' WHERE id = 200"],
            &[
                "tasks: b id=200: wrong tenant c",
                "tasks_account_id_project_id_fkey: OtherTenant × 1: account_id=c,id=200",
                "tasks_assignee_account_id_assignee_id_fkey: OtherTenant × 1: account_id=c,id=200",
                "tasks_account_id_fkey: Orphan × 1: account_id=c,id=200",
            ],
        ),
    ] {
        let mut found = with_fault(&fixture, &mut target, UNGUARDED, fault);
        let mut expected = expected.to_vec();
        found.sort();
        expected.sort_unstable();
        assert_eq!(found, expected, "{fault:?}");
    }
}

#[test]
fn a_row_that_comes_twice_is_told_from_one_too_many() {
    let (fixture, mut target) = fixture();
    let prepare = [UNGUARDED, &["ALTER TABLE app.tasks DROP CONSTRAINT tasks_pkey"]].concat();
    let fault = ["INSERT INTO app.tasks SELECT * FROM app.tasks WHERE id = 102"];
    assert_eq!(with_fault(&fixture, &mut target, &prepare, &fault), ["tasks: a id=102: doubled"]);
    // What XOR and a count miss together.
    let fault = [fault[0], "DELETE FROM app.tasks WHERE id = 101"];
    let found = with_fault(&fixture, &mut target, &prepare, &fault);
    assert_eq!(found, ["tasks: a id=101: missing", "tasks: a id=102: doubled"]);
}

/// Row counts, sums over the source's own columns and all foreign keys are as they should be: only the tenant is not.
#[test]
fn two_tenants_swapped_whole_are_found() {
    let (fixture, mut target) = fixture();
    let swap = |table: &str, column: &str| format!("UPDATE app.{table} SET {column} = translate({column}, 'ab', 'ba')");
    let faults = [
        swap("projects", "account_id"),
        swap("users", "account_id"),
        swap("tasks", "account_id"),
        swap("tasks", "assignee_account_id"),
    ];
    let faults: Vec<&str> = faults.iter().map(String::as_str).collect();
    let found = with_fault(
        &fixture,
        &mut target,
        &[UNGUARDED, &["ALTER TABLE app.users DROP CONSTRAINT users_account_id_fkey"]].concat(),
        &faults,
    );
    let expected = [
        "users: a id=1: wrong tenant b",
        "users: b id=2: wrong tenant a",
        "users: a id=3: wrong tenant b",
        "projects: a id=10: wrong tenant b",
        "projects: b id=20: wrong tenant a",
        "tasks: a id=100: wrong tenant b",
        "tasks: a id=101: wrong tenant b",
        "tasks: a id=102: wrong tenant b",
        "tasks: b id=200: wrong tenant a",
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_sequence_behind_is_named_even_where_only_sqlite_knows() {
    let (fixture, mut target) = fixture();
    run(&mut target, "SELECT setval('app.tasks_id_seq', 199)");
    // 3 is the greatest id of a user, 9 the greatest that SQLite ever gave out.
    run(&mut target, "SELECT setval('app.users_id_seq', 8)");
    let found = findings(&fixture.verify(&mut target));
    assert_eq!(found, ["users.id: next Some(9), least 10", "tasks.id: next Some(200), least 201"]);
}

#[test]
fn every_fault_in_the_schema_is_a_sentence() {
    let (fixture, mut target) = fixture();
    for (fault, expected) in [
        (
            &["ALTER TABLE app.tasks DROP CONSTRAINT tasks_account_id_parent_id_fkey"][..],
            "tasks: the foreign key tasks_account_id_parent_id_fkey (account_id, parent_id) to tasks (account_id, id) \
             ON UPDATE NO ACTION ON DELETE SET NULL (parent_id) is missing",
        ),
        (&["DROP INDEX app.tasks_by_note"], "tasks: the index tasks_by_note (account_id, note DESC) is missing"),
        (
            &["DROP INDEX app.tasks_by_note", "CREATE INDEX tasks_by_note ON app.tasks (account_id, note)"],
            "tasks: the index tasks_by_note (account_id, note) is to be the index tasks_by_note (account_id, note DESC)",
        ),
        (
            &[
                "DROP INDEX app.tasks_by_note",
                "CREATE INDEX tasks_by_note ON app.tasks (account_id, note DESC) INCLUDE (unit)",
            ],
            "tasks: the index tasks_by_note (account_id, note DESC) including unit is to be the index tasks_by_note \
             (account_id, note DESC)",
        ),
        (&["CREATE INDEX more ON app.tasks (unit)"], "tasks: the index more (unit) is not in the plan"),
        (
            &["ALTER TABLE app.projects DROP CONSTRAINT projects_budget_check"],
            "projects: the CHECK projects_budget_check is missing",
        ),
        (
            &["ALTER TABLE app.users DROP CONSTRAINT users_email_key"],
            "users: the unique key users_email_key (email) is missing",
        ),
        (
            &["ALTER TABLE app.users ALTER active DROP DEFAULT"],
            "users: the column active boolean is to be the column active boolean with a default",
        ),
        (
            &["ALTER TABLE app.users ALTER email DROP NOT NULL"],
            "users: the column email text is to be the column email text NOT NULL",
        ),
        (
            &["ALTER TABLE app.tasks ALTER unit TYPE varchar(20)"],
            "tasks: the column unit varchar(20) is to be the column unit varchar(10)",
        ),
        (&["ALTER TABLE app.users ADD more text"], "users: the column more text is not in the plan"),
        (
            &["ALTER TABLE app.users ALTER id DROP IDENTITY"],
            "users: the column id bigint NOT NULL is to be the column id bigint NOT NULL as identity",
        ),
        (
            &["ALTER TABLE app.users DISABLE TRIGGER ALL"],
            "users: the constraint users_account_id_fkey has a trigger switched off",
        ),
        (
            &[
                "ALTER TABLE app.tasks DROP CONSTRAINT tasks_unit_fkey",
                "ALTER TABLE app.tasks ADD CONSTRAINT tasks_unit_fkey FOREIGN KEY (unit) REFERENCES app.units (code) NOT VALID",
            ],
            "tasks: the constraint tasks_unit_fkey is not validated",
        ),
        (
            &["CREATE INDEX hashed ON app.units USING hash (factor)"],
            "units: the index hashed using hash (factor) is not in the plan",
        ),
    ] {
        let found = with_fault(&fixture, &mut target, &[], fault);
        assert!(found.iter().any(|line| line == expected), "{fault:?}: {found:#?}");
    }
}

#[test]
fn tables_that_cannot_be_read_prove_nothing_and_break_nothing() {
    let (fixture, mut target) = fixture();
    let found = with_fault(
        &fixture,
        &mut target,
        &[],
        &["DROP TABLE app.units CASCADE", "ALTER TABLE app.projects DROP title"],
    );
    let expected = [
        "units: unread: there is no such table",
        "projects: unread: it has no column title",
        "projects_account_id_owner_id_fkey: unchecked: projects cannot be read: it has no column title",
        "projects_account_id_fkey: unchecked: projects cannot be read: it has no column title",
        "tasks_account_id_project_id_fkey: unchecked: projects cannot be read: it has no column title",
        "tasks_unit_fkey: unchecked: units cannot be read: there is no such table",
        "the table units is missing",
        "projects: the column title text is missing",
        "tasks: the foreign key tasks_unit_fkey (unit) to units (code) ON UPDATE NO ACTION ON DELETE NO ACTION is missing",
    ];
    assert_eq!(found, expected);
    let found = with_fault(&fixture, &mut target, &[], &["ALTER TABLE app.projects ALTER budget TYPE float8"]);
    let expected = [
        "projects: unread: its column budget is not numeric",
        "projects_account_id_owner_id_fkey: unchecked: projects cannot be read: its column budget is not numeric",
        "projects_account_id_fkey: unchecked: projects cannot be read: its column budget is not numeric",
        "tasks_account_id_project_id_fkey: unchecked: projects cannot be read: its column budget is not numeric",
        "projects: the column budget double precision is to be the column budget numeric(10,2)",
    ];
    assert_eq!(found, expected);
}

#[test]
fn progress_names_every_table_and_its_rows() {
    let (fixture, mut target) = fixture();
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    let mut progress = |table: &str, rows: u64| {
        let before = seen.insert(table.to_owned(), rows);
        assert!(before.is_none_or(|before| before <= rows), "{table}: {before:?}, then {rows}");
    };
    verify(&fixture.plan, &fixture.source, Vec::new(), &mut target, &mut [], &mut progress).unwrap();
    let expected = [("accounts", 2), ("projects", 2), ("tasks", 4), ("units", 2), ("users", 3)];
    assert_eq!(seen, expected.map(|(table, rows)| (table.to_owned(), rows)).into());
}

#[test]
fn many_differences_are_counted_and_a_few_are_shown() {
    let sqlite = "CREATE TABLE t (id INTEGER PRIMARY KEY, owner INTEGER, v TEXT);
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
        INSERT INTO t SELECT i, i % 50, 'v' || i FROM n;";
    let spec = "{version: 1, source: s, tenant: {column: owner, type: bigint}, tables: {t: {tenant: {column: owner}}}}";
    let fixture = Fixture::new(sqlite, spec);
    let mut target = fixture.target(&[
        "INSERT INTO t (owner, id, v) SELECT i % 50, i, 'v' || i FROM generate_series(1, 5000) i",
        "SELECT setval('t_id_seq', 5000)",
    ]);
    assert_eq!(findings(&fixture.verify(&mut target)), Vec::<String>::new());
    run(&mut target, "UPDATE t SET v = 'x' WHERE owner < 20");
    let found = fixture.verify(&mut target);
    let [table] = &found.tables[..] else { panic!() };
    assert_eq!((table.tenants, table.differing_tenants, table.source_rows, table.target_rows), (50, 20, 5000, 5000));
    assert_eq!((table.tenant_examples.len(), table.row_examples.len()), (10, 10));
    assert_eq!(table.row_examples, fixture.verify(&mut target).tables[0].row_examples, "the same in every run");
}

//! Every action of a rewritten foreign key, carried out on a real PostgreSQL: it does what it says, to its own tenant only.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;
use tenantry::cli::Project;
use tenantry::emit;
use tenantry::plan::Section;
use tenantry::postgres::{Connection, Durability, Scratch};

const ACTIONS: [&str; 5] = ["NO ACTION", "RESTRICT", "CASCADE", "SET NULL", "SET DEFAULT"];

/// How the reference goes over, as the spec says it.
const MEANS: [(&str, &str); 3] = [
    ("per_tenant", "{scope: per_tenant}"),
    ("own column", "{column: parent_account_id}"),
    ("cross tenant", "{column: parent_account_id, cross_tenant: allow}"),
];

/// Applies the DDL that a spec yields to a schema of its own; `None` where the spec is refused, with its codes.
fn apply(
    connection: &mut Connection,
    schema: &str,
    ddl: &str,
    tables: &str,
    root: &str,
) -> Result<Project, Vec<&'static str>> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("schema.sql"), ddl).unwrap();
    let spec = folder.path().join("spec.yaml");
    let header = format!("version: 1\nsource: schema.sql\ntarget: {{schema: {schema}, version: 15}}\n");
    std::fs::write(&spec, format!("{header}tenant: {{column: account_id, {root}}}\ntables:\n{tables}")).unwrap();
    let project = match Project::load(&spec, false) {
        Ok(project) => project,
        Err(failure) => return Err(failure.errors.0.iter().map(|error| error.code).collect()),
    };
    for section in [Section::PreData, Section::PostData] {
        for statement in project.plan.section(section) {
            if let Some(sql) = emit::statement(&project.plan, statement) {
                run(connection, &sql);
            }
        }
    }
    run(connection, &format!("SET search_path = {schema}"));
    Ok(project)
}

fn run(connection: &mut Connection, sql: &str) {
    connection.execute(sql, "prepare").unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

/// Carries a statement out; `false` where PostgreSQL refuses it for what the data would become.
fn attempt(connection: &mut Connection, sql: &str) -> bool {
    connection.execute(sql, "attempt").is_ok()
}

/// Writes all rows of a tenant as text, both tables.
fn tenant(connection: &mut Connection, account: i64) -> String {
    let sql = format!(
        "SELECT coalesce(string_agg(line, E'\\n' ORDER BY line), '') FROM (
           SELECT 'parent ' || parents::text AS line FROM parents WHERE account_id = {account} UNION ALL
           SELECT 'child ' || children::text FROM children WHERE account_id = {account}) t"
    );
    connection.query_one(&sql, &[], "read").unwrap().text(0).unwrap().to_owned()
}

/// Returns what a child of tenant 1 refers to; `None` where the child is gone.
fn parent_of(connection: &mut Connection, child: i64) -> Option<String> {
    let sql = format!(
        "SELECT coalesce(to_jsonb(c) ->> 'parent_account_id', '-') || ' ' || coalesce(parent_id::text, '-')
         FROM children c WHERE account_id = 1 AND id = {child}"
    );
    let rows = connection.query(&sql, &[], "read").unwrap();
    rows.first().map(|row| row.text(0).unwrap().to_owned())
}

fn prepare(connection: &mut Connection, has_own_column: bool) {
    for account in [1, 2] {
        run(
            connection,
            &format!("INSERT INTO parents (account_id, id) VALUES ({account}, 5), ({account}, 6), ({account}, 9)"),
        );
        for (child, parent) in [(1, "5"), (2, "6"), (3, "NULL")] {
            let (more, value) = match (has_own_column, parent) {
                (false, _) => ("", String::new()),
                (true, "NULL") => (", parent_account_id", ", NULL".to_owned()),
                (true, _) => (", parent_account_id", format!(", {account}")),
            };
            run(
                connection,
                &format!(
                    "INSERT INTO children (account_id, id, parent_id{more}) VALUES ({account}, {child}, {parent}{value})"
                ),
            );
        }
    }
    // Only tenant 2 has this one.
    run(connection, "INSERT INTO parents (account_id, id) VALUES (2, 7)");
}

#[test]
fn every_action_does_what_it_says_and_touches_no_other_tenant() {
    let scratch = Scratch::start(Durability::Off).unwrap();
    let mut connection = scratch.server().connect("public", Duration::from_secs(30)).unwrap();
    let (mut attempts, mut refused_specs) = (0, 0);
    for (number, (means, decision)) in MEANS.into_iter().enumerate() {
        let has_own_column = number > 0;
        for on_delete in ACTIONS {
            for on_update in ACTIONS {
                let case = format!("{means}, ON DELETE {on_delete}, ON UPDATE {on_update}");
                let schema = format!("c{number}_{on_delete}_{on_update}").replace(' ', "_").to_lowercase();
                let ddl = format!(
                    "CREATE TABLE parents (id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL);
                     CREATE TABLE children (id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL,
                       parent_id INTEGER DEFAULT 9 REFERENCES parents (id) ON DELETE {on_delete} ON UPDATE {on_update});"
                );
                let tables = format!(
                    "  parents: {{tenant: {{column: account_id}}}}\n  children: {{tenant: {{column: account_id}}, \
                     foreign_keys: {{parent_id: {decision}}}}}\n"
                );
                let possible = match on_update {
                    "SET NULL" => has_own_column,
                    "SET DEFAULT" => false,
                    _ => true,
                };
                match apply(&mut connection, &schema, &ddl, &tables, "type: bigint") {
                    Ok(_) => assert!(possible, "{case} is accepted"),
                    Err(codes) => {
                        assert!(!possible && codes == ["on-update-clears-tenant"], "{case}: {codes:?}");
                        refused_specs += 1;
                        continue;
                    }
                }
                prepare(&mut connection, has_own_column);
                let other = tenant(&mut connection, 2);

                let own = |parent: &str| format!("{} {parent}", if has_own_column { "1" } else { "-" });
                let deleted = attempt(&mut connection, "DELETE FROM parents WHERE account_id = 1 AND id = 5");
                let expected = match on_delete {
                    "CASCADE" => None,
                    "SET NULL" => Some("- -".to_owned()),
                    "SET DEFAULT" => Some(own("9")),
                    _ => Some(own("5")),
                };
                assert_eq!(deleted, !matches!(on_delete, "NO ACTION" | "RESTRICT"), "{case}");
                assert_eq!(parent_of(&mut connection, 1), expected, "{case}");

                let updated = attempt(&mut connection, "UPDATE parents SET id = 60 WHERE account_id = 1 AND id = 6");
                let expected = match on_update {
                    "CASCADE" => own("60"),
                    "SET NULL" => "- -".to_owned(),
                    _ => own("6"),
                };
                assert_eq!(updated, !matches!(on_update, "NO ACTION" | "RESTRICT"), "{case}");
                assert_eq!(parent_of(&mut connection, 2), Some(expected), "{case}");
                assert_eq!(parent_of(&mut connection, 3), Some("- -".to_owned()), "{case}: the child without a parent");
                assert_eq!(tenant(&mut connection, 2), other, "{case} touches the other tenant");
                attempts += 2 + borders(&mut connection, means, &case);
            }
        }
    }
    println!("{attempts} attempts, {refused_specs} refused specs");
    assert_eq!(refused_specs, 5 * 2 + 5 + 5);
    assert!(attempts > 300, "only {attempts} attempts");
}

/// Attempts references within the tenant and to the other's row; returns how many.
fn borders(connection: &mut Connection, means: &str, case: &str) -> u32 {
    let row = |id, tenant: &str, parent| match means {
        "per_tenant" => format!("INSERT INTO children (account_id, id, parent_id) VALUES (1, {id}, {parent})"),
        _ => format!(
            "INSERT INTO children (account_id, id, parent_account_id, parent_id) VALUES (1, {id}, {tenant}, {parent})"
        ),
    };
    assert!(attempt(connection, &row(20, "1", "9")), "{case}: a row of the same tenant");
    assert!(!attempt(connection, &row(21, "1", "7")), "{case}: a row that only the other tenant has");
    assert!(
        !attempt(connection, "UPDATE children SET parent_id = 7 WHERE account_id = 1 AND id = 20"),
        "{case}: the same by UPDATE"
    );
    if means == "per_tenant" {
        assert!(
            !attempt(
                connection,
                "UPDATE children SET account_id = 2, id = 90, parent_id = 8 WHERE account_id = 1 AND id = 20"
            ),
            "{case}: a row that nobody has"
        );
        return 4;
    }
    let across = attempt(connection, &row(22, "2", "7"));
    assert_eq!(across, means == "cross tenant", "{case}: another tenant's row under its own tenant");
    assert!(!attempt(connection, &row(23, "NULL", "7")), "{case}: a row without its tenant");
    assert!(!attempt(connection, &row(24, "1", "NULL")), "{case}: a tenant without its row");
    6
}

#[test]
fn the_root_and_its_first_user_come_together_and_part_again() {
    let scratch = Scratch::start(Durability::Off).unwrap();
    let mut connection = scratch.server().connect("public", Duration::from_secs(30)).unwrap();
    let ddl = "CREATE TABLE accounts (id INTEGER PRIMARY KEY, owner_id INTEGER REFERENCES users (id) ON DELETE SET NULL);
               CREATE TABLE users (id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
                 boss_id INTEGER REFERENCES users (id) ON DELETE SET NULL, booked_for INTEGER REFERENCES accounts (id));";
    let tables = "  users: {tenant: {column: account_id}}\n";
    apply(&mut connection, "root", ddl, tables, "root: accounts").unwrap();
    for account in [1, 2] {
        let mut transaction = connection.begin().unwrap();
        for sql in [
            format!("INSERT INTO accounts VALUES ({account}, 5)"),
            format!("INSERT INTO users VALUES (5, {account}, 6, {account}), (6, {account}, NULL, NULL)"),
        ] {
            transaction.execute(&sql, "insert").unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        }
        transaction.commit().unwrap();
    }
    let read = |connection: &mut Connection, sql: &str| {
        connection.query_one(sql, &[], "read").unwrap().text(0).unwrap().to_owned()
    };
    run(&mut connection, "INSERT INTO users VALUES (7, 2, NULL, NULL)");
    assert!(!attempt(&mut connection, "UPDATE accounts SET owner_id = 7 WHERE id = 1"), "an owner of another tenant");
    assert!(attempt(&mut connection, "UPDATE accounts SET owner_id = 7 WHERE id = 2"));
    assert!(!attempt(&mut connection, "UPDATE users SET booked_for = 2 WHERE account_id = 1"), "another root row");
    run(&mut connection, "DELETE FROM users WHERE account_id = 1 AND id = 6");
    let users = "SELECT string_agg(users::text, ' ' ORDER BY account_id, id) FROM users";
    assert_eq!(read(&mut connection, users), "(5,1,,1) (5,2,6,2) (6,2,,) (7,2,,)");
    run(&mut connection, "UPDATE users SET booked_for = NULL");
    run(&mut connection, "DELETE FROM users WHERE account_id = 1 AND id = 5");
    let accounts = "SELECT string_agg(accounts::text, ' ' ORDER BY id) FROM accounts";
    assert_eq!(read(&mut connection, accounts), "(1,) (2,7)");
    run(&mut connection, "DELETE FROM accounts WHERE id = 2");
    assert_eq!(read(&mut connection, "SELECT count(*)::text FROM users"), "0");
    assert_eq!(read(&mut connection, accounts), "(1,)");
}

#[test]
fn a_reference_of_two_columns_is_absent_where_one_is() {
    let scratch = Scratch::start(Durability::Off).unwrap();
    let mut connection = scratch.server().connect("public", Duration::from_secs(30)).unwrap();
    let ddl = "CREATE TABLE parents (id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL, a INTEGER, b INTEGER, UNIQUE (a, b));
               CREATE TABLE children (id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL, a INTEGER NOT NULL, b INTEGER,
                 FOREIGN KEY (a, b) REFERENCES parents (a, b) ON DELETE SET NULL);";
    let tables = "  parents: {tenant: {column: account_id}, unique: {\"a, b\": per_tenant}}\n  children: {tenant: {column: \
                  account_id}, foreign_keys: {\"a, b\": {column: theirs}}}\n";
    apply(&mut connection, "pairs", ddl, tables, "type: bigint").unwrap();
    run(&mut connection, "INSERT INTO parents VALUES (1, 1, 10, 20), (1, 2, 10, 20), (2, 2, 30, 40)");
    let insert = |id, theirs, a, b| {
        format!("INSERT INTO children (id, account_id, theirs, a, b) VALUES ({id}, 1, {theirs}, {a}, {b})")
    };
    assert!(attempt(&mut connection, &insert(1, "1", "10", "20")));
    assert!(attempt(&mut connection, &insert(2, "NULL", "77", "NULL")), "absent, as in SQLite");
    assert!(!attempt(&mut connection, &insert(3, "NULL", "10", "20")), "a NULL tenant switches nothing off");
    assert!(!attempt(&mut connection, &insert(4, "1", "10", "NULL")), "a tenant without its row");
    assert!(!attempt(&mut connection, &insert(5, "2", "30", "40")), "another tenant's row");
    run(&mut connection, "DELETE FROM parents WHERE account_id = 1");
    let rows = "SELECT string_agg(children::text, ' ' ORDER BY id) FROM children";
    let rows = connection.query_one(rows, &[], "read").unwrap().text(0).unwrap().to_owned();
    assert_eq!(rows, "(1,1,,10,) (2,1,,77,)");
}

#[test]
fn the_foreign_key_to_the_root_refuses_what_cascades_would_take_along_unless_it_is_one() {
    let scratch = Scratch::start(Durability::Off).unwrap();
    let mut connection = scratch.server().connect("public", Duration::from_secs(30)).unwrap();
    let ddl = "CREATE TABLE accounts (id INTEGER PRIMARY KEY);
               CREATE TABLE users (id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL REFERENCES accounts ON DELETE CASCADE);
               CREATE TABLE notes (id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES users ON DELETE CASCADE);
               CREATE TABLE events (id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL);
               CREATE TABLE orders (id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES users);";
    let tables = "  users: {tenant: {column: account_id}}\n  notes: {tenant: {via: user_id}}\n  events: {tenant: {column: \
                  account_id}}\n  orders: {tenant: {via: user_id}}\n";
    for (schema, action, hazards, deleted) in [
        ("plain", "no_action", &["events: leaves them behind", "notes: takes them along"][..], [false, false, false]),
        ("chosen", "restrict", &[], [false, false, false]),
        // It takes along what refuses in the source as well.
        ("along", "cascade", &[], [true, true, true]),
        ("without", "none", &[], [true, true, false]),
    ] {
        let root = format!("root: {{table: accounts, foreign_key: {action}}}");
        let project = apply(&mut connection, schema, ddl, tables, &root).unwrap();
        let found: Vec<String> = project
            .plan
            .hazards()
            .iter()
            .filter(|hazard| hazard.code == "tenant-deletion-refused")
            .map(|hazard| {
                let (_, before) = hazard.message.split_once("the source ").unwrap();
                format!("{}: {before}", project.plan.source.table(hazard.table).name)
            })
            .collect();
        assert_eq!(found, hazards, "{schema}");
        run(&mut connection, "INSERT INTO accounts VALUES (1), (2), (3)");
        run(&mut connection, "INSERT INTO users (account_id, id) VALUES (1, 10), (3, 30)");
        run(&mut connection, "INSERT INTO notes (account_id, id, user_id) VALUES (1, 100, 10)");
        run(&mut connection, "INSERT INTO events (account_id, id) VALUES (2, 200)");
        run(&mut connection, "INSERT INTO orders (account_id, id, user_id) VALUES (3, 300, 30)");
        // The third has a row that refuses in the source as well.
        let may =
            [1, 2, 3].map(|account| attempt(&mut connection, &format!("DELETE FROM accounts WHERE id = {account}")));
        assert_eq!(may, deleted, "{schema}");
    }
}

#[test]
fn a_row_has_a_tenant_only_by_the_reference_that_finds_it_though_that_may_be_null() {
    let scratch = Scratch::start(Durability::Off).unwrap();
    let mut connection = scratch.server().connect("public", Duration::from_secs(30)).unwrap();
    for (schema, action, hazards) in [
        // The users of an account refuse its deletion in the source as well, and so do whose rows are theirs.
        ("stays", "", &[][..]),
        ("goes", "ON DELETE CASCADE", &["notes"]),
        // Nothing of it is deleted, nothing of it is refused: they are left behind.
        ("parts", "ON DELETE SET NULL", &["notes", "orders"]),
    ] {
        let ddl = format!(
            "CREATE TABLE accounts (id INTEGER PRIMARY KEY);
             CREATE TABLE users (id INTEGER PRIMARY KEY, account_id INTEGER REFERENCES accounts {action});
             CREATE TABLE notes (id INTEGER PRIMARY KEY, user_id INTEGER REFERENCES users ON DELETE CASCADE);
             CREATE TABLE orders (id INTEGER PRIMARY KEY, user_id INTEGER REFERENCES users);"
        );
        let on_delete =
            if action.ends_with("NULL") { ", foreign_keys: {account_id: {on_delete: no_action}}" } else { "" };
        let tables = format!(
            "  users: {{tenant: {{column: account_id}}{on_delete}}}\n  notes: {{tenant: {{via: user_id}}}}\n  orders: {{tenant: \
             {{via: user_id}}}}\n"
        );
        let project = apply(&mut connection, schema, &ddl, &tables, "root: accounts").unwrap();
        let hazard_of = project.plan.hazards().iter().filter(|hazard| hazard.code == "tenant-deletion-refused");
        let found: Vec<&str> = hazard_of.map(|hazard| project.plan.source.table(hazard.table).name.as_str()).collect();
        assert_eq!(found, hazards, "{schema}");
    }
}

#[test]
fn an_insert_without_the_tenant_is_refused_where_the_plan_warns_of_it() {
    let scratch = Scratch::start(Durability::Off).unwrap();
    let mut connection = scratch.server().connect("public", Duration::from_secs(30)).unwrap();
    let ddl = "CREATE TABLE accounts (id INTEGER PRIMARY KEY);
        CREATE TABLE users (id INTEGER PRIMARY KEY, account_id INTEGER REFERENCES accounts);
        CREATE TABLE notes (id INTEGER PRIMARY KEY, writer_id INTEGER NOT NULL REFERENCES users, user_id INTEGER REFERENCES users);";
    let tables = "  users: {tenant: {column: account_id}}
  notes: {tenant: {via: writer_id}, foreign_keys: {user_id: {column: user_account_id}}}\n";
    let reference = "user_account_id where it names user_id";
    for (schema, default, hazards, may) in [
        (
            "nothing",
            "",
            vec!["users: account_id".to_owned(), format!("notes: account_id, {reference}")],
            [false, false, false, true],
        ),
        ("filled", ", default: \"1\"", vec![format!("notes: {reference}")], [true, true, false, true]),
    ] {
        let project = apply(&mut connection, schema, ddl, tables, &format!("root: accounts{default}")).unwrap();
        let mut found: Vec<String> = project
            .plan
            .hazards()
            .iter()
            .filter(|hazard| hazard.code == "insert-needs-tenant")
            .map(|hazard| {
                let (_, after) = hazard.message.split_once("an INSERT has to name ").unwrap();
                let needed = after.split_once(" from now on").unwrap().0;
                format!("{}: {needed}", project.plan.source.table(hazard.table).name)
            })
            .collect();
        found.sort_unstable_by(|one, other| other.cmp(one));
        assert_eq!(found, hazards, "{schema}");
        run(&mut connection, "INSERT INTO accounts VALUES (1)");
        run(&mut connection, "INSERT INTO users (account_id, id) VALUES (1, 10)");
        let accepted = [
            "INSERT INTO users (id) VALUES (11)",
            "INSERT INTO notes (id, writer_id) VALUES (100, 10)",
            "INSERT INTO notes (id, writer_id, user_id) VALUES (101, 10, 10)",
            "INSERT INTO notes (account_id, id, writer_id, user_id, user_account_id) VALUES (1, 102, 10, 10, 1)",
        ]
        .map(|sql| attempt(&mut connection, sql));
        assert_eq!(accepted, may, "{schema}");
    }
}

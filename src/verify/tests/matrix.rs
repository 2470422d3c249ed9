//! The mutation matrix: each fault alone, at five random places each, on a finished target of a few hundred rows. The
//! verification has to name its table and its kind every time, and nothing where there is no fault.
//!
//! The seed is new in every run and printed with the matrix; `TENANTRY_SEED` repeats one.

use super::fixture::{Fixture, findings, run};
use crate::plan::{Plan, Section};
use crate::postgres::Connection;
use crate::verify::expressions::PlannedExpressions;
use crate::verify::verify_isolation;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

const SQLITE: &str = "
    CREATE TABLE accounts (id TEXT PRIMARY KEY, name TEXT NOT NULL);
    CREATE TABLE units (code VARCHAR(10) PRIMARY KEY, factor REAL);
    CREATE TABLE users (
        id INTEGER PRIMARY KEY AUTOINCREMENT, account_id TEXT NOT NULL REFERENCES accounts (id),
        email TEXT NOT NULL UNIQUE, active BOOLEAN NOT NULL DEFAULT 1, born DATETIME,
        seen DATETIME DEFAULT CURRENT_TIMESTAMP);
    CREATE TABLE projects (
        id INTEGER PRIMARY KEY, owner_id INTEGER NOT NULL REFERENCES users (id), title TEXT DEFAULT 'new',
        doubled INTEGER GENERATED ALWAYS AS (owner_id * 2) STORED);
    CREATE TABLE tasks (
        id INTEGER PRIMARY KEY, project_id INTEGER NOT NULL REFERENCES projects (id),
        parent_id INTEGER REFERENCES tasks (id) ON DELETE SET NULL, assignee_id INTEGER REFERENCES users (id),
        unit VARCHAR(10) REFERENCES units (code), note TEXT, amount DECIMAL(10,2) CHECK (amount >= 0));
    CREATE INDEX tasks_by_note ON tasks (note DESC);";

const SPEC: &str = "
version: 1
source: source.db
target: {schema: app}
tenant: {column: account_id, type: varchar(20), root: accounts}
rls: {setting: app.account_id, role: matrix_app, force: true, lookup: {users: [email]}}
roles: {owner: matrix_owner, app: matrix_app, verifier: matrix_verifier}
tables:
  units: shared
  users: {tenant: {column: account_id}, unique: {email: global}}
  projects: {tenant: {via: owner_id}}
  tasks: {tenant: {via: project_id}}
";

const TENANTS: [&str; 3] = ["a", "b", "c"];
const USERS: u64 = 30;
const PROJECTS: u64 = 30;
const TASKS: u64 = 240;
const PLACES: usize = 5;

/// A small generator: the same numbers for the same seed on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn one_of<'t, T>(&mut self, list: &'t [T]) -> &'t T {
        &list[self.below(list.len() as u64) as usize]
    }
}

/// Writes the rows for both sides: the columns of the source, and those that the target has beside them.
fn rows() -> (String, Vec<String>) {
    let (mut sqlite, mut postgres) = (String::new(), Vec::new());
    let mut add = |table: &str, columns: &str, values: String, more: &str, tenant: &str| {
        sqlite.push_str(&format!("INSERT INTO {table} ({columns}) VALUES ({values});\n"));
        let (more, tenant) = if more.is_empty() { ("", String::new()) } else { (more, format!("'{tenant}', ")) };
        let values = values.replace("/*1*/1", "true").replace("/*0*/0", "false");
        postgres.push(format!("INSERT INTO app.{table} ({more}{columns}) VALUES ({tenant}{values})"));
    };
    let tenant = |user: u64| TENANTS[(user % 3) as usize];
    for id in TENANTS {
        add("accounts", "id, name", format!("'{id}', 'Account {id}'"), "", "");
    }
    for code in ["kg", "g", "m"] {
        add("units", "code, factor", format!("'{code}', 0.5"), "", "");
    }
    for id in 1..=USERS {
        let active = if id % 4 == 0 { "/*0*/0" } else { "/*1*/1" };
        let values = format!(
            "{id}, '{}', 'user{id}@example', {active}, '2024-01-{:02} 10:00:00', NULL",
            tenant(id),
            id % 28 + 1
        );
        add("users", "id, account_id, email, active, born, seen", values, "", "");
    }
    for id in 1..=PROJECTS {
        add("projects", "id, owner_id, title", format!("{id}, {id}, 'Project {id}'"), "account_id, ", tenant(id));
    }
    for id in 1..=TASKS {
        // A task and its parent, project and assignee are all of the tenant that its number says.
        let project = (id - 1) % PROJECTS + 1;
        let parent = if id > PROJECTS { (id - PROJECTS).to_string() } else { "NULL".to_owned() };
        let note = if id % 3 == 0 { "NULL".to_owned() } else { format!("'Note number {id}'") };
        let values = format!("{id}, {project}, {parent}, {project}, 'kg', {note}, {id}.25");
        let columns = "id, project_id, parent_id, assignee_id, unit, note, amount";
        add("tasks", columns, values, "account_id, ", tenant(project));
    }
    postgres.push(format!("SELECT setval('app.users_id_seq', {USERS})"));
    postgres.push(format!("SELECT setval('app.projects_id_seq', {PROJECTS})"));
    postgres.push(format!("SELECT setval('app.tasks_id_seq', {TASKS})"));
    (sqlite, postgres)
}

/// A fault: statements, and what has to stand in one line of the findings.
struct Fault {
    prepare: Vec<String>,
    sql: Vec<String>,
    table: &'static str,
    kind: String,
}

fn fault(table: &'static str, kind: &str, sql: &[String]) -> Fault {
    Fault { prepare: Vec::new(), sql: sql.to_vec(), table, kind: kind.to_owned() }
}

type Make = fn(&mut Random, &Plan) -> Fault;

/// A task whose note is, or is not, NULL.
fn task(random: &mut Random, has_note: bool) -> u64 {
    loop {
        let id = random.below(TASKS) + 1;
        if id.is_multiple_of(3) != has_note {
            return id;
        }
    }
}

fn update(id: u64, what: &str) -> String {
    format!("UPDATE app.tasks SET {what} WHERE id = {id}")
}

const FAULTS: &[(&str, Make)] = &[
    ("a row missing", |random, _| {
        let id = random.below(TASKS) + 1;
        fault("tasks", "missing", &[format!("DELETE FROM app.tasks WHERE id = {id}")])
    }),
    ("a row doubled", |random, _| {
        let id = random.below(TASKS) + 1;
        let sql = format!("INSERT INTO app.tasks SELECT * FROM app.tasks WHERE id = {id}");
        Fault {
            prepare: vec!["ALTER TABLE app.tasks DROP CONSTRAINT tasks_pkey CASCADE".to_owned()],
            ..fault("tasks", "doubled", &[sql])
        }
    }),
    ("a row doubled and another missing", |random, _| {
        let id = random.below(TASKS - 1) + 1;
        let sql = [
            format!("INSERT INTO app.tasks SELECT * FROM app.tasks WHERE id = {id}"),
            format!("DELETE FROM app.tasks WHERE id = {}", id + 1),
        ];
        Fault {
            prepare: vec!["ALTER TABLE app.tasks DROP CONSTRAINT tasks_pkey CASCADE".to_owned()],
            ..fault("tasks", "doubled", &sql)
        }
    }),
    ("a row too many", |random, _| {
        let id = 1000 + random.below(1000);
        let sql = format!("INSERT INTO app.tasks (account_id, id, project_id) VALUES ('b', {id}, 1)");
        fault("tasks", "extra", &[sql])
    }),
    ("a NULL turned ''", |random, _| fault("tasks", "changed in note", &[update(task(random, false), "note = ''")])),
    ("a '' or text turned NULL", |random, _| {
        fault("tasks", "changed in note", &[update(task(random, true), "note = NULL")])
    }),
    ("one value changed", |random, _| {
        fault("tasks", "changed in amount", &[update(random.below(TASKS) + 1, "amount = amount + 0.01")])
    }),
    ("two values swapped between rows", |random, _| {
        let (one, other) = (task(random, true), task(random, true));
        // 1 and 2 both have a note.
        let other = if one == other { if one == 1 { 2 } else { 1 } } else { other };
        let sql = format!(
            "UPDATE app.tasks t SET note = o.note FROM app.tasks o \
             WHERE (t.id, o.id) IN (({one}, {other}), ({other}, {one}))"
        );
        fault("tasks", "changed in note", &[sql])
    }),
    ("two columns of a row swapped", |random, _| {
        let id = random.below(PROJECTS) + 1;
        let swap = "parent_id = assignee_id, assignee_id = parent_id";
        fault("tasks", "changed in parent_id, assignee_id", &[update(id + PROJECTS * 3, swap)])
    }),
    ("a row in the wrong tenant", |random, _| {
        let sql = "account_id = CASE account_id WHEN 'a' THEN 'b' ELSE 'a' END";
        fault("tasks", "wrong tenant", &[update(random.below(TASKS) + 1, sql)])
    }),
    ("two tenants swapped whole", |random, _| {
        let (one, other) = *random.one_of(&[("a", "b"), ("b", "c"), ("c", "a")]);
        let swap = |table: &str| {
            format!("UPDATE app.{table} SET account_id = translate(account_id, '{one}{other}', '{other}{one}')")
        };
        fault("tasks", "wrong tenant", &["users", "projects", "tasks"].map(swap))
    }),
    ("a reference to another tenant", |random, _| {
        // The next project is the next tenant's.
        let id = random.below(TASKS) + 1;
        fault("tasks", "OtherTenant", &[update(id, &format!("project_id = project_id % {PROJECTS} + 1"))])
    }),
    ("a reference to another row of the tenant", |random, _| {
        let id = random.below(TASKS) + 1;
        let next = format!("project_id = (project_id + 2) % {PROJECTS} + 1");
        fault("tasks", "changed in project_id", &[update(id, &next)])
    }),
    ("an orphan", |random, _| fault("tasks", "Orphan", &[update(random.below(TASKS) + 1, "project_id = 99999")])),
    ("a truncated text", |random, _| {
        fault("tasks", "changed in note", &[update(task(random, true), "note = left(note, 7)")])
    }),
    ("a space at the end", |random, _| {
        fault("tasks", "changed in note", &[update(task(random, true), "note = note || ' '")])
    }),
    ("a letter's case", |random, _| {
        fault("tasks", "changed in note", &[update(task(random, true), "note = lower(note)")])
    }),
    ("a time off by an hour", |random, _| {
        let id = random.below(USERS) + 1;
        fault(
            "users",
            "changed in born",
            &[format!("UPDATE app.users SET born = born + interval '1 hour' WHERE id = {id}")],
        )
    }),
    ("a time off by a microsecond", |random, _| {
        let id = random.below(USERS) + 1;
        let sql = format!("UPDATE app.users SET born = born - interval '1 microsecond' WHERE id = {id}");
        fault("users", "changed in born", &[sql])
    }),
    ("a boolean flipped", |random, _| {
        let id = random.below(USERS) + 1;
        fault("users", "changed in active", &[format!("UPDATE app.users SET active = NOT active WHERE id = {id}")])
    }),
    ("a shared row changed", |random, _| {
        let code = random.one_of(&["kg", "g", "m"]);
        fault(
            "units",
            "changed in factor",
            &[format!("UPDATE app.units SET factor = 0.50000000000000011 WHERE code = '{code}'")],
        )
    }),
    ("a sequence behind", |random, _| {
        let (table, last) = *random.one_of(&[("users", USERS), ("projects", PROJECTS), ("tasks", TASKS)]);
        let behind = random.below(last - 1) + 1;
        fault(table, "least", &[format!("SELECT setval('app.{table}_id_seq', {behind}, false)")])
    }),
    ("a missing constraint", |random, plan| {
        let target = &plan.rewritten.target;
        let keys = target.keys.iter().map(|key| (key.table, &key.name));
        let foreign_keys = target.foreign_keys.iter().map(|key| (key.table, &key.name));
        let checks = target.checks.iter().map(|check| (check.table, &check.name));
        let all: Vec<_> = keys.chain(foreign_keys).chain(checks).collect();
        let (table, name) = *random.one_of(&all);
        let (table, name) = (&target.table(table).name, name.as_deref().unwrap());
        let sql = format!("ALTER TABLE app.{table} DROP CONSTRAINT {name} CASCADE");
        Fault { kind: name.to_owned(), ..fault("is missing", "", &[sql]) }
    }),
    ("a constraint not validated", |random, plan| {
        let target = &plan.rewritten.target;
        let name = random.one_of(&target.foreign_keys).name.clone().unwrap();
        let sql = format!("UPDATE pg_constraint SET convalidated = false WHERE conname = '{name}'");
        Fault { kind: name, ..fault("is not validated", "", &[sql]) }
    }),
    ("triggers switched off", |random, _| {
        let table = random.one_of(&["users", "projects", "tasks"]);
        fault(table, "has a trigger switched off", &[format!("ALTER TABLE app.{table} DISABLE TRIGGER ALL")])
    }),
    ("a missing or another index", |random, _| {
        let more = random.one_of(&[
            "",
            "CREATE INDEX tasks_by_note ON app.tasks (account_id, note)",
            "CREATE INDEX tasks_by_note ON app.tasks USING hash (note)",
        ]);
        let sql = ["DROP INDEX app.tasks_by_note".to_owned(), (*more).to_owned()];
        fault("tasks", "tasks_by_note", if more.is_empty() { &sql[..1] } else { &sql })
    }),
    ("another default", |random, _| {
        let sql = random.one_of(&[
            ("users", "ALTER TABLE app.users ALTER active SET DEFAULT false"),
            ("users", "ALTER TABLE app.users ALTER active DROP DEFAULT"),
            ("projects", "ALTER TABLE app.projects ALTER title SET DEFAULT 'old'"),
            ("projects", "ALTER TABLE app.projects ALTER title DROP DEFAULT"),
            ("tasks", "ALTER TABLE app.tasks ALTER note SET DEFAULT 'x'"),
        ]);
        fault(sql.0, "default", &[sql.1.to_owned()])
    }),
    ("another expression", |random, _| {
        let sql = random.one_of(&[
            [
                "tasks",
                "ALTER TABLE app.tasks DROP CONSTRAINT {}, ADD CONSTRAINT {} CHECK (amount > 0)",
                "tasks_amount_check",
            ],
            ["users", "ALTER TABLE app.users ALTER {} SET DEFAULT now()", "seen"],
            [
                "projects",
                "ALTER TABLE app.projects DROP {}, ADD {} bigint GENERATED ALWAYS AS (owner_id * 3) STORED",
                "doubled",
            ],
        ]);
        fault(sql[0], sql[2], &[sql[1].replace("{}", sql[2])])
    }),
    ("another column", |random, _| {
        let sql = random.one_of(&[
            "ALTER TABLE app.tasks ALTER unit TYPE varchar(20)",
            "ALTER TABLE app.tasks ADD more text",
            "ALTER TABLE app.tasks ALTER project_id DROP NOT NULL",
            "ALTER TABLE app.tasks ALTER id DROP IDENTITY",
            "ALTER TABLE app.tasks ADD EXCLUDE USING hash (note WITH =)",
        ]);
        fault("tasks", "", &[(*sql).to_owned()])
    }),
    ("a policy gone or another", |random, _| {
        let table = random.one_of(&["accounts", "users", "projects", "tasks"]);
        let sql = random.one_of(&[
            "DROP POLICY tenant_isolation ON app.{}",
            "ALTER POLICY tenant_isolation ON app.{} USING (true)",
            "ALTER POLICY tenant_isolation ON app.{} TO PUBLIC",
            "CREATE POLICY wide_open ON app.{} USING (true)",
            "ALTER POLICY tenant_isolation ON app.{} WITH CHECK (true)",
        ]);
        fault(table, "policy", &[sql.replace("{}", table)])
    }),
    ("row-level security off", |random, _| {
        let table = random.one_of(&["accounts", "users", "projects", "tasks"]);
        let sql = random.one_of(&[
            "ALTER TABLE app.{} DISABLE ROW LEVEL SECURITY",
            "ALTER TABLE app.{} NO FORCE ROW LEVEL SECURITY",
        ]);
        fault(table, "row-level security", &[sql.replace("{}", table)])
    }),
    ("another owner", |random, _| {
        let table = random.one_of(&["accounts", "users", "projects", "tasks", "units"]);
        fault(table, "belongs to postgres", &[format!("ALTER TABLE app.{table} OWNER TO postgres")])
    }),
    ("a grant missing", |random, _| {
        let table = random.one_of(&["accounts", "users", "projects", "tasks"]);
        let privilege = random.one_of(&["SELECT", "INSERT", "UPDATE", "DELETE"]);
        fault(table, "lacks", &[format!("REVOKE {privilege} ON app.{table} FROM matrix_app")])
    }),
    ("a grant too many", |random, _| {
        let table = random.one_of(&["accounts", "users", "projects", "tasks", "units"]);
        let sql = random.one_of(&[
            "GRANT TRUNCATE ON app.{} TO matrix_app",
            "GRANT SELECT ON app.{} TO PUBLIC",
            "GRANT UPDATE ON app.{} TO matrix_verifier",
            "GRANT SELECT ON app.{} TO pg_monitor",
        ]);
        fault(table, "not in the plan", &[sql.replace("{}", table)])
    }),
    ("a role above the policies", |_, _| {
        fault("matrix_app", "no policy binds", &["ALTER ROLE matrix_app BYPASSRLS".to_owned()])
    }),
    ("a lookup that leaks or fails", |random, plan| {
        let name = &plan.rewritten.lookups[0].name;
        let sql = random.one_of(&[
            "ALTER FUNCTION app.{} SECURITY INVOKER",
            "ALTER FUNCTION app.{} RESET search_path",
            "GRANT EXECUTE ON FUNCTION app.{} TO PUBLIC",
            "DROP FUNCTION app.{}",
            "ALTER FUNCTION app.{} OWNER TO postgres",
        ]);
        fault("function", "", &[sql.replace("{}", name)])
    }),
];

/// Drops what would refuse the faults in the rows.
const UNGUARDED: &[&str] = &[
    "ALTER TABLE app.tasks DROP CONSTRAINT tasks_account_id_fkey, DROP CONSTRAINT tasks_account_id_project_id_fkey,
        DROP CONSTRAINT tasks_account_id_parent_id_fkey, DROP CONSTRAINT tasks_account_id_assignee_id_fkey,
        DROP CONSTRAINT tasks_unit_fkey",
    "ALTER TABLE app.projects DROP CONSTRAINT projects_account_id_owner_id_fkey, DROP CONSTRAINT projects_account_id_fkey",
    "ALTER TABLE app.users DROP CONSTRAINT users_account_id_fkey",
];

fn all_findings(fixture: &Fixture, expressions: &PlannedExpressions, target: &mut Connection) -> Vec<String> {
    let mut found = findings(&fixture.verify(target));
    found.extend(expressions.differences(&fixture.plan, target).unwrap());
    found.extend(verify_isolation(&fixture.plan, target).unwrap());
    found
}

#[test]
fn every_fault_is_found_wherever_it_is() {
    let seed = std::env::var("TENANTRY_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| RandomState::new().build_hasher().finish());
    println!("seed {seed}");
    let (sqlite, rows) = rows();
    let fixture = Fixture::new(&format!("{SQLITE}\n{sqlite}"), SPEC);
    let mut target = {
        let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
        fixture.target(&rows)
    };
    for role in ["matrix_owner", "matrix_app", "matrix_verifier"] {
        run(&mut target, &format!("CREATE ROLE {role}"));
    }
    fixture.run_section(&mut target, Section::Isolation);
    // The faults are in transactions, in which temporary tables would not be rolled back by themselves.
    let expressions = PlannedExpressions::write_down(&fixture.plan, &mut target).unwrap();
    assert_eq!(all_findings(&fixture, &expressions, &mut target), Vec::<String>::new(), "without a fault");

    let mut missed = Vec::new();
    for (number, (name, make)) in FAULTS.iter().enumerate() {
        let mut random = Random(seed ^ (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut cells = String::new();
        for _ in 0..PLACES {
            let fault = make(&mut random, &fixture.plan);
            let in_rows = fault
                .sql
                .iter()
                .any(|sql| sql.starts_with("UPDATE app.") || sql.starts_with("DELETE") || sql.starts_with("INSERT"));
            let mut transaction = target.begin().unwrap();
            let unguarded = UNGUARDED.iter().map(|&sql| sql.to_owned()).filter(|_| in_rows);
            for sql in unguarded.chain(fault.prepare.clone()) {
                run(&mut transaction, &sql);
            }
            let before = if in_rows { all_findings(&fixture, &expressions, &mut transaction) } else { Vec::new() };
            fault.sql.iter().for_each(|sql| run(&mut transaction, sql));
            let after = all_findings(&fixture, &expressions, &mut transaction);
            let named = after
                .iter()
                .filter(|line| !before.contains(line))
                .any(|line| line.contains(fault.table) && line.contains(&fault.kind));
            cells.push_str(if named { " found" } else { " MISSED" });
            if !named {
                missed.push(format!("{name}: {:?} gave {after:#?}", fault.sql));
            }
            transaction.rollback().unwrap();
            // What a sequence has given out is taken back by no rollback.
            rows.iter().filter(|sql| sql.starts_with("SELECT setval")).for_each(|sql| run(&mut target, sql));
        }
        println!("{name:<45}{cells}");
    }
    assert_eq!(all_findings(&fixture, &expressions, &mut target), Vec::<String>::new(), "after all of them");
    assert!(missed.is_empty(), "seed {seed}: {}", missed.join("\n"));
}

//! What a run keeps out, through the command line: recorded, reported, proven by a second look; and who is kept out at its
//! end, where the database lets in more than the plan.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use rusqlite::Connection as Sqlite;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tenantry::postgres::{Connection, Durability, Scratch};

fn scratch() -> &'static Scratch {
    static SCRATCH: OnceLock<Scratch> = OnceLock::new();
    SCRATCH.get_or_init(|| Scratch::start(Durability::Off).unwrap_or_else(|error| panic!("{error:?}")))
}

/// A source of a fixture, and an empty database.
struct Case {
    folder: TempDir,
    spec: String,
    database: String,
}

impl Case {
    fn new(fixture: &str, rows: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let database = format!("kept_out_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let mut connection = scratch().server().connect("public", Duration::from_secs(10)).unwrap();
        connection.execute(&format!("CREATE DATABASE {database}"), "create a database").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let schema = fs::read_to_string(root().join("fixtures").join(fixture).join("schema.sql")).unwrap();
        let sqlite = Sqlite::open(folder.path().join("source.db")).unwrap();
        sqlite.execute_batch(&format!("PRAGMA foreign_keys = OFF; {schema} {rows}")).unwrap();
        Self { folder, spec: format!("fixtures/{fixture}/spec.yaml"), database }
    }

    fn run(&self, verb: &str, more: &[&str]) -> Output {
        let source = self.folder.path().join("source.db");
        let target = format!("postgresql://postgres@/{}?host={}", self.database, scratch().directory().display());
        let mut arguments = vec![verb, &self.spec, "--source", source.to_str().unwrap(), "--target", &target];
        let work = self.folder.path().join("work");
        if verb == "cutover" {
            arguments.extend(["--work-dir", work.to_str().unwrap()]);
        }
        arguments.extend(more);
        Command::new(env!("CARGO_BIN_EXE_tenantry")).current_dir(root()).args(arguments).output().unwrap()
    }

    fn connect(&self) -> Connection {
        let server = scratch().server().with_database(&self.database);
        server.connect("public", Duration::from_secs(10)).unwrap_or_else(|error| panic!("{error:?}"))
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn policies() -> Case {
    Case::new("row-policies", &fs::read_to_string(root().join("fixtures/row-policies/rows.sql")).unwrap())
}

#[test]
fn a_report_says_what_was_rejected_and_why_without_a_value() {
    let case = policies();
    let file = |name: &str| case.folder.path().join(name).to_str().unwrap().to_owned();
    let output = case.run("cutover", &["--report", &file("run.html")]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let account = "users: 5 rows = 2 moved + 2 rejected (no-tenant 1, unfit-value 1) + 1 left out";
    assert!(text(&output).contains(account), "{}", text(&output));
    let html = fs::read_to_string(file("run.html")).unwrap();
    for expected in ["Kept out", "no-tenant: 1, unfit-value: 1", "id=4", "for a reason that holds", "read as"] {
        assert!(html.contains(expected), "{expected} in {html}");
    }
    let json = fs::read_to_string(file("run.json")).unwrap();
    // Names of people are in rows alone.
    assert!(!html.contains("dan") && !json.contains("\"dan\"") && !json.contains("\"eve\""), "{html}");
    let run: Value = serde_json::from_str(&json).unwrap();
    let users = |list: &Value| list.as_array().unwrap().iter().find(|table| table["table"] == "users").unwrap().clone();
    let proven = users(&run["proof"]["kept_out"]["tables"]);
    assert_eq!((proven["rejected"].as_u64(), proven["moved"].as_u64()), (Some(2), Some(2)));
    assert_eq!(users(&run["audit"]["accounts"])["reasons"], proven["reasons"]);
    let rejects = run["audit"]["rejects"].as_array().unwrap();
    assert!(rejects.iter().all(|reject| reject.get("row").is_none()) && rejects.len() > 5, "{rejects:?}");

    // Later, by the record of the run; and with values, for those who ask.
    let output = case.run("verify", &["--report", &file("later.html")]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(text(&output).contains(account), "{}", text(&output));
    let source = file("source.db");
    let audit = ["audit", &case.spec, "--source", &source, "--report", &file("audit.html"), "--show-values"];
    let output = Command::new(env!("CARGO_BIN_EXE_tenantry")).current_dir(root()).args(audit).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(fs::read_to_string(file("audit.html")).unwrap().contains("&quot;dan&quot;"));
}

#[test]
fn a_row_with_several_things_wrong_is_counted_by_what_it_was_rejected_for() {
    let rows = fs::read_to_string(root().join("fixtures/row-policies/rows.sql")).unwrap();
    // Of an organization that is no tenant, and not there; an owner of another one, and a parent that is rejected.
    let more = "INSERT INTO users VALUES (6, 99, 'fay', 1); DELETE FROM users WHERE id = 5;
        INSERT INTO projects VALUES (7, 1, 2, 4, 'both');";
    let case = Case::new("row-policies", &(rows + more));
    let file = case.folder.path().join("run.json").to_str().unwrap().to_owned();
    let output = case.run("cutover", &["--report", &file]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let run: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    let reasons = |list: &Value| -> Vec<(String, Value)> {
        let tables = list.as_array().unwrap().iter();
        let mut found: Vec<_> =
            tables.map(|table| (table["table"].as_str().unwrap().to_owned(), table["reasons"].clone())).collect();
        found.sort_by(|one, other| one.0.cmp(&other.0));
        found
    };
    let counted = reasons(&run["audit"]["accounts"]);
    assert_eq!(counted, reasons(&run["proof"]["kept_out"]["tables"]));
    assert!(counted.iter().any(|(_, reasons)| reasons["unknown-tenant"] == 1), "{counted:?}");
}

#[test]
fn a_record_that_does_not_hold_is_found() {
    let case = policies();
    assert_eq!(case.run("cutover", &[]).status.code(), Some(0));
    let mut connection = case.connect();
    let mut found = |change: &str, undo: &str| {
        connection.execute(change, "change the record").unwrap();
        let output = case.run("verify", &[]);
        for sql in undo.split(';') {
            connection.execute(sql, "change it back").unwrap();
        }
        (output.status.code(), text(&output))
    };
    let keep = "CREATE TABLE kept AS TABLE tenantry.rejects";
    let back = "DELETE FROM tenantry.rejects; INSERT INTO tenantry.rejects OVERRIDING SYSTEM VALUE SELECT * FROM kept";
    assert_eq!(found(keep, "SELECT 1").0, Some(0));
    for (change, expected) in [
        (
            "DELETE FROM tenantry.rejects WHERE table_name = 'users' AND key = 'id=4'",
            "no record says that it was: id=4",
        ),
        (
            "UPDATE tenantry.rejects SET code = 'orphan' WHERE table_name = 'users' AND key = 'id=4'",
            "was rejected as orphan",
        ),
        (
            "UPDATE tenantry.rejects SET key = 'id=1' WHERE table_name = 'users' AND key = 'id=4'",
            "nothing is wrong with it: id=1",
        ),
    ] {
        let (code, said) = found(change, back);
        assert_eq!(code, Some(1), "{change}: {said}");
        assert!(said.contains(expected), "{change}: {said}");
    }
    // A row that the spec keeps out, and that is there all the same.
    let insert = "INSERT INTO users (organization_id, id, name, age) VALUES (1, 5, 'eve', 5)";
    let (code, said) = found(insert, "DELETE FROM users WHERE id = 5");
    assert_eq!(code, Some(1), "{said}");
    assert_eq!(found("SELECT 1", "SELECT 1").0, Some(0));
}

#[test]
fn a_run_lets_nobody_in_where_the_database_would_let_in_more() {
    let rows = "INSERT INTO accounts VALUES ('tenant-aaa', 'A', 'aaa'); INSERT INTO users VALUES (1, 'tenant-aaa', 'a', NULL);";
    let case = Case::new("rls", rows);
    let mut connection = case.connect();
    connection.execute("CREATE ROLE kept_out_reports", "make a role").unwrap();
    connection.execute("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO kept_out_reports", "open tables").unwrap();
    let output = case.run("cutover", &["--bootstrap"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    for expected in ["isolation-differs", "users: kept_out_reports has SELECT", "--resume"] {
        assert!(text(&output).contains(expected), "{expected} in {}", text(&output));
    }
    let allowed = "SELECT bool_or(has_table_privilege('rls_app', c.oid, 'INSERT'))::text FROM pg_class c \
                   JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relname = 'users' AND n.nspname = 'public'";
    assert_eq!(connection.query_one(allowed, &[], "ask").unwrap().text(0).unwrap(), "false", "nobody was let in");
    connection.execute("REVOKE SELECT ON ALL TABLES IN SCHEMA public FROM kept_out_reports", "close them").unwrap();
    let output = case.run("cutover", &["--resume"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert_eq!(connection.query_one(allowed, &[], "ask").unwrap().text(0).unwrap(), "true");
}

//! The main job end to end: the billing system bai from SQLite into a scratch PostgreSQL, and what must be refused.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use rusqlite::Connection as Sqlite;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tenantry::postgres::{Connection, Durability, Scratch, Server};

/// One server for all tests of this file, a database for each.
fn scratch() -> &'static Scratch {
    static SCRATCH: OnceLock<Scratch> = OnceLock::new();
    SCRATCH.get_or_init(|| {
        let scratch = Scratch::start(Durability::Off).unwrap_or_else(|error| panic!("{error:?}"));
        // Roles belong to the server: as an administrator has made them, once.
        let mut connection = scratch.server().connect("public", Duration::from_secs(10)).unwrap();
        for role in ["bai_owner", "bai_app", "bai_verifier BYPASSRLS"] {
            connection.execute(&format!("CREATE ROLE {role}"), "create a role").unwrap();
        }
        scratch
    })
}

struct Database {
    server: Server,
    url: String,
}

impl Database {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("cutover_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let scratch = scratch();
        connect(scratch.server()).execute(&format!("CREATE DATABASE {name}"), "create a database").unwrap();
        let url = format!("postgresql://postgres@/{name}?host={}", scratch.directory().display());
        Self { server: scratch.server().with_database(&name), url }
    }

    fn connect(&self) -> Connection {
        connect(&self.server)
    }

    fn tables(&self) -> i64 {
        let sql = "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace";
        self.connect().query_one(sql, &[], "count tables").unwrap().integer(0).unwrap()
    }
}

fn connect(server: &Server) -> Connection {
    server.connect("public", Duration::from_secs(10)).unwrap_or_else(|error| panic!("{error:?}"))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Makes bai's database in a folder of its own, with more statements on top.
fn bai(more: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bai.db");
    let sqlite = Sqlite::open(&path).unwrap();
    for file in ["schema.sql", "rows.sql"] {
        sqlite.execute_batch(&std::fs::read_to_string(root().join("fixtures/bai").join(file)).unwrap()).unwrap();
    }
    sqlite.execute_batch(more).unwrap();
    (folder, path)
}

fn tenantry(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tenantry")).current_dir(root()).args(arguments).output().unwrap()
}

fn run(verb: &str, source: &Path, target: &str, more: &[&str]) -> (Option<i32>, String) {
    let work = source.with_file_name("work");
    let source = source.to_str().unwrap();
    let mut arguments = vec![verb, "specs/bai.yaml", "--source", source, "--target", target];
    if verb == "cutover" {
        arguments.extend(["--work-dir", work.to_str().unwrap()]);
    }
    arguments.extend(more);
    let output = tenantry(&arguments);
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code(), text)
}

#[test]
fn rows_stand_in_the_order_of_their_keys() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("billing.db");
    let sqlite = Sqlite::open(&source).unwrap();
    for file in ["schema.sql", "rows.sql"] {
        sqlite.execute_batch(&std::fs::read_to_string(root().join("fixtures/bench").join(file)).unwrap()).unwrap();
    }
    let target = Database::new();
    let spec = "fixtures/bench/spec.yaml";
    let work = folder.path().join("work");
    let arguments = ["cutover", spec, "--source", source.to_str().unwrap(), "--target", &target.url];
    let output = tenantry(&[&arguments[..], &["--work-dir", work.to_str().unwrap()]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let mut connection = target.connect();
    for (table, key) in [
        ("accounts", "id"),
        ("customers", "account_id, id"),
        ("invoices", "account_id, id"),
        ("invoice_items", "account_id, id"),
        ("payments", "account_id, id"),
    ] {
        let sql = format!(
            "SELECT count(*), count(*) FILTER (WHERE ROW({key}) < before) \
             FROM (SELECT {key}, lag(ROW({key})) OVER (ORDER BY ctid) AS before FROM {table}) rows"
        );
        let row = connection.query_one(&sql, &[], "look at the order").unwrap();
        // The server puts a short row into what is left of an earlier page, now and then.
        assert!(row.integer(1).unwrap() * 100 <= row.integer(0).unwrap(), "{table}: {row:?}");
        // With one row any order would do, and with one tenant the source's.
        let tenants = if table == "accounts" { "id" } else { "account_id" };
        let sql = format!("SELECT count(DISTINCT {tenants}) FROM {table}");
        let tenants = connection.query_one(&sql, &[], "count tenants").unwrap().integer(0).unwrap();
        assert!(row.integer(0).unwrap() > 1 && tenants > 1, "{table}: {row:?}, {tenants} tenants");
    }
}

#[test]
fn bai_moves_and_is_proven() {
    let (_folder, source) = bai("");
    let target = Database::new();
    let (code, text) = run("cutover", &source, &target.url, &[]);
    assert_eq!(code, Some(0), "{text}");

    let mut connection = target.connect();
    let keys = connection
        .query(
            "SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint
             WHERE contype = 'p' AND connamespace = 'public'::regnamespace ORDER BY 1",
            &[],
            "read the keys",
        )
        .unwrap();
    assert_eq!(keys.len(), 8);
    for key in &keys {
        assert_eq!(key.text(1).unwrap(), "PRIMARY KEY (account_id, id)", "{key:?}");
    }
    let simple = connection
        .query_one(
            "SELECT count(*) FROM pg_constraint
             WHERE contype = 'f' AND cardinality(conkey) < 2 AND connamespace = 'public'::regnamespace",
            &[],
            "count plain foreign keys",
        )
        .unwrap();
    assert_eq!(simple.integer(0).unwrap(), 0, "every foreign key of bai is composite");
    let next = tenantry::postgres::sequence_next(&mut connection, "public", "invoices", "id").unwrap();
    assert_eq!(next, Some(8358), "AUTOINCREMENT promised never to give out 8357 and below again");
    for table in ["customers", "items", "organizations", "users", "invoice_items", "payments"] {
        let next = tenantry::postgres::sequence_next(&mut connection, "public", table, "id").unwrap().unwrap();
        let sql = format!("SELECT max(id) FROM {table}");
        assert!(next > connection.query_one(&sql, &[], "find the maximum").unwrap().integer(0).unwrap(), "{table}");
    }
    let sql = "INSERT INTO invoices (account_id, customer_account_id, customer_id, invoice_number, issue_date)
               SELECT a.account_id, a.account_id, b.id, 'X-1', '2024-01-01' FROM customers a, customers b
               WHERE a.account_id <> b.account_id LIMIT 1";
    let refused = connection.execute(sql, "insert a cross-account invoice").unwrap_err();
    assert!(refused.message.contains("23503"), "{refused:?}");

    let (code, text) = run("verify", &source, &target.url, &[]);
    assert_eq!(code, Some(0), "{text}");
    connection.execute("UPDATE payments SET amount = amount + 1 WHERE id = 3", "change a row").unwrap();
    let (code, text) = run("verify", &source, &target.url, &[]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("payments") && text.contains("amount"), "{text}");
}

#[test]
fn a_target_with_the_tables_is_refused_and_left_as_it_was() {
    let (_folder, source) = bai("");
    let target = Database::new();
    target.connect().execute("CREATE TABLE invoices (mine text)", "create a table").unwrap();
    target.connect().execute("INSERT INTO invoices VALUES ('kept')", "insert a row").unwrap();
    let (code, text) = run("cutover", &source, &target.url, &[]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("target-not-empty") && text.contains("invoices"), "{text}");
    assert_eq!(target.tables(), 1);
    let row = target.connect().query_one("SELECT mine FROM invoices", &[], "read the row").unwrap();
    assert_eq!(row.text(0).unwrap(), "kept");
}

#[test]
fn rows_that_do_not_go_through_are_refused_before_anything_is_written() {
    let dirt = std::fs::read_to_string(root().join("fixtures/bai/dirty.sql")).unwrap();
    let (_folder, source) = bai(&dirt);
    let target = Database::new();
    let (code, text) = run("cutover", &source, &target.url, &[]);
    assert_eq!(code, Some(1), "{text}");
    for part in ["orphan", "invoices.customer_id → customers", "id=900001", "tenant-conflict", "id=900002"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert_eq!(target.tables(), 0);
}

#[test]
fn a_dry_run_writes_nothing() {
    let (_folder, source) = bai("");
    let target = Database::new();
    let (code, text) = run("cutover", &source, &target.url, &["--dry-run"]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(target.tables(), 0);
}

#[test]
fn a_source_that_is_not_there_is_refused_and_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("typo.db");
    let target = Database::new();
    let (code, text) = run("cutover", &source, &target.url, &[]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("source-missing"), "{text}");
    assert!(!source.exists() && std::fs::read_dir(folder.path()).unwrap().next().is_none());
}

#[test]
fn a_source_of_another_schema_is_refused() {
    let (_folder, source) = bai("ALTER TABLE payments ADD COLUMN surprise TEXT");
    let target = Database::new();
    let (code, text) = run("cutover", &source, &target.url, &[]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("source-differs") && text.contains("surprise"), "{text}");
    assert_eq!(target.tables(), 0);
}

#[test]
fn a_role_that_may_not_create_is_refused_and_no_password_is_shown() {
    let (_folder, source) = bai("");
    let target = Database::new();
    target.connect().execute("CREATE ROLE reader LOGIN PASSWORD 'hunter2'", "create a role").unwrap();
    let url = target.url.replace("postgres@", "reader:hunter2@");
    let (code, text) = run("cutover", &source, &url, &[]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("privilege-missing") && !text.contains("hunter2"), "{text}");
    assert_eq!(target.tables(), 0);
}

#[test]
fn a_run_that_is_killed_is_resumed_and_has_everything_once() {
    let (_folder, source) = bai("");
    let target = Database::new();
    let work = source.with_file_name("work");
    for milliseconds in [300, 600, 900, 1200] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tenantry"))
            .current_dir(root())
            .args(["cutover", "specs/bai.yaml", "--source", source.to_str().unwrap(), "--target", &target.url])
            .args(["--resume", "--work-dir", work.to_str().unwrap()])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(milliseconds));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let (code, text) = run("cutover", &source, &target.url, &["--resume"]);
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = run("verify", &source, &target.url, &[]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(target.tables(), 8);
}

#[test]
fn a_finished_run_is_not_done_again_and_is_undone_as_a_whole() {
    let (_folder, source) = bai("");
    let target = Database::new();
    let (code, text) = run("cutover", &source, &target.url, &[]);
    assert_eq!(code, Some(0), "{text}");
    for more in [&[][..], &["--resume"]] {
        let (code, text) = run("cutover", &source, &target.url, more);
        assert_eq!(code, Some(0), "{text}");
        assert!(text.contains("finished already") && text.contains("nothing was done"), "{text}");
    }
    let undo = |more: &[&str]| {
        let output = tenantry(&[&["rollback", "specs/bai.yaml", "--target", &target.url][..], more].concat());
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.code(), text)
    };
    // A row that was added, and one that was changed: both would be lost.
    let mut connection = target.connect();
    connection.execute("UPDATE payments SET amount = amount + 1 WHERE id = 3", "change a row").unwrap();
    let sql = "INSERT INTO customers (account_id, code, name) SELECT account_id, 'new', 'new' FROM customers LIMIT 1";
    connection.execute(sql, "add a row").unwrap();
    for more in [&[][..], &["--discard-new-rows", "1"], &["--discard-new-rows", "3"]] {
        let (code, text) = undo(more);
        assert_eq!(code, Some(2), "{text}");
        assert!(text.contains("newer-rows") && text.contains("--discard-new-rows 2"), "{text}");
    }
    assert_eq!(target.tables(), 8);
    let (code, text) = run("cutover", &source, &target.url, &["--replace"]);
    assert_eq!(code, Some(2), "{text}");
    let (code, text) = run("cutover", &source, &target.url, &["--replace", "--discard-new-rows", "2"]);
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = run("verify", &source, &target.url, &[]);
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = undo(&[]);
    assert_eq!(code, Some(0), "{text}");
    let sql = "SELECT count(*) FROM pg_namespace WHERE nspname = 'tenantry'";
    assert_eq!((target.tables(), connection.query_one(sql, &[], "count").unwrap().integer(0).unwrap()), (0, 0));
    let (code, text) = undo(&[]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("run-not-found"), "{text}");
}

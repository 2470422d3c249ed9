//! Several files of one schema into one target, in one run: a tenant for each.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use rusqlite::Connection as Sqlite;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tenantry::postgres::{Connection, Durability, Scratch};

const SCHEMA: &str = "
    CREATE TABLE currencies (code TEXT PRIMARY KEY, name TEXT NOT NULL);
    CREATE TABLE words (word TEXT);
    CREATE TABLE settings (\"key\" TEXT PRIMARY KEY, value TEXT);
    CREATE TABLE customers (id INTEGER PRIMARY KEY AUTOINCREMENT, email TEXT NOT NULL UNIQUE,
                            currency TEXT REFERENCES currencies (code), parent_id INTEGER REFERENCES customers (id));
    CREATE TABLE addresses (id INTEGER PRIMARY KEY, street TEXT NOT NULL);
    CREATE TABLE invoices (id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customers (id),
                           address_id INTEGER REFERENCES addresses (id), total DECIMAL(10,2));
    CREATE INDEX invoices_by_customer ON invoices (customer_id);";

const SPEC: &str = "\
version: 1
source: schema.sql
tenant:
  column: shop
  type: text
  root:
    table: shops
    key: id
    create: {id: text, name: text}
    rows: [{id: shop-03, name: The third}, {id: shop-99, name: Nobody's}]
tables:
  currencies: shared
  words: shared
  settings: {tenant: every}
  customers: {tenant: per_run, unique: {email: global}}
  invoices: {tenant: {via: customer_id}, rows: {orphan: reject}}
  addresses: {tenant: {used_by: invoices.address_id}}
";

/// How many files there are.
const FILES: usize = 12;

fn scratch() -> &'static Scratch {
    static SCRATCH: OnceLock<Scratch> = OnceLock::new();
    SCRATCH.get_or_init(|| Scratch::start(Durability::Off).unwrap_or_else(|error| panic!("{error:?}")))
}

struct Case {
    folder: TempDir,
    url: String,
    database: String,
}

impl Case {
    /// Makes the files `shops/shop-01.db` and so on, and an empty database.
    fn new(files: usize) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let database = format!("fan_in_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let mut connection = scratch().server().connect("public", Duration::from_secs(10)).unwrap();
        connection.execute(&format!("CREATE DATABASE {database}"), "create a database").unwrap();
        let url = format!("postgresql://postgres@/{database}?host={}", scratch().directory().display());
        let case = Self { folder: tempfile::tempdir().unwrap(), url, database };
        std::fs::create_dir(case.path("shops")).unwrap();
        std::fs::write(case.path("schema.sql"), SCHEMA).unwrap();
        std::fs::write(case.path("spec.yaml"), SPEC).unwrap();
        (1..=files).for_each(|number| case.make(number));
        case
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Ids begin at 1 in every file; some shared rows are in all of them, and one in this alone.
    fn make(&self, number: usize) {
        let invoices = 7 + number;
        self.change(
            number,
            &format!(
                "{SCHEMA} BEGIN;
             INSERT INTO currencies VALUES ('EUR', 'Euro'), ('USD', 'Dollar'), ('X{number:02}', 'of file {number}');
             INSERT INTO words VALUES ('twice'), ('twice');
             INSERT INTO settings VALUES ('theme', 'theme {number}'), ('since', '{number}');
             INSERT INTO customers (email, currency, parent_id)
             WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5)
             SELECT 'c' || i || '@shop-{number}.example', iif(i = 1, 'X{number:02}', 'EUR'), nullif(i - 1, 0) FROM n;
             INSERT INTO addresses SELECT id, 'street ' || id || ' of {number}' FROM customers;
             INSERT INTO invoices
             WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {invoices})
             SELECT i, 1 + i % 5, 1 + i % 5, i * 1.25 FROM n;
             COMMIT;"
            ),
        );
    }

    fn file(&self, number: usize) -> PathBuf {
        self.path(&format!("shops/shop-{number:02}.db"))
    }

    fn change(&self, number: usize, sql: &str) {
        let sqlite = Sqlite::open(self.file(number)).unwrap();
        sqlite.execute_batch(&format!("PRAGMA foreign_keys = OFF; {sql}")).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tenantry"));
        command.current_dir(self.folder.path()).args(arguments);
        command
    }

    /// Runs the program, and returns how it ended and what it said.
    fn run(&self, arguments: &[&str]) -> (Option<i32>, String) {
        said(&mut self.command(arguments))
    }

    fn cutover(&self, more: &[&str]) -> (Option<i32>, String) {
        let arguments = ["cutover", "spec.yaml", "--target", &self.url, "--work-dir", "work"];
        self.run(&[&arguments[..], more].concat())
    }

    fn connect(&self) -> Connection {
        scratch().server().with_database(&self.database).connect("public", Duration::from_secs(10)).unwrap()
    }

    fn numbers(&self, sql: &str) -> Vec<i64> {
        let row = self.connect().query_one(sql, &[], "look at the target").unwrap();
        (0..row.0.len()).map(|column| row.integer(column).unwrap()).collect()
    }

    fn number(&self, sql: &str) -> i64 {
        self.numbers(sql)[0]
    }

    /// Counts what a run leaves behind: tables, and the journal.
    fn left(&self) -> i64 {
        self.number(
            "SELECT (SELECT count(*) FROM pg_tables WHERE schemaname IN ('public', 'tenantry')) \
             + (SELECT count(*) FROM pg_namespace WHERE nspname = 'tenantry')",
        )
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        if let Ok(mut connection) = scratch().server().connect("public", Duration::from_secs(10)) {
            let _ = connection.execute(&format!("DROP DATABASE {} WITH (FORCE)", self.database), "drop a database");
        }
    }
}

fn said(command: &mut Command) -> (Option<i32>, String) {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code(), text)
}

const ALL: [&str; 2] = ["--source", "shops/*.db"];

#[test]
fn what_is_wrong_is_counted_over_all_files() {
    let case = Case::new(2);
    [1, 2].iter().for_each(|&file| case.change(file, "INSERT INTO invoices VALUES (500, 77, NULL, 1)"));
    let (code, text) = case.run(&["audit", "spec.yaml", "--source", "shops/*.db"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("invoices: 19 rows = 17 moved + 2 rejected (orphan 2)"), "{text}");
}

#[test]
fn many_files_go_in_together_and_go_on_after_every_death() {
    let case = Case::new(FILES);
    // SQLite has given out 500 ids; a file without a customer still has a shop; a row that leads nowhere is left behind.
    case.change(4, "INSERT INTO customers (id, email) VALUES (500, 'gone'); DELETE FROM customers WHERE id = 500");
    case.change(5, "INSERT INTO words VALUES ('twice'), ('once')");
    case.change(6, "INSERT INTO invoices VALUES (99, 77, NULL, 1)");
    for place in [
        "begin: after COMMIT",
        "rows that files share: claimed",
        "chunk 1 of rows of file 3: before COMMIT",
        "rows of file 9: after COMMIT",
        "rows of all files: after COMMIT",
        "proof: after",
    ] {
        let resume: &[&str] = if place.starts_with("begin") { &ALL } else { &["--resume"] };
        // With two connections, one may have passed a place before the other comes to the one at which it is killed.
        let arguments = ["cutover", "spec.yaml", "--target", &case.url, "--work-dir", "work", "--jobs", "1"];
        let (code, text) = said(
            case.command(&[&arguments[..], resume].concat())
                .env("TENANTRY_FAILPOINT", place)
                .env("TENANTRY_CHUNK_ROWS", "20"),
        );
        assert_eq!(code, None, "{place} was not reached: {text}");
    }
    let (code, text) = case.cutover(&ALL);
    assert!(code == Some(2) && text.contains("run-unfinished"), "{text}");
    // The run knows its folder, whatever has the name of the usual one; without it there would be nothing to read.
    std::fs::create_dir(case.path("tenantry-spec")).unwrap();
    std::fs::rename(case.path("shops"), case.path("away")).unwrap();
    let (code, text) = case.run(&["cutover", "spec.yaml", "--target", &case.url, "--resume"]);
    assert_eq!(code, Some(0), "{text}");
    std::fs::rename(case.path("away"), case.path("shops")).unwrap();
    assert!(
        text.contains("continued, 12 tenants") && text.contains("invoices: 163 rows = 162 moved + 1 rejected"),
        "{text}"
    );
    // By the sums of what the files were made of, not by the program's own count.
    let rows = case.numbers(
        "SELECT (SELECT count(*) FROM shops), (SELECT count(*) FROM settings), (SELECT count(*) FROM customers),
                (SELECT count(*) FROM addresses), (SELECT count(*) FROM invoices), (SELECT count(*) FROM currencies),
                (SELECT count(*) FROM words WHERE word = 'twice'), (SELECT count(*) FROM words)",
    );
    assert_eq!(rows, [12, 24, 60, 60, 162, 14, 3, 4]);
    let wrong = case.numbers(
        "SELECT (SELECT count(*) FROM customers WHERE email NOT LIKE '%@shop-' || (right(shop, 2)::int) || '.example'),
                (SELECT count(*) FROM addresses WHERE street NOT LIKE '% of ' || (right(shop, 2)::int)),
                (SELECT count(*) FROM settings WHERE key = 'since' AND value::int <> right(shop, 2)::int),
                (SELECT count(*) FROM shops WHERE (name IS NOT NULL) <> (id = 'shop-03')),
                (SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND NOT convalidated)",
    );
    assert_eq!(wrong, [0, 0, 0, 0, 0]);
    let next = case.numbers("SELECT nextval('customers_id_seq'), nextval('invoices_id_seq')");
    assert_eq!(next, [501, 20]);
    let journal = case.numbers(
        "SELECT (SELECT count(*) FROM tenantry.steps WHERE step ~ '^rows of file [0-9]+$'),
                (SELECT count(*) FROM tenantry.files), (SELECT count(*) FROM tenantry.rejects WHERE key = 'id=99' AND reason = 'in the file of shop-06: invoices.customer_id → customers: refers to a row that does not exist')",
    );
    assert_eq!(journal, [12, 12, 1]);
    assert_eq!(case.run(&[&["verify", "spec.yaml", "--target", &case.url][..], &ALL].concat()).0, Some(0));
    let (code, text) = case.cutover(&ALL);
    assert!(code == Some(0) && text.contains("finished already"), "{text}");
    assert_eq!(case.run(&["rollback", "spec.yaml", "--target", &case.url]).0, Some(0));
    assert_eq!(case.left(), 0);
}

/// Returns the last rows that the events of a run tell of a table in a phase: done, done before, and of how many.
fn progress(text: &str, phase: &str, table: &str) -> [Option<u64>; 3] {
    let mut events = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let last = events.rfind(|event| event["phase"] == phase && event["table"] == table);
    let last = last.unwrap_or_else(|| panic!("{phase} of {table} in {text}"));
    ["rows", "rows_before", "of"].map(|key| last["of_table"][key].as_u64())
}

#[test]
fn progress_counts_the_rows_of_all_files_those_too_that_were_copied_before_an_interruption() {
    let case = Case::new(FILES);
    let arguments = ["cutover", "spec.yaml", "--target", &case.url, "--work-dir", "work", "--log-format", "json"];
    let mut program = case.command(&[&arguments[..], &ALL].concat());
    program.env("TENANTRY_CHUNK_ROWS", "20").env("TENANTRY_FAILPOINT", "chunk 1 of rows of file 3: after COMMIT");
    let (code, text) = said(&mut program);
    assert_eq!(code, None, "{text}");
    let done = case.numbers(
        "SELECT (SELECT count(*) FROM tenantry.steps WHERE step ~ '^rows of file [0-9]+$'),
                (SELECT count(*) FROM customers), (SELECT count(*) FROM currencies)",
    );
    assert!(done[0] >= 1 && done[0] < FILES as i64 && done[1] >= 5, "{done:?}");
    // Nothing goes over before the rows have been counted, which happens beside it.
    let mut others = case.connect();
    let mut lock = others.begin().unwrap();
    lock.execute("LOCK TABLE customers", "keep rows waiting").unwrap();
    let mut program = case.command(&[&arguments[..], &["--resume"]].concat());
    let program = program.env("TENANTRY_CHUNK_ROWS", "20").stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = program.spawn().unwrap();
    let waits = "SELECT count(*) FROM pg_locks WHERE relation = 'customers'::regclass AND NOT granted";
    while case.number(waits) == 0 {
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_secs(1));
    lock.rollback().unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    let before = u64::try_from(done[1]).unwrap();
    assert_eq!(progress(&text, "copy", "customers"), [Some(60), Some(before), Some(60)], "{text}");
    assert_eq!(progress(&text, "verify", "customers"), [Some(60), Some(0), Some(60)]);
}

#[test]
fn all_that_is_wrong_with_any_file_is_said_at_once_and_nothing_is_written() {
    let case = Case::new(4);
    case.change(1, "ALTER TABLE customers ADD COLUMN surprise TEXT");
    case.change(3, "DROP INDEX invoices_by_customer; ALTER TABLE addresses RENAME COLUMN street TO road");
    std::fs::write(case.path("shops/shop-07.db"), "no database").unwrap();
    std::fs::copy(case.file(2), case.path("shop-02.db")).unwrap();
    let (code, text) = case.cutover(&[&ALL[..], &["--source", "shop-02.db"]].concat());
    assert_eq!(code, Some(2), "{text}");
    for part in [
        "shops/shop-01.db does not have the schema",
        "surprise",
        "shops/shop-03.db does not have the schema",
        "road",
        "invoices_by_customer",
        "shops/shop-07.db is no SQLite database",
        "shop-02.db and shops/shop-02.db are both of the tenant shop-02",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(case.left(), 0);
    assert!(!case.path("work").exists(), "made for nothing");
}

#[test]
fn files_that_do_not_go_together_are_named_with_their_keys() {
    let case = Case::new(4);
    case.change(2, "UPDATE currencies SET name = 'another' WHERE code = 'USD'");
    case.change(
        4,
        "UPDATE customers SET email = 'c3@shop-1.example' WHERE id = 2; UPDATE invoices SET total = 'x' WHERE id = 1",
    );
    case.change(3, "UPDATE invoices SET total = 'y' WHERE id = 2");
    let (code, text) = case.cutover(&ALL);
    assert_eq!(code, Some(1), "{text}");
    for part in [
        "shared-differs: 1 row of currencies: is shared, and two files have different rows under one key",
        "first: shops/shop-01.db and shops/shop-02.db: code='USD'",
        "duplicate-key: 2 rows of customers: has the same key as a row of another file",
        "first: shops/shop-01.db: id=3; shops/shop-04.db: id=2",
        "2 rows of invoices",
        "shops/shop-03.db: id=2; shops/shop-04.db: id=1",
        "nothing was written",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(case.left(), 0);
    let (code, audit) = case.run(&[&["audit", "spec.yaml"][..], &ALL].concat());
    assert!(code == Some(1) && audit.contains("shared-differs") && audit.contains("duplicate-key"), "{audit}");
}

#[test]
fn tenants_come_from_a_query_or_a_map_and_more_are_added_later() {
    let case = Case::new(4);
    std::fs::rename(case.file(4), case.path("later.db")).unwrap();
    let query = ["--tenant-query", "SELECT value FROM settings WHERE key = 'since'"];
    let (code, text) = case.run(&[&["audit", "spec.yaml"][..], &ALL, &query].concat());
    assert!(code == Some(0) && text.contains("3 tenants"), "{text}");
    let wrong = ["--tenant-query", "SELECT value FROM settings ORDER BY key = 'since'"];
    let (code, text) = case.run(&[&["audit", "spec.yaml"][..], &ALL, &wrong].concat());
    assert!(code == Some(2) && text.matches("the query gives 2 rows").count() == 3, "{text}");
    let map = |lines: &str| std::fs::write(case.path("map.csv"), format!("path,tenant\n{lines}")).unwrap();
    let mapped = [&ALL[..], &["--tenant-map", "map.csv"]].concat();
    map("shops/shop-01.db,north\nshops/shop-02.db,south\nshops/misspelt.db,west\n");
    let (code, text) = case.cutover(&mapped);
    assert!(code == Some(2) && text.contains("no tenant is found for shops/shop-03.db"), "{text}");
    assert!(text.contains("tenant-map-differs") && text.contains("misspelt.db"), "{text}");
    map("shops/shop-01.db,north\nshops/shop-02.db,south\n./shops/../shops/shop-03.db,west\n");
    let (code, text) = case.cutover(&[&mapped[..], &["--dry-run"]].concat());
    assert!(code == Some(0) && text.contains("3 tenants") && case.left() == 0, "{text}");
    assert_eq!(case.cutover(&mapped).0, Some(0));
    assert_eq!(case.number("SELECT count(*) FROM customers WHERE shop IN ('north', 'south', 'west')"), 15);
    // Shared rows of a file that comes later have to be there.
    let (code, text) = case.cutover(&["--source", "later.db", "--tenant", "east"]);
    assert!(code == Some(2) && text.contains("shared-differs"), "{text}");
    let later = Sqlite::open(case.path("later.db")).unwrap();
    later.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    later.execute_batch("UPDATE customers SET currency = 'EUR'; DELETE FROM currencies WHERE code LIKE 'X%'").unwrap();
    later
        .execute_batch("INSERT INTO currencies SELECT 'X0' || value, 'of file ' || value FROM json_each('[1,2,3]')")
        .unwrap();
    drop(later);
    let (code, text) = case.cutover(&["--source", "later.db", "--tenant", "west"]);
    assert!(code == Some(2) && text.contains("tenant-present") && text.contains("shops/shop-03.db"), "{text}");
    // It is told and reported like any other run.
    let arguments = ["cutover", "spec.yaml", "--target", &case.url, "--work-dir", "work", "--log-format", "json"];
    let more = ["--source", "later.db", "--tenant", "east", "--format", "json", "--report", "east.json"];
    let output = case.command(&[&arguments[..], &more].concat()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let events = String::from_utf8_lossy(&output.stderr);
    for phase in ["copy", "verify", "add"] {
        assert_eq!(progress(&events, phase, "customers"), [Some(5), Some(0), Some(5)], "{events}");
    }
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    // Beside the shared rows, the shop and 2 settings, 5 customers, 5 addresses and 11 invoices.
    assert_eq!(report["added"], serde_json::json!({ "tenant": "east", "rows": 24 }), "{report}");
    assert!(report["seconds"]["add"].as_f64().unwrap() > 0.0 && report["rows_copied"] == 31, "{report}");
    assert!(report["source"]["moved_on"] == false && report["snapshot"].is_string(), "{report}");
    assert!(std::fs::read_to_string(case.path("east.json")).unwrap().contains("customers"));
    let (code, text) = case.cutover(&["--source", "shops/shop-01.db", "--tenant", "north"]);
    assert!(code == Some(0) && text.contains("nothing was done"), "{text}");
    // The proof of the three finds a tenant that none of them is, and that of all four nothing.
    let (code, text) = case.run(&[&["verify", "spec.yaml", "--target", &case.url][..], &mapped].concat());
    assert!(code == Some(1) && text.contains("tenant east: 0 rows in the source"), "{text}");
    map("shops/shop-01.db,north\nshops/shop-02.db,south\nshops/shop-03.db,west\nlater.db,east\n");
    let four = [&mapped[..], &["--source", "later.db"]].concat();
    let (code, text) = case.run(&[&["verify", "spec.yaml", "--target", &case.url][..], &four].concat());
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = case.cutover(&four);
    assert!(code == Some(0) && text.contains("finished already"), "{text}");
    let sql = "UPDATE currencies SET name = 'changed' WHERE code = 'X02'";
    case.connect().execute(sql, "change a shared row").unwrap();
    case.connect()
        .execute("UPDATE addresses SET street = 'x' WHERE shop = 'south' AND id = 2", "change a row")
        .unwrap();
    let (code, text) = case.run(&[&["verify", "spec.yaml", "--target", &case.url][..], &four].concat());
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("code=X02") && text.contains("row id=2 of tenant south has other values in street"),
        "{text}"
    );
}

#[test]
fn files_take_the_place_of_a_run_in_one_transaction_or_leave_it_as_it_is() {
    let case = Case::new(4);
    let customers = || case.number("SELECT count(*) FROM customers");
    let finished = || case.numbers("SELECT count(*), count(finished) FROM tenantry.runs");
    assert_eq!(case.cutover(&ALL).0, Some(0));
    case.change(2, "INSERT INTO customers (email) VALUES ('new@shop-2.example')");
    let (code, text) = case.cutover(&ALL);
    assert!(code == Some(2) && text.contains("source-changed") && text.contains("shops/shop-02.db"), "{text}");
    let replace = [&ALL[..], &["--replace"]].concat();
    // What is refused, or dies, has undone nothing.
    let (code, text) = case.cutover(&[&replace[..], &["--schema", "expect"]].concat());
    assert!(code == Some(2) && text.contains("target-differs"), "{text}");
    assert_eq!((customers(), finished()), (20, vec![1, 1]));
    let arguments = ["cutover", "spec.yaml", "--target", &case.url, "--work-dir", "work"];
    let mut program = case.command(&[&arguments[..], &replace].concat());
    assert_eq!(said(program.env("TENANTRY_FAILPOINT", "replace: before COMMIT")).0, None);
    assert_eq!((customers(), finished()), (20, vec![1, 1]));
    let sql = "INSERT INTO customers (shop, id, email) VALUES ('shop-01', 900, 'newer')";
    case.connect().execute(sql, "write a row").unwrap();
    let (code, text) = case.cutover(&replace);
    assert!(code == Some(2) && text.contains("newer-rows") && customers() == 21, "{text}");
    let (code, text) = case.cutover(&[&replace[..], &["--discard-new-rows", "1"]].concat());
    assert!(code == Some(0) && text.contains("was undone for it"), "{text}");
    assert_eq!((customers(), finished()), (21, vec![1, 1]));
    // In place of a run that was interrupted, of one database, and the other way round.
    let mut program = case.command(&[&arguments[..], &replace].concat());
    assert_eq!(said(program.env("TENANTRY_FAILPOINT", "rows of file 3: after COMMIT")).0, None);
    let (code, text) = case.cutover(&replace);
    assert!(code == Some(0) && customers() == 21 && finished() == [1, 1], "{text}");
    let (code, text) = case.cutover(&["--source", "shops/shop-01.db", "--tenant", "north", "--replace"]);
    assert!(code == Some(0) && customers() == 5, "{text}");
    let (code, text) = case.cutover(&replace);
    assert!(code == Some(0) && customers() == 21 && finished() == [1, 1], "{text}");
    assert_eq!(case.run(&[&["verify", "spec.yaml", "--target", &case.url][..], &ALL].concat()).0, Some(0));
}

#[test]
fn files_fill_tables_that_are_there_and_give_them_back_empty() {
    let case = Case::new(4);
    let ddl = |section: &str| {
        let output = case.command(&["emit", "spec.yaml", "--section", section]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let text: String = text.lines().filter(|line| !line.starts_with("--")).collect::<Vec<_>>().join("\n");
        text.split(';').map(|sql| sql.trim().to_owned()).filter(|sql| !sql.is_empty()).collect::<Vec<_>>()
    };
    let expect = [&ALL[..], &["--schema", "expect"]].concat();
    let (code, text) = case.cutover(&expect);
    assert!(code == Some(2) && text.contains("target-differs") && text.contains("customers is missing"), "{text}");
    let make = |statements: &[String]| {
        let mut connection = case.connect();
        statements.iter().for_each(|sql| assert!(connection.execute(sql, "make what is expected").is_ok(), "{sql}"));
    };
    make(&ddl("pre-data"));
    let state = || {
        case.numbers(
            "SELECT (SELECT count(*) FROM customers), (SELECT count(*) FROM invoices), (SELECT count(*) FROM words),
                    (SELECT count(*) FROM pg_constraint WHERE contype IN ('p', 'u', 'f') AND connamespace = 'public'::regnamespace)",
        )
    };
    // Without keys, and then with all of them in place.
    for keys in [Vec::new(), ddl("post-data")] {
        make(&keys);
        let before = state();
        assert_eq!(before[..3], [0, 0, 0]);
        let arguments = ["cutover", "spec.yaml", "--target", &case.url, "--work-dir", "work"];
        let mut program = case.command(&[&arguments[..], &expect].concat());
        assert_eq!(said(program.env("TENANTRY_FAILPOINT", "rows of file 3: after COMMIT")).0, None);
        assert!(state()[0] > 0);
        let (code, text) = case.run(&["rollback", "spec.yaml", "--target", &case.url]);
        assert!(code == Some(0) && text.contains("emptied: customers") && state() == before, "{text}");
        let mut program = case.command(&[&arguments[..], &expect].concat());
        assert_eq!(said(program.env("TENANTRY_FAILPOINT", "rows of file 2: after COMMIT")).0, None);
        let (code, text) = case.cutover(&["--resume"]);
        assert_eq!(code, Some(0), "{text}");
        let full = state();
        assert!(full[..3] == [20, 38, 2] && full[3] > 10, "{full:?}");
        assert_eq!(case.run(&[&["verify", "spec.yaml", "--target", &case.url][..], &ALL].concat()).0, Some(0));
        // In place of itself, and one more file beside them.
        let (code, text) = case.cutover(&[&expect[..], &["--replace"]].concat());
        assert!(code == Some(0) && state() == full, "{text}");
        let (code, text) = case.run(&["rollback", "spec.yaml", "--target", &case.url]);
        assert!(code == Some(0) && state() == before, "{text}");
    }
}

#[test]
fn nobody_writes_to_any_of_the_files_until_a_run_that_freezes_them_has_ended() {
    let case = Case::new(4);
    // As a busy application leaves it: what is written lies in a log beside the file.
    let application = Sqlite::open(case.file(1)).unwrap();
    application.execute_batch("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0").unwrap();
    application.execute_batch("INSERT INTO settings VALUES ('in the log', 'yes')").unwrap();
    std::fs::write(case.path("wait.sql"), "SELECT pg_sleep(2);").unwrap();
    std::fs::write(case.path("spec.yaml"), format!("{SPEC}extra: {{post-data: [wait.sql]}}\n")).unwrap();
    let bytes = || -> Vec<Vec<u8>> { (1..=4).map(|number| std::fs::read(case.file(number)).unwrap()).collect() };
    let write = |number: usize| {
        let sqlite = Sqlite::open(case.file(number)).unwrap();
        sqlite.busy_timeout(Duration::ZERO).unwrap();
        sqlite.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_ok()
    };

    // All that cannot be frozen are named, and none is held.
    for name in ["shops/shop-08.db", "shops/shop-09.db"] {
        std::fs::write(case.path(name), "no database").unwrap();
    }
    let (code, text) = case.cutover(&[&ALL[..], &["--freeze"]].concat());
    assert!(code == Some(2) && text.contains("shops/shop-08.db") && text.contains("shops/shop-09.db"), "{text}");
    assert!(!text.contains("shops/shop-01.db") && case.left() == 0 && write(1), "{text}");
    for name in ["shops/shop-08.db", "shops/shop-09.db"] {
        std::fs::remove_file(case.path(name)).unwrap();
    }

    let before = bytes();
    let arguments = ["cutover", "spec.yaml", "--target", &case.url, "--work-dir", "work", "--freeze"];
    let mut command = case.command(&[&arguments[..], &ALL, &["--format", "json"]].concat());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'
                 AND datname = current_database()";
    while case.number(waits) == 0 {
        assert!(child.try_wait().unwrap().is_none(), "it ended without waiting");
        std::thread::sleep(Duration::from_millis(20));
    }
    // The rows have been copied, keys are there, and the run is not at its end.
    assert_eq!((1..=4).map(write).collect::<Vec<_>>(), [false; 4]);
    let output = child.wait_with_output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(output.status.success() && report["source"]["frozen"] == true, "{report}");
    assert_eq!((1..=4).map(write).collect::<Vec<_>>(), [true; 4]);
    assert!(bytes() == before, "a file has changed");
    assert_eq!(case.number("SELECT count(*) FROM settings WHERE key = 'in the log'"), 1);

    // A run that is continued freezes them again, and says what was written in between.
    let (code, text) = case.run(&["rollback", "spec.yaml", "--target", &case.url]);
    assert_eq!(code, Some(0), "{text}");
    let mut program = case.command(&[&arguments[..], &ALL].concat());
    assert_eq!(said(program.env("TENANTRY_FAILPOINT", "rows of file 3: after COMMIT")).0, None);
    case.change(4, "INSERT INTO settings VALUES ('in between', 'yes')");
    let (code, text) = case.cutover(&[&ALL[..], &["--freeze", "--resume"]].concat());
    assert!(code == Some(0) && text.contains("continued, 4 tenants"), "{text}");
    assert!(text.contains("1 of the files have been written to") && text.contains("shops/shop-04.db"), "{text}");
}

#[test]
fn more_files_are_frozen_than_a_program_is_given_open_files_to_begin_with() {
    let case = Case::new(30);
    (1..=30).for_each(|number| case.change(number, "PRAGMA journal_mode = WAL"));
    let limited = |limits: &str| {
        let program = env!("CARGO_BIN_EXE_tenantry");
        let run = format!(
            "{limits}; exec {program} cutover spec.yaml --source 'shops/*.db' --freeze --dry-run --target \"$0\""
        );
        said(Command::new("bash").current_dir(case.folder.path()).args(["-c", &run, &case.url]))
    };
    let (code, text) = limited("ulimit -Sn 64");
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = limited("ulimit -n 64");
    assert!(code == Some(2) && text.contains("source-not-frozen") && text.contains("64 files open"), "{text}");
}

#[test]
fn a_rehearsal_of_several_files_writes_a_runbook_whose_commands_work() {
    let case = Case::new(4);
    std::fs::write(case.path("out.sql"), "").unwrap();
    std::fs::write(case.path("spec.yaml"), SPEC.replace("schema.sql\n", "schema.sql\noutput: out.sql\n")).unwrap();
    assert_eq!(case.run(&["emit", "spec.yaml", "--write"]).0, Some(0));
    let lines: String = (1..=4).map(|number| format!("shops/shop-{number:02}.db,shop {number}\n")).collect();
    std::fs::write(case.path("map.csv"), format!("path,tenant\n{lines}")).unwrap();
    let rehearsal = ["cutover", "spec.yaml", "--target", "scratch", "--tenant-map", "map.csv", "--runbook", "run.md"];
    let (code, text) = case.run(&[&rehearsal[..], &ALL].concat());
    assert!(code == Some(0) && text.contains("wrote run.md"), "{text}");
    let runbook = std::fs::read_to_string(case.path("run.md")).unwrap();
    assert!(runbook.contains("tenants, 4 files of ") && runbook.contains("\n| constraints | "), "{runbook}");
    let figures: serde_json::Value = serde_json::from_slice(&std::fs::read(case.path("run.json")).unwrap()).unwrap();
    // What they share counts once: 4 shops, 20 customers, 20 addresses, 38 invoices, 8 settings, 6 currencies and 2 words.
    assert!(figures["rows"] == 98 && figures["files"] == 4 && figures["tenants"] == 4, "{figures}");

    let (_, since) = runbook.split_once("--source FILE --tenant ID").unwrap_or_else(|| panic!("{runbook}"));
    let (since, _) = since.split_once('`').unwrap();
    let since = format!("tenantry verify spec.yaml --source shops/shop-02.db --tenant 'shop 2'{since}");
    let commands = runbook.lines().filter(|line| line.starts_with("tenantry "));
    let commands = commands.map(|line| line.split("  #").next().unwrap());
    let (last, mut commands): (Vec<&str>, Vec<&str>) =
        commands.partition(|line| line.contains("--resume") || line.contains(" rollback "));
    assert_eq!((last.len(), commands.len()), (2, 7), "{runbook}");
    commands.push(&since);
    commands.extend(last);
    let programs = std::path::Path::new(env!("CARGO_BIN_EXE_tenantry")).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let mut told = Vec::new();
    for command in &commands {
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).current_dir(case.folder.path()).env("PATH", &path).env("DATABASE_URL", &case.url);
        let (code, text) = said(&mut shell);
        // A doctor may have something to remark about a server for tests.
        assert!(code == Some(0) || command.contains(" doctor ") && code == Some(1), "{command}: {text}");
        told.push(text);
    }
    assert!(commands[3].ends_with("--dry-run") && told[3].contains("in the rehearsal of 2"), "{}", told[3]);
    assert!(told[4].contains("rehearsal of 2") && told[4].contains("in all "), "{}", told[4]);
    assert!(told[8].contains("finished already") && told[9].contains("undone"), "{told:#?}");
}

/// How many files the long form moves.
fn many() -> usize {
    std::env::var("FILES").ok().and_then(|files| files.parse().ok()).unwrap_or(1000)
}

/// Counts the files that the journal says are done.
fn files_done(case: &Case) -> i64 {
    match case.number("SELECT count(*) FROM pg_tables WHERE schemaname = 'tenantry' AND tablename = 'steps'") {
        0 => 0,
        _ => case.number("SELECT count(*) FROM tenantry.steps WHERE step LIKE 'rows of file %'"),
    }
}

/// A run that was watched.
struct Watched {
    code: Option<i32>,
    text: String,
    took: Duration,
    /// The most memory that it had, in KiB.
    peak: u64,
}

/// Runs a cutover; with `kill_at` it is killed as soon as the journal has that many files.
fn watched(case: &Case, more: &[&str], kill_at: Option<usize>) -> Watched {
    let arguments = ["cutover", "spec.yaml", "--target", &case.url, "--work-dir", "work"];
    let started = Instant::now();
    let mut command = case.command(&[&arguments[..], more].concat());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(20));
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        peak = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0).max(peak);
        if kill_at.is_some_and(|files| files_done(case) >= files as i64) {
            child.kill().unwrap();
        }
    }
    let took = started.elapsed();
    let output = child.wait_with_output().unwrap();
    Watched { code: output.status.code(), text: String::from_utf8_lossy(&output.stdout).into_owned(), took, peak }
}

#[test]
#[ignore = "a minute and more: make fan-in"]
fn a_thousand_files() {
    let files = many();
    let case = Case::new(0);
    for number in 1..=files {
        let ten = |insert: &str| {
            format!(
                "INSERT INTO {insert} FROM (WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10) SELECT i FROM n);"
            )
        };
        let inserts = [
            ten("currencies SELECT 'C' || i, 'currency ' || i"),
            ten("words SELECT 'word ' || i"),
            ten(&format!("settings SELECT 'key ' || i, {number}")),
            ten(&format!("customers SELECT i, 'c' || i || '@shop-{number}.example', 'C' || i, nullif(i - 1, 0)")),
            ten(&format!("addresses SELECT i, 'street ' || i || ' of {number}'")),
            ten("invoices SELECT i, 1 + i % 10, i, i * 1.25"),
        ];
        case.change(number, &format!("PRAGMA synchronous = OFF; BEGIN; {SCHEMA} {} COMMIT;", inserts.concat()));
    }
    let killed = watched(&case, &ALL, Some(files / 2));
    let done = files_done(&case);
    println!(
        "killed with {done} of {files} files done, after {:.1} s, at most {} KiB",
        killed.took.as_secs_f64(),
        killed.peak
    );
    assert!(killed.code.is_none() && done < files as i64, "{}", killed.text);
    let resumed = watched(&case, &["--resume"], None);
    println!("resumed: {:.1} s, at most {} KiB\n{}", resumed.took.as_secs_f64(), resumed.peak, resumed.text);
    assert_eq!(resumed.code, Some(0));
    check_many(&case, files as i64);
    let started = Instant::now();
    let (code, text) = case.run(&[&["verify", "spec.yaml", "--target", &case.url][..], &ALL].concat());
    println!("verified, each tenant by its file: {:.1} s", started.elapsed().as_secs_f64());
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(case.run(&["rollback", "spec.yaml", "--target", &case.url]).0, Some(0));
    assert_eq!(case.left(), 0);
    let whole = watched(&case, &ALL, None);
    println!("undisturbed: {:.1} s, at most {} KiB\n{}", whole.took.as_secs_f64(), whole.peak, whole.text);
    assert_eq!(whole.code, Some(0));
    check_many(&case, files as i64);
}

/// Every tenant has its ten rows in every table, and nobody else has any.
fn check_many(case: &Case, files: i64) {
    for table in ["settings", "customers", "addresses", "invoices"] {
        let rows = format!("(SELECT shop, count(*) AS rows FROM {table} GROUP BY shop) AS tenants");
        let found = case.numbers(&format!("SELECT count(*), count(*) FILTER (WHERE rows = 10) FROM {rows}"));
        assert_eq!(found, [files, files], "{table}");
    }
    let rest = case.numbers(
        "SELECT (SELECT count(*) FROM shops), (SELECT count(*) FROM currencies), (SELECT count(*) FROM words),
                (SELECT count(*) FROM customers WHERE email NOT LIKE '%@shop-' || substr(shop, 6)::int || '.example')",
    );
    assert_eq!(rest, [files, 10, 10, 0]);
}

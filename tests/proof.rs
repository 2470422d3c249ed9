//! The proof around a cutover, through the command line: reports and receipts, a target in use, one row's way to its tenant.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use rusqlite::Connection as Sqlite;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tenantry::postgres::{Connection, Durability, Scratch};

/// One server for all tests of this file, a database for each.
fn scratch() -> &'static Scratch {
    static SCRATCH: OnceLock<Scratch> = OnceLock::new();
    SCRATCH.get_or_init(|| {
        let scratch = Scratch::start(Durability::Off).unwrap_or_else(|error| panic!("{error:?}"));
        // Roles belong to the server: as an administrator has made them, once.
        let mut connection = scratch.server().connect("public", Duration::from_secs(10)).unwrap();
        for role in ["bai_owner", "bai_app", "bai_verifier BYPASSRLS LOGIN"] {
            connection.execute(&format!("CREATE ROLE {role}"), "create a role").unwrap();
        }
        scratch
    })
}

/// A database that bai has been moved to.
struct Moved {
    folder: TempDir,
    source: PathBuf,
    url: String,
    database: String,
}

impl Moved {
    fn new(more: &[&str]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let database = format!("proof_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let mut connection = scratch().server().connect("public", Duration::from_secs(10)).unwrap();
        connection.execute(&format!("CREATE DATABASE {database}"), "create a database").unwrap();
        let url = format!("postgresql://postgres@/{database}?host={}", scratch().directory().display());
        let folder = tempfile::tempdir().unwrap();
        let source = bai(folder.path(), "");
        let moved = Self { folder, source, url, database };
        let work = moved.folder.path().join("work");
        let output = moved.run("cutover", &[&["--work-dir", work.to_str().unwrap()], more].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
        moved
    }

    fn run(&self, verb: &str, more: &[&str]) -> Output {
        let source = self.source.to_str().unwrap();
        tenantry(&[&[verb, "specs/bai.yaml", "--source", source, "--target", &self.url], more].concat())
    }

    fn connect(&self) -> Connection {
        let server = scratch().server().with_database(&self.database);
        server.connect("public", Duration::from_secs(10)).unwrap_or_else(|error| panic!("{error:?}"))
    }
}

fn bai(folder: &Path, more: &str) -> PathBuf {
    let path = folder.join("bai.db");
    let sqlite = Sqlite::open(&path).unwrap();
    sqlite.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    for file in ["schema.sql", "rows.sql"] {
        sqlite.execute_batch(&fs::read_to_string(root().join("fixtures/bai").join(file)).unwrap()).unwrap();
    }
    sqlite.execute_batch(more).unwrap();
    path
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn tenantry(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tenantry")).current_dir(root()).args(arguments).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn a_run_is_signed_off_with_a_report_and_a_receipt_for_each_tenant() {
    let files = tempfile::tempdir().unwrap();
    let (report, receipts) = (files.path().join("run.html"), files.path().join("receipts"));
    let [shown, folder] = [&report, &receipts].map(|path| path.to_str().unwrap());
    let moved = Moved::new(&["--report", shown, "--receipts", folder]);

    let html = fs::read_to_string(&report).unwrap();
    assert!(html.contains("Proven:") && html.contains("unique-weakened") && html.contains("specs/bai.yaml"), "{html}");
    assert!(!html.contains("<script") && !html.contains("src="), "it needs nothing else");
    let run = json(&report.with_extension("json"));
    assert_eq!((run["verb"].as_str(), run["clean"].as_bool()), (Some("cutover"), Some(true)));
    for hash in ["spec", "ddl", "source"] {
        assert_eq!(run["hashes"][hash].as_str().map(str::len), Some(64), "{hash}");
    }
    assert_eq!((mode(&report), mode(&report.with_extension("json")), mode(&receipts)), (0o600, 0o600, 0o700));
    // Keys and shapes, no values.
    let sqlite = Sqlite::open(&moved.source).unwrap();
    let email: String =
        sqlite.query_row("SELECT email FROM customers WHERE email IS NOT NULL", [], |row| row.get(0)).unwrap();
    assert!(!html.contains(&email) && !run.to_string().contains(&email));

    // What the receipts say of all tenants together is what the report says of all rows of tenants.
    let mut tenants: Vec<String> = Vec::new();
    let mut rows = 0;
    for path in fs::read_dir(&receipts).unwrap().map(|entry| entry.unwrap().path()) {
        assert_eq!(mode(&path), 0o600);
        if path.extension().is_some_and(|extension| extension == "json") {
            let receipt = json(&path);
            assert_eq!(receipt["proven"].as_bool(), Some(true), "{receipt}");
            assert_eq!(receipt["hashes"], run["hashes"]);
            tenants.push(receipt["tenant"].as_str().unwrap().to_owned());
            rows += receipt["tables"]
                .as_array()
                .unwrap()
                .iter()
                .map(|table| table["target_rows"].as_u64().unwrap())
                .sum::<u64>();
        }
    }
    tenants.sort();
    let tables = run["proof"]["tables"].as_array().unwrap();
    let holding = "SELECT table_name::text FROM information_schema.columns WHERE column_name = 'account_id' \
                   AND table_schema = 'public'";
    let mut connection = moved.connect();
    let names = connection.query(holding, &[], "list tables").unwrap();
    let each: Vec<String> =
        names.iter().map(|name| format!("SELECT account_id FROM {}", name.text(0).unwrap())).collect();
    let sql = format!(
        "SELECT account_id FROM ({}) t GROUP BY account_id ORDER BY account_id COLLATE \"C\"",
        each.join(" UNION ALL ")
    );
    let expected = connection.query(&sql, &[], "list tenants").unwrap();
    let expected: Vec<&str> = expected.iter().map(|row| row.text(0).unwrap()).collect();
    assert_eq!(tenants, expected);
    let of_tenants =
        tables.iter().filter(|table| table["tenants"] != 0).map(|table| table["target_rows"].as_u64().unwrap());
    assert_eq!(rows, of_tenants.sum::<u64>());

    // The same proof later; a difference is in the report, too.
    let page = files.path().join("later.html");
    let later = page.with_extension("json");
    let arguments = ["--report", page.to_str().unwrap()];
    assert_eq!(moved.run("verify", &arguments).status.code(), Some(0));
    assert_eq!(json(&later)["clean"].as_bool(), Some(true));
    // Where a receipt cannot be written after all, the answer that took so long is told all the same.
    let receipt = fs::read_dir(&receipts).unwrap().next().unwrap().unwrap().path();
    fs::remove_file(&receipt).unwrap();
    fs::create_dir(&receipt).unwrap();
    let output = moved.run("verify", &["--receipts", folder]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("report-unwritable") && text(&output).contains("\nproven: "), "{}", text(&output));
    moved.connect().execute("DELETE FROM payments WHERE id = 3", "delete a row").unwrap();
    assert_eq!(moved.run("verify", &arguments).status.code(), Some(1));
    assert_eq!(json(&later)["clean"].as_bool(), Some(false));
    assert!(fs::read_to_string(&page).unwrap().contains("1 tenant differs"));
}

#[test]
fn a_target_in_use_is_told_from_a_target_that_is_wrong() {
    let moved = Moved::new(&[]);
    let mut connection = moved.connect();
    connection.execute("UPDATE payments SET amount = amount + 1 WHERE id = 3", "change a row").unwrap();
    connection.execute("DELETE FROM payments WHERE id = 4", "delete a row").unwrap();
    let insert =
        "INSERT INTO customers (account_id, code, name) SELECT account_id, 'new-1', 'New' FROM customers LIMIT 1";
    connection.execute(insert, "insert a row").unwrap();
    assert_eq!(moved.run("verify", &[]).status.code(), Some(1), "it is the source no longer");
    let output = moved.run("verify", &["--since-run", "--format", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let since: Value = serde_json::from_slice(&output.stdout).unwrap();
    let of = |table: &str| {
        let tables = since["since_run"]["tables"].as_array().unwrap();
        let table = tables.iter().find(|found| found["table"] == table).unwrap();
        ["updated", "deleted", "new", "moved"].map(|count| table[count].as_u64().unwrap())
    };
    assert_eq!((of("payments"), of("customers"), of("invoices")), ([1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]));
    let output = moved.run("verify", &["--since-run"]);
    assert!(text(&output).contains("1 updated, 1 deleted, 1 new since the run"), "{}", text(&output));

    let catalog = || tenantry(&["verify", "specs/bai.yaml", "--target", &moved.url, "--catalog-only"]);
    let output = catalog();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    connection.execute("ALTER TABLE payments DROP CONSTRAINT payments_pkey", "drop a key").unwrap();
    connection.execute("CREATE TABLE other (id money)", "make a table").unwrap();
    connection.execute("ALTER TABLE invoices ADD strange money", "add a column").unwrap();
    let output = catalog();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    // What tenantry cannot say hides nothing else.
    assert!(text(&output).contains("payments_pkey") && text(&output).contains("strange"), "{}", text(&output));
    assert_eq!(moved.run("verify", &["--since-run"]).status.code(), Some(1), "the schema has to hold");
}

#[test]
fn another_check_of_the_same_name_is_found_and_what_could_not_be_compared_is_told() {
    let moved = Moved::new(&[]);
    let mut connection = moved.connect();
    let catalog = |user: &str, more: &[&str]| {
        let url = moved.url.replace("postgres@", &format!("{user}@"));
        tenantry(&[&["verify", "specs/bai.yaml", "--target", &url, "--catalog-only"], more].concat())
    };
    let database = &moved.database;
    connection.execute(&format!("REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC"), "revoke").unwrap();
    let output = catalog("bai_verifier", &[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let told = "not compared: checks, generated columns, defaults and expressions of indexes: the role may not create";
    assert!(text(&output).contains(told), "{}", text(&output));
    let output = catalog("bai_verifier", &["--format", "json"]);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["uncompared"].as_array().unwrap().len(), 1, "{found}");
    assert!(!text(&catalog("postgres", &[])).contains("not compared"));

    for sql in [
        "ALTER TABLE items DROP CONSTRAINT items_unit_price_check",
        "ALTER TABLE items ADD CONSTRAINT items_unit_price_check CHECK (unit_price >= -1)",
        &format!("GRANT TEMPORARY ON DATABASE {database} TO bai_verifier"),
    ] {
        connection.execute(sql, "change a check").unwrap();
    }
    let report = moved.folder.path().join("report.html");
    for output in [
        catalog("bai_verifier", &[]),
        moved.run("verify", &["--report", report.to_str().unwrap()]),
        moved.run("verify", &["--since-run"]),
    ] {
        let found = text(&output);
        assert_eq!(output.status.code(), Some(1), "{found}");
        let named =
            found.lines().filter(|line| line.starts_with("schema: items: the CHECK items_unit_price_check is "));
        assert_eq!(named.count(), 1, "{found}");
        let both = "(unit_price >= ('-1'::integer)::numeric), and is to be (unit_price >= (0)::numeric)";
        assert!(found.contains(both), "{found}");
    }
    assert!(fs::read_to_string(&report).unwrap().contains("items_unit_price_check"));
}

#[test]
fn the_way_of_a_row_is_told_hop_by_hop() {
    let folder = tempfile::tempdir().unwrap();
    let source = bai(folder.path(), "");
    let sqlite = Sqlite::open(&source).unwrap();
    let sql = "SELECT t.id, t.invoice_id, i.customer_id, c.account_id FROM invoice_items t JOIN invoices i ON i.id = t.invoice_id \
               JOIN customers c ON c.id = i.customer_id LIMIT 1";
    let (item, invoice, customer, account): (i64, i64, i64, String) =
        sqlite.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))).unwrap();
    let source = source.to_str().unwrap();
    let output = tenantry(&["why", "specs/bai.yaml", &format!("invoice_items/{item}"), "--source", source]);
    let found = text(&output);
    assert_eq!(output.status.code(), Some(0), "{found}");
    for expected in [
        format!("invoice_items id={item}: tenant {account}"),
        format!("invoices id={invoice}: through customer_id"),
        format!("customers id={customer}: its column account_id: '{account}'"),
        "specs/bai.yaml:".to_owned(),
    ] {
        assert!(found.contains(&expected), "{expected} in {found}");
    }
    let output =
        tenantry(&["why", "specs/bai.yaml", &format!("invoices/{invoice}"), "--source", source, "--format", "json"]);
    let way: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(way["row"]["tenants"][0].as_str(), Some(account.as_str()));
    assert_eq!(way["row"]["next"][0]["table"], "customers");
    for (asked, code) in
        [("invoices/nosuch", "unknown-row"), ("invoces/1", "unknown-table"), ("invoices", "unknown-table")]
    {
        let output = tenantry(&["why", "specs/bai.yaml", asked, "--source", source]);
        assert_eq!(output.status.code(), Some(2), "{asked}");
        assert!(text(&output).contains(code), "{asked}: {}", text(&output));
    }
}

#[test]
fn hostile_names_and_values_stay_text_in_a_report() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let table = "x\"'><script>alert(1)</script>\u{202e}";
    let quoted = format!("\"{}\"", table.replace('"', "\"\""));
    let ddl = format!("CREATE TABLE {quoted} (id INTEGER PRIMARY KEY, born DATE, owner TEXT NOT NULL);");
    fs::write(path("schema.sql"), &ddl).unwrap();
    let spec = format!(
        "{{version: 1, source: schema.sql, tenant: {{column: owner, type: text}}, tables: {{{}: {{tenant: {{column: owner}}}}}}}}",
        Value::from(table)
    );
    fs::write(path("spec.yaml"), spec).unwrap();
    let sqlite = Sqlite::open(path("source.db")).unwrap();
    let rows = format!("{ddl} INSERT INTO {quoted} VALUES (1, '<img src=x onerror=alert(2)>', '<b>\"&''`');");
    sqlite.execute_batch(&rows).unwrap();
    let of = |name: &str| path(name).to_str().unwrap().to_owned();
    let arguments =
        ["audit", &of("spec.yaml"), "--source", &of("source.db"), "--report", &of("audit.html")].map(str::to_owned);
    let run = |more: &[&str]| {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).chain(more.iter().copied()).collect();
        let output = tenantry(&arguments);
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        fs::read_to_string(path("audit.html")).unwrap()
    };
    let html = run(&[]);
    assert!(html.contains("date-unreadable") && !html.contains("onerror"), "{html}");
    let suggestions = of("decide.yaml");
    let with_values = run(&["--show-values", "--write-suggestions", &suggestions]);
    assert!(with_values.contains("&lt;img src=x onerror=alert(2)&gt;"), "{with_values}");
    for html in [html, with_values] {
        assert!(!html.contains("<script") && !html.contains("<img") && !html.contains('\u{202e}'), "{html}");
    }
    assert_eq!(mode(Path::new(&suggestions)), 0o600);
    let decided: serde_yaml::Value = serde_yaml::from_str(&fs::read_to_string(&suggestions).unwrap()).unwrap();
    assert!(decided["tables"][table]["columns"]["born"]["type"] == "text", "{decided:?}");
}

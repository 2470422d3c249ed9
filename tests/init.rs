//! `init` as the built program: what it writes is a spec that the other verbs take.

#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// Runs tenantry in a folder: exit code, stdout, stderr.
fn tenantry(folder: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_tenantry"))
        .args(arguments)
        .current_dir(folder)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

const SHOP: &str = "
CREATE TABLE orders (id INTEGER PRIMARY KEY, total DECIMAL(10,2) CHECK (typeof(total) = 'x'), weight BOOLEAN DEFAULT 1000,
    customer VARCHAR(10) REFERENCES customers (id), code TEXT DEFAULT (printf('%05d', 7)), what RANDOM TYPE);
CREATE TABLE customers (id INTEGER PRIMARY KEY, \"a: b\" TEXT REFERENCES nobody (id));
CREATE VIEW totals AS SELECT total FROM orders;
CREATE TRIGGER t AFTER INSERT ON orders BEGIN DELETE FROM customers; END;
CREATE VIRTUAL TABLE search USING fts5(body);
";

#[test]
fn a_plain_conversion_leaves_nothing_to_choose() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("db")).unwrap();
    fs::create_dir_all(folder.path().join("specs")).unwrap();
    fs::write(folder.path().join("db/shop.sql"), SHOP).unwrap();
    let init = ["init", "--source", "db/shop.sql", "--all-shared"];
    let (code, shown, stderr) = tenantry(folder.path(), &init);
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{shown}");
    let (code, stdout, stderr) = tenantry(folder.path(), &[&init[..], &["-o", "specs/shop.yaml"]].concat());
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (Some(0), "", "wrote specs/shop.yaml\n"));
    let written = fs::read_to_string(folder.path().join("specs/shop.yaml")).unwrap();
    for line in [
        "source: ../db/shop.sql\n",
        "output: shop.postgres.sql\n",
        "      weight: {type: bigint}\n",
        "      customer: {type: bigint}\n",
        "      code: {default: \"NULL\"}\n",
        "      what: {type: text}\n",
        "      orders_total_check: omit\n",
        "      \"a: b\": omit\n",
        "  search: omit\n",
        "  totals: omit\n",
        "  t: omit\n",
        "# the default of `orders.code` has no safe translation (`printf('%05d', 7)`)",
    ] {
        assert!(written.contains(line), "{line}\nis missing in\n{written}");
    }
    let (code, _, stderr) = tenantry(folder.path(), &["emit", "specs/shop.yaml", "--write"]);
    assert_eq!(code, Some(0), "{stderr}");
    let (code, _, stderr) = tenantry(folder.path(), &["check", "specs/shop.yaml"]);
    assert_eq!(code, Some(0), "{stderr}");
}

#[test]
fn a_file_that_is_there_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("shop.sql"), "CREATE TABLE t (id INTEGER PRIMARY KEY);").unwrap();
    fs::write(folder.path().join("shop.yaml"), "mine").unwrap();
    let (code, _, stderr) =
        tenantry(folder.path(), &["init", "--source", "shop.sql", "--all-shared", "-o", "shop.yaml"]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("spec-exists"), "{stderr}");
    assert_eq!(fs::read_to_string(folder.path().join("shop.yaml")).unwrap(), "mine");
}

#[test]
fn hostile_names_stay_names() {
    let folder = tempfile::tempdir().unwrap();
    let ddl = "CREATE TABLE \"a\nb: omit\" (\"c: {d}\" RANDOM TYPE, \"#x\u{1b}[2J\" RANDOM TYPE);
        CREATE VIEW \"v\n  w: omit\" AS SELECT 1;";
    fs::write(folder.path().join("odd.sql"), ddl).unwrap();
    let (code, shown, stderr) =
        tenantry(folder.path(), &["init", "--source", "odd.sql", "--all-shared", "-o", "odd.yaml"]);
    assert_eq!(code, Some(0), "{shown}{stderr}");
    let written = fs::read_to_string(folder.path().join("odd.yaml")).unwrap();
    assert!(!written.contains('\u{1b}') && !written.lines().any(|line| line.trim() == "w: omit"), "{written}");
    let (code, _, stderr) = tenantry(folder.path(), &["plan", "odd.yaml"]);
    assert_eq!(code, Some(0), "{stderr}\n{written}");
}

const BILLING: &str = "
CREATE TABLE accounts (id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE users (id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL REFERENCES accounts (id), email TEXT UNIQUE);
CREATE TABLE customers (id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL REFERENCES accounts (id), code TEXT UNIQUE);
CREATE TABLE invoices (id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customers (id),
    created_by INTEGER REFERENCES users (id));
CREATE TABLE lines (id INTEGER PRIMARY KEY, invoice_id INTEGER NOT NULL REFERENCES invoices (id), currency_id INTEGER);
CREATE TABLE currencies (id INTEGER PRIMARY KEY);
INSERT INTO accounts VALUES (1, 'a'), (2, 'b');
INSERT INTO users VALUES (1, 1, 'x'), (2, 2, 'y');
INSERT INTO customers VALUES (1, 1, 'p'), (2, 2, 'q');
INSERT INTO invoices VALUES (1, 1, 1), (2, 2, 2), (3, 2, 1), (4, 1, NULL);
INSERT INTO currencies VALUES (1), (2);
INSERT INTO lines VALUES (1, 1, 1), (2, 2, 2), (3, 3, NULL);
";

#[test]
fn tenancy_is_proposed_with_reasons_and_what_is_open_is_a_choice() {
    let folder = tempfile::tempdir().unwrap();
    let database = rusqlite::Connection::open(folder.path().join("app.db")).unwrap();
    database.execute_batch(BILLING).unwrap();
    drop(database);
    let init = ["init", "--source", "app.db", "--root", "accounts", "--sample", "app.db", "-o", "app.yaml"];
    let (code, stdout, stderr) = tenantry(folder.path(), &init);
    assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
    for key in ["  tables.invoices.tenant\n", "  tables.currencies.placement\n", "  tables.customers.unique.code\n"] {
        assert!(stderr.contains(key), "{key} is not listed as a choice:\n{stderr}");
    }
    let written = fs::read_to_string(folder.path().join("app.yaml")).unwrap();
    for line in [
        "\ntenant: {column: account_id, root: accounts}\n",
        "  # the one path to a tenant: users.account_id → accounts\n",
        "    tenant: {column: account_id}\n",
        "      email: global\n",
        "  lines: {tenant: {via: invoice_id}}\n",
        "  #invoices: {tenant: {via: customer_id}}   # invoices.customer_id → customers.account_id → accounts\n",
        "  #invoices: {tenant: {via: created_by}}   # invoices.created_by → users.account_id → accounts\n",
        "  #currencies: shared   # one copy of its rows for all tenants\n",
        "      #code: per_tenant   # two tenants may have the same value\n",
    ] {
        assert!(written.contains(line), "{line}\nis missing in\n{written}");
    }
    let flat = written.replace("\n  #   ", " ");
    for text in [
        "# in 4 rows: {via: customer_id} finds a tenant for 4, {via: created_by} for 3; where both do, they agree in 2 and \
         differ in 1",
        "`currency_id` refers to `currencies` without a foreign key: all 2 rows with a value (2 different ones)",
    ] {
        assert!(flat.contains(text), "{text}\nis missing in\n{flat}");
    }
    let (code, _, stderr) = tenantry(folder.path(), &["emit", "app.yaml"]);
    assert_eq!(code, Some(2), "choices are left: {stderr}");
    let chosen = written
        .replace("  #invoices: {tenant: {via: customer_id}}", "  invoices: {tenant: {via: customer_id}}")
        .replace("  #currencies: shared", "  currencies: shared")
        .replace("    #unique:", "    unique:")
        .replace("      #code: global", "      code: global");
    fs::write(folder.path().join("app.yaml"), &chosen).unwrap();
    let (code, _, stderr) = tenantry(folder.path(), &["emit", "app.yaml"]);
    assert_eq!(code, Some(0), "{stderr}\n{chosen}");
}

#[test]
fn a_root_that_is_not_there_is_named_with_the_nearest() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("app.sql"), BILLING.split("INSERT").next().unwrap()).unwrap();
    let (code, _, stderr) = tenantry(folder.path(), &["init", "--source", "app.sql", "--root", "acounts"]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("unknown-table") && stderr.contains("did you mean `accounts`?"), "{stderr}");
    let (code, shown, _) = tenantry(folder.path(), &["init", "--source", "app.sql"]);
    assert_eq!(code, Some(1));
    assert!(shown.contains("\n#tenant: {column: account_id, root: accounts}"), "{shown}");
}

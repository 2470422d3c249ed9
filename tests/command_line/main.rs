//! The built program: exit codes, messages, and that nothing a person hands it makes it do anything else.

#![expect(clippy::unwrap_used, reason = "these are tests")]

mod check_formats;
mod hostile;
mod program;
mod terminal;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;
use tenantry::postgres::{Durability, Scratch};

/// What a run said and how it ended.
#[derive(Debug)]
struct Outcome {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs tenantry in a folder.
fn tenantry(folder: &Path, arguments: &[&str]) -> Outcome {
    let output = Command::new(env!("CARGO_BIN_EXE_tenantry"))
        .args(arguments)
        .current_dir(folder)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Outcome { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// A repository of its own with the billing system in it.
struct Repository(TempDir);

impl Repository {
    fn empty() -> Self {
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join(".git")).unwrap();
        Self(folder)
    }

    fn of_bai() -> Self {
        let repository = Self::empty();
        fs::create_dir_all(repository.path("specs")).unwrap();
        fs::create_dir_all(repository.path("fixtures/bai")).unwrap();
        for file in ["specs/bai.yaml", "fixtures/bai/schema.sql", "fixtures/bai/expected.sql"] {
            fs::copy(file, repository.path(file)).unwrap();
        }
        repository
    }

    fn with(files: &[(&str, &str)]) -> Self {
        let repository = Self::empty();
        for (name, text) in files {
            fs::write(repository.path(name), text).unwrap();
        }
        repository
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        tenantry(self.0.path(), arguments)
    }

    /// Changes a file by replacing a piece of its text, which has to be there.
    fn replace(&self, file: &str, old: &str, new: &str) {
        let text = fs::read_to_string(self.path(file)).unwrap();
        assert!(text.contains(old), "{file} has no {old}");
        fs::write(self.path(file), text.replacen(old, new, 1)).unwrap();
    }

    /// Lists all files below it.
    fn files(&self) -> Vec<PathBuf> {
        fn below(folder: &Path, files: &mut Vec<PathBuf>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    below(&path, files);
                } else {
                    files.push(path);
                }
            }
        }
        let mut files = Vec::new();
        below(self.0.path(), &mut files);
        files.sort();
        files
    }

    /// Makes a database of the billing system, and of more SQL files of its fixtures.
    fn database(&self, more: &[&str]) -> PathBuf {
        let path = self.path("app.db");
        let connection = rusqlite::Connection::open(&path).unwrap();
        for file in ["schema.sql", "rows.sql"].iter().chain(more) {
            connection.execute_batch(&fs::read_to_string(Path::new("fixtures/bai").join(file)).unwrap()).unwrap();
        }
        path
    }
}

#[test]
fn check_is_clean_on_what_the_spec_generates() {
    let outcome = Repository::of_bai().run(&["check", "specs/bai.yaml"]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{outcome:?}");
    assert!(outcome.stdout.contains("fixtures/bai/expected.sql is what the spec generates"), "{outcome:?}");
}

#[test]
fn check_shows_one_changed_byte() {
    let repository = Repository::of_bai();
    repository.replace("fixtures/bai/expected.sql", "varchar(255)", "varchar(256)");
    let outcome = repository.run(&["check", "specs/bai.yaml"]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stdout.contains("\n-    email varchar(256)"), "{outcome:?}");
    assert!(outcome.stdout.contains("\n+    email varchar(255)"), "{outcome:?}");
    assert!(outcome.stderr.contains("tenantry emit specs/bai.yaml --write"), "{outcome:?}");

    let outcome = repository.run(&["check", "specs/bai.yaml", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!((outcome.code, json["specs"][0]["status"].as_str()), (Some(1), Some("drift")));

    assert_eq!(repository.run(&["emit", "specs/bai.yaml", "--write"]).code, Some(0));
    assert_eq!(repository.run(&["check", "specs/bai.yaml"]).code, Some(0));
    let written = fs::read_to_string(repository.path("fixtures/bai/expected.sql")).unwrap();
    assert_eq!(written, fs::read_to_string("fixtures/bai/expected.sql").unwrap());
}

#[test]
fn check_underlines_a_typo_and_names_the_nearest() {
    let repository = Repository::of_bai();
    repository.replace("specs/bai.yaml", "  invoices:", "  invoces:");
    let outcome = repository.run(&["check", "specs/bai.yaml"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{outcome:?}");
    assert!(outcome.stderr.contains("unknown-table") && outcome.stderr.contains("specs/bai.yaml:"), "{outcome:?}");
    assert!(outcome.stderr.contains("╰── no such table"), "{outcome:?}");
    assert!(outcome.stderr.contains("did you mean `invoices`?"), "{outcome:?}");
}

#[test]
fn a_missing_committed_file_fails_and_says_how_to_write_it() {
    let repository = Repository::of_bai();
    fs::remove_file(repository.path("fixtures/bai/expected.sql")).unwrap();
    let outcome = repository.run(&["check", "specs/bai.yaml"]);
    assert_eq!(outcome.code, Some(2));
    assert!(outcome.stderr.contains("output-unreadable") && outcome.stderr.contains("--write"), "{outcome:?}");
}

#[test]
fn a_wrong_command_line_fails_and_help_does_not() {
    let repository = Repository::empty();
    for (arguments, code) in [
        (&["check"][..], 2),
        (&["no-such-verb"], 2),
        (&["check", "missing.yaml"], 2),
        (&["--help"], 0),
        (&["--version"], 0),
        (&["check", "--help"], 0),
    ] {
        assert_eq!(repository.run(arguments).code, Some(code), "{arguments:?}");
    }
    assert_eq!(repository.files(), Vec::<PathBuf>::new());
}

#[test]
fn plan_denies_a_hazard_on_request() {
    let repository = Repository::of_bai();
    assert_eq!(repository.run(&["plan", "specs/bai.yaml"]).code, Some(0));
    let outcome = repository.run(&["plan", "specs/bai.yaml", "--deny", "unique-weakened"]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stdout.contains("unique-weakened"), "{outcome:?}");
}

#[test]
fn check_denies_a_hazard_on_request_and_knows_its_codes() {
    let repository = Repository::of_bai();
    assert_eq!(repository.run(&["check", "specs/bai.yaml", "--deny", "lossy-type"]).code, Some(0));
    let outcome = repository.run(&["check", "specs/bai.yaml", "--deny", "unique-weakened"]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("denied hazard unique-weakened in invoices"), "{}", outcome.stderr);
    let outcome = repository.run(&["check", "specs/bai.yaml", "--deny", "unique-weakened", "--format", "json"]);
    assert!(outcome.code == Some(1) && outcome.stdout.contains("\"denied\""), "{}", outcome.stdout);
    let outcome = repository.run(&["check", "specs/bai.yaml", "--deny", "uniqe-weakened"]);
    assert!(outcome.code == Some(2) && outcome.stderr.contains("unique-weakened"), "{}", outcome.stderr);
}

#[test]
fn audit_is_clean_on_clean_rows() {
    let repository = Repository::of_bai();
    repository.database(&[]);
    let outcome = repository.run(&["audit", "specs/bai.yaml", "--source", "app.db"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.stdout.contains("nothing is wrong"), "{outcome:?}");
}

#[test]
fn audit_names_table_key_and_path_of_what_is_wrong() {
    let repository = Repository::of_bai();
    let before = fs::read(repository.database(&["dirty.sql"])).unwrap();
    let outcome = repository.run(&["audit", "specs/bai.yaml", "--source", "app.db"]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    for wanted in ["orphan", "invoices", "customer_id", "900001", "conflict", "invoice_items", "item_id", "900002"] {
        assert!(outcome.stdout.contains(wanted), "{wanted} is not in {}", outcome.stdout);
    }
    assert_eq!(fs::read(repository.path("app.db")).unwrap(), before, "the source changed");

    let outcome = repository.run(&["audit", "specs/bai.yaml", "--source", "app.db", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!((outcome.code, json["findings"].as_array().map(Vec::len)), (Some(1), Some(2)));
}

#[test]
fn a_source_that_does_not_exist_is_refused_and_not_created() {
    let repository = Repository::of_bai();
    let before = repository.files();
    let outcome = repository.run(&["audit", "specs/bai.yaml", "--source", "missing.db"]);
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    assert!(outcome.stderr.contains("missing.db"), "{outcome:?}");
    assert_eq!(repository.files(), before);

    repository.replace("specs/bai.yaml", "schema.sql", "missing.sql");
    let outcome = repository.run(&["plan", "specs/bai.yaml"]);
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    assert!(outcome.stderr.contains("missing.sql"), "{outcome:?}");
    assert_eq!(repository.files(), before);
}

const SPEC: &str = "\
version: 1
source: schema.sql
output: expected.sql
tenant: {column: account_id, type: bigint}
tables: {notes: {tenant: {column: account_id}}}
";

/// Emits the DDL of a schema file that holds one more statement.
fn emit_with(statement: &str) -> (Repository, Outcome) {
    let schema = format!("CREATE TABLE notes (id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL);\n{statement}\n");
    let repository = Repository::with(&[("spec.yaml", SPEC), ("schema.sql", &schema)]);
    let outcome = repository.run(&["emit", "spec.yaml"]);
    (repository, outcome)
}

#[test]
fn a_schema_that_would_write_files_is_refused_and_writes_none() {
    for statement in [
        "ATTACH 'x.db' AS x; CREATE TABLE x.t (id INTEGER);",
        "ATTACH DATABASE 'x.db' AS x;",
        "VACUUM INTO 'y.db';",
        "CREATE TABLE t AS SELECT load_extension('x.so');",
    ] {
        let (repository, outcome) = emit_with(statement);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{statement}: {outcome:?}");
        assert!(outcome.stderr.contains("schema.sql:2:"), "{statement}: {outcome:?}");
        assert_eq!(repository.files(), [repository.path("schema.sql"), repository.path("spec.yaml")], "{statement}");
    }
}

#[test]
fn statements_that_are_no_schema_are_not_run() {
    for statement in [
        "PRAGMA journal_mode = WAL;",
        "SELECT load_extension('x.so');",
        "SELECT writefile('z', 'z');",
        "INSERT INTO notes SELECT id, writefile('z', 'z') FROM notes;",
    ] {
        let (repository, outcome) = emit_with(statement);
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{statement}: {outcome:?}");
        assert_eq!(repository.files(), [repository.path("schema.sql"), repository.path("spec.yaml")], "{statement}");
    }
}

#[test]
fn paths_stay_within_the_repository_unless_allowed() {
    let schema = "CREATE TABLE notes (id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL);\n";
    let outside = Repository::with(&[("schema.sql", schema)]);
    let spec = SPEC.replace("schema.sql", &outside.path("schema.sql").to_string_lossy());
    let repository = Repository::with(&[("spec.yaml", &spec)]);
    let outcome = repository.run(&["emit", "spec.yaml"]);
    assert_eq!(outcome.code, Some(2));
    assert!(outcome.stderr.contains("path-outside"), "{outcome:?}");
    let outcome = repository.run(&["emit", "spec.yaml", "--allow-outside"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let below = Repository::with(&[("spec.yaml", &SPEC.replace("output: ", "output: ../../"))]);
    let outcome = below.run(&["emit", "spec.yaml", "--write"]);
    assert_eq!(outcome.code, Some(2));
    assert!(outcome.stderr.contains("path-outside"), "{outcome:?}");
}

#[test]
fn the_sqlite_dialect_goes_to_stdout_only() {
    let repository = Repository::of_bai();
    let outcome = repository.run(&["emit", "specs/bai.yaml", "--dialect", "sqlite"]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    let sqlite = rusqlite::Connection::open_in_memory().unwrap();
    sqlite.execute_batch("PRAGMA foreign_keys = ON").unwrap();
    sqlite.execute_batch(&outcome.stdout).unwrap();
    sqlite
        .execute_batch(
            "INSERT INTO customers (account_id, id, code, name) VALUES ('a', 1, 'c', 'n'), ('b', 2, 'c', 'n');
             INSERT INTO invoices (account_id, customer_account_id, customer_id, invoice_number, issue_date)
                 VALUES ('a', 'a', 1, '1', '2024-03-05');",
        )
        .unwrap();
    for account in ["a", "b"] {
        let sql = format!(
            "INSERT INTO invoices (account_id, customer_account_id, customer_id, invoice_number, issue_date)
                 VALUES ('a', '{account}', 2, '2', '2024-03-05')"
        );
        assert!(sqlite.execute_batch(&sql).is_err(), "a refers to b's customer as {account}");
    }
    for more in [&["--write"][..], &["--section", "pre-data"]] {
        let arguments = [&["emit", "specs/bai.yaml", "--dialect", "sqlite"], more].concat();
        assert_eq!(repository.run(&arguments).code, Some(2), "{arguments:?}");
    }
}

/// The directory of PostgreSQL's programs, found as the demo finds it.
fn programs() -> String {
    let output = Command::new("tests/deps.sh").arg("bindir").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_hostile_name_is_harmless_in_every_output() {
    let folder = Path::new(".");
    let spec = "fixtures/hostile-names/spec.yaml";
    for arguments in [&["plan", spec][..], &["check", spec], &["plan", spec, "--format", "json"]] {
        let outcome = tenantry(folder, arguments);
        assert_eq!(outcome.code, Some(0), "{arguments:?}: {outcome:?}");
        let begins_a_line = outcome.stdout.lines().any(|line| line.starts_with("; DROP") || line.starts_with("\\!"));
        assert!(!begins_a_line, "{arguments:?}: {}", outcome.stdout);
    }
    let json: serde_json::Value =
        serde_json::from_str(&tenantry(folder, &["plan", spec, "--format", "json"]).stdout).unwrap();
    assert!(json["load_order"].as_array().unwrap().iter().any(|name| name == "x\n; DROP TABLE victims; --"));

    let ddl = tenantry(folder, &["emit", spec]);
    assert_eq!(ddl.code, Some(0), "{ddl:?}");
    let scratch = Scratch::start(Durability::Off).unwrap_or_else(|error| panic!("{error:?}"));
    let here = TempDir::new().unwrap();
    fs::write(here.path().join("ddl.sql"), &ddl.stdout).unwrap();
    let psql = |arguments: &[&str]| {
        let output = Command::new(Path::new(&programs()).join("psql"))
            .args(["-X", "-v", "ON_ERROR_STOP=1", "-At", "-U", "postgres", "-d", "tenantry", "-h"])
            .arg(scratch.directory())
            .args(arguments)
            .current_dir(here.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    psql(&["-f", "ddl.sql"]);
    let tables = "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace";
    assert_eq!(psql(&["-c", tables]).trim(), "2");
    let keys = "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND connamespace = 'public'::regnamespace";
    assert_eq!(psql(&["-c", keys]).trim(), "1");
    assert_eq!(fs::read_dir(here.path()).unwrap().count(), 1, "a name ran a command");
}

//! Names that are more than names wherever they are not escaped, through every verb and every format.

use super::{Outcome, Repository};
use serde_json::Value;
use std::fs;

/// What ends a line, a comment, a cell, a tag, a string or a command where it is shown as it is.
const NAMES: &[&str] = &[
    "x\n::error::y",
    "a\u{1b}[2J\u{202e}b",
    "<script>alert(1)</script>",
    "p|q`r\"s't]]>-->",
    "%s {{7}} ${HOME} $(touch hostile)",
];

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A repository with a table for each name, which is that of a column, a key, an index and a foreign key as well.
fn repository() -> Repository {
    let repository = Repository::empty();
    let mut schema = "CREATE TABLE accounts (id INTEGER PRIMARY KEY);\n".to_owned();
    let mut rows = "INSERT INTO accounts VALUES (1), (2);\n".to_owned();
    for name in NAMES {
        let (name, index) = (quoted(name), quoted(&format!("i{name}")));
        schema.push_str(&format!(
            "CREATE TABLE {name} (id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL REFERENCES accounts (id),
                {name} TEXT, up INTEGER, CONSTRAINT {name} FOREIGN KEY (up) REFERENCES {name} (id));
             CREATE INDEX {index} ON {name} ({name});\n"
        ));
        rows.push_str(&format!("INSERT INTO {name} VALUES (1, 1, 'v', NULL), (2, 2, NULL, 2);\n"));
    }
    fs::write(repository.path("schema.sql"), &schema).unwrap();
    fs::write(
        repository.path("spec.yaml"),
        "version: 1\nsource: schema.sql\noutput: out.sql\ntenant: {column: account_id, root: accounts}\n\
         defaults: {tenant: {column: account_id}}\n",
    )
    .unwrap();
    let make = |file: &str, more: &str| {
        let sqlite = rusqlite::Connection::open(repository.path(file)).unwrap();
        sqlite.execute_batch(&format!("PRAGMA foreign_keys = OFF; {schema}{rows}{more}")).unwrap();
    };
    make("app.db", "");
    // Each table refers to a row of another tenant and to one that is not there.
    let wrong =
        NAMES.iter().map(|name| format!("INSERT INTO {0} VALUES (3, 1, NULL, 2), (4, 1, NULL, 9);", quoted(name)));
    make("dirty.db", &wrong.collect::<String>());
    repository
}

/// Says what is wrong with a text that a person reads, on a terminal or in a log.
fn deceiving(text: &str) -> Option<String> {
    let is_bad = |character: char| (character.is_control() && character != '\n') || character == '\u{202e}';
    let control = text.chars().find(|&character| is_bad(character)).map(|character| format!("holds {character:?}"));
    control
        .or_else(|| text.lines().find(|line| line.starts_with("::error::y")).map(|_| "a name begins a line".to_owned()))
}

fn assert_text(arguments: &[&str], outcome: &Outcome, code: i32) {
    assert_eq!(outcome.code, Some(code), "{arguments:?}: {outcome:?}");
    for text in [&outcome.stdout, &outcome.stderr] {
        assert_eq!(deceiving(text), None, "{arguments:?}: {text}");
    }
}

#[test]
fn hostile_names_are_text_in_what_every_verb_prints() {
    let repository = repository();
    let run = |code: i32, arguments: &[&str]| {
        let outcome = repository.run(arguments);
        assert_text(arguments, &outcome, code);
        outcome.stdout
    };
    let json = |code: i32, arguments: &[&str]| {
        let arguments = [arguments, &["--format", "json"]].concat();
        let outcome = repository.run(&arguments);
        assert_eq!(outcome.code, Some(code), "{arguments:?}: {outcome:?}");
        serde_json::from_str::<Value>(&outcome.stdout).unwrap()
    };
    run(2, &["check", "spec.yaml"]);
    run(0, &["emit", "spec.yaml", "--write"]);
    for verb in ["plan", "check"] {
        run(0, &[verb, "spec.yaml"]);
        json(0, &[verb, "spec.yaml"]);
    }
    fs::write(repository.path("out.sql"), "-- nothing\n").unwrap();
    for format in ["github", "sarif"] {
        run(1, &["check", "spec.yaml", "--format", format]);
    }
    for name in NAMES {
        json(0, &["why", "spec.yaml", name]);
        for format in ["mermaid", "dot", "svg"] {
            run(0, &["graph", "spec.yaml", "--format", format, "--path", name]);
        }
    }
    run(0, &["init", "--source", "app.db", "--root", "accounts", "--sample", "app.db"]);
    run(0, &["init", "--source", "app.db", "--all-shared"]);
    run(0, &["audit", "spec.yaml", "--source", "app.db", "--report", "clean.html"]);
    let audit = ["audit", "spec.yaml", "--source", "dirty.db"];
    let more = ["--write-suggestions", "more.yaml", "--report", "dirty.html", "--show-values"];
    let found = run(1, &[&audit[..], &more].concat());
    assert!(found.contains("orphan") && found.contains("tenant-conflict"), "{found}");
    json(1, &audit);
    let cutover = ["cutover", "spec.yaml", "--source", "app.db", "--target", "scratch"];
    run(0, &[&cutover[..], &["--report", "cutover.html", "--receipts", "receipts"]].concat());
    json(0, &cutover);
    run(1, &["cutover", "spec.yaml", "--source", "dirty.db", "--target", "scratch"]);
    run(0, &[&cutover[..], &["--dry-run"]].concat());

    let mut reports = 0;
    for path in repository.files() {
        let text = fs::read_to_string(&path).unwrap_or_default();
        if path.extension().is_some_and(|extension| extension == "html") {
            assert_eq!(deceiving(&text), None, "{}", path.display());
            assert!(!text.contains("<script") && text.contains("&lt;script"), "{}", path.display());
            reports += 1;
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            assert_eq!(deceiving(&text), None, "{}", path.display());
        }
    }
    assert!(reports >= 5, "{reports} reports and receipts");
    assert!(!repository.path("hostile").exists(), "a name ran a command");
}

#[test]
fn hostile_names_are_names_in_what_a_machine_reads() {
    let repository = repository();
    let plan: Value = serde_json::from_str(&repository.run(&["plan", "spec.yaml", "--format", "json"]).stdout).unwrap();
    let order: Vec<&str> = plan["load_order"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(NAMES.iter().all(|name| order.contains(name)), "{order:?}");
    // The same tenancy in SQLite has the same tables.
    let sqlite = rusqlite::Connection::open_in_memory().unwrap();
    sqlite.execute_batch(&repository.run(&["emit", "spec.yaml", "--dialect", "sqlite"]).stdout).unwrap();
    for name in NAMES {
        let sql = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?1";
        let found: i64 = sqlite.query_row(sql, [name], |row| row.get(0)).unwrap();
        assert_eq!(found, 1, "{name}");
    }
    // A migration's file is read by a person first: what is not within quotes is harmless there.
    for wrap in ["alembic", "dbmate", "sqlx"] {
        fs::create_dir(repository.path(wrap)).unwrap();
        let outcome = repository.run(&["emit", "spec.yaml", "--wrap", wrap, "--into", wrap]);
        assert_text(&[wrap], &outcome, 0);
    }
    for path in
        repository.files().into_iter().filter(|path| path.extension().is_some_and(|end| end == "sql" || end == "py"))
    {
        let text = fs::read_to_string(&path).unwrap();
        let comments = text.lines().filter_map(|line| line.trim_start().strip_prefix("--"));
        for comment in comments {
            assert_eq!(deceiving(comment), None, "{}", path.display());
        }
    }
}

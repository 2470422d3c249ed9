//! What somebody who runs a cutover is told: events while it works, an estimate before, a runbook from the rehearsal.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use rusqlite::Connection as Sqlite;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::Duration;
use tempfile::TempDir;
use tenantry::postgres::{Durability, Scratch, Server};

const SQLITE: &str = "
    CREATE TABLE accounts (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
    CREATE TABLE items (id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL REFERENCES accounts (id), label TEXT);
    CREATE INDEX items_by_label ON items (label);
    INSERT INTO accounts VALUES (1, 'one'), (2, 'two');
    INSERT INTO items WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 20000)
        SELECT n, 1 + n % 2, printf('item %d %.*c', n * 7 % 20011, n % 90, 'x') FROM s;";

const SPEC: &str = "version: 1\nsource: app.db\ntenant: {column: account_id, root: accounts}\n\
                    tables:\n  items: {tenant: {column: account_id}}\n";

/// Makes a source with its spec.
fn case() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    Sqlite::open(folder.path().join("app.db")).unwrap().execute_batch(SQLITE).unwrap();
    std::fs::write(folder.path().join("spec.yaml"), SPEC).unwrap();
    folder
}

fn tenantry(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tenantry")).current_dir(folder).args(arguments).output().unwrap()
}

/// Reads the events of a program, and makes sure that each has the keys that all have.
fn events(output: &Output, verb: &str) -> Vec<Value> {
    let text = std::str::from_utf8(&output.stderr).unwrap();
    let events: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    for event in &events {
        assert_eq!((&event["schema_version"], &event["verb"]), (&1.into(), &verb.into()), "{event}");
        let time = event["time"].as_str().unwrap();
        assert!(time.len() == "2026-01-01T00:00:00.000Z".len() && time.ends_with('Z'), "{time}");
        assert!(["info", "warning", "error"].contains(&event["level"].as_str().unwrap()), "{event}");
    }
    let names: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    let page = include_str!("../docs/log.md");
    for name in &names {
        assert!(page.contains(&format!("| `{name}` |")), "docs/log.md lacks {name}");
    }
    assert_eq!((names.first(), names.last()), (Some(&"begin"), Some(&"end")), "{names:?}");
    assert_eq!(events.last().unwrap()["exit_code"].as_i64(), output.status.code().map(i64::from));
    events
}

#[test]
fn a_run_tells_machines_what_happens() {
    let folder = case();
    let run = ["cutover", "spec.yaml", "--source", "app.db", "--target", "scratch", "--log-format", "json"];
    let output = tenantry(folder.path(), &run);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("proven"), "the result is a report for people still");
    let events = events(&output, "cutover");
    let phases: BTreeSet<&str> = events.iter().filter_map(|event| event["phase"].as_str()).collect();
    for phase in ["target", "snapshot", "audit", "schema", "copy", "constraints", "verify", "isolation", "finish"] {
        assert!(phases.contains(phase), "{phase} in {phases:?}");
    }
    for phase in ["audit", "copy", "verify"] {
        let of_items = |event: &&Value| event["phase"] == phase && event["table"] == "items";
        let progress: Vec<&Value> = events.iter().filter(of_items).collect();
        let last = progress.last().unwrap_or_else(|| panic!("{phase} in {events:#?}"));
        let rows = |part: &str, key: &str| last[part][key].as_u64();
        assert_eq!((rows("of_table", "rows"), rows("of_table", "of")), (Some(20_000), Some(20_000)), "{last}");
        assert_eq!(rows("overall", "of"), Some(20_002), "{last}");
    }
}

#[test]
fn a_run_that_is_continued_counts_what_was_done_before() {
    let folder = case();
    let (_, url) = database("continued");
    let run = ["cutover", "spec.yaml", "--source", "app.db", "--work-dir", "work", "--target", &url];
    let mut program = Command::new(env!("CARGO_BIN_EXE_tenantry"));
    program.current_dir(folder.path()).args(run).env("TENANTRY_CHUNK_ROWS", "6000");
    let output = program.env("TENANTRY_FAILPOINT", "chunk 2 of items: after COMMIT").output().unwrap();
    assert_eq!(output.status.code(), None, "{output:?}");
    let mut program = Command::new(env!("CARGO_BIN_EXE_tenantry"));
    program.current_dir(folder.path()).args(run).args(["--resume", "--log-format", "json"]);
    let output = program.env("TENANTRY_CHUNK_ROWS", "6000").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let events = events(&output, "cutover");
    let last = events.iter().rfind(|event| event["event"] == "progress" && event["phase"] == "copy");
    let last = last.unwrap_or_else(|| panic!("{events:#?}"));
    // A table that was done counts as well; whether the small one was is a matter of luck.
    for (part, rows, before) in [("of_table", 20_000, &[12_000][..]), ("overall", 20_002, &[12_000, 12_002])] {
        let of = |key: &str| last[part][key].as_u64();
        assert_eq!(of("rows"), Some(rows), "{last}");
        assert!(of("rows_before").is_some_and(|found| before.contains(&found)), "{last}");
        // Nobody waits for the counting.
        assert!(of("of").is_none_or(|of| of == rows), "{last}");
    }
    let of_proof = events.iter().rfind(|event| event["event"] == "progress" && event["phase"] == "verify").unwrap();
    assert_eq!(of_proof["overall"]["rows_before"], 0, "the proof is made anew: {of_proof}");
}

#[test]
fn errors_findings_and_warnings_are_events_and_plain_lines_stay_plain() {
    let folder = case();
    let run = |verb: &'static str, more: &[&str]| {
        let source = [verb, "spec.yaml", "--source", "app.db"];
        let output = tenantry(folder.path(), &[&source[..], more].concat());
        let events = if more.contains(&"--log-format") { events(&output, verb) } else { Vec::new() };
        (output, events)
    };
    let json = ["--log-format", "json"];
    let (output, plain) = run("audit", &[]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(plain.is_empty() && text.contains("audit …") && !text.contains('{'), "{text}");

    let nowhere = ["--target", "postgresql://postgres:secret@127.0.0.1:1/app", "--log-format", "json"];
    for verb in ["cutover", "verify"] {
        let (output, events) = run(verb, &nowhere);
        assert_eq!(output.status.code(), Some(2));
        let error = events.iter().find(|event| event["event"] == "diagnostic").unwrap();
        assert_eq!((&error["level"], &error["code"]), (&"error".into(), &"connection-failed".into()), "{error}");
        assert!(error["help"].is_string() && !format!("{output:?}").contains("secret"), "{output:?}");
    }
    let rollback = ["rollback", "spec.yaml", "--target", "postgresql://postgres@127.0.0.1:1/app"];
    let output = tenantry(folder.path(), &[&rollback[..], &json].concat());
    assert!(events(&output, "rollback").iter().any(|event| event["code"] == "connection-failed"));

    let sqlite = Sqlite::open(folder.path().join("app.db")).unwrap();
    sqlite.execute_batch("PRAGMA foreign_keys = OFF; INSERT INTO items VALUES (30000, 9, 'SECRET')").unwrap();
    let (output, events) = run("audit", &json);
    let finding = events.iter().find(|event| event["event"] == "finding").unwrap();
    assert_eq!(
        (output.status.code(), &finding["level"], finding["rows"].as_u64()),
        (Some(1), &"error".into(), Some(1))
    );
    assert!(!String::from_utf8_lossy(&output.stderr).contains("SECRET"), "values are no part of events");
}

/// One server for all tests of this file.
fn scratch() -> &'static Scratch {
    static SCRATCH: OnceLock<Scratch> = OnceLock::new();
    SCRATCH.get_or_init(|| Scratch::start(Durability::Off).unwrap())
}

/// Makes an empty database, and returns the server with it and its URL.
fn database(name: &str) -> (Server, String) {
    let mut connection = scratch().server().connect("public", Duration::from_secs(10)).unwrap();
    connection.execute(&format!("CREATE DATABASE {name}"), "create a database").unwrap();
    let url = format!("postgresql://postgres@/{name}?host={}", scratch().directory().display());
    (scratch().server().with_database(name), url)
}

#[test]
fn a_dry_run_estimates_time_and_room() {
    let folder = case();
    let sqlite = Sqlite::open(folder.path().join("app.db")).unwrap();
    // Numbers, moments, NULLs and long texts, with keys of several columns.
    let sql = "CREATE TABLE payments (item_id INTEGER NOT NULL REFERENCES items (id), line INTEGER NOT NULL, paid_at DATETIME,
                   amount DECIMAL(12,2), note TEXT, PRIMARY KEY (item_id, line));
               CREATE INDEX payments_by_time ON payments (paid_at);
               INSERT INTO payments SELECT i.id, n.value, datetime(i.id * 4000 + n.value, 'unixepoch'), i.id * 1.25,
                   CASE WHEN i.id % 3 = 0 THEN hex(randomblob(80)) END
               FROM items i, (SELECT 1 AS value UNION ALL SELECT 2) n;";
    sqlite.execute_batch(sql).unwrap();
    std::fs::write(folder.path().join("spec.yaml"), format!("{SPEC}  payments: {{tenant: {{via: item_id}}}}\n"))
        .unwrap();
    let (server, url) = database("estimate");
    let run = ["cutover", "spec.yaml", "--source", "app.db", "--work-dir", "work", "--target", &url];
    let output = tenantry(folder.path(), &[&run[..], &["--dry-run", "--format", "json"]].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let dry_run = &serde_json::from_slice::<Value>(&output.stdout).unwrap()["dry_run"];
    let estimated = |part: &str| dry_run["server_bytes"][part].as_f64().unwrap();
    let seconds = |end: &str| dry_run["seconds"][end].as_f64().unwrap();
    assert!(seconds("least") > 0.0 && seconds("least") < seconds("most"), "{dry_run}");
    assert!(dry_run["local_bytes"].as_u64().unwrap() > std::fs::metadata(folder.path().join("app.db")).unwrap().len());

    assert_eq!(tenantry(folder.path(), &run).status.code(), Some(0));
    let measure = |function: &str| {
        let sql = format!(
            "SELECT sum({function}(oid))::bigint FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        );
        let mut connection = server.connect("public", Duration::from_secs(10)).unwrap();
        connection.query_one(&sql, &[], "measure").unwrap().integer(0).unwrap() as f64
    };
    for (part, function) in [("heap", "pg_relation_size"), ("indexes", "pg_indexes_size")] {
        let ratio = estimated(part) / measure(function);
        assert!((0.8..1.4).contains(&ratio), "{part}: {ratio} in {dry_run}");
        println!("{part}: estimated {ratio:.2} of what it takes");
    }
    let output = tenantry(
        folder.path(),
        &[&run[..7], &["postgresql://postgres@127.0.0.1:1/x", "--runbook", "none.md"]].concat(),
    );
    assert!(String::from_utf8_lossy(&output.stderr).contains("runbook-unreadable"), "{output:?}");
}

#[test]
fn files_that_cannot_be_written_are_told_before_anything_is_done() {
    let folder = case();
    let (server, url) = database("unwritable");
    let run = ["cutover", "spec.yaml", "--source", "app.db", "--work-dir", "work", "--target"];
    for (target, more, named) in [
        (url.as_str(), &["--report", "no/such/run.html"][..], &["no/such/run.html", "no/such/run.json"][..]),
        (&url, &["--report", "spec.yaml/run.json"], &["spec.yaml/run.json"]),
        (&url, &["--receipts", "spec.yaml/of"], &["spec.yaml/of"]),
        ("scratch", &["--runbook", "work/x/run.md"], &["work/x/run.md", "work/x/run.json"]),
        ("scratch", &["--runbook", "run.json"], &["two files would be written as run.json"]),
        ("scratch", &["--runbook", "run.md", "--report", "run.html"], &["two files would be written as run.json"]),
    ] {
        let output = tenantry(folder.path(), &[&run[..], &[target], more].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{more:?}: {said}");
        assert!(said.contains("report-unwritable") && !said.contains("snapshot …"), "{more:?}: {said}");
        assert!(named.iter().all(|name| said.contains(name)), "{more:?}: {said}");
    }
    let mut connection = server.connect("public", Duration::from_secs(10)).unwrap();
    let tables =
        connection.query_one("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", &[], "ask").unwrap();
    assert_eq!((tables.integer(0).unwrap(), folder.path().join("work").exists()), (0, false));
    for arguments in [
        ["audit", "spec.yaml", "--source", "app.db", "--write-suggestions", "no/such.yaml"],
        ["audit", "spec.yaml", "--source", "app.db", "--report", "no/such.html"],
    ] {
        let output = tenantry(folder.path(), &arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && !said.contains("audit …"), "{said}");
    }
    let verify = ["verify", "spec.yaml", "--source", "app.db", "--target", &url, "--receipts", "spec.yaml/x"];
    let said = tenantry(folder.path(), &verify).stderr;
    assert!(!String::from_utf8_lossy(&said).contains("snapshot …"), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn a_server_that_is_left_running_is_told_to_machines_as_well() {
    let folder = case();
    let run = ["cutover", "spec.yaml", "--source", "app.db", "--target", "scratch", "--keep", "--format", "json"];
    let output = tenantry(folder.path(), &run);
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    let sh =
        |command: &str, more: &str| Command::new("sh").args(["-c", &format!("{command} {more}")]).output().unwrap();
    let [connect, stop] = ["connect", "stop"].map(|key| result["left_running"][key].as_str().unwrap().to_owned());
    let counted = sh(&connect, "-X -A -t -c 'SELECT count(*) FROM items'");
    assert_eq!(String::from_utf8_lossy(&counted.stdout).trim(), "20000", "{counted:?}");
    assert!(sh(&stop, "").status.success());
    assert!(!sh(&connect, "-X -c 'SELECT 1'").status.success(), "{connect}");
}

#[test]
fn a_rehearsal_writes_a_runbook_and_its_commands_work() {
    let folder = case();
    std::fs::write(folder.path().join("out.sql"), "").unwrap();
    let spec = SPEC.replace("source: app.db\n", "source: app.db\noutput: out.sql\n");
    std::fs::write(folder.path().join("spec.yaml"), spec).unwrap();
    tenantry(folder.path(), &["emit", "spec.yaml", "--write"]);
    let rehearse = ["cutover", "spec.yaml", "--source", "app.db", "--target", "scratch"];
    let output = tenantry(folder.path(), &rehearse);
    assert!(output.status.success() && !folder.path().join("tenantry-spec").exists(), "nobody asked for a runbook");
    let output = tenantry(folder.path(), &[&rehearse[..], &["--runbook", "run book.md", "--allow-outside"]].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");

    let runbook = std::fs::read_to_string(folder.path().join("run book.md")).unwrap();
    let figures: Value = serde_json::from_slice(&std::fs::read(folder.path().join("run book.json")).unwrap()).unwrap();
    assert_eq!((figures["schema_version"].as_u64(), figures["rows"].as_u64()), (Some(1), Some(20_002)));
    assert!(figures["target_bytes"].as_u64().unwrap() > 1_000_000 && figures["total_seconds"].as_f64().unwrap() > 0.0);
    for phase in ["snapshot", "audit", "schema", "copy", "constraints", "verify", "isolation", "finish"] {
        assert!(runbook.contains(&format!("\n| {phase} | ")), "{phase} in {runbook}");
        assert!(figures["phases"].as_array().unwrap().iter().any(|time| time["phase"] == phase), "{phase}");
    }

    // Its commands, in the order in which they are to be run; those of an emergency at the end.
    let (_, url) = database("runbook");
    let commands =
        runbook.lines().filter(|line| line.starts_with("tenantry ")).map(|line| line.split("  #").next().unwrap());
    let (last, mut commands): (Vec<&str>, Vec<&str>) =
        commands.partition(|line| line.contains("--resume") || line.contains(" rollback "));
    assert_eq!((last.len(), commands.len()), (2, 7), "{runbook}");
    commands.extend(last);
    // What the spec may name outside its repository it may name in each of them.
    let reads_spec = |command: &&str| !command.contains(" doctor ");
    assert!(
        commands.iter().filter(|line| reads_spec(line)).all(|line| line.contains("--allow-outside")),
        "{commands:#?}"
    );
    assert!(runbook.starts_with("# Runbook: cutover of spec.yaml\n"), "{runbook}");
    let programs = Path::new(env!("CARGO_BIN_EXE_tenantry")).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let mut said = Vec::new();
    for command in &commands {
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).current_dir(folder.path()).env("PATH", &path).env("DATABASE_URL", &url);
        let output = shell.output().unwrap();
        let code = output.status.code();
        // A doctor may have something to remark about a server for tests.
        assert!(code == Some(0) || command.contains(" doctor ") && code == Some(1), "{command}: {output:?}");
        said.push(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    assert!(commands[3].ends_with("--dry-run") && said[3].contains("in the rehearsal of 2"), "{}", said[3]);
    let times: Vec<&str> = said[4].lines().skip_while(|line| !line.contains("rehearsal of 2")).collect();
    for row in ["snapshot ", "copy ", "in all "] {
        assert!(
            times.iter().any(|line| line.starts_with(row) && line.matches(" s").count() == 2),
            "{row} in {times:#?}"
        );
    }
    assert!(said[7].contains("finished already") && said[8].contains("undone"), "{said:#?}");
}

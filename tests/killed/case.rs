//! A source with its spec, the ways to run it, and what has to be in the target afterwards.

use crate::server::Target;
use rusqlite::Connection as Sqlite;
use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// Trees, references, counters and policies, so that every kind of step occurs.
const SCHEMA: &str = "
    CREATE TABLE accounts (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
    CREATE TABLE items (id INTEGER PRIMARY KEY AUTOINCREMENT, account_id INTEGER NOT NULL REFERENCES accounts (id),
                        parent_id INTEGER REFERENCES items (id), label TEXT);
    CREATE INDEX items_by_label ON items (label);
    CREATE TABLE notes (id INTEGER PRIMARY KEY, item_id INTEGER NOT NULL REFERENCES items (id), body TEXT NOT NULL);
    CREATE VIEW bodies AS SELECT body FROM notes;";

const SPEC: &str = "\
version: 1
source: app.db
tenant: {column: account_id, root: accounts}
tables:
  items: {tenant: {column: account_id}}
  notes: {tenant: {via: item_id}}
views: {bodies: {sql: SELECT body FROM notes}}
rls: {setting: app.account_id}
";

pub struct Case {
    folder: TempDir,
    items: u64,
    notes: u64,
    /// How many rows a chunk has.
    chunk: u64,
    /// How many milliseconds a run waits at each place.
    sleep: u64,
}

/// How a program ended, and what it said; no code where it was killed.
pub struct Outcome {
    pub code: Option<i32>,
    pub text: String,
}

impl Case {
    /// Some rows, in several chunks.
    pub fn small() -> Self {
        Self::new(50, 30, 20, 0)
    }

    /// Many chunks and a wait at each place, so that a run takes more than half a minute on a slow line, and keeps no
    /// processor busy meanwhile.
    pub fn slow() -> Self {
        Self::new(40_000, 20_000, 1_000, 150)
    }

    fn new(items: u64, notes: u64, chunk: u64, sleep: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sqlite = Sqlite::open(folder.path().join("app.db")).unwrap();
        let series =
            |rows| format!("WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {rows})");
        let sql = format!(
            "PRAGMA synchronous = OFF; {SCHEMA} BEGIN;
             INSERT INTO accounts {} SELECT n, 'account ' || n FROM s;
             INSERT INTO items {} SELECT n, 1 + n % 7, CASE WHEN n > 7 THEN n - 7 END, 'item ' || n FROM s;
             INSERT INTO notes {} SELECT n, n, printf('%.*c', n % 90, 'x') FROM s;
             COMMIT;",
            series(7),
            series(items),
            series(notes)
        );
        sqlite.execute_batch(&sql).unwrap();
        std::fs::write(folder.path().join("spec.yaml"), SPEC).unwrap();
        Self { folder, items, notes, chunk, sleep }
    }

    fn command(&self, arguments: &[&str], url: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tenantry"));
        command.current_dir(self.folder.path()).args(arguments).args(["--target", url]);
        command.env("TENANTRY_CHUNK_ROWS", self.chunk.to_string()).stdin(Stdio::null());
        command
    }

    /// Runs a cutover to its end, or to the place where it is to be killed.
    pub fn run(&self, url: &str, more: &[&str], place: Option<&str>) -> Outcome {
        let mut command = self.cutover(url, more);
        if let Some(place) = place {
            command.env("TENANTRY_FAILPOINT", place);
        }
        outcome(command.spawn().unwrap())
    }

    /// Runs a cutover, slowly where the case is slow, while something else happens.
    pub fn run_and(&self, url: &str, meanwhile: impl FnOnce()) -> Outcome {
        let child = self.slowly(url, &[]).spawn().unwrap();
        meanwhile();
        outcome(child)
    }

    /// Prepares a cutover that is slow where the case is.
    pub fn slowly(&self, url: &str, more: &[&str]) -> Command {
        let mut command = self.cutover(url, more);
        command.env("TENANTRY_FAILPOINT_SLEEP", self.sleep.to_string());
        command
    }

    /// Names a file of the case's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Verifies a target against a database, and returns the exit code.
    pub fn verify(&self, target: &Target, database: &Path) -> Option<i32> {
        let mut command = self.command(&["verify", "spec.yaml"], &target.url);
        command.arg("--source").arg(database);
        outcome(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()).code
    }

    fn cutover(&self, url: &str, more: &[&str]) -> Command {
        let mut command = self.command(&["cutover", "spec.yaml", "--source", "app.db", "--work-dir", "work"], url);
        command.args(more).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn roll_back(&self, target: &Target, place: Option<&str>) -> Outcome {
        let mut command = self.command(&["rollback", "spec.yaml"], &target.url);
        if let Some(place) = place {
            command.env("TENANTRY_FAILPOINT", place);
        }
        outcome(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// Learns the places that a run passes.
    pub fn places(&self, server: &crate::server::Server) -> Vec<String> {
        let target = server.database();
        let log = self.folder.path().join("places");
        let mut command = self.cutover(&target.url, &[]);
        let done = outcome(command.env("TENANTRY_FAILPOINT_LOG", &log).spawn().unwrap());
        assert_eq!(done.code, Some(0), "{}", done.text);
        self.check(&target, "undisturbed");
        target.remove();
        let places: BTreeSet<String> = std::fs::read_to_string(&log).unwrap().lines().map(str::to_owned).collect();
        std::fs::remove_file(&log).unwrap();
        places.into_iter().collect()
    }

    /// Runs a cutover that is killed at a place.
    pub fn killed_at(&self, place: &str, target: &Target) {
        let killed = self.run(&target.url, &[], Some(place));
        assert_eq!(killed.code, None, "{place} was not reached: {}", killed.text);
    }

    /// Continues a run until it is done.
    pub fn resume(&self, target: &Target, what: &str) {
        let done = self.run(&target.url, &["--resume"], None);
        assert_eq!(done.code, Some(0), "{what}: {}", done.text);
    }

    /// Undoes a run that may have been recorded or not; nothing may be left of it.
    pub fn undo(&self, target: &Target, what: &str) {
        let undone = self.roll_back(target, None);
        let nothing = undone.text.contains("run-not-found");
        assert!(undone.code == Some(0) || nothing, "{what}: {}", undone.text);
        assert_eq!(target.left(), 0, "{what}");
    }

    /// Makes sure that the target has every row once, all keys, and policies; it was proven by the run itself as well.
    pub fn check(&self, target: &Target, what: &str) {
        let mut connection = target.connect();
        let mut numbers = |sql: &str| {
            let row = connection.query_one(sql, &[], "look at the target").unwrap();
            (0..row.0.len()).map(|column| row.integer(column).unwrap()).collect::<Vec<_>>()
        };
        for (table, rows) in [("accounts", 7), ("items", self.items), ("notes", self.notes)] {
            let sum = (rows * (rows + 1) / 2) as i64;
            let found = numbers(&format!("SELECT count(*), count(DISTINCT id), sum(id)::bigint FROM {table}"));
            assert_eq!(found, [rows as i64, rows as i64, sum], "{what}: {table}");
        }
        let wrong = numbers(
            "SELECT (SELECT count(*) FROM items WHERE account_id <> 1 + id % 7),
                    (SELECT count(*) FROM notes n JOIN items i ON i.id = n.item_id WHERE n.account_id <> i.account_id),
                    (SELECT count(*) FROM notes WHERE length(body) <> id % 90 AND id % 90 > 0)",
        );
        assert_eq!(wrong, [0, 0, 0], "{what}");
        let catalog = numbers(
            "SELECT count(*) FILTER (WHERE contype = 'p'), count(*) FILTER (WHERE contype = 'f' AND convalidated),
                    (SELECT count(*) FROM pg_policy), (SELECT count(*) FROM pg_views WHERE viewname = 'bodies'),
                    (SELECT count(*) FROM tenantry.runs WHERE finished IS NOT NULL)
             FROM pg_constraint WHERE connamespace = 'public'::regnamespace",
        );
        assert_eq!(catalog, [3, 4, 3, 1, 1], "{what}");
    }
}

fn outcome(child: Child) -> Outcome {
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code().is_some() || output.status.signal() == Some(9), "{text}");
    Outcome { code: output.status.code(), text }
}

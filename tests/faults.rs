//! Runs that go wrong, or might: what is said then, what the exit code is, and what the target has afterwards.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use rusqlite::Connection as Sqlite;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tenantry::postgres::{Connection, Durability, Scratch, Server};

const SQLITE: &str = "
    CREATE TABLE accounts (id INTEGER PRIMARY KEY);
    CREATE TABLE items (id INTEGER PRIMARY KEY AUTOINCREMENT, account_id INTEGER NOT NULL REFERENCES accounts (id));
    INSERT INTO accounts VALUES (1), (2);
    INSERT INTO items VALUES (1, 1), (2, 2), (40000, 1);
    DELETE FROM items WHERE id = 40000;";

const SPEC: &str =
    "version: 1\nsource: app.db\ntenant: {column: account_id, root: accounts}\ntables:\n  items: {tenant: infer}\n";

/// A source with a spec, and an empty database.
struct Case {
    folder: TempDir,
    database: String,
}

fn scratch() -> &'static Scratch {
    static SCRATCH: OnceLock<Scratch> = OnceLock::new();
    SCRATCH.get_or_init(|| Scratch::start(Durability::Off).unwrap())
}

impl Case {
    fn new(sqlite: &str, spec: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let folder = tempfile::tempdir().unwrap();
        Sqlite::open(folder.path().join("app.db")).unwrap().execute_batch(sqlite).unwrap();
        std::fs::write(folder.path().join("spec.yaml"), spec).unwrap();
        let database = format!("faults_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let mut connection = scratch().server().connect("public", Duration::from_secs(10)).unwrap();
        connection.execute(&format!("CREATE DATABASE {database}"), "create a database").unwrap();
        Self { folder, database }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn server(&self) -> Server {
        scratch().server().with_database(&self.database)
    }

    fn sqlite(&self) -> Sqlite {
        Sqlite::open(self.path("app.db")).unwrap()
    }

    fn connect(&self) -> Connection {
        self.server().connect("public", Duration::from_secs(10)).unwrap()
    }

    fn run(&self, more: &[&str]) -> (Option<i32>, String) {
        self.tenantry(&[&["cutover", "spec.yaml", "--source", "app.db", "--work-dir", "work"][..], more].concat())
    }

    /// Continues a run, without its source.
    fn resume(&self, more: &[&str]) -> (Option<i32>, String) {
        self.tenantry(&[&["cutover", "spec.yaml", "--resume", "--work-dir", "work"][..], more].concat())
    }

    fn roll_back(&self, more: &[&str]) -> (Option<i32>, String) {
        self.tenantry(&[&["rollback", "spec.yaml"][..], more].concat())
    }

    fn tenantry(&self, arguments: &[&str]) -> (Option<i32>, String) {
        self.killed_at(None, arguments)
    }

    /// Runs a cutover that dies when its rows are there and its keys are not.
    fn interrupted(&self, more: &[&str]) {
        let arguments = [&["cutover", "spec.yaml", "--source", "app.db", "--work-dir", "work"][..], more].concat();
        let (code, text) = self.killed_at(Some("rows of items: after COMMIT"), &arguments);
        assert_eq!(code, None, "{text}");
    }

    fn killed_at(&self, place: Option<&str>, arguments: &[&str]) -> (Option<i32>, String) {
        let url = format!("postgresql://postgres@/{}?host={}", self.database, scratch().directory().display());
        let mut command = Command::new(env!("CARGO_BIN_EXE_tenantry"));
        command.current_dir(self.folder.path()).args(arguments).args(["--target", &url]);
        if let Some(place) = place {
            command.env("TENANTRY_FAILPOINT", place);
        }
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.code(), text)
    }

    fn number(&self, sql: &str) -> i64 {
        self.connect().query_one(sql, &[], "ask the target").unwrap().integer(0).unwrap()
    }

    fn tables(&self) -> i64 {
        self.number("SELECT count(*) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')")
    }
}

#[test]
fn a_run_that_is_committed_has_not_failed_for_want_of_statistics() {
    let extra = "CREATE FUNCTION refuse(n bigint) RETURNS bigint IMMUTABLE LANGUAGE plpgsql AS $$
        BEGIN IF current_query() LIKE 'VACUUM%' THEN RAISE EXCEPTION 'not now'; END IF; RETURN n; END $$;
        CREATE INDEX refused ON items (refuse(id));";
    let case = |more: &str| {
        let case = Case::new(SQLITE, &format!("{SPEC}extra: {{post-data: [extra.sql]}}\n"));
        std::fs::write(case.path("extra.sql"), format!("{extra}{more}")).unwrap();
        case
    };
    let proven = case("");
    let (code, text) = proven.run(&[]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("proven") && text.contains("committed, without statistics"), "{text}");
    assert_eq!(proven.number("SELECT count(*) FROM items"), 2);
    // They are gathered beside the proof: of a run that is not proven nothing is committed for good.
    let (code, text) = case("UPDATE items SET account_id = 2 WHERE id = 1;").run(&[]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("not finished") && !text.contains("committed, without"), "{text}");
}

#[test]
fn a_foreign_key_whose_sides_lie_in_order_is_validated_without_a_hash_and_nothing_else_is() {
    let case = Case::new(
        "CREATE TABLE accounts (id INTEGER PRIMARY KEY);
         CREATE TABLE items (id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL REFERENCES accounts (id));
         CREATE TABLE parts (id INTEGER PRIMARY KEY, item_id INTEGER NOT NULL REFERENCES items (id));
         INSERT INTO accounts VALUES (1); INSERT INTO items VALUES (1, 1); INSERT INTO parts VALUES (1, 1);",
        "version: 1\nsource: app.db\ntenant: {column: account_id, root: accounts}\ntables:\n  \
         items: {tenant: infer}\n  parts: {tenant: infer}\n",
    );
    let mut connection = case.connect();
    for sql in [
        "CREATE TABLE seen (query text, hashes text)",
        "CREATE FUNCTION note() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
             INSERT INTO public.seen VALUES (current_query(), current_setting('enable_hashjoin')); END $$",
        "CREATE EVENT TRIGGER noting ON ddl_command_end WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION note()",
    ] {
        connection.execute(sql, "prepare").unwrap();
    }
    let (code, text) = case.run(&[]);
    assert_eq!(code, Some(0), "{text}");
    let seen = |condition: &str| case.number(&format!("SELECT count(*) FROM seen WHERE {condition}"));
    // The keys begin with the tenant, so both references to accounts can be merged; nothing orders the parts by item.
    let merged = "query LIKE '%VALIDATE%' AND hashes = 'off'";
    assert_eq!((seen(merged), seen(&format!("{merged} AND query LIKE '%item_id%'"))), (2, 0));
    assert_eq!(
        (seen("query LIKE '%VALIDATE%item_id%'"), seen("query NOT LIKE '%VALIDATE%' AND hashes = 'off'")),
        (1, 0)
    );
}

#[test]
fn a_sequence_that_has_no_number_left_is_told_by_name_and_nothing_is_written() {
    let case = Case::new(SQLITE, &SPEC.replace("infer}", "infer, columns: {id: {type: smallint}}}"));
    let (code, text) = case.run(&[]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("sequence-exhausted") && text.contains("40000 for items.id"), "{text}");
    assert_eq!(case.tables(), 0);
}

#[test]
fn a_table_wider_than_postgresql_takes_is_refused_by_the_plan() {
    let columns: Vec<String> = (0..1599).map(|number| format!("c{number} INTEGER")).collect();
    let table = |more: &str| format!("CREATE TABLE wide (t INTEGER NOT NULL, {}{more});", columns.join(", "));
    let spec = "version: 1\nsource: app.db\ntenant: {column: t, type: bigint}\ntables: {wide: {tenant: {column: t}}}\n";
    for (more, code, said) in [(", one_more", 2, "too-many-columns"), ("", 0, "proven")] {
        let case = Case::new(&table(more), spec);
        let (found, text) = case.run(&[]);
        assert_eq!(found, Some(code), "{text}");
        assert!(text.contains(said), "{text}");
    }
}

#[test]
fn rows_without_a_column_left_are_counted() {
    let case = Case::new(
        "CREATE TABLE marks (a INTEGER); INSERT INTO marks VALUES (1), (NULL), (1);",
        "version: 1\nsource: app.db\ntenant: {column: t, type: bigint}\n\
         tables: {marks: {placement: shared, columns: {a: omit}}}\n",
    );
    let (code, text) = case.run(&[]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(case.number("SELECT count(*) FROM marks"), 3);
}

#[test]
fn the_greatest_number_is_not_given_out_again() {
    let greatest = i64::MAX;
    let case = Case::new(&format!("{SQLITE} INSERT INTO items VALUES ({greatest}, 1);"), SPEC);
    let (code, text) = case.run(&[]);
    assert_eq!(code, Some(0), "{text}");
    // In the composite key, (2, greatest) would be free.
    let refused = case.connect().execute("INSERT INTO items (account_id) VALUES (2)", "insert").unwrap_err();
    assert!(refused.message.contains("maximum"), "{refused:?}");
}

#[test]
fn an_interrupted_run_is_named_and_continued_from_its_snapshot_alone() {
    let case = Case::new(SQLITE, SPEC);
    case.interrupted(&[]);
    let (code, text) = case.run(&[]);
    assert_eq!(code, Some(2), "{text}");
    for part in ["run-unfinished", "was begun at 2", "--resume", "tenantry rollback spec.yaml", "--replace"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    // The application goes on meanwhile, and in the end its file is gone: what is moved is the snapshot.
    case.sqlite().execute_batch("INSERT INTO items VALUES (50000, 2)").unwrap();
    std::fs::rename(case.path("app.db"), case.path("elsewhere.db")).unwrap();
    std::fs::write(case.path("app.db"), "").unwrap();
    std::fs::remove_file(case.path("app.db")).unwrap();
    let (code, text) = case.resume(&[]);
    assert_eq!(code, Some(2), "the spec's own source is the database: {text}");
    std::fs::rename(case.path("elsewhere.db"), case.path("app.db")).unwrap();
    let (code, text) = case.resume(&[]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("continued") && text.contains("proven"), "{text}");
    assert!(text.contains("the source has been written to since its snapshot"), "{text}");
    assert_eq!(case.number("SELECT count(*) FROM items"), 2);
    let (code, text) = case.run(&[]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("source-changed") && text.contains("--replace"), "{text}");
    let (code, text) = case.run(&["--replace"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("was undone for it"), "{text}");
    assert_eq!(case.number("SELECT count(*) FROM items"), 3);
}

#[test]
fn at_every_moment_of_a_replacement_one_of_the_two_runs_is_recorded() {
    let case = Case::new(SQLITE, SPEC);
    assert_eq!(case.run(&[]).0, Some(0));
    case.sqlite().execute_batch("INSERT INTO items VALUES (50000, 2)").unwrap();
    let replace = ["cutover", "spec.yaml", "--source", "app.db", "--work-dir", "work", "--replace"];
    let runs = "SELECT count(*) FILTER (WHERE finished IS NOT NULL) * 10 + count(*) FROM tenantry.runs";
    // What keeps the old run from being undone leaves it as it was.
    let mut connection = case.connect();
    connection.execute("CREATE VIEW report AS SELECT count(*) FROM items", "create").unwrap();
    let (code, text) = case.tenantry(&replace);
    assert!(code == Some(2) && text.contains("depended-on"), "{text}");
    connection.execute("DROP VIEW report", "drop").unwrap();
    connection.execute("INSERT INTO items (id, account_id) VALUES (60000, 2)", "insert").unwrap();
    let (code, text) = case.tenantry(&replace);
    assert!(code == Some(2) && text.contains("--discard-new-rows 1"), "{text}");
    assert_eq!((case.number(runs), case.number("SELECT count(*) FROM items")), (11, 3));
    let replace = [&replace[..], &["--discard-new-rows", "1"]].concat();
    assert_eq!(case.killed_at(Some("replace: before COMMIT"), &replace).0, None);
    assert_eq!((case.number(runs), case.number("SELECT count(*) FROM items")), (11, 3));
    assert_eq!(case.killed_at(Some("replace: after COMMIT"), &replace).0, None);
    assert_eq!((case.number(runs), case.tables()), (1, 4), "the journal's tables are all that is there");
    let (code, text) = case.resume(&[]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!((case.number(runs), case.number("SELECT count(*) FROM items")), (11, 3));
    // The first run's snapshot is still there, and somebody has to know.
    assert!(text.contains("snapshots of other runs take") && text.matches("/snapshot-").count() == 2, "{text}");
}

#[test]
fn expected_tables_get_policies_and_objects_of_the_spec_and_lose_them_again() {
    let spec =
        format!("{SPEC}rls: {{setting: app.account_id}}\nextra: {{pre-data: [before.sql], post-data: [after.sql]}}\n");
    let case = Case::new(SQLITE, &spec);
    std::fs::write(case.path("before.sql"), "CREATE FUNCTION before() RETURNS int LANGUAGE sql AS 'SELECT 1';")
        .unwrap();
    std::fs::write(case.path("after.sql"), "CREATE VIEW after AS SELECT count(*) AS items FROM items;").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenantry"));
    command.current_dir(case.folder.path()).args(["emit", "spec.yaml", "--section", "pre-data"]);
    let text = String::from_utf8(command.output().unwrap().stdout).unwrap();
    let text: String = text.lines().filter(|line| !line.starts_with("--")).collect::<Vec<_>>().join("\n");
    let mut connection = case.connect();
    for sql in text.split(';').map(str::trim).filter(|sql| !sql.is_empty()) {
        connection.execute(sql, "make what is expected").unwrap();
    }
    let found = |case: &Case| {
        let of = |sql: &str| case.number(&format!("SELECT count(*) FROM {sql}"));
        [
            of("pg_policy"),
            of("pg_class WHERE relname IN ('items', 'accounts') AND relrowsecurity"),
            of("pg_views WHERE viewname = 'after'"),
            of("pg_proc WHERE proname = 'before'"),
        ]
    };
    assert_eq!(found(&case), [0, 0, 0, 1]);
    let (code, text) = case.run(&["--schema", "expect"]);
    assert_eq!(code, Some(0), "{text}");
    let isolated = found(&case);
    assert!(isolated[0] >= 2 && isolated[1] == 2 && isolated[2..] == [1, 1], "{isolated:?}");
    let (code, text) = case.tenantry(&["verify", "spec.yaml", "--source", "app.db"]);
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = case.roll_back(&[]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(found(&case), [0, 0, 0, 1], "what was there before is there again, and nothing else");
    assert_eq!((case.tables(), case.number("SELECT count(*) FROM items")), (2, 0));
    let (code, text) = case.run(&["--schema", "expect"]);
    assert_eq!(code, Some(0), "{text}");
    // In place of itself, too.
    case.sqlite().execute_batch("INSERT INTO items VALUES (50000, 2)").unwrap();
    let (code, text) = case.run(&["--schema", "expect", "--replace"]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!((found(&case), case.number("SELECT count(*) FROM items")), (isolated, 3));
}

#[test]
fn a_run_is_not_continued_with_anything_else_than_it_was_begun_with() {
    let case = Case::new(SQLITE, SPEC);
    let (code, text) = case.resume(&[]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("run-not-found"), "{text}");
    case.interrupted(&[]);
    // A remark decides nothing, but who is to say what does?
    std::fs::write(case.path("spec.yaml"), format!("{SPEC}# more\n")).unwrap();
    let (code, text) = case.resume(&[]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("run-differs") && text.contains("the spec") && !text.contains("the DDL"), "{text}");
    std::fs::write(case.path("spec.yaml"), SPEC.replace("infer}", "infer, columns: {id: {as: number}}}")).unwrap();
    let (code, text) = case.resume(&[]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("run-differs") && text.contains("the DDL"), "{text}");
    std::fs::write(case.path("spec.yaml"), SPEC).unwrap();

    let kept = std::fs::read_dir(case.path("work")).unwrap().map(|entry| entry.unwrap().path());
    let snapshot = kept.into_iter().find(|path| path.extension().is_some_and(|end| end == "db")).unwrap();
    let bytes = std::fs::read(&snapshot).unwrap();
    std::fs::write(&snapshot, &bytes[..bytes.len() - 1]).unwrap();
    let (code, text) = case.resume(&[]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("snapshot-damaged"), "{text}");
    std::fs::remove_file(&snapshot).unwrap();
    let (code, text) = case.resume(&[]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("snapshot-missing"), "{text}");
    // The source serves as long as it is what it was.
    case.sqlite().execute_batch("UPDATE items SET account_id = 2 WHERE id = 1").unwrap();
    let (code, text) = case.resume(&["--source", "app.db"]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("snapshot-missing") && text.contains("written to"), "{text}");
    std::fs::write(case.path("app.db"), &bytes).unwrap();
    let (code, text) = case.resume(&["--source", "app.db"]);
    assert_eq!(code, Some(0), "{text}");
    // Once it is finished, a source that is named has to be what was moved.
    let (code, text) = case.resume(&["--source", "app.db"]);
    assert!(code == Some(0) && text.contains("finished already"), "{text}");
    case.sqlite().execute_batch("UPDATE items SET account_id = 2 WHERE id = 1").unwrap();
    let (code, text) = case.resume(&["--source", "app.db"]);
    assert!(code == Some(2) && text.contains("source-changed"), "{text}");
    let (code, text) = case.resume(&[]);
    assert!(code == Some(0) && text.contains("finished already"), "{text}");
}

#[test]
fn a_database_that_lacks_characters_is_refused_before_anything_is_done() {
    let case = Case::new(SQLITE, SPEC);
    let latin = format!("{}_latin", case.database);
    let create = format!("CREATE DATABASE {latin} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
    case.connect().execute(&create, "create a database").unwrap();
    let case = Case { database: latin, ..case };
    for more in [&[][..], &["--dry-run"], &["--resume"]] {
        let (code, text) = case.run(more);
        assert!(code == Some(2) && text.contains("encoding-unfit") && !text.contains("snapshot …"), "{text}");
    }
    assert_eq!((case.tables(), case.path("work").exists()), (0, false));
}

#[test]
fn a_second_run_is_told_who_holds_the_lock_also_of_a_client_that_hangs() {
    let case = Case::new(SQLITE, SPEC);
    let log = case.path("places");
    let url = format!("postgresql://postgres@/{}?host={}", case.database, scratch().directory().display());
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenantry"));
    command.current_dir(case.folder.path()).args(["cutover", "spec.yaml", "--source", "app.db", "--work-dir", "work"]);
    command.args(["--target", &url]).stdout(Stdio::null()).stderr(Stdio::null());
    // Slow enough to be stopped in the middle.
    let mut hung = command.env("TENANTRY_FAILPOINT_LOG", &log).env("TENANTRY_FAILPOINT_SLEEP", "300").spawn().unwrap();
    let started = Instant::now();
    while !std::fs::read_to_string(&log).is_ok_and(|places| places.contains("of accounts: claimed")) {
        assert!(started.elapsed() < Duration::from_secs(60), "the run does not come so far");
        std::thread::sleep(Duration::from_millis(10));
    }
    let signal = |name: &str| {
        assert!(Command::new("kill").args([name, &hung.id().to_string()]).status().unwrap().success());
    };
    signal("-STOP");
    let process = case.number(
        "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    );
    // The folder is the run's own as well; another machine would not have it.
    let (code, text) = case.run(&[]);
    assert_eq!(code, Some(2), "{text}");
    for part in
        ["run-in-progress", &format!("process {process} of tenantry"), "connected since 2", "pg_terminate_backend"]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
    let (code, text) = case.roll_back(&[]);
    assert!(code == Some(2) && text.contains("run-in-progress"), "{text}");
    // One that goes on again has lost nothing.
    signal("-CONT");
    assert_eq!(hung.wait().unwrap().code(), Some(0));
    assert_eq!(case.number("SELECT count(*) FROM items"), 2);
    let (code, text) = case.run(&[]);
    assert!(code == Some(0) && text.contains("finished already"), "{text}");
}

#[test]
fn a_source_that_nobody_writes_has_the_same_bytes_afterwards_and_so_has_its_log() {
    for journal in ["DELETE", "WAL"] {
        let case = Case::new(&format!("PRAGMA journal_mode = {journal}; {SQLITE}"), SPEC);
        let files = ["app.db", "app.db-wal"];
        if journal == "WAL" {
            // As after a crash: the log holds what the file lacks, and nobody has the database open.
            let application = case.sqlite();
            application.execute_batch("PRAGMA wal_autocheckpoint = 0; INSERT INTO items VALUES (3, 1)").unwrap();
            let kept = files.map(|name| std::fs::read(case.path(name)).unwrap());
            drop(application);
            for (name, bytes) in files.iter().zip(&kept) {
                std::fs::write(case.path(name), bytes).unwrap();
            }
        }
        let bytes = || files.map(|name| std::fs::read(case.path(name)).ok());
        let before = bytes();
        assert_eq!(before[1].as_ref().is_some_and(|log| !log.is_empty()), journal == "WAL");
        let rows = if journal == "WAL" { 3 } else { 2 };
        for more in [&["--dry-run"][..], &[], &["--replace", "--freeze"]] {
            let (code, text) = case.run(more);
            assert_eq!(code, Some(0), "{text}");
            assert!(bytes() == before, "{journal} {more:?}: the source has changed");
        }
        assert_eq!(case.number("SELECT count(*) FROM items"), rows);
        let (code, text) = case.tenantry(&["verify", "spec.yaml", "--source", "app.db"]);
        assert!(code == Some(0) && bytes() == before, "{journal}: {text}");
    }
}

#[test]
fn a_proof_that_fails_lets_nobody_in_and_can_be_undone() {
    let spec = format!("{SPEC}rls: {{setting: app.account_id}}\nextra: {{post-data: [after.sql]}}\n");
    let case = Case::new(SQLITE, &spec);
    std::fs::write(case.path("after.sql"), "UPDATE items SET account_id = 2 WHERE id = 1;").unwrap();
    for (code, text) in [case.run(&[]), case.resume(&[])] {
        assert_eq!(code, Some(2), "{text}");
        assert!(text.contains("items") && text.contains("not finished") && text.contains("rollback"), "{text}");
        assert_eq!(case.number("SELECT count(*) FROM pg_policy"), 0);
        assert_eq!(case.number("SELECT count(*) FROM tenantry.runs WHERE finished IS NULL"), 1);
    }
    let (code, text) = case.roll_back(&[]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(case.tables(), 0);
}

#[test]
fn what_others_have_made_stops_a_rollback_or_stays() {
    let case = Case::new(SQLITE, &format!("{SPEC}target: {{schema: shop}}\n"));
    assert_eq!(case.run(&[]).0, Some(0));
    let mut connection = case.connect();
    connection.execute("CREATE VIEW report AS SELECT count(*) FROM shop.items", "create").unwrap();
    let (code, text) = case.roll_back(&[]);
    assert_eq!(code, Some(2), "{text}");
    let said = text.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ");
    assert!(said.contains("depended-on") && said.contains("view public.report depends on table items"), "{text}");
    assert_eq!(case.number("SELECT count(*) FROM shop.items"), 2);
    connection.execute("DROP VIEW report", "drop").unwrap();
    connection.execute("CREATE TABLE shop.theirs (id int)", "create").unwrap();
    let (code, text) = case.roll_back(&[]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("left, not empty: schema shop"), "{text}");
    assert_eq!(case.tables(), 1);
    assert_eq!(case.number("SELECT count(*) FROM shop.theirs"), 0);
}

#[test]
fn tables_that_are_there_are_filled_where_they_are_as_expected() {
    let spec = format!("{SPEC}views: omit\n");
    let tree = SQLITE.replace(
        "account_id INTEGER NOT NULL",
        "up INTEGER CONSTRAINT above CHECK (up > 0) REFERENCES items (id), account_id INTEGER NOT NULL",
    );
    let tree = tree.replace(
        "INSERT INTO items VALUES (1, 1), (2, 2), (40000, 1);",
        "INSERT INTO items VALUES (1, 2, 1), (2, NULL, 1);",
    );
    let case = Case::new(&tree, &spec);
    let ddl = |section: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tenantry"));
        command.current_dir(case.folder.path()).args(["emit", "spec.yaml", "--section", section]);
        let text = String::from_utf8(command.output().unwrap().stdout).unwrap();
        let text: String = text.lines().filter(|line| !line.starts_with("--")).collect::<Vec<_>>().join("\n");
        text.split(';').map(|sql| sql.trim().to_owned()).filter(|sql| !sql.is_empty()).collect::<Vec<_>>()
    };
    let (code, text) = case.run(&["--schema", "expect"]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("target-differs") && text.contains("the table items is missing"), "{text}");
    let mut connection = case.connect();
    for sql in ddl("pre-data") {
        connection.execute(&sql, "make the tables").unwrap();
    }
    // Every difference is told at once.
    connection.execute("ALTER TABLE items ADD extra text, ALTER account_id TYPE integer", "alter").unwrap();
    let check = |condition: &str| {
        format!("ALTER TABLE items DROP CONSTRAINT above, ADD CONSTRAINT above CHECK (up {condition} 0)")
    };
    connection.execute(&check(">="), "alter").unwrap();
    connection.execute("INSERT INTO accounts VALUES (9)", "insert").unwrap();
    let (code, text) = case.run(&["--schema", "expect"]);
    assert_eq!(code, Some(2), "{text}");
    for part in [
        "column extra text is not in the plan",
        "account_id integer",
        "accounts: it holds rows",
        "the CHECK above is (up >= 0)",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert_eq!(case.tables(), 2);
    connection.execute("ALTER TABLE items DROP extra, ALTER account_id TYPE bigint", "alter").unwrap();
    connection.execute(&check(">"), "alter").unwrap();
    connection.execute("DELETE FROM accounts", "delete").unwrap();

    // With no key, then with all keys and foreign keys, among them one of the table to itself.
    let constraints =
        "SELECT count(*) FROM pg_constraint WHERE contype IN ('p', 'u', 'f') AND connamespace = 'public'::regnamespace";
    let all = ddl("post-data");
    for keys in [0, all.len()] {
        for sql in &all[..keys] {
            connection.execute(sql, "make the keys").unwrap();
        }
        let before = case.number(constraints);
        case.interrupted(&["--schema", "expect"]);
        let (code, text) = case.roll_back(&[]);
        assert_eq!(code, Some(0), "{text}");
        assert!(text.contains("emptied: items"), "{text}");
        assert_eq!(
            (case.tables(), case.number("SELECT count(*) FROM items"), case.number(constraints)),
            (2, 0, before)
        );
        case.interrupted(&["--schema", "expect"]);
        let (code, text) = case.resume(&[]);
        assert_eq!(code, Some(0), "{text}");
        assert_eq!(case.number("SELECT count(*) FROM items"), 2);
        assert_eq!(case.number(constraints), 4);
        let (code, text) = case.roll_back(&[]);
        assert_eq!(code, Some(0), "{text}");
        assert_eq!(
            (case.tables(), case.number("SELECT count(*) FROM items"), case.number(constraints)),
            (2, 0, before)
        );
    }
}

#[test]
fn the_report_says_what_the_application_had_to_wait_for() {
    for (journal, blocked) in [("DELETE", true), ("WAL", false)] {
        let case = Case::new(&format!("PRAGMA journal_mode = {journal}; {SQLITE}"), SPEC);
        let application = case.sqlite();
        application.query_row("SELECT count(*) FROM items", [], |_| Ok(())).unwrap();
        let (code, text) = case.run(&[]);
        assert_eq!(code, Some(0), "{text}");
        assert_eq!(text.contains("the application could not write for"), blocked, "{journal}: {text}");
        assert!(!text.contains("written to since"), "{journal}: {text}");
        let (code, text) = case.run(&["--replace", "--freeze", "--format", "json"]);
        assert_eq!(code, Some(0), "{text}");
        assert!(text.contains("\"frozen\": true") && text.contains("\"moved_on\": false"), "{journal}: {text}");
        application.execute_batch("INSERT INTO items VALUES (60000, 2)").unwrap();
    }
    let rows = "INSERT INTO accounts WITH RECURSIVE s (n) AS (SELECT 3 UNION ALL SELECT n + 1 FROM s WHERE n < 2000000) SELECT n FROM s;";
    let case = Case::new(&format!("PRAGMA page_size = 512; {SQLITE} {rows}"), SPEC);
    let (code, text) = case.run(&["--max-block", "0.000001"]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("source-blocked-too-long"), "{text}");
    assert!(!case.path("work").exists(), "nothing is left of it");
    assert_eq!(case.tables(), 0);
}

#[test]
fn a_folder_that_cannot_keep_the_snapshot_is_refused_before_anything_is_written() {
    let case = Case::new(SQLITE, SPEC);
    std::fs::write(case.path("work"), "a file").unwrap();
    let (code, text) = case.run(&[]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("work-dir-unusable") && text.contains("--work-dir"), "{text}");
    assert_eq!(case.tables(), 0);
    let reserved = Case::new(SQLITE, &format!("{SPEC}target: {{schema: tenantry}}\n"));
    let (code, text) = reserved.run(&[]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("schema-reserved"), "{text}");
}

#[test]
fn an_application_that_goes_on_writing_in_wal_mode_never_waits_and_the_target_is_the_snapshot() {
    let rows = "INSERT INTO items WITH RECURSIVE s (n) AS (SELECT 3 UNION ALL SELECT n + 1 FROM s WHERE n < 5000)
                SELECT n, 1 + n % 2 FROM s;";
    let case = Case::new(&format!("PRAGMA journal_mode = WAL; {SQLITE} {rows}"), SPEC);
    let running = AtomicBool::new(true);
    let (code, text, commits) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let application = case.sqlite();
            // Whoever has to wait for longer than this gets an error.
            application.busy_timeout(Duration::from_millis(250)).unwrap();
            let mut commits = 0_u32;
            while running.load(Ordering::Relaxed) {
                let sql = "BEGIN IMMEDIATE; INSERT INTO items (account_id) VALUES (1); INSERT INTO items (account_id) VALUES (2); COMMIT";
                application.execute_batch(sql).unwrap();
                commits += 1;
            }
            commits
        });
        let (code, text) = case.run(&[]);
        running.store(false, Ordering::Relaxed);
        (code, text, writer.join().unwrap())
    });
    assert_eq!(code, Some(0), "{text}");
    assert!(commits > 0 && text.contains("the source has been written to since its snapshot"), "{commits}: {text}");
    let kept = std::fs::read_dir(case.path("work")).unwrap().map(|entry| entry.unwrap().path());
    let snapshot = kept.into_iter().find(|path| path.extension().is_some_and(|end| end == "db")).unwrap();
    let (code, text) = case.tenantry(&["verify", "spec.yaml", "--source", snapshot.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{text}");
    // Each transaction is there whole or not at all.
    let of =
        |account: i64| case.number(&format!("SELECT count(*) FROM items WHERE account_id = {account} AND id > 40000"));
    assert_eq!(of(1), of(2));
    println!("{commits} commits beside the run");
}

#[test]
fn limits_of_the_database_do_not_reach_the_run_and_a_database_that_takes_no_writes_is_told() {
    let case = Case::new(SQLITE, SPEC);
    let set = |setting: &str| {
        let sql = format!("ALTER DATABASE {} SET {setting}", case.database);
        case.connect().execute(&sql, "set a limit").unwrap();
    };
    set("default_transaction_read_only = on");
    let (code, text) = case.run(&[]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("target-read-only"), "{text}");
    assert_eq!(case.tables(), 0);
    let mut connection = case.connect();
    connection.execute("SET default_transaction_read_only = off", "allow writes").unwrap();
    let sql = format!("ALTER DATABASE {} RESET ALL", case.database);
    connection.execute(&sql, "take the limit away").unwrap();
    // A session has to get as far as to lift the limits, also where the machine has other things to do.
    for limit in ["statement_timeout = 20", "lock_timeout = 1", "idle_in_transaction_session_timeout = 1"] {
        set(limit);
    }
    set("synchronous_commit = off");
    let (code, text) = case.run(&[]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(case.number("SELECT count(*) FROM items"), 2);
}

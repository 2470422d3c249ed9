//! What stands at the other end may be full, old, or something in between that is no server: refused or survived.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use rusqlite::Connection as Sqlite;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tenantry::postgres::{Connection, Durability, Scratch, Server};

const SQLITE: &str = "
    CREATE TABLE accounts (id INTEGER PRIMARY KEY);
    CREATE TABLE items (id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL REFERENCES accounts (id));
    INSERT INTO accounts VALUES (1), (2);
    INSERT INTO items WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 1000) SELECT n, 1 + n % 2 FROM s;";

const SPEC: &str =
    "version: 1\nsource: app.db\ntenant: {column: account_id, root: accounts}\ntables:\n  items: {tenant: infer}\n";

/// Counts what a run has made.
const WRITTEN: &str = "SELECT count(*)::text FROM pg_tables WHERE schemaname IN ('public', 'tenantry')";

fn scratch() -> &'static Scratch {
    static SCRATCH: OnceLock<Scratch> = OnceLock::new();
    SCRATCH.get_or_init(|| Scratch::start(Durability::Off).unwrap())
}

/// A source with a spec, and an empty database.
struct Case {
    folder: TempDir,
    database: String,
}

impl Case {
    fn new(sqlite: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let folder = tempfile::tempdir().unwrap();
        Sqlite::open(folder.path().join("app.db")).unwrap().execute_batch(sqlite).unwrap();
        std::fs::write(folder.path().join("spec.yaml"), SPEC).unwrap();
        let database = format!("servers_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let mut connection = scratch().server().connect("public", Duration::from_secs(10)).unwrap();
        connection.execute(&format!("CREATE DATABASE {database}"), "create a database").unwrap();
        Self { folder, database }
    }

    fn url(&self) -> String {
        format!("postgresql://postgres@/{}?host={}", self.database, scratch().directory().display())
    }

    fn server(&self) -> Server {
        scratch().server().with_database(&self.database)
    }

    fn connect(&self) -> Connection {
        self.server().connect("public", Duration::from_secs(10)).unwrap()
    }

    fn text(&self, sql: &str) -> String {
        self.connect().query_one(sql, &[], "ask the target").unwrap().text(0).unwrap().to_owned()
    }

    fn command(&self, url: &str, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tenantry"));
        command.current_dir(self.folder.path());
        command.args(["cutover", "spec.yaml", "--source", "app.db", "--work-dir", "work", "--target", url]).args(more);
        command
    }

    /// Runs a cutover, and returns its exit code and all that it said.
    fn run(&self, url: &str, more: &[&str]) -> (Option<i32>, String) {
        outcome(&mut self.command(url, more))
    }

    /// Runs a cutover that may write no file larger than so many blocks of 512 bytes, as where a disk is full.
    fn run_in_little_room(&self, blocks: u32, more: &[&str]) -> (Option<i32>, String) {
        outcome(&mut self.in_little_room(&self.command(&self.url(), more), blocks))
    }

    fn in_little_room(&self, run: &Command, blocks: u32) -> Command {
        let mut shell = Command::new("sh");
        // Without a handler the limit is an error of the write, as a full disk is, and not a signal.
        shell.arg("-c").arg(format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\""));
        shell.arg(run.get_program()).args(run.get_args()).current_dir(self.folder.path());
        shell
    }
}

fn outcome(command: &mut Command) -> (Option<i32>, String) {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code(), text)
}

#[test]
fn a_server_whose_disk_is_full_is_told_and_the_run_goes_on_when_it_has_room() {
    let case = Case::new(SQLITE);
    let mut killed = case.command(&case.url(), &[]);
    let (code, text) = outcome(killed.env("TENANTRY_FAILPOINT", "pre-data: after COMMIT"));
    assert_eq!(code, None, "{text}");
    // In place of the table's file, one that is full whatever is written to it.
    let data = PathBuf::from(case.text("SELECT current_setting('data_directory')"));
    let file = data.join(case.text("SELECT pg_relation_filepath('items')"));
    std::fs::rename(&file, file.with_extension("kept")).unwrap();
    symlink("/dev/full", &file).unwrap();
    // A table that goes in as a whole is given a new file; one that goes in by chunks keeps the one that it has.
    let mut resumed = case.command(&case.url(), &["--resume"]);
    let (code, text) = outcome(resumed.env("TENANTRY_CHUNK_ROWS", "100"));
    assert_eq!(code, Some(2), "{text}");
    for part in ["disk-full", "free space on the server", "--resume", "rollback"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    std::fs::remove_file(&file).unwrap();
    std::fs::rename(file.with_extension("kept"), &file).unwrap();
    let (code, text) = case.run(&case.url(), &["--resume"]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(case.text("SELECT count(*)::text FROM items"), "1000");
}

#[test]
fn a_full_disk_here_is_told_before_the_run_or_stops_it_where_it_can_go_on() {
    // Each tenant has a copy of each row, so that there are many times as many bytes to send as in the source.
    let sqlite = "
        CREATE TABLE accounts (id INTEGER PRIMARY KEY);
        CREATE TABLE items (id INTEGER PRIMARY KEY, body TEXT);
        INSERT INTO accounts WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 100) SELECT n FROM s;
        INSERT INTO items VALUES (1, hex(randomblob(100000))), (2, hex(randomblob(100000)));";
    let case = Case::new(sqlite);
    std::fs::write(case.folder.path().join("spec.yaml"), SPEC.replace("infer", "every")).unwrap();
    let bytes = std::fs::metadata(case.folder.path().join("app.db")).unwrap().len();
    let blocks = u32::try_from(bytes / 512).unwrap();
    let (code, text) = case.run_in_little_room(blocks / 2, &[]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("snapshot-failed") && text.contains("room"), "{text}");
    // A long line is broken where it stands in the terminal's way.
    let words: String = text.replace(['│', '\n', ' '], "");
    assert!(words.contains(&format!("into{}/work:", case.folder.path().display())), "{text}");
    let left = std::fs::read_dir(case.folder.path().join("work")).map_or(0, |entries| entries.count());
    assert_eq!(left, 0, "nothing is left of it");
    assert_eq!(case.text(WRITTEN), "0");

    // Room for the snapshot, and none for the rows.
    let (code, text) = case.run_in_little_room(blocks + 1_000, &[]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("spill-failed") && text.contains("TMPDIR"), "{text}");
    assert_eq!(case.text(WRITTEN), "0");
    // One that is continued has been recorded.
    let mut killed = case.command(&case.url(), &[]);
    assert_eq!(outcome(killed.env("TENANTRY_FAILPOINT", "pre-data: after COMMIT")).0, None);
    let (code, text) = case.run_in_little_room(blocks + 1_000, &["--resume"]);
    assert_eq!(code, Some(2), "{text}");
    for part in ["spill-failed", "TMPDIR", "--resume"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let (code, text) = case.run(&case.url(), &["--resume"]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(case.text("SELECT count(*)::text FROM items"), "200");
}

#[test]
fn a_full_disk_under_what_the_proof_does_not_keep_in_memory_is_told() {
    // The list of groups with their tenants is larger than the source, where the long id stands twice.
    let sqlite = "
        CREATE TABLE accounts (id TEXT PRIMARY KEY);
        CREATE TABLE customers (id INTEGER PRIMARY KEY, account_id TEXT NOT NULL REFERENCES accounts (id));
        CREATE TABLE groups (id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customers (id));
        CREATE TABLE items (id INTEGER PRIMARY KEY, group_id INTEGER NOT NULL REFERENCES groups (id));
        INSERT INTO accounts VALUES (hex(zeroblob(400)));
        INSERT INTO customers SELECT 1, id FROM accounts;
        INSERT INTO groups WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 5000) SELECT n, 1 FROM s;
        INSERT INTO items SELECT id, id FROM groups;";
    let case = Case::new(sqlite);
    // What one join gives needs no list.
    let groups = "  groups: {tenant: {first: [{via: customer_id}, {constant: nobody}]}}\n";
    std::fs::write(case.folder.path().join("spec.yaml"), [SPEC, groups].concat()).unwrap();
    let (code, text) = case.run(&case.url(), &[]);
    assert_eq!(code, Some(0), "{text}");
    let blocks = u32::try_from(std::fs::metadata(case.folder.path().join("app.db")).unwrap().len() / 512).unwrap();
    let mut verify = Command::new(env!("CARGO_BIN_EXE_tenantry"));
    verify.args(["verify", "spec.yaml", "--source", "app.db", "--target", &case.url()]);
    let verified = |verify: &mut Command| outcome(verify.env("TENANTRY_TEMP_KIBIBYTES", "64"));
    let (code, text) = verified(&mut case.in_little_room(&verify, blocks + 1_000));
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("spill-failed") && text.contains("TMPDIR"), "{text}");
    let (code, text) = verified(verify.current_dir(case.folder.path()));
    assert_eq!(code, Some(0), "{text}");
}

/// A pooler in front of the scratch server, run by whoever runs that; ended with the test.
struct Pooler {
    process: Child,
    port: u16,
    _folder: TempDir,
}

impl Pooler {
    fn start(mode: &str) -> Self {
        let program =
            ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer", "/usr/local/bin/pgbouncer", "/opt/homebrew/bin/pgbouncer"];
        let program = program.into_iter().find(|path| Path::new(path).exists());
        let program = program.unwrap_or_else(|| panic!("pgbouncer is missing: run `make deps`, or install it"));
        let folder = tempfile::tempdir().unwrap();
        let owner = std::fs::metadata(scratch().directory().join("data")).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let settings = format!(
            "[databases]\n* = host={} user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = any\npool_mode = {mode}\n",
            scratch().directory().display()
        );
        let file = folder.path().join("pgbouncer.ini");
        std::fs::write(&file, settings).unwrap();
        let mut command = Command::new(program);
        command.arg("-q").current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if owner.uid() != std::fs::metadata("/proc/self").unwrap().uid() {
            // It refuses to run as root, and changes to the user itself.
            std::os::unix::fs::chown(folder.path(), Some(owner.uid()), Some(owner.gid())).unwrap();
            std::os::unix::fs::chown(&file, Some(owner.uid()), Some(owner.gid())).unwrap();
            std::os::unix::process::CommandExt::uid(&mut command, owner.uid());
            std::os::unix::process::CommandExt::gid(&mut command, owner.gid());
        }
        let process = command.arg(&file).spawn().unwrap();
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(started.elapsed() < Duration::from_secs(20), "pgbouncer does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { process, port, _folder: folder }
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        // One that has ended already needs no ending.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_pooler_in_transaction_mode_is_refused_and_one_in_session_mode_is_not() {
    let case = Case::new(SQLITE);
    for (mode, is_refused) in [("transaction", true), ("statement", true), ("session", false)] {
        let pooler = Pooler::start(mode);
        let url = format!("postgresql://postgres@127.0.0.1:{}/{}?sslmode=disable", pooler.port, case.database);
        let (code, text) = case.run(&url, &[]);
        if is_refused {
            assert_eq!(code, Some(2), "{mode}: {text}");
            for part in ["pooled-connection", "session mode"] {
                assert!(text.contains(part), "{part} in {mode}: {text}");
            }
            assert_eq!(
                case.text("SELECT count(*)::text FROM pg_tables WHERE schemaname IN ('public', 'tenantry')"),
                "0"
            );
        } else {
            assert_eq!(code, Some(0), "{mode}: {text}");
            assert_eq!(case.text("SELECT count(*)::text FROM items"), "1000");
        }
    }
}

#[test]
fn a_server_that_is_too_old_is_refused() {
    let case = Case::new(SQLITE);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            std::thread::spawn(move || old_server(client.unwrap()));
        }
    });
    let url = format!("postgresql://postgres@127.0.0.1:{port}/app?sslmode=disable");
    let (code, text) = case.run(&url, &[]);
    assert_eq!(code, Some(2), "{text}");
    for part in ["server-too-old", "PostgreSQL 13", "15 is the oldest supported", "upgrade"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let (code, text) = outcome(Command::new(env!("CARGO_BIN_EXE_tenantry")).args(["doctor", "--target", &url]));
    assert!(code == Some(2) && text.contains("PostgreSQL 13"), "{text}");
}

/// Speaks as much of the protocol as it takes to say that this is PostgreSQL 13.4, whatever is asked.
fn old_server(mut client: TcpStream) {
    let mut length = [0; 4];
    client.read_exact(&mut length).unwrap();
    let mut rest = vec![0; u32::from_be_bytes(length) as usize - 4];
    client.read_exact(&mut rest).unwrap();
    let message = |kind: u8, body: &[u8]| {
        let length = (body.len() as u32 + 4).to_be_bytes();
        [&[kind][..], &length, body].concat()
    };
    let ready = message(b'Z', b"I");
    let mut answer =
        [message(b'R', &[0; 4]), message(b'S', b"server_version\x0013.4\0"), message(b'K', &[0; 8])].concat();
    answer.extend_from_slice(&ready);
    loop {
        if client.write_all(&answer).is_err() {
            return;
        }
        let mut head = [0; 5];
        if client.read_exact(&mut head).is_err() {
            return;
        }
        let mut body = vec![0; u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize - 4];
        client.read_exact(&mut body).unwrap();
        // One column of text, and one row of it.
        let column = [&[0, 1][..], b"v\0", &[0; 6], &25_u32.to_be_bytes(), &[255, 255], &[255; 4], &[0, 0]].concat();
        let row = [&[0, 1, 0, 0, 0, 6][..], b"130004"].concat();
        answer = match head[0] {
            b'P' => message(b'1', &[]),
            b'D' => [message(b't', &[0, 0]), message(b'T', &column)].concat(),
            b'B' => message(b'2', &[]),
            b'E' => [message(b'D', &row), message(b'C', b"SELECT 1\0")].concat(),
            b'C' => message(b'3', &[]),
            b'S' => ready.clone(),
            _ => return,
        };
    }
}

//! Every state that an application can have left its database in, and what a copy of it has to hold.

use super::*;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;

type Contents = BTreeMap<String, Vec<u8>>;

fn contents(folder: &Path) -> Contents {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

fn rows(path: &Path) -> i64 {
    Snapshot::take(path).unwrap().open().unwrap().query_integer("SELECT count(*) FROM t", &[]).unwrap()
}

fn create(path: &Path, journal: &str) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection
        .execute_batch(&format!("PRAGMA journal_mode = {journal}; CREATE TABLE t(a); INSERT INTO t VALUES (1), (2);"))
        .unwrap();
    connection
}

/// Copies what a crashed application would leave into a folder of its own.
fn crashed(from: &Path, to: &Path, suffixes: &[&str]) -> PathBuf {
    for suffix in suffixes {
        fs::copy(format!("{}{suffix}", from.display()), to.join(format!("app.db{suffix}"))).unwrap();
    }
    to.join("app.db")
}

#[test]
fn a_rollback_database_is_copied_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a b?#%.db");
    drop(create(&path, "DELETE"));
    let before = contents(folder.path());
    assert_eq!(rows(&path), 2);
    assert_eq!(contents(folder.path()), before);
}

#[test]
fn the_copy_is_private_and_goes_with_the_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    drop(create(&path, "DELETE"));
    let snapshot = Snapshot::take(&path).unwrap();
    let copy = snapshot.path();
    let mode = fs::metadata(copy.parent().unwrap()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let _open = snapshot.open().unwrap();
    assert_eq!(contents(copy.parent().unwrap()).len(), 1, "no -wal, no -shm, no journal");
    drop(snapshot);
    assert!(!copy.exists());
}

#[test]
fn a_wal_database_that_was_closed_is_copied_without_new_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    drop(create(&path, "WAL"));
    let before = contents(folder.path());
    assert_eq!(before.len(), 1);
    assert_eq!(rows(&path), 2);
    assert_eq!(contents(folder.path()), before);
}

#[test]
fn a_wal_left_by_a_crash_is_read_with_and_without_its_index() {
    let folder = tempfile::tempdir().unwrap();
    let live = folder.path().join("app.db");
    let _open = create(&live, "WAL");
    for suffixes in [&["", "-wal"][..], &["", "-wal", "-shm"][..]] {
        let left = tempfile::tempdir().unwrap();
        let path = crashed(&live, left.path(), suffixes);
        let before = contents(left.path());
        assert_eq!(before.len(), suffixes.len());
        assert_eq!(rows(&path), 2, "rows in the log count");
        assert_eq!(contents(left.path()), before, "{suffixes:?}");
    }
}

#[test]
fn a_link_leads_to_the_log_beside_the_file_itself() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let application = create(&path, "WAL");
    let left = tempfile::tempdir().unwrap();
    let crashed = crashed(&path, left.path(), &["", "-wal"]);
    let links = tempfile::tempdir().unwrap();
    for (name, target) in [("live.db", &path), ("crashed.db", &crashed)] {
        let link = links.path().join(name);
        std::os::unix::fs::symlink(target, &link).unwrap();
        assert_eq!(rows(&link), 2, "{name}");
    }
    assert_eq!(fs::read_dir(links.path()).unwrap().count(), 2);
    drop(application);
}

#[test]
fn a_locked_database_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let application = create(&path, "DELETE");
    application.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let waiter = thread::spawn(move || rows(&path));
    thread::sleep(Duration::from_millis(200));
    application.execute_batch("COMMIT").unwrap();
    assert_eq!(waiter.join().unwrap(), 2, "it waits for the lock");
}

#[test]
fn a_read_only_directory_is_no_obstacle() {
    let folder = tempfile::tempdir().unwrap();
    let live = folder.path().join("app.db");
    let open = create(&live, "WAL");
    let left = tempfile::tempdir().unwrap();
    let path = crashed(&live, left.path(), &["", "-wal"]);
    drop(open);
    for path in [path, live] {
        let parent = path.parent().unwrap();
        fs::set_permissions(parent, fs::Permissions::from_mode(0o500)).unwrap();
        let found = rows(&path);
        fs::set_permissions(parent, fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(found, 2);
    }
}

#[test]
fn the_journal_of_a_crash_is_rolled_back_in_the_copy() {
    let folder = tempfile::tempdir().unwrap();
    let live = folder.path().join("app.db");
    let connection = create(&live, "DELETE");
    // A cache of one page makes SQLite write into the file before the end of the transaction.
    connection.execute_batch("PRAGMA cache_size = 1; PRAGMA cache_spill = 1; BEGIN; INSERT INTO t WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 5000) SELECT randomblob(100) FROM r;").unwrap();
    let left = tempfile::tempdir().unwrap();
    let path = crashed(&live, left.path(), &["", "-journal"]);
    let before = contents(left.path());
    assert_eq!(rows(&path), 2, "the unfinished transaction does not count");
    assert_eq!(contents(left.path()), before);
}

#[test]
fn an_application_may_go_on_writing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let application = create(&path, "WAL");
    application.execute_batch("CREATE TABLE u(a)").unwrap();
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stopped = std::sync::Arc::clone(&stop);
    let writer = thread::spawn(move || {
        let mut written = 0;
        while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
            application.execute_batch("BEGIN; INSERT INTO t VALUES (3); INSERT INTO u VALUES (3); COMMIT").unwrap();
            written += 1;
        }
        written
    });
    for _ in 0..20 {
        let database = Snapshot::take(&path).unwrap().open().unwrap();
        let difference = "SELECT (SELECT count(*) FROM t) - (SELECT count(*) FROM u)";
        assert_eq!(database.query_integer(difference, &[]).unwrap(), 2, "a transaction is seen whole or not at all");
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(writer.join().unwrap() > 0);
}

#[test]
fn threads_read_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    drop(create(&path, "WAL"));
    let snapshot = Snapshot::take(&path).unwrap();
    let count = || snapshot.open().unwrap().query_integer("SELECT count(*) FROM t", &[]).unwrap();
    let counts = thread::scope(|scope| [scope.spawn(count), scope.spawn(count)].map(|thread| thread.join().unwrap()));
    assert_eq!(counts, [2, 2]);
}

#[test]
fn equal_contents_hash_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let application = create(&path, "WAL");
    let hash = || Snapshot::take(&path).unwrap().hash.clone();
    let live = hash();
    assert_eq!(hash(), live);
    drop(application);
    assert_eq!(hash(), live, "the log is now part of the file");
    Connection::open(&path).unwrap().execute_batch("INSERT INTO t VALUES (3)").unwrap();
    assert_ne!(hash(), live);
}

#[test]
fn a_file_that_is_alone_is_copied_as_a_backup_would() {
    for (page_size, more) in [(512, "PRAGMA auto_vacuum = FULL"), (4096, ""), (65_536, "PRAGMA auto_vacuum = NONE")] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.db");
        let application = Connection::open(&path).unwrap();
        let rows =
            "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 3000) SELECT n, hex(n) FROM r";
        let sql = format!(
            "PRAGMA page_size = {page_size}; {more}; CREATE TABLE t(a, b); CREATE INDEX i ON t(b); INSERT INTO t {rows}; \
             CREATE TABLE u(a); INSERT INTO u VALUES (zeroblob(2000000)); DELETE FROM u; DELETE FROM t WHERE a % 7 = 0"
        );
        application.execute_batch(&sql).unwrap();
        drop(application);
        let snapshot = Snapshot::take(&path).unwrap();
        assert_eq!(
            hash(&snapshot.path()).unwrap(),
            (snapshot.hash.clone(), snapshot.bytes),
            "the copy is what was hashed"
        );
        let file = source_file::open(&path).unwrap();
        assert!(file.alone.is_some());
        let backed_up = folder.path().join("backup.db");
        backup(&path, &file, &backed_up, None).unwrap();
        assert_eq!(hash(&backed_up).unwrap(), (snapshot.hash.clone(), snapshot.bytes), "{page_size}");
        let intact = "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'";
        let copy = Connection::open(snapshot.path()).unwrap();
        assert_eq!(copy.query_row(intact, [], |row| row.get::<_, i64>(0)), Ok(0), "{page_size}");
    }
}

#[test]
fn the_lock_is_kept_while_the_file_is_copied_and_given_up_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let application = create(&path, "DELETE");
    application.busy_timeout(Duration::ZERO).unwrap();
    let file = source_file::open(&path).unwrap();
    file.connection.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema").unwrap();
    let alone = file.alone.unwrap().open(&path).unwrap();
    let copied = file_copy::copy(&alone, Pages { size: 4096, count: 2 }, &folder.path().join("copy.db"), None);
    assert!(copied.is_ok_and(|hashed| hashed.is_some()));
    assert!(application.execute_batch("INSERT INTO t VALUES (3)").is_err(), "others wait until it has been read");
    drop(file);
    application.execute_batch("INSERT INTO t VALUES (3)").unwrap();
}

#[test]
fn another_file_that_has_taken_the_name_is_not_copied_under_the_lock_of_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    drop(create(&path, "DELETE"));
    let file = source_file::open(&path).unwrap();
    let other = folder.path().join("other.db");
    create(&other, "DELETE").execute_batch("INSERT INTO t VALUES (3), (4)").unwrap();
    fs::rename(&other, &path).unwrap();
    assert!(file.alone.unwrap().open(&path).is_none());
    let target = folder.path().join("copy.db");
    fs::write(&target, "what an attempt before has left").unwrap();
    assert_eq!(copy(&path, &file, &target, None).unwrap(), None);
    let count = Connection::open(target).unwrap().query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0));
    assert_eq!(count, Ok(2), "it is the file that was opened");
}

#[test]
fn an_application_that_begins_a_log_meanwhile_is_read_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let application = create(&path, "DELETE");
    let file = source_file::open(&path).unwrap();
    application.execute_batch("PRAGMA journal_mode = WAL; INSERT INTO t VALUES (3)").unwrap();
    let target = folder.path().join("copy.db");
    assert_eq!(copy(&path, &file, &target, None).unwrap(), None);
    let count = Connection::open(target).unwrap().query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0));
    assert_eq!(count, Ok(3), "the row in the log counts");
}

#[test]
fn what_is_no_database_is_refused_and_nothing_is_created() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let mut cut = b"SQLite format 3\0".to_vec();
    cut.extend([0x10, 0, 1, 1, 0, 64, 32, 32, 9, 9]);
    for (path, code) in [
        (folder.path().join("missing.db"), "source-missing"),
        (folder.path().to_owned(), "source-not-a-database"),
        (file("empty.db", b""), "source-not-a-database"),
        (file("text.db", b"CREATE TABLE t(a); -- and more"), "source-not-a-database"),
        (file("cut.db", &cut), "source-not-a-database"),
    ] {
        let before = contents(folder.path());
        assert_eq!(Snapshot::take(&path).unwrap_err().code, code, "{}", path.display());
        assert_eq!(contents(folder.path()), before);
    }
}

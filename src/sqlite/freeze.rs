//! `--freeze`: keeps an application from writing to its database until the run has ended.

use super::source_file::{PATIENCE, beside, header, not_a_database, unreadable};
use crate::diagnostic::Diagnostic;
use crate::ident::visible;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::fs;
use std::path::{Path, PathBuf};

/// Holds SQLite's write lock on a database: others read, and nobody writes. Dropping it gives the lock up.
///
/// Nothing is written: the transaction stays empty, and no checkpoint is made of what lies in a log. As long as this
/// lives, nothing else in the program may open and close the file but through SQLite: a process that closes a file
/// anywhere loses all its locks on it.
#[derive(Debug)]
pub struct Frozen {
    _connection: Connection,
    /// The database file, links followed.
    pub(super) path: PathBuf,
}

impl Frozen {
    /// Waits for the write lock and takes it.
    ///
    /// Fails with `source-missing`, `source-not-a-database`, `source-unreadable`, `source-busy`, or `source-not-frozen`
    /// where the lock cannot be had without writing to the file.
    pub fn take(source: &Path) -> Result<Self, Diagnostic> {
        if header(source)?.is_none() {
            return Err(not_a_database(source));
        }
        let path = fs::canonicalize(source).map_err(|error| not_frozen(source, &error.to_string()))?;
        // Opened for writing, SQLite would roll a crashed transaction back, which writes to the file.
        if beside(&path, "-journal").exists() && is_hot(&path) {
            return Err(not_frozen(source, "a transaction of a crashed application waits to be rolled back")
                .help("start the application once and stop it again, so that it puts its database right"));
        }
        let log_exists = beside(&path, "-wal").exists();
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let failed = |error: rusqlite::Error| match error.sqlite_error_code() {
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                not_frozen(source, &super::guard::message(&error))
                    .help("the lock needs the right to write to the file and its folder; nothing is written there")
            }
            _ => unreadable(source, &error),
        };
        let connection = Connection::open_with_flags(&path, flags).map_err(failed)?;
        connection.busy_timeout(PATIENCE).map_err(failed)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false).map_err(failed)?;
        // A log that was there stays as it is; an empty one that this connection makes goes with it.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, log_exists).map_err(failed)?;
        connection.execute_batch("PRAGMA wal_autocheckpoint = 0; BEGIN IMMEDIATE").map_err(failed)?;
        Ok(Self { _connection: connection, path })
    }
}

/// What a frozen database keeps open: itself, its log, and the index of that.
const OPEN_EACH: u64 = 3;

/// What the rest of a run keeps open, with much to spare.
const OPEN_BESIDE: u64 = 256;

/// Makes sure that so many databases can be held frozen at once: a program is given few open files to begin with, and may
/// ask for more.
///
/// # Errors
/// `source-not-frozen` where it may not have as many.
pub fn make_room_for_frozen(databases: usize) -> Result<(), Diagnostic> {
    let wanted = databases as u64 * OPEN_EACH + OPEN_BESIDE;
    let Ok((now, most)) = getrlimit(Resource::RLIMIT_NOFILE) else { return Ok(()) };
    if now >= wanted || setrlimit(Resource::RLIMIT_NOFILE, wanted.min(most), most).is_ok() && most >= wanted {
        return Ok(());
    }
    let message = format!("{databases} databases cannot be frozen at once: a program may have {most} files open here");
    Err(Diagnostic::error("source-not-frozen", message)
        .help(format!("allow {wanted} (`ulimit -Hn`), or stop the applications and leave --freeze out")))
}

/// Says whether a journal beside a database has to be rolled back before anybody can read.
fn is_hot(path: &Path) -> bool {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags)
        .and_then(|connection| connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())))
        .is_err()
}

fn not_frozen(source: &Path, reason: &str) -> Diagnostic {
    let shown = source.display().to_string();
    Diagnostic::error("source-not-frozen", format!("cannot keep others from writing to {}: {reason}", visible(&shown)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::{Snapshot, Taking};
    use std::collections::BTreeMap;

    fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
        let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
        let read = |entry: fs::DirEntry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap());
        entries.map(read).filter(|(name, _)| !name.ends_with("-shm")).collect()
    }

    #[test]
    fn nobody_writes_while_it_is_held_and_nothing_has_changed_afterwards() {
        for (journal, stays_open) in [("DELETE", false), ("DELETE", true), ("WAL", false), ("WAL", true)] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("app.db");
            let open = || {
                let application = Connection::open(&path).unwrap();
                application.busy_timeout(std::time::Duration::ZERO).unwrap();
                application
            };
            let sql = format!("PRAGMA journal_mode = {journal}; CREATE TABLE t(a); INSERT INTO t VALUES (1), (2)");
            open().execute_batch(&sql).unwrap();
            let application = stays_open.then(open);
            if let Some(application) = &application {
                application.execute_batch("INSERT INTO t VALUES (3)").unwrap();
            }
            let before = contents(folder.path());
            let frozen = Frozen::take(&path).unwrap();
            let taking = Taking { frozen: Some(&frozen), ..Taking::default() };
            let snapshot = Snapshot::take_with(&path, &taking).unwrap();
            if let Some(application) = &application {
                assert!(application.execute_batch("INSERT INTO t VALUES (4)").is_err(), "{journal}");
                let count = application.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0));
                assert_eq!(count, Ok(3), "{journal}: reading goes on");
            }
            let rows = snapshot.open().unwrap().query_integer("SELECT count(*) FROM t", &[]).unwrap();
            assert_eq!(rows, if stays_open { 3 } else { 2 }, "{journal}");
            drop(frozen);
            assert_eq!(contents(folder.path()), before, "{journal}");
            open().execute_batch("INSERT INTO t VALUES (5)").unwrap();
        }
    }

    #[test]
    fn a_database_that_would_have_to_be_put_right_first_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let live = folder.path().join("app.db");
        let connection = Connection::open(&live).unwrap();
        connection.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1); PRAGMA cache_size = 1; PRAGMA cache_spill = 1; BEGIN; INSERT INTO t WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 5000) SELECT randomblob(100) FROM r;").unwrap();
        let left = tempfile::tempdir().unwrap();
        let path = left.path().join("app.db");
        for suffix in ["", "-journal"] {
            fs::copy(beside(&live, suffix), beside(&path, suffix)).unwrap();
        }
        let before = contents(left.path());
        assert_eq!(Frozen::take(&path).unwrap_err().code, "source-not-frozen");
        assert_eq!(contents(left.path()), before);
        assert_eq!(Frozen::take(&left.path().join("missing.db")).unwrap_err().code, "source-missing");
    }
}

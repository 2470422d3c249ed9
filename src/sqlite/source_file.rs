//! Opens somebody else's database file without leaving a trace.
//!
//! SQLite's read-only mode alone does not do: on a database in WAL mode it creates `-wal` and `-shm` files, fails in a
//! read-only directory, and cannot recover after a crash. What is safe depends on what lies beside the file:
//!
//! | journal | beside it | opened |
//! |---|---|---|
//! | rollback | nothing, or a journal that is no longer needed | read-only, with SQLite's own locks |
//! | rollback | the journal of a crashed transaction | as a private copy of both, rolled back there |
//! | WAL | `-wal` and `-shm`: in use, or left by a crash | read-only with `readonly_shm`: reads the log, joins its users' locks, writes neither |
//! | WAL | `-wal` alone: left by a crash, or copied so | as a private copy of both, recovered there |
//! | WAL | no `-wal`: closed cleanly | with `immutable`: no locks and no files, so a change meanwhile is looked for afterwards |
//!
//! `immutable`, and a copy without the `-wal`, would lose rows silently in every other row of the table. Where a file was
//! read without SQLite's locks, its size, times and identity before and after have to be the same.
//!
//! Locks on a file belong to the process: whoever closes it anywhere gives all of them up. So nothing else in the program
//! may hold a connection to a source open while this looks at it.

use super::private_folder::PrivateFolder;
use crate::diagnostic::Diagnostic;
use crate::ident::visible;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use serde::{Deserialize, Serialize};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often a file that changes while it is read without locks is read again.
const ATTEMPTS: usize = 5;

/// How long to wait for an application that holds the database's lock.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// A database file that is open for reading.
#[derive(Debug)]
pub(super) struct SourceFile {
    /// The connection.
    pub connection: Connection,
    /// What has to be as it was when everything has been read.
    pub watch: Watch,
    /// Reading keeps the application from writing.
    pub blocks: bool,
    /// The file, where a transaction of the connection sees nothing else: what it holds then can be copied as it is.
    pub alone: Option<Identity>,
}

/// Files that are read without SQLite's locks, as they were before.
#[derive(Debug, Default)]
pub(super) struct Watch {
    stamps: Vec<(PathBuf, Option<Stamp>)>,
    /// Keeps a private copy as long as the connection on it.
    _copy: Option<PrivateFolder>,
}

/// Which file it is, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    fn of(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().map(|metadata| Self::from(&metadata))
    }

    fn from(metadata: &fs::Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }

    /// Opens the file, if it still has this name. Whoever closes it gives up the locks that the process has on it.
    pub fn open(self, path: &Path) -> Option<File> {
        let file = File::open(path).ok()?;
        let is_it = file.metadata().is_ok_and(|metadata| Self::from(&metadata) == self);
        is_it.then_some(file)
    }
}

/// What tells a written file from an untouched one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    size: u64,
    inode: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// Says whether a file starts as SQLite databases do. Fails with `source-missing` or `source-unreadable`.
pub(super) fn is_database(path: &Path) -> Result<bool, Diagnostic> {
    Ok(header(path)?.is_some())
}

/// Opens a database file for reading; it is neither created nor changed, and nothing is created beside it.
///
/// Fails with `source-missing`, `source-not-a-database`, `source-unreadable` or `source-busy`.
pub(super) fn open(path: &Path) -> Result<SourceFile, Diagnostic> {
    for _ in 0..ATTEMPTS {
        let Some(header) = header(path)? else {
            return Err(not_a_database(path));
        };
        // SQLite follows links and looks for the log beside the file itself, and so must this.
        let real = fs::canonicalize(path)
            .map_err(|error| Diagnostic::error("source-unreadable", format!("cannot read {}: {error}", shown(path))))?;
        let attempt = attempt(&real, header)?;
        if attempt.watch.is_unchanged() {
            return Ok(attempt);
        }
    }
    Err(busy(path))
}

/// Opens a database whose write lock this process holds; the path is without links.
pub(super) fn open_frozen(path: &Path) -> Result<SourceFile, Diagnostic> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(|error| unreadable(path, &error))?;
    Ok(SourceFile { connection, watch: Watch::default(), blocks: false, alone: None })
}

impl Watch {
    /// Says whether what has been read so far can be trusted: nobody wrote to a file that is read without locks.
    pub fn is_unchanged(&self) -> bool {
        self.stamps.iter().all(|(path, stamp)| Stamp::of(path) == *stamp)
    }
}

/// Builds the error for a database that does not hold still.
pub(super) fn busy(path: &Path) -> Diagnostic {
    Diagnostic::error("source-busy", format!("{} is being changed or locked by another program", shown(path)))
        .help("try again when the application is less busy, or stop it")
}

/// Builds the error for a file that is none.
pub(super) fn not_a_database(path: &Path) -> Diagnostic {
    Diagnostic::error("source-not-a-database", format!("{} is no SQLite database", shown(path)))
        .help("name the application's database file")
}

/// Builds the error for a database that SQLite cannot read.
pub(super) fn unreadable(path: &Path, error: &rusqlite::Error) -> Diagnostic {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => busy(path),
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Diagnostic::error(
            "source-not-a-database",
            format!("{} is damaged or no SQLite database: {}", shown(path), visible(&super::guard::message(error))),
        )
        .help("check it with sqlite3's \"PRAGMA integrity_check\", or restore a backup"),
        _ => Diagnostic::error(
            "source-unreadable",
            format!("SQLite cannot read {}: {}", shown(path), visible(&super::guard::message(error))),
        ),
    }
}

pub(super) fn shown(path: &Path) -> String {
    visible(&path.display().to_string()).into_owned()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// The database is in WAL mode.
    pub wal: bool,
    /// Counts its transactions, in rollback-journal mode.
    pub change_counter: u32,
}

/// Reads a database's header; `None` for a file that has none.
pub(super) fn header(path: &Path) -> Result<Option<Header>, Diagnostic> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Diagnostic::error("source-missing", format!("{} does not exist", shown(path)))
            .help("check the path: nothing is created in its place"),
        _ => Diagnostic::error("source-unreadable", format!("cannot read {}: {error}", shown(path))),
    };
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Ok(None);
    }
    let mut bytes = Vec::with_capacity(28);
    File::open(path).and_then(|file| file.take(28).read_to_end(&mut bytes)).map_err(failed)?;
    let is_database = bytes.starts_with(b"SQLite format 3\0") && bytes.len() == 28;
    // Bytes 18 and 19 are the versions needed to write and to read: 2 says WAL.
    Ok(is_database.then(|| Header {
        wal: bytes[18] == 2 || bytes[19] == 2,
        change_counter: u32::from_be_bytes([bytes[24], bytes[25], bytes[26], bytes[27]]),
    }))
}

fn attempt(path: &Path, header: Header) -> Result<SourceFile, Diagnostic> {
    let (log, index) = (beside(path, "-wal"), beside(path, "-shm"));
    let log_exists = log.exists();
    if !header.wal && !log_exists {
        let alone = Identity::of(path);
        return match connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY) {
            Ok(connection) => Ok(SourceFile { connection, watch: Watch::default(), blocks: true, alone }),
            // A crashed transaction has to be rolled back before anybody can read, and that writes.
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::ReadOnly) => open_copy(path, &["", "-journal"]),
            Err(error) => Err(unreadable(path, &error)),
        };
    }
    if log_exists && index.exists() {
        let opened = connect(
            &uri(path, "mode=ro&readonly_shm=1"),
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI,
        );
        match opened {
            Ok(connection) => {
                return Ok(SourceFile { connection, watch: Watch::default(), blocks: false, alone: None });
            }
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => {
                return Err(unreadable(path, &error));
            }
            // Nobody has it open and the log's index is of no use: the copy is recovered instead.
            Err(_) => return open_copy(path, &["", "-wal"]),
        }
    }
    if log_exists {
        return open_copy(path, &["", "-wal"]);
    }
    let watched = stamps(path, &["", "-wal"]);
    if watched.iter().any(|(watched, stamp)| *watched == log && stamp.is_some()) {
        return Err(busy(path));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let connection = connect(&uri(path, "mode=ro&immutable=1"), flags).map_err(|error| unreadable(path, &error))?;
    let watch = Watch { stamps: watched, _copy: None };
    Ok(SourceFile { connection, watch, blocks: false, alone: Identity::of(path) })
}

/// Opens a private copy of the database and of what lies beside it, so that SQLite can recover it there.
fn open_copy(path: &Path, suffixes: &[&str]) -> Result<SourceFile, Diagnostic> {
    let failed = |error: io::Error| {
        Diagnostic::error("snapshot-failed", format!("cannot copy {}: {error}", shown(path)))
            .help("make room in the directory for temporary files, or set TMPDIR to another")
    };
    let folder = PrivateFolder::create().map_err(failed)?;
    let copy = folder.path().join("source.db");
    let watched = stamps(path, suffixes);
    for suffix in suffixes {
        let from = beside(path, suffix);
        match File::open(&from).and_then(|mut file| io::copy(&mut file, &mut File::create(beside(&copy, suffix))?)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !suffix.is_empty() => {}
            result => drop(result.map_err(failed)?),
        }
    }
    let connection = connect(&copy, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(|error| unreadable(path, &error))?;
    Ok(SourceFile { connection, watch: Watch { stamps: watched, _copy: Some(folder) }, blocks: false, alone: None })
}

/// Opens a connection and makes it read something, which is when SQLite finds out whether it can.
fn connect(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(PATIENCE)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    Ok(connection)
}

/// Builds the URI of a file whose path is absolute.
fn uri(path: &Path, options: &str) -> PathBuf {
    let mut uri = OsString::from("file:");
    for &byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte) {
            uri.push(OsString::from_vec(vec![byte]));
        } else {
            uri.push(format!("%{byte:02X}"));
        }
    }
    uri.push("?");
    uri.push(options);
    uri.into()
}

/// Returns the size of a database's file and of its log together; 0 for what cannot be read.
pub(super) fn size(path: &Path) -> u64 {
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    ["", "-wal"].iter().filter_map(|suffix| fs::metadata(beside(&real, suffix)).ok()).map(|file| file.len()).sum()
}

pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(OsStr::new(suffix));
    name.into()
}

pub(super) fn stamps(path: &Path, suffixes: &[&str]) -> Vec<(PathBuf, Option<Stamp>)> {
    suffixes.iter().map(|suffix| beside(path, suffix)).map(|path| (path.clone(), Stamp::of(&path))).collect()
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self {
            size: metadata.len(),
            inode: metadata.ino(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

//! A private, consistent copy of a source database.
//!
//! Everything that reads rows reads the copy: the application may go on writing to the source, and all readers see the
//! same moment. Taking it never writes to the source, not even by a checkpoint; how the source is opened for that is
//! described at `source_file`.

use super::database::Database;
use super::editor::Editor;
use super::file_copy::{self, Failure, Hashed, Pages};
use super::freeze::Frozen;
use super::guard::cannot_write;
use super::private_folder::PrivateFolder;
use super::source_file::{self, PATIENCE, SourceFile, busy, shown, unreadable};
use super::source_state::SourceState;
use crate::diagnostic::Diagnostic;
use crate::ident::visible;
use rusqlite::backup::{Backup, Progress, StepResult};
use rusqlite::{Connection, OpenFlags};
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The size in bytes from which on it takes long to bring a copy to the disk.
const LARGE: u64 = 16 << 20;

/// How often a snapshot is begun again because the source changed under it.
const ATTEMPTS: usize = 5;

/// A private copy of a database at one moment. Dropping it removes the copy, unless a run keeps it in its folder; what a run
/// that was killed has left is removed by the next one.
#[derive(Debug)]
pub struct Snapshot {
    place: Place,
    /// The hexadecimal BLAKE3 hash of the copy: equal for equal contents, whatever journal mode the source is in.
    pub hash: String,
    /// The copy's size in bytes.
    pub bytes: u64,
    /// The size in bytes of the source's file and its log together.
    pub source_bytes: u64,
    /// How long the application could not write: as long as a source in rollback-journal mode was read.
    pub blocked: Option<Duration>,
    /// The source as it was, to find out whether it has been written to since; `None` where it is frozen.
    pub source_state: Option<SourceState>,
    /// Brings the copy to the disk while other work goes on.
    on_its_way: Mutex<Option<JoinHandle<io::Result<()>>>>,
}

/// Where a copy lies.
#[derive(Debug)]
enum Place {
    /// In a folder for temporary files.
    Temporary(PrivateFolder),
    /// In a run's folder, not kept yet.
    Part(PathBuf),
    /// In a run's folder, to stay.
    Kept(PathBuf),
}

/// How a snapshot is taken.
#[derive(Debug, Clone, Copy, Default)]
pub struct Taking<'t> {
    /// How long the application may be kept from writing; `None` sets no limit.
    pub max_block: Option<Duration>,
    /// The lock that keeps the application from writing already.
    pub frozen: Option<&'t Frozen>,
}

impl Snapshot {
    /// Copies a database into a directory that only this user can look into: its file as it is where nothing else belongs to
    /// it, and by SQLite's backup API where something does.
    ///
    /// Fails with `source-missing`, `source-not-a-database`, `source-unreadable`, `source-busy` or `snapshot-failed`.
    pub fn take(source: &Path) -> Result<Self, Diagnostic> {
        Self::take_with(source, &Taking::default())
    }

    /// Does the same within limits; fails with `source-blocked-too-long` as well.
    pub fn take_with(source: &Path, taking: &Taking<'_>) -> Result<Self, Diagnostic> {
        let folder = PrivateFolder::create().map_err(|error| failed_in(&std::env::temp_dir(), &error))?;
        Self::take_at(source, Place::Temporary(folder), taking)
    }

    /// Copies a database into an empty file that only this user may read.
    pub(super) fn take_to(source: &Path, path: PathBuf, taking: &Taking<'_>) -> Result<Self, Diagnostic> {
        Self::take_at(source, Place::Part(path), taking)
    }

    fn take_at(source: &Path, place: Place, taking: &Taking<'_>) -> Result<Self, Diagnostic> {
        let empty = |place, source_state| Self {
            place,
            hash: String::new(),
            bytes: 0,
            source_bytes: source_file::size(source),
            blocked: None,
            source_state,
            on_its_way: Mutex::default(),
        };
        // Made first, so that whatever fails takes the file away.
        let mut snapshot = empty(place, None);
        let path = snapshot.path();
        for _ in 0..ATTEMPTS {
            let (file, state) = match taking.frozen {
                Some(frozen) => (source_file::open_frozen(&frozen.path)?, None),
                None => {
                    let state = SourceState::of(source)?;
                    (source_file::open(source)?, state)
                }
            };
            let started = Instant::now();
            let hashed = match copy(source, &file, &path, taking.max_block.filter(|_| file.blocks)) {
                // What was written to meanwhile may have become shorter.
                Err(_) if !file.watch.is_unchanged() => continue,
                hashed => hashed?,
            };
            let reading = started.elapsed();
            if file.watch.is_unchanged() {
                snapshot.blocked = file.blocks.then_some(reading);
                drop(file);
                (snapshot.hash, snapshot.bytes) = match hashed {
                    Some(hashed) => hashed,
                    None => hash(&path).map_err(|error| failed(&path, &error))?,
                };
                snapshot.source_state = state.map(|state| state.with_hash(&snapshot.hash));
                return Ok(snapshot);
            }
        }
        Err(busy(source))
    }

    /// Copies the copy once more, lets `edit` change rows in the new one and take them out of it, and returns it. It
    /// stands for the same moment of the source, so its hash is the first one's.
    ///
    /// Nothing of the schema acts on what is done: no trigger, no foreign key, no CHECK.
    pub fn edited<E: From<Diagnostic>>(&self, edit: impl FnOnce(&Editor) -> Result<(), E>) -> Result<Self, E> {
        let folder = PrivateFolder::create().map_err(|error| E::from(failed_in(&std::env::temp_dir(), &error)))?;
        let copy = Self {
            place: Place::Temporary(folder),
            hash: self.hash.clone(),
            bytes: self.bytes,
            source_bytes: self.source_bytes,
            blocked: None,
            source_state: None,
            on_its_way: Mutex::default(),
        };
        let path = copy.path();
        std::fs::copy(self.path(), &path).map_err(|error| E::from(failed(&path, &error)))?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&path, flags).map_err(|error| unreadable(&path, &error))?;
        let editor = Editor::new(connection)?;
        edit(&editor)?;
        editor.finish()?;
        Ok(copy)
    }

    /// Looks at a copy that an earlier run has kept.
    pub(super) fn kept(path: PathBuf, source_state: Option<SourceState>) -> io::Result<Self> {
        let (hash, bytes) = hash(&path)?;
        let on_its_way = Mutex::default();
        Ok(Self { place: Place::Kept(path), hash, bytes, source_bytes: bytes, blocked: None, source_state, on_its_way })
    }

    /// Begins to bring a copy in a run's folder to the disk, where it is so large that it would be waited for at the end of the
    /// run, or by what else is written in the meantime.
    pub fn send_to_disk(&self) {
        if matches!(self.place, Place::Temporary(_)) || self.bytes < LARGE {
            return;
        }
        // Whatever does not come about here is done at the end.
        let Ok(file) = File::open(self.path()) else { return };
        let thread = thread::Builder::new().spawn(move || file.sync_data());
        *self.on_its_way.lock().unwrap_or_else(PoisonError::into_inner) = thread.ok();
    }

    /// Makes sure that the copy has reached the disk.
    pub(super) fn reach_disk(&self) -> io::Result<()> {
        let on_its_way = self.on_its_way.lock().unwrap_or_else(PoisonError::into_inner).take();
        // The system tells of a page that could not be written once only.
        let arrived = on_its_way.map_or(Ok(()), |thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
        arrived.and_then(|()| File::open(self.path())?.sync_all())
    }

    /// Says that the copy has got a place to stay.
    pub(super) fn keep_at(&mut self, path: PathBuf) {
        self.place = Place::Kept(path);
    }

    /// Opens the copy for reading. Each thread that reads opens it for itself.
    pub fn open(&self) -> Result<Database, Diagnostic> {
        open_copy(&self.path())
    }

    /// Returns where the copy lies.
    pub fn path(&self) -> PathBuf {
        match &self.place {
            Place::Temporary(folder) => folder.path().join("snapshot.db"),
            Place::Part(path) | Place::Kept(path) => path.clone(),
        }
    }

    /// Returns where the copy lies to stay; `None` where it goes with this.
    pub fn kept_at(&self) -> Option<&Path> {
        match &self.place {
            Place::Kept(path) => Some(path),
            Place::Temporary(_) | Place::Part(_) => None,
        }
    }
}

/// Opens the copy that lies there for reading, if it still does.
///
/// # Errors
/// `source-unreadable`.
pub fn open_copy(path: &Path) -> Result<Database, Diagnostic> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| unreadable(path, &error))?;
    match File::open(path) {
        Ok(file) => Database::of_copy(connection, file),
        // SQLite can read it, or says why not.
        Err(_) => Database::new(connection),
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        if let Place::Part(path) = &self.place {
            // What cannot be removed is removed by the next run.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Names the folder of a copy that cannot be written.
fn failed(path: &Path, error: &dyn std::fmt::Display) -> Diagnostic {
    failed_in(path.parent().unwrap_or(path), error)
}

fn failed_in(folder: &Path, error: &dyn std::fmt::Display) -> Diagnostic {
    let folder = visible(&folder.to_string_lossy()).into_owned();
    Diagnostic::error("snapshot-failed", format!("cannot write the snapshot into {folder}: {error}")).help(
        "make room there, or name another folder: with --work-dir, or in TMPDIR where it is one for temporary files",
    )
}

/// Copies all pages within one read transaction of the source, and returns the copy's hash and size where they are known by
/// then.
fn copy(
    source: &Path,
    file: &SourceFile,
    path: &Path,
    max_block: Option<Duration>,
) -> Result<Option<Hashed>, Diagnostic> {
    // The pages come from one transaction, also where they are copied in parts.
    let begin = "BEGIN; SELECT count(*) FROM sqlite_schema";
    file.connection.execute_batch(begin).map_err(|error| unreadable(source, &error))?;
    let mut hashed = None;
    // Closed at the end only, when the transaction needs its lock no more.
    let alone = file.alone.and_then(|alone| alone.open(source));
    // Its application may have begun a log since the connection was opened.
    if let Some(alone) = alone.as_ref().filter(|alone| !file.blocks || file_copy::has_no_log(alone)) {
        let ask = |pragma: &str| file.connection.query_row(pragma, [], |row| row.get::<_, u32>(0));
        let size = ask("PRAGMA page_size").map_err(|error| unreadable(source, &error))?;
        let count = ask("PRAGMA page_count").map_err(|error| unreadable(source, &error))?;
        let pages = Pages { size: size.into(), count: count.into() };
        hashed = file_copy::copy(alone, pages, path, max_block).map_err(|failure| match failure {
            Failure::Reading(error) => {
                let message = format!("cannot read {}: {error}", shown(source));
                Diagnostic::error("source-unreadable", message)
            }
            Failure::Writing(error) => failed(path, &error),
            Failure::Blocked(diagnostic) => diagnostic,
        })?;
    }
    if hashed.is_none() {
        backup(source, file, path, max_block)?;
    }
    file.connection.execute_batch("COMMIT").map_err(|error| unreadable(source, &error))?;
    Ok(hashed)
}

/// Copies all pages by SQLite's backup API; a read transaction of the source is open.
fn backup(source: &Path, file: &SourceFile, path: &Path, max_block: Option<Duration>) -> Result<(), Diagnostic> {
    let write_failed = |error: rusqlite::Error| failed(path, &super::guard::message(&error));
    // What an attempt before has left is no database.
    if let Ok(left) = OpenOptions::new().write(true).open(path) {
        left.set_len(0).map_err(|error| failed(path, &error))?;
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut target = Connection::open_with_flags(path, flags).map_err(write_failed)?;
    // What has to survive a crash of the machine is written to the disk as a whole, when it is kept.
    target.execute_batch("PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF;").map_err(write_failed)?;
    let pages = if max_block.is_some() { 2_000 } else { -1 };
    let started = Instant::now();
    {
        let backup = Backup::new(&file.connection, &mut target).map_err(write_failed)?;
        loop {
            match backup.step(pages) {
                Ok(StepResult::Done) => break,
                Ok(StepResult::More) => match max_block {
                    Some(limit) if started.elapsed() > limit => {
                        let Progress { pagecount, remaining, .. } = backup.progress();
                        let count = |pages: i32| u64::from(pages.unsigned_abs());
                        return Err(blocked_too_long(limit, count(pagecount - remaining), count(pagecount)));
                    }
                    _ => {}
                },
                Ok(_) if started.elapsed() < PATIENCE => thread::sleep(Duration::from_millis(20)),
                Ok(_) => return Err(busy(source)),
                Err(error) if cannot_write(&error) => return Err(write_failed(error)),
                Err(error) => return Err(unreadable(source, &error)),
            }
        }
    }
    // A source in WAL mode makes a copy in WAL mode; a plain file is opened without further files.
    target.execute_batch("PRAGMA journal_mode = DELETE;").map_err(write_failed)?;
    drop(target);
    settle(path).map_err(|error| failed(path, &error))
}

/// Settles what the header of a copy says of how it was written, so that equal contents hash the same.
fn settle(path: &Path) -> io::Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut header = [0; file_copy::HEADER];
    file.read_exact_at(&mut header, 0)?;
    let size = file_copy::page_size(&header).max(1) as u64;
    file_copy::settle_header(&mut header, file.metadata()?.len() / size);
    file.write_all_at(&header, 0)
}

/// Says that an application had to wait for longer than it may.
pub(super) fn blocked_too_long(limit: Duration, copied: u64, pages: u64) -> Diagnostic {
    Diagnostic::error(
        "source-blocked-too-long",
        format!(
            "the application could not write for {:.1} s, and {copied} of {pages} pages were copied in that time",
            limit.as_secs_f64(),
        ),
    )
    .help("it may write again; allow more with --max-block, stop the application for the copy, or put its database into WAL mode, where nobody waits")
}

fn hash(path: &Path) -> io::Result<(String, u64)> {
    let mut file = File::open(path)?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    let mut bytes = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((hasher.finalize().to_hex().to_string(), bytes)),
            read => {
                hasher.update(&buffer[..read]);
                bytes += read as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests;

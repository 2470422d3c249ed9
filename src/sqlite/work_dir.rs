//! The folder in which a run keeps its snapshot: what it is continued from, and the backup afterwards.

use super::snapshot::{Snapshot, Taking};
use super::source_state::SourceState;
use crate::diagnostic::Diagnostic;
use crate::ident::visible;
use std::cell::Cell;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// How the names of files begin and end, around a number, until the run is about to be recorded.
const PART: (&str, &str) = ("snapshot-", ".part");

/// What keeps the folder out of a repository.
const IGNORE: &str = ".gitignore";

/// A folder that one run at a time uses.
#[derive(Debug)]
pub struct WorkDir {
    path: PathBuf,
    /// It was not there before this run.
    made: bool,
    /// How many snapshots were taken into it.
    taken: Cell<u32>,
    /// Locked as long as this run lives, which the kernel sees to.
    _lock: File,
}

impl WorkDir {
    /// Opens a folder; where it is missing it is made, for this user alone.
    ///
    /// Fails with `work-dir-unusable`, or with `work-dir-in-use` where another run has it.
    pub fn open(path: &Path) -> Result<Self, Diagnostic> {
        let missing = !path.exists();
        if missing {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
            // What is in it is somebody's data, and no part of any repository.
            let made = made.and_then(|()| fs::write(path.join(IGNORE), "*\n"));
            made.map_err(|error| unusable(path, &error))?;
        }
        let lock = File::open(path).map_err(|error| unusable(path, &error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Diagnostic::error("work-dir-in-use", format!("another run uses {}", shown(path)))
                    .help("wait until it has ended, or name another folder with --work-dir"));
            }
            Err(TryLockError::Error(error)) => return Err(unusable(path, &error)),
        }
        // What a run that was killed has left.
        for entry in fs::read_dir(path).map_err(|error| unusable(path, &error))? {
            let entry = entry.map_err(|error| unusable(path, &error))?;
            if is_part(&entry.file_name().to_string_lossy()) {
                fs::remove_file(entry.path()).map_err(|error| unusable(path, &error))?;
            }
        }
        let path = std::path::absolute(path).map_err(|error| unusable(path, &error))?;
        Ok(Self { path, made: missing, taken: Cell::new(0), _lock: lock })
    }

    /// Takes a snapshot into the folder. It goes with the answer unless it is kept: see [`WorkDir::keep`].
    ///
    /// Fails as [`Snapshot::take`], and with `work-dir-unusable`.
    pub fn take(&self, source: &Path, taking: &Taking<'_>) -> Result<Snapshot, Diagnostic> {
        self.taken.set(self.taken.get() + 1);
        let path = self.path.join(format!("{}{}{}", PART.0, self.taken.get(), PART.1));
        new_file(&path).map_err(|error| unusable(&self.path, &error))?;
        Snapshot::take_to(source, path, taking)
    }

    /// Keeps a snapshot that was taken into the folder: it stays there under the name of its hash.
    pub fn keep(&self, snapshot: &mut Snapshot) -> Result<(), Diagnostic> {
        let failed = |error: io::Error| unusable(&self.path, &error);
        let to = self.named(&snapshot.hash);
        if snapshot.path() == to {
            return Ok(());
        }
        if let Some(state) = &snapshot.source_state {
            let text = serde_json::to_string_pretty(state).map_err(|error| failed(error.into()))?;
            let path = to.with_extension("json");
            new_file(&path).and_then(|mut file| file.write_all(text.as_bytes())).map_err(failed)?;
        }
        fs::rename(snapshot.path(), &to).map_err(failed)?;
        snapshot.keep_at(to);
        Ok(())
    }

    /// Keeps the rows that a run rejects beside its snapshot, for this user alone.
    pub fn keep_rejects(&self, snapshot: &Snapshot, lines: &str) -> Result<(), Diagnostic> {
        let path = self.named(&snapshot.hash).with_extension("rejects.jsonl");
        new_file(&path)
            .and_then(|mut file| file.write_all(lines.as_bytes()))
            .map_err(|error| unusable(&self.path, &error))
    }

    /// Makes sure that a snapshot which is kept has reached the disk.
    pub fn settle(&self, snapshot: &Snapshot) -> Result<(), Diagnostic> {
        if snapshot.kept_at().is_none() {
            return Ok(());
        }
        let folder = || File::open(&self.path).and_then(|folder| folder.sync_all());
        snapshot.reach_disk().and_then(|()| folder()).map_err(|error| unusable(&self.path, &error))
    }

    /// Finds the snapshot of a hash and makes sure that it is what it was; `None` where the folder has none.
    ///
    /// Fails with `snapshot-damaged` where its bytes are others.
    pub fn find(&self, hash: &str) -> Result<Option<Snapshot>, Diagnostic> {
        let path = self.named(hash);
        if !path.exists() {
            return Ok(None);
        }
        let state = fs::read(path.with_extension("json")).ok();
        let state: Option<SourceState> = state.and_then(|text| serde_json::from_slice(&text).ok());
        let snapshot = Snapshot::kept(path, state).map_err(|error| unusable(&self.path, &error))?;
        if snapshot.hash == hash {
            return Ok(Some(snapshot));
        }
        Err(Diagnostic::error(
            "snapshot-damaged",
            format!("{} is not what the run began with", shown(&snapshot.path())),
        )
        .help("restore the file; without it the run can only be undone, by `tenantry rollback`"))
    }

    /// Lists the snapshots that other runs than that of `own` have left in the folder, by name, and how many bytes each takes.
    pub fn others(&self, own: &[PathBuf]) -> Vec<(PathBuf, u64)> {
        let is_snapshot = |path: &PathBuf| {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            name.starts_with("snapshot-") && name.ends_with(".db") && !own.contains(path)
        };
        let entries = fs::read_dir(&self.path).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut others: Vec<(PathBuf, u64)> = entries
            .filter(is_snapshot)
            .filter_map(|path| fs::metadata(&path).ok().map(|found| (path, found.len())))
            .collect();
        others.sort();
        others
    }

    fn named(&self, hash: &str) -> PathBuf {
        let short: String = hash.chars().filter(char::is_ascii_hexdigit).take(16).collect();
        self.path.join(format!("snapshot-{short}.db"))
    }
}

impl Drop for WorkDir {
    /// Takes a folder away that was made for nothing.
    fn drop(&mut self) {
        let others = |entry: io::Result<fs::DirEntry>| !entry.is_ok_and(|entry| entry.file_name() == IGNORE);
        if self.made && fs::read_dir(&self.path).is_ok_and(|mut entries| !entries.any(others)) {
            // What cannot be removed does no harm.
            let _ = fs::remove_file(self.path.join(IGNORE)).and_then(|()| fs::remove_dir(&self.path));
        }
    }
}

/// Says whether a file is a snapshot that nobody has kept, by its name.
fn is_part(name: &str) -> bool {
    let number = name.strip_prefix(PART.0).and_then(|name| name.strip_suffix(PART.1));
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Makes a file, or empties one that is there, that only this user may read.
fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

fn unusable(path: &Path, error: &dyn std::fmt::Display) -> Diagnostic {
    Diagnostic::error("work-dir-unusable", format!("cannot keep the snapshot in {}: {error}", shown(path)))
        .help("name a folder that can be written to, with room for the database, by --work-dir")
}

fn shown(path: &Path) -> String {
    visible(&path.display().to_string()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;
    use std::os::unix::fs::PermissionsExt;

    fn source(folder: &Path) -> PathBuf {
        let path = folder.join("app.db");
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)").unwrap();
        path
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = entries.filter(|name| name != ".gitignore").collect();
        names.sort();
        names
    }

    #[test]
    fn a_snapshot_goes_unless_it_is_kept_and_is_found_again_by_its_hash() {
        let folder = tempfile::tempdir().unwrap();
        let source = source(folder.path());
        let place = folder.path().join("made/for/it");
        let work = WorkDir::open(&place).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&place), 0o700);
        drop(work.take(&source, &Taking::default()).unwrap());
        assert_eq!(names(&place), Vec::<String>::new());
        let mut snapshot = work.take(&source, &Taking::default()).unwrap();
        work.keep(&mut snapshot).unwrap();
        let (hash, path) = (snapshot.hash.clone(), snapshot.path());
        assert_eq!(snapshot.kept_at(), Some(path.as_path()));
        drop(snapshot);
        assert_eq!((names(&place).len(), mode(&path)), (2, 0o600));
        let found = work.find(&hash).unwrap().unwrap();
        assert_eq!(found.open().unwrap().query_integer("SELECT a FROM t", &[]).unwrap(), 1);
        assert!(found.source_state.is_some());
        drop(found);
        assert!(path.exists() && work.find("0123").unwrap().is_none());
        let mut bytes = fs::read(&path).unwrap();
        bytes.push(0);
        fs::write(&path, bytes).unwrap();
        assert_eq!(work.find(&hash).unwrap_err().code, "snapshot-damaged");
    }

    #[test]
    fn one_run_at_a_time_has_the_folder_and_what_a_dead_one_left_goes() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("work");
        let work = WorkDir::open(&place).unwrap();
        assert_eq!(WorkDir::open(&place).unwrap_err().code, "work-dir-in-use");
        for name in ["snapshot-7.part", "somebody-s.part"] {
            fs::write(place.join(name), "half").unwrap();
        }
        // As a process that is killed: nothing but the lock goes.
        let WorkDir { _lock, .. } = &work;
        _lock.unlock().unwrap();
        let next = WorkDir::open(&place).unwrap();
        assert_eq!(names(&place), ["somebody-s.part"]);
        fs::remove_file(place.join("somebody-s.part")).unwrap();
        drop(next);
        assert!(place.exists(), "it was there before");
        drop(work);
        assert!(!place.exists(), "made for nothing");
    }

    #[test]
    fn what_is_no_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        assert_eq!(WorkDir::open(&file).unwrap_err().code, "work-dir-unusable");
        assert_eq!(WorkDir::open(&file.join("below")).unwrap_err().code, "work-dir-unusable");
    }
}

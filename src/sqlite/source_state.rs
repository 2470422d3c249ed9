//! Whether a source has been written to since its snapshot.

use super::snapshot::{Snapshot, Taking};
use super::source_file::{Stamp, header, stamps};
use crate::diagnostic::Diagnostic;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// A source as it was when its snapshot was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceState {
    /// The database file, links followed.
    pub source: PathBuf,
    /// When, as a timestamp in UTC.
    pub taken: String,
    /// The hash of the snapshot.
    pub hash: String,
    wal: bool,
    /// Counts the transactions of a database in rollback-journal mode.
    change_counter: u32,
    stamps: Vec<(PathBuf, Option<Stamp>)>,
}

impl SourceState {
    /// Looks at a source, before it is opened: closing the file afterwards would give SQLite's locks on it up.
    pub(super) fn of(source: &Path) -> Result<Option<Self>, Diagnostic> {
        let Some(header) = header(source)? else { return Ok(None) };
        let real = fs::canonicalize(source).unwrap_or_else(|_| source.to_owned());
        Ok(Some(Self {
            taken: jiff::Timestamp::now().to_string(),
            hash: String::new(),
            wal: header.wal,
            change_counter: header.change_counter,
            stamps: stamps(&real, &["", "-wal"]),
            source: real,
        }))
    }

    /// Adds the hash of the snapshot that was taken.
    pub(super) fn with_hash(mut self, hash: &str) -> Self {
        hash.clone_into(&mut self.hash);
        self
    }

    /// Says whether anybody has written to the source since.
    ///
    /// In rollback-journal mode every transaction counts in the file. In WAL mode a file that looks untouched is
    /// untouched; otherwise a checkpoint may be all that happened, and a second snapshot tells, which nobody waits for.
    ///
    /// # Errors
    /// Those of a snapshot: then nobody knows.
    pub fn has_moved_on(&self) -> Result<bool, Diagnostic> {
        let Some(now) = Self::of(&self.source)? else { return Ok(true) };
        if now.stamps == self.stamps {
            return Ok(false);
        }
        if !self.wal && !now.wal && now.change_counter != self.change_counter {
            return Ok(true);
        }
        Ok(Snapshot::take_with(&self.source, &Taking::default())?.hash != self.hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;

    #[test]
    fn a_write_is_noticed_and_a_checkpoint_is_none() {
        for journal in ["DELETE", "WAL"] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("app.db");
            let application = Connection::open(&path).unwrap();
            let sql = format!("PRAGMA journal_mode = {journal}; CREATE TABLE t(a); INSERT INTO t VALUES (1)");
            application.execute_batch(&sql).unwrap();
            let snapshot = Snapshot::take(&path).unwrap();
            let state = snapshot.source_state.clone().unwrap();
            assert_eq!(state.has_moved_on(), Ok(false), "{journal}");
            application.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
            assert_eq!(state.has_moved_on(), Ok(false), "{journal}: a checkpoint");
            application.execute_batch("UPDATE t SET a = 2").unwrap();
            assert_eq!(state.has_moved_on(), Ok(true), "{journal}: a write");
            drop(application);
            fs::remove_file(&path).unwrap();
            assert_eq!(state.has_moved_on().unwrap_err().code, "source-missing");
        }
    }
}

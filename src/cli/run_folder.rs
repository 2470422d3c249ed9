//! The folder of a run: the snapshots that it is continued from, and the rows that it rejects beside them.

use super::cutover_arguments::Arguments;
use crate::diagnostic::Diagnostic;
use crate::postgres::RunRecord;
use crate::sqlite::{Snapshot, Taking, WorkDir};
use std::path::{Path, PathBuf};

/// Where a run keeps what has to outlive it; nowhere for a rehearsal, whose snapshots go with the server.
pub(super) struct RunFolder {
    work: Option<WorkDir>,
}

impl RunFolder {
    /// Opens the folder of a new run.
    pub fn open(arguments: &Arguments, is_scratch: bool) -> Result<Self, Diagnostic> {
        match arguments.work_dir.is_some() || !is_scratch {
            true => Self::named(arguments),
            false => Ok(Self { work: None }),
        }
    }

    /// Opens the folder that a run is told, whatever it holds.
    pub fn named(arguments: &Arguments) -> Result<Self, Diagnostic> {
        Ok(Self { work: Some(WorkDir::open(&folder(arguments))?) })
    }

    /// Opens the folder of an interrupted run, and returns one of the snapshots with these hashes: the folder that is named
    /// has it, or the one that the run has recorded; `None` where neither does.
    ///
    /// # Errors
    /// Those of the folders; `snapshot-damaged`.
    pub fn kept<'h>(
        arguments: &Arguments,
        record: &RunRecord,
        hashes: impl Iterator<Item = &'h str> + Clone,
    ) -> Result<Option<(Self, Snapshot)>, Diagnostic> {
        let named = folder(arguments);
        let recorded = record.snapshot_path.as_deref().and_then(|path| Path::new(path).parent());
        let mut looked = Vec::new();
        for folder in [Some(named.as_path()), recorded].into_iter().flatten() {
            if looked.contains(&folder) || !folder.is_dir() {
                continue;
            }
            looked.push(folder);
            let opened = Self { work: Some(WorkDir::open(folder)?) };
            for hash in hashes.clone() {
                if let Some(snapshot) = opened.find(hash)? {
                    return Ok(Some((opened, snapshot)));
                }
            }
        }
        Ok(None)
    }

    /// Finds the snapshot of a hash.
    pub fn find(&self, hash: &str) -> Result<Option<Snapshot>, Diagnostic> {
        self.work.as_ref().map_or(Ok(None), |work| work.find(hash))
    }

    /// Takes a snapshot, which goes again unless it is kept.
    pub fn take(&self, source: &Path, taking: &Taking<'_>) -> Result<Snapshot, Diagnostic> {
        match &self.work {
            Some(work) => work.take(source, taking),
            None => Snapshot::take_with(source, taking),
        }
    }

    /// Keeps a snapshot.
    pub fn keep(&self, snapshot: &mut Snapshot) -> Result<(), Diagnostic> {
        self.work.as_ref().map_or(Ok(()), |work| work.keep(snapshot))
    }

    /// Keeps the rejected rows of a source beside its snapshot, a line of JSON each.
    pub fn keep_rejects(&self, snapshot: &Snapshot, lines: &str) -> Result<(), Diagnostic> {
        match &self.work {
            Some(work) if !lines.is_empty() => work.keep_rejects(snapshot, lines),
            _ => Ok(()),
        }
    }

    /// Says why a snapshot may not survive a crash of the machine.
    ///
    /// The backup has to outlive the machine; a run that only wants to be continued notices damage by the hash.
    pub fn unsafe_backup<'s>(&self, snapshots: impl IntoIterator<Item = &'s Snapshot>) -> Option<String> {
        let work = self.work.as_ref()?;
        snapshots.into_iter().find_map(|snapshot| work.settle(snapshot).err()).map(|error| error.message)
    }

    /// Lists the snapshots of other runs than that of `own`, and how many bytes each takes.
    pub fn others(&self, own: &[PathBuf]) -> Vec<(PathBuf, u64)> {
        self.work.as_ref().map(|work| work.others(own)).unwrap_or_default()
    }
}

/// Names the folder of a run; of one that is told none, after its spec.
pub(super) fn folder(arguments: &Arguments) -> PathBuf {
    if let Some(folder) = &arguments.work_dir {
        return folder.clone();
    }
    let stem = arguments.spec.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    PathBuf::from(format!("tenantry-{stem}"))
}

//! Where a cutover's rows come from: the application's database, frozen or not, and the snapshot that the run keeps.

use super::cutover_arguments::Arguments;
use super::run_folder::RunFolder;
use crate::copy::RolledBack;
use crate::diagnostic::Diagnostic;
use crate::postgres::RunRecord;
use crate::report::{MovedOn, Surroundings};
use crate::sqlite::{Frozen, Snapshot, Taking};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A source, and the folder of the run.
pub(super) struct RunSource {
    path: Option<PathBuf>,
    max_block: Option<Duration>,
    frozen: Option<Frozen>,
    /// Where its snapshot is kept.
    pub folder: RunFolder,
}

impl RunSource {
    /// Opens the folder, and freezes the source where that is asked for.
    pub fn open(arguments: &Arguments, is_scratch: bool) -> Result<Self, Diagnostic> {
        Self::with(arguments, RunFolder::open(arguments, is_scratch)?)
    }

    fn with(arguments: &Arguments, folder: RunFolder) -> Result<Self, Diagnostic> {
        let frozen = match arguments.source.first() {
            Some(source) if arguments.freeze => Some(Frozen::take(source)?),
            _ => None,
        };
        let max_block = arguments.max_block.map(Duration::from_secs_f64);
        Ok(Self { path: arguments.source.first().cloned(), max_block, frozen, folder })
    }

    pub fn path(&self) -> &Path {
        self.path.as_deref().unwrap_or(Path::new(""))
    }

    /// Takes a snapshot, which goes again unless it is kept.
    pub fn snapshot(&self) -> Result<Snapshot, Diagnostic> {
        self.folder.take(self.path(), &Taking { max_block: self.max_block, frozen: self.frozen.as_ref() })
    }

    /// Looks at the source once more when the run has ended, and gathers what the report says beside the proof.
    pub fn around(
        &self,
        snapshot: &Snapshot,
        tenants: usize,
        resumed: bool,
        replaced: Option<RolledBack>,
    ) -> Surroundings {
        let moved_on = match (&self.frozen, &snapshot.source_state) {
            (Some(_), _) if !resumed => MovedOn::Frozen,
            // What was written between the interruption and the lock counts as well; nothing else may open the file.
            (Some(_), _) => match self.snapshot() {
                Ok(now) if now.hash == snapshot.hash => MovedOn::No,
                Ok(_) => MovedOn::Yes,
                Err(error) => MovedOn::Unknown(error.message),
            },
            (None, Some(state)) => match state.has_moved_on() {
                Ok(false) => MovedOn::No,
                Ok(true) => MovedOn::Yes,
                Err(error) => MovedOn::Unknown(error.message),
            },
            (None, None) => MovedOn::Unknown("nothing tells what the source was like".to_owned()),
        };
        let kept = snapshot.kept_at().map(Path::to_owned);
        Surroundings {
            tenants,
            accounts: Vec::new(),
            resumed,
            replaced,
            added: None,
            blocked: snapshot.blocked,
            moved_on,
            written: Vec::new(),
            snapshot: kept,
            older: self.folder.others(&[snapshot.path()]),
            unsafe_backup: self.folder.unsafe_backup([snapshot]),
            left_running: None,
        }
    }
}

/// Finds the snapshot that an interrupted run keeps; where it is gone, the source serves as long as it is the same.
pub(super) fn kept_snapshot(arguments: &Arguments, record: &RunRecord) -> Result<(RunSource, Snapshot), Diagnostic> {
    let hash = record.binding.snapshot.as_str();
    if let Some((folder, snapshot)) = RunFolder::kept(arguments, record, std::iter::once(hash))? {
        return Ok((RunSource::with(arguments, folder)?, snapshot));
    }
    let missing = |message: String| {
        Diagnostic::error("snapshot-missing", message)
            .help("name the folder that holds it with --work-dir; without it the run can only be undone, by `tenantry rollback`")
    };
    let kept = record.snapshot_path.as_deref().map(crate::ident::visible);
    let place = kept.as_deref().unwrap_or("a folder for temporary files");
    if arguments.source.is_empty() {
        return Err(missing(format!("the run's snapshot is not there any more; it was kept as {place}")));
    }
    let source = RunSource::with(arguments, RunFolder::named(arguments)?)?;
    let mut snapshot = source.snapshot()?;
    if snapshot.hash != hash {
        let message = format!(
            "the run's snapshot, kept as {place}, is gone, and the source has been written to since it was taken"
        );
        return Err(missing(message));
    }
    source.folder.keep(&mut snapshot)?;
    Ok((source, snapshot))
}

//! Where a cutover's rows come from: the application's database, frozen or not, and the snapshot that the run keeps.

use super::cutover::Arguments;
use crate::copy::RolledBack;
use crate::diagnostic::Diagnostic;
use crate::postgres::RunRecord;
use crate::report::{MovedOn, Surroundings};
use crate::sqlite::{Frozen, Snapshot, Taking, WorkDir};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A source, and the folder of the run.
pub(super) struct RunSource {
    path: Option<PathBuf>,
    max_block: Option<Duration>,
    frozen: Option<Frozen>,
    /// None for a rehearsal, whose snapshot goes with the server.
    work: Option<WorkDir>,
}

impl RunSource {
    /// Opens the folder, and freezes the source where that is asked for.
    pub fn open(arguments: &Arguments, is_scratch: bool) -> Result<Self, Diagnostic> {
        let work = match (&arguments.work_dir, is_scratch) {
            (Some(path), _) => Some(WorkDir::open(path)?),
            (None, true) => None,
            (None, false) => Some(WorkDir::open(&folder(arguments))?),
        };
        Self::with(arguments, work)
    }

    fn with(arguments: &Arguments, work: Option<WorkDir>) -> Result<Self, Diagnostic> {
        let frozen = match arguments.source.first() {
            Some(source) if arguments.freeze => Some(Frozen::take(source)?),
            _ => None,
        };
        let max_block = arguments.max_block.map(Duration::from_secs_f64);
        Ok(Self { path: arguments.source.first().cloned(), max_block, frozen, work })
    }

    pub fn path(&self) -> &Path {
        self.path.as_deref().unwrap_or(Path::new(""))
    }

    /// Takes a snapshot, which goes again unless it is kept.
    pub fn snapshot(&self) -> Result<Snapshot, Diagnostic> {
        let taking = Taking { max_block: self.max_block, frozen: self.frozen.as_ref() };
        match &self.work {
            Some(work) => work.take(self.path(), &taking),
            None => Snapshot::take_with(self.path(), &taking),
        }
    }

    /// Keeps a snapshot, where the run has a folder.
    pub fn keep(&self, snapshot: &mut Snapshot) -> Result<(), Diagnostic> {
        self.work.as_ref().map_or(Ok(()), |work| work.keep(snapshot))
    }

    /// Keeps the rejected rows beside the snapshot, a line of JSON each, where the run has a folder.
    pub fn keep_rejects(&self, snapshot: &Snapshot, lines: &str) -> Result<(), Diagnostic> {
        match &self.work {
            Some(work) if !lines.is_empty() => work.keep_rejects(snapshot, lines),
            _ => Ok(()),
        }
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
        // The backup has to outlive the machine; a run that only wants to be continued notices damage by the hash.
        let unsafe_backup = self.work.as_ref().and_then(|work| work.settle(snapshot).err());
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
            older: self.work.as_ref().map(|work| work.others(&[snapshot.path()])).unwrap_or_default(),
            unsafe_backup: unsafe_backup.map(|error| error.message),
            left_running: None,
        }
    }
}

/// Finds the snapshot that an interrupted run keeps; where it is gone, the source serves as long as it is the same.
pub(super) fn kept_snapshot(arguments: &Arguments, record: &RunRecord) -> Result<(RunSource, Snapshot), Diagnostic> {
    let hash = record.binding.snapshot.as_str();
    let recorded = record.snapshot_path.as_deref().and_then(|path| Path::new(path).parent());
    let named = folder(arguments);
    let mut looked = Vec::new();
    for folder in [Some(named.as_path()), recorded].into_iter().flatten() {
        if looked.contains(&folder) || !folder.is_dir() {
            continue;
        }
        looked.push(folder);
        let work = WorkDir::open(folder)?;
        if let Some(snapshot) = work.find(hash)? {
            return Ok((RunSource::with(arguments, Some(work))?, snapshot));
        }
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
    let source = RunSource::with(arguments, Some(WorkDir::open(&named)?))?;
    let mut snapshot = source.snapshot()?;
    if snapshot.hash != hash {
        let message = format!(
            "the run's snapshot, kept as {place}, is gone, and the source has been written to since it was taken"
        );
        return Err(missing(message));
    }
    source.keep(&mut snapshot)?;
    Ok((source, snapshot))
}

/// Names the folder of a run; of one that is told none, after its spec.
pub(super) fn folder(arguments: &Arguments) -> PathBuf {
    if let Some(folder) = &arguments.work_dir {
        return folder.clone();
    }
    let stem = arguments.spec.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    PathBuf::from(format!("tenantry-{stem}"))
}

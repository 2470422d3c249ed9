//! Where the rows of a cutover of several files come from: the files, frozen or not, and the snapshots that the run keeps.

use super::cutover_arguments::Arguments;
use super::run_folder::RunFolder;
use crate::copy::{RolledBack, TenantFile, accounts_of_files};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::ident::visible;
use crate::postgres::{FileRecord, RunRecord};
use crate::report::{MovedOn, Surroundings};
use crate::sqlite::{Frozen, Snapshot, Taking, make_room_for_frozen};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The sources, and the folder of the run.
pub(super) struct RunFiles {
    paths: Vec<PathBuf>,
    max_block: Option<Duration>,
    /// In the order of the paths, where the sources are frozen.
    frozen: Vec<Frozen>,
    /// Where their snapshots are kept.
    pub folder: RunFolder,
}

impl RunFiles {
    /// Opens the folder, and freezes the sources where that is asked for.
    ///
    /// # Errors
    /// Those of the folder; of all sources that cannot be frozen.
    pub fn open(arguments: &Arguments, paths: &[PathBuf], is_scratch: bool) -> Result<Self, Diagnostics> {
        Self::with(arguments, paths.to_vec(), RunFolder::open(arguments, is_scratch)?)
    }

    fn with(arguments: &Arguments, paths: Vec<PathBuf>, folder: RunFolder) -> Result<Self, Diagnostics> {
        if arguments.freeze {
            make_room_for_frozen(paths.len())?;
        }
        let mut errors = Diagnostics::default();
        let mut frozen = Vec::new();
        for path in paths.iter().filter(|_| arguments.freeze) {
            match Frozen::take(path) {
                Ok(held) => frozen.push(held),
                Err(error) => errors.push(error),
            }
        }
        let max_block = arguments.max_block.map(Duration::from_secs_f64);
        errors.into_result(Self { paths, max_block, frozen, folder })
    }

    /// Finds the snapshots that an interrupted run keeps; where one is gone, its source serves as long as it is the same.
    ///
    /// # Errors
    /// `snapshot-missing` for each that cannot be had; those of the folder.
    pub fn kept(
        arguments: &Arguments,
        record: &RunRecord,
        files: &[FileRecord],
    ) -> Result<(Self, Vec<TenantFile>), Diagnostics> {
        // One run keeps all of them in one folder.
        let folder = match RunFolder::kept(arguments, record, files.iter().map(|file| file.snapshot.as_str()))? {
            Some((folder, _)) => folder,
            None => RunFolder::named(arguments)?,
        };
        let paths = files.iter().map(|file| PathBuf::from(&file.path)).collect();
        let sources = Self::with(arguments, paths, folder)?;
        let mut errors = Diagnostics::default();
        let mut found = Vec::with_capacity(files.len());
        for (number, file) in files.iter().enumerate() {
            match sources.find(number, file) {
                Ok(snapshot) => found.push(TenantFile::new(file.path.clone(), file.tenant.clone(), snapshot)),
                Err(error) => errors.push(error),
            }
        }
        errors.into_result((sources, found))
    }

    fn find(&self, number: usize, file: &FileRecord) -> Result<Snapshot, Diagnostic> {
        if let Some(snapshot) = self.folder.find(&file.snapshot)? {
            return Ok(snapshot);
        }
        let missing = |reason: &str| {
            let name = visible(&file.path);
            Diagnostic::error("snapshot-missing", format!("the run's snapshot of {name} is not there any more, and {reason}"))
                .help("name the folder that holds it with --work-dir; without it the run can only be undone, by `tenantry rollback`")
        };
        let mut snapshot = self.snapshot(number).map_err(|error| missing(&error.message))?;
        if snapshot.hash != file.snapshot {
            return Err(missing("the file has been written to since it was taken"));
        }
        self.folder.keep(&mut snapshot)?;
        Ok(snapshot)
    }

    /// Takes a snapshot of the file with this number, which goes again unless it is kept.
    pub fn snapshot(&self, number: usize) -> Result<Snapshot, Diagnostic> {
        let taking = Taking { max_block: self.max_block, frozen: self.frozen.get(number) };
        self.folder.take(&self.paths[number], &taking)
    }

    /// Looks at the sources once more when the run has ended, and gathers what the report says beside the proof.
    pub fn around(&self, files: &[TenantFile], resumed: bool, replaced: Option<RolledBack>) -> Surroundings {
        let mut written = Vec::new();
        let mut unknown = None;
        for (number, file) in files.iter().enumerate() {
            let looked = match (&file.snapshot.source_state, self.frozen.is_empty()) {
                (Some(state), true) => state.has_moved_on(),
                (None, true) => Err(Diagnostic::error("source-unreadable", "nothing tells what the source was like")),
                // What was written between the interruption and the lock counts as well; nothing else may open the file.
                (_, false) if resumed => self.snapshot(number).map(|now| now.hash != file.snapshot.hash),
                (_, false) => Ok(false),
            };
            match looked {
                Ok(false) => {}
                Ok(true) => written.push(file.name.clone()),
                Err(error) => drop(unknown.get_or_insert(error.message)),
            }
        }
        let moved_on = match unknown {
            _ if !self.frozen.is_empty() && !resumed => MovedOn::Frozen,
            _ if !written.is_empty() => MovedOn::Yes,
            Some(reason) => MovedOn::Unknown(reason),
            None => MovedOn::No,
        };
        let kept = files.first().and_then(|file| file.snapshot.kept_at()).and_then(Path::parent).map(Path::to_owned);
        let own: Vec<PathBuf> = files.iter().map(|file| file.snapshot.path()).collect();
        Surroundings {
            tenants: files.len(),
            accounts: accounts_of_files(files),
            resumed,
            replaced,
            added: None,
            blocked: files.iter().filter_map(|file| file.snapshot.blocked).max(),
            moved_on,
            written,
            snapshot: kept,
            older: self.folder.others(&own),
            unsafe_backup: self.folder.unsafe_backup(files.iter().map(|file| &file.snapshot)),
            left_running: None,
        }
    }
}

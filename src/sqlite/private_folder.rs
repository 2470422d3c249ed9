//! Folders for copies of somebody's data: private, and gone when the run is, however it ends.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use tempfile::TempDir;

const PREFIX: &str = "tenantry-source-";

/// A folder that only this user can look into. Dropping it removes it; what a run that was killed has left is removed by
/// the next one.
#[derive(Debug)]
pub(super) struct PrivateFolder {
    folder: TempDir,
    /// Locked as long as this run lives, which the kernel sees to.
    _lock: File,
}

impl PrivateFolder {
    /// Makes a folder where temporary files belong, after removing those of dead runs.
    pub fn create() -> io::Result<Self> {
        Self::create_in(&std::env::temp_dir())
    }

    fn create_in(base: &Path) -> io::Result<Self> {
        let mut options = tempfile::Builder::new();
        options.prefix(PREFIX).permissions(fs::Permissions::from_mode(0o700));
        loop {
            let folder = options.tempdir_in(base)?;
            // Until it is locked, another run may take it for a dead one's and remove it: before it is opened here, or after.
            let lock = match File::open(folder.path()) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                opened => opened?,
            };
            lock.lock()?;
            if let Ok(metadata) = fs::symlink_metadata(folder.path()) {
                sweep(base, &metadata);
                return Ok(Self { folder, _lock: lock });
            }
        }
    }

    /// Returns where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Removes the folders of dead runs: this user's alone, and no link that leads elsewhere.
fn sweep(base: &Path, own: &Metadata) {
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let path = entry.path();
        let named = entry.file_name().to_string_lossy().starts_with(PREFIX);
        let ours =
            |metadata: &Metadata| metadata.is_dir() && metadata.uid() == own.uid() && metadata.ino() != own.ino();
        if !named || !fs::symlink_metadata(&path).is_ok_and(|metadata| ours(&metadata)) {
            continue;
        }
        // What cannot be removed is left for the next time: it must not keep anybody from working.
        if let Ok(folder) = File::open(&path)
            && folder.try_lock().is_ok()
        {
            let _ = fs::remove_dir_all(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_that_begin_together_leave_each_other_alone() {
        let base = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let folder = PrivateFolder::create_in(base.path()).unwrap();
                        fs::write(folder.path().join("snapshot.db"), "rows").unwrap();
                        std::thread::yield_now();
                        assert!(folder.path().join("snapshot.db").exists());
                    }
                });
            }
        });
        assert_eq!(fs::read_dir(base.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_dead_runs_left_is_removed_and_nothing_else() {
        let base = tempfile::tempdir().unwrap();
        let alive = PrivateFolder::create_in(base.path()).unwrap();
        fs::write(alive.path().join("snapshot.db"), "rows").unwrap();
        let dead = base.path().join(format!("{PREFIX}dead"));
        let other = base.path().join("tenantry-elsewhere");
        for folder in [&dead, &other] {
            fs::create_dir(folder).unwrap();
            fs::write(folder.join("snapshot.db"), "rows").unwrap();
        }
        let link = base.path().join(format!("{PREFIX}link"));
        std::os::unix::fs::symlink(&other, &link).unwrap();
        let next = PrivateFolder::create_in(base.path()).unwrap();
        assert!(!dead.exists());
        assert!(
            alive.path().join("snapshot.db").exists() && other.join("snapshot.db").exists() && next.path().exists()
        );
        let path = alive.path().to_owned();
        drop(alive);
        assert!(!path.exists());
    }
}

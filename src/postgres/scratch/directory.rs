//! The private directory of a scratch server, and whom it belongs to.

use crate::diagnostic::Diagnostic;
use nix::unistd::{User, geteuid};
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

/// What the names of all scratch directories begin with; the process id of the owner follows.
pub(super) const PREFIX: &str = "tenantry-";

/// The file that the owner holds locked as long as it lives. Unlike a process id, a lock is never someone else's.
pub(super) const LOCK: &str = "owner.lock";

/// The file that says that the server is to stay.
pub(super) const KEEP: &str = "keep";

/// The most bytes of a socket's path: macOS allows 104 with the closing NUL, Linux 108.
const SOCKET_PATH_MAX: usize = 103;

/// A user that the server runs as instead of root, which PostgreSQL refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OtherUser {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl OtherUser {
    /// Finds the user to become; `None` where the present one will do.
    pub(super) fn find() -> Result<Option<Self>, Diagnostic> {
        if !geteuid().is_root() {
            return Ok(None);
        }
        ["postgres", "_postgres", "nobody"]
            .into_iter()
            .find_map(|name| User::from_name(name).ok().flatten())
            .map(|user| Some(Self { name: user.name, uid: user.uid.as_raw(), gid: user.gid.as_raw() }))
            .ok_or_else(|| {
                failed("PostgreSQL does not run as root, and there is no user postgres or nobody")
                    .help("create the user postgres, or run as a user other than root")
            })
    }
}

pub(super) fn failed(message: impl std::fmt::Display) -> Diagnostic {
    Diagnostic::error("scratch-failed", format!("failed to start a scratch server: {message}"))
}

/// A directory that nobody else can look into, with its lock held.
#[derive(Debug)]
pub(super) struct PrivateDirectory {
    pub(super) path: PathBuf,
    /// Open for the server's output before the directory changes hands, so that nobody can put a link there.
    pub(super) log: File,
    /// Locked until this process ends.
    _lock: File,
}

impl PrivateDirectory {
    /// Creates one under the first of the usual places where its socket's path is short enough and the other user,
    /// where there is one, can get to.
    pub(super) fn create(user: Option<&OtherUser>) -> Result<Self, Diagnostic> {
        let base = bases()
            .into_iter()
            .find(|base| suits(base, user.is_some()))
            .ok_or_else(|| failed("no temporary directory is short and open enough").help("set TMPDIR to /tmp"))?;
        for number in 0..1_000 {
            let path = base.join(format!("{PREFIX}{}-{number}", std::process::id()));
            let attempt = Self::create_at(&path, user);
            match attempt {
                Ok(Some(directory)) => return Ok(directory),
                Ok(None) => {}
                Err(error) => return Err(failed(format!("cannot create {}: {error}", path.display()))),
            }
        }
        Err(failed(format!("{} is full of directories of this process", base.display())))
    }

    /// Returns `None` where the name is taken, or the directory was swept before its lock was held.
    fn create_at(path: &Path, user: Option<&OtherUser>) -> io::Result<Option<Self>> {
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
            result => result?,
        }
        let lock = File::create_new(path.join(LOCK))?;
        if lock.try_lock().is_err() || !path.join(LOCK).exists() {
            return Ok(None);
        }
        let log = File::options().read(true).append(true).create_new(true).open(path.join("log"))?;
        if let Some(user) = user {
            chown(path, Some(user.uid), Some(user.gid))?;
        }
        Ok(Some(Self { path: path.to_owned(), log, _lock: lock }))
    }
}

/// Lists where scratch directories may be, the preferred place first.
pub(super) fn bases() -> Vec<PathBuf> {
    let mut bases = vec![std::env::temp_dir(), PathBuf::from("/tmp")];
    bases.dedup();
    bases
}

fn suits(base: &Path, other_user: bool) -> bool {
    let longest = base.join(format!("{PREFIX}{}-999/.s.PGSQL.5432", u32::MAX));
    let open_to_all =
        |directory: &Path| fs::metadata(directory).is_ok_and(|metadata| metadata.permissions().mode() & 0o001 != 0);
    base.is_absolute()
        && longest.as_os_str().len() <= SOCKET_PATH_MAX
        // The server reads its socket directories as a list.
        && !base.as_os_str().as_bytes().iter().any(|byte| matches!(byte, b',' | b'"' | b'\''))
        && base.is_dir()
        && (!other_user || base.ancestors().all(open_to_all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_closed_and_odd_places_do_not_suit() {
        let root = tempfile::tempdir_in("/tmp").unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let make = |name: &str| {
            let path = root.path().join(name);
            fs::create_dir(&path).unwrap();
            path
        };
        assert!(suits(&make("short"), true));
        assert!(!suits(&make(&"long".repeat(20)), false));
        assert!(!suits(&make("a,b"), false));
        assert!(!suits(&root.path().join("missing"), false));
        let closed = make("closed");
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
        let inside = closed.join("x");
        fs::create_dir(&inside).unwrap();
        assert!(suits(&inside, false) && !suits(&inside, true));
    }

    #[test]
    fn a_directory_is_private_and_its_lock_is_held() {
        let directory = PrivateDirectory::create(None).unwrap();
        assert_eq!(fs::metadata(&directory.path).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(File::open(directory.path.join(LOCK)).unwrap().try_lock().is_err());
        fs::remove_dir_all(&directory.path).unwrap();
    }
}

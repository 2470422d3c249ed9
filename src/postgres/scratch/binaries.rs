//! Finds the PostgreSQL programs that are installed on this machine.

use crate::diagnostic::Diagnostic;
use crate::postgres::MINIMUM_VERSION;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Returns the directory of `initdb` and `postgres`: what `pg_config` says, then PATH, then where packages put them.
///
/// The error `postgres-not-found` says how to install them.
pub(super) fn find() -> Result<PathBuf, Diagnostic> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    choose(from_pg_config().into_iter().chain(std::env::split_paths(&path)).chain(from_packages()))
}

fn choose(candidates: impl Iterator<Item = PathBuf>) -> Result<PathBuf, Diagnostic> {
    let mut too_old = None;
    for directory in candidates.filter(|directory| directory.join("initdb").is_file()) {
        match major_version(&directory) {
            Some(version) if version >= MINIMUM_VERSION => return Ok(directory),
            Some(version) => too_old = too_old.max(Some(version)),
            None => {}
        }
    }
    let message = match too_old {
        Some(version) => {
            format!(
                "PostgreSQL {version} is installed, and {MINIMUM_VERSION} is the oldest that a scratch server can be"
            )
        }
        None => "no PostgreSQL server is installed, so no scratch server can start".to_owned(),
    };
    Err(Diagnostic::error("postgres-not-found", message).help(
        "install one (apt-get install postgresql, dnf install postgresql-server, brew install postgresql), \
         or put the directory of initdb on PATH",
    ))
}

fn from_pg_config() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").output().ok()?;
    Some(PathBuf::from(String::from_utf8(output.stdout).ok()?.trim()))
}

/// Lists the directories of Debian, Red Hat, Homebrew and Postgres.app, newest version first within each.
fn from_packages() -> Vec<PathBuf> {
    let bin = |parent: &str, prefix: &str| {
        let mut found: Vec<(u32, PathBuf)> = fs::read_dir(parent)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name();
                let version = name.to_str()?.strip_prefix(prefix)?.trim_start_matches('@');
                // A name without a version is the current one.
                let version = if version.is_empty() { u32::MAX } else { version.parse().ok()? };
                Some((version, entry.path().join("bin")))
            })
            .collect();
        found.sort_unstable_by(|left, right| right.cmp(left));
        found.into_iter().map(|(_, directory)| directory)
    };
    bin("/usr/lib/postgresql", "")
        .chain(bin("/usr", "pgsql-"))
        .chain(bin("/opt/homebrew/opt", "postgresql"))
        .chain(bin("/usr/local/opt", "postgresql"))
        .chain(bin("/Applications/Postgres.app/Contents/Versions", ""))
        .collect()
}

/// Asks `postgres` for its version: `postgres (PostgreSQL) 15.18 (Debian …)`, or `17beta1`.
fn major_version(directory: &Path) -> Option<u32> {
    let output = Command::new(directory.join(OsStr::new("postgres"))).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let version = text.split_once("(PostgreSQL) ")?.1;
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn install(root: &Path, name: &str, version: &str) -> PathBuf {
        let directory = root.join(name);
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("initdb"), "").unwrap();
        fs::write(directory.join("postgres"), format!("#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n")).unwrap();
        fs::set_permissions(directory.join("postgres"), fs::Permissions::from_mode(0o755)).unwrap();
        directory
    }

    #[test]
    fn the_first_that_is_new_enough_is_chosen() {
        let root = tempfile::tempdir().unwrap();
        let (old, new) = (install(root.path(), "old", "14.2"), install(root.path(), "new", "18beta1"));
        let missing = root.path().join("missing");
        assert_eq!(choose([missing, old.clone(), new.clone()].into_iter()), Ok(new));
        let error = choose([old].into_iter()).unwrap_err();
        assert!(error.code == "postgres-not-found" && error.message.contains("14"), "{error:?}");
    }

    #[test]
    fn nothing_installed_says_how_to_install() {
        let error = choose(std::iter::empty()).unwrap_err();
        assert_eq!(error.code, "postgres-not-found");
        let help = error.help.unwrap();
        assert!(help.contains("apt-get install postgresql") && help.contains("brew install postgresql"), "{help}");
    }
}

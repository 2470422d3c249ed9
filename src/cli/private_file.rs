//! Files that only their owner may read: reports, receipts and suggestions name keys of rows.

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::ident::visible;
use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf, absolute};

/// Writes a file with mode 0600, in place of one that is there.
pub(super) fn write(path: &Path, text: &str) -> Result<(), Diagnostic> {
    let failed = |error| unwritable(path, &error);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).map_err(failed)?;
    // The mode above is for new files only.
    file.set_permissions(std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)
}

/// Finds out whether files can be written, each to a place of its own, and leaves all as it is: what they are to hold may take
/// hours to come by.
///
/// # Errors
/// `report-unwritable` for each that cannot.
pub(super) fn refuse_unwritable(paths: &[PathBuf]) -> Result<(), Diagnostics> {
    let mut errors = Diagnostics::default();
    let mut seen = BTreeSet::new();
    for path in paths {
        if !seen.insert(absolute(path).unwrap_or_else(|_| path.clone())) {
            let name = visible(&path.to_string_lossy()).into_owned();
            errors.push(
                Diagnostic::error("report-unwritable", format!("two files would be written as {name}"))
                    .help("name them otherwise; beside a report and a runbook stands a file of that name with .json"),
            );
        }
        let tried = match path.metadata() {
            Ok(there) if there.is_file() || there.is_dir() => OpenOptions::new().write(true).open(path).map(drop),
            // To open a pipe is to wait for whoever reads it.
            Ok(_) => Ok(()),
            Err(_) => refuse_unwritable_folder(path.parent().unwrap_or(Path::new(""))),
        };
        if let Err(error) = tried {
            errors.push(unwritable(path, &error));
        }
    }
    errors.into_result(())
}

/// Finds out whether files can be made in a folder.
pub(super) fn refuse_unwritable_folder(path: &Path) -> std::io::Result<()> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    // It has no name, or goes at once.
    tempfile::tempfile_in(path).map(drop)
}

fn unwritable(path: &Path, error: &std::io::Error) -> Diagnostic {
    Diagnostic::error("report-unwritable", format!("cannot write {}: {error}", visible(&path.to_string_lossy())))
        .help("name a place that you may write to")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_else_may_read_what_was_there_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.html");
        std::fs::write(&path, "something longer").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        write(&path, "new").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(write(&folder.path().join("no/such"), "").unwrap_err().code, "report-unwritable");
    }

    #[test]
    fn what_cannot_be_written_is_told_before_and_nothing_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let [there, new] = ["there.html", "new.json"].map(|name| folder.path().join(name));
        std::fs::write(&there, "kept").unwrap();
        assert_eq!(refuse_unwritable(&[there.clone(), new.clone()]), Ok(()));
        assert_eq!((std::fs::read_to_string(&there).unwrap().as_str(), new.exists()), ("kept", false));
        let wrong = [folder.path().to_owned(), folder.path().join("no/such"), there.join("below")];
        let errors = refuse_unwritable(&wrong).unwrap_err();
        assert_eq!(errors.0.iter().map(|error| error.code).collect::<Vec<_>>(), ["report-unwritable"; 3]);
        let twice = refuse_unwritable(&[new.clone(), folder.path().join("./new.json")]).unwrap_err();
        assert!(twice.0[0].message.contains("two files would be written as"), "{twice:?}");
    }
}

//! `--report` and `--receipts`: a run as files that a person signs off.

use super::private_file::{self, refuse_unwritable, refuse_unwritable_folder};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::ident::visible;
use crate::report::SignOff;
use clap::Args;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Where the files of a run go.
#[derive(Debug, Args)]
pub(super) struct Files {
    /// Writes a report to sign off: one HTML file, and the same as JSON beside it; a name that ends in .json gives JSON only
    #[arg(long, value_name = "FILE.html")]
    pub report: Option<PathBuf>,
    /// Shows the first value of each finding, not only its shape
    #[arg(long)]
    pub show_values: bool,
}

/// Where the receipts of a run go.
#[derive(Debug, Args)]
pub(super) struct Receipts {
    /// Writes a receipt for each tenant into a folder, as HTML and as JSON
    #[arg(long, value_name = "DIR")]
    pub receipts: Option<PathBuf>,
}

impl Files {
    /// Lists the files that are written.
    pub fn paths(&self) -> Vec<PathBuf> {
        let beside = |path: &PathBuf| (!is_json(path)).then(|| path.with_extension("json"));
        self.report.iter().flat_map(|path| std::iter::once(path.clone()).chain(beside(path))).collect()
    }
}

fn is_json(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"))
}

/// Finds out, before anything is done, whether all can be written: the report, the receipts, and `others`.
///
/// # Errors
/// `report-unwritable` for all that cannot.
pub(super) fn refuse(
    files: &Files,
    receipts: Option<&Receipts>,
    others: impl IntoIterator<Item = PathBuf>,
) -> Result<(), Diagnostics> {
    let paths: Vec<PathBuf> = files.paths().into_iter().chain(others).collect();
    let mut errors = refuse_unwritable(&paths).err().unwrap_or_default();
    if let Some(folder) = receipts.and_then(|receipts| receipts.receipts.as_ref()) {
        // It is made where it is missing, and the folders above it.
        let there = folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new(""));
        if let Err(error) = refuse_unwritable_folder(there) {
            errors.push(unmakable(folder, &error));
        }
    }
    errors.into_result(())
}

/// Writes what was asked for.
///
/// # Errors
/// `report-unwritable`.
pub(super) fn write(files: &Files, receipts: Option<&Receipts>, sign_off: &SignOff<'_>) -> Result<(), Diagnostic> {
    if let Some(path) = &files.report {
        let json = format!("{:#}\n", sign_off.json());
        if is_json(path) {
            private_file::write(path, &json)?;
        } else {
            private_file::write(path, &sign_off.html())?;
            private_file::write(&path.with_extension("json"), &json)?;
        }
    }
    if let Some(folder) = receipts.and_then(|receipts| receipts.receipts.as_ref()) {
        make(folder)?;
        for receipt in sign_off.receipts() {
            let name = file_name(&receipt.tenant);
            private_file::write(&folder.join(format!("{name}.html")), &receipt.html)?;
            private_file::write(&folder.join(format!("{name}.json")), &format!("{:#}\n", receipt.json))?;
        }
    }
    Ok(())
}

/// Says what time it is, in UTC.
pub(super) fn now() -> String {
    let seconds = jiff::Timestamp::now().as_second();
    jiff::Timestamp::from_second(seconds).map(|moment| moment.to_string()).unwrap_or_default()
}

fn make(folder: &Path) -> Result<(), Diagnostic> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| unmakable(folder, &error))
}

fn unmakable(folder: &Path, error: &std::io::Error) -> Diagnostic {
    let message = format!("cannot make the folder {}: {error}", visible(&folder.to_string_lossy()));
    Diagnostic::error("report-unwritable", message).help("name a place that you may write to")
}

/// Names a tenant's files: what can be read of its id, and a hash that tells ids apart whatever the file system does.
fn file_name(tenant: &str) -> String {
    let readable: String = tenant
        .chars()
        .take(60)
        .map(|character| if character.is_ascii_alphanumeric() || character == '-' { character } else { '_' })
        .collect();
    format!("{readable}.{}", &blake3::hash(tenant.as_bytes()).to_hex()[..12])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_tenant_leads_out_of_the_folder_or_takes_anothers_place() {
        let ids =
            ["../../etc/passwd", "a/b", "a_b", "A_B", ".", "", "\u{0}", "x".repeat(500).as_str()].map(str::to_owned);
        let names: std::collections::BTreeSet<String> =
            ids.iter().map(|id| file_name(id).to_ascii_lowercase()).collect();
        assert_eq!(names.len(), ids.len());
        assert!(
            names.iter().all(|name| !name.contains(['/', '\\', '\0']) && name.len() < 100 && !name.starts_with(".."))
        );
    }
}

//! `--runbook`: what a rehearsal leaves for the real run, and what the real run finds of it.

use super::cutover_arguments::Arguments;
use super::private_file;
use crate::diagnostic::Diagnostic;
use crate::ident::visible;
use crate::report::{Commands, Figures, runbook};
use std::path::{Path, PathBuf};

/// What the runbook is called in the folder of a run.
const NAME: &str = "runbook.md";

/// Says where a rehearsal writes its runbook; `None` where nobody asked for one, and it has no folder.
pub(super) fn to_write(arguments: &Arguments) -> Option<PathBuf> {
    let in_folder = || arguments.work_dir.as_ref().map(|folder| folder.join(NAME));
    arguments.runbook.clone().or_else(in_folder)
}

/// Lists the files of a runbook that a run is told to write; those in its folder are its own.
pub(super) fn asked_for(arguments: &Arguments) -> impl Iterator<Item = PathBuf> {
    let asked = arguments.runbook.iter().filter(|_| arguments.target.trim() == "scratch");
    asked.flat_map(|path| [path.clone(), figures_path(path)])
}

/// Reads the figures of the rehearsal, where there was one.
///
/// # Errors
/// `runbook-unreadable`: a runbook was named whose figures are not beside it, or are none.
pub(super) fn read(arguments: &Arguments) -> Result<Option<Figures>, Diagnostic> {
    let in_folder = || super::run_folder::folder(arguments).join(NAME);
    let path = figures_path(&arguments.runbook.clone().unwrap_or_else(in_folder));
    let unreadable = |reason: String| {
        Diagnostic::error(
            "runbook-unreadable",
            format!("cannot read the rehearsal's figures in {}: {reason}", visible(&path.to_string_lossy())),
        )
        .help("name the runbook that `--target scratch --runbook FILE` has written, or leave --runbook out")
    };
    match std::fs::read_to_string(&path) {
        Ok(text) => serde_json::from_str(&text).map(Some).map_err(|error| unreadable(error.to_string())),
        Err(_) if arguments.runbook.is_none() => Ok(None),
        Err(error) => Err(unreadable(error.to_string())),
    }
}

/// Writes the runbook, and its figures beside it.
pub(super) fn write(path: &Path, arguments: &Arguments, figures: &Figures) -> Result<(), Diagnostic> {
    let json = serde_json::to_value(figures)
        .map_err(|error| Diagnostic::error("report-unwritable", format!("cannot write the figures: {error}")))?;
    private_file::write(&figures_path(path), &format!("{json:#}\n"))?;
    private_file::write(path, &runbook(figures, &commands(path, arguments)))
}

fn figures_path(runbook: &Path) -> PathBuf {
    runbook.with_extension("json")
}

fn commands(runbook: &Path, arguments: &Arguments) -> Commands {
    let sources: Vec<String> =
        arguments.source.iter().map(|source| format!("--source {}", quoted_path(source))).collect();
    let names = &arguments.names;
    let mut tenant = String::new();
    if let Some(id) = &names.tenant {
        tenant.push_str(&format!(" --tenant {}", quoted(id)));
    }
    if let Some(query) = &names.tenant_query {
        tenant.push_str(&format!(" --tenant-query {}", quoted(query)));
    }
    if let Some(map) = &names.tenant_map {
        tenant.push_str(&format!(" --tenant-map {}", quoted_path(map)));
    }
    let mut more = format!(" --runbook {}", quoted_path(runbook));
    if arguments.jobs != super::cutover_arguments::JOBS {
        more.push_str(&format!(" --jobs {}", arguments.jobs));
    }
    if let Some(folder) = &arguments.work_dir {
        more.push_str(&format!(" --work-dir {}", quoted_path(folder)));
    }
    if let Some(seconds) = arguments.max_block {
        more.push_str(&format!(" --max-block {seconds}"));
    }
    if arguments.bootstrap {
        more.push_str(" --bootstrap");
    }
    if arguments.freeze {
        more.push_str(" --freeze");
    }
    let name = quoted_path(&arguments.spec);
    // Whoever reads the spec needs it.
    let spec = format!("{name}{}", if arguments.allow_outside { " --allow-outside" } else { "" });
    Commands {
        name,
        spec,
        database: sources.join(" "),
        tenant,
        tenant_of_run: names.tenant.as_ref().map(|id| format!(" --tenant {}", quoted(id))).unwrap_or_default(),
        more,
        folder: visible(&super::run_folder::folder(arguments).to_string_lossy()).into_owned(),
        freezes: arguments.freeze,
    }
}

fn quoted_path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

/// Writes a word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_./:=@%+,".contains(character);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", visible(word).replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_read_them_otherwise() {
        assert_eq!(
            ["specs/a.yaml", "my db", "it's", "$(x)"].map(quoted),
            ["specs/a.yaml", "'my db'", r"'it'\''s'", "'$(x)'"]
        );
    }
}

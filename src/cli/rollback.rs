//! `rollback`: undoes a recorded run.

use super::Format;
use super::exit::CLEAN;
use super::output::Output;
use super::progress::Progress;
use super::project::Project;
use super::target::Opened;
use crate::copy::{RolledBack, Session};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::report::{rollback_json, rollback_text};
use clap::Args;
use std::path::PathBuf;

/// Undoes a recorded cutover, interrupted or finished: drops what it created, and nothing else
#[derive(Debug, Args)]
#[command(after_help = "\
What is dropped is what the journal in the target says that the run has made, all in one transaction. Rows that were
written or changed after the run stop it, unless their exact number is named.

Examples:
  tenantry rollback specs/bai.yaml --target env:POSTGRES_URL
  tenantry rollback specs/bai.yaml --target env:POSTGRES_URL --discard-new-rows 42")]
pub(super) struct Arguments {
    /// The tenancy spec
    spec: PathBuf,
    /// Where it was moved to: a postgresql:// URL, or env:NAME for one in a variable
    #[arg(long, value_name = "URL|env:NAME")]
    target: String,
    /// Gives up that many rows which were written after the run; the number has to be exact
    #[arg(long, value_name = "N")]
    discard_new_rows: Option<u64>,
    /// How to report
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Lets the spec name paths outside its repository
    #[arg(long)]
    allow_outside: bool,
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> u8 {
    let project = match Project::load(&arguments.spec, arguments.allow_outside) {
        Ok(project) => project,
        Err(failure) => return output.errors(&failure.errors, &failure.sources, arguments.format),
    };
    let mut progress = Progress::new(output);
    let done = roll_back(arguments, &project, &mut progress);
    progress.end();
    match done {
        Err(errors) => output.errors(&errors, &project.sources, arguments.format),
        Ok(done) => {
            match arguments.format {
                Format::Text => output.result(&rollback_text(&done)),
                Format::Json => output.json(&rollback_json(&done)),
            }
            CLEAN
        }
    }
}

fn roll_back(arguments: &Arguments, project: &Project, progress: &mut Progress) -> Result<RolledBack, Diagnostics> {
    if arguments.target.trim() == "scratch" {
        return Err(Diagnostic::error("scratch-is-empty", "a scratch server holds nothing to undo")
            .help("name the server of the run")
            .into());
    }
    progress.phase("target");
    let target = Opened::open(&arguments.target)?;
    let mut session = Session::open(&project.plan, target.server())?;
    progress.phase("rollback");
    session.roll_back(arguments.discard_new_rows)
}

//! `why`: the decisions behind one table, column or key, and one row's way to its tenant.

use super::Format;
use super::exit::CLEAN;
use super::output::Output;
use super::project::Project;
use crate::copy::{RowPath, trace};
use crate::diagnostic::Diagnostics;
use crate::report::{Asked, why_json, why_row_json, why_row_text, why_text};
use clap::Args;
use std::path::{Path, PathBuf};

/// Shows the decisions behind one table, column or key, or one row's way to its tenant, with the spec's lines
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tenantry why specs/bai.yaml invoices
  tenantry why specs/bai.yaml invoices.customer_id
  tenantry why specs/bai.yaml invoices.primary_key --format json
  tenantry why specs/bai.yaml invoices/4711 --source app.db")]
pub(super) struct Arguments {
    /// The tenancy spec
    spec: PathBuf,
    /// A table, or a table's column, key or index: TABLE or TABLE.OBJECT; with --source a row: TABLE/KEY
    object: String,
    /// The SQLite database with the row; it is only read
    #[arg(long, value_name = "DB")]
    source: Option<PathBuf>,
    /// The tenant of the tables that are `per_run`, as the source spells its id
    #[arg(long, value_name = "ID", requires = "source")]
    tenant: Option<String>,
    /// How to report
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Lets the spec name paths outside its repository
    #[arg(long)]
    allow_outside: bool,
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> u8 {
    let mut project = match Project::load(&arguments.spec, arguments.allow_outside) {
        Ok(project) => project,
        Err(failure) => return output.errors(&failure.errors, &failure.sources, arguments.format),
    };
    if let Some(source) = &arguments.source {
        return match row(arguments, &mut project, source) {
            Err(errors) => output.errors(&errors, &project.sources, arguments.format),
            Ok(path) => {
                match arguments.format {
                    Format::Text => output.result(&why_row_text(&project.plan, &project.sources, &path)),
                    Format::Json => output.json(&why_row_json(&project.plan, &project.sources, &path)),
                }
                CLEAN
            }
        };
    }
    match Asked::parse(&arguments.object, &project.plan) {
        Err(error) => output.error(error, &project.sources, arguments.format),
        Ok(asked) => {
            match arguments.format {
                Format::Text => output.result(&why_text(&project.plan, &project.sources, &asked)),
                Format::Json => output.json(&why_json(&project.plan, &project.sources, &asked)),
            }
            CLEAN
        }
    }
}

fn row(arguments: &Arguments, project: &mut Project, source: &Path) -> Result<RowPath, Diagnostics> {
    // Only some tables take it: a way that needs it says so.
    if arguments.tenant.is_some() {
        project.plan.name_tenant(arguments.tenant.as_deref())?;
    }
    let snapshot = super::audit::snapshot(project, source)?;
    Ok(trace(&project.plan, &snapshot.open()?, &arguments.object)?)
}

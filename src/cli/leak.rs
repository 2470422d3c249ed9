//! `leak`: which of an application's queries see another tenant's rows.

use super::Format;
use super::exit::{CLEAN, FINDINGS};
use super::output::Output;
use super::progress::Progress;
use super::project::{Project, shown};
use super::target::Opened;
use crate::copy::{NewCutover, Tables, audit_snapshot, bootstrap, cutover};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::leak::{LeakReport, leaks, read_queries};
use crate::report::{leak_json, leak_text};
use clap::Args;
use std::path::PathBuf;

/// Runs an application's queries, and names those that see another tenant's rows
#[derive(Debug, Args)]
#[command(after_help = "\
The file holds the queries as PostgreSQL is to run them, each with a semicolon behind it. In place of a parameter stands
a literal or a variable: `:tenant` is the tenant, others get a value by a line such as `\\set id 17` in front of the query.
A comment `-- name: NAME` names a query; `-- all tenants: REASON` says that it may see all of them, such as a login by
email. Each is run on a scratch server for one tenant, over rows that differ only in what other tenants have, and without
row-level security: its answer has to be the same.

Examples:
  tenantry leak queries.sql specs/bai.yaml --source app.db
  tenantry leak queries.sql specs/bai.yaml --source app.db --tenant acct-0001 --format json")]
pub(super) struct Arguments {
    /// The queries
    queries: PathBuf,
    /// The tenancy spec
    spec: PathBuf,
    /// The SQLite database with the rows; it is only read
    #[arg(long, value_name = "DB", value_parser = super::source::parse)]
    source: PathBuf,
    /// The tenant to run them for, as the target spells its id; the one with the most rows where neither this nor the
    /// file says
    #[arg(long, value_name = "ID")]
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
    let mut progress = Progress::new(output);
    let judged = steps(arguments, &mut project, &mut progress);
    progress.end();
    match judged {
        Err(errors) => output.errors(&errors, &project.sources, arguments.format),
        Ok(report) => {
            match arguments.format {
                Format::Text => output.result(&leak_text(&report)),
                Format::Json => output.json(&leak_json(&report)),
            }
            if report.findings() == 0 { CLEAN } else { FINDINGS }
        }
    }
}

fn steps(arguments: &Arguments, project: &mut Project, progress: &mut Progress) -> Result<LeakReport, Diagnostics> {
    let text = std::fs::read_to_string(&arguments.queries).map_err(|error| {
        Diagnostic::error("queries-unreadable", format!("{} cannot be read: {error}", shown(&arguments.queries)))
            .help("correct its path; the queries come first, the spec behind them")
    })?;
    let source = project.sources.add(shown(&arguments.queries), text.clone());
    let queries = read_queries(&text, source)?;
    // Where the run names the tenant of all rows, it is the one to run the queries for, too.
    let per_run = arguments.tenant.as_deref().or_else(|| queries.iter().find_map(|query| query.tenant()));
    if project.plan.asks_for_tenant() {
        project.plan.name_tenant(per_run)?;
    }
    progress.phase("snapshot");
    let snapshot = super::audit::snapshot(project, &arguments.source)?;
    progress.phase("audit");
    let (settled, audited, prepared) =
        audit_snapshot(&project.plan, &snapshot, &mut |table, rows| progress.rows(table, rows))?;
    if !audited.findings.is_empty() {
        return Err(Diagnostic::error("rows-refused", "the source has rows that do not go through")
            .help("run `tenantry audit` to see them")
            .into());
    }
    progress.phase("target");
    let target = Opened::open("scratch")?;
    let mut connection = target.connect(&project.plan.tenancy.target_schema)?;
    bootstrap(&project.plan, &mut connection, &|_| None)?;
    let new = NewCutover {
        spec_hash: "",
        snapshot: &snapshot,
        settled: &settled,
        tenants: audited.tenants,
        tables: Tables::Created,
    };
    cutover(&project.plan, target.server(), &new, prepared, 2, &mut |event| progress.event(event))?;
    progress.phase("queries");
    Ok(leaks(&project.plan, &queries, arguments.tenant.as_deref(), &mut connection)?)
}

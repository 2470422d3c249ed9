//! `doctor`: is the target ready for a run?

use super::Format;
use super::exit::{CLEAN, FAILED, FINDINGS};
use super::output::Output;
use super::project::shown;
use super::tenant_files::files;
use crate::diagnostic::{Diagnostic, Diagnostics, Sources};
use crate::ident::visible;
use crate::postgres::{Finding, Status, Target, examine};
use crate::report::SCHEMA_VERSION;
use clap::Args;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Examines a target: connection, TLS, version, privileges, settings; shows no secret
#[derive(Debug, Args)]
#[command(after_help = "\
Exits with 0 where all is well, 1 with warnings, 2 where a run would fail.

Examples:
  tenantry doctor --target env:POSTGRES_URL
  tenantry doctor --target env:POSTGRES_URL --source app.db          is there room for it, too?
  tenantry doctor --target env:POSTGRES_URL --source 'tenants/*.db'  and for several files?
  tenantry doctor --target env:POSTGRES_URL --timeout 5 --format json")]
pub(super) struct Arguments {
    /// What to examine: a postgresql:// URL, env:NAME for one in a variable, or scratch
    #[arg(long, value_name = "URL|env:NAME|scratch")]
    target: String,
    /// The schema that the tables are to go into
    #[arg(long, default_value = "public")]
    schema: String,
    /// The SQLite database that is to be moved, or several, by patterns too: their size is compared with the room there is
    #[arg(long, value_name = "DB|PATTERN", value_parser = super::source::parse)]
    source: Vec<PathBuf>,
    /// Seconds that the examination may take
    #[arg(long, default_value_t = 15, value_name = "SECONDS")]
    timeout: u64,
    /// How to report
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> u8 {
    let target = match Target::parse(&arguments.target) {
        Ok(target) => target,
        Err(error) => return output.error(error, &Sources::default(), arguments.format),
    };
    let bytes = match bytes(&arguments.source) {
        Ok(bytes) => bytes,
        Err(errors) => return output.errors(&errors, &Sources::default(), arguments.format),
    };
    let findings = examine(&target, &arguments.schema, bytes, Duration::from_secs(arguments.timeout));
    match arguments.format {
        Format::Text => output.result(&text(&findings)),
        Format::Json => {
            let list: Vec<_> = findings
                .iter()
                .map(|finding| {
                    json!({
                        "name": finding.name, "status": word(finding.status), "detail": finding.detail, "help": finding.help,
                    })
                })
                .collect();
            output.json(&json!({ "schema_version": SCHEMA_VERSION, "target": target.describe(), "findings": list }));
        }
    }
    match findings.iter().map(|finding| finding.status).max() {
        None | Some(Status::Ok) => CLEAN,
        Some(Status::Warning) => FINDINGS,
        Some(Status::Failed) => FAILED,
    }
}

/// Returns the size of all databases together; `None` where none is named.
fn bytes(sources: &[PathBuf]) -> Result<Option<u64>, Diagnostics> {
    let mut errors = Diagnostics::default();
    let mut all = 0;
    for file in files(sources)? {
        match size(&file) {
            Ok(bytes) => all += bytes,
            Err(error) => errors.push(error),
        }
    }
    errors.into_result((!sources.is_empty()).then_some(all))
}

/// Returns the size of a database with its log.
fn size(source: &Path) -> Result<u64, Diagnostic> {
    let size = |path: &Path| std::fs::metadata(path).map(|found| found.len());
    let mut log = source.as_os_str().to_owned();
    log.push("-wal");
    let found = size(source).map_err(|error| {
        Diagnostic::error("source-missing", format!("{} cannot be looked at: {error}", shown(source)))
    })?;
    Ok(found + size(Path::new(&log)).unwrap_or(0))
}

fn text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        text.push_str(&format!("{:<8}{:<16}{}\n", word(finding.status), finding.name, visible(&finding.detail)));
        for line in finding.help.iter().flat_map(|help| help.lines()) {
            text.push_str(&format!("{:24}{}\n", "", visible(line)));
        }
    }
    text
}

fn word(status: Status) -> &'static str {
    match status {
        Status::Ok => "ok",
        Status::Warning => "warning",
        Status::Failed => "failed",
    }
}

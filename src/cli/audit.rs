//! `audit`: the tenancy proof on the data, without writing anything.

use super::Format;
use super::exit::{CLEAN, FINDINGS};
use super::output::Output;
use super::progress::Progress;
use super::project::Project;
use super::sign_off::{self, Files};
use super::tenant_files::{Chosen, TenantNames, choose, gather};
use crate::copy::{Audit, CopiedFiles, audit_files, audit_snapshot, hash_of_files, suggestions_yaml};
use crate::diagnostic::{Diagnostic, Diagnostics, Sources};
use crate::plan::Plan;
use crate::report::{SignOff, Values, audit_json, audit_text_with};
use crate::sqlite::Snapshot;
use clap::Args;
use std::path::{Path, PathBuf};

/// Checks every row of a database against the spec, and writes nothing
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tenantry audit specs/bai.yaml --source app.db
  tenantry audit specs/bai.yaml --source app.db --format json
  tenantry audit specs/bai.yaml --source app.db --write-suggestions decide.yaml
  tenantry audit specs/bai.yaml --source app.db --report audit.html
  tenantry audit specs/legal_dashboard.yaml --source 'tenants/*.db'")]
pub(super) struct Arguments {
    /// The tenancy spec
    spec: PathBuf,
    /// The SQLite database with the rows. Several, named one by one or by a quoted pattern, are looked at together
    #[arg(long, value_name = "DB|PATTERN", value_parser = super::source::parse, required = true)]
    source: Vec<PathBuf>,
    #[command(flatten)]
    names: TenantNames,
    /// Writes the lines of the spec that would decide the findings, as one part to paste
    #[arg(long, value_name = "FILE")]
    write_suggestions: Option<PathBuf>,
    #[command(flatten)]
    files: Files,
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
    if let Err(errors) = sign_off::refuse(&arguments.files, None, arguments.write_suggestions.clone()) {
        return output.errors(&errors, &project.sources, arguments.format);
    }
    let mut progress = Progress::new(output);
    let audited = audited(arguments, &mut project, &mut progress);
    progress.end();
    match audited {
        Err(errors) => output.errors(&errors, &project.sources, arguments.format),
        Ok((audit, hash)) => {
            super::warnings::of_audit(output, &project.plan, &audit);
            let values = if arguments.files.show_values { Values::Shown } else { Values::Hidden };
            match arguments.format {
                Format::Text => output.result(&audit_text_with(&project.plan, &audit, values)),
                Format::Json => output.json(&audit_json(&project.plan, &audit, values)),
            }
            let report = SignOff {
                verb: "audit",
                made_at: sign_off::now(),
                plan: &project.plan,
                sources: &project.sources,
                spec: super::project::shown(&arguments.spec),
                target: None,
                hashes: vec![("spec", project.run_hash()), ("ddl", project.ddl_hash()), ("source", hash)],
                is_clean: audit.findings.is_empty(),
                audit: Some(&audit),
                verification: None,
                since: None,
                phases: Vec::new(),
                values,
            };
            let written = sign_off::write(&arguments.files, None, &report);
            if let Err(error) = written.and_then(|()| write_suggestions(arguments, &audit, output)) {
                return output.error(error, &project.sources, arguments.format);
            }
            if audit.findings.is_empty() { CLEAN } else { FINDINGS }
        }
    }
}

/// Audits the source or the files, and returns their hash with it.
fn audited(
    arguments: &Arguments,
    project: &mut Project,
    progress: &mut Progress,
) -> Result<(Audit, String), Diagnostics> {
    match choose(&arguments.source, &arguments.names)? {
        Chosen::Nothing => Err(Diagnostic::error("source-missing", "no source is named").into()),
        Chosen::Database(source) => {
            project.plan.name_tenant(arguments.names.tenant.as_deref())?;
            let snapshot = snapshot(project, &source)?;
            progress.count(&project.plan, &snapshot);
            progress.phase("audit");
            let (_, audit, _) =
                audit_snapshot(&project.plan, &snapshot, &mut |table, rows| progress.rows(table, rows))?;
            Ok((audit, snapshot.hash.clone()))
        }
        Chosen::Files(paths) => {
            progress.phase("snapshot");
            let mut files = gather(project, &paths, &arguments.names, &mut |number| Snapshot::take(&paths[number]))?;
            progress.count_files(&project.plan, &files, &CopiedFiles::default());
            progress.phase("audit");
            let audit = audit_files(&project.plan, &mut files, &mut |table, rows| progress.rows(table, rows))?;
            Ok((audit, hash_of_files(&files)))
        }
    }
}

fn write_suggestions(arguments: &Arguments, audit: &Audit, output: &Output) -> Result<(), Diagnostic> {
    let Some(path) = &arguments.write_suggestions else { return Ok(()) };
    let findings = audit.findings.iter().chain(&audit.warnings);
    let suggestions: Vec<_> = findings.filter_map(|finding| finding.suggestion.as_ref()).collect();
    if suggestions.is_empty() {
        output.note("there is nothing to suggest: no file was written");
        return Ok(());
    }
    super::private_file::write(path, &suggestions_yaml(suggestions))
}

/// Takes a private snapshot of the source and makes sure that it is a database of the spec's schema.
pub(super) fn snapshot(project: &mut Project, source: &Path) -> Result<Snapshot, Diagnostics> {
    let snapshot = Snapshot::take(source)?;
    refuse_other_schema(&project.plan, &mut project.sources, source, &snapshot)?;
    Ok(snapshot)
}

/// Makes sure that a snapshot is one of a database of the spec's schema.
pub(super) fn refuse_other_schema(
    plan: &Plan,
    sources: &mut Sources,
    source: &Path,
    snapshot: &Snapshot,
) -> Result<(), Diagnostics> {
    let actual = crate::sqlite::read_schema(&snapshot.open()?, sources)?;
    let differences = crate::sqlite::schema_differences(&plan.declared_source(), &actual);
    if differences.is_empty() {
        return Ok(());
    }
    let shown = super::project::shown(source);
    let list: Vec<String> = differences.iter().map(|difference| format!("  {difference}")).collect();
    Err(Diagnostic::error("source-differs", format!("{shown} does not have the schema that the spec was written for"))
        .help(format!("{}\nbring the spec's `source:` up to date, or name the right database", list.join("\n")))
        .into())
}

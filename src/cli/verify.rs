//! `verify`: the proof that the target holds the source, at any time after a run.

use super::Format;
use super::exit::{CLEAN, FINDINGS};
use super::output::Output;
use super::progress::Progress;
use super::project::Project;
use super::sign_off::{self, Files, Receipts};
use super::target::Opened;
use super::tenant_files::{Chosen, TenantNames, choose, gather};
use crate::copy::{CopiedFiles, TenantFile, hash_of_files, prove_kept_out};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::report::{
    SignOff, Values, catalog_json, catalog_text, since_json, since_text, verification_json, verification_text,
};
use crate::sqlite::Snapshot;
use crate::verify::{
    CatalogProof, SinceRun, Verification, keep_out, recorded, verify, verify_catalog, verify_expressions, verify_files,
    verify_isolation, verify_since,
};
use clap::Args;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Proves that the target holds the source, row for row, tenant for tenant
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tenantry verify specs/bai.yaml --source app.db --target env:POSTGRES_URL
  tenantry verify specs/bai.yaml --source app.db --target postgresql://db.example/app --format json
  tenantry verify specs/bai.yaml --target env:POSTGRES_URL --catalog-only
  tenantry verify specs/legal_dashboard.yaml --source 'tenants/*.db' --target env:POSTGRES_URL
  tenantry verify specs/bai.yaml --source app.db --target env:POSTGRES_URL --since-run")]
pub(super) struct Arguments {
    /// The tenancy spec
    spec: PathBuf,
    /// The SQLite database that was moved; it is only read. Several, named one by one or by a quoted pattern, are proven
    /// together
    #[arg(long, value_name = "DB|PATTERN", value_parser = super::source::parse, required_unless_present = "catalog_only")]
    source: Vec<PathBuf>,
    #[command(flatten)]
    names: TenantNames,
    /// Where it was moved to: a postgresql:// URL, or env:NAME for one in a variable
    #[arg(long, value_name = "URL|env:NAME")]
    target: String,
    /// Compares the live schema with the spec and leaves the rows alone: tables, keys, indexes, policies, owners, grants
    #[arg(long, conflicts_with = "source")]
    catalog_only: bool,
    /// For a target that is in use: tells rows that are unchanged, updated, deleted and new since the run
    #[arg(long, conflicts_with = "catalog_only")]
    since_run: bool,
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    receipts: Receipts,
    /// How to report
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Lets the spec name paths outside its repository
    #[arg(long)]
    allow_outside: bool,
}

/// What a verification gave.
enum Verified {
    Whole(Verification),
    Since(SinceRun),
    Catalog(CatalogProof),
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> u8 {
    let mut project = match Project::load(&arguments.spec, arguments.allow_outside) {
        Ok(project) => project,
        Err(failure) => return output.errors(&failure.errors, &failure.sources, arguments.format),
    };
    if let Err(errors) = sign_off::refuse(&arguments.files, Some(&arguments.receipts), None) {
        return output.errors(&errors, &project.sources, arguments.format);
    }
    let mut progress = Progress::new(output);
    let verified = choose(&arguments.source, &arguments.names).and_then(|chosen| match chosen {
        Chosen::Files(paths) => files(arguments, &paths, &mut project, &mut progress),
        Chosen::Database(_) | Chosen::Nothing => steps(arguments, &mut project, &mut progress),
    });
    progress.end();
    let Compared { verified, target, source_hash, took } = match verified {
        Err(errors) => return output.errors(&errors, &project.sources, arguments.format),
        Ok(compared) => compared,
    };
    let (text, json, is_clean) = match &verified {
        Verified::Whole(found) => (verification_text(found), verification_json(found), found.is_proven()),
        Verified::Since(found) => (since_text(found), since_json(found), found.is_sound()),
        Verified::Catalog(found) => (catalog_text(found), catalog_json(found), found.differences.is_empty()),
    };
    let mut hashes = vec![("spec", project.run_hash()), ("ddl", project.ddl_hash())];
    hashes.extend(source_hash.map(|hash| ("source", hash)));
    let report = SignOff {
        verb: "verify",
        made_at: sign_off::now(),
        plan: &project.plan,
        sources: &project.sources,
        spec: super::project::shown(&arguments.spec),
        target: Some(target),
        hashes,
        is_clean,
        audit: None,
        verification: if let Verified::Whole(found) = &verified { Some(found) } else { None },
        since: if let Verified::Since(found) = &verified { Some(found) } else { None },
        phases: vec![("verify".to_owned(), took)],
        values: if arguments.files.show_values { Values::Shown } else { Values::Hidden },
    };
    match arguments.format {
        Format::Text => output.result(&text),
        Format::Json => output.json(&json),
    }
    if let Err(error) = sign_off::write(&arguments.files, Some(&arguments.receipts), &report) {
        return output.error(error, &project.sources, arguments.format);
    }
    if is_clean { CLEAN } else { FINDINGS }
}

/// A verification, and what it was of.
struct Compared {
    verified: Verified,
    target: String,
    source_hash: Option<String>,
    took: Duration,
}

fn steps(arguments: &Arguments, project: &mut Project, progress: &mut Progress) -> Result<Compared, Diagnostics> {
    let started = Instant::now();
    let compared = |verified, target: &Opened, source_hash| Compared {
        verified,
        target: target.describe(),
        source_hash,
        took: started.elapsed(),
    };
    if !arguments.catalog_only {
        project.plan.name_tenant(arguments.names.tenant.as_deref())?;
    }
    refuse_scratch(arguments)?;
    let Some(source) = arguments.source.first().filter(|_| !arguments.catalog_only) else {
        progress.phase("catalog");
        let target = Opened::open(&arguments.target)?;
        let mut connection = target.connect(&project.plan.tenancy.target_schema)?;
        let mut found = verify_expressions(&project.plan, &mut connection)?;
        let mut transaction = connection.begin_snapshot()?;
        found.differences.extend(verify_catalog(&project.plan, &mut transaction)?);
        found.differences.extend(verify_isolation(&project.plan, &mut transaction)?);
        return Ok(compared(Verified::Catalog(found), &target, None));
    };
    progress.phase("snapshot");
    let snapshot = super::audit::snapshot(project, source)?;
    let kept_out = keep_out(&project.plan, &snapshot)?;
    let database = kept_out.rows(&snapshot).open()?;
    progress.count(&project.plan, kept_out.rows(&snapshot));
    progress.phase("verify");
    let target = Opened::open(&arguments.target)?;
    let schema = &project.plan.tenancy.target_schema;
    let mut connection = target.connect(schema)?;
    let proof = kept_out.prove(&project.plan, recorded(&project.plan, &mut connection, &snapshot.hash));
    let expressions = verify_expressions(&project.plan, &mut connection)?;
    let mut rows = |table: &str, rows| progress.rows(table, rows);
    if arguments.since_run {
        let mut transaction = connection.begin_snapshot()?;
        let mut found = verify_since(&project.plan, &database, &mut transaction, &mut rows)?;
        found.catalog.extend(proof.findings);
        found.add_expressions(expressions);
        return Ok(compared(Verified::Since(found), &target, Some(snapshot.hash.clone())));
    }
    let beside = vec![kept_out.rows(&snapshot).open()?];
    let mut found = verify(&project.plan, &database, beside, &mut connection, &mut target.readers(schema), &mut rows)?;
    found.catalog.extend(verify_isolation(&project.plan, &mut connection)?);
    found.add_expressions(expressions);
    found.kept_out = proof;
    Ok(compared(Verified::Whole(found), &target, Some(snapshot.hash.clone())))
}

fn refuse_scratch(arguments: &Arguments) -> Result<(), Diagnostic> {
    if arguments.target.trim() != "scratch" {
        return Ok(());
    }
    Err(Diagnostic::error("scratch-is-empty", "a scratch server holds nothing to verify")
        .help("name the server of the run; a cutover into scratch has verified itself"))
}

/// Proves that a target holds several files, a tenant each, and no other tenant.
fn files(
    arguments: &Arguments,
    paths: &[PathBuf],
    project: &mut Project,
    progress: &mut Progress,
) -> Result<Compared, Diagnostics> {
    let started = Instant::now();
    refuse_scratch(arguments)?;
    if arguments.since_run {
        let help = "name one file, and its tenant with --tenant";
        return Err(Diagnostic::error("since-one-file", "--since-run looks at one file").help(help).into());
    }
    progress.phase("snapshot");
    let mut files = gather(project, paths, &arguments.names, &mut |number| {
        progress.rows("files", number as u64);
        Snapshot::take(&paths[number])
    })?;
    files.iter_mut().try_for_each(|file| file.settle(&project.plan))?;
    progress.count_files(&project.plan, &files, &CopiedFiles::default());
    progress.phase("verify");
    let target = Opened::open(&arguments.target)?;
    let schema = &project.plan.tenancy.target_schema;
    let mut connection = target.connect(schema)?;
    let rows: Vec<_> = files.iter().map(TenantFile::moved).collect();
    let mut progress = |table: &str, rows| progress.rows(table, rows);
    let mut found = verify_files(&project.plan, &rows, &mut connection, &mut target.readers(schema), &mut progress)?;
    found.kept_out = prove_kept_out(&project.plan, &files)?;
    found.catalog.extend(verify_isolation(&project.plan, &mut connection)?);
    found.add_expressions(verify_expressions(&project.plan, &mut connection)?);
    Ok(Compared {
        verified: Verified::Whole(found),
        target: target.describe(),
        source_hash: Some(hash_of_files(&files)),
        took: started.elapsed(),
    })
}

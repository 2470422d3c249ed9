//! A cutover of several files at once: one run, one journal, a tenant for each.

use super::cutover::{
    Done, Stop, finished, make_roles, nothing_to_continue, open, refuse_other_inputs, refuse_unfit, unfinished,
};
use super::cutover_arguments::Arguments;
use super::progress::Progress;
use super::project::Project;
use super::run_files::RunFiles;
use super::sign_off::now;
use super::target::Opened;
use super::tenant_files::gather;
use crate::copy::{CopiedFiles, NewFiles, Session, TenantFile, audit_files, hash_of_files};
use crate::diagnostic::Diagnostic;
use crate::ident::visible;
use crate::plan::Plan;
use crate::postgres::{AddedTenant, FileRecord, RunRecord};
use crate::report::{Figures, rejects_text};
use std::path::PathBuf;

/// Runs, or continues, a cutover of several files; a run that is continued knows its files itself.
pub(super) fn steps(
    arguments: &Arguments,
    paths: &[PathBuf],
    project: &mut Project,
    progress: &mut Progress,
) -> Result<Done, Stop> {
    let target = open(arguments, progress)?;
    let is_scratch = arguments.target.trim() == "scratch";
    let rehearsal = if is_scratch { None } else { super::rehearsal::read(arguments)? };
    let spec_hash = project.run_hash();
    // The plan names no tenant here; the files' own plans do.
    let plan = project.plan.clone();
    let mut session = Session::open(&plan, target.server())?;
    let last = session.last_run().cloned();
    if let Some(record) = last.as_ref().filter(|record| !arguments.replace && record.finished.is_none()) {
        return match arguments.resume {
            true => resume(arguments, record, &spec_hash, &mut session, &target, progress),
            false => Err(unfinished(arguments, record).into()),
        };
    }
    if paths.is_empty() {
        return match last {
            Some(record) => finished(&mut session, record),
            None => Err(nothing_to_continue().into()),
        };
    }
    target.server().refuse_other_encoding(session.connection())?;
    progress.phase("snapshot");
    let sources = RunFiles::open(arguments, paths, is_scratch)?;
    let mut files = gather(project, paths, &arguments.names, &mut |number| {
        progress.rows("files", number as u64);
        sources.snapshot(number)
    })?;
    if let Some(record) = last.as_ref().filter(|_| !arguments.replace) {
        let binding = session.binding(&spec_hash, &hash_of_files(&files));
        let was = &record.binding;
        if (&was.spec, &was.ddl) == (&binding.spec, &binding.ddl) {
            if was.snapshot != binding.snapshot {
                let (were, added) = (session.files(record)?, session.added()?);
                refuse_changed(record, &were, &added, &files)?;
            }
            return finished(&mut session, record.clone());
        }
    }
    progress.count_files(&plan, &files, &CopiedFiles::default());
    progress.phase("audit");
    let audited = audit_files(&plan, &mut files, &mut |table, rows| progress.rows(table, rows))?;
    progress.audited(&plan, &audited, files.len());
    if !audited.findings.is_empty() {
        return Err(Stop::Refused(Box::new(audited)));
    }
    progress.phase("target");
    make_roles(arguments, &plan, &mut session)?;
    let tables = arguments.tables();
    if arguments.dry_run {
        refuse_unfit(arguments, session.preflight_files(&files, tables))?;
        let source_bytes = files.iter().map(|file| file.snapshot.bytes).sum();
        return Ok(Done::DryRun { audit: audited, target: target.describe(), source_bytes, rehearsal });
    }
    match arguments.replace && last.is_some() {
        true => session.refuse_replace(arguments.discard_new_rows)?,
        false => session.preflight_files(&files, tables)?,
    }
    for file in &mut files {
        sources.folder.keep(&mut file.snapshot)?;
        sources.folder.keep_rejects(&file.snapshot, &rejects_text(&plan, &file.settled.rejects))?;
    }
    let new = NewFiles { spec_hash: &spec_hash, files: &files, tables };
    let (replaced, id) = match arguments.replace {
        true => session.replace_files(arguments.discard_new_rows, &new)?,
        false => (None, session.begin_files(&new)?),
    };
    let jobs = arguments.jobs.into();
    let run = session.execute_files(id, &files, jobs, &mut |event| progress.event(event));
    let run = run.map_err(|error| Stop::Interrupted(error.into()))?;
    let mut around = sources.around(&files, false, replaced);
    let source_hash = hash_of_files(&files);
    let mut figures = Figures::new(&audited, &run, &progress.before(), progress.elapsed());
    let source_bytes = files.iter().map(|file| file.snapshot.bytes).sum();
    figures.bind(&session.binding(&spec_hash, &source_hash), (source_bytes, now(), arguments.jobs));
    figures.files = Some(files.len());
    // The proof knows how many rows are there: those that files share are one.
    figures.rows = run.verification.tables.iter().map(|table| table.target_rows).sum();
    figures.measure(session.connection(), &plan);
    drop(session);
    let described = target.describe();
    if arguments.keep && run.verification.is_proven() {
        around.left_running = target.keep()?;
    }
    Ok(Done::Run {
        run: Box::new(run),
        around: Box::new(around),
        audit: Some(audited),
        source_hash,
        target: described,
        figures: Some(Box::new(figures)),
        rehearsal,
    })
}

/// Continues an interrupted run from the snapshots that it keeps.
fn resume(
    arguments: &Arguments,
    record: &RunRecord,
    spec_hash: &str,
    session: &mut Session<'_>,
    target: &Opened,
    progress: &mut Progress,
) -> Result<Done, Stop> {
    progress.phase("snapshot");
    let recorded = session.files(record)?;
    if recorded.is_empty() {
        return Err(of_one_database(record).into());
    }
    let (sources, mut files) = RunFiles::kept(arguments, record, &recorded)?;
    refuse_other_inputs(record, &session.binding(spec_hash, &hash_of_files(&files)))?;
    let plan = session.plan();
    files.iter_mut().try_for_each(|file| file.settle(plan))?;
    session.prove_files_kept_out(&files)?;
    progress.count_files(plan, &files, &session.copied_files(record)?);
    let jobs = arguments.jobs.into();
    let run = session.execute_files(record.id, &files, jobs, &mut |event| progress.event(event));
    let run = run.map_err(|error| Stop::Interrupted(error.into()))?;
    let around = sources.around(&files, true, None);
    Ok(Done::Run {
        run: Box::new(run),
        around: Box::new(around),
        audit: None,
        source_hash: hash_of_files(&files),
        target: target.describe(),
        figures: None,
        rehearsal: None,
    })
}

/// Refuses to continue without a tenant what is no run of several files: such a run has to be told it.
pub(super) fn refuse_other_run(plan: &Plan, target: &Opened, named: Result<(), Diagnostic>) -> Result<(), Stop> {
    let mut session = Session::open(plan, target.server())?;
    match session.last_run().cloned() {
        Some(record) if session.files(&record)?.is_empty() => Ok(named?),
        _ => Ok(()),
    }
}

fn of_one_database(record: &RunRecord) -> Diagnostic {
    let message = format!("the run of {} moves one database, and --source names several", record.started);
    Diagnostic::error("run-differs", message).help("continue it with that database, or without --source")
}

/// Builds the error for a run of several files that is to be continued with one.
pub(super) fn of_files(record: &RunRecord) -> Diagnostic {
    let message = format!("the run of {} moves several files, and --source names one", record.started);
    Diagnostic::error("run-differs", message).help("continue it without --source and --tenant: it knows its files")
}

/// Refuses files that are not those of a run that was finished, together with those that were added since.
fn refuse_changed(
    record: &RunRecord,
    were: &[FileRecord],
    added: &[AddedTenant],
    files: &[TenantFile],
) -> Result<(), Diagnostic> {
    let mut lines = Vec::new();
    for file in files {
        let was = were.iter().find(|was| was.tenant == file.tenant).map(|was| &was.snapshot);
        let added = added.iter().find(|added| added.tenant == file.tenant).map(|added| &added.snapshot);
        match was.or(added) {
            None => lines.push(format!("  new: {}, the tenant {}", visible(&file.name), visible(&file.tenant))),
            Some(was) if *was != file.snapshot.hash => {
                lines.push(format!("  written to since: {}", visible(&file.name)));
            }
            Some(_) => {}
        }
    }
    for was in were.iter().filter(|was| !files.iter().any(|file| file.tenant == was.tenant)) {
        lines.push(format!("  not named: {}, the tenant {}", visible(&was.path), visible(&was.tenant)));
    }
    if lines.is_empty() {
        return Ok(());
    }
    let finished = record.finished.as_deref().unwrap_or_default();
    let message = match were.is_empty() {
        true => format!("a cutover of one database was finished at {finished}"),
        false => format!("this cutover was finished at {finished}, and its files were others"),
    };
    Err(Diagnostic::error("source-changed", message).help(format!(
        "{}\nnothing was changed; a new file is added by itself: --source FILE --tenant ID; to move the files as they are \
         now, run with --replace, which undoes the finished run first",
        lines.join("\n")
    )))
}

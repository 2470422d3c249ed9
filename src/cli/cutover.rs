//! `cutover`: the one-off run, from preflight to proof.

use super::Format;
use super::cutover_arguments::Arguments;
use super::exit::{CLEAN, FAILED, FINDINGS};
use super::fan_in;
use super::log::Level;
use super::output::Output;
use super::progress::Progress;
use super::project::Project;
use super::run_source::{RunSource, kept_snapshot};
use super::sign_off;
use super::target::Opened;
use super::tenant_files::{Chosen, choose};
use crate::copy::{
    Audit, Cutover, Known, NewCutover, Prepared, Session, Tables, add, audit_snapshot, bootstrap, known, settle,
};
use crate::diagnostic::{Diagnostic, Diagnostics, Sources};
use crate::plan::Plan;
use crate::postgres::{RunRecord, Server};
use crate::report::{
    DryRun, Figures, SignOff, Surroundings, Values, added_before_json, added_before_text, audit_text, cutover_json,
    cutover_text, finished_json, finished_text, rejects_text, times_text,
};
use crate::spec::Role;
use crate::sqlite::Snapshot;

/// Why a run ended before its end.
pub(super) enum Stop {
    /// It could not be done, and nothing was written.
    Failed(Diagnostics),
    /// It could not be done, and is recorded in the target.
    Interrupted(Diagnostics),
    /// The source's rows do not go through.
    Refused(Box<Audit>),
}

impl<E: Into<Diagnostics>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> u8 {
    let mut project = match Project::load(&arguments.spec, arguments.allow_outside) {
        Ok(project) => project,
        Err(failure) => return output.errors(&failure.errors, &failure.sources, arguments.format),
    };
    let chosen = match choose(&arguments.source, &arguments.names) {
        Ok(chosen) => chosen,
        Err(errors) => return output.errors(&errors, &project.sources, arguments.format),
    };
    if let Err(errors) =
        sign_off::refuse(&arguments.files, Some(&arguments.receipts), super::rehearsal::asked_for(arguments))
    {
        return output.errors(&errors, &project.sources, arguments.format);
    }
    let mut progress = Progress::new(output);
    let done = match &chosen {
        Chosen::Files(paths) => fan_in::steps(arguments, paths, &mut project, &mut progress),
        Chosen::Database(_) | Chosen::Nothing => steps(arguments, &mut project, &mut progress),
    };
    let before = progress.before();
    progress.end();
    match done {
        Err(Stop::Failed(errors)) => output.errors(&errors, &project.sources, arguments.format),
        Err(Stop::Interrupted(errors)) => {
            let code = output.errors(&errors, &project.sources, arguments.format);
            if arguments.target.trim() != "scratch" {
                output.note(&format!(
                    "the run is recorded in the target, and what was committed stays: continue it with --resume, or undo \
                     it with `tenantry rollback {}`",
                    super::project::shown(&arguments.spec)
                ));
            }
            code
        }
        Err(Stop::Refused(audit)) => {
            super::warnings::of_audit(output, &project.plan, &audit);
            output.result(&audit_text(&project.plan, &audit));
            output.tell(Level::Error, "nothing was written: the audit found rows that do not go through");
            let report = SignOff { audit: Some(&audit), ..sign_off(arguments, &project) };
            match sign_off::write(&arguments.files, None, &report) {
                Ok(()) => FINDINGS,
                Err(error) => output.error(error, &project.sources, arguments.format),
            }
        }
        Ok(Done::DryRun { audit, target, source_bytes, rehearsal }) => {
            let (plan, audit) = (&project.plan, &audit);
            let dry_run = DryRun { plan, audit, target, before, source_bytes, rehearsal };
            match arguments.format {
                Format::Text => output.result(&dry_run.text()),
                Format::Json => output.json(&dry_run.json()),
            }
            CLEAN
        }
        Ok(Done::Finished(record)) => {
            match arguments.format {
                Format::Text => output.result(&finished_text(&record)),
                Format::Json => output.json(&finished_json(&record)),
            }
            CLEAN
        }
        Ok(Done::AddedBefore { tenant, done }) => {
            match arguments.format {
                Format::Text => output.result(&added_before_text(&tenant, &done)),
                Format::Json => output.json(&added_before_json(&tenant, &done)),
            }
            CLEAN
        }
        Ok(Done::Run { run, around, audit, source_hash, target, figures, rehearsal }) => {
            super::warnings::of_run(output, &run, &around);
            match arguments.format {
                Format::Text => output.result(&cutover_text(&run, &around)),
                Format::Json => {
                    output.json(&cutover_json(&project.plan, &run, &around, figures.as_deref(), rehearsal.as_ref()))
                }
            }
            if let (Some(figures), Some(rehearsal), Format::Text) = (&figures, &rehearsal, arguments.format) {
                output.result(&times_text(figures, rehearsal));
            }
            let is_rehearsal = arguments.target.trim() == "scratch" && run.verification.is_proven();
            if let (true, Some(path), Some(figures)) = (is_rehearsal, super::rehearsal::to_write(arguments), &figures) {
                if let Err(error) = super::rehearsal::write(&path, arguments, figures) {
                    return output.error(error, &project.sources, arguments.format);
                }
                output.note(&format!("wrote {}", super::project::shown(&path)));
            }
            let mut report = sign_off(arguments, &project);
            report.hashes.push(("source", source_hash));
            report = SignOff {
                target: Some(target),
                is_clean: run.verification.is_proven(),
                audit: audit.as_ref(),
                verification: Some(&run.verification),
                phases: run.phases.iter().map(|(phase, took)| (phase.name().to_owned(), *took)).collect(),
                ..report
            };
            if let Err(error) = sign_off::write(&arguments.files, Some(&arguments.receipts), &report) {
                return output.error(error, &project.sources, arguments.format);
            }
            if run.verification.is_proven() {
                return CLEAN;
            }
            if around.added.is_some() {
                output.tell(Level::Error, "the proof found differences: nothing was added");
                return FAILED;
            }
            output.tell(
                Level::Error,
                &format!(
                    "the proof found differences: the run is not finished, and nobody was let in; undo it with \
                 `tenantry rollback {}`",
                    super::project::shown(&arguments.spec)
                ),
            );
            FAILED
        }
    }
}

/// How a run ended.
pub(super) enum Done {
    DryRun {
        audit: Audit,
        target: String,
        source_bytes: u64,
        rehearsal: Option<Figures>,
    },
    Finished(RunRecord),
    AddedBefore {
        tenant: String,
        done: String,
    },
    Run {
        run: Box<Cutover>,
        around: Box<Surroundings>,
        /// What was found before; `None` where an interrupted run was continued.
        audit: Option<Audit>,
        source_hash: String,
        target: String,
        /// What was measured; `None` where an interrupted run was continued.
        figures: Option<Box<Figures>>,
        /// The rehearsal of it, where there was one.
        rehearsal: Option<Figures>,
    },
}

/// What a report says of every run, whatever became of it.
fn sign_off<'r>(arguments: &Arguments, project: &'r Project) -> SignOff<'r> {
    SignOff {
        verb: "cutover",
        made_at: sign_off::now(),
        plan: &project.plan,
        sources: &project.sources,
        spec: super::project::shown(&arguments.spec),
        target: None,
        hashes: vec![("spec", project.run_hash()), ("ddl", project.ddl_hash())],
        is_clean: false,
        audit: None,
        verification: None,
        since: None,
        phases: Vec::new(),
        values: if arguments.files.show_values { Values::Shown } else { Values::Hidden },
    }
}

fn steps(arguments: &Arguments, project: &mut Project, progress: &mut Progress) -> Result<Done, Stop> {
    let is_scratch = arguments.target.trim() == "scratch";
    let named = project.plan.name_tenant(arguments.names.tenant.as_deref());
    // A run that moves several files knows their tenants itself.
    if !(arguments.resume && arguments.source.is_empty()) {
        named.clone()?;
    }
    let target = open(arguments, progress)?;
    if named.is_err() {
        fan_in::refuse_other_run(&project.plan, &target, named)?;
        return fan_in::steps(arguments, &[], project, progress);
    }
    let rehearsal = if is_scratch { None } else { super::rehearsal::read(arguments)? };
    let spec_hash = project.run_hash();
    let Project { plan, sources, .. } = project;
    let mut session = Session::open(plan, target.server())?;
    let last = session.last_run().cloned();
    let mut replaced = None;
    match last {
        Some(record) if is_added(arguments, plan, &record, &session, &spec_hash) => {
            return add_tenant(arguments, plan, sources, (&mut session, target.server()), progress);
        }
        // A source that is named has to be what was moved, as without --resume.
        Some(record) if arguments.resume && record.finished.is_some() && arguments.source.is_empty() => {
            return finished(&mut session, record);
        }
        Some(record) if arguments.resume && record.finished.is_none() => {
            progress.phase("snapshot");
            if !session.files(&record)?.is_empty() {
                return Err(fan_in::of_files(&record).into());
            }
            let (source, snapshot) = kept_snapshot(arguments, &record)?;
            refuse_other_inputs(&record, &session.binding(&spec_hash, &snapshot.hash))?;
            let tenants = record.tenants;
            let settled = settle(plan, &snapshot)?;
            session.prove_kept_out(&snapshot, &settled)?;
            let rows = settled.rows(&snapshot);
            progress.count(plan, rows);
            let run = carry(arguments, &mut session, record.id, rows, None, progress).map_err(Stop::Interrupted)?;
            let mut around = source.around(&snapshot, tenants, true, None);
            around.accounts = settled.accounts;
            let (source_hash, target) = (snapshot.hash.clone(), target.describe());
            return Ok(Done::Run {
                run: Box::new(run),
                around: Box::new(around),
                audit: None,
                source_hash,
                target,
                figures: None,
                rehearsal: None,
            });
        }
        Some(record) if arguments.replace => replaced = Some(record),
        Some(record) if record.finished.is_none() => return Err(unfinished(arguments, &record).into()),
        _ => {}
    }
    if arguments.resume && arguments.source.is_empty() {
        return Err(nothing_to_continue().into());
    }
    target.server().refuse_other_encoding(session.connection())?;
    progress.phase("snapshot");
    let source = RunSource::open(arguments, is_scratch)?;
    let mut snapshot = source.snapshot()?;
    super::audit::refuse_other_schema(plan, sources, source.path(), &snapshot)?;
    if let Some(record) = session.last_run().filter(|record| record.finished.is_some() && replaced.is_none()).cloned() {
        let binding = session.binding(&spec_hash, &snapshot.hash);
        let same_spec = (&record.binding.spec, &record.binding.ddl) == (&binding.spec, &binding.ddl);
        match record.binding.snapshot == binding.snapshot {
            true if same_spec => return finished(&mut session, record),
            false if same_spec => return Err(source_changed(&record).into()),
            _ => {}
        }
    }
    if !arguments.dry_run {
        snapshot.send_to_disk();
    }
    progress.count(plan, &snapshot);
    progress.phase("audit");
    let read = &mut |table: &str, rows| progress.rows(table, rows);
    let (settled, audited, prepared) = match arguments.dry_run {
        true => audit_snapshot(plan, &snapshot, read)?,
        false => session.audit(&snapshot, arguments.jobs.into(), read)?,
    };
    progress.audited(plan, &audited, 1);
    if !audited.findings.is_empty() {
        return Err(Stop::Refused(Box::new(audited)));
    }
    progress.phase("target");
    make_roles(arguments, plan, &mut session)?;
    let tables = arguments.tables();
    if arguments.dry_run {
        refuse_unfit(arguments, session.preflight(&snapshot, tables))?;
        let (target, source_bytes) = (target.describe(), snapshot.bytes);
        return Ok(Done::DryRun { audit: audited, target, source_bytes, rehearsal });
    }
    match replaced {
        Some(_) => session.refuse_replace(arguments.discard_new_rows)?,
        None => session.preflight(&snapshot, tables)?,
    }
    source.folder.keep(&mut snapshot)?;
    source.folder.keep_rejects(&snapshot, &rejects_text(plan, &settled.rejects))?;
    let new =
        NewCutover { spec_hash: &spec_hash, snapshot: &snapshot, settled: &settled, tenants: audited.tenants, tables };
    let (replaced, id) = match replaced {
        Some(_) => session.replace(arguments.discard_new_rows, &new)?,
        None => (None, session.begin(&new)?),
    };
    let run = carry(arguments, &mut session, id, settled.rows(&snapshot), Some(prepared), progress)
        .map_err(Stop::Interrupted)?;
    let mut around = source.around(&snapshot, audited.tenants, false, replaced);
    around.accounts = settled.accounts;
    let mut figures = Figures::new(&audited, &run, &progress.before(), progress.elapsed());
    figures.bind(&session.binding(&spec_hash, &snapshot.hash), (snapshot.bytes, sign_off::now(), arguments.jobs));
    figures.measure(session.connection(), plan);
    drop(session);
    let described = target.describe();
    if arguments.keep && run.verification.is_proven() {
        around.left_running = target.keep()?;
    }
    let source_hash = snapshot.hash.clone();
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

fn carry(
    arguments: &Arguments,
    session: &mut Session<'_>,
    run: i64,
    snapshot: &Snapshot,
    prepared: Option<Prepared<'_>>,
    progress: &mut Progress,
) -> Result<Cutover, Diagnostics> {
    Ok(session.execute(run, snapshot, prepared, arguments.jobs.into(), &mut |event| progress.event(event))?)
}

/// Opens the target.
pub(super) fn open(arguments: &Arguments, progress: &mut Progress) -> Result<Opened, Stop> {
    if arguments.keep && arguments.target.trim() != "scratch" {
        return Err(Diagnostic::error("keep-needs-scratch", "--keep is for --target scratch").into());
    }
    progress.phase("target");
    Ok(Opened::open(&arguments.target)?)
}

/// Makes the roles of the spec that are missing, where that is asked for.
pub(super) fn make_roles(arguments: &Arguments, plan: &Plan, session: &mut Session<'_>) -> Result<(), Diagnostics> {
    let asked = arguments.bootstrap && !arguments.dry_run;
    if !asked && arguments.target.trim() != "scratch" {
        return Ok(());
    }
    let password = |role: Role| std::env::var(role.password_variable()).ok().filter(|password| !password.is_empty());
    bootstrap(plan, session.connection(), &password)?;
    Ok(())
}

/// Tells a dry run what the run itself would be refused for.
pub(super) fn refuse_unfit(arguments: &Arguments, found: Result<(), Diagnostics>) -> Result<(), Diagnostics> {
    let mut found = found.err().unwrap_or_default();
    // The run itself would create them first.
    found.0.retain(|error| !(arguments.bootstrap && error.code == "role-missing"));
    found.into_result(())
}

/// Says whether a run adds one more tenant to a target that holds others.
fn is_added(arguments: &Arguments, plan: &Plan, record: &RunRecord, session: &Session<'_>, spec_hash: &str) -> bool {
    let other_tenant = record.binding.spec != spec_hash && record.binding.ddl == session.ddl_hash();
    other_tenant && !arguments.replace && record.finished.is_some() && plan.only_tenant().is_some()
}

/// Moves one more file beside those that are there.
fn add_tenant(
    arguments: &Arguments,
    plan: &Plan,
    sources: &mut Sources,
    (session, server): (&mut Session<'_>, &Server),
    progress: &mut Progress,
) -> Result<Done, Stop> {
    let tenant = arguments.names.tenant.clone().unwrap_or_default();
    progress.phase("snapshot");
    let source = RunSource::open(arguments, false)?;
    let mut snapshot = source.snapshot()?;
    super::audit::refuse_other_schema(plan, sources, source.path(), &snapshot)?;
    if let Known::SameFile(done) = known(session, &tenant, &snapshot)? {
        return Ok(Done::AddedBefore { tenant, done });
    }
    if !arguments.dry_run {
        snapshot.send_to_disk();
    }
    progress.count(plan, &snapshot);
    progress.phase("audit");
    let (settled, audited, _) = audit_snapshot(plan, &snapshot, &mut |table, rows| progress.rows(table, rows))?;
    progress.audited(plan, &audited, 1);
    if !audited.findings.is_empty() {
        return Err(Stop::Refused(Box::new(audited)));
    }
    if arguments.dry_run {
        let (target, source_bytes) = (server.describe(), snapshot.bytes);
        return Ok(Done::DryRun { audit: audited, target, source_bytes, rehearsal: None });
    }
    source.folder.keep(&mut snapshot)?;
    source.folder.keep_rejects(&snapshot, &rejects_text(plan, &settled.rejects))?;
    let (spec_hash, tables) = (String::new(), Tables::Created);
    let new =
        NewCutover { spec_hash: &spec_hash, snapshot: &snapshot, settled: &settled, tenants: audited.tenants, tables };
    let jobs = arguments.jobs.into();
    let added = add(session, server, &new, &tenant, jobs, &mut |event| progress.event(event))?;
    let mut around = source.around(&snapshot, audited.tenants, false, None);
    around.accounts = settled.accounts;
    around.added = Some((added.tenant, added.rows));
    Ok(Done::Run {
        run: Box::new(added.run),
        around: Box::new(around),
        audit: Some(audited),
        source_hash: snapshot.hash.clone(),
        target: server.describe(),
        figures: None,
        rehearsal: None,
    })
}

pub(super) fn nothing_to_continue() -> Diagnostic {
    Diagnostic::error("run-not-found", "the target's journal has no run with these tables to continue")
        .help("name the database with --source to begin one")
}

/// Brings what may be missing of a finished run to its end: statistics.
pub(super) fn finished(session: &mut Session<'_>, record: RunRecord) -> Result<Done, Stop> {
    session.finish(&record)?;
    Ok(Done::Finished(record))
}

pub(super) fn unfinished(arguments: &Arguments, record: &RunRecord) -> Diagnostic {
    let spec = super::project::shown(&arguments.spec);
    Diagnostic::error(
        "run-unfinished",
        format!("a run with these tables was begun at {} and interrupted", record.started),
    )
    .help(format!(
        "continue and finish it: `tenantry cutover {spec} --target … --resume`\nundo it: `tenantry rollback {spec} --target …`\n\
         undo it and begin anew: the same command with --replace"
    ))
}

fn source_changed(record: &RunRecord) -> Diagnostic {
    let finished = record.finished.as_deref().unwrap_or_default();
    Diagnostic::error(
        "source-changed",
        format!("this cutover was finished at {finished}, and the source has been written to since its snapshot"),
    )
    .help(
        "nothing was changed; to move the source as it is now, run with --replace, which undoes the finished run first",
    )
}

/// Refuses to continue a run with anything else than it was begun with.
pub(super) fn refuse_other_inputs(record: &RunRecord, binding: &crate::postgres::Binding) -> Result<(), Diagnostic> {
    let was = &record.binding;
    let parts = [
        ("the spec, a file that it names, or --tenant", was.spec != binding.spec),
        ("the DDL that the spec makes", was.ddl != binding.ddl),
        ("the snapshot", was.snapshot != binding.snapshot),
        ("the version of tenantry", was.tool != binding.tool),
    ];
    let others: Vec<&str> = parts.iter().filter(|(_, differs)| *differs).map(|(name, _)| *name).collect();
    if others.is_empty() {
        return Ok(());
    }
    Err(Diagnostic::error(
        "run-differs",
        format!("the run of {} was begun with something else: {}", record.started, others.join("; ")),
    )
    .help(format!(
        "continue it with what it was begun with (tenantry {}), or undo it with `tenantry rollback` and begin anew",
        was.tool
    )))
}

//! A run from its first row in the journal to its last.

use super::audit::{Audit, audit_settled};
use super::bootstrap::refuse_unfit_roles;
use super::execute::{Carried, Event, Job, Moved, execute};
use super::expect;
use super::prepared::Prepared;
use super::ranks::Ranks;
use super::sequences::{floors, refuse_exhausted};
use super::settle::{Reject, Settled};
use super::steps::{Phase, SHARED_STEP, Steps, Work, file_step};
use super::tenant_files::{TenantFile, hash_of_files, prove_kept_out};
use super::worker::{PATIENCE, gather_statistics};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::emit;
use crate::failpoint::reach;
use crate::ident::visible;
use crate::plan::{Plan, Section};
use crate::postgres::{
    AddedTenant, Binding, Connection, FileRecord, JOURNAL_SCHEMA, NewRun, RejectedRow, RunRecord, Server,
    added_tenants, create_journal, done_steps, existing_tables, find_runs, lock_target, missing_privileges,
    record_files, record_rejects, record_run, run_files,
};
use crate::remap::Tenants;
use crate::schema::TableId;
use crate::sqlite::Snapshot;
use crate::verify::{KeptOutProof, Verification};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

/// What a cutover did.
#[derive(Debug, Clone)]
pub struct Cutover {
    /// The rows copied, table by table, those of an interrupted run that was continued included.
    pub tables: Vec<CopiedTable>,
    /// The proof that the target holds the source; where it is not complete, the run is not finished.
    pub verification: Verification,
    /// How long each phase took; they overlap.
    pub phases: Vec<(Phase, Duration)>,
    /// How long schema, rows and keys took together.
    pub rows_and_keys: Duration,
    /// Why the planner has no statistics; the run is finished all the same.
    pub without_statistics: Option<Diagnostic>,
}

/// The rows copied into one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopiedTable {
    /// The target table.
    pub table: TableId,
    /// How many rows the server took.
    pub rows: u64,
}

/// What the tables of a run are to be before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tables {
    /// Not there: the run makes them.
    Created,
    /// There, made by somebody else, and empty.
    Expected,
}

/// A session that holds the lock on a target, and knows what its journal says of the plan's tables.
///
/// As long as it lives nobody else can begin, continue or undo a run there.
pub struct Session<'s> {
    pub(super) plan: &'s Plan,
    server: &'s Server,
    pub(super) control: Connection,
    runs: Vec<RunRecord>,
    /// What was found of the rows that are kept out, before anything was written.
    kept_out: KeptOutProof,
}

impl<'s> Session<'s> {
    /// Connects, takes the lock and reads the journal.
    ///
    /// # Errors
    /// No connection; `run-in-progress`, with who holds the lock; `schema-reserved`.
    pub fn open(plan: &'s Plan, server: &'s Server) -> Result<Self, Diagnostic> {
        let schema = plan.tenancy.target_schema.as_str();
        if schema == JOURNAL_SCHEMA {
            return Err(Diagnostic::error(
                "schema-reserved",
                format!("the schema `{JOURNAL_SCHEMA}` is for the journal of runs"),
            )
            .help("choose another: `target: {schema: NAME}`"));
        }
        let mut control = server.connect_unpooled(schema, PATIENCE)?;
        if let Err(holder) = lock_target(&mut control, schema)? {
            return Err(Diagnostic::error(
                "run-in-progress",
                format!("another run works on the schema `{}`: {}", visible(schema), holder.0),
            )
            .help(
                "wait until it has ended; where its program is gone or hangs, end its session on the server with \
                 `SELECT pg_terminate_backend(PROCESS)`, then continue it with --resume",
            ));
        }
        let names = table_names(plan);
        let runs = find_runs(&mut control, schema, &names)?;
        Ok(Self { plan, server, control, runs, kept_out: KeptOutProof::default() })
    }

    /// Returns the run that the journal last recorded for any of the plan's tables.
    pub fn last_run(&self) -> Option<&RunRecord> {
        self.runs.first()
    }

    /// Returns the plan that the session is about.
    pub fn plan(&self) -> &'s Plan {
        self.plan
    }

    /// Returns the session's own connection.
    pub fn connection(&mut self) -> &mut Connection {
        &mut self.control
    }

    /// Gathers the statistics that a finished run may lack. Does nothing where it has them.
    ///
    /// # Errors
    /// Those of the server.
    pub fn finish(&mut self, run: &RunRecord) -> Result<(), Diagnostic> {
        let done = done_steps(&mut self.control, run.id)?;
        for step in Steps::new(self.plan, run.expected, None).list {
            let Work::Statistics(table) = step.work else { continue };
            if done.iter().any(|done| done.step == step.name) {
                continue;
            }
            gather_statistics(self.plan, run.id, &step.name, table, &mut self.control)?;
        }
        Ok(())
    }

    /// Says that the journal has no run any more.
    pub(super) fn forget_runs(&mut self) {
        self.runs.clear();
    }

    /// Settles which rows of a snapshot are moved, audits those over so many threads, and gathers them for the copy.
    ///
    /// # Errors
    /// Those of [`settle`](super::settle), of [`audit`](super::audit()) and of the server; `spill-failed`.
    pub fn audit(
        &mut self,
        snapshot: &Snapshot,
        jobs: usize,
        progress: &mut dyn FnMut(&str, u64),
    ) -> Result<(Settled, Audit, Prepared<'s>), Diagnostic> {
        let Self { plan, control, .. } = self;
        let mut order = |tenants: &Tenants| Ranks::ask(plan, tenants, control);
        audit_settled(plan, snapshot, jobs, Some(&mut order), progress)
    }

    /// Checks what can be checked of source and target without writing.
    ///
    /// # Errors
    /// All that a run would fail on: tables that are there (`target-not-empty`), or are not as expected
    /// (`target-differs`); missing privileges; roles that isolation could not work with; sequences without a number left.
    pub fn preflight(&mut self, snapshot: &Snapshot, tables: Tables) -> Result<(), Diagnostics> {
        preflight(self.plan, Moved::Database(snapshot), tables, &mut self.control)
    }

    /// The same for several files.
    ///
    /// # Errors
    /// Those of [`Session::preflight`].
    pub fn preflight_files(&mut self, files: &[TenantFile], tables: Tables) -> Result<(), Diagnostics> {
        preflight(self.plan, Moved::Files(files), tables, &mut self.control)
    }

    /// Records a new run: from here on it can be continued and undone.
    ///
    /// # Errors
    /// Those of [`Session::preflight`] and of the server. After any of them the target is as it was; only where the answer
    /// to the COMMIT was lost it may be recorded.
    pub fn begin(&mut self, new: &NewCutover<'_>) -> Result<i64, Diagnostics> {
        self.preflight(new.snapshot, new.tables)?;
        self.prove_kept_out(new.snapshot, new.settled)?;
        let (facts, rejects) = self.facts(new);
        self.record(&facts, &rejects, &[])
    }

    /// Records a new run that moves several files.
    ///
    /// # Errors
    /// Those of [`Session::begin`].
    pub fn begin_files(&mut self, new: &NewFiles<'_>) -> Result<i64, Diagnostics> {
        self.preflight_files(new.files, new.tables)?;
        self.prove_files_kept_out(new.files)?;
        let reasons = new.reject_reasons();
        let (facts, files) = self.facts_of_files(new);
        self.record(&facts, &new.rejects(self.plan, &reasons), &files)
    }

    fn record(
        &mut self,
        facts: &Facts<'_>,
        rejects: &[RejectedRow<'_>],
        files: &[FileRecord],
    ) -> Result<i64, Diagnostics> {
        reach("begin: before");
        let plan = self.plan;
        let mut transaction = self.control.begin()?;
        let run = record(plan, facts, rejects, files, &mut transaction)?;
        reach("begin: before COMMIT");
        transaction.commit()?;
        reach("begin: after COMMIT");
        self.find_runs()?;
        Ok(run)
    }

    /// Derives a second time what the spec keeps out, and compares it with what was settled.
    ///
    /// # Errors
    /// `kept-out-differs` where the two do not agree, and those of SQLite.
    pub fn prove_kept_out(&mut self, snapshot: &Snapshot, settled: &Settled) -> Result<(), Diagnostic> {
        self.refuse_other_rows(settled.prove(self.plan, snapshot)?)
    }

    /// Does the same for several files.
    ///
    /// # Errors
    /// Those of [`Session::prove_kept_out`].
    pub fn prove_files_kept_out(&mut self, files: &[TenantFile]) -> Result<(), Diagnostic> {
        self.refuse_other_rows(prove_kept_out(self.plan, files)?)
    }

    fn refuse_other_rows(&mut self, proof: KeptOutProof) -> Result<(), Diagnostic> {
        if !proof.is_proven() {
            let found: Vec<String> = proof.findings.iter().map(|finding| format!("  {finding}")).collect();
            let message = "what was settled to stay behind is not what a second look keeps out".to_owned();
            return Err(Diagnostic::error("kept-out-differs", message)
                .help(format!("{}\nnothing was moved; report this, with the spec and the schema", found.join("\n"))));
        }
        self.kept_out = proof;
        Ok(())
    }

    /// Returns what the journal gets to know of a run.
    pub(super) fn facts<'n>(&self, new: &NewCutover<'n>) -> (Facts<'n>, Vec<RejectedRow<'n>>)
    where
        's: 'n,
    {
        let plan: &'s Plan = self.plan;
        let rejects = new.settled.rejects.iter().map(|reject| recorded(plan, reject)).collect();
        let facts = Facts {
            binding: self.binding(new.spec_hash, &new.snapshot.hash),
            kept_at: new.snapshot.kept_at(),
            tenants: new.tenants,
            tables: new.tables,
        };
        (facts, rejects)
    }

    /// Returns what the journal gets to know of a run that moves several files, and of these.
    pub(super) fn facts_of_files<'n>(&self, new: &NewFiles<'n>) -> (Facts<'n>, Vec<FileRecord>) {
        let facts = Facts {
            binding: self.binding(new.spec_hash, &hash_of_files(new.files)),
            kept_at: new.files.first().and_then(|file| file.snapshot.kept_at()),
            tenants: new.files.len(),
            tables: new.tables,
        };
        (facts, new.files.iter().map(TenantFile::record).collect())
    }

    /// Reads again which runs the journal has.
    pub(super) fn find_runs(&mut self) -> Result<(), Diagnostic> {
        let plan = self.plan;
        self.runs = find_runs(&mut self.control, &plan.tenancy.target_schema, &table_names(plan))?;
        Ok(())
    }

    /// Returns the hash of the DDL that the plan makes.
    pub fn ddl_hash(&self) -> String {
        blake3::hash(emit::postgres(self.plan, &Section::DDL).as_bytes()).to_hex().to_string()
    }

    /// Returns what a run with these inputs is bound to.
    pub fn binding(&self, spec_hash: &str, snapshot_hash: &str) -> Binding {
        Binding {
            spec: spec_hash.to_owned(),
            ddl: self.ddl_hash(),
            snapshot: snapshot_hash.to_owned(),
            tool: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// Carries a recorded run to its end, from wherever it is; `snapshot` holds the rows that are moved, `prepared` is what an
    /// audit of them has left.
    ///
    /// # Errors
    /// The first failure. Whatever was committed stays, and the run can be continued or undone.
    pub fn execute(
        &mut self,
        run: i64,
        snapshot: &Snapshot,
        prepared: Option<Prepared<'_>>,
        jobs: usize,
        watch: &mut dyn FnMut(Event),
    ) -> Result<Cutover, Diagnostic> {
        self.carry_out(run, Moved::Database(snapshot), prepared, jobs, watch)
    }

    /// Does the same with a run that moves several files.
    ///
    /// # Errors
    /// Those of [`Session::execute`].
    pub fn execute_files(
        &mut self,
        run: i64,
        files: &[TenantFile],
        jobs: usize,
        watch: &mut dyn FnMut(Event),
    ) -> Result<Cutover, Diagnostic> {
        let mut done = self.carry_out(run, Moved::Files(files), None, jobs, watch)?;
        // What was copied before an interruption is counted by the proof alone.
        let target = &self.plan.rewritten.target;
        let rows = |table: TableId| done.verification.tables.get(table.index()).map_or(0, |proof| proof.target_rows);
        done.tables = target.table_ids().map(|table| CopiedTable { table, rows: rows(table) }).collect();
        Ok(done)
    }

    /// Returns the files that a recorded run moves; none for one that moves one database.
    ///
    /// # Errors
    /// Those of the server.
    pub fn files(&mut self, run: &RunRecord) -> Result<Vec<FileRecord>, Diagnostic> {
        run_files(&mut self.control, run.id)
    }

    /// Returns which of its files a recorded run has copied.
    ///
    /// # Errors
    /// Those of the server.
    pub fn copied_files(&mut self, run: &RunRecord) -> Result<CopiedFiles, Diagnostic> {
        let done: BTreeSet<String> = done_steps(&mut self.control, run.id)?.into_iter().map(|step| step.step).collect();
        let files = self.files(run)?.len();
        Ok(CopiedFiles {
            files: (0..files).filter(|&file| done.contains(&file_step(file))).collect(),
            shared: done.contains(SHARED_STEP),
        })
    }

    /// Returns the tenants that were added to the plan's tables afterwards.
    ///
    /// # Errors
    /// Those of the server.
    pub fn added(&mut self) -> Result<Vec<AddedTenant>, Diagnostic> {
        added_tenants(&mut self.control, &self.plan.tenancy.target_schema)
    }

    fn carry_out(
        &mut self,
        run: i64,
        moved: Moved<'_>,
        prepared: Option<Prepared<'_>>,
        jobs: usize,
        watch: &mut dyn FnMut(Event),
    ) -> Result<Cutover, Diagnostic> {
        let expected = self.runs.iter().any(|record| record.id == run && record.expected);
        let done = done_steps(&mut self.control, run)?;
        let mut job = Job { plan: self.plan, moved, server: self.server, run, expected, jobs, done, prepared };
        let Carried { rows, verification, phases, rows_and_keys, without_statistics } =
            execute(&mut job, &mut self.control, watch)?;
        let mut verification =
            verification.ok_or_else(|| Diagnostic::error("internal-failure", "the run has ended without its proof"))?;
        verification.kept_out = self.kept_out.clone();
        let tables = rows.into_iter().map(|(table, rows)| CopiedTable { table, rows }).collect();
        // Of a run that does not end they are nobody's loss.
        let without_statistics = without_statistics.filter(|_| verification.is_proven());
        Ok(Cutover { tables, verification, phases, rows_and_keys, without_statistics })
    }
}

/// A cutover that is to begin.
#[derive(Clone, Copy)]
pub struct NewCutover<'c> {
    /// The hash of the spec and of what it names.
    pub spec_hash: &'c str,
    /// The source at one moment.
    pub snapshot: &'c Snapshot,
    /// Which of its rows are moved; they have been audited.
    pub settled: &'c Settled,
    /// How many tenants it has.
    pub tenants: usize,
    /// What is to be there before.
    pub tables: Tables,
}

/// A cutover of several files that is to begin.
#[derive(Clone, Copy)]
pub struct NewFiles<'c> {
    /// The hash of the spec and of what it names.
    pub spec_hash: &'c str,
    /// The files, in the order of their tenants; they have been settled and audited.
    pub files: &'c [TenantFile],
    /// What is to be there before.
    pub tables: Tables,
}

impl<'c> NewFiles<'c> {
    /// Says why the rows of each file are rejected.
    pub(super) fn reject_reasons(&self) -> Vec<Vec<String>> {
        self.files.iter().map(TenantFile::reject_reasons).collect()
    }

    /// Returns the rejected rows of all files, with those reasons.
    pub(super) fn rejects<'r>(&self, plan: &'r Plan, reasons: &'r [Vec<String>]) -> Vec<RejectedRow<'r>>
    where
        'c: 'r,
    {
        let rejects = self.files.iter().zip(reasons).flat_map(|(file, reasons)| {
            let rejects = file.settled.rejects.iter().zip(reasons);
            rejects.map(|(reject, reason)| RejectedRow { reason, ..recorded(plan, reject) })
        });
        rejects.collect()
    }
}

/// What a run of several files has copied, as its journal knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CopiedFiles {
    /// The places of the files whose own rows are all there.
    pub files: BTreeSet<usize>,
    /// Whether the rows that they share are.
    pub shared: bool,
}

/// What the journal gets to know of a run.
pub(super) struct Facts<'f> {
    binding: Binding,
    /// Where a snapshot is kept; others are in the same folder.
    kept_at: Option<&'f Path>,
    tenants: usize,
    tables: Tables,
}

/// Runs a cutover of an audited snapshot from its beginning to its end; `prepared` is what the audit has left.
///
/// # Errors
/// Those of [`Session::open`], [`Session::begin`] and [`Session::execute`].
pub fn cutover(
    plan: &Plan,
    server: &Server,
    new: &NewCutover<'_>,
    prepared: Prepared<'_>,
    jobs: usize,
    watch: &mut dyn FnMut(Event),
) -> Result<Cutover, Diagnostics> {
    let mut session = Session::open(plan, server)?;
    let run = session.begin(new)?;
    Ok(session.execute(run, new.settled.rows(new.snapshot), Some(prepared), jobs, watch)?)
}

/// Checks what can be checked of source and target without writing: see [`Session::preflight`].
pub(super) fn preflight(
    plan: &Plan,
    moved: Moved<'_>,
    tables: Tables,
    connection: &mut Connection,
) -> Result<(), Diagnostics> {
    let mut errors = Diagnostics::default();
    let checks = [
        refuse_exhausted(plan, &floors(plan, moved)?),
        match tables {
            Tables::Created => refuse_present_tables(plan, connection),
            Tables::Expected => expect::refuse_unfit(plan, connection),
        }
        .map_err(Diagnostics::from),
        refuse_missing_privileges(plan, connection).map_err(Diagnostics::from),
        refuse_unfit_roles(plan, connection),
    ];
    checks.into_iter().filter_map(Result::err).for_each(|found| errors.extend(found));
    errors.into_result(())
}

fn refuse_missing_privileges(plan: &Plan, connection: &mut Connection) -> Result<(), Diagnostic> {
    let missing = missing_privileges(connection, &plan.tenancy.target_schema)?;
    if missing.is_empty() {
        return Ok(());
    }
    Err(Diagnostic::error("privilege-missing", format!("the session lacks {}", missing.describe()))
        .help(missing.help()))
}

fn refuse_present_tables(plan: &Plan, connection: &mut Connection) -> Result<(), Diagnostic> {
    let names = table_names(plan);
    let present = existing_tables(connection, &plan.tenancy.target_schema, &names)?;
    if present.is_empty() {
        return Ok(());
    }
    let shown: Vec<_> = present.iter().map(|name| visible(name)).collect();
    Err(Diagnostic::error("target-not-empty", format!("the target has these tables already: {}", shown.join(", ")))
        .help(
            "nothing was changed; point --target at an empty database, set `target: {schema: NAME}` in the spec to a \
             schema without them, fill empty tables of yours with --schema expect, or take the place of a recorded \
             run's with --replace",
        ))
}

/// Writes a new run into the journal, with the rows that it leaves out and the files that it moves, in the transaction that
/// `connection` is in.
pub(super) fn record(
    plan: &Plan,
    facts: &Facts<'_>,
    rejects: &[RejectedRow<'_>],
    files: &[FileRecord],
    connection: &mut Connection,
) -> Result<i64, Diagnostic> {
    let snapshot_path = facts.kept_at.map(|path| path.to_string_lossy().into_owned());
    create_journal(connection)?;
    let run = record_run(
        connection,
        &NewRun {
            schema: &plan.tenancy.target_schema,
            tables: &table_names(plan),
            binding: &facts.binding,
            expected: facts.tables == Tables::Expected,
            tenants: facts.tenants,
            snapshot_path: snapshot_path.as_deref(),
        },
    )?;
    record_rejects(connection, run, rejects)?;
    if !files.is_empty() {
        record_files(connection, run, files)?;
    }
    Ok(run)
}

fn recorded<'r>(plan: &'r Plan, reject: &'r Reject) -> RejectedRow<'r> {
    RejectedRow {
        table: &plan.source.table(reject.table).name,
        key: &reject.key,
        code: &reject.code,
        reason: &reject.reason,
        values: &reject.values,
    }
}

fn table_names(plan: &Plan) -> Vec<&str> {
    plan.rewritten.target.tables.iter().map(|table| table.name.as_str()).collect()
}

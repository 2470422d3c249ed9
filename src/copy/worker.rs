//! What one connection of a run does: a step at a time, each in a transaction that begins with its row in the journal.

use super::chunks::{for_each_chunk, gather, is_whole};
use super::execute::{Event, Learnt, Moved, Next, Shared, lock};
use super::expect;
use super::file_rows::{copy_file, copy_shared};
use super::isolated::refuse_other_isolation;
use super::ranks::Ranks;
use super::rows::learn_keys;
use super::sequences::{continue_sequences, floors};
use super::steps::{Phase, Step, Work, chunk_step};
use super::tenant_files::TenantFile;
use crate::diagnostic::Diagnostic;
use crate::emit;
use crate::failpoint::reach;
use crate::ident::visible;
use crate::plan::{Makes, Plan, Statement};
use crate::postgres::{
    Connection, CopyColumn, CopyIn, Transaction, claim_step, finish_run, objects_before, record_objects,
};
use crate::remap::Remapper;
use crate::schema::TableId;
use crate::sqlite::Database;
use crate::verify::{FileRows, open_readers, verify, verify_expressions, verify_files};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

/// How long connecting may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);

/// How many rows are sent between two events about them.
const TOLD: u64 = 50_000;

/// How often a step is tried again on a new connection.
const RETRIES: u32 = 5;

/// A thread that takes steps.
pub(super) struct Worker<'s, 'j> {
    shared: &'s Shared<'j>,
    line: Line<'s, 'j>,
    database: Option<Database>,
}

impl<'s, 'j> Worker<'s, 'j> {
    pub fn new(shared: &'s Shared<'j>, events: Sender<Event>) -> Self {
        Self { shared, line: Line { shared, connection: None, events }, database: None }
    }

    /// Takes steps until there are none.
    pub fn work(mut self) {
        while let Some(position) = self.shared.take() {
            let mut ending = Ending { shared: self.shared, position, outcome: None };
            let step = &self.shared.steps.list[position];
            self.begins(step.phase);
            let started = Instant::now();
            reach(&format!("{}: before", step.name));
            let outcome = self.step(step);
            lock(&self.shared.spans).push((step.phase, started, Instant::now()));
            ending.outcome = Some(outcome);
        }
    }

    fn begins(&self, phase: Phase) {
        let mut begun = lock(&self.shared.begun);
        if !begun.insert(phase) {
            return;
        }
        // Whoever has gone away needs no events.
        let send = |event| drop(self.line.events.send(event));
        send(Event::Phase(phase));
        if phase == Phase::Copy {
            for (table, rows) in self.shared.rows_before() {
                let table = self.shared.job.plan.rewritten.target.table(table).name.clone();
                send(Event::Before { table, rows });
            }
        }
    }

    fn step(&mut self, step: &Step) -> Result<Next, Diagnostic> {
        let job = self.shared.job;
        let (plan, run) = (job.plan, job.run);
        let line = &mut self.line;
        match &step.work {
            Work::Make(statements) => {
                line.transact(&step.name, None, &mut |transaction| {
                    making(run, transaction, &mut |transaction| {
                        statements.iter().try_for_each(|statement| make(plan, job.expected, statement, transaction))
                    })
                })?;
            }
            Work::TakeForeignKeys => {
                line.transact(&step.name, None, &mut |transaction| expect::take_foreign_keys(plan, run, transaction))?;
            }
            Work::Rows(table) => self.rows(step, *table)?,
            Work::File(number) => copy_file(line, step, &files(job.moved)[*number])?,
            Work::SharedRows => copy_shared(line, step, files(job.moved))?,
            Work::Index(statement) => {
                line.transact(&step.name, None, &mut |transaction| match job.expected {
                    // What is made on a table of the run goes with the table.
                    false => make(plan, false, statement, transaction),
                    true => making(run, transaction, &mut |transaction| make(plan, true, statement, transaction)),
                })?;
            }
            Work::ForeignKey(statement) => {
                line.transact(&step.name, None, &mut |transaction| match job.expected {
                    false => add_foreign_key(plan, false, statement, transaction),
                    true => {
                        making(run, transaction, &mut |transaction| add_foreign_key(plan, true, statement, transaction))
                    }
                })?;
            }
            Work::Validate(id) => {
                let purpose = format!("validate the foreign key {}", visible(&step.name));
                let in_order = self.shared.lie_in_order(*id);
                line.transact(&step.name, None, &mut |transaction| {
                    if in_order {
                        transaction.execute("SET LOCAL enable_hashjoin = off", &purpose)?;
                    }
                    transaction.execute(&emit::validate(plan, *id), &purpose).map(drop)
                })?;
            }
            Work::Sequences(table) => {
                let floors = match self.shared.floors.get() {
                    Some(floors) => floors,
                    None => {
                        let found = floors(plan, job.moved)?;
                        self.shared.floors.get_or_init(|| found)
                    }
                };
                let database = match job.moved {
                    Moved::Database(_) => Some(opened(&mut self.database, self.shared)?),
                    Moved::Files(_) => None,
                };
                line.transact(&step.name, None, &mut |transaction| {
                    continue_sequences(plan, database, floors[table.index()], *table, transaction)
                })?;
            }
            Work::Verify => return self.verify(step),
            Work::Isolate(statements) => {
                line.transact(&step.name, None, &mut |transaction| {
                    making(run, transaction, &mut |transaction| {
                        statements.iter().try_for_each(|statement| make(plan, false, statement, transaction))
                    })?;
                    refuse_other_isolation(plan, transaction)?;
                    finish_run(transaction, run)
                })?;
            }
            Work::Statistics(table) => {
                let gathered =
                    line.again(&mut |connection| gather_statistics(plan, run, &step.name, *table, connection));
                // A run does not fail for want of them; without its lock it must not go on.
                if let Err(error) = gathered {
                    self.shared.check_lock().map_err(|_| error.clone())?;
                    lock(&self.shared.carried).without_statistics.get_or_insert(error);
                }
            }
        }
        Ok(Next::GoOn)
    }

    fn rows(&mut self, step: &Step, table: TableId) -> Result<(), Diagnostic> {
        let Self { shared, line, database } = self;
        let plan = shared.job.plan;
        let schema = &plan.rewritten.target;
        let name = &schema.table(table).name;
        let (mut gathered, pass) = {
            let mut learnt = lock(&shared.learnt);
            let learnt = match &mut *learnt {
                Some(learnt) => learnt,
                empty => {
                    let mut remapper = Remapper::new(plan);
                    learn_keys(&mut remapper, plan, opened(database, shared)?)?;
                    empty.insert(Learnt { remapper, ranks: None, gathered: Vec::new() })
                }
            };
            let Learnt { remapper, ranks, gathered } = learnt;
            let rows = match gathered.get_mut(table.index()).and_then(Option::take) {
                Some(rows) => rows,
                None => {
                    let ranks = match ranks {
                        Some(ranks) => ranks,
                        empty => {
                            let tenants = remapper.tenants();
                            empty.insert(line.again(&mut |connection| Ranks::ask(plan, tenants, connection))?)
                        }
                    };
                    let events = &line.events;
                    let read = &mut |rows| drop(events.send(Event::Read { table: name.clone(), rows }));
                    gather(plan, remapper, table, opened(database, shared)?, ranks, read)?
                }
            };
            (rows, remapper.table_pass(table))
        };
        shared.gathered();
        let columns: Vec<CopyColumn<'_>> = pass
            .target_columns
            .iter()
            .map(|&column| schema.column(column))
            .map(|column| CopyColumn { name: &column.name, data_type: column.data_type })
            .collect();
        let schema = &plan.tenancy.target_schema;
        let events = line.events.clone();
        let sent = |rows| drop(events.send(Event::Rows { table: name.clone(), rows }));
        // Tables that somebody else has made may be referred to, and are theirs; a cluster knows no frozen rows.
        let is_ours = !shared.job.expected && !plan.tenancy.target.profile.is_citus();
        if is_ours && is_whole(gathered.len()) {
            line.transact(&step.name, Some(gathered.len()), &mut |transaction| {
                let mut copy = CopyIn::start_frozen(transaction, schema, name, &columns)?;
                let (mut rows, mut told) = (0, 0);
                gathered.each(&mut |bytes, more| {
                    copy.buffer().extend_from_slice(bytes);
                    rows += more;
                    if rows - told >= TOLD {
                        told = rows;
                        sent(rows);
                    }
                    copy.wrote(more)
                })?;
                copy.finish().map(drop)
            })?;
            sent(gathered.len());
            lock(&shared.carried).rows.insert(table, gathered.len());
            return Ok(());
        }
        let (mut rows, mut own) = (0, 0);
        for_each_chunk(&mut gathered, &mut |chunk| {
            rows += chunk.rows;
            let step = chunk_step(chunk.number, name);
            if shared.done.contains_key(step.as_str()) {
                return Ok(());
            }
            line.transact(&step, Some(chunk.rows), &mut |transaction| {
                let mut copy = CopyIn::start(transaction, schema, name, &columns)?;
                copy.send_rows(chunk.bytes, chunk.rows)?;
                copy.finish().map(drop)
            })?;
            own += chunk.rows;
            sent(own);
            Ok(())
        })?;
        line.transact(&step.name, Some(rows), &mut |_| Ok(()))?;
        lock(&shared.carried).rows.insert(table, rows);
        Ok(())
    }

    fn verify(&mut self, step: &Step) -> Result<Next, Diagnostic> {
        let Self { shared, line, database } = self;
        let events = line.events.clone();
        let verification = line.again(&mut |connection| {
            let (plan, readers) = (shared.job.plan, &mut open_readers(shared.job.jobs, || shared.connect_reader()));
            let progress = &mut |table: &str, rows| drop(events.send(Event::Rows { table: table.to_owned(), rows }));
            let expressions = verify_expressions(plan, connection)?;
            let mut found = match shared.job.moved {
                Moved::Database(snapshot) => {
                    let beside = (1..shared.job.jobs).map(|_| snapshot.open()).collect::<Result<Vec<_>, _>>()?;
                    verify(plan, opened(database, shared)?, beside, connection, readers, progress)?
                }
                Moved::Files(files) => {
                    let files: Vec<FileRows<'_>> = files.iter().map(TenantFile::moved).collect();
                    verify_files(plan, &files, connection, readers, progress)?
                }
            };
            found.add_expressions(expressions);
            Ok(found)
        })?;
        reach(&format!("{}: after", step.name));
        let next = if verification.is_proven() { Next::GoOn } else { Next::Stop };
        lock(&shared.carried).verification = Some(verification);
        Ok(next)
    }
}

/// Ends a step whatever happens in it: nobody may wait for a step whose worker is gone.
struct Ending<'s, 'j> {
    shared: &'s Shared<'j>,
    position: usize,
    outcome: Option<Result<Next, Diagnostic>>,
}

impl Drop for Ending<'_, '_> {
    fn drop(&mut self) {
        let panicked = || Err(Diagnostic::error("internal-failure", "a worker of the run gave up unexpectedly"));
        self.shared.ended(self.position, self.outcome.take().unwrap_or_else(panicked));
    }
}

/// A worker's way to the server.
pub(super) struct Line<'s, 'j> {
    pub shared: &'s Shared<'j>,
    connection: Option<Connection>,
    pub events: Sender<Event>,
}

/// What is done in a transaction.
pub(super) type Body<'f> = dyn FnMut(&mut Transaction<'_>) -> Result<(), Diagnostic> + 'f;

impl Line<'_, '_> {
    /// Does a step in one transaction that begins with its row in the journal, unless it is done already.
    pub fn transact(&mut self, step: &str, rows: Option<u64>, body: &mut Body<'_>) -> Result<(), Diagnostic> {
        let run = self.shared.job.run;
        self.again(&mut |connection| {
            let mut transaction = connection.begin()?;
            if !claim_step(&mut transaction, run, step, rows)? {
                return transaction.rollback();
            }
            reach(&format!("{step}: claimed"));
            body(&mut transaction)?;
            reach(&format!("{step}: before COMMIT"));
            transaction.commit()?;
            reach(&format!("{step}: after COMMIT"));
            Ok(())
        })
    }

    /// Does something, and does it again on a new connection where this one is lost. A COMMIT that was not answered is
    /// settled so: what is done again finds its row in the journal, or waits until the old transaction has ended.
    fn again<T>(&mut self, body: &mut dyn FnMut(&mut Connection) -> Result<T, Diagnostic>) -> Result<T, Diagnostic> {
        let mut tries = 0;
        loop {
            let error = match self.connected().and_then(&mut *body) {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            if error.code == "deadlock" && tries < RETRIES {
                // The other side goes on, and this one is rolled back.
                tries += 1;
                continue;
            }
            let lost = self.connection.as_ref().is_none_or(Connection::is_closed)
                || matches!(error.code, "connection-lost" | "commit-outcome-unknown");
            if !lost || tries == RETRIES {
                return Err(error);
            }
            self.connection = None;
            tries += 1;
            thread::sleep(Duration::from_millis(100 << tries));
            // Without the lock another run may have begun, and this one must not go on.
            self.shared.check_lock().map_err(|_| error.clone())?;
            let _ = self.events.send(Event::Reconnected { reason: error.message });
        }
    }

    fn connected(&mut self) -> Result<&mut Connection, Diagnostic> {
        match &mut self.connection {
            Some(connection) => Ok(connection),
            empty => Ok(empty.insert(self.shared.connect()?)),
        }
    }
}

/// Returns the files of a run that moves several.
fn files(moved: Moved<'_>) -> &[TenantFile] {
    match moved {
        Moved::Database(_) => &[],
        Moved::Files(files) => files,
    }
}

fn opened<'d>(database: &'d mut Option<Database>, shared: &Shared<'_>) -> Result<&'d Database, Diagnostic> {
    match database {
        Some(database) => Ok(database),
        empty => match shared.job.moved {
            Moved::Database(snapshot) => Ok(empty.insert(snapshot.open()?)),
            Moved::Files(_) => Err(Diagnostic::error("internal-failure", "the run has no one database")),
        },
    }
}

/// Gathers the statistics of a table, and writes down that they are there.
pub(super) fn gather_statistics(
    plan: &Plan,
    run: i64,
    step: &str,
    table: TableId,
    connection: &mut Connection,
) -> Result<(), Diagnostic> {
    let sql = format!("VACUUM (ANALYZE) {}", emit::qualified_table(plan, table));
    connection.execute(&sql, "gather statistics")?;
    claim_step(connection, run, step, None).map(drop)
}

/// Writes down what is made, so that it can be dropped again.
fn making(run: i64, transaction: &mut Transaction<'_>, body: &mut Body<'_>) -> Result<(), Diagnostic> {
    let before = objects_before(transaction)?;
    body(transaction)?;
    record_objects(transaction, run, &before)
}

/// Runs a statement, unless it is to be there already and is.
fn make(plan: &Plan, expected: bool, statement: &Statement, connection: &mut Connection) -> Result<(), Diagnostic> {
    let Some(sql) = emit::statement(plan, statement) else { return Ok(()) };
    if expected && expect::is_there(plan, statement, connection)? {
        return Ok(());
    }
    let (kind, name) = statement.makes.describe(plan);
    let purpose = format!("make the {} {name}", kind.replace('_', " "));
    connection.execute(&sql, &visible(&purpose)).map(drop).map_err(|error| with_statement(error, &sql))
}

/// Shows the statement of a plan's step beside what the server says to it. It is DDL, in which no row's values stand.
fn with_statement(mut error: Diagnostic, sql: &str) -> Diagnostic {
    let statement = sql.lines().map(visible).collect::<Vec<_>>().join("\n");
    error.help = Some(match error.help.take() {
        Some(help) => format!("{help}\nthe statement:\n{statement}"),
        None => format!("the statement:\n{statement}"),
    });
    error
}

/// Adds a foreign key without a look at the rows. A cluster knows the plain form only.
fn add_foreign_key(
    plan: &Plan,
    expected: bool,
    statement: &Statement,
    connection: &mut Connection,
) -> Result<(), Diagnostic> {
    match statement.makes {
        Makes::ForeignKey(id) if !plan.tenancy.target.profile.is_citus() => {
            if expected && expect::is_there(plan, statement, connection)? {
                return Ok(());
            }
            let purpose = format!("make the foreign key {}", statement.makes.describe(plan).1);
            let sql = emit::unvalidated(plan, id);
            connection.execute(&sql, &visible(&purpose)).map(drop).map_err(|error| with_statement(error, &sql))
        }
        _ => make(plan, expected, statement, connection),
    }
}

//! Carries out the steps of a run over several connections.
//!
//! Each worker has a connection of its own and takes the first step that is ready. A step is one transaction whose first
//! act is its row in the journal, so it is done or not, whatever happens; a connection that is lost is opened again and
//! the step tried again, which finds out whether it was committed.

use super::chunks::is_whole;
use super::clusters::Clusters;
use super::prepared::{Gathered, Prepared};
use super::ranks::Ranks;
use super::steps::{Phase, Steps, Work, chunk_step};
use super::tenant_files::TenantFile;
use super::worker::{PATIENCE, Worker};
use crate::diagnostic::Diagnostic;
use crate::plan::Plan;
use crate::postgres::{Connection, RowReader, Server, StepRecord};
use crate::remap::Remapper;
use crate::schema::{ForeignKeyId, TableId};
use crate::sqlite::Snapshot;
use crate::verify::Verification;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// How often the session that holds the lock is used, so that nobody takes it for a dead one.
const LOCK_CHECK: Duration = Duration::from_secs(20);

/// The memory that a connection's sorts may take on the server, at least.
const SORT_MEMORY: &str = "512MB";

/// What happens during a cutover, for whoever watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A phase begins; others may still be under way.
    Phase(Phase),
    /// Rows of a table have been read, and are still to be sent.
    Read {
        /// The target table's name.
        table: String,
        /// How many so far.
        rows: u64,
    },
    /// Rows of a table are there that this run copied before it was interrupted.
    Before {
        /// The target table's name.
        table: String,
        /// How many, beside those that were told so.
        rows: u64,
    },
    /// Rows of a table have been copied or verified.
    Rows {
        /// The target table's name.
        table: String,
        /// How many so far; those that were copied before an interruption do not count.
        rows: u64,
    },
    /// A connection was lost, and the step is tried again on a new one.
    Reconnected {
        /// What was lost, for people.
        reason: String,
    },
}

/// What to carry out.
pub(super) struct Job<'j> {
    pub plan: &'j Plan,
    /// The rows.
    pub moved: Moved<'j>,
    pub server: &'j Server,
    /// The run's number in the journal.
    pub run: i64,
    /// The tables are there already, made by somebody else.
    pub expected: bool,
    /// How many connections work.
    pub jobs: usize,
    /// What the journal says is done.
    pub done: Vec<StepRecord>,
    /// What the audit has left.
    pub prepared: Option<Prepared<'j>>,
}

/// Where the rows of a run come from.
#[derive(Clone, Copy)]
pub(super) enum Moved<'m> {
    /// One database.
    Database(&'m Snapshot),
    /// A file for each tenant.
    Files(&'m [TenantFile]),
}

impl Moved<'_> {
    fn files(self) -> Option<usize> {
        match self {
            Self::Database(_) => None,
            Self::Files(files) => Some(files.len()),
        }
    }
}

/// What has been carried out.
#[derive(Debug, Default)]
pub(super) struct Carried {
    /// The rows of each table, those of an interrupted run included.
    pub rows: BTreeMap<TableId, u64>,
    /// The proof, where it was made; the run ended with it where it is not complete.
    pub verification: Option<Verification>,
    /// How long each phase took: the time during which any of its steps ran.
    pub phases: Vec<(Phase, Duration)>,
    /// The time during which any step on schema, rows and keys ran.
    pub rows_and_keys: Duration,
    /// Why a table has no statistics.
    pub without_statistics: Option<Diagnostic>,
}

/// Carries out all steps that are not done.
///
/// # Errors
/// The first failure; what is under way beside it is brought to its end before this returns.
pub(super) fn execute(
    job: &mut Job<'_>,
    control: &mut Connection,
    watch: &mut dyn FnMut(Event),
) -> Result<Carried, Diagnostic> {
    let learnt = job.prepared.take().map(Learnt::new);
    let gathered = learnt.iter().flat_map(|learnt| &learnt.gathered);
    let sizes = gathered.map(|rows| rows.as_ref().map_or(0, Clusters::len)).collect();
    let job = &*job;
    let steps = Steps::new(job.plan, job.expected, job.moved.files());
    let done: HashMap<&str, Option<u64>> = job.done.iter().map(|step| (step.step.as_str(), step.rows)).collect();
    let states =
        steps.list.iter().map(|step| if done.contains_key(step.name.as_str()) { State::Done } else { State::Waiting });
    let shared = Shared {
        job,
        queue: Mutex::new(Queue { states: states.collect(), loading: false, stopped: false, failure: None }),
        steps,
        done,
        wake: Condvar::new(),
        learnt: Mutex::new(learnt),
        sizes,
        control: Mutex::new(control),
        carried: Mutex::default(),
        spans: Mutex::default(),
        begun: Mutex::default(),
        floors: OnceLock::new(),
    };
    for step in shared.steps.list.iter() {
        if let (Work::Rows(table), Some(rows)) = (&step.work, shared.done.get(step.name.as_str())) {
            lock(&shared.carried).rows.insert(*table, rows.unwrap_or(0));
        }
    }
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..job.jobs.max(1) {
            let worker = Worker::new(&shared, sender.clone());
            scope.spawn(move || worker.work());
        }
        drop(sender);
        let mut asked = Instant::now();
        loop {
            match receiver.recv_timeout(LOCK_CHECK) {
                Ok(event) => watch(event),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            // An idle connection may be dropped on its way, and with it goes the lock.
            if asked.elapsed() >= LOCK_CHECK {
                asked = Instant::now();
                if let Err(error) = shared.check_lock() {
                    shared.stop(error);
                }
            }
        }
    });
    let failure = lock(&shared.queue).failure.take();
    match failure {
        Some(failure) => Err(failure),
        None => {
            let mut carried = std::mem::take(&mut *lock(&shared.carried));
            let spans = lock(&shared.spans);
            carried.phases = phase_times(&spans);
            carried.rows_and_keys =
                covered(&spans, |phase| matches!(phase, Phase::Schema | Phase::Copy | Phase::Constraints));
            Ok(carried)
        }
    }
}

/// A thread that panicked has failed the run already; what it held is still whole enough to end it.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Adds up the time during which any step of a phase ran.
fn phase_times(spans: &[(Phase, Instant, Instant)]) -> Vec<(Phase, Duration)> {
    let phases: BTreeSet<Phase> = spans.iter().map(|&(phase, ..)| phase).collect();
    phases.into_iter().map(|phase| (phase, covered(spans, |other| other == phase))).collect()
}

/// Adds up the time during which any step of some phases ran.
fn covered(spans: &[(Phase, Instant, Instant)], counts: impl Fn(Phase) -> bool) -> Duration {
    let mut spans: Vec<_> = spans.iter().filter(|span| counts(span.0)).map(|&(_, start, end)| (start, end)).collect();
    spans.sort();
    let (mut time, mut until) = (Duration::ZERO, None);
    for (start, end) in spans {
        let from = until.map_or(start, |until| start.max(until));
        time += end.saturating_duration_since(from);
        until = Some(until.map_or(end, |until| end.max(until)));
    }
    time
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Running,
    Done,
}

/// Which steps are done, and which may be taken.
pub(super) struct Queue {
    states: Vec<State>,
    /// One table is read at a time: the remapping has one state.
    loading: bool,
    stopped: bool,
    failure: Option<Diagnostic>,
}

/// What has been learnt of keys and tenants.
pub(super) struct Learnt<'j> {
    pub remapper: Remapper<'j>,
    /// The order of the tenants, once the server was asked.
    pub ranks: Option<Ranks>,
    /// The rows of each table that have been gathered.
    pub gathered: Vec<Option<Clusters>>,
}

impl<'j> Learnt<'j> {
    fn new(Prepared { remapper, gathered }: Prepared<'j>) -> Self {
        match gathered {
            Some(Gathered { ranks, tables }) => Self { remapper, ranks: Some(ranks), gathered: tables },
            None => Self { remapper, ranks: None, gathered: Vec::new() },
        }
    }
}

/// What all workers see.
pub(super) struct Shared<'j> {
    pub job: &'j Job<'j>,
    pub steps: Steps,
    /// What was done before, with the rows.
    pub done: HashMap<&'j str, Option<u64>>,
    queue: Mutex<Queue>,
    wake: Condvar,
    pub learnt: Mutex<Option<Learnt<'j>>>,
    /// How many rows of each table have been gathered; nothing where none are.
    sizes: Vec<u64>,
    /// The session that holds the lock on the target.
    control: Mutex<&'j mut Connection>,
    pub carried: Mutex<Carried>,
    pub spans: Mutex<Vec<(Phase, Instant, Instant)>>,
    /// The phases that were announced.
    pub begun: Mutex<BTreeSet<Phase>>,
    /// What the sequences of each table have to stay above, once the files were asked.
    pub floors: OnceLock<Vec<i64>>,
}

impl<'j> Shared<'j> {
    /// Says how many rows of each table the journal has, whole tables or chunks of them. Of several files it does not know
    /// the tables.
    pub fn rows_before(&self) -> Vec<(TableId, u64)> {
        let target = &self.job.plan.rewritten.target;
        let tables = self.steps.list.iter().filter_map(|step| match step.work {
            Work::Rows(table) => Some((table, step.name.as_str())),
            _ => None,
        });
        let rows = |(table, step): (TableId, &str)| {
            let whole = self.done.get(step).map(|rows| rows.unwrap_or(0));
            let chunks = || {
                let done = |number| self.done.get(chunk_step(number, &target.table(table).name).as_str());
                (1..).map_while(done).flatten().sum()
            };
            (table, whole.unwrap_or_else(chunks))
        };
        tables.map(rows).filter(|&(_, rows)| rows > 0).collect()
    }

    /// Waits for a step that is ready; `None` when there will be none.
    pub fn take(&self) -> Option<usize> {
        let mut queue = lock(&self.queue);
        loop {
            if queue.stopped {
                return None;
            }
            let done = |position: usize| queue.states[position] == State::Done;
            let ready = (0..self.steps.list.len()).filter(|&position| {
                queue.states[position] == State::Waiting
                    && !(queue.loading && self.is_load(position))
                    && self.steps.needs.are_met(position, &done)
            });
            let ready = ready.min_by_key(|&position| self.turn(position));
            if let Some(position) = ready {
                queue.states[position] = State::Running;
                queue.loading |= self.is_load(position);
                return Some(position);
            }
            if !queue.states.contains(&State::Running) {
                return None;
            }
            queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Says which of the steps that are ready comes first: the rows of a table, since all else waits for them, and statistics
    /// last; before all others what works on the largest table, because what takes longest must not be left for the end, when
    /// one worker has nothing else to do.
    fn turn(&self, position: usize) -> (u8, Reverse<u64>, usize) {
        let table = self.steps.list[position].table;
        let gathered = table.and_then(|table| self.sizes.get(table.index()).copied());
        let copied = || table.and_then(|table| lock(&self.carried).rows.get(&table).copied());
        let rows = gathered.or_else(copied).unwrap_or(0);
        let class = match self.steps.list[position].work {
            Work::Rows(_) => 0,
            Work::Statistics(_) => 2,
            _ => 1,
        };
        (class, Reverse(rows), position)
    }

    /// Opens a connection for the making of keys and indexes: with memory for their sorts, and without workers of the
    /// server's beside it where several connections keep its processors busy.
    pub fn connect(&self) -> Result<Connection, Diagnostic> {
        let mut connection = self.job.server.connect(&self.job.plan.tenancy.target_schema, PATIENCE)?;
        let sql = "SELECT set_config('maintenance_work_mem', $1, false) \
                   WHERE pg_size_bytes(current_setting('maintenance_work_mem')) < pg_size_bytes($1)";
        connection.query(sql, &[Some(SORT_MEMORY)], "make room for sorts")?;
        if self.job.jobs > 1 {
            connection.set("max_parallel_maintenance_workers", "0")?;
        }
        Ok(connection)
    }

    /// Says whether both sides of a foreign key can be read from indexes in one order, without a look at their tables. Merged so
    /// the foreign keys of the benchmark were validated in 1.6 s; in 2.2 s by a hash of all keys, which the server chooses as
    /// long as it has no statistics.
    pub fn lie_in_order(&self, id: ForeignKeyId) -> bool {
        let target = &self.job.plan.rewritten.target;
        let foreign_key = target.foreign_key(id);
        let carried = lock(&self.carried);
        // The pages of rows that came by one transaction are known to be seen by all; others are looked at row by row.
        let came_at_once = |table: TableId| carried.rows.get(&table).is_some_and(|&rows| is_whole(rows));
        matches!(self.job.moved, Moved::Database(_))
            && !self.job.expected
            && [foreign_key.table, foreign_key.referenced_table].into_iter().all(came_at_once)
            && target.is_ordered_by(foreign_key.table, &foreign_key.columns)
            && target.is_ordered_by(foreign_key.referenced_table, &foreign_key.referenced_columns)
    }

    /// Opens a connection that reads rows back.
    pub fn connect_reader(&self) -> Result<RowReader, Diagnostic> {
        self.job.server.connect_reader(&self.job.plan.tenancy.target_schema, PATIENCE)
    }

    /// Says that a table's rows are gathered: another's may be read while these are sent.
    pub fn gathered(&self) {
        lock(&self.queue).loading = false;
        self.wake.notify_all();
    }

    fn is_load(&self, position: usize) -> bool {
        matches!(self.steps.list[position].work, Work::Rows(_))
    }

    pub fn ended(&self, position: usize, outcome: Result<Next, Diagnostic>) {
        let mut queue = lock(&self.queue);
        queue.states[position] = State::Done;
        // A failure may have come before the rows were gathered; otherwise another table may be read by now.
        if self.is_load(position) && outcome.is_err() {
            queue.loading = false;
        }
        match outcome {
            Ok(Next::GoOn) => {}
            Ok(Next::Stop) => queue.stopped = true,
            Err(error) => {
                queue.stopped = true;
                queue.failure.get_or_insert(error);
            }
        }
        let is_waited_for = |other: usize| self.is_load(other) && queue.states[other] != State::Done;
        let was_last = self.is_load(position) && !(0..self.steps.list.len()).any(is_waited_for);
        drop(queue);
        self.wake.notify_all();
        if was_last {
            // Nobody looks up a key any more.
            *lock(&self.learnt) = None;
        }
    }

    /// Lets no further step begin.
    fn stop(&self, error: Diagnostic) {
        let mut queue = lock(&self.queue);
        queue.stopped = true;
        queue.failure.get_or_insert(error);
        self.wake.notify_all();
    }

    /// Makes sure that the lock on the target is still held before anything is tried again.
    pub fn check_lock(&self) -> Result<(), Diagnostic> {
        lock(&self.control).query("SELECT 1", &[], "see whether the run's lock is still held").map(drop)
    }
}

/// What follows a step.
pub(super) enum Next {
    /// The steps that need it.
    GoOn,
    /// Nothing: the run ends here, unfinished.
    Stop,
}

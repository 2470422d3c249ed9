//! Progress on stderr: bars on a terminal, plain lines every few seconds off it, or events for machines.

use super::log::{Level, LogFormat};
use super::output::Output;
use super::pace::{Pace, Pass};
use crate::copy::{Audit, CopiedFiles, Event, Phase, TenantFile};
use crate::diagnostic::Diagnostic;
use crate::ident::{quote_always, visible};
use crate::plan::Plan;
use crate::schema::TableId;
use crate::sqlite::{Snapshot, open_copy};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::json;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How often a line is written off a terminal.
const EVERY: Duration = Duration::from_secs(5);

/// Into how many steps a bar is divided.
const STEPS: u64 = 1000;

/// Shows how far a run is.
pub(super) struct Progress {
    bars: Option<Bars>,
    output: Output,
    said: Instant,
    /// When each phase began.
    begun: Vec<(&'static str, Instant)>,
    /// The phase that rows are told of: keys of one table are made while rows of another are copied.
    counted: &'static str,
    pace: Pace,
    counts: Arc<Mutex<Counts>>,
}

/// How many rows each table has, as far as they have been counted; by its name in the target.
#[derive(Debug, Default)]
struct Counts {
    /// Those that are read.
    read: HashMap<String, u64>,
    /// Those that are copied: what several files share goes over once.
    copied: HashMap<String, u64>,
    /// Those of files that a run had copied before it was interrupted, until they are told.
    before: HashMap<String, u64>,
}

/// A table whose rows are counted.
struct Countable {
    /// Its name in the target.
    target: String,
    source: TableId,
    /// The same for all tenants.
    shared: bool,
}

/// A copy of a source whose rows are counted, and whether they have been copied before.
struct Counted {
    path: PathBuf,
    before: bool,
}

impl Progress {
    pub fn new(output: &Output) -> Self {
        let now = Instant::now();
        Self {
            bars: (output.interactive && output.log == LogFormat::Text).then(Bars::new),
            output: *output,
            said: now,
            begun: vec![("start", now)],
            counted: "",
            pace: Pace::new(now),
            counts: Arc::default(),
        }
    }

    /// Counts the rows of a snapshot meanwhile, where somebody is told how long they will take.
    pub fn count(&self, plan: &Plan, snapshot: &Snapshot) {
        self.count_all(plan, vec![Counted { path: snapshot.path(), before: false }], false);
    }

    /// Counts those of several files, of which a run that is continued may have copied some.
    pub fn count_files(&self, plan: &Plan, files: &[TenantFile], before: &CopiedFiles) {
        let counted = |(number, file): (usize, &TenantFile)| Counted {
            path: file.rows().path(),
            before: before.files.contains(&number),
        };
        self.count_all(plan, files.iter().enumerate().map(counted).collect(), before.shared);
    }

    fn count_all(&self, plan: &Plan, copies: Vec<Counted>, shared_before: bool) {
        if self.bars.is_none() && self.output.log == LogFormat::Text {
            return;
        }
        let tables =
            countable(plan).map(|table| (plan.source.table(table.source).name.clone(), table)).collect::<Vec<_>>();
        let counts = Arc::clone(&self.counts);
        // Nobody waits for it, and where it fails nobody is told how many there are.
        thread::spawn(move || {
            let Ok(found) = count(&copies, &tables, shared_before) else { return };
            let mut counts = lock(&counts);
            // An audit that was quicker knows better.
            for (table, rows) in found.read {
                counts.read.entry(table).or_insert(rows);
            }
            for (table, rows) in found.copied {
                counts.copied.entry(table).or_insert(rows);
            }
            counts.before = found.before;
        });
    }

    /// Takes the numbers of rows from an audit of so many files, which has read all that are moved.
    pub fn audited(&self, plan: &Plan, audit: &Audit, files: usize) {
        let mut counts = lock(&self.counts);
        for Countable { target, source, shared } in countable(plan) {
            let Some(&(_, rows)) = audit.tables.iter().find(|&&(table, _)| table == source) else { continue };
            if !shared || files == 1 {
                counts.copied.insert(target.clone(), rows);
            }
            counts.read.insert(target, rows);
        }
    }

    /// Shows what happens in a cutover.
    pub fn event(&mut self, event: Event) {
        match event {
            Event::Phase(phase) => self.phase(phase.name()),
            Event::Read { table, rows } => {
                self.pace.read(&table, rows, Instant::now());
                self.show(&table);
            }
            Event::Before { table, rows } => self.pace.before(&table, rows),
            Event::Rows { table, rows } => self.rows(&table, rows),
            Event::Reconnected { reason } => {
                self.tell(Level::Warning, &format!("tried again on a new connection: {reason}"));
            }
        }
    }

    /// Says that a phase begins.
    pub fn phase(&mut self, phase: &'static str) {
        self.begun.push((phase, Instant::now()));
        // Rows are still under way while keys are made of them, and while statistics are gathered.
        if !matches!(phase, "constraints" | "sequences" | "finish") {
            self.counted = phase;
            self.pace = Pace::new(Instant::now());
            self.bars.iter_mut().for_each(Bars::clear);
        }
        match &mut self.bars {
            Some(bars) => bars.phase(phase),
            None if self.output.log == LogFormat::Json => {
                self.output.event(Level::Info, "phase", json!({ "phase": phase }));
            }
            None => self.output.note(&format!("{phase} …")),
        }
        self.said = Instant::now();
    }

    /// Says how many rows of a table are done.
    pub fn rows(&mut self, table: &str, rows: u64) {
        self.pace.rows(table, rows, Instant::now());
        self.show(table);
    }

    fn show(&mut self, table: &str) {
        let now = Instant::now();
        let is_due = now.duration_since(self.said) >= EVERY;
        if self.bars.is_none() && self.output.log == LogFormat::Text && !is_due {
            return;
        }
        let (of_table, overall) = {
            let mut counts = lock(&self.counts);
            let is_copy = self.counted == Phase::Copy.name();
            if is_copy {
                counts.before.drain().for_each(|(table, rows)| self.pace.before(&table, rows));
            }
            let expected = if is_copy { &counts.copied } else { &counts.read };
            (self.pace.table(table, expected, now), self.pace.overall(expected, now))
        };
        if let Some(bars) = &mut self.bars {
            return bars.rows(self.counted, table, &of_table, &overall);
        }
        let is_last = of_table.of == Some(of_table.rows);
        if self.output.log == LogFormat::Json {
            if !is_due && !is_last {
                return;
            }
            let (counted, of_table, overall) = (self.counted, of_table.json(), overall.json());
            let more = json!({ "phase": counted, "table": table, "of_table": of_table, "overall": overall });
            self.output.event(Level::Info, "progress", more);
        } else {
            self.output.note(&format!("{}: {} {}", self.counted, visible(table), of_table.text()));
        }
        if is_due {
            self.said = now;
        }
    }

    /// Returns how long the phases took that follow each other, up to the first step in the target or to now.
    pub fn before(&self) -> Vec<(&'static str, Duration)> {
        let mut times: Vec<(&'static str, Duration)> = Vec::new();
        for (position, &(phase, begun)) in self.begun.iter().enumerate().skip(1) {
            if phase == "schema" {
                break;
            }
            let end = self.begun.get(position + 1).map_or_else(Instant::now, |&(_, next)| next);
            match times.iter_mut().find(|(name, _)| *name == phase) {
                Some((_, took)) => *took += end - begun,
                None => times.push((phase, end - begun)),
            }
        }
        times
    }

    /// Returns the time since the beginning.
    pub fn elapsed(&self) -> Duration {
        self.begun.first().map_or(Duration::ZERO, |(_, begun)| begun.elapsed())
    }

    /// Says something that happened.
    fn tell(&mut self, level: Level, text: &str) {
        match &self.bars {
            // What cannot be written to a terminal is lost, as every other line is.
            Some(bars) => drop(bars.all.println(visible(text))),
            None => self.output.tell(level, text),
        }
    }

    /// Clears the bars.
    pub fn end(self) {
        if let Some(bars) = self.bars {
            bars.end();
        }
    }
}

fn lock(counts: &Mutex<Counts>) -> MutexGuard<'_, Counts> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lists the tables that have rows of the source.
fn countable(plan: &Plan) -> impl Iterator<Item = Countable> {
    plan.rewritten.target.table_ids().filter_map(|target| {
        let source = plan.rewritten.source_tables.get(target.index()).copied()?;
        let shared = plan.rewritten.tenant_columns[target.index()].is_none();
        let name = &plan.rewritten.target.table(target).name;
        (!plan.tenancy.is_created(source)).then(|| Countable { target: name.clone(), source, shared })
    })
}

/// Counts the rows of tables, each given with its name in the source, over copies of it. Nothing is told before all are
/// counted: a sum over some says nothing.
fn count(copies: &[Counted], tables: &[(String, Countable)], shared_before: bool) -> Result<Counts, Diagnostic> {
    let mut counts = Counts::default();
    for copy in copies {
        let database = open_copy(&copy.path)?;
        for (source, table) in tables {
            let sql = format!("SELECT count(*) FROM {}", quote_always(source));
            let rows = database.query_integer(&sql, &[])?.unsigned_abs();
            *counts.read.entry(table.target.clone()).or_default() += rows;
            let copied = counts.copied.entry(table.target.clone()).or_default();
            *copied = if table.shared { rows.max(*copied) } else { *copied + rows };
            let was_copied = if table.shared { shared_before } else { copy.before };
            if was_copied {
                let before = counts.before.entry(table.target.clone()).or_default();
                *before = if table.shared { rows.max(*before) } else { *before + rows };
            }
        }
    }
    Ok(counts)
}

/// Bars on a terminal: one for the phase, and one for each table under way.
struct Bars {
    all: MultiProgress,
    overall: ProgressBar,
    tables: HashMap<String, ProgressBar>,
}

impl Bars {
    fn new() -> Self {
        let all = MultiProgress::new();
        let overall = all.add(ProgressBar::new(STEPS));
        overall.set_style(style("{spinner} {elapsed_precise} {msg}"));
        overall.enable_steady_tick(Duration::from_millis(120));
        Self { all, overall, tables: HashMap::new() }
    }

    fn phase(&mut self, phase: &str) {
        self.overall.set_style(style("{spinner} {elapsed_precise} {msg}"));
        self.overall.set_message(phase.to_owned());
    }

    fn rows(&mut self, phase: &str, table: &str, of_table: &Pass, overall: &Pass) {
        match overall.share {
            Some(share) => {
                self.overall.set_style(style("{spinner} {elapsed_precise} [{bar:30}] {percent:>3} % {msg}"));
                self.overall.set_position(steps(share));
            }
            None => self.overall.set_style(style("{spinner} {elapsed_precise} {msg}")),
        }
        self.overall.set_message(format!("{phase}: {}", overall.text()));
        if of_table.of == Some(of_table.rows) {
            if let Some(bar) = self.tables.remove(table) {
                bar.finish_and_clear();
                self.all.remove(&bar);
            }
            return;
        }
        let bar = self.tables.entry(table.to_owned()).or_insert_with(|| {
            let bar = self.all.add(ProgressBar::new(STEPS));
            bar.set_style(style("           [{bar:30}] {percent:>3} % {msg}"));
            bar
        });
        bar.set_position(of_table.share.map_or(0, steps));
        bar.set_message(format!("{}: {}", visible(table), of_table.text()));
    }

    /// Takes the tables' bars away.
    fn clear(&mut self) {
        for (_, bar) in self.tables.drain() {
            bar.finish_and_clear();
            self.all.remove(&bar);
        }
    }

    fn end(mut self) {
        self.clear();
        self.overall.finish_and_clear();
    }
}

fn steps(share: f64) -> u64 {
    (share * STEPS as f64) as u64
}

fn style(template: &str) -> ProgressStyle {
    // The templates are ours, and right; the usual bar is no worse than none.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

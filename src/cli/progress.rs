//! Progress on stderr: bars on a terminal, plain lines every few seconds off it, or events for machines.

use super::log::{Level, LogFormat};
use super::output::Output;
use super::pace::{Pace, Pass};
use crate::copy::Event;
use crate::diagnostic::Diagnostic;
use crate::ident::{quote_always, visible};
use crate::plan::Plan;
use crate::sqlite::{Database, Snapshot};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::json;
use std::collections::HashMap;
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
    expected: Expected,
}

/// How many rows each table has, as far as they have been counted.
type Expected = Arc<Mutex<HashMap<String, u64>>>;

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
            expected: Expected::default(),
        }
    }

    /// Counts the rows of a snapshot meanwhile, where somebody is told how long they will take.
    ///
    /// # Errors
    /// Those of opening the snapshot.
    pub fn count(&self, plan: &Plan, snapshot: &Snapshot) -> Result<(), Diagnostic> {
        if self.bars.is_none() && self.output.log == LogFormat::Text {
            return Ok(());
        }
        let database = snapshot.open()?;
        let tables = plan.rewritten.target.table_ids().filter_map(|target| {
            let source = plan.rewritten.source_tables.get(target.index()).copied()?;
            let is_there = !plan.tenancy.is_created(source);
            is_there.then(|| {
                let name = plan.source.table(source).name.clone();
                (plan.rewritten.target.table(target).name.clone(), name)
            })
        });
        let (tables, expected) = (tables.collect::<Vec<_>>(), Arc::clone(&self.expected));
        thread::spawn(move || count(&database, &tables, &expected));
        Ok(())
    }

    /// Shows what happens in a cutover.
    pub fn event(&mut self, event: Event) {
        match event {
            Event::Phase(phase) => self.phase(phase.name()),
            Event::Read { table, rows } => {
                self.pace.read(&table, rows, Instant::now());
                self.show(&table);
            }
            Event::Rows { table, rows } => self.rows(&table, rows),
            Event::Reconnected { reason } => {
                self.tell(Level::Warning, &format!("tried again on a new connection: {reason}"));
            }
        }
    }

    /// Says that a phase begins.
    pub fn phase(&mut self, phase: &'static str) {
        self.begun.push((phase, Instant::now()));
        // Rows of the copy are still under way while keys are made.
        if !matches!(phase, "constraints" | "sequences") {
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
            let expected = lock(&self.expected);
            (self.pace.table(table, &expected, now), self.pace.overall(&expected, now))
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

fn lock(expected: &Expected) -> MutexGuard<'_, HashMap<String, u64>> {
    expected.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts the rows of tables, each given by its names in the target and in the source.
fn count(database: &Database, tables: &[(String, String)], expected: &Expected) {
    let mut counts = HashMap::new();
    for (target, source) in tables {
        let sql = format!("SELECT count(*) FROM {}", quote_always(source));
        let Ok(rows) = database.query_integer(&sql, &[]) else { return };
        counts.insert(target.clone(), rows.unsigned_abs());
    }
    // All at once: a sum over some of them says nothing.
    lock(expected).extend(counts);
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

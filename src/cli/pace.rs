//! How far the rows of a phase are, how quick they go, and how long they will still take.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

/// Below this no rate means anything.
const FIRST: Duration = Duration::from_millis(500);

/// The rows of one phase.
#[derive(Debug)]
pub(super) struct Pace {
    began: Instant,
    tables: BTreeMap<String, Done>,
}

/// What has become of one table's rows.
#[derive(Debug, Default)]
struct Done {
    /// When this process began with them.
    began: Option<Instant>,
    /// Done by a process that was interrupted: these count, and say nothing of how quick this one is.
    before: u64,
    /// Read, where rows are read before they are sent.
    read: u64,
    /// Done by this process.
    rows: u64,
}

/// How far something is.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Pass {
    /// Rows that are done.
    pub rows: u64,
    /// Those of them that were done before this process began.
    pub before: u64,
    /// How many there are; `None` where nobody has counted.
    pub of: Option<u64>,
    /// Rows a second so far; `None` at the beginning.
    pub per_second: Option<f64>,
    /// How long the rest takes at that rate.
    pub left: Option<Duration>,
    /// The share of the work that is done: reading rows counts as half of it, where it is told.
    pub share: Option<f64>,
}

impl Pace {
    pub fn new(now: Instant) -> Self {
        Self { began: now, tables: BTreeMap::new() }
    }

    /// Notes rows of a table, beside those that were noted so, which were done before this process began.
    pub fn before(&mut self, table: &str, rows: u64) {
        self.tables.entry(table.to_owned()).or_default().before += rows;
    }

    /// Notes how many rows of a table have been read so far.
    pub fn read(&mut self, table: &str, rows: u64, now: Instant) {
        self.done(table, now).read = rows;
    }

    /// Notes how many rows of a table this process has done so far.
    pub fn rows(&mut self, table: &str, rows: u64, now: Instant) {
        self.done(table, now).rows = rows;
    }

    fn done(&mut self, table: &str, now: Instant) -> &mut Done {
        let done = self.tables.entry(table.to_owned()).or_default();
        done.began.get_or_insert(now);
        done
    }

    /// Says how far a table is.
    pub fn table(&self, table: &str, expected: &HashMap<String, u64>, now: Instant) -> Pass {
        let Some(done) = self.tables.get(table) else { return Pass::default() };
        let of = expected.get(table).map(|&of| of.max(done.seen()));
        pass([done].into_iter(), of, done.began.map_or(Duration::ZERO, |began| now.saturating_duration_since(began)))
    }

    /// Says how far all tables are together. `expected` has the rows of each.
    pub fn overall(&self, expected: &HashMap<String, u64>, now: Instant) -> Pass {
        let more = |(table, done): (&String, &Done)| match expected.get(table) {
            Some(&of) => done.seen().saturating_sub(of),
            None => done.seen(),
        };
        let of = expected.values().sum::<u64>() + self.tables.iter().map(more).sum::<u64>();
        let of = (!expected.is_empty()).then_some(of);
        pass(self.tables.values(), of, now.saturating_duration_since(self.began))
    }
}

impl Done {
    fn all(&self) -> u64 {
        self.before + self.rows
    }

    /// How many rows there are at least.
    fn seen(&self) -> u64 {
        self.all().max(self.read)
    }

    /// Counts each row as one: halves for reading and sending, where reading is told.
    fn work(&self) -> f64 {
        if self.read > 0 { self.seen().midpoint(self.all()) as f64 } else { self.all() as f64 }
    }
}

fn pass<'d>(tables: impl Iterator<Item = &'d Done>, of: Option<u64>, elapsed: Duration) -> Pass {
    let (mut rows, mut before, mut work) = (0, 0, 0.0);
    for done in tables {
        rows += done.all();
        before += done.before;
        work += done.work();
    }
    let share = of.map(|of| if of == 0 { 1.0 } else { (work / of as f64).clamp(0.0, 1.0) });
    if elapsed < FIRST {
        return Pass { rows, before, of, per_second: None, left: None, share };
    }
    let own_work = work - before as f64;
    let left = of.filter(|_| own_work > 0.0).map(|of| elapsed.mul_f64((of as f64 - work).max(0.0) / own_work));
    Pass { rows, before, of, per_second: Some((rows - before) as f64 / elapsed.as_secs_f64()), left, share }
}

impl Pass {
    /// Writes it for people: `50000 of 600000 rows, 12000/s, 45 s left`.
    pub fn text(&self) -> String {
        let mut text = match self.of {
            Some(of) => format!("{} of {of} rows", self.rows),
            None => format!("{} rows", self.rows),
        };
        if let Some(rate) = self.per_second.filter(|&rate| rate >= 1.0) {
            text.push_str(&format!(", {rate:.0}/s"));
        }
        if let Some(left) = self.left.filter(|left| !left.is_zero()) {
            text.push_str(&format!(", {} left", duration_text(left)));
        }
        text
    }

    /// Writes it for machines.
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "rows": self.rows,
            "rows_before": self.before,
            "of": self.of,
            "rows_per_second": self.per_second.map(|rate| (rate * 10.0).round() / 10.0),
            "eta_seconds": self.left.map(|left| (left.as_secs_f64() * 10.0).round() / 10.0),
        })
    }
}

/// Writes a duration as one would say it.
pub(super) fn duration_text(duration: Duration) -> String {
    let seconds = duration.as_secs_f64().ceil() as u64;
    match (seconds / 3600, seconds % 3600 / 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_rate_and_the_rest_follow_from_what_is_done() {
        let start = Instant::now();
        let expected = HashMap::from([("items".to_owned(), 1_000), ("notes".to_owned(), 3_000)]);
        let mut pace = Pace::new(start);
        pace.rows("items", 0, start);
        let now = start + seconds(10);
        pace.rows("items", 500, now);
        let table = pace.table("items", &expected, now);
        assert_eq!(table.text(), "500 of 1000 rows, 50/s, 10 s left");
        // 500 of 4,000 in 10 seconds: seven times as long for the rest.
        assert_eq!(pace.overall(&expected, now).text(), "500 of 4000 rows, 50/s, 1 min 10 s left");
        let json = table.json();
        assert_eq!((json["rows_per_second"].as_f64(), json["eta_seconds"].as_f64()), (Some(50.0), Some(10.0)));
        pace.rows("items", 1_000, now);
        pace.rows("notes", 3_000, now);
        assert_eq!(pace.overall(&expected, now).text(), "4000 of 4000 rows, 400/s");
    }

    #[test]
    fn reading_is_half_of_the_work_where_it_is_told() {
        let start = Instant::now();
        let expected = HashMap::from([("items".to_owned(), 1_000)]);
        let mut pace = Pace::new(start);
        pace.read("items", 0, start);
        pace.read("items", 1_000, start + seconds(4));
        let pass = pace.table("items", &expected, start + seconds(4));
        assert_eq!((pass.rows, pass.share, pass.left), (0, Some(0.5), Some(seconds(4))));
    }

    #[test]
    fn what_was_done_before_counts_as_done_and_not_as_quickness() {
        let start = Instant::now();
        let expected = HashMap::from([("items".to_owned(), 1_000), ("notes".to_owned(), 3_000)]);
        let mut pace = Pace::new(start);
        pace.before("items", 600);
        pace.before("items", 200);
        pace.before("notes", 3_000);
        assert_eq!(pace.overall(&expected, start).text(), "3800 of 4000 rows");
        assert_eq!(pace.table("notes", &expected, start).share, Some(1.0));
        let now = start + seconds(10);
        assert_eq!(pace.overall(&expected, now).left, None, "nothing tells how quick this process is");
        // All rows are read again, those too that are there; only the others are work of this process.
        pace.read("items", 0, start);
        pace.read("items", 900, now);
        let pass = pace.table("items", &expected, now);
        assert_eq!((pass.rows, pass.before, pass.share, pass.left), (800, 800, Some(0.85), Some(seconds(30))));
        pace.read("items", 1_000, now);
        pace.rows("items", 100, now);
        let pass = pace.overall(&expected, now);
        assert_eq!(pass.text(), "3900 of 4000 rows, 10/s, 4 s left");
        assert_eq!(pass.json()["rows_before"], 3_800);
    }

    #[test]
    fn nothing_is_said_that_nobody_knows() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        pace.rows("items", 7, start);
        let unknown = HashMap::new();
        let pass = pace.table("items", &unknown, start + seconds(1));
        assert_eq!((pass.text().as_str(), pass.of, pass.left), ("7 rows, 7/s", None, None));
        assert_eq!(pace.overall(&unknown, start + Duration::from_millis(1)).text(), "7 rows");
        // A count from before can be too small: copies of a row for several tenants.
        let few = HashMap::from([("items".to_owned(), 5)]);
        assert_eq!(pace.overall(&few, start).of, Some(7));
        assert_eq!(pace.table("items", &few, start).share, Some(1.0));
        // A table without rows is done.
        let none = HashMap::from([("empty".to_owned(), 0)]);
        pace.rows("empty", 0, start);
        assert_eq!(pace.table("empty", &none, start).share, Some(1.0));
    }

    #[test]
    fn durations_are_said_in_the_units_of_their_size() {
        assert_eq!([5, 70, 3_700].map(|count| duration_text(seconds(count))), ["5 s", "1 min 10 s", "1 h 1 min"]);
    }
}

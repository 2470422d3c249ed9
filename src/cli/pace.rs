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
#[derive(Debug)]
struct Done {
    began: Instant,
    /// Read, where rows are read before they are sent.
    read: u64,
    rows: u64,
}

/// How far something is.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Pass {
    /// Rows that are done.
    pub rows: u64,
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

    /// Notes how many rows of a table have been read so far.
    pub fn read(&mut self, table: &str, rows: u64, now: Instant) {
        self.done(table, now).read = rows;
    }

    /// Notes how many rows of a table are done so far.
    pub fn rows(&mut self, table: &str, rows: u64, now: Instant) {
        self.done(table, now).rows = rows;
    }

    fn done(&mut self, table: &str, now: Instant) -> &mut Done {
        self.tables.entry(table.to_owned()).or_insert(Done { began: now, read: 0, rows: 0 })
    }

    /// Says how far a table is.
    pub fn table(&self, table: &str, expected: &HashMap<String, u64>, now: Instant) -> Pass {
        let Some(done) = self.tables.get(table) else { return Pass::default() };
        let of = expected.get(table).map(|&of| of.max(done.rows).max(done.read));
        pass(done.rows, done.work(), of, now.saturating_duration_since(done.began))
    }

    /// Says how far all tables are together. `expected` has the rows of each.
    pub fn overall(&self, expected: &HashMap<String, u64>, now: Instant) -> Pass {
        let rows = self.tables.values().map(|done| done.rows).sum();
        let work = self.tables.values().map(Done::work).sum();
        let more = |(table, done): (&String, &Done)| match expected.get(table) {
            Some(&of) => done.rows.max(done.read).saturating_sub(of),
            None => done.rows.max(done.read),
        };
        let of = expected.values().sum::<u64>() + self.tables.iter().map(more).sum::<u64>();
        pass(rows, work, (!expected.is_empty()).then_some(of), now.saturating_duration_since(self.began))
    }
}

impl Done {
    /// Counts each row as one: halves for reading and sending, where reading is told.
    fn work(&self) -> f64 {
        if self.read > 0 { self.read.max(self.rows).midpoint(self.rows) as f64 } else { self.rows as f64 }
    }
}

fn pass(rows: u64, work: f64, of: Option<u64>, elapsed: Duration) -> Pass {
    let share = of.map(|of| if of == 0 { 1.0 } else { (work / of as f64).clamp(0.0, 1.0) });
    if elapsed < FIRST {
        return Pass { rows, of, per_second: None, left: None, share };
    }
    let left = share.filter(|&share| share > 0.0).map(|share| elapsed.mul_f64((1.0 - share) / share));
    Pass { rows, of, per_second: Some(rows as f64 / elapsed.as_secs_f64()), left, share }
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

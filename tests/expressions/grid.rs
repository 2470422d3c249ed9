//! A table with a column of every kind, and rows drawn from values that expressions stumble over.

use std::cell::Cell;

/// The columns: name, declared type, and values as SQL literals that SQLite and PostgreSQL both read.
pub const COLUMNS: &[(&str, &str, &[&str])] = &[
    ("n", "INTEGER", INTEGERS),
    ("m", "INTEGER", INTEGERS),
    ("k", "INTEGER NOT NULL", &["0", "1", "-1", "2", "60"]),
    ("i", "SMALLINT", &["NULL", "0", "1", "-1", "200", "32767", "-32768"]),
    ("r", "REAL", REALS),
    ("s", "REAL", REALS),
    ("p", "DECIMAL(10,2)", &["NULL", "0", "1", "-1", "0.1", "0.3", "19.99", "-5.25", "1000"]),
    ("t", "TEXT", TEXTS),
    ("u", "TEXT", TEXTS),
    ("v", "VARCHAR(20) NOT NULL", &["''", "'abc'", "'ABC'", "'É'", "'x y'"]),
    ("c", "TEXT COLLATE NOCASE", TEXTS),
    ("z", "TEXT COLLATE RTRIM", TEXTS),
    ("f", "BOOLEAN", &["NULL", "0", "1"]),
    ("g", "BOOLEAN NOT NULL", &["0", "1"]),
    ("d", "DATE", &["NULL", "'2024-02-29'", "'2000-01-01'", "'1999-12-31'", "'2020-06-15'"]),
    (
        "e",
        "DATETIME",
        &["NULL", "'2024-02-29 12:30:00'", "'2020-01-01 00:00:00'", "'2019-12-31 23:59:59'", "'2020-01-01 00:00:01'"],
    ),
    ("h", "TIME", &["NULL", "'00:00:00'", "'12:30:45'", "'23:59:59'"]),
    ("b", "BLOB", &["NULL", "x''", "x'00'", "x'ff00'", "x'616263'"]),
    ("j", "JSON", &["NULL", "'{}'", "'[1, 2]'"]),
    ("w", "JSON NOT NULL", &["'{}'"]),
];

const INTEGERS: &[&str] = &[
    "NULL",
    "0",
    "1",
    "-1",
    "2",
    "3",
    "7",
    "-5",
    "10",
    "100",
    "4294967296",
    "9007199254740993",
    "9223372036854775807",
    "-9223372036854775808",
];

const REALS: &[&str] =
    &["NULL", "0.0", "1.0", "-1.0", "0.5", "-0.5", "1.5", "2.5", "0.1", "0.3", "1e10", "1e-10", "123456.789", "-2.5"];

pub const TEXTS: &[&str] = &[
    "NULL",
    "''",
    "'abc'",
    "'ABC'",
    "'Abc'",
    "'aBcd'",
    "'É'",
    "'é'",
    "'ÉA'",
    "'a'",
    "'b'",
    "'Z'",
    "'abc def'",
    "' abc '",
    "'abc  '",
    "'a%c'",
    "'a_c'",
    "'a\\c'",
    "'10'",
    "'5'",
    "'05'",
    "'9'",
    "'[x]'",
    "'a-c'",
    "'ß'",
    "'日本'",
    "'a@b.c'",
    "'it''s'",
    "'ab\nc'",
    "'~'",
];

/// The table in SQLite.
pub fn create_table() -> String {
    let columns: Vec<String> = COLUMNS.iter().map(|(name, declared, _)| format!("{name} {declared}")).collect();
    format!("CREATE TABLE t (id INTEGER PRIMARY KEY, {})", columns.join(", "))
}

/// Rows as lists of literals.
pub fn rows(random: &Random, count: usize) -> Vec<Vec<&'static str>> {
    (0..count).map(|_| COLUMNS.iter().map(|(_, _, values)| *random.one_of(values)).collect()).collect()
}

/// A small generator whose whole state is its seed.
pub struct Random(Cell<u64>);

impl Random {
    /// Starts from `TENANTRY_SEED` or from the clock, and prints the seed.
    pub fn seeded(what: &str) -> Self {
        let given = std::env::var("TENANTRY_SEED").ok().and_then(|seed| seed.parse().ok());
        let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
        let seed: u64 = given.unwrap_or(clock);
        println!("{what}: TENANTRY_SEED={seed}");
        Self(Cell::new(seed))
    }

    fn next(&self) -> u64 {
        // SplitMix64: every state gives another number.
        self.0.set(self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
        let mut mixed = self.0.get();
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub fn one_of<'a, T>(&self, values: &'a [T]) -> &'a T {
        &values[self.below(values.len())]
    }
}

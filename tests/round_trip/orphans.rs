//! References that SQLite itself is asked about: `PRAGMA foreign_key_check` has to find the orphans that an audit finds.

use crate::random::Random;
use crate::run::Run;
use rusqlite::types::Value;
use std::collections::BTreeMap;
use tenantry::schema::{Affinity, apply_affinity};

const DECLARED: &[&str] =
    &["INTEGER", "TEXT", "", "BLOB", "REAL", "NUMERIC", "VARCHAR(9)", "CHARINT", "DECIMAL(10,2)", "WHATEVER", "JSON"];

/// Values that look alike.
fn value(random: &mut Random) -> Value {
    let text = |text: &str| Value::Text(text.to_owned());
    let texts = [
        "1",
        "01",
        " 1",
        "1 ",
        "1.0",
        "1e0",
        "+1",
        "-0",
        "0",
        "",
        " ",
        "abc",
        "ABC",
        "abc ",
        "0x1",
        "1_0",
        ".5",
        "5.",
        "0.5",
        "1e",
        "inf",
        "1\u{0}1",
        "\t1\n",
        "9007199254740993",
        "9007199254740992",
        "9223372036854775808",
        "9223372036854775807",
        "1e300",
        "0.30000000000000004",
        "0.3",
        "1.0e+300",
        "-1",
        "ünï",
        "- 1",
        "1e400",
        "\u{a0}1",
    ];
    match random.below(10) {
        0..=4 => text(random.pick(&texts)),
        5 | 6 => Value::Integer(random.pick(&[0, 1, -1, 5, (1 << 53) + 1, 1 << 53, i64::MAX, i64::MIN])),
        7 | 8 => Value::Real(random.pick(&[
            1.0,
            0.0,
            -0.0,
            0.5,
            0.1 + 0.2,
            0.3,
            1e300,
            9.007199254740992e15,
            9.223372036854776e18,
            f64::INFINITY,
        ])),
        _ => Value::Blob(random.pick(&[&b"1"[..], b"abc", b""]).to_vec()),
    }
}

/// Returns the orphans of a random case by foreign key: those of the audit, and those of SQLite.
pub fn both_counts(seed: u64, most: usize) -> Result<[BTreeMap<String, u64>; 2], String> {
    let mut random = Random::new(seed);
    let width = 1 + usize::from(random.chance(20));
    let (mut ddl, mut names) = (String::new(), Vec::new());
    let collation = |random: &mut Random| random.pick(&["", "", " COLLATE RTRIM"]);
    let columns = |prefix: &str, with_collation: bool, random: &mut Random| {
        let parts: Vec<String> = (0..width)
            .map(|n| {
                let collation = if with_collation { collation(random) } else { "" };
                format!("{prefix}{n} {}{collation}", random.pick(DECLARED))
            })
            .collect();
        parts.join(", ")
    };
    let list = |prefix: &str| (0..width).map(|n| format!("{prefix}{n}")).collect::<Vec<_>>().join(", ");
    let unique = random.pick(&["PRIMARY KEY", "UNIQUE"]);
    ddl.push_str(&format!("CREATE TABLE parent ({}, {unique} ({}));\n", columns("k", true, &mut random), list("k")));
    for child in 0..3 {
        let name = format!("child{child}");
        ddl.push_str(&format!(
            "CREATE TABLE {name} ({}, FOREIGN KEY ({}) REFERENCES parent ({}));\n",
            columns("c", true, &mut random),
            list("c"),
            list("k")
        ));
        names.push(name);
    }
    let typed =
        |prefix: &str| (0..width).map(|n| format!("{prefix}{n}: {{type: text}}")).collect::<Vec<_>>().join(", ");
    let spec = |schema: &str| {
        let children: String = names
            .iter()
            .map(|name| format!("  {name}: {{placement: shared, columns: {{{}}}}}\n", typed("c")))
            .collect();
        format!(
            "version: 1\nsource: source.db\ntarget: {{schema: \"{schema}\"}}\ntenant: {{column: t, type: bigint}}\n\
             tables:\n  parent: {{placement: shared, columns: {{{}}}}}\n{children}",
            typed("k")
        )
    };
    let data: Vec<(&str, Vec<Vec<Value>>)> = std::iter::once("parent")
        .chain(names.iter().map(String::as_str))
        .map(|table| (table, (0..2 * most).map(|_| (0..width).map(|_| value(&mut random)).collect()).collect()))
        .collect();
    let run = Run::new(&ddl, spec, |sqlite| {
        for (table, rows) in &data {
            let sql = format!("INSERT OR IGNORE INTO {table} VALUES ({})", vec!["?"; width].join(", "));
            let mut statement = sqlite.prepare(&sql).unwrap();
            for row in rows {
                // What the declared types refuse is left out.
                let _ = statement.execute(rusqlite::params_from_iter(row));
            }
        }
    })
    .map_err(|error| format!("{ddl}\n{error}"))?;
    let mut audited = BTreeMap::new();
    for finding in run.audit().findings.iter().filter(|finding| finding.code == "orphan") {
        *audited.entry(run.plan.source.table(finding.table).name.clone()).or_default() += finding.rows;
    }
    let mut checked = BTreeMap::new();
    let mut statement = run.sqlite.prepare("PRAGMA foreign_key_check").unwrap();
    let mut rows = statement.query([]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        *checked.entry(row.get::<_, String>(0).unwrap()).or_default() += 1;
    }
    if audited == checked {
        return Ok([audited, checked]);
    }
    // Only to show which values were taken for one another.
    let mut shown = ddl;
    for (table, rows) in &data {
        shown.push_str(&format!("{table}: {rows:?}\n"));
    }
    Err(format!("{shown}audit {audited:?}, SQLite {checked:?}"))
}

/// Holds the texts that numbers are taken for, beside a TEXT parent, to those that SQLite makes of them.
///
/// Only in this range does SQLite reckon with exact powers of ten; beyond, the last of its digits is not always right.
pub fn numbers_are_written_alike(seed: u64, count: usize) -> Result<(), String> {
    let mut random = Random::new(seed);
    let sqlite = rusqlite::Connection::open_in_memory().unwrap();
    let mut statement = sqlite.prepare("SELECT CAST(? AS TEXT)").unwrap();
    for _ in 0..count {
        let short = random.below(1_000_000) as f64 / random.pick(&[1.0, 10.0, 100.0, 1e5, 1e9]);
        let long = (random.number() >> random.below(64)) as f64 / 10_f64.powi(random.below(20) as i32);
        let number = random.pick(&[short, short + 0.1, short * 1e7, short / 3.0, long, -long]);
        if !(1e-9..1e17).contains(&number.abs()) && number != 0.0 {
            continue;
        }
        let expected: String = statement.query_row([number], |row| row.get(0)).unwrap();
        let found = apply_affinity(&tenantry::schema::Value::Real(number), Affinity::Text);
        if found != tenantry::schema::Value::Text(expected.as_bytes().into()) {
            return Err(format!("{number:?} is {expected}, not {found:?}"));
        }
    }
    Ok(())
}

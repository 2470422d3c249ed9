//! For each PostgreSQL type that the tool writes: values go into SQLite, are moved, and are read back in the form that the
//! server itself writes. What the type cannot say exactly is named by the audit, and nothing else is.

use crate::run::{Run, own_database};
use crate::values::{self, Case, Shown, Stored};
use crate::{documents, moments, readings};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use rusqlite::types::Value;
use std::collections::BTreeSet;
use tenantry::postgres::Server;
use tenantry::schema::PgType;
use tenantry::spec::Read;

macro_rules! properties {
    ($list:ident: $($name:ident: $declared:literal, $column:literal, $values:expr;)*) => {
        $(
            #[test]
            fn $name() {
                check($declared, $column, $values);
            }
        )*

        /// What has a property above.
        const $list: &[&str] = &[$($column),*];
    };
}

properties! {
    TYPES:
    boolean: "BOOLEAN", "type: boolean", values::booleans();
    smallint: "SMALLINT", "type: smallint", values::integers(16);
    integer: "INT", "type: integer", values::integers(32);
    bigint: "INTEGER", "type: bigint", values::integers(64);
    real: "REAL", "type: real", values::singles();
    double: "DOUBLE", "type: double precision", values::double_precision();
    double_of_integers: "BIGINT", "type: double precision", values::integers_as_doubles();
    numeric: "NUMERIC", "type: numeric", values::numbers();
    numeric_of_texts: "TEXT", "type: numeric", values::spelled_numbers();
    numeric_money: "DECIMAL(10,2)", "type: 'numeric(10,2)'", values::decimals(10, 2);
    numeric_fine: "DECIMAL(38,9)", "type: 'numeric(38,9)'", values::decimals(38, 9);
    numeric_whole: "DECIMAL(12)", "type: 'numeric(12,0)'", values::decimals(12, 0);
    numeric_hundreds: "BIGINT", "type: 'numeric(8,-2)'", values::hundreds();
    text: "TEXT", "type: text", values::texts(None);
    citext: "TEXT", "type: citext", values::texts(None);
    varchar: "TEXT", "type: varchar", values::texts(None);
    varchar_short: "VARCHAR(7)", "type: varchar(7)", values::texts(Some(7));
    char: "CHAR(4)", "type: char(4)", values::padded(4);
    bytea: "BLOB", "type: bytea", values::bytes();
    date: "DATE", "type: date", moments::dates();
    time: "TIME", "type: time", moments::times();
    timestamp: "DATETIME", "type: timestamp", moments::timestamps();
    timestamptz: "TIMESTAMPTZ", "type: timestamptz", moments::instants();
    uuid: "CHAR(36)", "type: uuid", values::uuids();
    json: "TEXT", "type: json", documents::kept();
    jsonb: "TEXT", "type: jsonb", documents::taken_apart();
}

properties! {
    READINGS:
    read_epoch: "BLOB", "type: timestamp, read: epoch", readings::epoch("");
    read_epoch_zoned: "BLOB", "type: timestamptz, read: epoch", readings::epoch("+00");
    read_epoch_of_days: "INTEGER", "type: date, read: epoch", readings::epoch_days();
    read_epoch_ms: "BLOB", "type: timestamp, read: epoch_ms", readings::epoch_ms();
    read_julian: "BLOB", "type: timestamp, read: julian", readings::julian();
    read_iso: "TEXT", "type: timestamptz, read: iso, zone: '+02:00'", readings::zoned();
    read_boolean: "BLOB", "type: boolean, read: boolean", readings::words();
    read_decimal: "BLOB", "type: 'numeric(10,2)', read: decimal, null_if: [n/a]", readings::rounded();
    read_decimal_whole: "BLOB", "type: bigint, read: decimal", readings::whole();
    read_text: "BLOB", "type: text, read: text, nul: strip, utf8: replace", readings::mended();
    read_json: "TEXT", "type: jsonb, read: json", documents::taken_apart();
}

/// A type without a property does not compile here, or is not among those that have one.
#[test]
fn every_type_has_its_property() {
    let name = |data_type: PgType| match data_type {
        PgType::Boolean => "boolean",
        PgType::Smallint => "smallint",
        PgType::Integer => "integer",
        PgType::Bigint => "bigint",
        PgType::Real => "real",
        PgType::Double => "double precision",
        PgType::Numeric(_) => "numeric",
        PgType::Text => "text",
        PgType::Citext => "citext",
        PgType::Varchar(_) => "varchar",
        PgType::Char(_) => "char(4)",
        PgType::Bytea => "bytea",
        PgType::Date => "date",
        PgType::Time => "time",
        PgType::Timestamp => "timestamp",
        PgType::Timestamptz => "timestamptz",
        PgType::Uuid => "uuid",
        PgType::Json => "json",
        PgType::Jsonb => "jsonb",
    };
    let types = TYPES.iter().map(|column| column.trim_start_matches("type: ").trim_matches('\''));
    let named: BTreeSet<&str> = types.map(|data_type| name(PgType::parse(data_type).unwrap())).collect();
    assert_eq!(named.len(), 19, "one for each arm above: {named:?}");
}

/// So does a way to read values.
#[test]
fn every_reading_has_its_property() {
    let all =
        [Read::Iso, Read::Epoch, Read::EpochMs, Read::Julian, Read::Boolean, Read::Decimal, Read::Json, Read::Text];
    for read in all {
        match read {
            Read::Iso | Read::Epoch | Read::EpochMs | Read::Julian => {}
            Read::Boolean | Read::Decimal | Read::Json | Read::Text => {}
        }
        let key = format!("read: {}", read.name());
        assert!(READINGS.iter().any(|column| column.split(", ").any(|part| part == key)), "{key}");
    }
}

/// Moves some lists of values through a column, a database for itself.
fn check(declared: &str, column: &str, values: impl Strategy<Value = Case>) {
    let asked = std::env::var("TENANTRY_CASES").ok().and_then(|asked| asked.parse().ok());
    let config = Config { cases: asked.unwrap_or(4), failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let nulls = prop_oneof![19 => values, 1 => Just((Stored::Value(Value::Null), Shown::Null))];
    let server = own_database();
    let outcome = runner.run(&prop::collection::vec(nulls, 1..200), |cases| {
        moved(server, declared, column, &cases).map_err(TestCaseError::fail)
    });
    if let Err(error) = outcome {
        panic!("{declared}, {column}: {error}");
    }
}

fn moved(server: &'static Server, declared: &str, column: &str, cases: &[Case]) -> Result<(), String> {
    let ddl = format!("CREATE TABLE v (id INTEGER PRIMARY KEY, value {declared});");
    let spec = |schema: &str| {
        format!(
            "version: 1\nsource: source.db\ntarget: {{schema: \"{schema}\"}}\ntenant: {{column: t, type: text}}\n\
             tables: {{v: {{tenant: {{constant: one}}, columns: {{value: {{{column}}}}}}}}}\n"
        )
    };
    let (refused, taken): (Vec<&Case>, Vec<&Case>) = cases.iter().partition(|(_, shown)| *shown == Shown::Refused);
    if !refused.is_empty() {
        let run = Run::on(server, &ddl, spec, |sqlite| fill(sqlite, &refused))?;
        let findings = run.audit().findings;
        let named: u64 = findings.iter().filter(|finding| finding.code == "unfit-value").map(|found| found.rows).sum();
        if named != refused.len() as u64 {
            return Err(format!("{named} of {} values are named: {findings:?}\n{refused:?}", refused.len()));
        }
    }
    let mut run = Run::on(server, &ddl, spec, |sqlite| fill(sqlite, &taken))?;
    let done = run.cutover().map_err(|error| format!("{error:?}\n{:?}", run.audit().findings))?;
    if !done.verification.is_proven() {
        return Err(format!("{:?}", done.verification));
    }
    let found = run.texts("SELECT value::text FROM v ORDER BY id");
    run.roll_back().map_err(|error| format!("{error:?}"))?;
    if found.len() != taken.len() {
        return Err(format!("{} rows, not {}", found.len(), taken.len()));
    }
    for (found, (stored, expected)) in found.iter().zip(taken) {
        let is_right = match (expected, found) {
            (Shown::Null, found) => found.is_none(),
            (Shown::Text(expected), Some(found)) => found == expected,
            (Shown::Double(bits), Some(found)) => found.parse::<f64>().is_ok_and(|found| found.to_bits() == *bits),
            (Shown::Single(bits), Some(found)) => found.parse::<f32>().is_ok_and(|found| found.to_bits() == *bits),
            (Shown::Refused, _) | (_, None) => false,
        };
        if !is_right {
            return Err(format!("{stored:?}\nis shown as {found:?}\nand has to be {expected:?}"));
        }
    }
    Ok(())
}

fn fill(sqlite: &rusqlite::Connection, cases: &[&Case]) {
    for (stored, _) in cases {
        match stored {
            Stored::Value(value) => sqlite.execute("INSERT INTO v (value) VALUES (?)", [value]).unwrap(),
            Stored::Broken(bytes) => sqlite.execute("INSERT INTO v (value) VALUES (CAST(? AS TEXT))", [bytes]).unwrap(),
        };
    }
}

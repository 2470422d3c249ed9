//! Random schemas, specs and rows, moved and then looked at without tenantry's help.
//!
//! The cases are the same in every run; `TENANTRY_CASES` asks for more of them. A failure shows the seed and the sizes
//! of the smallest case that still fails, with its DDL and spec.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod documents;
mod kinds;
mod moments;
mod orphans;
mod random;
mod readings;
mod rows;
mod run;
mod schema;
mod types;
mod values;

use crate::random::Random;
use crate::rows::Rows;
use crate::run::Run;
use crate::schema::Schema;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use std::cell::Cell;

fn check(cases: u32, test: impl Fn(u64, usize, usize) -> Result<(), String>) {
    let asked = std::env::var("TENANTRY_CASES").ok().and_then(|asked| asked.parse().ok());
    let config = Config { cases: asked.unwrap_or(cases), failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let strategy = (proptest::num::u64::ANY, 2..8_usize, 0..13_usize);
    let outcome = runner.run(&strategy, |(seed, tables, rows)| {
        test(seed, tables, rows)
            .map_err(|reason| TestCaseError::fail(format!("seed {seed}, {tables} tables, {rows} rows\n{reason}")))
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

fn described(schema: &Schema, reason: impl std::fmt::Display) -> String {
    format!("{}\n{}\n{reason}", schema.ddl(), schema.spec("case"))
}

#[test]
fn clean_rows_arrive_as_they_are() {
    let moved = Cell::new(0);
    check(40, |seed, tables, most| {
        let schema = Schema::random(seed, tables);
        let rows = Rows::random(&schema, seed, most);
        let described = |reason: String| described(&schema, reason);
        let mut run = Run::new(&schema.ddl(), |name| schema.spec(name), |sqlite| rows.insert(&schema, sqlite))
            .map_err(described)?;
        let broken =
            run.sqlite.prepare("PRAGMA foreign_key_check").unwrap().query([]).unwrap().next().unwrap().is_some();
        assert!(!broken, "the case itself is wrong: {seed}");
        let audit = run.audit();
        if !audit.findings.is_empty() {
            return Err(described(format!("{:?}", audit.findings)));
        }
        let done = run.cutover().map_err(|error| described(format!("{error:?}")))?;
        if !done.verification.is_proven() {
            return Err(described(format!("{:?}", done.verification)));
        }
        run.compare(&schema, &rows).map_err(described)?;
        let references: usize = schema.tables.iter().map(|table| table.references.len()).sum();
        let found = run.constraints();
        let foreign_keys = found.iter().find(|(kind, _)| kind == "f").map_or(0, |(_, count)| *count);
        if (foreign_keys as usize) < references {
            return Err(described(format!("{foreign_keys} foreign keys, not {references}")));
        }
        moved.set(moved.get() + rows.0.iter().map(Vec::len).sum::<usize>());
        run.roll_back().map_err(|errors| described(format!("{errors:?}")))?;
        if !run.left_nothing() {
            return Err(described("something is left".to_owned()));
        }
        Ok(())
    });
    assert!(moved.get() > 0, "no case had a row");
}

#[test]
fn one_bad_row_is_named_and_what_was_moved_before_it_can_be_undone() {
    let planted = Cell::new(0);
    check(40, |seed, tables, most| {
        let schema = Schema::random(seed, tables);
        let mut rows = Rows::random(&schema, seed, most);
        let Some(fault) = rows.plant(&schema, &mut Random::new(seed).part(3000)) else { return Ok(()) };
        let described =
            |reason: String| described(&schema, format!("{fault:?} {:?}\n{reason}", rows.0[fault.table].last()));
        let mut run = Run::new(&schema.ddl(), |name| schema.spec(name), |sqlite| rows.insert(&schema, sqlite))
            .map_err(described)?;
        let found: Vec<_> = run
            .audit()
            .findings
            .iter()
            .map(|finding| (run.plan.source.table(finding.table).name.clone(), finding.code, finding.rows))
            .collect();
        let expected = [(schema.tables[fault.table].name.clone(), fault.code, 1)];
        if found != expected {
            return Err(described(format!("found {found:?}, not {expected:?}")));
        }
        // The copy by itself holds what the audit before it promises.
        match run.cutover() {
            Ok(_) => return Err(described("moved".to_owned())),
            Err(errors) if errors.0.iter().all(|error| error.code == "row-refused") => {}
            Err(errors) => return Err(described(format!("{errors:?}"))),
        }
        run.roll_back().map_err(|errors| described(format!("{errors:?}")))?;
        if !run.left_nothing() {
            return Err(described("something is left".to_owned()));
        }
        planted.set(planted.get() + 1);
        Ok(())
    });
    assert!(planted.get() > 0, "no case had a fault");
}

#[test]
fn orphans_are_those_that_sqlite_finds() {
    let orphans = Cell::new(0);
    check(60, |seed, _, most| {
        let [audited, _] = orphans::both_counts(seed, most)?;
        orphans.set(orphans.get() + audited.values().sum::<u64>());
        Ok(())
    });
    assert!(orphans.get() > 0, "no case had an orphan");
}

#[test]
fn numbers_are_the_texts_that_sqlite_makes_of_them() {
    check(40, |seed, _, _| orphans::numbers_are_written_alike(seed, 500));
}

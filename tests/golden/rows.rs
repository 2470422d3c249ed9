//! Rows go through: a case with `rows.sql` is audited clean, moved, and proven; with `dirty.sql` on top it is not.

use super::case::{Case, prepare};
use super::database::server;
use super::expected::{AUDIT, expect_text};
use std::fs;
use std::path::Path;
use std::time::Duration;
use tenantry::copy::{NewCutover, Tables, audit_snapshot, cutover};
use tenantry::report::audit_text;
use tenantry::sqlite::Snapshot;

#[test]
fn rows_are_audited_moved_and_proven() {
    let mut failures = Vec::new();
    let mut moved = 0;
    for case in Case::all() {
        let rows = case.folder.join("rows.sql");
        if !rows.is_file() {
            continue;
        }
        match through(&case, &rows) {
            Ok(count) => moved += count,
            Err(failure) => failures.push(format!("{}: {failure}", case.name())),
        }
    }
    println!("{moved} rows moved");
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    assert!(moved > 0, "no case has rows");
}

/// Takes the rows of a case through, and returns how many there are.
fn through(case: &Case, rows: &Path) -> Result<u64, String> {
    let mut project = case.load().map_err(|failure| failure.errors.to_string())?;
    // Only a spec with `per_run` asks for the tenant of the run.
    if project.plan.name_tenant(None).is_err() {
        project.plan.name_tenant(Some("the-run")).map_err(|error| format!("{error:?}"))?;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.db");
    let source = rusqlite::Connection::open(&path).unwrap();
    source.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    for file in [&case.folder.join("schema.sql"), rows] {
        source.execute_batch(&fs::read_to_string(file).unwrap()).map_err(|error| error.to_string())?;
    }
    let snapshot = Snapshot::take(&path).map_err(|error| format!("{error:?}"))?;
    let (settled, clean, learnt) =
        audit_snapshot(&project.plan, &snapshot, &mut |_, _| {}).map_err(|error| format!("{error:?}"))?;
    if !clean.findings.is_empty() {
        return Err(format!("{:?}", clean.findings));
    }
    let mut said = format!("-- rows.sql\n{}", audit_text(&project.plan, &clean));
    let server = server();
    prepare(&project.plan, &mut server.connect("public", Duration::from_secs(30)).unwrap())?;
    let new = NewCutover {
        spec_hash: "",
        snapshot: &snapshot,
        settled: &settled,
        tenants: clean.tenants,
        tables: Tables::Created,
    };
    let done = cutover(&project.plan, &server, &new, learnt, 2, &mut |_| {}).map_err(|error| error.to_string())?;
    if !done.verification.is_proven() {
        return Err(format!("{:?}", done.verification));
    }
    let dirty = case.folder.join("dirty.sql");
    if dirty.is_file() {
        source.execute_batch(&fs::read_to_string(dirty).unwrap()).map_err(|error| error.to_string())?;
        let snapshot = Snapshot::take(&path).map_err(|error| format!("{error:?}"))?;
        let (_, found, _) =
            audit_snapshot(&project.plan, &snapshot, &mut |_, _| {}).map_err(|error| format!("{error:?}"))?;
        if found.findings.is_empty() {
            return Err("nothing is found in dirty rows".to_owned());
        }
        said.push_str(&format!("\n-- with dirty.sql\n{}", audit_text(&project.plan, &found)));
    }
    let expected = case.folder.join(AUDIT);
    // The spec for a cluster shares the folder, and has decisions of its own.
    if expected.is_file() && !project.plan.tenancy.target.profile.is_citus() {
        expect_text(&expected, &said)?;
    }
    Ok(clean.tables.iter().map(|(_, rows)| rows).sum())
}

//! What the spec keeps out, by the copy and by the proof: the two agree on random rows, and where the copy makes a mistake
//! they do not.

use crate::copy::{Settled, settle};
use crate::diagnostic::Sources;
use crate::plan::Plan;
use crate::remap::planted::Bug;
use crate::spec;
use crate::sqlite::{Snapshot, read_source};
use crate::verify::{KeptOutProof, RecordedReject, keep_out};
use proptest::prelude::*;
use rusqlite::Connection as Sqlite;

/// Opens a source of this schema with these rows, and plans.
fn planned(sqlite: &str, yaml: &str) -> (Plan, Snapshot) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("source.db");
    Sqlite::open(&path).unwrap().execute_batch(&format!("PRAGMA foreign_keys = OFF; {sqlite}")).unwrap();
    let mut sources = Sources::default();
    let schema = read_source(&path, &mut sources).unwrap();
    let (file, spans) = spec::read(yaml, sources.add("spec.yaml", yaml)).unwrap();
    let plan = Plan::new(schema.clone(), spec::resolve(&file, &spans, &schema).unwrap()).unwrap();
    (plan, Snapshot::take(&path).unwrap())
}

const SCHEMA: &str = "
CREATE TABLE accounts (id INTEGER PRIMARY KEY, name VARCHAR(4), closed INTEGER);
CREATE TABLE users (
    id INTEGER PRIMARY KEY, account_id INTEGER, age INTEGER, boss_id TEXT REFERENCES users (id), born DATE NOT NULL);
CREATE TABLE labels (id INTEGER PRIMARY KEY);
CREATE TABLE tags (id INTEGER PRIMARY KEY, amount DECIMAL(4,1));
CREATE TABLE notes (
    id INTEGER PRIMARY KEY, user_id REFERENCES users (id), label_id INTEGER REFERENCES labels (id),
    tag_id INTEGER REFERENCES tags (id));
CREATE TABLE nodes (
    id INTEGER PRIMARY KEY, parent_id TEXT REFERENCES nodes (id), account_id INTEGER, user_id INTEGER REFERENCES users (id));
CREATE TABLE things (id INTEGER PRIMARY KEY, kind TEXT, target TEXT);
CREATE TABLE links (
    a INTEGER NOT NULL REFERENCES users (id), b INTEGER NOT NULL REFERENCES users (id), PRIMARY KEY (a, b)) WITHOUT ROWID;
CREATE TABLE marks (note_id INTEGER REFERENCES notes (id), tag_id INTEGER REFERENCES tags (id));
";

fn spec_of(orphan: &str, conflict: &str) -> String {
    format!(
        "
version: 1
source: s
tenant: {{column: account_id, type: bigint, root: accounts}}
defaults:
  primary_key: global
  rows: {{no_tenant: reject, orphan: {orphan}, conflict: {conflict}, unfit: reject}}
tables:
  accounts: {{rows: {{keep: \"closed = 0\"}}}}
  users: {{tenant: {{column: account_id}}, columns: {{boss_id: {{type: bigint}}}}}}
  labels: {{tenant: {{used_by: notes.label_id}}, primary_key: global}}
  tags: {{tenant: {{used_by: [notes.tag_id], several: copy}}, primary_key: per_tenant}}
  notes: {{tenant: {{via: user_id}}, rows: {{orphan: set_null, keep: \"id <> 3\"}}}}
  nodes: {{tenant: {{first: [{{column: account_id}}, {{via: parent_id}}, {{via: user_id}}]}}, columns: {{parent_id: {{type: bigint}}}}}}
  things: {{tenant: {{by: kind, key: target, cases: {{user: users, node: nodes, 7: accounts}}}}}}
  links: {{tenant: {{via: a}}}}
  marks: {{tenant: {{via: note_id}}}}
"
    )
}

fn reference(rows: i64) -> impl Strategy<Value = String> {
    prop_oneof![
        8 => (1..=rows).prop_map(|id| id.to_string()),
        1 => (1..=rows).prop_map(|id| format!("'{id}'")),
        1 => Just("99".to_owned()),
        2 => Just("NULL".to_owned()),
    ]
}

fn one_of(values: &'static [&'static str]) -> impl Strategy<Value = String> {
    proptest::sample::select(values).prop_map(str::to_owned)
}

fn inserts(table: &str, numbered: bool, rows: Vec<Vec<String>>) -> String {
    let lines = rows.into_iter().enumerate().map(|(position, row)| {
        let key = if numbered { vec![(position + 1).to_string()] } else { Vec::new() };
        format!("INSERT OR IGNORE INTO {table} VALUES ({});\n", [key, row].concat().join(", "))
    });
    lines.collect()
}

fn rows() -> impl Strategy<Value = String> {
    let account = || one_of(&["1", "1", "2", "2", "3", "4", "9", "NULL", "'x'"]);
    let users = (
        account(),
        one_of(&["1", "2", "NULL", "'old'"]),
        reference(8),
        one_of(&["'2024-02-29'", "'2024-02-29'", "'2024-02-30'"]),
    );
    let kind = one_of(&["'user'", "'node'", "'7'", "'other'", "NULL", "7"]);
    (
        prop::collection::vec(one_of(&["'a', 0", "'b', 0", "'c', 1", "'too long', 0", "NULL, NULL"]), 2..5),
        prop::collection::vec(users, 0..9),
        prop::collection::vec(one_of(&["1.5", "2", "0.25", "NULL"]), 4..5),
        prop::collection::vec((reference(8), reference(4), reference(4)), 0..9),
        prop::collection::vec((reference(8), account(), reference(8)), 0..9),
        prop::collection::vec((kind, reference(6)), 0..8),
        prop::collection::vec((1..9_i64, 1..9_i64), 0..6),
        prop::collection::vec((reference(8), reference(4)), 0..5),
    )
        .prop_map(|(accounts, users, tags, notes, nodes, things, links, marks)| {
            let lists = |rows: Vec<(String, String)>| rows.into_iter().map(|(a, b)| vec![a, b]).collect::<Vec<_>>();
            let triples =
                |rows: Vec<(String, String, String)>| rows.into_iter().map(|(a, b, c)| vec![a, b, c]).collect();
            [
                inserts("accounts", true, accounts.into_iter().map(|row| vec![row]).collect()),
                inserts("users", true, users.into_iter().map(|(a, b, c, d)| vec![a, b, c, d]).collect()),
                inserts("labels", true, vec![Vec::new(); 4]),
                inserts("tags", true, tags.into_iter().map(|row| vec![row]).collect()),
                inserts("notes", true, triples(notes)),
                inserts("nodes", true, triples(nodes)),
                inserts("things", true, lists(things)),
                inserts("links", false, links.into_iter().map(|(a, b)| vec![a.to_string(), b.to_string()]).collect()),
                inserts("marks", false, lists(marks)),
            ]
            .concat()
        })
}

/// As many as are asked for by TENANTRY_CASES.
fn cases() -> u32 {
    std::env::var("TENANTRY_CASES").ok().and_then(|asked| asked.parse().ok()).unwrap_or(25)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_proof_keeps_out_what_the_copy_does(rows in rows(), sets_null in any::<bool>()) {
        let orphan = if sets_null { "set_null" } else { "reject" };
        let (plan, snapshot) = planned(&format!("{SCHEMA}{rows}"), &spec_of(orphan, "reject"));
        let settled = settle(&plan, &snapshot).unwrap();
        let proof = settled.prove(&plan, &snapshot).unwrap();
        prop_assert_eq!(&proof.findings, &Vec::<String>::new(), "{}", rows);
        prop_assert_eq!(proof.tables.iter().map(|table| table.rejected).sum::<u64>(), settled.rejects.len() as u64);
    }
}

/// A row of each fate: see `fixtures/row-policies`.
fn policies() -> (Plan, Snapshot) {
    let file = |name: &str| std::fs::read_to_string(format!("fixtures/row-policies/{name}")).unwrap();
    planned(&format!("{}{}", file("schema.sql"), file("rows.sql")), &file("spec.yaml"))
}

fn proof(plan: &Plan, snapshot: &Snapshot) -> (Settled, KeptOutProof) {
    let settled = settle(plan, snapshot).unwrap();
    let proof = settled.prove(plan, snapshot).unwrap();
    (settled, proof)
}

#[test]
fn every_way_of_settling_wrongly_is_found() {
    let (plan, snapshot) = policies();
    let (_, right) = proof(&plan, &snapshot);
    assert_eq!(right.findings, Vec::<String>::new());
    assert!(right.tables.iter().any(|table| table.rejected > 0 && table.references_cleared > 0), "{right:?}");
    let mut unnoticed = Vec::new();
    for (bug, expected) in [
        (Bug::SoundRejected, "and nothing is wrong with it"),
        (Bug::OrphansKept, "is to be rejected (orphan)"),
        (Bug::ReferrersStay, "is to be rejected (parent-rejected)"),
        (Bug::KeepTurnedRound, "left out"),
        (Bug::ReasonMistaken, "was rejected as several-tenants, and what is wrong with it is"),
        (Bug::SoundCleared, "rows that are to be moved are not, or not as they are"),
        (Bug::LeftOutRejected, "was rejected as parent-rejected, and nothing is wrong with it"),
    ] {
        let (_, found) = bug.during(|| proof(&plan, &snapshot));
        if !found.findings.iter().any(|finding| finding.contains(expected)) {
            unnoticed.push(format!("{bug:?}: {:#?}", found.findings));
        }
    }
    assert!(unnoticed.is_empty(), "{}", unnoticed.join("\n"));
    assert!(proof(&plan, &snapshot).1.is_proven(), "and none stays behind");
}

#[test]
fn a_record_has_each_rejected_row_once_for_a_reason_that_holds() {
    let (plan, snapshot) = policies();
    let settled = settle(&plan, &snapshot).unwrap();
    let record: Vec<RecordedReject> = settled
        .rejects
        .iter()
        .map(|reject| RecordedReject {
            table: plan.source.table(reject.table).name.clone(),
            key: reject.key.clone(),
            code: reject.code.clone(),
        })
        .collect();
    let kept_out = keep_out(&plan, &snapshot).unwrap();
    let findings = |change: &dyn Fn(&mut Vec<RecordedReject>)| {
        let mut record = record.clone();
        change(&mut record);
        kept_out.prove(&plan, Ok(record)).findings
    };
    assert_eq!(findings(&|_| {}), Vec::<String>::new());
    assert_eq!(findings(&|record| record.reverse()), Vec::<String>::new());
    let one = |findings: Vec<String>| {
        assert_eq!(findings.len(), 1, "{findings:?}");
        findings.into_iter().next().unwrap()
    };
    let missing = one(findings(&|record| drop(record.remove(0))));
    assert!(missing.contains("no record says that it was") && missing.contains(&record[0].key), "{missing}");
    let twice = one(findings(&|record| record.push(record[0].clone())));
    assert!(twice.contains("nothing is wrong with it"), "{twice}");
    let other = one(findings(&|record| record[0].code = "tenant-conflict".to_owned()));
    assert!(other.contains("was rejected as tenant-conflict"), "{other}");
    // Without a record nothing is claimed, and nothing is wrong.
    let unread = kept_out.prove(&plan, Err("no".to_owned()));
    assert_eq!((unread.is_proven(), unread.unrecorded.as_deref()), (true, Some("no")));
    let closed = unread.tables.iter().all(|table| table.source_rows == table.moved + table.rejected + table.left_out);
    assert!(closed, "{unread:?}");
}

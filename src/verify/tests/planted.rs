//! Mistakes in the remapping, one at a time: rows that went through it are in the target, no constraint is there to refuse
//! them, and the proof has to say what is wrong.

use super::fixture::{Fixture, run};
use crate::ident::quote_always;
use crate::plan::Section;
use crate::postgres::{Connection, CopyColumn, CopyIn, testing};
use crate::remap::Remapper;
use crate::remap::planted::Bug;
use crate::schema::{ColumnId, TableId};
use crate::verify::RowDifferenceKind;
use std::collections::BTreeSet;

const SQLITE: &str = "
    CREATE TABLE accounts (id TEXT PRIMARY KEY, name TEXT NOT NULL);
    CREATE TABLE people (
        id INTEGER PRIMARY KEY, account_id TEXT NOT NULL REFERENCES accounts (id), first TEXT, last TEXT,
        active BOOLEAN, score INTEGER, token UUID, photo BLOB, balance DECIMAL(10,2));
    CREATE TABLE visits (
        id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL REFERENCES people (id),
        guide_id INTEGER REFERENCES people (id), day DATE, came DATETIME, seen TIMESTAMPTZ, measured REAL, opened INTEGER,
        price TEXT);
    CREATE TABLE tags (id INTEGER PRIMARY KEY, name TEXT);
    CREATE TABLE visit_tags (
        visit_id INTEGER NOT NULL REFERENCES visits (id), tag_id INTEGER NOT NULL REFERENCES tags (id),
        PRIMARY KEY (visit_id, tag_id));
    INSERT INTO accounts VALUES ('a', 'Ann'), ('b', 'Bob');
    INSERT INTO people VALUES
        (1, 'a', 'Ada', 'One ', 'f', 9007199254740993, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', x'010002', 12.34),
        (2, 'b', 'Ben', '', 't', 7, NULL, x'ff', 0.5), (3, 'a', 'Cay', 'Three', NULL, NULL, NULL, NULL, NULL);
    INSERT INTO visits VALUES
        (10, 1, 3, '2024-02-29', '2024-02-29 10:00:00.25', '2024-02-29 10:00:00+02:00', 2460310.5, 1719792000, '1.005'),
        (20, 2, 1, NULL, NULL, NULL, NULL, 0, NULL);
    INSERT INTO tags VALUES (5, 'both'), (6, 'one');
    INSERT INTO visit_tags VALUES (10, 5), (20, 5), (20, 6);";

const SPEC: &str = "
version: 1
source: source.db
target: {schema: app}
tenant: {column: account_id, root: accounts}
tables:
  people: {tenant: {column: account_id}}
  visits:
    tenant: {via: person_id}
    foreign_keys: {guide_id: {column: guide_account_id, cross_tenant: allow}}
    columns:
      measured: {read: julian, type: timestamp}
      opened: {read: epoch, zone: Europe/Berlin, type: timestamp, null_if: [0]}
      price: {read: decimal, type: 'numeric(10,2)'}
  visit_tags: {tenant: {via: visit_id}}
  tags: {tenant: {used_by: visit_tags.tag_id, several: copy}}
";

/// What each mistake has to look like: tables and what is wrong with their rows.
const BUGS: &[(Bug, &[&str])] = &[
    (Bug::AnyWordIsTrue, &["people changed in active"]),
    (Bug::SpacesTrimmed, &["people changed in last"]),
    (Bug::EmptyIsNull, &["people changed in last"]),
    (Bug::BytesEndAtZero, &["people changed in photo"]),
    (Bug::IntegerThroughDouble, &["people changed in score"]),
    (Bug::FractionDropped, &["visits changed in came"]),
    (Bug::OffsetAnHourMore, &["visits changed in seen"]),
    (Bug::DayLate, &["visits changed in day"]),
    (Bug::UuidByteOrder, &["people changed in token"]),
    (Bug::DisplayScaleShort, &["people changed in balance", "visits changed in price"]),
    (Bug::RoundedDown, &["visits changed in price"]),
    (Bug::JulianDayAtMidnight, &["visits changed in measured"]),
    (Bug::ClockOfUtc, &["visits changed in opened"]),
    (Bug::NullIfForgotten, &["visits changed in opened"]),
    (Bug::ColumnsSwapped, &["people changed in first, last"]),
    (
        Bug::FirstParentForAll,
        &["tags in a wrong tenant", "tags missing", "visit_tags in a wrong tenant", "visits in a wrong tenant"],
    ),
    (Bug::FirstTenantForAll, &["tags in a wrong tenant", "visit_tags in a wrong tenant", "visits in a wrong tenant"]),
    (Bug::TenantsSwapped, &["tags in a wrong tenant", "visit_tags in a wrong tenant", "visits in a wrong tenant"]),
    (Bug::OwnTenantInReference, &["visits changed in guide_account_id"]),
    (Bug::CopyForgotten, &["tags missing"]),
];

/// Moves all rows as the copy does, into a target that has no constraint yet.
fn fill(fixture: &Fixture, target: &mut Connection) {
    let plan = &fixture.plan;
    let select = |columns: &[ColumnId], table: TableId| {
        let names: Vec<String> = plan.source.column_names(columns).map(quote_always).collect();
        format!("SELECT {} FROM {}", names.join(", "), quote_always(&plan.source.table(table).name))
    };
    let mut remapper = Remapper::new(plan);
    for position in 0..remapper.key_passes().len() {
        let pass = &remapper.key_passes()[position];
        assert!(pass.expressions.is_empty(), "the spec of this test has none");
        let sql = select(&pass.columns, pass.table);
        fixture
            .source
            .for_each_row::<crate::diagnostic::Diagnostic>(&sql, &[], &mut |values| {
                remapper.learn(position, values);
                Ok(())
            })
            .unwrap();
        remapper.learnt(position);
    }
    let schema = &plan.rewritten.target;
    for table in schema.table_ids() {
        let pass = remapper.table_pass(table);
        let columns: Vec<CopyColumn<'_>> = pass
            .target_columns
            .iter()
            .map(|&column| schema.column(column))
            .map(|column| CopyColumn { name: &column.name, data_type: column.data_type })
            .collect();
        let mut copy = CopyIn::start(target, &plan.tenancy.target_schema, &schema.table(table).name, &columns).unwrap();
        let mut faults = Vec::new();
        fixture
            .source
            .for_each_row::<crate::diagnostic::Diagnostic>(&select(&pass.columns, pass.table), &[], &mut |values| {
                let rows = remapper.row(&pass, values, copy.buffer(), &mut faults).len();
                assert_eq!(faults, [], "a mistake that stops the copy needs no proof");
                copy.wrote(rows as u64)
            })
            .unwrap();
        copy.finish().unwrap();
    }
}

/// Moves the rows, and says in which tables what kind of row differs.
fn differences(fixture: &Fixture, target: &mut Connection) -> BTreeSet<String> {
    let tables: Vec<String> =
        fixture.plan.rewritten.target.tables.iter().map(|table| format!("app.{}", table.name)).collect();
    run(target, &format!("TRUNCATE {}", tables.join(", ")));
    fill(fixture, target);
    let found = fixture.verify(target);
    let kind = |kind: &RowDifferenceKind| match kind {
        RowDifferenceKind::Missing => "missing".to_owned(),
        RowDifferenceKind::Extra => "extra".to_owned(),
        RowDifferenceKind::Doubled => "doubled".to_owned(),
        RowDifferenceKind::Changed { columns } => format!("changed in {}", columns.join(", ")),
        RowDifferenceKind::WrongTenant { .. } => "in a wrong tenant".to_owned(),
    };
    let rows = found.tables.iter().flat_map(|table| table.row_examples.iter().map(move |row| (table, row)));
    rows.map(|(table, row)| format!("{} {}", table.table, kind(&row.kind))).collect()
}

#[test]
fn the_proof_finds_every_mistake_of_the_copy() {
    let fixture = Fixture::new(SQLITE, SPEC);
    let mut target = testing::connect(&testing::database());
    fixture.run_section(&mut target, Section::PreData);
    assert_eq!(differences(&fixture, &mut target), BTreeSet::new(), "without a mistake there is nothing to find");
    let mut wrong = Vec::new();
    for (bug, expected) in BUGS {
        let found = bug.during(|| differences(&fixture, &mut target));
        let expected: BTreeSet<String> = expected.iter().map(|&line| line.to_owned()).collect();
        if found != expected {
            wrong.push(format!("{bug:?}: {found:?}, not {expected:?}"));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert_eq!(differences(&fixture, &mut target), BTreeSet::new(), "and none stays behind");
}

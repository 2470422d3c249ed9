//! Random rows under every kind of source that looks at other rows: the remapping and a plain SQL query, written by hand
//! for this schema, have to find the same tenants.

use super::rows::{SourceTable, learn_keys};
use crate::diagnostic::{Diagnostic, Sources};
use crate::plan::Plan;
use crate::remap::{FaultKind, Remapper};
use crate::schema::Value;
use crate::spec;
use crate::sqlite::{Snapshot, read_source};
use proptest::prelude::*;
use rusqlite::Connection as Sqlite;
use std::collections::{BTreeMap, BTreeSet};

const SCHEMA: &str = "
CREATE TABLE shops (id INTEGER PRIMARY KEY, tenant INTEGER, code TEXT COLLATE NOCASE UNIQUE, label_id INTEGER REFERENCES labels (id));
CREATE TABLE sales (id INTEGER PRIMARY KEY, shop TEXT REFERENCES shops (id), label_id TEXT REFERENCES labels (id));
CREATE TABLE labels (id INTEGER PRIMARY KEY);
CREATE TABLE nodes (id INTEGER PRIMARY KEY, parent_id TEXT REFERENCES nodes (id), tenant INTEGER, shop_code TEXT REFERENCES shops (code));
CREATE TABLE notes (id INTEGER PRIMARY KEY, kind TEXT, target TEXT);
CREATE TABLE marks (id INTEGER PRIMARY KEY, sale_id INTEGER REFERENCES sales (id), owner INTEGER);
";

const SPEC: &str = "
version: 1
source: schema.sql
tenant: {column: tenant_id, type: bigint}
defaults: {unique: global, primary_key: global}
tables:
  shops: {tenant: {column: tenant}, foreign_keys: {label_id: omit}}
  sales: {tenant: {via: shop}, foreign_keys: {shop: omit, label_id: omit}}
  labels: {tenant: {used_by: [shops.label_id, sales.label_id], several: copy}}
  nodes:
    tenant: {first: [{column: tenant}, {via: parent_id}, {via: shop_code}]}
    foreign_keys: {parent_id: omit, shop_code: omit}
  notes: {tenant: {by: kind, key: target, cases: {shop: shops, sale: sales, node: nodes}}}
  marks: {tenant: {first: [{via: sale_id}, {column: owner}]}, foreign_keys: {sale_id: omit}}
";

/// (table, key, tenant) by plain SQL. A tree is walked down from its known rows, a union drops what is found twice.
const EXPECTED: &str = "
WITH RECURSIVE
  shop (id, t, code) AS (SELECT id, tenant, code FROM shops WHERE tenant IS NOT NULL),
  sale (id, t) AS (SELECT s.id, p.tenant FROM sales s JOIN shops p ON p.id = +s.shop WHERE p.tenant IS NOT NULL),
  label (id, t) AS (
    SELECT l.id, s.tenant FROM labels l JOIN shops s ON l.id = +s.label_id WHERE s.tenant IS NOT NULL
    UNION SELECT l.id, sale.t FROM labels l JOIN sales s ON l.id = +s.label_id JOIN sale ON sale.id = s.id),
  fallback (id, t) AS (SELECT n.id, p.tenant FROM nodes n LEFT JOIN shops p ON p.code = +n.shop_code),
  settled (id, t) AS (
    SELECT id, tenant FROM nodes WHERE tenant IS NOT NULL
    UNION SELECT n.id, f.t FROM nodes n JOIN fallback f ON f.id = n.id
      WHERE n.tenant IS NULL AND NOT EXISTS (SELECT 1 FROM nodes p WHERE p.id = +n.parent_id)
    UNION SELECT n.id, coalesce(s.t, f.t) FROM settled s JOIN nodes n ON s.id = CAST(n.parent_id AS INTEGER)
      JOIN fallback f ON f.id = n.id
      WHERE n.tenant IS NULL AND EXISTS (SELECT 1 FROM nodes p WHERE p.id = +n.parent_id)),
  node (id, t) AS (SELECT id, t FROM settled WHERE t IS NOT NULL),
  note (id, t) AS (
    SELECT n.id, p.t FROM notes n JOIN shops s ON s.id = +n.target JOIN shop p ON p.id = s.id WHERE n.kind = 'shop'
    UNION SELECT n.id, p.t FROM notes n JOIN sales s ON s.id = +n.target JOIN sale p ON p.id = s.id WHERE n.kind = 'sale'
    UNION SELECT n.id, p.t FROM notes n JOIN nodes s ON s.id = +n.target JOIN node p ON p.id = s.id WHERE n.kind = 'node'),
  mark (id, t) AS (
    SELECT m.id, coalesce(sale.t, m.owner) FROM marks m LEFT JOIN sale ON sale.id = m.sale_id
    WHERE coalesce(sale.t, m.owner) IS NOT NULL)
SELECT 'shops', id, t FROM shop UNION ALL SELECT 'sales', id, t FROM sale UNION ALL SELECT 'labels', id, t FROM label
UNION ALL SELECT 'nodes', id, t FROM node UNION ALL SELECT 'notes', id, t FROM note UNION ALL SELECT 'marks', id, t FROM mark";

/// The tenants of rows by table and key.
type Found = BTreeMap<(String, i64), BTreeSet<i64>>;

/// Maps every row: the tenants of those without a fault, and the others' kinds of fault.
fn mapped(plan: &Plan, snapshot: &Snapshot) -> (Found, BTreeMap<(String, i64), Vec<FaultKind>>) {
    let database = snapshot.open().unwrap();
    let mut remapper = Remapper::new(plan);
    learn_keys(&mut remapper, plan, &database).unwrap();
    let (mut found, mut faulty) = (Found::new(), BTreeMap::new());
    for target in plan.rewritten.target.table_ids() {
        let table = SourceTable::new(plan, &mut remapper, target).unwrap();
        let name = plan.source.table(table.pass.table).name.clone();
        let (mut out, mut faults) = (Vec::new(), Vec::new());
        table
            .for_each::<Diagnostic>(&database, &mut |values, key| {
                let Value::Integer(id) = key[0] else { unreachable!("every key is an integer") };
                let rows = remapper.row(&table.pass, values, &mut out, &mut faults).to_vec();
                let tenant = |row: &crate::remap::TargetRow| {
                    let field = remapper.tenants().field(row.tenant.unwrap());
                    i64::from_be_bytes(field[4..].try_into().unwrap())
                };
                if faults.is_empty() {
                    let tenants: BTreeSet<i64> = rows.iter().map(tenant).collect();
                    assert_eq!(tenants.len(), rows.len(), "each tenant has one copy");
                    found.insert((name.clone(), id), tenants);
                } else {
                    faulty.insert((name.clone(), id), faults.drain(..).map(|fault| fault.kind).collect());
                }
                Ok(())
            })
            .unwrap();
    }
    (found, faulty)
}

/// A reference that hits, misses, is NULL, or is spelled as only the parent's affinity understands.
fn reference(rows: i64) -> impl Strategy<Value = String> {
    prop_oneof![
        6 => (1..=rows).prop_map(|id| id.to_string()),
        2 => (1..=rows).prop_map(|id| format!("'{id}'")),
        1 => (1..=rows).prop_map(|id| format!("' 0{id}'")),
        1 => (1..=rows).prop_map(|id| format!("'{id}.0'")),
        1 => Just("'x'".to_owned()),
        3 => Just("NULL".to_owned()),
    ]
}

fn number(least: i64, most: i64) -> impl Strategy<Value = String> {
    prop_oneof![3 => (least..=most).prop_map(|number| number.to_string()), 1 => Just("NULL".to_owned())]
}

/// Writes INSERTs for a table with ids from 1.
fn inserts(table: &'static str, rows: Vec<Vec<String>>) -> String {
    let lines = rows.iter().enumerate().map(|(position, row)| {
        let values: String = row.iter().map(|value| format!(", {value}")).collect();
        format!("INSERT INTO {table} VALUES ({}{values});\n", position + 1)
    });
    lines.collect()
}

fn rows() -> impl Strategy<Value = String> {
    let code = prop_oneof![2 => "[a-d]".prop_map(|code| format!("'{code}'")), 1 => "[A-D]".prop_map(|code| format!("'{code}'")), 1 => Just("NULL".to_owned())];
    let kind = prop_oneof![Just("'shop'"), Just("'sale'"), Just("'node'")].prop_map(str::to_owned);
    (
        prop::collection::vec((number(1, 3), number(1, 4)), 1..5),
        prop::collection::vec((reference(5), reference(5)), 0..8),
        prop::collection::vec((reference(8), number(1, 3), code), 0..9),
        prop::collection::vec((kind, reference(8)), 0..8),
        prop::collection::vec((number(1, 8), number(1, 3)), 0..6),
    )
        .prop_map(|(shops, sales, nodes, notes, marks)| {
            let shops = shops.into_iter().enumerate().map(|(position, (tenant, label))| {
                vec![tenant, format!("'{}'", ["a", "B", "c", "D"][position]), label]
            });
            [
                inserts("shops", shops.collect()),
                inserts("sales", sales.into_iter().map(|(shop, label)| vec![shop, label]).collect()),
                inserts("labels", vec![Vec::new(); 4]),
                inserts("nodes", nodes.into_iter().map(|(parent, tenant, code)| vec![parent, tenant, code]).collect()),
                inserts("notes", notes.into_iter().map(|(kind, target)| vec![kind, target]).collect()),
                inserts("marks", marks.into_iter().map(|(sale, owner)| vec![sale, owner]).collect()),
            ]
            .concat()
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_remapping_finds_the_tenants_that_sql_finds(rows in rows()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("source.db");
        let sqlite = Sqlite::open(&path).unwrap();
        sqlite.execute_batch(&format!("PRAGMA foreign_keys = OFF;{SCHEMA}{rows}")).unwrap();
        let mut expected = Found::new();
        let mut statement = sqlite.prepare(EXPECTED).unwrap();
        let mut lines = statement.query([]).unwrap();
        while let Some(line) = lines.next().unwrap() {
            let key = (line.get(0).unwrap(), line.get(1).unwrap());
            expected.entry(key).or_default().insert(line.get(2).unwrap());
        }
        drop(lines);
        drop(statement);
        drop(sqlite);
        let mut sources = Sources::default();
        let schema = read_source(&path, &mut sources).unwrap();
        let (file, spans) = spec::read(SPEC, sources.add("spec.yaml", SPEC)).unwrap();
        let plan = Plan::new(schema.clone(), spec::resolve(&file, &spans, &schema).unwrap()).unwrap();
        let (found, faulty) = mapped(&plan, &Snapshot::take(&path).unwrap());
        for (row, tenants) in &found {
            prop_assert_eq!(expected.get(row), Some(tenants), "{:?}\n{}", row, rows);
        }
        for (row, faults) in &faulty {
            // A reference into nothing is a fault even where another source finds the tenant.
            let leads_nowhere = |fault: &FaultKind| matches!(fault, FaultKind::NoTenant | FaultKind::CaseOrphan(_) | FaultKind::NoCase(_));
            let none = faults.iter().any(leads_nowhere) || row.0 == "sales";
            let plain = matches!(row.0.as_str(), "nodes" | "marks");
            prop_assert!(none || plain, "{:?}: {:?}\n{}", row, faults, rows);
            prop_assert!(!none || !expected.contains_key(row), "{:?}: {:?}\n{}", row, faults, rows);
        }
    }
}

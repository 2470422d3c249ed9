//! Random rows that go through, and one that does not.

use crate::kinds::Sample;
use crate::random::Random;
use crate::schema::{How, Made, Schema, Source, Table, quoted};
use rusqlite::types::Value;

/// The rows of all tables.
#[derive(Debug)]
pub struct Rows(pub Vec<Vec<Row>>);

#[derive(Debug, Clone)]
pub struct Row {
    pub values: Vec<Sample>,
    /// Whose it is; `None` for a shared row.
    pub tenant: Option<Sample>,
    /// The tenant of the row that each reference with a column of its own leads to.
    pub own: Vec<Option<String>>,
}

/// What was planted in a row: the only thing that an audit may find.
#[derive(Debug, PartialEq)]
pub struct Fault {
    pub table: usize,
    pub code: &'static str,
}

impl Rows {
    /// Makes up to so many rows a table.
    pub fn random(schema: &Schema, seed: u64, most: usize) -> Self {
        let random = Random::new(seed);
        let mut rows = Self(Vec::new());
        for table in 0..schema.tables.len() {
            let mut random = random.part(1000 + table);
            rows.0.push(Vec::new());
            for number in 0..random.below(most + 1) {
                let Some(row) = rows.row(schema, table, number, &mut random) else { break };
                rows.0[table].push(row);
            }
        }
        for table in 0..schema.tables.len() {
            let mut random = random.part(2000 + table);
            for number in 0..rows.0[table].len() {
                let mut row = rows.0[table][number].clone();
                rows.refer(schema, table, &mut row, &mut random);
                rows.0[table][number] = row;
            }
        }
        rows
    }

    /// Makes a row with its keys and its tenant; `None` where there is no row that it could get its tenant from.
    fn row(&self, schema: &Schema, number: usize, of: usize, random: &mut Random) -> Option<Row> {
        let table = &schema.tables[number];
        let mut values: Vec<Sample> = table
            .columns
            .iter()
            .map(|column| match (column.special, column.not_null) {
                (true, _) => Sample::NULL,
                (false, false) if random.chance(15) => Sample::NULL,
                (false, _) => (column.kind.sample)(random),
            })
            .collect();
        for key in &table.keys {
            for &column in &key.columns {
                let nullable = key.made != Made::Primary && !table.columns[column].not_null;
                // A key with a NULL is no key, and there may be many.
                if !(nullable && random.chance(20)) {
                    values[column] = table.columns[column].kind.key.map(|key| key(of)).unwrap();
                }
            }
        }
        let tenant = match table.source {
            Source::Shared => None,
            Source::Root => Some(values[table.keys[0].columns[0]].clone()),
            Source::Column(column) => {
                values[column] = match schema.has_root {
                    true => self.0[0].get(random.below(self.0[0].len().max(1)))?.tenant.clone()?,
                    false => (schema.tenant_kind.key)?(random.below(3)),
                };
                Some(values[column].clone())
            }
            Source::Via(way) => {
                let reference = &table.references[way];
                let keyed = self.referable(schema, reference.parent, reference.key);
                if keyed.is_empty() {
                    return None;
                }
                let parent = random.pick(&keyed);
                let key = &schema.tables[reference.parent].keys[reference.key];
                for (&column, &of) in reference.columns.iter().zip(&key.columns) {
                    values[column] = parent.values[of].clone();
                }
                parent.tenant.clone()
            }
        };
        Some(Row { values, tenant, own: vec![None; table.references.len()] })
    }

    /// Returns the rows whose key has no NULL.
    fn referable(&self, schema: &Schema, table: usize, key: usize) -> Vec<&Row> {
        let columns = &schema.tables[table].keys[key].columns;
        self.0[table].iter().filter(|row| columns.iter().all(|&column| row.values[column].text.is_some())).collect()
    }

    /// Fills the references that decide nothing.
    fn refer(&self, schema: &Schema, number: usize, row: &mut Row, random: &mut Random) {
        let table = &schema.tables[number];
        for (position, reference) in table.references.iter().enumerate() {
            if matches!(reference.how, How::Via | How::Tenant) {
                continue;
            }
            let same = matches!(reference.how, How::PerTenant)
                || (matches!(reference.how, How::OwnColumn(_)) && row.tenant.is_some());
            let mut parents = self.referable(schema, reference.parent, reference.key);
            parents.retain(|parent| !same || parent.tenant == row.tenant);
            if parents.is_empty() || random.chance(20) {
                continue;
            }
            let parent = random.pick(&parents);
            set(schema, table, position, row, parent);
            let fresh = fresh_columns(table, position);
            if fresh.len() > 1 && random.chance(20) {
                // A part of a key refers to nothing.
                row.values[random.pick(&fresh)] = Sample::NULL;
                row.own[position] = None;
            }
        }
    }

    /// Adds a row that nothing refers to and that one thing is wrong with; `None` where the tables leave no room for it.
    pub fn plant(&mut self, schema: &Schema, random: &mut Random) -> Option<Fault> {
        for _ in 0..50 {
            let number = random.below(schema.tables.len());
            let table = &schema.tables[number];
            let Some(mut row) = self.row(schema, number, 50 + self.0[number].len(), random) else { continue };
            self.refer(schema, number, &mut row, random);
            let code = match random.below(6) {
                0 => self.orphan(table, &mut row, random),
                1 => no_tenant(table, &mut row),
                2 => self.conflict(schema, table, &mut row),
                3 => unfit(table, &mut row, random),
                4 => null_key(table, &mut row),
                _ => unknown_tenant(schema, table, &mut row),
            };
            if let Some(code) = code {
                self.0[number].push(row);
                return Some(Fault { table: number, code });
            }
        }
        None
    }

    fn orphan(&self, table: &Table, row: &mut Row, random: &mut Random) -> Option<&'static str> {
        let given = |position: &usize| {
            table.references[*position].columns.iter().all(|&column| row.values[column].text.is_some())
        };
        let given: Vec<usize> = (0..table.references.len()).filter(given).collect();
        let position = *given.get(random.below(given.len().max(1)))?;
        let column = *fresh_columns(table, position).first()?;
        row.values[column] = table.columns[column].kind.key?(31_000);
        Some("orphan")
    }

    fn conflict(&self, schema: &Schema, table: &Table, row: &mut Row) -> Option<&'static str> {
        let position = table.references.iter().position(|reference| {
            matches!(reference.how, How::PerTenant)
                || (matches!(reference.how, How::OwnColumn(_)) && row.tenant.is_some())
        })?;
        // One that carries the tenant column cannot lead to another tenant.
        if fresh_columns(table, position).len() < table.references[position].columns.len() {
            return None;
        }
        let reference = &table.references[position];
        let others = self.referable(schema, reference.parent, reference.key);
        let other = others.into_iter().find(|other| other.tenant != row.tenant)?;
        set(schema, table, position, row, other);
        Some("tenant-conflict")
    }

    /// Writes the rows into a database that has the tables.
    pub fn insert(&self, schema: &Schema, sqlite: &rusqlite::Connection) {
        for (table, rows) in schema.tables.iter().zip(&self.0) {
            let names: Vec<String> = table.columns.iter().map(|column| quoted(&column.name)).collect();
            let marks = vec!["?"; names.len()].join(", ");
            let sql = format!("INSERT INTO {} ({}) VALUES ({marks})", quoted(&table.name), names.join(", "));
            let mut statement = sqlite.prepare(&sql).unwrap();
            for row in rows {
                statement.execute(rusqlite::params_from_iter(row.values.iter().map(|value| &value.stored))).unwrap();
            }
        }
    }
}

/// Lets a row refer to another.
fn set(schema: &Schema, table: &Table, position: usize, row: &mut Row, parent: &Row) {
    let reference = &table.references[position];
    for (&column, &of) in reference.columns.iter().zip(&schema.tables[reference.parent].keys[reference.key].columns) {
        row.values[column] = parent.values[of].clone();
    }
    if matches!(reference.how, How::OwnColumn(_) | How::CrossTenant(_)) {
        row.own[position] = parent.tenant.as_ref().and_then(|tenant| tenant.text.clone());
    }
}

/// Returns the columns that belong to a reference alone.
fn fresh_columns(table: &Table, position: usize) -> Vec<usize> {
    let tenant = |column: usize| table.source == Source::Column(column);
    table.references[position].columns.iter().copied().filter(|&column| !tenant(column)).collect()
}

fn no_tenant(table: &Table, row: &mut Row) -> Option<&'static str> {
    let column = match table.source {
        Source::Column(column) => column,
        Source::Via(way) => table.references[way].columns[0],
        Source::Root | Source::Shared => return None,
    };
    let in_key = table.without_rowid && table.keys[0].columns.contains(&column);
    // What leads on with the tenant column leads nowhere without it; what leads to another row is not looked at.
    if table.columns[column].not_null || in_key {
        return None;
    }
    row.values[column] = Sample::NULL;
    Some("no-tenant")
}

fn unfit(table: &Table, row: &mut Row, random: &mut Random) -> Option<&'static str> {
    let plain: Vec<usize> = (0..table.columns.len()).filter(|&column| !table.columns[column].special).collect();
    let column = random.pick(&plain);
    row.values[column] = Sample { stored: (table.columns[column].kind.unfit)(random), text: None };
    Some("unfit-value")
}

fn null_key(table: &Table, row: &mut Row) -> Option<&'static str> {
    let primary = table.keys.first().filter(|key| key.made == Made::Primary)?;
    let tenant = |column: usize| table.source == Source::Column(column);
    let nullable = |&&column: &&usize| !table.columns[column].not_null && !tenant(column);
    let column = *primary.columns.iter().find(nullable)?;
    // SQLite takes a NULL in any other primary key.
    if table.rowid_alias || table.without_rowid || table.source == Source::Root {
        return None;
    }
    row.values[column] = Sample::NULL;
    Some("null-value")
}

fn unknown_tenant(schema: &Schema, table: &Table, row: &mut Row) -> Option<&'static str> {
    let Source::Column(column) = table.source else { return None };
    let other = schema.tenant_kind.key?(49);
    let alone = table.references.iter().all(|reference| matches!(reference.how, How::Shared));
    if !schema.has_root || !alone || other.stored == Value::Null {
        return None;
    }
    row.values[column] = other;
    Some("unknown-tenant")
}

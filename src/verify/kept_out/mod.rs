//! What is kept out, a second time: in SQL, by SQLite itself, over a copy of the snapshot of its own.
//!
//! The copy of a run settles which rows are moved by remapping each of them (`copy::settle`). Nothing of that is used here:
//! tenants are those of `tenant_sql`, orphans and other tenants' rows are found by anti-joins (`faults`), and values are
//! looked at in their canonical form (`values`). What is left is what the target has to hold; what was taken out has to be
//! what the run has written down (`record`).

mod faults;
mod record;
mod values;

pub use record::{KeptOutProof, RecordedReject, TableKeptOut, recorded};

use super::tenant_sql::TenantSql;
use crate::diagnostic::Diagnostic;
use crate::ident::quote_always;
use crate::plan::Plan;
use crate::schema::{ColumnId, ForeignKeyId, TableId, Value};
use crate::spec::{ForeignKeyTenancy, Keep, OrphanPolicy, Placement, RowPolicies, TenantSource};
use crate::sqlite::{Database, Editor, Snapshot, row_expression};
use std::collections::{BTreeMap, BTreeSet};

/// What the spec keeps out of a snapshot, and what it leaves.
#[derive(Debug, Default)]
pub struct KeptOut {
    /// The rows that are moved; `None` where that is all of them.
    copy: Option<Snapshot>,
    accounts: Vec<Account>,
    rejected: Vec<Rejected>,
}

impl KeptOut {
    /// Returns what is to be moved.
    pub fn rows<'s>(&'s self, snapshot: &'s Snapshot) -> &'s Snapshot {
        self.copy.as_ref().unwrap_or(snapshot)
    }
}

/// What becomes of a table's rows.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Account {
    table: TableId,
    source_rows: u64,
    moved: u64,
    left_out: u64,
    rejected: u64,
    cleared: u64,
}

/// A row that is rejected, and all that speaks against it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rejected {
    table: TableId,
    key: String,
    codes: BTreeSet<String>,
}

/// Derives what is kept out of a snapshot.
///
/// # Errors
/// Those of SQLite.
pub fn keep_out(plan: &Plan, snapshot: &Snapshot) -> Result<KeptOut, Diagnostic> {
    let is_moved =
        |table: &TableId| plan.tenancy.table(*table).placement != Placement::Omit && !plan.tenancy.is_created(*table);
    let tables: Vec<TableId> = plan.source.table_ids().filter(is_moved).collect();
    if tables.iter().all(|&table| plan.tenancy.table(table).rows == RowPolicies::default()) {
        return Ok(KeptOut::default());
    }
    let before = snapshot.open()?;
    let mut accounts = BTreeMap::new();
    for &table in &tables {
        let source_rows = count(plan, &before, table)?;
        accounts.insert(table, Account { table, source_rows, moved: 0, left_out: 0, rejected: 0, cleared: 0 });
    }
    drop(before);
    let mut rejected = Vec::new();
    let copy = snapshot.edited(|editor| {
        let mut keeping = Keeping {
            plan,
            editor,
            tenants: TenantSql::with_references(plan),
            tables: &tables,
            accounts: &mut accounts,
            rejected: &mut rejected,
        };
        keeping.run()
    })?;
    let after = copy.open()?;
    for account in accounts.values_mut() {
        account.moved = count(plan, &after, account.table)?;
    }
    drop(after);
    Ok(KeptOut { copy: Some(copy), accounts: accounts.into_values().collect(), rejected })
}

fn count(plan: &Plan, database: &Database, table: TableId) -> Result<u64, Diagnostic> {
    let sql = format!("SELECT count(*) FROM main.{}", name(plan, table));
    Ok(database.query_integer(&sql, &[])?.unsigned_abs())
}

fn name(plan: &Plan, table: TableId) -> String {
    quote_always(&plan.source.table(table).name)
}

/// The rows of a table that go, with what speaks against them: a line for each reason.
fn going(table: TableId) -> String {
    format!("tenantry_going_{}", table.0)
}

struct Keeping<'k> {
    plan: &'k Plan,
    editor: &'k Editor,
    tenants: TenantSql<'k>,
    tables: &'k [TableId],
    accounts: &'k mut BTreeMap<TableId, Account>,
    rejected: &'k mut Vec<Rejected>,
}

impl Keeping<'_> {
    fn run(&mut self) -> Result<(), Diagnostic> {
        for &table in self.tables {
            let going = going(table);
            self.editor.execute_temp(&format!(
                "CREATE TEMP TABLE {going} (r, code TEXT, left_out INTEGER); CREATE INDEX temp.{going}_r ON {going} (r);"
            ))?;
            self.leave_out(table)?;
        }
        self.take_out()?;
        loop {
            let cleared = self.judge()?;
            // What changes nothing is over; what goes may change what others find.
            if self.take_out()? + cleared == 0 {
                return self.tenants.forget(self.editor);
            }
        }
    }

    fn leave_out(&self, table: TableId) -> Result<(), Diagnostic> {
        let own = name(self.plan, table);
        let condition = match &self.plan.tenancy.table(table).rows.keep {
            Keep::All => return Ok(()),
            Keep::None => "TRUE".to_owned(),
            Keep::Where(text) => format!("NOT coalesce({}, FALSE)", row_expression(&self.plan.source, table, text)?),
        };
        let row = self.tenants.row_of(&own, table);
        self.editor.execute_temp(&format!(
            "INSERT INTO temp.{} SELECT {row}, 'left-out', 1 FROM main.{own} WHERE {condition};",
            going(table)
        ))
    }

    /// Marks the rows whose faults the spec rejects, clears the references that it clears, and returns how many these were.
    fn judge(&mut self) -> Result<u64, Diagnostic> {
        self.tenants.derive(self.editor)?;
        for &table in self.tables {
            if self.plan.tenancy.table(table).rows.decides_faults() {
                faults::find(self.plan, self.editor, &self.tenants, table)?;
            }
        }
        let mut cleared = 0;
        for &table in self.tables {
            if !self.plan.tenancy.table(table).rows.decides_faults() {
                continue;
            }
            let found = faults::found(table);
            self.editor.execute_temp(&format!(
                "INSERT INTO temp.{} SELECT DISTINCT r, code, 0 FROM temp.{found} WHERE cleared IS NULL;",
                going(table)
            ))?;
            for &id in &self.plan.source.table(table).foreign_keys {
                let rows = format!(
                    "SELECT r FROM temp.{found} WHERE cleared = {} AND r NOT IN \
                     (SELECT r FROM temp.{found} WHERE cleared IS NULL)",
                    id.0
                );
                cleared += self.clear(id, &rows)?;
            }
        }
        Ok(cleared)
    }

    /// Sets a foreign key to NULL in the rows that a query gives.
    fn clear(&mut self, id: ForeignKeyId, rows: &str) -> Result<u64, Diagnostic> {
        let table = self.plan.source.foreign_key(id).table;
        let columns: Vec<String> = clearable(self.plan, id)
            .iter()
            .map(|&column| format!("{} = NULL", quote_always(&self.plan.source.column(column).name)))
            .collect();
        if columns.is_empty() {
            return Ok(0);
        }
        let own = name(self.plan, table);
        let row = self.tenants.row_of(&own, table);
        let cleared =
            self.editor.change(&format!("UPDATE main.{own} SET {} WHERE {row} IN ({rows})", columns.join(", ")))?;
        if let Some(account) = self.accounts.get_mut(&table) {
            account.cleared += cleared;
        }
        Ok(cleared)
    }

    /// Takes out what is marked, with all that refers to it, and returns how many rows these were.
    fn take_out(&mut self) -> Result<u64, Diagnostic> {
        while self.follow()? {}
        let mut all = 0;
        for &table in self.tables {
            let (own, going) = (name(self.plan, table), going(table));
            let left_out = self.editor.query_integer(
                &format!("SELECT count(*) FROM (SELECT r FROM temp.{going} GROUP BY r HAVING max(left_out))"),
                &[],
            )?;
            let rejected_before = self.rejected.len();
            self.remember(table)?;
            let row = self.tenants.row_of(&own, table);
            all +=
                self.editor.change(&format!("DELETE FROM main.{own} WHERE {row} IN (SELECT r FROM temp.{going})"))?;
            self.editor.execute_temp(&format!("DELETE FROM temp.{going};"))?;
            if let Some(account) = self.accounts.get_mut(&table) {
                account.left_out += left_out.unsigned_abs();
                account.rejected += (self.rejected.len() - rejected_before) as u64;
            }
        }
        Ok(all)
    }

    /// Marks the rows that refer to marked ones, or clears their references; says whether any were marked.
    fn follow(&mut self) -> Result<bool, Diagnostic> {
        let plan = self.plan;
        let mut before = 0;
        let mut after = 0;
        for (position, foreign_key) in plan.source.foreign_keys.iter().enumerate() {
            let id = ForeignKeyId(position as u32);
            let (child, parent) = (foreign_key.table, foreign_key.referenced_table);
            if !self.tables.contains(&child) || !self.tables.contains(&parent) || !is_looked_up(plan, id) {
                continue;
            }
            let rows = format!(
                "FROM temp.{} AS g JOIN main.{} AS p ON {} = g.r JOIN main.{} AS s ON {}",
                going(parent),
                name(plan, parent),
                self.tenants.row_of("p", parent),
                name(plan, child),
                matches(plan, id, "p", "s")
            );
            let row = self.tenants.row_of("s", child);
            if plan.tenancy.table(child).rows.orphan == OrphanPolicy::SetNull && !clearable(plan, id).is_empty() {
                self.clear(id, &format!("SELECT {row} {rows}"))?;
                continue;
            }
            let going = going(child);
            let marked = format!("SELECT count(*) FROM temp.{going}");
            before += self.editor.query_integer(&marked, &[])?;
            // A row that is marked for something else keeps what it counts as.
            self.editor.execute_temp(&format!(
                "INSERT INTO temp.{going} SELECT r, 'parent-rejected', coalesce((SELECT max(left_out) FROM temp.{going} AS known \
                 WHERE known.r = found.r), left_out) FROM (SELECT DISTINCT {row} AS r, g.left_out AS left_out {rows}) AS found \
                 WHERE r NOT IN (SELECT r FROM temp.{going} WHERE code = 'parent-rejected');"
            ))?;
            after += self.editor.query_integer(&marked, &[])?;
        }
        Ok(after > before)
    }

    /// Remembers the rejected rows among those that are about to go.
    fn remember(&mut self, table: TableId) -> Result<(), Diagnostic> {
        let plan = self.plan;
        let described = plan.source.table(table);
        let key: Vec<ColumnId> =
            described.primary_key.map(|key| plan.source.key(key).columns.clone()).unwrap_or_default();
        // A key is told in the order of the table's columns.
        let key: Vec<ColumnId> = described.columns.iter().copied().filter(|column| key.contains(column)).collect();
        let columns: Vec<String> =
            key.iter().map(|&column| format!(", s.{}", quote_always(&plan.source.column(column).name))).collect();
        let sql = format!(
            "SELECT g.r, g.codes{} FROM (SELECT r, group_concat(DISTINCT code) AS codes FROM temp.{} GROUP BY r \
             HAVING NOT max(left_out)) AS g JOIN main.{} AS s ON {} = g.r",
            columns.concat(),
            going(table),
            name(plan, table),
            self.tenants.row_of("s", table)
        );
        let rejected = &mut *self.rejected;
        self.editor.for_each_row::<Diagnostic>(&sql, &[], &mut |values| {
            let [row, codes, values @ ..] = values else { return Ok(()) };
            let parts: Vec<String> = key
                .iter()
                .zip(values)
                .map(|(&column, value)| format!("{}={}", plan.source.column(column).name, told(value)))
                .collect();
            rejected.push(Rejected {
                table,
                key: if parts.is_empty() { format!("rowid={}", told(row)) } else { parts.join(", ") },
                codes: told(codes).split(',').map(str::to_owned).collect(),
            });
            Ok(())
        })
    }
}

/// Writes a value as a record of rejects names it.
fn told(value: &Value<'_>) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Integer(number) => format!("{number}"),
        Value::Real(number) => format!("{number}"),
        Value::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Blob(bytes) => format!("a blob of {} bytes", bytes.len()),
    }
}

/// Says whether rows are looked for by a foreign key: the target has it, or a tenant is found by it.
fn is_looked_up(plan: &Plan, id: ForeignKeyId) -> bool {
    let tenancy = plan.tenancy.table(plan.source.foreign_key(id).table);
    let finds_tenant = matches!(&tenancy.placement, Placement::Tenant(source)
        if source.alternatives().contains(&TenantSource::Via(id)));
    match tenancy.foreign_keys.get(&id) {
        Some(ForeignKeyTenancy::Omit) | None => finds_tenant,
        Some(_) => true,
    }
}

/// Writes how a row of the parent is found, as SQLite's foreign keys find it.
fn matches(plan: &Plan, id: ForeignKeyId, parent: &str, child: &str) -> String {
    let foreign_key = plan.source.foreign_key(id);
    let name = |column: ColumnId| quote_always(&plan.source.column(column).name);
    let pairs = foreign_key.columns.iter().zip(&foreign_key.referenced_columns);
    let pairs: Vec<String> =
        pairs.map(|(&own, &key)| format!("{parent}.{} = +{child}.{}", name(key), name(own))).collect();
    pairs.join(" AND ")
}

/// Lists the columns of a foreign key that can be NULL, and that neither a key, another foreign key nor the tenant is made of.
fn clearable(plan: &Plan, id: ForeignKeyId) -> Vec<ColumnId> {
    let source = &plan.source;
    let foreign_key = source.foreign_key(id);
    let mut taken: BTreeSet<ColumnId> = BTreeSet::new();
    taken.extend(plan.tenancy.tenant_column(source, foreign_key.table));
    if let Some(key) = source.table(foreign_key.table).primary_key {
        taken.extend(&source.key(key).columns);
    }
    for &other in source.table(foreign_key.table).foreign_keys.iter().filter(|&&other| other != id) {
        taken.extend(&source.foreign_key(other).columns);
    }
    let is_free = |column: &&ColumnId| !source.column(**column).not_null && !taken.contains(column);
    foreign_key.columns.iter().filter(is_free).copied().collect()
}

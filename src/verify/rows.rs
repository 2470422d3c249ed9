//! The rows of one table from either side, as encoded canonical values in the order of the target's columns.

use super::canonical::{Canonical, InPlace, encode_postgres, encode_sqlite, shown};
use super::new_ids::new_id;
use super::parts::Part;
use super::proof::KeyPart;
use super::tenant_sql::TenantSql;
use crate::diagnostic::Diagnostic;
use crate::emit::qualified_table;
use crate::ident::{literal, quote, quote_list, visible};
use crate::plan::Plan;
use crate::postgres::CopyOut;
use crate::rewrite::ColumnValue;
use crate::schema::{Affinity, ColumnId, PgType, TableId, Value};
use crate::spec::{Conversion, TenantIds};
use crate::sqlite::{Database, RowValues};
use std::borrow::Cow;
use std::sync::Arc;

/// Reads one table on both sides.
pub(super) struct TableRows {
    /// The table's name in the target.
    pub name: String,
    /// The target's columns in order.
    pub columns: Vec<(String, PgType)>,
    /// How what the server sends becomes canonical without being read, where it does.
    in_place: Option<InPlace>,
    /// Where the tenant stands; `None` for a shared table.
    tenant: Option<usize>,
    /// Where the key without the tenant stands; empty for a table without a key.
    key: Vec<usize>,
    source_sql: String,
    target_sql: String,
    /// Which of the target's rows count; all without it.
    target_only: Option<String>,
    ids: TenantIds,
    /// How the source compares ids of tenants.
    id_affinity: Affinity,
    /// Whether a column holds new ids of tenants.
    new_ids: Vec<bool>,
    /// How each column's values are read, where the spec says so.
    conversions: Vec<Option<Conversion>>,
}

/// One row; its memory serves the next as well.
#[derive(Debug, Clone, Default)]
pub(super) struct Row {
    /// All columns, one after the other.
    pub bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Row {
    /// Adds a column, whose encoded value `encode` appends.
    fn push(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        encode(&mut self.bytes);
        self.ends.push(self.bytes.len());
    }

    /// Takes all fields as they lie in what the server has sent; false where that does not do.
    fn take(&mut self, fields: &[Option<&[u8]>], bytes: &[u8], in_place: &InPlace) -> bool {
        self.bytes.extend_from_slice(bytes);
        let mut end = 0;
        self.ends.extend(fields.iter().map(|field| {
            end += 4 + field.map_or(0, <[u8]>::len);
            end
        }));
        in_place.settle(&mut self.bytes, &self.ends)
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Returns a column's encoded value.
    pub fn column(&self, position: usize) -> &[u8] {
        let start = position.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..self.ends[position]]
    }
}

impl TableRows {
    /// Prepares the reading of a target table.
    pub fn new(plan: &Plan, tenants: &TenantSql<'_>, table: TableId) -> Self {
        let target = &plan.rewritten.target;
        let described = target.table(table);
        let position = |column: ColumnId| described.columns.iter().position(|&other| other == column);
        let tenant = plan.rewritten.tenant_columns[table.index()].and_then(position);
        let whole_key = described.primary_key.map(|key| target.key(key).columns.iter().filter_map(|&id| position(id)));
        let whole_key: Vec<usize> = whole_key.into_iter().flatten().collect();
        let without_tenant: Vec<usize> = whole_key.iter().copied().filter(|&column| Some(column) != tenant).collect();
        let root = plan.tenancy.root.as_ref().filter(|root| root.created.is_none());
        let is_id = |column: &ColumnId| {
            let value = plan.rewritten.values[column.index()];
            let is_created_key = plan
                .tenancy
                .root
                .as_ref()
                .is_some_and(|root| root.created.is_some() && value == ColumnValue::Source(root.key));
            is_created_key
                || matches!(value, ColumnValue::Tenant | ColumnValue::TenantId(_) | ColumnValue::ReferenceTenant(_))
        };
        let keeps_no_id = plan.tenancy.tenant.ids != TenantIds::Keep;
        Self {
            ids: plan.tenancy.tenant.ids.clone(),
            id_affinity: root.map_or(Affinity::Blob, |root| plan.source.column(root.key).data_type.affinity()),
            new_ids: described.columns.iter().map(|column| keeps_no_id && is_id(column)).collect(),
            conversions: described
                .columns
                .iter()
                .map(|&column| match plan.rewritten.values[column.index()] {
                    ColumnValue::Source(from) => {
                        plan.tenancy.table(plan.source.column(from).table).conversion(from).cloned()
                    }
                    _ => None,
                })
                .collect(),
            name: described.name.clone(),
            in_place: InPlace::new(described.columns.iter().map(|&id| target.column(id).data_type)),
            columns: described
                .columns
                .iter()
                .map(|&id| (target.column(id).name.clone(), target.column(id).data_type))
                .collect(),
            tenant,
            key: if without_tenant.is_empty() { whole_key } else { without_tenant },
            source_sql: tenants.rows(table),
            target_sql: format!(
                "SELECT {} FROM {}",
                quote_list(target.column_names(&described.columns)),
                qualified_table(plan, table)
            ),
            target_only: only(plan, table),
        }
    }

    /// Calls `f` with every row that the target is to have, by the source.
    pub fn for_each_in_source(&self, source: &Database, f: &mut dyn FnMut(&Row)) -> Result<(), Diagnostic> {
        self.for_each_in_source_where(source, None, f)
    }

    /// As [`TableRows::for_each_in_source`], of rows that meet a condition of SQLite's dialect on the source's row `s`.
    fn for_each_in_source_where(
        &self,
        source: &Database,
        condition: Option<&str>,
        f: &mut dyn FnMut(&Row),
    ) -> Result<(), Diagnostic> {
        let mut row = Row::default();
        let sql = self.source_sql(condition);
        source.for_each_row(&sql, &[], &mut |values| {
            row.clear();
            // Of a table without columns there is still a value to select.
            let columns = values.iter().take(self.columns.len()).enumerate();
            columns.for_each(|(position, value)| self.encode(position, value, &mut row));
            f(&row);
            Ok::<(), Diagnostic>(())
        })
    }

    /// Calls `f` with every row of the source that meets a condition and with `state`, and returns what has become of it.
    ///
    /// As [`TableRows::for_each_in_source_where`], in less time, but nothing is heard of the rows before they are all read.
    pub fn fold_source<S: Send + 'static>(
        self: &Arc<Self>,
        source: &Database,
        condition: Option<&str>,
        state: S,
        f: impl Fn(&mut S, &Row) + Send + 'static,
    ) -> Result<S, Diagnostic> {
        let width = self.columns.len();
        if !(1..=Database::MOST_FOLDED).contains(&width) {
            let mut state = state;
            self.for_each_in_source_where(source, condition, &mut |row| f(&mut state, row))?;
            return Ok(state);
        }
        let rows = Arc::clone(self);
        let each = move |(row, state): &mut (Row, S), values: &RowValues<'_>| {
            row.clear();
            (0..width).for_each(|position| rows.encode(position, &values.get(position), row));
            f(state, row);
        };
        let folded = source.fold(&self.source_sql(condition), width, (Row::default(), state), each)?;
        Ok(folded.1)
    }

    /// Writes the query for the rows of the source that meet a condition, its columns those of the target.
    fn source_sql(&self, condition: Option<&str>) -> Cow<'_, str> {
        match condition {
            None => Cow::Borrowed(&self.source_sql),
            Some(condition) => Cow::Owned(format!("{} WHERE {condition}", self.source_sql)),
        }
    }

    /// Adds what a column is to hold, by a value of the source.
    fn encode(&self, position: usize, value: &Value<'_>, row: &mut Row) {
        let data_type = self.columns[position].1;
        let renamed = match self.new_ids[position] {
            true => new_id(&self.ids, value, self.id_affinity, data_type),
            false => None,
        };
        let value = renamed.as_ref().unwrap_or(value);
        row.push(|bytes| match &self.conversions[position] {
            Some(rule) => Canonical::read(value, data_type, rule).encode(data_type, bytes),
            None => encode_sqlite(value, data_type, bytes),
        });
    }

    /// Calls `f` with every row that the target has.
    pub fn for_each_in_target(&self, target: &mut dyn CopyOut, f: impl FnMut(&Row)) -> Result<(), Diagnostic> {
        self.for_each_in_part(target, Part::ALL, f)
    }

    /// Calls `f` with every row that a part of the target's table has.
    pub fn for_each_in_part(
        &self,
        target: &mut dyn CopyOut,
        part: Part,
        mut f: impl FnMut(&Row),
    ) -> Result<(), Diagnostic> {
        let mut row = Row::default();
        let conditions: Vec<String> = self.target_only.iter().cloned().chain(part.condition()).collect();
        let sql = match conditions.is_empty() {
            true => self.target_sql.clone(),
            false => format!("{} WHERE {}", self.target_sql, conditions.join(" AND ")),
        };
        let purpose = format!("read the rows of {} back", visible(&self.name));
        let each = &mut |fields: &[Option<&[u8]>], bytes: &[u8]| {
            if fields.len() != self.columns.len() {
                let message = format!("failed to {purpose}: a row has other columns than were asked for");
                return Err(Diagnostic::error("unexpected-answer", message));
            }
            row.clear();
            if !self.in_place.as_ref().is_some_and(|in_place| row.take(fields, bytes, in_place)) {
                row.clear();
                for (field, (_, data_type)) in fields.iter().zip(&self.columns) {
                    row.push(|bytes| encode_postgres(*field, *data_type, bytes));
                }
            }
            f(&row);
            Ok(())
        };
        target.copy_out(&sql, &purpose, each).map(drop)
    }

    /// Returns a row's encoded tenant; nothing for a shared table.
    pub fn tenant_of<'r>(&self, row: &'r Row) -> &'r [u8] {
        self.tenant.map_or(&[], |tenant| row.column(tenant))
    }

    /// Says whether rows belong to tenants.
    pub fn has_tenants(&self) -> bool {
        self.tenant.is_some()
    }

    /// Appends what a row is found by: its key without the tenant, or all but the tenant where there is no key.
    pub fn write_key(&self, row: &Row, out: &mut Vec<u8>) {
        if self.key.is_empty() {
            let others = (0..self.columns.len()).filter(|&column| Some(column) != self.tenant);
            others.for_each(|column| out.extend_from_slice(row.column(column)));
        } else {
            self.key.iter().for_each(|&column| out.extend_from_slice(row.column(column)));
        }
    }

    /// Appends all columns of a row but those that name tenants.
    pub fn write_without_tenants(&self, row: &Row, out: &mut Vec<u8>) {
        let names_tenant = |column: &usize| self.new_ids[*column] || Some(*column) == self.tenant;
        (0..self.columns.len()).filter(|column| !names_tenant(column)).for_each(|column| {
            out.extend_from_slice(row.column(column));
        });
    }

    /// Shows a row's key.
    pub fn shown_key(&self, row: &Row) -> Vec<KeyPart> {
        let part = |&column: &usize| {
            let (name, data_type) = &self.columns[column];
            KeyPart { column: name.clone(), value: shown(row.column(column), *data_type) }
        };
        self.key.iter().map(part).collect()
    }

    /// Shows an encoded tenant; `None` for a shared table.
    pub fn shown_tenant(&self, tenant: &[u8]) -> Option<String> {
        self.tenant.map(|column| shown(tenant, self.columns[column].1))
    }
}

/// Where each source is a tenant of its own, the target holds others beside it: only the rows of the run's are read. One of
/// its rows that stands under another tenant is then missing.
fn only(plan: &Plan, table: TableId) -> Option<String> {
    let column = plan.rewritten.tenant_columns[table.index()]?;
    let tenant = plan.only_tenant()?;
    Some(format!("{} = {}", quote(&plan.rewritten.target.column(column).name), literal(&tenant)))
}

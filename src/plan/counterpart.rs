//! What an object of the source is in the target: the columns that a key or an index is made of there.

use super::Plan;
use crate::rewrite::ColumnValue;
use crate::schema::{ColumnId, Expr, ForeignKeyId, Index, IndexId, KeyId, TableId, sqlite_text};
use crate::spec::{KeyPart, KeyTenancy};

/// A UNIQUE constraint or a unique index of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UniqueObject {
    /// The constraint.
    Key(KeyId),
    /// The index.
    Index(IndexId),
}

impl Plan {
    /// Returns the target of a source table; `None` where it is not migrated.
    pub fn target_table(&self, source: TableId) -> Option<TableId> {
        let position = self.rewritten.source_tables.iter().position(|&table| table == source)?;
        Some(TableId(position as u32))
    }

    /// Returns a table's tenant column in the target; the root's key for the root.
    pub fn target_tenant_column(&self, source: TableId) -> Option<ColumnId> {
        self.rewritten.tenant_columns[self.target_table(source)?.index()]
    }

    /// Returns the foreign key of the target that one of the source became.
    pub fn target_foreign_key(&self, source: ForeignKeyId) -> Option<ForeignKeyId> {
        let position = self.rewritten.source_foreign_keys.iter().position(|&from| from == Some(source))?;
        Some(ForeignKeyId(position as u32))
    }

    /// Lists a table's UNIQUE constraints and unique indexes, by what decisions call them.
    pub fn unique_objects(&self, table: TableId) -> Vec<(String, UniqueObject)> {
        let described = self.source.table(table);
        let keys = described.unique_keys.iter().map(|&id| {
            let columns: Vec<&str> = self.source.column_names(&self.source.key(id).columns).collect();
            (columns.join(", "), UniqueObject::Key(id))
        });
        let indexes = described.indexes.iter().filter(|&&id| self.source.index(id).unique).map(|&id| {
            let index = self.source.index(id);
            let name = match index.plain_columns().filter(|columns| !columns.is_empty()) {
                Some(columns) => self.source.column_names(&columns).collect::<Vec<_>>().join(", "),
                None => index.name.clone(),
            };
            (name, UniqueObject::Index(id))
        });
        keys.chain(indexes).collect()
    }

    /// Returns the index of the target that one of the source became; `None` where it is left out.
    pub fn target_index(&self, source: IndexId) -> Option<IndexId> {
        let described = self.source.index(source);
        let table = self.target_table(described.table)?;
        let indexes = &self.rewritten.target.table(table).indexes;
        let name = self.tenancy.target.names.apply(&described.name);
        let found = |wanted: &dyn Fn(&Index) -> bool| {
            indexes.iter().copied().find(|&id| wanted(self.rewritten.target.index(id)))
        };
        // A name that was cut or was taken is another one, and the place in the DDL the same.
        found(&|index| index.name == name)
            .or_else(|| found(&|index| described.span.is_some() && index.span == described.span))
    }

    /// Returns the columns of the target that a key of the source is made of there; `None` where it is left out.
    pub fn key_after(&self, table: TableId, decided: &KeyTenancy, own: &[ColumnId]) -> Option<Vec<ColumnId>> {
        let target = self.target_table(table)?;
        let own = || own.iter().map(|&column| self.column_after(target, column)).collect::<Option<Vec<_>>>();
        let mut wanted = match decided {
            KeyTenancy::Omit => return None,
            KeyTenancy::Global => return own(),
            KeyTenancy::Columns(parts) => return parts.iter().map(|part| self.part_after(target, *part)).collect(),
            KeyTenancy::PerTenant => own()?,
        };
        match self.rewritten.tenant_columns[target.index()] {
            Some(tenant) if !wanted.contains(&tenant) => wanted.push(tenant),
            _ => return Some(wanted),
        }
        // Where the tenant stands among them is the target's to say.
        let sorted = |columns: &[ColumnId]| {
            let mut columns = columns.to_vec();
            columns.sort_unstable();
            columns
        };
        let sets = self.rewritten.target.unique_column_sets(target);
        let there = sets.into_iter().find(|set| sorted(set) == sorted(&wanted));
        Some(there.unwrap_or(wanted))
    }

    fn column_after(&self, table: TableId, source: ColumnId) -> Option<ColumnId> {
        let target = &self.rewritten.target;
        let holds = |column: &ColumnId| match self.rewritten.values[column.index()] {
            ColumnValue::Source(from) | ColumnValue::TenantId(from) | ColumnValue::Generated(from) => from == source,
            // A column that is filled in where it is NULL keeps its name.
            ColumnValue::Tenant => {
                target.column(*column).name == self.tenancy.target.names.apply(&self.source.column(source).name)
            }
            ColumnValue::ReferenceTenant(_) => false,
        };
        target.table(table).columns.iter().copied().find(holds)
    }

    fn part_after(&self, table: TableId, part: KeyPart) -> Option<ColumnId> {
        match part {
            KeyPart::Column(column) => self.column_after(table, column),
            KeyPart::Tenant => self.rewritten.tenant_columns[table.index()],
            KeyPart::ReferenceTenant(id) => {
                let columns = &self.rewritten.target.table(table).columns;
                let is_its =
                    |column: &ColumnId| self.rewritten.values[column.index()] == ColumnValue::ReferenceTenant(id);
                columns.iter().copied().find(is_its)
            }
        }
    }

    /// Writes the parts of an index of the source, each with its order.
    pub fn index_parts_before(&self, source: IndexId) -> Vec<String> {
        let parts = &self.source.index(source).parts;
        let text = |expr: &Expr| match expr {
            Expr::Column(column) => self.source.column(*column).name.clone(),
            other => sqlite_text(&self.source, other).unwrap_or_else(|| "…".to_owned()),
        };
        parts.iter().map(|part| format!("{}{}", text(&part.expr), if part.descending { " DESC" } else { "" })).collect()
    }
}

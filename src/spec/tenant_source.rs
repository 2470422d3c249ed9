//! How the tenant of a row is found, by the schema's ids.

use super::source_entry::Several;
use super::tenancy::Placement;
use crate::schema::{ColumnId, ForeignKeyId, SourceSchema, TableId};

/// How the tenant of a row is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TenantSource {
    /// A column of the row.
    Column(ColumnId),
    /// The row that a foreign key refers to; its own table's, too, within [`TenantSource::First`].
    Via(ForeignKeyId),
    /// The rows that refer to it by these foreign keys of other tables.
    UsedBy {
        /// The foreign keys.
        references: Vec<ForeignKeyId>,
        /// What becomes of a row that several tenants use.
        several: Several,
    },
    /// The row of the table that a column names.
    By {
        /// The column that names the table.
        column: ColumnId,
        /// The column with the key of that table's row.
        key: ColumnId,
        /// The table for each text that the first column can hold.
        cases: Vec<(String, TableId)>,
    },
    /// The first of these that finds a tenant; none of them is a `First` itself.
    First(Vec<TenantSource>),
    /// The tenant that the run is given.
    PerRun,
    /// All tenants: each has a copy of the row.
    Every,
    /// The tenant with this id in the source's spelling.
    Constant(String),
    /// What this expression in SQLite's dialect gives for the row.
    Sql(String),
}

impl TenantSource {
    /// Returns the sources that are tried one after the other; itself, where it is not [`TenantSource::First`].
    pub fn alternatives(&self) -> &[TenantSource] {
        match self {
            Self::First(list) => list,
            other => std::slice::from_ref(other),
        }
    }

    /// Returns the tables whose rows' tenants have to be known first, without `table`, the source's own.
    pub fn depends_on(&self, schema: &SourceSchema, table: TableId) -> Vec<TableId> {
        let mut tables = Vec::new();
        for source in self.alternatives() {
            match source {
                Self::Via(id) => tables.push(schema.foreign_key(*id).referenced_table),
                Self::UsedBy { references, .. } => {
                    tables.extend(references.iter().map(|&id| schema.foreign_key(id).table));
                }
                Self::By { cases, .. } => tables.extend(cases.iter().map(|(_, case)| *case)),
                _ => {}
            }
        }
        tables.retain(|&other| other != table);
        tables
    }

    /// Returns the foreign key of the table itself that the source goes through: the rows are trees.
    pub fn tree(&self, schema: &SourceSchema) -> Option<ForeignKeyId> {
        self.alternatives().iter().find_map(|source| match source {
            Self::Via(id) if schema.foreign_key(*id).is_self_reference() => Some(*id),
            _ => None,
        })
    }
}

/// Says of each table whether a row of it can belong to more than one tenant, and so has a copy in each.
///
/// `every` and `several: copy` make copies, and what gets its tenant from such a row is copied with it.
pub fn copied_tables(schema: &SourceSchema, placements: &[&Placement]) -> Vec<bool> {
    let mut copied = vec![false; placements.len()];
    loop {
        let mut changed = false;
        for table in schema.table_ids() {
            let Placement::Tenant(source) = placements[table.index()] else { continue };
            let is = source.alternatives().iter().any(|source| match source {
                TenantSource::Every | TenantSource::UsedBy { several: Several::Copy, .. } => true,
                TenantSource::Via(id) => copied[schema.foreign_key(*id).referenced_table.index()],
                TenantSource::By { cases, .. } => cases.iter().any(|(_, case)| copied[case.index()]),
                _ => false,
            });
            changed |= is && !copied[table.index()];
            copied[table.index()] |= is;
        }
        if !changed {
            return copied;
        }
    }
}

/// Returns the column that a source reads the tenant from, where the target's tenant column is that column.
pub(super) fn held_tenant_column(schema: &SourceSchema, source: &TenantSource, name: &str) -> Option<ColumnId> {
    match source {
        TenantSource::Column(column) => Some(*column),
        TenantSource::First(list) => list.iter().find_map(|source| match source {
            TenantSource::Column(column) if schema.column(*column).name.eq_ignore_ascii_case(name) => Some(*column),
            _ => None,
        }),
        _ => None,
    }
}

//! The target schema while the rules work on it.

use super::{ColumnValue, Guard, Hazard, LookupFunction, Rewritten, View};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::schema::{Column, ColumnId, ForeignKey, ForeignKeyId, PgType, SourceSchema, TableId, TargetSchema};
use crate::spec::{Decision, KeyPart, KeyTenancy, Placement, Position, TableTenancy, Tenancy};
use std::collections::{BTreeMap, BTreeSet};

/// Holds what the rules have made so far. Ids of the source and of the target never mix: see [`Draft::table_of`].
pub(super) struct Draft<'a> {
    pub source: &'a SourceSchema,
    pub tenancy: &'a Tenancy,
    pub target: TargetSchema,
    pub errors: Diagnostics,
    pub decisions: Vec<Decision>,
    pub hazards: Vec<Hazard>,
    pub guarded: Vec<Guard>,
    pub lookups: Vec<LookupFunction>,
    pub views: Vec<View>,
    pub sequences: BTreeMap<ColumnId, String>,
    tables: BTreeMap<TableId, TableId>,
    columns: BTreeMap<ColumnId, ColumnId>,
    source_tables: Vec<TableId>,
    tenant_columns: Vec<Option<ColumnId>>,
    values: Vec<ColumnValue>,
    source_foreign_keys: Vec<Option<ForeignKeyId>>,
    reference_columns: BTreeMap<ForeignKeyId, ColumnId>,
}

impl<'a> Draft<'a> {
    pub fn new(source: &'a SourceSchema, tenancy: &'a Tenancy) -> Self {
        Self {
            source,
            tenancy,
            target: TargetSchema::default(),
            errors: Diagnostics::default(),
            decisions: Vec::new(),
            hazards: Vec::new(),
            guarded: Vec::new(),
            lookups: Vec::new(),
            views: Vec::new(),
            sequences: BTreeMap::new(),
            tables: BTreeMap::new(),
            columns: BTreeMap::new(),
            source_tables: Vec::new(),
            tenant_columns: Vec::new(),
            values: Vec::new(),
            source_foreign_keys: Vec::new(),
            reference_columns: BTreeMap::new(),
        }
    }

    pub fn finish(mut self) -> Result<Rewritten, Diagnostics> {
        let order = &self.source_tables;
        self.hazards.sort_by_key(|hazard| order.iter().position(|&table| table == hazard.table));
        self.errors.into_result(Rewritten {
            target: self.target,
            source_tables: self.source_tables,
            tenant_columns: self.tenant_columns,
            values: self.values,
            source_foreign_keys: self.source_foreign_keys,
            guarded: self.guarded,
            lookups: self.lookups,
            views: self.views,
            sequences: self.sequences,
            decisions: self.decisions,
            hazards: self.hazards,
        })
    }

    /// Lists the source tables that are migrated, each with its target and its decisions.
    ///
    /// The order is the target's, so that nothing a rule makes depends on the order of the source text.
    pub fn migrated(&self) -> Vec<(TableId, TableId, &'a TableTenancy)> {
        let targets = (0..self.source_tables.len() as u32).map(TableId);
        self.source_tables
            .iter()
            .zip(targets)
            .map(|(&source, target)| (source, target, self.tenancy.table(source)))
            .collect()
    }

    /// Returns the target of a source table; `None` where it is omitted.
    pub fn table_of(&self, source: TableId) -> Option<TableId> {
        self.tables.get(&source).copied()
    }

    /// Returns the target of a source column; `None` where it is omitted.
    pub fn column_of(&self, source: ColumnId) -> Option<ColumnId> {
        self.columns.get(&source).copied()
    }

    /// Returns the targets of some source columns; `None` where one is omitted.
    pub fn columns_of(&self, source: &[ColumnId]) -> Option<Vec<ColumnId>> {
        source.iter().map(|&column| self.column_of(column)).collect()
    }

    /// Returns a target table's tenant column; the root's key for the root.
    pub fn tenant_column(&self, target: TableId) -> Option<ColumnId> {
        self.tenant_columns[target.index()]
    }

    /// Returns the tenant column that a foreign key of the source got for itself.
    pub fn reference_column(&self, foreign_key: ForeignKeyId) -> Option<ColumnId> {
        self.reference_columns.get(&foreign_key).copied()
    }

    /// Says whether a target column is the tenant column of a reference.
    pub fn is_reference_column(&self, column: ColumnId) -> bool {
        self.reference_columns.values().any(|&other| other == column)
    }

    pub fn is_tenant(&self, source: TableId) -> bool {
        matches!(self.tenancy.table(source).placement, Placement::Tenant(_))
    }

    pub fn add_table(&mut self, source: TableId) -> TableId {
        let described = self.source.table(source);
        let target = self.target.add_table(self.name(&described.name), described.span.clone());
        self.tables.insert(source, target);
        self.source_tables.push(source);
        self.tenant_columns.push(None);
        target
    }

    pub fn set_tenant_column(&mut self, target: TableId, column: ColumnId) {
        self.tenant_columns[target.index()] = Some(column);
    }

    /// Adds a column filled from the source's `from`.
    pub fn carry_column(&mut self, from: ColumnId, column: Column<PgType>) {
        let value = if column.generated.is_some() { ColumnValue::Generated(from) } else { ColumnValue::Source(from) };
        let id = self.target.add_column(column);
        self.columns.insert(from, id);
        self.values.push(value);
    }

    /// Returns what a target column is filled with.
    pub fn value_of(&self, target: ColumnId) -> ColumnValue {
        self.values[target.index()]
    }

    /// Fills a target column from something else than the source's column of its name.
    pub fn fill_with(&mut self, target: ColumnId, value: ColumnValue) {
        self.values[target.index()] = value;
    }

    /// Adds a column of the tenant's type in front of `before`, or at the end of the table.
    pub fn insert_tenant_column(
        &mut self,
        table: TableId,
        name: &str,
        data_type: PgType,
        not_null: bool,
        value: ColumnValue,
        before: Option<ColumnId>,
    ) -> ColumnId {
        let id = self.target.add_column(Column {
            table,
            name: name.to_owned(),
            data_type,
            not_null,
            default: None,
            generated: None,
            identity: false,
            collation: None,
            span: None,
        });
        self.values.push(value);
        if let ColumnValue::ReferenceTenant(foreign_key) = value {
            self.reference_columns.insert(foreign_key, id);
        }
        let columns = &mut self.target.tables[table.index()].columns;
        if let Some(position) = before.and_then(|before| columns.iter().position(|&column| column == before)) {
            columns.pop();
            columns.insert(position, id);
        }
        id
    }

    /// Returns the source's foreign key that one of the target comes from; `None` for those that the tool adds.
    pub fn source_of_foreign_key(&self, target: ForeignKeyId) -> Option<ForeignKeyId> {
        self.source_foreign_keys[target.index()]
    }

    pub fn add_foreign_key(&mut self, foreign_key: ForeignKey, from: Option<ForeignKeyId>) {
        self.target.add_foreign_key(foreign_key);
        self.source_foreign_keys.push(from);
    }

    /// Puts the tenant column into a key's column list, unless it is there already.
    pub fn with_tenant(&self, tenant: ColumnId, columns: &[ColumnId]) -> Vec<ColumnId> {
        if columns.contains(&tenant) {
            return columns.to_vec();
        }
        match self.tenancy.tenant.in_keys {
            Position::First => std::iter::once(tenant).chain(columns.iter().copied()).collect(),
            Position::Last => columns.iter().copied().chain([tenant]).collect(),
        }
    }

    /// Writes a name of the source as the target is to have it.
    pub fn name(&self, name: &str) -> String {
        self.tenancy.target.names.apply(name)
    }

    /// Returns the column that a list of the spec names.
    pub fn part(&self, target: TableId, part: KeyPart) -> Option<ColumnId> {
        match part {
            KeyPart::Column(column) => self.column_of(column),
            KeyPart::Tenant => self.tenant_column(target),
            KeyPart::ReferenceTenant(foreign_key) => self.reference_column(foreign_key),
        }
    }

    /// Returns the columns of a key whose own columns are `own`, in the source; `None` where it is left out.
    pub fn key_columns(&self, target: TableId, tenancy: &KeyTenancy, own: &[ColumnId]) -> Option<Vec<ColumnId>> {
        match tenancy {
            KeyTenancy::Omit => None,
            KeyTenancy::Columns(parts) => parts.iter().map(|&part| self.part(target, part)).collect(),
            KeyTenancy::Global => self.columns_of(own).map(each_once),
            KeyTenancy::PerTenant => {
                let columns = self.columns_of(own).map(each_once)?;
                Some(match self.tenant_column(target) {
                    Some(tenant) => self.with_tenant(tenant, &columns),
                    None => columns,
                })
            }
        }
    }

    pub fn error(&mut self, diagnostic: Diagnostic) {
        self.errors.push(diagnostic);
    }

    /// Writes some columns as a key of the spec.
    pub fn source_key_text(&self, columns: &[ColumnId]) -> String {
        let text = self.source_columns_text(columns);
        if columns.len() > 1 { format!("\"{text}\"") } else { text }
    }

    pub fn source_columns_text(&self, columns: &[ColumnId]) -> String {
        self.source.column_names(columns).collect::<Vec<_>>().join(", ")
    }
}

/// SQLite lets a key name a column again, which says nothing more; PostgreSQL does not.
fn each_once(columns: Vec<ColumnId>) -> Vec<ColumnId> {
    let mut seen = BTreeSet::new();
    columns.into_iter().filter(|&column| seen.insert(column)).collect()
}

//! The meaning of a spec over a schema: one decision for every table, key, foreign key, index and column.

use super::conversion::Conversion;
use super::file::{Names, Position, Profile};
use super::file_objects::CollationEntry;
use super::isolation::{ExtraFile, Isolation, TriggerTenancy, ViewTenancy};
use super::rows::RowPolicies;
use super::source_entry::RootForeignKey;
use super::tenant_ids::TenantIds;
use super::tenant_source::{TenantSource, copied_tables, held_tenant_column};
use crate::diagnostic::Span;
use crate::schema::{
    Action, CheckId, ColumnId, ForeignKey, ForeignKeyId, IndexId, IndexMethod, KeyId, PgType, SourceSchema, TableId,
};
use std::collections::BTreeMap;

/// Holds all decisions, with the source schema's ids.
#[derive(Debug, Clone)]
pub struct Tenancy {
    /// The tenant column; where no table has a tenant, nothing reads it.
    pub tenant: TenantColumn,
    /// The tenant root, where there is one.
    pub root: Option<TenantRoot>,
    /// The PostgreSQL schema that the tables are created in.
    pub target_schema: String,
    /// What the DDL is made for.
    pub target: Target,
    /// Foreign keys that the spec adds to the source's, numbered after them.
    pub undeclared: Vec<ForeignKey>,
    /// The types that the spec gives to columns by their declared type.
    pub declared_types: BTreeMap<ColumnId, PgType>,
    /// The decisions about each table, by its id.
    pub tables: Vec<TableTenancy>,
    /// Who may see and change which rows.
    pub isolation: Isolation,
    /// The decisions about each view.
    pub views: Vec<ViewTenancy>,
    /// The decisions about each trigger.
    pub triggers: Vec<TriggerTenancy>,
    /// Statements that the spec adds as they stand; whoever reads the spec's files puts them here.
    pub extra: Vec<ExtraFile>,
    /// Every choice with its origin, in the order of the schema.
    pub decisions: Vec<Decision>,
}

impl Tenancy {
    /// Returns the decisions about a table.
    pub fn table(&self, table: TableId) -> &TableTenancy {
        &self.tables[table.index()]
    }

    /// Returns the column of the source that a tenant table has its tenant in, or that the tenant is filled into.
    ///
    /// The latter is a column of the tenant column's name among several sources.
    pub fn tenant_column(&self, source: &SourceSchema, table: TableId) -> Option<ColumnId> {
        let Placement::Tenant(found) = &self.table(table).placement else { return None };
        held_tenant_column(source, found, &self.tenant.name)
    }

    /// Says which tables can have a row in more than one tenant.
    pub fn copied_tables(&self, source: &SourceSchema) -> Vec<bool> {
        let placements: Vec<&Placement> = self.tables.iter().map(|table| &table.placement).collect();
        copied_tables(source, &placements)
    }

    /// Says whether a table is the root that the source does not have.
    pub fn is_created(&self, table: TableId) -> bool {
        self.root.as_ref().is_some_and(|root| root.table == table && root.created.is_some())
    }

    /// Says whether any row belongs to a tenant.
    pub fn has_tenants(&self) -> bool {
        self.tables.iter().any(|table| matches!(table.placement, Placement::Root | Placement::Tenant(_)))
    }

    /// Says whether a table is migrated at all.
    pub fn is_migrated(&self, table: TableId) -> bool {
        self.table(table).placement != Placement::Omit
    }
}

/// What the DDL is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Target {
    /// What kind of server.
    pub profile: Profile,
    /// The oldest PostgreSQL that it has to work on; `None` where the spec does not say.
    pub version: Option<u32>,
    /// How names are written.
    pub names: Names,
}

/// Describes the tenant column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantColumn {
    /// Its name in the tables that the tool adds it to.
    pub name: String,
    /// Its type, the same everywhere; `None` for the root key's.
    pub data_type: Option<PgType>,
    /// Its DEFAULT; `None` for none.
    pub default: Option<TenantDefault>,
    /// Where it stands in keys.
    pub in_keys: Position,
    /// Where it stands in a table that it is added to.
    pub in_table: Position,
    /// How the source's ids of tenants become the target's.
    pub ids: TenantIds,
    /// The tenant of `per_run` tables, in the source's spelling; `None` until a run names it.
    pub per_run: Option<String>,
}

impl TenantColumn {
    /// Stands for the tenant column of a spec that has none.
    pub(super) fn none() -> Self {
        Self {
            name: String::new(),
            data_type: None,
            default: None,
            in_keys: Position::First,
            in_table: Position::First,
            ids: TenantIds::Keep,
            per_run: None,
        }
    }
}

/// What the tenant column is filled with where an INSERT does not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TenantDefault {
    /// The session's tenant.
    Setting,
    /// An expression in PostgreSQL's dialect.
    Expression(String),
}

/// Describes the tenant root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantRoot {
    /// The table with one row a tenant.
    pub table: TableId,
    /// The column whose value is the tenant's id.
    pub key: ColumnId,
    /// What the foreign keys to it do that the tool adds.
    pub foreign_key: RootForeignKey,
    /// The columns and rows of a root that the source does not have.
    pub created: Option<CreatedRoot>,
}

/// Describes a root that the source does not have: the target's gets a row for each tenant found, and for each named here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedRoot {
    /// Its name.
    pub name: String,
    /// Its columns with their types, the key among them; the key's is `None` where only `tenant.type` says it.
    pub columns: Vec<(String, Option<PgType>)>,
    /// The rows that the spec names: the tenant's id in the source's spelling, and the values of other columns.
    pub rows: Vec<(String, Vec<(ColumnId, String)>)>,
}

/// The decisions about one table. An object that a map lacks has an error reported for it.
#[derive(Debug, Clone, PartialEq)]
pub struct TableTenancy {
    /// Whose its rows are.
    pub placement: Placement,
    /// What its primary key is made of.
    pub primary_key: KeyTenancy,
    /// Its UNIQUE constraints.
    pub unique: BTreeMap<KeyId, KeyTenancy>,
    /// Its indexes.
    pub indexes: BTreeMap<IndexId, KeyTenancy>,
    /// Indexes that the source does not have.
    pub new_indexes: Vec<NewIndex>,
    /// Its foreign keys.
    pub foreign_keys: BTreeMap<ForeignKeyId, ForeignKeyTenancy>,
    /// The actions of its foreign keys that are not to be the source's.
    pub actions: BTreeMap<ForeignKeyId, Actions>,
    /// Its columns that are changed.
    pub columns: BTreeMap<ColumnId, ColumnTenancy>,
    /// Its CHECK constraints.
    pub checks: BTreeMap<CheckId, CheckTenancy>,
    /// Whether row-level security guards its rows.
    pub rls: bool,
    /// What becomes of rows that do not go through, or are not to.
    pub rows: RowPolicies,
}

/// What a key or an index is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyTenancy {
    /// The tenant column and its own columns.
    PerTenant,
    /// Its own columns.
    Global,
    /// These columns, in this order.
    Columns(Vec<KeyPart>),
    /// Nothing: it is left out.
    Omit,
}

/// A column of the target, by what the source or the tenancy knows it as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyPart {
    /// A column of the source.
    Column(ColumnId),
    /// The tenant column that the tool adds.
    Tenant,
    /// The tenant column that a foreign key gets for itself.
    ReferenceTenant(ForeignKeyId),
}

/// How a new index orders a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Order {
    /// DESC.
    pub descending: bool,
    /// NULLs at the other end than PostgreSQL puts them by itself: last where the order descends, else first.
    pub nulls_moved: bool,
}

/// Describes an index that the source does not have.
#[derive(Debug, Clone, PartialEq)]
pub struct NewIndex {
    /// Its name.
    pub name: String,
    /// Its columns in order.
    pub parts: Vec<(KeyPart, Order)>,
    /// Its condition, in PostgreSQL's dialect.
    pub predicate: Option<String>,
    /// Whether it refuses equal rows.
    pub unique: bool,
    /// Its access method.
    pub method: IndexMethod,
    /// Columns that it carries without ordering by them.
    pub include: Vec<KeyPart>,
    /// Where the spec asks for it.
    pub span: Span,
}

/// The actions of a foreign key; `None` keeps the source's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Actions {
    /// ON DELETE.
    pub on_delete: Option<Action>,
    /// ON UPDATE.
    pub on_update: Option<Action>,
}

/// What becomes of a CHECK constraint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckTenancy {
    /// The name that the target gives it.
    pub name: String,
    /// What it says.
    pub says: CheckSays,
}

/// What a CHECK constraint says in the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckSays {
    /// The source's condition.
    Same,
    /// This, in PostgreSQL's dialect.
    Sql(String),
    /// Nothing: it is left out.
    Omit,
}

/// Whose the rows of a table are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placement {
    /// Each row is a tenant.
    Root,
    /// Each row belongs to a tenant.
    Tenant(TenantSource),
    /// One copy for all tenants.
    Shared,
    /// Outside tenancy, on one node of a cluster.
    Local,
    /// Not migrated.
    Omit,
}

/// What becomes of a foreign key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForeignKeyTenancy {
    /// It shares the row's own tenant column.
    PerTenant,
    /// It stays as it is.
    Global,
    /// It gets a tenant column of its own, with this name, which equals the row's.
    OwnColumn(String),
    /// It gets a tenant column of its own, with this name, which may name another tenant than the row's.
    CrossTenant(String),
    /// From the tenant root to a table of its tenant's rows: the root's key is the tenant.
    FromRoot,
    /// It is left out.
    Omit,
}

/// What becomes of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnTenancy {
    /// It is left out.
    Omit,
    /// It is kept, with these changes.
    Keep(ColumnChange),
}

/// How a column differs from the source's.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ColumnChange {
    /// Its type, and where the spec says so.
    pub data_type: Option<(PgType, Span)>,
    /// Its name.
    pub name: Option<String>,
    /// Its DEFAULT, in PostgreSQL's dialect.
    pub default: Option<String>,
    /// What it is computed from, in PostgreSQL's dialect.
    pub generated: Option<String>,
    /// What becomes of its collation, and where the spec says so.
    pub collation: Option<(CollationEntry, Span)>,
    /// How its values are read, and where the spec says so.
    pub conversion: Option<(Box<Conversion>, Span)>,
}

impl TableTenancy {
    /// Returns the changes to a column that is kept; `None` where there are none.
    pub fn change(&self, column: ColumnId) -> Option<&ColumnChange> {
        match self.columns.get(&column) {
            Some(ColumnTenancy::Keep(change)) => Some(change),
            _ => None,
        }
    }

    /// Returns how a column's values are read, where the spec says so.
    pub fn conversion(&self, column: ColumnId) -> Option<&Conversion> {
        self.change(column)?.conversion.as_ref().map(|(conversion, _)| &**conversion)
    }

    /// Says whether a column is left out.
    pub fn omits(&self, column: ColumnId) -> bool {
        self.columns.get(&column) == Some(&ColumnTenancy::Omit)
    }
}

/// Stands among the alternatives for leaving the spec's line out, where that is a choice of its own.
pub const UNSAID: &str = "unsaid";

/// Records one choice: what was chosen, why, and over what.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The table concerned.
    pub table: TableId,
    /// What of the table.
    pub about: About,
    /// What was chosen, in the spec's own words.
    pub choice: String,
    /// Who chose.
    pub origin: Origin,
    /// What could have been chosen instead, in the spec's own words.
    pub alternatives: Vec<String>,
}

/// What of a table a decision is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum About {
    /// The table itself.
    Placement,
    /// What it is called in the target.
    Name,
    /// Where the tenant of a row comes from.
    Tenant,
    /// The primary key.
    PrimaryKey,
    /// A unique key or unique index, by name or columns.
    Unique(String),
    /// A foreign key, by its columns; those of the source by their id as well, since two may have the same columns.
    ForeignKey(String, Option<ForeignKeyId>),
    /// An index, by name.
    Index(String),
    /// A column, by name.
    Column(String),
    /// Whether row-level security guards it.
    Rls,
    /// A CHECK constraint, by the name that the target gives it.
    Check(String),
    /// What becomes of its rows.
    Rows,
}

/// Who made a choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The spec, here.
    Spec(Span),
    /// The tool, for this reason.
    Inferred(String),
}

//! Source schema × tenancy → target schema and row mapping: one rule a file.

mod checks;
mod citus;
mod collations;
mod column_types;
mod conversions;
mod declared_types;
mod draft;
mod expressions;
mod foreign_key_actions;
mod foreign_keys;
mod hazards;
mod identity;
mod indexes;
mod isolation;
mod key_width;
mod left_behind;
mod names;
mod primary_keys;
mod reference_columns;
mod referenced_keys;
mod root_reference;
mod tables;
mod tenant_column;
mod unique_keys;
mod views;

pub use declared_types::postgres_type;
pub use isolation::{Guard, LookupFunction};
pub use views::View;

use crate::diagnostic::{Diagnostics, Span};
use crate::schema::{ColumnId, ForeignKeyId, SourceSchema, TableId, TargetSchema};
use crate::spec::{Decision, Tenancy};
pub use collations::ICU_COLLATION;
use draft::Draft;
use std::collections::BTreeMap;

/// The target schema, and where each of its parts comes from.
#[derive(Debug, Clone)]
pub struct Rewritten {
    /// What PostgreSQL is to have.
    pub target: TargetSchema,
    /// The source table of each target table, by the target's id.
    pub source_tables: Vec<TableId>,
    /// The tenant column of each target table that has one, by the target's id; the root's key for the root.
    pub tenant_columns: Vec<Option<ColumnId>>,
    /// What each target column is filled with, by the target's id.
    pub values: Vec<ColumnValue>,
    /// The source foreign key of each target one, by the target's id; `None` for those to the root that the tool adds.
    pub source_foreign_keys: Vec<Option<ForeignKeyId>>,
    /// The tables that row-level security guards, by the target's ids.
    pub guarded: Vec<Guard>,
    /// The functions that find a tenant before it is known.
    pub lookups: Vec<LookupFunction>,
    /// The views, those that others name first.
    pub views: Vec<View>,
    /// The names of identity sequences, where another object has the one that PostgreSQL would give them.
    pub sequences: BTreeMap<ColumnId, String>,
    /// Choices that were made on the way, beside those of the tenancy.
    pub decisions: Vec<Decision>,
    /// Choices that can hurt.
    pub hazards: Vec<Hazard>,
}

/// What a target column is filled with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnValue {
    /// A column of the source row.
    Source(ColumnId),
    /// A column of the source row that holds a tenant's id, which gets a new one.
    TenantId(ColumnId),
    /// The tenant of the row.
    Tenant,
    /// The tenant of the row that a foreign key of the source refers to.
    ReferenceTenant(ForeignKeyId),
    /// Nothing: PostgreSQL computes it, in place of this column of the source.
    Generated(ColumnId),
}

/// Every code that a [`Hazard`] can have, sorted; `docs/hazards.md` explains each.
pub const HAZARD_CODES: &[&str] = &[
    "cascade-moves-tenant",
    "collation-dropped",
    "collation-in-keys-only",
    "collation-merges-more",
    "collation-reference",
    "constraint-omitted",
    "cross-tenant-reference",
    "generated-over-values",
    "insert-needs-tenant",
    "lookup-by-id-alone",
    "lossy-type",
    "no-primary-key",
    "on-conflict-dropped",
    "on-conflict-target",
    "primary-key-weakened",
    "redundant-index",
    "rls-hides-global-lookup",
    "set-default-needs-row",
    "set-null-column-list",
    "set-null-in-key",
    "table-without-rls",
    "tenant-deletion-refused",
    "unindexed-foreign-key",
    "unique-strengthened",
    "unique-weakened",
];

/// Records a decision that can hurt.
#[derive(Debug, Clone, PartialEq)]
pub struct Hazard {
    /// Stable kebab-case code, one of [`HAZARD_CODES`].
    pub code: &'static str,
    /// The source table concerned.
    pub table: TableId,
    /// What can happen, as a fragment.
    pub message: String,
    /// What to do about it, as a fragment.
    pub help: String,
    /// The place in the DDL, where there is one.
    pub span: Option<Span>,
}

/// Rewrites a schema by its tenancy.
///
/// The order matters: tables and columns before what is made of them, the tenant column before the keys that hold it,
/// keys before the foreign keys that need them, and names last, when all that shares a namespace is known.
///
/// # Errors
/// All at once: types that cannot be joined, expressions without a translation, foreign keys without a key to refer to.
pub fn rewrite(source: &SourceSchema, tenancy: &Tenancy) -> Result<Rewritten, Diagnostics> {
    let mut draft = Draft::new(source, tenancy);
    let types = column_types::assign(&mut draft);
    tables::carry_over(&mut draft, &types);
    tenant_column::add(&mut draft, &types);
    reference_columns::add(&mut draft);
    identity::mark(&mut draft);
    primary_keys::rewrite(&mut draft);
    unique_keys::rewrite(&mut draft);
    foreign_keys::rewrite(&mut draft);
    root_reference::add(&mut draft);
    checks::rewrite(&mut draft);
    indexes::rewrite(&mut draft);
    views::carry_over(&mut draft);
    citus::check(&mut draft);
    conversions::check(&mut draft);
    key_width::check(&mut draft);
    names::assign(&mut draft);
    isolation::guard(&mut draft);
    collations::note(&mut draft);
    left_behind::note(&mut draft);
    hazards::note(&mut draft);
    draft.finish()
}

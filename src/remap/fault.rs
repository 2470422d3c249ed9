//! What can be wrong with a row.

use crate::schema::{ColumnId, ForeignKeyId};

/// Describes one thing wrong with one row, in the source's ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong.
    pub kind: FaultKind,
    /// Why, as a fragment that shows no value.
    pub reason: String,
}

/// Tells the kinds of fault apart; each row has a fault of each place once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FaultKind {
    /// A foreign key refers to no row.
    Orphan(ForeignKeyId),
    /// The tenant is in no row of the root.
    UnknownTenant,
    /// Nothing says whose the row is.
    NoTenant,
    /// A foreign key leads to another tenant than the row's own.
    Conflict(ForeignKeyId),
    /// The column that the tenant is filled into names another one.
    ColumnConflict(ColumnId),
    /// Rows of several tenants refer to it, and it is to belong to one.
    SeveralTenants,
    /// The key of a polymorphic reference, in this column, refers to no row.
    CaseOrphan(ColumnId),
    /// A polymorphic reference with its key in this column names a table that the spec has no case for.
    NoCase(ColumnId),
    /// The tenant that this column names has no new id.
    Unmapped(ColumnId),
    /// A value does not fit its column's type.
    Unfit(ColumnId),
    /// A NULL where the target takes none.
    Null(ColumnId),
}

impl FaultKind {
    /// Returns the column whose value does not fit, where that is what is wrong.
    pub fn unfit_column(self) -> Option<ColumnId> {
        match self {
            Self::Unfit(column) => Some(column),
            _ => None,
        }
    }

    /// Returns the stable kebab-case code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Orphan(_) | Self::CaseOrphan(_) => "orphan",
            Self::UnknownTenant => "unknown-tenant",
            Self::NoTenant => "no-tenant",
            Self::NoCase(_) => "no-case",
            Self::Conflict(_) | Self::ColumnConflict(_) => "tenant-conflict",
            Self::SeveralTenants => "several-tenants",
            Self::Unmapped(_) => "unmapped-tenant",
            Self::Unfit(_) => "unfit-value",
            Self::Null(_) => "null-value",
        }
    }
}

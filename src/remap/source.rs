//! The tenant of a row, by its table's source.

use super::fault::{Fault, FaultKind};
use super::keys::{KeyMap, NoReference};
use super::owners::{Owner, Sets};
use super::tenants::{TenantOrdinal, TenantReader, Unread};
use crate::schema::{ColumnId, ForeignKeyId, Value};
use crate::spec::Several;
use std::borrow::Cow;
use std::sync::Arc;

/// Finds the tenant of a row. Positions count among the values that a pass reads.
#[derive(Debug, Clone)]
pub(super) enum TenantOf {
    /// Its table belongs to all.
    Shared,
    /// A column holds it; `root` says that the table is where tenants come from.
    Column { position: usize, column: ColumnId, root: bool },
    /// An expression gives it; these come behind all columns.
    Computed { expression: usize },
    /// It is the same for all rows; `None` where the run was to name it and did not.
    Fixed(Option<String>),
    /// All tenants have a copy.
    Every,
    /// The row that this foreign key refers to has it; `tree` says that it is of the same table.
    Parent { map: usize, positions: Vec<usize>, foreign_key: ForeignKeyId, tree: bool },
    /// The row of the table that a column names has it.
    Case { column: usize, key: [usize; 1], key_column: ColumnId, cases: Vec<(Box<[u8]>, usize)> },
    /// The rows that refer to it have it: each map holds the tenants of those that refer to one of its keys.
    Users { maps: Vec<(usize, Vec<usize>)>, several: Several },
    /// The first of these that finds it.
    First(Vec<TenantOf>),
    /// The number of a tenant, in a root that the tool fills.
    Ordinal { position: usize },
}

/// Why a source finds no tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Why {
    /// The value in this column does not fit the tenant's type.
    UnfitColumn(ColumnId, String),
    /// The value in this column has no new id.
    UnmappedColumn(ColumnId, String),
    /// The foreign key refers to no row; that is reported where all foreign keys are checked.
    Orphan(ForeignKeyId),
    /// It gets its tenant through itself by a way that never ends.
    Endless,
    /// Rows of several tenants use it.
    Several,
    /// For a reason that is among the row's faults already.
    Told,
    /// Anything else.
    Other(Cow<'static, str>),
}

impl Why {
    fn other(reason: &'static str) -> Self {
        Self::Other(Cow::Borrowed(reason))
    }

    /// Turns it into what is wrong with the row; `None` where that is reported elsewhere.
    pub fn fault(self, source: &TenantOf) -> Option<Fault> {
        let alone = !matches!(source, TenantOf::First(_));
        let (kind, reason) = match self {
            // The column is a column of the target too, and reported with the rest of the row.
            Self::UnfitColumn(..) | Self::UnmappedColumn(..) | Self::Orphan(_) if alone => return None,
            Self::Told => return None,
            Self::UnfitColumn(column, reason) => (FaultKind::Unfit(column), reason.into()),
            Self::UnmappedColumn(column, reason) => (FaultKind::Unmapped(column), reason.into()),
            Self::Orphan(_) => (FaultKind::NoTenant, "the row it gets its tenant from does not exist".into()),
            Self::Endless => {
                (FaultKind::NoTenant, "the rows that it gets its tenant through refer to each other in a circle".into())
            }
            Self::Several => (FaultKind::SeveralTenants, "rows of several tenants refer to it".into()),
            Self::Other(reason) => (FaultKind::NoTenant, reason),
        };
        Some(Fault { kind, reason: reason.into_owned() })
    }
}

/// Says that a row of an ordinary table gets its tenant from a row that has none.
const PARENT_HAS_NONE: &str = "the row it gets its tenant from has none";

/// What has been learnt of the rows so far.
#[derive(Debug, Clone)]
pub(super) struct Known<'p> {
    pub reader: TenantReader<'p>,
    pub maps: Arc<Vec<KeyMap>>,
    pub sets: Sets,
    /// How many of the tenants are rows of the root; `None` without a root, and until it has been read.
    pub roots: Option<TenantOrdinal>,
    pub scratch: Vec<u8>,
}

/// The values of a row as a pass reads them: columns, then expressions.
#[derive(Clone, Copy)]
pub(super) struct Row<'a, 'v> {
    pub values: &'a [Value<'v>],
    /// How many of them are columns.
    pub columns: usize,
}

impl Known<'_> {
    /// Finds the tenant of a row; adds to `faults` what is wrong even where a tenant is found.
    pub fn find(
        &mut self,
        source: &TenantOf,
        row: Row<'_, '_>,
        faults: &mut Option<&mut Vec<Fault>>,
    ) -> Result<Owner, Why> {
        match source {
            TenantOf::Shared => Ok(Owner::Shared),
            TenantOf::Every => Ok(Owner::Every),
            TenantOf::Column { position, column, root } => {
                let read = self.reader.stored(&row.values[*position]);
                let ordinal = read.map_err(|unread| match unread {
                    Unread::Null => Why::other("the tenant column is NULL"),
                    Unread::Unfit(reason) => Why::UnfitColumn(*column, reason),
                    Unread::Unmapped(reason) => Why::UnmappedColumn(*column, reason),
                })?;
                if !root {
                    self.check_root(ordinal, faults);
                }
                Ok(Owner::Tenant(ordinal))
            }
            TenantOf::Computed { expression } => {
                let read = self.reader.computed(&row.values[row.columns + expression]);
                self.computed(read, "its expression gives NULL", faults)
            }
            TenantOf::Fixed(None) => Err(Why::other("the run names no tenant")),
            TenantOf::Fixed(Some(text)) => {
                let read = self.reader.computed(&Value::Text(Cow::Borrowed(text.as_bytes())));
                self.computed(read, "it is empty", faults)
            }
            TenantOf::Ordinal { position } => match row.values[*position] {
                Value::Integer(ordinal) => Ok(Owner::Tenant(ordinal as TenantOrdinal)),
                _ => Err(Why::other("the id that the spec names does not fit the tenant column, or has no new id")),
            },
            TenantOf::Parent { map, positions, foreign_key, tree } => {
                match self.maps[*map].get(row.values, positions, &mut self.scratch) {
                    Ok(Some(owner @ (Owner::Tenant(_) | Owner::Set(_) | Owner::Every))) => Ok(owner),
                    Ok(Some(Owner::Endless)) if *tree => Err(Why::Endless),
                    Ok(Some(_)) => Err(Why::other(PARENT_HAS_NONE)),
                    Ok(None) => Err(Why::Orphan(*foreign_key)),
                    Err(NoReference) => Err(Why::other("the foreign key that leads to its tenant is NULL")),
                }
            }
            TenantOf::Case { column, key, key_column, cases } => {
                let Some(map) = case_of(&row.values[*column], cases) else {
                    if row.values[*column].is_null() {
                        return Err(Why::other("the column that names the table of its tenant is NULL"));
                    }
                    if let Some(faults) = faults {
                        let reason = "the column that names the table of its tenant has a value without a case";
                        faults.push(Fault { kind: FaultKind::NoCase(*key_column), reason: reason.to_owned() });
                    }
                    return Err(Why::Told);
                };
                match self.maps[map].get(row.values, key, &mut self.scratch) {
                    Ok(Some(owner @ (Owner::Tenant(_) | Owner::Set(_) | Owner::Every))) => Ok(owner),
                    Ok(Some(_)) => Err(Why::other(PARENT_HAS_NONE)),
                    Ok(None) => {
                        if let Some(faults) = faults {
                            let reason = "refers to a row that does not exist".to_owned();
                            faults.push(Fault { kind: FaultKind::CaseOrphan(*key_column), reason });
                        }
                        Err(Why::Told)
                    }
                    Err(NoReference) => Err(Why::other("the key that leads to its tenant is NULL")),
                }
            }
            TenantOf::Users { maps, several } => {
                let mut owner = Owner::Nobody;
                for (map, positions) in maps {
                    if let Ok(Some(users)) = self.maps[*map].get(row.values, positions, &mut self.scratch) {
                        owner = self.sets.union(owner, users);
                    }
                }
                match (owner, several) {
                    (Owner::Tenant(_), _) | (Owner::Set(_) | Owner::Every, Several::Copy) => Ok(owner),
                    (Owner::Set(_) | Owner::Every, Several::Fail) => Err(Why::Several),
                    _ => Err(Why::other("no row of a tenant refers to it")),
                }
            }
            TenantOf::First(sources) => {
                for source in sources {
                    match self.find(source, row, faults) {
                        Ok(owner) => return Ok(owner),
                        // Data that contradicts itself is not made good by another source.
                        Err(why @ (Why::Endless | Why::Several | Why::UnfitColumn(..) | Why::UnmappedColumn(..))) => {
                            return Err(why);
                        }
                        Err(_) => {}
                    }
                }
                Err(Why::other("none of its sources finds a tenant"))
            }
        }
    }

    fn computed(
        &mut self,
        read: Result<TenantOrdinal, Unread>,
        null: &'static str,
        faults: &mut Option<&mut Vec<Fault>>,
    ) -> Result<Owner, Why> {
        match read {
            Ok(ordinal) => {
                self.check_root(ordinal, faults);
                Ok(Owner::Tenant(ordinal))
            }
            Err(Unread::Null) => Err(Why::other(null)),
            Err(Unread::Unfit(reason)) => {
                Err(Why::Other(format!("what its source gives does not fit: {reason}").into()))
            }
            Err(Unread::Unmapped(reason)) => Err(Why::Other(reason.into())),
        }
    }

    fn check_root(&self, ordinal: TenantOrdinal, faults: &mut Option<&mut Vec<Fault>>) {
        if let (Some(faults), Some(roots)) = (faults, self.roots)
            && ordinal >= roots
        {
            let reason = "its tenant is in no row of the root".to_owned();
            faults.push(Fault { kind: FaultKind::UnknownTenant, reason });
        }
    }
}

/// Finds the key map of the case that a value names.
fn case_of(value: &Value<'_>, cases: &[(Box<[u8]>, usize)]) -> Option<usize> {
    let named = |text: &[u8]| cases.iter().find(|(case, _)| **case == *text).map(|(_, map)| *map);
    match value {
        Value::Text(text) => named(text),
        Value::Integer(number) => {
            // Most cases are words: a number is written out only where one could be it.
            let is_it = |case: &[u8]| {
                std::str::from_utf8(case).is_ok_and(|case| case.parse() == Ok(*number) && case == number.to_string())
            };
            cases.iter().find(|(case, _)| is_it(case)).map(|(_, map)| *map)
        }
        Value::Null | Value::Real(_) | Value::Blob(_) => None,
    }
}

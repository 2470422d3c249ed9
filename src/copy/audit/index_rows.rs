//! Index rows that are too long: a B-tree takes a third of a page for each.
//!
//! PostgreSQL compresses long values before it gives up, so a long row is a warning: how far it shrinks, only the server
//! can tell. Random text does not shrink at all, most words do by half.

use crate::copy::encoded::EncodedRow;
use crate::plan::Plan;
use crate::schema::{ColumnId, IndexMethod, PgType, TableId};

/// The bytes that a B-tree of version 4 has for one row on pages of 8 KiB.
const ROOM: usize = 2704;

/// The header of an index row.
const HEADER: usize = 8;

/// One index whose rows may be too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct IndexRows {
    /// The index or key.
    pub name: String,
    /// Where its columns stand in an encoded row.
    positions: Vec<usize>,
}

impl IndexRows {
    /// Says whether a row's entry is too long as it is.
    pub fn is_too_long(&self, row: &EncodedRow<'_>) -> bool {
        row.bytes.len() > ROOM - HEADER - 8 * self.positions.len()
            && HEADER
                + self
                    .positions
                    .iter()
                    .map(|&position| row.field(position).map_or(0, |field| stored(field.len())))
                    .sum::<usize>()
                > ROOM
    }
}

/// What a field takes: a header of one byte, or of four at an address that four divides.
fn stored(length: usize) -> usize {
    if length < 127 { length + 1 } else { (length + 4).next_multiple_of(4) }
}

/// Lists the indexes and keys of a table that have a column of any length.
pub(super) fn of_table(plan: &Plan, target: TableId) -> Vec<IndexRows> {
    let schema = &plan.rewritten.target;
    let table = schema.table(target);
    let written: Vec<ColumnId> = super::duplicates::written(plan, target);
    let keys = table.primary_key.iter().chain(&table.unique_keys).map(|&key| schema.key(key));
    let keys = keys.map(|key| (key.name.clone().unwrap_or_default(), key.columns.clone()));
    let indexes =
        table.indexes.iter().map(|&index| schema.index(index)).filter(|index| index.method == IndexMethod::Btree);
    let indexes = indexes.filter_map(|index| {
        let columns = index.plain_columns()?.into_iter().chain(index.include.iter().copied());
        Some((index.name.clone(), columns.collect()))
    });
    keys.chain(indexes)
        .filter(|(_, columns)| columns.iter().any(|&column| has_any_length(schema.column(column).data_type)))
        .map(|(name, columns)| IndexRows {
            name,
            positions: columns.iter().filter_map(|column| written.iter().position(|other| other == column)).collect(),
        })
        .collect()
}

fn has_any_length(data_type: PgType) -> bool {
    match data_type {
        PgType::Text | PgType::Citext | PgType::Varchar(None) | PgType::Bytea | PgType::Json | PgType::Jsonb => true,
        // A character takes up to four bytes.
        PgType::Varchar(Some(length)) | PgType::Char(length) => length > ROOM as u32 / 4 - 16,
        PgType::Numeric(limits) => limits.is_none(),
        _ => false,
    }
}

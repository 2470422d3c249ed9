//! How much room the rows will take on the server: measured on the rows' own bytes, not on the source's file.
//!
//! Every row's encoded bytes are counted; how wide each column is comes from a sample, since what a row takes on a page
//! follows from its columns. Long values that PostgreSQL would compress are counted as they are.

use super::duplicates::written;
use super::{EncodedRow, each_copy};
use crate::plan::Plan;
use crate::remap::TargetRow;
use crate::schema::{ColumnId, PgType, TableId};

/// One row in so many is looked at column by column.
const SAMPLED: u64 = 64;

/// All of the first rows are.
const FIRST: u64 = 1_000;

/// The header of a row, and its line pointer.
const ROW: u64 = 24 + 4;

/// The header of an index entry, and its line pointer.
const ENTRY: u64 = 8 + 4;

/// What an expression in an index is taken for.
const EXPRESSION: f64 = 16.0;

/// How full pages of an index are made.
const FILLED: f64 = 0.9;

/// How large a table will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableSize {
    /// The target table.
    pub table: TableId,
    /// Rows, copies included.
    pub rows: u64,
    /// Bytes of binary COPY.
    pub encoded: u64,
    /// Bytes of the table on the server, about.
    pub heap: u64,
    /// Bytes of its keys and indexes, about.
    pub indexes: u64,
}

/// Measures the rows of one table.
#[derive(Debug)]
pub(super) struct SizeWatch {
    rows: u64,
    encoded: u64,
    sampled: u64,
    /// The bytes of each written column in the sample, as fields of binary COPY.
    widths: Vec<u64>,
    fields: Vec<Option<(usize, usize)>>,
}

impl SizeWatch {
    pub fn new(plan: &Plan, target: TableId) -> Self {
        let columns = written(plan, target).len();
        Self { rows: 0, encoded: 0, sampled: 0, widths: vec![0; columns], fields: Vec::new() }
    }

    /// Looks at the copies of a row that goes through; they begin at `start`.
    pub fn see(&mut self, out: &[u8], start: usize, copies: &[TargetRow]) {
        if self.rows < FIRST || self.rows.is_multiple_of(SAMPLED) {
            let Self { fields, widths, sampled, .. } = self;
            each_copy(out, start, copies, fields, &mut |row: &EncodedRow<'_>| {
                *sampled += 1;
                for (position, width) in widths.iter_mut().enumerate() {
                    *width += row.field(position).map_or(0, <[u8]>::len) as u64;
                }
            });
        }
        self.rows += copies.len() as u64;
        self.encoded += (out.len() - start) as u64;
    }

    pub fn finish(&self, plan: &Plan, target: TableId) -> TableSize {
        let schema = &plan.rewritten.target;
        let table = schema.table(target);
        let columns = written(plan, target);
        let width = |id: ColumnId| {
            let sent = columns.iter().position(|&other| other == id);
            let sent = sent.map_or(EXPRESSION, |position| self.widths[position] as f64 / self.sampled.max(1) as f64);
            stored(schema.column(id).data_type, sent)
        };
        let together = |ids: &[ColumnId]| {
            let end = ids.iter().fold(0.0_f64, |at, &id| aligned(at, schema.column(id).data_type) + width(id));
            (end.ceil() as u64).next_multiple_of(8)
        };
        let keys = table.primary_key.iter().chain(&table.unique_keys).map(|&key| together(&schema.key(key).columns));
        let indexes = table.indexes.iter().map(|&index| schema.index(index)).map(|index| match index.plain_columns() {
            Some(columns) => together(&[&columns[..], &index.include].concat()),
            None => EXPRESSION as u64,
        });
        let entries: u64 = keys.chain(indexes).map(|bytes| ENTRY + bytes).sum();
        TableSize {
            table: target,
            rows: self.rows,
            encoded: self.encoded,
            heap: self.rows * (ROW + together(&table.columns)),
            indexes: (self.rows as f64 * entries as f64 / FILLED) as u64,
        }
    }
}

/// Says where a value may begin behind others.
fn aligned(at: f64, data_type: PgType) -> f64 {
    let to = match data_type {
        PgType::Bigint | PgType::Double | PgType::Time | PgType::Timestamp | PgType::Timestamptz => 8.0,
        PgType::Integer | PgType::Real | PgType::Date => 4.0,
        PgType::Smallint => 2.0,
        _ => 1.0,
    };
    (at / to).ceil() * to
}

/// Says what a value takes on a page, from its bytes in binary COPY.
fn stored(data_type: PgType, sent: f64) -> f64 {
    match data_type {
        PgType::Boolean
        | PgType::Smallint
        | PgType::Integer
        | PgType::Bigint
        | PgType::Real
        | PgType::Double
        | PgType::Date
        | PgType::Time
        | PgType::Timestamp
        | PgType::Timestamptz
        | PgType::Uuid => sent,
        // Sent with four numbers of two bytes before the digits, stored with one and a header.
        PgType::Numeric(_) => (sent - 5.0).max(0.0),
        PgType::Jsonb => sent * 1.2 + 4.0,
        _ if sent < 127.0 => sent + 1.0,
        _ => sent + 4.0,
    }
}

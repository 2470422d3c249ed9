//! Rows of several tables on their way into one transaction.
//!
//! A file with few rows goes into the target in one transaction, whatever the number of its tables; a large one in several,
//! which depend on its rows and the plan alone, so that one which is done can be left out when the file is read again.

use crate::failpoint::number;
use crate::schema::TableId;
use std::ops::Range;

/// How many rows a part has at most.
const ROWS: u64 = 50_000;

/// A part of wide rows ends behind the row that makes it this large: it is held in memory.
const BYTES: usize = 16 << 20;

/// Rows of one table that follow each other in a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stretch {
    pub table: TableId,
    pub rows: u64,
    /// Where their bytes stand: as binary COPY takes them, without header and trailer.
    pub bytes: Range<usize>,
}

/// The part that is being filled.
pub(super) struct Part {
    /// Its number, from 1.
    pub number: u32,
    pub rows: u64,
    pub stretches: Vec<Stretch>,
    pub bytes: Vec<u8>,
    most_rows: u64,
}

impl Part {
    pub fn first() -> Self {
        let most_rows = number("TENANTRY_CHUNK_ROWS", ROWS);
        Self { number: 1, rows: 0, stretches: Vec::new(), bytes: Vec::new(), most_rows }
    }

    /// Takes what has been appended to the bytes for so many rows of a table; says whether the part is full with it.
    pub fn took(&mut self, table: TableId, rows: usize) -> bool {
        let rows = rows as u64;
        let end = self.bytes.len();
        match self.stretches.last_mut() {
            Some(last) if last.table == table => {
                last.rows += rows;
                last.bytes.end = end;
            }
            last => {
                let start = last.map_or(0, |last| last.bytes.end);
                self.stretches.push(Stretch { table, rows, bytes: start..end });
            }
        }
        self.rows += rows;
        self.rows >= self.most_rows || end >= BYTES
    }

    /// Goes on with the next part.
    pub fn next(&mut self) {
        self.number += 1;
        self.rows = 0;
        self.stretches.clear();
        self.bytes.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_ends_with_the_row_that_fills_it_and_knows_the_rows_of_each_table() {
        let mut part = Part { most_rows: 4, ..Part::first() };
        let mut full = Vec::new();
        let mut cut = Vec::new();
        for (table, byte) in [(0, b'a'), (0, b'b'), (2, b'c'), (0, b'd'), (3, b'e')] {
            part.bytes.push(byte);
            full.push(part.took(TableId(table), 1));
            if full.last() == Some(&true) {
                cut = std::mem::take(&mut part.stretches);
                part.next();
            }
        }
        assert_eq!(full, [false, false, false, true, false]);
        let stretch = |table, rows, bytes| Stretch { table: TableId(table), rows, bytes };
        assert_eq!(cut, [stretch(0, 2, 0..2), stretch(2, 1, 2..3), stretch(0, 1, 3..4)]);
        assert_eq!((part.number, part.rows, part.stretches), (2, 1, vec![stretch(3, 1, 0..1)]));
    }
}

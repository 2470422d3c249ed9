//! The rows of one target table, remapped, clustered and cut into chunks.
//!
//! Chunks depend on the source's rows, the plan and the order of the tenants alone, and not on how the rows were put away:
//! whoever has written down that a chunk is done can leave it out when it comes again.

use super::clusters::{Clusters, SpillFile};
use super::prepared::gather_rows;
use super::ranks::Ranks;
use super::rows::SourceTable;
use crate::diagnostic::Diagnostic;
use crate::failpoint::number;
use crate::plan::Plan;
use crate::remap::Remapper;
use crate::schema::TableId;
use crate::sqlite::Database;

/// How many rows a chunk has; the last one of a table may have fewer.
const CHUNK_ROWS: u64 = 50_000;

/// A chunk of wide rows ends behind the row that makes it this large: it is held in memory.
const CHUNK_BYTES: usize = 16 << 20;

/// A table with no more rows goes in with one transaction, and comes back sooner with its keys than by chunks, since the server
/// writes it once: 20 million rows took 88 s so and 105 s with the largest table of 12 million in chunks. What has to be done
/// again after an interruption takes less than a minute.
const WHOLE_ROWS: u64 = 50_000_000;

/// Says whether a table of so many rows goes in as a whole.
pub(super) fn is_whole(rows: u64) -> bool {
    rows <= number("TENANTRY_CHUNK_ROWS", WHOLE_ROWS)
}

/// Rows that are copied in one transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chunk<'b> {
    /// Its number within the table, from 1.
    pub number: u32,
    /// How many rows it has; at least one.
    pub rows: u64,
    /// The rows as binary COPY takes them, without header and trailer.
    pub bytes: &'b [u8],
}

/// Called with each chunk.
pub(super) type EachChunk<'f> = dyn FnMut(Chunk<'_>) -> Result<(), Diagnostic> + 'f;

/// Reads and remaps the rows of a target table. `remapper` has learnt its keys; `read` is told now and then how many rows
/// have been read.
///
/// # Errors
/// `row-refused` for a row with a fault: the audit before has found none, so the copy and the audit disagree.
/// `spill-failed` where rows cannot be put away.
pub(super) fn gather(
    plan: &Plan,
    remapper: &mut Remapper<'_>,
    target: TableId,
    database: &Database,
    ranks: &Ranks,
    read: &mut dyn FnMut(u64),
) -> Result<Clusters, Diagnostic> {
    let table = SourceTable::new(plan, remapper, target)?;
    let (mut clusters, mut faults, mut count) = (Clusters::new(SpillFile::default()), Vec::new(), 0_u64);
    table.for_each::<Diagnostic>(database, &mut |values, key| {
        let rows = remapper.row(&table.pass, values, clusters.buffer(), &mut faults);
        if let Some(fault) = faults.first() {
            let name = &plan.source.table(table.pass.table).name;
            let message = format!("{name} ({}) cannot be copied: {}", table.key_text(key), fault.reason);
            return Err(Diagnostic::error("row-refused", message));
        }
        gather_rows(&mut clusters, rows, ranks)?;
        count += 1;
        if count.is_multiple_of(10_000) {
            read(count);
        }
        Ok(())
    })?;
    Ok(clusters)
}

/// Calls `f` with the chunks of gathered rows, in order: by the ranks of the tenants, and for each tenant in the order of
/// the source.
///
/// # Errors
/// `spill-failed`, and those of `f`.
pub(super) fn for_each_chunk(clusters: &mut Clusters, f: &mut EachChunk<'_>) -> Result<(), Diagnostic> {
    let mut cutter = Cutter::new(number("TENANTRY_CHUNK_ROWS", CHUNK_ROWS), CHUNK_BYTES, f);
    clusters.each(&mut |bytes, rows| cutter.take(bytes, rows))?;
    cutter.end()
}

/// Cuts a stream of rows into chunks.
struct Cutter<'c, 'f> {
    f: &'c mut EachChunk<'f>,
    most_rows: u64,
    most_bytes: usize,
    number: u32,
    rows: u64,
    bytes: Vec<u8>,
}

impl<'c, 'f> Cutter<'c, 'f> {
    fn new(most_rows: u64, most_bytes: usize, f: &'c mut EachChunk<'f>) -> Self {
        Self { f, most_rows, most_bytes, number: 1, rows: 0, bytes: Vec::new() }
    }

    /// Takes whole rows. Where a chunk ends does not depend on how many come together.
    fn take(&mut self, mut bytes: &[u8], rows: u64) -> Result<(), Diagnostic> {
        if self.rows + rows <= self.most_rows && self.bytes.len() + bytes.len() < self.most_bytes {
            return self.put(bytes, rows);
        }
        for _ in 0..rows {
            let cut = row_length(bytes).and_then(|length| bytes.split_at_checked(length));
            let Some((row, rest)) = cut else {
                return Err(Diagnostic::error("spill-failed", "rows that were put away have come back damaged"));
            };
            self.put(row, 1)?;
            bytes = rest;
        }
        Ok(())
    }

    fn put(&mut self, bytes: &[u8], rows: u64) -> Result<(), Diagnostic> {
        self.bytes.extend_from_slice(bytes);
        self.rows += rows;
        let full = self.rows >= self.most_rows || self.bytes.len() >= self.most_bytes;
        if full { self.hand_over() } else { Ok(()) }
    }

    fn hand_over(&mut self) -> Result<(), Diagnostic> {
        (self.f)(Chunk { number: self.number, rows: self.rows, bytes: &self.bytes })?;
        self.number += 1;
        self.rows = 0;
        self.bytes.clear();
        Ok(())
    }

    fn end(mut self) -> Result<(), Diagnostic> {
        if self.rows > 0 { self.hand_over() } else { Ok(()) }
    }
}

/// Finds the length of the row that begins here: a count of fields, then each with its length, -1 for NULL.
fn row_length(bytes: &[u8]) -> Option<usize> {
    let fields = i16::from_be_bytes(*bytes.first_chunk()?);
    let mut length = 2_usize;
    for _ in 0..fields {
        let field = i32::from_be_bytes(*bytes.get(length..)?.first_chunk()?);
        length = length.checked_add(4 + usize::try_from(field).unwrap_or(0))?;
    }
    Some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row with one field of so many bytes, and a NULL.
    fn row(length: usize) -> Vec<u8> {
        let mut row = [&[0, 2][..], &(length as i32).to_be_bytes()].concat();
        row.resize(row.len() + length, b'x');
        row.extend_from_slice(&(-1_i32).to_be_bytes());
        row
    }

    /// Cuts rows that come so many at a time, and returns the rows and bytes of each chunk.
    fn cut(lengths: &[usize], together: usize) -> Vec<(u64, usize)> {
        let mut chunks: Vec<(u64, usize)> = Vec::new();
        let mut add = |chunk: Chunk<'_>| {
            chunks.push((chunk.rows, chunk.bytes.len()));
            assert_eq!(chunk.number as usize, chunks.len(), "numbers follow each other");
            Ok(())
        };
        let mut cutter = Cutter::new(10, 2_000, &mut add);
        for some in lengths.chunks(together) {
            let bytes: Vec<u8> = some.iter().flat_map(|&length| row(length)).collect();
            cutter.take(&bytes, some.len() as u64).unwrap();
        }
        cutter.end().unwrap();
        chunks
    }

    #[test]
    fn chunks_end_at_the_same_rows_however_many_come_together() {
        let lengths: Vec<usize> = (0..137).map(|number| if number % 23 == 0 { 1_500 } else { number }).collect();
        let expected = cut(&lengths, 1);
        assert_eq!(expected.iter().map(|chunk| chunk.0).sum::<u64>(), 137);
        assert!(expected.iter().any(|chunk| chunk.0 == 10) && expected.iter().any(|chunk| chunk.0 < 9));
        for together in [2, 3, 7, 10, 64, 137] {
            assert_eq!(cut(&lengths, together), expected, "{together}");
        }
    }

    #[test]
    fn a_chunk_is_full_with_its_last_row_and_none_is_empty() {
        assert_eq!(cut(&[0; 20], 20).iter().map(|chunk| chunk.0).collect::<Vec<_>>(), [10, 10]);
        assert_eq!(cut(&[], 1), []);
        assert_eq!(cut(&[5_000, 5_000, 1], 3).len(), 3);
    }

    #[test]
    fn rows_that_are_none_are_refused() {
        let mut take = |_: Chunk<'_>| Ok(());
        let mut cutter = Cutter::new(1, 1, &mut take);
        assert_eq!(cutter.take(&[0, 1, 0, 0, 0, 9, 0], 1).unwrap_err().code, "spill-failed");
    }
}

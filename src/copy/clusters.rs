//! Rows brought into the order of their tenants, in bounded memory.
//!
//! A table is read in the order of its own keys, so nothing but a stable sort by tenant is missing for the order of the
//! target's keys. Rows are gathered up to a limit, sorted and written to a temporary file as a run; at the end the runs are
//! merged. The file has no name: nobody else can open it, and it goes with the process, however that ends. Tables that are
//! gathered one after the other share a file, since there may be more of them than files can be open.

use crate::diagnostic::Diagnostic;
use crate::ident::visible;
use crate::sqlite::spill_failed;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

/// How many bytes of rows are gathered before they are sorted and put away.
const GATHERED: usize = 8 << 20;

/// The most that a stretch of one tenant's rows takes in a run, unless it is one row.
const STRETCH: usize = 64 << 10;

/// What all runs together are read through while they are merged.
const READ_AHEAD: usize = 8 << 20;

/// What a table that is put aside may keep in memory.
const KEPT: usize = 16 << 10;

/// A temporary file that rows are put away in; there is none before the first.
#[derive(Debug, Clone, Default)]
pub(super) struct SpillFile(Arc<Mutex<Option<Tail>>>);

/// A file and where it ends.
#[derive(Debug)]
struct Tail {
    file: Arc<File>,
    end: u64,
}

/// Gathers the encoded rows of one table and gives them back by rank, and in the order in which they came within a rank.
pub(super) struct Clusters {
    /// Encoded rows, one after the other.
    rows: Vec<u8>,
    /// The rank of each row, and behind it the row's number: sorted as one number they give a stable order.
    keys: Vec<u64>,
    /// Where each row ends.
    ends: Vec<usize>,
    limit: usize,
    count: u64,
    spill_file: SpillFile,
    spilled: Option<Spilled>,
}

/// What has been put away.
struct Spilled {
    file: Arc<File>,
    /// Where each run lies.
    runs: Vec<Range<u64>>,
}

/// What a stretch of rows is written behind in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Head {
    rank: u32,
    rows: u32,
    bytes: u64,
}

/// Called with stretches of whole rows and how many they are.
pub(super) type EachStretch<'f> = dyn FnMut(&[u8], u64) -> Result<(), Diagnostic> + 'f;

impl Clusters {
    /// Makes room for rows.
    pub fn new(spill_file: SpillFile) -> Self {
        Self::with_limit(spill_file, GATHERED)
    }

    fn with_limit(spill_file: SpillFile, limit: usize) -> Self {
        let rows = Vec::with_capacity(limit + limit / 8);
        Self { rows, keys: Vec::new(), ends: Vec::new(), limit, count: 0, spill_file, spilled: None }
    }

    /// Returns how many rows there are.
    pub fn len(&self) -> u64 {
        self.count
    }

    /// Returns where the caller appends a row's bytes; [`Clusters::add`] has to follow.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.rows
    }

    /// Takes the bytes up to `end` for a row of this rank.
    pub fn add(&mut self, rank: u32, end: usize) {
        self.keys.push(u64::from(rank) << 32 | self.ends.len() as u64);
        self.ends.push(end);
        self.count += 1;
    }

    /// Puts rows away where enough have been gathered; to be called between rows.
    ///
    /// # Errors
    /// `spill-failed` where the temporary file cannot be written.
    pub fn make_room(&mut self) -> Result<(), Diagnostic> {
        if self.rows.len() < self.limit { Ok(()) } else { self.spill().map_err(|error| failed(&error)) }
    }

    /// Lets go of the memory until the rows are asked for.
    ///
    /// # Errors
    /// `spill-failed`.
    pub fn put_aside(&mut self) -> Result<(), Diagnostic> {
        if self.rows.len() > KEPT {
            self.spill().map_err(|error| failed(&error))?;
        }
        self.rows.shrink_to_fit();
        self.keys.shrink_to_fit();
        self.ends.shrink_to_fit();
        Ok(())
    }

    /// Gives all rows, sorted; they can be asked for again.
    ///
    /// # Errors
    /// `spill-failed`, and those of `f`.
    pub fn each(&mut self, f: &mut EachStretch<'_>) -> Result<(), Diagnostic> {
        if self.spilled.is_some() && !self.keys.is_empty() {
            self.spill().map_err(|error| failed(&error))?;
            // What has been gathered in is not needed beside what is read ahead.
            self.rows.shrink_to_fit();
        }
        match &self.spilled {
            Some(spilled) => spilled.merge(f),
            None => self.stretches(&mut Vec::new(), |head, bytes| f(bytes, head.rows.into())),
        }
    }

    /// Calls `f` with stretches of rows of one rank, in order.
    fn stretches<E>(
        &mut self,
        stretch: &mut Vec<u8>,
        mut f: impl FnMut(Head, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        // No two are equal, so the order is stable.
        self.keys.sort_unstable();
        let mut head: Option<Head> = None;
        stretch.clear();
        for &key in &self.keys {
            let (rank, number) = ((key >> 32) as u32, (key & u64::from(u32::MAX)) as usize);
            let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
            let row = &self.rows[start..self.ends[number]];
            if let Some(full) = head
                && (full.rank != rank || stretch.len() + row.len() > STRETCH)
            {
                f(Head { bytes: stretch.len() as u64, ..full }, stretch)?;
                stretch.clear();
                head = None;
            }
            let rows = head.map_or(0, |head| head.rows) + 1;
            head = Some(Head { rank, rows, bytes: 0 });
            stretch.extend_from_slice(row);
        }
        if let Some(last) = head {
            f(Head { bytes: stretch.len() as u64, ..last }, stretch)?;
        }
        Ok(())
    }

    fn spill(&mut self) -> io::Result<()> {
        let spill_file = self.spill_file.clone();
        let mut tail = spill_file.0.lock().unwrap_or_else(PoisonError::into_inner);
        let tail = match &mut *tail {
            Some(tail) => tail,
            empty => empty.insert(Tail { file: Arc::new(tempfile::tempfile()?), end: 0 }),
        };
        let start = tail.end;
        let mut end = start;
        let mut writer = BufWriter::with_capacity(4 * STRETCH, Part { file: &tail.file, at: start, end: u64::MAX });
        let mut stretch = Vec::with_capacity(STRETCH);
        self.stretches(&mut stretch, |head, bytes| {
            end += HEAD as u64 + head.bytes;
            writer.write_all(&head.to_bytes())?;
            writer.write_all(bytes)
        })?;
        writer.flush()?;
        drop(writer);
        self.rows.clear();
        self.keys.clear();
        self.ends.clear();
        tail.end = end;
        let spilled = self.spilled.get_or_insert_with(|| Spilled { file: tail.file.clone(), runs: Vec::new() });
        spilled.runs.push(start..end);
        Ok(())
    }
}

/// How many bytes a head takes.
const HEAD: usize = 16;

impl Head {
    fn to_bytes(self) -> [u8; HEAD] {
        let number = u128::from(self.rank) << 96 | u128::from(self.rows) << 64 | u128::from(self.bytes);
        number.to_be_bytes()
    }

    fn from_bytes(bytes: [u8; HEAD]) -> Self {
        let number = u128::from_be_bytes(bytes);
        Self { rank: (number >> 96) as u32, rows: (number >> 64) as u32, bytes: number as u64 }
    }
}

/// A part of a file, read or written from its start to its end whatever else reads the file.
struct Part<'f> {
    file: &'f File,
    at: u64,
    end: u64,
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.file.read_at(&mut buffer[..left], self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Write for Part<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write_at(bytes, self.at)?;
        self.at += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A run that is being read.
struct Run<'f> {
    reader: BufReader<Part<'f>>,
    /// Bytes behind the present head.
    left: u64,
}

impl Run<'_> {
    /// Reads the head of the next stretch; `None` at the end.
    fn next(&mut self) -> io::Result<Option<Head>> {
        if self.left == 0 {
            return Ok(None);
        }
        let mut bytes = [0; HEAD];
        self.reader.read_exact(&mut bytes)?;
        let head = Head::from_bytes(bytes);
        let used = (HEAD as u64).checked_add(head.bytes).and_then(|used| self.left.checked_sub(used));
        self.left = used.ok_or_else(|| io::Error::other("it does not hold what was written to it"))?;
        Ok(Some(head))
    }
}

impl Spilled {
    /// Gives back the rows of all runs: of equal ranks those of the earlier run first, because they came first.
    fn merge(&self, f: &mut EachStretch<'_>) -> Result<(), Diagnostic> {
        let failed = |error: io::Error| failed(&error);
        let read_ahead = (READ_AHEAD / self.runs.len().max(1)).clamp(4 << 10, 4 * STRETCH);
        let mut runs = Vec::with_capacity(self.runs.len());
        let mut heads = BinaryHeap::with_capacity(self.runs.len());
        for (number, &Range { start, end }) in self.runs.iter().enumerate() {
            let part = Part { file: &self.file, at: start, end };
            let mut run = Run { reader: BufReader::with_capacity(read_ahead, part), left: end - start };
            heads.extend(run.next().map_err(failed)?.map(|head| Reverse((head.rank, number, head))));
            runs.push(run);
        }
        let mut stretch = Vec::with_capacity(STRETCH);
        while let Some(Reverse((_, number, head))) = heads.pop() {
            let run = &mut runs[number];
            stretch.resize(head.bytes as usize, 0);
            run.reader.read_exact(&mut stretch).map_err(failed)?;
            heads.extend(run.next().map_err(failed)?.map(|head| Reverse((head.rank, number, head))));
            f(&stretch, head.rows.into())?;
        }
        Ok(())
    }
}

fn failed(error: &io::Error) -> Diagnostic {
    spill_failed(&format!(" in {}", visible(&std::env::temp_dir().to_string_lossy())), error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Adds rows of a rank and some bytes each, which their numbers are written into.
    fn gathered(rows: &[(u32, usize)], limit: usize) -> Clusters {
        let mut clusters = Clusters::with_limit(SpillFile::default(), limit);
        for (number, &(rank, length)) in rows.iter().enumerate() {
            let text = format!("{rank} {number} {}\n", "x".repeat(length));
            clusters.buffer().extend_from_slice(text.as_bytes());
            let end = clusters.buffer().len();
            clusters.add(rank, end);
            clusters.make_room().unwrap();
        }
        clusters
    }

    /// Returns the rows that come back, as rank and number.
    fn drained(mut clusters: Clusters) -> Vec<(u32, usize)> {
        let found = read(&mut clusters);
        assert_eq!(read(&mut clusters), found, "as often as they are asked for");
        found
    }

    fn read(clusters: &mut Clusters) -> Vec<(u32, usize)> {
        let mut found = Vec::new();
        let mut take = |bytes: &[u8], rows: u64| {
            let before = found.len();
            for line in std::str::from_utf8(bytes).unwrap().lines() {
                let mut parts = line.split(' ');
                found.push((parts.next().unwrap().parse().unwrap(), parts.next().unwrap().parse().unwrap()));
            }
            assert_eq!(found.len() - before, rows as usize, "a stretch has as many rows as it says");
            Ok(())
        };
        clusters.each(&mut take).unwrap();
        found
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn rows_come_by_rank_and_then_as_they_came_wherever_they_were_put_away(
            rows in prop::collection::vec((0_u32..12, prop_oneof![9 => 0_usize..200, 1 => Just(STRETCH + 7)]), 0..400),
            limit in prop_oneof![Just(1_usize), Just(1 << 10), Just(16 << 10), Just(16 << 20)],
        ) {
            let mut expected: Vec<(u32, usize)> = rows.iter().enumerate().map(|(at, row)| (row.0, at)).collect();
            expected.sort();
            prop_assert_eq!(drained(gathered(&rows, limit)), expected);
        }
    }

    #[test]
    fn what_is_gathered_stays_below_the_limit_and_one_row() {
        let rows: Vec<(u32, usize)> = (0..20_000).map(|row| (row * 7919 % 97, 80)).collect();
        let limit = 64 << 10;
        let clusters = gathered(&rows, limit);
        let spilled = clusters.spilled.as_ref().unwrap();
        assert!(spilled.runs.len() > 20, "{} runs", spilled.runs.len());
        assert!(clusters.rows.capacity() < 2 * limit, "{} bytes", clusters.rows.capacity());
        assert!(clusters.keys.capacity() <= 2048 && clusters.ends.capacity() <= 2048);
        assert_eq!(drained(clusters).len(), rows.len());
    }

    #[test]
    fn tables_that_share_a_file_come_back_apart() {
        let file = SpillFile::default();
        let mut tables: Vec<Clusters> = Vec::new();
        for table in 0..3_u32 {
            let mut clusters = Clusters::with_limit(file.clone(), 1 << 10);
            for number in 0..1_000_u32 {
                let text = format!("{} {} {}\n", number % 7, table * 1_000 + number, "x".repeat(40));
                clusters.buffer().extend_from_slice(text.as_bytes());
                let end = clusters.buffer().len();
                clusters.add(number % 7, end);
                clusters.make_room().unwrap();
            }
            clusters.put_aside().unwrap();
            assert!(clusters.rows.capacity() <= KEPT && clusters.len() == 1_000);
            tables.push(clusters);
        }
        for (table, clusters) in tables.into_iter().enumerate().rev() {
            let found = drained(clusters);
            assert!(found.is_sorted() && found.len() == 1_000, "by rank, then as they came");
            assert!(found.iter().all(|(_, number)| number / 1_000 == table));
        }
    }

    #[test]
    fn rows_that_fit_are_never_written() {
        let clusters = gathered(&[(1, 5), (0, 5)], 1 << 20);
        assert!(clusters.spilled.is_none());
        assert_eq!(drained(clusters), [(0, 1), (1, 0)]);
    }

    #[test]
    fn an_error_of_the_taker_ends_it() {
        let mut taken = 0;
        let mut refuse = |_: &[u8], _: u64| {
            taken += 1;
            Err(Diagnostic::error("stop", "enough"))
        };
        assert_eq!(gathered(&[(1, 5), (0, 5)], 1).each(&mut refuse).unwrap_err().code, "stop");
        assert_eq!(taken, 1);
    }

    #[test]
    fn a_file_that_is_not_what_was_written_is_refused() {
        let mut clusters = gathered(&[(1, 5), (0, 5)], 1);
        let spilled = clusters.spilled.as_ref().unwrap();
        spilled.file.write_all_at(&[0xff; HEAD], 0).unwrap();
        assert_eq!(clusters.each(&mut |_, _| Ok(())).unwrap_err().code, "spill-failed");
    }
}

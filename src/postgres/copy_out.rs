//! Reads rows back by binary COPY.

use super::Connection;
use super::copy_in::{HEADER, io_error};
use crate::diagnostic::Diagnostic;
use std::io::BufRead;

/// Called with the fields of a row, in the binary form of their types, `None` for NULL; and with all of them as they lie, each
/// behind its length in four bytes, which is -1 for NULL.
pub type EachRow<'f> = dyn FnMut(&[Option<&[u8]>], &[u8]) -> Result<(), Diagnostic> + 'f;

/// Reads rows back.
pub trait CopyOut {
    /// Calls `row` with the fields of every row of a query.
    ///
    /// Returns the number of rows. The slices live in the driver's buffer; nothing is allocated for a row unless the
    /// server splits it over messages. An error of `row` comes back as it is; the next
    /// statement on the connection then waits until the rest has passed by.
    fn copy_out(&mut self, query: &str, purpose: &str, row: &mut EachRow<'_>) -> Result<u64, Diagnostic>;
}

impl CopyOut for Connection {
    fn copy_out(&mut self, query: &str, purpose: &str, row: &mut EachRow<'_>) -> Result<u64, Diagnostic> {
        let Self { client, state, .. } = self;
        let result = match client.copy_out(&statement(query)) {
            Ok(mut reader) => read(&mut reader, purpose, row),
            Err(error) => Err(Failure::Reading(super::error::statement(&error, purpose))),
        };
        result.map_err(|failure| match failure {
            Failure::Reading(diagnostic) => {
                state.fail();
                diagnostic
            }
            Failure::Row(diagnostic) => diagnostic,
        })
    }
}

/// Writes the statement that sends the rows of a query.
pub(super) fn statement(query: &str) -> String {
    format!("COPY ({query}) TO STDOUT (FORMAT binary)")
}

/// Tells what the server did from what the caller said.
pub(super) enum Failure {
    Reading(Diagnostic),
    Row(Diagnostic),
}

fn read(reader: &mut impl BufRead, purpose: &str, row: &mut EachRow<'_>) -> Result<u64, Failure> {
    let mut pieces = Pieces::default();
    loop {
        let message = reader.fill_buf().map_err(|error| Failure::Reading(io_error(error, purpose)))?;
        let length = message.len();
        if length == 0 {
            return pieces.end(purpose);
        }
        pieces.take(message, purpose, row)?;
        reader.consume(length);
    }
}

/// Puts rows together from messages.
#[derive(Default)]
pub(super) struct Pieces {
    decoder: Decoder,
    /// Holds what a message leaves over; empty as long as messages end where rows end.
    rest: Vec<u8>,
}

impl Pieces {
    /// Hands out the rows that a message completes.
    pub fn take(&mut self, message: &[u8], purpose: &str, row: &mut EachRow<'_>) -> Result<(), Failure> {
        let Self { decoder, rest } = self;
        if rest.is_empty() {
            let used = decoder.decode(message, purpose, row)?;
            rest.extend_from_slice(&message[used..]);
        } else {
            rest.extend_from_slice(message);
            let used = decoder.decode(rest, purpose, row)?;
            rest.drain(..used);
        }
        Ok(())
    }

    /// Says that no more messages come, and returns the number of rows.
    pub fn end(&self, purpose: &str) -> Result<u64, Failure> {
        match self.decoder.place {
            Place::End if self.rest.is_empty() => Ok(self.decoder.rows),
            _ => Err(Failure::Reading(malformed(purpose, "it ends before its trailer"))),
        }
    }
}

fn malformed(purpose: &str, reason: &str) -> Diagnostic {
    Diagnostic::error(
        "unexpected-answer",
        format!("failed to {purpose}: the server's COPY data is malformed: {reason}"),
    )
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Place {
    #[default]
    Header,
    Rows,
    End,
}

#[derive(Default)]
struct Decoder {
    place: Place,
    rows: u64,
    /// Lends its memory to the fields of every row.
    slices: Vec<Option<&'static [u8]>>,
}

impl Decoder {
    /// Hands out all rows that are complete in `bytes`, and returns how many bytes they took.
    fn decode(&mut self, bytes: &[u8], purpose: &str, row: &mut EachRow<'_>) -> Result<usize, Failure> {
        let bad = |reason| Failure::Reading(malformed(purpose, reason));
        let mut used = 0;
        if self.place == Place::Header {
            match header_length(bytes).map_err(bad)? {
                Some(length) => used = length,
                None => return Ok(0),
            }
            self.place = Place::Rows;
        }
        let mut slices = emptied(std::mem::take(&mut self.slices));
        while self.place == Place::Rows {
            let mut cursor = Cursor { bytes, at: used };
            let Some(count) = cursor.i16() else { break };
            if count == -1 {
                self.place = Place::End;
                used = cursor.at;
                break;
            }
            slices.clear();
            let first = cursor.at;
            if !find_fields(count, &mut cursor, &mut slices).map_err(bad)? {
                break;
            }
            row(&slices, &bytes[first..cursor.at]).map_err(Failure::Row)?;
            self.rows += 1;
            used = cursor.at;
        }
        self.slices = emptied(slices);
        match self.place {
            Place::End if used < bytes.len() => Err(bad("bytes follow its trailer")),
            _ => Ok(used),
        }
    }
}

/// Finds the fields of a row; false where the row is not complete yet.
fn find_fields<'b>(
    count: i16,
    cursor: &mut Cursor<'b>,
    fields: &mut Vec<Option<&'b [u8]>>,
) -> Result<bool, &'static str> {
    if count < 0 {
        return Err("a row has a negative number of fields");
    }
    for _ in 0..count {
        let Some(length) = cursor.i32() else { return Ok(false) };
        if length == -1 {
            fields.push(None);
            continue;
        }
        let length = usize::try_from(length).map_err(|_| "a field has a negative length")?;
        let Some(field) = cursor.slice(length) else { return Ok(false) };
        fields.push(Some(field));
    }
    Ok(true)
}

/// Empties a vector of slices and lets it hold slices of another lifetime; the memory stays.
fn emptied<'b>(mut slices: Vec<Option<&[u8]>>) -> Vec<Option<&'b [u8]>> {
    slices.clear();
    slices.into_iter().map(|_| None).collect()
}

/// Returns the header's length once it is complete.
fn header_length(bytes: &[u8]) -> Result<Option<usize>, &'static str> {
    const SIGNATURE: usize = 11;
    let known = bytes.len().min(SIGNATURE);
    if bytes[..known] != HEADER[..known] {
        return Err("it has no PGCOPY signature");
    }
    let mut cursor = Cursor { bytes, at: SIGNATURE };
    let (Some(flags), Some(extension)) = (cursor.i32(), cursor.i32()) else { return Ok(None) };
    // The upper half is for changes that a reader has to know.
    if flags as u32 >> 16 != 0 {
        return Err("it has unknown flags");
    }
    let extension = usize::try_from(extension).map_err(|_| "its extension has a negative length")?;
    Ok(cursor.slice(extension).map(|_| cursor.at))
}

/// Reads big-endian numbers while there are enough bytes.
struct Cursor<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Cursor<'b> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let taken = self.bytes.get(self.at..)?.first_chunk::<N>()?;
        self.at += N;
        Some(*taken)
    }

    fn i16(&mut self) -> Option<i16> {
        self.take().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> Option<i32> {
        self.take().map(i32::from_be_bytes)
    }

    fn slice(&mut self, length: usize) -> Option<&'b [u8]> {
        let slice = self.bytes.get(self.at..)?.get(..length)?;
        self.at += length;
        Some(slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing;
    use std::io::BufReader;

    type Rows = Vec<Vec<Option<Vec<u8>>>>;

    fn collect(reader: &mut impl BufRead) -> Result<Rows, Diagnostic> {
        let mut rows = Rows::new();
        let mut row = |fields: &[Option<&[u8]>], bytes: &[u8]| {
            let lengths = fields.iter().map(|field| field.map_or(-1, |field| field.len() as i32).to_be_bytes());
            let lying =
                lengths.zip(fields).flat_map(|(length, field)| [&length[..], field.unwrap_or_default()].concat());
            assert_eq!(lying.collect::<Vec<u8>>(), bytes);
            rows.push(fields.iter().map(|field| field.map(<[u8]>::to_vec)).collect());
            Ok(())
        };
        match read(reader, "read", &mut row) {
            Ok(count) => {
                assert_eq!(count, rows.len() as u64);
                Ok(rows)
            }
            Err(Failure::Reading(diagnostic) | Failure::Row(diagnostic)) => Err(diagnostic),
        }
    }

    fn sample() -> (Vec<u8>, Rows) {
        let rows: Rows = vec![
            vec![Some(b"abc".to_vec()), None],
            vec![],
            vec![Some(Vec::new()), Some(vec![7; 300])],
            vec![None, Some(b"\xff\xff".to_vec())],
        ];
        let mut bytes = HEADER.to_vec();
        for row in &rows {
            bytes.extend((row.len() as i16).to_be_bytes());
            for field in row {
                bytes.extend(field.as_ref().map_or(-1, |field| field.len() as i32).to_be_bytes());
                bytes.extend(field.iter().flatten());
            }
        }
        bytes.extend((-1_i16).to_be_bytes());
        (bytes, rows)
    }

    #[test]
    fn rows_come_whole_however_the_messages_are_cut() {
        let (bytes, rows) = sample();
        for size in 1..=bytes.len() {
            assert_eq!(collect(&mut BufReader::with_capacity(size, &bytes[..])), Ok(rows.clone()), "{size}");
        }
    }

    #[test]
    fn data_that_ends_early_goes_on_too_long_or_is_none_is_an_error() {
        let (bytes, _) = sample();
        for end in 0..bytes.len() {
            assert!(collect(&mut &bytes[..end]).is_err(), "{end}");
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(collect(&mut &longer[..]).is_err());
        let mut other = bytes;
        other[0] = b'X';
        assert!(collect(&mut &other[..]).is_err());
    }

    #[test]
    fn a_hundred_thousand_rows_come_back() {
        let mut connection = testing::connect(&testing::database());
        let sql = "SELECT n::bigint, CASE WHEN n % 10 > 0 THEN 'row ' || n END, repeat('x', CASE n WHEN 500 THEN 3000000 END) \
                   FROM generate_series(0, 99999) n";
        let (mut next, mut nulls, mut longest) = (0_i64, 0, 0);
        let count = connection.copy_out(sql, "read", &mut |fields, _| {
            assert_eq!(fields[0], Some(&next.to_be_bytes()[..]));
            match fields[1] {
                Some(text) => assert_eq!(text, format!("row {next}").as_bytes()),
                None => nulls += 1,
            }
            longest = longest.max(fields[2].map_or(0, <[u8]>::len));
            next += 1;
            Ok(())
        });
        assert_eq!((count, nulls, longest), (Ok(100_000), 10_000, 3_000_000));
    }

    #[test]
    fn an_error_of_the_caller_or_of_the_server_comes_back_and_leaves_a_usable_connection() {
        let mut connection = testing::connect(&testing::database());
        let stop = &mut |_: &[Option<&[u8]>], _: &[u8]| Err(Diagnostic::error("stop", "stopped"));
        let error = connection.copy_out("SELECT generate_series(1, 10000)", "read", stop).unwrap_err();
        assert_eq!(error.code, "stop");
        let sql = "SELECT 1 / (n - 500) FROM generate_series(1, 1000) n";
        let error = connection.copy_out(sql, "read the numbers", &mut |_, _| Ok(())).unwrap_err();
        assert_eq!(error.code, "value-refused");
        assert!(error.message.contains("read the numbers"), "{error:?}");
        assert_eq!(testing::column(&mut connection, "SELECT 1"), ["1"]);
    }
}

//! The values of a row from its record: a header of types, and behind it the values.

use super::database::{push_integer, push_real, push_text};
use super::page_file::varint;
use crate::schema::Value;
use std::borrow::Cow;

/// Where a value of a row is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// It is the rowid.
    Rowid,
    /// It stands in the record.
    Stored {
        /// Its number.
        field: usize,
        /// The column has REAL affinity: an integer stands for the double that is equal to it.
        is_real: bool,
        /// What a row has that was written before the column was there: NULL, or what only SQLite can tell.
        has_default: bool,
    },
}

/// Reads records; its memory serves all of them.
#[derive(Debug)]
pub(super) struct RecordReader {
    places: Vec<Place>,
    /// How many fields have to be looked at.
    fields: usize,
    /// The type of each field, and where it begins.
    found: Vec<(u64, usize)>,
}

impl RecordReader {
    /// Prepares to read these values of each row, in this order.
    pub fn new(places: Vec<Place>) -> Self {
        let stored = places.iter().filter_map(|place| match place {
            Place::Stored { field, .. } => Some(field + 1),
            Place::Rowid => None,
        });
        Self { fields: stored.max().unwrap_or(0), places, found: Vec::new() }
    }

    /// Adds a row's values; `None` for a record that is to be left to SQLite.
    pub fn read<'r>(&mut self, rowid: i64, record: &'r [u8], values: &mut Vec<Value<'r>>) -> Option<()> {
        let Self { places, fields, found } = self;
        let (header, mut at) = varint(record, 0)?;
        let header = usize::try_from(header).ok().filter(|&header| header <= record.len())?;
        let mut start = header;
        found.clear();
        while at < header && found.len() < *fields {
            let (kind, end) = varint(record, at)?;
            found.push((kind, start));
            start = start.checked_add(length(kind)?)?;
            at = end;
        }
        // Where the header ends, so do the values.
        if at > header || start > record.len() || (at == header && start != record.len()) {
            return None;
        }
        for place in places {
            match *place {
                Place::Rowid => push_integer(values, rowid),
                Place::Stored { field, is_real, has_default } => match found.get(field) {
                    Some(&(kind, start)) => push(kind, record.get(start..)?, is_real, values)?,
                    None if has_default => return None,
                    None => values.push(Value::Null),
                },
            }
        }
        Some(())
    }
}

/// Returns how many bytes a value of a type has; `None` for a type that there is not.
#[inline]
fn length(kind: u64) -> Option<usize> {
    match kind {
        0 | 8 | 9 => Some(0),
        1..=4 => Some(kind as usize),
        5 => Some(6),
        6 | 7 => Some(8),
        10 | 11 => None,
        _ => usize::try_from((kind - 12) / 2).ok(),
    }
}

/// Adds the value of a type that `bytes` begin with.
#[inline]
fn push<'r>(kind: u64, bytes: &'r [u8], is_real: bool, values: &mut Vec<Value<'r>>) -> Option<()> {
    let number = match kind {
        0 => {
            values.push(Value::Null);
            return Some(());
        }
        1 => i64::from(i8::from_be_bytes(*bytes.first_chunk()?)),
        2 => i64::from(i16::from_be_bytes(*bytes.first_chunk()?)),
        3 => {
            let [a, b, c] = *bytes.first_chunk()?;
            i64::from(i32::from_be_bytes([a, b, c, 0]) >> 8)
        }
        4 => i64::from(i32::from_be_bytes(*bytes.first_chunk()?)),
        5 => {
            let [a, b, c, d, e, f] = *bytes.first_chunk()?;
            i64::from_be_bytes([a, b, c, d, e, f, 0, 0]) >> 16
        }
        6 => i64::from_be_bytes(*bytes.first_chunk()?),
        7 => {
            let number = f64::from_be_bytes(*bytes.first_chunk()?);
            match number.is_nan() {
                // SQLite has no NaN.
                true => values.push(Value::Null),
                false => push_real(values, number),
            }
            return Some(());
        }
        8 => 0,
        9 => 1,
        _ => {
            let bytes = bytes.get(..length(kind)?)?;
            match kind % 2 {
                0 => values.push(Value::Blob(Cow::Borrowed(bytes))),
                _ => push_text(values, bytes),
            }
            return Some(());
        }
    };
    match is_real {
        true => push_real(values, number as f64),
        false => push_integer(values, number),
    }
    Some(())
}

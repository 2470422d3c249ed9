//! What is the matter with a value that does not fit, told so that the value itself need not be shown.
//!
//! The conversion only says that a value does not go through. This looks at one that did not, and names the kind of
//! trouble, the shape of the value, and for dates the encoding that it is probably in.

use crate::schema::{PgType, Value};
use std::fmt::Write;

/// The kinds of trouble with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Misfit {
    /// An integer that the type has no number for.
    IntegerRange,
    /// A fraction in an integer column.
    Fraction,
    /// More digits before the point than the column keeps.
    NumberRange,
    /// More decimals than the column keeps, or a number that the type cannot hold exactly.
    LossyNumber,
    /// An infinite number.
    InfiniteNumber,
    /// An empty text where a number, a date or the like is to be.
    EmptyText,
    /// A text that is no number.
    TextInNumber,
    /// A text that is no date or time in ISO form.
    DateUnreadable,
    /// A number where a date or time is to be.
    DateNumber,
    /// `0000-00-00` or the like.
    ZeroDate,
    /// A date that is in no calendar, such as the 30th of February.
    NoSuchDay,
    /// An offset from UTC that `timestamp` would drop.
    OffsetDropped,
    /// No offset from UTC where `timestamptz` needs one.
    OffsetMissing,
    /// What is neither true nor false.
    BooleanWord,
    /// A NUL character.
    NulCharacter,
    /// Bytes that are not UTF-8.
    InvalidUtf8,
    /// A blob in a column of another type.
    BlobInText,
    /// A text or a number in a binary column.
    TextInBlob,
    /// A number in a text column.
    NumberInText,
    /// More characters than the column keeps.
    TextTooLong,
    /// Spaces at the end that PostgreSQL would cut or ignore, or a text that it would pad.
    TrailingSpaces,
    /// A text that is not JSON.
    InvalidJson,
    /// A JSON document that `json` keeps and `jsonb` does not.
    RefusedByJsonb,
    /// A text that is not a UUID.
    InvalidUuid,
    /// Anything else.
    Other,
}

impl Misfit {
    /// Returns the stable kebab-case code.
    pub fn code(self) -> &'static str {
        match self {
            Self::IntegerRange => "integer-range",
            Self::Fraction => "fraction",
            Self::NumberRange => "number-range",
            Self::LossyNumber => "lossy-number",
            Self::InfiniteNumber => "infinite-number",
            Self::EmptyText => "empty-text",
            Self::TextInNumber => "text-in-number",
            Self::DateUnreadable => "date-unreadable",
            Self::DateNumber => "date-number",
            Self::ZeroDate => "zero-date",
            Self::NoSuchDay => "no-such-day",
            Self::OffsetDropped => "offset-dropped",
            Self::OffsetMissing => "offset-missing",
            Self::BooleanWord => "boolean-word",
            Self::NulCharacter => "nul-character",
            Self::InvalidUtf8 => "invalid-utf8",
            Self::BlobInText => "blob-in-text",
            Self::TextInBlob => "text-in-blob",
            Self::NumberInText => "number-in-text",
            Self::TextTooLong => "text-too-long",
            Self::TrailingSpaces => "trailing-spaces",
            Self::InvalidJson => "invalid-json",
            Self::RefusedByJsonb => "refused-by-jsonb",
            Self::InvalidUuid => "invalid-uuid",
            Self::Other => "other",
        }
    }

    /// Looks at a value that a column of this type does not take.
    pub fn of(value: &Value<'_>, data_type: PgType) -> Self {
        match value {
            Value::Null => Self::Other,
            Value::Integer(_) => of_number(None, data_type),
            Value::Real(number) => of_number(Some(*number), data_type),
            Value::Text(text) => of_text(text, data_type),
            Value::Blob(_) if data_type == PgType::Bytea => Self::Other,
            Value::Blob(_) => Self::BlobInText,
        }
    }
}

/// `real` is the number of a value stored as one.
fn of_number(real: Option<f64>, data_type: PgType) -> Misfit {
    match data_type {
        _ if real.is_some_and(f64::is_infinite) => Misfit::InfiniteNumber,
        PgType::Boolean => Misfit::BooleanWord,
        PgType::Smallint | PgType::Integer | PgType::Bigint => match real {
            None => Misfit::IntegerRange,
            // What SQLite could not keep as an integer is beyond 64 bits.
            Some(number) if number.fract() == 0.0 => Misfit::IntegerRange,
            Some(_) => Misfit::Fraction,
        },
        PgType::Real | PgType::Double => Misfit::LossyNumber,
        PgType::Numeric(Some((precision, scale))) => {
            let room = i32::from(precision) - i32::from(scale);
            // An integer that does not fit has too many digits.
            if real.is_none_or(|number| number.abs() >= 10_f64.powi(room)) {
                Misfit::NumberRange
            } else {
                Misfit::LossyNumber
            }
        }
        PgType::Numeric(None) => Misfit::LossyNumber,
        PgType::Text | PgType::Citext | PgType::Varchar(_) | PgType::Char(_) => Misfit::NumberInText,
        PgType::Bytea => Misfit::TextInBlob,
        PgType::Date | PgType::Time | PgType::Timestamp | PgType::Timestamptz => Misfit::DateNumber,
        PgType::Uuid => Misfit::InvalidUuid,
        PgType::Json | PgType::Jsonb => Misfit::InvalidJson,
    }
}

fn of_text(bytes: &[u8], data_type: PgType) -> Misfit {
    if bytes.is_empty() && !data_type.is_text() && data_type != PgType::Bytea {
        return Misfit::EmptyText;
    }
    if data_type == PgType::Bytea {
        return Misfit::TextInBlob;
    }
    if bytes.contains(&0) {
        return Misfit::NulCharacter;
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return Misfit::InvalidUtf8 };
    match data_type {
        PgType::Boolean => Misfit::BooleanWord,
        PgType::Smallint | PgType::Integer | PgType::Bigint | PgType::Real | PgType::Double => Misfit::TextInNumber,
        PgType::Numeric(limits) => match text.trim().parse::<f64>() {
            Ok(number) if number.is_finite() => of_number(Some(number), PgType::Numeric(limits)),
            _ => Misfit::TextInNumber,
        },
        PgType::Text | PgType::Citext | PgType::Bytea => Misfit::Other,
        PgType::Varchar(length) => of_characters(text, length),
        PgType::Char(length) => of_characters(text, Some(length)),
        PgType::Date | PgType::Time | PgType::Timestamp | PgType::Timestamptz => of_date(text, data_type),
        PgType::Uuid => Misfit::InvalidUuid,
        PgType::Json => Misfit::InvalidJson,
        PgType::Jsonb => match serde_json::from_str::<serde::de::IgnoredAny>(text) {
            Ok(_) => Misfit::RefusedByJsonb,
            Err(_) => Misfit::InvalidJson,
        },
    }
}

fn of_characters(text: &str, length: Option<u32>) -> Misfit {
    let keeps = length.map_or(usize::MAX, |length| length as usize);
    if text.trim_end_matches(' ').chars().count() > keeps { Misfit::TextTooLong } else { Misfit::TrailingSpaces }
}

fn of_date(text: &str, data_type: PgType) -> Misfit {
    let is_zero = text.starts_with("0000-00")
        && text.bytes().all(|byte| matches!(byte, b'0' | b'-' | b':' | b' ' | b'.' | b'T' | b'Z'));
    if is_zero {
        return Misfit::ZeroDate;
    }
    if !is_iso_date(text) {
        return Misfit::DateUnreadable;
    }
    let behind = &text[10..];
    let clock = behind.trim_start_matches([' ', 'T']);
    let has_offset = clock.ends_with(['Z', 'z']) || clock.contains(['+', '-']);
    let number = |range: std::ops::Range<usize>| text[range].parse::<i16>().unwrap_or(0);
    let day = jiff::civil::Date::new(number(0..4), number(5..7) as i8, number(8..10) as i8);
    match data_type {
        _ if day.is_err() => Misfit::NoSuchDay,
        PgType::Timestamp if has_offset => Misfit::OffsetDropped,
        PgType::Timestamptz if !has_offset => Misfit::OffsetMissing,
        _ => Misfit::DateUnreadable,
    }
}

fn is_iso_date(text: &str) -> bool {
    text.len() >= 10
        && text.bytes().take(10).enumerate().all(|(position, byte)| match position {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        })
}

/// How dates and times are written down as something else than ISO text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DateEncoding {
    /// ISO 8601 text.
    Iso,
    /// Seconds since 1970.
    Epoch,
    /// Milliseconds since 1970.
    EpochMillis,
    /// Microseconds since 1970.
    EpochMicros,
    /// Days of the Julian calendar, as SQLite's `julianday` gives them.
    Julian,
    /// Year, month and day without anything between them.
    Compact,
    /// Numbers with slashes or points between them: whether the day or the month comes first, only a person can say.
    Ambiguous,
}

impl DateEncoding {
    /// Returns its name for people and machines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Iso => "ISO",
            Self::Epoch => "epoch seconds",
            Self::EpochMillis => "epoch milliseconds",
            Self::EpochMicros => "epoch microseconds",
            Self::Julian => "Julian day",
            Self::Compact => "YYYYMMDD",
            Self::Ambiguous => "day or month first",
        }
    }

    /// Guesses how a value stands for a date between 1971 and 2100; `None` where nothing fits.
    pub fn guess(value: &Value<'_>) -> Option<Self> {
        match value {
            Value::Integer(number) => of_count(*number as f64, true),
            Value::Real(number) => of_count(*number, false),
            Value::Text(text) => {
                let text = std::str::from_utf8(text).ok()?.trim();
                if is_iso_date(text) {
                    return Some(Self::Iso);
                }
                if let Ok(number) = text.parse::<f64>() {
                    return of_count(number, !text.contains('.'));
                }
                let is_date = text.len() >= 6
                    && text.bytes().next().is_some_and(|byte| byte.is_ascii_digit())
                    && text.bytes().filter(|byte| matches!(byte, b'/' | b'.')).count() >= 2;
                is_date.then_some(Self::Ambiguous)
            }
            Value::Null | Value::Blob(_) => None,
        }
    }
}

fn of_count(number: f64, is_whole: bool) -> Option<DateEncoding> {
    // From 1971 to 2100; the Julian days from 1900 to 2100.
    let years = |unit: f64| (31_536_000.0 * unit..4_102_444_800.0 * unit).contains(&number);
    if (2_415_020.0..2_488_070.0).contains(&number) {
        return Some(DateEncoding::Julian);
    }
    let days = number as i64;
    let compact = (1900..2100).contains(&(days / 10_000))
        && (1..=12).contains(&(days / 100 % 100))
        && (1..=31).contains(&(days % 100));
    if is_whole && compact {
        return Some(DateEncoding::Compact);
    }
    [(1.0, DateEncoding::Epoch), (1e3, DateEncoding::EpochMillis), (1e6, DateEncoding::EpochMicros)]
        .into_iter()
        .find(|(unit, _)| years(*unit))
        .map(|(_, encoding)| encoding)
}

/// How many characters of a shape are written.
const SHAPE_LENGTH: usize = 40;

/// Writes what a value looks like without saying what it is: `9999-99-99`, `Aaa aaa`, a blob of 3 bytes.
pub fn shape(value: &Value<'_>) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Integer(number) => format!("integer {}", shape_of(&number.to_string())),
        Value::Real(number) => format!("real {}", shape_of(&number.to_string())),
        Value::Text(text) if text.is_empty() => "an empty text".to_owned(),
        Value::Text(text) => shape_of(&String::from_utf8_lossy(text)),
        Value::Blob(bytes) => format!("a blob of {} bytes", bytes.len()),
    }
}

fn shape_of(text: &str) -> String {
    let mut shape = String::new();
    for character in text.chars().take(SHAPE_LENGTH) {
        match character {
            '0'..='9' => shape.push('9'),
            _ if character.is_uppercase() => shape.push('A'),
            _ if character.is_alphabetic() => shape.push('a'),
            _ if character.is_numeric() => shape.push('9'),
            ' '..='~' => shape.push(character),
            // Signs of other scripts and emoji can say something, too.
            _ if character.is_control() => {
                let _ = write!(shape, "\\x{:02x}", u32::from(character));
            }
            _ => shape.push('?'),
        }
    }
    let length = text.chars().count();
    if length > SHAPE_LENGTH {
        let _ = write!(shape, "… ({length} characters)");
    }
    shape
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    fn text(text: &str) -> Value<'_> {
        Value::Text(Cow::Borrowed(text.as_bytes()))
    }

    #[test]
    fn every_trouble_has_its_name() {
        let numeric = PgType::Numeric(Some((10, 2)));
        for (value, data_type, expected) in [
            (Value::Integer(1 << 40), PgType::Integer, "integer-range"),
            (Value::Real(1e300), PgType::Bigint, "integer-range"),
            (Value::Real(12.5), PgType::Bigint, "fraction"),
            (Value::Integer(123_456_789_012), numeric, "number-range"),
            (Value::Real(0.125), numeric, "lossy-number"),
            (text("0.125"), numeric, "lossy-number"),
            (text("1e3"), PgType::Bigint, "text-in-number"),
            (Value::Real(f64::INFINITY), numeric, "infinite-number"),
            (text(""), PgType::Bigint, "empty-text"),
            (text("abc"), numeric, "text-in-number"),
            (text("soon"), PgType::Date, "date-unreadable"),
            (text("2024-01-31T"), PgType::Date, "date-unreadable"),
            (Value::Integer(1_700_000_000), PgType::Timestamp, "date-number"),
            (text("0000-00-00 00:00:00"), PgType::Timestamp, "zero-date"),
            (text("2024-02-30"), PgType::Date, "no-such-day"),
            (text("2024-01-31 10:00:00+01:00"), PgType::Timestamp, "offset-dropped"),
            (text("2024-01-31 10:00:00"), PgType::Timestamptz, "offset-missing"),
            (text("yes"), PgType::Boolean, "boolean-word"),
            (Value::Integer(2), PgType::Boolean, "boolean-word"),
            (text("a\0b"), PgType::Text, "nul-character"),
            (Value::Text(Cow::Borrowed(b"\xff")), PgType::Text, "invalid-utf8"),
            (Value::Blob(Cow::Borrowed(b"a")), PgType::Text, "blob-in-text"),
            (text("a"), PgType::Bytea, "text-in-blob"),
            (Value::Integer(1), PgType::Text, "number-in-text"),
            (text("abcd"), PgType::Varchar(Some(3)), "text-too-long"),
            (text("abc   "), PgType::Varchar(Some(3)), "trailing-spaces"),
            (text("ab"), PgType::Char(3), "trailing-spaces"),
            (text("{a: 1}"), PgType::Json, "invalid-json"),
            (text("\"\\u0000\""), PgType::Jsonb, "refused-by-jsonb"),
            (text("{0011}"), PgType::Uuid, "invalid-uuid"),
        ] {
            assert_eq!(Misfit::of(&value, data_type).code(), expected, "{value:?} in {data_type}");
        }
    }

    #[test]
    fn shapes_show_no_value() {
        for (value, expected) in [
            (text("2024-02-30"), "9999-99-99"),
            (text("Ünï c0de 漢字!"), "Aaa a9aa aa!"),
            (text("a\0\u{1b}"), "a\\x00\\x1b"),
            (text(""), "an empty text"),
            (Value::Integer(-1234), "integer -9999"),
            (Value::Real(1.5), "real 9.9"),
            (Value::Blob(Cow::Borrowed(b"abc")), "a blob of 3 bytes"),
        ] {
            assert_eq!(shape(&value), expected);
        }
        assert_eq!(shape(&text(&"x".repeat(500))), format!("{}… (500 characters)", "a".repeat(40)));
    }

    #[test]
    fn encodings_of_dates_are_guessed() {
        for (value, expected) in [
            (Value::Integer(1_700_000_000), Some("epoch seconds")),
            (Value::Integer(1_700_000_000_000), Some("epoch milliseconds")),
            (Value::Integer(1_700_000_000_000_000), Some("epoch microseconds")),
            (Value::Real(2_460_000.5), Some("Julian day")),
            (text("1700000000"), Some("epoch seconds")),
            (Value::Integer(20_240_131), Some("YYYYMMDD")),
            (text("01/02/2024"), Some("day or month first")),
            (text("2024-01-31 10:00:00+01:00"), Some("ISO")),
            (text("soon"), None),
            (Value::Integer(7), None),
        ] {
            assert_eq!(DateEncoding::guess(&value).map(DateEncoding::name), expected, "{value:?}");
        }
    }
}

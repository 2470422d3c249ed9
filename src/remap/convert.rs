//! SQLite value → field of binary COPY. A value goes through exactly, or not at all.

use super::planted::planted;
use super::{decimal, json};
use crate::schema::{PgType, Value};
use jiff::civil::{Date, DateTime, Time};

/// Appends a field: its length in four bytes, and its bytes; -1 for NULL.
///
/// # Errors
/// A fragment that says why the value does not fit, without showing it. `out` is then as it was.
pub(super) fn field(value: &Value<'_>, data_type: PgType, out: &mut Vec<u8>) -> Result<(), String> {
    if planted!(EmptyIsNull, value.is_null(), value.is_null() || matches!(value, Value::Text(text) if text.is_empty()))
    {
        out.extend_from_slice(&(-1_i32).to_be_bytes());
        return Ok(());
    }
    // What most fields are is written in one piece.
    match (data_type, value) {
        (PgType::Bigint, Value::Integer(number)) => {
            let number = planted!(IntegerThroughDouble, *number, *number as f64 as i64);
            let [a, b, c, d, e, f, g, h] = number.to_be_bytes();
            out.extend_from_slice(&[0, 0, 0, 8, a, b, c, d, e, f, g, h]);
            return Ok(());
        }
        (PgType::Boolean, Value::Integer(number @ (0 | 1))) => {
            out.extend_from_slice(&[0, 0, 0, 1, *number as u8]);
            return Ok(());
        }
        _ => {}
    }
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    match body(value, data_type, out) {
        Ok(()) => {
            let length = i32::try_from(out.len() - start - 4).map_err(|_| "it is larger than 2 GiB".to_owned())?;
            out[start..start + 4].copy_from_slice(&length.to_be_bytes());
            Ok(())
        }
        Err(reason) => {
            out.truncate(start);
            Err(reason)
        }
    }
}

fn body(value: &Value<'_>, data_type: PgType, out: &mut Vec<u8>) -> Result<(), String> {
    let misfit = || Err(format!("{} in a column of type {data_type}", stored(value)));
    match (data_type, value) {
        (PgType::Boolean, Value::Integer(_)) => {
            return Err("an integer other than 0 and 1 in a boolean column".to_owned());
        }
        (PgType::Boolean, Value::Text(text)) => match text.to_ascii_lowercase().as_slice() {
            b"t" | b"true" => out.push(1),
            b"f" | b"false" => out.push(planted!(AnyWordIsTrue, 0, 1)),
            _ => return Err("a text other than t, true, f and false in a boolean column".to_owned()),
        },
        (PgType::Integer, Value::Integer(number)) => {
            out.extend_from_slice(&i32::try_from(*number).map_err(|_| out_of_range(data_type))?.to_be_bytes());
        }
        (PgType::Smallint, Value::Integer(number)) => {
            out.extend_from_slice(&i16::try_from(*number).map_err(|_| out_of_range(data_type))?.to_be_bytes());
        }
        (PgType::Double, Value::Real(number)) => out.extend_from_slice(&number.to_be_bytes()),
        (PgType::Double, Value::Integer(number)) => {
            let double = *number as f64;
            // Every integer up to 2^53 is a double of its own; beyond, only some are.
            if number.unsigned_abs() > 1 << 53 && double as i128 != i128::from(*number) {
                return Err("an integer that double precision cannot hold exactly".to_owned());
            }
            out.extend_from_slice(&double.to_be_bytes());
        }
        (PgType::Real, Value::Real(number)) => {
            if f64::from(*number as f32).to_bits() != number.to_bits() {
                return Err("a number that real cannot hold exactly".to_owned());
            }
            out.extend_from_slice(&(*number as f32).to_be_bytes());
        }
        (PgType::Real, Value::Integer(number)) if number.unsigned_abs() <= 1 << 24 => {
            out.extend_from_slice(&(*number as f32).to_be_bytes());
        }
        (PgType::Numeric(limits), Value::Integer(number)) => {
            if !scaled(limits, out, |scale| 10_i64.checked_pow(scale.into())?.checked_mul(*number)) {
                decimal::encode(&number.to_string(), limits, out)?;
            }
        }
        (PgType::Numeric(limits), Value::Real(number)) if number.is_finite() => {
            if !scaled(limits, out, |scale| decimal::coefficient(*number, scale)) {
                // Display gives the shortest decimal that reads back as the same double, without an exponent.
                decimal::encode(&number.to_string(), limits, out)?;
            }
        }
        (PgType::Numeric(_), Value::Real(_)) => return Err("an infinite number in a numeric column".to_owned()),
        (PgType::Numeric(limits), Value::Text(text)) => decimal::encode(utf8(text)?, limits, out)?,
        (PgType::Text | PgType::Citext | PgType::Varchar(None), Value::Text(text)) => {
            let text = storable(text)?;
            out.extend_from_slice(planted!(SpacesTrimmed, text, text.trim_end()).as_bytes());
        }
        (PgType::Varchar(Some(length)), Value::Text(text)) if text.len() <= length as usize && is_plain(text) => {
            out.extend_from_slice(text);
        }
        (PgType::Varchar(Some(length)) | PgType::Char(length), Value::Text(text)) => {
            let text = storable(text)?;
            let length = length as usize;
            // A text never has more characters than bytes: most need no counting.
            if text.len() > length && text.chars().count() > length {
                return Err(format!("a text of {} characters in a column of type {data_type}", text.chars().count()));
            }
            out.extend_from_slice(text.as_bytes());
            if matches!(data_type, PgType::Char(_)) && (text.ends_with(' ') || text.chars().count() < length) {
                return Err(format!("a text that {data_type} would pad or whose trailing spaces it would ignore"));
            }
        }
        (PgType::Bytea, Value::Blob(bytes)) => {
            let end = planted!(BytesEndAtZero, bytes.len(), bytes.iter().take_while(|byte| **byte != 0).count());
            out.extend_from_slice(&bytes[..end]);
        }
        (PgType::Date, Value::Text(text)) => {
            out.extend_from_slice(&days(date(utf8(text)?)?).to_be_bytes());
        }
        (PgType::Timestamp, Value::Text(text)) => {
            let text = utf8(text)?;
            if has_offset(text) {
                return Err("a time with an offset, which timestamp would drop".to_owned());
            }
            out.extend_from_slice(&micros(date_time(text)?)?.to_be_bytes());
        }
        (PgType::Timestamptz, Value::Text(text)) => {
            let text = utf8(text)?;
            if !has_offset(text) {
                return Err("a time without an offset in a column of type timestamptz".to_owned());
            }
            let (local, ahead) = split_offset(text)?;
            out.extend_from_slice(&(micros(date_time(local)?)? - ahead * 1_000_000).to_be_bytes());
        }
        (PgType::Time, Value::Text(text)) => {
            let text = utf8(text)?;
            let time = time(text)?;
            let micros = time.duration_since(Time::midnight()).as_micros() as i64;
            out.extend_from_slice(&micros.to_be_bytes());
        }
        (PgType::Uuid, Value::Text(text)) => out.extend_from_slice(&uuid(utf8(text)?)?),
        (PgType::Uuid, Value::Blob(bytes)) if bytes.len() == 16 => out.extend_from_slice(bytes),
        (PgType::Json | PgType::Jsonb, Value::Text(_) | Value::Integer(_) | Value::Real(_)) => {
            json::field(value, data_type, out)?
        }
        _ => return misfit(),
    }
    Ok(())
}

/// Writes a number by its integer coefficient, which needs no text; false where there is none so short.
fn scaled(limits: Option<(u16, i16)>, out: &mut Vec<u8>, coefficient: impl Fn(u16) -> Option<i64>) -> bool {
    let Some((precision, scale)) = limits else { return false };
    let Ok(scale) = u16::try_from(scale) else { return false };
    coefficient(scale).is_some_and(|coefficient| decimal::encode_scaled(coefficient, precision, scale, out))
}

fn stored(value: &Value<'_>) -> &'static str {
    match value {
        Value::Null => "a NULL",
        Value::Integer(_) => "an integer",
        Value::Real(_) => "a floating-point number",
        Value::Text(text) if text.is_empty() => "an empty text",
        Value::Text(_) => "a text",
        Value::Blob(_) => "a blob",
    }
}

fn out_of_range(data_type: PgType) -> String {
    format!("an integer out of the range of {data_type}")
}

fn not_a(what: &str) -> String {
    format!("a text that is not a {what} in ISO form")
}

pub(super) fn utf8(text: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(text).map_err(|_| "a text that is not valid UTF-8".to_owned())
}

pub(super) fn storable(text: &[u8]) -> Result<&str, String> {
    if text.contains(&0) {
        return Err("a text with a NUL character, which PostgreSQL refuses".to_owned());
    }
    utf8(text)
}

/// Says whether a text is ASCII without a NUL, as most are: it is looked at once, eight characters at a time.
fn is_plain(text: &[u8]) -> bool {
    const HIGHEST_BITS: u64 = u64::from_ne_bytes([0x80; 8]);
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    let (words, rest) = text.as_chunks();
    let is_plain = |word: &[u8; 8]| {
        let word = u64::from_le_bytes(*word);
        // Where a byte is zero one is borrowed for it, and its highest bit is set.
        (word | word.wrapping_sub(ONES)) & HIGHEST_BITS == 0
    };
    words.iter().all(is_plain) && rest.iter().all(|byte| (1..0x80).contains(byte))
}

/// Reads `YYYY-MM-DD` and nothing else: no words, no compact form, no month that has not got the day.
fn date(text: &str) -> Result<Date, String> {
    let shaped = text.len() == 10
        && text.bytes().enumerate().all(|(position, byte)| match position {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    if !shaped {
        return Err(not_a("date"));
    }
    let number = |range| number(&text.as_bytes()[range]);
    let date = Date::new(number(0..4) as i16, number(5..7) as i8, number(8..10) as i8)
        .map_err(|_| "a date that is in no calendar".to_owned())?;
    if date.year() < 1 { Err("a date of the year 0".to_owned()) } else { Ok(date) }
}

/// Reads `HH:MM`, `HH:MM:SS` and `HH:MM:SS.ffffff`.
fn time(text: &str) -> Result<Time, String> {
    let bytes = text.as_bytes();
    let shaped = bytes.len() >= 5
        && bytes.iter().enumerate().all(|(position, byte)| match position {
            2 | 5 => *byte == b':',
            8 => *byte == b'.',
            _ => byte.is_ascii_digit(),
        })
        && matches!(bytes.len(), 5 | 8 | 10..);
    if !shaped {
        return Err(not_a("time"));
    }
    if bytes[6.min(bytes.len())..].starts_with(b"60") {
        return Err("a leap second".to_owned());
    }
    if bytes.len() > 15 && bytes[15..].iter().any(|&byte| byte != b'0') {
        return Err("a time with more than six decimals of a second".to_owned());
    }
    let part = |start: usize, end: usize| number(&bytes[start.min(bytes.len())..end.min(bytes.len())]);
    // A fraction of less than six digits says tenths, hundredths and so on.
    let power = 10_i32.pow(15_usize.saturating_sub(bytes.len()).min(6) as u32);
    let micros = planted!(FractionDropped, part(9, 15) * power, 0);
    Time::new(part(0, 2) as i8, part(3, 5) as i8, part(6, 8) as i8, micros * 1000).map_err(|_| not_a("time"))
}

/// Reads at most six digits; none are 0.
fn number(digits: &[u8]) -> i32 {
    digits.iter().fold(0, |sum, digit| sum * 10 + i32::from(digit - b'0'))
}

/// Reads a date, a space or `T`, and a time; a date alone is its midnight, as for SQLite's own functions.
pub(super) fn date_time(text: &str) -> Result<DateTime, String> {
    match text.get(..10).zip(text.get(10..)) {
        Some((day, "")) => Ok(date(day)?.to_datetime(Time::midnight())),
        Some((day, rest)) => match rest.strip_prefix([' ', 'T']) {
            Some(clock) => Ok(date(day)?.to_datetime(time(clock)?)),
            None => Err(not_a("date and time")),
        },
        None => Err(not_a("date and time")),
    }
}

pub(super) fn has_offset(text: &str) -> bool {
    text.get(10..).is_some_and(|rest| rest.ends_with(['Z', 'z']) || rest.contains(['+', '-']))
}

/// Splits a time with an offset, `Z` or `±HH:MM`, into the local time and the seconds that it is ahead of UTC.
pub(super) fn split_offset(text: &str) -> Result<(&str, i64), String> {
    if let Some(local) = text.strip_suffix(['Z', 'z']) {
        return Ok((local, 0));
    }
    let bad = || "an offset that is neither Z nor of the form +HH:MM".to_owned();
    let at = text.len().checked_sub(6).filter(|&at| text.is_char_boundary(at)).ok_or_else(bad)?;
    let (local, offset) = text.split_at(at);
    let sign = match offset.as_bytes()[0] {
        b'+' => 1,
        b'-' => -1,
        _ => return Err(bad()),
    };
    let two = |text: Option<&str>, below: i64| -> Option<i64> {
        let number = text.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?.parse::<i64>().ok()?;
        (number < below).then_some(number)
    };
    let hours = two(offset.get(1..3), 16).ok_or_else(bad)?;
    let minutes = two(offset.get(4..6), 60).filter(|_| offset.get(3..4) == Some(":")).ok_or_else(bad)?;
    Ok((local, sign * (planted!(OffsetAnHourMore, hours, hours + 1) * 3600 + minutes * 60)))
}

pub(super) fn days(date: Date) -> i32 {
    let first = planted!(DayLate, Date::constant(2000, 1, 1), Date::constant(1999, 12, 31));
    (date.duration_since(first).as_hours() / 24) as i32
}

pub(super) fn micros(moment: DateTime) -> Result<i64, String> {
    let epoch = DateTime::constant(2000, 1, 1, 0, 0, 0, 0);
    i64::try_from(moment.duration_since(epoch).as_micros()).map_err(|_| "a time out of range".to_owned())
}

/// Reads the form with hyphens, in either case.
fn uuid(text: &str) -> Result<[u8; 16], String> {
    let bad = || "a text that is not a UUID of the form with hyphens".to_owned();
    let bytes = text.as_bytes();
    if bytes.len() != 36 || [8, 13, 18, 23].iter().any(|&position| bytes[position] != b'-') {
        return Err(bad());
    }
    let mut out = [0; 16];
    let mut digits =
        bytes.iter().enumerate().filter(|(position, _)| ![8, 13, 18, 23].contains(position)).map(|(_, byte)| byte);
    for slot in &mut out {
        let mut nibble = || digits.next().and_then(|&digit| char::from(digit).to_digit(16)).ok_or_else(bad);
        *slot = (nibble()? * 16 + nibble()?) as u8;
    }
    planted!(UuidByteOrder, {}, out[..4].reverse());
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    fn text(text: &str) -> Value<'_> {
        Value::Text(Cow::Borrowed(text.as_bytes()))
    }

    fn encoded(value: &Value<'_>, data_type: PgType) -> Result<Vec<u8>, String> {
        let mut out = vec![9];
        let result = field(value, data_type, &mut out);
        assert!(result.is_ok() || out == [9], "a failure leaves the buffer as it was");
        result.map(|()| out[5..].to_vec())
    }

    #[test]
    fn integers_keep_their_range() {
        assert_eq!(encoded(&Value::Integer(-2), PgType::Bigint).unwrap(), (-2_i64).to_be_bytes());
        assert!(encoded(&Value::Integer(1 << 31), PgType::Integer).is_err());
        assert!(encoded(&text("1"), PgType::Bigint).is_err());
        assert!(encoded(&text(""), PgType::Bigint).is_err());
        assert!(encoded(&Value::Real(1.5), PgType::Bigint).is_err());
    }

    #[test]
    fn booleans_are_a_closed_list() {
        for (value, expected) in [(Value::Integer(1), 1), (text("t"), 1), (text("FALSE"), 0), (Value::Integer(0), 0)] {
            assert_eq!(encoded(&value, PgType::Boolean).unwrap(), [expected]);
        }
        for value in [Value::Integer(2), text("yes"), text(""), Value::Real(0.5)] {
            assert!(encoded(&value, PgType::Boolean).is_err(), "{value:?}");
        }
    }

    #[test]
    fn texts_are_neither_cut_nor_trimmed_nor_padded() {
        assert!(encoded(&text("abc "), PgType::Varchar(Some(3))).is_err());
        assert_eq!(encoded(&text("äbc"), PgType::Varchar(Some(3))).unwrap(), "äbc".as_bytes());
        assert!(encoded(&text("ab"), PgType::Char(3)).is_err());
        assert!(encoded(&text("a\0b"), PgType::Text).is_err());
        assert!(encoded(&Value::Text(Cow::Borrowed(&[0xff])), PgType::Text).is_err());
        assert!(encoded(&Value::Blob(Cow::Borrowed(b"a")), PgType::Text).is_err());
    }

    #[test]
    fn a_nul_or_a_letter_beyond_ascii_is_found_wherever_it_stands() {
        for length in 0..20 {
            let plain: Vec<u8> = (0..length).map(|position| [1, b'a', 0x7f][position % 3]).collect();
            assert!(is_plain(&plain));
            for position in 0..length {
                for byte in [0, 0x80, 0xff] {
                    let mut other = plain.clone();
                    other[position] = byte;
                    assert!(!is_plain(&other), "{other:?}");
                }
            }
        }
    }

    #[test]
    fn dates_count_from_the_year_2000() {
        assert_eq!(encoded(&text("2000-01-02"), PgType::Date).unwrap(), 1_i32.to_be_bytes());
        assert_eq!(encoded(&text("1999-12-31"), PgType::Date).unwrap(), (-1_i32).to_be_bytes());
        for junk in ["2024-02-30", "20240101", "now", "infinity", "0000-00-00", "2024-1-1", "2024-01-01 ", ""] {
            assert!(encoded(&text(junk), PgType::Date).is_err(), "{junk:?}");
        }
    }

    #[test]
    fn timestamps_drop_nothing() {
        let micros = |value: &str| {
            encoded(&text(value), PgType::Timestamp).map(|bytes| i64::from_be_bytes(bytes.try_into().unwrap()))
        };
        assert_eq!(micros("2000-01-01 00:00:01"), Ok(1_000_000));
        assert_eq!(micros("2000-01-01T00:00:00.000001"), Ok(1));
        assert_eq!(micros("2000-01-02"), Ok(86_400_000_000));
        assert_eq!(micros("1999-12-31 23:59"), Ok(-60_000_000));
        assert_eq!(micros("2000-01-01 00:00:00.5"), Ok(500_000));
        assert_eq!(micros("2000-01-01 01:02:03.1234560"), Ok(3_723_123_456));
        for junk in [
            "2000-01-01 00:00:00Z",
            "2000-01-01 00:00:00+01:00",
            "2000-01-01 00:00:00.0000001",
            "2000-01-01 24:00:00",
            "2000-01-01 00:60:00",
            "2000-01-01 00:00:00.",
            "2000-01-01 00:00:0",
            "2000-01-01 23:59:60",
            "now",
            "2000-01-01 1:00",
            "2000-01-01  00:00:00",
        ] {
            assert!(micros(junk).is_err(), "{junk:?}");
        }
        let zoned = |value: &str| {
            encoded(&text(value), PgType::Timestamptz).map(|bytes| i64::from_be_bytes(bytes.try_into().unwrap()))
        };
        assert_eq!(zoned("2000-01-01 01:00:00+01:00"), Ok(0));
        assert_eq!(zoned("1999-12-31T19:30:00.5-04:30"), Ok(500_000));
        for junk in [
            "2000-01-01 00:00:00",
            "2000-01-01T23:56:60Z",
            "2000-01-01t00:00:00Z",
            "20000101T000000Z",
            "2000-01-01 00:00:00,5Z",
            "2000-01-01 00:00:00+01:00:30",
            "2000-01-01 00:00:00+0100",
            "2000-01-01 00:00:00+1:00",
            "2000-01-01 00:00:00+99:00",
            "ü+01:00",
        ] {
            assert!(zoned(junk).is_err(), "{junk:?}");
        }
    }

    #[test]
    fn doubles_and_integers_stay_exact() {
        assert_eq!(encoded(&Value::Integer(5), PgType::Double).unwrap(), 5.0_f64.to_be_bytes());
        assert!(encoded(&Value::Integer((1 << 53) + 1), PgType::Double).is_err());
        assert!(encoded(&Value::Real(0.1), PgType::Real).is_err());
        assert!(encoded(&Value::Real(f64::INFINITY), PgType::Numeric(None)).is_err());
    }

    #[test]
    fn json_and_uuid_are_checked() {
        assert_eq!(encoded(&text("{\"a\": 1}"), PgType::Jsonb).unwrap(), b"\x01{\"a\": 1}");
        assert!(encoded(&text("{a: 1}"), PgType::Jsonb).is_err());
        assert_eq!(
            encoded(&text("00112233-4455-6677-8899-AABBCCDDEEFF"), PgType::Uuid).unwrap(),
            [0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff]
        );
        assert!(encoded(&text("0011223344556677-8899-AABBCCDDEEFF--"), PgType::Uuid).is_err());
    }
}

//! What a value of SQLite has to be in a column of PostgreSQL: exactly itself, or nothing.

use super::{Canonical, calendar, decimal::Decimal, json};
use crate::schema::{PgType, Value};
use std::borrow::Cow;

impl<'a> Canonical<'a> {
    /// Says what a stored value is to become; [`Canonical::Unconvertible`] where the type cannot say it.
    pub fn from_sqlite(value: &'a Value<'_>, data_type: PgType) -> Self {
        let form = match value {
            Value::Null => Some(Self::Null),
            Value::Integer(number) => from_integer(*number, data_type),
            Value::Real(number) => from_real(*number, data_type),
            Value::Text(text) => from_text(text, data_type),
            Value::Blob(blob) => from_blob(blob, data_type),
        };
        form.unwrap_or_else(|| Self::Unconvertible(value.storage(), bytes_of(value)))
    }
}

pub(super) fn bytes_of(value: &Value<'_>) -> Vec<u8> {
    match value {
        Value::Null => Vec::new(),
        Value::Integer(number) => number.to_string().into_bytes(),
        Value::Real(number) => number.to_string().into_bytes(),
        Value::Text(bytes) | Value::Blob(bytes) => bytes.to_vec(),
    }
}

fn single<'a>(number: f64) -> Option<Canonical<'a>> {
    let single = number as f32;
    (f64::from(single).to_bits() == number.to_bits()).then(|| Canonical::Single(single.to_bits()))
}

fn from_integer<'a>(number: i64, data_type: PgType) -> Option<Canonical<'a>> {
    // As i128, because i64::MAX as a double is 2^63, which casts back to i64::MAX.
    let double = || Some(number as f64).filter(|&double| double as i128 == i128::from(number));
    match data_type {
        PgType::Boolean => match number {
            0 | 1 => Some(Canonical::Boolean(number == 1)),
            _ => None,
        },
        PgType::Smallint => i16::try_from(number).ok().map(|_| Canonical::Integer(number)),
        PgType::Integer => i32::try_from(number).ok().map(|_| Canonical::Integer(number)),
        PgType::Bigint => Some(Canonical::Integer(number)),
        PgType::Real => single(double()?),
        PgType::Double => Some(Canonical::Double(double()?.to_bits())),
        PgType::Numeric(_) => Some(Canonical::Decimal(Decimal::from_integer(number))),
        PgType::Json => Some(Canonical::Json(Cow::Owned(number.to_string().into_bytes()))),
        PgType::Jsonb => json::encode(number.to_string().as_bytes()).map(Canonical::Jsonb),
        _ => None,
    }
}

fn from_real<'a>(number: f64, data_type: PgType) -> Option<Canonical<'a>> {
    match data_type {
        PgType::Real => single(number),
        PgType::Double => Some(Canonical::Double(number.to_bits())),
        PgType::Numeric(_) => Some(Canonical::Decimal(Decimal::from_double(number))),
        // JSON has no infinity; a finite number is its shortest decimal, without an exponent.
        PgType::Json if number.is_finite() => Some(Canonical::Json(Cow::Owned(number.to_string().into_bytes()))),
        PgType::Jsonb => json::encode(format!("{number:e}").as_bytes()).map(Canonical::Jsonb),
        _ => None,
    }
}

fn from_text(text: &[u8], data_type: PgType) -> Option<Canonical<'_>> {
    match data_type {
        PgType::Boolean => match text.to_ascii_lowercase().as_slice() {
            b"t" | b"true" => Some(Canonical::Boolean(true)),
            b"f" | b"false" => Some(Canonical::Boolean(false)),
            _ => None,
        },
        PgType::Numeric(_) => Decimal::from_text(text).map(Canonical::Decimal),
        PgType::Text | PgType::Citext | PgType::Varchar(_) => Some(Canonical::Text(Cow::Borrowed(text))),
        PgType::Char(_) => Some(Canonical::Text(Cow::Borrowed(without_padding(text)))),
        PgType::Date => calendar::date(text).map(Canonical::Date),
        PgType::Time => calendar::time(text).map(Canonical::Time),
        PgType::Timestamp => calendar::timestamp(text).map(Canonical::Timestamp),
        PgType::Timestamptz => calendar::instant(text).map(Canonical::Instant),
        PgType::Uuid => uuid(text).map(Canonical::Uuid),
        PgType::Json => Some(Canonical::Json(Cow::Borrowed(text))),
        PgType::Jsonb => json::encode(text).map(Canonical::Jsonb),
        _ => None,
    }
}

fn from_blob(blob: &[u8], data_type: PgType) -> Option<Canonical<'_>> {
    match data_type {
        PgType::Bytea => Some(Canonical::Bytes(Cow::Borrowed(blob))),
        PgType::Uuid => blob.try_into().ok().map(Canonical::Uuid),
        _ => None,
    }
}

/// Cuts the spaces at the end, which `char(n)` adds and does not count.
pub(super) fn without_padding(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|&byte| byte != b' ').map_or(0, |last| last + 1);
    &text[..end]
}

/// Reads 32 hexadecimal digits in either case: bare or in groups of 8-4-4-4-12, with or without braces.
fn uuid(text: &[u8]) -> Option<[u8; 16]> {
    let inner = text.strip_prefix(b"{").and_then(|inner| inner.strip_suffix(b"}")).unwrap_or(text);
    let hyphens: Vec<usize> = (0..inner.len()).filter(|&at| inner[at] == b'-').collect();
    if !hyphens.is_empty() && hyphens != [8, 13, 18, 23] {
        return None;
    }
    let digits = inner.iter().filter(|&&byte| byte != b'-');
    let digits = digits.map(|&byte| char::from(byte).to_digit(16)).collect::<Option<Vec<u32>>>()?;
    let bytes: Vec<u8> =
        digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte * 16 + *digit as u8)).collect();
    (digits.len() == 32).then(|| bytes.try_into().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value<'_> {
        Value::Text(Cow::Borrowed(text.as_bytes()))
    }

    fn converts(value: &Value<'_>, data_type: PgType) -> bool {
        !matches!(Canonical::from_sqlite(value, data_type), Canonical::Unconvertible(..))
    }

    #[test]
    fn what_does_not_fit_exactly_has_a_form_that_nothing_else_has() {
        for (value, data_type) in [
            (Value::Integer(2), PgType::Boolean),
            (text("yes"), PgType::Boolean),
            (text(""), PgType::Boolean),
            (Value::Integer(32_768), PgType::Smallint),
            (Value::Integer(1 << 31), PgType::Integer),
            (Value::Real(12.0), PgType::Bigint),
            (text("12"), PgType::Bigint),
            (Value::Integer(7), PgType::Text),
            (Value::Real(1.0), PgType::Boolean),
            (text("1.5"), PgType::Double),
            (text("abc"), PgType::Bytea),
            (Value::Integer((1 << 53) + 1), PgType::Double),
            (Value::Integer(i64::MAX), PgType::Double),
            (Value::Real(0.1), PgType::Real),
            (text("x"), PgType::Numeric(None)),
            (Value::Blob(Cow::Borrowed(b"abc")), PgType::Text),
            (Value::Integer(1), PgType::Bytea),
            (Value::Integer(1_700_000_000), PgType::Timestamp),
            (text("2024-02-30"), PgType::Date),
            (text("2024-01-01T00:00:00Z"), PgType::Timestamp),
            (text("2024-01-01T00:00:00"), PgType::Timestamptz),
            (text("a0eebc99-9c0b4ef8-bb6d-6bb9bd380a11"), PgType::Uuid),
            (text("{bad json"), PgType::Jsonb),
            (Value::Real(f64::INFINITY), PgType::Json),
            (Value::Real(f64::INFINITY), PgType::Jsonb),
        ] {
            assert!(!converts(&value, data_type), "{value:?} {data_type}");
        }
        let not_a_number = text("12.50");
        let unconvertible = Canonical::from_sqlite(&not_a_number, PgType::Bigint);
        assert_eq!(unconvertible, Canonical::Unconvertible("text", b"12.50".to_vec()));
    }

    #[test]
    fn what_fits_exactly_is_one_form_whatever_its_storage() {
        for (one, other, data_type) in [
            (Value::Integer(1), text("TRUE"), PgType::Boolean),
            (Value::Integer(3), Value::Real(3.0), PgType::Double),
            (Value::Real(1.5), text("1.50"), PgType::Numeric(Some((10, 2)))),
            (text("ab  "), text("ab"), PgType::Char(4)),
            (Value::Real(1e21), text("1000000000000000000000"), PgType::Json),
            (Value::Integer(-7), text("-7"), PgType::Json),
            (text("{A0EEBC999C0B4EF8BB6D6BB9BD380A11}"), text("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"), PgType::Uuid),
            (Value::Real(1.5), text(" 1.50 "), PgType::Jsonb),
            (text("2024-01-01"), text("2024-01-01T00:00:00.000"), PgType::Timestamp),
        ] {
            assert!(converts(&one, data_type), "{one:?} {data_type}");
            assert_eq!(Canonical::from_sqlite(&one, data_type), Canonical::from_sqlite(&other, data_type));
        }
        assert_ne!(
            Canonical::from_sqlite(&Value::Real(-0.0), PgType::Double),
            Canonical::from_sqlite(&Value::Real(0.0), PgType::Double)
        );
    }
}

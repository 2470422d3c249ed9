//! Which values a column takes: those that have a canonical form, as far as the type keeps it whole.
//!
//! A canonical form says what a value has to be, whatever its column's limits; comparing two of them needs no more. Here the
//! limits count as well, because a row may have been kept out for them.

use super::{Canonical, Decimal};
use crate::schema::{PgType, Value};
use crate::spec::Conversion;

/// How deep arrays and objects may stand in each other.
const DEEPEST: usize = 999;

/// Says whether a column takes a value, whose form this is.
pub(in crate::verify) fn fits(
    form: &Canonical<'_>,
    value: &Value<'_>,
    data_type: PgType,
    conversion: Option<&Conversion>,
) -> bool {
    match form {
        Canonical::Unconvertible(..) => false,
        Canonical::Decimal(number) => {
            let has_exponent =
                matches!(value, Value::Text(text) if text.iter().any(|byte| byte.eq_ignore_ascii_case(&b'e')));
            number.is_finite() && !has_exponent && has_room(number, data_type)
        }
        Canonical::Text(text) => match data_type {
            PgType::Char(length) => {
                let is_padded = matches!(value, Value::Text(text) | Value::Blob(text) if text.ends_with(b" "));
                !is_padded && characters(text) == Some(length as usize)
            }
            PgType::Varchar(Some(length)) => characters(text).is_some_and(|count| count <= length as usize),
            _ => characters(text).is_some(),
        },
        Canonical::Json(text) => is_json(text),
        Canonical::Single(_) => !matches!(value, Value::Integer(number) if number.unsigned_abs() > 1 << 24),
        Canonical::Uuid(_) => match value {
            Value::Text(text) => text.len() == 36,
            _ => true,
        },
        Canonical::Instant(_) if conversion.is_none_or(|rule| rule.read.is_none()) => match value {
            Value::Text(text) => ends_with_offset(text) || conversion.is_some_and(|rule| rule.zone.is_some()),
            _ => true,
        },
        _ => true,
    }
}

/// Counts the characters of a text that PostgreSQL can store.
fn characters(text: &[u8]) -> Option<usize> {
    std::str::from_utf8(text).ok().filter(|text| !text.contains('\0')).map(|text| text.chars().count())
}

fn has_room(number: &Decimal, data_type: PgType) -> bool {
    let (before, behind, zeros) = number.places();
    match data_type {
        PgType::Numeric(Some((precision, scale))) => {
            behind <= i64::from(scale.max(0))
                && before <= i64::from(precision) - i64::from(scale)
                && (scale >= 0 || before == 0 || zeros >= -i64::from(scale))
        }
        _ => before <= 131_072 && behind <= 16_383,
    }
}

fn is_json(text: &[u8]) -> bool {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for &byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest <= DEEPEST && characters(text).is_some() && serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok()
}

/// Says whether a text ends with `Z`, or with `±HH:MM` of less than 16 hours, right behind its time.
fn ends_with_offset(text: &[u8]) -> bool {
    match text {
        [.., b'Z' | b'z'] => true,
        [.., before, b'+' | b'-', tens @ b'0'..=b'1', ones @ b'0'..=b'9', b':', b'0'..=b'5', b'0'..=b'9'] => {
            before.is_ascii_digit() && (*tens == b'0' || *ones < b'6')
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remap;
    use std::borrow::Cow;

    /// The copy has its own code for this: on all of these the two have to agree.
    #[test]
    fn a_column_takes_what_the_copy_writes() {
        const TEXTS: &[&str] = &[
            "",
            "a",
            "ab",
            "abc",
            "abcd",
            "abc ",
            "ab ",
            "äöü",
            "a\0b",
            "1",
            "-1.50",
            "+0.125",
            ".5",
            "1.",
            "1e5",
            "007",
            " 1",
            "99999999.99",
            "100000000",
            "0.000",
            "t",
            "TRUE",
            "f",
            "yes",
            "now",
            "2024-02-29",
            "2024-02-30",
            "0000-00-00",
            "0001-01-01",
            "2024-02-29 10:00:00",
            "2024-02-29T10:00",
            "2024-02-29 10:00:00.1234567",
            "2024-02-29 10:00:00Z",
            "2024-02-29 10:00:00+02:00",
            "2024-02-29 10:00:00+02",
            "2024-02-29 10:00:00 +02:00",
            "2024-02-29 10:00:00-15:59",
            "2024-02-29 10:00:00+16:00",
            "2024-02-29Z",
            "10:00",
            "24:00:00",
            "23:59:59.999999",
            "23:59:60",
            "10:00:00.",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
            "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}",
            "a0eebc999c0b4ef8bb6d6bb9bd380a11",
            "{}",
            "[1,]",
            "{\"a\": 1, \"a\": 2}",
            "{\"a\": {\"a\": 1}}",
            "\"\\u0000\"",
            "\"\\ud800\"",
            "1e999999",
            "[1e-20000]",
            "null",
            "nul",
            "\"a\\\"[\"",
        ];
        let types = [
            PgType::Boolean,
            PgType::Smallint,
            PgType::Integer,
            PgType::Bigint,
            PgType::Real,
            PgType::Double,
            PgType::Numeric(None),
            PgType::Numeric(Some((10, 2))),
            PgType::Numeric(Some((3, 3))),
            PgType::Numeric(Some((5, -2))),
            PgType::Text,
            PgType::Citext,
            PgType::Varchar(None),
            PgType::Varchar(Some(3)),
            PgType::Char(3),
            PgType::Bytea,
            PgType::Date,
            PgType::Time,
            PgType::Timestamp,
            PgType::Timestamptz,
            PgType::Uuid,
            PgType::Json,
            PgType::Jsonb,
        ];
        let mut values: Vec<Value<'_>> = TEXTS.iter().map(|text| Value::Text(Cow::Borrowed(text.as_bytes()))).collect();
        values.push(Value::Text(Cow::Borrowed(b"\xff")));
        values.extend([&b""[..], b"abc", b"\xff\0", &[7; 16]].map(|blob| Value::Blob(Cow::Borrowed(blob))));
        values.extend(
            [
                0,
                1,
                2,
                -1,
                300,
                32_767,
                32_768,
                1 << 24,
                (1 << 24) + 1,
                1 << 25,
                1 << 31,
                (1 << 53) + 1,
                i64::MAX,
                i64::MIN,
            ]
            .map(Value::Integer),
        );
        values.extend(
            [
                0.0,
                -0.0,
                0.5,
                0.1,
                1.25,
                0.125,
                300.0,
                1e8,
                99_999_999.99,
                1e300,
                5e-324,
                f64::INFINITY,
                f64::NEG_INFINITY,
            ]
            .map(Value::Real),
        );
        let mut wrong = Vec::new();
        for value in &values {
            for data_type in types {
                let form = Canonical::from_sqlite(value, data_type);
                let (found, expected) = (fits(&form, value, data_type, None), remap::takes(value, data_type));
                if found != expected {
                    wrong.push(format!("{value:?} {data_type}: {found}"));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

//! One canonical form for every value, reached from SQLite and from PostgreSQL by paths that share nothing.
//!
//! It is the field that PostgreSQL sends for the value in binary, its length before it, without what does not count: the scale
//! of a number, the padding of `char(n)`, how a `jsonb` is spelt. So nearly all that comes back from the server is compared as
//! it came (`from_postgres`), and what SQLite holds is brought to the same bytes (`from_sqlite`, `readings`). Two values of a
//! type are the same exactly when these are. What SQLite holds and the column's type cannot say is a form of its own that no
//! value of PostgreSQL ever has.

mod calendar;
mod decimal;
pub(super) mod fits;
mod from_postgres;
mod from_sqlite;
mod json;
mod readings;

use crate::ident::visible;
use crate::schema::{PgType, Value};
use decimal::Decimal;
pub(super) use from_postgres::{InPlace, encode_postgres};
use std::borrow::Cow;

/// A value as both sides have to agree on it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Canonical<'a> {
    /// NULL.
    Null,
    /// A boolean.
    Boolean(bool),
    /// An integer of any width.
    Integer(i64),
    /// The bits of a `real`.
    Single(u32),
    /// The bits of a `double precision`.
    Double(u64),
    /// A number by its value; trailing zeros do not count.
    Decimal(Decimal),
    /// Characters, as bytes.
    Text(Cow<'a, [u8]>),
    /// Bytes.
    Bytes(Cow<'a, [u8]>),
    /// Days since 1970-01-01.
    Date(i64),
    /// Microseconds since midnight.
    Time(i64),
    /// Microseconds since 1970-01-01, of no time zone.
    Timestamp(i64),
    /// Microseconds since 1970-01-01 in UTC.
    Instant(i64),
    /// A UUID.
    Uuid([u8; 16]),
    /// A JSON text, as bytes.
    Json(Cow<'a, [u8]>),
    /// A JSON value, as `json` encodes it.
    Jsonb(Vec<u8>),
    /// A value of SQLite that the type cannot say: its storage class and bytes.
    Unconvertible(&'static str, Vec<u8>),
}

/// Days from 1970-01-01 to 2000-01-01, where PostgreSQL begins to count.
const EPOCH_DAYS: i64 = 10_957;

/// Stands for the length of NULL.
const NULL: [u8; 4] = (-1_i32).to_be_bytes();

/// Stands for the length of what is no field.
const UNSAYABLE: [u8; 4] = (-2_i32).to_be_bytes();

/// Appends what a stored value is to become.
///
/// The same as [`Canonical::from_sqlite`] and [`Canonical::encode`]. Of the values that most rows are made of, the form is not
/// put together in memory to be taken apart again, which took longer than all the rest of it.
pub(super) fn encode_sqlite(value: &Value<'_>, data_type: PgType, out: &mut Vec<u8>) {
    match (value, data_type) {
        (Value::Null, _) => put_field(None, out),
        (Value::Integer(number), PgType::Bigint) => put_eight(*number, out),
        (Value::Integer(number @ 0..=1), PgType::Boolean) => out.extend_from_slice(&[0, 0, 0, 1, *number as u8]),
        (Value::Text(text), PgType::Text | PgType::Varchar(_)) => put(text, out),
        (Value::Real(number), PgType::Numeric(_)) => Decimal::from_double(*number).put(out),
        (Value::Integer(number), PgType::Numeric(_)) => Decimal::from_integer(*number).put(out),
        _ => Canonical::from_sqlite(value, data_type).encode(data_type, out),
    }
}

impl Canonical<'_> {
    /// Appends the form as a field of its type.
    pub fn encode(&self, data_type: PgType, out: &mut Vec<u8>) {
        match (self, data_type) {
            (Self::Null, _) => put_field(None, out),
            (Self::Boolean(value), PgType::Boolean) => put(&[u8::from(*value)], out),
            (Self::Integer(value), PgType::Bigint) => put_eight(*value, out),
            (Self::Integer(value), PgType::Integer) if i32::try_from(*value).is_ok() => {
                put(&(*value as i32).to_be_bytes(), out);
            }
            (Self::Integer(value), PgType::Smallint) if i16::try_from(*value).is_ok() => {
                put(&(*value as i16).to_be_bytes(), out);
            }
            (Self::Single(bits), PgType::Real) => put(&bits.to_be_bytes(), out),
            (Self::Double(bits), PgType::Double) => put(&bits.to_be_bytes(), out),
            (Self::Decimal(value), PgType::Numeric(_)) => value.put(out),
            (Self::Text(bytes), PgType::Text | PgType::Citext | PgType::Varchar(_) | PgType::Char(_))
            | (Self::Bytes(bytes), PgType::Bytea)
            | (Self::Json(bytes), PgType::Json) => put(bytes, out),
            (Self::Date(days), PgType::Date) => put(&((days - EPOCH_DAYS) as i32).to_be_bytes(), out),
            (Self::Time(micros), PgType::Time) => put_eight(*micros, out),
            (Self::Timestamp(micros), PgType::Timestamp) | (Self::Instant(micros), PgType::Timestamptz) => {
                put_eight(micros - EPOCH_DAYS * calendar::DAY, out);
            }
            (Self::Uuid(bytes), PgType::Uuid) => put(bytes, out),
            (Self::Jsonb(encoded), PgType::Jsonb) => put(encoded, out),
            (Self::Unconvertible(storage, bytes), _) => put_unsayable(storage, bytes, out),
            // A form of another type: nothing that a column of this one holds.
            _ => put_unsayable("form", format!("{self:?}").as_bytes(), out),
        }
    }
}

/// Appends a field, `None` for NULL.
fn put_field(field: Option<&[u8]>, out: &mut Vec<u8>) {
    match field {
        None => out.extend_from_slice(&NULL),
        Some(bytes) => put(bytes, out),
    }
}

/// Appends length and content; what is too long for a field is none.
fn put(content: &[u8], out: &mut Vec<u8>) {
    match i32::try_from(content.len()) {
        Ok(length) => {
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(content);
        }
        Err(_) => put_unsayable("long", content, out),
    }
}

/// Appends a field of eight bytes, in one piece.
fn put_eight(value: i64, out: &mut Vec<u8>) {
    let [a, b, c, d, e, f, g, h] = value.to_be_bytes();
    out.extend_from_slice(&[0, 0, 0, 8, a, b, c, d, e, f, g, h]);
}

/// Appends what no field is: what it is, and its bytes.
fn put_unsayable(what: &str, bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&UNSAYABLE);
    out.extend_from_slice(&((what.len() + 1 + bytes.len()) as u64).to_be_bytes());
    out.extend_from_slice(what.as_bytes());
    out.push(b':');
    out.extend_from_slice(bytes);
}

/// Says whether an encoded value is NULL.
pub(super) fn is_null(encoded: &[u8]) -> bool {
    encoded.starts_with(&NULL)
}

/// Returns an encoded integer of any width; `None` for anything else.
pub(super) fn integer(encoded: &[u8]) -> Option<i64> {
    match *encoded {
        [0, 0, 0, 2, a, b] => Some(i16::from_be_bytes([a, b]).into()),
        [0, 0, 0, 4, a, b, c, d] => Some(i32::from_be_bytes([a, b, c, d]).into()),
        [0, 0, 0, 8, a, b, c, d, e, f, g, h] => Some(i64::from_be_bytes([a, b, c, d, e, f, g, h])),
        _ => None,
    }
}

/// Shows an encoded value of a type to a person, harmless to look at: for keys and tenants, which are the only values shown.
pub(super) fn shown(encoded: &[u8], data_type: PgType) -> String {
    let Some((length, content)) = encoded.split_first_chunk::<4>() else { return String::new() };
    let text = match *length {
        NULL => Some("NULL".to_owned()),
        UNSAYABLE => Some(String::from_utf8_lossy(content.get(8..).unwrap_or_default()).into_owned()),
        _ => text_of(encoded, content, data_type),
    };
    let bytes = || content.iter().fold("\\x".to_owned(), |text, byte| text + &format!("{byte:02x}"));
    visible(&text.unwrap_or_else(bytes)).into_owned()
}

/// Writes an encoded value as text, where its type has one.
fn text_of(encoded: &[u8], content: &[u8], data_type: PgType) -> Option<String> {
    let infinite = |value: i64, (least, greatest): (i64, i64)| match value {
        _ if value == least => Some("-infinity".to_owned()),
        _ if value == greatest => Some("infinity".to_owned()),
        _ => None,
    };
    let moment = || {
        let micros = integer(encoded)?;
        let finite = || micros.checked_add(EPOCH_DAYS * calendar::DAY).map(calendar::timestamp_text);
        infinite(micros, (i64::MIN, i64::MAX)).or_else(finite)
    };
    match data_type {
        PgType::Boolean => Some((content == [1]).to_string()),
        PgType::Smallint | PgType::Integer | PgType::Bigint => integer(encoded).map(|number| number.to_string()),
        PgType::Real => content.first_chunk().map(|bits| f32::from_be_bytes(*bits).to_string()),
        PgType::Double => content.first_chunk().map(|bits| f64::from_be_bytes(*bits).to_string()),
        PgType::Numeric(_) => Decimal::from_binary(content).map(|number| number.text()),
        PgType::Text | PgType::Citext | PgType::Varchar(_) | PgType::Char(_) | PgType::Json => {
            Some(String::from_utf8_lossy(content).into_owned())
        }
        PgType::Date => integer(encoded).map(|days| {
            infinite(days, (i32::MIN.into(), i32::MAX.into())).unwrap_or_else(|| calendar::date_text(days + EPOCH_DAYS))
        }),
        PgType::Time => integer(encoded).map(calendar::time_text),
        PgType::Timestamp => moment(),
        PgType::Timestamptz => moment().map(|text| text + "Z"),
        PgType::Uuid => Some(uuid_text(content)),
        PgType::Bytea | PgType::Jsonb => None,
    }
}

fn uuid_text(bytes: &[u8]) -> String {
    bytes.iter().enumerate().fold(String::new(), |text, (position, byte)| {
        let hyphen = if matches!(position, 4 | 6 | 8 | 10) { "-" } else { "" };
        format!("{text}{hyphen}{byte:02x}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{PgType, Value};

    fn encoded(value: &Canonical<'_>, data_type: PgType) -> Vec<u8> {
        let mut bytes = Vec::new();
        value.encode(data_type, &mut bytes);
        bytes
    }

    #[test]
    fn what_lies_close_together_stays_apart() {
        let forms = [
            (Canonical::Null, PgType::Text),
            (Canonical::Text(Cow::Borrowed(b"")), PgType::Text),
            (Canonical::Text(Cow::Borrowed(b"1")), PgType::Text),
            (Canonical::Integer(1), PgType::Bigint),
            (Canonical::Double(0.0_f64.to_bits()), PgType::Double),
            (Canonical::Double((-0.0_f64).to_bits()), PgType::Double),
            (Canonical::Unconvertible("text", b"1".to_vec()), PgType::Bigint),
            (Canonical::Unconvertible("text", b"".to_vec()), PgType::Bigint),
            // Forms of other types than their columns'.
            (Canonical::Text(Cow::Borrowed(b"1")), PgType::Bigint),
            (Canonical::Integer(0), PgType::Double),
            (Canonical::Integer(1 << 31), PgType::Integer),
            (Canonical::Integer(1 << 15), PgType::Smallint),
        ];
        for (position, (one, data_type)) in forms.iter().enumerate() {
            for (other, other_type) in &forms[position + 1..] {
                assert_ne!(encoded(one, *data_type), encoded(other, *other_type), "{one:?} {other:?}");
            }
        }
        // Without lengths, ("ab", "c") and ("a", "bc") would be the same row.
        let row = |one: &'static [u8], two: &'static [u8]| {
            [one, two].map(|text| encoded(&Canonical::Text(text.into()), PgType::Text)).concat()
        };
        assert_ne!(row(b"ab", b"c"), row(b"a", b"bc"));
    }

    #[test]
    fn encoded_keys_can_be_shown() {
        let value = |text: &'static str| Value::Text(Cow::Borrowed(text.as_bytes()));
        for (value, data_type, expected) in [
            (Value::Integer(-7), PgType::Bigint, "-7"),
            (Value::Integer(-7), PgType::Smallint, "-7"),
            (Value::Integer(1 << 20), PgType::Integer, "1048576"),
            (Value::Real(-12.5), PgType::Numeric(None), "-12.5"),
            (Value::Integer(1200), PgType::Numeric(None), "1200"),
            (Value::Real(0.001), PgType::Numeric(None), "0.001"),
            (Value::Real(0.5), PgType::Real, "0.5"),
            (Value::Real(1e100), PgType::Double, &1e100_f64.to_string()),
            (value("a\nb"), PgType::Text, "a\\u{a}b"),
            (value("2024-02-29"), PgType::Date, "2024-02-29"),
            (value("12:30"), PgType::Time, "12:30:00"),
            (value("1969-12-31 23:59:59.5"), PgType::Timestamp, "1969-12-31 23:59:59.500000"),
            (value("2024-01-01T01:00+01:00"), PgType::Timestamptz, "2024-01-01 00:00:00Z"),
            (value("A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"), PgType::Uuid, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
            (value("abc"), PgType::Bigint, "text:abc"),
            (Value::Blob(Cow::Borrowed(b"\x00\xff")), PgType::Bytea, "\\x00ff"),
            (Value::Null, PgType::Text, "NULL"),
            (Value::Integer(1), PgType::Boolean, "true"),
        ] {
            assert_eq!(shown(&encoded(&Canonical::from_sqlite(&value, data_type), data_type), data_type), expected);
        }
        for (field, data_type, expected) in [
            (&i32::MAX.to_be_bytes()[..], PgType::Date, "infinity"),
            (&i64::MIN.to_be_bytes(), PgType::Timestamp, "-infinity"),
            (&i64::MAX.to_be_bytes(), PgType::Timestamptz, "infinityZ"),
            (b"\x01", PgType::Bigint, "\\x01"),
        ] {
            let mut bytes = Vec::new();
            encode_postgres(Some(field), data_type, &mut bytes);
            assert_eq!(shown(&bytes, data_type), expected);
        }
    }
}

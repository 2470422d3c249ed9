//! One canonical form for every value, reached from SQLite and from PostgreSQL by paths that share nothing.
//!
//! Two values are the same exactly when their encodings are: each is tagged and length-prefixed, NULL included. What
//! SQLite holds and the column's type cannot say is a form of its own that no value of PostgreSQL ever has.

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
    /// A field of PostgreSQL that is no finite value of its type.
    Unreadable(Cow<'a, [u8]>),
}

/// Stands for a length of its own in eight bytes; what is shorter has it in one, since most values are short.
const LONG: u8 = u8::MAX;

/// Appends what a stored value is to become.
///
/// The same as [`Canonical::from_sqlite`] and [`Canonical::encode`]. Of the values that most rows are made of, the form is not
/// put together in memory to be taken apart again, which took longer than all the rest of it.
pub(super) fn encode_sqlite(value: &Value<'_>, data_type: PgType, out: &mut Vec<u8>) {
    match (value, data_type) {
        (Value::Null, _) => return Canonical::Null.encode(out),
        (Value::Integer(number), PgType::Bigint) => return Canonical::Integer(*number).encode(out),
        (Value::Integer(number @ 0..=1), PgType::Boolean) => return Canonical::Boolean(*number == 1).encode(out),
        (Value::Text(text), PgType::Text | PgType::Varchar(_)) => {
            return Canonical::Text(Cow::Borrowed(text)).encode(out);
        }
        (Value::Text(text), PgType::Timestamp) => {
            if let Some(micros) = calendar::timestamp(text) {
                return Canonical::Timestamp(micros).encode(out);
            }
        }
        _ => {}
    }
    Canonical::from_sqlite(value, data_type).encode_any(out);
}

/// Appends what a field of PostgreSQL is: the same as [`Canonical::from_postgres`] and [`Canonical::encode`], as above.
pub(super) fn encode_postgres(field: Option<&[u8]>, data_type: PgType, out: &mut Vec<u8>) {
    match (field, data_type) {
        (None, _) => return Canonical::Null.encode(out),
        (Some(bytes), PgType::Text | PgType::Varchar(_)) => return Canonical::Text(Cow::Borrowed(bytes)).encode(out),
        (Some(bytes), PgType::Bigint) => {
            if let Ok(bytes) = bytes.try_into() {
                return Canonical::Integer(i64::from_be_bytes(bytes)).encode(out);
            }
        }
        (Some([flag @ 0..=1]), PgType::Boolean) => return Canonical::Boolean(*flag == 1).encode(out),
        _ => {}
    }
    Canonical::from_postgres(field, data_type).encode_any(out);
}

impl Canonical<'_> {
    /// As [`Canonical::encode`], for a form that is not known where it is called.
    pub fn encode_any(&self, out: &mut Vec<u8>) {
        self.encode(out);
    }

    /// Appends tag, length and content.
    #[inline(always)]
    fn encode(&self, out: &mut Vec<u8>) {
        let mut put = |tag: u8, content: &[u8]| {
            out.push(tag);
            match u8::try_from(content.len()) {
                Ok(length) if length < LONG => out.push(length),
                _ => {
                    out.push(LONG);
                    out.extend_from_slice(&(content.len() as u64).to_be_bytes());
                }
            }
            out.extend_from_slice(content);
        };
        match self {
            Self::Null => out.extend_from_slice(&[b'N', 0]),
            Self::Boolean(value) => out.extend_from_slice(&[b'B', 1, u8::from(*value)]),
            Self::Integer(value) => put_eight(b'I', *value, out),
            Self::Single(bits) => put(b'f', &bits.to_be_bytes()),
            Self::Double(bits) => put(b'F', &bits.to_be_bytes()),
            Self::Decimal(value) => value.encode(|content| put(b'D', content)),
            Self::Text(bytes) => put(b'T', bytes),
            Self::Bytes(bytes) => put(b'X', bytes),
            Self::Date(value) => put_eight(b'd', *value, out),
            Self::Time(value) => put_eight(b't', *value, out),
            Self::Timestamp(value) => put_eight(b'S', *value, out),
            Self::Instant(value) => put_eight(b'Z', *value, out),
            Self::Uuid(bytes) => put(b'U', bytes),
            Self::Json(bytes) => put(b'j', bytes),
            Self::Jsonb(encoded) => put(b'J', encoded),
            Self::Unconvertible(storage, bytes) => put(b'!', &[storage.as_bytes(), b":", bytes].concat()),
            Self::Unreadable(bytes) => put(b'?', bytes),
        }
    }
}

/// Appends an integer with its tag and length, in one piece.
fn put_eight(tag: u8, value: i64, out: &mut Vec<u8>) {
    let [a, b, c, d, e, f, g, h] = ordered(value);
    out.extend_from_slice(&[tag, 8, a, b, c, d, e, f, g, h]);
}

/// Writes an integer so that the order of the bytes is the order of the numbers.
fn ordered(value: i64) -> [u8; 8] {
    (value.cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

/// Reads what [`ordered`] has written.
fn disordered(bytes: [u8; 8]) -> i64 {
    (u64::from_be_bytes(bytes) ^ (1 << 63)).cast_signed()
}

/// Splits an encoded value into its tag and content.
fn split(encoded: &[u8]) -> Option<(u8, &[u8])> {
    match encoded {
        [tag, LONG, rest @ ..] => Some((*tag, rest.get(8..)?)),
        [tag, _, rest @ ..] => Some((*tag, rest)),
        _ => None,
    }
}

/// Says whether an encoded value is NULL.
pub(super) fn is_null(encoded: &[u8]) -> bool {
    encoded.first() == Some(&b'N')
}

/// Returns an encoded integer; `None` for anything else.
pub(super) fn integer(encoded: &[u8]) -> Option<i64> {
    let (b'I', content) = split(encoded)? else { return None };
    content.first_chunk().map(|bytes| disordered(*bytes))
}

/// Shows an encoded value to a person, harmless to look at: for keys and tenants, which are the only values shown.
pub(super) fn shown(encoded: &[u8]) -> String {
    let Some((tag, content)) = split(encoded) else { return String::new() };
    let integer = || content.first_chunk().map(|bytes| disordered(*bytes));
    let text = match tag {
        b'N' => "NULL".to_owned(),
        b'B' => (content == [1]).to_string(),
        b'I' => integer().unwrap_or_default().to_string(),
        b'd' => calendar::date_text(integer().unwrap_or_default()),
        b't' => calendar::time_text(integer().unwrap_or_default()),
        b'S' => calendar::timestamp_text(integer().unwrap_or_default()),
        b'Z' => format!("{}Z", calendar::timestamp_text(integer().unwrap_or_default())),
        b'f' => content.first_chunk().map(|bits| f32::from_be_bytes(*bits).to_string()).unwrap_or_default(),
        b'F' => content.first_chunk().map(|bits| f64::from_be_bytes(*bits).to_string()).unwrap_or_default(),
        b'D' => Decimal::text_of(content),
        b'T' | b'j' | b'!' => String::from_utf8_lossy(content).into_owned(),
        b'U' => uuid_text(content),
        _ => content.iter().fold("\\x".to_owned(), |text, byte| text + &format!("{byte:02x}")),
    };
    visible(&text).into_owned()
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

    fn encoded(value: &Canonical<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        value.encode(&mut bytes);
        bytes
    }

    #[test]
    fn what_lies_close_together_stays_apart() {
        let forms = [
            Canonical::Null,
            Canonical::Text(Cow::Borrowed(b"")),
            Canonical::Text(Cow::Borrowed(b"1")),
            Canonical::Bytes(Cow::Borrowed(b"1")),
            Canonical::Integer(1),
            Canonical::Boolean(true),
            Canonical::Double(0.0_f64.to_bits()),
            Canonical::Double((-0.0_f64).to_bits()),
            Canonical::Unconvertible("text", b"1".to_vec()),
            Canonical::Unreadable(Cow::Borrowed(b"text:1")),
        ];
        for (position, one) in forms.iter().enumerate() {
            for other in &forms[position + 1..] {
                assert_ne!(encoded(one), encoded(other));
            }
        }
        // Without lengths, ("ab", "c") and ("a", "bc") would be the same row.
        let row = |one: &'static [u8], two: &'static [u8]| {
            [encoded(&Canonical::Text(one.into())), encoded(&Canonical::Text(two.into()))].concat()
        };
        assert_ne!(row(b"ab", b"c"), row(b"a", b"bc"));
    }

    #[test]
    fn encoded_keys_can_be_shown() {
        let value = |text: &'static str| Value::Text(Cow::Borrowed(text.as_bytes()));
        for (value, data_type, expected) in [
            (Value::Integer(-7), PgType::Bigint, "-7"),
            (Value::Real(-12.5), PgType::Numeric(None), "-12.5"),
            (Value::Integer(1200), PgType::Numeric(None), "1200"),
            (Value::Real(0.001), PgType::Numeric(None), "0.001"),
            (value("a\nb"), PgType::Text, "a\\u{a}b"),
            (value("2024-02-29"), PgType::Date, "2024-02-29"),
            (value("1969-12-31 23:59:59.5"), PgType::Timestamp, "1969-12-31 23:59:59.500000"),
            (value("2024-01-01T01:00+01:00"), PgType::Timestamptz, "2024-01-01 00:00:00Z"),
            (value("A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"), PgType::Uuid, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
            (value("abc"), PgType::Bigint, "text:abc"),
            (Value::Blob(Cow::Borrowed(b"\x00\xff")), PgType::Bytea, "\\x00ff"),
            (Value::Null, PgType::Text, "NULL"),
            (Value::Integer(1), PgType::Boolean, "true"),
        ] {
            assert_eq!(shown(&encoded(&Canonical::from_sqlite(&value, data_type))), expected);
        }
    }

    #[test]
    fn integers_sort_as_numbers() {
        let mut numbers = [5, -1, i64::MIN, 0, i64::MAX, 256];
        numbers.sort_by_key(|&number| encoded(&Canonical::Integer(number)));
        assert!(numbers.is_sorted());
    }
}

//! What a field of PostgreSQL is, from its binary form.

use super::from_sqlite::without_padding;
use super::{Canonical, calendar, decimal::Decimal, json};
use crate::schema::PgType;
use std::borrow::Cow;

/// Days from 1970-01-01 to 2000-01-01, where PostgreSQL begins to count.
const EPOCH_DAYS: i64 = 10_957;

impl<'a> Canonical<'a> {
    /// Reads a field, `None` for NULL; [`Canonical::Unreadable`] for bytes that are no finite value of the type.
    pub fn from_postgres(field: Option<&'a [u8]>, data_type: PgType) -> Self {
        match field {
            None => Self::Null,
            Some(bytes) => read(bytes, data_type).unwrap_or(Self::Unreadable(Cow::Borrowed(bytes))),
        }
    }
}

fn read(bytes: &[u8], data_type: PgType) -> Option<Canonical<'_>> {
    Some(match data_type {
        PgType::Boolean => match bytes {
            [flag @ 0..=1] => Canonical::Boolean(*flag == 1),
            _ => return None,
        },
        PgType::Smallint => Canonical::Integer(i16::from_be_bytes(bytes.try_into().ok()?).into()),
        PgType::Integer => Canonical::Integer(i32::from_be_bytes(bytes.try_into().ok()?).into()),
        PgType::Bigint => Canonical::Integer(wide(bytes)?),
        PgType::Real => Canonical::Single(u32::from_be_bytes(bytes.try_into().ok()?)),
        PgType::Double => Canonical::Double(u64::from_be_bytes(bytes.try_into().ok()?)),
        PgType::Numeric(_) => Canonical::Decimal(Decimal::from_binary(bytes)?),
        PgType::Text | PgType::Citext | PgType::Varchar(_) => Canonical::Text(Cow::Borrowed(bytes)),
        PgType::Char(_) => Canonical::Text(Cow::Borrowed(without_padding(bytes))),
        PgType::Bytea => Canonical::Bytes(Cow::Borrowed(bytes)),
        PgType::Date => {
            let days = i32::from_be_bytes(bytes.try_into().ok()?);
            let finite = days != i32::MAX && days != i32::MIN;
            Canonical::Date(finite.then_some(i64::from(days) + EPOCH_DAYS)?)
        }
        PgType::Time => Canonical::Time(wide(bytes)?),
        PgType::Timestamp => Canonical::Timestamp(moment(bytes)?),
        PgType::Timestamptz => Canonical::Instant(moment(bytes)?),
        PgType::Uuid => Canonical::Uuid(bytes.try_into().ok()?),
        PgType::Json => Canonical::Json(Cow::Borrowed(bytes)),
        // The first byte is the version of the format; what follows is the value's text.
        PgType::Jsonb => Canonical::Jsonb(json::encode(bytes.strip_prefix(&[1])?)?),
    })
}

fn wide(bytes: &[u8]) -> Option<i64> {
    bytes.try_into().ok().map(i64::from_be_bytes)
}

/// Reads a moment; the greatest and the least stand for infinity.
fn moment(bytes: &[u8]) -> Option<i64> {
    wide(bytes).filter(|&micros| micros != i64::MAX && micros != i64::MIN)?.checked_add(EPOCH_DAYS * calendar::DAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_value_of_the_type_are_told_apart() {
        for (bytes, data_type) in [
            (&[2_u8][..], PgType::Boolean),
            (&[0, 0, 0, 1], PgType::Bigint),
            (&[0, 0, 0, 0, 0, 0, 0, 1], PgType::Integer),
            (&[0x7f, 0xff, 0xff, 0xff], PgType::Date),
            (&[0x80, 0, 0, 0, 0, 0, 0, 0], PgType::Timestamp),
            (&[2, b'1'], PgType::Jsonb),
            (&[0; 15], PgType::Uuid),
        ] {
            let read = Canonical::from_postgres(Some(bytes), data_type);
            assert_eq!(read, Canonical::Unreadable(Cow::Borrowed(bytes)), "{data_type}");
        }
    }
}

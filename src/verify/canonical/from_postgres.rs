//! What a field of PostgreSQL is: what its binary form says, without what does not count.

use super::decimal::{self, Decimal};
use super::from_sqlite::without_padding;
use super::{json, put, put_unsayable};
use crate::schema::PgType;

/// Appends a field's canonical form, `None` for NULL.
pub(in crate::verify) fn encode_postgres(field: Option<&[u8]>, data_type: PgType, out: &mut Vec<u8>) {
    match (field, data_type) {
        (Some(bytes), PgType::Numeric(_)) => match Decimal::from_binary(bytes) {
            Some(number) => number.put(out),
            None => put_unsayable("numeric", bytes, out),
        },
        (Some(bytes), PgType::Char(_)) => put(without_padding(bytes), out),
        // The first byte is the version of the format; what follows is the value's text.
        (Some(bytes), PgType::Jsonb) => match bytes.strip_prefix(&[1]).and_then(json::encode) {
            Some(encoded) => put(&encoded, out),
            None => put_unsayable("jsonb", bytes, out),
        },
        (field, _) => super::put_field(field, out),
    }
}

/// How the fields of a table's rows become canonical where they lie, as nearly all do.
#[derive(Debug)]
pub(in crate::verify) struct InPlace {
    /// Where numbers stand.
    numbers: Vec<usize>,
}

impl InPlace {
    /// Prepares for columns of these types; `None` where one of them has to be read to know what it says.
    pub fn new(types: impl IntoIterator<Item = PgType>) -> Option<Self> {
        let mut numbers = Vec::new();
        for (position, data_type) in types.into_iter().enumerate() {
            match data_type {
                PgType::Char(_) | PgType::Jsonb => return None,
                PgType::Numeric(_) => numbers.push(position),
                _ => {}
            }
        }
        Some(Self { numbers })
    }

    /// Settles the fields of a row, which lie in `bytes` one after the other up to these ends; false where a number has to be
    /// read: `bytes` are then to be thrown away.
    pub fn settle(&self, bytes: &mut [u8], ends: &[usize]) -> bool {
        self.numbers.iter().all(|&position| {
            let start = position.checked_sub(1).map_or(0, |before| ends[before]);
            decimal::settle(&mut bytes[start + 4..ends[position]])
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        put(bytes, &mut out);
        out
    }

    fn words(words: &[u16]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    #[test]
    fn what_does_not_count_is_taken_out() {
        let same = |data_type, one: &[u8], other: &[u8]| {
            let (mut first, mut second) = (Vec::new(), Vec::new());
            encode_postgres(Some(one), data_type, &mut first);
            encode_postgres(Some(other), data_type, &mut second);
            first == second
        };
        // 1.5 with one digit behind the point and with three.
        let (one, other) = (words(&[2, 0, 0, 1, 1, 5000]), words(&[2, 0, 0, 3, 1, 5000]));
        assert!(same(PgType::Numeric(None), &one, &other) && !same(PgType::Bytea, &one, &other));
        assert!(same(PgType::Char(4), b"ab  ", b"ab") && !same(PgType::Text, b"ab  ", b"ab"));
        assert!(same(PgType::Jsonb, b"\x01[1, 2]", b"\x01[1,2]") && !same(PgType::Json, b"[1, 2]", b"[1,2]"));
        assert!(!same(PgType::Jsonb, b"\x02[1]", b"\x01[1]"));
    }

    #[test]
    fn a_row_is_settled_where_it_lies_as_its_fields_are_one_by_one() {
        let types = [PgType::Bigint, PgType::Numeric(None), PgType::Text, PgType::Numeric(Some((5, 2)))];
        let in_place = InPlace::new(types).unwrap();
        let integer = 7_i64.to_be_bytes();
        let number = |words_of: &[u16]| words(words_of);
        for (first, second, is_settled) in [
            (Some(number(&[2, 0, 0x4000, 3, 1, 5000])), Some(number(&[0, 0, 0, 2])), true),
            (Some(number(&[0, 0, 0xC000, 0])), None, true),
            (Some(number(&[0, 0, 0xD000, 32])), Some(number(&[0, 0, 0xF000, 32])), true),
            // Zeros at either end, and a zero that has a sign or a weight.
            (Some(number(&[2, 0, 0, 0, 0, 1])), None, false),
            (None, Some(number(&[2, 1, 0, 0, 1, 0])), false),
            (Some(number(&[0, 1, 0, 0])), None, false),
            (Some(number(&[0, 0, 0x4000, 0])), None, false),
            // No numbers at all.
            (Some(number(&[1, 0, 0, 0])), None, false),
            (Some(vec![0; 3]), None, false),
        ] {
            let fields = [Some(&integer[..]), first.as_deref(), Some(&b"text"[..]), second.as_deref()];
            let (mut bytes, mut ends) = (Vec::new(), Vec::new());
            let mut one_by_one = Vec::new();
            for (field, data_type) in fields.iter().zip(types) {
                super::super::put_field(*field, &mut bytes);
                ends.push(bytes.len());
                encode_postgres(*field, data_type, &mut one_by_one);
            }
            assert_eq!(in_place.settle(&mut bytes, &ends), is_settled, "{fields:?}");
            if is_settled {
                assert_eq!(bytes, one_by_one, "{fields:?}");
            }
        }
        assert!(InPlace::new([PgType::Bigint, PgType::Jsonb]).is_none() && InPlace::new([PgType::Char(2)]).is_none());
    }

    #[test]
    fn bytes_that_are_no_value_of_the_type_are_told_apart() {
        for (bytes, data_type) in [(&[2, b'1'][..], PgType::Jsonb), (&[1, 0, 0, 0, 0, 0, 0, 0], PgType::Numeric(None))]
        {
            let mut read = Vec::new();
            encode_postgres(Some(bytes), data_type, &mut read);
            assert_ne!(read, field(bytes), "{data_type}");
            assert!(read.starts_with(&super::super::UNSAYABLE), "{data_type}");
        }
    }
}

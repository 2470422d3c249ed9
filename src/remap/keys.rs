//! Key maps: the key of a parent row → its tenant.

use super::owners::{ABSENT, Owner};
use super::planted::planted;
use crate::schema::{Affinity, Value, apply_affinity};
use std::collections::HashMap;

/// How SQLite compares a column of a parent key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyColumn {
    pub affinity: Affinity,
    pub collation: Collation,
}

/// SQLite's built-in collations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Collation {
    Binary,
    /// ASCII letters of either case are the same.
    NoCase,
    /// Trailing spaces do not count.
    Rtrim,
}

/// Maps the keys of one parent to their owners: four bytes a row where keys are dense integers.
#[derive(Debug, Clone)]
pub(super) struct KeyMap {
    columns: Vec<KeyColumn>,
    base: i64,
    dense: Vec<u32>,
    sparse: HashMap<i64, u32>,
    others: HashMap<Box<[u8]>, u32>,
    len: usize,
}

impl KeyMap {
    pub fn new(columns: Vec<KeyColumn>) -> Self {
        Self { columns, base: 0, dense: Vec::new(), sparse: HashMap::new(), others: HashMap::new(), len: 0 }
    }

    /// Returns what is known of a key, to be changed; `ABSENT` at first. `None` for a key with a NULL: it cannot be
    /// referred to. The key is made of the values at `positions`; `scratch` is overwritten.
    pub fn slot(&mut self, values: &[Value<'_>], positions: &[usize], scratch: &mut Vec<u8>) -> Option<&mut u32> {
        match self.normalise(values, positions, scratch)? {
            Normal::Integer(number) => Some(self.integer_slot(number)),
            Normal::Bytes => {
                if !self.others.contains_key(scratch.as_slice()) {
                    self.len += 1;
                    self.others.insert(scratch.as_slice().into(), ABSENT);
                }
                self.others.get_mut(scratch.as_slice())
            }
        }
    }

    /// Finds the owner of the row that a child's key refers to: `Err` where the key has a NULL and refers to nothing,
    /// `Ok(None)` where no such row is.
    pub fn get(
        &self,
        values: &[Value<'_>],
        positions: &[usize],
        scratch: &mut Vec<u8>,
    ) -> Result<Option<Owner>, NoReference> {
        Ok(Owner::unpacked(self.packed(values, positions, scratch)?))
    }

    /// As [`KeyMap::get`], with what is known as a number; `ABSENT` where there is no such row.
    pub fn packed(&self, values: &[Value<'_>], positions: &[usize], scratch: &mut Vec<u8>) -> Result<u32, NoReference> {
        let found = match self.normalise(values, positions, scratch).ok_or(NoReference)? {
            Normal::Integer(number) => {
                let wanted = planted!(FirstParentForAll, number, self.base);
                match self.dense_position(wanted).and_then(|slot| self.dense.get(slot)) {
                    Some(&packed) if packed != ABSENT => Some(packed),
                    _ => self.sparse.get(&number).copied(),
                }
            }
            Normal::Bytes => self.others.get(scratch.as_slice()).copied(),
        };
        Ok(found.unwrap_or(ABSENT))
    }

    /// Changes all that is known.
    pub fn replace(&mut self, new: impl Fn(u32) -> u32) {
        let dense = self.dense.iter_mut().filter(|packed| **packed != ABSENT);
        for packed in dense.chain(self.sparse.values_mut()).chain(self.others.values_mut()) {
            *packed = new(*packed);
        }
    }

    fn dense_position(&self, number: i64) -> Option<usize> {
        number.checked_sub(self.base).and_then(|offset| usize::try_from(offset).ok())
    }

    fn integer_slot(&mut self, number: i64) -> &mut u32 {
        if self.dense.is_empty() {
            self.base = number;
        }
        let known = self.sparse.contains_key(&number);
        // Gaps are paid for with four bytes each; past three of them for every row a hash costs less.
        let slot = self.dense_position(number).filter(|&slot| !known && slot < self.len.saturating_mul(4) + 1024);
        match slot {
            Some(slot) => {
                if slot >= self.dense.len() {
                    self.dense.resize(slot + 1, ABSENT);
                }
                self.len += usize::from(self.dense[slot] == ABSENT);
                &mut self.dense[slot]
            }
            None => {
                self.len += usize::from(!known);
                self.sparse.entry(number).or_insert(ABSENT)
            }
        }
    }

    /// Brings a key to a form that is equal exactly when SQLite calls the keys equal: `None` with a NULL in it.
    fn normalise(&self, values: &[Value<'_>], positions: &[usize], bytes: &mut Vec<u8>) -> Option<Normal> {
        if let (&[position], [column]) = (positions, &self.columns[..]) {
            // Most keys are integers already, which only TEXT makes something else.
            let value = &values[position];
            if let (Value::Integer(number), true) = (value, column.affinity != Affinity::Text) {
                return Some(Normal::Integer(*number));
            }
            if let Value::Integer(number) = apply_affinity(value, column.affinity) {
                return Some(Normal::Integer(number));
            }
        }
        bytes.clear();
        for (&position, column) in positions.iter().zip(&self.columns) {
            match apply_affinity(&values[position], column.affinity) {
                Value::Null => return None,
                Value::Integer(number) => {
                    bytes.push(b'i');
                    bytes.extend_from_slice(&number.to_be_bytes());
                }
                Value::Real(number) => {
                    bytes.push(b'r');
                    bytes.extend_from_slice(&number.to_bits().to_be_bytes());
                }
                Value::Text(text) => {
                    let end = match column.collation {
                        Collation::Rtrim => text.iter().rposition(|&byte| byte != b' ').map_or(0, |last| last + 1),
                        Collation::Binary | Collation::NoCase => text.len(),
                    };
                    bytes.push(b't');
                    bytes.extend_from_slice(&(end as u64).to_be_bytes());
                    let start = bytes.len();
                    bytes.extend_from_slice(&text[..end]);
                    if column.collation == Collation::NoCase {
                        bytes[start..].make_ascii_lowercase();
                    }
                }
                Value::Blob(blob) => {
                    bytes.push(b'b');
                    bytes.extend_from_slice(&(blob.len() as u64).to_be_bytes());
                    bytes.extend_from_slice(&blob);
                }
            }
        }
        Some(Normal::Bytes)
    }
}

/// Says that a key holds a NULL, and so refers to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoReference;

/// A key in that form: an integer, or what the scratch holds.
enum Normal {
    Integer(i64),
    Bytes,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    fn text(text: &str) -> Value<'_> {
        Value::Text(Cow::Borrowed(text.as_bytes()))
    }

    fn insert(map: &mut KeyMap, key: &[Value<'_>], owner: Owner) {
        let positions: Vec<usize> = (0..key.len()).collect();
        *map.slot(key, &positions, &mut Vec::new()).unwrap() = owner.packed();
    }

    fn get(map: &KeyMap, key: &[Value<'_>]) -> Result<Option<Owner>, NoReference> {
        let positions: Vec<usize> = (0..key.len()).collect();
        map.get(key, &positions, &mut vec![7])
    }

    fn map(affinity: Affinity, collation: Collation) -> KeyMap {
        KeyMap::new(vec![KeyColumn { affinity, collation }])
    }

    #[test]
    fn a_childs_spelling_is_read_as_the_parent_would() {
        let mut map = map(Affinity::Integer, Collation::Binary);
        insert(&mut map, &[Value::Integer(1)], Owner::Tenant(7));
        for child in [Value::Integer(1), Value::Real(1.0), text("1"), text(" 01"), text("1.0")] {
            assert_eq!(get(&map, std::slice::from_ref(&child)), Ok(Some(Owner::Tenant(7))), "{child:?}");
        }
        assert_eq!(get(&map, &[text("one")]), Ok(None));
        assert_eq!(get(&map, &[Value::Null]), Err(NoReference));
    }

    #[test]
    fn collations_of_the_parent_decide() {
        let mut nocase = map(Affinity::Text, Collation::NoCase);
        insert(&mut nocase, &[text("Abc")], Owner::Shared);
        assert_eq!(get(&nocase, &[text("aBC")]), Ok(Some(Owner::Shared)));
        let mut binary = map(Affinity::Text, Collation::Binary);
        insert(&mut binary, &[text("Abc")], Owner::Shared);
        assert_eq!(get(&binary, &[text("aBC")]), Ok(None));
        let mut rtrim = map(Affinity::Text, Collation::Rtrim);
        insert(&mut rtrim, &[text("a ")], Owner::Nobody);
        assert_eq!(get(&rtrim, &[text("a")]), Ok(Some(Owner::Nobody)));
    }

    #[test]
    fn far_and_negative_keys_do_not_need_a_vector_of_their_size() {
        let mut map = map(Affinity::Integer, Collation::Binary);
        for number in [10, 11, i64::MAX, i64::MIN, -5, 12] {
            insert(&mut map, &[Value::Integer(number)], Owner::Tenant(1));
        }
        for number in [10, 11, 12, i64::MAX, i64::MIN, -5] {
            assert_eq!(get(&map, &[Value::Integer(number)]), Ok(Some(Owner::Tenant(1))), "{number}");
        }
        assert_eq!(get(&map, &[Value::Integer(13)]), Ok(None));
        assert!(map.dense.len() < 2000);
    }

    #[test]
    fn a_dense_row_takes_four_bytes_and_a_key_one_slot() {
        let mut map = map(Affinity::Integer, Collation::Binary);
        for number in 1..=10_000 {
            insert(&mut map, &[Value::Integer(number)], Owner::Tenant(1));
        }
        assert_eq!((map.dense.len(), map.sparse.len(), map.others.len()), (10_000, 0, 0));
        // A key that was far away stays where it is when others come near it.
        insert(&mut map, &[Value::Integer(100_000)], Owner::Tenant(2));
        for number in 10_001..=40_000 {
            insert(&mut map, &[Value::Integer(number)], Owner::Tenant(1));
        }
        insert(&mut map, &[Value::Integer(100_000)], Owner::Tenant(3));
        assert_eq!(get(&map, &[Value::Integer(100_000)]), Ok(Some(Owner::Tenant(3))));
        assert_eq!(map.sparse.len(), 1);
    }

    #[test]
    fn composite_keys_do_not_run_together() {
        let column = KeyColumn { affinity: Affinity::Text, collation: Collation::Binary };
        let mut map = KeyMap::new(vec![column, column]);
        insert(&mut map, &[text("ab"), text("c")], Owner::Tenant(1));
        assert_eq!(get(&map, &[text("a"), text("bc")]), Ok(None));
        assert_eq!(get(&map, &[text("ab"), text("c")]), Ok(Some(Owner::Tenant(1))));
        assert_eq!(get(&map, &[text("ab"), Value::Null]), Err(NoReference));
    }
}

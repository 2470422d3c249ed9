//! Shared rows of several files: equal ones stand in the target once.

use super::audit::{KeyWatch, primary_key_over_files};
use super::encoded::EncodedRow;
use crate::plan::Plan;
use crate::schema::TableId;
use siphasher::sip128::SipHasher13;
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

/// Knows the rows of one shared table that earlier files have.
///
/// Rows are known by their primary key; a table without one has each row as often as the file that has it most. The rows
/// themselves are not kept: some 50 bytes each.
pub(super) struct SharedRows {
    key: Option<KeyWatch>,
    hasher: SipHasher13,
    /// The hash of each key, with that of its row and the file that has it.
    seen: HashMap<u128, (u128, usize)>,
    /// How often the present file has had each row, where there is no key.
    in_file: HashMap<u128, u64>,
    file: usize,
}

/// What a row is beside those of earlier files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    /// None of them has it.
    New,
    /// One of them has it, equal in all columns.
    Again,
    /// This file has another row under the same key.
    Differs(usize),
}

impl SharedRows {
    pub fn new(plan: &Plan, target: TableId) -> Self {
        let random = RandomState::new();
        Self {
            key: primary_key_over_files(plan, target),
            hasher: SipHasher13::new_with_keys(random.hash_one(1), random.hash_one(2)),
            seen: HashMap::new(),
            in_file: HashMap::new(),
            file: 0,
        }
    }

    /// Looks at a row; files come one after the other.
    pub fn see(&mut self, file: usize, row: &EncodedRow<'_>) -> Sight {
        if file != self.file {
            self.in_file.clear();
            self.file = file;
        }
        let whole = self.hasher.hash(row.bytes).as_u128();
        let key = match &mut self.key {
            Some(key) => key.key(row).map(|key| self.hasher.hash(key).as_u128()),
            None => None,
        };
        let key = key.unwrap_or_else(|| {
            let count = self.in_file.entry(whole).or_default();
            *count += 1;
            self.hasher.hash(&[&whole.to_be_bytes()[..], &count.to_be_bytes()].concat()).as_u128()
        });
        match self.seen.get(&key) {
            None => {
                self.seen.insert(key, (whole, file));
                Sight::New
            }
            Some(&(other, _)) if other == whole => Sight::Again,
            Some(&(_, first)) => Sight::Differs(first),
        }
    }
}

//! Foreign keys and identities looked at while the target's rows are read back, so that no row is read twice for them.
//!
//! Of each key that foreign keys refer to, a keyed 64-bit hash of every row is kept, eight bytes a row. A reference whose
//! hash is none of them breaks its foreign key, or is equal to a key only as PostgreSQL compares: the anti-join of
//! [`foreign_keys`](super::foreign_keys) then decides, and says what is wrong. Rows whose referenced table has not been read
//! to its end are judged later, by their hashes.

use super::canonical::{integer, is_null};
use super::rows::Row;
use super::sums::RowHasher;
use crate::plan::Plan;
use crate::rewrite::ColumnValue;
use crate::schema::{ColumnId, ForeignKey, ForeignKeyId, TableId};
use crate::spec::ForeignKeyTenancy;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many references are looked up at once.
const AT_ONCE: usize = 128;

/// Hashes of keys, found by their first bits, which are as good as random.
#[derive(Debug, Default)]
struct KeySet {
    sorted: Vec<u64>,
    /// Where the hashes with each first bits begin, and the end.
    starts: Vec<u32>,
    /// How far the first bits are from the last.
    shift: u32,
}

impl KeySet {
    /// Puts hashes in order; more than four thousand million of one table are looked for without first bits.
    fn new(parts: Vec<Vec<u64>>) -> Self {
        let more: usize = parts.iter().skip(1).map(Vec::len).sum();
        let mut parts = parts.into_iter();
        // The first part's memory grows where it is, and that of each other goes before the next one is added.
        let mut sorted = parts.next().unwrap_or_default();
        sorted.reserve_exact(more);
        parts.for_each(|part| sorted.extend_from_slice(&part));
        sorted.shrink_to_fit();
        sorted.sort_unstable();
        let Ok(count) = u32::try_from(sorted.len()) else { return Self { sorted, starts: Vec::new(), shift: 0 } };
        // About four hashes share their first bits.
        let bits = (count / 4).checked_ilog2().unwrap_or(0) + 1;
        let shift = u64::BITS - bits;
        let mut starts = Vec::with_capacity((1 << bits) + 1);
        for (position, hash) in sorted.iter().enumerate() {
            while starts.len() as u64 <= hash >> shift {
                starts.push(position as u32);
            }
        }
        starts.resize((1 << bits) + 1, count);
        Self { sorted, starts, shift }
    }

    /// Says whether all of these are in it. Where one lies is found for all before any is looked at, so that the processor waits
    /// for memory once and not for each.
    fn contains_all(&self, hashes: &[u64]) -> bool {
        let starts = hashes.iter().map(|hash| self.starts.get((hash >> self.shift) as usize).copied().unwrap_or(0));
        let near = starts.map(|start| self.sorted.get(start as usize).copied().unwrap_or(0));
        let touched = near.fold(0, u64::wrapping_add);
        std::hint::black_box(touched);
        hashes.iter().all(|&hash| self.contains(hash))
    }

    fn contains(&self, hash: u64) -> bool {
        let first = (hash >> self.shift) as usize;
        match (self.starts.get(first), self.starts.get(first.saturating_add(1))) {
            (Some(&start), Some(&end)) => self.sorted[start as usize..end as usize].contains(&hash),
            _ => self.sorted.binary_search(&hash).is_ok(),
        }
    }
}

/// What the rows of all tables are watched for.
pub(super) struct References {
    hasher: RowHasher,
    /// By table.
    tables: Vec<Watched>,
    found: Mutex<Found>,
}

/// What the rows of one table are watched for.
#[derive(Default)]
struct Watched {
    /// The keys that others refer to: their number, and where their columns stand.
    keys: Vec<(usize, Vec<usize>)>,
    references: Vec<Reference>,
    /// Where identities stand.
    identities: Vec<usize>,
}

/// A foreign key, seen from the rows that refer.
struct Reference {
    /// Its place among all foreign keys.
    number: usize,
    /// The number of the key that it refers to.
    key: usize,
    columns: Vec<usize>,
    match_full: bool,
    /// A tenant column of its own and that of the row, which have to agree.
    same_tenant: Option<(usize, usize)>,
}

/// What has been found, whoever read it.
struct Found {
    keys: Vec<Key>,
    /// Whether a foreign key may be broken.
    suspect: Vec<bool>,
    /// References that wait for their key: its number, the foreign key's, and the hashes.
    late: Vec<(usize, usize, Vec<u64>)>,
    /// The greatest number in each identity, by table.
    greatest: Vec<Vec<Option<i64>>>,
}

/// A key that is referred to.
struct Key {
    /// How many parts of its table have not been read.
    left: usize,
    parts: Vec<Vec<u64>>,
    /// All of them, once they are complete.
    complete: Option<Arc<KeySet>>,
}

impl References {
    /// Prepares for the foreign keys of a plan, in their order; `parts` says in how many parts each table is read.
    pub fn new(plan: &Plan, foreign_keys: &[ForeignKeyId], hasher: RowHasher, parts: &[usize]) -> Self {
        let schema = &plan.rewritten.target;
        let position = |table: TableId, id: ColumnId| {
            let columns = &schema.table(table).columns;
            columns.iter().position(|&other| other == id)
        };
        let positions = |table: TableId, ids: &[ColumnId]| -> Vec<usize> {
            ids.iter().filter_map(|&id| position(table, id)).collect()
        };
        let mut tables: Vec<Watched> = schema.table_ids().map(|_| Watched::default()).collect();
        let mut keys = Vec::new();
        for (number, &id) in foreign_keys.iter().enumerate() {
            let foreign_key = schema.foreign_key(id);
            let referenced = positions(foreign_key.referenced_table, &foreign_key.referenced_columns);
            let known = &mut tables[foreign_key.referenced_table.index()].keys;
            let key = match known.iter().find(|(_, columns)| *columns == referenced) {
                Some(&(key, _)) => key,
                None => {
                    let left = parts[foreign_key.referenced_table.index()];
                    keys.push(Key { left, parts: Vec::new(), complete: None });
                    known.push((keys.len() - 1, referenced));
                    keys.len() - 1
                }
            };
            let columns = positions(foreign_key.table, &foreign_key.columns);
            let same_tenant = same_tenant(plan, foreign_key).and_then(|(named, own)| {
                Some((position(foreign_key.table, named)?, position(foreign_key.table, own)?))
            });
            let match_full = foreign_key.match_full;
            let reference = Reference { number, key, columns, match_full, same_tenant };
            tables[foreign_key.table.index()].references.push(reference);
        }
        for (table, watched) in schema.table_ids().zip(&mut tables) {
            let identities = schema.table(table).columns.iter().enumerate();
            watched.identities =
                identities.filter(|(_, id)| schema.column(**id).identity).map(|(position, _)| position).collect();
        }
        let greatest = tables.iter().map(|watched| vec![None; watched.identities.len()]).collect();
        let found = Found { keys, suspect: vec![false; foreign_keys.len()], late: Vec::new(), greatest };
        Self { hasher, tables, found: Mutex::new(found) }
    }

    /// Begins to watch the rows of a part of a table.
    pub fn watch(&self, table: TableId) -> Watch<'_> {
        let watched = &self.tables[table.index()];
        let found = self.lock();
        let state = |reference: &Reference| ReferenceState {
            known: found.keys[reference.key].complete.clone(),
            last: Vec::new(),
            hashes: Vec::new(),
            is_suspect: false,
        };
        Watch {
            references: watched.references.iter().map(state).collect(),
            keys: vec![Vec::new(); watched.keys.len()],
            greatest: vec![None; watched.identities.len()],
            all: self,
            watched,
            table,
            scratch: Vec::new(),
        }
    }

    /// Judges what is left once all rows have been read, and says which foreign keys may be broken.
    pub fn suspects(&self) -> Vec<bool> {
        let mut found = self.lock();
        for (key, number, hashes) in std::mem::take(&mut found.late) {
            let known = found.keys[key].complete.clone().unwrap_or_default();
            found.suspect[number] |= hashes.chunks(AT_ONCE).any(|hashes| !known.contains_all(hashes));
        }
        found.suspect.clone()
    }

    /// Returns the greatest number in each identity of a table, in the order of its columns.
    pub fn greatest(&self, table: TableId) -> Vec<Option<i64>> {
        self.lock().greatest[table.index()].clone()
    }

    fn lock(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Finds the tenant column that a reference has of its own and the row's, where they may not differ.
pub(super) fn same_tenant(plan: &Plan, foreign_key: &ForeignKey) -> Option<(ColumnId, ColumnId)> {
    let rewritten = &plan.rewritten;
    let own = rewritten.tenant_columns[foreign_key.table.index()]?;
    let (named, source) = foreign_key.columns.iter().find_map(|&column| match rewritten.values[column.index()] {
        ColumnValue::ReferenceTenant(source) => Some((column, source)),
        _ => None,
    })?;
    let decided = &plan.tenancy.table(plan.source.foreign_key(source).table).foreign_keys;
    let may_differ = matches!(decided.get(&source), Some(ForeignKeyTenancy::CrossTenant(_)));
    (!may_differ).then_some((named, own))
}

/// Watches the rows of one part of a table.
pub(super) struct Watch<'r> {
    all: &'r References,
    watched: &'r Watched,
    table: TableId,
    references: Vec<ReferenceState>,
    keys: Vec<Vec<u64>>,
    greatest: Vec<Option<i64>>,
    scratch: Vec<u8>,
}

struct ReferenceState {
    /// The hashes of the key, where it has been read to its end.
    known: Option<Arc<KeySet>>,
    /// What the row before refers to: rows that refer to the same one tend to come together.
    last: Vec<u8>,
    /// Those that have not been looked up yet, or wait for the key to be complete.
    hashes: Vec<u64>,
    is_suspect: bool,
}

impl ReferenceState {
    /// Looks up what has gathered, where the key is known.
    fn look_up(&mut self) {
        if let Some(known) = &self.known {
            self.is_suspect |= !known.contains_all(&self.hashes);
            self.hashes.clear();
        }
    }
}

impl Watch<'_> {
    /// Looks at a row.
    pub fn see(&mut self, row: &Row) {
        let hasher = self.all.hasher;
        let hash = |bytes: &[u8]| hasher.hash_bytes(bytes) as u64;
        for ((_, columns), hashes) in self.watched.keys.iter().zip(&mut self.keys) {
            write(row, columns, &mut self.scratch);
            hashes.push(hash(&self.scratch));
        }
        for (reference, state) in self.watched.references.iter().zip(&mut self.references) {
            let nulls = reference.columns.iter().filter(|&&column| is_null(row.column(column))).count();
            if nulls > 0 {
                state.is_suspect |= reference.match_full && nulls < reference.columns.len();
                continue;
            }
            if let Some((named, own)) = reference.same_tenant {
                state.is_suspect |= row.column(named) != row.column(own);
            }
            write(row, &reference.columns, &mut self.scratch);
            if state.last == self.scratch {
                continue;
            }
            state.last.clone_from(&self.scratch);
            state.hashes.push(hash(&self.scratch));
            if state.hashes.len() >= AT_ONCE {
                state.look_up();
            }
        }
        for (&identity, greatest) in self.watched.identities.iter().zip(&mut self.greatest) {
            *greatest = (*greatest).max(integer(row.column(identity)));
        }
    }

    /// Says that all rows of the part have been seen.
    pub fn end(self) {
        let mut found = self.all.lock();
        for ((number, _), hashes) in self.watched.keys.iter().zip(self.keys) {
            let key = &mut found.keys[*number];
            key.left = key.left.saturating_sub(1);
            key.parts.push(hashes);
            if key.left == 0 {
                key.complete = Some(Arc::new(KeySet::new(std::mem::take(&mut key.parts))));
            }
        }
        for (reference, mut state) in self.watched.references.iter().zip(self.references) {
            state.look_up();
            found.suspect[reference.number] |= state.is_suspect;
            if !state.hashes.is_empty() {
                found.late.push((reference.key, reference.number, state.hashes));
            }
        }
        for (all, greatest) in found.greatest[self.table.index()].iter_mut().zip(self.greatest) {
            *all = (*all).max(greatest);
        }
    }
}

fn write(row: &Row, columns: &[usize], out: &mut Vec<u8>) {
    out.clear();
    columns.iter().for_each(|&column| out.extend_from_slice(row.column(column)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_what_was_put_into_it_and_nothing_else() {
        for count in [0_u64, 1, 3, 7, 100, 5_000] {
            // Spread over all first bits, with some at both ends.
            let mut hashes: Vec<u64> = (0..count).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
            hashes.extend([u64::MAX, u64::MAX - 1].into_iter().take(count.min(2) as usize));
            let set = KeySet::new(hashes.chunks(11).map(<[u64]>::to_vec).collect());
            assert!(hashes.iter().all(|&hash| set.contains(hash)), "{count}");
            assert!(set.contains_all(&hashes), "{count}");
            assert!(hashes.iter().all(|&hash| hashes.contains(&(hash ^ 4)) || !set.contains(hash ^ 4)), "{count}");
        }
        let some = KeySet::new(vec![vec![1 << 40, 5 << 60, 7]]);
        assert!(some.contains_all(&[7, 5 << 60, 7]) && !some.contains_all(&[7, 8, 1 << 40]));
        assert!(!KeySet::new(Vec::new()).contains(0) && !KeySet::new(Vec::new()).contains_all(&[0]));
        assert!(!KeySet::default().contains(u64::MAX));
    }
}

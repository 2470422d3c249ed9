//! Counts and keyed multiset sums of rows, for each tenant.
//!
//! A sum of 128-bit keyed hashes does not depend on the order of the rows, counts a row that comes twice twice, and
//! cannot be made to collide by who does not know the key, which is new in every run.

use super::proof::EXAMPLES;
use super::proof::{TableProof, TenantDifference, TenantSum};
use super::rows::{Row, TableRows};
use crate::diagnostic::Diagnostic;
use crate::sqlite::Database;
use foldhash::fast::RandomState;
use siphasher::sip128::SipHasher13;
use std::collections::hash_map;
use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

/// How many rows are read between two calls for progress.
const STEP: u64 = 50_000;

/// Hashes rows with a key that nobody can know beforehand.
#[derive(Clone, Copy)]
pub(super) struct RowHasher {
    hasher: SipHasher13,
    key: [u64; 2],
}

impl RowHasher {
    /// Takes a key from the operating system's randomness.
    pub fn random() -> Self {
        let key = [(); 2].map(|()| hash_map::RandomState::new().build_hasher().finish());
        Self { hasher: SipHasher13::new_with_keys(key[0], key[1]), key }
    }

    /// Writes the key in hexadecimal.
    pub fn key(&self) -> String {
        format!("{:016x}{:016x}", self.key[0], self.key[1])
    }

    /// Hashes an encoded row.
    pub fn hash(&self, row: &Row) -> u128 {
        self.hash_bytes(&row.bytes)
    }

    /// Hashes encoded values.
    pub fn hash_bytes(&self, bytes: &[u8]) -> u128 {
        self.hasher.hash(bytes).as_u128()
    }
}

/// Some rows reduced to their number and sum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Group {
    rows: u64,
    sum: u128,
}

/// The rows of one side, by encoded tenant.
#[derive(Default)]
pub(super) struct Groups {
    known: HashMap<Vec<u8>, Group, RandomState>,
    /// The tenant of the last rows, and those of them that have not been added yet: rows of a tenant tend to come together.
    tenant: Vec<u8>,
    last: Group,
}

impl Groups {
    /// Adds a row.
    pub fn add(&mut self, tenant: &[u8], hash: u128) {
        if self.tenant != tenant {
            self.settle();
            self.tenant.clear();
            self.tenant.extend_from_slice(tenant);
        }
        self.last.rows += 1;
        self.last.sum = self.last.sum.wrapping_add(hash);
    }

    fn settle(&mut self) {
        let last = std::mem::take(&mut self.last);
        if last.rows == 0 {
            return;
        }
        // Looked up first, because a key to insert would have to be copied every time.
        let group = match self.known.get_mut(&self.tenant) {
            Some(group) => group,
            None => self.known.entry(self.tenant.clone()).or_default(),
        };
        group.rows += last.rows;
        group.sum = group.sum.wrapping_add(last.sum);
    }

    /// Adds all rows of others.
    pub fn append(&mut self, others: Self) {
        for (tenant, group) in others.all() {
            self.settle();
            self.tenant = tenant;
            self.last = group;
        }
    }

    fn all(mut self) -> HashMap<Vec<u8>, Group, RandomState> {
        self.settle();
        self.known
    }
}

/// What the sums of a table say: the proof so far, and which tenants to look into.
pub(super) struct Sums {
    /// Without examples of rows.
    pub proof: TableProof,
    /// The encoded tenants whose rows differ.
    pub differing: BTreeSet<Vec<u8>>,
}

/// Reads a table of the source; `read` is told how many more rows have been read.
pub(super) fn of_source(
    rows: &TableRows,
    hasher: RowHasher,
    source: &Database,
    read: &mut dyn FnMut(u64),
) -> Result<Groups, Diagnostic> {
    let mut groups = Groups::default();
    let mut count = 0;
    rows.for_each_in_source(source, &mut |row| {
        groups.add(rows.tenant_of(row), hasher.hash(row));
        count += 1;
        if count == STEP {
            read(count);
            count = 0;
        }
    })?;
    read(count);
    Ok(groups)
}

/// Reads the rows of the source that meet a condition, few enough not to be heard of before their end, and says how many there
/// are.
pub(super) fn of_part(
    rows: &Arc<TableRows>,
    hasher: RowHasher,
    source: &Database,
    condition: Option<&str>,
) -> Result<(Groups, u64), Diagnostic> {
    let table = Arc::clone(rows);
    rows.fold_source(source, condition, (Groups::default(), 0), move |(groups, count), row| {
        groups.add(table.tenant_of(row), hasher.hash(row));
        *count += 1;
    })
}

/// Compares the sums of each tenant.
pub(super) fn difference(rows: &TableRows, expected: Groups, found: Groups) -> Sums {
    let (expected, found) = (expected.all(), found.all());
    let tenants: BTreeSet<&Vec<u8>> = expected.keys().chain(found.keys()).collect();
    let of = |groups: &HashMap<Vec<u8>, Group, RandomState>, tenant: &Vec<u8>| {
        groups.get(tenant).copied().unwrap_or_default()
    };
    let count = |groups: &HashMap<Vec<u8>, Group, RandomState>| groups.values().map(|group| group.rows).sum();
    let differing: BTreeSet<Vec<u8>> = tenants
        .iter()
        .filter(|tenant| of(&expected, tenant) != of(&found, tenant))
        .map(|&tenant| tenant.clone())
        .collect();
    let tenant_examples = differing.iter().take(EXAMPLES).map(|tenant| TenantDifference {
        tenant: rows.shown_tenant(tenant),
        source_rows: of(&expected, tenant).rows,
        target_rows: of(&found, tenant).rows,
    });
    let proof = TableProof {
        table: rows.name.clone(),
        unread: None,
        source_rows: count(&expected),
        target_rows: count(&found),
        tenants: if rows.has_tenants() { tenants.len() as u64 } else { 0 },
        differing_tenants: differing.len() as u64,
        tenant_examples: tenant_examples.collect(),
        row_examples: Vec::new(),
        sums: tenants
            .iter()
            .map(|tenant| (of(&expected, tenant), of(&found, tenant), rows.shown_tenant(tenant)))
            .map(|(source, target, tenant)| TenantSum {
                tenant,
                source_rows: source.rows,
                target_rows: target.rows,
                source_sum: source.sum,
                target_sum: target.sum,
            })
            .collect(),
    };
    Sums { proof, differing }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_forgets_the_order_and_nothing_else() {
        let sum = |rows: &[u128]| {
            let mut groups = Groups::default();
            rows.iter().for_each(|&hash| groups.add(b"a", hash));
            groups.all()[&b"a"[..]]
        };
        assert_eq!(sum(&[1, 2, 3]), sum(&[3, 1, 2]));
        assert_ne!(sum(&[1, 1]), sum(&[2, 2]));
        // What XOR would take for nothing.
        assert_ne!(sum(&[7, 7]), Group::default());
        assert_ne!(sum(&[u128::MAX, 1]), sum(&[0]));
    }

    #[test]
    fn rows_that_come_apart_are_counted_together() {
        let groups = |rows: &[(&[u8], u128)]| {
            let mut groups = Groups::default();
            rows.iter().for_each(|&(tenant, hash)| groups.add(tenant, hash));
            groups.all()
        };
        let together = groups(&[(b"", 3), (b"a", 1), (b"a", 2), (b"b", 7)]);
        assert_eq!(together, groups(&[(b"a", 2), (b"b", 7), (b"", 3), (b"a", 1)]));
        assert_eq!(together.values().map(|group| group.rows).sum::<u64>(), 4);
    }

    #[test]
    fn every_run_has_its_own_key() {
        let row = Row::default();
        assert_ne!(RowHasher::random().hash(&row), RowHasher::random().hash(&row));
    }
}

//! From a tenant whose rows differ to the rows and columns that do.
//!
//! Two passes over the differing tenants, in bounded memory: the first spreads the rows over buckets by key and finds
//! those whose sums differ; the second keeps the rows of the first few such buckets and compares them one by one.

use super::proof::{EXAMPLES, RowDifference, RowDifferenceKind};
use super::rows::{Row, TableRows};
use super::sums::RowHasher;
use crate::diagnostic::Diagnostic;
use crate::postgres::Connection;
use siphasher::sip::SipHasher13;
use std::collections::{BTreeMap, BTreeSet};

/// Few enough to be small, enough that a bucket of a large table holds few rows.
const BUCKETS: usize = 1 << 16;

/// Reads the rows that a table is to have, with those of the differing tenants among them.
pub(super) type ReadSource<'f> = dyn Fn(&mut dyn FnMut(&Row)) -> Result<(), Diagnostic> + 'f;

/// Finds the first rows that differ among those of some tenants.
pub(super) fn rows(
    rows: &TableRows,
    hasher: RowHasher,
    differing: &BTreeSet<Vec<u8>>,
    read_source: &ReadSource<'_>,
    target: &mut Connection,
) -> Result<Vec<RowDifference>, Diagnostic> {
    let mut key = Vec::new();
    // A fixed hash, so that the same difference is described by the same examples in every run.
    let mut bucket_of = |row: &Row| {
        key.clear();
        rows.write_key(row, &mut key);
        SipHasher13::new().hash(&key) as usize % BUCKETS
    };
    let mut buckets = vec![(0_u64, 0_u128); BUCKETS];
    read_source(&mut |row| {
        if differing.contains(rows.tenant_of(row)) {
            let (count, sum) = &mut buckets[bucket_of(row)];
            (*count, *sum) = (count.wrapping_add(1), sum.wrapping_add(hasher.hash(row)));
        }
    })?;
    rows.for_each_in_target(target, |row| {
        if differing.contains(rows.tenant_of(row)) {
            let (count, sum) = &mut buckets[bucket_of(row)];
            (*count, *sum) = (count.wrapping_sub(1), sum.wrapping_sub(hasher.hash(row)));
        }
    })?;
    let open: BTreeSet<usize> = (0..BUCKETS).filter(|&bucket| buckets[bucket] != (0, 0)).take(EXAMPLES).collect();
    drop(buckets);
    let mut found: BTreeMap<Vec<u8>, Sides> = BTreeMap::new();
    let mut keep = |row: &Row, side: fn(&mut Sides) -> &mut Vec<Row>| {
        if differing.contains(rows.tenant_of(row)) && open.contains(&bucket_of(row)) {
            let mut key = Vec::new();
            rows.write_key(row, &mut key);
            side(found.entry(key).or_default()).push(row.clone());
        }
    };
    read_source(&mut |row| keep(row, |sides| &mut sides.source))?;
    rows.for_each_in_target(target, |row| keep(row, |sides| &mut sides.target))?;
    Ok(found.into_values().flat_map(|sides| differences(rows, sides)).take(EXAMPLES).collect())
}

/// The rows of both sides under one key.
#[derive(Default)]
struct Sides {
    source: Vec<Row>,
    target: Vec<Row>,
}

/// Pairs rows off, the surest pairs first: equal rows, then rows of one tenant, then rows of two.
fn differences(rows: &TableRows, mut sides: Sides) -> Vec<RowDifference> {
    let mut found = Vec::new();
    let mut matched: Vec<Row> = Vec::new();
    let mut add = |tenant_of: &Row, kind| {
        let tenant = rows.shown_tenant(rows.tenant_of(tenant_of));
        found.push(RowDifference { tenant, key: rows.shown_key(tenant_of), kind });
    };
    let same_row = |one: &Row, other: &Row| one.bytes == other.bytes;
    let same_tenant = |one: &Row, other: &Row| rows.tenant_of(one) == rows.tenant_of(other);
    for (expected, _) in pairs(&mut sides, same_row) {
        matched.push(expected);
    }
    for (expected, present) in pairs(&mut sides, same_tenant) {
        let differs = |column: &usize| expected.column(*column) != present.column(*column);
        let columns = (0..rows.columns.len()).filter(differs).map(|column| rows.columns[column].0.clone()).collect();
        add(&expected, RowDifferenceKind::Changed { columns });
        matched.push(expected);
    }
    for (expected, present) in pairs(&mut sides, |_, _| true) {
        add(
            &expected,
            RowDifferenceKind::WrongTenant {
                found_in: rows.shown_tenant(rows.tenant_of(&present)).unwrap_or_default(),
            },
        );
    }
    for expected in &sides.source {
        add(expected, RowDifferenceKind::Missing);
    }
    for present in &sides.target {
        let again = matched.iter().any(|row| same_tenant(row, present));
        add(present, if again { RowDifferenceKind::Doubled } else { RowDifferenceKind::Extra });
    }
    found
}

/// Takes pairs that belong together out of both sides.
fn pairs(sides: &mut Sides, belong_together: impl Fn(&Row, &Row) -> bool) -> Vec<(Row, Row)> {
    let mut pairs = Vec::new();
    for expected in std::mem::take(&mut sides.source) {
        match sides.target.iter().position(|present| belong_together(&expected, present)) {
            Some(position) => pairs.push((expected, sides.target.swap_remove(position))),
            None => sides.source.push(expected),
        }
    }
    pairs
}

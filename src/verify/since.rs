//! After the switch: what has become of the source's rows in a target that goes on being written to.
//!
//! Every row of the source is unchanged and proven, updated, or deleted; every other row of the target is new. Whether an
//! update was meant, nobody can tell from the outside; but a row that stands under another tenant with the same values was
//! not updated by an application that knows its tenant, and is a finding.
//!
//! Memory is bounded: a first pass spreads both sides over buckets by key and compares their sums. What is the same is
//! proven; of the others, as many buckets are looked into at a time as hold [`BATCH`] rows together.

use super::expressions::CatalogProof;
use super::proof::{EXAMPLES, ForeignKeyProof, RowDifference, RowDifferenceKind, SequenceProof};
use super::readable::Readable;
use super::rows::{Row, TableRows};
use super::sums::RowHasher;
use super::tenant_sql::TenantSql;
use super::{foreign_keys, sequences, verify_catalog, verify_isolation};
use crate::diagnostic::Diagnostic;
use crate::plan::Plan;
use crate::postgres::Connection;
use crate::schema::TableId;
use crate::sqlite::Database;
use serde::Serialize;
use siphasher::sip::SipHasher13;
use std::collections::HashMap;

/// A power of two, so that few changes leave most buckets alone.
const BUCKETS: usize = 1 << 16;

/// How many rows are kept at a time: some 40 MiB.
const BATCH: u64 = 200_000;

/// What has become of a run's rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SinceRun {
    /// The rows of each table, in load order.
    pub tables: Vec<TableSince>,
    /// Each foreign key, in the order of the plan.
    pub foreign_keys: Vec<ForeignKeyProof>,
    /// Each identity column.
    pub sequences: Vec<SequenceProof>,
    /// How the live schema differs from the plan, one sentence a difference.
    pub catalog: Vec<String>,
    /// What of the live schema could not be compared, one sentence each.
    pub uncompared: Vec<String>,
}

impl SinceRun {
    /// Takes in what the comparison of expressions found.
    pub fn add_expressions(&mut self, found: CatalogProof) {
        self.catalog.extend(found.differences);
        self.uncompared.extend(found.uncompared);
    }

    /// Says whether every row of the source is accounted for under its own tenant, and the schema still holds.
    pub fn is_sound(&self) -> bool {
        self.catalog.is_empty()
            && self.tables.iter().all(|table| table.unread.is_none() && table.moved == 0)
            && self.foreign_keys.iter().all(ForeignKeyProof::is_proven)
            && self.sequences.iter().all(SequenceProof::is_proven)
    }
}

/// What has become of one table's rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TableSince {
    /// The table's name in the target.
    pub table: String,
    /// Why its rows could not be compared, as a fragment.
    pub unread: Option<String>,
    /// Rows of the source that the target has as they were.
    pub unchanged: u64,
    /// Rows of the source whose values are others now.
    pub updated: u64,
    /// Rows of the source that the target has no longer.
    pub deleted: u64,
    /// Rows of the target that the source did not have.
    pub new: u64,
    /// Rows of the source that stand under another tenant, with the same values.
    pub moved: u64,
    /// The first of those.
    pub moved_examples: Vec<RowDifference>,
}

/// Compares a target that goes on being written to with the source of its run.
///
/// # Errors
/// Failures of either side; they prove nothing.
pub fn verify_since(
    plan: &Plan,
    source: &Database,
    target: &mut Connection,
    progress: &mut dyn FnMut(&str, u64),
) -> Result<SinceRun, Diagnostic> {
    let mut catalog = verify_catalog(plan, target)?;
    catalog.extend(verify_isolation(plan, target)?);
    let readable = Readable::find(plan, target)?;
    let tenants = TenantSql::new(plan);
    tenants.derive(source)?;
    let mut tables = Vec::new();
    for table in plan.rewritten.target.table_ids() {
        tables.push(match readable.obstacle(table) {
            Some(obstacle) => unread(plan, table, obstacle),
            None => compare(&TableRows::new(plan, &tenants, table), source, target, progress, BATCH)?,
        });
    }
    tenants.forget(source)?;
    let schema = &plan.rewritten.target;
    let (mut foreign_keys, mut sequences) = (Vec::new(), Vec::new());
    for table in schema.table_ids() {
        for &id in &schema.table(table).foreign_keys {
            foreign_keys.push(foreign_keys::check(plan, target, &readable, schema.foreign_key(id))?);
        }
        if readable.obstacle(table).is_none() {
            let given_out = sequences::given_out(plan, source, table)?;
            let greatest = sequences::greatest(plan, table, target)?;
            sequences.extend(sequences::prove(plan, table, given_out, &greatest, target)?);
        }
    }
    Ok(SinceRun { tables, foreign_keys, sequences, catalog, uncompared: Vec::new() })
}

fn unread(plan: &Plan, table: TableId, obstacle: &str) -> TableSince {
    let table = plan.rewritten.target.table(table).name.clone();
    TableSince { table, unread: Some(obstacle.to_owned()), ..TableSince::default() }
}

/// The rows of both sides whose keys fall together.
#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    source: u64,
    target: u64,
    /// The sum of the source's hashes without the target's.
    sum: u128,
}

impl Bucket {
    fn is_same(self) -> bool {
        self.source == self.target && self.sum == 0
    }
}

/// One row, as far as it has to be told from others with its key.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Kept {
    tenant: Box<[u8]>,
    whole: u128,
    /// Without the columns that name tenants.
    rest: u128,
}

/// The encoded tenants of a row that has moved.
struct Moved {
    was: Box<[u8]>,
    is: Box<[u8]>,
}

/// The rows of both sides under one key.
#[derive(Default)]
struct Sides {
    source: Vec<Kept>,
    target: Vec<Kept>,
}

pub(super) fn compare(
    rows: &TableRows,
    source: &Database,
    target: &mut Connection,
    progress: &mut dyn FnMut(&str, u64),
    batch: u64,
) -> Result<TableSince, Diagnostic> {
    let hasher = RowHasher::random();
    let mut key = Vec::new();
    let mut bucket_of = |row: &Row| {
        key.clear();
        rows.write_key(row, &mut key);
        SipHasher13::new().hash(&key) as usize % BUCKETS
    };
    let mut buckets = vec![Bucket::default(); BUCKETS];
    let mut read = 0;
    rows.for_each_in_source(source, &mut |row| {
        let bucket = &mut buckets[bucket_of(row)];
        bucket.source += 1;
        bucket.sum = bucket.sum.wrapping_add(hasher.hash(row));
        read += 1;
    })?;
    progress(&rows.name, read);
    rows.for_each_in_target(target, |row| {
        let bucket = &mut buckets[bucket_of(row)];
        bucket.target += 1;
        bucket.sum = bucket.sum.wrapping_sub(hasher.hash(row));
    })?;
    let mut since = TableSince { table: rows.name.clone(), ..TableSince::default() };
    since.unchanged = buckets.iter().filter(|bucket| bucket.is_same()).map(|bucket| bucket.source).sum();
    let mut first = 0;
    while let Some(start) = (first..BUCKETS).find(|&bucket| !buckets[bucket].is_same()) {
        let (mut end, mut held) = (start, 0);
        while end < BUCKETS && (held == 0 || held < batch) {
            if !buckets[end].is_same() {
                held += buckets[end].source + buckets[end].target;
            }
            end += 1;
        }
        let mut found: HashMap<Vec<u8>, Sides> = HashMap::new();
        let mut rest = Vec::new();
        let mut keep = |row: &Row, side: fn(&mut Sides) -> &mut Vec<Kept>| {
            let bucket = bucket_of(row);
            if !(start..end).contains(&bucket) || buckets[bucket].is_same() {
                return;
            }
            let mut key = Vec::new();
            rows.write_key(row, &mut key);
            rest.clear();
            rows.write_without_tenants(row, &mut rest);
            let kept =
                Kept { tenant: rows.tenant_of(row).into(), whole: hasher.hash(row), rest: hasher.hash_bytes(&rest) };
            side(found.entry(key).or_default()).push(kept);
        };
        rows.for_each_in_source(source, &mut |row| keep(row, |sides| &mut sides.source))?;
        rows.for_each_in_target(target, |row| keep(row, |sides| &mut sides.target))?;
        let mut moved_keys = HashMap::new();
        for (key, sides) in found {
            if let Some(tenants) = account(sides, &mut since) {
                moved_keys.insert(key, tenants);
            }
        }
        name_moved(rows, source, moved_keys, &mut since)?;
        first = end;
    }
    Ok(since)
}

/// Counts the rows under one key; returns the tenants of the first that has moved, as it was and as it is.
fn account(mut sides: Sides, since: &mut TableSince) -> Option<Moved> {
    since.unchanged += pairs(&mut sides, |one, other| one == other).len() as u64;
    since.updated += pairs(&mut sides, |one, other| one.tenant == other.tenant).len() as u64;
    let moved = pairs(&mut sides, |one, other| one.rest == other.rest);
    since.moved += moved.len() as u64;
    since.deleted += sides.source.len() as u64;
    since.new += sides.target.len() as u64;
    moved.into_iter().next().map(|(was, is)| Moved { was: was.tenant, is: is.tenant })
}

/// Takes pairs that belong together out of both sides.
fn pairs(sides: &mut Sides, belong_together: impl Fn(&Kept, &Kept) -> bool) -> Vec<(Kept, Kept)> {
    let mut pairs = Vec::new();
    for was in std::mem::take(&mut sides.source) {
        match sides.target.iter().position(|is| belong_together(&was, is)) {
            Some(position) => pairs.push((was, sides.target.swap_remove(position))),
            None => sides.source.push(was),
        }
    }
    pairs
}

/// Finds the keys of moved rows once more, to show the first of them.
fn name_moved(
    rows: &TableRows,
    source: &Database,
    moved: HashMap<Vec<u8>, Moved>,
    since: &mut TableSince,
) -> Result<(), Diagnostic> {
    if moved.is_empty() || since.moved_examples.len() >= EXAMPLES {
        return Ok(());
    }
    let mut key = Vec::new();
    rows.for_each_in_source(source, &mut |row| {
        key.clear();
        rows.write_key(row, &mut key);
        let Some(Moved { was, is }) = moved.get(&key).filter(|_| since.moved_examples.len() < EXAMPLES) else { return };
        if rows.tenant_of(row) == &**was {
            since.moved_examples.push(RowDifference {
                tenant: rows.shown_tenant(was),
                key: rows.shown_key(row),
                kind: RowDifferenceKind::WrongTenant { found_in: rows.shown_tenant(is).unwrap_or_default() },
            });
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(tenant: &[u8], whole: u128, rest: u128) -> Kept {
        Kept { tenant: tenant.into(), whole, rest }
    }

    #[test]
    fn rows_under_one_key_are_each_counted_once() {
        let sides = Sides {
            source: vec![kept(b"a", 1, 1), kept(b"b", 2, 2), kept(b"c", 3, 3), kept(b"d", 4, 4)],
            target: vec![kept(b"a", 1, 1), kept(b"b", 7, 7), kept(b"e", 8, 3), kept(b"f", 9, 9)],
        };
        let mut since = TableSince::default();
        let moved = account(sides, &mut since).unwrap();
        assert_eq!((&*moved.was, &*moved.is), (&b"c"[..], &b"e"[..]));
        let counts = (since.unchanged, since.updated, since.moved, since.deleted, since.new);
        assert_eq!(counts, (1, 1, 1, 1, 1));
    }
}

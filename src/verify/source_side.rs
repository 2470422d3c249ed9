//! Reads all of the source, with the tenants of its rows derived in SQL, over several connections.
//!
//! A TEMP table is seen only by the connection that has made it, so tables whose rows get their tenants from the same one are
//! better read by the same connection.

use super::rows::TableRows;
use super::sums::{self, Groups, RowHasher};
use super::tenant_sql::TenantSql;
use crate::diagnostic::Diagnostic;
use crate::plan::Plan;
use crate::schema::TableId;
use crate::sqlite::Database;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;

/// What is to be read, and how.
pub(super) struct SourceSide<'a> {
    pub plan: &'a Plan,
    pub tenants: &'a TenantSql<'a>,
    pub hasher: RowHasher,
    /// The tables that can be read, in the order of the plan.
    pub tables: &'a [Option<Arc<TableRows>>],
}

/// What the connections share while they work.
struct Work {
    /// What is left to read, the next one last.
    left: Vec<Unread>,
    /// The tables whose TEMP tables each connection has made, or is making.
    made: Vec<BTreeSet<TableId>>,
    groups: Vec<Option<Groups>>,
    /// How many rows of each table have been read.
    counts: Vec<u64>,
    failure: Option<Diagnostic>,
}

/// How many rows are read at once of a table whose rows need nothing of the connection that reads them.
const PART: i64 = if cfg!(test) { 3 } else { 250_000 };

/// The most parts of a table, whatever its rowids are.
const MOST_PARTS: i64 = 64;

/// A table that is to be read, or a part of one.
struct Unread {
    table: TableId,
    /// About how many rows it has.
    rows: i64,
    /// The tables whose TEMP tables its rows get their tenants from.
    needed: BTreeSet<TableId>,
    /// Which of its rows; all without it.
    condition: Option<String>,
}

impl SourceSide<'_> {
    /// Sums up the rows of each table on this thread, and on one more for each database `beside`, which are the same one
    /// opened again. Each of them derives the tenants that its tables need. What is made stays.
    pub fn read(
        &self,
        source: &Database,
        beside: Vec<Database>,
        progress: &mut dyn FnMut(&str, u64),
    ) -> Result<Vec<Option<Groups>>, Diagnostic> {
        self.tenants.read_maps(source)?;
        // Rowids may all be negative.
        let rows_of = |table: TableId| source.greatest_rowid(&self.plan.source.table(table).name).max(0);
        let mut left = Vec::new();
        for table in self.plan.rewritten.target.table_ids().filter(|table| self.tables[table.index()].is_some()) {
            let rows = rows_of(self.plan.rewritten.source_tables[table.index()]);
            let needed = self.tenants.needed(table);
            match self.tenants.rowid(table).filter(|_| needed.is_empty()) {
                None => left.push(Unread { table, rows, needed, condition: None }),
                Some(rowid) => left.extend(ranges(&rowid, rows).into_iter().map(|(rows, condition)| Unread {
                    table,
                    rows,
                    needed: BTreeSet::new(),
                    condition,
                })),
            }
        }
        // The largest first, so that it is not waited for alone.
        left.sort_by_key(|unread| unread.rows);
        let costs = left.iter().flat_map(|unread| &unread.needed).map(|&table| (table, rows_of(table))).collect();
        let groups = self.tables.iter().map(|_| None).collect();
        let counts = vec![0; self.tables.len()];
        let made = vec![BTreeSet::new(); 1 + beside.len()];
        let work = Shared { costs, work: Mutex::new(Work { left, made, groups, counts, failure: None }) };
        let (sender, receiver) = mpsc::channel::<(String, u64)>();
        thread::scope(|scope| {
            for (number, database) in beside.into_iter().enumerate() {
                let (sender, work) = (sender.clone(), &work);
                scope.spawn(move || {
                    let mut progress = |table: &str, rows| drop(sender.send((table.to_owned(), rows)));
                    self.work(work, number + 1, &database, &mut progress);
                });
            }
            self.work(&work, 0, source, &mut |table, rows| {
                receiver.try_iter().for_each(|(table, rows)| progress(&table, rows));
                progress(table, rows);
            });
        });
        receiver.try_iter().for_each(|(table, rows)| progress(&table, rows));
        let Work { groups, failure, .. } = work.work.into_inner().unwrap_or_else(PoisonError::into_inner);
        failure.map_or(Ok(groups), Err)
    }

    /// Reads tables as long as there are some for this connection.
    fn work(&self, shared: &Shared, number: usize, database: &Database, progress: &mut dyn FnMut(&str, u64)) {
        let mut read_all = || {
            let mut made = self.tenants.begin(database)?;
            while let Some(Unread { table, rows: about, needed, condition }) = shared.take(number, &made) {
                self.tenants.derive_needed(database, &needed, &mut made)?;
                let Some(rows) = &self.tables[table.index()] else { continue };
                let mut read = |more| {
                    let count = shared.count(table, more);
                    progress(&rows.name, count);
                };
                let groups = match condition {
                    // Where nobody knows how many there are it may be many.
                    None if !(1..=2 * PART).contains(&about) => {
                        sums::of_source(rows, self.hasher, database, &mut read)?
                    }
                    condition => {
                        let (groups, count) = sums::of_part(rows, self.hasher, database, condition.as_deref())?;
                        read(count);
                        groups
                    }
                };
                shared.lock().groups[table.index()].get_or_insert_default().append(groups);
            }
            Ok(())
        };
        if let Err(error) = read_all() {
            shared.lock().failure.get_or_insert(error);
        }
    }
}

/// What is left to do, and what it takes.
struct Shared {
    /// About how many rows each TEMP table has.
    costs: BTreeMap<TableId, i64>,
    work: Mutex<Work>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts more rows of a table, and returns how many have been read.
    fn count(&self, table: TableId, more: u64) -> u64 {
        let count = &mut self.lock().counts[table.index()];
        *count += more;
        *count
    }

    /// Takes a table to read: the largest, unless its tenants are derived by another connection already and to derive them
    /// again would take as long as its rows do. That one reads it then, since it stops only when nothing is left for it.
    fn take(&self, number: usize, made: &BTreeSet<TableId>) -> Option<Unread> {
        let mut work = self.lock();
        if work.failure.is_some() {
            return None;
        }
        work.made[number].extend(made);
        let is_mine = |unread: &Unread| {
            let missing = unread.needed.difference(&work.made[number]);
            let missing = missing.filter_map(|table| self.costs.get(table));
            // The greatest rowid stands for how many rows there are, and may be the greatest number that there is.
            let cost = missing.fold(0, |cost: i64, &rows| cost.saturating_add(rows));
            let others = work.made.iter().enumerate().filter(|(other, _)| *other != number);
            cost <= unread.rows / 2 || !others.into_iter().any(|(_, made)| unread.needed.is_subset(made))
        };
        let position = work.left.iter().rposition(is_mine)?;
        let taken = work.left.remove(position);
        work.made[number].extend(&taken.needed);
        Some(taken)
    }
}

/// Cuts the rows of a table into parts by their rowids, of which `greatest` is the last: about how many each has, and which. The
/// first and the last part have all that is below and above.
fn ranges(rowid: &str, greatest: i64) -> Vec<(i64, Option<String>)> {
    let count = (greatest / PART).clamp(1, MOST_PARTS);
    let each = greatest / count;
    let range = |number: i64| {
        let from = (number > 0).then(|| format!("{rowid} >= {}", number * each));
        let to = (number < count - 1).then(|| format!("{rowid} < {}", (number + 1) * each));
        let bounds: Vec<String> = from.into_iter().chain(to).collect();
        (each, (!bounds.is_empty()).then(|| bounds.join(" AND ")))
    };
    (0..count).map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_leave_no_gap_and_do_not_overlap() {
        let conditions = |greatest| ranges("s.oid", greatest).into_iter().map(|(_, condition)| condition);
        for few in [i64::MIN, -5, 0, 5] {
            assert_eq!(conditions(few).collect::<Vec<_>>(), [None], "{few}");
        }
        let three = ["s.oid < 3", "s.oid >= 3 AND s.oid < 6", "s.oid >= 6"].map(|condition| Some(condition.to_owned()));
        assert_eq!(conditions(11).collect::<Vec<_>>(), three);
        let most: Vec<_> = conditions(i64::MAX).flatten().collect();
        assert_eq!((most.len(), most[63].as_str()), (64, "s.oid >= 9079256848778919873"));
    }

    fn shared(tables: &[(u32, i64, &[u32])], costs: &[(u32, i64)]) -> Shared {
        let unread = |&(table, rows, needed): &(u32, i64, &[u32])| Unread {
            table: TableId(table),
            rows,
            needed: needed.iter().copied().map(TableId).collect(),
            condition: None,
        };
        let left = tables.iter().map(unread).collect();
        let costs = costs.iter().map(|&(table, rows)| (TableId(table), rows)).collect();
        let (groups, counts) = (Vec::new(), Vec::new());
        let work = Work { left, made: vec![BTreeSet::new(); 2], groups, counts, failure: None };
        Shared { costs, work: Mutex::new(work) }
    }

    fn take(shared: &Shared, number: usize) -> Option<u32> {
        shared.take(number, &BTreeSet::new()).map(|unread| unread.table.0)
    }

    #[test]
    fn tenants_are_not_derived_twice_where_that_costs_more_than_it_helps() {
        let shared = shared(&[(1, 5, &[]), (2, 100, &[9]), (3, 300, &[9])], &[(9, 100)]);
        assert_eq!(take(&shared, 0), Some(3), "the largest first");
        assert_eq!(take(&shared, 1), Some(1), "the first connection has derived what 2 needs");
        assert_eq!(take(&shared, 1), None);
        assert_eq!(take(&shared, 0), Some(2));
        assert_eq!(take(&shared, 0), None);
    }

    #[test]
    fn two_large_tables_are_read_side_by_side_though_both_need_the_same() {
        let shared = shared(&[(2, 1000, &[9]), (3, 1000, &[9])], &[(9, 100)]);
        assert_eq!((take(&shared, 0), take(&shared, 1)), (Some(3), Some(2)));
    }

    #[test]
    fn what_no_connection_has_all_of_is_anybodys() {
        let shared = shared(&[(1, 10, &[7, 8]), (2, 20, &[7]), (3, 30, &[8])], &[(7, 100), (8, 100)]);
        assert_eq!((take(&shared, 0), take(&shared, 1)), (Some(3), Some(2)));
        assert_eq!((take(&shared, 1), take(&shared, 0)), (Some(1), None));
    }

    #[test]
    fn the_greatest_rowids_add_up_to_no_more_than_fits() {
        let shared = shared(&[(1, 1, &[7, 8]), (2, i64::MAX, &[7, 8])], &[(7, i64::MAX), (8, i64::MAX)]);
        assert_eq!((take(&shared, 0), take(&shared, 1), take(&shared, 0)), (Some(2), None, Some(1)));
    }

    #[test]
    fn tables_without_rows_or_needs_are_taken_by_whoever_comes() {
        let shared = shared(&[(1, 0, &[]), (2, 0, &[9]), (3, 1, &[9])], &[(9, 0)]);
        shared.lock().made = vec![[TableId(9)].into(); 2];
        let taken: Vec<_> = [0, 1, 0, 1].into_iter().map(|number| take(&shared, number)).collect();
        assert_eq!(taken, [Some(3), Some(2), Some(1), None]);
    }

    #[test]
    fn nothing_is_taken_any_more_once_something_has_failed() {
        let shared = shared(&[(1, 10, &[])], &[]);
        shared.lock().failure = Some(Diagnostic::error("stop", "enough"));
        assert_eq!(take(&shared, 0), None);
    }
}

//! Reads all of the source, with the tenants of its rows derived in SQL, over several connections.

use super::rows::TableRows;
use super::sums::{self, Groups, RowHasher};
use super::tenant_sql::TenantSql;
use crate::diagnostic::Diagnostic;
use crate::plan::Plan;
use crate::schema::TableId;
use crate::sqlite::Database;
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;

/// What is to be read, and how.
pub(super) struct SourceSide<'a> {
    pub plan: &'a Plan,
    pub tenants: &'a TenantSql<'a>,
    pub hasher: RowHasher,
    /// The tables that can be read, in the order of the plan.
    pub tables: &'a [Option<TableRows>],
}

/// What the connections share while they work.
struct Work {
    /// The tables that are left to read, the next one last.
    left: Vec<TableId>,
    groups: Vec<Option<Groups>>,
    failure: Option<Diagnostic>,
}

impl SourceSide<'_> {
    /// Sums up the rows of each table on this thread, and on one more for each database `beside`, which are the same one
    /// opened again. Each of them derives the tenants for itself. Those of `source` stay, for a look at what differs.
    pub fn read(
        &self,
        source: &Database,
        beside: Vec<Database>,
        progress: &mut dyn FnMut(&str, u64),
    ) -> Result<Vec<Option<Groups>>, Diagnostic> {
        let schema = &self.plan.rewritten.target;
        let mut left: Vec<TableId> = schema.table_ids().filter(|table| self.tables[table.index()].is_some()).collect();
        // The largest first, so that it is not waited for alone.
        left.sort_by_key(|&table| {
            let from = self.plan.rewritten.source_tables[table.index()];
            source.greatest_rowid(&self.plan.source.table(from).name)
        });
        let work = Mutex::new(Work { left, groups: self.tables.iter().map(|_| None).collect(), failure: None });
        let (sender, receiver) = mpsc::channel::<(String, u64)>();
        thread::scope(|scope| {
            for database in beside {
                let (sender, work) = (sender.clone(), &work);
                scope.spawn(move || {
                    self.work(work, &database, &mut |table, rows| drop(sender.send((table.to_owned(), rows))));
                });
            }
            self.work(&work, source, &mut |table, rows| {
                receiver.try_iter().for_each(|(table, rows)| progress(&table, rows));
                progress(table, rows);
            });
        });
        receiver.try_iter().for_each(|(table, rows)| progress(&table, rows));
        let Work { groups, failure, .. } = work.into_inner().unwrap_or_else(PoisonError::into_inner);
        failure.map_or(Ok(groups), Err)
    }

    /// Reads tables as long as there are some.
    fn work(&self, work: &Mutex<Work>, database: &Database, progress: &mut dyn FnMut(&str, u64)) {
        let lock = || -> MutexGuard<'_, Work> { work.lock().unwrap_or_else(PoisonError::into_inner) };
        let mut read_all = || {
            self.tenants.derive(database)?;
            loop {
                let next = {
                    let mut work = lock();
                    if work.failure.is_some() { None } else { work.left.pop() }
                };
                let Some(table) = next else { return Ok(()) };
                let Some(rows) = &self.tables[table.index()] else { continue };
                let groups = sums::of_source(rows, self.hasher, database, progress)?;
                lock().groups[table.index()] = Some(groups);
            }
        };
        if let Err(error) = read_all() {
            lock().failure.get_or_insert(error);
        }
    }
}

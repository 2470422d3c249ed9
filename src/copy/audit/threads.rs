//! Reads the tables of an audit side by side, each on one thread.
//!
//! Keys are learnt first, by one thread, and then shared. The largest table is read first, so that it is not waited for alone.

use super::duplicates::{self, KeyWatch, Over};
use super::findings::Findings;
use super::{Audit, OrderTenants, TableAudit, TableSize};
use crate::copy::clusters::{Clusters, SpillFile};
use crate::copy::prepared::{Gathered, Prepared};
use crate::copy::ranks::Ranks;
use crate::copy::rows::learn_keys;
use crate::diagnostic::Diagnostic;
use crate::plan::Plan;
use crate::remap::Remapper;
use crate::schema::TableId;
use crate::sqlite::Database;
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;

/// Audits over this thread and one more for each database `beside`, which are the same one opened again.
pub(super) fn audit<'p>(
    plan: &'p Plan,
    database: &Database,
    beside: Vec<Database>,
    order: Option<&mut OrderTenants<'_>>,
    progress: &mut dyn FnMut(&str, u64),
) -> Result<(Audit, Prepared<'p>), Diagnostic> {
    let mut remapper = Remapper::new(plan);
    learn_keys(&mut remapper, plan, database)?;
    let mut audit = Audit::default();
    let mut waiting = Vec::new();
    for target in plan.rewritten.target.table_ids() {
        let watches = duplicates::watches(plan, target, Over::OneSource, &mut audit.unjudged);
        let table = TableAudit::new(plan, &mut remapper, target, database, &mut audit.unjudged)?;
        let name = &plan.source.table(plan.rewritten.source_tables[target.index()]).name;
        waiting.push(Waiting { rows: database.greatest_rowid(name), watches, table });
    }
    waiting.sort_by_key(|waiting| waiting.rows);
    let ranks = order.map(|order| order(remapper.tenants())).transpose()?;
    let state = State { waiting, read: Vec::new(), failure: None };
    let readers = Readers { plan, ranks: ranks.as_ref(), state: Mutex::new(state) };
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        for database in beside {
            let (sender, remapper, readers) = (sender.clone(), remapper.clone(), &readers);
            scope.spawn(move || {
                readers.work(&database, remapper, &mut |table, rows| drop(sender.send((table.to_owned(), rows))));
            });
        }
        readers.work(database, remapper.clone(), &mut |table, rows| {
            receiver.try_iter().for_each(|(table, rows): (String, u64)| progress(&table, rows));
            progress(table, rows);
        });
    });
    receiver.try_iter().for_each(|(table, rows)| progress(&table, rows));
    let State { mut read, failure, .. } = readers.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(failure) = failure {
        return Err(failure);
    }
    read.sort_by_key(|read| read.target);
    let mut findings = Findings::new(plan);
    let mut gathered: Vec<Option<Clusters>> = Vec::with_capacity(read.len());
    for table in read {
        audit.tables.push((plan.rewritten.source_tables[table.target.index()], table.rows));
        audit.sizes.push(table.size);
        findings.append(table.findings);
        gathered.push(table.gathered);
    }
    audit.tenants = remapper.tenants().len();
    (audit.findings, audit.warnings) = findings.finish(database)?;
    let gathered = ranks.map(|ranks| Gathered { ranks, tables: gathered });
    Ok((audit, Prepared { remapper, gathered }))
}

/// A table that is to be read.
struct Waiting<'p> {
    /// About how many rows it has.
    rows: i64,
    watches: Vec<KeyWatch>,
    table: TableAudit<'p>,
}

/// A table that has been read.
struct Read<'p> {
    target: TableId,
    rows: u64,
    size: TableSize,
    findings: Findings<'p>,
    gathered: Option<Clusters>,
}

/// What the threads share.
struct Readers<'a, 'p> {
    plan: &'p Plan,
    ranks: Option<&'a Ranks>,
    state: Mutex<State<'p>>,
}

struct State<'p> {
    /// What is left to read, the next one last.
    waiting: Vec<Waiting<'p>>,
    read: Vec<Read<'p>>,
    failure: Option<Diagnostic>,
}

impl<'p> Readers<'_, 'p> {
    /// Reads tables as long as there are some.
    fn work(&self, database: &Database, mut remapper: Remapper<'p>, progress: &mut dyn FnMut(&str, u64)) {
        let spill_file = SpillFile::default();
        while let Some(waiting) = self.take() {
            match self.read(waiting, &spill_file, database, &mut remapper, progress) {
                Ok(read) => self.lock().read.push(read),
                Err(error) => drop(self.lock().failure.get_or_insert(error)),
            }
        }
    }

    fn take(&self) -> Option<Waiting<'p>> {
        let mut state = self.lock();
        if state.failure.is_some() { None } else { state.waiting.pop() }
    }

    fn lock(&self) -> MutexGuard<'_, State<'p>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(
        &self,
        Waiting { mut table, mut watches, .. }: Waiting<'p>,
        spill_file: &SpillFile,
        database: &Database,
        remapper: &mut Remapper<'p>,
        progress: &mut dyn FnMut(&str, u64),
    ) -> Result<Read<'p>, Diagnostic> {
        let mut findings = Findings::new(self.plan);
        let mut gathered = self.ranks.map(|_| Clusters::new(spill_file.clone()));
        let no_ranks = Ranks::default();
        let put = (&mut gathered, self.ranks.unwrap_or(&no_ranks));
        let (rows, size) = table.first_pass(remapper, &mut watches, &mut findings, put, database, progress)?;
        if let Some(gathered) = &mut gathered {
            gathered.put_aside()?;
        }
        for watch in &mut watches {
            while watch.needs_another_pass() {
                table.each_sound_row(remapper, database, &mut |row, _| watch.see(row))?;
            }
            if watch.has_duplicates() {
                let source = &table.table;
                table.each_sound_row(remapper, database, &mut |row, key| {
                    if watch.is_duplicate(row) {
                        findings.duplicate(watch, source.pass.table, || source.key_text(key));
                    }
                })?;
            }
        }
        Ok(Read { target: table.target, rows, size, findings, gathered })
    }
}

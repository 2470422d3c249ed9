//! The steps of a run that moves several files: the rows of one of them, and those that all of them share.

use super::audit::written;
use super::execute::{Event, lock};
use super::parts::Part;
use super::rows::{SourceTable, learn_keys};
use super::shared_rows::{SharedRows, Sight};
use super::steps::Step;
use super::tenant_files::{TenantFile, each_file_row, shared_tables};
use super::worker::Line;
use crate::diagnostic::Diagnostic;
use crate::plan::Plan;
use crate::postgres::{CopyColumn, CopyIn};
use crate::remap::Remapper;
use crate::schema::TableId;

/// Copies the rows of a file. They are those of one tenant and are read in the order of the target's keys, so they go as
/// they come.
pub(super) fn copy_file(line: &mut Line<'_, '_>, step: &Step, file: &TenantFile) -> Result<(), Diagnostic> {
    let base = line.shared.job.plan;
    let plan = file.plan(base)?;
    let database = file.rows().open()?;
    let mut remapper = Remapper::new(&plan);
    learn_keys(&mut remapper, &plan, &database)?;
    let mut way = Way { plan: base, line, step: &step.name, part: Part::first(), rows: 0 };
    let mut faults = Vec::new();
    for target in base.rewritten.target.table_ids() {
        if base.rewritten.tenant_columns[target.index()].is_none() {
            continue;
        }
        way.goes_on_with(target)?;
        let table = SourceTable::new(&plan, &mut remapper, target)?;
        table.for_each::<Diagnostic>(&database, &mut |values, key| {
            let rows = remapper.row(&table.pass, values, &mut way.part.bytes, &mut faults).len();
            if let Some(fault) = faults.first() {
                let name = &plan.source.table(table.pass.table).name;
                let message = format!("{name} ({}) cannot be copied: {}", table.key_text(key), fault.reason);
                return Err(file.named(Diagnostic::error("row-refused", message)));
            }
            way.took(target, rows)
        })?;
    }
    way.end()
}

/// Copies the rows that files share, each once.
pub(super) fn copy_shared(line: &mut Line<'_, '_>, step: &Step, files: &[TenantFile]) -> Result<(), Diagnostic> {
    let plan = line.shared.job.plan;
    let targets = shared_tables(plan);
    let mut seen: Vec<SharedRows> = targets.iter().map(|&target| SharedRows::new(plan, target)).collect();
    let mut way = Way { plan, line, step: &step.name, part: Part::first(), rows: 0 };
    each_file_row(plan, files, &targets, &mut |place, found| match seen[place].see(found.file, found.row) {
        Sight::Again => Ok(()),
        Sight::New => {
            way.goes_on_with(targets[place])?;
            way.part.bytes.extend_from_slice(found.row.bytes);
            way.took(targets[place], 1)
        }
        Sight::Differs(first) => {
            let name = &plan.rewritten.target.table(targets[place]).name;
            let (one, other) = (&files[first].name, &files[found.file].name);
            let message = format!("{name} ({}) differs between {one} and {other}", (found.key)());
            Err(Diagnostic::error("row-refused", message))
        }
    })?;
    way.end()
}

/// The way of rows into the target, part by part. The last part is the step's own transaction.
struct Way<'w, 's, 'j> {
    plan: &'w Plan,
    line: &'w mut Line<'s, 'j>,
    step: &'w str,
    part: Part,
    /// How many rows went before.
    rows: u64,
}

impl Way<'_, '_, '_> {
    fn took(&mut self, table: TableId, rows: usize) -> Result<(), Diagnostic> {
        if self.part.took(table, rows) { self.hand_over() } else { Ok(()) }
    }

    /// On a cluster, newer rows are told by the number of each table's in the journal: a part there is of one table.
    fn goes_on_with(&mut self, table: TableId) -> Result<(), Diagnostic> {
        let is_other = self.part.stretches.last().is_some_and(|last| last.table != table);
        if is_other && self.plan.tenancy.target.profile.is_citus() { self.hand_over() } else { Ok(()) }
    }

    fn hand_over(&mut self) -> Result<(), Diagnostic> {
        let of = match &self.part.stretches[..] {
            [only] => format!(" of {}", self.plan.rewritten.target.table(only.table).name),
            _ => String::new(),
        };
        let name = format!("chunk {} of {}{of}", self.part.number, self.step);
        match self.line.shared.done.contains_key(name.as_str()) {
            true => self.was_sent(),
            false => {
                self.send(&name, self.part.rows)?;
                self.sent();
            }
        }
        self.rows += self.part.rows;
        self.part.next();
        Ok(())
    }

    fn end(mut self) -> Result<(), Diagnostic> {
        if self.part.rows > 0 && self.plan.tenancy.target.profile.is_citus() {
            self.hand_over()?;
        }
        self.send(self.step, self.rows + self.part.rows)?;
        self.sent();
        Ok(())
    }

    /// Sends the part in one transaction.
    fn send(&mut self, step: &str, rows: u64) -> Result<(), Diagnostic> {
        let Self { plan, line, part, .. } = self;
        let (schema, target) = (&plan.tenancy.target_schema, &plan.rewritten.target);
        line.transact(step, Some(rows), &mut |transaction| {
            for stretch in &part.stretches {
                let columns: Vec<CopyColumn<'_>> = written(plan, stretch.table)
                    .into_iter()
                    .map(|column| target.column(column))
                    .map(|column| CopyColumn { name: &column.name, data_type: column.data_type })
                    .collect();
                let mut copy = CopyIn::start(transaction, schema, &target.table(stretch.table).name, &columns)?;
                copy.send_rows(&part.bytes[stretch.bytes.clone()], stretch.rows)?;
                copy.finish()?;
            }
            Ok(())
        })
    }

    /// Tells what has gone before the run was interrupted.
    fn was_sent(&self) {
        for stretch in &self.part.stretches {
            let table = self.plan.rewritten.target.table(stretch.table).name.clone();
            let _ = self.line.events.send(Event::Before { table, rows: stretch.rows });
        }
    }

    /// Counts what has gone.
    fn sent(&self) {
        for stretch in &self.part.stretches {
            let rows = {
                let mut carried = lock(&self.line.shared.carried);
                let rows = carried.rows.entry(stretch.table).or_default();
                *rows += stretch.rows;
                *rows
            };
            let table = self.plan.rewritten.target.table(stretch.table).name.clone();
            let _ = self.line.events.send(Event::Rows { table, rows });
        }
    }
}

//! The tenancy proof on the source, without writing anything: every row goes through the remapping that the copy does.
//!
//! One pass for each table finds all that is wrong with single rows, counted by kind and place (`findings`), and what only
//! shows between rows: keys that become equal on the way (`duplicates`). A CHECK is asked of SQLite beside the row
//! (`checks`), the room of an index is measured on the row's own bytes (`index_rows`). What decides a finding is a line of
//! the spec (`suggestion`).

mod checks;
mod duplicates;
mod findings;
mod index_rows;
mod suggestion;
#[cfg(test)]
mod tests;

pub use findings::{Finding, Severity};
pub use suggestion::{Suggestion, suggestions_yaml};

use super::rows::{SourceTable, learn_keys};
use super::settle::{Account, Settled, settle};
use crate::diagnostic::Diagnostic;
use crate::plan::Plan;
use crate::remap::{Remapper, TargetRow};
use crate::schema::{ColumnId, TableId};
use crate::sqlite::{Database, Snapshot};
use duplicates::KeyWatch;
use findings::Findings;
use index_rows::IndexRows;

/// The outcome of an audit.
#[derive(Debug, Clone, Default)]
pub struct Audit {
    /// Rows read, by source table, in the order of the target's tables.
    pub tables: Vec<(TableId, u64)>,
    /// The tenants that rows belong to.
    pub tenants: usize,
    /// What does not go through, most important first.
    pub findings: Vec<Finding>,
    /// What may not go through, or not as one thinks: only the server can tell.
    pub warnings: Vec<Finding>,
    /// What cannot be judged without a server, one sentence each.
    pub unjudged: Vec<String>,
    /// What became of the rows of each source table, where the spec keeps any out.
    pub accounts: Vec<Account>,
}

/// Settles which rows of a snapshot are moved, and audits those.
///
/// # Errors
/// Those of [`settle`] and [`audit`].
pub fn audit_snapshot<'p>(
    plan: &'p Plan,
    snapshot: &Snapshot,
    progress: &mut dyn FnMut(&str, u64),
) -> Result<(Settled, Audit, Remapper<'p>), Diagnostic> {
    let settled = settle(plan, snapshot)?;
    let (mut audit, learnt) = audit(plan, &settled.rows(snapshot).open()?, progress)?;
    let overdrawn = settled.accounts.iter().filter(|account| account.is_overdrawn());
    audit.findings.splice(0..0, overdrawn.map(|account| findings::too_many_rejects(plan, account, &settled.rejects)));
    audit.accounts.clone_from(&settled.accounts);
    Ok((settled, audit, learnt))
}

/// Reads every row that is to be migrated and says what would not go through.
///
/// What has been learnt on the way, of keys and tenants, comes with it: a copy needs the same.
pub fn audit<'p>(
    plan: &'p Plan,
    database: &Database,
    progress: &mut dyn FnMut(&str, u64),
) -> Result<(Audit, Remapper<'p>), Diagnostic> {
    let mut remapper = Remapper::new(plan);
    learn_keys(&mut remapper, plan, database)?;
    let mut audit = Audit::default();
    let mut findings = Findings::new(plan);
    for target in plan.rewritten.target.table_ids() {
        let mut watches = duplicates::watches(plan, target, &mut audit.unjudged);
        let mut read = TableAudit::new(plan, &mut remapper, target, database, &mut audit.unjudged)?;
        let rows = read.first_pass(&mut remapper, &mut watches, &mut findings, database, progress)?;
        for watch in &mut watches {
            while watch.needs_another_pass() {
                read.each_sound_row(&mut remapper, database, &mut |row, _| watch.see(row))?;
            }
            if watch.has_duplicates() {
                let table = &read.table;
                read.each_sound_row(&mut remapper, database, &mut |row, key| {
                    if watch.is_duplicate(row) {
                        findings.duplicate(watch, table.pass.table, || table.key_text(key));
                    }
                })?;
            }
        }
        audit.tables.push((read.table.pass.table, rows));
    }
    audit.tenants = remapper.tenants().len();
    (audit.findings, audit.warnings) = findings.finish();
    Ok((audit, remapper))
}

/// One row of the target, as fields of binary COPY.
struct EncodedRow<'r> {
    /// The bytes of the row: the number of fields, and each with its length before it.
    bytes: &'r [u8],
    /// Where each field begins, behind its length; `None` for NULL.
    fields: &'r [Option<(usize, usize)>],
}

impl EncodedRow<'_> {
    /// Returns a field's bytes; `None` for NULL.
    fn field(&self, position: usize) -> Option<&[u8]> {
        let (start, end) = self.fields.get(position).copied().flatten()?;
        self.bytes.get(start..end)
    }
}

/// Finds the fields of a row.
fn split(bytes: &[u8], fields: &mut Vec<Option<(usize, usize)>>) {
    fields.clear();
    let mut at = 2;
    while let Some(length) = bytes.get(at..at + 4).and_then(|length| length.first_chunk()) {
        at += 4;
        match usize::try_from(i32::from_be_bytes(*length)) {
            Ok(length) => {
                fields.push(Some((at, at + length)));
                at += length;
            }
            // -1 stands for NULL.
            Err(_) => fields.push(None),
        }
    }
}

/// Calls `f` with each of a row's copies.
fn each_copy(
    out: &[u8],
    rows: &[TargetRow],
    fields: &mut Vec<Option<(usize, usize)>>,
    f: &mut dyn FnMut(&EncodedRow<'_>),
) {
    let mut start = 0;
    for row in rows {
        let bytes = &out[start..row.end];
        start = row.end;
        split(bytes, fields);
        f(&EncodedRow { bytes, fields });
    }
}

/// What is read of one table, and asked of its rows.
struct TableAudit<'p> {
    plan: &'p Plan,
    target: TableId,
    table: SourceTable,
    checks: Vec<checks::SourceCheck>,
    index_rows: Vec<IndexRows>,
}

impl<'p> TableAudit<'p> {
    fn new(
        plan: &'p Plan,
        remapper: &mut Remapper<'_>,
        target: TableId,
        database: &Database,
        unjudged: &mut Vec<String>,
    ) -> Result<Self, Diagnostic> {
        let mut table = SourceTable::new(plan, remapper, target)?;
        let checks = checks::of_table(plan, target, database, unjudged)?;
        table.also_read(checks.iter().map(|check| check.violated.clone()));
        Ok(Self { plan, target, index_rows: index_rows::of_table(plan, target), table, checks })
    }

    /// Notes all that is wrong with the rows, and returns how many there are.
    fn first_pass(
        &mut self,
        remapper: &mut Remapper<'_>,
        watches: &mut [KeyWatch],
        findings: &mut Findings<'_>,
        database: &Database,
        progress: &mut dyn FnMut(&str, u64),
    ) -> Result<u64, Diagnostic> {
        let Self { plan, target, table, checks, index_rows } = self;
        let source = table.pass.table;
        let name = &plan.rewritten.target.table(*target).name;
        let columns = target_columns(plan, *target, &table.pass.columns);
        let (mut out, mut faults, mut fields, mut rows) = (Vec::new(), Vec::new(), Vec::new(), 0_u64);
        let looks_at_rows = !watches.is_empty() || !index_rows.is_empty();
        table.for_each::<Diagnostic>(database, &mut |values, key| {
            rows += 1;
            out.clear();
            let copies = remapper.row(&table.pass, values, &mut out, &mut faults);
            if faults.is_empty() && looks_at_rows {
                each_copy(&out, copies, &mut fields, &mut |row| {
                    watches.iter_mut().for_each(|watch| watch.see(row));
                    for index in index_rows.iter().filter(|index| index.is_too_long(row)) {
                        findings.long_index_row(index, source, || table.key_text(key));
                    }
                });
            }
            for fault in faults.drain(..) {
                let position = fault.kind.unfit_column().and_then(|column| {
                    let position = table.pass.columns.iter().position(|&read| read == column)?;
                    Some((values.get(position)?, columns[position]))
                });
                findings.fault(source, fault, position, || table.key_text(key));
            }
            for check in checks::violated(checks, table.read_beside(key)) {
                findings.check(check, source, || table.key_text(key));
            }
            if rows.is_multiple_of(10_000) {
                progress(name, rows);
            }
            Ok(())
        })?;
        progress(name, rows);
        Ok(rows)
    }

    /// Calls `f` with each row that goes through by itself, and its key.
    fn each_sound_row(
        &self,
        remapper: &mut Remapper<'_>,
        database: &Database,
        f: &mut dyn FnMut(&EncodedRow<'_>, &[crate::schema::Value<'_>]),
    ) -> Result<(), Diagnostic> {
        let (mut out, mut faults, mut fields) = (Vec::new(), Vec::new(), Vec::new());
        self.table.for_each::<Diagnostic>(database, &mut |values, key| {
            out.clear();
            faults.clear();
            let copies = remapper.row(&self.table.pass, values, &mut out, &mut faults);
            each_copy(&out, copies, &mut fields, &mut |row| f(row, key));
            Ok(())
        })
    }
}

/// Finds the target's columns that those of the source are written to.
fn target_columns(plan: &Plan, target: TableId, read: &[ColumnId]) -> Vec<Option<ColumnId>> {
    use crate::rewrite::ColumnValue::{Generated, ReferenceTenant, Source, Tenant, TenantId};
    let from = |id: &ColumnId| match plan.rewritten.values[id.index()] {
        Source(column) | TenantId(column) => Some(column),
        Generated(_) | ReferenceTenant(_) | Tenant => None,
    };
    let columns = &plan.rewritten.target.table(target).columns;
    read.iter().map(|column| columns.iter().copied().find(|id| from(id) == Some(*column))).collect()
}

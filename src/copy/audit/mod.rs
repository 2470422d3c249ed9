//! The tenancy proof on the source, without writing anything: every row goes through the remapping that the copy does.
//!
//! One pass for each table finds all that is wrong with single rows, counted by kind and place (`findings`), and what only
//! shows between rows: keys that become equal on the way (`duplicates`). A CHECK is asked of SQLite beside the row
//! (`checks`), the room of an index is measured on the row's own bytes (`index_rows`). What decides a finding is a line of
//! the spec (`suggestion`). Tables are read side by side (`threads`), and where a copy follows, what has been encoded is put
//! away for it. Several files that go into one target are audited one by one (`files`), and then beside each other (`across`).

mod across;
mod checks;
mod duplicates;
mod files;
mod findings;
mod index_rows;
mod sizes;
mod spellings;
mod suggestion;
#[cfg(test)]
mod tests;
mod threads;

pub(super) use duplicates::{KeyWatch, primary_key_over_files, written};
pub use files::audit_files;
pub(super) use findings::place;
pub use findings::{Finding, Severity};
pub use sizes::TableSize;
pub use suggestion::{Suggestion, suggestions_yaml};

use super::clusters::Clusters;
use super::encoded::{EncodedRow, each_copy};
use super::prepared::{Prepared, gather_rows};
use super::ranks::Ranks;
use super::rows::SourceTable;
use super::settle::{Account, Reject, Settled, settle};
use crate::diagnostic::Diagnostic;
use crate::plan::Plan;
use crate::remap::{Remapper, Tenants};
use crate::schema::{ColumnId, TableId};
use crate::sqlite::{Database, Snapshot};
use findings::Findings;
use index_rows::IndexRows;
use sizes::SizeWatch;

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
    /// The first of the rows that the spec rejects.
    pub rejects: Vec<Reject>,
    /// How large each target table will be.
    pub sizes: Vec<TableSize>,
}

/// Puts the tenants in the order of the target's keys.
pub(super) type OrderTenants<'f> = dyn FnMut(&Tenants) -> Result<Ranks, Diagnostic> + 'f;

/// How many threads an audit has that nobody says a number for.
const THREADS: usize = 2;

/// How many rejected rows an audit names.
const REJECTS_SHOWN: usize = 100;

/// Settles which rows of a snapshot are moved, and audits those.
///
/// # Errors
/// Those of [`settle`] and [`audit`].
pub fn audit_snapshot<'p>(
    plan: &'p Plan,
    snapshot: &Snapshot,
    progress: &mut dyn FnMut(&str, u64),
) -> Result<(Settled, Audit, Prepared<'p>), Diagnostic> {
    audit_settled(plan, snapshot, THREADS, None, progress)
}

/// As [`audit_snapshot`], over so many threads; with `order` the rows are gathered on the way for the copy that follows.
pub(super) fn audit_settled<'p>(
    plan: &'p Plan,
    snapshot: &Snapshot,
    threads: usize,
    order: Option<&mut OrderTenants<'_>>,
    progress: &mut dyn FnMut(&str, u64),
) -> Result<(Settled, Audit, Prepared<'p>), Diagnostic> {
    let settled = settle(plan, snapshot)?;
    let rows = settled.rows(snapshot);
    let beside = (1..threads).map(|_| rows.open()).collect::<Result<Vec<_>, _>>()?;
    let (mut audit, prepared) = threads::audit(plan, &rows.open()?, beside, order, progress)?;
    let overdrawn = settled.accounts.iter().filter(|account| account.is_overdrawn());
    audit.findings.splice(0..0, overdrawn.map(|account| findings::too_many_rejects(plan, account, &settled.rejects)));
    audit.accounts.clone_from(&settled.accounts);
    audit.rejects = settled.rejects.iter().take(REJECTS_SHOWN).cloned().collect();
    Ok((settled, audit, prepared))
}

/// Reads every row that is to be migrated and says what would not go through.
///
/// What has been learnt on the way, of keys and tenants, comes with it: a copy needs the same.
///
/// # Errors
/// Those of SQLite, and of expressions in the spec that cannot be run.
pub fn audit<'p>(
    plan: &'p Plan,
    database: &Database,
    progress: &mut dyn FnMut(&str, u64),
) -> Result<(Audit, Prepared<'p>), Diagnostic> {
    threads::audit(plan, database, Vec::new(), None, progress)
}

/// What is read of one table, and asked of its rows.
struct TableAudit<'p> {
    plan: &'p Plan,
    target: TableId,
    table: SourceTable,
    checks: Vec<checks::SourceCheck>,
    spellings: Vec<spellings::Spelling>,
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
        let spellings = spellings::of_table(plan, target);
        table.also_read(checks.iter().map(|check| check.violated.clone()));
        table.also_read(spellings.iter().map(|spelling| spelling.differs.clone()));
        Ok(Self { plan, target, index_rows: index_rows::of_table(plan, target), table, checks, spellings })
    }

    /// Notes all that is wrong with the rows, and returns how many there are, and how large they will be.
    /// Puts them into `gathered` by the ranks of their
    /// tenants, where that is wanted, until one has a fault.
    fn first_pass(
        &mut self,
        remapper: &mut Remapper<'_>,
        watches: &mut [KeyWatch],
        findings: &mut Findings<'_>,
        (gathered, ranks): (&mut Option<Clusters>, &Ranks),
        database: &Database,
        progress: &mut dyn FnMut(&str, u64),
    ) -> Result<(u64, TableSize), Diagnostic> {
        let mut size = SizeWatch::new(self.plan, self.target);
        let Self { plan, target, table, checks, spellings, index_rows } = self;
        let source = table.pass.table;
        let name = &plan.rewritten.target.table(*target).name;
        let columns = target_columns(plan, *target, &table.pass.columns);
        let (mut row, mut faults, mut fields, mut rows) = (Vec::new(), Vec::new(), Vec::new(), 0_u64);
        let looks_at_rows = !watches.is_empty() || !index_rows.is_empty();
        table.for_each::<Diagnostic>(database, &mut |values, key| {
            rows += 1;
            row.clear();
            let out = gathered.as_mut().map_or(&mut row, Clusters::buffer);
            let start = out.len();
            let copies = remapper.row(&table.pass, values, out, &mut faults);
            if faults.is_empty() {
                size.see(out, start, copies);
            }
            if faults.is_empty() && looks_at_rows {
                each_copy(out, start, copies, &mut fields, &mut |row| {
                    watches.iter_mut().for_each(|watch| watch.see(row));
                    for index in index_rows.iter().filter(|index| index.is_too_long(row)) {
                        findings.long_index_row(index, source, || table.key_text(key));
                    }
                });
            }
            match gathered {
                Some(_) if !faults.is_empty() => *gathered = None,
                Some(clusters) => gather_rows(clusters, copies, ranks)?,
                None => {}
            }
            for fault in faults.drain(..) {
                let position = fault.kind.unfit_column().and_then(|column| {
                    let position = table.pass.columns.iter().position(|&read| read == column)?;
                    Some((values.get(position)?, columns[position]))
                });
                findings.fault(source, fault, position, || table.key_text(key));
            }
            let (of_checks, of_spellings) = table.read_beside(key).split_at_checked(checks.len()).unwrap_or_default();
            for check in checks::violated(checks, of_checks) {
                findings.check(check, source, || table.key_text(key));
            }
            for spelling in spellings::differing(spellings, of_spellings) {
                findings.spelling(spelling, source, || table.key_text(key));
            }
            if rows.is_multiple_of(10_000) {
                progress(name, rows);
            }
            Ok(())
        })?;
        progress(name, rows);
        Ok((rows, size.finish(plan, *target)))
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
            each_copy(&out, 0, copies, &mut fields, &mut |row| f(row, key));
            Ok(())
        })
    }
}

/// Finds the target's columns that those of the source are written to.
fn target_columns(plan: &Plan, target: TableId, read: &[ColumnId]) -> Vec<Option<ColumnId>> {
    use crate::rewrite::ColumnValue::{Generated, ReferenceTenant, Source, Tenant, TenantId};
    let from = |id: &ColumnId| match plan.rewritten.values[id.index()] {
        Source(column) | TenantId(column) | Generated(column) => Some(column),
        ReferenceTenant(_) | Tenant => None,
    };
    let columns = &plan.rewritten.target.table(target).columns;
    read.iter().map(|column| columns.iter().copied().find(|id| from(id) == Some(*column))).collect()
}

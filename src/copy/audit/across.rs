//! What only shows between files that go into one target: shared rows that differ, and keys without the tenant in them.

use super::Audit;
use super::duplicates::{KeyWatch, Over, watches};
use super::findings::Findings;
use crate::copy::shared_rows::{SharedRows, Sight};
use crate::copy::tenant_files::{TenantFile, each_file_row};
use crate::diagnostic::Diagnostic;
use crate::plan::Plan;
use crate::schema::TableId;

/// A table whose rows have something to do with those of other files.
struct Beside {
    target: TableId,
    /// What earlier files have of it, where it is shared.
    shared: Option<SharedRows>,
    watches: Vec<KeyWatch>,
    /// Those of the keys that have been looked at as a whole.
    done: Vec<bool>,
}

/// Compares files with each other, and adds what is found to their audit.
pub(super) fn compare(plan: &Plan, files: &[TenantFile], audit: &mut Audit) -> Result<(), Diagnostic> {
    let mut tables: Vec<Beside> = Vec::new();
    for target in plan.rewritten.target.table_ids() {
        let watches = watches(plan, target, Over::Files, &mut audit.unjudged);
        let is_shared = plan.rewritten.tenant_columns[target.index()].is_none();
        // Of a shared table, rows that are equal are one, and others under its primary key differ.
        let watches: Vec<KeyWatch> = watches.into_iter().filter(|watch| !(is_shared && watch.is_primary)).collect();
        if is_shared || !watches.is_empty() {
            let shared = is_shared.then(|| SharedRows::new(plan, target));
            tables.push(Beside { target, shared, done: vec![false; watches.len()], watches });
        }
    }
    let targets: Vec<TableId> = tables.iter().map(|table| table.target).collect();
    if targets.is_empty() {
        return Ok(());
    }
    let source = |target: TableId| plan.rewritten.source_tables[target.index()];
    let mut findings = Findings::new(plan);
    let mut is_first = true;
    loop {
        each_file_row(plan, files, &targets, &mut |place, found| {
            let Beside { target, shared, watches, .. } = &mut tables[place];
            match shared.as_mut().map(|shared| shared.see(found.file, found.row)) {
                Some(Sight::Again) => return Ok(()),
                Some(Sight::Differs(first)) => {
                    let key = || format!("{} and {}: {}", files[first].name, files[found.file].name, (found.key)());
                    if is_first {
                        findings.shared_differs(source(*target), key);
                    }
                    return Ok(());
                }
                Some(Sight::New) | None => {}
            }
            watches.iter_mut().for_each(|watch| watch.see(found.row));
            Ok(())
        })?;
        is_first = false;
        let mut again = false;
        for table in &mut tables {
            for (watch, done) in table.watches.iter_mut().zip(&mut table.done).filter(|(_, done)| !**done) {
                *done = !watch.needs_another_pass();
                again |= !*done;
            }
            table.begin_again(plan);
        }
        if !again {
            break;
        }
    }
    if tables.iter().flat_map(|table| &table.watches).any(KeyWatch::has_duplicates) {
        each_file_row(plan, files, &targets, &mut |place, found| {
            let Beside { target, shared, watches, .. } = &mut tables[place];
            if shared.as_mut().is_none_or(|shared| shared.see(found.file, found.row) == Sight::New) {
                for watch in watches {
                    if watch.is_duplicate(found.row) {
                        let key = || format!("{}: {}", files[found.file].name, (found.key)());
                        findings.duplicate_across(watch, source(*target), key);
                    }
                }
            }
            Ok(())
        })?;
    }
    audit.findings.extend(findings.into_findings());
    Ok(())
}

impl Beside {
    fn begin_again(&mut self, plan: &Plan) {
        if self.shared.is_some() {
            self.shared = Some(SharedRows::new(plan, self.target));
        }
    }
}

//! The audit of several files that go into one target together.

use super::findings::{KEYS_SHOWN, rank};
use super::{Audit, Finding, REJECTS_SHOWN, THREADS, TableSize, across, audit_settled};
use crate::copy::tenant_files::{TenantFile, accounts_of_files};
use crate::diagnostic::Diagnostic;
use crate::plan::Plan;
use std::collections::BTreeMap;

/// A file of fewer bytes is read sooner by one thread than a second one begins.
const SMALL: u64 = 16 << 20;

/// Settles which rows of each file are moved, audits those, and compares the files with each other.
///
/// `plan` names no tenant. A finding counts the rows of all files, and its keys name theirs; `progress` is told those of
/// all files as well.
///
/// # Errors
/// Those of [`audit_snapshot`](super::audit_snapshot), with the file's name.
pub fn audit_files(
    plan: &Plan,
    files: &mut [TenantFile],
    progress: &mut dyn FnMut(&str, u64),
) -> Result<Audit, Diagnostic> {
    let mut whole = Audit::default();
    let mut before: BTreeMap<String, u64> = BTreeMap::new();
    for file in &mut *files {
        let own = file.plan(plan)?;
        let threads = if file.snapshot.bytes < SMALL { 1 } else { THREADS };
        let mut own_rows: BTreeMap<String, u64> = BTreeMap::new();
        let read = &mut |table: &str, rows| {
            own_rows.insert(table.to_owned(), rows);
            progress(table, before.get(table).copied().unwrap_or(0) + rows);
        };
        let audited = audit_settled(&own, &file.snapshot, threads, None, read);
        let (settled, audit, _) = audited.map_err(|error| file.named(error))?;
        own_rows.into_iter().for_each(|(table, rows)| *before.entry(table).or_default() += rows);
        whole.add(&file.name, audit);
        file.settled = settled;
    }
    across::compare(plan, files, &mut whole)?;
    whole.accounts = accounts_of_files(files);
    whole.tenants = files.len();
    for findings in [&mut whole.findings, &mut whole.warnings] {
        findings.sort_by_key(|finding| (rank(finding.code), std::cmp::Reverse(finding.rows)));
    }
    Ok(whole)
}

impl Audit {
    /// Adds the audit of one more file.
    fn add(&mut self, file: &str, audit: Self) {
        if self.tables.is_empty() {
            self.tables = audit.tables.iter().map(|&(table, _)| (table, 0)).collect();
        }
        for ((_, rows), (_, own)) in self.tables.iter_mut().zip(audit.tables) {
            *rows += own;
        }
        if self.sizes.is_empty() {
            self.sizes = audit
                .sizes
                .iter()
                .map(|size| TableSize { table: size.table, rows: 0, encoded: 0, heap: 0, indexes: 0 })
                .collect();
        }
        for (all, own) in self.sizes.iter_mut().zip(audit.sizes) {
            all.rows += own.rows;
            all.encoded += own.encoded;
            all.heap += own.heap;
            all.indexes += own.indexes;
        }
        let room = REJECTS_SHOWN.saturating_sub(self.rejects.len());
        self.rejects.extend(audit.rejects.into_iter().take(room));
        audit.findings.into_iter().for_each(|finding| add_finding(&mut self.findings, file, finding));
        audit.warnings.into_iter().for_each(|finding| add_finding(&mut self.warnings, file, finding));
        for sentence in audit.unjudged {
            if !self.unjudged.contains(&sentence) {
                self.unjudged.push(sentence);
            }
        }
    }
}

/// Adds a file's finding to that of other files about the same, whose keys get the file's name.
fn add_finding(findings: &mut Vec<Finding>, file: &str, mut finding: Finding) {
    finding.keys.iter_mut().for_each(|key| *key = format!("{file}: {key}"));
    let about = |finding: &Finding| (finding.code, finding.problem, finding.table, finding.encoding);
    let same = findings.iter_mut().find(|known| {
        about(known) == about(&finding) && (&known.place, &known.reason) == (&finding.place, &finding.reason)
    });
    match same {
        Some(known) => {
            known.rows += finding.rows;
            known.keys.extend(finding.keys);
            known.keys.truncate(KEYS_SHOWN);
        }
        None => findings.push(finding),
    }
}

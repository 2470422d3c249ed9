//! Several files of one schema that go into one target together: each holds the rows of one tenant, and its own copy of
//! what all of them share.
//!
//! What is in the target afterwards is what the files would have put there one by one; shared rows stand there once.

use super::encoded::{EncodedRow, each_copy};
use super::rows::{SourceTable, learn_keys};
use super::settle::{Account, Settled, settle};
use crate::diagnostic::Diagnostic;
use crate::ident::visible;
use crate::plan::Plan;
use crate::postgres::FileRecord;
use crate::remap::Remapper;
use crate::schema::TableId;
use crate::sqlite::Snapshot;
use crate::verify::{FileRows, KeptOutProof};

/// One of the files.
#[derive(Debug)]
pub struct TenantFile {
    /// The file, as reports name it.
    pub name: String,
    /// The tenant of its rows, as the source spells its id.
    pub tenant: String,
    /// The file at one moment.
    pub snapshot: Snapshot,
    /// Which of its rows are moved.
    pub settled: Settled,
}

impl TenantFile {
    /// Puts a file together whose rows are all moved, as far as is known.
    pub fn new(name: String, tenant: String, snapshot: Snapshot) -> Self {
        Self { name, tenant, snapshot, settled: Settled::default() }
    }

    /// Returns its plan: that of the run, with its tenant named.
    pub(super) fn plan(&self, plan: &Plan) -> Result<Plan, Diagnostic> {
        plan.of_tenant(&self.tenant)
    }

    /// Settles which of its rows are moved.
    ///
    /// # Errors
    /// Those of [`settle`], with the file's name.
    pub fn settle(&mut self, plan: &Plan) -> Result<(), Diagnostic> {
        let own = self.plan(plan)?;
        self.settled = settle(&own, &self.snapshot).map_err(|error| self.named(error))?;
        Ok(())
    }

    /// Returns the rows that are moved.
    pub fn rows(&self) -> &Snapshot {
        self.settled.rows(&self.snapshot)
    }

    /// Returns the file as the proof wants it.
    pub fn moved(&self) -> FileRows<'_> {
        FileRows { tenant: &self.tenant, rows: self.rows() }
    }

    /// Returns what the journal gets to know of it.
    pub(super) fn record(&self) -> FileRecord {
        let (path, tenant) = (self.name.clone(), self.tenant.clone());
        FileRecord { path, tenant, snapshot: self.snapshot.hash.clone() }
    }

    /// Returns why its rows are rejected, with the tenant by which they are told from those of other files.
    pub(super) fn reject_reasons(&self) -> Vec<String> {
        let file = format!("in the file of {}: ", visible(&self.tenant));
        self.settled.rejects.iter().map(|reject| format!("{file}{}", reject.reason)).collect()
    }

    /// Says which file an error is about.
    pub(super) fn named(&self, mut error: Diagnostic) -> Diagnostic {
        error.message = format!("{}: {}", visible(&self.name), error.message);
        error
    }
}

/// Returns the hash of all files together, each with its tenant: what a run is bound to.
pub fn hash_of_files(files: &[TenantFile]) -> String {
    let mut hasher = blake3::Hasher::new();
    for text in files.iter().flat_map(|file| [&file.tenant, &file.snapshot.hash]) {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

/// Adds up what became of the rows of each source table, where the spec keeps any out; the files have been settled.
pub fn accounts_of_files(files: &[TenantFile]) -> Vec<Account> {
    Account::sums(files.iter().map(|file| &file.settled))
}

/// Derives a second time what the spec keeps out of each file, and compares it with what was settled.
///
/// # Errors
/// Those of SQLite, with the file's name.
pub fn prove_kept_out(plan: &Plan, files: &[TenantFile]) -> Result<KeptOutProof, Diagnostic> {
    let mut whole = KeptOutProof::default();
    for file in files {
        let proof = file.settled.prove(&file.plan(plan)?, &file.snapshot).map_err(|error| file.named(error))?;
        whole.add(&file.name, proof);
    }
    Ok(whole)
}

/// Lists the tables that the files share: those without a tenant.
pub(super) fn shared_tables(plan: &Plan) -> Vec<TableId> {
    let is_shared = |table: &TableId| plan.rewritten.tenant_columns[table.index()].is_none();
    plan.rewritten.target.table_ids().filter(is_shared).collect()
}

/// A row of one of several files.
pub(super) struct FileRow<'r> {
    /// The file's place among all.
    pub file: usize,
    /// The row as it is sent.
    pub row: &'r EncodedRow<'r>,
    /// Shows the key that a person knows it by.
    pub key: &'r dyn Fn() -> String,
}

/// Called with the place of a table in a list and a row.
pub(super) type EachFileRow<'f> = dyn FnMut(usize, &FileRow<'_>) -> Result<(), Diagnostic> + 'f;

/// Calls `f` with the rows of some target tables, file by file; rows with a fault are left out.
pub(super) fn each_file_row(
    plan: &Plan,
    files: &[TenantFile],
    targets: &[TableId],
    f: &mut EachFileRow<'_>,
) -> Result<(), Diagnostic> {
    let (mut out, mut faults, mut fields) = (Vec::new(), Vec::new(), Vec::new());
    for (number, file) in files.iter().enumerate() {
        let own = file.plan(plan)?;
        let database = file.rows().open()?;
        let mut remapper = Remapper::new(&own);
        learn_keys(&mut remapper, &own, &database)?;
        for (place, &target) in targets.iter().enumerate() {
            let table = SourceTable::new(&own, &mut remapper, target)?;
            table.for_each::<Diagnostic>(&database, &mut |values, key| {
                out.clear();
                faults.clear();
                let copies = remapper.row(&table.pass, values, &mut out, &mut faults);
                let mut outcome = Ok(());
                each_copy(&out, 0, copies, &mut fields, &mut |row| {
                    if outcome.is_ok() {
                        outcome = f(place, &FileRow { file: number, row, key: &|| table.key_text(key) });
                    }
                });
                outcome
            })?;
        }
    }
    Ok(())
}

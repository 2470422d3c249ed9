//! The proof that a target holds its source: row for row, tenant for tenant.
//!
//! It shares nothing with the copy that could hide a mistake of the copy. The tenant of each row is derived a second
//! time, in SQL, inside SQLite (`tenant_sql`); values of both sides reach one canonical form by paths of their own
//! (`canonical`). Full rows are reduced to counts and keyed sums for each table and tenant (`sums`), and where these
//! differ the difference is narrowed down to key and column (`narrow`). Every foreign key is checked on the rows as they are
//! read back (`references`), and by anti-join where one may be broken (`foreign_keys`), every sequence against its rows
//! (`sequences`), and the live schema against the plan (`catalog`, and
//! before that `expressions`). Which rows the spec keeps out is derived a second time as
//! well (`kept_out`).

mod canonical;
mod catalog;
mod defaults;
mod desk;
mod expressions;
mod file_side;
mod foreign_keys;
mod isolation;
mod kept_out;
mod narrow;
mod new_ids;
mod parts;
mod proof;
mod readable;
mod references;
mod rows;
mod sequences;
mod since;
mod source_side;
mod sums;
mod target_side;
mod tenant_map;
mod tenant_rows;
mod tenant_sql;

#[cfg(test)]
mod tests;

pub use catalog::{unfit_for_rows, verify_catalog};
pub use expressions::{CatalogProof, verify_expressions};
pub use file_side::FileRows;
pub use isolation::verify_isolation;
pub use kept_out::{KeptOut, KeptOutProof, RecordedReject, TableKeptOut, keep_out, recorded};
pub use proof::{
    ForeignKeyProof, ForeignKeyViolation, ForeignKeyViolationKind, KeyPart, RowDifference, RowDifferenceKind,
    SequenceProof, TableProof, TenantDifference, TenantSum, Verification,
};
pub use since::{SinceRun, TableSince, verify_since};

use crate::diagnostic::Diagnostic;
use crate::plan::Plan;
use crate::postgres::{Connection, RowReader};
use crate::schema::{ForeignKeyId, TableId};
use crate::sqlite::Database;
use file_side::FileSide;
use readable::Readable;
use rows::{Row, TableRows};
use source_side::SourceSide;
use std::sync::Arc;
use std::thread;
use sums::RowHasher;
use target_side::TargetSide;
use tenant_sql::TenantSql;

/// Compares a target with its source and with the plan between them.
///
/// The `readers` read the rows, side by side and as they were when this began; without any the target's connection does.
/// `beside` is the source opened again, to be read side by side. Nobody else may write to the source meanwhile. `progress` gets a table's name and how many of its source rows have been read. What differs is
/// in the answer; an error means that the comparison could not be made, and proves nothing.
pub fn verify(
    plan: &Plan,
    source: &Database,
    beside: Vec<Database>,
    target: &mut Connection,
    readers: &mut [RowReader],
    progress: &mut dyn FnMut(&str, u64),
) -> Result<Verification, Diagnostic> {
    compare(plan, Origin::Database(source, beside), target, readers, progress)
}

/// Opens the connections that read a target back, by `open`: at most so many, and at most as many as there are processors
/// beside the two that read the source, but two at least. Fewer would read on alone when the source has been read.
///
/// Where one cannot be opened there are fewer: the proof takes longer, and that is all.
pub fn open_readers(at_most: usize, open: impl Fn() -> Result<RowReader, Diagnostic>) -> Vec<RowReader> {
    let beside = thread::available_parallelism().map_or(1, usize::from).saturating_sub(2).max(2);
    (0..at_most.min(beside)).map_while(|_| open().ok()).collect()
}

/// Compares a target with all the files that went into it: each tenant with its own file, what they share with all of
/// them. A tenant that has rows in the target and no file is a difference.
///
/// Otherwise as [`verify`]; `plan` names no tenant.
pub fn verify_files(
    plan: &Plan,
    files: &[FileRows<'_>],
    target: &mut Connection,
    readers: &mut [RowReader],
    progress: &mut dyn FnMut(&str, u64),
) -> Result<Verification, Diagnostic> {
    compare(plan, Origin::Files(FileSide::new(plan, files)), target, readers, progress)
}

/// Where the rows come from.
enum Origin<'o> {
    /// A database with all tenants, and the same one opened again.
    Database(&'o Database, Vec<Database>),
    /// A file for each tenant.
    Files(FileSide<'o>),
}

fn compare(
    plan: &Plan,
    origin: Origin<'_>,
    target: &mut Connection,
    readers: &mut [RowReader],
    progress: &mut dyn FnMut(&str, u64),
) -> Result<Verification, Diagnostic> {
    let mut transaction = target.begin_snapshot()?;
    if !readers.is_empty() {
        let seen = transaction.export_snapshot()?;
        readers.iter_mut().try_for_each(|reader| reader.begin_same_snapshot(&seen))?;
    }
    let found = prove(plan, origin, &mut transaction, readers, progress);
    readers.iter_mut().for_each(RowReader::end_snapshot);
    found
}

/// As [`verify`], on what the connections see.
///
/// The source is read on this thread, and what reads the target on threads of their own.
fn prove(
    plan: &Plan,
    mut origin: Origin<'_>,
    target: &mut Connection,
    readers: &mut [RowReader],
    progress: &mut dyn FnMut(&str, u64),
) -> Result<Verification, Diagnostic> {
    let catalog = verify_catalog(plan, target)?;
    let readable = Readable::find(plan, target)?;
    let tenants = TenantSql::new(plan);
    let hasher = RowHasher::random();
    let schema = &plan.rewritten.target;
    let rows = |table| readable.obstacle(table).is_none().then(|| Arc::new(TableRows::new(plan, &tenants, table)));
    let tables: Vec<Option<Arc<TableRows>>> = schema.table_ids().map(rows).collect();
    let foreign_keys: Vec<ForeignKeyId> = schema.tables.iter().flat_map(|table| table.foreign_keys.clone()).collect();
    let given_out = match &origin {
        Origin::Database(source, _) => {
            let of = |table| sequences::given_out(plan, source, table);
            schema.table_ids().map(of).collect::<Result<Vec<_>, _>>()?
        }
        Origin::Files(files) => files.given_out()?,
    };
    let side = TargetSide {
        plan,
        readable: &readable,
        hasher,
        tables: &tables,
        foreign_keys: &foreign_keys,
        given_out: &given_out,
    };
    let reading = side.begin(&parts::parts(plan, target)?);
    let expected = thread::scope(|scope| {
        let reading = &reading;
        if readers.is_empty() {
            let target = &mut *target;
            scope.spawn(move || reading.work(target));
        }
        for reader in readers {
            scope.spawn(move || reading.work(reader));
        }
        let read = match &mut origin {
            Origin::Database(source, beside) => {
                let side = SourceSide { plan, tenants: &tenants, hasher, tables: &tables };
                side.read(source, std::mem::take(beside), progress)
            }
            Origin::Files(files) => files.read(&tables, hasher, progress),
        };
        if read.is_err() {
            reading.stop();
        }
        read
    })?;
    let found = reading.end(target)?;
    let mut proofs = Vec::with_capacity(tables.len());
    let mut all_derived = false;
    for ((table, rows), (expected, found)) in
        schema.table_ids().zip(&tables).zip(expected.into_iter().zip(found.groups))
    {
        proofs.push(match (rows, expected, found) {
            (Some(rows), Some(expected), Some(found)) => {
                let sums::Sums { mut proof, differing } = sums::difference(rows, expected, found);
                if !differing.is_empty() {
                    if let (Origin::Database(source, _), false) = (&origin, all_derived) {
                        tenants.derive(source)?;
                        all_derived = true;
                    }
                    let again = |f: &mut dyn FnMut(&Row)| match &origin {
                        Origin::Database(source, _) => rows.for_each_in_source(source, f),
                        Origin::Files(files) => files.again(table, rows, hasher, &differing, f),
                    };
                    proof.row_examples = narrow::rows(rows, hasher, &differing, &again, target)?;
                }
                proof
            }
            _ => unread(plan, table, readable.obstacle(table).unwrap_or("it was not read")),
        });
    }
    if let Origin::Database(source, _) = origin {
        tenants.forget(source)?;
    }
    let (foreign_keys, sequences) = (found.foreign_keys, found.sequences);
    let kept_out = KeptOutProof::default();
    Ok(Verification {
        tables: proofs,
        foreign_keys,
        sequences,
        catalog,
        uncompared: Vec::new(),
        kept_out,
        sum_key: hasher.key(),
    })
}

fn unread(plan: &Plan, table: TableId, obstacle: &str) -> TableProof {
    TableProof {
        table: plan.rewritten.target.table(table).name.clone(),
        unread: Some(obstacle.to_owned()),
        source_rows: 0,
        target_rows: 0,
        tenants: 0,
        differing_tenants: 0,
        tenant_examples: Vec::new(),
        row_examples: Vec::new(),
        sums: Vec::new(),
    }
}

//! Every identity's next number is above all rows, and above all that SQLite has given out.

use super::proof::SequenceProof;
use crate::diagnostic::Diagnostic;
use crate::emit::qualified_table;
use crate::ident::{quote, visible};
use crate::plan::Plan;
use crate::postgres::{Connection, sequence_next};
use crate::schema::{TableId, Value};
use crate::sqlite::Database;
use std::borrow::Cow;

/// Finds the greatest number in each identity column of a table that can be read.
pub(super) fn greatest(plan: &Plan, table: TableId, target: &mut Connection) -> Result<Vec<Option<i64>>, Diagnostic> {
    let schema = &plan.rewritten.target;
    let described = schema.table(table);
    let mut found = Vec::new();
    for column in described.columns.iter().map(|&id| schema.column(id)).filter(|column| column.identity) {
        let sql = format!("SELECT max({})::bigint FROM {}", quote(&column.name), qualified_table(plan, table));
        let purpose = format!("find the greatest {} of {}", visible(&column.name), visible(&described.name));
        let greatest = target.query_one(&sql, &[], &purpose)?;
        found.push(greatest.optional(0).map(|_| greatest.integer(0)).transpose()?);
    }
    Ok(found)
}

/// Checks the identity columns of a table that can be read; `given_out` is what [`given_out`] says of it, `greatest` what is
/// in each of them.
pub(super) fn prove(
    plan: &Plan,
    table: TableId,
    given_out: Option<i64>,
    greatest: &[Option<i64>],
    target: &mut Connection,
) -> Result<Vec<SequenceProof>, Diagnostic> {
    let schema = &plan.rewritten.target;
    let mut proofs = Vec::new();
    let described = schema.table(table);
    let identities = described.columns.iter().map(|&id| schema.column(id)).filter(|column| column.identity);
    for (column, &greatest) in identities.zip(greatest) {
        let used = greatest.into_iter().chain(given_out).max();
        let next = sequence_next(target, &plan.tenancy.target_schema, &described.name, &column.name)?;
        proofs.push(SequenceProof {
            table: described.name.clone(),
            column: column.name.clone(),
            next,
            least: used.map_or(1, |used| used.saturating_add(1).max(1)),
        });
    }
    Ok(proofs)
}

/// Returns the greatest number that an AUTOINCREMENT table ever gave out, rows that are gone included.
pub(super) fn given_out(plan: &Plan, source: &Database, table: TableId) -> Result<Option<i64>, Diagnostic> {
    let described = plan.source.table(plan.rewritten.source_tables[table.index()]);
    if !described.autoincrement {
        return Ok(None);
    }
    let name = Value::Text(Cow::Borrowed(described.name.as_bytes()));
    let sql = "SELECT CAST(max(seq) AS INTEGER) FROM main.sqlite_sequence WHERE name = ?1";
    source.query_integer(sql, &[name]).map(Some)
}

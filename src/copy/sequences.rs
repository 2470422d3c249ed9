//! Identity sequences go on above what was copied.

use super::execute::Moved;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::emit;
use crate::ident::{quote_always, visible};
use crate::plan::Plan;
use crate::postgres::{Connection, continue_sequence};
use crate::rewrite::ColumnValue;
use crate::schema::{ColumnId, PgType, TableId, Value};
use crate::sqlite::{Database, Snapshot};
use std::borrow::Cow;

/// Lets every identity of a table go on above what is there: the next insert must not take an id that is in use, and not
/// one that SQLite's AUTOINCREMENT promised never to give out again.
///
/// `floor` is what AUTOINCREMENT says, `snapshot` the one source of all rows, where there is one.
pub(super) fn continue_sequences(
    plan: &Plan,
    snapshot: Option<&Database>,
    floor: i64,
    table: TableId,
    connection: &mut Connection,
) -> Result<(), Diagnostic> {
    let target = &plan.rewritten.target;
    for column in identities(plan, table) {
        let name = &target.column(column).name;
        let maximum = greatest(plan, snapshot, column, connection)?;
        let last = maximum.max(floor);
        continue_sequence(connection, &plan.tenancy.target_schema, &target.table(table).name, name, last)?;
    }
    Ok(())
}

/// Finds the greatest id among the rows. SQLite knows that of its rowids without looking at all of them, and every row of
/// the target has that of a row of the source.
fn greatest(
    plan: &Plan,
    snapshot: Option<&Database>,
    column: ColumnId,
    connection: &mut Connection,
) -> Result<i64, Diagnostic> {
    let (source, target) = (&plan.source, &plan.rewritten.target);
    if let Some(snapshot) = snapshot
        && let ColumnValue::Source(from) = plan.rewritten.values[column.index()]
        && source.table(source.column(from).table).rowid_alias == Some(from)
    {
        let (name, table) = (&source.column(from).name, &source.table(source.column(from).table).name);
        let sql = format!("SELECT max({}) FROM main.{}", quote_always(name), quote_always(table));
        return snapshot.query_integer(&sql, &[]);
    }
    let column = target.column(column);
    let table = emit::qualified_table(plan, column.table);
    let sql = format!("SELECT coalesce(max({}), 0) FROM {table}", quote_always(&column.name));
    connection.query_one(&sql, &[], "find the greatest key")?.integer(0)
}

/// Finds for each target table the greatest number that SQLite's AUTOINCREMENT has given out, in any of the files.
pub(super) fn floors(plan: &Plan, moved: Moved<'_>) -> Result<Vec<i64>, Diagnostic> {
    let tables = || plan.rewritten.target.table_ids();
    let source = |table: TableId| plan.source.table(plan.rewritten.source_tables[table.index()]);
    let mut floors = vec![0; tables().count()];
    if !tables().any(|table| source(table).autoincrement) {
        return Ok(floors);
    }
    let mut look = |snapshot: &Snapshot| -> Result<(), Diagnostic> {
        let database = snapshot.open()?;
        for (table, floor) in tables().zip(&mut floors) {
            *floor = given_out(plan, &database, table)?.max(*floor);
        }
        Ok(())
    };
    match moved {
        Moved::Database(snapshot) => look(snapshot)?,
        Moved::Files(files) => files.iter().try_for_each(|file| look(file.rows()))?,
    }
    Ok(floors)
}

/// Refuses a plan whose sequences would have no number left, before anything is written.
///
/// # Errors
/// `sequence-exhausted` for each column: what AUTOINCREMENT has given out is beyond all that the target's type has.
pub(super) fn refuse_exhausted(plan: &Plan, floors: &[i64]) -> Result<(), Diagnostics> {
    let mut errors = Diagnostics::default();
    let target = &plan.rewritten.target;
    for (table, &last) in target.table_ids().zip(floors) {
        for column in identities(plan, table).map(|column| target.column(column)) {
            let fits = match column.data_type {
                PgType::Smallint => i16::try_from(last).is_ok(),
                PgType::Integer => i32::try_from(last).is_ok(),
                _ => true,
            };
            if fits {
                continue;
            }
            let place = format!("{}.{}", visible(&target.table(table).name), visible(&column.name));
            errors.push(
                Diagnostic::error(
                    "sequence-exhausted",
                    format!(
                        "SQLite has given out {last} for {place}, and {} has no number behind it",
                        column.data_type
                    ),
                )
                .help(format!("give it a wider type: `columns: {{{}: {{type: bigint}}}}`", visible(&column.name))),
            );
        }
    }
    errors.into_result(())
}

fn identities(plan: &Plan, table: TableId) -> impl Iterator<Item = ColumnId> {
    let target = &plan.rewritten.target;
    target.table(table).columns.iter().copied().filter(|&column| target.column(column).identity)
}

/// Returns the greatest number that SQLite's AUTOINCREMENT has given out in the source of a table; 0 without one.
fn given_out(plan: &Plan, snapshot: &Database, table: TableId) -> Result<i64, Diagnostic> {
    let source = plan.source.table(plan.rewritten.source_tables[table.index()]);
    if !source.autoincrement {
        return Ok(0);
    }
    let name = Value::Text(Cow::Borrowed(source.name.as_bytes()));
    // Anybody may write anything into it.
    let sql = "SELECT CAST(max(seq) AS INTEGER) FROM sqlite_sequence WHERE name = ? COLLATE NOCASE";
    snapshot.query_integer(sql, &[name])
}

//! References that only a collation of SQLite makes: 'abc' finds the row 'ABC' of a NOCASE key, and no row in PostgreSQL.
//!
//! A foreign key of SQLite compares by the parent's collation, one of PostgreSQL by the type of the column. Where these
//! differ, SQLite is asked beside each row whether it finds its parent by these very bytes.

use crate::ident::quote_always;
use crate::plan::Plan;
use crate::rewrite::ColumnValue;
use crate::schema::{ColumnId, ForeignKeyId, PgType, TableId, Value};

/// A foreign key that takes another spelling in SQLite, and not in the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spelling {
    /// The source's foreign key.
    pub foreign_key: ForeignKeyId,
    /// The column of the parent's key that decides it.
    pub compared: ColumnId,
    /// Whether a row spells its reference in another way than the parent, in SQLite's dialect.
    pub differs: String,
}

/// Lists such foreign keys of a target table.
pub(super) fn of_table(plan: &Plan, target: TableId) -> Vec<Spelling> {
    let schema = &plan.rewritten.target;
    let table = plan.rewritten.source_tables[target.index()];
    let from_source = schema.table(target).foreign_keys.iter().filter_map(|id| {
        let source = (*plan.rewritten.source_foreign_keys.get(id.index())?)?;
        (plan.source.foreign_key(source).table == table).then_some(source)
    });
    from_source.filter_map(|id| of_foreign_key(plan, id)).collect()
}

fn of_foreign_key(plan: &Plan, id: ForeignKeyId) -> Option<Spelling> {
    let foreign_key = plan.source.foreign_key(id);
    let name = |column: ColumnId| quote_always(&plan.source.column(column).name);
    let (child, parent) = (plan.source.table(foreign_key.table), plan.source.table(foreign_key.referenced_table));
    let own = |column: ColumnId| format!("{}.{}", quote_always(&child.name), name(column));
    let pairs = || foreign_key.columns.iter().copied().zip(foreign_key.referenced_columns.iter().copied());
    let strict: Vec<(ColumnId, ColumnId)> = pairs().filter(|(_, key)| folds_in_sqlite_only(plan, *key)).collect();
    let matches: Vec<String> = pairs().map(|(column, key)| format!("p.{} = +{}", name(key), own(column))).collect();
    let differs: Vec<String> = strict
        .iter()
        .map(|&(column, key)| format!("CAST(p.{} AS TEXT) COLLATE BINARY <> CAST({} AS TEXT)", name(key), own(column)))
        .collect();
    Some(Spelling {
        foreign_key: id,
        compared: strict.first()?.1,
        differs: format!(
            "(SELECT {} FROM main.{} AS p WHERE {})",
            differs.join(" OR "),
            quote_always(&parent.name),
            matches.join(" AND ")
        ),
    })
}

/// Says whether SQLite takes more texts of a column for the same than the target does.
fn folds_in_sqlite_only(plan: &Plan, column: ColumnId) -> bool {
    let collation = plan.source.column(column).collation.as_deref();
    let position = plan.rewritten.values.iter().position(|value| *value == ColumnValue::Source(column));
    let Some(target) = position.map(|position| &plan.rewritten.target.columns[position]) else { return false };
    let is_rtrim = collation.is_some_and(|name| name.eq_ignore_ascii_case("rtrim"));
    collation.is_some_and(|name| !name.eq_ignore_ascii_case("binary"))
        && target.data_type.is_text()
        && (is_rtrim || target.collation.is_none() && target.data_type != PgType::Citext)
}

/// Returns the references of a row that are spelled in another way, by the values of their expressions.
pub(super) fn differing<'s>(spellings: &'s [Spelling], values: &'s [Value<'_>]) -> impl Iterator<Item = &'s Spelling> {
    spellings.iter().zip(values).filter(|(_, value)| **value == Value::Integer(1)).map(|(spelling, _)| spelling)
}

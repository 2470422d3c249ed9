//! What SQLite lets a table do and PostgreSQL does not: rows without a key, NULLs in keys, ON CONFLICT in the DDL.

use super::Hazard;
use super::draft::Draft;
use crate::diagnostic::Span;
use crate::schema::{ColumnId, TableId};
use crate::spec::{About, Decision, Origin};

pub(super) fn note(draft: &mut Draft<'_>) {
    for (source, table, _) in draft.migrated() {
        match draft.target.table(table).primary_key {
            None => no_primary_key(draft, source),
            Some(_) => nullable_primary_key(draft, source),
        }
        conflict_clauses(draft, source);
    }
}

/// A table without a primary key stays one; a unique key that is never NULL could be it.
fn no_primary_key(draft: &mut Draft<'_>, source: TableId) {
    let described = draft.source.table(source);
    let never_null = |columns: &[ColumnId]| columns.iter().all(|&column| draft.source.column(column).not_null);
    let sets = draft.source.unique_column_sets(source);
    let serves = sets.iter().find(|columns| never_null(columns)).map(|columns| draft.source_columns_text(columns));
    let help = match &serves {
        Some(columns) => format!("({columns}) is unique and never NULL: `primary_key: [{columns}]` makes it the key"),
        None => "if columns are unique, name them: `primary_key: [COLUMN, …]`".to_owned(),
    };
    let message = format!(
        "`{}` has no primary key: nothing tells its rows apart, and replication cannot update them",
        described.name
    );
    draft.decisions.push(Decision {
        table: source,
        about: About::PrimaryKey,
        choice: "none".to_owned(),
        origin: Origin::Inferred("the source has none".to_owned()),
        alternatives: vec![serves.map_or_else(|| "[COLUMN, …]".to_owned(), |columns| format!("[{columns}]"))],
    });
    draft.hazards.push(Hazard { code: "no-primary-key", table: source, message, help, span: described.span.clone() });
}

/// SQLite takes NULLs into every primary key but a rowid and those of STRICT and WITHOUT ROWID tables.
fn nullable_primary_key(draft: &mut Draft<'_>, source: TableId) {
    let described = draft.source.table(source);
    if described.strict || described.without_rowid {
        return;
    }
    let Some(key) = described.primary_key.map(|key| draft.source.key(key)) else { return };
    for &column in &key.columns {
        let own = draft.source.column(column);
        if own.not_null || described.rowid_alias == Some(column) || draft.column_of(column).is_none() {
            continue;
        }
        draft.decisions.push(Decision {
            table: source,
            about: About::Column(own.name.clone()),
            choice: "not null".to_owned(),
            origin: Origin::Inferred("a primary key is never NULL in PostgreSQL; in SQLite this one can be".to_owned()),
            alternatives: Vec::new(),
        });
    }
}

/// ON CONFLICT in the DDL decides for every INSERT that does not; in PostgreSQL each INSERT decides for itself.
fn conflict_clauses(draft: &mut Draft<'_>, source: TableId) {
    let mut found: Vec<(String, Option<Span>)> = Vec::new();
    let described = draft.source.table(source);
    for key in described.primary_key.iter().chain(&described.unique_keys).map(|&key| draft.source.key(key)) {
        if let Some(action) = &key.on_conflict {
            found.push((
                format!("({}) ON CONFLICT {action}", draft.source_columns_text(&key.columns)),
                key.span.clone(),
            ));
        }
    }
    for clause in draft.source.unmapped.iter().filter(|clause| clause.table == source) {
        if clause.clause.contains("ON CONFLICT") {
            let columns = draft.source_columns_text(&clause.columns);
            found.push((format!("({columns}) {}", clause.clause), clause.span.clone()));
        }
    }
    for (clause, span) in found {
        draft.hazards.push(Hazard {
            code: "on-conflict-dropped",
            table: source,
            message: format!("{clause} is not carried over: such a row is an error from now on"),
            help: "let the application's INSERTs say what to do: ON CONFLICT DO NOTHING, or DO UPDATE".to_owned(),
            span,
        });
    }
}

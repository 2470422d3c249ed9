//! What SQLite lets a table do and PostgreSQL does not: rows without a key, NULLs in keys, ON CONFLICT in the DDL, and
//! actions that clear a key.

use super::draft::Draft;
use super::{ColumnValue, Hazard};
use crate::diagnostic::Span;
use crate::schema::{Action, ColumnId, TableId};
use crate::spec::{About, Decision, Origin};

pub(super) fn note(draft: &mut Draft<'_>) {
    for (source, table, _) in draft.migrated() {
        match draft.target.table(table).primary_key {
            None => no_primary_key(draft, source),
            Some(_) => nullable_primary_key(draft, source),
        }
        conflict_clauses(draft, source);
        set_null_in_key(draft, source, table);
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

/// An action that clears a part of a primary key works in SQLite, which takes a NULL there.
fn set_null_in_key(draft: &mut Draft<'_>, source: TableId, table: TableId) {
    let mut found = Vec::new();
    let was_nullable = |column: &ColumnId| {
        draft.target.column(*column).not_null
            && matches!(draft.value_of(*column), ColumnValue::Source(from) if !draft.source.column(from).not_null)
    };
    for foreign_key in draft.target.table(table).foreign_keys.iter().map(|&id| draft.target.foreign_key(id)) {
        let deleted = foreign_key.set_columns.as_ref().unwrap_or(&foreign_key.columns);
        for (event, action, cleared) in
            [("DELETE", foreign_key.on_delete, deleted), ("UPDATE", foreign_key.on_update, &foreign_key.columns)]
        {
            let kept: Vec<ColumnId> = cleared.iter().copied().filter(was_nullable).collect();
            if action == Action::SetNull && !kept.is_empty() {
                let parent = &draft.target.table(foreign_key.referenced_table).name;
                let kept = draft.target.column_names(&kept).collect::<Vec<_>>().join(", ");
                found.push(Hazard {
                    code: "set-null-in-key",
                    table: source,
                    message: format!(
                        "ON {event} SET NULL fails for a row of `{parent}` that is referred to: ({kept}) is in the primary key, and never NULL"
                    ),
                    help: "choose another action, as in `on_delete: cascade`, or another primary key".to_owned(),
                    span: foreign_key.span.clone(),
                });
            }
        }
    }
    draft.hazards.extend(found);
}

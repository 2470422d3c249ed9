//! Foreign keys that SQLite does not declare: `references` adds them, so that every later stage sees them.

use super::super::file::{SpecFile, TableEntry};
use super::super::file_objects::{ForeignKeyBody, ForeignKeyEntry};
use super::super::yaml::Spans;
use super::lookup::unknown_table;
use crate::diagnostic::{Diagnostic, Diagnostics, Span, nearest};
use crate::schema::{Action, ColumnId, Deferral, ForeignKey, SourceSchema, TableId};

/// Returns the foreign keys that the spec adds to a schema, in the order of the spec.
///
/// An entry whose table or columns do not exist is skipped: the lookups that follow report it.
pub(super) fn undeclared(
    file: &SpecFile,
    spans: &Spans,
    schema: &SourceSchema,
    errors: &mut Diagnostics,
) -> Vec<ForeignKey> {
    let mut added = Vec::new();
    for (table_key, entry) in &file.tables {
        let TableEntry::Tenant(body) = entry else { continue };
        let refers = |entry: &ForeignKeyEntry| {
            matches!(entry, ForeignKeyEntry::Keep(ForeignKeyBody { references: Some(_), .. }))
        };
        if !body.foreign_keys.values().any(refers) {
            continue;
        }
        let Some(table) = schema.find_table(table_key) else { continue };
        for (key, entry) in &body.foreign_keys {
            let ForeignKeyEntry::Keep(body) = entry else { continue };
            let Some(references) = &body.references else { continue };
            let path = ["tables", table_key, "foreign_keys", key];
            let place = spans.value(&[path[0], path[1], path[2], path[3], "references"]);
            match foreign_key(schema, table, key, references, spans.key(&path), place) {
                Ok(Some(foreign_key)) => added.push(foreign_key),
                Ok(None) => {}
                Err(diagnostic) => errors.push(*diagnostic),
            }
        }
    }
    added
}

/// Builds one foreign key; `None` where the schema declares just that one.
fn foreign_key(
    schema: &SourceSchema,
    table: TableId,
    key: &str,
    references: &str,
    span: Span,
    place: Span,
) -> Result<Option<ForeignKey>, Box<Diagnostic>> {
    let columns = find_columns(schema, table, key, &span)?;
    let parsed = references.trim().strip_suffix(')').and_then(|text| text.split_once('('));
    let Some((parent_name, parent_columns)) = parsed else {
        return Err(Box::new(
            Diagnostic::error("wrong-value", format!("`{references}` is not of the form TABLE(COLUMN)"))
                .label(place, "this value")
                .help("name the table and the columns that the key refers to, as in \"invoices(id)\""),
        ));
    };
    let Some(parent) = schema.find_table(parent_name.trim()) else {
        return Err(Box::new(unknown_table(schema, parent_name.trim()).label(place, "no such table")));
    };
    let referenced = find_columns(schema, parent, parent_columns, &place)?;
    if referenced.len() != columns.len() {
        let message = format!("`{key}` and ({parent_columns}) differ in their number of columns");
        return Err(Box::new(Diagnostic::error("wrong-value", message).label(place, "this value")));
    }
    let declared: Vec<&ForeignKey> =
        schema.table(table).foreign_keys.iter().map(|&id| schema.foreign_key(id)).collect();
    let is_same = |declared: &ForeignKey| {
        declared.columns == columns && declared.referenced_table == parent && declared.referenced_columns == referenced
    };
    if declared.iter().any(|declared| is_same(declared)) {
        return Ok(None);
    }
    if let Some(declared) = declared.iter().find(|declared| declared.columns == columns) {
        return Err(Box::new(
            Diagnostic::error("reference-declared", format!("`{key}` refers to something else in the DDL"))
                .label(place, "to be added")
                .label_opt(declared.span.clone(), "declared")
                .help("`references` is for what SQLite does not declare: change the DDL, or leave it out here"),
        ));
    }
    let mut wanted = referenced.clone();
    wanted.sort_unstable();
    let is_unique = schema.unique_column_sets(parent).into_iter().any(|mut set| {
        set.sort_unstable();
        set == wanted
    });
    if !is_unique {
        return Err(Box::new(
            Diagnostic::error("reference-not-unique", format!("no key of `{parent_name}` is ({parent_columns})"))
                .label(place, "refers to columns that may hold a value twice")
                .help("refer to the primary key, or to columns with a UNIQUE constraint"),
        ));
    }
    Ok(Some(ForeignKey {
        table,
        name: None,
        columns,
        referenced_table: parent,
        referenced_columns: referenced,
        on_delete: Action::NoAction,
        on_update: Action::NoAction,
        set_columns: None,
        match_full: false,
        deferral: Deferral::NotDeferrable,
        span: None,
    }))
}

fn find_columns(
    schema: &SourceSchema,
    table: TableId,
    names: &str,
    span: &Span,
) -> Result<Vec<ColumnId>, Box<Diagnostic>> {
    // A name may hold commas itself.
    if let Some(column) = schema.find_column(table, names.trim()) {
        return Ok(vec![column]);
    }
    names
        .split(',')
        .map(str::trim)
        .map(|name| {
            schema.find_column(table, name).ok_or_else(|| {
                let described = schema.table(table);
                let message = format!("`{}` has no column `{name}`", described.name);
                let diagnostic = Diagnostic::error("unknown-column", message).label(span.clone(), "no such column");
                Box::new(match nearest(name, schema.column_names(&described.columns)) {
                    Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
                    None => diagnostic,
                })
            })
        })
        .collect()
}

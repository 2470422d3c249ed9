//! PostgreSQL's keys and indexes have at most 32 columns, those of INCLUDE among them; SQLite's have up to 2,000.

use super::draft::Draft;
use crate::diagnostic::{Diagnostic, Span};
use crate::schema::{ForeignKeyId, Index, Key, KeyKind, TableId};

/// How many (<https://www.postgresql.org/docs/15/limits.html>).
const MOST: usize = 32;

pub(super) fn check(draft: &mut Draft<'_>) {
    let mut errors = Vec::new();
    for (source, table, _) in draft.migrated() {
        let described = draft.target.table(table);
        for key in described.primary_key.iter().chain(&described.unique_keys).map(|&key| draft.target.key(key)) {
            if key.columns.len() > MOST {
                errors.push(wide_key(draft, source, key));
            }
        }
        for index in described.indexes.iter().map(|&index| draft.target.index(index)) {
            if index.parts.len() + index.include.len() > MOST {
                errors.push(wide_index(draft, source, index));
            }
        }
        for &id in &described.foreign_keys {
            if draft.target.foreign_key(id).columns.len() > MOST {
                errors.push(wide_foreign_key(draft, source, id));
            }
        }
    }
    errors.into_iter().for_each(|error| draft.error(error));
}

fn wide(what: &str, width: usize, span: Option<Span>) -> Diagnostic {
    let message = format!("{what} would have {width} columns, and PostgreSQL takes {MOST}");
    Diagnostic::error("too-many-key-columns", message).label_opt(span, "this one")
}

fn wide_key(draft: &Draft<'_>, source: TableId, key: &Key) -> Diagnostic {
    let table = &draft.source.table(source).name;
    let width = key.columns.len();
    if key.kind == KeyKind::Primary {
        return wide(&format!("the primary key of `{table}`"), width, key.span.clone())
            .help("name those that tell its rows apart, as in `primary_key: [COLUMN, …]`")
            .suggest(&["tables", table], "omit", "its rows are not migrated");
    }
    wide_unique(draft, source, width, key.span.as_ref())
}

/// `span` is where the key stands in the source.
fn wide_unique(draft: &Draft<'_>, source: TableId, width: usize, span: Option<&Span>) -> Diagnostic {
    let described = draft.source.table(source);
    let diagnostic = wide(&format!("a unique key of `{}`", described.name), width, span.cloned())
        .help("leave it out, as in `unique: {KEY: omit}`, or name fewer columns: `unique: {KEY: [COLUMN, …]}`");
    let mut keys = described.unique_keys.iter().map(|&key| draft.source.key(key));
    match keys.find(|key| span.is_some() && key.span.as_ref() == span) {
        Some(key) => {
            let columns = draft.source_columns_text(&key.columns);
            let path = ["tables", &described.name, "unique", key.name.as_deref().unwrap_or(&columns)];
            diagnostic.suggest(&path, "omit", "nothing keeps two such rows apart any more")
        }
        // The tool adds it for a reference, which is as wide.
        None => diagnostic,
    }
}

fn wide_index(draft: &Draft<'_>, source: TableId, index: &Index) -> Diagnostic {
    let table = draft.source.table(source);
    let width = index.parts.len() + index.include.len();
    let is_here = |span: &Option<Span>| index.span.is_some() && *span == index.span;
    let own = table.indexes.iter().map(|&index| draft.source.index(index)).find(|own| is_here(&own.span));
    if own.is_none() && table.unique_keys.iter().any(|&key| is_here(&draft.source.key(key).span)) {
        // Its columns have a collation of SQLite's, so that an index takes its place.
        return wide_unique(draft, source, width, index.span.as_ref());
    }
    let diagnostic = wide(&format!("the index `{}` of `{}`", index.name, table.name), width, index.span.clone());
    let (section, means) = match index.unique {
        true => ("unique", "nothing keeps two such rows apart any more"),
        false => ("indexes", "queries that it served are slower"),
    };
    match own {
        Some(own) => diagnostic
            .help(format!(
                "leave it out, as in `{section}: {{KEY: omit}}`, or name fewer columns: `{section}: {{KEY: [COLUMN, …]}}`"
            ))
            .suggest(&["tables", &table.name, section, &own.name], "omit", means),
        None => diagnostic.help("name fewer columns"),
    }
}

fn wide_foreign_key(draft: &Draft<'_>, source: TableId, id: ForeignKeyId) -> Diagnostic {
    let table = &draft.source.table(source).name;
    let foreign_key = draft.target.foreign_key(id);
    let what = format!("a foreign key of `{table}`");
    let diagnostic = wide(&what, foreign_key.columns.len(), foreign_key.span.clone())
        .help("leave it out, as in `foreign_keys: {KEY: omit}`");
    match draft.source_of_foreign_key(id) {
        Some(own) => {
            let columns = draft.source_columns_text(&draft.source.foreign_key(own).columns);
            let path = ["tables", table, "foreign_keys", &columns];
            diagnostic.suggest(&path, "omit", "nothing refuses a reference that leads nowhere")
        }
        None => diagnostic,
    }
}

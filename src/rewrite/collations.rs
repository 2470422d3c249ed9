//! SQLite's collations, where they are not BINARY: what keys and indexes over such columns compare by.
//!
//! NOCASE takes ASCII letters of either case for the same, and PostgreSQL has nothing of the kind: `lower()` and ICU know
//! all letters, unless `lower()` works under `"C"`. So by default a column becomes plain text, and its keys and indexes
//! compare `lower(column COLLATE "C")`, which accepts and refuses exactly the same values. RTRIM is done alike.

use super::Hazard;
use super::draft::Draft;
use super::expressions::Translator;
use crate::diagnostic::{Diagnostic, Span};
use crate::schema::{ColumnId, Expr, Index, IndexMethod, IndexPart, Key, KeyKind, PgType, TableId};
use crate::spec::{About, CollationEntry, Decision, Origin};

/// The name of the nondeterministic collation that `collation: icu` asks for.
pub const ICU_COLLATION: &str = "nocase";

/// What a column of a key or index is compared by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Compared {
    /// The column as it is.
    Column,
    /// An expression that does what this collation of SQLite's does.
    Folded(String),
    /// The column's bytes, whatever its own type or collation.
    Bytes,
}

/// Returns the collation that a column is declared with, unless it is BINARY.
fn declared<'a>(draft: &Draft<'a>, column: ColumnId) -> Option<&'a str> {
    let source = draft.source;
    source.column(column).collation.as_deref().filter(|name| !name.eq_ignore_ascii_case("binary"))
}

/// Finds what a column is compared by in a key or index that may say COLLATE itself.
pub(super) fn compared(draft: &Draft<'_>, column: ColumnId, explicit: Option<&str>) -> Compared {
    let Some(target) = draft.column_of(column).map(|target| draft.target.column(target)) else {
        return Compared::Column;
    };
    let by_type = target.collation.is_some() || target.data_type == PgType::Citext;
    let is_plain = asked(draft, column) == Some(CollationEntry::Plain);
    match explicit.or_else(|| declared(draft, column).filter(|_| !is_plain)) {
        _ if !target.data_type.is_text() => Compared::Column,
        None => Compared::Column,
        Some(name) if name.eq_ignore_ascii_case("binary") && by_type => Compared::Bytes,
        Some(name) if name.eq_ignore_ascii_case("binary") => Compared::Column,
        Some(name) if by_type && !name.eq_ignore_ascii_case("rtrim") => Compared::Column,
        Some(name) => Compared::Folded(name.to_owned()),
    }
}

fn asked(draft: &Draft<'_>, column: ColumnId) -> Option<CollationEntry> {
    let change = draft.tenancy.table(draft.source.column(column).table).change(column)?;
    change.collation.as_ref().map(|(entry, _)| *entry)
}

/// Makes the unique index that a key needs, where one of its columns is compared by more than its bytes; `None` where
/// the key alone does it. The key stays beside the index where rows are told apart or referred to by it.
pub(super) fn unique_index(draft: &Draft<'_>, table: TableId, key: &Key, columns: &[ColumnId]) -> Option<Index> {
    let translator = Translator::new(draft);
    let mut folds = false;
    let mut parts = Vec::with_capacity(columns.len());
    for &column in columns {
        let from = draft.source.table(key.table).columns.iter().find(|&&from| draft.column_of(from) == Some(column));
        let expr = from.and_then(|&from| translator.value(&Expr::Column(from), key_collation(draft, key, from)).ok());
        let expr = expr.unwrap_or(Expr::Column(column));
        folds |= !matches!(expr, Expr::Column(_));
        parts.push(IndexPart { expr, descending: false, nulls_moved: false, collation: None });
    }
    if !folds {
        return None;
    }
    let stands_beside = stays_beside_index(draft, key);
    let name = || {
        let columns = draft.target.column_names(columns).collect::<Vec<_>>().join("_");
        let kind = if stands_beside { "folded_key" } else { "key" };
        format!("{}_{columns}_{kind}", draft.target.table(table).name)
    };
    let own = key.name.as_deref().filter(|_| !stands_beside).map(|name| draft.name(name));
    Some(Index {
        table,
        name: own.unwrap_or_else(name),
        unique: true,
        parts,
        predicate: None,
        method: IndexMethod::Btree,
        include: Vec::new(),
        span: key.span.clone(),
    })
}

/// Returns the COLLATE clause that a key has for one of its columns.
fn key_collation<'a>(draft: &Draft<'a>, key: &Key, column: ColumnId) -> Option<&'a str> {
    draft.source.unmapped.iter().filter(|clause| clause.span == key.span && clause.columns == [column]).find_map(
        |clause| clause.clause.strip_prefix("UNIQUE COLLATE ").or(clause.clause.strip_prefix("PRIMARY KEY COLLATE ")),
    )
}

/// Says whether a key is needed as such: it is the primary key, or a foreign key refers to it.
pub(super) fn stays_beside_index(draft: &Draft<'_>, key: &Key) -> bool {
    let is_primary = key.kind == KeyKind::Primary;
    is_primary
        || draft.source.foreign_keys.iter().any(|foreign_key| {
            let same = |column: &ColumnId| key.columns.contains(column);
            foreign_key.referenced_table == key.table
                && foreign_key.referenced_columns.len() == key.columns.len()
                && foreign_key.referenced_columns.iter().all(same)
        })
}

/// Shows what became of each collation, and what that can do.
pub(super) fn note(draft: &mut Draft<'_>) {
    for (source, _, _) in draft.migrated() {
        for &column in &draft.source.table(source).columns {
            let Some(collation) = declared(draft, column) else { continue };
            let Some(target) = draft.column_of(column) else { continue };
            let data_type = draft.target.column(target).data_type;
            if data_type.is_text() {
                note_column(draft, source, column, collation, data_type);
            }
        }
    }
}

fn note_column(draft: &mut Draft<'_>, source: TableId, column: ColumnId, collation: &str, data_type: PgType) {
    let described = draft.source.column(column);
    let (name, span) = (described.name.clone(), described.span.clone());
    let is = |known: &str| collation.eq_ignore_ascii_case(known);
    let is_icu = draft.column_of(column).is_some_and(|target| draft.target.column(target).collation.is_some());
    let same = match (is("nocase"), is("rtrim")) {
        (true, _) => "'a' and 'A'",
        (_, true) => "'a' and 'a '",
        _ => "all texts",
    };
    if data_type == PgType::Citext || is_icu {
        let what = if is_icu { "ICU" } else { "citext" };
        let message = format!("`{name}` by {what} takes 'É' and 'é' for the same, which NOCASE does not");
        let help = match is_icu {
            true => "two such values violate a unique key; LIKE does not work on the column before PostgreSQL 18",
            false => {
                "two such values violate a unique key; which letters have two cases is the database's locale's word"
            }
        };
        draft.hazards.push(Hazard {
            code: "collation-merges-more",
            table: source,
            message,
            help: help.to_owned(),
            span,
        });
        return;
    }
    let asked = asked(draft, column);
    if asked == Some(CollationEntry::Plain) {
        let message = format!("`{name}` tells {same} apart, which {collation} need not do");
        let help = "unique keys accept both from now on, and queries find only the one that they name";
        draft.hazards.push(Hazard { code: "collation-dropped", table: source, message, help: help.to_owned(), span });
        note_references(draft, source, column);
        return;
    }
    if !is("nocase") && !is("rtrim") {
        draft.error(undecided(draft, source, column, collation, span));
        return;
    }
    if asked.is_none() {
        let alternatives: &[&str] = match is("nocase") {
            true => &["{type: citext}", "{collation: icu}", "{collation: plain}"],
            false => &["{collation: plain}"],
        };
        draft.decisions.push(Decision {
            table: source,
            about: About::Column(name.clone()),
            choice: "{collation: keys}".to_owned(),
            origin: Origin::Inferred(format!("declared COLLATE {collation}")),
            alternatives: alternatives.iter().map(|&text| text.to_owned()).collect(),
        });
    }
    let folded = if is("nocase") { format!("lower({name} COLLATE \"C\")") } else { format!("rtrim({name}, ' ')") };
    let message = format!("`{name}` takes {same} for the same in keys and indexes, no longer in queries");
    let help = format!("let queries that look for it, and ON CONFLICT, say {folded}, which its indexes are made of");
    draft.hazards.push(Hazard { code: "collation-in-keys-only", table: source, message, help, span });
    note_references(draft, source, column);
}

/// A foreign key compares by the parent's collation in SQLite, and byte by byte in PostgreSQL.
fn note_references(draft: &mut Draft<'_>, source: TableId, column: ColumnId) {
    let mut found = Vec::new();
    for foreign_key in draft.source.foreign_keys.iter().filter(|key| key.referenced_columns.contains(&column)) {
        if draft.table_of(foreign_key.table).is_none() {
            continue;
        }
        let child = &draft.source.table(foreign_key.table).name;
        let columns = draft.source_columns_text(&foreign_key.columns);
        found.push(Hazard {
            code: "collation-reference",
            table: source,
            message: format!(
                "`{child}` ({columns}) may refer to `{}` in another spelling, which PostgreSQL refuses",
                draft.source.column(column).name
            ),
            help: "let the referring rows spell the key as it is, or choose `type: citext`".to_owned(),
            span: foreign_key.span.clone(),
        });
    }
    draft.hazards.extend(found);
}

fn undecided(draft: &Draft<'_>, source: TableId, column: ColumnId, collation: &str, span: Option<Span>) -> Diagnostic {
    let (table, name) = (&draft.source.table(source).name, &draft.source.column(column).name);
    Diagnostic::error(
        "undecided-collation",
        format!("`{table}.{name}` has the collation {collation}, which the application defines itself"),
    )
    .label_opt(span, "declared here")
    .help(format!("PostgreSQL does not know it; decide under `{table}:`\n  columns: {{{name}: {{collation: plain}}}}"))
    .suggest(
        &["tables", table, "columns", name, "collation"],
        "plain",
        "compares as any text: what was the same in another spelling is two values",
    )
}

//! Compares what was read from a statement's text with what SQLite's pragmas say of the same object.
//!
//! A difference is a fault of this program, not of the schema: it is reported with the statement, never papered over.

use super::clauses::{ForeignKeyClause, TableClauses};
use super::index_clauses::IndexClauses;
use super::pragmas::{ColumnFacts, ForeignKeyFacts, IndexFacts, IndexOrigin, TableFacts};
use super::token::{TokenKind, tokenize};
use crate::schema::KeyKind;
use std::collections::BTreeSet;

/// Says in which respect a table's text and pragmas disagree; `None` where they agree.
pub(super) fn table_disagreement(text: &str, clauses: &TableClauses, facts: &TableFacts) -> Option<String> {
    if clauses.columns.len() != facts.columns.len() {
        return Some(format!("{} columns in the text, {} in SQLite", clauses.columns.len(), facts.columns.len()));
    }
    let in_key = facts.without_rowid || facts.strict;
    for (clause, fact) in clauses.columns.iter().zip(&facts.columns) {
        let implied = in_key && fact.primary_key > 0;
        let default = clause.default.clone().and_then(|range| text.get(range));
        let agree = clause.name == fact.name
            && same_type(&clause.declared, &fact.declared)
            && (clause.not_null || implied) == (fact.not_null || implied)
            && (same_tokens(default, fact.default.as_deref()) || clause.generated.is_some())
            && clause.generated.as_ref().map(|(_, stored)| *stored) == fact.generated;
        if !agree {
            return Some(format!(
                "column \"{}\" reads as {clause:?} in the text, {} in SQLite",
                clause.name,
                shown(fact)
            ));
        }
    }
    if (clauses.without_rowid, clauses.strict) != (facts.without_rowid, facts.strict) {
        return Some("the table's options differ".into());
    }
    keys_disagreement(clauses, facts).or_else(|| foreign_keys_disagreement(&clauses.foreign_keys, &facts.foreign_keys))
}

/// SQLite keeps the comments at the ends of a default in parentheses.
fn same_tokens(written: Option<&str>, kept: Option<&str>) -> bool {
    let tokens = |text: &str| tokenize(text).map(|token| token.text(text).to_owned()).collect::<Vec<_>>();
    written.map(tokens) == kept.map(tokens)
}

fn shown(fact: &ColumnFacts) -> String {
    format!("{fact:?}")
}

/// SQLite spells the commonest types in upper case, and of a type that starts with a quote it keeps what is quoted.
fn same_type(written: &str, kept: &str) -> bool {
    let mut tokens = tokenize(written);
    let quoted = tokens.next().filter(|first| matches!(first.kind, TokenKind::Quoted | TokenKind::String));
    quoted.map_or_else(|| written.to_owned(), |first| first.name(written)).eq_ignore_ascii_case(kept)
}

fn keys_disagreement(clauses: &TableClauses, facts: &TableFacts) -> Option<String> {
    let lower = |names: Vec<&str>| {
        let mut kept: Vec<String> = Vec::new();
        for name in names.into_iter().map(str::to_ascii_lowercase) {
            if !kept.contains(&name) {
                kept.push(name);
            }
        }
        kept
    };
    let alias =
        facts.rowid_alias().and_then(|position| facts.columns.get(position)).map(|column| lower(vec![&column.name]));
    let written: BTreeSet<_> = clauses
        .keys
        .iter()
        .map(|key| lower(key.columns.iter().map(|part| part.column.as_str()).collect()))
        .filter(|columns| Some(columns) != alias.as_ref())
        .collect();
    let kept: BTreeSet<_> = facts
        .indexes
        .iter()
        .filter(|index| index.origin != IndexOrigin::Created)
        .map(|index| lower(index.parts.iter().filter_map(|part| part.column.as_deref()).collect()))
        .filter(|columns| Some(columns) != alias.as_ref())
        .collect();
    if written != kept {
        return Some(format!("keys {written:?} in the text, {kept:?} in SQLite"));
    }
    let primary = clauses.keys.iter().find(|key| key.kind == KeyKind::Primary);
    let primary = primary.map(|key| lower(key.columns.iter().map(|part| part.column.as_str()).collect()));
    let kept = lower(facts.primary_key());
    (primary.clone().unwrap_or_default() != kept)
        .then(|| format!("primary key {primary:?} in the text, {kept:?} in SQLite"))
}

fn foreign_keys_disagreement(written: &[ForeignKeyClause], kept: &[ForeignKeyFacts]) -> Option<String> {
    let same = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
    let all_same = |a: &[String], b: &[String]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b));
    let agree = written.len() == kept.len()
        && written.iter().zip(kept).all(|(clause, fact)| {
            let referenced: Vec<String> = fact.referenced.iter().flatten().cloned().collect();
            same(&clause.table, &fact.table)
                && all_same(&clause.columns, &fact.columns)
                && all_same(&clause.referenced, &referenced)
                && (clause.on_delete, clause.on_update) == (fact.on_delete, fact.on_update)
        });
    (!agree).then(|| format!("foreign keys {written:?} in the text, {kept:?} in SQLite"))
}

/// Says in which respect an index's text and pragmas disagree; `None` where they agree. `columns` are the columns that
/// the text's parts stand for, `None` for an expression; `collations` what each part is ordered by.
pub(super) fn index_disagreement(
    clauses: &IndexClauses,
    columns: &[Option<&str>],
    collations: &[&str],
    facts: &IndexFacts,
) -> Option<String> {
    let agree = clauses.parts.len() == facts.parts.len()
        && clauses.predicate.is_some() == facts.partial
        && facts.parts.iter().enumerate().all(|(position, fact)| {
            clauses.parts.get(position).is_some_and(|clause| clause.descending == fact.descending)
                && columns.get(position).is_some_and(|column| *column == fact.column.as_deref())
                && collations.get(position).is_some_and(|collation| collation.eq_ignore_ascii_case(&fact.collation))
        });
    (!agree).then(|| format!("{clauses:?} over {columns:?} by {collations:?} in the text, {facts:?} in SQLite"))
}

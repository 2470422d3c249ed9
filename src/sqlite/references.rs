//! Finds what a foreign key refers to, by SQLite's rules for a parent key.
//!
//! SQLite accepts a foreign key whatever it names and complains when rows change. A parent key is the primary key, or
//! columns with a unique index of their own: not partial, over plain columns, each with the collation of its column
//! (<https://sqlite.org/foreignkeys.html#fk_indexes>).

use super::pragmas::{ForeignKeyFacts, IndexOrigin, TableFacts};
use crate::ident::visible;
use crate::schema::{ColumnId, SourceSchema, TableId};
use std::collections::BTreeMap;

/// Tables by name in lower case, with their facts.
pub(super) type TablesByName = BTreeMap<String, (TableId, TableFacts)>;

/// Returns the table and columns that a foreign key refers to, or what is missing as a fragment.
pub(super) fn resolve(
    key: &ForeignKeyFacts,
    tables: &TablesByName,
    schema: &SourceSchema,
) -> Result<(TableId, Vec<ColumnId>), String> {
    let Some((parent, facts)) = tables.get(&key.table.to_ascii_lowercase()) else {
        let is_view = schema.others.iter().any(|other| other.name.eq_ignore_ascii_case(&key.table));
        return Err(if is_view { "not a table".into() } else { "no such table".into() });
    };
    let primary_key = facts.primary_key();
    let names: Vec<&str> = if key.referenced.iter().any(Option::is_none) {
        if primary_key.is_empty() {
            return Err("the table has no primary key".into());
        }
        if primary_key.len() != key.columns.len() {
            let (own, theirs) = (key.columns.len(), primary_key.len());
            return Err(format!("the primary key has {theirs} columns, the reference {own}"));
        }
        primary_key.clone()
    } else {
        key.referenced.iter().flatten().map(String::as_str).collect()
    };
    let mut columns = Vec::with_capacity(names.len());
    for name in &names {
        match schema.find_column(*parent, name) {
            Some(column) => columns.push(column),
            None => return Err(format!("no such column \"{}\"", visible(name))),
        }
    }
    if is_parent_key(&names, &primary_key, *parent, facts, schema) {
        Ok((*parent, columns))
    } else {
        Err("the key is not unique".into())
    }
}

fn is_parent_key(
    names: &[&str],
    primary_key: &[&str],
    parent: TableId,
    facts: &TableFacts,
    schema: &SourceSchema,
) -> bool {
    let is_alias = facts.rowid_alias().is_some() && names.len() == 1 && names[0].eq_ignore_ascii_case(primary_key[0]);
    is_alias
        || facts.indexes.iter().any(|index| {
            let is_named = |column: &str| names.iter().any(|name| name.eq_ignore_ascii_case(column));
            let same_set = index.parts.len() == names.len()
                && index.parts.iter().all(|part| part.column.as_deref().is_some_and(is_named));
            let default_collations = index.parts.iter().all(|part| {
                let column = part.column.as_deref().and_then(|name| schema.find_column(parent, name));
                let own = column.and_then(|column| schema.column(column).collation.as_deref()).unwrap_or("BINARY");
                part.collation.eq_ignore_ascii_case(own)
            });
            let unique = index.unique || index.origin == IndexOrigin::PrimaryKey;
            unique && !index.partial && same_set && default_collations
        })
}

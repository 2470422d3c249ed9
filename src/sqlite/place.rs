//! Finds where each object's statement stands in the text that it was loaded from.

use super::pragmas::SchemaRow;
use super::statements::split;
use crate::diagnostic::{SourceId, Sources, Span};
use crate::ident::visible;
use std::collections::BTreeMap;
use std::ops::Range;

/// A row of `sqlite_schema` and where its statement stands.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    /// The row.
    pub row: SchemaRow,
    /// Position of the database that it was read from.
    pub database: usize,
    /// The statement from the object's name on.
    pub text: String,
    /// The text that holds it.
    pub source: SourceId,
    /// Byte offset of [`Self::text`] in that text.
    pub offset: usize,
}

impl Placed {
    /// Builds the span of a stretch of [`Self::text`].
    pub fn span(&self, range: &Range<usize>) -> Span {
        Span::new(self.source, self.offset + range.start..self.offset + range.end)
    }
}

/// Where a CREATE statement names its object and where it ends.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    /// The text that holds it.
    pub source: SourceId,
    /// From the name's start on.
    pub range: Range<usize>,
}

/// CREATE statements by kind and name, in order.
pub(super) type Origins = BTreeMap<(String, String), Vec<Origin>>;

/// Builds the key of an object in [`Origins`].
pub(super) fn key(kind: &str, name: &str) -> (String, String) {
    (kind.to_owned(), name.to_ascii_lowercase())
}

/// Returns a statement from the object's name on, as SQLite keeps it whatever stood before.
fn from_name(sql: &str) -> Option<usize> {
    let statement = split(sql).next()?;
    let created = statement.created(sql)?;
    statement.tokens.get(created.name).map(|name| name.range.start)
}

/// Finds each row's statement in the text that it was loaded from, and puts the rows into the order of that text.
///
/// Those that ALTER TABLE has changed get a text of their own, and keep their place among the others.
pub(super) fn place(rows: Vec<(usize, SchemaRow)>, origins: &Origins, sources: &mut Sources) -> Vec<Placed> {
    let mut changed = Vec::new();
    let mut placed: Vec<((SourceId, usize), Placed)> = Vec::new();
    for (database, row) in rows {
        let text = from_name(&row.sql).and_then(|start| row.sql.get(start..)).unwrap_or(&row.sql).to_owned();
        let found = origins.get(&key(&row.kind, &row.name)).into_iter().flatten().rev().find(|origin| {
            let source = sources.get(origin.source).and_then(|source| source.text.get(origin.range.clone()));
            source.is_some_and(|written| written.starts_with(&text))
        });
        match found {
            Some(origin) => {
                let (source, offset) = (origin.source, origin.range.start);
                placed.push(((source, offset), Placed { row, database, text, source, offset }));
            }
            None => {
                // Behind the object that SQLite lists before it; a new name has no place in the text.
                let before = placed.last().map_or((SourceId(0), 0), |(place, _)| *place);
                changed.push((before, database, row));
            }
        }
    }
    if !changed.is_empty() {
        let mut before = Vec::new();
        let mut rows = Vec::new();
        for (place, database, row) in changed {
            before.push(place);
            rows.push((database, row));
        }
        let synthesized = place_in_own_text("the schema after its ALTER statements", rows, sources);
        placed.extend(before.into_iter().zip(synthesized));
    }
    placed.sort_by_key(|(place, _)| *place);
    placed.into_iter().map(|(_, placed)| placed).collect()
}

/// Writes rows into one new text, which their spans then count in.
pub(super) fn place_in_own_text(name: &str, rows: Vec<(usize, SchemaRow)>, sources: &mut Sources) -> Vec<Placed> {
    let mut text = String::new();
    let mut starts = Vec::with_capacity(rows.len());
    for (_, row) in &rows {
        starts.push(text.len());
        text.push_str(&row.sql);
        text.push_str(";\n\n");
    }
    let source = sources.add(visible(name), text);
    rows.into_iter()
        .zip(starts)
        .map(|((database, row), start)| {
            let skip = from_name(&row.sql).unwrap_or(0);
            let text = row.sql.get(skip..).unwrap_or_default().to_owned();
            Placed { row, database, text, source, offset: start + skip }
        })
        .collect()
}

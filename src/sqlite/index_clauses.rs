//! Reads what only the text of a CREATE INDEX has: expressions, collations and the WHERE clause.

use super::key_parts::take_collations;
use super::reader::{Reader, Unreadable};
use std::ops::Range;

/// The clauses of a CREATE INDEX. All ranges are byte offsets in its text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct IndexClauses {
    /// Where its name stands.
    pub name: Range<usize>,
    /// What it orders by.
    pub parts: Vec<IndexPartClause>,
    /// Where the WHERE expression stands.
    pub predicate: Option<Range<usize>>,
}

/// One column or expression of an index.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct IndexPartClause {
    /// Where the expression stands, without COLLATE and direction.
    pub expr: Range<usize>,
    /// COLLATE.
    pub collation: Option<String>,
    /// DESC.
    pub descending: bool,
    /// Whether a text in place of the expression is a column's name.
    pub text_is_column: bool,
}

/// Reads the clauses of a CREATE INDEX from its name on: `name ON table (parts) WHERE predicate`.
pub(super) fn read_index(text: &str) -> Result<IndexClauses, Unreadable> {
    let mut reader = Reader::new(text);
    let (_, name) = reader.name()?;
    reader.expect(&["ON"], "ON")?;
    reader.name()?;
    let list = reader.parenthesised()?;
    let parts = reader.within(&list).split_at_commas().into_iter().map(read_part).collect();
    let predicate = reader.eat(&["WHERE"]).then(|| reader.range());
    if predicate.is_none() && reader.peek(0).is_some() {
        return Err(reader.unreadable("WHERE"));
    }
    Ok(IndexClauses { name, parts, predicate })
}

fn read_part(mut part: Reader<'_>) -> IndexPartClause {
    let _ = part.eat_from_end(&["NULLS", "FIRST"]) || part.eat_from_end(&["NULLS", "LAST"]);
    let descending = part.eat_from_end(&["DESC"]);
    let _ = descending || part.eat_from_end(&["ASC"]);
    let collations = take_collations(&mut part);
    // SQLite takes a text for a column's name, also one with a COLLATE, but not one with two.
    let text_is_column = collations.len() < 2;
    let collation = collations.into_iter().next();
    IndexPartClause { expr: part.range(), collation, descending, text_is_column }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_and_predicate_come_apart() {
        let text = "'i' ON t(a, \"b\" COLLATE nocase DESC, lower(c, d) ASC, desc) WHERE a > 1 AND b IS NULL";
        let index = read_index(text).unwrap();
        let parts: Vec<_> =
            index.parts.iter().map(|p| (&text[p.expr.clone()], p.collation.as_deref(), p.descending)).collect();
        assert_eq!(
            parts,
            [("a", None, false), ("\"b\"", Some("nocase"), true), ("lower(c, d)", None, false), ("desc", None, false)]
        );
        assert_eq!(index.predicate.map(|range| &text[range]), Some("a > 1 AND b IS NULL"));
        assert!(read_index("i ON t(a) WHENCE").is_err());
    }
}

//! Indexes that the schema does not have: made as the spec says, never prefixed.

use super::super::file_objects::{IndexBody, IndexEntry};
use super::super::tenancy::{About, NewIndex, Order, Origin, UNSAID};
use super::key_parts::Added;
use super::keys::list_text;
use super::{Entries, Resolver};
use crate::diagnostic::Diagnostic;
use crate::schema::{IndexMethod, TableId};

impl<'a> Resolver<'a> {
    /// Reads the new indexes of a table.
    pub(super) fn new_indexes(&mut self, entries: &Entries<'a>, table: TableId, added: &Added<'_>) -> Vec<NewIndex> {
        let Some(body) = self.body(entries, table) else { return Vec::new() };
        let new = body.indexes.iter().filter_map(|(name, entry)| match entry {
            IndexEntry::New(index) => Some((name, index)),
            IndexEntry::Key(_) => None,
        });
        new.filter_map(|(name, index)| self.new_index(entries, table, added, name, index)).collect()
    }

    fn new_index(
        &mut self,
        entries: &Entries<'a>,
        table: TableId,
        added: &Added<'_>,
        name: &str,
        index: &IndexBody,
    ) -> Option<NewIndex> {
        let span = self.span(table, &["indexes", name]);
        if let Some(present) = self.schema.indexes.iter().find(|index| index.name.eq_ignore_ascii_case(name)) {
            self.error(
                Diagnostic::error("index-exists", format!("the schema has an index `{name}` already"))
                    .label(span, "a new index needs a name of its own")
                    .label_opt(present.span.clone(), "the index")
                    .help(format!(
                        "choose another name, or decide the index itself: `indexes: {{{name}: [COLUMN, …]}}`"
                    )),
            );
            return None;
        }
        let path = ["tables", self.spec_key(table), "indexes", name];
        let place = |key| self.spans.value(&[path[0], path[1], path[2], path[3], key]);
        let (columns_place, include_place, using_place) = (place("columns"), place("include"), place("using"));
        let (names, orders): (Vec<&str>, Vec<Order>) = index.columns.iter().map(|text| order(text)).unzip();
        let parts = self.key_parts(entries, table, added, names, &columns_place);
        let include = match &index.include[..] {
            [] => Some(Vec::new()),
            names => self.key_parts(entries, table, added, names.iter().map(String::as_str), &include_place),
        };
        if let Some(predicate) = &index.predicate {
            self.postgres_text(predicate, &[path[0], path[1], path[2], path[3], "where"]);
        }
        let method = index.using;
        let refusal = match method {
            IndexMethod::Btree => None,
            _ if index.unique => Some("only a btree index can be unique"),
            _ if orders.iter().any(|&order| order != Order::default()) => Some("only a btree index has an order"),
            IndexMethod::Hash if parts.as_ref().is_some_and(|parts| parts.len() > 1) => {
                Some("a hash index has one column")
            }
            _ if !index.include.is_empty() && !method.can_include() => Some("such an index cannot carry other columns"),
            _ => None,
        };
        if let Some(refusal) = refusal {
            self.error(
                Diagnostic::error("index-method", format!("`{name}` cannot use {}: {refusal}", method.name()))
                    .label(using_place, "this method")
                    .help("change what the index asks for, or leave `using` out"),
            );
        }
        let origin = Origin::Spec(span.clone());
        let unique = if index.unique { "unique " } else { "" };
        let predicate = index.predicate.as_deref().map(|text| format!(" where {text}")).unwrap_or_default();
        let using = if method == IndexMethod::Btree { String::new() } else { format!(" using {}", method.name()) };
        let carries = match &index.include[..] {
            [] => String::new(),
            names => format!(" include {}", list_text(names)),
        };
        let choice = format!("new {unique}{}{using}{carries}{predicate}", list_text(&index.columns));
        self.decide(table, About::Index(name.to_owned()), &choice, origin, &[UNSAID]);
        Some(NewIndex {
            name: name.to_owned(),
            parts: parts?.into_iter().zip(orders).collect(),
            predicate: index.predicate.clone(),
            unique: index.unique,
            method,
            include: include?,
            span,
        })
    }
}

/// Parts a column from what stands behind it: ASC or DESC, then NULLS FIRST or NULLS LAST.
fn order(text: &str) -> (&str, Order) {
    let text = text.trim();
    let nulls =
        without(text, "last").map(|rest| (rest, true)).or_else(|| without(text, "first").map(|rest| (rest, false)));
    let nulls = nulls.and_then(|(rest, last)| Some((without(rest, "nulls")?, last)));
    let (text, nulls_last) = nulls.map_or((text, None), |(rest, last)| (rest, Some(last)));
    let (name, descending) = match (without(text, "desc"), without(text, "asc")) {
        (Some(name), _) => (name, true),
        (None, Some(name)) => (name, false),
        (None, None) => (text, false),
    };
    // PostgreSQL takes NULLs for larger than all else.
    (name, Order { descending, nulls_moved: nulls_last.is_some_and(|last| last == descending) })
}

/// Takes a word away from the end, where a name is left in front of it.
fn without<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let (rest, last) = text.rsplit_once(char::is_whitespace)?;
    last.eq_ignore_ascii_case(word).then(|| rest.trim_end())
}

#[cfg(test)]
mod tests {
    use super::{Order, order};

    #[test]
    fn an_order_stands_behind_the_column() {
        let expected = |descending, nulls_moved| Order { descending, nulls_moved };
        for (text, name, order_of) in [
            ("a", "a", expected(false, false)),
            ("a asc", "a", expected(false, false)),
            ("  a  DESC ", "a", expected(true, false)),
            ("a DESC NULLS LAST", "a", expected(true, true)),
            ("a desc nulls first", "a", expected(true, false)),
            ("a NULLS FIRST", "a", expected(false, true)),
            ("a ASC  NULLS  LAST", "a", expected(false, false)),
            ("order of last", "order of last", expected(false, false)),
            ("desc", "desc", expected(false, false)),
            ("nulls last", "nulls last", expected(false, false)),
        ] {
            assert_eq!(order(text), (name, order_of), "{text}");
        }
    }
}

//! Names in the spec → objects of the schema, with the nearest name as help.

use super::{Entries, Resolver};
use crate::diagnostic::{Diagnostic, Span, nearest};
use crate::schema::{ColumnId, SourceSchema, TableId};
use std::collections::BTreeMap;

/// What a KEY of the spec can name: an object with an optional name of its own and its columns.
pub(super) struct Candidate<I> {
    pub id: I,
    pub name: Option<String>,
    pub columns: Vec<ColumnId>,
}

impl<'a> Resolver<'a> {
    /// Pairs the spec's `tables:` with the schema's.
    pub(super) fn table_entries(&mut self) -> Entries<'a> {
        let mut entries = Entries::new();
        let lower = |table| self.schema.table(table).name.to_ascii_lowercase();
        let tables: BTreeMap<String, TableId> =
            self.schema.table_ids().rev().map(|table| (lower(table), table)).collect();
        for (name, entry) in &self.file.tables {
            let span = self.spans.key(&["tables", name]);
            match tables.get(&name.to_ascii_lowercase()) {
                Some(&table) => {
                    if entries.insert(table, entry).is_some() {
                        self.error(
                            Diagnostic::error(
                                "duplicate-table",
                                format!("`{name}` names a table that has an entry already"),
                            )
                            .label(span, "again, in another case")
                            .help("SQLite's names are the same in upper and lower case: merge the two entries"),
                        );
                    }
                }
                None if self.is_virtual_table(name) => {}
                None => {
                    let error = self.unknown_table(name).label(span, "no such table");
                    self.error(error);
                }
            }
        }
        entries
    }

    pub(super) fn unknown_table(&self, name: &str) -> Diagnostic {
        unknown_table(self.schema, name)
    }

    pub(super) fn find_column(&mut self, table: TableId, name: &str, span: Span) -> Option<ColumnId> {
        let found = self.schema.find_column(table, name);
        if found.is_none() {
            let columns = &self.schema.table(table).columns;
            let help = match nearest(name, self.schema.column_names(columns)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("its columns: {}", self.columns_text(columns)),
            };
            let message = format!("`{}` has no column `{name}`", self.name(table));
            self.error(Diagnostic::error("unknown-column", message).label(span, "no such column").help(help));
        }
        found
    }

    /// Finds the object that a KEY names: by its name, or by its columns in order, as in "a, b".
    pub(super) fn find_key<I: Copy>(
        &mut self,
        table: TableId,
        kind: &str,
        key: &str,
        candidates: &[Candidate<I>],
        span: Span,
    ) -> Option<I> {
        let matches: Vec<&Candidate<I>> = candidates
            .iter()
            .filter(|candidate| {
                candidate.name.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(key))
                    || self.names_columns(&candidate.columns, key)
            })
            .collect();
        match matches[..] {
            [only] => Some(only.id),
            [] => {
                let shown: Vec<String> = candidates.iter().map(|candidate| self.candidate_text(candidate)).collect();
                let help = match nearest(key, shown.iter().map(String::as_str)) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if shown.is_empty() => format!("`{}` has no {kind}", self.name(table)),
                    None => format!("it has: {}", shown.join("; ")),
                };
                let message = format!("`{}` has no {kind} `{key}`", self.name(table));
                self.error(Diagnostic::error("unknown-object", message).label(span, "names nothing").help(help));
                None
            }
            _ => {
                let names: Vec<&str> = matches.iter().filter_map(|candidate| candidate.name.as_deref()).collect();
                let message = format!("`{key}` names more than one {kind} of `{}`", self.name(table));
                self.error(Diagnostic::error("ambiguous-object", message).label(span, "ambiguous").help(
                    if names.is_empty() {
                        "they have the same columns and no names of their own: give them names in the DDL".to_owned()
                    } else {
                        format!("use the name: {}", names.join(", "))
                    },
                ));
                None
            }
        }
    }

    /// Says whether a KEY names columns, in their order. A name may hold commas itself.
    pub(super) fn names_columns(&self, columns: &[ColumnId], key: &str) -> bool {
        let all = self.columns_text(columns);
        let parts = |text| str::split(text, ',').map(str::trim);
        let same = |(one, other): (&str, &str)| one.eq_ignore_ascii_case(other);
        !columns.is_empty() && parts(&all).count() == parts(key).count() && parts(&all).zip(parts(key)).all(same)
    }

    /// Returns how the spec would name an object: its columns, or its name where it has no plain columns.
    pub(super) fn candidate_text<I>(&self, candidate: &Candidate<I>) -> String {
        match &candidate.name {
            Some(name) if candidate.columns.is_empty() => name.clone(),
            _ => self.columns_text(&candidate.columns),
        }
    }
}

/// Builds the error for a name that no table has, without its place.
pub fn unknown_table(schema: &SourceSchema, name: &str) -> Diagnostic {
    let names = schema.tables.iter().map(|table| table.name.as_str());
    let diagnostic = Diagnostic::error("unknown-table", format!("the schema has no table `{name}`"));
    match nearest(name, names.clone()) {
        Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
        None if names.clone().count() <= 20 => {
            diagnostic.help(format!("its tables: {}", names.collect::<Vec<_>>().join(", ")))
        }
        None => diagnostic,
    }
}

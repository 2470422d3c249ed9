//! `types:` at the top: a PostgreSQL type for all columns declared with one of SQLite's.

use super::Resolver;
use super::header::unknown_type;
use crate::diagnostic::{Diagnostic, nearest};
use crate::schema::{ColumnId, Declared, PgType};
use std::collections::BTreeMap;

impl Resolver<'_> {
    /// Finds the columns that `types:` speaks of. An entry with arguments, as `DECIMAL(10,2)`, goes before one without.
    pub(super) fn declared_types(&mut self) -> BTreeMap<ColumnId, PgType> {
        let mut exact = BTreeMap::new();
        let mut by_words = BTreeMap::new();
        for (declared, text) in &self.file.types {
            let Some(data_type) = PgType::parse(text) else {
                self.error(unknown_type(text).label(self.spans.value(&["types", declared]), "this type"));
                continue;
            };
            let (words, arguments) = Declared(declared.clone()).words_and_arguments();
            if !self.schema.columns.iter().any(|column| matches(&column.data_type, &words, &arguments)) {
                let known = self.schema.columns.iter().map(|column| column.data_type.0.as_str());
                let diagnostic =
                    Diagnostic::error("unknown-declared-type", format!("no column is declared `{declared}`"))
                        .label(self.spans.key(&["types", declared]), "no such type in the DDL");
                self.error(match nearest(declared, known) {
                    Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
                    None => diagnostic.help("leave it out, or write the type as the DDL does"),
                });
            }
            if arguments.is_empty() {
                by_words.insert(words, data_type);
            } else {
                exact.insert((words, arguments), data_type);
            }
        }
        let columns = (0..self.schema.columns.len() as u32).map(ColumnId);
        columns
            .filter_map(|id| {
                let key = self.schema.column(id).data_type.words_and_arguments();
                let data_type = exact.get(&key).or_else(|| by_words.get(&key.0))?;
                Some((id, *data_type))
            })
            .collect()
    }
}

fn matches(declared: &Declared, words: &str, arguments: &[i64]) -> bool {
    let (own_words, own_arguments) = declared.words_and_arguments();
    own_words == words && (arguments.is_empty() || own_arguments == arguments)
}

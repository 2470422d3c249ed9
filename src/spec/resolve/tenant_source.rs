//! What the spec says of a table's tenants, with every name looked up.

use super::super::source_entry::SourceEntry;
use super::super::tenant_source::TenantSource;
use super::super::yaml_text::yaml_text;
use super::Resolver;
use crate::diagnostic::{Diagnostic, Span, nearest};
use crate::schema::{ForeignKeyId, TableId};
use std::collections::BTreeMap;

/// The sources that a table names, in their order.
pub(super) struct Wanted {
    pub sources: Vec<TenantSource>,
    /// Where they find nothing, the one foreign-key path does.
    pub infer: bool,
}

impl Resolver<'_> {
    /// Looks up a table's source; `None` after an error. `path` leads to it in the spec.
    pub(super) fn wanted(&mut self, table: TableId, entry: &SourceEntry, path: &[String]) -> Option<Wanted> {
        let mut wanted = Wanted { sources: Vec::new(), infer: false };
        let entries: Vec<(&SourceEntry, Vec<String>)> = match entry {
            SourceEntry::First(list) => {
                let at = |position: usize| [path, &["first".to_owned(), position.to_string()]].concat();
                list.iter().enumerate().map(|(position, entry)| (entry, at(position))).collect()
            }
            entry => vec![(entry, path.to_vec())],
        };
        let last = entries.len() - 1;
        let mut failed = false;
        for (position, (entry, path)) in entries.iter().enumerate() {
            match entry {
                SourceEntry::Infer if position == last => wanted.infer = true,
                SourceEntry::Infer | SourceEntry::Require | SourceEntry::First(_) => {
                    self.error(
                        Diagnostic::error(
                            "source-in-first",
                            "`first` takes neither `require` nor another `first`, and `infer` only at its end",
                        )
                        .label(self.spans.value(path), "not here")
                        .help("write the sources into one list, in the order in which they are tried"),
                    );
                    failed = true;
                }
                entry => match self.source(table, entry, path) {
                    Some(source) => wanted.sources.push(source),
                    None => failed = true,
                },
            }
        }
        if failed {
            return None;
        }
        let schema = self.schema;
        let to_itself = |source: &&TenantSource| matches!(source, TenantSource::Via(id) if schema.foreign_key(*id).is_self_reference());
        let trees = wanted.sources.iter().filter(to_itself).count();
        if trees > 1 {
            self.error(
                Diagnostic::error(
                    "via-self",
                    format!("`{}` gets its tenant through itself in two ways", self.name(table)),
                )
                .label(self.spans.value(path), "two self-references")
                .help("name the one foreign key that makes the tree"),
            );
            return None;
        }
        // A tree alone leads nowhere: its roots get their tenant by the path that is left.
        wanted.infer |= trees == wanted.sources.len();
        Some(wanted)
    }

    fn source(&mut self, table: TableId, entry: &SourceEntry, path: &[String]) -> Option<TenantSource> {
        let below = |key: &str| [path, &[key.to_owned()]].concat();
        Some(match entry {
            SourceEntry::Column(name) => {
                let span = self.spans.value(&below("column"));
                TenantSource::Column(self.find_column(table, name, span)?)
            }
            SourceEntry::Via(key) => {
                let candidates = self.foreign_key_candidates(table);
                let span = self.spans.value(&below("via"));
                TenantSource::Via(self.find_key(table, "foreign key", key, &candidates, span)?)
            }
            SourceEntry::UsedBy { references, several } => {
                let names = below("used_by");
                let found: Vec<Option<ForeignKeyId>> = references
                    .iter()
                    .enumerate()
                    .map(|(position, name)| {
                        let span = self.spans.value(&[&names[..], &[position.to_string()]].concat());
                        self.user(table, name, span)
                    })
                    .collect();
                TenantSource::UsedBy { references: found.into_iter().collect::<Option<_>>()?, several: *several }
            }
            SourceEntry::By { column, key, cases } => {
                let column = self.find_column(table, column, self.spans.value(&below("by")));
                let key = self.find_column(table, key, self.spans.value(&below("key")));
                let cases = self.cases(cases, &below("cases"));
                TenantSource::By { column: column?, key: key?, cases: cases? }
            }
            SourceEntry::PerRun => TenantSource::PerRun,
            SourceEntry::Every => TenantSource::Every,
            SourceEntry::Constant(text) => TenantSource::Constant(text.clone()),
            SourceEntry::Sql(text) => TenantSource::Sql(text.clone()),
            SourceEntry::Infer | SourceEntry::Require | SourceEntry::First(_) => return None,
        })
    }

    /// Finds the foreign key of another table that `TABLE.COLUMN` names.
    fn user(&mut self, table: TableId, name: &str, span: Span) -> Option<ForeignKeyId> {
        let users: Vec<(String, ForeignKeyId)> = self
            .schema
            .foreign_keys
            .iter()
            .enumerate()
            .filter(|(_, foreign_key)| foreign_key.referenced_table == table && !foreign_key.is_self_reference())
            .map(|(position, foreign_key)| {
                let text = format!("{}.{}", self.name(foreign_key.table), self.columns_text(&foreign_key.columns));
                (text, ForeignKeyId(position as u32))
            })
            .collect();
        let found: Vec<ForeignKeyId> =
            users.iter().filter(|(text, _)| text.eq_ignore_ascii_case(name.trim())).map(|(_, id)| *id).collect();
        if let [found] = found[..] {
            return Some(found);
        }
        let here = self.name(table);
        let texts = || users.iter().map(|(text, _)| text.as_str());
        let help = match nearest(name, texts()) {
            Some(near) if found.is_empty() => format!("did you mean `{near}`?"),
            _ if users.is_empty() => format!("no other table has a foreign key to `{here}`"),
            _ => format!("these refer to it: {}", texts().collect::<Vec<_>>().join(", ")),
        };
        self.error(
            Diagnostic::error("unknown-user", format!("`{name}` is no foreign key of another table to `{here}`"))
                .label(span, "does not refer to it")
                .help(help),
        );
        None
    }

    fn cases(&mut self, cases: &BTreeMap<String, String>, path: &[String]) -> Option<Vec<(String, TableId)>> {
        let mut found = Vec::new();
        let mut failed = false;
        for (value, name) in cases {
            let span = self.spans.value(&[path, std::slice::from_ref(value)].concat());
            let Some(table) = self.schema.find_table(name) else {
                let error = self.unknown_table(name).label(span, "no such table");
                self.error(error);
                failed = true;
                continue;
            };
            let key = self.schema.table(table).primary_key.map(|key| self.schema.key(key).columns.len());
            if key != Some(1) {
                self.error(
                    Diagnostic::error("case-key", format!("`{name}` has no primary key of one column"))
                        .label(span, "cannot be referred to by one column")
                        .label_opt(self.schema.table(table).span.clone(), "declared here")
                        .help("a case leads to the row with that primary key: leave it out, or use another source"),
                );
                failed = true;
            }
            found.push((value.clone(), table));
        }
        (!failed).then_some(found)
    }

    /// Asks for what `require` asks for.
    pub(super) fn required(&mut self, table: TableId, span: Span) {
        let name = self.name(table);
        self.failed.insert(table);
        self.error(
            Diagnostic::error("undecided-table", format!("nothing says whose the rows of `{name}` are"))
                .label(span, "the spec has to say it for every table")
                .label_opt(self.schema.table(table).span.clone(), "declared here")
                .help(format!(
                    "decide under `tables:` one of\n  {name}: shared\n  {name}: omit\n  {name}: {{tenant: infer}}\n  {name}: {{tenant: {{column: NAME}}}}"
                )),
        );
    }

    /// Writes a tenant source as the spec would.
    pub(super) fn source_text(&self, source: &TenantSource) -> String {
        let list = |texts: Vec<String>| match &texts[..] {
            [one] => one.clone(),
            _ => format!("[{}]", texts.join(", ")),
        };
        match source {
            TenantSource::Column(column) => format!("{{column: {}}}", yaml_text(&self.schema.column(*column).name)),
            TenantSource::Via(id) => {
                format!("{{via: {}}}", yaml_text(&self.columns_text(&self.schema.foreign_key(*id).columns)))
            }
            TenantSource::UsedBy { references, several } => {
                let names = references.iter().map(|&id| self.schema.foreign_key(id)).map(|foreign_key| {
                    let columns = self.columns_text(&foreign_key.columns);
                    yaml_text(&format!("{}.{columns}", self.name(foreign_key.table)))
                });
                let several = match several {
                    super::super::source_entry::Several::Fail => "fail",
                    super::super::source_entry::Several::Copy => "copy",
                };
                format!("{{used_by: {}, several: {several}}}", list(names.collect()))
            }
            TenantSource::By { column, key, cases } => {
                let cases: Vec<String> = cases
                    .iter()
                    .map(|(value, table)| format!("{}: {}", yaml_text(value), yaml_text(self.name(*table))))
                    .collect();
                format!(
                    "{{by: {}, key: {}, cases: {{{}}}}}",
                    yaml_text(&self.schema.column(*column).name),
                    yaml_text(&self.schema.column(*key).name),
                    cases.join(", ")
                )
            }
            TenantSource::First(sources) => {
                let texts: Vec<String> = sources.iter().map(|source| self.source_text(source)).collect();
                format!("{{first: [{}]}}", texts.join(", "))
            }
            TenantSource::PerRun => "per_run".to_owned(),
            TenantSource::Every => "every".to_owned(),
            TenantSource::Constant(text) => format!("{{constant: {text}}}"),
            TenantSource::Sql(text) => format!("{{sql: \"{}\"}}", text.replace('"', "\\\"")),
        }
    }
}

//! Views, triggers and virtual tables: each is decided in the spec, none is dropped or converted by guessing.

use super::super::file::TableEntry;
use super::super::file_isolation::{ObjectEntry, ObjectsEntry};
use super::super::isolation::{TriggerTenancy, ViewQuery, ViewTenancy};
use super::super::statements::{SqlStatement, cut};
use super::super::yaml_text::yaml_text;
use super::Resolver;
use crate::diagnostic::{Diagnostic, nearest};
use crate::schema::{Other, OtherKind};

/// What differs between the kinds in keys and messages.
struct Kind {
    kind: OtherKind,
    /// The spec's key.
    key: &'static str,
    noun: &'static str,
    plural: &'static str,
    undecided: &'static str,
    unknown: &'static str,
    example: &'static str,
    /// What leaving one out means.
    left_out: &'static str,
}

const VIEWS: Kind = Kind {
    kind: OtherKind::View,
    key: "views",
    noun: "view",
    plural: "views",
    undecided: "undecided-view",
    unknown: "unknown-view",
    example: "{sql: \"SELECT …\"}",
    left_out: "views are never translated by guessing: its query can be written anew, {sql: \"SELECT …\"}",
};

const TRIGGERS: Kind = Kind {
    kind: OtherKind::Trigger,
    key: "triggers",
    noun: "trigger",
    plural: "triggers",
    undecided: "undecided-trigger",
    unknown: "unknown-trigger",
    example: "{sql: \"CREATE FUNCTION …; CREATE TRIGGER …\"}",
    left_out: "triggers are never translated by guessing: it can be written anew, {sql: \"CREATE FUNCTION …; CREATE \
               TRIGGER …\"}",
};

const VIRTUAL_TABLES: Kind = Kind {
    kind: OtherKind::VirtualTable,
    key: "tables",
    noun: "virtual table",
    plural: "virtual tables",
    undecided: "undecided-virtual-table",
    unknown: "unknown-table",
    example: "",
    left_out: "a virtual table lives from a module of SQLite's; its shadow tables go with it",
};

impl<'a> Resolver<'a> {
    /// Decides the views.
    pub(super) fn views(&mut self) -> Vec<ViewTenancy> {
        let names: Vec<&str> = self.others(OtherKind::View).map(|other| other.name.as_str()).collect();
        let mut views = Vec::new();
        for (name, sql) in self.decided(&VIEWS, self.file.views.as_ref()) {
            let query = sql.and_then(|(key, sql)| {
                let statement = self.view_query(key, sql)?;
                let uses = names.iter().filter(|&&other| other != name && uses(&statement, other));
                Some(ViewQuery { uses: uses.map(|&other| other.to_owned()).collect(), sql: statement.text })
            });
            views.push(ViewTenancy { name: name.to_owned(), query });
        }
        views
    }

    /// Decides the triggers.
    pub(super) fn triggers(&mut self) -> Vec<TriggerTenancy> {
        let mut triggers = Vec::new();
        for (name, sql) in self.decided(&TRIGGERS, self.file.triggers.as_ref()) {
            let statements = match sql {
                Some((key, sql)) => self.statements(&["triggers", key, "sql"], sql),
                None => Vec::new(),
            };
            let statements = statements.into_iter().map(|statement| statement.text).collect();
            triggers.push(TriggerTenancy { name: name.to_owned(), statements });
        }
        triggers
    }

    /// Virtual tables live from a module of SQLite's: they can only be left out, knowingly.
    pub(super) fn virtual_tables(&mut self) {
        let mut undecided = Vec::new();
        for other in self.others(OtherKind::VirtualTable) {
            let entry = self.file.tables.iter().find(|(name, _)| name.eq_ignore_ascii_case(&other.name));
            match entry {
                Some((_, TableEntry::Omit)) => {}
                Some((key, _)) => self.error(
                    Diagnostic::error("virtual-table-placement", format!("`{}` is a virtual table", other.name))
                        .label(self.spans.value(&["tables", key]), "PostgreSQL has no such thing")
                        .label_opt(other.span.clone(), "declared here")
                        .help(format!(
                            "write `{}: omit`, and what takes its place under `extra:`",
                            yaml_text(&other.name)
                        )),
                ),
                None => undecided.push(other),
            }
        }
        self.undecided_others(&VIRTUAL_TABLES, &undecided);
    }

    /// Says whether the schema has a virtual table of this name.
    pub(super) fn is_virtual_table(&self, name: &str) -> bool {
        self.others(OtherKind::VirtualTable).any(|other| other.name.eq_ignore_ascii_case(name))
    }

    fn others(&self, kind: OtherKind) -> impl Iterator<Item = &'a Other> + use<'a> {
        self.schema.others.iter().filter(move |other| other.kind == kind)
    }

    /// Pairs the schema's views or triggers with what the spec says: the spec's key and SQL, or nothing for `omit`.
    fn decided(&mut self, kind: &Kind, entry: Option<&'a ObjectsEntry>) -> Vec<(&'a str, Option<(&'a str, &'a str)>)> {
        let others: Vec<&'a Other> = self.others(kind.kind).collect();
        let each = match entry {
            Some(ObjectsEntry::Omit) => return others.iter().map(|other| (other.name.as_str(), None)).collect(),
            Some(ObjectsEntry::Each(each)) => Some(each),
            None => None,
        };
        for name in each.into_iter().flat_map(|each| each.keys()) {
            if !others.iter().any(|other| other.name.eq_ignore_ascii_case(name)) {
                let error = unknown(kind, name, &others).label(self.spans.key(&[kind.key, name]), "names nothing");
                self.error(error);
            }
        }
        let mut decided = Vec::new();
        let mut undecided = Vec::new();
        for other in others {
            let found = each.and_then(|each| each.iter().find(|(name, _)| name.eq_ignore_ascii_case(&other.name)));
            match found {
                Some((_, ObjectEntry::Omit)) => decided.push((other.name.as_str(), None)),
                Some((key, ObjectEntry::Sql(sql))) => {
                    decided.push((other.name.as_str(), Some((key.as_str(), sql.as_str()))))
                }
                None => undecided.push(other),
            }
        }
        self.undecided_others(kind, &undecided);
        decided
    }

    fn undecided_others(&mut self, kind: &Kind, undecided: &[&Other]) {
        if undecided.is_empty() {
            return;
        }
        let names: Vec<String> = undecided.iter().map(|other| format!("`{}`", other.name)).collect();
        let noun = if undecided.len() == 1 { kind.noun } else { kind.plural };
        let message = format!("nothing says what becomes of the {noun} {}", names.join(", "));
        let mut help = format!("decide each, as in\n{}:", kind.key);
        for other in undecided {
            help.push_str(&format!("\n  {}: omit", yaml_text(&other.name)));
        }
        if !kind.example.is_empty() {
            let name = yaml_text(&undecided[0].name);
            help.push_str(&format!("\nor write it anew for PostgreSQL, as in\n  {name}: {}", kind.example));
            help.push_str(&format!("\nor leave all out with `{}: omit`", kind.key));
        }
        let mut error =
            Diagnostic::error(kind.undecided, message).label(self.spans.key(&[kind.key]), "not decided here");
        for other in undecided {
            error = error.label_opt(other.span.clone(), "declared here").suggest(
                &[kind.key, &other.name],
                "omit",
                kind.left_out,
            );
        }
        self.error(error.help(help));
    }

    fn view_query(&mut self, key: &str, sql: &str) -> Option<SqlStatement> {
        let path = ["views", key, "sql"];
        let statements = self.statements(&path, sql);
        let wrong = match &statements[..] {
            [only] => match only.begins.first().map(String::as_str) {
                Some("SELECT" | "WITH" | "VALUES" | "TABLE") => return statements.into_iter().next(),
                None if only.text.starts_with('(') => return statements.into_iter().next(),
                _ => "a view's `sql` is its query",
            },
            [] => return None,
            _ => "a view's `sql` is one query",
        };
        self.error(
            Diagnostic::error("view-query", wrong)
                .label(self.spans.value(&path), "this text")
                .help("write the SELECT alone: the CREATE VIEW around it comes from here, with the caller's rights"),
        );
        None
    }

    /// Cuts SQL of the spec into statements.
    fn statements(&mut self, path: &[&str], sql: &str) -> Vec<SqlStatement> {
        let span = self.spans.value(path);
        let reason = match cut(sql) {
            Ok(statements) if statements.is_empty() => "it holds no statement",
            Ok(statements) => return statements,
            Err(uncut) => uncut.message,
        };
        self.error(
            Diagnostic::error("sql-syntax", format!("the SQL cannot be read: {reason}")).label(span, "this text"),
        );
        Vec::new()
    }
}

fn uses(statement: &SqlStatement, view: &str) -> bool {
    statement.names.contains(view) || statement.names.contains(&view.to_ascii_lowercase())
}

fn unknown(kind: &Kind, name: &str, others: &[&Other]) -> Diagnostic {
    let error = Diagnostic::error(kind.unknown, format!("the schema has no {} `{name}`", kind.noun));
    let names = others.iter().map(|other| other.name.as_str());
    match nearest(name, names.clone()) {
        Some(near) => error.help(format!("did you mean `{near}`?")),
        None if others.is_empty() => error.help(format!("the schema has no {}", kind.plural)),
        None => error.help(format!("its {}: {}", kind.plural, names.collect::<Vec<_>>().join(", "))),
    }
}

//! The line of the spec that would decide a finding, ready to paste.
//!
//! A suggestion is a way out, not the only one: whether a value is to be read otherwise, kept as text or left behind, a
//! person decides.

use super::super::settle::clearable;
use super::duplicates::KeyWatch;
use super::spellings::Spelling;
use crate::plan::Plan;
use crate::remap::{DateEncoding, FaultKind, Misfit};
use crate::schema::{ColumnId, PgType, TableId, Value};
use crate::spec::{Placement, TenantSource, yaml_text};
use std::collections::BTreeMap;

/// A mapping below a table's entry in the spec, and what it is to say.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Suggestion {
    /// The keys from the table's name to the mapping.
    pub path: Vec<String>,
    /// Keys of the mapping, and their values in YAML.
    pub settings: Vec<(String, String)>,
}

impl Suggestion {
    /// Builds one for a table: the last of `path` is the key whose value it gives.
    pub(super) fn at(table: &str, path: &[&str], value: impl Into<String>) -> Self {
        let (key, path) = path.split_last().unwrap_or((&"", &[]));
        let path = std::iter::once(table).chain(path.iter().copied()).map(str::to_owned).collect();
        Self { path, settings: vec![((*key).to_owned(), value.into())] }
    }

    /// Builds one for a column.
    fn column(table: &str, column: &str, settings: &[(&str, String)]) -> Self {
        let path = [table, "columns", column].map(str::to_owned).to_vec();
        Self { path, settings: settings.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect() }
    }

    /// Writes it as one line: `tables: {orders: {columns: {paid_at: {read: epoch}}}}`.
    pub fn line(&self) -> String {
        let inner =
            self.path.iter().rev().fold(self.mapping(), |inner, key| format!("{{{}: {inner}}}", yaml_text(key)));
        format!("tables: {inner}")
    }

    fn mapping(&self) -> String {
        let settings: Vec<String> =
            self.settings.iter().map(|(key, value)| format!("{}: {value}", yaml_text(key))).collect();
        format!("{{{}}}", settings.join(", "))
    }

    /// Says whether it keeps each value as it is, whatever it is.
    fn keeps_all(&self) -> bool {
        self.settings == AS_TEXT.map(|(key, value)| (key.to_owned(), value.to_owned()))
    }
}

/// What a column of any values can be.
const AS_TEXT: [(&str, &str); 2] = [("type", "text"), ("read", "text")];

/// Writes suggestions as one part of a spec: each key once, and what does not agree with the rest as a comment.
pub fn suggestions_yaml<'s>(suggestions: impl IntoIterator<Item = &'s Suggestion>) -> String {
    let mut tree = Node::default();
    let mut sorted: Vec<&Suggestion> = suggestions.into_iter().collect();
    // Who takes every value comes before those who take some.
    sorted.sort_by_key(|suggestion| !suggestion.keeps_all());
    for suggestion in sorted {
        tree.insert(&suggestion.path, suggestion);
    }
    let mut text = String::from("tables:\n");
    tree.write(1, &mut text);
    text
}

#[derive(Default)]
struct Node {
    children: BTreeMap<String, Node>,
    settings: BTreeMap<String, String>,
    others: Vec<String>,
}

impl Node {
    fn insert(&mut self, path: &[String], suggestion: &Suggestion) {
        if let [key, rest @ ..] = path {
            return self.children.entry(key.clone()).or_default().insert(rest, suggestion);
        }
        let agrees = |(key, value): &(String, String)| self.settings.get(key).is_none_or(|known| known == value);
        // What is read in a way that one type asks for is not read so into another.
        let reads = |key: &String| matches!(key.as_str(), "type" | "read" | "zone");
        let both_read = self.settings.keys().any(reads) && suggestion.settings.iter().any(|(key, _)| reads(key));
        let same = suggestion.settings.iter().all(|(key, value)| self.settings.get(key) == Some(value));
        if same || suggestion.settings.iter().all(agrees) && !both_read {
            self.settings.extend(suggestion.settings.iter().cloned());
        } else if !self.others.contains(&suggestion.mapping()) {
            self.others.push(suggestion.mapping());
        }
    }

    fn write(&self, depth: usize, text: &mut String) {
        let indent = "  ".repeat(depth);
        for (key, value) in &self.settings {
            text.push_str(&format!("{indent}{}: {value}\n", yaml_text(key)));
        }
        self.others.iter().for_each(|other| text.push_str(&format!("{indent}# or {other}\n")));
        for (key, child) in &self.children {
            text.push_str(&format!("{indent}{}:\n", yaml_text(key)));
            child.write(depth + 1, text);
        }
    }
}

/// Finds what would decide a fault.
pub(super) fn of_fault(
    plan: &Plan,
    table: TableId,
    kind: FaultKind,
    looked_at: Option<((Misfit, Option<DateEncoding>), &Value<'_>)>,
    data_type: Option<PgType>,
) -> Option<Suggestion> {
    let name = &plan.source.table(table).name;
    let rows = |key: &str, value: &str| Some(Suggestion::at(name, &["rows", key], value));
    match kind {
        FaultKind::Unfit(column) => {
            let ((misfit, encoding), value) = looked_at?;
            let settings = match plan.source.column(column).generated.is_some() && !is_widened(misfit) {
                // Read in another way it would still be computed in PostgreSQL's.
                true => vec![("default", "\"NULL\"".to_owned())],
                false => of_misfit(misfit, encoding, value, data_type?),
            };
            let changes_type = settings.iter().any(|(key, _)| matches!(*key, "type" | "read"));
            match settings.is_empty() || changes_type && is_joined(plan, table, column) {
                true => rows("unfit", "reject"),
                false => Some(Suggestion::column(name, &plan.source.column(column).name, &settings)),
            }
        }
        FaultKind::Null(_) | FaultKind::Unmapped(_) => rows("unfit", "reject"),
        FaultKind::Orphan(foreign_key) => {
            let leads = match &plan.tenancy.table(table).placement {
                Placement::Tenant(source) => source.alternatives().contains(&TenantSource::Via(foreign_key)),
                _ => false,
            };
            let can_be_cleared = !leads && !clearable(plan, foreign_key).is_empty();
            rows("orphan", if can_be_cleared { "set_null" } else { "reject" })
        }
        FaultKind::CaseOrphan(_) => rows("orphan", "reject"),
        FaultKind::UnknownTenant | FaultKind::NoTenant | FaultKind::NoCase(_) => rows("no_tenant", "reject"),
        FaultKind::Conflict(_) | FaultKind::ColumnConflict(_) => rows("conflict", "reject"),
        FaultKind::SeveralTenants => Some(Suggestion::at(name, &["tenant", "several"], "copy")),
    }
}

/// Says whether a wider type holds the value, and nothing else is the matter with it.
fn is_widened(misfit: Misfit) -> bool {
    matches!(misfit, Misfit::IntegerRange | Misfit::TextTooLong | Misfit::TrailingSpaces)
}

/// Says whether a column has to stay like another: it refers, is referred to, or holds the tenant.
fn is_joined(plan: &Plan, table: TableId, column: ColumnId) -> bool {
    let mut keys = plan.source.foreign_keys.iter();
    keys.any(|key| key.columns.contains(&column) || key.referenced_columns.contains(&column))
        || plan.tenancy.tenant_column(&plan.source, table) == Some(column)
}

/// Finds what a column that holds several encodings could be.
pub(super) fn of_mixed(plan: &Plan, table: TableId, column: ColumnId) -> Option<Suggestion> {
    let as_text = AS_TEXT.map(|(key, value)| (key, value.to_owned()));
    let (name, column_name) = (&plan.source.table(table).name, &plan.source.column(column).name);
    (!is_joined(plan, table, column)).then(|| Suggestion::column(name, column_name, &as_text))
}

/// Finds what a column's entry would have to say to let a value through; nothing where it cannot.
fn of_misfit(
    misfit: Misfit,
    encoding: Option<DateEncoding>,
    value: &Value<'_>,
    data_type: PgType,
) -> Vec<(&'static str, String)> {
    let one = |key: &'static str, value: &str| vec![(key, value.to_owned())];
    let as_type = |name: &str| one("type", name);
    // Numbers may stand beside the texts.
    let as_text = || AS_TEXT.map(|(key, value)| (key, value.to_owned())).to_vec();
    match misfit {
        Misfit::IntegerRange if matches!(data_type, PgType::Bigint) => as_type("numeric"),
        Misfit::IntegerRange => as_type("bigint"),
        Misfit::Fraction | Misfit::NumberRange => as_type("numeric"),
        Misfit::LossyNumber if data_type == PgType::Real => as_type("double precision"),
        Misfit::LossyNumber => as_type("numeric"),
        Misfit::InfiniteNumber => as_type("double precision"),
        Misfit::EmptyText => one("null_if", "[\"\"]"),
        // Zeros only: it says nothing.
        Misfit::ZeroDate => match value {
            Value::Text(text) => {
                let words = serde_json::Value::from(vec![String::from_utf8_lossy(text).into_owned()]);
                one("null_if", &words.to_string())
            }
            _ => Vec::new(),
        },
        Misfit::DateNumber | Misfit::DateUnreadable => match encoding {
            Some(DateEncoding::Epoch) => one("read", "epoch"),
            Some(DateEncoding::EpochMillis) => one("read", "epoch_ms"),
            Some(DateEncoding::Julian) => one("read", "julian"),
            _ => as_text(),
        },
        // Those that say no offset are then of UTC, as SQLite's own clock is.
        Misfit::OffsetDropped => vec![("type", "timestamptz".to_owned()), ("zone", "UTC".to_owned())],
        Misfit::OffsetMissing => one("zone", "UTC"),
        // The words that `read: boolean` knows beside those of the type.
        Misfit::BooleanWord
            if matches!(value, Value::Text(word) if matches!(
                word.to_ascii_lowercase().as_slice(),
                b"0" | b"1" | b"y" | b"yes" | b"on" | b"n" | b"no" | b"off"
            )) =>
        {
            one("read", "boolean")
        }
        Misfit::TextInNumber | Misfit::NoSuchDay | Misfit::BooleanWord | Misfit::InvalidJson | Misfit::InvalidUuid => {
            as_text()
        }
        Misfit::TextTooLong | Misfit::TrailingSpaces => as_type("text"),
        Misfit::RefusedByJsonb => as_type("json"),
        Misfit::NulCharacter => one("nul", "strip"),
        Misfit::InvalidUtf8 => one("utf8", "replace"),
        Misfit::BlobInText | Misfit::NumberInText if data_type.is_text() => one("read", "text"),
        Misfit::TextInBlob | Misfit::BlobInText | Misfit::NumberInText | Misfit::Other => Vec::new(),
    }
}

/// Finds what would let all rows of a key through.
pub(super) fn of_duplicate(plan: &Plan, table: TableId, watch: &KeyWatch) -> Option<Suggestion> {
    let name = &plan.source.table(table).name;
    if let Some(column) = watch.respelled {
        return Some(Suggestion::at(name, &["columns", &plan.source.column(column).name, "type"], "text"));
    }
    let is_tenants = matches!(plan.tenancy.table(table).placement, Placement::Tenant(_));
    match (watch.is_primary, watch.has_tenant || !is_tenants) {
        (true, false) => Some(Suggestion::at(name, &["primary_key"], "per_tenant")),
        (true, true) => None,
        (false, false) => Some(Suggestion::at(name, &["unique", &watch.spec_key], "per_tenant")),
        (false, true) => Some(Suggestion::at(name, &["unique", &watch.spec_key], "omit")),
    }
}

/// Finds what would make PostgreSQL take the spellings of a parent's key for the same.
pub(super) fn of_spelling(plan: &Plan, spelling: &Spelling) -> Option<Suggestion> {
    let key = plan.source.column(spelling.compared);
    let is_nocase = key.collation.as_deref().is_some_and(|name| name.eq_ignore_ascii_case("nocase"));
    let table = &plan.source.table(key.table).name;
    is_nocase.then(|| Suggestion::at(table, &["columns", &key.name, "type"], "citext"))
}

/// Finds what would leave out an index that has no room for some rows.
pub(super) fn of_index(plan: &Plan, table: TableId, index: &str) -> Option<Suggestion> {
    let described = plan.source.table(table);
    let known = described.indexes.iter().any(|&id| plan.source.index(id).name == index);
    known.then(|| Suggestion::at(&described.name, &["indexes", index], "omit"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_can_be_pasted_whatever_the_names() {
        let line = Suggestion::at("order items", &["columns", "on", "read"], "epoch").line();
        assert_eq!(line, r#"tables: {"order items": {columns: {"on": {read: epoch}}}}"#);
        let hostile = Suggestion::at("a: {}\n#\u{1b}", &["rows", "unfit"], "reject").line();
        assert!(!hostile.contains('\n') && !hostile.contains('\u{1b}'), "{hostile}");
    }

    #[test]
    fn suggestions_for_one_table_stand_together() {
        let list = [
            Suggestion::at("t", &["columns", "a", "read"], "epoch"),
            Suggestion::at("t", &["columns", "a", "null_if"], "[\"\"]"),
            Suggestion::at("s", &["rows", "orphan"], "reject"),
            Suggestion::at("t", &["columns", "a", "read"], "julian"),
            Suggestion::at("s", &["rows", "orphan"], "reject"),
            Suggestion::at("t", &["columns", "b", "type"], "numeric"),
            Suggestion::column("t", "b", &[("type", "text".to_owned()), ("read", "text".to_owned())]),
        ];
        let expected = "tables:\n  s:\n    rows:\n      orphan: reject\n  t:\n    columns:\n      a:\n        null_if: [\"\"]\n        read: epoch\n        # or {read: julian}\n      b:\n        read: text\n        type: text\n        # or {type: numeric}\n";
        assert_eq!(suggestions_yaml(&list), expected);
    }
}

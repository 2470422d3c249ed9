//! The line of the spec that would decide a finding, ready to paste.
//!
//! A suggestion is a way out, not the only one: whether a value is to be read otherwise, kept as text or left behind, a
//! person decides.

use super::duplicates::KeyWatch;
use crate::plan::Plan;
use crate::remap::{DateEncoding, FaultKind, Misfit};
use crate::schema::{PgType, TableId, Value};
use crate::spec::{Placement, TenantSource, yaml_text};
use std::collections::BTreeMap;

/// One entry of a table in the spec.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Suggestion {
    /// The keys from the table's name on.
    pub path: Vec<String>,
    /// The value, in YAML.
    pub value: String,
}

impl Suggestion {
    /// Builds one for a table.
    pub(super) fn at(table: &str, path: &[&str], value: impl Into<String>) -> Self {
        let path = std::iter::once(table).chain(path.iter().copied()).map(str::to_owned).collect();
        Self { path, value: value.into() }
    }

    /// Writes it as one line: `tables: {orders: {columns: {paid_at: {read: epoch}}}}`.
    pub fn line(&self) -> String {
        let inner =
            self.path.iter().rev().fold(self.value.clone(), |inner, key| format!("{{{}: {inner}}}", yaml_text(key)));
        format!("tables: {inner}")
    }
}

/// Writes suggestions as one part of a spec: each key once, and what is left over of two for the same place as a comment.
pub fn suggestions_yaml<'s>(suggestions: impl IntoIterator<Item = &'s Suggestion>) -> String {
    let mut tree = Node::default();
    for suggestion in suggestions {
        tree.insert(&suggestion.path, &suggestion.value);
    }
    let mut text = String::from("tables:\n");
    tree.write(1, &mut text);
    text
}

#[derive(Default)]
struct Node {
    children: BTreeMap<String, Node>,
    values: Vec<String>,
}

impl Node {
    fn insert(&mut self, path: &[String], value: &str) {
        match path {
            [] if self.values.iter().any(|known| known == value) => {}
            [] => self.values.push(value.to_owned()),
            [key, rest @ ..] => self.children.entry(key.clone()).or_default().insert(rest, value),
        }
    }

    fn write(&self, depth: usize, text: &mut String) {
        let indent = "  ".repeat(depth);
        for (key, child) in &self.children {
            match child.values.split_first() {
                Some((value, others)) => {
                    text.push_str(&format!("{indent}{}: {value}\n", yaml_text(key)));
                    others.iter().for_each(|other| text.push_str(&format!("{indent}# or {other}\n")));
                }
                None => {
                    text.push_str(&format!("{indent}{}:\n", yaml_text(key)));
                    child.write(depth + 1, text);
                }
            }
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
            let column = &plan.source.column(column).name;
            match of_misfit(misfit, encoding, value, data_type?) {
                Some((key, value)) => Some(Suggestion::at(name, &["columns", column, key], value)),
                None => rows("unfit", "reject"),
            }
        }
        FaultKind::Null(_) | FaultKind::Unmapped(_) => rows("unfit", "reject"),
        FaultKind::Orphan(foreign_key) => {
            let described = plan.source.foreign_key(foreign_key);
            let leads = match &plan.tenancy.table(table).placement {
                Placement::Tenant(source) => source.alternatives().contains(&TenantSource::Via(foreign_key)),
                _ => false,
            };
            let can_be_null = !leads && described.columns.iter().all(|&column| !plan.source.column(column).not_null);
            rows("orphan", if can_be_null { "set_null" } else { "reject" })
        }
        FaultKind::CaseOrphan(_) => rows("orphan", "reject"),
        FaultKind::UnknownTenant | FaultKind::NoTenant | FaultKind::NoCase(_) => rows("no_tenant", "reject"),
        FaultKind::Conflict(_) | FaultKind::ColumnConflict(_) => rows("conflict", "reject"),
        FaultKind::SeveralTenants => Some(Suggestion::at(name, &["tenant", "several"], "copy")),
    }
}

/// Finds the key of a column's entry, and its value, that would let a value through.
fn of_misfit(
    misfit: Misfit,
    encoding: Option<DateEncoding>,
    value: &Value<'_>,
    data_type: PgType,
) -> Option<(&'static str, String)> {
    let as_type = |name: &str| Some(("type", name.to_owned()));
    match misfit {
        Misfit::IntegerRange if matches!(data_type, PgType::Bigint) => as_type("numeric"),
        Misfit::IntegerRange => as_type("bigint"),
        Misfit::Fraction | Misfit::NumberRange => as_type("numeric"),
        Misfit::LossyNumber if data_type == PgType::Real => as_type("double precision"),
        Misfit::LossyNumber => as_type("numeric"),
        Misfit::InfiniteNumber => as_type("double precision"),
        Misfit::EmptyText => Some(("null_if", "[\"\"]".to_owned())),
        // Zeros only: it says nothing.
        Misfit::ZeroDate => match value {
            Value::Text(text) => {
                Some(("null_if", serde_json::Value::from(vec![String::from_utf8_lossy(text).into_owned()]).to_string()))
            }
            _ => None,
        },
        Misfit::DateNumber => match encoding {
            Some(DateEncoding::Epoch) => Some(("read", "epoch".to_owned())),
            Some(DateEncoding::EpochMillis) => Some(("read", "epoch_ms".to_owned())),
            Some(DateEncoding::Julian) => Some(("read", "julian".to_owned())),
            _ => as_type("text"),
        },
        Misfit::OffsetDropped => as_type("timestamptz"),
        Misfit::OffsetMissing => Some(("zone", "UTC".to_owned())),
        Misfit::DateUnreadable => match encoding {
            Some(DateEncoding::Epoch) => Some(("read", "epoch".to_owned())),
            Some(DateEncoding::EpochMillis) => Some(("read", "epoch_ms".to_owned())),
            Some(DateEncoding::Julian) => Some(("read", "julian".to_owned())),
            _ => as_type("text"),
        },
        // The words that `read: boolean` knows beside those of the type.
        Misfit::BooleanWord
            if matches!(value, Value::Text(word) if matches!(
                word.to_ascii_lowercase().as_slice(),
                b"0" | b"1" | b"y" | b"yes" | b"on" | b"n" | b"no" | b"off"
            )) =>
        {
            Some(("read", "boolean".to_owned()))
        }
        Misfit::TextInNumber
        | Misfit::NoSuchDay
        | Misfit::BooleanWord
        | Misfit::TextInBlob
        | Misfit::TextTooLong
        | Misfit::TrailingSpaces
        | Misfit::InvalidJson
        | Misfit::InvalidUuid => as_type("text"),
        Misfit::RefusedByJsonb => as_type("json"),
        Misfit::NulCharacter => Some(("nul", "strip".to_owned())),
        Misfit::InvalidUtf8 => Some(("utf8", "replace".to_owned())),
        Misfit::BlobInText | Misfit::NumberInText if data_type.is_text() => Some(("read", "text".to_owned())),
        Misfit::BlobInText | Misfit::NumberInText | Misfit::Other => None,
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
        ];
        let expected = "tables:\n  s:\n    rows:\n      orphan: reject\n  t:\n    columns:\n      a:\n        null_if: [\"\"]\n        read: epoch\n        # or julian\n";
        assert_eq!(suggestions_yaml(&list), expected);
    }
}

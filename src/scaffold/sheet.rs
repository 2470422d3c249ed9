//! The lines of a spec while they are collected: each with its reason, and those that a person has to choose.

use crate::diagnostic::Suggestion;
use std::collections::BTreeMap;

/// Leads from the top of the spec to a value.
pub(super) type Path = Vec<String>;

/// A value of the spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// A text, quoted where YAML needs it.
    Text(String),
    /// YAML as it stands: `{via: customer_id}`.
    Yaml(String),
}

/// One of the lines that a person can take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Alternative {
    /// The key, beside that of the line.
    pub key: String,
    pub value: Value,
    /// What it means, as a fragment.
    pub means: String,
}

/// One line of the spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub value: Value,
    /// Comments above it, one a line.
    pub reasons: Vec<String>,
    /// Where it is a choice: what can be written; the first stands in while the rest is worked out.
    pub choices: Vec<Alternative>,
}

impl Line {
    /// Says whether a person has to choose.
    pub fn is_open(&self) -> bool {
        !self.choices.is_empty()
    }
}

/// Collects the lines of a spec.
#[derive(Debug, Clone, Default)]
pub(super) struct Sheet {
    /// In the order of the paths; whoever writes them puts them into the order of the grammar.
    pub lines: BTreeMap<Path, Line>,
    /// Comments above tables.
    pub notes: BTreeMap<String, Vec<String>>,
}

/// Builds a path.
pub(super) fn path(parts: &[&str]) -> Path {
    parts.iter().map(|&part| part.to_owned()).collect()
}

impl Sheet {
    /// Adds a line; `false` where the sheet decides it already.
    pub fn add(&mut self, path: Path, line: Line) -> bool {
        // A table that is left out has nothing else to decide.
        let is_left_out = (1..path.len()).any(|length| self.lines.contains_key(&path[..length]));
        if is_left_out || self.lines.contains_key(&path) {
            return false;
        }
        let below = self.lines.keys().filter(|other| other.starts_with(&path)).cloned().collect::<Vec<_>>();
        for other in below {
            self.lines.remove(&other);
        }
        self.lines.insert(path, line);
        true
    }

    /// Decides something.
    pub fn decide(&mut self, parts: &[&str], value: Value, reasons: &[&str]) -> bool {
        let reasons = reasons.iter().map(|&reason| reason.to_owned()).collect();
        self.add(path(parts), Line { value, reasons, choices: Vec::new() })
    }

    /// Takes over a line that a diagnostic suggests.
    pub fn take(&mut self, suggestion: &Suggestion, reasons: Vec<String>) -> bool {
        let value = Value::Text(suggestion.value.clone());
        self.add(suggestion.path.clone(), Line { value, reasons, choices: Vec::new() })
    }

    /// Leaves a choice open; the first stands in, under its own key.
    pub fn leave_open(&mut self, parts: &[&str], reasons: Vec<String>, choices: Vec<Alternative>) -> bool {
        let (Some(first), Some((_, above))) = (choices.first(), parts.split_last()) else { return false };
        let value = first.value.clone();
        let mut path = path(above);
        path.push(first.key.clone());
        self.add(path, Line { value, reasons, choices })
    }

    /// Adds a comment above a table.
    pub fn note(&mut self, table: &str, text: String) {
        let notes = self.notes.entry(table.to_owned()).or_default();
        if !notes.contains(&text) {
            notes.push(text);
        }
    }

    /// Adds a comment to what a person has to choose.
    pub fn remark(&mut self, path: &[String], text: String) {
        if let Some(line) = self.lines.get_mut(path) {
            line.reasons.push(text);
        }
    }

    /// Returns what a person has to choose, in the order of the paths.
    pub fn open(&self) -> impl Iterator<Item = (&Path, &Line)> {
        self.lines.iter().filter(|(_, line)| line.is_open())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_decided_stays_and_leaving_out_a_table_takes_its_lines_along() {
        let mut sheet = Sheet::default();
        let text = |word: &str| Value::Text(word.to_owned());
        assert!(sheet.decide(&["tables", "t", "columns", "c", "type"], text("text"), &[]));
        assert!(!sheet.decide(&["tables", "t", "columns", "c", "type"], text("bigint"), &[]));
        assert!(sheet.decide(&["tables", "tt", "placement"], text("shared"), &[]));
        assert!(sheet.decide(&["tables", "t"], text("omit"), &["why"]));
        assert!(!sheet.decide(&["tables", "t", "placement"], text("shared"), &[]));
        let left: Vec<_> = sheet.lines.keys().cloned().collect();
        assert_eq!(left, [path(&["tables", "t"]), path(&["tables", "tt", "placement"])]);
    }

    #[test]
    fn the_first_of_a_choice_stands_in() {
        let mut sheet = Sheet::default();
        let shared = Alternative { key: "placement".into(), value: Value::Text("shared".into()), means: String::new() };
        assert!(sheet.leave_open(&["tables", "t", "tenant"], vec![], vec![shared]));
        let open: Vec<_> = sheet.open().map(|(path, _)| path.clone()).collect();
        assert_eq!(open, [path(&["tables", "t", "placement"])]);
        assert!(!sheet.leave_open(&["tables", "t", "tenant"], vec![], vec![]));
    }
}

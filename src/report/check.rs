//! What `check` found, spec by spec: JSON, and places for those who show findings beside the code.

use super::diagnostics_json;
use super::json::SCHEMA_VERSION;
use crate::diagnostic::{Diagnostics, Sources, Span};
use crate::ident::visible;
use crate::plan::Plan;
use crate::rewrite::Hazard;
use serde_json::{Value, json};

/// What `check` found about one spec.
#[derive(Debug)]
pub struct Checked {
    /// The spec's path, as it is shown.
    pub spec: String,
    /// The path of the committed DDL, as it is shown.
    pub output: Option<String>,
    /// The texts that places count in.
    pub sources: Sources,
    /// Why nothing could be compared; empty where something was.
    pub errors: Diagnostics,
    /// The difference between the committed and the generated DDL; empty where there is none.
    pub diff: String,
    /// What the difference means, a sentence each.
    pub changes: Vec<String>,
    /// The hazards that are not to be, in words with their tables.
    pub denied: Vec<Denied>,
}

/// A hazard that is not to be.
#[derive(Debug, Clone)]
pub struct Denied {
    /// Its code.
    pub code: &'static str,
    /// What can happen, with the table.
    pub message: String,
    /// What to do about it.
    pub help: String,
    /// Its place in the DDL.
    pub span: Option<Span>,
}

impl Denied {
    /// Puts a plan's hazard into words.
    pub fn new(plan: &Plan, hazard: &Hazard) -> Self {
        let table = visible(&plan.source.table(hazard.table).name);
        Self {
            code: hazard.code,
            message: format!("denied hazard {} in {table}: {}", hazard.code, visible(&hazard.message)),
            help: hazard.help.clone(),
            span: hazard.span.clone(),
        }
    }
}

/// A finding with its place, one-based.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub code: &'static str,
    pub message: String,
    pub file: String,
    pub place: Option<Place>,
}

/// A stretch of a file, one-based and counted in characters, the end exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub line: usize,
    pub column: usize,
    pub end_line: usize,
    pub end_column: usize,
}

/// How many lines of a difference a finding shows.
const DIFF_LINES: usize = 60;

impl Checked {
    /// Returns one word for the outcome.
    pub fn status(&self) -> &'static str {
        if !self.errors.is_empty() {
            "failed"
        } else if !self.diff.is_empty() {
            "drift"
        } else if !self.denied.is_empty() {
            "denied"
        } else {
            "clean"
        }
    }

    /// Says what to do about a difference.
    pub fn drift_text(&self) -> String {
        format!(
            "{}: {} is not what the spec generates; if the change is meant, run `tenantry emit {} --write`",
            self.spec,
            self.output.as_deref().unwrap_or_default(),
            self.spec
        )
    }

    /// Returns all findings, those of errors first.
    pub(super) fn findings(&self) -> Vec<Finding> {
        let with_help = |message: &str, help: Option<&str>| {
            let message = visible(message).into_owned();
            match help {
                Some(help) => format!("{message}\n{}", help.lines().map(visible).collect::<Vec<_>>().join("\n")),
                None => message,
            }
        };
        let at = |span: Option<&Span>| match span.and_then(|span| place(&self.sources, span)) {
            Some((file, place)) => (file, Some(place)),
            None => (self.spec.clone(), None),
        };
        let errors = self.errors.0.iter().map(|error| {
            let (file, place) = at(error.labels.first().map(|label| &label.span));
            Finding { code: error.code, message: with_help(&error.message, error.help.as_deref()), file, place }
        });
        let denied = self.denied.iter().map(|denied| {
            let (file, place) = at(denied.span.as_ref());
            Finding { code: denied.code, message: with_help(&denied.message, Some(&denied.help)), file, place }
        });
        let drift = (!self.diff.is_empty()).then(|| {
            let line = first_line(&self.diff);
            let place = line.map(|line| Place { line, column: 1, end_line: line + 1, end_column: 1 });
            let lines: Vec<_> = self.diff.lines().map(visible).collect();
            let mut shown = lines[..lines.len().min(DIFF_LINES)].join("\n");
            if lines.len() > DIFF_LINES {
                shown.push_str(&format!("\n… {} lines more", lines.len() - DIFF_LINES));
            }
            let file = self.output.clone().unwrap_or_else(|| self.spec.clone());
            let changes: String = self.changes.iter().map(|change| format!("\n{}", visible(change))).collect();
            Finding { code: "drift", message: format!("{}{changes}\n{shown}", self.drift_text()), file, place }
        });
        errors.chain(denied).chain(drift).collect()
    }
}

/// Writes what was found as JSON.
pub fn check_json(checked: &[Checked]) -> Value {
    let specs: Vec<Value> = checked
        .iter()
        .map(|one| {
            let mut value = match one.errors.is_empty() {
                true => json!({}),
                false => diagnostics_json(&one.errors, &one.sources),
            };
            value["spec"] = json!(one.spec);
            value["status"] = json!(one.status());
            value["denied_hazards"] = json!(one.denied.iter().map(|denied| denied.code).collect::<Vec<_>>());
            if let Some(output) = &one.output {
                value["output"] = json!(output);
            }
            if !one.diff.is_empty() {
                value["diff"] = json!(one.diff);
                value["changes"] = json!(one.changes);
            }
            value
        })
        .collect();
    json!({ "schema_version": SCHEMA_VERSION, "specs": specs })
}

/// Returns the first line of the committed text that a unified diff changes.
fn first_line(diff: &str) -> Option<usize> {
    let hunk = diff.lines().position(|line| line.starts_with("@@ -"))?;
    let mut lines = diff.lines().skip(hunk);
    let start: usize = lines.next()?.strip_prefix("@@ -")?.split([',', ' ']).next()?.parse().ok()?;
    let same = lines.take_while(|line| line.starts_with(' ')).count();
    Some((start + same).max(1))
}

/// Returns the file that a span points into and where.
fn place(sources: &Sources, span: &Span) -> Option<(String, Place)> {
    let source = sources.get(span.source)?;
    let at = |offset: usize| {
        let before = source.text.get(..offset)?;
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Some((line, column))
    };
    let (line, column) = at(span.range.start)?;
    let (end_line, end_column) = at(span.range.end)?;
    Some((source.name.clone(), Place { line, column, end_line, end_column }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::unified_diff;

    #[test]
    fn the_first_changed_line_is_found() {
        let text: String = (1..=20).map(|line| format!("{line}\n")).collect();
        assert_eq!(first_line(&unified_diff("x", &text, &text.replace("\n12\n", "\ntwelve\n"))), Some(12));
        assert_eq!(first_line(&unified_diff("x", &text, &text.replace("1\n2\n", "2\n"))), Some(1));
        assert_eq!(first_line(&unified_diff("x", "", "a\n")), Some(1));
    }

    #[test]
    fn places_count_characters_from_one() {
        let mut sources = Sources::default();
        let id = sources.add("a.yaml", "größe: 1\ntäbles: x\n");
        let start = "größe: 1\nt".len();
        let (file, place) = place(&sources, &Span::new(id, start..start + "äb".len())).unwrap();
        assert_eq!((file.as_str(), place), ("a.yaml", Place { line: 2, column: 2, end_line: 2, end_column: 4 }));
    }
}

//! `--log-format json`: what happens, a line of JSON each on stderr (docs/log.md).

use crate::diagnostic::{Diagnostics, Sources};
use crate::report::{SCHEMA_VERSION, diagnostics_json};
use clap::ValueEnum;
use serde_json::{Map, Value, json};

/// How what happens is told on stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum LogFormat {
    /// For people: bars on a terminal, plain lines elsewhere.
    #[default]
    Text,
    /// For machines: an event a line, each with a time and a `schema_version`.
    Json,
}

/// How much an event matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Info,
    Warning,
    Error,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Writes an event as one line. `more` is an object, whose keys stand behind those that every event has.
pub(super) fn line(level: Level, event: &str, verb: &str, more: Value) -> String {
    let mut line = Map::new();
    line.insert("schema_version".to_owned(), json!(SCHEMA_VERSION));
    line.insert("time".to_owned(), json!(format!("{:.3}", jiff::Timestamp::now())));
    line.insert("level".to_owned(), json!(level.name()));
    line.insert("event".to_owned(), json!(event));
    line.insert("verb".to_owned(), json!(verb));
    if let Value::Object(more) = more {
        line.extend(more);
    }
    Value::Object(line).to_string()
}

/// Writes errors and warnings, a line each.
pub(super) fn diagnostic_lines(errors: &Diagnostics, sources: &Sources, verb: &str) -> Vec<String> {
    let mut document = diagnostics_json(errors, sources);
    let Value::Array(list) = document["diagnostics"].take() else { return Vec::new() };
    let level = |diagnostic: &Value| if diagnostic["severity"] == "warning" { Level::Warning } else { Level::Error };
    list.into_iter().map(|diagnostic| line(level(&diagnostic), "diagnostic", verb, diagnostic)).collect()
}

//! A tenant that has been added before, as people and machines read it.

use super::json::SCHEMA_VERSION;
use crate::ident::visible;
use serde_json::{Value, json};

/// Says that the very same file has been added before.
pub fn added_before_text(tenant: &str, done: &str) -> String {
    format!("added already: this file of {} went over at {done}; nothing was done\n", visible(tenant))
}

/// Writes the same as JSON.
pub fn added_before_json(tenant: &str, done: &str) -> Value {
    json!({ "schema_version": SCHEMA_VERSION, "added_before": { "tenant": tenant, "done": done } })
}

//! A tenant that was added to a target with others, as people and machines read it.

use super::audit::{accounts_json, accounts_text};
use super::json::SCHEMA_VERSION;
use super::verification::{verification_json, verification_text};
use crate::copy::Added;
use crate::ident::visible;
use crate::plan::Plan;
use serde_json::{Value, json};

/// Writes an addition: the proof, and that it went over.
pub fn added_text(plan: &Plan, added: &Added) -> String {
    let mut text = verification_text(&added.verification);
    text.push_str(&accounts_text(plan, &added.accounts));
    let tenant = visible(&added.tenant);
    text.push_str(&match added.verification.is_proven() {
        true => format!("{} rows of {tenant} added to those that were there\n", added.rows),
        false => format!("nothing of {tenant} was added: the proof found differences\n"),
    });
    text
}

/// Writes the same as JSON.
pub fn added_json(plan: &Plan, added: &Added) -> Value {
    let mut value = verification_json(&added.verification);
    value["accounts"] = json!(accounts_json(plan, &added.accounts));
    value["added"] = json!({ "tenant": added.tenant, "rows": added.rows });
    value
}

/// Says that the very same file has been added before.
pub fn added_before_text(tenant: &str, done: &str) -> String {
    format!("added already: this file of {} went over at {done}; nothing was done\n", visible(tenant))
}

/// Writes the same as JSON.
pub fn added_before_json(tenant: &str, done: &str) -> Value {
    json!({ "schema_version": SCHEMA_VERSION, "added_before": { "tenant": tenant, "done": done } })
}

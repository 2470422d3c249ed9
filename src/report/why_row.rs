//! One row's way to its tenant, with the spec's lines.

use super::decision::origin_text;
use super::json::SCHEMA_VERSION;
use crate::copy::{Hop, RowPath};
use crate::diagnostic::Sources;
use crate::ident::visible;
use crate::plan::Plan;
use crate::spec::About;
use serde_json::{Value, json};

/// Writes the way, a line a hop.
pub fn why_row_text(plan: &Plan, sources: &Sources, path: &RowPath) -> String {
    let mut text = format!("{}: {}\n", row(plan, &path.hop), tenants(&path.hop));
    hop_text(plan, sources, &path.hop, 1, &mut text);
    for (reference, hop) in &path.others {
        let agrees = match hop.tenants == path.hop.tenants {
            true => "agrees",
            false if hop.tenants.is_empty() => "names none",
            false => "says ANOTHER TENANT",
        };
        text.push_str(&format!("{} {agrees}: {}\n", visible(reference), tenants(hop)));
        hop_text(plan, sources, hop, 1, &mut text);
    }
    text
}

fn row(plan: &Plan, hop: &Hop) -> String {
    format!("{} {}", visible(&plan.source.table(hop.table).name), visible(&hop.key))
}

fn tenants(hop: &Hop) -> String {
    let named: Vec<_> = hop.tenants.iter().map(|tenant| visible(tenant)).collect();
    match &named[..] {
        [] => "no tenant".to_owned(),
        [tenant] => format!("tenant {tenant}"),
        several => format!("tenants {}", several.join(", ")),
    }
}

fn hop_text(plan: &Plan, sources: &Sources, hop: &Hop, depth: usize, text: &mut String) {
    let (choice, reason) = decided(plan, sources, hop);
    text.push_str(&format!("{}{}: {}\n", "  ".repeat(depth), row(plan, hop), visible(&hop.says)));
    text.push_str(&format!("{}  because: {} ({})\n", "  ".repeat(depth), visible(&choice), visible(&reason)));
    for next in &hop.next {
        hop_text(plan, sources, next, depth + 1, text);
    }
}

/// Returns what was chosen for a row's table, and who chose.
fn decided(plan: &Plan, sources: &Sources, hop: &Hop) -> (String, String) {
    let about = |about: About| plan.decisions_about(hop.table).find(|decision| decision.about == about);
    match about(About::Tenant).or_else(|| about(About::Placement)) {
        Some(decision) => (decision.choice.clone(), origin_text(&decision.origin, sources)),
        None => ("the table's placement".to_owned(), "the spec".to_owned()),
    }
}

/// Writes the way as JSON.
pub fn why_row_json(plan: &Plan, sources: &Sources, path: &RowPath) -> Value {
    let others: Vec<Value> = path
        .others
        .iter()
        .map(|(reference, hop)| {
            json!({ "reference": reference, "agrees": hop.tenants == path.hop.tenants, "row": hop_json(plan, sources, hop) })
        })
        .collect();
    json!({ "schema_version": SCHEMA_VERSION, "row": hop_json(plan, sources, &path.hop), "others": others })
}

fn hop_json(plan: &Plan, sources: &Sources, hop: &Hop) -> Value {
    let (choice, reason) = decided(plan, sources, hop);
    json!({
        "table": plan.source.table(hop.table).name,
        "key": hop.key,
        "says": hop.says,
        "choice": choice,
        "reason": reason,
        "tenants": hop.tenants,
        "next": hop.next.iter().map(|next| hop_json(plan, sources, next)).collect::<Vec<_>>(),
    })
}

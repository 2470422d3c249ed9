//! JSON for machines; every document carries a schema version.

use super::decision::{Change, object_name, origin_text};
use super::isolation::isolation_json;
use crate::diagnostic::{Diagnostics, Severity, Sources};
use crate::plan::Plan;
use crate::spec::{Decision, Origin};
use serde_json::{Value, json};

/// The version of the JSON that every verb writes; it grows when a key goes or changes its meaning.
pub const SCHEMA_VERSION: u32 = 1;

/// Writes diagnostics as JSON.
pub fn diagnostics_json(diagnostics: &Diagnostics, sources: &Sources) -> Value {
    let list: Vec<Value> = diagnostics
        .0
        .iter()
        .map(|diagnostic| {
            let labels: Vec<Value> = diagnostic
                .labels
                .iter()
                .map(|label| {
                    json!({
                        "file": sources.get(label.span.source).map(|source| source.name.clone()),
                        "line": sources.line(&label.span),
                        "start": label.span.range.start,
                        "end": label.span.range.end,
                        "text": label.text,
                    })
                })
                .collect();
            let suggestions: Vec<Value> = diagnostic
                .lines
                .suggestions
                .iter()
                .map(|line| json!({ "path": line.path, "value": line.value, "reason": line.reason }))
                .collect();
            let choices: Vec<Value> = diagnostic
                .lines
                .choices
                .iter()
                .map(|line| json!({ "path": line.path, "yaml": line.yaml, "means": line.means }))
                .collect();
            json!({
                "code": diagnostic.code,
                "severity": match diagnostic.severity { Severity::Error => "error", Severity::Warning => "warning" },
                "message": diagnostic.message,
                "help": diagnostic.help,
                "labels": labels,
                "suggestions": suggestions,
                "choices": choices,
            })
        })
        .collect();
    json!({ "schema_version": SCHEMA_VERSION, "diagnostics": list })
}

/// Writes a plan as JSON: decisions, hazards, load order, statements.
pub fn plan_json(plan: &Plan, sources: &Sources) -> Value {
    let table = |id: crate::schema::TableId| plan.source.table(id).name.clone();
    let target = &plan.rewritten.target;
    let decisions: Vec<Value> = plan.decisions.iter().map(|decision| decision_json(plan, decision, sources)).collect();
    let hazards: Vec<Value> = plan
        .hazards()
        .iter()
        .map(|hazard| json!({ "code": hazard.code, "table": table(hazard.table), "message": hazard.message, "help": hazard.help }))
        .collect();
    let statements: Vec<Value> = plan
        .statements
        .iter()
        .map(|statement| {
            let (kind, name) = statement.makes.describe(plan);
            json!({ "section": statement.section.name(), "kind": kind, "name": name })
        })
        .collect();
    json!({
        "schema_version": SCHEMA_VERSION,
        "tenant": plan.tenancy.has_tenants().then(|| json!({
            "column": plan.tenancy.tenant.name,
            "root": plan.tenancy.root.as_ref().map(|root| table(root.table)),
        })),
        "load_order": target.tables.iter().map(|table| table.name.clone()).collect::<Vec<_>>(),
        "cycles": plan.cycles.iter().map(|cycle| cycle.iter().map(|&id| table(id)).collect::<Vec<_>>()).collect::<Vec<_>>(),
        "decisions": decisions,
        "hazards": hazards,
        "isolation": isolation_json(plan),
        "statements": statements,
    })
}

/// Writes one decision; what does not apply to its object is not there.
pub(super) fn decision_json(plan: &Plan, decision: &Decision, sources: &Sources) -> Value {
    let change = Change::of(plan, decision);
    let mut value = json!({
        "table": plan.source.table(decision.table).name,
        "object": object_name(&decision.about),
        "choice": decision.choice,
        "origin": match &decision.origin { Origin::Spec(_) => "spec", Origin::Inferred(_) => "inferred" },
        "reason": origin_text(&decision.origin, sources),
        "alternatives": decision.alternatives,
    });
    let references = change.references.map(|(table, columns)| json!({ "table": table, "columns": columns }));
    for (key, found) in [
        ("path", change.path.map(Value::from)),
        ("before", change.before.map(Value::from)),
        ("after", change.after.map(Value::from)),
        ("where", change.predicate.map(Value::from)),
        ("references", references),
        ("on_delete", change.on_delete.map(Value::from)),
        ("on_update", change.on_update.map(Value::from)),
        ("type", change.data_type.map(Value::from)),
    ] {
        if let Some(found) = found {
            value[key] = found;
        }
    }
    value
}

//! What isolation does, in short.

use super::counted::counted;
use crate::ident::visible;
use crate::plan::{Plan, is_tenants};
use serde_json::{Value, json};

/// Writes a line each on row-level security, lookups, roles, views, triggers and files, where the plan has them.
pub(super) fn isolation_lines(plan: &Plan) -> Vec<String> {
    let isolation = &plan.tenancy.isolation;
    let rewritten = &plan.rewritten;
    let mut lines = Vec::new();
    match &isolation.rls {
        None => lines.push("row-level security: none".to_owned()),
        Some(rls) => {
            let total = rewritten.source_tables.iter().filter(|&&source| is_tenants(&plan.tenancy, source)).count();
            let whom = rls.role.as_deref().map_or_else(|| "every role".to_owned(), shown);
            lines.push(format!(
                "row-level security: {} of {total} tables with a tenant, by the setting {}, for {whom}{}",
                rewritten.guarded.len(),
                isolation.setting,
                if rls.force { "; it binds the owner too" } else { "; the owner and superusers are above it" }
            ));
            let lookups: Vec<String> = rewritten.lookups.iter().map(|lookup| shown(&lookup.name)).collect();
            if !lookups.is_empty() {
                lines.push(format!("lookups before the tenant is known: {}", lookups.join(", ")));
            }
        }
    }
    let roles: Vec<String> =
        isolation.roles.named().map(|(role, name)| format!("{} {}", role.name(), shown(name))).collect();
    if !roles.is_empty() {
        lines.push(format!(
            "roles: {} (made by cutover --bootstrap, or by hand: emit --section bootstrap)",
            roles.join(", ")
        ));
    }
    let views = &plan.tenancy.views;
    let (kept, left): (Vec<_>, Vec<_>) = views.iter().partition(|view| view.query.is_some());
    lines.extend(fate("views", kept.iter().map(|view| &view.name), left.iter().map(|view| &view.name)));
    let triggers = &plan.tenancy.triggers;
    let (kept, left): (Vec<_>, Vec<_>) = triggers.iter().partition(|trigger| !trigger.statements.is_empty());
    lines.extend(fate("triggers", kept.iter().map(|one| &one.name), left.iter().map(|one| &one.name)));
    for file in &plan.tenancy.extra {
        let count = counted(file.statements.len(), "statement");
        lines.push(format!("extra in {}: {}, {count}", file.section.name(), shown(&file.path)));
    }
    lines
}

/// Writes the same for machines.
pub(super) fn isolation_json(plan: &Plan) -> Value {
    let isolation = &plan.tenancy.isolation;
    let target = &plan.rewritten.target;
    let guarded = plan.rewritten.guarded.iter().map(|guard| target.table(guard.table).name.as_str());
    let lookups = plan.rewritten.lookups.iter().map(|lookup| {
        json!({
            "function": lookup.name,
            "table": target.table(lookup.table).name,
            "column": target.column(lookup.column).name,
        })
    });
    json!({
        "rls": isolation.rls.as_ref().map(|rls| json!({
            "setting": isolation.setting,
            "role": rls.role,
            "force": rls.force,
            "tables": guarded.collect::<Vec<_>>(),
            "lookups": lookups.collect::<Vec<_>>(),
        })),
        "roles": isolation.roles.named().map(|(role, name)| (role.name().to_owned(), name.into()))
            .collect::<serde_json::Map<String, Value>>(),
        "views": plan.tenancy.views.iter().map(|view| json!({ "name": view.name, "kept": view.query.is_some() }))
            .collect::<Vec<_>>(),
        "triggers": plan.tenancy.triggers.iter()
            .map(|trigger| json!({ "name": trigger.name, "kept": !trigger.statements.is_empty() })).collect::<Vec<_>>(),
        "extra": plan.tenancy.extra.iter()
            .map(|file| json!({ "section": file.section.name(), "path": file.path, "statements": file.statements.len() }))
            .collect::<Vec<_>>(),
    })
}

fn fate<'n>(what: &str, kept: impl Iterator<Item = &'n String>, left: impl Iterator<Item = &'n String>) -> Vec<String> {
    let list = |names: Vec<String>, fate: &str| match names[..] {
        [] => None,
        _ => Some(format!("{what} {fate}: {}", names.join(", "))),
    };
    [
        list(kept.map(|name| shown(name)).collect(), "written anew"),
        list(left.map(|name| shown(name)).collect(), "left out"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn shown(name: &str) -> String {
    visible(name).into_owned()
}

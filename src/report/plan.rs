//! The plan as people read it: table by table, what was decided, why, and over what.

use super::decision::{Decided, decided};
use super::isolation::isolation_lines;
use super::legend::{is_common, legend};
use crate::diagnostic::Sources;
use crate::ident::visible;
use crate::plan::Plan;
use crate::schema::{Action, TableId};
use crate::spec::{About, Decision, Placement};

/// The width that lines are kept within.
const WIDTH: usize = 100;

/// Writes the plan: the tenant, what its words mean, each table with its decisions and hazards, load order, cycles.
pub fn plan_text(plan: &Plan, sources: &Sources) -> String {
    let mut lines = Vec::new();
    let tenant = &plan.tenancy.tenant;
    let root = match &plan.tenancy.root {
        Some(root) => format!(", one row a tenant in {}", shown(plan, root.table)),
        None => ", no table of tenants".to_owned(),
    };
    lines.push(match plan.tenancy.has_tenants() {
        true => format!("tenant: {} {}{root}", visible(&tenant.name), tenant_type(plan)),
        false => "tenant: none, no row belongs to one".to_owned(),
    });
    lines.push(match plan.hazards().len() {
        0 => "hazards: none".to_owned(),
        count => format!("hazards: {count}, each marked ! at its table"),
    });
    let head = lines.len();
    for &source in &plan.rewritten.source_tables {
        lines.push(String::new());
        table(plan, sources, source, &mut lines);
    }
    lines.push(String::new());
    for decision in plan.decisions.iter().filter(|decision| is_omitted(plan, decision)) {
        let name = shown(plan, decision.table);
        let shown = Decided { what: format!("not migrated: {name}"), ..decided(plan, decision, sources) };
        wrap(&shown.line(), "    ", &mut lines);
    }
    let order: Vec<String> = plan.rewritten.source_tables.iter().map(|&id| shown(plan, id)).collect();
    wrap(&format!("load order: {}", order.join(", ")), "    ", &mut lines);
    match &plan.cycles[..] {
        [] => lines.push("cycles of foreign keys: none".to_owned()),
        cycles => {
            for cycle in cycles {
                let tables: Vec<String> = cycle.iter().map(|&id| shown(plan, id)).collect();
                let text = format!("cycle of foreign keys: {} (it loads: they come after all rows)", tables.join(", "));
                wrap(&text, "    ", &mut lines);
            }
        }
    }
    for line in isolation_lines(plan) {
        wrap(&line, "    ", &mut lines);
    }
    // In front: nobody reads a hundred lines to learn what their words mean.
    let mut words = vec!["in words:".to_owned()];
    let unbroken = format!("\n{}", lines.join("\n")).replace("\n      ", " ");
    for meaning in legend(plan, &unbroken) {
        wrap(&format!("  {meaning}"), "      ", &mut words);
    }
    lines.splice(head..head, words);
    let mut text = lines.join("\n");
    text.push('\n');
    text
}

fn is_omitted(plan: &Plan, decision: &Decision) -> bool {
    decision.about == About::Placement && plan.tenancy.table(decision.table).placement == Placement::Omit
}

fn table(plan: &Plan, sources: &Sources, source: TableId, lines: &mut Vec<String>) {
    let placement = match &plan.tenancy.table(source).placement {
        Placement::Root => "the tenant root",
        Placement::Tenant(_) => "tenant",
        Placement::Shared => "shared",
        Placement::Local => "local",
        Placement::Omit => "omit",
    };
    lines.push(format!("{} ({placement})", shown(plan, source)));
    let mut indexes: Vec<(Decided, Vec<String>)> = Vec::new();
    for decision in plan.decisions_about(source) {
        let has_tenant = plan.decisions_about(source).any(|other| other.about == About::Tenant);
        if decision.about == About::Placement && has_tenant {
            continue;
        }
        let shown = decided(plan, decision, sources);
        // Indexes are many and mostly alike: those decided the same way share a line.
        if let About::Index(_) = &decision.about {
            let what = shown.what.trim_start_matches("index ").to_owned();
            match indexes.iter_mut().find(|(other, _)| other.is_alike(&shown)) {
                Some((_, names)) => names.push(what),
                None => indexes.push((shown, vec![what])),
            }
            continue;
        }
        wrap(&format!("  {}", shown.line()), "      ", lines);
    }
    for (shown, names) in indexes {
        let what = match names.len() {
            1 => format!("index {}", names[0]),
            count => format!("{count} indexes {}", names.join(", ")),
        };
        wrap(&format!("  {}", Decided { what, ..shown }.line()), "      ", lines);
    }
    if let Some(deletion) = tenant_deletion(plan, source) {
        wrap(&format!("  {deletion}"), "      ", lines);
    }
    for hazard in plan.hazards().iter().filter(|hazard| hazard.table == source) {
        wrap(&format!("  ! {}: {}", hazard.code, visible(&hazard.message)), "      ", lines);
        if !is_common(plan, hazard.code) {
            wrap(&format!("      {}", visible(&hazard.help)), "      ", lines);
        }
    }
}

/// Says at the root what becomes of the tables that refer to it when a tenant is deleted: each of them tells its own part.
fn tenant_deletion(plan: &Plan, source: TableId) -> Option<String> {
    let root = plan.tenancy.root.as_ref().filter(|root| root.table == source)?.table;
    let root = plan.target_table(root)?;
    let (mut refuse, mut go, mut stay) = (Vec::new(), Vec::new(), Vec::new());
    for (table, &referring) in plan.rewritten.target.tables.iter().zip(&plan.rewritten.source_tables) {
        let keys = table.foreign_keys.iter().map(|&id| plan.rewritten.target.foreign_key(id));
        for key in keys.filter(|key| key.referenced_table == root) {
            let tables = match key.on_delete {
                Action::NoAction | Action::Restrict => &mut refuse,
                Action::Cascade => &mut go,
                Action::SetNull | Action::SetDefault => &mut stay,
            };
            let name = shown(plan, referring);
            if !tables.contains(&name) {
                tables.push(name);
            }
        }
    }
    let code = "tenant-deletion-refused";
    let new = plan.hazards().iter().filter(|hazard| hazard.code == code);
    let new: Vec<String> = new.map(|hazard| shown(plan, hazard.table)).collect();
    let mut clauses = Vec::new();
    if !refuse.is_empty() {
        let mark = match new.len() {
            0 => String::new(),
            count if count == refuse.len() => format!(" (! {code} there)"),
            _ => format!(" (! {code}: {})", new.join(", ")),
        };
        clauses.push(format!("fails while rows of {} refer to it{mark}", refuse.join(", ")));
    }
    if !go.is_empty() {
        clauses.push(format!("takes along rows of {}", go.join(", ")));
    }
    if !stay.is_empty() {
        clauses.push(format!("leaves rows of {}", stay.join(", ")));
    }
    (!clauses.is_empty()).then(|| format!("deleting a tenant: {}", clauses.join("; ")))
}

/// Breaks a line at spaces; those that follow are indented.
fn wrap(line: &str, indent: &str, lines: &mut Vec<String>) {
    let mut current = String::new();
    for word in line.split_inclusive(' ') {
        let trimmed = current.trim_end().chars().count();
        if trimmed > indent.len() && current.chars().count() + word.trim_end().chars().count() > WIDTH {
            lines.push(current.trim_end().to_owned());
            current = indent.to_owned();
        }
        current.push_str(word);
    }
    lines.push(current.trim_end().to_owned());
}

fn tenant_type(plan: &Plan) -> String {
    let column = plan.rewritten.tenant_columns.iter().flatten().next();
    column.map(|&column| plan.rewritten.target.column(column).data_type.to_string()).unwrap_or_default()
}

fn shown(plan: &Plan, table: TableId) -> String {
    visible(&plan.source.table(table).name).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_break_at_spaces_and_stay_within_the_width() {
        let mut lines = Vec::new();
        wrap(&format!("  {}", "word ".repeat(50)), "      ", &mut lines);
        assert!(lines.len() > 1 && lines.iter().all(|line| line.chars().count() <= WIDTH), "{lines:?}");
        assert!(lines[0].starts_with("  word") && lines[1].starts_with("      word"));
        let mut one = Vec::new();
        wrap(&"x".repeat(150), "", &mut one);
        assert_eq!(one, ["x".repeat(150)]);
    }
}

//! The plan as people read it: table by table, what was decided, why, and over what.

use super::decision::{Decided, decided};
use super::isolation::isolation_lines;
use crate::diagnostic::Sources;
use crate::ident::visible;
use crate::plan::Plan;
use crate::rewrite::ColumnValue;
use crate::schema::{ColumnId, TableId, sqlite_text};
use crate::spec::{About, Placement};

/// The width that lines are kept within.
const WIDTH: usize = 100;

/// Writes the plan: the tenant, each table with its decisions and hazards, load order, cycles, and what its words mean.
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
    for &source in &plan.rewritten.source_tables {
        lines.push(String::new());
        table(plan, sources, source, &mut lines);
    }
    lines.push(String::new());
    let omitted: Vec<String> = plan
        .source
        .table_ids()
        .filter(|&id| plan.tenancy.table(id).placement == Placement::Omit)
        .map(|id| shown(plan, id))
        .collect();
    if !omitted.is_empty() {
        wrap(&format!("not migrated: {}", omitted.join(", ")), "", &mut lines);
    }
    let order: Vec<String> = plan.rewritten.source_tables.iter().map(|&id| shown(plan, id)).collect();
    wrap(&format!("load order: {}", order.join(", ")), "", &mut lines);
    match &plan.cycles[..] {
        [] => lines.push("cycles: none".to_owned()),
        cycles => {
            for cycle in cycles {
                let tables: Vec<String> = cycle.iter().map(|&id| shown(plan, id)).collect();
                let text = format!("cycle: {} (it loads: foreign keys come after all rows)", tables.join(", "));
                wrap(&text, "", &mut lines);
            }
        }
    }
    for line in isolation_lines(plan) {
        wrap(&line, "  ", &mut lines);
    }
    common_hazards(plan, &mut lines);
    // In front: nobody reads a hundred lines to learn what their words mean.
    let mut words = vec!["in words:".to_owned()];
    for meaning in vocabulary(&lines.join("\n")) {
        wrap(&format!("  {meaning}"), "      ", &mut words);
    }
    lines.splice(1..1, words);
    lines.push(match plan.hazards().len() {
        0 => "hazards: none".to_owned(),
        count => format!("hazards: {count}, marked ! above"),
    });
    let mut text = lines.join("\n");
    text.push('\n');
    text
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
        if let About::Index(name) = &decision.about {
            let name = format!("{name}{}", predicate(plan, source, name));
            let name = visible(&name);
            match indexes.iter_mut().find(|(other, _)| other.is_alike(&shown)) {
                Some((_, names)) => names.push(name.into_owned()),
                None => indexes.push((shown, vec![name.into_owned()])),
            }
            continue;
        }
        wrap(&format!("  {}", shown.line()), "      ", lines);
    }
    additions(plan, source, lines);
    for (shown, names) in indexes {
        let what = match names.len() {
            1 => format!("index {}", names[0]),
            count => format!("{count} indexes {}", names.join(", ")),
        };
        wrap(&format!("  {}", Decided { what, ..shown }.line()), "      ", lines);
    }
    let own = plan.hazards().iter().filter(|hazard| hazard.table == source && !is_everywhere(plan, hazard.code));
    for hazard in own {
        wrap(&format!("  ! {}: {}", hazard.code, visible(&hazard.message)), "      ", lines);
        wrap(&format!("      {}", visible(&hazard.help)), "      ", lines);
    }
}

/// Writes ` where …` for an index of the source that is over some of the rows only.
fn predicate(plan: &Plan, source: TableId, name: &str) -> String {
    let described = plan.source.table(source).indexes.iter().map(|&id| plan.source.index(id));
    let found = described.filter(|index| index.name == name).find_map(|index| index.predicate.as_ref());
    found.and_then(|expr| sqlite_text(&plan.source, expr)).map(|text| format!(" where {text}")).unwrap_or_default()
}

/// Says in a sentence each what the words of the spec mean that stand in a text.
fn vocabulary(text: &str) -> Vec<String> {
    const WORDS: &[(&str, &str)] = &[
        ("rows: root", "rows: root: each row is a tenant, known by its own key"),
        (
            "primary key (",
            "a primary key that gets the tenant column is weaker: two tenants may have the same id, and ON CONFLICT has to \
             name both columns. The ids that are given out go on to differ: all tenants count on one sequence",
        ),
        ("{via: ", "{via: X}: a row belongs to the tenant of the row that X refers to"),
        ("{column: ", "{column: X}: of a row, its own column X names its tenant"),
        (
            "{column: ",
            "{column: X}: of a foreign key, it gets a tenant column X of its own, which has to name the row's tenant",
        ),
        ("cross_tenant: allow", "cross_tenant: allow: that column may name another tenant than the row's"),
        (
            "per_tenant",
            "per_tenant: the tenant column is part of it, so it holds within each tenant: two tenants may have the same key",
        ),
        (
            "global",
            "global: without the tenant column: a key is unique among all tenants, a reference can reach any tenant's row",
        ),
        ("[COLUMN, …]", "[COLUMN, …]: exactly these columns in place of the key's own"),
        ("shared", "shared: one table for all tenants, without the tenant column"),
        ("omit", "omit: left out of the target"),
    ];
    const ALWAYS: &[&str] = &[
        "→: what it becomes; without an arrow it stays as it is",
        "else: what could be chosen instead, in the spec's words; a line without it leaves no choice. A file and line say \
         that the spec chose, other words that the tool did",
        "rows that belong to no tenant, or whose references lead to two, stop the audit before anything is moved, unless \
         `rows` decides them",
        "types, defaults and actions that are not listed follow the source: `tenantry emit` shows them",
    ];
    let always = ALWAYS.iter().map(|&meaning| meaning.to_owned());
    always
        .chain(WORDS.iter().filter(|(word, _)| text.contains(word)).map(|(_, meaning)| (*meaning).to_owned()))
        .collect()
}

/// Lists what no decision of the table's own shows: keys that stay as they are, and what tenancy adds.
fn additions(plan: &Plan, source: TableId, lines: &mut Vec<String>) {
    let (rewritten, target) = (&plan.rewritten, &plan.rewritten.target);
    let Some(position) = rewritten.source_tables.iter().position(|&table| table == source) else { return };
    let described = &target.tables[position];
    let names = |columns: &[ColumnId]| target.column_names(columns).collect::<Vec<_>>().join(", ");
    let is_decided = |wanted: fn(&About) -> bool| plan.decisions_about(source).any(|decision| wanted(&decision.about));
    if let Some(key) = described.primary_key.filter(|_| !is_decided(|about| matches!(about, About::PrimaryKey))) {
        lines.push(format!("  primary key ({}): as it is", visible(&names(&target.key(key).columns))));
    }
    if !is_decided(|about| matches!(about, About::Unique(_))) {
        for &key in &described.unique_keys {
            lines.push(format!("  unique ({}): as it is", visible(&names(&target.key(key).columns))));
        }
    }
    for &id in described.columns.iter().filter(|id| rewritten.values[id.index()] == ColumnValue::Tenant) {
        let column = target.column(id);
        let added =
            rewritten.values.get(id.index()).is_some() && plan.source.find_column(source, &column.name).is_none();
        let what = if added { "added" } else { "filled in" };
        lines.push(format!(
            "  column {} {}: {what}, NOT NULL, the tenant of the row",
            visible(&column.name),
            column.data_type
        ));
    }
    for &id in described.foreign_keys.iter().filter(|id| rewritten.source_foreign_keys[id.index()].is_none()) {
        let foreign_key = target.foreign_key(id);
        let text = format!(
            "  foreign key ({}) to {} ({}): added (each tenant is a row of it)",
            names(&foreign_key.columns),
            target.table(foreign_key.referenced_table).name,
            names(&foreign_key.referenced_columns)
        );
        wrap(&visible(&text), "      ", lines);
    }
}

/// How many tables a hazard concerns before it is told once for all of them.
const EVERYWHERE: usize = 4;

/// Says whether so many tables have a hazard that repeating it would bury the others.
fn is_everywhere(plan: &Plan, code: &str) -> bool {
    plan.hazards().iter().filter(|hazard| hazard.code == code && code == "lookup-by-id-alone").count() >= EVERYWHERE
}

/// Tells a hazard of many tables once.
fn common_hazards(plan: &Plan, lines: &mut Vec<String>) {
    let Some(first) = plan.hazards().iter().find(|hazard| is_everywhere(plan, hazard.code)) else { return };
    let alike = plan.hazards().iter().filter(|hazard| hazard.code == first.code);
    let tables: Vec<String> = alike.map(|hazard| shown(plan, hazard.table)).collect();
    wrap(&format!("! {} in {}:", first.code, tables.join(", ")), "    ", lines);
    let text = "a query by the key without the table's tenant column reads the whole table, unless row-level security adds \
                it; let every query name it, or add `indexes: {NAME: {columns: [KEY]}}`";
    wrap(&format!("    {text}"), "    ", lines);
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

//! One decision in words: what, the choice, who chose, what else it could be.

use crate::diagnostic::Sources;
use crate::ident::visible;
use crate::plan::Plan;
use crate::schema::{ColumnId, ForeignKeyId, TableId};
use crate::spec::{About, Decision, Origin, Placement, TenantSource};

/// A decision in words, free of control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decided {
    /// What was decided, with its columns before and after.
    pub what: String,
    /// The choice, in the spec's words.
    pub choice: String,
    /// Who chose: a line of the spec, or the reason.
    pub reason: String,
    /// What it could be instead, in the spec's words.
    pub alternatives: String,
}

impl Decided {
    /// Writes it as one line.
    pub fn line(&self) -> String {
        let alternatives = match self.alternatives.as_str() {
            "" => String::new(),
            alternatives => format!("; else {alternatives}"),
        };
        format!("{}: {} ({}{alternatives})", self.what, self.choice, self.reason)
    }

    /// Says whether two decisions differ only in what they are about.
    pub fn is_alike(&self, other: &Self) -> bool {
        self.choice == other.choice && self.reason == other.reason && self.alternatives == other.alternatives
    }
}

/// Puts a decision into words.
pub(super) fn decided(plan: &Plan, decision: &Decision, sources: &Sources) -> Decided {
    let what = match &decision.about {
        About::Placement => "rows".to_owned(),
        About::Tenant => match plan.tenancy.table(decision.table).placement {
            Placement::Tenant(TenantSource::Via(_)) => {
                format!("tenant of a row, {}", plan.tenant_path(decision.table))
            }
            _ => "tenant of a row".to_owned(),
        },
        About::PrimaryKey => format!("primary key {}", primary_key(plan, decision.table)).trim_end().to_owned(),
        About::Unique(key) => format!("unique {}", unique(plan, decision.table, key)),
        About::ForeignKey(key) => format!("foreign key {}", foreign_key(plan, decision.table, key)),
        About::Index(name) => format!("index {name}"),
        About::Column(name) => format!("column {name}"),
        About::Rls => "row-level security".to_owned(),
        About::Rows => "rows".to_owned(),
        About::Check(name) => format!("check {name}"),
    };
    Decided {
        what: visible(&what).into_owned(),
        choice: visible(&decision.choice).into_owned(),
        reason: visible(&origin_text(&decision.origin, sources)).into_owned(),
        alternatives: visible(&decision.alternatives.join(" | ")).into_owned(),
    }
}

/// Writes `(id) → (account_id, id)`; nothing where there is none on either side.
fn primary_key(plan: &Plan, source: TableId) -> String {
    let before = plan.source.table(source).primary_key.map(|key| &plan.source.key(key).columns[..]).unwrap_or_default();
    let target = plan.rewritten.source_tables.iter().position(|&table| table == source);
    let after = target
        .and_then(|target| plan.rewritten.target.tables[target].primary_key)
        .map(|key| &plan.rewritten.target.key(key).columns[..])
        .unwrap_or_default();
    let before: Vec<&str> = plan.source.column_names(before).collect();
    let after: Vec<&str> = plan.rewritten.target.column_names(after).collect();
    if before.is_empty() && after.is_empty() {
        return String::new();
    }
    if before == after {
        return format!("({})", before.join(", "));
    }
    format!("({}) → ({})", before.join(", "), after.join(", "))
}

/// Writes `(code) → (account_id, code)`; a key that stays as it is has no arrow.
fn unique(plan: &Plan, source: TableId, key: &str) -> String {
    let target = &plan.rewritten.target;
    let after = plan.rewritten.source_tables.iter().position(|&table| table == source).and_then(|position| {
        let table = TableId(position as u32);
        let tenant = plan.rewritten.tenant_columns[position]?;
        let widened = |columns: &[ColumnId]| {
            let own: Vec<&str> =
                target.column_names(columns).filter(|&name| name != target.column(tenant).name).collect();
            columns.contains(&tenant) && own.join(", ") == key
        };
        target.unique_column_sets(table).into_iter().find(|columns| widened(columns))
    });
    match after {
        Some(columns) => format!("({key}) → ({})", target.column_names(&columns).collect::<Vec<_>>().join(", ")),
        None => format!("({key})"),
    }
}

/// Writes `(customer_id) → (account_id, customer_id) to customers (account_id, id)`.
fn foreign_key(plan: &Plan, source: TableId, key: &str) -> String {
    let found = plan.source.foreign_keys.iter().enumerate().find(|(_, foreign_key)| {
        foreign_key.table == source
            && plan.source.column_names(&foreign_key.columns).collect::<Vec<_>>().join(", ") == key
    });
    let Some((position, foreign_key)) = found else { return format!("({key})") };
    let parent = &plan.source.table(foreign_key.referenced_table).name;
    let id = Some(ForeignKeyId(position as u32));
    match plan.rewritten.source_foreign_keys.iter().position(|&from| from == id) {
        Some(after) => {
            let after = &plan.rewritten.target.foreign_keys[after];
            let names = |columns| plan.rewritten.target.column_names(columns).collect::<Vec<_>>().join(", ");
            let (columns, referenced) = (names(&after.columns), names(&after.referenced_columns));
            if columns == key {
                format!("({key}) to {parent} ({referenced})")
            } else {
                format!("({key}) → ({columns}) to {parent} ({referenced})")
            }
        }
        None => format!("({key}) to {parent}"),
    }
}

/// Names what a decision is about, as the spec's keys do.
pub(super) fn object_name(about: &About) -> String {
    match about {
        About::Placement => "placement".to_owned(),
        About::Tenant => "tenant".to_owned(),
        About::PrimaryKey => "primary_key".to_owned(),
        About::Unique(key) => format!("unique.{key}"),
        About::ForeignKey(key) => format!("foreign_keys.{key}"),
        About::Index(name) => format!("indexes.{name}"),
        About::Column(name) => format!("columns.{name}"),
        About::Rls => "rls".to_owned(),
        About::Rows => "rows".to_owned(),
        About::Check(name) => format!("checks.{name}"),
    }
}

/// Says who made a choice: the spec's line, or the tool's reason.
pub(super) fn origin_text(origin: &Origin, sources: &Sources) -> String {
    match origin {
        Origin::Spec(span) => match (sources.get(span.source), sources.line(span)) {
            (Some(source), Some(line)) => format!("{}:{line}", source.name),
            _ => "the spec".to_owned(),
        },
        Origin::Inferred(reason) => reason.clone(),
    }
}

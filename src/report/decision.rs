//! One decision in words: what, the choice, who chose, what else it could be.

use crate::copy::clearable;
use crate::diagnostic::Sources;
use crate::emit;
use crate::ident::visible;
use crate::plan::{ADDED, FILLED_IN, KEPT, Plan, UniqueObject};
use crate::remap::is_followed;
use crate::rewrite::ColumnValue;
use crate::schema::{Action, ColumnId, Expr, ForeignKeyId, IndexId, IndexPart, TableId, sqlite_text};
use crate::spec::{About, Actions, Decision, Origin, OrphanPolicy, Placement, TenantSource};

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
    let change = Change::of(plan, decision);
    let columns = change.columns_text();
    let what = match &decision.about {
        About::Placement => "rows".to_owned(),
        About::Name => "name".to_owned(),
        About::Tenant => match &change.path {
            Some(path) => format!("tenant of a row, {path}"),
            None => "tenant of a row".to_owned(),
        },
        About::PrimaryKey => format!("primary key {columns}"),
        About::Unique(_) => format!("unique {columns}"),
        About::ForeignKey(..) => format!("foreign key {columns}"),
        // A new index is made of what the spec lists.
        About::Index(name) if change.before.is_none() => format!("index {name}"),
        About::Index(name) => format!("index {name} {columns}"),
        About::Column(name) => match &change.data_type {
            Some(data_type) => format!("column {name} {data_type}"),
            None => format!("column {name}{}", types_text(plan, decision.table, name)),
        },
        About::Rls => "row-level security".to_owned(),
        About::Rows => match clearable_references(plan, decision.table) {
            references if references.is_empty() => "rows".to_owned(),
            references => format!("rows, set_null of {}", references.join(", ")),
        },
        About::Check(name) => format!("check {name}"),
    };
    Decided {
        what: visible(what.trim_end()).into_owned(),
        choice: visible(&decision.choice).into_owned(),
        reason: visible(&origin_text(&decision.origin, sources)).into_owned(),
        alternatives: visible(&decision.alternatives.join(" | ")).into_owned(),
    }
}

/// Writes the type that the source declares for a column, and that of the target.
fn types_text(plan: &Plan, table: TableId, name: &str) -> String {
    let Some(column) = plan.source.find_column(table, name) else { return String::new() };
    let declared = &plan.source.column(column).data_type.0;
    let target = &plan.rewritten.target;
    let found = plan.target_table(table).and_then(|table| {
        let is_it = |id: &ColumnId| match plan.rewritten.values[id.index()] {
            ColumnValue::Source(from) | ColumnValue::TenantId(from) | ColumnValue::Generated(from) => from == column,
            ColumnValue::Tenant | ColumnValue::ReferenceTenant(_) => false,
        };
        target.table(table).columns.iter().copied().find(is_it)
    });
    let declared = if declared.is_empty() { "without a type" } else { declared };
    match found {
        Some(found) => format!(" {declared} → {}", target.column(found).data_type),
        None => format!(" {declared}"),
    }
}

/// Names the references that `orphan: set_null` makes NULL.
fn clearable_references(plan: &Plan, table: TableId) -> Vec<String> {
    if plan.tenancy.table(table).rows.orphan != OrphanPolicy::SetNull {
        return Vec::new();
    }
    let own = plan.source.table(table).foreign_keys.iter().filter(|&&id| is_followed(plan, id));
    let columns = own.map(|&id| clearable(plan, id)).filter(|columns| !columns.is_empty());
    columns.map(|columns| format!("({})", plan.source.column_names(&columns).collect::<Vec<_>>().join(", "))).collect()
}

/// Which actions of a foreign key the spec chose; the others are the source's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub on_delete: bool,
    pub on_update: bool,
}

impl Said {
    fn of(actions: Option<&Actions>) -> Self {
        let actions = actions.copied().unwrap_or_default();
        Self { on_delete: actions.on_delete.is_some(), on_update: actions.on_update.is_some() }
    }
}

/// What a decision makes of an object of the source, or adds to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Change {
    /// The way from a row to its tenant, where it leads through other tables.
    pub path: Option<String>,
    /// The source's columns of a key, reference or index; `None` where the source has no such object.
    pub before: Option<Vec<String>>,
    /// The target's columns of it; `None` where the target has no such object.
    pub after: Option<Vec<String>>,
    /// The condition of an index, as the source has it.
    pub predicate: Option<String>,
    /// The table that a foreign key refers to, and the columns there in the target.
    pub references: Option<(String, Vec<String>)>,
    /// ON DELETE of a foreign key in the target, where that is not NO ACTION.
    pub on_delete: Option<String>,
    /// ON UPDATE of a foreign key in the target, where that is not NO ACTION.
    pub on_update: Option<String>,
    /// Which of the actions the spec chose.
    pub said: Said,
    /// The target's type of a column that tenancy adds or needs.
    pub data_type: Option<String>,
}

impl Change {
    /// Finds what a decision changes.
    pub fn of(plan: &Plan, decision: &Decision) -> Self {
        let (table, target) = (decision.table, &plan.rewritten.target);
        match &decision.about {
            About::Tenant => match plan.tenancy.table(table).placement {
                Placement::Tenant(TenantSource::Via(_)) => {
                    Self { path: Some(plan.tenant_path(table)), ..Self::default() }
                }
                _ => Self::default(),
            },
            About::PrimaryKey => Self::of_primary_key(plan, table),
            About::Unique(name) if decision.choice == ADDED => {
                Self { after: Some(name.split(", ").map(str::to_owned).collect()), ..Self::default() }
            }
            About::Unique(name) => Self::of_unique(plan, table, name),
            About::ForeignKey(columns, id) => Self::of_foreign_key(plan, decision, columns, *id),
            About::Index(name) => Self::of_index(plan, table, name),
            About::Column(name) if [ADDED, KEPT, FILLED_IN].contains(&decision.choice.as_str()) => {
                let column = plan.target_table(table).and_then(|table| target.find_column(table, name));
                let data_type = column.map(|column| target.column(column).data_type.to_string());
                Self { data_type, ..Self::default() }
            }
            About::Placement | About::Name | About::Column(_) | About::Rls | About::Rows | About::Check(_) => {
                Self::default()
            }
        }
    }

    fn of_primary_key(plan: &Plan, table: TableId) -> Self {
        let before = plan.source.table(table).primary_key.map(|key| &plan.source.key(key).columns);
        let target = plan.target_table(table).and_then(|table| plan.rewritten.target.table(table).primary_key);
        Self {
            before: before.map(|columns| key_columns(plan, table, columns, "PRIMARY KEY DESC")),
            after: target.map(|key| target_names(plan, &plan.rewritten.target.key(key).columns)),
            ..Self::default()
        }
    }

    fn of_unique(plan: &Plan, table: TableId, name: &str) -> Self {
        let Some((_, object)) = plan.unique_objects(table).into_iter().find(|(other, _)| other == name) else {
            return Self::default();
        };
        match object {
            UniqueObject::Key(id) => {
                let own = &plan.source.key(id).columns;
                let decided = plan.tenancy.table(table).unique.get(&id);
                let after = decided.and_then(|decided| plan.key_after(table, decided, own));
                Self {
                    before: Some(key_columns(plan, table, own, "UNIQUE DESC")),
                    after: after.map(|columns| target_names(plan, &columns)),
                    ..Self::default()
                }
            }
            UniqueObject::Index(id) => Self::of_source_index(plan, id),
        }
    }

    fn of_index(plan: &Plan, table: TableId, name: &str) -> Self {
        let indexes = &plan.source.table(table).indexes;
        match indexes.iter().find(|&&id| plan.source.index(id).name == name) {
            Some(&id) => Self::of_source_index(plan, id),
            None => {
                let target = &plan.rewritten.target;
                let indexes =
                    plan.target_table(table).map(|table| &target.table(table).indexes[..]).unwrap_or_default();
                let found = indexes.iter().copied().find(|&id| target.index(id).name == name);
                Self { after: found.map(|id| index_after(plan, id)), ..Self::default() }
            }
        }
    }

    fn of_source_index(plan: &Plan, id: IndexId) -> Self {
        let predicate = plan.source.index(id).predicate.as_ref();
        let before = plan.index_parts_before(id);
        let after = plan.target_index(id).map(|after| {
            // What an expression becomes in PostgreSQL's dialect is `emit`'s to show: here it stands as the source has it.
            let after = &plan.rewritten.target.index(after).parts;
            let added = after.len().saturating_sub(before.len());
            let text = |(position, part): (usize, &IndexPart)| match part.expr {
                Expr::Column(column) => format!("{}{}", plan.rewritten.target.column(column).name, part.order()),
                _ => position.checked_sub(added).and_then(|own| before.get(own)).cloned().unwrap_or_default(),
            };
            after.iter().enumerate().map(text).collect()
        });
        let predicate = predicate.and_then(|expr| sqlite_text(&plan.source, expr));
        Self { before: Some(before), after, predicate, ..Self::default() }
    }

    fn of_foreign_key(plan: &Plan, decision: &Decision, columns: &str, id: Option<ForeignKeyId>) -> Self {
        let target = &plan.rewritten.target;
        let after = |id: ForeignKeyId| {
            let after = target.foreign_key(id);
            let set = after.set_columns.as_ref();
            let set = set.map(|columns| format!(" ({})", target_names(plan, columns).join(", "))).unwrap_or_default();
            let action =
                |action: Action, set: &str| (action != Action::NoAction).then(|| format!("{}{set}", action.sql()));
            Self {
                after: Some(target_names(plan, &after.columns)),
                references: Some((
                    target.table(after.referenced_table).name.clone(),
                    target_names(plan, &after.referenced_columns),
                )),
                on_delete: action(after.on_delete, &set),
                on_update: action(after.on_update, ""),
                ..Self::default()
            }
        };
        if decision.choice == ADDED {
            let own = plan.target_table(decision.table).map(|table| &target.table(table).foreign_keys[..]);
            let found = own.unwrap_or_default().iter().copied().find(|&id| {
                plan.rewritten.source_foreign_keys[id.index()].is_none()
                    && target_names(plan, &target.foreign_key(id).columns).join(", ") == columns
            });
            return found.map(after).unwrap_or_default();
        }
        let before = Some(columns.split(", ").map(str::to_owned).collect());
        let Some(id) = id else { return Self { before, ..Self::default() } };
        match plan.target_foreign_key(id) {
            Some(to) => {
                let said = Said::of(plan.tenancy.table(decision.table).actions.get(&id));
                Self { before, said, ..after(to) }
            }
            None => {
                let parent = plan.source.foreign_key(id).referenced_table;
                let references = Some((plan.source.table(parent).name.clone(), Vec::new()));
                Self { before, references, ..Self::default() }
            }
        }
    }

    /// Writes `(id) → (account_id, id)`, of a foreign key with what it refers to and does; nothing where there are no
    /// columns, and no arrow where they stay.
    pub fn columns_text(&self) -> String {
        let list = |columns: &[String]| format!("({})", columns.join(", "));
        let mut text = match (&self.before, &self.after) {
            (Some(before), Some(after)) if before != after => format!("{} → {}", list(before), list(after)),
            (Some(columns), _) | (None, Some(columns)) => list(columns),
            (None, None) => String::new(),
        };
        if let Some(predicate) = &self.predicate {
            text.push_str(&format!(" where {predicate}"));
        }
        if let Some((parent, columns)) = &self.references {
            let columns = if columns.is_empty() { String::new() } else { format!(" {}", list(columns)) };
            text.push_str(&format!(" to {parent}{columns}"));
        }
        for (event, action, said, key) in [
            ("DELETE", &self.on_delete, self.said.on_delete, "on_delete"),
            ("UPDATE", &self.on_update, self.said.on_update, "on_update"),
        ] {
            match action {
                Some(action) => text.push_str(&format!(" ON {event} {action}")),
                None if said => text.push_str(&format!(" without ON {event}")),
                None => {}
            }
            if said {
                text.push_str(&format!(" as {key} says"));
            }
        }
        text
    }
}

fn target_names(plan: &Plan, columns: &[ColumnId]) -> Vec<String> {
    plan.rewritten.target.column_names(columns).map(str::to_owned).collect()
}

/// Names the columns of a key of the source, with the direction that SQLite was told and PostgreSQL's keys do not have.
fn key_columns(plan: &Plan, table: TableId, columns: &[ColumnId], descending: &str) -> Vec<String> {
    let is_descending = |column: ColumnId| {
        let mut clauses = plan.source.unmapped.iter().filter(|clause| clause.table == table);
        clauses.any(|clause| clause.clause == descending && clause.columns == [column])
    };
    let text = |&column: &ColumnId| {
        format!("{}{}", plan.source.column(column).name, if is_descending(column) { " DESC" } else { "" })
    };
    columns.iter().map(text).collect()
}

fn index_after(plan: &Plan, id: IndexId) -> Vec<String> {
    let target = &plan.rewritten.target;
    let parts = target.index(id).parts.iter();
    parts.map(|part| format!("{}{}", emit::expression(target, &part.expr), part.order())).collect()
}

/// Names what a decision is about, as the spec's keys do.
pub(super) fn object_name(about: &About) -> String {
    match about {
        About::Placement => "placement".to_owned(),
        About::Name => "name".to_owned(),
        About::Tenant => "tenant".to_owned(),
        About::PrimaryKey => "primary_key".to_owned(),
        About::Unique(key) => format!("unique.{key}"),
        About::ForeignKey(key, _) => format!("foreign_keys.{key}"),
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

//! ON DELETE and ON UPDATE of a composite foreign key do to the row what they did to it alone, and never touch its tenant.
//!
//! PostgreSQL takes a column list for ON DELETE SET NULL and SET DEFAULT, from version 15 on, and none for ON UPDATE. So
//! an action that would have to clear the tenant column, or a column that cannot be set, is an error with the choices.

use super::Hazard;
use super::draft::Draft;
use crate::diagnostic::Diagnostic;
use crate::schema::{Action, ColumnId, ForeignKey, TableId};

/// What a rewritten foreign key was made of.
pub(super) struct Reference {
    /// What the spec calls it.
    pub key: String,
    /// The columns that it had in the source.
    pub plain: Vec<ColumnId>,
    /// The tenant column that went with it.
    pub own: Option<ColumnId>,
    /// That tenant column is the reference's own.
    pub has_own_column: bool,
}

/// Settles the actions; `false` after an error.
pub(super) fn settle(
    draft: &mut Draft<'_>,
    source: TableId,
    foreign_key: &mut ForeignKey,
    reference: &Reference,
) -> bool {
    if !generated_columns_allow(draft, source, foreign_key, reference) {
        return false;
    }
    let Some(tenant) = reference.own.filter(|own| foreign_key.columns.contains(own)) else { return true };
    delete_action(draft, source, foreign_key, reference, tenant) && update_action(draft, source, foreign_key, reference)
}

fn delete_action(
    draft: &mut Draft<'_>,
    source: TableId,
    foreign_key: &mut ForeignKey,
    reference: &Reference,
    tenant: ColumnId,
) -> bool {
    let listed: Vec<ColumnId> = reference.plain.iter().copied().filter(|&column| column != tenant).collect();
    let has_default = listed.iter().any(|&column| draft.target.column(column).default.is_some());
    match foreign_key.on_delete {
        Action::NoAction | Action::Restrict | Action::Cascade => return true,
        // Without a default the reference is absent afterwards, and so is its tenant.
        Action::SetDefault if reference.has_own_column && !has_default => return true,
        // Both are cleared: the reference is absent, and has no tenant.
        Action::SetNull if reference.has_own_column => {
            let nullable = |column: &ColumnId| !draft.target.column(*column).not_null;
            if !foreign_key.columns.iter().all(nullable) {
                let columns = foreign_key.columns.iter().copied();
                foreign_key.set_columns = Some(columns.filter(nullable).collect());
            }
        }
        // Without the list the action would clear the tenant column as well, and fail when it is used.
        Action::SetNull | Action::SetDefault if listed.is_empty() => {
            let message = format!(
                "`{}` ({}) has ON DELETE {}, and is the tenant column, which is never NULL",
                draft.target.table(foreign_key.table).name,
                columns_text(draft, &foreign_key.columns),
                foreign_key.on_delete.sql()
            );
            draft.error(
                Diagnostic::error("on-delete-clears-tenant", message)
                    .label_opt(foreign_key.span.clone(), "declared here")
                    .help(action_help(reference, "on_delete", "cascade|restrict|no_action")),
            );
            add_choices(draft, source, reference, "on_delete");
            return false;
        }
        Action::SetNull | Action::SetDefault => foreign_key.set_columns = Some(listed),
    }
    if foreign_key.on_delete == Action::SetDefault && has_default {
        let columns = columns_text(draft, &reference.plain);
        draft.hazards.push(Hazard {
            code: "set-default-needs-row",
            table: source,
            message: format!("ON DELETE SET DEFAULT of ({columns}) needs the default row in every tenant"),
            help:
                "a delete fails for each tenant that has no row with the default key: give it one, or choose another \
                   action with `on_delete:`"
                    .to_owned(),
            span: foreign_key.span.clone(),
        });
    }
    if foreign_key.set_columns.is_some() && draft.tenancy.target.version.is_none() {
        let columns = columns_text(draft, &reference.plain);
        draft.hazards.push(Hazard {
            code: "set-null-column-list",
            table: source,
            message: format!("ON DELETE {} ({columns}) needs PostgreSQL 15", foreign_key.on_delete.sql()),
            help: "say `target: {version: 15}` once the server is known to be that new".to_owned(),
            span: foreign_key.span.clone(),
        });
    }
    true
}

fn update_action(draft: &mut Draft<'_>, source: TableId, foreign_key: &ForeignKey, reference: &Reference) -> bool {
    match foreign_key.on_update {
        Action::NoAction | Action::Restrict => true,
        Action::SetNull if reference.has_own_column => true,
        Action::Cascade => {
            let columns = columns_text(draft, &foreign_key.columns);
            draft.hazards.push(Hazard {
                code: "cascade-moves-tenant",
                table: source,
                message: format!("ON UPDATE CASCADE of ({columns}) follows a row into another tenant"),
                help: "let no application change a tenant column; a row that moves takes along all that refers to it"
                    .to_owned(),
                span: foreign_key.span.clone(),
            });
            true
        }
        Action::SetNull | Action::SetDefault => {
            let message = format!(
                "`{}` ({}) has ON UPDATE {}, which would clear the tenant column too",
                draft.target.table(foreign_key.table).name,
                columns_text(draft, &foreign_key.columns),
                foreign_key.on_update.sql()
            );
            draft.error(
                Diagnostic::error("on-update-clears-tenant", message)
                    .label_opt(foreign_key.span.clone(), "declared here")
                    .help(format!(
                        "PostgreSQL takes no column list for ON UPDATE: {}",
                        action_help(reference, "on_update", "cascade|restrict|no_action")
                    )),
            );
            add_choices(draft, source, reference, "on_update");
            false
        }
    }
}

/// PostgreSQL computes a generated column by itself: no action can set it.
fn generated_columns_allow(
    draft: &mut Draft<'_>,
    source: TableId,
    foreign_key: &ForeignKey,
    reference: &Reference,
) -> bool {
    if !foreign_key.columns.iter().any(|&column| draft.target.column(column).generated.is_some()) {
        return true;
    }
    let sets = |action| matches!(action, Action::SetNull | Action::SetDefault);
    let refused = match (foreign_key.on_delete, foreign_key.on_update) {
        (delete, _) if sets(delete) => format!("ON DELETE {}", delete.sql()),
        (_, update) if sets(update) || update == Action::Cascade => format!("ON UPDATE {}", update.sql()),
        _ => return true,
    };
    let columns = columns_text(draft, &reference.plain);
    let message =
        format!("`{}` ({columns}) is generated, and has {refused}", draft.target.table(foreign_key.table).name);
    let key = reference.key.trim_matches('"');
    let path = ["tables", &draft.source.table(source).name, "foreign_keys", key];
    let means = "a row that is referred to stays as it is";
    draft.error(
        Diagnostic::error("generated-foreign-key-action", message)
            .label_opt(foreign_key.span.clone(), "declared here")
            .help(format!(
                "a generated column takes no other value: choose another action, as in\n  foreign_keys: {{{}: {{on_delete: \
                 restrict, on_update: no_action}}}}",
                reference.key
            ))
            .suggest(&[&path[..], &["on_delete"]].concat(), "restrict", means)
            .suggest(&[&path[..], &["on_update"]].concat(), "no_action", means),
    );
    false
}

/// Adds the actions that can be chosen to the error that has just been reported.
fn add_choices(draft: &mut Draft<'_>, source: TableId, reference: &Reference, event: &str) {
    let table = draft.source.table(source).name.as_str();
    let path = ["tables", table, "foreign_keys", reference.key.trim_matches('"'), event];
    if let Some(error) = draft.errors.0.pop() {
        let error = error
            .choose(&path, "cascade", "what refers to a row goes or changes with it")
            .choose(&path, "restrict", "a row that is referred to cannot go or change")
            .choose(&path, "no_action", "the same, checked at the end of the statement");
        draft.error(error);
    }
}

fn action_help(reference: &Reference, key: &str, actions: &str) -> String {
    format!("choose another action in the spec, as in\n  foreign_keys: {{{}: {{{key}: {actions}}}}}", reference.key)
}

fn columns_text(draft: &Draft<'_>, columns: &[ColumnId]) -> String {
    draft.target.column_names(columns).collect::<Vec<_>>().join(", ")
}

//! Every tenant table refers to the root, where there is one: a row of no tenant cannot be written.

use super::Hazard;
use super::draft::Draft;
use crate::schema::{Action, Deferral, ForeignKey, ForeignKeyId, SourceSchema, TableId};
use crate::spec::{Placement, RootForeignKey, Tenancy, TenantSource};
use std::collections::BTreeMap;

pub(super) fn add(draft: &mut Draft<'_>) {
    let Some(root) = draft.tenancy.root.clone() else { return };
    let on_delete = match root.foreign_key {
        RootForeignKey::Restrict => Action::Restrict,
        RootForeignKey::Cascade => Action::Cascade,
        RootForeignKey::NoAction => Action::NoAction,
        RootForeignKey::None => return,
    };
    let mut fates = BTreeMap::from([(root.table, Fate::Goes)]);
    let (Some(root_table), Some(root_key)) = (draft.table_of(root.table), draft.column_of(root.key)) else { return };
    for (source, table, _) in draft.migrated() {
        let Some(tenant) = draft.tenant_column(table) else { continue };
        let there = draft.target.table(table).foreign_keys.iter().any(|&id| {
            let foreign_key = draft.target.foreign_key(id);
            foreign_key.referenced_table == root_table && foreign_key.columns == [tenant]
        });
        if !draft.is_tenant(source) || there {
            continue;
        }
        draft.add_foreign_key(
            ForeignKey {
                table,
                name: None,
                columns: vec![tenant],
                referenced_table: root_table,
                referenced_columns: vec![root_key],
                on_delete,
                on_update: Action::NoAction,
                set_columns: None,
                match_full: false,
                deferral: Deferral::NotDeferrable,
                span: None,
            },
            None,
        );
        // RESTRICT is chosen: whoever writes it wants the refusal.
        if on_delete == Action::NoAction {
            deletion_refused(draft, root.table, source, fate(draft.source, draft.tenancy, source, &mut fates));
        }
    }
}

/// What the source does with a table's rows when the row of their tenant is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// They are deleted with it.
    Goes,
    /// They are left behind.
    Stays,
    /// While they are there it cannot be deleted.
    Refuses,
}

/// Follows the actions of the foreign keys from the root.
fn fate(source: &SourceSchema, tenancy: &Tenancy, table: TableId, known: &mut BTreeMap<TableId, Fate>) -> Fate {
    if let Some(&fate) = known.get(&table) {
        return fate;
    }
    // What a cycle leads back to; the other ways out of it decide.
    known.insert(table, Fate::Stays);
    let mut found = Fate::Stays;
    for &id in &source.table(table).foreign_keys {
        let foreign_key = source.foreign_key(id);
        // A row without the reference goes its own way; but a row has a tenant only by the one that its tenant is found by.
        let always = finds_tenant(source, tenancy, id)
            || foreign_key.columns.iter().all(|&column| source.column(column).not_null);
        let refuses = match (fate(source, tenancy, foreign_key.referenced_table, known), foreign_key.on_delete) {
            (Fate::Goes, Action::NoAction | Action::Restrict) | (Fate::Refuses, _) => always,
            (Fate::Goes, Action::Cascade) => {
                found = Fate::Goes;
                false
            }
            (Fate::Goes | Fate::Stays, _) => false,
        };
        if refuses {
            found = Fate::Refuses;
            break;
        }
    }
    known.insert(table, found);
    found
}

/// Says whether the tenant of a row is found by a foreign key, and by nothing else.
fn finds_tenant(source: &SourceSchema, tenancy: &Tenancy, id: ForeignKeyId) -> bool {
    let foreign_key = source.foreign_key(id);
    match &tenancy.table(foreign_key.table).placement {
        Placement::Tenant(TenantSource::Via(way)) => *way == id,
        Placement::Tenant(TenantSource::Column(column)) => foreign_key.columns == [*column],
        _ => false,
    }
}

/// PostgreSQL looks at a foreign key before the cascades over other tables have come to the row: tried with the constraints
/// in every order.
fn deletion_refused(draft: &mut Draft<'_>, root: TableId, table: TableId, fate: Fate) {
    let before = match fate {
        Fate::Goes => "takes them along",
        Fate::Stays => "leaves them behind",
        Fate::Refuses => return,
    };
    let root = draft.source.table(root).name.clone();
    draft.hazards.push(Hazard {
        code: "tenant-deletion-refused",
        table,
        message: format!("deleting a row of `{root}` fails while it has rows here; the source {before}"),
        help: format!(
            "write `tenant: {{root: {{table: {root}, foreign_key: cascade}}}}`, which goes for all tables, or `restrict` where it \
             is to fail, or let the application delete these rows first"
        ),
        span: draft.source.table(table).span.clone(),
    });
}

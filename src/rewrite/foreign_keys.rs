//! Foreign keys between tenants' rows become composite, so that PostgreSQL refuses another tenant's row.

use super::draft::Draft;
use super::foreign_key_actions::{self, Reference};
use super::referenced_keys::ensure_referenced_key;
use super::{Hazard, reference_columns};
use crate::schema::{ColumnId, Deferral, ForeignKey, ForeignKeyId, TableId};
use crate::spec::{ForeignKeyTenancy, Placement};

pub(super) fn rewrite(draft: &mut Draft<'_>) {
    for (source, table, tenancy) in draft.migrated() {
        for (&id, decided) in &tenancy.foreign_keys {
            if *decided != ForeignKeyTenancy::Omit {
                foreign_key(draft, id, source, table, decided);
            }
        }
    }
}

fn foreign_key(
    draft: &mut Draft<'_>,
    id: ForeignKeyId,
    source_table: TableId,
    table: TableId,
    decided: &ForeignKeyTenancy,
) {
    let source = draft.source.foreign_key(id);
    let Some(referenced_table) = draft.table_of(source.referenced_table) else { return };
    let (Some(columns), Some(referenced)) =
        (draft.columns_of(&source.columns), draft.columns_of(&source.referenced_columns))
    else {
        return;
    };
    let asked = draft.tenancy.table(source_table).actions.get(&id).copied().unwrap_or_default();
    let mut foreign_key = ForeignKey {
        table,
        name: source.name.as_deref().map(|name| draft.name(name)),
        columns: columns.clone(),
        referenced_table,
        referenced_columns: referenced.clone(),
        on_delete: asked.on_delete.unwrap_or(source.on_delete),
        on_update: asked.on_update.unwrap_or(source.on_update),
        set_columns: None,
        match_full: false,
        deferral: source.deferral,
        span: source.span.clone(),
    };
    // The tenant column that goes with the reference, on this side; none where it stays as it is.
    let own = match decided {
        ForeignKeyTenancy::PerTenant => draft.tenant_column(table),
        ForeignKeyTenancy::OwnColumn(_) | ForeignKeyTenancy::CrossTenant(_) => draft.reference_column(id),
        // The root's key is what its tenant's rows carry; a row and its owner refer to each other, so it is deferred.
        ForeignKeyTenancy::FromRoot => {
            foreign_key.deferral = Deferral::InitiallyDeferred;
            draft.tenant_column(table)
        }
        ForeignKeyTenancy::Global | ForeignKeyTenancy::Omit => None,
    };
    if let (Some(own), Some(theirs)) = (own, draft.tenant_column(referenced_table)) {
        pair_with_tenant(draft, &mut foreign_key, own, theirs);
    }
    if matches!(decided, ForeignKeyTenancy::OwnColumn(_) | ForeignKeyTenancy::CrossTenant(_)) {
        // The reference is whole or absent: a tenant without a row, or a row without a tenant, is refused. Where several
        // columns may be NULL one by one, SQLite takes a part of them for absent: a CHECK says the same instead.
        foreign_key.match_full = reference_columns::is_whole_or_absent(draft, &columns);
    }
    note_crossing(draft, id, source_table, decided);
    let key = draft.source_key_text(&source.columns);
    let reference = Reference { key, plain: columns, own, has_own_column: draft.reference_column(id).is_some() };
    if foreign_key_actions::settle(draft, source_table, &mut foreign_key, &reference) {
        ensure_referenced_key(draft, &foreign_key, &referenced, id);
        draft.add_foreign_key(foreign_key, Some(id));
    }
}

/// Brings the tenant columns of both sides into a reference, at the place that keys have them.
fn pair_with_tenant(draft: &mut Draft<'_>, foreign_key: &mut ForeignKey, own: ColumnId, theirs: ColumnId) {
    match foreign_key.referenced_columns.iter().position(|&column| column == theirs) {
        Some(position) if foreign_key.columns[position] == own => {}
        // The reference names a tenant by another column, which has to name the row's own.
        Some(position) => {
            let column = foreign_key.columns[position];
            reference_columns::require_equal(draft, foreign_key.table, column, own, foreign_key.span.clone());
        }
        None => {
            // Where a column of the reference is the tenant's already, but meets another column there, it stands twice.
            let place = match draft.with_tenant(theirs, &foreign_key.referenced_columns).first() {
                Some(first) if *first == theirs => 0,
                _ => foreign_key.columns.len(),
            };
            foreign_key.columns.insert(place, own);
            foreign_key.referenced_columns.insert(place, theirs);
        }
    }
}

/// Notes a reference that may lead to another tenant's row.
fn note_crossing(draft: &mut Draft<'_>, id: ForeignKeyId, source_table: TableId, decided: &ForeignKeyTenancy) {
    let foreign_key = draft.source.foreign_key(id);
    let placement = |table| &draft.tenancy.table(table).placement;
    let (child, parent) = (placement(source_table), placement(foreign_key.referenced_table));
    let belongs = |placement: &Placement| matches!(placement, Placement::Tenant(_) | Placement::Root);
    let crosses = match decided {
        ForeignKeyTenancy::CrossTenant(_) => true,
        ForeignKeyTenancy::Global => belongs(parent) && !matches!(child, Placement::Omit),
        ForeignKeyTenancy::OwnColumn(_) => !belongs(child),
        ForeignKeyTenancy::PerTenant | ForeignKeyTenancy::FromRoot | ForeignKeyTenancy::Omit => false,
    };
    if !crosses {
        return;
    }
    let (columns, parent) =
        (draft.source_columns_text(&foreign_key.columns), &draft.source.table(foreign_key.referenced_table).name);
    draft.hazards.push(Hazard {
        code: "cross-tenant-reference",
        table: source_table,
        message: format!("({columns}) may refer to a row of `{parent}` that belongs to another tenant"),
        help:
            "whoever sees the row learns that the other exists, and its actions reach over the border between tenants"
                .to_owned(),
        span: foreign_key.span.clone(),
    });
}

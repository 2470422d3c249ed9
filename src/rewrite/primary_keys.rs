//! `id` becomes `(tenant, id)`; a key that holds the tenant stays as it is; a list in the spec is taken as it stands.

use super::collations;
use super::draft::Draft;
use super::unique_keys::{compare_primary, strengthened};
use crate::schema::{ColumnId, Key, KeyKind};
use crate::spec::KeyTenancy;

pub(super) fn rewrite(draft: &mut Draft<'_>) {
    for (source, table, tenancy) in draft.migrated() {
        let key = draft.source.table(source).primary_key.map(|key| draft.source.key(key));
        if key.is_none() && !matches!(tenancy.primary_key, KeyTenancy::Columns(_)) {
            continue;
        }
        let own = key.map(|key| &key.columns[..]).unwrap_or_default();
        let Some(columns) = draft.key_columns(table, &tenancy.primary_key, own) else { continue };
        if matches!(tenancy.primary_key, KeyTenancy::Columns(_)) {
            // PostgreSQL would do so by itself; the rows have to be held to it before they are sent.
            for &column in &columns {
                draft.target.columns[column.index()].not_null = true;
            }
            let tenant = draft.tenant_column(table);
            let added = |column: &ColumnId| Some(*column) == tenant;
            let kept = draft.columns_of(own).unwrap_or_default();
            if key.is_none() || !kept.iter().all(|column| columns.contains(column) || added(column)) {
                strengthened(draft, source, &columns, key.and_then(|key| key.span.clone()));
            }
        }
        if let Some(key) = key {
            compare_primary(draft, source, key, &columns);
        }
        if let Some(index) = key.and_then(|key| collations::unique_index(draft, table, key, &columns)) {
            draft.target.add_index(index);
        }
        draft.target.add_key(Key {
            table,
            kind: KeyKind::Primary,
            name: key.and_then(|key| key.name.as_deref()).map(|name| draft.name(name)),
            columns,
            on_conflict: None,
            span: key.and_then(|key| key.span.clone()),
        });
    }
}

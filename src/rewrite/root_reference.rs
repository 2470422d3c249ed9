//! Every tenant table refers to the root, where there is one: a row of no tenant cannot be written.

use super::draft::Draft;
use crate::schema::{Action, Deferral, ForeignKey};
use crate::spec::RootForeignKey;

pub(super) fn add(draft: &mut Draft<'_>) {
    let Some(root) = draft.tenancy.root.clone() else { return };
    let on_delete = match root.foreign_key {
        RootForeignKey::Restrict => Action::Restrict,
        RootForeignKey::Cascade => Action::Cascade,
        RootForeignKey::NoAction => Action::NoAction,
        RootForeignKey::None => return,
    };
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
    }
}

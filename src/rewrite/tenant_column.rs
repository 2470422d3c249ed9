//! Every tenant table has the tenant column, NOT NULL: a NULL in it would switch its foreign keys off.

use super::ColumnValue;
use super::column_types::Types;
use super::draft::Draft;
use crate::ident::literal;
use crate::schema::{Expr, PgType};
use crate::spec::{Placement, Position, TenantDefault, TenantSource};

pub(super) fn add(draft: &mut Draft<'_>, types: &Types) {
    let Some(data_type) = types.tenant else { return };
    let tenant = draft.tenancy.tenant.clone();
    let default =
        tenant.default.as_ref().map(|default| default_expr(default, &draft.tenancy.isolation.setting, data_type));
    for (source, table, tenancy) in draft.migrated() {
        let is_root = tenancy.placement == Placement::Root;
        let column = match &tenancy.placement {
            Placement::Tenant(found) if draft.tenancy.tenant_column(draft.source, source).is_some() => {
                let column =
                    draft.tenancy.tenant_column(draft.source, source).and_then(|column| draft.column_of(column));
                // One of several sources: where the column is NULL, the tenant is found elsewhere and filled in.
                if let (TenantSource::First(_), Some(column)) = (found, column) {
                    draft.fill_with(column, ColumnValue::Tenant);
                }
                column
            }
            Placement::Root => draft.tenancy.root.as_ref().and_then(|root| draft.column_of(root.key)),
            Placement::Tenant(_) => {
                let before = match tenant.in_table {
                    Position::First => draft.target.table(table).columns.first().copied(),
                    Position::Last => None,
                };
                Some(draft.insert_tenant_column(table, &tenant.name, data_type, true, ColumnValue::Tenant, before))
            }
            Placement::Shared | Placement::Local | Placement::Omit => None,
        };
        if let Some(column) = column {
            draft.set_tenant_column(table, column);
            if !is_root {
                let column = &mut draft.target.columns[column.index()];
                column.default = column.default.take().or_else(|| default.clone());
            }
        }
    }
}

/// Writes the tenant column's DEFAULT.
///
/// An unset setting is NULL and one that a transaction has left behind is empty: neither names a tenant. The cast goes to
/// the type without its length, because a cast with one cuts silently.
fn default_expr(default: &TenantDefault, setting: &str, data_type: PgType) -> Expr {
    Expr::Postgres(match default {
        TenantDefault::Expression(sql) => sql.clone(),
        TenantDefault::Setting => {
            let setting = literal(setting);
            format!("nullif(current_setting({setting}, true), '')::{}", data_type.without_length())
        }
    })
}

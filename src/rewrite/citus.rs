//! What Citus refuses of columns and of finished foreign keys is an error before it is tried; nothing is weakened to
//! please it. Keys and actions have been looked at when the spec was resolved.
//!
//! A distribution column is never generated and has one type and collation everywhere; a foreign key between distributed
//! tables holds that of both, at the same place; an identity column is bigint.

use super::draft::Draft;
use crate::diagnostic::Diagnostic;
use crate::schema::{ColumnId, ForeignKey, PgType, TableId};
use crate::spec::Placement;

pub(super) fn check(draft: &mut Draft<'_>) {
    if !draft.tenancy.target.profile.is_citus() {
        return;
    }
    for (_, table, tenancy) in draft.migrated() {
        let distributed = matches!(tenancy.placement, Placement::Root | Placement::Tenant(_));
        identity(draft, table);
        if let (true, Some(tenant)) = (distributed, draft.tenant_column(table)) {
            distribution_column(draft, table, tenant);
            foreign_keys(draft, table, tenant);
        }
    }
    same_distribution_columns(draft);
}

/// Identity columns count on all nodes, each in a range of its own: only bigint has room for that.
fn identity(draft: &mut Draft<'_>, table: TableId) {
    let columns = draft.target.table(table).columns.clone();
    for column in columns {
        let column = draft.target.column(column).clone();
        if column.identity && column.data_type != PgType::Bigint {
            let message = format!(
                "`{}.{}` counts up by itself as {}, which Citus does for bigint only",
                draft.target.table(table).name,
                column.name,
                column.data_type
            );
            let help = format!("write `columns: {{{}: {{type: bigint}}}}`", column.name);
            draft.error(Diagnostic::error("citus-identity", message).label_opt(column.span, "this column").help(help));
        }
    }
}

fn distribution_column(draft: &mut Draft<'_>, table: TableId, tenant: ColumnId) {
    let column = draft.target.column(tenant).clone();
    if column.generated.is_some() {
        let message = format!(
            "`{}.{}` is generated, and Citus distributes by no generated column",
            draft.target.table(table).name,
            column.name
        );
        draft.error(
            Diagnostic::error("citus-generated-tenant-column", message)
                .label_opt(column.span, "this column")
                .help("let the tenant come from another source: `tenant: {via: FK_COLUMN}` adds a plain column"),
        );
    }
}

fn foreign_keys(draft: &mut Draft<'_>, table: TableId, tenant: ColumnId) {
    let keys: Vec<ForeignKey> =
        draft.target.table(table).foreign_keys.iter().map(|&id| draft.target.foreign_key(id).clone()).collect();
    for foreign_key in keys {
        let theirs = draft.tenant_column(foreign_key.referenced_table);
        let mut pairs = foreign_key.columns.iter().zip(&foreign_key.referenced_columns);
        let shown = |draft: &Draft<'_>| {
            let columns = draft.target.column_names(&foreign_key.columns).collect::<Vec<_>>().join(", ");
            format!("`{}` ({columns})", draft.target.table(table).name)
        };
        if let Some(theirs) = theirs
            && !pairs.any(|(&own, &their)| own == tenant && their == theirs)
        {
            let parent = &draft.target.table(foreign_key.referenced_table).name;
            let message = format!("{} refers to `{parent}` without the tenant column of both", shown(draft));
            draft.error(
                Diagnostic::error("citus-foreign-key", message)
                    .label_opt(foreign_key.span.clone(), "this foreign key")
                    .help("scope it `per_tenant`, or `omit` it"),
            );
        }
    }
}

/// Tables stand on the same nodes only where their distribution columns are compared alike.
fn same_distribution_columns(draft: &mut Draft<'_>) {
    let columns: Vec<ColumnId> =
        draft.migrated().iter().filter_map(|(_, table, _)| draft.tenant_column(*table)).collect();
    let Some(&first) = columns.first() else { return };
    for &column in &columns[1..] {
        let (one, other) = (draft.target.column(first).clone(), draft.target.column(column).clone());
        let kind = |column: &crate::schema::Column<PgType>| {
            format!(
                "{}{}",
                column.data_type,
                column.collation.as_deref().map(|name| format!(" COLLATE {name}")).unwrap_or_default()
            )
        };
        if one.data_type.without_length() == other.data_type.without_length()
            && std::mem::discriminant(&one.data_type) == std::mem::discriminant(&other.data_type)
            && one.collation == other.collation
        {
            continue;
        }
        let name = |column: &crate::schema::Column<PgType>| {
            format!("`{}.{}`", draft.target.table(column.table).name, column.name)
        };
        let message = format!(
            "{} is {} and {} is {}: Citus places tables together by one type and collation",
            name(&one),
            kind(&one),
            name(&other),
            kind(&other)
        );
        draft.error(
            Diagnostic::error("citus-tenant-type", message)
                .label_opt(other.span, "this tenant column")
                .label_opt(one.span, "and this one")
                .help("leave the type to `tenant: {type: …}`"),
        );
    }
}

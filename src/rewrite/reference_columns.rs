//! `column:` gives a foreign key a tenant column of its own, in front of the columns it goes with.

use super::ColumnValue;
use super::draft::Draft;
use crate::diagnostic::{Diagnostic, Span};
use crate::schema::{BinaryOperator, Check, ColumnId, Expr, TableId};
use crate::spec::ForeignKeyTenancy;

pub(super) fn add(draft: &mut Draft<'_>) {
    for (source, table, tenancy) in draft.migrated() {
        for (&id, decided) in &tenancy.foreign_keys {
            let (ForeignKeyTenancy::OwnColumn(name) | ForeignKeyTenancy::CrossTenant(name)) = decided else { continue };
            let foreign_key = draft.source.foreign_key(id);
            let Some(columns) = draft.columns_of(&foreign_key.columns) else { continue };
            let parent = draft.table_of(foreign_key.referenced_table).and_then(|parent| draft.tenant_column(parent));
            let Some(parent) = parent else { continue };
            if draft.target.find_column(table, name).is_some() {
                draft.error(
                    Diagnostic::error(
                        "column-exists",
                        format!("`{}` would get two columns `{name}`", draft.source.table(source).name),
                    )
                    .label_opt(foreign_key.span.clone(), "this reference is to get a tenant column of that name")
                    .help("choose another name under `column:`"),
                );
                continue;
            }
            if draft.columns_of(&foreign_key.referenced_columns).is_some_and(|columns| columns.contains(&parent)) {
                draft.error(
                    Diagnostic::error(
                        "reference-has-tenant",
                        format!(
                            "`{}` ({}) names the tenant of the row it refers to already",
                            draft.source.table(source).name,
                            draft.source_columns_text(&foreign_key.columns)
                        ),
                    )
                    .label_opt(foreign_key.span.clone(), "this reference is to get a tenant column of its own")
                    .help("it needs no `column:`: write `per_tenant` if it names the row's own tenant, else `global`"),
                );
                continue;
            }
            let data_type = draft.target.column(parent).data_type;
            // Both or neither: a reference without a row has no tenant either.
            let not_null = columns.iter().all(|&column| draft.target.column(column).not_null);
            let before = columns.first().copied();
            let value = ColumnValue::ReferenceTenant(id);
            let column = draft.insert_tenant_column(table, name, data_type, not_null, value, before);
            if !is_whole_or_absent(draft, &columns) {
                require_both_or_neither(draft, table, column, &columns, foreign_key.span.clone());
            }
            // Without this the reference could name another tenant's row: two tenant columns do not isolate.
            if let (ForeignKeyTenancy::OwnColumn(_), true, Some(own)) =
                (decided, draft.is_tenant(source), draft.tenant_column(table))
            {
                require_equal(draft, table, column, own, foreign_key.span.clone());
            }
        }
    }
}

/// Says whether MATCH FULL means for these columns what SQLite means: none of them may be NULL, or there is only one.
pub(super) fn is_whole_or_absent(draft: &Draft<'_>, columns: &[ColumnId]) -> bool {
    columns.len() == 1 || columns.iter().all(|&column| draft.target.column(column).not_null)
}

/// Adds a CHECK that two columns name the same tenant.
pub(super) fn require_equal(
    draft: &mut Draft<'_>,
    table: TableId,
    column: ColumnId,
    own: ColumnId,
    span: Option<Span>,
) {
    let column = Box::new(Expr::Column(column));
    let expr = Expr::Binary { operator: BinaryOperator::Equal, left: column, right: Box::new(Expr::Column(own)) };
    draft.target.add_check(Check { table, name: None, expr, span });
}

/// Adds a CHECK that the tenant of a reference is NULL where one of its columns is, and only there: a NULL in it alone
/// would switch the foreign key off.
fn require_both_or_neither(
    draft: &mut Draft<'_>,
    table: TableId,
    tenant: ColumnId,
    columns: &[ColumnId],
    span: Option<Span>,
) {
    let is_null = |column| Expr::IsNull { operand: Box::new(Expr::Column(column)), negated: false };
    let nullable = columns.iter().copied().filter(|&column| !draft.target.column(column).not_null);
    let absent = nullable.map(is_null).reduce(|left, right| Expr::Binary {
        operator: BinaryOperator::Or,
        left: Box::new(left),
        right: Box::new(right),
    });
    let Some(absent) = absent else { return };
    let expr =
        Expr::Binary { operator: BinaryOperator::Equal, left: Box::new(is_null(tenant)), right: Box::new(absent) };
    draft.target.add_check(Check { table, name: None, expr, span });
}

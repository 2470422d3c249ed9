//! Values that their columns do not take, by their canonical forms.

use super::super::canonical::{Canonical, fits};
use crate::diagnostic::Diagnostic;
use crate::ident::quote_always;
use crate::plan::Plan;
use crate::rewrite::ColumnValue;
use crate::schema::{ColumnId, PgType, TableId, Value};
use crate::spec::{Conversion, Placement, TenantIds, TenantSource};
use crate::sqlite::Database;

/// How one column of the source is looked at.
struct Looked<'p> {
    column: ColumnId,
    data_type: PgType,
    /// Whether a NULL is refused, and not told as a row without a tenant.
    takes_no_null: bool,
    conversion: Option<&'p Conversion>,
    /// Whether the value is a tenant's id, which gets another form.
    is_id: bool,
}

/// Marks the rows with such a value, or with a NULL where the target takes none.
pub(super) fn unfit(plan: &Plan, database: &Database, table: TableId, row: &str, into: &str) -> Result<(), Diagnostic> {
    let rewritten = &plan.rewritten;
    let Some(target) = rewritten.source_tables.iter().position(|&source| source == table) else { return Ok(()) };
    let names_tenant = match &plan.tenancy.table(table).placement {
        Placement::Root => plan.tenancy.root.as_ref().map(|root| root.key),
        Placement::Tenant(TenantSource::Column(column)) => Some(*column),
        _ => None,
    };
    let mut looked: Vec<Looked<'_>> = rewritten.target.tables[target]
        .columns
        .iter()
        .filter_map(|&id| {
            let (column, is_id) = match rewritten.values[id.index()] {
                ColumnValue::Source(column) | ColumnValue::Generated(column) => (column, false),
                ColumnValue::TenantId(column) => (column, true),
                ColumnValue::Tenant | ColumnValue::ReferenceTenant(_) => return None,
            };
            let described = rewritten.target.column(id);
            Some(Looked {
                column,
                data_type: described.data_type,
                takes_no_null: described.not_null && names_tenant != Some(column),
                conversion: plan.tenancy.table(table).conversion(column),
                is_id,
            })
        })
        .collect();
    // One of several sources: the column need not be one of the target.
    if let Placement::Tenant(TenantSource::First(list)) = &plan.tenancy.table(table).placement
        && let Some(data_type) = tenant_type(plan)
        && plan.tenancy.tenant.ids == TenantIds::Keep
    {
        looked.extend(list.iter().filter_map(|source| match source {
            TenantSource::Column(column) => {
                Some(Looked { column: *column, data_type, takes_no_null: false, conversion: None, is_id: false })
            }
            _ => None,
        }));
    }
    let columns: Vec<String> =
        looked.iter().map(|looked| format!(", s.{}", quote_always(&plan.source.column(looked.column).name))).collect();
    let sql =
        format!("SELECT {row}{} FROM main.{} AS s", columns.concat(), quote_always(&plan.source.table(table).name));
    let mut rows = Vec::new();
    database.for_each_row::<Diagnostic>(&sql, &[], &mut |values| {
        let [row, values @ ..] = values else { return Ok(()) };
        for (value, looked) in values.iter().zip(&looked) {
            let form = match looked.conversion {
                Some(rule) => Canonical::read(value, looked.data_type, rule),
                None => Canonical::from_sqlite(value, looked.data_type),
            };
            let code = match form {
                Canonical::Null if looked.takes_no_null => "null-value",
                Canonical::Null => continue,
                _ if looked.is_id || fits::fits(&form, value, looked.data_type, looked.conversion) => continue,
                _ => "unfit-value",
            };
            rows.extend(spelled(row).map(|row| format!("({row}, '{code}', NULL)")));
        }
        Ok(())
    })?;
    rows.chunks(500)
        .try_for_each(|rows| database.execute_temp(&format!("INSERT INTO temp.{into} VALUES {};", rows.join(", "))))
}

fn tenant_type(plan: &Plan) -> Option<PgType> {
    let column = plan.rewritten.tenant_columns.iter().flatten().next()?;
    Some(plan.rewritten.target.column(*column).data_type)
}

/// Writes what identifies a row as SQLite spells it.
fn spelled(row: &Value<'_>) -> Option<String> {
    match row {
        Value::Integer(number) => Some(number.to_string()),
        Value::Text(bytes) => Some(super::super::tenant_rows::text(&String::from_utf8_lossy(bytes))),
        Value::Null | Value::Real(_) | Value::Blob(_) => None,
    }
}

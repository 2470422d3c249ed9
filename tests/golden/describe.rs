//! A target schema as lines of text, so that the planned one and the one read back can be compared.

use tenantry::schema::{ColumnId, Expr, TargetSchema};

/// Describes every object on a line of its own, in an order that does not depend on that of the vectors.
///
/// Expressions come by presence: PostgreSQL keeps them in its own writing.
pub fn describe(schema: &TargetSchema) -> Vec<String> {
    let names = |columns: &[ColumnId]| schema.column_names(columns).collect::<Vec<_>>().join(", ");
    let table = |id| &schema.table(id).name;
    let mut lines = Vec::new();
    for id in schema.table_ids() {
        for (position, &column) in schema.table(id).columns.iter().enumerate() {
            let column = schema.column(column);
            lines.push(format!(
                "{:?} column {position:03} {:?} {}{}{}{}{}{}",
                table(id),
                column.name,
                column.data_type,
                if column.not_null { " not null" } else { "" },
                if column.identity { " identity" } else { "" },
                if column.default.is_some() { " default" } else { "" },
                if column.generated.is_some() { " generated" } else { "" },
                column.collation.as_deref().map(|name| format!(" collate {name}")).unwrap_or_default(),
            ));
        }
    }
    for key in &schema.keys {
        lines.push(format!("{:?} {:?} key {:?} ({})", table(key.table), key.kind, key.name, names(&key.columns)));
    }
    for foreign_key in &schema.foreign_keys {
        lines.push(format!(
            "{:?} foreign key {:?} ({}) to {:?} ({}) on delete {:?} {} on update {:?} full {} {:?}",
            table(foreign_key.table),
            foreign_key.name,
            names(&foreign_key.columns),
            table(foreign_key.referenced_table),
            names(&foreign_key.referenced_columns),
            foreign_key.on_delete,
            foreign_key.set_columns.as_deref().map(names).unwrap_or_default(),
            foreign_key.on_update,
            foreign_key.match_full,
            foreign_key.deferral,
        ));
    }
    for index in &schema.indexes {
        let parts: Vec<String> = index
            .parts
            .iter()
            .map(|part| {
                let what = match part.expr {
                    Expr::Column(column) => {
                        let collation = part.collation.as_deref().map(|name| format!(" collate {name}"));
                        format!("{:?}{}", schema.column(column).name, collation.unwrap_or_default())
                    }
                    // The server derives a collation from the expression.
                    _ => "expression".to_owned(),
                };
                format!("{what}{}", if part.descending { " desc" } else { "" })
            })
            .collect();
        lines.push(format!(
            "{:?} {}index {:?} {} ({}) include ({}){}",
            table(index.table),
            if index.unique { "unique " } else { "" },
            index.name,
            index.method.name(),
            parts.join(", "),
            names(&index.include),
            if index.predicate.is_some() { " where" } else { "" },
        ));
    }
    for check in &schema.checks {
        lines.push(format!("{:?} check {:?}", table(check.table), check.name));
    }
    lines.sort();
    lines
}

//! Which tables of the target can be read at all: a query on a missing column would end the caller's transaction.

use crate::diagnostic::Diagnostic;
use crate::ident::visible;
use crate::plan::Plan;
use crate::postgres::Connection;
use crate::schema::TableId;
use std::collections::HashMap;

/// Knows why a table cannot be read as the plan describes it.
pub(super) struct Readable {
    reasons: Vec<Option<String>>,
}

const COLUMNS: &str = "
    SELECT c.relname, a.attname, a.atttypid
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE n.nspname = $1 AND c.relkind IN ('r', 'p')";

impl Readable {
    /// Looks for every column of the plan, with the type whose binary form will be read.
    pub fn find(plan: &Plan, target: &mut Connection) -> Result<Self, Diagnostic> {
        let schema = &plan.tenancy.target_schema;
        let rows = target.query(COLUMNS, &[Some(schema)], "look for the columns to read")?;
        let mut live: HashMap<&str, HashMap<&str, i64>> = HashMap::new();
        for row in &rows {
            let columns = live.entry(row.text(0)?).or_default();
            // A table may have no column at all.
            if let Some(name) = row.optional(1) {
                columns.insert(name, row.integer(2)?);
            }
        }
        let planned = &plan.rewritten.target;
        let reasons = planned.tables.iter().map(|table| {
            let Some(columns) = live.get(table.name.as_str()) else { return Some("there is no such table".to_owned()) };
            let unreadable = |column: &&crate::schema::Column<crate::schema::PgType>| {
                columns.get(column.name.as_str()).is_none_or(|oid| !column.data_type.has_oid(*oid))
            };
            let column = table.columns.iter().map(|&id| planned.column(id)).find(unreadable)?;
            Some(match columns.contains_key(column.name.as_str()) {
                true => format!("its column {} is not {}", visible(&column.name), column.data_type.without_length()),
                false => format!("it has no column {}", visible(&column.name)),
            })
        });
        Ok(Self { reasons: reasons.collect() })
    }

    /// Says why a table of the plan cannot be read, as a fragment; `None` where it can.
    pub fn obstacle(&self, table: TableId) -> Option<&str> {
        self.reasons[table.index()].as_deref()
    }
}

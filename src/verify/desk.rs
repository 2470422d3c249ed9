//! A temporary table like one of the plan's, on which the server writes down what it makes of expressions.

use super::expressions::Use;
use crate::diagnostic::Diagnostic;
use crate::ident::{literal, quote_always};
use crate::postgres::Connection;
use crate::schema::{TableId, TargetSchema};
use std::collections::BTreeMap;

/// Says why the session cannot make temporary tables, as a fragment; `None` where it can.
pub(super) fn obstacle(connection: &mut Connection) -> Result<Option<String>, Diagnostic> {
    const SQL: &str = "SELECT pg_is_in_recovery(), has_database_privilege(current_database(), 'TEMPORARY'), \
                       format('GRANT TEMPORARY ON DATABASE %I TO %I', current_database(), current_user)";
    let row = connection.query_one(SQL, &[], "ask whether temporary tables can be made")?;
    Ok(match (row.boolean(0)?, row.boolean(1)?) {
        (true, _) => {
            Some("the server is a standby, on which no temporary table can be made; ask the primary".to_owned())
        }
        (false, false) => Some(format!("the role may not create temporary tables, which `{}` lets it", row.text(2)?)),
        (false, true) => None,
    })
}

/// Has the server write down an expression for each use, in the transaction that `connection` is in.
pub(super) fn write_down(
    target: &TargetSchema,
    table: TableId,
    uses: &[Use],
    expressions: &[String],
    connection: &mut Connection,
) -> Result<Vec<String>, Diagnostic> {
    let described = target.table(table);
    // An expression may name its table.
    let desk = format!("pg_temp.{}", quote_always(&described.name));
    let purpose = "have the server write down the planned expressions";
    let mut names = Vec::with_capacity(uses.len());
    let mut parts: Vec<String> = described
        .columns
        .iter()
        .map(|&id| {
            let column = target.column(id);
            let mut part = format!("{} {}", quote_always(&column.name), column.data_type);
            if let Some(collation) = &column.collation {
                part.push_str(&format!(" COLLATE {}", quote_always(collation)));
            }
            part
        })
        .collect();
    let mut indexes = Vec::new();
    let mut prefix = "tried ".to_owned();
    while described.columns.iter().any(|&id| target.column(id).name.starts_with(&prefix)) {
        prefix.push('_');
    }
    for (number, (of, sql)) in uses.iter().zip(expressions).enumerate() {
        let plain = format!("{prefix}{number}");
        let name = quote_always(&plain);
        names.push(plain);
        match *of {
            Use::Default(column) => {
                parts.push(format!("{name} {} DEFAULT ({sql})", target.column(column).data_type));
            }
            Use::Generated(column) => {
                parts.push(format!("{name} {} GENERATED ALWAYS AS ({sql}) STORED", target.column(column).data_type));
            }
            // The server writes a condition in one way, whatever it is for.
            Use::Check(_) | Use::Predicate(_) => parts.push(format!("CONSTRAINT {name} CHECK ({sql})")),
            Use::Part(index, part) => {
                let index = target.index(index);
                let collation = index.parts.get(part).and_then(|part| part.collation.as_deref());
                let collation = collation.map(|name| format!(" COLLATE {}", quote_always(name))).unwrap_or_default();
                let method = index.method.name();
                indexes.push(format!("CREATE INDEX {name} ON {desk} USING {method} (({sql}){collation})"));
            }
        }
    }
    let create = format!("CREATE TEMPORARY TABLE {} ({})", quote_always(&described.name), parts.join(", "));
    for sql in std::iter::once(&create).chain(&indexes) {
        connection.execute(sql, purpose)?;
    }
    let read = format!(
        "SELECT a.attname, pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d \
         JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum WHERE d.adrelid = {0}::regclass \
         UNION ALL SELECT conname, pg_get_expr(conbin, conrelid) FROM pg_constraint \
         WHERE conrelid = {0}::regclass AND contype = 'c' \
         UNION ALL SELECT i.relname, pg_get_indexdef(x.indexrelid, 1, true) FROM pg_index x \
         JOIN pg_class i ON i.oid = x.indexrelid WHERE x.indrelid = {0}::regclass",
        literal(&desk)
    );
    let mut written = BTreeMap::new();
    for row in connection.query(&read, &[], purpose)? {
        written.insert(row.text(0)?.to_owned(), row.text(1)?.to_owned());
    }
    connection.execute(&format!("DROP TABLE {desk}"), purpose)?;
    names.iter().map(|name| written.remove(name).ok_or_else(unwritten)).collect()
}

fn unwritten() -> Diagnostic {
    Diagnostic::error("unexpected-answer", "the server did not write down an expression that it was given")
}

//! Reads tables and their columns.

use super::reader::{Reading, name_list};
use crate::diagnostic::Diagnostic;
use crate::ident::visible;
use crate::postgres::Connection;
use crate::schema::{Column, Expr, Generated, PgType};

/// Returns those of `names` that a schema has already, as a table or as anything else that takes the name.
pub fn existing_tables(connection: &mut Connection, schema: &str, names: &[&str]) -> Result<Vec<String>, Diagnostic> {
    let sql = "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
               WHERE n.nspname = $1 AND c.relname IN (SELECT jsonb_array_elements_text($2::jsonb)) ORDER BY 1";
    let purpose = format!("look for tables in the schema {}", visible(schema));
    let rows = connection.query(sql, &[Some(schema), Some(&name_list(names))], &purpose)?;
    rows.iter().map(|row| row.text(0).map(str::to_owned)).collect()
}

pub(super) fn read_tables(
    connection: &mut Connection,
    names: &[&str],
    reading: &mut Reading<'_>,
) -> Result<(), Diagnostic> {
    let sql = "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
               WHERE n.nspname = $1 AND c.relname IN (SELECT jsonb_array_elements_text($2::jsonb)) \
               AND c.relkind IN ('r', 'p')";
    let found = reading.query(connection, sql, "tables")?;
    let missing = names.iter().filter(|name| !found.iter().any(|row| row.optional(0) == Some(**name)));
    let missing = missing.map(|name| visible(name)).collect::<Vec<_>>();
    if !missing.is_empty() {
        let message = format!("the schema {} has no table {}", visible(reading.schema_name), missing.join(", "));
        return Err(Diagnostic::error("table-missing", message)
            .help("create the tables first, or let tenantry create them with --schema create"));
    }
    for name in names {
        if reading.table(name).is_none() {
            reading.schema.add_table(*name, None);
        }
    }
    Ok(())
}

const COLUMNS: &str = "
    SELECT c.relname, a.attnum, a.attname, a.atttypid, format_type(a.atttypid, a.atttypmod), a.attnotnull,
           a.attidentity <> '', a.attgenerated::text, pg_get_expr(d.adbin, d.adrelid),
           CASE WHEN a.attcollation <> t.typcollation THEN k.collname END
    FROM pg_attribute a
    JOIN pg_class c ON c.oid = a.attrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    LEFT JOIN pg_collation k ON k.oid = a.attcollation
    WHERE n.nspname = $1 AND c.relname IN (SELECT jsonb_array_elements_text($2::jsonb))
      AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY c.relname, a.attnum";

pub(super) fn read_columns(connection: &mut Connection, reading: &mut Reading<'_>) -> Result<(), Diagnostic> {
    for row in reading.query(connection, COLUMNS, "columns")? {
        let table = reading.table_of(&row)?;
        let name = row.text(2)?;
        // The name of a domain can read like a type's: only the object id tells.
        let data_type = PgType::parse(row.text(4)?).filter(|found| found.has_oid(row.integer(3).unwrap_or(0)));
        if data_type.is_none() {
            reading.unsaid(table, name, &format!("is {}", row.text(4)?));
        }
        let expr = row.optional(8).map(|text| Expr::Postgres(text.to_owned()));
        let (default, generated) = match (row.text(7)?, expr) {
            ("", default) => (default, None),
            (kind, Some(expr)) => (None, Some(Generated { expr, stored: kind == "s" })),
            (_, None) => (None, None),
        };
        let column = reading.schema.add_column(Column {
            table,
            name: name.to_owned(),
            // The schema is not returned when a type is unsupported; until then the column has to be numbered.
            data_type: data_type.unwrap_or(PgType::Text),
            not_null: row.boolean(5)?,
            default,
            generated,
            // GENERATED ALWAYS counts as well: COPY fills both.
            identity: row.boolean(6)?,
            collation: row.optional(9).map(str::to_owned),
            span: None,
        });
        reading.columns.insert((table, row.integer(1)?), column);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing;

    #[test]
    fn every_kind_of_relation_takes_a_name() {
        let mut connection = testing::connect(&testing::database());
        for sql in ["CREATE TABLE \"o'r\" (a int)", "CREATE VIEW v AS SELECT 1", "CREATE INDEX i ON \"o'r\" (a)"] {
            connection.execute(sql, "create").unwrap();
        }
        let found = existing_tables(&mut connection, "public", &["o'r", "v", "i", "O'R", "x\"]"]);
        assert_eq!(found, Ok(vec!["i".to_owned(), "o'r".to_owned(), "v".to_owned()]));
        assert_eq!(existing_tables(&mut connection, "other", &["v"]), Ok(vec![]));
        assert_eq!(existing_tables(&mut connection, "public", &[]), Ok(vec![]));
    }
}

//! What rows say about tenancy before there is a spec: which ways to a tenant agree, which undeclared references hold.

use super::Database;
use crate::diagnostic::Diagnostic;
use crate::ident::quote_always;
use crate::schema::{Affinity, ColumnId, ForeignKeyId, SourceSchema, TableId};

/// What the rows of a table say about two ways to their tenant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Agreement {
    /// The table's rows.
    pub rows: i64,
    /// Those for which the first way finds a tenant.
    pub first: i64,
    /// Those for which the other does.
    pub other: i64,
    /// Those for which both do, and find the same.
    pub same: i64,
    /// Those for which both do, and find different ones.
    pub different: i64,
}

/// Follows two ways from each row of a table, each some foreign keys and the column at their end, and counts.
pub fn agreement(
    database: &Database,
    schema: &SourceSchema,
    table: TableId,
    first: (&[ForeignKeyId], ColumnId),
    other: (&[ForeignKeyId], ColumnId),
) -> Result<Agreement, Diagnostic> {
    let sql = format!(
        "SELECT count(*), count(a), count(b), coalesce(sum(a = b), 0), coalesce(sum(a <> b), 0) \
         FROM (SELECT {} AS a, {} AS b FROM {} AS t0)",
        follow(schema, first.0, first.1, 0),
        follow(schema, other.0, other.1, 0),
        quote_always(&schema.table(table).name)
    );
    let mut counts = [0_i64; 5];
    database.for_each_row::<Diagnostic>(&sql, &[], &mut |values| {
        for (count, value) in counts.iter_mut().zip(values) {
            if let crate::schema::Value::Integer(number) = value {
                *count = *number;
            }
        }
        Ok(())
    })?;
    let [rows, first, other, same, different] = counts;
    Ok(Agreement { rows, first, other, same, different })
}

/// Writes the tenant of a row as an expression. References match as SQLite's foreign keys do: the parent's column on the
/// left gives affinity and collation, the plus sign takes the child's away.
fn follow(schema: &SourceSchema, hops: &[ForeignKeyId], tenant: ColumnId, depth: usize) -> String {
    let Some((&first, rest)) = hops.split_first() else {
        return format!("t{depth}.{}", quote_always(&schema.column(tenant).name));
    };
    let foreign_key = schema.foreign_key(first);
    let pairs = foreign_key.columns.iter().zip(&foreign_key.referenced_columns);
    let matches: Vec<String> = pairs
        .map(|(&child, &parent)| {
            let (child, parent) = (quote_always(&schema.column(child).name), quote_always(&schema.column(parent).name));
            format!("t{}.{parent} = +t{depth}.{child}", depth + 1)
        })
        .collect();
    format!(
        "(SELECT {} FROM {} AS t{} WHERE {})",
        follow(schema, rest, tenant, depth + 1),
        quote_always(&schema.table(foreign_key.referenced_table).name),
        depth + 1,
        matches.join(" AND ")
    )
}

/// A column whose values are all in another table's key, though no foreign key says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndeclaredReference {
    /// The column.
    pub column: ColumnId,
    /// The key's column.
    pub key: ColumnId,
    /// How many rows have a value.
    pub rows: i64,
    /// How many different values they have.
    pub values: i64,
}

/// How many different texts have to be another table's keys before that is taken for more than chance.
const TEXTS: i64 = 10;

/// Finds the columns whose values are all in the key of one column of another table.
///
/// Small numbers are in every key of numbers, so those count only where the column's name says which table it refers to;
/// different texts count by themselves.
pub fn undeclared_references(
    database: &Database,
    schema: &SourceSchema,
) -> Result<Vec<UndeclaredReference>, Diagnostic> {
    let keys: Vec<ColumnId> = schema
        .tables
        .iter()
        .filter_map(|table| match schema.key(table.primary_key?).columns[..] {
            [column] => Some(column),
            _ => None,
        })
        .collect();
    let mut found = Vec::new();
    for position in 0..schema.columns.len() {
        let column = ColumnId(position as u32);
        let refers = schema.foreign_keys.iter().any(|foreign_key| foreign_key.columns.contains(&column));
        let in_key = keys.contains(&column);
        let (table, affinity) = (schema.column(column).table, schema.column(column).data_type.affinity());
        if refers || in_key {
            continue;
        }
        for &key in &keys {
            let parent = schema.column(key).table;
            let is_named = names(schema, column, key);
            let is_text = affinity == Affinity::Text && schema.column(key).data_type.affinity() == Affinity::Text;
            if parent == table || !(is_named || is_text) {
                continue;
            }
            let (child, parent) = (quote_always(&schema.table(table).name), quote_always(&schema.table(parent).name));
            let (own, theirs) = (quote_always(&schema.column(column).name), quote_always(&schema.column(key).name));
            let count = |sql: String| database.query_integer(&sql, &[]);
            let strange = count(format!(
                "SELECT EXISTS (SELECT 1 FROM {child} AS c WHERE c.{own} IS NOT NULL \
                 AND NOT EXISTS (SELECT 1 FROM {parent} AS p WHERE p.{theirs} = +c.{own}))"
            ))?;
            if strange != 0 {
                continue;
            }
            let rows = count(format!("SELECT count({own}) FROM {child}"))?;
            let values = count(format!("SELECT count(DISTINCT {own}) FROM {child}"))?;
            if rows > 0 && (is_named || values >= TEXTS) {
                found.push(UndeclaredReference { column, key, rows, values });
            }
        }
    }
    Ok(found)
}

/// Says whether a column's name says that it refers to a table: `customer_id` and `CustomerId` to `customers (id)`, and
/// a key's own name where that is more than `id`.
fn names(schema: &SourceSchema, column: ColumnId, key: ColumnId) -> bool {
    let plain = |text: &str| -> String { text.to_lowercase().chars().filter(|part| part.is_alphanumeric()).collect() };
    let (own, theirs) = (plain(&schema.column(column).name), plain(&schema.column(key).name));
    let table = plain(&schema.table(schema.column(key).table).name);
    let singular = table.strip_suffix("ies").map(|stem| format!("{stem}y"));
    let singular = singular.or_else(|| table.strip_suffix('s').map(str::to_owned));
    let stems = [Some(table), singular];
    let is_joined = stems.iter().flatten().any(|stem| own == format!("{stem}{theirs}"));
    is_joined || (own == theirs && theirs != "id")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Sources;
    use rusqlite::Connection;

    fn opened(sql: &str) -> (Database, SourceSchema) {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(sql).unwrap();
        let database = Database::new(connection).unwrap();
        let schema = super::super::read_schema(&database, &mut Sources::default()).unwrap();
        (database, schema)
    }

    #[test]
    fn ways_are_followed_as_foreign_keys_match_and_counted() {
        let (database, schema) = opened(
            "CREATE TABLE a (id INTEGER PRIMARY KEY, t TEXT);
             CREATE TABLE b (id INTEGER PRIMARY KEY, a_id TEXT REFERENCES a (id));
             CREATE TABLE c (id INTEGER PRIMARY KEY, a_id INTEGER REFERENCES a (id), b_id INTEGER REFERENCES b (id));
             INSERT INTO a VALUES (1, 'x'), (2, 'y'), (3, NULL);
             INSERT INTO b VALUES (1, '01'), (2, '2');
             INSERT INTO c VALUES (1, 1, 1), (2, 1, 2), (3, 2, NULL), (4, NULL, NULL), (5, 3, 1);",
        );
        let tenant = schema.find_column(TableId(0), "t").unwrap();
        let key = |column: &str| {
            let id = schema
                .foreign_keys
                .iter()
                .position(|key| key.table == TableId(2) && schema.column(key.columns[0]).name == column);
            ForeignKeyId(id.unwrap() as u32)
        };
        let of_b = schema.table(TableId(1)).foreign_keys[0];
        let found = agreement(&database, &schema, TableId(2), (&[key("a_id")], tenant), (&[key("b_id"), of_b], tenant));
        assert_eq!(found, Ok(Agreement { rows: 5, first: 3, other: 3, same: 1, different: 1 }));
    }

    #[test]
    fn references_that_nobody_declared_are_found_by_name_and_by_value() {
        let texts: String = (0..12)
            .map(|n| format!("INSERT INTO kinds VALUES ('k{n}'); INSERT INTO notes (kind) VALUES ('k{n}');"))
            .collect();
        let (database, schema) = opened(&format!(
            "CREATE TABLE companies (id INTEGER PRIMARY KEY);
             CREATE TABLE kinds (code TEXT PRIMARY KEY);
             CREATE TABLE notes (id INTEGER PRIMARY KEY, company_id INTEGER, status INTEGER, kind TEXT, CompanyId INTEGER);
             INSERT INTO companies VALUES (1), (2), (3);
             {texts}
             UPDATE notes SET company_id = 1 + id % 3, status = 1, CompanyId = 99;"
        ));
        let found = undeclared_references(&database, &schema).unwrap();
        let shown: Vec<_> = found
            .iter()
            .map(|found| {
                let name = |column: ColumnId| schema.column(column).name.as_str();
                (name(found.column), name(found.key), found.rows, found.values)
            })
            .collect();
        assert_eq!(shown, [("company_id", "id", 12, 3), ("kind", "code", 12, 12)]);
    }
}

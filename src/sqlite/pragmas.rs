//! Reads a schema's facts through SQLite's pragmas: what SQLite itself makes of the text.

use crate::ident::quote_always;
use crate::schema::Action;
use rusqlite::{Connection, Row};

/// A row of `sqlite_schema` that somebody wrote: neither SQLite's own tables nor a key's index.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SchemaRow {
    /// `table`, `index`, `view` or `trigger`.
    pub kind: String,
    /// The object's name.
    pub name: String,
    /// The table it belongs to.
    pub table: String,
    /// Its statement as SQLite keeps it.
    pub sql: String,
}

/// What kind of table a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TableKind {
    /// An ordinary table.
    Table,
    /// A virtual table.
    Virtual,
    /// A table in which a virtual table keeps its data.
    Shadow,
}

/// What pragmas say of a table.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TableFacts {
    /// Its columns in order.
    pub columns: Vec<ColumnFacts>,
    /// Its foreign keys in the order of their declaration.
    pub foreign_keys: Vec<ForeignKeyFacts>,
    /// Its indexes, those of keys included.
    pub indexes: Vec<IndexFacts>,
    /// WITHOUT ROWID.
    pub without_rowid: bool,
    /// STRICT.
    pub strict: bool,
}

/// What `table_xinfo` says of a column.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ColumnFacts {
    /// Its name.
    pub name: String,
    /// Its declared type; SQLite writes the commonest ones in upper case.
    pub declared: String,
    /// NOT NULL, declared or because of the key it is in.
    pub not_null: bool,
    /// The text of its default.
    pub default: Option<String>,
    /// Its one-based position in the primary key; 0 outside.
    pub primary_key: usize,
    /// Whether it is generated, and then whether it is stored.
    pub generated: Option<bool>,
}

/// What `foreign_key_list` says of a foreign key.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ForeignKeyFacts {
    /// The table referred to, as written.
    pub table: String,
    /// The constrained columns.
    pub columns: Vec<String>,
    /// The referenced columns as written; `None` where they are left out.
    pub referenced: Vec<Option<String>>,
    /// ON DELETE.
    pub on_delete: Action,
    /// ON UPDATE.
    pub on_update: Action,
}

/// Where an index comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IndexOrigin {
    /// CREATE INDEX.
    Created,
    /// UNIQUE constraint.
    Unique,
    /// PRIMARY KEY.
    PrimaryKey,
}

/// What `index_list` and `index_xinfo` say of an index.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct IndexFacts {
    /// Its name.
    pub name: String,
    /// Whether it is unique.
    pub unique: bool,
    /// Where it comes from.
    pub origin: IndexOrigin,
    /// Whether it has a WHERE clause.
    pub partial: bool,
    /// Its key columns.
    pub parts: Vec<IndexPartFacts>,
}

/// What `index_xinfo` says of a key column of an index.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct IndexPartFacts {
    /// The column; `None` for an expression and for the rowid.
    pub column: Option<String>,
    /// DESC.
    pub descending: bool,
    /// Its collation.
    pub collation: String,
}

/// Says whether a name is SQLite's own.
pub(super) fn is_reserved(name: &str) -> bool {
    name.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("sqlite_"))
}

/// Reads the statements that make up the schema, in the order in which SQLite keeps them.
pub(super) fn schema_rows(connection: &Connection) -> rusqlite::Result<Vec<SchemaRow>> {
    let sql = "SELECT type, name, tbl_name, sql FROM main.sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid";
    let rows = collect(connection, sql, |row| {
        Ok(SchemaRow { kind: row.get(0)?, name: row.get(1)?, table: row.get(2)?, sql: row.get(3)? })
    })?;
    Ok(rows.into_iter().filter(|row| !is_reserved(&row.name)).collect())
}

/// Reads the kind, WITHOUT ROWID and STRICT of every table, by name.
pub(super) fn table_kinds(connection: &Connection) -> rusqlite::Result<Vec<KindOfTable>> {
    listed(connection, "PRAGMA main.table_list")
}

/// Reads the same of one table; `None` where there is none of the name.
pub(super) fn table_kind(connection: &Connection, table: &str) -> rusqlite::Result<Option<KindOfTable>> {
    Ok(listed(connection, &format!("PRAGMA main.table_list({})", quote_always(table)))?.pop())
}

/// A table's name and kind, whether it is WITHOUT ROWID, and whether it is STRICT.
pub(super) type KindOfTable = (String, TableKind, bool, bool);

fn listed(connection: &Connection, sql: &str) -> rusqlite::Result<Vec<KindOfTable>> {
    let rows = collect(connection, sql, |row| {
        let kind = match row.get_ref("type")?.as_str()? {
            "table" => Some(TableKind::Table),
            "virtual" => Some(TableKind::Virtual),
            "shadow" => Some(TableKind::Shadow),
            _ => None,
        };
        Ok((row.get("name")?, kind, row.get("wr")?, row.get("strict")?))
    })?;
    let named = rows.into_iter().filter_map(|(name, kind, wr, strict): (String, _, _, _)| {
        kind.filter(|_| !is_reserved(&name)).map(|kind| (name, kind, wr, strict))
    });
    Ok(named.collect())
}

/// Reads all that pragmas say of one table.
pub(super) fn table_facts(
    connection: &Connection,
    table: &str,
    without_rowid: bool,
    strict: bool,
) -> rusqlite::Result<TableFacts> {
    Ok(TableFacts {
        columns: columns(connection, table)?,
        foreign_keys: foreign_keys(connection, table)?,
        indexes: indexes(connection, table)?,
        without_rowid,
        strict,
    })
}

impl TableFacts {
    /// Returns the position of the column that is the rowid: a one-column primary key without an index of its own.
    ///
    /// SQLite keeps such an index for every other primary key, whatever its type and order, so this is its own verdict.
    pub fn rowid_alias(&self) -> Option<usize> {
        let indexed = self.indexes.iter().any(|index| index.origin == IndexOrigin::PrimaryKey);
        let mut key = self.columns.iter().enumerate().filter(|(_, column)| column.primary_key > 0);
        match (key.next(), key.next()) {
            (Some((position, _)), None) if !indexed && !self.without_rowid => Some(position),
            _ => None,
        }
    }

    /// Returns the names of the primary key's columns in its order.
    pub fn primary_key(&self) -> Vec<&str> {
        let mut key: Vec<_> = self.columns.iter().filter(|column| column.primary_key > 0).collect();
        key.sort_by_key(|column| column.primary_key);
        key.into_iter().map(|column| column.name.as_str()).collect()
    }
}

fn columns(connection: &Connection, table: &str) -> rusqlite::Result<Vec<ColumnFacts>> {
    collect(connection, &format!("PRAGMA main.table_xinfo({})", quote_always(table)), |row| {
        Ok(ColumnFacts {
            name: row.get("name")?,
            declared: row.get("type")?,
            not_null: row.get("notnull")?,
            default: row.get("dflt_value")?,
            primary_key: row.get::<_, u32>("pk")? as usize,
            generated: match row.get::<_, i64>("hidden")? {
                2 => Some(false),
                3 => Some(true),
                _ => None,
            },
        })
    })
}

fn foreign_keys(connection: &Connection, table: &str) -> rusqlite::Result<Vec<ForeignKeyFacts>> {
    type Part = (i64, String, String, Option<String>, Action, Action);
    let parts = collect(
        connection,
        &format!("PRAGMA main.foreign_key_list({})", quote_always(table)),
        |row| -> rusqlite::Result<Part> {
            Ok((
                row.get("id")?,
                row.get("table")?,
                row.get("from")?,
                row.get("to")?,
                action(row, "on_delete")?,
                action(row, "on_update")?,
            ))
        },
    )?;
    let mut keys: Vec<(i64, ForeignKeyFacts)> = Vec::new();
    for (id, table, column, referenced, on_delete, on_update) in parts {
        match keys.last_mut() {
            Some((last, key)) if *last == id => {
                key.columns.push(column);
                key.referenced.push(referenced);
            }
            _ => keys.push((
                id,
                ForeignKeyFacts { table, columns: vec![column], referenced: vec![referenced], on_delete, on_update },
            )),
        }
    }
    // SQLite lists them from the last to the first.
    Ok(keys.into_iter().rev().map(|(_, key)| key).collect())
}

fn action(row: &Row<'_>, column: &str) -> rusqlite::Result<Action> {
    Ok(match row.get_ref(column)?.as_str()? {
        "SET NULL" => Action::SetNull,
        "SET DEFAULT" => Action::SetDefault,
        "CASCADE" => Action::Cascade,
        "RESTRICT" => Action::Restrict,
        _ => Action::NoAction,
    })
}

fn indexes(connection: &Connection, table: &str) -> rusqlite::Result<Vec<IndexFacts>> {
    let list = collect(connection, &format!("PRAGMA main.index_list({})", quote_always(table)), |row| {
        let origin = match row.get_ref("origin")?.as_str()? {
            "c" => IndexOrigin::Created,
            "u" => IndexOrigin::Unique,
            _ => IndexOrigin::PrimaryKey,
        };
        let parts = Vec::new();
        Ok(IndexFacts {
            name: row.get("name")?,
            unique: row.get("unique")?,
            origin,
            partial: row.get("partial")?,
            parts,
        })
    })?;
    list.into_iter()
        .map(|index| {
            let sql = format!("PRAGMA main.index_xinfo({})", quote_always(&index.name));
            let parts = collect(connection, &sql, |row| {
                let part = IndexPartFacts {
                    column: row.get("name")?,
                    descending: row.get("desc")?,
                    collation: row.get::<_, Option<String>>("coll")?.unwrap_or_default(),
                };
                Ok((row.get::<_, bool>("key")?, part))
            })?;
            Ok(IndexFacts { parts: parts.into_iter().filter(|(key, _)| *key).map(|(_, part)| part).collect(), ..index })
        })
        .collect()
}

fn collect<V>(
    connection: &Connection,
    sql: &str,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<V>,
) -> rusqlite::Result<Vec<V>> {
    connection.prepare(sql)?.query_map([], read)?.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(sql: &str) -> TableFacts {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(sql).unwrap();
        let (name, _, wr, strict) = table_kinds(&connection).unwrap().into_iter().find(|t| t.0 == "t").unwrap();
        table_facts(&connection, &name, wr, strict).unwrap()
    }

    #[test]
    fn the_rowid_alias_is_the_one_that_sqlite_sees() {
        for (columns, alias) in [
            ("id INTEGER PRIMARY KEY", true),
            ("id integer primary key autoincrement", true),
            ("id INTEGER PRIMARY KEY ASC", true),
            ("id INTEGER, PRIMARY KEY (id)", true),
            ("id INTEGER, PRIMARY KEY (id DESC)", true),
            ("id INTEGER PRIMARY KEY DESC", false),
            ("id INT PRIMARY KEY", false),
            ("id BIGINT PRIMARY KEY", false),
            ("id integer auto_increment primary key", false),
            ("id \"INTEGER\" PRIMARY KEY", true),
            ("id INTEGER, b, PRIMARY KEY (id, b)", false),
            ("id TEXT PRIMARY KEY", false),
            ("id INTEGER", false),
        ] {
            let facts = facts(&format!("CREATE TABLE t({columns})"));
            // SQLite's own behaviour: the rowid of a row is the value put into an alias.
            let connection = Connection::open_in_memory().unwrap();
            connection.execute_batch(&format!("CREATE TABLE t({columns}); INSERT INTO t(id) VALUES (77);")).unwrap();
            let rowid: i64 = connection.query_row("SELECT rowid FROM t", [], |row| row.get(0)).unwrap();
            assert_eq!(rowid == 77, alias, "{columns}: SQLite");
            assert_eq!(facts.rowid_alias().is_some(), alias, "{columns}");
        }
        assert_eq!(facts("CREATE TABLE t(id INTEGER PRIMARY KEY) WITHOUT ROWID").rowid_alias(), None);
        assert_eq!(
            facts(
                "CREATE TABLE t(id INTEGER PRIMARY KEY, b UNIQUE) STRICT, WITHOUT ROWID"
                    .replace("b UNIQUE", "b INT UNIQUE")
                    .as_str()
            )
            .rowid_alias(),
            None
        );
    }

    #[test]
    fn foreign_keys_come_in_the_order_of_declaration() {
        let facts = facts(
            "CREATE TABLE t(a REFERENCES x, b REFERENCES y(k) ON DELETE SET NULL, FOREIGN KEY (a, b) REFERENCES z(p, q))",
        );
        let tables: Vec<_> = facts.foreign_keys.iter().map(|key| key.table.as_str()).collect();
        assert_eq!(tables, ["x", "y", "z"]);
        assert_eq!(facts.foreign_keys[0].referenced, [None]);
        assert_eq!(facts.foreign_keys[1].on_delete, Action::SetNull);
        assert_eq!(facts.foreign_keys[2].columns, ["a", "b"]);
    }

    #[test]
    fn shadow_tables_and_generated_columns_are_known_for_what_they_are() {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch("CREATE VIRTUAL TABLE ft USING fts5(x); CREATE TABLE t(a, b AS (a), c AS (a) STORED)")
            .unwrap();
        let kinds = table_kinds(&connection).unwrap();
        let of = |name: &str| kinds.iter().find(|kind| kind.0 == name).unwrap().1;
        assert_eq!((of("ft"), of("ft_data"), of("t")), (TableKind::Virtual, TableKind::Shadow, TableKind::Table));
        let generated: Vec<_> = columns(&connection, "t").unwrap().into_iter().map(|column| column.generated).collect();
        assert_eq!(generated, [None, Some(false), Some(true)]);
    }
}

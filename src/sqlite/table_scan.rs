//! All rows of a table in the order of their rowids, straight from the pages of a private copy.
//!
//! SQLite takes a row apart for its virtual machine, and hands out one value a call. To read the same pages here takes a
//! quarter of that time. Only what is plain is read so: a table of an ordinary file, with rowids. Anything else, and the rest of a table from the first row on that
//! is not as expected, SQLite reads. The proof reads all rows through SQLite alone: a mistake made here would be found there.

use super::database::{Database, emptied};
use super::page_file::{Node, PageFile};
use super::pragmas::{self, TableKind};
use super::record::{Place, RecordReader};
use crate::diagnostic::Diagnostic;
use crate::ident::quote_always;
use crate::schema::{Affinity, Declared, Value};
use std::fs::File;

/// The size in bytes from which on a file is worth it. What tests read is small, and is to be read so as well.
const LEAST: u64 = if cfg!(debug_assertions) { 1 } else { 4 << 20 };

/// How deep a tree can be: more than SQLite allows.
const DEEPEST: usize = 24;

/// A value of each row of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowPart {
    /// What a column of this name holds.
    Column(String),
    /// The rowid.
    Rowid,
}

impl RowPart {
    /// Writes it as SQLite's dialect does.
    pub fn sql(&self) -> String {
        match self {
            Self::Column(name) => quote_always(name),
            Self::Rowid => "rowid".to_owned(),
        }
    }
}

/// Called with the values of a row.
type EachRow<'f, E> = dyn FnMut(&[Value<'_>]) -> Result<(), E> + 'f;

/// How much of a table was read from its pages.
#[derive(Debug, PartialEq, Eq)]
enum Read {
    All,
    /// The rows up to this rowid.
    UpTo(i64),
    Nothing,
}

impl Database {
    /// Calls `f` with these parts of each row of a table.
    ///
    /// They come in the order of their rowids where they are read from pages; otherwise as [`Database::for_each_row`] gives
    /// them.
    pub fn for_each_row_of<E: From<Diagnostic>>(
        &self,
        table: &str,
        parts: &[RowPart],
        f: &mut EachRow<'_, E>,
    ) -> Result<(), E> {
        let names: Vec<String> = parts.iter().map(RowPart::sql).collect();
        let list = if names.is_empty() { "NULL".to_owned() } else { names.join(", ") };
        let sql = format!("SELECT {list} FROM main.{}", quote_always(table));
        let Some(scan) = self.file().and_then(|file| Scan::new(self, file, table, parts)) else {
            return self.for_each_row(&sql, &[], f);
        };
        let rowid = scan.rowid;
        match scan.run(f)? {
            Read::All => Ok(()),
            Read::UpTo(last) => {
                let sql = format!("{sql} WHERE {rowid} > ?1 ORDER BY {rowid}");
                self.for_each_row(&sql, &[Value::Integer(last)], f)
            }
            Read::Nothing => self.for_each_row(&format!("{sql} ORDER BY {rowid}"), &[], f),
        }
    }
}

/// What is to be read of a table.
struct Scan<'f> {
    pages: PageFile<'f>,
    root: u32,
    records: RecordReader,
    /// A name that the rowid has.
    rowid: &'static str,
}

impl<'f> Scan<'f> {
    /// Finds out where a table and its columns lie; `None` for one that SQLite has to read.
    fn new(database: &Database, file: &'f File, table: &str, parts: &[RowPart]) -> Option<Self> {
        if file.metadata().ok()?.len() < LEAST {
            return None;
        }
        let pages = PageFile::new(file)?;
        let connection = database.connection();
        let (name, kind, without_rowid, strict) = pragmas::table_kind(connection, table).ok()??;
        if kind != TableKind::Table || without_rowid {
            return None;
        }
        let facts = pragmas::table_facts(connection, &name, without_rowid, strict).ok()?;
        let is_column = |name: &str| facts.columns.iter().any(|column| column.name.eq_ignore_ascii_case(name));
        let rowid = ["rowid", "_rowid_", "oid"].into_iter().find(|name| !is_column(name))?;
        let alias = facts.rowid_alias();
        let mut places = Vec::with_capacity(parts.len());
        for part in parts {
            places.push(match part {
                RowPart::Rowid if is_column("rowid") => return None,
                RowPart::Rowid => Place::Rowid,
                RowPart::Column(name) => {
                    let position = facts.columns.iter().position(|column| column.name.eq_ignore_ascii_case(name))?;
                    let column = &facts.columns[position];
                    match column.generated {
                        _ if alias == Some(position) => Place::Rowid,
                        // It is computed when it is read.
                        Some(false) => return None,
                        _ => Place::Stored {
                            field: facts.columns[..position].iter().filter(|c| c.generated != Some(false)).count(),
                            is_real: Declared(column.declared.clone()).affinity() == Affinity::Real,
                            has_default: column.default.is_some() || column.generated.is_some(),
                        },
                    }
                }
            });
        }
        let sql = "SELECT rootpage FROM main.sqlite_schema WHERE type = 'table' AND name = ?1";
        let root = connection.query_row(sql, [&name], |row| row.get(0)).ok()?;
        Some(Self { pages, root, records: RecordReader::new(places), rowid })
    }

    fn run<E>(self, f: &mut EachRow<'_, E>) -> Result<Read, E> {
        let Self { mut pages, root, mut records, .. } = self;
        let mut last = None;
        let left_to_sqlite = |last: Option<i64>| Ok(last.map_or(Read::Nothing, Read::UpTo));
        // Pages that are still to be read, the next one last, with their depths.
        let mut waiting = vec![(root, 0)];
        let (mut seen, mut overflow, mut buffer) = (0, Vec::new(), Vec::new());
        while let Some((number, depth)) = waiting.pop() {
            seen += 1;
            if seen > pages.count || depth > DEEPEST {
                return left_to_sqlite(last);
            }
            // What lies elsewhere is read while the page is looked at, through a handle of its own.
            let elsewhere = pages.plain();
            match pages.node(number) {
                Some(Node::Interior(children)) => {
                    waiting.extend(children.into_iter().rev().map(|child| (child, depth + 1)));
                }
                Some(Node::Leaf(leaf)) => {
                    for row in 0..leaf.rows {
                        let mut values = emptied(buffer);
                        let cell = leaf.cell(row).filter(|cell| last.is_none_or(|last| last < cell.rowid));
                        let Some(cell) = cell else { return left_to_sqlite(last) };
                        let record = match cell.overflow {
                            None => Some(cell.local),
                            Some(rest) => elsewhere.whole(cell.local, rest, &mut overflow).map(|()| &overflow[..]),
                        };
                        let read = record.and_then(|record| records.read(cell.rowid, record, &mut values));
                        if read.is_none() {
                            return left_to_sqlite(last);
                        }
                        f(&values)?;
                        last = Some(cell.rowid);
                        buffer = emptied(values);
                    }
                }
                None => return left_to_sqlite(last),
            }
        }
        Ok(Read::All)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::open_copy;
    use proptest::prelude::*;
    use rusqlite::Connection;
    use std::path::Path;

    fn column(name: &str) -> RowPart {
        RowPart::Column(name.to_owned())
    }

    /// Reads a table's pages; `None` where SQLite would have to.
    fn scanned(database: &Database, table: &str, parts: &[RowPart]) -> Option<(Read, Vec<String>)> {
        let scan = Scan::new(database, database.file().unwrap(), table, parts)?;
        let mut rows = Vec::new();
        let read = scan.run::<Diagnostic>(&mut |values| {
            rows.push(format!("{values:?}"));
            Ok(())
        });
        Some((read.unwrap(), rows))
    }

    /// Reads a table through [`Database::for_each_row_of`], and by SQLite alone.
    fn both(database: &Database, table: &str, parts: &[RowPart]) -> (Vec<String>, Vec<String>) {
        let (mut read, mut by_sqlite) = (Vec::new(), Vec::new());
        let mut keep = |values: &[Value<'_>]| {
            read.push(format!("{values:?}"));
            Ok::<(), Diagnostic>(())
        };
        database.for_each_row_of(table, parts, &mut keep).unwrap();
        let list = parts.iter().map(RowPart::sql).collect::<Vec<_>>().join(", ");
        let order = if table == "w" { "" } else { " ORDER BY rowid" };
        let sql = format!("SELECT {list} FROM main.{}{order}", quote_always(table));
        let mut keep = |values: &[Value<'_>]| {
            by_sqlite.push(format!("{values:?}"));
            Ok::<(), Diagnostic>(())
        };
        database.for_each_row(&sql, &[], &mut keep).unwrap();
        (read, by_sqlite)
    }

    fn written(path: &Path, sql: &str) -> Database {
        Connection::open(path).unwrap().execute_batch(sql).unwrap();
        open_copy(path).unwrap()
    }

    /// Expressions whose values take every type that a record has, and lengths around those at which a record goes on
    /// elsewhere.
    fn value() -> impl Strategy<Value = String> {
        prop_oneof![
            Just("NULL".to_owned()),
            any::<i64>()
                .prop_map(|number| number.to_string().replace("-9223372036854775808", "(-9223372036854775807 - 1)")),
            (-70_000_i64..70_000).prop_map(|number| number.to_string()),
            (0_i64..2).prop_map(|number| number.to_string()),
            (1_u32..63).prop_map(|bits| format!("(1 << {bits}) - 1")),
            (1_u32..63).prop_map(|bits| format!("-(1 << {bits})")),
            any::<i32>().prop_map(|number| format!("{number} / 8.0")),
            Just("1e999".to_owned()),
            (0_usize..40).prop_map(|length| format!("'{}'", "ä'".repeat(length).replace('\'', "''"))),
            (0_usize..5_000).prop_map(|length| format!("hex(zeroblob({length}))")),
            (0_usize..5_000).prop_map(|length| format!("zeroblob({length})")),
            Just("CAST(x'ff00fe' AS TEXT)".to_owned()),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        #[test]
        fn what_is_read_from_pages_is_what_sqlite_reads(
            page_size in prop_oneof![Just(512), Just(1024), Just(4096), Just(65_536)],
            auto_vacuum in any::<bool>(),
            rows in prop::collection::vec((any::<Option<i16>>(), value(), value(), value(), value()), 0..120),
            gone in 2_u8..9,
            late in prop::collection::vec(value(), 0..4),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("copy.db");
            let mut sql = format!(
                "PRAGMA page_size = {page_size}; PRAGMA auto_vacuum = {}; CREATE TABLE other(x); \
                 CREATE TABLE t(a, id INTEGER PRIMARY KEY, b REAL, v AS (id + 1), c TEXT, d INTEGER, s AS (d) STORED); \
                 CREATE TABLE n(a, b REAL, c, d); BEGIN;",
                u8::from(auto_vacuum)
            );
            for (id, a, b, c, d) in &rows {
                let id = id.map_or("NULL".to_owned(), |id| id.to_string());
                sql.push_str(&format!(
                    "INSERT OR REPLACE INTO t (a, id, b, c, d) VALUES ({a}, {id}, {b}, {c}, {d}); \
                     INSERT INTO n VALUES ({a}, {b}, {c}, {d}); INSERT INTO other VALUES (zeroblob(300));"
                ));
            }
            sql.push_str(&format!("DELETE FROM n WHERE rowid % {gone} = 1; COMMIT; ALTER TABLE n ADD COLUMN e REAL;"));
            for value in &late {
                sql.push_str(&format!("INSERT INTO n (a, e) VALUES (1, {value});"));
            }
            let database = written(&path, &sql);
            for (table, parts) in [
                ("t", vec![column("id"), column("C"), column("a"), column("s"), column("d"), column("b"), RowPart::Rowid]),
                ("n", vec![RowPart::Rowid, column("e"), column("b"), column("a")]),
                ("n", vec![column("d"), column("d"), column("c")]),
            ] {
                let (read, by_sqlite) = both(&database, table, &parts);
                prop_assert_eq!(&read, &by_sqlite);
                prop_assert_eq!(scanned(&database, table, &parts), Some((Read::All, by_sqlite)));
            }
        }
    }

    #[test]
    fn what_is_not_plain_is_left_to_sqlite() {
        let folder = tempfile::tempdir().unwrap();
        let database = written(
            &folder.path().join("copy.db"),
            "CREATE TABLE w(a PRIMARY KEY, b) WITHOUT ROWID; INSERT INTO w VALUES (2, 'x'), (1, 'y'); \
             CREATE TABLE g(a, v AS (a * 2)); INSERT INTO g VALUES (1), (2); \
             CREATE TABLE r(rowid, _rowid_, oid); INSERT INTO r VALUES (1, 2, 3); \
             CREATE TABLE u(rowid, b); INSERT INTO u VALUES ('x', 2); \
             CREATE VIEW s AS SELECT a FROM g",
        );
        for (table, parts) in [
            ("w", [column("a"), column("b")]),
            ("g", [column("a"), column("v")]),
            ("r", [column("rowid"), column("oid")]),
            ("s", [column("a"), column("a")]),
        ] {
            assert_eq!(scanned(&database, table, &parts), None, "{table}");
            if table != "s" {
                let (read, by_sqlite) = both(&database, table, &parts);
                assert_eq!(read, by_sqlite, "{table}");
            }
        }
        assert_eq!(scanned(&database, "u", &[RowPart::Rowid]), None, "the name means a column");
        let (read, rows) = scanned(&database, "u", &[column("rowid"), column("b")]).unwrap();
        assert_eq!((read, rows.concat().as_str()), (Read::All, "[Text([120]), Integer(2)]"));
        let utf16 = written(
            &folder.path().join("utf16.db"),
            "PRAGMA encoding = 'UTF-16le'; CREATE TABLE t(a); INSERT INTO t VALUES ('ä')",
        );
        assert_eq!(scanned(&utf16, "t", &[column("a")]), None);
        let (read, by_sqlite) = both(&utf16, "t", &[column("a")]);
        assert_eq!((read, by_sqlite.concat().as_str()), (by_sqlite.clone(), "[Text([195, 164])]"));
        let log = folder.path().join("log.db");
        let kept = Connection::open(&log).unwrap();
        kept.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t(a); INSERT INTO t VALUES (1)").unwrap();
        assert_eq!(scanned(&open_copy(&log).unwrap(), "t", &[column("a")]), None, "rows are in the log");
    }

    #[test]
    fn rows_from_before_a_column_with_a_default_are_read_by_sqlite_from_there_on() {
        let folder = tempfile::tempdir().unwrap();
        let many = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 500) SELECT n FROM r";
        let database = written(
            &folder.path().join("copy.db"),
            &format!(
                "CREATE TABLE t(id INTEGER PRIMARY KEY, a); INSERT INTO t SELECT n * 2, n FROM ({many}); \
                 ALTER TABLE t ADD COLUMN b TEXT DEFAULT 7; UPDATE t SET b = 'own' WHERE id < 300; INSERT INTO t VALUES (5001, 1, NULL)"
            ),
        );
        let parts = [column("id"), column("b")];
        let (read, rows) = scanned(&database, "t", &parts).unwrap();
        assert_eq!(
            (read, rows.len()),
            (Read::UpTo(298), 149),
            "the column's default is a text, which the record does not say"
        );
        let (read, by_sqlite) = both(&database, "t", &parts);
        assert_eq!(read, by_sqlite);
        assert_eq!(read.len(), 501);
        assert_eq!(scanned(&database, "t", &[column("a")]).unwrap().0, Read::All, "the others need it not");
    }

    #[test]
    fn damage_is_left_to_sqlite_and_a_callers_error_stops_the_rows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("copy.db");
        let many = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 3000) SELECT n, hex(zeroblob(30)) FROM r";
        let database = written(&path, &format!("PRAGMA page_size = 1024; CREATE TABLE t(a, b); INSERT INTO t {many}"));
        let parts = [column("a"), column("b")];
        let mut seen = 0;
        let mut stop = |_: &[Value<'_>]| {
            seen += 1;
            if seen == 700 { Err(Diagnostic::error("stop", "enough")) } else { Ok(()) }
        };
        assert_eq!(database.for_each_row_of("t", &parts, &mut stop).unwrap_err().code, "stop");
        assert_eq!(seen, 700);
        let whole = std::fs::read(&path).unwrap();
        // Each byte of some pages is made another in turn: nothing may panic, and where pages give all rows, SQLite has a say
        // in none of them, so what they give has to be all of it or an honest part.
        for at in (1024..4096).step_by(7) {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x85;
            let path = folder.path().join("damaged.db");
            std::fs::write(&path, &damaged).unwrap();
            let database = open_copy(&path).unwrap();
            let found = scanned(&database, "t", &parts);
            assert!(found.is_some_and(|(_, rows)| rows.len() <= 3000), "{at}");
            let mut rows = 0;
            let _ = database.for_each_row_of::<Diagnostic>("t", &parts, &mut |_| {
                rows += 1;
                Ok(())
            });
            assert!(rows <= 3000, "{at}: no row comes twice");
        }
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        assert_eq!(open_copy(&path).unwrap_err().code, "source-unreadable", "SQLite says that it is damaged");
    }
}

//! An open SQLite database that is only read.

use super::guard::{Guarded, cannot_write, message};
use crate::diagnostic::Diagnostic;
use crate::ident::{quote_always, visible};
use crate::schema::Value;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql};
use std::borrow::Cow;
use std::fmt::Display;
use std::fs::File;
use std::sync::Arc;

/// A database open for reading, guarded as `guard` says: the only way to its rows.
///
/// A connection is for one thread at a time; parallel readers open one each.
#[derive(Debug)]
pub struct Database {
    guarded: Guarded,
    /// The file itself, where it is a private copy.
    file: Option<File>,
}

impl Database {
    /// Puts guards around an open connection.
    pub(super) fn new(connection: Connection) -> Result<Self, Diagnostic> {
        Ok(Self { guarded: Guarded::for_reading(connection)?, file: None })
    }

    /// As [`Database::new`], on a private copy that nobody writes to any more: its pages can be read without SQLite as well.
    pub(super) fn of_copy(connection: Connection, file: File) -> Result<Self, Diagnostic> {
        Ok(Self { file: Some(file), ..Self::new(connection)? })
    }

    /// Takes a connection with its guards.
    pub(super) fn guarded(guarded: Guarded) -> Self {
        Self { guarded, file: None }
    }

    /// Returns the guarded connection.
    pub(super) fn connection(&self) -> &Connection {
        &self.guarded.connection
    }

    /// Returns the file, where it is a private copy.
    pub(super) fn file(&self) -> Option<&File> {
        self.file.as_ref()
    }

    /// Calls `f` with the values of each row of a query, in its order.
    ///
    /// The values borrow from SQLite and live for one call; text is bytes, as SQLite stores it. Stops at `f`'s first
    /// error. A query that SQLite refuses is `sqlite-query`, one that the guards refuse `forbidden-statement`.
    pub fn for_each_row<E: From<Diagnostic>>(
        &self,
        sql: &str,
        params: &[Value<'_>],
        f: &mut dyn FnMut(&[Value<'_>]) -> Result<(), E>,
    ) -> Result<(), E> {
        let failed = |error: rusqlite::Error| E::from(self.failed(&error));
        let mut statement = self.connection().prepare_cached(sql).map_err(failed)?;
        let width = statement.column_count();
        let mut rows = statement.query(rusqlite::params_from_iter(params.iter().map(Parameter))).map_err(failed)?;
        let mut buffer = Vec::with_capacity(width);
        while let Some(row) = rows.next().map_err(failed)? {
            let mut values = emptied(buffer);
            for column in 0..width {
                match row.get_ref(column).map_err(failed)? {
                    ValueRef::Null => values.push(Value::Null),
                    ValueRef::Integer(number) => push_integer(&mut values, number),
                    ValueRef::Real(number) => push_real(&mut values, number),
                    ValueRef::Text(text) => push_text(&mut values, text),
                    ValueRef::Blob(blob) => values.push(Value::Blob(Cow::Borrowed(blob))),
                }
            }
            f(&values)?;
            buffer = emptied(values);
        }
        Ok(())
    }

    /// Runs a query for the one integer that it gives; NULL and no row at all are 0.
    pub fn query_integer(&self, sql: &str, params: &[Value<'_>]) -> Result<i64, Diagnostic> {
        let mut answer = Ok(0);
        self.for_each_row(sql, params, &mut |values| {
            answer = match values.first() {
                Some(Value::Integer(number)) => Ok(*number),
                Some(Value::Null) => Ok(0),
                other => Err(other.map_or("nothing", Value::storage)),
            };
            Ok::<(), Diagnostic>(())
        })?;
        answer.map_err(|storage| Diagnostic::error("sqlite-query", format!("expected an integer, found {storage}")))
    }

    /// Returns the greatest rowid of a table, which says about how many rows it has without counting them; 0 where it has
    /// none.
    pub fn greatest_rowid(&self, table: &str) -> i64 {
        self.query_integer(&format!("SELECT max(rowid) FROM main.{}", quote_always(table)), &[]).unwrap_or(0)
    }

    /// Runs one or more statements that create, fill, index or drop TEMP tables; nothing else is allowed.
    ///
    /// TEMP tables end with the connection. What of them is too much for memory goes into a file without a name.
    ///
    /// # Errors
    /// `spill-failed` where there is no room for that, and those of a query.
    pub fn execute_temp(&self, sql: &str) -> Result<(), Diagnostic> {
        self.guarded.with_temp(|connection| connection.execute_batch(sql)).map_err(|error| self.failed(&error))
    }

    /// Adds a function of one argument to the SQL of this connection; `None` is NULL.
    ///
    /// # Errors
    /// `sqlite-query` where SQLite does not take it.
    pub fn add_function(
        &self,
        name: &str,
        f: impl Fn(&Value<'_>) -> Option<SharedValue> + Send + 'static,
    ) -> Result<(), Diagnostic> {
        let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_DIRECTONLY;
        let call = move |context: &Context<'_>| Ok(f(&from_rusqlite(context.get_raw(0))));
        self.connection().create_scalar_function(name, 1, flags, call).map_err(|error| self.failed(&error))
    }

    /// Builds the error for a schema that SQLite cannot read.
    pub(super) fn unreadable(&self, error: &rusqlite::Error) -> Diagnostic {
        self.guarded.diagnose("source-unreadable", error)
    }

    pub(super) fn failed(&self, error: &rusqlite::Error) -> Diagnostic {
        // Nothing is written here but what does not fit into memory.
        if cannot_write(error) {
            return spill_failed("", &message(error));
        }
        let mut diagnostic = self.guarded.diagnose("sqlite-query", error);
        if diagnostic.code == "sqlite-query" {
            diagnostic.message = format!("SQLite cannot run a query: {}", visible(&message(error)));
        }
        diagnostic
    }
}

/// Builds the error for rows that the disk has no room for, `place` in it: ` in FOLDER`, or nothing where that is not known.
pub fn spill_failed(place: &str, reason: &dyn Display) -> Diagnostic {
    Diagnostic::error("spill-failed", format!("cannot put rows away into a temporary file{place}: {reason}"))
        .help("make room in the directory for temporary files, or set TMPDIR to another")
}

/// Takes the values out of a vector and keeps its memory, so that a row costs no allocation: a collected `Vec` of the
/// same element size reuses the memory of the one it comes from.
pub(super) fn emptied<'b>(values: Vec<Value<'_>>) -> Vec<Value<'b>> {
    values.into_iter().map_while(|_| None).collect()
}

// Functions of their own, so that each writes straight into the vector. Together they would put the value together elsewhere
// first, and to wait for that took half of the time of reading a row.

#[inline(never)]
pub(super) fn push_integer(values: &mut Vec<Value<'_>>, number: i64) {
    values.push(Value::Integer(number));
}

#[inline(never)]
pub(super) fn push_real(values: &mut Vec<Value<'_>>, number: f64) {
    values.push(Value::Real(number));
}

#[inline(never)]
pub(super) fn push_text<'v>(values: &mut Vec<Value<'v>>, text: &'v [u8]) {
    values.push(Value::Text(Cow::Borrowed(text)));
}

struct Parameter<'a>(&'a Value<'a>);

impl ToSql for Parameter<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(to_rusqlite(self.0)))
    }
}

/// What a function of SQL gives, often the same. A short text stands in the value itself, so that many of them lie close
/// together in memory.
#[derive(Debug, Clone)]
pub struct SharedValue(Shared);

#[derive(Debug, Clone)]
enum Shared {
    Short([u8; SHORT], u8),
    Any(Arc<Value<'static>>),
}

/// The most bytes of a short text.
const SHORT: usize = 30;

impl SharedValue {
    /// Keeps a value.
    pub fn new(value: Value<'static>) -> Self {
        match &value {
            Value::Text(text) if text.len() <= SHORT => {
                let mut bytes = [0; SHORT];
                bytes[..text.len()].copy_from_slice(text);
                Self(Shared::Short(bytes, text.len() as u8))
            }
            _ => Self(Shared::Any(Arc::new(value))),
        }
    }
}

impl ToSql for SharedValue {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match &self.0 {
            Shared::Short(bytes, length) => ValueRef::Text(&bytes[..usize::from(*length)]),
            Shared::Any(value) => to_rusqlite(value),
        }))
    }
}

pub(super) fn from_rusqlite(value: ValueRef<'_>) -> Value<'_> {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Text(text) => Value::Text(Cow::Borrowed(text)),
        ValueRef::Blob(blob) => Value::Blob(Cow::Borrowed(blob)),
    }
}

fn to_rusqlite<'v>(value: &'v Value<'_>) -> ValueRef<'v> {
    match value {
        Value::Null => ValueRef::Null,
        Value::Integer(number) => ValueRef::Integer(*number),
        Value::Real(number) => ValueRef::Real(*number),
        Value::Text(text) => ValueRef::Text(text),
        Value::Blob(blob) => ValueRef::Blob(blob),
    }
}

/// Returns the version of the SQLite that is built in.
pub fn version() -> &'static str {
    rusqlite::version()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(sql: &str) -> Database {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(sql).unwrap();
        Database::new(connection).unwrap()
    }

    fn rows(database: &Database, sql: &str, params: &[Value<'_>]) -> Vec<String> {
        let mut rows = Vec::new();
        let mut read = |values: &[Value<'_>]| {
            rows.push(format!("{values:?}"));
            Ok::<(), Diagnostic>(())
        };
        database.for_each_row(sql, params, &mut read).unwrap();
        rows
    }

    #[test]
    fn every_storage_class_comes_through_as_it_is() {
        let database =
            database("CREATE TABLE t(a); INSERT INTO t VALUES (NULL), (1), (1.5), (CAST(x'ff00' AS TEXT)), (x'00')");
        let found = rows(&database, "SELECT a, rowid FROM t ORDER BY rowid", &[]);
        assert_eq!(
            found,
            [
                "[Null, Integer(1)]",
                "[Integer(1), Integer(2)]",
                "[Real(1.5), Integer(3)]",
                "[Text([255, 0]), Integer(4)]",
                "[Blob([0]), Integer(5)]"
            ]
        );
    }

    #[test]
    fn parameters_keep_their_storage_class() {
        let database = database("");
        let params = [
            Value::Null,
            Value::Integer(-1),
            Value::Real(0.5),
            Value::Text(Cow::Borrowed(b"a\xff")),
            Value::Blob(Cow::Borrowed(b"a")),
        ];
        assert_eq!(rows(&database, "SELECT ?1, ?2, ?3, ?4, ?5", &params), [format!("{params:?}")]);
    }

    #[test]
    fn a_callers_error_stops_the_rows() {
        let database = database("CREATE TABLE t(a); INSERT INTO t VALUES (1), (2), (3)");
        let mut seen = 0;
        let result = database.for_each_row("SELECT a FROM t", &[], &mut |_| {
            seen += 1;
            if seen == 2 { Err(Diagnostic::error("stop", "enough")) } else { Ok(()) }
        });
        assert_eq!((result.unwrap_err().code, seen), ("stop", 2));
    }

    #[test]
    fn rows_share_one_buffer() {
        let mut values: Vec<Value<'_>> = Vec::with_capacity(7);
        values.extend([Value::Null, Value::Text(Cow::Borrowed(b"x")), Value::Integer(1)]);
        let address = values.as_ptr() as usize;
        let again: Vec<Value<'_>> = emptied(values);
        assert_eq!((again.as_ptr() as usize, again.capacity(), again.len()), (address, 7, 0));
    }

    #[test]
    fn integers_are_asked_for_by_name() {
        let database = database("CREATE TABLE t(a); INSERT INTO t VALUES (5)");
        assert_eq!(database.query_integer("SELECT max(a) FROM t", &[]).unwrap(), 5);
        assert_eq!(database.query_integer("SELECT max(a) FROM t WHERE a > ?1", &[Value::Integer(9)]).unwrap(), 0);
        assert_eq!(database.query_integer("SELECT 'x'", &[]).unwrap_err().code, "sqlite-query");
        assert_eq!(database.query_integer("SELECT nosuch", &[]).unwrap_err().code, "sqlite-query");
        assert_eq!(database.query_integer("SELECT load_extension('x')", &[]).unwrap_err().code, "forbidden-statement");
    }

    #[test]
    fn temp_tables_are_the_only_thing_that_can_be_written() {
        let database = database("CREATE TABLE t(a); INSERT INTO t VALUES (5)");
        database.execute_temp("CREATE TEMP TABLE m AS SELECT a FROM t; CREATE UNIQUE INDEX temp.m_a ON m(a)").unwrap();
        assert_eq!(database.query_integer("SELECT count(*) FROM temp.m", &[]).unwrap(), 1);
        assert_eq!(database.execute_temp("DELETE FROM t").unwrap_err().code, "forbidden-statement");
        database.execute_temp("DROP TABLE temp.m").unwrap();
        let written = database.for_each_row("DELETE FROM t RETURNING a", &[], &mut |_| Ok::<(), Diagnostic>(()));
        assert_eq!(written.unwrap_err().code, "forbidden-statement");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_is_too_much_for_memory_goes_into_a_file_that_nobody_else_can_open() {
        let database = database("");
        let series = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 200000) SELECT n";
        let is_large = |file: &std::fs::DirEntry| {
            let name = std::fs::read_link(file.path()).unwrap_or_default().to_string_lossy().into_owned();
            let size = std::fs::metadata(file.path()).map_or(0, |metadata| metadata.len());
            // What other tests put away beside this one is smaller.
            name.starts_with('/') && name.ends_with("(deleted)") && size > 8_000_000
        };
        let large = || std::fs::read_dir("/proc/self/fd").unwrap().flatten().filter(is_large).count();
        database.execute_temp(&format!("CREATE TEMP TABLE m AS {series}, hex(zeroblob(20)) AS t FROM r")).unwrap();
        assert!(large() > 0, "200,000 rows of forty bytes are more than a test's memory");
        assert_eq!(database.query_integer("SELECT sum(n) FROM temp.m", &[]).unwrap(), 20_000_100_000);
    }
}

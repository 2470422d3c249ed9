//! Writes rows into a table by binary COPY.
//!
//! The caller encodes: an `i16` count of fields, then for each an `i32` length and its bytes, -1 for NULL, all in
//! network order. Header and trailer are written here. Slices of a quarter of a megabyte take less time on the way
//! than rows one by one.

use super::Connection;
use super::transaction::TransactionState;
use crate::diagnostic::Diagnostic;
use crate::ident::{quote, quote_list, visible};
use crate::schema::PgType;
use ::postgres::CopyInWriter;
use std::io::{self, Write};

/// Buffered bytes from which on they are sent.
const SLICE: usize = 256 * 1024;

/// What every binary COPY begins with: signature, flags, length of an empty extension.
pub(super) const HEADER: &[u8; 19] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// The field count that no row has.
const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();

/// A column to copy into, and the type that the rows are encoded for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopyColumn<'a> {
    /// Its name.
    pub name: &'a str,
    /// What its values are encoded as.
    pub data_type: PgType,
}

/// A COPY into one table that is under way; dropping it throws its rows away.
pub struct CopyIn<'c> {
    writer: CopyInWriter<'c>,
    state: StateGuard<'c>,
    buffer: Vec<u8>,
    rows: u64,
    purpose: String,
}

/// Marks the transaction as failed unless the COPY is finished: PostgreSQL does the same.
struct StateGuard<'c> {
    state: &'c mut TransactionState,
    finished: bool,
}

impl Drop for StateGuard<'_> {
    fn drop(&mut self) {
        if !self.finished {
            self.state.fail();
        }
    }
}

impl<'c> CopyIn<'c> {
    /// Begins a COPY after comparing the columns with those the table has: the server checks only their widths, and
    /// would take a text for a json, or a float8 for a bigint.
    ///
    /// The error `copy-column-mismatch` lists every column that is missing, generated or of another type.
    pub fn start(
        connection: &'c mut Connection,
        schema: &str,
        table: &str,
        columns: &[CopyColumn<'_>],
    ) -> Result<Self, Diagnostic> {
        Self::start_with(connection, schema, table, columns, "")
    }

    /// As [`CopyIn::start`], into a table that holds no rows, whose rows will be seen by all who come after the COMMIT: the
    /// server has to write them once, and need not look each of them up again. `connection` is in a transaction.
    ///
    /// `target-not-empty` where the table holds rows.
    pub fn start_frozen(
        connection: &'c mut Connection,
        schema: &str,
        table: &str,
        columns: &[CopyColumn<'_>],
    ) -> Result<Self, Diagnostic> {
        let name = format!("{}.{}", quote(schema), quote(table));
        connection.execute(&format!("LOCK TABLE ONLY {name}"), &format!("lock {}", visible(table)))?;
        let found = connection.query_one(&format!("SELECT EXISTS (SELECT FROM {name})"), &[], "look for rows")?;
        if found.boolean(0)? {
            return Err(Diagnostic::error(
                "target-not-empty",
                format!("{} holds rows that the run has not put there", visible(table)),
            )
            .help("undo the run with `tenantry rollback`, take those rows away, and begin anew"));
        }
        // The server asks for a table that is new in the transaction.
        connection.execute(&format!("TRUNCATE ONLY {name}"), &format!("make {} new", visible(table)))?;
        Self::start_with(connection, schema, table, columns, ", FREEZE")
    }

    fn start_with(
        connection: &'c mut Connection,
        schema: &str,
        table: &str,
        columns: &[CopyColumn<'_>],
        options: &str,
    ) -> Result<Self, Diagnostic> {
        let purpose = format!("copy rows into {}", visible(table));
        check_columns(connection, schema, table, columns)?;
        let names = quote_list(columns.iter().map(|column| column.name));
        // Without columns the list is left out: "COPY t () FROM" is not SQL.
        let list = if columns.is_empty() { String::new() } else { format!(" ({names})") };
        let sql = format!("COPY {}.{}{list} FROM STDIN (FORMAT binary{options})", quote(schema), quote(table));
        let Connection { client, state, .. } = connection;
        let writer = client.copy_in(&sql).map_err(|error| {
            state.fail();
            super::error::statement(&error, &purpose)
        })?;
        let mut buffer = Vec::with_capacity(SLICE + SLICE / 4);
        buffer.extend_from_slice(HEADER);
        Ok(Self { writer, state: StateGuard { state, finished: false }, buffer, rows: 0, purpose })
    }

    /// Returns where the caller appends encoded rows; [`CopyIn::wrote`] has to follow.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Counts rows that the caller has appended in full, and sends them once there are enough.
    pub fn wrote(&mut self, rows: u64) -> Result<(), Diagnostic> {
        self.rows += rows;
        if self.buffer.len() >= SLICE { self.send() } else { Ok(()) }
    }

    /// Sends rows that were encoded before, without a copy of them.
    pub fn send_rows(&mut self, encoded: &[u8], rows: u64) -> Result<(), Diagnostic> {
        self.send()?;
        self.rows += rows;
        for slice in encoded.chunks(SLICE) {
            let sent = self.writer.write_all(slice).and_then(|()| self.writer.flush());
            sent.map_err(|error| io_error(error, &self.purpose))?;
        }
        Ok(())
    }

    /// Sends what is left and returns the number of rows that the server has taken.
    ///
    /// The error `copy-count-mismatch` says that it is not the number of rows sent. Inside a transaction nothing can
    /// be committed then; outside the rows are there already.
    pub fn finish(mut self) -> Result<u64, Diagnostic> {
        self.buffer.extend_from_slice(&TRAILER);
        self.send()?;
        let Self { writer, mut state, rows, purpose, .. } = self;
        let taken = writer.finish().map_err(|error| super::error::statement(&error, &purpose))?;
        if taken != rows {
            return Err(Diagnostic::error(
                "copy-count-mismatch",
                format!("failed to {purpose}: {rows} rows were sent and the server reports {taken}"),
            ));
        }
        state.finished = true;
        Ok(taken)
    }

    fn send(&mut self) -> Result<(), Diagnostic> {
        let sent = self.writer.write_all(&self.buffer).and_then(|()| self.writer.flush());
        self.buffer.clear();
        sent.map_err(|error| io_error(error, &self.purpose))
    }
}

/// Explains an error that the driver has wrapped for `Read` or `Write`.
pub(super) fn io_error(error: io::Error, purpose: &str) -> Diagnostic {
    match error.downcast::<::postgres::Error>() {
        Ok(error) => super::error::statement(&error, purpose),
        Err(error) => Diagnostic::error("connection-lost", format!("failed to {purpose}: {error}")),
    }
}

fn check_columns(
    connection: &mut Connection,
    schema: &str,
    table: &str,
    columns: &[CopyColumn<'_>],
) -> Result<(), Diagnostic> {
    let sql = "SELECT a.attname, a.atttypid, a.attgenerated <> '', format_type(a.atttypid, a.atttypmod) \
               FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
               WHERE n.nspname = $1 AND c.relname = $2 AND a.attnum > 0 AND NOT a.attisdropped";
    let purpose = format!("read the columns of {}", visible(table));
    let rows = connection.query(sql, &[Some(schema), Some(table)], &purpose)?;
    let mut problems = Vec::new();
    for column in columns {
        let name = visible(column.name);
        match rows.iter().find(|row| row.optional(0) == Some(column.name)) {
            None => problems.push(format!("{name} does not exist")),
            Some(row) if row.boolean(2)? => problems.push(format!("{name} is generated")),
            Some(row) if !column.data_type.has_oid(row.integer(1)?) => {
                problems.push(format!("{name} is {}, not {}", visible(row.text(3)?), column.data_type));
            }
            Some(_) => {}
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    Err(Diagnostic::error(
        "copy-column-mismatch",
        format!("failed to copy rows into {}: {}", visible(table), problems.join(", ")),
    )
    .help("create the table from the same spec, or change the column's type in the spec"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing;

    fn encode(buffer: &mut Vec<u8>, fields: &[Option<&[u8]>]) {
        buffer.extend_from_slice(&(fields.len() as i16).to_be_bytes());
        for field in fields {
            match field {
                None => buffer.extend_from_slice(&(-1_i32).to_be_bytes()),
                Some(bytes) => {
                    buffer.extend_from_slice(&(bytes.len() as i32).to_be_bytes());
                    buffer.extend_from_slice(bytes);
                }
            }
        }
    }

    const COLUMNS: &[CopyColumn<'static>] =
        &[CopyColumn { name: "id", data_type: PgType::Bigint }, CopyColumn { name: "Order", data_type: PgType::Text }];

    fn table() -> Connection {
        let mut connection = testing::connect(&testing::database());
        connection.execute("CREATE TABLE \"my t\" (id bigint, \"Order\" text)", "create").unwrap();
        connection
    }

    #[test]
    fn a_hundred_thousand_rows_arrive_with_their_nulls_and_big_values() {
        let mut connection = table();
        let big = "x".repeat(SLICE * 2 + 1);
        let mut copy = CopyIn::start(&mut connection, "public", "my t", COLUMNS).unwrap();
        for id in 0_i64..100_000 {
            let text = if id == 5_000 { big.clone() } else { format!("row {id}") };
            encode(copy.buffer(), &[Some(&id.to_be_bytes()), (id % 10 != 0).then_some(text.as_bytes())]);
            copy.wrote(1).unwrap();
        }
        encode(copy.buffer(), &[Some(&7_i64.to_be_bytes()), Some(big.as_bytes())]);
        copy.wrote(1).unwrap();
        assert_eq!(copy.finish(), Ok(100_001));
        let sql = "SELECT count(*) || ' ' || count(\"Order\") || ' ' || sum(id) || ' ' || max(length(\"Order\")) || ' ' \
                   || count(*) FILTER (WHERE \"Order\" = 'row ' || id) FROM \"my t\"";
        let expected = format!("100001 90001 4999950007 {} 90000", big.len());
        assert_eq!(testing::column(&mut connection, sql), [expected]);
    }

    #[test]
    fn frozen_rows_are_there_for_all_and_only_in_a_table_without_rows() {
        let mut connection = table();
        let mut fill = || {
            let mut transaction = connection.begin()?;
            let mut copy = CopyIn::start_frozen(&mut transaction, "public", "my t", COLUMNS)?;
            encode(copy.buffer(), &[Some(&7_i64.to_be_bytes()), Some(b"x")]);
            copy.wrote(1)?;
            copy.finish()?;
            transaction.commit()
        };
        fill().unwrap();
        assert_eq!(fill().unwrap_err().code, "target-not-empty");
        // Nobody has vacuumed it: the copy itself has said that all see all rows.
        let sql = "SELECT id || ' ' || (SELECT relpages > 0 AND relallvisible = relpages FROM pg_class WHERE relname = 'my t') FROM \"my t\"";
        connection.execute("ANALYZE \"my t\"", "analyze").unwrap();
        assert_eq!(testing::column(&mut connection, sql), ["7 true"]);
    }

    #[test]
    fn columns_that_differ_are_refused_before_a_row_is_sent() {
        let mut connection = table();
        connection.execute("ALTER TABLE \"my t\" ADD g int GENERATED ALWAYS AS (1) STORED", "alter").unwrap();
        let columns = [
            CopyColumn { name: "id", data_type: PgType::Double },
            CopyColumn { name: "missing", data_type: PgType::Text },
            CopyColumn { name: "g", data_type: PgType::Integer },
            CopyColumn { name: "Order", data_type: PgType::Text },
        ];
        let error = CopyIn::start(&mut connection, "public", "my t", &columns).err().unwrap();
        assert_eq!(error.code, "copy-column-mismatch");
        assert!(error.message.ends_with("id is bigint, not double precision, missing does not exist, g is generated"));
    }

    #[test]
    fn a_count_that_differs_is_an_error_and_fails_the_transaction() {
        let mut connection = table();
        let mut transaction = connection.begin().unwrap();
        let mut copy = CopyIn::start(&mut transaction, "public", "my t", COLUMNS).unwrap();
        encode(copy.buffer(), &[None, None]);
        copy.wrote(2).unwrap();
        assert_eq!(copy.finish().unwrap_err().code, "copy-count-mismatch");
        assert_eq!(transaction.commit().unwrap_err().code, "transaction-failed");
        assert_eq!(testing::column(&mut connection, "SELECT count(*) FROM \"my t\""), ["0"]);
    }

    #[test]
    fn dropping_a_copy_leaves_no_row_and_a_usable_connection() {
        let mut connection = table();
        {
            let mut copy = CopyIn::start(&mut connection, "public", "my t", COLUMNS).unwrap();
            for _ in 0..100_000 {
                encode(copy.buffer(), &[None, Some(b"x")]);
                copy.wrote(1).unwrap();
            }
        }
        assert_eq!(testing::column(&mut connection, "SELECT count(*) FROM \"my t\""), ["0"]);
    }

    #[test]
    fn a_refused_row_is_told_by_number_and_constraint_without_its_values() {
        let mut connection = table();
        connection.execute("ALTER TABLE \"my t\" ADD CONSTRAINT low CHECK (id < 3)", "alter").unwrap();
        let mut copy = CopyIn::start(&mut connection, "public", "my t", COLUMNS).unwrap();
        for id in 0_i64..10 {
            encode(copy.buffer(), &[Some(&id.to_be_bytes()), Some(b"s3cret")]);
            copy.wrote(1).unwrap();
        }
        let error = copy.finish().unwrap_err();
        assert_eq!(error.code, "constraint-violated");
        assert!(error.message.contains("\"low\"") && error.message.contains("row 4 of the copy"), "{error:?}");
        assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
        assert_eq!(testing::column(&mut connection, "SELECT count(*) FROM \"my t\""), ["0"]);
    }
}

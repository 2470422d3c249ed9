//! A connection that only reads rows back, in what another transaction sees.
//!
//! The `postgres` crate enters its runtime anew for every message of the server, and COPY sends one for each row: that took
//! longer than all that a proof does with the row. Here the runtime is entered once for a whole COPY.

use super::connect::Driver;
use super::copy_out::{CopyOut, EachRow, Failure, Pieces, statement};
use super::error;
use super::row::Cell;
use super::session::{pins, snapshot_name, typed};
use crate::diagnostic::Diagnostic;
use ::postgres::NoTls;
use ::postgres::error::Error;
use futures_core::Stream;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Reads rows back by COPY, and does nothing else.
pub struct RowReader {
    runtime: Runtime,
    client: Client,
    line: Line,
}

/// Carries messages, and is ready once the connection is closed.
type Carrier = dyn Future<Output = Result<(), Error>> + Send;

/// What carries the messages; `None` once the connection is closed.
struct Line(Option<Pin<Box<Carrier>>>);

impl Line {
    /// Polls what waits for answers, and carries messages where it has to wait.
    fn drive<T>(
        &mut self,
        context: &mut Context<'_>,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<Result<T, Error>>,
    ) -> Poll<Result<T, Error>> {
        if let ready @ Poll::Ready(_) = poll(context) {
            return ready;
        }
        match self.0.as_mut().map(|line| line.as_mut().poll(context)) {
            Some(Poll::Ready(ended)) => {
                self.0 = None;
                if let Err(error) = ended {
                    return Poll::Ready(Err(error));
                }
            }
            Some(Poll::Pending) | None => {}
        }
        poll(context)
    }
}

impl Driver for RowReader {
    fn open(config: Config, tls: Option<MakeRustlsConnect>) -> Result<Result<Self, Error>, Diagnostic> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| {
            Diagnostic::error("connection-failed", format!("failed to prepare for a connection: {error}"))
        })?;
        let opened: Result<(Client, Pin<Box<Carrier>>), Error> = runtime.block_on(async {
            Ok(match tls {
                None => {
                    let (client, connection) = config.connect(NoTls).await?;
                    (client, Box::pin(connection) as Pin<Box<Carrier>>)
                }
                Some(tls) => {
                    let (client, connection) = config.connect(tls).await?;
                    (client, Box::pin(connection) as Pin<Box<Carrier>>)
                }
            })
        });
        Ok(opened.map(|(client, line)| Self { runtime, client, line: Line(Some(line)) }))
    }
}

impl RowReader {
    /// Pins the settings that decide whether rows are seen and how long that may take.
    pub(super) fn pinned(mut self, schema: &str) -> Result<Self, Diagnostic> {
        let version =
            self.first_of("SELECT current_setting('server_version_num')", &[], "read the server's version")?;
        let version = version.and_then(|version| version.parse::<u32>().ok()).unwrap_or(0);
        let (sql, parameters) = pins(schema, version / 10_000);
        let parameters: Vec<Option<&str>> = parameters.iter().map(|parameter| Some(parameter.as_str())).collect();
        self.first_of(&sql, &parameters, "pin the session's settings")?;
        Ok(self)
    }

    /// Begins to see what another connection's transaction sees, which has to be open still.
    pub fn begin_same_snapshot(&mut self, exported: &str) -> Result<(), Diagnostic> {
        self.first_of("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", &[], "begin a transaction")?;
        let sql = format!("SET TRANSACTION SNAPSHOT '{}'", snapshot_name(exported));
        self.first_of(&sql, &[], "take over the view of the rows").map(drop)
    }

    /// Ends what [`RowReader::begin_same_snapshot`] has begun, as well as it can: where even that fails the connection is gone,
    /// and its transaction with it.
    pub fn end_snapshot(&mut self) {
        let _ = self.first_of("ROLLBACK", &[], "roll back");
    }

    /// Runs one statement and returns the first value of its first row.
    fn first_of(
        &mut self,
        sql: &str,
        parameters: &[Option<&str>],
        purpose: &str,
    ) -> Result<Option<String>, Diagnostic> {
        let parameters: Vec<_> = parameters.iter().map(|text| super::row::Parameter(*text)).collect();
        let parameters = typed(&parameters);
        let Self { runtime, client, line } = self;
        let mut asked = pin!(client.query_typed(sql, &parameters));
        let rows = runtime.block_on(poll_fn(|context| line.drive(context, |context| asked.as_mut().poll(context))));
        let rows = rows.map_err(|error| error::statement(&error, purpose))?;
        let Some(row) = rows.first().filter(|row| !row.is_empty()) else { return Ok(None) };
        let value = row.try_get::<_, Option<Cell>>(0).map_err(|error| error::statement(&error, purpose))?;
        Ok(value.map(|cell| cell.0))
    }
}

impl CopyOut for RowReader {
    fn copy_out(&mut self, query: &str, purpose: &str, row: &mut EachRow<'_>) -> Result<u64, Diagnostic> {
        let sql = statement(query);
        let Self { runtime, client, line } = self;
        let failed = |error: Error| Failure::Reading(error::statement(&error, purpose));
        let mut read = || {
            let mut started = pin!(client.copy_out(&sql));
            let begin = poll_fn(|context| line.drive(context, |context| started.as_mut().poll(context)));
            let mut messages = pin!(runtime.block_on(begin).map_err(failed)?);
            let mut pieces = Pieces::default();
            runtime.block_on(poll_fn(|context| {
                loop {
                    let next =
                        line.drive(context, |context| messages.as_mut().poll_next(context).map(Option::transpose));
                    let message = match next {
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(message) => message.map_err(failed),
                    };
                    match message {
                        Ok(Some(message)) => {
                            if let Err(failure) = pieces.take(&message, purpose, row) {
                                return Poll::Ready(Err(failure));
                            }
                        }
                        Ok(None) => return Poll::Ready(pieces.end(purpose)),
                        Err(failure) => return Poll::Ready(Err(failure)),
                    }
                }
            }))
        };
        read().map_err(|failure| match failure {
            Failure::Reading(diagnostic) | Failure::Row(diagnostic) => diagnostic,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ident::quote_always;
    use crate::postgres::testing::{self, PATIENCE};

    fn numbers(reader: &mut RowReader, query: &str) -> Result<Vec<i64>, Diagnostic> {
        let mut found = Vec::new();
        reader.copy_out(query, "read", &mut |fields, _| {
            let number = fields[0].and_then(|field| field.try_into().ok()).map(i64::from_be_bytes);
            found.push(number.unwrap());
            Ok(())
        })?;
        Ok(found)
    }

    #[test]
    fn it_sees_what_the_other_transaction_sees() {
        let database = testing::database();
        let mut connection = testing::connect(&database);
        connection.execute("CREATE TABLE t AS SELECT generate_series(1, 100000) AS n", "create").unwrap();
        let mut reader = database.connect_reader("public", PATIENCE).unwrap();
        let mut transaction = connection.begin_snapshot().unwrap();
        let seen = transaction.export_snapshot().unwrap();
        let mut other = testing::connect(&database);
        other.execute("INSERT INTO t VALUES (0)", "insert").unwrap();
        reader.begin_same_snapshot(&seen).unwrap();
        let found = numbers(&mut reader, "SELECT n::bigint FROM t ORDER BY n").unwrap();
        assert_eq!((found.len(), found[0], found[99_999]), (100_000, 1, 100_000));
        reader.end_snapshot();
        drop(transaction);
        other.execute("DROP TABLE t", "drop what nobody reads any more").unwrap();
        assert_eq!(reader.begin_same_snapshot("00000000-00000000-0").unwrap_err().code, "value-refused");
    }

    #[test]
    fn settings_that_hide_rows_or_cut_it_off_do_not_reach_it() {
        let database = testing::database();
        let mut connection = testing::connect(&database);
        for (setting, value) in [("row_security", "on"), ("statement_timeout", "20"), ("lock_timeout", "7")] {
            let sql = format!("ALTER DATABASE {} SET {setting} = {value}", quote_always(database.database()));
            connection.execute(&sql, "set").unwrap();
        }
        let mut reader = database.connect_reader("public", PATIENCE).unwrap();
        for (setting, value) in [("row_security", "off"), ("statement_timeout", "0"), ("lock_timeout", "10min")] {
            let sql = format!("SELECT current_setting('{setting}')");
            assert_eq!(reader.first_of(&sql, &[], "ask").unwrap().as_deref(), Some(value));
        }
    }

    #[test]
    fn errors_come_back_and_it_goes_on_unless_it_is_cut_off() {
        let database = testing::database();
        let mut reader = database.connect_reader("public", PATIENCE).unwrap();
        let error =
            numbers(&mut reader, "SELECT (1 / (n - 50000))::bigint FROM generate_series(1, 60000) n").unwrap_err();
        assert_eq!(error.code, "value-refused");
        let stop = &mut |_: &[Option<&[u8]>], _: &[u8]| Err(Diagnostic::error("stop", "stopped"));
        let error = reader.copy_out("SELECT generate_series(1, 100000)", "read", stop).unwrap_err();
        assert_eq!(error.code, "stop");
        assert_eq!(numbers(&mut reader, "SELECT 7::bigint"), Ok(vec![7]));
        let pid = reader.first_of("SELECT pg_backend_pid()", &[], "ask").unwrap();
        let mut connection = testing::connect(&database);
        connection.query("SELECT pg_terminate_backend($1)", &[pid.as_deref()], "cut").unwrap();
        for _ in 0..2 {
            assert_eq!(numbers(&mut reader, "SELECT 7::bigint").unwrap_err().code, "connection-lost");
        }
    }
}

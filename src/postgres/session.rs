//! A session: pins its settings, and runs statements one at a time.

use super::error;
use super::row::{Cell, Parameter, Row};
use super::transaction::{Transaction, TransactionState};
use crate::diagnostic::Diagnostic;
use crate::ident;
use ::postgres::Client;
use ::postgres::types::{ToSql, Type};

/// The oldest PostgreSQL that is supported, as a major version: `ON DELETE SET NULL (column)` came with it.
pub const MINIMUM_VERSION: u32 = 15;

/// A session with every setting pinned that could change what a statement means.
pub struct Connection {
    pub(super) client: Client,
    pub(super) state: TransactionState,
    version: u32,
}

/// Every setting that role, database or server may have changed and that changes what a statement does or says.
pub(super) const SETTINGS: &[(&str, &str)] = &[
    ("client_encoding", "UTF8"),
    ("client_min_messages", "warning"),
    ("timezone", "UTC"),
    ("datestyle", "ISO, YMD"),
    ("intervalstyle", "postgres"),
    ("extra_float_digits", "1"),
    ("bytea_output", "hex"),
    ("standard_conforming_strings", "on"),
    ("transform_null_equals", "off"),
    ("quote_all_identifiers", "off"),
    ("default_transaction_isolation", "read committed"),
    // A policy must make a statement fail rather than hide rows from it.
    ("row_security", "off"),
    // Scans that start in mid-table would lose the order that makes index builds fast.
    ("synchronize_seqscans", "off"),
    // To compile a query takes longer here than it saves.
    ("jit", "off"),
    // It counts the client's own time during a COPY.
    ("statement_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
    ("idle_session_timeout", "0"),
    // Long enough to wait for another validation on the table, short enough to tell a forgotten session.
    ("lock_timeout", "10min"),
];

impl Connection {
    /// Makes a session out of a connection that was just opened.
    pub(super) fn new(client: Client, schema: &str) -> Result<Self, Diagnostic> {
        let mut connection = Self { client, state: TransactionState::Idle, version: 0 };
        connection.read_version()?;
        connection.pin_settings(schema)?;
        Ok(connection)
    }

    fn read_version(&mut self) -> Result<(), Diagnostic> {
        let row = self.query_one("SELECT current_setting('server_version_num')", &[], "read the server's version")?;
        self.version = u32::try_from(row.integer(0)?).unwrap_or(0);
        if self.version >= MINIMUM_VERSION * 10_000 {
            return Ok(());
        }
        Err(Diagnostic::error(
            "server-too-old",
            format!("the server is PostgreSQL {}, and {MINIMUM_VERSION} is the oldest supported", self.major_version()),
        )
        .help(format!("upgrade the server to PostgreSQL {MINIMUM_VERSION} or newer")))
    }

    fn pin_settings(&mut self, schema: &str) -> Result<(), Diagnostic> {
        let (sql, parameters) = pins(schema, self.major_version());
        let parameters: Vec<Option<&str>> = parameters.iter().map(|parameter| Some(parameter.as_str())).collect();
        self.query(&sql, &parameters, "pin the session's settings")?;
        // As a replica the session would skip foreign keys. Only superusers may touch it, so only where it is wrong.
        let sql = "SELECT set_config('session_replication_role', 'origin', false) \
                   WHERE current_setting('session_replication_role') <> 'origin'";
        self.query(sql, &[], "switch foreign keys on (session_replication_role is not origin)")?;
        Ok(())
    }

    /// Returns the server's version as `server_version_num` writes it: 150018 is 15.18.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Returns the server's major version.
    pub fn major_version(&self) -> u32 {
        self.version / 10_000
    }

    /// Returns the process id of the server's side.
    pub fn backend_pid(&mut self) -> Result<i64, Diagnostic> {
        self.query_one("SELECT pg_backend_pid()", &[], "ask for the server's process id")?.integer(0)
    }

    /// Says whether the connection is closed, so that only a new one helps.
    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Sets a setting for the rest of the session.
    pub fn set(&mut self, setting: &str, value: &str) -> Result<(), Diagnostic> {
        let purpose = format!("set {}", ident::visible(setting));
        self.query("SELECT set_config($1, $2, false)", &[Some(setting), Some(value)], &purpose).map(drop)
    }

    /// Runs one statement and returns the number of rows it touched.
    ///
    /// `purpose` fits behind "failed to" and is what a person sees instead of the statement.
    pub fn execute(&mut self, sql: &str, purpose: &str) -> Result<u64, Diagnostic> {
        self.execute_with(sql, &[], purpose)
    }

    /// Runs one statement with parameters; each is read as the type that the statement needs in its place.
    pub fn execute_with(&mut self, sql: &str, parameters: &[Option<&str>], purpose: &str) -> Result<u64, Diagnostic> {
        let parameters = parameters.iter().map(|text| Parameter(*text)).collect::<Vec<_>>();
        let result = self.client.execute_typed(sql, &typed(&parameters));
        self.check(result, purpose)
    }

    /// Runs one query and returns its rows.
    pub fn query(&mut self, sql: &str, parameters: &[Option<&str>], purpose: &str) -> Result<Vec<Row>, Diagnostic> {
        let parameters = parameters.iter().map(|text| Parameter(*text)).collect::<Vec<_>>();
        let result = self.client.query_typed(sql, &typed(&parameters));
        let rows = self.check(result, purpose)?;
        rows.iter()
            .map(|row| {
                (0..row.len())
                    .map(|column| row.try_get::<_, Option<Cell>>(column).map(|cell| cell.map(|cell| cell.0)))
                    .collect::<Result<_, _>>()
                    .map(Row)
                    .map_err(|error| error::statement(&error, purpose))
            })
            .collect()
    }

    /// Runs one query that returns exactly one row.
    pub fn query_one(&mut self, sql: &str, parameters: &[Option<&str>], purpose: &str) -> Result<Row, Diagnostic> {
        let mut rows = self.query(sql, parameters, purpose)?;
        match (rows.pop(), rows.is_empty()) {
            (Some(row), true) => Ok(row),
            _ => Err(Diagnostic::error(
                "unexpected-answer",
                format!("failed to {purpose}: the server did not answer with one row"),
            )),
        }
    }

    /// Begins a transaction.
    pub fn begin(&mut self) -> Result<Transaction<'_>, Diagnostic> {
        Transaction::begin(self, "BEGIN")
    }

    /// Begins a transaction that only reads, all of it as of its first statement.
    pub fn begin_snapshot(&mut self) -> Result<Transaction<'_>, Diagnostic> {
        Transaction::begin(self, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    }

    /// Gives the open transaction's view of the rows a name, for [`Connection::begin_same_snapshot`].
    pub fn export_snapshot(&mut self) -> Result<String, Diagnostic> {
        let row = self.query_one("SELECT pg_export_snapshot()", &[], "share the view of the rows")?;
        row.text(0).map(str::to_owned)
    }

    /// Begins a transaction that only reads and sees what another one sees, which has to be open still.
    pub fn begin_same_snapshot(&mut self, exported: &str) -> Result<Transaction<'_>, Diagnostic> {
        let mut transaction = self.begin_snapshot()?;
        let sql = format!("SET TRANSACTION SNAPSHOT '{}'", snapshot_name(exported));
        transaction.execute(&sql, "take over the view of the rows")?;
        Ok(transaction)
    }

    /// Rolls back as well as it can: where even that fails the connection is gone, and its transaction with it.
    pub(super) fn roll_back(&mut self) {
        self.state = TransactionState::Idle;
        let _ = self.execute("ROLLBACK", "roll back");
    }

    /// Turns the driver's result into ours, and remembers that a transaction failed.
    pub(super) fn check<V>(&mut self, result: Result<V, ::postgres::Error>, purpose: &str) -> Result<V, Diagnostic> {
        result.map_err(|error| {
            self.state.fail();
            error::statement(&error, purpose)
        })
    }
}

/// Writes the statement that pins all settings of a session whose unqualified names mean `schema`, and its parameters.
pub(super) fn pins(schema: &str, major_version: u32) -> (String, Vec<String>) {
    // pg_catalog is not listed, so that it comes first: nobody's own function can stand in for a built-in one.
    // pg_temp is listed, so that it comes last.
    let search_path = format!("{}, pg_temp", ident::quote_always(schema));
    let mut settings = SETTINGS.to_vec();
    settings.push(("search_path", &search_path));
    if major_version >= 17 {
        settings.push(("transaction_timeout", "0"));
    }
    let calls = (0..settings.len()).map(|n| format!("set_config(${}, ${}, false)", 2 * n + 1, 2 * n + 2));
    let sql = format!("SELECT {}", calls.collect::<Vec<_>>().join(", "));
    (sql, settings.iter().flat_map(|(name, value)| [*name, *value]).map(str::to_owned).collect())
}

/// Keeps what the name of an exported snapshot has, digits, letters and hyphens: nothing else may stand between the quotes.
pub(super) fn snapshot_name(exported: &str) -> String {
    exported.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect()
}

/// Leaves the types of parameters to the server.
pub(super) fn typed<'a>(parameters: &'a [Parameter<'a>]) -> Vec<(&'a (dyn ToSql + Sync), Type)> {
    parameters.iter().map(|parameter| (parameter as &(dyn ToSql + Sync), Type::UNKNOWN)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing::{self, column};

    #[test]
    fn settings_of_role_and_database_do_not_reach_the_session() {
        let database = testing::database();
        let mut connection = testing::connect(&database);
        connection.execute("CREATE SCHEMA \"my, own\"", "create").unwrap();
        for setting in [
            "timezone = 'Asia/Tokyo'",
            "datestyle = 'German'",
            "statement_timeout = '20ms'",
            "search_path = nowhere",
            "extra_float_digits = -10",
            "session_replication_role = replica",
            "transform_null_equals = on",
            "synchronize_seqscans = on",
            "default_transaction_isolation = serializable",
        ] {
            let sql = format!("ALTER DATABASE {} SET {setting}", database.database());
            connection.execute(&sql, "alter").unwrap();
        }
        let mut connection = database.connect("my, own", testing::PATIENCE).unwrap();
        let names = SETTINGS.iter().map(|(name, _)| *name);
        for name in names.chain(["session_replication_role", "search_path"]) {
            let expected = SETTINGS.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
            let expected = expected.unwrap_or(if name == "search_path" { "\"my, own\", pg_temp" } else { "origin" });
            let current = column(&mut connection, &format!("SELECT current_setting('{name}')"));
            assert_eq!(current, [expected], "{name}");
        }
        assert_eq!(column(&mut connection, "SELECT current_schema()"), ["my, own"]);
        assert_eq!(
            column(&mut connection, "SELECT timestamptz '2024-01-31 00:00:00+00'::text"),
            ["2024-01-31 00:00:00+00"]
        );
    }

    #[test]
    fn parameters_are_read_as_the_type_that_the_statement_needs() {
        let mut connection = testing::connect(&testing::database());
        let sql = "CREATE TABLE t (a int, b bytea, c timestamptz, d numeric(10,2), e text, f uuid, g boolean)";
        connection.execute(sql, "create").unwrap();
        let hostile = "it's \u{202e} \\ \n'; DROP TABLE t; --";
        let uuid = "00000000-0000-0000-0000-00000000002a";
        let values =
            [Some("-7"), Some("\\x00ff"), Some("2024-02-29 12:00:00+02"), Some("1.5"), Some(hostile), Some(uuid), None];
        let count = connection.execute_with("INSERT INTO t VALUES ($1, $2, $3, $4, $5, $6, $7)", &values, "insert");
        assert_eq!(count, Ok(1));
        let sql = "SELECT a, b::text, c::text, d::text, e, f::text, g FROM t WHERE e = $1";
        let rows = connection.query(sql, &[Some(hostile)], "read").unwrap();
        let expected = [
            Some("-7"),
            Some("\\x00ff"),
            Some("2024-02-29 10:00:00+00"),
            Some("1.50"),
            Some(hostile),
            Some(uuid),
            None,
        ];
        assert_eq!(rows, [Row(expected.map(|value| value.map(str::to_owned)).to_vec())]);
        assert_eq!((rows[0].integer(0), rows[0].optional(6), rows[0].optional(99)), (Ok(-7), None, None));
        assert!(rows[0].text(6).is_err() && rows[0].integer(4).is_err());
    }

    #[test]
    fn a_failure_shows_the_state_and_the_names_and_no_value() {
        let mut connection = testing::connect(&testing::database());
        connection.execute("CREATE TABLE t (a int, b text CONSTRAINT b_once UNIQUE)", "create").unwrap();
        connection.execute("INSERT INTO t VALUES (1, 's3cret')", "insert").unwrap();
        for (sql, code, sign) in [
            ("INSERT INTO t VALUES (2, 's3cret')", "constraint-violated", "b_once"),
            ("INSERT INTO t VALUES ('s3cret', '')", "value-refused", "22P02"),
            ("SELECT 's3cret'::date", "value-refused", "22007"),
            ("CREATE TABLE t ()", "statement-failed", "\"t\""),
            ("SELECT 1; SELECT 2", "statement-failed", "42601"),
        ] {
            let error = connection.execute(sql, "try it").unwrap_err();
            assert_eq!(error.code, code, "{error:?}");
            assert!(error.message.starts_with("failed to try it: ") && error.message.contains(sign), "{error:?}");
            assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
        }
    }

    #[test]
    fn one_row_means_one_row() {
        let mut connection = testing::connect(&testing::database());
        assert!(connection.query_one("SELECT 1 WHERE false", &[], "ask").is_err());
        assert!(connection.query_one("SELECT generate_series(1, 2)", &[], "ask").is_err());
        assert_eq!(connection.query_one("SELECT 2", &[], "ask").unwrap().integer(0), Ok(2));
    }

    #[test]
    fn a_server_that_goes_away_is_a_lost_connection() {
        let database = testing::database();
        let (mut connection, mut other) = (testing::connect(&database), testing::connect(&database));
        let pid = connection.backend_pid().unwrap().to_string();
        other.query("SELECT pg_terminate_backend($1)", &[Some(&pid)], "cut").unwrap();
        assert_eq!(connection.execute("SELECT 1", "ask").unwrap_err().code, "connection-lost");
        assert_eq!(connection.execute("SELECT 1", "ask").unwrap_err().code, "connection-lost");
        assert!(connection.is_closed());
        assert_eq!(connection.begin().err().unwrap().code, "connection-lost");
    }
}

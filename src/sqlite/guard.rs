//! Connections for text and databases from elsewhere.
//!
//! A schema file can hold any statement, and a database any schema. On a guarded connection an authorizer refuses what
//! reaches outside (ATTACH, PRAGMA with an effect, functions off the whitelist) and, on somebody's database, every write;
//! defensive mode, an untrusted schema, limits and a deadline hold the rest. Nothing on it creates a file that anybody else
//! could open: what temporary tables and sorts of a database do not keep in memory goes into files without a name.

use super::functions;
use crate::diagnostic::Diagnostic;
use crate::failpoint::number;
use crate::ident::visible;
use rusqlite::config::DbConfig;
use rusqlite::functions::FunctionFlags;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::{Connection, ErrorCode};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The time that loading a schema's text may take. The largest real ones take well under a second.
const SCHEMA_TIME: Duration = Duration::from_secs(30);

/// How many kibibytes of its TEMP tables a connection keeps in memory. Sorts keep less, and are quicker so: four million keys
/// were sorted in 399 MB of memory in 7.8 s, and in 17 MB and a file in 6.4 s.
const TEMP_KIBIBYTES: u64 = if cfg!(test) { 256 } else { 32 << 10 };

/// What may be done on a guarded connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    /// An in-memory database into which a schema is loaded.
    LoadSchema,
    /// Somebody's database: reading only, but for TEMP objects while they are allowed.
    Read,
    /// A copy of somebody's database that rows are changed in and taken out of.
    Edit,
}

/// What the authorizer and the connection's owner share.
#[derive(Debug)]
struct Shared {
    /// TEMP tables may be written.
    temp: AtomicBool,
    /// What was refused last, as a fragment.
    refused: Mutex<Option<String>>,
    /// Functions that this SQLite has and the list lacks, in lower case. One that it does not have cannot be called: it
    /// is the application's own, and SQLite says so.
    off_the_list: &'static BTreeSet<String>,
}

/// A connection on which text from elsewhere may run.
#[derive(Debug)]
pub(super) struct Guarded {
    /// The connection itself.
    pub connection: Connection,
    shared: Arc<Shared>,
}

impl Guarded {
    /// Opens an empty in-memory database that schema statements may run in, for at most [`SCHEMA_TIME`].
    pub fn for_schema() -> Result<Self, Diagnostic> {
        Self::build(Access::LoadSchema, Connection::open_in_memory).map_err(|error| unreadable(&error))
    }

    /// Puts guards around a connection that is open on somebody's database.
    pub fn for_reading(connection: Connection) -> Result<Self, Diagnostic> {
        Self::build(Access::Read, || Ok(connection)).map_err(|error| unreadable(&error))
    }

    /// Puts guards around a connection that is open on a copy in which rows may be changed and deleted.
    pub fn for_editing(connection: Connection) -> Result<Self, Diagnostic> {
        Self::build(Access::Edit, || Ok(connection)).map_err(|error| unreadable(&error))
    }

    fn build(access: Access, open: impl FnOnce() -> rusqlite::Result<Connection>) -> rusqlite::Result<Self> {
        let mut connection = open()?;
        configure(&connection, access)?;
        let shared = Arc::new(Shared {
            temp: AtomicBool::new(false),
            refused: Mutex::new(None),
            off_the_list: functions::off_the_list(&connection)?,
        });
        let seen = Arc::clone(&shared);
        connection.authorizer(Some(move |context: AuthContext<'_>| match refusal(access, &seen, &context) {
            None => Authorization::Allow,
            Some(what) => {
                *seen.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(what);
                Authorization::Deny
            }
        }))?;
        if access == Access::LoadSchema {
            let deadline = Instant::now() + SCHEMA_TIME;
            connection.progress_handler(10_000, Some(move || Instant::now() > deadline))?;
        }
        Ok(Self { connection, shared })
    }

    /// Runs `work` while TEMP tables and indexes may be created, filled and dropped.
    pub fn with_temp<V>(&self, work: impl FnOnce(&Connection) -> V) -> V {
        self.shared.temp.store(true, Ordering::Relaxed);
        let result = work(&self.connection);
        self.shared.temp.store(false, Ordering::Relaxed);
        result
    }

    /// Registers a stand-in for a function of the application's own, so that a CHECK which calls it can be read.
    pub fn stand_in_for_function(&self, name: &str) -> rusqlite::Result<()> {
        let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
        self.connection.create_scalar_function(name, -1, flags, |_| Ok(rusqlite::types::Null))
    }

    /// Registers a stand-in for a collation of the application's own, so that an index which names it can be read.
    pub fn stand_in_for_collation(&self, name: &str) -> rusqlite::Result<()> {
        self.connection.create_collation(name, |left: &str, right: &str| left.cmp(right))
    }

    /// Turns what SQLite says into a diagnostic: `forbidden-statement` for what the guards refused, `time-limit`,
    /// and `code` for everything else.
    pub fn diagnose(&self, code: &'static str, error: &rusqlite::Error) -> Diagnostic {
        let refused = self.shared.refused.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (error.sqlite_error_code(), refused) {
            (Some(ErrorCode::AuthorizationForStatementDenied), Some(what)) => forbidden(&what),
            // A function off the list is reported as an ordinary SQL error.
            (_, Some(what)) if message(error).starts_with("not authorized") => forbidden(&what),
            (Some(ErrorCode::OperationInterrupted), _) => {
                Diagnostic::error("time-limit", format!("took longer than {} seconds", SCHEMA_TIME.as_secs()))
                    .help("take the statement out: a schema's statements finish at once")
            }
            _ => Diagnostic::error(code, visible(&message(error)).into_owned()),
        }
    }
}

/// Builds the diagnostic for a statement that must not run.
pub(super) fn forbidden(what: &str) -> Diagnostic {
    Diagnostic::error("forbidden-statement", format!("the statement may not run here: {what}"))
        .help("take it out of the source: only statements that shape the schema are read")
}

/// Says whether something could not be written for want of room, or was not taken by the disk.
pub(super) fn cannot_write(error: &rusqlite::Error) -> bool {
    use rusqlite::ffi::{SQLITE_IOERR_FSYNC, SQLITE_IOERR_TRUNCATE, SQLITE_IOERR_WRITE};
    let code = error.sqlite_error().map_or(0, |error| error.extended_code);
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
        || [SQLITE_IOERR_WRITE, SQLITE_IOERR_TRUNCATE, SQLITE_IOERR_FSYNC].contains(&code)
}

/// Returns SQLite's own words for an error.
pub(super) fn message(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(_, Some(message)) => message.clone(),
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        other => other.to_string(),
    }
}

fn unreadable(error: &rusqlite::Error) -> Diagnostic {
    Diagnostic::error("source-unreadable", format!("SQLite cannot open it: {}", visible(&message(error))))
}

fn configure(connection: &Connection, access: Access) -> rusqlite::Result<()> {
    for (setting, on) in [
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, false),
        (DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_ATTACH_CREATE, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_ATTACH_WRITE, false),
    ] {
        connection.set_db_config(setting, on)?;
    }
    // A value of a quarter gigabyte is more than PostgreSQL takes comfortably; a generated column can ask for more.
    let length = if access == Access::LoadSchema { 16 << 20 } else { 256 << 20 };
    for (limit, value) in [
        (Limit::SQLITE_LIMIT_ATTACHED, 0),
        (Limit::SQLITE_LIMIT_LENGTH, length),
        (Limit::SQLITE_LIMIT_SQL_LENGTH, 4 << 20),
        (Limit::SQLITE_LIMIT_COLUMN, 2000),
        (Limit::SQLITE_LIMIT_EXPR_DEPTH, 1000),
        (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 500),
        (Limit::SQLITE_LIMIT_VDBE_OP, 5_000_000),
        (Limit::SQLITE_LIMIT_FUNCTION_ARG, 127),
        (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1000),
        (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 1),
        (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
    ] {
        connection.set_limit(limit, value)?;
    }
    connection.execute_batch("PRAGMA cell_size_check = ON;")?;
    if access == Access::LoadSchema {
        // 64 MB of 4 KB pages: CREATE TABLE AS SELECT could ask for any amount.
        connection.execute_batch("PRAGMA temp_store = MEMORY; PRAGMA max_page_count = 16384;")?;
    } else {
        // SQLite unlinks these files as soon as it has made them.
        let kept = number("TENANTRY_TEMP_KIBIBYTES", TEMP_KIBIBYTES);
        let temp = format!("PRAGMA temp_store = FILE; PRAGMA temp.cache_size = -{kept};");
        connection.execute_batch(&format!("PRAGMA mmap_size = 0; {temp}"))?;
    }
    Ok(())
}

/// Says why an action is refused, as a fragment; `None` where it is allowed.
fn refusal(access: Access, shared: &Shared, context: &AuthContext<'_>) -> Option<String> {
    let writes_allowed = access == Access::LoadSchema
        || (shared.temp.load(Ordering::Relaxed) && context.database_name.is_some_and(|name| name == "temp"));
    let write = |what: &str| (!writes_allowed).then(|| what.to_owned());
    let edit = |what: &str| (access != Access::Edit && !writes_allowed).then(|| what.to_owned());
    match context.action {
        AuthAction::Select
        | AuthAction::Read { .. }
        | AuthAction::Recursive
        | AuthAction::Transaction { .. }
        | AuthAction::Savepoint { .. } => None,
        AuthAction::Function { function_name } => {
            let refused = shared.off_the_list.contains(&function_name.to_ascii_lowercase());
            refused.then(|| format!("it calls the function {}", visible(function_name)))
        }
        AuthAction::Pragma { pragma_name, pragma_value } => {
            let read_only = READING_PRAGMAS.iter().any(|name| name.eq_ignore_ascii_case(pragma_name));
            let getter = pragma_value.is_none() && GETTERS.iter().any(|name| name.eq_ignore_ascii_case(pragma_name));
            (!read_only && !getter).then(|| format!("it runs PRAGMA {}", visible(pragma_name)))
        }
        AuthAction::Insert { .. } => write("it changes rows"),
        AuthAction::Update { .. } | AuthAction::Delete { .. } => edit("it changes rows"),
        AuthAction::CreateTempTable { .. }
        | AuthAction::CreateTempIndex { .. }
        | AuthAction::DropTempTable { .. }
        | AuthAction::DropTempIndex { .. }
        | AuthAction::Reindex { .. } => write("it changes the schema"),
        AuthAction::CreateTable { .. }
        | AuthAction::CreateIndex { .. }
        | AuthAction::CreateView { .. }
        | AuthAction::CreateTrigger { .. }
        | AuthAction::CreateTempView { .. }
        | AuthAction::CreateTempTrigger { .. }
        | AuthAction::DropTable { .. }
        | AuthAction::DropIndex { .. }
        | AuthAction::DropView { .. }
        | AuthAction::DropTrigger { .. }
        | AuthAction::DropTempView { .. }
        | AuthAction::DropTempTrigger { .. }
        | AuthAction::DropVtable { .. }
        | AuthAction::AlterTable { .. } => (access != Access::LoadSchema).then(|| "it changes the schema".to_owned()),
        AuthAction::CreateVtable { module_name, .. } => (access != Access::LoadSchema || !is_known_module(module_name))
            .then(|| format!("it uses the module {}", visible(module_name))),
        AuthAction::Attach { .. } => Some("it opens another database".into()),
        AuthAction::Detach { .. } => Some("it closes a database".into()),
        AuthAction::Analyze { .. } => Some("it analyses the database".into()),
        _ => Some("it does something this version does not know".into()),
    }
}

/// Pragmas that only read, with or without an argument.
const READING_PRAGMAS: &[&str] = &[
    "foreign_key_check",
    "foreign_key_list",
    "index_info",
    "index_list",
    "index_xinfo",
    "integrity_check",
    "quick_check",
    "table_info",
    "table_list",
    "table_xinfo",
];

/// Pragmas that only read as long as they get no argument.
const GETTERS: &[&str] =
    &["application_id", "data_version", "encoding", "page_count", "page_size", "schema_version", "user_version"];

/// Says whether a virtual table's module is one that SQLite brings along and that stays inside its database.
pub(super) fn is_known_module(name: &str) -> bool {
    ["fts3", "fts4", "fts4aux", "fts5", "fts5vocab", "rtree", "rtree_i32"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(guarded: &Guarded, sql: &str) -> Diagnostic {
        let error = guarded.connection.execute_batch(sql).expect_err(sql);
        guarded.diagnose("invalid-ddl", &error)
    }

    #[test]
    fn nothing_reaches_outside_the_in_memory_database() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("evil.db");
        let file = file.display();
        let guarded = Guarded::for_schema().unwrap();
        for sql in [
            format!("ATTACH '{file}' AS evil"),
            format!("VACUUM INTO '{file}'"),
            "DETACH main".into(),
            "PRAGMA journal_mode = WAL".into(),
            format!("PRAGMA temp_store_directory = '{}'", folder.path().display()),
            "PRAGMA writable_schema = ON".into(),
            "CREATE TABLE t AS SELECT load_extension('x')".into(),
            "CREATE TABLE t(a CHECK (fts3_tokenizer(a)))".into(),
            "CREATE VIRTUAL TABLE t USING dbstat".into(),
        ] {
            assert_eq!(refused(&guarded, &sql).code, "forbidden-statement", "{sql}");
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn schema_statements_run() {
        let guarded = Guarded::for_schema().unwrap();
        let sql = "CREATE TABLE a(b INTEGER PRIMARY KEY, c DEFAULT (lower(hex(randomblob(16)))));
                   CREATE INDEX i ON a(c) WHERE c > 1; ALTER TABLE a ADD COLUMN d; ALTER TABLE a RENAME d TO e;
                   ALTER TABLE a DROP COLUMN e; ALTER TABLE a RENAME TO f; CREATE VIRTUAL TABLE s USING fts5(x);
                   CREATE VIRTUAL TABLE r USING rtree(id, x0, x1); DROP INDEX i;
                   CREATE VIEW v AS SELECT 1; CREATE TRIGGER t AFTER INSERT ON f BEGIN DELETE FROM f; END; DROP TABLE f;";
        guarded.connection.execute_batch(sql).unwrap();
    }

    #[test]
    fn endless_work_is_cut_off_by_size() {
        let guarded = Guarded::for_schema().unwrap();
        let sql = "CREATE TABLE t AS WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) \
                   SELECT zeroblob(1000000) AS b FROM r";
        assert_eq!(refused(&guarded, sql).code, "invalid-ddl");
        assert_eq!(refused(&guarded, "CREATE TABLE t AS SELECT zeroblob(500000000)").code, "invalid-ddl");
    }

    #[test]
    fn a_database_is_only_read_but_for_temp_tables_on_request() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE a(b); INSERT INTO a VALUES (1);").unwrap();
        let guarded = Guarded::for_reading(connection).unwrap();
        for sql in [
            "INSERT INTO a VALUES (2)",
            "DELETE FROM a",
            "UPDATE a SET b = 2",
            "CREATE TABLE c(d)",
            "DROP TABLE a",
            "CREATE TEMP TABLE t(x)",
            "CREATE INDEX i ON a(b)",
            "ALTER TABLE a RENAME TO z",
            "PRAGMA user_version = 3",
            "ANALYZE",
        ] {
            assert_eq!(refused(&guarded, sql).code, "forbidden-statement", "{sql}");
        }
        let temp = "CREATE TEMP TABLE t AS SELECT b FROM a; CREATE INDEX temp.i ON t(b); INSERT INTO t VALUES (7); DROP TABLE t;";
        guarded.with_temp(|connection| connection.execute_batch(temp)).unwrap();
        for sql in [
            "INSERT INTO a VALUES (2)",
            "CREATE TABLE c(d)",
            "CREATE TEMP VIEW v AS SELECT 1",
            "ATTACH ':memory:' AS x",
        ] {
            let error = guarded.with_temp(|connection| connection.execute_batch(sql)).expect_err(sql);
            assert_eq!(guarded.diagnose("x", &error).code, "forbidden-statement", "{sql}");
        }
    }

    #[test]
    fn functions_and_collations_of_the_application_have_stand_ins() {
        let guarded = Guarded::for_schema().unwrap();
        guarded.stand_in_for_function("is_iban").unwrap();
        guarded.stand_in_for_collation("german").unwrap();
        guarded.connection.execute_batch("CREATE TABLE t(a CHECK (is_iban(a)) COLLATE german, UNIQUE (a))").unwrap();
    }
}

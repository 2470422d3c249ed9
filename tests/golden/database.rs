//! One scratch server for all tests of a process, and databases of their own on it and in SQLite.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tenantry::emit;
use tenantry::plan::Plan;
use tenantry::postgres::{Connection, Durability, Scratch, Server};

/// Creates an empty database and connects to it. Without PostgreSQL binaries the test fails and says what to install.
///
/// Nothing drops the server; its watchdog removes it when the process ends.
pub fn database() -> Connection {
    server().connect("public", Duration::from_secs(30)).unwrap_or_else(|error| panic!("{error:?}"))
}

/// Creates an empty database, and returns how to connect to it.
pub fn server() -> Server {
    static SERVER: OnceLock<Scratch> = OnceLock::new();
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let scratch = SERVER.get_or_init(|| Scratch::start(Durability::Off).unwrap_or_else(|error| panic!("{error:?}")));
    let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
    let mut connection = scratch.server().connect("public", Duration::from_secs(30)).unwrap();
    connection
        .execute(&format!("CREATE DATABASE {name}"), "create a database")
        .unwrap_or_else(|error| panic!("{error:?}"));
    scratch.server().with_database(&name)
}

/// Makes a database of a plan's SQLite dialect that checks foreign keys.
pub fn sqlite_database(plan: &Plan) -> Result<rusqlite::Connection, String> {
    let ddl = emit::sqlite(plan);
    let connection = rusqlite::Connection::open_in_memory().unwrap();
    connection.execute_batch("PRAGMA foreign_keys = ON").unwrap();
    connection.execute_batch(&ddl).map_err(|error| format!("SQLite refuses its dialect: {error}\n{ddl}"))?;
    // A foreign key without a key to refer to is found only when it is used.
    connection.execute_batch("PRAGMA foreign_key_check").map_err(|error| format!("{error}\n{ddl}"))?;
    Ok(connection)
}

//! One scratch server for all tests of a process, and databases of their own on it and in SQLite.

use std::ops::{Deref, DerefMut};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tenantry::emit;
use tenantry::plan::Plan;
use tenantry::postgres::{Connection, Durability, Scratch, Server};

/// One server for all; nothing drops it, and its watchdog removes it when the process ends.
static SERVER: OnceLock<Scratch> = OnceLock::new();

/// What leads to a database that was made for it, and goes with it: each takes 8 MB, and there are hundreds.
pub struct Own<T> {
    to: T,
    name: String,
}

impl<T> Deref for Own<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.to
    }
}

impl<T> DerefMut for Own<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.to
    }
}

impl<T> Drop for Own<T> {
    fn drop(&mut self) {
        administer(&format!("DROP DATABASE {} WITH (FORCE)", self.name));
    }
}

/// Creates an empty database and connects to it. Without PostgreSQL binaries the test fails and says what to install.
pub fn database() -> Own<Connection> {
    let (server, name) = create();
    let to = server.connect("public", Duration::from_secs(30)).unwrap_or_else(|error| panic!("{error:?}"));
    Own { to, name }
}

/// Creates an empty database, and returns how to connect to it.
pub fn server() -> Own<Server> {
    let (to, name) = create();
    Own { to, name }
}

fn create() -> (Server, String) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
    administer(&format!("CREATE DATABASE {name}"));
    (scratch().server().with_database(&name), name)
}

fn scratch() -> &'static Scratch {
    SERVER.get_or_init(|| Scratch::start(Durability::Off).unwrap_or_else(|error| panic!("{error:?}")))
}

fn administer(sql: &str) {
    let connected = scratch().server().connect("public", Duration::from_secs(30));
    let done = connected.and_then(|mut connection| connection.execute(sql, sql));
    // A test that has failed says why by itself.
    if let (Err(error), false) = (done, std::thread::panicking()) {
        panic!("{error:?}");
    }
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

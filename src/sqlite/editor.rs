//! A copy of a snapshot while rows are changed in it and taken out of it.

use super::database::Database;
use super::guard::Guarded;
use crate::diagnostic::Diagnostic;
use rusqlite::Connection;
use std::ops::Deref;

/// The copy, open for reading as any [`Database`], and for UPDATE and DELETE.
#[derive(Debug)]
pub struct Editor {
    database: Database,
}

impl Editor {
    pub(super) fn new(connection: Connection) -> Result<Self, Diagnostic> {
        let settings = "PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF; PRAGMA ignore_check_constraints = ON;";
        connection.execute_batch(settings).map_err(|error| refused(&error))?;
        let database = Database::guarded(Guarded::for_editing(connection)?);
        database.connection().execute_batch("BEGIN").map_err(|error| refused(&error))?;
        Ok(Self { database })
    }

    /// Runs one statement and returns how many rows it has changed.
    ///
    /// # Errors
    /// `sqlite-query` for what SQLite refuses, `forbidden-statement` for what the guards do.
    pub fn change(&self, sql: &str) -> Result<u64, Diagnostic> {
        self.database
            .connection()
            .execute(sql, [])
            .map(|rows| rows as u64)
            .map_err(|error| self.database.failed(&error))
    }

    pub(super) fn finish(self) -> Result<(), Diagnostic> {
        self.database.connection().execute_batch("COMMIT").map_err(|error| refused(&error))
    }
}

fn refused(error: &rusqlite::Error) -> Diagnostic {
    Diagnostic::error("snapshot-failed", format!("cannot change the copy: {}", super::guard::message(error)))
        .help("make room in the directory for temporary files, or set TMPDIR to another")
}

impl Deref for Editor {
    type Target = Database;

    fn deref(&self) -> &Database {
        &self.database
    }
}

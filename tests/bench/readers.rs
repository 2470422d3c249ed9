//! How fast an audit and a verification read, beside a plain scan of the same rows.

use crate::contender::Contender;
use crate::process::run;
use crate::server::{Database, TABLES};
use rusqlite::{Connection, OpenFlags};
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

/// Something that reads all rows once.
pub struct Reader {
    pub name: &'static str,
    pub seconds: f64,
    /// The greatest resident memory in bytes; nothing for what runs in this process.
    pub memory: Option<u64>,
}

/// Measures them on a source and the database that tenantry has moved it to.
pub fn readers(
    tenantry: &Contender,
    source: &Path,
    database: &Database,
    server: u32,
    folder: &Path,
) -> Result<Vec<Reader>, String> {
    let seconds = scan(source).map_err(|error| format!("cannot scan {}: {error}", source.display()))?;
    let mut readers = vec![Reader { name: "plain scan through rusqlite", seconds, memory: None }];
    for (name, command) in [
        ("`audit`, with its snapshot", tenantry.audit(source)),
        ("`verify`, with its snapshot: both sides", tenantry.verify(source, database)),
    ] {
        let measured = run(tenantry, command, server, folder)?;
        readers.push(Reader { name, seconds: measured.seconds, memory: Some(measured.total_memory()) });
    }
    Ok(readers)
}

/// Reads every value of every row, and does nothing with it.
fn scan(source: &Path) -> rusqlite::Result<f64> {
    let started = Instant::now();
    // Without SQLite's locks, which would take as long again: nobody else uses the connection.
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(source, flags)?;
    for table in TABLES {
        let mut statement = connection.prepare(&format!("SELECT * FROM {table}"))?;
        let width = statement.column_count();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            for column in 0..width {
                black_box(row.get_ref(column)?);
            }
        }
    }
    Ok(started.elapsed().as_secs_f64())
}

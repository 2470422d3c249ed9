//! What the journal knows of the files that one run moves together.

use super::Connection;
use crate::diagnostic::Diagnostic;

/// A file that a run moves beside others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRecord {
    /// The file, as the run was told of it.
    pub path: String,
    /// The tenant of its rows, as the run named it.
    pub tenant: String,
    /// The hash of its snapshot.
    pub snapshot: String,
}

const TABLE: &str = "CREATE TABLE IF NOT EXISTS tenantry.files (
        run bigint NOT NULL REFERENCES tenantry.runs ON DELETE CASCADE,
        number bigint NOT NULL,
        path text NOT NULL,
        tenant text NOT NULL,
        snapshot_hash text NOT NULL,
        PRIMARY KEY (run, number)
    )";

/// Writes down the files of a run, in their order, in the transaction that records it.
pub fn record_files(connection: &mut Connection, run: i64, files: &[FileRecord]) -> Result<(), Diagnostic> {
    let purpose = "write the run's files into the journal";
    connection.execute(TABLE, purpose)?;
    let list: Vec<_> = files.iter().map(|file| serde_json::json!([file.path, file.tenant, file.snapshot])).collect();
    let list = serde_json::Value::from(list).to_string();
    let sql = "INSERT INTO tenantry.files (run, number, path, tenant, snapshot_hash)
               SELECT $1, number, f ->> 0, f ->> 1, f ->> 2
               FROM jsonb_array_elements($2::jsonb) WITH ORDINALITY AS files (f, number)";
    connection.execute_with(sql, &[Some(&run.to_string()), Some(&list)], purpose).map(drop)
}

/// Returns the files of a run in their order; none of a run that moves one database.
pub fn run_files(connection: &mut Connection, run: i64) -> Result<Vec<FileRecord>, Diagnostic> {
    let purpose = "read which files a run moves";
    if !connection.query_one("SELECT to_regclass('tenantry.files') IS NOT NULL", &[], purpose)?.boolean(0)? {
        return Ok(Vec::new());
    }
    let sql = "SELECT path, tenant, snapshot_hash FROM tenantry.files WHERE run = $1 ORDER BY number";
    let rows = connection.query(sql, &[Some(&run.to_string())], purpose)?;
    rows.iter()
        .map(|row| {
            let text = |column| row.text(column).map(str::to_owned);
            Ok(FileRecord { path: text(0)?, tenant: text(1)?, snapshot: text(2)? })
        })
        .collect()
}

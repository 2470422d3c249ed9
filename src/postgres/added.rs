//! What the journal knows of tenants that were added to tables that held others.

use super::Connection;
use super::journal::create_journal;
use crate::diagnostic::Diagnostic;

/// A tenant that was added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddedTenant {
    /// Its id, as the run named it.
    pub tenant: String,
    /// The hash of the snapshot that its rows came from.
    pub snapshot: String,
    /// When, for people.
    pub done: String,
}

const TABLE: &str = "CREATE TABLE IF NOT EXISTS tenantry.added (
        target_schema text NOT NULL,
        tenant text NOT NULL,
        snapshot_hash text NOT NULL,
        rows bigint NOT NULL,
        done timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (target_schema, tenant)
    )";

/// Returns the tenants that were added to the tables of a schema.
pub fn added_tenants(connection: &mut Connection, schema: &str) -> Result<Vec<AddedTenant>, Diagnostic> {
    let purpose = "read which tenants were added";
    if !connection.query_one("SELECT to_regclass('tenantry.added') IS NOT NULL", &[], purpose)?.boolean(0)? {
        return Ok(Vec::new());
    }
    let sql = "SELECT tenant, snapshot_hash, to_char(done AT TIME ZONE 'utc', 'YYYY-MM-DD HH24:MI:SS \"UTC\"') \
               FROM tenantry.added WHERE target_schema = $1 ORDER BY tenant";
    let rows = connection.query(sql, &[Some(schema)], purpose)?;
    rows.iter()
        .map(|row| {
            let text = |column| row.text(column).map(str::to_owned);
            Ok(AddedTenant { tenant: text(0)?, snapshot: text(1)?, done: text(2)? })
        })
        .collect()
}

/// Writes down that a tenant was added, in the transaction that does it; the time is the server's.
pub fn record_added(
    connection: &mut Connection,
    schema: &str,
    added: &AddedTenant,
    rows: u64,
) -> Result<(), Diagnostic> {
    let purpose = "write the tenant into the journal";
    create_journal(connection)?;
    connection.execute(TABLE, purpose)?;
    let sql = "INSERT INTO tenantry.added (target_schema, tenant, snapshot_hash, rows) VALUES ($1, $2, $3, $4)";
    let rows = rows.to_string();
    connection
        .execute_with(sql, &[Some(schema), Some(&added.tenant), Some(&added.snapshot), Some(&rows)], purpose)
        .map(drop)
}

/// Forgets the tenants that were added to a schema, with the run that made its tables.
pub fn forget_added(connection: &mut Connection, schema: &str) -> Result<(), Diagnostic> {
    let purpose = "take the added tenants out of the journal";
    if !connection.query_one("SELECT to_regclass('tenantry.added') IS NOT NULL", &[], purpose)?.boolean(0)? {
        return Ok(());
    }
    connection.execute_with("DELETE FROM tenantry.added WHERE target_schema = $1", &[Some(schema)], purpose)?;
    if !connection.query_one("SELECT EXISTS (SELECT FROM tenantry.added)", &[], purpose)?.boolean(0)? {
        connection.execute("DROP TABLE tenantry.added", purpose)?;
    }
    Ok(())
}

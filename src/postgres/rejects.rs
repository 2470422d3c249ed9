//! The rows of the source that a run does not move, in its journal.

use super::Connection;
use crate::diagnostic::Diagnostic;
use crate::ident::visible;

/// A row of the source that a run does not move.
#[derive(Debug, Clone, Copy)]
pub struct RejectedRow<'r> {
    /// The source table's name.
    pub table: &'r str,
    /// The key that a person knows the row by.
    pub key: &'r str,
    /// What is wrong, as a stable code.
    pub code: &'r str,
    /// What is wrong, as a fragment.
    pub reason: &'r str,
    /// The row's values, as a JSON object.
    pub values: &'r str,
}

/// Writes the rows that a run does not move beside it.
pub fn record_rejects(connection: &mut Connection, run: i64, rejects: &[RejectedRow<'_>]) -> Result<(), Diagnostic> {
    let sql = "
        INSERT INTO tenantry.rejects (run, table_name, key, code, reason, row)
        SELECT $1, e ->> 0, e ->> 1, e ->> 2, e ->> 3, e -> 4 FROM json_array_elements($2::json) e";
    for rejects in rejects.chunks(500) {
        let rows: Vec<String> = rejects
            .iter()
            .map(|reject| {
                let texts = [reject.table, reject.key, reject.code, reject.reason];
                let texts = texts.map(|text| serde_json::Value::from(visible(text)).to_string());
                format!("[{}, {}]", texts.join(", "), reject.values)
            })
            .collect();
        let rows = format!("[{}]", rows.join(", "));
        connection.execute_with(sql, &[Some(&run.to_string()), Some(&rows)], "write the rejected rows down")?;
    }
    Ok(())
}

/// Gives the rejected rows of a run that is about to be undone to another one, saying whose file they were in.
///
/// # Errors
/// Those of the server.
pub fn hand_over_rejects(connection: &mut Connection, from: i64, to: i64, tenant: &str) -> Result<(), Diagnostic> {
    let (from, to, file) = (from.to_string(), to.to_string(), format!("in the file of {}: ", visible(tenant)));
    let sql = "UPDATE tenantry.rejects SET run = $2, reason = $3 || reason WHERE run = $1";
    connection.execute_with(sql, &[Some(&from), Some(&to), Some(&file)], "keep the record of rejected rows")?;
    Ok(())
}

/// Reads the rows that a run has not moved: table, key and code of each, as they are written down; without those of files
/// that were added to it.
pub fn recorded_rejects(connection: &mut Connection, run: i64) -> Result<Vec<[String; 3]>, Diagnostic> {
    let sql = "SELECT table_name, key, code FROM tenantry.rejects WHERE run = $1::bigint \
               AND reason NOT LIKE 'in the file of %'";
    let rows = connection.query(sql, &[Some(&run.to_string())], "read which rows were rejected")?;
    rows.iter().map(|row| Ok([row.text(0)?.to_owned(), row.text(1)?.to_owned(), row.text(2)?.to_owned()])).collect()
}

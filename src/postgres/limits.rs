//! What a large copy comes up against: limits of the server, the room on its disk, and that beside the source.

use super::Connection;
use super::doctor::{Finding, Status, names};
use crate::diagnostic::Diagnostic;
use crate::ident::quote;
use nix::sys::statvfs::statvfs;
use std::path::Path;

/// How much a database takes in PostgreSQL of what it takes in SQLite: rows have headers, keys hold the tenant as well, and
/// the log of one transaction is kept until its end.
const GROWTH: u64 = 3;

/// Compares the room on the server's disk with what the copy of a database of some bytes will take.
///
/// A server tells no client how much room it has; where it runs on this machine, its folder can be asked.
pub(super) fn room(connection: &mut Connection, bytes: u64) -> Result<Finding, Diagnostic> {
    // The folder is shown to few roles, and means something here only where the server is reached by a unix socket.
    let sql = "SELECT setting FROM pg_settings WHERE name = 'data_directory' AND inet_client_addr() IS NULL";
    let rows = connection.query(sql, &[], "ask for the server's folder")?;
    let free = rows.first().and_then(|row| row.optional(0)).and_then(|folder| free(Path::new(folder)));
    let wanted = bytes.saturating_mul(GROWTH);
    let estimate = format!("the copy may take {}, {GROWTH} times the source", bytes_text(wanted));
    Ok(match free {
        Some(free) if free < wanted => {
            Finding::new("room", Status::Warning, format!("{estimate}; {} are free", bytes_text(free)))
                .help("make room first: a run that meets a full disk is rolled back")
        }
        Some(free) => Finding::new("room", Status::Ok, format!("{estimate}; {} are free", bytes_text(free))),
        None => Finding::new("room", Status::Ok, format!("{estimate}; compare it with what is free on the server")),
    })
}

/// Compares the room for the private snapshot of a source with its size.
pub(super) fn snapshot_room(folder: &Path, bytes: u64) -> Finding {
    let shown = folder.display();
    match free(folder) {
        Some(free) if free < bytes => {
            let detail = format!(
                "{shown} has {} free, and the snapshot of the source takes {}",
                bytes_text(free),
                bytes_text(bytes)
            );
            Finding::new("snapshot", Status::Failed, detail).help("make room there, or name another folder in TMPDIR")
        }
        Some(free) => Finding::new(
            "snapshot",
            Status::Ok,
            format!("{shown} has {} free for a copy of the source", bytes_text(free)),
        ),
        None => Finding::new("snapshot", Status::Warning, format!("{shown} does not tell how much is free")),
    }
}

/// Returns the bytes that somebody without privileges may still write into a folder's file system.
fn free(folder: &Path) -> Option<u64> {
    let found = statvfs(folder).ok()?;
    #[allow(clippy::unnecessary_cast, reason = "the width differs between systems")]
    let (blocks, size) = (found.blocks_available() as u64, found.fragment_size() as u64);
    Some(blocks.saturating_mul(size))
}

/// Returns the statement that takes a setting back to the server's default, at the place that has set it.
pub(super) fn reset(connection: &mut Connection, setting: &str) -> Result<String, Diagnostic> {
    let sql = "SELECT s.setrole <> 0, s.setdatabase <> 0 FROM pg_db_role_setting s \
               LEFT JOIN pg_roles r ON r.oid = s.setrole LEFT JOIN pg_database d ON d.oid = s.setdatabase \
               WHERE (s.setrole = 0 OR r.rolname = current_user) AND (s.setdatabase = 0 OR d.datname = current_database()) \
                 AND EXISTS (SELECT FROM unnest(s.setconfig) one WHERE one LIKE $1 || '=%') \
               ORDER BY s.setrole <> 0 AND s.setdatabase <> 0 DESC, s.setrole <> 0 DESC LIMIT 1";
    let rows = connection.query(sql, &[Some(setting)], "look for where a setting is made")?;
    let (role, database) = names(connection)?;
    let (role, database) = (quote(&role), quote(&database));
    Ok(match rows.first().map(|row| Ok::<_, Diagnostic>((row.boolean(0)?, row.boolean(1)?))).transpose()? {
        Some((true, true)) => format!("ALTER ROLE {role} IN DATABASE {database} RESET {setting}"),
        Some((true, false)) => format!("ALTER ROLE {role} RESET {setting}"),
        Some((false, _)) => format!("ALTER DATABASE {database} RESET {setting}"),
        None => format!("ALTER SYSTEM RESET {setting}, then SELECT pg_reload_conf()"),
    })
}

/// Looks at limits of the server that a large copy comes up against.
pub(super) fn limits(connection: &mut Connection, source_bytes: Option<u64>) -> Result<Finding, Diagnostic> {
    let sql = "SELECT (SELECT setting::bigint * 1024 FROM pg_settings WHERE name = 'temp_file_limit' AND setting <> '-1'), \
                      (SELECT setting::bigint * 1048576 FROM pg_settings WHERE name = 'max_wal_size'), \
                      current_setting('synchronous_standby_names') <> '' \
                      AND current_setting('synchronous_commit') NOT IN ('off', 'local')";
    let row = connection.query_one(sql, &[], "read limits")?;
    let number = |column: usize| row.optional(column).and_then(|text| text.parse::<u64>().ok());
    let mut found = Vec::new();
    let mut helps = Vec::new();
    // Indexes are sorted in files that hold their keys: a good deal less than the rows, and no more than all of them.
    if let Some(limit) = number(0).filter(|&limit| source_bytes.is_none_or(|bytes| limit < bytes)) {
        found.push(format!("temp_file_limit of {} ends the building of large indexes", bytes_text(limit)));
        helps.push(reset(connection, "temp_file_limit")?);
    }
    if let (Some(limit), Some(bytes)) = (number(1), source_bytes)
        && bytes > limit
    {
        found.push(format!("max_wal_size of {} makes checkpoints during the copy", bytes_text(limit)));
        let wanted = bytes.div_ceil(1 << 30);
        helps.push(format!("ALTER SYSTEM SET max_wal_size = '{wanted}GB', then SELECT pg_reload_conf()"));
    }
    if row.boolean(2)? {
        found.push("each commit waits for a synchronous standby".to_owned());
        helps.push("let somebody watch the standby during the run".to_owned());
    }
    Ok(match found.is_empty() {
        true => Finding::new("limits", Status::Ok, "none that a copy comes up against"),
        false => Finding::new("limits", Status::Warning, found.join("; ")).help(helps.join("\n")),
    })
}

/// Measures some tables of a schema, with their keys and indexes.
///
/// # Errors
/// Those of the server.
pub fn tables_bytes(connection: &mut Connection, schema: &str, tables: &[&str]) -> Result<u64, Diagnostic> {
    let names = serde_json::Value::from(tables.to_vec()).to_string();
    let sql = "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint
               FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
               WHERE n.nspname = $1 AND c.relkind IN ('r', 'p')
                 AND c.relname IN (SELECT jsonb_array_elements_text($2::jsonb))";
    let bytes = connection.query_one(sql, &[Some(schema), Some(&names)], "measure the tables")?.integer(0)?;
    Ok(bytes.unsigned_abs())
}

/// Writes a number of bytes for people.
pub fn bytes_text(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["bytes", "kB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} bytes") } else { format!("{value:.1} {}", UNITS[unit]) }
}

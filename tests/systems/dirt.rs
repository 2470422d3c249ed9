//! What such databases have beside good rows, each decided by the spec: rows that belong to nothing, times as numbers,
//! booleans as words, a table that nobody has used.

use crate::isolation::count;
use crate::server::connect;
use crate::system::Moved;
use rusqlite::Connection as Sqlite;
use serde_json::Value;
use std::path::PathBuf;
use tenantry::schema::ColumnId;
use tenantry::spec::Read;

/// Checks that the accounts of a run close over its source, and returns how many rows were rejected.
pub fn settled(audited: &Value, run: &Value, sources: &[PathBuf]) -> u64 {
    assert_eq!(audited, run, "the audit said before what the run then did");
    let mut rejected = 0;
    for account in run.as_array().unwrap() {
        let table = account["table"].as_str().unwrap();
        let count = |source| {
            let sqlite = Sqlite::open(source).unwrap();
            sqlite.query_row(&format!("SELECT count(*) FROM \"{table}\""), [], |row| row.get::<_, i64>(0)).unwrap()
        };
        let rows: i64 = sources.iter().map(count).sum();
        assert_eq!(account["source_rows"].as_u64(), Some(rows as u64), "{table}");
        assert_eq!(account["left_out"].as_u64(), Some(0), "{table}");
        rejected += account["rejected"].as_u64().unwrap();
    }
    rejected
}

/// Checks that a system has dirt of each kind, and that what was rejected is on record.
pub fn check(moved: &Moved) {
    let mut connection = connect(&moved.database, "postgres");
    assert!(moved.rejected > 0, "nothing is rejected");
    assert_eq!(count(&mut connection, "tenantry.rejects") as u64, moved.rejected);
    assert_eq!(count(&mut connection, "tenantry.rejects WHERE key IS NULL OR code = '' OR reason = ''"), 0);
    let plan = moved.plan();
    let columns = (0..plan.source.columns.len()).map(|position| ColumnId(position as u32));
    let decided = |column| plan.tenancy.table(plan.source.column(column).table).conversion(column)?.read;
    let read: Vec<Read> = columns.filter_map(decided).collect();
    assert!(read.iter().any(|read| matches!(read, Read::Epoch | Read::EpochMs)), "no times are numbers");
    assert!(read.contains(&Read::Boolean), "no booleans are words");
    // Of several files, the record says which a row was in.
    for (tenant, source) in moved.tenants.iter().skip(1).filter(|(_, source)| *source != moved.tenants[0].1) {
        let lost = "SELECT count(*) FROM batch_events WHERE batch_id NOT IN (SELECT id FROM batches)";
        let lost: i64 = Sqlite::open(source).unwrap().query_row(lost, [], |row| row.get(0)).unwrap();
        let named = format!("tenantry.rejects WHERE reason LIKE 'in the file of {tenant}: %'");
        assert_eq!(count(&mut connection, &named), lost, "{tenant}");
    }
    let target = &moved.plan().rewritten.target;
    let is_empty = |table| {
        let name = tenantry::ident::quote_always(&target.table(table).name);
        count(&mut connect(&moved.database, "postgres"), &name) == 0
    };
    assert!(target.table_ids().any(is_empty), "every table has rows");
}

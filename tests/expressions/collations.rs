//! Keys over columns with a collation accept and refuse in PostgreSQL what they do in SQLite.

use super::evaluate::{database, plan};
use super::grid::TEXTS;
use tenantry::emit;
use tenantry::plan::Section;

/// Inserts every pair of texts into both databases and compares which of them are refused.
fn pairs(ddl: &str) -> Result<usize, String> {
    let plan = plan(ddl)?;
    let sqlite = rusqlite::Connection::open_in_memory().unwrap();
    sqlite.execute_batch(ddl).unwrap();
    let mut postgres = database();
    for section in [Section::PreData, Section::PostData] {
        for statement in plan.section(section) {
            if let Some(sql) = emit::statement(&plan, statement) {
                postgres.execute(&sql, "create").map_err(|error| format!("{sql}: {error:?}"))?;
            }
        }
    }
    let mut refused = 0;
    let texts: Vec<&&str> = TEXTS.iter().filter(|text| **text != "NULL").collect();
    for one in &texts {
        for other in &texts {
            let insert = format!("INSERT INTO t (c, n) VALUES ({one}, 1), ({other}, 1)");
            let ours = sqlite.execute_batch(&insert).is_ok();
            let theirs = match postgres.execute(&insert, "insert") {
                Ok(_) => true,
                Err(error) if error.code == "constraint-violated" => false,
                Err(error) => return Err(format!("{insert}: {error:?}")),
            };
            if ours != theirs {
                return Err(format!("{ddl}\n{insert}\nSQLite accepts: {ours}, PostgreSQL: {theirs}"));
            }
            refused += usize::from(!ours);
            sqlite.execute_batch("DELETE FROM t").unwrap();
            postgres.execute("DELETE FROM t", "delete").unwrap();
        }
    }
    Ok(refused)
}

#[test]
fn keys_compare_as_sqlite_does() {
    let binary = pairs("CREATE TABLE t (c TEXT, n INTEGER, UNIQUE (c));").unwrap();
    for ddl in [
        "CREATE TABLE t (c TEXT COLLATE NOCASE UNIQUE, n INTEGER);",
        "CREATE TABLE t (c TEXT COLLATE NOCASE PRIMARY KEY, n INTEGER);",
        "CREATE TABLE t (c TEXT, n INTEGER, UNIQUE (n, c COLLATE NOCASE));",
        "CREATE TABLE t (c TEXT COLLATE RTRIM, n INTEGER, UNIQUE (c, n));",
        "CREATE TABLE t (c TEXT, n INTEGER); CREATE UNIQUE INDEX u ON t (c COLLATE RTRIM);",
        "CREATE TABLE t (c TEXT COLLATE NOCASE, n INTEGER); CREATE UNIQUE INDEX u ON t (c) WHERE c <> 'ABC';",
        "CREATE TABLE t (c TEXT COLLATE NOCASE, n INTEGER); CREATE UNIQUE INDEX u ON t (c || 'x');",
    ] {
        let refused = pairs(ddl).unwrap();
        let alike = ddl.contains("WHERE") || ddl.contains("||");
        assert!(alike || refused > binary, "the collation takes nothing for the same: {ddl}");
    }
    let exact = "CREATE TABLE t (c TEXT COLLATE NOCASE, n INTEGER); CREATE UNIQUE INDEX u ON t (c COLLATE BINARY);";
    assert_eq!(pairs(exact), Ok(binary));
}

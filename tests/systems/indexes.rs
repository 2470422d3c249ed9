//! Queries of one organization of armp's, on data that has grown: which index serves them, and how long they take.
//!
//! The times are shown and never judged: they are the machine's.

use crate::isolation::local;
use crate::server::{connect, create_database, expect, url};
use crate::system::{Moved, System};
use rusqlite::Connection as Sqlite;
use std::time::Instant;
use tenantry::postgres::Connection;

/// What the register is asked for, in the words of both, and the index that answers in PostgreSQL. The query names its
/// organization although a policy does: on researchers it is one of two, and an index cannot serve either the one or the
/// other.
const QUERIES: &[(&str, &str, &str)] = &[
    (
        "doi",
        "SELECT id FROM publication WHERE {own} doi = '10.5555/grown.20003'",
        "publication_organization_id_doi_key",
    ),
    ("title", "SELECT id FROM publication WHERE {own} title = 'Grown 20003'", "ix_publication_title"),
    (
        "publication_date",
        "SELECT id FROM publication WHERE {own} TRUE ORDER BY publication_date DESC NULLS LAST LIMIT 20",
        "ix_publication_publication_date",
    ),
    (
        "orcid",
        "SELECT id FROM researcher WHERE {own} orcid = '0000-0003-0002-0003'",
        "researcher_organization_id_orcid_key",
    ),
    ("name", "SELECT id FROM researcher WHERE {own} name = 'Grown 20003'", "ix_researcher_name"),
    ("grant_number", "SELECT id FROM project WHERE {own} grant_number = 'GROWN-20003'", "ix_project_grant_number"),
    ("funder", "SELECT count(*) FROM project WHERE {own} funder = 'Funder 3'", "ix_project_funder"),
    ("project's name", "SELECT id FROM project WHERE {own} name = 'Grown 20003'", "ix_project_name"),
    (
        "organization_id",
        "SELECT id FROM harvest_log WHERE {own} TRUE ORDER BY started_at DESC LIMIT 20",
        "ix_harvest_log_organization_id",
    ),
    ("ror_id", "SELECT organization_tenant_by_ror_id('https://ror.org/000055349')", "ux_organization_ror_id"),
];

/// The organization that has what the queries ask for.
const ORGANIZATION: &str = "7";

/// 20,000 rows more in each of four tables.
const GROWN: &str = "
    CREATE TEMP TABLE n AS WITH RECURSIVE n(i) AS (SELECT 20000 UNION ALL SELECT i + 1 FROM n WHERE i < 39999) SELECT i FROM n;
    INSERT INTO publication (id, organization_id, title, doi, publication_date)
        SELECT i, 1 + (i + 13) % 15, 'Grown ' || i, '10.5555/grown.' || i, date('1900-01-01', '+' || i || ' days') FROM n;
    INSERT INTO researcher (id, organization_id, name, orcid)
        SELECT i, 1 + (i + 13) % 15, 'Grown ' || i, printf('0000-0003-%04d-%04d', i / 10000, i % 10000) FROM n;
    INSERT INTO project (id, organization_id, name, grant_number, funder)
        SELECT i, 1 + (i + 13) % 15, 'Grown ' || i, 'GROWN-' || i, 'Funder ' || i % 100 FROM n;
    INSERT INTO harvest_log (id, organization_id, source, started_at)
        SELECT i, 1 + (i + 13) % 15, 'grown', 1704067200000 + i * 60000 FROM n;
    DROP TABLE n";

/// Moves a register that has grown, asks both databases, and prints how long each took.
pub fn check(system: &System, moved: &Moved) {
    let source = system.build(&moved.file("grown.db"), "rows.sql");
    let sqlite = Sqlite::open(&source).unwrap();
    sqlite.execute_batch(GROWN).unwrap();
    create_database("armp_grown");
    let (target, work) = (url("armp_grown", "postgres"), moved.file("work_grown"));
    let (source, work) = (source.to_str().unwrap(), work.to_str().unwrap());
    expect(0, &["cutover", &moved.spec, "--source", source, "--target", &target, "--work-dir", work]);
    let mut app = connect("armp_grown", moved.app());
    let mut session = app.begin().unwrap();
    session.execute("SELECT 1", "begin").unwrap();
    local(&mut session, &moved.plan().tenancy.isolation.setting, ORGANIZATION);
    println!("\n{:<18} {:>10} {:>10}  index", "one organization's", "SQLite", "PostgreSQL");
    for (asked, query, index) in QUERIES {
        let after = query.replace("{own}", &format!("organization_id = {ORGANIZATION} AND"));
        // The lookup is for a session without an organization: SQLite has the query that is in the function.
        let before = match *asked {
            "ror_id" => "SELECT id FROM organization WHERE ror_id = 'https://ror.org/000055349'",
            _ => &after,
        };
        let was = answer(&sqlite, before);
        let is = session.try_query(&after).unwrap().unwrap_or_else(|refusal| panic!("{asked}: {refusal:?}")).rows;
        assert!(!was.is_empty() && was == is, "{asked}: {was:?} before, {is:?} after");
        let plan = planned(&mut session, asked, &after);
        assert!(plan.contains(index), "{asked}:\n{plan}");
        let before = fastest(|| drop(answer(&sqlite, before)));
        let after = fastest(|| drop(session.try_query(&after).unwrap().unwrap()));
        println!("{asked:<18} {before:>7.2} ms {after:>7.2} ms  {index}");
    }
}

fn answer(sqlite: &Sqlite, sql: &str) -> Vec<String> {
    let mut statement = sqlite.prepare(sql).unwrap_or_else(|error| panic!("{error}: {sql}"));
    let rows = statement.query_map([], |row| row.get::<_, i64>(0)).unwrap();
    rows.map(|id| id.unwrap().to_string()).collect()
}

/// Returns how PostgreSQL goes about a query; about the one in the function, where it calls one.
fn planned(session: &mut Connection, asked: &str, sql: &str) -> String {
    let lines = match asked {
        "ror_id" => {
            // On fifteen rows no index pays. That it can be used is what is seen here.
            session.execute("SET LOCAL enable_seqscan = off", "leave scans out").unwrap();
            session.query("EXPLAIN SELECT id FROM organization WHERE ror_id = 'x'", &[], "explain").unwrap()
        }
        _ => session.query(&format!("EXPLAIN {sql}"), &[], "explain").unwrap(),
    };
    lines.iter().map(|line| format!("{}\n", line.text(0).unwrap())).collect()
}

/// Returns the milliseconds of the fastest of seven times.
fn fastest(mut run: impl FnMut()) -> f64 {
    let times = (0..7).map(|_| {
        let started = Instant::now();
        run();
        started.elapsed().as_secs_f64() * 1000.0
    });
    times.fold(f64::INFINITY, f64::min)
}

//! An application's queries, before and after: the same questions, the same answers.

use crate::server::{connect, expect, root};
use crate::system::{Moved, System};
use rusqlite::Connection as Sqlite;
use rusqlite::types::ValueRef;
use std::fs;
use tenantry::diagnostic::SourceId;
use tenantry::leak::read_queries;
use tenantry::spec::{cut, fill_in};

/// Compares the answers of every query for every tenant, and returns how many there were.
pub fn compare(system: &System, moved: &Moved) -> usize {
    let folder = root().join("fixtures").join(system.name);
    let read = |name: &str| {
        let text = fs::read_to_string(folder.join(name)).unwrap();
        let queries = read_queries(&text, SourceId(0)).unwrap_or_else(|errors| panic!("{name}: {errors}"));
        let names: Vec<String> = queries.into_iter().map(|query| query.name.unwrap()).collect();
        let texts: Vec<String> = cut(&text).unwrap().into_iter().map(|statement| statement.text).collect();
        (names, texts)
    };
    let ((names, before), (names_after, after)) = (read("workload.before.sql"), read("workload.after.sql"));
    assert_eq!(names, names_after, "both files ask the same");
    let mut answers = 0;
    let mut rows = vec![0; names.len()];
    for (tenant, source) in &moved.tenants {
        let sqlite = Sqlite::open(source).unwrap();
        let mut postgres = connect(&moved.database, moved.app());
        let mut session = postgres.begin().unwrap();
        session.execute("SELECT 1", "begin").unwrap();
        session.set(&moved.plan().tenancy.isolation.setting, tenant).unwrap();
        for (position, (before, after)) in before.iter().zip(&after).enumerate() {
            let value = |name: &str| (name == "tenant").then(|| tenant.clone());
            let was = ask_sqlite(&sqlite, &fill_in(before, &value).unwrap());
            let is = session.try_query(&fill_in(after, &value).unwrap()).unwrap();
            let is = is.unwrap_or_else(|refusal| panic!("{}: {refusal:?}", names[position])).rows;
            assert_eq!(was, is, "{}, {} of {tenant}", system.name, names[position]);
            answers += 1;
            rows[position] += was.len();
        }
    }
    for (name, rows) in names.iter().zip(rows) {
        assert!(rows > 0, "{}, {name}: answers nothing to anybody, so nothing is compared", system.name);
    }
    // Where the queries name the tenant themselves, none may depend on policies for it.
    let queries = format!("fixtures/{}/workload.after.sql", system.name);
    if fs::read_to_string(root().join(&queries)).unwrap().contains(":tenant") {
        let source = moved.tenants[0].1.to_str().unwrap();
        expect(0, &["leak", &queries, &moved.spec, "--source", source]);
    }
    answers
}

/// Asks SQLite, and writes the answer as COPY does.
fn ask_sqlite(sqlite: &Sqlite, sql: &str) -> Vec<String> {
    let mut statement = sqlite.prepare(sql).unwrap_or_else(|error| panic!("{error}: {sql}"));
    let width = statement.column_count();
    let mut rows = statement.query([]).unwrap();
    let mut lines = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        let cells: Vec<String> = (0..width).map(|column| copied(row.get_ref(column).unwrap())).collect();
        lines.push(cells.join("\t"));
    }
    lines
}

fn copied(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "\\N".to_owned(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Text(text) => {
            String::from_utf8_lossy(text).replace('\\', "\\\\").replace('\n', "\\n").replace('\t', "\\t")
        }
        other => panic!("a workload gives texts and integers, not {other:?}"),
    }
}

//! The files for migration tools do what the plan does, and their way back leaves nothing.

use super::case::{Case, prepare};
use super::database::database;
use std::collections::BTreeSet;
use tenantry::emit::{Wrap, wrapped};
use tenantry::plan::{Makes, Plan};
use tenantry::postgres::Connection;
use tenantry::spec::cut;

#[test]
fn what_the_files_make_they_take_away_again() {
    let (mut there_and_back, mut left_to_people) = (0, 0);
    let mut failures = Vec::new();
    for case in Case::all() {
        let Ok(project) = case.load() else { continue };
        if project.plan.tenancy.target.profile.is_citus() {
            continue;
        }
        match round(&project.plan) {
            Ok(true) => there_and_back += 1,
            Ok(false) => left_to_people += 1,
            Err(failure) => failures.push(format!("{}: {failure}", case.name())),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    assert!(there_and_back > 0 && left_to_people > 0, "{there_and_back} there and back, {left_to_people} by hand");
}

/// Runs all files up and down; returns false where verbatim SQL has no way back that tenantry knows.
fn round(plan: &Plan) -> Result<bool, String> {
    let mut connection = database();
    prepare(plan, &mut connection)?;
    let before = objects(&mut connection);
    let files = wrapped(plan, Wrap::Sqlx, "case", None).map_err(|error| format!("{error:?}"))?;
    let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
    let stems =
        ["0001_case_pre_data.up", "0001_case_pre_data.down", "0002_case_post_data.up", "0002_case_post_data.down"];
    assert_eq!(names, stems.map(|stem| format!("{stem}.sql")));
    run(&files[0].text, &mut connection)?;
    run(&files[2].text, &mut connection)?;
    let is_verbatim = plan.statements.iter().any(|made| matches!(made.makes, Makes::Trigger(..) | Makes::Extra(..)));
    for file in [&files[3], &files[1]] {
        match run(&file.text, &mut connection) {
            Err(error) if is_verbatim && error.contains("write here what undoes") => return Ok(false),
            Err(error) => return Err(error),
            Ok(()) => {}
        }
    }
    let left: Vec<String> = objects(&mut connection).difference(&before).cloned().collect();
    if left.is_empty() && !is_verbatim { Ok(true) } else { Err(format!("left behind: {left:?}")) }
}

/// Runs a file in one transaction, as the tools do.
fn run(text: &str, connection: &mut Connection) -> Result<(), String> {
    let mut transaction = connection.begin().unwrap();
    for statement in cut(text).unwrap() {
        transaction
            .execute(&statement.text, "run")
            .map_err(|error| format!("{}\nin {}", error.message, statement.text))?;
    }
    transaction.commit().map_err(|error| error.message)
}

/// Lists relations, functions and collations, but for what the server brings along and what belongs to extensions.
fn objects(connection: &mut Connection) -> BTreeSet<String> {
    let sql = "SELECT 'relation ' || oid::regclass::text FROM pg_class WHERE oid >= 16384 AND relkind <> 't' \
               AND relnamespace <> 'pg_toast'::regnamespace \
               UNION ALL SELECT 'function ' || oid::regprocedure::text FROM pg_proc p WHERE oid >= 16384 \
               AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e') \
               UNION ALL SELECT 'collation ' || collname::text FROM pg_collation WHERE oid >= 16384";
    let rows = connection.query(sql, &[], "list").unwrap();
    rows.iter().map(|row| row.text(0).unwrap().to_owned()).collect()
}

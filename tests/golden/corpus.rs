//! Databases of other people, from end to end: `init --all-shared`, DDL on a real PostgreSQL, the catalog read back and
//! compared, and the rows audited, moved and proven.
//!
//! `make corpus CORPUS=DIR` takes every database and every file of DDL in a folder. Without one it takes the systems of
//! the fixtures with their rows, so that what does the comparing is itself tried on each run.

use super::case::{apply, sorted};
use super::database::{database, server};
use super::describe::describe;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use tenantry::cli::Project;
use tenantry::copy::{Audit, NewCutover, Tables, audit_snapshot, cutover};
use tenantry::diagnostic::Sources;
use tenantry::plan::Plan;
use tenantry::postgres::read_catalog;
use tenantry::report::unified_diff;
use tenantry::scaffold::{Request, all_shared};
use tenantry::schema::{Expr, KeyKind, TargetSchema};
use tenantry::sqlite::{Snapshot, read_source};
use tenantry::verify::verify_expressions;

#[test]
fn every_database_of_a_folder_converts() {
    let built = tempfile::tempdir().unwrap();
    let folder = match std::env::var_os("TENANTRY_CORPUS") {
        Some(folder) => PathBuf::from(folder),
        None => {
            systems(built.path());
            built.path().to_owned()
        }
    };
    let wanted = |path: &PathBuf| {
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        extension.is_some_and(|extension| matches!(extension.as_str(), "db" | "sqlite" | "sqlite3" | "sql"))
    };
    let paths: Vec<PathBuf> = sorted(&folder).into_iter().filter(wanted).collect();
    assert!(!paths.is_empty(), "{} holds no database", folder.display());
    let (mut counts, mut kinds, mut failures) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
    for path in &paths {
        println!("{}", path.file_name().unwrap().to_string_lossy());
        match convert(path, &mut kinds) {
            Ok((found, report)) => {
                print(&found);
                println!("{report}");
                for (what, count) in found {
                    *counts.entry(what).or_insert(0) += count;
                }
            }
            Err(failure) => failures.push(format!("{}:\n{failure}", path.display())),
        }
    }
    println!("{} databases, in all", paths.len());
    print(&counts);
    let decided: Vec<String> = kinds.iter().map(|(kind, count)| format!("    {count:>6} {kind}")).collect();
    println!("  decisions that the specs had to make:\n{}", decided.join("\n"));
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

fn print(counts: &BTreeMap<&'static str, usize>) {
    let list: Vec<String> = counts.iter().map(|(what, count)| format!("{count} {what}")).collect();
    println!("  the same in the catalog: {} objects ({})", counts.values().sum::<usize>(), list.join(", "));
}

/// Makes databases of the fixtures that are whole systems.
fn systems(folder: &Path) {
    for name in ["bai", "docuflow", "armp", "all-shared"] {
        let database = rusqlite::Connection::open(folder.join(format!("{name}.db"))).unwrap();
        let fixture = Path::new("fixtures").join(name);
        database.execute_batch(&fs::read_to_string(fixture.join("schema.sql")).unwrap()).unwrap();
        if let Ok(rows) = fs::read_to_string(fixture.join("rows.sql")) {
            database.execute_batch(&rows).unwrap();
        }
    }
}

/// Takes one database through; returns how many objects were the same, and what became of the rows.
fn convert(
    path: &Path,
    kinds: &mut BTreeMap<String, usize>,
) -> Result<(BTreeMap<&'static str, usize>, String), String> {
    let absolute = fs::canonicalize(path).map_err(|error| error.to_string())?;
    let schema = read_source(&absolute, &mut Sources::default()).map_err(|errors| errors.to_string())?;
    let request = Request { source: &absolute.to_string_lossy(), output: "schema.postgres.sql" };
    let scaffold = all_shared(&schema, &request);
    if !scaffold.remaining.is_empty() {
        return Err(scaffold.remaining.to_string());
    }
    for (kind, count) in &scaffold.decided {
        *kinds.entry(kind.clone()).or_insert(0) += count;
    }
    let folder = tempfile::tempdir().unwrap();
    let spec = folder.path().join("spec.yaml");
    fs::write(&spec, &scaffold.text).unwrap();
    let project = Project::load(&spec, true).map_err(|failure| failure.errors.to_string())?;
    let counts = compare(&project.plan)?;
    let is_database = fs::read(&absolute).is_ok_and(|bytes| bytes.starts_with(b"SQLite format 3\0"));
    let report = if is_database { rows(&project.plan, &absolute)? } else { "  no rows: a file of DDL".to_owned() };
    Ok((counts, report))
}

/// Applies the DDL and compares the catalog with the plan.
fn compare(plan: &Plan) -> Result<BTreeMap<&'static str, usize>, String> {
    let mut connection = database();
    apply(plan, &mut connection)?;
    let target = &plan.rewritten.target;
    let names: Vec<&str> = target.tables.iter().map(|table| table.name.as_str()).collect();
    let catalog =
        read_catalog(&mut connection, &plan.tenancy.target_schema, &names).map_err(|error| error.message.clone())?;
    let text = |lines: Vec<String>| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    match unified_diff("the catalog", &text(describe(&catalog)), &text(describe(target))) {
        same if same.is_empty() => {}
        diff => return Err(format!("the catalog is not what was planned:\n{diff}")),
    }
    let found = verify_expressions(plan, &mut connection).map_err(|error| error.message)?;
    if !found.differences.is_empty() || !found.uncompared.is_empty() {
        return Err([found.differences, found.uncompared].concat().join("\n"));
    }
    let keys = |kind| catalog.keys.iter().filter(|key| key.kind == kind).count();
    Ok(BTreeMap::from([
        ("tables", catalog.tables.len()),
        ("columns with type and nullability", catalog.columns.len()),
        ("primary keys", keys(KeyKind::Primary)),
        ("unique keys", keys(KeyKind::Unique)),
        ("foreign keys with actions", catalog.foreign_keys.len()),
        ("unique indexes", catalog.indexes.iter().filter(|index| index.unique).count()),
        ("plain indexes", catalog.indexes.iter().filter(|index| !index.unique).count()),
        ("checks", catalog.checks.len()),
        ("defaults, predicates and other expressions", expressions(&catalog)),
    ]))
}

/// Counts defaults, generated columns, predicates and expressions of indexes.
fn expressions(schema: &TargetSchema) -> usize {
    let columns = schema
        .columns
        .iter()
        .map(|column| usize::from(column.default.is_some()) + usize::from(column.generated.is_some()));
    let indexes = schema.indexes.iter().map(|index| {
        let parts = index.parts.iter().filter(|part| !matches!(part.expr, Expr::Column(_))).count();
        parts + usize::from(index.predicate.is_some())
    });
    columns.chain(indexes).sum()
}

/// Audits the rows, and moves and proves them where nothing is wrong with them.
fn rows(plan: &Plan, path: &Path) -> Result<String, String> {
    let snapshot = Snapshot::take(path).map_err(|error| error.message)?;
    let (settled, audited, learnt) = audit_snapshot(plan, &snapshot, &mut |_, _| {}).map_err(|error| error.message)?;
    let read: u64 = audited.tables.iter().map(|(_, rows)| rows).sum();
    orphans_are_all_of_them(plan, &audited, path)?;
    if !audited.findings.is_empty() {
        let lines = audited.findings.iter().map(|finding| {
            format!("    {} rows: {} at {}: {}", finding.rows, finding.code, finding.place, finding.reason)
        });
        let lines: Vec<String> = lines.collect();
        return Ok(format!("  {read} rows read; some do not go through:\n{}", lines.join("\n")));
    }
    let new = NewCutover {
        spec_hash: "",
        snapshot: &snapshot,
        settled: &settled,
        tenants: audited.tenants,
        tables: Tables::Created,
    };
    let done = cutover(plan, &server(), &new, learnt, 2, &mut |_| {}).map_err(|error| error.to_string())?;
    if !done.verification.is_proven() {
        return Err(format!("{:?}", done.verification));
    }
    Ok(format!("  {read} rows read, moved and proven"))
}

/// The orphans of the audit are those that SQLite counts itself, foreign key for foreign key.
fn orphans_are_all_of_them(plan: &Plan, audited: &Audit, path: &Path) -> Result<(), String> {
    let database = rusqlite::Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut own: BTreeMap<String, u64> = BTreeMap::new();
    for finding in audited.findings.iter().filter(|finding| finding.code == "orphan") {
        *own.entry(plan.source.table(finding.table).name.clone()).or_default() += finding.rows;
    }
    for &table in &plan.rewritten.source_tables {
        let name = &plan.source.table(table).name;
        let counted: i64 = database
            .query_row("SELECT count(*) FROM pragma_foreign_key_check(?)", [name], |row| row.get(0))
            .map_err(|error| format!("{name}: {error}"))?;
        if u64::try_from(counted).ok() != Some(own.get(name).copied().unwrap_or_default()) {
            return Err(format!("{name}: SQLite counts {counted} orphans, the audit found {own:?}"));
        }
    }
    Ok(())
}

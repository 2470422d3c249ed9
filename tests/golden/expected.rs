//! Each case yields the text that is expected of it, and PostgreSQL agrees.
//!
//! An `ok` case has `expected.sql`, and `expected.plan.txt` where the report matters; its DDL is applied to a real
//! PostgreSQL and the catalog is read back and compared with the plan. An `err` case has `expected.err.txt`.

use super::case::{Case, apply, sorted};
use super::citus;
use super::database::{database, sqlite_database};
use super::describe::describe;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use tenantry::cli::Project;
use tenantry::diagnostic::Diagnostic;
use tenantry::emit;
use tenantry::plan::{Plan, Section};
use tenantry::postgres::read_catalog;
use tenantry::report::{Style, plan_text, render, unified_diff};
use tenantry::verify::{verify_catalog, verify_expressions, verify_isolation};

const ERRORS: &str = "expected.err.txt";

/// What the audit says of a case's rows, and then of its dirty ones.
pub const AUDIT: &str = "expected.audit.txt";

#[test]
fn every_case_yields_what_is_expected() {
    let mut failures = Vec::new();
    let (mut ok, mut err) = (0, 0);
    for case in Case::all() {
        let expected_errors = Some(case.folder.join(ERRORS)).filter(|path| path.is_file() && is_fixture(&case));
        let result = match (case.load(), expected_errors) {
            (Ok(_), Some(path)) => Err(format!("{} expects errors, and there is none", path.display())),
            (Ok(project), None) => {
                ok += 1;
                expect_ok(&case, &project)
            }
            (Err(failure), path) => {
                let plain = Style { colour: false, unicode: true, graphics: true, width: 100 };
                let text = render(&failure.errors, &failure.sources, plain);
                err += 1;
                match path {
                    Some(path) => expect_text(&path, &text),
                    // A new case says which kind it is by an empty file of the right name.
                    None => Err(format!("no error is expected, and there are:\n{text}")),
                }
            }
        };
        failures.extend(result.err().map(|failure| format!("{}:\n{failure}", case.name())));
    }
    println!("{ok} ok cases, {err} err cases");
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    assert!(ok > 0 && err > 0, "one of the two kinds is missing: {ok} ok, {err} err");
}

fn is_fixture(case: &Case) -> bool {
    case.spec.starts_with("fixtures")
}

fn expect_ok(case: &Case, project: &Project) -> Result<(), String> {
    let plan = &project.plan;
    let ddl = project.output.clone().unwrap_or_else(|| case.folder.join("expected.sql"));
    if is_fixture(case) && ddl != case.folder.join("expected.sql") {
        return Err("`output` of a fixture is its expected.sql".to_owned());
    }
    expect_text(&ddl, &emit::postgres(plan, &Section::DDL))?;
    let report = ddl.with_extension("plan.txt");
    if report.is_file() {
        expect_text(&report, &plan_text(plan, &project.sources))?;
    }
    let development = ddl.with_extension("sqlite.sql");
    if development.is_file() {
        expect_text(&development, &emit::sqlite(plan))?;
    }
    sqlite_database(plan)?;
    expect_catalog(plan)
}

pub fn bless() -> bool {
    std::env::var_os("TENANTRY_BLESS").is_some_and(|value| !value.is_empty() && value != "0")
}

pub fn expect_text(path: &Path, found: &str) -> Result<(), String> {
    if bless() {
        fs::write(path, found).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    let expected = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    match unified_diff(&path.display().to_string(), &expected, found) {
        same if same.is_empty() => Ok(()),
        diff => Err(diff),
    }
}

/// Text equality is no proof: the DDL has to run, and what the server then has must be what was planned.
pub fn expect_catalog(plan: &Plan) -> Result<(), String> {
    let mut connection = database();
    apply(plan, &mut connection)?;
    if plan.tenancy.target.profile.is_citus() {
        citus::check(&mut connection)?;
    }
    let target = &plan.rewritten.target;
    let names: Vec<&str> = target.tables.iter().map(|table| table.name.as_str()).collect();
    let catalog = read_catalog(&mut connection, &plan.tenancy.target_schema, &names)
        .map_err(|error| format!("{}: {}", error.code, error.message))?;
    let text = |lines: Vec<String>| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    match unified_diff("the catalog", &text(describe(&catalog)), &text(describe(target))) {
        same if same.is_empty() => {}
        diff => return Err(format!("the catalog is not what was planned:\n{diff}")),
    }
    // The verifier looks at the same catalog by itself, and at owners, policies and grants.
    let failed = |error: Diagnostic| format!("{}: {}", error.code, error.message);
    let mut differences = verify_catalog(plan, &mut connection).map_err(failed)?;
    differences.extend(verify_isolation(plan, &mut connection).map_err(failed)?);
    // Of every expression the server's own writing has to be what its catalog holds.
    let expressions = verify_expressions(plan, &mut connection).map_err(failed)?;
    differences.extend(expressions.differences.into_iter().chain(expressions.uncompared));
    if !differences.is_empty() {
        return Err(format!("the verifier finds differences where there are none:\n{}", differences.join("\n")));
    }
    Ok(())
}

#[test]
fn a_case_folder_holds_nothing_unknown() {
    const KNOWN: &[&str] = &[
        "spec.yaml",
        "schema.sql",
        "rows.sql",
        "installations",
        "dirty.sql",
        "queries.sql",
        "workload.before.sql",
        "workload.after.sql",
        "leaking.sql",
        "expected.leak.txt",
        AUDIT,
        ERRORS,
        "expected.sql",
        "README.md",
    ];
    let outputs: BTreeSet<PathBuf> =
        Case::all().iter().filter_map(|case| case.load().ok()?.output).flat_map(with_reports).collect();
    let mut unknown = Vec::new();
    for folder in sorted("fixtures") {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let system = Path::new("specs").join(format!("{name}.yaml"));
        if !folder.is_dir() || !(folder.join("spec.yaml").is_file() || system.is_file()) {
            unknown.push(format!("{} is no case: it has no spec.yaml", folder.display()));
            continue;
        }
        // A migration folder, a mapping or a piece of extra DDL is known by the spec that names it.
        let spec: String =
            [folder.join("spec.yaml"), system].iter().filter_map(|path| fs::read_to_string(path).ok()).collect();
        for path in sorted(&folder) {
            let file = path.file_name().unwrap().to_string_lossy().into_owned();
            let expected = outputs.contains(&path) || with_reports(folder.join("expected.sql")).contains(&path);
            if !KNOWN.contains(&file.as_str()) && !expected && !spec.contains(&file) {
                unknown.push(path.display().to_string());
            }
        }
        if folder.join(ERRORS).is_file() && folder.join("expected.sql").is_file() {
            unknown.push(format!("{} is both an ok and an err case", folder.display()));
        }
    }
    assert!(unknown.is_empty(), "unknown in the fixtures:\n{}", unknown.join("\n"));
}

/// The files that stand beside a case's DDL.
fn with_reports(ddl: PathBuf) -> Vec<PathBuf> {
    vec![ddl.with_extension("plan.txt"), ddl.with_extension("sqlite.sql"), ddl]
}

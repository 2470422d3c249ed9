//! Golden cases: `fixtures/<case>/spec.yaml` and `specs/<system>.yaml`, each with what is expected of it.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use tenantry::cli::{Failure, Project};
use tenantry::copy::bootstrap;
use tenantry::emit;
use tenantry::plan::{Makes, Plan, Section, Statement};
use tenantry::postgres::Connection;

/// A spec and what is expected of it.
pub struct Case {
    /// The spec, relative to the package's root.
    pub spec: PathBuf,
    /// The folder of its expected files.
    pub folder: PathBuf,
}

impl Case {
    /// Lists all cases by name.
    pub fn all() -> Vec<Self> {
        let mut cases = Vec::new();
        for folder in sorted("fixtures") {
            let spec = folder.join("spec.yaml");
            if spec.is_file() {
                cases.push(Self { spec, folder });
            }
        }
        for spec in sorted("specs").into_iter().filter(|path| path.extension().is_some_and(|found| found == "yaml")) {
            // `specs/bai.citus.yaml` belongs to the system bai.
            let name = spec.file_name().unwrap().to_string_lossy();
            let folder = Path::new("fixtures").join(name.split('.').next().unwrap());
            cases.push(Self { spec, folder });
        }
        assert!(!cases.is_empty(), "no case found: tests run in the package's root");
        cases
    }

    /// Returns what people call the case.
    pub fn name(&self) -> String {
        self.spec.to_string_lossy().into_owned()
    }

    /// Reads and plans the case, as the command line does.
    pub fn load(&self) -> Result<Project, Failure> {
        Project::load(&self.spec, false)
    }
}

/// Lists the entries of a folder by name.
pub fn sorted(folder: impl AsRef<Path>) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// Runs all statements of a plan but the copying, one at a time, with the roles that they name.
pub fn apply(plan: &Plan, connection: &mut Connection) -> Result<(), String> {
    apply_some(plan, connection, |_| true)
}

/// Makes the tables of a plan with their keys and indexes, and nothing that refers to rows or guards them.
pub fn apply_tables(plan: &Plan, connection: &mut Connection) -> Result<(), String> {
    apply_some(plan, connection, |statement| {
        statement.section == Section::PreData || matches!(statement.makes, Makes::Key(_) | Makes::Index(_))
    })
}

fn apply_some(plan: &Plan, connection: &mut Connection, wanted: fn(&Statement) -> bool) -> Result<(), String> {
    prepare(plan, connection)?;
    for statement in plan.statements.iter().filter(|statement| wanted(statement)) {
        let Some(sql) = emit::statement(plan, statement) else { continue };
        connection.execute(&sql, "apply").map_err(|error| format!("{error:?}\nin {sql}"))?;
    }
    Ok(())
}

/// Makes what a plan expects of the server: its roles, and Citus.
pub fn prepare(plan: &Plan, connection: &mut Connection) -> Result<(), String> {
    // Roles belong to the server: two cases must not create the same one at once.
    static ROLES: Mutex<()> = Mutex::new(());
    let alone = ROLES.lock().unwrap();
    bootstrap(plan, connection, &|_| None).map_err(|error| format!("{error:?}"))?;
    drop(alone);
    if plan.tenancy.target.profile.is_citus() {
        super::citus::stand_in(connection)?;
    }
    // As a cutover does: what the spec writes in SQL names its tables without a schema. What stands in for Citus is in
    // public.
    let path = format!("{}, public, pg_temp", tenantry::ident::quote_always(&plan.tenancy.target_schema));
    connection.set("search_path", &path).map_err(|error| format!("{error:?}"))
}

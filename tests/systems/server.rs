//! One scratch server for all systems, a database for each, and the command line.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::Duration;
use tenantry::postgres::{Connection, Durability, Scratch, Server, Target};

const PATIENCE: Duration = Duration::from_secs(30);

/// Returns the server. Nothing drops it; its watchdog removes it when the process ends.
fn scratch() -> &'static Scratch {
    static SERVER: OnceLock<Scratch> = OnceLock::new();
    SERVER.get_or_init(|| Scratch::start(Durability::Off).unwrap_or_else(|error| panic!("{error:?}")))
}

/// Returns the folder of the package.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Creates an empty database.
pub fn create_database(name: &str) {
    let mut connection = connect("tenantry", "postgres");
    connection.execute(&format!("CREATE DATABASE {name}"), "create").unwrap_or_else(|error| panic!("{error:?}"));
}

/// Returns the URL of a database for a role.
pub fn url(database: &str, role: &str) -> String {
    format!("postgresql://{role}@/{database}?host={}", scratch().directory().display())
}

/// Connects as a role, with policies at work as in an application's session.
pub fn connect(database: &str, role: &str) -> Connection {
    let Target::Server(server) = Target::parse(&url(database, role)).unwrap() else { unreachable!() };
    let server: Server = *server;
    let mut connection = server.connect("public", PATIENCE).unwrap_or_else(|error| panic!("{error:?}"));
    connection.set("row_security", "on").unwrap();
    connection
}

/// Runs the command line.
pub fn tenantry(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tenantry")).current_dir(root()).args(arguments).output().unwrap()
}

/// Runs the command line with variables in its environment.
pub fn with_environment(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenantry"));
    command.current_dir(root()).args(arguments).envs(variables.iter().copied()).output().unwrap()
}

/// Runs a program of PostgreSQL's, which has to end well.
pub fn postgres_program(name: &str, arguments: &[&str]) {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let output = Command::new(root().join("tests/deps.sh")).arg("bindir").output().unwrap();
        PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
    });
    let output = Command::new(folder.join(name)).args(arguments).output().unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Runs the command line, and kills it when it reaches the failpoint of this name.
pub fn killed_at(failpoint: &str, arguments: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenantry"));
    let output = command.current_dir(root()).args(arguments).env("TENANTRY_FAILPOINT", failpoint).output().unwrap();
    assert_eq!(output.status.code(), None, "{failpoint} was not reached: {}", String::from_utf8_lossy(&output.stderr));
}

/// Runs the command line, which has to end with this code, and returns what it printed.
pub fn expect(code: i32, arguments: &[&str]) -> String {
    let output = tenantry(arguments);
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "tenantry {arguments:?}\n{stdout}{stderr}");
    stdout.into_owned()
}

/// The same for a verb that ends well and prints JSON.
pub fn expect_json(arguments: &[&str]) -> serde_json::Value {
    serde_json::from_str(&expect(0, &[arguments, &["--format", "json"]].concat())).unwrap()
}

//! What is measured, and how each of them is called.

use crate::fixture;
use crate::server::Database;
use std::path::Path;
use std::process::{Command, Stdio};

pub const TENANTRY: &str = "tenantry";
pub const FLOOR: &str = "floor";

/// One way of moving the rows.
#[derive(Debug, Clone, Copy)]
pub struct Contender {
    /// Its name.
    pub name: &'static str,
    /// What it does, for the report.
    pub does: &'static str,
    /// The programs that do its work, whose memory is reported.
    pub programs: &'static [&'static str],
    /// What to install where one of them is missing.
    pub install: &'static str,
    /// The tables it makes are to be the same as tenantry's, with the same rows.
    pub same_result: bool,
}

/// Returns all of them in the order in which they take turns; tenantry first, whose result the others are held against.
pub fn contenders() -> [Contender; 4] {
    [
        Contender {
            name: TENANTRY,
            does: "`cutover`: snapshot, audit, rows with their tenants, keys, foreign keys, sequences, proof, statistics",
            programs: &["tenantry"],
            install: "",
            same_result: true,
        },
        Contender {
            name: FLOOR,
            does: "what the server needs: ready-made binary files in key order, then the same keys, indexes and foreign \
                   keys over two connections (`fixtures/bench/peers/floor.sh`)",
            programs: &["psql"],
            install: "PostgreSQL's client (apt-get install postgresql-client)",
            same_result: true,
        },
        Contender {
            name: "by_hand",
            does: "sqlite3 joins the tenant to each row, CSV, psql's \\copy, then the same keys, indexes, foreign keys, \
                   sequences and statistics; no proof (`fixtures/bench/peers/by_hand.sh`)",
            programs: &["sqlite3", "psql"],
            install: "the sqlite3 shell and PostgreSQL's client (apt-get install sqlite3 postgresql-client)",
            same_result: true,
        },
        Contender {
            name: "pgloader",
            does: "a plain copy with the source's own keys; no tenants, no composite keys, no NOT NULL, no proof \
                   (`fixtures/bench/peers/pgloader.load`)",
            programs: &["pgloader"],
            install: "pgloader (apt-get install pgloader)",
            same_result: false,
        },
    ]
}

impl Contender {
    /// Says what to install where one of its programs is missing.
    pub fn installed(&self) -> Result<(), String> {
        let found = |program: &&&str| {
            let probe = Command::new(program).arg("--version").stdin(Stdio::null()).output();
            **program == TENANTRY || probe.is_ok_and(|output| output.status.success())
        };
        match self.programs.iter().find(|program| !found(program)) {
            None => Ok(()),
            Some(missing) => Err(format!("{missing} is not installed: install {}", self.install)),
        }
    }

    /// Builds the command that moves a source into a database.
    pub fn command(&self, source: &Path, database: &Database) -> Command {
        let peers = fixture().join("peers");
        let mut command = match self.name {
            TENANTRY => {
                let mut command = verb("cutover", source);
                command.args(["--target", &database.url(), "--format", "json"]);
                // Beside the source: the snapshot is kept there, and made anew by each round.
                command.arg("--work-dir").arg(source.with_extension("work"));
                command
            }
            FLOOR => {
                let mut command = Command::new(peers.join("floor.sh"));
                command.arg("read").arg(database.folder());
                command
            }
            "pgloader" => {
                let mut command = Command::new("pgloader");
                command.arg("--on-error-stop").arg(peers.join("pgloader.load"));
                command
            }
            script => Command::new(peers.join(script).with_extension("sh")),
        };
        command.env("SOURCE", source).envs(database.environment());
        command
    }

    /// Builds the command that audits a source.
    pub fn audit(&self, source: &Path) -> Command {
        verb("audit", source)
    }

    /// Builds the command that verifies a database that holds a source.
    pub fn verify(&self, source: &Path, database: &Database) -> Command {
        let mut command = verb("verify", source);
        command.args(["--target", &database.url()]);
        command
    }
}

fn verb(name: &str, source: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenantry"));
    command.arg(name).arg(fixture().join("spec.yaml")).arg("--source").arg(source);
    command
}

//! What `cutover` is told on the command line.

use super::Format;
use super::sign_off::{Files, Receipts};
use super::tenant_files::TenantNames;
use crate::copy::Tables;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Moves a database: snapshot, audit, schema, rows, keys, sequences, proof
#[derive(Debug, Args)]
#[command(after_help = "\
Every step is one transaction that begins with its row in a journal in the target. Whatever interrupts a run: --resume
continues and finishes it, nothing lost and nothing doubled, and `tenantry rollback` undoes it.

Examples:
  tenantry cutover specs/bai.yaml --source app.db --target scratch          a rehearsal on a throwaway server
  tenantry cutover specs/bai.yaml --source app.db --target scratch --keep   the same, and leaves the server running
  tenantry cutover specs/bai.yaml --source app.db --target env:POSTGRES_URL --dry-run
  tenantry cutover specs/bai.yaml --source app.db --target env:POSTGRES_URL --bootstrap
  tenantry cutover specs/bai.yaml --source app.db --target env:POSTGRES_URL --freeze
  tenantry cutover specs/bai.yaml --target env:POSTGRES_URL --resume        goes on where an interrupted run stopped
  tenantry cutover specs/bai.yaml --source app.db --target env:POSTGRES_URL --schema expect
  tenantry cutover specs/bai.yaml --source app.db --target env:POSTGRES_URL --replace
  tenantry cutover specs/legal_dashboard.yaml --source 'tenants/*.db' --target env:POSTGRES_URL
  tenantry cutover specs/legal_dashboard.yaml --source 'tenants/*.db' --tenant-map tenants.csv --target env:POSTGRES_URL
  tenantry cutover specs/legal_dashboard.yaml --source new.db --tenant bremen --target env:POSTGRES_URL")]
pub(super) struct Arguments {
    /// The tenancy spec
    pub spec: PathBuf,
    /// The SQLite database with the rows; it is only read. Several, named one by one or by a quoted pattern, go in together
    #[arg(long, value_name = "DB|PATTERN", value_parser = super::source::parse, required_unless_present = "resume")]
    pub source: Vec<PathBuf>,
    #[command(flatten)]
    pub names: TenantNames,
    /// Where to: a postgresql:// URL, env:NAME for one in a variable, or scratch
    #[arg(long, value_name = "URL|env:NAME|scratch")]
    pub target: String,
    /// Does everything but write
    #[arg(long)]
    pub dry_run: bool,
    /// Creates the roles of the spec that are missing, and gives them the database; a scratch server has them always
    #[arg(long, long_help = BOOTSTRAP)]
    pub bootstrap: bool,
    /// Leaves the scratch server running and prints how to connect
    #[arg(long)]
    pub keep: bool,
    /// Continues and finishes an interrupted run, from the snapshot that it keeps; begins one where there is none
    #[arg(long, conflicts_with_all = ["dry_run", "replace", "bootstrap"])]
    pub resume: bool,
    /// Undoes the recorded run with these tables first, and takes its place
    #[arg(long, conflicts_with = "dry_run")]
    pub replace: bool,
    /// With --replace: gives up that many rows which were written after the run; the number has to be exact
    #[arg(long, value_name = "N", requires = "replace")]
    pub discard_new_rows: Option<u64>,
    /// Whether the tables are created, or are there, made by Alembic or an ORM, and empty
    #[arg(long, value_enum, default_value_t)]
    pub schema: Schema,
    /// How many connections work side by side
    #[arg(long, value_name = "N", default_value_t = JOBS, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub jobs: u16,
    /// Where the snapshot is kept, to continue from and as the backup [default: ./tenantry-SPEC]
    #[arg(long, value_name = "DIR")]
    pub work_dir: Option<PathBuf>,
    /// Gives up where the application could not write for longer; in WAL mode it never waits
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub max_block: Option<f64>,
    /// Keeps others from writing to the source from before the snapshot to the end of the run
    #[arg(long, requires = "source")]
    pub freeze: bool,
    /// A rehearsal (--target scratch) writes the runbook of the real run there, and its figures as JSON beside it; any other
    /// run compares its times with them [default: runbook.md in the run's folder]
    #[arg(long, value_name = "FILE.md")]
    pub runbook: Option<PathBuf>,
    #[command(flatten)]
    pub files: Files,
    #[command(flatten)]
    pub receipts: Receipts,
    /// How to report
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Lets the spec name paths outside its repository
    #[arg(long)]
    pub allow_outside: bool,
}

impl Arguments {
    /// What is to be there before.
    pub fn tables(&self) -> Tables {
        match self.schema {
            Schema::Create => Tables::Created,
            Schema::Expect => Tables::Expected,
        }
    }
}

/// How many connections work side by side, unless another number is asked for.
pub(super) const JOBS: u16 = 2;

const BOOTSTRAP: &str = "\
Creates the roles of the spec that are missing, and gives them the database and its schema, before the run; a scratch
server has them always. Everybody else loses the right to connect to the database and to use the schema. Needs a session
that may create roles. Passwords come from TENANTRY_OWNER_PASSWORD, TENANTRY_APP_PASSWORD and
TENANTRY_VERIFIER_PASSWORD; the server gets a SCRAM verifier of them. A role without one is created without a password.";

/// What is to be there before the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum Schema {
    /// None of the tables: the run creates them.
    #[default]
    Create,
    /// The tables of the plan's pre-data, empty; keys, indexes and foreign keys may be there or not.
    Expect,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds.is_finite() && seconds > 0.0 => Ok(seconds),
        _ => Err("a number of seconds above 0".to_owned()),
    }
}

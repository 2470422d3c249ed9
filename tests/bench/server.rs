//! The scratch server of a benchmark, a database for each run of a contender, and what the machine is.

use crate::fixture;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;
use tenantry::diagnostic::Diagnostic;
use tenantry::postgres::{Connection, Durability, Scratch, Server};

/// The tables of the billing database.
pub const TABLES: [&str; 5] = ["accounts", "customers", "invoices", "invoice_items", "payments"];

/// The settings that decide how fast rows and keys are made.
const SETTINGS: [&str; 10] = [
    "server_version",
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "wal_level",
    "max_wal_size",
    "checkpoint_timeout",
    "shared_buffers",
    "maintenance_work_mem",
    "max_parallel_maintenance_workers",
];

/// A server whose commits reach the disk.
pub struct Bench {
    scratch: Scratch,
}

/// An empty database.
pub struct Database<'b> {
    bench: &'b Bench,
    name: String,
    server: Server,
}

/// What a database holds: keys and indexes as the server writes them, and a line a table.
#[derive(Debug, PartialEq, Eq)]
pub struct Content(Vec<String>);

impl Bench {
    pub fn start() -> Result<Self, String> {
        Ok(Self { scratch: Scratch::start(Durability::On).map_err(text)? })
    }

    /// Creates a database, with nothing left over to be written from the one before.
    pub fn create(&self, name: &str) -> Result<Database<'_>, String> {
        let name = format!("bench_{name}");
        let mut connection = connect(self.scratch.server())?;
        connection.execute(&format!("CREATE DATABASE {name}"), "create a database").map_err(text)?;
        connection.execute("CHECKPOINT", "write a checkpoint").map_err(text)?;
        let server = self.scratch.server().with_database(&name);
        Ok(Database { bench: self, name, server })
    }

    /// Returns the number of the server's first process, which all others of it are children of.
    pub fn process(&self) -> Result<u32, String> {
        let path = self.scratch.directory().join("data/postmaster.pid");
        let text = fs::read_to_string(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let first = text.lines().next().and_then(|line| line.trim().parse().ok());
        first.ok_or_else(|| format!("{} names no process", path.display()))
    }

    /// Returns the settings of a session, as name and value.
    pub fn settings(&self) -> Result<Vec<(String, String)>, String> {
        let mut connection = connect(self.scratch.server())?;
        let mut show = |name: &str| {
            let row = connection.query_one("SELECT current_setting($1)", &[Some(name)], "read a setting")?;
            Ok((name.to_owned(), row.text(0)?.to_owned()))
        };
        SETTINGS.iter().map(|name| show(name)).collect::<Result<_, _>>().map_err(text)
    }
}

impl Database<'_> {
    /// Returns a URL that tenantry connects with.
    pub fn url(&self) -> String {
        format!("postgresql://postgres@/{}?host={}", self.name, self.folder().display())
    }

    /// Returns what libpq's programs connect with.
    pub fn environment(&self) -> [(&'static str, String); 4] {
        [
            ("PGHOST", self.folder().display().to_string()),
            ("PGPORT", "5432".to_owned()),
            ("PGUSER", "postgres".to_owned()),
            ("PGDATABASE", self.name.clone()),
        ]
    }

    /// Returns where the server can write files: its own folder, which also holds its socket.
    pub fn folder(&self) -> &Path {
        self.bench.scratch.directory()
    }

    /// Lets the server write the files that the floor reads.
    pub fn write_floor(&self) -> Result<(), String> {
        let mut command = Command::new(fixture().join("peers/floor.sh"));
        command.arg("write").arg(self.folder()).envs(self.environment()).stdin(Stdio::null());
        match command.output() {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(format!("cannot write the floor's files: {}", String::from_utf8_lossy(&output.stderr))),
            Err(error) => Err(format!("cannot run {}: {error}", command.get_program().display())),
        }
    }

    /// Counts the rows of all tables.
    pub fn rows(&self) -> Result<u64, String> {
        let mut connection = connect(&self.server)?;
        let counts = TABLES.map(|table| format!("(SELECT count(*) FROM {table})")).join(" + ");
        let count = connection.query_one(&format!("SELECT {counts}"), &[], "count rows").map_err(text)?;
        count.integer(0).map(i64::unsigned_abs).map_err(text)
    }

    /// Reads keys and indexes back, and with `rows` also a sum over the rows of each table.
    pub fn content(&self, rows: bool) -> Result<Content, String> {
        let mut connection = connect(&self.server)?;
        let keys = "SELECT format('%s %s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid), convalidated) \
                    FROM pg_constraint WHERE connamespace = 'public'::regnamespace \
                    UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1";
        let sum = |table| {
            format!(
                "SELECT format('{table} %s %s', count(*), sum(hashtextextended(t::text, 0)::numeric)) FROM {table} t"
            )
        };
        let queries = [keys.to_owned()].into_iter().chain(TABLES.map(sum).into_iter().filter(|_| rows));
        let mut lines = Vec::new();
        for query in queries {
            for row in connection.query(&query, &[], "read the result back").map_err(text)? {
                lines.push(row.text(0).map_err(text)?.to_owned());
            }
        }
        Ok(Content(lines))
    }

    /// Drops the database.
    pub fn remove(self) -> Result<(), String> {
        let mut connection = connect(self.bench.scratch.server())?;
        connection.execute(&format!("DROP DATABASE {}", self.name), "drop a database").map(drop).map_err(text)
    }
}

/// Describes the machine, as name and value; what the system does not tell is left out.
pub fn machine() -> Vec<(&'static str, String)> {
    let line = |path: &str, name: &str| {
        let text = fs::read_to_string(path).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim_start_matches([' ', '\t', ':']).to_owned())
    };
    let output = |program: &str, argument: &str| {
        let output = Command::new(program).arg(argument).stdin(Stdio::null()).output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).lines().next()?.trim().to_owned())
    };
    let memory = line("/proc/meminfo", "MemTotal:").and_then(|text| text.trim_end_matches(" kB").parse::<f64>().ok());
    let load = fs::read_to_string("/proc/loadavg").ok();
    [
        ("system", output("uname", "-srm")),
        ("processor", line("/proc/cpuinfo", "model name")),
        ("cores", thread::available_parallelism().ok().map(|cores| cores.to_string())),
        ("memory", memory.map(|kilobytes| format!("{:.0} GiB", kilobytes / 1024.0 / 1024.0))),
        ("load average before the run", load.and_then(|text| Some(text.split_whitespace().next()?.to_owned()))),
        ("tenantry", Some(env!("CARGO_PKG_VERSION").to_owned())),
        ("psql", output("psql", "--version")),
        ("sqlite3", output("sqlite3", "--version").and_then(|text| Some(text.split_whitespace().next()?.to_owned()))),
        ("pgloader", output("pgloader", "--version")),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect()
}

fn connect(server: &Server) -> Result<Connection, String> {
    server.connect("public", Duration::from_secs(30)).map_err(text)
}

fn text(error: Diagnostic) -> String {
    [Some(error.message), error.help].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

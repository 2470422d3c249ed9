//! A server that can be stopped at once and started again, and databases on it.

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tenantry::postgres::{Connection, Durability, Scratch};

const PATIENCE: Duration = Duration::from_secs(30);

/// A scratch server.
pub struct Server {
    scratch: Scratch,
    programs: PathBuf,
    count: AtomicU32,
}

/// An empty database.
pub struct Target {
    pub url: String,
    name: String,
    server: tenantry::postgres::Server,
    base: tenantry::postgres::Server,
}

impl Server {
    /// Starts one; only where commits reach the disk it may crash.
    pub fn start(durability: Durability) -> Self {
        let output = Command::new("tests/deps.sh").arg("bindir").output().unwrap();
        let programs = String::from_utf8(output.stdout).unwrap().trim().into();
        let scratch = Scratch::start(durability).unwrap_or_else(|error| panic!("{error:?}"));
        Self { scratch, programs, count: AtomicU32::new(0) }
    }

    /// Returns the socket that the server listens on.
    pub fn socket(&self) -> PathBuf {
        self.scratch.directory().join(".s.PGSQL.5432")
    }

    pub fn database(&self) -> Target {
        let name = format!("killed_{}", self.count.fetch_add(1, Ordering::Relaxed));
        let base = self.scratch.server().clone();
        connect(&base).execute(&format!("CREATE DATABASE {name}"), "create a database").unwrap();
        let url = format!("postgresql://postgres@/{name}?host={}", self.scratch.directory().display());
        Target { url, server: base.with_database(&name), name, base }
    }

    /// Stops the server without a checkpoint, as a crash does, and starts it with the same settings.
    pub fn crash(&self) {
        let data = self.scratch.directory().join("data");
        let owner = std::fs::metadata(&data).unwrap();
        let mut command = Command::new(self.programs.join("pg_ctl"));
        command.arg("-D").arg(&data).args(["restart", "-m", "immediate", "-w", "-t", "60", "-l", "/dev/null"]);
        command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if owner.uid() != std::fs::metadata("/proc/self").unwrap().uid() {
            command.uid(owner.uid()).gid(owner.gid());
        }
        assert!(command.status().unwrap().success(), "the server does not start again");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The scratch server knows its first process only, which a crash has ended.
        let data = self.scratch.directory().join("data");
        let Ok(owner) = std::fs::metadata(&data) else { return };
        let mut command = Command::new(self.programs.join("pg_ctl"));
        command.arg("-D").arg(&data).args(["stop", "-m", "immediate", "-w"]);
        command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if owner.uid() != std::fs::metadata("/proc/self").map_or(owner.uid(), |own| own.uid()) {
            command.uid(owner.uid()).gid(owner.gid());
        }
        let _ = command.status();
    }
}

impl Target {
    /// Returns its address by way of a port of this machine.
    pub fn url_at(&self, port: u16) -> String {
        format!("postgresql://postgres@127.0.0.1:{port}/{}?sslmode=disable", self.name)
    }

    pub fn connect(&self) -> Connection {
        connect(&self.server)
    }

    /// Counts what a run may have left.
    pub fn left(&self) -> i64 {
        let sql = "SELECT (SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace)
                        + (SELECT count(*) FROM pg_namespace WHERE nspname = 'tenantry')";
        self.connect().query_one(sql, &[], "count what is left").unwrap().integer(0).unwrap()
    }

    /// Drops it, to keep the server small.
    pub fn remove(self) {
        let sql = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        connect(&self.base).execute(&sql, "drop the database").unwrap();
    }
}

/// Connects, also to a server that is just starting.
fn connect(server: &tenantry::postgres::Server) -> Connection {
    let started = Instant::now();
    loop {
        match server.connect("public", PATIENCE) {
            Ok(connection) => return connection,
            Err(error) => assert!(started.elapsed() < PATIENCE, "{error:?}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

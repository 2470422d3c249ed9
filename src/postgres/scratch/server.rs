//! Starts, keeps and stops a scratch server.

use super::binaries;
use super::directory::{KEEP, OtherUser, PrivateDirectory, bases, failed};
use super::sweep::sweep;
use crate::diagnostic::Diagnostic;
use crate::postgres::Server;
use crate::postgres::target::DEFAULT_PORT;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The role that owns the server and its databases.
const SUPERUSER: &str = "postgres";

/// The database that is created at the start.
const DATABASE: &str = "tenantry";

/// How long the server may take to answer.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How long the server may take to stop before it is killed.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// Whether commits reach the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// As on a real server, so that a rehearsal takes as long as the run will.
    On,
    /// Not at all: faster, and enough for tests.
    Off,
}

/// A throwaway server; dropping it stops it and removes its directory.
#[derive(Debug)]
pub struct Scratch {
    private: PrivateDirectory,
    binaries: PathBuf,
    user: Option<OtherUser>,
    server: Server,
    postmaster: Option<Child>,
    watchdog: Option<Child>,
}

/// How to use and how to get rid of a server that stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// A URL to connect with.
    pub url: String,
    /// A command that connects.
    pub psql: String,
    /// A command that stops the server and removes all of it.
    pub remove: String,
}

impl Scratch {
    /// Starts a server and waits until it answers.
    ///
    /// Sweeps what servers of dead processes left behind first. The codes of the errors are `postgres-not-found` and
    /// `scratch-failed`; the latter's help holds the last lines of the server's log.
    pub fn start(durability: Durability) -> Result<Self, Diagnostic> {
        Self::start_with(durability, DEFAULT_PORT, &[])
    }

    /// Starts a server with another port and more settings, each as `name=value`.
    pub fn start_with(durability: Durability, port: u16, more: &[&str]) -> Result<Self, Diagnostic> {
        let binaries = binaries::find()?;
        let user = OtherUser::find()?;
        for base in bases() {
            sweep(&base, user.as_ref());
        }
        let private = PrivateDirectory::create(user.as_ref())?;
        let server = Server::on_socket(&private.path, port, SUPERUSER, DATABASE);
        // From here on dropping cleans up, whatever fails.
        let mut scratch = Self { private, binaries, user, server, postmaster: None, watchdog: None };
        scratch.create_cluster()?;
        scratch.launch(durability, port, more)?;
        scratch.watch()?;
        scratch.await_answer()?;
        scratch.create_database()?;
        Ok(scratch)
    }

    /// Returns how to connect to the database that was created for this run.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Returns the private directory; the cluster is in `data` below it.
    pub fn directory(&self) -> &Path {
        &self.private.path
    }

    /// Leaves the server running after this process ends, and returns how to use and how to remove it.
    pub fn keep(mut self) -> Result<Kept, Diagnostic> {
        File::create_new(self.private.path.join(KEEP))
            .map_err(|error| failed(format!("cannot mark it as kept: {error}")))?;
        if let Some(mut watchdog) = self.watchdog.take() {
            end(&mut watchdog);
        }
        self.postmaster = None;
        let directory = self.private.path.to_string_lossy().into_owned();
        let remove = format!(
            "{} -D {} stop -m fast && rm -rf {}",
            shell_quote(&self.binaries.join("pg_ctl").to_string_lossy()),
            shell_quote(&format!("{directory}/data")),
            shell_quote(&directory)
        );
        Ok(Kept {
            url: format!("postgresql://{SUPERUSER}@/{DATABASE}?host={}", percent_encode(&directory)),
            psql: format!("psql -h {} -p 5432 -U {SUPERUSER} {DATABASE}", shell_quote(&directory)),
            remove: match &self.user {
                Some(user) => format!("su -s /bin/sh {} -c {}", user.name, shell_quote(&remove)),
                None => remove,
            },
        })
    }

    fn create_cluster(&self) -> Result<(), Diagnostic> {
        let output = self
            .command(&self.binaries.join("initdb"))
            .arg("-D")
            .arg(self.private.path.join("data"))
            .args(["-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions"])
            .stdin(Stdio::null())
            .output()
            .map_err(|error| failed(format!("cannot run initdb: {error}")))?;
        if output.status.success() {
            return Ok(());
        }
        Err(failed("initdb gives up").help(last_lines(&String::from_utf8_lossy(&output.stderr))))
    }

    fn launch(&mut self, durability: Durability, port: u16, more: &[&str]) -> Result<(), Diagnostic> {
        let mut socket = OsStr::new("unix_socket_directories=").to_owned();
        socket.push(&self.private.path);
        let durable = match durability {
            Durability::On => &[][..],
            Durability::Off => &["fsync=off", "full_page_writes=off", "synchronous_commit=off"],
        };
        let log = |file: &File| file.try_clone().map_err(|error| failed(format!("cannot use its log: {error}")));
        let (stdout, stderr) = (log(&self.private.log)?, log(&self.private.log)?);
        let mut command = self.command(&self.binaries.join("postgres"));
        command.arg("-D").arg(self.private.path.join("data")).args(["-p", &port.to_string(), "-c"]).arg(socket);
        for setting in SETTINGS.iter().chain(durable).chain(more) {
            command.args(["-c", setting]);
        }
        let postmaster = command.stdin(Stdio::null()).stdout(stdout).stderr(stderr).spawn();
        self.postmaster = Some(postmaster.map_err(|error| failed(format!("cannot run postgres: {error}")))?);
        Ok(())
    }

    /// Starts a shell that waits until this process ends, however it ends, and then does what dropping would.
    fn watch(&mut self) -> Result<(), Diagnostic> {
        let Some(postmaster) = &self.postmaster else { return Ok(()) };
        let watchdog = self
            .command(Path::new("/bin/sh"))
            .args(["-c", WATCHDOG, "sh", &postmaster.id().to_string()])
            .arg(&self.private.path)
            // The other end closes with this process. Nothing is ever written to it.
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.watchdog = Some(watchdog.map_err(|error| failed(format!("cannot run /bin/sh: {error}")))?);
        Ok(())
    }

    fn await_answer(&mut self) -> Result<(), Diagnostic> {
        let server = self.server.with_database(SUPERUSER);
        let started = Instant::now();
        loop {
            let error = match server.connect("public", Duration::from_secs(5)) {
                Ok(_) => return Ok(()),
                Err(error) => error,
            };
            let ended = self.postmaster.as_mut().and_then(|child| child.try_wait().ok().flatten());
            if let Some(status) = ended {
                self.postmaster = None;
                return Err(failed(format!("the server ends at once ({status})")).help(self.log_tail()));
            }
            if started.elapsed() > START_LIMIT {
                let message = format!("it does not answer within {} s: {}", START_LIMIT.as_secs(), error.message);
                return Err(failed(message).help(self.log_tail()));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn create_database(&self) -> Result<(), Diagnostic> {
        let mut connection = self.server.with_database(SUPERUSER).connect("public", START_LIMIT)?;
        connection.execute(&format!("CREATE DATABASE {DATABASE}"), "create the scratch database").map(drop)
    }

    fn log_tail(&self) -> String {
        let mut text = String::new();
        let mut log = &self.private.log;
        // Moving in the file does not move the server, which appends.
        match log.seek(SeekFrom::Start(0)).and_then(|_| log.read_to_string(&mut text)) {
            Ok(_) => last_lines(&text),
            Err(error) => format!("its log cannot be read: {error}"),
        }
    }

    /// Builds a command that runs as the server's user, in its directory, out of reach of the terminal's Ctrl-C and
    /// of the `PG*` variables.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.private.path).process_group(0);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        if let Some(user) = &self.user {
            command.uid(user.uid).gid(user.gid).env("HOME", &self.private.path);
        }
        command
    }
}

/// Settings for a server that is loaded once and thrown away. Unlogged ways of loading count, so no WAL is kept for
/// replicas; large WAL, so that no checkpoint falls into a load.
const SETTINGS: &[&str] = &[
    "listen_addresses=",
    "unix_socket_permissions=0700",
    "shared_buffers=128MB",
    "max_wal_size=4GB",
    "checkpoint_timeout=30min",
    "wal_level=minimal",
    "max_wal_senders=0",
    "logging_collector=off",
    "log_destination=stderr",
];

/// Gets the postmaster's process id and the directory. The postmaster is this process's own child until that moment,
/// so its number cannot have gone to another one.
const WATCHDOG: &str = r#"
read -r _
kill -QUIT "$1"
n=0
while kill -0 "$1" && [ $n -lt 50 ]; do sleep 0.1; n=$((n + 1)); done
cd / && rm -rf "$2"
"#;

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Some(postmaster) = &mut self.postmaster {
            stop(postmaster);
        }
        if let Some(watchdog) = &mut self.watchdog {
            end(watchdog);
        }
        if !self.private.path.join(KEEP).exists() {
            let _ = fs::remove_dir_all(&self.private.path);
        }
    }
}

/// Stops the server without a checkpoint: nothing of it is wanted any more.
fn stop(postmaster: &mut Child) {
    if let Ok(pid) = i32::try_from(postmaster.id()) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGQUIT);
    }
    let started = Instant::now();
    while started.elapsed() < STOP_LIMIT {
        match postmaster.try_wait() {
            Ok(None) => thread::sleep(Duration::from_millis(5)),
            _ => return,
        }
    }
    end(postmaster);
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

fn last_lines(text: &str) -> String {
    let lines = text.trim_end().lines().collect::<Vec<_>>();
    let tail = &lines[lines.len().saturating_sub(10)..];
    if tail.is_empty() { "it left no message".to_owned() } else { format!("its last lines:\n{}", tail.join("\n")) }
}

fn shell_quote(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_' | b'.');
    if text.bytes().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

fn percent_encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing::column;
    use std::os::unix::fs::PermissionsExt;

    fn answers(scratch_directory: &Path) -> bool {
        std::os::unix::net::UnixStream::connect(scratch_directory.join(".s.PGSQL.5432")).is_ok()
    }

    #[test]
    fn a_server_answers_and_is_gone_after_the_drop() {
        let scratch = Scratch::start(Durability::On).unwrap();
        let mode = fs::metadata(scratch.directory()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let mut connection = scratch.server().connect("public", START_LIMIT).unwrap();
        for (setting, value) in [("listen_addresses", ""), ("fsync", "on"), ("server_encoding", "UTF8")] {
            assert_eq!(column(&mut connection, &format!("SELECT current_setting('{setting}')")), [value]);
        }
        assert_eq!(column(&mut connection, "SELECT current_database()"), [DATABASE]);
        drop(connection);
        let directory = scratch.directory().to_owned();
        assert!(answers(&directory));
        drop(scratch);
        assert!(!directory.exists());
    }

    #[test]
    fn a_server_whose_owner_died_is_swept_and_one_that_is_kept_is_not() {
        let mut orphan = Scratch::start(Durability::Off).unwrap();
        let directory = orphan.directory().to_owned();
        // What a SIGKILL to owner and watchdog leaves: a server, a directory, and a lock that nobody holds.
        end(&mut orphan.watchdog.take().unwrap());
        let mut postmaster = orphan.postmaster.take().unwrap();
        File::create(directory.join(KEEP)).unwrap();
        let user = orphan.user.clone();
        drop(orphan);
        let base = directory.parent().unwrap();
        sweep(base, user.as_ref());
        assert!(answers(&directory), "kept");
        fs::remove_file(directory.join(KEEP)).unwrap();
        // A server that another test starts may be sweeping it at this moment.
        let deadline = Instant::now() + START_LIMIT;
        while directory.exists() && Instant::now() < deadline {
            sweep(base, user.as_ref());
        }
        assert!(!directory.exists());
        assert!(postmaster.wait().is_ok());
    }

    #[test]
    fn the_watchdog_cleans_up_when_its_other_end_closes() {
        let mut scratch = Scratch::start(Durability::Off).unwrap();
        let directory = scratch.directory().to_owned();
        let mut watchdog = scratch.watchdog.take().unwrap();
        let mut postmaster = scratch.postmaster.take().unwrap();
        drop(watchdog.stdin.take());
        assert!(postmaster.wait().is_ok());
        assert!(watchdog.wait().is_ok());
        assert!(!directory.exists());
    }

    #[test]
    fn a_kept_server_can_be_used_and_removed_as_told() {
        let scratch = Scratch::start(Durability::Off).unwrap();
        let directory = scratch.directory().to_owned();
        let kept = scratch.keep().unwrap();
        let crate::postgres::Target::Server(server) = crate::postgres::Target::parse(&kept.url).unwrap() else {
            panic!("{}", kept.url)
        };
        let mut connection = server.connect("public", START_LIMIT).unwrap();
        assert_eq!(column(&mut connection, "SELECT current_database()"), [DATABASE]);
        drop(connection);
        assert!(kept.psql.contains(&*directory.to_string_lossy()));
        assert!(Command::new("/bin/sh").args(["-c", &kept.remove]).stdout(Stdio::null()).status().unwrap().success());
        assert!(!directory.exists());
    }

    #[test]
    fn a_server_that_does_not_start_shows_its_log_and_leaves_nothing() {
        let before = || {
            let mine = format!("{}{}-", super::super::directory::PREFIX, std::process::id());
            let entries = bases().into_iter().flat_map(|base| fs::read_dir(base).into_iter().flatten().flatten());
            entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&mine)).collect::<Vec<_>>()
        };
        let error = Scratch::start_with(Durability::Off, DEFAULT_PORT, &["no_such_setting=1"]).unwrap_err();
        assert_eq!(error.code, "scratch-failed");
        assert!(error.help.unwrap().contains("no_such_setting"));
        for entry in before() {
            let log = fs::read_to_string(entry.path().join("log")).unwrap_or_default();
            assert!(!log.contains("no_such_setting"), "{:?} is left", entry.path());
        }
    }
}

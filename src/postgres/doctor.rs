//! Examines a target before anyone relies on it: connection, rights, settings, room.

use super::limits::{limits, reset, room, snapshot_room};
use super::pooler::pooler;
use super::privileges::missing_privileges;
use super::session::SETTINGS;
use super::tls::Roots;
use super::{Connection, Durability, Scratch, Server, Target};
use crate::diagnostic::Diagnostic;
use crate::ident::{quote, visible};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// How well one thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// As it should be.
    Ok,
    /// It works, and can hurt.
    Warning,
    /// A run would fail.
    Failed,
}

/// What was found out about one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at; stable, one word.
    pub name: &'static str,
    /// How well it is.
    pub status: Status,
    /// The fact, as a fragment free of secrets.
    pub detail: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl Finding {
    pub(super) fn new(name: &'static str, status: Status, detail: impl Into<String>) -> Self {
        Self { name, status, detail: detail.into(), help: None }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    fn failed(name: &'static str, error: Diagnostic) -> Self {
        Self { name, status: Status::Failed, detail: error.message, help: error.help }
    }

    /// Makes an error of what a run would fail on.
    pub(super) fn into_result(self, code: &'static str, server: &Server) -> Result<(), Diagnostic> {
        if self.status != Status::Failed {
            return Ok(());
        }
        let error = Diagnostic::error(code, format!("{} cannot take a copy: {}", server.describe(), self.detail));
        Err(match self.help {
            Some(help) => error.help(help),
            None => error,
        })
    }
}

/// Sessions that a run with its default number of jobs opens, with one to spare for a person.
const SESSIONS_WANTED: i64 = 4;

/// Examines a target for a run whose tables go into `schema`; takes `timeout` at most, and says so when it is over.
///
/// `source_bytes` is the size of the database that is to be copied, where that is known. A scratch target is started for
/// it. Without a connection the first finding is the only one.
pub fn examine(target: &Target, schema: &str, source_bytes: Option<u64>, timeout: Duration) -> Vec<Finding> {
    let deadline = Instant::now() + timeout;
    let (sender, receiver) = mpsc::channel();
    let (target, schema) = (target.clone(), schema.to_owned());
    // Nobody listens any more once time is up; the thread then ends with its connection.
    let mut report = move |finding| drop(sender.send(finding));
    let examining = thread::Builder::new().name("doctor".to_owned()).spawn(move || match target {
        Target::Server(server) => examine_server(&server, &schema, source_bytes, timeout, &mut report),
        Target::Scratch => match Scratch::start(Durability::On) {
            Ok(scratch) => examine_server(scratch.server(), &schema, source_bytes, timeout, &mut report),
            Err(error) => report(Finding::failed("scratch", error)),
        },
    });
    let mut findings = Vec::new();
    if let Err(error) = examining {
        findings.push(Finding::new("time", Status::Failed, format!("failed to start a thread: {error}")));
        return findings;
    }
    loop {
        match receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(finding) => findings.push(finding),
            Err(RecvTimeoutError::Disconnected) => return findings,
            Err(RecvTimeoutError::Timeout) => {
                let detail = format!("the target did not answer everything within {} s", timeout.as_secs_f32());
                findings.push(
                    Finding::new("time", Status::Failed, detail)
                        .help("look at the server's load and the network, or raise the limit"),
                );
                return findings;
            }
        }
    }
}

fn examine_server(
    server: &Server,
    schema: &str,
    source_bytes: Option<u64>,
    timeout: Duration,
    report: &mut impl FnMut(Finding),
) {
    let started = Instant::now();
    let mut connection = match server.connect(schema, timeout) {
        Ok(connection) => connection,
        Err(error) => return report(Finding::failed("connection", error)),
    };
    let detail = format!("connected to {} in {} ms", server.describe(), started.elapsed().as_millis());
    report(Finding::new("connection", Status::Ok, detail));
    let version = connection.version();
    let detail = format!("PostgreSQL {}.{}", version / 10_000, version % 10_000);
    report(Finding::new("version", Status::Ok, detail));
    let mut add = |name, result: Result<Finding, Diagnostic>| {
        report(result.unwrap_or_else(|error| Finding::failed(name, error)));
    };
    add("tls", tls(&mut connection, server));
    add("role", role(&mut connection));
    add("privileges", privileges(&mut connection, schema));
    add("writable", writable(&mut connection));
    add("settings", settings(&mut connection));
    add("limits", limits(&mut connection, source_bytes));
    add("encoding", encoding(&mut connection));
    add("sessions", sessions(&mut connection));
    if let Some(bytes) = source_bytes {
        add("room", room(&mut connection, bytes));
        add("snapshot", Ok(snapshot_room(&std::env::temp_dir(), bytes)));
    }
    let other = server.connect(schema, timeout);
    add("pooler", other.and_then(|mut other| pooler(&mut connection, &mut other)));
}

fn tls(connection: &mut Connection, server: &Server) -> Result<Finding, Diagnostic> {
    let sql = "SELECT coalesce(s.ssl, false), s.version, inet_client_addr() IS NULL, \
                      coalesce(inet_client_addr() <<= '127.0.0.0/8' OR inet_client_addr() = '::1', false) \
               FROM (SELECT pg_backend_pid() AS pid) me LEFT JOIN pg_stat_ssl s USING (pid)";
    let row = connection.query_one(sql, &[], "ask whether TLS is in use")?;
    let finding = |status, detail: &str| Finding::new("tls", status, detail);
    Ok(match (row.boolean(0)?, row.boolean(2)?, row.boolean(3)?) {
        (true, _, _) if server.tls.roots == Roots::None => {
            let version = row.optional(1).unwrap_or("TLS");
            finding(Status::Warning, &format!("encrypted with {version}, but anyone could be the server"))
                .help("use sslmode=verify-full with sslrootcert")
        }
        (true, _, _) => {
            let version = row.optional(1).unwrap_or("TLS");
            finding(Status::Ok, &format!("encrypted with {version}, the server's certificate is verified"))
        }
        (false, true, _) => finding(Status::Ok, "a unix socket, which needs none"),
        (false, _, true) => finding(Status::Ok, "not encrypted, and does not leave this machine"),
        (false, _, false) => finding(Status::Warning, "not encrypted").help("use sslmode=verify-full with sslrootcert"),
    })
}

fn role(connection: &mut Connection) -> Result<Finding, Diagnostic> {
    let sql = "SELECT rolname, rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user";
    let row = connection.query_one(sql, &[], "ask for the role")?;
    let name = visible(row.text(0)?).into_owned();
    let power = match (row.boolean(1)?, row.boolean(2)?) {
        (true, _) => "a superuser, whom no policy stops",
        (false, true) => "not a superuser, and no policy stops it (BYPASSRLS)",
        (false, false) => "not a superuser, and policies on tables of others apply to it",
    };
    Ok(Finding::new("role", Status::Ok, format!("{name}: {power}")))
}

fn privileges(connection: &mut Connection, schema: &str) -> Result<Finding, Diagnostic> {
    let missing = missing_privileges(connection, schema)?;
    if missing.is_empty() {
        return Ok(Finding::new("privileges", Status::Ok, format!("may create tables in {}", visible(schema))));
    }
    Ok(Finding::new("privileges", Status::Failed, format!("lacks {}", missing.describe())).help(missing.help()))
}

/// Returns the session's role and database.
pub(super) fn names(connection: &mut Connection) -> Result<(String, String), Diagnostic> {
    let row = connection.query_one("SELECT current_user, current_database()", &[], "ask for role and database")?;
    Ok((row.text(0)?.to_owned(), row.text(1)?.to_owned()))
}

fn writable(connection: &mut Connection) -> Result<Finding, Diagnostic> {
    let sql = "SELECT pg_is_in_recovery(), current_setting('default_transaction_read_only')::boolean";
    let row = connection.query_one(sql, &[], "ask whether the server takes writes")?;
    let reset = reset(connection, "default_transaction_read_only")?;
    let finding = |status, detail| Finding::new("writable", status, detail);
    Ok(match (row.boolean(0)?, row.boolean(1)?) {
        (true, _) => {
            finding(Status::Failed, "the server is a replica, which takes no writes").help("connect to the primary")
        }
        (false, true) => {
            finding(Status::Failed, "default_transaction_read_only is on, so every write would fail").help(reset)
        }
        (false, false) => finding(Status::Ok, "takes writes"),
    })
}

/// Compares the pinned settings with what the session has now, and tells which the server would have had otherwise.
fn settings(connection: &mut Connection) -> Result<Finding, Diagnostic> {
    const HURTFUL: &[&str] =
        &["statement_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout", "transaction_timeout"];
    let rows =
        connection.query("SELECT name, current_setting(name), reset_val FROM pg_settings", &[], "read settings")?;
    let find =
        |name: &str| rows.iter().find(|row| row.optional(0).is_some_and(|known| known.eq_ignore_ascii_case(name)));
    let lost = SETTINGS.iter().filter(|(name, value)| find(name).and_then(|row| row.optional(1)) != Some(value));
    let lost = lost.map(|(name, _)| *name).collect::<Vec<_>>();
    if !lost.is_empty() {
        let detail = format!("the session does not keep {}", lost.join(", "));
        return Ok(Finding::new("settings", Status::Failed, detail)
            .help("connect to the server itself rather than to a pooler in transaction or statement mode"));
    }
    let overridden =
        HURTFUL.iter().filter(|name| find(name).and_then(|row| row.optional(2)).is_some_and(|value| value != "0"));
    let mut overridden = overridden.copied().collect::<Vec<_>>();
    if find("session_replication_role").and_then(|row| row.optional(2)) != Some("origin") {
        overridden.push("session_replication_role");
    }
    Ok(Finding::new(
        "settings",
        Status::Ok,
        if overridden.is_empty() {
            "none that could end or change a run".to_owned()
        } else {
            format!("{} would end or change a run, and are overridden in its sessions", overridden.join(", "))
        },
    ))
}

fn encoding(connection: &mut Connection) -> Result<Finding, Diagnostic> {
    let row = connection.query_one("SELECT current_setting('server_encoding')", &[], "ask for the encoding")?;
    Ok(match row.text(0)? {
        "UTF8" => Finding::new("encoding", Status::Ok, "UTF8"),
        other => {
            Finding::new("encoding", Status::Failed, format!("the database's encoding is {}, not UTF8", visible(other)))
                .help("create the database with ENCODING 'UTF8' TEMPLATE template0")
        }
    })
}

/// Counts what is left of the server's limit, the role's and the database's.
fn sessions(connection: &mut Connection) -> Result<Finding, Diagnostic> {
    let sql = "SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int \
                      - (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'), \
                      (SELECT rolconnlimit - (SELECT count(*) FROM pg_stat_activity WHERE usename = rolname) \
                       FROM pg_roles WHERE rolname = current_user AND rolconnlimit >= 0 AND NOT rolsuper), \
                      (SELECT datconnlimit - (SELECT count(*) FROM pg_stat_activity a WHERE a.datname = d.datname) \
                       FROM pg_database d WHERE datname = current_database() AND datconnlimit >= 0)";
    let row = connection.query_one(sql, &[], "count sessions")?;
    let (role, database) = names(connection)?;
    let number = |column: usize| row.optional(column).and_then(|text| text.parse::<i64>().ok());
    let ways = [
        (number(0), "close sessions, or raise max_connections".to_owned()),
        (number(1), format!("ALTER ROLE {} CONNECTION LIMIT -1", quote(&role))),
        (number(2), format!("ALTER DATABASE {} CONNECTION LIMIT -1", quote(&database))),
    ];
    let least = ways.into_iter().filter_map(|(free, help)| Some((free?, help))).min_by_key(|(free, _)| *free);
    let (free, help) = least.unwrap_or_default();
    let detail = format!("{} more sessions fit", free.max(0));
    Ok(if free >= SESSIONS_WANTED {
        Finding::new("sessions", Status::Ok, detail)
    } else {
        Finding::new("sessions", Status::Warning, detail).help(help)
    })
}

impl Server {
    /// Makes sure that the database of a connection holds every text: others refuse what their encoding lacks, in the middle
    /// of a run, and count the characters of a varchar in their own way.
    ///
    /// The errors are those of the server, and `encoding-unfit`.
    pub fn refuse_other_encoding(&self, connection: &mut Connection) -> Result<(), Diagnostic> {
        encoding(connection)?.into_result("encoding-unfit", self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing::{self, PATIENCE};
    use std::net::TcpListener;

    fn of(server: &Server, schema: &str) -> Vec<Finding> {
        examine(&Target::Server(Box::new(server.clone())), schema, Some(4096), PATIENCE)
    }

    fn status(findings: &[Finding], name: &str) -> Status {
        let found = findings.iter().find(|finding| finding.name == name);
        found.unwrap_or_else(|| panic!("{name}: {findings:?}")).status
    }

    #[test]
    fn a_healthy_server_has_nothing_but_ok() {
        let findings = of(&testing::database(), "public");
        let names = findings.iter().map(|finding| finding.name).collect::<Vec<_>>();
        let all = [
            "connection",
            "version",
            "tls",
            "role",
            "privileges",
            "writable",
            "settings",
            "limits",
            "encoding",
            "sessions",
            "room",
            "snapshot",
            "pooler",
        ];
        assert_eq!(names, all);
        assert!(findings.iter().all(|finding| finding.status == Status::Ok), "{findings:?}");
    }

    #[test]
    fn a_scratch_target_is_started_and_examined() {
        let findings = examine(&Target::Scratch, "public", None, Duration::from_secs(120));
        assert_eq!(status(&findings, "pooler"), Status::Ok);
    }

    #[test]
    fn a_role_without_rights_lacks_them_by_name() {
        let database = testing::database();
        let mut connection = testing::connect(&database);
        let role = format!("weak_{}", database.database());
        connection.execute(&format!("CREATE ROLE {role} LOGIN CONNECTION LIMIT 5"), "create").unwrap();
        let mut server = database.clone();
        server.login.user(&role);
        let find = |findings: Vec<Finding>| findings.into_iter().find(|finding| finding.name == "privileges").unwrap();
        let finding = find(of(&server, "public"));
        assert_eq!(finding.status, Status::Failed);
        assert!(finding.detail.contains("USAGE and CREATE on the schema public"), "{finding:?}");
        assert!(finding.detail.contains("CREATE on the database, for the schema tenantry"), "{finding:?}");
        // What the help says is what helps.
        for sql in finding.help.as_deref().unwrap().strip_prefix("as their owner: ").unwrap().split("; ") {
            connection.execute(sql, "grant").unwrap();
        }
        assert_eq!(find(of(&server, "public")).status, Status::Ok);
        for sql in [
            format!("REVOKE CREATE ON DATABASE {} FROM {role}", database.database()),
            format!("REVOKE CREATE ON SCHEMA public FROM {role}"),
        ] {
            connection.execute(&sql, "revoke").unwrap();
        }
        assert_eq!(find(of(&server, "public")).status, Status::Failed);
        let sql = format!("GRANT CREATE ON DATABASE {} TO {role}", database.database());
        connection.execute(&sql, "grant").unwrap();
        connection.execute(&format!("GRANT CREATE ON SCHEMA public TO {role}"), "grant").unwrap();
        assert_eq!(find(of(&server, "public")).status, Status::Ok);
        assert_eq!(find(of(&server, "made_later")).status, Status::Ok);
    }

    #[test]
    fn settings_that_hurt_are_told() {
        let database = testing::database();
        let mut connection = testing::connect(&database);
        let name = database.database();
        connection.execute(&format!("ALTER DATABASE {name} SET statement_timeout = '1s'"), "alter").unwrap();
        let findings = of(&database, "public");
        let settings = findings.iter().find(|finding| finding.name == "settings").unwrap();
        assert_eq!(settings.status, Status::Ok);
        assert!(settings.detail.contains("statement_timeout"), "{settings:?}");
        connection.execute(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on"), "alter").unwrap();
        let findings = of(&database, "public");
        assert_eq!(status(&findings, "writable"), Status::Failed);
        let help = findings.into_iter().find(|finding| finding.name == "writable").unwrap().help.unwrap();
        assert_eq!(help, format!("ALTER DATABASE {name} RESET default_transaction_read_only"));
        connection.execute(&help, "alter").unwrap();
        assert_eq!(status(&of(&database, "public"), "writable"), Status::Ok);
    }

    #[test]
    fn limits_that_a_copy_comes_up_against_are_told_with_what_helps() {
        let database = testing::database();
        let mut connection = testing::connect(&database);
        let name = database.database();
        connection.execute(&format!("ALTER DATABASE {name} SET temp_file_limit = '8MB'"), "alter").unwrap();
        connection.execute(&format!("ALTER DATABASE {name} CONNECTION LIMIT 4"), "alter").unwrap();
        let server = Target::Server(Box::new(database.clone()));
        let findings = examine(&server, "public", Some(1 << 50), PATIENCE);
        let find = |name: &str| findings.iter().find(|finding| finding.name == name).unwrap();
        let limits = find("limits");
        assert_eq!(limits.status, Status::Warning);
        assert!(
            limits.detail.contains("temp_file_limit of 8.0 MB") && limits.detail.contains("max_wal_size"),
            "{limits:?}"
        );
        let help = limits.help.as_deref().unwrap();
        assert!(help.contains(&format!("ALTER DATABASE {name} RESET temp_file_limit")), "{limits:?}");
        assert!(help.contains("ALTER SYSTEM SET max_wal_size = '1048576GB'"), "{limits:?}");
        assert_eq!((find("room").status, find("snapshot").status), (Status::Warning, Status::Failed), "{findings:?}");
        let sessions = find("sessions");
        assert_eq!(sessions.status, Status::Warning);
        assert!(sessions.help.as_deref().is_some_and(|help| help.contains("CONNECTION LIMIT -1")), "{sessions:?}");
    }

    #[test]
    fn an_encoding_other_than_utf8_fails() {
        let database = testing::database();
        let name = format!("latin_{}", database.database());
        let sql = format!("CREATE DATABASE {name} ENCODING 'LATIN1' TEMPLATE template0");
        testing::connect(&database).execute(&sql, "create").unwrap();
        let latin = database.with_database(&name);
        assert_eq!(status(&of(&latin, "public"), "encoding"), Status::Failed);
        let error = latin.refuse_other_encoding(&mut testing::connect(&latin)).unwrap_err();
        assert!(error.code == "encoding-unfit" && error.message.contains("LATIN1"), "{error:?}");
        assert!(error.help.is_some_and(|help| help.contains("ENCODING 'UTF8'")));
        assert_eq!(database.refuse_other_encoding(&mut testing::connect(&database)), Ok(()));
    }

    #[test]
    fn a_server_that_cannot_be_reached_or_says_nothing_is_one_finding() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = silent.local_addr().unwrap().port();
        let text = format!("host=127.0.0.1 port={port} user=u dbname=d password=s3cret");
        let started = Instant::now();
        let findings = examine(&Target::parse(&text).unwrap(), "public", None, Duration::from_millis(300));
        assert!(findings.len() == 1 && findings[0].status == Status::Failed, "{findings:?}");
        assert!(!format!("{findings:?}").contains("s3cret"));
        assert!(started.elapsed() < Duration::from_secs(10));
    }
}

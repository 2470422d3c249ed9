//! Opens connections: every endpoint, and every way that its `sslmode` allows, in libpq's order.

use super::row_reader::RowReader;
use super::session::Connection;
use super::target::{Endpoint, Server};
use super::tls::SslMode;
use super::{error, passfile};
use crate::diagnostic::Diagnostic;
use ::postgres::error::Error;
use ::postgres::{Client, NoTls};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;
use tokio_postgres::Config;
use tokio_postgres::config::SslMode as SslNegotiated;
use tokio_postgres_rustls::MakeRustlsConnect;

impl Server {
    /// Connects within `timeout`, or within the target's own `connect_timeout` where it has one.
    ///
    /// Unqualified names mean `schema`. The codes of the errors are `connection-failed`, `authentication-failed`,
    /// `tls-required`, `tls-failed`, `database-missing`, `server-too-old`.
    pub fn connect(&self, schema: &str, timeout: Duration) -> Result<Connection, Diagnostic> {
        let schema = schema.to_owned();
        self.in_time(timeout, move |server, timeout| {
            server.open(timeout).and_then(|client: Client| Connection::new(client, &schema))
        })
    }

    /// As [`Server::connect`], for a connection that only reads rows back.
    pub fn connect_reader(&self, schema: &str, timeout: Duration) -> Result<RowReader, Diagnostic> {
        let schema = schema.to_owned();
        self.in_time(timeout, move |server, timeout| {
            server.open(timeout).and_then(|reader: RowReader| reader.pinned(&schema))
        })
    }

    fn in_time<C: Send + 'static>(
        &self,
        timeout: Duration,
        connect: impl FnOnce(&Self, Duration) -> Result<C, Diagnostic> + Send + 'static,
    ) -> Result<C, Diagnostic> {
        let timeout = self.connect_timeout.unwrap_or(timeout);
        let (sender, receiver) = mpsc::channel();
        let server = self.clone();
        // The driver's own limit ends with the TCP connection: a server that accepts and then says nothing would
        // hold it forever, so the whole of it runs beside us and is left behind when time is up.
        let connecting = thread::Builder::new().name("connect".to_owned()).spawn(move || {
            // Nobody listens any more once time is up; the connection then closes by being dropped.
            let _ = sender.send(connect(&server, timeout));
        });
        if let Err(error) = connecting {
            return Err(Diagnostic::error("connection-failed", format!("failed to start a thread: {error}")));
        }
        let reason = match receiver.recv_timeout(timeout) {
            Ok(result) => return result,
            Err(RecvTimeoutError::Timeout) => format!("no answer within {} s", timeout.as_secs_f32()),
            Err(RecvTimeoutError::Disconnected) => "the driver gave up".to_owned(),
        };
        let message = format!("failed to connect to {}: {reason}", self.describe());
        Err(Diagnostic::error("connection-failed", message)
            .help("check that host, port and firewall let this machine reach the server, or raise connect_timeout"))
    }

    /// Tries each endpoint, and at each the ways that its `sslmode` allows, in libpq's order.
    fn open<D: Driver>(&self, timeout: Duration) -> Result<D, Diagnostic> {
        let mut failure = None;
        for endpoint in &self.endpoints {
            let ways: &[Way] = match (endpoint, self.tls.mode) {
                (Endpoint::Unix { .. }, _) | (_, SslMode::Disable) => &[Way::Plain],
                (_, SslMode::Allow) => &[Way::Plain, Way::Tls],
                (_, SslMode::Prefer) => &[Way::TlsIfOffered, Way::Plain],
                _ => &[Way::Tls],
            };
            for way in ways {
                let failed = match self.open_one(endpoint, *way, timeout)? {
                    Ok(client) => return Ok(client),
                    Err(failed) => failed,
                };
                let other_way_may_work = error::is_access_rule(&failed) || error::is_tls(&failed);
                let reason = error::connection(&failed, &self.describe_one(endpoint));
                if error::is_password(&failed) {
                    return Err(reason);
                }
                // That the rules refuse the second way as well says less than what was wrong with the first.
                if failure.is_none() || !error::is_access_rule(&failed) {
                    failure = Some(reason);
                }
                if !other_way_may_work {
                    break;
                }
            }
        }
        Err(failure.unwrap_or_else(|| Diagnostic::error("connection-failed", "the target names no host")))
    }

    fn open_one<D: Driver>(
        &self,
        endpoint: &Endpoint,
        way: Way,
        timeout: Duration,
    ) -> Result<Result<D, Error>, Diagnostic> {
        let mut config = self.login.clone();
        config.connect_timeout(timeout);
        endpoint.apply(&mut config);
        if config.get_password().is_none()
            && let Some(password) = self.passfile.as_deref().and_then(|file| passfile::find(file, endpoint, &config))
        {
            config.password(password);
        }
        config.ssl_mode(match way {
            Way::Plain => SslNegotiated::Disable,
            Way::Tls => SslNegotiated::Require,
            Way::TlsIfOffered => SslNegotiated::Prefer,
        });
        let tls = match way {
            Way::Plain => None,
            Way::Tls | Way::TlsIfOffered => Some(self.tls.connector()?),
        };
        D::open(config, tls)
    }

    fn describe_one(&self, endpoint: &Endpoint) -> String {
        Server { endpoints: vec![endpoint.clone()], ..self.clone() }.describe()
    }
}

/// What a connection is opened with.
pub(super) trait Driver: Sized {
    /// Opens it, with `tls` where the configuration may ask for that.
    ///
    /// # Errors
    /// Those of the driver; outside them, that it cannot even begin.
    fn open(config: Config, tls: Option<MakeRustlsConnect>) -> Result<Result<Self, Error>, Diagnostic>;
}

impl Driver for Client {
    fn open(config: Config, tls: Option<MakeRustlsConnect>) -> Result<Result<Self, Error>, Diagnostic> {
        let config = ::postgres::Config::from(config);
        Ok(match tls {
            None => config.connect(NoTls),
            Some(tls) => config.connect(tls),
        })
    }
}

/// One way to open a connection.
#[derive(Debug, Clone, Copy)]
enum Way {
    Plain,
    Tls,
    TlsIfOffered,
}

impl Endpoint {
    fn apply(&self, config: &mut Config) {
        match self {
            Self::Unix { directory, port } => config.host_path(directory).port(*port),
            Self::Tcp { host, address: None, port } => config.host(host).port(*port),
            Self::Tcp { host, address: Some(address), port } => config.host(host).hostaddr(*address).port(*port),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::Target;
    use crate::postgres::testing::{self, PATIENCE, TlsServer};
    use std::net::TcpListener;
    use std::time::Instant;

    fn server(text: &str) -> Server {
        match Target::parse(text) {
            Ok(Target::Server(server)) => *server,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn every_sslmode_does_what_libpq_does() {
        let tls = TlsServer::start();
        for (parameters, expected) in [
            ("dbname=either sslmode=disable", Ok(false)),
            ("dbname=either sslmode=allow", Ok(false)),
            ("dbname=either", Ok(true)),
            ("dbname=either sslmode=prefer", Ok(true)),
            ("dbname=either sslmode=require", Ok(true)),
            ("dbname=either sslmode=require sslrootcert=DIR/right.pem", Ok(true)),
            ("dbname=either sslmode=require sslrootcert=DIR/wrong.pem", Err("tls-failed")),
            ("dbname=either sslmode=prefer sslrootcert=DIR/wrong.pem", Ok(false)),
            ("dbname=either sslmode=verify-ca sslrootcert=DIR/right.pem", Ok(true)),
            ("dbname=either sslmode=verify-ca sslrootcert=DIR/right.pem host=other.example", Ok(true)),
            ("dbname=either sslmode=verify-ca sslrootcert=DIR/wrong.pem", Err("tls-failed")),
            ("dbname=either sslmode=verify-full sslrootcert=DIR/right.pem", Ok(true)),
            ("dbname=either sslmode=verify-full sslrootcert=DIR/right.pem host=other.example", Err("tls-failed")),
            ("dbname=either sslmode=verify-full sslrootcert=DIR/right.pem host=127.0.0.1", Err("tls-failed")),
            ("dbname=either sslmode=verify-full", Err("tls-failed")),
            ("dbname=either sslmode=require channel_binding=require", Ok(true)),
            ("dbname=either sslmode=disable channel_binding=require", Err("authentication-failed")),
            ("dbname=onlytls sslmode=disable", Err("tls-required")),
            ("dbname=onlytls sslmode=allow", Ok(true)),
            ("dbname=onlytls sslmode=prefer", Ok(true)),
            ("dbname=onlytls sslmode=allow password=wr0ng", Err("authentication-failed")),
            ("dbname=onlytls sslmode=prefer sslrootcert=DIR/wrong.pem", Err("tls-failed")),
            ("dbname=onlyplain sslmode=prefer", Ok(false)),
            ("dbname=onlyplain sslmode=allow", Ok(false)),
            ("dbname=onlyplain sslmode=require", Err("authentication-failed")),
            ("dbname=either password=wr0ng", Err("authentication-failed")),
            ("dbname=either password=''", Err("authentication-failed")),
            ("dbname=either user=nobody_here", Err("authentication-failed")),
        ] {
            let result = tls.connect(parameters);
            assert_eq!(result.clone().map_err(|error| error.code), expected, "{parameters}: {result:?}");
            let shown = format!("{result:?}");
            assert!(!shown.contains("s3cret") && !shown.contains("wr0ng"), "{shown}");
        }
        tls.switch_tls("off");
        assert_eq!(tls.connect("dbname=either sslmode=prefer"), Ok(false));
        let error = tls.connect("dbname=either sslmode=require").unwrap_err();
        assert_eq!(error.code, "tls-failed");
        assert!(error.message.contains("does not support TLS"), "{error:?}");
    }

    #[test]
    fn a_database_that_is_missing_is_named() {
        let error = testing::database().with_database("no\nsuch").connect("public", PATIENCE).err().unwrap();
        assert_eq!(error.code, "database-missing");
        assert!(error.message.contains(r"no\u{a}such"), "{error:?}");
    }

    #[test]
    fn a_server_that_says_nothing_is_given_up_in_time() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = silent.local_addr().unwrap().port();
        let started = Instant::now();
        for (parameters, limit) in [("", Duration::from_millis(300)), ("connect_timeout=1", Duration::from_secs(600))] {
            let text = format!("host=127.0.0.1 port={port} user=u dbname=d password=s3cret {parameters}");
            let error = server(&text).connect("public", limit).err().unwrap();
            assert_eq!(error.code, "connection-failed");
            assert!(error.message.contains("no answer within"), "{error:?}");
        }
        assert!(started.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn the_next_host_is_tried_where_one_does_not_answer() {
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut first = server(&format!("host=127.0.0.1 port={nobody} user=postgres dbname=d"));
        let error = first.connect("public", PATIENCE).err().unwrap();
        assert_eq!(error.code, "connection-failed");
        let database = testing::database();
        first.endpoints.extend(database.endpoints.clone());
        first.login.dbname(database.database());
        assert!(first.connect("public", PATIENCE).is_ok());
    }
}

//! What a person names as the target: a throwaway server, or a real one and how to log in to it.

use super::parameters::{Environment, Parameters, invalid};
use super::tls::{Roots, SslMode, TlsSettings};
use crate::diagnostic::Diagnostic;
use crate::ident::visible;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio_postgres::Config;

/// The port of a server that names none.
pub(super) const DEFAULT_PORT: u16 = 5432;

/// What `pg_stat_activity` shows.
pub(super) const APPLICATION_NAME: &str = "tenantry";

/// Names where the tables go.
#[derive(Debug, Clone)]
pub enum Target {
    /// A throwaway server, started for this run: [`super::Scratch`].
    Scratch,
    /// A server that runs already.
    Server(Box<Server>),
}

impl Target {
    /// Reads `scratch`, `env:NAME`, a `postgresql://` URL or libpq's `keyword=value` form.
    ///
    /// What the text leaves out comes from libpq's `PG*` variables. The errors have the code `target-invalid` and
    /// show none of the text, because a mistake can put a piece of the password anywhere.
    pub fn parse(text: &str) -> Result<Self, Diagnostic> {
        Self::parse_with(text, &|name| std::env::var(name).ok())
    }

    pub(super) fn parse_with(text: &str, environment: Environment<'_>) -> Result<Self, Diagnostic> {
        let text = text.trim();
        if text == "scratch" {
            return Ok(Self::Scratch);
        }
        let Some(name) = text.strip_prefix("env:") else {
            return Self::server(text, environment);
        };
        if name.trim().is_empty() {
            return Err(invalid("`env:` names no environment variable").help("write env:NAME, as in env:DATABASE_URL"));
        }
        let value = environment(name).filter(|value| !value.trim().is_empty()).ok_or_else(|| {
            let name = visible(name);
            invalid(format!("the environment variable {name} is not set or empty"))
                .help(format!("set it to the target's URL: export {name}=postgresql://user:password@host:5432/dbname"))
        })?;
        Self::server(value.trim(), environment)
    }

    fn server(text: &str, environment: Environment<'_>) -> Result<Self, Diagnostic> {
        let server = Parameters::gather(text, environment)?.into_server(environment)?;
        Ok(Self::Server(Box::new(server)))
    }

    /// Says what the target is, without secrets.
    pub fn describe(&self) -> String {
        match self {
            Self::Scratch => "a scratch server".to_owned(),
            Self::Server(server) => server.describe(),
        }
    }
}

/// A place where a server may listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// The directory of a unix socket.
    Unix {
        /// Where `.s.PGSQL.<port>` stands.
        directory: PathBuf,
        /// The number in the socket's name.
        port: u16,
    },
    /// A TCP port.
    Tcp {
        /// The name to look up, and to find in the certificate.
        host: String,
        /// The address to connect to instead of looking the name up.
        address: Option<IpAddr>,
        /// The port.
        port: u16,
    },
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix { directory, port } => write!(f, "{}:{port}", visible(&directory.to_string_lossy())),
            Self::Tcp { host, port, .. } if host.contains(':') => write!(f, "[{}]:{port}", visible(host)),
            Self::Tcp { host, port, .. } => write!(f, "{}:{port}", visible(host)),
        }
    }
}

/// Names a server, a database and a role, with all that is needed to log in.
///
/// It may hold a password, which neither [`Server::describe`] nor `Debug` shows.
#[derive(Debug, Clone)]
pub struct Server {
    /// Tried in order; never empty.
    pub(super) endpoints: Vec<Endpoint>,
    /// All but hosts, ports and TLS.
    pub(super) login: Config,
    pub(super) tls: TlsSettings,
    /// Where the password is looked up for each endpoint, unless `login` has one.
    pub(super) passfile: Option<PathBuf>,
    /// `connect_timeout`, where it is given.
    pub(super) connect_timeout: Option<Duration>,
}

impl Server {
    /// Returns `host:port/dbname as user`, free of secrets and control characters.
    pub fn describe(&self) -> String {
        let endpoints = self.endpoints.iter().map(Endpoint::to_string).collect::<Vec<_>>().join(",");
        let database = visible(self.login.get_dbname().unwrap_or_default());
        format!("{endpoints}/{database} as {}", visible(self.login.get_user().unwrap_or_default()))
    }

    /// Returns the name of the database.
    pub fn database(&self) -> &str {
        self.login.get_dbname().unwrap_or_default()
    }

    /// Returns the same server with another database.
    #[must_use]
    pub fn with_database(&self, name: &str) -> Self {
        let mut server = self.clone();
        server.login.dbname(name);
        server
    }

    /// Builds the address of a server on a unix socket that trusts whoever reaches it.
    pub(super) fn on_socket(directory: &Path, port: u16, user: &str, database: &str) -> Self {
        let mut login = Config::new();
        login.user(user).dbname(database).application_name(APPLICATION_NAME);
        Self {
            endpoints: vec![Endpoint::Unix { directory: directory.to_owned(), port }],
            login,
            tls: TlsSettings { mode: SslMode::Disable, roots: Roots::None },
            passfile: None,
            connect_timeout: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_postgres::config::ChannelBinding;

    fn server(text: &str) -> Result<Server, Diagnostic> {
        match Target::parse_with(text, &|name| (name == "PGUSER").then(|| "os".to_owned()))? {
            Target::Server(server) => Ok(*server),
            Target::Scratch => panic!("scratch"),
        }
    }

    #[test]
    fn every_form_is_read_and_described_without_its_password() {
        for (text, described) in [
            ("postgresql://u:s3cret@h/d", "h:5432/d as u"),
            ("postgresql+asyncpg://u:s3cret@h:6000/d?ssl=require", "h:6000/d as u"),
            ("host=h password=s3cret", "h:5432/os as os"),
            ("host=h dbname=d user=u password='s3cret x' port=1", "h:1/d as u"),
            ("postgresql://u:s3cret@a,b:6000/d", "a:5432,b:6000/d as u"),
            ("host=/tmp/x dbname=d password=s3cret", "/tmp/x:5432/d as os"),
            ("hostaddr=::1 dbname=d password=s3cret", "[::1]:5432/d as os"),
        ] {
            let server = server(text).unwrap_or_else(|error| panic!("{text}: {error:?}"));
            assert_eq!(server.describe(), described, "{text}");
            assert!(!format!("{server:?}").contains("s3c"), "{server:?}");
            assert!(server.login.get_password().is_some_and(|password| password.starts_with(b"s3cret")));
        }
    }

    #[test]
    fn a_variable_holds_the_url_and_its_value_is_never_shown() {
        let environment = |name: &str| match name {
            "GOOD" => Some("postgresql://u:s3cret@h/d".to_owned()),
            "BAD" => Some("s3cret".to_owned()),
            "EMPTY" => Some(" ".to_owned()),
            _ => None,
        };
        let parse = |text: &str| Target::parse_with(text, &environment);
        assert_eq!(parse("env:GOOD").unwrap().describe(), "h:5432/d as u");
        for name in ["MISSING", "EMPTY"] {
            let error = parse(&format!("env:{name}")).unwrap_err();
            assert!(error.message.contains(name), "{error:?}");
        }
        assert!(!format!("{:?}", parse("env:BAD").unwrap_err()).contains("s3c"));
        for none in ["env:", "env: "] {
            let error = parse(none).unwrap_err();
            assert!(error.message.contains("names no environment variable"), "{error:?}");
        }
        assert!(matches!(parse(" scratch "), Ok(Target::Scratch)));
    }

    #[test]
    fn variables_of_libpq_fill_in_what_the_text_leaves_out() {
        let environment = |name: &str| match name {
            "PGHOST" => Some("from-env".to_owned()),
            "PGPASSWORD" => Some("s3cret".to_owned()),
            "PGUSER" => Some("u".to_owned()),
            "PGSSLMODE" => Some("require".to_owned()),
            _ => None,
        };
        let Ok(Target::Server(server)) = Target::parse_with("postgresql:///d", &environment) else { panic!() };
        assert_eq!(server.describe(), "from-env:5432/d as u");
        assert_eq!(server.login.get_password(), Some(&b"s3cret"[..]));
        assert_eq!(server.tls.mode, SslMode::Require);
        let Ok(Target::Server(server)) = Target::parse_with("host=h sslmode=disable", &environment) else { panic!() };
        assert_eq!((server.describe().as_str(), server.tls.mode), ("h:5432/u as u", SslMode::Disable));
    }

    #[test]
    fn parameters_that_the_driver_refuses_are_translated() {
        let server = server(
            "postgresql://h/d?sslmode=verify-ca&sslrootcert=/ca.pem&connect_timeout=7&channel_binding=require&gssencmode=disable",
        )
        .unwrap();
        assert_eq!(server.tls, TlsSettings { mode: SslMode::VerifyCa, roots: Roots::File("/ca.pem".into()) });
        assert_eq!(server.connect_timeout, Some(Duration::from_secs(7)));
        assert_eq!(server.login.get_channel_binding(), ChannelBinding::Require);
        assert_eq!(server.login.get_application_name(), Some("tenantry"));
    }

    #[test]
    fn every_sslmode_is_understood() {
        for (mode, expected) in [
            ("disable", SslMode::Disable),
            ("allow", SslMode::Allow),
            ("prefer", SslMode::Prefer),
            ("require", SslMode::Require),
            ("verify-full", SslMode::VerifyFull),
        ] {
            assert_eq!(server(&format!("host=h sslmode={mode}")).map(|server| server.tls.mode), Ok(expected));
        }
        assert_eq!(server("host=h").map(|server| server.tls.mode), Ok(SslMode::Prefer));
        let error = server("host=h sslmode=s3cret").unwrap_err();
        assert!(error.message.contains("sslmode") && !format!("{error:?}").contains("s3c"), "{error:?}");
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name() {
        for parameter in ["sslcert", "sslkey", "replication", "sslcrl"] {
            let error = server(&format!("host=h {parameter}=s3cret")).unwrap_err();
            assert!(error.message.contains(parameter) && !format!("{error:?}").contains("s3c"), "{error:?}");
        }
        let by_variable = Target::parse_with("host=h", &|name| (name == "PGSSLCERT").then(|| "x".to_owned()));
        assert!(by_variable.unwrap_err().message.contains("PGSSLCERT"));
        let typo = server("host=h sslmod=require").unwrap_err();
        assert_eq!(typo.help.as_deref(), Some("did you mean sslmode?"));
    }

    #[test]
    fn a_mistake_shows_no_piece_of_a_password() {
        for text in [
            "host=h password=my s3cret=x",
            "host=h port=s3cret",
            "host=a,b hostaddr=1.1.1.1 password=s3cret",
            "hostaddr=s3cret",
            "host=s3cret@h",
            "host=h connect_timeout=s3cret",
        ] {
            let error = server(text).unwrap_err();
            assert_eq!(error.code, "target-invalid");
            assert!(!format!("{error:?}").contains("s3c"), "{error:?}");
        }
    }
}

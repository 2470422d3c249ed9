//! Connection parameters: libpq's keywords and variables, and how their values are read.

use super::{conninfo, service};
use crate::diagnostic::{Diagnostic, nearest};
use std::collections::BTreeMap;
use std::time::Duration;

/// Looks up an environment variable.
pub(super) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// libpq's environment variables and the keywords they stand in for.
const VARIABLES: &[(&str, &str)] = &[
    ("application_name", "PGAPPNAME"),
    ("channel_binding", "PGCHANNELBINDING"),
    ("connect_timeout", "PGCONNECT_TIMEOUT"),
    ("dbname", "PGDATABASE"),
    ("gssencmode", "PGGSSENCMODE"),
    ("host", "PGHOST"),
    ("hostaddr", "PGHOSTADDR"),
    ("options", "PGOPTIONS"),
    ("passfile", "PGPASSFILE"),
    ("password", "PGPASSWORD"),
    ("port", "PGPORT"),
    ("service", "PGSERVICE"),
    ("sslcert", "PGSSLCERT"),
    ("sslcrl", "PGSSLCRL"),
    ("sslkey", "PGSSLKEY"),
    ("sslmode", "PGSSLMODE"),
    ("sslnegotiation", "PGSSLNEGOTIATION"),
    ("sslrootcert", "PGSSLROOTCERT"),
    ("target_session_attrs", "PGTARGETSESSIONATTRS"),
    ("user", "PGUSER"),
];

/// The keywords that are understood, in the order of libpq's documentation.
const KEYWORDS: &[&str] = &[
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "passfile",
    "channel_binding",
    "connect_timeout",
    "options",
    "application_name",
    "fallback_application_name",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
    "sslmode",
    "sslnegotiation",
    "sslrootcert",
    "target_session_attrs",
    "client_encoding",
    "gssencmode",
    "sslcompression",
    "sslsni",
    "sslcertmode",
    "service",
    "servicefile",
];

/// libpq's keywords that are refused by name, because leaving them out would mean something else.
const REFUSED: &[&str] = &[
    "require_auth",
    "replication",
    "requiressl",
    "sslcert",
    "sslkey",
    "sslpassword",
    "sslcrl",
    "sslcrldir",
    "sslkeylogfile",
    "requirepeer",
    "ssl_min_protocol_version",
    "ssl_max_protocol_version",
    "min_protocol_version",
    "max_protocol_version",
    "krbsrvname",
    "gsslib",
    "gssdelegation",
    "scram_client_key",
    "scram_server_key",
    "load_balance_hosts",
    "oauth_issuer",
    "oauth_client_id",
    "oauth_client_secret",
    "oauth_scope",
];

pub(super) fn invalid(message: impl Into<String>) -> Diagnostic {
    Diagnostic::error("target-invalid", message)
}

/// A parameter's value and the keyword or variable that gave it.
struct Given {
    value: String,
    from: &'static str,
}

/// The parameters of one target by keyword; reading one takes it out.
pub(super) struct Parameters(BTreeMap<String, Given>);

impl Parameters {
    /// Gathers what the text says, and from its service and from the environment what it leaves out.
    ///
    /// Keywords that are unknown or not supported are errors; no value is ever shown.
    pub(super) fn gather(text: &str, environment: Environment<'_>) -> Result<Self, Diagnostic> {
        let mut given = BTreeMap::new();
        for (keyword, variable) in VARIABLES {
            if let Some(value) = environment(variable).filter(|value| !value.is_empty()) {
                given.insert((*keyword).to_owned(), Given { value, from: variable });
            }
        }
        let text = conninfo::parse(text)?;
        // What a service says goes before the environment, and the text itself before both.
        let named =
            |wanted: &str| text.iter().rev().find(|(keyword, _)| keyword == wanted).map(|(_, value)| value.clone());
        let service = named("service").or_else(|| given.remove("service").map(|given: Given| given.value));
        let of_service = match service.filter(|service| !service.is_empty()) {
            Some(service) => service::find(&service, named("servicefile"), environment)?,
            None => Vec::new(),
        };
        let text = text.into_iter().filter(|(keyword, _)| !matches!(keyword.as_str(), "service" | "servicefile"));
        for (keyword, value) in of_service.into_iter().chain(text) {
            // asyncpg and JDBC write ssl for sslmode, and true for require.
            let (keyword, value) = match (keyword.as_str(), value.as_str()) {
                ("ssl", "true") => ("sslmode".to_owned(), "require".to_owned()),
                ("ssl", _) => ("sslmode".to_owned(), value),
                _ => (keyword, value),
            };
            let from = KEYWORDS.iter().find(|known| **known == keyword).copied().unwrap_or("");
            given.insert(keyword, Given { value, from });
        }
        let parameters = Self(given);
        parameters.refuse_the_unsupported()?;
        Ok(parameters)
    }

    pub(super) fn take(&mut self, keyword: &str) -> Option<String> {
        self.0.remove(keyword).map(|given| given.value).filter(|value| !value.is_empty())
    }

    fn from(&self, keyword: &str) -> String {
        self.0.get(keyword).map_or(keyword, |given| given.from).to_owned()
    }

    fn refuse_the_unsupported(&self) -> Result<(), Diagnostic> {
        for (keyword, given) in &self.0 {
            if KEYWORDS.contains(&keyword.as_str()) {
                continue;
            }
            if let Some(refused) = REFUSED.iter().find(|refused| *refused == keyword) {
                let name = if given.from.is_empty() { refused } else { given.from };
                return Err(invalid(format!("the connection parameter {name} is not supported")).help(format!(
                    "leave {name} out, and give what it stands for in the parameters of the target itself"
                )));
            }
            // The keyword itself may be the end of a password with a space in it: only known words are shown.
            let known = KEYWORDS.iter().copied();
            return Err(match nearest(keyword, known) {
                Some(meant) => invalid("the target has an unknown connection parameter")
                    .help(format!("did you mean {meant}?")),
                None => invalid("the target has an unknown connection parameter").help(
                    "use libpq's parameter names, and put a value that holds spaces in single quotes: password='two words'",
                ),
            });
        }
        Ok(())
    }

    pub(super) fn choice<V: Copy>(&mut self, keyword: &str, choices: &[(&str, V)]) -> Result<Option<V>, Diagnostic> {
        let from = self.from(keyword);
        let Some(value) = self.take(keyword) else { return Ok(None) };
        match choices.iter().find(|(name, _)| *name == value) {
            Some((_, choice)) => Ok(Some(*choice)),
            None => {
                let names = choices.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
                Err(invalid(format!("the connection parameter {from} has no such value"))
                    .help(format!("write one of {names}")))
            }
        }
    }

    pub(super) fn number(&mut self, keyword: &str) -> Result<Option<u32>, Diagnostic> {
        let from = self.from(keyword);
        match self.take(keyword).map(|value| value.trim().parse()) {
            None => Ok(None),
            Some(Ok(number)) => Ok(Some(number)),
            Some(Err(_)) => Err(invalid(format!("the connection parameter {from} is not a whole number"))),
        }
    }

    /// Reads a number of seconds; 0 means that there is no limit, as in libpq.
    pub(super) fn seconds(&mut self, keyword: &str) -> Result<Option<Duration>, Diagnostic> {
        let seconds = self.number(keyword)?.filter(|seconds| *seconds > 0);
        Ok(seconds.map(|seconds| Duration::from_secs(seconds.into())))
    }
}

//! Turns connection parameters into what logs in to a server.

use super::parameters::{Environment, Parameters, invalid};
use super::target::{APPLICATION_NAME, DEFAULT_PORT, Endpoint, Server};
use super::tls::{SslMode, TlsSettings};
use crate::diagnostic::Diagnostic;
use nix::unistd::{User, geteuid};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio_postgres::Config;
use tokio_postgres::config::{ChannelBinding, SslNegotiation, TargetSessionAttrs};

impl Parameters {
    pub(super) fn into_server(mut self, environment: Environment<'_>) -> Result<Server, Diagnostic> {
        let mode = self.choice(
            "sslmode",
            &["disable", "allow", "prefer", "require", "verify-ca", "verify-full"].map(|name| (name, name)),
        )?;
        let home = environment("HOME").map(PathBuf::from);
        let in_home = |name: &str| home.as_ref().map(|home| home.join(name)).filter(|path| path.is_file());
        let home_roots = in_home(".postgresql/root.crt");
        let passfile = self.take("passfile").map(PathBuf::from).or_else(|| in_home(".pgpass"));
        let root_cert = self.take("sslrootcert");
        let tls = TlsSettings::new(mode.and_then(SslMode::parse), root_cert.as_deref(), home_roots)?;
        let connect_timeout = self.seconds("connect_timeout")?;
        let mut login = Config::new();
        self.set_keepalives(&mut login)?;
        self.set_session(&mut login, &tls)?;
        self.set_credentials(&mut login)?;
        Ok(Server { endpoints: self.endpoints()?, login, tls, passfile, connect_timeout })
    }

    /// A connection that died without a word has to be noticed within minutes, not after the system's two hours.
    fn set_keepalives(&mut self, login: &mut Config) -> Result<(), Diagnostic> {
        if let Some(on) = self.number("keepalives")? {
            login.keepalives(on != 0);
        }
        login.keepalives_idle(self.seconds("keepalives_idle")?.unwrap_or(Duration::from_secs(30)));
        login.keepalives_interval(self.seconds("keepalives_interval")?.unwrap_or(Duration::from_secs(10)));
        login.keepalives_retries(self.number("keepalives_count")?.filter(|count| *count > 0).unwrap_or(6));
        // libpq counts this one in milliseconds.
        let milliseconds = self.number("tcp_user_timeout")?.filter(|limit| *limit > 0).unwrap_or(120_000);
        login.tcp_user_timeout(Duration::from_millis(milliseconds.into()));
        Ok(())
    }

    fn set_session(&mut self, login: &mut Config, tls: &TlsSettings) -> Result<(), Diagnostic> {
        use {ChannelBinding as Binding, TargetSessionAttrs as Attributes};
        let fallback = self.take("fallback_application_name");
        let name = self.take("application_name").or(fallback);
        login.application_name(name.as_deref().unwrap_or(APPLICATION_NAME));
        if let Some(options) = self.take("options") {
            login.options(&options);
        }
        let bindings = [("disable", Binding::Disable), ("prefer", Binding::Prefer), ("require", Binding::Require)];
        if let Some(binding) = self.choice("channel_binding", &bindings)? {
            login.channel_binding(binding);
        }
        let attributes = [
            ("any", Attributes::Any),
            ("read-write", Attributes::ReadWrite),
            ("primary", Attributes::ReadWrite),
            ("read-only", Attributes::ReadOnly),
        ];
        if let Some(attributes) = self.choice("target_session_attrs", &attributes)? {
            login.target_session_attrs(attributes);
        }
        let negotiations = [("postgres", SslNegotiation::Postgres), ("direct", SslNegotiation::Direct)];
        if let Some(negotiation) = self.choice("sslnegotiation", &negotiations)? {
            if negotiation == SslNegotiation::Direct && tls.mode < SslMode::Require {
                return Err(invalid("sslnegotiation=direct needs sslmode=require or stronger, as in libpq"));
            }
            login.ssl_negotiation(negotiation);
        }
        // Accepted where they ask for what happens anyway.
        self.choice("client_encoding", &["UTF8", "utf8", "UTF-8", "utf-8", "auto"].map(|name| (name, ())))?;
        self.choice("gssencmode", &["disable", "prefer"].map(|name| (name, ())))?;
        self.choice("sslcompression", &[("0", ())])?;
        self.choice("sslsni", &[("1", ())])?;
        self.choice("sslcertmode", &["disable", "allow"].map(|name| (name, ())))?;
        Ok(())
    }

    fn set_credentials(&mut self, login: &mut Config) -> Result<(), Diagnostic> {
        let user = match self.take("user") {
            Some(user) => user,
            None => User::from_uid(geteuid())
                .ok()
                .flatten()
                .map(|user| user.name)
                .ok_or_else(|| invalid("the target names no user").help("add user=… or set PGUSER"))?,
        };
        login.dbname(self.take("dbname").as_deref().unwrap_or(&user)).user(&user);
        if let Some(password) = self.take("password") {
            login.password(password);
        }
        Ok(())
    }

    fn endpoints(&mut self) -> Result<Vec<Endpoint>, Diagnostic> {
        let list = |text: Option<String>| -> Vec<String> {
            text.map(|text| text.split(',').map(|item| item.trim().to_owned()).collect()).unwrap_or_default()
        };
        let (hosts, addresses, ports) = (list(self.take("host")), list(self.take("hostaddr")), list(self.take("port")));
        let count = hosts.len().max(addresses.len()).max(1);
        if (!hosts.is_empty() && !addresses.is_empty() && hosts.len() != addresses.len())
            || (ports.len() > 1 && ports.len() != count)
        {
            return Err(invalid("the target's lists of hosts, host addresses and ports have different lengths"));
        }
        (0..count)
            .map(|index| {
                let port = match ports.get(index).or(ports.first()).map_or("", String::as_str) {
                    "" => DEFAULT_PORT,
                    port => port
                        .parse()
                        .ok()
                        .filter(|port| *port > 0)
                        .ok_or_else(|| invalid("the target's port is not a number between 1 and 65535"))?,
                };
                let address = addresses.get(index).filter(|address| !address.is_empty());
                let address = address
                    .map(|address| address.parse::<IpAddr>())
                    .transpose()
                    .map_err(|_| invalid("the connection parameter hostaddr is not an IP address"))?;
                match (hosts.get(index).map_or("", String::as_str), address) {
                    ("", Some(address)) => {
                        Ok(Endpoint::Tcp { host: address.to_string(), address: Some(address), port })
                    }
                    ("", None) => Ok(default_endpoint(port)),
                    (directory, _) if directory.starts_with('/') => {
                        Ok(Endpoint::Unix { directory: directory.into(), port })
                    }
                    (host, _) if host.contains(['@', '/', '?', ' ']) => Err(invalid("the target's host is not a name")
                        .help("percent-encode special characters of the password in the URL: @ is %40")),
                    (host, address) => Ok(Endpoint::Tcp { host: host.to_owned(), address, port }),
                }
            })
            .collect()
    }
}

/// Finds the local server as `psql` without a host does: its unix socket, else localhost.
fn default_endpoint(port: u16) -> Endpoint {
    ["/var/run/postgresql", "/tmp"]
        .map(PathBuf::from)
        .into_iter()
        .find(|directory| directory.join(format!(".s.PGSQL.{port}")).exists())
        .map_or_else(
            || Endpoint::Tcp { host: "localhost".to_owned(), address: None, port },
            |directory| Endpoint::Unix { directory, port },
        )
}

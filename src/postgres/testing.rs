//! One scratch server for all tests of a process, and a database of its own for each of them.

use super::{Connection, Durability, Scratch, Server, Target};
use crate::diagnostic::Diagnostic;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::CertificateDer;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// How long a test waits for a connection.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Creates an empty database on the process's server. Without PostgreSQL binaries the test fails.
///
/// Nothing drops the server; its watchdog removes it when the process ends.
pub(crate) fn database() -> Server {
    static SERVER: OnceLock<Scratch> = OnceLock::new();
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let scratch = SERVER.get_or_init(|| Scratch::start(Durability::Off).unwrap_or_else(|error| panic!("{error:?}")));
    let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
    let sql = format!("CREATE DATABASE {name}");
    connect(scratch.server()).execute(&sql, "create a database").unwrap_or_else(|error| panic!("{error:?}"));
    scratch.server().with_database(&name)
}

/// Connects with `public` as the schema.
pub(crate) fn connect(server: &Server) -> Connection {
    server.connect("public", PATIENCE).unwrap_or_else(|error| panic!("{error:?}"))
}

/// Returns the first column of a query's rows, NULL as an empty text.
pub(crate) fn column(connection: &mut Connection, sql: &str) -> Vec<String> {
    let rows = connection.query(sql, &[], "query").unwrap_or_else(|error| panic!("{error:?}"));
    rows.iter().map(|row| row.optional(0).unwrap_or_default().to_owned()).collect()
}

/// A server with TLS on a TCP port, whose databases differ in what `pg_hba.conf` lets in.
pub(crate) struct TlsServer {
    scratch: Scratch,
    /// The port on 127.0.0.1.
    pub(crate) port: u16,
    /// The certificates `right.pem`, which the server's leads to, and `wrong.pem`.
    pub(crate) roots: tempfile::TempDir,
}

const ACCESS: &str = "
    local     all       all  trust
    host      either    all  127.0.0.1/32  scram-sha-256
    hostssl   onlytls   all  127.0.0.1/32  scram-sha-256
    hostnossl onlyplain all  127.0.0.1/32  scram-sha-256
";

impl TlsServer {
    /// Starts it, with the databases `either`, `onlytls` and `onlyplain` and the role `u` with the password `s3cret`.
    pub(crate) fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let scratch = Scratch::start_with(Durability::Off, port, &["listen_addresses=127.0.0.1"]).unwrap();
        let (authority, other) = (Authority::new(), Authority::new());
        let issued = authority.issue("db.example", 30);
        let data = scratch.directory().join("data");
        put(&data.join("server.crt"), &issued.certificate);
        put(&data.join("server.key"), &issued.key);
        put(&data.join("pg_hba.conf"), ACCESS);
        let roots = tempfile::tempdir().unwrap();
        fs::write(roots.path().join("right.pem"), authority.pem()).unwrap();
        fs::write(roots.path().join("wrong.pem"), other.pem()).unwrap();
        let mut connection = connect(scratch.server());
        for sql in [
            "CREATE DATABASE either",
            "CREATE DATABASE onlytls",
            "CREATE DATABASE onlyplain",
            "CREATE ROLE u LOGIN PASSWORD 's3cret'",
        ] {
            connection.execute(sql, "prepare").unwrap();
        }
        let server = Self { scratch, port, roots };
        server.switch_tls("on");
        server
    }

    /// Switches TLS `on` or `off`.
    pub(crate) fn switch_tls(&self, on: &str) {
        let mut connection = connect(self.scratch.server());
        connection.execute(&format!("ALTER SYSTEM SET ssl = {on}"), "switch TLS").unwrap();
        connection.query("SELECT pg_reload_conf()", &[], "reload").unwrap();
        let deadline = Instant::now() + PATIENCE;
        while column(&mut connect(self.scratch.server()), "SHOW ssl") != [on] {
            assert!(Instant::now() < deadline);
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Connects and says whether TLS is in use.
    pub(crate) fn connect(&self, parameters: &str) -> Result<bool, Diagnostic> {
        let defaults = format!("host=db.example hostaddr=127.0.0.1 port={} user=u password=s3cret", self.port);
        let parameters = parameters.replace("DIR", self.roots.path().to_str().unwrap());
        let Target::Server(server) = Target::parse(&format!("{defaults} {parameters}"))? else {
            panic!("a scratch server")
        };
        let mut connection = server.connect("public", PATIENCE)?;
        let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
        connection.query_one(sql, &[], "ask for TLS")?.boolean(0)
    }
}

/// Writes a file that belongs to whom its directory belongs to.
fn put(path: &Path, text: &str) {
    let owner = fs::metadata(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    chown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
}

/// A certificate authority; its own certificate is for `authority.example`.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A server's certificate and its key.
pub(crate) struct Issued {
    /// The certificate.
    pub(crate) der: CertificateDer<'static>,
    /// The certificate as PEM.
    pub(crate) certificate: String,
    /// The private key as PEM.
    pub(crate) key: String,
}

impl Authority {
    /// Makes one up.
    pub(crate) fn new() -> Self {
        let mut parameters = CertificateParams::new(["authority.example".to_owned()]).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap())
    }

    /// Returns its certificate.
    pub(crate) fn der(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    /// Returns its certificate as PEM.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// Issues a certificate for a host name that is valid for some days from now, or expired some days ago.
    pub(crate) fn issue(&self, name: &str, days: i64) -> Issued {
        const DAY: Duration = Duration::from_secs(86_400);
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new([name.to_owned()]).unwrap();
        // With the issuer's name OpenSSL would take it for a certificate that signed itself.
        parameters.distinguished_name.push(DnType::CommonName, name);
        let now = SystemTime::now();
        let shift = DAY * u32::try_from(days.abs()).unwrap();
        parameters.not_before = (now - DAY * 365).into();
        parameters.not_after = if days < 0 { now - shift } else { now + shift }.into();
        let certificate = parameters.signed_by(&key, &self.0).unwrap();
        Issued { der: certificate.der().clone(), certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

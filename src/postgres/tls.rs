//! TLS with libpq's meaning of each `sslmode`, which rustls and the `postgres` crate do not have.
//!
//! | sslmode | encrypts | verifies |
//! |---|---|---|
//! | disable | never | – |
//! | allow | only where the server refuses plain text | the chain, where a root certificate is given |
//! | prefer | where the server can | the chain, where a root certificate is given |
//! | require | always | the chain, where a root certificate is given |
//! | verify-ca | always | the chain |
//! | verify-full | always | the chain and the host name |
//!
//! Source: <https://www.postgresql.org/docs/current/libpq-ssl.html>. A unix socket never uses TLS.

use crate::diagnostic::Diagnostic;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_postgres_rustls::MakeRustlsConnect;

/// When to encrypt and what to verify, by libpq's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SslMode {
    /// `disable`.
    Disable,
    /// `allow`.
    Allow,
    /// `prefer`, the default.
    Prefer,
    /// `require`.
    Require,
    /// `verify-ca`.
    VerifyCa,
    /// `verify-full`.
    VerifyFull,
}

impl SslMode {
    /// Reads libpq's name of a mode.
    pub(super) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "disable" => Self::Disable,
            "allow" => Self::Allow,
            "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            _ => return None,
        })
    }
}

/// Where the certificates come from that a server's certificate has to lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Roots {
    /// None given: nothing is verified.
    None,
    /// A file of PEM certificates.
    File(PathBuf),
    /// The operating system's store.
    System,
}

/// What a connection does about TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TlsSettings {
    /// When to encrypt and what to verify.
    pub(super) mode: SslMode,
    /// What a chain has to lead to; never [`Roots::None`] where the mode verifies.
    pub(super) roots: Roots,
}

impl TlsSettings {
    /// Combines `sslmode` and `sslrootcert` as libpq does; `home_roots` is `~/.postgresql/root.crt` where it exists.
    ///
    /// One thing is friendlier than libpq: `verify-full` without any root certificate uses the system's store, which
    /// is what the URLs of cloud consoles count on, and still verifies chain and host name.
    pub(super) fn new(
        mode: Option<SslMode>,
        root_cert: Option<&str>,
        home_roots: Option<PathBuf>,
    ) -> Result<Self, Diagnostic> {
        let roots = match root_cert {
            Some("system") => Roots::System,
            Some(path) => Roots::File(path.into()),
            None => home_roots.map_or(Roots::None, Roots::File),
        };
        let mode = mode.unwrap_or(if roots == Roots::System { SslMode::VerifyFull } else { SslMode::Prefer });
        match (mode, roots) {
            (SslMode::Disable | SslMode::VerifyFull, Roots::System) => Ok(Self { mode, roots: Roots::System }),
            // Anyone can get a certificate that leads to a public root: without the name it proves nothing.
            (_, Roots::System) => Err(Diagnostic::error(
                "target-invalid",
                "sslrootcert=system goes only with sslmode=verify-full, as in libpq",
            )
            .help("write sslmode=verify-full, or name the file of the server's own root certificate in sslrootcert")),
            (SslMode::VerifyFull, Roots::None) => Ok(Self { mode, roots: Roots::System }),
            (SslMode::VerifyCa, Roots::None) => Err(Diagnostic::error(
                "target-invalid",
                "sslmode=verify-ca needs a root certificate, and none is given",
            )
            .help("name its PEM file in sslrootcert, or write sslmode=verify-full for the system's store")),
            (mode, roots) => Ok(Self { mode, roots }),
        }
    }

    /// Builds the connector; reads the root certificates, where there are any.
    pub(super) fn connector(&self) -> Result<MakeRustlsConnect, Diagnostic> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let chain = match &self.roots {
            Roots::None => None,
            roots => Some(Chain::new(load(roots)?, &provider)?),
        };
        let verifier = LibpqVerifier { chain, host_name: self.mode == SslMode::VerifyFull, provider: provider.clone() };
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(&error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"postgresql".to_vec()];
        Ok(MakeRustlsConnect::new(config))
    }
}

fn failed(message: &str) -> Diagnostic {
    Diagnostic::error("tls-failed", format!("failed to prepare TLS: {message}"))
}

fn load(roots: &Roots) -> Result<Vec<CertificateDer<'static>>, Diagnostic> {
    let certificates = match roots {
        Roots::None => Vec::new(),
        Roots::File(path) => load_file(path)?,
        // Some stores hold a broken certificate or two; what can be read counts.
        Roots::System => rustls_native_certs::load_native_certs().certs,
    };
    if certificates.is_empty() {
        return Err(failed("no root certificate found").help(match roots {
            Roots::File(path) => format!("put PEM certificates in {}", path.display()),
            _ => "install the system's certificates (ca-certificates), or name a PEM file in sslrootcert".to_owned(),
        }));
    }
    Ok(certificates)
}

fn load_file(path: &Path) -> Result<Vec<CertificateDer<'static>>, Diagnostic> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| failed(&format!("cannot read root certificates from {}: {error}", path.display())))
}

/// Verifies that a certificate leads to one of the given ones.
#[derive(Debug)]
struct Chain {
    given: Vec<CertificateDer<'static>>,
    webpki: Arc<WebPkiServerVerifier>,
}

impl Chain {
    fn new(given: Vec<CertificateDer<'static>>, provider: &Arc<CryptoProvider>) -> Result<Self, Diagnostic> {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(given.iter().cloned());
        let webpki = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider.clone())
            .build()
            .map_err(|error| failed(&error.to_string()))?;
        Ok(Self { given, webpki })
    }
}

/// Verifies what the mode asks for, and always that the server holds its certificate's private key.
#[derive(Debug)]
struct LibpqVerifier {
    chain: Option<Chain>,
    host_name: bool,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for LibpqVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        // A self-signed certificate is its own root: webpki refuses it as "CA used as end entity", OpenSSL does not.
        if chain.given.iter().any(|given| given == end_entity) {
            if self.host_name {
                rustls::client::verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
            }
            return Ok(ServerCertVerified::assertion());
        }
        match chain.webpki.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // webpki looks at the name last, so a wrong name means that the chain is right.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.host_name => Ok(ServerCertVerified::assertion()),
            Err(Error::InvalidCertificate(CertificateError::Other(OtherError(inner)))) => {
                Err(Error::General(format!("the server's certificate is refused: {inner}")))
            }
            result => result,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(mode: &str, root_cert: Option<&str>) -> Result<TlsSettings, Diagnostic> {
        let mode = Some(SslMode::parse(mode).unwrap_or_else(|| panic!("{mode}")));
        TlsSettings::new(mode, root_cert, None)
    }

    #[test]
    fn modes_and_root_certificates_combine_as_in_libpq() {
        for mode in ["disable", "allow", "prefer", "require"] {
            assert_eq!(settings(mode, None).map(|tls| tls.roots), Ok(Roots::None), "{mode}");
            assert_eq!(settings(mode, Some("ca.pem")).map(|tls| tls.roots), Ok(Roots::File("ca.pem".into())), "{mode}");
        }
        assert_eq!(settings("verify-full", None).map(|tls| tls.roots), Ok(Roots::System));
        assert!(settings("verify-ca", None).is_err());
        for mode in ["allow", "prefer", "require", "verify-ca"] {
            assert!(settings(mode, Some("system")).is_err(), "{mode}");
        }
        let defaults = TlsSettings::new(None, None, None).map(|tls| tls.mode);
        assert_eq!(defaults, Ok(SslMode::Prefer));
        let system = TlsSettings::new(None, Some("system"), None).map(|tls| tls.mode);
        assert_eq!(system, Ok(SslMode::VerifyFull));
        let home = TlsSettings::new(Some(SslMode::Require), None, Some("root.crt".into())).map(|tls| tls.roots);
        assert_eq!(home, Ok(Roots::File("root.crt".into())));
    }

    #[test]
    fn a_root_certificate_that_is_missing_or_empty_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let empty = directory.path().join("empty.pem");
        std::fs::write(&empty, "no certificate").unwrap();
        for path in [directory.path().join("missing.pem"), empty] {
            let error = settings("require", path.to_str()).unwrap().connector().err().unwrap();
            assert_eq!(error.code, "tls-failed");
            assert!(format!("{error:?}").contains(path.file_name().unwrap().to_str().unwrap()), "{error:?}");
        }
    }

    mod certificates {
        use super::*;
        use crate::postgres::testing::Authority;

        fn verify(mode: SslMode, given: &str, server: &CertificateDer<'_>, name: &str) -> Result<(), Error> {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("root.pem");
            std::fs::write(&path, given).unwrap();
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let chain = Some(Chain::new(load_file(&path).unwrap(), &provider).unwrap());
            let verifier = LibpqVerifier { chain, host_name: mode == SslMode::VerifyFull, provider };
            let name = ServerName::try_from(name.to_owned()).unwrap();
            verifier.verify_server_cert(server, &[], &name, &[], UnixTime::now()).map(drop)
        }

        #[test]
        fn verify_ca_looks_at_the_chain_and_verify_full_at_the_name_too() {
            let (authority, other) = (Authority::new(), Authority::new());
            let server = authority.issue("db.example", 30);
            for (mode, given, name, right) in [
                (SslMode::VerifyFull, &authority, "db.example", true),
                (SslMode::VerifyFull, &authority, "elsewhere.example", false),
                (SslMode::VerifyFull, &other, "db.example", false),
                (SslMode::VerifyCa, &authority, "elsewhere.example", true),
                (SslMode::VerifyCa, &other, "db.example", false),
                (SslMode::Require, &authority, "elsewhere.example", true),
                (SslMode::Require, &other, "db.example", false),
            ] {
                let result = verify(mode, &given.pem(), &server.der, name);
                assert_eq!(result.is_ok(), right, "{mode:?} {name}: {result:?}");
            }
        }

        #[test]
        fn an_expired_certificate_is_refused() {
            let authority = Authority::new();
            let server = authority.issue("db.example", -1);
            let result = verify(SslMode::VerifyCa, &authority.pem(), &server.der, "elsewhere.example");
            assert!(
                matches!(result, Err(Error::InvalidCertificate(CertificateError::ExpiredContext { .. }))),
                "{result:?}"
            );
        }

        #[test]
        fn a_self_signed_certificate_is_its_own_root() {
            let authority = Authority::new();
            let certificate = authority.der();
            assert_eq!(verify(SslMode::VerifyCa, &authority.pem(), &certificate, "x.example"), Ok(()));
            assert_eq!(verify(SslMode::VerifyFull, &authority.pem(), &certificate, "authority.example"), Ok(()));
            assert!(verify(SslMode::VerifyFull, &authority.pem(), &certificate, "x.example").is_err());
        }
    }
}

//! Connections as vatevo's environments make them: TLS by `sslmode`, from a variable, with a time limit, without a secret.

use crate::server::root;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::Value;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use tenantry::postgres::{Durability, Scratch};

const PATIENCE: Duration = Duration::from_secs(30);
const PASSWORD: &str = "s3cret-of-vatevo";

/// Runs the command line with `POSTGRES_URL` in its environment, which must not come out again.
fn with_url(url: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenantry"));
    let output = command.current_dir(root()).args(arguments).env("POSTGRES_URL", url).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(!said.contains(PASSWORD), "{said}");
    output
}

/// Examines the server, and says whether the session was encrypted; `None` where there was none.
fn encrypted(url: &str) -> Option<bool> {
    let arguments = ["doctor", "--target", "env:POSTGRES_URL", "--timeout", "10", "--format", "json"];
    let output = with_url(url, &arguments);
    if output.status.code() == Some(2) {
        return None;
    }
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = report["findings"].as_array().unwrap();
    let tls = findings.iter().find(|finding| finding["name"] == "tls").unwrap_or_else(|| panic!("{report}"));
    Some(tls["detail"].as_str().unwrap().contains("TLSv1"))
}

/// Checks every environment's `sslmode` at a server with TLS and at one that has it switched off, then moves a source over
/// TLS.
pub fn check(spec: &str, source: &Path, work: &Path) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let scratch = Scratch::start_with(Durability::Off, port, &["listen_addresses=127.0.0.1"]).unwrap();
    let authority = certify(&scratch.directory().join("data"));
    fs::create_dir_all(work).unwrap();
    let certificate = work.join("authority.pem");
    fs::write(&certificate, authority).unwrap();
    let certificate = certificate.to_str().unwrap();
    let mut connection = scratch.server().connect("public", PATIENCE).unwrap();
    let role = format!("CREATE ROLE operator SUPERUSER LOGIN PASSWORD '{PASSWORD}'");
    for sql in ["CREATE DATABASE vatevo", &role, "ALTER SYSTEM SET ssl = on", "SELECT pg_reload_conf()"] {
        connection.execute(sql, "prepare").unwrap();
    }
    let base = format!("postgresql://operator:{PASSWORD}@db.example:{port}/vatevo?hostaddr=127.0.0.1");
    let url = |more: &str| format!("{base}&{more}");
    wait_for(|| encrypted(&url("sslmode=require")) == Some(true));
    let full = format!("sslmode=verify-full&sslrootcert={certificate}");
    for (mode, expected) in
        [(full.as_str(), true), ("sslmode=require", true), ("sslmode=prefer", true), ("sslmode=disable", false)]
    {
        assert_eq!(encrypted(&url(mode)), Some(expected), "{mode} at a server with TLS");
    }
    // A certificate for another host is not the server's.
    assert_eq!(encrypted(&url(&full).replace("db.example", "other.example")), None);
    let target = ["--target", "env:POSTGRES_URL"];
    let (source, folder) = (source.to_str().unwrap(), work.to_str().unwrap());
    let cutover = [&["cutover", spec, "--source", source, "--bootstrap", "--work-dir", folder], &target[..]].concat();
    let cutover = [&cutover[..], &["--log-format", "json"]].concat();
    let told = events(&with_url(&url(&full), &cutover), 0);
    for phase in ["audit", "copy", "constraints", "verify"] {
        assert!(told.iter().any(|event| event["event"] == "phase" && event["phase"] == phase), "{phase}: {told:?}");
    }
    assert!(told.iter().any(|event| event["event"] == "progress" && event["of_table"]["rows"].is_u64()), "{told:?}");
    let verify = [&["verify", spec, "--source", source], &target[..]].concat();
    assert_eq!(with_url(&url(&full), &verify).status.code(), Some(0));

    for sql in ["ALTER SYSTEM SET ssl = off", "SELECT pg_reload_conf()"] {
        connection.execute(sql, "switch TLS off").unwrap();
    }
    wait_for(|| encrypted(&url("sslmode=require")).is_none());
    for (mode, expected) in [(full.as_str(), None), ("sslmode=prefer", Some(false)), ("sslmode=disable", Some(false))] {
        assert_eq!(encrypted(&url(mode)), expected, "{mode} at a server without TLS");
    }
    let told = events(&with_url(&url(&full), &cutover), 2);
    assert!(told.iter().any(|event| event["event"] == "diagnostic" && event["level"] == "error"), "{told:?}");
    time_limit();
}

/// Reads the events of a run, which begin with its beginning and end with its exit code.
fn events(output: &Output, code: i32) -> Vec<Value> {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    let told: Vec<Value> =
        said.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect();
    assert!(told.iter().all(|event| event["time"].is_string() && event["level"].is_string()), "{said}");
    let (first, last) = (told.first().unwrap(), told.last().unwrap());
    assert_eq!(
        (&first["event"], &last["event"], last["exit_code"].as_i64()),
        (&"begin".into(), &"end".into(), Some(code.into()))
    );
    told
}

/// Checks that a health check ends in time at a host that takes connections and never answers.
fn time_limit() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let started = Instant::now();
    let url = format!("postgresql://operator:{PASSWORD}@127.0.0.1:{port}/vatevo");
    let output = with_url(&url, &["doctor", "--target", "env:POSTGRES_URL", "--timeout", "1"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

fn wait_for(mut met: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !met() {
        assert!(Instant::now() < deadline, "the server does not take its new settings");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Puts a certificate for `db.example` into a server's folder, asks for passwords over TCP, and returns the authority's own
/// certificate.
fn certify(data: &Path) -> String {
    let mut parameters = CertificateParams::new(["authority.example".to_owned()]).unwrap();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let parameters = CertificateParams::new(["db.example".to_owned()]).unwrap();
    let certificate = parameters.signed_by(&key, &authority).unwrap();
    let access = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n".to_owned();
    for (name, text) in
        [("server.crt", certificate.pem()), ("server.key", key.serialize_pem()), ("pg_hba.conf", access)]
    {
        let path = data.join(name);
        let owner = fs::metadata(data).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        chown(&path, Some(owner.uid()), Some(owner.gid())).unwrap();
    }
    authority.pem()
}

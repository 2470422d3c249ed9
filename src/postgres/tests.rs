//! Connects as psql does with the same parameters: the same outcome, and the same session where there is one.

use super::Target;
use super::testing::{PATIENCE, TlsServer};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// What a session is asked: who, where, and whether TLS is in use.
const ASK: &str = "SELECT current_user || ' ' || current_database() || ' ' || \
                   coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false)::text || ' ' || \
                   current_setting('application_name')";

/// Variables for one try; nothing of the test's own environment counts.
type Variables<'a> = &'a [(&'a str, &'a str)];

fn ours(text: &str, variables: Variables<'_>) -> Result<String, String> {
    let environment =
        |name: &str| variables.iter().rfind(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    let answer = || {
        let Target::Server(server) = Target::parse_with(text, &environment)? else {
            panic!("{text} is a scratch server")
        };
        server.connect("public", PATIENCE)?.query_one(ASK, &[], "ask")?.text(0).map(str::to_owned)
    };
    answer().map_err(|error| format!("{}: {}", error.code, error.message))
}

fn psqls(text: &str, variables: Variables<'_>) -> Result<String, String> {
    let psql = super::scratch::program("psql").unwrap();
    let output = Command::new(psql)
        .env_clear()
        .envs(variables.iter().copied())
        .args(["-XAtw", "-c", ASK, "-d", text])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout).unwrap().trim().replace(" psql", " tenantry")),
        false => Err(String::from_utf8(output.stderr).unwrap()),
    }
}

/// Holds one try against psql; returns whether a session came about.
fn same(text: &str, variables: Variables<'_>) -> bool {
    let (ours, psqls) = (ours(text, variables), psqls(text, variables));
    match (&ours, &psqls) {
        (Ok(ours), Ok(psqls)) => assert_eq!(ours, psqls, "{text} {variables:?}"),
        (Err(_), Err(_)) => {}
        _ => panic!("{text} {variables:?}\nours: {ours:?}\npsql: {psqls:?}"),
    }
    let shown = format!("{ours:?}");
    assert!(!shown.contains("s3cret") && !shown.contains("wr0ng"), "{shown}");
    ours.is_ok()
}

#[test]
fn every_sslmode_ends_as_with_psql() {
    let tls = TlsServer::start();
    let home = tempfile::tempdir().unwrap();
    let variables = [("HOME", home.path().to_str().unwrap())];
    let (mut tried, mut connected) = (0, 0);
    for (on, databases) in [("on", &["either", "onlytls", "onlyplain"][..]), ("off", &["either", "onlyplain"])] {
        tls.switch_tls(on);
        for mode in ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] {
            for root in ["right.pem", "wrong.pem", ""] {
                for host in ["db.example", "other.example"] {
                    for database in databases {
                        let mut text = format!(
                            "host={host} hostaddr=127.0.0.1 port={} user=u password=s3cret dbname={database} sslmode={mode}",
                            tls.port
                        );
                        if !root.is_empty() {
                            text.push_str(&format!(" sslrootcert={}", tls.roots.path().join(root).display()));
                        }
                        tried += 1;
                        connected += usize::from(same(&text, &variables));
                    }
                }
            }
        }
    }
    // Two differences are meant: libpq does not verify where the file of `sslrootcert` is missing, and knows no store of the
    // system behind a plain `verify-full`; there both fail here.
    tls.switch_tls("on");
    let text = format!("host=db.example hostaddr=127.0.0.1 port={} user=u password=s3cret dbname=either", tls.port);
    let missing = format!("{text} sslmode=require sslrootcert=/no/such/file");
    assert!(psqls(&missing, &variables).is_ok());
    assert!(ours(&missing, &variables).unwrap_err().starts_with("tls-failed"));
    println!("{tried} ways to connect, {connected} of them connect");
    assert!(connected > 40 && tried - connected > 40, "{connected} of {tried}");
}

#[test]
fn parameters_come_from_where_psql_takes_them() {
    let tls = TlsServer::start();
    let home = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str, mode: u32| {
        let path = home.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let port = tls.port.to_string();
    let right = tls.roots.path().join("right.pem").to_str().unwrap().to_owned();
    let at = "host=127.0.0.1 dbname=either user=u";
    let url = format!("postgresql://u@127.0.0.1:{port}/either");
    let with_home: Variables<'_> = &[("HOME", home.path().to_str().unwrap()), ("PGPORT", &port)];
    let and = |more: Variables<'_>, text: &str| same(text, &[with_home, more].concat());

    // The forms of a text.
    assert!(!and(&[], at), "no password is given yet");
    assert!(and(&[], &format!("{at} password = 's3cret' application_name='a\\'b'")));
    assert!(and(&[], &format!("postgresql://u:s3%63ret@127.0.0.1:{port}/either?application_name=x%20y")));
    assert!(and(&[], &format!("postgres://127.0.0.1:1,127.0.0.1:{port}/either?user=u&password=s3cret")));
    assert!(!and(&[], &format!("postgresql://u:wr0ng@127.0.0.1:{port}/either")));
    assert!(!and(&[], &format!("postgresql://u:s3cret@127.0.0.1:{port}/no_such_database")));
    assert!(and(&[], &format!("{at} password=s3cret channel_binding=require")));
    assert!(!and(&[], &format!("{at} password=s3cret channel_binding=require sslmode=disable")));
    assert!(!and(&[], &format!("{at} password=s3cret sslmode=no_such_mode")));
    assert!(!and(&[], &format!("{at} password=s3cret no_such_parameter=1")));

    // Variables, which the text goes before.
    let password: Variables<'_> = &[("PGPASSWORD", "s3cret")];
    assert!(and(password, at));
    assert!(!and(password, &format!("{at} password=wr0ng")));
    let all: Variables<'_> = &[
        ("PGHOST", "127.0.0.1"),
        ("PGUSER", "u"),
        ("PGDATABASE", "either"),
        ("PGPASSWORD", "s3cret"),
        ("PGAPPNAME", "env"),
    ];
    assert!(and(all, "postgresql://"));
    assert!(and(all, "application_name=text"));
    assert!(and(&[all, &[("PGSSLMODE", "disable")]].concat(), "postgresql://"));
    assert!(!and(&[all, &[("PGSSLMODE", "disable"), ("PGCHANNELBINDING", "require")]].concat(), "postgresql://"));
    assert!(!and(&[all, &[("PGSSLMODE", "verify-full")]].concat(), "sslrootcert=/no/such/file"));
    let named: Variables<'_> = &[("PGHOST", "db.example"), ("PGHOSTADDR", "127.0.0.1"), ("PGSSLMODE", "verify-full")];
    assert!(and(&[all, named, &[("PGSSLROOTCERT", right.as_str())]].concat(), "postgresql://"));

    // The password file: its mode, its order, another place.
    put(".pgpass", &format!("127.0.0.1:{port}:*:nobody:wr0ng\n127.0.0.1:*:either:u:s3cret\n*:*:*:*:wr0ng\n"), 0o600);
    assert!(and(&[], at) && and(&[], &url));
    put(".pgpass", "*:*:*:*:s3cret\n", 0o644);
    assert!(!and(&[], at), "others can read it");
    let elsewhere = put("elsewhere", "*:*:*:*:s3cret\n", 0o600);
    assert!(and(&[("PGPASSFILE", elsewhere.as_str())], at) && and(&[], &format!("{at} passfile={elsewhere}")));
    assert!(!and(&[("PGPASSFILE", elsewhere.as_str())], &format!("{at} password=wr0ng")));

    // The service file: between the text and the variables.
    let services = put(
        "services",
        "# x\n[app]\nhost=127.0.0.1\ndbname=either\nuser=u\npassword=s3cret\napplication_name=service\n[other]\nuser=nobody\n",
        0o644,
    );
    let in_file: Variables<'_> = &[("PGSERVICEFILE", services.as_str())];
    assert!(and(in_file, "service=app") && and(in_file, "postgresql:///?service=app"));
    assert!(and(in_file, "service=app application_name=text"));
    assert!(and(&[in_file, &[("PGSERVICE", "app"), ("PGAPPNAME", "env")]].concat(), "postgresql://"));
    assert!(and(&[in_file, &[("PGSERVICE", "other")]].concat(), "service=app"));
    assert!(!and(in_file, "service=nothing") && !and(&[], "service=app"));
    put(".pg_service.conf", &fs::read_to_string(&services).unwrap(), 0o600);
    assert!(and(&[], "service=app") && !and(&[], "service=app dbname=onlytls sslmode=disable"));
    let broken = put("broken", "[app]\nhost=127.0.0.1\npassword s3cret\n", 0o600);
    assert!(!and(&[("PGSERVICEFILE", broken.as_str())], "service=app"));

    // The root certificate in its usual place makes `require` verify.
    let wrong = fs::read_to_string(tls.roots.path().join("wrong.pem")).unwrap();
    put(".postgresql/root.crt", &wrong, 0o600);
    assert!(!and(password, &format!("{at} sslmode=require")));
    put(".postgresql/root.crt", &fs::read_to_string(&right).unwrap(), 0o600);
    assert!(and(password, &format!("{at} sslmode=require")) && and(password, &format!("{at} sslmode=verify-ca")));
    assert!(!and(password, &format!("{at} sslmode=verify-full")), "the certificate is not for 127.0.0.1");
    assert!(Path::new(&right).is_file());
}

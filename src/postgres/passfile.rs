//! Looks passwords up in libpq's password file: lines of `host:port:database:user:password`.

use super::target::Endpoint;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tokio_postgres::Config;

/// Finds the password of the first line that matches the endpoint and the login.
///
/// As in libpq, a file that group or others can read does not count, nor does one that cannot be read at all.
pub(super) fn find(file: &Path, endpoint: &Endpoint, login: &Config) -> Option<String> {
    let metadata = fs::metadata(file).ok()?;
    if !metadata.is_file() || metadata.permissions().mode() & 0o077 != 0 {
        return None;
    }
    let text = fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| matching(line, endpoint, login))
}

fn matching(line: &str, endpoint: &Endpoint, login: &Config) -> Option<String> {
    if line.starts_with('#') {
        return None;
    }
    let fields = split(line);
    let [host, port, database, user, password] = &fields[..] else { return None };
    let is = |field: &str, wanted: &str| field == "*" || field == wanted;
    let (host_is, wanted_port) = match endpoint {
        // libpq calls the default socket directory localhost.
        Endpoint::Unix { directory, port } => (is(host, "localhost") || is(host, &directory.to_string_lossy()), port),
        Endpoint::Tcp { host: wanted, port, .. } => (is(host, wanted), port),
    };
    let matches = host_is
        && is(port, &wanted_port.to_string())
        && is(database, login.get_dbname().unwrap_or_default())
        && is(user, login.get_user().unwrap_or_default());
    matches.then(|| password.clone())
}

/// Splits at colons; a backslash makes the next character an ordinary one.
fn split(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match (character, fields.last_mut()) {
            (':', _) => fields.push(String::new()),
            ('\\', Some(field)) => field.extend(characters.next()),
            (_, Some(field)) => field.push(character),
            (_, None) => {}
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(host: &str, port: u16) -> Endpoint {
        Endpoint::Tcp { host: host.to_owned(), address: None, port }
    }

    fn login() -> Config {
        let mut login = Config::new();
        login.dbname("d:b").user("u");
        login
    }

    #[test]
    fn the_first_matching_line_wins() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = "# h:1:*:*:comment\nh:1:d\\:b:u:first\\:\\\\\nh:*:*:u:second\nlocalhost:*:*:*:socket\nbroken\n";
        fs::write(&file, text).unwrap();
        let find = |endpoint| find(file.path(), &endpoint, &login());
        assert_eq!(find(endpoint("h", 1)).as_deref(), Some("first:\\"));
        assert_eq!(find(endpoint("h", 2)).as_deref(), Some("second"));
        assert_eq!(find(endpoint("other", 1)), None);
        assert_eq!(find(Endpoint::Unix { directory: "/tmp".into(), port: 1 }).as_deref(), Some("socket"));
    }

    #[test]
    fn a_file_that_others_can_read_or_that_is_missing_does_not_count() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(&file, "*:*:*:*:x\n").unwrap();
        assert!(find(file.path(), &endpoint("h", 1), &login()).is_some());
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(find(file.path(), &endpoint("h", 1), &login()).is_none());
        assert!(find(Path::new("/no/such/file"), &endpoint("h", 1), &login()).is_none());
    }
}

//! Looks parameters up in libpq's connection service file: sections of `keyword=value` lines.

use super::conninfo::Parameter;
use super::parameters::{Environment, invalid};
use crate::diagnostic::Diagnostic;
use crate::ident::visible;
use std::fs;
use std::path::{Path, PathBuf};

/// Where packages of libpq look for the file that is for everybody, unless `PGSYSCONFDIR` says otherwise.
const SYSTEM: &[&str] = &["/etc/postgresql-common", "/etc/sysconfig/pgsql", "/etc"];

/// Finds the parameters of a service: in `file`, else `PGSERVICEFILE`, else `~/.pg_service.conf`; and where that lacks it,
/// in the system's file.
///
/// The errors have the code `target-invalid` and show no value.
pub(super) fn find(
    service: &str,
    file: Option<String>,
    environment: Environment<'_>,
) -> Result<Vec<Parameter>, Diagnostic> {
    let given = |name| environment(name).filter(|value| !value.is_empty());
    let named = file.or_else(|| given("PGSERVICEFILE")).map(PathBuf::from);
    if let Some(file) = named.as_ref().filter(|file| !file.is_file()) {
        return Err(invalid(format!("the service file {} does not exist", visible(&file.to_string_lossy()))));
    }
    let own = named.or_else(|| environment("HOME").map(|home| Path::new(&home).join(".pg_service.conf")));
    let system: Vec<PathBuf> = match given("PGSYSCONFDIR") {
        Some(folder) => vec![folder.into()],
        None => SYSTEM.iter().map(PathBuf::from).collect(),
    };
    let files = own.into_iter().chain(system.into_iter().map(|folder| folder.join("pg_service.conf")));
    for file in files.filter(|file| file.is_file()) {
        let shown = visible(&file.to_string_lossy()).into_owned();
        let text = fs::read_to_string(&file)
            .map_err(|error| invalid(format!("the service file {shown} cannot be read: {error}")))?;
        if let Some(parameters) = section(&text, service, &shown)? {
            return Ok(parameters);
        }
    }
    Err(invalid(format!("there is no service {}", visible(service)))
        .help("define it in ~/.pg_service.conf, or name the file in PGSERVICEFILE"))
}

/// Reads one section; the first of two values of a keyword counts, as in libpq.
fn section(text: &str, service: &str, file: &str) -> Result<Option<Vec<Parameter>>, Diagnostic> {
    let mut found: Option<Vec<Parameter>> = None;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        let wrong = |reason: &str| invalid(format!("line {} of the service file {file}: {reason}", number + 1));
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix('[') {
            if found.is_some() {
                return Ok(found);
            }
            if name.strip_suffix(']') == Some(service) {
                found = Some(Vec::new());
            }
            continue;
        }
        let Some(parameters) = &mut found else { continue };
        if line.starts_with("ldap") {
            return Err(wrong("parameters from LDAP are not supported").help("write them into the file"));
        }
        let Some((keyword, value)) = line.split_once('=') else {
            return Err(wrong("there is no = in it").help("write keyword=value, without spaces around the ="));
        };
        if keyword == "service" || keyword == "servicefile" {
            return Err(wrong("a service cannot name another service"));
        }
        if !parameters.iter().any(|(known, _)| known == keyword) {
            parameters.push((keyword.to_owned(), value.to_owned()));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
# comment
[other]
host=elsewhere
[app]
  host=h
port=6000
host=second
options=-c a=b

[last]
host=last
";

    fn parameters(text: &str, service: &str) -> Result<Option<String>, Diagnostic> {
        let joined = |list: Vec<Parameter>| {
            list.iter().map(|(keyword, value)| format!("{keyword}={value}")).collect::<Vec<_>>().join(";")
        };
        section(text, service, "f").map(|found| found.map(joined))
    }

    #[test]
    fn a_section_ends_at_the_next_and_the_first_value_counts() {
        assert_eq!(parameters(FILE, "app"), Ok(Some("host=h;port=6000;options=-c a=b".to_owned())));
        assert_eq!(parameters(FILE, "last"), Ok(Some("host=last".to_owned())));
        assert_eq!(parameters(FILE, "none"), Ok(None));
    }

    #[test]
    fn what_is_no_parameter_is_named_by_its_line_and_not_shown() {
        for line in ["s3cret", "ldap://s3cret", "service=s3cret"] {
            let error = parameters(&format!("[app]\nhost=h\n{line}\n"), "app").unwrap_err();
            assert!(error.message.contains("line 3"), "{error:?}");
            assert!(!format!("{error:?}").contains("s3c"), "{error:?}");
        }
    }

    #[test]
    fn files_are_looked_for_where_libpq_looks() {
        let home = tempfile::tempdir().unwrap();
        let system = tempfile::tempdir().unwrap();
        fs::write(home.path().join(".pg_service.conf"), "[a]\nhost=home\n").unwrap();
        fs::write(system.path().join("pg_service.conf"), "[a]\nhost=system\n[b]\nhost=system\n").unwrap();
        let environment = |name: &str| match name {
            "HOME" => home.path().to_str().map(str::to_owned),
            "PGSYSCONFDIR" => system.path().to_str().map(str::to_owned),
            _ => None,
        };
        let host = |service: &str, file: Option<String>| {
            find(service, file, &environment).map(|parameters| parameters[0].1.clone()).map_err(|error| error.message)
        };
        assert_eq!(host("a", None).as_deref(), Ok("home"));
        assert_eq!(host("b", None).as_deref(), Ok("system"));
        assert_eq!(
            host("a", system.path().join("pg_service.conf").to_str().map(str::to_owned)).as_deref(),
            Ok("system")
        );
        assert!(host("c", None).unwrap_err().contains("no service c"));
        assert!(host("a", Some("/no/such/file".to_owned())).unwrap_err().contains("does not exist"));
    }
}

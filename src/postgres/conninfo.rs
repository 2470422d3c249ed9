//! Takes connection strings apart: URLs and libpq's `keyword = value` form.
//!
//! A mistake in such a text can put a piece of the password anywhere, so no message shows any of it.

use crate::diagnostic::Diagnostic;

/// One `keyword = value` of a connection string.
pub(super) type Parameter = (String, String);

/// Reads a connection string of either form into its parameters, in order.
///
/// The errors have the code `target-invalid`. Keywords are not checked here.
pub(super) fn parse(text: &str) -> Result<Vec<Parameter>, Diagnostic> {
    match text.split_once("://") {
        // A keyword form may hold "://" in a value; its keyword then stands before it.
        Some((scheme, rest)) if !scheme.contains(['=', ' ']) => parse_url(scheme, rest),
        _ if text.contains('=') => parse_keywords(text),
        _ => Err(invalid("the target is neither a URL nor a list of keyword=value pairs").help(FORMS)),
    }
}

const FORMS: &str = "write scratch, env:NAME, postgresql://user@host:5432/dbname or host=… dbname=… user=…";
const ENCODE: &str =
    "write the characters / @ : ? # % of a user name, password or database name as %2F %40 %3A %3F %23 %25";

fn invalid(message: &str) -> Diagnostic {
    Diagnostic::error("target-invalid", message)
}

fn parse_url(scheme: &str, rest: &str) -> Result<Vec<Parameter>, Diagnostic> {
    // SQLAlchemy names its driver behind a plus sign: postgresql+asyncpg.
    let scheme = scheme.split_once('+').map_or(scheme, |(dialect, _)| dialect);
    if !matches!(scheme.to_ascii_lowercase().as_str(), "postgres" | "postgresql") {
        return Err(invalid("the target's URL is not one of PostgreSQL").help(FORMS));
    }
    let mut parameters = Vec::new();
    let mut push = |keyword: &str, value: String| {
        if !value.is_empty() {
            parameters.push((keyword.to_owned(), value));
        }
    };

    let (credentials, rest) = match rest.find(['@', '/']) {
        Some(end) if rest[end..].starts_with('@') => (Some(&rest[..end]), &rest[end + 1..]),
        _ => (None, rest),
    };
    if let Some(credentials) = credentials {
        let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
        push("user", decode(user)?);
        push("password", decode(password)?);
    }

    let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = before.split_once('/').unwrap_or((before, ""));
    if authority.contains('@') || database.contains(['@', '/']) {
        return Err(invalid("the target's URL has a special character where none may stand").help(ENCODE));
    }
    let (mut hosts, mut ports) = (Vec::new(), Vec::new());
    for host in authority.split(',') {
        let (host, port) = split_port(host)?;
        if !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(invalid("the port in the target's URL is not a number").help(ENCODE));
        }
        hosts.push(decode(host)?);
        ports.push(port);
    }
    push("host", if hosts.iter().all(String::is_empty) { String::new() } else { hosts.join(",") });
    push("port", if ports.iter().all(|port| port.is_empty()) { String::new() } else { ports.join(",") });
    push("dbname", decode(database)?);

    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (keyword, value) =
            pair.split_once('=').ok_or_else(|| invalid("a query parameter of the target's URL has no value"))?;
        push(&decode(keyword)?, decode(value)?);
    }
    Ok(parameters)
}

/// Splits `host:port` and `[address]:port`; the port is empty where none is given.
fn split_port(host: &str) -> Result<(&str, &str), Diagnostic> {
    let Some(inside) = host.strip_prefix('[') else {
        return Ok(host.split_once(':').unwrap_or((host, "")));
    };
    let bad = || invalid("the IPv6 address in the target's URL is not closed by ]");
    let (address, behind) = inside.split_once(']').ok_or_else(bad)?;
    match behind.strip_prefix(':') {
        Some(port) => Ok((address, port)),
        None if behind.is_empty() => Ok((address, "")),
        None => Err(bad()),
    }
}

fn decode(text: &str) -> Result<String, Diagnostic> {
    let bad = || invalid("the target's URL has a % that does not start a percent-encoded character").help(ENCODE);
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || bytes.next().and_then(|byte| char::from(byte).to_digit(16));
        let (Some(high), Some(low)) = (digit(), digit()) else { return Err(bad()) };
        match (high * 16 + low) as u8 {
            0 => return Err(bad()),
            byte => decoded.push(byte),
        }
    }
    String::from_utf8(decoded).map_err(|_| bad())
}

fn parse_keywords(text: &str) -> Result<Vec<Parameter>, Diagnostic> {
    let mut parameters = Vec::new();
    let mut characters = text.chars().peekable();
    loop {
        while characters.next_if(|c| c.is_whitespace()).is_some() {}
        if characters.peek().is_none() {
            return Ok(parameters);
        }
        let mut keyword = String::new();
        while let Some(character) = characters.next_if(|&c| c != '=' && !c.is_whitespace()) {
            keyword.push(character);
        }
        while characters.next_if(|c| c.is_whitespace()).is_some() {}
        if characters.next() != Some('=') {
            return Err(invalid("a word of the target has no = behind it")
                .help("put a value that holds spaces in single quotes: password='two words'"));
        }
        while characters.next_if(|c| c.is_whitespace()).is_some() {}
        let quoted = characters.next_if_eq(&'\'').is_some();
        let mut value = String::new();
        loop {
            match characters.next() {
                Some('\'') if quoted => break,
                Some(character) if character.is_whitespace() && !quoted => break,
                Some('\\') => value.extend(characters.next()),
                Some(character) => value.push(character),
                None if quoted => return Err(invalid("a quoted value of the target has no closing quote")),
                None => break,
            }
        }
        parameters.push((keyword, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        parse(text)
            .unwrap_or_else(|error| panic!("{error:?}"))
            .into_iter()
            .map(|(keyword, value)| format!("{keyword}={value}"))
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn urls_come_apart_as_libpq_takes_them_apart() {
        for (url, parameters) in [
            (
                "postgresql://u:p@h:5433/d?sslmode=require",
                "user=u password=p host=h port=5433 dbname=d sslmode=require",
            ),
            ("postgres://h", "host=h"),
            ("postgresql+asyncpg://u@h/d", "user=u host=h dbname=d"),
            ("postgresql+psycopg2://h/d", "host=h dbname=d"),
            ("postgresql://%2Fvar%2Frun/d", "host=/var/run dbname=d"),
            ("postgresql:///d?host=/tmp", "dbname=d host=/tmp"),
            ("postgresql://u:a%40b%2Fc@h/d%20e", "user=u password=a@b/c host=h dbname=d e"),
            ("postgresql://[::1]:5/d", "host=::1 port=5 dbname=d"),
            ("postgresql://a:1,b:2/d", "host=a,b port=1,2 dbname=d"),
            ("postgresql://a,b:2/d", "host=a,b port=,2 dbname=d"),
            ("postgresql://", ""),
        ] {
            assert_eq!(shown(url), parameters, "{url}");
        }
    }

    #[test]
    fn keywords_come_apart_as_libpq_takes_them_apart() {
        assert_eq!(shown(r"host = h password='it\'s \\ me' dbname=''"), r"host=h password=it's \ me dbname=");
        assert_eq!(shown(r"password=a\ b user=u"), "password=a b user=u");
        assert_eq!(shown("options='-c a=b://c'"), "options=-c a=b://c");
    }

    #[test]
    fn a_mistake_never_shows_any_of_the_text() {
        for text in [
            "postgresql://u:s3cret/x@h/d",
            "postgresql://u:1/s3cret@h/d",
            "postgresql://u:s3@cret@h/d",
            "postgresql://u:s3cret%zz@h/d",
            "postgresql://u:%00s3cret@h/d",
            "postgresql://[::1/s3cret",
            "mysql://u:s3cret@h/d",
            "s3cret",
            "",
            "password=a s3cret",
            "password='s3cret",
            "postgresql://h/d?s3cret",
        ] {
            let error = parse(text).expect_err(text);
            assert_eq!(error.code, "target-invalid");
            assert!(!format!("{error:?}").contains("s3c"), "{error:?}");
        }
    }
}

//! `--source`: a database file, by its path or by the URL that SQLAlchemy knows it under.

use std::path::PathBuf;

/// Reads a path or a `sqlite:///PATH` URL; a driver may stand behind `sqlite`, and options of it behind the path.
///
/// As in SQLAlchemy, three slashes lead to a relative path and four to an absolute one, and nothing is decoded.
pub(super) fn parse(text: &str) -> Result<PathBuf, String> {
    let Some((scheme, rest)) = text.split_once("://") else { return Ok(text.into()) };
    if scheme != "sqlite" && !scheme.starts_with("sqlite+") {
        return Err("name a SQLite database: its path, or sqlite:///PATH".to_owned());
    }
    let path = rest.split('?').next().and_then(|path| path.strip_prefix('/')).unwrap_or_default();
    if path.is_empty() || path == ":memory:" {
        return Err("the URL names no file, and a database in memory has no rows to read".to_owned());
    }
    Ok(path.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_urls_of_sqlalchemy_are_read() {
        for (text, path) in [
            ("app.db", "app.db"),
            ("/srv/app.db", "/srv/app.db"),
            ("sqlite:///app.db", "app.db"),
            ("sqlite:////srv/app.db", "/srv/app.db"),
            ("sqlite+aiosqlite:///data/app.db?timeout=5", "data/app.db"),
            ("sqlite:///a%20b.db", "a%20b.db"),
        ] {
            assert_eq!(parse(text), Ok(path.into()), "{text}");
        }
        for text in ["sqlite://", "sqlite:///:memory:", "sqlite://host/x", "postgresql://u:s3cret@h/d"] {
            let error = parse(text).expect_err(text);
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}

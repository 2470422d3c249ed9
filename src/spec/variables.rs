//! Variables in SQL, as psql writes them: `:name` and `:'name'`.

use super::statements::{Kind, Uncut, token};
use crate::ident::literal;
use std::ops::Range;

/// Says why a text cannot be filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfilled {
    /// A variable without a value, and where it stands.
    Unset(String, Range<usize>),
    /// Text that is no SQL.
    Uncut(Uncut),
}

/// Replaces each variable by its value as a literal; quotes, comments and `::` are left as they are.
///
/// Both spellings give a literal, which PostgreSQL reads as whatever type its place needs. psql does so for `:'name'` only.
pub fn fill_in(text: &str, value: &dyn Fn(&str) -> Option<String>) -> Result<String, Unfilled> {
    let mut filled = String::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let (_, end) = token(text, at).map_err(Unfilled::Uncut)?;
        let rest = &text[end..];
        if &text[at..end] != ":" {
            filled.push_str(&text[at..end]);
            at = end;
        } else if rest.starts_with(':') {
            filled.push_str("::");
            at = end + 1;
        } else if let Some((name, behind)) = name(text, end) {
            let value = value(name).ok_or_else(|| Unfilled::Unset(name.to_owned(), at..behind))?;
            filled.push_str(&literal(&value));
            at = behind;
        } else {
            filled.push(':');
            at = end;
        }
    }
    Ok(filled)
}

/// Returns the name of the variable that begins behind its colon, and where it ends.
fn name(text: &str, from: usize) -> Option<(&str, usize)> {
    if from >= text.len() {
        return None;
    }
    let (kind, end) = token(text, from).ok()?;
    let written = &text[from..end];
    match kind {
        Kind::Word => Some((written, end)),
        _ => Some((written.strip_prefix('\'')?.strip_suffix('\'')?, end)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_variables_are_replaced() {
        let value = |name: &str| (name == "tenant").then(|| "it's".to_owned());
        for (text, filled) in [
            ("SELECT :tenant, :'tenant'", "SELECT 'it''s', 'it''s'"),
            ("SELECT ':tenant', \":tenant\", 1::text -- :tenant", "SELECT ':tenant', \":tenant\", 1::text -- :tenant"),
            ("SELECT $$:tenant$$, a[1:2], :tenant::text", "SELECT $$:tenant$$, a[1:2], 'it''s'::text"),
        ] {
            assert_eq!(fill_in(text, &value), Ok(filled.to_owned()));
        }
        assert_eq!(fill_in("SELECT :id", &value), Err(Unfilled::Unset("id".into(), 7..10)));
        assert!(matches!(fill_in("SELECT 'a", &value), Err(Unfilled::Uncut(_))));
    }
}

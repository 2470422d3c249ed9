//! Cuts PostgreSQL text into statements, as psql does: quotes, dollar quotes and nested comments hide a semicolon, and
//! so do parentheses and the body of a function in SQL.

use std::collections::BTreeSet;
use std::ops::Range;

/// One statement of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlStatement {
    /// The statement without its semicolon; comments in front of it belong to it, comments behind it do not.
    pub text: String,
    /// Its first token in the text that it was cut from.
    pub place: Range<usize>,
    /// Its first words in upper case, at most three.
    pub begins: Vec<String>,
    /// Every name and word in it: unquoted ones in lower case, quoted ones as they are.
    pub names: BTreeSet<String>,
}

/// Says why a text cannot be cut into statements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uncut {
    /// The fact, as a fragment.
    pub message: &'static str,
    /// Where, in bytes.
    pub place: Range<usize>,
}

/// Cuts a text into its statements.
///
/// # Errors
/// A quote or comment without its end, and a backslash outside of quotes: psql's commands are no SQL.
pub fn cut(text: &str) -> Result<Vec<SqlStatement>, Uncut> {
    let mut statements = Vec::new();
    let mut current = Current::default();
    let mut start = 0;
    let mut at = 0;
    while at < text.len() {
        let (kind, end) = token(text, at)?;
        let written = &text[at..end];
        match kind {
            Kind::Blank => {}
            Kind::Semicolon if current.is_top_level() => {
                statements.extend(current.finish(text, start));
                current = Current::default();
                start = end;
            }
            kind => current.take(kind, written, at..end),
        }
        at = end;
    }
    statements.extend(current.finish(text, start));
    Ok(statements)
}

/// Returns where the tokens of a statement stand: words, quoted texts and names, numbers, and single characters.
///
/// # Errors
/// As [`cut`].
pub fn tokens(text: &str) -> Result<Vec<Range<usize>>, Uncut> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let (kind, end) = token(text, at)?;
        if kind != Kind::Blank {
            tokens.push(at..end);
        }
        at = end;
    }
    Ok(tokens)
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Blank,
    Word,
    QuotedName,
    Semicolon,
    Open,
    Close,
    Other,
}

#[derive(Default)]
struct Current {
    first: Option<Range<usize>>,
    end: usize,
    begins: Vec<String>,
    only_words: bool,
    names: BTreeSet<String>,
    parentheses: usize,
    blocks: usize,
}

impl Current {
    fn is_top_level(&self) -> bool {
        self.parentheses == 0 && self.blocks == 0
    }

    fn take(&mut self, kind: Kind, written: &str, range: Range<usize>) {
        self.end = range.end;
        if self.first.is_none() {
            self.first = Some(range);
            self.only_words = true;
        }
        match kind {
            Kind::Word => {
                let upper = written.to_ascii_uppercase();
                self.names.insert(written.to_ascii_lowercase());
                self.block(&upper);
                if self.only_words && self.begins.len() < 3 {
                    self.begins.push(upper);
                }
                return;
            }
            Kind::QuotedName => {
                self.names.insert(written[1..written.len() - 1].replace("\"\"", "\""));
            }
            Kind::Open => self.parentheses += 1,
            Kind::Close => self.parentheses = self.parentheses.saturating_sub(1),
            Kind::Blank | Kind::Semicolon | Kind::Other => {}
        }
        self.only_words = false;
    }

    /// Follows `BEGIN ATOMIC … END`, where a CASE has an END of its own.
    fn block(&mut self, word: &str) {
        let words: Vec<&str> = self.begins.iter().map(String::as_str).collect();
        let is_routine = matches!(words[..], ["CREATE", "FUNCTION" | "PROCEDURE", ..] | ["CREATE", "OR", "REPLACE"])
            && (self.names.contains("function") || self.names.contains("procedure"));
        match word {
            "BEGIN" if is_routine => self.blocks += 1,
            "CASE" if self.blocks > 0 => self.blocks += 1,
            "END" => self.blocks = self.blocks.saturating_sub(1),
            _ => {}
        }
    }

    fn finish(self, text: &str, start: usize) -> Option<SqlStatement> {
        let place = self.first?;
        let statement = text[start..self.end].trim_start().to_owned();
        Some(SqlStatement { text: statement, place, begins: self.begins, names: self.names })
    }
}

fn is_name_start(character: char) -> bool {
    // PostgreSQL takes every byte above ASCII for part of a name.
    character == '_' || character.is_ascii_alphabetic() || !character.is_ascii()
}

fn is_name_part(character: char) -> bool {
    is_name_start(character) || character.is_ascii_digit() || character == '$'
}

/// Returns the kind and the end of what begins at `at`.
pub(super) fn token(text: &str, at: usize) -> Result<(Kind, usize), Uncut> {
    let rest = &text[at..];
    let Some(first) = rest.chars().next() else { return Ok((Kind::Blank, text.len())) };
    let unended = |message| Uncut { message, place: at..at + first.len_utf8() };
    let quoted = |from: usize, quote: char, escapes: bool| {
        end_of_quoted(text, from, quote, escapes).ok_or_else(|| unended("a quote has no end"))
    };
    Ok(match first {
        ' ' | '\t' | '\n' | '\r' | '\u{b}' | '\u{c}' => (Kind::Blank, at + 1),
        '-' if rest.starts_with("--") => (Kind::Blank, rest.find('\n').map_or(text.len(), |length| at + length + 1)),
        '/' if rest.starts_with("/*") => {
            (Kind::Blank, end_of_comment(text, at).ok_or_else(|| unended("a comment has no end"))?)
        }
        '\'' => (Kind::Other, quoted(at + 1, '\'', false)?),
        '"' => (Kind::QuotedName, quoted(at + 1, '"', false)?),
        'e' | 'E' if rest[1..].starts_with('\'') => (Kind::Other, quoted(at + 2, '\'', true)?),
        '$' => (Kind::Other, end_of_dollar_quoted(text, at).ok_or_else(|| unended("a dollar quote has no end"))?),
        ';' => (Kind::Semicolon, at + 1),
        '(' | '[' => (Kind::Open, at + 1),
        ')' | ']' => (Kind::Close, at + 1),
        '\\' => return Err(unended("a backslash stands here: psql's commands are no SQL")),
        '\0' => return Err(unended("a NUL character stands here")),
        _ if is_name_start(first) => {
            let length = rest.find(|character| !is_name_part(character)).unwrap_or(rest.len());
            (Kind::Word, at + length)
        }
        _ if first.is_ascii_digit() => {
            let length = rest.find(|character: char| !character.is_ascii_alphanumeric()).unwrap_or(rest.len());
            (Kind::Other, at + length)
        }
        _ => (Kind::Other, at + first.len_utf8()),
    })
}

/// Finds the end of a quoted stretch whose inside begins at `from`; a doubled quote is one of its characters.
fn end_of_quoted(text: &str, from: usize, quote: char, escapes: bool) -> Option<usize> {
    let mut characters = text[from..].char_indices().peekable();
    while let Some((offset, character)) = characters.next() {
        if escapes && character == '\\' {
            characters.next();
        } else if character == quote && characters.next_if(|&(_, next)| next == quote).is_none() {
            return Some(from + offset + 1);
        }
    }
    None
}

/// Finds the end of a comment; PostgreSQL's nest.
fn end_of_comment(text: &str, from: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut depth, mut at) = (0_usize, from);
    while at + 1 < bytes.len() {
        match &bytes[at..at + 2] {
            b"/*" => (depth, at) = (depth + 1, at + 2),
            b"*/" if depth == 1 => return Some(at + 2),
            b"*/" => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    None
}

/// Finds the end of `$tag$…$tag$`; a `$` that begins no such quote, as in `$1`, ends behind itself.
fn end_of_dollar_quoted(text: &str, at: usize) -> Option<usize> {
    let inside = &text[at + 1..];
    let length = inside.find(|character: char| character == '$' || !is_name_part(character)).unwrap_or(inside.len());
    let tag = &inside[..length];
    if !inside[length..].starts_with('$') || tag.starts_with(|character: char| character.is_ascii_digit()) {
        return Some(at + 1);
    }
    let delimiter = &text[at..at + length + 2];
    let body = at + delimiter.len();
    Some(body + text[body..].find(delimiter)? + delimiter.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        cut(text).unwrap_or_else(|error| panic!("{error:?}")).into_iter().map(|statement| statement.text).collect()
    }

    #[test]
    fn only_a_semicolon_of_its_own_ends_a_statement() {
        for whole in [
            "SELECT 'a;''b;'",
            r"SELECT E'a\';b'",
            r"SELECT 'a\'",
            "SELECT \"a;\"\"b\"",
            "SELECT $$a;'b$$",
            "SELECT $x$a;$$;$x$",
            "SELECT $1, a$b",
            "SELECT 1 /* a; /* b; */ c; */ + 1",
            "SELECT 1 -- a;\n + 1",
            "CREATE RULE r AS ON INSERT TO t DO ALSO (DELETE FROM a; DELETE FROM b)",
            "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END",
            "CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 2; END",
            "SELECT a::date, b <> 'ü;'",
        ] {
            assert_eq!(texts(whole), [whole]);
            assert_eq!(texts(&format!("{whole};\nSELECT 2 ; ")), [whole, "SELECT 2"]);
        }
    }

    #[test]
    fn comments_stay_with_the_statement_behind_them() {
        assert_eq!(
            texts("-- first\nSELECT 1; -- behind\n/* second */ SELECT 2 -- last\n;\n-- alone\n"),
            ["-- first\nSELECT 1", "-- behind\n/* second */ SELECT 2"]
        );
        assert!(texts(" ; ;\n-- nothing\n").is_empty());
    }

    #[test]
    fn what_has_no_end_is_refused_where_it_begins() {
        for (text, at) in
            [("SELECT 'a", 7), ("SELECT \"a", 7), ("/* /* */", 0), ("SELECT $a$ $b$", 7), ("\\set x 1", 0), ("a\0", 1)]
        {
            let error = cut(text).expect_err(text);
            assert_eq!(error.place.start, at, "{text}: {error:?}");
        }
    }

    #[test]
    fn a_statement_knows_its_first_words_and_its_names() {
        let statement = &cut("/* x */ Create View \"V 1\" AS SELECT * FROM Items").unwrap()[0];
        assert_eq!(statement.begins, ["CREATE", "VIEW"]);
        assert!(statement.names.contains("V 1") && statement.names.contains("items"));
        assert_eq!(statement.place.start, 8);
    }
}

//! Cuts SQL text into tokens exactly where SQLite does.
//!
//! Only boundaries and kinds are decided here; what a word means depends on where it stands. Every byte of the text
//! is in one token, in white space or in a comment, so spans never drift. Source: `tokenize.c` of SQLite.

use std::ops::Range;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// An unquoted name or keyword.
    Word,
    /// A name in `"…"`, `[…]` or `` `…` ``.
    Quoted,
    /// A text in `'…'`, which SQLite takes for a name where only a name can stand.
    String,
    /// A blob `x'…'`.
    Blob,
    /// A number.
    Number,
    /// An operator or punctuation.
    Symbol,
    /// A bound parameter such as `?1` or `:name`.
    Parameter,
    /// What SQLite refuses: a stray character or a quote without its end.
    Illegal,
}

/// A stretch of text with a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Byte offsets in the text.
    pub range: Range<usize>,
}

impl Token {
    /// Returns the token as written.
    pub fn text<'t>(&self, text: &'t str) -> &'t str {
        text.get(self.range.clone()).unwrap_or_default()
    }

    /// Says whether it is the given keyword, which is to be in upper case.
    pub fn is_word(&self, text: &str, word: &str) -> bool {
        self.kind == TokenKind::Word && self.text(text).eq_ignore_ascii_case(word)
    }

    /// Says whether it is the given operator or punctuation.
    pub fn is_symbol(&self, text: &str, symbol: &str) -> bool {
        self.kind == TokenKind::Symbol && self.text(text) == symbol
    }

    /// Returns the name that it spells: quotes removed, doubled quotes single.
    pub fn name(&self, text: &str) -> String {
        dequote(self.text(text))
    }
}

/// Removes SQLite's quotes from a name or text; an unquoted one comes back as it is.
pub(super) fn dequote(written: &str) -> String {
    let Some(open) = written.chars().next().filter(|open| matches!(open, '"' | '\'' | '`' | '[')) else {
        return written.to_owned();
    };
    let close = if open == '[' { ']' } else { open };
    let inside = written.get(1..).unwrap_or_default();
    let inside = inside.strip_suffix(close).unwrap_or(inside);
    if open == '[' { inside.to_owned() } else { inside.replace(&format!("{close}{close}"), &close.to_string()) }
}

/// Cuts a text into tokens; white space and comments are left out.
pub(super) fn tokenize(text: &str) -> impl Iterator<Item = Token> + use<'_> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < text.len() {
            let (kind, end) = next(text, at);
            let range = at..end;
            at = end;
            if let Some(kind) = kind {
                return Some(Token { kind, range });
            }
        }
        None
    })
}

/// Returns the kind and end of what starts at `at`; no kind for white space and comments.
fn next(text: &str, at: usize) -> (Option<TokenKind>, usize) {
    let bytes = text.as_bytes();
    let byte = |offset: usize| bytes.get(at + offset).copied().unwrap_or(0);
    let symbol = |length: usize| (Some(TokenKind::Symbol), at + length);
    match byte(0) {
        b' ' | b'\t' | b'\n' | b'\x0c' | b'\r' => (None, run(bytes, at, |b| b" \t\n\x0c\r".contains(&b))),
        0xef if text[at..].starts_with('\u{feff}') => (None, at + 3),
        b'-' if byte(1) == b'-' => (None, run(bytes, at, |b| b != b'\n')),
        b'-' if byte(1) == b'>' => symbol(if byte(2) == b'>' { 3 } else { 2 }),
        // SQLite reads a comment without an end up to the end of the text; `/*` as the very last two bytes too.
        b'/' if byte(1) == b'*' => {
            (None, text.get(at + 2..).and_then(|t| t.find("*/")).map_or(text.len(), |n| at + n + 4))
        }
        b'=' if byte(1) == b'=' => symbol(2),
        b'<' if matches!(byte(1), b'=' | b'>' | b'<') => symbol(2),
        b'>' if matches!(byte(1), b'=' | b'>') => symbol(2),
        b'!' if byte(1) == b'=' => symbol(2),
        b'|' if byte(1) == b'|' => symbol(2),
        b'"' | b'`' => quoted(bytes, at, TokenKind::Quoted),
        b'\'' => quoted(bytes, at, TokenKind::String),
        b'[' => match text[at..].find(']') {
            Some(length) => (Some(TokenKind::Quoted), at + length + 1),
            None => (Some(TokenKind::Illegal), text.len()),
        },
        b'0'..=b'9' => number(bytes, at),
        b'.' if byte(1).is_ascii_digit() => number(bytes, at),
        b'x' | b'X' if byte(1) == b'\'' => blob(bytes, at),
        b'?' => (Some(TokenKind::Parameter), run(bytes, at + 1, |b| b.is_ascii_digit())),
        b'$' | b'@' | b'#' | b':' => {
            let end = run(bytes, at + 1, is_name_byte);
            (Some(if end > at + 1 { TokenKind::Parameter } else { TokenKind::Illegal }), end)
        }
        b if is_name_byte(b) => (Some(TokenKind::Word), run(bytes, at, is_name_byte)),
        b'-' | b'(' | b')' | b';' | b'+' | b'*' | b'/' | b'%' | b'=' | b'<' | b'>' | b'|' | b',' | b'&' | b'~'
        | b'.' => symbol(1),
        _ => (Some(TokenKind::Illegal), at + 1),
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || byte >= 0x80
}

fn run(bytes: &[u8], from: usize, belongs: impl Fn(u8) -> bool) -> usize {
    bytes.iter().skip(from).position(|&byte| !belongs(byte)).map_or(bytes.len(), |length| from + length)
}

fn quoted(bytes: &[u8], at: usize, kind: TokenKind) -> (Option<TokenKind>, usize) {
    let quote = bytes[at];
    let mut end = at + 1;
    while end < bytes.len() {
        if bytes[end] != quote {
            end += 1;
        } else if bytes.get(end + 1) == Some(&quote) {
            end += 2;
        } else {
            return (Some(kind), end + 1);
        }
    }
    (Some(TokenKind::Illegal), bytes.len())
}

fn blob(bytes: &[u8], at: usize) -> (Option<TokenKind>, usize) {
    let digits = run(bytes, at + 2, |byte| byte.is_ascii_hexdigit());
    if bytes.get(digits) == Some(&b'\'') && (digits - at).is_multiple_of(2) {
        (Some(TokenKind::Blob), digits + 1)
    } else {
        (Some(TokenKind::Illegal), run(bytes, digits, |byte| byte != b'\'').saturating_add(1).min(bytes.len()))
    }
}

fn number(bytes: &[u8], at: usize) -> (Option<TokenKind>, usize) {
    let get = |index: usize| bytes.get(index).copied().unwrap_or(0);
    let digits = |from: usize| run(bytes, from, |byte| byte.is_ascii_digit() || byte == b'_');
    let mut end = at;
    if get(at) == b'0' && matches!(get(at + 1), b'x' | b'X') && get(at + 2).is_ascii_hexdigit() {
        end = run(bytes, at + 2, |byte| byte.is_ascii_hexdigit() || byte == b'_');
    } else {
        end = digits(end);
        if get(end) == b'.' {
            end = digits(end + 1);
        }
        if matches!(get(end), b'e' | b'E') {
            let sign = usize::from(matches!(get(end + 1), b'+' | b'-'));
            if get(end + 1 + sign).is_ascii_digit() {
                end = digits(end + 1 + sign);
            }
        }
    }
    let junk = run(bytes, end, is_name_byte);
    (Some(if junk > end { TokenKind::Illegal } else { TokenKind::Number }), junk)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kinds(text: &str) -> Vec<(TokenKind, &str)> {
        tokenize(text).map(|token| (token.kind, token.text(text))).collect()
    }

    #[test]
    fn tokens_end_where_sqlite_ends_them() {
        use TokenKind::*;
        assert_eq!(
            kinds("a\"b\"\"c\"[d]`e`'f''g'x'0aFF'"),
            [
                (Word, "a"),
                (Quoted, "\"b\"\"c\""),
                (Quoted, "[d]"),
                (Quoted, "`e`"),
                (String, "'f''g'"),
                (Blob, "x'0aFF'")
            ]
        );
        assert_eq!(
            kinds("1.5e-3 .5 0x1F 1_000"),
            [(Number, "1.5e-3"), (Number, ".5"), (Number, "0x1F"), (Number, "1_000")]
        );
        assert_eq!(
            kinds("a->>b<=c<>d!=e==f||g"),
            ["a", "->>", "b", "<=", "c", "<>", "d", "!=", "e", "==", "f", "||", "g"]
                .map(|text| { (if text.as_bytes()[0].is_ascii_alphabetic() { Word } else { Symbol }, text) })
        );
        assert_eq!(kinds("-- c ; '\nx /* ; */ y /* no end"), [(Word, "x"), (Word, "y")]);
        assert_eq!(kinds("'open"), [(Illegal, "'open")]);
        assert_eq!(kinds("x'1'"), [(Illegal, "x'1'")]);
        assert_eq!(kinds("\u{feff}größe"), [(Word, "größe")]);
        assert_eq!(kinds("12ab"), [(Illegal, "12ab")]);
    }

    #[test]
    fn names_lose_their_quotes() {
        for (written, name) in [("\"a\"\"b\"", "a\"b"), ("[a]", "a"), ("`a``b`", "a`b"), ("'a''b'", "a'b"), ("a", "a")]
        {
            assert_eq!(dequote(written), name);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_cut_into_ordered_pieces_of_itself(text in any::<String>()) {
            let mut end = 0;
            for token in tokenize(&text) {
                prop_assert!(token.range.start >= end && token.range.end > token.range.start);
                prop_assert!(text.get(token.range.clone()).is_some(), "cuts a character");
                end = token.range.end;
            }
            prop_assert!(end <= text.len());
        }
    }
}

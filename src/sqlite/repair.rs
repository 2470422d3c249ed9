//! Spells an expression so that sqlparser reads it as SQLite does.
//!
//! sqlparser's SQLite dialect takes `0x1F` for a blob, `IS` between values for an error, and words such as `date` for
//! the start of its own syntax. The repair works on tokens, and what it cannot spell safely it gives up on.

use super::token::{Token, TokenKind, tokenize};

/// Spells an expression for sqlparser: `IS` as `<=>`, `IS NOT` as `!~`, GLOB as `SIMILAR TO`, `<<` as `^`, `>>` as
/// `^ $right ^`,
/// hexadecimal numbers as decimal ones, columns and functions in double quotes, double-quoted names that are neither as texts, and no comments.
///
/// Returns `None` where a token has no safe spelling. None of `<=>`, `!~`, SIMILAR, `^` and parameters means
/// anything to SQLite.
pub(super) fn for_sqlparser(text: &str, is_column: &dyn Fn(&str) -> bool) -> Option<String> {
    let tokens: Vec<Token> = tokenize(text).collect();
    let mut spelled = String::with_capacity(text.len() + 16);
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let next = |ahead: usize, word: &str| tokens.get(at + ahead).is_some_and(|token| token.is_word(text, word));
        let is_type = at > 0 && tokens[at - 1].is_word(text, "AS");
        let qualifies = !is_type
            && tokens.get(at + 1).is_some_and(|token| token.is_symbol(text, ".") || token.is_symbol(text, "("));
        let qualified = at > 0 && tokens[at - 1].is_symbol(text, ".");
        let name = token.name(text);
        let mut used = 1;
        match token.kind {
            TokenKind::Illegal | TokenKind::Parameter => return None,
            TokenKind::Number => spelled.push_str(&number(token.text(text))?),
            TokenKind::String | TokenKind::Blob => spelled.push_str(token.text(text)),
            TokenKind::Quoted if qualifies || qualified || is_column(&name) => spelled.push_str(&quoted(&name)),
            TokenKind::Quoted if token.text(text).starts_with('"') => {
                spelled.push_str(&format!("'{}'", name.replace('\'', "''")));
            }
            TokenKind::Quoted => return None,
            TokenKind::Symbol if token.text(text) == "==" => spelled.push('='),
            TokenKind::Symbol if token.text(text) == "<<" => spelled.push('^'),
            TokenKind::Symbol if token.text(text) == ">>" => spelled.push_str("^ $right ^"),
            TokenKind::Symbol => spelled.push_str(token.text(text)),
            TokenKind::Word if next(0, "ISNULL") => spelled.push_str("IS NULL"),
            TokenKind::Word if next(0, "NOTNULL") => spelled.push_str("IS NOT NULL"),
            TokenKind::Word if next(0, "NOT") && next(1, "NULL") && at > 0 && ends_operand(text, &tokens[at - 1]) => {
                spelled.push_str("IS NOT NULL");
                used = 2;
            }
            TokenKind::Word if next(0, "GLOB") => spelled.push_str("SIMILAR TO"),
            TokenKind::Word if ["MATCH", "REGEXP", "RAISE"].iter().any(|word| next(0, word)) => return None,
            TokenKind::Word if next(0, "IS") => {
                let negated = next(1, "NOT");
                let after = 1 + usize::from(negated);
                used = after;
                if next(after, "NULL") {
                    spelled.push_str(if negated { "IS NOT" } else { "IS" });
                } else if next(after, "DISTINCT") && next(after + 1, "FROM") {
                    used = after + 2;
                    spelled.push_str(if negated { "<=>" } else { "!~" });
                } else {
                    spelled.push_str(if negated { "!~" } else { "<=>" });
                }
            }
            // A function's name in quotes is nothing else to sqlparser, which has its own syntax for some.
            TokenKind::Word if !is_type && !is_syntax(&name) && (qualifies || qualified || is_column(&name)) => {
                spelled.push_str(&quoted(&name));
            }
            TokenKind::Word => spelled.push_str(token.text(text)),
        }
        spelled.push(' ');
        at += used;
    }
    Some(spelled)
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Says whether a token can stand at the end of an operand, so that NOT NULL behind it is a test.
fn ends_operand(text: &str, token: &Token) -> bool {
    match token.kind {
        TokenKind::Word => !is_syntax(token.text(text)) || token.is_word(text, "END") || token.is_word(text, "NULL"),
        TokenKind::Symbol => token.text(text) == ")",
        _ => true,
    }
}

/// Words that are syntax inside an expression even where a column has the same name.
fn is_syntax(word: &str) -> bool {
    const WORDS: &[&str] = &[
        "AND",
        "AS",
        "BETWEEN",
        "CASE",
        "CAST",
        "COLLATE",
        "CURRENT_DATE",
        "CURRENT_TIME",
        "CURRENT_TIMESTAMP",
        "DISTINCT",
        "ELSE",
        "END",
        "ESCAPE",
        "EXISTS",
        "FROM",
        "GLOB",
        "IN",
        "IS",
        "ISNULL",
        "LIKE",
        "MATCH",
        "NOT",
        "NOTNULL",
        "NULL",
        "OR",
        "RAISE",
        "REGEXP",
        "SELECT",
        "THEN",
        "WHEN",
        "WHERE",
    ];
    WORDS.iter().any(|syntax| syntax.eq_ignore_ascii_case(word))
}

/// Spells a number in decimal: hexadecimal ones are 64-bit two's complement, and `_` is only for the eye.
fn number(written: &str) -> Option<String> {
    let digits = written.replace('_', "");
    match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hexadecimal) => {
            let value = u64::from_str_radix(hexadecimal, 16).ok()?.cast_signed();
            Some(if value < 0 { format!("({value})") } else { value.to_string() })
        }
        None => Some(digits),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(text: &str) -> Option<String> {
        for_sqlparser(text, &|name| ["a", "b", "date"].iter().any(|column| column.eq_ignore_ascii_case(name)))
            .map(|text| text.trim_end().to_owned())
    }

    #[test]
    fn what_sqlparser_misreads_is_spelled_otherwise() {
        for (text, expected) in [
            ("a IS b", "\"a\" <=> \"b\""),
            ("a IS NOT 1", "\"a\" !~ 1"),
            ("a IS NOT DISTINCT FROM b", "\"a\" <=> \"b\""),
            ("a IS NOT NULL", "\"a\" IS NOT NULL"),
            ("a NOTNULL AND b ISNULL", "\"a\" IS NOT NULL AND \"b\" IS NULL"),
            ("a NOT NULL", "\"a\" IS NOT NULL"),
            ("NOT NULL", "NOT NULL"),
            ("0x1F + 1_000", "31 + 1000"),
            ("0xFFFFFFFFFFFFFFFF", "(-1)"),
            ("a == 'x' -- c", "\"a\" = 'x'"),
            ("[a] <> \"it's\"", "\"a\" <> 'it''s'"),
            ("date > date('now')", "\"date\" > \"date\" ( 'now' )"),
            ("t.a", "\"t\" . \"a\""),
            ("a NOT GLOB substr('x*', 1)", "\"a\" NOT SIMILAR TO \"substr\" ( 'x*' , 1 )"),
        ] {
            assert_eq!(spelled(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_has_no_safe_spelling_is_given_up() {
        for text in ["?1", "'open", "[nosuch]", "0x1ffffffffffffffff", "a REGEXP 'x'", "a MATCH 'x'"] {
            assert_eq!(spelled(text), None, "{text}");
        }
    }
}

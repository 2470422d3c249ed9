//! LIKE and GLOB with constant patterns, as PostgreSQL's LIKE or a regular expression.

use super::operand::{Class, Operand};
use crate::schema::{BinaryOperator, Expr};

const CONSTANT: &str = "only constant patterns are translated";

/// Translates `operand LIKE pattern`: SQLite takes ASCII letters of either case for the same.
pub(super) fn like(operand: Operand, pattern: &Expr, escape: Option<&Expr>) -> Result<Expr, String> {
    let Expr::Text(pattern) = pattern else { return Err(CONSTANT.to_owned()) };
    let escape = match escape {
        None => None,
        Some(Expr::Text(escape)) if escape.chars().count() == 1 => escape.chars().next(),
        Some(_) => return Err("its ESCAPE is not one character".to_owned()),
    };
    let mut written = String::new();
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        match character {
            _ if Some(character) == escape => match characters.next() {
                Some(escaped) => push_literal(&mut written, escaped.to_ascii_lowercase()),
                None => return Err("its pattern ends with the escape character".to_owned()),
            },
            '%' | '_' => written.push(character),
            _ => push_literal(&mut written, character.to_ascii_lowercase()),
        }
    }
    let operand = text(operand)?;
    let letters = written.contains(|character: char| character.is_ascii_alphabetic());
    let operand = if letters { Expr::call("lower", [operand.bytewise()]) } else { operand.plain() };
    Ok(Expr::Like { operand: Box::new(operand), pattern: Box::new(Expr::Text(written)), escape: None })
}

/// Translates `operand GLOB pattern`.
pub(super) fn glob(operand: Operand, pattern: &Expr) -> Result<Expr, String> {
    let Expr::Text(pattern) = pattern else { return Err(CONSTANT.to_owned()) };
    let operand = text(operand)?;
    if pattern.contains('[') {
        let regex = Expr::Text(regular_expression(pattern)?);
        return Ok(Expr::binary(BinaryOperator::Matches, operand.bytewise(), regex));
    }
    let mut written = String::new();
    for character in pattern.chars() {
        match character {
            '*' => written.push('%'),
            '?' => written.push('_'),
            other => push_literal(&mut written, other),
        }
    }
    Ok(Expr::Like { operand: Box::new(operand.plain()), pattern: Box::new(Expr::Text(written)), escape: None })
}

/// Returns the text that a pattern is matched with.
fn text(operand: Operand) -> Result<Operand, String> {
    match operand.class {
        Class::Text => Ok(operand),
        Class::Integer => Ok(Operand::new(operand.expr.cast("text"), Class::Text)),
        class => Err(format!("SQLite would turn {} into a text", class.shown())),
    }
}

fn push_literal(pattern: &mut String, character: char) {
    if matches!(character, '%' | '_' | '\\') {
        pattern.push('\\');
    }
    pattern.push(character);
}

/// Writes a GLOB with sets as a regular expression, reading sets as SQLite's `patternCompare` does.
fn regular_expression(pattern: &str) -> Result<String, String> {
    let mut written = String::from("^");
    let mut characters = pattern.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '*' => written.push_str(".*"),
            '?' => written.push('.'),
            '[' => {
                let negated = characters.next_if_eq(&'^').is_some();
                written.push_str(if negated { "[^" } else { "[" });
                let mut empty = true;
                if characters.next_if_eq(&']').is_some() {
                    written.push_str("\\]");
                    empty = false;
                }
                let mut previous = None;
                loop {
                    let Some(character) = characters.next() else {
                        return Err("its pattern has a set without an end".to_owned());
                    };
                    if character == ']' {
                        break;
                    }
                    let ends = characters.peek().is_none_or(|next| *next == ']');
                    match (character, previous) {
                        ('-', Some(low)) if !ends => {
                            let high = characters.next().unwrap_or(low);
                            if high < low {
                                return Err("its pattern has a range that runs backwards".to_owned());
                            }
                            written.push('-');
                            push_escaped(&mut written, high);
                            previous = None;
                        }
                        _ => {
                            push_escaped(&mut written, character);
                            previous = Some(character);
                        }
                    }
                    empty = false;
                }
                if empty {
                    return Err("its pattern has an empty set".to_owned());
                }
                written.push(']');
            }
            other => push_escaped(&mut written, other),
        }
    }
    written.push('$');
    Ok(written)
}

fn push_escaped(regex: &mut String, character: char) {
    if character.is_ascii_punctuation() {
        regex.push('\\');
    }
    regex.push(character);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column() -> Operand {
        Operand::new(Expr::Postgres("x".into()), Class::Text)
    }

    #[test]
    fn sets_are_read_as_sqlite_reads_them() {
        for (glob, regex) in [
            ("[a-z]*", "^[a-z].*$"),
            ("*[^0-9]*", "^.*[^0-9].*$"),
            ("a.b[]x]?", "^a\\.b[\\]x].$"),
            ("[-a]", "^[\\-a]$"),
            ("[a-]", "^[a\\-]$"),
            ("[a-c-e]", "^[a-c\\-e]$"),
            ("[[]", "^[\\[]$"),
            ("[\\d]", "^[\\\\d]$"),
        ] {
            assert_eq!(regular_expression(glob).as_deref(), Ok(regex), "{glob}");
        }
        for glob in ["[abc", "[z-a]", "["] {
            assert!(regular_expression(glob).is_err(), "{glob}");
        }
    }

    #[test]
    fn patterns_without_letters_need_no_folding() {
        let shown = |expr: Expr| format!("{expr:?}");
        let pattern = |text: &str| Expr::Text(text.into());
        assert!(!shown(like(column(), &pattern("%@%"), None).unwrap()).contains("lower"));
        assert!(shown(like(column(), &pattern("Abc%"), None).unwrap()).contains("\"abc%\""));
        assert!(shown(like(column(), &pattern("a!%\\"), Some(&pattern("!"))).unwrap()).contains("a\\\\%\\\\\\\\"));
        assert!(like(column(), &pattern("a!"), Some(&pattern("!"))).is_err());
        assert!(like(column(), &pattern("a"), Some(&pattern("ab"))).is_err());
    }
}

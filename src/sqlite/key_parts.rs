//! Reads the columns of a key, and the collation of a column or expression.

use super::reader::{Reader, Unreadable};
use super::token::{Token, TokenKind};

/// A column of a key.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct KeyPart {
    /// The column's name.
    pub column: String,
    /// COLLATE.
    pub collation: Option<String>,
    /// DESC.
    pub descending: bool,
}

/// Reads `(a, "b" COLLATE x DESC)` as names.
pub(super) fn read_column_names(reader: &mut Reader<'_>) -> Result<Vec<String>, Unreadable> {
    Ok(read_key_parts(reader)?.into_iter().map(|part| part.column).collect())
}

/// Reads `(a, "b" COLLATE x DESC)`.
pub(super) fn read_key_parts(reader: &mut Reader<'_>) -> Result<Vec<KeyPart>, Unreadable> {
    let range = reader.parenthesised()?;
    reader.within(&range).split_at_commas().into_iter().map(read_key_part).collect()
}

fn read_key_part(mut part: Reader<'_>) -> Result<KeyPart, Unreadable> {
    part.eat_from_end(&["AUTOINCREMENT"]);
    let _ = part.eat_from_end(&["NULLS", "FIRST"]) || part.eat_from_end(&["NULLS", "LAST"]);
    let descending = !part.eat_from_end(&["ASC"]) && part.eat_from_end(&["DESC"]);
    let collation = take_collations(&mut part).into_iter().next();
    let (column, _) = part.name()?;
    match part.peek(0) {
        Some(_) => Err(part.unreadable("the next column")),
        None => Ok(KeyPart { column, collation, descending }),
    }
}

/// Takes parentheses and COLLATE clauses off a column or expression and returns their names; the first, outermost one
/// counts.
///
/// A COLLATE binds to the operand before it: behind `a || b` it is b's, and no collation of the whole.
pub(super) fn take_collations(part: &mut Reader<'_>) -> Vec<String> {
    let mut collations = Vec::new();
    loop {
        part.unwrap_parentheses();
        match part.rest() {
            [operand @ .., keyword, name]
                if keyword.is_word(part.text, "COLLATE")
                    && name.kind != TokenKind::Symbol
                    && is_one_operand(part.text, operand) =>
            {
                collations.push(name.name(part.text));
            }
            _ => return collations,
        }
        part.drop_from_end(2);
    }
}

/// Says whether tokens are one operand: a name, constant, call, CASE or something in parentheses, with signs before it
/// and COLLATEs behind. A sign binds tighter than COLLATE.
fn is_one_operand(text: &str, tokens: &[Token]) -> bool {
    let is = |at: usize, symbol: &str| tokens.get(at).is_some_and(|token| token.is_symbol(text, symbol));
    let is_word = |at: usize, word: &str| tokens.get(at).is_some_and(|token| token.is_word(text, word));
    let behind = |mut at: usize, opens: &dyn Fn(usize) -> bool, closes: &dyn Fn(usize) -> bool| {
        let mut depth = 0_usize;
        while at < tokens.len() {
            depth = depth + usize::from(opens(at)) - usize::from(closes(at)).min(depth);
            at += 1;
            if depth == 0 {
                break;
            }
        }
        at
    };
    let mut at = tokens.iter().take_while(|token| matches!(token.text(text), "+" | "-" | "~")).count();
    if is_word(at, "CASE") {
        at = behind(at, &|at| is_word(at, "CASE"), &|at| is_word(at, "END"));
    } else {
        if !is(at, "(") {
            at += 1;
            while is(at, ".") {
                at += 2;
            }
        }
        if is(at, "(") {
            at = behind(at, &|at| is(at, "("), &|at| is(at, ")"));
        }
    }
    while is_word(at, "COLLATE") {
        at += 2;
    }
    at == tokens.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collate_belongs_to_one_operand() {
        let taken = |text: &str| {
            let mut reader = Reader::new(text);
            let collation = take_collations(&mut reader).into_iter().next();
            (collation, text[reader.range()].to_owned())
        };
        assert_eq!(taken("((a) COLLATE x)"), (Some("x".into()), "a".into()));
        assert_eq!(taken("lower(a || b) COLLATE x"), (Some("x".into()), "lower(a || b)".into()));
        assert_eq!(taken("a COLLATE y COLLATE x"), (Some("x".into()), "a".into()));
        for whole in ["a || b COLLATE x", "(a) || (b) COLLATE x", "CASE a WHEN b THEN c END || d COLLATE x"] {
            assert_eq!(taken(whole), (None, whole.into()));
        }
        for operand in ["-a", "+ t.a", "f(a) COLLATE y", "CASE WHEN (CASE WHEN a THEN b END) THEN c END", "'x'"] {
            let expected = operand.strip_suffix(" COLLATE y").unwrap_or(operand);
            assert_eq!(taken(&format!("{operand} COLLATE x")), (Some("x".into()), expected.into()));
        }
    }
}

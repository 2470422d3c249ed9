//! What the spec says in PostgreSQL's own dialect: taken as it stands, once it is sure to be one expression.

/// Why a text is not one expression, as a fragment.
pub(super) type Refusal = &'static str;

/// Makes sure that a text stays within the place it is written to, whatever PostgreSQL thinks of what it says.
///
/// Quotes and parentheses have to be closed; a semicolon, a comma outside parentheses and a comment are refused, because
/// each would make more of it than one expression.
pub(super) fn one_expression(text: &str) -> Result<(), Refusal> {
    if text.trim().is_empty() {
        return Err("it is empty");
    }
    let mut open = Vec::new();
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let after = &rest[character.len_utf8()..];
        rest = match character {
            '\'' => {
                let before = &text[..text.len() - rest.len()];
                let escapes = before.ends_with(['e', 'E'])
                    && !before[..before.len() - 1].ends_with(|c: char| c.is_alphanumeric() || c == '_');
                string(after, escapes).ok_or("a quote is not closed")?
            }
            '"' => after.split_once('"').map(|(_, behind)| behind).ok_or("a quote is not closed")?,
            '$' => {
                let within_name = text[..text.len() - rest.len()].ends_with(|c: char| c.is_alphanumeric() || c == '_');
                match dollar_tag(rest).filter(|_| !within_name) {
                    Some(tag) => {
                        let behind = &rest[tag.len()..];
                        let end = behind.find(tag).ok_or("a dollar quote is not closed")?;
                        &behind[end + tag.len()..]
                    }
                    None => after,
                }
            }
            '(' | '[' => {
                open.push(character);
                after
            }
            ')' | ']' => {
                let opener = if character == ')' { '(' } else { '[' };
                if open.pop() != Some(opener) {
                    return Err("a parenthesis is closed that is not open");
                }
                after
            }
            ';' => return Err("a semicolon ends it"),
            ',' if open.is_empty() => return Err("a comma makes it a list"),
            '-' if after.starts_with('-') => return Err("comments are not taken"),
            '/' if after.starts_with('*') => return Err("comments are not taken"),
            '\0' => return Err("it holds a NUL character"),
            _ => after,
        };
    }
    if open.is_empty() { Ok(()) } else { Err("a parenthesis is not closed") }
}

/// Returns what follows a string constant whose opening quote has been read.
fn string(text: &str, escapes: bool) -> Option<&str> {
    let mut characters = text.char_indices().peekable();
    while let Some((position, character)) = characters.next() {
        match character {
            '\\' if escapes => {
                characters.next();
            }
            '\'' if characters.peek().is_some_and(|(_, next)| *next == '\'') => {
                characters.next();
            }
            '\'' => return Some(&text[position + 1..]),
            _ => {}
        }
    }
    None
}

/// Returns the opening tag of a dollar quote, `$$` or `$tag$`.
fn dollar_tag(text: &str) -> Option<&str> {
    let end = text[1..].find('$')? + 1;
    let name = &text[1..end];
    let valid = name.chars().all(|c| c.is_alphanumeric() || c == '_') && !name.starts_with(|c: char| c.is_numeric());
    valid.then(|| &text[..=end])
}

/// Puts a DEFAULT in parentheses, unless it is one word, one number, one constant or one call without arguments: what
/// follows an expression there would otherwise be read as another clause of the column.
pub(super) fn as_default(text: &str) -> String {
    let text = text.trim();
    let word =
        |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'));
    let constant = text.strip_prefix('\'').and_then(|rest| string(rest, false)).is_some_and(str::is_empty);
    let call = text.strip_suffix("()").is_some_and(word);
    if word(text) || constant || call { text.to_owned() } else { format!("({text})") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_expression_passes() {
        for text in [
            "now()",
            "status = 'active'",
            "a = 'it''s; (not) -- a comment'",
            r"a = E'it\'s ;'",
            "\"odd;name\" IS NOT NULL",
            "x = ANY (ARRAY['a', 'b'])",
            "coalesce(a, b) > 0",
            "body = $$; -- $$",
            "body = $t$ ) $t$",
            "price - -1 > 2 / 3",
            "nameE'x'",
        ] {
            assert_eq!(one_expression(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn what_is_more_or_less_than_one_expression_is_refused() {
        for (text, reason) in [
            ("", "empty"),
            ("  ", "empty"),
            ("1; DROP TABLE x", "semicolon"),
            ("1, x int", "list"),
            ("1) CHECK (true", "closed that is not open"),
            ("(1", "not closed"),
            ("(1]", "not open"),
            ("'a", "quote is not closed"),
            (r"'a\'; DROP TABLE x --'", "semicolon"),
            (r"E'a\'", "quote is not closed"),
            ("\"a", "quote is not closed"),
            ("$a$ x", "dollar quote is not closed"),
            ("1 -- x", "comments"),
            ("1 /* x */", "comments"),
            ("nameE'x\\'; y'", "semicolon"),
        ] {
            let refusal = one_expression(text).expect_err(text);
            assert!(refusal.contains(reason), "{text}: {refusal}");
        }
    }

    #[test]
    fn a_default_cannot_go_on_as_another_clause() {
        assert_eq!(as_default("now()"), "now()");
        assert_eq!(as_default("'a b'"), "'a b'");
        assert_eq!(as_default("0.5"), "0.5");
        assert_eq!(as_default("1 PRIMARY KEY"), "(1 PRIMARY KEY)");
        assert_eq!(as_default("'a' || 'b'"), "('a' || 'b')");
    }
}

//! JSON documents: PostgreSQL checks them again, and `jsonb` takes them apart, so what it would refuse is found here.

use super::convert::storable;
use crate::schema::{PgType, Value};
use std::collections::HashSet;

/// How deep arrays and objects may stand in each other; PostgreSQL's own limit depends on the size of its stack.
const DEEPEST: usize = 999;

/// Appends the body of a field of binary COPY.
///
/// # Errors
/// A fragment that says why the value is no document of the type.
pub(super) fn field(value: &Value<'_>, data_type: PgType, out: &mut Vec<u8>) -> Result<(), String> {
    if data_type == PgType::Jsonb {
        out.push(1);
    }
    match value {
        // A column declared JSON has NUMERIC affinity: a document that is a number is stored as one.
        Value::Integer(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Value::Real(number) if number.is_finite() => out.extend_from_slice(number.to_string().as_bytes()),
        Value::Text(text) => {
            let text = storable(text)?;
            serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|_| "a text that is not JSON".to_owned())?;
            examine(text.as_bytes(), data_type == PgType::Jsonb)?;
            out.extend_from_slice(text.as_bytes());
        }
        _ => return Err("an infinite number in a JSON column".to_owned()),
    }
    Ok(())
}

/// Looks for what is JSON and yet refused: `json` minds depth alone, `jsonb` resolves escapes, reads numbers, and of two
/// values by one name keeps the last.
fn examine(mut rest: &[u8], as_jsonb: bool) -> Result<(), String> {
    let (mut depth, mut in_string) = (0_usize, false);
    let mut names = Names::default();
    while let Some(&byte) = rest.first() {
        let mut length = 1;
        match byte {
            b'"' => {
                in_string = !in_string;
                if as_jsonb {
                    names.quote(rest, in_string)?;
                }
            }
            b'\\' => length = escape(rest, as_jsonb)?,
            _ if in_string => {}
            b',' => names.next(),
            b'[' | b'{' => {
                names.open(byte == b'{');
                depth += 1;
                if depth > DEEPEST {
                    return Err(format!("JSON that is nested more than {DEEPEST} deep"));
                }
            }
            b']' | b'}' => {
                names.close();
                depth = depth.saturating_sub(1);
            }
            b'-' | b'0'..=b'9' => {
                let is_part = |byte: &&u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
                length = rest.iter().take_while(is_part).count();
                if as_jsonb && !is_numeric(&rest[..length]) {
                    return Err("JSON with a number that jsonb cannot hold".to_owned());
                }
            }
            _ => {}
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    Ok(())
}

/// The names of the objects that stand open.
#[derive(Default)]
struct Names<'t> {
    /// `None` for an array.
    open: Vec<Option<HashSet<String>>>,
    /// The next text is a name.
    expected: bool,
    /// The text from the quote on that a name begins with.
    begun: &'t [u8],
}

impl<'t> Names<'t> {
    fn open(&mut self, is_object: bool) {
        self.open.push(is_object.then(HashSet::new));
        self.expected = is_object;
    }

    fn close(&mut self) {
        self.open.pop();
        self.expected = false;
    }

    fn next(&mut self) {
        self.expected = matches!(self.open.last(), Some(Some(_)));
    }

    /// Comes by a quote that begins or ends a text.
    fn quote(&mut self, rest: &'t [u8], begins: bool) -> Result<(), String> {
        if begins || !self.expected {
            self.begun = rest;
            return Ok(());
        }
        self.expected = false;
        let quoted = self.begun.get(..=self.begun.len() - rest.len()).unwrap_or_default();
        // What is no name has been refused for that.
        let Ok(name) = serde_json::from_slice::<String>(quoted) else { return Ok(()) };
        let is_new = self.open.last_mut().and_then(Option::as_mut).is_none_or(|names| names.insert(name));
        if is_new {
            Ok(())
        } else {
            Err("JSON with one name twice in an object, of which jsonb keeps the last".to_owned())
        }
    }
}

/// Returns the length of the escape that a text begins with, where it stands for a character that can be kept.
fn escape(text: &[u8], as_jsonb: bool) -> Result<usize, String> {
    let code = |escape: &[u8]| match escape {
        [b'\\', b'u', digits @ ..] => {
            digits.get(..4).and_then(|digits| u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok())
        }
        _ => None,
    };
    match code(text) {
        // A backslash escapes the next one, too.
        None => Ok(2),
        Some(_) if !as_jsonb => Ok(6),
        Some(0) => Err("JSON with the character \\u0000, which jsonb refuses".to_owned()),
        Some(0xD800..0xDC00) if text.get(6..).and_then(code).is_some_and(|low| (0xDC00..0xE000).contains(&low)) => {
            Ok(12)
        }
        Some(0xD800..0xE000) => Err("JSON with half of a surrogate pair, which jsonb refuses".to_owned()),
        Some(_) => Ok(6),
    }
}

/// Says whether PostgreSQL's numeric has room for a number: 131,072 digits before the point and 16,383 behind it.
fn is_numeric(number: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(number) else { return false };
    let (digits, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = digits.trim_start_matches('-').split_once('.').unwrap_or((digits, ""));
    let Ok(exponent) = exponent.parse::<i64>() else { return false };
    let whole = whole.trim_start_matches(['-', '0']).len() as i64;
    whole.saturating_add(exponent) <= 131_072 && (fraction.len() as i64).saturating_sub(exponent) <= 16_383
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    fn fits(text: &str, data_type: PgType) -> bool {
        field(&Value::Text(Cow::Borrowed(text.as_bytes())), data_type, &mut Vec::new()).is_ok()
    }

    #[test]
    fn escapes_have_to_stand_for_characters_in_jsonb() {
        for refused in [r#""\u0000""#, r#""\\\u0000""#, r#""\ud800""#, r#""\udc00\ud800""#, r#"{"\ud83dx": 1}"#] {
            assert!(!fits(refused, PgType::Jsonb), "{refused}");
            assert!(fits(refused, PgType::Json), "json keeps the escape: {refused}");
        }
        for kept in [r#""\\u0000""#, r#""\ud83d\ude00""#, r#""\"\\\\ud800""#, r#""\u00e9""#] {
            assert!(fits(kept, PgType::Jsonb), "{kept}");
        }
    }

    #[test]
    fn no_value_is_lost_to_another_of_its_name() {
        for refused in
            [r#"{"a": 1, "a": 2}"#, r#"[{"b": {"a": "a", "c": [1, {}], "\u0061": 2}}]"#, r#"{"": 1, "a": {}, "": 2}"#]
        {
            assert!(!fits(refused, PgType::Jsonb), "{refused}");
            assert!(fits(refused, PgType::Json), "json keeps both: {refused}");
        }
        for kept in [
            r#"{"a": "a", "b": {"a": ["a", "a"]}, "c": {"a": 1}}"#,
            r#"[{"a": 1}, {"a": 1}]"#,
            r#"{"a\"": 1, "a": "\"a\": 2,"}"#,
        ] {
            assert!(fits(kept, PgType::Jsonb), "{kept}");
        }
    }

    #[test]
    fn nesting_has_an_end() {
        let nested = |depth: usize| format!("{}\"[[\\\"[\"{}", "[".repeat(depth), "]".repeat(depth));
        for data_type in [PgType::Json, PgType::Jsonb] {
            assert!(fits(&nested(DEEPEST), data_type));
            assert!(!fits(&nested(DEEPEST + 1), data_type));
            assert!(fits(&format!("[{}1]", "[],".repeat(2000)), data_type), "side by side is not deep");
        }
    }

    #[test]
    fn numbers_are_those_of_numeric() {
        for kept in ["1e131071", "-1E+1000", "0.5e-16000", "[0.000, -0, 12345678901234567890]", "\"1e999999\""] {
            assert!(fits(kept, PgType::Jsonb), "{kept}");
        }
        for refused in ["1e131072", "[1e200000]", "1e-16384", "1e99999999999999999999"] {
            assert!(!fits(refused, PgType::Jsonb), "{refused}");
            assert!(fits(refused, PgType::Json), "{refused}");
        }
    }
}

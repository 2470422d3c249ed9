//! JSON by value: what `jsonb` keeps of a text, and no more.
//!
//! Keys are sorted; of equal ones `jsonb` would keep the last, so there may be none; numbers are decimals of any length; escapes are resolved.

use super::decimal::Decimal;
use std::collections::BTreeMap;

/// How deep arrays and objects may stand in each other.
const DEPTH: usize = 1000;

/// Encodes the value that a JSON text stands for; `None` for what `jsonb` refuses.
pub(super) fn encode(text: &[u8]) -> Option<Vec<u8>> {
    let mut parser = Parser { rest: std::str::from_utf8(text).ok()?.as_bytes() };
    let mut out = Vec::new();
    parser.value(&mut out, DEPTH)?;
    parser.skip_space();
    parser.rest.is_empty().then_some(out)
}

struct Parser<'t> {
    rest: &'t [u8],
}

impl Parser<'_> {
    fn skip_space(&mut self) {
        while let [b' ' | b'\t' | b'\n' | b'\r', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    fn eat(&mut self, token: &[u8]) -> Option<()> {
        self.skip_space();
        self.rest = self.rest.strip_prefix(token)?;
        Some(())
    }

    fn value(&mut self, out: &mut Vec<u8>, depth: usize) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        self.skip_space();
        match self.rest.first()? {
            b'n' => self.eat(b"null").map(|()| out.push(b'n')),
            b't' => self.eat(b"true").map(|()| out.push(b't')),
            b'f' => self.eat(b"false").map(|()| out.push(b'f')),
            b'"' => self.string().map(|text| put(out, b's', &text)),
            b'[' => self.array(out, depth),
            b'{' => self.object(out, depth),
            _ => self.number().map(|number| number.encode(|content| put(out, b'd', content))),
        }
    }

    fn array(&mut self, out: &mut Vec<u8>, depth: usize) -> Option<()> {
        self.eat(b"[")?;
        let mut items = Vec::new();
        if self.eat(b"]").is_none() {
            loop {
                items.push(b',');
                self.value(&mut items, depth)?;
                if self.eat(b",").is_none() {
                    self.eat(b"]")?;
                    break;
                }
            }
        }
        put(out, b'[', &items);
        Some(())
    }

    fn object(&mut self, out: &mut Vec<u8>, depth: usize) -> Option<()> {
        self.eat(b"{")?;
        let mut members = BTreeMap::new();
        if self.eat(b"}").is_none() {
            loop {
                self.skip_space();
                let key = self.string()?;
                self.eat(b":")?;
                let mut value = Vec::new();
                self.value(&mut value, depth)?;
                if members.insert(key, value).is_some() {
                    return None;
                }
                if self.eat(b",").is_none() {
                    self.eat(b"}")?;
                    break;
                }
            }
        }
        let mut content = Vec::new();
        for (key, value) in &members {
            put(&mut content, b'k', key);
            content.extend_from_slice(value);
        }
        put(out, b'{', &content);
        Some(())
    }

    fn number(&mut self) -> Option<Decimal> {
        let length = self.rest.iter().take_while(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'));
        let (text, rest) = self.rest.split_at(length.count());
        let unsigned = text.strip_prefix(b"-").unwrap_or(text);
        // JSON is stricter than the decimals: digits before the point and behind it, and no zeros in front.
        let (before, behind) = match unsigned.iter().position(|byte| !byte.is_ascii_digit()) {
            Some(at) => unsigned.split_at(at),
            None => (unsigned, &[][..]),
        };
        let whole = !before.is_empty() && (before.len() == 1 || before[0] != b'0');
        let point = !behind.starts_with(b".") || behind.get(1).is_some_and(u8::is_ascii_digit);
        self.rest = rest;
        let number = if whole && point { Decimal::from_text(text)? } else { return None };
        let (before, behind, _) = number.places();
        (before <= 131_072 && behind <= 16_383).then_some(number)
    }

    fn string(&mut self) -> Option<Vec<u8>> {
        self.rest = self.rest.strip_prefix(b"\"")?;
        let mut text = Vec::new();
        loop {
            let (&byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            match byte {
                b'"' => return Some(text),
                b'\\' => {
                    let character = self.escape()?;
                    text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                }
                0..=0x1f => return None,
                _ => text.push(byte),
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.hexadecimal()?;
                let code = match first {
                    0xD800..0xDC00 => {
                        self.rest = self.rest.strip_prefix(b"\\u")?;
                        let second = self.hexadecimal().filter(|second| (0xDC00..0xE000).contains(second))?;
                        0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)
                    }
                    _ => first,
                };
                // A text of PostgreSQL holds no NUL.
                char::from_u32(code).filter(|&character| character != '\0')?
            }
            _ => return None,
        })
    }

    fn hexadecimal(&mut self) -> Option<u32> {
        let (digits, rest) = self.rest.split_at_checked(4)?;
        self.rest = rest;
        digits.iter().try_fold(0, |value, &digit| Some(value * 16 + char::from(digit).to_digit(16)?))
    }
}

fn put(out: &mut Vec<u8>, tag: u8, content: &[u8]) {
    out.push(tag);
    out.extend_from_slice(&(content.len() as u64).to_be_bytes());
    out.extend_from_slice(content);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_jsonb_does_not_tell_apart_is_the_same() {
        for (one, other) in [
            (r#"{"b": 1, "a": [true, null]}"#, r#"{"a":[true,null],"b":1.00}"#),
            (r#""\u00e9\n\ud83d\ude00\/""#, "\"é\\n😀/\""),
            ("[12345678901234567890.10, 1e2, -0]", "[12345678901234567890.1, 100, 0]"),
        ] {
            assert!(encode(one.as_bytes()).is_some());
            assert_eq!(encode(one.as_bytes()), encode(other.as_bytes()), "{one}");
        }
    }

    #[test]
    fn what_differs_stays_apart() {
        let texts = [
            "1",
            "\"1\"",
            "[1]",
            "[[1]]",
            "{}",
            "[]",
            "null",
            "\"null\"",
            "{\"a\":1}",
            "{\"a\":[1]}",
            "[1,1]",
            "12345678901234567890",
            "12345678901234567891",
            "true",
        ];
        for (position, one) in texts.iter().enumerate() {
            for other in &texts[position + 1..] {
                assert_ne!(encode(one.as_bytes()), encode(other.as_bytes()), "{one} {other}");
            }
        }
    }

    #[test]
    fn what_jsonb_refuses_has_no_value() {
        for text in [
            "",
            "{",
            "[1,]",
            "{\"a\"}",
            "01",
            "1.",
            ".5",
            "+1",
            "'a'",
            "nul",
            "1 2",
            r#""\u0000""#,
            r#""\ud800""#,
            r#""\x""#,
            "\"\n\"",
            "NaN",
            "[1 2]",
            "{a:1}",
            "1e",
            "-",
        ] {
            assert_eq!(encode(text.as_bytes()), None, "{text}");
        }
        assert_eq!(encode(b"\"\xff\""), None);
        assert_eq!(encode("[".repeat(100_000).as_bytes()), None);
    }
}

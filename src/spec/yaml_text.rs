//! Texts as YAML that reads back as the same text, in a block and inside `{…}`.

use crate::ident::visible;

/// Writes a text as a scalar of YAML: plain where that is safe everywhere, else in double quotes.
pub fn yaml_text(text: &str) -> String {
    let begins = text.strip_prefix("../").unwrap_or(text);
    let is_plain = begins.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_' || begins != text)
        && text.chars().all(|part| part.is_ascii_alphanumeric() || matches!(part, '_' | '-' | '(' | ')' | '.' | '/'))
        && !matches!(
            text.to_ascii_lowercase().as_str(),
            "null" | "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n"
        );
    if is_plain {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            // YAML folds some of these, and editors and terminals obey others.
            _ if visible(character.encode_utf8(&mut [0; 4])) != *character.encode_utf8(&mut [0; 4]) => {
                quoted.push_str(&format!("\\U{:08X}", u32::from(character)));
            }
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_where_yaml_would_read_something_else() {
        assert_eq!(yaml_text("order_totals"), "order_totals");
        assert_eq!(yaml_text("varchar(100)"), "varchar(100)");
        assert_eq!(yaml_text("../db/app.sql"), "../db/app.sql");
        assert_eq!(yaml_text(".5"), "\".5\"");
        assert_eq!(yaml_text("a: b"), "\"a: b\"");
        assert_eq!(yaml_text("no"), "\"no\"");
        assert_eq!(yaml_text("1st"), "\"1st\"");
    }

    #[test]
    fn what_is_written_reads_back_as_the_same() {
        for text in [
            "a",
            "a, b",
            "{x}",
            "[a]",
            "#",
            "- a",
            "null",
            "~",
            "1e3",
            "é",
            "'",
            "\"",
            "\\",
            "a\nb",
            "\t",
            "\u{1b}[2J",
            "\u{85}",
            "\u{2028}",
            "\u{feff}",
            "\u{202e}",
            "😀",
            " a ",
            "a:b",
            "numeric(10,2)",
            "? x",
            "%a",
            "@a",
            "`",
        ] {
            let written = format!("{{{0}: {0}}}", yaml_text(text));
            let read: std::collections::BTreeMap<String, String> = serde_yaml::from_str(&written).unwrap();
            assert_eq!(read.get(text).map(String::as_str), Some(text), "{written}");
            let spans = super::super::yaml::walk(&written, crate::diagnostic::SourceId(0)).unwrap();
            assert_eq!(spans.text(&[text]), Some(text), "{written}");
        }
    }
}

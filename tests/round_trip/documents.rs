//! JSON documents made from what they hold: written in many ways, and as `jsonb` shows them.

use crate::values::{Case, Shown, Stored};
use proptest::prelude::*;
use proptest::sample::select;
use rusqlite::types::Value;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Clone)]
enum Json {
    Word(&'static str),
    /// How it is written, and how `jsonb` writes it.
    Number(String, String),
    Text(String),
    List(Vec<Json>),
    /// In this order, and a name may come twice: `json` keeps both, and the last is all that `jsonb` would keep.
    Object(Vec<(String, Json)>),
}

fn numbers() -> impl Strategy<Value = Json> {
    let parts = (any::<bool>(), 0..1_000_000_u64, "[0-9]{0,6}", -8..=8_isize, any::<bool>());
    parts.prop_map(|(negative, whole, fraction, power, with_power)| {
        let power = if with_power { power } else { 0 };
        let sign = if negative { "-" } else { "" };
        let point = if fraction.is_empty() { "" } else { "." };
        let exponent = if with_power { format!("e{power:+}") } else { String::new() };
        let written = format!("{sign}{whole}{point}{fraction}{exponent}");
        let digits = format!("{whole}{fraction}");
        // The point moves by the power; zeros fill what is missing on either side, and those behind it stay.
        let decimals = fraction.len() as isize - power;
        let (digits, decimals) = match usize::try_from(decimals) {
            Ok(decimals) => (format!("{digits:0>width$}", width = decimals + 1), decimals),
            Err(_) => (format!("{digits}{}", "0".repeat(decimals.unsigned_abs())), 0),
        };
        let (before, behind) = digits.split_at(digits.len() - decimals);
        let before = before.trim_start_matches('0');
        let before = if before.is_empty() { "0" } else { before };
        let sign = if digits.bytes().all(|digit| digit == b'0') { "" } else { sign };
        let point = if behind.is_empty() { "" } else { "." };
        Json::Number(written, format!("{sign}{before}{point}{behind}"))
    })
}

fn strings() -> impl Strategy<Value = String> {
    let character = prop_oneof![
        3 => proptest::char::range(' ', '~'),
        1 => select(vec!['"', '\\', '/', '\n', '\t', '\r', '\u{8}', '\u{c}', '\u{1}', '\u{7f}', 'é', '😀', '\u{2028}']),
    ];
    prop::collection::vec(character, 0..8).prop_map(|characters| characters.into_iter().collect())
}

fn documents() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        select(vec!["null", "true", "false"]).prop_map(Json::Word),
        numbers(),
        strings().prop_map(Json::Text),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Json::List),
            prop::collection::vec(("[a-c]{0,3}", inner), 0..5).prop_map(Json::Object),
        ]
    })
}

/// Writes a document with spaces and escapes as `choices` has them.
fn written(json: &Json, choices: &mut impl Iterator<Item = u8>, out: &mut String) {
    let space = |choice: Option<u8>| [" ", "\n", "", "\t", "", ""][usize::from(choice.unwrap_or(2)) % 6];
    out.push_str(space(choices.next()));
    match json {
        Json::Word(word) => out.push_str(word),
        Json::Number(written, _) => out.push_str(written),
        Json::Text(string) => quoted(string, choices, out),
        Json::List(items) => {
            out.push('[');
            for (position, item) in items.iter().enumerate() {
                out.push_str(if position > 0 { "," } else { "" });
                written(item, choices, out);
            }
            out.push(']');
        }
        Json::Object(members) => {
            out.push('{');
            for (position, (name, member)) in members.iter().enumerate() {
                out.push_str(if position > 0 { "," } else { "" });
                quoted(name, choices, out);
                out.push_str(space(choices.next()));
                out.push(':');
                written(member, choices, out);
            }
            out.push('}');
        }
    }
    out.push_str(space(choices.next()));
}

fn quoted(string: &str, choices: &mut impl Iterator<Item = u8>, out: &mut String) {
    out.push('"');
    for character in string.chars() {
        let escaped = choices.next().unwrap_or(0) % 4 == 1;
        match character {
            _ if escaped || character < ' ' => {
                let mut units = [0; 2];
                for unit in character.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            '"' | '\\' => {
                out.push('\\');
                out.push(character);
            }
            _ => out.push(character),
        }
    }
    out.push('"');
}

/// Says whether an object of a document has a name twice.
fn repeats_a_name(json: &Json) -> bool {
    match json {
        Json::Word(_) | Json::Number(..) | Json::Text(_) => false,
        Json::List(items) => items.iter().any(repeats_a_name),
        Json::Object(members) => {
            let names: BTreeSet<&String> = members.iter().map(|(name, _)| name).collect();
            names.len() < members.len() || members.iter().any(|(_, member)| repeats_a_name(member))
        }
    }
}

/// Writes a document as PostgreSQL does: names by length and then by bytes, one space each.
fn canonical(json: &Json) -> String {
    match json {
        Json::Word(word) => (*word).to_owned(),
        Json::Number(_, canonical) => canonical.clone(),
        Json::Text(string) => canonical_string(string),
        Json::List(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(", ")),
        Json::Object(members) => {
            let sorted: BTreeMap<(usize, &str), &Json> =
                members.iter().map(|(name, member)| ((name.len(), name.as_str()), member)).collect();
            let member = |((_, name), member): (&(usize, &str), &&Json)| {
                format!("{}: {}", canonical_string(name), canonical(member))
            };
            format!("{{{}}}", sorted.iter().map(member).collect::<Vec<_>>().join(", "))
        }
    }
}

fn canonical_string(string: &str) -> String {
    let mut out = String::from("\"");
    for character in string.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control @ '\0'..' ' => out.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

fn spelled() -> impl Strategy<Value = (Json, String)> {
    (documents(), prop::collection::vec(any::<u8>(), 0..60)).prop_map(|(json, choices)| {
        let mut text = String::new();
        written(&json, &mut choices.into_iter(), &mut text);
        (json, text)
    })
}

fn not_documents() -> impl Strategy<Value = Case> {
    const WORDS: &[&str] = &[
        "", " ", "{", "{a: 1}", "[1,]", "'a'", "nul", "01", "1.", ".5", "+1", "\"\n\"", "\"a", "NaN", "\u{a0}1", "1 2",
    ];
    select(WORDS).prop_map(|word| (Stored::Value(Value::Text(word.to_owned())), Shown::Refused))
}

/// Documents that keep every byte.
pub fn kept() -> impl Strategy<Value = Case> {
    prop_oneof![
        8 => spelled().prop_map(|(_, text)| (Stored::Value(Value::Text(text.clone())), Shown::Text(text))),
        1 => not_documents(),
    ]
}

/// Documents that are taken apart.
pub fn taken_apart() -> impl Strategy<Value = Case> {
    let refused = select(vec!["\"\\u0000\"", "[\"\\ud800\"]", "{\"\\udc00\": 1}", "1e999999"]);
    prop_oneof![
        8 => spelled().prop_map(|(json, text)| {
            let shown = if repeats_a_name(&json) { Shown::Refused } else { Shown::Text(canonical(&json)) };
            (Stored::Value(Value::Text(text)), shown)
        }),
        1 => not_documents(),
        1 => refused.prop_map(|text| (Stored::Value(Value::Text(text.to_owned())), Shown::Refused)),
    ]
}

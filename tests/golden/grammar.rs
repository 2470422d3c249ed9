//! The spec's grammar, read from the Rust types that serde fills.

use serde_yaml::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Types by name.
pub struct Grammar(BTreeMap<String, Type>);

/// What a value of one type may be.
#[derive(Default)]
struct Type {
    /// Keys of a mapping, with the names of their types.
    keys: Vec<(String, String)>,
    /// Words.
    words: Vec<String>,
    /// The type of its mapping, where it is a word or a mapping.
    body: Option<String>,
}

impl Grammar {
    /// Reads structs and enums that derive `Deserialize`, and those that a macro implements it for.
    pub fn read(code: &str) -> Self {
        let mut grammar = Self(BTreeMap::new());
        let items =
            code.split("#[derive(").skip(1).filter(|item| item.split(')').next().unwrap().contains("Deserialize"));
        for item in items {
            let Some((before, body)) = item.split_once('{') else { continue };
            let mut words = before.split_whitespace().rev();
            let name = words.next().unwrap().to_owned();
            let lines = body.split("\n}").next().unwrap().lines().map(str::trim);
            grammar.0.insert(name, if words.next() == Some("struct") { keys(lines) } else { variants(lines) });
        }
        for call in code.split("\nword_or_map!(").skip(1) {
            let name = call.split(',').next().unwrap().trim().to_owned();
            let (words, rest) = call.split_once("\n    [").unwrap().1.split_once(']').unwrap();
            let entry = grammar.0.entry(name).or_default();
            entry.words =
                words.split(',').filter_map(|word| word.split_once("=>")).map(|(word, _)| unquoted(word)).collect();
            entry.body = rest.split_once(',').and_then(|(_, rest)| Some(rest.split_once("=>")?.0.trim().to_owned()));
        }
        for call in code.split("\nword_or_sequence!(").skip(1) {
            let call = call.split("\n);").next().unwrap();
            let name = call.split(',').next().unwrap().trim().to_owned();
            let (words, rest) = call.split_once("\n    [").unwrap().1.split_once(']').unwrap();
            let entry = grammar.0.entry(name).or_default();
            entry.words =
                words.split(',').filter_map(|word| Some(word.split_once("=>")?.0.trim())).map(unquoted).collect();
            // A list has no type of its own; where a mapping may stand as well, `BODY => …` follows.
            entry.body = rest.split_once("=>").and_then(|(body, _)| Some(body.rsplit_once(',')?.1.trim().to_owned()));
        }
        // A type written by hand that is a word or a mapping names the type of its mapping where it reads it.
        for item in code.split("\nimpl<'de> Deserialize<'de> for ").skip(1) {
            let Some((name, rest)) = item.split_once(" {") else { continue };
            let rest = rest.split("\n}").next().unwrap();
            let Some((before, _)) = rest.split_once("::deserialize(MapAccessDeserializer") else { continue };
            let body = before.rsplit(|character: char| !character.is_alphanumeric()).next().unwrap();
            grammar.0.entry(name.to_owned()).or_default().body = Some(body.to_owned());
        }
        grammar
    }

    /// Lists every key as `Type.key` and every word as `Type: word`.
    pub fn everything(&self) -> BTreeSet<String> {
        let keys =
            self.0.iter().flat_map(|(name, found)| found.keys.iter().map(move |(key, _)| format!("{name}.{key}")));
        let words =
            self.0.iter().flat_map(|(name, found)| found.words.iter().map(move |word| format!("{name}: {word}")));
        keys.chain(words).collect()
    }

    /// Collects the keys and words that occur in a value of a type.
    pub fn collect(&self, type_name: &str, value: &Value, used: &mut BTreeSet<String>) {
        let type_name = type_name.trim();
        if let Some(inner) = ["Option<", "Box<"].iter().find_map(|outer| inside(type_name, outer)) {
            return self.collect(inner, value, used);
        }
        if let Some((_, inner)) = inside(type_name, "BTreeMap<").and_then(|inner| inner.split_once(',')) {
            return value.as_mapping().into_iter().flatten().for_each(|(_, value)| self.collect(inner, value, used));
        }
        if let Some(inner) = inside(type_name, "Vec<") {
            return value.as_sequence().into_iter().flatten().for_each(|value| self.collect(inner, value, used));
        }
        let Some(found) = self.0.get(type_name) else { return };
        if let Some(word) = value.as_str().filter(|word| found.words.iter().any(|known| known == word)) {
            used.insert(format!("{type_name}: {word}"));
        }
        if let (Some(body), Value::Mapping(_)) = (&found.body, value) {
            self.collect(body, value, used);
        }
        for (key, type_of_key) in &found.keys {
            if let Some(value) = value.as_mapping().and_then(|mapping| mapping.get(key.as_str())) {
                used.insert(format!("{type_name}.{key}"));
                self.collect(type_of_key, value, used);
            }
        }
    }
}

fn inside<'a>(type_name: &'a str, outer: &str) -> Option<&'a str> {
    type_name.strip_prefix(outer)?.strip_suffix('>')
}

fn unquoted(text: &str) -> String {
    text.trim().trim_matches('"').to_owned()
}

fn renamed(line: &str) -> Option<String> {
    Some(line.split_once("rename = \"")?.1.split('"').next()?.to_owned())
}

fn keys<'a>(lines: impl Iterator<Item = &'a str>) -> Type {
    let mut found = Type::default();
    let mut name = None;
    let mut skipped = false;
    for line in lines.filter(|line| !line.starts_with("//")) {
        // What serde skips is no key: it is filled in later.
        if line == "#[serde(skip)]" {
            skipped = true;
        } else if std::mem::take(&mut skipped) {
        } else if line.starts_with("#[") {
            name = renamed(line).or(name);
        } else if let Some((key, type_of_key)) = line.trim_end_matches(',').split_once(": ") {
            let key = key.trim_start_matches("pub ").trim_start_matches("r#").to_owned();
            found.keys.push((name.take().unwrap_or(key), type_of_key.to_owned()));
        }
    }
    found
}

fn variants<'a>(lines: impl Iterator<Item = &'a str>) -> Type {
    let mut found = Type::default();
    let mut name = None;
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with("//")) {
        if line.starts_with("#[") {
            name = renamed(line).or(name);
        } else {
            found.words.push(name.take().unwrap_or_else(|| snake_case(line.trim_end_matches(','))));
        }
    }
    found
}

fn snake_case(name: &str) -> String {
    let mut text = String::new();
    for (position, character) in name.char_indices() {
        if character.is_uppercase() && position > 0 {
            text.push('_');
        }
        text.extend(character.to_lowercase());
    }
    text
}

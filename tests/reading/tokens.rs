//! What a statement says, word by word, in a spelling in which nothing but the meaning counts.
//!
//! This reads SQL by a tokenizer of its own, so that it does not share a mistake with what it checks.

use std::collections::BTreeMap;
use tenantry::ident::quote_always;

/// Cuts a text into lower-case words, dequoted names and texts, numbers in decimal, and symbols.
pub fn words(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    let get = |at: usize| characters.get(at).copied().unwrap_or('\0');
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$' || !c.is_ascii();
    let mut words = Vec::new();
    let mut at = 0;
    while at < characters.len() {
        let first = get(at);
        if first.is_ascii_whitespace() || first == '\u{feff}' {
            at += 1;
        } else if first == '-' && get(at + 1) == '-' {
            while at < characters.len() && get(at) != '\n' {
                at += 1;
            }
        } else if first == '/' && get(at + 1) == '*' {
            at += 2;
            while at < characters.len() && !(get(at) == '*' && get(at + 1) == '/') {
                at += 1;
            }
            at += 2;
        } else if matches!(first, '"' | '\'' | '`' | '[') {
            let close = if first == '[' { ']' } else { first };
            let mut inside = String::new();
            at += 1;
            while at < characters.len() {
                if get(at) != close {
                    inside.push(get(at));
                } else if close != ']' && get(at + 1) == close {
                    inside.push(close);
                    at += 1;
                } else {
                    break;
                }
                at += 1;
            }
            at += 1;
            // A type in quotes is as many words as one without.
            words.extend(words_of_quoted(&inside));
        } else if first.is_ascii_digit() || (first == '.' && get(at + 1).is_ascii_digit()) {
            let start = at;
            while is_word(get(at))
                || get(at) == '.'
                || (matches!(get(at), '+' | '-') && matches!(get(at - 1), 'e' | 'E'))
            {
                at += 1;
            }
            words.push(number(&characters[start..at].iter().collect::<String>()));
        } else if is_word(first) {
            let start = at;
            while is_word(get(at)) {
                at += 1;
            }
            words.push(characters[start..at].iter().collect::<String>().to_lowercase());
        } else {
            words.push(first.to_string());
            at += 1;
        }
    }
    words
}

fn words_of_quoted(inside: &str) -> Vec<String> {
    let parts = inside.split(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '$' | '.'));
    parts.filter(|part| !part.is_empty()).map(|part| number(&part.to_lowercase())).collect()
}

fn number(written: &str) -> String {
    let digits = written.replace('_', "").to_ascii_lowercase();
    match digits.strip_prefix("0x").and_then(|hex| u64::from_str_radix(hex, 16).ok()) {
        Some(value) => value.cast_signed().unsigned_abs().to_string(),
        None if written.starts_with(|c: char| c.is_ascii_digit() || c == '.') => digits,
        None => written.to_owned(),
    }
}

/// Patterns that say nothing: SQLite does the same without them. `?` is any word, `x|y` either, `*` a name.
const EMPTY: &[&str] = &[
    "on conflict abort",
    "null on conflict ?",
    "on insert set null|default",
    "on insert no action",
    "on insert cascade|restrict",
    "on delete|update no action",
    "match ?",
    "not deferrable initially deferred|immediate",
    "not deferrable",
    "initially immediate",
    "if not exists",
];

/// Words that spell the same in another way, say what is so anyway, or that a pragma shows.
const SILENT: &[&str] = &[
    "collate",
    "binary",
    "nocase",
    "rtrim",
    "asc",
    "null",
    "is",
    "virtual",
    "generated",
    "always",
    "isnull",
    "notnull",
    "create",
    "table",
    "unique",
    "index",
    "temp",
    "temporary",
    "main",
    "first",
    "last",
    "nulls",
    "distinct",
    "from",
    "not",
];

/// Returns the words of a statement that have to come back, as a multiset, and the names of its constraints.
pub fn meaning(text: &str) -> (BTreeMap<String, i64>, Vec<(String, String)>) {
    let mut words = words(text);
    let mut names = Vec::new();
    let mut at = 0;
    while at < words.len() {
        if words[at] == "check" && words.get(at + 1).is_some_and(|word| word == "(") {
            forget_conflict_behind_check(&mut words, at + 1);
        }
        let next = |ahead: usize| words.get(at + ahead).map_or("", String::as_str);
        if next(0) == "constraint" && !matches!(next(1), "," | ")" | "") && !["text", "integer"].contains(&next(1)) {
            // A name may be several words, where it is in quotes.
            let is_kind = |word: &String| {
                matches!(word.as_str(), "primary" | "unique" | "check" | "references" | "foreign" | "constraint")
                    || matches!(word.as_str(), "not" | "null" | "default" | "collate" | "," | ")" | "generated" | "as")
            };
            let length = words[at + 1..].iter().skip(1).position(is_kind).map_or(0, |length| length + 1);
            let name = words[at + 1..=at + length].join(" ");
            let kind = words.get(at + length + 1).cloned().unwrap_or_default();
            let kind = if kind == "foreign" { "references".to_owned() } else { kind };
            if matches!(kind.as_str(), "primary" | "unique" | "check" | "references") {
                names.push((kind, name));
            }
            words.drain(at..=at + length);
            continue;
        }
        let pattern = EMPTY.iter().map(|pattern| pattern.split(' ').collect::<Vec<_>>()).find(|pattern| {
            pattern
                .iter()
                .enumerate()
                .all(|(ahead, wanted)| *wanted == "?" || wanted.split('|').any(|w| w == next(ahead)))
        });
        match pattern {
            Some(pattern) => drop(words.drain(at..(at + pattern.len()).min(words.len()))),
            None => at += 1,
        }
    }
    names.sort();
    // Without a reference SQLite reads and forgets it.
    if !words.iter().any(|word| word == "references") {
        words.retain(|word| !matches!(word.as_str(), "deferrable" | "initially" | "deferred"));
    }
    let mut bag = BTreeMap::new();
    for word in words {
        let is_symbol = word.chars().all(|c| c.is_ascii() && !c.is_ascii_alphanumeric() && c != '_');
        let word = truth_as_number(word);
        if !is_symbol && !SILENT.contains(&word.as_str()) {
            *bag.entry(word).or_insert(0) += 1;
        }
    }
    (bag, names)
}

/// SQLite reads ON CONFLICT behind a CHECK, and forgets it.
fn forget_conflict_behind_check(words: &mut Vec<String>, open: usize) {
    let mut depth = 0_i32;
    let close = words.iter().skip(open).position(|word| {
        depth += i32::from(word == "(") - i32::from(word == ")");
        depth == 0
    });
    let Some(behind) = close.map(|close| open + close + 1) else { return };
    if words.get(behind..behind + 2).is_some_and(|two| two == ["on", "conflict"]) {
        words.drain(behind..(behind + 3).min(words.len()));
    }
}

fn truth_as_number(word: String) -> String {
    match word.as_str() {
        "true" => "1".to_owned(),
        "false" => "0".to_owned(),
        _ => word,
    }
}

/// Lists the words of one statement that another lacks; the table's own name may stand before any column.
pub fn lost(original: &str, others: &str, table: &str) -> Vec<String> {
    let ((before, names), (after, kept)) = (meaning(original), meaning(others));
    let own: Vec<String> = words(&quote_always(table)).into_iter().map(truth_as_number).collect();
    let missing = before.iter().filter(|(word, count)| after.get(*word).copied().unwrap_or(0) < **count);
    let missing = missing.filter(|(word, _)| !own.contains(word));
    let mut lost: Vec<String> = missing.map(|(word, _)| word.clone()).collect();
    if names != kept {
        lost.push(format!("constraint names {names:?}, and {kept:?} read"));
    }
    lost
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_clause_is_noticed() {
        let whole =
            "CREATE TABLE t(a INT CONSTRAINT n CHECK (a > 0x10) DEFAULT 1 COLLATE nocase, b REFERENCES p DEFERRABLE)";
        assert_eq!(lost(whole, whole, "t"), Vec::<String>::new());
        for (from, to, said) in [
            ("0x10", "2", "16"),
            ("p DEFERRABLE", "q DEFERRABLE", "p"),
            (" DEFERRABLE", "", "deferrable"),
            ("CONSTRAINT n", "", "constraint names"),
            ("DEFAULT 1", "", "1"),
        ] {
            let lost = lost(whole, &whole.replace(from, to), "t");
            assert!(lost.iter().any(|word| word.starts_with(said)), "{from}: {lost:?}");
        }
        let loose = "create table [t]('a' int null constraint m not null default +1 match full, b) -- c";
        assert_eq!(lost(loose, "CREATE TABLE t(a INT NOT NULL DEFAULT 1, b)", "t"), Vec::<String>::new());
    }
}

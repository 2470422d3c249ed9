//! Lines → the text of a spec, laid out as a person would: blocks, one line an object, reasons above.

use super::sheet::{Line, Sheet, Value};
use crate::ident::visible;
use crate::spec::yaml_text;
use std::collections::BTreeMap;

/// The width that comments are kept within.
const WIDTH: usize = 110;

/// The keys of the top and of a table, in the order in which people look for them.
const TOP: &[&str] =
    &["version", "source", "output", "target", "tenant", "defaults", "types", "tables", "views", "triggers"];
const TABLE: &[&str] = &["tenant", "primary_key", "unique", "foreign_keys", "indexes", "columns", "checks"];

/// Whose word counts where a choice is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Open {
    /// The first choice stands in for the person's, to work out the rest.
    StandIn,
    /// The choices are written as comments, for a person to take one.
    Choices,
}

/// One key of a mapping.
struct Entry {
    key: String,
    comments: Vec<String>,
    is_active: bool,
    node: Node,
    /// A comment on its line.
    behind: String,
}

enum Node {
    Value(String),
    Map(Vec<Entry>),
}

/// Writes a spec; `header` are comments at its top.
pub(super) fn write(sheet: &Sheet, header: &[String], open: Open) -> String {
    let mut text = String::new();
    for line in header {
        comment(&mut text, 0, line);
    }
    let lines: Vec<(&[String], &Line)> = sheet.lines.iter().map(|(path, line)| (path.as_slice(), line)).collect();
    let top = entries(&lines, 0, open);
    for entry in sorted(top, TOP) {
        if matches!(&entry.node, Node::Map(_)) || !entry.comments.is_empty() {
            text.push('\n');
        }
        match entry.key.as_str() {
            "tables" => tables(&mut text, entry, sheet),
            _ => write_entry(&mut text, &entry, 0),
        }
    }
    text
}

/// Gathers the lines below a path by their next key.
fn entries(lines: &[(&[String], &Line)], depth: usize, open: Open) -> Vec<Entry> {
    let mut by_key: BTreeMap<&str, Vec<(&[String], &Line)>> = BTreeMap::new();
    for &(path, line) in lines {
        by_key.entry(path[depth].as_str()).or_default().push((path, line));
    }
    let mut found = Vec::new();
    for (key, below) in by_key {
        match below[..] {
            [(path, line)] if path.len() == depth + 1 => leaf(key, line, open, &mut found),
            _ => {
                let map = entries(&below, depth + 1, open);
                // An object with an open part is written once that is chosen.
                let is_open = depth == OBJECT && map.iter().any(|entry| !entry.is_active);
                let is_active = !is_open && map.iter().any(|entry| entry.is_active);
                found.push(Entry {
                    key: key.to_owned(),
                    comments: Vec::new(),
                    is_active,
                    node: Node::Map(map),
                    behind: String::new(),
                });
            }
        }
    }
    found
}

fn leaf(key: &str, line: &Line, open: Open, found: &mut Vec<Entry>) {
    if !line.is_open() || open == Open::StandIn {
        let node = Node::Value(value_text(&line.value));
        let (comments, behind) = (line.reasons.clone(), String::new());
        found.push(Entry { key: key.to_owned(), comments, is_active: true, node, behind });
        return;
    }
    let mut comments = line.reasons.clone();
    if let Some(first) = comments.first_mut() {
        *first = format!("CHOOSE: {first}");
    }
    for choice in &line.choices {
        found.push(Entry {
            key: choice.key.clone(),
            comments: std::mem::take(&mut comments),
            is_active: false,
            node: Node::Value(value_text(&choice.value)),
            behind: choice.means.clone(),
        });
    }
}

fn value_text(value: &Value) -> String {
    match value {
        Value::Text(text) => yaml_text(text),
        Value::Yaml(text) => text.clone(),
    }
}

/// Sorts keys by an order; those that are choices of one thing keep theirs.
fn sorted(mut entries: Vec<Entry>, order: &[&str]) -> Vec<Entry> {
    let rank = |key: &str| order.iter().position(|other| *other == key).unwrap_or(order.len());
    entries.sort_by_key(|entry| match entry.key.as_str() {
        "placement" => rank("tenant"),
        key => rank(key),
    });
    entries
}

/// Writes the tables by name; those without a reason stay on lines that stand together.
fn tables(text: &mut String, entry: Entry, sheet: &Sheet) {
    let Node::Map(mut tables) = entry.node else { return };
    tables.sort_by_key(|table| (table.key.to_lowercase(), table.key.clone()));
    text.push_str("tables:\n");
    let mut was_block = false;
    for table in tables {
        let notes = sheet.notes.get(&table.key).map(Vec::as_slice).unwrap_or_default();
        let shown = shortened(table);
        let is_block = shown.iter().any(|entry| matches!(entry.node, Node::Map(_)) || !entry.comments.is_empty());
        if (is_block || was_block) && !text.ends_with("tables:\n") {
            text.push('\n');
        }
        was_block = is_block;
        for note in notes {
            comment(text, 1, note);
        }
        for entry in shown {
            write_entry(text, &entry, 1);
        }
    }
}

/// Writes a table as one line where all that is said of it is whose its rows are; one line for each where that is open.
fn shortened(table: Entry) -> Vec<Entry> {
    let map = match table.node {
        Node::Map(map) => sorted(map, TABLE),
        node => return vec![Entry { node, ..table }],
    };
    let is_whose = |entry: &Entry| matches!(entry.key.as_str(), "placement" | "tenant");
    let is_short = map.iter().all(is_whose) && (map.len() == 1 || map.iter().all(|entry| !entry.is_active));
    if !is_short {
        // `omit` takes the place of the whole table.
        let kept = map.into_iter().filter(|entry| !matches!(&entry.node, Node::Value(value) if value == "omit"));
        return vec![Entry { node: Node::Map(kept.collect()), ..table }];
    }
    let short = |entry: Entry| {
        let node = match (entry.key.as_str(), entry.node) {
            ("tenant", Node::Value(value)) => Node::Value(format!("{{tenant: {value}}}")),
            (_, node) => node,
        };
        Entry { key: table.key.clone(), node, ..entry }
    };
    map.into_iter().map(short).collect()
}

fn write_entry(text: &mut String, entry: &Entry, depth: usize) {
    for line in &entry.comments {
        comment(text, depth, line);
    }
    write_bare(text, entry, depth);
}

/// Writes an entry without the comments above it.
fn write_bare(text: &mut String, entry: &Entry, depth: usize) {
    let marker = if entry.is_active { "" } else { "#" };
    let start = format!("{}{marker}{}:", "  ".repeat(depth), yaml_text(&entry.key));
    match &entry.node {
        Node::Value(value) => text.push_str(&format!("{start} {value}{}\n", behind(entry))),
        Node::Map(map) if depth == OBJECT => write_object(text, entry, map),
        Node::Map(map) => {
            text.push_str(&format!("{start}\n"));
            let mut before: &[String] = &[];
            for below in map {
                // One reason for several in a row is told once.
                match below.comments == before {
                    true => write_bare(text, below, depth + 1),
                    false => write_entry(text, below, depth + 1),
                }
                before = &below.comments;
            }
        }
    }
}

/// How deep a column or a foreign key stands.
const OBJECT: usize = 3;

/// Writes what is said of a column or of a foreign key as one line; one for each choice where something is open.
fn write_object(text: &mut String, entry: &Entry, map: &[Entry]) {
    let (decided, open): (Vec<&Entry>, Vec<&Entry>) = map.iter().partition(|below| below.is_active);
    let mut shown: Vec<&String> = Vec::new();
    for line in decided.iter().flat_map(|below| &below.comments) {
        if !shown.contains(&line) {
            shown.push(line);
            comment(text, OBJECT, line);
        }
    }
    let start = format!("{}:", yaml_text(&entry.key));
    if open.is_empty() {
        text.push_str(&format!("{}{start} {}\n", "  ".repeat(OBJECT), flow(&decided)));
    }
    for choice in open {
        for line in &choice.comments {
            comment(text, OBJECT, line);
        }
        let all = [&decided[..], &[choice]].concat();
        text.push_str(&format!("{}#{start} {}{}\n", "  ".repeat(OBJECT), flow(&all), behind(choice)));
    }
}

fn behind(entry: &Entry) -> String {
    if entry.behind.is_empty() { String::new() } else { format!("   # {}", visible(&entry.behind)) }
}

fn flow(entries: &[&Entry]) -> String {
    let parts: Vec<String> =
        entries.iter().map(|entry| format!("{}: {}", yaml_text(&entry.key), node_text(&entry.node))).collect();
    format!("{{{}}}", parts.join(", "))
}

fn node_text(node: &Node) -> String {
    match node {
        Node::Value(value) => value.clone(),
        Node::Map(map) => flow(&map.iter().collect::<Vec<_>>()),
    }
}

/// Writes a comment, broken at spaces.
fn comment(text: &mut String, depth: usize, line: &str) {
    let start = format!("{}#", "  ".repeat(depth));
    let line = visible(line);
    let mut current = start.clone();
    for word in line.split(' ') {
        if current.len() > start.len() && current.chars().count() + word.chars().count() >= WIDTH {
            text.push_str(current.trim_end());
            text.push('\n');
            current = format!("{start}  ");
        }
        current.push(' ');
        current.push_str(word);
    }
    text.push_str(current.trim_end());
    text.push('\n');
}

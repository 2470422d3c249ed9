//! What a change of the DDL means: the objects and clauses that differ, each as a sentence.
//!
//! Both texts are taken apart into objects by their names and compared clause by clause, so that layout, comments and the
//! order of statements do not count. What is not one of the forms that tenantry writes is compared as a whole.

mod objects;

use crate::ident::visible;
use crate::spec::Uncut;
use objects::{Kind, Object, Words, objects};

/// Says what differs in meaning between the committed DDL and the generated one; empty where only layout does.
///
/// # Errors
/// The committed text is no SQL.
pub fn meaning(committed: &str, generated: &str) -> Result<Vec<String>, Uncut> {
    let (old, new) = (objects(committed)?, objects(generated)?);
    let mut sentences = Vec::new();
    for object in &new {
        match old.iter().find(|other| other.is_same_object(object)) {
            None if belongs_to_another(object, &new, &old) => {}
            None => sentences.push(format!("{} is added{}", title(object), summary(object))),
            Some(before) => changes(before, object, &mut sentences),
        }
    }
    for object in &old {
        let is_gone = !new.iter().any(|other| other.is_same_object(object));
        if is_gone && !belongs_to_another(object, &old, &new) {
            sentences.push(format!("{} is gone{}", title(object), summary(object)));
        }
    }
    Ok(sentences)
}

/// What belongs to a table that one text alone has comes and goes with it.
fn belongs_to_another(object: &Object<'_>, here: &[Object<'_>], there: &[Object<'_>]) -> bool {
    let has_table =
        |objects: &[Object<'_>]| objects.iter().any(|other| other.kind == Kind::Table && other.table == object.table);
    object.kind != Kind::Table && object.kind.is_part_of_table() && has_table(here) && !has_table(there)
}

fn title(object: &Object<'_>) -> String {
    let (name, table) = (visible(&object.name), visible(&object.table));
    match object.kind {
        Kind::Table => format!("the table {table}"),
        Kind::Column => format!("the column {table}.{name}"),
        Kind::PrimaryKey => format!("the primary key of {table}"),
        Kind::Constraint => format!("the constraint {name} of {table}"),
        Kind::Index => format!("the index {name} on {table}"),
        Kind::View => format!("the view {name}"),
        Kind::Named(noun) if table.is_empty() => format!("the {noun} {name}"),
        Kind::Named(noun) => format!("the {noun} {name} on {table}"),
        Kind::Statement => format!("the statement {}", shown(&object.clauses[0].value)),
    }
}

/// How much of a clause is shown.
const SHOWN: usize = 120;

/// Shows a clause on one line, shortened where it is long.
fn shown(words: &Words<'_>) -> String {
    let text = words.to_string();
    let text = visible(&text);
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}

fn summary(object: &Object<'_>) -> String {
    if matches!(object.kind, Kind::Table | Kind::View | Kind::Named(_) | Kind::Statement) {
        return String::new();
    }
    let clauses = object.clauses.iter().filter(|clause| clause.about != "name");
    let texts: Vec<String> =
        clauses.map(|clause| format!("{} {}", clause.keyword, shown(&clause.value)).trim().to_owned()).collect();
    format!(": {}", texts.join(" "))
}

fn changes(before: &Object<'_>, after: &Object<'_>, sentences: &mut Vec<String>) {
    let title = title(after);
    if let (Kind::Table, [old, ..], [new, ..]) = (after.kind, &before.clauses[..], &after.clauses[..]) {
        let (old, new) = (old.value.those_of(&new.value), new.value.those_of(&old.value));
        if old != new {
            let text =
                format!("{title}: the columns stand in another order, {} in place of {}", shown(&new), shown(&old));
            sentences.push(text);
        }
        return;
    }
    for clause in &after.clauses {
        let about = clause.about;
        let value = shown(&clause.value);
        let (is, was) = if about.ends_with("columns") { ("are", "were") } else { ("is", "was") };
        match before.clauses.iter().find(|other| other.about == about) {
            Some(other) if other.value == clause.value => {}
            Some(other) if about == "text" && value == shown(&other.value) => {
                sentences.push(format!("{title} is written otherwise"));
            }
            Some(other) => {
                sentences.push(format!("{title}: the {about} {is} {value}, {was} {}", shown(&other.value)));
            }
            None if clause.value.is_empty() => sentences.push(format!("{title} is {about} now")),
            None => sentences.push(format!("{title}: the {about} {is} {value}, there was none")),
        }
    }
    for clause in before.clauses.iter().filter(|clause| !after.clauses.iter().any(|new| new.about == clause.about)) {
        sentences.push(match (clause.about, clause.value.is_empty()) {
            ("NOT NULL", _) => format!("{title} may be NULL now"),
            (about, true) => format!("{title} is not {about} any more"),
            (about, false) => format!("{title}: the {about} is gone, was {}", shown(&clause.value)),
        });
    }
}

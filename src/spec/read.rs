//! YAML text → [`SpecFile`], with every error of the text and the place of each.

use super::file::SpecFile;
use super::yaml::{self, Spans};
use crate::diagnostic::{Diagnostic, Diagnostics, SourceId, nearest};
use serde_path_to_error::Segment;
use serde_yaml::Value;

/// Reads a spec.
///
/// serde stops at the first value it cannot take. That value is noted, cut out of the document, and the rest is read
/// again, until nothing is left to complain of: so all errors come in one go.
///
/// # Errors
/// Those of [`yaml::walk`]; else unknown keys, wrong words and wrong kinds of value, each with its place.
pub fn read(text: &str, source: SourceId) -> Result<(SpecFile, Spans), Diagnostics> {
    let spans = yaml::walk(text, source)?;
    let mut document: Value = serde_yaml::from_str(text)
        .map_err(|error| Diagnostic::error("yaml-syntax", format!("the YAML cannot be read: {error}")))?;
    if document.is_null() {
        return Err(Diagnostic::error("empty-spec", "the spec is empty").into());
    }
    keep_spelling(&mut document, &mut Vec::new(), &spans);
    let mut errors = Diagnostics::default();
    let mut removed: Vec<Vec<String>> = Vec::new();
    loop {
        match serde_path_to_error::deserialize::<_, SpecFile>(&document) {
            Ok(file) => {
                errors.sort();
                return errors.into_result((file, spans));
            }
            Err(error) => {
                let mut path: Vec<String> = error.path().iter().filter_map(segment_text).collect();
                let message = error.inner().to_string();
                let diagnostic = diagnose(&mut path, &message, &spans);
                // What a mapping lacks once all its keys are cut out of it is no error of its own.
                if !removed.iter().any(|cut| cut.starts_with(&path)) || !is_empty(&document, &path) {
                    errors.push(diagnostic);
                }
                if !cut(&mut document, &path) {
                    return Err(errors);
                }
                removed.push(path);
            }
        }
    }
}

/// Turns what is an id of a tenant or a value of a row into text as it is spelled: YAML would make a number of `007`.
fn keep_spelling(value: &mut Value, path: &mut Vec<String>, spans: &Spans) {
    let names: Vec<&str> = path.iter().map(String::as_str).collect();
    let is_raw = matches!(names[..], [.., "constant"] | [.., "null_if", _] | ["tenant", "root", "rows", _, _]);
    if let (true, Some(text)) = (is_raw && !matches!(value, Value::Mapping(_) | Value::Sequence(_)), spans.text(path)) {
        *value = Value::String(text.to_owned());
    }
    if path.last().is_some_and(|key| key == "cases") && value.is_mapping() {
        let cases = spans.keys(path).into_iter().map(|case| {
            path.push(case.to_owned());
            let table = spans.text(path).map(|text| Value::String(text.to_owned()));
            path.pop();
            (Value::String(case.to_owned()), table.unwrap_or(Value::Null))
        });
        *value = Value::Mapping(cases.collect());
        return;
    }
    match value {
        Value::Mapping(mapping) => {
            for (key, value) in mapping.iter_mut() {
                let Some(key) = key.as_str() else { continue };
                path.push(key.to_owned());
                keep_spelling(value, path, spans);
                path.pop();
            }
        }
        Value::Sequence(sequence) => {
            for (position, value) in sequence.iter_mut().enumerate() {
                path.push(position.to_string());
                keep_spelling(value, path, spans);
                path.pop();
            }
        }
        _ => {}
    }
}

fn segment_text(segment: &Segment) -> Option<String> {
    match segment {
        Segment::Map { key } => Some(key.clone()),
        Segment::Seq { index } => Some(index.to_string()),
        Segment::Enum { .. } | Segment::Unknown => None,
    }
}

/// Turns serde's message into a diagnostic and completes `path` to what has to be cut out.
fn diagnose(path: &mut Vec<String>, message: &str, spans: &Spans) -> Diagnostic {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let choices = quoted.get(1..).unwrap_or_default();
    let did_you_mean = |wanted: &str| match nearest(wanted, choices.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if choices.is_empty() => "no key is known here".to_owned(),
        None => format!("known here: {}", choices.join(", ")),
    };
    if let (true, Some(&key)) = (message.starts_with("unknown field"), quoted.first()) {
        if path.last().is_none_or(|last| last != key) {
            path.push(key.to_owned());
        }
        let diagnostic = Diagnostic::error("unknown-key", format!("`{key}` is not a key of the spec here"))
            .label(spans.key(path), "unknown key");
        return diagnostic.help(did_you_mean(key));
    }
    if let (true, Some(&word)) = (message.starts_with("unknown variant"), quoted.first()) {
        return Diagnostic::error("unknown-word", format!("`{word}` is not one of the words known here"))
            .label(spans.value(path), "unknown word")
            .help(did_you_mean(word));
    }
    let message = message.split(" at line ").next().unwrap_or(message);
    // serde's own words for an enum of plain words.
    let message = message.replace("expected a Value::Tagged enum", "expected a word");
    Diagnostic::error("wrong-value", message).label(spans.value(path), "this value")
}

/// Says whether the value at `path` is a mapping without keys.
fn is_empty(document: &Value, path: &[String]) -> bool {
    let value = path.iter().try_fold(document, |value, part| match value {
        Value::Mapping(mapping) => mapping.get(part.as_str()),
        Value::Sequence(sequence) => part.parse::<usize>().ok().and_then(|index| sequence.get(index)),
        _ => None,
    });
    matches!(value, Some(Value::Mapping(mapping)) if mapping.is_empty())
}

/// Removes the value at `path`; `false` where there is none, so that the loop ends.
fn cut(document: &mut Value, path: &[String]) -> bool {
    let Some((last, parents)) = path.split_last() else { return false };
    let mut value = document;
    for part in parents {
        value = match value {
            Value::Mapping(mapping) => match mapping.get_mut(part.as_str()) {
                Some(value) => value,
                None => return false,
            },
            Value::Sequence(sequence) => match part.parse().ok().and_then(|index: usize| sequence.get_mut(index)) {
                Some(value) => value,
                None => return false,
            },
            _ => return false,
        };
    }
    match value {
        Value::Mapping(mapping) => mapping.remove(last.as_str()).is_some(),
        Value::Sequence(sequence) => match last.parse::<usize>() {
            Ok(index) if index < sequence.len() => {
                sequence.remove(index);
                true
            }
            _ => false,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(text: &str) -> Vec<Diagnostic> {
        read(text, SourceId(0)).map(|_| ()).unwrap_err().0
    }

    fn underlined<'a>(text: &'a str, error: &Diagnostic) -> &'a str {
        &text[error.labels[0].span.range.clone()]
    }

    #[test]
    fn reads_words_and_mappings() {
        let (file, _) = read(
            "version: 1\nsource: a.sql\noutput: b.sql\ntenant: {column: t, type: text}\ntables:\n  a: shared\n  \
             b: {tenant: {via: a_id}, foreign_keys: {a_id: {column: a_t}, c_id: global}}\n",
            SourceId(0),
        )
        .unwrap();
        assert!(matches!(file.tables["a"], TableEntry::Shared));
        let TableEntry::Tenant(body) = &file.tables["b"] else { panic!("{file:?}") };
        assert_eq!(body.tenant, Some(SourceEntry::Via("a_id".into())));
        let kept = |key: &str| match &body.foreign_keys[key] {
            ForeignKeyEntry::Keep(kept) => kept.clone(),
            ForeignKeyEntry::Omit => panic!("{file:?}"),
        };
        assert_eq!(kept("a_id").column.as_deref(), Some("a_t"));
        assert_eq!(kept("c_id").scope, Some(Scope::Global));
    }

    #[test]
    fn ids_are_kept_as_they_are_spelled() {
        let text = "tenant: {column: t, root: {table: r, key: t, create: {t: text}, rows: [{t: 1.50}]}}\ntables:\n  \
                    a: {tenant: {constant: 007}}\n  b: {tenant: {first: [{constant: 1e3}, {by: t, key: k, cases: {01: a, true: b}}]}}\n";
        let (file, _) = read(text, SourceId(0)).unwrap();
        let TableEntry::Tenant(body) = &file.tables["a"] else { panic!("{file:?}") };
        assert_eq!(body.tenant, Some(SourceEntry::Constant("007".into())));
        let TableEntry::Tenant(body) = &file.tables["b"] else { panic!("{file:?}") };
        let Some(SourceEntry::First(list)) = &body.tenant else { panic!("{body:?}") };
        assert_eq!(list[0], SourceEntry::Constant("1e3".into()));
        let SourceEntry::By { cases, .. } = &list[1] else { panic!("{list:?}") };
        assert_eq!(cases.keys().collect::<Vec<_>>(), ["01", "true"]);
        let root = file.tenant.unwrap().root.unwrap();
        assert_eq!(root.rows[0]["t"], "1.50");
    }

    #[test]
    fn all_errors_come_at_once_with_their_places() {
        let text = "version: one\nsauce: a.sql\ntenant: {colum: t, type: text}\ntables:\n  a: sharde\n  b: {tennant: infer, \
                    unique: {x: 5}}\n";
        let found = errors(text);
        let seen: Vec<_> = found.iter().map(|error| (error.code, underlined(text, error))).collect();
        assert_eq!(
            seen,
            [
                ("wrong-value", "one"),
                ("unknown-key", "sauce"),
                ("unknown-key", "colum"),
                ("unknown-word", "sharde"),
                ("unknown-key", "tennant"),
                ("wrong-value", "5"),
            ]
        );
        assert_eq!(found[2].help.as_deref(), Some("did you mean `column`?"));
        assert_eq!(found[3].help.as_deref(), Some("did you mean `shared`?"));
    }

    #[test]
    fn a_choice_that_excludes_another_says_so() {
        let text = "tables: {a: {foreign_keys: {b_id: {column: x, scope: global}}}}";
        let found = errors(text);
        assert_eq!(found[0].code, "wrong-value");
        assert_eq!(underlined(text, &found[0]), "{column: x, scope: global}");
    }

    use super::super::file::{Scope, TableEntry};
    use super::super::file_objects::ForeignKeyEntry;
    use super::super::source_entry::SourceEntry;
}

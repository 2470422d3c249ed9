//! The structure of a YAML text: where every key and value stands, and what YAML would let through silently.

use crate::diagnostic::{Diagnostic, Diagnostics, SourceId, Span};
use saphyr_parser::{Event, Parser, ScalarStyle};
use std::collections::BTreeMap;
use std::ops::Range;

/// Leads from the document's root to a value: mapping keys, and positions in sequences as decimal text.
pub type Path = Vec<String>;

/// Holds the span of the key and of the value at every path of a document.
#[derive(Debug, Clone)]
pub struct Spans {
    source: SourceId,
    places: BTreeMap<Path, Place>,
    /// Scalars as they are spelled, without quotes.
    texts: BTreeMap<Path, String>,
}

#[derive(Debug, Clone)]
struct Place {
    key: Range<usize>,
    value: Range<usize>,
}

impl Spans {
    /// Returns where the key of `path` stands, or the nearest enclosing one that exists.
    pub fn key<S: AsRef<str>>(&self, path: &[S]) -> Span {
        self.find(path, |place| place.key.clone())
    }

    /// Returns where the value at `path` stands, or the nearest enclosing one that exists.
    pub fn value<S: AsRef<str>>(&self, path: &[S]) -> Span {
        self.find(path, |place| place.value.clone())
    }

    /// Says whether the document has a value at `path`.
    pub fn contains<S: AsRef<str>>(&self, path: &[S]) -> bool {
        self.places.contains_key(&owned(path))
    }

    /// Returns the scalar at `path` as it is spelled: `007` is that, and no number.
    pub(super) fn text<S: AsRef<str>>(&self, path: &[S]) -> Option<&str> {
        self.texts.get(&owned(path)).map(String::as_str)
    }

    /// Returns the keys of the mapping at `path` as they are spelled.
    pub(super) fn keys<S: AsRef<str>>(&self, path: &[S]) -> Vec<&str> {
        let path = owned(path);
        let below = self.places.range(path.clone()..).take_while(|(found, _)| found.starts_with(&path));
        below.filter(|(found, _)| found.len() == path.len() + 1).map(|(found, _)| found[path.len()].as_str()).collect()
    }

    fn find<S: AsRef<str>>(&self, path: &[S], pick: impl Fn(&Place) -> Range<usize>) -> Span {
        let mut path = owned(path);
        loop {
            if let Some(place) = self.places.get(&path) {
                return Span::new(self.source, pick(place));
            }
            if path.pop().is_none() {
                return Span::new(self.source, 0..0);
            }
        }
    }
}

fn owned<S: AsRef<str>>(path: &[S]) -> Path {
    path.iter().map(|part| part.as_ref().to_owned()).collect()
}

/// Says whether the keys at a place are names of the source: SQLite has objects whose name is empty.
fn holds_names(path: &[String]) -> bool {
    match path {
        [top] => matches!(top.as_str(), "tables" | "views" | "triggers"),
        [top, _, section] => {
            top == "tables" && matches!(section.as_str(), "columns" | "unique" | "foreign_keys" | "indexes" | "checks")
        }
        _ => false,
    }
}

/// Walks a YAML text and returns where everything stands.
///
/// # Errors
/// All of: syntax errors, more than one document, duplicate keys, keys and values that are empty, keys that are no
/// plain text, anchors, aliases, tags and merge keys.
pub fn walk(text: &str, source: SourceId) -> Result<Spans, Diagnostics> {
    let mut walker = Walker {
        text,
        source,
        // Positions come counted in characters; a text of ASCII only needs no table.
        offsets: (!text.is_ascii()).then(|| text.char_indices().map(|(offset, _)| offset).collect()),
        parser: Parser::new_from_str(text),
        spans: Spans { source, places: BTreeMap::new(), texts: BTreeMap::new() },
        errors: Diagnostics::default(),
    };
    if let Err(stopped) = walker.stream() {
        walker.errors.push(*stopped);
    }
    let Walker { spans, errors, .. } = walker;
    errors.into_result(spans)
}

struct Walker<'a> {
    text: &'a str,
    source: SourceId,
    offsets: Option<Vec<usize>>,
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    spans: Spans,
    errors: Diagnostics,
}

type Walk<V> = Result<V, Box<Diagnostic>>;

/// The deepest nesting that is read; the grammar needs six.
const MAX_DEPTH: usize = 32;

impl<'a> Walker<'a> {
    fn stream(&mut self) -> Walk<()> {
        let mut documents = 0;
        while let Some((event, range)) = self.next()? {
            match event {
                Event::StreamStart | Event::DocumentEnd | Event::StreamEnd | Event::Nothing => {}
                Event::DocumentStart(_) => {
                    documents += 1;
                    if documents > 1 {
                        self.errors.push(
                            Diagnostic::error("yaml-documents", "a spec is one YAML document")
                                .label(self.span(range), "a second one begins here")
                                .help("put each spec into a file of its own"),
                        );
                        return Ok(());
                    }
                }
                event => {
                    let place = self.value(event, range.clone(), &mut Vec::new())?;
                    self.spans.places.insert(Vec::new(), Place { key: range, value: place });
                }
            }
        }
        Ok(())
    }

    fn next(&mut self) -> Walk<Option<(Event<'a>, Range<usize>)>> {
        match self.parser.next_event() {
            None => Ok(None),
            Some(Ok((event, span))) => {
                Ok(Some((event, self.offset(span.start.index())..self.offset(span.end.index()))))
            }
            Some(Err(error)) => {
                let at = self.offset(error.marker().index());
                let end = self.text[at..].chars().next().map_or(at, |character| at + character.len_utf8());
                Err(Box::new(
                    Diagnostic::error("yaml-syntax", format!("the YAML cannot be read: {}", error.info()))
                        .label(self.span(at..end), "here"),
                ))
            }
        }
    }

    fn value(&mut self, event: Event<'a>, range: Range<usize>, path: &mut Path) -> Walk<Range<usize>> {
        if path.len() > MAX_DEPTH {
            return Err(Box::new(
                Diagnostic::error("yaml-depth", format!("the YAML is nested more than {MAX_DEPTH} levels deep"))
                    .label(self.span(range), "here"),
            ));
        }
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_machinery(anchor, tag.is_some(), &range);
                let is_null = style == ScalarStyle::Plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                // A list of texts that mean NULL may hold the empty one.
                let is_text = matches!(path.as_slice(), [.., key, _] if key == "null_if") && !is_null;
                if is_null || (text.is_empty() && !is_text) {
                    let name = path.last().cloned().unwrap_or_default();
                    let place = self.spans.places.get(path.as_slice()).map_or(range.clone(), |place| place.key.clone());
                    self.errors.push(
                        Diagnostic::error("empty-value", format!("`{name}` has no value"))
                            .label(self.span(if range.is_empty() { place } else { range.clone() }), "empty")
                            .help(if name.ends_with(')') && !name.contains('(') {
                                "inside {…} YAML splits at every comma, also within parentheses: quote the type, \
                                 as in {type: \"numeric(10,2)\"}"
                            } else {
                                "give it a value or leave the key out"
                            }),
                    );
                }
                self.spans.texts.insert(path.clone(), text.into_owned());
                Ok(range)
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_machinery(anchor, tag.is_some(), &range);
                let start = range.start;
                let mut end = range.end;
                let mut position = 0_usize;
                while let Some((event, range)) = self.next()? {
                    if event == Event::SequenceEnd {
                        end = end.max(range.end.min(self.text.len()));
                        break;
                    }
                    path.push(position.to_string());
                    self.spans.places.insert(path.clone(), Place { key: range.clone(), value: range.clone() });
                    let value = self.value(event, range.clone(), path)?;
                    end = value.end;
                    self.spans.places.insert(path.clone(), Place { key: range, value });
                    path.pop();
                    position += 1;
                }
                Ok(start..end)
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_machinery(anchor, tag.is_some(), &range);
                self.mapping(range, path)
            }
            Event::Alias(_) => {
                self.errors.push(
                    Diagnostic::error("yaml-alias", "anchors and aliases are not part of a spec")
                        .label(self.span(range.clone()), "an alias")
                        .help("write the value out"),
                );
                Ok(range)
            }
            _ => Ok(range),
        }
    }

    fn mapping(&mut self, range: Range<usize>, path: &mut Path) -> Walk<Range<usize>> {
        let start = range.start;
        let mut end = range.end;
        while let Some((event, key_range)) = self.next()? {
            let key = match event {
                Event::MappingEnd => {
                    end = end.max(key_range.end.min(self.text.len()));
                    break;
                }
                Event::Scalar(text, style, anchor, tag) => {
                    self.refuse_machinery(anchor, tag.is_some(), &key_range);
                    if text == "<<" && style == ScalarStyle::Plain {
                        self.errors.push(
                            Diagnostic::error("yaml-merge", "merge keys are not part of a spec")
                                .label(self.span(key_range.clone()), "a merge key")
                                .help("write the keys out"),
                        );
                    } else if text.is_empty() && (style == ScalarStyle::Plain || !holds_names(path)) {
                        self.errors.push(
                            Diagnostic::error("empty-key", "a key is empty")
                                .label(self.span(key_range.clone()), "empty"),
                        );
                    }
                    text.into_owned()
                }
                other => {
                    self.value(other, key_range.clone(), path)?;
                    self.errors.push(
                        Diagnostic::error("yaml-key", "a key has to be plain text")
                            .label(self.span(key_range.clone()), "not text"),
                    );
                    String::from("?")
                }
            };
            path.push(key);
            if let Some(first) = self.spans.places.get(path.as_slice()) {
                let first = first.key.clone();
                // What stands below the first is no second time for what stands below this one.
                let places = self.spans.places.range(path.clone()..).map(|(place, _)| place);
                let below: Vec<Path> = places.take_while(|place| place.starts_with(path)).cloned().collect();
                for place in &below {
                    self.spans.places.remove(place);
                }
                self.errors.push(
                    Diagnostic::error("duplicate-key", format!("`{}` stands here twice", path[path.len() - 1]))
                        .label(self.span(key_range.clone()), "again")
                        .label(self.span(first), "first")
                        .help("YAML would silently keep one of the two: merge them"),
                );
            }
            self.spans.places.insert(path.clone(), Place { key: key_range.clone(), value: key_range.clone() });
            if let Some((event, value_range)) = self.next()? {
                let value = self.value(event, value_range, path)?;
                end = value.end;
                self.spans.places.insert(path.clone(), Place { key: key_range, value });
            }
            path.pop();
        }
        Ok(start..end)
    }

    fn refuse_machinery(&mut self, anchor: usize, tagged: bool, range: &Range<usize>) {
        if anchor > 0 {
            self.errors.push(
                Diagnostic::error("yaml-alias", "anchors and aliases are not part of a spec")
                    .label(self.span(range.clone()), "an anchor")
                    .help("write the value out where it is used"),
            );
        }
        if tagged {
            self.errors.push(
                Diagnostic::error("yaml-tag", "tags are not part of a spec").label(self.span(range.clone()), "a tag"),
            );
        }
    }

    fn offset(&self, characters: usize) -> usize {
        match &self.offsets {
            None => characters.min(self.text.len()),
            Some(offsets) => offsets.get(characters).copied().unwrap_or(self.text.len()),
        }
    }

    fn span(&self, range: Range<usize>) -> Span {
        Span::new(self.source, range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(text: &str) -> Vec<&'static str> {
        match walk(text, SourceId(0)) {
            Ok(_) => Vec::new(),
            Err(errors) => errors.0.iter().map(|error| error.code).collect(),
        }
    }

    #[test]
    fn every_path_has_its_place() {
        let text = "größe: ü\ntables:\n  invoices: {tenant: {via: customer_id}}\n  list:\n    - a\n    - b\n";
        let spans = walk(text, SourceId(0)).unwrap();
        let at = |span: Span| &text[span.range];
        assert_eq!(at(spans.key(&["tables", "invoices", "tenant"])), "tenant");
        assert_eq!(at(spans.value(&["tables", "invoices", "tenant", "via"])), "customer_id");
        assert_eq!(at(spans.value(&["tables", "list", "1"])), "b");
        assert_eq!(at(spans.value(&["tables", "invoices", "tenant"])), "{via: customer_id}");
        assert_eq!(at(spans.value(&["größe"])), "ü");
        assert_eq!(at(spans.key(&["tables", "invoices", "nothing", "below"])), "invoices");
    }

    #[test]
    fn what_yaml_lets_through_is_refused() {
        for (text, code) in [
            ("a: 1\na: 2", "duplicate-key"),
            ("a:", "empty-value"),
            ("a: ''", "empty-value"),
            ("a: ~", "empty-value"),
            ("a: &x 1\nb: *x", "yaml-alias"),
            ("a: !!str 1", "yaml-tag"),
            ("<<: {a: 1}", "yaml-merge"),
            ("? [a]\n: 1", "yaml-key"),
            ("'': 1", "empty-key"),
            ("tables: {'a': {'': {b: c}}}", "empty-key"),
            ("tables:\n  : shared", "empty-key"),
            ("a: [", "yaml-syntax"),
            ("a: 1\n---\nb: 2", "yaml-documents"),
        ] {
            assert!(codes(text).contains(&code), "{text:?} gave {:?}", codes(text));
        }
        // What stands below a key that is there twice is not there twice itself.
        assert_eq!(codes("a: {b: {c: 1}}\na: {b: {c: 1}}\nab: {b: 1}"), ["duplicate-key"]);
        assert!(codes(&"[".repeat(40)).contains(&"yaml-depth"));
        assert!(!codes(&"[".repeat(100_000)).is_empty());
        assert_eq!(codes("a: {b: [1, 2]}\nc: 'x'"), Vec::<&str>::new());
        assert_eq!(codes("a: {null_if: ['', 0]}"), Vec::<&str>::new());
        assert_eq!(codes("tables: {'': {columns: {'': omit}}}\nviews: {\"\": omit}"), Vec::<&str>::new());
        assert_eq!(codes("a: {null_if: [~]}"), ["empty-value"]);
    }

    #[test]
    fn a_type_split_at_its_comma_is_explained() {
        let found = walk("tables: {a: {columns: {b: {type: numeric(10,2)}}}}", SourceId(0)).unwrap_err().0;
        assert!(found[0].help.as_deref().is_some_and(|help| help.contains("comma")), "{found:?}");
    }

    #[test]
    fn all_errors_come_at_once() {
        assert_eq!(codes("a: 1\na: 2\nb:\nc: &x 1"), ["duplicate-key", "empty-value", "yaml-alias"]);
    }
}

//! Findings as data: a code, a severity, a sentence, labelled places and what to do.
//!
//! Nothing here renders or prints; `report` turns diagnostics into text or JSON. Every fallible function of
//! the core returns [`Diagnostics`], so that a person sees all errors of a file at once.

use std::fmt;
use std::ops::Range;

/// Names a text that diagnostics point into: an index into [`Sources`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub u32);

/// Locates a stretch of a source text, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The text that the range counts in.
    pub source: SourceId,
    /// Byte offsets, end exclusive.
    pub range: Range<usize>,
}

impl Span {
    /// Builds a span of `source`.
    pub fn new(source: SourceId, range: Range<usize>) -> Self {
        Self { source, range }
    }
}

/// Holds one text that spans refer to.
#[derive(Debug, Clone)]
pub struct SourceText {
    /// The name people know it by: a path as given, or a database and what was read from it.
    pub name: String,
    /// The whole text.
    pub text: String,
}

/// Collects the texts of one run, so that spans stay two numbers.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    texts: Vec<SourceText>,
}

impl Sources {
    /// Adds a text and returns the id to build spans with.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> SourceId {
        let id = SourceId(u32::try_from(self.texts.len()).unwrap_or(u32::MAX));
        self.texts.push(SourceText { name: name.into(), text: text.into() });
        id
    }

    /// Returns the text behind an id.
    pub fn get(&self, id: SourceId) -> Option<&SourceText> {
        self.texts.get(id.0 as usize)
    }

    /// Returns the one-based line a span starts on, or `None` for a span of no known text.
    pub fn line(&self, span: &Span) -> Option<usize> {
        let text = &self.get(span.source)?.text;
        let before = text.as_bytes().get(..span.range.start)?;
        Some(before.iter().filter(|&&byte| byte == b'\n').count() + 1)
    }
}

/// Says whether a diagnostic stops the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The work cannot be done as asked.
    Error,
    /// The work can be done, and can hurt.
    Warning,
}

/// Points at a place and says what is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// A fragment shown at the underline.
    pub text: String,
}

/// Holds one line of the spec that settles a diagnostic, so that help texts and `init` say the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    /// The keys that lead to the value: `["tables", "invoices", "columns", "total", "type"]`.
    pub path: Vec<String>,
    /// The value, as text; YAML's quotes are not part of it.
    pub value: String,
    /// What it means, as a fragment.
    pub reason: String,
}

/// Holds one of several lines of the spec that would settle a diagnostic; which one only a person knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The keys that lead to the value.
    pub path: Vec<String>,
    /// The value, as YAML: `{via: customer_id}`.
    pub yaml: String,
    /// What it means, as a fragment.
    pub means: String,
}

/// Holds the lines of the spec that settle a diagnostic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpecLines {
    /// Lines that settle it together, where some do whatever the application means.
    pub suggestions: Vec<Suggestion>,
    /// Lines of which one settles it.
    pub choices: Vec<Choice>,
}

/// States one fact that a person should act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Stable kebab-case code, one of those in `docs/diagnostics.md`.
    pub code: &'static str,
    /// Whether it stops the work.
    pub severity: Severity,
    /// The fact, as a lower-case fragment without a full stop.
    pub message: String,
    /// The places concerned, most important first.
    pub labels: Vec<Label>,
    /// The action to take, where there is one.
    pub help: Option<String>,
    /// What of the spec settles it; boxed, because errors are returned far more often than they have any.
    pub lines: Box<SpecLines>,
}

impl Diagnostic {
    /// Builds an error.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            labels: Vec::new(),
            help: None,
            lines: Box::default(),
        }
    }

    /// Adds an underlined place.
    #[must_use]
    pub fn label(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { span, text: text.into() });
        self
    }

    /// Adds an underlined place where the place is known.
    #[must_use]
    pub fn label_opt(self, span: Option<Span>, text: impl Into<String>) -> Self {
        match span {
            Some(span) => self.label(span, text),
            None => self,
        }
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds a line of the spec that settles it; `path` leads to the value.
    #[must_use]
    pub fn suggest(mut self, path: &[&str], value: impl Into<String>, reason: impl Into<String>) -> Self {
        let path = path.iter().map(|&part| part.to_owned()).collect();
        self.lines.suggestions.push(Suggestion { path, value: value.into(), reason: reason.into() });
        self
    }

    /// Adds one of the lines of the spec of which one settles it.
    #[must_use]
    pub fn choose(mut self, path: &[&str], yaml: impl Into<String>, means: impl Into<String>) -> Self {
        let path = path.iter().map(|&part| part.to_owned()).collect();
        self.lines.choices.push(Choice { path, yaml: yaml.into(), means: means.into() });
        self
    }
}

/// Collects the errors of a stage; an empty collection means success.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostics {
    /// Adds one more.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    /// Adds all of another stage's.
    pub fn extend(&mut self, other: Diagnostics) {
        self.0.extend(other.0);
    }

    /// Says whether nothing was collected.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts the errors into the order of their places, so that a person reads a file from top to bottom.
    pub fn sort(&mut self) {
        self.0.sort_by_key(|diagnostic| {
            diagnostic.labels.first().map(|label| (label.span.source, label.span.range.start))
        });
    }

    /// Turns the collection into a result: `value` where nothing was collected, itself as the error otherwise.
    pub fn into_result<V>(self, value: V) -> Result<V, Self> {
        if self.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self(vec![diagnostic])
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{}: {}", diagnostic.code, diagnostic.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

/// Finds the candidate a person most likely meant, for "did you mean" helps.
///
/// Returns `None` where no candidate is near: a far guess is worse than none.
pub fn nearest<'a>(wanted: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&wanted.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.chars().count().max(wanted.chars().count()) / 3).max(1))
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_prefers_the_closest_and_refuses_far_ones() {
        assert_eq!(nearest("invoces", ["invoices", "items"]), Some("invoices"));
        assert_eq!(nearest("zebra", ["invoices", "items"]), None);
    }

    #[test]
    fn line_counts_from_one() {
        let mut sources = Sources::default();
        let id = sources.add("a", "x\ny\nz");
        assert_eq!(sources.line(&Span::new(id, 4..5)), Some(3));
        assert_eq!(sources.line(&Span::new(id, 0..1)), Some(1));
    }
}

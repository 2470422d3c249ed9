//! Diagnostics as people read them: through miette, with the place underlined.

use crate::diagnostic::{Diagnostic, Diagnostics, Severity, SourceId, Sources};
use crate::ident::visible;
use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents, NarratableReportHandler,
    Severity as Shown, SourceCode, SourceSpan, SpanContents,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// How the text is to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Whether colours may be used.
    pub colour: bool,
    /// Whether box-drawing characters may be used.
    pub unicode: bool,
    /// Whether lines and arrows may be drawn; without them places are told in words, for screen readers.
    pub graphics: bool,
    /// Columns that fit.
    pub width: usize,
}

/// Renders diagnostics, one after the other.
pub fn render(diagnostics: &Diagnostics, sources: &Sources, style: Style) -> String {
    let theme = match (style.colour, style.unicode) {
        (true, true) => GraphicalTheme::unicode(),
        (true, false) => GraphicalTheme::ascii(),
        (false, true) => GraphicalTheme::unicode_nocolor(),
        (false, false) => GraphicalTheme::none(),
    };
    let handler = GraphicalReportHandler::new_themed(theme).with_width(style.width).with_links(false);
    let named: BTreeSet<SourceId> =
        diagnostics.0.iter().flat_map(|diagnostic| &diagnostic.labels).map(|label| label.span.source).collect();
    let texts = named.into_iter().filter_map(|id| Some((id, Text::new(sources, id)?))).collect();
    let mut text = String::new();
    for diagnostic in &diagnostics.0 {
        let shown = Rendered::new(diagnostic, &texts);
        let written = match style.graphics {
            true => handler.render_report(&mut text, &shown),
            false => NarratableReportHandler::new().render_report(&mut text, &shown),
        };
        if written.is_err() {
            text.push_str(&format!("{}: {}\n", diagnostic.code, visible(&diagnostic.message)));
        }
    }
    text
}

/// A text that labels point into, with the place of each line: thousands of errors are looked up in it, and miette by
/// itself would look from the beginning each time.
#[derive(Debug)]
struct Text {
    name: String,
    text: String,
    /// Where its lines begin.
    lines: Vec<usize>,
}

impl Text {
    fn new(sources: &Sources, id: SourceId) -> Option<Self> {
        let source = sources.get(id)?;
        let text = harmless(&source.text);
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Some(Self { name: visible(&source.name).into_owned(), text, lines })
    }

    /// Returns the line of an offset, from 0.
    fn line_of(&self, offset: usize) -> usize {
        self.lines.partition_point(|&start| start <= offset).saturating_sub(1)
    }
}

impl SourceCode for Text {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let first = self.line_of(span.offset()).saturating_sub(before + 1);
        let last = self.line_of(span.offset() + span.len()) + after + 2;
        let (start, end) = (self.lines[first], self.lines.get(last).copied().unwrap_or(self.text.len()));
        let near = self.text.get(start..end).ok_or(MietteError::OutOfBounds)?;
        let offset = span.offset() - start;
        let found = near.read_span(&(offset, span.len()).into(), before, after)?;
        let place = (start + found.span().offset(), found.span().len()).into();
        let (line, column) = (first + found.line(), found.column());
        let contents =
            MietteSpanContents::new_named(self.name.clone(), found.data(), place, line, column, found.line_count());
        Ok(Box::new(contents))
    }
}

/// A diagnostic in miette's terms: the labels of one text, and one more of these for each other text.
struct Rendered<'t> {
    code: Option<&'static str>,
    severity: Shown,
    message: String,
    help: Option<String>,
    source: Option<&'t Text>,
    labels: Vec<LabeledSpan>,
    elsewhere: Vec<Rendered<'t>>,
}

impl<'t> Rendered<'t> {
    fn new(diagnostic: &Diagnostic, texts: &'t BTreeMap<SourceId, Text>) -> Self {
        let mut named: Vec<SourceId> = Vec::new();
        for label in &diagnostic.labels {
            if !named.contains(&label.span.source) {
                named.push(label.span.source);
            }
        }
        let labels = |text: SourceId| {
            diagnostic
                .labels
                .iter()
                .filter(|label| label.span.source == text)
                .enumerate()
                .map(|(position, label)| {
                    let shown = Some(visible(&label.text).into_owned());
                    let length = label.span.range.len();
                    if position == 0 {
                        LabeledSpan::new_primary_with_span(shown, (label.span.range.start, length))
                    } else {
                        LabeledSpan::new(shown, label.span.range.start, length)
                    }
                })
                .collect()
        };
        let elsewhere = named
            .iter()
            .skip(1)
            .map(|&text| Self {
                code: None,
                severity: Shown::Advice,
                message: "and here".to_owned(),
                help: None,
                source: texts.get(&text),
                labels: labels(text),
                elsewhere: Vec::new(),
            })
            .collect();
        Self {
            code: Some(diagnostic.code),
            severity: match diagnostic.severity {
                Severity::Error => Shown::Error,
                Severity::Warning => Shown::Warning,
            },
            message: visible(&diagnostic.message).into_owned(),
            help: diagnostic.help.as_ref().map(|help| help.lines().map(visible).collect::<Vec<_>>().join("\n")),
            source: named.first().and_then(|text| texts.get(text)),
            labels: named.first().map(|&text| labels(text)).unwrap_or_default(),
            elsewhere,
        }
    }
}

/// Replaces what could move a terminal's cursor or turn its text round, byte for byte, so that offsets stay true.
fn harmless(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            '\n' | '\t' => character,
            _ if visible(character.encode_utf8(&mut [0; 4])).len() == character.len_utf8() => character,
            _ => match character.len_utf8() {
                1 => '?',
                2 => '¿',
                _ => '\u{fffd}',
            },
        })
        .collect()
}

impl fmt::Debug for Rendered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Display for Rendered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Rendered<'_> {}

impl miette::Diagnostic for Rendered<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.code.map(|code| Box::new(code) as Box<dyn fmt::Display>)
    }

    fn severity(&self) -> Option<Shown> {
        Some(self.severity)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.labels.iter().cloned()))
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn miette::Diagnostic> + 'a>> {
        if self.elsewhere.is_empty() {
            return None;
        }
        Some(Box::new(self.elsewhere.iter().map(|other| other as &dyn miette::Diagnostic)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Span;

    const PLAIN: Style = Style { colour: false, unicode: true, graphics: true, width: 100 };

    #[test]
    fn the_place_is_underlined_and_the_help_stands_below() {
        let mut sources = Sources::default();
        let id = sources.add("bai.yaml", "tables:\n  invoces: shared\n");
        let diagnostic = Diagnostic::error("unknown-table", "the schema has no table `invoces`")
            .label(Span::new(id, 10..17), "no such table")
            .help("did you mean `invoices`?");
        let text = render(&diagnostic.into(), &sources, PLAIN);
        assert!(text.contains("unknown-table") && text.contains("bai.yaml:2:3"), "{text}");
        assert!(text.contains("no such table") && text.contains("did you mean `invoices`?"), "{text}");
    }

    #[test]
    fn thousands_of_errors_take_no_longer_one_by_one_than_a_few() {
        let mut sources = Sources::default();
        let line = "  a_key: and its value\n";
        let id = sources.add("long.yaml", line.repeat(20_000));
        let error = |number: usize| {
            let at = number * line.len();
            Diagnostic::error("code", "fact").label(Span::new(id, at + 2..at + 7), "here")
        };
        let errors = Diagnostics((0..20_000).map(error).collect());
        let started = std::time::Instant::now();
        let text = render(&errors, &sources, PLAIN);
        // From the beginning of the text for each it would be minutes.
        assert!(started.elapsed().as_secs() < 30, "{:?}", started.elapsed());
        assert!(text.contains("long.yaml:1:3") && text.contains("long.yaml:19999:3"), "{}", text.len());
        let last = &text[text.rfind("long.yaml:20000:3").unwrap()..];
        assert_eq!(last.matches("a_key").count(), 2, "the line before and the line itself: {last}");
    }

    #[test]
    fn without_graphics_places_are_told_in_words() {
        let mut sources = Sources::default();
        let id = sources.add("bai.yaml", "tables:\n  invoces: shared\n");
        let diagnostic = Diagnostic::error("unknown-table", "the schema has no table `invoces`")
            .label(Span::new(id, 10..17), "no such table")
            .help("did you mean `invoices`?");
        let text = render(&diagnostic.into(), &sources, Style { graphics: false, ..PLAIN });
        assert!(text.is_ascii(), "{text}");
        for told in ["the schema has no table", "bai.yaml", "line 2", "no such table", "did you mean `invoices`?"] {
            assert!(text.contains(told), "{told}: {text}");
        }
    }

    #[test]
    fn lines_fit_the_width() {
        let help = "a word ".repeat(60);
        let diagnostic = Diagnostic::error("code", "fact ".repeat(30)).help(help);
        for width in [50, 80, 100] {
            let text = render(&diagnostic.clone().into(), &Sources::default(), Style { width, ..PLAIN });
            let longest = text.lines().map(|line| line.chars().count()).max();
            assert!(longest.is_some_and(|longest| longest <= width), "{width}: {text}");
        }
    }

    #[test]
    fn colours_come_only_where_they_are_wanted() {
        let diagnostic = Diagnostic::error("code", "fact");
        let render = |style| render(&diagnostic.clone().into(), &Sources::default(), style);
        assert!(!render(PLAIN).contains('\u{1b}') && render(Style { colour: true, ..PLAIN }).contains('\u{1b}'));
        assert!(render(Style { unicode: false, ..PLAIN }).is_ascii());
    }

    #[test]
    fn places_in_two_texts_are_both_shown() {
        let mut sources = Sources::default();
        let (yaml, sql) = (sources.add("a.yaml", "a: b\n"), sources.add("a.sql", "CREATE TABLE t (x);\n"));
        let diagnostic =
            Diagnostic::error("code", "fact").label(Span::new(yaml, 0..1), "one").label(Span::new(sql, 13..14), "two");
        let text = render(&diagnostic.into(), &sources, PLAIN);
        assert!(text.contains("a.yaml:1:1") && text.contains("a.sql:1:14"), "{text}");
    }

    #[test]
    fn control_characters_never_reach_the_terminal() {
        let mut sources = Sources::default();
        let id = sources.add("a\u{1b}[31m.sql", "CREATE \u{1b}[2J TABLE \u{202e}t\n");
        let diagnostic =
            Diagnostic::error("code", "name `a\n\u{1b}[0m`").label(Span::new(id, 0..6), "x\u{1b}y").help("h\u{1b}");
        let text = render(&diagnostic.into(), &sources, PLAIN);
        assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{text:?}");
    }
}

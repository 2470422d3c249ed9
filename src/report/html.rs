//! HTML by hand: one function escapes, and nothing else puts text into a document.

use crate::ident::visible;
use std::fmt::Write;

/// Escapes a text for HTML, in elements and attributes alike, with what could deceive a reader made visible.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in visible(text).chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '`' => escaped.push_str("&#96;"),
            _ => escaped.push(character),
        }
    }
    escaped
}

/// The look of a document, and no script: nothing is loaded from anywhere.
const HEAD: &str = "\
<meta charset=\"utf-8\">
<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
<style>
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #1b1b1b; background: #fff; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; border-bottom: 1px solid #ddd; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0; } th, td { text-align: left; padding: .2rem .6rem .2rem 0; vertical-align: top; }
th { font-weight: 600; color: #555; border-bottom: 1px solid #ddd; } td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
code, td.code { font-family: ui-monospace, monospace; font-size: .85em; overflow-wrap: anywhere; }
.good { color: #0a6b2d; } .bad { color: #a11212; } .note { color: #555; }
summary { cursor: pointer; color: #555; }
.sign { margin-top: 3rem; } .sign td { border-bottom: 1px solid #999; height: 2.5rem; width: 50%; }
@media print { details { display: block; } body { max-width: none; margin: 0; } }
</style>
";

/// A document under construction.
pub(super) struct Document {
    html: String,
}

/// How a column of a table is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cells {
    Text,
    Number,
    Code,
}

/// How many rows of a table are shown before the rest is folded away.
const OPEN_ROWS: usize = 40;

impl Document {
    pub fn new(title: &str) -> Self {
        let title = escape(title);
        let html = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<title>{title}</title>\n{HEAD}</head>\n<body>\n<h1>{title}</h1>\n"
        );
        Self { html }
    }

    pub fn heading(&mut self, text: &str) {
        let _ = writeln!(self.html, "<h2>{}</h2>", escape(text));
    }

    /// Writes a paragraph; `class` is one of the style's.
    pub fn paragraph(&mut self, class: &str, text: &str) {
        let _ = writeln!(self.html, "<p class=\"{class}\">{}</p>", escape(text));
    }

    /// Writes a table, the rest of a long one folded away; nothing where there is no row.
    pub fn table(&mut self, columns: &[(&str, Cells)], rows: &[Vec<String>]) {
        for (position, part) in rows.chunks(OPEN_ROWS).enumerate() {
            // The rest in one piece: a row in a fold is found as well as any.
            let part = if position == 0 { part } else { &rows[OPEN_ROWS..] };
            if position == 1 {
                let _ = writeln!(self.html, "<details><summary>{} more</summary>", part.len());
            }
            self.part(columns, part);
            if position == 1 {
                self.html.push_str("</details>\n");
                break;
            }
        }
    }

    fn part(&mut self, columns: &[(&str, Cells)], rows: &[Vec<String>]) {
        let class = |cells: Cells| match cells {
            Cells::Text => "",
            Cells::Number => " class=\"number\"",
            Cells::Code => " class=\"code\"",
        };
        self.html.push_str("<table>\n<tr>");
        for (name, cells) in columns {
            let _ = write!(self.html, "<th{}>{}</th>", class(*cells), escape(name));
        }
        self.html.push_str("</tr>\n");
        for row in rows {
            self.html.push_str("<tr>");
            for (cell, (_, cells)) in row.iter().zip(columns) {
                let _ = write!(self.html, "<td{}>{}</td>", class(*cells), escape(cell));
            }
            self.html.push_str("</tr>\n");
        }
        self.html.push_str("</table>\n");
    }

    /// Writes room for two signatures.
    pub fn signatures(&mut self) {
        self.html.push_str(
            "<table class=\"sign\">\n<tr><td>&nbsp;</td><td>&nbsp;</td></tr>\n<tr><th>read and accepted by</th><th>date</th></tr>\n</table>\n",
        );
    }

    pub fn finish(mut self) -> String {
        self.html.push_str("</body>\n</html>\n");
        self.html
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_breaks_out() {
        let hostile = "<script>alert('x')</script>\" onload=\"x & `y`\u{202e}\u{1b}[31m\n";
        let shown = escape(hostile);
        for forbidden in ['<', '>', '"', '\'', '`', '\u{202e}', '\u{1b}', '\n'] {
            assert!(!shown.contains(forbidden), "{forbidden:?} in {shown}");
        }
        let mut document = Document::new(hostile);
        document.heading(hostile);
        document.paragraph("note", hostile);
        document.table(&[(hostile, Cells::Text)], &[vec![hostile.to_owned()]]);
        let html = document.finish();
        assert!(!html.contains("<script") && !html.contains("onload=\"x"), "{html}");
    }

    #[test]
    fn a_long_table_is_folded_and_whole() {
        let rows: Vec<Vec<String>> = (0..100).map(|number| vec![format!("row {number}.")]).collect();
        let mut document = Document::new("t");
        document.table(&[("x", Cells::Text)], &rows);
        let html = document.finish();
        assert!(html.contains("60 more"), "{html}");
        for row in rows.iter().flatten() {
            assert_eq!(html.matches(row.as_str()).count(), 1, "{row}");
        }
    }
}

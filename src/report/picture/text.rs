//! The picture as Mermaid and as DOT.

use super::{MARK, Picture, Placed, Reference, TableBox};

/// Writes pictures as one Mermaid flowchart, a frame for each.
pub fn graph_mermaid(pictures: &[Picture]) -> String {
    let mut text = String::from("flowchart LR\n");
    let mut lines = Vec::new();
    for picture in pictures {
        let side = picture.side.title();
        let word = side.split(':').next().unwrap_or(side);
        text.push_str(&format!("  subgraph {word}[\"{}\"]\n    direction LR\n", mermaid(side)));
        for (number, table) in picture.tables.iter().enumerate() {
            let label: Vec<String> = lines_of(table).map(mermaid).collect();
            let class = table.placed.word();
            text.push_str(&format!("    {word}{number}[\"{}\"]:::{class}\n", label.join("<br/>")));
        }
        text.push_str("  end\n");
        for reference in &picture.references {
            let label =
                columns(picture, reference).map(|columns| format!("|\"{}\"|", mermaid(columns))).unwrap_or_default();
            text.push_str(&format!("  {word}{} -->{label} {word}{}\n", reference.from, reference.to));
            lines.push(reference);
        }
        for (number, _) in picture.tables.iter().enumerate().filter(|(_, table)| table.marked) {
            text.push_str(&format!("  style {word}{number} stroke:{MARK},stroke-width:3px\n"));
        }
    }
    for placed in Placed::ALL {
        let (fill, border) = placed.colours();
        let dashes = if placed == Placed::Omitted { ",stroke-dasharray:5 3" } else { "" };
        text.push_str(&format!("  classDef {} fill:{fill},stroke:{border},color:#1b1b1b{dashes}\n", placed.word()));
    }
    for (number, reference) in lines.into_iter().enumerate() {
        let (colour, dashes) = reference.kind.line();
        let dashes = dashes.map(|dashes| format!(",stroke-dasharray:{dashes}")).unwrap_or_default();
        text.push_str(&match reference.marked {
            true => format!("  linkStyle {number} stroke:{MARK},stroke-width:3px{dashes}\n"),
            false => format!("  linkStyle {number} stroke:{colour}{dashes}\n"),
        });
    }
    text
}

/// Writes pictures as one DOT graph, a cluster for each.
pub fn graph_dot(pictures: &[Picture]) -> String {
    let mut text = String::from(
        "digraph tenancy {\n  rankdir=LR;\n  node [shape=box, style=\"filled,rounded\", fontname=\"monospace\", fontsize=11];\n  \
         edge [fontname=\"monospace\", fontsize=9];\n",
    );
    for picture in pictures {
        let side = picture.side.title();
        let word = side.split(':').next().unwrap_or(side);
        text.push_str(&format!("  subgraph cluster_{word} {{\n    label={};\n", dot(side)));
        for (number, table) in picture.tables.iter().enumerate() {
            let (fill, border) = table.placed.colours();
            let label: Vec<&str> = lines_of(table).collect();
            let (border, width) = if table.marked { (MARK, 3) } else { (border, 1) };
            text.push_str(&format!(
                "    {word}{number} [label={}, fillcolor=\"{fill}\", color=\"{border}\", penwidth={width}];\n",
                dot(&label.join("\n"))
            ));
        }
        for reference in &picture.references {
            let (colour, dashes) = reference.kind.line();
            let (colour, width) = if reference.marked { (MARK, 3) } else { (colour, 1) };
            let style = if dashes.is_some() { ", style=dashed" } else { "" };
            text.push_str(&format!(
                "    {word}{} -> {word}{} [label={}, color=\"{colour}\", penwidth={width}{style}];\n",
                reference.from,
                reference.to,
                dot(columns(picture, reference).unwrap_or_default())
            ));
        }
        text.push_str("  }\n");
    }
    text.push_str("}\n");
    text
}

fn lines_of(table: &TableBox) -> impl Iterator<Item = &str> {
    // Foreign keys are lines of their own; keys stand in the box.
    [&table.name, &table.about].into_iter().chain(&table.keys).map(String::as_str)
}

fn columns<'p>(picture: &'p Picture, reference: &Reference) -> Option<&'p str> {
    picture.tables[reference.from].rows().nth(reference.from_row).map(String::as_str)
}

/// Writes a text for a quoted label: whatever could end it, be markup or begin an entity becomes a numbered entity.
fn mermaid(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_alphanumeric() || matches!(character, ' ' | '_' | '.' | ',' | ':' | '(' | ')' | '-' | '…') {
            written.push(character);
        } else {
            written.push_str(&format!("#{};", u32::from(character)));
        }
    }
    written
}

/// Writes a quoted text, its line breaks as DOT has them.
fn dot(text: &str) -> String {
    let mut written = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => written.push_str("\\\""),
            '\\' => written.push_str("\\\\"),
            '\n' => written.push_str("\\n"),
            other => written.push(other),
        }
    }
    written.push('"');
    written
}

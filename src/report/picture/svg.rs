//! The picture as SVG: no program, font or script is needed to see it.

use super::super::html::escape;
use super::layout::{Layout, Rectangle};
use super::panel::{
    ABOUT_LINE, NAME_LINE, PADDING, ROW_HEIGHT, ROW_LINE, ROWS, lay_out_picture, name_width, row_width,
};
use super::{MARK, Picture, Placed, Reference, ReferenceKind, TableBox};

/// Around everything.
const MARGIN: i32 = 24;
/// What a heading takes.
const HEADING: i32 = 34;
/// What a line of the legend takes.
const LEGEND: i32 = 26;

const STYLE: &str = "\
text { font-family: ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; font-size: 12px; fill: #1b1b1b }
.heading { font-size: 15px; font-weight: bold }
.name { font-size: 13px; font-weight: bold }
.about { fill: #4a4a4a }
.line { fill: none; stroke-width: 1.3 }
.marked .line, .line.marked { stroke-width: 2.6 }";

/// Draws pictures one below the other, with a legend.
pub fn graph_svg(pictures: &[Picture]) -> String {
    let layouts: Vec<Layout> = pictures.iter().map(lay_out_picture).collect();
    let widest = layouts.iter().map(|layout| layout.width).max().unwrap_or(0).max(560);
    let mut body = String::new();
    let mut top = MARGIN;
    for (picture, layout) in pictures.iter().zip(&layouts) {
        body.push_str(&panel(picture, layout, top));
        top += HEADING + layout.height + MARGIN;
    }
    let (legend, legend_height) = legend(pictures, top, widest);
    body.push_str(&legend);
    let (width, height) = (widest + 2 * MARGIN, top + legend_height + MARGIN / 2);
    let titles: Vec<&str> = pictures.iter().map(|picture| picture.side.title()).collect();
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\">\n\
         <title>Foreign keys, {}</title>\n<style>\n{STYLE}\n</style>\n<defs>\n{}</defs>\n\
         <rect class=\"paper\" width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n{body}</svg>\n",
        titles.join(" and "),
        arrowheads()
    )
}

/// An arrowhead for each colour of lines: SVG 1.1 has none that takes its line's.
fn arrowheads() -> String {
    let mut colours: Vec<&str> = ReferenceKind::ALL.iter().map(|kind| kind.line().0).chain([MARK]).collect();
    colours.sort_unstable();
    colours.dedup();
    let head = |colour: &str| {
        format!(
            "<marker id=\"{}\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" \
             markerUnits=\"userSpaceOnUse\" orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" fill=\"{colour}\"/></marker>\n",
            arrowhead(colour)
        )
    };
    colours.into_iter().map(head).collect()
}

fn arrowhead(colour: &str) -> String {
    format!("arrow-{}", colour.trim_start_matches('#'))
}

fn panel(picture: &Picture, layout: &Layout, top: i32) -> String {
    let heading = picture.side.title();
    let mut text = format!(
        "<g class=\"panel\" transform=\"translate({MARGIN} {top})\">\n<text class=\"heading\" x=\"0\" y=\"14\">{}</text>\n\
         <g transform=\"translate(0 {HEADING})\">\n",
        escape(heading)
    );
    let mut lines: Vec<(&Reference, &Vec<(i32, i32)>)> = picture.references.iter().zip(&layout.lines).collect();
    // What is marked lies above what is not, and both below the boxes.
    lines.sort_by_key(|(reference, _)| (reference.marked, reference.kind != ReferenceKind::ToRoot));
    for (reference, corners) in lines {
        text.push_str(&line(picture, reference, corners));
    }
    for (table, place) in picture.tables.iter().zip(&layout.boxes) {
        text.push_str(&table_box(table, *place));
    }
    text.push_str("</g>\n</g>\n");
    text
}

fn line(picture: &Picture, reference: &Reference, corners: &[(i32, i32)]) -> String {
    let (colour, dashes) = reference.kind.line();
    let colour = if reference.marked { MARK } else { colour };
    let (from, to) = (&picture.tables[reference.from], &picture.tables[reference.to]);
    let title = match from.rows().nth(reference.from_row) {
        Some(columns) => format!("{} ({columns}) → {}", from.name, to.name),
        None => format!("{} → {}", from.name, to.name),
    };
    format!(
        "<path class=\"line{}\" d=\"{}\" stroke=\"{colour}\"{} marker-end=\"url(#{})\"><title>{}</title></path>\n",
        if reference.marked { " marked" } else { "" },
        way(corners),
        dashes.map(|dashes| format!(" stroke-dasharray=\"{dashes}\"")).unwrap_or_default(),
        arrowhead(colour),
        escape(&title)
    )
}

/// Bends from column to column, and goes straight within one.
fn way(corners: &[(i32, i32)]) -> String {
    const LOOP: i32 = 30;
    let mut text = String::new();
    for (position, gap) in corners.chunks(2).enumerate() {
        let [(x1, y1), (x2, y2)] = gap else { continue };
        text.push_str(&format!("{}{x1} {y1}", if position == 0 { "M" } else { "L" }));
        let (bend1, bend2) = if x1 == x2 { (x1 + LOOP, x2 + LOOP) } else { ((x1 + x2) / 2, (x1 + x2) / 2) };
        text.push_str(&format!("C{bend1} {y1} {bend2} {y2} {x2} {y2}"));
    }
    text
}

fn table_box(table: &TableBox, place: Rectangle) -> String {
    let (fill, border) = table.placed.colours();
    let (border, border_width) = if table.marked { (MARK, "2.6") } else { (border, "1.2") };
    let dashes = match table.placed {
        Placed::Omitted | Placed::Local => " stroke-dasharray=\"5 3\"",
        _ => "",
    };
    let Rectangle { left, top, width, height } = place;
    let mut text = format!(
        "<g class=\"table {}{}\">\n<rect x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\" rx=\"5\" \
         fill=\"{fill}\" stroke=\"{border}\" stroke-width=\"{border_width}\"{dashes}/>\n",
        table.placed.word(),
        if table.marked { " marked" } else { "" },
    );
    let x = left + PADDING;
    text.push_str(&set("name", x, top + NAME_LINE, name_width(&table.name), &table.name));
    text.push_str(&set("about", x, top + ABOUT_LINE, row_width(&table.about), &table.about));
    let mut row_top = top + ROWS;
    for row in table.rows() {
        text.push_str(&set("row", x, row_top + ROW_LINE, row_width(row), row));
        row_top += ROW_HEIGHT;
    }
    text.push_str("</g>\n");
    text
}

/// Sets a text to a width of our own, so that it stays within its box in any font.
fn set(class: &str, x: i32, y: i32, width: i32, text: &str) -> String {
    format!(
        "<text class=\"{class}\" x=\"{x}\" y=\"{y}\" textLength=\"{width}\" lengthAdjust=\"spacingAndGlyphs\">{}</text>\n",
        escape(text)
    )
}

/// Explains the colours and lines that occur, and returns the height that this takes.
fn legend(pictures: &[Picture], top: i32, width: i32) -> (String, i32) {
    const SAMPLE: i32 = 26;
    const BETWEEN: i32 = 22;
    let tables = || pictures.iter().flat_map(|picture| &picture.tables);
    let references = || pictures.iter().flat_map(|picture| &picture.references);
    let mut entries: Vec<(String, &str)> = Vec::new();
    for placed in Placed::ALL.into_iter().filter(|&placed| tables().any(|table| table.placed == placed)) {
        let (fill, border) = placed.colours();
        let sample = format!(
            "<rect x=\"0\" y=\"-11\" width=\"18\" height=\"14\" rx=\"3\" fill=\"{fill}\" stroke=\"{border}\"/>"
        );
        entries.push((sample, placed.word()));
    }
    let sample = |colour: &str, width: &str, dashes: Option<&str>| {
        let dashes = dashes.map(|dashes| format!(" stroke-dasharray=\"{dashes}\"")).unwrap_or_default();
        format!("<path d=\"M0 -4L20 -4\" stroke=\"{colour}\" stroke-width=\"{width}\"{dashes}/>")
    };
    for kind in ReferenceKind::ALL.into_iter().filter(|&kind| references().any(|reference| reference.kind == kind)) {
        let (colour, dashes) = kind.line();
        entries.push((sample(colour, "1.6", dashes), kind.words()));
    }
    if tables().any(|table| table.marked) {
        entries.push((sample(MARK, "2.6", None), "the way to the tenant"));
    }
    let mut text = String::from("<g class=\"legend\">\n");
    let (mut x, mut y) = (0, 14);
    for (sample, words) in entries {
        let own = SAMPLE + row_width(words);
        if x > 0 && x + own > width {
            x = 0;
            y += LEGEND;
        }
        text.push_str(&format!("<g transform=\"translate({} {})\">{sample}", MARGIN + x, top + y));
        text.push_str(&set("entry", SAMPLE, 0, row_width(words), words));
        text.push_str("</g>\n");
        x += own + BETWEEN;
    }
    text.push_str("</g>\n");
    (text, y + LEGEND / 2)
}

//! One picture laid out: how large its boxes are, and where their rows stand.

use super::layers::Link;
use super::layout::{Layout, lay_out};
use super::{Picture, TableBox};
use unicode_width::UnicodeWidthStr;

/// From a box's edge to its text.
pub(super) const PADDING: i32 = 9;
/// The baseline of the name, below the box's upper edge; then that of what it is to tenancy.
pub(super) const NAME_LINE: i32 = 19;
pub(super) const ABOUT_LINE: i32 = 34;
/// Where the rows begin, and how high each is.
pub(super) const ROWS: i32 = 41;
pub(super) const ROW_HEIGHT: i32 = 17;
/// From a row's upper edge to its baseline.
pub(super) const ROW_LINE: i32 = 13;

/// Returns how wide a text of the rows' size is set; the picture says so to whoever draws it, whatever font that is.
pub(super) fn row_width(text: &str) -> i32 {
    cells(text) * 29 / 4
}

/// Returns how wide a name is set.
pub(super) fn name_width(text: &str) -> i32 {
    cells(text) * 8
}

fn cells(text: &str) -> i32 {
    i32::try_from(text.width().max(1)).unwrap_or(i32::MAX / 64)
}

/// Lays a picture out.
pub(super) fn lay_out_picture(picture: &Picture) -> Layout {
    let sizes: Vec<(i32, i32)> = picture.tables.iter().map(size).collect();
    let links: Vec<Link> = picture
        .references
        .iter()
        .map(|reference| Link {
            from: reference.from,
            to: reference.to,
            from_port: port(&picture.tables[reference.from], reference.from_row),
            to_port: port(&picture.tables[reference.to], reference.to_row),
            bundle: reference.kind as u32 * 2 + u32::from(reference.marked),
        })
        .collect();
    lay_out(&sizes, &links)
}

fn size(table: &TableBox) -> (i32, i32) {
    let rows = table.rows().chain([&table.about]).map(|row| row_width(row)).max().unwrap_or(0);
    let rows_height = i32::try_from(table.rows().count()).unwrap_or(0) * ROW_HEIGHT;
    (rows.max(name_width(&table.name)) + 2 * PADDING, ROWS + rows_height + if rows_height == 0 { 2 } else { 6 })
}

/// Returns the height at which a line leaves or reaches a row; the name's where there is no such row.
fn port(table: &TableBox, row: usize) -> i32 {
    match i32::try_from(row) {
        Ok(number) if row < table.rows().count() => ROWS + number * ROW_HEIGHT + ROW_HEIGHT / 2,
        _ => NAME_LINE - 5,
    }
}

//! Boxes and lines → where they stand, in whole pixels.
//!
//! Layers are columns, and a line crosses a column only in a slot of its own between the boxes. So no line runs through
//! a box, whatever the graph.

use super::layers::{Link, Segment, layers, order};
use std::collections::BTreeMap;

/// A rectangle in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Rectangle {
    pub left: i32,
    pub top: i32,
    pub width: i32,
    pub height: i32,
}

impl Rectangle {
    pub fn right(&self) -> i32 {
        self.left + self.width
    }

    pub fn bottom(&self) -> i32 {
        self.top + self.height
    }
}

/// Where everything stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    /// One for each box.
    pub boxes: Vec<Rectangle>,
    /// One for each link: its corners, of which the first and second, third and fourth and so on lie on both sides of a gap
    /// between columns, and what is between these lies in a slot.
    pub lines: Vec<Vec<(i32, i32)>>,
    pub width: i32,
    pub height: i32,
}

/// Between columns, where lines bend.
const GAP: i32 = 72;
/// Between boxes of a column.
const BETWEEN: i32 = 22;
/// Beside a slot.
const BESIDE: i32 = 9;
/// How often the heights are evened out.
const ROUNDS: usize = 16;

/// A point of a column: a box, or the slot of a bundle on its way.
#[derive(Debug, Clone, Copy)]
enum Point {
    Box(usize),
    Slot,
}

/// Places boxes of some sizes, in pixels, and the lines between them.
pub(super) fn lay_out(sizes: &[(i32, i32)], links: &[Link]) -> Layout {
    let layers = layers(sizes.len(), links);
    let columns = layers.iter().flatten().max().map_or(0, |layer| layer + 1);
    // Column 0 is the left one, and holds the highest layer.
    let column_of = |position: usize| layers[position].map(|layer| columns - 1 - layer);
    let mut points: Vec<Vec<Point>> = vec![Vec::new(); columns];
    let mut number = vec![0; sizes.len()];
    for (position, number) in number.iter_mut().enumerate() {
        if let Some(column) = column_of(position) {
            *number = points[column].len();
            points[column].push(Point::Box(position));
        }
    }
    let routes = routes(links, &column_of, &number, &mut points);
    let mut segments: Vec<Vec<Segment>> = vec![Vec::new(); columns.saturating_sub(1)];
    let mut pulls: Vec<Vec<Pull>> = vec![Vec::new(); columns.saturating_sub(1)];
    for (link, route) in links.iter().zip(&routes) {
        for (step, pair) in route.windows(2).enumerate() {
            let (here, there) = (pair[0], pair[1]);
            let from_port = if step == 0 { link.from_port } else { 0 };
            let to_port = if step + 2 == route.len() { link.to_port } else { 0 };
            let (left, right, offset) =
                if here.0 < there.0 { (here, there, from_port - to_port) } else { (there, here, to_port - from_port) };
            let is_slot = |at: (usize, usize)| matches!(points[at.0][at.1], Point::Slot);
            let weight = [1, 2, 8][usize::from(is_slot(left)) + usize::from(is_slot(right))];
            segments[left.0].push((left.1, right.1));
            pulls[left.0].push(Pull { left: left.1, right: right.1, offset, weight });
        }
    }
    let sizes_of_columns: Vec<usize> = points.iter().map(Vec::len).collect();
    let order = order(&sizes_of_columns, &segments);
    let heights: Vec<Vec<(i32, i32)>> = points
        .iter()
        .map(|column| {
            column
                .iter()
                .map(|point| match point {
                    Point::Box(position) => (sizes[*position].1, BETWEEN),
                    Point::Slot => (0, BESIDE),
                })
                .collect()
        })
        .collect();
    let tops = tops(&order, &heights, &pulls);
    let mut lefts = Vec::new();
    let mut widths = Vec::new();
    let mut left = 0;
    for column in &points {
        let width = column
            .iter()
            .map(|point| match point {
                Point::Box(position) => sizes[*position].0,
                Point::Slot => 0,
            })
            .max()
            .unwrap_or(0);
        lefts.push(left);
        widths.push(width);
        left += width + GAP;
    }
    let mut boxes = vec![Rectangle::default(); sizes.len()];
    for (column, points) in points.iter().enumerate() {
        for (number, point) in points.iter().enumerate() {
            if let Point::Box(position) = point {
                let (width, height) = (widths[column], sizes[*position].1);
                boxes[*position] = Rectangle { left: lefts[column], top: tops[column][number], width, height };
            }
        }
    }
    let lines = links
        .iter()
        .zip(&routes)
        .map(|(link, route)| {
            line(link, route, &boxes, |(column, number)| {
                (lefts[column], lefts[column] + widths[column], tops[column][number])
            })
        })
        .collect();
    let linked_width = (left - GAP).max(0);
    let linked_height = boxes.iter().map(Rectangle::bottom).chain(tops.iter().flatten().copied()).max().unwrap_or(0);
    let alone: Vec<usize> = (0..sizes.len()).filter(|&position| layers[position].is_none()).collect();
    let (width, height) = place_alone(&alone, sizes, linked_width, linked_height, &mut boxes);
    Layout { boxes, lines, width, height }
}

/// Finds the way of each link through the columns, as (column, number there), and makes slots for it.
///
/// A link that leads back in a circle goes the other way. A self-reference has no way.
fn routes(
    links: &[Link],
    column_of: &impl Fn(usize) -> Option<usize>,
    number: &[usize],
    points: &mut [Vec<Point>],
) -> Vec<Vec<(usize, usize)>> {
    let mut slots: BTreeMap<(usize, i32, u32, bool, usize), usize> = BTreeMap::new();
    links
        .iter()
        .map(|link| {
            let (Some(from), Some(to)) = (column_of(link.from), column_of(link.to)) else { return Vec::new() };
            if link.from == link.to {
                return Vec::new();
            }
            let between: Vec<usize> = if from < to { (from + 1..to).collect() } else { (to + 1..from).rev().collect() };
            let mut route = vec![(from, number[link.from])];
            for column in between {
                let slot = *slots.entry((link.to, link.to_port, link.bundle, from < to, column)).or_insert_with(|| {
                    points[column].push(Point::Slot);
                    points[column].len() - 1
                });
                route.push((column, slot));
            }
            route.push((to, number[link.to]));
            route
        })
        .collect()
}

/// Wants the right point as much below the left one as `offset` says.
#[derive(Debug, Clone, Copy)]
struct Pull {
    left: usize,
    right: usize,
    offset: i32,
    weight: i32,
}

/// Chooses the upper edge of each point: near to its neighbours, in the order given, none over another.
fn tops(order: &[Vec<usize>], heights: &[Vec<(i32, i32)>], pulls: &[Vec<Pull>]) -> Vec<Vec<i32>> {
    let mut tops: Vec<Vec<f64>> = heights.iter().map(|column| vec![0.0; column.len()]).collect();
    for (column, order) in order.iter().enumerate() {
        stack(order, &heights[column], &vec![(0.0, 1.0); order.len()], &mut tops[column]);
    }
    for round in 0..ROUNDS {
        let columns: Vec<usize> =
            if round % 2 == 0 { (0..order.len()).rev().collect() } else { (0..order.len()).collect() };
        for column in columns {
            let mut wanted = vec![(0.0, 0.0); heights[column].len()];
            let mut add = |point: usize, at: f64, weight: i32| {
                wanted[point].0 += at * f64::from(weight);
                wanted[point].1 += f64::from(weight);
            };
            if column > 0 {
                for pull in &pulls[column - 1] {
                    add(pull.right, tops[column - 1][pull.left] + f64::from(pull.offset), pull.weight);
                }
            }
            if let Some(pulls) = pulls.get(column) {
                for pull in pulls {
                    add(pull.left, tops[column + 1][pull.right] - f64::from(pull.offset), pull.weight);
                }
            }
            let wanted: Vec<(f64, f64)> = wanted
                .into_iter()
                .map(|(sum, weight)| (if weight > 0.0 { sum / weight } else { 0.0 }, weight))
                .collect();
            stack(&order[column], &heights[column], &wanted, &mut tops[column]);
        }
    }
    let highest = tops.iter().flatten().copied().fold(f64::INFINITY, f64::min);
    // Distances are whole pixels, so rounding makes none of them smaller.
    let whole = |top: &f64| (top - highest).round() as i32;
    tops.iter().map(|column| column.iter().map(whole).collect()).collect()
}

/// Puts the points of a column where they want to be, as near as their order and distances allow: the least squares,
/// found by joining neighbours that would overlap into blocks that move as one.
fn stack(order: &[usize], heights: &[(i32, i32)], wanted: &[(f64, f64)], tops: &mut [f64]) {
    struct Block {
        first: usize,
        sum: f64,
        weight: f64,
    }
    // Counted from where each point would be if all were packed, the order is all that is left to keep.
    let mut packed = Vec::with_capacity(order.len());
    let mut at = 0;
    for (place, &point) in order.iter().enumerate() {
        if let Some(&above) = place.checked_sub(1).and_then(|place| order.get(place)) {
            at += heights[above].0 + heights[above].1.max(heights[point].1);
        }
        packed.push(f64::from(at));
    }
    let mut blocks: Vec<Block> = Vec::new();
    for (place, &point) in order.iter().enumerate() {
        let weight = wanted[point].1.max(0.01);
        blocks.push(Block { first: place, sum: (wanted[point].0 - packed[place]) * weight, weight });
        while let [.., before, last] = &mut blocks[..] {
            if before.sum / before.weight <= last.sum / last.weight {
                break;
            }
            before.sum += last.sum;
            before.weight += last.weight;
            blocks.pop();
        }
    }
    let ends = blocks.iter().skip(1).map(|block| block.first).chain([order.len()]).collect::<Vec<_>>();
    for (block, end) in blocks.iter().zip(ends) {
        for place in block.first..end {
            tops[order[place]] = packed[place] + block.sum / block.weight;
        }
    }
}

/// Returns a line's corners. `slot` gives the left and right edge and the height of a point.
fn line(
    link: &Link,
    route: &[(usize, usize)],
    boxes: &[Rectangle],
    slot: impl Fn((usize, usize)) -> (i32, i32, i32),
) -> Vec<(i32, i32)> {
    let (from, to) = (boxes[link.from], boxes[link.to]);
    let (start, end) = (from.top + link.from_port, to.top + link.to_port);
    let [first, .., last] = route else {
        // A self-reference leaves and arrives on the right.
        return vec![(from.right(), start), (to.right(), end)];
    };
    let rightwards = first.0 < last.0;
    let mut corners = vec![(if rightwards { from.right() } else { from.left }, start)];
    for &point in &route[1..route.len() - 1] {
        let (left, right, height) = slot(point);
        corners.extend(if rightwards { [(left, height), (right, height)] } else { [(right, height), (left, height)] });
    }
    corners.push((if rightwards { to.left } else { to.right() }, end));
    corners
}

/// Puts boxes without links in rows below the others, and returns the size of the whole.
fn place_alone(alone: &[usize], sizes: &[(i32, i32)], width: i32, height: i32, boxes: &mut [Rectangle]) -> (i32, i32) {
    const AT_LEAST: i32 = 900;
    let limit = width.max(AT_LEAST);
    let mut top = if height == 0 { 0 } else { height + 2 * BETWEEN };
    let (mut left, mut row_height, mut widest) = (0, 0, width);
    for &position in alone {
        let (own_width, own_height) = sizes[position];
        if left > 0 && left + own_width > limit {
            top += row_height + BETWEEN;
            (left, row_height) = (0, 0);
        }
        boxes[position] = Rectangle { left, top, width: own_width, height: own_height };
        widest = widest.max(left + own_width);
        left += own_width + BETWEEN;
        row_height = row_height.max(own_height);
    }
    (widest, if alone.is_empty() { height } else { top + row_height })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(from: usize, to: usize) -> Link {
        Link { from, to, from_port: 30, to_port: 10, bundle: 0 }
    }

    fn overlap(one: &Rectangle, other: &Rectangle) -> bool {
        one.left < other.right() && other.left < one.right() && one.top < other.bottom() && other.top < one.bottom()
    }

    #[test]
    fn boxes_of_random_graphs_never_overlap() {
        use proptest::prelude::*;
        let graphs =
            (1_usize..14).prop_flat_map(|boxes| (Just(boxes), proptest::collection::vec((0..boxes, 0..boxes), 0..30)));
        proptest!(ProptestConfig::with_cases(200), |((boxes, pairs) in graphs)| {
            let sizes: Vec<(i32, i32)> = (0..boxes as i32).map(|n| (100 + 10 * (n % 4), 40 + 15 * (n % 5))).collect();
            let links: Vec<Link> = pairs.into_iter().map(|(from, to)| link(from, to)).collect();
            let layout = lay_out(&sizes, &links);
            for (position, one) in layout.boxes.iter().enumerate() {
                prop_assert!(one.left >= 0 && one.top >= 0 && one.right() <= layout.width && one.bottom() <= layout.height);
                prop_assert!(layout.boxes[..position].iter().all(|other| !overlap(one, other)), "{layout:?}");
            }
            for corners in &layout.lines {
                // What lies in a column lies in a slot: beside all boxes.
                for slot in corners[1..corners.len() - 1].chunks(2) {
                    let (left, right) = (slot[0].0.min(slot[1].0), slot[0].0.max(slot[1].0));
                    let crosses = |shown: &Rectangle| {
                        left < shown.right() && right > shown.left && slot[0].1 > shown.top && slot[0].1 < shown.bottom()
                    };
                    prop_assert!(!layout.boxes.iter().any(crosses), "{layout:?}");
                }
            }
        });
    }

    #[test]
    fn a_chain_is_a_straight_line() {
        let layout = lay_out(&[(100, 50), (100, 50), (100, 50)], &[link(0, 1), link(1, 2)]);
        assert!(layout.boxes[0].left < layout.boxes[1].left && layout.boxes[1].left < layout.boxes[2].left);
        assert!(layout.lines.iter().all(|line| line[0].1 == line[1].1), "{layout:?}");
    }
}

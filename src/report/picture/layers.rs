//! Tables in layers: what refers stands left of what it refers to, and lines cross as little as may be.

/// A line between two boxes, by their positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Link {
    pub from: usize,
    pub to: usize,
    /// Where it leaves its box, and where it arrives: pixels below the upper edge.
    pub from_port: i32,
    pub to_port: i32,
    /// Lines of one bundle that arrive at one port share their way.
    pub bundle: u32,
}

/// Returns the layer of each box, counted from the right: a link leads to a lower one, but where boxes refer to each
/// other in a circle. Boxes without links are `None`.
pub(super) fn layers(boxes: usize, links: &[Link]) -> Vec<Option<usize>> {
    let mut next: Vec<Vec<usize>> = vec![Vec::new(); boxes];
    let mut linked = vec![false; boxes];
    for link in links {
        linked[link.from] = true;
        linked[link.to] = true;
        if link.from != link.to && !next[link.from].contains(&link.to) {
            next[link.from].push(link.to);
        }
    }
    cut_circles(&mut next);
    let mut layers = vec![0; boxes];
    // The longest way from a box decides; without circles this ends after as many rounds as there are layers.
    let mut changed = true;
    while changed {
        changed = false;
        for from in 0..boxes {
            let wanted = next[from].iter().map(|&to| layers[to] + 1).max().unwrap_or(0);
            changed |= wanted > layers[from];
            layers[from] = wanted.max(layers[from]);
        }
    }
    // What refers to nothing moves next to what refers to it.
    for to in (0..boxes).filter(|&to| next[to].is_empty()) {
        let nearest = (0..boxes).filter(|&from| next[from].contains(&to)).map(|from| layers[from]).min();
        layers[to] = nearest.map_or(layers[to], |nearest| nearest - 1);
    }
    (0..boxes).map(|position| linked[position].then_some(layers[position])).collect()
}

/// Takes out one link of each circle: the one that leads back to a box that the walk is still below.
fn cut_circles(next: &mut [Vec<usize>]) {
    #[derive(Clone, Copy, PartialEq)]
    enum State {
        New,
        Open,
        Done,
    }
    let mut states = vec![State::New; next.len()];
    for start in 0..next.len() {
        let mut walk = vec![(start, 0)];
        if states[start] != State::New {
            continue;
        }
        states[start] = State::Open;
        while let Some(&mut (here, ref mut at)) = walk.last_mut() {
            match next[here].get(*at).copied() {
                None => {
                    states[here] = State::Done;
                    walk.pop();
                }
                Some(to) if states[to] == State::Open => {
                    next[here].remove(*at);
                }
                Some(to) => {
                    *at += 1;
                    if states[to] == State::New {
                        states[to] = State::Open;
                        walk.push((to, 0));
                    }
                }
            }
        }
    }
}

/// Two neighbours in the layered drawing: a point of the left layer and one of the right, by their positions there.
pub(super) type Segment = (usize, usize);

/// How often the order is gone over.
const SWEEPS: usize = 24;

/// Orders the points of each layer so that few segments cross. `segments[i]` join layer `i` and layer `i + 1` by the
/// points' numbers; returns the numbers in their order.
pub(super) fn order(sizes: &[usize], segments: &[Vec<Segment>]) -> Vec<Vec<usize>> {
    let mut order: Vec<Vec<usize>> = sizes.iter().map(|&size| (0..size).collect()).collect();
    let mut best = (crossings(&order, segments), order.clone());
    for sweep in 0..SWEEPS {
        let to_left = sweep % 2 == 0;
        let layers: Vec<usize> =
            if to_left { (1..sizes.len()).collect() } else { (0..sizes.len().saturating_sub(1)).rev().collect() };
        for layer in layers {
            let (other, segments) =
                if to_left { (layer - 1, &segments[layer - 1]) } else { (layer + 1, &segments[layer]) };
            let places = places(&order[other]);
            let mut sums = vec![(0, 0); sizes[layer]];
            for &(low, high) in segments {
                let (own, others) = if to_left { (high, low) } else { (low, high) };
                sums[own].0 += places[others];
                sums[own].1 += 1;
            }
            sort_by_means(&mut order[layer], &sums);
        }
        let found = crossings(&order, segments);
        if found < best.0 {
            best = (found, order.clone());
        }
    }
    best.1
}

/// Sorts points by the mean place of their neighbours; those without neighbours keep their places.
fn sort_by_means(order: &mut [usize], sums: &[(usize, usize)]) {
    let mut sorted: Vec<usize> = order.iter().copied().filter(|&point| sums[point].1 > 0).collect();
    // Fractions are compared crosswise, without rounding; the sort is stable.
    sorted.sort_by(|&one, &other| {
        let ((one_sum, one_count), (other_sum, other_count)) = (sums[one], sums[other]);
        (one_sum * other_count).cmp(&(other_sum * one_count))
    });
    let mut sorted = sorted.into_iter();
    for place in order.iter_mut() {
        if sums[*place].1 > 0 {
            *place = sorted.next().unwrap_or(*place);
        }
    }
}

/// Returns the place of each point in an order.
pub(super) fn places(order: &[usize]) -> Vec<usize> {
    let mut places = vec![0; order.len()];
    for (place, &point) in order.iter().enumerate() {
        places[point] = place;
    }
    places
}

fn crossings(order: &[Vec<usize>], segments: &[Vec<Segment>]) -> usize {
    segments
        .iter()
        .enumerate()
        .map(|(layer, segments)| {
            let (low, high) = (places(&order[layer]), places(&order[layer + 1]));
            let mut ends: Vec<(usize, usize)> = segments.iter().map(|&(one, other)| (low[one], high[other])).collect();
            ends.sort_unstable();
            inversions(&mut ends.into_iter().map(|(_, end)| end).collect::<Vec<_>>())
        })
        .sum()
}

/// Counts the pairs that stand in the wrong order, and sorts.
fn inversions(list: &mut [usize]) -> usize {
    if list.len() < 2 {
        return 0;
    }
    let (left, right) = list.split_at_mut(list.len() / 2);
    let mut found = inversions(left) + inversions(right);
    let mut merged = Vec::with_capacity(left.len() + right.len());
    let (mut one, mut other) = (0, 0);
    while one < left.len() && other < right.len() {
        if left[one] <= right[other] {
            merged.push(left[one]);
            one += 1;
        } else {
            found += left.len() - one;
            merged.push(right[other]);
            other += 1;
        }
    }
    merged.extend_from_slice(&left[one..]);
    merged.extend_from_slice(&right[other..]);
    list.copy_from_slice(&merged);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(from: usize, to: usize) -> Link {
        Link { from, to, from_port: 0, to_port: 0, bundle: 0 }
    }

    #[test]
    fn what_refers_stands_left_of_what_it_refers_to() {
        assert_eq!(layers(4, &[link(0, 1), link(1, 2), link(0, 2)]), [Some(2), Some(1), Some(0), None]);
    }

    #[test]
    fn what_refers_to_nothing_stands_next_to_what_refers_to_it() {
        assert_eq!(layers(4, &[link(0, 1), link(1, 2), link(0, 3)]), [Some(2), Some(1), Some(0), Some(1)]);
    }

    #[test]
    fn circles_and_self_references_end() {
        assert_eq!(layers(3, &[link(0, 1), link(1, 2), link(2, 0), link(1, 1)]), [Some(2), Some(1), Some(0)]);
    }

    #[test]
    fn crossings_are_taken_out_where_they_can_be() {
        let segments = vec![vec![(0, 2), (1, 1), (2, 0)]];
        let order = order(&[3, 3], &segments);
        assert_eq!(crossings(&order, &segments), 0);
        assert_eq!(inversions(&mut [3, 1, 2, 0]), 5);
    }
}

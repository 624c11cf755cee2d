//! How an edge runs: a curve from one stage to another that passes the stages between them in the gaps, so that it does not
//! look as if it led to one of them. Pure.

use std::fmt::Write as _;

use super::layout::{Direction, NODE};

/// How far an edge keeps from stages that it passes, pixels.
const CLEARANCE: f64 = 4.0;
/// Least bend of a curve's ends, pixels: across and down.
const BEND_MIN: (f64, f64) = (18.0, 14.0);

/// A point along the flow and aside from it.
type Point = (f64, f64);

/// A cubic Bézier curve.
type Curve = [Point; 4];

/// An edge between two stages as an SVG path.
pub(super) fn path(
    corners: &[(f64, f64)],
    (from, to): (usize, usize),
    (width, height): (f64, f64),
    direction: Direction,
) -> String {
    let aside_total = if direction == Direction::Across { height } else { width };
    let place = |(along, aside): Point| match direction {
        Direction::Across => (along, aside),
        Direction::Down => (aside, along),
    };
    let mut path = String::new();
    for (index, curve) in curves(corners, (from, to), aside_total, direction).into_iter().enumerate() {
        let [start, first, second, end] = curve.map(place);
        if index == 0 {
            push(&mut path, &format!("M{:.0} {:.0}", start.0, start.1));
        }
        let points = (first.0, first.1, second.0, second.1, end.0, end.1);
        let (a, b, c, d, e, f) = points;
        push(&mut path, &format!("C{a:.0} {b:.0} {c:.0} {d:.0} {e:.0} {f:.0}"));
    }
    path
}

fn push(path: &mut String, text: &str) {
    debug_assert!(path.write_str(text).is_ok(), "writing to a string cannot fail");
}

fn curves(corners: &[(f64, f64)], (from, to): (usize, usize), aside_total: f64, direction: Direction) -> Vec<Curve> {
    let turned = |(x, y): (f64, f64)| if direction == Direction::Across { (x, y) } else { (y, x) };
    let ((length, breadth), bend_min) = match direction {
        Direction::Across => (NODE, BEND_MIN.0),
        Direction::Down => ((NODE.1, NODE.0), BEND_MIN.1),
    };
    let middle = |node: usize| turned(corners[node]).1 + breadth / 2.0;
    let start = (turned(corners[from]).0 + length, middle(from));
    let end = (turned(corners[to]).0 - 1.0, middle(to));
    let mut at = start;
    let mut curves = Vec::new();
    let mut layers: Vec<f64> = corners.iter().map(|&corner| turned(corner).0).collect();
    layers.retain(|&along| along >= start.0 && along + length <= end.0);
    layers.sort_by(f64::total_cmp);
    layers.dedup();
    for along in layers {
        let share = (along + length / 2.0 - start.0) / (end.0 - start.0);
        let wish = start.1 + share * (end.1 - start.1);
        let beside = corners.iter().map(|&corner| turned(corner)).filter(|&(of, _)| of == along);
        let taken: Vec<(f64, f64)> = beside.map(|(_, aside)| (aside, aside + breadth)).collect();
        let aside = nearest_gap(taken, aside_total, wish);
        curves.push(curve(at, (along, aside), bend_min));
        at = (along + length, aside);
        curves.push([(along, aside), (along, aside), at, at]);
    }
    curves.push(curve(at, end, bend_min));
    curves
}

/// The place nearest to a wish that lies in none of these ranges; the wish itself when there is no room at all.
fn nearest_gap(mut taken: Vec<(f64, f64)>, total: f64, wish: f64) -> f64 {
    taken.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut gaps = Vec::with_capacity(taken.len() + 1);
    let mut free_from = 0.0;
    for (from, to) in taken {
        gaps.push((free_from, from - CLEARANCE));
        free_from = to + CLEARANCE;
    }
    gaps.push((free_from, total));
    let places = gaps.into_iter().filter(|(from, to)| from <= to).map(|(from, to)| wish.clamp(from, to));
    places.min_by(|a, b| (a - wish).abs().total_cmp(&(b - wish).abs())).unwrap_or(wish)
}

/// A curve that leaves and arrives in the direction of the flow.
fn curve(from: Point, to: Point, bend_min: f64) -> Curve {
    let bend = ((to.0 - from.0) / 2.0).abs().max(bend_min);
    [from, (from.0 + bend, from.1), (to.0 - bend, to.1), to]
}

#[cfg(test)]
mod tests {
    use super::super::layout::place;
    use super::*;

    fn point(curve: &Curve, t: f64) -> Point {
        let weights = [(1.0 - t).powi(3), 3.0 * t * (1.0 - t).powi(2), 3.0 * t * t * (1.0 - t), t.powi(3)];
        let sum = |of: fn(&Point) -> f64| curve.iter().zip(weights).map(|(point, weight)| of(point) * weight).sum();
        (sum(|point| point.0), sum(|point| point.1))
    }

    #[test]
    fn no_edge_runs_through_another_stage() {
        let graphs: [(usize, &[(usize, usize)]); 4] = [
            // API, function, delivery, two queries, functions behind both, a table; the archive.
            (9, &[(0, 1), (1, 2), (2, 3), (2, 4), (2, 8), (3, 5), (4, 6), (5, 7), (6, 7)]),
            // A chain with a shortcut past everything.
            (6, &[(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (0, 5), (1, 5)]),
            // A stream with five queries and a function that gets from all.
            (7, &[(0, 1), (0, 2), (0, 3), (0, 4), (0, 5), (1, 6), (2, 6), (3, 6), (4, 6), (5, 6)]),
            (4, &[(0, 1), (0, 2), (1, 3), (2, 3), (0, 3)]),
        ];
        for (count, edges) in graphs {
            for direction in [Direction::Across, Direction::Down] {
                let placed = place(count, edges, direction);
                let total = if direction == Direction::Across { placed.height } else { placed.width };
                for &(from, to) in edges {
                    for curve in curves(&placed.corners, (from, to), total, direction) {
                        for step in 0..=50 {
                            let (along, aside) = point(&curve, f64::from(step) / 50.0);
                            let (x, y) = if direction == Direction::Across { (along, aside) } else { (aside, along) };
                            let inside = |&(left, top): &(f64, f64)| {
                                x > left && x < left + NODE.0 && y > top && y < top + NODE.1
                            };
                            let through = placed.corners.iter().position(inside);
                            let strange = through.filter(|node| ![from, to].contains(node));
                            assert_eq!(strange, None, "{direction:?} {from} to {to}: {:?}", placed.corners);
                        }
                    }
                }
            }
        }
    }
}

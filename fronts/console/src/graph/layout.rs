//! Where each stage is drawn: layers in the direction of the flow, few crossings.
//!
//! Pure and deterministic: the same graph gives the same picture every second, so that nothing jumps.
//! Read next: `route.rs` (how edges run between them).

use super::route;

/// Which way records flow in the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Left to right, for wide screens.
    Across,
    /// Top to bottom, at most [`ROW_MAX`] side by side, for phones.
    Down,
}

/// A stage's size, pixels.
pub const NODE: (f64, f64) = (172.0, 76.0);
/// Between layers and between neighbours of a layer, across.
const GAP_ACROSS: (f64, f64) = (38.0, 18.0);
/// Between neighbours of a row and between rows, down.
const GAP_DOWN: (f64, f64) = (14.0, 34.0);
/// Stages side by side in a picture that flows down: what a phone's width holds.
pub const ROW_MAX: usize = 2;
/// Passes that reorder layers by their neighbours; more change nothing in graphs of this size.
const ORDER_PASSES: usize = 6;
/// Between the connected stages and those that stand alone.
const LOOSE_GAP: f64 = 34.0;
/// Room beside a single row of stages for edges that pass some of them.
const LANE: f64 = 14.0;
/// Stages side by side in a picture without connections.
const COLUMNS_MIN: usize = 4;

/// The picture's geometry.
#[derive(Debug)]
pub struct Placed {
    /// The picture's width, pixels.
    pub width: f64,
    /// The picture's height, pixels.
    pub height: f64,
    /// The upper left corner of each node, in their order.
    pub corners: Vec<(f64, f64)>,
    /// Each edge as an SVG path, in their order.
    pub paths: Vec<String>,
}

/// Places `count` nodes with these edges.
pub fn place(count: usize, edges: &[(usize, usize)], direction: Direction) -> Placed {
    let forward = without_cycles(count, edges);
    let mut layers = layered(count, &forward);
    let loose = take_loose(&mut layers, edges);
    order(&mut layers, &forward, count);
    if direction == Direction::Down {
        layers = layers.iter().flat_map(|layer| layer.chunks(ROW_MAX).map(<[usize]>::to_vec)).collect();
    }
    let mut corners = vec![(0.0, 0.0); count];
    let (gap, (width, height)) = match direction {
        Direction::Across => (GAP_ACROSS, set_corners(&layers, &mut corners, GAP_ACROSS, true)),
        Direction::Down => (GAP_DOWN, set_corners(&layers, &mut corners, (GAP_DOWN.1, GAP_DOWN.0), false)),
    };
    // Stages in one row leave no gap: an edge past some of them runs beside all.
    let lane = if layers.iter().all(|layer| layer.len() == 1) && skips(&layers, &forward) { LANE } else { 0.0 };
    let (width, height) = if direction == Direction::Across { (width, height + lane) } else { (width + lane, height) };
    let columns = if direction == Direction::Down { ROW_MAX } else { layers.len().max(COLUMNS_MIN) };
    let (width, height) = set_loose(&loose, &mut corners, (width, height), gap, columns);
    let paths = edges.iter().map(|&edge| route::path(&corners, edge, (width, height), direction)).collect();
    Placed { width, height, corners, paths }
}

/// Whether an edge leads past a layer.
fn skips(layers: &[Vec<usize>], edges: &[(usize, usize)]) -> bool {
    let depth = |node: usize| layers.iter().position(|layer| layer.contains(&node)).unwrap_or_default();
    edges.iter().any(|&(from, to)| depth(to) > depth(from) + 1)
}

/// Takes the nodes that nothing leads to or from out of their layer: they stand below the others.
fn take_loose(layers: &mut Vec<Vec<usize>>, edges: &[(usize, usize)]) -> Vec<usize> {
    let is_loose = |node: usize| !edges.iter().any(|&(from, to)| from == node || to == node);
    let mut loose = Vec::new();
    for layer in layers.iter_mut() {
        loose.extend(layer.iter().copied().filter(|&node| is_loose(node)));
        layer.retain(|&node| !is_loose(node));
    }
    layers.retain(|layer| !layer.is_empty());
    loose
}

/// Places loose nodes in rows of `columns` below a picture of this size; gives the new size.
fn set_loose(
    loose: &[usize],
    corners: &mut [(f64, f64)],
    (width, height): (f64, f64),
    gap: (f64, f64),
    columns: usize,
) -> (f64, f64) {
    if loose.is_empty() {
        return (width, height);
    }
    let top = if height > 0.0 { height + LOOSE_GAP } else { 0.0 };
    let (column_pitch, row_pitch) = (NODE.0 + gap.0, NODE.1 + gap.1);
    for (index, &node) in loose.iter().enumerate() {
        let (row, column) = (index / columns, index % columns);
        corners[node] = (column as f64 * column_pitch, top + row as f64 * row_pitch);
    }
    let (rows, widest) = (loose.len().div_ceil(columns), loose.len().min(columns));
    let own_width = (widest - 1) as f64 * column_pitch + NODE.0;
    (width.max(own_width), top + (rows - 1) as f64 * row_pitch + NODE.1)
}

/// The edges that a depth-first walk does not find leading back.
fn without_cycles(count: usize, edges: &[(usize, usize)]) -> Vec<(usize, usize)> {
    #[derive(Clone, Copy, PartialEq)]
    enum Visit {
        Never,
        Open,
        Done,
    }
    let mut visits = vec![Visit::Never; count];
    let mut forward = Vec::with_capacity(edges.len());
    for start in 0..count {
        if visits[start] != Visit::Never {
            continue;
        }
        visits[start] = Visit::Open;
        let mut open = vec![(start, 0usize)];
        while let Some((node, next)) = open.pop() {
            let Some(&(_, to)) = edges.iter().filter(|(from, _)| *from == node).nth(next) else {
                visits[node] = Visit::Done;
                continue;
            };
            open.push((node, next + 1));
            if visits[to] != Visit::Open {
                forward.push((node, to));
            }
            if visits[to] == Visit::Never {
                visits[to] = Visit::Open;
                open.push((to, 0));
            }
        }
    }
    forward
}

/// Each node one layer behind the last of those before it.
fn layered(count: usize, edges: &[(usize, usize)]) -> Vec<Vec<usize>> {
    let mut depths = vec![0usize; count];
    // A longest path has at most `count` edges, so that many rounds settle every depth.
    for _ in 0..count {
        let mut settled = true;
        for &(from, to) in edges {
            if depths[to] <= depths[from] {
                depths[to] = depths[from] + 1;
                settled = false;
            }
        }
        if settled {
            break;
        }
    }
    let mut layers = vec![Vec::new(); depths.iter().max().map_or(0, |deepest| deepest + 1)];
    for (node, depth) in depths.into_iter().enumerate() {
        layers[depth].push(node);
    }
    layers
}

/// Moves each node towards the middle of its neighbours in the layers before and behind.
fn order(layers: &mut [Vec<usize>], edges: &[(usize, usize)], count: usize) {
    for pass in 0..ORDER_PASSES {
        let backwards = pass % 2 == 1;
        let mut ranks = vec![0.0; count];
        for layer in layers.iter() {
            for (rank, &node) in layer.iter().enumerate() {
                ranks[node] = rank as f64 - layer.len() as f64 / 2.0;
            }
        }
        let wish = |node: usize| {
            let mut neighbours = edges.iter().filter_map(|&(from, to)| match backwards {
                false => (to == node).then_some(ranks[from]),
                true => (from == node).then_some(ranks[to]),
            });
            let first = neighbours.next()?;
            let (sum, count) = neighbours.fold((first, 1.0), |(sum, count), rank| (sum + rank, count + 1.0));
            Some(sum / count)
        };
        for layer in layers.iter_mut() {
            layer.sort_by(|&a, &b| wish(a).unwrap_or(ranks[a]).total_cmp(&wish(b).unwrap_or(ranks[b])));
        }
    }
}

/// Centres each layer; gives the picture's size. `gap`: between layers, and within one.
fn set_corners(layers: &[Vec<usize>], corners: &mut [(f64, f64)], gap: (f64, f64), across: bool) -> (f64, f64) {
    if layers.is_empty() {
        return (0.0, 0.0);
    }
    let (node_along, node_aside) = if across { NODE } else { (NODE.1, NODE.0) };
    let pitch = (node_along + gap.0, node_aside + gap.1);
    let widest = layers.iter().map(Vec::len).max().unwrap_or(0);
    let extent = |count: usize, pitch: f64, node: f64| (count.max(1) - 1) as f64 * pitch + node;
    let (along_total, aside_total) = (extent(layers.len(), pitch.0, node_along), extent(widest, pitch.1, node_aside));
    for (depth, layer) in layers.iter().enumerate() {
        let start = (aside_total - extent(layer.len(), pitch.1, node_aside)) / 2.0;
        for (rank, &node) in layer.iter().enumerate() {
            let (along, aside) = (depth as f64 * pitch.0, start + rank as f64 * pitch.1);
            corners[node] = if across { (along, aside) } else { (aside, along) };
        }
    }
    if across { (along_total, aside_total) } else { (aside_total, along_total) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_a_row() {
        let placed = place(3, &[(2, 1), (1, 0)], Direction::Across);
        assert_eq!(placed.corners, vec![(420.0, 0.0), (210.0, 0.0), (0.0, 0.0)]);
        assert_eq!((placed.width, placed.height), (592.0, 76.0));
    }

    #[test]
    fn branches_do_not_overlap_and_stay_inside() {
        // API, function, stream, two queries, objects, function, table.
        let edges = [(0, 1), (1, 2), (2, 3), (2, 4), (2, 5), (3, 6), (6, 7)];
        for direction in [Direction::Across, Direction::Down] {
            let placed = place(8, &edges, direction);
            for (index, &(x, y)) in placed.corners.iter().enumerate() {
                assert!(x >= 0.0 && y >= 0.0 && x + NODE.0 <= placed.width && y + NODE.1 <= placed.height);
                let apart = |&(ox, oy): &(f64, f64)| (ox - x).abs() >= NODE.0 || (oy - y).abs() >= NODE.1;
                assert!(placed.corners[index + 1..].iter().all(apart), "{direction:?}: {:?}", placed.corners);
            }
        }
        assert!(place(8, &edges, Direction::Down).width <= 358.0, "a phone's width");
    }

    #[test]
    fn what_stands_alone_stands_below() {
        let placed = place(4, &[(1, 3)], Direction::Across);
        assert_eq!(placed.corners, vec![(0.0, 110.0), (0.0, 0.0), (210.0, 110.0), (210.0, 0.0)]);
        assert_eq!((placed.width, placed.height), (382.0, 186.0));
    }

    #[test]
    fn cycles_and_empty_graphs_end() {
        assert_eq!(place(2, &[(0, 1), (1, 0)], Direction::Across).corners, vec![(0.0, 0.0), (210.0, 0.0)]);
        assert!(place(0, &[], Direction::Down).corners.is_empty());
        assert_eq!(place(1, &[(0, 0)], Direction::Across).corners.len(), 1);
    }
}

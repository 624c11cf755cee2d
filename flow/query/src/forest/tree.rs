//! One random cut tree: a box around points is cut in two at a random place, and so are the parts, until each holds one point.
//!
//! Which dimension is cut follows its part of the box's length, and where is uniform (Guha, Mishra, Roy, Schrijvers: "Robust random
//! cut forest based anomaly detection on streams", 2016). The random number of a cut is a function of the tree's seed and of the box, so
//! a tree is what its points are, however they came into it, and only points are kept in checkpoints. Where a point changes a box,
//! what is below it is made anew; that is seldom the case of large boxes.

use std::sync::Arc;

use super::Attribution;
use super::random::Mixed;

/// A point, and its number in the stream.
pub(super) type Numbered = (Arc<[f64]>, u64);

/// A tree.
pub(super) struct Tree {
    seed: Mixed,
    root: Option<Node>,
}

enum Node {
    /// Points that are equal.
    Leaf {
        point: Arc<[f64]>,
        numbers: Vec<u64>,
    },
    Inner(Box<Inner>),
}

struct Inner {
    low: Box<[f64]>,
    high: Box<[f64]>,
    dimension: usize,
    /// Points up to here are left, others are right.
    cut: f64,
    left: Node,
    right: Node,
}

impl Tree {
    pub(super) fn new(seed: Mixed) -> Self {
        Self { seed, root: None }
    }

    pub(super) fn insert(&mut self, point: Numbered) {
        let Some(mut node) = self.root.as_mut() else {
            self.root = Some(Node::Leaf { numbers: vec![point.1], point: point.0 });
            return;
        };
        loop {
            let (low, high) = node.bounds();
            if !point.0.iter().zip(low.iter().zip(high)).all(|(at, (low, high))| low <= at && at <= high) {
                let mut points = vec![point];
                node.take().collect(&mut points);
                *node = built(self.seed, points);
                return;
            }
            match node {
                Node::Leaf { numbers, .. } => return numbers.push(point.1),
                Node::Inner(inner) => node = inner.side(&point.0),
            }
        }
    }

    pub(super) fn remove(&mut self, point: &Numbered) {
        let Some(mut node) = self.root.as_mut() else { return };
        loop {
            let (low, high) = node.bounds();
            let may_bound = point.0.iter().zip(low.iter().zip(high)).any(|(at, (low, high))| low == at || at == high);
            if may_bound && matches!(node, Node::Inner(_)) {
                let mut points = Vec::new();
                node.take().collect(&mut points);
                points.retain(|(_, number)| *number != point.1);
                *node = built(self.seed, points);
                break;
            }
            match node {
                Node::Leaf { numbers, .. } => {
                    numbers.retain(|number| *number != point.1);
                    break;
                }
                Node::Inner(inner) => node = inner.side(&point.0),
            }
        }
        // Only a leaf that is the whole tree can have become empty: others bound the box above them.
        if matches!(&self.root, Some(Node::Leaf { numbers, .. }) if numbers.is_empty()) {
            self.root = None;
        }
    }

    /// Adds how soon a cut would part the point from those of the tree: the inverse of the depth at which that happens, as it is to be
    /// expected of trees that held it too, and which way it lies from the boxes that it is parted from.
    pub(super) fn score(&self, point: &[f64], attribution: &mut Attribution) {
        let (mut node, mut depth, mut rest) = (self.root.as_ref(), 0.0, 1.0);
        while let Some(here) = node {
            let (low, high) = here.bounds();
            let outside = Outside::new(low, high, point);
            let parted = outside.probability();
            outside.share(rest * parted / (depth + 1.0), attribution);
            rest *= 1.0 - parted;
            node = match here {
                Node::Leaf { numbers, .. } => {
                    if parted == 0.0 {
                        attribution.equal(rest / (depth + (1.0 + numbers.len() as f64).log2()));
                    }
                    None
                }
                Node::Inner(inner) if point[inner.dimension] <= inner.cut => Some(&inner.left),
                Node::Inner(inner) => Some(&inner.right),
            };
            depth += 1.0;
        }
    }
}

impl Inner {
    /// The side of the cut on which a point lies.
    fn side(&mut self, point: &[f64]) -> &mut Node {
        if point[self.dimension] <= self.cut { &mut self.left } else { &mut self.right }
    }
}

impl Node {
    /// The node; in its place is an empty one.
    fn take(&mut self) -> Self {
        std::mem::replace(self, Self::Leaf { point: Arc::from([]), numbers: Vec::new() })
    }

    fn bounds(&self) -> (&[f64], &[f64]) {
        match self {
            Self::Leaf { point, .. } => (point, point),
            Self::Inner(inner) => (&inner.low, &inner.high),
        }
    }

    /// Adds all its points.
    fn collect(self, points: &mut Vec<Numbered>) {
        let mut left = vec![self];
        while let Some(node) = left.pop() {
            match node {
                Self::Leaf { point, numbers } => {
                    points.extend(numbers.into_iter().map(|number| (Arc::clone(&point), number)));
                }
                Self::Inner(inner) => left.extend([inner.right, inner.left]),
            }
        }
    }
}

/// How far a point lies outside of a box. Lengths are parts of the real ones, so that sums of them are finite.
struct Outside<'p> {
    low: &'p [f64],
    high: &'p [f64],
    point: &'p [f64],
    scale: f64,
    inside: f64,
    outside: f64,
}

impl<'p> Outside<'p> {
    fn new(low: &'p [f64], high: &'p [f64], point: &'p [f64]) -> Self {
        let mut made = Self { low, high, point, scale: scale(point.len()), inside: 0.0, outside: 0.0 };
        for dimension in 0..point.len() {
            let (below, above) = made.of(dimension);
            made.outside += below + above;
            made.inside += high[dimension] * made.scale - low[dimension] * made.scale;
        }
        made
    }

    /// How far it is below and above in a dimension.
    fn of(&self, dimension: usize) -> (f64, f64) {
        let at = self.point[dimension] * self.scale;
        let (low, high) = (self.low[dimension] * self.scale, self.high[dimension] * self.scale);
        ((low - at).max(0.0), (at - high).max(0.0))
    }

    /// The probability that the first cut of the box around both parts them.
    fn probability(&self) -> f64 {
        if self.outside > 0.0 { self.outside / (self.inside + self.outside) } else { 0.0 }
    }

    /// Shares what is due to the point being outside among dimensions and directions.
    fn share(&self, amount: f64, attribution: &mut Attribution) {
        if self.outside > 0.0 {
            for dimension in 0..self.point.len() {
                let (below, above) = self.of(dimension);
                attribution.add(dimension, amount * below / self.outside, amount * above / self.outside);
            }
        }
    }
}

/// By what lengths are multiplied so that no sum of so many of them overflows.
fn scale(dimensions: usize) -> f64 {
    0.125 / dimensions.max(1) as f64
}

/// The tree of some points; there is at least one.
fn built(seed: Mixed, points: Vec<Numbered>) -> Node {
    let (low, high) = box_around(&points);
    let Some((dimension, cut)) = cut(seed, &low, &high) else {
        let numbers = points.iter().map(|(_, number)| *number).collect();
        return Node::Leaf { point: low.into(), numbers };
    };
    let (left, right) = points.into_iter().partition(|(point, _)| point[dimension] <= cut);
    let (left, right) = (built(seed, left), built(seed, right));
    Node::Inner(Box::new(Inner { low, high, dimension, cut, left, right }))
}

fn box_around(points: &[Numbered]) -> (Box<[f64]>, Box<[f64]>) {
    let Some((first, _)) = points.first() else { return (Box::default(), Box::default()) };
    let (mut low, mut high): (Box<[f64]>, Box<[f64]>) =
        (first.iter().copied().collect(), first.iter().copied().collect());
    for (point, _) in points {
        for (dimension, at) in point.iter().enumerate() {
            low[dimension] = low[dimension].min(*at);
            high[dimension] = high[dimension].max(*at);
        }
    }
    (low, high)
}

/// Where a box is cut; `None`: it is a point. Both parts have points, since the cut lies below the upper bound.
fn cut(seed: Mixed, low: &[f64], high: &[f64]) -> Option<(usize, f64)> {
    let scale = scale(low.len());
    let lengths: Vec<f64> = low.iter().zip(high).map(|(low, high)| high * scale - low * scale).collect();
    let number = low.iter().chain(high).fold(seed, |mixed, bound| mixed.with(bound.to_bits()));
    let mut left = number.unit() * lengths.iter().sum::<f64>();
    let differs = |dimension: &usize| low[*dimension] < high[*dimension];
    // Rounding may leave a rest behind all lengths, or no length at all; then it is the last that can be cut.
    let last = (0..low.len()).rev().find(differs)?;
    let found = (0..last).find(|dimension| {
        let inside = left < lengths[*dimension];
        left -= if inside { 0.0 } else { lengths[*dimension] };
        inside && differs(dimension)
    });
    let dimension = found.unwrap_or(last);
    let part = if lengths[dimension] > 0.0 { (left / lengths[dimension]).clamp(0.0, 1.0) } else { 0.0 };
    let at = low[dimension] * (1.0 - part) + high[dimension] * part;
    let is_between = low[dimension] <= at && at < high[dimension];
    Some((dimension, if is_between { at } else { low[dimension] }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree as text, its leaves' numbers in order.
    fn shown(node: Option<&Node>) -> String {
        match node {
            None => String::new(),
            Some(Node::Leaf { point, numbers }) => {
                let mut numbers = numbers.clone();
                numbers.sort_unstable();
                format!("{point:?}{numbers:?}")
            }
            Some(Node::Inner(inner)) => {
                let (left, right) = (shown(Some(&inner.left)), shown(Some(&inner.right)));
                format!("({left} {}:{} {right})", inner.dimension, inner.cut)
            }
        }
    }

    #[test]
    fn a_tree_is_what_its_points_are_however_they_came() {
        let seed = Mixed::new(7);
        let value = |number: u64, dimension: u64| {
            let unit = Mixed::new(number).with(dimension).unit();
            // Many are equal, some are far away.
            if number % 17 == 0 { unit * 1e300 } else { (unit * 6.0).floor() }
        };
        let points: Vec<Numbered> = (0..200)
            .map(|number| (Arc::from([value(number, 1), value(number, 2), value(number, 3)]), number))
            .collect();
        let mut tree = Tree::new(seed);
        for (place, point) in points.iter().enumerate() {
            tree.insert(point.clone());
            if place >= 60 {
                tree.remove(&points[place - 60]);
            }
            let kept = &points[place.saturating_sub(59)..=place];
            assert_eq!(shown(tree.root.as_ref()), shown(Some(&built(seed, kept.to_vec()))), "{place}");
        }
        points[140..].iter().for_each(|point| tree.remove(point));
        assert!(tree.root.is_none());
    }

    #[test]
    fn boxes_without_a_middle_are_cut() {
        let seed = Mixed::new(1);
        for (low, high) in [(1.0, 1.0_f64.next_up()), (-f64::MAX, f64::MAX), (0.0, f64::from_bits(1)), (-0.5, 0.5)] {
            let (dimension, cut) = cut(seed, &[3.0, low], &[3.0, high]).unwrap();
            assert!(dimension == 1 && low <= cut && cut < high, "{low} {cut} {high}");
        }
        assert_eq!(cut(seed, &[1.0, 2.0], &[1.0, 2.0]), None);
    }
}

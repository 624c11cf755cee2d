//! A pattern as an automaton: places at which a row is expected, and which of them come behind each, in the order in which the
//! pattern prefers them. Repetitions are written out, so matching never goes back over rows.

use crate::plan::Pattern;

/// What comes behind a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Another row, at this place.
    Row(usize),
    /// Nothing: the rows match.
    End,
}

/// The places for a row.
pub(super) struct Nodes {
    /// By place the kind of its row.
    variables: Vec<usize>,
    /// By place what may come behind it, what is preferred first.
    behind: Vec<Vec<Next>>,
    /// What a match begins with.
    first: Vec<Next>,
}

/// A node in the making; some are no place for a row but a choice between ways.
enum Draft {
    Row { variable: usize, next: usize },
    Choice { preferred: usize, other: usize },
    End,
}

impl Nodes {
    pub(super) fn new(pattern: &Pattern) -> Self {
        let mut drafts = vec![Draft::End];
        let start = draft(pattern, 0, &mut drafts);
        let mut places = Vec::with_capacity(drafts.len());
        let mut rows = Vec::new();
        for node in &drafts {
            places.push(rows.len());
            if let Draft::Row { variable, next } = node {
                rows.push((*variable, *next));
            }
        }
        let ways = |from: usize| ways(&drafts, &places, from);
        let behind = rows.iter().map(|(_, next)| ways(*next)).collect();
        Self { behind, first: ways(start), variables: rows.into_iter().map(|(variable, _)| variable).collect() }
    }

    /// How many places there are.
    pub(super) fn len(&self) -> usize {
        self.variables.len()
    }

    pub(super) fn variable(&self, place: usize) -> usize {
        self.variables[place]
    }

    pub(super) fn behind(&self, place: usize) -> &[Next] {
        &self.behind[place]
    }

    pub(super) fn first(&self) -> &[Next] {
        &self.first
    }
}

/// Adds the nodes of a pattern behind which another node comes; gives the node at which it begins.
fn draft(pattern: &Pattern, next: usize, drafts: &mut Vec<Draft>) -> usize {
    let push = |node: Draft, drafts: &mut Vec<Draft>| {
        drafts.push(node);
        drafts.len() - 1
    };
    match pattern {
        Pattern::Row(variable) => push(Draft::Row { variable: *variable, next }, drafts),
        Pattern::Sequence(parts) => parts.iter().rev().fold(next, |next, part| draft(part, next, drafts)),
        Pattern::Either(parts) => {
            let begun: Vec<usize> = parts.iter().map(|part| draft(part, next, drafts)).collect();
            let both = |other: usize, preferred: usize| push(Draft::Choice { preferred, other }, drafts);
            begun.into_iter().rev().reduce(both).unwrap_or(next)
        }
        Pattern::Repeat { pattern, least, most, greedy } => {
            let choice = |more: usize| match greedy {
                true => Draft::Choice { preferred: more, other: next },
                false => Draft::Choice { preferred: next, other: more },
            };
            let rest = match most {
                // Each further time may only come behind the one before it.
                Some(most) => (*least..*most).fold(next, |rest, _| {
                    let more = draft(pattern, rest, drafts);
                    push(choice(more), drafts)
                }),
                None => {
                    let again = push(Draft::End, drafts);
                    let more = draft(pattern, again, drafts);
                    drafts[again] = choice(more);
                    again
                }
            };
            (0..*least).fold(rest, |rest, _| draft(pattern, rest, drafts))
        }
    }
}

/// What is reached from a node without a row in between, each once, what is preferred first.
fn ways(drafts: &[Draft], places: &[usize], from: usize) -> Vec<Next> {
    let (mut found, mut seen, mut left) = (Vec::new(), vec![false; drafts.len()], vec![from]);
    while let Some(node) = left.pop() {
        if std::mem::replace(&mut seen[node], true) {
            continue;
        }
        match drafts[node] {
            Draft::Row { .. } => found.push(Next::Row(places[node])),
            Draft::Choice { preferred, other } => left.extend([other, preferred]),
            Draft::End => found.push(Next::End),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repeat(pattern: Pattern, least: usize, most: Option<usize>, greedy: bool) -> Pattern {
        Pattern::Repeat { pattern: Box::new(pattern), least, most, greedy }
    }

    /// What may come, as the kinds of rows.
    fn kinds(nodes: &Nodes, next: &[Next]) -> String {
        let kind = |next: &Next| match next {
            Next::Row(place) => char::from(b'a' + nodes.variable(*place) as u8),
            Next::End => '.',
        };
        next.iter().map(kind).collect()
    }

    #[test]
    fn what_is_preferred_comes_first() {
        // a+ (b | c)? d{1,2}
        let pattern = |greedy| {
            Pattern::Sequence(vec![
                repeat(Pattern::Row(0), 1, None, greedy),
                repeat(Pattern::Either(vec![Pattern::Row(1), Pattern::Row(2)]), 0, Some(1), greedy),
                repeat(Pattern::Row(3), 1, Some(2), greedy),
            ])
        };
        let nodes = Nodes::new(&pattern(true));
        assert_eq!(nodes.len(), pattern(true).rows());
        let Next::Row(first) = nodes.first()[0] else { panic!("a pattern begins with a row") };
        assert_eq!(kinds(&nodes, nodes.behind(first)), "abcd");
        let last = (0..nodes.len()).find(|place| kinds(&nodes, nodes.behind(*place)) == "d.").unwrap();
        assert_eq!(nodes.variable(last), 3);

        let nodes = Nodes::new(&pattern(false));
        let Next::Row(first) = nodes.first()[0] else { panic!("a pattern begins with a row") };
        assert_eq!(kinds(&nodes, nodes.behind(first)), "dbca");
    }

    /// A repetition of what may be nothing has an end.
    #[test]
    fn empty_repetitions_end() {
        let inner = repeat(Pattern::Row(0), 0, None, true);
        let nodes = Nodes::new(&Pattern::Sequence(vec![repeat(inner, 0, None, true), Pattern::Row(1)]));
        assert_eq!(kinds(&nodes, nodes.first()), "ab");
    }
}

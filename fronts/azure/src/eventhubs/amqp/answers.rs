//! A node's answers on their way to a client: they wait for its credit, within bounds.
//!
//! Anybody may ask a node before a token is there, so that an answer and its client's patience cost memory of nobody known.

use std::collections::VecDeque;

use bytes::Bytes;

use super::request::Node;

/// Answers that may wait on one link, and their bytes.
const ANSWERS_MAX: usize = 100;
const ANSWERS_BYTES_MAX: usize = 256 << 10;

/// A link on which a node's answers go out.
#[derive(Debug)]
pub struct Answers {
    /// Whose answers.
    pub node: Node,
    /// What a request may call this link in its reply-to.
    pub names: Vec<String>,
    waiting: VecDeque<Bytes>,
    bytes: usize,
}

impl Answers {
    /// A link without answers.
    pub fn new(node: Node, names: Vec<String>) -> Self {
        Self { node, names, waiting: VecDeque::new(), bytes: 0 }
    }

    /// Keeps an answer until the client takes it; `false` when too much waits already.
    pub fn keep(&mut self, answer: Bytes) -> bool {
        if self.waiting.len() >= ANSWERS_MAX || self.bytes + answer.len() > ANSWERS_BYTES_MAX {
            return false;
        }
        self.bytes += answer.len();
        self.waiting.push_back(answer);
        true
    }

    /// The answer whose turn it is.
    pub fn first(&self) -> Option<&Bytes> {
        self.waiting.front()
    }

    /// Forgets the answer whose turn it was.
    pub fn sent(&mut self) {
        self.bytes -= self.waiting.pop_front().map_or(0, |answer| answer.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_bounded_in_number_and_in_bytes() {
        let mut answers = Answers::new(Node::Cbs, Vec::new());
        assert!((0..ANSWERS_MAX).all(|_| answers.keep(Bytes::from_static(b"a"))));
        assert!(!answers.keep(Bytes::from_static(b"a")));
        let mut answers = Answers::new(Node::Cbs, Vec::new());
        let large = Bytes::from(vec![0; ANSWERS_BYTES_MAX / 2]);
        assert!(answers.keep(large.clone()) && answers.keep(large.clone()) && !answers.keep(large.clone()));
        answers.sent();
        assert!(answers.keep(large));
        answers.sent();
        answers.sent();
        assert!(answers.first().is_none());
    }
}

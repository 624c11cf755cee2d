//! From a template's text to its pieces.
//!
//! Read next: `directive` (`#if` and its kind), `reference` (`$name.member`), `expression`, `cursor` (the place in the text).

mod cursor;
mod directive;
mod expression;
mod reference;

use super::syntax::Node;

/// A template that was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct TemplateError {
    /// The line, from 1.
    pub line: usize,
    /// What was expected, what was found.
    pub message: String,
}

type Parsed<T> = Result<T, TemplateError>;

/// What ends the pieces of a block.
#[derive(Debug, PartialEq, Eq)]
enum End {
    OfTemplate,
    OfBlock,
    Else,
    Elseif,
}

pub(super) fn parse(text: &str) -> Parsed<Vec<Node>> {
    let mut parser = Parser { text, at: 0, depth: 0 };
    match parser.nodes()? {
        (nodes, End::OfTemplate) => Ok(nodes),
        (_, end) => Err(parser.wrong(format!("{} without a directive before it", end.written()))),
    }
}

impl End {
    fn written(&self) -> &'static str {
        match self {
            Self::OfTemplate => "the end of the template",
            Self::OfBlock => "`#end`",
            Self::Else => "`#else`",
            Self::Elseif => "`#elseif`",
        }
    }
}

/// A place in a text, and how deep in blocks and expressions it is.
struct Parser<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn nodes(&mut self) -> Parsed<(Vec<Node>, End)> {
        let mut nodes = Vec::new();
        let mut text = String::new();
        loop {
            let rest = self.rest();
            let plain = rest.find(['$', '#', '\\']).unwrap_or(rest.len());
            text.push_str(&rest[..plain]);
            self.at += plain;
            let rest = self.rest();
            if rest.is_empty() {
                flush(&mut text, &mut nodes);
                return Ok((nodes, End::OfTemplate));
            }
            if let Some(escaped) = ["\\$", "\\#"].iter().find(|escaped| rest.starts_with(**escaped)) {
                text.push_str(&escaped[1..]);
                self.at += 2;
            } else if rest.starts_with("##") {
                self.at += rest.find('\n').map_or(rest.len(), |end| end + 1);
            } else if rest.starts_with("#*") {
                let end = rest.find("*#").ok_or_else(|| self.wrong("a comment `#*` without its end `*#`"))?;
                self.at += end + 2;
            } else if let Some((name, length)) = directive::at(rest) {
                let begin = self.at;
                self.at += length;
                flush(&mut text, &mut nodes);
                if let Some(end) = self.directive(name, begin, &mut nodes)? {
                    return Ok((nodes, end));
                }
            } else if let Some(node) = self.print()? {
                flush(&mut text, &mut nodes);
                nodes.push(node);
            } else {
                let length = rest.chars().next().map_or(1, char::len_utf8);
                text.push_str(&rest[..length]);
                self.at += length;
            }
        }
    }
}

fn flush(text: &mut String, nodes: &mut Vec<Node>) {
    if !text.is_empty() {
        nodes.push(Node::Text(std::mem::take(text)));
    }
}

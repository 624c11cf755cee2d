//! Directives: `#set`, `#if` with its branches, `#foreach`.

use super::super::syntax::Node;
use super::{End, Parsed, Parser, TemplateError};

/// Velocity's directives that mappings may not use: they would print as text and mean something else.
const REFUSED: [&str; 8] = ["macro", "include", "parse", "define", "evaluate", "stop", "break", "literal"];

impl Parser<'_> {
    /// Reads what follows a directive's name; some end the block that they stand in.
    pub(super) fn directive(&mut self, name: &str, begin: usize, nodes: &mut Vec<Node>) -> Parsed<Option<End>> {
        let end = match name {
            "end" => Some(End::OfBlock),
            "else" => Some(End::Else),
            // Its condition is read by the `#if` that it belongs to.
            "elseif" => return Ok(Some(End::Elseif)),
            "set" => {
                nodes.push(self.set()?);
                None
            }
            "if" => {
                let node = self.deeper(|parser| parser.condition(begin))?;
                nodes.push(node);
                None
            }
            "foreach" => {
                let node = self.deeper(|parser| parser.foreach(begin))?;
                nodes.push(node);
                None
            }
            other => {
                return Err(self.wrong_at(begin, format!("the directive `#{other}` is not supported")));
            }
        };
        self.skip_line_end();
        Ok(end)
    }

    /// A directive takes the rest of its line with it when nothing else stands there.
    fn skip_line_end(&mut self) {
        let rest = self.rest();
        let blank = rest.len() - rest.trim_start_matches([' ', '\t', '\r']).len();
        if rest[blank..].starts_with('\n') {
            self.at += blank + 1;
        }
    }

    fn set(&mut self) -> Parsed<Node> {
        self.expect("(")?;
        self.expect("$")?;
        let braced = self.take("{");
        let name = self.name()?;
        if braced {
            self.expect("}")?;
        }
        if self.rest().starts_with(['.', '[']) {
            return Err(self.wrong("`#set` gives a value to a variable only; use `.put()` for a member"));
        }
        if ["input", "util", "context", "stageVariables", "foreach"].contains(&name.as_str()) {
            return Err(self.wrong(format!("`${name}` cannot be set")));
        }
        self.expect("=")?;
        let value = self.expression(0)?;
        self.expect(")")?;
        Ok(Node::Set { name, value })
    }

    fn condition(&mut self, begin: usize) -> Parsed<Node> {
        let mut branches = Vec::new();
        loop {
            self.expect("(")?;
            let condition = self.expression(0)?;
            self.expect(")")?;
            self.skip_line_end();
            let (nodes, end) = self.nodes()?;
            branches.push((condition, nodes));
            match end {
                End::OfBlock => return Ok(Node::If { branches, otherwise: Vec::new() }),
                End::Elseif => {}
                End::Else => {
                    let (otherwise, end) = self.nodes()?;
                    return match end {
                        End::OfBlock => Ok(Node::If { branches, otherwise }),
                        other => Err(self.unended("if", begin, &other)),
                    };
                }
                End::OfTemplate => return Err(self.unended("if", begin, &end)),
            }
        }
    }

    fn foreach(&mut self, begin: usize) -> Parsed<Node> {
        self.expect("(")?;
        self.expect("$")?;
        let braced = self.take("{");
        let name = self.name()?;
        if braced {
            self.expect("}")?;
        }
        self.space();
        if self.name()? != "in" {
            return Err(self.wrong("expected `in` behind the variable of `#foreach`"));
        }
        let list = self.expression(0)?;
        self.expect(")")?;
        self.skip_line_end();
        match self.nodes()? {
            (body, End::OfBlock) => Ok(Node::Foreach { name, list, body }),
            (_, end) => Err(self.unended("foreach", begin, &end)),
        }
    }

    fn unended(&self, directive: &str, begin: usize, end: &End) -> TemplateError {
        self.wrong_at(begin, format!("`#{directive}` without `#end`, found {}", end.written()))
    }
}

/// The directive that a text begins with and how many bytes it takes; `None`: the `#` stands for itself.
pub(super) fn at(text: &str) -> Option<(&str, usize)> {
    let rest = text.strip_prefix('#')?;
    if let Some(name) = rest.strip_prefix('{').and_then(|rest| Some(&rest[..rest.find('}')?]))
        && is_directive(name)
    {
        return Some((name, name.len() + 3));
    }
    let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    // `#end`, `#else` and their kind need no parentheses, so text may follow them at once.
    let name = ["elseif", "else", "end"].into_iter().find(|name| rest.starts_with(name)).unwrap_or(&rest[..end]);
    is_directive(name).then_some((&rest[..name.len()], name.len() + 1))
}

fn is_directive(name: &str) -> bool {
    ["set", "if", "elseif", "else", "end", "foreach"].contains(&name) || REFUSED.contains(&name)
}

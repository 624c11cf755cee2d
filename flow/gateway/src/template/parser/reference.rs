//! References: `$name`, its members, elements and methods.

use serde_json::Value;

use super::super::methods;
use super::super::syntax::{Access, Expression, Node, Reference};
use super::{Parsed, Parser};
use crate::json_path::JsonPath;

impl Parser<'_> {
    /// A reference in the text; `None` when the `$` stands for itself.
    pub(super) fn print(&mut self) -> Parsed<Option<Node>> {
        let begin = self.at;
        let Some(rest) = self.rest().strip_prefix('$') else { return Ok(None) };
        let quiet = rest.starts_with('!');
        let inner = rest.strip_prefix('!').unwrap_or(rest);
        let braced = inner.starts_with('{');
        if !inner.strip_prefix('{').unwrap_or(inner).starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            return Ok(None);
        }
        self.at += 1 + usize::from(quiet) + usize::from(braced);
        let reference = self.reference()?;
        if braced {
            self.expect("}")?;
        }
        let written = self.text[begin..self.at].to_owned();
        Ok(Some(Node::Print { reference, quiet, written }))
    }

    pub(super) fn reference(&mut self) -> Parsed<Reference> {
        let name = self.name()?;
        let mut accesses = Vec::new();
        loop {
            let rest = self.rest();
            if rest.starts_with('[') {
                self.at += 1;
                let index = self.deeper(|parser| parser.expression(0))?;
                self.expect("]")?;
                accesses.push(Access::Index(index));
                continue;
            }
            let named =
                rest.strip_prefix('.').filter(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_'));
            if named.is_none() {
                break;
            }
            self.at += 1;
            let member = self.name()?;
            if self.rest().starts_with('(') {
                self.at += 1;
                let arguments = self.deeper(|parser| parser.list(")"))?;
                accesses.push(Access::Call { method: member, arguments });
            } else {
                accesses.push(Access::Member(member));
            }
        }
        self.check(&name, &accesses)?;
        Ok(Reference { name, accesses })
    }

    /// Refuses what rendering would not know.
    fn check(&self, name: &str, accesses: &[Access]) -> Parsed<()> {
        let mut of_values = accesses;
        let first = accesses.first();
        let wrong = |what: &str| Err(self.wrong(format!("`${name}` has no {what}")));
        match (name, first) {
            ("input", Some(Access::Member(member))) if member == "body" => {}
            ("input", Some(Access::Call { method, arguments })) => match (method.as_str(), arguments.as_slice()) {
                ("json" | "path", [Expression::Literal(Value::String(path))]) => {
                    JsonPath::parse(path).map_err(|message| self.wrong(message))?;
                    of_values = &accesses[1..];
                }
                ("json" | "path", [_]) | ("params", [] | [_]) => of_values = &accesses[1..],
                (method, arguments) => return wrong(&format!("method `{method}` with {} arguments", arguments.len())),
            },
            ("util", Some(Access::Call { method, arguments })) if methods::is_util(method) && arguments.len() == 1 => {
                of_values = &accesses[1..];
            }
            ("util", Some(Access::Call { method, .. })) => return wrong(&format!("method `{method}`")),
            ("input" | "util", Some(Access::Member(member))) => return wrong(&format!("member `{member}`")),
            ("input" | "util", _) => return wrong("value of its own"),
            _ => {}
        }
        for access in of_values {
            if let Access::Call { method, arguments } = access
                && !methods::is_known(method, arguments.len())
            {
                return Err(
                    self.wrong(format!("the method `{method}` with {} arguments is not supported", arguments.len()))
                );
            }
        }
        Ok(())
    }
}

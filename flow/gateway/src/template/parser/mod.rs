//! From a template's text to its pieces.

use serde_json::{Number, Value, json};

use super::NESTING_MAX;
use super::methods;
use super::syntax::{Access, Expression, Node, Operator, Reference};
use crate::json_path::JsonPath;

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

/// Velocity's directives that mappings may not use: they would print as text and mean something else.
const REFUSED: [&str; 8] = ["macro", "include", "parse", "define", "evaluate", "stop", "break", "literal"];

/// What ends the pieces of a block.
#[derive(Debug, PartialEq, Eq)]
enum End {
    OfTemplate,
    OfBlock,
    Else,
    Elseif,
}

pub(super) fn parse(text: &str) -> Parsed<Vec<Node>> {
    let mut parser = Parser { text, at: 0, first_line: 1, depth: 0 };
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

struct Parser<'t> {
    text: &'t str,
    at: usize,
    first_line: usize,
    depth: usize,
}

impl<'t> Parser<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn line(&self) -> usize {
        self.first_line + self.text[..self.at].matches('\n').count()
    }

    fn wrong(&self, message: impl Into<String>) -> TemplateError {
        TemplateError { line: self.line(), message: message.into() }
    }

    /// What stands here, short enough for a message.
    fn found(&self) -> String {
        let rest: String = self.rest().chars().take_while(|c| *c != '\n').take(24).collect();
        if self.rest().is_empty() { "the end of the template".to_owned() } else { format!("`{rest}`") }
    }

    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.depth += 1;
        if self.depth > NESTING_MAX {
            return Err(self.wrong(format!("nested deeper than {NESTING_MAX}")));
        }
        let read = read(self);
        self.depth -= 1;
        read
    }

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
            } else if let Some((directive, length)) = directive(rest) {
                let line = self.line();
                self.at += length;
                flush(&mut text, &mut nodes);
                if let Some(end) = self.directive(directive, line, &mut nodes)? {
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

    /// Reads what follows a directive's name; some end the block that they stand in.
    fn directive(&mut self, name: &str, line: usize, nodes: &mut Vec<Node>) -> Parsed<Option<End>> {
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
                let node = self.deeper(|parser| parser.condition(line))?;
                nodes.push(node);
                None
            }
            "foreach" => {
                let node = self.deeper(|parser| parser.foreach(line))?;
                nodes.push(node);
                None
            }
            other => {
                return Err(TemplateError { line, message: format!("the directive `#{other}` is not supported") });
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

    fn condition(&mut self, line: usize) -> Parsed<Node> {
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
                        other => Err(unended("if", line, &other)),
                    };
                }
                End::OfTemplate => return Err(unended("if", line, &end)),
            }
        }
    }

    fn foreach(&mut self, line: usize) -> Parsed<Node> {
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
            (_, end) => Err(unended("foreach", line, &end)),
        }
    }

    /// A reference in the text; `None` when the `$` stands for itself.
    fn print(&mut self) -> Parsed<Option<Node>> {
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

    fn reference(&mut self) -> Parsed<Reference> {
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

    /// Expressions between commas up to `close`, which is read too.
    fn list(&mut self, close: &str) -> Parsed<Vec<Expression>> {
        let mut items = Vec::new();
        if self.take(close) {
            return Ok(items);
        }
        loop {
            items.push(self.expression(0)?);
            if self.take(close) {
                return Ok(items);
            }
            if !self.take(",") {
                return Err(self.wrong(format!("expected `,` or `{close}`, found {}", self.found())));
            }
        }
    }

    fn expression(&mut self, level: u8) -> Parsed<Expression> {
        self.deeper(|parser| {
            let mut left = parser.unary()?;
            while let Some((operator, length)) = parser.operator().filter(|(operator, _)| operator.level() >= level) {
                parser.at += length;
                let right = parser.expression(operator.level() + 1)?;
                left = Expression::Binary(operator, Box::new(left), Box::new(right));
            }
            Ok(left)
        })
    }

    fn operator(&mut self) -> Option<(Operator, usize)> {
        self.space();
        let rest = self.rest();
        let signs = [
            ("||", Operator::Or),
            ("&&", Operator::And),
            ("==", Operator::Equal),
            ("!=", Operator::Unequal),
            ("<=", Operator::LessOrEqual),
            (">=", Operator::GreaterOrEqual),
            ("<", Operator::Less),
            (">", Operator::Greater),
            ("+", Operator::Add),
            ("-", Operator::Subtract),
            ("*", Operator::Multiply),
            ("/", Operator::Divide),
            ("%", Operator::Remainder),
        ];
        if let Some((sign, operator)) = signs.into_iter().find(|(sign, _)| rest.starts_with(sign)) {
            return Some((operator, sign.len()));
        }
        let words = [
            ("or", Operator::Or),
            ("and", Operator::And),
            ("eq", Operator::Equal),
            ("ne", Operator::Unequal),
            ("le", Operator::LessOrEqual),
            ("ge", Operator::GreaterOrEqual),
            ("lt", Operator::Less),
            ("gt", Operator::Greater),
        ];
        let word = word(rest);
        words.into_iter().find(|(name, _)| *name == word).map(|(name, operator)| (operator, name.len()))
    }

    fn unary(&mut self) -> Parsed<Expression> {
        self.space();
        if !self.rest().starts_with("!=") && self.take("!") || word(self.rest()) == "not" && self.take("not") {
            return self.deeper(|parser| Ok(Expression::Not(Box::new(parser.unary()?))));
        }
        if self.take("-") {
            return self.deeper(|parser| Ok(Expression::Negative(Box::new(parser.unary()?))));
        }
        self.primary()
    }

    fn primary(&mut self) -> Parsed<Expression> {
        let rest = self.rest();
        match rest.chars().next() {
            Some('$') => {
                self.at += 1;
                self.take("!");
                let braced = self.take("{");
                let reference = self.reference()?;
                if braced {
                    self.expect("}")?;
                }
                Ok(Expression::Reference(reference))
            }
            Some('\'') => Ok(Expression::Literal(Value::String(self.quoted('\'')?.to_owned()))),
            Some('"') => {
                let first_line = self.line();
                let inner = self.quoted('"')?;
                let depth = self.depth;
                let mut parser = Parser { text: inner, at: 0, first_line, depth };
                match parser.nodes()? {
                    (nodes, End::OfTemplate) => Ok(interpolated(nodes)),
                    (_, end) => Err(self.wrong(format!("{} in a text", end.written()))),
                }
            }
            Some('(') => {
                self.at += 1;
                let inner = self.expression(0)?;
                self.expect(")")?;
                Ok(inner)
            }
            Some('[') => {
                self.at += 1;
                self.list_or_range()
            }
            Some('{') => {
                self.at += 1;
                self.map()
            }
            Some(first) if first.is_ascii_digit() => self.number(),
            _ => match word(rest) {
                word @ ("true" | "false") => {
                    self.at += word.len();
                    Ok(Expression::Literal(json!(word == "true")))
                }
                "null" => {
                    self.at += 4;
                    Ok(Expression::Literal(Value::Null))
                }
                _ => Err(self.wrong(format!("expected a value, found {}", self.found()))),
            },
        }
    }

    fn list_or_range(&mut self) -> Parsed<Expression> {
        if self.take("]") {
            return Ok(Expression::List(Vec::new()));
        }
        let first = self.expression(0)?;
        if self.take("..") {
            let last = self.expression(0)?;
            self.expect("]")?;
            return Ok(Expression::Range(Box::new(first), Box::new(last)));
        }
        let mut items = vec![first];
        if self.take(",") {
            items.extend(self.list("]")?);
        } else {
            self.expect("]")?;
        }
        Ok(Expression::List(items))
    }

    fn map(&mut self) -> Parsed<Expression> {
        let mut entries = Vec::new();
        if self.take("}") {
            return Ok(Expression::Map(entries));
        }
        loop {
            let key = self.expression(0)?;
            self.expect(":")?;
            entries.push((key, self.expression(0)?));
            if self.take("}") {
                return Ok(Expression::Map(entries));
            }
            self.expect(",")?;
        }
    }

    fn number(&mut self) -> Parsed<Expression> {
        let rest = self.rest();
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let fraction = rest[digits..].strip_prefix('.').filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        let length = fraction.map_or(digits, |fraction| {
            digits + 1 + fraction.find(|c: char| !c.is_ascii_digit()).unwrap_or(fraction.len())
        });
        let written = &rest[..length];
        let number = match fraction {
            None => written.parse::<i64>().ok().map(Number::from),
            Some(_) => written.parse::<f64>().ok().and_then(Number::from_f64),
        };
        let number = number.ok_or_else(|| self.wrong(format!("`{written}` is not a number that can be kept")))?;
        self.at += length;
        Ok(Expression::Literal(Value::Number(number)))
    }

    /// The inside of a text that begins here. A quote written twice would end it: Velocity has no escapes in single quotes,
    /// and in double quotes `\"` stands for a quote, which the renderer takes back.
    fn quoted(&mut self, quote: char) -> Parsed<&'t str> {
        let inner = &self.rest()[1..];
        let mut escaped = false;
        for (index, char) in inner.char_indices() {
            if char == quote && !escaped {
                self.at += 1 + index + 1;
                return Ok(&inner[..index]);
            }
            escaped = quote == '"' && char == '\\' && !escaped;
        }
        Err(self.wrong(format!("a text without its end {quote}")))
    }

    fn name(&mut self) -> Parsed<String> {
        let name = word(self.rest());
        if name.is_empty() {
            return Err(self.wrong(format!("expected a name, found {}", self.found())));
        }
        self.at += name.len();
        Ok(name.to_owned())
    }

    fn space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn take(&mut self, sign: &str) -> bool {
        let rest = self.rest().trim_start();
        if !rest.starts_with(sign) {
            return false;
        }
        self.at = self.text.len() - rest.len() + sign.len();
        true
    }

    fn expect(&mut self, sign: &str) -> Parsed<()> {
        if self.take(sign) { Ok(()) } else { Err(self.wrong(format!("expected `{sign}`, found {}", self.found()))) }
    }
}

fn unended(directive: &str, line: usize, end: &End) -> TemplateError {
    TemplateError { line, message: format!("`#{directive}` without `#end`, found {}", end.written()) }
}

fn flush(text: &mut String, nodes: &mut Vec<Node>) {
    if !text.is_empty() {
        nodes.push(Node::Text(std::mem::take(text)));
    }
}

/// The letters, digits, `_` and `-` that a text begins with; a name does not begin with a digit or `-`.
fn word(text: &str) -> &str {
    if !text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        return "";
    }
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-')).unwrap_or(text.len());
    &text[..end]
}

/// The directive that a text begins with and how many bytes it takes; `None`: the `#` stands for itself.
fn directive(text: &str) -> Option<(&str, usize)> {
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

/// A text in double quotes: a literal when nothing in it has to be worked out.
fn interpolated(nodes: Vec<Node>) -> Expression {
    match nodes.as_slice() {
        [] => Expression::Literal(json!("")),
        [Node::Text(text)] => Expression::Literal(Value::String(text.replace("\\\"", "\""))),
        _ => {
            let unescaped = nodes.into_iter().map(|node| match node {
                Node::Text(text) => Node::Text(text.replace("\\\"", "\"")),
                other => other,
            });
            Expression::Interpolated(unescaped.collect())
        }
    }
}

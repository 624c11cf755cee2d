//! Expressions: operators, literals, lists, ranges, maps and texts with references in them.

use serde_json::{Number, Value, json};

use super::super::syntax::{Expression, Node, Operator};
use super::cursor::word;
use super::{End, Parsed, Parser};

impl<'t> Parser<'t> {
    /// Expressions between commas up to `close`, which is read too.
    pub(super) fn list(&mut self, close: &str) -> Parsed<Vec<Expression>> {
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

    pub(super) fn expression(&mut self, level: u8) -> Parsed<Expression> {
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
                let begin = self.at + 1;
                let inner = self.quoted('"')?;
                // The same text up to the closing quote, so that places in it are places in the template.
                let mut parser = Parser { text: &self.text[..begin + inner.len()], at: begin, depth: self.depth };
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

//! From a template's pieces to text, within bounds.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Map, Number, Value, json};

use super::methods;
use super::syntax::{Access, Expression, Node, Operator, Reference};
use super::{NESTING_MAX, OUTPUT_BYTES_MAX, ROUND_WORK, ROUNDS_MAX, Scope, VISIT_WORK, WORK_MAX};
use crate::json_path::JsonPath;

/// Why a template made no text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// A limit was passed.
    #[error("the template {what} more than {limit}")]
    Limit {
        /// What it did: `makes bytes`, `loops`, ….
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// The template asks for members of a body that is no JSON.
    #[error("the body is no JSON")]
    BodyNotJson,
    /// A value is not what is asked of it.
    #[error("{0}")]
    Value(String),
}

type Rendered<T> = Result<T, RenderError>;

/// A value: one of the request's is borrowed, one that the template made is its own.
pub(super) type Held<'s> = Cow<'s, Value>;

pub(super) fn render(nodes: &[Node], scope: &Scope<'_>) -> Rendered<String> {
    let mut renderer = Renderer { scope, locals: BTreeMap::new(), work: 0 };
    let mut output = String::new();
    renderer.nodes(nodes, &mut output)?;
    Ok(output)
}

struct Renderer<'s> {
    scope: &'s Scope<'s>,
    locals: BTreeMap<String, Held<'s>>,
    work: usize,
}

impl<'s> Renderer<'s> {
    fn charge(&mut self, work: usize) -> Rendered<()> {
        self.work = self.work.saturating_add(work);
        if self.work > WORK_MAX { Err(RenderError::Limit { what: "works", limit: WORK_MAX }) } else { Ok(()) }
    }

    fn write(&mut self, text: &str, output: &mut String) -> Rendered<()> {
        self.charge(text.len())?;
        if output.len() + text.len() > OUTPUT_BYTES_MAX {
            return Err(RenderError::Limit { what: "makes bytes", limit: OUTPUT_BYTES_MAX });
        }
        output.push_str(text);
        Ok(())
    }

    fn nodes(&mut self, nodes: &[Node], output: &mut String) -> Rendered<()> {
        for node in nodes {
            self.charge(VISIT_WORK)?;
            match node {
                Node::Text(text) => self.write(text, output)?,
                Node::Print { reference, quiet, written } => {
                    let of_request = ["input", "util", "context", "stageVariables"].contains(&reference.name.as_str());
                    match self.reference(reference)?.as_ref() {
                        Value::Null if *quiet || of_request => {}
                        Value::Null => self.write(written, output)?,
                        value => {
                            let text = methods::text(value);
                            self.write(&text, output)?;
                        }
                    }
                }
                Node::Set { name, value } => {
                    let value = self.expression(value)?;
                    self.locals.insert(name.clone(), value);
                }
                Node::If { branches, otherwise } => {
                    let mut chosen = otherwise;
                    for (condition, nodes) in branches {
                        if truth(self.expression(condition)?.as_ref()) {
                            chosen = nodes;
                            break;
                        }
                    }
                    self.nodes(chosen, output)?;
                }
                Node::Foreach { name, list, body } => self.foreach(name, list, body, output)?,
            }
        }
        Ok(())
    }

    fn foreach(&mut self, name: &str, list: &Expression, body: &[Node], output: &mut String) -> Rendered<()> {
        let items: Vec<Held<'s>> = match self.expression(list)? {
            Cow::Borrowed(Value::Array(items)) => items.iter().map(Cow::Borrowed).collect(),
            Cow::Borrowed(Value::Object(members)) => members.values().map(Cow::Borrowed).collect(),
            Cow::Owned(Value::Array(items)) => items.into_iter().map(Cow::Owned).collect(),
            Cow::Owned(Value::Object(members)) => members.into_iter().map(|(_, value)| Cow::Owned(value)).collect(),
            _ => return Ok(()),
        };
        let count = items.len();
        if count > ROUNDS_MAX {
            return Err(RenderError::Limit { what: "loops", limit: ROUNDS_MAX });
        }
        let outer = (self.locals.remove(name), self.locals.remove("foreach"), self.locals.remove("velocityCount"));
        for (index, item) in items.into_iter().enumerate() {
            self.charge(ROUND_WORK)?;
            let state = json!({ "index": index, "count": index + 1, "first": index == 0,
                "last": index + 1 == count, "hasNext": index + 1 < count });
            self.locals.insert(name.to_owned(), item);
            self.locals.insert("foreach".to_owned(), Cow::Owned(state));
            self.locals.insert("velocityCount".to_owned(), Cow::Owned(json!(index + 1)));
            self.nodes(body, output)?;
        }
        for (name, value) in [(name, outer.0), ("foreach", outer.1), ("velocityCount", outer.2)] {
            match value {
                Some(value) => self.locals.insert(name.to_owned(), value),
                None => self.locals.remove(name),
            };
        }
        Ok(())
    }

    fn expression(&mut self, expression: &Expression) -> Rendered<Held<'s>> {
        self.charge(VISIT_WORK)?;
        let value = match expression {
            Expression::Literal(value) => {
                self.charge(weight(value, 0)?)?;
                value.clone()
            }
            Expression::Interpolated(nodes) => {
                let mut text = String::new();
                self.nodes(nodes, &mut text)?;
                Value::String(text)
            }
            Expression::Reference(reference) => return self.reference(reference),
            Expression::List(items) => {
                let items = items.iter().map(|item| self.owned(item)).collect::<Rendered<_>>()?;
                Value::Array(items)
            }
            Expression::Range(first, last) => self.range(first, last)?,
            Expression::Map(entries) => {
                let mut map = Map::new();
                for (key, value) in entries {
                    let key = methods::text(self.expression(key)?.as_ref()).into_owned();
                    map.insert(key, self.owned(value)?);
                }
                Value::Object(map)
            }
            Expression::Not(inner) => json!(!truth(self.expression(inner)?.as_ref())),
            Expression::Negative(inner) => {
                let inner = self.expression(inner)?;
                arithmetic(Operator::Subtract, &json!(0), &inner)?
            }
            Expression::Binary(operator, left, right) => self.binary(*operator, left, right)?,
        };
        Ok(Cow::Owned(value))
    }

    fn owned(&mut self, expression: &Expression) -> Rendered<Value> {
        let value = self.expression(expression)?;
        if let Cow::Borrowed(value) = value {
            self.charge(weight(value, 0)?)?;
        }
        Ok(value.into_owned())
    }

    fn range(&mut self, first: &Expression, last: &Expression) -> Rendered<Value> {
        let bounds = (self.expression(first)?.as_i64(), self.expression(last)?.as_i64());
        let (Some(first), Some(last)) = bounds else {
            return Err(RenderError::Value("a range is made of two whole numbers".to_owned()));
        };
        if first.abs_diff(last) >= ROUNDS_MAX as u64 {
            return Err(RenderError::Limit { what: "loops", limit: ROUNDS_MAX });
        }
        let numbers: Vec<i64> = if first <= last { (first..=last).collect() } else { (last..=first).rev().collect() };
        Ok(json!(numbers))
    }

    fn binary(&mut self, operator: Operator, left: &Expression, right: &Expression) -> Rendered<Value> {
        let left = self.expression(left)?;
        match operator {
            Operator::Or => return Ok(json!(truth(&left) || truth(self.expression(right)?.as_ref()))),
            Operator::And => return Ok(json!(truth(&left) && truth(self.expression(right)?.as_ref()))),
            _ => {}
        }
        let right = self.expression(right)?;
        match operator {
            Operator::Equal => Ok(json!(equal(&left, &right))),
            Operator::Unequal => Ok(json!(!equal(&left, &right))),
            Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual => {
                let order = methods::order(&left, &right);
                Ok(json!(order.is_some_and(|order| match operator {
                    Operator::Less => order.is_lt(),
                    Operator::LessOrEqual => order.is_le(),
                    Operator::Greater => order.is_gt(),
                    _ => order.is_ge(),
                })))
            }
            Operator::Add if left.is_string() || right.is_string() => {
                let mut text = String::new();
                self.write(&methods::text(&left), &mut text)?;
                self.write(&methods::text(&right), &mut text)?;
                Ok(Value::String(text))
            }
            _ => arithmetic(operator, &left, &right),
        }
    }

    fn reference(&mut self, reference: &Reference) -> Rendered<Held<'s>> {
        self.charge(VISIT_WORK)?;
        let (mut value, rest) = match (reference.name.as_str(), reference.accesses.as_slice()) {
            ("input", [first, rest @ ..]) => (self.input(first)?, rest),
            ("util", [Access::Call { method, arguments }, rest @ ..]) => {
                let argument = self.arguments(arguments)?.pop().unwrap_or_default();
                let made = methods::util(method, &argument).map_err(RenderError::Value)?;
                self.charge(weight(&made, 0)?)?;
                (Cow::Owned(made), rest)
            }
            ("context", rest) => (Cow::Borrowed(self.scope.context), rest),
            ("stageVariables", rest) => (Cow::Owned(json!(self.scope.variables)), rest),
            (name, [Access::Call { method, arguments }]) if methods::changes(method) => {
                return self.change(name, method, arguments);
            }
            (name, rest) => (self.local(name)?, rest),
        };
        for access in rest {
            value = self.access(value, access)?;
        }
        Ok(value)
    }

    fn local(&mut self, name: &str) -> Rendered<Held<'s>> {
        match self.locals.get(name) {
            None => Ok(Cow::Owned(Value::Null)),
            Some(Cow::Borrowed(value)) => Ok(Cow::Borrowed(value)),
            Some(Cow::Owned(value)) => {
                let value = value.clone();
                self.charge(weight(&value, 0)?)?;
                Ok(Cow::Owned(value))
            }
        }
    }

    /// `$list.add(x)`, `$map.put(k, v)`, `$map.remove(k)`: the only ways to change a value in place.
    fn change(&mut self, name: &str, method: &str, arguments: &[Expression]) -> Rendered<Held<'s>> {
        let arguments = self.arguments(arguments)?;
        let mut value = match self.locals.remove(name) {
            Some(value) => value.into_owned(),
            None => return Ok(Cow::Owned(Value::Null)),
        };
        let answer = methods::change(&mut value, method, arguments).map_err(RenderError::Value);
        self.charge(weight(&value, 0)?)?;
        self.locals.insert(name.to_owned(), Cow::Owned(value));
        answer.map(Cow::Owned)
    }

    fn arguments(&mut self, arguments: &[Expression]) -> Rendered<Vec<Value>> {
        arguments.iter().map(|argument| self.owned(argument)).collect()
    }

    fn input(&mut self, access: &Access) -> Rendered<Held<'s>> {
        let Access::Call { method, arguments } = access else {
            self.charge(self.scope.body.len())?;
            return Ok(Cow::Owned(json!(self.scope.body)));
        };
        let argument = self.arguments(arguments)?.pop();
        match (method.as_str(), argument) {
            ("params", None) => Ok(Cow::Borrowed(self.scope.parameters)),
            ("params", Some(name)) => {
                let name = methods::text(&name);
                Ok(Cow::Owned(parameter(self.scope.parameters, &name)))
            }
            (method, argument) => {
                let path = argument.map_or("$".into(), |path| methods::text(&path).into_owned());
                let path = JsonPath::parse(&path).map_err(RenderError::Value)?;
                let found = path.find(self.scope.document.ok_or(RenderError::BodyNotJson)?);
                if method == "path" {
                    return Ok(found.unwrap_or(Cow::Owned(Value::Null)));
                }
                let text = found.map_or(String::new(), |found| found.to_string());
                self.charge(text.len())?;
                Ok(Cow::Owned(Value::String(text)))
            }
        }
    }

    fn access(&mut self, value: Held<'s>, access: &Access) -> Rendered<Held<'s>> {
        self.charge(VISIT_WORK)?;
        match access {
            Access::Member(name) => Ok(methods::member(value, name)),
            Access::Index(index) => {
                let index = self.expression(index)?;
                Ok(methods::at(value, &index))
            }
            Access::Call { method, arguments } => {
                let arguments = self.arguments(arguments)?;
                // A method may read its whole receiver.
                self.charge(weight(&value, 0)?)?;
                methods::call(value, method, &arguments).map_err(RenderError::Value)
            }
        }
    }
}

/// A parameter by its name: of the path, else of the query, else of the headers, whose case does not matter.
fn parameter(parameters: &Value, name: &str) -> Value {
    let of = |place: &str| parameters.get(place).and_then(|map| map.get(name)).cloned();
    let header = || parameters.get("header").and_then(|map| map.get(name.to_ascii_lowercase())).cloned();
    of("path").or_else(|| of("querystring")).or_else(|| of("header")).or_else(header).unwrap_or_else(|| json!(""))
}

/// How much a copy of a value costs, which is also where values nested too deeply are found.
fn weight(value: &Value, depth: usize) -> Rendered<usize> {
    if depth > NESTING_MAX * 2 {
        return Err(RenderError::Limit { what: "nests values", limit: NESTING_MAX * 2 });
    }
    let below = |total: usize, value: &Value| Ok(total + weight(value, depth + 1)?);
    match value {
        Value::String(text) => Ok(1 + text.len()),
        Value::Array(items) => items.iter().try_fold(1, below),
        Value::Object(members) => members.values().try_fold(1 + members.len() * 8, below),
        _ => Ok(1),
    }
}

/// What `#if` asks: false, null and nothing else are false in Velocity; empty texts and zero are true there, as here.
fn truth(value: &Value) -> bool {
    !matches!(value, Value::Null | Value::Bool(false))
}

/// Numbers are equal by value, anything else by its type and content; a text equals what prints as it.
fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left.as_f64() == right.as_f64(),
        (Value::String(text), other) | (other, Value::String(text)) if !other.is_null() => {
            methods::text(other) == text.as_str()
        }
        _ => left == right,
    }
}

fn arithmetic(operator: Operator, left: &Value, right: &Value) -> Rendered<Value> {
    let not_numbers = || RenderError::Value(format!("expected two numbers, found {left} and {right}"));
    if let (Some(left), Some(right)) = (left.as_i64(), right.as_i64()) {
        let result = match operator {
            Operator::Add => left.checked_add(right),
            Operator::Subtract => left.checked_sub(right),
            Operator::Multiply => left.checked_mul(right),
            Operator::Divide => left.checked_div(right),
            _ => left.checked_rem(right),
        };
        // A division by zero is null in Velocity; what passes 64 bits is null here.
        return Ok(result.map_or(Value::Null, |result| json!(result)));
    }
    let (left, right) = left.as_f64().zip(right.as_f64()).ok_or_else(not_numbers)?;
    let result = match operator {
        Operator::Add => left + right,
        Operator::Subtract => left - right,
        Operator::Multiply => left * right,
        Operator::Divide => left / right,
        _ => left % right,
    };
    Ok(Number::from_f64(result).map_or(Value::Null, Value::Number))
}

//! Updates: `SET a = a + :one, b.c = if_not_exists(b.c, :zero) REMOVE d[1] ADD e :five DELETE f :set`.
//!
//! All operands see the item as it was before the update.

use super::parser::Parser;
use super::path::{Element, Path};
use super::placeholders::Placeholders;
use super::projection::{Projection, check_overlap};
use super::token::Kind;
use crate::error::{ExpressionError, TableError};
use crate::item::{AttributeType, AttributeValue, Item};

/// A checked update.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UpdateExpression {
    actions: Vec<(Path, Action)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Action {
    Set(Term),
    Remove,
    Add(AttributeValue),
    Delete(AttributeValue),
}

/// What an attribute is set to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Term {
    Path(Path),
    Value(AttributeValue),
    IfNotExists(Path, Box<Term>),
    ListAppend(Box<Term>, Box<Term>),
    Plus(Box<Term>, Box<Term>),
    Minus(Box<Term>, Box<Term>),
}

/// What becomes of a whole attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttributeChange {
    /// It becomes this value.
    Put(AttributeValue),
    /// A number is added to it, a set's elements are, a list's elements come behind its own.
    Add(AttributeValue),
    /// A set's elements are taken out of it.
    Delete(AttributeValue),
    /// It goes.
    Remove,
}

const SECTIONS: [&str; 4] = ["SET", "REMOVE", "ADD", "DELETE"];

impl UpdateExpression {
    /// Reads an update.
    ///
    /// # Errors
    /// [`ExpressionError`] says what is wrong with the text.
    pub fn parse(text: &str, placeholders: &mut Placeholders) -> Result<Self, ExpressionError> {
        let mut parser = Parser::new(text, placeholders)?;
        let mut actions = Vec::new();
        let mut seen: Vec<&str> = Vec::new();
        while parser.kind() != Kind::End {
            let Some(section) = SECTIONS.into_iter().find(|section| parser.take_keyword(section)) else {
                return Err(parser.unexpected());
            };
            if seen.contains(&section) {
                return Err(ExpressionError::RepeatedSection { section });
            }
            seen.push(section);
            loop {
                actions.push(action(&mut parser, section)?);
                if !parser.take_symbol(",") {
                    break;
                }
            }
        }
        let paths: Vec<Path> = actions.iter().map(|(path, _)| path.clone()).collect();
        check_overlap(&paths)?;
        Ok(Self { actions })
    }

    /// An update of whole attributes, each named once.
    ///
    /// # Errors
    /// [`ExpressionError::OperandType`] for a value that nothing can be added to, or that is no set to take out.
    pub fn of_attributes(
        changes: impl IntoIterator<Item = (String, AttributeChange)>,
    ) -> Result<Self, ExpressionError> {
        let one = |(name, change): (String, AttributeChange)| {
            let path = Path::of_attribute(name);
            let action = match change {
                AttributeChange::Put(value) => Action::Set(Term::Value(value)),
                AttributeChange::Add(list @ AttributeValue::List(_)) => Action::Set(appended(&path, list)),
                AttributeChange::Add(value) => Action::Add(checked_value(value, "ADD", is_addend)?),
                AttributeChange::Delete(value) => Action::Delete(checked_value(value, "DELETE", is_set)?),
                AttributeChange::Remove => Action::Remove,
            };
            Ok((path, action))
        };
        Ok(Self { actions: changes.into_iter().map(one).collect::<Result<_, ExpressionError>>()? })
    }

    /// Whether it makes nothing of an item that is not there: it only takes away.
    #[must_use]
    pub fn only_takes_away(&self) -> bool {
        let takes_away = |(_, action): &(Path, Action)| matches!(action, Action::Remove | Action::Delete(_));
        !self.actions.is_empty() && self.actions.iter().all(takes_away)
    }

    /// The attributes that it touches.
    pub fn attributes(&self) -> impl Iterator<Item = &str> {
        self.actions.iter().map(|(path, _)| path.attribute.as_str())
    }

    /// What an item has at the paths that it touches.
    #[must_use]
    pub fn touched(&self, item: &Item) -> Item {
        Projection::of_paths(self.actions.iter().map(|(path, _)| path.clone()).collect()).apply(item)
    }

    /// The item after the update.
    ///
    /// # Errors
    /// [`TableError::OperandMissing`], [`TableError::OperandType`], [`TableError::UpdatePath`], [`TableError::Number`].
    pub fn apply(&self, before: &Item) -> Result<Item, TableError> {
        let mut after = before.clone();
        let mut removals = Vec::new();
        for (path, action) in &self.actions {
            match action {
                Action::Set(term) => set(&mut after, path, term.evaluate(before)?.into_owned())?,
                Action::Add(value) => {
                    let sum = add(path.find(before), value)?;
                    set(&mut after, path, sum)?;
                }
                Action::Delete(value) => match path.find(before) {
                    None => {}
                    Some(found) => match subtract(found, value)? {
                        Some(rest) => set(&mut after, path, rest)?,
                        None => removals.push(path),
                    },
                },
                Action::Remove => removals.push(path),
            }
        }
        // From the end of lists to their start, so that indexes mean what they meant before.
        removals.sort_by(|left, right| right.elements().cmp(left.elements()));
        for path in removals {
            remove(&mut after, path)?;
        }
        Ok(after)
    }
}

fn action(parser: &mut Parser<'_>, section: &str) -> Result<(Path, Action), ExpressionError> {
    let path = parser.path()?;
    let action = match section {
        "SET" => {
            parser.expect_symbol("=")?;
            Action::Set(sum(parser)?)
        }
        "REMOVE" => Action::Remove,
        "ADD" => Action::Add(checked_value(parser.value()?, "ADD", is_addend)?),
        _ => Action::Delete(checked_value(parser.value()?, "DELETE", is_set)?),
    };
    Ok((path, action))
}

fn is_set(kind: AttributeType) -> bool {
    matches!(kind, AttributeType::StringSet | AttributeType::NumberSet | AttributeType::BinarySet)
}

fn is_addend(kind: AttributeType) -> bool {
    kind == AttributeType::Number || is_set(kind)
}

/// The list behind what is there, or alone.
fn appended(path: &Path, list: AttributeValue) -> Term {
    let nothing = Box::new(Term::Value(AttributeValue::List(Vec::new())));
    Term::ListAppend(Box::new(Term::IfNotExists(path.clone(), nothing)), Box::new(Term::Value(list)))
}

fn checked_value(
    value: AttributeValue,
    operator: &str,
    allowed: impl Fn(AttributeType) -> bool,
) -> Result<AttributeValue, ExpressionError> {
    if allowed(value.kind()) {
        return Ok(value);
    }
    Err(ExpressionError::OperandType { operator: operator.to_owned(), found: value.kind() })
}

fn sum(parser: &mut Parser<'_>) -> Result<Term, ExpressionError> {
    let left = term(parser)?;
    let operator = parser.word();
    if !parser.take_symbol("+") && !parser.take_symbol("-") {
        return Ok(left);
    }
    let right = term(parser)?;
    for part in [&left, &right] {
        if let Term::Value(value) = part
            && value.kind() != AttributeType::Number
        {
            return Err(ExpressionError::OperandType { operator: operator.to_owned(), found: value.kind() });
        }
    }
    let (left, right) = (Box::new(left), Box::new(right));
    Ok(if operator == "+" { Term::Plus(left, right) } else { Term::Minus(left, right) })
}

fn term(parser: &mut Parser<'_>) -> Result<Term, ExpressionError> {
    if parser.take_symbol("(") {
        let inner = parser.nested(sum)?;
        parser.expect_symbol(")")?;
        return Ok(inner);
    }
    if parser.kind() == Kind::Value {
        return Ok(Term::Value(parser.value()?));
    }
    if !parser.is_call() {
        return Ok(Term::Path(parser.path()?));
    }
    let function = parser.word();
    if !matches!(function, "if_not_exists" | "list_append") {
        return Err(super::condition::misplaced(function));
    }
    parser.next();
    parser.next();
    let mut operands = vec![parser.nested(term)?];
    while parser.take_symbol(",") {
        operands.push(parser.nested(term)?);
    }
    parser.expect_symbol(")")?;
    let found = operands.len();
    let Ok([first, second]) = <[Term; 2]>::try_from(operands) else {
        return Err(ExpressionError::OperandCount { function: function.to_owned(), found });
    };
    match (function, first) {
        ("if_not_exists", Term::Path(path)) => Ok(Term::IfNotExists(path, Box::new(second))),
        ("if_not_exists", _) => Err(ExpressionError::PathExpected { function: function.to_owned() }),
        (_, first) => Ok(Term::ListAppend(Box::new(first), Box::new(second))),
    }
}

impl Term {
    fn evaluate<'a>(&'a self, item: &'a Item) -> Result<std::borrow::Cow<'a, AttributeValue>, TableError> {
        use std::borrow::Cow;
        Ok(match self {
            Self::Path(path) => Cow::Borrowed(path.find(item).ok_or(TableError::OperandMissing)?),
            Self::Value(value) => Cow::Borrowed(value),
            Self::IfNotExists(path, other) => match path.find(item) {
                Some(value) => Cow::Borrowed(value),
                None => other.evaluate(item)?,
            },
            Self::ListAppend(left, right) => {
                match (left.evaluate(item)?.into_owned(), right.evaluate(item)?.into_owned()) {
                    (AttributeValue::List(mut left), AttributeValue::List(right)) => {
                        left.extend(right);
                        Cow::Owned(AttributeValue::List(left))
                    }
                    _ => return Err(TableError::OperandType),
                }
            }
            Self::Plus(left, right) | Self::Minus(left, right) => {
                match (&*left.evaluate(item)?, &*right.evaluate(item)?) {
                    (AttributeValue::Number(left), AttributeValue::Number(right)) => {
                        let right = if matches!(self, Self::Minus(..)) { right.negated() } else { *right };
                        Cow::Owned(AttributeValue::Number(left.checked_add(right)?))
                    }
                    _ => return Err(TableError::OperandType),
                }
            }
        })
    }
}

/// ADD: a sum of numbers, a union of sets; the value itself where there was nothing.
fn add(found: Option<&AttributeValue>, value: &AttributeValue) -> Result<AttributeValue, TableError> {
    use AttributeValue::{BinarySet, Number, NumberSet, StringSet};
    Ok(match (found, value) {
        (None, value) => value.clone(),
        (Some(Number(found)), Number(value)) => Number(found.checked_add(*value)?),
        (Some(StringSet(found)), StringSet(value)) => StringSet(found | value),
        (Some(NumberSet(found)), NumberSet(value)) => NumberSet(found | value),
        (Some(BinarySet(found)), BinarySet(value)) => BinarySet(found | value),
        _ => return Err(TableError::OperandType),
    })
}

/// DELETE: what is left of a set; `None` when nothing is, since sets are never empty.
fn subtract(found: &AttributeValue, value: &AttributeValue) -> Result<Option<AttributeValue>, TableError> {
    use AttributeValue::{BinarySet, NumberSet, StringSet};
    Ok(match (found, value) {
        (StringSet(found), StringSet(value)) => Some(found - value).filter(|rest| !rest.is_empty()).map(StringSet),
        (NumberSet(found), NumberSet(value)) => Some(found - value).filter(|rest| !rest.is_empty()).map(NumberSet),
        (BinarySet(found), BinarySet(value)) => Some(found - value).filter(|rest| !rest.is_empty()).map(BinarySet),
        _ => return Err(TableError::OperandType),
    })
}

/// The value that holds the last step of a path, and that step; `None` for a whole attribute.
fn parent<'a, 'b>(
    item: &'a mut Item,
    path: &'b Path,
) -> Result<Option<(&'a mut AttributeValue, &'b Element)>, TableError> {
    let Some((last, way)) = path.rest.split_last() else { return Ok(None) };
    let mut value = item.get_mut(&path.attribute).ok_or(TableError::UpdatePath)?;
    for element in way {
        value = match (value, element) {
            (AttributeValue::Map(map), Element::Name(name)) => map.get_mut(name),
            (AttributeValue::List(list), Element::Index(index)) => list.get_mut(*index),
            _ => None,
        }
        .ok_or(TableError::UpdatePath)?;
    }
    Ok(Some((value, last)))
}

fn set(item: &mut Item, path: &Path, value: AttributeValue) -> Result<(), TableError> {
    match parent(item, path)? {
        None => {
            item.insert(path.attribute.clone(), value);
        }
        Some((AttributeValue::Map(map), Element::Name(name))) => {
            map.insert(name.clone(), value);
        }
        Some((AttributeValue::List(list), Element::Index(index))) => match list.get_mut(*index) {
            Some(place) => *place = value,
            None => list.push(value),
        },
        Some(_) => return Err(TableError::UpdatePath),
    }
    Ok(())
}

fn remove(item: &mut Item, path: &Path) -> Result<(), TableError> {
    match parent(item, path)? {
        None => {
            item.remove(&path.attribute);
        }
        Some((AttributeValue::Map(map), Element::Name(name))) => {
            map.remove(name);
        }
        Some((AttributeValue::List(list), Element::Index(index))) => {
            if *index < list.len() {
                list.remove(*index);
            }
        }
        Some(_) => return Err(TableError::UpdatePath),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(value: i64) -> AttributeValue {
        AttributeValue::Number(value.to_string().parse().unwrap())
    }

    fn numbers(values: &[i64]) -> AttributeValue {
        AttributeValue::List(values.iter().copied().map(number).collect())
    }

    fn parse(text: &str) -> Result<UpdateExpression, ExpressionError> {
        let set = AttributeValue::StringSet(["x".to_owned(), "y".to_owned()].into());
        let values = [(":one", number(1)), (":list", numbers(&[7])), (":set", set)];
        let values = values.map(|(name, value)| (name.to_owned(), value)).into();
        UpdateExpression::parse(text, &mut Placeholders::new(Default::default(), values))
    }

    fn updated(text: &str) -> Result<Item, TableError> {
        let map = AttributeValue::Map([("x".into(), number(1))].into());
        parse(text).unwrap().apply(&Item::from([
            ("n".into(), number(5)),
            ("l".into(), numbers(&[0, 1, 2])),
            ("m".into(), map),
            ("s".into(), AttributeValue::StringSet(["x".to_owned(), "z".to_owned()].into())),
        ]))
    }

    #[test]
    fn updates_change_what_they_name() {
        let of = |text: &str, attribute: &str| updated(text).unwrap().get(attribute).cloned();
        let set =
            |texts: &[&str]| Some(AttributeValue::StringSet(texts.iter().map(|text| (*text).to_owned()).collect()));
        assert_eq!(of("SET n = n + :one", "n"), Some(number(6)));
        assert_eq!(of("set n = :one - n", "n"), Some(number(-4)));
        assert_eq!(of("SET k = if_not_exists(k, :one) + :one", "k"), Some(number(2)));
        assert_eq!(of("SET l = list_append(:list, l)", "l"), Some(numbers(&[7, 0, 1, 2])));
        assert_eq!(of("SET l[9] = :one, l[0] = n", "l"), Some(numbers(&[5, 1, 2, 1])));
        assert_eq!(of("REMOVE l[0], l[2]", "l"), Some(numbers(&[1])));
        assert_eq!(of("REMOVE n, absent", "n"), None);
        assert_eq!(of("SET m.x = n, n = m.x", "n"), Some(number(1)));
        assert_eq!(of("ADD n :one, k :one", "k"), Some(number(1)));
        assert_eq!(of("ADD s :set", "s"), set(&["x", "y", "z"]));
        assert_eq!(of("DELETE s :set", "s"), set(&["z"]));
        assert_eq!(of("DELETE q :set SET n = :one", "n"), Some(number(1)));
    }

    #[test]
    fn whole_attributes_change_as_by_an_expression() {
        use AttributeChange::{Add, Delete, Put, Remove};
        let of = |changes: [(&str, AttributeChange); 2]| {
            UpdateExpression::of_attributes(changes.map(|(name, change)| (name.to_owned(), change)))
        };
        let set = |text: &str| AttributeValue::StringSet([text.to_owned()].into());
        let before = Item::from([("n".into(), number(5)), ("l".into(), numbers(&[0])), ("s".into(), set("x"))]);
        let applied = |changes| of(changes).unwrap().apply(&before).unwrap();
        let after = applied([("n", Add(number(2))), ("l", Add(numbers(&[1])))]);
        assert_eq!((&after["n"], &after["l"]), (&number(7), &numbers(&[0, 1])));
        let after = applied([("new", Add(numbers(&[1]))), ("s", Delete(set("x")))]);
        assert_eq!((&after["new"], after.get("s")), (&numbers(&[1]), None));
        let after = applied([("n", Remove), ("l", Put(number(1)))]);
        assert_eq!((after.get("n"), &after["l"]), (None, &number(1)));
        assert!(matches!(
            of([("n", Add(numbers(&[1]))), ("s", Remove)]).unwrap().apply(&before),
            Err(TableError::OperandType)
        ));
        for (operator, change) in [("ADD", Add(AttributeValue::Null)), ("DELETE", Delete(number(1)))] {
            let found = match &change {
                Add(value) | Delete(value) | Put(value) => value.kind(),
                Remove => AttributeType::Null,
            };
            let refused = ExpressionError::OperandType { operator: operator.into(), found };
            assert_eq!(of([("n", change), ("l", Remove)]), Err(refused));
        }
        assert!(of([("n", Remove), ("s", Delete(set("x")))]).unwrap().only_takes_away());
        assert!(!of([("n", Remove), ("s", Add(set("x")))]).unwrap().only_takes_away());
        assert!(!UpdateExpression::default().only_takes_away());
    }

    #[test]
    fn updates_that_do_not_fit_are_refused() {
        assert!(matches!(updated("SET n = absent"), Err(TableError::OperandMissing)));
        assert!(matches!(updated("SET n = l + :one"), Err(TableError::OperandType)));
        assert!(matches!(updated("SET absent.x = :one"), Err(TableError::UpdatePath)));
        assert!(matches!(updated("ADD l :one"), Err(TableError::OperandType)));
        assert!(matches!(parse("SET n = :one SET m = :one"), Err(ExpressionError::RepeatedSection { section: "SET" })));
        assert!(matches!(parse("SET m.x = :one REMOVE m"), Err(ExpressionError::OverlappingPaths { .. })));
        assert!(matches!(parse("SET n :one"), Err(ExpressionError::Syntax { .. })));
        assert!(matches!(parse("DELETE s :one"), Err(ExpressionError::OperandType { .. })));
        assert!(matches!(parse("n = :one"), Err(ExpressionError::Syntax { .. })));
    }
}

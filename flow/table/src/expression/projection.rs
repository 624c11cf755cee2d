//! Projections: which parts of an item are shown.

use std::collections::BTreeMap;

use super::parser::Parser;
use super::path::{Element, Path};
use super::placeholders::Placeholders;
use crate::error::ExpressionError;
use crate::item::{AttributeValue, Item};

/// The parts of an item that are wanted, none inside another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Projection {
    paths: Vec<Path>,
}

/// What is wanted below one place: everything when it is empty.
#[derive(Default)]
struct Wanted(BTreeMap<Element, Wanted>);

impl Projection {
    /// Reads `a, b.c, d[0]`.
    ///
    /// # Errors
    /// [`ExpressionError`] says what is wrong with the text.
    pub fn parse(text: &str, placeholders: &mut Placeholders) -> Result<Self, ExpressionError> {
        let mut parser = Parser::new(text, placeholders)?;
        let mut paths = vec![parser.path()?];
        while parser.take_symbol(",") {
            paths.push(parser.path()?);
        }
        parser.expect_end()?;
        check_overlap(&paths)?;
        Ok(Self { paths })
    }

    /// Whole attributes of those names.
    #[must_use]
    pub fn of_attributes(names: impl IntoIterator<Item = String>) -> Self {
        Self { paths: names.into_iter().map(Path::of_attribute).collect() }
    }

    /// Those paths, of which none lies inside another.
    pub(super) fn of_paths(paths: Vec<Path>) -> Self {
        Self { paths }
    }

    /// The attributes that are wanted in whole or in part.
    pub fn attributes(&self) -> impl Iterator<Item = &str> {
        self.paths.iter().map(|path| path.attribute.as_str())
    }

    /// The wanted parts of an item; parts that it lacks are left out.
    #[must_use]
    pub fn apply(&self, item: &Item) -> Item {
        let mut wanted = Wanted::default();
        for path in &self.paths {
            path.elements().fold(&mut wanted, |place, element| place.0.entry(element).or_default());
        }
        pick_members(item, &wanted)
    }
}

fn pick_members(item: &Item, wanted: &Wanted) -> Item {
    let pick_one = |(element, below): (&Element, &Wanted)| match element {
        Element::Name(name) => Some((name.clone(), pick(item.get(name)?, below)?)),
        Element::Index(_) => None,
    };
    wanted.0.iter().filter_map(pick_one).collect()
}

fn pick(value: &AttributeValue, wanted: &Wanted) -> Option<AttributeValue> {
    if wanted.0.is_empty() {
        return Some(value.clone());
    }
    match value {
        AttributeValue::Map(map) => {
            let members = pick_members(map, wanted);
            (!members.is_empty()).then_some(AttributeValue::Map(members))
        }
        AttributeValue::List(list) => {
            let pick_one = |(element, below): (&Element, &Wanted)| match element {
                Element::Index(index) => pick(list.get(*index)?, below),
                Element::Name(_) => None,
            };
            let elements: Vec<_> = wanted.0.iter().filter_map(pick_one).collect();
            (!elements.is_empty()).then_some(AttributeValue::List(elements))
        }
        _ => None,
    }
}

/// Refuses paths of which one lies inside another, or which take one value for a list and for a map.
pub(super) fn check_overlap(paths: &[Path]) -> Result<(), ExpressionError> {
    for (at, second) in paths.iter().enumerate() {
        for first in &paths[..at] {
            let (first_elements, second_elements) =
                (first.elements().collect::<Vec<_>>(), second.elements().collect::<Vec<_>>());
            let texts = || (first.texts(), second.texts());
            let difference = first_elements.iter().zip(&second_elements).find(|(left, right)| left != right);
            match difference {
                None => {
                    let (first, second) = texts();
                    return Err(ExpressionError::OverlappingPaths { first, second });
                }
                Some((Element::Name(_), Element::Index(_)) | (Element::Index(_), Element::Name(_))) => {
                    let (first, second) = texts();
                    return Err(ExpressionError::ConflictingPaths { first, second });
                }
                Some(_) => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Projection, ExpressionError> {
        Projection::parse(text, &mut Placeholders::default())
    }

    #[test]
    fn parts_keep_their_place() {
        let value = |text: &str| AttributeValue::String(text.into());
        let list = AttributeValue::List(vec![value("0"), value("1"), value("2")]);
        let map = AttributeValue::Map([("b".into(), value("b")), ("c".into(), list)].into());
        let item = Item::from([("a".into(), map), ("z".into(), value("z"))]);
        let shown = parse("a.c[2], a.c[0], absent, z.deep").unwrap().apply(&item);
        let list = AttributeValue::List(vec![value("0"), value("2")]);
        assert_eq!(shown, Item::from([("a".into(), AttributeValue::Map([("c".into(), list)].into()))]));
        assert_eq!(parse("a.b, z").unwrap().apply(&item).len(), 2);
    }

    #[test]
    fn overlapping_paths_are_refused() {
        assert!(matches!(parse("a.b, a"), Err(ExpressionError::OverlappingPaths { .. })));
        assert!(matches!(parse("a.b, a[0]"), Err(ExpressionError::ConflictingPaths { .. })));
        assert!(matches!(parse("a,"), Err(ExpressionError::Syntax { .. })));
    }
}

//! Points, lines and polygons on the earth, and what they have in common.
//!
//! Edges are the shortest ways that a plane through the earth's centre cuts (great ellipses). As directions from the centre
//! they are arcs of great circles, so everything here is computed with directions, without a projection. A polygon lies to
//! the left of its ring; one whose ring goes the other way round is all of the earth but what is inside of the ring. A ring
//! is taken to lie within half of the earth.

use serde_json::Value;

use super::earth::FLATTENING;

/// Pairs of edges that are compared for one row.
const PAIRS_MAX: usize = 4_000_000;
/// What directions are wrong by, when they are computed, with room to spare: a micrometre on the earth is 1.6e-13.
const ROUNDING: f64 = 1e-15;

/// A place, in degrees.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Place {
    /// From -180 to 180.
    pub(super) longitude: f64,
    /// From -90 to 90.
    pub(super) latitude: f64,
    /// As it was given.
    given: [f64; 2],
}

/// What a record of GeoJSON is.
#[derive(Debug)]
pub(super) enum Shape {
    Point(Place),
    Line(Vec<Place>),
    /// The ring, whose last place is the first.
    Polygon(Vec<Place>),
}

impl Place {
    pub(super) fn new(longitude: f64, latitude: f64) -> Result<Self, String> {
        if !(-90.0..=90.0).contains(&latitude) || !longitude.is_finite() {
            return Err(format!("expected a latitude of -90 to 90 degrees, found {latitude} (longitude {longitude})"));
        }
        let turned = (longitude + 180.0).rem_euclid(360.0) - 180.0;
        Ok(Self { longitude: turned, latitude, given: [longitude, latitude] })
    }

    /// Longitude and latitude, as they were given.
    pub(super) fn coordinates(&self) -> [f64; 2] {
        self.given
    }

    /// Where the place lies, seen from the earth's centre.
    fn direction(&self) -> Direction {
        let (longitude, latitude) = (self.longitude.to_radians(), self.latitude.to_radians());
        let squeezed = (1.0 - FLATTENING) * (1.0 - FLATTENING) * latitude.sin();
        unit([latitude.cos() * longitude.cos(), latitude.cos() * longitude.sin(), squeezed])
    }
}

impl Shape {
    /// Reads a record of GeoJSON.
    ///
    /// # Errors
    /// What was expected and what was found.
    pub(super) fn read(json: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(json).map_err(|_| "expected a record of GeoJSON".to_owned())?;
        let coordinates = &value["coordinates"];
        match value["type"].as_str() {
            Some("Point") => Ok(Self::Point(place(coordinates)?)),
            Some("LineString") => Ok(Self::Line(places(coordinates)?)),
            Some("Polygon") => {
                let rings = coordinates.as_array().ok_or("expected the coordinates of a Polygon")?;
                // A ring may stand without the brackets around it, as the service's own examples have it.
                let bare = rings.first().is_some_and(|first| first.get(0).is_some_and(Value::is_number));
                let ring = match rings.as_slice() {
                    _ if bare => places(coordinates)?,
                    [ring] => places(ring)?,
                    _ => return Err("expected a Polygon of one ring: polygons cannot have holes".to_owned()),
                };
                check_ring(&ring)?;
                Ok(Self::Polygon(ring))
            }
            other => Err(format!("expected a Point, LineString or Polygon, found {other:?}")),
        }
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Point(_) => "Point",
            Self::Line(_) => "LineString",
            Self::Polygon(_) => "Polygon",
        }
    }
}

fn place(value: &Value) -> Result<Place, String> {
    let number = |index: usize| value.get(index).and_then(Value::as_f64);
    let (Some(longitude), Some(latitude)) = (number(0), number(1)) else {
        return Err("expected [longitude, latitude]".to_owned());
    };
    Place::new(longitude, latitude)
}

fn places(value: &Value) -> Result<Vec<Place>, String> {
    value.as_array().ok_or("expected an array of places")?.iter().map(place).collect()
}

/// A ring has three different places at least, and ends where it begins.
pub(super) fn check_ring(ring: &[Place]) -> Result<(), String> {
    if ring.len() < 4 || ring.first() != ring.last() {
        return Err("expected a ring of three points at least whose last point is the first again".to_owned());
    }
    Ok(())
}

/// Whether a place is inside of a polygon; one on its border is not.
pub(super) fn holds(ring: &[Place], place: &Place) -> bool {
    position(&directions(ring), place.direction()) == Position::Inside
}

/// Whether a polygon is in another one, border included.
pub(super) fn within(inner: &[Place], outer: &[Place]) -> Result<bool, String> {
    check_pairs(inner, outer)?;
    Ok(is_within(&directions(inner), &directions(outer)))
}

/// Whether two polygons share a part, and neither is within the other.
pub(super) fn overlap(left: &[Place], right: &[Place]) -> Result<bool, String> {
    check_pairs(left, right)?;
    let (left, right) = (directions(left), directions(right));
    let share = crosses(&left, &right)
        || samples(&left).any(|point| position(&right, point) == Position::Inside)
        || samples(&right).any(|point| position(&left, point) == Position::Inside);
    Ok(share && !is_within(&left, &right) && !is_within(&right, &left))
}

/// Whether two lines have a point in common.
pub(super) fn meet(left: &[Place], right: &[Place]) -> Result<bool, String> {
    check_pairs(left, right)?;
    let (left, right) = (directions(left), directions(right));
    let touches = |line: &[Direction], point: &Direction| line.windows(2).any(|edge| is_on(*point, edge[0], edge[1]));
    Ok(crosses(&left, &right)
        || left.iter().any(|point| touches(&right, point))
        || right.iter().any(|point| touches(&left, point)))
}

fn check_pairs(left: &[Place], right: &[Place]) -> Result<(), String> {
    if left.len().saturating_mul(right.len()) > PAIRS_MAX {
        let (left, right) = (left.len(), right.len());
        return Err(format!("shapes of {left} and {right} points are more than {PAIRS_MAX} pairs to compare"));
    }
    Ok(())
}

fn is_within(inner: &[Direction], outer: &[Direction]) -> bool {
    !crosses(inner, outer) && samples(inner).all(|point| position(outer, point) != Position::Outside)
}

/// The corners of a ring and the middles of its edges.
fn samples(ring: &[Direction]) -> impl Iterator<Item = Direction> + '_ {
    let middle = |edge: &[Direction]| unit(add(edge[0], edge[1]));
    ring.windows(2).flat_map(move |edge| [edge[0], middle(edge)])
}

/// Whether an edge of one goes through an edge of the other.
fn crosses(left: &[Direction], right: &[Direction]) -> bool {
    left.windows(2).any(|one| right.windows(2).any(|other| cross_each_other(one, other)))
}

fn cross_each_other(one: &[Direction], other: &[Direction]) -> bool {
    let (a, b) = (side(one[0], one[1], other[0]), side(one[0], one[1], other[1]));
    let (c, d) = (side(other[0], other[1], one[0]), side(other[0], other[1], one[1]));
    // The planes also cut each other on the other side of the earth: there the two turn the same way.
    a * b == -1 && c * d == -1 && a == d
}

/// On which side of an edge's plane a point lies: 1 to the left, -1 to the right, 0 on it as far as numbers tell.
fn side(from: Direction, to: Direction, point: Direction) -> i8 {
    // Differences keep the digits of shapes that are small.
    let (edge, way) = (sub(to, from), sub(point, from));
    let height = dot(from, cross(edge, way));
    let noise = ROUNDING * (dot(edge, edge).sqrt() + dot(way, way).sqrt());
    if height.abs() <= noise { 0 } else { height.signum() as i8 }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Position {
    Inside,
    Border,
    Outside,
}

/// Where a point lies: inside, the ring turns once around it to the left.
fn position(ring: &[Direction], point: Direction) -> Position {
    if ring.windows(2).any(|edge| is_on(point, edge[0], edge[1])) {
        return Position::Border;
    }
    let turns = turns_around(ring, point);
    let inside = if area(ring) >= 0.0 { turns == 1 } else { turns != -1 };
    if inside { Position::Inside } else { Position::Outside }
}

/// How often a ring turns around a point to the left, seen from outside of the earth.
fn turns_around(ring: &[Direction], point: Direction) -> i32 {
    let angle = |edge: &[Direction]| {
        let (from, to) = (cross(point, edge[0]), cross(point, edge[1]));
        dot(point, cross(from, to)).atan2(dot(from, to))
    };
    let sum: f64 = ring.windows(2).map(angle).sum();
    (sum / std::f64::consts::TAU).round() as i32
}

/// What a ring surrounds to its left, as a part of the unit sphere; negative when it goes the other way round.
fn area(ring: &[Direction]) -> f64 {
    let first = ring[0];
    let triangle = |edge: &[Direction]| {
        let (b, c) = (edge[0], edge[1]);
        let volume = dot(first, cross(b, c));
        2.0 * volume.atan2(1.0 + dot(first, b) + dot(b, c) + dot(c, first))
    };
    ring.windows(2).map(triangle).sum()
}

/// Whether a point is on an edge.
fn is_on(point: Direction, from: Direction, to: Direction) -> bool {
    let (edge, way) = (sub(to, from), sub(point, from));
    let along = dot(way, edge);
    let beside_it = (0.0..=dot(edge, edge)).contains(&along);
    // The plane also goes around the other side of the earth.
    beside_it && dot(point, add(from, to)) > 0.0 && side(from, to, point) == 0
}

/// A direction from the earth's centre, of length 1.
type Direction = [f64; 3];

fn directions(places: &[Place]) -> Vec<Direction> {
    places.iter().map(Place::direction).collect()
}

fn dot(a: Direction, b: Direction) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn cross(a: Direction, b: Direction) -> Direction {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

fn add(a: Direction, b: Direction) -> Direction {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

fn sub(a: Direction, b: Direction) -> Direction {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

fn unit(a: Direction) -> Direction {
    let length = dot(a, a).sqrt();
    a.map(|part| part / length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(places: &[(f64, f64)]) -> Vec<Place> {
        places.iter().map(|(longitude, latitude)| Place::new(*longitude, *latitude).unwrap()).collect()
    }

    fn square(from: f64, to: f64) -> Vec<Place> {
        ring(&[(from, from), (to, from), (to, to), (from, to), (from, from)])
    }

    fn place(longitude: f64, latitude: f64) -> Place {
        Place::new(longitude, latitude).unwrap()
    }

    #[test]
    fn places_are_inside_to_the_left_of_a_ring() {
        let turned: Vec<Place> = square(0.0, 10.0).into_iter().rev().collect();
        for (at, inside) in [((5.0, 5.0), true), ((76.6, 10.1), false), ((-175.0, -5.0), false), ((-5.0, 5.0), false)] {
            let at = place(at.0, at.1);
            assert_eq!(holds(&square(0.0, 10.0), &at), inside, "{at:?}");
            assert_eq!(holds(&turned, &at), !inside, "{at:?}, all but the square");
        }
        assert!(!holds(&square(0.0, 10.0), &place(0.0, 0.0)), "a corner");
        assert!(!holds(&square(0.0, 10.0), &place(0.0, 5.0)), "the border");
        // Over the date line and around a pole.
        assert!(holds(
            &ring(&[(170.0, -5.0), (-170.0, -5.0), (-170.0, 5.0), (170.0, 5.0), (170.0, -5.0)]),
            &place(180.0, 0.0)
        ));
        assert!(holds(&ring(&[(0.0, 80.0), (120.0, 80.0), (-120.0, 80.0), (0.0, 80.0)]), &place(33.0, 90.0)));
    }

    #[test]
    fn polygons_are_within_or_overlap_or_neither() {
        for (left, right, inside, overlapping) in [
            (square(2.0, 4.0), square(0.0, 10.0), true, false),
            (square(0.0, 10.0), square(2.0, 4.0), false, false),
            (square(0.0, 10.0), square(0.0, 10.0), true, false),
            (square(0.0, 20.0), square(10.0, 40.0), false, true),
            (square(0.0, 10.0), square(30.0, 40.0), false, false),
            // They have a corner in common.
            (square(0.0, 10.0), square(10.0, 20.0), false, false),
        ] {
            assert_eq!(within(&left, &right), Ok(inside), "{left:?} in {right:?}");
            assert_eq!(overlap(&left, &right), Ok(overlapping), "{left:?} over {right:?}");
        }
    }

    #[test]
    fn small_shapes_are_as_exact_as_large_ones() {
        // Metres, in degrees, somewhere.
        let at = |east: f64, north: f64| (11.5 + east * 1.3e-5, 48.1 + north * 9e-6);
        let yard = ring(&[at(0.0, 0.0), at(5.0, 0.0), at(5.0, 5.0), at(0.0, 5.0), at(0.0, 0.0)]);
        let other = ring(&[at(3.0, 3.0), at(8.0, 3.0), at(8.0, 8.0), at(3.0, 8.0), at(3.0, 3.0)]);
        assert_eq!((overlap(&yard, &other), within(&yard, &other)), (Ok(true), Ok(false)));
        for ((east, north), inside) in
            [((0.01, 0.01), true), ((-0.01, 2.0), false), ((4.99, 4.99), true), ((5.01, 1.0), false)]
        {
            let (longitude, latitude) = at(east, north);
            assert_eq!(holds(&yard, &place(longitude, latitude)), inside, "{east} {north}");
        }
        let (north, west) = (ring(&[at(1.0, -1.0), at(1.0, 6.0)]), ring(&[at(4.0, 2.0), at(0.5, 2.0)]));
        assert_eq!(meet(&north, &west), Ok(true));
        assert_eq!(meet(&north, &ring(&[at(4.0, 2.0), at(1.5, 2.0)])), Ok(false));
    }

    #[test]
    fn lines_meet_where_they_cross_or_touch() {
        let line = ring(&[(-10.0, 0.0), (0.0, 0.0), (10.0, 0.0)]);
        for (other, expected) in [
            (ring(&[(0.0, 10.0), (0.0, 0.0), (0.0, -10.0)]), true),
            (ring(&[(3.0, 10.0), (3.0, -10.0)]), true),
            (ring(&[(3.0, 10.0), (3.0, 0.0)]), true),
            (ring(&[(-10.0, 10.0), (0.0, 10.0), (10.0, 10.0)]), false),
            // The same way, on the other side of the earth.
            (ring(&[(183.0, 10.0), (183.0, -10.0)]), false),
        ] {
            assert_eq!(meet(&line, &other), Ok(expected), "{other:?}");
        }
        let long: Vec<Place> = (0..3_000).map(|step| place(f64::from(step) / 100.0, 1.0)).collect();
        assert!(meet(&long, &long).is_err(), "more pairs than are compared");
    }

    #[test]
    fn what_is_no_shape_is_told() {
        for (json, said) in [
            ("{}", "expected a Point"),
            (r#"{"type":"Point","coordinates":[1]}"#, "[longitude, latitude]"),
            (r#"{"type":"Point","coordinates":[1,91]}"#, "-90 to 90"),
            (r#"{"type":"Polygon","coordinates":[[[0,0],[1,0],[1,1]]]}"#, "three points"),
            (r#"{"type":"Polygon","coordinates":[[],[]]}"#, "one ring"),
        ] {
            let error = Shape::read(json).unwrap_err();
            assert!(error.contains(said), "{json}: {error}");
        }
    }
}

//! Stream Analytics' functions of places on the earth, which are records of GeoJSON: how they are made, and what one is to
//! another. The geometry is in `geo/shape.rs` and `geo/earth.rs`.

mod earth;
mod shape;

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray, Float64Array, Int64Array, LargeStringArray};
use arrow::datatypes::Float64Type;
use arrow::error::ArrowError;
use serde_json::json;

use self::shape::{Place, Shape};

type Result<T> = std::result::Result<T, ArrowError>;

/// `CreatePoint(latitude, longitude)`, in degrees. GeoJSON has the longitude first.
pub(super) fn point(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let (latitudes, longitudes) =
        (arguments[0].as_primitive::<Float64Type>(), arguments[1].as_primitive::<Float64Type>());
    let rows = latitudes.iter().zip(longitudes).map(|pair| {
        let (Some(latitude), Some(longitude)) = pair else { return Ok(None) };
        let place = Place::new(longitude, latitude).map_err(wrong)?;
        Ok(Some(json!({ "type": "Point", "coordinates": place.coordinates() }).to_string()))
    });
    Ok(Arc::new(rows.collect::<Result<LargeStringArray>>()?))
}

/// `CreateLineString(point, point, …)`.
pub(super) fn line(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    made_of_points(arguments, |places| {
        let coordinates: Vec<[f64; 2]> = places.iter().map(Place::coordinates).collect();
        Ok(json!({ "type": "LineString", "coordinates": coordinates }).to_string())
    })
}

/// `CreatePolygon(point, point, …)`, whose last point is the first again.
pub(super) fn polygon(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    made_of_points(arguments, |places| {
        shape::check_ring(&places).map_err(wrong)?;
        let coordinates: Vec<[f64; 2]> = places.iter().map(Place::coordinates).collect();
        Ok(json!({ "type": "Polygon", "coordinates": [coordinates] }).to_string())
    })
}

/// NULL where a point is NULL.
fn made_of_points(arguments: &[ArrayRef], make: impl Fn(Vec<Place>) -> Result<String>) -> Result<ArrayRef> {
    let rows = (0..arguments[0].len()).map(|row| {
        let mut places = Vec::with_capacity(arguments.len());
        for points in arguments.iter().map(|points| points.as_string::<i64>()) {
            if points.is_null(row) {
                return Ok(None);
            }
            match Shape::read(points.value(row)).map_err(wrong)? {
                Shape::Point(place) => places.push(place),
                other => return Err(wrong(format!("expected a Point, found a {}", other.name()))),
            }
        }
        make(places).map(Some)
    });
    Ok(Arc::new(rows.collect::<Result<LargeStringArray>>()?))
}

/// `ST_DISTANCE(a, b)` in metres on the earth's ellipsoid; 0 with a polygon.
pub(super) fn distance(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let rows = pairs(arguments, |left, right| match (left, right) {
        (Shape::Point(left), Shape::Point(right)) => earth::distance(left, right),
        (Shape::Polygon(_), _) | (_, Shape::Polygon(_)) => Ok(0.0),
        _ => Err("ST_DISTANCE takes points".to_owned()),
    });
    Ok(Arc::new(rows.collect::<Result<Float64Array>>()?))
}

/// `ST_WITHIN(point or polygon, polygon)`.
pub(super) fn within(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    truths(arguments, |left, right| match (left, right) {
        (Shape::Point(place), Shape::Polygon(ring)) => Ok(shape::holds(ring, place)),
        (Shape::Polygon(inner), Shape::Polygon(outer)) => shape::within(inner, outer),
        _ => Err("ST_WITHIN takes a point or a polygon, and a polygon".to_owned()),
    })
}

/// `ST_OVERLAPS(polygon, polygon)`: they share a part and neither is within the other.
pub(super) fn overlaps(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    truths(arguments, |left, right| match (left, right) {
        (Shape::Polygon(left), Shape::Polygon(right)) => shape::overlap(left, right),
        _ => Err("ST_OVERLAPS takes polygons".to_owned()),
    })
}

/// `ST_INTERSECTS(line, line)`: they have a point in common.
pub(super) fn intersects(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    truths(arguments, |left, right| match (left, right) {
        (Shape::Line(left), Shape::Line(right)) => shape::meet(left, right),
        _ => Err("ST_INTERSECTS takes lines".to_owned()),
    })
}

fn truths(
    arguments: &[ArrayRef],
    holds: impl Fn(&Shape, &Shape) -> std::result::Result<bool, String>,
) -> Result<ArrayRef> {
    let rows = pairs(arguments, |left, right| holds(left, right).map(i64::from));
    Ok(Arc::new(rows.collect::<Result<Int64Array>>()?))
}

fn pairs<T>(
    arguments: &[ArrayRef],
    compute: impl Fn(&Shape, &Shape) -> std::result::Result<T, String>,
) -> impl Iterator<Item = Result<Option<T>>> {
    let (left, right) = (arguments[0].as_string::<i64>(), arguments[1].as_string::<i64>());
    left.iter().zip(right).map(move |pair| {
        let (Some(left), Some(right)) = pair else { return Ok(None) };
        let both = Shape::read(left).and_then(|left| Ok((left, Shape::read(right)?)));
        both.and_then(|(left, right)| compute(&left, &right)).map(Some).map_err(wrong)
    })
}

fn wrong(message: String) -> ArrowError {
    ArrowError::ComputeError(message)
}

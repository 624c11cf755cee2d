//! Distances on the earth's ellipsoid (WGS 84), by Vincenty's inverse formula ("Direct and inverse solutions of geodesics on
//! the ellipsoid", Survey Review 1975): right to a millimetre, except between places that lie nearly opposite.

use super::shape::Place;

/// The half axis at the equator, metres.
const EQUATOR: f64 = 6_378_137.0;
/// By how much the half axis at the poles is the shorter, as a part.
pub(super) const FLATTENING: f64 = 1.0 / 298.257_223_563;
/// The half axis at the poles, metres.
const POLE: f64 = EQUATOR * (1.0 - FLATTENING);
/// Rounds of the iteration, which takes few but between places that lie nearly opposite.
const ROUNDS_MAX: usize = 200;

/// The way between two places on the auxiliary sphere.
struct Arc {
    sin: f64,
    cos: f64,
    /// The angle between the places.
    angle: f64,
    /// The cosine of twice the angle from the equator to the middle of the way.
    cos_middle: f64,
    /// The squared cosine of the way's azimuth at the equator.
    cos_azimuth_squared: f64,
}

/// The shortest way between two places, in metres.
pub(super) fn distance(from: &Place, to: &Place) -> Result<f64, String> {
    if from == to {
        return Ok(0.0);
    }
    let reduced = |place: &Place| ((1.0 - FLATTENING) * place.latitude.to_radians().tan()).atan().sin_cos();
    let (start, end) = (reduced(from), reduced(to));
    let difference = (to.longitude - from.longitude).to_radians();
    let mut longitude = difference;
    for _ in 0..ROUNDS_MAX {
        let (arc, sin_azimuth) = arc(start, end, longitude);
        if arc.sin == 0.0 {
            return Ok(0.0);
        }
        let square = arc.cos_azimuth_squared;
        let c = FLATTENING / 16.0 * square * (4.0 + FLATTENING * (4.0 - 3.0 * square));
        let middle = arc.cos_middle;
        let next = difference
            + (1.0 - c)
                * FLATTENING
                * sin_azimuth
                * (arc.angle + c * arc.sin * (middle + c * arc.cos * (2.0 * middle * middle - 1.0)));
        if (next - longitude).abs() < 1e-12 {
            return Ok(length(&arc));
        }
        longitude = next;
    }
    Err("not supported yet: the distance of places that lie nearly opposite each other".to_owned())
}

/// The way between two reduced latitudes, given as sine and cosine, and the sine of its azimuth at the equator.
fn arc((sin_start, cos_start): (f64, f64), (sin_end, cos_end): (f64, f64), longitude: f64) -> (Arc, f64) {
    let (sin_longitude, cos_longitude) = longitude.sin_cos();
    let across = cos_end * sin_longitude;
    let along = cos_start * sin_end - sin_start * cos_end * cos_longitude;
    let (sin, cos) = (across.hypot(along), sin_start * sin_end + cos_start * cos_end * cos_longitude);
    let sin_azimuth = if sin == 0.0 { 0.0 } else { cos_start * cos_end * sin_longitude / sin };
    let cos_azimuth_squared = 1.0 - sin_azimuth * sin_azimuth;
    // On the equator the middle does not count.
    let cos_middle =
        if cos_azimuth_squared.abs() < 1e-15 { 0.0 } else { cos - 2.0 * sin_start * sin_end / cos_azimuth_squared };
    (Arc { sin, cos, angle: sin.atan2(cos), cos_middle, cos_azimuth_squared }, sin_azimuth)
}

/// A way's length on the ellipsoid, in metres.
fn length(arc: &Arc) -> f64 {
    let square = arc.cos_azimuth_squared * (EQUATOR * EQUATOR - POLE * POLE) / (POLE * POLE);
    let a = 1.0 + square / 16384.0 * (4096.0 + square * (square * (320.0 - 175.0 * square) - 768.0));
    let b = square / 1024.0 * (256.0 + square * (square * (74.0 - 47.0 * square) - 128.0));
    let middle = arc.cos_middle;
    let inner = arc.cos * (2.0 * middle * middle - 1.0)
        - b / 6.0 * middle * (4.0 * arc.sin * arc.sin - 3.0) * (4.0 * middle * middle - 3.0);
    POLE * a * (arc.angle - b * arc.sin * (middle + b / 4.0 * inner))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_the_ellipsoids() {
        let place = |longitude, latitude| Place::new(longitude, latitude).unwrap();
        for (from, to, expected) in [
            (place(-5.0, -5.0), place(0.0, 0.0), 784_028.740_775_018_2),
            // A degree of the equator, and one of the meridian from it.
            (place(0.0, 0.0), place(1.0, 0.0), 111_319.490_793_273_6),
            (place(0.0, 0.0), place(0.0, 1.0), 110_574.388_557_799_9),
            (place(179.5, 10.0), place(-180.5, 10.0), 0.0),
        ] {
            let found = distance(&from, &to).unwrap();
            assert!((found - expected).abs() < 1e-2, "{found} instead of {expected}");
        }
        assert!(distance(&place(0.0, 0.1), &place(179.9, 0.0)).is_err());
    }
}

//! Functions of numbers (`function.rs` lists all).

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{Float64Type, Int64Type};
use arrow::error::ArrowError;

type Result<T> = std::result::Result<T, ArrowError>;

/// `ABS(x)`.
pub(super) fn absolute(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let Some(values) = arguments[0].as_primitive_opt::<Int64Type>() else { return doubles(arguments, f64::abs) };
    let absolute = |value: i64| {
        let beyond = || ArrowError::ComputeError(format!("ABS({value}) is out of the range of bigint"));
        value.checked_abs().ok_or_else(beyond)
    };
    Ok(Arc::new(values.try_unary::<_, Int64Type, _>(absolute)?))
}

/// `CEILING(x)` of a double.
pub(super) fn ceiling(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    doubles(arguments, f64::ceil)
}

/// `FLOOR(x)` of a double.
pub(super) fn floor(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    doubles(arguments, f64::floor)
}

/// `EXP(x)`.
pub(super) fn exponential(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    doubles(arguments, f64::exp)
}

/// `LN(x)`.
pub(super) fn natural_logarithm(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    doubles(arguments, f64::ln)
}

/// `LOG10(x)`.
pub(super) fn decimal_logarithm(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    doubles(arguments, f64::log10)
}

/// `SQRT(x)`.
pub(super) fn square_root(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    doubles(arguments, f64::sqrt)
}

/// `SQUARE(x)`.
pub(super) fn square(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    doubles(arguments, |value| value * value)
}

fn doubles(arguments: &[ArrayRef], change: fn(f64) -> f64) -> Result<ArrayRef> {
    Ok(Arc::new(arguments[0].as_primitive::<Float64Type>().unary::<_, Float64Type>(change)))
}

/// `ROUND(x, places)`, half away from zero; negative places round before the point.
pub(super) fn round(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    if let Some(values) = arguments[0].as_primitive_opt::<Int64Type>() {
        let places = arguments[1].as_primitive::<Int64Type>();
        return Ok(Arc::new(arrow::compute::try_binary::<_, _, _, Int64Type>(values, places, round_integer)?));
    }
    let (values, places) = (arguments[0].as_primitive::<Float64Type>(), arguments[1].as_primitive::<Int64Type>());
    Ok(Arc::new(arrow::compute::binary::<_, _, _, Float64Type>(values, places, |value, places| {
        // Beyond these, a double has no digits to round, or none to keep.
        let places = places.clamp(-308, 308) as i32;
        let power = 10f64.powi(places.abs());
        let rounded = if places >= 0 { (value * power).round() / power } else { (value / power).round() * power };
        if rounded.is_finite() || !value.is_finite() { rounded } else { value }
    })?))
}

fn round_integer(value: i64, places: i64) -> Result<i64> {
    let digits = u32::try_from(places.saturating_neg()).unwrap_or(if places > 0 { 0 } else { u32::MAX });
    // A power beyond the integers rounds each of them to nothing.
    let Some(power) = 10i128.checked_pow(digits.min(30)) else { return Ok(0) };
    let magnitude = (i128::from(value).abs() + power / 2) / power * power;
    let rounded = i64::try_from(magnitude * i128::from(value.signum()));
    rounded.map_err(|_| ArrowError::ComputeError(format!("ROUND({value}, {places}) is out of the range of bigint")))
}

/// `POWER(x, y)` of doubles.
pub(super) fn power(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let (bases, exponents) = (arguments[0].as_primitive::<Float64Type>(), arguments[1].as_primitive::<Float64Type>());
    Ok(Arc::new(arrow::compute::binary::<_, _, _, Float64Type>(bases, exponents, f64::powf)?))
}

/// `POWER(x, y)` of integers, whose result is one.
pub(super) fn integer_power(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let (bases, exponents) = (arguments[0].as_primitive::<Int64Type>(), arguments[1].as_primitive::<Float64Type>());
    Ok(Arc::new(arrow::compute::try_binary::<_, _, _, Int64Type>(bases, exponents, |base, exponent| {
        let power = (base as f64).powf(exponent);
        if power.abs() < 9_223_372_036_854_775_808.0 {
            Ok(power as i64)
        } else {
            Err(ArrowError::ComputeError(format!("POWER({base}, {exponent}) is out of the range of bigint")))
        }
    })?))
}

/// `SIGN(x)`: -1, 0 or 1.
pub(super) fn sign(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    Ok(match arguments[0].as_primitive_opt::<Int64Type>() {
        Some(integers) => Arc::new(integers.unary::<_, Int64Type>(i64::signum)),
        None => {
            return doubles(arguments, |value| if value == 0.0 { 0.0 } else { value.signum() });
        }
    })
}

/// `~x`.
pub(super) fn bit_not(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    Ok(Arc::new(arguments[0].as_primitive::<Int64Type>().unary::<_, Int64Type>(|value| !value)))
}

//! Quantities and times as usage records hold them.

use millstream_marketplace::MarketplaceError;
use millstream_types::Millis;
use serde::Deserialize;
use serde_json::Value;

use super::error;
use crate::json_protocol::{Constraints, ServiceError};

/// Millionths in a unit.
const MILLIONTHS: u64 = 1_000_000;

/// The largest whole quantity.
const QUANTITY_MAX: i64 = 2_147_483_647;

/// Allocations of one record.
const ALLOCATIONS_MAX: usize = 2_500;

/// Labels of one allocation.
const TAGS_MAX: usize = 5;

/// A part of a quantity, with labels that say whose it is.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Allocation {
    allocated_usage_quantity: Option<i64>,
    allocated_usage_quantity_as_decimal: Option<String>,
    tags: Option<Vec<Value>>,
}

/// A quantity, whole or decimal, in millionths; nothing given is nothing used. The allocations' sum must be it.
pub(super) fn quantity(
    (whole, decimal): (Option<i64>, Option<&str>),
    allocations: Option<&[Allocation]>,
) -> Result<u64, ServiceError> {
    let quantity = amount("quantity", whole, decimal)?.unwrap_or(0);
    let Some(allocations) = allocations else { return Ok(quantity) };
    let invalid = |reason: String| error(&MarketplaceError::InvalidAllocations { reason });
    if !(1..=ALLOCATIONS_MAX).contains(&allocations.len()) {
        return Err(invalid(format!("expected 1 to {ALLOCATIONS_MAX} usage allocations, found {}", allocations.len())));
    }
    let (mut sum, mut seen) = (0_u64, Vec::new());
    for allocation in allocations {
        let (whole, decimal) =
            (allocation.allocated_usage_quantity, allocation.allocated_usage_quantity_as_decimal.as_deref());
        let part = amount("allocatedUsageQuantity", whole, decimal)?;
        sum = sum.saturating_add(part.ok_or_else(|| invalid("a usage allocation needs a quantity".to_owned()))?);
        let tags = allocation.tags.clone().unwrap_or_default();
        if tags.len() > TAGS_MAX {
            return Err(ServiceError::new("InvalidTagException", format!("at most {TAGS_MAX} tags of an allocation")));
        }
        if seen.contains(&tags) {
            return Err(invalid("two usage allocations have the same tags".to_owned()));
        }
        seen.push(tags);
    }
    if sum == quantity { Ok(quantity) } else { Err(invalid("the allocations' sum is not the quantity".to_owned())) }
}

fn amount(member: &str, whole: Option<i64>, decimal: Option<&str>) -> Result<Option<u64>, ServiceError> {
    match (whole, decimal) {
        (Some(_), Some(_)) => {
            let message = format!("{member} is given twice: as a whole number and as a decimal");
            Err(ServiceError::new("ValidationException", message))
        }
        (Some(whole), None) => {
            Constraints::new().range(member, Some(whole), 0, QUANTITY_MAX).finish()?;
            Ok(u64::try_from(whole).ok().map(|whole| whole * MILLIONTHS))
        }
        (None, Some(text)) => match millionths(text) {
            Some(amount) => Ok(Some(amount)),
            None => {
                let pattern = "Member must satisfy regular expression pattern: \
                               ^(0|[1-9][0-9]{0,9})(\\.[0-9]{1,6})?$";
                Constraints::new().broken(&format!("{member}AsDecimal"), Some(text), pattern).finish()?;
                Ok(None)
            }
        },
        (None, None) => Ok(None),
    }
}

/// `12`, `0.5`, `1234567890.000001`
fn millionths(text: &str) -> Option<u64> {
    let (units, decimals) = text.split_once('.').map_or((text, None), |(units, decimals)| (units, Some(decimals)));
    let digits = |part: &str, most| (1..=most).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    let decimals_fit = decimals.is_none_or(|decimals| digits(decimals, 6));
    if !digits(units, 10) || !decimals_fit || (units.len() > 1 && units.starts_with('0')) {
        return None;
    }
    let decimals: u64 = format!("{:0<6}", decimals.unwrap_or_default()).parse().ok()?;
    Some(units.parse::<u64>().ok()? * MILLIONTHS + decimals)
}

/// A time as the JSON protocols send it: seconds since 1970, with a fraction or not.
pub(super) fn time(member: &str, seconds: Option<f64>) -> Result<Millis, ServiceError> {
    let mut constraints = Constraints::new();
    constraints.required(member, seconds.as_ref()).finish()?;
    let millis = seconds.unwrap_or_default() * 1_000.0;
    if millis.abs() > 1e15 {
        constraints.broken(member, Some(&millis.to_string()), "Member must be a time").finish()?;
    }
    Ok(millis as Millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact() {
        for (text, expected) in [
            ("0", Some(0)),
            ("12", Some(12_000_000)),
            ("0.5", Some(500_000)),
            ("9999999999.999999", Some(9_999_999_999_999_999)),
        ] {
            assert_eq!(millionths(text), expected, "{text}");
        }
        for text in ["", ".", "1.", ".5", "01", "-1", "1e3", "1.0000001", "12345678901", "٣"] {
            assert_eq!(millionths(text), None, "{text}");
        }
    }

    #[test]
    fn allocations_must_be_the_whole() {
        let part = |quantity, tag: &str| Allocation {
            allocated_usage_quantity: Some(quantity),
            allocated_usage_quantity_as_decimal: None,
            tags: Some(vec![Value::from(tag)]),
        };
        assert_eq!(quantity((Some(5), None), Some(&[part(2, "a"), part(3, "b")])).unwrap(), 5_000_000);
        for parts in [vec![], vec![part(5, "a"), part(1, "b")], vec![part(2, "a"), part(3, "a")]] {
            assert_eq!(quantity((Some(5), None), Some(&parts)).unwrap_err().code, "InvalidUsageAllocationsException");
        }
    }
}

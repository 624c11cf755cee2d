//! How likely a value is among others: densities estimated from kernels, and martingales of what they tell.
//!
//! Sources: B. W. Silverman, "Density Estimation for Statistics and Data Analysis" (1986), for the width of kernels; V. Fedorova,
//! A. Gammerman, I. Nouretdinov, V. Vovk, "Plug-in martingales for testing exchangeability on-line" (2012), for the mixture martingale.

/// The least p-value that is told apart, so that no single value decides for ever.
const P_MIN: f64 = 1e-8;

/// The width of kernels over values that are all the same, as a part of them: any other value is far away then.
const WIDTH_MIN: f64 = 1e-9;

/// On which side of the others a value is unlikely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Above them.
    Spikes,
    /// Below them.
    Dips,
    /// Either.
    Both,
}

/// The probability that a value at least as far out on a side comes from what some values came from; 0.5 (1 of both sides) of none.
pub(super) fn p_value(value: f64, history: &[f64], side: Side) -> f64 {
    if history.is_empty() {
        return if side == Side::Both { 1.0 } else { 0.5 };
    }
    let width = width(history);
    // A logistic distribution of the same deviation as a normal one: closed, and with tails that do not vanish.
    let scale = width * 3f64.sqrt() / std::f64::consts::PI;
    let below = |other: &f64| 1.0 / (1.0 + (-(value - other) / scale).exp());
    let above = |other: &f64| 1.0 / (1.0 + ((value - other) / scale).exp());
    let count = history.len() as f64;
    let mean = |part: &dyn Fn(&f64) -> f64| history.iter().map(part).sum::<f64>() / count;
    let p = match side {
        Side::Spikes => mean(&above),
        Side::Dips => mean(&below),
        Side::Both => 2.0 * mean(&above).min(mean(&below)),
    };
    p.clamp(0.0, 1.0)
}

/// The width of kernels: by the deviation of the values or by their middle half, whichever is less, so that single values far away do
/// not widen it.
fn width(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let deviation = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let at = |part: f64| sorted.get((part * (count - 1.0)).round() as usize).copied().unwrap_or(mean);
    let half = (at(0.75) - at(0.25)) / 1.349;
    let spread = if half > 0.0 { deviation.min(half) } else { deviation };
    let least = WIDTH_MIN * mean.abs().max(1.0);
    (1.06 * spread * count.powf(-0.2)).max(least)
}

/// What a p-value wins for the mixture martingale, as a logarithm: the mean of `e * p^(e - 1)` over all `e` from 0 to 1. Unlikely values
/// win, usual ones lose.
pub(super) fn bet(p: f64) -> f64 {
    let p = p.clamp(P_MIN, 1.0 - P_MIN);
    let log = p.ln();
    // Near 1 the quotient is that of two vanishing numbers; its limit is a half.
    if p > 0.999 {
        return 0.5f64.ln();
    }
    ((1.0 - p + p * log) / (p * log * log)).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_far_out_are_unlikely() {
        let history: Vec<f64> = (0..100).map(|value| f64::from(value % 10)).collect();
        assert!(p_value(4.5, &history, Side::Both) > 0.9);
        let (above, below) = (p_value(30.0, &history, Side::Spikes), p_value(30.0, &history, Side::Dips));
        assert!(above < 1e-4 && below > 0.99, "{above} {below}");
        assert!(p_value(-30.0, &history, Side::Dips) < 1e-4);
        assert!(p_value(-30.0, &history, Side::Both) < 1e-4);
        // Farther out is never likelier.
        let ps: Vec<f64> = (10..40).map(|value| p_value(f64::from(value), &history, Side::Spikes)).collect();
        assert!(ps.windows(2).all(|pair| pair[1] <= pair[0]));
    }

    #[test]
    fn of_values_that_are_all_the_same_another_is_far() {
        let history = [5.0; 20];
        assert_eq!(p_value(5.0, &history, Side::Both), 1.0);
        assert!(p_value(5.1, &history, Side::Spikes) < 1e-6);
        assert_eq!(p_value(1.0, &[], Side::Both), 1.0);
        // One value far away does not hide the next.
        let mut spoiled = history.to_vec();
        spoiled.push(1e6);
        assert!(p_value(5e5, &spoiled, Side::Spikes) < 0.1);
    }

    #[test]
    fn bets_are_fair() {
        // The mean of what is won over p-values that are equally likely is 1.
        let steps = 1_000_000;
        let mean = (0..steps).map(|step| bet((f64::from(step) + 0.5) / f64::from(steps)).exp()).sum::<f64>();
        let mean = mean / f64::from(steps);
        assert!((0.85..1.05).contains(&mean), "{mean}");
        assert!(bet(1e-8) > 12.0 && bet(0.5) < 0.0 && bet(1.0) < 0.0);
        assert!((bet(0.9989) - bet(0.9991)).abs() < 1e-2);
    }
}

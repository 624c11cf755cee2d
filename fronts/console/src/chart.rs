//! Charts as SVG, made on the server from one metric's seconds. Colours and sizes belong to the style sheet.
//!
//! Coordinates are rounded to a tenth, so that a chart of two minutes stays under 3 KiB.

use std::fmt::Write as _;

use millstream_insight::Sample;

use crate::format;

/// Seconds that a large chart shows.
pub const CHART_SECONDS: usize = 120;
/// Seconds that a sparkline shows.
pub const SPARK_SECONDS: usize = 60;

const CHART: Extent = Extent { width: 480.0, height: 96.0 };
const SPARK: Extent = Extent { width: 96.0, height: 20.0 };

struct Extent {
    width: f64,
    height: f64,
}

/// A chart with its scale and its last value in words.
pub fn chart(title: &str, samples: &[Sample], unit: fn(f64) -> String) -> String {
    let samples = last(samples, CHART_SECONDS);
    let (highest, latest) = (highest(samples), samples.last().map_or(0.0, |sample| sample.value));
    let label =
        format!("{title}: now {}, at most {} in the last {} seconds", unit(latest), unit(highest), samples.len());
    let mut svg = open("chart", &CHART, &label);
    for part in [0.25, 0.5, 0.75] {
        let y = CHART.height * part;
        let _ = write!(svg, r#"<line class="grid" x1="0" x2="{}" y1="{y}" y2="{y}"/>"#, CHART.width);
    }
    draw(&mut svg, samples, CHART_SECONDS, &CHART, highest);
    svg.push_str("</svg>");
    svg
}

/// A line without words, for a row of a table.
pub fn spark(title: &str, samples: &[Sample]) -> String {
    let samples = last(samples, SPARK_SECONDS);
    let mut svg = open("spark", &SPARK, title);
    draw(&mut svg, samples, SPARK_SECONDS, &SPARK, highest(samples));
    svg.push_str("</svg>");
    svg
}

/// A line of values one after the other, negative ones below a line at zero.
pub fn values(title: &str, values: &[f64]) -> String {
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    let (low, high) = (finite().fold(0.0, f64::min), finite().fold(0.0, f64::max));
    let mut svg = open("chart", &CHART, &format!("{title}: {} values from {low} to {high}", values.len()));
    let scale = if high > low { (CHART.height - 2.0) / (high - low) } else { 0.0 };
    let y = |value: f64| CHART.height - 1.0 - (value - low) * scale;
    let step = CHART.width / (values.len().max(2) - 1) as f64;
    let _ =
        write!(svg, r#"<line class="grid" x1="0" x2="{}" y1="{zero:.1}" y2="{zero:.1}"/>"#, CHART.width, zero = y(0.0));
    let points = values.iter().enumerate().filter(|(_, value)| value.is_finite());
    let points: Vec<String> =
        points.map(|(index, value)| format!("{:.1},{:.1}", step * index as f64, y(*value))).collect();
    let _ = write!(svg, r#"<polyline class="line" points="{}"/></svg>"#, points.join(" "));
    svg
}

/// The points of a line within a box at `(x, y)`: what the pipeline's graph draws inside its nodes.
pub fn line_points(samples: &[Sample], (x, y): (f64, f64), (width, height): (f64, f64)) -> String {
    let samples = last(samples, SPARK_SECONDS);
    points(samples, SPARK_SECONDS, &Extent { width, height }, highest(samples))
        .into_iter()
        .map(|(px, py)| format!("{:.1},{:.1}", px + x, py + y))
        .collect::<Vec<_>>()
        .join(" ")
}

/// The largest of the last [`CHART_SECONDS`] values.
pub fn peak(samples: &[Sample]) -> f64 {
    highest(last(samples, CHART_SECONDS))
}

fn last(samples: &[Sample], count: usize) -> &[Sample] {
    &samples[samples.len().saturating_sub(count)..]
}

fn highest(samples: &[Sample]) -> f64 {
    samples.iter().map(|sample| sample.value).filter(|value| value.is_finite()).fold(0.0, f64::max)
}

fn open(class: &str, extent: &Extent, label: &str) -> String {
    format!(
        r#"<svg class="{class}" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-label="{}">"#,
        extent.width,
        extent.height,
        escape(label),
    )
}

fn draw(svg: &mut String, samples: &[Sample], slots: usize, extent: &Extent, highest: f64) {
    let points = points(samples, slots, extent, highest);
    let (Some(&(first, _)), Some(&(end, _))) = (points.first(), points.last()) else { return };
    let line = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect::<Vec<_>>().join(" ");
    let base = extent.height;
    let _ = write!(svg, r#"<polygon class="area" points="{first:.1},{base} {line} {end:.1},{base}"/>"#);
    let _ = write!(svg, r#"<polyline class="line" points="{line}"/>"#);
}

/// The newest sample at the right edge, one slot a second, a pixel of air above and below.
fn points(samples: &[Sample], slots: usize, extent: &Extent, highest: f64) -> Vec<(f64, f64)> {
    let step = extent.width / (slots.max(2) - 1) as f64;
    let left = extent.width - step * samples.len().saturating_sub(1) as f64;
    let scale = if highest > 0.0 { (extent.height - 2.0) / highest } else { 0.0 };
    let point = |(index, sample): (usize, &Sample)| {
        let value = if sample.value.is_finite() { sample.value.max(0.0) } else { 0.0 };
        (left + step * index as f64, extent.height - 1.0 - value * scale)
    };
    samples.iter().enumerate().map(point).collect()
}

/// Text for an attribute or an element.
pub fn escape(text: &str) -> String {
    askama::filters::escape(text, askama::filters::Html).map_or_else(|_| String::new(), |safe| safe.to_string())
}

/// A figure a second: the unit of counters' charts.
pub fn per_second(value: f64) -> String {
    format!("{}/s", format::number(value))
}

/// Milliseconds as a duration: the unit of lags and run times.
pub fn millis(value: f64) -> String {
    format::duration(value.round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(values: &[f64]) -> Vec<Sample> {
        values.iter().map(|&value| Sample { time: 0, value }).collect()
    }

    #[test]
    fn values_below_zero_lie_below_its_line() {
        let svg = values("a < b", &[-1.0, 0.0, f64::NAN, 1.0]);
        assert!(
            svg.contains("a &#60; b: 4 values from -1 to 1") || svg.contains("a &lt; b: 4 values from -1 to 1"),
            "{svg}"
        );
        assert!(svg.contains(r#"y1="48.0""#) && svg.contains(r#"points="0.0,95.0 160.0,48.0 480.0,1.0""#), "{svg}");
        assert!(!values("", &[]).contains("NaN"));
    }

    #[test]
    fn the_newest_second_stands_at_the_right_edge() {
        let svg = spark("records per second", &samples(&[0.0, 9.0]));
        assert!(svg.contains(r#"<polyline class="line" points="94.4,19.0 96.0,1.0"/>"#), "{svg}");
        assert!(svg.contains(r#"<polygon class="area" points="94.4,20 94.4,19.0 96.0,1.0 96.0,20"/>"#), "{svg}");
    }

    #[test]
    fn a_metric_without_samples_is_an_empty_chart() {
        let svg = chart("rate", &[], per_second);
        assert!(svg.contains("now 0/s, at most 0/s in the last 0 seconds") && !svg.contains("polyline"), "{svg}");
    }

    #[test]
    fn only_the_last_seconds_are_drawn_and_no_value_breaks_the_scale() {
        let mut values = vec![1e9; 500];
        values.extend([f64::NAN, f64::INFINITY, -5.0, 10.0]);
        let svg = chart("rate", &samples(&values), per_second);
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn a_title_cannot_leave_its_attribute() {
        let svg = spark("\"><script>alert(1)</script>", &samples(&[1.0]));
        assert!(!svg.contains("<script>") && svg.contains("aria-label=\"&#34;&#62;&#60;script"), "{svg}");
    }
}

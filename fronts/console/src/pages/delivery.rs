//! `/delivery/{name}`: a delivery stream: source, destination, buffer, objects, lag.

use askama::Template;
use millstream_catalog::{Compression, DeliverySource, DeliveryStreamDefinition};

use super::Frame;
use super::stream::RECORDS_MAX;
use crate::Console;
use crate::chart;
use crate::error::ConsoleError;
use crate::format;
use crate::live::Fragments;
use crate::measure::Measures;
use crate::page::Page;
use crate::partials::{Chart, Charts, Figure, Figures, Records};
use crate::tail;

#[derive(Template)]
#[template(path = "pages/delivery.html")]
struct DeliveryPage<'a> {
    frame: Frame,
    live: Fragments,
    name: &'a str,
    source: String,
    source_href: String,
    bucket: String,
    prefix: String,
    buffer: String,
    compression: &'static str,
    created: String,
}

pub(super) fn page(console: &Console, name: &str, frame: Frame, live: Fragments) -> Result<String, ConsoleError> {
    let delivery = console.delivery_stream(name)?;
    let destination = &delivery.destination;
    let page = DeliveryPage {
        frame,
        live,
        name,
        source: match &delivery.source {
            DeliverySource::DirectPut => "direct put".to_owned(),
            DeliverySource::Stream { name } => name.clone(),
        },
        source_href: Page::stream(&delivery.source_stream()).href(),
        bucket: destination.bucket.clone(),
        prefix: destination.prefix.clone(),
        buffer: format!("{} or {} s", format::size(destination.buffer_bytes), destination.buffer_seconds),
        compression: match destination.compression {
            Compression::None => "as they are",
            Compression::Gzip => "gzip",
        },
        created: format::date_time(delivery.created),
    };
    Ok(page.render()?)
}

pub(super) async fn fragments(console: &Console, name: &str) -> Result<Fragments, ConsoleError> {
    let delivery = console.delivery_stream(name)?;
    let measures = Measures::of(&console.insight().metrics, format!("delivery/{name}"));
    let status = console.deliveries().status(name).unwrap_or_default();
    let mut fragments = Fragments::default();
    let figures = vec![
        Figure::rate("records in", measures.rate("records_in")),
        Figure::new("objects written", format::count(status.objects), "since the start"),
        lag(&delivery, &measures),
    ];
    fragments.add("figures", &Figures { figures })?;
    let expired = (status.expired > 0).then(|| format::count(status.expired));
    fragments.add("status", &Status { last_object: status.last_object, last_error: status.last_error, expired })?;
    let charts = vec![
        Chart::of("records per second", &measures.series("records_in"), chart::per_second),
        Chart::of("lag of delivery", &measures.series("delivery_lag_ms"), chart::millis),
    ];
    fragments.add("charts", &Charts { charts })?;
    let newest = match console.streams().get(&delivery.source_stream()) {
        Ok(stream) => tail::newest(console.streams(), &stream, RECORDS_MAX).await?,
        Err(_) => Vec::new(),
    };
    fragments.add("records", &Records::from(newest))?;
    Ok(fragments)
}

/// What became of the last attempt.
#[derive(Template)]
#[template(path = "partials/delivery_status.html")]
struct Status {
    last_object: Option<String>,
    last_error: Option<String>,
    expired: Option<String>,
}

/// How far objects are behind: a worry once it is more than twice what the buffer may hold back.
pub(super) fn lag(delivery: &DeliveryStreamDefinition, measures: &Measures) -> Figure {
    let worrying_ms = f64::from(delivery.destination.buffer_seconds.max(30)) * 2_000.0;
    Figure::lag("lag of delivery", measures.level("delivery_lag_ms"), worrying_ms)
}

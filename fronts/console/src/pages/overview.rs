//! `/`: the pipeline as a graph, with the rate and lag of every stage.

use askama::Template;
use millstream_query::QueryState;

use super::{Frame, troubles};
use crate::Console;
use crate::chart;
use crate::error::ConsoleError;
use crate::format;
use crate::graph::{Direction, Kind, Node, Pipeline, layout};
use crate::live::Fragments;
use crate::measure::{self, Measures};
use crate::partials::{BAD, Figure, Figures, WARN};

/// Characters of a name that fit on a node.
const NAME_CHARS: usize = 21;
/// The line at a node's lower right: its corner and size, pixels.
const LINE: ((f64, f64), (f64, f64)) = ((78.0, 46.0), (82.0, 20.0));

#[derive(Template)]
#[template(path = "pages/overview.html")]
struct OverviewPage {
    frame: Frame,
    live: Fragments,
}

pub(super) fn page(frame: Frame, live: Fragments) -> Result<String, ConsoleError> {
    Ok(OverviewPage { frame, live }.render()?)
}

pub(super) async fn fragments(console: &Console) -> Result<Fragments, ConsoleError> {
    let pipeline = Pipeline::of(console.catalog());
    let stages: Vec<Stage> = pipeline.nodes.iter().map(|node| Stage::of(console, node)).collect();
    let mut fragments = Fragments::default();
    fragments.add("figures", &totals(&pipeline, &stages))?;
    let pictures = [("across", Direction::Across), ("down", Direction::Down)]
        .map(|(class, direction)| picture(class, &pipeline, &stages, direction));
    fragments.add("graph", &Graph { pictures, left_out: pipeline.left_out })?;
    fragments.add("troubles", &troubles::list(console, troubles::Of::All).await?)?;
    Ok(fragments)
}

/// The node as a whole, above the graph.
fn totals(pipeline: &Pipeline, stages: &[Stage]) -> Figures {
    let sum = |kinds: &[Kind]| {
        let wanted = pipeline.nodes.iter().zip(stages).filter(|(node, _)| kinds.contains(&node.kind));
        wanted.map(|(_, stage)| stage.rate).sum::<f64>()
    };
    let lag = stages
        .iter()
        .filter_map(|stage| stage.lag_ms)
        .fold(None, |most: Option<f64>, lag| Some(most.map_or(lag, |most| most.max(lag))));
    let errors = stages.iter().map(|stage| stage.errors).sum();
    Figures {
        figures: vec![
            Figure::rate("records in", sum(&[Kind::Stream, Kind::Hub, Kind::Topic, Kind::Delivery])),
            Figure::rate("invocations", sum(&[Kind::Function])),
            Figure::rate("items written", sum(&[Kind::Table])),
            Figure::lag("most behind", lag, Stage::LAG_WORRYING_MS),
            Figure::trouble("errors", errors, "in 10 min"),
        ],
    }
}

#[derive(Template)]
#[template(path = "partials/graph.html")]
struct Graph {
    pictures: [Picture; 2],
    left_out: usize,
}

/// The graph drawn in one direction; the style sheet picks the one that fits the screen.
struct Picture {
    class: &'static str,
    width: f64,
    height: f64,
    edges: Vec<Edge>,
    stages: Vec<PlacedStage>,
}

struct Edge {
    path: String,
    /// Whether records went this way in the last seconds.
    moving: bool,
}

struct PlacedStage {
    x: f64,
    y: f64,
    kind: &'static str,
    class: &'static str,
    name: String,
    label: String,
    href: Option<String>,
    figure: String,
    note: String,
    tone: &'static str,
    line: String,
}

fn picture(class: &'static str, pipeline: &Pipeline, stages: &[Stage], direction: Direction) -> Picture {
    let placed = layout::place(pipeline.nodes.len(), &pipeline.edges, direction);
    let edge = |(path, &(from, to)): (String, &(usize, usize))| {
        let receives = !matches!(pipeline.nodes[to].kind, Kind::Objects) && stages[to].rate > 0.0;
        Edge { path, moving: stages[from].rate > 0.0 && (receives || pipeline.nodes[to].kind == Kind::Objects) }
    };
    let stage = |((node, stage), &(x, y)): ((&Node, &Stage), &(f64, f64))| PlacedStage {
        x,
        y,
        kind: node.kind.word(),
        class: node.kind.class(),
        name: node.name.clone(),
        label: format::cut(&node.name, NAME_CHARS),
        href: node.page.as_ref().map(|page| page.href()),
        figure: stage.figure.clone(),
        note: stage.note.clone(),
        tone: stage.tone,
        line: chart::line_points(&stage.series, LINE.0, LINE.1),
    };
    Picture {
        class,
        width: placed.width + 4.0,
        height: placed.height + 4.0,
        edges: placed.paths.into_iter().zip(&pipeline.edges).map(edge).collect(),
        stages: pipeline.nodes.iter().zip(stages).zip(&placed.corners).map(stage).collect(),
    }
}

/// A stage's figures.
struct Stage {
    rate: f64,
    lag_ms: Option<f64>,
    errors: u64,
    series: Vec<millstream_insight::Sample>,
    figure: String,
    note: String,
    tone: &'static str,
}

impl Stage {
    /// A query or a delivery this far behind deserves a look: longer than a minute's window.
    const LAG_WORRYING_MS: f64 = 90_000.0;

    fn of(console: &Console, node: &Node) -> Self {
        let (subject, flow, lag) = match node.kind {
            Kind::Api => ("api", "requests", None),
            Kind::Stream | Kind::Hub => ("stream", "records_in", None),
            Kind::Topic => ("topic", "records_in", None),
            Kind::Webhook => ("event_subscription", "delivered", None),
            Kind::Container => ("container", "items_written", None),
            Kind::Delivery => ("delivery", "records_in", None),
            Kind::Query => ("query", "rows_in", Some("watermark_lag_ms")),
            Kind::Function => ("function", "invocations", None),
            Kind::Table => ("table", "items_written", None),
            Kind::Objects => ("delivery", "objects_written", Some("delivery_lag_ms")),
        };
        let measures = Measures::of(&console.insight().metrics, format!("{subject}/{}", node.subject));
        let series = measures.series(flow);
        let rate = measure::mean_of_last(&series);
        let lag_ms = lag.and_then(|metric| measures.level(metric));
        let errors = match node.kind {
            Kind::Query | Kind::Function => measures.recent("errors"),
            Kind::Webhook => measures.recent("failed_attempts"),
            _ => 0,
        };
        let (note, tone) = match (errors, lag_ms) {
            _ if node.kind == Kind::Query && !Self::runs(console, node) => {
                (console.queries().status(&node.subject).state.name().to_owned(), WARN)
            }
            (1.., _) => (format!("{} errors", format::count(errors)), BAD),
            (_, Some(lag)) if lag > Self::LAG_WORRYING_MS => (format!("lag {}", chart::millis(lag)), WARN),
            (_, Some(lag)) => (format!("lag {}", chart::millis(lag)), ""),
            (_, None) => (String::new(), ""),
        };
        let figure = match node.kind {
            Kind::Objects => format!("{} new", format::count(measures.recent(flow))),
            _ => chart::per_second(rate),
        };
        Self { rate, lag_ms, errors, series, figure, note, tone }
    }

    /// Whether a query does its work.
    fn runs(console: &Console, node: &Node) -> bool {
        matches!(console.queries().status(&node.subject).state, QueryState::Running | QueryState::Starting)
    }
}

//! What a pipeline file says of event source mappings.

use serde::Deserialize;
use toml::Spanned;

use super::file::StartName;
use super::resolve::Resolver;
use super::source::Located;
use crate::definition::{EventSource, FailureTarget, MappingSettings, MappingStart};

/// Messages of a queue's batch unless the file says another number: the service's own default.
const QUEUE_BATCH_SIZE: u32 = 10;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MappingTable {
    function: Spanned<String>,
    stream: Option<Spanned<String>>,
    table: Option<Spanned<String>>,
    queue: Option<Spanned<String>>,
    #[serde(default)]
    start_at: StartName,
    #[serde(default = "yes")]
    enabled: bool,
    batch_size: Option<Spanned<u32>>,
    window_seconds: Option<Spanned<u32>>,
    parallelization: Option<Spanned<u32>>,
    max_retries: Option<Spanned<u32>>,
    max_record_age_seconds: Option<Spanned<u32>>,
    #[serde(default)]
    bisect: bool,
    #[serde(default)]
    report_item_failures: bool,
    #[serde(default)]
    filters: Vec<String>,
    /// The queue that is told of batches which are given up.
    on_failure: Option<Spanned<String>>,
    max_concurrency: Option<Spanned<u32>>,
    /// Windows over which the function hands a state on.
    tumbling_window_seconds: Option<Spanned<u32>>,
}

fn yes() -> bool {
    true
}

/// An event source mapping to be; its source and its function name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappingSpec {
    /// Where records come from. When a table's changes began to be told is not known here: it is 0.
    pub source: EventSource,
    /// The function that gets them.
    pub function: String,
    /// Where it begins when it is new; of queues nothing.
    pub start: Option<MappingStart>,
    /// Whether it runs.
    pub enabled: bool,
    /// How batches are made and failures treated.
    pub settings: MappingSettings,
}

impl Resolver<'_> {
    pub(super) fn mapping(&mut self, table: MappingTable) -> Option<Located<MappingSpec>> {
        let line = self.line(&table.function);
        let functions = self.functions.clone();
        self.refers("function", &functions, &table.function);
        self.mapping_limits(line, &table);
        let number = |given: &Option<Spanned<u32>>| given.as_ref().map(|given| *given.get_ref());
        let given_batch_size = number(&table.batch_size);
        let [window, parallelization] = [&table.window_seconds, &table.parallelization].map(number);
        let [retries_max, record_age_max_seconds] = [&table.max_retries, &table.max_record_age_seconds].map(number);
        let concurrency_max = number(&table.max_concurrency);
        let tumbling_window_seconds = number(&table.tumbling_window_seconds);
        let start = match table.start_at {
            StartName::Latest => MappingStart::Latest,
            StartName::TrimHorizon => MappingStart::TrimHorizon,
        };
        let (source, start, batch_size) = match (table.stream, table.table, table.queue) {
            (Some(stream), None, None) => {
                let streams = self.streams.clone();
                self.refers("stream", &streams, &stream);
                (EventSource::Stream { name: stream.into_inner() }, Some(start), 100)
            }
            (None, Some(table), None) => {
                let tables = self.tables.clone();
                self.refers("table", &tables, &table);
                (EventSource::Table { name: table.into_inner(), made: 0 }, Some(start), 100)
            }
            (None, None, Some(queue)) => {
                let queues = self.queues.clone();
                self.refers("queue", &queues, &queue);
                (EventSource::Queue { name: queue.into_inner() }, None, QUEUE_BATCH_SIZE)
            }
            _ => {
                let hint = "name one: stream = \"NAME\"";
                self.wrong(line, "a mapping needs exactly one of `stream`, `table` and `queue`".to_owned(), hint);
                return None;
            }
        };
        let on_failure = table.on_failure.map(|queue| {
            let queues = self.queues.clone();
            self.refers("queue", &queues, &queue);
            FailureTarget::Queue { name: queue.into_inner() }
        });
        let settings = MappingSettings {
            batch_size: given_batch_size.unwrap_or(batch_size),
            window_seconds: window.unwrap_or(0),
            parallelization: parallelization.unwrap_or(1),
            retries_max,
            record_age_max_seconds,
            bisect: table.bisect,
            reports_failures: table.report_item_failures,
            filters: table.filters,
            on_failure,
            tumbling_window_seconds,
            concurrency_max,
        };
        let function = table.function.into_inner();
        Some(Located { value: MappingSpec { source, function, start, enabled: table.enabled, settings }, line })
    }

    /// A source is mapped to a function at most once.
    pub(super) fn no_mapping_twice(&mut self, mappings: &[Located<MappingSpec>]) {
        for (index, mapping) in mappings.iter().enumerate() {
            let same = |other: &&Located<MappingSpec>| {
                (&other.value.source, &other.value.function) == (&mapping.value.source, &mapping.value.function)
            };
            if let Some(first) = mappings[..index].iter().find(same) {
                let message =
                    format!("`{}` has a mapping of this source already on line {}", mapping.value.function, first.line);
                self.wrong(mapping.line, message, "keep one");
            }
        }
    }

    /// Values within their limits, and fields that say something for the kind of source.
    fn mapping_limits(&mut self, line: usize, table: &MappingTable) {
        let limits = [
            ("batch_size", &table.batch_size, (1, 10_000)),
            ("window_seconds", &table.window_seconds, (0, 300)),
            ("parallelization", &table.parallelization, (1, 10)),
            ("max_retries", &table.max_retries, (0, 10_000)),
            ("max_record_age_seconds", &table.max_record_age_seconds, (60, 604_800)),
            ("max_concurrency", &table.max_concurrency, (2, 1_000)),
            ("tumbling_window_seconds", &table.tumbling_window_seconds, (1, 900)),
        ];
        for (what, given, limits) in limits {
            self.within(what, given.as_ref(), limits);
        }
        let number = |given: &Option<Spanned<u32>>| given.as_ref().map_or(0, |given| *given.get_ref());
        let only_streams = [
            ("parallelization", table.parallelization.is_some()),
            ("max_retries", table.max_retries.is_some()),
            ("max_record_age_seconds", table.max_record_age_seconds.is_some()),
            ("bisect", table.bisect),
            ("on_failure", table.on_failure.is_some()),
            ("tumbling_window_seconds", table.tumbling_window_seconds.is_some()),
        ];
        let only_queues = [("max_concurrency", table.max_concurrency.is_some())];
        let (given, kind, hint) = match table.queue {
            Some(_) => (&only_streams[..], "queue", "a queue's `dead_letter` and `max_receives` treat what fails"),
            None => (&only_queues[..], "stream", "say `parallelization`"),
        };
        for (field, _) in given.iter().filter(|(_, given)| *given) {
            self.wrong(line, format!("`{field}` says nothing for a {kind}"), hint);
        }
        if table.tumbling_window_seconds.is_some() && number(&table.parallelization) > 1 {
            let message = "windows with a state need one batch of a shard at once".to_owned();
            self.wrong(line, message, "take `parallelization` out");
        }
        if table.queue.is_some() && number(&table.window_seconds) == 0 && number(&table.batch_size) > QUEUE_BATCH_SIZE {
            let message = format!("batches of more than {QUEUE_BATCH_SIZE} messages have to be gathered for a while");
            self.wrong(line, message, "add it: window_seconds = 1");
        }
    }
}

//! From the file's tables to definitions: names that must exist, names that must not repeat, values in their limits.

use std::collections::{BTreeMap, BTreeSet};

use toml::Spanned;

use super::file::{
    ApiTable, ColumnTable, DeliveryStreamTable, DialectName, InputTable, QueryTable, ReferenceTable, RouteTable,
    StartName, StreamTable, ToleranceName,
};
use super::known::Known;
use super::limits::RETENTION_BYTES;
use super::name::NameRule;
use super::shape::{LeftOut, Shaped};
use super::source::{Located, Mistake, Source, nearest};
use super::{ApiSpec, DeliveryStreamSpec, InputSpec, Pipeline, QuerySpec, RouteSpec, SqlText, StreamSpec, Survey};
use crate::definition::{
    ColumnDefinition, ColumnType, Compression, EventOrder, ObjectDestination, OrderPolicy, QueryDialect, RecordFormat,
    ReferenceInput, ReferenceVersions, StartAt,
};

/// What a route can be called by.
const METHODS: [&str; 8] = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "ANY"];

/// How long records of a stream stay: the service's own limits.
const STREAM_HOURS: (u64, u64) = (24, 8_760);

/// Names of one kind that a file may refer to.
type Names = BTreeSet<String>;

pub(super) struct Resolver<'s> {
    source: &'s Source<'s>,
    pub(super) streams: Names,
    delivery_streams: Names,
    pub(super) tables: Names,
    pub(super) functions: Names,
    pub(super) roles: Names,
    pub(super) queues: Names,
    /// Topics of messages.
    pub(super) topics: Names,
    pub(super) apis: Names,
    pub(super) plans: Names,
    /// Hubs and their streams.
    pub(super) hubs: BTreeMap<String, String>,
    /// Whether names of a node are known too.
    on_node: bool,
    mistakes: Vec<Mistake>,
    /// What the file has and could not be read.
    pub(super) left_out: LeftOut,
}

pub(super) fn resolve(source: &Source<'_>, shaped: Shaped, known: &Known) -> Survey {
    let Shaped { file, mistakes, left_out } = shaped;
    let mut resolver = Resolver {
        source,
        streams: Names::new(),
        delivery_streams: Names::new(),
        tables: Names::new(),
        functions: Names::new(),
        roles: Names::new(),
        queues: Names::new(),
        topics: file.sns_topic.iter().map(|table| table.name.get_ref().clone()).collect(),
        apis: Names::new(),
        plans: file.plans.keys().cloned().collect(),
        hubs: BTreeMap::new(),
        on_node: false,
        mistakes,
        left_out,
    };
    resolver.streams = resolver.unique("stream", file.stream.iter().map(|table| &table.name));
    resolver.delivery_streams =
        resolver.unique("delivery stream", file.delivery_stream.iter().map(|table| &table.name));
    resolver.tables = resolver.unique("table", file.table.iter().map(|table| &table.name));
    resolver.functions = resolver.unique("function", file.function.iter().map(|table| &table.name));
    resolver.queues = resolver.unique("queue", file.queue.iter().map(|table| &table.name));
    resolver.roles = resolver.unique("role", file.role.iter().map(|table| &table.name));
    resolver.unique("user", file.user.iter().map(|table| &table.name));
    resolver.unique("query", file.query.iter().map(|table| &table.name));
    resolver.apis = resolver.unique("api", file.api.iter().map(|table| &table.name));
    resolver.unique("event hubs namespace", file.event_hubs_namespace.iter().map(|table| &table.name));
    resolver.unique("event hub", file.event_hub.iter().map(|table| &table.name));
    resolver.unique("blob container", file.blob_container.iter().map(|table| &table.name));
    resolver.unique("cosmos database", file.cosmos_database.iter().map(|table| &table.name));
    let topics = resolver.unique("event grid topic", file.event_grid_topic.iter().map(|table| &table.name));
    resolver.unique("sns topic", file.sns_topic.iter().map(|table| &table.name));
    for table in file.sns_topic.iter().filter(|table| topics.contains(table.name.get_ref())) {
        let line = resolver.line(&table.name);
        resolver.wrong(line, format!("a second topic `{}`", table.name.get_ref()), "give it another name or remove it");
    }
    resolver.unique("api management service", file.api_management.iter().map(|table| &table.name));
    let hubs: Vec<_> = file.event_hub.into_iter().map(|table| resolver.hub(table)).collect();
    resolver.hubs = hubs.iter().map(|hub| (hub.value.name.clone(), hub.value.stream())).collect();
    resolver.know(known);
    resolver.forgive();
    let mappings: Vec<_> = file.mapping.into_iter().filter_map(|table| resolver.mapping(table)).collect();
    resolver.no_mapping_twice(&mappings);
    let pipeline = Pipeline {
        name: file.name,
        streams: file.stream.into_iter().map(|table| resolver.stream(table)).collect(),
        delivery_streams: file.delivery_stream.into_iter().map(|table| resolver.delivery_stream(table)).collect(),
        tables: file.table.into_iter().map(|table| resolver.table(table)).collect(),
        roles: file.role.into_iter().map(|table| resolver.role(table)).collect(),
        users: file.user.into_iter().map(|table| resolver.user(table)).collect(),
        functions: file.function.into_iter().map(|table| resolver.function(table)).collect(),
        queries: file.query.into_iter().filter_map(|table| resolver.query(table)).collect(),
        queues: file.queue.into_iter().map(|table| resolver.queue(table)).collect(),
        mappings,
        apis: file.api.into_iter().map(|table| resolver.api(table)).collect(),
        namespaces: file.event_hubs_namespace.into_iter().map(|table| resolver.namespace(table)).collect(),
        hubs,
        buckets: file.blob_container.into_iter().map(|table| resolver.container(table)).collect(),
        databases: file.cosmos_database.into_iter().map(|table| resolver.database(table)).collect(),
        managed_services: file.api_management.into_iter().map(|table| resolver.managed_service(table)).collect(),
        message_topics: file.sns_topic.into_iter().map(|table| resolver.message_topic(table)).collect(),
        topics: file.event_grid_topic.into_iter().map(|table| resolver.topic(table)).collect(),
        plans: file.plans.into_iter().map(|entry| resolver.plan(entry)).collect(),
        api_keys: file.keys.into_iter().map(|entry| resolver.api_key(entry)).collect(),
        products: file.marketplace_product.into_iter().map(|table| resolver.product(table)).collect(),
        portal: file.portal.map(|table| resolver.portal(table)),
    };
    let (mut mistakes, unsure) = (resolver.mistakes, resolver.left_out.queries);
    mistakes.sort_by_key(|mistake| mistake.line);
    mistakes.dedup();
    Survey { pipeline: Some(pipeline), mistakes, unsure }
}

impl Resolver<'_> {
    /// Adds what is there already to what the file defines. The file's own hubs win over others of their names.
    fn know(&mut self, known: &Known) {
        self.streams.extend(known.streams.iter().cloned());
        self.delivery_streams.extend(known.delivery_streams.iter().cloned());
        self.tables.extend(known.tables.iter().cloned());
        self.functions.extend(known.functions.iter().cloned());
        self.roles.extend(known.roles.iter().cloned());
        self.queues.extend(known.queues.iter().cloned());
        self.topics.extend(known.topics.iter().cloned());
        self.apis.extend(known.apis.iter().cloned());
        self.plans.extend(known.plans.iter().cloned());
        for (name, stream) in &known.hubs {
            self.hubs.entry(name.clone()).or_insert_with(|| stream.clone());
        }
        self.on_node = *known != Known::default();
    }

    /// Adds what was left out for mistakes of its own: whoever refers to it is right.
    fn forgive(&mut self) {
        let left_out = &self.left_out;
        self.streams.extend(left_out.names("stream"));
        self.delivery_streams.extend(left_out.names("delivery_stream"));
        self.tables.extend(left_out.names("table"));
        self.functions.extend(left_out.names("function"));
        self.roles.extend(left_out.names("role"));
        self.queues.extend(left_out.names("queue"));
        self.topics.extend(left_out.names("sns_topic"));
        self.apis.extend(left_out.names("api"));
        self.plans.extend(left_out.names("plans"));
        for hub in left_out.names("event_hub") {
            self.hubs.entry(hub.clone()).or_insert(hub);
        }
    }

    pub(super) fn wrong(&mut self, line: usize, message: String, hint: impl Into<String>) {
        let mistake = self.source.mistake(line, message, hint);
        self.mistakes.push(mistake);
    }

    pub(super) fn line<T>(&self, spanned: &Spanned<T>) -> usize {
        self.source.line(&spanned.span())
    }

    /// The names of one kind; those that repeat or hold other characters than the services take are mistakes.
    pub(super) fn unique<'n>(&mut self, kind: &str, names: impl Iterator<Item = &'n Spanned<String>>) -> Names {
        let mut seen = Names::new();
        for name in names {
            self.named(kind, name);
            if !seen.insert(name.get_ref().clone()) {
                let line = self.line(name);
                self.wrong(line, format!("a second {kind} `{}`", name.get_ref()), "give it another name or remove it");
            }
        }
        seen
    }

    /// Checks that something of a kind can have a name.
    fn named(&mut self, kind: &str, name: &Spanned<String>) {
        if let Some(expected) = NameRule::of(kind).broken_by(name.get_ref()) {
            let line = self.line(name);
            self.wrong(line, format!("expected {expected} for a {kind}, found `{}`", name.get_ref()), "rename it");
        }
    }

    /// Checks that a name is defined in the file.
    pub(super) fn refers(&mut self, kind: &str, names: &Names, name: &Spanned<String>) {
        if names.contains(name.get_ref()) {
            return;
        }
        let line = self.line(name);
        let hint = match nearest(name.get_ref(), names.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("define it: [[{}]] with name = \"{}\"", kind.replace(' ', "_"), name.get_ref()),
        };
        let place = self.place();
        self.wrong(line, format!("there is no {kind} `{}` {place}", name.get_ref()), hint);
    }

    /// Where names are looked for.
    pub(super) fn place(&self) -> &'static str {
        if self.on_node { "in this file or on the node" } else { "in this file" }
    }

    pub(super) fn locate<T>(&self, value: T, span: &std::ops::Range<usize>) -> Located<T> {
        self.source.locate(value, span)
    }

    pub(super) fn range(&mut self, line: usize, what: &str, found: u64, (low, high): (u64, u64)) {
        if found < low || found > high {
            let nearest = found.clamp(low, high);
            let hint = format!("the nearest possible is {nearest}");
            self.wrong(line, format!("expected {what} from {low} to {high}, found {found}"), hint);
        }
    }

    fn stream(&mut self, table: StreamTable) -> Located<StreamSpec> {
        let line = self.line(&table.name);
        let shards = self.number("shards", table.shards, 1, (1, 500));
        let retention_hours = self.number("retention_hours", table.retention_hours, 24, STREAM_HOURS);
        let retention_bytes = self.within("retention_bytes", table.retention_bytes.as_ref(), RETENTION_BYTES);
        let name = table.name.into_inner();
        Located { value: StreamSpec { name, shards, retention_hours, retention_bytes }, line }
    }

    fn delivery_stream(&mut self, table: DeliveryStreamTable) -> Located<DeliveryStreamSpec> {
        let line = self.line(&table.name);
        self.named("bucket", &table.bucket);
        let buffer_mib = self.number("buffer_mib", table.buffer_mib, 5, (1, 128));
        let buffer_seconds = self.number("buffer_seconds", table.buffer_seconds, 300, (0, 900));
        if let Some(source) = &table.source_stream {
            let streams = self.streams.clone();
            self.refers("stream", &streams, source);
        }
        let destination = ObjectDestination {
            bucket: table.bucket.into_inner(),
            prefix: table.prefix,
            buffer_bytes: buffer_mib << 20,
            buffer_seconds,
            compression: if table.gzip { Compression::Gzip } else { Compression::None },
            ..ObjectDestination::default()
        };
        let source = table.source_stream.map(Spanned::into_inner);
        Located { value: DeliveryStreamSpec { name: table.name.into_inner(), source, destination }, line }
    }

    fn query(&mut self, table: QueryTable) -> Option<Located<QuerySpec>> {
        let line = self.line(&table.name);
        let sql = match (table.sql, table.sql_file) {
            (Some(text), None) => {
                let line = self.source.text_line(&text.span());
                SqlText::Inline { text: text.into_inner(), line }
            }
            (None, Some(file)) => {
                let span = file.span();
                SqlText::File(self.source.locate(file.into_inner().into(), &span))
            }
            (None, None) if table.stopped => SqlText::Inline { text: String::new(), line },
            (None, None) | (Some(_), Some(_)) => {
                let hint = "sql holds the text, sql_file names a file with it; stopped = true leaves it for later";
                self.wrong(line, "expected exactly one of `sql` and `sql_file`".to_owned(), hint);
                return None;
            }
        };
        if table.input.is_empty() && !table.stopped {
            self.wrong(line, "a query needs an input".to_owned(), "add [[query.input]] with a name and a stream");
        }
        let defaults = EventOrder::default();
        let given = table.input.len();
        let (mut inputs, mut references) = (Vec::new(), Vec::new());
        for mut input in table.input {
            match input.blob.take() {
                Some(blob) => references.extend(self.reference(input, blob)),
                None => inputs.extend(self.input(input)),
            }
        }
        if let (DialectName::Kinesis, Some(function)) = (table.dialect, table.function.first()) {
            let line = self.line(&function.name);
            let message = "functions of a query's own are of Stream Analytics' language only".to_owned();
            self.wrong(line, message, "leave them out, or dialect = \"stream-analytics\"");
        }
        let functions_given = table.function.len();
        let functions: Vec<_> = table.function.into_iter().filter_map(|given| self.query_function(given)).collect();
        if inputs.len() + references.len() < given || functions.len() < functions_given {
            self.left_out.queries.insert(table.name.get_ref().clone());
        }
        let value = QuerySpec {
            name: table.name.into_inner(),
            dialect: match table.dialect {
                DialectName::Kinesis => QueryDialect::Kinesis,
                DialectName::StreamAnalytics => QueryDialect::StreamAnalytics,
                DialectName::Standard => QueryDialect::Standard,
            },
            sql,
            inputs,
            references,
            functions,
            outputs: table.output.into_iter().filter_map(|output| self.output(output)).collect(),
            start_at: match table.start_at {
                StartName::Latest => StartAt::Latest,
                StartName::TrimHorizon => StartAt::TrimHorizon,
            },
            event_order: EventOrder {
                late_tolerance_ms: match table.late_tolerance_seconds {
                    None => defaults.late_tolerance_ms,
                    Some(seconds) => self.late_tolerance(&seconds),
                },
                out_of_order_tolerance_ms: table
                    .out_of_order_tolerance_seconds
                    .map_or(defaults.out_of_order_tolerance_ms, |seconds| i64::from(seconds) * 1_000),
                policy: match table.out_of_tolerance {
                    ToleranceName::Adjust => OrderPolicy::Adjust,
                    ToleranceName::Drop => OrderPolicy::Drop,
                },
            },
            parallelism: table.streaming_units,
            stopped: table.stopped,
        };
        Some(Located { value, line })
    }

    /// An input; `None` when its columns or its stream cannot be told.
    fn input(&mut self, table: InputTable) -> Option<Located<InputSpec>> {
        let line = self.line(&table.name);
        let stream = self.one_stream(line, table.stream, table.delivery_stream, table.event_hub)?;
        let columns = self.columns(table.columns)?;
        let value = InputSpec { name: table.name.into_inner(), stream, format: format(table.csv), columns };
        Some(Located { value, line })
    }

    /// Reference data; `None` when their columns or their place cannot be told.
    fn reference(&mut self, table: InputTable, blob: ReferenceTable) -> Option<ReferenceInput> {
        let line = self.line(&table.name);
        if table.stream.is_some() || table.delivery_stream.is_some() || table.event_hub.is_some() {
            let message = "expected either a stream or a blob of reference data".to_owned();
            self.wrong(line, message, "an input of its own for each of them");
            return None;
        }
        let key = blob.path.trim_start_matches('/').to_owned();
        if key.is_empty() || blob.container.is_empty() {
            let message = format!("expected the container and the path of a blob, found `{}`", blob.path);
            self.wrong(line, message, "blob = { container = \"tables\", path = \"limits.csv\" }");
            return None;
        }
        let versions = key
            .contains('{')
            .then_some(ReferenceVersions { date_format: blob.date_format, time_format: blob.time_format });
        let columns = self.columns(table.columns)?;
        let (name, bucket, format) = (table.name.into_inner(), blob.container, format(table.csv));
        Some(ReferenceInput { name, bucket, key, versions, format, columns, role: String::new() })
    }

    /// The columns of an input; `None` when the type of one is unknown.
    fn columns(&mut self, tables: Vec<ColumnTable>) -> Option<Vec<ColumnDefinition>> {
        let declared = tables.len();
        let columns: Vec<_> = tables
            .into_iter()
            .filter_map(|column| {
                let declared = column.column_type.get_ref().clone();
                let Some(column_type) = column_type(&declared) else {
                    let line = self.line(&column.column_type);
                    self.wrong(
                        line,
                        format!("column `{}` has the unknown type `{declared}`", column.name),
                        "use BIGINT, DOUBLE, VARCHAR(n), BOOLEAN or TIMESTAMP",
                    );
                    return None;
                };
                Some(ColumnDefinition {
                    name: column.name,
                    column_type,
                    mapping: column.path,
                    declared: Some(declared),
                })
            })
            .collect();
        (columns.len() == declared).then_some(columns)
    }

    /// The catalog's name of the one stream that an input or output names.
    pub(super) fn one_stream(
        &mut self,
        line: usize,
        stream: Option<Spanned<String>>,
        delivery_stream: Option<Spanned<String>>,
        event_hub: Option<Spanned<String>>,
    ) -> Option<String> {
        match (stream, delivery_stream, event_hub) {
            (Some(stream), None, None) => {
                let streams = self.streams.clone();
                self.refers("stream", &streams, &stream);
                Some(stream.into_inner())
            }
            (None, Some(delivery), None) => {
                let deliveries = self.delivery_streams.clone();
                self.refers("delivery stream", &deliveries, &delivery);
                Some(format!("delivery/{}", delivery.get_ref()))
            }
            (None, None, Some(hub)) => Some(self.hub_stream(&hub)),
            _ => {
                let expected = "expected exactly one of `stream`, `delivery_stream` and `event_hub`";
                self.wrong(line, expected.to_owned(), "name one: stream = \"NAME\"");
                None
            }
        }
    }

    fn api(&mut self, table: ApiTable) -> Located<ApiSpec> {
        let line = self.line(&table.name);
        let mut routes = Vec::new();
        let mut seen = BTreeMap::new();
        for route in table.route {
            let route = self.route(route);
            let RouteSpec { method, path, .. } = &route.value;
            if let Some(first) = seen.insert((method.clone(), path.clone()), route.line) {
                self.wrong(route.line, format!("{method} {path} is routed already on line {first}"), "keep one");
            }
            routes.push(route);
        }
        Located { value: ApiSpec { name: table.name.into_inner(), stage: table.stage, routes }, line }
    }

    fn route(&mut self, table: RouteTable) -> Located<RouteSpec> {
        let (line, path_line) = (self.line(&table.method), self.line(&table.path));
        let functions = self.functions.clone();
        self.refers("function", &functions, &table.function);
        let method = table.method.into_inner().to_uppercase();
        let path = table.path.into_inner();
        if !METHODS.contains(&method.as_str()) {
            let hint = format!("write one of {}", METHODS.join(", "));
            self.wrong(line, format!("expected an HTTP method or ANY, found `{method}`"), hint);
        }
        if !path.starts_with('/') {
            let message = format!("expected a path that begins with `/`, found `{path}`");
            self.wrong(path_line, message, format!("path = \"/{path}\""));
        }
        let value = RouteSpec {
            method,
            path,
            function: table.function.into_inner(),
            integration: table.integration,
            key_required: table.key_required,
        };
        Located { value, line }
    }
}

pub(super) fn format(csv: Option<String>) -> RecordFormat {
    csv.map_or(RecordFormat::Json, |delimiter| RecordFormat::Csv { delimiter })
}

/// The type that a declared type's text stands for, in either dialect's words: `VARCHAR(4)`, `INTEGER`, ….
#[must_use]
pub fn column_type(declared: &str) -> Option<ColumnType> {
    let name = declared.split('(').next().unwrap_or_default().trim().to_ascii_uppercase();
    Some(match name.as_str() {
        "TINYINT" | "SMALLINT" | "INT" | "INTEGER" | "BIGINT" => ColumnType::BigInt,
        "REAL" | "FLOAT" | "DOUBLE" | "DECIMAL" | "NUMERIC" => ColumnType::Double,
        "CHAR" | "VARCHAR" | "NVARCHAR" | "TEXT" | "STRING" => ColumnType::Text,
        "BOOLEAN" | "BIT" => ColumnType::Boolean,
        "TIMESTAMP" | "DATETIME" => ColumnType::Timestamp,
        "RECORD" | "ARRAY" | "ANY" => ColumnType::Value,
        _ => return None,
    })
}

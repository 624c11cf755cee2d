//! The forms of what every pipeline is made of: streams, delivery, tables, functions, queries, queues, APIs.

use super::{Entry, Field, Form, NAME, Part, number, optional, required};

const KEY_TYPES: Entry = Entry::Choice(&["string", "number", "binary"]);

pub(super) const FORMS: &[Form] =
    &[
        Form {
            kind: "stream",
            title: "Stream",
            about: "A durable log of records in shards, with Kinesis' protocol.",
            parts: &[Part {
                name: "",
                title: "",
                header: "[[stream]]",
                repeats: false,
                fields: &[
                    NAME,
                    number("shards", "Shards", "1"),
                    number("retention_hours", "Hours that records stay", "24"),
                    optional("retention_bytes", "Bytes that a shard keeps", "empty: no limit").entered(Entry::Number),
                ],
            }],
        },
        Form {
            kind: "delivery-stream",
            title: "Delivery stream",
            about: "Gathers records and writes them as objects, with Firehose's protocol.",
            parts: &[Part {
                name: "",
                title: "",
                header: "[[delivery_stream]]",
                repeats: false,
                fields: &[
                    NAME,
                    optional("source_stream", "Stream to read", "empty: records are put into it"),
                    required("bucket", "Bucket", ""),
                    optional("prefix", "Prefix of keys", "trades/!{timestamp:yyyy/MM/dd}/"),
                    number("buffer_mib", "MiB before an object is written", "5"),
                    number("buffer_seconds", "Seconds before an object is written", "300"),
                    optional("gzip", "Packed with gzip", "").entered(Entry::Switch),
                ],
            }],
        },
        Form {
            kind: "table",
            title: "Table",
            about: "Items under keys, with DynamoDB's protocol.",
            parts: &[
                Part {
                    name: "",
                    title: "",
                    header: "[[table]]",
                    repeats: false,
                    fields: &[
                        NAME,
                        required("hash_key.name", "Hash key", "the attribute's name"),
                        required("hash_key.type", "Type of the hash key", "").entered(KEY_TYPES).starting("string"),
                        optional("sort_key.name", "Sort key", "the attribute's name; empty: none"),
                        optional("sort_key.type", "Type of the sort key", "")
                            .entered(Entry::Choice(&["", "string", "number", "binary"])),
                        optional("changes", "Changes told as", "empty: changes are not told")
                            .entered(Entry::Choice(&["", "keys_only", "new_image", "old_image", "new_and_old_images"])),
                        number("capacity.reads", "Reads a second", ""),
                        number("capacity.writes", "Writes a second", ""),
                        optional("expiry", "Attribute of an item's end", "seconds since 1970; empty: items stay"),
                    ],
                },
                Part {
                    name: "index",
                    title: "Index",
                    header: "[[table.index]]",
                    repeats: true,
                    fields: &[
                        required("name", "Name", ""),
                        required("hash_key.name", "Hash key", "the attribute's name"),
                        required("hash_key.type", "Type of the hash key", "").entered(KEY_TYPES).starting("string"),
                        optional("sort_key.name", "Sort key", "the attribute's name; empty: none"),
                        optional("sort_key.type", "Type of the sort key", "")
                            .entered(Entry::Choice(&["", "string", "number", "binary"])),
                        optional("attributes", "Attributes that it holds", "with commas between them; empty: all")
                            .entered(Entry::Words),
                        optional("keys_only", "Or keys alone", "").entered(Entry::Switch),
                        optional("local", "Another order of the table's hash keys", "").entered(Entry::Switch),
                    ],
                },
            ],
        },
        Form {
            kind: "function",
            title: "Function",
            about: "A handler that acts on events, with Lambda's protocol.",
            parts: &[Part {
                name: "",
                title: "",
                header: "[[function]]",
                repeats: false,
                fields: &[
                    NAME,
                    required("runtime", "Runtime", "python3.12, nodejs20.x, provided.al2023").starting("python3.12"),
                    required("handler", "Handler", "FILE.FUNCTION").starting("index.handler"),
                    required("code", "Code", "").entered(Entry::Code),
                    optional("role", "Role", "whose rights it has; empty: it may do everything"),
                    number("timeout_seconds", "Longest run in seconds", "30"),
                    number("memory_mib", "Memory in MiB", "256"),
                    number("concurrency_limit", "At most so many at once", ""),
                    optional("environment", "Variables", "NAME=VALUE, one a line").entered(Entry::Pairs),
                    optional("dead_letter", "Dead letters go to", "a queue or topic; asynchronous invocations only"),
                    number("retries", "Retries of asynchronous invocations", "2"),
                    number("maximum_age_seconds", "Seconds until they are given up", "21600"),
                    optional("on_success", "Successes are told to", "a queue, topic or function"),
                    optional("on_failure", "Failures are told to", "a queue, topic or function"),
                ],
            }],
        },
        Form {
            kind: "query",
            title: "Query",
            about: "Continuous SQL over streams: a Stream Analytics job, or an application of Kinesis Analytics.",
            parts: &[
                Part {
                    name: "",
                    title: "",
                    header: "[[query]]",
                    repeats: false,
                    fields: &[
                        NAME,
                        required("dialect", "Language", "")
                            .entered(Entry::Choice(&["stream-analytics", "kinesis"]))
                            .starting("stream-analytics"),
                        optional("sql", "SQL", "").entered(Entry::Lines),
                        optional("stopped", "Only define it: it is started later, and can be filled in until then", "")
                            .entered(Entry::Switch),
                        number("streaming_units", "Streaming units", ""),
                        number("late_tolerance_seconds", "Seconds that events may be late", ""),
                        number("out_of_order_tolerance_seconds", "Seconds that events may be out of order", ""),
                        optional("out_of_tolerance", "Events beyond that", "")
                            .entered(Entry::Choice(&["", "adjust", "drop"])),
                        optional("start_at", "Begin with", "the oldest record, or what comes next")
                            .entered(Entry::Choice(&["", "trim-horizon", "latest"])),
                    ],
                },
                Part {
                    name: "input",
                    title: "Input",
                    header: "[[query.input]]",
                    repeats: true,
                    fields: &[
                        required("name", "Name in the SQL", ""),
                        optional("stream", "Stream", ""),
                        optional("delivery_stream", "Or delivery stream", ""),
                        optional("event_hub", "Or event hub", ""),
                        optional("blob.container", "Or container of reference data", ""),
                        optional("blob.path", "Its blob", "a table; {date} and {time} in it: versions"),
                        optional("blob.date_format", "How {date} is written", "yyyy/MM/dd"),
                        optional("blob.time_format", "How {time} is written", "HH"),
                        Field {
                            entry: Entry::Delimiter,
                            ..optional("csv", "Delimiter, when records are CSV", "empty: JSON; tab, space")
                        },
                        optional("columns", "Columns", "NAME TYPE, one a line; empty: found out from records")
                            .entered(Entry::Columns),
                    ],
                },
                Part { name: "output", title: "Output", header: "[[query.output]]", repeats: true, fields: OUTPUT },
            ],
        },
        Form {
            kind: "queue",
            title: "Queue",
            about: "Messages that one receiver at a time has, with the protocols of SQS and Azure's queues.",
            parts: &[Part {
                name: "",
                title: "",
                header: "[[queue]]",
                repeats: false,
                fields: &[
                    NAME,
                    number("visibility_seconds", "Seconds that a received message is hidden", ""),
                    number("retention_seconds", "Seconds that messages stay", ""),
                    optional("dead_letter", "Queue for messages that nobody could work on", ""),
                    number("max_receives", "Receives before that", ""),
                ],
            }],
        },
        Form {
            kind: "api",
            title: "HTTP API",
            about: "Routes that call functions, as API Gateway has them.",
            parts: &[
                Part {
                    name: "",
                    title: "",
                    header: "[[api]]",
                    repeats: false,
                    fields: &[NAME, optional("stage", "Stage", "").starting("prod")],
                },
                Part {
                    name: "route",
                    title: "Route",
                    header: "[[api.route]]",
                    repeats: true,
                    fields: &[
                        required("method", "Method", "POST, GET, ANY"),
                        required("path", "Path", "/orders/{id}"),
                        required("function", "Function", ""),
                        optional("integration", "How it is called", "with the body alone, or with the whole request")
                            .entered(Entry::Choice(&["", "plain", "proxy"])),
                        optional("key_required", "Callers need a key of a usage plan", "").entered(Entry::Switch),
                    ],
                },
            ],
        },
    ];

/// Where the rows of an `INTO` go: one of the targets is filled in, or none, when they are only kept.
const OUTPUT: &[Field] = &[
    required("name", "Name in the SQL", ""),
    optional("function", "Function", "one target; none: rows are kept in the query's own stream"),
    number("batch_rows", "Rows that the function gets at once", ""),
    number("batch_bytes", "Bytes that the function gets at once", ""),
    optional("stream", "Or stream", ""),
    optional("delivery_stream", "Or delivery stream", ""),
    optional("event_hub", "Or event hub", ""),
    optional("partition_key", "Column of the partition key", "of a stream or an event hub"),
    optional("property_columns", "Columns that become properties of events", "with commas between them")
        .entered(Entry::Words),
    optional("blob.container", "Or blob container", ""),
    optional("blob.path", "Path of blobs", "changes/{date}/{time}"),
    optional("blob.date_format", "How {date} is written", "yyyy/MM/dd"),
    optional("blob.time_format", "How {time} is written", "HH"),
    optional("blob.array", "JSON rows stand in an array", "").entered(Entry::Switch),
    number("blob.min_rows", "Rows that are written at once at least", ""),
    number("blob.max_seconds", "Seconds after which fewer are written", ""),
    optional("cosmos.database", "Or Cosmos database", ""),
    optional("cosmos.container", "Cosmos container", ""),
    optional("cosmos.document_id", "Column of the document's id", ""),
    optional("cosmos.partition_key", "Column of the partition key", ""),
    Field { entry: Entry::Delimiter, ..optional("csv", "Delimiter, for rows as CSV", "empty: JSON; tab, space") },
];

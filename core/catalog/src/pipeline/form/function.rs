//! The forms of what stands around functions: what feeds them, what they are told through, and what they and their callers may do.

use super::{Entry, Form, NAME, Part, number, optional, required};

/// How statements of a policy are written.
const STATEMENTS: &str = "sqs:SendMessage on arn:aws:sqs:*:*:dead\ndynamodb:PutItem, dynamodb:BatchWriteItem";

pub(super) const FORMS: &[Form] = &[
    Form {
        kind: "mapping",
        title: "Event source mapping",
        about: "Reads a stream, a queue or a table's changes in batches and runs a function for each.",
        parts: &[Part {
            name: "",
            title: "",
            header: "[[mapping]]",
            repeats: false,
            fields: &[
                required("function", "Function", ""),
                optional("stream", "Stream", "one source"),
                optional("table", "Or table", "its changes"),
                optional("queue", "Or queue", ""),
                optional("start_at", "Begin with", "").entered(Entry::Choice(&["", "trim-horizon", "latest"])),
                number("batch_size", "Records of a batch", ""),
                number("window_seconds", "Seconds that a batch is gathered", ""),
                number("parallelization", "Batches of one shard at once", ""),
                number("max_retries", "Retries of a batch", ""),
                number("max_record_age_seconds", "Seconds until records are given up", ""),
                optional("bisect", "Halve batches that fail", "").entered(Entry::Switch),
                optional("report_item_failures", "The function names what it could not do", "").entered(Entry::Switch),
                optional("filters", "Patterns of records, as JSON, one a line", "{\"data\": {\"symbol\": [\"A\"]}}")
                    .entered(Entry::Texts),
                optional("on_failure", "Queue that is told of batches which are given up", ""),
                number("tumbling_window_seconds", "Seconds of windows with a state", ""),
                number("max_concurrency", "Batches of a queue at once", ""),
            ],
        }],
    },
    Form {
        kind: "role",
        title: "Role",
        about: "Rights that a function has, or that somebody may take on.",
        parts: &[Part {
            name: "",
            title: "",
            header: "[[role]]",
            repeats: false,
            fields: &[
                NAME,
                optional("assumed_by", "Who may take it on", "services and ARNs; empty: functions")
                    .entered(Entry::Words),
                optional("attach", "Shared policies", "with commas between them").entered(Entry::Words),
                optional("allow", "What it may do, a statement a line", STATEMENTS).entered(Entry::Statements),
                optional("deny", "What it may not do, a statement a line", "").entered(Entry::Statements),
                optional("policy", "Or a whole policy, as JSON", "").entered(Entry::Lines),
            ],
        }],
    },
    Form {
        kind: "user",
        title: "User",
        about: "Somebody with keys of their own, which `millstream keys` shows.",
        parts: &[Part {
            name: "",
            title: "",
            header: "[[user]]",
            repeats: false,
            fields: &[
                NAME,
                optional("attach", "Shared policies", "with commas between them").entered(Entry::Words),
                optional("allow", "What it may do, a statement a line", STATEMENTS).entered(Entry::Statements),
                optional("deny", "What it may not do, a statement a line", "").entered(Entry::Statements),
                optional("policy", "Or a whole policy, as JSON", "").entered(Entry::Lines),
            ],
        }],
    },
    Form {
        kind: "sns-topic",
        title: "Topic of messages",
        about: "Messages to queues, functions and addresses, with SNS' protocol. One that is there gets the subscriptions that it lacks.",
        parts: &[
            Part {
                name: "",
                title: "",
                header: "[[sns_topic]]",
                repeats: false,
                fields: &[NAME, optional("display_name", "Name for people", "")],
            },
            Part {
                name: "subscription",
                title: "Subscription",
                header: "[[sns_topic.subscription]]",
                repeats: true,
                fields: &[
                    optional("queue", "Queue", "one target"),
                    optional("function", "Or function", ""),
                    optional("url", "Or address", "http or https"),
                    optional("raw", "Messages as they are, without an envelope", "").entered(Entry::Switch),
                    optional("filter", "Filter policy, as JSON", "").entered(Entry::Lines),
                    optional("filter_scope", "What it looks at", "").entered(Entry::Choice(&[
                        "",
                        "attributes",
                        "body",
                    ])),
                    optional("dead_letter", "Queue for what cannot be delivered", ""),
                ],
            },
        ],
    },
];

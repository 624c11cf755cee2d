//! The forms of what Azure's services have: hubs, containers, databases, topics, managed APIs.

use super::{Entry, Field, Form, NAME, Part, number, optional, required};

/// A shared access policy.
const POLICY: &[Field] = &[
    required("name", "Name", ""),
    required("rights", "Rights", "send, listen or both, or all three with manage").entered(Entry::Words),
];

/// Policies of what `header` stands under: a namespace or a hub.
const fn policies(header: &'static str) -> Part {
    Part { name: "policy", title: "Shared access policy", header, repeats: true, fields: POLICY }
}

/// How conditions on events are written.
const CONDITIONS: &str = "data.color StringIn red, blue\ndata.power NumberGreaterThan 5\ndata.share NumberInRange [1, 5], \
                          [7, 9]\ndata.user IsNotNull";

pub(super) const FORMS: &[Form] = &[
    Form {
        kind: "event-hubs-namespace",
        title: "Event Hubs namespace",
        about: "Hubs under one name, with limits and policies. One that is there gets the units and the policies.",
        parts: &[
            Part {
                name: "",
                title: "",
                header: "[[event_hubs_namespace]]",
                repeats: false,
                fields: &[
                    NAME,
                    optional("throughput_units", "Throughput units", "1 to 40; empty: as it is, 0: no limit")
                        .entered(Entry::Number),
                    optional(
                        "maximum_throughput_units",
                        "Units that it may grow to by itself",
                        "empty: it does not grow",
                    )
                    .entered(Entry::Number),
                ],
            },
            policies("[[event_hubs_namespace.policy]]"),
        ],
    },
    Form {
        kind: "event-hub",
        title: "Event hub",
        about: "A stream in a namespace, with Event Hubs' protocol. A namespace that is not there is made.",
        parts: &[
            Part {
                name: "",
                title: "",
                header: "[[event_hub]]",
                repeats: false,
                fields: &[
                    NAME,
                    optional("namespace", "Namespace", "empty: default"),
                    number("partitions", "Partitions", "4"),
                    number("retention_hours", "Hours that events stay", "24"),
                    optional("retention_bytes", "Bytes that a partition keeps", "empty: no limit")
                        .entered(Entry::Number),
                    optional("consumer_groups", "Consumer groups", "besides $Default, with commas between them")
                        .entered(Entry::Words),
                ],
            },
            policies("[[event_hub.policy]]"),
        ],
    },
    Form {
        kind: "blob-container",
        title: "Blob container",
        about: "A bucket of objects, with Blob Storage's protocol.",
        parts: &[Part { name: "", title: "", header: "[[blob_container]]", repeats: false, fields: &[NAME] }],
    },
    Form {
        kind: "cosmos-database",
        title: "Cosmos database",
        about: "Containers of JSON documents, with Cosmos DB's protocol. One that is there gets the containers that it lacks.",
        parts: &[
            Part { name: "", title: "", header: "[[cosmos_database]]", repeats: false, fields: &[NAME] },
            Part {
                name: "container",
                title: "Container",
                header: "[[cosmos_database.container]]",
                repeats: true,
                fields: &[required("name", "Name", ""), required("partition_key", "Partition key", "/symbol")],
            },
        ],
    },
    Form {
        kind: "event-grid-topic",
        title: "Event Grid topic",
        about: "Where events are published, and who gets them. One that is there gets the subscriptions that it lacks.",
        parts: &[
            Part {
                name: "",
                title: "",
                header: "[[event_grid_topic]]",
                repeats: false,
                fields: &[
                    NAME,
                    optional("schema", "Form of events", "").entered(Entry::Choice(&[
                        "",
                        "event-grid",
                        "cloud-events",
                    ])),
                ],
            },
            Part {
                name: "subscription",
                title: "Subscription",
                header: "[[event_grid_topic.subscription]]",
                repeats: true,
                fields: &[
                    required("name", "Name", ""),
                    optional("webhook", "Webhook", "its address"),
                    optional("event_hub", "Or event hub", ""),
                    optional("function", "Or function", ""),
                    optional("queue", "Or queue", ""),
                    optional("event_types", "Types of events", "with commas between them; empty: all")
                        .entered(Entry::Words),
                    optional("subject_begins_with", "Subject begins with", ""),
                    optional("subject_ends_with", "Subject ends with", ""),
                    optional("case_sensitive", "Subjects are compared letter by letter", "").entered(Entry::Switch),
                    optional("filters", "Conditions, one a line", CONDITIONS).entered(Entry::Conditions),
                    optional("arrays", "Conditions look into arrays", "").entered(Entry::Switch),
                    optional("delivery_schema", "Form of deliveries", "").entered(Entry::Choice(&[
                        "",
                        "event-grid",
                        "cloud-events",
                        "custom-input",
                    ])),
                    number("max_events", "Events that one delivery may hold", ""),
                    number("preferred_kib", "KiB that one delivery should hold", ""),
                    number("max_attempts", "Attempts", ""),
                    number("ttl_minutes", "Minutes that a delivery is tried", ""),
                    optional("expires", "Ends at", "such as 2026-12-31T00:00:00Z; empty: when it is removed"),
                    optional("dead_letter.container", "Blob container for what cannot be delivered", ""),
                    optional("dead_letter.prefix", "What its blobs' names begin with", ""),
                ],
            },
        ],
    },
    Form {
        kind: "api-management",
        title: "API Management",
        about: "An API in front of a backend, with policies and what they name, and a product with keys. A service that is there gets all of it.",
        parts: &[
            Part {
                name: "",
                title: "",
                header: "[[api_management]]",
                repeats: false,
                fields: &[required("name", "Service", "")],
            },
            Part {
                name: "named_value",
                title: "Named value",
                header: "[[api_management.named_value]]",
                repeats: true,
                fields: &[
                    required("name", "Name", "policies write {{NAME}}"),
                    required("value", "Value", "${endpoint} is this node's address"),
                    optional("secret", "Shown only to who asks for it", "").entered(Entry::Switch),
                ],
            },
            Part {
                name: "backend",
                title: "Backend",
                header: "[[api_management.backend]]",
                repeats: true,
                fields: &[
                    required("name", "Name", "policies write backend-id=\"NAME\""),
                    required("url", "Address", "${endpoint} is this node's"),
                ],
            },
            Part {
                name: "api",
                title: "API",
                header: "[[api_management.api]]",
                repeats: false,
                fields: &[
                    required("name", "Name", ""),
                    required("path", "Path", "orders"),
                    optional("service_url", "Backend", "an address; ${endpoint} is this node's"),
                    optional("policy", "Policies of the API", "").entered(Entry::Lines),
                ],
            },
            Part {
                name: "operation",
                title: "Operation",
                header: "[[api_management.api.operation]]",
                repeats: true,
                fields: &[
                    required("name", "Name", ""),
                    required("method", "Method", "POST"),
                    required("template", "Path behind the API's", "/orders/{id}"),
                    optional("policy", "Policies of the operation", "").entered(Entry::Lines),
                ],
            },
            Part {
                name: "product",
                title: "Product",
                header: "[[api_management.product]]",
                repeats: true,
                fields: &[
                    required("name", "Name", ""),
                    required("apis", "APIs", "with commas between them").entered(Entry::Words),
                    optional("policy", "Policies of the product", "").entered(Entry::Lines),
                    optional("subscriptions", "Subscriptions", "with commas between them; each gets two keys")
                        .entered(Entry::Words),
                ],
            },
        ],
    },
];

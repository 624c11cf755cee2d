//! The forms of what APIs are sold with: usage plans, their keys, the developer portal, products of the marketplace.

use super::{Entry, Form, NAME, Part, number, optional, required};

pub(super) const FORMS: &[Form] = &[
    Form {
        kind: "usage-plan",
        title: "Usage plan",
        about: "Which APIs its keys open, how fast and how often.",
        parts: &[Part {
            name: "",
            title: "",
            header: "[plans.{name}]",
            repeats: false,
            fields: &[
                NAME,
                optional("description", "For people", ""),
                optional("apis", "APIs", "with commas between them").entered(Entry::Words),
                optional("rate", "Calls a second for long", "empty: no limit").entered(Entry::Decimal),
                number("burst", "Calls at once after a pause", ""),
                number("quota", "Calls of a period", ""),
                optional("quota_period", "Period", "").entered(Entry::Choice(&["", "day", "week", "month"])),
                optional("product_code", "Product at the marketplace", ""),
            ],
        }],
    },
    Form {
        kind: "api-key",
        title: "API key",
        about: "What a caller of an API sends; it belongs to usage plans.",
        parts: &[Part {
            name: "",
            title: "",
            header: "[keys.{name}]",
            repeats: false,
            fields: &[
                NAME,
                required("plans", "Usage plans", "with commas between them").entered(Entry::Words),
                optional("value", "Value", "20 to 128 characters; empty: made here"),
                optional("customer", "Customer at the marketplace", ""),
            ],
        }],
    },
    Form {
        kind: "portal",
        title: "Developer portal",
        about: "How it presents itself, the APIs that it publishes and the plans that it offers. What is said is added or changed, the rest stays.",
        parts: &[
            Part {
                name: "",
                title: "",
                header: "[portal]",
                repeats: false,
                fields: &[
                    required("title", "Title", ""),
                    optional("introduction", "Introduction", "").entered(Entry::Lines),
                    optional("currency", "Currency", "EUR"),
                    optional("approval", "You agree to each subscription", "").entered(Entry::Switch),
                ],
            },
            Part {
                name: "api",
                title: "API",
                header: "[portal.apis.{name}]",
                repeats: true,
                fields: &[
                    required("name", "Name in the portal", ""),
                    optional("api", "API", "empty: the one of that name"),
                ],
            },
            Part {
                name: "plan",
                title: "Plan",
                header: "[portal.plans.{name}]",
                repeats: true,
                fields: &[
                    required("name", "Usage plan", ""),
                    optional("price_a_month", "Price of a month", "29.90"),
                    optional("price_a_call", "Price of a call", "0.001"),
                    number("included_calls", "Calls of a month that cost nothing more", ""),
                    optional("approval", "You agree to each subscription", "").entered(Entry::Switch),
                ],
            },
        ],
    },
    Form {
        kind: "marketplace-product",
        title: "Product at the marketplace",
        about: "What usage is metered and sold as; a usage plan names its code.",
        parts: &[Part {
            name: "",
            title: "",
            header: "[[marketplace_product]]",
            repeats: false,
            fields: &[
                required("code", "Product code", ""),
                optional("dimensions", "Dimensions", "besides apigateway, with commas between them")
                    .entered(Entry::Words),
                optional("topic", "Topic that is told of customers who come and go", ""),
            ],
        }],
    },
];

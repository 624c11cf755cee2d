//! What a pipeline file says of event subscriptions, in Event Grid's words: where events go, which, in what form, and what
//! becomes of those that nobody takes.

use std::collections::BTreeMap;

use millstream_types::Millis;
use millstream_types::time::from_rfc3339;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::Spanned;

use super::resolve::Resolver;
use super::source::{Located, nearest};
use crate::definition::{
    DeadLetterTarget, EventBatching, EventEndpoint, EventFilter, EventRetry, EventSchema, FieldCondition, FieldTest,
};

/// Every operator of a condition, as the service names it.
const OPERATORS: [&str; 19] = [
    "StringIn",
    "StringNotIn",
    "StringContains",
    "StringNotContains",
    "StringBeginsWith",
    "StringNotBeginsWith",
    "StringEndsWith",
    "StringNotEndsWith",
    "NumberIn",
    "NumberNotIn",
    "NumberLessThan",
    "NumberLessThanOrEquals",
    "NumberGreaterThan",
    "NumberGreaterThanOrEquals",
    "NumberInRange",
    "NumberNotInRange",
    "BoolEquals",
    "IsNullOrUndefined",
    "IsNotNull",
];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SubscriptionTable {
    name: Spanned<String>,
    webhook: Option<String>,
    event_hub: Option<Spanned<String>>,
    function: Option<Spanned<String>>,
    queue: Option<Spanned<String>>,
    #[serde(default)]
    event_types: Vec<String>,
    #[serde(default)]
    subject_begins_with: String,
    #[serde(default)]
    subject_ends_with: String,
    /// Whether the two look at upper and lower case.
    #[serde(default)]
    case_sensitive: bool,
    /// Fields that must hold one of the texts: conditions with `StringIn`, written shortly.
    #[serde(default)]
    fields: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    filters: Vec<Spanned<ConditionTable>>,
    /// Whether conditions look into arrays.
    #[serde(default)]
    arrays: bool,
    /// The form of deliveries; that of the topic without it.
    delivery_schema: Option<DeliverySchema>,
    max_attempts: Option<u32>,
    ttl_minutes: Option<u32>,
    /// Events that one delivery may hold.
    max_events: Option<u32>,
    /// A delivery is closed when it is as large, KiB.
    preferred_kib: Option<u32>,
    /// When the subscription ends, RFC 3339.
    expires: Option<Spanned<String>>,
    dead_letter: Option<DeadLetterTable>,
}

/// What has to hold of a field of an event.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConditionTable {
    key: String,
    operator: String,
    value: Option<toml::Value>,
    values: Option<Vec<toml::Value>>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum DeliverySchema {
    EventGrid,
    CloudEvents,
    /// As it was published.
    CustomInput,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeadLetterTable {
    container: String,
    #[serde(default)]
    prefix: String,
}

/// An event subscription to be.
#[derive(Debug, Clone, PartialEq)]
pub struct EventSubscriptionSpec {
    /// Its name in its topic.
    pub name: String,
    /// Where events go.
    pub endpoint: EventEndpoint,
    /// Which events.
    pub filter: EventFilter,
    /// The form of deliveries; `None`: that of the topic.
    pub delivery_schema: Option<EventSchema>,
    /// Whether events are delivered as they were published.
    pub raw: bool,
    /// How often and how long a delivery is tried.
    pub retry: EventRetry,
    /// How many events one delivery may hold.
    pub batching: EventBatching,
    /// Where undeliverable events go.
    pub dead_letter: Option<DeadLetterTarget>,
    /// When it ends; `None`: when it is removed.
    pub expires: Option<Millis>,
}

impl Resolver<'_> {
    pub(super) fn subscription(&mut self, table: SubscriptionTable) -> Option<Located<EventSubscriptionSpec>> {
        let line = self.line(&table.name);
        let (retry, batching) = self.delivery(line, &table);
        let filter = EventFilter {
            event_types: table.event_types,
            subject_begins_with: table.subject_begins_with,
            subject_ends_with: table.subject_ends_with,
            subject_case_sensitive: table.case_sensitive,
            arrays: table.arrays,
            conditions: self.conditions(table.fields, table.filters),
            pattern: None,
        };
        let endpoint = self.endpoint(line, table.webhook, table.event_hub, table.function, table.queue)?;
        let dead_letter =
            table.dead_letter.map(|target| DeadLetterTarget { bucket: target.container, prefix: target.prefix });
        let expires = table.expires.and_then(|text| self.time("expires", &text));
        let value = EventSubscriptionSpec {
            name: table.name.into_inner(),
            endpoint,
            filter,
            delivery_schema: table.delivery_schema.map(|schema| match schema {
                DeliverySchema::EventGrid | DeliverySchema::CustomInput => EventSchema::EventGrid,
                DeliverySchema::CloudEvents => EventSchema::CloudEvents,
            }),
            raw: matches!(table.delivery_schema, Some(DeliverySchema::CustomInput)),
            retry,
            batching,
            dead_letter,
            expires,
        };
        Some(Located { value, line })
    }

    /// The time that a field names; what names none is a mistake.
    fn time(&mut self, field: &str, text: &Spanned<String>) -> Option<Millis> {
        let time = from_rfc3339(text.get_ref());
        if time.is_none() {
            let message = format!("expected a time for `{field}`, found `{}`", text.get_ref());
            self.wrong(self.line(text), message, "write it as 2026-12-31T00:00:00Z");
        }
        time
    }

    fn delivery(&mut self, line: usize, table: &SubscriptionTable) -> (EventRetry, EventBatching) {
        let (usual, alone) = (EventRetry::default(), EventBatching::default());
        let retry = EventRetry {
            attempts_max: table.max_attempts.unwrap_or(usual.attempts_max),
            ttl_minutes: table.ttl_minutes.unwrap_or(usual.ttl_minutes),
        };
        let batching = EventBatching {
            events_max: table.max_events.unwrap_or(alone.events_max),
            preferred_kib: table.preferred_kib.unwrap_or(alone.preferred_kib),
        };
        self.range(line, "max_attempts", retry.attempts_max.into(), (1, 30));
        self.range(line, "ttl_minutes", retry.ttl_minutes.into(), (1, 1_440));
        self.range(line, "max_events", batching.events_max.into(), (1, 5_000));
        self.range(line, "preferred_kib", batching.preferred_kib.into(), (1, 1_024));
        let single = table.event_hub.is_some() || table.queue.is_some();
        if single && (table.max_events.is_some() || table.preferred_kib.is_some()) {
            let message = "`max_events` and `preferred_kib` say something of webhooks and functions only";
            self.wrong(line, message.to_owned(), "remove them");
        }
        (retry, batching)
    }

    fn endpoint(
        &mut self,
        line: usize,
        webhook: Option<String>,
        event_hub: Option<Spanned<String>>,
        function: Option<Spanned<String>>,
        queue: Option<Spanned<String>>,
    ) -> Option<EventEndpoint> {
        match (webhook, event_hub, function, queue) {
            (Some(url), None, None, None) => Some(EventEndpoint::Webhook { url }),
            (None, Some(hub), None, None) => Some(EventEndpoint::Stream { name: self.hub_stream(&hub) }),
            (None, None, Some(function), None) => {
                let functions = self.functions.clone();
                self.refers("function", &functions, &function);
                Some(EventEndpoint::Function { name: function.into_inner() })
            }
            (None, None, None, Some(queue)) => {
                let queues = self.queues.clone();
                self.refers("queue", &queues, &queue);
                Some(EventEndpoint::Queue { name: queue.into_inner() })
            }
            _ => {
                let expected = "expected exactly one of `webhook`, `event_hub`, `function` and `queue`";
                self.wrong(line, expected.to_owned(), "name one: queue = \"NAME\"");
                None
            }
        }
    }

    fn conditions(
        &mut self,
        fields: BTreeMap<String, Vec<String>>,
        tables: Vec<Spanned<ConditionTable>>,
    ) -> Vec<FieldCondition> {
        let short = |(key, texts): (String, Vec<String>)| FieldCondition { key, test: FieldTest::StringIn(texts) };
        let mut conditions: Vec<FieldCondition> = fields.into_iter().map(short).collect();
        for table in tables {
            let line = self.line(&table);
            let ConditionTable { key, operator, value, values } = table.into_inner();
            match test(&operator, value, values) {
                Ok(test) => conditions.push(FieldCondition { key, test }),
                Err(message) => {
                    let near = nearest(&operator, OPERATORS).filter(|near| *near != operator);
                    let usual = "write { key = \"data.color\", operator = \"StringIn\", values = [\"red\"] }";
                    let hint = near.map_or_else(|| usual.to_owned(), |near| format!("did you mean `{near}`?"));
                    self.wrong(line, format!("the condition on `{key}`: {message}"), hint);
                }
            }
        }
        conditions
    }
}

/// What an operator asks of a field.
fn test(operator: &str, value: Option<toml::Value>, values: Option<Vec<toml::Value>>) -> Result<FieldTest, String> {
    use FieldTest as Test;
    let given = Given { operator, value, values };
    Ok(match operator {
        "StringIn" => Test::StringIn(given.several()?),
        "StringNotIn" => Test::StringNotIn(given.several()?),
        "StringContains" => Test::StringContains(given.several()?),
        "StringNotContains" => Test::StringNotContains(given.several()?),
        "StringBeginsWith" => Test::StringBeginsWith(given.several()?),
        "StringNotBeginsWith" => Test::StringNotBeginsWith(given.several()?),
        "StringEndsWith" => Test::StringEndsWith(given.several()?),
        "StringNotEndsWith" => Test::StringNotEndsWith(given.several()?),
        "NumberIn" => Test::NumberIn(given.several()?),
        "NumberNotIn" => Test::NumberNotIn(given.several()?),
        "NumberLessThan" => Test::NumberLessThan(given.one()?),
        "NumberLessThanOrEquals" => Test::NumberLessThanOrEquals(given.one()?),
        "NumberGreaterThan" => Test::NumberGreaterThan(given.one()?),
        "NumberGreaterThanOrEquals" => Test::NumberGreaterThanOrEquals(given.one()?),
        "NumberInRange" => Test::NumberInRange(given.several()?),
        "NumberNotInRange" => Test::NumberNotInRange(given.several()?),
        "BoolEquals" => Test::BoolEquals(given.one()?),
        "IsNullOrUndefined" => given.none().map(|()| Test::IsNullOrUndefined)?,
        "IsNotNull" => given.none().map(|()| Test::IsNotNull)?,
        other => return Err(format!("there is no operator `{other}`")),
    })
}

/// What a condition says besides its operator.
struct Given<'o> {
    operator: &'o str,
    value: Option<toml::Value>,
    values: Option<Vec<toml::Value>>,
}

impl Given<'_> {
    fn one<T: DeserializeOwned>(self) -> Result<T, String> {
        let Self { operator, value, values } = self;
        match (value, values) {
            (Some(value), None) => value.try_into().map_err(|error| wrong(operator, &error)),
            _ => Err(format!("expected `value` with {operator}")),
        }
    }

    /// At least one; a single `value` stands for a list of it.
    fn several<T: DeserializeOwned>(self) -> Result<Vec<T>, String> {
        let Self { operator, value, values } = self;
        let values = match (value, values) {
            (None, Some(values)) if !values.is_empty() => values,
            (Some(value), None) => vec![value],
            _ => return Err(format!("expected `values` with {operator}")),
        };
        toml::Value::Array(values).try_into().map_err(|error| wrong(operator, &error))
    }

    fn none(self) -> Result<(), String> {
        match (self.value, self.values) {
            (None, None) => Ok(()),
            _ => Err(format!("{} takes no value", self.operator)),
        }
    }
}

fn wrong(operator: &str, error: &toml::de::Error) -> String {
    format!("{operator}: {}", error.message().trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::Pipeline;

    fn of(lines: &str) -> Result<EventSubscriptionSpec, String> {
        let text = format!(
            "[[event_grid_topic]]\nname = \"topic\"\n[[event_grid_topic.subscription]]\nname = \"s\"\n\
             webhook = \"http://localhost/\"\n{lines}\n"
        );
        let pipeline = Pipeline::parse("p", &text).map_err(|mistakes| mistakes[0].to_string())?;
        Ok(pipeline.topics[0].value.subscriptions[0].value.clone())
    }

    #[test]
    fn every_operator_can_be_written() {
        for operator in OPERATORS {
            let value = match operator {
                "IsNullOrUndefined" | "IsNotNull" => "",
                "BoolEquals" => ", value = true",
                "NumberIn" | "NumberNotIn" => ", values = [1, 2.5]",
                "NumberInRange" | "NumberNotInRange" => ", values = [[1, 2.5], [7, 9]]",
                other if other.starts_with("Number") => ", value = 5",
                _ => ", values = [\"a\", \"b\"]",
            };
            let found = of(&format!("filters = [{{ key = \"data.x\", operator = \"{operator}\"{value} }}]"));
            let test = format!("{:?}", found.unwrap().filter.conditions[0].test);
            assert!(test.starts_with(operator), "{test}");
        }
    }

    #[test]
    fn what_a_condition_lacks_is_told() {
        for (condition, said) in [
            ("operator = \"StringInn\", values = [\"a\"]", "did you mean `StringIn`?"),
            ("operator = \"StringIn\"", "expected `values` with StringIn"),
            ("operator = \"NumberLessThan\", value = \"a\"", "NumberLessThan: invalid type"),
            ("operator = \"IsNotNull\", value = 1", "IsNotNull takes no value"),
        ] {
            let told = of(&format!("filters = [{{ key = \"data.x\", {condition} }}]")).unwrap_err();
            assert!(told.contains(said), "{condition}: {told}");
        }
    }

    #[test]
    fn deliveries_are_described() {
        let found =
            of("delivery_schema = \"cloud-events\"\nmax_events = 10\npreferred_kib = 128\ncase_sensitive = true\n\
                        dead_letter = { container = \"dead\", prefix = \"x\" }");
        let found = found.unwrap();
        assert_eq!((found.delivery_schema, found.raw), (Some(EventSchema::CloudEvents), false));
        assert_eq!(found.batching, EventBatching { events_max: 10, preferred_kib: 128 });
        assert!(found.filter.subject_case_sensitive);
        assert!(of("delivery_schema = \"custom-input\"").unwrap().raw);
        assert!(of("max_events = 5001").unwrap_err().contains("from 1 to 5000"));
    }
}

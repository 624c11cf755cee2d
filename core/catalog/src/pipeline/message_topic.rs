//! What a pipeline file says of topics of messages.

use serde::Deserialize;
use toml::Spanned;

use super::resolve::Resolver;
use super::source::Located;
use crate::definition::{EventEndpoint, MessagePattern, PatternScope};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MessageTopicTable {
    pub(super) name: Spanned<String>,
    /// What people see as its name.
    display_name: Option<String>,
    #[serde(default)]
    subscription: Vec<Spanned<MessageSubscriptionTable>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MessageSubscriptionTable {
    queue: Option<Spanned<String>>,
    function: Option<Spanned<String>>,
    /// An `http` or `https` address; `${endpoint}` is this node's own.
    url: Option<String>,
    #[serde(default)]
    raw: bool,
    /// A filter policy, as JSON.
    filter: Option<String>,
    #[serde(default)]
    filter_scope: FilterScope,
    /// The queue for what could not be delivered.
    dead_letter: Option<Spanned<String>>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum FilterScope {
    #[default]
    Attributes,
    Body,
}

/// A topic of messages to be, with its subscriptions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageTopicSpec {
    /// Its name.
    pub name: String,
    /// What people see as its name.
    pub display_name: Option<String>,
    /// Who gets its messages.
    pub subscriptions: Vec<Located<MessageSubscriptionSpec>>,
}

/// A subscription to messages to be; its endpoint tells it from others of its topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageSubscriptionSpec {
    /// Where messages go.
    pub endpoint: EventEndpoint,
    /// Whether they go as they are.
    pub raw: bool,
    /// Which messages.
    pub pattern: Option<MessagePattern>,
    /// Where those go that could not be delivered.
    pub dead_letter_queue: Option<String>,
}

impl Resolver<'_> {
    pub(super) fn message_topic(&mut self, table: MessageTopicTable) -> Located<MessageTopicSpec> {
        let line = self.line(&table.name);
        let subscriptions =
            table.subscription.into_iter().filter_map(|table| self.message_subscription(table)).collect();
        let value = MessageTopicSpec { name: table.name.into_inner(), display_name: table.display_name, subscriptions };
        Located { value, line }
    }

    fn message_subscription(
        &mut self,
        table: Spanned<MessageSubscriptionTable>,
    ) -> Option<Located<MessageSubscriptionSpec>> {
        let line = self.line(&table);
        let table = table.into_inner();
        let (queues, functions) = (self.queues.clone(), self.functions.clone());
        let endpoint = match (table.queue, table.function, table.url) {
            (Some(queue), None, None) => {
                self.refers("queue", &queues, &queue);
                EventEndpoint::Queue { name: queue.into_inner() }
            }
            (None, Some(function), None) => {
                self.refers("function", &functions, &function);
                EventEndpoint::Function { name: function.into_inner() }
            }
            (None, None, Some(url)) => EventEndpoint::Webhook { url },
            _ => {
                let hint = "name one: queue = \"NAME\"";
                self.wrong(line, "expected exactly one of `queue`, `function` and `url`".to_owned(), hint);
                return None;
            }
        };
        let scope = match table.filter_scope {
            FilterScope::Attributes => PatternScope::Attributes,
            FilterScope::Body => PatternScope::Body,
        };
        let dead_letter_queue = table.dead_letter.map(|queue| {
            self.refers("queue", &queues, &queue);
            queue.into_inner()
        });
        let pattern = table.filter.map(|text| MessagePattern { text, scope });
        let value = MessageSubscriptionSpec { endpoint, raw: table.raw, pattern, dead_letter_queue };
        Some(Located { value, line })
    }
}

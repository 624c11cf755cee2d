//! Texts in other languages that a pipeline file holds: policies of access, policies of managed APIs, filters, and names of
//! functions' variables. What reads them
//! when the file is carried out reads them here before.

use millstream_access::policy::{Policy, Use};
use millstream_aws::lambda::event_source_mapping::mapping_filter;
use millstream_catalog::pipeline::{Located, ManagedServiceSpec, Mistake, Pipeline};
use millstream_catalog::{EventFilter, EventSchema, ManagedServiceDefinition};
use millstream_event::filter::Filter;
use millstream_function::check_variables;
use millstream_gateway::policy::{PolicyDocument, check_backend};

use super::azure::ENDPOINT;

/// What is wrong with them.
pub(super) fn mistakes(file: &str, pipeline: &Pipeline) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    let mut wrong = |line: usize, message: String, hint: &str| {
        mistakes.push(Mistake { file: file.to_owned(), line, message, hint: hint.to_owned() });
    };
    let roles = pipeline.roles.iter().map(|role| (role.line, &role.value.name, &role.value.grants));
    let users = pipeline.users.iter().map(|user| (user.line, &user.value.name, &user.value.grants));
    for (line, name, grants) in roles.chain(users) {
        let read = grants.policy.as_deref().map(|text| Policy::parse(text, Use::Identity));
        if let Some(Err(error)) = read {
            wrong(line, format!("the policy of `{name}`: {error}"), "correct its actions and resources");
        }
    }
    for Located { value: function, line } in &pipeline.functions {
        if let Err(error) = check_variables(&function.environment) {
            wrong(*line, format!("function `{}`: {error}", function.name), "call them otherwise");
        }
    }
    for Located { value: service, line } in &pipeline.managed_services {
        let named = of_file(service);
        for Located { value: backend, line } in &service.backends {
            // What stands for the node's address is none before it is carried out.
            let address = backend.url.replace(ENDPOINT, "http://node");
            if let Err(error) = check_backend(&address) {
                wrong(*line, format!("the backend `{}`: {error}", backend.name), "url = \"https://HOST/PATH\"");
            }
        }
        let operations = service.apis.iter().flat_map(|api| {
            let own = std::iter::once((api.name.as_str(), &api.policy));
            own.chain(api.operations.values().map(|operation| (operation.name.as_str(), &operation.policy)))
        });
        let products = service.products.iter().map(|(product, _)| (product.name.as_str(), &product.policy));
        let whole = std::iter::once((service.name.as_str(), &service.policy));
        // The node may have more of both: what names others is read to its end when it is carried out.
        for (name, policy) in whole.chain(operations).chain(products) {
            let read = policy.as_deref().map(|text| PolicyDocument::parse(text, &named));
            if let Some(Err(error)) = read
                && !error.names_other
            {
                wrong(*line, format!("the policies of `{name}`: {error}"), "correct the document");
            }
        }
    }
    for Located { value: mapping, line } in &pipeline.mappings {
        let filters = &mapping.settings.filters;
        if let (false, Err(error)) = (filters.is_empty(), mapping_filter(&mapping.source, filters)) {
            wrong(*line, format!("a filter of the mapping: {error}"), "correct the pattern");
        }
    }
    let events = pipeline.topics.iter().flat_map(|topic| {
        let schema = topic.value.schema;
        topic.value.subscriptions.iter().map(move |found| (found.line, found.value.filter.clone(), schema))
    });
    let messages = pipeline.message_topics.iter().flat_map(|topic| &topic.value.subscriptions).map(|found| {
        let filter = EventFilter { pattern: found.value.pattern.clone(), ..EventFilter::default() };
        (found.line, filter, EventSchema::Message)
    });
    for (line, filter, schema) in events.chain(messages) {
        if let Err(error) = Filter::compile(&filter, schema) {
            wrong(line, format!("the filter of the subscription: {error}"), "correct the filter");
        }
    }
    mistakes
}

/// The named values and backends that a file gives a service.
fn of_file(service: &ManagedServiceSpec) -> ManagedServiceDefinition {
    let values = service.named_values.iter().map(|located| &located.value);
    let backends = service.backends.iter().map(|located| &located.value);
    ManagedServiceDefinition {
        named_values: values.map(|value| (value.name.clone(), value.clone())).collect(),
        backends: backends.map(|backend| (backend.name.clone(), backend.clone())).collect(),
        ..ManagedServiceDefinition::default()
    }
}

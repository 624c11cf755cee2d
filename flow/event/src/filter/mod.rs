//! Which events a subscription wants. Pure: a filter is compiled when it is defined and then only asked.
//! Read next: [`condition`] (the tests on fields of events), [`pattern`] (what messages have to match).

mod condition;
mod error;
mod pattern;

use millstream_catalog::{EventFilter, EventSchema};

use crate::schema::Event;
use condition::Condition;
pub use error::FilterError;
use pattern::Pattern;

/// Conditions of one filter. Source: the service's quota, as for [`VALUES_MAX`] and [`VALUE_CHARS_MAX`].
pub const CONDITIONS_MAX: usize = 25;
/// Values of all conditions of one filter together; a range counts as one.
pub const VALUES_MAX: usize = 25;
/// Characters of one text value.
pub const VALUE_CHARS_MAX: usize = 512;
/// Event types that one filter may name: bounds the definition, the service sets no limit.
pub const EVENT_TYPES_MAX: usize = 500;

/// A compiled filter.
#[derive(Debug)]
pub struct Filter {
    /// Lower case; empty wants every type.
    event_types: Vec<String>,
    begins_with: String,
    ends_with: String,
    case_sensitive: bool,
    conditions: Vec<Condition>,
    pattern: Option<Pattern>,
}

impl Filter {
    /// Compiles a filter over events of a form.
    ///
    /// # Errors
    /// [`FilterError`] names what is over a limit or cannot be asked of such events.
    pub fn compile(filter: &EventFilter, schema: EventSchema) -> Result<Self, FilterError> {
        check_limits(filter)?;
        let fold = |text: &String| if filter.subject_case_sensitive { text.clone() } else { text.to_lowercase() };
        let conditions = filter.conditions.iter().map(|condition| Condition::compile(condition, schema, filter.arrays));
        Ok(Self {
            event_types: filter.event_types.iter().map(|name| name.to_lowercase()).collect(),
            begins_with: fold(&filter.subject_begins_with),
            ends_with: fold(&filter.subject_ends_with),
            case_sensitive: filter.subject_case_sensitive,
            conditions: conditions.collect::<Result<_, _>>()?,
            pattern: filter.pattern.as_ref().map(Pattern::compile).transpose()?,
        })
    }

    /// Whether an event is wanted.
    #[must_use]
    pub fn wants(&self, event: &Event) -> bool {
        self.wants_type(event.event_type())
            && self.wants_subject(event.subject())
            && self.conditions.iter().all(|condition| condition.holds(event))
            && self.matches(event)
    }

    fn matches(&self, event: &Event) -> bool {
        let Some(pattern) = &self.pattern else { return true };
        event.message().is_some_and(|message| pattern.wants(&message))
    }

    fn wants_type(&self, event_type: &str) -> bool {
        self.event_types.is_empty() || self.event_types.contains(&event_type.to_lowercase())
    }

    fn wants_subject(&self, subject: &str) -> bool {
        if self.begins_with.is_empty() && self.ends_with.is_empty() {
            return true;
        }
        let folded = if self.case_sensitive { subject.to_owned() } else { subject.to_lowercase() };
        folded.starts_with(&self.begins_with) && folded.ends_with(&self.ends_with)
    }
}

fn check_limits(filter: &EventFilter) -> Result<(), FilterError> {
    let conditions = filter.conditions.len();
    if conditions > CONDITIONS_MAX {
        return Err(FilterError::TooMany { what: "conditions", found: conditions, max: CONDITIONS_MAX });
    }
    let values = filter.conditions.iter().map(|condition| condition::values(&condition.test)).sum();
    if values > VALUES_MAX {
        return Err(FilterError::TooMany { what: "values in all conditions together", found: values, max: VALUES_MAX });
    }
    if filter.event_types.len() > EVENT_TYPES_MAX {
        let found = filter.event_types.len();
        return Err(FilterError::TooMany { what: "event types", found, max: EVENT_TYPES_MAX });
    }
    let subjects = [&filter.subject_begins_with, &filter.subject_ends_with];
    for text in subjects.into_iter().chain(&filter.event_types) {
        condition::check_length("a subject or event type", text)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema::tests::topic;

    fn event(event_type: &str, subject: &str) -> Event {
        let published =
            json!({ "specversion": "1.0", "id": "1", "source": "/s", "type": event_type, "subject": subject });
        Event::accept(&topic(EventSchema::CloudEvents), published, 0).unwrap()
    }

    #[test]
    fn types_and_subjects() {
        let types = |names: &[&str]| EventFilter {
            event_types: names.iter().map(|name| (*name).to_owned()).collect(),
            ..EventFilter::default()
        };
        let subject = |begins: &str, ends: &str, case_sensitive| EventFilter {
            subject_begins_with: begins.into(),
            subject_ends_with: ends.into(),
            subject_case_sensitive: case_sensitive,
            ..EventFilter::default()
        };
        for (filter, event_type, about, wanted) in [
            (EventFilter::default(), "any", "any", true),
            (types(&["Made", "Gone"]), "gone", "s", true),
            (types(&["Made"]), "Gone", "s", false),
            (subject("/Blobs/", "", false), "t", "/blobs/a", true),
            (subject("/Blobs/", "", true), "t", "/blobs/a", false),
            (subject("/Blobs/", "", true), "t", "/Blobs/a", true),
            (subject("", ".JPG", false), "t", "/a.jpg", true),
            (subject("", ".jpg", false), "t", "/a.png", false),
            (subject("/a", "c.txt", false), "t", "/a/b/c.txt", true),
            (subject("*", "", false), "t", "/a", false),
        ] {
            let compiled = Filter::compile(&filter, EventSchema::CloudEvents).unwrap();
            assert_eq!(compiled.wants(&event(event_type, about)), wanted, "{filter:?} {event_type} {about}");
        }
    }
}

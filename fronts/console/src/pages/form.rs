//! A form as pages draw it and browsers send it: what was filled in, what is wrong with it, and its fields with both.
//! What becomes of it is for the page that has it: `new.rs` makes something, `job.rs` changes a query.

use std::collections::BTreeMap;

use axum::extract::multipart::{Multipart, MultipartError};
use bytes::Bytes;
use millstream_catalog::pipeline::Mistake;
use millstream_catalog::pipeline::form::{Entry, FieldMistake, Form, Part, REPEATS_MAX, Section};

use crate::create::CreateRefusal;
use crate::error::ConsoleError;

/// The longest body: a function's package, as the engine takes it, and the other fields.
pub const BODY_BYTES_MAX: usize = 64 << 20;
/// Fields of one form: those of the longest with every part repeated as often as may be.
const FIELDS_MAX: usize = 2_048;

/// A part of a form as it is drawn.
pub(super) struct ShownPart {
    pub(super) title: String,
    pub(super) fields: Vec<ShownField>,
    /// The part's name, for the button that adds one more behind this one.
    pub(super) more: Option<&'static str>,
    /// What the fields' names begin with, for the box that removes this one; only where it is there already.
    pub(super) remove: Option<String>,
}

pub(super) struct ShownField {
    pub(super) name: String,
    pub(super) label: &'static str,
    pub(super) hint: &'static str,
    pub(super) control: Control,
    pub(super) value: String,
    pub(super) required: bool,
    pub(super) mistake: Option<String>,
}

/// What a field is drawn as.
pub(super) enum Control {
    Line(&'static str),
    Area(u8),
    Choice(&'static [&'static str]),
    Switch,
    Code,
}

/// How a form is drawn.
#[derive(Clone, Copy)]
pub(super) struct Drawing {
    pub(super) form: &'static Form,
    /// Whether it is drawn for the first time: with what it holds at first.
    pub(super) fresh: bool,
    /// Fields of the resource itself that are not asked.
    pub(super) hidden: &'static [&'static str],
    /// Whether repeated parts can be removed.
    pub(super) removable: bool,
}

/// What came with a form besides its fields.
#[derive(Default)]
pub(super) struct Sent {
    pub(super) fields: BTreeMap<String, String>,
    pub(super) token: String,
    /// The part that shall be there once more.
    pub(super) more: String,
    /// Whether only the section is wanted.
    pub(super) only_section: bool,
    /// Which change of the resource was shown; 0 when nobody says it.
    pub(super) version: u64,
    /// Parts that shall go: `input.2`.
    pub(super) removed: Vec<String>,
    pub(super) package: Bytes,
}

/// What is wrong with a form, by field and besides.
#[derive(Default)]
pub(super) struct Wrong {
    pub(super) fields: BTreeMap<String, String>,
    pub(super) others: Vec<String>,
}

impl Sent {
    /// Takes a form's fields within bounds.
    ///
    /// # Errors
    /// [`ConsoleError::Invalid`] for a body that is no form.
    pub(super) async fn read(mut body: Multipart) -> Result<Self, ConsoleError> {
        let wrong =
            |error: MultipartError| ConsoleError::Invalid(format!("the form cannot be read: {}", error.body_text()));
        let mut sent = Self::default();
        while let Some(field) = body.next_field().await.map_err(wrong)? {
            let name = field.name().unwrap_or_default().to_owned();
            if name == "code.file" {
                sent.package = field.bytes().await.map_err(wrong)?;
                continue;
            }
            let text = field.text().await.map_err(wrong)?;
            match name.as_str() {
                "token" => sent.token = text,
                "more" => sent.more = text,
                "as" => sent.only_section = text == "section",
                "version" => sent.version = text.parse().unwrap_or_default(),
                "remove" => sent.removed.push(text),
                _ => {
                    sent.fields.insert(name, text);
                }
            }
            if sent.fields.len() + sent.removed.len() > FIELDS_MAX {
                return Err(ConsoleError::Invalid(format!("a form has at most {FIELDS_MAX} fields")));
            }
        }
        Ok(sent)
    }

    /// The fields that hold something and belong to no part that shall go.
    pub(super) fn filled(&self) -> BTreeMap<String, String> {
        let goes = |name: &str| {
            let of = |part: &String| name.strip_prefix(part.as_str()).is_some_and(|rest| rest.starts_with('.'));
            self.removed.iter().any(of)
        };
        let filled = self.fields.iter().filter(|(name, value)| !value.trim().is_empty() && !goes(name));
        filled.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// How often a part is drawn: as often as it was sent, once more when that was asked for, and once at least.
    fn times(&self, part: &'static Part) -> usize {
        if !part.repeats {
            return 1;
        }
        let drawn =
            |index: &usize| part.fields.iter().any(|field| self.fields.contains_key(&part.field_name(*index, field)));
        let before = (1..=REPEATS_MAX).rev().find(drawn).unwrap_or(0);
        (before + usize::from(self.more == part.name)).clamp(1, REPEATS_MAX)
    }
}

impl Wrong {
    pub(super) fn of_fields(mistakes: Vec<FieldMistake>) -> Self {
        let fields = mistakes.into_iter().map(|mistake| (mistake.field, mistake.message)).collect();
        Self { fields, others: Vec::new() }
    }

    pub(super) fn of_refusal(form: &Form, section: &Section, refusal: CreateRefusal) -> Self {
        let mut wrong = Self::default();
        match refusal {
            CreateRefusal::Forbidden => wrong.others.push(CreateRefusal::Forbidden.to_string()),
            CreateRefusal::Failed(message) => wrong.others.push(message),
            CreateRefusal::Mistakes(mistakes) => {
                let drawn = |field: &str| form.parts.iter().any(|part| has(part, field));
                for Mistake { line, message, hint, .. } in mistakes {
                    let message = if hint.is_empty() { message } else { format!("{message}; {hint}") };
                    match section.field_at(line).filter(|field| drawn(field)) {
                        Some(field) => {
                            let said = wrong.fields.entry(field.to_owned()).or_default();
                            said.push_str(if said.is_empty() { "" } else { "\n" });
                            said.push_str(&message);
                        }
                        None => wrong.others.push(message),
                    }
                }
            }
        }
        wrong
    }

    /// What is wrong and was shown at no field.
    pub(super) fn left(self) -> Vec<String> {
        let left = self.fields.into_iter().map(|(field, message)| format!("{field}: {message}"));
        self.others.into_iter().chain(left).collect()
    }
}

fn has(part: &Part, name: &str) -> bool {
    (1..=REPEATS_MAX).any(|index| part.fields.iter().any(|field| part.field_name(index, field) == name))
}

impl Drawing {
    /// The form's parts with what was sent; what is wrong with a field is taken out of `wrong`.
    pub(super) fn parts(self, sent: &Sent, wrong: &mut Wrong) -> Vec<ShownPart> {
        let mut parts = Vec::new();
        for part in self.form.parts {
            let times = sent.times(part);
            for index in 1..=times {
                let more = (part.repeats && index == times && times < REPEATS_MAX).then_some(part.name);
                let title =
                    if part.repeats && times > 1 { format!("{} {index}", part.title) } else { part.title.to_owned() };
                let asked =
                    part.fields.iter().filter(|field| !(part.name.is_empty() && self.hidden.contains(&field.key)));
                let fields: Vec<ShownField> = asked
                    .map(|field| {
                        let name = part.field_name(index, field);
                        let start = if self.fresh || part.repeats { field.start } else { "" };
                        ShownField {
                            mistake: wrong.fields.remove(&name),
                            value: sent.fields.get(&name).map_or(start, String::as_str).to_owned(),
                            name,
                            label: field.label,
                            hint: field.hint,
                            control: control(field.entry),
                            required: field.required,
                        }
                    })
                    .collect();
                let is_there = fields.iter().any(|field| field.required && !field.value.is_empty());
                let remove = (self.removable && part.repeats && is_there).then(|| format!("{}.{index}", part.name));
                parts.push(ShownPart { title, fields, more, remove });
            }
        }
        parts
    }
}

fn control(entry: Entry) -> Control {
    match entry {
        Entry::Text | Entry::Delimiter | Entry::Words => Control::Line("text"),
        Entry::Number => Control::Line("numeric"),
        Entry::Decimal => Control::Line("decimal"),
        Entry::Choice(words) => Control::Choice(words),
        Entry::Switch => Control::Switch,
        Entry::Lines => Control::Area(10),
        Entry::Texts | Entry::Columns | Entry::Pairs | Entry::Conditions | Entry::Statements => Control::Area(4),
        Entry::Code => Control::Code,
    }
}

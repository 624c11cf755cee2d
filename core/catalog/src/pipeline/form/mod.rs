//! Forms: what somebody fills in to make one resource, in a console or behind a command, and the pipeline file's section that
//! comes of it. There is one way to make things: the section is what is carried out, and what can be kept in a file.
//!
//! Read next: `kinds.rs` (the forms; `azure.rs`, `function.rs` and `sale.rs` have more), `section.rs` and `value.rs` (how fields become TOML),
//! `filled.rs` (what a form holds of a resource that is there).

mod azure;
mod filled;
mod function;
mod kinds;
mod sale;
mod section;
mod value;

pub use filled::query_fields;
pub use section::{FieldMistake, Section};

/// Times that a part can be repeated in one form: as many inputs and outputs as a job may have.
pub const REPEATS_MAX: usize = 60;

/// What is asked to make a resource of one kind.
#[derive(Debug)]
pub struct Form {
    /// The kind in addresses and commands: `stream`, `event-hub`.
    pub kind: &'static str,
    /// The kind for people.
    pub title: &'static str,
    /// What it is for, in a sentence.
    pub about: &'static str,
    /// The resource's own fields first, what names it before all others; then what stands under it.
    pub parts: &'static [Part],
}

/// Fields under one header of the section.
#[derive(Debug)]
pub struct Part {
    /// What its fields' names begin with; empty: the resource itself.
    pub name: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// The TOML header: `[[query.input]]`; in `[plans.{name}]` the field `name` stands in the header.
    pub header: &'static str,
    /// Whether there can be several.
    pub repeats: bool,
    /// Its fields, in the section's order.
    pub fields: &'static [Field],
}

/// One thing that is asked.
#[derive(Debug)]
pub struct Field {
    /// The TOML key; `blob.path` is the key `path` of the inline table `blob`.
    pub key: &'static str,
    /// What people read.
    pub label: &'static str,
    /// What may be said here; empty when the label tells it.
    pub hint: &'static str,
    /// How it is entered.
    pub entry: Entry,
    /// Whether it must be filled in.
    pub required: bool,
    /// What the form holds at first.
    pub start: &'static str,
}

/// How a field is entered and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// A line of text.
    Text,
    /// What stands between two fields; `tab` and `space` by name, since what cannot be seen cannot be edited.
    Delimiter,
    /// A whole number.
    Number,
    /// A number that may have decimals.
    Decimal,
    /// One of several words; the empty one leaves the field out.
    Choice(&'static [&'static str]),
    /// Yes or no: `true` or nothing.
    Switch,
    /// Words with commas between them.
    Words,
    /// Several lines, as they are.
    Lines,
    /// Texts, one a line.
    Texts,
    /// Columns, one a line: `NAME TYPE`, and a path when the name is not where the value is.
    Columns,
    /// Pairs, one a line: `NAME=VALUE`.
    Pairs,
    /// What has to hold of events, one a line: `FIELD OPERATOR VALUE, VALUE`.
    Conditions,
    /// Statements of a policy, one a line: `ACTION, ACTION on RESOURCE, RESOURCE`.
    Statements,
    /// Code: the folder or zip file of a function, as the pipeline file names it.
    Code,
}

impl Form {
    /// Every form, in the order of the pipeline's way.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        kinds::FORMS.iter().chain(function::FORMS).chain(azure::FORMS).chain(sale::FORMS)
    }

    /// The form of a kind.
    #[must_use]
    pub fn of(kind: &str) -> Option<&'static Self> {
        Self::all().find(|form| form.kind == kind)
    }

    /// Whether it asks for code, in the field `code`.
    #[must_use]
    pub fn has_code(&self) -> bool {
        self.parts.iter().flat_map(|part| part.fields).any(|field| field.entry == Entry::Code)
    }

    /// The field that names the resource.
    #[must_use]
    pub fn subject(&self) -> &'static str {
        self.parts.first().and_then(|part| part.fields.first()).map_or("name", |field| field.key)
    }
}

impl Part {
    /// The name of one of its fields in the `index`-th repetition, counted from 1.
    #[must_use]
    pub fn field_name(&self, index: usize, field: &Field) -> String {
        match (self.name, self.repeats) {
            ("", _) => field.key.to_owned(),
            (name, false) => format!("{name}.{}", field.key),
            (name, true) => format!("{name}.{index}.{}", field.key),
        }
    }
}

/// A field that must be filled in.
const fn required(key: &'static str, label: &'static str, hint: &'static str) -> Field {
    Field { key, label, hint, entry: Entry::Text, required: true, start: "" }
}

/// A field that may be left empty.
const fn optional(key: &'static str, label: &'static str, hint: &'static str) -> Field {
    Field { key, label, hint, entry: Entry::Text, required: false, start: "" }
}

/// A number with the value that is usual.
const fn number(key: &'static str, label: &'static str, start: &'static str) -> Field {
    Field { key, label, hint: "", entry: Entry::Number, required: false, start }
}

impl Field {
    const fn entered(self, entry: Entry) -> Self {
        Self { entry, ..self }
    }

    const fn starting(self, start: &'static str) -> Self {
        Self { start, ..self }
    }
}

/// A name, as every resource has one.
const NAME: Field = required("name", "Name", "");

//! Mistakes in a query's text, each at its place.

use std::fmt;

/// A mistake in a query's text: what, where, and what to write instead.
///
/// Prints as `error[Q104]: …`, then `at LINE:COLUMN`, then `try: …`, each on its own line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanError {
    /// Which kind of mistake; stable, listed in `docs/sql/errors.md`.
    pub code: PlanErrorCode,
    /// What was expected and what was found.
    pub message: String,
    /// The line, from 1.
    pub line: u64,
    /// The column, from 1, in characters.
    pub column: u64,
    /// What to do.
    pub hint: Option<String>,
}

/// A place in a query's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line, from 1.
    pub line: u64,
    /// The column, from 1, in characters.
    pub column: u64,
}

impl PlanError {
    /// A mistake at a place, so far without advice.
    #[must_use]
    pub fn new(code: PlanErrorCode, at: Position, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), line: at.line, column: at.column, hint: None }
    }

    /// The mistake of an input whose columns nobody declares and that has no record yet.
    pub(crate) fn columns_unknown(input: &str) -> Self {
        let message = format!("the columns of `{input}` are not known yet");
        Self::new(PlanErrorCode::ColumnsUnknown, Position { line: 1, column: 1 }, message)
            .hint("declare them, or send a first record from which they are found out")
    }

    /// The mistake of timelines of their own where nothing says up to when events may still come.
    pub(crate) fn late_without_limit() -> Self {
        let message = "with TIMESTAMP BY … OVER results come when no event can be late any more, and here events may be late without limit";
        Self::new(PlanErrorCode::Unbounded, Position { line: 1, column: 1 }, message)
            .hint("a late arrival tolerance, which may be days")
    }

    /// The same with what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = (self.line, self.column);
        write!(f, "error[{}]: {}\n  at {line}:{column}", self.code, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  try: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for PlanError {}

/// The kinds of mistakes in a query's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PlanErrorCode {
    /// The text does not follow the language's grammar.
    Syntax,
    /// The text is too long, too deep or has too many parts.
    TooLarge,
    /// A `FROM` or `INTO` names nothing that exists.
    UnknownStream,
    /// No such column.
    UnknownColumn,
    /// Several columns of that name.
    AmbiguousColumn,
    /// No such function in this language.
    UnknownFunction,
    /// The language has it, this engine not yet.
    NotSupported,
    /// A value of another type is needed.
    Type,
    /// An aggregate without a window: its state would grow for ever and it would never have a result.
    Unbounded,
    /// A column that is neither grouped by nor inside an aggregate.
    NotGrouped,
    /// A window's length, hop or offset is not possible.
    Window,
    /// A name is defined twice.
    Duplicate,
    /// As many values as columns are needed.
    ColumnCount,
    /// Streams that read each other.
    Cycle,
    /// An input's columns are neither declared nor found out from records yet.
    ColumnsUnknown,
    /// An input's time is defined in two ways.
    TimeConflict,
    /// The text defines no result.
    Empty,
}

impl PlanErrorCode {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 17] = [
        Self::Syntax,
        Self::TooLarge,
        Self::UnknownStream,
        Self::UnknownColumn,
        Self::AmbiguousColumn,
        Self::UnknownFunction,
        Self::NotSupported,
        Self::Type,
        Self::Unbounded,
        Self::NotGrouped,
        Self::Window,
        Self::Duplicate,
        Self::ColumnCount,
        Self::Cycle,
        Self::ColumnsUnknown,
        Self::TimeConflict,
        Self::Empty,
    ];

    /// The stable code people search for: `Q104`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Syntax => "Q101",
            Self::TooLarge => "Q102",
            Self::UnknownStream => "Q103",
            Self::UnknownColumn => "Q104",
            Self::AmbiguousColumn => "Q105",
            Self::UnknownFunction => "Q106",
            Self::NotSupported => "Q107",
            Self::Type => "Q108",
            Self::Unbounded => "Q109",
            Self::NotGrouped => "Q110",
            Self::Window => "Q111",
            Self::Duplicate => "Q112",
            Self::ColumnCount => "Q113",
            Self::Cycle => "Q114",
            Self::ColumnsUnknown => "Q115",
            Self::TimeConflict => "Q116",
            Self::Empty => "Q117",
        }
    }
}

impl fmt::Display for PlanErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

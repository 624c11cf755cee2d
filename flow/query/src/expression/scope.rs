//! What names mean where an expression stands: columns of a row, or keys and aggregates of a group.

use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion_common::ScalarValue;
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::expressions::{Column, Literal};
use millstream_catalog::QueryDialect;

use super::suggest::nearest;
use super::types;
use super::user_defined::returned;
use crate::dialect::standard::window_table::window_time;
use crate::dialect::syntax::{Expr, Ident};
use crate::error::{PlanError, PlanErrorCode};
use crate::plan::{AggregateCall, ScalarExpr, VALUE, WindowBounds};
use crate::value;

/// What the names of columns begin with that only `GetMetadataPropertyValue` reads; no field of a record is called so.
pub(crate) const METADATA: &str = "$[EventHub].";

/// The columns of what a `SELECT` reads.
#[derive(Debug, Clone)]
pub(crate) struct RowScope {
    pub dialect: QueryDialect,
    /// The names by which its columns may be qualified: its own and its alias.
    pub qualifiers: Vec<String>,
    /// The columns, then the hidden row time.
    pub schema: SchemaRef,
    /// How many columns `*` stands for; those behind have to be named.
    pub visible: usize,
    /// The columns are not known: every name is taken for one, of any type.
    pub open: bool,
    /// Which call in the text that looks back to other rows is which column; `None`: it has mistakes, which were reported.
    pub looked_back: Vec<(Range<usize>, Option<usize>)>,
    /// The columns that are the row's time, where a name of theirs stands for it.
    pub clocks: Vec<usize>,
    /// The columns of a window's results in the standard dialect that are the window's end, which is the row's time, or lie so many
    /// milliseconds behind it.
    pub ends: Vec<(usize, i64)>,
    /// Which columns are records of log parsers, by name, and the fields of each.
    pub records: Vec<(String, Vec<(String, DataType)>)>,
    /// Whether its rows have a time: those of reference data have none.
    pub timed: bool,
    /// What the rows are joined of, left to right; nothing where they are not.
    pub sides: Vec<Side>,
    /// Whether the names of sides stand for their rows' times: inside a date function of a join's condition.
    pub times: bool,
    /// Which boundary belongs to the windows that `FROM` puts the rows into, where it does: the standard dialect's window tables.
    pub windowed: Option<WindowBounds>,
    /// What rows are computed apart by: those for which these differ never meet.
    pub apart_by: Vec<Expr>,
}

/// One of the sources of a join, as a part of the joined rows.
#[derive(Debug, Clone)]
pub(crate) struct Side {
    pub rows: RowScope,
    /// Where its columns begin among those of the joined rows; its time is behind them.
    pub first: usize,
    /// How far its time may be from the joined row's in milliseconds, at least and at most.
    pub offset: (i64, i64),
}

/// Where a name leads: to a column, and to what these names are inside of its records.
#[derive(Debug, Clone, Copy)]
struct Found<'p> {
    place: usize,
    inside: &'p [Ident],
}

impl Found<'_> {
    /// The same among the columns of joined rows.
    fn behind(self, side: &Side) -> Self {
        Self { place: side.first + self.place, ..self }
    }
}

impl RowScope {
    /// The column of a (qualified) name, or what is inside of it.
    pub(crate) fn resolve(&self, parts: &[Ident]) -> Result<ScalarExpr, PlanError> {
        Ok(match self.found(parts)? {
            Some(Found { place, inside: [] }) => column(&self.schema, place),
            Some(Found { place, inside }) => {
                let names: Vec<&str> = inside.iter().map(|part| part.text.as_str()).collect();
                let field = value::access::path(column(&self.schema, place), &names);
                match self.dialect {
                    QueryDialect::Kinesis => self.typed_field(field, place, inside)?,
                    QueryDialect::StreamAnalytics | QueryDialect::Standard => field,
                }
            }
            None => unknown(),
        })
    }

    /// A field of a log parser's record in its type.
    fn typed_field(&self, field: ScalarExpr, place: usize, inside: &[Ident]) -> Result<ScalarExpr, PlanError> {
        let record = self.schema.field(place).name();
        let of_sides = self.sides.iter().flat_map(|side| &side.rows.records);
        let known = self.records.iter().chain(of_sides).find(|(name, _)| name == record);
        let fields = known.map_or(&[][..], |(_, fields)| fields);
        let [name] = inside else {
            let message = format!("the fields of `{record}` have no fields of their own");
            return Err(PlanError::new(PlanErrorCode::UnknownColumn, inside[0].at, message));
        };
        match fields.iter().find(|(field, _)| *field == name.text) {
            Some((_, data_type)) => Ok(types::convert(field, data_type, false)),
            None => {
                let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
                let message = format!("the record `{record}` has no field `{}`", name.text);
                let error = PlanError::new(PlanErrorCode::UnknownColumn, name.at, message);
                Err(error.hint(match names.is_empty() {
                    true => "read the fields in the SELECT around the one with the log parser".to_owned(),
                    false => format!("one of {}", names.join(", ")),
                }))
            }
        }
    }

    /// Where a name leads; `None`: it may be any column, because they are not known.
    fn found<'p>(&self, parts: &'p [Ident]) -> Result<Option<Found<'p>>, PlanError> {
        if !self.sides.is_empty() {
            return self.found_in_sides(parts);
        }
        let unqualified = self.without_qualifier(parts);
        for parts in [unqualified, parts] {
            if let Some(place) = self.find(&path(parts), &parts[0])? {
                return Ok(Some(Found { place, inside: &[] }));
            }
        }
        for parts in [unqualified, parts] {
            if let Some(found) = self.inside(parts)? {
                return Ok(Some(found));
            }
        }
        if self.open {
            return Ok(None);
        }
        Err(self.unknown_column(unqualified))
    }

    /// Where a name leads among joined rows: one with its source in front, or one that only one source has.
    fn found_in_sides<'p>(&self, parts: &'p [Ident]) -> Result<Option<Found<'p>>, PlanError> {
        if let [first, _, ..] = parts
            && let Some(side) = self.side(&first.text)
        {
            return Ok(side.rows.found(parts)?.map(|found| found.behind(side)));
        }
        let name = path(parts);
        if self.dialect == QueryDialect::Kinesis && name == "ROWTIME" {
            return Ok(Some(Found { place: self.schema.fields().len() - 1, inside: &[] }));
        }
        let mut found: Vec<(&Side, Found<'p>)> = Vec::new();
        for side in &self.sides {
            let own = match side.rows.find(&name, &parts[0])? {
                Some(place) => Some(Found { place, inside: &[] }),
                None => side.rows.inside(parts)?,
            };
            found.extend(own.map(|own| (side, own.behind(side))));
        }
        match found.as_slice() {
            [] if self.open => Ok(None),
            [] => Err(self.unknown_column(parts)),
            [(_, found)] => Ok(Some(*found)),
            [(first, _), (second, _), ..] => {
                let (first, second) = (first.rows.name(), second.rows.name());
                let message = format!("`{name}` may be of `{first}` or of `{second}`");
                let error = PlanError::new(PlanErrorCode::AmbiguousColumn, parts[0].at, message);
                Err(error.hint(format!("{first}.{name}")))
            }
        }
    }

    /// The source of joined rows that has a name.
    pub(crate) fn side(&self, name: &str) -> Option<&Side> {
        self.sides.iter().find(|side| side.rows.is_qualifier(name))
    }

    /// The time of the source's rows, where its name stands for it.
    pub(crate) fn time_of(&self, name: &Ident) -> Option<ScalarExpr> {
        let side = self.side(&name.text).filter(|side| self.times && side.rows.timed)?;
        Some(column(&self.schema, side.first + side.rows.schema.fields().len() - 1))
    }

    /// What the source is called here: its alias, if it has one.
    pub(crate) fn name(&self) -> &str {
        self.qualifiers.last().map_or("", String::as_str)
    }

    /// The name without the source's name in front of it.
    pub(crate) fn without_qualifier<'a>(&self, parts: &'a [Ident]) -> &'a [Ident] {
        match parts {
            [first, rest @ ..] if !rest.is_empty() && self.is_qualifier(&first.text) => rest,
            _ => parts,
        }
    }

    pub(crate) fn is_qualifier(&self, name: &str) -> bool {
        self.qualifiers.iter().any(|qualifier| self.same(qualifier, name))
    }

    /// What a call in the text is that looks back to other rows.
    pub(crate) fn looked_back(&self, call: &Range<usize>) -> Option<ScalarExpr> {
        let (_, index) = self.looked_back.iter().find(|(span, _)| span == call)?;
        Some(index.map_or_else(unknown, |index| column(&self.schema, index)))
    }

    /// The row's time.
    pub(crate) fn rowtime(&self) -> ScalarExpr {
        column(&self.schema, self.schema.fields().len() - 1)
    }

    /// What is inside of a column that holds records: the column with the longest name that the name begins with.
    fn inside<'p>(&self, parts: &'p [Ident]) -> Result<Option<Found<'p>>, PlanError> {
        for length in (1..parts.len()).rev() {
            let (name, inside) = parts.split_at(length);
            let place = self.find(&path(name), &parts[0])?;
            if let Some(place) = place.filter(|place| self.schema.field(*place).data_type() == &VALUE) {
                return Ok(Some(Found { place, inside }));
            }
        }
        Ok(None)
    }

    /// The place of the column that a name is.
    fn find(&self, name: &str, at: &Ident) -> Result<Option<usize>, PlanError> {
        let fields = self.schema.fields();
        let count = fields.len() - 1;
        if let Some(index) = (0..count).find(|index| fields[*index].name() == name) {
            return Ok(Some(if self.clocks.contains(&index) { count } else { index }));
        }
        if self.dialect == QueryDialect::Kinesis {
            return Ok((self.timed && name == "ROWTIME").then_some(count));
        }
        let mut same = (0..count).filter(|index| self.same(fields[*index].name(), name));
        match (same.next(), same.next()) {
            (Some(first), Some(second)) => {
                let (first, second) = (fields[first].name(), fields[second].name());
                let message = format!("`{name}` may be `{first}` or `{second}`");
                Err(PlanError::new(PlanErrorCode::AmbiguousColumn, at.at, message).hint(format!("[{first}]")))
            }
            (first, _) => Ok(first),
        }
    }

    /// Whether two names are one in the language.
    pub(crate) fn same(&self, left: &str, right: &str) -> bool {
        match self.dialect {
            QueryDialect::Kinesis | QueryDialect::Standard => left == right,
            QueryDialect::StreamAnalytics => left.to_lowercase() == right.to_lowercase(),
        }
    }

    fn unknown_column(&self, parts: &[Ident]) -> PlanError {
        let name = path(parts);
        let message = match self.sides.as_slice() {
            [] => format!("`{}` has no column `{name}`", self.qualifiers.first().map_or("", String::as_str)),
            sides => {
                let sources: Vec<&str> = sides.iter().map(|side| side.rows.name()).collect();
                format!("none of `{}` has a column `{name}`", sources.join("`, `"))
            }
        };
        let error = PlanError::new(PlanErrorCode::UnknownColumn, parts[0].at, message);
        let of_sides = self.sides.iter().flat_map(|side| &side.rows.schema.fields()[..side.rows.visible]);
        let fields = self.schema.fields()[..self.visible].iter().chain(of_sides);
        let names: Vec<&str> = fields.map(|field| field.name().as_str()).collect();
        match nearest(&name, names.iter().copied()) {
            Some(near) if self.dialect == QueryDialect::Kinesis && near.to_uppercase() == name => {
                error.hint(format!("\"{near}\" (a name without quotes means its upper case, `{name}`)"))
            }
            Some(near) if self.dialect == QueryDialect::Kinesis => error.hint(format!("\"{near}\"")),
            Some(near) => error.hint(near),
            None if names.is_empty() => error,
            None => error.hint(format!("one of {}", names.join(", "))),
        }
    }
}

/// What an expression over groups may name.
#[derive(Debug, Clone)]
pub(crate) struct GroupScope {
    /// What the grouped rows look like.
    pub rows: RowScope,
    /// The keys, over the rows.
    pub keys: Vec<ScalarExpr>,
    /// The start of the window, over the rows: what `STEP(ROWTIME BY …)` says in Kinesis' language.
    pub window_start: Option<ScalarExpr>,
    /// What the window is called, where it has a name.
    pub window_id: Option<String>,
    /// How deep the expressions behind GROUP BY are: one of another depth is none of them, which saves binding it twice.
    pub depths: Vec<usize>,
    /// The aggregates.
    pub aggregates: Vec<AggregateCall>,
    /// Which call in the text is which aggregate.
    pub calls: Vec<(Range<usize>, usize)>,
    /// `[keys…, aggregates…, window start, hidden row time]`.
    pub schema: SchemaRef,
    /// Names of the result's columns, where an expression may use them (HAVING in Stream Analytics).
    pub aliases: Vec<(String, Expr)>,
}

impl GroupScope {
    /// The key or window start that an expression over the rows is.
    pub(crate) fn key(&self, value: &ScalarExpr) -> Option<ScalarExpr> {
        if let Some(index) = self.keys.iter().position(|key| key.same(value)) {
            return Some(column(&self.schema, index));
        }
        let start = self.window_start.as_ref()?;
        start.same(value).then(|| column(&self.schema, self.keys.len() + self.aggregates.len()))
    }

    /// The aggregate a call in the text is.
    pub(crate) fn aggregate(&self, call: &Range<usize>) -> Option<ScalarExpr> {
        let (_, index) = self.calls.iter().find(|(span, _)| span == call)?;
        let result = column(&self.schema, self.keys.len() + index);
        match &self.aggregates.get(*index)?.script {
            Some(function) => Some(returned(result, function.result)),
            None => Some(result),
        }
    }

    /// A column of a window table: `window_start`, `window_end` or `window_time`.
    pub(crate) fn window_column(&self, name: &str) -> ScalarExpr {
        match name {
            "window_start" => column(&self.schema, self.keys.len() + self.aggregates.len()),
            "window_end" => self.rowtime(),
            _ => window_time(self.rowtime()),
        }
    }

    /// What the window is called.
    pub(crate) fn window_id(&self) -> ScalarExpr {
        literal(ScalarValue::Utf8(self.window_id.clone()))
    }

    /// The end of the window.
    pub(crate) fn rowtime(&self) -> ScalarExpr {
        column(&self.schema, self.schema.fields().len() - 1)
    }
}

/// A name with its dots.
fn path(parts: &[Ident]) -> String {
    parts.iter().map(|part| part.text.as_str()).collect::<Vec<_>>().join(".")
}

/// A column of a schema as an expression.
pub(crate) fn column(schema: &SchemaRef, index: usize) -> ScalarExpr {
    let field = schema.field(index);
    ScalarExpr {
        physical: Arc::new(Column::new(field.name(), index)),
        data_type: field.data_type().clone(),
        nullable: field.is_nullable(),
        text: field.name().clone(),
    }
}

/// A value of which neither column nor type is known, in a check before the first record.
fn unknown() -> ScalarExpr {
    literal(ScalarValue::Null)
}

/// A constant.
pub(crate) fn literal(value: ScalarValue) -> ScalarExpr {
    let (data_type, nullable, text) = (value.data_type(), value.is_null(), value.to_string());
    let physical: Arc<dyn PhysicalExpr> = Arc::new(Literal::new(value));
    ScalarExpr { physical, data_type, nullable, text }
}

/// Whether a value is of no known type: NULL, or a column not known yet.
pub(crate) fn is_unknown(data_type: &DataType) -> bool {
    *data_type == DataType::Null
}

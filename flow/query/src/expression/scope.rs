//! What names mean where an expression stands: columns of a row, or keys and aggregates of a group.

use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion_common::ScalarValue;
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::expressions::{Column, Literal};
use millstream_catalog::QueryDialect;

use super::suggest::nearest;
use crate::dialect::syntax::{Expr, Ident};
use crate::error::{PlanError, PlanErrorCode};
use crate::plan::{AggregateCall, ScalarExpr, VALUE};
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
}

impl RowScope {
    /// The column of a (qualified) name.
    pub(crate) fn resolve(&self, parts: &[Ident]) -> Result<ScalarExpr, PlanError> {
        let unqualified = self.without_qualifier(parts);
        for parts in [unqualified, parts] {
            let path: Vec<&str> = parts.iter().map(|part| part.text.as_str()).collect();
            if let Some(found) = self.find(&path.join("."), &parts[0])? {
                return Ok(found);
            }
        }
        for parts in [unqualified, parts] {
            if let Some(found) = self.inside(parts)? {
                return Ok(found);
            }
        }
        if self.open {
            return Ok(unknown());
        }
        Err(self.unknown_column(unqualified))
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

    /// The row's time.
    pub(crate) fn rowtime(&self) -> ScalarExpr {
        column(&self.schema, self.schema.fields().len() - 1)
    }

    /// What is inside of a column that holds records: the column with the longest name that the name begins with.
    fn inside(&self, parts: &[Ident]) -> Result<Option<ScalarExpr>, PlanError> {
        let names: Vec<&str> = parts.iter().map(|part| part.text.as_str()).collect();
        for length in (1..names.len()).rev() {
            let column = self.find(&names[..length].join("."), &parts[0])?;
            if let Some(record) = column.filter(|column| column.data_type == VALUE) {
                return Ok(Some(value::access::path(record, &names[length..])));
            }
        }
        Ok(None)
    }

    fn find(&self, name: &str, at: &Ident) -> Result<Option<ScalarExpr>, PlanError> {
        let fields = self.schema.fields();
        let count = fields.len() - 1;
        if let Some(index) = (0..count).find(|index| fields[*index].name() == name) {
            return Ok(Some(column(&self.schema, index)));
        }
        if self.dialect == QueryDialect::Kinesis {
            return Ok((name == "ROWTIME").then(|| self.rowtime()));
        }
        let mut same = (0..count).filter(|index| self.same(fields[*index].name(), name));
        match (same.next(), same.next()) {
            (Some(first), Some(second)) => {
                let (first, second) = (fields[first].name(), fields[second].name());
                let message = format!("`{name}` may be `{first}` or `{second}`");
                Err(PlanError::new(PlanErrorCode::AmbiguousColumn, at.at, message).hint(format!("[{first}]")))
            }
            (first, _) => Ok(first.map(|index| column(&self.schema, index))),
        }
    }

    fn same(&self, left: &str, right: &str) -> bool {
        match self.dialect {
            QueryDialect::Kinesis => left == right,
            QueryDialect::StreamAnalytics => left.to_lowercase() == right.to_lowercase(),
        }
    }

    fn unknown_column(&self, parts: &[Ident]) -> PlanError {
        let path: Vec<&str> = parts.iter().map(|part| part.text.as_str()).collect();
        let name = path.join(".");
        let source = self.qualifiers.first().map_or("", String::as_str);
        let error =
            PlanError::new(PlanErrorCode::UnknownColumn, parts[0].at, format!("`{source}` has no column `{name}`"));
        let names: Vec<&str> = self.schema.fields()[..self.visible].iter().map(|field| field.name().as_str()).collect();
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
        Some(column(&self.schema, self.keys.len() + index))
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

//! The syntax tree all languages are read into. Names are already folded, nothing is resolved yet.

use std::ops::Range;
use std::sync::Arc;

use crate::error::Position;
use crate::plan::{Extent, Skip, WindowKind};
use crate::script::UserFunction;

/// A name as written, in Kinesis' language folded to upper case unless quoted.
#[derive(Debug, Clone)]
pub(crate) struct Ident {
    pub text: String,
    pub at: Position,
}

/// An expression, its place and its extent in the text.
#[derive(Debug, Clone)]
pub(crate) struct Expr {
    pub kind: ExprKind,
    pub at: Position,
    /// Bytes of the query's text.
    pub span: Range<usize>,
    /// How many expressions deep it is; bounded, because everything that walks expressions recurses.
    pub depth: usize,
}

/// What an expression is.
#[derive(Debug, Clone)]
pub(crate) enum ExprKind {
    /// `a`, `a.b`, `a.b.c`.
    Name(Vec<Ident>),
    Literal(Literal),
    Unary {
        operator: UnaryOperator,
        operand: Box<Expr>,
    },
    Binary {
        operator: BinaryOperator,
        left: Box<Expr>,
        right: Box<Expr>,
    },
    IsNull {
        operand: Box<Expr>,
        negated: bool,
    },
    Between {
        operand: Box<Expr>,
        low: Box<Expr>,
        high: Box<Expr>,
        negated: bool,
    },
    InList {
        operand: Box<Expr>,
        list: Vec<Expr>,
        negated: bool,
    },
    Like {
        operand: Box<Expr>,
        pattern: Box<Expr>,
        escape: Option<char>,
        negated: bool,
    },
    Case {
        operand: Option<Box<Expr>>,
        branches: Vec<(Expr, Expr)>,
        otherwise: Option<Box<Expr>>,
    },
    /// `CAST(x AS T)`; lenient: `TRY_CAST`, which makes NULL of what cannot be converted.
    Cast {
        operand: Box<Expr>,
        to: TypeName,
        lenient: bool,
    },
    /// `STEP(x BY y)`.
    Step {
        operand: Box<Expr>,
        by: Box<Expr>,
    },
    /// `FLOOR(x TO unit)`, or `CEIL(x TO unit)`.
    FloorTo {
        operand: Box<Expr>,
        unit: Ident,
        ceiling: bool,
    },
    Call(Call),
}

impl ExprKind {
    /// The expressions directly inside.
    pub(crate) fn parts(&self) -> Vec<&Expr> {
        match self {
            Self::Name(_) | Self::Literal(_) => Vec::new(),
            Self::Unary { operand, .. }
            | Self::IsNull { operand, .. }
            | Self::Cast { operand, .. }
            | Self::FloorTo { operand, .. } => vec![operand],
            Self::Binary { left, right, .. } => vec![left, right],
            Self::Between { operand, low, high, .. } => vec![operand, low, high],
            Self::InList { operand, list, .. } => std::iter::once(&**operand).chain(list).collect(),
            Self::Like { operand, pattern, .. } => vec![operand, pattern],
            Self::Step { operand, by } => vec![operand, by],
            Self::Call(call) => call.arguments.iter().chain(call.over.iter().flat_map(|over| over.parts())).collect(),
            Self::Case { operand, branches, otherwise } => {
                let branches = branches.iter().flat_map(|(when, then)| [when, then]);
                operand.as_deref().into_iter().chain(branches).chain(otherwise.as_deref()).collect()
            }
        }
    }
}

/// A call of a function.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// `SUM`, or `System`, `Timestamp`.
    pub name: Vec<Ident>,
    pub distinct: bool,
    /// `COUNT(*)`.
    pub star: bool,
    pub arguments: Vec<Expr>,
    /// `FROM LAST`, in Kinesis' language.
    pub from_last: bool,
    /// `IGNORE NULLS`, in Kinesis' language.
    pub ignores_nulls: bool,
    /// The query's own function of that name.
    pub user: Option<Arc<UserFunction>>,
    /// Boxed: few calls have it, and expressions move often.
    pub over: Option<Box<Over>>,
}

/// What stands behind `OVER`.
#[derive(Debug, Clone)]
pub(crate) enum Over {
    /// The name of a window behind `WINDOW`.
    Named(Ident),
    /// `(PARTITION BY … RANGE …)`.
    Window(Frame),
}

impl Over {
    fn parts(&self) -> Vec<&Expr> {
        match self {
            Self::Named(_) => Vec::new(),
            Self::Window(frame) => {
                let order = frame.order_by.iter().map(|(column, _)| column);
                frame.partition_by.iter().chain(frame.when.as_deref()).chain(order).collect()
            }
        }
    }
}

/// Which rows belong to a window that is given in parentheses.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub at: Position,
    pub partition_by: Vec<Expr>,
    /// What values are ordered by in Stream Analytics' language, each with whether it descends.
    pub order_by: Vec<(Expr, bool)>,
    /// How far it goes back in Kinesis' language.
    pub extent: Option<Extent>,
    /// What stands behind `LIMIT` in Stream Analytics': `DURATION(unit, length)`.
    pub limit: Option<Box<Expr>>,
    /// The condition behind `WHEN` there.
    pub when: Option<Box<Expr>>,
}

impl Frame {
    /// Whether it says what rows are partitioned by, and nothing else.
    pub(crate) fn only_partitions(&self) -> bool {
        !self.partition_by.is_empty() && self.order_by.is_empty() && self.limit.is_none() && self.when.is_none()
    }
}

/// `WINDOWED BY STAGGER (PARTITION BY … RANGE INTERVAL …)`.
#[derive(Debug, Clone)]
pub(crate) struct Stagger {
    /// Where its length stands.
    pub at: Position,
    pub partition_by: Vec<Expr>,
    pub length_ms: i64,
}

impl Call {
    /// The name with its dots.
    pub(crate) fn full_name(&self) -> String {
        let parts: Vec<&str> = self.name.iter().map(|part| part.text.as_str()).collect();
        parts.join(".")
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Literal {
    Number(String),
    Text(String),
    Boolean(bool),
    Null,
    /// `INTERVAL '1' MINUTE`, in milliseconds.
    Interval(i64),
    /// `TIMESTAMP '2004-09-30 13:48:23'`, `DATE '2004-09-30'`.
    Timestamp(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnaryOperator {
    Not,
    Negate,
    Plus,
    BitNot,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BinaryOperator {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    BitAnd,
    BitOr,
    BitXor,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Concatenate,
}

impl BinaryOperator {
    /// The comparison that says the same with its operands exchanged; what compares no order stays.
    pub fn mirrored(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
            other => other,
        }
    }
}

/// A type as written: `VARCHAR(8)`, `nvarchar(max)`.
#[derive(Debug, Clone)]
pub(crate) struct TypeName {
    /// In upper case: `VARCHAR`, `DOUBLE`.
    pub name: String,
    /// The first number in parentheses.
    pub length: Option<usize>,
    pub at: Position,
}

/// One `SELECT`.
#[derive(Debug, Clone)]
pub(crate) struct Select {
    pub at: Position,
    /// Whether equal rows are given once.
    pub distinct: bool,
    pub items: Vec<SelectItem>,
    pub into: Option<Ident>,
    pub from: From,
    pub predicate: Option<Expr>,
    pub group_by: Vec<Expr>,
    pub stagger: Option<Stagger>,
    /// The windows behind `WINDOW`.
    pub windows: Vec<(Ident, Frame)>,
    /// What the window is called: `System.Window().Id`.
    pub window_id: Option<String>,
    pub having: Option<Expr>,
}

impl Select {
    /// The expressions over rows and groups.
    pub(crate) fn expressions(&self) -> impl Iterator<Item = &Expr> {
        let items = self.items.iter().filter_map(|item| match item {
            SelectItem::Column { value, .. } => Some(value),
            SelectItem::Wildcard { .. } => None,
        });
        items.chain(&self.predicate).chain(&self.group_by).chain(&self.having)
    }
}

/// Several `SELECT`s with `UNION ALL` between them, and the order of all their rows.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    pub selects: Vec<Select>,
    /// What stands behind `ORDER BY` in Kinesis' language, each with whether it descends.
    pub order_by: Vec<(Expr, bool)>,
}

/// What is read.
#[derive(Debug, Clone)]
pub(crate) struct From {
    /// The stream, input or step; of what stands here itself, what it is called in messages.
    pub name: Ident,
    /// Kinesis: what stands here itself, and has no name of its own.
    pub inner: Option<Box<Inner>>,
    pub alias: Option<Ident>,
    /// Kinesis: what the columns of `inner` are called, where the alias says it: `AS t (a, b)`.
    pub columns: Vec<Ident>,
    pub timestamp_by: Option<Expr>,
    /// What stands behind `OVER` there: each has a timeline of its own.
    pub timelines: Vec<Expr>,
    /// What its rows are computed apart by.
    pub partition_by: Vec<Expr>,
    /// In the order in which they stand: a later one may take apart what an earlier one gave.
    pub applies: Vec<Apply>,
    /// Standard: the windows that its rows are in.
    pub windows: Option<WindowTable>,
    /// Kinesis: which of its rows are joined with the current one of the other side.
    pub over: Option<Over>,
    /// What it is joined with, one after the other.
    pub joins: Vec<JoinClause>,
    /// The patterns that are looked for in it. Boxed: few have it.
    pub recognize: Option<Box<Recognize>>,
}

/// `MATCH_RECOGNIZE (…) AS name`.
#[derive(Debug, Clone)]
pub(crate) struct Recognize {
    pub at: Position,
    pub partition_by: Vec<Expr>,
    /// What rows are ordered by in the standard dialect, each with whether it descends: the column that they go by.
    pub order_by: Vec<(Expr, bool)>,
    /// What stands behind `LIMIT`, `DURATION(unit, length)`, or in the standard dialect behind `WITHIN`, an interval.
    pub limit: Option<Expr>,
    pub measures: Vec<(Expr, Ident)>,
    /// Where the next match may begin.
    pub skip: Skip,
    pub pattern: RowPattern,
    /// The conditions behind `DEFINE`, each with the variable that it is of.
    pub define: Vec<(Ident, Expr)>,
    pub alias: Option<Ident>,
}

/// A pattern of rows as written.
#[derive(Debug, Clone)]
pub(crate) enum RowPattern {
    /// A variable, or `.`.
    Row(Ident),
    Sequence(Vec<RowPattern>),
    Either(Vec<RowPattern>),
    /// At least and at most so often.
    Repeat(Box<RowPattern>, usize, Option<usize>),
}

/// What stands in `FROM` itself.
#[derive(Debug, Clone)]
pub(crate) enum Inner {
    /// `(SELECT …)`.
    Query(Query),
    /// `TABLE(function(CURSOR(SELECT …), …))`.
    Table { function: Ident, cursor: Query, arguments: Vec<Expr> },
}

/// `CROSS APPLY GetArrayElements(x) AS name`.
#[derive(Debug, Clone)]
pub(crate) struct Apply {
    /// `OUTER APPLY`.
    pub outer: bool,
    pub function: Ident,
    pub argument: Expr,
    pub alias: Ident,
}

/// `JOIN source ON condition`.
#[derive(Debug, Clone)]
pub(crate) struct JoinClause {
    pub at: Position,
    /// Whether rows of the left, and of the right, are there without a match, too.
    pub outer: [bool; 2],
    pub right: From,
    /// `None`: of a `CROSS JOIN`.
    pub on: Option<Expr>,
}

#[derive(Debug, Clone)]
pub(crate) enum SelectItem {
    /// `*`, `a.*`, `a.b.*`.
    Wildcard {
        prefix: Vec<Ident>,
        at: Position,
    },
    Column {
        value: Expr,
        alias: Option<Ident>,
    },
}

/// A table of the standard dialect as declared: an input or an output.
#[derive(Debug, Clone)]
pub(crate) struct TableSyntax {
    pub name: Ident,
    /// The names of all its columns in the order of the text.
    pub order: Vec<String>,
    /// The fields of its records.
    pub columns: Vec<(Ident, TypeName)>,
    /// The column that is when a record was stored: `METADATA FROM 'timestamp'`.
    pub arrival: Option<Ident>,
    /// Columns that are computed from the others.
    pub computed: Vec<(Ident, Expr)>,
    pub watermark: Option<Watermark>,
}

/// `WATERMARK FOR column AS column - INTERVAL …`.
#[derive(Debug, Clone)]
pub(crate) struct Watermark {
    pub column: Ident,
    pub delay_ms: i64,
}

/// `TABLE(TUMBLE(TABLE t, DESCRIPTOR(time), …))`: the windows that the rows of a table are in.
#[derive(Debug, Clone)]
pub(crate) struct WindowTable {
    pub at: Position,
    /// The column behind `DESCRIPTOR`.
    pub time: Ident,
    /// One; several of CUMULATE.
    pub windows: Vec<WindowKind>,
    pub offset_ms: i64,
    /// What its sessions are apart by.
    pub partition_by: Vec<Expr>,
}

/// A statement of any language.
#[derive(Debug, Clone)]
pub(crate) enum Statement {
    /// `CREATE STREAM name (columns)`; `None`: the columns of what is pumped into it.
    CreateStream { name: Ident, columns: Option<Vec<(Ident, TypeName)>> },
    /// `CREATE PUMP … AS INSERT INTO target (columns) SELECT …`.
    CreatePump { name: Ident, target: Ident, columns: Option<Vec<Ident>>, query: Query },
    /// `INSERT INTO target (columns) SELECT …` of the standard dialect.
    Insert { target: Ident, columns: Option<Vec<Ident>>, query: Query },
    /// `CREATE TABLE input (columns)`.
    CreateTable { name: Ident, columns: Vec<(Ident, TypeName)> },
    /// `CREATE TABLE name (columns, WATERMARK FOR …)` of the standard dialect.
    DeclareTable(Box<TableSyntax>),
    /// `name AS (SELECT …)` behind `WITH`, or `CREATE VIEW name AS SELECT …`.
    With { name: Ident, query: Query },
    /// `SELECT … INTO …`.
    Select(Query),
}

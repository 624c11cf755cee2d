//! The functions of the languages: one table of names, arguments, results and what computes them.
//! Functions with a syntax or a typing of their own (`COALESCE`, `MOD`, …) are in `bind_call.rs`.

use millstream_catalog::QueryDialect;

use super::kernel::Kernel;
use super::{geo, log, number, regex, standard, text, time};
use crate::dialect::syntax::{Call, Over};
use crate::plan::AggregateFunction;
use crate::value::access;

/// A function.
pub(crate) struct Function {
    pub name: &'static str,
    pub dialects: Languages,
    pub arguments: &'static [Argument],
    /// How many of them have to be given; the last may be repeated when there is more room than names.
    pub required: usize,
    pub variadic: bool,
    pub result: Outcome,
    pub kernel: Kernel,
}

/// What a function takes in one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Argument {
    Text,
    /// Anything, turned into text.
    AsText,
    Integer,
    Double,
    /// An integer or a double, as it is.
    Number,
    Timestamp,
    /// The name of a unit of time.
    Unit,
    /// A record or an array, or what may be one.
    Value,
    /// Anything, as a value without a fixed type.
    AsValue,
    /// Anything, as it is.
    Any,
}

/// The type of a function's result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Text,
    Integer,
    Double,
    Timestamp,
    Value,
    /// The first argument's.
    First,
}

/// The languages that have a function.
type Languages = &'static [QueryDialect];

const ALL: Languages = &[QueryDialect::Kinesis, QueryDialect::StreamAnalytics, QueryDialect::Standard];
const BOTH: Languages = &[QueryDialect::Kinesis, QueryDialect::StreamAnalytics];
const KINESIS: Languages = &[QueryDialect::Kinesis];
const STREAM_ANALYTICS: Languages = &[QueryDialect::StreamAnalytics];
const STANDARD: Languages = &[QueryDialect::Standard];
/// Those that follow the SQL standard in names and types.
const CONFORMING: Languages = &[QueryDialect::Kinesis, QueryDialect::Standard];
const AZURE_AND_STANDARD: Languages = &[QueryDialect::StreamAnalytics, QueryDialect::Standard];

/// All functions, by name.
pub(crate) const FUNCTIONS: [Function; 76] = {
    use Argument::{Any, AsText, AsValue, Double, Integer, Number, Text, Timestamp, Unit, Value};
    [
        function("ABS", ALL, &[Number], Outcome::First, number::absolute),
        function("CEIL", CONFORMING, &[Number], Outcome::First, number::ceiling),
        function("CEILING", ALL, &[Number], Outcome::First, number::ceiling),
        function("CHAR_TO_DATE", KINESIS, &[Text, Text], Outcome::Timestamp, time::parse_date),
        function("CHAR_TO_TIMESTAMP", KINESIS, &[Text, Text], Outcome::Timestamp, time::parse_pattern),
        function("CHAR_LENGTH", CONFORMING, &[Text], Outcome::Integer, text::length),
        function("CHARACTER_LENGTH", CONFORMING, &[Text], Outcome::Integer, text::length),
        optional("CHARINDEX", STREAM_ANALYTICS, &[Text, Text, Integer], 2, Outcome::Integer, text::index_of),
        variadic("CONCAT", STREAM_ANALYTICS, &[AsText], Outcome::Text, text::concatenate),
        variadic("CONCAT_WS", STREAM_ANALYTICS, &[Text, AsText], Outcome::Text, text::concatenate_with),
        variadic("CREATELINESTRING", STREAM_ANALYTICS, &[Value], Outcome::Value, geo::line),
        function("CREATEPOINT", STREAM_ANALYTICS, &[Double, Double], Outcome::Value, geo::point),
        variadic("CREATEPOLYGON", STREAM_ANALYTICS, &[Value], Outcome::Value, geo::polygon),
        function("DATE_TO_CHAR", KINESIS, &[Text, Timestamp], Outcome::Text, time::format_pattern),
        function("DATEADD", STREAM_ANALYTICS, &[Unit, Integer, Timestamp], Outcome::Timestamp, time::add),
        function("DATEDIFF", STREAM_ANALYTICS, &[Unit, Timestamp, Timestamp], Outcome::Integer, time::boundaries),
        function("DATENAME", STREAM_ANALYTICS, &[Unit, Timestamp], Outcome::Text, time::part_name),
        function("DATEPART", STREAM_ANALYTICS, &[Unit, Timestamp], Outcome::Integer, time::part),
        function("DATETIMEFROMPARTS", STREAM_ANALYTICS, &[Integer; 7], Outcome::Timestamp, time::from_parts),
        function("EXP", ALL, &[Double], Outcome::Double, number::exponential),
        function("EXTRACT", CONFORMING, &[Unit, Timestamp], Outcome::Integer, time::part),
        function("FLOOR", ALL, &[Number], Outcome::First, number::floor),
        function("GETARRAYELEMENT", STREAM_ANALYTICS, &[Value, Integer], Outcome::Value, access::element),
        function("GETARRAYLENGTH", STREAM_ANALYTICS, &[Value], Outcome::Integer, access::length),
        function("GETRECORDPROPERTYVALUE", STREAM_ANALYTICS, &[Value, Text], Outcome::Value, access::field),
        function("GETTYPE", STREAM_ANALYTICS, &[Any], Outcome::Text, access::type_name),
        function("INITCAP", KINESIS, &[Text], Outcome::Text, text::capitalize),
        function("INITCAP", STANDARD, &[Text], Outcome::Text, standard::initcap),
        function("JSON_PARSE", STREAM_ANALYTICS, &[AsValue], Outcome::Value, access::parse),
        function("LEFT", STREAM_ANALYTICS, &[Text, Integer], Outcome::Text, text::left),
        function("LEN", STREAM_ANALYTICS, &[Text], Outcome::Integer, text::length_without_trailing_blanks),
        function("LN", CONFORMING, &[Double], Outcome::Double, number::natural_logarithm),
        function("LOG10", CONFORMING, &[Double], Outcome::Double, number::decimal_logarithm),
        function("LOWER", ALL, &[Text], Outcome::Text, text::lower),
        function("LTRIM", STREAM_ANALYTICS, &[Text], Outcome::Text, text::trim_start),
        function("NCHAR", STREAM_ANALYTICS, &[Integer], Outcome::Text, text::character),
        optional("OVERLAY", KINESIS, &[Text, Text, Integer, Integer], 3, Outcome::Text, text::overlay),
        optional("OVERLAY", STANDARD, &[Text, Text, Integer, Integer], 3, Outcome::Text, standard::overlay),
        function("PATINDEX", STREAM_ANALYTICS, &[Text, Text], Outcome::Integer, regex::pattern_index),
        function("POSITION", KINESIS, &[Text, Text], Outcome::Integer, text::index_of),
        function("POSITION", STANDARD, &[Text, Text], Outcome::Integer, standard::position),
        function("POWER", CONFORMING, &[Double, Double], Outcome::Double, number::power),
        function("REGEX_REPLACE", KINESIS, &[Text, Text, Text, Integer, Integer], Outcome::Text, regex::replace),
        function("REGEXMATCH", STREAM_ANALYTICS, &[Text, Text], Outcome::Integer, regex::position),
        optional("REGEXP_EXTRACT", STANDARD, &[Text, Text, Integer], 2, Outcome::Text, regex::extract),
        function("REPLACE", STREAM_ANALYTICS, &[Text, Text, Text], Outcome::Text, text::replace),
        function("REPLACE", STANDARD, &[Text, Text, Text], Outcome::Text, text::replace_everywhere),
        function("REPLICATE", STREAM_ANALYTICS, &[Text, Integer], Outcome::Text, text::replicate),
        function("REVERSE", AZURE_AND_STANDARD, &[Text], Outcome::Text, text::reverse),
        function("RIGHT", STREAM_ANALYTICS, &[Text, Integer], Outcome::Text, text::right),
        function("ROUND", STREAM_ANALYTICS, &[Number, Integer], Outcome::First, number::round),
        function("ROUND", STANDARD, &[Number, Integer], Outcome::First, standard::round),
        function("RTRIM", STREAM_ANALYTICS, &[Text], Outcome::Text, text::trim_end),
        function("SIGN", AZURE_AND_STANDARD, &[Number], Outcome::First, number::sign),
        function("SPLIT_INDEX", STANDARD, &[Text, Text, Integer], Outcome::Text, text::split_index),
        function("SQRT", ALL, &[Double], Outcome::Double, number::square_root),
        function("SQUARE", STREAM_ANALYTICS, &[Double], Outcome::Double, number::square),
        function("ST_DISTANCE", STREAM_ANALYTICS, &[Value, Value], Outcome::Double, geo::distance),
        function("ST_INTERSECTS", STREAM_ANALYTICS, &[Value, Value], Outcome::Integer, geo::intersects),
        function("ST_OVERLAPS", STREAM_ANALYTICS, &[Value, Value], Outcome::Integer, geo::overlaps),
        function("ST_WITHIN", STREAM_ANALYTICS, &[Value, Value], Outcome::Integer, geo::within),
        function("STUFF", STREAM_ANALYTICS, &[Text, Integer, Integer, Text], Outcome::Text, text::stuff),
        optional("SUBSTRING", BOTH, &[Text, Integer, Integer], 2, Outcome::Text, text::substring),
        optional("SUBSTRING", STANDARD, &[Text, Integer, Integer], 2, Outcome::Text, standard::substring),
        function("TIMESTAMP_TO_CHAR", KINESIS, &[Text, Timestamp], Outcome::Text, time::format_pattern),
        function("TO_TIMESTAMP", KINESIS, &[Integer], Outcome::Timestamp, time::from_millis),
        function("TRANSLATE", STREAM_ANALYTICS, &[Text, Text, Text], Outcome::Text, text::translate),
        function("TRIM", STREAM_ANALYTICS, &[Text], Outcome::Text, text::trim),
        optional("TRIM", CONFORMING, &[Text, Text], 1, Outcome::Text, text::trim_characters),
        optional("TRIM.BOTH", CONFORMING, &[Text, Text], 1, Outcome::Text, text::trim_characters),
        optional("TRIM.LEADING", CONFORMING, &[Text, Text], 1, Outcome::Text, text::trim_characters_in_front),
        optional("TRIM.TRAILING", CONFORMING, &[Text, Text], 1, Outcome::Text, text::trim_characters_behind),
        function("TSDIFF", KINESIS, &[Timestamp, Timestamp], Outcome::Integer, time::difference),
        function("UNICODE", STREAM_ANALYTICS, &[Text], Outcome::Integer, text::unicode),
        function("UNIX_TIMESTAMP", KINESIS, &[Timestamp], Outcome::Integer, time::to_millis),
        function("UPPER", ALL, &[Text], Outcome::Text, text::upper),
    ]
};

/// Functions with a syntax or a typing of their own, and the languages that have them.
pub(crate) const SPECIAL: [(&str, Languages); 24] = [
    ("COALESCE", ALL),
    ("CONCAT", STANDARD),
    ("DATE_FORMAT", STANDARD),
    ("NULLIF", ALL),
    ("MOD", CONFORMING),
    ("TIMESTAMPDIFF", STANDARD),
    ("TO_TIMESTAMP", STANDARD),
    ("TO_TIMESTAMP_LTZ", STANDARD),
    ("MONOTONIC", KINESIS),
    ("POWER", STREAM_ANALYTICS),
    ("SPACE", STREAM_ANALYTICS),
    ("DAY", STREAM_ANALYTICS),
    ("DAYOFMONTH", STANDARD),
    ("DAYOFWEEK", STANDARD),
    ("DAYOFYEAR", STANDARD),
    ("HOUR", STANDARD),
    ("MINUTE", STANDARD),
    ("MONTH", AZURE_AND_STANDARD),
    ("QUARTER", STANDARD),
    ("SECOND", STANDARD),
    ("WEEK", STANDARD),
    ("YEAR", AZURE_AND_STANDARD),
    ("SYSTEM.TIMESTAMP", STREAM_ANALYTICS),
    ("GETMETADATAPROPERTYVALUE", STREAM_ANALYTICS),
];

/// What Kinesis' language has and this engine does not yet.
const KINESIS_LATER: [&str; 20] = [
    "ANY",
    "CHAR_TO_TIME",
    "CURRENT_DATE",
    "CURRENT_ROW_TIMESTAMP",
    "CURRENT_TIME",
    "CURRENT_TIMESTAMP",
    "EVERY",
    "EXP_AVG",
    "LOCALTIME",
    "LOCALTIMESTAMP",
    "TIME_TO_CHAR",
    "PERIOD",
    "CONTAINS",
    "OVERLAPS",
    "PRECEDES",
    "SUCCEEDS",
    "ROW",
    "TRUNCATE",
    "GREATEST",
    "LEAST",
];

/// What Stream Analytics' language has and this engine does not yet.
const STREAM_ANALYTICS_LATER: [&str; 2] = ["EVENTID", "SYSTEM.WINDOW"];

/// What the standard dialect has and this engine does not yet: functions of time's end, of lists and of JSON, and the windows that
/// `GROUP BY` had before there were tables of them.
const STANDARD_LATER: [&str; 32] = [
    "ARRAY_AGG",
    "COLLECT",
    "CONCAT_WS",
    "CURRENT_DATE",
    "CURRENT_ROW_TIMESTAMP",
    "CURRENT_TIME",
    "CURRENT_TIMESTAMP",
    "CURRENT_WATERMARK",
    "FIRST_VALUE",
    "GREATEST",
    "HOP",
    "HOP_END",
    "HOP_START",
    "IF",
    "JSON_QUERY",
    "JSON_VALUE",
    "LAG",
    "LAST_VALUE",
    "LEAD",
    "LEAST",
    "LEFT",
    "LISTAGG",
    "LOCALTIMESTAMP",
    "LTRIM",
    "NOW",
    "PROCTIME",
    "REGEXP_REPLACE",
    "RIGHT",
    "ROW_NUMBER",
    "RTRIM",
    "SESSION",
    "TUMBLE",
];

/// The function of a name (in upper case) in a language.
pub(crate) fn find(dialect: QueryDialect, name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|function| function.name == name && speaks(dialect, function.dialects))
}

/// Kinesis' functions that give rows, which stand in `FROM`.
pub(crate) const TABLE_FUNCTIONS: [&str; 6] = [
    "COUNT_DISTINCT_ITEMS_TUMBLING",
    "GROUP_RANK",
    "HOTSPOTS",
    "RANDOM_CUT_FOREST",
    "RANDOM_CUT_FOREST_WITH_EXPLANATION",
    "TOP_K_ITEMS_TUMBLING",
];

/// Whether the language has the function, but this engine not yet.
pub(crate) fn is_later(dialect: QueryDialect, name: &str) -> bool {
    match dialect {
        QueryDialect::Kinesis => KINESIS_LATER.contains(&name),
        QueryDialect::StreamAnalytics => STREAM_ANALYTICS_LATER.contains(&name),
        QueryDialect::Standard => STANDARD_LATER.contains(&name),
    }
}

/// The names of a language's functions, aggregates included.
pub(crate) fn names(dialect: QueryDialect) -> impl Iterator<Item = &'static str> {
    let scalar = FUNCTIONS.iter().filter(move |function| speaks(dialect, function.dialects));
    let special = SPECIAL.iter().filter(move |special| speaks(dialect, special.1));
    let aggregates = AGGREGATES.iter().filter(move |aggregate| speaks(dialect, aggregate.1));
    let names = scalar.map(|function| function.name).filter(|name| !name.contains('.'));
    let analytic = ANALYTIC.iter().filter(move |analytic| speaks(dialect, analytic.1)).map(|analytic| analytic.0);
    let listing = LISTING.into_iter().filter(move |name| is_listing(dialect, name));
    let parsers = log::names().filter(move |_| dialect == QueryDialect::Kinesis);
    let aggregates = aggregates.map(|aggregate| aggregate.0).chain(listing).chain(parsers);
    names.chain(special.map(|special| special.0)).chain(aggregates).chain(analytic)
}

/// Stream Analytics' aggregates of a form of their own.
const LISTING: [&str; 5] = ["COLLECT", "COLLECTTOP", "PERCENTILE_CONT", "PERCENTILE_DISC", "TOPONE"];

/// Whether a name (in upper case) is an aggregate of a form of its own.
pub(crate) fn is_listing(dialect: QueryDialect, name: &str) -> bool {
    dialect == QueryDialect::StreamAnalytics && (LISTING.contains(&name) || name.starts_with("UDA."))
}

/// Whether a name (in upper case) is an aggregate.
pub(crate) fn is_aggregate(dialect: QueryDialect, name: &str) -> bool {
    aggregate(dialect, name).is_some() || is_listing(dialect, name)
}

/// Functions that look back from a row.
const ANALYTIC: [(&str, Languages); 8] = [
    ("ANOMALYDETECTION_CHANGEPOINT", STREAM_ANALYTICS),
    ("ANOMALYDETECTION_SPIKEANDDIP", STREAM_ANALYTICS),
    ("FIRST_VALUE", KINESIS),
    ("ISFIRST", STREAM_ANALYTICS),
    ("LAG", BOTH),
    ("LAST", STREAM_ANALYTICS),
    ("LAST_VALUE", KINESIS),
    ("NTH_VALUE", KINESIS),
];

/// Whether a name (in upper case) is a function that always looks back from a row.
pub(crate) fn is_analytic(dialect: QueryDialect, name: &str) -> bool {
    ANALYTIC.iter().any(|known| known.0 == name && speaks(dialect, known.1))
}

/// Whether a call looks back from a row: an analytic function, or an aggregate with `OVER`. Those of a form of their own have `OVER`
/// in windows, too, and look back where it has `LIMIT DURATION`.
pub(crate) fn looks_back(dialect: QueryDialect, call: &Call) -> bool {
    let name = call.full_name().to_uppercase();
    let limited = || matches!(call.over.as_deref(), Some(Over::Window(frame)) if frame.limit.is_some());
    is_analytic(dialect, &name)
        || (call.over.is_some() && aggregate(dialect, &name).is_some())
        || (is_listing(dialect, &name) && limited())
}

/// The aggregate of a name (in upper case) in a language.
pub(crate) fn aggregate(dialect: QueryDialect, name: &str) -> Option<AggregateFunction> {
    let found = AGGREGATES.iter().find(|aggregate| aggregate.0 == name && speaks(dialect, aggregate.1));
    found.map(|aggregate| aggregate.2)
}

const AGGREGATES: [(&str, Languages, AggregateFunction); 13] = [
    ("COUNT", ALL, AggregateFunction::Count),
    ("SUM", ALL, AggregateFunction::Sum),
    ("AVG", ALL, AggregateFunction::Avg),
    ("MIN", ALL, AggregateFunction::Min),
    ("MAX", ALL, AggregateFunction::Max),
    ("STDDEV_SAMP", CONFORMING, AggregateFunction::StdDevSample),
    ("STDDEV_POP", CONFORMING, AggregateFunction::StdDevPopulation),
    ("VAR_SAMP", CONFORMING, AggregateFunction::VarianceSample),
    ("VAR_POP", CONFORMING, AggregateFunction::VariancePopulation),
    ("STDEV", STREAM_ANALYTICS, AggregateFunction::StdDevSample),
    ("STDEVP", STREAM_ANALYTICS, AggregateFunction::StdDevPopulation),
    ("VAR", STREAM_ANALYTICS, AggregateFunction::VarianceSample),
    ("VARP", STREAM_ANALYTICS, AggregateFunction::VariancePopulation),
];

pub(crate) fn speaks(dialect: QueryDialect, dialects: Languages) -> bool {
    dialects.contains(&dialect)
}

const fn function(
    name: &'static str,
    dialects: Languages,
    arguments: &'static [Argument],
    result: Outcome,
    kernel: Kernel,
) -> Function {
    Function { name, dialects, arguments, required: arguments.len(), variadic: false, result, kernel }
}

const fn optional(
    name: &'static str,
    dialects: Languages,
    arguments: &'static [Argument],
    required: usize,
    result: Outcome,
    kernel: Kernel,
) -> Function {
    Function { name, dialects, arguments, required, variadic: false, result, kernel }
}

const fn variadic(
    name: &'static str,
    dialects: Languages,
    arguments: &'static [Argument],
    result: Outcome,
    kernel: Kernel,
) -> Function {
    Function { name, dialects, arguments, required: arguments.len(), variadic: true, result, kernel }
}

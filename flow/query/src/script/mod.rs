//! Functions that a query's owner wrote in JavaScript: `UDF.name(…)`, a value of a row's values, and `UDA.name(…)`, an aggregate of a
//! window's values.
//!
//! Scripts of one query run on a thread of their own (`worker.rs`), each in a world of its own (`machine.rs`) without clock, chance, files
//! or network. Values go in and out as JSON texts. Memory, stack, steps and results are bounded
//! (`bounds.rs`), for each call and for all rows that are computed at once (`batch.rs`). Knows no SQL: what a call means is in
//! `expression/user_defined.rs`.
//!
//! Source: "JavaScript user-defined functions in Azure Stream Analytics" and "Azure Stream Analytics JavaScript user-defined aggregates".

mod batch;
mod bounds;
pub(crate) mod call;
mod machine;
mod worker;

use std::fmt;
use std::hash::BuildHasher as _;
use std::sync::Arc;

use foldhash::fast::FixedState;
use millstream_catalog::{QueryFunction, QueryFunctionKind, ValueType};

pub(crate) use batch::Batch;
use bounds::Bounds;
pub(crate) use machine::Answer;
use worker::Worker;

/// The most functions of one query.
pub const FUNCTIONS_MAX: usize = 60;

/// The longest script, bytes.
pub const SCRIPT_BYTES_MAX: usize = 100 * 1024;

/// The functions of one query, and what runs them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Functions(Vec<Arc<UserFunction>>);

/// A function of a query.
pub(crate) struct UserFunction {
    pub(crate) kind: QueryFunctionKind,
    pub(crate) name: String,
    /// The types of its arguments; nothing: any number of any type.
    pub(crate) arguments: Vec<ValueType>,
    pub(crate) result: ValueType,
    /// Its place among those of its worker.
    place: usize,
    /// The same for the same script and types: plans are told apart by it.
    print: u64,
    worker: Arc<Worker>,
}

/// A function that cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("function `{name}`: {reason}")]
pub struct FunctionError {
    /// The function.
    pub name: String,
    /// What was expected and what was found.
    pub reason: String,
}

/// Why a script gave no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ScriptError {
    /// This row, or group, has none.
    Row(String),
    /// The query cannot go on.
    Query(String),
}

impl Functions {
    pub(crate) fn new(definitions: &[QueryFunction]) -> Self {
        Self::bounded(definitions, Bounds::default())
    }

    fn bounded(definitions: &[QueryFunction], bounds: Bounds) -> Self {
        let worker = Arc::new(Worker::new(definitions.to_vec(), bounds));
        let function = |(place, definition): (usize, &QueryFunction)| {
            Arc::new(UserFunction {
                kind: definition.kind,
                name: definition.name.clone(),
                arguments: definition.arguments.clone(),
                result: definition.result,
                place,
                print: FixedState::with_seed(0).hash_one(format!("{definition:?}")),
                worker: Arc::clone(&worker),
            })
        };
        Self(definitions.iter().enumerate().map(function).collect())
    }

    /// The function that a call names: `UDF.` or `UDA.` and the function's name, whose case does not count.
    pub(crate) fn find(&self, name: &str) -> Option<&Arc<UserFunction>> {
        let (kind, name) = name.split_once('.')?;
        let kind = match kind {
            _ if kind.eq_ignore_ascii_case("UDF") => QueryFunctionKind::Scalar,
            _ if kind.eq_ignore_ascii_case("UDA") => QueryFunctionKind::Aggregate,
            _ => return None,
        };
        self.0.iter().find(|function| function.kind == kind && function.name.eq_ignore_ascii_case(name))
    }
}

impl fmt::Debug for UserFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{:x}", self.called(), self.print)
    }
}

impl PartialEq for UserFunction {
    fn eq(&self, other: &Self) -> bool {
        (self.kind, &self.name, self.print) == (other.kind, &other.name, other.print)
    }
}

impl Eq for UserFunction {}

impl UserFunction {
    /// As a query calls it: `UDF.name`.
    pub(crate) fn called(&self) -> String {
        let prefix = match self.kind {
            QueryFunctionKind::Scalar => "UDF",
            QueryFunctionKind::Aggregate => "UDA",
        };
        format!("{prefix}.{}", self.name)
    }

    /// The results of calls: `rows` holds each call's arguments as a JSON array, in which times, at the places `times`, are milliseconds.
    /// A result is a JSON text; `None` is NULL. The first call that fails ends it.
    pub(crate) fn call(&self, rows: Vec<String>, times: Vec<usize>) -> Result<Vec<Option<String>>, ScriptError> {
        self.worker.call(self.place, rows, times)
    }

    /// The results of groups: each group's values as JSON texts with their times.
    pub(crate) fn aggregate(&self, groups: Vec<Vec<(i64, String)>>) -> Vec<Answer> {
        self.worker.aggregate(self.place, groups)
    }

    /// Whether its first argument is a point in time, which values are then milliseconds of.
    pub(crate) fn takes_time(&self) -> bool {
        self.arguments.first() == Some(&ValueType::DateTime)
    }
}

/// Holds functions to what a query may have: names that do not repeat, scripts that can be read and define a function. Runs the scripts'
/// outermost statements: work for a thread that may be busy.
///
/// # Errors
/// [`FunctionError`] of the first that is wrong.
pub fn check_functions(functions: &[QueryFunction]) -> Result<(), FunctionError> {
    let wrong = |function: &QueryFunction, reason: String| FunctionError { name: function.name.clone(), reason };
    for (place, function) in functions.iter().enumerate() {
        if place == FUNCTIONS_MAX {
            return Err(wrong(function, format!("a query has at most {FUNCTIONS_MAX} functions")));
        }
        let allowed = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_');
        if function.name.is_empty() || !function.name.chars().all(allowed) {
            return Err(wrong(function, "expected a name of letters, digits, hyphens and underscores".to_owned()));
        }
        if functions[..place].iter().any(|before| before.name.eq_ignore_ascii_case(&function.name)) {
            return Err(wrong(function, "there is another function of that name".to_owned()));
        }
        if function.script.len() > SCRIPT_BYTES_MAX {
            let found = function.script.len();
            return Err(wrong(function, format!("its script has {found} bytes, at most {SCRIPT_BYTES_MAX} are taken")));
        }
        if function.kind == QueryFunctionKind::Aggregate && function.arguments.len() > 1 {
            let found = function.arguments.len();
            return Err(wrong(function, format!("an aggregate takes one argument, found {found}")));
        }
    }
    if functions.is_empty() {
        return Ok(());
    }
    worker::check(functions, Bounds::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scalar(name: &str, script: &str) -> QueryFunction {
        QueryFunction {
            name: name.to_owned(),
            kind: QueryFunctionKind::Scalar,
            script: script.to_owned(),
            arguments: Vec::new(),
            result: ValueType::Any,
        }
    }

    fn aggregate(name: &str, script: &str) -> QueryFunction {
        QueryFunction { kind: QueryFunctionKind::Aggregate, ..scalar(name, script) }
    }

    /// The result of one call.
    fn called(script: &str, arguments: &str) -> Result<Option<String>, ScriptError> {
        let functions = Functions::new(&[scalar("f", script)]);
        let results = functions.find("udf.F").unwrap().call(vec![arguments.to_owned()], Vec::new())?;
        Ok(results.into_iter().next().unwrap())
    }

    fn value(script: &str, arguments: &str) -> String {
        called(script, arguments).unwrap().unwrap_or_else(|| "NULL".to_owned())
    }

    fn failure(script: &str, arguments: &str) -> String {
        match called(script, arguments) {
            Err(ScriptError::Row(reason)) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_script_is_a_function_of_any_form() {
        for script in [
            "function (a, b) { return a + b; }",
            "(a, b) => a + b",
            "// adds\nfunction f(a, b) { return a + b; }",
            "function main(a, b) { return plus(a, b); } function plus(a, b) { return a + b; }",
            "function plus(a, b) { return a + b }; function F() {} function main(a, b) { return plus(a, b); }",
            "const main = (a, b) => a + b;",
            "function other(a, b) { return a + b; };",
        ] {
            assert_eq!(value(script, "[1,2]"), "3", "{script}");
        }
    }

    #[test]
    fn values_keep_their_types() {
        let same = "function f(x) { return x; }";
        for json in ["5", "2.5", "-7", "\"é\\n\"", "true", "{\"a\":{\"b\":[1,null]}}", "[1,\"x\"]"] {
            assert_eq!(value(same, &format!("[{json}]")), json);
        }
        assert_eq!(value(same, "[null]"), "NULL");
        assert_eq!(value("function f() {}", "[]"), "NULL");
        // A number that is whole is a bigint, and what is no number is NULL.
        assert_eq!(value("function f(x) { return x / 2; }", "[10]"), "5");
        assert_eq!(value("function f(x) { return parseInt(x, 16); }", "[\"ff\"]"), "255");
        assert_eq!(value("function f(x) { return parseInt(x, 16); }", "[\"zz\"]"), "NULL");
        for script in ["function f() { return f; }", "() => Symbol.iterator", "() => new Error('x')", "() => 5n"] {
            assert!(failure(script, "[]").contains("is no value of a query"), "{script}");
        }
        assert!(failure("() => '\\ud800'", "[]").contains("half a surrogate pair"));
        assert!(
            failure("() => { let a = []; for (let i = 0; i < 99; i++) a = [a]; return a }", "[]").contains("64 deep")
        );
    }

    #[test]
    fn times_are_dates_in_utc() {
        let functions =
            Functions::new(&[scalar("f", "d => d.getHours() + ':' + d.getTimezoneOffset() + d.toISOString()")]);
        let results = functions.find("UDF.f").unwrap().call(vec!["[3600000]".into()], vec![0]).unwrap();
        assert_eq!(results, [Some("\"1:01970-01-01T01:00:00.000Z\"".to_owned())]);
        assert_eq!(value("() => new Date(2020, 0, 2, 3)", "[]"), "\"2020-01-02T03:00:00.000Z\"");
        assert_eq!(value("() => new Date('2020-01-02T03:04:05')", "[]"), "\"2020-01-02T03:04:05.000Z\"");
        assert_eq!(value("() => new Date('2020-01-02T03:04:05+01:00')", "[]"), "\"2020-01-02T02:04:05.000Z\"");
        assert_eq!(value("() => new Date('x')", "[]"), "NULL");
    }

    #[test]
    fn there_is_no_clock_and_no_chance() {
        for script in ["() => Math.random()", "() => Date.now()", "() => new Date()", "() => Date()"] {
            assert!(failure(script, "[]").contains("another row"), "{script}");
        }
        let hidden = "() => typeof performance + typeof setTimeout + typeof std + typeof require";
        assert_eq!(value(hidden, "[]"), "\"undefinedundefinedundefinedundefined\"");
    }

    #[test]
    fn an_error_is_its_rows() {
        assert_eq!(failure("x => { throw new Error('no ' + x) }", "[5]"), "UDF.f: Error: no 5");
        assert_eq!(failure("x => { throw 'plain' }", "[5]"), "UDF.f: plain");
        assert!(failure("x => x.y.z", "[5]").starts_with("UDF.f: TypeError: "));
    }

    #[test]
    fn memory_stack_steps_and_results_are_bounded() {
        assert!(failure("() => { for (;;); }", "[]").contains("more than"));
        assert!(failure("() => { try { for (;;); } catch { return 1 } }", "[]").contains("more than"));
        assert!(failure("() => /^(a+)+$/.test('a'.repeat(40) + 'b')", "[]").contains("more than"));
        assert!(failure("function f() { return f() + 1; }", "[]").contains("stack"));
        assert!(
            failure("() => { const all = []; for (;;) all.push(new Array(1e5).fill(1)) }", "[]").contains("memory")
        );
        assert!(failure("() => 'x'.repeat(2e6)", "[]").contains("bytes"));
        // What failed does not spoil what comes behind it.
        let functions = Functions::new(&[scalar("f", "x => { if (x) for (;;); return 1 }")]);
        let function = functions.find("UDF.f").unwrap();
        assert!(function.call(vec!["[1]".into()], Vec::new()).is_err());
        assert_eq!(function.call(vec!["[0]".into()], Vec::new()), Ok(vec![Some("1".to_owned())]));
    }

    #[test]
    fn scripts_that_never_end_fail_their_rows_and_the_query_goes_on() {
        let bounds = Bounds { call_polls: 128, ..Bounds::default() };
        let functions = Functions::bounded(&[scalar("f", "x => { for (let i = 0; i < x; i++); return 1 }")], bounds);
        let function = functions.find("UDF.f").unwrap();
        let call = |steps: &str| function.call(vec![format!("[{steps}]")], Vec::new());
        let reason = |steps: &str| match call(steps) {
            Err(ScriptError::Row(reason)) => reason,
            other => panic!("{other:?}"),
        };
        assert!(reason("1e9").contains("1280000 steps"));
        let reasons: Vec<String> = (0..62).map(|_| reason("1e9")).collect();
        // The more overrun one behind the other, the less each takes.
        assert!(reasons[7].contains("640000 steps, which is what a row has after 8"), "{}", reasons[7]);
        assert!(reasons[61].contains(" 20000 steps"), "{}", reasons[61]);
        // Rows of many steps are computed again in the end, and after one that went well.
        assert!(reason("2e5").contains(" 20000 steps"));
        assert_eq!(call("2e5"), Ok(vec![Some("1".to_owned())]));
        assert_eq!(call("2e5"), Ok(vec![Some("1".to_owned())]));
    }

    #[test]
    fn what_a_batch_may_take_is_counted_for_its_rows_one_by_one_too() {
        let bounds = Bounds { results_bytes: 100, batch_polls: 50, ..Bounds::default() };
        let script = "(n, steps) => { for (let i = 0; i < steps; i++); return 'a'.repeat(n) }";
        let functions = Functions::bounded(&[scalar("f", script)], bounds);
        let function = functions.find("UDF.f").unwrap();
        let one = |row: &str| function.call(vec![row.to_owned()], Vec::new());
        let fails = |row: &str, why: &str| matches!(one(row), Err(ScriptError::Row(reason)) if reason.contains(why));
        assert!(one("[60,0]").is_ok() && one("[60,0]").is_ok(), "each is a batch");
        let all = function.call(vec!["[60,0]".to_owned(), "[60,0]".to_owned()], Vec::new());
        assert!(matches!(all, Err(ScriptError::Row(_))), "{all:?}");
        let batch = Batch::begin();
        assert!(one("[60,0]").is_ok() && fails("[60,0]", "results of more than 100 bytes") && one("[10,0]").is_ok());
        assert_eq!(one("[1,150000]"), Ok(vec![Some("\"a\"".to_owned())]));
        for row in ["[1,150000]", "[1,0]"] {
            assert!(fails(row, "500000 steps"), "{row}: {:?}", one(row));
        }
        drop(batch);
        assert!(one("[60,0]").is_ok());
    }

    #[test]
    fn groups_beyond_what_a_batch_may_take_fail_alone() {
        let script = "function () { this.init = () => { this.n = 0 }; this.accumulate = n => { this.n += n };
            this.computeResult = () => 'a'.repeat(this.n); }";
        let bounds = Bounds { results_bytes: 100, ..Bounds::default() };
        let functions = Functions::bounded(&[aggregate("a", script)], bounds);
        let group = |n: u32| vec![(1, n.to_string())];
        let answers = functions.find("UDA.a").unwrap().aggregate(vec![group(60), group(60), group(10)]);
        assert!(answers[0].is_ok() && matches!(answers[1], Err(ScriptError::Row(_))) && answers[2].is_ok());
    }

    #[test]
    fn calls_without_end_that_take_few_steps_end_too() {
        use std::time::Duration;
        // Built-in functions take time and no steps.
        let script = "x => { const all = 'a'.repeat(3e4); while (x) all.indexOf('b'); return 1 }";
        let late = Bounds { call_time: Duration::from_millis(50), call_polls: u32::MAX, ..Bounds::default() };
        let functions = Functions::bounded(&[scalar("f", script)], late);
        let failed = functions.find("UDF.f").unwrap().call(vec!["[1]".to_owned()], Vec::new());
        assert!(matches!(&failed, Err(ScriptError::Row(why)) if why.contains("more than 50ms")), "{failed:?}");
        let endless = "() => { const all = 'a'.repeat(3e6); for (;;) all.indexOf('b') }";
        let patient = Bounds { patience: Duration::from_millis(100), ..Bounds::default() };
        let functions = Functions::bounded(&[scalar("f", endless)], patient);
        for _ in 0..2 {
            let failed = functions.find("UDF.f").unwrap().call(vec!["[1]".to_owned()], Vec::new());
            assert!(matches!(&failed, Err(ScriptError::Query(why)) if why.contains("did not end")), "{failed:?}");
        }
        let refused = worker::check(&[scalar("a", "x => x"), scalar("b", &format!("({endless})()"))], patient);
        assert!(matches!(&refused, Err(error) if error.name == "b" && error.reason.contains("did not end")));
    }

    #[test]
    fn functions_do_not_see_each_other() {
        let functions = Functions::new(&[
            scalar("a", "function main() { return typeof helper; }"),
            scalar("b", "function helper() {} function main() { return 'b'; }"),
        ]);
        let result = |name: &str| functions.find(name).unwrap().call(vec!["[]".into()], Vec::new()).unwrap();
        assert_eq!(
            (result("UDF.a"), result("UDF.b")),
            (vec![Some("\"undefined\"".into())], vec![Some("\"b\"".into())])
        );
        assert!(functions.find("UDA.a").is_none() && functions.find("a").is_none());
    }

    #[test]
    fn an_aggregate_sees_values_with_their_times() {
        let script = "function main() {
            this.init = function () { this.all = []; };
            this.accumulate = function (value, timestamp) { this.all.push(value + '@' + timestamp.getTime()); };
            this.computeResult = function () { result = this.all.join(); return result; };
        }";
        let functions = Functions::new(&[aggregate("joined", script)]);
        let function = functions.find("uda.joined").unwrap();
        let groups = vec![vec![(1, "5".to_owned()), (2, "null".to_owned())], vec![(7, "\"x\"".to_owned())], Vec::new()];
        let results: Vec<_> = function.aggregate(groups).into_iter().map(|result| result.unwrap().unwrap()).collect();
        assert_eq!(results, ["\"5@1,null@2\"", "\"x@7\"", "\"\""]);
    }

    #[test]
    fn what_is_no_function_is_refused() {
        let reason = |function: QueryFunction| check_functions(&[function]).unwrap_err().to_string();
        assert_eq!(check_functions(&[scalar("f", "x => x"), scalar("g", "x => x")]), Ok(()));
        assert!(reason(scalar("f", "function (")).starts_with("function `f`: SyntaxError: "));
        assert!(reason(scalar("f", "var x = 5;")).contains("expected a function"));
        assert!(reason(scalar("f", "for (;;);")).contains("more than"));
        assert!(reason(scalar("a b", "x => x")).contains("expected a name"));
        assert!(reason(scalar("f", &" ".repeat(SCRIPT_BYTES_MAX + 1))).contains("at most"));
        assert!(reason(aggregate("a", "function main() { this.init = () => 0; }")).contains("accumulate"));
        let twice = check_functions(&[scalar("f", "x => x"), aggregate("F", "x => x")]).unwrap_err();
        assert_eq!(twice.reason, "there is another function of that name");
    }
}

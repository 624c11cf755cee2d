//! Scripts at work: one engine with a world for each function, bounds on what a call takes, values in and out as JSON.

use std::cell::Cell;
use std::rc::Rc;

use millstream_catalog::{QueryFunction, QueryFunctionKind, ValueType};
use rquickjs::context::{EvalOptions, intrinsic};
use rquickjs::{
    CatchResultExt as _, CaughtError, Coerced, Context, Ctx, FromJs, Function, Object, Persistent, Runtime, Value,
};

use super::{FunctionError, ScriptError};
use crate::decode;

/// What stands in a world before its script.
const PRELUDE: &str = include_str!("prelude.js");

/// Memory of all functions of a query together.
const MEMORY_BYTES_MAX: usize = 64 << 20;
/// The stack of a script: far below that of the thread.
const STACK_BYTES_MAX: usize = 512 << 10;
/// The engine looks at the meter once in so many steps: calls, and turns of loops.
const POLL_STEPS: u32 = 10_000;
/// Polls that one call may take: some tenths of a second. Counted and not timed, so that the same rows fail on any machine.
const CALL_POLLS_MAX: u32 = 1_000;
/// Polls that all calls for the rows which are computed at once may take: a minute.
const BATCH_POLLS_MAX: u32 = 200_000;
/// Calls that took too many steps, after which the query stops: rows that fail one by one would hold it up for ever.
const OVERRUNS_MAX: u32 = 32;
/// The longest result as JSON, bytes.
const RESULT_BYTES_MAX: usize = 1 << 20;
/// What the results of one batch may be together, bytes.
const RESULTS_BYTES_MAX: usize = 64 << 20;
/// Characters of a script's message that are told.
const MESSAGE_CHARS_MAX: usize = 300;

/// The outcome of a call or a group: JSON, or NULL.
pub(crate) type Answer = Result<Option<String>, ScriptError>;

/// The functions of a query, ready to be called. Dropped in this order: what lives in the engine before the engine.
pub(super) struct Machine {
    worlds: Vec<World>,
    meter: Rc<Meter>,
    overruns: u32,
    _runtime: Runtime,
}

/// A function with what is global to it.
struct World {
    /// As a query calls it.
    called: String,
    /// What the prelude made of the script.
    driver: Persistent<Object<'static>>,
    context: Context,
}

/// How many polls were taken.
#[derive(Default)]
struct Meter {
    call: Cell<u32>,
    batch: Cell<u32>,
}

impl Meter {
    /// Counts one; says whether that is too many.
    fn poll(&self) -> bool {
        self.call.set(self.call.get() + 1);
        self.batch.set(self.batch.get() + 1);
        self.overran() || self.batch.get() > BATCH_POLLS_MAX
    }

    fn overran(&self) -> bool {
        self.call.get() > CALL_POLLS_MAX
    }
}

impl Machine {
    /// Reads the scripts and runs their outermost statements.
    pub(super) fn new(functions: &[QueryFunction]) -> Result<Self, FunctionError> {
        let name = functions.first().map(|function| function.name.clone()).unwrap_or_default();
        let runtime = Runtime::new().map_err(|error| FunctionError { name, reason: error.to_string() })?;
        runtime.set_memory_limit(MEMORY_BYTES_MAX);
        runtime.set_max_stack_size(STACK_BYTES_MAX);
        let meter = Rc::new(Meter::default());
        let polled = Rc::clone(&meter);
        runtime.set_interrupt_handler(Some(Box::new(move || polled.poll())));
        let world = |function: &QueryFunction| {
            World::new(&runtime, function, &meter)
                .map_err(|reason| FunctionError { name: function.name.clone(), reason })
        };
        let worlds = functions.iter().map(world).collect::<Result<_, _>>()?;
        Ok(Self { worlds, meter, overruns: 0, _runtime: runtime })
    }

    /// Calls a function for each row; the first call that fails is the last.
    pub(super) fn call(&mut self, place: usize, rows: &[String], times: &[usize]) -> Result<Vec<Answer>, ScriptError> {
        let times: Vec<u32> = times.iter().map(|place| *place as u32).collect();
        self.answers(
            place,
            rows,
            |ctx, driver, row: &String| {
                let call: Function = driver.get("call").catch(ctx)?;
                let called = if times.is_empty() {
                    call.call((row.as_str(),))
                } else {
                    call.call((row.as_str(), times.clone()))
                };
                called.catch(ctx)
            },
            true,
        )
    }

    /// Computes a function of each group.
    pub(super) fn aggregate(
        &mut self,
        place: usize,
        groups: &[Vec<(i64, String)>],
    ) -> Result<Vec<Answer>, ScriptError> {
        let meter = Rc::clone(&self.meter);
        self.answers(
            place,
            groups,
            |ctx, driver, group: &Vec<(i64, String)>| {
                let method = |name: &str| driver.get::<_, Function>(name).catch(ctx);
                let (begin, add, result) = (method("begin")?, method("add")?, method("result")?);
                begin.call::<_, ()>(()).catch(ctx)?;
                for (time, value) in group {
                    meter.call.set(0);
                    add.call::<_, Value>((value.as_str(), *time as f64)).catch(ctx)?;
                }
                meter.call.set(0);
                result.call(()).catch(ctx)
            },
            false,
        )
    }

    /// The outcome for each of some items; `stops`: none behind the first that fails.
    fn answers<T>(
        &mut self,
        place: usize,
        items: &[T],
        compute: impl for<'js> Fn(&Ctx<'js>, &Object<'js>, &T) -> Result<Option<String>, CaughtError<'js>>,
        stops: bool,
    ) -> Result<Vec<Answer>, ScriptError> {
        let defect = |error: rquickjs::Error| ScriptError::Query(error.to_string());
        let world = self.worlds.get(place).ok_or_else(|| ScriptError::Query("there is no such function".to_owned()))?;
        let (meter, overruns, called) = (&self.meter, &mut self.overruns, &world.called);
        meter.batch.set(0);
        world.context.with(|ctx| {
            let driver = world.driver.clone().restore(&ctx).map_err(defect)?;
            let (mut answers, mut bytes) = (Vec::with_capacity(items.len()), 0);
            for item in items {
                meter.call.set(0);
                let computed = compute(&ctx, &driver, item).map_err(|error| reason(&ctx, error));
                // What it has left to be done later is done now or never.
                while !meter.overran() && ctx.execute_pending_job() {}
                let answer = if meter.overran() {
                    *overruns += 1;
                    Err(overrun(called, *overruns))
                } else {
                    computed.and_then(checked).map_err(|reason| ScriptError::Row(format!("{called}: {reason}")))
                };
                bytes += answer.as_ref().map_or(0, |json| json.as_ref().map_or(0, String::len));
                if let Some(beyond) = beyond_batch(meter, bytes) {
                    return Err(ScriptError::Query(format!("{called}: {beyond} for rows that are computed at once")));
                }
                let failed = answer.is_err();
                answers.push(answer);
                if stops && failed {
                    break;
                }
            }
            Ok(answers)
        })
    }
}

/// What is too much of all calls for the rows that are computed at once.
fn beyond_batch(meter: &Meter, bytes: usize) -> Option<String> {
    if meter.batch.get() > BATCH_POLLS_MAX {
        return Some(format!("more than {} steps", u64::from(BATCH_POLLS_MAX) * u64::from(POLL_STEPS)));
    }
    (bytes > RESULTS_BYTES_MAX).then(|| format!("results of more than {RESULTS_BYTES_MAX} bytes"))
}

impl World {
    fn new(runtime: &Runtime, function: &QueryFunction, meter: &Meter) -> Result<Self, String> {
        use intrinsic::{Date, Eval, Json, MapSet, Promise, Proxy, RegExp, RegExpCompiler, TypedArrays};
        type Builtins = (Date, Eval, RegExpCompiler, RegExp, Json, Proxy, MapSet, TypedArrays, Promise);
        let context = Context::custom::<Builtins>(runtime).map_err(|error| error.to_string())?;
        meter.call.set(0);
        meter.batch.set(0);
        let made = context.with(|ctx| {
            let driver = driver(&ctx, function).map_err(|error| reason(&ctx, error));
            driver.map(|driver| Persistent::save(&ctx, driver))
        });
        let limit = || format!("its script takes more than {} steps to be read", CALL_POLLS_MAX * POLL_STEPS);
        let driver = made.map_err(|reason| if meter.overran() { limit() } else { reason })?;
        let prefix = match function.kind {
            QueryFunctionKind::Scalar => "UDF",
            QueryFunctionKind::Aggregate => "UDA",
        };
        Ok(Self { called: format!("{prefix}.{}", function.name), driver, context })
    }
}

/// What the prelude makes of a script: of the function that it is, or of one that its statements define.
fn driver<'js>(ctx: &Ctx<'js>, function: &QueryFunction) -> Result<Object<'js>, CaughtError<'js>> {
    let tools: Object = evaluated(ctx, PRELUDE.to_owned())?;
    let method = |name: &str| tools.get::<_, Function>(name).catch(ctx);
    let entry: Value = match evaluated(ctx, format!("(\n{}\n)", function.script)) {
        Ok(entry) => entry,
        Err(CaughtError::Exception(error)) if name_of(&error).as_deref() == Some("SyntaxError") => {
            evaluated::<Value>(ctx, function.script.clone())?;
            method("find")?.call((function.name.as_str(),)).catch(ctx)?
        }
        Err(error) => return Err(error),
    };
    let takes_time = function.arguments.first() == Some(&ValueType::DateTime);
    match function.kind {
        QueryFunctionKind::Scalar => method("scalar")?.call((entry,)).catch(ctx),
        QueryFunctionKind::Aggregate => method("aggregate")?.call((entry, takes_time)).catch(ctx),
    }
}

fn evaluated<'js, V: FromJs<'js>>(ctx: &Ctx<'js>, script: String) -> Result<V, CaughtError<'js>> {
    let mut options = EvalOptions::default();
    // As the service reads them: a name that is not declared is global.
    options.strict = false;
    ctx.eval_with_options(script, options).catch(ctx)
}

fn name_of(error: &rquickjs::Exception) -> Option<String> {
    error.as_object().get::<_, String>("name").ok()
}

/// What a script's error says.
fn reason<'js>(ctx: &Ctx<'js>, error: CaughtError<'js>) -> String {
    let text = match error {
        CaughtError::Exception(error) => {
            let (name, message) = (name_of(&error), error.message().unwrap_or_default());
            format!("{}: {message}", name.unwrap_or_else(|| "Error".to_owned()))
        }
        CaughtError::Value(value) => {
            value.get::<Coerced<String>>().catch(ctx).map_or_else(|_| "an exception".to_owned(), |text| text.0)
        }
        CaughtError::Error(error) => error.to_string(),
    };
    text.chars().take(MESSAGE_CHARS_MAX).collect()
}

fn overrun(called: &str, overruns: u32) -> ScriptError {
    let message = format!("{called} took more than {} steps", CALL_POLLS_MAX * POLL_STEPS);
    if overruns < OVERRUNS_MAX {
        return ScriptError::Row(message);
    }
    ScriptError::Query(format!("{message}, for {overruns} rows since the query began"))
}

/// A result that a query takes.
fn checked(json: Option<String>) -> Result<Option<String>, String> {
    let Some(json) = json else { return Ok(None) };
    if json.len() > RESULT_BYTES_MAX {
        return Err(format!("its result has {} bytes, at most {RESULT_BYTES_MAX} are taken", json.len()));
    }
    if !json.starts_with(['{', '[', '"']) {
        return Ok(Some(json));
    }
    let wrong = || "its result nests more than 64 deep, or has half a surrogate pair".to_owned();
    decode::json::parse(&json).map(Some).ok_or_else(wrong)
}

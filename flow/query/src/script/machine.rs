//! Scripts at work: one engine with a world for each function, bounds on what a call takes, values in and out as JSON.

use std::cell::Cell;
use std::rc::Rc;

use millstream_catalog::{QueryFunction, QueryFunctionKind, ValueType};
use rquickjs::context::{EvalOptions, intrinsic};
use rquickjs::{
    CatchResultExt as _, CaughtError, Coerced, Context, Ctx, FromJs, Function, Object, Persistent, Runtime, Value,
};

use super::bounds::{Bounds, Meter, Watch};
use super::{FunctionError, ScriptError};
use crate::decode;

/// What stands in a world before its script.
const PRELUDE: &str = include_str!("prelude.js");

/// Memory of all functions of a query together.
const MEMORY_BYTES_MAX: usize = 64 << 20;
/// The stack of a script: far below that of the thread.
const STACK_BYTES_MAX: usize = 512 << 10;
/// The longest result as JSON, bytes.
const RESULT_BYTES_MAX: usize = 1 << 20;
/// Characters of a script's message that are told.
const MESSAGE_CHARS_MAX: usize = 300;

/// The outcome of a call or a group: JSON, or NULL.
pub(crate) type Answer = Result<Option<String>, ScriptError>;

/// The functions of a query, ready to be called. Dropped in this order: what lives in the engine before the engine.
pub(super) struct Machine {
    worlds: Vec<World>,
    meter: Rc<Meter>,
    bounds: Bounds,
    _runtime: Runtime,
}

/// A function with what is global to it.
struct World {
    /// As a query calls it.
    called: String,
    /// What the prelude made of the script.
    driver: Persistent<Object<'static>>,
    context: Context,
    /// What its calls for the latest batch took.
    taken: Cell<Taken>,
}

/// What the calls for a batch took so far.
#[derive(Debug, Default, Clone, Copy)]
struct Taken {
    batch: Option<u64>,
    polls: u32,
    bytes: usize,
}

impl Machine {
    /// Reads the scripts and runs their outermost statements.
    pub(super) fn new(functions: &[QueryFunction], bounds: Bounds, watch: Watch) -> Result<Self, FunctionError> {
        let name = functions.first().map(|function| function.name.clone()).unwrap_or_default();
        let runtime = Runtime::new().map_err(|error| FunctionError { name, reason: error.to_string() })?;
        runtime.set_memory_limit(MEMORY_BYTES_MAX);
        runtime.set_max_stack_size(STACK_BYTES_MAX);
        let meter = Rc::new(Meter::new(bounds, watch));
        let polled = Rc::clone(&meter);
        runtime.set_interrupt_handler(Some(Box::new(move || polled.poll())));
        let world = |function: &QueryFunction| {
            World::new(&runtime, function, &meter)
                .map_err(|reason| FunctionError { name: function.name.clone(), reason })
        };
        let worlds = functions.iter().map(world).collect::<Result<_, _>>()?;
        Ok(Self { worlds, meter, bounds, _runtime: runtime })
    }

    /// Calls a function for each row; the first call that fails is the last. Calls with the same `batch` are counted together.
    pub(super) fn call(
        &mut self,
        place: usize,
        rows: &[String],
        times: &[usize],
        batch: Option<u64>,
    ) -> Result<Vec<Answer>, ScriptError> {
        let times: Vec<u32> = times.iter().map(|place| *place as u32).collect();
        self.answers(
            (place, batch),
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
            (place, None),
            groups,
            |ctx, driver, group: &Vec<(i64, String)>| {
                let method = |name: &str| driver.get::<_, Function>(name).catch(ctx);
                let (begin, add, result) = (method("begin")?, method("add")?, method("result")?);
                begin.call::<_, ()>(()).catch(ctx)?;
                for (time, value) in group {
                    meter.begin();
                    add.call::<_, Value>((value.as_str(), *time as f64)).catch(ctx)?;
                }
                meter.begin();
                result.call(()).catch(ctx)
            },
            false,
        )
    }

    /// The outcome for each of some items; `stops`: none behind the first that fails.
    fn answers<T>(
        &mut self,
        (place, batch): (usize, Option<u64>),
        items: &[T],
        compute: impl for<'js> Fn(&Ctx<'js>, &Object<'js>, &T) -> Result<Option<String>, CaughtError<'js>>,
        stops: bool,
    ) -> Result<Vec<Answer>, ScriptError> {
        let defect = |error: rquickjs::Error| ScriptError::Query(error.to_string());
        let world = self.worlds.get(place).ok_or_else(|| ScriptError::Query("there is no such function".to_owned()))?;
        let (meter, bounds) = (&self.meter, &self.bounds);
        let before = world.taken.get();
        let mut taken =
            if batch.is_some() && before.batch == batch { before } else { Taken { batch, ..Taken::default() } };
        meter.resume(taken.polls);
        let answers = world.context.with(|ctx| {
            let driver = world.driver.clone().restore(&ctx).map_err(defect)?;
            let mut answers = Vec::with_capacity(items.len());
            for item in items {
                let answer = answer(&ctx, meter, || compute(&ctx, &driver, item));
                let answer = answer.and_then(|json| {
                    let bytes = taken.bytes + json.as_ref().map_or(0, String::len);
                    if bytes > bounds.results_bytes {
                        let max = bounds.results_bytes;
                        return Err(format!("results of more than {max} bytes for rows that are computed at once"));
                    }
                    taken.bytes = bytes;
                    Ok(json)
                });
                let failed = answer.is_err();
                answers.push(answer.map_err(|reason| ScriptError::Row(format!("{}: {reason}", world.called))));
                if meter.given_up() || (stops && failed) {
                    break;
                }
            }
            Ok(answers)
        });
        world.taken.set(Taken { polls: meter.polls(), ..taken });
        answers
    }
}

/// What one call gives, when its batch may take more steps and it takes no more than a call may.
fn answer<'js>(
    ctx: &Ctx<'js>,
    meter: &Meter,
    compute: impl FnOnce() -> Result<Option<String>, CaughtError<'js>>,
) -> Result<Option<String>, String> {
    if meter.spent() {
        return Err(meter.batch_overrun());
    }
    meter.begin();
    let computed = compute().map_err(|error| reason(ctx, error));
    // What it has left to be done later is done now or never.
    while !meter.overran() && !meter.spent() && ctx.execute_pending_job() {}
    let overran = meter.overran();
    let answer = match computed {
        _ if overran => Err(meter.overrun()),
        _ if meter.spent() => Err(meter.batch_overrun()),
        computed => computed.and_then(checked),
    };
    meter.ended(overran);
    answer
}

impl World {
    fn new(runtime: &Runtime, function: &QueryFunction, meter: &Meter) -> Result<Self, String> {
        use intrinsic::{Date, Eval, Json, MapSet, Promise, Proxy, RegExp, RegExpCompiler, TypedArrays};
        type Builtins = (Date, Eval, RegExpCompiler, RegExp, Json, Proxy, MapSet, TypedArrays, Promise);
        let context = Context::custom::<Builtins>(runtime).map_err(|error| error.to_string())?;
        meter.begin();
        meter.resume(0);
        let made = context.with(|ctx| {
            let driver = driver(&ctx, function).map_err(|error| reason(&ctx, error));
            driver.map(|driver| Persistent::save(&ctx, driver))
        });
        let limit = || format!("reading its script {}", meter.overrun());
        let driver = made.map_err(|reason| if meter.overran() { limit() } else { reason })?;
        let prefix = match function.kind {
            QueryFunctionKind::Scalar => "UDF",
            QueryFunctionKind::Aggregate => "UDA",
        };
        Ok(Self { called: format!("{prefix}.{}", function.name), driver, context, taken: Cell::default() })
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

//! What a pipeline file says of functions.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use toml::Spanned;

use super::resolve::Resolver;
use super::source::{Located, nearest};

/// Bytes of a handler: the service's limit.
const HANDLER_BYTES_MAX: usize = 128;

/// Retries of an asynchronous invocation: the service's limits.
const RETRIES: (u64, u64) = (0, 2);

/// How old an asynchronous invocation may become, seconds: the service's limits.
const AGE_SECONDS: (u64, u64) = (60, 21_600);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FunctionTable {
    pub(super) name: Spanned<String>,
    runtime: Spanned<String>,
    handler: Spanned<String>,
    code: Spanned<String>,
    /// Without it the function may do everything.
    role: Option<Spanned<String>>,
    timeout_seconds: Option<Spanned<u32>>,
    memory_mib: Option<Spanned<u32>>,
    concurrency_limit: Option<u32>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    /// The queue or topic for events of asynchronous invocations that failed for good.
    dead_letter: Option<Spanned<String>>,
    /// How often a failed asynchronous invocation is tried again.
    retries: Option<Spanned<u32>>,
    maximum_age_seconds: Option<Spanned<u32>>,
    /// The queue, topic or function that is told of each asynchronous invocation that succeeded,
    on_success: Option<Spanned<String>>,
    /// and of each that failed for good.
    on_failure: Option<Spanned<String>>,
}

/// A function to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionSpec {
    /// Its name.
    pub name: String,
    /// The runtime's identifier.
    pub runtime: Located<String>,
    /// What the runtime calls.
    pub handler: String,
    /// The folder or zip file of its code, relative to the pipeline file.
    pub code: Located<PathBuf>,
    /// The role whose rights it has; `None`: it may do everything.
    pub role: Option<String>,
    /// Longest run.
    pub timeout_seconds: u32,
    /// Memory limit.
    pub memory_mib: u32,
    /// At most this many at once.
    pub concurrency_limit: Option<u32>,
    /// Variables.
    pub environment: BTreeMap<String, String>,
    /// Where the events of asynchronous invocations go that failed for good: a queue or a topic.
    pub dead_letter: Option<FunctionTarget>,
    /// How asynchronous invocations are treated; `None`: the file says nothing of it.
    pub asynchronous: Option<AsyncSpec>,
}

/// How asynchronous invocations of a function to be are treated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AsyncSpec {
    /// How often a failed one is tried again; `None`: as often as the node does.
    pub retries_max: Option<u32>,
    /// How old one may become before it is given up, seconds; `None`: the longest.
    pub age_max_seconds: Option<u32>,
    /// Where it is told that one succeeded.
    pub on_success: Option<FunctionTarget>,
    /// Where it is told that one failed for good.
    pub on_failure: Option<FunctionTarget>,
}

/// What is told of a function's asynchronous invocations, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FunctionTarget {
    /// A queue.
    Queue(String),
    /// A topic of messages.
    Topic(String),
    /// A function.
    Function(String),
}

impl Resolver<'_> {
    pub(super) fn function(&mut self, table: FunctionTable) -> Located<FunctionSpec> {
        let line = self.line(&table.name);
        let timeout_seconds = self.within("timeout_seconds", table.timeout_seconds.as_ref(), (1, 900)).unwrap_or(30);
        let memory_mib = self.within("memory_mib", table.memory_mib.as_ref(), (128, 10_240)).unwrap_or(256);
        let handler = table.handler.get_ref();
        if handler.is_empty() || handler.len() > HANDLER_BYTES_MAX || handler.contains(char::is_whitespace) {
            let line = self.line(&table.handler);
            let message =
                format!("expected a handler of 1 to {HANDLER_BYTES_MAX} bytes without blanks, found `{handler}`");
            self.wrong(line, message, "name the file and its function: app.handler");
        }
        if let Some(role) = &table.role {
            let roles = self.roles.clone();
            self.refers("role", &roles, role);
        }
        let asynchronous = self.asynchronous(&table);
        let (code_span, runtime_span) = (table.code.span(), table.runtime.span());
        let value = FunctionSpec {
            dead_letter: table.dead_letter.as_ref().and_then(|name| self.function_target(name, None)),
            asynchronous,
            name: table.name.into_inner(),
            runtime: self.locate(table.runtime.into_inner(), &runtime_span),
            handler: table.handler.into_inner(),
            code: self.locate(table.code.into_inner().into(), &code_span),
            role: table.role.map(Spanned::into_inner),
            timeout_seconds,
            memory_mib,
            concurrency_limit: table.concurrency_limit,
            environment: table.environment,
        };
        Located { value, line }
    }

    fn asynchronous(&mut self, table: &FunctionTable) -> Option<AsyncSpec> {
        let FunctionTable { name, retries, maximum_age_seconds, on_success, on_failure, .. } = table;
        let retries_max = self.within("retries", retries.as_ref(), RETRIES);
        let age_max_seconds = self.within("maximum_age_seconds", maximum_age_seconds.as_ref(), AGE_SECONDS);
        let mut told =
            |target: &Option<Spanned<String>>| target.as_ref().map(|target| self.function_target(target, Some(name)));
        let (on_success, on_failure) = (told(on_success), told(on_failure));
        let said = on_success.is_some() || on_failure.is_some() || retries_max.is_some() || age_max_seconds.is_some();
        let (on_success, on_failure) = (on_success.flatten(), on_failure.flatten());
        said.then_some(AsyncSpec { retries_max, age_max_seconds, on_success, on_failure })
    }

    /// What a name stands for: a queue, a topic and, of a destination, a function other than the one it is a destination of.
    fn function_target(&mut self, target: &Spanned<String>, of: Option<&Spanned<String>>) -> Option<FunctionTarget> {
        let name = target.get_ref();
        let function = of.is_some() && self.functions.contains(name);
        let named = [
            self.queues.contains(name).then(|| FunctionTarget::Queue(name.clone())),
            self.topics.contains(name).then(|| FunctionTarget::Topic(name.clone())),
            function.then(|| FunctionTarget::Function(name.clone())),
        ];
        let mut named = named.into_iter().flatten();
        let (first, second) = (named.next(), named.next());
        let line = self.line(target);
        let kinds = if of.is_some() { "queue, topic or function" } else { "queue or topic" };
        if second.is_some() {
            let hint = "give one of them another name";
            self.wrong(line, format!("`{name}` is the name of more than one {kinds}"), hint);
        }
        if first.is_none() {
            let functions = self.functions.iter().filter(|_| of.is_some());
            let names = self.queues.iter().chain(&self.topics).chain(functions).map(String::as_str);
            let hint = nearest(name, names).map_or_else(
                || format!("define it: [[queue]] with name = \"{name}\""),
                |near| format!("did you mean `{near}`?"),
            );
            let place = self.place();
            self.wrong(line, format!("there is no {kinds} `{name}` {place}"), hint);
        }
        if matches!(first, Some(FunctionTarget::Function(_))) && of.is_some_and(|of| of.get_ref() == name) {
            let hint = "name another function, a queue or a topic";
            self.wrong(line, format!("`{name}` would be told of itself again and again"), hint);
        }
        first
    }
}

//! Asynchronous invocations that have not ended, for people.

use millstream_catalog::FunctionDefinition;
use millstream_types::{BoxFuture, InvocationId, Millis};

use super::accepted::Outline;
use crate::engine::Functions;
use crate::error::FunctionError;

/// Invocations of one listing: more than anybody reads.
const LISTED_MAX: usize = 1_000;

/// An asynchronous invocation that was accepted and has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingInvocation {
    /// Its id.
    pub id: InvocationId,
    /// The function as its invoker referred to it; empty where that cannot be read.
    pub function: String,
    /// When it was accepted; 0 where that cannot be read.
    pub accepted: Millis,
    /// When it runs next, or was due.
    pub due: Millis,
    /// How often it ran and failed.
    pub failures: u32,
    /// Whether it can be read; what cannot is kept and not run.
    pub readable: bool,
}

impl Functions {
    /// The asynchronous invocations of a function that wait or run, those that cannot be read first, then the oldest: at most
    /// 1,000. Those that do not say any more whose they are stand with every function.
    ///
    /// # Errors
    /// [`FunctionError::NotFound`], [`FunctionError::Storage`].
    pub fn waiting<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<WaitingInvocation>, FunctionError>> {
        Box::pin(async move {
            let function = self.get(name)?;
            let accepted = self.shared.accepted.clone();
            let read = move || Ok::<_, FunctionError>((accepted.unreadable()?, accepted.outlines()?));
            let (unreadable, waiting) =
                tokio::task::spawn_blocking(read).await.map_err(|_| FunctionError::Stopping)??;
            let of_function = |outline: &Outline| {
                outline.function.is_empty() || FunctionDefinition::split_reference(&outline.function).0 == function.name
            };
            let shown = |readable: bool| {
                move |Outline { id, function, accepted, failures, due }: Outline| WaitingInvocation {
                    id,
                    function,
                    accepted,
                    due,
                    failures,
                    readable,
                }
            };
            let mut all: Vec<WaitingInvocation> =
                unreadable.into_iter().filter(of_function).map(shown(false)).collect();
            all.extend(waiting.into_iter().filter(of_function).map(shown(true)));
            all.sort_by_key(|found| (found.readable, found.accepted));
            all.truncate(LISTED_MAX);
            Ok(all)
        })
    }
}

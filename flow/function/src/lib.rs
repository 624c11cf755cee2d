//! Functions: packages of code that run as processes of their own, one invocation at a time each.
//!
//! A process speaks the Lambda Runtime API: it asks for the next invocation and posts the answer. It is kept warm for the
//! next one, ended when it has nothing to do, and killed when it takes too long or too much.
//! Read next: [`engine`] (the operations), [`invocation`] (one invocation), [`turns`] (who runs next), [`pool`] (warm processes), [`process`] (one process), [`confinement`]
//! (what keeps it to itself), [`asynchronous`] (invocations that nobody waits for), [`versions`] (copies that never change).

mod asynchronous;
mod configuration;
pub mod confinement;
mod definitions;
pub mod destination;
pub mod engine;
mod error;
mod invocation;
mod log_capture;
mod output;
mod package;
mod peer;
mod pool;
mod port;
mod process;
mod runtime;
mod runtime_api;
mod socket;
mod start;
mod turns;
mod usage;
mod variables;
mod versions;
mod watch;

pub use asynchronous::WaitingInvocation;
pub use definitions::{FunctionChange, NewFunction};
pub use destination::{
    Answered, Condition, Delivery, DeliveryError, Destination, EndedInvocation, Purpose, error_message,
};
pub use engine::{Functions, Options, ProcessCredentials};
pub use error::FunctionError;
pub use invocation::{InvocationSummary, PAYLOAD_BYTES_MAX};
pub use peer::{is_own, may_be_function};
pub use runtime::{DotnetOptions, check_runtime};
pub use variables::check_variables;
pub use versions::{AliasChange, NewVersion, check_revision};

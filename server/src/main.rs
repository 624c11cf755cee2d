//! The binary: command line, settings, the wiring of engines and fronts, and the demo. Holds no engine.
//!
//! Read next: [`node`] (how a node is put together), [`commands`] (what can be asked).

mod apply;
mod cli;
mod commands;
mod demo;
mod machine;
mod node;
mod remote;
mod settings;
mod signals;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser as _;
use millstream_allocator as _;
use millstream_types::BoxFuture;
use tracing_subscriber::EnvFilter;

/// The first argument of what starts a function's process.
const FUNCTION_PROCESS: &str = "function-process";

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    // The launcher confines itself while there is one thread: before the runtime, and before anything is read.
    if arguments.first().is_some_and(|first| first == FUNCTION_PROCESS) {
        return millstream_function::confinement::launch(&arguments);
    }
    serve()
}

#[tokio::main]
async fn serve() -> ExitCode {
    // A trait object: the runtime has several ways to poll a future, and each would hold a copy of all commands.
    let command: BoxFuture<'static, _> = Box::pin(commands::run(cli::Cli::parse()));
    match command.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Diagnostics of a node go to standard error; `MILLSTREAM_LOG` chooses how much (`info`, `millstream_query=debug`).
fn trace_to_stderr() {
    let filter = EnvFilter::try_from_env("MILLSTREAM_LOG").unwrap_or_else(|_| EnvFilter::new("warn,millstream=info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}

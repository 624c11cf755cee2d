//! The thread that a query's scripts run on. It begins with the first call and ends when nobody can call any more.

use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};

use millstream_catalog::QueryFunction;

use super::batch::Batch;
use super::bounds::{Bounds, Watch};
use super::machine::{Answer, Machine};
use super::{FunctionError, ScriptError};

/// The thread's stack. Scripts have a bound of their own far below it.
const STACK_BYTES: usize = 4 << 20;

/// Who runs the scripts of a query.
pub(super) struct Worker {
    definitions: Vec<QueryFunction>,
    bounds: Bounds,
    watch: Watch,
    calls: OnceLock<Option<Sender<Request>>>,
}

/// What is asked of the thread, and where it answers.
struct Request {
    place: usize,
    work: Work,
    answer: SyncSender<Result<Vec<Answer>, ScriptError>>,
}

/// Calls of one function.
enum Work {
    /// Arguments of each call, which of them are times, and the batch that the calls are counted for.
    Calls(Vec<String>, Vec<usize>, Option<u64>),
    /// Values of each group with their times.
    Groups(Vec<Vec<(i64, String)>>),
}

impl Worker {
    pub(super) fn new(definitions: Vec<QueryFunction>, bounds: Bounds) -> Self {
        Self { definitions, bounds, watch: Watch::default(), calls: OnceLock::new() }
    }

    pub(super) fn call(
        &self,
        place: usize,
        rows: Vec<String>,
        times: Vec<usize>,
    ) -> Result<Vec<Option<String>>, ScriptError> {
        self.ask(place, Work::Calls(rows, times, Batch::current()))?.into_iter().collect()
    }

    pub(super) fn aggregate(&self, place: usize, groups: Vec<Vec<(i64, String)>>) -> Vec<Answer> {
        let count = groups.len();
        self.ask(place, Work::Groups(groups)).unwrap_or_else(|error| vec![Err(error); count])
    }

    fn ask(&self, place: usize, work: Work) -> Result<Vec<Answer>, ScriptError> {
        let gone = || ScriptError::Query("the thread that runs the query's functions has ended".to_owned());
        let begin = || begin(self.definitions.clone(), self.bounds, self.watch.clone());
        let calls = self.calls.get_or_init(begin).as_ref().ok_or_else(gone)?;
        if self.watch.given_up() {
            return Err(ScriptError::Query(endless(self.bounds)));
        }
        let (answer, answered) = sync_channel(1);
        calls.send(Request { place, work, answer }).map_err(|_| gone())?;
        match awaited(&answered, self.bounds, &self.watch) {
            Ok(answers) => answers,
            Err(RecvTimeoutError::Disconnected) => Err(gone()),
            Err(RecvTimeoutError::Timeout) => Err(ScriptError::Query(endless(self.bounds))),
        }
    }
}

/// Waits for a thread as long as it begins one call after the other. One that does not is given up: it cannot be ended from outside, and ends
/// by itself with the next poll.
fn awaited<T>(answered: &Receiver<T>, bounds: Bounds, watch: &Watch) -> Result<T, RecvTimeoutError> {
    loop {
        let before = watch.calls();
        match answered.recv_timeout(bounds.patience) {
            Err(RecvTimeoutError::Timeout) if watch.calls() != before => {}
            Err(RecvTimeoutError::Timeout) => {
                watch.give_up();
                return Err(RecvTimeoutError::Timeout);
            }
            other => return other,
        }
    }
}

fn endless(bounds: Bounds) -> String {
    format!(
        "a call of one of the query's functions did not end within {:?}; have it work on shorter texts and smaller numbers",
        bounds.patience
    )
}

/// Reads scripts and runs their outermost statements, on a thread that is left to itself when they do not end.
pub(super) fn check(functions: &[QueryFunction], bounds: Bounds) -> Result<(), FunctionError> {
    let wrong = |reason: String| {
        let name = functions.first().map(|function| function.name.clone()).unwrap_or_default();
        FunctionError { name, reason }
    };
    let (answer, answered) = sync_channel(1);
    let (watch, definitions) = (Watch::default(), functions.to_vec());
    let watched = watch.clone();
    let read = move || {
        // Who asked may have gone.
        let _ = answer.send(Machine::new(&definitions, bounds, watched).map(drop));
    };
    thread().spawn(read).map_err(|error| wrong(format!("there is no thread to read it on: {error}")))?;
    match awaited(&answered, bounds, &watch) {
        Ok(read) => read,
        Err(RecvTimeoutError::Disconnected) => Err(wrong("the thread that reads it has ended".to_owned())),
        // Scripts are read one behind the other, and each begins one call: the one that does not end is the latest begun.
        Err(RecvTimeoutError::Timeout) => {
            let place = usize::try_from(watch.calls()).unwrap_or(usize::MAX).saturating_sub(1);
            let name = functions.get(place).map(|function| function.name.clone()).unwrap_or_default();
            Err(FunctionError { name, reason: endless(bounds) })
        }
    }
}

fn thread() -> std::thread::Builder {
    std::thread::Builder::new().name("query-functions".to_owned()).stack_size(STACK_BYTES)
}

/// Starts the thread; `None`: the system has none to give.
fn begin(definitions: Vec<QueryFunction>, bounds: Bounds, watch: Watch) -> Option<Sender<Request>> {
    let (calls, called) = channel();
    thread().spawn(move || work(&definitions, bounds, watch, &called)).ok().map(|_| calls)
}

fn work(definitions: &[QueryFunction], bounds: Bounds, watch: Watch, called: &Receiver<Request>) {
    let mut machine = Machine::new(definitions, bounds, watch).map_err(|error| ScriptError::Query(error.to_string()));
    for Request { place, work, answer } in called {
        let answers = match &mut machine {
            Err(error) => Err(error.clone()),
            Ok(machine) => match work {
                Work::Calls(rows, times, batch) => machine.call(place, &rows, &times, batch),
                Work::Groups(groups) => machine.aggregate(place, &groups),
            },
        };
        // Who asked may have gone.
        let _ = answer.send(answers);
    }
}

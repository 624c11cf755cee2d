//! The thread that a query's scripts run on. It begins with the first call and ends when nobody can call any more.

use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

use millstream_catalog::QueryFunction;

use super::ScriptError;
use super::machine::{Answer, Machine};

/// The thread's stack. Scripts have a bound of their own far below it.
const STACK_BYTES: usize = 4 << 20;

/// Who runs the scripts of a query.
pub(super) struct Worker {
    definitions: Vec<QueryFunction>,
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
    /// Arguments of each call, and which of them are times.
    Calls(Vec<String>, Vec<usize>),
    /// Values of each group with their times.
    Groups(Vec<Vec<(i64, String)>>),
}

impl Worker {
    pub(super) fn new(definitions: Vec<QueryFunction>) -> Self {
        Self { definitions, calls: OnceLock::new() }
    }

    pub(super) fn call(
        &self,
        place: usize,
        rows: Vec<String>,
        times: Vec<usize>,
    ) -> Result<Vec<Option<String>>, ScriptError> {
        self.ask(place, Work::Calls(rows, times))?.into_iter().collect()
    }

    pub(super) fn aggregate(&self, place: usize, groups: Vec<Vec<(i64, String)>>) -> Vec<Answer> {
        let count = groups.len();
        self.ask(place, Work::Groups(groups)).unwrap_or_else(|error| vec![Err(error); count])
    }

    fn ask(&self, place: usize, work: Work) -> Result<Vec<Answer>, ScriptError> {
        let gone = || ScriptError::Query("the thread that runs the query's functions has ended".to_owned());
        let calls = self.calls.get_or_init(|| begin(self.definitions.clone())).as_ref().ok_or_else(gone)?;
        let (answer, answered) = sync_channel(1);
        calls.send(Request { place, work, answer }).map_err(|_| gone())?;
        answered.recv().map_err(|_| gone())?
    }
}

/// Starts the thread; `None`: the system has none to give.
fn begin(definitions: Vec<QueryFunction>) -> Option<Sender<Request>> {
    let (calls, called) = channel();
    let thread = std::thread::Builder::new().name("query-functions".to_owned()).stack_size(STACK_BYTES);
    thread.spawn(move || work(&definitions, &called)).ok().map(|_| calls)
}

fn work(definitions: &[QueryFunction], called: &Receiver<Request>) {
    let mut machine = Machine::new(definitions).map_err(|error| ScriptError::Query(error.to_string()));
    for Request { place, work, answer } in called {
        let answers = match &mut machine {
            Err(error) => Err(error.clone()),
            Ok(machine) => match work {
                Work::Calls(rows, times) => machine.call(place, &rows, &times),
                Work::Groups(groups) => machine.aggregate(place, &groups),
            },
        };
        // Who asked may have gone.
        let _ = answer.send(answers);
    }
}

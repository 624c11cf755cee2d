//! Who runs next: the node's turns, shared fairly between its functions. Nothing here knows what runs in a turn.
//!
//! - A function with reserved concurrency finds its turns free whatever others do, and never gets more.
//! - The other functions share the rest. One of them holds one, or at most [`SHARE`] times what it leaves free, so that a slow
//!   one never takes all: alone it gets three quarters, and whoever comes finds a turn.
//! - Who waits gets a turn function by function, one after another, however many wait for one of them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::error::FunctionError;

/// How many times what it leaves free a function without reserved concurrency may hold.
const SHARE: usize = 3;

/// Of four shared turns, this many may be taken by invocations that nobody waits for: callers who wait find one.
const LATER_OF_FOUR: usize = 3;

/// At least one of so many turns is shared, however much is reserved.
const SHARED_ONE_OF: usize = 4;

/// How long a caller waits for a turn.
const CALLER_WAIT: Duration = Duration::from_secs(5);

/// Whether anybody waits for the outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// A caller waits, for a moment only.
    Caller,
    /// Nobody does: it waits as long as it takes.
    Later,
}

/// The turns of a node.
pub(crate) struct Turns {
    state: Mutex<State>,
}

struct State {
    limit: usize,
    closed: bool,
    held: usize,
    /// Of those, the ones that are not reserved, and of these the ones of invocations that nobody waits for.
    shared_held: usize,
    later_held: usize,
    reserved: usize,
    functions: HashMap<String, Function>,
    /// Functions for which somebody waits, the next one first.
    rotation: VecDeque<String>,
}

/// What the turns know of a function.
#[derive(Default)]
struct Function {
    held: usize,
    reserved: Option<usize>,
    callers: VecDeque<oneshot::Sender<Turn>>,
    later: VecDeque<oneshot::Sender<Turn>>,
}

/// On whose account a turn goes.
#[derive(Debug, Clone, Copy)]
struct Account {
    shared: bool,
    later: bool,
}

/// The right to run one invocation of a function; given back when dropped.
pub(crate) struct Turn {
    turns: Arc<Turns>,
    function: String,
    account: Account,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.turns.state();
        state.give_back(&self.function, self.account);
        self.turns.hand_out(state);
    }
}

impl Turns {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        let state = State {
            limit: limit.max(1),
            closed: false,
            held: 0,
            shared_held: 0,
            later_held: 0,
            reserved: 0,
            functions: HashMap::new(),
            rotation: VecDeque::new(),
        };
        Arc::new(Self { state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets a function's reserved concurrency; `None`: it shares with the others.
    pub(crate) fn reserve(self: &Arc<Self>, name: &str, turns: Option<u32>) {
        let mut state = self.state();
        let function = state.functions.entry(name.to_owned()).or_default();
        let before = std::mem::replace(&mut function.reserved, turns.map(|turns| turns as usize));
        state.reserved = state.reserved - before.unwrap_or(0) + turns.unwrap_or(0) as usize;
        state.forget_if_unused(name);
        self.hand_out(state);
    }

    /// Takes a turn. A function that holds all that is reserved for it is throttled at once; otherwise a caller waits a moment,
    /// and who has no caller as long as it takes.
    pub(crate) async fn take(self: &Arc<Self>, name: &str, urgency: Urgency) -> Result<Turn, FunctionError> {
        let (limit, waiting) = {
            let mut state = self.state();
            if state.closed {
                return Err(FunctionError::Stopping);
            }
            let limit = state.limit;
            let function = state.functions.entry(name.to_owned()).or_default();
            if let Some(reserved) = function.reserved.filter(|reserved| function.held >= *reserved) {
                return Err(FunctionError::Throttled { running: function.held, limit: reserved });
            }
            let waiting = function.wait(urgency);
            if !state.rotation.iter().any(|waiting| waiting == name) {
                state.rotation.push_back(name.to_owned());
            }
            self.hand_out(state);
            (limit, waiting)
        };
        let turn = match urgency {
            Urgency::Caller => {
                timeout(CALLER_WAIT, waiting).await.map_err(|_| FunctionError::Throttled { running: limit, limit })?
            }
            Urgency::Later => waiting.await,
        };
        turn.map_err(|_| FunctionError::Stopping)
    }

    /// Turns that a function holds.
    pub(crate) fn held_by(&self, name: &str) -> usize {
        self.state().functions.get(name).map_or(0, |function| function.held)
    }

    /// Turns that are held.
    pub(crate) fn held(&self) -> usize {
        self.state().held
    }

    /// No more turns: who waits is told so.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.rotation.clear();
        for function in state.functions.values_mut() {
            function.callers.clear();
            function.later.clear();
        }
    }

    /// Gives turns to those who wait, as far as the rules go.
    fn hand_out(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        let granted = state.grant();
        drop(state);
        for (function, account, waiting) in granted {
            // Who went away meanwhile gives it back by dropping it.
            let _ = waiting.send(Turn { turns: Arc::clone(self), function, account });
        }
    }
}

impl State {
    /// Turns that no function has for itself.
    fn shared(&self) -> usize {
        self.limit - self.reserved.min(self.limit - self.limit.div_ceil(SHARED_ONE_OF))
    }

    /// On whose account a function may get one more turn now.
    fn account(&self, function: &Function, urgency: Urgency) -> Option<Account> {
        let later = urgency == Urgency::Later;
        if self.held >= self.limit {
            return None;
        }
        if let Some(reserved) = function.reserved {
            return (function.held < reserved).then_some(Account { shared: false, later });
        }
        let shared = self.shared();
        let mut free = shared.saturating_sub(self.shared_held);
        if later {
            free = free.min((shared * LATER_OF_FOUR / 4).max(1).saturating_sub(self.later_held));
        }
        let fair = free > 0 && (function.held == 0 || function.held < SHARE * (free - 1));
        fair.then_some(Account { shared: true, later })
    }

    /// Goes round the functions for which somebody waits until none of them may have a turn.
    fn grant(&mut self) -> Vec<(String, Account, oneshot::Sender<Turn>)> {
        let mut granted = Vec::new();
        let mut in_vain = 0;
        while in_vain < self.rotation.len() && self.held < self.limit {
            let Some(name) = self.rotation.pop_front() else { break };
            let next = self.next_of(&name);
            let got = next.is_some();
            granted.extend(next.map(|(account, waiting)| (name.clone(), account, waiting)));
            if self.functions.get(&name).is_some_and(Function::is_waited_for) {
                in_vain = if got { 0 } else { in_vain + 1 };
                self.rotation.push_back(name);
            } else {
                self.forget_if_unused(&name);
            }
        }
        granted
    }

    /// Takes a turn for the first who waits for a function, callers first.
    fn next_of(&mut self, name: &str) -> Option<(Account, oneshot::Sender<Turn>)> {
        self.functions.get_mut(name)?.forget_gone();
        let function = self.functions.get(name)?;
        let urgency = if function.callers.is_empty() { Urgency::Later } else { Urgency::Caller };
        let account = self.account(function, urgency)?;
        let function = self.functions.get_mut(name)?;
        let waiting = function.waiting(urgency).pop_front()?;
        function.held += 1;
        self.held += 1;
        self.shared_held += usize::from(account.shared);
        self.later_held += usize::from(account.shared && account.later);
        Some((account, waiting))
    }

    fn give_back(&mut self, name: &str, account: Account) {
        if let Some(function) = self.functions.get_mut(name) {
            function.held -= 1;
        }
        self.held -= 1;
        self.shared_held -= usize::from(account.shared);
        self.later_held -= usize::from(account.shared && account.later);
        self.forget_if_unused(name);
    }

    fn forget_if_unused(&mut self, name: &str) {
        let unused =
            |function: &Function| function.held == 0 && function.reserved.is_none() && !function.is_waited_for();
        if self.functions.get(name).is_some_and(unused) {
            self.functions.remove(name);
        }
    }
}

impl Function {
    fn waiting(&mut self, urgency: Urgency) -> &mut VecDeque<oneshot::Sender<Turn>> {
        match urgency {
            Urgency::Caller => &mut self.callers,
            Urgency::Later => &mut self.later,
        }
    }

    fn wait(&mut self, urgency: Urgency) -> oneshot::Receiver<Turn> {
        let (sender, receiver) = oneshot::channel();
        self.forget_gone();
        self.waiting(urgency).push_back(sender);
        receiver
    }

    /// Lets go of those in front who wait no more. All callers wait equally long, so those who went stand in front.
    fn forget_gone(&mut self) {
        for waiting in [&mut self.callers, &mut self.later] {
            while waiting.front().is_some_and(oneshot::Sender::is_closed) {
                waiting.pop_front();
            }
        }
    }

    fn is_waited_for(&self) -> bool {
        !self.callers.is_empty() || !self.later.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    /// Takes turns until there is none at once.
    fn take_all(turns: &Arc<Turns>, name: &str, urgency: Urgency) -> Vec<Turn> {
        std::iter::from_fn(|| turns.take(name, urgency).now_or_never()?.ok()).collect()
    }

    #[tokio::test]
    async fn one_function_never_takes_all() {
        for (limit, callers, later) in [(1, 1, 1), (2, 1, 1), (4, 3, 2), (8, 6, 4), (32, 24, 18)] {
            let turns = Turns::new(limit);
            let slow = take_all(&turns, "slow", Urgency::Caller);
            assert_eq!(slow.len(), callers, "of {limit}");
            let fast = take_all(&turns, "fast", Urgency::Caller);
            assert!(!fast.is_empty() || limit == 1, "of {limit}");
            drop((slow, fast));
            assert_eq!(turns.held(), 0);
            let slow = take_all(&turns, "slow", Urgency::Later);
            assert_eq!(slow.len(), later, "later, of {limit}");
            assert!(!take_all(&turns, "fast", Urgency::Later).is_empty() || limit < 4, "later, of {limit}");
        }
    }

    #[tokio::test]
    async fn what_is_reserved_is_found_and_not_exceeded() {
        let turns = Turns::new(8);
        turns.reserve("kept", Some(2));
        let _others: Vec<Turn> = ["a", "b", "c", "d", "e", "f", "g"]
            .iter()
            .flat_map(|name| take_all(&turns, name, Urgency::Caller))
            .collect();
        assert_eq!(turns.held(), 6);
        let kept = take_all(&turns, "kept", Urgency::Later);
        assert_eq!(kept.len(), 2);
        let more = turns.take("kept", Urgency::Caller).await;
        assert!(matches!(more, Err(FunctionError::Throttled { limit: 2, .. })));
        turns.reserve("stopped", Some(0));
        assert!(turns.take("stopped", Urgency::Later).await.is_err());
        turns.reserve("much", Some(1_000));
        assert_eq!(turns.state().shared(), 2, "a quarter stays shared");
    }

    #[tokio::test]
    async fn those_who_wait_get_turns_function_by_function() {
        let turns = Turns::new(1);
        let mut held = turns.take("a", Urgency::Caller).await.unwrap();
        let wait = |name: &'static str| {
            let turns = Arc::clone(&turns);
            Box::pin(async move { turns.take(name, Urgency::Later).await.unwrap() })
        };
        let mut waiting: Vec<_> = ["a", "a", "a", "b", "b", "c"].map(wait).into_iter().collect();
        for future in &mut waiting {
            assert!(future.as_mut().now_or_never().is_none());
        }
        let mut order = Vec::new();
        for _ in 0..6 {
            drop(held);
            let (turn, _, rest) = futures_util::future::select_all(waiting).await;
            order.push(turn.function.clone());
            (held, waiting) = (turn, rest);
        }
        assert_eq!(order, ["a", "b", "c", "a", "b", "a"]);
    }

    #[tokio::test]
    async fn who_goes_away_is_forgotten() {
        let turns = Turns::new(1);
        let held = turns.take("a", Urgency::Caller).await.unwrap();
        assert!(turns.take("b", Urgency::Caller).now_or_never().is_none());
        drop(held);
        assert!(turns.state().functions.is_empty(), "nothing is left of either");
        let _held = turns.take("a", Urgency::Caller).await.unwrap();
        let (waiting, ()) = tokio::join!(turns.take("b", Urgency::Later), async { turns.close() });
        assert!(matches!(waiting, Err(FunctionError::Stopping)));
    }
}

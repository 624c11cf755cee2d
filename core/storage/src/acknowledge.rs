//! How those who wait for a commit learn of it: from a task of their runtime that a pipe wakes, all of a group at once.
//!
//! Told by the committer's thread, each would be woken from outside of the runtime, and a runtime of several threads that is
//! woken so has another worker look for more to do. On few cores that worker is in the way of the one that answers. What
//! a pipe wakes runs where the runtime looks at its sockets, as what a client sends does, and so do those whom it wakes.

use std::io::{self, PipeWriter, Write as _};
use std::sync::{Arc, Mutex};

use tokio::net::unix::pipe::Receiver;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::engine::lock;
use crate::error::StorageError;

/// Where somebody waits for a transaction.
type Durable = oneshot::Sender<Result<(), StorageError>>;

/// Tells who waits that their transactions are durable and readable.
#[derive(Default)]
pub(crate) struct Acknowledgements {
    /// `None` without a runtime: the committer tells them itself.
    bell: Option<PipeWriter>,
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Default)]
struct Waiting {
    durable: Vec<Durable>,
    /// Nobody listens to the bell: the runtime ended.
    unheard: bool,
}

impl Acknowledgements {
    /// From a task of this runtime, which has to look at sockets.
    ///
    /// # Errors
    /// As making a pipe has them.
    pub(crate) fn by(runtime: &Handle) -> io::Result<Self> {
        let (reader, bell) = io::pipe()?;
        let _in_runtime = runtime.enter();
        let reader = Receiver::from_owned_fd(reader.into())?;
        let waiting = Arc::<Mutex<Waiting>>::default();
        runtime.spawn(listen(reader, Listener(Arc::clone(&waiting))));
        Ok(Self { bell: Some(bell), waiting })
    }

    /// Tells all of these.
    pub(crate) fn tell(&self, durable: impl IntoIterator<Item = Durable>) {
        let mut waiting = lock(&self.waiting);
        let rings = waiting.durable.is_empty();
        waiting.durable.extend(durable);
        let unheard = waiting.unheard;
        drop(waiting);
        let heard = match &self.bell {
            // Who empties the list has read the byte before, so there are never more than two in the pipe.
            Some(bell) if !unheard => !rings || ring(bell),
            _ => false,
        };
        if !heard {
            tell_all(&self.waiting);
        }
    }
}

fn ring(mut bell: &PipeWriter) -> bool {
    bell.write_all(&[0]).is_ok()
}

/// The task's hold on the list: when the runtime ends, the committer is on its own.
struct Listener(Arc<Mutex<Waiting>>);

impl Drop for Listener {
    fn drop(&mut self) {
        lock(&self.0).unheard = true;
        tell_all(&self.0);
    }
}

async fn listen(reader: Receiver, listener: Listener) {
    let mut rung = [0; 64];
    // An error of a pipe between threads is its end, as is the engine's.
    while reader.readable().await.is_ok() {
        match reader.try_read(&mut rung) {
            Ok(0) => return,
            Ok(_) => tell_all(&listener.0),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

fn tell_all(waiting: &Mutex<Waiting>) {
    let durable = std::mem::take(&mut lock(waiting).durable);
    for durable in durable {
        // A receiver that is gone does not want to know.
        let _ = durable.send(Ok(()));
    }
}

#[cfg(test)]
mod tests {
    use tokio::runtime::Builder;

    use super::*;

    #[test]
    fn all_are_told_with_a_runtime_without_one_and_after_its_end() {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let by_runtime = Acknowledgements::by(runtime.handle()).unwrap();
        let told = |acknowledgements: &Acknowledgements, count: usize| {
            let (senders, receivers): (Vec<_>, Vec<_>) = (0..count).map(|_| oneshot::channel()).unzip();
            acknowledgements.tell(senders);
            receivers.into_iter().for_each(|receiver| receiver.blocking_recv().unwrap().unwrap());
        };
        for count in [1, 0, 500, 1] {
            told(&by_runtime, count);
            told(&Acknowledgements::default(), count);
        }
        drop(runtime);
        told(&by_runtime, 3);
    }

    #[test]
    fn no_byte_is_left_over() {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let acknowledgements = Acknowledgements::by(runtime.handle()).unwrap();
        // More than a pipe holds, were each told on its own.
        for _ in 0..100_000 {
            let (sender, mut receiver) = oneshot::channel();
            acknowledgements.tell([sender]);
            let _ = receiver.try_recv();
        }
        let (sender, receiver) = oneshot::channel();
        acknowledgements.tell([sender]);
        receiver.blocking_recv().unwrap().unwrap();
    }
}

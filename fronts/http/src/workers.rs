//! Threads that connections are served on, each from its beginning to its end on one of them.
//!
//! What a request waits for is told by threads of the store. On a runtime whose threads take work from each other each such word
//! wakes a second thread that looks for more work and finds none, which costs a short request more than its own work does. Here
//! the thread that has the connection is woken, and nobody else. The price: a request that computes for long holds up those
//! of the same thread, so engines compute elsewhere (the runtime that started them, or its threads for blocking calls). What a request
//! starts and does not wait for stays on its thread: whoever stops a node drops the threads when its engines have ended.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use millstream_types::BoxFuture;
use tokio::runtime::Builder;
use tokio::sync::mpsc;

/// Threads for blocking calls that each worker may have: reads of what is not in memory.
const BLOCKING_MAX: usize = 128;

/// What serves a connection; made on the worker, because sockets belong to the runtime that they are made in.
type Serve = Box<dyn FnOnce() -> BoxFuture<'static, ()> + Send>;

/// The threads. Cheap to clone; they end, and what they serve with them, when the last clone is dropped.
#[derive(Clone)]
pub struct Workers {
    all: Arc<[Worker]>,
}

struct Worker {
    /// Connections that it serves.
    load: Arc<AtomicUsize>,
    /// Bounded by how many connections their listener lets in.
    given: mpsc::UnboundedSender<Serve>,
}

impl Workers {
    /// A worker for each core.
    ///
    /// # Errors
    /// The system starts no more threads, or has no descriptors left.
    pub fn start() -> io::Result<Self> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let all: io::Result<Arc<[Worker]>> = (0..cores).map(|_| Worker::start()).collect();
        Ok(Self { all: all? })
    }

    /// Lets the worker with the fewest connections serve one more.
    pub(crate) fn serve(&self, serve: impl FnOnce() -> BoxFuture<'static, ()> + Send + 'static) {
        let least = self.all.iter().min_by_key(|worker| worker.load.load(Ordering::Relaxed));
        let Some(worker) = least else { return };
        worker.load.fetch_add(1, Ordering::Relaxed);
        // It takes what it is given for as long as this is here.
        let _ = worker.given.send(Box::new(serve));
    }
}

impl Worker {
    fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(BLOCKING_MAX).build()?;
        let (given, mut taken) = mpsc::unbounded_channel::<Serve>();
        let load = Arc::new(AtomicUsize::new(0));
        let serving = Arc::clone(&load);
        let work = async move {
            while let Some(serve) = taken.recv().await {
                let one = One(Arc::clone(&serving));
                tokio::spawn(async move {
                    serve().await;
                    drop(one);
                });
            }
        };
        thread::Builder::new().name("connections".to_owned()).spawn(move || runtime.block_on(work))?;
        Ok(Self { load, given })
    }
}

/// One connection of a worker, for as long as it is served.
struct One(Arc<AtomicUsize>);

impl Drop for One {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use tokio::sync::oneshot;

    use super::*;

    /// Gives a worker something that says where it runs, and goes on until `end` is dropped.
    fn give(workers: &Workers) -> (oneshot::Receiver<thread::ThreadId>, oneshot::Sender<()>) {
        let (says, said) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        workers.serve(|| {
            Box::pin(async move {
                let _ = says.send(thread::current().id());
                let _ = ended.await;
            })
        });
        (said, end)
    }

    #[tokio::test]
    async fn connections_are_spread_and_those_that_ended_make_room() {
        let workers = Workers { all: [Worker::start().unwrap(), Worker::start().unwrap()].into() };
        let mut open = Vec::new();
        let mut threads = HashSet::new();
        for _ in 0..2 {
            let (said, end) = give(&workers);
            threads.insert(said.await.unwrap());
            open.push(end);
        }
        assert_eq!(threads.len(), 2);
        drop(open.remove(0));
        while workers.all[0].load.load(Ordering::Relaxed) > 0 {
            tokio::task::yield_now().await;
        }
        let (said, _end) = give(&workers);
        assert!(threads.contains(&said.await.unwrap()));
        assert_eq!(workers.all[0].load.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn what_panics_ends_alone() {
        let workers = Workers { all: [Worker::start().unwrap()].into() };
        workers.serve(|| Box::pin(async { panic!("a defect") }));
        let (said, _end) = give(&workers);
        assert!(said.await.is_ok());
        while workers.all[0].load.load(Ordering::Relaxed) > 1 {
            tokio::task::yield_now().await;
        }
    }
}

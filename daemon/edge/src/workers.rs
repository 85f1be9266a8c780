//! The threads that serve connections, each with a runtime of its own.
//!
//! Knows how many tasks each has. Refuses to know what they do. Invariants: a task stays on its thread with all that it
//! starts, so that nothing of a connection is handed from one thread to another; the thread that starts the others serves
//! as well, and alone where there are no others.

use std::{
    future::Future,
    io,
    sync::{
        Arc,
        mpsc::{self, SyncSender},
    },
    thread::{self, JoinHandle},
};

use futures_util::FutureExt as _;
use tokio::{
    runtime::{Builder, Handle},
    sync::oneshot,
    task,
};

use crate::{
    counted::Count,
    ended::{self, Ended},
    freeze,
};

/// The threads; they end with this, and so do the tasks on them.
#[derive(Debug)]
pub struct Workers {
    seats: Seats,
    threads: Vec<Thread>,
}

#[derive(Debug)]
struct Thread {
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
    ended: Ended,
}

/// Where a task can be started. Clones are the same threads, and keep none alive.
#[derive(Debug, Clone)]
pub struct Seats(Arc<[Seat]>);

#[derive(Debug)]
struct Seat {
    runtime: Handle,
    tasks: Count,
}

/// Starts a task on this very thread: a listener, or what belongs to a connection that is served here.
#[expect(clippy::disallowed_methods, reason = "the edge spawns; every task ends with its connection")]
pub fn spawn(task: impl Future<Output = ()> + Send + 'static) -> task::JoinHandle<()> {
    tokio::spawn(task)
}

impl Workers {
    /// The calling thread's runtime and `more` threads. Must be called within a runtime.
    ///
    /// # Errors
    /// The system's, when it gives no more threads or descriptors. Those that were started end.
    pub fn start(more: usize) -> io::Result<Self> {
        let mut seats = vec![Seat::new(Handle::current())];
        let mut threads = Vec::new();
        for number in 1..=more {
            let (stop, stopped) = oneshot::channel::<()>();
            let (begun, begin) = mpsc::sync_channel(1);
            let (end, told) = oneshot::channel();
            let work = move || serve(&name(number), &begun, stopped, end);
            let running = thread::Builder::new().name(format!("serve-{number}")).spawn(work)?;
            threads.push(Thread { stop, running, ended: ended::told(told) });
            seats.push(Seat::new(begin.recv().map_err(io::Error::other)??));
        }
        Ok(Self { seats: Seats(seats.into()), threads })
    }

    /// What each thread is called, and when it has ended; the calling one goes on as long as its caller does.
    pub fn ended(&self) -> impl Iterator<Item = (String, Ended)> + '_ {
        self.threads.iter().zip(1..).map(|(thread, number)| (name(number), thread.ended.clone()))
    }

    /// Where a task can be started.
    #[must_use]
    pub fn seats(&self) -> Seats {
        self.seats.clone()
    }
}

/// What a thread is called where its state is told.
#[must_use]
pub fn name(number: usize) -> String {
    format!("thread {number}")
}

/// One thread's life. The runtime is made here: where the thread itself cannot be had, one would have to be dropped within
/// another's, which tokio does not allow.
fn serve(
    name: &str,
    begun: &SyncSender<io::Result<Handle>>,
    stopped: oneshot::Receiver<()>,
    end: oneshot::Sender<()>,
) {
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return drop(begun.send(Err(error))),
    };
    // Here, so that in a panic it is dropped before the runtime, whose end waits for what blocks in a file.
    let end = end;
    if begun.send(Ok(runtime.handle().clone())).is_ok() {
        // An error means that the sender is gone, which is how it is told to stop.
        let _stopped = runtime.block_on(freeze::thread(name, stopped));
    }
    let _told = end.send(());
    // What blocks in a file or a name server must not hold up the end of the program.
    runtime.shutdown_background();
}

impl Drop for Workers {
    fn drop(&mut self) {
        let told = self.threads.drain(..).map(|Thread { stop, running, .. }| {
            drop(stop);
            running
        });
        // All are told before one is waited for.
        for thread in told.collect::<Vec<_>>() {
            // A panic has been said where it happened, and nothing can be done about it here.
            let _ended = thread.join();
        }
    }
}

impl Seats {
    /// How many threads there are.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Starts a task on that very thread, the calling one being the first. It does not count: it is nobody's connection.
    pub(crate) fn spawn_on(&self, thread: usize, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(seat) = self.0.get(thread) {
            seat.runtime.spawn(task);
        }
    }

    /// Starts a task on the thread that has the fewest.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let Some(seat) = self.0.iter().min_by_key(|seat| seat.tasks.now()) else { return };
        let counted = seat.tasks.one_more();
        // A block that awaits what it has captured has room for it twice.
        seat.runtime.spawn(task.map(move |()| drop(counted)));
    }
}

impl Seat {
    fn new(runtime: Handle) -> Self {
        Self { runtime, tasks: Count::default() }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, future::pending};

    use tokio::sync::mpsc::unbounded_channel;

    use super::*;

    /// Starts so many tasks that stay, and counts them by thread.
    async fn spread(workers: &Workers, tasks: usize) -> HashMap<thread::ThreadId, usize> {
        let (tell, mut told) = unbounded_channel();
        for _ in 0..tasks {
            let tell = tell.clone();
            workers.seats().spawn(async move {
                tell.send(thread::current().id()).unwrap();
                pending::<()>().await;
            });
        }
        let mut threads = HashMap::new();
        for _ in 0..tasks {
            *threads.entry(told.recv().await.unwrap()).or_default() += 1;
        }
        threads
    }

    #[tokio::test]
    async fn tasks_are_shared_evenly_and_the_first_thread_serves_as_well() {
        let threads = spread(&Workers::start(2).unwrap(), 9).await;
        assert_eq!(threads.len(), 3);
        assert!(threads.values().all(|tasks| *tasks == 3), "{threads:?}");
        assert!(threads.contains_key(&thread::current().id()));
    }

    #[tokio::test]
    async fn without_more_threads_everything_runs_on_the_one() {
        let threads = spread(&Workers::start(0).unwrap(), 3).await;
        assert_eq!(threads.into_iter().collect::<Vec<_>>(), [(thread::current().id(), 3)]);
    }

    #[tokio::test]
    async fn a_task_that_ends_or_panics_makes_room() {
        let workers = Workers::start(1).unwrap();
        let seats = workers.seats();
        seats.spawn(pending());
        for _ in 0..4 {
            let (ended, end) = oneshot::channel::<()>();
            seats.spawn(async move {
                let _ended = ended;
                panic!("as some task may");
            });
            assert!(end.await.is_err());
        }
        // Each of them went to the second thread, whose count is back where it was.
        while seats.0[1].tasks.now() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(seats.0[0].tasks.now(), 1);
    }

    #[tokio::test]
    async fn the_tasks_end_with_the_threads() {
        let workers = Workers::start(1).unwrap();
        workers.seats().spawn(pending());
        let (held, released) = oneshot::channel::<()>();
        workers.seats().spawn(async move {
            let _held = held;
            pending::<()>().await;
        });
        drop(workers);
        assert!(released.await.is_err());
    }
}

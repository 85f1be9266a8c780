//! Starts background tasks, and knows what became of them.
//!
//! Refuses to know what they do. Invariant: a task ends with a word (its state, and for a critical one the end of the
//! program), whether it returned, failed or panicked; none outlives the supervisor.

#[cfg(test)]
mod tests;

use std::{
    any::Any,
    fmt,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::FutureExt;
use tokio::{sync::watch, task::JoinHandle, time::Instant};

/// The wait before the first restart; each further one is half as long again.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait: whoever has mended the cause should not have to restart the program as well.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// From 1.5^9 on, waits are longer than [`LONGEST_WAIT`].
const LONGEST_ROW: i32 = 9;
/// A task that ran this long was well: its next failure is a new story. Twice the longest wait.
const WELL: Duration = Duration::from_secs(60);

/// What a task's end means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// The program cannot do without it: its end, of any kind, ends the program.
    Critical,
    /// It starts anew after a failure, ever later; if it returns without one, it is done.
    Restartable,
}

/// What a task does at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It runs.
    Running,
    /// It failed and waits to be started again.
    Waiting,
    /// It came to its end.
    Ended,
}

/// One task, as a status page shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskState {
    /// Its name.
    pub name: &'static str,
    /// What its end means.
    pub policy: Policy,
    /// What it does.
    pub phase: Phase,
    /// How often it was started again.
    pub restarts: u64,
    /// Why it failed last, with all causes; kept after it has recovered.
    pub last_error: Option<String>,
}

/// A critical task came to its end, so the program cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the task {task} ended, without which the program cannot go on: {error}")]
pub struct Failure {
    /// The task's name.
    pub task: &'static str,
    /// Why it ended, with all causes.
    pub error: String,
}

/// The one that starts tasks. Clones are the same supervisor; with the last one, all its tasks end.
#[derive(Clone)]
pub struct Supervisor {
    inner: Arc<Inner>,
}

struct Inner {
    tasks: Mutex<Tasks>,
    failed: watch::Sender<Option<Failure>>,
}

#[derive(Default)]
struct Tasks {
    stopped: bool,
    list: Vec<Task>,
}

struct Task {
    state: watch::Receiver<TaskState>,
    handle: JoinHandle<()>,
}

impl Supervisor {
    /// One without tasks.
    #[must_use]
    pub fn new() -> Self {
        let inner = Inner { tasks: Mutex::default(), failed: watch::Sender::new(None) };
        Self { inner: Arc::new(inner) }
    }

    /// Starts a task, within a runtime; after [`Supervisor::stop`], nothing. `make` is called for each start.
    pub fn spawn<F, Run>(&self, name: &'static str, policy: Policy, make: F)
    where
        F: FnMut() -> Run + Send + 'static,
        Run: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let mut tasks = self.tasks();
        if tasks.stopped {
            return;
        }
        let first = TaskState { name, policy, phase: Phase::Running, restarts: 0, last_error: None };
        let (state, seen) = watch::channel(first);
        let work: futures_util::future::BoxFuture<'static, ()> = match policy {
            Policy::Critical => critical(make, state, self.inner.failed.clone()).boxed(),
            Policy::Restartable => restartable(make, state).boxed(),
        };
        #[expect(clippy::disallowed_methods, reason = "this is where the program's tasks are spawned")]
        let handle = tokio::spawn(work);
        tasks.list.push(Task { state: seen, handle });
    }

    /// Waits until a critical task has ended; for ever, if none does. May be asked more than once.
    pub fn failed(&self) -> impl Future<Output = Failure> + Send + 'static {
        let mut failed = self.inner.failed.subscribe();
        async move {
            let failure = failed.wait_for(Option::is_some).await.ok().and_then(|failure| failure.clone());
            match failure {
                Some(failure) => failure,
                // The supervisor has gone, and no task with it that could still fail.
                None => std::future::pending().await,
            }
        }
    }

    /// Ends all tasks where they stand, and waits until they are gone. Nothing can be started after it.
    pub async fn stop(&self) {
        let ending = {
            let mut tasks = self.tasks();
            tasks.stopped = true;
            tasks.list.iter().for_each(|task| task.handle.abort());
            std::mem::take(&mut tasks.list)
        };
        for task in ending {
            // Aborted or ended before: both are an end.
            let _gone = task.handle.await;
        }
    }

    /// All tasks in the order in which they were started.
    #[must_use]
    pub fn states(&self) -> Vec<TaskState> {
        self.tasks().list.iter().map(|task| task.state.borrow().clone()).collect()
    }

    /// Nothing that is done under the lock can leave the list half changed, so a panic elsewhere is no reason to stop.
    fn tasks(&self) -> MutexGuard<'_, Tasks> {
        self.inner.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Supervisor {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Supervisor").field("tasks", &self.states()).finish()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let tasks = self.tasks.get_mut().unwrap_or_else(PoisonError::into_inner);
        tasks.list.iter().for_each(|task| task.handle.abort());
    }
}

async fn critical<F, Run>(
    mut make: F,
    state: watch::Sender<TaskState>,
    failed: watch::Sender<Option<Failure>>,
) where
    F: FnMut() -> Run + Send,
    Run: Future<Output = anyhow::Result<()>> + Send,
{
    let error = run(&mut make).await.err().unwrap_or_else(|| "it returned, which it never should".to_owned());
    let task = state.borrow().name;
    tracing::error!(task, "a critical task ended: {error}");
    state.send_modify(|state| {
        state.phase = Phase::Ended;
        state.last_error = Some(error.clone());
    });
    // The first one is the cause; others may only follow from it.
    failed.send_if_modified(|failure| {
        let first = failure.is_none();
        failure.get_or_insert(Failure { task, error });
        first
    });
}

async fn restartable<F, Run>(mut make: F, state: watch::Sender<TaskState>)
where
    F: FnMut() -> Run + Send,
    Run: Future<Output = anyhow::Result<()>> + Send,
{
    let task = state.borrow().name;
    let mut row = 0;
    let mut said: Option<String> = None;
    loop {
        let started = Instant::now();
        let Err(error) = run(&mut make).await else {
            state.send_modify(|state| state.phase = Phase::Ended);
            return;
        };
        if started.elapsed() >= WELL {
            (row, said) = (0, None);
        }
        let wait = FIRST_WAIT.mul_f64(1.5_f64.powi(row)).min(LONGEST_WAIT);
        row = (row + 1).min(LONGEST_ROW);
        // The same words every few seconds would bury what else the log has to say.
        if said.as_ref() == Some(&error) {
            tracing::debug!(task, "failed as before, next try in {wait:?}: {error}");
        } else {
            tracing::warn!(task, "failed, next try in {wait:?}: {error}");
            said = Some(error.clone());
        }
        state.send_modify(|state| {
            state.phase = Phase::Waiting;
            state.last_error = Some(error);
        });
        tokio::time::sleep(wait).await;
        state.send_modify(|state| {
            state.phase = Phase::Running;
            state.restarts += 1;
        });
    }
}

/// One run, with a panic as one more error, in words with all causes.
async fn run<F, Run>(make: &mut F) -> Result<(), String>
where
    F: FnMut() -> Run,
    Run: Future<Output = anyhow::Result<()>>,
{
    // What a task shares with others it shares through channels and locks, which bear a panic.
    match AssertUnwindSafe(async { make().await }).catch_unwind().await {
        Ok(result) => result.map_err(|error| format!("{error:#}")),
        Err(panic) => Err(format!("it panicked: {}", words(panic.as_ref()))),
    }
}

fn words(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a text")
}

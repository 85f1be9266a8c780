//! Runs background tasks, and knows what became of them.
//!
//! Refuses to know what they do. Invariant: a task ends with a word (its state, and for a critical one the end of the
//! program), whether it returned, failed or panicked; none that was started here outlives the supervisor.

#[cfg(test)]
mod tests;

use std::{
    fmt::{self, Display},
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::{FutureExt, future::BoxFuture};
use ghostllm_edge::freeze;
use tokio::{sync::watch, task::JoinHandle, time::Instant};

use super::state::{Backoff, PANICKED, Report, Seen};
pub use super::state::{Phase, Policy, TaskList, TaskState};

/// A critical task came to its end, so the program cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the task {task} ended, without which the program cannot go on: {error}")]
pub struct Failure {
    /// The task's name.
    pub task: String,
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
    list: TaskList,
    failed: watch::Sender<Option<Failure>>,
}

#[derive(Default)]
struct Tasks {
    stopped: bool,
    handles: Vec<JoinHandle<()>>,
}

impl Supervisor {
    /// One without tasks.
    #[must_use]
    pub fn new() -> Self {
        let (tasks, list) = Default::default();
        Self { inner: Arc::new(Inner { tasks, list, failed: watch::Sender::new(None) }) }
    }

    /// Starts a task, within a runtime; after [`Supervisor::stop`], nothing. `make` is called for each start.
    pub fn spawn<F, Run>(&self, name: &str, policy: Policy, make: F)
    where
        F: FnMut() -> Run + Send + 'static,
        Run: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let failed = self.inner.failed.clone();
        self.start(Report::new(name, policy), |report| match policy {
            Policy::Critical => critical(make, report, failed).boxed(),
            Policy::Restartable => restartable(make, report).boxed(),
        });
    }

    /// Looks after a critical task that runs elsewhere, until it has `ended`: well, or for a reason that ends the program.
    pub fn watch<E: Display>(&self, name: &str, ended: impl Future<Output = Result<(), E>> + Send + 'static) {
        let failed = self.inner.failed.clone();
        self.start(Report::new(name, Policy::Critical), |report| {
            let work = async move {
                match ended.await {
                    Ok(()) => report.ended(None),
                    Err(error) => fail(&report, &failed, error.to_string()),
                }
            };
            work.boxed()
        });
    }

    /// Runs a critical task right here, and never completes: whatever ends it ends the program.
    pub async fn here(&self, name: &str, work: impl Future<Output = ()>) {
        let report = Report::new(name, Policy::Critical);
        self.adopt(report.seen());
        let mut work = Some(work);
        let make = || {
            let work = work.take();
            async move {
                if let Some(work) = work {
                    work.await;
                }
                Ok(())
            }
        };
        critical(make, report, self.inner.failed.clone()).await;
        std::future::pending::<()>().await;
    }

    /// Shows a task that runs elsewhere, and looks after itself.
    pub(crate) fn adopt(&self, task: Seen) {
        self.inner.list.add(task);
    }

    fn start(&self, report: Report, work: impl FnOnce(Report) -> BoxFuture<'static, ()>) {
        let mut tasks = self.tasks();
        if tasks.stopped {
            return;
        }
        self.inner.list.add(report.seen());
        #[expect(clippy::disallowed_methods, reason = "this is where the program's tasks are spawned")]
        let handle = tokio::spawn(work(report));
        tasks.handles.push(handle);
    }

    /// Waits until a critical task has ended; for ever, if none does. May be asked more than once.
    pub fn failed(&self) -> impl Future<Output = Failure> + Send + use<> {
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

    /// The critical task that has ended, if one has.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        self.inner.failed.borrow().clone()
    }

    /// Ends all tasks where they stand, and waits until they are gone. Nothing can be started after it.
    pub async fn stop(&self) {
        let ending = {
            let mut tasks = self.tasks();
            tasks.stopped = true;
            tasks.handles.iter().for_each(JoinHandle::abort);
            std::mem::take(&mut tasks.handles)
        };
        for task in ending {
            // Aborted or ended before: both are an end.
            let _gone = task.await;
        }
        self.inner.list.clear();
    }

    /// All tasks. The list keeps none of them alive.
    #[must_use]
    pub fn list(&self) -> TaskList {
        self.inner.list.clone()
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
        formatter.debug_struct("Supervisor").field("tasks", &self.inner.list).finish()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let tasks = self.tasks.get_mut().unwrap_or_else(PoisonError::into_inner);
        tasks.handles.iter().for_each(JoinHandle::abort);
    }
}

async fn critical<F, Run>(mut make: F, report: Report, failed: watch::Sender<Option<Failure>>)
where
    F: FnMut() -> Run,
    Run: Future<Output = anyhow::Result<()>>,
{
    let error = match run(&report.name(), &mut make).await {
        Ok(()) => "it returned, which it never should".to_owned(),
        Err(Failed::Once(error) | Failed::ForGood(error)) => error,
    };
    fail(&report, &failed, error);
}

/// A critical task is over.
fn fail(report: &Report, failed: &watch::Sender<Option<Failure>>, error: String) {
    let task = report.name();
    tracing::error!(task, "a critical task ended: {error}");
    report.ended(Some(error.clone()));
    // The first one is the cause; others may only follow from it.
    failed.send_if_modified(|failure| {
        let first = failure.is_none();
        failure.get_or_insert(Failure { task, error });
        first
    });
}

async fn restartable<F, Run>(mut make: F, report: Report)
where
    F: FnMut() -> Run + Send,
    Run: Future<Output = anyhow::Result<()>> + Send,
{
    let task = report.name();
    let mut backoff = Backoff::default();
    let mut said: Option<String> = None;
    loop {
        let started = Instant::now();
        let error = match run(&task, &mut make).await {
            Ok(()) => return report.ended(None),
            Err(Failed::ForGood(error)) => return report.ended(Some(error)),
            Err(Failed::Once(error)) => error,
        };
        let (wait, anew) = backoff.next(started.elapsed());
        // The same words every few seconds would bury what else the log has to say.
        if !anew && said.as_ref() == Some(&error) {
            tracing::debug!(task, "failed as before, next try in {wait:?}: {error}");
        } else {
            tracing::warn!(task, "failed, next try in {wait:?}: {error}");
            said = Some(error.clone());
        }
        report.waits(error);
        tokio::time::sleep(wait).await;
        report.again();
    }
}

/// One run, with a panic as one more error, in words with all causes.
async fn run<F, Run>(name: &str, make: &mut F) -> Result<(), Failed>
where
    F: FnMut() -> Run,
    Run: Future<Output = anyhow::Result<()>>,
{
    let work = freeze::task(name, async { make().await });
    // What a task shares with others it shares through channels and locks, which bear a panic.
    let ended = AssertUnwindSafe(work).catch_unwind().await;
    ended.map_err(|_its_words| Failed::Once(PANICKED.to_owned()))?.map_err(|error| {
        let words = format!("{error:#}");
        if error.is::<InVain>() { Failed::ForGood(words) } else { Failed::Once(words) }
    })
}

/// Why a run has failed, in words.
enum Failed {
    /// Another one may go well.
    Once(String),
    /// None will.
    ForGood(String),
}

/// What a restartable task fails with that it would be in vain to start again.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InVain(pub &'static str);

//! What is known of each background task: what its end means, what it does, and why it failed last.
//!
//! Refuses to know how a task is run, and by whom. Invariant: whatever tells of itself here stands in one list.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::watch;

/// The wait before the first restart; each further one is half as long again.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait: whoever has mended the cause should not have to restart the program as well.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// From 1.5^9 on, waits are longer than [`LONGEST_WAIT`].
const LONGEST_ROW: i32 = 9;
/// A task that ran this long was well: its next failure is a new story. Twice the longest wait.
pub(super) const WELL: Duration = Duration::from_secs(60);

/// Why a task has failed that has panicked.
pub(crate) use ghostllm_edge::ended::PANICKED;

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
    pub name: String,
    /// What its end means.
    pub policy: Policy,
    /// What it does.
    pub phase: Phase,
    /// How often it was started again.
    pub restarts: u64,
    /// Why it failed last, with all causes; kept after it has recovered, and gone once it has ended well.
    pub last_error: Option<String>,
}

/// What a task tells of itself.
#[derive(Debug)]
pub(crate) struct Report(watch::Sender<TaskState>);

/// One task, as others see it.
#[derive(Debug, Clone)]
pub(crate) struct Seen(watch::Receiver<TaskState>);

/// All of them. Clones are the same list.
#[derive(Clone, Default)]
pub struct TaskList(Arc<Mutex<Vec<Seen>>>);

impl Report {
    /// Of a task that runs from now on.
    pub(crate) fn new(name: &str, policy: Policy) -> Self {
        let (name, phase) = (name.to_owned(), Phase::Running);
        Self(watch::Sender::new(TaskState { name, policy, phase, restarts: 0, last_error: None }))
    }

    pub(crate) fn seen(&self) -> Seen {
        Seen(self.0.subscribe())
    }

    pub(crate) fn name(&self) -> String {
        self.0.borrow().name.clone()
    }

    /// It has failed, and waits.
    pub(crate) fn waits(&self, error: String) {
        self.0.send_modify(|state| (state.phase, state.last_error) = (Phase::Waiting, Some(error)));
    }

    /// It runs again.
    pub(crate) fn again(&self) {
        self.0.send_modify(|state| {
            state.phase = Phase::Running;
            state.restarts += 1;
        });
    }

    /// It has come to its end: for that reason, or well, whatever it has recovered from before.
    pub(crate) fn ended(&self, error: Option<String>) {
        self.0.send_modify(|state| {
            state.phase = Phase::Ended;
            state.last_error = error;
        });
    }
}

impl TaskList {
    /// All tasks in the order in which they were started.
    #[must_use]
    pub fn states(&self) -> Vec<TaskState> {
        self.tasks().iter().map(|task| task.0.borrow().clone()).collect()
    }

    /// One more; it takes the place of one of its name that has ended.
    pub(crate) fn add(&self, task: Seen) {
        let mut tasks = self.tasks();
        let name = task.0.borrow().name.clone();
        tasks.retain(|other| {
            let other = other.0.borrow();
            other.name != name || other.phase != Phase::Ended
        });
        tasks.push(task);
    }

    pub(super) fn clear(&self) {
        self.tasks().clear();
    }

    /// Nothing that is done under the lock can leave the list half changed, so a panic elsewhere is no reason to stop.
    fn tasks(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for TaskList {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.states()).finish()
    }
}

/// How long a task waits that has failed again and again.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    row: i32,
}

impl Backoff {
    /// The next wait, after a run that took so long; whether a new story begins.
    pub(crate) fn next(&mut self, ran: Duration) -> (Duration, bool) {
        let anew = ran >= WELL;
        if anew {
            self.row = 0;
        }
        let wait = FIRST_WAIT.mul_f64(1.5_f64.powi(self.row)).min(LONGEST_WAIT);
        self.row = (self.row + 1).min(LONGEST_ROW);
        (wait, anew)
    }
}

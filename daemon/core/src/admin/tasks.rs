//! What runs beside the requests.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `GET /tasks`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaskList {
    /// The version of this form.
    pub version: u32,
    /// Every background task, in the order in which they were started.
    pub tasks: Vec<TaskInfo>,
    /// How many requests have panicked since the start: each has failed by a mistake of the program's, and nothing else with it.
    pub request_panics: u64,
}

/// A background task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaskInfo {
    /// Its name, such as `main`, `thread 1` or `tls [::]:11443`.
    pub name: String,
    /// What its end means.
    pub policy: TaskPolicy,
    /// What it does.
    pub state: TaskPhase,
    /// How often it was started again.
    pub restarts: u64,
    /// Why it failed last, in a line; null where it never has. It stays after the task has recovered.
    pub last_error: Option<String>,
}

/// What a task's end means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskPolicy {
    /// The end of the program, which its service manager starts anew.
    Critical,
    /// It is started again, ever later; one that has done its work ends.
    Restartable,
}

/// What a task does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskPhase {
    /// It runs.
    Running,
    /// It gives no sign of life, which is asked for where a service manager has a watchdog.
    Hanging,
    /// It has failed, and is started again after a rest.
    Waiting,
    /// It has ended, and is not started again.
    Ended,
}

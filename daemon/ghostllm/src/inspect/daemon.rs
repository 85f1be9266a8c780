//! Asking the daemon, over its admin's socket.
//!
//! Knows which of its forms tell what. Refuses to know how it is asked. Invariant: where one form is missing, the others are told.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

use ghostllm_core::{
    admin::{BackendList, ConfigShown, InspectedDaemon, ModelInfo, ModelList, Status, TaskList},
    config::{Config, Listen, Source},
    routes::Admin,
};
use serde::de::DeserializeOwned;

use super::{WITHIN, Wanted};
use crate::ask::{self, Unanswered};

/// What the daemon has told.
pub(super) struct Told {
    pub(super) daemon: InspectedDaemon,
    /// The configuration in use.
    pub(super) config: Option<Config>,
    /// Its files.
    pub(super) files: Option<Vec<String>>,
    pub(super) backends: Option<BackendList>,
    pub(super) models: Option<Vec<ModelInfo>>,
    /// Whether its service manager has a watchdog.
    pub(super) watchdog: Option<bool>,
}

impl Told {
    /// How it stands, where it has answered.
    pub(super) fn status(&self) -> Option<&Status> {
        self.daemon.status.as_ref()
    }

    fn nothing(socket: Option<&Path>, why: String) -> Self {
        let socket = socket.map(|path| path.display().to_string());
        Self {
            daemon: InspectedDaemon { socket, status: None, fault: Some(why) },
            config: None,
            files: None,
            backends: None,
            models: None,
            watchdog: None,
        }
    }
}

/// The socket to ask, or why there is none.
pub(super) fn socket(listen: Option<&Listen>, wanted: &Wanted) -> Result<PathBuf, String> {
    let set = listen.and_then(|listen| listen.admin.clone());
    let state = wanted.state.as_deref().filter(|_| wanted.named);
    ask::find(set, state).map_err(|places| {
        let all: Vec<_> = places.iter().map(|path| path.display().to_string()).collect();
        format!("there is no admin's socket at {}", all.join(", "))
    })
}

/// Asks everything at once.
pub(super) async fn ask(socket: Result<PathBuf, String>) -> Told {
    let path = match socket {
        Ok(path) => path,
        Err(why) => return Told::nothing(None, why),
    };
    let (status, config, backends, models, tasks) = tokio::join!(
        answer::<Status>(&path, Admin::Status),
        answer::<ConfigShown>(&path, Admin::Config),
        answer::<BackendList>(&path, Admin::Backends),
        answer::<ModelList>(&path, Admin::Models),
        answer::<TaskList>(&path, Admin::Tasks),
    );
    let status = match status {
        Ok(status) => status,
        Err(why) => return Told::nothing(Some(&path), why),
    };
    let config = config.ok();
    // What is shown can be read back.
    let read = |shown: &ConfigShown| {
        let (name, bytes) = ("ghostctl config show".to_owned(), shown.toml.clone().into_bytes());
        Config::load(&[Source::File { name, bytes }]).ok()
    };
    Told {
        daemon: InspectedDaemon {
            socket: Some(path.display().to_string()),
            status: Some(status),
            fault: None,
        },
        config: config.as_ref().and_then(read),
        files: config.map(|config| config.files),
        backends: backends.ok(),
        models: models.ok().map(|list| list.models),
        watchdog: tasks.ok().map(|list| list.tasks.iter().any(|task| task.name == "watchdog")),
    }
}

async fn answer<T: DeserializeOwned>(socket: &Path, endpoint: Admin) -> Result<T, String> {
    ask::ask(socket, endpoint, WITHIN).await.map_err(|why| told(&why))
}

/// Why there is no answer, and what to do.
fn told(why: &Unanswered) -> String {
    let is_denied =
        matches!(why, Unanswered::Unconnected(error) if error.kind() == ErrorKind::PermissionDenied);
    let next = if is_denied {
        "; ask as root, as its own user, or as a member of the group ghostllm-admin"
    } else {
        ""
    };
    format!("{why}{next}")
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn whoever_may_not_ask_is_told_as_whom_to_ask() {
        let of = |kind: ErrorKind| told(&Unanswered::Unconnected(io::Error::new(kind, "no")));
        assert!(of(ErrorKind::PermissionDenied).contains("group ghostllm-admin"));
        assert_eq!(of(ErrorKind::ConnectionRefused), "no connection can be made: no");
    }
}

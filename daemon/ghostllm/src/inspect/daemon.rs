//! Asking the daemon, over its admin's socket.
//!
//! Knows which of its forms tell what. Refuses to know how it is asked. Invariant: where one form is missing, the others are told.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use ghostllm_core::{
    admin::{BackendList, ConfigShown, InspectedDaemon, ModelInfo, ModelList, Status, TaskList},
    config::{Config, Listen, Source},
    routes::Admin,
};
use serde::de::DeserializeOwned;
use tokio::{net::UnixStream, time::timeout};

use super::{WITHIN, Wanted, Whose};
use crate::{
    ask::{self, Unanswered},
    process::number,
};

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
    /// Who has made its socket.
    maker: Option<u32>,
}

impl Told {
    /// How it stands, where it has answered.
    pub(super) fn status(&self) -> Option<&Status> {
        self.daemon.status.as_ref()
    }

    /// Whose limits are those that it has.
    pub(super) fn whose(&self) -> Whose {
        match (self.status(), self.maker) {
            (None, _) => Whose::Own,
            (Some(status), Some(maker)) if is_here(status.pid, maker, parent(status.pid)) => {
                Whose::Daemon(status.pid)
            }
            (Some(_), _) => Whose::Nobody,
        }
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
            maker: None,
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

/// Asks for the status, and then for all the rest at once: of its own connections the status counts one.
pub(super) async fn ask(socket: Result<PathBuf, String>) -> Told {
    let path = match socket {
        Ok(path) => path,
        Err(why) => return Told::nothing(None, why),
    };
    let status = match answer::<Status>(&path, Admin::Status).await {
        Ok(status) => status,
        Err(why) => return Told::nothing(Some(&path), why),
    };
    let (config, backends, models, tasks, maker) = tokio::join!(
        answer::<ConfigShown>(&path, Admin::Config),
        answer::<BackendList>(&path, Admin::Backends),
        answer::<ModelList>(&path, Admin::Models),
        answer::<TaskList>(&path, Admin::Tasks),
        maker(&path),
    );
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
        maker,
    }
}

/// The process that listens there, by the number that it has here: the kernel translates it (SO_PEERCRED in unix(7)), and has none for a
/// process that is not seen from here.
async fn maker(socket: &Path) -> Option<u32> {
    let stream = timeout(WITHIN, UnixStream::connect(socket)).await.ok()?.ok()?;
    let process = stream.peer_cred().ok()?.pid()?;
    u32::try_from(process).ok().filter(|process| *process != 0)
}

/// Whose child the process of that number is here.
fn parent(process: u32) -> Option<u64> {
    number(&fs::read_to_string(format!("/proc/{process}/status")).ok()?, "PPid:")
}

/// Whether the number by which the daemon knows itself is the one that it has here: in a container it counts anew, and here that number is
/// another process's. A socket that was handed down was made by the service manager, whose child the daemon is.
fn is_here(process: u32, maker: u32, parent: Option<u64>) -> bool {
    process == maker || parent == Some(u64::from(maker))
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

    #[tokio::test]
    async fn a_number_that_is_another_process_s_here_is_not_the_daemon_s() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("socket");
        assert_eq!(maker(&socket).await, None);
        let _listening = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let (own, above) = (std::process::id(), std::os::unix::process::parent_id());
        assert_eq!((maker(&socket).await, parent(own)), (Some(own), Some(u64::from(above))));
        assert!(is_here(own, own, parent(own)), "it has made its socket");
        assert!(is_here(own, above, parent(own)), "its parent has made it");
        assert!(!is_here(above, own, parent(above)), "another one has");
        assert!(!is_here(7, 4711, None) && !is_here(7, 4711, Some(2)));
    }

    #[test]
    fn whoever_may_not_ask_is_told_as_whom_to_ask() {
        let of = |kind: ErrorKind| told(&Unanswered::Unconnected(io::Error::new(kind, "no")));
        assert!(of(ErrorKind::PermissionDenied).contains("group ghostllm-admin"));
        assert_eq!(of(ErrorKind::ConnectionRefused), "no connection can be made: no");
    }
}

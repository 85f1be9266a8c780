//! What the checks look at: the daemon's answers and the system's files, gathered once.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use ghostllm_core::{
    admin::{
        AuditLog, BackendList, Certificates, Checked, ConfigShown, GpuReport, KeyList, RouteList, Status,
    },
    routes::Admin,
};
use time::OffsetDateTime;

use crate::{
    arguments::Context,
    client::{Answer, Question},
    exit::Failure,
    socket,
};

/// What the daemon says of itself.
#[derive(Debug)]
pub(super) struct Daemon {
    pub(super) status: Answer<Status>,
    pub(super) certificates: Result<Answer<Certificates>, Failure>,
    pub(super) backends: Result<Answer<BackendList>, Failure>,
    pub(super) keys: Result<Answer<KeyList>, Failure>,
    pub(super) checked: Result<Answer<Checked>, Failure>,
    pub(super) config: Result<Answer<ConfigShown>, Failure>,
    pub(super) routes: Result<Answer<RouteList>, Failure>,
    pub(super) audit: Result<Answer<AuditLog>, Failure>,
    pub(super) gpu: Result<Answer<GpuReport>, Failure>,
}

/// What the checks look at.
#[derive(Debug)]
pub(super) struct Seen {
    root: PathBuf,
    /// The daemon, or why it does not answer.
    pub(super) daemon: Result<Box<Daemon>, Failure>,
    /// Its socket, where there is one.
    pub(super) socket: Option<PathBuf>,
    /// Where its state is, where that is known.
    pub(super) state: Option<PathBuf>,
    /// Now.
    pub(super) now: OffsetDateTime,
}

impl Seen {
    pub(super) async fn look(context: &Context, root: &Path, state: Option<PathBuf>) -> Self {
        let socket = context.client.socket().ok();
        Self {
            root: root.to_owned(),
            daemon: daemon(context).await,
            state: state.or_else(|| socket::state(socket.as_deref())),
            socket,
            now: OffsetDateTime::now_utc(),
        }
    }

    /// The daemon, if it answers.
    pub(super) fn known(&self) -> Option<&Daemon> {
        self.daemon.as_deref().ok()
    }

    /// Whether there is state to look into.
    pub(super) fn has_state(&self) -> bool {
        self.state.as_ref().is_some_and(|path| fs::read_dir(path).is_ok())
    }

    /// Whether the files are those of the system that this runs on.
    pub(super) fn is_this_system(&self) -> bool {
        self.root == Path::new("/")
    }

    /// The place of one of the system's files.
    pub(super) fn path(&self, of: &str) -> PathBuf {
        self.root.join(of.trim_start_matches('/'))
    }

    /// One of the system's files.
    pub(super) fn read(&self, of: &str) -> io::Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(self.path(of))?).into_owned())
    }

    /// The number that one of the system's files has.
    pub(super) fn number(&self, of: &str) -> Option<u64> {
        self.read(of).ok()?.split_whitespace().next()?.parse().ok()
    }
}

async fn daemon(context: &Context) -> Result<Box<Daemon>, Failure> {
    let client = &context.client;
    let audit = Question::new(Admin::Audit).query("last=100".to_owned());
    Ok(Box::new(Daemon {
        status: client.ask(&Question::new(Admin::Status)).await?,
        certificates: client.ask(&Question::new(Admin::Certificates)).await,
        backends: client.ask(&Question::new(Admin::Backends)).await,
        keys: client.ask(&Question::new(Admin::Keys)).await,
        checked: client.ask(&Question::new(Admin::CheckConfig)).await,
        config: client.ask(&Question::new(Admin::Config)).await,
        routes: client.ask(&Question::new(Admin::Routes)).await,
        audit: client.ask(&audit).await,
        gpu: client.ask(&Question::new(Admin::Gpu)).await,
    }))
}

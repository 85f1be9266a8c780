//! Why the program does not start, or does not go on, and the exit code of each reason.

use ghostllm_edge::bind::BindError;

use crate::{
    access,
    backend::{SetupError, registry::BackendError},
    certificates, exit,
    secrets::NoCredential,
    store::{StateError, keys::KeysError, settings::KeptError},
    tasks::{alerts::Unusable, supervisor::Failure},
};

/// Why the program does not start, or does not go on.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The TLS port.
    #[error("{0}. {next}", next = next_step(.0, "listen.tls"))]
    Bind(#[from] BindError),
    /// The state directory.
    #[error(transparent)]
    State(#[from] StateError),
    /// The keys in it.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The settings in it.
    #[error(transparent)]
    Settings(#[from] KeptError),
    /// The certificates in it, or the owner's.
    #[error(transparent)]
    Certificates(#[from] certificates::Error),
    /// A backend of the configuration.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// A secret's file, which the configuration names.
    #[error(transparent)]
    Secret(#[from] NoCredential),
    /// What `[alerts]` names.
    #[error(transparent)]
    Alerts(#[from] Unusable),
    /// The system gives fewer threads, or descriptors for them, than the setting asks.
    #[error(
        "the {threads} threads of limits.threads cannot be started: {source}. Set limits.threads to a smaller number, or \
         let this process have more threads and open files (TasksMax= and LimitNOFILE= in its unit, ulimit -u and \
         ulimit -n in a shell)"
    )]
    Threads {
        /// How many there would be.
        threads: usize,
        /// What the system said.
        source: std::io::Error,
    },
    /// A task has ended.
    #[error(transparent)]
    Task(#[from] Failure),
    /// Anything that should not happen.
    #[error("{what}: {cause}")]
    Internal {
        /// What was being done.
        what: &'static str,
        /// What the system said.
        cause: String,
    },
}

/// What to do about a port that cannot be had. The service sees no process but its own: `ghostctl doctor` does.
pub(super) fn next_step(error: &BindError, setting: &str) -> String {
    match error {
        BindError::Taken { .. } => {
            format!(
                "Stop what holds it (sudo ghostctl doctor names it), or choose another address with {setting}"
            )
        }
        BindError::Denied { .. } => {
            format!("Choose a port from 1024 on with {setting}, or start it by its systemd unit")
        }
        BindError::Other { .. } => format!("Choose an address that this box has with {setting}"),
    }
}

impl StartError {
    pub(super) fn internal(what: &'static str, cause: impl std::fmt::Display) -> Self {
        Self::Internal { what, cause: cause.to_string() }
    }

    /// The program's exit code for it.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Bind(BindError::Taken { .. }) => exit::UNAVAILABLE,
            Self::Bind(BindError::Denied { .. }) => exit::PERMISSION,
            Self::Backend(BackendError { why: SetupError::Denied { .. }, .. }) => exit::PERMISSION,
            Self::Bind(BindError::Other { .. }) | Self::Secret(_) | Self::Backend(_) | Self::Alerts(_) => {
                exit::USAGE
            }
            Self::State(error) => error.exit_code(),
            Self::Keys(error) => error.exit_code(),
            Self::Settings(error) => error.exit_code(),
            Self::Certificates(certificates::Error::Unreadable { source, .. })
                if access::is_denied(source) =>
            {
                exit::PERMISSION
            }
            Self::Certificates(
                certificates::Error::State { .. } | certificates::Error::Unreadable { .. },
            ) => exit::IO,
            Self::Certificates(certificates::Error::Given(error)) if error.is_permission() => {
                exit::PERMISSION
            }
            Self::Certificates(certificates::Error::Given(_)) => exit::USAGE,
            Self::Certificates(certificates::Error::TooWide { .. }) => exit::PERMISSION,
            Self::Certificates(certificates::Error::Authority { .. } | certificates::Error::Making(_))
            | Self::Threads { .. }
            | Self::Task(_)
            | Self::Internal { .. } => exit::INTERNAL,
        }
    }
}

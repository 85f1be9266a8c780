//! What the admin API knows of the program, and whom it asks for what.
//!
//! Knows the parts that a person may look at or set to work. Refuses to know HTTP. Invariant: nothing here is computed that
//! another part has computed already.

use std::{collections::BTreeMap, sync::Arc};

use ghostllm_core::{
    ApiError,
    admin::{Certificates, Checked, ConfigChange, PendingSetting, Reloaded},
    config::{Config, Loaded, Pending},
};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use super::events::{Followers, Journal};
use crate::{
    app::Standing,
    log::Lost,
    store::{StateDir, StateFile, audit::Audit, settings::Kept},
    tasks::{health::Verdicts, heat::Known, supervisor::TaskList},
};

/// What is to be done by the loop that looks after the program.
#[derive(Debug)]
pub(crate) enum Order {
    /// Take what is on disk.
    Reload(oneshot::Sender<Reloaded>),
    /// Change settings, and keep that.
    Change {
        /// Which.
        change: ConfigChange,
        /// Whether the mode of the admin socket's file has let in whoever wants it.
        on_the_box: bool,
        /// Hears what became of it.
        done: oneshot::Sender<Result<Reloaded, ApiError>>,
    },
    /// Look whether what is on disk is sound.
    Check(oneshot::Sender<Checked>),
    /// Read the CA's files, which are this loop's to write.
    CaFiles {
        /// Whether the CA's key and the server's are wanted.
        authority: bool,
        /// Hears what is in them.
        done: oneshot::Sender<Result<Vec<StateFile>, ApiError>>,
    },
    /// Make the certificate anew; with a new CA, if that is wanted.
    Renew {
        /// Whether a new CA is wanted.
        authority: bool,
        /// Hears what there is then.
        done: oneshot::Sender<Result<Certificates, ApiError>>,
    },
}

/// The configuration in use, as a person looks at it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Configured {
    /// Every setting with its place.
    pub(crate) toml: String,
    /// The settings that differ from that on disk, and need a restart.
    pub(crate) pending: Vec<PendingSetting>,
    /// The files that were read.
    pub(crate) files: Vec<String>,
    /// What `ghostctl config set` has kept, as it may be told.
    pub(crate) kept: BTreeMap<String, String>,
}

impl Configured {
    /// What was read out of these files, by a program that goes by `in_use`.
    pub(crate) fn new(read: &Loaded, in_use: &Config, files: Vec<String>, kept: &Kept) -> Self {
        let (toml, pending) = read.show_in_use(in_use);
        let told = |Pending { setting, in_use, wanted, place }| PendingSetting {
            setting,
            in_use,
            on_disk: wanted,
            place,
        };
        let kept = kept.settings().settings.into_iter();
        let kept = kept
            .map(|(name, value)| {
                let told = Config::told(&name, &value);
                (name, told)
            })
            .collect();
        Self { toml, pending: pending.into_iter().map(told).collect(), files, kept }
    }
}

/// All of that.
pub(crate) struct Desk {
    pub(crate) state: StateDir,
    pub(crate) orders: mpsc::Sender<Order>,
    pub(crate) config: watch::Receiver<Arc<Configured>>,
    pub(crate) certificates: watch::Receiver<Arc<Certificates>>,
    pub(crate) standing: Arc<Standing>,
    pub(crate) audit: Audit,
    /// Whose turn it is to look whether the audit log can be written: a disk that hangs takes up one thread, and no more.
    pub(crate) look: Arc<Semaphore>,
    pub(crate) journal: Journal,
    /// Who follows it.
    pub(crate) followers: Followers,
    /// What counts the records of the log that were lost.
    pub(crate) lost: Lost,
    pub(crate) tasks: TaskList,
    /// What became of the admin's own checks.
    pub(crate) health: Verdicts,
    /// What is known of the cards.
    pub(crate) heat: Known,
}

impl Desk {
    /// Has something done and waits for it.
    ///
    /// # Errors
    /// The program ends.
    pub(crate) async fn order<T>(
        &self,
        order: impl FnOnce(oneshot::Sender<T>) -> Order,
    ) -> Result<T, ApiError> {
        let (done, hear) = oneshot::channel();
        let stopping =
            || ApiError::backend_unavailable("GhostLLM is stopping; try again when it serves again.", 5);
        self.orders.send(order(done)).await.map_err(|_| stopping())?;
        hear.await.map_err(|_| stopping())
    }
}

//! What there is on this box, at one glance: `ghostllm inspect`, beside a daemon or without one.
//!
//! Knows whom to ask. Refuses to change anything: no directory is made, no key is read, no port is held. Invariants: every question
//! has an end to its time, and all are asked at once; what gives no answer says why.

mod cards;
mod daemon;
mod engines;
mod flight;
mod host;
mod limits;
mod listeners;
mod text;

use std::{path::PathBuf, time::Duration};

use ghostllm_core::{
    admin::{FORM, Inspected, InspectedConfiguration},
    config::Config,
};
use tokio::{task::spawn_blocking, time::timeout};

use daemon::Told;
pub(crate) use flight::{drawn as flights_drawn, flights};
pub(crate) use text::drawn;

/// How long anybody but the cards may take to answer.
const WITHIN: Duration = Duration::from_secs(2);
/// A driver that has to wake its cards takes up to two seconds, and each look may be the one that does.
const CARDS: Duration = Duration::from_secs(5);

/// Whose limits are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// This process's own, where no daemon answers: one that this user starts has them as well.
    Own,
    /// Those of the daemon, which is the process of that number.
    Daemon(u32),
    /// None: the daemon's are not to be seen from here.
    Nobody,
}

/// What is looked at.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// The configuration that a daemon would be started with, or what is wrong with it.
    pub(crate) config: Result<Box<Config>, Vec<String>>,
    /// Its files.
    pub(crate) files: Vec<String>,
    /// The state directory that such a daemon would have.
    pub(crate) state: Option<PathBuf>,
    /// Somebody has named it.
    pub(crate) named: bool,
}

/// Looks. Takes little more than the longest that anybody may take to answer, twice: the daemon is asked first.
pub(crate) async fn inspected(wanted: Wanted) -> Inspected {
    let own = wanted.config.as_ref().ok();
    let socket = daemon::socket(own.map(|config| &config.listen), &wanted);
    let told = daemon::ask(socket).await;
    // The one in use goes first: it is what the daemon goes by.
    let config = told.config.as_ref().or(own.map(|config| &**config)).cloned().unwrap_or_default();
    let whose = told.whose();
    let (host, gpus, (engines, heard), listeners, limits) = tokio::join!(
        host::look(whose),
        cards::look(&config.gpu),
        engines::look(&config, wanted.state.as_deref(), told.backends.as_ref()),
        listeners::look(&config, wanted.state.as_deref(), told.status()),
        limits::look(&config.limits, whose, told.watchdog),
    );
    let Told { daemon, models, files, .. } = told;
    Inspected {
        version: FORM,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        daemon,
        host,
        gpus,
        engines,
        models: models.unwrap_or(heard),
        listeners,
        limits,
        configuration: InspectedConfiguration {
            files: files.unwrap_or(wanted.files),
            faults: wanted.config.err().unwrap_or_default(),
        },
    }
}

/// What this gives, if it does so in time. What is late goes on by itself, and ends with the process.
async fn in_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    within(WITHIN, work).await
}

/// The same within a time of its own.
async fn within<T: Send + 'static>(time: Duration, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    timeout(time, spawn_blocking(work)).await.ok()?.ok()
}

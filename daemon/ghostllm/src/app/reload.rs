//! A changed configuration, taken while the program runs.
//!
//! Knows which parts go by it. Refuses to know where it was read. Invariant: it is taken whole or not at all: what can fail
//! comes first and changes nothing that is in use.

use std::{path::PathBuf, sync::Arc};

use ghostllm_core::config::{Config, Listen};
use tokio::sync::watch;

use super::{StartError, descriptors, edge_limits, engine_wanted, listeners::Serving, upkeep::Upkeep};
use crate::{
    backend::registry::{Backends, Registry},
    log::Level,
    pipeline::Settings,
    secrets,
    store::StateDir,
    tasks::{
        engine::{EngineAt, EngineTask},
        reload::apart,
        supervisor::Supervisor,
    },
};

/// What goes by the configuration, beside what [`Upkeep`] looks after.
pub(super) struct Running {
    pub(super) config: Arc<Config>,
    pub(super) registry: Arc<Registry>,
    pub(super) settings: watch::Sender<Arc<Settings>>,
    pub(super) state: StateDir,
    pub(super) engine: Option<EngineAt>,
    pub(super) supervisor: Supervisor,
    pub(super) level: Level,
}

/// What became of a configuration that was sound.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Taken {
    /// Whether anything is as it was not before.
    pub(super) changed: bool,
    /// The settings that need a restart, and are as they were.
    pub(super) restart: Vec<String>,
}

impl Running {
    /// Takes what was read.
    ///
    /// # Errors
    /// A secret or certificate that it names cannot be used; everything is as it was.
    pub(super) async fn take(
        &mut self,
        read: Config,
        upkeep: &mut Upkeep,
        serving: &Serving,
    ) -> Result<Taken, StartError> {
        let (config, restart) = read.settle(&self.config);
        let within = config.limits.first_lists;
        let new_engine = self.new_engine(&config);
        let engine = new_engine.as_ref().or(self.engine.as_ref());
        let socket = engine.and_then(|engine| engine.socket.clone());
        let certificates = (certified(&config.listen) != certified(&self.config.listen))
            .then(|| upkeep.preparation(&config));
        let (certificates, backends) = match prepared(&config, socket, certificates).await {
            Ok(prepared) => prepared,
            Err(error) => {
                if let Some(engine) = new_engine {
                    engine.stop().await;
                }
                return Err(error);
            }
        };
        if let Some(engine) = new_engine {
            engine.wait_ready(within).await;
            self.engine = Some(engine);
        }
        let config = Arc::new(config);
        let changed = self.registry.replace(backends, &config.limits).await | (config != self.config);
        let before = std::mem::replace(&mut self.config, Arc::clone(&config));
        upkeep.take(Arc::clone(&config), certificates);
        self.settings.send_replace(Arc::new(settings(&config, upkeep)));
        if config.limits != before.limits {
            serving.limit(edge_limits(&config.limits));
        }
        if config.limits.connections != before.limits.connections {
            descriptors::raise(config.limits.connections);
        }
        self.level.set(config.log.level);
        Ok(Taken { changed, restart })
    }

    /// Our engine, if it has something to do only now. Once it runs, it does so until the end.
    fn new_engine(&self, config: &Config) -> Option<EngineAt> {
        let needed = self.engine.is_none() && engine_wanted(config);
        needed.then(|| EngineTask::start(&config.engine, &self.state, &self.supervisor))
    }
}

/// What requests go by.
pub(super) fn settings(config: &Config, upkeep: &Upkeep) -> Settings {
    Settings {
        limits: config.limits.clone(),
        plain_auth: config.listen.plain_auth,
        authority: upkeep.authority(),
    }
}

/// The files of keys that it names, whose contents are part of it.
pub(super) fn secrets(config: &Config) -> Vec<PathBuf> {
    let files = config.backends.iter().filter_map(|backend| backend.key_file.as_ref());
    // One that cannot be found is told when it is read.
    files.filter_map(|file| secrets::path(file, "key_file").ok()).collect()
}

fn certified(listen: &Listen) -> impl PartialEq + use<'_> {
    (&listen.certificate, &listen.key)
}

/// Reads what the configuration names.
async fn prepared<C: Send + 'static>(
    config: &Config,
    engine: Option<PathBuf>,
    certificates: Option<impl FnOnce() -> Result<C, StartError> + Send + 'static>,
) -> Result<(Option<C>, Backends), StartError> {
    let config = config.clone();
    let reading = apart(move || {
        let certificates = certificates.map(|prepare| prepare()).transpose()?;
        Ok((certificates, Backends::of(&config, engine.as_deref())?))
    });
    reading.await.unwrap_or_else(|why| Err(StartError::internal("the configuration cannot be used", why)))
}

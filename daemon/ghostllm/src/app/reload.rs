//! A changed configuration, taken while the program runs.
//!
//! Knows which parts go by it, and whom to tell. Refuses to know where it was read. Invariant: it is taken whole or not at all: what can fail
//! comes first and changes nothing that is in use.

mod change;

use std::{path::PathBuf, sync::Arc, time::Duration};

use ghostllm_core::{
    admin::{Checked, FORM, Reloaded},
    config::{Config, Limits, Listen, Loaded, PlainAuth},
};
use ghostllm_edge::drain::Drain;
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

use super::{
    StartError, descriptors, edge_limits, engine_wanted,
    listeners::{Serving, tell_exposure},
    named::placed,
    standing::Standing,
    systemd,
    upkeep::{CaFiles, Renewed, Upkeep},
};
use crate::{
    admin::{Configured, Order, events::Journal},
    backend::registry::{Backends, Registry},
    certificates::Prepared,
    log::{Level, OneLine},
    pipeline::Settings,
    store::{StateDir, settings::Kept, usage::Ledger},
    tasks::{
        alerts,
        engine::{EngineAt, EngineTask},
        health::Health,
        heat::Heat,
        reload::{Apart, Changes, Read},
        supervisor::Supervisor,
        watchdog,
    },
};

/// How long whoever has asked for it waits for the configuration to be read.
const READING: Duration = Duration::from_secs(30);

/// How long an engine that is started only now is waited for, while all goes on as it was.
const PATIENCE: Duration = Duration::from_secs(10);

/// What goes by the configuration, beside what [`Upkeep`] looks after.
pub(super) struct Running {
    pub(super) config: Arc<Config>,
    pub(super) registry: Arc<Registry>,
    pub(super) settings: watch::Sender<Arc<Settings>>,
    pub(super) state: StateDir,
    pub(super) engine: Option<EngineAt>,
    pub(super) supervisor: Supervisor,
    pub(super) level: Level,
    pub(super) apart: Apart,
    /// What an admin wants done.
    pub(super) orders: mpsc::Receiver<Order>,
    /// What of it `ghostctl config set` has kept.
    pub(super) kept: Kept,
    /// The configuration, as an admin sees it.
    pub(super) configured: watch::Sender<Arc<Configured>>,
    pub(super) journal: Journal,
    pub(super) health: Arc<Health>,
    /// What the cards say, and what is done about it.
    pub(super) heat: Arc<Heat>,
    /// What requests have used.
    pub(super) usage: Ledger,
}

/// What became of a configuration that was sound.
#[derive(Debug, PartialEq, Eq)]
struct Taken {
    /// Whether anything is as it was not before.
    changed: bool,
    /// The settings that are.
    what: Vec<String>,
    /// The settings that need a restart, and are as they were.
    restart: Vec<String>,
}

/// A configuration with everything that it names, and the settings that need a restart.
struct Ready {
    config: Config,
    restart: Vec<String>,
    certificates: Option<Prepared<CaFiles>>,
    backends: Backends,
    /// Our own engine, where it has something to do only now.
    engine: Option<EngineAt>,
}

impl Ready {
    /// It is not taken.
    async fn give_up(self) {
        if let Some(engine) = self.engine {
            engine.stop().await;
        }
    }
}

/// Looks after what changes while it runs, for ever: the host and the certificates, and the configuration.
pub(super) async fn kept_up(
    changes: &mut Changes,
    running: &mut Running,
    upkeep: &mut Upkeep,
    (serving, standing): (&Serving, &Standing),
    drain: &Drain,
) {
    let pulse = serving.pulse();
    let mut beat = pulse.beat("main", pulse.patience() * watchdog::MAIN);
    loop {
        let read = tokio::select! {
            biased;
            // First, so that no number of orders keeps it from its sign of life.
            () = beat.due() => continue,
            due = changes.due(running.config.limits.config_interval) => match changes.read_due(due).await {
                Some(read) => read,
                None => continue,
            },
            Some(order) = running.orders.recv() => {
                ordered(order, changes, running, upkeep, (serving, standing)).await;
                continue;
            }
            Renewed { outcome, done } = upkeep.run(|| (drain.open(), drain.most()), standing) => {
                if outcome.is_ok() {
                    running.settings.send_replace(Arc::new(settings(&running.config, upkeep)));
                }
                // Whoever has gone meanwhile finds it among the events.
                let _heard = done.send(outcome);
                continue;
            }
        };
        reloaded(read, changes, running, upkeep, (serving, standing)).await;
    }
}

/// Takes what was read, and tells everybody.
async fn reloaded(
    Read { asked, outcome }: Read,
    changes: &mut Changes,
    running: &mut Running,
    upkeep: &mut Upkeep,
    (serving, standing): (&Serving, &Standing),
) -> Reloaded {
    systemd::reloading();
    let outcome = match outcome {
        Ok(loaded) => {
            let taken = running.take(&loaded, upkeep, serving).await;
            changes.settle(taken.is_ok());
            if taken.is_ok() {
                running.show(&loaded, changes.files());
            }
            taken
        }
        Err(why) => Err(why),
    };
    let outcome = outcome.map_err(|why| brief(&why));
    told(&outcome, asked, standing);
    let answer = settled(outcome, running, upkeep, standing);
    systemd::ready_again();
    answer
}

/// Lets everybody know what became of it.
fn settled(
    outcome: Result<Taken, String>,
    running: &Running,
    upkeep: &Upkeep,
    standing: &Standing,
) -> Reloaded {
    let answer = match &outcome {
        Ok(Taken { what, restart, .. }) => Reloaded {
            version: FORM,
            taken: true,
            fault: None,
            changed: what.clone(),
            restart: restart.clone(),
        },
        Err(why) => {
            let fault = Some(why.clone());
            Reloaded { version: FORM, taken: false, fault, changed: Vec::new(), restart: Vec::new() }
        }
    };
    standing.plain_wants_key(running.config.listen.plain_auth == PlainAuth::Key);
    standing.certified(upkeep.left_out(), upkeep.complaint());
    standing.reloaded(outcome.map(|taken| taken.restart));
    running.journal.say("configuration", serde_json::to_value(&answer).unwrap_or_default());
    answer
}

/// Does what an admin wants done. Whoever has gone meanwhile hears nothing of it.
async fn ordered(
    order: Order,
    changes: &mut Changes,
    running: &mut Running,
    upkeep: &mut Upkeep,
    (serving, standing): (&Serving, &Standing),
) {
    match order {
        Order::Reload(done) => {
            let answer = match timeout(READING, changes.now()).await {
                Ok(read) => reloaded(read, changes, running, upkeep, (serving, standing)).await,
                Err(_elapsed) => {
                    let fault = format!(
                        "the disk that its files are on has not answered for {} s; once it does, they are read and taken if they \
                         are sound, which ghostctl status and ghostctl events tell",
                        READING.as_secs()
                    );
                    let fault = Some(fault);
                    Reloaded { version: FORM, taken: false, fault, changed: Vec::new(), restart: Vec::new() }
                }
            };
            let _heard = done.send(answer);
        }
        Order::Change { change, on_the_box, done } => {
            let made =
                change::made((&change, on_the_box), changes, running, upkeep, (serving, standing)).await;
            let _heard = done.send(made);
        }
        Order::Check(done) => {
            let (files, faults) = changes.check().await;
            let _heard = done.send(Checked { version: FORM, sound: faults.is_empty(), faults, files });
        }
        Order::Renew { authority, done } => upkeep.renew(authority, done),
        Order::CaFiles { authority, done } => {
            let _heard = done.send(upkeep.ca_files(authority, &running.apart).await);
        }
    }
}

/// What is wrong, on a line that the log and the service manager take.
fn brief(why: &str) -> String {
    /// Far more than the longest of our own, and far less than a datagram takes.
    const MOST: usize = 1000;
    let line = OneLine(why).to_string();
    match line.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

/// Says what became of a configuration that was read anew.
fn told(outcome: &Result<Taken, String>, asked: bool, standing: &Standing) {
    match outcome {
        // The same again, of a disk that does not answer, is no news.
        Err(why) if !asked && standing.is_refused_for(why) => {}
        Err(why) => {
            tracing::error!("the changed configuration is not in use, the one before it stays: {why}");
        }
        Ok(Taken { changed: true, what, .. }) => {
            let what = if what.is_empty() { "what its files hold".to_owned() } else { what.join(", ") };
            tracing::info!(changed = what, "the configuration was read anew, and is in use");
        }
        Ok(Taken { changed: false, .. }) if standing.is_refused() => {
            tracing::info!("the configuration is sound again, and as it was before");
        }
        Ok(Taken { changed: false, .. }) => {
            tracing::info!("the configuration was read anew: nothing that is in use has changed");
        }
    }
    if let Ok(Taken { restart, .. }) = outcome
        && !restart.is_empty()
    {
        let settings = restart.join(", ");
        tracing::warn!(
            settings,
            "these settings have changed and stay as they were until a restart (systemctl restart ghostllm)"
        );
    }
}

impl Running {
    /// Shows what was read out of these files to whoever looks at the configuration.
    fn show(&self, read: &Loaded, files: Vec<String>) {
        let configured = Configured::new(read, &self.config, files, &self.kept);
        self.configured.send_replace(Arc::new(configured));
    }

    /// Whoever waits for an order hears now that it is not done: the end must not wait for them.
    pub(super) fn refuse_orders(&mut self) {
        self.orders.close();
        while self.orders.try_recv().is_ok() {}
    }

    /// Takes what was read.
    ///
    /// # Errors
    /// In words, with the place: a secret or certificate that it names cannot be used. Everything is as it was.
    async fn take(&mut self, read: &Loaded, upkeep: &mut Upkeep, serving: &Serving) -> Result<Taken, String> {
        let ready = self.prepare(read, upkeep).await?;
        Ok(self.swap(ready, upkeep, serving).await)
    }

    /// Makes ready what can fail. Nothing that is in use has changed then.
    ///
    /// # Errors
    /// As [`Running::take`].
    async fn prepare(&self, read: &Loaded, upkeep: &Upkeep) -> Result<Ready, String> {
        let (config, restart) = read.config.clone().settle(&self.config, self.engine_runs());
        let certificates = (certified(&config.listen) != certified(&self.config.listen)
            || !upkeep.is_certificate_current())
        .then(|| upkeep.preparation(&config));
        let prepared = prepared(&self.apart, &config, self.socket(), certificates).await;
        let (certificates, backends) = prepared.map_err(|error| placed(read, &error))?;
        let (engine, backends) = match self.started(&config).await {
            None => (None, backends),
            Some(started) => {
                let (engine, backends) = started.map_err(|error| placed(read, &error))?;
                (Some(engine), backends)
            }
        };
        Ok(Ready { config, restart, certificates, backends, engine })
    }

    /// Takes what was made ready.
    async fn swap(&mut self, ready: Ready, upkeep: &mut Upkeep, serving: &Serving) -> Taken {
        let Ready { config, restart, certificates, backends, engine } = ready;
        self.engine = self.engine.take().or(engine);
        let renewed = certificates.is_some();
        let changed = self.registry.replace(backends, &config.limits).await;
        let what = config.differing(&self.config);
        self.go_by(&Arc::new(config), certificates, upkeep, serving);
        Taken { changed: changed || renewed || !what.is_empty(), what, restart }
    }

    /// Starts our own engine, if that has something to do only now; gives the backends with it.
    async fn started(&self, config: &Config) -> Option<Result<(EngineAt, Backends), StartError>> {
        if !engine_wanted(config) || self.engine_runs() {
            return None;
        }
        let engine = EngineTask::start(&config.engine, &self.state, &self.supervisor);
        engine.wait_ready(config.limits.first_lists.min(PATIENCE)).await;
        let none = None::<fn() -> Result<(), StartError>>;
        let again = prepared(&self.apart, config, engine.socket.clone(), none).await;
        match again {
            Ok((_, backends)) => Some(Ok((engine, backends))),
            Err(error) => {
                engine.stop().await;
                Some(Err(error))
            }
        }
    }

    /// Swaps everything but the backends.
    fn go_by(
        &mut self,
        config: &Arc<Config>,
        certificates: Option<Prepared<CaFiles>>,
        upkeep: &mut Upkeep,
        serving: &Serving,
    ) {
        let before = std::mem::replace(&mut self.config, Arc::clone(config));
        upkeep.take(Arc::clone(config), certificates);
        self.settings.send_replace(Arc::new(settings(config, upkeep)));
        if config.limits != before.limits {
            serving.limit(edge_limits(&config.limits));
        }
        let open = |limits: &Limits| (limits.connections, limits.admin_connections);
        if open(&config.limits) != open(&before.limits) {
            descriptors::raise(&config.limits);
        }
        if config.listen.exposure != before.listen.exposure {
            tell_exposure(config.listen.exposure);
        }
        self.level.set(&config.log);
    }

    /// Whether there is an engine, ours or another's; once ours runs, it does so until the end.
    fn engine_runs(&self) -> bool {
        self.socket().is_some()
    }

    fn socket(&self) -> Option<PathBuf> {
        self.engine.as_ref()?.socket.clone()
    }
}

/// What requests go by.
pub(super) fn settings(config: &Config, upkeep: &Upkeep) -> Settings {
    Settings {
        limits: config.limits.clone(),
        plain_auth: config.listen.plain_auth,
        health: config.health.clone(),
        gpu: config.gpu.clone(),
        usage: config.usage.clone(),
        alerts: config.alerts.clone(),
        authority: upkeep.authority(),
    }
}

fn certified(listen: &Listen) -> impl PartialEq + use<'_> {
    (&listen.certificate, &listen.key)
}

/// Reads what the configuration names.
async fn prepared<C: Send + 'static>(
    apart: &Apart,
    config: &Config,
    engine: Option<PathBuf>,
    certificates: Option<impl FnOnce() -> Result<C, StartError> + Send + 'static>,
) -> Result<(Option<C>, Backends), StartError> {
    let config = config.clone();
    let reading = apart.run(move || {
        let certificates = certificates.map(|prepare| prepare()).transpose()?;
        alerts::check(&config.alerts)?;
        Ok((certificates, Backends::of(&config, engine.as_deref())?))
    });
    reading.await.unwrap_or_else(|why| Err(StartError::internal("the configuration cannot be used", why)))
}

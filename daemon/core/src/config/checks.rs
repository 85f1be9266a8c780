//! What single settings cannot see: combinations that cannot be meant.
//!
//! Knows which settings contradict each other. Refuses to know how a setting is read. Invariant: each
//! contradiction is reported at the setting that a person would change.

use std::net::{IpAddr, SocketAddr};

use super::{
    BACKENDS, CardChoice, Config, Engine, HEALTH, WebhookUrl,
    fault::{ConfigError, Place, nearest},
    health::Subject,
    models,
    tree::{Layer, Value},
};

/// Reports every impossible combination in `config`, with places out of `tree`.
pub(super) fn check(config: &Config, tree: &Layer, errors: &mut Vec<ConfigError>) {
    let mut checks = Checks { tree, errors };
    checks.plain(config);
    checks.proxies(config);
    checks.certificate(config);
    checks.engine(config);
    checks.memory(config);
    checks.gpu(config);
    checks.health(config);
    checks.alerts(config);
    models::check(config, tree, errors);
}

/// What is found by itself where there are no backends.
const FOUND: [&str; 2] = ["ollama", "engine"];

struct Checks<'a> {
    tree: &'a Layer,
    errors: &'a mut Vec<ConfigError>,
}

impl Checks<'_> {
    /// Reports `message` at the first of `settings` that somebody wrote; defaults never contradict each other.
    fn report(&mut self, settings: &[[&str; 2]], message: String) {
        let node = settings.iter().find_map(|path| self.tree.root.find(path));
        if let Some(node) = node {
            self.errors.push(ConfigError::new(node.place.clone(), message));
        }
    }

    /// The place of one item of `listen.plain`.
    fn plain_place(&self, at: usize) -> Option<Place> {
        let node = self.tree.root.find(&["listen", "plain"])?;
        match &node.value {
            Value::List(items) => items.get(at).map(|item| item.place.clone()),
            _ => Some(node.place.clone()),
        }
    }

    fn alerts(&mut self, config: &Config) {
        let alerts = &config.alerts;
        let clear =
            alerts.webhook.as_ref().map(WebhookUrl::url).filter(|url| !url.tls() && !url.is_loopback());
        let (key, message) = match (clear, alerts.webhook_key_file.is_some()) {
            _ if alerts.webhook.is_some() && alerts.webhook_file.is_some() => {
                ("webhook_file", "alerts: webhook and webhook_file both say where; take one away".to_owned())
            }
            (_, true) if !alerts.is_on() => {
                let message = "alerts: webhook_key_file is a key for no address; write webhook as well, or take it away";
                ("webhook_key_file", message.to_owned())
            }
            (Some(url), true) => {
                let message = format!(
                    "alerts: the key would go to {url} in the clear, for everybody on the network to read; use https://"
                );
                ("webhook_key_file", message)
            }
            _ => return,
        };
        self.report(&[["alerts", key]], message);
    }

    fn plain(&mut self, config: &Config) {
        let listen = &config.listen;
        for (at, address) in listen.open() {
            if let Some(place) = self.plain_place(at) {
                let message = format!(
                    "listen.plain: {address} can be reached from other machines without encryption and without a key; \
                     write plain_auth = \"key\" in [listen], or keep to 127.0.0.1 and [::1]"
                );
                self.errors.push(ConfigError::new(place, message));
            }
        }
        for (at, address) in listen.plain.iter().enumerate() {
            if listen.plain.iter().take(at).any(|other| other == address && address.port() != 0)
                && let Some(place) = self.plain_place(at)
            {
                let message = format!("listen.plain: {address} stands here twice; take one away");
                self.errors.push(ConfigError::new(place, message));
            }
        }
        if let Some(address) = listen.plain.iter().find(|address| collide(listen.tls, **address)) {
            let message = format!(
                "listen: plain ({address}) and tls ({}) would share one port; give them different ports",
                listen.tls
            );
            self.report(&[["listen", "plain"], ["listen", "tls"]], message);
        }
    }

    fn proxies(&mut self, config: &Config) {
        if !config.listen.trusted_proxies.is_empty() {
            let message = "listen.trusted_proxies: this setting is reserved and must stay empty: \
                           no proxy's word about its clients is taken yet; take it away";
            self.report(&[["listen", "trusted_proxies"]], message.to_owned());
        }
    }

    fn certificate(&mut self, config: &Config) {
        let (there, missing) = match (&config.listen.certificate, &config.listen.key) {
            (Some(_), None) => ("certificate", "key"),
            (None, Some(_)) => ("key", "certificate"),
            (Some(_), Some(_)) | (None, None) => return,
        };
        // A key that is there but wrong was reported already.
        if self.tree.root.find(&["listen", missing]).is_none() {
            let message =
                format!("listen.{there}: there is no listen.{missing} to it; write both or neither");
            self.report(&[["listen", there]], message);
        }
    }

    fn memory(&mut self, config: &Config) {
        let limits = &config.limits;
        if limits.memory_drop < limits.memory_shed {
            let message = format!(
                "limits: memory_drop ({}) comes before memory_shed ({}): connections would be closed before chats are refused; give \
                 memory_drop the larger number",
                limits.memory_drop, limits.memory_shed
            );
            self.report(&[["limits", "memory_drop"], ["limits", "memory_shed"]], message);
        }
    }

    fn gpu(&mut self, config: &Config) {
        if config.gpu.cards.iter().any(CardChoice::is_processor) {
            let message = "gpu.cards: a processor's heat has no consequences; name cards, or write [\"all\"]";
            self.report(&[["gpu", "cards"]], message.to_owned());
        }
    }

    fn engine(&mut self, config: &Config) {
        let engine = &config.engine;
        if engine.socket.is_none() {
            return;
        }
        for key in Engine::KEYS.iter().filter(|key| **key != "socket") {
            let message = format!(
                "engine.{key}: with engine.socket somebody else starts the engine, and this is not used; \
                 take one of the two away"
            );
            self.report(&[["engine", key]], message);
        }
    }
}

impl Checks<'_> {
    /// A check of a backend that is not there would fail for ever.
    fn health(&mut self, config: &Config) {
        // As they are written: one that is not whole was reported already.
        let written = self.tree.list(BACKENDS).iter().map(|named| named.name.as_str());
        let mut names: Vec<&str> = written.collect();
        if names.is_empty() {
            names.extend(FOUND);
        }
        for check in &config.health {
            let Subject::Backend(backend) = &check.subject else { continue };
            let named = self.tree.list(HEALTH).iter().find(|named| named.name == check.name.as_str());
            let node = named.and_then(|named| named.table.find(&["backend"]));
            if let Some(node) = node.filter(|_| !names.contains(&backend.as_str())) {
                let hint = nearest(backend.as_str(), names.iter().copied()).map_or_else(
                    || format!("the backends are {}", names.join(", ")),
                    |near| format!("did you mean \"{near}\"?"),
                );
                let message = format!("health.backend: there is no backend \"{backend}\"; {hint}");
                self.errors.push(ConfigError::new(node.place.clone(), message));
            }
        }
    }
}

/// Whether both cannot be bound, since an unspecified IPv6 address takes IPv4 as well.
fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    let covers = |a: IpAddr, b: IpAddr| a.is_unspecified() && (a.is_ipv6() || b.is_ipv4());
    a.port() != 0
        && a.port() == b.port()
        && (a.ip() == b.ip() || covers(a.ip(), b.ip()) || covers(b.ip(), a.ip()))
}

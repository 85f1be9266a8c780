//! What is measured: the daemon's listener and its trust, the model, and the way around the gateway.
//!
//! Knows what the daemon says of itself. Refuses to measure. Invariants: nothing is made up: where there is no way around the gateway, there
//! is the reason; a backend's key is read from the file that the configuration names, and comes from nowhere else.

use std::{
    env,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};

use ghostllm_core::{
    admin::{
        BackendInfo, BackendList, CertificateInfo, Certificates, ConfigShown, Listener, ListenerList,
        ModelInfo, ModelList,
    },
    chat::Defaults,
    config::{self, BackendUrl, Config, Source, Target, nearest},
    key::Key,
    routes::Admin,
    routing::{BackendModels, Catalog, Model, Names, Place},
};
use ghostllm_edge::{bind, client::Dialer, tls};
use http::Version;
use hyper_rustls::ConfigBuilderExt as _;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};

use super::{
    Order,
    desk::Desk,
    leg::{Direct, Gateway, bearer},
    spoken,
    unmeasured::Unmeasured,
};
use crate::backend::{Backend, registry::DEMO_MODEL};

/// Has the API key; an argument would show it to every user of the box.
const KEY_VARIABLE: &str = "GHOSTLLM_KEY";
/// How to come by a key.
const MAKE_KEY: &str = "Make one that ends by itself:\n  export GHOSTLLM_KEY=$(ghostctl keys create bench --scope chat --expires 1h)";

/// What the daemon has said.
pub(super) struct House {
    desk: Desk,
    config: Config,
    backends: Vec<BackendInfo>,
    models: Vec<ModelInfo>,
}

/// A model and who has it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Choice {
    /// As the gateway is asked for it.
    pub(super) model: String,
    /// As its backend calls it.
    pub(super) own: String,
    /// The backend.
    pub(super) backend: String,
    /// What the gateway wants of it.
    defaults: Defaults,
}

/// The key that the environment has.
pub(super) fn key() -> Result<Key, Unmeasured> {
    let Some(text) = env::var_os(KEY_VARIABLE).filter(|text| !text.is_empty()) else {
        return Err(Unmeasured::Denied(format!(
            "the gateway wants an API key over TLS, and {KEY_VARIABLE} has none. {MAKE_KEY}"
        )));
    };
    let text = text.to_string_lossy();
    Key::parse(text.trim())
        .map_err(|why| Unmeasured::Denied(format!("{KEY_VARIABLE} holds no API key: {why}. {MAKE_KEY}")))
}

/// What is to be done where the gateway does not take the key.
pub(super) fn wrong_key(why: &str) -> Unmeasured {
    Unmeasured::Denied(format!("the gateway does not take the key in {KEY_VARIABLE}: {why} {MAKE_KEY}"))
}

impl House {
    /// Asks the daemon.
    pub(super) async fn look(desk: Desk) -> Result<Self, Unmeasured> {
        let shown: ConfigShown = desk.ask(Admin::Config).await?;
        let source = Source::File { name: "ghostllm.toml".to_owned(), bytes: shown.toml.into_bytes() };
        let config = Config::load(&[source]).map_err(|errors| {
            let first = errors.first().map(ToString::to_string).unwrap_or_default();
            Unmeasured::Unreachable(format!(
                "the daemon's configuration is not understood: {first}. Use the ghostllm that came with it"
            ))
        })?;
        let backends: BackendList = desk.ask(Admin::Backends).await?;
        let models: ModelList = desk.ask(Admin::Models).await?;
        Ok(Self { desk, config, backends: backends.backends, models: models.models })
    }

    /// The way to the gateway.
    pub(super) async fn gateway(&self, order: &Order, key: &Key) -> Result<Gateway, Unmeasured> {
        let listeners: ListenerList = self.desk.ask(Admin::Listeners).await?;
        let certificates: Certificates = self.desk.ask(Admin::Certificates).await?;
        let address = listening(&listeners.listeners, order.http)?;
        let trust = trusting(order.ca.as_deref(), &certificates)?;
        let name = name(&certificates.server, address.ip());
        let unusable = |why: &dyn std::fmt::Display| {
            Unmeasured::Unreachable(format!(
                "no connection can be made to {address}: {why}. See: ghostctl cert show"
            ))
        };
        let dialer = Dialer::new(order.http, address, &name, trust).map_err(|why| unusable(&why))?;
        let key = bearer(key).ok_or_else(|| unusable(&"the key is no header"))?;
        let authority = format!("localhost:{}", address.port());
        let streams = usize::try_from(self.config.limits.streams).unwrap_or(1).max(1);
        Ok(Gateway { dialer, authority, key, streams })
    }

    /// The models that may be meant: the one of that name, or all that a backend answers for, in the daemon's order.
    pub(super) async fn choices(&self, asked: Option<&str>) -> Result<Vec<Choice>, Unmeasured> {
        let Some(asked) = asked else {
            let up = self.models.iter().filter(|model| model.up);
            let choices: Vec<Choice> = up.filter_map(|model| self.resolve(&model.id, None)).collect();
            if choices.is_empty() {
                return Err(Unmeasured::Failed(
                    "no model can answer. See why: ghostctl status, ghostctl backends test".to_owned(),
                ));
            }
            return Ok(choices);
        };
        // Of a model that another backend has as well, the list shows the first alone.
        let mut more = None;
        if let Some((name, _)) = asked.split_once('/')
            && let Some(info) = self.backends.iter().find(|info| info.name == name)
            && let Ok(backend) = self.backend(info)
        {
            more = backend.models().await.ok().map(|models| (name, models));
        }
        if let Some(choice) = self.resolve(asked, more.as_ref()) {
            return Ok(vec![choice]);
        }
        Err(self.unknown(asked))
    }

    /// As the gateway itself would.
    fn resolve(&self, asked: &str, more: Option<&(&str, Vec<Model>)>) -> Option<Choice> {
        let listed = |info: &BackendInfo| {
            let models = self.models.iter().filter(|model| model.backend == info.name);
            // A name that the configuration gives is none of the backend's.
            let id = |model: &ModelInfo| model.target.as_ref().unwrap_or(&model.id).clone();
            let model = |model: &ModelInfo| Model { id: id(model), ..Model::default() };
            let mut models: Vec<Model> = models.map(model).collect();
            if let Some((_, own)) = more.filter(|(name, _)| *name == info.name) {
                models
                    .extend(own.iter().filter(|model| !models.contains(model)).cloned().collect::<Vec<_>>());
            }
            BackendModels { name: info.name.clone(), models: Some(models) }
        };
        let catalog = Catalog::new(self.backends.iter().map(listed).collect());
        let place = |name: &str| self.place(&catalog, name);
        let names = Names::new(self.config.models.as_slice().into(), place);
        let place = place(names.target(asked).unwrap_or(asked))?;
        let backend = self.backends.get(place.0)?.name.clone();
        let defaults = names.defaults(asked, &place);
        Some(Choice { model: asked.to_owned(), own: place.1, backend, defaults })
    }

    fn place(&self, catalog: &Catalog, name: &str) -> Option<Place> {
        if let Some(route) = catalog.resolve(name) {
            return Some((route.index, route.model.to_owned()));
        }
        // Our engine has it always, and lists it only while there is nothing else.
        let engine = self.backends.iter().position(|info| info.kind == "engine");
        Some((engine.filter(|_| name == DEMO_MODEL)?, name.to_owned()))
    }

    /// What is said of a name that nobody has.
    pub(super) fn unknown(&self, asked: &str) -> Unmeasured {
        let names = || self.models.iter().map(|model| model.id.as_str());
        // A tag need not be written to be meant.
        let near = nearest(asked, names().chain(names().map(stem)));
        let near = near.and_then(|near| names().find(|name| *name == near || stem(name) == near));
        let near = near.map(|name| format!(" Did you mean {name}?")).unwrap_or_default();
        let all: Vec<&str> = names().take(10).collect();
        let all = if all.is_empty() { "none".to_owned() } else { all.join(", ") };
        Unmeasured::Usage(format!(
            "the daemon has no model \"{asked}\", or this key may not use it.{near} It lists: {all}. See: ghostctl models ls"
        ))
    }

    /// The backend of that name.
    pub(super) fn info(&self, name: &str) -> Option<&BackendInfo> {
        self.backends.iter().find(|info| info.name == name)
    }

    /// The way around the gateway, or why there is none.
    pub(super) fn direct(&self, choice: &Choice) -> Result<Direct, String> {
        let info = self.info(&choice.backend).ok_or("the daemon does not say where its backend is")?;
        let limits = Arc::new(self.config.limits.clone());
        let (model, defaults) = (choice.own.clone(), choice.defaults);
        Ok(Direct { backend: self.backend(info)?, model, defaults, limits })
    }

    fn backend(&self, info: &BackendInfo) -> Result<Backend, String> {
        let limits = Arc::new(self.config.limits.clone());
        let made = if let Some(configured) =
            self.config.backends.iter().find(|known| known.name.as_str() == info.name)
        {
            let engine = self.engine_of(configured)?;
            Backend::configured(configured, engine.as_deref(), &limits)
        } else if info.kind == "engine" {
            Backend::engine(Path::new(&info.at), &limits)
        } else {
            let url =
                info.at.parse::<BackendUrl>().map_err(|_no_url| format!("{} is no address", info.at))?;
            Backend::found_ollama(&url, &limits)
        };
        made.map_err(|error| error.to_string())
    }

    /// The socket of our own engine, for a file; none for what needs none.
    fn engine_of(&self, configured: &config::Backend) -> Result<Option<PathBuf>, String> {
        if !matches!(configured.target, Target::Gguf(_)) {
            return Ok(None);
        }
        let own = self.desk.state().map(|state| state.join("run/engine.sock"));
        let socket = self.config.engine.socket.clone().or(own).filter(|socket| socket.exists());
        let none = "the socket of the daemon's own engine is not to be found from here; name the daemon with --state-dir DIR";
        socket.map(Some).ok_or_else(|| none.to_owned())
    }
}

/// Where that version is spoken, as it is reached from this box.
fn listening(listeners: &[Listener], http: Version) -> Result<SocketAddr, Unmeasured> {
    let kind = if http == Version::HTTP_3 { "quic" } else { "tls" };
    let serving = listeners.iter().find(|listener| listener.kind == kind && listener.serves);
    let address = serving.and_then(|listener| listener.address.parse::<SocketAddr>().ok());
    let mut address = address.ok_or_else(|| {
        Unmeasured::Unreachable(format!(
            "the daemon does not serve {}. See why: ghostctl status; or take another --http",
            spoken(http)
        ))
    })?;
    if address.ip().is_unspecified() {
        // [::] takes IPv4 as well, and nothing else comes there while IPv6 is disabled.
        let six = address.is_ipv6() && bind::has((Ipv6Addr::LOCALHOST, 0).into());
        let own: IpAddr = if six { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() };
        address.set_ip(own);
    }
    Ok(address)
}

/// Which of the certificate's names it is held against.
fn name(certificate: &CertificateInfo, address: IpAddr) -> String {
    let has = |name: &&String| certificate.names.contains(name);
    let (local, address) = ("localhost".to_owned(), address.to_string());
    if let Some(name) = [&local, &address].into_iter().find(has) {
        return name.clone();
    }
    let first = certificate.names.first().cloned().unwrap_or(local);
    // Any name below it is one of its.
    first.strip_prefix("*.").map_or(first.clone(), |rest| format!("bench.{rest}"))
}

/// What is trusted: this file, the box's own CA, or what the system trusts.
fn trusting(ca: Option<&Path>, certificates: &Certificates) -> Result<ClientConfig, Unmeasured> {
    let tls = |error: rustls::Error| Unmeasured::Failed(format!("TLS cannot be set up: {error}"));
    let builder = ClientConfig::builder_with_provider(tls::provider());
    let builder = builder.with_safe_default_protocol_versions().map_err(tls)?;
    let pem = match (ca, &certificates.authority) {
        (Some(path), _) => std::fs::read(path).map_err(|error| {
            Unmeasured::Usage(format!(
                "{} cannot be read: {error}. Name a file with a CA in PEM form",
                path.display()
            ))
        })?,
        (None, Some(authority)) => authority.pem.clone().into_bytes(),
        (None, None) => {
            let native = builder.with_native_roots().map_err(|error| {
                Unmeasured::Usage(format!(
                    "this system trusts nobody: {error}. Install the package ca-certificates, or name the CA with --ca FILE"
                ))
            })?;
            return Ok(native.with_no_client_auth());
        }
    };
    let mut roots = RootCertStore::empty();
    let (added, _ignored) = roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&pem).flatten());
    if added == 0 {
        let from = ca.map_or_else(|| "the daemon's CA".to_owned(), |path| path.display().to_string());
        return Err(Unmeasured::Usage(format!(
            "{from} holds no certificate in PEM form. Name another with --ca FILE"
        )));
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// A model's name without its tag.
fn stem(name: &str) -> &str {
    name.split_once(':').map_or(name, |(stem, _tag)| stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(kind: &str, address: &str, serves: bool) -> Listener {
        Listener {
            kind: kind.to_owned(),
            address: address.to_owned(),
            speaks: String::new(),
            serves,
            key: true,
        }
    }

    #[test]
    fn a_listener_for_everybody_is_reached_at_loopback() {
        let all = [listener("tls", "[::]:11443", true), listener("quic", "0.0.0.0:11443", true)];
        // Without IPv6 the same listener takes IPv4 alone.
        let own = if bind::has("[::1]:0".parse().unwrap()) { "[::1]:11443" } else { "127.0.0.1:11443" };
        assert_eq!(listening(&all, Version::HTTP_11).unwrap().to_string(), own);
        assert_eq!(listening(&all, Version::HTTP_2).unwrap().to_string(), own);
        assert_eq!(listening(&all, Version::HTTP_3).unwrap().to_string(), "127.0.0.1:11443");
        let one = [listener("tls", "192.0.2.7:443", true), listener("quic", "192.0.2.7:443", false)];
        assert_eq!(listening(&one, Version::HTTP_2).unwrap().to_string(), "192.0.2.7:443");
        let told = listening(&one, Version::HTTP_3).unwrap_err().to_string();
        assert!(told.contains("HTTP/3.") && told.contains("ghostctl status"), "{told}");
    }

    #[test]
    fn a_certificate_is_held_against_a_name_of_its_own() {
        let of = |names: &[&str]| {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            name(
                &CertificateInfo { names, begins: None, expires: None, renews: None },
                IpAddr::from([127, 0, 0, 1]),
            )
        };
        assert_eq!(of(&["box.example", "localhost"]), "localhost");
        assert_eq!(of(&["box.example", "127.0.0.1"]), "127.0.0.1");
        assert_eq!(of(&["box.example"]), "box.example");
        assert_eq!(of(&["*.example"]), "bench.example");
    }

    fn house(backends: &[(&str, &str)], models: &[(&str, &str)]) -> House {
        let info = |(name, kind): &(&str, &str)| BackendInfo {
            name: (*name).to_owned(),
            kind: (*kind).to_owned(),
            at: String::new(),
            up: Some(true),
            fault: None,
            models: 1,
            requests: 0,
        };
        let model = |(id, backend): &(&str, &str)| ModelInfo {
            id: (*id).to_owned(),
            backend: (*backend).to_owned(),
            up: true,
            requests: 0,
            target: None,
            hidden: false,
        };
        House {
            desk: Desk::of_test(),
            config: Config::default(),
            backends: backends.iter().map(info).collect(),
            models: models.iter().map(model).collect(),
        }
    }

    #[test]
    fn a_name_leads_where_the_gateway_would_send_it() {
        let house = house(
            &[("box", "ollama"), ("vllm", "openai"), ("engine", "engine")],
            &[("tiny:latest", "box"), ("Qwen/large", "vllm")],
        );
        let found = |asked| house.resolve(asked, None).map(|choice| (choice.backend, choice.own));
        let is = |backend: &str, own: &str| Some((backend.to_owned(), own.to_owned()));
        assert_eq!(found("tiny"), is("box", "tiny:latest"));
        assert_eq!(found("Qwen/large"), is("vllm", "Qwen/large"));
        assert_eq!(found("box/tiny"), is("box", "tiny:latest"));
        assert_eq!(found(DEMO_MODEL), is("engine", DEMO_MODEL));
        assert_eq!(found("vllm/tiny:latest"), None);
        let also = vec![Model { id: "tiny:latest".to_owned(), created: 1, ..Model::default() }];
        let second = house.resolve("vllm/tiny", Some(&("vllm", also))).unwrap();
        assert_eq!((second.backend.as_str(), second.own.as_str()), ("vllm", "tiny:latest"));
        let mut named = house;
        let gpt = named.models[0].clone();
        named.models.push(ModelInfo { id: "gpt".to_owned(), target: Some(gpt.id.clone()), ..gpt });
        let names =
            "[[models]]\nname = \"gpt\"\ntarget = \"tiny\"\n[[models]]\nname = \"tiny\"\ncontext = 64";
        named.config =
            Config::load(&[Source::File { name: "a.toml".to_owned(), bytes: names.into() }]).unwrap();
        let gpt = named.resolve("gpt", None).unwrap();
        assert_eq!(
            (gpt.model.as_str(), gpt.own.as_str(), gpt.backend.as_str()),
            ("gpt", "tiny:latest", "box")
        );
        assert_eq!(gpt.defaults.num_ctx, Some(64), "what it is not given, it would not do");
        let house = named;
        let told = house.unknown("tinny:latest").to_string();
        assert!(told.contains("Did you mean tiny:latest?"), "{told}");
    }
}

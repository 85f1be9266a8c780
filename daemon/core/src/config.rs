//! The configuration: one tree, one type.
//!
//! Knows every setting, its type, its default and its words. Refuses to know files, the environment and the
//! command line: their texts enter as arguments. Invariant: a [`Config`] that exists holds no impossible
//! combination, and no key of any source went unread.
//!
//! It is read in four steps: [`stack`] makes a tree of each source, in which every key and value knows its place;
//! [`section`] takes the keys out of each tree and reports what nobody took, so that no source hides another's faults;
//! the trees are laid over each other; [`checks`] looks at what single settings cannot see. There is no serde on this
//! way but in reading YAML: its guard against unknown keys leaks, and its errors know one place at the most.

mod alerts;
mod backends;
mod checks;
mod describe;
mod directive;
mod documents;
mod engine;
mod fault;
mod file;
mod gpu;
mod health;
mod limits;
mod listen;
mod models;
mod ollama_host;
mod outside;
mod rule;
mod secret_file;
mod section;
mod setting;
mod show;
mod stack;
mod tree;
mod usage;
mod values;
mod yaml;

use std::ffi::OsString;

pub use alerts::Alerts;
pub use backends::{Backend, Target, Timeouts};
pub use directive::{LOG_TARGETS, LogDirective};
pub use engine::Engine;
pub use fault::{ConfigError, Place, nearest};
pub use gpu::Gpu;
pub use health::{CardChoice, CheckName, HealthCheck, Margin, ModelName, Room, Subject};
pub use limits::Limits;
pub use listen::Listen;
pub use models::NamedModel;
pub use secret_file::SecretFile;
pub use show::Pending;
pub use usage::Usage;
pub use values::{
    BackendName, BackendUrl, ByteSize, Exposure, GovernorMode, HostName, KeepAliveStyle, Kind, LogFormat,
    LogLevel, Origin, PlainAuth, Profile, WebhookUrl,
};

pub(crate) use documents::limits as documented_limits;
use section::{Reader, Renames, Section, section, whole};
use stack::Stack;
use tree::{Layer, List};

/// Keys that have moved, as `(old, new)`; whoever still writes the old one is told the new one.
const RENAMED: Renames = &[("limits.h3_failure_linger", "limits.failure_linger")];

/// Every section and its keys.
const SECTIONS: &[(&str, &[&str])] = &[
    ("listen", Listen::KEYS),
    ("engine", Engine::KEYS),
    ("gpu", Gpu::KEYS),
    ("limits", Limits::KEYS),
    ("log", Log::KEYS),
    ("usage", Usage::KEYS),
    ("alerts", Alerts::KEYS),
    ("[backends]", backends::Keys::KEYS),
    ("backends.timeouts", backends::TimeoutKeys::KEYS),
    ("[health]", health::Keys::KEYS),
    ("[models]", models::Keys::KEYS),
];

/// Every list of tables that have names of their own.
static LISTS: [List; 3] = [
    List { key: BACKENDS, one: "backend", many: "backends", name: "ollama", setting: "url" },
    List { key: HEALTH, one: "check", many: "checks", name: "disk", setting: "free" },
    List { key: MODELS, one: "model", many: "models", name: "gpt-4o-mini", setting: "target" },
];
const BACKENDS: &str = "backends";
const HEALTH: &str = "health";
const MODELS: &str = "models";

/// Where settings come from. Of several files the later one wins; over the files lies the chosen profile, over that what is
/// kept of `ghostctl config set`, over that the environment, over that the arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file: YAML where its name ends in .yaml or .yml, else TOML.
    File {
        /// Its name, for errors.
        name: String,
        /// What is in it.
        bytes: Vec<u8>,
    },
    /// What `ghostctl config set` has kept, each a key and a value as in an argument of `--set`.
    Kept(Vec<(String, String)>),
    /// Environment variables, all of them: what is not meant for us is passed over. `GHOSTLLM_LISTEN__TLS` is
    /// `listen.tls`, `GHOSTLLM_BACKENDS__MY_BOX__URL` is the url of the backend `my-box`, lists are comma separated.
    Environment(Vec<(OsString, OsString)>),
    /// Arguments of `--set`, each `key=value`: `listen.tls=[::]:443`, `backends.my-box.url=http://…`.
    Set(Vec<String>),
    /// The argument of `--profile`, which goes before every other choice of a profile.
    Profile(String),
}

/// The whole configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// What is listened on and who is answered.
    pub listen: Listen,
    /// Our own inference engine.
    pub engine: Engine,
    /// This machine's graphics cards, and what is done about their heat.
    pub gpu: Gpu,
    /// Where models are, in order; none means that they are found.
    pub backends: Vec<Backend>,
    /// What the admin wants to be told of at `/readyz/NAME`, in order.
    pub health: Vec<HealthCheck>,
    /// Other names for models, and what is wanted of a model, in order.
    pub models: Vec<NamedModel>,
    /// How much, how many, how long.
    pub limits: Limits,
    /// What is logged.
    pub log: Log,
    /// What is kept of what requests have used.
    pub usage: Usage,
    /// Who is told what is amiss.
    pub alerts: Alerts,
    /// Where an Ollama is looked for while there are no backends; `OLLAMA_HOST` changes it.
    pub default_ollama: BackendUrl,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: Listen::default(),
            engine: Engine::default(),
            gpu: Gpu::default(),
            backends: Vec::new(),
            health: Vec::new(),
            models: Vec::new(),
            limits: Limits::default(),
            log: Log::default(),
            usage: Usage::default(),
            alerts: Alerts::default(),
            default_ollama: BackendUrl::ollama(),
        }
    }
}

section! {
    /// What is logged.
    pub struct Log ("[log]") {
        /// "error", "warn", "info", "debug" or "trace".
        level: LogLevel = LogLevel::Info;
        /// Parts of the program that log more or less than that:
        /// `["ghostllm::backend=debug", "ghostllm_edge=warn"]`. Libraries are none of them: at their lower levels they
        /// repeat requests, keys and all.
        filter: Vec<LogDirective> = Vec::new();
        /// "auto" (the journal under systemd, text on a terminal, else JSON), "json", "text" or "journal".
        @restart format: LogFormat = LogFormat::Auto;
    }
}

/// A configuration, and where each value of it was written.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    tree: Layer,
    profile: Option<(Profile, Place)>,
    ollama_host: Option<Place>,
}

impl Loaded {
    /// Reads the configuration out of `sources`.
    ///
    /// # Errors
    /// Everything that is wrong, in the order of the places; only a file that cannot be parsed hides what can be said of
    /// all sources together.
    pub fn read(sources: &[Source]) -> Result<Self, Vec<ConfigError>> {
        Self::read_with(sources, RENAMED)
    }

    fn read_with(sources: &[Source], renames: Renames) -> Result<Self, Vec<ConfigError>> {
        let mut reader = Reader { errors: Vec::new(), renames, sections: SECTIONS, within: "" };
        let stack = Stack::read(sources, &mut reader.errors);
        for layer in stack.layers() {
            reader.within = layer.within;
            Config::read(layer, &mut reader);
            layer.list(BACKENDS).iter().for_each(|named| drop(backends::keys(named, &mut reader)));
            layer.list(HEALTH).iter().for_each(|named| drop(health::keys(named, &mut reader)));
            layer.list(MODELS).iter().for_each(|named| drop(models::keys(named, &mut reader)));
        }
        reader.within = "";
        let mut errors = std::mem::take(&mut reader.errors);
        let profile = stack.profile(&mut errors);
        // What a broken file or an unknown profile would have said is missing in all that follows.
        if let (false, Ok(profile)) = (stack.broken, profile) {
            match Self::compose(stack, profile, &mut reader) {
                Some(loaded) if errors.is_empty() && reader.errors.is_empty() => return Ok(loaded),
                _ => {
                    // All layers together: what was told of one of them is not told again.
                    let told =
                        |error: &ConfigError| errors.iter().any(|other| other.place() == error.place());
                    let news: Vec<_> = reader.errors.into_iter().filter(|error| !told(error)).collect();
                    errors.extend(news);
                }
            }
        }
        errors.sort_by(|a, b| (a.place(), a.message()).cmp(&(b.place(), b.message())));
        // The reader of TOML goes on behind a fault, and says some of them twice.
        errors.dedup();
        Err(errors)
    }

    /// Lays the sources over each other, and looks at what none of them shows alone.
    fn compose(mut stack: Stack, profile: Option<(Profile, Place)>, reader: &mut Reader) -> Option<Self> {
        let host = stack.ollama_host.take();
        let tree = stack.merge(profile.as_ref().map(|(profile, _)| *profile));
        let mut config = Config::read(&tree, reader);
        let backends = tree.list(BACKENDS).iter();
        config.backends =
            backends.filter_map(|named| backends::read(named, &config.limits, reader)).collect();
        config.health = tree.list(HEALTH).iter().filter_map(|named| health::read(named, reader)).collect();
        config.models = tree.list(MODELS).iter().filter_map(|named| models::read(named, reader)).collect();
        let ollama_host = host.map(|text| {
            let place = Place::Variable(outside::OLLAMA_HOST.to_owned());
            match ollama_host::parse(&text) {
                Ok(url) => config.default_ollama = url,
                Err(why) => {
                    let message =
                        format!("{why}; expected an address as Ollama takes it, for example 127.0.0.1:11434");
                    reader.errors.push(ConfigError::new(place.clone(), message));
                }
            }
            place
        });
        checks::check(&config, &tree, &mut reader.errors);
        reader.errors.is_empty().then_some(Self { config, tree, profile, ollama_host })
    }

    /// Where a key of a section was written, if anybody has written it.
    #[must_use]
    pub fn place(&self, section: &str, key: &str) -> Option<&Place> {
        self.tree.root.find(&[section, key]).map(|node| &node.place)
    }

    /// The same of a backend's key.
    #[must_use]
    pub fn backend_place(&self, backend: &str, key: &str) -> Option<&Place> {
        let named = self.tree.list(BACKENDS).iter().find(|named| named.name == backend)?;
        named.table.find(&[key]).map(|node| &node.place)
    }

    /// The same of a setting by its whole name: `log.level`, `backends.my-box.timeouts.idle`, `profile`.
    #[must_use]
    pub fn place_of(&self, setting: &str) -> Option<&Place> {
        let path = outside::parts(setting);
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        match path.as_slice() {
            ["profile"] => self.profile.as_ref().map(|(_, place)| place),
            [list, name, keys @ ..] if LISTS.iter().any(|known| known.key == *list) => {
                let named = self.tree.list(list).iter().find(|named| named.name == *name)?;
                named.table.find(keys).map(|node| &node.place)
            }
            path => self.tree.root.find(path).map(|node| &node.place),
        }
    }

    /// The configuration as TOML, each value with where it comes from. It can be read back; no secret is in it.
    #[must_use]
    pub fn show(&self) -> String {
        show::text(self)
    }

    /// The same of a program that goes by `in_use`, which these sources have become by [`Config::settle`]; and the settings in
    /// which that differs from what they say.
    #[must_use]
    pub fn show_in_use(&self, in_use: &Config) -> (String, Vec<Pending>) {
        show::text_in_use(self, in_use)
    }
}

impl Config {
    /// Reads the configuration out of `sources`; see [`Loaded::read`].
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn load(sources: &[Source]) -> Result<Self, Vec<ConfigError>> {
        Loaded::read(sources).map(|loaded| loaded.config)
    }

    /// All but the lists, out of one layer or out of all of them together.
    fn read(layer: &Layer, reader: &mut Reader) -> Self {
        let mut root = Section::new("", Some(&layer.root), reader);
        if layer.within.is_empty() {
            root.take("profile", &mut None::<Profile>, &[]);
            root.known(&["profiles"]);
        }
        let (listen, engine) = (root.table("listen"), root.table("engine"));
        let (limits, log) = (root.table("limits"), root.table("log"));
        let (gpu, usage, alerts) = (root.table("gpu"), root.table("usage"), root.table("alerts"));
        root.known(&LISTS.each_ref().map(|list| list.key));
        root.finish();
        Self {
            listen: whole("listen", listen, reader, Listen::read),
            engine: whole("engine", engine, reader, Engine::read),
            gpu: whole("gpu", gpu, reader, Gpu::read),
            limits: whole("limits", limits, reader, Limits::read),
            log: whole("log", log, reader, Log::read),
            usage: whole("usage", usage, reader, Usage::read),
            alerts: whole("alerts", alerts, reader, Alerts::read),
            ..Self::default()
        }
    }

    /// As much of it as a program can take that runs with `running`, and the settings that need a restart, by name: they
    /// are as they were. Those of our own engine only matter where that runs.
    #[must_use]
    pub fn settle(mut self, running: &Self, engine_runs: bool) -> (Self, Vec<String>) {
        let mut kept = Vec::new();
        self.listen.settle(&running.listen, "listen", &mut kept);
        if engine_runs {
            self.engine.settle(&running.engine, "engine", &mut kept);
        }
        self.gpu.settle(&running.gpu, "gpu", &mut kept);
        self.limits.settle(&running.limits, "limits", &mut kept);
        self.log.settle(&running.log, "log", &mut kept);
        // A new plain_auth may be meant for the new listen.plain alone.
        if self.listen.is_open() {
            section::restart(
                &mut self.listen.plain_auth,
                &running.listen.plain_auth,
                ("listen", "plain_auth"),
                &mut kept,
            );
        }
        (self, kept)
    }

    /// What differs from another configuration, by name.
    #[must_use]
    pub fn differing(&self, other: &Self) -> Vec<String> {
        let sections = [
            ("listen", self.listen.differing(&other.listen)),
            ("engine", self.engine.differing(&other.engine)),
            ("gpu", self.gpu.differing(&other.gpu)),
            ("limits", self.limits.differing(&other.limits)),
            ("log", self.log.differing(&other.log)),
            ("usage", self.usage.differing(&other.usage)),
            ("alerts", self.alerts.differing(&other.alerts)),
        ];
        let named = |(section, keys): (&str, Vec<&str>)| {
            keys.into_iter().map(|key| format!("{section}.{key}")).collect::<Vec<_>>()
        };
        let lists = [
            (BACKENDS, self.backends != other.backends),
            (HEALTH, self.health != other.health),
            (MODELS, self.models != other.models),
        ];
        let lists = lists.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key.to_owned());
        sections.into_iter().flat_map(named).chain(lists).collect()
    }

    /// The commented example file: every line is a default, commented out.
    #[must_use]
    pub fn example() -> String {
        documents::example::text()
    }

    /// The reference page, in Markdown.
    #[must_use]
    pub fn reference() -> String {
        documents::page::text()
    }

    /// Whether a setting, by its whole name, names a file or a program of the box, or a profile, which may.
    #[must_use]
    pub fn names_file(setting: &str) -> bool {
        let path = outside::parts(setting);
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let (section, key) = match path.as_slice() {
            ["backends", _, "timeouts", key] => ("backends.timeouts", *key),
            [list, _, key] if LISTS.iter().any(|known| known.key == *list) => (*list, *key),
            [section, key] => (*section, *key),
            // Its tables may name what they like.
            path => return path == ["profile"],
        };
        let mut sections = documents::sections().into_iter().filter(|described| described.name() == section);
        sections.any(|described| described.settings.iter().any(|setting| setting.key == key && setting.file))
    }

    /// A value as it was given for a setting, by its whole name, as it may stand in logs and answers: of an address that may be a secret itself
    /// what stands before its path.
    #[must_use]
    pub fn told(setting: &str, value: &str) -> String {
        if outside::parts(setting).last().is_none_or(|key| key != "webhook") {
            return value.to_owned();
        }
        let bare = value.trim().trim_matches(['"', '\'']);
        bare.parse::<WebhookUrl>().map_or_else(|_none| "(not shown)".to_owned(), |url| url.to_string())
    }

    /// The JSON Schema of a file.
    #[must_use]
    pub fn schema() -> String {
        documents::schema::text()
    }
}

#[cfg(test)]
mod tests;

//! The configuration: one tree, one type.
//!
//! Knows every setting, its type, its default and its words. Refuses to know files, the environment and the
//! command line: their texts enter as arguments. Invariant: a [`Config`] that exists holds no impossible
//! combination, and no key of any source went unread.
//!
//! It is read in three steps: [`tree`] lays the sources over each other and keeps each value's place, [`section`]
//! takes the keys out of one table and reports what nobody took, [`checks`] looks at what single settings cannot
//! see. There is no serde on this way: its guard against unknown keys leaks, and its errors know no place.

mod backends;
mod checks;
mod fault;
mod limits;
mod ollama_host;
mod reference;
mod section;
mod setting;
mod tree;
mod values;

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

pub use backends::{Backend, Target, Timeouts};
pub use fault::{ConfigError, Place};
pub use limits::Limits;
pub use values::{
    BackendName, BackendUrl, ByteSize, Exposure, HostName, KeepAliveStyle, Kind, LogFormat, LogLevel, Origin,
    PlainAuth,
};

use limits::{some_time, window};
use section::{Reader, Renames, Section, section, whole};
use tree::Tree;

/// Keys that have moved, as `(old, new)`; whoever still writes the old one is told the new one.
const RENAMED: Renames = &[];

/// Every section and its keys.
const SECTIONS: &[(&str, &[&str])] = &[
    ("listen", Listen::KEYS),
    ("engine", Engine::KEYS),
    ("limits", Limits::KEYS),
    ("log", Log::KEYS),
    ("[backends]", backends::Keys::KEYS),
    ("backends.timeouts", backends::TimeoutKeys::KEYS),
];

/// Where settings come from. Of several sources the later one wins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A TOML file.
    File {
        /// Its name, for errors.
        name: String,
        /// Its text.
        text: String,
    },
    /// Environment variables, all of them: what is not meant for us is passed over. `GHOSTLLM_LISTEN__TLS` is
    /// `listen.tls`, `GHOSTLLM_BACKENDS__MY_BOX__URL` is the url of the backend `my-box`, lists are comma separated.
    Environment(Vec<(String, String)>),
    /// Arguments of `--set`, each `key=value`: `listen.tls=[::]:443`, `backends.my-box.url=http://…`.
    Set(Vec<String>),
}

/// The whole configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// What is listened on and who is answered.
    pub listen: Listen,
    /// Our own inference engine.
    pub engine: Engine,
    /// Where models are, in order; none means that they are found.
    pub backends: Vec<Backend>,
    /// How much, how many, how long.
    pub limits: Limits,
    /// What is logged.
    pub log: Log,
    /// Where an Ollama is looked for while there are no backends; `OLLAMA_HOST` changes it.
    pub default_ollama: BackendUrl,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: Listen::default(),
            engine: Engine::default(),
            backends: Vec::new(),
            limits: Limits::default(),
            log: Log::default(),
            default_ollama: BackendUrl::ollama(),
        }
    }
}

section! {
    /// What is listened on and who is answered.
    pub struct Listen ("[listen]") {
        /// TLS (HTTP/1.1 and HTTP/2, over TCP) and QUIC (HTTP/3, over UDP); "[::]" takes IPv4 as well.
        tls: SocketAddr = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 11443));
        /// Plain HTTP for programs on this box; beyond loopback only with plain_auth = "key".
        plain: Vec<SocketAddr> =
            vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 11430)), SocketAddr::from((Ipv6Addr::LOCALHOST, 11430))];
        /// Who may use plain HTTP: "none" (needed) lets every program on this box in, "key" only who has a key.
        plain_auth: PlainAuth = PlainAuth::None;
        /// Names and addresses of this box, besides those that it knows by itself: they stand in its certificate,
        /// and requests for them are answered.
        names: Vec<HostName> = Vec::new();
        /// Origins whose web pages may call this box from a browser.
        origins: Vec<Origin> = Vec::new();
        /// Reserved: must be empty, since no proxy's word about its clients is taken yet.
        trusted_proxies: Vec<HostName> = Vec::new();
        /// "private" answers this box, private, link-local and on-link addresses only; "everywhere" answers all.
        exposure: Exposure = Exposure::Private;
        /// HTTP/3 beside HTTP/1.1 and HTTP/2.
        http3: bool = true;
        /// Your own certificate chain (PEM) instead of one from this box's own authority; wants key as well.
        certificate: Option<PathBuf> = None;
        /// The certificate's private key (PEM); wants certificate as well.
        key: Option<PathBuf> = None;
    }
}

fn some_number<T: PartialEq + From<u8>>(number: &Option<T>) -> Result<(), &'static str> {
    if *number == Some(T::from(0)) { Err("a number of at least 1") } else { Ok(()) }
}

/// llama.cpp counts tokens in 31 bits.
fn some_batch(number: &Option<u32>) -> Result<(), &'static str> {
    let fits = number.is_none_or(|number| number > 0 && i32::try_from(number).is_ok());
    if fits { Ok(()) } else { Err("a number from 1 to 2147483647") }
}

/// The engine has room for two, counted in 32 bits.
fn some_body(size: &Option<ByteSize>) -> Result<(), &'static str> {
    size.as_ref().map_or(Ok(()), window)
}

fn some_wait(time: &Option<Duration>) -> Result<(), &'static str> {
    time.as_ref().map_or(Ok(()), some_time)
}

section! {
    /// Our own inference engine, which serves GGUF files.
    pub struct Engine ("[engine]") {
        /// The Unix socket of an engine that somebody else starts; without it the program starts one itself.
        socket: Option<PathBuf> = None;
        /// Where GGUF files are, instead of "models" in the state directory.
        models: Option<PathBuf> = None;
        /// The engine's program, instead of ghostllm-engine beside this one.
        binary: Option<PathBuf> = None;
        /// Threads that it infers with; by itself one for tiny models, else up to four.
        threads: Option<usize> = None => some_number;
        /// Tokens of context; by itself 8192, or less where the model was trained on less.
        context: Option<u32> = None => some_number;
        /// Requests that may wait while one runs; by itself 32.
        queue: Option<usize> = None => some_number;
        /// Tokens of a prompt that are read in one step, which a departed client still costs; by itself 128.
        batch: Option<u32> = None => some_batch;
        /// A request's body, as the engine takes it; by itself 32MiB.
        longest_body: Option<ByteSize> = None => some_body;
        /// Texts in a request's stop, as the engine takes it; by itself 16.
        stop_texts: Option<usize> = None => some_number;
        /// Model files in one directory; by itself 1000.
        files: Option<usize> = None => some_number;
        /// A new file is tried first, which may take this long; by itself 120s.
        trial_wait: Option<Duration> = None => some_wait;
        /// What rendering a chat template may spend, about one for each of its instructions; by itself 10000000.
        template_work: Option<usize> = None => some_number;
        /// It must answer within this of its start: looking through the models on a slow disk takes its time.
        start_wait: Duration = Duration::from_secs(60) => some_time;
        /// How often it is asked whether it still answers.
        check_interval: Duration = Duration::from_secs(10) => some_time;
        /// It must answer that within this; two misses in a row are a hang, and it is killed and started anew.
        check_wait: Duration = Duration::from_secs(10) => some_time;
        /// When the program stops, the engine has this long to end before it is killed.
        stop_wait: Duration = Duration::from_secs(2);
    }
}

section! {
    /// What is logged.
    pub struct Log ("[log]") {
        /// "error", "warn", "info", "debug" or "trace".
        level: LogLevel = LogLevel::Info;
        /// "auto" (the journal under systemd, text on a terminal, else JSON), "json", "text" or "journal".
        format: LogFormat = LogFormat::Auto;
    }
}

impl Config {
    /// Reads the configuration out of `sources`, the first one lowest.
    ///
    /// # Errors
    /// Everything that is wrong, in the order of the places; only a syntax error in a file hides the rest.
    pub fn load(sources: &[Source]) -> Result<Self, Vec<ConfigError>> {
        Self::load_with(sources, RENAMED)
    }

    fn load_with(sources: &[Source], renames: Renames) -> Result<Self, Vec<ConfigError>> {
        let mut reader = Reader { errors: Vec::new(), renames, sections: SECTIONS };
        let tree = Tree::build(sources, &mut reader.errors)?;
        let config = Self::read(&tree, &mut reader);
        checks::check(&config, &tree, &mut reader.errors);
        let mut errors = reader.errors;
        if errors.is_empty() {
            return Ok(config);
        }
        errors.sort_by(|a, b| a.place().cmp(b.place()));
        Err(errors)
    }

    fn read(tree: &Tree, reader: &mut Reader) -> Self {
        let mut root = Section::new("", Some(&tree.root), reader);
        let (listen, engine) = (root.table("listen"), root.table("engine"));
        let (limits, log) = (root.table("limits"), root.table("log"));
        root.known(&["backends"]);
        root.finish();
        let mut config = Self {
            listen: whole("listen", listen, reader, Listen::read),
            engine: whole("engine", engine, reader, Engine::read),
            limits: whole("limits", limits, reader, Limits::read),
            log: whole("log", log, reader, Log::read),
            ..Self::default()
        };
        let backends = tree.backends.iter().filter_map(|named| backends::read(named, &config.limits, reader));
        config.backends = backends.collect();
        if let Some(text) = &tree.ollama_host {
            match ollama_host::parse(text) {
                Ok(url) => config.default_ollama = url,
                Err(why) => {
                    let place = Place::Variable(tree::OLLAMA_HOST.to_owned());
                    let message =
                        format!("{why}; expected an address as Ollama takes it, for example 127.0.0.1:11434");
                    reader.errors.push(ConfigError::new(place, message));
                }
            }
        }
        config
    }

    /// The reference of all settings, which is at the same time the example file: every line is a default, commented
    /// out.
    #[must_use]
    pub fn reference() -> String {
        let mut out = reference::Reference::default();
        out.prose(
            "GhostLLM's configuration: /etc/ghostllm/ghostllm.toml, else\n\
             $XDG_CONFIG_HOME/ghostllm/ghostllm.toml. Nothing here is needed: what stands here are the defaults.\n\
             Every setting is also an environment variable, GHOSTLLM_LISTEN__TLS for tls in [listen], and an\n\
             argument, --set listen.tls=…; the argument wins over the variable, the variable over the file.",
        );
        Listen::reference(&mut out);
        Engine::reference(&mut out);
        Limits::reference(&mut out);
        Log::reference(&mut out);
        backends::Keys::reference(&mut out);
        backends::TimeoutKeys::reference(&mut out);
        out.text
    }
}

#[cfg(test)]
mod tests;

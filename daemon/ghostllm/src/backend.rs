//! The engines behind the daemon: what is asked of them, and how each kind is spoken to.
//!
//! Knows which dialect a backend speaks and which routes it has. Refuses to know clients, keys and queues.
//! Invariant: a request is checked before anything is sent, and what comes back is either a complete answer of
//! the client's dialect or a [`BackendFault`].

pub(crate) mod amiss;
mod answer;
mod call;
mod chat;
mod complete;
mod embed;
mod lease;
mod limits;
mod meter;
mod odds;
pub mod registry;
mod shape;
mod uncounted;
pub(crate) mod wire;

#[cfg(test)]
mod peer;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    future::Future,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use ghostllm_core::{
    config::{self, BackendUrl, Limits, Target, Timeouts},
    dialect::{
        ollama::parse_tags,
        openai::{parse_models, table::Behind},
    },
    error::{ApiError, BackendFault, RETRY_AFTER_DOWN, Stage},
    routing::Model,
};
use ghostllm_edge::room::Slot;
use http::Method;
use tokio::time::timeout;

pub use answer::{Answer, ChatBytes};
pub use call::{Asked, ChatCall, Keeper, Voice};
pub use embed::{EmbedCall, Embedded};
pub use lease::Lease;
pub use meter::Meter;
pub use odds::Unheard;
pub use wire::SetupError;

use crate::secrets;
use lease::Leases;
use odds::Odds;
use uncounted::Uncounted;
pub(crate) use wire::Place;
use wire::{Ask, Wire};

/// Why a chat was not answered, or no vectors were given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChatError {
    /// The request itself is wrong, which may be the engine's own word. Its message may repeat the request, so that it is not for the log.
    #[error("the request is refused: {}", in_short(.0))]
    Request(ApiError),
    /// The backend failed.
    #[error(transparent)]
    Fault(#[from] BackendFault),
    /// The program ends, and it has not begun.
    #[error("the program ends")]
    Stopping,
}

/// A refusal without its words, which may repeat the request.
fn in_short(error: &ApiError) -> String {
    let code = error.code().text().unwrap_or("invalid_request");
    error.param().map_or_else(|| code.to_owned(), |param| format!("{code}, parameter {param}"))
}

impl From<ChatError> for ApiError {
    fn from(error: ChatError) -> Self {
        match error {
            ChatError::Request(error) => error,
            ChatError::Fault(fault) => fault.into(),
            ChatError::Stopping => ApiError::backend_unavailable(
                "GhostLLM was stopped before the answer was complete; try again shortly.",
                RETRY_AFTER_DOWN,
            ),
        }
    }
}

/// What a backend is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// An Ollama, spoken to by its native API.
    Ollama,
    /// A server that speaks OpenAI's API.
    OpenAi,
    /// Our own engine, with the models in its own directory.
    Engine,
    /// One file, served by our own engine.
    Gguf(PathBuf),
}

impl Kind {
    /// As the configuration calls it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ollama => "ollama",
            Self::OpenAi => "openai",
            Self::Engine => "engine",
            Self::Gguf(_) => "gguf",
        }
    }

    /// What becomes of a request's fields there.
    pub(crate) fn behind(&self) -> Behind {
        match self {
            Self::Ollama => Behind::Ollama,
            Self::OpenAi => Behind::OpenAi,
            Self::Engine | Self::Gguf(_) => Behind::Engine,
        }
    }
}

/// One backend. Cheap to clone.
#[derive(Clone)]
pub struct Backend(Arc<Parts>);

struct Parts {
    name: String,
    kind: Kind,
    shown: String,
    /// None for a file when there is no engine.
    wire: Option<Wire>,
    /// Whether this machine's cards compute its answers.
    here: bool,
    limits: Arc<Limits>,
    leases: Arc<Leases>,
    /// The models of which it refuses to be asked for the counts of a stream; what these use is estimated.
    uncounted: Uncounted,
    /// Of an Ollama, whether it tells the probabilities of tokens.
    odds: Odds,
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend")
            .field("name", &self.0.name)
            .field("kind", &self.0.kind)
            .finish_non_exhaustive()
    }
}

impl Backend {
    /// A backend of the configuration; `engine` is the socket of our own engine, where there is one.
    ///
    /// # Errors
    /// Its key cannot be read, or nothing is there to check its certificate against.
    pub fn configured(
        backend: &config::Backend,
        engine: Option<&Path>,
        limits: &Arc<Limits>,
    ) -> Result<Self, SetupError> {
        let (name, timeouts, limits) = (backend.name.as_str(), backend.timeouts, &limits::own(limits));
        let setting = format!("key_file of the backend \"{name}\"");
        let key = backend.key_file.as_ref().map(|file| secrets::path(file, &setting)).transpose()?;
        let at = |url: &BackendUrl| {
            Wire::new(&Place::Url(url.clone()), key.as_deref(), timeouts, limits).map(Some)
        };
        let (kind, shown, wire) = match &backend.target {
            Target::Ollama(url) => (Kind::Ollama, url.to_string(), at(url)?),
            Target::OpenAi(url) => (Kind::OpenAi, url.to_string(), at(url)?),
            Target::Gguf(file) => {
                let socket =
                    engine.map(|path| Wire::new(&Place::Socket(path.to_owned()), None, timeouts, limits));
                // The engine has a working directory of its own.
                let file = std::path::absolute(file).unwrap_or_else(|_| file.clone());
                (Kind::Gguf(file.clone()), file.display().to_string(), socket.transpose()?)
            }
        };
        Ok(Self::new(name, kind, shown, (wire, backend.on_this_box), limits))
    }

    /// The Ollama that is looked for by itself.
    ///
    /// # Errors
    /// As [`Backend::configured`].
    pub fn found_ollama(url: &BackendUrl, limits: &Arc<Limits>) -> Result<Self, SetupError> {
        let limits = &limits::own(limits);
        let wire = Wire::new(&Place::Url(url.clone()), None, Timeouts::of(limits), limits)?;
        Ok(Self::new("ollama", Kind::Ollama, url.to_string(), (Some(wire), None), limits))
    }

    /// Our own engine on this socket.
    ///
    /// # Errors
    /// As [`Backend::configured`].
    pub fn engine(socket: &Path, limits: &Arc<Limits>) -> Result<Self, SetupError> {
        let limits = &limits::own(limits);
        let wire = Wire::new(&Place::Socket(socket.to_owned()), None, Timeouts::of(limits), limits)?;
        Ok(Self::new("engine", Kind::Engine, socket.display().to_string(), (Some(wire), None), limits))
    }

    fn new(
        name: &str,
        kind: Kind,
        shown: String,
        (wire, here): (Option<Wire>, Option<bool>),
        limits: &Arc<Limits>,
    ) -> Self {
        let (name, limits) = (name.to_owned(), Arc::clone(limits));
        let here = here.unwrap_or_else(|| wire.as_ref().is_none_or(Wire::is_here));
        let (leases, uncounted, odds) = (Arc::default(), Uncounted::default(), Odds::default());
        Self(Arc::new(Parts { name, kind, shown, wire, here, limits, leases, uncounted, odds }))
    }

    /// Whether it is this very one, with its connections.
    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Whether both were made of the same settings, the same key and the same limits, as far as they go by them.
    fn equals(&self, other: &Self) -> bool {
        let (one, two) = (&*self.0, &*other.0);
        self.is_at(other) && one.wire == two.wire && one.here == two.here && one.limits == two.limits
    }

    /// This one, counting its requests together with those of `other`.
    fn counting_with(self, other: &Self) -> Self {
        let leases = Arc::clone(&other.0.leases);
        match Arc::try_unwrap(self.0) {
            Ok(parts) => Self(Arc::new(Parts { leases, ..parts })),
            // It is used already, and counts by itself.
            Err(shared) => Self(shared),
        }
    }

    /// Whether both have one name and stand for the same place.
    fn is_at(&self, other: &Self) -> bool {
        let (one, two) = (&*self.0, &*other.0);
        one.name == two.name && one.kind == two.kind && one.shown == two.shown
    }

    /// Its name, unique among the backends.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> &Kind {
        &self.0.kind
    }

    /// Where it is, for the log and the administrator: an address, a socket or a file.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.0.shown
    }

    /// Whether this machine's cards compute its answers: as its admin says, or else as its address tells (a loopback address, a socket, our
    /// own engine).
    #[must_use]
    pub fn is_here(&self) -> bool {
        self.0.here
    }

    /// How many connections to it rest until they are used again.
    pub(crate) fn resting(&self) -> usize {
        self.0.wire.as_ref().map_or(0, Wire::resting)
    }

    /// Closes those.
    pub(crate) fn close_resting(&self) {
        self.0.wire.iter().for_each(Wire::close_resting);
    }

    /// The name of the model in its file, as the engine will list it; none for what is no file.
    #[must_use]
    pub fn file_model(&self) -> Option<String> {
        match &self.0.kind {
            Kind::Gguf(file) => Some(file_model(file)),
            Kind::Ollama | Kind::OpenAi | Kind::Engine => None,
        }
    }

    /// Asks for an answer, and gives it once its first event is there, or all of it where the client wants it in
    /// one piece. Dropping the future closes the connection to the engine at once.
    ///
    /// # Errors
    /// The request is wrong for this kind of backend, or the backend failed before its first event.
    pub fn chat(&self, call: ChatCall) -> impl Future<Output = Result<Answer, ChatError>> + Send + use<> {
        let parts = Arc::clone(&self.0);
        async move {
            let completed = complete::completed(&call);
            let answered =
                if shape::is_wanted(&call) { shape::chat(parts, call).await } else { parts.chat(call).await };
            match completed {
                None => answered,
                Some(model) => answered.map_err(|error| complete::judged(error, &model)),
            }
        }
    }

    /// The models that it has now.
    ///
    /// # Errors
    /// It cannot be reached, took longer than the limit, or did not answer with a list; a file cannot be used.
    pub fn models(&self) -> impl Future<Output = Result<Vec<Model>, BackendFault>> + Send + use<> {
        let parts = Arc::clone(&self.0);
        async move {
            let listed = timeout(parts.limits.backend_list, parts.models()).await;
            listed.unwrap_or(Err(BackendFault::Timeout { stage: Stage::FirstByte }))
        }
    }
}

impl Parts {
    fn wire(&self) -> Result<&Wire, BackendFault> {
        let missing = || BackendFault::Unreachable {
            detail: "it needs ghostllm-engine, which does not run; put that program beside this one, or set \
                     [engine] socket"
                .to_owned(),
        };
        self.wire.as_ref().ok_or_else(missing)
    }

    async fn models(&self) -> Result<Vec<Model>, BackendFault> {
        match &self.kind {
            Kind::Ollama => {
                let mut tags = parse_tags(&self.list(Method::GET, "/api/tags", Bytes::new()).await?)?;
                // Whoever takes the first of the list, as our own page does, wants to chat.
                tags.sort_by_key(|tag| !tag.chats());
                // A prompt must not leave this house because a list named a model of somebody else's.
                let own = tags.into_iter().filter(|tag| !tag.remote);
                Ok(own.map(|tag| tag.model(&self.name)).collect())
            }
            Kind::OpenAi | Kind::Engine => {
                parse_models(&self.list(Method::GET, "/v1/models", Bytes::new()).await?, &self.name)
            }
            Kind::Gguf(file) => self.load(file).await,
        }
    }

    /// Hands a file to the engine, which answers with its model; the file is not read again if it has not changed.
    async fn load(&self, file: &Path) -> Result<Vec<Model>, BackendFault> {
        let path = serde_json::json!({ "path": file.to_string_lossy() }).to_string();
        let loaded = self.list(Method::POST, "/load", Bytes::from(path)).await;
        let model = loaded.map_err(BackendFault::of_own_engine)?;
        let list = [b"{\"data\":[".as_slice(), &model, b"]}"].concat();
        parse_models(&list, &self.name)
    }

    async fn list(&self, method: Method, route: &'static str, body: Bytes) -> Result<Bytes, BackendFault> {
        let ask = Ask { method, route, accept: "application/json", body, trace: None, slot: None };
        let mut reply = self.wire()?.ask(&ask).await?.success(&["application/json"]).await?;
        reply.whole(self.limits.backend_list_bytes.as_usize()).await
    }
}

/// So many more bytes of an answer are gathered for a chat.
fn gathers(slot: Option<&Slot>, bytes: usize) -> Result<(), BackendFault> {
    slot.map_or(Ok(()), |slot| slot.gathers(bytes)).map_err(|_lack| BackendFault::NoMemory)
}

/// What is at this route, on a connection of its own and without any key.
///
/// # Errors
/// As [`Backend::models`].
pub(crate) async fn peek(
    place: &Place,
    route: &'static str,
    largest: usize,
    within: Duration,
) -> Result<Bytes, BackendFault> {
    let timeouts = Timeouts { connect: within, first_byte: within, idle: within };
    let asked = async {
        let wire = Wire::new(place, None, timeouts, &Arc::default())
            .map_err(|why| BackendFault::Unreachable { detail: why.to_string() })?;
        let (accept, body) = ("application/json", Bytes::new());
        let ask = Ask { method: Method::GET, route, accept, body, trace: None, slot: None };
        wire.ask(&ask).await?.success(&[accept]).await?.whole(largest).await
    };
    timeout(within, asked).await.unwrap_or(Err(BackendFault::Timeout { stage: Stage::FirstByte }))
}

/// A file's name without its ending, and of a split model (`NAME-00001-of-00003.gguf`) without its part.
fn file_model(file: &Path) -> String {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let part = |text: &str| text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    let whole = stem.rsplit_once("-of-").and_then(|(rest, count)| {
        let (name, number) = rest.rsplit_once('-')?;
        (part(number) && part(count)).then(|| name.to_owned())
    });
    whole.unwrap_or_else(|| stem.into_owned())
}

//! The engines behind the daemon: what is asked of them, and how each kind is spoken to.
//!
//! Knows which dialect a backend speaks and which routes it has. Refuses to know clients, keys and queues.
//! Invariant: a request is checked before anything is sent, and what comes back is either a complete answer of
//! the client's dialect or a [`BackendFault`].

pub(crate) mod amiss;
mod answer;
mod complete;
mod embed;
mod lease;
mod limits;
pub mod registry;
mod shape;
mod wire;

#[cfg(test)]
mod peer;
#[cfg(test)]
mod tests;

use std::{
    borrow::Cow,
    fmt,
    future::Future,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use ghostllm_core::{
    chat::{ChatRequest, Defaults, ToolChoice},
    config::{self, BackendUrl, KeepAliveStyle, Limits, Target, Timeouts},
    dialect::{
        ollama::{self, ChatDecoder, parse_tags},
        openai::{
            self, ChunkDecoder, StreamRepair, TextCalls, Whole, check_whole, check_whole_completion,
            parse_chat, parse_models, passthrough::Passed, table::Behind,
        },
        render::{Form, Named},
        tool_text::ToolText,
    },
    error::{ApiError, BackendFault, Stage},
    routing::Model,
};
use ghostllm_edge::room::Slot;
use http::Method;
use tokio::time::timeout;

pub use answer::{Answer, ChatBytes};
pub use embed::{EmbedCall, Embedded};
pub use lease::Lease;
pub use wire::SetupError;

use crate::{apart, secrets, trace::Trace};
use answer::{Decoder, Read, Reader, gather};
use lease::Leases;
pub(crate) use wire::Place;
use wire::{Ask, Reply, Wire};

/// What is asked for.
#[derive(Debug, Clone)]
pub enum Asked {
    /// A chat, or a completion, in OpenAI's own words: passed on as it came where the engine speaks them too, so that nothing in it is lost.
    AsSent {
        /// The request's body.
        body: Bytes,
        /// What [`ghostllm_core::dialect::openai::passthrough::inspect`] or its like found in that very body.
        passed: Passed,
    },
    /// A request in any other words, as its dialect has read it.
    Read(Arc<ChatRequest>),
}

/// One chat, as a backend needs it.
#[derive(Debug, Clone)]
pub struct ChatCall {
    /// What is asked for.
    pub asked: Asked,
    /// What the answer is written in.
    pub voice: Voice,
    /// The model's id, as the backend spells it.
    pub model: String,
    /// What is wanted of it where the client says nothing.
    pub defaults: Defaults,
    /// What it is followed by.
    pub(crate) trace: Trace,
    /// Its descriptor, where it was promised one.
    pub(crate) slot: Option<Slot>,
}

/// What an answer is written in, and under which name.
#[derive(Debug, Clone)]
pub struct Voice {
    /// The client's language.
    pub form: Form,
    /// Something unique, of letters and digits, of which the answer's ids are made.
    pub id: String,
    /// When it was asked, in Unix seconds.
    pub created: u64,
}

impl Asked {
    /// Whether the answer may hold one call of a function at the most.
    fn one_call(&self) -> bool {
        match self {
            Self::AsSent { passed, .. } => passed.one_call,
            Self::Read(request) => request.parallel_tool_calls == Some(false),
        }
    }

    /// The functions that the answer may call.
    fn functions(&self) -> Arc<[String]> {
        match self {
            Self::AsSent { passed, .. } => Arc::clone(&passed.functions),
            Self::Read(request) if request.tool_choice == ToolChoice::None => Arc::default(),
            Self::Read(request) => request.tools.iter().map(|tool| tool.name.clone()).collect(),
        }
    }

    /// Whether the client wants a stream.
    #[must_use]
    pub fn streams(&self) -> bool {
        match self {
            Self::AsSent { passed, .. } => passed.stream,
            Self::Read(request) => request.stream,
        }
    }
}

impl Voice {
    /// What is sent while the engine is silent, before its first event or between two.
    #[must_use]
    pub fn keep_alive(&self, style: KeepAliveStyle) -> Bytes {
        self.form.keep_alive(style, self.named())
    }

    /// The last of a stream that has said nothing yet.
    #[must_use]
    pub fn failure(&self, error: &ApiError) -> Bytes {
        self.form.stream(self.named(), 0).failure(error)
    }

    fn named(&self) -> Named<'_> {
        Named { unique: &self.id, created: self.created }
    }
}

/// Why a chat was not answered, or no vectors were given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChatError {
    /// The request itself is wrong, which may be the engine's own word. Its message may repeat the request, so that it is not for the log.
    #[error("the request is refused: {}", in_short(.0))]
    Request(ApiError),
    /// The backend failed.
    #[error(transparent)]
    Fault(#[from] BackendFault),
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
    limits: Arc<Limits>,
    leases: Arc<Leases>,
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
        Ok(Self::new(name, kind, shown, wire, limits))
    }

    /// The Ollama that is looked for by itself.
    ///
    /// # Errors
    /// As [`Backend::configured`].
    pub fn found_ollama(url: &BackendUrl, limits: &Arc<Limits>) -> Result<Self, SetupError> {
        let limits = &limits::own(limits);
        let wire = Wire::new(&Place::Url(url.clone()), None, Timeouts::of(limits), limits)?;
        Ok(Self::new("ollama", Kind::Ollama, url.to_string(), Some(wire), limits))
    }

    /// Our own engine on this socket.
    ///
    /// # Errors
    /// As [`Backend::configured`].
    pub fn engine(socket: &Path, limits: &Arc<Limits>) -> Result<Self, SetupError> {
        let limits = &limits::own(limits);
        let wire = Wire::new(&Place::Socket(socket.to_owned()), None, Timeouts::of(limits), limits)?;
        Ok(Self::new("engine", Kind::Engine, socket.display().to_string(), Some(wire), limits))
    }

    fn new(name: &str, kind: Kind, shown: String, wire: Option<Wire>, limits: &Arc<Limits>) -> Self {
        let (name, limits) = (name.to_owned(), Arc::clone(limits));
        Self(Arc::new(Parts { name, kind, shown, wire, limits, leases: Arc::default() }))
    }

    /// Whether it is this very one, with its connections.
    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Whether both were made of the same settings, the same key and the same limits, as far as they go by them.
    fn equals(&self, other: &Self) -> bool {
        let (one, two) = (&*self.0, &*other.0);
        self.is_at(other) && one.wire == two.wire && one.limits == two.limits
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

    /// One reply of the engine.
    async fn chat(&self, call: ChatCall) -> Result<Answer, ChatError> {
        match &self.kind {
            Kind::Ollama => self.ollama_chat(call).await,
            Kind::OpenAi => Ok(self.openai_chat(call).await?),
            Kind::Engine | Kind::Gguf(_) => {
                Ok(self.openai_chat(call).await.map_err(BackendFault::of_own_engine)?)
            }
        }
    }

    async fn ollama_chat(&self, call: ChatCall) -> Result<Answer, ChatError> {
        if let Asked::AsSent { body, passed } = &call.asked
            && passed.completes()
        {
            return self.ollama_complete(body, &call).await;
        }
        let (limits, model, defaults) = (Arc::clone(&self.limits), call.model.clone(), call.defaults);
        let translated = match &call.asked {
            Asked::AsSent { body, .. } => {
                let translate = move |body: &Bytes| {
                    let mut request = parse_chat(body, &limits)?;
                    defaults.fill(&mut request);
                    ollama::chat_body(&request, &model)
                };
                apart::read(body, translate).await
            }
            Asked::Read(request) => {
                let (weight, request) = (request.weight(), Arc::clone(request));
                let translate = move || {
                    let mut request = Arc::unwrap_or_clone(request);
                    defaults.fill(&mut request);
                    ollama::chat_body(&request, &model)
                };
                apart::weighing(weight, translate).await
            }
        };
        let body = translated.map_err(ChatError::Request)?;
        let (method, accept, trace) = (Method::POST, "application/x-ndjson", Some(call.trace.clone()));
        let ask = Ask { method, route: "/api/chat", accept, body, trace, slot: call.slot.clone() };
        let reply = self.wire()?.ask(&ask).await?;
        let reply = reply.success(&["application/x-ndjson", "application/json"]).await?;
        let lines = ChatDecoder::new(&call.voice.id, self.limits.backend_line.as_usize());
        Ok(self.rendered(reply, Reader::Ollama(lines), &call).await?)
    }

    async fn openai_chat(&self, call: ChatCall) -> Result<Answer, BackendFault> {
        // Asked for by its path, a file is the right one whatever else bears its name, and an engine that was started
        // anew need not be told of it first.
        let model = match &self.kind {
            Kind::Gguf(file) => file.to_string_lossy(),
            Kind::Ollama | Kind::OpenAi | Kind::Engine => Cow::Borrowed(call.model.as_str()),
        };
        let (streams, defaults) = (call.asked.streams(), call.defaults);
        let (body, passed) = match &call.asked {
            Asked::AsSent { body, passed } => (passed.with(body, &model, &defaults), Some(passed)),
            Asked::Read(request) => {
                let (weight, request, model) = (request.weight(), Arc::clone(request), model.into_owned());
                let write = move || {
                    let mut request = Arc::unwrap_or_clone(request);
                    defaults.fill(&mut request);
                    openai::chat_body(&request, &model)
                };
                (apart::weighing(weight, write).await, None)
            }
        };
        let completes = passed.is_some_and(Passed::completes);
        let route = if completes { "/v1/completions" } else { "/v1/chat/completions" };
        // What was read is gathered out of a stream where the client wants it whole.
        let media = if streams || passed.is_none() { "text/event-stream" } else { "application/json" };
        let (method, trace, slot) = (Method::POST, Some(call.trace.clone()), call.slot.clone());
        let ask = Ask { method, route, accept: media, body, trace, slot };
        let mut reply = self.wire()?.ask(&ask).await?.success(&[media]).await?;
        let (line, most) = (self.limits.backend_line.as_usize(), self.limits.backend_answer.as_usize());
        let functions = self.unread(&call.asked);
        let Some(passed) = passed else {
            let text = functions.map(|functions| ToolText::new(functions, &call.voice.id, line));
            let chunks = ChunkDecoder::new(&call.voice.id, line, most).calling(text);
            return self.rendered(reply, Reader::OpenAi(chunks), &call).await;
        };
        let asked = Some(passed.model.as_str());
        // All choices together hold no more of it than an answer may be long.
        let held = line.min(most / passed.choices.max(1) as usize);
        let calls = functions.map(|functions| TextCalls::new(functions, &call.voice.id, held));
        if streams {
            let repair = StreamRepair::new(line, asked).wanting(passed.choices).calling(calls);
            let repair = if completes { repair.completing() } else { repair };
            let stream = ChatBytes::open(reply, Decoder::OpenAi(Box::new(repair)), call.slot.clone()).await?;
            return Ok(Answer::Stream(Box::new(stream)));
        }
        let body = reply.gathered(most, |bytes| gathers(call.slot.as_ref(), bytes)).await?;
        let check = if completes { check_whole_completion } else { check_whole };
        let Whole { body, usage } = check(&body, asked)?;
        let body = match calls {
            Some(calls) => apart::weighing(body.len(), move || calls.whole(body)).await,
            None => body,
        };
        Ok(Answer::Whole(body, usage))
    }

    /// The functions whose calls such an engine may leave in its answer's text; our own reads them itself.
    fn unread(&self, asked: &Asked) -> Option<Arc<[String]>> {
        let functions = asked.functions();
        (self.kind == Kind::OpenAi && !functions.is_empty()).then_some(functions)
    }

    /// The answer in its client's language, out of the events that are read from the engine's.
    async fn rendered(&self, reply: Reply, reader: Reader, call: &ChatCall) -> Result<Answer, BackendFault> {
        let (form, named, most) =
            (&call.voice.form, call.voice.named(), self.limits.backend_answer.as_usize());
        if call.asked.streams() {
            let decoder =
                Decoder::Read(Box::new(Read::new(reader, form.stream(named, most), call.asked.one_call())));
            let stream = ChatBytes::open(reply, decoder, call.slot.clone()).await?;
            return Ok(Answer::Stream(Box::new(stream)));
        }
        let whole = (form.whole(named, most), call.asked.one_call());
        gather(reply, reader, whole, call.slot.clone()).await
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

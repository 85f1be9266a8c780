//! One chat, or one completion, as a backend needs it.
//!
//! Knows what is asked for, and what the answer is written in. Refuses to know engines.

use std::{fmt, mem, sync::Arc};

use bytes::Bytes;
use ghostllm_core::{
    ApiError,
    chat::{ChatRequest, Defaults, ToolChoice},
    config::KeepAliveStyle,
    dialect::{
        openai::passthrough::Passed,
        render::{Form, Named},
        responses::KeptItem,
    },
};
use ghostllm_edge::room::Slot;

use super::{meter::Meter, odds::Unheard};
use crate::trace::Trace;

/// What is asked for.
#[derive(Debug, Clone)]
pub enum Asked {
    /// A chat, or a completion, in OpenAI's own words: passed on as it came where the engine speaks them too, so that nothing in it is lost.
    AsSent {
        /// The request's body.
        body: Bytes,
        /// What [`ghostllm_core::dialect::openai::passthrough::inspect`] or its like found in that very body.
        passed: Box<Passed>,
    },
    /// A request in any other words.
    Read {
        /// As its dialect has read it.
        request: Arc<ChatRequest>,
        /// What [`ChatRequest::prompt_bytes`] has counted in it, which reads all of it.
        prompt_bytes: u64,
    },
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
    /// What it has used so far.
    pub(crate) meter: Meter,
    /// What of it the answer shows to have come to nothing.
    pub(crate) unheard: Unheard,
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
    /// Who keeps the answer's items, where somebody does.
    pub keeper: Option<Keeper>,
}

/// Takes the items of a response once it is complete, before its client has seen the last of it and may name them.
#[derive(Clone)]
pub struct Keeper(Arc<dyn Fn(Vec<KeptItem>) + Send + Sync>);

impl Keeper {
    /// One that does this with them.
    pub fn new(keep: impl Fn(Vec<KeptItem>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(keep))
    }

    pub(super) fn keep(&self, items: Vec<KeptItem>) {
        (self.0)(items);
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").finish_non_exhaustive()
    }
}

impl Asked {
    /// A request that was read.
    #[must_use]
    pub fn read(request: ChatRequest) -> Self {
        let prompt_bytes = request.prompt_bytes();
        Self::Read { request: Arc::new(request), prompt_bytes }
    }

    /// Whether the answer may hold one call of a function at the most.
    pub(super) fn one_call(&self) -> bool {
        match self {
            Self::AsSent { passed, .. } => passed.one_call,
            Self::Read { request, .. } => request.parallel_tool_calls == Some(false),
        }
    }

    /// Whether a function must be called, whatever the model would say.
    pub(crate) fn forces_call(&self) -> bool {
        match self {
            Self::AsSent { passed, .. } => passed.forces_call,
            Self::Read { request, .. } => {
                matches!(request.tool_choice, ToolChoice::Required | ToolChoice::Function(_))
            }
        }
    }

    /// The functions that the answer may call.
    pub(super) fn functions(&self) -> Arc<[String]> {
        match self {
            Self::AsSent { passed, .. } => Arc::clone(&passed.functions),
            Self::Read { request, .. } if request.tool_choice == ToolChoice::None => Arc::default(),
            Self::Read { request, .. } => request.tools.iter().map(|tool| tool.name.clone()).collect(),
        }
    }

    /// Bytes of the conversation and its tools, which an estimate is made of where the engine does not count.
    pub(super) fn prompt_bytes(&self) -> u64 {
        match self {
            Self::AsSent { passed, .. } => passed.prompt_bytes,
            Self::Read { prompt_bytes, .. } => *prompt_bytes,
        }
    }

    /// The same request where tools that were not chosen are not shown, as an Ollama is not.
    pub(super) fn chosen_alone(mut self) -> Self {
        match &mut self {
            Self::AsSent { passed, .. } => passed.prompt_bytes -= mem::take(&mut passed.unchosen_bytes),
            Self::Read { request, prompt_bytes } => *prompt_bytes -= request.unchosen_bytes(),
        }
        self
    }

    /// Whether the client wants a stream.
    #[must_use]
    pub fn streams(&self) -> bool {
        match self {
            Self::AsSent { passed, .. } => passed.stream,
            Self::Read { request, .. } => request.stream,
        }
    }
}

impl Voice {
    /// What is sent while the engine is silent, before its first event or between two.
    #[must_use]
    pub fn keep_alive(&self, style: KeepAliveStyle) -> Bytes {
        self.form.keep_alive(style, self.named())
    }

    /// The last of a stream that has no writer: it has said nothing yet, or its writer is lost behind so many numbered events.
    #[must_use]
    pub fn failure(&self, error: &ApiError, numbered: u64) -> Bytes {
        self.form.failure(self.named(), error, numbered)
    }

    pub(super) fn named(&self) -> Named<'_> {
        Named { unique: &self.id, created: self.created }
    }
}

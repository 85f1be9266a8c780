//! The internal form of a chat: what every dialect translates to and from.
//!
//! Knows what a conversation, a tool and an answer are. Refuses to know how any client or engine spells them.
//! Invariant: a value of these types has been checked. Numbers are in range, what is said to be JSON is,
//! and pictures are in the request itself.

mod arguments;
mod defaults;
mod parts;
mod text;
mod think;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub use arguments::Arguments;
pub use defaults::Defaults;
pub(crate) use parts::Part;
pub use text::Text;
pub use think::{EFFORTS, Heeds, Shows, Think};

/// One request for an answer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ChatRequest {
    /// The name that the client asked for; routing may turn it into another.
    pub model: String,
    /// The conversation, oldest first; never empty.
    pub messages: Vec<Message>,
    /// The functions that the model may call.
    pub tools: Vec<Tool>,
    /// Whether and what it must call.
    pub tool_choice: ToolChoice,
    /// Whether one answer may hold several calls; absent is the engine's own choice.
    pub parallel_tool_calls: Option<bool>,
    /// How tokens are drawn; what is absent is the model's own choice.
    pub sampling: Sampling,
    /// Texts that end the answer.
    pub stop: Vec<String>,
    /// The most tokens of the answer.
    pub max_tokens: Option<u32>,
    /// The shape of the answer.
    pub response_format: ResponseFormat,
    /// Whether and how hard to think first; absent is the model's own choice.
    pub think: Option<Think>,
    /// Whether to give the tokens' probabilities, and of how many alternatives (0 to 20).
    pub logprobs: Option<u8>,
    /// Whether the client wants the answer piece by piece.
    pub stream: bool,
    /// Whether a stream ends with the count of tokens.
    pub include_usage: bool,
    /// The context length in tokens that the administrator has set; never taken from a client, since another
    /// length makes the engine load the model anew.
    pub num_ctx: Option<u32>,
    /// How long the engine keeps the model loaded, in seconds, negative for ever; never taken from a client.
    pub keep_alive: Option<i64>,
}

impl ChatRequest {
    /// About how many bytes it has, for whoever writes it down.
    #[must_use]
    pub fn weight(&self) -> usize {
        let messages = self.messages.iter().map(Message::weight).sum::<usize>();
        messages + self.tools_bytes()
    }

    /// Bytes of the conversation and the tools, pictures aside: what an engine makes of them is its own affair. Tools that may not be called
    /// are sent to no engine.
    #[must_use]
    pub fn prompt_bytes(&self) -> u64 {
        let messages = self.messages.iter().map(Message::said_bytes).sum::<usize>();
        let tools = if self.tool_choice == ToolChoice::None { 0 } else { self.tools_bytes() };
        (messages + tools) as u64
    }

    /// Of these, the bytes of tools that an Ollama is not shown, since another one must be called.
    #[must_use]
    pub fn unchosen_bytes(&self) -> u64 {
        let ToolChoice::Function(chosen) = &self.tool_choice else { return 0 };
        self.tools.iter().filter(|tool| tool.name != *chosen).map(|tool| tool.raw.get().len() as u64).sum()
    }

    fn tools_bytes(&self) -> usize {
        self.tools.iter().map(|tool| tool.raw.get().len()).sum()
    }
}

/// One turn of the conversation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// The text; the parts of a list are joined by a newline, also where a picture stands between them.
    pub text: Text,
    /// Pictures, sounds and files, in their order.
    pub images: Vec<Image>,
    /// The calls that the assistant made in this turn.
    pub tool_calls: Vec<ToolCall>,
    /// Which call this tool's result answers.
    pub tool_call_id: Option<String>,
    /// The speaker's or the tool's name.
    pub name: Option<String>,
    /// What the assistant thought before it spoke.
    pub reasoning: Option<String>,
}

impl Message {
    fn weight(&self) -> usize {
        let images = self.images.iter().map(|image| 64 + image.base64.len()).sum::<usize>();
        // A text is written as it is spelled, and counted only where its words are.
        64 + self.text.quoted().spelled().len() + self.beside_text() + images + 96 * self.tool_calls.len()
    }

    fn said_bytes(&self) -> usize {
        self.text.len() + self.beside_text()
    }

    /// Bytes of the calls and of what was thought.
    fn beside_text(&self) -> usize {
        let calls = self.tool_calls.iter().map(|call| call.arguments.get().trim().len()).sum::<usize>();
        self.reasoning.as_ref().map_or(0, String::len) + calls
    }
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    /// Standing instructions.
    System,
    /// Standing instructions, in the newer word.
    Developer,
    /// The person.
    #[default]
    User,
    /// The model.
    Assistant,
    /// A function's result.
    Tool,
}

/// A picture that came inside the request, or another medium.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// What it is.
    pub kind: MediumKind,
    /// `image/png` and the like; empty where it is no picture.
    pub media_type: String,
    /// The bytes, in base64; of what is no picture as they came, which may be a data URL.
    pub base64: String,
    /// How closely a picture shall be looked at, which OpenAI's API alone has a word for; none where that is not said.
    pub detail: Option<Box<str>>,
    /// The byte of its turn's text, as that is spelled, before which it stands; right behind the words that came before it.
    pub place: usize,
}

impl Image {
    /// A picture at the beginning of its turn.
    pub(crate) fn picture(media_type: impl Into<String>, base64: impl Into<String>) -> Self {
        let (media_type, base64) = (media_type.into(), base64.into());
        Self { kind: MediumKind::Picture, media_type, base64, detail: None, place: 0 }
    }

    /// Another medium at the beginning of its turn.
    pub(crate) fn other(kind: MediumKind, data: impl Into<String>) -> Self {
        Self { kind, media_type: String::new(), base64: data.into(), detail: None, place: 0 }
    }
}

/// What a medium is. All but pictures is for servers of OpenAI's API alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediumKind {
    /// A picture.
    Picture,
    /// A sound, of this format (`wav`), which OpenAI's API wants said.
    Sound(Option<String>),
    /// A document, of this name.
    File(Option<String>),
}

/// A call that the assistant made in an earlier turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolCall {
    /// The call's id.
    pub id: String,
    /// The function's name.
    pub name: String,
    /// What it is called with.
    pub arguments: Arguments,
}

/// A function that the model may call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    /// The function's name.
    pub name: String,
    /// The whole tool object, `{"type":"function","function":{...}}`, as it came.
    pub raw: Json,
}

impl Tool {
    /// Whether a call must keep to its schema.
    #[must_use]
    pub fn is_strict(&self) -> bool {
        #[derive(Deserialize)]
        struct Outer {
            function: Function,
        }
        #[derive(Deserialize)]
        struct Function {
            strict: Option<bool>,
        }
        serde_json::from_str::<Outer>(self.raw.get()).is_ok_and(|tool| tool.function.strict == Some(true))
    }
}

/// Whether the model must call a function.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ToolChoice {
    /// As the model likes.
    #[default]
    Auto,
    /// No calls.
    None,
    /// At least one call.
    Required,
    /// This function.
    Function(String),
}

/// How tokens are drawn. Absent means the model's own setting, not a number of ours.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Sampling {
    /// 0 to 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// 0 (off) and more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_k: Option<u32>,
    /// 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_p: Option<f64>,
    /// 0 to 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repeat_penalty: Option<f64>,
    /// −2 to 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frequency_penalty: Option<f64>,
    /// −2 to 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub presence_penalty: Option<f64>,
    /// −2⁶³ to 2⁶³ − 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<i64>,
}

/// The shape of the answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ResponseFormat {
    /// Any text.
    #[default]
    Text,
    /// Some JSON object.
    JsonObject,
    /// JSON that follows a schema.
    JsonSchema(AnswerSchema),
}

/// What an answer in JSON must follow, and what else its client says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerSchema {
    /// What the client calls it.
    pub name: Option<String>,
    /// What it is for, in words for the model.
    pub description: Option<String>,
    /// Whether the engine must keep to it exactly; absent is the engine's own choice.
    pub strict: Option<bool>,
    /// The schema, an object.
    pub schema: Json,
}

/// A JSON text that is known to be well formed, kept as it came.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct Json(Box<RawValue>);

impl Json {
    /// The text as a JSON object; none where it is not one.
    #[must_use]
    pub fn object(text: &str) -> Option<Self> {
        let raw: &RawValue = serde_json::from_str(text).ok()?;
        Self::object_of(raw)
    }

    /// The value, where it is an object.
    #[must_use]
    pub fn object_of(raw: &RawValue) -> Option<Self> {
        raw.get().starts_with('{').then(|| Self(raw.to_owned()))
    }

    /// The value as it is written; none where that is no object.
    pub(crate) fn written<T: Serialize>(value: &T) -> Option<Self> {
        let raw = serde_json::value::to_raw_value(value).ok()?;
        raw.get().starts_with('{').then_some(Self(raw))
    }

    /// The text.
    #[must_use]
    pub fn get(&self) -> &str {
        self.0.get()
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl Eq for Json {}

/// One piece of an answer. A good answer is any number of pieces, then one `Usage` where the engine counted, then one
/// `Finish`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChatEvent {
    /// A piece of the answer's text.
    Text {
        /// The piece; may be empty when probabilities come alone.
        text: String,
        /// The probabilities of its tokens, a JSON array in OpenAI's form.
        logprobs: Option<Box<str>>,
    },
    /// A piece of what the model thinks before it answers.
    Reasoning(String),
    /// A whole call of a function.
    ToolCall {
        /// Counts from 0, one per call of this answer.
        index: u32,
        /// Unique in this answer, the same wherever the call is named.
        id: String,
        /// The function.
        name: String,
        /// The arguments: a JSON object as text, or what a model has written in its place.
        arguments: String,
    },
    /// What was counted.
    Usage(Usage),
    /// The answer is complete.
    Finish(FinishReason),
}

impl ChatEvent {
    /// A piece of text without probabilities.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into(), logprobs: None }
    }
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    /// The model was done, or met a stop text.
    Stop,
    /// The limit of tokens, or of the context.
    Length,
    /// It wants functions called.
    ToolCalls,
    /// The engine withheld the rest.
    ContentFilter,
}

/// Bytes beyond which hardly any piece of an answer is one token.
const TOKEN_BYTES: usize = 16;

/// About how many tokens a piece of an answer has. Engines give one for each token, but some give many in one: no token is two words.
#[must_use]
pub fn tokens_of(piece: &str) -> u64 {
    let length = piece.trim_ascii().len();
    let long = if length > TOKEN_BYTES { length as u64 / BYTES_A_TOKEN } else { 0 };
    u64::from(!piece.is_empty()).max(piece.split_ascii_whitespace().count() as u64).max(long)
}

/// Counts of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Of the prompt, cached ones among them.
    pub prompt_tokens: u64,
    /// Of the answer, thinking among them.
    pub completion_tokens: u64,
    /// Those of the prompt that the engine had from an earlier request, where it says so.
    pub cached_tokens: Option<u64>,
    /// Those of the answer that the model has thought, where the engine says so.
    pub reasoning_tokens: Option<u64>,
    /// These are not the engine's own counts but what can be told without them: see [`Usage::estimated`].
    pub estimated: bool,
}

/// Bytes of a conversation to a token, by OpenAI's own rule of thumb for English; other languages take fewer.
pub(crate) const BYTES_A_TOKEN: u64 = 4;

impl Usage {
    /// An engine's own counts, of which it tells no more.
    #[must_use]
    pub const fn counted(prompt_tokens: u64, completion_tokens: u64) -> Self {
        Self {
            prompt_tokens,
            completion_tokens,
            cached_tokens: None,
            reasoning_tokens: None,
            estimated: false,
        }
    }

    /// What an answer of about so many tokens ([`tokens_of`]) has come to whose engine has not told its counts, or not yet, to a prompt of
    /// so many bytes.
    #[must_use]
    pub const fn estimated(prompt_bytes: u64, tokens: u64) -> Self {
        Self { estimated: true, ..Self::counted(prompt_bytes.div_ceil(BYTES_A_TOKEN), tokens) }
    }

    /// The same of an answer that has come in one piece, of so many bytes.
    #[must_use]
    pub const fn estimated_whole(prompt_bytes: u64, answer_bytes: u64) -> Self {
        Self::estimated(prompt_bytes, answer_bytes.div_ceil(BYTES_A_TOKEN))
    }

    /// The same, with an estimate in place of each of both counts that its engine has left out: Ollama leaves out what is zero, and also
    /// what it does not know. No prompt is of no token, and no answer in which something was said.
    #[must_use]
    pub fn filled(self, estimate: Self) -> Self {
        let (prompt, completion) = (self.prompt_tokens == 0, self.completion_tokens == 0);
        let lacks = prompt && estimate.prompt_tokens > 0 || completion && estimate.completion_tokens > 0;
        Self {
            prompt_tokens: if prompt { estimate.prompt_tokens } else { self.prompt_tokens },
            completion_tokens: if completion { estimate.completion_tokens } else { self.completion_tokens },
            estimated: self.estimated || lacks,
            ..self
        }
    }

    /// Together with what was counted of one more answer to the same prompt, which is counted once, as OpenAI counts it: for the
    /// second answer the engine has all of it from the first.
    #[must_use]
    pub fn and_choice(self, other: Self) -> Self {
        let prompt_tokens = match (self.estimated, other.estimated) {
            (true, false) => other.prompt_tokens,
            (false, true) => self.prompt_tokens,
            (_, _) => self.prompt_tokens.max(other.prompt_tokens),
        };
        let reasoning = self.reasoning_tokens.into_iter().chain(other.reasoning_tokens);
        Self {
            prompt_tokens,
            completion_tokens: self.completion_tokens.saturating_add(other.completion_tokens),
            cached_tokens: self.cached_tokens.or(other.cached_tokens),
            reasoning_tokens: reasoning.reduce(u64::saturating_add),
            estimated: self.estimated || other.estimated,
        }
    }

    /// Together with what was counted of an answer to another prompt.
    #[must_use]
    pub fn and_prompt(self, other: Self) -> Self {
        let both =
            |one: Option<u64>, more: Option<u64>| one.into_iter().chain(more).reduce(u64::saturating_add);
        Self {
            prompt_tokens: self.prompt_tokens.saturating_add(other.prompt_tokens),
            completion_tokens: self.completion_tokens.saturating_add(other.completion_tokens),
            cached_tokens: both(self.cached_tokens, other.cached_tokens),
            reasoning_tokens: both(self.reasoning_tokens, other.reasoning_tokens),
            estimated: self.estimated || other.estimated,
        }
    }

    /// Both together.
    #[must_use]
    pub fn total_tokens(self) -> u64 {
        self.prompt_tokens.saturating_add(self.completion_tokens)
    }
}

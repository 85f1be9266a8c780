//! The items of an answer: what the model thought, said and wants called.
//!
//! Knows their objects on the wire. Refuses to know the events around them. Invariants: their places count from 0 in
//! the order in which they came, each has an id of its own, and all together hold no more than the limit.

use bytes::{BufMut, Bytes, BytesMut};
use serde::Serialize;

use super::echo::Echo;
use super::tools::INPUT;
use crate::chat::{FinishReason, Usage};
use crate::dialect::json;
use crate::error::BackendFault;

/// About the most items of an answer, one more where it is the last: each costs its objects and events, however little it says.
const ITEMS_LIMIT: usize = 1024;
/// What those come to, in bytes.
const ITEM: usize = 2048;

/// What an item holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Held {
    /// What the model thought.
    Reasoning(String),
    /// What it said, and the inside of the JSON array of its tokens' probabilities.
    Message { text: String, logprobs: String },
    /// A call of a function, or of a tool whose input is plain text.
    Call(Call),
}

/// A call, in its client's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) call_id: String,
    pub(super) name: String,
    pub(super) namespace: Option<String>,
    /// A JSON object as text, or the plain text.
    pub(super) input: String,
    pub(super) custom: bool,
}

/// An item with its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) id: String,
    pub(super) held: Held,
    status: Status,
}

/// An item of an answer that is complete, for whoever keeps it until a later request names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptItem {
    /// By which it is named.
    pub id: String,
    /// The item as its client was given it, but for the probabilities of its tokens.
    pub json: Bytes,
}

/// How far an item has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    InProgress,
    Completed,
    Incomplete,
}

impl Status {
    fn text(self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Incomplete => "incomplete",
        }
    }
}

#[derive(Serialize)]
struct ReasoningObject<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
    summary: &'a [SummaryText<'a>],
}

/// OpenAI calls it a summary. Here it is all that was thought, in the place where Codex, `@ai-sdk/openai` and LangChain
/// look for it: the events of raw thoughts are passed over by the latter two, and hidden by the first.
#[derive(Serialize)]
pub(super) struct SummaryText<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    text: &'a str,
}

impl<'a> SummaryText<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { kind: "summary_text", text }
    }
}

#[derive(Serialize)]
struct CallObject<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
    call_id: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<&'a str>,
    status: &'static str,
}

impl Item {
    /// Appends the item: with nothing in it while it is in progress, else whole.
    pub(super) fn write(&self, out: &mut BytesMut) {
        let begins = self.status == Status::InProgress;
        match &self.held {
            Held::Reasoning(text) => {
                let whole = [SummaryText::new(text)];
                let summary: &[SummaryText<'_>] = if begins { &[] } else { &whole };
                json::write(out, &ReasoningObject { kind: "reasoning", id: &self.id, summary });
            }
            Held::Message { text, logprobs } => self.write_message(text, logprobs, out),
            Held::Call(call) => {
                let input = if begins { "" } else { call.input.as_str() };
                let (kind, arguments, input) = if call.custom {
                    ("custom_tool_call", None, Some(input))
                } else {
                    ("function_call", Some(input), None)
                };
                let namespace = call.namespace.as_deref();
                let (id, call_id, name) = (&self.id, &call.call_id, &call.name);
                let status = self.status.text();
                json::write(
                    out,
                    &CallObject { kind, id, call_id, name, namespace, arguments, input, status },
                );
            }
        }
    }

    fn write_message(&self, text: &str, logprobs: &str, out: &mut BytesMut) {
        out.put_slice(b"{\"type\":\"message\",\"id\":");
        json::write(out, &self.id);
        out.put_slice(b",\"role\":\"assistant\",\"status\":");
        json::write(out, self.status.text());
        out.put_slice(b",\"content\":[");
        if self.status != Status::InProgress {
            write_text(text, logprobs, out);
        }
        out.put_slice(b"]}");
    }

    fn kept(&self) -> KeptItem {
        let mut out = BytesMut::new();
        match &self.held {
            // Nothing comes of the probabilities in a request, and they are many times as long as the text.
            Held::Message { text, .. } => self.write_message(text, "", &mut out),
            Held::Reasoning(_) | Held::Call(_) => self.write(&mut out),
        }
        // Without the room to grow, which would be held as long as the item.
        KeptItem { id: self.id.clone(), json: Bytes::copy_from_slice(&out) }
    }
}

/// Appends the one part of a message.
pub(super) fn write_text(text: &str, logprobs: &str, out: &mut BytesMut) {
    out.put_slice(b"{\"type\":\"output_text\",\"text\":");
    json::write(out, text);
    out.put_slice(b",\"annotations\":[],\"logprobs\":[");
    out.put_slice(logprobs.as_bytes());
    out.put_slice(b"]}");
}

/// The items of one answer, as they come.
#[derive(Debug)]
pub(super) struct Items {
    /// What makes their ids their own.
    seed: String,
    limit: usize,
    held: usize,
    items: Vec<Item>,
    /// The last one may still grow.
    open: bool,
}

impl Items {
    pub(super) fn new(seed: &str, limit: usize) -> Self {
        Self { seed: seed.to_owned(), limit, held: 0, items: Vec::new(), open: false }
    }

    /// The last one, with its place, while it may still grow.
    pub(super) fn open(&self) -> Option<(usize, &Item)> {
        let place = self.items.len().checked_sub(1).filter(|_| self.open)?;
        Some((place, self.items.get(place)?))
    }

    /// The last one, if it may still grow, has come to this end.
    pub(super) fn end(&mut self, status: Status) {
        if let Some(item) = self.items.last_mut().filter(|_| self.open) {
            item.status = status;
        }
    }

    /// The same, and it grows no more.
    pub(super) fn close(&mut self, status: Status) {
        self.end(status);
        self.open = false;
    }

    pub(super) fn begin(&mut self, held: Held) {
        let kind = match &held {
            Held::Reasoning(_) => "rs",
            Held::Message { .. } => "msg",
            Held::Call(Call { custom: false, .. }) => "fc",
            Held::Call(Call { custom: true, .. }) => "ctc",
        };
        let id = format!("{kind}_{}_{}", self.seed, self.items.len());
        self.items.push(Item { id, held, status: Status::InProgress });
        self.open = true;
    }

    /// Adds to what the last one thinks.
    pub(super) fn think(&mut self, more: &str) {
        if let Some(Item { held: Held::Reasoning(text), .. }) = self.items.last_mut() {
            text.push_str(more);
        }
    }

    /// Adds to what the last one says.
    pub(super) fn say(&mut self, more: &str, more_logprobs: &str) {
        if let Some(Item { held: Held::Message { text, logprobs }, .. }) = self.items.last_mut() {
            text.push_str(more);
            if !more_logprobs.is_empty() {
                if !logprobs.is_empty() {
                    logprobs.push(',');
                }
                logprobs.push_str(more_logprobs);
            }
        }
    }

    /// Whether a message is being said.
    pub(super) fn speaks(&self) -> bool {
        matches!(self.open(), Some((_, Item { held: Held::Message { .. }, .. })))
    }

    /// Room for so many bytes more, and for the items that there are.
    pub(super) fn hold(&mut self, more: usize) -> Result<(), BackendFault> {
        if self.items.len() > ITEMS_LIMIT {
            return Err(BackendFault::garbage(format!("an answer of more than {ITEMS_LIMIT} items")));
        }
        self.held = self.held.saturating_add(more);
        if self.held > self.limit { Err(BackendFault::TooLong { limit: self.limit }) } else { Ok(()) }
    }

    /// Appends a JSON array of all of them.
    pub(super) fn write(&self, out: &mut BytesMut) {
        out.put_slice(b"[");
        for (place, item) in self.items.iter().enumerate() {
            if place > 0 {
                out.put_slice(b",");
            }
            item.write(out);
        }
        out.put_slice(b"]");
    }

    /// All of them, to be kept.
    pub(super) fn kept(&self) -> Vec<KeptItem> {
        self.items.iter().map(Item::kept).collect()
    }

    /// Bytes of what was thought, and of that and all that was said and called.
    fn thought_and_all(&self) -> (u64, u64) {
        self.items.iter().fold((0, 0), |(thought, all), item| match &item.held {
            Held::Reasoning(text) => (thought + text.len() as u64, all + text.len() as u64),
            Held::Message { text, .. } => (thought, all + text.len() as u64),
            Held::Call(call) => (thought, all + (call.name.len() + call.input.len()) as u64),
        })
    }

    /// Of so many tokens, those that were thought: their share of the bytes.
    fn thought_of(&self, tokens: u64) -> u64 {
        let (thought, all) = self.thought_and_all();
        let share = u128::from(tokens) * u128::from(thought) / u128::from(all.max(1));
        u64::try_from(share).unwrap_or(tokens)
    }

    /// How many bytes they hold.
    pub(super) fn held(&self) -> usize {
        self.held + self.items.len() * ITEM
    }
}

/// A call as its client knows it.
pub(super) fn call(echo: &Echo, call_id: String, name: String, arguments: String) -> Call {
    let Some(known) = echo.names.of(&name) else {
        return Call { call_id, name, namespace: None, input: arguments, custom: false };
    };
    let input = if known.custom { plain(arguments) } else { arguments };
    Call {
        call_id,
        name: known.name.clone(),
        namespace: known.namespace.clone(),
        input,
        custom: known.custom,
    }
}

/// The plain text in the arguments of a tool that takes nothing else; the arguments where a model has not kept to that.
fn plain(arguments: String) -> String {
    let object: Option<serde_json::Map<String, serde_json::Value>> = serde_json::from_str(&arguments).ok();
    match object.and_then(|mut object| object.remove(INPUT)) {
        Some(serde_json::Value::String(text)) => text,
        _ => arguments,
    }
}

/// The inside of a list of probabilities, on one line.
pub(super) fn inside(list: Option<&str>) -> String {
    let inner = list.and_then(|list| list.trim().strip_prefix('[')?.strip_suffix(']')).unwrap_or_default();
    String::from_utf8_lossy(&json::flat(inner.trim().as_bytes())).into_owned()
}

/// How a response stands.
#[derive(Debug, Clone, Copy)]
pub(super) enum Outcome<'a> {
    InProgress,
    Completed,
    /// With its reason.
    Incomplete(&'static str),
    /// With a code and words for people.
    Failed(&'static str, &'a str),
}

impl Outcome<'_> {
    /// The outcome of an answer that ended so.
    pub(super) fn of(reason: FinishReason) -> Self {
        match reason {
            FinishReason::Stop | FinishReason::ToolCalls => Self::Completed,
            FinishReason::Length => Self::Incomplete("max_output_tokens"),
            FinishReason::ContentFilter => Self::Incomplete("content_filter"),
        }
    }

    /// The status of an item that is open then.
    pub(super) fn last(self) -> Status {
        match self {
            Self::InProgress => Status::InProgress,
            Self::Completed => Status::Completed,
            Self::Incomplete(_) | Self::Failed(..) => Status::Incomplete,
        }
    }

    /// The event that tells it.
    pub(super) fn event(self) -> &'static str {
        match self {
            Self::InProgress => "response.in_progress",
            Self::Completed => "response.completed",
            Self::Incomplete(_) => "response.incomplete",
            Self::Failed(..) => "response.failed",
        }
    }
}

/// What is the same in every response object of one answer.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) id: String,
    pub(super) created: u64,
}

/// Appends the response object.
pub(super) fn write_response(
    head: &Head,
    echo: &Echo,
    items: &Items,
    outcome: Outcome<'_>,
    usage: Option<Usage>,
    out: &mut BytesMut,
) {
    #[derive(Serialize)]
    struct Error<'a> {
        code: &'a str,
        message: &'a str,
    }
    #[derive(Serialize)]
    struct Details {
        reason: &'static str,
    }
    let (status, error, details) = match outcome {
        Outcome::InProgress => ("in_progress", None, None),
        Outcome::Completed => ("completed", None, None),
        Outcome::Incomplete(reason) => ("incomplete", None, Some(Details { reason })),
        Outcome::Failed(code, message) => ("failed", Some(Error { code, message }), None),
    };
    out.put_slice(b"{\"id\":");
    json::write(out, &head.id);
    out.put_slice(b",\"object\":\"response\",\"created_at\":");
    json::write(out, &head.created);
    out.put_slice(b",\"status\":");
    json::write(out, status);
    out.put_slice(b",\"error\":");
    json::write(out, &error);
    out.put_slice(b",\"incomplete_details\":");
    json::write(out, &details);
    out.put_slice(b",\"model\":");
    json::write(out, &echo.model);
    out.put_slice(b",\"output\":");
    items.write(out);
    // Typed clients want one in what has ended (`@ai-sdk/openai` takes no null), whether its engine counts or not.
    let usage = match outcome {
        Outcome::Completed | Outcome::Incomplete(_) => Some(usage.unwrap_or_default()),
        Outcome::InProgress | Outcome::Failed(..) => usage,
    };
    out.put_slice(b",\"usage\":");
    json::write(out, &usage.map(|usage| UsageObject::of(usage, items)));
    out.put_slice(echo.fields.as_bytes());
    out.put_slice(b"}");
}

/// OpenAI's usage object. Clients with types want every number: what was cached is 0 where an engine does not tell it, and what was thought
/// is estimated.
#[derive(Serialize)]
struct UsageObject {
    input_tokens: u64,
    input_tokens_details: InputDetails,
    output_tokens: u64,
    output_tokens_details: OutputDetails,
    total_tokens: u64,
    /// A word of ours, as in a chat's: these are no engine's counts.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    estimated: bool,
}

#[derive(Serialize)]
struct InputDetails {
    cached_tokens: u64,
    cache_write_tokens: u64,
}

#[derive(Serialize)]
struct OutputDetails {
    reasoning_tokens: u64,
    /// The same of this number alone: the engine has counted its answer, and not what of it was thought.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    estimated: bool,
}

impl OutputDetails {
    fn of(usage: Usage, items: &Items) -> Self {
        match usage.reasoning_tokens {
            Some(reasoning_tokens) => Self { reasoning_tokens, estimated: false },
            None => Self {
                reasoning_tokens: items.thought_of(usage.completion_tokens),
                // Of an answer in which nothing was thought it is known.
                estimated: items.thought_and_all().0 > 0,
            },
        }
    }
}

impl UsageObject {
    fn of(usage: Usage, items: &Items) -> Self {
        Self {
            input_tokens: usage.prompt_tokens,
            input_tokens_details: InputDetails {
                cached_tokens: usage.cached_tokens.unwrap_or(0),
                cache_write_tokens: 0,
            },
            output_tokens: usage.completion_tokens,
            output_tokens_details: OutputDetails::of(usage, items),
            total_tokens: usage.total_tokens(),
            estimated: usage.estimated,
        }
    }
}

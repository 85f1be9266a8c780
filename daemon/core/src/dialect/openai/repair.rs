//! An engine's own OpenAI answer, made trustworthy on its way through.
//!
//! Knows how engines end their streams, well and badly. Refuses to know what they say in them: a chunk is passed
//! as it came, but for the model's name, for halves of characters, and for calls in a text ([`TextCalls`]). Invariant: a client sees exactly one `[DONE]`, and
//! only behind a finish reason for every choice; every other end is a fault.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::completions::completion_logprobs;
use super::request::CHOICES_LIMIT;
use super::several::event;
use super::stream::DONE;
use super::text_calls::TextCalls;
use crate::chat::Usage;
use crate::dialect::json::{self, Object};
use crate::error::BackendFault;
use crate::framing::sse::{Event, Events};

#[cfg(test)]
mod tests;

/// What must be known of a chunk or an answer.
#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    choices: Option<Vec<Object<Choice<'a>>>>,
    usage: Option<Object<WireUsage>>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(default)]
    index: u32,
    #[serde(borrow)]
    finish_reason: Option<Cow<'a, str>>,
    #[serde(borrow)]
    logprobs: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct WireUsage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
}

impl From<WireUsage> for Usage {
    fn from(usage: WireUsage) -> Self {
        Self {
            prompt_tokens: usage.prompt_tokens.unwrap_or(0),
            completion_tokens: usage.completion_tokens.unwrap_or(0),
        }
    }
}

/// Passes a stream on, event by event.
#[derive(Debug)]
pub struct StreamRepair {
    events: Events,
    model: Option<String>,
    /// One bit per choice that was seen, and per choice that has its finish reason.
    begun: u128,
    finished: u128,
    /// How many choices were asked for.
    wanted: u32,
    done: bool,
    /// What was counted: for each choice where the counts come with it, or, under none, of all of them.
    usage: BTreeMap<Option<u32>, Usage>,
    calls: Option<Box<TextCalls>>,
    /// Of a completion, how many characters of each choice were given with probabilities; none for a chat.
    offsets: Option<Offsets>,
}

impl StreamRepair {
    /// A repair that refuses lines of more than `limit` bytes and gives the model this name, where one is given:
    /// the name that the client asked for.
    #[must_use]
    pub fn new(limit: usize, model: Option<&str>) -> Self {
        Self {
            events: Events::new(limit),
            model: model.map(str::to_owned),
            begun: 0,
            finished: 0,
            wanted: 1,
            done: false,
            usage: BTreeMap::new(),
            calls: None,
            offsets: None,
        }
    }

    /// So many choices were asked for: fewer are no whole answer where the body breaks off.
    #[must_use]
    pub fn wanting(self, choices: u32) -> Self {
        Self { wanted: choices, ..self }
    }

    /// Calls in the answer's text are given as calls.
    #[must_use]
    pub fn calling(self, calls: Option<TextCalls>) -> Self {
        Self { calls: calls.map(Box::new), ..self }
    }

    /// How many bytes of the answer are held back, since they may be those of a call.
    #[must_use]
    pub fn held(&self) -> usize {
        self.calls.as_ref().map_or(0, |calls| calls.held())
    }

    /// It is a completion, whose probabilities some engines tell in a chat's form: llama.cpp's server, as recorded.
    #[must_use]
    pub fn completing(self) -> Self {
        Self { offsets: Some(Offsets::default()), ..self }
    }

    /// Takes bytes of the engine's body, split anywhere, and appends what the client gets. What was appended
    /// before a fault was found is good and may be sent.
    ///
    /// # Errors
    /// An error object in the stream, a chunk that is not one, a line that is too long, an end before its time.
    pub fn feed(&mut self, bytes: &[u8], out: &mut BytesMut) -> Result<(), BackendFault> {
        if self.done {
            return Ok(());
        }
        self.events.push(bytes);
        while let Some(event) = self.events.next_event()? {
            self.event(&event, out)?;
            if self.done {
                break;
            }
        }
        Ok(())
    }

    /// The engine's body has ended: appends `[DONE]` where it did not send one.
    ///
    /// # Errors
    /// [`BackendFault::EndedEarly`] where a choice has no finish reason.
    pub fn finish(&mut self, out: &mut BytesMut) -> Result<(), BackendFault> {
        if self.done {
            return Ok(());
        }
        if let Some(event) = self.events.finish()? {
            // The rest of a body that broke off is no garbage, it is just not whole.
            let cut = event.data.starts_with(b"{") || b"[DONE]".starts_with(&event.data);
            match self.event(&event, out) {
                Err(BackendFault::Garbage { .. }) if cut => return self.broke(BackendFault::EndedEarly, out),
                read => read?,
            }
        }
        if self.done { Ok(()) } else { self.end(out) }
    }

    /// The engine's body has broken off, by this fault. Where every choice that was asked for has its finish reason nothing of the answer is missing: appends
    /// `[DONE]`. A count of tokens that was to follow does not come, as where OpenAI's own streams are cut.
    ///
    /// # Errors
    /// The fault, where the answer is not whole.
    pub fn broke(&mut self, fault: BackendFault, out: &mut BytesMut) -> Result<(), BackendFault> {
        if self.done {
            return Ok(());
        }
        // One that was asked for may not have begun.
        if self.finished.count_ones() < self.wanted {
            return Err(fault);
        }
        self.end(out).map_err(|_early| fault)
    }

    /// Whether the end was sent; nothing may follow it.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// What the engine counted, where it said so.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        let each = || self.usage.values().copied().reduce(Usage::and_choice);
        self.usage.get(&None).copied().or_else(each)
    }

    /// The first choice that is not finished; none where all that were asked for are, and only the end is wanting.
    #[must_use]
    pub fn speaking(&self) -> Option<u32> {
        Some(self.finished.trailing_ones()).filter(|choice| *choice < self.wanted)
    }

    fn event(&mut self, event: &Event, out: &mut BytesMut) -> Result<(), BackendFault> {
        let data = event.data.trim_ascii();
        if data.is_empty() {
            return Ok(());
        }
        if data == b"[DONE]" {
            return self.end(out);
        }
        let data = &*json::paired(data);
        let chunk: Chunk<'_> = json::read(data, "chunk").map_err(BackendFault::garbage)?;
        if chunk.error.is_some() {
            return Err(BackendFault::ErrorLine { message: String::from_utf8_lossy(data).into_owned() });
        }
        if event.name.as_deref() == Some(b"error") {
            return Err(BackendFault::ErrorLine { message: String::from_utf8_lossy(data).into_owned() });
        }
        for Object(choice) in chunk.choices.iter().flatten() {
            self.choice(choice)?;
        }
        if let Some(Object(usage)) = chunk.usage {
            let choice = chunk.choices.iter().flatten().next().map(|Object(choice)| choice.index);
            self.usage.insert(choice, usage.into());
        }
        if let Some(chunks) = self.calls.as_mut().and_then(|calls| calls.chunk(data)) {
            chunks.into_iter().for_each(|chunk| self.write(chunk, out));
            return Ok(());
        }
        let edits = self.offsets.as_mut().map(|offsets| evened(data, chunk.choices.as_deref(), offsets));
        self.forward(data, chunk.model, edits.unwrap_or_default(), out);
        Ok(())
    }

    fn choice(&mut self, choice: &Choice<'_>) -> Result<(), BackendFault> {
        if choice.index >= CHOICES_LIMIT {
            return Err(BackendFault::garbage(format!("choice number {}", choice.index)));
        }
        let bit = 1_u128 << choice.index;
        self.begun |= bit;
        if choice.finish_reason.as_ref().is_some_and(|reason| !reason.is_empty()) {
            self.finished |= bit;
        }
        Ok(())
    }

    fn forward(&self, data: &[u8], model: Option<&RawValue>, mut edits: Vec<Edit>, out: &mut BytesMut) {
        let flat = json::flat(data);
        out.put_slice(b"data: ");
        match (&self.model, model) {
            (Some(name), Some(raw)) if edits.is_empty() => {
                json::spliced(out, &flat, json::span(data, raw.get()), name);
            }
            (_, _) if edits.is_empty() => out.put_slice(&flat),
            (name, raw) => {
                edits.extend(named(data, name.as_deref(), raw));
                out.put_slice(&json::edited(&flat, edits));
            }
        }
        out.put_slice(b"\n\n");
    }

    /// A chunk that is not as it came.
    fn write(&self, mut chunk: Value, out: &mut BytesMut) {
        if let (Some(name), Some(model)) = (&self.model, chunk.get_mut("model")) {
            *model = name.as_str().into();
        }
        event(&chunk, out);
    }

    fn end(&mut self, out: &mut BytesMut) -> Result<(), BackendFault> {
        if self.begun == 0 || self.finished != self.begun {
            return Err(BackendFault::EndedEarly);
        }
        self.done = true;
        out.put_slice(DONE);
        Ok(())
    }
}

/// How many characters of each choice were given with probabilities.
type Offsets = BTreeMap<u32, usize>;

/// A place in a text and what stands there then.
type Edit = (Range<usize>, String);

/// The edits by which a completion's probabilities in a chat's form stand in its own.
fn evened(data: &[u8], choices: Option<&[Object<Choice<'_>>]>, offsets: &mut Offsets) -> Vec<Edit> {
    let told = choices
        .unwrap_or_default()
        .iter()
        .filter_map(|Object(choice)| Some((choice.index, choice.logprobs?)));
    let even = |(index, raw): (u32, &RawValue)| {
        let lists = completion_logprobs(raw.get(), offsets.entry(index).or_default())?;
        Some((json::span(data, raw.get()), lists))
    };
    told.filter_map(even).collect()
}

/// The edit that gives the model this name.
fn named(data: &[u8], name: Option<&str>, model: Option<&RawValue>) -> Option<Edit> {
    let (name, raw) = name.zip(model)?;
    let mut text = BytesMut::new();
    json::write(&mut text, name);
    Some((json::span(data, raw.get()), String::from_utf8_lossy(&text).into_owned()))
}

/// A whole answer that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    /// The body for the client.
    pub body: Bytes,
    /// What the engine counted, where it said so.
    pub usage: Option<Usage>,
}

/// Checks an engine's whole answer of status 200, and gives the model this name where one is given.
///
/// # Errors
/// An error object, something that is not an answer, an answer without choices or without a finish reason.
pub fn check_whole(body: &Bytes, model: Option<&str>) -> Result<Whole, BackendFault> {
    checked(body, model, false)
}

/// The same of a completion, whose probabilities some engines tell in a chat's form.
///
/// # Errors
/// As [`check_whole`].
pub fn check_whole_completion(body: &Bytes, model: Option<&str>) -> Result<Whole, BackendFault> {
    checked(body, model, true)
}

fn checked(body: &Bytes, model: Option<&str>, completes: bool) -> Result<Whole, BackendFault> {
    let body = match json::paired(body) {
        Cow::Borrowed(_) => body.clone(),
        Cow::Owned(mended) => mended.into(),
    };
    let answer: Chunk<'_> = json::read(&body, "answer").map_err(BackendFault::garbage)?;
    if answer.error.is_some() {
        return Err(BackendFault::ErrorLine { message: String::from_utf8_lossy(&body).into_owned() });
    }
    let choices = answer.choices.unwrap_or_default();
    if choices.is_empty() {
        return Err(BackendFault::garbage(format!("an answer of {} bytes without choices", body.len())));
    }
    if choices.iter().any(|Object(choice)| choice.finish_reason.is_none()) {
        return Err(BackendFault::EndedEarly);
    }
    let mut edits = Vec::new();
    if completes {
        edits = evened(&body, Some(&choices), &mut Offsets::new());
    }
    edits.extend(named(&body, model, answer.model));
    let body = if edits.is_empty() { body.clone() } else { json::edited(&body, edits) };
    Ok(Whole { body, usage: answer.usage.map(|Object(usage)| usage.into()) })
}

//! An engine's own OpenAI answer, made trustworthy on its way through.
//!
//! Knows how engines end their streams, well and badly. Refuses to know what they say in them: a chunk is passed
//! as it came, but for the model's name, for halves of characters, and for counts that its client has not asked for: of these
//! chunks the times that llama.cpp has beside them come with the chunk before. Invariant: a client sees exactly one `[DONE]`, and
//! only behind a finish reason for every choice; every other end is a fault.

mod counts;

use std::{borrow::Cow, collections::BTreeMap, ops::Range};

use bytes::{BufMut, Bytes, BytesMut};
use counts::{Held, blanked, said_bytes};
use serde::Deserialize;
use serde_json::value::RawValue;

pub use counts::refuses_counts;
pub(super) use counts::told;

use super::request::CHOICES_LIMIT;
use super::stream::DONE;
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
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    /// llama.cpp's, beside the counts where it is asked for these, and else in the chunk that ends the answer.
    #[serde(borrow)]
    timings: Option<&'a RawValue>,
}

impl Chunk<'_> {
    /// Whether it has counts and nothing that is said.
    fn is_counts(&self) -> bool {
        self.usage.is_some() && self.choices.as_ref().is_none_or(Vec::is_empty)
    }

    /// In how many choices it says something: one token each, or nearly.
    fn said(&self) -> u64 {
        let choices = self.choices.iter().flatten();
        choices.filter(|Object(choice)| said_bytes(choice.delta) > 0).map(|_| 1).sum()
    }
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(default)]
    index: u32,
    #[serde(borrow)]
    finish_reason: Option<Cow<'a, str>>,
    /// Of a stream.
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    /// Of a whole answer.
    #[serde(borrow)]
    message: Option<&'a RawValue>,
}

impl Choice<'_> {
    fn is_finished(&self) -> bool {
        self.finish_reason.as_ref().is_some_and(|reason| !reason.is_empty())
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
    /// How many pieces of text, thought or calls have come.
    said: u64,
    /// The client has not asked for the counts.
    hides: bool,
    /// The chunk that ends a choice, until it is known what comes with the counts behind it.
    held: Option<Held>,
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
            said: 0,
            hides: false,
            held: None,
        }
    }

    /// So many choices were asked for: fewer are no whole answer where the body breaks off.
    #[must_use]
    pub fn wanting(self, choices: u32) -> Self {
        Self { wanted: choices, ..self }
    }

    /// The same for a client that has not asked for the counts which the engine was asked for.
    #[must_use]
    pub fn hiding_usage(self) -> Self {
        Self { hides: true, ..self }
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
        let read = self.read(out);
        self.good_so_far(read, out)
    }

    fn read(&mut self, out: &mut BytesMut) -> Result<(), BackendFault> {
        while let Some(event) = self.events.next_event()? {
            self.event(&event, out)?;
            if self.done {
                break;
            }
        }
        Ok(())
    }

    /// The same outcome; behind a fault nothing comes for which a chunk is held.
    fn good_so_far(
        &mut self,
        outcome: Result<(), BackendFault>,
        out: &mut BytesMut,
    ) -> Result<(), BackendFault> {
        if outcome.is_err() {
            self.release(out);
        }
        outcome
    }

    /// The engine's body has ended: appends `[DONE]` where it did not send one.
    ///
    /// # Errors
    /// [`BackendFault::EndedEarly`] where a choice has no finish reason.
    pub fn finish(&mut self, out: &mut BytesMut) -> Result<(), BackendFault> {
        if self.done {
            return Ok(());
        }
        let ended = self.ended(out);
        self.good_so_far(ended, out)
    }

    fn ended(&mut self, out: &mut BytesMut) -> Result<(), BackendFault> {
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
            return self.good_so_far(Err(fault), out);
        }
        let ended = self.end(out).map_err(|_early| fault);
        self.good_so_far(ended, out)
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

    /// How many bytes are held of a chunk that is given once it is known what comes behind it.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.as_ref().map_or(0, |Held(chunk)| chunk.len())
    }

    /// How many pieces of text, thought or calls have come so far: one for each token, or nearly.
    #[must_use]
    pub fn said(&self) -> u64 {
        self.said
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
        self.said = self.said.saturating_add(chunk.said());
        let counted = chunk.usage.map(told).transpose()?.flatten();
        if let Some(usage) = counted {
            let choice = chunk.choices.iter().flatten().next().map(|Object(choice)| choice.index);
            self.usage.insert(choice, usage);
        }
        self.pass(data, &chunk, counted.is_some(), out);
        Ok(())
    }

    /// Appends what its client gets of a chunk, which is `counted` where it has counts that are no zeros. Whoever has not asked for
    /// counts gets no zeros, and no chunk that has nothing else.
    fn pass(&mut self, data: &[u8], chunk: &Chunk<'_>, counted: bool, out: &mut BytesMut) {
        if self.hides && chunk.is_counts() {
            if let (Some(held), Some(timings)) = (&mut self.held, chunk.timings) {
                held.add_timings(timings);
            }
            return;
        }
        self.release(out);
        let name = chunk.model.map(|raw| json::span(data, raw.get()));
        let shown = match chunk.usage.filter(|_| self.hides && !counted) {
            Some(usage) => blanked(data, usage),
            None => Cow::Borrowed(data),
        };
        let ends = chunk.choices.iter().flatten().any(|Object(choice)| choice.is_finished());
        // Where the counts have come with it, none come behind it.
        if self.hides && ends && !counted && chunk.timings.is_none() {
            let mut held = BytesMut::with_capacity(shown.len());
            self.forward(&shown, name, &mut held);
            self.held = Some(Held(held));
        } else {
            self.forward(&shown, name, out);
        }
    }

    /// Appends the chunk that was held, if one is.
    fn release(&mut self, out: &mut BytesMut) {
        if let Some(Held(chunk)) = self.held.take() {
            out.put_slice(&chunk);
        }
    }

    fn choice(&mut self, choice: &Choice<'_>) -> Result<(), BackendFault> {
        if choice.index >= CHOICES_LIMIT {
            return Err(BackendFault::garbage(format!("choice number {}", choice.index)));
        }
        let bit = 1_u128 << choice.index;
        self.begun |= bit;
        if choice.is_finished() {
            self.finished |= bit;
        }
        Ok(())
    }

    /// Appends a chunk; `name` is where the model's stands in it.
    fn forward(&self, chunk: &[u8], name: Option<Range<usize>>, out: &mut BytesMut) {
        let flat = json::flat(chunk);
        out.put_slice(b"data: ");
        match (&self.model, name) {
            (Some(asked), Some(range)) => json::spliced(out, &flat, range, asked),
            (_, _) => out.put_slice(&flat),
        }
        out.put_slice(b"\n\n");
    }

    fn end(&mut self, out: &mut BytesMut) -> Result<(), BackendFault> {
        if self.begun == 0 || self.finished != self.begun {
            return Err(BackendFault::EndedEarly);
        }
        self.done = true;
        self.release(out);
        out.put_slice(DONE);
        Ok(())
    }
}

/// A whole answer that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    /// The body for the client.
    pub body: Bytes,
    /// What the engine counted, where it said so.
    pub usage: Option<Usage>,
    /// Bytes of what it says, in text, thought and calls of all choices.
    pub said_bytes: u64,
}

/// Checks an engine's whole answer of status 200, and gives the model this name where one is given.
///
/// # Errors
/// An error object, something that is not an answer, an answer without choices or without a finish reason.
pub fn check_whole(body: &Bytes, model: Option<&str>) -> Result<Whole, BackendFault> {
    let body = match json::paired(body) {
        Cow::Borrowed(_) => body.clone(),
        Cow::Owned(mended) => mended.into(),
    };
    let answer: Chunk<'_> = json::read(&body, "answer").map_err(BackendFault::garbage)?;
    if answer.error.is_some() {
        return Err(BackendFault::ErrorLine { message: String::from_utf8_lossy(&body).into_owned() });
    }
    let usage = answer.usage.map(told).transpose()?.flatten();
    let choices = answer.choices.unwrap_or_default();
    if choices.is_empty() {
        return Err(BackendFault::garbage(format!("an answer of {} bytes without choices", body.len())));
    }
    if choices.iter().any(|Object(choice)| choice.finish_reason.is_none()) {
        return Err(BackendFault::EndedEarly);
    }
    let said_bytes = choices.iter().map(|Object(choice)| said_bytes(choice.message)).sum();
    let body = match (model, answer.model) {
        (Some(name), Some(raw)) => {
            let mut out = BytesMut::with_capacity(body.len() + name.len());
            json::spliced(&mut out, &body, json::span(&body, raw.get()), name);
            out.freeze()
        }
        (_, _) => body.clone(),
    };
    Ok(Whole { body, usage, said_bytes })
}

//! An engine's own OpenAI answer, made trustworthy on its way through.
//!
//! Knows how engines end their streams, well and badly. Refuses to know what they say in them: a chunk is passed
//! as it came, but for the model's name, for halves of characters, for thoughts, which have both of their names, for calls in a text
//! ([`TextCalls`]), and for counts that its client has not asked for: of these chunks the times that llama.cpp has beside them come with the chunk before. Invariant: a client sees
//! exactly one `[DONE]`, and only behind a finish reason for every choice; every other end is a fault.

mod chunk;
mod counts;
mod thoughts;
mod whole;

use std::{collections::BTreeMap, ops::Range};

use bytes::{BufMut, BytesMut};
use chunk::{Choice, Chunk};
use counts::{Held, hidden};
use serde_json::Value;
use serde_json::value::RawValue;
use thoughts::named_twice;

pub use counts::refuses_counts;
pub(super) use counts::told;
pub use whole::{Whole, check_whole, check_whole_completion};

use super::completions::completion_logprobs;
use super::request::CHOICES_LIMIT;
use super::several::begins_prompt;
use super::stream::DONE;
use super::text_calls::TextCalls;
use crate::chat::Usage;
use crate::dialect::json::{self, Object};
use crate::error::BackendFault;
use crate::framing::sse::{Event, Events};

#[cfg(test)]
mod tests;

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
    /// Of a completion; none for a chat.
    completion: Option<Completion>,
    /// About how many tokens of text, thought or calls have come.
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
            calls: None,
            completion: None,
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

    /// Calls in the answer's text are given as calls.
    #[must_use]
    pub fn calling(self, calls: Option<TextCalls>) -> Self {
        Self { calls: calls.map(Box::new), ..self }
    }

    /// It is a completion, with so many answers to each prompt, whose probabilities some engines tell in a chat's form: llama.cpp's
    /// server, as recorded.
    #[must_use]
    pub fn completing(self, samples: u32) -> Self {
        Self { completion: Some(Completion { samples, offsets: Offsets::default() }), ..self }
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
        self.usage.get(&None).copied().or_else(|| self.usage_of_each())
    }

    /// What was counted of all choices, where it comes with each.
    fn usage_of_each(&self) -> Option<Usage> {
        // The choices of a chat are all answers to one prompt.
        let samples = self.completion.as_ref().map_or(u32::MAX, |completion| completion.samples);
        let each = self.usage.iter().map(|(choice, usage)| (choice.unwrap_or(0), *usage));
        let all = each.reduce(|(_, all), (choice, more)| {
            let another = begins_prompt(choice, samples);
            (choice, if another { all.and_prompt(more) } else { all.and_choice(more) })
        });
        all.map(|(_, usage)| usage)
    }

    /// The first choice that is not finished; none where all that were asked for are, and only the end is wanting.
    #[must_use]
    pub fn speaking(&self) -> Option<u32> {
        Some(self.finished.trailing_ones()).filter(|choice| *choice < self.wanted)
    }

    /// How many bytes of the answer are held back: of a text that may be a call's, and of a chunk that is given once it is known what
    /// comes behind it.
    #[must_use]
    pub fn held(&self) -> usize {
        let text = self.calls.as_ref().map_or(0, |calls| calls.held());
        text + self.held.as_ref().map_or(0, |Held(chunk)| chunk.len())
    }

    /// About how many tokens of text, thought or calls have come so far: one for each piece, and more for what has many in one.
    #[must_use]
    pub fn said(&self) -> u64 {
        self.said
    }

    fn event(&mut self, event: &Event, out: &mut BytesMut) -> Result<(), BackendFault> {
        let data = event.data.trim_ascii();
        // llama.cpp's server begins the completions of a list of prompts with an event that says null.
        if data.is_empty() || data == b"null" {
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
        let counted = chunk.usage.and_then(told);
        if let Some(usage) = counted {
            self.count(&chunk, usage);
        }
        if let Some(chunks) = self.calls.as_mut().and_then(|calls| calls.chunk(data)) {
            return chunks.iter().try_for_each(|chunk| self.made(chunk, counted.is_some(), out));
        }
        self.pass(data, &chunk, counted.is_some(), out);
        Ok(())
    }

    fn count(&mut self, chunk: &Chunk<'_>, usage: Usage) {
        let choice = chunk.choices.iter().flatten().next().map(|Object(choice)| choice.index);
        // llama.cpp's server tells the counts of each choice apart, in a chunk that does not say whose they are.
        let others = self.usage.get(&choice).filter(|_| choice.is_none() && chunk.timings.is_some());
        let all = others.map_or(usage, |others| others.and_choice(usage));
        self.usage.insert(choice, all);
    }

    /// The same of a chunk that stands in the place of the engine's own.
    fn made(&mut self, chunk: &Value, counted: bool, out: &mut BytesMut) -> Result<(), BackendFault> {
        let mut data = BytesMut::new();
        json::write(&mut data, chunk);
        let chunk: Chunk<'_> = json::read(&data, "chunk").map_err(BackendFault::garbage)?;
        // The last of several has the counts.
        self.pass(&data, &chunk, counted && chunk.has_counts(), out);
        Ok(())
    }

    /// Appends what its client gets of a chunk, which is `counted` where it has counts that are no zeros. Whoever has not asked for
    /// counts gets no zeros, no null in their place, and no chunk that has nothing else.
    fn pass(&mut self, data: &[u8], chunk: &Chunk<'_>, counted: bool, out: &mut BytesMut) {
        if self.hides && chunk.is_counts() {
            if let (Some(held), Some(timings)) = (&mut self.held, chunk.timings) {
                held.add_timings(timings);
            }
            return;
        }
        self.release(out);
        let name = chunk.model.map(|raw| json::span(data, raw.get()));
        let choices = chunk.choices.as_deref();
        let mut edits = match &mut self.completion {
            Some(completion) => evened(data, choices, &mut completion.offsets),
            None => named_twice(data, choices),
        };
        edits.extend(chunk.usage.filter(|_| self.hides && !counted).map(|usage| hidden(data, usage)));
        let ends = chunk.choices.iter().flatten().any(|Object(choice)| choice.is_finished());
        // Where the counts have come with it, none come behind it.
        if self.hides && ends && !counted && chunk.timings.is_none() {
            let mut held = BytesMut::with_capacity(data.len());
            self.forward(data, name, edits, &mut held);
            self.held = Some(Held(held));
        } else {
            self.forward(data, name, edits, out);
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

    /// Appends a chunk, with these edits and the model's name.
    fn forward(&self, chunk: &[u8], name: Option<Range<usize>>, mut edits: Vec<Edit>, out: &mut BytesMut) {
        let flat = json::flat(chunk);
        out.put_slice(b"data: ");
        match (&self.model, name) {
            (Some(asked), Some(range)) if edits.is_empty() => json::spliced(out, &flat, range, asked),
            (_, _) if edits.is_empty() => out.put_slice(&flat),
            (asked, range) => {
                edits.extend(asked.as_deref().zip(range).map(named));
                out.put_slice(&json::edited(&flat, edits));
            }
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

/// What is known of a completion on its way.
#[derive(Debug)]
struct Completion {
    /// How many answers are wanted to each prompt.
    samples: u32,
    offsets: Offsets,
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

/// The edit that gives the model, whose name stands there, this one.
fn named((name, place): (&str, Range<usize>)) -> Edit {
    let mut text = BytesMut::new();
    json::write(&mut text, name);
    (place, String::from_utf8_lossy(&text).into_owned())
}

//! Several answers to one request, each of which an engine was asked for by itself.
//!
//! Knows OpenAI's answers and chunks as the client would get each of them. Refuses to know who asks the engine. Invariants: the
//! choices are numbered in the order in which they were asked for; each prompt is counted once; a stream tells the counts once, to whoever
//! asked for them, and has one `[DONE]`, behind all.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::stream::DONE;
use crate::dialect::json;
use crate::error::BackendFault;

#[cfg(test)]
mod tests;

/// Joins streams.
#[derive(Debug)]
pub struct Several {
    wanted: u32,
    /// How many of them are answers to one prompt.
    samples: u32,
    /// Whether the client wants the counts.
    include_usage: bool,
    /// How many choices the replies before this one have had.
    given: u32,
    /// How many this one has had so far.
    here: u32,
    /// What each chunk of the first had, and those of the others get.
    same: Map<String, Value>,
    /// What this reply has counted so far: for each of its choices, or, under none, of all of them.
    counts: BTreeMap<Option<u32>, Value>,
    /// The counts of the replies before this one.
    usage: Option<Value>,
}

/// The fields that all chunks of one stream have in common (OpenAI's API description of a chunk: "each chunk has the same").
const SAME: [&str; 5] = ["id", "object", "created", "model", "system_fingerprint"];

impl Several {
    /// So many answers are wanted, and the counts of all where they are to be told.
    #[must_use]
    pub fn new(wanted: u32, include_usage: bool) -> Self {
        let (same, counts) = (Map::new(), BTreeMap::new());
        Self { wanted, samples: wanted, include_usage, given: 0, here: 0, same, counts, usage: None }
    }

    /// The same, with so many of the answers to each prompt, where there are several.
    #[must_use]
    pub fn answering(self, samples: u32) -> Self {
        Self { samples, ..self }
    }

    /// Takes whole events of a reply and appends those of the client's stream. The end and the counts are kept back.
    pub fn pass(&mut self, events: &[u8], out: &mut BytesMut) {
        each_event(events, |event, data| match data.map(serde_json::from_slice::<Value>) {
            Some(Ok(chunk)) => self.chunk(event, chunk, out),
            Some(Err(_)) if data == Some(b"[DONE]") => {}
            Some(Err(_)) | None => out.put_slice(event),
        });
    }

    /// How many choices the replies before the one that speaks have had: those of the next begin with this number.
    #[must_use]
    pub fn given(&self) -> u32 {
        self.given
    }

    /// The reply has ended well: which choice is to be asked for next. Where there is none, appends the end of the stream.
    pub fn next_choice(&mut self, out: &mut BytesMut) -> Option<u32> {
        self.count_reply();
        self.given += self.here;
        // One without a choice would be asked for again for ever; no good reply is.
        if self.given < self.wanted && self.here > 0 {
            self.here = 0;
            return Some(self.given);
        }
        if let Some(usage) = self.usage.take().filter(|_| self.include_usage) {
            let mut chunk = self.same.clone();
            chunk.insert("choices".to_owned(), Value::Array(Vec::new()));
            chunk.insert("usage".to_owned(), usage);
            event(&Value::Object(chunk), out);
        }
        out.put_slice(DONE);
        None
    }

    fn chunk(&mut self, bytes: &[u8], mut chunk: Value, out: &mut BytesMut) {
        let Some(fields) = chunk.as_object_mut() else {
            out.put_slice(bytes);
            return;
        };
        if self.same.is_empty() {
            let same = SAME.into_iter().filter_map(|name| Some((name.to_owned(), fields.get(name)?.clone())));
            self.same = same.collect();
        }
        let counted = self.take_counts(fields);
        let choices = fields.get_mut("choices").and_then(Value::as_array_mut);
        let mut silent = true;
        for choice in choices.into_iter().flatten() {
            silent = false;
            self.here = self.here.max(index(choice).saturating_add(1));
            renumber(choice, self.given);
        }
        if counted && silent {
            return;
        }
        if self.given == 0 && !counted {
            out.put_slice(bytes);
            return;
        }
        fields.extend(self.same.clone());
        event(&chunk, out);
    }

    /// Takes the counts out of a chunk, and whether it had any. They come in a chunk of their own, and some engines have them in
    /// that of a finish reason as well or instead, or in each (vLLM's `continuous_usage_stats`): there they are of its choice, and
    /// the last are the whole.
    fn take_counts(&mut self, chunk: &mut Map<String, Value>) -> bool {
        let Some(usage) = chunk.get_mut("usage").filter(|usage| usage.is_object()).map(Value::take) else {
            return false;
        };
        if !self.include_usage {
            chunk.remove("usage");
        }
        let choice = chunk.get("choices").and_then(Value::as_array).and_then(|choices| choices.first());
        self.counts.insert(choice.map(index), usage);
        true
    }

    /// Adds what this reply has counted to what those before it have.
    fn count_reply(&mut self) {
        let mut counts = std::mem::take(&mut self.counts);
        if let Some(all) = counts.remove(&None) {
            counts = BTreeMap::from([(None, all)]);
        }
        for (choice, more) in counts {
            let choice = self.given.saturating_add(choice.unwrap_or(0));
            match &mut self.usage {
                Some(usage) => add_usage(usage, &more, begins_prompt(choice, self.samples)),
                None => self.usage = Some(more),
            }
        }
    }
}

/// An event of a stream's first choice, for another one.
#[must_use]
pub fn numbered(events: &[u8], choice: u32) -> Bytes {
    let mut out = BytesMut::with_capacity(events.len() + 4);
    each_event(events, |bytes, data| match data.map(serde_json::from_slice::<Value>) {
        Some(Ok(mut chunk)) => {
            let choices = chunk.get_mut("choices").and_then(Value::as_array_mut);
            choices.into_iter().flatten().for_each(|each| renumber(each, choice));
            event(&chunk, &mut out);
        }
        Some(Err(_)) | None => out.put_slice(bytes),
    });
    out.freeze()
}

/// How many choices a whole answer has; none where it is no answer.
#[must_use]
pub fn choices(answer: &[u8]) -> usize {
    json::read::<Parts<'_>>(answer, "answer").map_or(0, |parts| parts.choices.len())
}

#[derive(Deserialize)]
struct Parts<'a> {
    #[serde(borrow)]
    choices: Vec<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

/// Whether this answer of several is the first to a prompt to which so many are wanted.
#[must_use]
pub fn begins_prompt(choice: u32, samples: u32) -> bool {
    choice.is_multiple_of(samples.max(1))
}

/// One whole answer out of several, of which so many are to each prompt: the first, byte for byte but for its choices and its counts.
///
/// # Errors
/// One of them is no answer.
pub fn joined(first: &Bytes, others: &[Bytes], samples: u32) -> Result<Bytes, BackendFault> {
    #[derive(Deserialize)]
    struct Whole<'a> {
        #[serde(borrow)]
        choices: &'a RawValue,
        #[serde(borrow)]
        usage: Option<&'a RawValue>,
    }
    let read = |bytes| json::read::<Parts<'_>>(bytes, "answer").map_err(BackendFault::garbage);
    let whole: Whole<'_> = json::read(first, "answer").map_err(BackendFault::garbage)?;
    let own = read(first)?;
    let mut choices: Vec<Value> = Vec::new();
    let mut usage: Option<Value> = own.usage.and_then(|raw| serde_json::from_str(raw.get()).ok());
    let mut count = u32::try_from(own.choices.len()).unwrap_or(u32::MAX);
    for other in others {
        let parts = read(other)?;
        if let (Some(usage), Some(more)) = (&mut usage, parts.usage) {
            let more = serde_json::from_str(more.get()).unwrap_or_default();
            add_usage(usage, &more, begins_prompt(count, samples));
        }
        for raw in &parts.choices {
            let mut choice: Value = serde_json::from_str(raw.get()).unwrap_or_default();
            let before = count.saturating_sub(index(&choice));
            renumber(&mut choice, before);
            choices.push(choice);
            count = count.saturating_add(1);
        }
    }
    let mut list = BytesMut::from(whole.choices.get().trim_end_matches(']').as_bytes());
    for choice in &choices {
        list.put_slice(b",");
        json::write(&mut list, choice);
    }
    list.put_slice(b"]");
    let mut counts = BytesMut::new();
    usage.iter().for_each(|usage| json::write(&mut counts, usage));
    let mut edits = vec![(json::span(first, whole.choices.get()), list)];
    edits.extend(whole.usage.filter(|_| usage.is_some()).map(|raw| (json::span(first, raw.get()), counts)));
    edits.sort_by_key(|(range, _)| range.start);
    let (mut out, mut kept) =
        (BytesMut::with_capacity(first.len() + others.iter().map(Bytes::len).sum::<usize>()), 0);
    for (range, text) in edits {
        out.put_slice(first.get(kept..range.start).unwrap_or_default());
        out.put_slice(&text);
        kept = range.end;
    }
    out.put_slice(first.get(kept..).unwrap_or_default());
    Ok(out.freeze())
}

fn index(choice: &Value) -> u32 {
    choice.get("index").and_then(Value::as_u64).and_then(|index| u32::try_from(index).ok()).unwrap_or(0)
}

fn renumber(choice: &mut Value, before: u32) {
    let index = index(choice).saturating_add(before);
    if let Some(fields) = choice.as_object_mut() {
        fields.insert("index".to_owned(), index.into());
    }
}

/// Adds what was counted of one more answer, to the same prompt as [`crate::chat::Usage::and_choice`] does, or to another one.
fn add_usage(usage: &mut Value, more: &Value, another: bool) {
    let count = |of: &Value, name: &str| of.get(name).and_then(Value::as_u64).unwrap_or(0);
    let completion = count(usage, "completion_tokens").saturating_add(count(more, "completion_tokens"));
    let (before, own) = (count(usage, "prompt_tokens"), count(more, "prompt_tokens"));
    let prompt = if another { before.saturating_add(own) } else { before.max(own) };
    let Some(fields) = usage.as_object_mut() else { return };
    fields.insert("prompt_tokens".to_owned(), prompt.into());
    fields.insert("completion_tokens".to_owned(), completion.into());
    fields.insert("total_tokens".to_owned(), prompt.saturating_add(completion).into());
    if more.get("estimated") == Some(&Value::Bool(true)) {
        fields.insert("estimated".to_owned(), true.into());
    }
    let details = "completion_tokens_details";
    let Some(more) = more.get(details).and_then(Value::as_object) else { return };
    let own = fields.entry(details).or_insert(Value::Null);
    let Some(own) = own.as_object_mut() else {
        *own = Value::Object(more.clone());
        return;
    };
    for (name, value) in more {
        let Some(other) = value.as_u64() else { continue };
        let one = own.get(name).and_then(Value::as_u64).unwrap_or(0);
        own.insert(name.clone(), one.saturating_add(other).into());
    }
}

/// Appends an event.
pub(super) fn event(chunk: &Value, out: &mut BytesMut) {
    out.put_slice(b"data: ");
    json::write(out, chunk);
    out.put_slice(b"\n\n");
}

/// Gives each event of some that are whole, and its data where it has any.
pub(super) fn each_event(mut events: &[u8], mut then: impl FnMut(&[u8], Option<&[u8]>)) {
    while !events.is_empty() {
        let end = memchr::memmem::find(events, b"\n\n").map_or(events.len(), |end| end + 2);
        let (event, rest) = events.split_at(end);
        then(event, event.strip_prefix(b"data: ").map(<[u8]>::trim_ascii));
        events = rest;
    }
}

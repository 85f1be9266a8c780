//! Several answers to one request, each of which an engine was asked for by itself.
//!
//! Knows OpenAI's answers and chunks as the client would get each of them. Refuses to know who asks the engine. Invariants: the
//! choices are numbered in the order in which they were asked for; the prompt is counted once; a stream has one `[DONE]`, behind all.

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
    /// How many choices the replies before this one have had.
    given: u32,
    /// How many this one has had so far.
    here: u32,
    /// What each chunk of the first had, and those of the others get: id and time.
    same: Map<String, Value>,
    /// The chunk that tells the counts, with those of all replies so far.
    counts: Option<Value>,
}

impl Several {
    /// So many answers are wanted.
    #[must_use]
    pub fn new(wanted: u32) -> Self {
        Self { wanted, given: 0, here: 0, same: Map::new(), counts: None }
    }

    /// Takes whole events of a reply and appends those of the client's stream. The end and the counts are kept back.
    pub fn pass(&mut self, events: &[u8], out: &mut BytesMut) {
        each_event(events, |event, data| match data.map(serde_json::from_slice::<Value>) {
            Some(Ok(chunk)) => self.chunk(event, chunk, out),
            Some(Err(_)) if data == Some(b"[DONE]") => {}
            Some(Err(_)) | None => out.put_slice(event),
        });
    }

    /// The reply has ended well: which choice is to be asked for next. Where there is none, appends the end of the stream.
    pub fn next_choice(&mut self, out: &mut BytesMut) -> Option<u32> {
        self.given += self.here;
        // One without a choice would be asked for again for ever; no good reply is.
        if self.given < self.wanted && self.here > 0 {
            self.here = 0;
            return Some(self.given);
        }
        if let Some(counts) = &self.counts {
            event(counts, out);
        }
        out.put_slice(DONE);
        None
    }

    fn chunk(&mut self, bytes: &[u8], mut chunk: Value, out: &mut BytesMut) {
        let choices = chunk.get_mut("choices").and_then(Value::as_array_mut);
        if choices.as_ref().is_some_and(|choices| choices.is_empty())
            && chunk.get("usage").is_some_and(Value::is_object)
        {
            self.count(chunk);
            return;
        }
        for choice in chunk.get_mut("choices").and_then(Value::as_array_mut).into_iter().flatten() {
            self.here = self.here.max(index(choice).saturating_add(1));
            renumber(choice, self.given);
        }
        let Some(fields) = chunk.as_object_mut() else { return };
        if self.given == 0 {
            if self.same.is_empty() {
                let same = ["id", "created"]
                    .into_iter()
                    .filter_map(|name| Some((name.to_owned(), fields.get(name)?.clone())));
                self.same = same.collect();
            }
            out.put_slice(bytes);
            return;
        }
        fields.extend(self.same.clone());
        event(&chunk, out);
    }

    fn count(&mut self, chunk: Value) {
        match (&mut self.counts, chunk.get("usage")) {
            (None, _) => self.counts = Some(chunk),
            (Some(counts), Some(more)) => {
                if let Some(usage) = counts.get_mut("usage") {
                    add_usage(usage, more);
                }
            }
            (Some(_), None) => {}
        }
    }
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

/// One whole answer out of several: the first, byte for byte but for its choices and its counts.
///
/// # Errors
/// One of them is no answer.
pub fn joined(first: &Bytes, others: &[Bytes]) -> Result<Bytes, BackendFault> {
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
        for raw in &parts.choices {
            let mut choice: Value = serde_json::from_str(raw.get()).unwrap_or_default();
            let before = count.saturating_sub(index(&choice));
            renumber(&mut choice, before);
            choices.push(choice);
            count = count.saturating_add(1);
        }
        if let (Some(usage), Some(more)) = (&mut usage, parts.usage) {
            add_usage(usage, &serde_json::from_str(more.get()).unwrap_or_default());
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

/// Adds what was counted of one more answer to the same prompt.
fn add_usage(usage: &mut Value, more: &Value) {
    let count = |of: &Value, name: &str| of.get(name).and_then(Value::as_u64).unwrap_or(0);
    let completion = count(usage, "completion_tokens").saturating_add(count(more, "completion_tokens"));
    let prompt = count(usage, "prompt_tokens");
    let Some(fields) = usage.as_object_mut() else { return };
    fields.insert("completion_tokens".to_owned(), completion.into());
    fields.insert("total_tokens".to_owned(), prompt.saturating_add(completion).into());
    let details = "completion_tokens_details";
    let (Some(Value::Object(own)), Some(Value::Object(more))) = (fields.get_mut(details), more.get(details))
    else {
        return;
    };
    for (name, value) in own {
        if let (Some(one), Some(other)) = (value.as_u64(), more.get(name).and_then(Value::as_u64)) {
            *value = one.saturating_add(other).into();
        }
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

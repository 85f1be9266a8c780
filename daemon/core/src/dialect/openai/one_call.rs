//! Answers with one call of a function at the most: `parallel_tool_calls: false`, which engines do not all keep to.
//!
//! Knows OpenAI's answers and chunks as the client would get them. Refuses to know engines. Invariant: what holds no second call of
//! a choice is passed byte for byte; of what does, the first is left, and the finish reason stays what it was.

use bytes::{BufMut, Bytes, BytesMut};
use memchr::memmem;
use serde_json::Value;

use super::several::{each_event, event};
use crate::dialect::json;

#[cfg(test)]
mod tests;

const CALLS: &str = "tool_calls";

/// Takes whole events and appends those that the client gets.
pub fn pass(events: &[u8], out: &mut BytesMut) {
    let second = |place: usize, call: &Value| {
        call.get("index").and_then(Value::as_u64).map_or(place > 0, |index| index > 0)
    };
    each_event(events, |bytes, data| {
        match data.filter(|data| may_call(data)).and_then(|data| cut(data, "delta", second)) {
            None => out.put_slice(bytes),
            Some(chunk) if says(&chunk) => event(&chunk, out),
            Some(_nothing) => {}
        }
    });
}

/// A whole answer.
#[must_use]
pub fn whole(answer: Bytes) -> Bytes {
    if !may_call(&answer) {
        return answer;
    }
    let Some(left) = cut(&answer, "message", |place, _call| place > 0) else { return answer };
    let mut out = BytesMut::with_capacity(answer.len());
    json::write(&mut out, &left);
    out.freeze()
}

/// Whether it is worth reading.
fn may_call(text: &[u8]) -> bool {
    memmem::find(text, CALLS.as_bytes()).is_some()
}

/// The same without the calls that are to go; none where none of them is.
fn cut(text: &[u8], part: &str, goes: impl Fn(usize, &Value) -> bool) -> Option<Value> {
    let mut whole: Value = serde_json::from_slice(text).ok()?;
    let mut changed = false;
    for choice in whole.get_mut("choices").and_then(Value::as_array_mut)? {
        let Some(fields) = choice.get_mut(part).and_then(Value::as_object_mut) else { continue };
        let Some(calls) = fields.get_mut(CALLS).and_then(Value::as_array_mut) else { continue };
        let (before, mut place) = (calls.len(), 0);
        calls.retain(|call| {
            place += 1;
            !goes(place - 1, call)
        });
        changed |= calls.len() < before;
        if calls.is_empty() && before > 0 {
            fields.remove(CALLS);
        }
    }
    changed.then_some(whole)
}

/// Whether a chunk has anything left for its client: a word, a call, an end or a count.
fn says(chunk: &Value) -> bool {
    let something = |value: &Value| !value.is_null() && *value != Value::String(String::new());
    let speaks = |choice: &Value| {
        let delta = choice.get("delta").and_then(Value::as_object);
        delta.is_some_and(|delta| delta.values().any(something))
            || choice.get("finish_reason").is_some_and(something)
    };
    chunk.get("usage").is_some_and(something)
        || chunk.get("choices").and_then(Value::as_array).is_some_and(|choices| choices.iter().any(speaks))
}

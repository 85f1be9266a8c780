//! A stream of OpenAI's Responses, as a strict reader takes it.
//!
//! Knows the events' names, numbers and places. Refuses to know what was asked. Invariant: it never guesses; what is not well
//! formed is an error with the offending event.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// A stream, read.
#[derive(Debug, Clone, Default)]
pub struct Response {
    /// Every event's data, in order.
    pub events: Vec<Value>,
    /// How many comments there were.
    pub comments: usize,
}

impl Response {
    /// Reads a stream.
    ///
    /// # Errors
    /// When a line is none of an event, an event's name is not its type, a number is missing, an item grows that was not begun,
    /// or something follows the last event that is no error.
    pub fn read(body: &[u8]) -> Result<Self> {
        let text = std::str::from_utf8(body)?;
        let mut read = Self::default();
        ensure!(
            text.is_empty() || text.ends_with("\n\n"),
            "the stream does not end with a blank line: {text:?}"
        );
        for block in text.split("\n\n").filter(|block| !block.is_empty()) {
            if block.starts_with(':') {
                read.comments += 1;
                continue;
            }
            let (name, data) = block.split_once('\n').with_context(|| format!("no event: {block:?}"))?;
            let data = data.strip_prefix("data: ").with_context(|| format!("no data: {block:?}"))?;
            let data: Value = serde_json::from_str(data).with_context(|| block.to_owned())?;
            ensure!(name.strip_prefix("event: ") == data["type"].as_str(), "{block:?}");
            read.take(data)?;
        }
        Ok(read)
    }

    fn take(&mut self, event: Value) -> Result<()> {
        let number = self.events.len();
        ensure!(
            event["sequence_number"] == number,
            "number {} instead of {number}",
            event["sequence_number"]
        );
        let kind = event["type"].as_str().unwrap_or_default();
        let first = ["response.created", "response.in_progress"].get(number);
        ensure!(first.is_none_or(|first| *first == kind), "event {number} is {kind}");
        let ends = ["response.completed", "response.incomplete", "response.failed"];
        let ended = self.events.iter().any(|before| ends.iter().any(|end| before["type"] == *end));
        ensure!(!ended || kind == "error", "something follows the end: {event}");
        if let Some(id) = event.get("item_id") {
            let begun = self.events.iter().any(|before| before["item"]["id"] == *id);
            ensure!(begun, "an item that was not begun: {event}");
        }
        self.events.push(event);
        Ok(())
    }

    /// The text of all deltas.
    #[must_use]
    pub fn text(&self) -> String {
        let deltas = self.events.iter().filter(|event| event["type"] == "response.output_text.delta");
        deltas.filter_map(|event| event["delta"].as_str()).collect()
    }

    /// The types of the events.
    #[must_use]
    pub fn kinds(&self) -> Vec<&str> {
        self.events.iter().filter_map(|event| event["type"].as_str()).collect()
    }

    /// The response of the last event, which must be of this type, and hold what was told before.
    ///
    /// # Errors
    /// When it is of another type, or holds something else.
    pub fn last(&self, kind: &str) -> Result<&Value> {
        let Some(last) = self.events.last().filter(|last| last["type"] == kind) else {
            bail!("the last event is no {kind}: {:?}", self.events.last());
        };
        let done = self.events.iter().filter(|event| event["type"] == "response.output_item.done");
        let items: Vec<&Value> = done.map(|event| &event["item"]).collect();
        let output: Vec<&Value> = last["response"]["output"].as_array().into_iter().flatten().collect();
        ensure!(items == output, "the output is not what was told: {last}");
        Ok(&last["response"])
    }
}

//! What an answer says: its texts, its thoughts, and the calls in it, read off its bytes by the simplest of readers.
//!
//! Knows the words of each wire, the engines' and the clients'. Refuses to know our readers and writers, which are held against it.
//! Invariants: what is no JSON says nothing; arguments are the same where they are the same JSON.

use serde_json::Value;

use crate::chat::ChatEvent;
use crate::dialect::json;

/// One answer.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Said {
    text: String,
    thought: String,
    /// Names and arguments.
    calls: Vec<(String, String)>,
}

impl Said {
    /// What was read of it.
    pub(super) fn of(events: &[ChatEvent]) -> Self {
        let mut said = Self::default();
        for event in events {
            match event {
                ChatEvent::Text { text, .. } => said.text += text,
                ChatEvent::Reasoning(text) => said.thought += text,
                ChatEvent::ToolCall { name, arguments, .. } => {
                    said.calls.push((name.clone(), arguments.clone()));
                }
                ChatEvent::Usage(_) | ChatEvent::Finish(_) => {}
            }
        }
        said.plain()
    }

    /// The same where `<tool_call>` with JSON of one of these functions is a call, around which blanks are no text.
    pub(super) fn calling(mut self, functions: &[String]) -> Self {
        while let Some((before, rest)) = self.text.split_once("<tool_call>")
            && let Some((call, after)) = rest.split_once("</tool_call>")
            && let Ok(call) = serde_json::from_str::<Value>(call)
            && let Some(name) = call["name"].as_str().filter(|name| functions.iter().any(|each| each == name))
        {
            self.calls.push((name.to_owned(), call["arguments"].to_string()));
            self.text = format!("{}{}", before.trim_end(), after.trim_start());
        }
        self.plain()
    }

    /// Whether this is the beginning of that, which broke off.
    pub(super) fn begins(&self, whole: &Self) -> bool {
        whole.text.starts_with(&self.text)
            && whole.thought.starts_with(&self.thought)
            && whole.calls.starts_with(&self.calls)
    }

    pub(super) fn is_silent(&self) -> bool {
        *self == Self::default()
    }

    /// With arguments written in one way; none are none.
    fn plain(mut self) -> Self {
        for (_, arguments) in &mut self.calls {
            let read = serde_json::from_str(if arguments.is_empty() { "{}" } else { arguments });
            *arguments = read.map_or_else(|_| arguments.clone(), |read: Value| read.to_string());
        }
        self
    }

    fn message(&mut self, message: &Value) {
        self.text += text(&message["content"]);
        let thought = ["reasoning_content", "reasoning", "thinking"].map(|name| text(&message[name]));
        self.thought += thought.into_iter().find(|thought| !thought.is_empty()).unwrap_or_default();
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            let (name, arguments) = (&call["function"]["name"], &call["function"]["arguments"]);
            let written =
                if arguments.is_object() { arguments.to_string() } else { text(arguments).to_owned() };
            if let Some(name) = name.as_str() {
                self.calls.push((name.to_owned(), written));
            } else {
                // What goes on names no function, but the place of its call.
                let place = usize::try_from(call["index"].as_u64().unwrap_or_default()).unwrap();
                self.calls[place].1 += &written;
            }
        }
    }

    /// An item of a response, or the beginning of one.
    fn item(&mut self, item: &Value) {
        let parts = |name: &str| item[name].as_array().into_iter().flatten().map(|part| text(&part["text"]));
        self.thought.extend(parts("summary"));
        self.text.extend(parts("content"));
        if item["type"] == "function_call" {
            self.calls.push((text(&item["name"]).to_owned(), text(&item["arguments"]).to_owned()));
        }
    }

    fn event(&mut self, event: &Value) {
        let delta = text(&event["delta"]);
        match text(&event["type"]) {
            "response.output_item.added" => self.item(&event["item"]),
            "response.output_text.delta" => self.text += delta,
            "response.reasoning_summary_text.delta" => self.thought += delta,
            "response.function_call_arguments.delta" => {
                self.calls.last_mut().unwrap().1 += delta;
            }
            _ => {}
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// What each choice of a body says: one object, a line for each, or server-sent events with one each.
pub(super) fn read(body: &[u8]) -> Vec<Said> {
    let mut choices = Vec::new();
    // Halves of a character are none to serde_json.
    let body = json::paired(body);
    if let Ok(whole) = serde_json::from_slice(&body) {
        hear(&mut choices, &whole);
    } else {
        for line in body.split(|byte| *byte == b'\n') {
            let line = line.strip_prefix(b"data: ").unwrap_or(line);
            if let Ok(value) = serde_json::from_slice(line) {
                hear(&mut choices, &value);
            }
        }
    }
    choices.into_iter().map(Said::plain).collect()
}

/// What a stream's last event repeats of a response.
pub(super) fn repeated(body: &[u8]) -> Said {
    let mut lines = body.split(|byte| *byte == b'\n').filter_map(|line| line.strip_prefix(b"data: "));
    let last: Value = serde_json::from_slice(lines.next_back().unwrap()).unwrap();
    let mut choices = Vec::new();
    hear(&mut choices, &last["response"]);
    choices.swap_remove(0).plain()
}

fn hear(choices: &mut Vec<Said>, value: &Value) {
    for choice in value["choices"].as_array().into_iter().flatten() {
        let said = at(choices, choice["index"].as_u64().unwrap_or_default());
        said.text += text(&choice["text"]);
        said.message(&choice["message"]);
        said.message(&choice["delta"]);
    }
    // Ollama's own: what it thinks of a text that is gone on with is a part of it.
    if value["message"].is_object() || value["response"].is_string() {
        let said = at(choices, 0);
        said.message(&value["message"]);
        if value["response"].is_string() {
            said.text += text(&value["thinking"]);
            said.text += text(&value["response"]);
        }
    }
    if let Some(output) = value["output"].as_array() {
        output.iter().for_each(|item| at(choices, 0).item(item));
        at(choices, 0);
    }
    if text(&value["type"]).starts_with("response.") {
        at(choices, 0).event(value);
    }
}

fn at(choices: &mut Vec<Said>, index: u64) -> &mut Said {
    let index = usize::try_from(index).unwrap();
    if choices.len() <= index {
        choices.resize_with(index + 1, Said::default);
    }
    &mut choices[index]
}

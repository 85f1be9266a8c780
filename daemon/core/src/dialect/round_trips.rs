//! What is written in a dialect and read again is the same, and nothing of it is lost on the way.
//!
//! Each file takes one dialect: requests and answers of the internal form, drawn at random or decoded from what real engines
//! have sent, are written and read again, by our own reader where there is one, else by a small one of the test's. Bodies
//! arrive cut anywhere.

use crate::chat::ChatEvent;

mod completions;
mod ollama;
mod openai;
mod recorded;
mod responses;

const LIMIT: usize = 1 << 24;

/// The same answer with its calls behind what was said: a message of OpenAI's has no order between them.
fn calls_last(events: &[ChatEvent]) -> Vec<ChatEvent> {
    let rank = |event: &ChatEvent| match event {
        ChatEvent::Text { .. } | ChatEvent::Reasoning(_) => 0,
        ChatEvent::ToolCall { .. } => 1,
        ChatEvent::Usage(_) => 2,
        ChatEvent::Finish(_) => 3,
    };
    let mut events = events.to_vec();
    events.sort_by_key(rank);
    events
}

/// All that was said, all that was thought, and the inside of the list of probabilities.
fn joined(events: &[ChatEvent]) -> (String, String, Vec<serde_json::Value>) {
    let (mut text, mut thought, mut tokens) = (String::new(), String::new(), Vec::new());
    for event in events {
        match event {
            ChatEvent::Text { text: piece, logprobs } => {
                text.push_str(piece);
                let list = logprobs.as_deref().unwrap_or("[]");
                tokens.extend(serde_json::from_str::<Vec<serde_json::Value>>(list).unwrap());
            }
            ChatEvent::Reasoning(piece) => thought.push_str(piece),
            ChatEvent::ToolCall { .. } | ChatEvent::Usage(_) | ChatEvent::Finish(_) => {}
        }
    }
    (text, thought, tokens)
}

/// The calls alone: id, name and arguments.
fn calls(events: &[ChatEvent]) -> Vec<(String, String, String)> {
    let call = |event: &ChatEvent| match event {
        ChatEvent::ToolCall { id, name, arguments, .. } => {
            Some((id.clone(), name.clone(), arguments.clone()))
        }
        _ => None,
    };
    events.iter().filter_map(call).collect()
}

//! Renders chat templates for the comparison with Python (`tests/templates.py`).
//!
//! Reads one JSON object a line, `{"template": SOURCE, "context": {…}}`, and answers one line each,
//! `{"text": …}` or `{"error": …}`. Knows only the library's template room.

use ghostllm_engine::limits::Limits;
use ghostllm_engine::template::{ChatTemplate, Conversation, Paper};
use serde_json::{Map, Value, json};
use std::io::{BufRead, Write};

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let answer = match render(&line?) {
            Ok(text) => json!({ "text": text }),
            Err(error) => json!({ "error": error.to_string() }),
        };
        writeln!(out, "{answer}")?;
    }
    Ok(())
}

fn render(line: &str) -> Result<String, Box<dyn std::error::Error>> {
    let case: Value = serde_json::from_str(line)?;
    let mut context: Map<String, Value> =
        case.get("context").and_then(Value::as_object).cloned().unwrap_or_default();
    let messages = context.remove("messages").and_then(|v| v.as_array().cloned()).unwrap_or_default();
    let tools = context.remove("tools").and_then(|v| v.as_array().cloned());
    let text = |context: &mut Map<String, Value>, key: &str| {
        context.remove(key).and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
    };
    let (bos, eos) = (text(&mut context, "bos_token"), text(&mut context, "eos_token"));
    let add_generation_prompt = context.remove("add_generation_prompt").is_some_and(|v| v == true);
    let now = time::OffsetDateTime::from_unix_timestamp(
        context.remove("now").and_then(|v| v.as_i64()).unwrap_or(0),
    )?;
    let source = case.get("template").and_then(Value::as_str).unwrap_or_default();
    let conversation = Conversation {
        messages: &messages,
        tools: tools.as_deref(),
        documents: None,
        add_generation_prompt,
        bos_token: &bos,
        eos_token: &eos,
        extra: &context,
    };
    Ok(ChatTemplate::new(source, Limits::default().template_work, now)?
        .render(&conversation, Paper::ENDLESS)?)
}

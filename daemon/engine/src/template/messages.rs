//! Brings OpenAI's messages into the forms that chat templates were written for.
//!
//! Knows what differs between the wire and the templates: text in parts, arguments as a string, absent content, the
//! developer's role, the names of the reasoning field. Knows nothing of the wire: what comes here was checked there.
//! Invariant: words are never changed, only their wrapping.

use super::{ChatTemplate, Conversation, Paper, TemplateError};
use serde_json::{Map, Value, json};

/// One way to wrap messages. Templates disagree on two points, so each way is tried until one renders.
#[derive(Debug, Clone, Copy)]
struct Wrapping {
    /// Arguments of a past tool call as an object (what transformers documents) or as the string OpenAI sends.
    object_arguments: bool,
    /// Absent content as null (some templates ask `is none`) or as the empty string (others search in it).
    null_content: bool,
}

/// The order of trial: what transformers documents comes first.
const WRAPPINGS: [Wrapping; 4] = [
    Wrapping { object_arguments: true, null_content: true },
    Wrapping { object_arguments: true, null_content: false },
    Wrapping { object_arguments: false, null_content: true },
    Wrapping { object_arguments: false, null_content: false },
];

/// Renders flattened messages, trying each wrapping that templates are known to need.
///
/// # Errors
/// The first wrapping's error, since the later ones are fallbacks whose complaints would mislead.
pub fn render(
    template: &ChatTemplate,
    conversation: &Conversation<'_>,
    paper: Paper<'_>,
) -> Result<String, TemplateError> {
    let mut first = None;
    for wrapping in WRAPPINGS {
        let messages: Vec<Value> =
            conversation.messages.iter().map(|message| wrap(message, wrapping, template)).collect();
        let attempt = Conversation { messages: &messages, ..*conversation };
        match template.render(&attempt, paper) {
            Err(error @ TemplateError::Failed(_)) => {
                first.get_or_insert(error);
            }
            // No other wrapping makes a text wanted, much shorter or much cheaper.
            other => return other,
        }
    }
    Err(first.unwrap_or_else(|| TemplateError::Failed("the template could not be rendered".into())))
}

fn wrap(message: &Value, wrapping: Wrapping, template: &ChatTemplate) -> Value {
    let Value::Object(fields) = message else { return message.clone() };
    let mut fields = fields.clone();
    if fields.get("role").and_then(Value::as_str) == Some("developer") && !template.mentions("developer") {
        fields.insert("role".into(), json!("system"));
    }
    if !wrapping.null_content && fields.get("content").is_some_and(Value::is_null) {
        fields.insert("content".into(), json!(""));
    }
    alias_reasoning(&mut fields);
    if wrapping.object_arguments {
        fields
            .get_mut("tool_calls")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
            .for_each(parse_arguments);
    }
    Value::Object(fields)
}

/// As transformers does: whichever name the caller used, templates find the reasoning under theirs.
fn alias_reasoning(fields: &mut Map<String, Value>) {
    let found = ["reasoning_content", "thinking", "reasoning"]
        .iter()
        .find_map(|name| fields.get(*name).filter(|value| !value.is_null()).cloned());
    if let Some(reasoning) = found {
        for name in ["thinking", "reasoning"] {
            fields.entry(name).or_insert_with(|| reasoning.clone());
        }
        fields.insert("reasoning_content".into(), reasoning);
    }
}

fn parse_arguments(call: &mut Value) {
    let Some(arguments) = call.pointer_mut("/function/arguments") else { return };
    if let Some(parsed @ Value::Object(_)) =
        arguments.as_str().and_then(|text| serde_json::from_str(text).ok())
    {
        *arguments = parsed;
    }
}

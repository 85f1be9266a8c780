//! Brings OpenAI's messages into the forms that chat templates were written for.
//!
//! Knows what differs between the wire and the templates: text in parts, arguments as a string, absent content, the
//! developer's role, the names of the reasoning field. Refuses what no text model can read (images, audio).
//! Invariant: words are never changed, only their wrapping.

use super::{ChatTemplate, Conversation, TemplateError};
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

/// A message that cannot be given to a text model.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct MessageError {
    /// Where, as a path into the request: `messages[2].content`.
    pub param: String,
    /// What is wrong and what to do.
    pub problem: String,
}

/// Checks and flattens the messages of a request: roles are known, content is text or nothing, parts are joined.
///
/// # Errors
/// Names the first message that cannot be used.
pub fn flatten(messages: &[Value]) -> Result<Vec<Value>, MessageError> {
    if messages.is_empty() {
        return Err(MessageError {
            param: "messages".into(),
            problem: "messages is empty; send at least one message".into(),
        });
    }
    messages.iter().enumerate().map(|(index, message)| flatten_one(index, message)).collect()
}

fn flatten_one(index: usize, message: &Value) -> Result<Value, MessageError> {
    let refuse =
        |field: &str, problem: String| MessageError { param: format!("messages[{index}]{field}"), problem };
    let Value::Object(fields) = message else {
        return Err(refuse("", format!("messages[{index}] is not an object with a role and content")));
    };
    let role = fields.get("role").and_then(Value::as_str).unwrap_or_default();
    if !["system", "developer", "user", "assistant", "tool", "function"].contains(&role) {
        return Err(refuse(
            ".role",
            format!(
                "messages[{index}].role is {role:?}; it must be system, developer, user, assistant or tool"
            ),
        ));
    }
    let mut fields = fields.clone();
    let content = match fields.get("content") {
        None | Some(Value::Null) => Value::Null,
        Some(Value::String(text)) => Value::String(text.clone()),
        Some(Value::Array(parts)) => Value::String(join_parts(parts).map_err(|p| refuse(".content", p))?),
        Some(_) => {
            return Err(refuse(
                ".content",
                format!("messages[{index}].content must be a string or a list of parts"),
            ));
        }
    };
    if content.is_null() && role != "assistant" {
        return Err(refuse(".content", format!("messages[{index}] (role {role}) has no content")));
    }
    fields.insert("content".into(), content);
    Ok(Value::Object(fields))
}

fn join_parts(parts: &[Value]) -> Result<String, String> {
    let mut text = String::new();
    for part in parts {
        let kind = part.get("type").and_then(Value::as_str).unwrap_or("text");
        match (kind, part.get("text").or_else(|| part.get("refusal")).and_then(Value::as_str)) {
            ("text" | "input_text" | "output_text" | "refusal", Some(words)) => text.push_str(words),
            _ => {
                return Err(format!(
                    "this engine reads text only; a content part of type {kind:?} is not supported"
                ));
            }
        }
    }
    Ok(text)
}

/// Renders flattened messages, trying each wrapping that templates are known to need.
///
/// # Errors
/// The first wrapping's error, since the later ones are fallbacks whose complaints would mislead.
pub fn render(template: &ChatTemplate, conversation: &Conversation<'_>) -> Result<String, TemplateError> {
    let mut first = None;
    for wrapping in WRAPPINGS {
        let messages: Vec<Value> =
            conversation.messages.iter().map(|message| wrap(message, wrapping, template)).collect();
        let attempt = Conversation { messages: &messages, ..*conversation };
        match template.render(&attempt) {
            Ok(text) => return Ok(text),
            Err(error) => {
                first.get_or_insert(error);
            }
        }
    }
    Err(first.unwrap_or_else(|| TemplateError("the template could not be rendered".into())))
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
        fields.entry("thinking").or_insert_with(|| reasoning.clone());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_joined_and_images_are_refused() {
        let parts = json!([{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]);
        assert_eq!(flatten(parts.as_array().unwrap()).unwrap()[0]["content"], "ab");
        let image =
            json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}]);
        let error = flatten(image.as_array().unwrap()).unwrap_err();
        assert_eq!(error.param, "messages[0].content");
        assert!(error.problem.contains("image_url"));
    }

    #[test]
    fn roles_and_content_are_checked() {
        for (message, param) in [
            (json!({"role": "wizard", "content": "x"}), "messages[0].role"),
            (json!({"role": "user"}), "messages[0].content"),
            (json!({"role": "user", "content": 3}), "messages[0].content"),
            (json!("hello"), "messages[0]"),
        ] {
            assert_eq!(flatten(&[message]).unwrap_err().param, param);
        }
        assert_eq!(flatten(&[]).unwrap_err().param, "messages");
    }
}

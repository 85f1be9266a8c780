//! The messages of a request: each field is of the type that templates expect, and content is text or nothing.
//!
//! Knows OpenAI's messages. Refuses what no text model can read (images, audio), and the older forms of calls, which no template
//! shows. Invariant: words are never changed; fields that it does not know go on to the template as they are.

use crate::error::Failure;
use serde_json::{Map, Value};

const ROLES: [&str; 5] = ["system", "developer", "user", "assistant", "tool"];
/// Fields that are text or null wherever they appear.
const TEXTS: [&str; 6] = ["name", "tool_call_id", "refusal", "reasoning_content", "reasoning", "thinking"];
/// Parts that people do send, and that are named in the refusal.
const OTHER_PARTS: [&str; 11] = [
    "image_url",
    "input_image",
    "image",
    "input_audio",
    "audio_url",
    "audio",
    "video_url",
    "video",
    "input_video",
    "file",
    "input_file",
];

/// Checks the messages and joins the parts of their content.
///
/// # Errors
/// 400 with the first field at fault.
pub(crate) fn flatten(messages: Vec<Value>) -> Result<Vec<Value>, Failure> {
    if messages.is_empty() {
        return Err(Failure::invalid("messages", "The list of messages is empty; send at least one message"));
    }
    let indexed = messages.into_iter().enumerate();
    indexed.map(|(index, message)| flatten_one(&format!("messages[{index}]"), message)).collect()
}

fn flatten_one(at: &str, message: Value) -> Result<Value, Failure> {
    let Value::Object(mut fields) = message else {
        return Err(Failure::wrong_type(at, "an object with a role and content"));
    };
    let assistant = role(at, &fields)? == "assistant";
    refuse_older_call(at, &fields)?;
    let place = format!("{at}.content");
    let said = match fields.get_mut("content").map(Value::take) {
        None | Some(Value::Null) if !assistant => {
            return Err(Failure::missing(&place, "a string or a list of parts"));
        }
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text),
        Some(Value::Array(parts)) => Some(join(&place, &parts)?),
        Some(_) => return Err(Failure::wrong_type(&place, "a string or a list of parts")),
    };
    let refused = text(at, "refusal", &fields)?.filter(|words| assistant && !words.is_empty());
    let content = with_refusal(said, refused).map_or(Value::Null, Value::String);
    fields.insert("content".into(), content);
    for name in TEXTS {
        text(at, name, &fields)?;
    }
    if let Some(calls) = fields.get("tool_calls") {
        check_calls(&format!("{at}.tool_calls"), calls)?;
    }
    Ok(Value::Object(fields))
}

fn role<'a>(at: &str, fields: &'a Map<String, Value>) -> Result<&'a str, Failure> {
    let (place, wanted) = (format!("{at}.role"), "system, developer, user, assistant or tool");
    match fields.get("role") {
        None | Some(Value::Null) => Err(Failure::missing(&place, wanted)),
        Some(Value::String(role)) if ROLES.contains(&role.as_str()) => Ok(role),
        Some(Value::String(role)) if role == "function" => {
            let message = format!(
                "{place} is 'function', which this engine does not read; send what the function gave back with the role 'tool' \
                 and its call's tool_call_id"
            );
            Err(Failure::invalid(place, message))
        }
        Some(Value::String(_)) => Err(Failure::wrong_value(&place, wanted)),
        Some(_) => Err(Failure::wrong_type(&place, wanted)),
    }
}

/// What stood in an assistant's message before there were `tool_calls`.
fn refuse_older_call(at: &str, fields: &Map<String, Value>) -> Result<(), Failure> {
    if fields.get("function_call").is_none_or(Value::is_null) {
        return Ok(());
    }
    let place = format!("{at}.function_call");
    let message = format!("{place} is not read by this engine; send the call in tool_calls");
    Err(Failure::unsupported(&place, message))
}

/// What an assistant said, and behind it, on a line of its own, what it refused: templates show no field but the content.
fn with_refusal(said: Option<String>, refused: Option<&str>) -> Option<String> {
    match (said, refused) {
        (said, None) => said,
        (Some(said), Some(refused)) if !said.is_empty() => Some(format!("{said}\n{refused}")),
        (_, Some(refused)) => Some(refused.to_owned()),
    }
}

/// Each part is a line of its own, as llama.cpp's server has it: glued together, two words would be one.
fn join(at: &str, parts: &[Value]) -> Result<String, Failure> {
    let lines = parts.iter().enumerate().map(|(index, part)| words(&format!("{at}[{index}]"), part));
    Ok(lines.collect::<Result<Vec<_>, _>>()?.join("\n"))
}

/// The text of one part.
fn words<'a>(at: &str, part: &'a Value) -> Result<&'a str, Failure> {
    let Value::Object(fields) = part else {
        return Err(Failure::wrong_type(at, "an object with a type and text"));
    };
    let kind = fields.get("type").map_or(Some("text"), Value::as_str);
    match kind {
        Some("text" | "input_text" | "output_text" | "refusal") => {}
        None => return Err(Failure::wrong_type(&format!("{at}.type"), "a string")),
        Some(other) => {
            let known = OTHER_PARTS.contains(&other).then(|| format!(" {other}"));
            let kind = known.unwrap_or_else(|| " other than text".to_owned());
            let message = format!("{at} is of a type{kind}, but this engine reads text only");
            return Err(Failure::unsupported(&format!("{at}.type"), message));
        }
    }
    // Nobody would see it, and the answer would be another one.
    if let Some(medium) =
        OTHER_PARTS.iter().find(|name| fields.get(**name).is_some_and(|held| !held.is_null()))
    {
        let place = format!("{at}.{medium}");
        let message = format!("{place} stands in a part that is text, and this engine reads text only");
        return Err(Failure::unsupported(&place, message));
    }
    let name = if kind == Some("refusal") { "refusal" } else { "text" };
    text(at, name, fields)?.ok_or_else(|| Failure::missing(&format!("{at}.{name}"), "a string"))
}

/// A field that must be text, null or absent.
pub(super) fn text<'a>(
    at: &str,
    name: &str,
    fields: &'a Map<String, Value>,
) -> Result<Option<&'a str>, Failure> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Failure::wrong_type(&format!("{at}.{name}"), "a string")),
    }
}

fn check_calls(at: &str, calls: &Value) -> Result<(), Failure> {
    let calls = match calls {
        Value::Null => return Ok(()),
        Value::Array(calls) => calls,
        _ => return Err(Failure::wrong_type(at, "a list of tool calls")),
    };
    for (index, call) in calls.iter().enumerate() {
        let at = format!("{at}[{index}]");
        let function = function(&at, call)?;
        let place = format!("{at}.function");
        text(&place, "name", function)?;
        match function.get("arguments") {
            None | Some(Value::Null | Value::String(_) | Value::Object(_)) => {}
            Some(_) => {
                return Err(Failure::wrong_type(
                    &format!("{place}.arguments"),
                    "a string that holds a JSON object",
                ));
            }
        }
    }
    Ok(())
}

/// The function of a tool, or of a call of one.
pub(super) fn function<'a>(at: &str, holder: &'a Value) -> Result<&'a Map<String, Value>, Failure> {
    let Value::Object(fields) = holder else {
        return Err(Failure::wrong_type(at, "an object with a function"));
    };
    let (place, wanted) = (format!("{at}.function"), "an object with a name");
    match fields.get("function") {
        None | Some(Value::Null) => Err(Failure::missing(&place, wanted)),
        Some(Value::Object(function)) => Ok(function),
        Some(_) => Err(Failure::wrong_type(&place, wanted)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn flat(messages: &Value) -> Result<Vec<Value>, Failure> {
        flatten(messages.as_array().unwrap().clone())
    }

    #[test]
    fn parts_are_joined_and_images_are_refused() {
        let parts = json!([{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]);
        assert_eq!(flat(&parts).unwrap()[0]["content"], "a\nb");
        let refusal = json!([{"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}], "tool_calls": null}]);
        assert_eq!(flat(&refusal).unwrap()[0]["content"], "no");
        for other in [json!("no"), Value::Null] {
            let words =
                json!([{"role": "user", "content": [{"type": "text", "text": "yes", "refusal": other}]}]);
            assert_eq!(flat(&words).unwrap()[0]["content"], "yes");
        }
        let image =
            json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}]);
        let failure = flat(&image).unwrap_err();
        assert_eq!(
            (failure.code, failure.param.as_deref()),
            (Some("unsupported_parameter"), Some("messages[0].content[0].type"))
        );
        assert!(failure.message.contains("image_url"));
        let beside = |held: Value| json!([{"role": "user", "content": [{"type": "text", "text": "a", "image_url": held}]}]);
        let failure = flat(&beside(json!({"url": "data:"}))).unwrap_err();
        assert_eq!(
            (failure.code, failure.param.as_deref()),
            (Some("unsupported_parameter"), Some("messages[0].content[0].image_url"))
        );
        assert_eq!(flat(&beside(Value::Null)).unwrap()[0]["content"], "a");
    }

    #[test]
    fn roles_and_content_are_checked() {
        for (message, param) in [
            (json!({"role": "wizard", "content": "x"}), "messages[0].role"),
            (json!({"role": "function", "name": "f", "content": "x"}), "messages[0].role"),
            (
                json!({"role": "assistant", "content": "x", "function_call": {"name": "f"}}),
                "messages[0].function_call",
            ),
            (json!({"role": "assistant", "refusal": ["x"]}), "messages[0].refusal"),
            (json!({"role": "user"}), "messages[0].content"),
            (json!({"role": "user", "content": 3}), "messages[0].content"),
            (json!("hello"), "messages[0]"),
        ] {
            assert_eq!(flatten(vec![message]).unwrap_err().param.as_deref(), Some(param));
        }
        assert_eq!(flatten(Vec::new()).unwrap_err().param.as_deref(), Some("messages"));
    }

    #[test]
    fn a_refusal_is_text_behind_any_other() {
        for (content, refusal, expected) in [
            (Value::Null, json!("no"), json!("no")),
            (Value::Null, json!(""), Value::Null),
            (Value::Null, Value::Null, Value::Null),
            (json!(""), json!("no"), json!("no")),
            (json!("yes"), json!("no"), json!("yes\nno")),
            (json!([{"type": "text", "text": "yes"}]), json!("no"), json!("yes\nno")),
        ] {
            let message =
                json!([{"role": "assistant", "content": content, "refusal": refusal, "function_call": null}]);
            assert_eq!(flat(&message).unwrap()[0]["content"], expected);
        }
        let user = json!([{"role": "user", "content": "yes", "refusal": "no"}]);
        assert_eq!(flat(&user).unwrap()[0]["content"], "yes");
        // Only an assistant refuses; from anybody else, content is missing.
        let user = json!([{"role": "user", "refusal": "no"}]);
        assert_eq!(flat(&user).unwrap_err().param.as_deref(), Some("messages[0].content"));
    }

    #[test]
    fn what_assistants_said_passes() {
        let call = json!({"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}});
        for message in [
            json!({"role": "assistant", "content": null, "tool_calls": [call]}),
            json!({"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]}),
            json!({"role": "assistant", "content": "x", "reasoning_content": "y", "name": null, "other": [1]}),
        ] {
            let mut expected = message.clone();
            expected.as_object_mut().unwrap().entry("content").or_insert(Value::Null);
            assert_eq!(flatten(vec![message]).unwrap(), [expected]);
        }
    }
}

//! What a model thinks, by both of its names.
//!
//! Knows that vLLM and Ollama call it `reasoning` and llama.cpp's server, DeepSeek and SGLang `reasoning_content`, and that clients read the
//! one or the other. Refuses to know what is thought. Invariant: a thought that has both names is left as it is.

use memchr::memmem;
use serde_json::value::RawValue;

use super::Edit;
use super::chunk::{Choice, Said};
use crate::dialect::json::{self, Object};

/// In whatever has a thought by either name.
const EITHER: &[u8] = b"\"reasoning";

/// The edits by which each choice's thought has both names.
pub(super) fn named_twice(data: &[u8], choices: Option<&[Object<Choice<'_>>]>) -> Vec<Edit> {
    if memmem::find(data, EITHER).is_none() {
        return Vec::new();
    }
    let said = choices.unwrap_or_default().iter().filter_map(|Object(choice)| choice.said());
    said.filter_map(|said| twice(data, said)).collect()
}

fn twice(data: &[u8], said: &Said<'_>) -> Option<Edit> {
    let Said { reasoning, reasoning_content, .. } = *said;
    let (thought, other, name) = match (reasoning.filter(is_text), reasoning_content.filter(is_text)) {
        (Some(thought), None) => (thought, reasoning_content, "reasoning_content"),
        (None, Some(thought)) => (thought, reasoning, "reasoning"),
        (Some(_), Some(_)) | (None, None) => return None,
    };
    match other {
        // Whatever it is, it would be there twice; but a null says that there is none.
        Some(other) if other.get() == "null" => {
            Some((json::span(data, other.get()), thought.get().to_owned()))
        }
        Some(_) => None,
        None => {
            let end = json::span(data, thought.get()).end;
            Some((end..end, format!(",\"{name}\":{}", thought.get())))
        }
    }
}

fn is_text(value: &&RawValue) -> bool {
    value.get().starts_with('"')
}

#[cfg(test)]
mod tests {
    use super::super::{StreamRepair, check_whole};
    use bytes::{Bytes, BytesMut};

    fn chunk(delta: &str) -> String {
        format!(r#"{{"model":"m","choices":[{{"index":0,"delta":{{{delta}}},"finish_reason":null}}]}}"#)
    }

    #[test]
    fn a_thought_has_both_names_and_each_once() {
        for (came, goes) in [
            (r#""reasoning":"a\u00e9""#, r#""reasoning":"a\u00e9","reasoning_content":"a\u00e9""#),
            (
                r#""reasoning_content":"a","content":null"#,
                r#""reasoning_content":"a","reasoning":"a","content":null"#,
            ),
            (r#""reasoning":null,"reasoning_content":"a""#, r#""reasoning":"a","reasoning_content":"a""#),
            (r#""reasoning":"a","reasoning_content":"b""#, r#""reasoning":"a","reasoning_content":"b""#),
            (r#""reasoning":null,"content":"a""#, r#""reasoning":null,"content":"a""#),
            (r#""reasoning":{"a":1},"content":"a""#, r#""reasoning":{"a":1},"content":"a""#),
            (r#""content":"\"reasoning\":""#, r#""content":"\"reasoning\":""#),
        ] {
            let (came, goes) = (chunk(came), chunk(goes));
            let mut out = BytesMut::new();
            StreamRepair::new(4096, None).feed(format!("data: {came}\n\n").as_bytes(), &mut out).unwrap();
            assert_eq!(String::from_utf8_lossy(&out), format!("data: {goes}\n\n"));
        }
    }

    #[test]
    fn a_whole_answer_s_thought_too() {
        let whole = |message: &str| {
            format!(
                r#"{{"model":"m","choices":[{{"index":0,"message":{{{message}}},"finish_reason":"stop"}}]}}"#
            )
        };
        let came = Bytes::from(whole(r#""content":"b","reasoning":"a""#));
        let goes = whole(r#""content":"b","reasoning":"a","reasoning_content":"a""#);
        assert_eq!(check_whole(&came, None).unwrap().body, goes);
    }
}

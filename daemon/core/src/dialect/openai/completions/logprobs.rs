//! Probabilities of tokens as a completion has them: lists beside each other, where a chat has one list.
//!
//! Knows both forms. Refuses to know where the one came from. Invariant: the lists are of one length, and numbers stay as they came.

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde::{Deserialize, Serialize as Derive};
use serde_json::value::RawValue;

use crate::dialect::json::Object;

/// A token in a chat's form.
#[derive(Deserialize)]
struct Token<'a> {
    token: String,
    #[serde(borrow)]
    logprob: Option<&'a RawValue>,
    #[serde(borrow)]
    top_logprobs: Option<Vec<Object<Alternative<'a>>>>,
}

#[derive(Deserialize)]
struct Alternative<'a> {
    token: String,
    #[serde(borrow)]
    logprob: Option<&'a RawValue>,
}

/// The lists.
#[derive(Derive, Default)]
pub(super) struct Lists<'a> {
    text_offset: Vec<usize>,
    token_logprobs: Vec<Option<&'a RawValue>>,
    tokens: Vec<String>,
    /// Null where no alternatives were asked for.
    top_logprobs: Option<Vec<Top<'a>>>,
}

/// One token's alternatives, each once: two tokens may be the same text, such as half a character.
struct Top<'a>(Vec<Alternative<'a>>);

impl Serialize for Top<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (place, Alternative { token, logprob }) in self.0.iter().enumerate() {
            if self.0.iter().take(place).all(|before| before.token != *token) {
                map.serialize_entry(token, logprob)?;
            }
        }
        map.end()
    }
}

/// A choice's probabilities of a chat, `{"content": [...]}`, as a completion has them; none where they are something else.
pub(in super::super) fn completion_logprobs(text: &str, offset: &mut usize) -> Option<String> {
    #[derive(Deserialize)]
    struct Content<'a> {
        #[serde(borrow)]
        content: &'a RawValue,
    }
    let Object(Content { content }) = serde_json::from_str(text).ok()?;
    serde_json::to_string(&lists(content.get(), offset)?).ok()
}

/// The lists of what stands in a JSON array of tokens; `offset` counts the characters before them, and with them from then on. None
/// where it is something else.
pub(super) fn lists<'a>(array: &'a str, offset: &mut usize) -> Option<Lists<'a>> {
    let tokens: Vec<Object<Token<'a>>> = serde_json::from_str(array).ok()?;
    let mut lists = Lists::default();
    if tokens.iter().any(|Object(token)| token.top_logprobs.as_ref().is_some_and(|top| !top.is_empty())) {
        lists.top_logprobs = Some(Vec::with_capacity(tokens.len()));
    }
    for Object(Token { token, logprob, top_logprobs }) in tokens {
        lists.text_offset.push(*offset);
        *offset += token.chars().count();
        lists.token_logprobs.push(logprob);
        lists.tokens.push(token);
        if let Some(all) = &mut lists.top_logprobs {
            let top = top_logprobs.unwrap_or_default();
            all.push(Top(top.into_iter().map(|Object(alternative)| alternative).collect()));
        }
    }
    Some(lists)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chat_s_list_becomes_lists() {
        let array = r#"[{"token":" tö","logprob":-0.00012684673129115254,"bytes":[1],"top_logprobs":[{"token":" tö","logprob":-1e-4},
            {"token":"i","logprob":-2.50},{"token":"i","logprob":-3}]},{"token":"x","logprob":-1.5,"top_logprobs":[]}]"#;
        let mut offset = 5;
        let lists = lists(array, &mut offset).unwrap();
        assert_eq!(offset, 9);
        assert_eq!(
            serde_json::to_string(&lists).unwrap(),
            r#"{"text_offset":[5,8],"token_logprobs":[-0.00012684673129115254,-1.5],"tokens":[" tö","x"],"top_logprobs":[{" tö":-1e-4,"i":-2.50},{}]}"#
        );
    }

    #[test]
    fn without_alternatives_there_is_no_list_of_them() {
        let lists = lists(r#"[{"token":"a","logprob":-1}]"#, &mut 0).unwrap();
        assert!(
            serde_json::to_string(&lists).unwrap().ends_with("\"tokens\":[\"a\"],\"top_logprobs\":null}")
        );
        for other in ["{}", "[1]", r#"[{"logprob":1}]"#] {
            assert!(super::lists(other, &mut 0).is_none(), "{other}");
        }
    }
}

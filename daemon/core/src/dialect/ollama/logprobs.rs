//! The probabilities of an answer's tokens.
//!
//! Knows that Ollama lists those of all that a model has said since the last line, thoughts and marks among them, and leaves out what is
//! empty (`omitempty`, in its `api/types.go`). Refuses to know how they are shown. Invariant: what is given has every member that
//! OpenAI's description of a chat's answer requires, and belongs to the answer's text.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::dialect::json::Object;

/// More than a mark, or a character in pieces, is made of.
const WAITING: usize = 64;

/// A token of the answer.
#[derive(Debug, Deserialize, Serialize)]
struct Token {
    token: String,
    /// As it is spelled.
    logprob: Box<RawValue>,
    bytes: Option<Vec<u8>>,
    top_logprobs: Option<Vec<Top>>,
}

/// One that could have stood there.
#[derive(Debug, Deserialize, Serialize)]
struct Top {
    token: String,
    logprob: Box<RawValue>,
    bytes: Option<Vec<u8>>,
}

impl Token {
    fn read(list: &str) -> Vec<Self> {
        let read: Vec<Object<Self>> = serde_json::from_str(list).unwrap_or_default();
        read.into_iter().map(|Object(token)| token.whole()).collect()
    }

    /// With what was left out.
    fn whole(mut self) -> Self {
        self.bytes.get_or_insert_with(|| self.token.clone().into_bytes());
        for top in self.top_logprobs.get_or_insert_default() {
            top.bytes.get_or_insert_with(|| top.token.clone().into_bytes());
        }
        self
    }

    fn length(&self) -> usize {
        self.bytes.as_ref().map_or(0, Vec::len)
    }
}

/// The tokens of a list that comes with a completion's text, in OpenAI's form; none where it is no list.
pub(super) fn of_text(list: &str) -> Option<Box<str>> {
    written(&Token::read(list))
}

fn written(tokens: &[Token]) -> Option<Box<str>> {
    if tokens.is_empty() {
        return None;
    }
    serde_json::to_string(tokens).ok().map(Into::into)
}

/// The tokens of a chat's answer on their way.
#[derive(Debug, Default)]
pub(super) struct Odds {
    /// Those that came with no text: a piece of a character, or a mark.
    waiting: Vec<Token>,
}

impl Odds {
    /// The tokens that a line's text is made of; none where it is told of none. `thought`: whether the line has a piece of a thought.
    pub(super) fn of_line(&mut self, text: &str, thought: bool, list: Option<&RawValue>) -> Option<Box<str>> {
        let told = list.map(|list| Token::read(list.get())).unwrap_or_default();
        if told.is_empty() && self.waiting.is_empty() {
            return None;
        }
        if text.is_empty() {
            self.wait(told, thought);
            return None;
        }
        let mixed = thought || !self.waiting.is_empty();
        let mut all = std::mem::take(&mut self.waiting);
        all.extend(told);
        written(if mixed { last(&all, text.len()) } else { &all })
    }

    fn wait(&mut self, told: Vec<Token>, thought: bool) {
        if thought {
            self.waiting.clear();
            return;
        }
        self.waiting.extend(told);
        let surplus = self.waiting.len().saturating_sub(WAITING);
        self.waiting.drain(..surplus);
    }
}

/// The last of them, which have so many bytes between them: a text stands behind its marks and thoughts.
fn last(tokens: &[Token], bytes: usize) -> &[Token] {
    let mut length = 0;
    let first = tokens.iter().rposition(|token| {
        length += token.length();
        length >= bytes
    });
    tokens.get(first.unwrap_or(0)..).unwrap_or(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(tokens: &[&str]) -> Box<RawValue> {
        let all: Vec<String> =
            tokens.iter().map(|token| format!(r#"{{"token":{token:?},"logprob":-0.50}}"#)).collect();
        RawValue::from_string(format!("[{}]", all.join(","))).unwrap()
    }

    fn texts(told: Option<Box<str>>) -> Vec<String> {
        Token::read(&told.unwrap_or_default()).into_iter().map(|token| token.token).collect()
    }

    #[test]
    fn what_is_left_out_is_there_and_numbers_stay_as_they_are_spelled() {
        let raw = r#"[{"token":"é","logprob":-1.250,"top_logprobs":[{"token":"e","logprob":-2e0,"bytes":[101]}]},
            {"token":"\ufffd","logprob":0,"bytes":[195]}]"#;
        assert_eq!(
            of_text(raw).as_deref(),
            Some(
                r#"[{"token":"é","logprob":-1.250,"bytes":[195,169],"top_logprobs":[{"token":"e","logprob":-2e0,"bytes":[101]}]},{"token":"�","logprob":0,"bytes":[195],"top_logprobs":[]}]"#
            )
        );
        for other in ["null", "[]", "{}", "[1]", "[{\"token\":\"a\"}]"] {
            assert_eq!(of_text(other), None, "{other}");
        }
    }

    #[test]
    fn thoughts_and_marks_are_none_of_the_text() {
        let mut odds = Odds::default();
        let mut line =
            |text: &str, thought, tokens: &[&str]| texts(odds.of_line(text, thought, Some(&list(tokens))));
        assert!(line("", false, &["<think>"]).is_empty());
        assert!(line("", true, &["hm"]).is_empty());
        assert!(line("", false, &["</think>", "\n"]).is_empty());
        assert_eq!(line("a", false, &["a"]), ["a"]);
        assert_eq!(line(" b", false, &[" ", "b"]), [" ", "b"]);
        assert_eq!(line("c d", true, &["x", "y", "c", " d"]), ["c", " d"], "a whole answer has both");
    }

    #[test]
    fn a_character_in_pieces_has_all_of_them() {
        let mut odds = Odds::default();
        let pieces = |bytes: &str| {
            RawValue::from_string(format!(r#"[{{"token":"\ufffd","logprob":-1,"bytes":[{bytes}]}}]"#))
                .unwrap()
        };
        assert_eq!(odds.of_line("", false, Some(&pieces("195"))), None);
        assert_eq!(texts(odds.of_line("é", false, Some(&pieces("169")))).len(), 2);
        for _ in 0..1000 {
            assert_eq!(odds.of_line("", false, Some(&pieces("195"))), None);
        }
        assert_eq!(odds.waiting.len(), WAITING);
        assert_eq!(
            odds.of_line("a", true, None).map(texts_of_one),
            Some(1),
            "the shortest end that is as long"
        );
    }

    fn texts_of_one(told: Box<str>) -> usize {
        texts(Some(told)).len()
    }
}

//! The shapes of a completion's answers.
//!
//! Invariant: the lists of a choice's odds are of one length, and each token's place is counted in characters of the choice's text, across
//! all of its chunks.

use super::{Answer, Finish, Head, Odds, Part, Said, Usage, shown};
use crate::output::Piece;
use serde_json::{Map, Value, json};

const OBJECT: &str = "text_completion";

/// Writes the answers to one request, one after the other.
#[derive(Debug)]
pub struct TextAnswer {
    head: Head,
    /// How many of the likeliest tokens are told; `None` where no odds are.
    odds: Option<usize>,
    /// Whose parts come.
    index: usize,
    /// The characters of its text so far.
    length: usize,
}

/// A choice's odds as OpenAI has them for completions.
struct Lists {
    tokens: Vec<String>,
    logs: Vec<Value>,
    /// None where no alternatives were asked for.
    likeliest: Option<Vec<Value>>,
    offsets: Vec<usize>,
}

impl Lists {
    fn new(odds: usize) -> Self {
        let likeliest = (odds > 0).then(Vec::new);
        Self { tokens: Vec::new(), logs: Vec::new(), likeliest, offsets: Vec::new() }
    }

    /// Adds the tokens of a part with this text, before which there are so many characters.
    fn add(&mut self, odds: &[Odds], text: &str, before: usize) {
        for token in odds {
            self.tokens.push(shown(&token.said.bytes));
            self.logs.push(token.said.log_json());
            let characters = text.get(..token.at).map_or(0, |before| before.chars().count());
            self.offsets.push(before + characters);
            if let Some(likeliest) = &mut self.likeliest {
                likeliest.push(alternatives(token));
            }
        }
    }

    fn json(self) -> Value {
        json!({"tokens": self.tokens, "token_logprobs": self.logs, "top_logprobs": self.likeliest, "text_offset": self.offsets})
    }
}

/// The likeliest tokens by their texts, and the one that was said, which OpenAI tells always. Of two that are written alike, the
/// likelier one counts.
fn alternatives(token: &Odds) -> Value {
    if token.said.log.is_none() {
        return Value::Null;
    }
    let mut all = Map::new();
    for other in token.likeliest.iter().chain([&token.said]) {
        all.entry(shown(&other.bytes)).or_insert_with(|| other.log_json());
    }
    Value::Object(all)
}

impl TextAnswer {
    /// `number` tells this answer from all others of this process and start; `created` is in seconds since 1970; `odds`: how many of
    /// the likeliest tokens were asked for beside each one's own odds.
    #[must_use]
    pub fn new(model: &str, number: u64, created: u64, odds: Option<usize>) -> Self {
        Self { head: Head::new("cmpl", model, number, created), odds, index: 0, length: 0 }
    }

    fn choice(&self, text: &str, odds: Option<Lists>, finish: Option<Finish>) -> Value {
        let (odds, finish) = (odds.map(Lists::json), finish.map(Finish::word));
        json!({"text": text, "index": self.index, "logprobs": odds, "finish_reason": finish})
    }

    /// Takes a part's text, and adds its tokens.
    fn take<'a>(&mut self, part: &'a Part, lists: Option<&mut Lists>) -> &'a str {
        // A completion's output is not sorted.
        let (Piece::Content(text) | Piece::Reasoning(text)) = &part.piece else { return "" };
        if let (Some(lists), Some(odds)) = (lists, &part.odds) {
            lists.add(odds, text, self.length);
        }
        self.length += text.chars().count();
        text
    }

    fn next(&mut self) {
        (self.index, self.length) = (self.index + 1, 0);
    }
}

impl Answer for TextAnswer {
    fn opening(&self) -> Option<Value> {
        None
    }

    fn part(&mut self, part: &Part) -> Value {
        let mut lists = self.odds.map(Lists::new);
        let text = self.take(part, lists.as_mut());
        self.head.object(OBJECT, &json!([self.choice(text, lists, None)]))
    }

    fn closing(&mut self, finish: Finish) -> Value {
        let closing = self.head.object(OBJECT, &json!([self.choice("", None, Some(finish))]));
        self.next();
        closing
    }

    fn usage(&self, usage: Usage) -> Value {
        self.head.counted(OBJECT, &json!([]), usage)
    }

    fn whole(&mut self, all: &[Said], usage: Usage) -> Value {
        let mut choices = Vec::with_capacity(all.len());
        for said in all {
            let (mut text, mut lists) = (String::new(), self.odds.map(Lists::new));
            for part in &said.parts {
                text.push_str(self.take(part, lists.as_mut()));
            }
            choices.push(self.choice(&text, lists, Some(said.finish)));
            self.next();
        }
        self.head.counted(OBJECT, &Value::Array(choices), usage)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Likelihood;
    use super::*;

    fn likelihood(text: &str, log: f32) -> Likelihood {
        Likelihood { bytes: text.as_bytes().to_vec(), log: Some(log) }
    }

    fn part(text: &str, odds: Vec<Odds>) -> Part {
        Part { piece: Piece::Content(text.into()), odds: Some(odds) }
    }

    /// Two parts of which the second has a token of half a character.
    fn parts() -> Vec<Part> {
        let first =
            Odds { said: Likelihood { log: None, ..likelihood("Tö", 0.0) }, likeliest: Vec::new(), at: 0 };
        let likeliest = vec![likelihood("n", -0.25), likelihood("t", -1.5)];
        let second = Odds { said: likelihood("x", f32::NEG_INFINITY), likeliest: likeliest.clone(), at: 3 };
        let half = Odds { said: Likelihood { bytes: vec![0xe2, 0x82], log: Some(-2.0) }, likeliest, at: 1 };
        vec![part("Töx", vec![first, second]), part("x€", vec![half])]
    }

    #[test]
    fn tokens_stand_in_lists_with_their_places_in_characters() {
        let mut answer = TextAnswer::new("m", 1, 2, Some(2));
        let said = Said { parts: parts(), finish: Finish::Length };
        let whole = answer.whole(&[said], Usage { prompt: 1, completion: 2 });
        let choice = &whole["choices"][0];
        assert_eq!((&choice["text"], &choice["finish_reason"]), (&json!("Töxx€"), &json!("length")));
        let expected = json!({
            "tokens": ["Tö", "x", "\\xe2\\x82"],
            "token_logprobs": [null, -9999.0, -2.0],
            "top_logprobs": [null, {"n": -0.25, "t": -1.5, "x": -9999.0}, {"n": -0.25, "t": -1.5, "\\xe2\\x82": -2.0}],
            "text_offset": [0, 2, 4],
        });
        assert_eq!(choice["logprobs"], expected);
        let usage = json!({"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3});
        assert_eq!((&whole["object"], &whole["usage"]), (&json!("text_completion"), &usage));
        let mut answer = TextAnswer::new("m", 1, 2, Some(2));
        let offsets = parts()
            .into_iter()
            .map(|part| answer.part(&part)["choices"][0]["logprobs"]["text_offset"].clone());
        assert_eq!(offsets.collect::<Vec<_>>(), [json!([0, 2]), json!([4])]);
    }

    #[test]
    fn each_answer_has_its_own_index_and_begins_anew() {
        let mut answer = TextAnswer::new("m", 1, 2, Some(0));
        assert_eq!(answer.opening(), None);
        let all = || [Finish::Stop, Finish::Length].map(|finish| Said { parts: parts(), finish });
        let whole = answer.whole(&all(), Usage::default());
        for (index, choice) in whole["choices"].as_array().unwrap().iter().enumerate() {
            let told = &choice["logprobs"];
            assert_eq!((&choice["index"], &told["text_offset"]), (&json!(index), &json!([0, 2, 4])));
            assert_eq!(told["top_logprobs"], Value::Null);
        }
        let mut answer = TextAnswer::new("m", 1, 2, None);
        for (index, said) in all().iter().enumerate() {
            let chunk = answer.part(&said.parts[0]);
            assert_eq!(
                chunk["choices"],
                json!([{"text": "Töx", "index": index, "logprobs": null, "finish_reason": null}])
            );
            let closing = answer.closing(said.finish);
            let word = said.finish.word();
            assert_eq!(
                closing["choices"],
                json!([{"text": "", "index": index, "logprobs": null, "finish_reason": word}])
            );
        }
        assert_eq!(answer.usage(Usage::default())["choices"], json!([]));
    }
}

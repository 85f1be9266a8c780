//! One answer, measured while it is read.
//!
//! Knows OpenAI's stream, as far as it tells when tokens come and how many there were. Refuses to know whose answer it is: both legs give
//! the same one. Invariant: an answer that does not end with `[DONE]` is no answer.

use std::time::{Duration, Instant};

use ghostllm_core::framing::sse::Events;
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

/// Bytes of one event; a token's has some hundred.
const LONGEST_EVENT: usize = 1 << 20;
/// Letters of an error that are shown.
const LONGEST_MESSAGE: usize = 300;

/// An answer that came whole.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sample {
    /// From the request to the first token.
    pub(super) first: Duration,
    /// From the request to the answer's end.
    pub(super) whole: Duration,
    /// How many tokens it had.
    pub(super) tokens: u64,
    /// Whether the engine has counted them.
    pub(super) counted: bool,
}

/// A request that was not answered whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failed {
    /// The answer's status, where it had one that was no success.
    pub(super) status: Option<StatusCode>,
    /// How, for programs.
    pub(super) code: String,
    /// How, in words.
    pub(super) message: String,
}

/// An answer that is still coming.
pub(super) struct Reading {
    begun: Instant,
    events: Events,
    first: Option<Duration>,
    last: Option<Duration>,
    counted: Option<u64>,
    seen: u64,
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<Usage>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    delta: Option<Delta>,
}

#[derive(Deserialize)]
struct Delta {
    content: Option<String>,
    reasoning: Option<String>,
    reasoning_content: Option<String>,
    tool_calls: Option<Value>,
}

#[derive(Deserialize)]
struct Usage {
    completion_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct Refused {
    error: Value,
}

impl Sample {
    /// Tokens after the first a second; none where there is but one, or all came at once.
    pub(super) fn rate(&self) -> Option<f64> {
        let after = self.whole.saturating_sub(self.first).as_secs_f64();
        let tokens = u32::try_from(self.tokens.saturating_sub(1)).ok().filter(|tokens| *tokens > 0)?;
        (after > 0.0).then(|| f64::from(tokens) / after)
    }
}

impl Failed {
    pub(super) fn new(code: &str, message: impl Into<String>) -> Self {
        let message: String = message.into();
        Self { status: None, code: code.to_owned(), message: message.chars().take(LONGEST_MESSAGE).collect() }
    }

    /// No connection, or one that has ended.
    pub(super) fn connection(why: &impl ToString) -> Self {
        Self::new("connection", why.to_string())
    }

    /// Nothing came for too long.
    pub(super) fn late(within: Duration) -> Self {
        Self::new("late", format!("nothing came for {} s", within.as_secs()))
    }

    /// An answer that is none, with its body.
    pub(super) fn refused(status: StatusCode, body: &[u8]) -> Self {
        let told = serde_json::from_slice::<Refused>(body).map(|refused| Self::told(&refused.error));
        let failed = told
            .unwrap_or_else(|_no_json| Self::new(&format!("status_{}", status.as_u16()), status.to_string()));
        Self { status: Some(status), ..failed }
    }

    /// What an error object says, of the API's form or another.
    fn told(error: &Value) -> Self {
        let text = |field: &str| error.get(field).and_then(Value::as_str);
        let message = text("message").map_or_else(|| error.to_string(), str::to_owned);
        Self::new(text("code").or_else(|| text("type")).unwrap_or("error"), message)
    }

    fn garbage(why: &impl ToString) -> Self {
        Self::new("garbage", format!("the answer is no stream of OpenAI's: {}", why.to_string()))
    }
}

impl Reading {
    /// Of a request that goes out now.
    pub(super) fn new(begun: Instant) -> Self {
        let events = Events::new(LONGEST_EVENT);
        Self { begun, events, first: None, last: None, counted: None, seen: 0 }
    }

    /// More of it, which came at this moment.
    ///
    /// # Errors
    /// It tells of a failure, or is no answer.
    pub(super) fn feed(&mut self, bytes: &[u8], now: Instant) -> Result<(), Failed> {
        self.events.push(bytes);
        while let Some(event) = self.events.next_event().map_err(|error| Failed::garbage(&error))? {
            if event.data.as_ref() == b"[DONE]" {
                self.last.get_or_insert(now - self.begun);
                continue;
            }
            let chunk: Chunk =
                serde_json::from_slice(&event.data).map_err(|error| Failed::garbage(&error))?;
            if let Some(error) = &chunk.error {
                return Err(Failed::told(error));
            }
            self.take(&chunk, now);
        }
        Ok(())
    }

    /// Whether `[DONE]` has come.
    pub(super) fn is_whole(&self) -> bool {
        self.last.is_some()
    }

    fn take(&mut self, chunk: &Chunk, now: Instant) {
        let says = |choice: &Choice| choice.delta.as_ref().is_some_and(Delta::says);
        if chunk.choices.iter().any(says) {
            self.first.get_or_insert(now - self.begun);
            self.seen += 1;
        }
        if let Some(count) = chunk.usage.as_ref().and_then(|usage| usage.completion_tokens) {
            self.counted = Some(count);
        }
    }

    /// No more will come.
    ///
    /// # Errors
    /// It was not whole, or had no token.
    pub(super) fn finish(self) -> Result<Sample, Failed> {
        let Some(whole) = self.last else {
            return Err(Failed::new("cut_off", "the answer ended before it was whole"));
        };
        let first = self.first.ok_or_else(|| Failed::new("empty", "the answer has no token"))?;
        // One that counts none has not counted.
        let counted = self.counted.filter(|count| *count > 0);
        Ok(Sample { first, whole, tokens: counted.unwrap_or(self.seen), counted: counted.is_some() })
    }
}

impl Delta {
    /// Whether a token is in it: an empty text keeps a silent stream alive, and the first event of many engines names the role alone.
    fn says(&self) -> bool {
        let text = [&self.content, &self.reasoning, &self.reasoning_content];
        text.into_iter().flatten().any(|text| !text.is_empty()) || self.tool_calls.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fed(lines: &[(u64, &str)]) -> Result<Sample, Failed> {
        let begun = Instant::now();
        let mut reading = Reading::new(begun);
        for (at, line) in lines {
            reading.feed(format!("{line}\n\n").as_bytes(), begun + Duration::from_millis(*at))?;
        }
        reading.finish()
    }

    const ROLE: (u64, &str) = (5, r#"data: {"choices":[{"delta":{"role":"assistant","content":""}}]}"#);
    const WORD: (u64, &str) = (20, r#"data: {"choices":[{"delta":{"content":"a"}}],"usage":null}"#);
    const END: (u64, &str) = (120, "data: [DONE]");

    #[test]
    fn the_first_token_is_the_first_text_and_no_role_and_no_sign_of_life() {
        let more = (70, r#"data: {"choices":[{"delta":{"content":"b"}}]}"#);
        let sample = fed(&[ROLE, (10, ": still there"), WORD, more, END]).unwrap();
        assert_eq!((sample.first.as_millis(), sample.whole.as_millis()), (20, 120));
        assert_eq!((sample.tokens, sample.counted), (2, false));
        assert_eq!(sample.rate(), Some(10.0), "one more token in a tenth of a second");
        let thinks = (30, r#"data: {"choices":[{"delta":{"reasoning_content":"hm"}}]}"#);
        assert_eq!(fed(&[ROLE, thinks, END]).unwrap().first.as_millis(), 30);
    }

    #[test]
    fn an_answer_is_whole_with_its_last_event() {
        let mut reading = Reading::new(Instant::now());
        for (line, whole) in [(WORD.1, false), (END.1, true)] {
            reading.feed(format!("{line}\n\n").as_bytes(), Instant::now()).unwrap();
            assert_eq!(reading.is_whole(), whole, "{line}");
        }
    }

    #[test]
    fn the_engine_s_own_count_goes_first() {
        let usage = (100, r#"data: {"choices":[],"usage":{"completion_tokens":11}}"#);
        let sample = fed(&[WORD, usage, END]).unwrap();
        assert_eq!((sample.tokens, sample.counted, sample.rate()), (11, true, Some(100.0)));
        let none = (100, r#"data: {"choices":[],"usage":{"completion_tokens":0}}"#);
        assert_eq!(fed(&[WORD, none, END]).unwrap().tokens, 1);
        assert_eq!(fed(&[WORD, none, END]).unwrap().rate(), None, "one token has no rate");
    }

    #[test]
    fn what_is_not_whole_is_no_answer() {
        let code = |lines: &[(u64, &str)]| fed(lines).unwrap_err().code;
        assert_eq!(code(&[WORD]), "cut_off");
        assert_eq!(code(&[ROLE, END]), "empty");
        assert_eq!(code(&[(1, "data: hello")]), "garbage");
        let error = (9, r#"data: {"error":{"message":"no","type":"server_error","code":"backend_error"}}"#);
        assert_eq!(fed(&[WORD, error, END]).unwrap_err(), Failed::new("backend_error", "no"));
    }

    #[test]
    fn a_refusal_has_the_api_s_code_or_its_status() {
        let body = br#"{"error":{"message":"Wait.","type":"x","code":"queue_full"}}"#;
        let failed = Failed::refused(StatusCode::TOO_MANY_REQUESTS, body);
        assert_eq!((failed.code.as_str(), failed.message.as_str()), ("queue_full", "Wait."));
        let page = Failed::refused(StatusCode::BAD_GATEWAY, b"<html>");
        assert_eq!((page.code.as_str(), page.status), ("status_502", Some(StatusCode::BAD_GATEWAY)));
    }
}

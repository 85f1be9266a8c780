//! The turns of a chat that is passed on, gone over once.
//!
//! Knows what is looked for in each of them: media, what an Ollama would not hear, members that nobody reads, and how much is said.
//! Refuses to judge the rest of a conversation, which its engine does. Invariant: how much is said is what
//! [`ChatRequest::prompt_bytes`] counts in the internal form, so that the same prompt is estimated alike in whatever language it came.
//!
//! [`ChatRequest::prompt_bytes`]: crate::chat::ChatRequest::prompt_bytes

mod turn;

use serde::Deserialize;
use serde_json::value::RawValue;

use self::turn::Turn;
use super::fields::{self, Fields};
use super::media::{self, Allowance, Beside};
use crate::config::Limits;
use crate::dialect::json::{self, Elements, Entries, Quoted};
use crate::dialect::unread::{self, Unread};
use crate::error::ApiError;

/// What a conversation has of which an Ollama hears nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Unheard {
    /// A speaker's name. Of a tool it is heard.
    pub(super) name: bool,
    /// What an assistant has said aloud.
    pub(super) audio: bool,
    /// How closely a picture shall be looked at.
    pub(super) detail: bool,
}

/// The members of a turn by which it has thoughts; Ollama's and our own engine's readers know both.
const THOUGHTS: [&str; 2] = ["messages.reasoning", "messages.reasoning_content"];

/// What was seen in a conversation.
#[derive(Debug, Default)]
pub(super) struct Looked {
    pub(super) unheard: Unheard,
    /// Which of [`THOUGHTS`] it has.
    pub(super) thought: Vec<&'static str>,
    /// Whether a turn has other thoughts by the first of [`THOUGHTS`] than by the second, which is read.
    pub(super) outdone: bool,
    /// Media by members of their own.
    pub(super) beside: Beside,
    /// What nobody reads of it.
    pub(super) unread: Unread,
    /// Bytes of what is said, thought and called in it.
    pub(super) said: u64,
}

/// Refuses remote media in a conversation and beside it, and a turn that has a member twice: what is read here would not be what the engine
/// reads. What else is wrong with it is the engine's to judge.
pub(super) fn look(fields: &Fields<'_>, limits: &Limits) -> Result<Looked, ApiError> {
    let (mut looked, mut allowance, mut place) = (Looked::default(), Allowance::new(limits), 0);
    looked.beside.field = media::check_beside(fields, &mut allowance)?;
    let Some(messages) = fields.get("messages") else { return Ok(looked) };
    let list = Elements::of(messages);
    let mut list = list.ok_or_else(|| ApiError::invalid_type("messages", "a list of messages"))?;
    while list.more() {
        // Nearly every turn is one.
        match list.texts(unread::TEXTS, plain) {
            Some(texts) => looked.texts(texts),
            None => looked.turn(&format!("messages[{place}]"), list.element(), &mut allowance)?,
        }
        place += 1;
    }
    Ok(looked)
}

impl Looked {
    /// Those of a turn that has nothing else, in the order of [`unread::TEXTS`].
    fn texts(&mut self, texts: [Option<Quoted<'_>>; unread::TEXTS.len()]) {
        let [role, content, name, _of_call, refusal, reasoning, reasoning_content] = texts;
        let is = |word: &str| role.is_some_and(|role| role.spelled() == word);
        self.unheard.name |= name.is_some() && !is("tool");
        let words = content.map_or(0, Quoted::text_length);
        self.said(refused(words, refusal.filter(|_| is("assistant"))));
        self.thinks([reasoning, reasoning_content]);
        self.said(reasoning_content.or(reasoning).map_or(0, Quoted::text_length));
    }

    fn turn(&mut self, at: &str, json: &str, allowance: &mut Allowance<'_>) -> Result<(), ApiError> {
        let turn: Turn<'_> = fields::object(at, json, "a message object")?;
        if let Some(name) = &turn.odd {
            return Err(fields::look_alike(&format!("{at}.{name}")));
        }
        let is = |word: &str| turn.role.is_some_and(|role| role.get() == word);
        self.unheard.name |= turn.name.is_some() && !is("\"tool\"");
        self.unheard.audio |= turn.audio;
        for (name, raw) in &turn.media {
            let member = format!("{at}.{name}");
            media::check_named(&member, name, raw, allowance)?;
            self.beside.add(member, name, raw);
        }
        let words = turn.content.map_or(Ok(0), |content| self.content(at, content, allowance))?;
        self.said(refused(words, text(turn.refusal).filter(|_| is("\"assistant\""))));
        self.thinks([turn.reasoning, turn.reasoning_content].map(text));
        self.said(text(turn.reasoning_content.or(turn.reasoning)).map_or(0, Quoted::text_length));
        self.said(turn.tool_calls.map_or(0, called));
        self.unread.look(json, &unread::MESSAGE);
        Ok(())
    }

    /// Bytes of what a content says, its parts joined by a line's end as in the internal form.
    fn content(
        &mut self,
        at: &str,
        content: &RawValue,
        allowance: &mut Allowance<'_>,
    ) -> Result<usize, ApiError> {
        if let Some(text) = Quoted::of(content.get()) {
            return Ok(text.text_length());
        }
        if content.get().starts_with('{') {
            // Some engines take one part in the place of a list of them.
            let seen = media::check_part(&format!("{at}.content"), content, allowance)?;
            self.unheard.detail |= seen.detail;
            self.beside.in_text(seen.lost);
            return Ok(seen.said.unwrap_or(0));
        }
        let (mut said, mut texts) = (0, 0);
        let parts: Vec<&RawValue> = serde_json::from_str(content.get()).unwrap_or_default();
        for (nr, part) in parts.iter().enumerate() {
            let seen = media::check_part(&format!("{at}.content[{nr}]"), part, allowance)?;
            self.unheard.detail |= seen.detail;
            self.beside.in_text(seen.lost);
            said += seen.said.unwrap_or(0);
            texts += usize::from(seen.said.is_some());
        }
        Ok(said + texts.saturating_sub(1))
    }

    /// What a turn has of thoughts by each of these members.
    fn thinks(&mut self, thoughts: [Option<Quoted<'_>>; THOUGHTS.len()]) {
        let thoughts = thoughts.map(|thought| thought.filter(|thought| !thought.spelled().is_empty()));
        self.outdone |= matches!(thoughts, [Some(one), Some(other)] if one.text() != other.text());
        for (member, _) in THOUGHTS.into_iter().zip(thoughts).filter(|(_, thought)| thought.is_some()) {
            if !self.thought.contains(&member) {
                self.thought.push(member);
            }
        }
    }

    fn said(&mut self, bytes: usize) {
        self.said = self.said.saturating_add(bytes as u64);
    }
}

/// The texts of a turn that is gone over no further: one that refuses is an assistant's.
fn plain<'a>(
    texts: [Option<Quoted<'a>>; unread::TEXTS.len()],
) -> Option<[Option<Quoted<'a>>; unread::TEXTS.len()]> {
    let [role, _, _, _, refusal, ..] = texts;
    let is_odd = refusal.is_some() && role.is_none_or(|role| role.spelled() != "assistant");
    (!is_odd).then_some(texts)
}

/// The text that a member is; none where it is no text.
fn text(raw: Option<&RawValue>) -> Option<Quoted<'_>> {
    raw.and_then(|raw| Quoted::of(raw.get()))
}

/// Words with an assistant's refusal behind them, on a line of its own.
fn refused(words: usize, refusal: Option<Quoted<'_>>) -> usize {
    let line_end = usize::from(words > 0);
    refusal.map_or(words, |refusal| words + line_end + refusal.text_length())
}

/// Bytes of what functions are called with.
fn called(calls: &RawValue) -> usize {
    const NOTHING: usize = "{}".len();
    #[derive(Deserialize)]
    struct Call<'a> {
        #[serde(borrow)]
        function: Option<&'a RawValue>,
    }
    let (Some(mut list), mut bytes) = (Elements::of(calls), 0) else { return 0 };
    while list.more() {
        let call = json::object::<Call<'_>>(list.element()).ok();
        let function = call.and_then(|call| call.function).map_or("", RawValue::get);
        let arguments = Entries::of(function).find(|(name, _)| name.spelled() == "arguments");
        let arguments = arguments.map_or("null", |(_, value)| value);
        // Nothing stands for an object without members.
        let length = match Quoted::of(arguments) {
            Some(text) => text.text().trim().len(),
            None if arguments == "null" => 0,
            None => arguments.len(),
        };
        bytes += if length == 0 { NOTHING } else { length };
    }
    bytes
}

/// Bytes of the tools: each as it came.
pub(super) fn tools_bytes(tools: &RawValue) -> u64 {
    let Some(mut list) = Elements::of(tools) else { return tools.get().len() as u64 };
    let mut bytes = 0;
    while list.more() {
        bytes += list.element().len() as u64;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::dialect::openai::{parse_chat, passthrough::inspect};

    #[test]
    fn what_is_said_is_counted_as_in_the_internal_form() {
        let call = |arguments: Value| json!({"id": "1", "type": "function", "function": {"name": "f", "arguments": arguments}});
        let calls = json!([
            call(json!(" {\"a\": \"\u{e9}\"}\n")),
            call(json!("")),
            call(json!({"a": 1})),
            call(json!(" no JSON ")),
            call(json!("]")),
            call(Value::Null)
        ]);
        let picture = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}});
        for (turn, bytes) in [
            (json!({"role": "user", "content": "a \"b\"\n\u{1f600}"}), 10),
            (
                json!({"role": "user", "content": [{"type": "text", "text": "ab"}, picture, {"type": "text", "text": "c"}], "bar": 1}),
                4,
            ),
            (json!({"role": "tool", "tool_call_id": "call_1", "name": "f", "content": "abc"}), 3),
            (json!({"role": "assistant", "content": "ab", "refusal": "no"}), 5),
            (json!({"role": "user", "content": "ab", "refusal": "no"}), 2),
            (json!({"role": "assistant", "content": null, "refusal": "no", "audio": null}), 2),
            (json!({"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}), 2),
            (json!({"role": "assistant", "content": "a", "reasoning": "bc", "reasoning_content": "bcd"}), 4),
            (
                json!({"role": "assistant", "content": null, "reasoning": "bc", "tool_calls": calls}),
                2 + 11 + 2 + 7 + 7 + 1 + 2,
            ),
        ] {
            let tools = json!([{"type": "function", "function": {"name": "f"}}]);
            let body = json!({"model": "m", "messages": [turn], "tools": tools}).to_string();
            let (passed, read) = (
                inspect(body.as_bytes(), &Limits::default()),
                parse_chat(body.as_bytes(), &Limits::default()),
            );
            let counted = [passed.unwrap().prompt_bytes, read.unwrap().prompt_bytes()];
            assert_eq!(counted, [bytes + tools[0].to_string().len() as u64; 2], "{turn}");
        }
    }

    #[test]
    fn a_turn_of_texts_is_seen_as_any_other() {
        let look = |turn: &Value| {
            let body = json!({ "messages": [turn] }).to_string();
            look(&Fields::read(body.as_bytes(), 1).unwrap(), &Limits::default()).unwrap()
        };
        for (role, content, named) in [("user", "ab", true), ("tool", "ab", false), ("assistant", "", true)] {
            let plain =
                json!({"role": role, "content": content, "name": "n", "refusal": "no", "reasoning": "why"});
            let mut other = plain.clone();
            other["tool_calls"] = json!([]);
            let (plain, other) = (look(&plain), look(&other));
            assert_eq!((plain.unheard, plain.said), (other.unheard, other.said), "{role}");
            assert_eq!(plain.thought, ["messages.reasoning"], "{role}");
            assert_eq!(plain.thought, other.thought, "{role}");
            assert_eq!(plain.unheard.name, named, "{role}");
        }
    }
}

//! The conversation of a Responses request: items, of which several make one turn of the assistant.
//!
//! Knows the items that a client has from earlier answers or makes itself. Refuses to know who keeps those that are named only: it
//! is given what looks them up. Invariants: thoughts, words and calls of one turn become one message, with the results of its calls
//! behind it, which is the order that chat templates want; what is looked up counts as if it had been sent.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::tools::{INPUT, inner_name};
use crate::chat::{Arguments, Image, Json, Message, Role, Text, ToolCall};
use crate::config::Limits;
use crate::dialect::json::{Elements, Object, Quoted};
use crate::dialect::openai::fields::{self, Element, Fields};
use crate::dialect::openai::media::{self, Allowance};
use crate::dialect::openai::message::{alone, arguments, no_medium_but};
use crate::dialect::unread::{self, Unread};
use crate::error::{ApiError, Code};

#[cfg(test)]
mod tests;

/// Looks up an item of an earlier answer by its id: the item as its client was given it, if it is kept and is theirs.
pub type Earlier<'a> = &'a dyn Fn(&str) -> Option<Bytes>;

const NOT_KEPT: &str = "It names an item of an earlier answer that is not kept: such items are kept in memory alone, until a restart, \
                        for an hour at the most and as limits.recall has room, for the key that asked and where store was not false. Send the \
                        item itself instead, or the whole conversation (with @ai-sdk/openai, set store to false).";
const ITEMS: &str = "Items are message, reasoning, function_call, function_call_output, custom_tool_call, custom_tool_call_output and \
                     item_reference.";
/// What a part of a content must be.
const PART: &str = "a content part, an object such as {\"type\": \"input_text\", \"text\": ...}";
const NO_MEDIUM: &str = "A part that is text holds no picture, sound, video or file: send each in a part of its own (input_image, input_file, \
                         input_audio).";
const ONE_MEDIUM: &str = "A part holds the one medium that its type names: send each in a part of its own.";
const THOUGHTS: &str = "What was thought is text alone.";
const NO_FILES: &str = "No files are kept here: send a picture itself in image_url, as a data URL (data:image/png;base64,...), and a \
                        document in file_data (data:application/pdf;base64,...).";
const PARTS: &str = "Content is input_text, output_text, refusal, input_image, input_file or input_audio.";
const MEDIA_ARE_PARTS: &str =
    "Pictures, sounds and files are parts of a content: input_image, input_audio and input_file.";

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    role: Option<Cow<'a, str>>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    id: Option<String>,
    call_id: Option<String>,
    name: Option<String>,
    namespace: Option<String>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    input: Option<String>,
    #[serde(borrow)]
    output: Option<&'a RawValue>,
    #[serde(borrow)]
    summary: Option<&'a RawValue>,
    #[serde(borrow)]
    encrypted_content: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    text: Option<Quoted<'a>>,
    #[serde(borrow)]
    refusal: Option<Quoted<'a>>,
    #[serde(borrow)]
    image_url: Option<Cow<'a, str>>,
    file_id: Option<IgnoredAny>,
    #[serde(borrow)]
    detail: Option<Cow<'a, str>>,
    #[serde(borrow)]
    file_data: Option<Cow<'a, str>>,
    #[serde(borrow)]
    file_url: Option<&'a RawValue>,
    #[serde(borrow)]
    filename: Option<Cow<'a, str>>,
    #[serde(borrow)]
    input_audio: Option<&'a RawValue>,
}

/// What a conversation is read by.
pub(super) struct Reading<'a> {
    pub(super) limits: &'a Limits,
    pub(super) earlier: Earlier<'a>,
    /// So many bytes may be looked up.
    pub(super) most: usize,
}

/// A conversation that was read.
pub(super) struct Conversation {
    pub(super) messages: Vec<Message>,
    /// Bytes of what was looked up for it.
    pub(super) recalled: usize,
    /// What nobody reads of its items.
    pub(super) unread: Unread,
    /// Where its first sound or file stands.
    pub(super) attached: Option<String>,
}

/// Reads `instructions` and `input`.
pub(super) fn conversation(
    fields: &Fields<'_>,
    reading: &Reading<'_>,
    ignored: &mut Vec<String>,
) -> Result<Conversation, ApiError> {
    let mut turns = Turns {
        messages: Vec::new(),
        open: None,
        thought: None,
        allowance: Allowance::new(reading.limits),
        reading,
        recalled: 0,
        unread: Unread::default(),
        attached: None,
        ignored,
    };
    if let Some(text) = fields.read_as::<Quoted<'_>>("instructions", "a string")? {
        turns.say(Role::System, text.into(), Vec::new());
    }
    let raw = fields.get("input").ok_or_else(|| ApiError::missing("input"))?;
    let mut any = true;
    if let Some(text) = Quoted::of(raw.get()) {
        turns.say(Role::User, text.into(), Vec::new());
    } else {
        let list = Elements::of(raw);
        let list = list.ok_or_else(|| ApiError::invalid_type("input", "a string or a list of items"))?;
        any = turns.items(list)?;
    }
    turns.close();
    if !any || turns.messages.is_empty() {
        return Err(ApiError::invalid_value("input", "a text or a list of at least one item"));
    }
    let Turns { messages, recalled, unread, attached, .. } = turns;
    Ok(Conversation { messages, recalled, unread, attached })
}

fn role(at: Element, role: Option<&str>) -> Result<Role, ApiError> {
    match role {
        None => Err(ApiError::missing(format!("{at}.role"))),
        // To the models here both words mean the same, and their templates know the older one alone.
        Some("system" | "developer") => Ok(Role::System),
        Some("user") => Ok(Role::User),
        Some("assistant") => Ok(Role::Assistant),
        Some(_) => Err(ApiError::invalid_value(format!("{at}.role"), "system, developer, user or assistant")),
    }
}

/// The conversation as it is put together.
struct Turns<'a> {
    messages: Vec<Message>,
    /// The assistant's turn that further items may belong to.
    open: Option<Message>,
    /// What was thought behind that turn's words: it belongs to its calls, or to the words of the next one.
    thought: Option<String>,
    allowance: Allowance<'a>,
    reading: &'a Reading<'a>,
    recalled: usize,
    unread: Unread,
    /// Where the first medium stands that is no picture.
    attached: Option<String>,
    ignored: &'a mut Vec<String>,
}

impl Turns<'_> {
    /// Whether there are any.
    fn items(&mut self, mut list: Elements<'_>) -> Result<bool, ApiError> {
        let mut place = 0;
        while list.more() {
            let at = Element("input", place);
            place += 1;
            let plain = list.texts(unread::ITEM_TEXTS, |[kind, role, text]| {
                kind.is_none_or(|kind| kind.spelled() == "message").then_some((role, Text::from(text?)))
            });
            match plain {
                Some((said_by, text)) => {
                    let role = role(at, said_by.map(Quoted::text).as_deref())?;
                    self.say(role, text, Vec::new());
                }
                None => {
                    let item = list.element();
                    if let Some(medium) = media::beside(&at.to_string(), item) {
                        return Err(ApiError::unsupported(medium, MEDIA_ARE_PARTS));
                    }
                    self.item(at, fields::element(at, item, "an item")?)?;
                    self.unread.look(item, &unread::ITEM);
                }
            }
        }
        Ok(place > 0)
    }

    fn item(&mut self, at: Element, item: Item<'_>) -> Result<(), ApiError> {
        match item.kind.as_deref() {
            None | Some("message") => self.message(at, &item),
            Some("function_call") => {
                let arguments =
                    arguments(&format!("{at}.arguments"), item.arguments, self.reading.limits.json_depth)?;
                self.call(at, item, arguments)
            }
            Some("custom_tool_call") => {
                let text = item.input.as_deref().ok_or_else(|| ApiError::missing(format!("{at}.input")))?;
                let arguments = serde_json::json!({ INPUT: text }).to_string();
                let arguments = Json::object(&arguments).ok_or_else(ApiError::internal)?;
                self.call(at, item, arguments.into())
            }
            Some("function_call_output" | "custom_tool_call_output") => self.result(at, item),
            Some("reasoning") => self.reasoning(at, &item),
            Some("item_reference") => self.reference(at, &item),
            Some(_) => Err(ApiError::unsupported(format!("{at}.type"), ITEMS)),
        }
    }

    fn message(&mut self, at: Element, item: &Item<'_>) -> Result<(), ApiError> {
        let role = role(at, item.role.as_deref())?;
        let content = item.content.ok_or_else(|| ApiError::missing(format!("{at}.content")))?;
        let (text, images) = self.content((at, "content"), content)?;
        self.say(role, text, images);
        Ok(())
    }

    /// Adds a message. What an assistant says stays open for its calls; standing instructions that follow each other
    /// become one, since many templates take one at the beginning and no other.
    fn say(&mut self, role: Role, text: Text, images: Vec<Image>) {
        if role == Role::Assistant {
            match &mut self.open {
                Some(open) if open.text.is_empty() => {
                    open.text = text;
                    open.images.extend(images);
                }
                _ => {
                    let reasoning = self.thought.take();
                    self.close();
                    self.open = Some(Message { role, text, images, reasoning, ..Message::default() });
                }
            }
            return;
        }
        self.close();
        match self.messages.last_mut() {
            Some(last) if role == Role::System && last.role == role => {
                let end = last.text.spelled_len();
                last.text.push_line_end();
                last.text.push_line_end();
                let begin = last.text.spelled_len();
                last.text.push(text.quoted());
                // What no words of its own came before stands behind those of the message before.
                let place = |place: usize| if place == 0 { end } else { begin + place };
                last.images
                    .extend(images.into_iter().map(|image| Image { place: place(image.place), ..image }));
            }
            _ => self.messages.push(Message { role, text, images, ..Message::default() }),
        }
    }

    fn close(&mut self) {
        self.recall();
        self.messages.extend(self.open.take());
    }

    /// The assistant's turn, begun where there is none.
    fn turn(&mut self) -> &mut Message {
        self.open.get_or_insert_with(|| Message { role: Role::Assistant, ..Message::default() })
    }

    /// What was thought last belongs to the turn that is open.
    fn recall(&mut self) {
        let Some(thought) = self.thought.take() else { return };
        match &mut self.turn().reasoning {
            Some(before) => {
                before.push('\n');
                before.push_str(&thought);
            }
            none => *none = Some(thought),
        }
    }

    fn call(&mut self, at: Element, item: Item<'_>, arguments: Arguments) -> Result<(), ApiError> {
        self.recall();
        let id = item.call_id.ok_or_else(|| ApiError::missing(format!("{at}.call_id")))?;
        let name = item.name.filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| ApiError::missing(format!("{at}.name")))?;
        let name = inner_name(item.namespace.as_deref(), &name);
        self.turn().tool_calls.push(ToolCall { id, name, arguments });
        Ok(())
    }

    fn result(&mut self, at: Element, item: Item<'_>) -> Result<(), ApiError> {
        let id = item.call_id.ok_or_else(|| ApiError::missing(format!("{at}.call_id")))?;
        let output = item.output.ok_or_else(|| ApiError::missing(format!("{at}.output")))?;
        let (text, images) = self.content((at, "output"), output)?;
        self.close();
        let (role, tool_call_id) = (Role::Tool, Some(id));
        self.messages.push(Message { role, text, images, tool_call_id, ..Message::default() });
        Ok(())
    }

    /// What the assistant thought: the whole of it where it was given, else what stands for it.
    fn reasoning(&mut self, at: Element, item: &Item<'_>) -> Result<(), ApiError> {
        let mut thought = String::new();
        for (name, raw) in [("content", item.content), ("summary", item.summary)] {
            let Some(raw) = raw else { continue };
            let (text, images) = self.content((at, name), raw)?;
            if !images.is_empty() {
                return Err(ApiError::unsupported(format!("{at}.{name}"), THOUGHTS));
            }
            let text = text.get();
            if thought.is_empty() {
                thought = text.into_owned();
            } else if !text.is_empty() && thought != text {
                self.note("input.summary");
            }
        }
        if thought.is_empty() && item.encrypted_content.is_some_and(|raw| raw.get() != "null") {
            self.note("reasoning.encrypted_content");
        }
        if thought.is_empty() {
            return Ok(());
        }
        match &mut self.thought {
            Some(before) => {
                before.push('\n');
                before.push_str(&thought);
            }
            none => *none = Some(thought),
        }
        if self.open.as_ref().is_none_or(|open| open.text.is_empty()) {
            self.recall();
        }
        Ok(())
    }

    /// An item that is named only, as `@ai-sdk/openai` does unless it is told that nothing is stored. The conversation is sound
    /// without a thought, but not without words and calls.
    fn reference(&mut self, at: Element, item: &Item<'_>) -> Result<(), ApiError> {
        let id = item.id.as_deref().ok_or_else(|| ApiError::missing(format!("{at}.id")))?;
        match (self.reading.earlier)(id) {
            Some(kept) => self.kept(at, &kept),
            None if id.starts_with("rs_") => {
                self.note("item_reference");
                Ok(())
            }
            None => Err(ApiError::unsupported(at.to_string(), NOT_KEPT)),
        }
    }

    /// The item that was meant. A name is short, and may be sent many thousand times.
    fn kept(&mut self, at: Element, kept: &[u8]) -> Result<(), ApiError> {
        self.recalled += kept.len();
        if self.recalled > self.reading.most {
            let limit = self.reading.limits.body.bytes();
            let message =
                format!("With the items that it names, the body is larger than the limit of {limit} bytes.");
            return Err(ApiError::new(Code::PayloadTooLarge, message).with_param(at.to_string()));
        }
        let Object(item) = serde_json::from_slice(kept).map_err(|_| ApiError::internal())?;
        self.item(at, item)
    }

    fn note(&mut self, what: &str) {
        if !self.ignored.iter().any(|noted| noted == what) {
            self.ignored.push(what.to_owned());
        }
    }

    /// Text and pictures of a string or a list of parts, the texts joined by newlines.
    fn content(
        &mut self,
        (at, name): (Element, &str),
        raw: &RawValue,
    ) -> Result<(Text, Vec<Image>), ApiError> {
        let (mut text, mut images) = (Text::default(), Vec::new());
        let wrong = || ApiError::invalid_type(format!("{at}.{name}"), "a string or a list of parts");
        if let Some(whole) = Quoted::of(raw.get()) {
            return Ok((whole.into(), images));
        }
        if raw.get() == "null" {
            return Ok((text, images));
        }
        let mut parts = Elements::of(raw).ok_or_else(wrong)?;
        let (mut texts, mut nr) = (0, 0);
        while parts.more() {
            let at = format!("{at}.{name}[{nr}]");
            let json = parts.element();
            let part: Part<'_> = fields::object(&at, json, PART)?;
            nr += 1;
            let piece = match part.kind.as_ref() {
                "input_text" | "output_text" | "text" | "summary_text" | "reasoning_text" => {
                    alone(&at, json, part.text, NO_MEDIUM)?
                }
                "refusal" => alone(&at, json, part.refusal, NO_MEDIUM)?,
                _ => {
                    let medium = self.medium(&at, json, &part)?;
                    images.push(Image { place: text.spelled_len(), ..medium });
                    continue;
                }
            };
            let piece = piece.ok_or_else(|| ApiError::missing(format!("{at}.text")))?;
            if texts > 0 {
                text.push_line_end();
            }
            text.push(piece);
            texts += 1;
        }
        Ok((text, images))
    }

    /// The medium of a part.
    fn medium(&mut self, at: &str, json: &str, part: &Part<'_>) -> Result<Image, ApiError> {
        let own = |own: &str| no_medium_but(at, json, own, ONE_MEDIUM);
        let medium = match part.kind.as_ref() {
            "input_image" => return own("image_url").and_then(|()| self.picture(at, part)),
            "input_file" => own("file_data").and_then(|()| self.file(at, part))?,
            "input_audio" => {
                own("input_audio")?;
                media::sound(at, part.input_audio, &mut self.allowance)?
            }
            _ => return Err(ApiError::unsupported(format!("{at}.type"), PARTS)),
        };
        self.attached.get_or_insert_with(|| format!("{at}.type"));
        Ok(medium)
    }

    fn picture(&mut self, at: &str, part: &Part<'_>) -> Result<Image, ApiError> {
        // By itself a server looks as it likes.
        let detail = part.detail.as_deref().filter(|detail| *detail != "auto").map(Box::from);
        let param = format!("{at}.image_url");
        match &part.image_url {
            Some(url) => Ok(Image { detail, ..media::picture(&param, url, &mut self.allowance)? }),
            None if part.file_id.is_some() => Err(ApiError::unsupported(format!("{at}.file_id"), NO_FILES)),
            None => Err(ApiError::missing(param)),
        }
    }

    fn file(&mut self, at: &str, part: &Part<'_>) -> Result<Image, ApiError> {
        if let Some(url) = part.file_url.filter(|url| media::carries(url.get())) {
            let (param, is_data) = (format!("{at}.file_url"), url.get().starts_with("\"data:"));
            return Err(if is_data {
                ApiError::unsupported(param, NO_FILES)
            } else {
                media::elsewhere(&param)
            });
        }
        match &part.file_data {
            Some(data) => media::file(at, data, part.filename.as_deref(), &mut self.allowance),
            None if part.file_id.is_some() => Err(ApiError::unsupported(format!("{at}.file_id"), NO_FILES)),
            None => Err(ApiError::missing(format!("{at}.file_data"))),
        }
    }
}

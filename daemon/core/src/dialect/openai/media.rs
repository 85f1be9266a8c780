//! Pictures and other media inside a conversation.
//!
//! Knows data URLs and how much of them a request may hold. Refuses to fetch: an address in a request would make
//! this machine ask its neighbours on a stranger's behalf, and a path an engine read its own files. Invariants: in no part of a content
//! that may hold media, and in no other member that is called a medium, does an address or a path pass, however deep it stands; each medium
//! is counted, and of a video that is a list of pictures each of these.

mod place;
mod sieve;
mod turn;

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use self::place::{is_base64, is_data_url};
use self::sieve::{Rule, medium_named, sift};
use self::turn::Turn;
use super::fields::{self, Fields, Pairs};
use crate::chat::Image;
use crate::config::Limits;
use crate::dialect::json::{self, Object};
use crate::error::{ApiError, Code};

/// What carries bytes of its own.
#[derive(Debug, Clone, Copy)]
enum Medium {
    Picture,
    Sound,
    Video,
    File,
}

impl Medium {
    /// How one is sent.
    fn url(self) -> &'static str {
        match self {
            Self::Picture => "data:image/png;base64,...",
            Self::Sound => "data:audio/wav;base64,...",
            Self::Video => "data:video/mp4;base64,...",
            Self::File => "data:application/pdf;base64,...",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Picture => "a picture",
            Self::Sound => "a sound",
            Self::Video => "a video",
            Self::File => "a file",
        }
    }
}

/// What a request has used of its pictures, sounds, videos and files so far, and what it may.
pub(in crate::dialect) struct Allowance<'a> {
    parts: usize,
    bytes: usize,
    limits: &'a Limits,
}

impl<'a> Allowance<'a> {
    pub(in crate::dialect) fn new(limits: &'a Limits) -> Self {
        Self { parts: 0, bytes: 0, limits }
    }

    fn take(&mut self, param: &str, medium: Medium, base64: &str) -> Result<(), ApiError> {
        self.parts += 1;
        self.bytes = self.bytes.saturating_add(base64.len() / 4 * 3);
        let Limits { media_parts, media_bytes, .. } = self.limits;
        if self.parts > *media_parts || self.bytes > media_bytes.as_usize() {
            let frames = if matches!(medium, Medium::Video) { "; each frame of a list is one" } else { "" };
            let expected = format!(
                "{} among at most {media_parts} pictures, sounds, videos and files, {media_bytes} together \
                 (limits.media_parts, limits.media_bytes{frames})",
                medium.words()
            );
            return Err(ApiError::invalid_value(param, &expected));
        }
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Url<'a> {
    Named(#[serde(borrow)] Object<Named<'a>>),
    Text(#[serde(borrow)] Cow<'a, str>),
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    url: Cow<'a, str>,
    /// Of any type: that it is one of OpenAI's words is not for whoever passes it on to see.
    detail: Option<Value>,
}

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

/// Reads the picture of a content part; `at` names the part.
pub(super) fn image(
    at: &str,
    raw: Option<&RawValue>,
    allowance: &mut Allowance<'_>,
) -> Result<Image, ApiError> {
    let param = format!("{at}.image_url.url");
    let raw = raw.ok_or_else(|| ApiError::missing(format!("{at}.image_url")))?;
    let url: Url<'_> = serde_json::from_str(raw.get())
        .map_err(|_| ApiError::invalid_type(format!("{at}.image_url"), "an object with a url"))?;
    let url = match &url {
        Url::Named(Object(Named { url, .. })) | Url::Text(url) => url.as_ref(),
    };
    picture(&param, url, allowance)
}

/// The picture in a data URL, which stands at the beginning of its text until its reader says where; `param` names the field that holds it.
pub(in crate::dialect) fn picture(
    param: &str,
    url: &str,
    allowance: &mut Allowance<'_>,
) -> Result<Image, ApiError> {
    let (media_type, base64) = data_url(param, url)?;
    allowance.take(param, Medium::Picture, base64)?;
    Ok(Image { media_type: media_type.to_owned(), base64: base64.to_owned(), place: 0 })
}

/// Media type and base64 text of a data URL.
fn data_url<'a>(param: &str, url: &'a str) -> Result<(&'a str, &'a str), ApiError> {
    let data = url.get(..5).filter(|scheme| scheme.eq_ignore_ascii_case("data:")).and_then(|_| url.get(5..));
    let Some(data) = data else { return Err(remote(param, Medium::Picture)) };
    let wrong = || ApiError::invalid_value(param, "a URL such as data:image/png;base64,...");
    let (kind, base64) = data.split_once(";base64,").ok_or_else(wrong)?;
    let alphabet = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    if !kind.starts_with("image/") || base64.is_empty() || !base64.bytes().all(alphabet) {
        return Err(wrong());
    }
    Ok((kind, base64))
}

fn remote(param: &str, medium: Medium) -> ApiError {
    let message = format!(
        "The field '{param}' must be a data URL ({}): this daemon fetches nothing, and has no file opened.",
        medium.url()
    );
    ApiError::new(Code::InvalidValue, message).with_param(param)
}

/// Refuses remote media in a request that is passed on; what else is wrong with it is the engine's to judge. Gives back what one of
/// them would not hear.
pub(super) fn check_passed(fields: &Fields<'_>, limits: &Limits) -> Result<Unheard, ApiError> {
    let (mut allowance, mut unheard) = (Allowance::new(limits), Unheard::default());
    beside(fields, &mut allowance)?;
    let Some(messages) = fields.get("messages") else { return Ok(unheard) };
    if !messages.get().starts_with('[') {
        return Err(ApiError::invalid_type("messages", "a list of messages"));
    }
    let check =
        |place, Object(turn): Object<Turn<'_>>| check_turn(place, &turn, &mut allowance, &mut unheard);
    json::each(messages, check, |place, what| {
        // Also where a key is doubled: what is read here would not be what the engine reads.
        no_object(&format!("messages[{place}]"), "a message object", what)
    })?;
    Ok(unheard)
}

/// The same of a request that has no conversation.
pub(super) fn check_beside(fields: &Fields<'_>, limits: &Limits) -> Result<(), ApiError> {
    beside(fields, &mut Allowance::new(limits))
}

/// Fields that are called as media are: beside a conversation some servers take its pictures.
fn beside(fields: &Fields<'_>, allowance: &mut Allowance<'_>) -> Result<(), ApiError> {
    // OpenAI's says how an answer shall be spoken, and is refused by the table.
    for (name, raw) in fields.present().filter(|(name, _)| *name != "audio") {
        if let Some(medium) = medium_named(name) {
            sift(name, raw, (Rule::Bytes, medium), allowance)?;
        }
    }
    Ok(())
}

fn check_turn(
    place: usize,
    turn: &Turn<'_>,
    allowance: &mut Allowance<'_>,
    unheard: &mut Unheard,
) -> Result<(), ApiError> {
    let is_there = |raw: &RawValue| raw.get() != "null";
    let of_a_tool = turn.role.is_some_and(|role| role.get() == "\"tool\"");
    unheard.name |= turn.name.is_some_and(is_there) && !of_a_tool;
    for (name, medium, raw) in &turn.media {
        // Ollama's native turns have their pictures there, and some servers read it of a chat's too.
        unheard.audio |= name == "audio" && is_there(raw);
        sift(&format!("messages[{place}].{name}"), raw, (Rule::Bytes, *medium), allowance)?;
    }
    let Some(content) = turn.content else { return Ok(()) };
    let at = format!("messages[{place}].content");
    if content.get().starts_with('{') {
        // Some engines take one part in the place of a list of them.
        unheard.detail |= check_part(&at, content, allowance)?;
    } else if content.get().starts_with('[') {
        let parts: Vec<&RawValue> = serde_json::from_str(content.get()).unwrap_or_default();
        for (nr, part) in parts.iter().enumerate() {
            unheard.detail |= check_part(&format!("{at}[{nr}]"), part, allowance)?;
        }
    }
    Ok(())
}

/// What is no such object, or has a member twice, which serde's words tell; these hold a client's own in any other case.
fn no_object(at: &str, expected: &str, words: &str) -> ApiError {
    match json::doubled(words) {
        None => ApiError::invalid_type(at, expected),
        Some(twice) => {
            let message = format!("The field '{at}' must be {expected} with each member once: {twice}.");
            ApiError::new(Code::InvalidType, message).with_param(at)
        }
    }
}

/// So many members of a part are looked at; more than any has that is not made to be many.
const MEMBERS: usize = 32;
/// The types of parts that are text, by OpenAI's API, and by vLLM's (`thinking`, `tool_reference`).
const TEXTS: [&str; 6] = ["text", "input_text", "output_text", "refusal", "thinking", "tool_reference"];
/// Those that hold a medium, as OpenAI's API and the engines' servers call them.
const MEDIA: [(&str, Medium); 11] = [
    ("image_url", Medium::Picture),
    ("input_image", Medium::Picture),
    ("image", Medium::Picture),
    ("input_audio", Medium::Sound),
    ("audio_url", Medium::Sound),
    ("audio", Medium::Sound),
    ("video_url", Medium::Video),
    ("video", Medium::Video),
    ("input_video", Medium::Video),
    ("file", Medium::File),
    ("input_file", Medium::File),
];
/// What engines would unpack (CVE-2025-62164), by vLLM's names.
const TENSORS: [&str; 4] = ["image_embeds", "audio_embeds", "video_embeds", "prompt_embeds"];
/// What an answer's text has beside it when it comes back, among it the addresses that it has cited. No engine opens these.
const BESIDE_TEXT: [&str; 3] = ["annotations", "citations", "logprobs"];

/// Whether it is to be looked at more or less closely than an engine does by itself.
fn check_part(at: &str, part: &RawValue, allowance: &mut Allowance<'_>) -> Result<bool, ApiError> {
    let members = members(at, part)?;
    if let Some((name, _)) = members.iter().find(|(name, _)| TENSORS.contains(&name.as_ref())) {
        let why = "Tensors are not taken from clients: engines unpack them.";
        return Err(ApiError::unsupported(format!("{at}.{name}"), why));
    }
    let of = kind(at, &members)?;
    let (taken, mut detail) = (allowance.parts, false);
    for (name, raw) in &members {
        let medium = medium_of(name);
        match (name.as_ref(), medium) {
            ("type", _) => {}
            (beside, _) if of.is_none() && BESIDE_TEXT.contains(&beside) => {}
            ("image_url" | "audio_url" | "video_url", Some(medium)) => {
                detail |= check_url(&format!("{at}.{name}"), raw, medium, allowance)?;
            }
            ("input_audio" | "file", Some(medium)) => {
                check_inline(&format!("{at}.{name}"), raw, medium, allowance)?;
            }
            (other, medium) => {
                let outer = if of.is_some() { Rule::Medium } else { Rule::Beside };
                let medium = medium.or(of).unwrap_or(Medium::File);
                sift(&named(at, other), raw, (outer.of(other), medium), allowance)?;
            }
        }
    }
    // One that carries nothing which was counted counts nevertheless: an engine may keep it by a name.
    match of {
        Some(medium) if allowance.parts == taken => allowance.take(at, medium, "")?,
        Some(_) | None => {}
    }
    Ok(detail)
}

/// A part's members, each once: one that is there twice could show one address here and another one to the engine, and of which case
/// its name is matters to some readers alone.
fn members<'a>(at: &str, part: &'a RawValue) -> Result<Pairs<'a>, ApiError> {
    let read = fields::pairs(&mut serde_json::Deserializer::from_str(part.get()), MEMBERS);
    let Ok(members) = read else {
        let message = format!("The field '{at}' is not a content part: it must be an object with a type.");
        return Err(ApiError::new(Code::InvalidType, message).with_param(at));
    };
    if members.len() > MEMBERS {
        return Err(ApiError::invalid_value(at, &format!("a content part of at most {MEMBERS} members")));
    }
    for (place, (name, _)) in members.iter().enumerate() {
        if members.iter().skip(place + 1).any(|(other, _)| other.eq_ignore_ascii_case(name)) {
            let param = named(at, name);
            let message = format!("The field '{param}' is there twice.");
            return Err(ApiError::new(Code::InvalidType, message).with_param(param));
        }
    }
    Ok(members)
}

/// The medium of a part of this type, none where it is text. One without a type is an engine's to judge by its members.
fn kind(at: &str, members: &Pairs<'_>) -> Result<Option<Medium>, ApiError> {
    let Some((_, raw)) = members.iter().find(|(name, raw)| name == "type" && raw.get() != "null") else {
        return Ok(members.iter().find_map(|(name, _)| medium_of(name)));
    };
    let name: Cow<'_, str> = serde_json::from_str(raw.get())
        .map_err(|_| ApiError::invalid_type(format!("{at}.type"), "the name of a type"))?;
    if TEXTS.contains(&name.as_ref()) {
        return Ok(None);
    }
    if let Some(medium) = medium_of(&name) {
        return Ok(Some(medium));
    }
    let [media @ .., last] = MEDIA.map(|(name, _)| name);
    let known = format!("{}, {} or {last}", TEXTS.join(", "), media.join(", "));
    let unknown = if is_plain(&name) { name.as_ref() } else { "that" };
    let why = format!("A part is of the type {known}; {unknown} is none of them.");
    Err(ApiError::unsupported(format!("{at}.type"), &why))
}

fn medium_of(name: &str) -> Option<Medium> {
    MEDIA.iter().find(|(media, _)| *media == name).map(|(_, medium)| *medium)
}

/// What a member is called in an error: one whose name may be anything is not repeated.
fn named(at: &str, name: &str) -> String {
    if is_plain(name) { format!("{at}.{name}") } else { at.to_owned() }
}

/// Whether a name may be repeated in an error: one like those that members have.
fn is_plain(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    (1..=32).contains(&name.len()) && name.bytes().all(fits)
}

/// A medium by its URL; whether it is to be looked at more or less closely.
fn check_url(
    at: &str,
    raw: &RawValue,
    medium: Medium,
    allowance: &mut Allowance<'_>,
) -> Result<bool, ApiError> {
    if raw.get() == "null" {
        return Ok(false);
    }
    let param = format!("{at}.url");
    let Ok(url) = serde_json::from_str::<Url<'_>>(raw.get()) else { return Err(remote(&param, medium)) };
    let detail = matches!(&url, Url::Named(Object(Named { detail: Some(word), .. })) if word != "auto");
    let (Url::Named(Object(Named { url, .. })) | Url::Text(url)) = &url;
    if !is_data_url(url) {
        return Err(remote(&param, medium));
    }
    allowance.take(&param, medium, url)?;
    if raw.get().starts_with('{') {
        // Beside its URL, of which engines may read more.
        sift_beside(at, raw, &["url", "detail"], medium, allowance)?;
    }
    Ok(detail)
}

/// What carries its bytes itself, and would be counted by nobody else; an address in its place is refused. What stands there is base64 because
/// of where it stands: an MP3's begins as an address without its scheme does (`//uQ`).
fn check_inline(
    at: &str,
    raw: &RawValue,
    medium: Medium,
    allowance: &mut Allowance<'_>,
) -> Result<(), ApiError> {
    #[derive(Deserialize)]
    struct Inline<'a> {
        #[serde(borrow, alias = "file_data")]
        data: Option<Cow<'a, str>>,
        #[serde(borrow, alias = "file_url")]
        url: Option<&'a RawValue>,
    }
    if raw.get() == "null" {
        return Ok(());
    }
    let field = if matches!(medium, Medium::File) { "file_data" } else { "data" };
    let Ok(Object(inline)) = serde_json::from_str::<Object<Inline<'_>>>(raw.get()) else {
        return Err(ApiError::invalid_type(at, &format!("an object with {field}, each of its fields once")));
    };
    if inline.url.is_some() {
        return Err(remote(&format!("{at}.file_url"), medium));
    }
    let (param, data) = (format!("{at}.{field}"), inline.data.unwrap_or_default());
    if !is_data_url(&data) && !is_base64(&data) {
        return Err(remote(&param, medium));
    }
    allowance.take(&param, medium, &data)?;
    sift_beside(at, raw, &["data", "file_data"], medium, allowance)
}

/// Sifts all members of an object but these.
fn sift_beside(
    at: &str,
    raw: &RawValue,
    known: &[&str],
    medium: Medium,
    allowance: &mut Allowance<'_>,
) -> Result<(), ApiError> {
    for (name, value) in members(at, raw)?.iter().filter(|(name, _)| !known.contains(&name.as_ref())) {
        sift(&named(at, name), value, (Rule::Medium.of(name), medium), allowance)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;

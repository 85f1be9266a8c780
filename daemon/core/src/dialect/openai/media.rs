//! Pictures and other media inside a conversation.
//!
//! Knows data URLs and how much of them a request may hold. Refuses to fetch: an address in a request would make
//! this machine ask its neighbours on a stranger's behalf, and a path an engine read its own files. Invariants: in no part of a content
//! that may hold media does an address or a path pass, whatever its member is called and however deep it stands; each medium is counted.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Value, value::RawValue};

use super::fields::{self, Pairs};
use crate::chat::Image;
use crate::config::Limits;
use crate::dialect::json::{self, Quoted};
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
            let expected = format!(
                "{} among at most {media_parts} pictures, sounds, videos and files, {media_bytes} together \
                 (limits.media_parts, limits.media_bytes)",
                medium.words()
            );
            return Err(ApiError::invalid_value(param, &expected));
        }
        Ok(())
    }
}

/// Where a medium is: an object that says so, or the text itself.
#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    url: Cow<'a, str>,
    /// Of any type: that it is one of OpenAI's words is not for whoever passes it on to see.
    detail: Option<Value>,
}

impl<'a> Named<'a> {
    /// Reads it of the field that `at` names; none where it is of another form.
    fn read(at: &str, raw: &'a RawValue) -> Result<Option<Self>, ApiError> {
        if let Some(url) = Quoted::of(raw.get()) {
            return Ok(Some(Self { url: url.text(), detail: None }));
        }
        match json::object(raw.get()) {
            Ok(named) => Ok(Some(named)),
            Err(words) => fields::doubled(at, raw.get(), &words).map_or(Ok(None), Err),
        }
    }
}

/// Reads the picture of a content part; `at` names the part.
pub(super) fn image(
    at: &str,
    raw: Option<&RawValue>,
    allowance: &mut Allowance<'_>,
) -> Result<Image, ApiError> {
    let param = format!("{at}.image_url.url");
    let raw = raw.ok_or_else(|| ApiError::missing(format!("{at}.image_url")))?;
    let at = format!("{at}.image_url");
    let named = Named::read(&at, raw)?.ok_or_else(|| ApiError::invalid_type(at, "an object with a url"))?;
    picture(&param, &named.url, allowance)
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
    let message =
        format!("The field '{param}' must be a data URL ({}): this daemon fetches nothing.", medium.url());
    ApiError::new(Code::InvalidValue, message).with_param(param)
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
/// Members whose text is a person's or a model's, and may speak of any address or path, or a name that no engine opens.
const WORDS: [&str; 10] = [
    "text",
    "refusal",
    "thinking",
    "signature",
    "id",
    "uuid",
    "tool_name",
    "alt_text",
    "caption",
    "transcript",
];
/// Members that name a medium for people.
const NAMES: [&str; 3] = ["filename", "title", "name"];
/// What an answer's text has beside it when it comes back, among it the addresses that it has cited. No engine opens these.
const BESIDE_TEXT: [&str; 3] = ["annotations", "citations", "logprobs"];

/// What was seen of a part.
pub(super) struct Seen {
    /// Whether it is to be looked at more or less closely than an engine does by itself.
    pub(super) detail: bool,
    /// Bytes of its words, where it has any.
    pub(super) said: Option<usize>,
}

/// Refuses what is not to pass; what else is wrong with a part is the engine's to judge.
pub(super) fn check_part(at: &str, part: &RawValue, allowance: &mut Allowance<'_>) -> Result<Seen, ApiError> {
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
            (words, _) if WORDS.contains(&words) && raw.get().starts_with('"') => {}
            (beside, _) if of.is_none() && BESIDE_TEXT.contains(&beside) => {}
            ("image_url" | "audio_url" | "video_url", Some(medium)) => {
                detail |= check_url(&format!("{at}.{name}"), raw, medium, allowance)?;
            }
            ("input_audio" | "file", Some(medium)) => {
                check_inline(&format!("{at}.{name}"), raw, medium, allowance)?;
            }
            (other, medium) => {
                sift_member(at, other, raw, medium.or(of).unwrap_or(Medium::File), allowance)?;
            }
        }
    }
    // One that carries nothing which was counted counts nevertheless: an engine may keep it by a name.
    match of {
        Some(medium) if allowance.parts == taken => allowance.take(at, medium, "")?,
        Some(_) | None => {}
    }
    let mut words = members.iter().filter(|(name, _)| matches!(name.as_ref(), "text" | "refusal"));
    let said = words.find_map(|(_, words)| Quoted::of(words.get())).map(Quoted::text_length);
    Ok(Seen { detail, said })
}

/// A part's members, each once: one that is there twice could show one address here and another one to the engine, and of which case
/// its name is matters to some readers alone.
fn members<'a>(at: &str, part: &'a RawValue) -> Result<Pairs<'a>, ApiError> {
    let read = fields::pairs(&mut serde_json::Deserializer::from_str(part.get()), MEMBERS);
    let Ok(members) = read else {
        return Err(fields::unlike(at, part.get(), fields::PART, ""));
    };
    if members.len() > MEMBERS {
        return Err(ApiError::invalid_value(at, &format!("a content part of at most {MEMBERS} members")));
    }
    for (place, (name, _)) in members.iter().enumerate() {
        if members.iter().skip(place + 1).any(|(other, _)| other.eq_ignore_ascii_case(name)) {
            return Err(ApiError::doubled(named(at, name)));
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
    let Some(Named { url, detail }) = Named::read(at, raw)? else { return Err(remote(&param, medium)) };
    if !is_data_url(&url) {
        return Err(remote(&param, medium));
    }
    allowance.take(&param, medium, &url)?;
    if raw.get().starts_with('{') {
        // Beside its URL, of which engines may read more.
        sift_beside(at, raw, &["url", "detail"], medium, allowance)?;
    }
    Ok(detail.is_some_and(|word| word != "auto"))
}

/// What carries its bytes itself, and would be counted by nobody else; an address in its place is refused.
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
    let wrong = |_words: String| {
        // serde has one name for both of a member, and so its words are not the ones.
        let twice = raw.get().starts_with('{').then(|| members(at, raw).err()).flatten();
        twice.unwrap_or_else(|| fields::unlike(at, raw.get(), &format!("an object with {field}"), ""))
    };
    let inline: Inline<'_> = json::object(raw.get()).map_err(wrong)?;
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
        sift_member(at, name, value, medium, allowance)?;
    }
    Ok(())
}

/// Sifts one member.
fn sift_member(
    at: &str,
    name: &str,
    raw: &RawValue,
    medium: Medium,
    allowance: &mut Allowance<'_>,
) -> Result<(), ApiError> {
    let param = named(at, name);
    if NAMES.contains(&name)
        && let Ok(text) = serde_json::from_str::<Cow<'_, str>>(raw.get())
    {
        // A colon may stand in one: no engine opens it.
        let addresses =
            text.contains("://") || text.get(..5).is_some_and(|begin| begin.eq_ignore_ascii_case("file:"));
        // As Office calls what it has open.
        let is_name = !addresses && (!is_path(&text) || text.starts_with("~$"));
        let wanted = "a name without a path or an address";
        return if is_name { Ok(()) } else { Err(ApiError::invalid_value(param, wanted)) };
    }
    sift(&param, raw, medium, allowance)
}

fn is_data_url(url: &str) -> bool {
    url.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"))
}

/// Whether a text is nothing but base64, as far as its letters tell; engines decode what stands where this is asked of.
fn is_base64(text: &str) -> bool {
    let letter = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_' | b'\r' | b'\n')
    };
    text.bytes().all(letter) && !is_path(text)
}

/// Whether a text says where something is, rather than what: an address of any scheme but `data:`, or a path from a root or a home.
/// Browsers and Python's readers pass over what is not printed before it.
fn is_place(text: &str) -> bool {
    let text = text.trim_start_matches(|letter: char| letter.is_whitespace() || letter.is_control());
    let scheme = text.split_once(':').map(|(scheme, _)| scheme).filter(|scheme| {
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        scheme.starts_with(|first: char| first.is_ascii_alphabetic()) && scheme.bytes().all(letter)
    });
    scheme.is_some_and(|scheme| !scheme.eq_ignore_ascii_case("data")) || is_path(text)
}

/// Whether a text is a path from a root, a home or here. Base64 begins with a slash as well where its first byte is one of the last four:
/// that of pictures in JPEG (`/9j/`), and of sounds in MPEG's forms, whose first eleven bits are ones (`/+`, `//`).
fn is_path(text: &str) -> bool {
    let sound = text.strip_prefix("//").or_else(|| text.strip_prefix("/+")).is_some_and(|rest| {
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
        rest.len() >= SOUND && rest.bytes().all(letter)
    });
    let base64 = sound || text.starts_with("/9j/");
    (text.starts_with('/') && !base64)
        || ["~", "./", "../", "\\", ".\\", "..\\"].iter().any(|begin| text.starts_with(begin))
}

/// The shortest sound that is taken for base64 where it begins like a path: a few tenths of a second. No path is as long (Linux's `PATH_MAX`).
const SOUND: usize = 4096;

/// Looks through a value of whatever form, once, for what would be fetched or opened, and counts what carries bytes.
fn sift(param: &str, raw: &RawValue, medium: Medium, allowance: &mut Allowance<'_>) -> Result<(), ApiError> {
    let mut sieve = Sieve { param, medium, allowance, failed: None };
    let read = sieve.deserialize(&mut serde_json::Deserializer::from_str(raw.get()));
    match (sieve.failed, read) {
        (Some(error), _) => Err(error),
        (None, Ok(())) => Ok(()),
        // A number that no reader keeps, such as 1e999.
        (None, Err(_)) => Err(ApiError::invalid_value(param, "a value that can be read")),
    }
}

/// What a text is taken for bytes from on, where nothing says so: a name is shorter.
const BYTES: usize = 256;

struct Sieve<'a, 'b> {
    param: &'a str,
    medium: Medium,
    allowance: &'a mut Allowance<'b>,
    failed: Option<ApiError>,
}

impl Sieve<'_, '_> {
    fn text(&mut self, text: &str) -> Result<(), ApiError> {
        if is_place(text) {
            return Err(remote(self.param, self.medium));
        }
        if is_data_url(text) || text.len() > BYTES {
            self.allowance.take(self.param, self.medium, text)?;
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for &mut Sieve<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut Sieve<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.text(text).map_err(|error| {
            self.failed = Some(error);
            E::custom("refused")
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(&mut *self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        while object.next_key::<IgnoredAny>()?.is_some() {
            object.next_value_seed(&mut *self)?;
        }
        Ok(())
    }

    fn visit_bool<E: Error>(self, _value: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _value: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _value: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _value: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;

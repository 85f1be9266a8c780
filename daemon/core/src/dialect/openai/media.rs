//! Pictures and other media inside a conversation.
//!
//! Knows data URLs and how much of them a request may hold. Refuses to fetch: an address in a request would make
//! this machine ask its neighbours on a stranger's behalf, and a path an engine read its own files. Invariants: in no part of a content
//! that may hold media, and in no other member that is called a medium, does an address or a path pass, however deep it stands; each medium
//! is counted, and of a video that is a list of pictures each of these.

mod place;
mod sieve;

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use self::place::{is_base64, is_data_url, is_medium};
use self::sieve::{Rule, medium_named, sift};
use super::fields::{self, Fields, Pairs};
use super::table::Behind;
use crate::chat::{Image, MediumKind};
use crate::config::Limits;
use crate::dialect::json::{self, Elements, Entries, Quoted};
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
    allowance.take(param, Medium::Picture, &base64)?;
    Ok(Image::picture(media_type, base64))
}

/// The pictures of a turn by Ollama's own member, each in base64 or as a data URL; `param` names the member.
pub(super) fn pictures(
    param: &str,
    raw: &RawValue,
    allowance: &mut Allowance<'_>,
) -> Result<Vec<Image>, ApiError> {
    if !carries(raw.get()) {
        return Ok(Vec::new());
    }
    if raw.get().starts_with('"') {
        return native(param, raw.get(), allowance).map(|picture| vec![picture]);
    }
    let list = Elements::of(raw);
    let mut list = list.ok_or_else(|| ApiError::invalid_type(param, "a list of pictures"))?;
    let mut pictures = Vec::new();
    while list.more() {
        let at = format!("{param}[{}]", pictures.len());
        pictures.push(native(&at, list.element(), allowance)?);
    }
    Ok(pictures)
}

fn native(at: &str, json: &str, allowance: &mut Allowance<'_>) -> Result<Image, ApiError> {
    let text = Quoted::of(json).map(Quoted::text);
    let text = text.ok_or_else(|| ApiError::invalid_type(at, "a picture in base64, or as a data URL"))?;
    if is_data_url(&text) {
        return picture(at, &text, allowance);
    }
    if !is_medium(&text) {
        return Err(remote(at, Medium::Picture));
    }
    let base64 = bare(at, &text)?;
    allowance.take(at, Medium::Picture, &base64)?;
    Ok(Image::picture(form_of(&base64), base64))
}

/// The type of a picture, by how its base64 begins.
fn form_of(base64: &str) -> &'static str {
    const FORMS: [(&str, &str); 4] =
        [("iVBORw0K", "image/png"), ("/9j/", "image/jpeg"), ("R0lGOD", "image/gif"), ("UklGR", "image/webp")];
    let form = FORMS.iter().find(|(begin, _)| base64.starts_with(begin));
    // Whoever decodes it sees by its bytes what it is.
    form.map_or("image/*", |(_, form)| form)
}

/// Whether a member has anything in it.
pub(in crate::dialect) fn carries(json: &str) -> bool {
    !matches!(json, "null" | "false" | "[]" | "{}" | "\"\"")
}

/// Media type and base64 text of a data URL.
fn data_url<'a>(param: &str, url: &'a str) -> Result<(&'a str, Cow<'a, str>), ApiError> {
    let data = url.get(..5).filter(|scheme| scheme.eq_ignore_ascii_case("data:")).and_then(|_| url.get(5..));
    let Some(data) = data else { return Err(remote(param, Medium::Picture)) };
    let picture = data.split_once(";base64,").filter(|(kind, _)| kind.starts_with("image/"));
    let wrong =
        || ApiError::invalid_value(param, "a picture as data:image/png;base64, and its bytes behind that");
    let (kind, base64) = picture.ok_or_else(wrong)?;
    Ok((kind, bare(param, base64)?))
}

/// Base64 of the usual alphabet without the line ends that some encoders write in it, which an Ollama need not see.
fn bare<'a>(param: &str, base64: &'a str) -> Result<Cow<'a, str>, ApiError> {
    let bare: Cow<'_, str> = match memchr::memchr2(b'\r', b'\n', base64.as_bytes()) {
        Some(_) => base64.replace(['\r', '\n'], "").into(),
        None => base64.into(),
    };
    let alphabet = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    if bare.is_empty() || !bare.bytes().all(alphabet) {
        let expected = "a picture in base64 of letters, digits, '+', '/' and '='; lines may end in it";
        return Err(ApiError::invalid_value(param, expected));
    }
    Ok(bare)
}

fn remote(param: &str, medium: Medium) -> ApiError {
    let message = format!(
        "The field '{param}' must be a data URL ({}): this daemon fetches nothing, and has no file opened.",
        medium.url()
    );
    ApiError::new(Code::InvalidValue, message).with_param(param)
}

/// Media that a request has beside the parts of its contents, where servers of OpenAI's API may read them and no other engine does: the first
/// of each, as errors name it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Beside {
    /// Beside the conversation, or without one.
    pub(super) field: Option<Box<str>>,
    /// What an Ollama takes, or is refused by whoever writes its request: a turn's pictures as Ollama's own chats have them, and media in
    /// parts that are text.
    images: Option<Box<str>>,
    /// Of a turn, by any other member.
    other: Option<Box<str>>,
}

impl Beside {
    /// Of a request without turns.
    pub(super) fn of(field: Option<Box<str>>) -> Self {
        Self { field, ..Self::default() }
    }

    /// Notes a turn's member of this name.
    pub(super) fn add(&mut self, at: String, name: &str, raw: &RawValue) {
        // What an assistant has said aloud is a name, and told of by whoever looks for that.
        let is_said = name == "audio" && raw.get().starts_with('{');
        if !carries(raw.get()) || is_said {
            return;
        }
        let first = if name == IMAGES { &mut self.images } else { &mut self.other };
        first.get_or_insert(at.into());
    }

    /// Notes a medium in a part that is text.
    pub(super) fn in_text(&mut self, at: Option<Box<str>>) {
        if let Some(at) = at {
            self.images.get_or_insert(at);
        }
    }

    /// Refuses by its name what such an engine would not see.
    pub(super) fn check(&self, behind: Behind) -> Result<(), ApiError> {
        let images = self.images.as_ref().filter(|_| behind == Behind::Engine);
        let unseen = self.field.as_ref().or(self.other.as_ref()).or(images);
        match (behind, unseen) {
            (Behind::OpenAi, _) | (_, None) => Ok(()),
            (Behind::Ollama, Some(at)) => Err(ApiError::unsupported(&**at, PICTURES_ALONE)),
            (Behind::Engine, Some(at)) => Err(ApiError::unsupported(&**at, TEXT_ALONE)),
        }
    }
}

/// Ollama's own member of a turn.
const IMAGES: &str = "images";
const PICTURES_ALONE: &str = "The engine of this model takes pictures alone, in a turn's content as parts of the type image_url, or in a \
                              chat's turn as images.";
const TEXT_ALONE: &str = "The engine of this model reads text alone.";

/// Refuses remote media in fields that are called as media are: beside a conversation, or without one, some servers take pictures there.
/// Gives the first field that has any.
pub(super) fn check_beside(
    fields: &Fields<'_>,
    allowance: &mut Allowance<'_>,
) -> Result<Option<Box<str>>, ApiError> {
    let mut first = None;
    // OpenAI's says how an answer shall be spoken, and is refused by the table.
    for (name, raw) in fields.present().filter(|(name, _)| *name != "audio") {
        check_named(name, name, raw, allowance)?;
        if first.is_none() && is_named_so(name) && carries(raw.get()) {
            first = Some(name.into());
        }
    }
    Ok(first)
}

/// Whether a member is called as media are.
pub(in crate::dialect) fn is_named_so(name: &str) -> bool {
    medium_named(name).is_some()
}

/// The same of one member, which `at` names in errors: Ollama's native turns have their pictures there, and some servers read them of a
/// chat's too.
pub(super) fn check_named(
    at: &str,
    name: &str,
    raw: &RawValue,
    allowance: &mut Allowance<'_>,
) -> Result<(), ApiError> {
    match medium_named(name) {
        Some(medium) => sift(at, raw, (Rule::Bytes, medium), allowance),
        None => Ok(()),
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
/// By which vLLM finds a medium again that it has had, whoever has sent it, and asks for no bytes (`vllm/entrypoints/chat_utils.py`).
const KEY: &str = "uuid";
const SHARED_KEY: &str = "By such a name an engine keeps a medium for all of its clients: one would be answered of another's picture. Send \
                          the medium itself.";
/// Where a text is from, for people: an address in it is a word as any other.
const SOURCE: &str = "source";
/// What an answer's text has beside it when it comes back, among it the addresses that it has cited. No engine opens these.
const BESIDE_TEXT: [&str; 3] = ["annotations", "citations", "logprobs"];

/// What was seen of a part.
pub(super) struct Seen {
    /// Whether it is to be looked at more or less closely than an engine does by itself.
    pub(super) detail: bool,
    /// Bytes of its words, where it has any.
    pub(super) said: Option<usize>,
    /// Where a medium stands in it although it is text.
    pub(super) lost: Option<Box<str>>,
}

/// Refuses what is not to pass; what else is wrong with a part is the engine's to judge.
pub(super) fn check_part(at: &str, part: &RawValue, allowance: &mut Allowance<'_>) -> Result<Seen, ApiError> {
    let members = members(at, part)?;
    if let Some((name, _)) = members.iter().find(|(name, _)| TENSORS.contains(&name.as_ref())) {
        let why = "Tensors are not taken from clients: engines unpack them.";
        return Err(ApiError::unsupported(format!("{at}.{name}"), why));
    }
    if let Some((name, _)) = members.iter().find(|(name, _)| fields::is_look_alike(name)) {
        return Err(fields::look_alike(&format!("{at}.{name}")));
    }
    let of = kind(at, &members)?;
    let key =
        |(name, raw): &&(Cow<'_, str>, &RawValue)| name.eq_ignore_ascii_case(KEY) && raw.get() != "null";
    if let Some((name, _)) = members.iter().find(key).filter(|_| of.is_some()) {
        return Err(ApiError::unsupported(format!("{at}.{name}"), SHARED_KEY));
    }
    let (taken, mut detail) = (allowance.parts, false);
    for (name, raw) in &members {
        let medium = medium_of(name);
        match (name.as_ref(), medium) {
            ("type", _) => {}
            (beside, _) if of.is_none() && BESIDE_TEXT.contains(&beside) => {}
            (SOURCE, _) if of.is_none() && raw.get().starts_with('"') => {}
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
    // What another medium's part has of words, nobody reads.
    let mut words =
        members.iter().filter(|(name, _)| of.is_none() && matches!(name.as_ref(), "text" | "refusal"));
    let said = words.find_map(|(_, words)| Quoted::of(words.get())).map(Quoted::text_length);
    let is_lost =
        |(name, raw): &&(Cow<'_, str>, &RawValue)| of.is_none() && is_named_so(name) && carries(raw.get());
    let lost = members.iter().find(is_lost).map(|(name, _)| named(at, name).into());
    Ok(Seen { detail, said, lost })
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
    inside(&param, &data, medium, allowance)?;
    sift_beside(at, raw, &["data", "file_data"], medium, allowance)
}

/// The text of such a member, which `param` names. Sounds alone begin as paths do.
fn inside(param: &str, data: &str, medium: Medium, allowance: &mut Allowance<'_>) -> Result<(), ApiError> {
    let is_bytes = is_base64(data) && (matches!(medium, Medium::Sound) || !data.starts_with('/'));
    if !is_data_url(data) && !is_bytes {
        return Err(remote(param, medium));
    }
    allowance.take(param, medium, data)
}

/// The sound of a content part; `at` names the part.
pub(in crate::dialect) fn sound(
    at: &str,
    raw: Option<&RawValue>,
    allowance: &mut Allowance<'_>,
) -> Result<Image, ApiError> {
    #[derive(Deserialize)]
    struct Sound {
        data: String,
        format: Option<String>,
    }
    let at = format!("{at}.input_audio");
    let raw = raw.ok_or_else(|| ApiError::missing(at.as_str()))?;
    check_inline(&at, raw, Medium::Sound, allowance)?;
    let Sound { data, format } =
        fields::object(&at, raw.get(), "an object with data, in base64, and its format")?;
    Ok(Image::other(MediumKind::Sound(format), data))
}

/// The document of a content part, with its name; `at` names the part.
pub(in crate::dialect) fn file(
    at: &str,
    data: &str,
    name: Option<&str>,
    allowance: &mut Allowance<'_>,
) -> Result<Image, ApiError> {
    inside(&format!("{at}.file_data"), data, Medium::File, allowance)?;
    if let Some(name) = name {
        sieve::name(&format!("{at}.filename"), name)?;
    }
    Ok(Image::other(MediumKind::File(name.map(str::to_owned)), data))
}

/// What lies at an address is not fetched; `param` names the field.
pub(in crate::dialect) fn elsewhere(param: &str) -> ApiError {
    remote(param, Medium::File)
}

/// The first member of an object that is called as media are and has any in it, as errors name it.
pub(in crate::dialect) fn beside(at: &str, object: &str) -> Option<String> {
    Entries::of(object)
        .map(|(name, value)| (name.text(), value))
        .find(|(name, value)| is_named_so(name) && carries(value))
        .map(|(name, _)| format!("{at}.{name}"))
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

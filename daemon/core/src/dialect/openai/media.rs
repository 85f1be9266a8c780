//! Pictures and other media inside a conversation.
//!
//! Knows data URLs and how much of them a request may hold. Refuses to fetch: an address in a request would make
//! this machine ask its neighbours on a stranger's behalf. Invariant: no remote address passes.

use std::borrow::Cow;

use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, value::RawValue};

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
    let Some(data) = data else { return Err(remote(param)) };
    let wrong = || ApiError::invalid_value(param, "a URL such as data:image/png;base64,...");
    let (kind, base64) = data.split_once(";base64,").ok_or_else(wrong)?;
    let alphabet = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    if !kind.starts_with("image/") || base64.is_empty() || !base64.bytes().all(alphabet) {
        return Err(wrong());
    }
    Ok((kind, base64))
}

fn remote(param: &str) -> ApiError {
    let message = format!(
        "The field '{param}' must be a data URL (data:image/png;base64,...): this daemon fetches nothing."
    );
    ApiError::new(Code::InvalidValue, message).with_param(param)
}

/// Refuses remote media in a conversation that is passed on; what else is wrong with it is the engine's to judge. Gives back what one of
/// them would not hear.
pub(super) fn check_passed(messages: &RawValue, limits: &Limits) -> Result<Unheard, ApiError> {
    #[derive(Deserialize)]
    struct Message<'a> {
        #[serde(borrow)]
        role: Option<&'a RawValue>,
        name: Option<IgnoredAny>,
        audio: Option<IgnoredAny>,
        #[serde(borrow)]
        content: Option<&'a RawValue>,
    }
    let (mut allowance, mut unheard) = (Allowance::new(limits), Unheard::default());
    if !messages.get().starts_with('[') {
        return Ok(unheard);
    }
    let check = |place, Object(message): Object<Message<'_>>| {
        let of_a_tool = message.role.is_some_and(|role| role.get() == "\"tool\"");
        unheard.name |= message.name.is_some() && !of_a_tool;
        unheard.audio |= message.audio.is_some();
        let Some(content) = message.content.filter(|content| content.get().starts_with('[')) else {
            return Ok(());
        };
        let parts: Vec<&RawValue> = serde_json::from_str(content.get()).unwrap_or_default();
        for (nr, part) in parts.iter().enumerate() {
            let at = format!("messages[{place}].content[{nr}]");
            unheard.detail |= check_part(&at, part, &mut allowance)?;
        }
        Ok(())
    };
    json::each(messages, check, |place, _what| {
        // Also where a key is doubled: what is read here would not be what the engine reads.
        ApiError::invalid_type(format!("messages[{place}]"), "a message object")
    })?;
    Ok(unheard)
}

/// A content part, as far as media go: by these keys, whatever its type says, since engines go by either.
#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow)]
    image_url: Option<&'a RawValue>,
    #[serde(borrow)]
    audio_url: Option<&'a RawValue>,
    #[serde(borrow)]
    video_url: Option<&'a RawValue>,
    #[serde(borrow)]
    input_audio: Option<&'a RawValue>,
    #[serde(borrow)]
    file: Option<&'a RawValue>,
    #[serde(borrow)]
    image_embeds: Option<&'a RawValue>,
    #[serde(borrow)]
    audio_embeds: Option<&'a RawValue>,
    #[serde(borrow)]
    prompt_embeds: Option<&'a RawValue>,
}

/// Whether it is to be looked at more or less closely than an engine does by itself.
fn check_part(at: &str, part: &RawValue, allowance: &mut Allowance<'_>) -> Result<bool, ApiError> {
    let Ok(Object(part)) = serde_json::from_str::<Object<Part<'_>>>(part.get()) else {
        // A part that repeats a key could show one address here and another one to the engine.
        let message = format!("The field '{at}' is not a content part.");
        return Err(ApiError::new(Code::InvalidType, message).with_param(at));
    };
    let mut detail = false;
    for (name, medium, raw) in [
        ("image_url", Medium::Picture, part.image_url),
        ("audio_url", Medium::Sound, part.audio_url),
        ("video_url", Medium::Video, part.video_url),
    ] {
        let Some(raw) = raw else { continue };
        let param = format!("{at}.{name}.url");
        let Ok(url) = serde_json::from_str::<Url<'_>>(raw.get()) else { return Err(remote(&param)) };
        detail |= matches!(&url, Url::Named(Object(Named { detail: Some(word), .. })) if word != "auto");
        let (Url::Named(Object(Named { url, .. })) | Url::Text(url)) = &url;
        if !url.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:")) {
            return Err(remote(&param));
        }
        allowance.take(&param, medium, url)?;
    }
    check_inline(at, &part, allowance)?;
    for (name, raw) in [
        ("image_embeds", part.image_embeds),
        ("audio_embeds", part.audio_embeds),
        ("prompt_embeds", part.prompt_embeds),
    ] {
        if raw.is_some() {
            let why = "Tensors are not taken from clients: engines unpack them.";
            return Err(ApiError::unsupported(format!("{at}.{name}"), why));
        }
    }
    Ok(detail)
}

/// What carries its bytes itself, and would be counted by nobody else; an address in its place is refused.
fn check_inline(at: &str, part: &Part<'_>, allowance: &mut Allowance<'_>) -> Result<(), ApiError> {
    #[derive(Deserialize)]
    struct Inline<'a> {
        #[serde(borrow, alias = "file_data")]
        data: Option<&'a RawValue>,
        #[serde(borrow, alias = "file_url")]
        url: Option<&'a RawValue>,
    }
    for (name, field, medium, raw) in [
        ("input_audio", "data", Medium::Sound, part.input_audio),
        ("file", "file_data", Medium::File, part.file),
    ] {
        let Some(raw) = raw.filter(|raw| raw.get() != "null") else { continue };
        let at = format!("{at}.{name}");
        let Ok(Object(inline)) = serde_json::from_str::<Object<Inline<'_>>>(raw.get()) else {
            return Err(ApiError::invalid_type(
                &at,
                &format!("an object with {field}, each of its fields once"),
            ));
        };
        if inline.url.is_some() {
            return Err(remote(&format!("{at}.file_url")));
        }
        allowance.take(&format!("{at}.{field}"), medium, inline.data.map_or("", RawValue::get))?;
    }
    Ok(())
}

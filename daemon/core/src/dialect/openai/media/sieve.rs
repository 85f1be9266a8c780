//! Looks through what stands in a place where a medium may, whatever it is called and however deep it stands.
//!
//! Knows by a member's name what its text is for: bytes, a name, a person's words. Refuses to know which engine reads it. Invariant: what has
//! no name that is known here is no address, no path and no file; each text of bytes is counted.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::place::{is_data_url, is_medium, is_path, is_place, is_place_or_file};
use super::{Allowance, MEDIA, Medium, remote};
use crate::error::ApiError;

/// Members whose text is a person's or a model's, and may speak of any address or path, or a name that no engine opens. Here and below
/// names are in small letters, without `-` and `_`.
const WORDS: [&str; 13] = [
    "text",
    "refusal",
    "thinking",
    "signature",
    "thoughtsignature",
    "id",
    "uuid",
    "toolname",
    "alt",
    "alttext",
    "caption",
    "description",
    "transcript",
];
/// Members that name a medium for people, or say of which language or version it is.
const NAMES: [&str; 12] = [
    "filename",
    "originalfilename",
    "originalname",
    "displayname",
    "title",
    "name",
    "label",
    "locale",
    "lang",
    "language",
    "version",
    "ref",
];
/// Members that name a medium's form, as `image/png`, besides those that end in `type`.
const FORMS: [&str; 2] = ["format", "mime"];
/// What programs remember beside a medium, and no engine opens.
const NOTES: &str = "metadata";
/// How names of members end that hold bytes, or say where they are, in the singular.
const HOLDERS: [&str; 9] = ["url", "uri", "src", "path", "data", "base64", "b64", "b64json", "byte"];
/// Further members that are media by their names.
const MORE_MEDIA: [(&str, Medium); 6] = [
    ("image_data", Medium::Picture),
    ("audio_data", Medium::Sound),
    ("video_data", Medium::Video),
    ("frame", Medium::Video),
    ("picture", Medium::Picture),
    ("file_data", Medium::File),
];

/// The medium that a member of this name holds, or several of it.
pub(super) fn medium_named(name: &str) -> Option<Medium> {
    // Nearly all names are none of these.
    if !name.get(..1).is_some_and(|first| "iIaAvVfFpP".contains(first)) {
        return None;
    }
    let name = name.to_ascii_lowercase();
    let all = || MEDIA.iter().chain(&MORE_MEDIA);
    let medium = |name: &str| all().find(|(medium, _)| *medium == name).map(|(_, medium)| *medium);
    medium(&name).or_else(|| medium(name.strip_suffix('s')?))
}

/// What a text is held to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// It is bytes: a data URL, or base64 that is a medium.
    Bytes,
    /// It may be any word, but no address, path or file.
    Medium,
    /// It stands beside a text, or names a form: no address, and no path from a root.
    Beside,
    /// It names something for people.
    Name,
    /// It is a person's or a model's own.
    Words,
    /// It is a program's own, as is all that stands in it.
    Notes,
}

impl Rule {
    /// The rule for what a member of this name holds inside of what is held to this one.
    pub(super) fn of(self, name: &str) -> Self {
        if self == Self::Notes {
            return self;
        }
        if medium_named(name).is_some() {
            return Self::Bytes;
        }
        let name = name.replace(['-', '_'], "").to_ascii_lowercase();
        let is = |names: &[&str]| names.contains(&name.as_str());
        match self {
            _ if is(&WORDS) => Self::Words,
            _ if is(&NAMES) => Self::Name,
            _ if is(&FORMS) || name.ends_with("type") => Self::Beside,
            _ if name == NOTES => Self::Notes,
            Self::Beside => Self::Beside,
            _ if HOLDERS.iter().any(|end| name.trim_end_matches('s').ends_with(end)) => Self::Bytes,
            _ => Self::Medium,
        }
    }

    /// The same for what is no text there, but has some inside.
    fn inside(self) -> Self {
        match self {
            Self::Name | Self::Words => Self::Medium,
            Self::Bytes | Self::Medium | Self::Beside | Self::Notes => self,
        }
    }
}

/// Looks through a value of whatever form, once, for what would be fetched or opened, and counts what carries bytes.
pub(super) fn sift(
    param: &str,
    raw: &RawValue,
    (rule, medium): (Rule, Medium),
    allowance: &mut Allowance<'_>,
) -> Result<(), ApiError> {
    let mut sieve = Sieve { param, medium, rule, allowance, failed: None };
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
    rule: Rule,
    allowance: &'a mut Allowance<'b>,
    failed: Option<ApiError>,
}

impl Sieve<'_, '_> {
    fn text(&mut self, text: &str) -> Result<(), ApiError> {
        let passes = match self.rule {
            Rule::Bytes => is_medium(text) || text.is_empty(),
            Rule::Medium => is_form(text) || !is_place_or_file(text),
            Rule::Beside => !is_place(text),
            Rule::Name => return name(self.param, text),
            Rule::Words => return Ok(()),
            Rule::Notes => true,
        };
        if !passes {
            let is_medium = self.rule == Rule::Bytes;
            return Err(if is_medium { remote(self.param, self.medium) } else { place(self.param) });
        }
        if self.rule == Rule::Bytes || is_data_url(text) || text.len() > BYTES {
            self.allowance.take(self.param, self.medium, text)?;
        }
        Ok(())
    }
}

/// A member that is no medium says where one is.
fn place(param: &str) -> ApiError {
    let expected = "no address, path or file's name: this daemon fetches nothing, and has no file opened";
    ApiError::invalid_value(param, expected)
}

/// Whether it is the type of a medium, as `image/png`. One that could be a file's name in a folder of that name has a dot.
fn is_form(text: &str) -> bool {
    const KINDS: [&str; 5] = ["image", "audio", "video", "application", "text"];
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-');
    text.split_once('/').is_some_and(|(kind, form)| KINDS.contains(&kind) && form.bytes().all(fits))
}

/// A name is none of a place. A colon may stand in one: no engine opens it.
pub(super) fn name(param: &str, text: &str) -> Result<(), ApiError> {
    let addresses =
        text.contains("://") || text.get(..5).is_some_and(|begin| begin.eq_ignore_ascii_case("file:"));
    // As Office calls what it has open.
    let is_name = !addresses && (!is_path(text) || text.starts_with("~$"));
    if is_name { Ok(()) } else { Err(ApiError::invalid_value(param, "a name without a path or an address")) }
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
        let outer = self.rule;
        self.rule = outer.inside();
        while list.next_element_seed(&mut *self)?.is_some() {}
        self.rule = outer;
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        let outer = self.rule;
        while let Some(name) = object.next_key::<Cow<'_, str>>()? {
            self.rule = outer.inside().of(&name);
            object.next_value_seed(&mut *self)?;
        }
        self.rule = outer;
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

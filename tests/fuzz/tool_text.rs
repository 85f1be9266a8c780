//! Calls in an engine's text: the same events however it is cut, those of a second reading, and nothing lost.
//!
//! An input is an answer's text; what is no UTF-8 is replaced, as its JSON would have had it.

use ghostllm_core::{
    chat::{ChatEvent, FinishReason},
    dialect::tool_text::ToolText,
};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::{openai_json, pieces};

const OPEN: &str = "<tool_call>";
const CLOSE: &str = "</tool_call>";
const TOOLS: [&str; 2] = ["a", "get_weather"];
/// A limit that short inputs reach, and one that they do not.
const LIMITS: [usize; 2] = [48, 1 << 20];
/// How often the closing words may stand inside of a call's own strings.
const QUOTED: usize = 8;
/// So many bytes of blanks around a call are no text.
const BLANKS: usize = 256;
/// Behind so many opening words that begin no call, all is text.
const MISSES: usize = 64;

#[derive(Debug, PartialEq)]
enum Part {
    Text(String),
    Call(String, String),
}

/// Holds the reader's answers against a second reading's.
pub fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for limit in LIMITS {
        let expected = reference(&text, limit);
        for way in pieces::ways(text.as_bytes()) {
            assert_eq!(read(&way, limit), expected, "limit {limit}");
        }
    }
}

fn read(way: &[&[u8]], limit: usize) -> Vec<Part> {
    let mut reader = ToolText::new(TOOLS.map(str::to_owned).to_vec(), "s", limit);
    let (mut rest, mut events) = (Vec::new(), Vec::new());
    for piece in way {
        // A reader of text is given whole characters.
        rest.extend_from_slice(piece);
        let whole = std::str::from_utf8(&rest).map_or_else(|error| error.valid_up_to(), str::len);
        let text: String = String::from_utf8(rest.drain(..whole).collect()).expect("checked");
        reader.event(ChatEvent::text(text), &mut events);
    }
    reader.event(ChatEvent::Finish(FinishReason::Stop), &mut events);
    let mut parts = Vec::new();
    for event in events {
        match event {
            ChatEvent::Text { text, .. } => say(&mut parts, &text),
            ChatEvent::ToolCall { name, arguments, index, .. } => {
                let before = parts.iter().filter(|part| matches!(part, Part::Call(..))).count();
                assert_eq!(index as usize, before);
                parts.push(Part::Call(name, arguments));
            }
            ChatEvent::Finish(reason) => {
                let calls = parts.iter().any(|part| matches!(part, Part::Call(..)));
                assert_eq!(reason == FinishReason::ToolCalls, calls);
            }
            ChatEvent::Reasoning(_) | ChatEvent::Usage(_) => panic!("nobody has said that"),
        }
    }
    parts
}

fn say(parts: &mut Vec<Part>, text: &str) {
    match parts.last_mut() {
        Some(Part::Text(before)) => before.push_str(text),
        _ if text.is_empty() => {}
        _ => parts.push(Part::Text(text.to_owned())),
    }
}

fn reference(text: &str, limit: usize) -> Vec<Part> {
    let (mut parts, mut rest, mut misses) = (Vec::new(), text, 0);
    while let Some(place) = rest.find(OPEN).filter(|_| misses < MISSES) {
        say(&mut parts, &rest[..place]);
        rest = &rest[place + OPEN.len()..];
        match call(rest, limit - OPEN.len()) {
            Some((name, arguments, length)) => {
                parts.push(Part::Call(name, arguments));
                rest = &rest[length..];
            }
            None => {
                say(&mut parts, OPEN);
                misses += 1;
            }
        }
    }
    say(&mut parts, rest);
    if parts.iter().any(|part| matches!(part, Part::Call(..))) {
        let blank = |text: &str| text.len() <= BLANKS && text.trim_ascii().is_empty();
        parts.retain(|part| !matches!(part, Part::Text(text) if blank(text)));
    }
    parts
}

/// The call with which a text behind the opening words begins, and how long it is with its end. What is no JSON up to one end is none
/// up to the next.
fn call(rest: &str, most: usize) -> Option<(String, String, usize)> {
    let ends: Vec<_> = rest
        .match_indices(CLOSE)
        .map(|(place, _)| place)
        .filter(|place| place + CLOSE.len() <= most)
        .take(QUOTED + 1)
        .collect();
    for end in &ends {
        if let Some((name, arguments)) = value(&rest[..*end]) {
            return Some((name, arguments, end + CLOSE.len()));
        }
    }
    // Its end may be the answer's, as far as it was held back until then.
    if ends.len() > QUOTED || rest.len() >= most {
        return None;
    }
    value(rest).map(|(name, arguments)| (name, arguments, rest.len()))
}

/// Name and arguments.
fn value(text: &str) -> Option<(String, String)> {
    let text = String::from_utf8(openai_json::whole_characters(text.as_bytes())).ok()?;
    let fields = serde_json::from_str::<Fields<'_>>(&text).ok()?.0;
    let of = |names: &[&str]| {
        let mut found = fields.iter().filter(|(name, _)| names.contains(&name.as_str()));
        (found.next().map(|(_, raw)| raw.get()), found.next().is_some())
    };
    let ((name, doubled), (arguments, redoubled)) = (of(&["name"]), of(&["arguments", "parameters"]));
    if doubled || redoubled {
        return None;
    }
    let name: String = serde_json::from_str(name?).ok()?;
    let arguments = arguments.unwrap_or("null");
    let inner: String =
        if arguments.starts_with('"') { serde_json::from_str(arguments).ok()? } else { arguments.to_owned() };
    let inner = match inner.trim() {
        "" | "null" => "{}".to_owned(),
        inner => inner.to_owned(),
    };
    let is_object = inner.starts_with('{') && serde_json::from_str::<&RawValue>(&inner).is_ok();
    (is_object && TOOLS.contains(&name.as_str())).then_some((name, inner))
}

/// An object's fields, doubled ones among them.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Fields<'de>;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

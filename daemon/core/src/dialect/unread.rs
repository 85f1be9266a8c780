//! What stands inside of a request's fields and is read by nobody.
//!
//! Knows the members of turns, parts, calls, tools and choices by which requests are read. Refuses to know what they mean, and which engine
//! would read more. Invariants: each member is told once, whatever the number of objects that have it; what says nothing (null, false, and what
//! is empty) is not told; so many of them are remembered, each of so many bytes, that no request makes them many.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::json::{Elements, Entries, Quoted};

/// So many of one request are looked for; more than any has that is not made to have many.
const MOST: usize = 64;
/// So many bytes of a name are kept. A name that is longer is never shown.
const NAME_BYTES: usize = 64;

/// The objects of one kind in a request.
#[derive(Debug)]
pub(in crate::dialect) struct Form {
    /// What their members are named behind, with a dot.
    path: &'static str,
    /// Those that are read, each with the objects in it that are looked into as well.
    members: &'static [(&'static str, Option<&'static Form>)],
    kinds: Option<&'static Kinds>,
}

/// What is read in objects of some kinds alone.
#[derive(Debug)]
struct Kinds {
    /// The member that says of which kind an object is, and of which it is without.
    by: (&'static str, &'static str),
    /// Members, each with the kinds that have it; another is every kind's.
    only: &'static [(&'static str, &'static [&'static str])],
}

impl Kinds {
    fn of<'a>(&self, object: &'a str) -> Cow<'a, str> {
        let (by, usual) = self.by;
        let said = Entries::of(object).find(|(name, value)| name.spelled() == by && *value != "null");
        said.map_or(Cow::Borrowed(usual), |(_, value)| {
            Quoted::of(value).map(Quoted::text).unwrap_or_default()
        })
    }

    /// Whether an object of this kind has such a member.
    fn have(&self, kind: &str, member: &str) -> bool {
        let only = self.only.iter().find(|(name, _)| *name == member);
        only.is_none_or(|(_, kinds)| kinds.contains(&kind))
    }
}

/// The members of which nothing comes.
#[derive(Debug, Default)]
pub(in crate::dialect) struct Unread {
    names: BTreeMap<&'static str, BTreeSet<String>>,
    count: usize,
}

impl Unread {
    /// Looks through a value of this form, or a list of such: JSON that is known to be sound.
    pub(in crate::dialect) fn look(&mut self, json: &str, form: &'static Form) {
        let Some(mut list) = Elements::of_text(json) else { return self.object(json, form) };
        while self.count < MOST && list.more() {
            self.object(list.element(), form);
        }
    }

    fn object(&mut self, json: &str, form: &'static Form) {
        if self.count == MOST {
            return;
        }
        let kinds = form.kinds.map(|kinds| (kinds, kinds.of(json)));
        for (name, value) in Entries::of(json) {
            let name = name.text();
            let is_its = kinds.as_ref().is_none_or(|(kinds, kind)| kinds.have(kind, &name));
            match form.members.iter().find(|(known, _)| *known == name).filter(|_| is_its) {
                Some((_, Some(inner))) => self.look(value, inner),
                Some((_, None)) => {}
                None if says_nothing(value) => {}
                None => self.add(form.path, &name),
            }
        }
    }

    fn add(&mut self, path: &'static str, name: &str) {
        let name = name.get(..name.floor_char_boundary(NAME_BYTES)).unwrap_or_default();
        // One without a letter would end a header's name with a dot.
        let name = if name.is_empty() { "?" } else { name };
        let names = self.names.entry(path).or_default();
        if self.count < MOST && !names.contains(name) {
            names.insert(name.to_owned());
            self.count += 1;
        }
    }

    /// What was found, each with what it is named behind.
    pub(in crate::dialect) fn found(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.names.iter().flat_map(|(path, names)| names.iter().map(|name| (*path, name.as_str())))
    }
}

/// Whether a value asks for nothing wherever it stands.
fn says_nothing(value: &str) -> bool {
    matches!(value, "null" | "false" | "[]" | "{}" | "\"\"")
}

/// Members without anything inside that is looked into.
macro_rules! form {
    ($path:literal, $($name:literal $(: $inner:expr)?),+ $(,)?) => {
        Form { path: $path, members: &[$(($name, form!(@ $($inner)?))),+], kinds: None }
    };
    (@) => { None };
    (@ $inner:expr) => { Some(&$inner) };
}

/// The types of parts that are words, in chats as in Responses.
const WORDS: &[&str] = &["text", "input_text", "output_text", "summary_text", "reasoning_text"];
const REFUSAL: &[&str] = &["refusal"];

const PICTURE: Form = form!("messages.image_url", "url", "detail");
const PARTS: Kinds =
    Kinds { by: ("type", ""), only: &[("text", WORDS), ("refusal", REFUSAL), ("image_url", &["image_url"])] };
const PART: Form = Form {
    kinds: Some(&PARTS),
    ..form!("messages.content", "type", "text", "refusal", "image_url": PICTURE)
};
const CALLED: Form = form!("messages.tool_calls.function", "name", "arguments");
/// In what streams call it, a call has a place, which its list says as well.
const CALL: Form = form!("messages.tool_calls", "id", "type", "index", "function": CALLED);

/// Nobody but a model refuses.
const TURNS: Kinds = Kinds { by: ("role", ""), only: &[("refusal", &["assistant"])] };
/// A turn of a chat. Its speaker's name and what was said aloud are told by whoever looks at media.
pub(in crate::dialect) const MESSAGE: Form = Form {
    kinds: Some(&TURNS),
    ..form!(
        "messages", "role", "content": PART, "name", "tool_call_id", "tool_calls": CALL, "function_call", "refusal", "reasoning",
        "reasoning_content", "audio",
    )
};

/// Its members that are texts. A turn that has no others, as nearly every one, need not be looked through.
pub(in crate::dialect) const TEXTS: [&str; 7] =
    ["role", "content", "name", "tool_call_id", "refusal", "reasoning", "reasoning_content"];

const FUNCTION: Form = form!("tools.function", "name", "description", "parameters");
/// A tool of a chat. Its `strict` is no word of an Ollama's, which alone is looked at in this way.
pub(in crate::dialect) const TOOL: Form = form!("tools", "type", "function": FUNCTION);

const CHOSEN: Form = form!("tool_choice.function", "name");
const ONE_ALLOWED_FUNCTION: Form = form!("tool_choice.allowed_tools.tools.function", "name");
const ONE_ALLOWED: Form = form!("tool_choice.allowed_tools.tools", "type", "function": ONE_ALLOWED_FUNCTION);
const ALLOWED: Form = form!("tool_choice.allowed_tools", "mode", "tools": ONE_ALLOWED);
/// A chat's choice of tools.
pub(in crate::dialect) const CHOICE: Form =
    form!("tool_choice", "type", "function": CHOSEN, "allowed_tools": ALLOWED);

/// A description has a rule of its own.
const ANSWER_SCHEMA: Form = form!("response_format.json_schema", "name", "description", "strict", "schema");
/// The form of a chat's answer.
pub(in crate::dialect) const FORMAT: Form = form!("response_format", "type", "json_schema": ANSWER_SCHEMA);

const INPUT_PARTS: Kinds = Kinds {
    by: ("type", ""),
    only: &[
        ("text", WORDS),
        ("refusal", REFUSAL),
        ("image_url", &["input_image"]),
        ("detail", &["input_image"]),
        ("file_data", &["input_file"]),
        ("filename", &["input_file"]),
        ("input_audio", &["input_audio"]),
    ],
};
const SOUND: Form = form!("input.content.input_audio", "data", "format");
/// What an answer's own parts have beside their text says nothing to a model that is given them back.
const INPUT_PART: Form = Form {
    kinds: Some(&INPUT_PARTS),
    ..form!(
        "input.content", "type", "text", "refusal", "image_url", "detail", "file_data", "filename", "input_audio": SOUND,
        "annotations", "logprobs",
    )
};
/// The members of a message of a response's input that are texts, as [`TEXTS`] are of a turn.
pub(in crate::dialect) const ITEM_TEXTS: [&str; 3] = ["type", "role", "content"];
const CALLS: &[&str] = &["function_call", "custom_tool_call"];
const OUTPUTS: &[&str] = &["function_call_output", "custom_tool_call_output"];
const ITEMS: Kinds = Kinds {
    by: ("type", "message"),
    only: &[
        ("role", &["message"]),
        ("content", &["message", "reasoning"]),
        (
            "call_id",
            &["function_call", "custom_tool_call", "function_call_output", "custom_tool_call_output"],
        ),
        ("name", CALLS),
        ("namespace", CALLS),
        ("arguments", &["function_call"]),
        ("input", &["custom_tool_call"]),
        ("output", OUTPUTS),
        ("summary", &["reasoning"]),
        ("encrypted_content", &["reasoning"]),
    ],
};
/// An item of a response's input: of an answer's own items, ids and states say nothing to a model.
pub(in crate::dialect) const ITEM: Form = Form {
    kinds: Some(&ITEMS),
    ..form!(
        "input", "type", "role", "content": INPUT_PART, "id", "status", "call_id", "name", "namespace", "arguments", "input",
        "output": INPUT_PART, "summary": INPUT_PART, "encrypted_content",
    )
};

const ONE_ALLOWED_BY_NAME: Form = form!("tool_choice.tools", "type", "name", "namespace");
/// A response's choice of tools.
pub(in crate::dialect) const RESPONSE_CHOICE: Form =
    form!("tool_choice", "type", "name", "namespace", "mode", "tools": ONE_ALLOWED_BY_NAME);

const NAMESPACED: Form =
    form!("tools.tools", "type", "name", "description", "parameters", "strict", "defer_loading", "format");
/// A tool of a response that was taken; some of its members are told by whoever takes it.
pub(in crate::dialect) const RESPONSE_TOOL: Form = form!(
    "tools", "type", "name", "description", "parameters", "strict", "defer_loading", "format", "tools": NAMESPACED,
);

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn found(value: &Value, form: &'static Form) -> Vec<String> {
        let mut unread = Unread::default();
        unread.look(&value.to_string(), form);
        unread.found().map(|(path, name)| format!("{path}.{name}")).collect()
    }

    #[test]
    fn what_nobody_reads_is_told_once_wherever_it_stands() {
        let messages = json!([
            {"role": "user", "content": "a } ] , \" b", "bar": 1},
            {"role": "user", "content": "plain"},
            {"bar": {"deep": [1]}, "role": "user", "content": [
                {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
                {"type": "image_url", "image_url": {"url": "data:", "detail": "low", "size": 1}}]},
            {"role": "assistant", "content": null, "annotations": [], "thinking": "x", "tool_calls": [
                {"id": "1", "index": 0, "type": "function", "extra": 1, "function": {"name": "f", "arguments": "{}", "x": 1}}]},
        ]);
        assert_eq!(
            found(&messages, &MESSAGE),
            [
                "messages.bar",
                "messages.thinking",
                "messages.content.cache_control",
                "messages.image_url.size",
                "messages.tool_calls.extra",
                "messages.tool_calls.function.x"
            ]
        );
        let tools = json!([{"type": "function", "bar": 1, "function":
            {"name": "f", "parameters": {"any": 1}, "strict": true, "description": "", "examples": [1]}}]);
        assert_eq!(found(&tools, &TOOL), ["tools.bar", "tools.function.examples", "tools.function.strict"]);
        let choice = json!({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "x": 1, "tools": [{"type": "function",
            "function": {"name": "f", "y": 1}}]}});
        assert_eq!(
            found(&choice, &CHOICE),
            ["tool_choice.allowed_tools.x", "tool_choice.allowed_tools.tools.function.y"]
        );
    }

    #[test]
    fn what_is_another_kind_s_is_told() {
        let of = |part: &Value| found(&json!([{"role": "user", "content": [part]}]), &MESSAGE);
        for (part, told) in [
            (json!({"type": "image_url", "image_url": {"url": "data:"}, "text": "words"}), vec!["text"]),
            (json!({"text": "a", "type": "text", "refusal": "b"}), vec!["refusal"]),
            (json!({"type": "refusal", "refusal": "b", "text": "a"}), vec!["text"]),
            (json!({"type": "text", "text": "a", "refusal": null}), vec![]),
        ] {
            let told: Vec<_> = told.iter().map(|name| format!("messages.content.{name}")).collect();
            assert_eq!(of(&part), told, "{part}");
        }
        let refuses = |role: &str| found(&json!([{"role": role, "refusal": "no", "x": []}]), &MESSAGE);
        assert_eq!((refuses("user"), refuses("assistant")), (vec!["messages.refusal".to_owned()], vec![]));
        let file = json!({"type": "input_file", "file_data": "data:", "filename": "a", "image_url": "data:", "detail": "high"});
        let sound =
            json!({"type": "input_audio", "input_audio": {"data": "a", "transcript": "b"}, "text": "c"});
        let words = json!({"type": "input_text", "text": "a", "file_id": "f", "annotations": [1]});
        let item = json!({"content": [file, sound, words], "name": "n", "output": "o", "id": "i", "status": "completed"});
        let call =
            json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}", "content": "a"});
        let told = [
            "content",
            "name",
            "output",
            "content.detail",
            "content.file_id",
            "content.image_url",
            "content.text",
        ];
        let mut told: Vec<_> = told.iter().map(|name| format!("input.{name}")).collect();
        told.push("input.content.input_audio.transcript".to_owned());
        assert_eq!(found(&json!([item, call]), &ITEM), told);
    }

    #[test]
    fn what_says_nothing_or_is_of_another_form_is_passed_over() {
        let idle =
            json!([{"role": "user", "a": null, "b": false, "c": [], "d": {}, "e": "", "content": "a"}]);
        for value in [idle, json!("a"), json!(5), json!([]), json!({}), json!([1, "a", [{"a": 1}]])] {
            assert_eq!(found(&value, &MESSAGE), Vec::<String>::new(), "{value}");
        }
        for value in [json!({"content": "text"}), json!({"content": {"type": "text", "text": "a"}})] {
            assert_eq!(found(&value, &MESSAGE), Vec::<String>::new(), "{value}");
        }
    }

    #[test]
    fn what_is_not_looked_through_has_nothing_that_would_be_found() {
        for (texts, form) in [(&TEXTS[..], &MESSAGE), (&ITEM_TEXTS[..], &ITEM)] {
            for text in texts {
                let read = |(name, _): &(&str, _)| name == text;
                assert!(form.members.iter().any(read), "{text}");
            }
        }
    }

    #[test]
    fn a_name_without_a_letter_ends_none_with_a_dot() {
        assert_eq!(found(&json!([{"role": "user", "": 1}]), &MESSAGE), ["messages.?"]);
    }

    #[test]
    fn no_request_makes_them_many() {
        let mut message = json!({"role": "user"});
        for nr in 0..1000 {
            message[format!("{nr:03}{}", "é".repeat(100))] = json!(1);
        }
        let found = found(&json!([message]), &MESSAGE);
        assert_eq!(found.len(), MOST);
        assert!(found.iter().all(|name| name.len() <= "messages.".len() + NAME_BYTES));
    }
}

//! Every field of a chat request, and what becomes of it at each kind of backend.
//!
//! Knows the names in OpenAI's API description of chat completions and the extensions that clients send, and what the
//! engines make of them (as recorded, and by Ollama's source). Refuses to know a field's type and range, which whoever
//! reads it checks. Invariant: the requests' readers refuse by this table and answers name what was ignored by it, so that
//! what it says is what happens.

use std::collections::BTreeMap;

use serde_json::{Value, value::RawValue};

use super::fields::Fields;
use super::media::Beside;
use crate::error::ApiError;

mod inside;

#[cfg(test)]
mod tests;

/// What answers behind the daemon, as far as fields go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behind {
    /// An Ollama: a request is translated, and what has no native word is lost.
    Ollama,
    /// A server that speaks OpenAI's API: it is given all fields as they came.
    OpenAi,
    /// Our own engine: the same, but it is known which of them it reads.
    Engine,
}

impl Behind {
    /// In the order of [`Row::fates`].
    pub const ALL: [Self; 3] = [Self::Ollama, Self::OpenAi, Self::Engine];
}

/// What becomes of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It does what it says, by a word of the engine's own.
    Works,
    /// It goes to the engine as it came, which takes it or refuses it by its name.
    Passed,
    /// The daemon does what the engine cannot be trusted with.
    Emulated,
    /// Nothing comes of it, and no harm: the answer names it in [`IGNORED`]. Values that ask for nothing ([`Asks`]) are kept, and
    /// not named.
    Ignored,
    /// It would change the answer, and cannot be had: 400, with this sentence. Values that ask for nothing ([`Asks`]) are ignored.
    Refused(&'static str),
}

/// Which values of a field that is refused or ignored ask for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asks {
    /// All but null.
    Always,
    /// All but false.
    UnlessFalse,
    /// All but an empty object.
    UnlessEmpty,
    /// All but 0 and an empty list.
    UnlessNothing,
    /// All but "flex", which is heeded.
    UnlessFlex,
    /// All but a list of "text" alone.
    BesidesText,
    /// All but an object of the type "text", which is kept to, and so not named as ignored.
    UnlessText,
    /// It depends on other fields: whoever reads the request refuses it, or keeps to it.
    ByReader,
}

impl Asks {
    /// Which value of a field that is refused is taken, beside null, where its row's own words do not say that.
    const fn idle(self) -> Option<&'static str> {
        match self {
            Self::Always | Self::UnlessFlex | Self::UnlessText | Self::ByReader => None,
            Self::UnlessFalse => Some("false is taken."),
            Self::UnlessEmpty => Some("An empty object is taken."),
            Self::UnlessNothing => Some("0 and an empty list are taken."),
            Self::BesidesText => Some("A list of text alone is taken."),
        }
    }
}

/// A field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Its name; a field inside of another one is named behind it and a dot.
    pub name: &'static str,
    /// Whether it is OpenAI's; else it is an engine's extension.
    pub official: bool,
    /// Which of its values count where it is refused or ignored.
    pub asks: Asks,
    /// What becomes of it, in the order of [`Behind::ALL`].
    pub fates: [Fate; 3],
    /// What else must be known of it; may be empty.
    pub note: &'static str,
}

impl Row {
    /// What becomes of it there.
    #[must_use]
    pub fn fate(&self, behind: Behind) -> Fate {
        let [ollama, openai, engine] = self.fates;
        match behind {
            Behind::Ollama => ollama,
            Behind::OpenAi => openai,
            Behind::Engine => engine,
        }
    }

    /// The sentences that are said of it: its note, why it is refused, each once, and which value of it asks for nothing.
    pub(crate) fn remarks(&self) -> Vec<&'static str> {
        let mut said: Vec<&str> = [self.note].into_iter().filter(|note| !note.is_empty()).collect();
        for fate in self.fates {
            if let Fate::Refused(why) = fate
                && !said.contains(&why)
            {
                said.push(why);
            }
        }
        if self.fates.iter().any(|fate| matches!(fate, Fate::Refused(_))) {
            said.extend(self.asks.idle());
        }
        said
    }
}

/// The field of an answer that names the request's fields of which nothing came: names separated by commas, and `+N` where
/// N more are not named, since their names are too many, too long or of other characters than a name has.
pub const IGNORED: &str = "x-ghostllm-ignored";

/// The field of an answer that names the request's field which its engine was asked for and may not keep to: the answer is sound, and may be
/// another one than what was wanted.
pub const UNPROMISED: &str = "x-ghostllm-unpromised";

/// So many names stand in [`IGNORED`] at the most, each of so many bytes: a few hundred bytes, which every client's buffer of headers has.
const NAMES: usize = 16;
const NAME_BYTES: usize = 48;

/// What comes of `service_tier`.
pub(in crate::dialect) const TIER: &str = "flex: the request has time, and runs in the background (gpu.background) where an engine on \
                                           this machine answers. Any other value changes nothing.";
const NO_TOOLS: &str = "It is out of date: send the functions as tools, and the choice as tool_choice.";
const NO_MODERATION: &str = "No moderation runs here.";
const NO_AUDIO: &str = "Answers are text.";
const NO_SEARCH: &str = "Nothing leaves this machine.";
const NO_FORM: &str = "It is the word of another engine: send response_format.";
pub(super) const NO_CUT: &str = "It is the word of another engine: this one has stop, and a most of tokens.";
pub(super) const NO_BIAS: &str = "The engine of this model cannot weigh single tokens.";

pub(in crate::dialect) const fn row(name: &'static str, fates: [Fate; 3], note: &'static str) -> Row {
    Row { name, official: true, asks: Asks::Always, fates, note }
}

/// The native word on Ollama, itself elsewhere.
const fn works(name: &'static str, note: &'static str) -> Row {
    row(name, [Fate::Works, Fate::Passed, Fate::Passed], note)
}

const fn emulated(name: &'static str, note: &'static str) -> Row {
    row(name, [Fate::Emulated; 3], note)
}

/// Where an engine is given all fields, it may know more of it.
const fn ignored(name: &'static str, note: &'static str) -> Row {
    row(name, [Fate::Ignored, Fate::Passed, Fate::Ignored], note)
}

/// A form of the answer in the words of one engine, which another is given; to ignore it would be to give another answer.
const fn formed(name: &'static str) -> Row {
    extension(row(name, [Fate::Refused(NO_FORM), Fate::Passed, Fate::Refused(NO_FORM)], ""))
}

/// Where an answer ends, or which words it may not have, in the words of one engine.
const fn cut(name: &'static str) -> Row {
    let row = row(name, [Fate::Refused(NO_CUT), Fate::Passed, Fate::Refused(NO_CUT)], "");
    extension(Row { asks: Asks::UnlessNothing, ..row })
}

const fn refused(name: &'static str, asks: Asks, why: &'static str) -> Row {
    Row { asks, ..row(name, [Fate::Refused(why); 3], "") }
}

pub(in crate::dialect) const fn extension(row: Row) -> Row {
    Row { official: false, ..row }
}

/// All fields that are known by name. Ollama and our own engine make nothing of any other, and the answer names it; other engines
/// are given it as it came.
pub const ROWS: &[Row] = &[
    works("model", "An engine is sent its own name for the model; answers have the one that was asked for."),
    works(
        "messages",
        "Ollama: developer is system; content parts become one message, in which nothing tells where its pictures stood; pictures come \
         inside the request; a call's arguments that are no JSON object are sent as an object with that text as its arguments. A name \
         (but a tool's), audio and a picture's detail (but auto) are ignored there, and named as messages.name, messages.audio and \
         messages.image_url.detail. So is any other member of a turn, a part or a call, also one that another kind of part has: messages.x, messages.content.x, \
         messages.tool_calls.x. The own engine ignores and names the same, but for what its model's template shows of a call, of names and \
         of thoughts (reasoning, reasoning_content, thinking): these are named where it has no word for them. A refusal beside a content \
         stands behind it, on a line of its own. A medium in a part of the type text, or a second one beside a picture's image_url, is refused by both. \
         images of a turn, in base64 or as data URLs, are its pictures at an Ollama. Any other medium in a turn or beside the messages \
         (videos, file, audios) is refused there by its name (messages[0].videos), and each by the own engine, which reads text alone. A \
         medium's uuid is refused everywhere: by it an engine finds again what it has had of anybody.",
    ),
    refused("audio", Asks::Always, NO_AUDIO),
    works("frequency_penalty", ""),
    refused("function_call", Asks::Always, NO_TOOLS),
    refused("functions", Asks::Always, NO_TOOLS),
    Row {
        asks: Asks::UnlessEmpty,
        ..row("logit_bias", [Fate::Refused(NO_BIAS), Fate::Passed, Fate::Refused(NO_BIAS)], "")
    },
    works(
        "logprobs",
        "The own engine tells those of the model itself, before temperature, penalties and forms. An Ollama before 0.12.11 tells none, \
         and the request is refused; where an Ollama does not say its version, an answer without any names logprobs and top_logprobs as \
         ignored (a stream by its first piece, where that comes before its head).",
    ),
    works(
        "max_completion_tokens",
        "It wins over max_tokens, which is named as ignored where it says otherwise.",
    ),
    works("max_tokens", ""),
    ignored("metadata", ""),
    refused("modalities", Asks::BesidesText, NO_AUDIO),
    refused("moderation", Asks::Always, NO_MODERATION),
    emulated(
        "n",
        "As many requests, one after the other, where the engine gives fewer answers than asked for, or refuses (400, 422) to \
         give several; the seed of each is one more than the last. Where it does, 400 for more than limits.choices. The prompt \
         is counted once; a stream tells the counts of all in one chunk at its end, where include_usage asks for them.",
    ),
    emulated("parallel_tool_calls", "false: the answer's first call is given, and any other left out."),
    ignored("prediction", "It would only make an answer come sooner."),
    works("presence_penalty", ""),
    ignored("prompt_cache_key", "Engines find by themselves what they have cached."),
    ignored("prompt_cache_options", ""),
    ignored("prompt_cache_retention", ""),
    works(
        "reasoning_effort",
        "Ollama: none is think false; minimal is low; xhigh is max. The own engine shows it to the model's template, none as \
         enable_thinking false; where a template has no word for it, the answer names it as ignored. It wins over reasoning.effort, and \
         that over think; what loses and says otherwise is named as ignored.",
    ),
    works(
        "response_format",
        "The own engine keeps to it by a grammar, and refuses a schema by the keyword that it cannot keep. A schema binds whatever its \
         name and strict say. A description beside it is ignored by an Ollama and by the own engine, and named as \
         response_format.json_schema.description; so is any member that OpenAI's API has not, but a schema beside the type json_object, \
         which is kept to.",
    ),
    ignored("safety_identifier", ""),
    works("seed", ""),
    Row { asks: Asks::UnlessFlex, ..ignored("service_tier", TIER) },
    works("stop", "At most limits.stop_texts."),
    Row {
        asks: Asks::UnlessFalse,
        ..row(
            "store",
            [Fate::Ignored; 3],
            "true: nothing is kept, and an engine that is given all fields is told false; in Responses too, which answers \
             store: false.",
        )
    },
    works("stream", ""),
    works(
        "stream_options",
        "include_usage. Any other member is ignored by an Ollama and by the own engine, and named behind a dot.",
    ),
    Row {
        asks: Asks::UnlessFalse,
        ..ignored(
            "stream_options.include_obfuscation",
            "Events are not padded against whoever reads their lengths.",
        )
    },
    works("temperature", ""),
    row(
        "tool_choice",
        [Fate::Emulated, Fate::Passed, Fate::Passed],
        "none: the model is shown no tools, since it would call them. Ollama: a function's name sends that tool alone, required all of \
         them; it has no word for either, so that a model may answer in words. Of the servers of OpenAI's API some pass both over \
         (llama-server, transformers serve). So the header x-ghostllm-unpromised of an answer of either says tool_choice, also where \
         the answer turns out to be a call. allowed_tools: an Ollama is shown those alone, and so is the own \
         engine's model. The own engine makes the model call by a grammar.",
    ),
    works(
        "tools",
        "Ollama: constraints of a schema that it drops are said in the descriptions, each in at most 200 bytes (what is longer \
         ends in an ellipsis), and 16 of one schema; what references bring is written out up to 64 KiB. At most 128 tools, \
         there of 128 KiB each. Members that OpenAI's API has not are ignored there, and named as tools.x; the own engine shows a tool to \
         the model as it came. One that an engine would call at another server (mcp, server_url) is refused everywhere. \
         Servers that speak OpenAI's API: a call that one leaves in its text as <tool_call> is given as a call. \
         The own engine: functions; a call of one that was not offered is given as text.",
    ),
    row(
        "tools.function.strict",
        [Fate::Ignored, Fate::Passed, Fate::Passed],
        "The own engine keeps to the schemas of all such functions by a grammar, from where a call begins, and refuses a schema by the \
         keyword that it cannot keep. Ollama has no such word.",
    ),
    works("top_logprobs", ""),
    works("top_p", ""),
    ignored("user", ""),
    ignored("verbosity", ""),
    refused("web_search_options", Asks::Always, NO_SEARCH),
    extension(works("top_k", "0 or -1 for any token.")),
    extension(works("min_p", "")),
    extension(works(
        "repeat_penalty",
        "It wins over repetition_penalty, which is named as ignored where it says otherwise.",
    )),
    extension(works("repetition_penalty", "")),
    extension(works("think", "true, false or an effort.")),
    extension(works(
        "reasoning",
        "effort, as reasoning_effort, which wins over it, as it does over think. Any other member is ignored by an Ollama and by the own \
         engine (but exclude where it is false), and named behind a dot.",
    )),
    extension(ignored(
        "num_ctx",
        "The context's length is the admin's ([[models]] context): another one makes an engine load the model anew, for everybody.",
    )),
    extension(ignored(
        "keep_alive",
        "How long a model stays loaded is the admin's ([[models]] keep_alive): the last request's word counts for all who use the model, and 0 \
         would unload it from under them.",
    )),
    extension(ignored("options", "Ollama's own; send the fields themselves.")),
    formed("guided_json"),
    formed("guided_regex"),
    formed("guided_choice"),
    formed("guided_grammar"),
    formed("structured_outputs"),
    formed("grammar"),
    formed("json_schema"),
    formed("format"),
    formed("regex"),
    formed("ebnf"),
    formed("structural_tag"),
    cut("stop_token_ids"),
    cut("bad_words"),
    cut("min_tokens"),
];

/// A request's fields, one bit for each row.
type Bits = u64;

const _: () = assert!(fits(ROWS), "a row has no bit");

/// Whether each row of a table has its bit.
pub(super) const fn fits(rows: &[Row]) -> bool {
    rows.len() <= Bits::BITS as usize
}

fn bit(place: usize) -> Bits {
    1 << place
}

/// The fields that a request has, as far as a table goes by them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    /// The table.
    table: &'static [Row],
    named: Bits,
    /// Those whose value asks for something.
    asking: Bits,
    /// Those that stand in no row.
    unknown: Names,
    /// What stands inside of fields and has no word in Ollama's language.
    unheard: Names,
    /// What turns have that a template may show, or not: names and thoughts.
    of_turns: Vec<&'static str>,
    /// Media that not every engine would see.
    beside: Beside,
}

/// Names that may be shown, a few of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Names {
    shown: Vec<Box<str>>,
    /// How many more there are.
    more: usize,
}

impl Names {
    fn add(&mut self, name: &str) {
        if self.shown.len() < NAMES && may_be_shown(name) {
            self.shown.push(name.into());
        } else {
            self.more += 1;
        }
    }
}

impl Wanted {
    pub(super) fn of(fields: &Fields<'_>) -> Self {
        Self::by(ROWS, fields)
    }

    /// The same by another route's table.
    pub(super) fn by(table: &'static [Row], fields: &Fields<'_>) -> Self {
        let mut wanted = Self { table, ..Self::default() };
        for (name, value) in fields.present() {
            match table.iter().position(|row| row.name == name) {
                Some(place) => {
                    wanted.named |= bit(place);
                    if table.get(place).is_some_and(|row| asks(row.asks, value)) {
                        wanted.asking |= bit(place);
                    }
                }
                None => wanted.unknown.add(name),
            }
        }
        // Few requests have an object for a field.
        let nested = fields.present().any(|(_, value)| value.get().starts_with('{'));
        for (place, row) in table.iter().enumerate().filter(|(_, row)| nested && row.name.contains('.')) {
            if inside(fields, row.name).is_some_and(|value| asks(row.asks, value)) {
                wanted.named |= bit(place);
                wanted.asking |= bit(place);
            }
        }
        wanted
    }

    /// Refuses what would change the answer and cannot be had there.
    ///
    /// # Errors
    /// 400 with the first such field of the table.
    pub fn check(&self, behind: Behind) -> Result<(), ApiError> {
        for (_, row) in self.rows(self.asking) {
            if let Fate::Refused(why) = row.fate(behind) {
                return Err(ApiError::unsupported(row.name, why));
            }
        }
        self.beside.check(behind)
    }

    /// The same, and media that stand beside the request's other fields or turns.
    pub(super) fn with_media(self, beside: Beside) -> Self {
        Self { beside, ..self }
    }

    /// The value of [`IGNORED`]; none where nothing is ignored.
    #[must_use]
    pub fn ignored(&self, behind: Behind) -> Option<String> {
        let known = self.rows(self.named).filter(|(place, row)| match row.fate(behind) {
            Fate::Ignored => self.asking & bit(*place) != 0,
            Fate::Refused(_) => !matches!(row.asks, Asks::ByReader | Asks::UnlessText),
            Fate::Works | Fate::Passed | Fate::Emulated => false,
        });
        let others: &[&Names] = match behind {
            Behind::Ollama => &[&self.unheard, &self.unknown],
            Behind::OpenAi => &[],
            Behind::Engine => &[&self.unknown],
        };
        let mut more: usize = others.iter().map(|names| names.more).sum();
        let others = others.iter().flat_map(|names| &names.shown).map(AsRef::as_ref);
        let mut value = String::new();
        for (place, name) in known.map(|(_, row)| row.name).chain(others).enumerate() {
            if place >= NAMES {
                more += 1;
                continue;
            }
            if place > 0 {
                value.push_str(", ");
            }
            value.push_str(name);
        }
        if more > 0 {
            let comma = if value.is_empty() { "" } else { ", " };
            value.push_str(&format!("{comma}+{more}"));
        }
        (!value.is_empty()).then_some(value)
    }

    /// Refuses what stands in no row, for an engine that makes nothing of it where nobody would see to that.
    ///
    /// # Errors
    /// 400 with the first such field.
    pub fn check_known(&self, why: &str) -> Result<(), ApiError> {
        match self.unknown.shown.first() {
            Some(name) => Err(ApiError::unsupported(&**name, why)),
            None if self.unknown.more > 0 => {
                Err(ApiError::invalid_request(format!("A field's name is not known here. {why}")))
            }
            None => Ok(()),
        }
    }

    fn rows(&self, bits: Bits) -> impl Iterator<Item = (usize, &'static Row)> {
        self.table.iter().enumerate().filter(move |(place, _)| bits & bit(*place) != 0)
    }
}

/// The value of a field inside of another one, by its name in the table; whoever reads the outer one refuses what is no object.
fn inside<'a>(fields: &Fields<'a>, name: &str) -> Option<&'a RawValue> {
    let (outer, inner) = name.split_once('.')?;
    let outer = fields.get(outer).filter(|raw| raw.get().starts_with('{'))?;
    let inside: BTreeMap<String, &'a RawValue> = serde_json::from_str(outer.get()).ok()?;
    inside.get(inner).copied().filter(|value| value.get() != "null")
}

/// Whether a `service_tier` says that its request has time (OpenAI's word for it is "flex").
pub(in crate::dialect) fn is_flex(tier: &RawValue) -> bool {
    serde_json::from_str::<std::borrow::Cow<'_, str>>(tier.get()).is_ok_and(|tier| tier == "flex")
}

/// Whether a value is of no tokens and no words.
pub(in crate::dialect) fn is_nothing(value: &RawValue) -> bool {
    value.get() == "0" || value.get().bytes().filter(|byte| !byte.is_ascii_whitespace()).eq(*b"[]")
}

fn asks(asks: Asks, value: &RawValue) -> bool {
    let text = value.get();
    match asks {
        Asks::Always => true,
        Asks::ByReader => false,
        Asks::UnlessFalse => text != "false",
        Asks::UnlessFlex => !is_flex(value),
        // Whatever is no object is wrong as well, and is not passed over.
        Asks::UnlessEmpty => !text.starts_with('{') || text.contains(':'),
        Asks::UnlessNothing => !is_nothing(value),
        Asks::BesidesText => {
            let words: Result<Vec<String>, _> = serde_json::from_str(text);
            !words.is_ok_and(|words| words.iter().all(|word| word == "text"))
        }
        Asks::UnlessText => {
            let form: Result<BTreeMap<String, Value>, _> = serde_json::from_str(text);
            !form.is_ok_and(|form| form.get("type").is_some_and(|kind| kind == "text"))
        }
    }
}

/// What clients make up is shown only where it is a name like those of the table: nobody's header, log or terminal is broken by it.
fn may_be_shown(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    !name.is_empty() && !name.ends_with('.') && name.len() <= NAME_BYTES && name.bytes().all(fits)
}

//! Every field of a Responses request, and what becomes of it at each kind of backend.
//!
//! Knows the names in OpenAI's API description of Responses and the extensions that clients send. Refuses to know how each is read, which
//! [`super::request`] does: it goes by these names, and the tests of conformance hold it to the rest. Invariant: a field that is in no
//! row is ignored everywhere, and the answer names it.

use crate::dialect::openai::table::{Asks, Fate, Row, TIER, extension, row};

const WHOLE: &str = "No responses are kept here between requests: send the whole conversation in input.";
const NO_PROMPTS: &str = "No prompts are kept here: send its text as instructions.";
const NO_MODERATION: &str = "No moderation runs here.";
const NOT_LATER: &str =
    "Nothing is kept here to be fetched later: leave it out, and read the answer or its stream.";

const fn works(name: &'static str, note: &'static str) -> Row {
    row(name, [Fate::Works; 3], note)
}

const fn ignored(name: &'static str, note: &'static str) -> Row {
    row(name, [Fate::Ignored; 3], note)
}

const fn refused(name: &'static str, why: &'static str) -> Row {
    row(name, [Fate::Refused(why); 3], "")
}

/// A chat's field that Responses calls otherwise, or has not: without it the answer would be another one.
const fn chat_s(name: &'static str, why: &'static str) -> Row {
    extension(refused(name, why))
}

/// A form of the answer in the words of one engine.
const fn formed(name: &'static str) -> Row {
    extension(refused(name, "It is the word of another engine: Responses has text.format."))
}

/// Where an answer ends, or which words it may not have, in the words of one engine.
const fn cut(name: &'static str) -> Row {
    let row = extension(refused(
        name,
        "It is the word of another engine: Responses has stop, as an extension, and max_output_tokens.",
    ));
    Row { asks: Asks::UnlessNothing, ..row }
}

/// What the response has of it is all that comes of it; no backend is told.
const fn repeated(name: &'static str) -> Row {
    row(name, [Fate::Emulated; 3], "The response repeats it; nothing else comes of it.")
}

/// All fields that are acted on, or are harmless as they are said. A request is translated for every kind of backend.
pub const ROWS: &[Row] = &[
    works("model", "An engine is sent its own name for the model; answers have the one that was asked for."),
    works(
        "input",
        "Ollama: nothing tells where in a message its pictures stood. A call's arguments that are no JSON object go to servers of \
         OpenAI's API as they came, and to an Ollama as an object with that text as its arguments. An item_reference to an item of an \
         earlier answer is resolved for the key that asked for that answer, for an hour at the most: such items are kept in memory \
         (limits.recall), not where store was false, and not beyond a restart. It is a convenience, and no store: one that is not kept \
         any more is refused, and a thought (rs_...) passed over. Of an item or its parts nothing else is read than its type has, and the rest named \
         as input.x and input.content.x (phase among it), but for what an answer's own items bear: id, status, annotations, logprobs. \
         Of a thought, content wins over summary, which is named as input.summary where it says otherwise. \
         A picture's detail goes to servers of OpenAI's API alone. A part that is text and holds a medium is refused. \
         input_file (file_data) and input_audio go to servers of OpenAI's API as a chat's file and input_audio, and are refused by an \
         Ollama and the own engine by the part's type; a file_id or a file_url is refused everywhere, and so are media that are no parts \
         of a content (images of an item, or beside the input). \
         Thoughts are named as input.reasoning where the template of the own engine's model shows none.",
    ),
    works("instructions", "They are the first message, of the system."),
    works(
        "tools",
        "Functions, and tools whose input is text. What OpenAI would run itself is ignored beside functions, and refused alone. strict \
         true is no promise of an Ollama, and named as tools.strict there. Members that OpenAI's API has not are named \
         as tools.x, and of a choice as tool_choice.x.",
    ),
    row(
        "tool_choice",
        [Fate::Emulated, Fate::Passed, Fate::Works],
        "none: the model is shown no tools. Ollama: a function's name sends that tool alone. required and a name are no promise there, \
         nor at a server of OpenAI's API, which has them in a chat's form: they are named in x-ghostllm-unpromised, as in a chat.",
    ),
    row(
        "parallel_tool_calls",
        [Fate::Emulated; 3],
        "false: the answer's first call is given, and any other left out.",
    ),
    works("max_output_tokens", ""),
    works("temperature", ""),
    works("top_p", ""),
    works(
        "include",
        "message.output_text.logprobs, which an Ollama before 0.12.11 does not tell: refused or named there, as a chat's logprobs. What else \
         is in it is ignored.",
    ),
    works("top_logprobs", "Together with include."),
    works(
        "text",
        "Its format. A schema binds whatever its name and strict say; a description beside it is ignored but by servers of OpenAI's \
         API. Any other member of it or of its format is ignored, and named behind a dot.",
    ),
    ignored("text.verbosity", "low, high."),
    works(
        "reasoning",
        "Its effort, as a chat's reasoning_effort, and named as reasoning.effort where that is; servers of OpenAI's API are told none by enable_thinking. What a model thinks is \
         given whatever summary is wanted; where an engine does not count those tokens, usage has their share of the answer by bytes as \
         reasoning_tokens, and estimated beside it. Any other member is ignored, and named behind a dot.",
    ),
    ignored("reasoning.context", ""),
    ignored("reasoning.mode", ""),
    works("stream", ""),
    Row {
        asks: Asks::UnlessFalse,
        ..ignored(
            "stream_options.include_obfuscation",
            "Events are not padded against whoever reads their lengths.",
        )
    },
    repeated("metadata"),
    Row {
        asks: Asks::UnlessFalse,
        ..ignored(
            "store",
            "true: no response is kept to be fetched or gone on from, and the response says false. false: nor are its items, for \
             an item_reference.",
        )
    },
    ignored("truncation", "auto: a conversation that is too long is refused, and not cut."),
    ignored("context_management", "A conversation that is too long is refused, and not made shorter."),
    refused("previous_response_id", WHOLE),
    refused("conversation", WHOLE),
    refused("prompt", NO_PROMPTS),
    refused("moderation", NO_MODERATION),
    Row { asks: Asks::UnlessFalse, ..refused("background", NOT_LATER) },
    ignored("background_options", "Nothing runs in the background."),
    ignored(
        "max_tool_calls",
        "It counts calls of tools that OpenAI itself would run, of which there are none here.",
    ),
    ignored("image", ""),
    ignored("access_programs", ""),
    repeated("prompt_cache_key"),
    ignored("prompt_cache_options", "Engines find by themselves what they have cached."),
    ignored("prompt_cache_retention", ""),
    Row { asks: Asks::UnlessFlex, ..ignored("service_tier", TIER) },
    repeated("safety_identifier"),
    repeated("user"),
    extension(works("top_k", "0 or -1 for any token.")),
    extension(works("min_p", "")),
    extension(works("repeat_penalty", "It wins over repetition_penalty.")),
    extension(works("repetition_penalty", "")),
    extension(works("frequency_penalty", "")),
    extension(works("presence_penalty", "")),
    extension(works("seed", "")),
    extension(works("stop", "At most limits.stop_texts.")),
    chat_s("messages", "It is a chat's: Responses has input."),
    chat_s("max_tokens", "It is a chat's: Responses has max_output_tokens."),
    chat_s("max_completion_tokens", "It is a chat's: Responses has max_output_tokens."),
    chat_s("response_format", "It is a chat's: Responses has text.format."),
    chat_s("reasoning_effort", "It is a chat's: Responses has reasoning.effort."),
    chat_s("functions", "It is a chat's: Responses has tools."),
    chat_s("function_call", "It is a chat's: Responses has tool_choice."),
    Row {
        asks: Asks::UnlessFalse,
        ..chat_s(
            "logprobs",
            "It is a chat's: Responses has include, with message.output_text.logprobs, and top_logprobs.",
        )
    },
    Row { asks: Asks::UnlessEmpty, ..chat_s("logit_bias", "It is a chat's: Responses has no such field.") },
    Row {
        asks: Asks::ByReader,
        ..chat_s("n", "It is a chat's: a response is one answer, and 1 is taken. Ask once for each.")
    },
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

/// Whether a field of this name is in a row, or has one inside of it.
pub(super) fn knows(name: &str) -> bool {
    let inside = |row: &Row| row.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
    !name.contains('.') && ROWS.iter().any(|row| row.name == name || inside(row))
}

/// Why what this row's field asks for cannot be had.
pub(super) fn refusal(row: &Row) -> Option<&'static str> {
    let [Fate::Refused(why), ..] = row.fates else { return None };
    Some(why)
}

//! Every field of a completion, and what becomes of it at each kind of backend.
//!
//! Knows the names in OpenAI's API description of completions and the extensions that clients send. Refuses to know chats, whose table is
//! [`super::super::table::ROWS`]. Invariant: as there.

use super::super::table::{Asks, Fate, NO_BIAS, NO_CUT, Row, extension, fits, row};

/// Why no more answers are made than are given.
pub(super) const NO_JUDGE: &str =
    "The engine of this model gives each of its answers out, and judges none. Send n alone.";

/// Why an answer has no form.
const NO_FORM: &str = "The engine of this model holds chats to a form, and no completions: send a chat.";
const CALLS_NOTHING: &str = "The engine of this model calls nothing in a completion: send a chat.";
const NOT_CALLED_SO: &str = "It is a chat's: a completion has max_tokens.";

/// Why a conversation is not gone on with.
const A_CHAT_S: &str = "It is a chat's: a completion has prompt.";

const fn works(name: &'static str, note: &'static str) -> Row {
    row(name, [Fate::Works, Fate::Passed, Fate::Passed], note)
}

const fn ignored(name: &'static str, note: &'static str) -> Row {
    row(name, [Fate::Ignored, Fate::Passed, Fate::Ignored], note)
}

/// Where one who gives an answer at a time cannot do it.
const fn refused(name: &'static str, asks: Asks, why: &'static str, note: &'static str) -> Row {
    Row { asks, ..row(name, [Fate::Refused(why), Fate::Passed, Fate::Refused(why)], note) }
}

/// A form of the answer in the words of one engine.
const fn formed(name: &'static str) -> Row {
    extension(refused(name, Asks::Always, NO_FORM, ""))
}

/// Where an answer ends, or which words it may not have, in the words of one engine.
const fn cut(name: &'static str) -> Row {
    extension(refused(name, Asks::UnlessNothing, NO_CUT, ""))
}

/// All fields that are known by name. Ollama and our own engine make nothing of any other, and the answer names it; other engines are
/// given it as it came.
pub const ROWS: &[Row] = &[
    works("model", "An engine is sent its own name for the model; answers have the one that was asked for."),
    row(
        "prompt",
        [Fate::Emulated, Fate::Passed, Fate::Emulated],
        "Ollama and the own engine: raw, without the model's template; a list as one request after the other, at most \
         limits.choices answers in all. Ollama: token ids are refused. The own engine reads what is written as a special token as \
         one, and puts the model's first token before a text. Media beside it (images) are refused by both, by their name.",
    ),
    refused("best_of", Asks::ByReader, NO_JUDGE, "Ollama and the own engine: as many as n is taken."),
    row(
        "echo",
        [Fate::Emulated, Fate::Passed, Fate::Passed],
        "Ollama: the prompt stands before its answer; together with logprobs it is refused. The own engine tells the logprobs of \
         the prompt as well, but before a suffix, where both together are refused.",
    ),
    works("frequency_penalty", ""),
    refused("logit_bias", Asks::UnlessEmpty, NO_BIAS, ""),
    works(
        "logprobs",
        "Ollama: 0 to 5; refused or named before 0.12.11, as a chat's. The own engine: 0 to 20, those of the model itself, before temperature and penalties.",
    ),
    works(
        "max_tokens",
        "16 where neither the client nor [[models]] says it, as OpenAI has it. Ollama: at least 1.",
    ),
    row(
        "n",
        [Fate::Emulated; 3],
        "As for a chat: asked for one by one where the engine gives fewer; each prompt is counted once.",
    ),
    works("presence_penalty", ""),
    works("seed", ""),
    works("stop", "At most limits.stop_texts."),
    works("stream", ""),
    works("stream_options", "include_usage."),
    Row {
        asks: Asks::UnlessFalse,
        ..ignored(
            "stream_options.include_obfuscation",
            "Events are not padded against whoever reads their lengths.",
        )
    },
    works(
        "suffix",
        "Ollama: by the model's own template, where the model can insert; else refused. The own engine: by the tokens that the \
         model's file names for it (fill-in-the-middle), where it does; else refused.",
    ),
    works("temperature", ""),
    works("top_p", ""),
    ignored("user", ""),
    // Without these the answer would be another one.
    extension(refused(
        "response_format",
        Asks::UnlessText,
        NO_FORM,
        "Ollama and the own engine: the type text is what a completion is, and is taken.",
    )),
    extension(row("messages", [Fate::Refused(A_CHAT_S); 3], "")),
    extension(works("top_k", "0 or -1 for any token.")),
    extension(works("min_p", "")),
    extension(works("repeat_penalty", "It wins over repetition_penalty on Ollama.")),
    extension(works("repetition_penalty", "")),
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
    extension(refused("tools", Asks::Always, CALLS_NOTHING, "")),
    extension(row("max_completion_tokens", [Fate::Refused(NOT_CALLED_SO); 3], "")),
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

const _: () = assert!(fits(ROWS), "a row has no bit");

//! Every field of a completion, and what becomes of it at each kind of backend.
//!
//! Knows the names in OpenAI's API description of completions and the extensions that clients send. Refuses to know chats, whose table is
//! [`super::super::table::ROWS`]. Invariant: as there.

use super::super::table::{Asks, Fate, NO_BIAS, Row, extension, fits, row};

const EMBEDDED: Fate = Fate::Refused("The embedded engine answers chats alone.");

/// Why no more answers are made than are given.
pub(super) const NO_JUDGE: &str =
    "The engine of this model gives each of its answers out, and judges none. Send n alone.";

const fn works(name: &'static str, note: &'static str) -> Row {
    row(name, [Fate::Works, Fate::Passed, EMBEDDED], note)
}

const fn emulated(name: &'static str, note: &'static str) -> Row {
    row(name, [Fate::Emulated, Fate::Passed, EMBEDDED], note)
}

const fn ignored(name: &'static str, note: &'static str) -> Row {
    row(name, [Fate::Ignored, Fate::Passed, EMBEDDED], note)
}

/// All fields that are known by name. Ollama makes nothing of any other, and the answer names it; other engines are given it as it came.
pub const ROWS: &[Row] = &[
    works("model", "An engine is sent its own name for the model; answers have the one that was asked for."),
    emulated(
        "prompt",
        "Ollama: raw, without the model's template; a list as one request after the other, at most limits.choices answers in \
         all; token ids are refused.",
    ),
    Row {
        asks: Asks::ByReader,
        ..row("best_of", [Fate::Refused(NO_JUDGE), Fate::Passed, EMBEDDED], "Ollama: as many as n is taken.")
    },
    emulated("echo", "Ollama: the prompt stands before its answer; together with logprobs it is refused."),
    works("frequency_penalty", ""),
    Row {
        asks: Asks::UnlessEmpty,
        ..row("logit_bias", [Fate::Refused(NO_BIAS), Fate::Passed, EMBEDDED], "")
    },
    works("logprobs", "Ollama: 0 to 5."),
    works(
        "max_tokens",
        "16 where neither the client nor [[models]] says it, as OpenAI has it. Ollama: at least 1.",
    ),
    row(
        "n",
        [Fate::Emulated, Fate::Emulated, EMBEDDED],
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
    works("suffix", "Ollama: by the model's own template, where the model can insert; else refused."),
    works("temperature", ""),
    works("top_p", ""),
    ignored("user", ""),
    extension(works("top_k", "")),
    extension(works("min_p", "")),
    extension(works("repeat_penalty", "It wins over repetition_penalty on Ollama.")),
    extension(works("repetition_penalty", "")),
    extension(ignored(
        "num_ctx",
        "The context's length is the admin's: another one makes an engine load the model anew.",
    )),
    extension(ignored("keep_alive", "How long a model stays loaded is the admin's.")),
    extension(ignored("options", "Ollama's own; send the fields themselves.")),
];

const _: () = assert!(fits(ROWS), "a row has no bit");

//! Every field of a request for embeddings, and what becomes of it at each kind of backend.
//!
//! Knows the names in OpenAI's API description of embeddings, and what some engines take in their place. Refuses to know chats, whose
//! table is [`super::super::table::ROWS`]. Invariant: as there.

use super::super::table::{Asks, Fate, Row, extension, fits, row};

/// Why vectors are not cut: a model's file does not tell whether it was trained for that.
const AS_THEY_ARE: &str = "The own engine gives vectors as they are; the length that they have is taken.";
const INPUT_ALONE: &str = "Embeddings are made of the texts or token ids in 'input' here.";

/// What some engines take for embeddings in place of OpenAI's fields, and fetch what is named in it.
const fn instead(name: &'static str, note: &'static str) -> Row {
    extension(row(name, [Fate::Refused(INPUT_ALONE); 3], note))
}

/// All fields that are known by name. An Ollama and our own engine make nothing of any other, and it is refused there, since the vectors would not
/// be those that were asked for; other engines are given it as it came.
pub const ROWS: &[Row] = &[
    row(
        "model",
        [Fate::Works, Fate::Passed, Fate::Passed],
        "An engine is sent its own name for the model; answers have the one that was asked for.",
    ),
    row("input", [Fate::Works, Fate::Passed, Fate::Passed], "Ollama: token ids are refused."),
    row(
        "encoding_format",
        [Fate::Emulated, Fate::Passed, Fate::Passed],
        "Where an engine gives another form than was asked for, the vectors are written anew.",
    ),
    Row {
        asks: Asks::ByReader,
        ..row("dimensions", [Fate::Works, Fate::Passed, Fate::Refused(AS_THEY_ARE)], "")
    },
    row("user", [Fate::Ignored, Fate::Passed, Fate::Ignored], ""),
    instead("messages", "A chat's, by vLLM."),
    instead("modality", "By Infinity."),
];

const _: () = assert!(fits(ROWS), "a row has no bit");

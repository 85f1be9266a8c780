//! What has an engine count the tokens of a stream whose client has not asked for that.
//!
//! Knows `stream_options.include_usage`, and where a body has room for it. Invariant: nothing else in the body changes.

use std::ops::Range;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::dialect::json::{self, Object};
use crate::dialect::openai::fields::Fields;

/// Words, and what of the body they take the place of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Counted {
    at: Range<usize>,
    words: &'static str,
}

impl Counted {
    /// What has a stream's engine count its tokens; none where the options are of no known form.
    pub(super) fn wanted(body: &[u8], fields: &Fields<'_>) -> Option<Self> {
        let Some((_, options)) = fields.lies(OPTIONS) else {
            // Behind the brace; at least the model's name follows.
            let start = memchr::memchr(b'{', body)? + 1;
            return Some(Self { at: start..start, words: "\"stream_options\":{\"include_usage\":true}," });
        };
        let span = json::span(body, options.get());
        if options.get() == "null" {
            return Some(Self { at: span, words: "{\"include_usage\":true}" });
        }
        let Object(Options { include_usage }) = serde_json::from_str(options.get()).ok()?;
        if let Some(no) = include_usage {
            return Some(Self { at: json::span(body, no.get()), words: "true" });
        }
        let start = span.start + 1;
        let empty = options.get().bytes().filter(|byte| !byte.is_ascii_whitespace()).eq(*b"{}");
        let words = if empty { "\"include_usage\":true" } else { "\"include_usage\":true," };
        Some(Self { at: start..start, words })
    }

    /// The words, and where they go in the body.
    pub(super) fn edit(&self) -> (Range<usize>, String) {
        (self.at.clone(), self.words.to_owned())
    }

    /// Where the words are in the body once these edits were made as well, none of which is behind them at the same place, and what
    /// was there before.
    pub(super) fn words_behind(
        &self,
        edits: &[(Range<usize>, String)],
        body: &[u8],
    ) -> (Range<usize>, String) {
        let before = edits.iter().filter(|(place, _)| place.start <= self.at.start);
        let (gone, come) =
            before.fold((0, 0), |(gone, come), (place, text)| (gone + place.len(), come + text.len()));
        let start = self.at.start + come - gone;
        let was = String::from_utf8_lossy(body.get(self.at.clone()).unwrap_or_default()).into_owned();
        (start..start + self.words.len(), was)
    }
}

const OPTIONS: &str = "stream_options";

#[derive(Deserialize)]
struct Options<'a> {
    /// Null as well: a second key of the name would be one too many.
    #[serde(borrow, default, deserialize_with = "json::there")]
    include_usage: Option<&'a RawValue>,
}

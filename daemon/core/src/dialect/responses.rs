//! OpenAI's Responses: what its newer clients speak, Codex and `@ai-sdk/openai` by default.
//!
//! Knows the request's fields and items, the response object and the events of its stream. Refuses to know engines, and
//! to keep anything: each request holds its whole conversation, or names items that its caller looks up ([`Earlier`]).
//! Invariants: what cannot be kept is refused by its field; what is harmless and not acted on is named
//! ([`ResponseRequest::ignored`]); a stream ends with exactly one of `response.completed`, `response.incomplete` and
//! `response.failed`.

mod echo;
mod input;
mod item;
mod reasoning;
mod request;
mod rows;
mod stream;
mod tools;
mod whole;

pub use echo::Echo;
pub use input::Earlier;
pub use item::KeptItem;
pub(in crate::dialect) use request::ODDS;
pub use request::{ResponseRequest, parse_recalling, parse_response};
pub use rows::ROWS;
pub use stream::ResponseStream;
pub use whole::ResponseWhole;

use crate::error::ApiError;

#[cfg(test)]
mod tests;

/// The name here of what a chat calls so, as errors do that were found once a request was read.
///
/// A chat's message may be several items, or a part of one, so that of its place nothing is said.
fn own_name(param: &str, echo: &Echo) -> Option<String> {
    let end = param.find(['.', '[']).unwrap_or(param.len());
    let (outer, rest) = param.split_at(end);
    match outer {
        "messages" => Some("input".to_owned()),
        "max_tokens" | "max_completion_tokens" => Some("max_output_tokens".to_owned()),
        "reasoning_effort" | "think" => Some("reasoning.effort".to_owned()),
        "logprobs" => Some("include".to_owned()),
        "response_format" => {
            let inside = rest.strip_prefix(".json_schema").unwrap_or(rest);
            Some(format!("text.format{inside}"))
        }
        "tools" => {
            let (place, inside) = rest.strip_prefix('[')?.split_once(']')?;
            Some(format!("{}{}", echo.names.place(place.parse().ok()?)?, of_function(inside)))
        }
        "tool_choice" => Some(format!("tool_choice{}", of_function(rest))),
        _ => None,
    }
}

/// What stands inside of a function: a chat has an object around it.
fn of_function(inside: &str) -> &str {
    let bare = inside.strip_prefix(".function").filter(|bare| bare.is_empty() || bare.starts_with('.'));
    bare.unwrap_or(inside)
}

/// The error, with the field's name that this request's client knows, also where its words quote it.
#[must_use]
pub fn in_own_words(error: ApiError, echo: &Echo) -> ApiError {
    let own = error.param().and_then(|param| Some((param.to_owned(), own_name(param, echo)?)));
    let Some((theirs, own)) = own else { return error };
    let quoted = error.renamed(&format!("'{theirs}'"), &format!("'{own}'"));
    // Our own engine begins a sentence with a place; a name that is a word of English as well is left alone.
    let named = if theirs.contains(['.', '[', '_']) { quoted.renamed(&theirs, &own) } else { quoted };
    // What a chat calls a picture's part.
    named.renamed("of a type image_url", "of a type input_image").with_param(own)
}

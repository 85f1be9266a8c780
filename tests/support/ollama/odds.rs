//! The probabilities of tokens, of `/api/chat` and `/api/generate` alike.
//!
//! Knows their form as recorded (027, 059). Refuses to know which tokens there are. Invariant: every token is as likely as any other.

use super::go;

/// The member of an answer that holds these.
pub(super) fn list(tokens: &[String]) -> String {
    format!(",\"logprobs\":[{}]", tokens.join(","))
}

/// A token with what might have stood there: itself, and so many more at the most.
pub(super) fn of(token: &str, top: u64) -> String {
    let quoted = go::quote(token);
    let own = format!("\"token\":{quoted},\"logprob\":-0.25,\"bytes\":{:?}", token.as_bytes());
    if top == 0 {
        return format!("{{{own}}}");
    }
    let others =
        (1..top).map(|other| format!("{{\"token\":\"{other}\",\"logprob\":-{other}.5,\"bytes\":[48]}}"));
    let all: Vec<String> = std::iter::once(format!("{{{own}}}")).chain(others).collect();
    format!("{{{own},\"top_logprobs\":[{}]}}", all.join(","))
}

//! Whether a request has time.
//!
//! Knows the field of the head that says so ([`PRIORITY`]). Refuses to know what comes of it. Invariant: a word that means nothing is told
//! to whoever has sent it, and not taken for another.

use ghostllm_core::{
    ApiError,
    admission::{Class, PRIORITY},
};
use http::HeaderMap;

/// What the head says of it; none where it says nothing.
///
/// # Errors
/// 400 where it says what nobody understands.
pub(super) fn of(headers: &HeaderMap) -> Result<Option<Class>, ApiError> {
    let Some(value) = headers.get(PRIORITY) else { return Ok(None) };
    let named = value.to_str().ok().and_then(|name| Class::named(name.trim()));
    named.map(Some).ok_or_else(|| {
        ApiError::invalid_request(format!("The header {PRIORITY} takes interactive or background."))
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_head_says_it_or_nothing_or_is_refused() {
        let with = |value: &'static str| {
            HeaderMap::from_iter([("GhostLLM-Priority".parse().unwrap(), HeaderValue::from_static(value))])
        };
        assert_eq!(of(&HeaderMap::new()).unwrap(), None);
        assert_eq!(of(&with("background")).unwrap(), Some(Class::Background));
        assert_eq!(of(&with(" Interactive")).unwrap(), Some(Class::Interactive));
        assert_eq!(of(&with("urgent")).unwrap_err().status(), 400);
    }
}

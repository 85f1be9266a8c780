//! Which models a caller may use.
//!
//! Knows patterns and a model's names. Refuses to know keys. Invariant: it goes by the model that answers, however it was asked
//! for.

use ghostllm_core::ApiError;

use crate::store::keys::Caller;

/// Whether the caller may use the model that its backend calls `model`.
pub(super) fn may(caller: &Caller, backend: &str, model: &str) -> bool {
    if caller.models.is_empty() {
        return true;
    }
    // Ollama's own shorter name for it.
    let short = model.strip_suffix(":latest").unwrap_or(model);
    let qualified = format!("{backend}/{model}");
    let names = [model, short, &qualified];
    caller.models.iter().any(|pattern| names.iter().any(|name| fits(pattern, name)))
}

/// Refuses what the caller may not use.
pub(super) fn check(caller: &Caller, asked: &str, backend: &str, model: &str) -> Result<(), ApiError> {
    if may(caller, backend, model) {
        return Ok(());
    }
    let shown: String = asked.chars().take(128).collect();
    Err(ApiError::forbidden(format!(
        "This API key may not use the model '{shown}'. GET /v1/models lists those that it may; the box's admin can \
         make a key for others."
    ))
    .with_param("model"))
}

/// Whether the name is of the pattern, where `*` stands for any characters but `/`: what one backend is allowed must not be
/// widened by another's name. `*` alone stands for all.
fn fits(pattern: &str, name: &str) -> bool {
    if pattern == "*" {
        return true;
    }
    let Some((first, mut rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut left) = name.strip_prefix(first) else { return false };
    // Each part between two stars at its first place, the last one at the end.
    while let Some((part, behind)) = rest.split_once('*') {
        let Some(at) = left.find(part) else { return false };
        let (skipped, from) = left.split_at(at);
        if skipped.contains('/') {
            return false;
        }
        (left, rest) = (from.strip_prefix(part).unwrap_or(from), behind);
    }
    left.strip_suffix(rest).is_some_and(|skipped| !skipped.contains('/'))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn patterns() {
        for (pattern, name, wanted) in [
            ("tiny", "tiny", true),
            ("tiny", "tiny2", false),
            ("tiny*", "tiny2", true),
            ("*tiny", "xtiny", true),
            ("*", "a/b", true),
            ("tiny*", "tiny/secret", false),
            ("Qwen/*", "Qwen/Qwen3", true),
            ("*/*", "Qwen/Qwen3", true),
            ("q*n*:8b", "qwen3-next:8b", true),
            ("q*n*:8b", "qwen3-next:8b2", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "ac", false),
            ("a*a", "a", false),
            ("", "a", false),
        ] {
            assert_eq!(fits(pattern, name), wanted, "{pattern} {name}");
        }
    }

    #[test]
    fn a_model_is_known_by_what_its_backend_calls_it() {
        let caller = |patterns: &[&str]| Caller {
            models: patterns.iter().map(|pattern| (*pattern).to_owned()).collect::<Arc<[String]>>(),
            ..Caller::local()
        };
        assert!(may(&caller(&[]), "box", "anything"));
        assert!(may(&caller(&["tiny"]), "box", "tiny:latest"));
        assert!(may(&caller(&["box/*"]), "box", "tiny:latest"));
        assert!(!may(&caller(&["box/*"]), "other", "tiny:latest"));
        assert!(!may(&caller(&["tiny"]), "tiny", "secret"));
        assert!(check(&caller(&["tiny"]), "x/secret", "x", "secret").unwrap_err().status() == 403);
    }
}

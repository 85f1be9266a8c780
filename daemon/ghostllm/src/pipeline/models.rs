//! Which models a caller may use, and what whoever asks for another one hears.
//!
//! Knows patterns and a model's names. Refuses to know keys. Invariants: it goes by the model that answers, however it was asked
//! for, or by a name that the configuration has given to it, whose admin has said so that whoever may use the name may use the
//! model by it; what begins with a backend's name stands for that backend's models alone; a caller who may use some models hears nothing
//! that tells whether there are others.

use ghostllm_core::{ApiError, error::Code};

use super::chat::unrouted;
use crate::{
    backend::registry::{Routed, Snapshot},
    store::keys::Caller,
};

/// Whether the caller may use the model that its backend calls `model`.
pub(super) fn may(caller: &Caller, snapshot: &Snapshot, backend: &str, model: &str) -> bool {
    fit(caller, backend, model, |name| is_backend(snapshot, name))
}

/// Whether the caller may have this model for this name.
pub(super) fn may_ask(caller: &Caller, snapshot: &Snapshot, asked: &str, routed: &Routed) -> bool {
    may(caller, snapshot, routed.backend.name(), &routed.model)
        || routed.alias && may_name(caller, snapshot, asked)
}

/// Whether the caller may use a name that the configuration gives, whatever it stands for.
pub(super) fn may_name(caller: &Caller, snapshot: &Snapshot, name: &str) -> bool {
    named(caller, name, |name| is_backend(snapshot, name))
}

fn is_backend(snapshot: &Snapshot, name: &str) -> bool {
    snapshot.backends().iter().any(|known| known.backend().name() == name)
}

fn named(caller: &Caller, name: &str, is_backend: impl Fn(&str) -> bool) -> bool {
    // What is called as if it were a backend's own is allowed by no pattern for that backend.
    let taken = name.split_once('/').is_some_and(|(first, _)| is_backend(first));
    let fit = |pattern: &String| if taken { pattern == "*" } else { fits(pattern, name) };
    caller.models.is_empty() || caller.models.iter().any(fit)
}

fn fit(caller: &Caller, backend: &str, model: &str, is_backend: impl Fn(&str) -> bool) -> bool {
    if caller.models.is_empty() {
        return true;
    }
    // Another backend's model may call itself as this one's are called here; then only its own backend's name in front of all
    // of it tells it apart.
    let taken = model.split_once('/').is_some_and(|(first, _)| first != backend && is_backend(first));
    let any = |name: &str| caller.models.iter().any(|pattern| fits(pattern, name));
    // The second is Ollama's own shorter name for it.
    [Some(model), model.strip_suffix(":latest")]
        .into_iter()
        .flatten()
        .any(|name| (!taken && any(name)) || any(&format!("{backend}/{name}")))
}

/// What a caller hears who has asked for what is not there, or not theirs.
pub(super) fn refused(caller: &Caller, snapshot: &Snapshot, asked: &str) -> ApiError {
    let named = caller.models.iter().any(|pattern| fits(pattern, asked));
    if caller.models.is_empty() || named {
        // It would be theirs, so that they may know why it does not answer.
        let error = unrouted(snapshot, asked);
        if caller.models.is_empty() || error.code() != Code::ModelNotFound {
            return error;
        }
    }
    let shown: String = asked.chars().take(128).collect();
    ApiError::new(
        Code::ModelNotFound,
        format!(
            "The model '{shown}' does not exist here, or this API key may not use it. GET /v1/models lists those that it may; \
             the box's admin can make a key for others."
        ),
    )
    .with_param("model")
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
    fn a_name_that_the_configuration_gives_is_allowed_as_such() {
        let may = |pattern: &str, name: &str| {
            let caller = Caller { models: Arc::from([pattern.to_owned()]), ..Caller::local() };
            named(&caller, name, |name| name == "box")
        };
        assert!(may("gpt-*", "gpt-4o-mini") && may("openai/*", "openai/gpt") && may("*", "box/gpt"));
        for (pattern, name) in
            [("gpt-*", "gpt/4"), ("box/*", "box/gpt"), ("box/gpt", "box/gpt"), ("tiny", "gpt")]
        {
            assert!(!may(pattern, name), "{pattern} {name}");
        }
        assert!(named(&Caller::local(), "box/gpt", |_| true));
    }

    #[test]
    fn a_model_is_known_by_what_its_backend_calls_it() {
        let may = |caller: &Caller, backend: &str, model: &str| {
            fit(caller, backend, model, |name| ["box", "other", "tiny"].contains(&name))
        };
        let caller = |patterns: &[&str]| Caller {
            models: patterns.iter().map(|pattern| (*pattern).to_owned()).collect::<Arc<[String]>>(),
            ..Caller::local()
        };
        assert!(may(&caller(&[]), "box", "anything"));
        assert!(may(&caller(&["tiny"]), "box", "tiny:latest"));
        assert!(may(&caller(&["box/*"]), "box", "tiny:latest"));
        assert!(!may(&caller(&["box/*"]), "other", "tiny:latest"));
        assert!(!may(&caller(&["tiny"]), "tiny", "secret"));
        assert!(may(&caller(&["box/tiny"]), "box", "tiny:latest"), "both in short");
        assert!(may(&caller(&["Qwen/*"]), "box", "Qwen/Qwen3"), "which is no backend's name");
        // What is called as if it were another's.
        for pattern in ["box/*", "box/x", "*/*", "b*/x"] {
            assert!(may(&caller(&[pattern]), "box", "x"), "{pattern}");
            assert!(may(&caller(&[pattern]), "box", "box/x"), "{pattern}");
            assert!(!may(&caller(&[pattern]), "other", "box/x"), "{pattern}");
        }
        for pattern in ["*", "other/box/x", "other/box/*", "*/*/*"] {
            assert!(may(&caller(&[pattern]), "other", "box/x"), "{pattern}");
        }
    }
}

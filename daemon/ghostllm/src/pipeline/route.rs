//! The route table: which paths there are, which methods they take, which of them are public.

use ghostllm_core::ApiError;
use http::Method;
use percent_encoding::percent_decode_str;

/// Behind this a model's name follows; its slashes may be escaped.
pub(crate) const MODEL_PREFIX: &str = "/v1/models/";

/// Static pages that a link on any web site may lead to.
pub(crate) const PAGES: [&str; 3] = ["/", "/ca.crt", "/ca.pem"];

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    /// `/`
    Page,
    /// `/healthz`: the edge serves.
    Health,
    /// `/readyz`: a model can answer.
    Ready,
    /// `/ca.crt`, DER.
    AuthorityDer,
    /// `/ca.pem`
    AuthorityPem,
    /// `/v1/models`
    Models,
    /// `/v1/models/{id}`, decoded.
    Model(String),
    /// `/v1/chat/completions`
    Chat,
}

/// A request's place in the table.
pub(super) struct Classified {
    /// What it asks for, or 404 or 405.
    pub(super) route: Result<Route, ApiError>,
    /// No key is asked for. What does not exist is not public: a stranger learns nothing of the table.
    pub(super) public: bool,
}

const READ: &str = "GET, HEAD";

pub(super) fn classify(method: &Method, path: &str) -> Classified {
    let (route, public, allowed) = match path {
        "/" => (Route::Page, true, READ),
        "/healthz" => (Route::Health, true, READ),
        "/readyz" => (Route::Ready, true, READ),
        "/ca.crt" => (Route::AuthorityDer, true, READ),
        "/ca.pem" => (Route::AuthorityPem, true, READ),
        "/v1/models" => (Route::Models, false, READ),
        "/v1/chat/completions" => (Route::Chat, false, "POST"),
        _ => match path.strip_prefix(MODEL_PREFIX).and_then(decoded) {
            Some(name) => (Route::Model(name), false, READ),
            None => {
                let route = Err(ApiError::route_not_found(method.as_str(), path));
                return Classified { route, public: false };
            }
        },
    };
    let taken = allowed.split(", ").any(|name| name == method.as_str());
    let route = if taken { Ok(route) } else { Err(ApiError::method_not_allowed(method.as_str(), allowed)) };
    Classified { route, public }
}

fn decoded(name: &str) -> Option<String> {
    let name = percent_decode_str(name).decode_utf8().ok()?;
    (!name.is_empty()).then(|| name.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_slashes_and_colons() {
        for path in ["/v1/models/Qwen/Qwen3:0.6b", "/v1/models/Qwen%2FQwen3%3A0.6b"] {
            let classified = classify(&Method::GET, path);
            assert_eq!(classified.route.unwrap(), Route::Model("Qwen/Qwen3:0.6b".into()));
            assert!(!classified.public);
        }
    }

    #[test]
    fn what_does_not_exist_is_not_public() {
        for path in ["/v1/models/", "/v1/chat", "/admin", "/CA.pem", "/healthz/"] {
            let classified = classify(&Method::GET, path);
            assert_eq!(classified.route.unwrap_err().status(), 404, "{path}");
            assert!(!classified.public, "{path}");
        }
    }

    #[test]
    fn a_wrong_method_says_which_are_right() {
        let error = classify(&Method::GET, "/v1/chat/completions").route.unwrap_err();
        assert_eq!((error.status().as_u16(), error.allow()), (405, Some("POST")));
        let error = classify(&Method::DELETE, "/").route.unwrap_err();
        assert_eq!(error.allow(), Some("GET, HEAD"));
    }
}

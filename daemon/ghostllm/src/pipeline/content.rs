//! A request's body: its type, its size, its depth.
//!
//! Invariant: what is longer than the limit is refused by its announced length, before a byte of it is read.

use bytes::Bytes;
use ghostllm_core::{ApiError, config::Limits, dialect::json};
use ghostllm_edge::{BodyError, RequestBody};
use http::{
    HeaderMap,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};

/// Reads a JSON body whole.
pub(super) async fn read(headers: &HeaderMap, body: RequestBody, limits: &Limits) -> Result<Bytes, ApiError> {
    check_type(headers)?;
    let limit = limits.body.bytes();
    if body.size_hint().lower() > limit {
        return Err(ApiError::payload_too_large(limit));
    }
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let collected = Limited::new(body, most).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            return ApiError::payload_too_large(limit);
        }
        match error.downcast_ref::<BodyError>() {
            Some(BodyError::TooSlow) => ApiError::request_timeout(),
            Some(BodyError::TooLarge { limit }) => ApiError::payload_too_large(*limit),
            Some(BodyError::Transport(_)) | None => ApiError::invalid_request(
                "the request's body was cut off or its framing is broken; send it again",
            ),
        }
    })?;
    let bytes = collected.to_bytes();
    check_depth(&bytes, limits.json_depth)?;
    Ok(bytes)
}

fn check_type(headers: &HeaderMap) -> Result<(), ApiError> {
    if headers.contains_key(CONTENT_ENCODING) {
        return Err(ApiError::unsupported_media_type(
            "compressed request bodies are not taken: send it without Content-Encoding",
        ));
    }
    let Some(kind) = headers.get(CONTENT_TYPE) else { return Ok(()) };
    let essence = kind.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(ApiError::unsupported_media_type("the body must be JSON: send Content-Type: application/json"))
}

fn check_depth(bytes: &[u8], most: usize) -> Result<(), ApiError> {
    if json::is_deeper(bytes, most) {
        return Err(ApiError::invalid_request(format!("the body is nested more than {most} levels deep")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_depth_passes_and_one_more_does_not() {
        assert!(check_depth(b"[[{\"a\":[]}]]", 4).is_ok());
        assert!(check_depth(b"[[{\"a\":[[]]}]]", 4).is_err());
        assert!(check_depth(br#"["[[[[[[\"[[[["]"#, 1).is_ok(), "brackets in a string are text");
    }

    #[test]
    fn only_plain_json_is_taken() {
        let with = |name: &'static str, value: &'static str| {
            check_type(&HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())]))
        };
        assert!(check_type(&HeaderMap::new()).is_ok());
        assert!(with("content-type", "Application/JSON; charset=utf-8").is_ok());
        for (name, value) in [("content-type", "text/plain"), ("content-encoding", "gzip")] {
            assert_eq!(with(name, value).unwrap_err().status(), 415, "{value}");
        }
    }
}

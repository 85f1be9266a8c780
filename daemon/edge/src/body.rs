//! The two body types that all HTTP versions share, and how a stream that fails says so.
//!
//! Knows bytes and frames. Refuses to know which version carries them. Invariant: a response body that fails
//! after its headers ends with [`StreamFailed`] *behind* its last data, and each transport lets that data
//! leave before it resets the stream.

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header::CONTENT_LENGTH};
use http_body::Body;
use http_body_util::{BodyExt, Empty, Full, combinators::UnsyncBoxBody};

/// The request's body as every handler sees it.
pub type RequestBody = UnsyncBoxBody<Bytes, BodyError>;

/// The response's body as every handler gives it.
pub type ResponseBody = UnsyncBoxBody<Bytes, StreamFailed>;

/// Why a request's body could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The peer closed, reset or broke the framing.
    #[error("the request's body was cut off: {0}")]
    Transport(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Nothing arrived for the idle limit, or less than the least rate.
    #[error("the request's body came too slowly")]
    TooSlow,
    /// More bytes than the limit that the reader set.
    #[error("the request's body is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
}

/// The response's stream ended in a failure that its last data frame has already told the client.
///
/// On HTTP/1.1 the body then ends cleanly; on HTTP/2 and HTTP/3 the stream is reset once that frame has left.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the response's stream failed after its headers")]
pub struct StreamFailed;

/// In a response's extensions: it is a stream that ends by itself when a drain begins, and whose reader comes back for what it has
/// missed. A reader that takes nothing holds no drain up for it: its connection is cut soon after.
#[derive(Debug, Clone, Copy)]
pub struct EndsAtDrain;

/// A response body that is already whole.
pub fn full(bytes: impl Into<Bytes>) -> ResponseBody {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// A response body of no bytes.
pub fn empty() -> ResponseBody {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// The response without what must not follow its head: the answer to a HEAD, a 204 or a 304 (RFC 9110 section 6.4.1). The
/// length that the body would have had is kept, where there is one. hyper does this on HTTP/1.1 only.
pub(crate) fn without_forbidden(method: &Method, response: Response<ResponseBody>) -> Response<ResponseBody> {
    let bodiless = matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if !bodiless && *method != Method::HEAD {
        return response;
    }
    let length = response.body().size_hint().exact().filter(|length| !bodiless && *length > 0);
    let mut response = response.map(|_body| empty());
    if let Some(length) = length {
        response.headers_mut().entry(CONTENT_LENGTH).or_insert(HeaderValue::from(length));
    }
    response
}

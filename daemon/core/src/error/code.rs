//! The kinds of failure, each with its status, type and code text.
//!
//! Knows OpenAI's vocabulary and HTTP's statuses. Refuses to know texts for people. Invariant: the three mappings
//! have no wildcard arm, so that a new kind does not compile until it has all three.

use http::StatusCode;

/// Every kind of failure that a client can meet. The daemon's own codes first, then OpenAI's and HTTP's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// No backend serves the model that was asked for.
    ModelNotFound,
    /// The key is missing, malformed, unknown or revoked.
    InvalidApiKey,
    /// The backend cannot be reached, or is still loading.
    BackendUnavailable,
    /// The backend took the request and went silent.
    BackendTimeout,
    /// The backend failed, or answered what it should not.
    BackendError,
    /// Every place and every waiting place is taken.
    QueueFull,
    /// This box has no room for one chat more.
    Overloaded,
    /// The cards are too hot to take more work.
    GpuThermal,
    /// The prompt and the wanted answer do not fit into the model's context.
    ContextLengthExceeded,
    /// The request is wrong in a way that has no code of its own.
    InvalidRequest,
    /// The body is not JSON.
    InvalidJson,
    /// A field that must be there is not.
    MissingParameter,
    /// A field has the wrong JSON type.
    InvalidType,
    /// A field has the right type and a value that is not allowed.
    InvalidValue,
    /// A field that this daemon, or the model's backend, does not offer.
    UnsupportedParameter,
    /// This caller has sent too much in too short a time.
    RateLimited,
    /// The key is good and does not allow this.
    Forbidden,
    /// No route has this path.
    RouteNotFound,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// The client took too long to send its request.
    RequestTimeout,
    /// The body is larger than the limit.
    PayloadTooLarge,
    /// The content type or encoding of the body is not taken.
    UnsupportedMediaType,
    /// The host that was asked for is not this machine.
    Misdirected,
    /// The header section is larger than the limit.
    HeaderTooLarge,
    /// The target is longer than the limit.
    UriTooLong,
    /// What was asked for by its id is not there.
    NotFound,
    /// What is there already stands against it.
    Conflict,
    /// Somebody who may has ended this request.
    RequestCancelled,
    /// What was to be kept cannot be written now.
    StateUnwritable,
    /// What was ordered takes longer than whoever ordered it is kept waiting, and goes on.
    StillGoing,
    /// A defect of this daemon.
    Internal,
}

impl Code {
    /// Every code, for the generated reference and for tests.
    pub const ALL: [Self; 31] = [
        Self::ModelNotFound,
        Self::InvalidApiKey,
        Self::BackendUnavailable,
        Self::BackendTimeout,
        Self::BackendError,
        Self::QueueFull,
        Self::Overloaded,
        Self::GpuThermal,
        Self::ContextLengthExceeded,
        Self::InvalidRequest,
        Self::InvalidJson,
        Self::MissingParameter,
        Self::InvalidType,
        Self::InvalidValue,
        Self::UnsupportedParameter,
        Self::RateLimited,
        Self::Forbidden,
        Self::RouteNotFound,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::PayloadTooLarge,
        Self::UnsupportedMediaType,
        Self::Misdirected,
        Self::HeaderTooLarge,
        Self::UriTooLong,
        Self::NotFound,
        Self::Conflict,
        Self::RequestCancelled,
        Self::StateUnwritable,
        Self::StillGoing,
        Self::Internal,
    ];

    /// The HTTP status that goes out with it, as long as the headers have not.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::ModelNotFound | Self::RouteNotFound | Self::NotFound => StatusCode::NOT_FOUND,
            Self::InvalidApiKey => StatusCode::UNAUTHORIZED,
            Self::BackendUnavailable | Self::QueueFull | Self::Overloaded | Self::GpuThermal => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::BackendTimeout | Self::StillGoing => StatusCode::GATEWAY_TIMEOUT,
            Self::BackendError => StatusCode::BAD_GATEWAY,
            Self::ContextLengthExceeded
            | Self::InvalidRequest
            | Self::InvalidJson
            | Self::MissingParameter
            | Self::InvalidType
            | Self::InvalidValue
            | Self::UnsupportedParameter => StatusCode::BAD_REQUEST,
            Self::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            // No status says it; clients do not try again after this one.
            Self::Forbidden | Self::RequestCancelled => StatusCode::FORBIDDEN,
            Self::Conflict => StatusCode::CONFLICT,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::HeaderTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::UriTooLong => StatusCode::URI_TOO_LONG,
            Self::StateUnwritable => StatusCode::INSUFFICIENT_STORAGE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// OpenAI's `type`: whose turn it is to change something.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::RateLimited => "rate_limit_error",
            Self::Forbidden | Self::RequestCancelled => "permission_error",
            Self::BackendUnavailable
            | Self::BackendTimeout
            | Self::BackendError
            | Self::QueueFull
            | Self::Overloaded
            | Self::GpuThermal
            | Self::StateUnwritable
            | Self::StillGoing
            | Self::Internal => "server_error",
            Self::ModelNotFound
            | Self::InvalidApiKey
            | Self::ContextLengthExceeded
            | Self::InvalidRequest
            | Self::InvalidJson
            | Self::MissingParameter
            | Self::InvalidType
            | Self::InvalidValue
            | Self::UnsupportedParameter
            | Self::RouteNotFound
            | Self::NotFound
            | Self::Conflict
            | Self::MethodNotAllowed
            | Self::RequestTimeout
            | Self::PayloadTooLarge
            | Self::UnsupportedMediaType
            | Self::Misdirected
            | Self::HeaderTooLarge
            | Self::UriTooLong => "invalid_request_error",
        }
    }

    /// OpenAI's `code`, for programs; none where OpenAI has none either.
    #[must_use]
    pub const fn text(self) -> Option<&'static str> {
        Some(match self {
            Self::ModelNotFound => "model_not_found",
            Self::InvalidApiKey => "invalid_api_key",
            Self::BackendUnavailable => "backend_unavailable",
            Self::BackendTimeout => "backend_timeout",
            Self::BackendError => "backend_error",
            Self::QueueFull => "queue_full",
            Self::Overloaded => "overloaded",
            Self::GpuThermal => "gpu_thermal",
            Self::ContextLengthExceeded => "context_length_exceeded",
            Self::InvalidRequest => return None,
            Self::InvalidJson => "invalid_json",
            Self::MissingParameter => "missing_required_parameter",
            Self::InvalidType => "invalid_type",
            Self::InvalidValue => "invalid_value",
            Self::UnsupportedParameter => "unsupported_parameter",
            Self::RateLimited => "rate_limit_exceeded",
            Self::Forbidden => "forbidden",
            Self::RouteNotFound => "unknown_url",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::RequestTimeout => "request_timeout",
            Self::PayloadTooLarge => "payload_too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::Misdirected => "misdirected_request",
            Self::HeaderTooLarge => "header_too_large",
            Self::UriTooLong => "uri_too_long",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::RequestCancelled => "request_cancelled",
            Self::StateUnwritable => "state_unwritable",
            Self::StillGoing => "still_going",
            Self::Internal => "internal_error",
        })
    }
}

//! What the routes that a model answers have in common.

/// What is said of their bodies.
pub(super) const BODY: &str = "application/json, of at most limits.body bytes (32 MiB); it may be packed, with \
    Content-Encoding: zstd. Fields that say where a request goes or what runs inside an engine are refused by their names.";

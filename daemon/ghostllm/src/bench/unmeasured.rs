//! Why nothing was measured, and what to do about it.

use ghostllm_core::{
    admin::{FORM, Refused, RefusedError},
    key,
    text::one_line,
};

use crate::exit;

/// Why; every message ends with what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unmeasured {
    /// What was asked for cannot be.
    #[error("{0}")]
    Usage(String),
    /// There is no daemon, or not as it was asked for.
    #[error("{0}")]
    Unreachable(String),
    /// Whoever asks may not.
    #[error("{0}")]
    Denied(String),
    /// The model does not answer.
    #[error("{0}")]
    Failed(String),
    /// Ctrl-C before anything was measured.
    #[error("interrupted before anything was measured")]
    Interrupted,
}

impl Unmeasured {
    /// The program's exit code.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => exit::USAGE,
            Self::Unreachable(_) => exit::UNAVAILABLE,
            Self::Denied(_) => exit::PERMISSION,
            Self::Failed(_) => exit::INTERNAL,
            Self::Interrupted => exit::INTERRUPTED,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Usage(_) => "usage",
            Self::Unreachable(_) => "unreachable",
            Self::Denied(_) => "denied",
            Self::Failed(_) => "failed",
            Self::Interrupted => "interrupted",
        }
    }

    /// For programs, in one line.
    pub(crate) fn json(&self) -> String {
        let error = RefusedError {
            message: key::hidden(&self.to_string()).into_owned(),
            r#type: "ghostllm_error".to_owned(),
            param: None,
            code: self.code().to_owned(),
            next: None,
        };
        // A form of names and texts is always JSON.
        one_line(&serde_json::to_string(&Refused { version: FORM, error }).unwrap_or_default())
    }
}

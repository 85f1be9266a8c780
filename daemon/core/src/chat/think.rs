//! How hard to think before answering.
//!
//! Knows the efforts that clients name. Refuses to know which of them an engine has a word for. Invariant: an effort that a client has
//! named is told from any other.

/// How hard to think before answering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Think {
    /// Not at all.
    Off,
    /// As the model likes.
    On,
    /// Hardly.
    Minimal,
    /// A little.
    Low,
    /// Some.
    Medium,
    /// Much.
    High,
    /// More than that.
    XHigh,
    /// More than that, by a client that knows its engine has this word.
    Max,
    /// As much as the model can, by the word for it that its engine is sure to take: what an administrator's `max` is.
    Most,
}

impl Think {
    /// The effort in OpenAI's words; none where it is only on or off.
    #[must_use]
    pub fn effort(self) -> Option<&'static str> {
        match self {
            Self::Off | Self::On => None,
            Self::Minimal => Some("minimal"),
            Self::Low => Some("low"),
            Self::Medium => Some("medium"),
            // What is beyond it, some refuse.
            Self::High | Self::Most => Some("high"),
            Self::XHigh => Some("xhigh"),
            Self::Max => Some("max"),
        }
    }
}

//! What a model can do, as far as its backend says so.
//!
//! Knows Ollama's words, which are ours as well. Refuses to know which backend says them. Invariant: what a backend says in
//! other words is not passed on: it may be anything.

/// One thing that a model can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Capability {
    /// Answer in a chat.
    Completion,
    /// Call functions.
    Tools,
    /// Look at pictures.
    Vision,
    /// Think before it answers.
    Thinking,
    /// Turn text into vectors.
    Embedding,
    /// Fill in between a prefix and a suffix.
    Insert,
    /// Make pictures.
    Image,
    /// Listen.
    Audio,
}

impl Capability {
    /// Each of them.
    pub const ALL: [Self; 8] = [
        Self::Completion,
        Self::Tools,
        Self::Vision,
        Self::Thinking,
        Self::Embedding,
        Self::Insert,
        Self::Image,
        Self::Audio,
    ];

    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Completion => "completion",
            Self::Tools => "tools",
            Self::Vision => "vision",
            Self::Thinking => "thinking",
            Self::Embedding => "embedding",
            Self::Insert => "insert",
            Self::Image => "image",
            Self::Audio => "audio",
        }
    }

    /// Those that these words name, each once, in our order.
    #[must_use]
    pub fn of_words<'a>(words: impl IntoIterator<Item = &'a str>) -> Vec<Self> {
        let known = |word: &str| Self::ALL.into_iter().find(|capability| capability.word() == word);
        let mut known: Vec<Self> = words.into_iter().filter_map(known).collect();
        known.sort_unstable();
        known.dedup();
        known
    }
}

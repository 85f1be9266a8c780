//! How hard to think before answering.
//!
//! Knows the efforts that clients name, and the words by which a model's template goes by them. Refuses to know which of them an engine
//! has a word for. Invariant: an effort that a client has named is told from any other.

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

/// Every effort that a client may name, from the least to the most. Our own engine has the same list: it stands alone, and shares no code
/// with us that both could take it from, so that a test holds the one to the other.
pub const EFFORTS: [(&str, Think); 7] = [
    ("none", Think::Off),
    ("minimal", Think::Minimal),
    ("low", Think::Low),
    ("medium", Think::Medium),
    ("high", Think::High),
    ("xhigh", Think::XHigh),
    ("max", Think::Max),
];

impl Think {
    /// The effort of this name; none where there is no such.
    #[must_use]
    pub fn named(effort: &str) -> Option<Self> {
        EFFORTS.iter().find(|(name, _)| *name == effort).map(|(_, think)| *think)
    }

    /// The effort in OpenAI's words; none where it is only on or off.
    #[must_use]
    pub fn effort(self) -> Option<&'static str> {
        match self {
            Self::Off | Self::On => None,
            // What is beyond it, some refuse.
            Self::Most => Self::High.effort(),
            named => EFFORTS.iter().find(|(_, think)| *think == named).map(|(name, _)| *name),
        }
    }
}

/// Which of it a model's template goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Heeds {
    /// Whether to think at all (`enable_thinking`).
    pub switch: bool,
    /// How hard (`reasoning_effort`).
    pub effort: bool,
    /// What it shows of a turn beside its words.
    pub shows: Shows,
}

/// What a model's template shows of a turn beside its words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shows {
    /// Who speaks, where that is no tool (`message.name`).
    pub names: bool,
    /// What was thought (`reasoning_content`, `thinking`).
    pub thoughts: bool,
}

impl Heeds {
    /// By the words that an engine says its template has.
    #[must_use]
    pub fn of_words<'a>(words: impl IntoIterator<Item = &'a str>) -> Self {
        words.into_iter().fold(Self::default(), |heeds, word| Self {
            switch: heeds.switch || word == "enable_thinking",
            effort: heeds.effort || word == "reasoning_effort",
            shows: Shows {
                names: heeds.shows.names || word == "name",
                thoughts: heeds.shows.thoughts || word == "reasoning_content",
            },
        })
    }

    /// Whether anything comes of this wish.
    #[must_use]
    pub fn heeds(self, think: Think) -> bool {
        if matches!(think, Think::Off | Think::On) { self.switch } else { self.effort }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_effort_has_one_name_and_goes_out_by_it() {
        for (name, think) in EFFORTS {
            assert_eq!(Think::named(name), Some(think));
            assert_eq!(think.effort(), Some(name).filter(|_| think != Think::Off), "{name}");
        }
        assert_eq!((Think::named("ultra"), Think::named("Low")), (None, None));
        assert_eq!((Think::On.effort(), Think::Most.effort()), (None, Some("high")));
    }

    #[test]
    fn our_own_engine_knows_the_same_efforts() {
        let engine = include_str!("../../../engine/src/wire.rs");
        let names = EFFORTS.map(|(name, _)| format!("\"{name}\""));
        let list = format!("const EFFORTS: [&str; {}] = [{}];", names.len(), names.join(", "));
        assert!(engine.contains(&list), "engine/src/wire.rs has another list than this: {list}");
    }

    #[test]
    fn a_template_heeds_what_it_has_a_word_for() {
        let heeds = |words: &[&str]| {
            let heeds = Heeds::of_words(words.iter().copied());
            [Think::Off, Think::On, Think::Low, Think::Max].map(|think| heeds.heeds(think))
        };
        assert_eq!(heeds(&[]), [false; 4]);
        assert_eq!(heeds(&["enable_thinking", "think"]), [true, true, false, false]);
        assert_eq!(heeds(&["x", "reasoning_effort"]), [false, false, true, true]);
        assert_eq!(heeds(&["reasoning_effort", "enable_thinking"]), [true; 4]);
        let shows = |words: &[&str]| Heeds::of_words(words.iter().copied()).shows;
        assert_eq!(shows(&["enable_thinking", "reasoning_effort"]), Shows::default());
        assert_eq!(shows(&["name"]), Shows { names: true, thoughts: false });
        assert_eq!(shows(&["x", "reasoning_content", "y"]), Shows { names: false, thoughts: true });
    }
}

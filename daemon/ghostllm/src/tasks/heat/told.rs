//! What people are told of the cards: a line in the log for each change, and a cause while something is amiss.
//!
//! Knows the words of verdicts and decisions. Refuses to know how either is found. Invariant: the same is not told twice, and limits that
//! rise step by step are told now and then.

use std::{
    fmt,
    time::{Duration, Instant},
};

use ghostllm_core::{
    admin::{self, Severity},
    config::GovernorMode,
    heat::{self, Decision, Gate, State},
};
use ghostllm_gpu::{Maker, Missing};

use super::{Card, Snapshot};

/// Limits that change alone are told so often at the most.
const SELDOM: Duration = Duration::from_secs(10);

/// What was told last.
#[derive(Default)]
pub(super) struct Told {
    missing: Option<std::mem::Discriminant<Missing>>,
    states: Vec<(u32, State)>,
    decision: Option<(Decision, Instant)>,
}

/// A card by its number and its name.
pub(super) struct Named<'a>(pub(super) &'a Card);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let identity = self.0.seen.identity.as_ref();
        // A processor is no card, and its name says what it is: `processor (x86_pkg_temp)`.
        if let Some(processor) = identity.filter(|identity| identity.maker == Maker::Processor) {
            return f.write_str(&processor.name);
        }
        write!(f, "card {}", self.0.seen.index)?;
        identity.map_or(Ok(()), |identity| write!(f, " ({})", identity.name))
    }
}

impl Told {
    pub(super) fn tell(&mut self, now: &Snapshot) {
        self.missing(now.missing.as_ref());
        for card in now.cards.iter().filter(|card| card.verdict.age.is_some()) {
            self.state(card);
        }
        self.states.retain(|(index, _)| now.cards.iter().any(|card| card.seen.index == *index));
        self.decision(now);
    }

    fn missing(&mut self, missing: Option<&Missing>) {
        let kind = missing.map(std::mem::discriminant);
        if kind == self.missing {
            return;
        }
        match missing {
            Some(missing) if missing.is_fault() => tracing::warn!("the cards cannot be watched: {missing}"),
            Some(missing) => tracing::debug!("no card is watched: {missing}"),
            None => tracing::info!("NVIDIA's driver answers: its cards are watched"),
        }
        self.missing = kind;
    }

    fn state(&mut self, card: &Card) {
        let (index, state) = (card.seen.index, card.verdict.state);
        let before = self.states.iter_mut().find(|(known, _)| *known == index);
        if before.as_ref().is_some_and(|(_, before)| *before == state) {
            return;
        }
        match before {
            Some(before) => before.1 = state,
            None => self.states.push((index, state)),
        }
        let (card, verdict) = (Named(card), card.verdict);
        if state > State::Unknown {
            tracing::warn!(card = index, "{card} is {verdict}");
        } else {
            tracing::info!(card = index, "{card} is {verdict}");
        }
    }

    fn decision(&mut self, now: &Snapshot) {
        let Some((place, decision)) = &now.decision else {
            self.decision = None;
            return;
        };
        let before = self.decision.as_ref();
        if !before.map_or(decision.cause != heat::Cause::Free, |(before, at)| is_news(before, decision, *at))
        {
            return;
        }
        self.decision = Some((*decision, Instant::now()));
        let Some(card) = now.cards.get(*place) else { return };
        let (index, card, cause) = (card.seen.index, Named(card), decision.cause.name());
        let watched = if now.mode == GovernorMode::Watch { "only watched (gpu.governor): " } else { "" };
        if decision.gate > Gate::Open || matches!(decision.cause, heat::Cause::Heat) {
            tracing::warn!(card = index, cause, "because of {card}: {watched}{decision}");
        } else {
            tracing::info!(card = index, cause, "because of {card}: {watched}{decision}");
        }
    }
}

/// Whether it is to be told, after what was told then.
fn is_news(before: &Decision, now: &Decision, then: Instant) -> bool {
    let kind = |decision: &Decision| std::mem::discriminant(&decision.gate);
    let is_free = |decision: &Decision| decision.cause == heat::Cause::Free;
    kind(before) != kind(now)
        || is_free(before) != is_free(now)
        || (before.cause, before.limits) != (now.cause, now.limits) && then.elapsed() >= SELDOM
}

/// What is amiss because of the cards' heat. What is wrong with them and their drivers is judged by the core (`admin::wrong`).
pub(crate) fn causes(now: &Snapshot) -> Vec<admin::Cause> {
    let thermal = now.decision.as_ref().and_then(|(place, decision)| thermal(now, *place, decision));
    let unheeded = now.unheeded.then(|| admin::Cause {
        code: "gpu_unheeded".to_owned(),
        severity: Severity::Warning,
        what: "gpu.cards names none of the cards that there are, so that nothing comes of their heat"
            .to_owned(),
        next: "correct it by what `ghostctl gpu` shows, or write gpu.governor = \"off\" where that is meant"
            .to_owned(),
    });
    thermal.into_iter().chain(unheeded).collect()
}

fn thermal(now: &Snapshot, place: usize, decision: &Decision) -> Option<admin::Cause> {
    if decision.gate == Gate::Open && decision.limits == decision.most {
        return None;
    }
    let card = now.cards.get(place)?;
    let is_nvidia = card.seen.identity.as_ref().is_some_and(|identity| identity.maker == Maker::Nvidia);
    let card = Named(card);
    let (severity, watched) = match now.mode {
        GovernorMode::Watch => (Severity::Note, "were gpu.governor \"on\", it would be so: "),
        // That nobody's request begins is worse than that fewer do, and is told once more.
        GovernorMode::On | GovernorMode::Off if decision.gate > Gate::Open => (Severity::Error, ""),
        GovernorMode::On | GovernorMode::Off => (Severity::Warning, ""),
    };
    Some(admin::Cause {
        code: "gpu_thermal".to_owned(),
        severity,
        what: format!("because of {card}: {watched}{decision}"),
        next: match decision.cause {
            heat::Cause::Blind => "ask why it does not answer: `ghostctl gpu` tells what is known of it",
            heat::Cause::Cooling => "wait: they begin again by themselves; `ghostctl gpu` tells how hot it is",
            _ if is_nvidia => {
                "let it have more air (dust, fans, the case, what stands around it) or less power (`sudo nvidia-smi -pl WATTS`); as it \
                 cools, all is as before by itself"
            }
            _ => {
                "let it have more air (dust, fans, the case, what stands around it); as it cools, all is as before by itself"
            }
        }
        .to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use ghostllm_core::{admission::Counts, config::CardChoice, heat::ByClass};

    use super::{
        super::cards::{Cards, tests::seen},
        *,
    };

    #[test]
    fn a_shut_gate_is_worse_than_fewer_requests_and_what_is_only_watched_is_a_note() {
        let told = |margin, mode| {
            let (mut cards, mut kept, at) = (Cards::default(), Vec::new(), Duration::from_secs(1));
            let looked = cards.look(at, &[seen(0, "a", 1, margin)], &mut kept);
            let most = ByClass { interactive: 8, background: 8 };
            cards.waits(false);
            let decision = cards.decide(at, Counts::default(), most, &[CardChoice::All]);
            let now = Snapshot { decision, cards: looked, ..Snapshot::new(mode) };
            causes(&now).into_iter().map(|cause| (cause.code, cause.severity)).collect::<Vec<_>>()
        };
        let thermal = |severity| vec![("gpu_thermal".to_owned(), severity)];
        assert_eq!(told(40.0, GovernorMode::On), []);
        assert_eq!(told(3.0, GovernorMode::On), thermal(Severity::Warning));
        assert_eq!(told(-4.0, GovernorMode::On), thermal(Severity::Error));
        assert_eq!(told(-4.0, GovernorMode::Watch), thermal(Severity::Note));
    }
}

//! When a card is asked again.
//!
//! Knows how near is near. Refuses to know the clock. Invariant: a card that was near a limit is watched closely for a while after.

use std::time::Duration;

use ghostllm_readings::{Reason, Sample, Throttles};

use super::Options;

/// So few degrees Celsius from a limit a card is watched closely: at the 0.5 °C/s of llm-rig#97 twenty seconds before it.
const NEAR: f32 = 10.0;
/// And for so long after it was last so near: a card at the edge does not change its pace with each answer.
const WHILE: Duration = Duration::from_secs(10);

/// The pace of one card.
#[derive(Debug, Default)]
pub(super) struct Pace {
    close_until: Option<Duration>,
    whole: Option<Duration>,
}

impl Pace {
    /// Whether what changes seldom is to be asked too.
    pub(super) fn whole(&mut self, options: &Options, now: Duration) -> bool {
        let due = self.whole.is_none_or(|last| now.saturating_sub(last) >= options.whole_every);
        if due {
            self.whole = Some(now);
        }
        due
    }

    /// From the beginning of one question to the next.
    pub(super) fn until_next(&mut self, options: &Options, now: Duration, said: &Sample) -> Duration {
        if said.is_lost() {
            return options.reopen;
        }
        if is_near(said) {
            self.close_until = Some(now.saturating_add(WHILE));
        }
        if self.close_until.is_some_and(|until| now < until) { options.near_every } else { options.every }
    }
}

fn is_near(said: &Sample) -> bool {
    let slowed = |why: Throttles| {
        [Reason::Slowdown, Reason::Brake, Reason::SoftHeat, Reason::HardHeat]
            .into_iter()
            .any(|one| why.has(one))
    };
    said.nearest().is_some_and(|degrees| degrees <= NEAR) || said.throttles.is_ok_and(slowed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ghostllm_readings::Absent;

    fn at(degrees: f32) -> Sample {
        let mut sample = Sample::missing(Duration::ZERO, Absent::Unsupported);
        sample.gpu.to_soft = Ok(degrees);
        sample.throttles = Ok(Throttles::default().with(Reason::PowerCap));
        sample
    }

    #[test]
    fn a_card_near_a_limit_is_watched_closely_and_a_while_longer() {
        let (options, second) = (Options::default(), Duration::from_secs(1));
        let mut pace = Pace::default();
        let mut next = |now: u32, said: &Sample| pace.until_next(&options, second * now, said);
        assert_eq!(next(0, &at(10.5)), second, "a power cap is no reason");
        assert_eq!(next(1, &at(10.0)), second / 10);
        assert_eq!(next(2, &at(30.0)), second / 10);
        assert_eq!(next(10, &at(30.0)), second / 10);
        assert_eq!(next(11, &at(30.0)), second);
        let mut slowed = at(30.0);
        slowed.throttles = Ok(Throttles::default().with(Reason::SoftHeat));
        assert_eq!(next(12, &slowed), second / 10);
        assert_eq!(next(13, &Sample::missing(Duration::ZERO, Absent::Lost)), second * 30);
    }

    #[test]
    fn what_changes_seldom_is_asked_first_and_then_every_ten_seconds() {
        let (options, mut pace) = (Options::default(), Pace::default());
        let asked: Vec<u64> = (0..25).filter(|now| pace.whole(&options, Duration::from_secs(*now))).collect();
        assert_eq!(asked, [0, 10, 20]);
    }
}

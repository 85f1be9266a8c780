//! What holds at each of a million steps of anything, and that a card that heats up is kept from slowing down.

use std::time::Duration;

use proptest::prelude::*;

use super::{ByClass, Decision, Gate, Governor, Moment, Policy, hot, soon, verdict};
use crate::heat::{Bounds, Judge, Outlook, Prediction, Predictor, Reason, Sample, State, Verdict};

/// Cases, and steps of each: a million together.
const CASES: u32 = 100;
const STEPS: usize = 10_000;

/// Draws that a seed fixes (splitmix64), since a strategy for each step would take most of the time.
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, most: u64) -> u64 {
        self.next() % most
    }

    fn count(&mut self, most: u32) -> u32 {
        u32::try_from(self.below(u64::from(most) + 1)).unwrap()
    }

    /// From 0 to 1.
    fn part(&mut self) -> f32 {
        f32::from(u16::try_from(self.below(65_536)).unwrap()) / 65_535.0
    }

    fn outlook(&mut self) -> Outlook {
        match self.below(6) {
            0 => Outlook::Unknown,
            1 => Outlook::Reached,
            2 | 3 => Outlook::Never,
            _ => soon(self.part() * 600.0),
        }
    }

    /// A walk of the margin, with a leap now and then.
    fn margin(&mut self, before: f32) -> f32 {
        match self.below(200) {
            0 => self.part() * 40.0 - 8.0,
            _ => (before + (self.part() - 0.5) * 3.0).clamp(-8.0, 32.0),
        }
    }

    /// At this margin, what a card may be.
    fn verdict(&mut self, margin: f32, before: State) -> Verdict {
        let pick =
            if self.below(20) > 0 { before } else { State::ALL[usize::try_from(self.below(8)).unwrap()] };
        let mut said = match pick {
            State::ThrottledByHeat if self.below(2) == 0 => hot(margin, Reason::HardHeat),
            State::ThrottledByHeat => hot(margin, Reason::SoftHeat),
            now => Verdict { now, ..verdict(margin) },
        };
        if self.below(4) == 0 {
            // The driver comes first.
            said.margins.slower = said.margins.slower.map(|margin| margin - 9.0);
        }
        if self.below(10) == 0 {
            said.margins.shutdown = None;
        }
        said
    }
}

fn gate(decision: &Decision) -> u8 {
    match decision.gate {
        Gate::Open => 0,
        Gate::Hold => 1,
        Gate::Refuse { .. } => 2,
    }
}

/// What holds of any decision.
fn is_sound(decision: &Decision, policy: &Policy) -> Result<(), TestCaseError> {
    let (limits, most) = (decision.limits, decision.most);
    prop_assert!(limits.interactive <= most.interactive && limits.background <= most.background);
    // Nobody's share is above that of who is waited for.
    let share = |limit: u32, most: u32| u64::from(limit) * u64::from(most);
    prop_assert!(
        share(limits.interactive, most.background) >= share(limits.background, most.interactive),
        "{decision:?}"
    );
    match decision.gate {
        Gate::Open | Gate::Hold => prop_assert!(limits.interactive >= 1, "{decision:?}"),
        Gate::Refuse { retry_after } => {
            prop_assert!((1..=policy.retry_most).contains(&retry_after), "{decision:?}");
        }
    }
    prop_assert!(!decision.to_string().is_empty());
    Ok(())
}

/// What heat is to bring about, by the reading that shows it: from where a card gets slower on the background gives way to half as many
/// as may run (of two to four from where its hardware comes in), and once its hardware has slowed it down and does not hold it fewer
/// interactive requests may run (S22 gives that two seconds).
fn heeds(decision: &Decision, moment: &Moment<'_>, seen: &mut Heeded) -> Result<(), TestCaseError> {
    let (verdict, limits, most) = (moment.verdict, decision.limits, decision.most);
    if verdict.now.is_blind() {
        return Ok(());
    }
    let is_pressed = 2 * moment.queued.interactive >= most.interactive;
    let is_at = |margin: Option<f32>| margin.is_some_and(|margin| margin <= 0.0);
    let gives_way = match most.background {
        0 | 1 => false,
        2..=4 => is_at(verdict.margins.slowdown),
        _ => is_at(verdict.margins.slower),
    };
    if is_pressed && gives_way {
        seen.pressed += 1;
        prop_assert!(limits.background < most.background, "{decision:?}");
    }
    let says = verdict.throttles.is_some_and(|throttles| throttles.has(Reason::HardHeat));
    if says && most.interactive >= 2 && verdict.margins.slowdown.is_some_and(|margin| margin < 0.0) {
        seen.slowed += 1;
        prop_assert!(limits.interactive < most.interactive, "{decision:?}");
    }
    Ok(())
}

/// How often there was something to be heeded.
#[derive(Default)]
struct Heeded {
    pressed: u32,
    slowed: u32,
}

/// When limits last rose, and the gate last opened; less may come at any time, more only after the wait.
#[derive(Default)]
struct Swings {
    fell: Option<Duration>,
    closed: Option<Duration>,
}

impl Swings {
    fn look(
        &mut self,
        now: Duration,
        before: &Decision,
        after: &Decision,
        policy: &Policy,
    ) -> Result<(), TestCaseError> {
        let total = |decision: &Decision| decision.limits.interactive + decision.limits.background;
        let waited = |since: Option<Duration>| since.is_none_or(|since| now - since >= policy.wait);
        if gate(after) > gate(before) {
            self.closed = Some(now);
        } else if gate(after) < gate(before) {
            prop_assert!(waited(self.closed), "opened {:?} after it was closed", now - self.closed.unwrap());
        } else if total(after) < total(before) {
            self.fell = Some(now);
        } else if total(after) > total(before) {
            prop_assert!(waited(self.fell), "rose {:?} after it fell", now - self.fell.unwrap());
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, ..ProptestConfig::default() })]

    #[test]
    fn limits_are_sound_heed_heat_do_not_swing_and_are_no_higher_at_a_smaller_margin(
        seed in any::<u64>(), interactive in 1_u32..40, background in 0_u32..40,
    ) {
        let policy = Policy::new(ByClass { interactive, background });
        let (mut draws, mut governor, mut swings) = (Draws(seed), Governor::new(policy), Swings::default());
        let (mut now, mut margin, mut state) = (Duration::ZERO, 30.0, State::Cool);
        let (mut before, mut heeded): (Option<Decision>, _) = (None, Heeded::default());
        for _ in 0..STEPS {
            now += Duration::from_millis(100 + draws.below(1200));
            margin = draws.margin(margin);
            let verdict = draws.verdict(margin, state);
            state = verdict.now;
            let running = ByClass { interactive: draws.count(interactive), background: draws.count(background) };
            let queued = ByClass { interactive: draws.count(100), background: draws.count(100) };
            let prediction = Prediction { slower: draws.outlook(), cooled: draws.outlook() };
            let moment = Moment { now, verdict: &verdict, prediction, running, queued };
            let mut hotter = verdict;
            let less = draws.part() * 6.0;
            for margin in [&mut hotter.margins.slower, &mut hotter.margins.slowdown, &mut hotter.margins.shutdown] {
                *margin = margin.map(|degrees| degrees - less);
            }
            let beside = governor.clone().decide(&Moment { verdict: &hotter, ..moment });
            let decision = governor.decide(&moment);
            is_sound(&decision, &policy)?;
            is_sound(&beside, &policy)?;
            heeds(&decision, &moment, &mut heeded)?;
            prop_assert!(gate(&beside) >= gate(&decision), "{beside:?} at less, {decision:?}");
            prop_assert!(beside.limits.interactive <= decision.limits.interactive, "{beside:?} at less, {decision:?}");
            prop_assert!(beside.limits.background <= decision.limits.background, "{beside:?} at less, {decision:?}");
            if let Some(before) = before {
                // A gate that opens after a minute without readings is no swing of what was read.
                if !verdict.now.is_blind() {
                    swings.look(now, &before, &decision, &policy)?;
                }
            }
            before = Some(decision);
        }
        prop_assert!(heeded.pressed > 0 || background < 2, "it was never hot while others waited");
        prop_assert!(heeded.slowed > 0 || interactive < 2, "its hardware never slowed it down");
    }

    #[test]
    fn all_is_allowed_again_two_minutes_after_a_card_has_cooled(seed in any::<u64>(), interactive in 1_u32..40) {
        let policy = Policy::new(ByClass { interactive, background: interactive / 2 });
        let (mut draws, mut governor) = (Draws(seed), Governor::new(policy));
        let (mut now, mut margin, mut state) = (Duration::ZERO, 10.0, State::Cool);
        let decide = |governor: &mut Governor, now, verdict: &Verdict, prediction| {
            governor.decide(&Moment { now, verdict, prediction, running: policy.most, queued: policy.most })
        };
        for _ in 0..draws.below(400) {
            now += Duration::from_millis(100 + draws.below(1200));
            margin = draws.margin(margin);
            let verdict = draws.verdict(margin, state);
            state = verdict.now;
            let prediction = Prediction { slower: draws.outlook(), cooled: draws.outlook() };
            decide(&mut governor, now, &verdict, prediction);
        }
        let cool = Prediction { slower: Outlook::Never, cooled: Outlook::Reached };
        // The wait, then the way from the least to all.
        let bound = policy.wait + policy.recovery + Duration::from_secs(2);
        let by = now + bound;
        let mut last = None;
        while now < by {
            now += Duration::from_secs(1);
            last = Some(decide(&mut governor, now, &verdict(12.0), cool));
        }
        let last = last.unwrap();
        prop_assert_eq!((last.limits, last.gate), (policy.most, Gate::Open), "after {:?}: {}", bound, last);
    }
}

/// A card of one mass with more requests than it can cool: each adds heat, as long as it runs.
struct Plant {
    celsius: f64,
    ambient: f64,
    /// Degrees that one request adds in the end.
    each: f64,
    tau: f64,
}

impl Plant {
    fn second(&mut self, running: u32) {
        let end = self.ambient + self.each * f64::from(running).sqrt();
        self.celsius += (end - self.celsius) * (1.0 - (-1.0 / self.tau).exp());
    }

    /// In whole degrees: the hardware from 93, off at 98, as llm-rig#97 has it and with the gap of most cards.
    #[expect(clippy::cast_possible_truncation, reason = "whole degrees")]
    fn read(&self, at: Duration) -> Sample {
        let mut sample = Sample::missing(at, crate::heat::Absent::Unsupported);
        let celsius = self.celsius.round() as f32;
        sample.gpu.celsius = Ok(celsius);
        sample.gpu.to_slowdown = Ok(93.0 - celsius);
        sample.gpu.to_shutdown = Ok(98.0 - celsius);
        let slow = (celsius >= 93.0).then_some(Reason::HardHeat);
        sample.throttles = Ok(slow.into_iter().collect());
        sample
    }
}

/// Seconds of an hour at which it was slowed down by its heat, its hottest, and how many ran on average. Requests last `lasts` seconds.
fn hour(plant: &mut Plant, governed: bool, lasts: u64) -> (u32, f64, f64) {
    let most = ByClass { interactive: 8, background: 4 };
    let (mut judge, mut predictor) = (Judge::new(Bounds::default()), Predictor::new());
    let mut governor = Governor::new(Policy::new(most));
    let mut ends: Vec<(u64, bool)> = Vec::new();
    let (mut slow, mut hottest, mut ran) = (0, 0.0_f64, 0_u64);
    for second in 1..=3600 {
        let now = Duration::from_secs(second);
        ends.retain(|(end, _)| *end > second);
        let sample = plant.read(now);
        let verdict = judge.look(now, Some(&sample));
        if let Some(margin) = sample.margins().slower {
            predictor.push(now, margin);
        }
        let count =
            |background| u32::try_from(ends.iter().filter(|end| end.1 == background).count()).unwrap();
        let running = ByClass { interactive: count(false), background: count(true) };
        let moment =
            Moment { now, verdict: &verdict, prediction: predictor.look(now), running, queued: most };
        let decision = governor.decide(&moment);
        let limits = if governed { decision.limits } else { most };
        if !governed || decision.gate == Gate::Open {
            for (limit, running, background) in [
                (limits.interactive, running.interactive, false),
                (limits.background, running.background, true),
            ] {
                // They began at different times, as those of different people do.
                let mut step = 0;
                ends.resize_with(ends.len() + limit.saturating_sub(running) as usize, || {
                    step += 1;
                    (second + lasts + step % 4, background)
                });
            }
        }
        plant.second(u32::try_from(ends.len()).unwrap());
        slow += u32::from(verdict.now == State::ThrottledByHeat);
        hottest = hottest.max(plant.celsius);
        ran += ends.len() as u64;
    }
    #[expect(clippy::cast_precision_loss, reason = "a count of at most 12 each second")]
    let mean = ran as f64 / 3600.0;
    (slow, hottest, mean)
}

#[test]
fn a_card_with_too_much_to_do_is_kept_below_its_shutdown_and_goes_on_working() {
    for tau in [20.0, 75.0, 150.0] {
        for lasts in [5, 20] {
            let plant = || Plant { celsius: 45.0, ambient: 35.0, each: 19.0, tau };
            let (slow, hottest, _) = hour(&mut plant(), false, lasts);
            assert!(slow > 3000 && hottest > 98.0, "ungoverned: slow for {slow} s, {hottest} °C");
            let (slow, hottest, ran) = hour(&mut plant(), true, lasts);
            println!(
                "tau {tau} s, {lasts} s a request: slow for {slow} s of an hour, {hottest:.1} °C, {ran:.1} run"
            );
            assert!(hottest < 98.0, "tau {tau} s: {hottest} °C");
            // It is slowed down before fewer are let in: what the hardware holds is its own business.
            assert!(slow < 900, "tau {tau} s: slow for {slow} s");
            // 35 + 19 sqrt(9) is 92 °C: nine at once would be the most that never slow it down.
            assert!(ran > 4.5, "tau {tau} s: {ran} run");
        }
    }
}

#[test]
fn a_card_that_stays_cool_loses_nothing() {
    let mut plant = Plant { celsius: 45.0, ambient: 35.0, each: 14.0, tau: 75.0 };
    let (slow, _, governed) = hour(&mut plant, true, 20);
    let mut plant = Plant { celsius: 45.0, ambient: 35.0, each: 14.0, tau: 75.0 };
    let (_, hottest, free) = hour(&mut plant, false, 20);
    assert_eq!(slow, 0);
    assert!(hottest < 93.0 - 8.0, "{hottest}");
    assert!(governed >= free * 0.99, "{governed} of {free}");
}

//! When a record begins, when it is written, and when it ends.
//!
//! Knows one card's seconds in a ring of fixed size. Refuses to know the disk: it says when ([`Step`]) and gives what ([`Recorder::flight`]).
//! Invariants: a look allocates nothing; between two writes of a running record there are [`EVERY`] or something has happened; a card that
//! stays or comes and goes in one state begins one record and not one after the other ([`QUIET`]).

use std::time::Duration;

use ghostllm_readings::Sample;
use heapless::HistoryBuf;

use super::{
    super::{governor::is_at_slowdown, history::tenths_of_second},
    Card, EVENTS_MOST, Event, Flight, Frame, Limits, Origin, Requests, State, Trigger, Verdict,
};

/// So much of what was before an event is kept.
pub const BEFORE: Duration = Duration::from_mins(5);
/// And so much of what came after the last one.
pub const AFTER: Duration = Duration::from_mins(1);
/// A frame for each second: what was before, and four minutes, since each of four kinds happens once in a record and within a minute of
/// another.
const RING: usize = 540;
/// The most frames of a record: those, and the second that is not over.
pub const FRAMES_MOST: usize = RING + 1;
/// What was so within this time is the same story, and is no event again: the minutes before it would tell of nothing else.
pub const QUIET: Duration = BEFORE;
/// A card is near its end at so many degrees Celsius below where it switches itself off, or fewer: where the governor closes the gate
/// (`Policy::hold`).
pub const NEAR_SHUTDOWN: f32 = 4.0;
/// How often a running record is written while something happens.
const EVERY: Duration = Duration::from_secs(5);
/// And where the card is but warm, as some always are: at some 20 kB a write, 200 MB a day.
const EVERY_WARM: Duration = Duration::from_secs(10);
/// A card that is no longer warm is near for so long still.
const LINGER: Duration = Duration::from_mins(1);

/// What there is to see of a card.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// Now, by the caller's clock.
    pub now: Duration,
    /// A reading, where there is a new one.
    pub sample: Option<&'a Sample>,
    /// What the judge says; none where the card is no longer there.
    pub verdict: Option<&'a Verdict>,
    /// The requests.
    pub requests: Requests,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Nothing,
    /// What there is up to now is to be on the disk: nobody may be there to write it later.
    Running,
    /// A record is whole. The running one has gone into it.
    Whole,
    /// There is no running record any more.
    Over,
}

/// Records one card.
#[derive(Debug)]
pub struct Recorder {
    frames: HistoryBuf<Frame, RING>,
    /// The second that is not over.
    last: Option<Frame>,
    limits: Limits,
    /// When each kind was last so.
    seen: [Option<Duration>; EVENTS_MOST],
    /// What has happened in the record that is open.
    events: heapless::Vec<Event, EVENTS_MOST>,
    /// The end of that.
    until: Duration,
    /// It was told to be whole, and is given until the next look.
    whole: bool,
    /// When it was last near a limit.
    near: Option<Duration>,
    /// When the running record was last to be written, and the last reading of that.
    written: Option<(Duration, u32)>,
}

impl Default for Recorder {
    fn default() -> Self {
        Self {
            frames: HistoryBuf::new(),
            last: None,
            limits: Limits::default(),
            seen: [None; EVENTS_MOST],
            events: heapless::Vec::new(),
            until: Duration::ZERO,
            whole: false,
            near: None,
            written: None,
        }
    }
}

impl Recorder {
    /// Takes what there is to see, and says what is to be done. To be asked with every reading, and once a second without.
    pub fn look(&mut self, look: &Look<'_>) -> Step {
        if std::mem::take(&mut self.whole) {
            self.events.clear();
        }
        if let (Some(sample), Some(verdict)) = (look.sample, look.verdict) {
            self.limits.seen(sample);
            self.take(Frame::of(sample, verdict, look.requests));
        }
        let news = self.judge(look);
        self.step(look.now, news)
    }

    /// Whether something has happened that is not in a whole record yet.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.events.is_empty() && !self.whole
    }

    /// Whether there is a running record, or is to be one.
    #[must_use]
    pub fn is_at_work(&self) -> bool {
        self.written.is_some() || self.is_open()
    }

    /// The record, as it is now. It allocates.
    #[must_use]
    pub fn flight(&self, origin: Origin, card: Card) -> Flight {
        let newest = self.last.map_or(0, |last| last.at);
        let from =
            self.events.first().map_or(newest, |event| event.at).saturating_sub(tenths_of_second(BEFORE));
        let frames = self.frames.oldest_ordered().chain(&self.last);
        Flight {
            origin,
            card,
            limits: self.limits,
            events: self.events.to_vec(),
            ran_on: None,
            frames: frames.filter(|frame| frame.at >= from).copied().collect(),
        }
    }

    fn take(&mut self, frame: Frame) {
        match &mut self.last {
            // A reading that was on its way for long is of the second that is open.
            Some(last) if frame.second() <= last.second() => *last = last.and(&frame),
            last => {
                if let Some(over) = last.replace(frame) {
                    self.frames.write(over);
                }
            }
        }
    }

    /// What happens, and how near it is; whether any of it is news.
    fn judge(&mut self, look: &Look<'_>) -> bool {
        let now = look.now;
        let Some(verdict) = look.verdict else {
            // A card that was near its limit and is not there any more has been lost, whatever its driver calls it.
            let news = self.near.is_some() && self.happens(Trigger::Lost, now);
            self.near = None;
            return news;
        };
        match verdict.now {
            State::Warm | State::ThrottledByBrake | State::ThrottledByHeat => self.near = Some(now),
            State::Lost => self.near = None,
            // Nothing is known of its heat: it is as near as it was.
            State::Unknown | State::Stale => self.near = self.near.map(|_| now),
            State::Cool | State::ThrottledByPower => {}
        }
        self.near = self.near.filter(|near| now.saturating_sub(*near) < LINGER);
        let margins = verdict.margins;
        // In a card whose limits lie close together its driver's temperature may be as near to its end, and is where it works.
        let ending = !verdict.now.is_blind()
            && is_at_slowdown(margins)
            && margins.shutdown.is_some_and(|left| left <= NEAR_SHUTDOWN);
        let all = [
            (verdict.now == State::ThrottledByBrake).then_some(Trigger::Brake),
            (verdict.now == State::ThrottledByHeat).then_some(Trigger::Heat),
            ending.then_some(Trigger::Shutdown),
            (verdict.now == State::Lost).then_some(Trigger::Lost),
        ];
        let mut news = false;
        for what in all.into_iter().flatten() {
            news |= self.happens(what, now);
        }
        news
    }

    /// Notes that it is so; whether that is news.
    fn happens(&mut self, what: Trigger, now: Duration) -> bool {
        let Some(seen) = self.seen.get_mut(what as usize) else { return false };
        let before = seen.replace(now);
        if before.is_some_and(|before| now.saturating_sub(before) < QUIET) {
            return false;
        }
        let event = Event { at: tenths_of_second(now), what };
        self.until = now + AFTER;
        // There is room for one of each kind, and within a record none comes twice.
        self.events.push(event).is_ok()
    }

    fn step(&mut self, now: Duration, news: bool) -> Step {
        if !self.events.is_empty() && now >= self.until {
            (self.whole, self.written) = (true, None);
            return Step::Whole;
        }
        if self.near.is_none() && self.events.is_empty() {
            return if self.written.take().is_some() { Step::Over } else { Step::Nothing };
        }
        let Some(newest) = self.last.map(|last| last.at) else { return Step::Nothing };
        let every = if self.events.is_empty() { EVERY_WARM } else { EVERY };
        let due = self
            .written
            .is_none_or(|(written, last)| news || last != newest && now.saturating_sub(written) >= every);
        if !due {
            return Step::Nothing;
        }
        self.written = Some((now, newest));
        Step::Running
    }
}

//! The cards' heat: what they say is judged, and the gate obeys.
//!
//! Knows how often to look, whom that concerns, and that readings come from the gpu room and judgements from the core. Refuses to know how
//! a card is asked and how hot is too hot. Invariants: nobody here waits for a driver, so that one that hangs keeps nothing but its own
//! readings; a machine without cards, or whose driver fails, is a value that says why; one thread asks for news, however often the task
//! is started anew.

mod cards;
mod flight;
mod history;
mod told;

use std::{
    sync::{
        Arc, Mutex as Lock, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use ghostllm_core::{
    admin,
    admission::{Ease, Measure, Orders},
    config::{self, CardChoice, GovernorMode},
    heat::{ByClass, Decision, Gate as Stage, Prediction, Verdict, flight::Requests},
};
use ghostllm_edge::pulse::Pulse;
use ghostllm_gpu::{Missing, Options, Sampler, Seen};
use time::OffsetDateTime;
use tokio::{
    sync::{Mutex, watch},
    time::{sleep, timeout},
};

use crate::{gate::Gate, pipeline::Settings, store::flight::Room};
use cards::Cards;
use flight::Recorders;
pub(crate) use history::Kept;
use told::Told;
pub(crate) use told::causes;

/// How often it is looked where no card has said anything: that nothing comes is news too, and a limit that rises does so by the clock.
const LOOK: Duration = Duration::from_secs(1);
/// And no sooner again than this: eight cards that are asked ten times a second are no eighty looks.
const TOGETHER: Duration = Duration::from_millis(25);
/// The thread that waits for news asks so often whether anybody still wants them.
const LONGEST: Duration = Duration::from_secs(10);

/// What is known of the cards, and what is done about it. It never changes.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    /// When this was put together.
    pub(crate) at: OffsetDateTime,
    /// The same by the clock that all moments in it are counted by.
    pub(crate) now: Duration,
    /// Whether anything comes of what is decided.
    pub(crate) mode: GovernorMode,
    /// What is decided, and because of which of [`cards`](Self::cards), by its place; none where it is off or there is no card.
    pub(crate) decision: Option<(usize, Decision)>,
    /// There are cards, and `gpu.cards` names none of them.
    pub(crate) unheeded: bool,
    /// Why NVIDIA's cards cannot be asked; none where they can, or where that is not known yet.
    pub(crate) missing: Option<Missing>,
    /// The cards, by their numbers.
    pub(crate) cards: Vec<Card>,
    /// What is wrong with them, once somebody has asked.
    pub(crate) causes: OnceLock<Vec<admin::Cause>>,
}

/// A card at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Card {
    pub(crate) seen: Seen,
    pub(crate) verdict: Verdict,
    pub(crate) prediction: Prediction,
}

/// What is known of the cards, for whoever asks.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    seen: watch::Receiver<Arc<Snapshot>>,
    kept: Arc<Lock<Vec<Kept>>>,
    begun: Instant,
}

/// Who looks.
pub(crate) struct Heat {
    settings: watch::Receiver<Arc<Settings>>,
    gate: Gate,
    begun: Instant,
    published: watch::Sender<Arc<Snapshot>>,
    kept: Arc<Lock<Vec<Kept>>>,
    /// The sampler and the thread that waits for its news outlive a restart of the task, which alone takes them.
    state: Mutex<State>,
}

struct State {
    asked: Option<Asked>,
    cards: Cards,
    measure: Measure,
    ease: Ease,
    told: Told,
    recorders: Recorders,
    seen: Vec<Seen>,
}

/// The cards, asked for ever.
struct Asked {
    sampler: Arc<Sampler>,
    news: watch::Receiver<u64>,
    /// Nobody wants any more news.
    over: Arc<AtomicBool>,
}

/// What is kept to while no card is hot.
pub(crate) fn standing(gpu: &config::Gpu) -> Orders {
    Orders { limits: limits(gpu), gate: Stage::Open, queue: gpu.queue, hot: ByClass::default() }
}

/// What somebody has set. Who has limited those that somebody waits for has not meant the others to be without a limit.
fn limits(gpu: &config::Gpu) -> ByClass<Option<u32>> {
    let set = |limit: u32| (limit > 0).then_some(limit);
    let interactive = set(gpu.interactive);
    ByClass { interactive, background: set(gpu.background).or(interactive) }
}

impl Snapshot {
    /// Before anything is known.
    pub(crate) fn new(mode: GovernorMode) -> Self {
        let (at, now) = (OffsetDateTime::now_utc(), Duration::ZERO);
        Self {
            at,
            now,
            mode,
            decision: None,
            unheeded: false,
            missing: None,
            cards: Vec::new(),
            causes: OnceLock::new(),
        }
    }
}

impl Known {
    /// What was seen last.
    pub(crate) fn now(&self) -> Arc<Snapshot> {
        Arc::clone(&self.seen.borrow())
    }

    /// What these cards have been through, by way of `look`, which must not take long: the task waits for it.
    pub(crate) fn kept<T>(&self, look: impl FnOnce(&[Kept]) -> T) -> T {
        look(&self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// When a moment was that is counted as readings are, by a clock that may have been set since.
    pub(crate) fn date(&self, at: Duration) -> OffsetDateTime {
        let ago = self.begun.elapsed().saturating_sub(at);
        OffsetDateTime::now_utc() - ago
    }
}

impl Asked {
    fn begin(gpu: &config::Gpu, since: Instant) -> std::io::Result<Self> {
        let usual = Options::default();
        let options = Options {
            nvml_library: gpu.nvml_library.clone().unwrap_or(usual.nvml_library),
            sysfs_root: gpu.sysfs_root.clone().unwrap_or(usual.sysfs_root),
            every: gpu.every,
            near_every: gpu.near_every.min(gpu.every),
            ..usual
        };
        let sampler = Arc::new(Sampler::start(options, since)?);
        let (tell, news) = watch::channel(0);
        let over = Arc::new(AtomicBool::new(false));
        let (asked, ended) = (Arc::clone(&sampler), Arc::clone(&over));
        // On a thread of its own: what waits among those of the runtime would be waited for when the program ends.
        thread::Builder::new().name("gpu-news".to_owned()).spawn(move || {
            let mut known = 0;
            while !ended.load(Relaxed) && !tell.is_closed() {
                known = asked.news(known, LONGEST);
                tell.send_replace(known);
            }
        })?;
        Ok(Self { sampler, news, over })
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.over.store(true, Relaxed);
    }
}

impl Heat {
    /// By these settings, for this gate; the flight recorder's files go into that room.
    pub(crate) fn new(settings: watch::Receiver<Arc<Settings>>, gate: Gate, room: Room) -> Self {
        let nothing = Snapshot::new(settings.borrow().gpu.governor);
        let (published, kept) = (watch::Sender::new(Arc::new(nothing)), Arc::default());
        let state = State {
            asked: None,
            cards: Cards::default(),
            measure: Measure::default(),
            ease: Ease::default(),
            told: Told::default(),
            recorders: Recorders::new(room),
            seen: Vec::new(),
        };
        Self { settings, gate, begun: Instant::now(), published, kept, state: Mutex::new(state) }
    }

    /// What it knows, for whoever asks.
    pub(crate) fn known(&self) -> Known {
        Known { seen: self.published.subscribe(), kept: Arc::clone(&self.kept), begun: self.begun }
    }

    /// Looks, for ever: whenever a card has said something, and once a second.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(crate) async fn run(&self, pulse: &Pulse) -> anyhow::Result<()> {
        let mut state = self.state.lock().await;
        let mut settings = self.settings.clone();
        let mut beat = pulse.beat_until_dropped("heat", pulse.patience());
        if state.asked.is_none() {
            let gpu = settings.borrow().gpu.clone();
            state.asked = Some(Asked::begin(&gpu, self.begun)?);
        }
        let Some(mut news) = state.asked.as_ref().map(|asked| asked.news.clone()) else { return Ok(()) };
        loop {
            let now = Arc::clone(&settings.borrow_and_update());
            self.look(&mut state, &now.gpu);
            let _in_time = timeout(LOOK, async {
                tokio::select! {
                    biased;
                    () = beat.due() => {}
                    Ok(()) = settings.changed() => {}
                    Ok(()) = news.changed() => {}
                    else => std::future::pending().await,
                }
            })
            .await;
            // What several cards say at once is looked at once.
            sleep(TOGETHER).await;
        }
    }

    /// The program ends in order: the flight recorder says so on the disk, where the next start looks for it. After the task's own end.
    pub(crate) async fn end(&self) {
        self.state.lock().await.recorders.end(self.begun.elapsed()).await;
    }

    /// One look at all that is known: judged, decided, obeyed, told.
    fn look(&self, state: &mut State, gpu: &config::Gpu) {
        let State { asked, cards, measure, ease, told, recorders, seen } = state;
        let Some(asked) = asked else { return };
        asked.sampler.read(seen);
        let (now, counts, peak) = (self.begun.elapsed(), self.gate.counts(), self.gate.peak());
        let set = limits(gpu);
        let most = measure.most(set);
        let looked = {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            cards.look(now, seen, &mut kept)
        };
        let decision = match gpu.governor {
            GovernorMode::Off => {
                cards.release();
                None
            }
            GovernorMode::On | GovernorMode::Watch => {
                cards.waits(set.interactive.is_some());
                cards.decide(now, counts, most, &gpu.cards)
            }
        };
        // What runs under a limit says nothing of what would come without it: there it stays at what it was.
        let lowered = match (gpu.governor, decision) {
            (GovernorMode::On, Some((_, decision))) => decision.lowered(),
            _ => ByClass::default(),
        };
        let held = most.with(lowered, |most, limit| limit.map(|_| most));
        measure.push(now, held.with(peak, Option::unwrap_or));
        let decided = decision.as_ref().map(|(_, decision)| decision);
        let orders = match gpu.governor {
            GovernorMode::On => ease.orders(now, standing(gpu), decided, counts.waiting),
            GovernorMode::Off | GovernorMode::Watch => {
                *ease = Ease::default();
                standing(gpu)
            }
        };
        // Also the same ones again: who has waited long enough goes before others, which nothing but the clock says.
        self.gate.obey(orders);
        recorders.look(now, &looked, Requests::new(counts.running, counts.waiting, decided));
        let snapshot = Snapshot {
            at: OffsetDateTime::now_utc(),
            now,
            mode: gpu.governor,
            decision,
            unheeded: gpu.governor != GovernorMode::Off
                && cards.heeds_any(&[CardChoice::All])
                && !cards.heeds_any(&gpu.cards),
            missing: asked.sampler.missing(),
            cards: looked,
            causes: OnceLock::new(),
        };
        told.tell(&snapshot);
        self.published.send_replace(Arc::new(snapshot));
    }
}

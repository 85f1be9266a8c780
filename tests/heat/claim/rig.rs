//! The loop: requests come, wait, run on a card that warms up, and end.
//!
//! Knows queue, patience and retries. Refuses to know how it is judged. Invariant: a request that runs is never ended but by its card.

use std::collections::VecDeque;

use ghostllm_core::heat::{ByClass, Decision, Gate, Policy};

use super::{Arrivals, Mix, Tally, steward::Steward};
use crate::sim::{Card, Case, Class, Device, Engine, Job, TICK};

/// How many may run at once where nothing is in the way: as many as a small box's engine has slots for (llama.cpp and vLLM are often run
/// with 8 to 32). Assumed.
pub const MOST: ByClass<u32> = ByClass { interactive: 16, background: 8 };
/// And of a box that few use: as many as the daemon allows one of which it has measured nothing yet.
pub const FEW: ByClass<u32> = ByClass { interactive: 4, background: 2 };
/// How many wait at most, by class: further ones are refused. Assumed.
const WAITING: usize = 64;
/// Seconds until a client without a token gives up (gpustack/gpustack#621: 120 s).
const PATIENCE: f64 = 120.0;
/// How often a client comes again that was sent away: openai-python's `max_retries`.
const RETRIES: u32 = 2;
/// Seconds after which a client comes again where nothing was said. Assumed.
const AGAIN: f64 = 5.0;

/// One run.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// The card.
    pub card: Card,
    /// Where it stands.
    pub case: Case,
    /// How requests come.
    pub arrivals: Arrivals,
    /// Fixes the draws.
    pub seed: u64,
    /// Seconds.
    pub seconds: f64,
    /// How many may run at once.
    pub most: ByClass<u32>,
    /// The governor's policy; none without it.
    pub policy: Option<Policy>,
    /// Seconds until somebody has switched a card on again that has switched itself off.
    pub outage: f64,
}

struct Rig {
    run: Run,
    device: Device,
    engine: Engine,
    mix: Mix,
    steward: Option<Steward>,
    waiting: [VecDeque<Job>; 2],
    again: Vec<(f64, Job)>,
    back: f64,
    answered: u32,
    clock: f64,
    tally: Tally,
}

/// Runs it.
#[must_use]
pub fn run(run: &Run) -> Tally {
    let mut rig = Rig {
        run: *run,
        device: Device::idle(&run.card, &run.case),
        engine: Engine::default(),
        mix: Mix::new(run.arrivals, &run.card, run.most, run.seed),
        steward: run.policy.map(Steward::new),
        waiting: [VecDeque::new(), VecDeque::new()],
        again: Vec::new(),
        back: 0.0,
        answered: 0,
        clock: 1.0,
        tally: Tally::default(),
    };
    while rig.device.now() < run.seconds {
        rig.tick();
    }
    rig.tally.joules = rig.device.joules();
    rig.tally
}

fn count(jobs: &VecDeque<Job>) -> u32 {
    u32::try_from(jobs.len()).unwrap_or(u32::MAX)
}

impl Rig {
    fn now(&self) -> f64 {
        self.device.now()
    }

    fn tick(&mut self) {
        let (now, card) = (self.now(), self.run.card);
        let decision = self.decide();
        let gate = decision.map_or(Gate::Open, |decision| decision.gate);
        let limits = decision.map_or(self.run.most, |decision| decision.limits);
        let mut coming = self.mix.come(now, std::mem::take(&mut self.answered));
        let due = |(when, _): &mut (f64, Job)| *when <= now;
        coming.extend(self.again.extract_if(.., due).map(|(_, job)| job));
        for job in coming {
            self.take(job, gate);
        }
        self.give_up();
        if gate == Gate::Open && !self.device.is_off() {
            self.begin(limits);
        }
        let load = self.engine.load(&card.speed, self.clock);
        let was_off = self.device.is_off();
        self.clock = self.device.step(&load);
        if self.device.is_off() {
            self.off(was_off);
        } else {
            for done in self.engine.step(self.now(), &card.speed, self.clock) {
                self.answered += 1;
                self.tally.done(&done);
            }
        }
        self.tally.tick(&self.device, load.busy);
    }

    fn decide(&mut self) -> Option<Decision> {
        let running = ByClass {
            interactive: self.engine.running(Class::Interactive),
            background: self.engine.running(Class::Background),
        };
        let [interactive, background] = &self.waiting;
        let queued = ByClass { interactive: count(interactive), background: count(background) };
        self.steward.as_mut()?.decide(&self.device, running, queued)
    }

    fn take(&mut self, job: Job, gate: Gate) {
        let after = match gate {
            _ if self.device.is_off() => Some(AGAIN),
            Gate::Refuse { retry_after } => Some(f64::from(retry_after)),
            Gate::Open | Gate::Hold => None,
        };
        let [interactive, background] = &mut self.waiting;
        let queue = if job.class == Class::Interactive { interactive } else { background };
        match after {
            None if queue.len() < WAITING => queue.push_back(job),
            after => self.send_away(job, after.unwrap_or(AGAIN)),
        }
    }

    fn send_away(&mut self, mut job: Job, after: f64) {
        if job.tries < RETRIES {
            job.tries += 1;
            self.again.push((self.now() + after, job));
        } else {
            self.answered += 1;
            self.tally.never(&job);
        }
    }

    fn give_up(&mut self) {
        let now = self.now();
        let [interactive, _] = &mut self.waiting;
        while interactive.front().is_some_and(|job| now - job.asked > PATIENCE) {
            if let Some(job) = interactive.pop_front() {
                self.answered += 1;
                self.tally.never(&job);
            }
        }
    }

    fn begin(&mut self, limits: ByClass<u32>) {
        let [interactive, background] = &mut self.waiting;
        let classes = [
            (interactive, Class::Interactive, limits.interactive),
            (background, Class::Background, limits.background),
        ];
        for (queue, class, limit) in classes {
            while self.engine.running(class) < limit {
                let Some(job) = queue.pop_front() else { break };
                self.engine.begin(job);
            }
        }
    }

    fn off(&mut self, was_off: bool) {
        if !was_off {
            self.tally.shutdowns += 1;
            self.back = self.now() + self.run.outage;
            for job in self.engine.lose() {
                self.answered += 1;
                self.tally.never(&job);
            }
        } else if self.now() + TICK >= self.back {
            self.device.power_on();
        }
    }
}

//! The loop: requests come, wait, run on a card that warms up, and end.
//!
//! Knows patience and retries; who begins and who waits is the core's own admission, which the daemon goes by, be it governed or not.
//! Refuses to know how it is judged. Invariant: a request that runs is never ended but by its card.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use ghostllm_core::{
    admission::{self, Admission, Ease, Entered, Orders, Refusal, Ticket, Whose},
    config::Gpu,
    heat::{ByClass, Gate, Policy},
};

use super::{Arrivals, Mix, Tally, steward::Steward};
use crate::sim::{Card, Case, Class, Device, Engine, Job, TICK};

/// How many may run at once where nothing is in the way: as many as a small box's engine has slots for (llama.cpp and vLLM are often run
/// with 8 to 32). Assumed.
pub const MOST: ByClass<u32> = ByClass { interactive: 16, background: 8 };
/// And of a box that few use: as many as the daemon allows one of which it has measured nothing yet.
pub const FEW: ByClass<u32> = ByClass { interactive: 4, background: 2 };
/// How many wait at most, by class: further ones are refused. Assumed. Each class is one caller's, which has half of all that may wait.
const WAITING: u32 = 64;
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

/// One that waits.
struct Waiting {
    ticket: Ticket,
    job: Job,
    since: f64,
}

struct Rig {
    run: Run,
    device: Device,
    engine: Engine,
    mix: Mix,
    steward: Option<Steward>,
    gate: Admission,
    ease: Ease,
    /// The longest that anybody waits (`gpu.queue_wait`), in seconds.
    longest: f64,
    waiting: BTreeMap<u64, Waiting>,
    running: HashMap<u64, Ticket>,
    again: Vec<(f64, Job)>,
    back: f64,
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
        gate: Admission::new(standing(run.most)),
        ease: Ease::default(),
        longest: Gpu::default().queue_wait.as_secs_f64(),
        waiting: BTreeMap::new(),
        running: HashMap::new(),
        again: Vec::new(),
        back: 0.0,
        clock: 1.0,
        tally: Tally::default(),
    };
    while rig.device.now() < run.seconds {
        rig.tick();
    }
    rig.tally.joules = rig.device.joules();
    rig.tally
}

/// What is obeyed while no card is hot.
fn standing(most: ByClass<u32>) -> Orders {
    let limits = ByClass { interactive: Some(most.interactive), background: Some(most.background) };
    Orders { limits, gate: Gate::Open, queue: 2 * WAITING, hot: ByClass::default() }
}

fn class(class: Class) -> admission::Class {
    match class {
        Class::Interactive => admission::Class::Interactive,
        Class::Background => admission::Class::Background,
    }
}

/// Seconds until a client comes again that was sent away like this.
fn after(refusal: Refusal) -> f64 {
    match refusal {
        Refusal::Hot { retry_after } => f64::from(retry_after),
        Refusal::Full | Refusal::Share | Refusal::Late { .. } => AGAIN,
    }
}

impl Rig {
    fn now(&self) -> f64 {
        self.device.now()
    }

    fn tick(&mut self) {
        let (now, card) = (self.now(), self.run.card);
        self.decide();
        let mut coming = self.mix.come(now);
        let due = |(when, _): &mut (f64, Job)| *when <= now;
        coming.extend(self.again.extract_if(.., due).map(|(_, job)| job));
        for job in coming {
            self.take(job);
        }
        self.give_up();
        if !self.device.is_off() {
            self.begin();
        }
        let load = self.engine.load(&card.speed, self.clock);
        let was_off = self.device.is_off();
        self.clock = self.device.step(&load);
        if self.device.is_off() {
            self.off(was_off);
        } else {
            for done in self.engine.step(self.now(), &card.speed, self.clock) {
                self.ends(&done.job);
                self.tally.done(&done);
            }
        }
        self.tally.tick(&self.device, load.busy);
    }

    fn at(&self) -> Duration {
        Duration::from_secs_f64(self.now())
    }

    fn decide(&mut self) {
        let (now, counts) = (self.at(), self.gate.counts());
        let Some(steward) = &mut self.steward else { return };
        let decision = steward.decide(&self.device, counts.running, counts.waiting);
        let set = standing(self.run.most);
        self.gate.obey(self.ease.orders(now, set, decision.as_ref(), counts.waiting));
    }

    fn take(&mut self, mut job: Job) {
        if self.device.is_off() {
            return self.send_away(job, AGAIN);
        }
        let whose = Whose(u64::from(job.class == Class::Background));
        match self.gate.enter(whose, class(job.class), self.at()) {
            Ok(Entered::Begins(ticket)) => self.runs(ticket, job),
            Ok(Entered::Waits(ticket)) => {
                job.number = ticket.number();
                let since = self.now();
                self.waiting.insert(job.number, Waiting { ticket, job, since });
            }
            Err(refusal) => self.send_away(job, after(refusal)),
        }
    }

    fn runs(&mut self, ticket: Ticket, mut job: Job) {
        job.number = ticket.number();
        self.running.insert(job.number, ticket);
        self.engine.begin(job);
    }

    /// It runs no more.
    fn ends(&mut self, job: &Job) {
        self.mix.answered(job.class);
        if let Some(ticket) = self.running.remove(&job.number) {
            self.gate.leave(ticket);
        }
    }

    fn send_away(&mut self, mut job: Job, after: f64) {
        if job.tries < RETRIES {
            job.tries += 1;
            self.again.push((self.now() + after, job));
        } else {
            self.never(&job);
        }
    }

    fn never(&mut self, job: &Job) {
        self.mix.answered(job.class);
        self.tally.never(job);
    }

    /// Clients of which somebody waits for a token go away; all others are told after a while that their turn has not come.
    fn give_up(&mut self) {
        let (now, longest) = (self.now(), self.longest);
        let is_over = |_: &u64, waiting: &mut Waiting| {
            let Waiting { job, since, .. } = waiting;
            job.class == Class::Interactive && now - job.asked > PATIENCE || now - *since > longest
        };
        let over: Vec<Waiting> = self.waiting.extract_if(.., is_over).map(|(_, waiting)| waiting).collect();
        for Waiting { ticket, job, since } in over {
            self.gate.leave(ticket);
            let late = self.gate.late(class(job.class), Duration::from_secs_f64(now - since));
            match job.class {
                Class::Interactive => self.never(&job),
                Class::Background => self.send_away(job, after(late)),
            }
        }
    }

    fn begin(&mut self) {
        while let Some(number) = self.gate.begin(self.at()) {
            if let Some(Waiting { ticket, job, .. }) = self.waiting.remove(&number) {
                self.runs(ticket, job);
            }
        }
    }

    fn off(&mut self, was_off: bool) {
        if !was_off {
            self.tally.shutdowns += 1;
            self.back = self.now() + self.run.outage;
            for job in self.engine.lose() {
                self.ends(&job);
                self.tally.never(&job);
            }
        } else if self.now() + TICK >= self.back {
            self.device.power_on();
        }
    }
}

//! The card and what runs on it, with a line to each client.
//!
//! Knows how many tokens each request has been given. Refuses to know HTTP. Invariant: a request whose client has left runs no more.

use std::collections::{HashMap, VecDeque};

use ghostllm_heat_claim::{
    claim::{MOST, Tally},
    sim::{Card, Case, Device, Engine, Job},
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// How many the engine answers at once by itself, and further ones wait in it.
const SLOTS: usize = (MOST.interactive + MOST.background) as usize;

/// What a client is sent: so many tokens more, of so many in all; the last has them all.
pub(crate) type Line = UnboundedSender<u32>;

pub(crate) struct World {
    card: Card,
    device: Device,
    engine: Engine,
    waiting: VecDeque<Job>,
    lines: HashMap<u64, (Line, u32)>,
    next: u64,
    clock: f64,
    back: f64,
}

impl World {
    pub(crate) fn new(card: &Card, case: &Case) -> Self {
        Self {
            card: *card,
            device: Device::idle(card, case),
            engine: Engine::default(),
            waiting: VecDeque::new(),
            lines: HashMap::new(),
            next: 1,
            clock: 1.0,
            back: 0.0,
        }
    }

    pub(crate) fn now(&self) -> f64 {
        self.device.now()
    }

    pub(crate) fn device(&self) -> &Device {
        &self.device
    }

    /// Takes a request; none while the card is off.
    pub(crate) fn take(&mut self, mut job: Job) -> Option<UnboundedReceiver<u32>> {
        if self.device.is_off() {
            return None;
        }
        let (line, tokens) = unbounded_channel();
        job.number = self.next;
        self.next += 1;
        self.lines.insert(job.number, (line, 0));
        self.waiting.push_back(job);
        Some(tokens)
    }

    /// One step.
    pub(crate) fn tick(&mut self, tally: &mut Tally, outage: f64) {
        self.leave();
        while self.engine.jobs().len() < SLOTS {
            let Some(job) = self.waiting.pop_front() else { break };
            self.engine.begin(job);
        }
        let load = self.engine.load(&self.card.speed, self.clock);
        let was_off = self.device.is_off();
        self.clock = self.device.step(&load);
        if self.device.is_off() {
            self.off(was_off, tally, outage);
        } else {
            let done = self.engine.step(self.device.now(), &self.card.speed, self.clock);
            let running: Vec<Job> = self.engine.jobs().to_vec();
            for job in running.into_iter().chain(done.into_iter().map(|done| done.job)) {
                self.tell(&job);
            }
        }
        tally.tick(&self.device, load.busy);
    }

    fn leave(&mut self) {
        let engine = &mut self.engine;
        self.lines.retain(|number, (line, _)| {
            let here = !line.is_closed();
            if !here {
                engine.leave(*number);
            }
            here
        });
        let lines = &self.lines;
        self.waiting.retain(|job| lines.contains_key(&job.number));
    }

    fn tell(&mut self, job: &Job) {
        let Some((line, told)) = self.lines.get_mut(&job.number) else { return };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "tokens of one answer")]
        let made = job.made.min(job.answer).max(0.0) as u32;
        if made > *told {
            // A client that has left is seen at the next step.
            let _ = line.send(made - *told);
            *told = made;
        }
        if job.prompt <= 0.0 && job.made >= job.answer {
            self.lines.remove(&job.number);
        }
    }

    fn off(&mut self, was_off: bool, tally: &mut Tally, outage: f64) {
        if !was_off {
            tally.shutdowns += 1;
            self.back = self.device.now() + outage;
            self.engine.lose();
            self.waiting.clear();
            self.lines.clear();
        } else if self.device.now() >= self.back {
            self.device.power_on();
        }
    }
}

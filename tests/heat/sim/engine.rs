//! An engine that answers many requests at once on a simulated card.
//!
//! Knows batches: each step makes a token for every request whose prompt is read, and reads a piece of one prompt. Refuses to know who may
//! begin (the gate) and who waits. Invariant: a token takes the time that the card's clock gives it; what has begun goes on until it is
//! done or the card goes off.

use super::{Load, Speed, TICK};

/// Tokens of a prompt that are read in one step: vLLM's chunked prefill and llama.cpp's `n_ubatch` have 512.
const CHUNK: f64 = 512.0;

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Somebody waits for it.
    Interactive,
    /// It has time.
    Background,
}

/// One request.
#[derive(Debug, Clone, Copy)]
pub struct Job {
    /// Tells it from others where somebody must; 0 where nobody does.
    pub number: u64,
    /// Who asks.
    pub class: Class,
    /// When it was asked first, in seconds.
    pub asked: f64,
    /// Tokens of its prompt that are not read yet.
    pub prompt: f64,
    /// Tokens of its answer.
    pub answer: f64,
    /// Tokens that are made.
    pub made: f64,
    /// When its first token came.
    pub first: Option<f64>,
    /// How often it was sent away.
    pub tries: u32,
}

impl Job {
    /// One that nobody has looked at yet.
    #[must_use]
    pub fn new(class: Class, asked: f64, prompt: f64, answer: f64) -> Self {
        Self { number: 0, class, asked, prompt, answer, made: 0.0, first: None, tries: 0 }
    }
}

/// A request that is answered, and when.
#[derive(Debug, Clone, Copy)]
pub struct Done {
    /// The request.
    pub job: Job,
    /// Its last token, in seconds.
    pub at: f64,
}

/// What runs.
#[derive(Debug, Clone, Default)]
pub struct Engine {
    jobs: Vec<Job>,
}

impl Engine {
    /// Begins it.
    pub fn begin(&mut self, job: Job) {
        self.jobs.push(job);
    }

    /// How many of a class run.
    #[must_use]
    pub fn running(&self, class: Class) -> u32 {
        u32::try_from(self.jobs.iter().filter(|job| job.class == class).count()).unwrap_or(u32::MAX)
    }

    /// What runs.
    #[must_use]
    pub fn jobs(&self) -> &[Job] {
        &self.jobs
    }

    /// Ends the one of this number: its client has left.
    pub fn leave(&mut self, number: u64) {
        self.jobs.retain(|job| job.number != number);
    }

    /// All are lost, since the card is.
    pub fn lose(&mut self) -> Vec<Job> {
        std::mem::take(&mut self.jobs)
    }

    fn counts(&self) -> (f64, bool) {
        let decoding = self.jobs.iter().filter(|job| job.prompt <= 0.0).count();
        let decoding = u32::try_from(decoding).map_or(0.0, f64::from);
        (decoding, self.jobs.iter().any(|job| job.prompt > 0.0))
    }

    /// What it asks of the card, and how many tokens a second come of it: of prompts, and of answers for each request.
    fn pace(&self, speed: &Speed, clock: f64) -> (Load, f64, f64) {
        let (decoding, prefilling) = self.counts();
        let step = if decoding > 0.0 { speed.step(decoding, clock) } else { 0.0 };
        let piece = if prefilling { CHUNK / speed.prefill(clock).max(1.0) } else { 0.0 };
        let whole = step + piece;
        if whole <= 0.0 {
            return (Load::default(), 0.0, 0.0);
        }
        let load = Load { busy: 1.0, prefill: piece / whole, decoding };
        let read = if prefilling { CHUNK / whole } else { 0.0 };
        (load, read, if decoding > 0.0 { 1.0 / whole } else { 0.0 })
    }

    /// What it asks of the card at this part of the highest clock.
    #[must_use]
    pub fn load(&self, speed: &Speed, clock: f64) -> Load {
        self.pace(speed, clock).0
    }

    /// One step of [`TICK`] that ends now, at this part of the highest clock: who is done.
    pub fn step(&mut self, now: f64, speed: &Speed, clock: f64) -> Vec<Done> {
        let (_, read, made) = self.pace(speed, clock);
        let mut left = read * TICK;
        for job in &mut self.jobs {
            if job.prompt > 0.0 {
                let piece = left.min(job.prompt);
                (job.prompt, left) = (job.prompt - piece, left - piece);
            } else {
                job.made += made * TICK;
                if job.made >= 1.0 && job.first.is_none() {
                    job.first = Some(now);
                }
            }
        }
        let is_done = |job: &Job| job.prompt <= 0.0 && job.made >= job.answer;
        let done =
            self.jobs.iter().filter(|job| is_done(job)).map(|job| Done { job: *job, at: now }).collect();
        self.jobs.retain(|job| !is_done(job));
        done
    }
}

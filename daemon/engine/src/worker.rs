//! The one thread that infers.
//!
//! Knows llama.cpp. Knows nothing of HTTP. Invariant: between two batches it looks whether the asker is still there,
//! so whoever leaves costs at most one batch; one model is in memory at a time.
//!
//! Continuous batching and prompt caching belong here: the context lives as long as its model stays, and
//! [`generate`](generation) is the only place that decodes.

use crate::error::Failure;
use crate::gguf::Summary;
use crate::library::{Model, Origin};
use crate::limits::Limits;
use crate::pulse::Pulse;
use crate::queue::{Event, Job, Queue, Work};
use crate::weight::Allowance;
use crate::wire::answer::{Finish, Usage};
use embedding::embed;
use grammar::Grammars;
use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::params::LlamaContextParams;
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use std::io::Write;
use std::num::NonZeroU32;
use std::os::fd::AsRawFd;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

mod complaint;
mod completion;
mod ear;
mod embedding;
mod generation;
mod grammar;
mod llama;
mod odds;
mod prompt;
mod sampler;
pub mod trial;

pub use complaint::Complaints;

/// The context where neither the operator nor the model names a smaller one: a long talk, at about 1 GB for a model
/// of 8 billion parameters.
const CONTEXT: u32 = 8192;
/// Below this size a second thread costs more than it brings.
const TINY: u64 = 50_000_000;
/// More threads than this rarely help: memory is the limit.
const THREADS: usize = 4;

/// What the operator chose.
#[derive(Debug, Clone, Copy, Default)]
pub struct Settings {
    /// Threads; by default one for tiny models, else up to four.
    pub threads: Option<usize>,
    /// Tokens of context; by default 8192, or what the model was trained on if that is less.
    pub context: Option<u32>,
    /// What callers and files may cost.
    pub limits: Limits,
}

impl Settings {
    /// Tokens of context for a model that was trained on so many.
    fn length(self, trained: u32) -> u32 {
        self.context.unwrap_or(CONTEXT).min(trained.max(1))
    }

    /// What may be said to the model that a file's head tells of.
    #[must_use]
    pub fn allowance(self, summary: &Summary) -> Allowance {
        Allowance::new(self.context_of(summary), summary.longest_token())
    }

    /// Tokens of context for that model.
    #[must_use]
    pub fn context_of(self, summary: &Summary) -> u32 {
        let trained = summary.context_length().and_then(|length| u32::try_from(length).ok());
        let length = self.length(trained.unwrap_or(u32::MAX));
        if summary.embeds() { length.min(self.limits.embedded_tokens) } else { length }
    }
}

/// Works until the queue is closed. Blocks; it wants a thread of its own.
pub fn work(queue: &Queue, settings: Settings, complaints: &Complaints) {
    let backend = match llama::start() {
        Ok(backend) => backend,
        Err(problem) => return refuse_all(queue, &problem),
    };
    let mut next = queue.next();
    while let Some(job) = next {
        if job.abandoned() {
            next = queue.next();
            continue;
        }
        complaints.clear();
        let stay = AssertUnwindSafe(|| stay_with(&backend, queue, settings, job, complaints));
        // llama-cpp-2 asserts what it takes for granted. The job's channel closes as it unwinds, which tells its
        // asker; model and context are dropped, so the next job starts afresh.
        next = std::panic::catch_unwind(stay).unwrap_or_else(|_| {
            tracing::error!("a request made the inference thread panic; its model is unloaded");
            queue.next()
        });
        queue.set_loaded(None);
    }
}

fn refuse_all(queue: &Queue, problem: &str) {
    while let Some(job) = queue.next() {
        job.tell(Event::Failed(Failure::internal(format!("llama.cpp could not be started: {problem}"))));
    }
}

/// Loads the job's model and serves all jobs for it, until one comes for another model, which is returned.
fn stay_with(
    backend: &LlamaBackend,
    queue: &Queue,
    settings: Settings,
    job: Job,
    complaints: &Complaints,
) -> Option<Job> {
    let model = Arc::clone(&job.model);
    let refuse = |problem: &str| {
        let detail = complaints.last().map_or_else(String::new, |text| format!(": {text}"));
        let message = format!("{} cannot be used: {problem}{detail}", model.id);
        job.tell(Event::Failed(Failure::model_file(model.asked, message)));
    };
    job.takes(settings.limits.trial_wait);
    if let Origin::File(path) = &model.origin
        && let Err(problem) = trial::survives(path, settings.limits.trial_wait)
    {
        refuse(&problem);
        return queue.next();
    }
    // Before its first word the kernel may read all of the file.
    job.takes(Duration::from_secs(model.summary.bytes / settings.limits.slowest_disk));
    let Ok(weights) = load(backend, &model, job.pulse()) else {
        refuse("llama.cpp could not load it");
        return queue.next();
    };
    job.pulse().beat();
    let Ok(context) = weights.new_context(backend, context_params(&weights, &model, settings)) else {
        refuse("llama.cpp could not make room for its context (try a smaller --context)");
        return queue.next();
    };
    tracing::info!(model = model.id, context = context.n_ctx(), "model loaded");
    queue.set_loaded(Some(model.id.clone()));
    let mut loaded = Loaded { weights: &weights, context, grammars: Grammars::default(), settings };
    let mut next = Some(job);
    while let Some(job) = next {
        if !Arc::ptr_eq(&job.model, &model) {
            return Some(job);
        }
        serve(&mut loaded, &job);
        drop(job);
        next = queue.next();
    }
    None
}

/// A model in memory, and what was made for it.
struct Loaded<'a> {
    weights: &'a LlamaModel,
    context: LlamaContext<'a>,
    grammars: Grammars,
    settings: Settings,
}

fn serve(loaded: &mut Loaded<'_>, job: &Job) {
    let end = match &job.work {
        _ if job.abandoned() => return,
        Work::Load => Some(Event::Ended(Finish::Stop, Usage::default())),
        Work::Chat(body) => ended(generation::answer(loaded, job, body.bytes())),
        Work::Complete(body) => ended(completion::answer(loaded, job, body.bytes())),
        Work::Embed(body) => match embed(loaded, job, body.bytes()) {
            Ok(Some((vectors, tokens))) => Some(Event::Embedded(vectors, tokens)),
            Ok(None) => None,
            Err(failure) => Some(Event::Failed(failure)),
        },
    };
    if let Some(end) = end {
        job.tell(end);
    }
}

/// What is told at the end of what was said; nothing if the asker left.
fn ended(said: Result<Option<(Finish, Usage)>, Failure>) -> Option<Event> {
    match said {
        Ok(Some((finish, usage))) => Some(Event::Ended(finish, usage)),
        Ok(None) => None,
        Err(failure) => Some(Event::Failed(failure)),
    }
}

fn load(backend: &LlamaBackend, model: &Model, pulse: Arc<Pulse>) -> Result<LlamaModel, String> {
    // Called before each tensor; `true` has it go on.
    let goes_on = move |_progress| {
        pulse.beat();
        true
    };
    let params = LlamaModelParams::default().with_progress_callback(goes_on);
    match &model.origin {
        Origin::File(path) => {
            LlamaModel::load_from_file(backend, path, &params).map_err(|error| error.to_string())
        }
        Origin::BuiltIn(bytes) => {
            // llama.cpp wants a path: a file in memory has one while it is open, and its pages stay mapped after.
            let name = c"ghostllm-demo";
            let fd = nix::sys::memfd::memfd_create(name, nix::sys::memfd::MFdFlags::MFD_CLOEXEC)
                .map_err(|error| error.to_string())?;
            let mut file = std::fs::File::from(fd);
            file.write_all(bytes).map_err(|error| error.to_string())?;
            let path = format!("/proc/self/fd/{}", file.as_raw_fd());
            LlamaModel::load_from_file(backend, path, &params).map_err(|error| error.to_string())
        }
    }
}

fn context_params(weights: &LlamaModel, model: &Model, settings: Settings) -> LlamaContextParams {
    let embeds = model.summary.embeds();
    let trained = settings.length(weights.n_ctx_train());
    let length = trained.min(settings.context_of(&model.summary));
    // An encoder reads a text in one step, or llama.cpp ends the process; and pooling knows only the tokens of its own step.
    let batch = if embeds { length } else { settings.limits.batch };
    let threads = i32::try_from(threads(model, settings)).unwrap_or(1);
    LlamaContextParams::default()
        .with_n_ctx(NonZeroU32::new(length))
        .with_n_batch(batch)
        .with_n_ubatch(batch)
        .with_embeddings(embeds)
        .with_n_threads(threads)
        .with_n_threads_batch(threads)
        .with_no_perf(true)
}

fn threads(model: &Model, settings: Settings) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let fitting = if model.summary.bytes < TINY { 1 } else { cores.min(THREADS) };
    settings.threads.unwrap_or(fitting).clamp(1, 512)
}

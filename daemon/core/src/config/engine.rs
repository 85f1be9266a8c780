//! The `[engine]`: our own inference engine.
//!
//! Knows its settings. Refuses to know how it is started. Invariant: what the engine cannot count is refused here.

use std::{path::PathBuf, time::Duration};

use super::{
    limits::{at_least_one, some_time, window},
    rule::Rule,
    section::section,
    values::ByteSize,
};

/// llama.cpp counts tokens in 31 bits.
fn batch() -> Rule<Option<u32>> {
    Rule::amount::<1, 2_147_483_647>("a number from 1 to 2147483647")
}

section! {
    /// Our own inference engine, which serves GGUF files.
    pub struct Engine ("[engine]") {
        /// The Unix socket of an engine that somebody else starts; without it the program starts one itself.
        @restart socket: Option<PathBuf> = None;
        /// Where GGUF files are, instead of "models" in the state directory.
        @restart models: Option<PathBuf> = None;
        /// The engine's program, instead of ghostllm-engine beside this one.
        @restart binary: Option<PathBuf> = None;
        /// Threads that it infers with; by itself one for tiny models, else up to four.
        @restart threads: Option<usize> = None => at_least_one();
        /// Tokens of context; by itself 8192, or less where the model was trained on less.
        @restart context: Option<u32> = None => at_least_one();
        /// Requests that may wait while one runs; by itself 32.
        @restart queue: Option<usize> = None => at_least_one();
        /// Tokens of a prompt that are read in one step, which a departed client still costs; by itself 128.
        @restart batch: Option<u32> = None => batch();
        /// A request's body, as the engine takes it; by itself 32MiB.
        @restart longest_body: Option<ByteSize> = None => window();
        /// Texts in a request's stop, as the engine takes it; by itself 16.
        @restart stop_texts: Option<usize> = None => at_least_one();
        /// Model files in one directory; by itself 1000.
        @restart files: Option<usize> = None => at_least_one();
        /// A new file is tried first, which may take this long; by itself 120s.
        @restart trial_wait: Option<Duration> = None => some_time();
        /// What rendering a chat template may spend, about one for each of its instructions; by itself 10000000.
        @restart template_work: Option<usize> = None => at_least_one();
        /// It must answer within this of its start: looking through the models on a slow disk takes its time.
        @restart start_wait: Duration = Duration::from_secs(60) => some_time();
        /// How often it is asked whether it still answers.
        @restart check_interval: Duration = Duration::from_secs(10) => some_time();
        /// It must answer that within this; two misses in a row are a hang, and it is killed and started anew.
        @restart check_wait: Duration = Duration::from_secs(10) => some_time();
        /// When the program stops, the engine has this long to end before it is killed.
        @restart stop_wait: Duration = Duration::from_secs(2);
    }
}

//! The `[gpu]`: how this machine's graphics cards are asked, and what is done about their heat.
//!
//! Knows its settings. Refuses to know cards and requests. Invariant: whatever is set, a card's word that it is too hot is heeded within
//! two seconds.

use std::{path::PathBuf, time::Duration};

use super::{health::CardChoice, rule::Rule, section::section, values::GovernorMode};

/// With a second for the question, and what the gate takes, two seconds are kept.
fn up_to_a_second() -> Rule<Duration> {
    Rule::amount::<10, 1000>("a time from 10ms to 1s")
}

/// More requests than any box holds open.
fn requests() -> Rule<u32> {
    Rule::amount::<0, 1_000_000>("a number from 0 to 1000000")
}

/// A day is beyond any client's patience.
fn queue_waits() -> Rule<Duration> {
    Rule::amount::<1000, 86_400_000>("a time from 1s to 1d")
}

section! {
    /// The graphics cards of this machine, and what is done when they become hot. What is said here of requests
    /// concerns those that a backend on this machine answers: one on a loopback address or a Unix socket, our own engine,
    /// or whose on_this_box says so.
    pub struct Gpu ("[gpu]") {
        /// The file of NVIDIA's library (NVML), instead of the one that the system finds by the name libnvidia-ml.so.1.
        @restart nvml_library: Option<PathBuf> = None;
        /// Where the kernel's files are (sysfs), instead of /sys: by them AMD's and Intel's cards are asked and, where there
        /// is no card at all, the processor.
        @restart sysfs_root: Option<PathBuf> = None;
        /// How often a card is asked.
        @restart every: Duration = Duration::from_secs(1) => up_to_a_second();
        /// How often one that is near to one of its limits is.
        @restart near_every: Duration = Duration::from_millis(100) => up_to_a_second();
        /// "on": when a card becomes hot, fewer requests run at once, those that have time first (where interactive is set:
        /// once others wait for their turn); then new ones wait, and at last they are answered with 503 gpu_thermal. None
        /// that runs is ended. "watch": what would be done is told, in the log, in ghostctl status and in the metrics, and
        /// nothing comes of it. "off": nothing is decided.
        governor: GovernorMode = GovernorMode::On;
        /// Whose heat is heeded: ["all"], or cards by their numbers, as ghostctl gpu shows them, or by their uuid (in
        /// ghostctl gpu --json; NVIDIA's are those of nvidia-smi -L). One that only has a screen need not hold back the one
        /// that computes; it is watched and told all the same.
        cards: Vec<CardChoice> = vec![CardChoice::All];
        /// So many requests that somebody waits for run at once at the most, hot or not; others wait for their turn. 0 sets
        /// no limit: then a hot card's limits are counted down from the most that ran at once in the last ten minutes, but
        /// at least 4.
        interactive: u32 = 0 => requests();
        /// The same of requests that have time, which say so by service_tier "flex" or the header GhostLLM-Priority:
        /// background. 0 sets none of its own: as many as gpu.interactive, and where that is 0 as well, a hot card's limits
        /// are counted down from at least 2. One in eight of these gives way while a card is held where it gets slower, and
        /// of two to four one once its hardware slows it down.
        background: u32 = 0 => requests();
        /// So many requests wait for their turn at the most, of both kinds together; what comes beyond is answered with 503
        /// queue_full. One caller (a key; all programs of this box that show none are one) takes half of these places at the
        /// most, so that none fills the queue for all others. 512 is what an Ollama keeps waiting (OLLAMA_MAX_QUEUE).
        queue: u32 = 512 => requests();
        /// So long a request waits for its turn at the most; then it is answered with 503 queue_full, or gpu_thermal while a
        /// card lets none begin. When the program is stopped, those that wait are answered at once.
        queue_wait: Duration = Duration::from_secs(300) => queue_waits();
    }
}

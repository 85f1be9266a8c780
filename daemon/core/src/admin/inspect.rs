//! What `ghostllm inspect` has found.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{GpuMaker, ModelInfo, Status};

/// What `ghostllm inspect --json` prints. No route gives it: it is made beside the daemon, which may not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Inspected {
    /// The version of this form.
    pub version: u32,
    /// The program that has looked.
    pub program: String,
    /// The daemon.
    pub daemon: InspectedDaemon,
    /// This box.
    pub host: InspectedHost,
    /// Its graphics cards.
    pub gpus: InspectedGpus,
    /// Where models are, or could be.
    pub engines: Vec<InspectedEngine>,
    /// The models: as the daemon lists them, else what the engines have said.
    pub models: Vec<ModelInfo>,
    /// Where the daemon listens, or would.
    pub listeners: Vec<InspectedListener>,
    /// How much it may take at a time, or might.
    pub limits: InspectedLimits,
    /// The configuration.
    pub configuration: InspectedConfiguration,
}

/// The daemon, as its admin's socket tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InspectedDaemon {
    /// The socket that was asked; null where there is none in any of its places.
    pub socket: Option<String>,
    /// What it has answered; null where it has not, and all else is what can be seen without it.
    pub status: Option<Status>,
    /// Why it has not, and what to do; null where it has.
    pub fault: Option<String>,
}

/// The box.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InspectedHost {
    /// Its name.
    pub name: String,
    /// Its system, such as `Debian GNU/Linux 12 (bookworm)`.
    pub system: Option<String>,
    /// The kernel's version.
    pub kernel: Option<String>,
    /// `x86_64`, `aarch64`.
    pub architecture: String,
    /// What its processor is called.
    pub processor: Option<String>,
    /// How many threads of it this program may use at once.
    pub processors: usize,
    /// Its memory in bytes.
    pub memory: Option<u64>,
    /// How much of that programs can still have.
    pub memory_available: Option<u64>,
    /// How much memory the daemon's control group may take, or this program's where none answers; null for no limit, or where the daemon's
    /// process is not to be seen from here, as that of a container may be.
    pub cgroup_memory: Option<u64>,
    /// How much of a processor that may use, in hundredths; null for no limit.
    pub cgroup_cpu: Option<u64>,
    /// How long it has been running, in seconds.
    pub uptime_s: Option<u64>,
    /// Its addresses, loopback first.
    pub addresses: Vec<String>,
    /// Whether it speaks IPv6.
    pub ipv6: bool,
}

/// Graphics cards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InspectedGpus {
    /// Those that NVIDIA's driver lists, then those of AMD and Intel that the kernel's files tell of; where there is no card at all, the
    /// processor, if the kernel tells how warm it is.
    pub cards: Vec<InspectedCard>,
    /// Why there is no card, or why those of one maker cannot be asked, and what to do; null where nothing is missed.
    pub missing: Option<String>,
}

/// A graphics card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InspectedCard {
    /// Its number, as nvidia-smi counts; others come after NVIDIA's.
    pub number: usize,
    /// Whose driver was asked.
    pub maker: GpuMaker,
    /// The product's name.
    pub name: String,
    /// The same after every restart; empty where it does not answer.
    pub uuid: String,
    /// Its own memory in bytes; null where it has none, or does not tell.
    pub memory: Option<u64>,
    /// How much of that is free.
    pub free: Option<u64>,
    /// Whether it has none of its own, and uses the machine's.
    pub shares_memory: bool,
    /// By how many degrees Celsius it is cooler than the temperature at which it slows itself down, by the nearest of its sensors that were
    /// asked; below 0 where it is warmer.
    pub below_slowdown: Option<i64>,
    /// The driver's version.
    pub driver: String,
    /// What is wrong with it and what to do; null for a card that answers.
    pub fault: Option<String>,
    /// What is broken on a card that answers, and what to do; null where nothing is.
    pub damage: Option<String>,
}

/// An engine, a server in front of one, or a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InspectedEngine {
    /// Its name: the backend's, or what it is.
    pub name: String,
    /// `ollama`, `openai`, `gguf` or `engine`.
    pub kind: String,
    /// Where it is: an address, a socket, a program or a file.
    pub at: String,
    /// Whether the configuration names it; else it was looked for.
    pub configured: bool,
    /// Whether it answers; null for a file or a program that does not run.
    pub answers: Option<bool>,
    /// Its version, where it tells that.
    pub version: Option<String>,
    /// How many models it has, or could serve.
    pub models: usize,
    /// Why it does not answer, or cannot be used.
    pub fault: Option<String>,
}

/// A listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InspectedListener {
    /// `tls`, `quic`, `plain` or `admin`.
    pub kind: String,
    /// An address and port, or a path.
    pub address: String,
    /// What is spoken there, such as `HTTP/1.1, HTTP/2`.
    pub speaks: String,
    /// How it is.
    pub state: InspectedListening,
    /// Who has it, why it cannot be had, or what a free one lacks; null where nothing is in the way.
    pub why: Option<String>,
}

/// How a listener is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InspectedListening {
    /// The daemon serves there.
    Serves,
    /// The daemon was to serve there, and does not.
    Missing,
    /// It could be had by a daemon that this user starts.
    Free,
    /// Somebody has it.
    Taken,
    /// It cannot be had, whoever has it.
    Unusable,
}

/// How much the daemon takes at a time: those in use, or those of the configuration where none answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InspectedLimits {
    /// Files and sockets that the daemon may have open, or one that this user starts; the largest number for no limit, null where that is
    /// not to be seen from here.
    pub open_files: Option<u64>,
    /// Whether a service manager ends it when it hangs; null where it does not answer.
    pub watchdog: Option<bool>,
    /// `limits.threads`; 0 is one for each processor, two at the most.
    pub threads: usize,
    /// `limits.connections`
    pub connections: usize,
    /// `limits.connections_per_source`
    pub connections_per_source: usize,
    /// `limits.admin_connections`
    pub admin_connections: usize,
    /// `limits.streams`
    pub streams: u32,
    /// `limits.body`, in bytes.
    pub body: u64,
    /// `limits.memory_shed`, in percent of the memory that the daemon may have.
    pub memory_shed: usize,
    /// `limits.memory_drop`, in percent.
    pub memory_drop: usize,
    /// `limits.backend_first_byte`, in milliseconds.
    pub backend_first_byte_ms: u64,
    /// `limits.drain_grace`, in milliseconds.
    pub drain_grace_ms: u64,
}

/// The configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InspectedConfiguration {
    /// The files: those that the daemon has read, else those that one would read that this user starts.
    pub files: Vec<String>,
    /// What is wrong with them; empty where nothing is.
    pub faults: Vec<String>,
}

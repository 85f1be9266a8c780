//! The figures that monitoring collects: what each is called, what it counts, and what tells its series apart.
//!
//! Knows the names. Refuses to know what any of them amounts to. Invariant: this table is what the daemon shows, what the page
//! says and what rules and dashboards may ask for; there is no other list.

mod page;

pub use page::page;

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// It only grows, and begins at 0 with the process.
    Counter,
    /// It is so at this moment.
    Gauge,
    /// How many were at most so much, for each of these bounds.
    Histogram(&'static [f64]),
    /// Always 1: its labels are what it says.
    Info,
}

/// What a metric counts in, where its name says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Seconds, or for a moment those since 1970.
    Seconds,
    /// Bytes.
    Bytes,
}

/// One metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Definition {
    /// Its name without what a format adds: its unit, and the ending of its kind.
    pub name: &'static str,
    /// Its unit.
    pub unit: Option<Unit>,
    /// What it is.
    pub kind: Kind,
    /// What tells its series apart.
    pub labels: &'static [&'static str],
    /// What it says, in words.
    pub words: &'static str,
}

impl Unit {
    /// As names end in it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Seconds => "seconds",
            Self::Bytes => "bytes",
        }
    }
}

impl Kind {
    /// In a word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
            Self::Info => "info",
        }
    }
}

impl Definition {
    /// Its name as Prometheus has it.
    #[must_use]
    pub fn exposed(&self) -> String {
        let unit = self.unit.map(|unit| format!("_{}", unit.name())).unwrap_or_default();
        let ending = match self.kind {
            Kind::Counter => "_total",
            Kind::Info => "_info",
            Kind::Gauge | Kind::Histogram(_) => "",
        };
        format!("{}{unit}{ending}", self.name)
    }

    /// The names that its samples have: three for a histogram.
    #[must_use]
    pub fn samples(&self) -> Vec<String> {
        let name = self.exposed();
        match self.kind {
            Kind::Histogram(_) => ["bucket", "sum", "count"].map(|part| format!("{name}_{part}")).to_vec(),
            Kind::Counter | Kind::Gauge | Kind::Info => vec![name],
        }
    }
}

/// From a page out of memory to the longest answer that is waited for by default.
const REQUEST_SECONDS: &[f64] =
    &[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];
/// As OpenTelemetry's conventions for generative AI have them (0.01 · 2ⁿ), and on: the longest chats take minutes.
const GENERATION_SECONDS: &[f64] = &[
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84, 327.68,
    655.36,
];
/// As those conventions have them, and on to the 300 s that a first event is waited for by default.
const FIRST_SECONDS: &[f64] = &[
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0,
    80.0, 160.0, 300.0,
];
/// As those conventions have them.
const EACH_SECONDS: &[f64] = &[0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5];
/// As those conventions have them (4ⁿ).
const TOKENS: &[f64] = &[
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1024.0,
    4096.0,
    16384.0,
    65536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

/// Each metric as a constant of its own, and all of them as [`TABLE`].
macro_rules! metrics {
    ($($(#[doc = $words:literal])+ $constant:ident: $kind:expr, $name:literal $(in $unit:ident)?, [$($label:literal),*];)*) => {
        $($(#[doc = $words])+
        pub const $constant: Definition = Definition {
            name: $name,
            unit: metrics!(@unit $($unit)?),
            kind: $kind,
            labels: &[$($label),*],
            words: concat!($($words),+),
        };)*

        /// Every metric, in the page's order.
        pub const TABLE: &[Definition] = &[$($constant),*];
    };
    (@unit) => { None };
    (@unit $unit:ident) => { Some(Unit::$unit) };
}

metrics! {
    /// Requests that have ended, by the status that was sent; none where the client left before it
    REQUESTS: Kind::Counter, "ghostllm_requests", ["route", "http", "status", "model", "backend"];
    /// Requests that have ended, by how: what is 0 so far is here as well, so that a first failure is seen to be one
    REQUESTS_ENDED: Kind::Counter, "ghostllm_requests_ended", ["route", "ended"];
    /// From a request's head to the end of its answer
    REQUEST_DURATION: Kind::Histogram(REQUEST_SECONDS), "ghostllm_request_duration" in Seconds,
        ["route", "http", "status", "model", "backend"];
    /// Requests that are being answered
    STREAMS: Kind::Gauge, "ghostllm_streams", ["http"];
    /// Requests of models that were refused for want of room, by what was wanting
    SHED: Kind::Counter, "ghostllm_shed", ["why"];
    /// Memory of the process's group that counts against its limit; nothing where none has a limit
    MEMORY_USED: Kind::Gauge, "ghostllm_memory_used" in Bytes, [];
    /// The limit of that memory
    MEMORY_LIMIT: Kind::Gauge, "ghostllm_memory_limit" in Bytes, [];
    /// Requests whose handling has panicked
    REQUEST_PANICS: Kind::Counter, "ghostllm_request_panics", [];
    /// Requests that a model was asked for, from their head to the end of their answer
    GENERATION_DURATION: Kind::Histogram(GENERATION_SECONDS), "gen_ai_server_request_duration" in Seconds,
        ["gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model"];
    /// Streamed chats from their head to the engine's first event
    FIRST_TOKEN: Kind::Histogram(FIRST_SECONDS), "gen_ai_server_time_to_first_token" in Seconds,
        ["gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model"];
    /// Whole streamed chats of two tokens or more, for each token behind the first
    EACH_TOKEN: Kind::Histogram(EACH_SECONDS), "gen_ai_server_time_per_output_token" in Seconds,
        ["gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model"];
    /// Tokens of each request, as its engine has counted them; embeddings have input alone
    TOKEN_USAGE: Kind::Histogram(TOKENS), "gen_ai_client_token_usage",
        ["gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "gen_ai_token_type"];
    /// Whether a model can answer now, as `/readyz` has it: 1 or 0
    READY: Kind::Gauge, "ghostllm_ready", [];
    /// What is amiss, as `ghostctl status` names it
    CAUSES: Kind::Gauge, "ghostllm_causes", ["severity"];
    /// Whether a check of `[[health]]` passes, as `/readyz/NAME` has it: 1 or 0
    HEALTH_CHECK: Kind::Gauge, "ghostllm_health_check", ["name"];
    /// Open connections that have agreed on their version of HTTP
    CONNECTIONS: Kind::Gauge, "ghostllm_connections", ["listener", "http"];
    /// Whether the backend answered when it was asked last: 1 or 0
    BACKEND_UP: Kind::Gauge, "ghostllm_backend_up", ["backend"];
    /// The models that it listed when it answered last
    BACKEND_MODELS: Kind::Gauge, "ghostllm_backend_models", ["backend"];
    /// Requests that it is answering
    BACKEND_REQUESTS: Kind::Gauge, "ghostllm_backend_requests_open", ["backend"];
    /// Connections to it that rest until they are used again
    BACKEND_RESTING: Kind::Gauge, "ghostllm_backend_connections_resting", ["backend"];
    /// Requests that have failed on it
    BACKEND_FAILURES: Kind::Counter, "ghostllm_backend_failures", ["backend"];
    /// A graphics card of this machine that is watched
    GPU: Kind::Info, "ghostllm_gpu", ["gpu", "uuid", "gpu_name", "driver"];
    /// A card's temperature in degrees Celsius
    GPU_TEMPERATURE: Kind::Gauge, "ghostllm_gpu_temperature_celsius", ["gpu", "sensor"];
    /// How many degrees Celsius a card is below where it gets slower, is slowed down by its hardware, switches itself off
    GPU_MARGIN: Kind::Gauge, "ghostllm_gpu_margin_celsius", ["gpu", "to"];
    /// In how many seconds a card gets slower, as it goes; nothing where that is not foretold
    GPU_SLOWER: Kind::Gauge, "ghostllm_gpu_slower_in" in Seconds, ["gpu"];
    /// What a card draws, in watts
    GPU_POWER: Kind::Gauge, "ghostllm_gpu_power_draw_watts", ["gpu"];
    /// Its limit in watts
    GPU_POWER_LIMIT: Kind::Gauge, "ghostllm_gpu_power_limit_watts", ["gpu"];
    /// What it has used since its driver was loaded, in joules
    GPU_ENERGY: Kind::Counter, "ghostllm_gpu_energy_joules", ["gpu"];
    /// How busy it is: 0 to 1
    GPU_UTILIZATION: Kind::Gauge, "ghostllm_gpu_utilization_ratio", ["gpu", "part"];
    /// Its memory that is in use
    GPU_MEMORY_USED: Kind::Gauge, "ghostllm_gpu_memory_used" in Bytes, ["gpu"];
    /// All of its memory; nothing where it shares the machine's
    GPU_MEMORY_SIZE: Kind::Gauge, "ghostllm_gpu_memory_size" in Bytes, ["gpu"];
    /// How fast its fan turns, of the highest speed: 0 to 1, some go beyond
    GPU_FAN: Kind::Gauge, "ghostllm_gpu_fan_speed_ratio", ["gpu"];
    /// Its clocks in hertz
    GPU_CLOCK: Kind::Gauge, "ghostllm_gpu_clock_hertz", ["gpu", "part"];
    /// The highest of these
    GPU_CLOCK_MAX: Kind::Gauge, "ghostllm_gpu_clock_max_hertz", ["gpu", "part"];
    /// Errors of its memory since its driver was loaded
    GPU_ECC: Kind::Counter, "ghostllm_gpu_ecc_errors", ["gpu", "kind"];
    /// Rows of its memory that were replaced by spare ones
    GPU_ROWS: Kind::Gauge, "ghostllm_gpu_memory_rows_remapped", ["gpu"];
    /// Whether rows of its memory will be replaced at its next reset: 1 or 0
    GPU_ROWS_PENDING: Kind::Gauge, "ghostllm_gpu_memory_rows_pending", ["gpu"];
    /// Whether a row of its memory could not be replaced: 1 or 0
    GPU_ROWS_FAILED: Kind::Gauge, "ghostllm_gpu_memory_rows_failed", ["gpu"];
    /// Pages of its memory that are no longer used
    GPU_PAGES: Kind::Gauge, "ghostllm_gpu_memory_pages_retired", ["gpu"];
    /// The number of the last Xid event since GhostLLM began; 0 where there was none
    GPU_XID: Kind::Gauge, "ghostllm_gpu_xid_last", ["gpu"];
    /// The generation of its PCIe link, now and the most that it and its slot can
    GPU_LINK_GENERATION: Kind::Gauge, "ghostllm_gpu_pcie_generation", ["gpu", "of"];
    /// The lanes of its PCIe link, now and the most that it and its slot can
    GPU_LINK_LANES: Kind::Gauge, "ghostllm_gpu_pcie_lanes", ["gpu", "of"];
    /// Processes that compute on it
    GPU_PROCESSES: Kind::Gauge, "ghostllm_gpu_processes", ["gpu"];
    /// MIG instances that it is cut into
    GPU_INSTANCES: Kind::Gauge, "ghostllm_gpu_mig_instances", ["gpu"];
    /// Whether this is a reason why its clocks are not the highest: 1 or 0
    GPU_THROTTLED: Kind::Gauge, "ghostllm_gpu_throttled", ["gpu", "reason"];
    /// Whether this is what is made of it: 1 or 0
    GPU_STATE: Kind::Gauge, "ghostllm_gpu_state", ["gpu", "state"];
    /// How many seconds ago it was asked for what it answered last; a silent or lost one has neither heat nor power nor use
    GPU_AGE: Kind::Gauge, "ghostllm_gpu_age" in Seconds, ["gpu"];
    /// Whether this is why the limits are what they are: 1 or 0; nothing where the governor is off or there is no card
    GPU_GOVERNOR: Kind::Gauge, "ghostllm_gpu_governor_cause", ["cause"];
    /// How many requests of this machine's backends may run at once; nothing where there is no limit
    GPU_GATE_LIMIT: Kind::Gauge, "ghostllm_gpu_gate_limit", ["class"];
    /// How many of them run
    GPU_GATE_RUNNING: Kind::Gauge, "ghostllm_gpu_gate_running", ["class"];
    /// How many of them wait for their turn
    GPU_GATE_WAITING: Kind::Gauge, "ghostllm_gpu_gate_waiting", ["class"];
    /// Whether this is what becomes of those that come: 1 or 0
    GPU_GATE_STATE: Kind::Gauge, "ghostllm_gpu_gate_state", ["gate"];
    /// How many of them were refused
    GPU_GATE_REFUSED: Kind::Counter, "ghostllm_gpu_gate_refused", ["reason"];
    /// Background tasks that run: by kind and not by name, in which there may be an address
    TASKS_RUNNING: Kind::Gauge, "ghostllm_tasks_running", ["task"];
    /// Background tasks that rest after a failure, hang or have failed for good
    TASKS_FAILING: Kind::Gauge, "ghostllm_tasks_failing", ["task"];
    /// How often background tasks were started again
    TASK_RESTARTS: Kind::Counter, "ghostllm_task_restarts", ["task"];
    /// Since when the certificate that clients are shown is good, in seconds since 1970
    CERTIFICATE_BEGIN: Kind::Gauge, "ghostllm_certificate_not_before_timestamp" in Seconds, [];
    /// When the certificate that clients are shown ends, in seconds since 1970
    CERTIFICATE_EXPIRY: Kind::Gauge, "ghostllm_certificate_expiry_timestamp" in Seconds, [];
    /// Whether the configuration that was read last is in use: 1 or 0
    CONFIG_RELOADED: Kind::Gauge, "ghostllm_config_last_reload_successful", [];
    /// Whether changed settings wait for a restart: 1 or 0
    CONFIG_RESTART: Kind::Gauge, "ghostllm_config_restart_needed", [];
    /// Records of the log that were lost, since whoever takes them was too slow
    LOG_LOST: Kind::Counter, "ghostllm_log_records_lost", [];
    /// Events that were gone before a follower of them was there to be told
    EVENTS_LOST: Kind::Counter, "ghostllm_events_lost", [];
    /// Which program this is
    BUILD: Kind::Info, "ghostllm_build", ["version", "architecture"];
    /// How long it has been running
    UPTIME: Kind::Gauge, "ghostllm_uptime" in Seconds, [];
    /// CPU time, the user's and the system's together
    PROCESS_CPU: Kind::Counter, "process_cpu" in Seconds, [];
    /// Memory that is held
    PROCESS_RESIDENT: Kind::Gauge, "process_resident_memory" in Bytes, [];
    /// Memory that is mapped
    PROCESS_VIRTUAL: Kind::Gauge, "process_virtual_memory" in Bytes, [];
    /// Open files and sockets
    PROCESS_OPEN: Kind::Gauge, "process_open_fds", [];
    /// The most that may be open
    PROCESS_MOST: Kind::Gauge, "process_max_fds", [];
    /// Threads
    PROCESS_THREADS: Kind::Gauge, "process_threads", [];
    /// When it began, in seconds since 1970
    PROCESS_START: Kind::Gauge, "process_start_time" in Seconds, [];
}

/// What each label means.
pub const LABELS: &[(&str, &str)] = &[
    ("route", "the row of [the routes](routes.md) that answers; `unmatched` where none does"),
    ("http", "`HTTP/1.0`, `HTTP/1.1`, `HTTP/2` or `HTTP/3`"),
    ("status", "the status that was sent; empty where none was"),
    (
        "model",
        "what the backend calls the model that the request went to, never what was asked for; empty where none was asked, \
         `other` beyond the first hundred names and for names that its backend has not listed",
    ),
    ("backend", "its name in the configuration; empty where none was asked"),
    (
        "ended",
        "`completed`, `refused`, `failed`, `shed` (for want of room), `left` (by the client) or `cancelled`",
    ),
    ("why", "`memory` or `descriptors`"),
    ("severity", "`error`, `warning` or `note`"),
    ("name", "a check's name in the configuration"),
    ("gpu", "a card's number by its driver's count, from 0"),
    ("uuid", "what names the card after every restart: `GPU-…`, or its place on the bus"),
    ("kind", "`corrected` or `uncorrected`"),
    ("of", "`now`, or `most`: what the card and its slot can"),
    ("gpu_name", "the product's name"),
    ("driver", "the driver and its version"),
    ("sensor", "`gpu` (the chip), `memory` or `hotspot`"),
    ("to", "`slower` (by its driver or by its hardware), `slowdown` (by its hardware) or `shutdown`"),
    ("part", "`core` (what computes) or `memory`"),
    (
        "reason",
        "of a card's clocks: `idle`, `setting`, `power_cap`, `current`, `sync`, `slowdown`, `brake`, `soft_heat`, `hard_heat` or `other`; \
         of a request that was refused: `gpu_thermal` or `queue_full`",
    ),
    (
        "state",
        "`cool`, `throttled_by_power`, `warm`, `unknown`, `stale`, `throttled_by_brake`, `throttled_by_heat` or `lost`",
    ),
    (
        "cause",
        "`none`, `margin`, `foretold`, `heat`, `shutdown`, `cooling`, `held_long`, `recovering` or `blind`",
    ),
    ("class", "`interactive` or `background`"),
    ("gate", "`open`, `hold` (none begins) or `refuse`"),
    ("listener", "`tls`, `quic`, `plain` or `admin`"),
    ("task", "the kind of a background task: the first word of its name in `ghostctl tasks`"),
    ("version", "the program's"),
    ("architecture", "that of its machine"),
    ("gen_ai_operation_name", "`chat`, `text_completion` or `embeddings`"),
    ("gen_ai_provider_name", "the kind of the backend: `ollama`, `openai`, `engine` or `gguf`"),
    ("gen_ai_request_model", "as `model`"),
    ("gen_ai_token_type", "`input` or `output`"),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_name_is_there_once_and_formed_as_prometheus_wants_it() {
        let mut names = HashSet::new();
        for metric in TABLE {
            let name = metric.exposed();
            let fits = |byte: u8| byte == b'_' || byte.is_ascii_lowercase() || byte.is_ascii_digit();
            assert!(name.bytes().all(fits) && !name.contains("__"), "{name}");
            // The formats add these.
            for ending in ["_total", "_info", "_bucket", "_sum", "_count", "_seconds", "_bytes", "_created"] {
                assert!(!metric.name.ends_with(ending), "{name}");
            }
            assert!(["ghostllm_", "gen_ai_", "process_"].iter().any(|ours| name.starts_with(ours)), "{name}");
            assert!(!metric.words.trim().ends_with('.') && !metric.words.contains('\n'), "{name}");
            assert!(names.insert(name));
        }
    }

    #[test]
    fn each_label_is_explained_and_none_that_is_not_there() {
        let used: HashSet<&str> = TABLE.iter().flat_map(|metric| metric.labels).copied().collect();
        let explained: HashSet<&str> = LABELS.iter().map(|(name, _)| *name).collect();
        assert_eq!(used, explained);
    }

    #[test]
    fn bounds_grow() {
        for metric in TABLE {
            let Kind::Histogram(bounds) = metric.kind else { continue };
            assert!(bounds.is_sorted_by(|one, next| one < next), "{}", metric.name);
        }
    }

    #[test]
    fn samples_are_what_is_asked_for() {
        assert_eq!(REQUESTS.samples(), ["ghostllm_requests_total"]);
        assert_eq!(BUILD.samples(), ["ghostllm_build_info"]);
        assert_eq!(PROCESS_CPU.samples(), ["process_cpu_seconds_total"]);
        assert_eq!(
            FIRST_TOKEN.samples(),
            ["bucket", "sum", "count"]
                .map(|part| format!("gen_ai_server_time_to_first_token_seconds_{part}"))
        );
    }

    #[test]
    fn the_document_is_the_one_that_is_generated() {
        assert_eq!(include_str!("../../../packaging/docs/metrics.md"), page(), "run `just docs`");
    }
}

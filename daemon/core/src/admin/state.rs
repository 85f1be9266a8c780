//! How the box is.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `GET /status`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// The version of this form.
    pub version: u32,
    /// In a word.
    pub condition: Condition,
    /// What is amiss, the worst first; empty where nothing is.
    pub causes: Vec<Cause>,
    /// The box's name.
    pub host: String,
    /// The program's version.
    pub program: String,
    /// The daemon's process.
    pub pid: u32,
    /// When it began to serve.
    pub since: String,
    /// How long ago that was.
    pub uptime_s: u64,
    /// Where it listens.
    pub listeners: Vec<Listener>,
    /// How many models there are.
    pub models: usize,
    /// How many backends there are.
    pub backends: usize,
    /// How many of them answer.
    pub backends_up: usize,
    /// How many requests are being answered.
    pub requests: usize,
    /// How many connections are open.
    pub connections: usize,
    /// How many keys there are.
    pub keys: usize,
    /// When the certificate ends.
    pub certificate_expires: Option<String>,
}

/// How the box is, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// All is well.
    Ready,
    /// It serves, and something is amiss.
    Degraded,
    /// It serves, and no model can answer.
    NoModel,
    /// It finishes open requests and ends.
    Stopping,
}

impl Condition {
    /// Its name in JSON and in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Degraded => "degraded",
            Self::NoModel => "no_model",
            Self::Stopping => "stopping",
        }
    }
}

/// Something that is amiss.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cause {
    /// What, for programs: `no_model`, `only_demo`, `backend_down`, `listener_missing`, `certificate_lacks`,
    /// `certificate`, `configuration_refused`, `restart_needed`, `state_unwritable`, `audit_unwritable`, `usage_unwritable`, `usage_set_aside`, `alerts_unsent`,
    /// `clock_lost`, `first_key_waits`, `engine_down`, `hangs`, `task_rests`, `memory_short`, `memory_unknown`, `listener_paused`,
    /// `health_check`, `gpu_thermal`, `gpu_driver`, `gpu_lost`, `gpu_silent`, `gpu_memory`,
    /// `gpu_xid`, `gpu_heat`, `gpu_unheeded`, `alias_of_nothing`, `alias_hides`, `alias_context`.
    pub code: String,
    /// How bad it is.
    pub severity: Severity,
    /// What, in words.
    pub what: String,
    /// What to do about it.
    pub next: String,
}

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing; all is well.
    Note,
    /// Part of the job is not done.
    Warning,
    /// The job is not done.
    Error,
}

/// `GET /listeners`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListenerList {
    /// The version of this form.
    pub version: u32,
    /// Those that serve, and those that are wanted and do not.
    pub listeners: Vec<Listener>,
}

/// A listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Listener {
    /// `tls`, `quic`, `plain` or `admin`.
    pub kind: String,
    /// An address and port, or a path.
    pub address: String,
    /// What is spoken there, such as `HTTP/1.1, HTTP/2`.
    pub speaks: String,
    /// Whether it serves.
    pub serves: bool,
    /// Whether it asks for a key.
    pub key: bool,
}

/// `GET /certificates`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Certificates {
    /// The version of this form.
    pub version: u32,
    /// What clients are shown.
    pub server: CertificateInfo,
    /// The box's own CA; null where its owner's certificate is shown.
    pub authority: Option<Authority>,
    /// Names and addresses of the box that the certificate lacks, each with what to do.
    pub left_out: Vec<String>,
}

/// A certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CertificateInfo {
    /// Names and addresses that it is for.
    pub names: Vec<String>,
    /// Since when it is good.
    #[serde(default)]
    pub begins: Option<String>,
    /// When it ends.
    pub expires: Option<String>,
    /// When it is made anew; null where its owner does that.
    pub renews: Option<String>,
}

/// The box's own CA.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Authority {
    /// SHA-256 of its DER, upper-case hexadecimal with colons.
    pub sha256: String,
    /// The certificate itself, in PEM.
    pub pem: String,
}

/// `POST /certificates/renew` and `POST /certificates/authority`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Renewed {
    /// The version of this form.
    pub version: u32,
    /// What there is now.
    pub certificates: Certificates,
}

/// `GET /backends`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackendList {
    /// The version of this form.
    pub version: u32,
    /// In the configuration's order.
    pub backends: Vec<BackendInfo>,
}

/// A backend, and `POST /backends/{name}/test`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackendInfo {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// Where it is.
    pub at: String,
    /// Whether it answered when it was last asked; null where it was never.
    pub up: Option<bool>,
    /// Why it did not, in words.
    pub fault: Option<String>,
    /// How many models it listed when it last answered.
    pub models: usize,
    /// How many requests it is answering.
    pub requests: usize,
}

/// `GET /models`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModelList {
    /// The version of this form.
    pub version: u32,
    /// As `/v1/models` lists them, and those that it leaves out by the configuration.
    pub models: Vec<ModelInfo>,
}

/// A model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModelInfo {
    /// What requests call it.
    pub id: String,
    /// The backend that has it.
    pub backend: String,
    /// Whether that backend answers.
    pub up: bool,
    /// How many requests it is answering, by whatever name they have asked for it.
    pub requests: usize,
    /// The model that answers, as its backend calls it, where the configuration has given it this name; else null.
    #[serde(default)]
    pub target: Option<String>,
    /// Whether the configuration leaves it out of `/v1/models`.
    #[serde(default)]
    pub hidden: bool,
}

/// `GET /requests`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RequestList {
    /// The version of this form.
    pub version: u32,
    /// The oldest first.
    pub requests: Vec<RequestInfo>,
}

/// A request that is being answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RequestInfo {
    /// Ours; its answer bears it as `x-request-id`, unless its client has chosen another.
    pub id: String,
    /// The caller's key; null for a program on the box.
    pub key: Option<String>,
    /// The key's name, or `local`.
    pub caller: String,
    /// Where it came from.
    pub from: String,
    /// `HTTP/1.1`, `HTTP/2` or `HTTP/3`.
    pub http: String,
    /// The model that was asked for.
    pub model: String,
    /// The backend that answers.
    pub backend: String,
    /// How far it is.
    pub state: RequestState,
    /// When it began.
    pub since: String,
    /// How long ago that was, in milliseconds.
    pub age_ms: u64,
    /// How many events its client was sent.
    pub events: u64,
}

/// How far a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RequestState {
    /// The engine has said nothing yet.
    Waiting,
    /// The answer is on its way.
    Answering,
}

/// `DELETE /requests/{id}`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cancelled {
    /// The version of this form.
    pub version: u32,
    /// The request.
    pub id: String,
}

/// `GET /config`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigShown {
    /// The version of this form.
    pub version: u32,
    /// Every setting in use, its value and its place behind it, as TOML that can be read back; what may be a secret is left out.
    pub toml: String,
    /// The files that were read, the later ones over the earlier ones.
    pub files: Vec<String>,
    /// What `PATCH /config` has kept, by the settings' whole names, likewise.
    #[serde(default)]
    pub kept: BTreeMap<String, String>,
    /// Why what is on disk is not in use; null where it is.
    pub refused: Option<String>,
    /// Settings on disk that differ and need a restart.
    pub restart: Vec<String>,
    /// The same with both values; `toml` has the one in use.
    #[serde(default)]
    pub pending: Vec<PendingSetting>,
}

/// A setting that was changed on disk and stays as it is until a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PendingSetting {
    /// Its name, such as `listen.tls`.
    pub setting: String,
    /// The value in use, as TOML; null where it is not set.
    pub in_use: Option<String>,
    /// The value on disk, as TOML; null where it is not set.
    pub on_disk: Option<String>,
    /// Where that stands.
    pub place: String,
}

/// `PATCH /config`: kept and taken as a whole, or not at all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigChange {
    /// Settings by their whole names, such as `log.level` or `backends.my-box.url`, with their values as `--set` takes them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<String, String>,
    /// Settings that are to be kept no more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unset: Vec<String>,
}

/// `POST /config/check`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Checked {
    /// The version of this form.
    pub version: u32,
    /// Whether what is on disk can be used.
    pub sound: bool,
    /// Everything that is wrong, each with its place.
    pub faults: Vec<String>,
    /// The files that were read.
    pub files: Vec<String>,
}

/// `POST /reload` and `PATCH /config`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reloaded {
    /// The version of this form.
    pub version: u32,
    /// Whether what is on disk is in use now.
    pub taken: bool,
    /// Why it is not.
    pub fault: Option<String>,
    /// The settings that are as they were not before.
    pub changed: Vec<String>,
    /// The settings that need a restart, and are as they were.
    pub restart: Vec<String>,
}

/// `GET /routes`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RouteList {
    /// The version of this form.
    pub version: u32,
    /// The whole table.
    pub routes: Vec<RouteInfo>,
}

/// A route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RouteInfo {
    /// Its method; GET stands for HEAD as well.
    pub method: String,
    /// Its path; `{name}` stands for one segment, `{name...}` for all that follows.
    pub path: String,
    /// What a caller must be allowed; null for a public one.
    pub permission: Option<crate::access::Permission>,
    /// The roles that may use it.
    pub roles: Vec<crate::access::Role>,
    /// The scopes that may.
    pub scopes: Vec<crate::access::Scope>,
}

/// What `ghostctl version --json` prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Versions {
    /// The version of this form.
    pub version: u32,
    /// Its own.
    pub ghostctl: String,
    /// The daemon's; null where it does not answer.
    pub daemon: Option<String>,
}

/// What `ghostctl` prints with `--json` where it fails, whatever was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refused {
    /// The version of this form.
    pub version: u32,
    /// Why.
    pub error: RefusedError,
}

/// The API's own error, or one of `ghostctl`'s.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RefusedError {
    /// In words.
    pub message: String,
    /// Its kind: `ghostctl_error`, or the API's.
    pub r#type: String,
    /// The field that is wrong, where it is one.
    pub param: Option<String>,
    /// Its name, for programs.
    pub code: String,
    /// What to do next; null where the message says it.
    pub next: Option<String>,
}

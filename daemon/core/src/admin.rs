//! The admin API's forms: what `/admin/api/v1` takes and gives, as JSON.
//!
//! Knows every answer and every order. Refuses to know where the facts come from, and who may ask. Invariants: no form has a place
//! for a secret, but for the two that show a new key once; within one [`FORM`] fields are only ever added, so that whoever
//! reads them ignores what they do not know. Times are RFC 3339 in UTC.

mod bench;
mod doctor;
mod events;
mod flight;
mod gpu;
mod inspect;
mod keys;
mod logs;
mod state;
mod tasks;
mod usage;

pub use bench::{BenchCost, BenchEnd, BenchError, BenchFigure, BenchLeg, BenchOverhead, Benched};
pub use doctor::{DoctorCheck, DoctorReport, DoctorResult};
pub use events::{ActResult, AuditEntry, AuditLog, Event};
pub use flight::{
    Flight, FlightCard, FlightEvent, FlightFrame, FlightRecord, FlightThresholds, FlightTrigger, Flights,
};
pub use gpu::{
    GpuByClass, GpuCard, GpuCause, GpuClocks, GpuDecision, GpuFaults, GpuGate, GpuGovernor, GpuHistory,
    GpuInstance, GpuInstances, GpuLimits, GpuLink, GpuMaker, GpuMargins, GpuMemory, GpuMissing,
    GpuMissingCause, GpuMode, GpuOutlook, GpuPlace, GpuPoint, GpuPower, GpuProcess, GpuProcesses, GpuReading,
    GpuReason, GpuReport, GpuSensor, GpuShared, GpuSlower, GpuSpan, GpuState, GpuThrottle, GpuUtilisation,
    tenths, wrong,
};
pub use inspect::{
    Inspected, InspectedCard, InspectedConfiguration, InspectedDaemon, InspectedEngine, InspectedGpus,
    InspectedHost, InspectedLimits, InspectedListener, InspectedListening,
};
pub use keys::{FirstKey, KeyInfo, KeyList, KeyState, MadeKey, NewKey, Rotation};
pub use logs::{LogEntry, LoggedLevel};
pub use state::{
    Authority, BackendInfo, BackendList, Cancelled, Cause, CertificateInfo, Certificates, Checked, Condition,
    ConfigChange, ConfigShown, Listener, ListenerList, ModelInfo, ModelList, PendingSetting, Refused,
    RefusedError, Reloaded, Renewed, RequestInfo, RequestList, RequestState, RouteInfo, RouteList, Severity,
    Status, Versions,
};
pub use tasks::{TaskInfo, TaskList, TaskPhase, TaskPolicy};
pub use usage::{UsageReport, UsageRow};

use schemars::{Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use crate::{
    alerts::Alert,
    backup::{Manifest, Restored},
};

/// The version of all these forms; it rises when a field goes or changes its meaning.
pub const FORM: u32 = 1;

/// The media type of every answer but the events.
pub const JSON: &str = "application/json";

/// The JSON Schema (draft 2020-12) of every form, under `$defs`.
#[must_use]
pub fn schema() -> String {
    let mut generator = SchemaGenerator::new(SchemaSettings::draft2020_12());
    let _referred: [Schema; 35] = [
        generator.subschema_for::<Status>(),
        generator.subschema_for::<ListenerList>(),
        generator.subschema_for::<Certificates>(),
        generator.subschema_for::<Renewed>(),
        generator.subschema_for::<BackendList>(),
        generator.subschema_for::<BackendInfo>(),
        generator.subschema_for::<ModelList>(),
        generator.subschema_for::<RequestList>(),
        generator.subschema_for::<Cancelled>(),
        generator.subschema_for::<TaskList>(),
        generator.subschema_for::<ConfigShown>(),
        generator.subschema_for::<ConfigChange>(),
        generator.subschema_for::<Checked>(),
        generator.subschema_for::<Reloaded>(),
        generator.subschema_for::<KeyList>(),
        generator.subschema_for::<NewKey>(),
        generator.subschema_for::<MadeKey>(),
        generator.subschema_for::<FirstKey>(),
        generator.subschema_for::<Rotation>(),
        generator.subschema_for::<AuditLog>(),
        generator.subschema_for::<Event>(),
        generator.subschema_for::<RouteList>(),
        generator.subschema_for::<UsageReport>(),
        generator.subschema_for::<GpuReport>(),
        generator.subschema_for::<GpuHistory>(),
        generator.subschema_for::<Alert>(),
        generator.subschema_for::<Manifest>(),
        generator.subschema_for::<Restored>(),
        generator.subschema_for::<DoctorReport>(),
        generator.subschema_for::<Versions>(),
        generator.subschema_for::<Refused>(),
        generator.subschema_for::<LogEntry>(),
        generator.subschema_for::<Inspected>(),
        generator.subschema_for::<Flights>(),
        generator.subschema_for::<Benched>(),
    ];
    let definitions: Map<String, Value> = generator.take_definitions(true);
    let whole = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "GhostLLM's admin API",
        "description": "What /admin/api/v1 takes and gives, what is posted to alerts.webhook, and what ghostctl, `ghostllm inspect` and `ghostllm bench` print with --json.",
        "$defs": definitions,
    });
    format!("{:#}\n", sorted(whole))
}

/// With the names of each object in order, which is serde_json's own unless another crate has asked it for theirs.
pub(crate) fn sorted(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.into_iter().map(|(name, value)| (name, sorted(value))).collect();
            fields.sort_by(|(a, _), (b, _)| a.cmp(b));
            Value::Object(fields.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}

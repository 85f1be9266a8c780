//! What was found, for people: a screen of 80 columns.
//!
//! Refuses to find anything out. Invariants: no line is wider than that but where a single word is; nothing that comes from outside is
//! obeyed by a terminal.

use std::time::Duration;

use ghostllm_core::{
    admin::{
        GpuMaker, Inspected, InspectedCard, InspectedDaemon, InspectedEngine, InspectedGpus, InspectedHost,
        InspectedLimits, InspectedListener, InspectedListening, ModelInfo,
    },
    text::{long, size},
};

use crate::log::OneLine;

/// Columns of a line.
const WIDTH: usize = 80;
/// What each part begins with.
const LABEL: usize = 11;
/// So many models are named.
const NAMED: usize = 12;

/// Draws it.
pub(crate) fn drawn(seen: &Inspected) -> String {
    let mut out = String::new();
    let parts = [
        ("daemon", daemon(&seen.daemon, &seen.program)),
        ("host", host(&seen.host)),
        ("gpus", gpus(&seen.gpus)),
        ("engines", seen.engines.iter().map(engine).collect()),
        ("models", vec![models(&seen.models)]),
        ("listeners", listeners(&seen.listeners)),
        ("limits", limits(&seen.limits)),
        ("config", configuration(seen)),
    ];
    for (label, lines) in parts {
        for (number, line) in lines.iter().enumerate() {
            out.push_str(&hanging(if number == 0 { label } else { "" }, line));
        }
    }
    out
}

/// A paragraph behind its label, the further lines under the first.
pub(super) fn hanging(label: &str, words: &str) -> String {
    let mut out = String::new();
    let mut line = format!("{label:LABEL$}");
    let mut bare = true;
    for word in OneLine(words).to_string().split(' ') {
        if !bare && line.chars().count() + 1 + word.chars().count() > WIDTH {
            out.push_str(line.trim_end());
            out.push('\n');
            // Further than a new line of the same part, so that the two are told apart.
            line = " ".repeat(LABEL + 2);
            bare = true;
        }
        if !bare {
            line.push(' ');
        }
        line.push_str(word);
        bare = false;
    }
    out.push_str(line.trim_end());
    out.push('\n');
    out
}

fn daemon(daemon: &InspectedDaemon, program: &str) -> Vec<String> {
    let socket = daemon.socket.as_deref().map(|socket| format!(" at {socket}")).unwrap_or_default();
    let Some(status) = &daemon.status else {
        let why = daemon.fault.as_deref().unwrap_or("nothing is known of it");
        return vec![
            format!("none answers{socket}: {why}"),
            format!("what follows was looked at without one, by ghostllm {program}"),
        ];
    };
    let mut lines = vec![format!(
        "{}, version {}, process {}, since {} ({}){socket}",
        status.condition.name().replace('_', " "),
        status.program,
        status.pid,
        status.since,
        long(status.uptime_s),
    )];
    if status.program != program {
        lines.push(format!("this program is of version {program}"));
    }
    lines.push(format!(
        "{}, {}, {}; certificate until {}",
        counted(status.requests, "request"),
        counted(status.connections, "connection"),
        counted(status.keys, "key"),
        status.certificate_expires.as_deref().unwrap_or("nobody knows when")
    ));
    lines.extend(status.causes.iter().map(|cause| format!("{}: {}; {}", cause.code, cause.what, cause.next)));
    lines
}

fn host(host: &InspectedHost) -> Vec<String> {
    let unknown = |what: &Option<String>| what.clone().unwrap_or_else(|| "unknown".to_owned());
    let mut lines = vec![
        format!(
            "{}, {}, Linux {} {}, up {}",
            host.name,
            unknown(&host.system),
            unknown(&host.kernel),
            host.architecture,
            host.uptime_s.map_or_else(|| "for an unknown time".to_owned(), long)
        ),
        format!(
            "{}{}; {}",
            host.processor.as_deref().map(|name| format!("{name}, ")).unwrap_or_default(),
            counted(host.processors, "processor"),
            memory(host)
        ),
    ];
    let group = [
        host.cgroup_memory.map(|bytes| format!("{} of memory", size(bytes))),
        host.cgroup_cpu.map(|share| format!("{}.{:02} processors", share / 100, share % 100)),
    ];
    let group: Vec<String> = group.into_iter().flatten().collect();
    if !group.is_empty() {
        lines.push(format!("its control group allows {}", group.join(" and ")));
    }
    let six = if host.ipv6 { "IPv6 is on" } else { "IPv6 is off" };
    lines.push(format!("{six}; {}", host.addresses.join(", ")));
    lines
}

fn memory(host: &InspectedHost) -> String {
    match (host.memory_available, host.memory) {
        (Some(available), Some(memory)) => {
            format!("{} of {} memory available", size(available), size(memory))
        }
        _ => "memory unknown".to_owned(),
    }
}

fn gpus(gpus: &InspectedGpus) -> Vec<String> {
    let is_none = gpus.cards.iter().all(|card| card.maker == GpuMaker::Processor);
    let missing = gpus.missing.iter().map(|why| if is_none { format!("none: {why}") } else { why.clone() });
    missing.chain(gpus.cards.iter().map(card)).collect()
}

fn card(card: &InspectedCard) -> String {
    let head = format!("{} {}", card.number, card.name);
    if let Some(fault) = &card.fault {
        return format!("{head}: {fault}");
    }
    let memory = match (card.free, card.memory) {
        (Some(free), Some(memory)) => format!("{} of {} free", size(free), size(memory)),
        _ if card.shares_memory => "shares the machine's memory".to_owned(),
        _ => "its memory is not told".to_owned(),
    };
    let warmth = match card.below_slowdown {
        None => String::new(),
        Some(below @ 0..) => format!(", {below} °C below slowdown"),
        Some(above) => format!(", {} °C above slowdown", above.unsigned_abs()),
    };
    if card.maker == GpuMaker::Processor {
        // It has no number, and its memory is the host's.
        return format!("{}{warmth}", card.name);
    }
    let damage = card.damage.as_ref().map_or(String::new(), |damage| format!("; {damage}"));
    format!("{head}, {memory}{warmth}, driver {}{damage}", card.driver)
}

fn engine(engine: &InspectedEngine) -> String {
    let is = match (engine.answers, &engine.fault) {
        (Some(true), _) => "answers",
        // It need not be there.
        (Some(false), _) if !engine.configured => "was looked for and does not answer",
        (Some(false), _) => "does not answer",
        (None, None) => "is there",
        (None, Some(_)) => "cannot be used",
    };
    let version = engine.version.as_deref().map(|version| format!(", version {version}")).unwrap_or_default();
    let models = format!(", {}", counted(engine.models, "model"));
    let found = if engine.configured { "" } else { ", found" };
    let fault = engine.fault.as_deref().map(|fault| format!(": {fault}")).unwrap_or_default();
    let told = if engine.fault.is_some() { String::new() } else { format!("{version}{models}{found}") };
    let kind = if engine.kind == engine.name { String::new() } else { format!(" ({})", engine.kind) };
    format!("{}{kind} at {} {is}{told}{fault}", engine.name, engine.at)
}

fn models(models: &[ModelInfo]) -> String {
    if models.is_empty() {
        return "none".to_owned();
    }
    let name = |model: &ModelInfo| {
        let up = if model.up { "" } else { ", away" };
        format!("{} ({}{up})", model.id, model.backend)
    };
    let named: Vec<String> = models.iter().take(NAMED).map(name).collect();
    match models.len().saturating_sub(NAMED) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

fn listeners(listeners: &[InspectedListener]) -> Vec<String> {
    let line = |listener: &InspectedListener| {
        let why = listener.why.as_deref().unwrap_or_default();
        let is = match listener.state {
            InspectedListening::Serves => "serves".to_owned(),
            InspectedListening::Free if why.is_empty() => "free".to_owned(),
            InspectedListening::Free => format!("free; {why}"),
            InspectedListening::Missing => format!("not served: {why}"),
            InspectedListening::Taken if why.is_empty() => "taken".to_owned(),
            InspectedListening::Taken => format!("taken by {why}"),
            InspectedListening::Unusable => format!("cannot be had: {why}"),
        };
        format!("{} {} ({}): {is}", listener.kind, listener.address, listener.speaks)
    };
    listeners.iter().map(line).collect()
}

fn limits(limits: &InspectedLimits) -> Vec<String> {
    let files = match limits.open_files {
        None => "unknown".to_owned(),
        Some(u64::MAX) => "unlimited".to_owned(),
        Some(most) => most.to_string(),
    };
    let threads = match limits.threads {
        0 => "one for each processor, two at the most".to_owned(),
        many => many.to_string(),
    };
    let watchdog = match limits.watchdog {
        None => "",
        Some(true) => "; a watchdog looks after it",
        Some(false) => "; no watchdog looks after it",
    };
    let time = |millis| format!("{:?}", Duration::from_millis(millis));
    vec![
        format!("open files {files}; threads {threads}{watchdog}"),
        format!(
            "connections {}, {} from one source, {} of admins; {} streams on each",
            limits.connections, limits.connections_per_source, limits.admin_connections, limits.streams
        ),
        format!(
            "body {}; first byte of a backend {}; a stop waits {}",
            size(limits.body),
            time(limits.backend_first_byte_ms),
            time(limits.drain_grace_ms)
        ),
        format!(
            "of limited memory, from {} % no new chat, from {} % no connection that rests",
            limits.memory_shed, limits.memory_drop
        ),
    ]
}

fn configuration(seen: &Inspected) -> Vec<String> {
    let files = &seen.configuration.files;
    let read = if files.is_empty() { "no file is read".to_owned() } else { files.join(", ") };
    let faults = seen.configuration.faults.iter();
    std::iter::once(read).chain(faults.map(|fault| format!("fault: {fault}"))).collect()
}

/// So many of this.
pub(super) fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests;

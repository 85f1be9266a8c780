//! The cards in lines: what is done about their heat, what is wrong, and a block for each.

use ghostllm_core::{
    admin::{
        GpuByClass, GpuCard, GpuGovernor, GpuLimits, GpuMaker, GpuMode, GpuOutlook, GpuReading, GpuReport,
        GpuSensor, GpuShared, GpuState,
    },
    text::size,
};

use super::{
    severity, state_of,
    wrong::{Fault, called},
};
use crate::output::{Screen, Tone};

#[cfg(test)]
mod tests;

/// Columns of what stands in front of a line of a card.
const HEAD: usize = 14;
/// Processes that are named; of more, their number is.
const NAMED: usize = 4;

pub(super) fn drawn(report: &GpuReport, faults: &[Fault], screen: &Screen) -> String {
    let mut out = governor(report, screen);
    for fault in faults {
        let (word, tone) = severity(fault.severity);
        out.push('\n');
        out.push_str(&screen.hanging(&format!("{word:<9}"), tone, &fault.what));
        out.push_str(&screen.hanging("  why:   ", Tone::Plain, fault.why));
        out.push_str(&screen.hanging("  next:  ", Tone::Plain, &fault.next));
    }
    for missing in report.missing.iter().filter(|missing| !missing.fault && report.cards.is_empty()) {
        out.push('\n');
        out.push_str(&screen.hanging("", Tone::Plain, &missing.words));
    }
    for one in &report.cards {
        out.push('\n');
        out.push_str(&card(one, screen));
    }
    out
}

fn governor(report: &GpuReport, screen: &Screen) -> String {
    let (head, tone, words) = decided(report);
    let mut out = screen.hanging(&format!("{head}: "), tone, &words);
    out.push_str(&screen.hanging("requests: ", Tone::Plain, &requests(&report.governor)));
    out
}

/// The governor's mode, how it is shown, and its decision.
pub(super) fn decided(report: &GpuReport) -> (&'static str, Tone, String) {
    let decision = report.governor.decision.as_ref();
    let words = decision.map(|decision| match decision.card {
        Some(card) => format!("{} (card {card})", decision.words),
        None => decision.words.clone(),
    });
    let undecided = || undecided(report).to_owned();
    match report.governor.mode {
        GpuMode::Off => ("governor off", Tone::Plain, "nothing is done about heat (gpu.governor)".to_owned()),
        GpuMode::On => {
            let free = decision.is_none_or(|decision| decision.limits == GpuLimits::default());
            let tone = if free { Tone::Good } else { Tone::Amiss };
            ("governor", tone, words.unwrap_or_else(undecided))
        }
        GpuMode::Watch => (
            "governor only watches",
            Tone::Plain,
            words.map_or_else(undecided, |words| format!("it would say: {words}")),
        ),
    }
}

/// Why it has decided nothing. A processor's heat is told, and nothing comes of it.
fn undecided(report: &GpuReport) -> &'static str {
    if report.cards.iter().any(|card| card.maker != GpuMaker::Processor) {
        "it has not decided yet"
    } else {
        "there is no card to decide by"
    }
}

/// `3 interactive and 1 background run, 8 and 4 may at once; 0 and 2 wait`; of what may run nothing, where there is no limit.
pub(super) fn requests(governor: &GpuGovernor) -> String {
    let GpuByClass { interactive, background } = governor.running;
    let waiting = governor.waiting;
    let may = match (governor.limits.interactive, governor.limits.background) {
        (None, None) => String::new(),
        (Some(interactive), Some(background)) => format!(", {interactive} and {background} may at once"),
        (Some(interactive), None) => format!(", {interactive} interactive may at once"),
        (None, Some(background)) => format!(", {background} background may at once"),
    };
    format!(
        "{interactive} interactive and {background} background run{may}; {} and {} wait",
        waiting.interactive, waiting.background
    )
}

fn card(card: &GpuCard, screen: &Screen) -> String {
    let (word, tone) = state_of(card);
    let facts = [&card.driver, &card.pci].into_iter().flatten().map(String::as_str).collect::<Vec<_>>();
    let facts = if facts.is_empty() { String::new() } else { format!("; {}", facts.join(", ")) };
    // What it said last is not how it is.
    let age = card.age_s.filter(|_| card.state == GpuState::Stale);
    let facts = facts + &age.map_or(String::new(), |age| format!("; what follows it said {age:.0} s ago"));
    let mut out = screen.hanging(&format!("{word}: "), tone, &format!("{}{facts}", called(card)));
    let lines = [
        ("temperature", temperature(card)),
        ("slower", slower(card)),
        ("speed", speed(card)),
        ("power", power(card)),
        ("clocks", clocks(card)),
        ("busy", card.utilisation.core.value().map(|core| format!("{core} %"))),
        ("memory", memory(card)),
        ("fan", card.fan.value().map(|fan| format!("{fan} %"))),
        ("link", link(card)),
        ("instances", instances(card)),
        ("processes", processes(card)),
        ("late", card.late_s.map(|late| format!("it has not answered for {late:.0} s"))),
    ];
    for (head, words) in lines {
        let Some(words) = words else { continue };
        out.push_str(&screen.hanging(&format!("  {head:<width$}", width = HEAD - 2), Tone::Plain, &words));
    }
    for (why, names) in unread(card) {
        let words = format!("{}: {why}", names.join(", "));
        out.push_str(&screen.hanging(
            &format!("  {:<width$}", "not read", width = HEAD - 2),
            Tone::Plain,
            &words,
        ));
    }
    out
}

fn temperature(card: &GpuCard) -> Option<String> {
    let celsius = *card.gpu.celsius.value()?;
    let mut words = format!("{celsius:.0} °C");
    if let Some(limits) = limits(&card.gpu) {
        words = format!("{words}, {limits}");
    }
    for (name, sensor) in [("memory", &card.memory_heat), ("hotspot", &card.hotspot)] {
        let Some(celsius) = sensor.celsius.value() else { continue };
        words = format!("{words}; {name} {celsius:.0} °C");
        if let Some(limits) = limits(sensor) {
            words = format!("{words}, {limits}");
        }
    }
    Some(words)
}

/// `slows down at 88 and 97, off at 100`
fn limits(sensor: &GpuSensor) -> Option<String> {
    let celsius = sensor.celsius.value()?;
    let at = |margin: &GpuReading<f64>| margin.value().map(|margin| format!("{:.0}", celsius + margin));
    let slower: Vec<String> = [at(&sensor.to_soft), at(&sensor.to_slowdown)].into_iter().flatten().collect();
    let off = at(&sensor.to_shutdown).map(|at| format!("off at {at}"));
    let slower = (!slower.is_empty()).then(|| format!("slower from {}", slower.join(" and ")));
    let both: Vec<String> = [slower, off].into_iter().flatten().collect();
    (!both.is_empty()).then(|| both.join(", "))
}

/// Nothing is said of what is not to come.
pub(super) fn slower(card: &GpuCard) -> Option<String> {
    let slower = &card.slower;
    match (slower.outlook, slower.seconds) {
        (GpuOutlook::Soon, Some(seconds)) => {
            let span = match (slower.earliest_s, slower.latest_s) {
                (Some(first), Some(last)) => format!(" ({first:.0} to {last:.0})"),
                (Some(first), None) => format!(" ({first:.0} at the earliest)"),
                (None, _) => String::new(),
            };
            Some(format!("in about {seconds:.0} s{span}, as it goes"))
        }
        (GpuOutlook::Reached, _) => Some("now".to_owned()),
        (GpuOutlook::Soon | GpuOutlook::Never | GpuOutlook::Unknown, _) => None,
    }
}

/// Why its clocks are not the highest.
pub(super) fn speed(card: &GpuCard) -> Option<String> {
    let words: Vec<&str> = card.throttles.value()?.iter().map(|one| one.words.as_str()).collect();
    Some(if words.is_empty() { "as fast as it can".to_owned() } else { words.join("; ") })
}

fn power(card: &GpuCard) -> Option<String> {
    let watts = card.power.watts.value()?;
    let limit = card.power.limit.value().map_or(String::new(), |limit| format!(" of {limit:.0}"));
    let used = card.power.millijoules.value();
    let used = used.map_or(String::new(), |used| format!("; {} since its driver was loaded", energy(*used)));
    Some(format!("{watts:.0}{limit} W{used}"))
}

/// Of millijoules: a watt hour is 3.6 kJ.
fn energy(millijoules: u64) -> String {
    const WATT_HOUR: u64 = 3_600_000;
    match millijoules / WATT_HOUR {
        few @ 0..1000 => format!("{few} Wh"),
        many => format!("{}.{} kWh", many / 1000, many % 1000 / 100),
    }
}

fn clocks(card: &GpuCard) -> Option<String> {
    let clock = |now: &GpuReading<u32>, most: &GpuReading<u32>| {
        let most = most.value().map_or(String::new(), |most| format!(" of {most}"));
        now.value().map(|now| format!("{now}{most} MHz"))
    };
    let core = clock(&card.clocks.core, &card.clocks.core_most)?;
    let memory = clock(&card.clocks.memory, &card.clocks.memory_most);
    Some(memory.map_or(core.clone(), |memory| format!("{core}; memory {memory}")))
}

fn memory(card: &GpuCard) -> Option<String> {
    if let Some(GpuShared { total, used }) = card.memory.shared {
        return Some(format!("{} of {} of the machine's are used, which it shares", size(used), size(total)));
    }
    let (used, total) = (card.memory.used.value()?, card.memory.total.value()?);
    let faults = &card.faults;
    let mut words = format!("{} of {}", size(*used), size(*total));
    for (count, what) in [
        (faults.ecc_corrected.value().copied(), "errors corrected"),
        (faults.rows_remapped.value().map(|rows| u64::from(*rows)), "rows replaced"),
    ] {
        if let Some(count) = count.filter(|count| *count > 0) {
            words = format!("{words}; {count} {what}");
        }
    }
    Some(words)
}

fn link(card: &GpuCard) -> Option<String> {
    let link = &card.link;
    let (generation, lanes) = (link.generation.value()?, link.lanes.value()?);
    let most = link.generation_most.value().zip(link.lanes_most.value());
    let most = most.filter(|most| *most != (generation, lanes));
    let most =
        most.map_or(String::new(), |(generation, lanes)| format!("; it can PCIe {generation} x{lanes}"));
    Some(format!("PCIe {generation} x{lanes}{most}"))
}

pub(super) fn instances(card: &GpuCard) -> Option<String> {
    let count = *card.instances.count.value().filter(|count| **count > 0)?;
    let told = card.instances.list.iter().map(|one| {
        let used = one.used.value().map_or("?".to_owned(), |used| size(*used));
        let total = one.total.value().map_or("?".to_owned(), |total| size(*total));
        format!("{} has {used} of {total}", one.index)
    });
    Some(format!("{count}: {}", told.collect::<Vec<_>>().join(", ")))
}

fn processes(card: &GpuCard) -> Option<String> {
    let count = *card.processes.count.value()?;
    let mut told: Vec<String> = card
        .processes
        .list
        .iter()
        .take(NAMED)
        .map(|one| {
            let name = one.name.as_ref().map_or(String::new(), |name| format!("{name} "));
            let bytes = one.bytes.value().map_or(String::new(), |bytes| format!(": {}", size(*bytes)));
            format!("{name}{}{bytes}", one.pid)
        })
        .collect();
    let more = usize::try_from(count).unwrap_or(usize::MAX).saturating_sub(told.len());
    if more > 0 && !told.is_empty() {
        told.push(format!("and {more} more"));
    }
    Some(if told.is_empty() { count.to_string() } else { told.join(", ") })
}

/// Why what is not shown was not read, with the names of that. What a card does not have is not missed.
fn unread(card: &GpuCard) -> Vec<(&str, Vec<&'static str>)> {
    let mut all: Vec<(&str, Vec<&'static str>)> = Vec::new();
    let own = card.memory.shared.is_none();
    for (name, why) in [
        ("temperature", card.gpu.celsius.missing()),
        ("memory's temperature", card.memory_heat.celsius.missing()),
        ("hotspot", card.hotspot.celsius.missing()),
        ("reasons for clocks", card.throttles.missing()),
        ("power", card.power.watts.missing()),
        ("clocks", card.clocks.core.missing()),
        ("busy", card.utilisation.core.missing()),
        ("memory", card.memory.used.missing().filter(|_| own)),
        ("fan", card.fan.missing()),
        ("link", card.link.lanes.missing()),
        ("errors of memory", card.faults.ecc_uncorrected.missing()),
        ("Xid", card.faults.xid.missing()),
        ("processes", card.processes.count.missing()),
    ] {
        let Some(why) = why else { continue };
        // A processor has a temperature, and nothing else of a card.
        if card.maker == GpuMaker::Processor && name != "temperature" {
            continue;
        }
        match all.iter_mut().find(|(known, _)| *known == why) {
            Some((_, names)) => names.push(name),
            None => all.push((why, vec![name])),
        }
    }
    all
}

//! One card in the admin API's form.

use std::collections::HashMap;

use ghostllm_core::{
    admin::{
        GpuCard, GpuClocks, GpuFaults, GpuInstance, GpuInstances, GpuLink, GpuMaker, GpuMargins, GpuMemory,
        GpuOutlook, GpuPower, GpuProcess, GpuProcesses, GpuReading, GpuSensor, GpuSlower, GpuThrottle,
        GpuUtilisation, tenths,
    },
    heat::{Absent, HORIZON, Margins, Outlook, Reading, Sample, Sensor, Throttles},
};
use ghostllm_gpu::{Identity, Maker, Seen};

use super::Beside;
use crate::{
    date,
    tasks::heat::{Card, Known, Snapshot},
};

/// The processes on it that are told one by one.
pub(super) fn processes(seen: &Seen) -> impl Iterator<Item = u32> {
    seen.who.processes.iter().flatten().map(|process| process.pid)
}

pub(super) fn card(card: &Card, now: &Snapshot, known: &Known, beside: &Beside) -> GpuCard {
    let Card { seen, verdict, prediction } = card;
    let (said, identity) = (&seen.sample, seen.identity.as_deref());
    let text = |of: fn(&Identity) -> &String| identity.map(of).filter(|text| !text.is_empty()).cloned();
    let age = verdict.age.map(|_| now.now.saturating_sub(said.at));
    GpuCard {
        index: seen.index,
        uuid: text(|identity| &identity.uuid),
        name: text(|identity| &identity.name),
        maker: identity.map_or(GpuMaker::Nvidia, |identity| maker(identity.maker)),
        pci: text(|identity| &identity.bus),
        driver: text(|identity| &identity.driver),
        state: verdict.state,
        since: verdict.age.map(|_| date::rfc3339(known.date(verdict.since))),
        throttles: said.throttles.map(throttles).into(),
        margins: margins(verdict.margins),
        slower: slower(prediction.slower),
        gpu: sensor(&said.gpu),
        memory_heat: sensor(&said.memory_heat),
        hotspot: sensor(&said.hotspot),
        power: power(said),
        clocks: GpuClocks {
            core: said.clocks.core.into(),
            core_most: said.clocks.core_most.into(),
            memory: said.clocks.memory.into(),
            memory_most: said.clocks.memory_most.into(),
        },
        utilisation: GpuUtilisation {
            core: said.utilisation.core.into(),
            memory: said.utilisation.memory.into(),
        },
        memory: memory(said, beside),
        fan: said.fan.into(),
        link: GpuLink {
            generation: said.link.generation.into(),
            generation_most: said.link.generation_most.into(),
            lanes: said.link.lanes.into(),
            lanes_most: said.link.lanes_most.into(),
        },
        faults: faults(said, now),
        instances: instances(seen),
        processes: computing(seen, &beside.names),
        age_s: age.map(|age| tenths(age.as_secs_f32())),
        late_s: seen.late.map(|late| tenths(late.as_secs_f32())),
    }
}

fn maker(maker: Maker) -> GpuMaker {
    match maker {
        Maker::Nvidia => GpuMaker::Nvidia,
        Maker::Amd => GpuMaker::Amd,
        Maker::Intel => GpuMaker::Intel,
        Maker::Processor => GpuMaker::Processor,
    }
}

fn throttles(throttles: Throttles) -> Vec<GpuThrottle> {
    throttles.told().map(|one| GpuThrottle { reason: one.into(), words: one.words().to_owned() }).collect()
}

fn margins(margins: Margins) -> GpuMargins {
    GpuMargins {
        slower: margins.slower.map(tenths),
        slowdown: margins.slowdown.map(tenths),
        shutdown: margins.shutdown.map(tenths),
    }
}

fn slower(outlook: Outlook) -> GpuSlower {
    let none = GpuSlower { outlook: GpuOutlook::Unknown, seconds: None, earliest_s: None, latest_s: None };
    match outlook {
        Outlook::Unknown => none,
        Outlook::Never => GpuSlower { outlook: GpuOutlook::Never, ..none },
        Outlook::Reached => GpuSlower { outlook: GpuOutlook::Reached, seconds: Some(0.0), ..none },
        Outlook::In(span) => GpuSlower {
            outlook: GpuOutlook::Soon,
            seconds: Some(tenths(span.seconds)),
            earliest_s: Some(tenths(span.earliest)),
            // What is cut off there is no figure.
            latest_s: (span.latest < HORIZON.as_secs_f32()).then(|| tenths(span.latest)),
        },
    }
}

/// A number with a fraction; what is none is missing.
fn real(reading: Reading<f32>) -> GpuReading<f64> {
    match reading {
        Ok(value) if value.is_finite() => GpuReading::Value(tenths(value)),
        Ok(_) => GpuReading::Missing(Absent::Failed.to_string()),
        Err(why) => GpuReading::Missing(why.to_string()),
    }
}

fn sensor(sensor: &Sensor) -> GpuSensor {
    GpuSensor {
        celsius: real(sensor.celsius),
        to_soft: real(sensor.to_soft),
        to_slowdown: real(sensor.to_slowdown),
        to_shutdown: real(sensor.to_shutdown),
    }
}

fn power(said: &Sample) -> GpuPower {
    GpuPower {
        watts: real(said.power.watts),
        limit: real(said.power.limit),
        millijoules: said.power.millijoules.into(),
    }
}

/// Whether it has no memory of its own.
pub(super) fn shares_memory(said: &Sample) -> bool {
    said.memory.total == Err(Absent::SharesMemory)
}

fn memory(said: &Sample, beside: &Beside) -> GpuMemory {
    let shared = beside.memory.filter(|_| shares_memory(said));
    GpuMemory { total: said.memory.total.into(), used: said.memory.used.into(), shared }
}

fn faults(said: &Sample, now: &Snapshot) -> GpuFaults {
    let xid = said.faults.xid.ok().flatten();
    GpuFaults {
        ecc_corrected: said.faults.corrected.into(),
        ecc_uncorrected: said.faults.uncorrected.into(),
        rows_remapped: said.faults.rows_remapped.into(),
        rows_pending: said.faults.rows_pending.into(),
        rows_failed: said.faults.rows_failed.into(),
        pages_retired: said.faults.pages_retired.into(),
        xid: said.faults.xid.map(|xid| xid.map(|xid| xid.number)).into(),
        xid_age_s: xid.map(|xid| tenths(now.now.saturating_sub(xid.at).as_secs_f32())),
    }
}

fn instances(seen: &Seen) -> GpuInstances {
    let list = seen.who.instances.iter().flatten();
    GpuInstances {
        count: seen.sample.tenants.instances.into(),
        list: list
            .map(|part| GpuInstance { index: part.index, total: part.total.into(), used: part.used.into() })
            .collect(),
    }
}

fn computing(seen: &Seen, names: &HashMap<u32, String>) -> GpuProcesses {
    let list = seen.who.processes.iter().flatten();
    GpuProcesses {
        count: seen.sample.tenants.processes.into(),
        list: list
            .map(|process| GpuProcess {
                pid: process.pid,
                name: names.get(&process.pid).cloned(),
                bytes: process.bytes.into(),
                instance: process.instance,
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ghostllm_core::{admin::GpuShared, heat::Span};

    use super::*;

    #[test]
    fn a_card_without_memory_of_its_own_has_the_machine_s_beside_it() {
        let mut said = Sample::missing(Duration::ZERO, Absent::SharesMemory);
        let machine = GpuShared { total: 128 << 30, used: 40 << 30 };
        let beside = Beside { memory: Some(machine), ..Beside::default() };
        let told = memory(&said, &beside);
        assert_eq!(
            (told.shared, told.total.missing()),
            (Some(machine), Some("it shares the machine's memory"))
        );
        said.memory.total = Ok(24 << 30);
        assert_eq!(memory(&said, &beside).shared, None, "it has its own");
    }

    #[test]
    fn what_is_cut_off_at_ten_minutes_is_told_as_no_figure() {
        let at = |latest| slower(Outlook::In(Span { seconds: 24.0, earliest: 10.0, latest }));
        assert_eq!(at(66.0).latest_s, Some(66.0));
        assert_eq!((at(600.0).latest_s, at(600.0).earliest_s), (None, Some(10.0)));
    }
}

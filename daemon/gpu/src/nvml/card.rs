//! One card, asked through NVML.
//!
//! Knows which question gives which reading, and which are worth asking each time. Refuses to know how often it is asked. Invariants: once a
//! card has said that it is lost, it is asked nothing more in that round; a question that the library does not have is put once; a round
//! allocates nothing of its own.

use std::time::Duration;

use ghostllm_readings::{
    Absent, Clocks, Faults, Link, Memory, Power, Reading, Reason, Sample, Sensor, Tenants, Throttles,
    Utilisation, Xid,
};
use nvml_wrapper::{
    Device, Nvml,
    bitmasks::event::EventTypes,
    enum_wrappers::device::{Clock, EccCounter, MemoryError, TemperatureSensor, TemperatureThreshold},
    enums::event::XidError,
    error::NvmlError,
    event::EventSet,
};
use nvml_wrapper_sys::bindings::field_id;

use super::{absent, ends_all, less, raw};
use crate::{
    sampler::Ask,
    who::{Identity, Instance, Maker, Process, Who},
};

/// What can be asked; each may be missing by itself.
#[derive(Clone, Copy)]
enum Question {
    Temperature,
    Margin,
    Threshold,
    Fields,
    Power,
    Limit,
    Energy,
    Clock,
    ClockMost,
    Reasons,
    Utilisation,
    Memory,
    OlderMemory,
    Fans,
    Fan,
    LinkNow,
    LinkMost,
    Ecc,
    Rows,
    Pages,
    Processes,
    Mig,
    MigDevice,
}

/// The card's own limits, in degrees Celsius; newer cards tell them as distances from where the driver begins to lower clocks.
#[derive(Clone, Copy)]
struct Limits {
    soft: Reading<f32>,
    slowdown: Reading<f32>,
    shutdown: Reading<f32>,
    memory: Reading<f32>,
    slowdown_beyond_soft: Reading<f32>,
    shutdown_beyond_soft: Reading<f32>,
}

/// One card.
pub(crate) struct NvmlCard<'nvml> {
    nvml: &'nvml Nvml,
    index: u32,
    driver: &'nvml str,
    /// None before it was found, and from when it was lost until it is found again.
    device: Option<Device<'nvml>>,
    events: Option<EventSet<'nvml>>,
    /// What the events have told; an error where there can be none.
    xid: Reading<Option<Xid>>,
    limits: Limits,
    fans: Reading<u32>,
    last: Sample,
    who: Who,
    /// A bit for each question that the library does not have.
    too_new: u32,
    /// Why nothing more is asked in this round.
    stopped: Option<Absent>,
    over: bool,
}

impl<'nvml> NvmlCard<'nvml> {
    /// The card of this number, not yet asked for.
    pub(crate) fn new(nvml: &'nvml Nvml, index: u32, driver: &'nvml str) -> Self {
        let why = Absent::NotAsked;
        Self {
            nvml,
            index,
            driver,
            device: None,
            events: None,
            xid: Err(why),
            limits: Limits {
                soft: Err(why),
                slowdown: Err(why),
                shutdown: Err(why),
                memory: Err(why),
                slowdown_beyond_soft: Err(why),
                shutdown_beyond_soft: Err(why),
            },
            fans: Err(why),
            last: Sample::missing(Duration::ZERO, why),
            who: Who::default(),
            too_new: 0,
            stopped: None,
            over: false,
        }
    }

    /// Puts one question, unless that is known to be of no use.
    fn ask<T>(
        &mut self,
        question: Question,
        put: impl FnOnce(&'nvml Nvml, &Device<'nvml>) -> Result<T, NvmlError>,
    ) -> Reading<T> {
        let bit = 1 << (question as u32);
        if let Some(why) = self.stopped {
            return Err(why);
        }
        if self.too_new & bit != 0 {
            return Err(Absent::OldDriver);
        }
        let device = self.device.as_ref().ok_or(Absent::Lost)?;
        put(self.nvml, device).map_err(|failed| {
            let why = absent(&failed);
            self.over |= ends_all(&failed);
            match why {
                Absent::OldDriver => self.too_new |= bit,
                Absent::Lost => self.stopped = Some(why),
                _ if self.over => self.stopped = Some(why),
                _ => {}
            }
            why
        })
    }

    /// Finds the card, also after it was lost.
    fn find(&mut self) -> Reading<()> {
        self.stopped = None;
        if self.device.is_some() {
            return Ok(());
        }
        self.events = None;
        let found = self.nvml.device_by_index(self.index).map_err(|failed| {
            self.over |= ends_all(&failed);
            match absent(&failed) {
                // It was listed and is no longer there.
                Absent::Unsupported => Absent::Lost,
                why => why,
            }
        })?;
        (self.events, self.xid) = listen(self.nvml, &found);
        self.device = Some(found);
        Ok(())
    }

    fn round(&mut self, at: Duration, whole: bool) -> Sample {
        let mut sample = Sample { at, ..self.last };
        if whole {
            self.limits = self.limits();
            self.fans = self.ask(Question::Fans, |_, card| card.num_fans());
        }
        self.heat(&mut sample);
        sample.throttles = self.ask(Question::Reasons, raw::reasons).map(throttles);
        sample.power = self.power(&sample.power, whole);
        sample.clocks = self.clocks(&sample.clocks, whole);
        sample.utilisation = self.utilisation();
        sample.memory = self.memory();
        sample.fan = self.fan();
        sample.faults.xid = self.xids(at);
        if whole {
            sample.link = self.link();
            sample.faults = self.faults();
            sample.tenants = self.tenants();
        }
        sample
    }

    fn limits(&mut self) -> Limits {
        let mut at = |kind| {
            let told = self.ask(Question::Threshold, |_, card| card.temperature_threshold(kind));
            // 0 is no limit, but that of a card which has none.
            told.and_then(
                |degrees| if degrees == 0 { Err(Absent::Unsupported) } else { Ok(to_f32(degrees.into())) },
            )
        };
        let soft = at(TemperatureThreshold::GpuMax);
        let slowdown = at(TemperatureThreshold::Slowdown);
        let shutdown = at(TemperatureThreshold::Shutdown);
        let memory = at(TemperatureThreshold::MemoryMax);
        let [slowdown_beyond, shutdown_beyond] = self.fields([
            field_id::NVML_FI_DEV_TEMPERATURE_SLOWDOWN_TLIMIT,
            field_id::NVML_FI_DEV_TEMPERATURE_SHUTDOWN_TLIMIT,
        ]);
        Limits {
            soft,
            slowdown,
            shutdown,
            memory,
            slowdown_beyond_soft: slowdown_beyond.map(to_f32),
            shutdown_beyond_soft: shutdown_beyond.map(to_f32),
        }
    }

    fn fields<const N: usize>(&mut self, wanted: [u32; N]) -> [Reading<i64>; N] {
        match self.ask(Question::Fields, |nvml, card| raw::fields(nvml, card, wanted)) {
            Ok(told) => told.map(|one| one.map_err(|failed| absent(&failed))),
            Err(why) => [Err(why); N],
        }
    }

    fn heat(&mut self, sample: &mut Sample) {
        let celsius = self
            .ask(Question::Temperature, |_, card| card.temperature(TemperatureSensor::Gpu))
            .map(|degrees| to_f32(degrees.into()));
        let margin = self.ask(Question::Margin, raw::margin).map(|degrees| to_f32(degrees.into()));
        let Limits { soft, slowdown, shutdown, memory, slowdown_beyond_soft, shutdown_beyond_soft } =
            self.limits;
        sample.gpu = Sensor {
            celsius,
            to_soft: margin.or_else(|_| less(soft, celsius)),
            to_slowdown: less(slowdown, celsius).or_else(|_| less(margin, slowdown_beyond_soft)),
            to_shutdown: less(shutdown, celsius).or_else(|_| less(margin, shutdown_beyond_soft)),
        };
        let [hottest] = self.fields([field_id::NVML_FI_DEV_MEMORY_TEMP]);
        let celsius = hottest.map(to_f32);
        // NVML tells neither a slowdown of the memory nor a hottest place of the chip.
        sample.memory_heat =
            Sensor { celsius, to_soft: less(memory, celsius), ..Sensor::missing(Absent::Unsupported) };
        sample.hotspot = Sensor::missing(self.stopped.unwrap_or(Absent::Unsupported));
    }

    fn power(&mut self, last: &Power, whole: bool) -> Power {
        Power {
            watts: self.ask(Question::Power, |_, card| card.power_usage()).map(watts),
            limit: if whole {
                self.ask(Question::Limit, |_, card| card.enforced_power_limit()).map(watts)
            } else {
                last.limit
            },
            millijoules: self.ask(Question::Energy, |_, card| card.total_energy_consumption()),
        }
    }

    fn clocks(&mut self, last: &Clocks, whole: bool) -> Clocks {
        let core = self.ask(Question::Clock, |_, card| card.clock_info(Clock::SM));
        let memory = self.ask(Question::Clock, |_, card| card.clock_info(Clock::Memory));
        if !whole {
            return Clocks { core, memory, ..*last };
        }
        let core_most = self.ask(Question::ClockMost, |_, card| card.max_clock_info(Clock::SM));
        let memory_most = self.ask(Question::ClockMost, |_, card| card.max_clock_info(Clock::Memory));
        Clocks { core, core_most, memory, memory_most }
    }

    fn utilisation(&mut self) -> Utilisation {
        let told = self.ask(Question::Utilisation, |_, card| card.utilization_rates());
        let percent = |of: u32| u8::try_from(of).map_err(|_too_many| Absent::UnknownForm);
        Utilisation {
            core: told.as_ref().map_err(|why| *why).and_then(|told| percent(told.gpu)),
            memory: told.as_ref().map_err(|why| *why).and_then(|told| percent(told.memory)),
        }
    }

    fn memory(&mut self) -> Memory {
        let newer = self.ask(Question::Memory, |_, card| card.memory_info());
        let told = match newer.map(|told| (told.total, told.free)) {
            Err(Absent::OldDriver) => self.ask(Question::OlderMemory, raw::older_memory),
            told => told,
        };
        match told {
            // Cards that share the machine's memory (GB10, Jetson) refuse to say, or say 0.
            Ok((0, _)) | Err(Absent::Unsupported) => shared(),
            // What the driver keeps for itself is in use too; the newer call leaves it out of its `used`.
            Ok((total, free)) => Memory { total: Ok(total), used: Ok(total.saturating_sub(free)) },
            Err(why) => Memory { total: Err(why), used: Err(why) },
        }
    }

    /// The fastest of its fans.
    fn fan(&mut self) -> Reading<u8> {
        let count = match self.fans {
            Ok(0) => return Err(Absent::Unsupported),
            Ok(count) => count,
            // The number is asked by a call that is newer than the first fan.
            Err(Absent::OldDriver) => 1,
            Err(why) => return Err(self.stopped.unwrap_or(why)),
        };
        let mut fastest = Err(Absent::Unsupported);
        for fan in 0..count {
            match self.ask(Question::Fan, |_, card| card.fan_speed(fan)) {
                Ok(percent) => fastest = Ok(fastest.unwrap_or(0).max(percent)),
                Err(why) if fastest.is_err() => fastest = Err(why),
                Err(_) => {}
            }
        }
        fastest.and_then(|percent| u8::try_from(percent).map_err(|_too_many| Absent::UnknownForm))
    }

    fn link(&mut self) -> Link {
        let small =
            |told: Reading<u32>| told.and_then(|told| u8::try_from(told).map_err(|_| Absent::UnknownForm));
        Link {
            generation: small(self.ask(Question::LinkNow, |_, card| card.current_pcie_link_gen())),
            generation_most: small(self.ask(Question::LinkMost, |_, card| card.max_pcie_link_gen())),
            lanes: small(self.ask(Question::LinkNow, |_, card| card.current_pcie_link_width())),
            lanes_most: small(self.ask(Question::LinkMost, |_, card| card.max_pcie_link_width())),
        }
    }

    fn faults(&mut self) -> Faults {
        let mut errors =
            |kind| self.ask(Question::Ecc, |_, card| card.total_ecc_errors(kind, EccCounter::Volatile));
        let corrected = errors(MemoryError::Corrected);
        let uncorrected = errors(MemoryError::Uncorrected);
        let rows = self.ask(Question::Rows, raw::rows);
        Faults {
            corrected,
            uncorrected,
            rows_remapped: rows.as_ref().map(|rows| rows.replaced).map_err(|why| *why),
            rows_pending: rows.as_ref().map(|rows| rows.pending).map_err(|why| *why),
            rows_failed: rows.map(|rows| rows.failed),
            pages_retired: self.pages(),
            xid: self.xid,
        }
    }

    fn pages(&mut self) -> Reading<u32> {
        // nvmlPageRetirementCause_t: many corrected errors, or one that was not.
        let many = self.ask(Question::Pages, |nvml, card| raw::pages(nvml, card, 0))?;
        let one = self.ask(Question::Pages, |nvml, card| raw::pages(nvml, card, 1))?;
        Ok(many.saturating_add(one))
    }

    fn tenants(&mut self) -> Tenants {
        Tenants { processes: self.processes(), instances: self.instances() }
    }

    fn processes(&mut self) -> Reading<u32> {
        self.who.processes.fill(None);
        let (count, told) = self.ask(Question::Processes, raw::processes)?;
        let told = told.into_iter().take(usize::try_from(count).unwrap_or(usize::MAX));
        for (place, one) in self.who.processes.iter_mut().zip(told) {
            // NVML_VALUE_NOT_AVAILABLE, in the width of each.
            let bytes =
                if one.usedGpuMemory == u64::MAX { Err(Absent::Unsupported) } else { Ok(one.usedGpuMemory) };
            let instance = Some(one.gpuInstanceId).filter(|number| *number != u32::MAX);
            *place = Some(Process { pid: one.pid, bytes, instance });
        }
        Ok(count)
    }

    fn instances(&mut self) -> Reading<u32> {
        self.who.instances.fill(None);
        let mode = self.ask(Question::Mig, |_, card| card.mig_mode())?;
        if mode.current == 0 {
            return Ok(0);
        }
        let most = self.ask(Question::Mig, |_, card| card.mig_device_count())?;
        let mut count = 0;
        for index in 0..most {
            let memory = |_: &'nvml Nvml, card: &Device<'nvml>| {
                let part = card.mig_device_by_index(index)?;
                Ok(part.memory_info().map(|told| (told.total, told.total.saturating_sub(told.free))))
            };
            // Numbers are not in a row: an instance that was taken away leaves a gap.
            let Ok(told) = self.ask(Question::MigDevice, memory) else { continue };
            let told = told.map_err(|failed| absent(&failed));
            let instance =
                Instance { index, total: told.map(|(all, _)| all), used: told.map(|(_, used)| used) };
            if let Some(place) = self.who.instances.get_mut(count) {
                *place = Some(instance);
            }
            count += 1;
        }
        u32::try_from(count).map_err(|_too_many| Absent::UnknownForm)
    }

    /// The last Xid event, as far as events have told.
    fn xids(&mut self, at: Duration) -> Reading<Option<Xid>> {
        // Bounded: a card that has more to say than this says it in the next round.
        for _ in 0..16 {
            let Some(events) = &self.events else { break };
            match events.wait(0) {
                Ok(event) => {
                    if let Some(told) = event.event_data {
                        self.xid = Ok(Some(Xid { number: number(&told), at }));
                    }
                }
                Err(NvmlError::Timeout) => break,
                Err(failed) => {
                    let why = absent(&failed);
                    // What was told stays true; a card that is lost tells nothing more.
                    if self.xid == Ok(None) {
                        self.xid = Err(why);
                    }
                    self.events = None;
                }
            }
        }
        self.xid
    }
}

impl Ask for NvmlCard<'_> {
    fn identity(&mut self) -> Reading<Identity> {
        self.find()?;
        let device = self.device.as_ref().ok_or(Absent::Lost)?;
        let why = |failed: NvmlError| absent(&failed);
        Ok(Identity {
            maker: Maker::Nvidia,
            name: device.name().map_err(why)?,
            uuid: device.uuid().map_err(why)?,
            bus: device.pci_info().map(|place| place.bus_id).unwrap_or_default(),
            driver: format!("nvidia {}", self.driver),
        })
    }

    fn sample(&mut self, at: Duration, whole: bool) -> Sample {
        let sample = match self.find() {
            Ok(()) => self.round(at, whole || self.last.is_lost()),
            Err(why) => Sample::missing(at, why),
        };
        self.last = match self.stopped {
            Some(why) => Sample::missing(at, why),
            None => sample,
        };
        if self.last.is_lost() {
            // A handle of before the loss may never answer again; that of after a reset does.
            (self.device, self.events) = (None, None);
            // What a card still answers that its driver has given up is of before that.
            self.last = Sample::missing(at, Absent::Lost);
            self.last.faults.xid = self.xid.or(Err(Absent::Lost));
        }
        self.last
    }

    fn who(&self) -> Who {
        self.who
    }

    fn is_over(&self) -> bool {
        self.over
    }
}

/// Events of this card; none where the library has not all that they need, since the wrapper ends the thread if it cannot free them.
fn listen<'nvml>(
    nvml: &'nvml Nvml,
    device: &Device<'nvml>,
) -> (Option<EventSet<'nvml>>, Reading<Option<Xid>>) {
    let lib = nvml.lib();
    let complete = lib.nvmlEventSetFree.is_ok() && lib.nvmlEventSetWait_v2.is_ok();
    if !complete {
        return (None, Err(Absent::OldDriver));
    }
    let set = nvml.create_event_set().and_then(|set| {
        device.register_events(EventTypes::CRITICAL_XID_ERROR, set).map_err(|failed| failed.error)
    });
    match set {
        Ok(set) => (Some(set), Ok(None)),
        Err(failed) => (None, Err(absent(&failed))),
    }
}

fn number(xid: &XidError) -> u32 {
    match xid {
        XidError::Unknown => 999,
        XidError::Value(number) => u32::try_from(*number).unwrap_or(999),
    }
}

fn shared() -> Memory {
    Memory { total: Err(Absent::SharesMemory), used: Err(Absent::SharesMemory) }
}

fn watts(milliwatts: u32) -> f32 {
    to_f32(i64::from(milliwatts)) / 1000.0
}

/// Degrees and milliwatts: far fewer than the 2^24 from which on a float leaves numbers out.
#[expect(clippy::cast_precision_loss, reason = "it is exact below 2^24")]
fn to_f32(number: i64) -> f32 {
    number as f32
}

/// NVML's bits (`nvmlClocksEventReason*`, before driver 535 `nvmlClocksThrottleReason*`).
fn throttles(bits: u64) -> Throttles {
    const KNOWN: [(u64, Reason); 9] = [
        (0x1, Reason::Idle),
        (0x2, Reason::Setting),
        (0x4, Reason::PowerCap),
        (0x8, Reason::Slowdown),
        (0x10, Reason::Sync),
        (0x20, Reason::SoftHeat),
        (0x40, Reason::HardHeat),
        (0x80, Reason::Brake),
        (0x100, Reason::Setting),
    ];
    let known = KNOWN.into_iter().filter(|(bit, _)| bits & bit != 0).map(|(_, reason)| reason).collect();
    if bits & !0x1ff == 0 { known } else { Throttles::with(known, Reason::Other) }
}

#[cfg(test)]
mod tests {
    use super::{Reason, Throttles, throttles};

    #[test]
    fn each_bit_has_its_reason_and_none_is_left_out() {
        assert_eq!(throttles(0), Throttles::default());
        assert_eq!(throttles(0x4).iter().collect::<Vec<_>>(), [Reason::PowerCap]);
        assert_eq!(throttles(0x48).iter().collect::<Vec<_>>(), [Reason::Slowdown, Reason::HardHeat]);
        for bit in 0..64 {
            assert_eq!(throttles(1 << bit).iter().count(), 1, "bit {bit}");
        }
        assert!(throttles(1 << 9).has(Reason::Other));
    }
}

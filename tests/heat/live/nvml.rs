//! What the card says, in the file of the fake NVML (`tests/fake-nvml`).
//!
//! Knows that file's keys and NVML's bits. Refuses to know who reads it. Invariant: it is replaced whole, since it is read at each call.

use std::{fmt::Write as _, fs, io, path::Path};

use ghostllm_heat_claim::sim::Device;

/// `nvmlClocksEventReason*` of nvml.h.
const POWER_CAP: u32 = 0x4;
const HW_SLOWDOWN: u32 = 0x8;
const SOFT_HEAT: u32 = 0x20;
const HARD_HEAT: u32 = 0x40;

/// Writes it beside its place and renames it.
pub(crate) fn write(path: &Path, device: &Device) -> io::Result<()> {
    let beside = path.with_extension("new");
    fs::write(&beside, text(device))?;
    fs::rename(beside, path)
}

fn text(device: &Device) -> String {
    let (card, slowdown) = (device.card(), device.slowdown());
    let bit = |is: bool, bit: u32| if is { bit } else { 0 };
    let reasons = bit(slowdown.power, POWER_CAP)
        | bit(slowdown.soft, SOFT_HEAT)
        | bit(slowdown.hard, HARD_HEAT | HW_SLOWDOWN);
    let mut text = format!("driver=580.95.05\ncount=1\n0.name={}\n", card.name);
    let mut line = |key: &str, value: f64| {
        let _ = writeln!(text, "0.{key}={value:.0}");
    };
    line("temperature", device.celsius());
    if let Some(soft) = card.limits.soft {
        line("gpu_max", soft);
    }
    line("slowdown", card.limits.slowdown);
    line("shutdown", card.limits.shutdown);
    line("power", device.watts() * 1e3);
    line("limit", card.power.limit * 1e3);
    line("energy", device.joules() * 1e3);
    line("sm", device.mhz());
    line("sm_most", card.clocks.most);
    line("fan", device.fan() * 100.0);
    line("busy", if device.mhz() > card.clocks.least { 100.0 } else { 0.0 });
    line("reasons", f64::from(reasons));
    line("memory", 24.0 * 1_073_741_824.0);
    line("free", 4.0 * 1_073_741_824.0);
    if device.is_off() {
        text.push_str("0.lost=1\n");
    }
    text
}

//! The blob that amdgpu tells its readings in: `gpu_metrics`.
//!
//! Knows the revisions of it, and in which of them the reasons for lower clocks can be told (`struct gpu_metrics_v1_0` to `v1_8`, `v2_0` to
//! `v2_4` and `v3_0` of the kernel's drivers/gpu/drm/amd/include/kgd_pp_interface.h). Refuses to read the file. Invariant: a revision that
//! is not known here, or a blob of another length than its revision has, is [`Absent::UnknownForm`], never a card that has no reason.

use ghostllm_readings::{Absent, Reading, Reason, Throttles};

/// The residencies of `gpu_metrics_v3_0`, in its order: prochot, spl, fppt, sppt, thm_core, thm_gfx, thm_soc.
const OF_APU: &[Reason] = &[
    Reason::HardHeat,
    Reason::PowerCap,
    Reason::PowerCap,
    Reason::PowerCap,
    Reason::HardHeat,
    Reason::HardHeat,
    Reason::HardHeat,
];
/// Those of `gpu_metrics_v1_6` to `v1_8`: prochot, ppt, socket_thm, vr_thm, hbm_thm.
const OF_ACCELERATOR: &[Reason] =
    &[Reason::HardHeat, Reason::PowerCap, Reason::HardHeat, Reason::HardHeat, Reason::HardHeat];
/// The most of them.
const MOST: usize = 7;

/// How a revision tells why clocks are lower.
#[derive(Debug, Clone, Copy)]
enum Why {
    /// `indep_throttle_status`, here: the same bits on every chip.
    Bits(usize),
    /// Counters from here on, which go on while their reason holds; `clock`, where there is one, goes on with each round of the firmware.
    Counters { clock: Option<usize>, from: usize, reasons: &'static [Reason] },
    /// `throttle_status` alone, whose bits each chip has for itself.
    OfTheChip,
    /// The field is there, and the driver writes 0 into it whatever the card does (`smu_v13_0_6_get_gpu_metrics`).
    Never,
}

/// One form of the blob.
#[derive(Debug, Clone, Copy)]
struct Revision {
    format: u8,
    content: u8,
    /// Its length in bytes.
    size: usize,
    why: Why,
    /// `energy_accumulator` in units of 2^-16 J; only from v1_4 on its unit is said.
    energy: Option<usize>,
}

const fn bits(format: u8, content: u8, size: usize, at: usize) -> Revision {
    Revision { format, content, size, why: Why::Bits(at), energy: None }
}

const fn of_the_chip(format: u8, content: u8, size: usize) -> Revision {
    Revision { format, content, size, why: Why::OfTheChip, energy: None }
}

const fn never(content: u8, size: usize, energy: usize) -> Revision {
    Revision { format: 1, content, size, why: Why::Never, energy: Some(energy) }
}

const fn accelerator(content: u8, size: usize, energy: usize, clock: usize) -> Revision {
    let why = Why::Counters { clock: Some(clock), from: clock + 4, reasons: OF_ACCELERATOR };
    Revision { format: 1, content, size, why, energy: Some(energy) }
}

/// All that are known; a unit test holds each number against the structure itself.
const REVISIONS: [Revision; 16] = [
    of_the_chip(1, 0, 80),
    of_the_chip(1, 1, 96),
    of_the_chip(1, 2, 104),
    bits(1, 3, 120, 112),
    never(4, 288, 24),
    never(5, 360, 88),
    // v1_6 was changed after it was first published: what it had of engines was taken out, what partitions do was put in.
    accelerator(6, 384, 88, 104),
    accelerator(6, 1664, 16, 32),
    accelerator(7, 2208, 24, 40),
    accelerator(8, 3872, 24, 40),
    of_the_chip(2, 0, 120),
    of_the_chip(2, 1, 120),
    bits(2, 2, 128, 120),
    bits(2, 3, 152, 120),
    bits(2, 4, 168, 120),
    Revision {
        format: 3,
        content: 0,
        size: 264,
        why: Why::Counters { clock: None, from: 228, reasons: OF_APU },
        energy: None,
    },
];

/// What a blob has said.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Told {
    pub(super) throttles: Reading<Throttles>,
    pub(super) millijoules: Reading<u64>,
    /// Its form is that of a processor's graphics, which share the machine's memory.
    pub(super) is_apu: bool,
}

impl Told {
    /// Nothing, for this reason.
    pub(super) fn missing(why: Absent) -> Self {
        Self { throttles: Err(why), millijoules: Err(why), is_apu: false }
    }
}

/// Counters as they were.
#[derive(Debug, Clone, Copy)]
struct Counted {
    revision: (u8, u8, usize),
    clock: Option<u32>,
    counts: [u32; MOST],
    throttles: Reading<Throttles>,
}

/// Reads blobs of one card, one after the other.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    before: Option<Counted>,
}

impl Metrics {
    /// What this one says.
    pub(super) fn told(&mut self, blob: &[u8]) -> Told {
        let Some(revision) = revision(blob) else { return Told::missing(Absent::UnknownForm) };
        Told {
            throttles: self.throttles(revision, blob),
            millijoules: revision.energy.map_or(Err(Absent::Unsupported), |at| millijoules(blob, at)),
            is_apu: revision.format > 1,
        }
    }

    fn throttles(&mut self, revision: &Revision, blob: &[u8]) -> Reading<Throttles> {
        match revision.why {
            Why::Bits(at) => match u64_at(blob, at)? {
                // What a firmware does not fill in, the kernel leaves at all ones (smu_cmn_init_soft_gpu_metrics).
                u64::MAX => Err(Absent::Unsupported),
                bits => Ok(reasons(bits)),
            },
            Why::Counters { clock, from, reasons } => {
                let clock = clock.map(|at| u32_at(blob, at)).transpose()?;
                let mut counts = [0; MOST];
                for (place, count) in counts.iter_mut().take(reasons.len()).enumerate() {
                    *count = u32_at(blob, from + 4 * place)?;
                }
                let now = Counted {
                    revision: (revision.format, revision.content, revision.size),
                    clock,
                    counts,
                    throttles: Err(Absent::NotAsked),
                };
                self.since(now, reasons)
            }
            Why::OfTheChip => Err(Absent::UnknownForm),
            Why::Never => Err(Absent::Unsupported),
        }
    }

    /// Which counters have gone on since the last round; before there were two rounds, nobody knows.
    fn since(&mut self, mut now: Counted, reasons: &[Reason]) -> Reading<Throttles> {
        let told = now.counts.iter().take(reasons.len()).any(|count| *count != u32::MAX);
        now.throttles = match &self.before {
            _ if !told => Err(Absent::Unsupported),
            Some(before) if before.revision == now.revision && !now.is_anew(before) => {
                // The firmware has not looked again.
                if now.clock.is_some() && now.clock == before.clock {
                    before.throttles
                } else {
                    let pairs = before.counts.iter().zip(&now.counts).zip(reasons);
                    let gone_on = pairs.filter(|((before, now), _)| before != now && **now != u32::MAX);
                    Ok(gone_on.map(|(_, reason)| *reason).collect())
                }
            }
            _ => Err(Absent::NotAsked),
        };
        self.before = Some(now);
        now.throttles
    }
}

impl Counted {
    /// The driver, or the card, has begun again.
    fn is_anew(&self, before: &Self) -> bool {
        let backwards = |before: u32, now: u32| now < before;
        match (before.clock, self.clock) {
            (Some(before), Some(now)) => backwards(before, now),
            _ => before.counts.iter().zip(&self.counts).any(|(before, now)| backwards(*before, *now)),
        }
    }
}

/// That of this blob, where it is as long as it says and as that revision is.
fn revision(blob: &[u8]) -> Option<&'static Revision> {
    // struct metrics_table_header: u16 structure_size, u8 format_revision, u8 content_revision; the kernel's byte order is this program's.
    let [first, second, format, content, ..] = *blob else { return None };
    let size = usize::from(u16::from_ne_bytes([first, second]));
    let is_it = |one: &&Revision| (one.format, one.content, one.size) == (format, content, size);
    REVISIONS.iter().find(is_it).filter(|_| size == blob.len())
}

fn u64_at(blob: &[u8], at: usize) -> Reading<u64> {
    let rest = blob.get(at..).and_then(|rest| rest.first_chunk()).ok_or(Absent::UnknownForm)?;
    Ok(u64::from_ne_bytes(*rest))
}

fn u32_at(blob: &[u8], at: usize) -> Reading<u32> {
    let rest = blob.get(at..).and_then(|rest| rest.first_chunk()).ok_or(Absent::UnknownForm)?;
    Ok(u32::from_ne_bytes(*rest))
}

fn millijoules(blob: &[u8], at: usize) -> Reading<u64> {
    match u64_at(blob, at)? {
        u64::MAX => Err(Absent::Unsupported),
        units => u64::try_from(u128::from(units) * 1000 / (1 << 16)).map_err(|_too_many| Absent::Failed),
    }
}

/// `SMU_THROTTLER_*_BIT` of the kernel's drivers/gpu/drm/amd/pm/swsmu/inc/amdgpu_smu.h: 0 to 15 power, 16 to 31 current, 32 to 47
/// temperature, from 48 on others, of which 56 is PPM (power management of the platform) and 57 FIT.
fn reasons(bits: u64) -> Throttles {
    let reason = |bit: u32| match bit {
        0..=7 => Reason::PowerCap,
        16..=23 => Reason::Current,
        32..=47 => Reason::HardHeat,
        56 => Reason::Brake,
        _ => Reason::Other,
    };
    (0..u64::BITS).filter(|bit| bits & (1 << bit) != 0).map(reason).collect()
}

#[cfg(test)]
mod tests;

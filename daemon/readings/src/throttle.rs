//! Why a card runs below its highest clocks.
//!
//! Knows the reasons that drivers give, one set for all makers. Refuses to know their bits: the gpu room translates them. Invariant: a
//! reason that nobody here knows is [`Reason::Other`], never left out.

use std::fmt;

/// One reason for clocks below the highest.
///
/// Sources: `nvmlClocksEventReason*` in NVIDIA's `nvml.h`; `indep_throttle_status` in the kernel's `amdgpu` (`amdgpu_smu.h`,
/// `SMU_THROTTLER_*_BIT`); `gt/gt0/throttle_reason_*` of i915 and `gt0/freq0/throttle/reason_*` of xe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Nothing to do. NVML: `GpuIdle`.
    Idle,
    /// Somebody, or a display, has set the clocks. NVML: `ApplicationsClocksSetting`, `DisplayClockSetting`.
    Setting,
    /// At its power limit, which is where a busy card runs. NVML: `SwPowerCap`; amdgpu: `PPT0` to `PPT3`, `SPL`; Intel: `pl1`, `pl2`.
    PowerCap,
    /// At the current that its supply may give. amdgpu: `TDC_*`, `EDC_*`; Intel: `pl4`, `vr_tdc`.
    Current,
    /// Waits for other cards that are to run as fast as it does. NVML: `SyncBoost`.
    Sync,
    /// The hardware has slowed it down and does not say why: heat, a brake, or too much power drawn at once. NVML: `HwSlowdown` alone.
    Slowdown,
    /// The machine's supply has pulled the brake. NVML: `HwPowerBrakeSlowdown`; amdgpu: `PPM`; Intel: `prochot`.
    Brake,
    /// The driver keeps it at a temperature. NVML: `SwThermalSlowdown`.
    SoftHeat,
    /// The hardware has slowed it down, by half or more, because it is hot. NVML: `HwThermalSlowdown`; amdgpu: `TEMP_*`, `VRHOT*`,
    /// `PROCHOT_GFX`; Intel: `thermal`, `ratl`, `vr_thermalert`.
    HardHeat,
    /// One that this version does not know.
    Other,
}

impl Reason {
    /// All of them, the most harmless first.
    pub const ALL: [Self; 10] = [
        Self::Idle,
        Self::Setting,
        Self::PowerCap,
        Self::Current,
        Self::Sync,
        Self::Slowdown,
        Self::Brake,
        Self::SoftHeat,
        Self::HardHeat,
        Self::Other,
    ];

    /// Its short name, for programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Setting => "setting",
            Self::PowerCap => "power_cap",
            Self::Current => "current",
            Self::Sync => "sync",
            Self::Slowdown => "slowdown",
            Self::Brake => "brake",
            Self::SoftHeat => "soft_heat",
            Self::HardHeat => "hard_heat",
            Self::Other => "other",
        }
    }

    /// What it means, for people, in a few words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Idle => "it has nothing to do",
            Self::Setting => "its clocks are set lower",
            Self::PowerCap => "it is at its power limit",
            Self::Current => "it is at the current limit of its supply",
            Self::Sync => "it waits for other cards",
            Self::Slowdown => "its hardware has slowed it down and does not say why",
            Self::Brake => "the machine's power supply makes it slow down",
            Self::SoftHeat => "its driver lowers its clocks because of its heat",
            Self::HardHeat => "its hardware has slowed it down because of its heat",
            Self::Other => "it gives a reason that is not known here",
        }
    }

    fn bit(self) -> u16 {
        1 << (self as u16)
    }
}

/// A set of [`Reason`]s; empty where a card runs as fast as it can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Throttles(u16);

impl Throttles {
    /// This set with that reason.
    #[must_use]
    pub fn with(self, reason: Reason) -> Self {
        Self(self.0 | reason.bit())
    }

    /// What is in either.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether it holds that reason.
    #[must_use]
    pub fn has(self, reason: Reason) -> bool {
        self.0 & reason.bit() != 0
    }

    /// Whether the card runs as fast as it can.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The set as a number, to be kept: a bit for each reason in the order of [`Reason::ALL`], the first the lowest.
    #[must_use]
    pub fn bits(self) -> u16 {
        self.0
    }

    /// The set of [`bits`](Self::bits); a bit that is nobody's, as a later version may have kept it, is [`Reason::Other`].
    #[must_use]
    pub fn of_bits(bits: u16) -> Self {
        let known: Self = Reason::ALL.into_iter().filter(|reason| bits & reason.bit() != 0).collect();
        if known.0 == bits { known } else { known.with(Reason::Other) }
    }

    /// What is worth telling a person, the most harmless first: a card that says why its hardware has slowed it down is not said to be
    /// silent about it. NVML sets `HwSlowdown` beside `HwThermalSlowdown` and `HwPowerBrakeSlowdown`.
    pub fn told(self) -> impl Iterator<Item = Reason> {
        let is_explained = self.has(Reason::HardHeat) || self.has(Reason::Brake);
        self.iter().filter(move |reason| *reason != Reason::Slowdown || !is_explained)
    }

    /// What is in it, the most harmless first.
    pub fn iter(self) -> impl Iterator<Item = Reason> {
        Reason::ALL.into_iter().filter(move |reason| self.has(*reason))
    }
}

impl FromIterator<Reason> for Throttles {
    fn from_iter<I: IntoIterator<Item = Reason>>(reasons: I) -> Self {
        reasons.into_iter().fold(Self::default(), Self::with)
    }
}

/// The words of each, with a semicolon between; `it runs as fast as it can` for none.
impl fmt::Display for Throttles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("it runs as fast as it can");
        }
        for (place, reason) in self.told().enumerate() {
            let between = if place == 0 { "" } else { "; " };
            write!(f, "{between}{}", reason.words())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Reason, Throttles};

    #[test]
    fn a_set_holds_what_was_put_in_and_nothing_else() {
        for one in Reason::ALL {
            let set = Throttles::default().with(one);
            assert!(!set.is_empty());
            assert_eq!(set.iter().collect::<Vec<_>>(), [one]);
            for other in Reason::ALL {
                let both = set.with(other);
                assert!(both.has(one) && both.has(other));
                assert_eq!(both.iter().count(), if one == other { 1 } else { 2 });
                assert_eq!(both, set.and(Throttles::default().with(other)));
            }
        }
    }

    #[test]
    fn a_set_is_kept_as_a_number_and_what_nobody_knows_is_not_lost() {
        for (place, one) in Reason::ALL.into_iter().enumerate() {
            let set = Throttles::default().with(one);
            assert_eq!((set.bits(), Throttles::of_bits(set.bits())), (1 << place, set));
        }
        let later = 1 << Reason::ALL.len();
        assert_eq!(Throttles::of_bits(later | 1).iter().collect::<Vec<_>>(), [Reason::Idle, Reason::Other]);
    }

    #[test]
    fn is_said_in_words() {
        assert_eq!(Throttles::default().to_string(), "it runs as fast as it can");
        let set: Throttles = [Reason::HardHeat, Reason::PowerCap].into_iter().collect();
        assert_eq!(
            set.to_string(),
            "it is at its power limit; its hardware has slowed it down because of its heat"
        );
        let both = set.with(Reason::Slowdown);
        assert_eq!(both.to_string(), set.to_string(), "it does say why");
        assert!(both.has(Reason::Slowdown) && both.iter().count() == 3, "and nothing is lost to programs");
        let alone = Throttles::default().with(Reason::Slowdown).with(Reason::PowerCap);
        assert!(alone.to_string().ends_with("does not say why"), "{alone}");
    }
}

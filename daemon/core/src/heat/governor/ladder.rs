//! What share each degree leaves.
//!
//! Knows who slows a card down at a temperature, its driver or its hardware, and whether that holds it. Refuses to know time. Invariant: at
//! smaller margins the share is never larger.

use ghostllm_readings::Margins;

use super::{ByClass, Policy, one_of};

/// A card whose shutdown is not known is taken to switch itself off so many degrees above where its hardware slows it down: the least of
/// those that are published (97 and 100 in ollama/ollama#6163; 97.5 and 102.5 in ADLINK's manual of the RTX 5000; 97 and 102 in
/// intel/thermal_daemon#300; 100 and 105 in ROCm/legacy-rocm-build#1468).
const SHUTDOWN_ABOVE: f32 = 3.0;

/// How many degrees it is from switching itself off, as far as can be told.
pub(super) fn reserve(margins: Margins) -> Option<f32> {
    margins.shutdown.or(margins.slowdown.map(|margin| margin + SHUTDOWN_ABOVE))
}

/// Whether it is where its hardware slows it down, or hotter: the gate closes only there, since in a card whose limits lie close together
/// its driver's temperature may be as near to its end.
pub(in crate::heat) fn is_at_slowdown(margins: Margins) -> bool {
    margins.slowdown.is_none_or(|margin| margin <= 0.0)
}

/// Whether it is hotter than where its hardware slows it down: that no longer holds it.
pub(super) fn is_beyond(margins: Margins) -> bool {
    margins.slowdown.is_none_or(|margin| margin < 0.0)
}

impl Policy {
    /// The share that these margins leave: from all at [`Policy::easy`] to the floor where it gets slower. All are taken to be so many
    /// degrees smaller.
    pub(super) fn by_margin(&self, margins: Margins, less: f32, queued: ByClass<u32>) -> f32 {
        let by = margins.slower.map_or(1.0, |margin| ((margin - less) / self.easy).clamp(0.0, 1.0));
        by.max(self.floor(margins, less, queued))
    }

    /// The least share: all while hardly anybody waits, else [`Policy::held_least`], or what a rush leaves, while driver or hardware holds
    /// the card at its temperature. Above where the hardware slows it down it does not hold it: there the share goes to nothing on the way
    /// to [`Policy::hold`]. Nothing as well where it is not known where the hardware comes in.
    pub(super) fn floor(&self, margins: Margins, less: f32, queued: ByClass<u32>) -> f32 {
        let Some(slowdown) = margins.slowdown else { return 0.0 };
        let held = match queued {
            _ if self.is_rush(queued) => self.rush_least,
            _ if self.is_pressed(queued) => self.held_least,
            // Nobody would have anything of what gives way.
            _ => 1.0,
        };
        let now = slowdown - less;
        // An eighth of two to four is none to the nearest. One gives way all the same where the hardware comes in, and not while the
        // driver holds the card: on a box with so few places it is a tenth of the tokens.
        let held = if now <= 0.0 && held < 1.0 { held.min(one_of(self.most.background)) } else { held };
        if now >= 0.0 {
            return held.clamp(0.0, 1.0);
        }
        let left = reserve(margins).map_or(0.0, |reserve| reserve - less - self.hold).max(0.0);
        (held * left / (left - now)).clamp(0.0, 1.0)
    }

    /// So many wait that somebody has something of what others give way; where none has to wait, whoever runs has it.
    fn is_pressed(&self, queued: ByClass<u32>) -> bool {
        !self.waits
            || f64::from(queued.interactive) >= f64::from(self.most.interactive) * f64::from(self.press)
    }

    /// So many wait that whoever waits longest is served late, heat or not.
    fn is_rush(&self, queued: ByClass<u32>) -> bool {
        queued.interactive >= self.most.interactive.saturating_mul(self.rush)
    }
}

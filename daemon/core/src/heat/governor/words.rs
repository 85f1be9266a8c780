//! A decision in words, for status, log and metric.
//!
//! Knows one sentence for each cause. Invariant: it says what is allowed, why, and what is to be expected; it never allocates.

use std::fmt;

use super::{Cause, Decision, Gate};
use crate::heat::predict::Outlook;

impl Gate {
    /// A short name, for a metric's label.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Hold => "hold",
            Self::Refuse { .. } => "refuse",
        }
    }
}

impl Cause {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Free,
        Self::Margin,
        Self::Foretold,
        Self::Heat,
        Self::Shutdown,
        Self::HeldLong,
        Self::Recovering,
        Self::Blind,
        Self::Cooling,
    ];

    /// A short name, for a metric's label.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Free => "none",
            Self::Margin => "margin",
            Self::Foretold => "foretold",
            Self::Heat => "heat",
            Self::Shutdown => "shutdown",
            Self::Cooling => "cooling",
            Self::HeldLong => "held_long",
            Self::Recovering => "recovering",
            Self::Blind => "blind",
        }
    }
}

/// `1 of 4 background and 8 of 8 interactive requests may run at once: it is 3 °C below where it gets slower`.
impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.what(f)?;
        f.write_str(": ")?;
        self.why(f)?;
        if self.gate > Gate::Open && self.running > 0 {
            let are = if self.running == 1 { "that runs is" } else { "that run are" };
            write!(f, "; {} {are} finished first", self.running)?;
        }
        Ok(())
    }
}

impl Decision {
    fn what(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.gate {
            Gate::Refuse { retry_after } => {
                write!(f, "new requests are refused and asked to come again in {retry_after} s")
            }
            Gate::Hold => f.write_str("new requests wait in the queue"),
            Gate::Open if self.limits == self.most => {
                f.write_str("as many requests run at once as are allowed")
            }
            Gate::Open => {
                let (limits, most) = (self.limits, self.most);
                if most.background > 0 {
                    write!(f, "{} of {} background and ", limits.background, most.background)?;
                }
                write!(
                    f,
                    "{} of {} interactive requests may run at once",
                    limits.interactive, most.interactive
                )
            }
        }
    }

    fn why(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cause {
            Cause::Free | Cause::Margin => self.distance(f),
            Cause::Foretold => match self.slower {
                Outlook::In(span) => write!(f, "in about {:.0} s it gets slower, as it goes", span.seconds),
                Outlook::Reached | Outlook::Never | Outlook::Unknown => self.distance(f),
            },
            Cause::Heat => f.write_str("its heat has slowed it down"),
            Cause::Shutdown => match self.margins.shutdown {
                Some(degrees) => write!(f, "it is {degrees:.0} °C below where it switches itself off"),
                None => f.write_str("it is near to where it switches itself off"),
            },
            Cause::Cooling => f.write_str(
                "it was near to where it switches itself off; they begin again once it has stayed cooler for half a minute",
            ),
            Cause::HeldLong => f.write_str("it has been too hot for too long for them to wait"),
            Cause::Recovering => f.write_str("it has cooled, and more are let in little by little"),
            Cause::Blind => f.write_str(
                "its heat is not known now; once that has lasted a minute, more are let in little by little",
            ),
        }
    }

    fn distance(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.margins.slower {
            Some(degrees) if degrees >= 0.0 => write!(f, "it is {degrees:.0} °C below where it gets slower"),
            Some(degrees) => write!(f, "it is {:.0} °C above where it gets slower", -degrees),
            None => f.write_str("how far it is from getting slower is not known"),
        }
    }
}

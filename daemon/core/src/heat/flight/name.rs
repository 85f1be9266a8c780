//! What a record is called, and which go where there are too many.
//!
//! Knows names alone, so that nothing is read to decide it. Invariant: names sort as their records were made, as long as the clock was right.

use std::{fmt, str::FromStr};

use time::{OffsetDateTime, UtcOffset};

use super::{Flight, Trigger};

/// The most records that are kept.
pub const RECORDS: usize = 32;
/// A record's time in its name: `20261130T084915Z`.
const STAMP: usize = 16;

/// `20261130T084915Z-card0-heat`: when, which card, the gravest that happened; a number behind it where there was one of that name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    stamp: String,
    card: u32,
    what: Trigger,
    again: u32,
}

impl Name {
    /// That of a record of this moment, in milliseconds since 1970.
    #[must_use]
    pub fn new(date: i64, card: u32, what: Trigger) -> Self {
        let date =
            OffsetDateTime::from_unix_timestamp(date.div_euclid(1000)).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let date = date.to_offset(UtcOffset::UTC);
        let (year, month, day) = date.to_calendar_date();
        let (hour, minute, second) = date.to_hms();
        // No clock of a box is beyond these, and a name has its length.
        let year = year.clamp(0, 9999);
        let stamp = format!("{year:04}{:02}{day:02}T{hour:02}{minute:02}{second:02}Z", u8::from(month));
        Self { stamp, card, what, again: 0 }
    }

    /// That of this record.
    #[must_use]
    pub fn of(flight: &Flight) -> Self {
        let what = flight.gravest().unwrap_or(Trigger::Abrupt);
        Self::new(flight.date(flight.event()), flight.card.index, what)
    }

    /// The next one, where this one is taken.
    #[must_use]
    pub fn next(mut self) -> Self {
        self.again = self.again.saturating_add(1);
        self
    }

    /// The gravest that happened.
    #[must_use]
    pub fn what(&self) -> Trigger {
        self.what
    }

    /// The card's number.
    #[must_use]
    pub fn card(&self) -> u32 {
        self.card
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-card{}-{}", self.stamp, self.card, self.what.name())?;
        if self.again > 0 { write!(f, "-{}", self.again) } else { Ok(()) }
    }
}

/// No name of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no name of a record")]
pub struct NoName;

impl FromStr for Name {
    type Err = NoName;

    fn from_str(text: &str) -> Result<Self, NoName> {
        let mut parts = text.split('-');
        let (stamp, card, what) =
            (parts.next().ok_or(NoName)?, parts.next().ok_or(NoName)?, parts.next().ok_or(NoName)?);
        let is_digit = |(place, byte): (usize, u8)| match place {
            8 => byte == b'T',
            15 => byte == b'Z',
            _ => byte.is_ascii_digit(),
        };
        if stamp.len() != STAMP || !stamp.bytes().enumerate().all(is_digit) {
            return Err(NoName);
        }
        let name = Self {
            stamp: stamp.to_owned(),
            card: card.strip_prefix("card").and_then(|card| card.parse().ok()).ok_or(NoName)?,
            what: Trigger::ALL.into_iter().find(|known| known.name() == what).ok_or(NoName)?,
            again: parts.next().map_or(Ok(0), |again| again.parse().map_err(|_| NoName))?,
        };
        // One way to write each: `card00` is none.
        if parts.next().is_none() && name.to_string() == text { Ok(name) } else { Err(NoName) }
    }
}

/// Those that go, so that [`RECORDS`] are left: the oldest, and those of losses and of abrupt ends last, since they come once and say why a
/// box was away. `new` stays, whatever its clock says.
#[must_use]
pub fn surplus(mut names: Vec<Name>, new: &Name) -> Vec<Name> {
    let many = names.len().saturating_sub(RECORDS);
    names.retain(|name| name != new);
    names.sort_by_key(|name| (name.what >= Trigger::Abrupt, name.clone()));
    names.truncate(many);
    names
}

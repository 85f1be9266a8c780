//! Days and months in UTC, as files and questions name them.

use std::{fmt, str::FromStr};

use time::{Date, Duration, Month as Name, OffsetDateTime, UtcOffset};

/// A day, `2026-11-28`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(Date);

/// A month, `2026-11`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month {
    year: i32,
    month: u8,
}

/// It is no day, or no month, that has four digits for its year.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no date")]
pub struct NoDate;

impl Day {
    /// The day of a moment. Years before 0 and beyond 9999, which no clock shows, are those.
    #[must_use]
    pub fn of(moment: OffsetDateTime) -> Self {
        let date = moment.to_offset(UtcOffset::UTC).date();
        match date.year() {
            0..=9999 => Self(date),
            _ => Self(Date::from_ordinal_date(date.year().clamp(0, 9999), 1).unwrap_or(date)),
        }
    }

    /// So many days before.
    #[must_use]
    pub fn before(self, days: u32) -> Self {
        let first = Date::from_ordinal_date(0, 1).unwrap_or(Date::MIN);
        Self(self.0.checked_sub(Duration::days(days.into())).map_or(first, |day| day.max(first)))
    }

    /// Its month.
    #[must_use]
    pub fn month(self) -> Month {
        Month { year: self.0.year(), month: self.0.month().into() }
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:02}", self.month(), self.0.day())
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

impl FromStr for Day {
    type Err = NoDate;

    fn from_str(text: &str) -> Result<Self, NoDate> {
        let (month, day) = text.rsplit_once('-').ok_or(NoDate)?;
        let Month { year, month } = month.parse()?;
        let name = Name::try_from(month).map_err(|_| NoDate)?;
        Date::from_calendar_date(year, name, number(day, 2)?).map(Self).map_err(|_| NoDate)
    }
}

impl FromStr for Month {
    type Err = NoDate;

    fn from_str(text: &str) -> Result<Self, NoDate> {
        let (year, month) = text.split_once('-').ok_or(NoDate)?;
        let (year, month) = (number(year, 4)?, number(month, 2)?);
        if (1..=12).contains(&month) { Ok(Self { year, month }) } else { Err(NoDate) }
    }
}

/// A number of exactly so many digits.
fn number<T: FromStr>(text: &str, digits: usize) -> Result<T, NoDate> {
    let plain = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| plain).ok_or(NoDate)
}

//! What a card stands in.
//!
//! Knows the air, and how well it gets through. Refuses to know what the card does. Invariant: a case is made by a rule from the card's own
//! numbers, never by hand for a result.

use super::{Card, Device, Load};

/// A full load: tokens for 24 requests, and a third of the time a prompt.
const FULL: Load = Load { busy: 1.0, prefill: 0.33, decoding: 24.0 };

/// The case around a card.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// °C of the air that goes in.
    pub intake: f64,
    /// What the sink's resistance to the air is multiplied by: dust, a neighbour, a duct that is too narrow.
    pub airflow: f64,
    /// A fan that fails.
    pub failure: Option<Failure>,
}

/// A fan that fails, and maybe comes back.
#[derive(Debug, Clone, Copy)]
pub struct Failure {
    /// Seconds from the beginning.
    pub from: f64,
    /// And until when.
    pub until: f64,
    /// What is left of the wind.
    pub left: f64,
}

impl Case {
    /// That in which the card was measured.
    #[must_use]
    pub fn measured(card: &Card) -> Self {
        Self { intake: card.thermal.intake, airflow: 1.0, failure: None }
    }

    /// One whose air is so good or bad that the card would come to rest at so many °C under a full load, if nothing were done about it.
    #[must_use]
    pub fn ending_at(card: &Card, celsius: f64) -> Self {
        let case = Self::measured(card);
        let device = Device::idle(card, &case).at(celsius, celsius);
        let watts = device.draw_full();
        let wind = device.fan().max(super::Thermal::DRAUGHT).powf(super::Thermal::EXPONENT);
        let sink = celsius - watts * card.thermal.to_sink;
        let wanted = ((sink - case.intake) / watts).max(0.01);
        Self { airflow: wanted * wind / card.thermal.to_air, ..case }
    }

    /// The same, and in that time its fan fails, so far that a full load ends at so many °C even at the lowest clocks that driver and hardware
    /// go down to.
    #[must_use]
    pub fn failing(self, card: &Card, from: f64, until: f64, celsius: f64) -> Self {
        let device = Device::idle(card, &self).at(celsius, celsius);
        let watts = device.draw_slowed();
        let sink = celsius - watts * card.thermal.to_sink;
        let wanted = ((sink - self.intake) / watts).max(0.01);
        let wind = (card.thermal.to_air * self.airflow / wanted).powf(1.0 / super::Thermal::EXPONENT);
        let left = (wind / device.fan().max(0.01)).min(1.0);
        Self { failure: Some(Failure { from, until, left }), ..self }
    }

    /// The power limit, in watts, at which a full load comes to rest at so many °C here; the card's own where that is lower.
    #[must_use]
    pub fn limit_for(&self, card: &Card, celsius: f64) -> f64 {
        let device = Device::idle(card, self).at(celsius, celsius);
        let wind = device.fan().max(super::Thermal::DRAUGHT).powf(super::Thermal::EXPONENT);
        let whole = card.thermal.to_sink + card.thermal.to_air * self.airflow / wind;
        ((celsius - self.intake) / whole).clamp(card.power.idle, card.power.limit)
    }

    /// What is left of the wind at a moment.
    #[must_use]
    pub fn wind_left(&self, now: f64) -> f64 {
        self.failure
            .filter(|failure| (failure.from..failure.until).contains(&now))
            .map_or(1.0, |failure| failure.left)
    }
}

impl Device {
    /// Watts of a full load.
    #[must_use]
    pub fn draw_full(&self) -> f64 {
        self.draw(self.card().clocks.most, &FULL).min(self.card().power.limit)
    }

    /// Watts of a full load at the lowest clocks that heat brings.
    fn draw_slowed(&self) -> f64 {
        let card = self.card();
        let driver = if card.limits.soft.is_some() { card.clocks.least } else { self.within_power(&FULL).0 };
        self.draw(driver * card.limits.left, &FULL)
    }

    /// The clock that its power limit leaves it then, as a part of the highest.
    #[must_use]
    pub fn clock_full(&self) -> f64 {
        self.within_power(&FULL).0 / self.card().clocks.most
    }
}

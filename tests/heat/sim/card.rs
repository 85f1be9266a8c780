//! What a card is.
//!
//! Knows the form of its parameters and the laws that they stand for. Refuses to know any card's numbers (`cards.rs`). Invariant: units
//! are watts, seconds, degrees Celsius, kelvins, joules, MHz and tokens.

/// A card with the model on it.
#[derive(Debug, Clone, Copy)]
pub struct Card {
    /// What it is.
    pub name: &'static str,
    /// How it heats up.
    pub thermal: Thermal,
    /// Its fan.
    pub fan: Fan,
    /// What it draws.
    pub power: Power,
    /// Its clocks.
    pub clocks: Clocks,
    /// What it does about its heat.
    pub limits: Limits,
    /// How fast the model is.
    pub speed: Speed,
}

/// Two masses, the chip in front of its sink, and the air that goes in.
#[derive(Debug, Clone, Copy)]
pub struct Thermal {
    /// J/K of what is as hot as the sensor.
    pub die: f64,
    /// J/K of the sink.
    pub sink: f64,
    /// K/W between the two.
    pub to_sink: f64,
    /// K/W from the sink to the air, at the fan's full speed. At a part of it, this over that part to the power of [`Thermal::EXPONENT`].
    pub to_air: f64,
    /// Of the air that goes in, in the measured case.
    pub intake: f64,
}

impl Thermal {
    /// How the heat that air takes goes with its speed: turbulent flow over a plate, 0.8; laminar, 0.5 (Incropera, Fundamentals of Heat and
    /// Mass Transfer, chapter 7). Between the two: assumed.
    pub const EXPONENT: f64 = 0.65;
    /// The least part of full speed that counts as wind: a fan that stands still leaves the case's draught. Assumed.
    pub const DRAUGHT: f64 = 0.05;
}

/// The fan goes by the temperature, straight between two points.
#[derive(Debug, Clone, Copy)]
pub struct Fan {
    /// Up to this temperature, this part of full speed.
    pub low: (f64, f64),
    /// And from this one on, this part.
    pub high: (f64, f64),
}

/// What it draws: `idle + memory·(its use) + leak·(degrees above 60) + core·f·V(f)²·(activity)`.
#[derive(Debug, Clone, Copy)]
pub struct Power {
    /// W with a model loaded and nothing to do.
    pub idle: f64,
    /// W more of the memory and what feeds it, at full bandwidth.
    pub memory: f64,
    /// W more for each degree above 60 °C while it works: currents that leak.
    pub leak: f64,
    /// W per MHz at the lowest voltage, fully active.
    pub core: f64,
    /// How active it is when it makes tokens for one request alone; 1 for 32 and for prompts.
    pub active_alone: f64,
    /// W that the driver holds it at.
    pub limit: f64,
}

/// Its clocks and the voltage that they need.
#[derive(Debug, Clone, Copy)]
pub struct Clocks {
    /// MHz, the highest.
    pub most: f64,
    /// MHz, the lowest that the driver goes down to.
    pub least: f64,
    /// MHz of a step: 15 since Pascal (every published clock here is a multiple of it).
    pub step: f64,
    /// Up to this clock the voltage is the lowest.
    pub knee: f64,
    /// How much of the lowest voltage is added at the highest clock.
    pub rise: f64,
}

impl Clocks {
    /// The voltage at a clock, of the lowest.
    #[must_use]
    pub fn voltage(&self, mhz: f64) -> f64 {
        let above = (mhz - self.knee).max(0.0) / (self.most - self.knee).max(1.0);
        1.0 + self.rise * above
    }
}

/// What it does about its heat, in °C.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Where its driver begins to lower clocks step by step; none where it leaves that to the hardware.
    pub soft: Option<f64>,
    /// Where the hardware lowers them at once ("by a factor of 2 or more", nvml.h, `nvmlClocksEventReasonHwThermalSlowdown`).
    pub slowdown: f64,
    /// Where it switches itself off.
    pub shutdown: f64,
    /// What the hardware leaves of the clocks.
    pub left: f64,
    /// How many degrees it must cool until the hardware lets go.
    pub hysteresis: f64,
}

impl Limits {
    /// Where it first gets slower.
    #[must_use]
    pub fn slower(&self) -> f64 {
        self.soft.unwrap_or(self.slowdown).min(self.slowdown)
    }
}

/// How fast the model is. A step makes one token for each request that runs and takes `sqrt(memory² + compute²)`: memory goes by the
/// bandwidth, which heat leaves alone (ashalliants/ninfer-3090#72: 9,501 MHz in every sample), compute by the clocks.
#[derive(Debug, Clone, Copy)]
pub struct Speed {
    /// Seconds of a step for one request, at the highest clock.
    pub step: f64,
    /// Of that, compute to memory.
    pub compute: f64,
    /// How much compute grows for each request more.
    pub compute_more: f64,
    /// How much memory does.
    pub memory_more: f64,
    /// Tokens of prompts a second, at the highest clock.
    pub prefill: f64,
}

impl Speed {
    /// Seconds of memory and of compute for one step of so many requests, at this part of the highest clock.
    fn parts(&self, requests: f64, clock: f64) -> (f64, f64) {
        let memory = self.step / self.compute.hypot(1.0);
        let more = (requests - 1.0).max(0.0);
        let compute = memory * self.compute * (1.0 + self.compute_more * more) / clock.max(0.01);
        (memory * (1.0 + self.memory_more * more), compute)
    }

    /// Seconds of one step of so many requests, at this part of the highest clock.
    #[must_use]
    pub fn step(&self, requests: f64, clock: f64) -> f64 {
        let (memory, compute) = self.parts(requests, clock);
        memory.hypot(compute)
    }

    /// What part of that time the memory is busy.
    #[must_use]
    pub fn memory_use(&self, requests: f64, clock: f64) -> f64 {
        let (memory, compute) = self.parts(requests, clock);
        memory / memory.hypot(compute)
    }

    /// Tokens of prompts a second at this part of the highest clock.
    #[must_use]
    pub fn prefill(&self, clock: f64) -> f64 {
        self.prefill * clock
    }
}

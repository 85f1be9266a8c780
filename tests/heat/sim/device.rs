//! A card as it runs: its heat, its clocks, and what it says.
//!
//! Knows the laws by which driver, hardware and fan react. Refuses to know requests: it is told a [`Load`]. Invariant: a card that has
//! switched itself off stays so until [`Device::power_on`].

use super::{Card, Case, TICK, Thermal};

/// What is asked of it in a step.
#[derive(Debug, Clone, Copy, Default)]
pub struct Load {
    /// What part of the time anything runs.
    pub busy: f64,
    /// Of that, the part that reads prompts.
    pub prefill: f64,
    /// For how many requests tokens are made meanwhile.
    pub decoding: f64,
}

/// Why it is slower than it could be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Slowdown {
    /// At its power limit.
    pub power: bool,
    /// Its driver holds a temperature.
    pub soft: bool,
    /// Its hardware has slowed it down.
    pub hard: bool,
}

/// One card in one case.
#[derive(Debug, Clone)]
pub struct Device {
    card: Card,
    case: Case,
    now: f64,
    die: f64,
    sink: f64,
    fan: f64,
    /// The highest clock that the driver allows for its heat.
    allowed: f64,
    looked: f64,
    hard: bool,
    off: bool,
    mhz: f64,
    watts: f64,
    joules: f64,
    slowdown: Slowdown,
}

/// How often the driver looks at the temperature and goes a step: assumed; NVML's own readings are renewed about as often.
const LOOK: f64 = 1.0;
/// Below its temperature by this much the driver lets clocks rise again: one degree, what it can read. Assumed.
const LET_GO: f64 = 1.0;
/// For each degree above it, so many steps at a look more. Assumed.
const STEPS_A_DEGREE: f64 = 2.0;
/// Seconds in which a fan goes 63 % of the way to its new speed. Assumed.
const FAN_LAG: f64 = 4.0;

impl Device {
    /// One that has stood idle for long.
    #[must_use]
    pub fn idle(card: &Card, case: &Case) -> Self {
        let mut device = Self {
            card: *card,
            case: *case,
            now: 0.0,
            die: case.intake,
            sink: case.intake,
            fan: 0.0,
            allowed: card.clocks.most,
            looked: 0.0,
            hard: false,
            off: false,
            mhz: card.clocks.least,
            watts: card.power.idle,
            joules: 0.0,
            slowdown: Slowdown::default(),
        };
        device.settle();
        device
    }

    /// Where it ends when nothing runs: each look moves fan and temperatures together.
    fn settle(&mut self) {
        for _ in 0..200 {
            self.fan = self.wind(self.die);
            let watts = self.card.power.idle;
            let sink = self.case.intake + watts * self.to_air();
            self.sink += (sink - self.sink) / 2.0;
            self.die = self.sink + watts * self.card.thermal.to_sink;
        }
    }

    /// One with these temperatures, of chip and sink, in °C.
    #[must_use]
    pub fn at(mut self, die: f64, sink: f64) -> Self {
        (self.die, self.sink) = (die, sink);
        self.fan = self.wind(die);
        self
    }

    fn wind(&self, celsius: f64) -> f64 {
        let ((low, least), (high, most)) = (self.card.fan.low, self.card.fan.high);
        let part = ((celsius - low) / (high - low)).clamp(0.0, 1.0);
        (least + part * (most - least)) * self.case.wind_left(self.now)
    }

    fn to_air(&self) -> f64 {
        let wind = self.fan.max(Thermal::DRAUGHT);
        self.card.thermal.to_air * self.case.airflow / wind.powf(Thermal::EXPONENT)
    }

    /// What it draws at this clock under this load, in watts.
    #[must_use]
    pub fn draw(&self, mhz: f64, load: &Load) -> f64 {
        let (power, speed, clocks) = (&self.card.power, &self.card.speed, &self.card.clocks);
        let clock = mhz / clocks.most;
        let decode = 1.0 - load.prefill;
        // On a prompt the memory is busy for about a third of the time: weights are read once for hundreds of tokens. Assumed.
        let memory = load.prefill * 0.3 + decode * speed.memory_use(load.decoding, clock);
        let many = (load.decoding.max(1.0).log2() / 5.0).min(1.0);
        let decoding = power.active_alone + (1.0 - power.active_alone) * many;
        let core = load.prefill + decode * decoding;
        let work = memory * power.memory
            + core * power.core * mhz * clocks.voltage(mhz).powi(2)
            + power.leak * (self.die - 60.0).max(0.0);
        power.idle + load.busy * work
    }

    /// The highest clock at which it keeps to its power limit, in MHz, and whether that is below the highest.
    pub(super) fn within_power(&self, load: &Load) -> (f64, bool) {
        let clocks = &self.card.clocks;
        if self.draw(clocks.most, load) <= self.card.power.limit {
            return (clocks.most, false);
        }
        let (mut low, mut high) = (clocks.least, clocks.most);
        for _ in 0..12 {
            let middle = f64::midpoint(low, high);
            if self.draw(middle, load) <= self.card.power.limit { low = middle } else { high = middle }
        }
        (low, true)
    }

    /// The driver lowers clocks a step at a time where it is too hot, and raises them so where it is not.
    fn drive(&mut self) {
        let Some(soft) = self.card.limits.soft else { return };
        if self.now - self.looked < LOOK {
            return;
        }
        self.looked = self.now;
        let clocks = &self.card.clocks;
        let read = self.die.round();
        if read >= soft {
            let steps = 1.0 + STEPS_A_DEGREE * (read - soft);
            // From where it is, not from where it might be: power may hold it lower already.
            self.allowed = self.allowed.min(self.mhz.max(clocks.least) + clocks.step) - steps * clocks.step;
        } else if read <= soft - LET_GO {
            self.allowed += clocks.step;
        }
        self.allowed = self.allowed.clamp(clocks.least, clocks.most);
    }

    /// One step of [`TICK`] under this load. Says the clock that it ran at, as a part of the highest; 0 once it is off.
    pub fn step(&mut self, load: &Load) -> f64 {
        self.now += TICK;
        let limits = &self.card.limits;
        if self.die >= limits.shutdown {
            self.off = true;
        }
        self.hard = if self.hard {
            self.die > limits.slowdown - limits.hysteresis
        } else {
            self.die >= limits.slowdown
        };
        if !self.off {
            self.drive();
        }
        self.clock(load);
        self.warm();
        if self.off { 0.0 } else { self.mhz / self.card.clocks.most }
    }

    fn clock(&mut self, load: &Load) {
        if self.off {
            (self.mhz, self.watts, self.slowdown) = (0.0, 0.0, Slowdown::default());
            return;
        }
        let (within, capped) = self.within_power(load);
        let held = self.allowed < within;
        let left = if self.hard { self.card.limits.left } else { 1.0 };
        let clocks = &self.card.clocks;
        let steps = (within.min(self.allowed) * left / clocks.step).floor();
        let working = load.busy > 0.0;
        self.mhz = if working { (steps * clocks.step).max(clocks.least * left) } else { clocks.least };
        self.slowdown =
            Slowdown { power: working && capped && !held, soft: working && held, hard: self.hard };
        self.watts = self.draw(self.mhz, load);
    }

    fn warm(&mut self) {
        self.joules += self.watts * TICK;
        self.fan += (self.wind(self.die) - self.fan) * TICK / FAN_LAG;
        let thermal = &self.card.thermal;
        let across = (self.die - self.sink) / thermal.to_sink;
        let out = (self.sink - self.case.intake) / self.to_air();
        self.die += (self.watts - across) * TICK / thermal.die;
        self.sink += (across - out) * TICK / thermal.sink;
    }

    /// Somebody has switched it on again: it has its clocks back, not its coolness.
    pub fn power_on(&mut self) {
        (self.off, self.hard, self.allowed) = (false, false, self.card.clocks.most);
    }

    /// The card.
    #[must_use]
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// Seconds since it was made.
    #[must_use]
    pub fn now(&self) -> f64 {
        self.now
    }

    /// What its sensor has, in °C, as it is and not as it is read (whole degrees).
    #[must_use]
    pub fn celsius(&self) -> f64 {
        self.die
    }

    /// The fan, as a part of its full speed.
    #[must_use]
    pub fn fan(&self) -> f64 {
        self.fan
    }

    /// The clock, in MHz.
    #[must_use]
    pub fn mhz(&self) -> f64 {
        self.mhz
    }

    /// Watts in the last step.
    #[must_use]
    pub fn watts(&self) -> f64 {
        self.watts
    }

    /// Joules since it was made.
    #[must_use]
    pub fn joules(&self) -> f64 {
        self.joules
    }

    /// Why it is slower.
    #[must_use]
    pub fn slowdown(&self) -> Slowdown {
        self.slowdown
    }

    /// It has switched itself off.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.off
    }
}

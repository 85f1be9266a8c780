//! The graphics cards and the gate, as metrics.
//!
//! Knows what was seen of them last. Refuses to find anything out. Invariants: what a card does not tell has no
//! sample, and is no 0; of one that does not answer only what it has counted, what is broken and that it is silent is told.

use std::{fmt, sync::Arc};

use ghostllm_core::{
    admission::{Class, Counts, Orders},
    heat::{self, Reading, Reason, State},
    metrics::{self, Definition},
};

use super::moment::{Sheet, yes};
use crate::{
    gate::Refused,
    tasks::heat::{Card, Snapshot},
};

/// What is known of them.
#[derive(Debug)]
pub(crate) struct CardsNow {
    pub(crate) seen: Arc<Snapshot>,
    pub(crate) orders: Orders,
    pub(crate) counts: Counts,
    pub(crate) refused: Refused,
}

/// Its number as a label.
type Numbered<'a> = (String, &'a Card);

impl CardsNow {
    pub(super) fn write(&self, sheet: &mut Sheet<'_>) -> fmt::Result {
        let cards: Vec<Numbered<'_>> =
            self.seen.cards.iter().map(|card| (card.seen.index.to_string(), card)).collect();
        // What a card said before it fell silent is not how it is.
        let is_silent = |card: &Card| matches!(card.verdict.now, State::Stale | State::Lost);
        let answering: Vec<Numbered<'_>> =
            cards.iter().filter(|(_, card)| !is_silent(card)).cloned().collect();
        who(&cards, sheet)?;
        heat(&answering, sheet)?;
        power(&answering, sheet)?;
        energy(&cards, sheet)?;
        work(&answering, sheet)?;
        faults(&cards, sheet)?;
        place(&answering, sheet)?;
        throttled(&answering, sheet)?;
        state(&cards, sheet)?;
        self.governor(sheet)?;
        self.gate(sheet)
    }

    fn governor(&self, sheet: &mut Sheet<'_>) -> fmt::Result {
        let decided = self.seen.decision.iter();
        let rows = decided.flat_map(|(_, decision)| {
            heat::Cause::ALL.map(|cause| ([cause.name()], yes(cause == decision.cause)))
        });
        sheet.gauges(&metrics::GPU_GOVERNOR, rows)
    }

    fn gate(&self, sheet: &mut Sheet<'_>) -> fmt::Result {
        let Counts { running, waiting } = self.counts;
        let limits = Class::ALL
            .into_iter()
            .filter_map(|class| self.orders.limits.of(class).map(|limit| ([class.name()], f64::from(limit))));
        sheet.gauges(&metrics::GPU_GATE_LIMIT, limits)?;
        for (of, counts) in [(&metrics::GPU_GATE_RUNNING, running), (&metrics::GPU_GATE_WAITING, waiting)] {
            sheet.gauges(of, Class::ALL.map(|class| ([class.name()], f64::from(*counts.of(class)))))?;
        }
        let stages = [heat::Gate::Open, heat::Gate::Hold, heat::Gate::Refuse { retry_after: 0 }];
        let is = stages.map(|stage| ([stage.name()], yes(stage.name() == self.orders.gate.name())));
        sheet.gauges(&metrics::GPU_GATE_STATE, is)?;
        let Refused { hot, full } = self.refused;
        sheet.counters(&metrics::GPU_GATE_REFUSED, [(["gpu_thermal"], hot), (["queue_full"], full)])
    }
}

fn who(cards: &[Numbered<'_>], sheet: &mut Sheet<'_>) -> fmt::Result {
    let rows = cards.iter().filter_map(|(number, card)| {
        let identity = card.seen.identity.as_deref()?;
        Some([number.as_str(), identity.uuid.as_str(), identity.name.as_str(), identity.driver.as_str()])
    });
    sheet.infos(&metrics::GPU, rows)
}

/// One gauge for each card that tells it.
fn each(
    cards: &[Numbered<'_>],
    of: &Definition,
    value: impl Fn(&Card) -> Option<f64>,
    sheet: &mut Sheet<'_>,
) -> fmt::Result {
    sheet.gauges(of, cards.iter().filter_map(|(number, card)| Some(([number.as_str()], value(card)?))))
}

/// Several gauges for each card, told apart by a label.
fn parts<const N: usize>(
    cards: &[Numbered<'_>],
    of: &Definition,
    values: impl Fn(&Card) -> [(&'static str, Option<f64>); N],
    sheet: &mut Sheet<'_>,
) -> fmt::Result {
    let rows = cards.iter().flat_map(|(number, card)| {
        values(card).into_iter().filter_map(move |(part, value)| Some(([number.as_str(), part], value?)))
    });
    sheet.gauges(of, rows)
}

fn real(reading: Reading<f32>) -> Option<f64> {
    reading.ok().filter(|value| value.is_finite()).map(f64::from)
}

fn whole<T: Into<f64>>(reading: Reading<T>) -> Option<f64> {
    reading.ok().map(Into::into)
}

/// Bytes of a card; beyond 2^53, which none has, they are rounded.
fn bytes(reading: Reading<u64>) -> Option<f64> {
    reading.ok().map(|bytes| bytes as f64)
}

fn heat(cards: &[Numbered<'_>], sheet: &mut Sheet<'_>) -> fmt::Result {
    let sensors = |card: &Card| {
        let said = &card.seen.sample;
        [("gpu", &said.gpu), ("memory", &said.memory_heat), ("hotspot", &said.hotspot)]
            .map(|(name, sensor)| (name, real(sensor.celsius)))
    };
    parts(cards, &metrics::GPU_TEMPERATURE, sensors, sheet)?;
    let margins = |card: &Card| {
        let margins = card.verdict.margins;
        [("slower", margins.slower), ("slowdown", margins.slowdown), ("shutdown", margins.shutdown)]
            .map(|(to, degrees)| (to, degrees.map(f64::from)))
    };
    parts(cards, &metrics::GPU_MARGIN, margins, sheet)?;
    each(cards, &metrics::GPU_SLOWER, |card| card.prediction.slower.seconds().map(f64::from), sheet)
}

fn power(cards: &[Numbered<'_>], sheet: &mut Sheet<'_>) -> fmt::Result {
    each(cards, &metrics::GPU_POWER, |card| real(card.seen.sample.power.watts), sheet)?;
    each(cards, &metrics::GPU_POWER_LIMIT, |card| real(card.seen.sample.power.limit), sheet)
}

fn energy(cards: &[Numbered<'_>], sheet: &mut Sheet<'_>) -> fmt::Result {
    let energy = cards.iter().filter_map(|(number, card)| {
        let joules = bytes(card.seen.sample.power.millijoules)? / 1e3;
        Some(([number.as_str()], joules))
    });
    sheet.counters(&metrics::GPU_ENERGY, energy)
}

fn work(cards: &[Numbered<'_>], sheet: &mut Sheet<'_>) -> fmt::Result {
    let percent = |reading: Reading<u8>| whole(reading).map(|percent| percent / 100.0);
    let mega = |reading: Reading<u32>| whole(reading).map(|megahertz| megahertz * 1e6);
    let busy = |card: &Card| {
        let busy = card.seen.sample.utilisation;
        [("core", percent(busy.core)), ("memory", percent(busy.memory))]
    };
    parts(cards, &metrics::GPU_UTILIZATION, busy, sheet)?;
    each(cards, &metrics::GPU_MEMORY_USED, |card| bytes(card.seen.sample.memory.used), sheet)?;
    each(cards, &metrics::GPU_MEMORY_SIZE, |card| bytes(card.seen.sample.memory.total), sheet)?;
    each(cards, &metrics::GPU_FAN, |card| percent(card.seen.sample.fan), sheet)?;
    let clocks = |card: &Card| {
        let clocks = card.seen.sample.clocks;
        [("core", mega(clocks.core)), ("memory", mega(clocks.memory))]
    };
    parts(cards, &metrics::GPU_CLOCK, clocks, sheet)?;
    let most = |card: &Card| {
        let clocks = card.seen.sample.clocks;
        [("core", mega(clocks.core_most)), ("memory", mega(clocks.memory_most))]
    };
    parts(cards, &metrics::GPU_CLOCK_MAX, most, sheet)
}

fn faults(cards: &[Numbered<'_>], sheet: &mut Sheet<'_>) -> fmt::Result {
    let errors = cards.iter().flat_map(|(number, card)| {
        let said = card.seen.sample.faults;
        let kinds = [("corrected", bytes(said.corrected)), ("uncorrected", bytes(said.uncorrected))];
        kinds.into_iter().filter_map(move |(kind, count)| Some(([number.as_str(), kind], count?)))
    });
    sheet.counters(&metrics::GPU_ECC, errors)?;
    each(cards, &metrics::GPU_ROWS, |card| whole(card.seen.sample.faults.rows_remapped), sheet)?;
    let flag = |reading: Reading<bool>| reading.ok().map(yes);
    each(cards, &metrics::GPU_ROWS_PENDING, |card| flag(card.seen.sample.faults.rows_pending), sheet)?;
    each(cards, &metrics::GPU_ROWS_FAILED, |card| flag(card.seen.sample.faults.rows_failed), sheet)?;
    each(cards, &metrics::GPU_PAGES, |card| whole(card.seen.sample.faults.pages_retired), sheet)?;
    let xid = |card: &Card| {
        card.seen.sample.faults.xid.ok().map(|xid| xid.map_or(0.0, |xid| f64::from(xid.number)))
    };
    each(cards, &metrics::GPU_XID, xid, sheet)
}

/// Where it is plugged in, and who uses it.
fn place(cards: &[Numbered<'_>], sheet: &mut Sheet<'_>) -> fmt::Result {
    let generation = |card: &Card| {
        let link = card.seen.sample.link;
        [("now", whole(link.generation)), ("most", whole(link.generation_most))]
    };
    parts(cards, &metrics::GPU_LINK_GENERATION, generation, sheet)?;
    let lanes = |card: &Card| {
        let link = card.seen.sample.link;
        [("now", whole(link.lanes)), ("most", whole(link.lanes_most))]
    };
    parts(cards, &metrics::GPU_LINK_LANES, lanes, sheet)?;
    each(cards, &metrics::GPU_PROCESSES, |card| whole(card.seen.sample.tenants.processes), sheet)?;
    each(cards, &metrics::GPU_INSTANCES, |card| whole(card.seen.sample.tenants.instances), sheet)
}

fn throttled(cards: &[Numbered<'_>], sheet: &mut Sheet<'_>) -> fmt::Result {
    let reasons = |card: &Card| {
        let said = card.seen.sample.throttles.ok();
        Reason::ALL.map(|reason| (reason.name(), said.map(|said| yes(said.has(reason)))))
    };
    parts(cards, &metrics::GPU_THROTTLED, reasons, sheet)
}

fn state(cards: &[Numbered<'_>], sheet: &mut Sheet<'_>) -> fmt::Result {
    let states = |card: &Card| State::ALL.map(|state| (state.name(), Some(yes(card.verdict.state == state))));
    parts(cards, &metrics::GPU_STATE, states, sheet)?;
    each(cards, &metrics::GPU_AGE, |card| card.verdict.age.map(|age| age.as_secs_f64()), sheet)
}

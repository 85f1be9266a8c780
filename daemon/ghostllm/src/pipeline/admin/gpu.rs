//! What the cards say and what is done about their heat, and what a card has been through.
//!
//! Knows the forms of the admin API and the snapshot that the watch of the cards publishes. Refuses to ask a card. Invariant: whoever asks
//! waits for no driver.

mod card;
mod history;

use std::{collections::HashMap, sync::Arc};

use ghostllm_core::{
    ApiError,
    admin::{
        Cause, FORM, GpuDecision, GpuGate, GpuGovernor, GpuHistory, GpuLimits, GpuMaker, GpuMissing,
        GpuMissingCause, GpuMode, GpuReport, GpuShared, GpuSpan, wrong,
    },
    config::GovernorMode,
    error::Code,
    heat::{self, ByClass, Decision},
    query,
};
use ghostllm_gpu::Missing;

use super::blocking;
use crate::{date, pipeline::Shared, process::machine_memory, tasks::heat::Snapshot};

/// What is told with the cards, and is no word of theirs.
#[derive(Debug, Default)]
struct Beside {
    /// What the processes on them are called.
    names: HashMap<u32, String>,
    /// The machine's memory, where one of them shares that.
    memory: Option<GpuShared>,
}

/// How all cards are.
pub(super) async fn report(shared: &Arc<Shared>) -> Result<GpuReport, ApiError> {
    let now = shared.desk.heat.now();
    let numbers: Vec<u32> = now.cards.iter().flat_map(|card| card::processes(&card.seen)).collect();
    let shares = now.cards.iter().any(|card| card::shares_memory(&card.seen.sample));
    // Both are files of the kernel's.
    let beside = blocking(shared, move || Beside {
        names: named(&numbers),
        memory: if shares { machine() } else { None },
    });
    Ok(told(shared, &now, &beside.await?))
}

/// What is wrong with the cards, judged as `ghostctl` does it: by what the admin API tells of them, once for each look at them.
pub(super) fn causes(shared: &Shared) -> Vec<Cause> {
    let now = shared.desk.heat.now();
    now.causes.get_or_init(|| wrong::causes(&told(shared, &now, &Beside::default()))).clone()
}

fn told(shared: &Shared, now: &Snapshot, beside: &Beside) -> GpuReport {
    let (known, counts) = (&shared.desk.heat, shared.gate.counts());
    GpuReport {
        version: FORM,
        at: date::rfc3339(now.at),
        governor: GpuGovernor {
            mode: match now.mode {
                GovernorMode::On => GpuMode::On,
                GovernorMode::Off => GpuMode::Off,
                GovernorMode::Watch => GpuMode::Watch,
            },
            decision: now.decision.map(|(place, decision)| decided(now, place, &decision)),
            limits: limits(shared.gate.orders().limits),
            running: counts.running.into(),
            waiting: counts.waiting.into(),
        },
        missing: now.missing.iter().map(missing).collect(),
        cards: now.cards.iter().map(|seen| card::card(seen, now, known, beside)).collect(),
    }
}

/// What one card has been through.
///
/// # Errors
/// 400 with the parameter that is none, 404 where there is no such card.
pub(super) fn history(shared: &Shared, query: Option<&str>) -> Result<GpuHistory, ApiError> {
    let (index, span) = question(query.unwrap_or_default())?;
    let known = &shared.desk.heat;
    let points = known.kept(|all| {
        // The one that is there now goes before one that had its number.
        let kept = all.iter().rev().find(|kept| kept.index() == index)?;
        Some(match span {
            GpuSpan::TenMinutes => history::fine(kept, known),
            GpuSpan::Day => history::day(kept, known),
        })
    });
    let points = points.ok_or_else(|| {
        ApiError::new(
            Code::NotFound,
            format!("No card {index} has been seen. GET /admin/api/v1/gpu lists them."),
        )
    })?;
    Ok(GpuHistory { version: FORM, card: index, span, points })
}

/// Reads `card=0&span=10m`, of which each may be left out.
fn question(query: &str) -> Result<(u32, GpuSpan), ApiError> {
    let [card, span] = query::read(query, ["card", "span"])?;
    let card = card
        .map_or(Ok(0), |text| text.parse().map_err(|_| ApiError::invalid_value("card", "a card's index")))?;
    let span = span.map_or(Some(GpuSpan::TenMinutes), |text| GpuSpan::named(&text));
    Ok((card, span.ok_or_else(|| ApiError::invalid_value("span", "10m or 24h"))?))
}

/// What these processes are called, as far as this program may see it: the kernel gives 15 bytes (proc(5), `comm`).
fn named(numbers: &[u32]) -> HashMap<u32, String> {
    let name = |pid: &u32| {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        Some((*pid, name.trim_end().to_owned()))
    };
    numbers.iter().filter_map(name).collect()
}

/// All of the machine's memory, and what is in use of it.
fn machine() -> Option<GpuShared> {
    let (total, available) = machine_memory();
    let total = total?;
    Some(GpuShared { total, used: total.saturating_sub(available?) })
}

fn limits(limits: ByClass<Option<u32>>) -> GpuLimits {
    GpuLimits { interactive: limits.interactive, background: limits.background }
}

fn decided(now: &Snapshot, place: usize, decision: &Decision) -> GpuDecision {
    let (gate, retry_after) = match decision.gate {
        heat::Gate::Open => (GpuGate::Open, None),
        heat::Gate::Hold => (GpuGate::Hold, None),
        heat::Gate::Refuse { retry_after } => (GpuGate::Refuse, Some(retry_after)),
    };
    let (card, is_free) = (now.cards.get(place), decision.cause == heat::Cause::Free);
    let words = match card {
        // Whose margin that is, is not told otherwise.
        Some(card) if is_free && now.cards.len() > 1 => format!("{decision} (card {})", card.seen.index),
        _ => decision.to_string(),
    };
    let card = card.filter(|_| !is_free);
    GpuDecision {
        limits: limits(decision.lowered()),
        most: decision.most.into(),
        gate,
        retry_after,
        cause: decision.cause,
        card: card.map(|card| card.seen.index),
        words,
    }
}

fn missing(missing: &Missing) -> GpuMissing {
    let cause = match missing {
        Missing::NoLibrary { .. } => GpuMissingCause::NoLibrary,
        Missing::BadLibrary { .. } => GpuMissingCause::BadLibrary,
        Missing::DriverNotLoaded => GpuMissingCause::DriverNotLoaded,
        Missing::VersionMismatch => GpuMissingCause::VersionMismatch,
        Missing::NoPermission => GpuMissingCause::NoPermission,
        Missing::Blocked => GpuMissingCause::Blocked,
        Missing::NoCard => GpuMissingCause::NoCard,
        Missing::Hangs { .. } => GpuMissingCause::Hangs,
        Missing::Other { .. } => GpuMissingCause::Other,
    };
    GpuMissing { maker: GpuMaker::Nvidia, cause, fault: missing.is_fault(), words: missing.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_of_a_card_and_of_a_span_and_of_nothing_else() {
        assert_eq!(question("").unwrap(), (0, GpuSpan::TenMinutes));
        assert_eq!(question("card=3&span=24h").unwrap(), (3, GpuSpan::Day));
        for (query, param) in [
            ("card=x", Some("card")),
            ("span=1h", Some("span")),
            ("card=1&card=2", Some("card")),
            ("a=1", None),
        ] {
            let refused = question(query).unwrap_err();
            assert_eq!((refused.status().as_u16(), refused.param()), (400, param), "{query}");
        }
    }

    #[test]
    fn a_process_is_called_by_its_name() {
        let own = std::process::id();
        assert_eq!(named(&[own, u32::MAX]).keys().copied().collect::<Vec<_>>(), [own]);
    }
}

//! What the flight recorder has kept, in the form that is given out.
//!
//! Knows the records of a state, which a daemon may have or not. Refuses to change anything: nothing is made, mended or removed. Invariant:
//! a record that cannot be read is listed with the reason.

mod text;

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use ghostllm_core::{
    admin::{
        FORM, Flight as Shown, FlightCard, FlightEvent, FlightFrame, FlightRecord, FlightThresholds, Flights,
        GpuGate, GpuReason,
    },
    heat::flight::{Door, Event, Flight, Frame, Threshold},
    places,
};
use time::OffsetDateTime;

use crate::{
    access, date,
    store::{
        StateError,
        flight::{Found, glance, room},
    },
};
pub(crate) use text::drawn;

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoFlight {
    /// Nobody has said where state is.
    #[error("{0}")]
    Nowhere(StateError),
    /// Only its owner may look.
    #[error(
        "{} cannot be read: {source}; what the daemon keeps is its user's alone: look as root (sudo ghostllm inspect --flight) or as that user",
        access::quoted(path)
    )]
    Denied {
        /// What.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something else is wrong with it.
    #[error("{0}")]
    State(StateError),
    /// No record has this name.
    #[error("there is no record {wanted} in {}: {}", access::quoted(room), names(there))]
    Unknown {
        /// What was asked for.
        wanted: String,
        /// Where.
        room: PathBuf,
        /// Those that there are.
        there: Vec<String>,
    },
    /// It is there, and says nothing.
    #[error("the record {name} in {} cannot be read: {why}", access::quoted(room))]
    Unreadable {
        /// Which.
        name: String,
        /// Where.
        room: PathBuf,
        /// Why.
        why: String,
    },
}

fn names(there: &[String]) -> String {
    if there.is_empty() { "there is none".to_owned() } else { format!("there are {}", there.join(", ")) }
}

impl From<StateError> for NoFlight {
    fn from(error: StateError) -> Self {
        match error {
            StateError::Unreadable { path, source } if access::is_denied(&source) => {
                Self::Denied { path, source }
            }
            StateError::Nowhere => Self::Nowhere(error),
            other => Self::State(other),
        }
    }
}

impl NoFlight {
    /// The program's exit code for it.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Nowhere(error) | Self::State(error) => error.exit_code(),
            Self::Denied { .. } => crate::exit::PERMISSION,
            Self::Unknown { .. } => crate::exit::USAGE,
            Self::Unreadable { .. } => crate::exit::IO,
        }
    }
}

/// The records of this state, and where nobody has `named` it and it has none, of the service's; the minutes of the `wanted` one, or of the
/// newest that can be read. Blocks.
///
/// # Errors
/// They cannot be read, or there is no such one.
pub(crate) fn flights(
    state: Result<PathBuf, StateError>,
    named: bool,
    wanted: Option<&str>,
) -> Result<Flights, NoFlight> {
    let state = place(state, named)?;
    let (found, room) = (glance(&state)?, room(&state));
    let shown = match wanted {
        Some(wanted) => Some(one(&found, wanted, &room)?),
        None => found.iter().find_map(|found| Some(shown(&found.name, found.flight.as_ref().ok()?))),
    };
    Ok(Flights {
        version: FORM,
        directory: room.display().to_string(),
        records: found.iter().map(record).collect(),
        shown,
    })
}

fn place(state: Result<PathBuf, StateError>, named: bool) -> Result<PathBuf, NoFlight> {
    let service = Path::new(places::STATE);
    let has = |state: &Path| match room(state).metadata() {
        Ok(facts) => facts.is_dir(),
        // Whether it has one is not for this user to know, who is told so.
        Err(error) => error.kind() == ErrorKind::PermissionDenied,
    };
    match state {
        Ok(state) if named || has(&state) || !has(service) => Ok(state),
        Err(error) if !has(service) => Err(error.into()),
        _ => Ok(service.to_owned()),
    }
}

fn one(found: &[Found], wanted: &str, room: &Path) -> Result<Shown, NoFlight> {
    let Some(Found { name, flight, .. }) = found.iter().find(|found| found.name == wanted) else {
        return Err(NoFlight::Unknown {
            wanted: wanted.to_owned(),
            room: room.to_owned(),
            there: found.iter().map(|found| found.name.clone()).collect(),
        });
    };
    match flight {
        Ok(flight) => Ok(shown(name, flight)),
        Err(why) => Err(NoFlight::Unreadable { name: name.clone(), room: room.to_owned(), why: why.clone() }),
    }
}

fn record(found: &Found) -> FlightRecord {
    let flight = found.flight.as_ref().ok();
    FlightRecord {
        name: found.name.clone(),
        running: found.running,
        written: found.written.map(|written| date::rfc3339(written.into())),
        at: flight.map(|flight| moment(flight.date(flight.event()))),
        card: flight.map(|flight| flight.card.index),
        card_name: flight.map(|flight| flight.card.name.clone()),
        what: flight.and_then(Flight::gravest),
        seconds: flight.map(|flight| flight.span().div_ceil(10)),
        fault: found.flight.as_ref().err().cloned(),
    }
}

fn moment(millis: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000);
    date::rfc3339(at.unwrap_or(OffsetDateTime::UNIX_EPOCH))
}

fn shown(name: &str, flight: &Flight) -> Shown {
    let card = &flight.card;
    let event = |event: &Event| FlightEvent {
        at: moment(flight.date(event.at)),
        offset_s: offset(flight, event.at),
        what: event.what,
        words: flight.words(event.what).to_owned(),
    };
    Shown {
        name: name.to_owned(),
        made: moment(flight.origin.made),
        program: flight.origin.program.clone(),
        card: FlightCard {
            index: card.index,
            name: card.name.clone(),
            uuid: card.uuid.clone(),
            bus: card.bus.clone(),
            driver: card.driver.clone(),
            gpu: thresholds(&flight.limits.gpu),
            memory: thresholds(&flight.limits.memory),
            hotspot: thresholds(&flight.limits.hotspot),
            clock: flight.limits.clock,
            memory_mib: flight.limits.memory_size,
        },
        events: flight.events.iter().map(event).collect(),
        machine_ran_on: flight.ran_on,
        frames: flight.frames.iter().map(|one| frame(flight, one)).collect(),
    }
}

/// How many seconds after what happened first.
fn offset(flight: &Flight, at: u32) -> f64 {
    (f64::from(at) - f64::from(flight.event())) / 10.0
}

fn thresholds(of: &Threshold) -> FlightThresholds {
    let Threshold { soft, slowdown, shutdown } = *of;
    FlightThresholds { soft: soft.map(whole), slowdown: slowdown.map(whole), shutdown: shutdown.map(whole) }
}

/// Of tenths.
fn whole(tenths: impl Into<f64>) -> f64 {
    tenths.into() / 10.0
}

fn frame(flight: &Flight, frame: &Frame) -> FlightFrame {
    let requests = frame.requests;
    let decided = requests.decided;
    FlightFrame {
        at: moment(flight.date(frame.at)),
        offset_s: offset(flight, frame.at),
        state: frame.state,
        celsius: frame.gpu.map(whole),
        memory_celsius: frame.memory.map(whole),
        hotspot_celsius: frame.hotspot.map(whole),
        to_slower: frame.slower.map(whole),
        to_slowdown: frame.slowdown.map(whole),
        to_shutdown: frame.shutdown.map(whole),
        watts: frame.power.map(whole),
        watts_limit: frame.power_limit.map(whole),
        clock: frame.clock,
        memory_clock: frame.memory_clock,
        throttles: frame.throttles.map(|throttles| throttles.iter().map(GpuReason::from).collect()),
        utilisation: frame.busy,
        fan: frame.fan,
        memory_used_mib: frame.used,
        running: requests.running.into(),
        waiting: requests.waiting.into(),
        limits: decided.map(|decided| decided.limits.into()),
        most: decided.map(|decided| decided.most.into()),
        gate: decided.map(|decided| match decided.door {
            Door::Open => GpuGate::Open,
            Door::Hold => GpuGate::Hold,
            Door::Refuse => GpuGate::Refuse,
        }),
        cause: decided.map(|decided| decided.cause),
    }
}

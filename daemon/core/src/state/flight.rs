//! The file of a card's last minutes: what the flight recorder keeps.
//!
//! Knows its form: three lines (`flight`, the version, the checksum of these and the rest) and the record by postcard, a fraction of its JSON.
//! Refuses to know when one is made. Invariants: what is read is what was written, and of a version that this program knows; no record is
//! larger than [`LARGEST`], be it written or read.

use super::{Damage, Unread, checksum};
use crate::heat::flight::{EVENTS_MOST, FRAMES_MOST, Flight};

/// What it is called in the file.
pub const NAME: &str = "flight";
/// The present version. It rises with every change of what postcard writes, an enumeration's order among it: it writes no names.
pub const VERSION: usize = 1;
/// No record has more bytes: 541 frames of 90 at the most, and names.
pub const LARGEST: usize = 64 << 10;
/// The first three lines have fewer.
const HEAD: usize = 64;

/// The file of a record.
///
/// # Errors
/// If it is larger than [`LARGEST`], or has no form.
pub fn encode(flight: &Flight) -> Result<Vec<u8>, Damage> {
    let content = postcard::to_extend(flight, Vec::with_capacity(LARGEST / 2));
    let content = content.map_err(|error| Damage(format!("it has no form: {error}")))?;
    let crc32 = checksum(NAME, VERSION, &content);
    let mut file = format!("{NAME}\n{VERSION}\n{crc32}\n").into_bytes();
    file.extend(content);
    if file.len() > LARGEST { Err(Damage("it is too large".to_owned())) } else { Ok(file) }
}

/// What a file says.
///
/// # Errors
/// [`Unread`].
pub fn decode(file: &[u8]) -> Result<Flight, Unread> {
    if file.len() > LARGEST {
        return Err(Damage("it is larger than any record".to_owned()).into());
    }
    let cut = || Damage("cut off before its content".to_owned());
    let (kind, rest) = line(file).ok_or_else(cut)?;
    if kind != NAME {
        return Err(Damage(format!("no file of the kind \"{NAME}\"")).into());
    }
    let (version, rest) = line(rest).ok_or_else(cut)?;
    let (crc32, content) = line(rest).ok_or_else(cut)?;
    let version: usize = version.parse().map_err(|_| Damage("its version is no number".to_owned()))?;
    if checksum(NAME, version, content) != crc32 {
        return Err(Damage("its checksum does not fit: it was damaged, or cut off".to_owned()).into());
    }
    match version {
        VERSION => read(content).map_err(Unread::Damaged),
        0 => Err(Damage("version 0 never was".to_owned()).into()),
        newer => Err(Unread::Newer(newer)),
    }
}

/// The first line, and what is behind it.
fn line(file: &[u8]) -> Option<(&str, &[u8])> {
    let end = file.iter().take(HEAD).position(|byte| *byte == b'\n')?;
    let (line, rest) = (file.get(..end)?, file.get(end + 1..)?);
    Some((std::str::from_utf8(line).ok()?, rest))
}

fn read(content: &[u8]) -> Result<Flight, Damage> {
    let read = postcard::take_from_bytes::<Flight>(content);
    // What postcard says of it names its own workings.
    let (flight, rest) = read.map_err(|_| Damage("whole, and not of its form".to_owned()))?;
    let few = flight.frames.len() <= FRAMES_MOST && flight.events.len() <= EVENTS_MOST;
    let sorted =
        flight.frames.is_sorted_by_key(|frame| frame.at) && flight.events.is_sorted_by_key(|event| event.at);
    if rest.is_empty() && few && sorted {
        Ok(flight)
    } else {
        Err(Damage("whole, and not of its form".to_owned()))
    }
}

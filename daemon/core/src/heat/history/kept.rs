//! The reasons of a reading, as they are kept: a number, or nothing.
//!
//! Knows their bits ([`Throttles::bits`]). Invariant: what was kept is read again as it was.

use ghostllm_readings::Throttles;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(in crate::heat) fn serialize<S: Serializer>(
    throttles: &Option<Throttles>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    throttles.map(Throttles::bits).serialize(serializer)
}

pub(in crate::heat) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Throttles>, D::Error> {
    Ok(Option::<u16>::deserialize(deserializer)?.map(Throttles::of_bits))
}

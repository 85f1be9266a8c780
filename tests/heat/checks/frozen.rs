//! The cards are as they were before the governor was tuned.

use ghostllm_heat_claim::sim::{CARDS, HELD_BACK, TUNING};

/// Of `sim/cards.rs`, taken on 2026-11-30 when every check of `measured.rs` held and the governor's policy was still the old one. Who finds a
/// better source changes the card, this number, and tunes nothing on the card that is held back.
const CHECKSUM: u32 = 0xA809_B620;

#[test]
fn the_cards_are_as_they_were_before_the_governor_was_tuned() {
    let cards = include_str!("../sim/cards.rs");
    assert_eq!(crc32fast::hash(cards.as_bytes()), CHECKSUM, "sim/cards.rs has changed: see frozen.rs");
}

#[test]
fn the_card_that_is_held_back_is_none_of_those_for_tuning() {
    assert!(TUNING.iter().all(|card| card.name != HELD_BACK.name));
    assert_eq!(CARDS.len(), TUNING.len() + 1);
}

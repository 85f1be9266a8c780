//! The cards are as they were before the governor was tuned, and what warms them up and where they stand as it was when the figures were
//! made.

use ghostllm_heat_claim::sim::{CARDS, HELD_BACK, TUNING};

/// Of `sim/cards.rs`, taken on 2026-11-30 when every check of `measured.rs` held and the governor's policy was still the old one. Who
/// finds a better source changes the card, this number, and tunes nothing on the card that is held back.
const CHECKSUM: u32 = 0xA809_B620;
/// Of what the cards' numbers mean, taken on 2026-11-30 as `RESULTS.md` was made by it. A number that stays and is read otherwise is
/// another card: who changes one of these holds it to `measured.rs`, renews the figures (`just heat-claim`) and then this sum.
const SIMULATED: [(&str, &str, u32); 3] = [
    ("card.rs", include_str!("../sim/card.rs"), 0x73A4_AC64),
    ("device.rs", include_str!("../sim/device.rs"), 0x01A8_229A),
    ("engine.rs", include_str!("../sim/engine.rs"), 0x0C1D_9965),
];
/// Of how a case is made of a card's numbers: frozen from 2026-12-01 on, and not before. How a fan fails was made harsher on 2026-11-30,
/// as the governor was tuned; whoever changes it again renews the figures, and says in `RESULTS.md` what has become of each promise by
/// it.
const CASES: u32 = 0x4F59_8CE5;

#[test]
fn the_cards_are_as_they_were_before_the_governor_was_tuned() {
    let cards = include_str!("../sim/cards.rs");
    assert_eq!(crc32fast::hash(cards.as_bytes()), CHECKSUM, "sim/cards.rs has changed: see frozen.rs");
}

#[test]
fn what_warms_them_up_is_as_it_was_when_the_figures_were_made() {
    for (name, text, sum) in SIMULATED {
        assert_eq!(crc32fast::hash(text.as_bytes()), sum, "sim/{name} has changed: see frozen.rs");
    }
}

#[test]
fn where_they_stand_is_as_it_was_when_it_was_frozen() {
    let cases = include_str!("../sim/case.rs");
    assert_eq!(crc32fast::hash(cases.as_bytes()), CASES, "sim/case.rs has changed: see frozen.rs");
}

#[test]
fn the_card_that_is_held_back_is_none_of_those_for_tuning() {
    assert!(TUNING.iter().all(|card| card.name != HELD_BACK.name));
    assert_eq!(CARDS.len(), TUNING.len() + 1);
}

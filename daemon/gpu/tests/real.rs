//! The cards of this very machine, where it has any.
//!
//! Invariant: it never passes in silence; a machine without NVIDIA's driver is named as what was skipped.

use ghostllm_gpu::{Card, Missing, cards, sentence};

#[test]
fn this_machines_cards_answer_or_are_missing_for_a_reason() {
    let found = cards(None);
    println!("{}", sentence(&found));
    let cards = match found {
        Ok(cards) => cards,
        Err(missing @ Missing::NoLibrary { .. }) => {
            return println!("skipped: a real card's answers, since {missing}");
        }
        // A driver without cards, or one that does not work, is this machine's affair: that it is said is all we promise.
        Err(missing) => return println!("no card: {missing}"),
    };
    for card in cards.iter().filter(|card| card.fault.is_none()) {
        println!("{card:?}");
        assert!(card.name.len() > 3, "{card:?}");
        assert!(card.uuid.starts_with("GPU-") && card.uuid.len() == "GPU-".len() + 36, "{card:?}");
        assert!(card.memory.is_none_or(|bytes| bytes > 1 << 28), "{card:?}");
        assert!(card.free <= card.memory && card.free.is_some() == card.memory.is_some(), "{card:?}");
        assert!(card.below_slowdown.is_none_or(|degrees| (-20..100).contains(&degrees)), "{card:?}");
        assert!(card.driver.split('.').all(|part| part.parse::<u32>().is_ok()), "{card:?}");
    }
    // Another round gets the same answers, but for what changes by itself: the library was let go and is opened anew.
    let lasting = |card: Card| Card { free: None, below_slowdown: None, ..card };
    let again = ghostllm_gpu::cards(None).unwrap();
    assert!(again.into_iter().map(lasting).eq(cards.into_iter().map(lasting)));
}

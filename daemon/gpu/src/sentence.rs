//! The cards in one sentence, for the start log.
//!
//! Knows words only. Invariant: equal cards are counted, a card with a fault is named by itself.

use crate::{Card, Missing};

/// What the start log says: `2 × NVIDIA H100 80GB HBM3 (80 GiB), driver 580.95.05`, or why there is none.
#[must_use]
pub fn sentence(found: &Result<Vec<Card>, Missing>) -> String {
    match found {
        Ok(cards) => listed(cards),
        Err(missing) => format!("no graphics card is used: {missing}"),
    }
}

fn listed(cards: &[Card]) -> String {
    let mut kinds: Vec<(String, usize)> = Vec::new();
    for card in cards {
        let kind = described(card);
        match kinds.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count += 1,
            None => kinds.push((kind, 1)),
        }
    }
    let kinds: Vec<String> = kinds
        .into_iter()
        .map(|(kind, count)| if count == 1 { kind } else { format!("{count} × {kind}") })
        .collect();
    let driver = cards.first().map_or("unknown", |card| card.driver.as_str());
    format!("{}, driver {driver}", kinds.join(", "))
}

fn described(card: &Card) -> String {
    let Card { name, memory, fault, .. } = card;
    match (fault, memory) {
        (Some(fault), _) => format!("{name} (cannot be used: {fault})"),
        (None, Some(bytes)) => format!("{name} ({})", gibibytes(*bytes)),
        (None, None) => format!("{name} (shares the machine's memory)"),
    }
}

/// Whole GiB, rounded: a card's figure is a little below the one on its box.
fn gibibytes(bytes: u64) -> String {
    const GIB: u64 = 1 << 30;
    match bytes.saturating_add(GIB / 2) / GIB {
        0 => format!("{} MiB", bytes >> 20),
        whole => format!("{whole} GiB"),
    }
}

#[cfg(test)]
mod tests {
    use super::sentence;
    use crate::{Card, Missing};

    fn card(name: &str, memory: Option<u64>, fault: Option<&str>) -> Card {
        Card {
            name: name.to_owned(),
            uuid: "GPU-1".to_owned(),
            memory,
            free: memory,
            below_slowdown: None,
            driver: "580.95.05".to_owned(),
            fault: fault.map(str::to_owned),
            damage: None,
        }
    }

    #[test]
    fn counts_equal_cards_and_names_faults() {
        let big = card("NVIDIA H100", Some(85_520_809_984), None);
        let cards =
            vec![big.clone(), big, card("NVIDIA GB10", None, None), card("card 3", None, Some("it is lost"))];
        assert_eq!(
            sentence(&Ok(cards)),
            "2 × NVIDIA H100 (80 GiB), NVIDIA GB10 (shares the machine's memory), card 3 (cannot be used: it is lost), \
             driver 580.95.05"
        );
        assert_eq!(
            sentence(&Ok(vec![card("Old", Some(268_435_456), None)])),
            "Old (256 MiB), driver 580.95.05"
        );
    }

    #[test]
    fn says_why_there_is_none() {
        let said = sentence(&Err(Missing::DriverNotLoaded));
        assert!(
            said.starts_with(
                "no graphics card is used: NVIDIA's driver is installed but not loaded; run `sudo"
            )
        );
    }
}

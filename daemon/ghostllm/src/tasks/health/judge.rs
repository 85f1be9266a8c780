//! Whether a check passes, by what was seen.
//!
//! Knows thresholds and words. Refuses to look at anything. Invariant: what is exactly as much as is wanted passes, and one byte or
//! degree less does not.

use std::path::Path;

use ghostllm_core::{
    config::{CardChoice, Margin, Room, Subject},
    text::size,
};
use ghostllm_gpu::Card;

use super::{
    Amiss, Outcome,
    looks::{Looks, Place, Space},
    unseen,
};
use crate::{
    access,
    backend::registry::{Known, Snapshot},
};

/// What becomes of a check of this.
pub(super) fn outcome(subject: &Subject, snapshot: &Snapshot, looks: &Looks) -> Outcome {
    match subject {
        Subject::Backend(name) => backend(name.as_str(), snapshot),
        Subject::Model(name) => model(name.as_str(), snapshot),
        Subject::Disk { path, free } => looks.disk(path).map_or_else(unseen, |seen| disk(path, *free, seen)),
        Subject::Cards { which, margin } => {
            looks.cards().map_or_else(unseen, |seen| cards(which, *margin, seen))
        }
    }
}

fn amiss(what: impl Into<String>, next: impl Into<String>) -> Amiss {
    Amiss { what: what.into(), next: next.into() }
}

fn backend(name: &str, snapshot: &Snapshot) -> Outcome {
    let known = snapshot.backends().iter().find(|known| known.backend().name() == name);
    let known = known.ok_or_else(|| {
        amiss(
            format!("there is no backend {name}"),
            "ghostctl backends ls, which has those that there are; correct the check under [[health]]",
        )
    })?;
    answers(known)?;
    Ok(format!("{} answers, and has {} models", shown(known), known.models().len()))
}

fn shown(known: &Known) -> String {
    format!("the backend {} at {}", known.backend().name(), known.backend().place())
}

fn answers(known: &Known) -> Result<(), Amiss> {
    let next = format!("start it; then: ghostctl backends test {}", known.backend().name());
    match known.fault() {
        Some(fault) => Err(amiss(format!("{} does not answer: {fault}", shown(known)), next)),
        None if !known.is_asked() => Err(amiss(format!("{} has not answered yet", shown(known)), next)),
        None => Ok(()),
    }
}

fn model(name: &str, snapshot: &Snapshot) -> Outcome {
    let missing = || {
        amiss(
            format!("no backend has the model {name}"),
            "load it (ollama pull, or a GGUF file), or correct the check under [[health]]; ghostctl models ls has those that there are",
        )
    };
    let routed = snapshot.route(name).ok_or_else(missing)?;
    let known = snapshot.backends().iter().find(|known| known.backend().name() == routed.backend.name());
    let known = known.ok_or_else(missing)?;
    answers(known)?;
    // Before its first list, a backend is believed to have whatever is asked of it.
    if !snapshot.lists(name) {
        return Err(missing());
    }
    Ok(format!("{} answers, and has the model {}", shown(known), routed.model))
}

/// A threshold, with what a share of it amounts to.
fn wanted(room: Room, total: u64) -> String {
    match room {
        Room::Bytes(_) => room.to_string(),
        Room::Percent(_) => format!("{room}, which are {}", size(room.of(total))),
    }
}

fn disk(path: &Path, room: Room, seen: &Result<Place, String>) -> Outcome {
    let at = access::quoted(path);
    let unseen = |why: &str| format!("the disk of {} cannot be looked at: {why}", path.display());
    let Space { free, total } = match seen {
        Ok(Place::Disk(space)) => space,
        Ok(Place::Hidden(home)) => {
            return Err(amiss(
                unseen(&format!("its unit hides {home} from the daemon (ProtectHome=)")),
                "systemctl edit ghostllm, with ProtectHome=read-only under [Service]; then: systemctl restart ghostllm",
            ));
        }
        Err(why) => {
            let next = format!("stat -f {at}, which asks the same; or correct the check under [[health]]");
            return Err(amiss(unseen(why), next));
        }
    };
    let (there, least) = (size(*free), wanted(room, *total));
    let of = format!("{there} of {} are free on the disk of {}", size(*total), path.display());
    if *free >= room.of(*total) {
        return Ok(format!("{of}, and {least} are wanted"));
    }
    Err(amiss(format!("{of}, less than {least}"), format!("make room there; what takes it: du -xh -d1 {at}")))
}

fn cards(which: &CardChoice, margin: Margin, seen: &Result<Vec<Card>, String>) -> Outcome {
    let all = seen.as_ref().map_err(|why| {
        amiss(format!("no graphics card can be asked: {why}"), "nvidia-smi, which asks the same")
    })?;
    let meant: Vec<(usize, &Card)> =
        all.iter().enumerate().filter(|(at, card)| which.means(*at, &card.uuid)).collect();
    if meant.is_empty() {
        return Err(amiss(
            format!("there is no graphics card {which}"),
            "nvidia-smi -L, which lists those that there are; correct the check under [[health]]",
        ));
    }
    let told: Result<Vec<String>, Amiss> =
        meant.into_iter().map(|(at, card)| one(at, card, margin)).collect();
    told.map(|told| told.join("; "))
}

fn one(at: usize, card: &Card, margin: Margin) -> Outcome {
    let name = format!("graphics card {at} ({})", card.name);
    if let Some(fault) = &card.fault {
        return Err(amiss(
            format!("{name} cannot be used: {fault}"),
            "nvidia-smi, which should show the same",
        ));
    }
    match margin {
        Margin::Free(room) => {
            let (Some(free), Some(total)) = (card.free, card.memory) else {
                return Err(untold(&name, "has no memory of its own, or does not tell how much is free"));
            };
            let (of, least) =
                (format!("{} of {} are free on {name}", size(free), size(total)), wanted(room, total));
            if free >= room.of(total) {
                return Ok(format!("{of}, and {least} are wanted"));
            }
            Err(amiss(
                format!("{of}, less than {least}"),
                "nvidia-smi, which shows what takes it; end what is not needed",
            ))
        }
        Margin::BelowSlowdown(least) => {
            let Some(below) = card.below_slowdown else {
                return Err(untold(&name, "does not tell how warm it is, or when it slows itself down"));
            };
            let of = if below < 0 {
                format!("{name} is {} °C above its slowdown", -below)
            } else {
                format!("{name} is {below} °C below its slowdown")
            };
            if below >= i64::from(least) {
                return Ok(format!("{of}, and {least} °C are wanted"));
            }
            Err(amiss(
                format!("{of}, and {least} °C below are wanted"),
                "look after its fans and the air around it; nvidia-smi -q -d TEMPERATURE",
            ))
        }
    }
}

fn untold(name: &str, why: &str) -> Amiss {
    amiss(format!("{name} {why}"), "take the check away under [[health]], or give it another threshold")
}

#[cfg(test)]
mod tests {
    use ghostllm_core::config::ByteSize;

    use super::*;

    fn bytes(number: u64) -> Room {
        Room::Bytes(ByteSize::new(number))
    }

    #[test]
    fn as_much_as_is_wanted_passes_and_a_byte_less_does_not() {
        let look = |free, total, room| disk(Path::new("/a b"), room, &Ok(Place::Disk(Space { free, total })));
        assert_eq!(
            look(1024, 4096, bytes(1024)).unwrap(),
            "1.0 KiB of 4.0 KiB are free on the disk of /a b, and 1KiB are wanted"
        );
        let less = look(1023, 4096, bytes(1024)).unwrap_err();
        assert_eq!(less.what, "1023 B of 4.0 KiB are free on the disk of /a b, less than 1KiB");
        assert_eq!(less.next, "make room there; what takes it: du -xh -d1 '/a b'");
        assert!(look(11, 101, Room::Percent(10)).is_ok());
        let less = look(10, 101, Room::Percent(10)).unwrap_err();
        assert!(less.what.ends_with("less than 10%, which are 11 B"), "{less:?}");
        let gone = disk(Path::new("/x"), bytes(1), &Err("Input/output error".to_owned())).unwrap_err();
        assert_eq!(gone.what, "the disk of /x cannot be looked at: Input/output error");
    }

    fn card(free: Option<u64>, below_slowdown: Option<i64>) -> Card {
        Card {
            name: "Fake".to_owned(),
            uuid: format!("GPU-{}", free.unwrap_or_default()),
            memory: Some(1000),
            free,
            below_slowdown,
            driver: "1".to_owned(),
            fault: None,
            damage: None,
        }
    }

    #[test]
    fn each_card_that_is_meant_must_have_its_margin() {
        let two = Ok(vec![card(Some(100), Some(10)), card(Some(99), Some(9))]);
        let free = Margin::Free(Room::Percent(10));
        let first = CardChoice::Number(0);
        assert!(
            cards(&first, free, &two).unwrap().contains("100 B of 1000 B are free on graphics card 0 (Fake)")
        );
        assert!(cards(&CardChoice::Number(1), free, &two).unwrap_err().what.contains("99 B of 1000 B"));
        assert!(cards(&CardChoice::All, free, &two).unwrap_err().what.contains("graphics card 1"));
        assert!(cards(&CardChoice::Uuid("GPU-100".to_owned()), free, &two).is_ok());
        assert!(cards(&first, Margin::BelowSlowdown(10), &two).is_ok());
        let warm = cards(&CardChoice::All, Margin::BelowSlowdown(10), &two).unwrap_err().what;
        assert_eq!(warm, "graphics card 1 (Fake) is 9 °C below its slowdown, and 10 °C below are wanted");
        assert_eq!(
            cards(&CardChoice::Number(2), free, &two).unwrap_err().what,
            "there is no graphics card 2"
        );
    }

    #[test]
    fn a_card_that_does_not_tell_fails() {
        let one = Ok(vec![card(None, None)]);
        for margin in [Margin::Free(Room::Percent(1)), Margin::BelowSlowdown(1)] {
            assert!(cards(&CardChoice::All, margin, &one).unwrap_err().next.contains("another threshold"));
        }
        let hot = Ok(vec![card(None, Some(-3))]);
        let hot = cards(&CardChoice::All, Margin::BelowSlowdown(1), &hot).unwrap_err().what;
        assert!(hot.contains("is 3 °C above its slowdown"), "{hot}");
        let lost = Card { fault: Some("it has fallen off the bus".to_owned()), ..card(Some(1), None) };
        let lost = cards(&CardChoice::All, Margin::BelowSlowdown(1), &Ok(vec![lost])).unwrap_err().what;
        assert!(lost.contains("cannot be used: it has fallen off the bus"), "{lost}");
        let none =
            cards(&CardChoice::All, Margin::BelowSlowdown(1), &Err("no driver".to_owned())).unwrap_err();
        assert_eq!(none.what, "no graphics card can be asked: no driver");
    }
}

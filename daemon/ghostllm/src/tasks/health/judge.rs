//! Whether a check passes, by what was seen.
//!
//! Knows thresholds and words. Refuses to look at anything. Invariant: what is exactly as much as is wanted passes, and one byte or
//! degree less does not.

use std::path::Path;

use ghostllm_core::{
    admin::{GpuMaker, InspectedCard},
    config::{CardChoice, Margin, Room, Subject},
    text::size,
};

use super::{
    Amiss, Outcome,
    looks::{Looks, Place, Space},
    unseen,
};
use crate::{
    access,
    backend::registry::{Known, Snapshot},
    cards::{Board, Told},
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

/// What shows the cards as they are numbered here.
const LISTS: &str = "ghostctl gpu, which lists those that there are; correct the check under [[health]]";

fn cards(which: &CardChoice, margin: Margin, seen: &Board) -> Outcome {
    let meant: Vec<&Told> = seen.cards.iter().filter(|told| is_meant(which, &told.card)).collect();
    let is_named = matches!(which, CardChoice::Uuid(_)) && !meant.is_empty();
    let why = || seen.missing.as_ref().map_or_else(String::new, |why| format!(": {why}"));
    if !seen.is_whole && !is_named {
        let none = if seen.cards.is_empty() { "no graphics card" } else { "not each graphics card" };
        let next = "ghostctl doctor, which looks at the drivers";
        return Err(amiss(format!("{none} can be asked{}", why()), next));
    }
    if meant.is_empty() {
        return Err(match which {
            CardChoice::All => amiss(format!("there is no graphics card{}", why()), next_of_none(seen)),
            CardChoice::Uuid(_) if which.is_processor() => no_processor(seen),
            CardChoice::Number(_) | CardChoice::Uuid(_) => {
                amiss(format!("there is no graphics card {which}{}", why()), LISTS)
            }
        });
    }
    let told: Result<Vec<String>, Amiss> = meant.into_iter().map(|told| one(told, margin)).collect();
    told.map(|told| told.join("; "))
}

/// The processor, which stands where there is no card, is no graphics card: it is meant by its number or its name alone.
fn is_meant(which: &CardChoice, card: &InspectedCard) -> bool {
    which.means(card.number, &card.uuid) && (*which != CardChoice::All || card.maker != GpuMaker::Processor)
}

fn no_processor(seen: &Board) -> Amiss {
    if seen.cards.is_empty() {
        let next =
            "cat /sys/class/thermal/thermal_zone*/type, which lists what it tells of; take the check away";
        return amiss("the kernel does not tell how warm the processor is", next);
    }
    amiss("the processor is asked where there is no graphics card, and here is one", LISTS)
}

fn next_of_none(seen: &Board) -> String {
    match seen.cards.first() {
        Some(_processor) => {
            format!("gpu = \"{}\" in the check, where the processor is meant", CardChoice::PROCESSOR)
        }
        None => LISTS.to_owned(),
    }
}

/// What shows the same of a card, by its driver's own means.
fn shows(card: &InspectedCard) -> &'static str {
    match card.maker {
        GpuMaker::Nvidia => "nvidia-smi",
        GpuMaker::Amd | GpuMaker::Intel | GpuMaker::Processor => "ghostctl gpu",
    }
}

fn one(Told { card, sleeps }: &Told, margin: Margin) -> Outcome {
    let name = match card.maker {
        GpuMaker::Processor => format!("the {}", card.name),
        GpuMaker::Nvidia | GpuMaker::Amd | GpuMaker::Intel => {
            format!("graphics card {} ({})", card.number, card.name)
        }
    };
    if let Some(fault) = &card.fault {
        return Err(amiss(
            format!("{name} cannot be used: {fault}"),
            format!("{}, which should show the same", shows(card)),
        ));
    }
    if *sleeps {
        return Ok(format!("{name} sleeps, since nobody uses it"));
    }
    match margin {
        Margin::Free(room) => free(&name, card, room),
        Margin::BelowSlowdown(least) => below(&name, card, least),
    }
}

fn free(name: &str, card: &InspectedCard, room: Room) -> Outcome {
    let (Some(free), Some(total)) = (card.free, card.memory) else {
        return Err(untold(name, "has no memory of its own, or does not tell how much is free"));
    };
    let (of, least) = (format!("{} of {} are free on {name}", size(free), size(total)), wanted(room, total));
    if free >= room.of(total) {
        return Ok(format!("{of}, and {least} are wanted"));
    }
    Err(amiss(
        format!("{of}, less than {least}"),
        format!("{}, which shows what is taken; end what is not needed", shows(card)),
    ))
}

fn below(name: &str, card: &InspectedCard, least: u32) -> Outcome {
    let Some(below) = card.below_slowdown else {
        return Err(untold(name, "does not tell how warm it is, or when it slows itself down"));
    };
    let of = if below < 0 {
        format!("{name} is {} °C above its slowdown", -below)
    } else {
        format!("{name} is {below} °C below its slowdown")
    };
    if below >= i64::from(least) {
        return Ok(format!("{of}, and {least} °C are wanted"));
    }
    let more = if card.maker == GpuMaker::Nvidia { " -q -d TEMPERATURE" } else { "" };
    Err(amiss(
        format!("{of}, and {least} °C below are wanted"),
        format!("look after its fans and the air around it; {}{more}", shows(card)),
    ))
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

    /// A card whose UUID is made of what is free.
    fn card(number: usize, free: Option<u64>, below_slowdown: Option<i64>) -> Told {
        let card = InspectedCard {
            number,
            maker: GpuMaker::Nvidia,
            name: "Fake".to_owned(),
            uuid: format!("GPU-{}", free.unwrap_or_default()),
            memory: Some(1000),
            free,
            shares_memory: false,
            below_slowdown,
            driver: "1".to_owned(),
            fault: None,
            damage: None,
        };
        Told { card, sleeps: false }
    }

    fn board(cards: Vec<Told>) -> Board {
        Board { cards, missing: None, is_whole: true }
    }

    #[test]
    fn each_card_that_is_meant_must_have_its_margin() {
        let two = board(vec![card(0, Some(100), Some(10)), card(1, Some(99), Some(9))]);
        let free = Margin::Free(Room::Percent(10));
        let first = CardChoice::Number(0);
        assert!(
            cards(&first, free, &two).unwrap().contains("100 B of 1000 B are free on graphics card 0 (Fake)")
        );
        assert!(cards(&CardChoice::Number(1), free, &two).unwrap_err().what.contains("99 B of 1000 B"));
        assert!(cards(&CardChoice::All, free, &two).unwrap_err().what.contains("graphics card 1"));
        assert!(cards(&CardChoice::Uuid("GPU-100".to_owned()), free, &two).is_ok());
        assert!(cards(&first, Margin::BelowSlowdown(10), &two).is_ok());
        let warm = cards(&CardChoice::All, Margin::BelowSlowdown(10), &two).unwrap_err();
        assert_eq!(
            warm.what,
            "graphics card 1 (Fake) is 9 °C below its slowdown, and 10 °C below are wanted"
        );
        assert!(warm.next.ends_with("nvidia-smi -q -d TEMPERATURE"), "{warm:?}");
        assert_eq!(
            cards(&CardChoice::Number(2), free, &two).unwrap_err().what,
            "there is no graphics card 2"
        );
    }

    #[test]
    fn a_card_that_does_not_tell_fails() {
        let one = board(vec![card(0, None, None)]);
        for margin in [Margin::Free(Room::Percent(1)), Margin::BelowSlowdown(1)] {
            assert!(cards(&CardChoice::All, margin, &one).unwrap_err().next.contains("another threshold"));
        }
        let hot = board(vec![card(0, None, Some(-3))]);
        let hot = cards(&CardChoice::All, Margin::BelowSlowdown(1), &hot).unwrap_err().what;
        assert!(hot.contains("is 3 °C above its slowdown"), "{hot}");
        let mut lost = card(0, Some(1), None);
        lost.card.fault = Some("it has fallen off the bus".to_owned());
        let lost = cards(&CardChoice::All, Margin::BelowSlowdown(1), &board(vec![lost])).unwrap_err().what;
        assert!(lost.contains("cannot be used: it has fallen off the bus"), "{lost}");
        let none = Board { missing: Some("no driver".to_owned()), is_whole: false, ..board(Vec::new()) };
        let none = cards(&CardChoice::All, Margin::BelowSlowdown(1), &none).unwrap_err();
        assert_eq!(none.what, "no graphics card can be asked: no driver");
    }

    #[test]
    fn a_card_that_sleeps_is_cool_and_free() {
        let asleep = Told { sleeps: true, ..card(0, None, None) };
        for margin in [Margin::Free(Room::Percent(100)), Margin::BelowSlowdown(100)] {
            let told = cards(&CardChoice::All, margin, &board(vec![asleep.clone()])).unwrap();
            assert_eq!(told, "graphics card 0 (Fake) sleeps, since nobody uses it");
        }
    }

    #[test]
    fn a_number_is_nobodys_while_a_driver_does_not_answer_and_a_name_is_its_card_s() {
        let told = Board {
            missing: Some("no answer".to_owned()),
            is_whole: false,
            ..board(vec![card(0, Some(7), Some(20))])
        };
        let margin = Margin::BelowSlowdown(20);
        for which in [CardChoice::All, CardChoice::Number(0), CardChoice::Uuid("GPU-8".to_owned())] {
            let amiss = cards(&which, margin, &told).unwrap_err();
            assert_eq!(amiss.what, "not each graphics card can be asked: no answer", "{which}");
        }
        assert!(cards(&CardChoice::Uuid("GPU-7".to_owned()), margin, &told).is_ok());
    }

    #[test]
    fn a_processor_is_meant_by_its_number_and_not_by_all_cards() {
        let mut told = card(0, None, Some(35));
        (told.card.maker, told.card.name) = (GpuMaker::Processor, "processor (cpu-thermal)".to_owned());
        CardChoice::PROCESSOR.clone_into(&mut told.card.uuid);
        told.card.memory = None;
        let alone = Board { missing: Some("no NVIDIA driver".to_owned()), ..board(vec![told]) };
        let first = CardChoice::Number(0);
        for which in [&first, &CardChoice::Uuid(CardChoice::PROCESSOR.to_owned())] {
            assert_eq!(
                cards(which, Margin::BelowSlowdown(35), &alone).unwrap(),
                "the processor (cpu-thermal) is 35 °C below its slowdown, and 35 °C are wanted"
            );
        }
        let warm = cards(&first, Margin::BelowSlowdown(36), &alone).unwrap_err();
        assert_eq!(warm.next, "look after its fans and the air around it; ghostctl gpu");
        assert!(
            cards(&first, Margin::Free(Room::Percent(1)), &alone).unwrap_err().what.contains("no memory")
        );
        let named = CardChoice::Uuid(CardChoice::PROCESSOR.to_owned());
        let amiss = |board: &Board| cards(&named, Margin::BelowSlowdown(1), board).unwrap_err().what;
        assert!(amiss(&board(Vec::new())).starts_with("the kernel does not tell"));
        assert!(amiss(&board(vec![card(0, None, Some(35))])).ends_with("and here is one"));
        let all = cards(&CardChoice::All, Margin::BelowSlowdown(1), &alone).unwrap_err();
        assert!(all.next.contains("gpu = \"processor\""), "{all:?}");
    }
}

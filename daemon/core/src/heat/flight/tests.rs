use std::time::Duration;

use proptest::prelude::*;

use super::{
    super::{Absent, Bounds, Cause, Judge, Policy, Reason, Throttles, Verdict, governor::ByClass},
    *,
};
use crate::state::{
    Damage, Unread,
    flight::{LARGEST, decode, encode},
};

/// A record of every kind of value, written by version 1. A new version brings a file of its own beside it.
const RECORDED: &[u8] = include_bytes!("../../../tests-data/state/flight-1");

/// A card with its judge, and what comes of each look.
struct Card4090 {
    judge: Judge,
    recorder: Box<Recorder>,
    steps: Vec<(u64, Step)>,
}

impl Card4090 {
    fn new() -> Self {
        Self { judge: Judge::new(Bounds::default()), recorder: Box::default(), steps: Vec::new() }
    }

    /// A look at this second, by a reading of so many degrees and these reasons.
    fn look(&mut self, second: u64, celsius: f32, reasons: &[Reason]) -> Step {
        self.look_at(&sample(Duration::from_secs(second), celsius, reasons))
    }

    fn look_at(&mut self, sample: &Sample) -> Step {
        let verdict = self.judge.look(sample.at, Some(sample));
        let look =
            Look { now: sample.at, sample: Some(sample), verdict: Some(&verdict), requests: requests() };
        let step = self.recorder.look(&look);
        if step != Step::Nothing {
            self.steps.push((sample.at.as_secs(), step));
        }
        step
    }

    /// Seconds of the same.
    fn stay(&mut self, seconds: std::ops::Range<u64>, celsius: f32, reasons: &[Reason]) {
        for second in seconds {
            self.look(second, celsius, reasons);
        }
    }

    fn flight(&self) -> Flight {
        self.recorder.flight(origin(), card())
    }

    /// When a record was whole.
    fn whole(&self) -> Vec<u64> {
        self.steps.iter().filter(|(_, step)| *step == Step::Whole).map(|(second, _)| *second).collect()
    }
}

/// A card that its driver slows down at 90 °C, its hardware at 95, and that switches itself off at 98.
fn sample(at: Duration, celsius: f32, reasons: &[Reason]) -> Sample {
    let mut sample = Sample::missing(at, Absent::Unsupported);
    sample.gpu.celsius = Ok(celsius);
    sample.gpu.to_soft = Ok(90.0 - celsius);
    sample.gpu.to_slowdown = Ok(95.0 - celsius);
    sample.gpu.to_shutdown = Ok(98.0 - celsius);
    sample.power.watts = Ok(310.5);
    sample.clocks.core = Ok(2500);
    sample.clocks.core_most = Ok(2745);
    sample.throttles = Ok(reasons.iter().copied().collect());
    sample
}

fn lost(second: u64) -> Sample {
    Sample::missing(Duration::from_secs(second), Absent::Lost)
}

fn requests() -> Requests {
    Requests { running: ByClass { interactive: 3, background: 1 }, ..Requests::default() }
}

fn origin() -> Origin {
    Origin {
        zero: 1_795_000_000_000,
        made: 1_795_000_400_000,
        program: "0.1.0".to_owned(),
        boot: "b1".to_owned(),
    }
}

fn card() -> super::Card {
    super::Card::new(2, ["NVIDIA Fake 4090", "GPU-1", "0000:01:00.0", "580.95.05"])
}

fn whats(flight: &Flight) -> Vec<Trigger> {
    flight.events.iter().map(|event| event.what).collect()
}

#[test]
fn heat_has_the_five_minutes_before_it_and_the_one_after() {
    let mut card = Card4090::new();
    card.stay(0..1000, 60.0, &[]);
    assert!(card.steps.is_empty(), "a cool card writes nothing: {:?}", card.steps);
    assert_eq!(
        card.look(1000, 91.0, &[Reason::SoftHeat]),
        Step::Running,
        "at once: the machine may die of it"
    );
    assert!(card.recorder.is_open());
    card.stay(1001..1010, 91.0, &[Reason::SoftHeat]);
    card.stay(1010..1060, 60.0, &[]);
    assert_eq!(card.look(1060, 60.0, &[]), Step::Whole);
    let flight = card.flight();
    assert_eq!(flight.events, [Event { at: 10_000, what: Trigger::Heat }]);
    let ends = (flight.frames[0].at, flight.frames.last().unwrap().at, flight.frames.len());
    assert_eq!(ends, (7_000, 10_600, 361));
    assert_eq!((flight.event(), flight.span(), flight.gravest()), (10_000, 3_600, Some(Trigger::Heat)));
    assert_eq!(flight.date(10_000), 1_795_000_000_000 + 1_000_000);
    let at = &flight.frames[300];
    assert_eq!((at.at, at.gpu, at.slower, at.state), (10_000, Some(910), Some(-10), State::ThrottledByHeat));
    assert_eq!((at.power, at.clock, at.requests), (Some(3105), Some(2500), requests()));
    let limits = flight.limits;
    assert_eq!(
        (limits.gpu.soft, limits.gpu.slowdown, limits.gpu.shutdown),
        (Some(900), Some(950), Some(980))
    );
    assert_eq!((limits.clock, limits.memory, limits.memory_size), (Some(2745), Threshold::default(), None));
    // It was whole, and is given once.
    assert_eq!(card.look(1061, 60.0, &[]), Step::Running, "near for a minute still, so that a cut is seen");
    assert!(!card.recorder.is_open() && card.flight().events.is_empty());
    card.stay(1062..1100, 60.0, &[]);
    assert_eq!(card.steps.last(), Some(&(1069, Step::Over)));
}

#[test]
fn each_trigger_is_known_and_several_are_one_record() {
    let mut card = Card4090::new();
    card.stay(0..100, 60.0, &[]);
    card.stay(100..110, 60.0, &[Reason::Brake]);
    card.stay(110..120, 91.0, &[Reason::SoftHeat]);
    card.stay(120..130, 95.5, &[Reason::HardHeat]);
    card.look_at(&lost(130));
    for second in [160, 189] {
        card.look_at(&lost(second));
    }
    assert!(card.whole().is_empty());
    assert_eq!(card.look_at(&lost(190)), Step::Whole, "a minute after the last of it");
    let flight = card.flight();
    assert_eq!(whats(&flight), [Trigger::Brake, Trigger::Heat, Trigger::Shutdown, Trigger::Lost]);
    assert_eq!(flight.events.iter().map(|event| event.at).collect::<Vec<_>>(), [1000, 1100, 1200, 1300]);
    assert_eq!(flight.gravest(), Some(Trigger::Lost));
    let last = flight.frames.last().unwrap();
    assert_eq!((last.gpu, last.throttles, last.state), (None, None, State::Lost));
    // It stays lost, which is not lost again.
    for second in 191..2000 {
        assert_eq!(card.look_at(&lost(second)), Step::Nothing, "{second}");
    }
}

#[test]
fn a_card_near_its_end_by_its_driver_s_limit_alone_is_not_near_its_end() {
    assert_eq!(NEAR_SHUTDOWN, Policy::new(ByClass::default()).hold);
    let mut card = Card4090::new();
    card.look(0, 94.5, &[Reason::SoftHeat]);
    assert_eq!(whats(&card.flight()), [Trigger::Heat]);
    card.look(1, 95.0, &[Reason::SoftHeat]);
    assert_eq!(whats(&card.flight()), [Trigger::Heat, Trigger::Shutdown]);
}

#[test]
fn a_card_that_throttles_all_day_begins_one_record_until_it_has_been_quiet() {
    let mut card = Card4090::new();
    for minute in 0..60 {
        card.stay(minute * 60..minute * 60 + 30, 91.0, &[Reason::SoftHeat]);
        card.stay(minute * 60 + 30..minute * 60 + 60, 70.0, &[]);
    }
    assert_eq!(card.whole(), [60]);
    card.stay(3600..3900, 70.0, &[]);
    card.stay(3900..4000, 91.0, &[Reason::SoftHeat]);
    assert_eq!(card.whole(), [60, 3960]);
}

#[test]
fn what_comes_one_after_the_other_is_in_one_record_of_four_minutes_at_the_most() {
    let mut card = Card4090::new();
    card.look(0, 60.0, &[Reason::Brake]);
    card.stay(1..59, 60.0, &[]);
    card.look(59, 91.0, &[Reason::SoftHeat]);
    card.stay(60..118, 60.0, &[]);
    card.look(118, 96.0, &[Reason::HardHeat]);
    card.stay(119..177, 60.0, &[]);
    card.look_at(&lost(177));
    card.stay(178..237, 60.0, &[]);
    assert_eq!(card.look(237, 60.0, &[]), Step::Whole, "{:?}", card.steps);
    let flight = card.flight();
    assert_eq!((flight.events.len(), flight.span(), flight.frames.len()), (4, 2370, 238));
}

#[test]
fn what_is_near_is_on_the_disk_every_few_seconds_and_no_longer_than_it_is_near() {
    let mut card = Card4090::new();
    card.stay(0..10, 60.0, &[]);
    card.stay(10..100, 85.0, &[]);
    card.stay(100..300, 60.0, &[]);
    let warm: Vec<u64> = (10..=150).step_by(10).collect();
    let running = |card: &Card4090| {
        let running = card.steps.iter().filter(|(_, step)| *step == Step::Running);
        running.map(|(second, _)| *second).collect::<Vec<_>>()
    };
    assert_eq!(running(&card), warm, "as long as it is warm, and a minute more");
    assert_eq!(card.steps.last(), Some(&(159, Step::Over)));
    assert!(card.whole().is_empty());
    // Heat is written at once, and twice as often.
    let mut hot = Card4090::new();
    hot.stay(0..12, 85.0, &[]);
    hot.stay(12..30, 91.0, &[Reason::SoftHeat]);
    assert_eq!(running(&hot), [0, 10, 12, 17, 22, 27]);
    // A driver that hangs leaves what there was, and is not written again and again.
    let mut stale = Card4090::new();
    stale.stay(0..5, 85.0, &[]);
    for second in 5..500 {
        let now = Duration::from_secs(second);
        let verdict = stale.judge.look(now, None);
        let look = Look { now, sample: None, verdict: Some(&verdict), requests: requests() };
        let step = stale.recorder.look(&look);
        assert_eq!(step, if second == 10 { Step::Running } else { Step::Nothing }, "{second}");
    }
}

#[test]
fn a_card_that_was_near_its_limit_and_is_gone_is_lost_and_a_cool_one_is_gone() {
    let gone = |second: u64| Look {
        now: Duration::from_secs(second),
        sample: None,
        verdict: None,
        requests: requests(),
    };
    let mut card = Card4090::new();
    card.stay(0..10, 85.0, &[]);
    assert_eq!(card.recorder.look(&gone(10)), Step::Running);
    assert_eq!(whats(&card.flight()), [Trigger::Lost]);
    assert_eq!(card.recorder.look(&gone(70)), Step::Whole);
    assert_eq!(card.recorder.look(&gone(71)), Step::Nothing);
    let mut cool = Card4090::new();
    cool.stay(0..10, 60.0, &[]);
    assert_eq!(cool.recorder.look(&gone(10)), Step::Nothing);
    assert!(!cool.recorder.is_open());
}

#[test]
fn readings_of_one_second_are_one_frame_of_the_gravest() {
    let mut card = Card4090::new();
    for tenth in 0..20 {
        let mut sample = sample(Duration::from_millis(tenth * 100), 80.0, &[]);
        if tenth == 4 {
            sample.gpu.celsius = Ok(91.0);
            sample.gpu.to_soft = Ok(-1.0);
            sample.clocks.core = Ok(900);
            sample.throttles = Ok([Reason::SoftHeat].into_iter().collect());
        }
        sample.power.watts = Ok(100.0 + 10.0 * f32::from(u8::try_from(tenth % 10).unwrap()));
        card.look_at(&sample);
    }
    let frames = card.flight().frames;
    assert_eq!(frames.len(), 2);
    let first = frames[0];
    assert_eq!(
        (first.gpu, first.slower, first.clock, first.power),
        (Some(910), Some(-10), Some(900), Some(1900))
    );
    assert_eq!((first.state, frames[1].state), (State::ThrottledByHeat, State::Warm));
    assert!(first.throttles.unwrap().has(Reason::SoftHeat) && frames[1].throttles.unwrap().is_empty());
}

#[test]
fn a_running_record_is_cut_off_where_it_ends_and_says_who_went() {
    let mut card = Card4090::new();
    card.stay(0..10, 60.0, &[]);
    card.stay(10..20, 91.0, &[Reason::SoftHeat]);
    let running = card.flight();
    let minutes = |after: i64| Some(running.origin.made + after * 60_000);
    for (id, began, ran_on, words) in [
        ("b1", minutes(-600), Some(true), "the machine ran on"),
        ("b2", minutes(0), Some(false), "the machine went down"),
        ("b2", minutes(15), Some(false), "the machine went down"),
        // The daemon may have crashed hours before somebody restarted the machine.
        ("b2", minutes(16), None, "is not known"),
        ("b2", minutes(600), None, "is not known"),
        // The clock was wrong then, or is now.
        ("b2", minutes(-2), None, "is not known"),
        ("b2", None, None, "is not known"),
        ("", minutes(1), None, "is not known"),
    ] {
        let boot = &Boot { id, began };
        let cut = running.clone().cut_off(boot);
        assert_eq!(whats(&cut), [Trigger::Heat, Trigger::Abrupt]);
        assert_eq!((cut.events[1].at, cut.ran_on), (190, ran_on));
        assert!(cut.words(Trigger::Abrupt).contains(words), "{}", cut.words(Trigger::Abrupt));
        assert_eq!(cut.clone().cut_off(boot), cut, "once");
        assert_eq!(decode(&encode(&cut).unwrap()), Ok(cut));
    }
    // An event of a moment behind the first reading of the last second.
    let late = Event { at: 197, what: Trigger::Lost };
    let same = Boot { id: "b1", began: None };
    let cut =
        Flight { events: [running.events.clone(), vec![late]].concat(), ..running.clone() }.cut_off(&same);
    assert_eq!((whats(&cut).len(), cut.events[2].at), (3, 197));
    assert_eq!(decode(&encode(&cut).unwrap()), Ok(cut));
    let unread = Flight { frames: Vec::new(), events: Vec::new(), ..running };
    assert_eq!(unread.cut_off(&same).events, [Event { at: 0, what: Trigger::Abrupt }]);
}

#[test]
fn a_running_record_is_known_as_an_earlier_state_of_a_whole_one() {
    let mut card = Card4090::new();
    card.stay(0..10, 60.0, &[]);
    let warm = card.flight();
    card.stay(10..20, 91.0, &[Reason::SoftHeat]);
    let earlier = card.flight();
    card.stay(20..30, 96.0, &[Reason::HardHeat]);
    let later = card.flight();
    assert_eq!(later.events.len(), 2, "{:?}", later.events);
    assert!(later.continues(&earlier) && later.continues(&later));
    assert!(!earlier.continues(&later), "it is the later one");
    assert!(!later.continues(&warm), "it knows nothing of what has happened");
    let other = Flight { card: super::Card::new(2, ["", "GPU-2", "", ""]), ..earlier.clone() };
    assert!(!later.continues(&other), "another card");
    let before = Flight { origin: Origin { boot: "b0".to_owned(), ..origin() }, ..earlier };
    assert!(!later.continues(&before), "another run of the machine");
}

/// One of every kind of value.
fn every() -> Flight {
    let decided = Decided {
        limits: ByClass { interactive: 2, background: 0 },
        most: ByClass { interactive: 8, background: 300 },
        door: Door::Refuse,
        cause: Cause::HeldLong,
    };
    let frame = Frame {
        at: 3000,
        state: State::Lost,
        gpu: Some(905),
        memory: Some(-5),
        hotspot: None,
        slower: Some(-15),
        slowdown: Some(45),
        shutdown: Some(75),
        power: Some(3105),
        power_limit: Some(4500),
        clock: Some(2500),
        memory_clock: None,
        throttles: Some([Reason::PowerCap, Reason::HardHeat].into_iter().collect()),
        busy: Some(100),
        fan: Some(0),
        used: Some(24_000),
        requests: Requests {
            decided: Some(decided),
            waiting: ByClass { interactive: 7, background: 0 },
            ..requests()
        },
    };
    let states = State::ALL.into_iter().zip(0..).map(|(state, place)| Frame { at: place, state, ..frame });
    let causes = Cause::ALL.into_iter().zip(100..).map(|(cause, at)| Frame {
        at,
        throttles: None,
        requests: Requests { decided: Some(Decided { cause, ..decided }), ..Requests::default() },
        ..frame
    });
    Flight {
        origin: origin(),
        card: card(),
        limits: Limits { clock: Some(2745), memory_size: Some(24_564), ..Limits::default() },
        events: Trigger::ALL.into_iter().zip(0..).map(|(what, at)| Event { at, what }).collect(),
        ran_on: Some(false),
        frames: states.chain(causes).chain([frame]).collect(),
    }
}

#[test]
fn a_file_of_every_version_is_read() {
    assert_eq!(crate::state::flight::VERSION, 1, "a new version brings a file of the one before");
    // Whoever sees this fail has changed what postcard writes: that is another version, and a step from this one.
    assert_eq!(encode(&every()).unwrap(), RECORDED);
    assert_eq!(decode(RECORDED), Ok(every()));
}

#[test]
fn what_is_damaged_cut_or_newer_is_told_apart_and_never_read_as_something_else() {
    for cut in 0..RECORDED.len() {
        assert!(matches!(decode(&RECORDED[..cut]), Err(Unread::Damaged(_))), "cut at {cut}");
    }
    for place in 0..RECORDED.len() {
        for bit in 0..8 {
            let mut changed = RECORDED.to_vec();
            changed[place] ^= 1 << bit;
            let read = decode(&changed);
            // The checksum's digits in capitals are another text.
            assert!(matches!(read, Err(Unread::Damaged(_))), "bit {bit} at {place}: {read:?}");
        }
    }
    let more = [RECORDED, b"x"].concat();
    assert!(decode(&more).is_err());
    let with = |version: usize, content: &[u8]| {
        let sum = crate::state::checksum("flight", version, content);
        decode(&[format!("flight\n{version}\n{sum}\n").as_bytes(), content].concat())
    };
    assert_eq!(with(2, b"whatever it is"), Err(Unread::Newer(2)));
    assert_eq!(with(0, b""), Err(Damage("version 0 never was".to_owned()).into()));
    assert!(matches!(with(1, b"whatever it is"), Err(Unread::Damaged(_))));
    assert_eq!(
        decode(&vec![b'a'; LARGEST + 1]),
        Err(Damage("it is larger than any record".to_owned()).into())
    );
    let other = Damage("no file of the kind \"flight\"".to_owned());
    assert_eq!(decode(b"usage\n1\n"), Err(other.into()));
    // Of its form, and not as a recorder writes it.
    let back = Flight { frames: every().frames.into_iter().rev().collect(), ..every() };
    let many = Flight { frames: vec![every().frames[0]; FRAMES_MOST + 1], ..every() };
    for wrong in [back, many] {
        assert!(matches!(decode(&encode(&wrong).unwrap()), Err(Unread::Damaged(_))));
    }
}

#[test]
fn the_largest_record_has_room_in_its_file() {
    let long = "x".repeat(500);
    let decided = Decided {
        limits: ByClass { interactive: u16::MAX, background: u16::MAX },
        most: ByClass { interactive: u16::MAX, background: u16::MAX },
        door: Door::Refuse,
        cause: Cause::Blind,
    };
    let all = ByClass { interactive: u16::MAX, background: u16::MAX };
    let frame = Frame {
        at: u32::MAX,
        gpu: Some(i16::MIN),
        memory: Some(i16::MIN),
        hotspot: Some(i16::MIN),
        slower: Some(i16::MIN),
        slowdown: Some(i16::MIN),
        shutdown: Some(i16::MIN),
        power: Some(u16::MAX),
        power_limit: Some(u16::MAX),
        clock: Some(u16::MAX),
        memory_clock: Some(u16::MAX),
        throttles: Some(Throttles::of_bits(u16::MAX)),
        busy: Some(u8::MAX),
        fan: Some(u8::MAX),
        used: Some(u32::MAX),
        requests: Requests { running: all, waiting: all, decided: Some(decided) },
        state: State::Lost,
    };
    let card = super::Card::new(u32::MAX, [&long, &long, &long, &long]);
    assert_eq!((card.name.len(), super::Card::new(0, ["ä", "", "", ""]).name), (NAME_MOST, "ä".to_owned()));
    let origin = Origin { program: "0.1.0".repeat(10), boot: "b".repeat(36), zero: i64::MIN, made: i64::MIN };
    let largest = Flight { origin, card, frames: vec![frame; FRAMES_MOST], ..every() };
    let file = encode(&largest).unwrap();
    assert!(file.len() > LARGEST / 2, "{}", file.len());
    assert_eq!(decode(&file), Ok(largest.clone()));
    let larger = Flight { frames: vec![frame; 2 * FRAMES_MOST], ..largest };
    assert_eq!(encode(&larger), Err(Damage("it is too large".to_owned())));
    assert!(size_of::<Recorder>() <= 56_000, "{}", size_of::<Recorder>());
}

#[test]
fn a_trigger_has_one_name() {
    for what in Trigger::ALL {
        assert_eq!(serde_json::to_value(what).unwrap(), what.name());
    }
    assert!(Trigger::ALL.is_sorted());
}

#[test]
fn a_name_says_when_which_card_and_what_and_nothing_else_is_one() {
    let name = Name::of(&Flight { events: vec![Event { at: 0, what: Trigger::Heat }], ..every() });
    assert_eq!(name.to_string(), "20261118T110640Z-card2-heat");
    let all = Trigger::ALL.map(|what| Name::new(-1, 31, what));
    for name in all.iter().flat_map(|name| [name.clone(), name.clone().next().next()]).chain([name]) {
        assert_eq!(name.to_string().parse(), Ok(name.clone()));
    }
    assert_eq!(all[4].to_string(), "19691231T235959Z-card31-lost");
    assert_eq!(all[1].clone().next().to_string(), "19691231T235959Z-card31-heat-1");
    assert_eq!(Name::new(i64::MAX, 0, Trigger::Lost).to_string(), "19700101T000000Z-card0-lost");
    for other in [
        "",
        "running-card0",
        "20261118T110640Z-card2",
        "20261118T110640Z-card02-heat",
        "20261118T110640Z-card2-heat-0",
        "20261118T110640Z-card2-heat-1-1",
        "20261118T110640Z-card2-cold",
        "20261118T110640Z-2-heat",
        "2026118T122640Z-card2-heat",
        ".20261118T110640Z-card2-heat.next",
        "20261118X122640Z-card2-heat",
    ] {
        assert_eq!(other.parse::<Name>(), Err(super::name::NoName), "{other}");
    }
}

#[test]
fn the_oldest_go_and_those_of_losses_and_of_abrupt_ends_last() {
    let of = |second: i64, what| Name::new(second * 1000, 0, what);
    let heat: Vec<Name> = (0..30).map(|second| of(second, Trigger::Heat)).collect();
    let grave = [of(0, Trigger::Lost), of(1, Trigger::Abrupt), of(2, Trigger::Lost)];
    let all = |more: &[Name]| [&heat, &grave[..], more].concat();
    assert_eq!(surplus(all(&[])[1..].to_vec(), &heat[29]), []);
    assert_eq!(surplus(all(&[]), &heat[29]), [heat[0].clone()]);
    assert_eq!(surplus(all(&[of(40, Trigger::Brake)]), &of(40, Trigger::Brake)), heat[..2]);
    // A clock that was lost: what it is about stays, and once only grave ones are left the oldest of them goes.
    assert_eq!(surplus(all(&[]), &heat[0]), [heat[1].clone()]);
    let lost: Vec<Name> = (0..34).map(|second| of(second, Trigger::Lost)).collect();
    assert_eq!(surplus(lost.clone(), &lost[0]), lost[1..3]);
}

/// Draws that a seed fixes (splitmix64), since a strategy for each step would take most of the time.
struct Draws(u64);

impl Draws {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % most
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, ..ProptestConfig::default() })]

    /// A hundred thousand steps of anything, in ten cases.
    #[test]
    fn whatever_a_card_does_records_have_their_bounds(seed in any::<u64>()) {
        let (mut draws, mut card) = (Draws(seed), Card4090::new());
        let (mut now, mut celsius, mut running, mut whole) = (Duration::ZERO, 60.0_f32, 0_u64, 0_u64);
        let mut happened = 0;
        for _ in 0..10_000 {
            now += Duration::from_millis([100, 100, 1000, 1000, 30_000][usize::try_from(draws.below(5)).unwrap()]);
            celsius = (celsius + f32::from(u8::try_from(draws.below(9)).unwrap()) - 4.0).clamp(40.0, 99.0);
            let reasons: Vec<Reason> = Reason::ALL.into_iter().filter(|_| draws.below(40) == 0).collect();
            let mut sample = sample(now, celsius, &reasons);
            if draws.below(50) == 0 {
                sample = Sample::missing(now, Absent::Lost);
            }
            let verdict = card.judge.look(now, Some(&sample));
            let (there, new) = (draws.below(200) > 0, draws.below(10) > 0);
            let before = card.recorder.is_open();
            let step = card.recorder.look(&Look {
                now,
                sample: new.then_some(&sample),
                verdict: there.then_some(&verdict),
                requests: requests(),
            });
            happened += u64::from(card.recorder.is_open() && !before);
            running += u64::from(step == Step::Running);
            whole += u64::from(step == Step::Whole);
            if step == Step::Nothing && draws.below(100) > 0 {
                continue;
            }
            let flight = card.flight();
            prop_assert!(flight.frames.len() <= FRAMES_MOST && flight.events.len() < EVENTS_MOST);
            if step != Step::Nothing && step != Step::Over {
                let file = encode(&flight).unwrap();
                prop_assert!(file.len() <= LARGEST);
                prop_assert_eq!(decode(&file), Ok(flight.clone()));
                let first = flight.events.first().map_or(u32::MAX, |event| event.at);
                prop_assert!(flight.frames.iter().all(|frame| frame.at + 3000 >= first.min(frame.at + 3000)));
                prop_assert!(flight.span() <= 3000 + 2400 + 10);
            }
        }
        // Five kinds at most in any five minutes, so many records at most.
        let minutes = now.as_secs() / 60;
        prop_assert!(whole <= minutes && happened >= whole, "{whole} of {happened} in {minutes} min");
        prop_assert!(running <= now.as_secs() / 5 + 5 * whole + 5, "{running} writes");
        prop_assert!(whole > 0 && running > whole, "it was no idle run");
    }
}

/// Rewrites the file of the present version. By hand: `cargo test -p ghostllm-core writes_the_recorded_file -- --ignored`.
#[test]
#[ignore = "writes a file of the checkout"]
fn writes_the_recorded_file() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests-data/state/flight-1");
    std::fs::write(path, encode(&every()).unwrap()).unwrap();
}

/// What the judge says is all that the recorder goes by.
#[test]
fn a_verdict_without_a_reading_is_judged_as_well() {
    let mut recorder = Recorder::default();
    let verdict = Verdict { now: State::Lost, ..Judge::new(Bounds::default()).look(Duration::ZERO, None) };
    let look = Look { now: Duration::ZERO, sample: None, verdict: Some(&verdict), requests: requests() };
    // A card that has never said anything: nothing to write, and it has happened nevertheless.
    assert_eq!((recorder.look(&look), recorder.is_open()), (Step::Nothing, true));
    assert_eq!(recorder.look(&Look { now: AFTER, ..look }), Step::Whole);
}

use std::{
    os::unix::fs::{PermissionsExt, symlink},
    time::Duration,
};

use ghostllm_core::heat::flight::{Card, Event, Limits, Origin, RECORDS};

use super::*;

/// A state, and the room in it.
struct Place {
    at: tempfile::TempDir,
    room: Room,
}

impl Place {
    fn new() -> Self {
        let at = tempfile::tempdir().unwrap();
        let state = StateDir::open(&at.path().join("state")).unwrap();
        let room = Room::new(&state);
        Self { at, room }
    }

    fn path(&self) -> PathBuf {
        self.at.path().join("state")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path().join(ROOM).join(name)
    }

    fn names(&self) -> Vec<String> {
        glance(&self.path()).unwrap().into_iter().map(|found| found.name).collect()
    }

    fn keeps(&self, flight: Flight) {
        self.room.write(&Work { whole: vec![(0, flight)], ..Work::default() });
    }

    fn runs(&self, running: Running) {
        self.room.write(&Work { running: [(0, running)].into(), ..Work::default() });
    }

    fn begins(&self) {
        self.room.write(&Work { begun: true, ..Work::default() });
    }

    fn is_alarmed(&self) -> bool {
        self.room.state.is_alarmed()
    }
}

/// A record of that second.
fn flight(second: u32, what: Option<Trigger>) -> Flight {
    Flight {
        origin: Origin { boot: "another".to_owned(), ..Origin::default() },
        card: Card::new(0, ["NVIDIA Fake 4090", "GPU-1", "", ""]),
        limits: Limits::default(),
        events: what.into_iter().map(|what| Event { at: second * 10, what }).collect(),
        ran_on: None,
        frames: Vec::new(),
    }
}

#[test]
fn a_record_is_kept_for_its_owner_alone_and_read_without_a_change() {
    let place = Place::new();
    place.begins();
    place.runs(Running::Over);
    assert!(!place.path().join(ROOM).exists() && place.names().is_empty(), "nothing was made for nothing");
    place.keeps(flight(1, Some(Trigger::Heat)));
    place.keeps(flight(1, Some(Trigger::Heat)));
    place.runs(Running::Is(Box::new(flight(2, None))));
    assert_eq!(place.names(), ["running-0", "19700101T000001Z-card0-heat-1", "19700101T000001Z-card0-heat"]);
    let found = glance(&place.path()).unwrap();
    assert_eq!(found.iter().map(|found| found.running).collect::<Vec<_>>(), [true, false, false]);
    assert_eq!(found[2].flight, Ok(flight(1, Some(Trigger::Heat))));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&place.path().join(ROOM)), 0o700);
    assert_eq!(mode(&place.file("running-0")), 0o600);
    place.runs(Running::Over);
    assert_eq!(place.names().len(), 2);
    assert!(!place.is_alarmed());
}

#[test]
fn no_more_are_kept_than_there_may_be() {
    let place = Place::new();
    place.keeps(flight(1, Some(Trigger::Lost)));
    for second in 2..=100 {
        place.keeps(flight(second, Some(Trigger::Heat)));
    }
    let names = place.names();
    assert_eq!(names.len(), RECORDS);
    assert_eq!(names[0], "19700101T000140Z-card0-heat");
    assert_eq!(names[RECORDS - 1], "19700101T000001Z-card0-lost", "a loss stays");
    let all = fs::read_dir(place.path().join(ROOM)).unwrap().count();
    assert_eq!(all, RECORDS, "nothing else is left there");
}

#[test]
fn what_nobody_has_ended_becomes_a_record_at_the_next_start() {
    let mut place = Place::new();
    // The machine was there again a minute after that was written.
    place.room.began = Some(60_000);
    place.runs(Running::Is(Box::new(flight(7, Some(Trigger::Heat)))));
    fs::write(place.file(".half-written.next"), "x").unwrap();
    place.begins();
    assert_eq!(place.names(), ["19700101T000007Z-card0-abrupt_end"]);
    let found = glance(&place.path()).unwrap().remove(0).flight.unwrap();
    assert_eq!(
        found.events.iter().map(|event| event.what).collect::<Vec<_>>(),
        [Trigger::Heat, Trigger::Abrupt]
    );
    assert_eq!(found.ran_on, Some(false), "another run of the machine");
    assert!(!place.file(".half-written.next").exists());
    assert!(boot_time().is_some_and(|began| began > 1_500_000_000_000), "and what the kernel says is a date");
    // The daemon alone.
    let own = Origin { boot: place.room.boot().to_owned(), ..Origin::default() };
    place.runs(Running::Is(Box::new(Flight { origin: own, ..flight(8, None) })));
    place.begins();
    // It has no reading, and so nobody knows when it was.
    let found = glance(&place.path()).unwrap().pop().unwrap();
    assert_eq!(
        (found.name.as_str(), found.flight.unwrap().ran_on),
        ("19700101T000000Z-card0-abrupt_end", Some(true))
    );
    place.begins();
    assert_eq!(place.names().len(), 2, "once");
}

#[test]
fn what_cannot_be_read_is_told_by_name_and_stops_nothing() {
    let place = Place::new();
    place.keeps(flight(1, Some(Trigger::Heat)));
    place.runs(Running::Is(Box::new(flight(2, None))));
    let whole = fs::read(place.file("running-0")).unwrap();
    fs::write(place.file("running-0"), &whole[..whole.len() - 1]).unwrap();
    let newer = "flight\n2\n";
    let sum = crc32(&format!("{newer}later"));
    fs::write(place.file("19700101T000002Z-card0-lost"), format!("{newer}{sum}\nlater")).unwrap();
    fs::set_permissions(place.file("19700101T000002Z-card0-lost"), fs::Permissions::from_mode(0o600))
        .unwrap();
    fs::write(place.file("notes.txt"), "a person's").unwrap();
    symlink("/dev/zero", place.file("19700101T000003Z-card0-heat")).unwrap();
    place.begins();
    let found = glance(&place.path()).unwrap();
    let fault = |end: &str| {
        let found = found.iter().find(|found| found.name.ends_with(end)).unwrap();
        found.flight.as_ref().unwrap_err().clone()
    };
    assert!(fault("abrupt_end").contains("its checksum does not fit"), "{}", fault("abrupt_end"));
    assert!(fault("-lost").contains("of version 2, of a newer ghostllm"), "{}", fault("-lost"));
    assert!(!fault("000003Z-card0-heat").is_empty());
    assert_eq!(found.len(), 4);
    assert!(found.iter().any(|found| found.flight == Ok(flight(1, Some(Trigger::Heat)))));
    place.keeps(flight(9, Some(Trigger::Brake)));
    assert!(!place.is_alarmed() && place.file("notes.txt").exists());
}

fn crc32(text: &str) -> String {
    format!("{:08x}", ::crc32fast::hash(text.as_bytes()))
}

#[test]
fn a_room_that_cannot_be_written_costs_the_records_until_it_can() {
    let place = Place::new();
    fs::write(place.path().join(ROOM), "no directory").unwrap();
    for second in 1..5 {
        place.keeps(flight(second, Some(Trigger::Heat)));
        assert!(place.is_alarmed());
    }
    fs::remove_file(place.path().join(ROOM)).unwrap();
    place.keeps(flight(5, Some(Trigger::Heat)));
    assert!(!place.is_alarmed());
    assert_eq!(place.names(), ["19700101T000005Z-card0-heat"]);
    // Open to others: what is there could be anybody's.
    fs::set_permissions(place.path().join(ROOM), fs::Permissions::from_mode(0o755)).unwrap();
    place.keeps(flight(6, Some(Trigger::Heat)));
    assert!(place.is_alarmed() && place.names().len() == 1);
}

#[test]
fn what_is_ended_on_a_disk_that_takes_no_more_is_kept_as_it_was_written_last_and_is_no_abrupt_end() {
    let place = Place::new();
    let (earlier, mut later) = (flight(7, Some(Trigger::Heat)), flight(7, Some(Trigger::Heat)));
    later.events.push(Event { at: 300, what: Trigger::Lost });
    place.runs(Running::Is(Box::new(earlier.clone())));
    // No file can be made there under the new record's name, as on a full disk none can.
    let barred = place.file(".19700101T000007Z-card0-lost.next");
    fs::create_dir(&barred).unwrap();
    place.room.write(&Work {
        whole: vec![(0, later.clone())],
        running: [(0, Running::Over)].into(),
        ..Work::default()
    });
    assert!(place.is_alarmed(), "it was not written");
    assert_eq!(place.names(), ["19700101T000007Z-card0-heat"]);
    assert_eq!(glance(&place.path()).unwrap().remove(0).flight, Ok(earlier));
    place.begins();
    assert_eq!(place.names().len(), 1, "nobody has died");
    // What runs of another card, or of before it happened, stands for nothing else.
    place.runs(Running::Is(Box::new(flight(7, None))));
    place.room.write(&Work {
        whole: vec![(0, later)],
        running: [(0, Running::Over)].into(),
        ..Work::default()
    });
    assert_eq!(place.names(), ["19700101T000007Z-card0-heat"]);
}

#[test]
fn the_minutes_before_a_crash_are_kept_where_no_record_can_be_made_of_them() {
    let place = Place::new();
    place.runs(Running::Is(Box::new(flight(7, Some(Trigger::Heat)))));
    let next = Place { room: Room::new(&StateDir::glance(&place.path())), at: place.at };
    // As on a full disk: no file can be made there under the record's name.
    fs::create_dir(next.file(".19700101T000007Z-card0-abrupt_end.next")).unwrap();
    next.begins();
    assert!(next.is_alarmed(), "it was not written");
    assert_eq!(next.names(), ["19700101T000007Z-card0-abrupt_end"], "it has another name");
    next.runs(Running::Is(Box::new(flight(9, None))));
    let found = glance(&next.path()).unwrap();
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[1].flight, Ok(flight(7, Some(Trigger::Heat))), "as it was written last");
    assert!(!next.is_alarmed());
}

#[test]
fn what_the_program_before_has_left_is_not_written_over_nor_removed() {
    let place = Place::new();
    place.runs(Running::Is(Box::new(flight(7, Some(Trigger::Heat)))));
    let next = Place { room: Room::new(&StateDir::glance(&place.path())), at: place.at };
    // While the room is open to others nothing is done there, a start's work included.
    let room = next.path().join(ROOM);
    fs::set_permissions(&room, fs::Permissions::from_mode(0o755)).unwrap();
    next.begins();
    assert!(next.is_alarmed());
    fs::set_permissions(&room, fs::Permissions::from_mode(0o700)).unwrap();
    next.runs(Running::Over);
    assert_eq!(next.names(), ["running-0"], "it is not this program's to remove");
    next.keeps(flight(7, Some(Trigger::Lost)));
    next.runs(Running::Is(Box::new(flight(9, None))));
    let names = ["running-0", "19700101T000007Z-card0-lost", "19700101T000007Z-card0-abrupt_end"];
    assert_eq!(next.names(), names, "it has become a record before another took its place");
    next.runs(Running::Over);
    assert_eq!(next.names(), names[1..], "its own is");
}

#[test]
fn what_is_set_aside_counts_among_the_records_there_may_be() {
    let place = Place::new();
    for second in 1..=40 {
        place.keeps(flight(second, Some(Trigger::Heat)));
    }
    place.runs(Running::Is(Box::new(flight(50, Some(Trigger::Heat)))));
    let next = Place { room: Room::new(&StateDir::glance(&place.path())), at: place.at };
    fs::create_dir(next.file(".19700101T000050Z-card0-abrupt_end.next")).unwrap();
    next.begins();
    let names = next.names();
    assert_eq!((names.len(), names[0].as_str()), (RECORDS, "19700101T000050Z-card0-abrupt_end"));
}

#[test]
fn one_writes_at_a_time() {
    let place = Place::new();
    let turn = place.room.turn.lock().unwrap();
    let room = place.room.clone();
    let (done, is_done) = std::sync::mpsc::channel();
    let writing = std::thread::spawn(move || {
        room.write(&Work { whole: vec![(0, flight(1, Some(Trigger::Heat)))], ..Work::default() });
        done.send(()).unwrap();
    });
    assert!(is_done.recv_timeout(Duration::from_millis(50)).is_err(), "the one before hangs");
    drop(turn);
    writing.join().unwrap();
    assert_eq!(place.names().len(), 1);
}

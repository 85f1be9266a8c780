use super::*;

const AFTER: Duration = Duration::from_secs(10);

fn cause(code: &str, severity: Severity, what: &str) -> Cause {
    Cause { code: code.to_owned(), severity, what: what.to_owned(), next: "mend it".to_owned() }
}

fn hot(degrees: u32) -> Cause {
    cause("gpu_thermal", Severity::Warning, &format!("because of card 0 (Card): it is {degrees} °C below"))
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn what_lasts_is_told_once_and_once_more_when_it_is_over() {
    let mut ledger = Ledger::default();
    assert_eq!(ledger.look(at(0), &[hot(3)], AFTER), None);
    assert_eq!(ledger.look(at(9), &[hot(2)], AFTER), None);
    let began = ledger.look(at(10), &[hot(1)], AFTER).unwrap();
    assert_eq!(began, Change { began: vec![hot(1)], ended: vec![], lasting: 1 });
    // It could not be told: it is told later.
    assert_eq!(ledger.look(at(11), &[hot(1)], AFTER), Some(began.clone()));
    ledger.told(&began);
    assert_eq!(ledger.look(at(12), &[hot(5)], AFTER), None);
    // It comes and goes.
    assert_eq!(ledger.look(at(20), &[], AFTER), None);
    assert_eq!(ledger.look(at(30), &[hot(5)], AFTER), None);
    assert_eq!(ledger.look(at(59), &[], AFTER), None);
    let ended = ledger.look(at(60), &[], AFTER).unwrap();
    assert_eq!(ended, Change { began: vec![], ended: vec![hot(5)], lasting: 0 });
    ledger.told(&ended);
    assert_eq!(ledger.look(at(61), &[], AFTER), None);
    assert_eq!(ledger.look(at(62), &[hot(1)], AFTER), None);
    assert!(ledger.look(at(72), &[hot(1)], AFTER).is_some(), "it begins anew");
}

#[test]
fn what_is_over_soon_and_what_is_only_noted_is_not_told() {
    let mut ledger = Ledger::default();
    let note = cause("only_demo", Severity::Note, "the demo model is all there is");
    assert_eq!(ledger.look(at(0), &[hot(1), note.clone()], AFTER), None);
    assert_eq!(ledger.look(at(5), std::slice::from_ref(&note), AFTER), None);
    assert_eq!(ledger.look(at(50), &[note], AFTER), None);
    assert_eq!(ledger.look(at(60), &[hot(1)], AFTER), None, "its time counts from its second beginning");
    assert!(ledger.look(at(60), &[hot(1)], Duration::ZERO).is_some());
}

#[test]
fn two_of_one_kind_are_two_and_other_words_are_the_same() {
    let down = |name: &str, why: &str| {
        cause("backend_down", Severity::Warning, &format!("the backend {name} does not answer: {why}"))
    };
    let mut ledger = Ledger::default();
    let first = ledger.look(at(0), &[down("a", "refused"), down("b", "refused")], Duration::ZERO).unwrap();
    assert_eq!(first.began.len(), 2);
    ledger.told(&first);
    assert_eq!(ledger.look(at(1), &[down("a", "timed out"), down("b", "refused")], Duration::ZERO), None);
    let ended = ledger.look(at(40), &[down("b", "reset")], Duration::ZERO).unwrap();
    assert_eq!((ended.ended, ended.lasting), (vec![down("a", "timed out")], 1));
    let lost = |at: &str| cause("clock_lost", Severity::Warning, &format!("the clock shows {at}"));
    let mut ledger = Ledger::default();
    let first = ledger.look(at(0), &[lost("1970")], Duration::ZERO).unwrap();
    ledger.told(&first);
    assert_eq!(ledger.look(at(1), &[lost("1971")], Duration::ZERO), None);
}

#[test]
fn figures_in_its_words_make_no_other_thing_of_it_and_what_becomes_worse_is_told_again() {
    let short = |percent: u32, severity| {
        cause("memory_short", severity, &format!("memory is short, {percent} %: less"))
    };
    let mut ledger = Ledger::default();
    let first = ledger.look(at(0), &[short(78, Severity::Warning)], Duration::ZERO).unwrap();
    ledger.told(&first);
    assert_eq!(ledger.look(at(1), &[short(79, Severity::Warning)], Duration::ZERO), None);
    let worse = ledger.look(at(2), &[short(90, Severity::Error)], Duration::ZERO).unwrap();
    assert_eq!((worse.began, worse.lasting), (vec![short(90, Severity::Error)], 1));
}

#[test]
fn what_is_followed_is_bounded() {
    let mut ledger = Ledger::default();
    let many: Vec<_> = (0..MOST * 2)
        .map(|number| cause("backend_down", Severity::Error, &format!("the backend {number}: down")))
        .collect();
    assert_eq!(ledger.look(at(0), &many, Duration::ZERO).unwrap().began.len(), MOST);
}

#[test]
fn an_alert_says_all_of_it_in_words_too() {
    let change = Change {
        began: vec![hot(1)],
        ended: vec![cause("no_model", Severity::Error, "no model can answer")],
        lasting: 1,
    };
    let alert = change.alert("box", "2026-11-30T08:00:00Z");
    assert_eq!(
        alert.text,
        "box: because of card 0 (Card): it is 1 °C below (gpu_thermal). Next: mend it\nbox: over: no model can answer (no_model)"
    );
    let json = serde_json::to_value(&alert).unwrap();
    assert_eq!(
        (&json["version"], &json["began"][0]["code"], &json["lasting"]),
        (&1.into(), &"gpu_thermal".into(), &1.into())
    );
}

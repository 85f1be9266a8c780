//! Each fault that a soak is there to see, planted into an answer that is otherwise right.

use std::time::Duration;

use super::*;

const TO: usize = 12;

fn event(delta: &str, reason: &str) -> String {
    format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{reason}}}]}}\n\n")
}

fn token(number: usize) -> String {
    let text = if number == 1 { "1".to_owned() } else { format!(" {number}") };
    event(&format!("{{\"content\":\"{text}\"}}"), "null")
}

/// The events of these numbers.
fn tokens(numbers: impl IntoIterator<Item = usize>) -> String {
    numbers.into_iter().map(token).collect()
}

fn finish() -> String {
    event("{}", "\"stop\"") + "data: [DONE]\n\n"
}

fn error(code: &str) -> String {
    format!(
        "{{\"error\":{{\"message\":\"It cannot be had now.\",\"type\":\"server_error\",\"param\":null,\"code\":\"{code}\"}}}}"
    )
}

fn failure(code: &str) -> String {
    format!("data: {}\n\n", error(code))
}

fn came(status: u16, body: &str) -> Came {
    let sent = Instant::now();
    let ended = sent + Duration::from_millis(5);
    Came { sent, ended, status: Some(status), body: body.into(), end: End::Whole, resets: false }
}

fn piece(to: usize) -> String {
    format!(
        "{{\"choices\":[{{\"message\":{{\"content\":\"{}\"}},\"finish_reason\":\"stop\"}}]}}",
        counted(to)
    )
}

fn stream() -> Asked {
    Asked::Count { to: TO, stream: true }
}

fn partly(trouble: Trouble) -> Suffered {
    Suffered { partly: vec![trouble], wholly: None }
}

fn wholly(trouble: Trouble) -> Suffered {
    Suffered { partly: vec![trouble], wholly: Some(trouble) }
}

fn is_lost(body: &str) -> bool {
    matches!(judge(&stream(), &came(200, body), &Suffered::default()), Err(Wrong::Lost(_)))
}

fn broken(mut came: Came) -> Came {
    came.end = End::Broken("reset".into());
    came
}

#[test]
fn what_is_whole_is_right() {
    let body = format!(": still here\n\n{}{}", tokens(1..=TO), finish());
    assert_eq!(judge(&stream(), &came(200, &body), &Suffered::default()), Ok(()));
    let asked = Asked::Count { to: TO, stream: false };
    assert_eq!(judge(&asked, &came(200, &piece(TO)), &Suffered::default()), Ok(()));
    assert_eq!(judge(&Asked::Says("serves"), &came(200, "the edge serves\n"), &Suffered::default()), Ok(()));
    let refused = Asked::Refused(404, "model_not_found");
    assert_eq!(judge(&refused, &came(404, &error("model_not_found")), &Suffered::default()), Ok(()));
}

#[test]
fn an_event_that_is_dropped_doubled_or_moved_is_lost_wherever_it_stood() {
    for at in 1..=TO {
        let dropped = tokens((1..=TO).filter(|number| *number != at));
        assert!(is_lost(&(dropped + &finish())), "{at} dropped");
        let doubled = tokens((1..=TO).flat_map(|number| vec![number; if number == at { 2 } else { 1 }]));
        assert!(is_lost(&(doubled + &finish())), "{at} doubled");
    }
    assert!(is_lost(&(tokens([2, 1].into_iter().chain(3..=TO)) + &finish())));
}

#[test]
fn a_stream_without_its_end_is_lost() {
    assert!(is_lost(&tokens(1..=TO)));
    assert!(is_lost(&(tokens(1..=TO) + "data: [DONE]\n\n")));
    assert!(is_lost(&(tokens(1..=TO) + &event("{}", "\"stop\""))));
    assert!(is_lost(&(tokens(1..4) + &finish())));
    assert!(is_lost(""));
    let whole = came(200, &(tokens(1..=TO) + &finish()));
    assert!(matches!(judge(&stream(), &broken(whole), &Suffered::default()), Err(Wrong::Lost(_))));
}

#[test]
fn a_failure_that_nobody_has_caused_is_wrong() {
    let failed = came(200, &(tokens(1..4) + &failure("backend_error")));
    assert!(matches!(judge(&stream(), &failed, &Suffered::default()), Err(Wrong::Lost(_))));
    let refused = came(503, &error("backend_unavailable"));
    assert!(matches!(judge(&stream(), &refused, &Suffered::default()), Err(Wrong::Other(_))));
    let never = Came { status: None, end: End::Never("no connection".into()), ..came(200, "") };
    assert!(matches!(judge(&stream(), &never, &Suffered::default()), Err(Wrong::Other(_))));
}

#[test]
fn a_death_excuses_its_own_errors_and_no_silent_end() {
    let dead = partly(Trouble::Dead);
    let failed = came(200, &(tokens(1..4) + &failure("backend_error")));
    assert_eq!(judge(&stream(), &failed, &dead), Ok(()));
    assert_eq!(judge(&stream(), &came(503, &error("backend_unavailable")), &dead), Ok(()));
    let whole = came(200, &(tokens(1..=TO) + &finish()));
    assert_eq!(judge(&stream(), &whole, &dead), Ok(()));
    // Cut without a word.
    let cut = came(200, &tokens(1..4));
    assert!(matches!(judge(&stream(), &cut, &dead), Err(Wrong::Lost(_))));
    assert!(matches!(judge(&stream(), &broken(cut), &dead), Err(Wrong::Lost(_))));
    // Another trouble's.
    assert!(judge(&stream(), &came(504, &error("backend_timeout")), &dead).is_err());
    // A hole before the error.
    let hole = came(200, &(tokens([1, 3]) + &failure("backend_error")));
    assert!(matches!(judge(&stream(), &hole, &dead), Err(Wrong::Lost(_))));
    // An error that is none of ours.
    assert!(judge(&stream(), &came(503, "gone"), &dead).is_err());
}

#[test]
fn an_engine_that_is_down_all_the_time_answers_nothing() {
    let whole = came(200, &(tokens(1..=TO) + &finish()));
    assert!(matches!(judge(&stream(), &whole, &wholly(Trouble::Dead)), Err(Wrong::Other(_))));
    let refused = came(503, &error("backend_unavailable"));
    assert_eq!(judge(&stream(), &refused, &wholly(Trouble::Dead)), Ok(()));
    assert!(judge(&stream(), &refused, &wholly(Trouble::Hung)).is_err());
    let silent = came(504, &error("backend_timeout"));
    assert_eq!(judge(&stream(), &silent, &wholly(Trouble::Hung)), Ok(()));
    let unknown = came(404, &error("model_not_found"));
    assert_eq!(judge(&stream(), &unknown, &wholly(Trouble::Absent)), Ok(()));
    assert!(judge(&stream(), &unknown, &wholly(Trouble::Dead)).is_err());
}

#[test]
fn an_engine_that_fails_must_be_told_of_and_a_reset_follows_on_2_and_3() {
    let asked = Asked::Fails { to: TO, stream: true, status: 502, code: "backend_error" };
    let none = Suffered::default();
    let mut failed = came(200, &(tokens(1..4) + &failure("backend_error")));
    assert_eq!(judge(&asked, &failed, &none), Ok(()));
    assert!(judge(&asked, &broken(failed.clone()), &none).is_err());
    failed.resets = true;
    assert!(judge(&asked, &failed, &none).is_err());
    assert_eq!(judge(&asked, &broken(failed), &none), Ok(()));
    assert!(judge(&asked, &came(200, &(tokens(1..=TO) + &finish())), &none).is_err());
    assert!(judge(&asked, &came(200, &(tokens(1..4) + &failure("backend_timeout"))), &none).is_err());
    assert_eq!(judge(&asked, &came(502, &error("backend_error")), &none), Ok(()));
}

#[test]
fn what_came_until_a_client_left_is_held_against_it() {
    let left = |body: &str| {
        let came = Came { end: End::Left, ..came(200, body) };
        judge(&stream(), &came, &Suffered::default())
    };
    assert_eq!(left(""), Ok(()));
    assert_eq!(left(&(tokens(1..4) + "data: {\"choi")), Ok(()));
    assert!(matches!(left(&tokens([1, 2, 4])), Err(Wrong::Lost(_))));
    let refused = Came { end: End::Left, ..came(500, "") };
    assert!(judge(&stream(), &refused, &Suffered::default()).is_err());
}

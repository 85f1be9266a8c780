use super::*;
use crate::error::ApiError;

fn day(text: &str) -> Day {
    text.parse().unwrap()
}

fn counts(prompt: u64, completion: u64) -> Counts {
    Counts::of(End::Completed, true, Some(Usage::counted(prompt, completion)))
}

#[test]
fn days_are_read_as_they_are_written() {
    for text in ["2026-11-28", "2028-02-29", "0000-01-01", "9999-12-31"] {
        assert_eq!(day(text).to_string(), text);
        assert_eq!(day(text).month().to_string(), text[..7]);
    }
    for text in [
        "",
        "2026",
        "2026-11",
        "2026-11-31",
        "2027-02-29",
        "2026-1-1",
        "2026-11-028",
        "+026-11-28",
        "2026-13-01",
    ] {
        assert!(text.parse::<Day>().is_err(), "{text}");
    }
    assert!("2026-00".parse::<Month>().is_err() && "2026-12".parse::<Month>().is_ok());
    assert_eq!(day("2026-03-01").before(1), day("2026-02-28"));
    assert_eq!(day("0000-01-02").before(9), day("0000-01-01"));
    assert!(day("2026-11-30").month() < day("2026-12-01").month());
}

#[test]
fn a_request_counts_once_by_how_it_ended() {
    let usage = Usage { cached_tokens: Some(15), reasoning_tokens: Some(3), ..Usage::counted(16, 11) };
    let mut sum = Counts::default();
    for (end, asked, usage) in [
        (End::Completed, true, Some(usage)),
        (End::Failed, true, Some(Usage::estimated(41, 5))),
        (End::Cancelled, true, None),
        (End::Failed, false, None),
        (End::Refused, true, None),
    ] {
        sum.add(&Counts::of(end, asked, usage));
    }
    let expected = Counts {
        requests: 5,
        refused: 1,
        failed: 2,
        cancelled: 1,
        uncounted: 1,
        prompt_tokens: 16 + 11,
        completion_tokens: 11 + 5,
        cached_tokens: 15,
        reasoning_tokens: 3,
        estimated_requests: 1,
        estimated_tokens: 16,
    };
    assert_eq!(sum, expected);
    let most = Counts { requests: u64::MAX, ..Counts::default() };
    sum.add(&most);
    assert_eq!(sum.requests, u64::MAX);
}

#[test]
fn a_book_adds_up_and_forgets() {
    let mut book = Book::default();
    for (date, caller, model) in [
        ("2026-11-28", "Ab3dE6gH", "tiny"),
        ("2026-11-27", "local", "tiny"),
        ("2026-11-28", "Ab3dE6gH", "tiny"),
        ("2026-11-28", "Ab3dE6gH", "large"),
    ] {
        book.add(day(date), caller, model, &counts(2, 3));
    }
    let rows: Vec<_> = book
        .rows()
        .map(|(day, caller, model, counts)| (day.to_string(), caller, model, counts.requests))
        .collect();
    assert_eq!(
        rows,
        [
            ("2026-11-27".to_owned(), "local", "tiny", 1),
            ("2026-11-28".to_owned(), "Ab3dE6gH", "large", 1),
            ("2026-11-28".to_owned(), "Ab3dE6gH", "tiny", 2),
        ]
    );
    let mut twice = book.clone();
    twice.add_all(&book);
    assert_eq!(twice.rows().map(|row| row.3.prompt_tokens).sum::<u64>(), 16);
    assert_eq!(twice.bytes, book.bytes);
    let (first, last) = (Some(day("2026-11-27")), Some(day("2026-11-28")));
    assert!(!book.keep(None, None) && !book.keep(first, last) && twice.keep(None, first));
    assert_eq!(twice.days().collect::<Vec<_>>(), [day("2026-11-27")]);
    assert!(book.keep(last, None));
    assert_eq!(book.days().collect::<Vec<_>>(), [day("2026-11-28")]);
    assert_eq!(book.bytes, 2 * (ROW_BYTES + 2 * 8) + 2 * (5 + 4));
}

#[test]
fn names_without_end_take_no_more_room_than_there_is_and_nothing_goes_uncounted() {
    let mut book = Book::default();
    let total = 100_000;
    for number in 0..total {
        book.add(day("2026-11-28"), "Ab3dE6gH", &format!("model-{number}"), &counts(1, 1));
    }
    assert!(book.bytes <= MODELS_BYTES + ROW_BYTES + 100, "{}", book.bytes);
    for number in 0..total {
        book.add(day("2026-11-28"), &format!("{number:08}"), "tiny", &counts(1, 1));
    }
    assert!(book.bytes <= MOST_BYTES + 2 * ROW_BYTES, "{}", book.bytes);
    assert_eq!(book.rows().map(|row| row.3.requests).sum::<u64>(), 2 * total);
    let other = book.rows().find(|row| (row.1, row.2) == (OTHER, OTHER)).unwrap();
    assert!(other.3.requests > total / 2);
    // Whoever has a row keeps it.
    book.add(day("2026-11-28"), "Ab3dE6gH", "model-0", &counts(1, 1));
    assert!(book.rows().any(|row| row.2 == "model-0" && row.3.requests == 2));
    for odd in ["a\u{1b}[2J".to_owned(), "x".repeat(NAME_BYTES + 1)] {
        let mut book = Book::default();
        book.add(day("2026-11-28"), "local", &odd, &counts(1, 1));
        assert!(book.rows().all(|row| row.2 == OTHER), "{odd}");
    }
}

#[test]
fn a_question_is_read_whole_or_refused_by_name() {
    let today = day("2026-11-28");
    let read = |query: &str| Question::read(query, today);
    let question = read("").unwrap();
    assert_eq!((question.from, question.to, question.by), (day("2026-10-30"), today, By::ALL));
    let question = read("days=1&key=Ab3dE6gH&model=Qwen%2FQwen3:0.6b&by=model").unwrap();
    assert_eq!((question.from, question.to), (today, today));
    assert_eq!(
        (question.key.as_deref(), question.model.as_deref()),
        (Some("Ab3dE6gH"), Some("Qwen/Qwen3:0.6b"))
    );
    assert_eq!(question.by.names().collect::<Vec<_>>(), ["model"]);
    assert_eq!(read("key=lap+top").unwrap().key.as_deref(), Some("lap top"));
    let question = read("from=2026-11-01&to=2026-11-30&by=key,day").unwrap();
    assert_eq!((question.from, question.to), (day("2026-11-01"), day("2026-11-30")));
    assert_eq!(read("days=7&to=2026-11-07").unwrap().from, day("2026-11-01"));
    for (query, param) in [
        ("days=0", "days"),
        ("days=3661", "days"),
        ("days=x", "days"),
        ("days=", "days"),
        ("days", "days"),
        ("days=1&days=2", "days"),
        ("days=1&from=2026-11-01", "days"),
        ("from=2026-11-31", "from"),
        ("from=2026-11-29", "from"),
        ("to=today", "to"),
        ("key=%ff", "key"),
        ("by=hour", "by"),
        ("by=day,,key", "by"),
    ] {
        assert_eq!(read(query).as_ref().map_err(ApiError::param), Err(Some(param)), "{query}");
    }
    assert!(read("day=1").unwrap_err().message().contains("days, from, to"));
}

#[test]
fn several_answers_count_their_prompt_once_and_an_estimate_says_so() {
    let first = Usage { cached_tokens: Some(2), reasoning_tokens: Some(1), ..Usage::counted(16, 5) };
    // The engine has all of the prompt by then.
    let second = Usage { cached_tokens: Some(15), ..Usage::counted(16, 6) };
    let both = Usage { cached_tokens: Some(2), reasoning_tokens: Some(1), ..Usage::counted(16, 11) };
    assert_eq!(first.and_choice(second), both);
    let cut = Usage::estimated(400, 3);
    assert_eq!(
        second.and_choice(cut),
        Usage { estimated: true, cached_tokens: Some(15), ..Usage::counted(16, 9) }
    );
    assert_eq!(cut.and_choice(second).prompt_tokens, 16, "what was counted goes first");
    assert_eq!(cut.and_choice(cut).prompt_tokens, 100);
}

#[test]
fn each_prompt_of_several_counts() {
    let first = Usage { cached_tokens: Some(2), ..Usage::counted(16, 5) };
    let second = Usage { cached_tokens: Some(3), reasoning_tokens: Some(1), ..Usage::counted(7, 6) };
    let both = Usage { cached_tokens: Some(5), reasoning_tokens: Some(1), ..Usage::counted(23, 11) };
    assert_eq!(first.and_prompt(second), both);
    let cut = Usage::estimated(400, 3);
    assert_eq!(cut.and_prompt(Usage::counted(7, 6)), Usage { estimated: true, ..Usage::counted(107, 9) });
}

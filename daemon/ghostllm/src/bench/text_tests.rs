use ghostllm_core::admin::{BenchError, BenchOverhead, FORM};

use super::*;
use crate::bench::{
    Answers,
    figures::{Better, cost, figure},
};

/// Values that scatter as times do.
fn times(count: u32, from: f64, spread: f64) -> Vec<f64> {
    let share = |number: u32| (f64::from(number * 37 % count) + 0.5) / f64::from(count);
    (0..count).map(|number| from - spread * (1.0 - share(number)).ln()).collect()
}

fn answers(count: u32, from: f64) -> Answers {
    let first = times(count, from, 1.0);
    let whole = first.iter().map(|first| first + 640.0).collect();
    let rate = first.iter().map(|first| 98.4 - first / 20.0).collect();
    Answers { first, rate, whole }
}

fn leg(answers: &Answers, at: &str) -> BenchLeg {
    BenchLeg {
        at: at.to_owned(),
        answered: answers.first.len(),
        errors: Vec::new(),
        first_token_ms: figure(&answers.first, Better::Less),
        tokens_per_second: figure(&answers.rate, Better::More),
        answer_ms: figure(&answers.whole, Better::Less),
        tokens: 2048,
        counted: true,
        seconds: 21.0,
        tokens_per_second_in_all: Some(97.5),
    }
}

fn measured(count: u32) -> (Benched, Values) {
    let values = Values { gateway: answers(count, 13.0), direct: answers(count, 12.0) };
    let benched = Benched {
        version: FORM,
        ended: BenchEnd::Completed,
        model: "llama3.2:3b".to_owned(),
        backend: "box".to_owned(),
        kind: Some("ollama".to_owned()),
        http: "HTTP/2".to_owned(),
        at_once: 1,
        requests: 32,
        max_tokens: 64,
        rounds: 8,
        prompts: "unique".to_owned(),
        gateway: leg(&values.gateway, "https://localhost:11443"),
        direct: Some(leg(&values.direct, "http://127.0.0.1:11434")),
        direct_missing: None,
        overhead: Some(BenchOverhead {
            first_token: cost(&values.gateway.first, &values.direct.first, Better::Less),
            tokens_per_second: cost(&values.gateway.rate, &values.direct.rate, Better::More),
            answer: cost(&values.gateway.whole, &values.direct.whole, Better::Less),
        }),
    };
    (benched, values)
}

fn shown(count: u32, change: impl FnOnce(&mut Benched, &mut Values), width: usize, unicode: bool) -> String {
    let (mut benched, mut values) = measured(count);
    change(&mut benched, &mut values);
    let text = whole(&benched, &values, &Screen::of_test(width, unicode));
    for line in text.lines() {
        assert!(line.chars().count() <= width && line.trim_end() == line, "{width}: {line:?}");
        assert!(unicode || line.is_ascii(), "{line:?}");
    }
    text
}

fn without_direct(benched: &mut Benched, values: &mut Values) {
    (benched.direct, benched.overhead, values.direct) = (None, None, Answers::default());
    benched.direct_missing = Some("/run/engine.sock may not be opened".to_owned());
}

#[test]
fn figures_costs_and_hills_stand_side_by_side() {
    assert_eq!(shown(32, |_, _| {}, 80, true), WHOLE);
}

#[test]
fn it_fits_every_screen_and_stays_ascii_where_that_is_all() {
    for width in 60..=80 {
        for unicode in [true, false] {
            for count in [0, 1, 4, 9, 32, 120] {
                shown(count, |_, _| {}, width, unicode);
                shown(count, without_direct, width, unicode);
            }
        }
    }
}

#[test]
fn what_is_not_known_is_said_and_not_made_up() {
    let alone = shown(32, without_direct, 80, true);
    assert!(
        alone.contains("overhead is not known") && alone.contains("/run/engine.sock may not be"),
        "{alone}"
    );
    assert!(!alone.contains('%'), "{alone}");
    let few = shown(4, |_, _| {}, 80, true);
    assert!(
        few.contains("too few answers to tell") && few.contains("p90 needs 10 answers a leg, p99 needs 100"),
        "{few}"
    );
    assert!(shown(32, |_, _| {}, 80, true).contains("p99 needs 100 answers a leg: --requests 100."));
    assert!(!shown(120, |_, _| {}, 80, true).contains("p99 needs"));
    let uncounted = shown(32, |benched, _| benched.gateway.counted = false, 80, true);
    assert!(uncounted.contains("does not count its tokens"), "{uncounted}");
}

#[test]
fn failures_and_an_early_end_are_told_and_nothing_in_them_is_obeyed() {
    let text = shown(
        32,
        |benched, _| {
            benched.ended = BenchEnd::GaveUp;
            let message = "evil\u{1b}[2J".to_owned();
            benched.gateway.errors = vec![BenchError { code: "queue_full".to_owned(), count: 10, message }];
        },
        80,
        true,
    );
    assert!(text.contains("gateway: 10 failed, queue_full: evil\\u{1b}[2J"), "{text}");
    assert!(text.contains("32 of 42") && text.contains("Given up"), "{text}");
    let cut = shown(32, |benched, _| benched.ended = BenchEnd::Interrupted, 80, true);
    assert!(cut.contains("Interrupted: these are the answers until then."), "{cut}");
}

const WHOLE: &str = "\
llama3.2:3b of the backend box, ollama; HTTP/2, 32 requests a leg in 8 rounds, 1
at a time, 64 tokens at the most

                                        direct                    gateway
                         p50      p90      p99      p50      p90      p99
first token, ms        12.66    14.21        –    13.66    15.21        –
tokens a second        97.77    97.69        –    97.72    97.64        –
whole answer, ms       652.7    654.2        –    653.7    655.2        –
in all, tokens/s                         97.50                      97.50
answered                              32 of 32                   32 of 32

overhead of the gateway, at the median
first token            +1.00 ms      +7.90 %  +4.0 to +11.8 %
tokens a second        +0.05 fewer   +0.05 %  +0.0 to +0.1 %
whole answer           +1.00 ms      +0.15 %  +0.1 to +0.2 %

first token, ms
          │  ▃▅▆▇██▇▇▆▄▃▂▁
   direct │▆██████████████▇▆▅▄▃▂▂▁
          │█████████████████████████▇▆▆▆▅▅▄▄▄▃▃▃▃▃▂▂▂▂▁▁▁▁▁▁▁▁▁▁▂▂▁▁▁▁▁▁
          │     ├────●───────┤
          │              ▁▃▅▇███▇▆▅▄▃▁
  gateway │           ▁▄▆██████████████▇▆▅▄▃▂▁▁
          │    ▁▁▂▂▄▅▇██████████████████████████▇▇▆▆▅▅▅▄▄▄▃▃▃▃▃▂▂▂▂▁▁▁▁▁▁▁▁▁▁▂▂▁
          │                 ├────●────────┤
          └─┬────────────┬────────────┬───────────┬────────────┬────────────┬───
           12           13           14          15           16           17

tokens a second
          │                                                      ▁▂▄▅▆▇███▇▆▅▃▁
   direct │                                             ▁▁▂▃▄▅▆▇███████████████▆
          │       ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▂▂▂▂▂▃▃▃▃▄▄▄▅▅▅▆▆▇▇█████████████████████████
          │                                                ├─────────●────┤
          │                                         ▁▂▃▅▆▇████▇▅▃▁
  gateway │                                 ▁▂▃▃▄▅▆███████████████▇▄▂
          │▁▁▁▁▁▁▁▁▁▁▁▁▂▂▂▂▂▃▃▃▃▄▄▄▄▅▅▆▆▇▇████████████████████████████▆▄▃▂▁▁▁
          │                                    ├────────●────┤
          └───┬────────────┬────────────┬───────────┬────────────┬────────────┬─
            97.55        97.60        97.65       97.70        97.75       97.80

p99 needs 100 answers a leg: --requests 100.
├─●─┤ the middle half of the answers and their median; the hills are smoothed.
p90 of tokens a second: nine of ten answers were as fast. The direct leg reads
the backend's own answers as the gateway does. Prompts are unique.
";

//! `ghostctl usage`: what requests have used of the models.

use clap::{Args, ValueEnum};
use ghostllm_core::{
    admin::{UsageReport, UsageRow},
    routes::Admin,
    usage::{Counts, MOST_DAYS},
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{
    arguments::Context,
    client::Question,
    exit::{Exit, Failure},
    keys,
    output::{
        self, Screen, Tone,
        table::{Cell, Fit, Table},
    },
};

/// What stands in front of a number that was estimated in part.
const ABOUT: char = '~';

/// What requests have used of the models, by key, model and day
#[derive(Debug, Args)]
#[command(after_help = "Days are those of UTC. A number behind ~ is estimated in part: an answer that\n\
                  was given up has no counts, and some engines count none.\n\n\
                  Example:\n  ghostctl usage --days 7 --by day --by model")]
pub(crate) struct Arguments {
    /// Today and the days before, so many in all
    #[arg(long, value_name = "NUMBER", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_DAYS)))]
    days: u32,
    /// Of this key alone: its id or name, local, or "uid N"
    #[arg(long, value_name = "ID")]
    key: Option<String>,
    /// Of this model alone
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// A row for each day, key or model [default: key and model]
    #[arg(long, value_name = "WHAT", hide_possible_values = true)]
    by: Vec<By>,
}

/// What rows are told apart by: day, key or model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    Day,
    Key,
    Model,
}

impl By {
    const fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Key => "key",
            Self::Model => "model",
        }
    }
}

impl Arguments {
    pub(crate) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let question = Question::new(Admin::Usage).query(self.query()?);
        let answer = context.client.ask::<UsageReport>(&question).await?;
        context.show(&answer.json, |screen| shown(&answer.what, screen))?;
        if context.json {
            return Ok(Exit::Well);
        }
        let report = &answer.what;
        if report.rows.is_empty() {
            output::say(&format!("No model was asked for anything from {} to {}.", report.from, report.to));
        }
        if report.more {
            output::say(
                "There are more rows, which are in the total: ghostctl usage --by key, or fewer --days",
            );
        }
        for month in &report.unreadable {
            output::say(&format!(
                "Of what was used in {month} some is missing here, since it could not be read: journalctl -u ghostllm -g used"
            ));
        }
        Ok(Exit::Well)
    }

    fn query(&self) -> Result<String, Failure> {
        let by = if self.by.is_empty() { &[By::Key, By::Model][..] } else { &self.by };
        let by: Vec<&str> = by.iter().map(|by| by.name()).collect();
        let mut query = format!("days={}&by={}", self.days, by.join(","));
        for (name, value) in [("key", &self.key), ("model", &self.model)] {
            let Some(value) = value else { continue };
            keys::no_secret(value)?;
            query.push_str(&format!("&{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)));
        }
        Ok(query)
    }
}

fn shown(report: &UsageReport, screen: &Screen) -> String {
    if report.rows.is_empty() {
        return String::new();
    }
    let days = match report.from == report.to {
        true => report.to.clone(),
        false => format!("{} to {}", report.from, report.to),
    };
    screen.hanging("", Tone::Plain, &format!("{days} (UTC), in tokens:")) + &table(report, screen)
}

fn table(report: &UsageReport, screen: &Screen) -> String {
    let is = |by: &str| report.by.iter().any(|name| name == by);
    let mut columns = Vec::new();
    columns.extend(is("day").then_some(("DAY", Fit::Whole)));
    columns.extend(is("key").then_some(("KEY", Fit::Wrap)));
    columns.extend(is("model").then_some(("MODEL", Fit::Wrap)));
    let names = columns.len();
    columns.extend([("REQUESTS", Fit::Number), ("PROMPT", Fit::Number), ("COMPLETION", Fit::Number)]);
    let mut table = Table::new(&columns);
    let mut rows: Vec<&UsageRow> = report.rows.iter().collect();
    if is("day") {
        // The newest last, where a terminal is looked at.
        rows.sort_by(|one, other| one.day.cmp(&other.day));
    } else {
        // Who has used the most first.
        rows.sort_by_key(|row| std::cmp::Reverse(tokens(&row.counts)));
    }
    for row in rows {
        let mut cells = Vec::with_capacity(columns.len());
        cells.extend(row.day.as_ref().map(Cell::from));
        cells.extend(row.caller.as_ref().map(|caller| Cell::from(called(row.key.as_deref(), caller))));
        cells.extend(row.model.as_ref().map(Cell::from));
        cells.extend(numbers(&row.counts, Tone::Plain));
        table.row(cells);
        table.note(&more(&row.counts));
    }
    let mut cells = vec![Cell::new("all", Tone::Head)];
    cells.resize(names, Cell::from(""));
    cells.extend(numbers(&report.total, Tone::Head));
    table.row(cells);
    table.note(&more(&report.total));
    table.draw(screen)
}

/// A key by its name, and its id where that is another word.
fn called(key: Option<&str>, caller: &str) -> String {
    match key {
        Some(id) if id != caller => format!("{caller} ({id})"),
        _ => caller.to_owned(),
    }
}

fn tokens(counts: &Counts) -> u64 {
    counts.prompt_tokens.saturating_add(counts.completion_tokens)
}

fn numbers(counts: &Counts, tone: Tone) -> [Cell; 3] {
    let about = if counts.estimated_tokens > 0 { ABOUT.to_string() } else { String::new() };
    let tokens = |count: u64| Cell::new(format!("{about}{}", grouped(count)), tone);
    [
        Cell::new(grouped(counts.requests), tone),
        tokens(counts.prompt_tokens),
        tokens(counts.completion_tokens),
    ]
}

/// What there is to say beside the numbers of every row.
fn more(counts: &Counts) -> String {
    let parts = [
        (counts.cached_tokens, "of the prompt cached"),
        (counts.reasoning_tokens, "of the completion reasoning"),
        (counts.failed, "failed"),
        (counts.cancelled, "cancelled"),
        (counts.refused, "refused"),
        (counts.estimated_requests, "estimated"),
        (counts.uncounted, "without counts"),
    ];
    let told = parts.into_iter().filter(|(count, _)| *count > 0);
    told.map(|(count, words)| format!("{} {words}", grouped(count))).collect::<Vec<_>>().join(", ")
}

/// A number with a comma in front of each three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(
        day: Option<&str>,
        key: Option<&str>,
        caller: Option<&str>,
        model: Option<&str>,
        counts: Counts,
    ) -> UsageRow {
        let text = |text: Option<&str>| text.map(str::to_owned);
        UsageRow { day: text(day), key: text(key), caller: text(caller), model: text(model), counts }
    }

    fn report(by: &[&str], rows: Vec<UsageRow>) -> UsageReport {
        let mut total = Counts::default();
        rows.iter().for_each(|row| total.add(&row.counts));
        UsageReport {
            version: 1,
            from: "2026-10-30".to_owned(),
            to: "2026-11-28".to_owned(),
            by: by.iter().map(|by| (*by).to_owned()).collect(),
            rows,
            more: false,
            total,
            unreadable: Vec::new(),
        }
    }

    fn counts(requests: u64, prompt: u64, completion: u64) -> Counts {
        Counts { requests, prompt_tokens: prompt, completion_tokens: completion, ..Counts::default() }
    }

    #[test]
    fn who_has_used_the_most_is_first_and_what_is_estimated_says_so() {
        let agent = Counts {
            failed: 1,
            cancelled: 2,
            estimated_requests: 2,
            estimated_tokens: 811,
            ..counts(14, 12_001, 8_113)
        };
        let laptop = Counts { cached_tokens: 300_000, ..counts(120, 340_112, 51_004) };
        let rows = vec![
            row(None, None, Some("local"), Some("qwen3:8b"), agent),
            row(None, Some("Ab3dE6gH"), Some("laptop"), Some("llama3.2:3b"), laptop),
        ];
        let drawn = shown(&report(&["key", "model"], rows), &Screen::of_test(80, ""));
        let expected = "\
2026-10-30 to 2026-11-28 (UTC), in tokens:
KEY                MODEL        REQUESTS    PROMPT  COMPLETION
laptop (Ab3dE6gH)  llama3.2:3b       120   340,112      51,004
    300,000 of the prompt cached
local              qwen3:8b           14   ~12,001      ~8,113
    1 failed, 2 cancelled, 2 estimated
all                                  134  ~352,113     ~59,117
    300,000 of the prompt cached, 1 failed, 2 cancelled, 2 estimated
";
        assert_eq!(drawn, expected);
    }

    #[test]
    fn days_end_with_the_newest() {
        let rows = vec![
            row(Some("2026-11-28"), None, None, None, counts(1, 2, 3)),
            row(Some("2026-11-27"), None, None, None, counts(1_000, 2_000_000, 3)),
        ];
        let drawn = shown(&report(&["day"], rows), &Screen::of_test(80, ""));
        let expected = "\
2026-10-30 to 2026-11-28 (UTC), in tokens:
DAY         REQUESTS     PROMPT  COMPLETION
2026-11-27     1,000  2,000,000           3
2026-11-28         1          2           3
all            1,001  2,000,002           6
";
        assert_eq!(drawn, expected);
        assert_eq!(shown(&report(&["day"], Vec::new()), &Screen::of_test(80, "")), "");
    }

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (123_456, "123,456"),
            (u64::MAX, "18,446,744,073,709,551,615"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn a_question_names_what_it_is_about() {
        let mut arguments =
            Arguments { days: 7, key: Some("uid 1000".to_owned()), model: None, by: vec![By::Day] };
        assert_eq!(arguments.query().unwrap(), "days=7&by=day&key=uid%201000");
        (arguments.key, arguments.model, arguments.by) = (None, Some("a/b:c".to_owned()), Vec::new());
        assert_eq!(arguments.query().unwrap(), "days=7&by=key,model&model=a%2Fb%3Ac");
        arguments.key = Some("gllm_Ab3dE6gHsecret".to_owned());
        assert!(arguments.query().is_err());
    }
}

//! What requests have used, as it is asked for.

use std::{collections::BTreeMap, sync::Arc};

use ghostllm_core::{
    ApiError,
    admin::{FORM, UsageReport, UsageRow},
    key::{is_id, is_keyless_name},
    usage::{Book, Counts, Day, Question},
};
use time::OffsetDateTime;

use super::blocking;
use crate::pipeline::Shared;

/// So many rows are given at the most.
const ROWS: usize = 10_000;

/// What rows are told apart by: day, caller and model, as far as they are.
type Row = (Option<Day>, Option<String>, Option<String>);

pub(super) async fn answer(shared: &Arc<Shared>, query: Option<&str>) -> Result<UsageReport, ApiError> {
    let ledger = shared.usage.clone();
    let question = Question::read(query.unwrap_or_default(), ledger.today())?;
    let months = (question.from.month(), question.to.month());
    let kept = blocking(shared, move || ledger.read(months.0, months.1)).await?.map_err(|error| {
        tracing::error!(%error, "what requests have used cannot be read");
        ApiError::internal()
    })?;
    let mut names = BTreeMap::new();
    for key in shared.keys.list(OffsetDateTime::now_utc()) {
        names.insert(key.id, key.name);
    }
    // By whatever name of it that is asked for, as a request would be.
    let snapshot = shared.registry.snapshot();
    let means = question.model.as_deref().and_then(|model| snapshot.route(model)).map(|routed| routed.model);
    let mut report = report(&question, means.as_deref(), &kept.months, &names);
    report.unreadable = kept.unreadable.iter().map(ToString::to_string).collect();
    Ok(report)
}

/// What the books say to a question; `means` is the model that is asked about by another name, and `names` has those of the keys that
/// there are.
fn report(
    question: &Question,
    means: Option<&str>,
    books: &[Book],
    names: &BTreeMap<String, String>,
) -> UsageReport {
    let Question { from, to, by, .. } = *question;
    let wanted = |caller: &str, model: &str| {
        // A key that was given the name of callers without one, as older versions let it be, is asked for by its id.
        let named = |key: &String| key == caller || !is_keyless_name(key) && names.get(caller) == Some(key);
        question.key.as_ref().is_none_or(named)
            && question.model.as_ref().is_none_or(|wanted| wanted == model || means == Some(model))
    };
    let (mut sums, mut total) = (BTreeMap::<Row, Counts>::new(), Counts::default());
    for (day, caller, model, counts) in books.iter().flat_map(Book::rows) {
        if day < from || day > to || !wanted(caller, model) {
            continue;
        }
        total.add(counts);
        let row =
            (by.day.then_some(day), by.key.then(|| caller.to_owned()), by.model.then(|| model.to_owned()));
        sums.entry(row).or_default().add(counts);
    }
    let mut sums: Vec<_> = sums.into_iter().collect();
    // The newest day first, each day's rows in their order.
    sums.sort_by(|((one, ..), _), ((other, ..), _)| other.cmp(one));
    let more = sums.len() > ROWS;
    let told = |((day, caller, model), counts): (Row, Counts)| UsageRow {
        day: day.map(|day| day.to_string()),
        key: caller.clone().filter(|caller| is_id(caller)),
        caller: caller.map(|caller| names.get(&caller).cloned().unwrap_or(caller)),
        model,
        counts,
    };
    UsageReport {
        version: FORM,
        from: from.to_string(),
        to: to.to_string(),
        by: by.names().map(str::to_owned).collect(),
        rows: sums.into_iter().take(ROWS).map(told).collect(),
        more,
        total,
        unreadable: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use ghostllm_core::{
        chat::Usage,
        usage::{By, End},
    };

    use super::*;

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    fn books() -> [Book; 2] {
        let mut books = [Book::default(), Book::default()];
        for (book, date, caller, model) in [
            (0, "2026-10-31", "Ab3dE6gH", "tiny"),
            (1, "2026-11-01", "Ab3dE6gH", "tiny"),
            (1, "2026-11-01", "Zz9yX8wV", "tiny"),
            (1, "2026-11-02", "local", "large"),
            (1, "2026-11-02", "local", "tiny"),
        ] {
            let counts = Counts::of(End::Completed, true, Some(Usage::counted(2, 3)));
            books[book].add(day(date), caller, model, &counts);
        }
        books
    }

    fn told(query: &str) -> (Vec<[String; 4]>, Counts) {
        let names = [("Ab3dE6gH".to_owned(), "laptop".to_owned())].into();
        let question = Question::read(query, day("2026-11-02")).unwrap();
        let means = question.model.as_deref().filter(|model| *model == "gpt").map(|_| "tiny");
        let report = report(&question, means, &books(), &names);
        let text = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let row = |row: UsageRow| {
            assert_eq!(row.counts.completion_tokens, 3 * row.counts.requests);
            [text(row.day), text(row.key), text(row.caller), text(row.model)]
        };
        (report.rows.into_iter().map(row).collect(), report.total)
    }

    #[test]
    fn rows_are_told_apart_by_what_is_asked_for_and_the_rest_is_summed_up() {
        let (rows, total) = told("");
        assert_eq!(
            rows,
            [
                ["2026-11-02", "-", "local", "large"],
                ["2026-11-02", "-", "local", "tiny"],
                ["2026-11-01", "Ab3dE6gH", "laptop", "tiny"],
                ["2026-11-01", "Zz9yX8wV", "Zz9yX8wV", "tiny"],
                ["2026-10-31", "Ab3dE6gH", "laptop", "tiny"],
            ]
        );
        assert_eq!((total.requests, total.prompt_tokens), (5, 10));
        let (rows, total) = told("by=model");
        assert_eq!(rows, [["-", "-", "-", "large"], ["-", "-", "-", "tiny"]]);
        assert_eq!(total.requests, 5);
        let (rows, total) = told("days=1&by=day");
        assert_eq!((rows, total.requests), (vec![["2026-11-02", "-", "-", "-"].map(str::to_owned)], 2));
    }

    #[test]
    fn a_key_that_is_called_as_callers_without_one_are_is_told_from_them() {
        let (used, day) = (Counts::of(End::Completed, true, Some(Usage::counted(2, 3))), day("2026-11-02"));
        let mut book = Book::default();
        for (caller, times) in [("local", 1), ("Ab3dE6gH", 2), ("uid 7", 4), ("Zz9yX8wV", 8)] {
            (0..times).for_each(|_| book.add(day, caller, "tiny", &used));
        }
        let names =
            [("Ab3dE6gH".to_owned(), "local".to_owned()), ("Zz9yX8wV".to_owned(), "uid 7".to_owned())].into();
        for (key, requests) in [("local", 1), ("Ab3dE6gH", 2), ("uid 7", 4), ("Zz9yX8wV", 8)] {
            let key = Some(key.to_owned());
            let by = By { day: false, key: true, model: false };
            let question = Question { from: day, to: day, key, model: None, by };
            let report = report(&question, None, std::slice::from_ref(&book), &names);
            assert_eq!((report.total.requests, report.rows.len()), (requests, 1), "{:?}", question.key);
        }
    }

    #[test]
    fn a_key_is_asked_for_by_its_id_or_its_name() {
        for key in ["Ab3dE6gH", "laptop"] {
            let (rows, total) = told(&format!("key={key}&by=key"));
            assert_eq!(
                (rows, total.requests),
                (vec![["-", "Ab3dE6gH", "laptop", "-"].map(str::to_owned)], 2)
            );
        }
        assert_eq!(told("key=local&model=large").1.requests, 1);
        assert_eq!(told("model=gpt").1.requests, 4, "of what it stands for");
        assert_eq!(told("key=nobody").1, Counts::default());
        assert_eq!(told("from=2026-10-31&to=2026-10-31").1.requests, 1);
    }
}

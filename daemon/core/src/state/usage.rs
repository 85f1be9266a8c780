//! The file of a month's counts.
//!
//! Knows its form. Refuses to know which month it is of. Invariant: what was read has no caller and model twice on a day.

use std::{borrow::Cow, collections::BTreeMap};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Damage, Kind, Step};
use crate::{
    dialect::json::Object,
    usage::{Book, Counts, Day, Month},
};

/// What stands in front of a month in its file's name.
const BEFORE: &str = "usage-";
/// What stands behind it.
const BEHIND: &str = ".json";

/// The name of a month's file.
#[must_use]
pub fn name(month: Month) -> String {
    format!("{BEFORE}{month}{BEHIND}")
}

/// The month of a file of this name; none where it is another file.
#[must_use]
pub fn month(name: &str) -> Option<Month> {
    name.strip_prefix(BEFORE)?.strip_suffix(BEHIND)?.parse().ok()
}

/// What is in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UsageFile {
    /// The counts.
    pub book: Book,
}

/// The content as it is read, by day. Unknown fields are refused: what is not understood would be lost with the next write.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read<'a> {
    #[serde(borrow)]
    days: BTreeMap<Cow<'a, str>, Vec<Object<Row<'a>>>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row<'a> {
    /// A key's id, or the name of whoever needs none.
    #[serde(borrow)]
    caller: Cow<'a, str>,
    #[serde(borrow)]
    model: Cow<'a, str>,
    counts: Written,
}

/// Counts without those that are 0.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    #[serde(skip_serializing_if = "is_none")]
    requests: u64,
    #[serde(skip_serializing_if = "is_none")]
    refused: u64,
    #[serde(skip_serializing_if = "is_none")]
    failed: u64,
    #[serde(skip_serializing_if = "is_none")]
    cancelled: u64,
    #[serde(skip_serializing_if = "is_none")]
    uncounted: u64,
    #[serde(skip_serializing_if = "is_none")]
    prompt: u64,
    #[serde(skip_serializing_if = "is_none")]
    completion: u64,
    #[serde(skip_serializing_if = "is_none")]
    cached: u64,
    #[serde(skip_serializing_if = "is_none")]
    reasoning: u64,
    #[serde(skip_serializing_if = "is_none")]
    estimated_requests: u64,
    #[serde(skip_serializing_if = "is_none")]
    estimated: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives it by reference")]
fn is_none(count: &u64) -> bool {
    *count == 0
}

impl From<&Counts> for Written {
    fn from(counts: &Counts) -> Self {
        Self {
            requests: counts.requests,
            refused: counts.refused,
            failed: counts.failed,
            cancelled: counts.cancelled,
            uncounted: counts.uncounted,
            prompt: counts.prompt_tokens,
            completion: counts.completion_tokens,
            cached: counts.cached_tokens,
            reasoning: counts.reasoning_tokens,
            estimated_requests: counts.estimated_requests,
            estimated: counts.estimated_tokens,
        }
    }
}

impl From<Written> for Counts {
    fn from(written: Written) -> Self {
        Self {
            requests: written.requests,
            refused: written.refused,
            failed: written.failed,
            cancelled: written.cancelled,
            uncounted: written.uncounted,
            prompt_tokens: written.prompt,
            completion_tokens: written.completion,
            cached_tokens: written.cached,
            reasoning_tokens: written.reasoning,
            estimated_requests: written.estimated_requests,
            estimated_tokens: written.estimated,
        }
    }
}

impl Kind for UsageFile {
    const NAME: &'static str = "usage";
    const STEPS: &'static [Step] = &[];

    fn read(content: &str) -> Result<Self, Damage> {
        let Object(Read { days }) = serde_json::from_str(content)?;
        let mut book = Book::default();
        for (date, rows) in days {
            let day: Day = date.parse().map_err(|_| Damage("a day is none".to_owned()))?;
            let mut seen = std::collections::HashSet::new();
            for Object(Row { caller, model, counts }) in rows {
                book.add(day, &caller, &model, &counts.into());
                if !seen.insert((caller, model)) {
                    return Err(Damage("a caller and a model are there twice on a day".to_owned()));
                }
            }
        }
        Ok(Self { book })
    }

    fn write(&self) -> Result<Box<RawValue>, serde_json::Error> {
        // A row in each line, for a person who looks into the file.
        let (mut text, mut before) = ("{\"days\":{".to_owned(), None);
        for (day, caller, model, counts) in self.book.rows() {
            text.push_str(match before {
                Some(last) if last == day => ",\n  ",
                Some(_) => "],\n",
                None => "\n",
            });
            if before != Some(day) {
                text.push_str(&format!("\"{day}\":[\n  "));
            }
            let row = Row { caller: caller.into(), model: model.into(), counts: counts.into() };
            text.push_str(&serde_json::to_string(&row)?);
            before = Some(day);
        }
        text.push_str(if before.is_some() { "]\n}}" } else { "}}" });
        RawValue::from_string(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        chat::Usage,
        usage::{End, OTHER},
    };

    const RECORDED: &[u8] = include_bytes!("../../tests-data/state/usage-1.json");

    fn file() -> UsageFile {
        let usage = Usage { cached_tokens: Some(15), reasoning_tokens: Some(3), ..Usage::counted(16, 11) };
        let mut book = Book::default();
        for (day, caller, model, end, usage) in [
            ("2026-11-27", "Ab3dE6gH", "Qwen/\"Qwen3\":0.6b", End::Completed, Some(usage)),
            ("2026-11-28", "local", "tiny", End::Failed, None),
            ("2026-11-28", "local", OTHER, End::Cancelled, Some(Usage::estimated(40, 5))),
            ("2026-11-28", "uid 1000", "tiny", End::Refused, None),
        ] {
            book.add(day.parse().unwrap(), caller, model, &Counts::of(end, true, usage));
        }
        UsageFile { book }
    }

    #[test]
    fn a_file_of_every_version_is_read() {
        assert_eq!(UsageFile::VERSION, 1, "a new version brings a file of the one before");
        let text = super::super::encode(&file()).unwrap();
        assert_eq!(String::from_utf8(text).unwrap(), String::from_utf8(RECORDED.to_vec()).unwrap());
        let decoded = super::super::decode::<UsageFile>(RECORDED).unwrap();
        assert_eq!((decoded.value, decoded.version), (file(), 1));
        let empty = super::super::encode(&UsageFile::default()).unwrap();
        assert_eq!(super::super::decode::<UsageFile>(&empty).unwrap().value, UsageFile::default());
    }

    #[test]
    fn what_is_not_its_form_is_no_usage_file() {
        let row = r#"{"caller":"a","model":"b","counts":{}}"#;
        assert!(UsageFile::read(&format!(r#"{{"days":{{"2026-11-28":[{row}]}}}}"#)).is_ok());
        for text in [
            "{}",
            "[]",
            r#"{"days":{},"more":1}"#,
            r#"{"days":{"today":[]}}"#,
            r#"{"days":{"2026-11-28":[["a","b",{}]]}}"#,
            r#"{"days":{"2026-11-28":[{"caller":"a","model":"b","counts":{"other":1}}]}}"#,
            r#"{"days":{"2026-11-28":[{"caller":"a","model":"b","counts":{"prompt":-1}}]}}"#,
            &format!(r#"{{"days":{{"2026-11-28":[{row},{row}]}}}}"#),
        ] {
            assert!(UsageFile::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_month_is_known_by_its_files_name() {
        let november = "2026-11".parse().unwrap();
        assert_eq!(
            (name(november), month("usage-2026-11.json")),
            ("usage-2026-11.json".to_owned(), Some(november))
        );
        for other in [
            "usage-2026-11.json.last",
            "usage-2026-13.json",
            "usage-.json",
            "keys.json",
            "usage-2026-11.json.bad-x",
        ] {
            assert_eq!(month(other), None, "{other}");
        }
    }

    #[test]
    fn the_largest_month_has_room_in_its_file() {
        let mut book = Book::default();
        let most = Counts { prompt_tokens: 9_999_999_999, ..Counts::of(End::Completed, true, None) };
        let mut add = |day: u32, caller: &str, model: &str| {
            let day = format!("2026-12-{:02}", 1 + day % 31).parse().unwrap();
            book.add(day, caller, model, &most);
        };
        for number in 0..60_000 {
            add(number, &format!("{number:08}"), &"\\".repeat(100));
        }
        let text = super::super::encode(&UsageFile { book }).unwrap();
        assert!((4 << 20..16 << 20).contains(&text.len()), "{}", text.len());
    }
}

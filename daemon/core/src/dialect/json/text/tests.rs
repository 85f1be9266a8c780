//! Held to serde_json, byte for byte.

use proptest::prelude::*;

use super::*;

fn written(text: &str) -> String {
    let mut out = Vec::new();
    quote(&mut out, text);
    String::from_utf8(out).unwrap()
}

fn read(json: &str) -> Option<String> {
    let string = Quoted::of(json)?;
    let text = string.text().into_owned();
    assert_eq!(string.text_length(), text.len(), "{json}");
    Some(text)
}

/// Texts of which about every fourth character is escaped, at all places of eight bytes.
fn escaped() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[a-z \u{7f}\u{80}é\u{1f600}\u{0}-\u{1f}\"\\\\/]{0,40}"]
}

#[test]
fn every_character_of_one_byte_is_written_as_serde_json_writes_it_wherever_it_stands() {
    for letter in (0..=0x7f_u8).map(char::from) {
        for place in 0..17 {
            let text = format!("{}{letter}{}", "é".repeat(place), "x".repeat(17 - place));
            assert_eq!(written(&text), serde_json::to_string(&text).unwrap());
        }
    }
}

#[test]
fn escapes_are_read_as_serde_json_reads_them() {
    for json in [
        r#""""#,
        r#""\"\\\/\b\f\n\r\t""#,
        r#""\u0000\u00e9\uFFFF\ud7ff""#,
        r#""a\ud83d\ude00\uD83D\uDE00b""#,
        r#""\\ud800""#,
    ] {
        assert_eq!(read(json), Some(serde_json::from_str::<String>(json).unwrap()), "{json}");
    }
}

#[test]
fn what_is_no_string_is_not_read() {
    for json in ["1", "null", "[\"a\"]", "{\"a\":\"b\"}", "\"", ""] {
        assert_eq!(Quoted::of(json), None, "{json}");
        assert_eq!(Quoted::first(json), None, "{json}");
        assert!(serde_json::from_str::<Quoted<'_>>(json).is_err(), "{json}");
    }
}

#[test]
fn a_string_ends_at_its_first_quote_that_is_not_escaped() {
    for (json, inside, behind) in
        [(r#""",1"#, "", ",1"), (r#""\\":"b""#, r"\\", r#":"b""#), (r#""\\\"","\"]"#, r#"\\\""#, r#","\"]"#)]
    {
        assert_eq!(Quoted::first(json).map(|(text, rest)| (text.spelled(), rest)), Some((inside, behind)));
    }
}

proptest! {
    #[test]
    fn a_text_is_written_as_serde_json_writes_it_and_read_back(text in escaped()) {
        let json = serde_json::to_string(&text).unwrap();
        prop_assert_eq!(&written(&text), &json);
        let list = format!("{json},{json}]");
        let (first, behind) = Quoted::first(&list).unwrap();
        prop_assert_eq!((first, behind), (Quoted::of(&json).unwrap(), &list[json.len()..]));
        prop_assert_eq!(read(&json), Some(text));
    }

    #[test]
    fn a_text_whose_every_character_is_an_escape_is_read(text in escaped()) {
        let units = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect::<String>();
        prop_assert_eq!(read(&format!("\"{units}\"")), Some(text));
    }
}

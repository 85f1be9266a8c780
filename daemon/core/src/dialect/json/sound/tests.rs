//! Held to serde_json, element by element.

use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::object;
use super::*;

fn list(json: &str) -> &RawValue {
    serde_json::from_str(json).unwrap()
}

/// Each element, and whether it was an object of the two texts alone.
fn each(json: &str) -> Vec<(bool, Result<Value, String>)> {
    let (mut elements, mut all) = (Elements::of(list(json)).unwrap(), Vec::new());
    while elements.more() {
        let texts = elements.texts(["a", "b"], |[a, b]| Some(json!({"a": a?.text(), "b": b?.text()})));
        all.push((texts.is_some(), texts.map_or_else(|| object(elements.element()), Ok)));
    }
    all
}

#[test]
fn objects_of_texts_are_taken_at_once_and_others_as_they_are() {
    let json = r#" [ {"a":"x\n\"","b":""} , { "b" : "]}," , "a" : "\u00e9" },{"a":"x"},{"a":"x","b":null},
        {"a":"","b":"","c":""},{"c":["]",{"d":"}\\"}]}, {} ]"#;
    let all: Vec<Value> = serde_json::from_str(json).unwrap();
    let plain = [true, true, false, false, false, false, false];
    assert_eq!(each(json), plain.into_iter().zip(all.into_iter().map(Ok)).collect::<Vec<_>>());
    for none in ["[]", "[ \n ]"] {
        assert_eq!(each(none), []);
    }
    assert!(Elements::of(list("{}")).is_none());
}

#[test]
fn members_and_elements_are_given_as_they_are() {
    let json = r#"{"a":"x\n}\"" , "b\u0041" : [1,{"c":"]"}] ,"d":{"e":[]}
        , "f" :-1.5e3 ,"g":null}"#;
    let all: Vec<(String, Value)> = Entries::of(json)
        .map(|(name, value)| (name.text().into_owned(), serde_json::from_str(value).unwrap()))
        .collect();
    let object: serde_json::Map<String, Value> = serde_json::from_str(json).unwrap();
    assert_eq!(all.len(), 5);
    assert_eq!(all.into_iter().collect::<serde_json::Map<_, _>>(), object);
    for none in ["{}", "{ \n }", "[{}]", "\"a\"", "5"] {
        assert_eq!(Entries::of(none).count(), 0, "{none}");
    }
    let (mut list, mut elements) = (Elements::of_text("[ {\"a\":[1]} , \"]\",5 ]").unwrap(), Vec::new());
    while list.more() {
        elements.push(list.element());
    }
    assert_eq!(elements, ["{\"a\":[1]}", "\"]\"", "5"]);
}

#[test]
fn what_is_no_object_or_has_a_member_twice_is_told_in_serde_s_words() {
    #[derive(Deserialize)]
    struct Texts {
        #[serde(rename = "a")]
        _a: Option<String>,
    }
    for (json, words) in [
        (r#"{"a":"x","a":"y"}"#, "duplicate field `a`"),
        (r#"{"a":5}"#, "invalid type: integer `5`, expected a string"),
        ("[]", "invalid type: sequence, expected a JSON object"),
        ("5", "invalid type: integer `5`, expected a JSON object"),
    ] {
        let json = format!("[{json}]");
        let mut elements = Elements::of(list(&json)).unwrap();
        assert!(elements.more() && elements.texts(["a"], Some).is_none());
        assert_eq!(object::<Texts>(elements.element()).err().as_deref(), Some(words));
        assert!(!elements.more());
    }
}

fn value() -> impl Strategy<Value = Value> {
    let text = "[a\"\\\\{}\\[\\],:\n é]{0,5}";
    let leaf = prop_oneof![text.prop_map(Value::from), any::<i64>().prop_map(Value::from), Just(Value::Null)];
    leaf.prop_recursive(3, 16, 4, |inner| {
        let name = prop_oneof![Just("a".to_owned()), Just("b".to_owned()), "[ab\"}]{0,2}"];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name, inner), 0..4).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn each_is_what_serde_json_gives(values in prop::collection::vec(value(), 0..5), pretty in any::<bool>()) {
        let json = if pretty { serde_json::to_string_pretty(&values) } else { serde_json::to_string(&values) };
        let found = each(&json.unwrap());
        prop_assert_eq!(found.len(), values.len());
        for ((plain, found), value) in found.into_iter().zip(values) {
            prop_assert_eq!(found.ok(), value.is_object().then_some(value.clone()));
            let texts = value.as_object().is_some_and(|members| members.len() == 2)
                && value["a"].is_string() && value["b"].is_string();
            prop_assert_eq!(plain, texts);
        }
    }
}

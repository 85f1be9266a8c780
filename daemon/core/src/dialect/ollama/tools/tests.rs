//! What Ollama is sent of a schema.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::chat::Json;

fn tool(parameters: &Value) -> Tool {
    let raw = json!({"type": "function", "function": {"name": "f", "description": "Does it.", "parameters": parameters}});
    Tool { name: "f".to_owned(), raw: Json::object(&raw.to_string()).unwrap() }
}

/// The function as it goes out.
fn sent(parameters: &Value) -> Value {
    let tool = tool(parameters);
    let written = translated(0, &tool).unwrap();
    let text = written.as_deref().unwrap_or(tool.raw.get().as_bytes());
    serde_json::from_slice::<Value>(text).unwrap()["function"].take()
}

/// What becomes of one property.
fn property(schema: &Value) -> Value {
    with_defs(schema, &json!({}))
}

fn with_defs(schema: &Value, defs: &Value) -> Value {
    let parameters = json!({"type": "object", "properties": {"p": schema}, "$defs": defs});
    sent(&parameters)["parameters"]["properties"]["p"].take()
}

#[test]
fn a_tool_of_which_nothing_is_dropped_goes_as_it_came() {
    for parameters in [
        json!({}),
        json!({"type": "object", "properties": {}}),
        json!({"type": "object", "title": "Args", "properties": {
            "z": {"type": "string", "description": "A letter", "enum": ["a"]},
            "a": {"anyOf": [{"type": "string"}, {"type": "null"}], "items": {"type": "array", "items": {}}},
        }, "required": ["z"]}),
        json!({"type": "object", "additionalProperties": true, "$defs": {"Unused": {"type": "string"}}}),
        json!("nonsense"),
    ] {
        assert!(translated(0, &tool(&parameters)).unwrap().is_none(), "{parameters}");
    }
    let bare = Tool { name: "f".to_owned(), raw: Json::object(r#"{"function": {"name": "f"}}"#).unwrap() };
    assert!(translated(0, &bare).unwrap().is_none());
}

#[test]
fn an_ordinary_tool_is_found_to_be_kept_without_a_tree() {
    let words: Value = words::KEPT
        .iter()
        .filter(|word| !matches!(**word, "items" | "properties" | "anyOf"))
        .map(|word| ((*word).to_owned(), json!(["any", 1])))
        .collect::<serde_json::Map<_, _>>()
        .into();
    for kept in [
        json!({}),
        json!({"type": "object", "properties": {}, "required": [], "additionalProperties": true}),
        json!({"properties": {"p": words, "anyOf": {"anyOf": [{"type": "null"}, words]}}}),
        json!({"items": {"items": {"nullable": false, "uniqueItems": false}}}),
    ] {
        assert!(kept::kept(tool(&kept).raw.get()), "{kept}");
    }
    for dropped in [
        json!({"description": "Both."}),
        json!({"anyOf": []}),
        json!({"properties": {"p": true}}),
        json!({"properties": {"p": {"$ref": "#"}}}),
        json!({"properties": {"p": {"additionalProperties": false}}}),
        json!({"properties": {"p": {"anyOf": [{"items": {"minLength": 1}}]}}}),
        json!({"additionalProperties": {"type": "string"}}),
    ] {
        assert!(!kept::kept(tool(&dropped).raw.get()), "{dropped}");
    }
}

#[test]
fn the_order_of_properties_stays() {
    let text = r#"{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"z":{"type":"string","minLength":1},"a":{"type":"integer"}}}}}"#;
    let written =
        translated(0, &Tool { name: "f".to_owned(), raw: Json::object(text).unwrap() }).unwrap().unwrap();
    let expected = text.replace(r#""minLength":1"#, r#""minLength":1,"description":"at least 1 characters""#);
    assert_eq!(String::from_utf8(written).unwrap(), expected);
}

#[test]
fn what_is_dropped_is_said() {
    for (schema, words) in [
        (json!({"type": "string", "format": "date-time"}), "format: date-time"),
        (json!({"pattern": "^[A-Z]$"}), "pattern: ^[A-Z]$"),
        (json!({"maxLength": 5, "minLength": 2}), "at most 5 characters; at least 2 characters"),
        (json!({"exclusiveMaximum": 2.5, "minimum": 1}), "less than 2.5; at least 1"),
        (json!({"multipleOf": 5}), "a multiple of 5"),
        (json!({"minItems": 1, "uniqueItems": true}), "at least 1 elements; no element twice"),
        (json!({"default": "celsius"}), "default: celsius"),
        (json!({"default": null}), "default: null"),
        (json!({"default": ["a"]}), "default: [\"a\"]"),
        (json!({"additionalProperties": false}), "no other properties"),
        (json!({"additionalProperties": {"type": "string"}}), "other properties: {\"type\":\"string\"}"),
        (json!({"not": {"type": "null"}}), "not: {\"type\":\"null\"}"),
        (json!({"examples": [1]}), "for example [1]"),
        (json!({"x-unknown": 3}), "x-unknown: 3"),
        (json!({"anyOf": [], "oneOf": [{"type": "string"}]}), "oneOf: [{\"type\":\"string\"}]"),
    ] {
        assert_eq!(property(&schema)["description"], words, "{schema}");
    }
    let described = property(&json!({"description": "A name.", "minLength": 1}));
    assert_eq!(described["description"], "A name. (at least 1 characters)");
    let long = property(&json!({"pattern": "é".repeat(300)}));
    assert!(long["description"].as_str().unwrap().len() <= 210);
    let many: Value =
        (0..40).map(|nr| (format!("k{nr:02}"), json!(nr))).collect::<serde_json::Map<_, _>>().into();
    assert!(property(&many)["description"].as_str().unwrap().ends_with("k15: 15; and 24 more conditions"));
}

#[test]
fn what_is_dropped_of_all_the_arguments_is_said_of_the_function() {
    let of = |parameters| sent(&parameters)["description"].clone();
    assert_eq!(
        of(json!({"type": "object", "additionalProperties": false})),
        "Does it. (no other properties)"
    );
    let any =
        json!({"type": "object", "description": "Both.", "anyOf": [{"required": ["a"]}], "maxProperties": 2});
    assert_eq!(
        of(any),
        "Does it. (at most 2 properties; Both.; arguments are any of [{\"required\":[\"a\"]}])"
    );
}

#[test]
fn alternatives_and_constants_take_the_words_that_are_kept() {
    assert_eq!(property(&json!({"const": "x"})), json!({"enum": ["x"]}));
    assert_eq!(
        property(&json!({"oneOf": [{"const": 1}, {"type": "string", "maxLength": 2}]})),
        json!({"anyOf": [{"enum": [1]}, {"type": "string", "maxLength": 2, "description": "at most 2 characters"}]})
    );
    // Ollama reads no truth values for schemas, and refuses the request.
    assert_eq!(property(&json!(true)), json!({}));
    assert_eq!(property(&json!(false)), json!({"description": "never given"}));
    assert_eq!(
        property(&json!({"type": "array", "items": {"type": "integer", "minimum": 0}}))["items"]["description"],
        "at least 0"
    );
}

#[test]
fn references_are_written_out() {
    let defs = json!({"City": {"type": "string", "description": "A city", "maxLength": 9}, "Place": {"$ref": "#/$defs/City"}});
    let city = json!({"type": "string", "description": "A city (at most 9 characters)", "maxLength": 9});
    assert_eq!(with_defs(&json!({"$ref": "#/$defs/City"}), &defs), city);
    assert_eq!(with_defs(&json!({"$ref": "#/$defs/Place"}), &defs), city);
    // What stands beside a reference is nearer.
    let near = with_defs(&json!({"$ref": "#/$defs/City", "description": "Where"}), &defs);
    assert_eq!(near["description"], "Where (at most 9 characters)");
    // Pydantic's older form.
    let all = with_defs(&json!({"allOf": [{"$ref": "#/$defs/City"}], "default": "Bonn"}), &defs);
    assert_eq!(all["description"], "A city (default: Bonn; at most 9 characters)");
    let sent = sent(&json!({"properties": {"p": {"$ref": "#/$defs/City"}}, "$defs": defs}));
    assert!(sent["parameters"].get("$defs").is_none(), "nothing refers to them any more: {sent}");
    let odd = json!({"a/b~c d": {"type": "string"}});
    assert_eq!(with_defs(&json!({"$ref": "#/$defs/a~1b~0c%20d"}), &odd), json!({"type": "string"}));
}

#[test]
fn references_in_circles_to_elsewhere_and_to_nothing_are_left_in_words() {
    let tree = json!({"Tree": {"type": "object", "properties": {"left": {"$ref": "#/$defs/Tree"}}}});
    assert_eq!(
        with_defs(&json!({"$ref": "#/$defs/Tree"}), &tree),
        json!({"type": "object", "properties": {"left": {"description": "in the form of Tree"}}})
    );
    let kept = sent(&json!({"properties": {"p": {"$ref": "#/$defs/Tree"}}, "$defs": tree.clone()}));
    assert_eq!(kept["parameters"]["$defs"], tree, "words refer to it");
    for (reference, words) in [
        ("#", "in the form of the arguments"),
        ("https://example.org/schema", "in the form of schema"),
        ("#/$defs/Nobody", "in the form of Nobody"),
        ("#/$defs/Self", "in the form of Self"),
    ] {
        let defs = json!({"Self": {"$ref": "#/$defs/Self"}});
        assert_eq!(with_defs(&json!({ "$ref": reference }), &defs)["description"], words, "{reference}");
    }
    let all = json!({"Loop": {"allOf": [{"$ref": "#/$defs/Loop"}], "type": "string"}});
    assert_eq!(with_defs(&json!({"$ref": "#/$defs/Loop"}), &all)["type"], "string");
}

#[test]
fn a_chain_that_doubles_at_every_link_ends() {
    let link = |nr: usize| {
        json!({"type": "object", "properties": {
        "a": {"$ref": format!("#/$defs/L{}", nr + 1)}, "b": {"$ref": format!("#/$defs/L{}", nr + 1)},
        "text": {"description": "x".repeat(200)}}})
    };
    let mut defs: serde_json::Map<String, Value> = (0..40).map(|nr| (format!("L{nr}"), link(nr))).collect();
    defs.insert("L40".to_owned(), json!({"type": "string"}));
    let text = sent(&json!({"properties": {"p": {"$ref": "#/$defs/L0"}}, "$defs": defs})).to_string();
    assert!(text.len() < 4 * MOST && text.contains("in the form of L"), "{} bytes", text.len());
}

#[test]
fn a_tool_has_a_length() {
    let of = |length: usize| {
        let tool = tool(&json!({"x": ""}));
        let raw = tool
            .raw
            .get()
            .replace("\"x\":\"\"", &format!("\"x\":\"{}\"", "y".repeat(length - tool.raw.get().len())));
        translated(3, &Tool { name: tool.name, raw: Json::object(&raw).unwrap() })
    };
    assert!(of(LONGEST).is_ok());
    assert_eq!(of(LONGEST + 1).unwrap_err().param(), Some("tools[3]"));
}

#[test]
fn depth_is_bounded_whatever_references_bring() {
    let deep = |reference: &str| {
        let mut schema = json!({ "$ref": reference });
        for _ in 0..50 {
            schema = json!({"properties": {"p": schema}});
        }
        schema
    };
    let defs = json!({"A": deep("#/$defs/B"), "B": deep("#/$defs/C"), "C": deep("#/$defs/A")});
    let raw = tool(&json!({"properties": {"p": {"$ref": "#/$defs/A"}}, "$defs": defs})).raw.get().to_owned();
    let written =
        translated(0, &Tool { name: "f".to_owned(), raw: Json::object(&raw).unwrap() }).unwrap().unwrap();
    assert!(!crate::dialect::json::is_deeper(&written, LEVELS + 8));
}

fn schema() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        (-5_i64..5).prop_map(Value::from),
        "[a-z#/$é]{0,6}".prop_map(Value::from),
        prop::sample::select(vec!["#", "#/$defs/A", "#/$defs/B", "#/properties/p", "x"])
            .prop_map(|to| json!({"$ref": to})),
    ];
    leaf.prop_recursive(5, 40, 4, |inner| {
        let name = prop::sample::select(vec![
            "type",
            "properties",
            "items",
            "anyOf",
            "oneOf",
            "allOf",
            "const",
            "enum",
            "$ref",
            "$defs",
            "A",
            "B",
            "p",
            "description",
            "required",
            "minLength",
            "default",
            "additionalProperties",
            "format",
            "odd",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name, inner), 0..5).prop_map(|fields| fields
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect()),
        ]
    })
}

/// Whether what stands at a schema's place is one that Ollama reads, with nothing left in it that is to be written out.
fn settled(schema: &Value) -> bool {
    let Some(fields) = schema.as_object() else { return !schema.is_boolean() };
    !["$ref", "allOf", "const"].iter().any(|word| fields.contains_key(*word)) && inner_settled(schema)
}

/// The same of those inside of it.
fn inner_settled(schema: &Value) -> bool {
    let items = match &schema["items"] {
        Value::Array(each) => each.iter().all(settled),
        Value::Null => true,
        items => settled(items),
    };
    items
        && schema["properties"].as_object().into_iter().flatten().all(|(_, property)| settled(property))
        && schema["anyOf"].as_array().into_iter().flatten().all(settled)
}

/// Schemas of which nearly nothing is dropped.
fn plain() -> impl Strategy<Value = Value> {
    let word =
        prop::sample::select(vec!["type", "description", "enum", "$defs", "uniqueItems", "anyOf", "p"]);
    let leaf = (word, any::<bool>()).prop_map(|(word, value)| json!({ word: value }));
    leaf.prop_recursive(4, 24, 3, |inner| {
        (inner.clone(), inner.clone(), inner)
            .prop_map(|(one, two, three)| json!({"properties": {"p": one}, "items": two, "anyOf": [three]}))
    })
}

proptest! {
    #[test]
    fn what_is_kept_is_what_is_not_rewritten(any in schema(), plain in plain()) {
        for parameters in [any, plain.clone(), json!({"properties": {"p": plain}})] {
            let tool = tool(&parameters);
            if kept::kept(tool.raw.get()) {
                prop_assert!(rewritten(tool.raw.get()).is_none(), "{}", parameters);
            }
        }
    }

    #[test]
    fn any_schema_comes_out_whole_bounded_and_settled(root in schema(), a in schema(), b in schema()) {
        let mut parameters = if root.is_object() { root } else { json!({"properties": {"p": root}}) };
        parameters["$defs"] = json!({"A": a, "B": b});
        let once = sent(&parameters);
        prop_assert_eq!(&once["name"], "f");
        prop_assert!(once["description"].as_str().is_some_and(|text| text.starts_with("Does it.")));
        prop_assert!(inner_settled(&once["parameters"]), "{}", once);
        prop_assert!(once.to_string().len() < 32 * parameters.to_string().len() + 2 * MOST);
    }
}

//! Each keyword that is kept, each kind that is not, and schemas made to cost much.

use super::*;
use serde_json::json;

fn judge(schema: &Value) -> Result<(), Failure> {
    check("response_format", schema, &Limits::default())
}

/// What a refusal says, after checking that it names the field.
fn refused(schema: &Value) -> String {
    let failure = judge(schema).unwrap_err();
    assert_eq!((failure.status.as_u16(), failure.param.as_deref()), (400, Some("response_format")));
    failure.message
}

#[test]
fn keywords_that_bind_are_kept_or_refused_by_their_names() {
    for schema in [
        json!({"type": "object", "properties": {"a": {"type": ["string", "null"], "minLength": 1}}, "required": ["a"],
            "additionalProperties": false, "title": "T", "description": "d", "$schema": "https://json-schema.org/draft/2020-12/schema"}),
        json!({"$defs": {"n": {"properties": {"next": {"$ref": "#/$defs/n"}}}}, "$ref": "#/$defs/n"}),
        json!({"properties": {"self": {"$ref": "#"}}, "$id": "https://example.com/x"}),
        json!({"items": [{"const": 1}, true], "additionalItems": false}),
        json!({"enum": [1, 2.5, "x", null], "default": 12_345_678_901_234_567_890_u64, "minProperties": 1}),
        json!(true),
    ] {
        judge(&schema).unwrap();
    }
    for (schema, keyword) in [
        (json!({"properties": {"a": {"uniqueItems": true}}}), "'uniqueItems'"),
        (json!({"not": {}}), "'not'"),
        (json!({"if": {}, "then": {}}), "'if'"),
        (json!({"anyOf": [{"contains": {}}]}), "'contains'"),
        (json!({"$defs": {"x": {"propertyNames": {}}}}), "'propertyNames'"),
        (json!({"type": "string", "minimumLength": 3}), "'minimumLength'"),
        (json!({"minProperties": 2}), "'minProperties'"),
        // llguidance's own switches would loosen what is kept.
        (json!({"x-guidance": {"lenient": true}, "not": {}}), "'x-guidance'"),
        (json!({"properties": {"a": {"$id": "other"}}}), "'$id'"),
        (json!({"$ref": "https://example.com/x"}), "'$ref'"),
        (json!({"$ref": "#/$defs/none"}), "'$ref'"),
        (json!({"$ref": 3}), "'$ref'"),
        (json!({"maximum": 9_007_199_254_740_993_u64}), "'maximum'"),
        (json!({"enum": ["a", [12_345_678_901_234_567_890_u64]]}), "'enum'"),
        (json!({"properties": []}), "'properties'"),
        (json!({"my little secret": 1}), "unknown keyword"),
    ] {
        let message = refused(&schema);
        assert!(message.contains(keyword) && !message.contains("secret"), "{schema}: {message}");
    }
    assert!(refused(&json!({"items": 3})).contains("neither an object"));
}

#[test]
fn an_object_has_properties_up_to_a_limit() {
    let judge = |count: usize| {
        let properties: Map<String, Value> = (0..count).map(|index| (index.to_string(), json!({}))).collect();
        let limits = Limits { schema_properties: 5, ..Limits::default() };
        check("tools", &json!({"items": {"properties": properties}}), &limits)
    };
    judge(5).unwrap();
    assert!(judge(6).unwrap_err().message.contains("too large"));
}

#[test]
fn levels_of_all_definitions_add_up_to_a_limit() {
    // Each is referred to from the one before: two levels each, and two of the root's own.
    let chain = |length: usize| {
        let next = |index: usize| json!({"items": {"$ref": format!("#/$defs/d{}", (index + 1) % length)}});
        let defs: Map<String, Value> = (0..length).map(|index| (format!("d{index}"), next(index))).collect();
        json!({"$defs": defs, "items": {"$ref": "#/$defs/d0"}})
    };
    let judge = |length: usize, limit: usize| {
        check("tools", &chain(length), &Limits { schema_levels: limit, ..Limits::default() })
    };
    judge(10, 23).unwrap();
    let failure = judge(10, 22).unwrap_err();
    assert!(failure.message.contains("too deep"), "{failure}");
    assert_eq!(judge(100_000, 2000).unwrap_err().param.as_deref(), Some("tools"));
}

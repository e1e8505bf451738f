use serde_json::json;

use super::*;

fn judge(schema: &Value, value: &Value) -> Fit {
    Schema::read(&schema.to_string()).judge(&value.to_string())
}

/// Schemas, each with a value that fits and one that does not.
fn check<const N: usize>(rows: [(Value, Value, Value); N]) {
    for (schema, good, bad) in rows {
        assert_eq!(judge(&schema, &good), Fit::Schema, "{schema} {good}");
        assert_eq!(judge(&schema, &bad), Fit::Misfit, "{schema} {bad}");
    }
}

#[test]
fn keywords_of_single_values_are_checked() {
    check([
        (json!({"type": "object"}), json!({}), json!([])),
        (json!({"type": ["string", "null"]}), json!(null), json!(1)),
        (json!({"type": "integer"}), json!(2.0), json!(2.5)),
        (json!({"type": "number"}), json!(2), json!("2")),
        (json!({"type": "boolean"}), json!(false), json!(0)),
        (json!({"type": "array"}), json!([]), json!({})),
        (json!({"enum": ["a", 1, [2, {"b": 3}]]}), json!([2.0, {"b": 3}]), json!("b")),
        (json!({"const": {"a": 1}}), json!({"a": 1.0}), json!({"a": 1, "b": 2})),
        (json!({"minimum": 2}), json!(2), json!(1.9)),
        (json!({"maximum": 2}), json!(2), json!(3)),
        (json!({"exclusiveMinimum": 2}), json!(2.1), json!(2)),
        (json!({"exclusiveMaximum": 2}), json!(-9), json!(2)),
        (json!({"minimum": u64::MAX}), json!(u64::MAX), json!(u64::MAX - 1)),
        (json!({"multipleOf": 3}), json!(9), json!(10)),
        (json!({"multipleOf": 0.1}), json!(0.3), json!(0.35)),
        (json!({"minLength": 2}), json!("éé"), json!("é")),
        (json!({"maxLength": 2}), json!("日本"), json!("abc")),
        (json!({"pattern": "^a+$"}), json!("aa"), json!("ab")),
    ]);
}

#[test]
fn keywords_of_lists_and_objects_are_checked() {
    check([
        (json!({"items": {"type": "string"}}), json!(["a"]), json!(["a", 1])),
        (
            json!({"items": [{"type": "string"}], "additionalItems": false}),
            json!(["a"]),
            json!(["a", 1]),
        ),
        (
            json!({"prefixItems": [{"type": "string"}], "items": {"type": "null"}}),
            json!(["a", null]),
            json!(["a", 1]),
        ),
        (json!({"contains": {"const": 1}, "maxContains": 1}), json!([1, 2]), json!([1, 1])),
        (json!({"contains": {"const": 1}}), json!([1]), json!([])),
        (json!({"minItems": 1, "maxItems": 2}), json!([1]), json!([1, 2, 3])),
        (json!({"uniqueItems": true}), json!([1, "1", [1]]), json!([1, 2, 1.0])),
        (json!({"properties": {"a": {"type": "null"}}}), json!({"b": 1}), json!({"a": 1})),
        (json!({"required": ["a"]}), json!({"a": null}), json!({"b": 1})),
        (
            json!({"additionalProperties": false, "properties": {"a": true}, "patternProperties": {"^x": true}}),
            json!({"a": 1, "x1": 2}),
            json!({"b": 1}),
        ),
        (json!({"patternProperties": {"^x": {"type": "null"}}}), json!({"a": 1}), json!({"x": 1})),
        (json!({"propertyNames": {"maxLength": 1}}), json!({"a": 1}), json!({"ab": 1})),
        (json!({"minProperties": 1, "maxProperties": 1}), json!({"a": 1}), json!({})),
        (json!({"dependentRequired": {"a": ["b"]}}), json!({"b": 1}), json!({"a": 1})),
        (
            json!({"dependentSchemas": {"a": {"required": ["b"]}}}),
            json!({"a": 1, "b": 1}),
            json!({"a": 1}),
        ),
        (json!({"dependencies": {"a": ["b"]}}), json!({}), json!({"a": 1})),
    ]);
}

#[test]
fn keywords_that_lead_on_are_checked() {
    check([
        (json!({"allOf": [{"minimum": 1}, {"maximum": 2}]}), json!(1), json!(3)),
        (json!({"anyOf": [{"type": "null"}, {"minimum": 2}]}), json!(2), json!(1)),
        (json!({"oneOf": [{"minimum": 1}, {"minimum": 2}]}), json!(1), json!(2)),
        (json!({"not": {"type": "string"}}), json!(1), json!("a")),
        (
            json!({"if": {"type": "string"}, "then": {"minLength": 1}, "else": {"type": "null"}}),
            json!(null),
            json!(""),
        ),
        (
            json!({"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"type": "null"}}}),
            json!(null),
            json!(1),
        ),
        (
            json!({"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}}),
            json!({"next": {"next": null}}),
            json!({"next": {"next": 1}}),
        ),
        (json!({"items": false}), json!([]), json!([1])),
    ]);
    let says_nothing = json!({"format": "email", "title": "t", "description": "d"});
    assert_eq!(judge(&says_nothing, &json!("x")), Fit::Schema);
    assert_eq!(judge(&json!(true), &json!("x")), Fit::Schema);
}

#[test]
fn what_is_not_known_is_not_guessed() {
    for schema in [
        json!({"$ref": "https://example.com/schema.json"}),
        json!({"$ref": "file:///etc/passwd"}),
        json!({"$ref": "#/none"}),
        json!({"$ref": "#anchor"}),
        json!({"$dynamicRef": "#a"}),
        json!({"unevaluatedProperties": false}),
        json!({"properties": {"a": {"pattern": "(?=x)"}}}),
        json!({"patternProperties": {"(a)\\1": false}}),
        json!({"not": {"$ref": "x"}}),
        json!({"oneOf": [true, {"$ref": "x"}]}),
        json!({"required": "a"}),
        json!({"type": "text"}),
        json!([]),
    ] {
        assert_eq!(judge(&schema, &json!({"a": "b"})), Fit::Unknown, "{schema}");
    }
    let both = json!({"$ref": "x", "type": "string"});
    assert_eq!(judge(&both, &json!(1)), Fit::Misfit, "a misfit is one, whatever else is not known");
    assert_eq!(judge(&json!({"anyOf": [true, {"$ref": "x"}]}), &json!(1)), Fit::Schema);
    assert_eq!(Schema::read("{").judge("1"), Fit::Unknown);
    let long = format!("{{\"title\": {:?}}}", "x".repeat(SCHEMA_BYTES_MAX));
    assert_eq!(Schema::read(&long).judge("1"), Fit::Unknown);
    assert_eq!(
        Schema::read("true").judge(&format!("{:?}", "x".repeat(VALUE_BYTES_MAX))),
        Fit::Unknown
    );
}

#[test]
fn hostile_schemas_end() {
    // Each leads to the next twice: 2^60 ways.
    let mut definitions = serde_json::Map::new();
    for i in 0..60 {
        let next = json!({"$ref": format!("#/$defs/d{}", i + 1)});
        definitions.insert(format!("d{i}"), json!({"anyOf": [next, next]}));
    }
    definitions.insert("d60".to_owned(), json!({"type": "string"}));
    let ways = json!({"$ref": "#/$defs/d0", "$defs": definitions});
    let around = json!({"$ref": "#"});
    let many: Vec<u32> = (0..20_000).collect();
    for (schema, value) in [
        (ways, json!(1)),
        (around.clone(), json!(1)),
        (json!({"allOf": [around, around, around]}), json!(1)),
        (json!({"uniqueItems": true}), json!(many)),
        (json!({"items": {"enum": many}}), json!(vec![19_999; 20_000])),
        (json!({"pattern": "^(a|b|ab)*c$"}), json!("ab".repeat(300_000))),
    ] {
        assert_eq!(judge(&schema, &value), Fit::Unknown);
    }
    let mut schema = Schema::read(r#"{"uniqueItems": true}"#);
    assert_eq!(schema.judge(&json!(many).to_string()), Fit::Unknown);
    assert_eq!(schema.judge("[]"), Fit::Unknown, "the steps are those of the whole request");
}

#[test]
fn deep_values_are_checked_without_end_of_stack() {
    let schema = json!({"items": {"$ref": "#"}, "type": ["array", "null"]});
    let deep = format!("{}null{}", "[".repeat(100), "]".repeat(100));
    assert_eq!(Schema::read(&schema.to_string()).judge(&deep), Fit::Schema);
}

//! The generator against a validator: it accepts the answer to any schema.

use assay_dev::Schema;
use proptest::{prelude::*, test_runner::RngSeed};
use serde_json::{Map, Value, json};

const TEXT: &str = "Mara: We decided to move the stock count to Thursday.\nJonas: I will print the labels by Friday.\nMara: Who tells the night shift?\n";

fn judge(schema: &Value, instance: &Value) -> Result<(), String> {
    let validator =
        jsonschema::options().should_validate_formats(true).build(schema).map_err(|error| error.to_string())?;
    validator
        .validate(instance)
        .map_err(|error| format!("{error} at {}\n{instance:#}\nfor {schema:#}", error.instance_path()))
}

fn check(schema: &Value, seed: u64) -> Result<(), String> {
    let compiled = Schema::compile(schema).map_err(|error| format!("{error} for {schema:#}"))?;
    judge(schema, &compiled.instance(TEXT, seed))
}

#[test]
fn every_keyword_is_understood() {
    let schemas = [
        json!(true),
        json!({}),
        json!({ "const": { "a": [1, null] } }),
        json!({ "enum": [3, "x", null], "type": ["integer", "string"], "minimum": 3, "minLength": 2 }),
        json!({ "type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 5 }),
        json!({ "type": "integer", "multipleOf": 7, "minimum": 100, "maximum": 106 }),
        json!({ "type": "number", "multipleOf": 0.25, "exclusiveMinimum": 0.5, "exclusiveMaximum": 1 }),
        json!({ "type": "number", "exclusiveMinimum": 0.1, "exclusiveMaximum": 0.100_001 }),
        json!({ "type": "number", "maximum": -1000.5 }),
        json!({ "type": "string", "minLength": 400, "maxLength": 401 }),
        json!({ "type": "string", "maxLength": 0 }),
        json!({ "type": "string", "pattern": "\\S", "maxLength": 30 }),
        json!({ "type": "string", "pattern": "^(\\+\\d{1,3} )?\\(\\d{3}\\) \\d{3}-\\d{4}$" }),
        json!({ "type": "string", "pattern": "^[a-z]+(-[a-z]+)*$", "minLength": 30, "maxLength": 40 }),
        json!({ "type": "string", "pattern": "^(?!abc)[a-c]{3}$" }),
        json!({ "type": "string", "pattern": "^[a-f]+$", "allOf": [{ "pattern": "a" }, { "minLength": 4 }] }),
        json!({ "type": "array", "items": { "enum": [1, 2, 3] }, "uniqueItems": true, "minItems": 3 }),
        json!({ "type": "array", "prefixItems": [{ "type": "string" }, { "const": 2 }], "items": false, "minItems": 2 }),
        json!({ "type": "array", "items": { "type": "integer" }, "contains": { "minimum": 50 }, "minContains": 2, "maxContains": 2, "minItems": 4 }),
        json!({ "type": "array", "contains": { "const": "needle" } }),
        json!({ "type": "object", "minProperties": 3, "propertyNames": { "pattern": "^k[0-9]+$" }, "additionalProperties": { "type": "integer" } }),
        json!({ "type": "object", "patternProperties": { "^x-[a-z]+$": { "type": "boolean" } }, "additionalProperties": false, "minProperties": 2 }),
        json!({ "type": "object", "required": ["a", "undeclared"], "properties": { "a": { "type": "null" } }, "maxProperties": 2 }),
        json!({ "type": "object", "properties": { "card": {}, "address": { "type": "string" } }, "dependentRequired": { "card": ["address"] }, "required": ["card"] }),
        json!({ "type": "object", "properties": { "kind": { "enum": ["a", "b"] } }, "required": ["kind"],
                "dependentSchemas": { "kind": { "required": ["why"], "properties": { "why": { "type": "string" } } } } }),
        json!({ "type": "object", "required": ["kind"], "properties": { "kind": { "enum": ["circle", "square"] } },
                "if": { "properties": { "kind": { "const": "circle" } } },
                "then": { "required": ["radius"], "properties": { "radius": { "type": "number", "exclusiveMinimum": 0 } } },
                "else": { "required": ["side"], "properties": { "side": { "type": "number", "exclusiveMinimum": 0 } } } }),
        json!({ "oneOf": [{ "type": "integer", "multipleOf": 3 }, { "type": "integer", "multipleOf": 5 }], "minimum": 10, "maximum": 20 }),
        json!({ "anyOf": [{ "type": "string", "maxLength": 0 }, { "type": "string", "minLength": 5 }], "minLength": 3 }),
        json!({ "type": "string", "not": { "enum": ["a", "b"] }, "pattern": "^[abc]$" }),
        json!({ "allOf": [{ "type": "object", "properties": { "a": { "type": "string" } }, "required": ["a"] },
                          { "properties": { "b": { "type": "integer" } }, "required": ["b"] }], "unevaluatedProperties": false }),
        json!({ "$ref": "#/$defs/tree", "$defs": { "tree": { "type": "object", "additionalProperties": false, "required": ["label", "children"],
                "properties": { "label": { "type": "string" }, "children": { "type": "array", "items": { "$ref": "#/$defs/tree" } } } } } }),
        json!({ "type": "object", "required": ["value", "next"], "properties": { "value": { "type": "integer" }, "next": { "anyOf": [{ "$ref": "#" }, { "type": "null" }] } } }),
        json!({ "$defs": { "expression": { "oneOf": [
                    { "type": "object", "additionalProperties": false, "required": ["left", "right"], "properties": { "left": { "$ref": "#/$defs/expression" }, "right": { "$ref": "#/$defs/expression" } } },
                    { "type": "number" }] } }, "$ref": "#/$defs/expression" }),
        json!({ "$id": "https://example.com/thing", "$anchor": "top", "properties": { "self": { "anyOf": [{ "$ref": "#top" }, { "type": "null" }] } }, "required": ["self"], "type": "object" }),
        json!({ "$schema": "http://json-schema.org/draft-07/schema#", "definitions": { "id": { "type": "string", "format": "uuid" } },
                "type": "object", "properties": { "pair": { "items": [{ "$ref": "#/definitions/id" }, { "type": "integer" }], "additionalItems": false, "type": "array", "minItems": 2 } }, "required": ["pair"] }),
    ];
    for (number, schema) in schemas.iter().enumerate() {
        for seed in 0..8 {
            check(schema, seed).unwrap_or_else(|error| panic!("schema {number}, seed {seed}: {error}"));
        }
    }
}

#[test]
fn every_format_is_known() {
    for format in [
        "date",
        "time",
        "date-time",
        "duration",
        "email",
        "idn-email",
        "hostname",
        "idn-hostname",
        "ipv4",
        "ipv6",
        "uri",
        "uri-reference",
        "iri",
        "iri-reference",
        "uri-template",
        "uuid",
        "json-pointer",
        "relative-json-pointer",
        "regex",
    ] {
        let schema = json!({ "type": "array", "items": { "type": "string", "format": format }, "minItems": 5, "uniqueItems": true });
        for seed in 0..4 {
            check(&schema, seed).unwrap_or_else(|error| panic!("{format}: {error}"));
        }
    }
}

#[test]
fn a_schema_without_an_instance_still_gets_an_answer() {
    let endless = json!({ "type": "object", "required": ["next"], "properties": { "next": { "$ref": "#" } } });
    let impossible = json!({ "type": "string", "minLength": 5, "maxLength": 3 });
    for schema in [endless, impossible] {
        let compiled = Schema::compile(&schema).unwrap();
        assert!(!compiled.allows(&compiled.instance(TEXT, 1)));
    }
}

#[test]
fn a_document_that_is_not_a_schema_is_refused() {
    assert!(Schema::compile(&json!({ "type": 7 })).is_err());
    assert!(Schema::compile(&json!({ "$ref": "https://example.com/elsewhere.json" })).is_err());
}

/// Makes every run test the same schemas.
const SEED: u64 = 20_261_123;

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, rng_seed: RngSeed::Fixed(SEED), ..ProptestConfig::default() })]

    #[test]
    fn any_schema_gets_an_answer_that_satisfies_it(schema in schemas(), seed in any::<u64>()) {
        if let Err(error) = check(&schema, seed) {
            return Err(TestCaseError::fail(error));
        }
    }
}

/// Makes schemas that have instances, by construction.
fn schemas() -> impl Strategy<Value = Value> {
    (node(), node()).prop_map(|(root, mut leaf)| {
        // A definition that requires itself has no finite instance.
        without_itself(&mut leaf);
        let mut schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$defs": {
                "leaf": leaf,
                "tree": { "type": "object", "required": ["name"], "additionalProperties": false,
                          "properties": { "name": { "type": "string" }, "children": { "type": "array", "items": { "$ref": "#/$defs/tree" } } } },
                "list": { "anyOf": [{ "type": "null" }, { "type": "object", "required": ["head", "tail"],
                          "properties": { "head": { "type": "integer" }, "tail": { "$ref": "#/$defs/list" } } }] },
            },
        });
        schema["allOf"] = json!([root]);
        schema
    })
}

/// Replaces references to the definition `leaf` in that definition.
fn without_itself(schema: &mut Value) {
    match schema {
        Value::Object(map) if map.get("$ref") == Some(&json!("#/$defs/leaf")) => *schema = json!({ "type": "boolean" }),
        Value::Object(map) => map.values_mut().for_each(without_itself),
        Value::Array(items) => items.iter_mut().for_each(without_itself),
        _ => {}
    }
}

fn node() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            3 => (prop::collection::btree_map("[a-z_]{1,12}", inner.clone(), 0..5), any::<u8>(), any::<bool>()).prop_map(|(properties, mask, closed)| object(properties, mask, closed)),
            2 => (inner.clone(), 0..3usize, 0..3usize).prop_map(|(items, min, more)| json!({ "type": "array", "items": items, "minItems": min, "maxItems": min + more })),
            1 => (inner.clone(), inner.clone()).prop_map(|(first, second)| json!({ "type": "array", "prefixItems": [first, second], "items": false, "minItems": 2 })),
            1 => inner.clone().prop_map(|contained| json!({ "type": "array", "contains": contained })),
            1 => inner.clone().prop_map(|values| json!({ "type": "object", "additionalProperties": values, "minProperties": 1, "maxProperties": 4, "propertyNames": { "minLength": 2 } })),
            1 => inner.clone().prop_map(|values| json!({ "type": "object", "patternProperties": { "^[a-z]{3}$": values }, "additionalProperties": false, "minProperties": 1 })),
            2 => inner.clone().prop_map(|other| json!({ "anyOf": [other, { "type": "null" }] })),
            1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| json!({ "oneOf": [
                { "type": "object", "required": ["kind", "a"], "properties": { "kind": { "const": "first" }, "a": a } },
                { "type": "object", "required": ["kind", "b"], "properties": { "kind": { "const": "second" }, "b": b } } ] })),
            1 => (inner.clone(), inner).prop_map(|(a, b)| json!({ "allOf": [
                { "type": "object", "required": ["left"], "properties": { "left": a } },
                { "type": "object", "required": ["right"], "properties": { "right": b } } ], "unevaluatedProperties": false })),
            1 => prop_oneof![Just(json!({ "$ref": "#/$defs/tree" })), Just(json!({ "$ref": "#/$defs/list" })), Just(json!({ "$ref": "#/$defs/leaf" }))],
        ]
    })
}

fn object(properties: std::collections::BTreeMap<String, Value>, mask: u8, closed: bool) -> Value {
    let required: Vec<&String> =
        properties.keys().enumerate().filter(|(i, _)| mask >> i & 1 == 1).map(|(_, name)| name).collect();
    let mut schema = json!({ "type": "object", "required": required });
    schema["properties"] =
        Value::Object(properties.iter().map(|(name, schema)| (name.clone(), schema.clone())).collect::<Map<_, _>>());
    if closed {
        schema["additionalProperties"] = json!(false);
    }
    schema
}

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!({ "type": "boolean" })),
        Just(json!({ "type": "null" })),
        Just(json!({ "type": ["string", "null"] })),
        Just(json!({ "const": [1, { "a": "b" }] })),
        (0..40usize, 0..200usize).prop_map(|(min, more)| json!({ "type": "string", "minLength": min, "maxLength": min + more })),
        prop::sample::select(vec!["^[A-Z][a-z]{2,9}$", "^\\d{4}-\\d{2}$", "\\S", "^(low|medium|high)$", "[0-9]{3}"]).prop_map(|pattern| json!({ "type": "string", "pattern": pattern })),
        prop::sample::select(vec!["date", "date-time", "time", "email", "uri", "uuid", "ipv4", "hostname", "duration"]).prop_map(|format| json!({ "type": "string", "format": format })),
        (-500..500i64, 0..50i64).prop_map(|(min, more)| json!({ "type": "integer", "minimum": min, "maximum": min + more })),
        (1..40u32, -200..200i64).prop_map(|(step, min)| json!({ "type": "integer", "multipleOf": step, "minimum": min })),
        (-500..500i32, 1..1000i32).prop_map(|(min, more)| json!({ "type": "number", "exclusiveMinimum": f64::from(min) / 7.0, "exclusiveMaximum": f64::from(min + more) / 7.0 })),
        prop::collection::btree_set("[a-z]{1,6}", 1..5).prop_map(|values| json!({ "enum": values })),
    ]
}

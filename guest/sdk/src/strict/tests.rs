//! Tests of deriving the stricter variant and of stripping its nulls.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Effect, Loss, derive, strip_nulls};

fn canonical() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Report",
        "type": "object",
        "required": ["name", "steps"],
        "additionalProperties": false,
        "properties": {
            "name": {"type": "string", "description": "A name.", "minLength": 1, "maxLength": 9},
            "risk": {"enum": ["low", "high"]},
            "kind": {"const": "x"},
            "summary": {"type": "string", "readOnly": true},
            "steps": {"type": "array", "maxItems": 3, "items": {"$ref": "#/$defs/step"}},
            "best": {"$ref": "#/$defs/step"}
        },
        "$defs": {"step": {
            "type": "object", "required": ["action"], "additionalProperties": false,
            "properties": {"action": {"type": "string"}, "due": {"type": "string", "format": "date"}}
        }}
    })
}

#[test]
fn the_derived_schema_is_what_strict_providers_accept() {
    let (strict, losses) = derive(&canonical());
    assert_eq!(losses, []);
    assert_eq!(
        strict,
        json!({
            "type": "object",
            "required": ["best", "kind", "name", "risk", "steps"],
            "additionalProperties": false,
            "properties": {
                "name": {"type": "string", "description": "A name. (minimum length 1, maximum length 9)"},
                "risk": {"enum": ["low", "high", null]},
                "kind": {"enum": ["x", null]},
                "steps": {"type": "array", "items": {"$ref": "#/$defs/step"}, "description": "(maximum number of items 3)"},
                "best": {"anyOf": [{"$ref": "#/$defs/step"}, {"type": "null"}]}
            },
            "$defs": {"step": {
                "type": "object", "required": ["action", "due"], "additionalProperties": false,
                "properties": {"action": {"type": "string"}, "due": {"type": ["string", "null"], "description": "(format date)"}}
            }}
        })
    );
}

#[test]
fn the_declared_codes_are_for_the_host_and_never_for_the_model() {
    let mut declared = canonical();
    declared["x-assay-codes"] = json!(["quote-not-found"]);
    assert_eq!(derive(&declared), derive(&canonical()));
    let by_reference = json!({"$ref": "#/$defs/step", "x-assay-codes": [], "$defs": canonical()["$defs"]});
    let (strict, losses) = derive(&by_reference);
    assert_eq!((strict.get("x-assay-codes"), losses), (None, vec![]));
    let nested =
        json!({"type": "object", "properties": {"a": {"type": "string", "x-assay-codes": []}}, "required": ["a"]});
    let (strict, losses) = derive(&nested);
    assert_eq!(losses, [loss("/properties/a", "x-assay-codes", Effect::Unsaid)]);
    assert!(!strict.to_string().contains("x-assay-codes"), "{strict}");
}

fn loss(pointer: &str, keyword: &str, effect: Effect) -> Loss {
    Loss { pointer: pointer.into(), keyword: keyword.into(), effect }
}

fn plain() -> Value {
    json!({"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "boolean"}, {"type": "null"}]})
}

#[test]
fn what_the_subset_cannot_express_is_a_loss() {
    let (strict, losses) = derive(&json!({
        "type": "object", "required": ["map", "either", "pair"],
        "properties": {
            "map": {"type": "object", "additionalProperties": {"type": "integer"}},
            "either": {"oneOf": [{"type": "string", "not": {"const": ""}}, {"type": "integer"}]},
            "pair": {"type": "array", "prefixItems": [{"type": "string"}]}
        },
        "allOf": [{"required": ["map"]}]
    }));
    for expected in [
        loss("", "allOf", Effect::Unsaid),
        loss("/properties/map", "additionalProperties", Effect::Unsaid),
        loss("/properties/map", "properties", Effect::EmptyObject),
        loss("/properties/either/oneOf/0", "not", Effect::Unsaid),
        loss("/properties/pair", "prefixItems", Effect::Unsaid),
        loss("/properties/pair", "items", Effect::PlainValue),
    ] {
        assert!(losses.contains(&expected), "{expected:?} is missing in {losses:?}");
    }
    assert_eq!(strict["properties"]["either"], json!({"anyOf": [{"type": "string"}, {"type": "integer"}]}));
    assert_eq!(strict["properties"]["map"]["additionalProperties"], json!(false));
}

#[test]
fn a_null_for_an_optional_property_is_stripped_at_any_depth() {
    let mut document = json!({
        "name": "n", "risk": null, "kind": null, "best": {"action": "b", "due": null},
        "steps": [{"action": "a", "due": null}, {"action": "b", "due": "2026-01-01"}]
    });
    strip_nulls(&mut document, &canonical());
    let kept =
        json!({"name": "n", "best": {"action": "b"}, "steps": [{"action": "a"}, {"action": "b", "due": "2026-01-01"}]});
    assert_eq!(document, kept);
}

#[test]
fn a_null_that_the_schema_allows_or_requires_stays() {
    let schema = json!({"required": ["must"], "properties": {
        "must": {"type": "string"},
        "may": {"type": ["string", "null"]},
        "any": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "free": {}
    }});
    let document = json!({"must": null, "may": null, "any": null, "free": null, "unknown": null});
    let mut stripped = document.clone();
    strip_nulls(&mut stripped, &schema);
    assert_eq!(stripped, document);
}

#[test]
fn the_matching_alternative_decides_about_its_nulls() {
    let branch = |kind: &str, name: &str| {
        json!({
            "type": "object", "required": ["kind"],
            "properties": {"kind": {"const": kind}, name: {"type": "string"}}
        })
    };
    let schema = json!({"items": {"anyOf": [branch("a", "x"), branch("b", "y")]}});
    let mut document = json!([{"kind": "b", "y": null}, {"kind": "a", "x": null}]);
    strip_nulls(&mut document, &schema);
    assert_eq!(document, json!([{"kind": "b"}, {"kind": "a"}]));
}

#[test]
fn a_circular_schema_ends() {
    let schema = json!({
        "$ref": "#/$defs/a",
        "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}, "self": {"anyOf": [{"$ref": "#/$defs/self"}]}},
        "properties": {"s": {"$ref": "#/$defs/self"}}
    });
    let mut document = json!({"s": null});
    strip_nulls(&mut document, &schema);
    strip_nulls(
        &mut document,
        &json!({"properties": {"s": {"$ref": "#/properties/s"}, "t": {"anyOf": [{"$ref": "#/properties/t"}]}}}),
    );
    assert!(derive(&schema).0.is_object());
    for keyword in ["allOf", "anyOf", "oneOf"] {
        let circle = json!({"$defs": {"self": {keyword: [{"$ref": "#/$defs/self"}]}}, "properties": {"s": {"$ref": "#/$defs/self"}}});
        let mut document = json!({"s": {}});
        strip_nulls(&mut document, &circle);
        assert_eq!(document, json!({"s": {}}), "{keyword}");
    }
}

proptest! {
    #[test]
    fn stripping_is_idempotent_and_removes_only_nulls(name in ".{0,8}", due in proptest::option::of(".{0,8}"), risk in proptest::option::of("low|high")) {
        let document = json!({"name": name, "risk": risk, "steps": [{"action": "a", "due": due}]});
        let mut stripped = document.clone();
        strip_nulls(&mut stripped, &canonical());
        let mut expected = json!({"name": name, "steps": [{"action": "a"}]});
        if let Some(risk) = risk { expected["risk"] = json!(risk); }
        if let Some(due) = due { expected["steps"][0]["due"] = json!(due); }
        prop_assert_eq!(&stripped, &expected);
        strip_nulls(&mut stripped, &canonical());
        prop_assert_eq!(stripped, expected);
    }
}

#[test]
fn alternatives_are_kept_alone_and_lost_beside_properties() {
    let alternatives = json!([{"required": ["a"]}, {"required": ["b"]}]);
    let properties = json!({"a": {"type": "string"}, "b": {"type": "string"}});
    for keyword in ["anyOf", "oneOf"] {
        let (strict, losses) = derive(&json!({"type": "object", "properties": properties, keyword: alternatives}));
        assert_eq!(losses, [loss("", keyword, Effect::Unsaid)]);
        assert!(strict.get("anyOf").is_none() && strict["properties"]["a"].is_object());
    }
    let (strict, losses) = derive(&json!({"type": "object", "properties": {"x": {"anyOf": [{"type": "string"}]}}}));
    assert_eq!(losses, []);
    assert!(strict["properties"]["x"]["anyOf"].is_array());
}

#[test]
fn a_required_name_without_a_property_is_a_loss() {
    let properties = json!({"title": {"type": "string"}});
    let (strict, losses) =
        derive(&json!({"type": "object", "properties": properties, "required": ["title", "summary"]}));
    assert_eq!(losses, [loss("", "required \"summary\"", Effect::Unwritable)]);
    assert_eq!(strict["required"], json!(["title"]));
    assert!(losses[0].to_string().contains("the model cannot write it"), "{}", losses[0]);
    let id = json!({"id": {"type": "string", "readOnly": true}});
    let (_, losses) = derive(&json!({"type": "object", "properties": id, "required": ["id"]}));
    assert_eq!(losses, [loss("", "required \"id\"", Effect::LeftToCode)]);
    let (_, losses) = derive(&json!({"type": "object", "properties": {"a": {"type": "string", "required": ["b"]}}}));
    assert_eq!(losses, [loss("/properties/a", "required", Effect::Unsaid)]);
}

#[test]
fn definitions_under_their_old_name_are_renamed() {
    let text = json!({"type": "string"});
    let (strict, losses) = derive(&json!({
        "type": "object", "required": ["x", "y"], "definitions": {"t": text, "u": text}, "$defs": {"u": {"type": "integer"}},
        "properties": {"x": {"$ref": "#/definitions/t"}, "y": {"$ref": "#/$defs/u"}}
    }));
    assert_eq!(strict["$defs"], json!({"u": {"type": "integer"}, "t": text}));
    assert_eq!(strict["properties"], json!({"x": {"$ref": "#/$defs/t"}, "y": {"$ref": "#/$defs/u"}}));
    assert_eq!(losses, [loss("/definitions", "u", Effect::Unsaid)]);
}

#[test]
fn a_reference_without_a_target_becomes_a_plain_value() {
    for reference in ["#anchored", "https://example.org/s#/$defs/x", "#/properties/y/oneOf/0", "#/$defs/a%20b"] {
        let (strict, losses) = derive(&json!({
            "$id": "https://example.org/s", "type": "object", "required": ["x", "y"],
            "$defs": {"x": {"$anchor": "anchored", "type": "object", "properties": {"z": {"type": "string"}}}, "a b": {"type": "null"}},
            "properties": {"x": {"$ref": reference}, "y": {"oneOf": [{"type": "string"}]}}
        }));
        assert_eq!(strict["properties"]["x"], plain(), "{reference}");
        assert_eq!(losses, [loss("/properties/x", "$ref", Effect::PlainValue)], "{reference}");
    }
    let (strict, losses) = derive(&json!({"type": "object", "properties": {"again": {"$ref": "#"}}}));
    assert_eq!((losses, &strict["properties"]["again"]["anyOf"][0]), (vec![], &json!({"$ref": "#"})));
}

#[test]
fn of_any_of_and_one_of_on_one_level_the_first_is_kept() {
    let (strict, losses) = derive(&json!({"type": "object", "required": ["v"], "properties": {
        "v": {"anyOf": [{"type": "string"}, {"type": "integer"}], "oneOf": [{"type": "string"}, {"type": "null"}]}
    }}));
    assert_eq!(strict["properties"]["v"], json!({"anyOf": [{"type": "string"}, {"type": "integer"}]}));
    assert_eq!(losses, [loss("/properties/v", "oneOf", Effect::Unsaid)]);
}

#[test]
fn any_value_becomes_a_plain_value_and_the_root_must_be_an_object() {
    let (strict, losses) =
        derive(&json!({"type": "object", "required": ["free"], "properties": {"free": {"description": "Free."}}}));
    let mut free = plain();
    free["description"] = json!("Free.");
    assert_eq!(strict["properties"]["free"], free);
    assert_eq!(losses, [loss("/properties/free", "type", Effect::PlainValue)]);
    let (_, losses) = derive(&json!({"type": "array", "items": {"type": "string"}}));
    assert_eq!(losses, [loss("", "type", Effect::NoObject)]);
}

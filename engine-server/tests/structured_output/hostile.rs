//! Schemas and grammars that mean harm are refused with the place and the reason, or bounded, within seconds.

use std::time::{Duration, Instant};

use realm_engine_server::constraint::{Constraints, Grammar, GrammarError, SchemaRules};
use serde_json::{Map, Value, json};

use crate::support::{babble, tiny};

/// Longest time that anything hostile may take, on a busy machine and without optimisation.
const SOON: Duration = Duration::from_secs(20);

fn refused(schema: Value) -> GrammarError {
    let started = Instant::now();
    let error = Grammar::json_schema(schema, SchemaRules::Plain).expect_err("a refusal");
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
    error
}

fn nested(levels: usize) -> Value {
    (0..levels).fold(json!({"type": "string"}), |inner, _| {
        let members = [("type".to_owned(), json!("array")), ("items".to_owned(), inner)];
        Value::Object(members.into_iter().collect())
    })
}

#[test]
fn what_is_too_large_is_refused_by_its_place() {
    let wide: Map<String, Value> =
        (0..6000).map(|index| (format!("p{index}"), json!({"type": "null"}))).collect();
    let many: Vec<usize> = (0..2000).collect();
    let doubling: Map<String, Value> = (0..40)
        .map(|level| {
            let next = json!({"$ref": format!("#/$defs/d{}", level + 1), "minProperties": 0});
            (format!("d{level}"), json!({"type": "object", "properties": {"a": next, "b": next}}))
        })
        .chain([("d40".to_owned(), json!({"type": "object"}))])
        .collect();
    let options: Vec<Value> = (0..200).map(|n| json!({"minProperties": n})).collect();
    let cases = [
        ("deep", nested(100), "levels"),
        ("wide", json!({"type": "object", "properties": wide}), "more than 5000 schemas"),
        ("a huge enumeration", json!({"enum": many}), "more than 1000 values"),
        ("a megabyte", json!({"description": "x".repeat(1 << 20)}), "bytes"),
        ("a long pattern", json!({"pattern": "a".repeat(2000)}), "bytes"),
        ("a long list", json!({"type": "array", "minItems": 1_000_000}), "at most 1000"),
        ("a long text", json!({"type": "string", "maxLength": 1_u64 << 40}), "at most 65536"),
        ("doubling references", json!({"$ref": "#/$defs/d0", "$defs": doubling}), "combined"),
        ("products", json!({"allOf": [{"anyOf": options}, {"anyOf": options}]}), "combined"),
        (
            "endless combination",
            json!({"allOf": [{"$ref": "#"}, {"type": "object"}]}),
            "refer to themselves",
        ),
    ];
    for (name, schema, reason) in cases {
        let error = refused(schema);
        assert!(error.reason.contains(reason), "{name}: {error:?}");
    }
    // The destructor of a value this deep needs a stack of its own; a body over HTTP may nest 128 levels.
    let work = || refused(nested(10_000));
    let thread = std::thread::Builder::new().stack_size(256 << 20).spawn(work).expect("a thread");
    let error = thread.join().expect("no panic");
    assert!(error.reason.contains("levels"), "{error:?}");
}

#[test]
fn what_cannot_be_enforced_is_refused_by_name() {
    let cases = [
        (json!({"type": "object", "properties": {"a": {"not": {}}}}), ".properties.a.not", true),
        (json!({"anyOf": [{}, {"uniqueItems": true}]}), ".anyOf[1].uniqueItems", true),
        (json!({"propertees": {}}), ".propertees", true),
        (json!({"type": "string", "format": "int32"}), ".format", true),
        (json!({"$ref": "https://example.com/s"}), ".$ref", true),
        (json!({"$ref": "#/$defs/none"}), ".$ref", false),
        (json!({"$ref": "#/default", "default": {"not": {}}}), ".$ref", false),
        (json!({"items": 3}), ".items", false),
        (json!({"enum": []}), ".enum", false),
        (json!({"minLength": -1}), ".minLength", false),
        (json!([]), "", false),
        (json!(true), "", false),
    ];
    for (schema, at, unsupported) in cases {
        let error = refused(schema.clone());
        assert_eq!((error.at.as_str(), error.unsupported), (at, unsupported), "{schema}: {error}");
    }
}

#[test]
fn strict_schemas_follow_their_rules() {
    let open = json!({"type": "object", "properties": {"a": {}}, "required": ["a"]});
    let optional = json!({
        "type": "object", "properties": {"a": {}, "b": {}}, "required": ["a"], "additionalProperties": false
    });
    let inner = json!({
        "type": "object", "properties": {"a": open}, "required": ["a"], "additionalProperties": false
    });
    let cases = [
        (open.clone(), ".additionalProperties"),
        (optional, ".required"),
        (inner, ".properties.a.additionalProperties"),
        (json!({"type": "array"}), ".type"),
        (json!({"type": "object", "anyOf": [{}], "additionalProperties": false}), ".anyOf"),
    ];
    for (schema, at) in cases {
        let error = Grammar::json_schema(schema.clone(), SchemaRules::Strict).expect_err("strict");
        assert_eq!(error.at, at, "{schema}: {error}");
        Grammar::json_schema(schema, SchemaRules::Plain).expect("fine without strict");
    }
}

/// What passes the checks compiles or is refused, and then runs or ends, in bounded time; nothing panics or overflows.
#[test]
fn hard_grammars_are_bounded() {
    let model = tiny();
    let constraints = Constraints::new(model.clone());
    let chain: Map<String, Value> = (0..2000)
        .map(|level| {
            let next = json!({"$ref": format!("#/$defs/d{}", level + 1)});
            let schema = json!({"type": "object", "properties": {"n": next}, "required": ["n"]});
            (format!("d{level}"), schema)
        })
        .chain([("d2000".to_owned(), json!({"type": "null"}))])
        .collect();
    let schema = |value: Value| Grammar::json_schema(value, SchemaRules::Plain).expect("accepted");
    let rules: Vec<String> = (0..3000).map(|at| format!("r{at}: r{}\n", at + 1)).collect();
    let rules = rules.concat();
    let cases = [
        ("backtracking", schema(json!({"type": "string", "pattern": "^(a+)+$"}))),
        ("alternatives", schema(json!({"type": "string", "pattern": "^(a|aa|b?a|[ab]{1,50})*c$"}))),
        ("states", schema(json!({"type": "string", "pattern": "^(.*a.{200})+$"}))),
        ("counted", schema(json!({"type": "string", "pattern": "^((a{1,90}){1,90}){1,90}b$"}))),
        ("a chain of references", schema(json!({"$ref": "#/$defs/d0", "$defs": chain}))),
        ("lists of lists", schema(nested(40))),
        ("a regular expression", Grammar::regex("(.*b.{100}){50}".into()).expect("accepted")),
        (
            "ambiguous",
            Grammar::lark("start: s\ns: s s | \"a\" | s s s\n".into()).expect("accepted"),
        ),
        ("rules", Grammar::lark(format!("start: r0\n{rules}r3000: \"x\"\n")).expect("accepted")),
        ("repeated", Grammar::lark("start: (\"a\"{1,900}){1,900}\n".into()).expect("accepted")),
        (
            "nothing fits",
            Grammar::lark("start: A\nA: /[a-b]/ & /[c-d]/\n".into()).expect("accepted"),
        ),
    ];
    for (name, grammar) in cases {
        let started = Instant::now();
        if let Ok(constraint) = constraints.compile(&grammar, None) {
            // Ends, fails with a reason, or goes on: none of them for ever.
            let _ = babble(&model, constraint, 1, 60);
        }
        assert!(started.elapsed() < SOON, "{name}: {:?}", started.elapsed());
    }
}

#[test]
fn grammars_that_do_not_compile_say_why() {
    let constraints = Constraints::new(tiny());
    let cases = [
        (Grammar::lark("start: other\n".into()).expect("accepted"), "other"),
        (Grammar::lark("start: (\n".into()).expect("accepted"), ""),
        (Grammar::regex("(unclosed".into()).expect("accepted"), ""),
        (
            Grammar::json_schema(
                json!({"oneOf": [{"type": "integer"}, {"type": "number"}]}),
                SchemaRules::Plain,
            )
            .expect("accepted"),
            "oneOf",
        ),
    ];
    for (grammar, word) in cases {
        let error = constraints.compile(&grammar, None).expect_err("a refusal").to_string();
        assert!(error.contains(word) && !error.contains("backtrace"), "{grammar:?}: {error}");
    }
    let deep = "(".repeat(10_000);
    for error in
        [Grammar::lark(deep.clone()), Grammar::regex("[".repeat(100)), Grammar::regex(deep)]
    {
        error.expect_err("brackets");
    }
    Grammar::lark("start: %json {}".into()).expect_err("a schema inside");
    Grammar::lark("x".repeat(70_000)).expect_err("too long");
    Grammar::choice(&[]).expect_err("nothing to choose");
    Grammar::choice(&vec!["x".to_owned(); 1001]).expect_err("too much to choose");
}

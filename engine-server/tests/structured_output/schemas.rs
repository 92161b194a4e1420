//! Whatever a random model says under a schema is valid for the schema, by an independent validator's judgement.

use realm_engine_server::constraint::{Constraints, Grammar, SchemaRules};
use serde_json::{Map, Value, json};

use crate::support::{babble, tiny};

/// Tokens in which a text should be complete; one that is not says nothing.
const PATIENCE: usize = 3000;
/// Texts for each schema.
const SEEDS: u64 = 6;

fn cases() -> Map<String, Value> {
    serde_json::from_str(include_str!("schemas.json")).expect("schemas by name")
}

#[test]
fn a_random_model_says_what_the_schema_allows() {
    let model = tiny();
    let constraints = Constraints::new(model.clone());
    let mut complete = 0;
    for (name, schema) in cases() {
        let grammar = Grammar::json_schema(schema.clone(), SchemaRules::Plain).expect(&name);
        let constraint = constraints.compile(&grammar, None).expect(&name);
        let validator = jsonschema::options()
            .should_validate_formats(true)
            .build(&schema)
            .expect("a schema that the validator knows");
        for seed in 0..SEEDS {
            let (text, over) = babble(&model, constraint.clone(), seed, PATIENCE).expect(&name);
            let text = String::from_utf8(text).expect("text");
            if !over {
                continue;
            }
            complete += 1;
            let value: Value = serde_json::from_str(&text)
                .unwrap_or_else(|error| panic!("{name}, seed {seed}: {error} in {text:?}"));
            let faults: Vec<String> =
                validator.iter_errors(&value).map(|error| error.to_string()).collect();
            assert!(faults.is_empty(), "{name}, seed {seed}: {text} {faults:?}");
        }
    }
    let all = cases().len() * SEEDS as usize;
    assert!(complete * 10 >= all * 9, "only {complete} of {all} texts came to an end");
}

#[test]
fn an_object_of_any_kind_is_json() {
    let model = tiny();
    let constraints = Constraints::new(model.clone());
    let constraint = constraints.compile(&Grammar::json_object(), None).expect("a constraint");
    let mut complete = 0;
    for seed in 0..20 {
        let (text, over) = babble(&model, constraint.clone(), seed, PATIENCE).expect("text");
        if over {
            complete += 1;
            let value: Value = serde_json::from_slice(&text).expect("JSON");
            assert!(value.is_object(), "{value}");
        }
    }
    assert!(complete >= 15, "only {complete} of 20 came to an end");
}

#[test]
fn other_grammars_hold_too() {
    let model = tiny();
    let constraints = Constraints::new(model.clone());
    let choices = ["yes".to_owned(), "no".to_owned(), "\"quoted\"\n".to_owned()];
    type Case = (Grammar, fn(&str) -> bool);
    let cases: Vec<Case> = vec![
        (Grammar::regex("[a-c]{2,4}(x|yz)".into()).expect("a regex"), |text| {
            let stem = text.strip_suffix('x').or_else(|| text.strip_suffix("yz")).expect("an end");
            (2..=4).contains(&stem.len()) && stem.bytes().all(|byte| (b'a'..=b'c').contains(&byte))
        }),
        (Grammar::choice(&choices).expect("a choice"), |text| {
            ["yes", "no", "\"quoted\"\n"].contains(&text)
        }),
        (
            Grammar::lark("start: sum\nsum: N (\"+\" N){1,3}\nN: /[1-9][0-9]?/\n".into())
                .expect("a grammar"),
            |text| {
                let numbers: Vec<&str> = text.split('+').collect();
                (2..=4).contains(&numbers.len())
                    && numbers.iter().all(|number| number.parse::<u8>().is_ok())
            },
        ),
    ];
    for (grammar, holds) in cases {
        let constraint = constraints.compile(&grammar, None).expect("a constraint");
        for seed in 0..SEEDS {
            let (text, over) = babble(&model, constraint.clone(), seed, PATIENCE).expect("text");
            let text = String::from_utf8(text).expect("text");
            assert!(over && holds(&text), "{grammar:?}: {text:?}");
        }
    }
}

#[test]
fn what_is_certain_needs_no_choice() {
    let model = tiny();
    let constraints = Constraints::new(model.clone());
    let schema = json!({
        "type": "object", "required": ["answer"], "additionalProperties": false,
        "properties": {"answer": {"const": "forty-two"}}
    });
    let grammar = Grammar::json_schema(schema, SchemaRules::Strict).expect("a schema");
    let mut constraint = constraints.compile(&grammar, None).expect("a constraint");
    let forced = constraint.forced().expect("tokens");
    assert_eq!(model.tokenizer().decode(&forced), "{\"answer\": \"forty-two\"}");
    assert!(constraint.is_over());
}

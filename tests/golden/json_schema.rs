//! The spec's JSON Schema says what the reading of specs does.

use super::case::Case;
use super::coverage::grammar;
use super::expected::bless;
use jsonschema::Validator;
use serde_json::Value;
use std::fs;
use tenantry::diagnostic::SourceId;
use tenantry::spec::json_schema;

const FILE: &str = "docs/tenantry.schema.json";

fn document(case: &Case) -> Option<Value> {
    let text = fs::read_to_string(&case.spec).unwrap();
    serde_yaml::from_str::<serde_yaml::Value>(&text).ok().and_then(|value| serde_json::to_value(value).ok())
}

fn errors(validator: &Validator, value: &Value) -> Vec<String> {
    validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[test]
fn the_committed_schema_is_that_of_the_grammar() {
    let text = format!("{:#}\n", json_schema());
    if bless() {
        fs::write(FILE, &text).unwrap();
    }
    assert!(fs::read_to_string(FILE).unwrap() == text, "{FILE} is not the grammar's: `make bless`");
}

#[test]
fn every_spec_that_is_read_validates() {
    let schema = json_schema();
    jsonschema::draft7::meta::validate(&schema).unwrap();
    let validator = jsonschema::draft7::new(&schema).unwrap();
    let mut wrong = Vec::new();
    let mut count = 0;
    for case in Case::all().iter().filter(|case| case.load().is_ok()) {
        count += 1;
        let found = errors(&validator, &document(case).unwrap());
        wrong.extend((!found.is_empty()).then(|| format!("{}:\n  {}", case.name(), found.join("\n  "))));
    }
    assert!(count > 30 && wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_the_grammar_refuses_does_not_validate() {
    let validator = jsonschema::draft7::new(&json_schema()).unwrap();
    let mut count = 0;
    for case in Case::all() {
        let text = fs::read_to_string(&case.spec).unwrap();
        let Err(errors) = tenantry::spec::read(&text, SourceId(0)) else { continue };
        let is_grammar = |code: &str| matches!(code, "unknown-key" | "unknown-word" | "wrong-value");
        // YAML that is read at all, and then refused by its grammar.
        let Some(document) = document(&case) else { continue };
        if errors.0.iter().any(|error| is_grammar(error.code)) {
            count += 1;
            assert!(!validator.is_valid(&document), "{} validates", case.name());
        }
    }
    assert!(count > 3, "{count} cases");
}

#[test]
fn every_key_has_a_description_and_examples_that_validate() {
    let schema = json_schema();
    let mut wrong = Vec::new();
    for known in grammar().everything() {
        if let Some((type_name, word)) = known.split_once(": ") {
            // An enum of plain words stands under its own name, where it is used at all.
            let of = &schema["definitions"][type_name];
            wrong.extend((!mentions(of, word)).then(|| format!("{type_name} lacks the word {word}: {of}")));
            continue;
        }
        let (type_name, key) = known.split_once('.').unwrap();
        let properties = match type_name {
            "SpecFile" => &schema["properties"],
            other => &schema["definitions"][other]["properties"],
        };
        let property = &properties[key];
        wrong.extend(property["description"].is_null().then(|| format!("{known} has no description: {property}")));
        let examples = property["examples"].as_array().cloned().unwrap_or_default();
        wrong.extend(examples.is_empty().then(|| format!("{known} has no example")));
        let mut alone = property.clone();
        alone["definitions"] = schema["definitions"].clone();
        let validator = jsonschema::draft7::new(&alone).unwrap();
        for example in &examples {
            wrong.extend(errors(&validator, example).into_iter().map(|error| format!("{known}: {example}: {error}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Says whether a word is one of the values that a schema lists.
fn mentions(schema: &Value, word: &str) -> bool {
    match schema {
        Value::Object(object) => {
            object.get("const").is_some_and(|value| value == word)
                || object
                    .get("enum")
                    .and_then(Value::as_array)
                    .is_some_and(|list| list.iter().any(|value| value == word))
                || object.values().any(|value| mentions(value, word))
        }
        Value::Array(list) => list.iter().any(|value| mentions(value, word)),
        _ => false,
    }
}

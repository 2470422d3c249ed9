//! `check` as continuous integration sees it: formats, the GitHub action, the hook of pre-commit.

use super::{Outcome, Repository};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// A repository with four specs: clean, drifted, wrong, and with a hazard.
fn mixed() -> Repository {
    let repository = Repository::of_bai();
    let files = ["specs/bai.yaml", "fixtures/bai/expected.sql"];
    for (copy, folder) in [("drift", "fixtures/drift"), ("wrong", "fixtures/wrong")] {
        fs::create_dir_all(repository.path(folder)).unwrap();
        fs::copy(repository.path(files[1]), repository.path(&format!("{folder}/expected.sql"))).unwrap();
        let spec = fs::read_to_string(repository.path(files[0])).unwrap();
        let spec = spec.replace("output: ../fixtures/bai/", &format!("output: ../{folder}/"));
        fs::write(repository.path(&format!("specs/{copy}.yaml")), spec).unwrap();
    }
    repository.replace("fixtures/drift/expected.sql", "varchar(255)", "varchar(256)");
    repository.replace("specs/wrong.yaml", "{via: customer_id}", "{via: custmer_id}");
    repository
}

const SPECS: [&str; 3] = ["specs/bai.yaml", "specs/drift.yaml", "specs/wrong.yaml"];

#[test]
fn many_specs_are_checked_in_one_go_and_the_worst_decides() {
    let repository = mixed();
    let outcome = repository.run(&[&["check", "--format", "json"][..], &SPECS].concat());
    let json: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let statuses: Vec<_> =
        json["specs"].as_array().unwrap().iter().map(|spec| spec["status"].as_str().unwrap()).collect();
    assert_eq!((outcome.code, &statuses[..]), (Some(2), &["clean", "drift", "failed"][..]));
    assert!(json["specs"][1]["diff"].as_str().unwrap().contains("\n-    email varchar(256)"));
    assert_eq!(json["specs"][2]["diagnostics"][0]["code"], "unknown-object");
    assert_eq!(repository.run(&["check", "specs/bai.yaml", "specs/drift.yaml"]).code, Some(1));
}

#[test]
fn github_annotations_stand_at_their_places() {
    let repository = mixed();
    let outcome = repository.run(&[&["check", "--format", "github", "--deny", "unique-weakened"][..], &SPECS].concat());
    assert_eq!(outcome.code, Some(2));
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    assert!(lines.iter().all(|line| line.starts_with("::error file=")), "{lines:#?}");
    let drift = lines.iter().find(|line| line.contains("title=tenantry%3A drift")).unwrap();
    let line = fs::read_to_string(repository.path("fixtures/drift/expected.sql")).unwrap();
    let line = line.lines().position(|line| line.contains("varchar(256)")).unwrap() + 1;
    assert!(drift.starts_with(&format!("::error file=fixtures/drift/expected.sql,line={line},")), "{drift}");
    assert!(drift.contains("%0A-    email varchar(256)"), "{drift}");
    assert!(lines.iter().any(|line| line.contains("file=specs/wrong.yaml,line=") && line.contains("unknown-object")));
    let denied = lines.iter().filter(|line| line.contains("unique-weakened"));
    assert!(
        denied.clone().count() == 2 && denied.clone().all(|line| line.contains("file=fixtures/bai/schema.sql,line="))
    );
    assert_eq!(repository.run(&["check", "specs/bai.yaml", "--format", "github"]).stdout, "");
}

fn assert_sarif(log: &Value) {
    let schema: Value = serde_json::from_str(include_str!("sarif-schema-2.1.0.json")).unwrap();
    let validator = jsonschema::draft4::new(&schema).unwrap();
    let errors: Vec<String> =
        validator.iter_errors(log).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{}\n{log:#}", errors.join("\n"));
}

#[test]
fn sarif_is_valid_and_names_rules_and_places() {
    let repository = mixed();
    let outcome = repository.run(&[&["check", "--format", "sarif", "--deny", "unique-weakened"][..], &SPECS].concat());
    let log: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_sarif(&log);
    let run = &log["runs"][0];
    let results = run["results"].as_array().unwrap();
    let rules: Vec<&str> = results.iter().map(|result| result["ruleId"].as_str().unwrap()).collect();
    assert_eq!(rules, ["unique-weakened", "unique-weakened", "drift", "unknown-object", "undecided-table"]);
    for result in results {
        let rule = &run["tool"]["driver"]["rules"][result["ruleIndex"].as_u64().unwrap() as usize];
        assert_eq!(rule["id"], result["ruleId"]);
        assert!(rule["help"]["text"].is_string() && rule["shortDescription"]["text"].is_string(), "{rule}");
    }
    let place = &results[3]["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "specs/wrong.yaml");
    let (line, column) =
        (place["region"]["startLine"].as_u64().unwrap(), place["region"]["startColumn"].as_u64().unwrap());
    let spec = fs::read_to_string(repository.path("specs/wrong.yaml")).unwrap();
    assert!(spec.lines().nth(line as usize - 1).unwrap()[column as usize - 1..].starts_with("custmer_id"));

    let clean = repository.run(&["check", "specs/bai.yaml", "--format", "sarif"]);
    assert_sarif(&serde_json::from_str(&clean.stdout).unwrap());
}

#[test]
fn a_wrong_log_is_not_valid_sarif() {
    let schema: Value = serde_json::from_str(include_str!("sarif-schema-2.1.0.json")).unwrap();
    let validator = jsonschema::draft4::new(&schema).unwrap();
    assert!(!validator.is_valid(&serde_json::json!({ "version": "2.1.0", "runs": [{ "results": [] }] })));
}

#[test]
fn hostile_names_stay_within_annotations_and_sarif() {
    let repository = Repository::empty();
    for file in ["spec.yaml", "schema.sql", "expected.sql"] {
        fs::copy(Path::new("fixtures/hostile-names").join(file), repository.path(file)).unwrap();
    }
    repository.replace("expected.sql", "TABLE", "TABLE /* ::error::x\n::stop-commands::y\n*/");
    let outcome = repository.run(&["check", "spec.yaml", "--format", "github", "--deny", "lookup-by-id-alone"]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stdout.lines().count() > 1, "{outcome:?}");
    assert!(outcome.stdout.lines().all(|line| line.starts_with("::error file=")), "{outcome:?}");
    assert!(!outcome.stdout.contains('\u{1b}') && !outcome.stdout.contains('\r'), "{outcome:?}");
    let outcome = repository.run(&["check", "spec.yaml", "--format", "sarif", "--deny", "lookup-by-id-alone"]);
    assert_sarif(&serde_json::from_str(&outcome.stdout).unwrap());
}

/// Runs a shell command in a repository, with the built program in front on the PATH.
fn shell(repository: &Repository, script: &str, environment: &[(&str, &str)]) -> Outcome {
    let program = Path::new(env!("CARGO_BIN_EXE_tenantry")).parent().unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new("bash")
        .args(["-c", script])
        .current_dir(repository.path("."))
        .env("PATH", format!("{}:{path}", program.display()))
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Outcome { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

#[test]
fn the_action_installs_checks_and_writes_sarif() {
    let folder = fs::canonicalize(".github/actions/tenantry-check").unwrap();
    let action: serde_yaml::Value =
        serde_yaml::from_str(&fs::read_to_string(folder.join("action.yml")).unwrap()).unwrap();
    let steps = action["runs"]["steps"].as_sequence().unwrap();
    assert_eq!(action["runs"]["using"], "composite");
    let repository = mixed();
    let run = |specs: &str, deny: &str| {
        let mut last = None;
        for step in steps {
            // What a runner does: inputs become the step's environment, then its script runs.
            let given = |value: &str| match value {
                "${{ inputs.specs }}" => specs.to_owned(),
                "${{ inputs.deny }}" => deny.to_owned(),
                "${{ inputs.sarif }}" => "out.sarif".to_owned(),
                other => panic!("{other}"),
            };
            let variables = step["env"].as_mapping().into_iter().flatten();
            let mut environment: Vec<(String, String)> = variables
                .map(|(name, value)| (name.as_str().unwrap().to_owned(), given(value.as_str().unwrap())))
                .collect();
            environment.push(("GITHUB_ACTION_PATH".to_owned(), folder.to_str().unwrap().to_owned()));
            let environment: Vec<(&str, &str)> =
                environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let outcome = shell(&repository, step["run"].as_str().unwrap(), &environment);
            let failed = outcome.code != Some(0);
            last = Some(outcome);
            if failed {
                break;
            }
        }
        last.unwrap()
    };
    let outcome = run("specs/bai.yaml", "");
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), ""), "{outcome:?}");
    let outcome = run("specs/b*.yaml\nspecs/drift.yaml\n", "");
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stdout.starts_with("::error file=fixtures/drift/expected.sql,"), "{outcome:?}");
    let log: Value = serde_json::from_str(&fs::read_to_string(repository.path("out.sarif")).unwrap()).unwrap();
    assert_sarif(&log);
    assert_eq!(log["runs"][0]["results"].as_array().unwrap().len(), 1);
    assert_eq!(run("specs/bai.yaml", "unique-weakened").code, Some(1));
    assert_eq!(run("specs/none*.yaml", "").code, Some(2));
    assert_eq!(run("specs/*.yaml", "").code, Some(2));
    // A path is one path, whatever is in it.
    fs::rename(repository.path("specs/drift.yaml"), repository.path("specs/a $(touch x) b.yaml")).unwrap();
    assert_eq!(run("specs/a $(touch x) b.yaml", "").code, Some(1));
    assert!(!repository.path("x").exists());
}

#[test]
fn the_hook_runs_the_check() {
    let hooks: serde_yaml::Value =
        serde_yaml::from_str(&fs::read_to_string(".pre-commit-hooks.yaml").unwrap()).unwrap();
    let hook = &hooks[0];
    assert_eq!((hook["language"].as_str(), hook["pass_filenames"].as_bool()), (Some("rust"), Some(false)));
    let repository = mixed();
    let entry = hook["entry"].as_str().unwrap();
    assert_eq!(shell(&repository, &format!("{entry} specs/bai.yaml"), &[]).code, Some(0));
    let outcome = shell(&repository, &format!("{entry} specs/bai.yaml specs/drift.yaml"), &[]);
    assert!(outcome.code == Some(1) && outcome.stdout.contains("varchar(256)"), "{outcome:?}");
}

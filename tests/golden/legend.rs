//! Who reads a plan and nothing else understands it: each word in it is told, and each `!` is counted.

use super::case::Case;
use serde_json::Value;
use tenantry::cli::Project;
use tenantry::report::{plan_json, plan_text};

/// A plan's text in its parts, lines that were broken put together again.
struct Text {
    hazards: String,
    legend: Vec<String>,
    tables: Vec<Vec<String>>,
}

fn parts(text: &str) -> Text {
    let mut blocks = text.trim_end().split("\n\n");
    let head: Vec<&str> = blocks.next().unwrap().lines().collect();
    assert_eq!(head[2], "in words:");
    let tables = blocks.map(|block| block.lines().map(str::to_owned).collect()).collect();
    Text { hazards: head[1].to_owned(), legend: joined(&head[3..]), tables }
}

/// Puts together what was broken: a line goes on in those that are indented further.
fn joined(lines: &[&str]) -> Vec<String> {
    let mut whole: Vec<String> = Vec::new();
    for line in lines {
        match whole.last_mut().filter(|_| line.starts_with("      ")) {
            Some(last) => *last = format!("{last} {}", line.trim()),
            None => whole.push(line.trim().to_owned()),
        }
    }
    whole
}

fn loaded() -> Vec<(String, Project)> {
    Case::all().iter().filter_map(|case| Some((case.name(), case.load().ok()?))).collect()
}

/// The words whose meaning depends on the key in front of them.
const VALUES: &[&str] = &[
    "iso",
    "epoch",
    "epoch_ms",
    "julian",
    "boolean",
    "decimal",
    "json",
    "text",
    "fail",
    "strip",
    "replace",
    "reject",
    "set_null",
    "allow",
    "icu",
    "keys",
    "plain",
    "restrict",
    "cascade",
    "no_action",
    "all",
    "copy",
];

/// Lists the words of a choice or an alternative, without the names and values of its user.
fn words(said: &str) -> Vec<String> {
    let mut outside = String::new();
    let mut quoted = false;
    for character in said.chars() {
        match character {
            '"' => quoted = !quoted,
            _ if !quoted => outside.push(character),
            _ => {}
        }
    }
    if outside.starts_with('[') {
        return vec!["[COLUMN, …]".to_owned()];
    }
    if let Some(made) = outside.strip_prefix("new ") {
        let kept = ["where", "DESC", "NULLS", "using", "include", "unique"];
        let found = kept.iter().filter(|&&word| made.split([' ', ',', ']']).any(|other| other == word));
        return std::iter::once("new".to_owned()).chain(found.map(|&word| word.to_owned())).collect();
    }
    if !outside.starts_with('{') {
        return vec![outside];
    }
    // What a case or an expression is called is its user's.
    let outside = outside.split("cases: {").next().unwrap();
    let free = ["{sql: ", "default: ", "generated: "].iter().find_map(|key| Some(outside.find(key)? + key.len()));
    let tokens: Vec<&str> = outside[..free.unwrap_or(outside.len())]
        .split(|character: char| !(character.is_alphanumeric() || "_:".contains(character)))
        .filter(|token| !token.is_empty())
        .collect();
    let mut found = Vec::new();
    for (position, token) in tokens.iter().enumerate() {
        let after = position.checked_sub(1).and_then(|before| tokens[before].strip_suffix(':'));
        match (token.strip_suffix(':'), after) {
            (Some(key), _) => found.push(key.to_owned()),
            (None, Some("column" | "via" | "by" | "key" | "type" | "as" | "zone" | "used_by" | "null_if")) => {}
            (None, Some(_)) if VALUES.contains(token) => found.push((*token).to_owned()),
            _ => {}
        }
    }
    found
}

/// Says what a word is said of, by the decision's object.
fn said_of(object: &str, word: &str) -> &'static str {
    match object.split('.').next().unwrap() {
        "placement" | "tenant" if ["shared", "omit", "local", "tenant", "root"].contains(&word) => "of a table",
        "tenant" => "of a row",
        "primary_key" | "unique" => "key",
        "foreign_keys" => "foreign key",
        "indexes" => "index",
        "columns" => "column",
        "checks" => "check",
        _ => "",
    }
}

fn has_word(line: &str, word: &str) -> bool {
    let part = |character: char| character.is_alphanumeric() || character == '_';
    line.match_indices(word)
        .any(|(start, found)| !line[..start].ends_with(part) && !line[start + found.len()..].starts_with(part))
}

#[test]
fn every_word_of_a_plan_is_told_in_it() {
    let mut told = 0;
    let mut missing = Vec::new();
    for (name, project) in loaded() {
        let legend = parts(&plan_text(&project.plan, &project.sources)).legend;
        for decision in plan_json(&project.plan, &project.sources)["decisions"].as_array().unwrap() {
            let object = decision["object"].as_str().unwrap();
            // A name is no word.
            if object == "name" {
                continue;
            }
            let said = std::iter::once(&decision["choice"]).chain(decision["alternatives"].as_array().unwrap());
            for word in said.flat_map(|said| words(said.as_str().unwrap())) {
                let of = said_of(object, &word);
                told += 1;
                if !legend.iter().any(|line| has_word(line, &word) && line.contains(of)) {
                    missing.push(format!("{name}: `{word}` of {object}"));
                }
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(told > 3000, "{told} words: they are not found");
}

#[test]
fn marks_are_told_and_actions_are() {
    for (name, project) in loaded() {
        let text = plan_text(&project.plan, &project.sources);
        let Text { legend, tables, .. } = parts(&text);
        let body = tables.iter().flatten().map(|line| line.trim()).collect::<Vec<_>>().join(" ");
        for (mark, of) in [
            ("→", "→"),
            ("; else", "else"),
            ("! ", "!"),
            ("(the tenant root)", "the tenant root"),
            ("ON DELETE CASCADE", "ON DELETE CASCADE"),
            ("ON DELETE SET NULL", "ON DELETE SET NULL"),
            ("ON DELETE SET DEFAULT", "ON DELETE SET DEFAULT"),
            ("ON UPDATE", "ON UPDATE"),
            ("as on_delete says", "as on_delete says"),
            ("tenant of a row, ", "A → B"),
            ("2 indexes ", "index"),
            (" DESC,", "DESC"),
            (" DESC)", "DESC"),
            ("lookups before", "lookups"),
            ("roles: ", "roles"),
        ] {
            let is_told = legend.iter().any(|line| {
                line.starts_with(&format!("{of}:"))
                    || line.starts_with(&format!("{of}, "))
                    || line.starts_with(&format!("{of} ("))
            });
            assert!(is_told || !body.contains(mark), "{name}: {mark} is not told\n{text}");
        }
    }
}

#[test]
fn only_words_that_occur_are_told() {
    let all = loaded();
    let legend = |wanted: &str| {
        let (_, project) = all.iter().find(|(name, _)| name == wanted).unwrap();
        parts(&plan_text(&project.plan, &project.sources)).legend.join("\n")
    };
    let shared = legend("fixtures/all-shared/spec.yaml");
    for word in ["{via:", "per_tenant", "max_rejects", "cross_tenant", "the tenant root", "no_tenant"] {
        assert!(!shared.contains(word), "{word}: {shared}");
        assert!(legend("specs/armp.yaml").contains(word) || word == "the tenant root", "{word}");
    }
    assert!(legend("fixtures/indexes/spec.yaml").contains("DESC: of a key"));
    assert!(!legend("specs/docuflow.yaml").contains("DESC: of a key"));
}

#[test]
fn what_gets_weaker_is_marked_at_its_table_and_counted() {
    for (name, project) in loaded() {
        let plan = &project.plan;
        let Text { hazards, tables, legend } = parts(&plan_text(plan, &project.sources));
        let count = plan.hazards().len();
        let expected = if count == 0 {
            "hazards: none".to_owned()
        } else {
            format!("hazards: {count}, each marked ! at its table")
        };
        assert_eq!(hazards, expected, "{name}");
        let marked = tables.iter().flatten().filter(|line| line.starts_with("  ! ")).count();
        assert_eq!(marked, count, "{name}");
        for hazard in plan.hazards() {
            let table = format!("{} (", tenantry::ident::visible(&plan.source.table(hazard.table).name));
            let block = tables.iter().find(|block| block[0].starts_with(&table)).unwrap();
            let mark = format!("  ! {}:", hazard.code);
            let at = block.iter().position(|line| line.starts_with(&mark)).unwrap();
            let is_told = legend.iter().any(|line| line.starts_with(&format!("! {}: ", hazard.code)));
            let has_help = block.get(at + 1).is_some_and(|line| line.starts_with("      "));
            assert!(is_told || has_help, "{name}: nothing says what to do about {}", hazard.code);
        }
    }
}

#[test]
fn a_table_takes_no_more_than_forty_lines_of_a_hundred_columns() {
    for (name, project) in loaded() {
        let text = plan_text(&project.plan, &project.sources);
        if name.starts_with("specs") {
            for block in parts(&text).tables {
                assert!(block.len() <= 40, "{name}: {} takes {} lines", block[0], block.len());
            }
            assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        }
    }
}

#[test]
fn the_json_has_what_the_text_says() {
    for (name, project) in loaded() {
        let text = plan_text(&project.plan, &project.sources);
        let text = text.lines().map(str::trim).collect::<Vec<_>>().join(" ");
        let json = plan_json(&project.plan, &project.sources);
        let list = |value: &Value| {
            let columns = value.as_array()?;
            Some(format!("({})", columns.iter().map(|column| column.as_str().unwrap()).collect::<Vec<_>>().join(", ")))
        };
        let mut arrows = 0;
        for decision in json["decisions"].as_array().unwrap() {
            if let (Some(before), Some(after)) = (list(&decision["before"]), list(&decision["after"]))
                && before != after
            {
                arrows += 1;
                let arrow = format!("{before} → {after}");
                assert!(text.contains(&*tenantry::ident::visible(&arrow)), "{name}: {arrow}\n{text}");
            }
            if let Some(action) = decision["on_delete"].as_str() {
                assert!(text.contains(&*tenantry::ident::visible(&format!("ON DELETE {action}"))), "{name}: {action}");
            }
        }
        let keys = text.matches(") → (").count();
        assert_eq!(keys, arrows, "{name}: the text has arrows that the JSON has not");
    }
    let (_, docuflow) = loaded().into_iter().find(|(name, _)| name == "specs/docuflow.yaml").unwrap();
    let json = plan_json(&docuflow.plan, &docuflow.sources);
    let of = |table: &str, object: &str| {
        let decisions = json["decisions"].as_array().unwrap();
        decisions.iter().find(|one| one["table"] == table && one["object"] == object).cloned().unwrap()
    };
    let reference = of("document_metadata", "foreign_keys.batch_id");
    assert_eq!(reference["after"], serde_json::json!(["org_id", "batch_id"]));
    assert_eq!(reference["references"], serde_json::json!({"table": "batches", "columns": ["organization_id", "id"]}));
    assert_eq!(reference["on_delete"], "SET NULL (batch_id)");
    assert_eq!(of("field_mappings", "tenant")["path"].as_str().unwrap().matches('→').count(), 2);
    assert_eq!(of("batches", "columns.organization_id")["choice"], "added");
    assert_eq!(of("users", "columns.organization_id")["choice"], "kept");
    assert_eq!(of("organizations", "unique.slug")["choice"], "as it is");
}

#[test]
fn a_line_says_what_its_words_alone_do_not() {
    let (_, docuflow) = loaded().into_iter().find(|(name, _)| name == "specs/docuflow.yaml").unwrap();
    let Text { tables, legend, .. } = parts(&plan_text(&docuflow.plan, &docuflow.sources));
    let line = |table: &str, start: &str| {
        let block = tables.iter().find(|block| block[0].starts_with(&format!("{table} ("))).unwrap();
        let at = block.iter().position(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{start}: {block:?}"));
        let lines: Vec<&str> = block[at..].iter().map(String::as_str).collect();
        joined(&lines)[0].clone()
    };
    // How values are read depends on the declared type; which reference is cleared, on the schema.
    assert!(
        line("users", "  column last_login_at").starts_with("column last_login_at DATETIME → timestamp: {read: epoch}")
    );
    assert!(line("document_metadata", "  rows").starts_with("rows, set_null of (batch_id): {orphan: set_null}"));
    // A way to the tenant is written as errors, `why` and the JSON write it, and told to be no change.
    let way = "tenant of a row, field_mappings.connector_id → connector_configs.user_id → users.organization_id: ";
    assert!(line("field_mappings", "  tenant of a row").starts_with(way));
    assert!(line("batches", "  ! insert-needs-tenant").contains("an INSERT has to name organization_id"));
    assert!(
        !tables.iter().any(|block| block[0].starts_with("users (") && block.join("\n").contains("insert-needs-tenant"))
    );
    let told = |start: &str| legend.iter().find(|line| line.starts_with(start)).unwrap().clone();
    assert!(told("no_tenant: ").contains("names a tenant that no row of the root is"));
    assert!(told("added: of a foreign key").contains("restrict refuses just what it refuses without ON DELETE"));
}

#[test]
fn the_root_tells_what_the_deletion_of_a_tenant_meets() {
    let told = |schema: &str, root: &str, tables: &str| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("schema.sql"), schema).unwrap();
        let spec = folder.path().join("spec.yaml");
        std::fs::write(
            &spec,
            format!("version: 1\nsource: schema.sql\ntenant: {{column: account_id, root: {root}}}\ntables: {tables}\n"),
        )
        .unwrap();
        let project = Project::load(&spec, true).unwrap_or_else(|failure| panic!("{:?}", failure.errors));
        let Text { tables, .. } = parts(&plan_text(&project.plan, &project.sources));
        let block = tables.iter().find(|block| block[0] == "accounts (the tenant root)").unwrap().clone();
        let lines: Vec<&str> = block.iter().map(String::as_str).collect();
        joined(&lines).into_iter().find(|line| line.starts_with("deleting a tenant: "))
    };
    let schema = "CREATE TABLE accounts (id INTEGER PRIMARY KEY);
        CREATE TABLE users (id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL REFERENCES accounts);
        CREATE TABLE logs (id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL REFERENCES accounts ON DELETE CASCADE);
        CREATE TABLE notes (id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES users);
        CREATE TABLE hints (id INTEGER PRIMARY KEY, log_id INTEGER REFERENCES logs ON DELETE CASCADE);";
    let refusing = "deleting a tenant: fails while rows of hints, users, notes refer to it (! tenant-deletion-refused: \
                    hints); takes along rows of logs";
    assert_eq!(told(schema, "accounts", "{}").as_deref(), Some(refusing));
    let along = "deleting a tenant: fails while rows of users refer to it; takes along rows of logs, hints, notes";
    assert_eq!(told(schema, "{table: accounts, foreign_key: cascade}", "{}").as_deref(), Some(along));
    let none = "{table: accounts, foreign_key: none}";
    let omitted =
        "{users: {foreign_keys: {account_id: {enforce: false}}}, logs: {foreign_keys: {account_id: {enforce: false}}}}";
    assert_eq!(told(schema, none, omitted), None);
}

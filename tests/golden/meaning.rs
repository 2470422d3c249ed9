//! What `check` says of a change, and that no change of a clause goes unsaid.

use super::case::Case;
use std::fs;
use tenantry::cli::Project;
use tenantry::emit;
use tenantry::plan::{Makes, Section};
use tenantry::report::meaning;
use tenantry::spec::tokens;

const SCHEMA: &str = "
CREATE TABLE accounts (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE items (
    id INTEGER PRIMARY KEY,
    account_id INTEGER NOT NULL REFERENCES accounts (id),
    parent_id INTEGER REFERENCES items (id) ON DELETE SET NULL,
    price DECIMAL(10,2) NOT NULL DEFAULT 0 CHECK (price >= 0),
    code VARCHAR(10),
    twice INTEGER AS (id * 2) STORED
);
CREATE UNIQUE INDEX items_code ON items (code) WHERE code IS NOT NULL;
CREATE INDEX items_price ON items (price DESC);
CREATE VIEW cheap AS SELECT 1;
";

const SPEC: &str = "version: 1
source: schema.sql
output: out.sql
tenant: {column: account_id, root: accounts}
tables:
  items: {unique: {items_code: per_tenant}}
views: {cheap: {sql: SELECT id FROM items}}
rls: {}
";

/// Writes the DDL of a schema and a spec.
fn ddl(schema: &str, spec: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("schema.sql"), schema).unwrap();
    fs::write(folder.path().join("spec.yaml"), spec).unwrap();
    let project = Project::load(&folder.path().join("spec.yaml"), false);
    let project = project.unwrap_or_else(|failure| panic!("{}\n{schema}\n{spec}", failure.errors));
    emit::postgres(&project.plan, &Section::DDL)
}

#[test]
fn each_change_is_told_in_a_sentence() {
    let before = ddl(SCHEMA, SPEC);
    let schema = |old: &str, new: &str| {
        assert!(SCHEMA.contains(old), "{old}");
        ddl(&SCHEMA.replace(old, new), SPEC)
    };
    let spec = |old: &str, new: &str| {
        assert!(SPEC.contains(old), "{old}");
        ddl(SCHEMA, &SPEC.replace(old, new))
    };
    let cases: &[(String, &[&str])] = &[
        (
            schema("DECIMAL(10,2)", "DECIMAL(12,2)"),
            &["the column items.price: the type is numeric(12,2), was numeric(10,2)"],
        ),
        (schema("DECIMAL(10,2) NOT NULL", "DECIMAL(10,2)"), &["the column items.price may be NULL now"]),
        (schema("code VARCHAR(10)", "code VARCHAR(10) NOT NULL"), &["the column items.code is NOT NULL now"]),
        (schema("DEFAULT 0", "DEFAULT 1"), &["the column items.price: the default is 1, was 0"]),
        (schema(" DEFAULT 0", ""), &["the column items.price: the default is gone, was 0"]),
        (
            schema("code VARCHAR(10)", "code VARCHAR(10) DEFAULT 'x'"),
            &["the column items.code: the default is 'x', there was none"],
        ),
        (
            schema("id * 2", "id * 3"),
            &["the column items.twice: the generation is ALWAYS AS (id * 3) STORED, was ALWAYS AS (id * 2) STORED"],
        ),
        (
            schema("price >= 0", "price > 0"),
            &["the constraint items_price_check of items: the condition is (price > 0), was (price >= 0)"],
        ),
        (schema(" CHECK (price >= 0)", ""), &["the constraint items_price_check of items is gone: CHECK (price >= 0)"]),
        (
            schema("code VARCHAR(10),", "code VARCHAR(10), colour TEXT NOT NULL,"),
            &["the column items.colour is added: text NOT NULL"],
        ),
        (
            schema("name TEXT NOT NULL", "\"na\nme\" TEXT NOT NULL"),
            &[
                "the column accounts.na\\u{a}me is added: text NOT NULL",
                "the column accounts.name is gone: text NOT NULL",
            ],
        ),
        (
            schema("ON DELETE SET NULL", "ON DELETE CASCADE"),
            &[
                "the constraint items_account_id_parent_id_fkey of items: the action ON DELETE is CASCADE, was SET NULL (parent_id)",
            ],
        ),
        (
            schema("price DESC", "price"),
            &["the index items_price on items: the columns are (account_id, price), were (account_id, price DESC)"],
        ),
        (
            schema("code IS NOT NULL", "code <> ''"),
            &["the index items_code on items: the predicate is code <> '', was code IS NOT NULL"],
        ),
        (
            schema(" WHERE code IS NOT NULL", ""),
            &["the index items_code on items: the predicate is gone, was code IS NOT NULL"],
        ),
        (
            spec("items_code: per_tenant", "items_code: global"),
            &["the index items_code on items: the columns are (code), were (account_id, code)"],
        ),
        (
            spec("{unique:", "{primary_key: global, foreign_keys: {parent_id: global}, unique:"),
            &[
                "the primary key of items: the columns are (id), were (account_id, id)",
                "the constraint items_parent_id_fkey of items is added: FOREIGN KEY (parent_id) to items (id) ON DELETE SET NULL",
                "the constraint items_account_id_parent_id_fkey of items is gone: FOREIGN KEY (account_id, parent_id) to \
                 items (account_id, id) ON DELETE SET NULL (parent_id)",
            ],
        ),
        (
            spec("SELECT id", "SELECT code"),
            &["the view cheap: the query is SELECT code FROM items, was SELECT id FROM items"],
        ),
        (spec("views: {cheap: {sql: SELECT id FROM items}}", "views: omit"), &["the view cheap is gone"]),
        (
            spec("  items: {", "  items: {rls: false, "),
            &[
                "the statement ALTER TABLE items ENABLE ROW LEVEL SECURITY is gone",
                "the policy tenant_isolation on items is gone",
            ],
        ),
        (
            spec("tenant: {", "tenant: {in_keys: last, in_table: last, "),
            &[
                "the primary key of items: the columns are (id, account_id), were (account_id, id)",
                "the constraint items_parent_id_account_id_fkey of items is added: FOREIGN KEY (parent_id, account_id) to \
                 items (id, account_id) ON DELETE SET NULL (parent_id)",
                "the constraint items_account_id_parent_id_fkey of items is gone: FOREIGN KEY (account_id, parent_id) to \
                 items (account_id, id) ON DELETE SET NULL (parent_id)",
            ],
        ),
        (
            schema(
                "CREATE VIEW",
                "CREATE TABLE notes (id INTEGER PRIMARY KEY, account_id INTEGER REFERENCES accounts, UNIQUE (account_id, id)); CREATE VIEW",
            ),
            &[
                "the table notes is added",
                "the statement ALTER TABLE notes ENABLE ROW LEVEL SECURITY is added",
                "the policy tenant_isolation on notes is added",
            ],
        ),
    ];
    let mut wrong = Vec::new();
    for (after, expected) in cases {
        let found = meaning(&before, after).unwrap();
        if found != *expected {
            wrong.push(format!("{found:#?}"));
        }
        assert_ne!(meaning(after, &before), Ok(vec![]));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_table_takes_what_belongs_to_it_along() {
    let before = ddl(SCHEMA, SPEC);
    let more = SCHEMA.replace(
        "CREATE VIEW",
        "CREATE TABLE notes (id INTEGER PRIMARY KEY, account_id INTEGER REFERENCES accounts); CREATE VIEW",
    );
    let after = ddl(&more, &SPEC.replace("rls: {}\n", ""));
    let before_plain = ddl(SCHEMA, &SPEC.replace("rls: {}\n", ""));
    assert_eq!(meaning(&before_plain, &after), Ok(vec!["the table notes is added".to_owned()]));
    assert_eq!(meaning(&after, &before_plain), Ok(vec!["the table notes is gone".to_owned()]));
    let layout = before.replace("    ", "\t").replace(",\n", " ,\n-- a comment, or two; three\n");
    assert_eq!(meaning(&before, &layout), Ok(vec![]));
    assert!(meaning(&before, "CREATE TABLE t (x text DEFAULT 'a").is_err());
}

#[test]
fn nothing_goes_unsaid() {
    let (mut statements, mut changes) = (0, 0);
    for case in Case::all() {
        let Ok(project) = case.load() else { continue };
        let plan = &project.plan;
        let whole = emit::postgres(plan, &Section::DDL);
        assert_eq!(meaning(&whole, &whole), Ok(vec![]), "{}", case.name());
        for statement in &plan.statements {
            let Some(sql) = emit::statement(plan, statement) else { continue };
            statements += 1;
            let gone = meaning(&sql, "").unwrap();
            assert!(!gone.is_empty(), "its absence is not told: {sql}");
            let is_object = matches!(
                statement.makes,
                Makes::Table(_) | Makes::Key(_) | Makes::Index(_) | Makes::ForeignKey(_) | Makes::View(_)
            );
            assert!(!is_object || !gone[0].starts_with("the statement"), "not taken apart: {sql}\n{gone:?}");
            for token in tokens(&sql).unwrap() {
                let old = &sql[token.clone()];
                let is_word =
                    old.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '\'' || first == '"');
                if !is_word {
                    continue;
                }
                let new = match old.chars().next() {
                    Some(quote @ ('\'' | '"')) => format!("{quote}other{}", &old[1..]),
                    _ => format!("{old}x"),
                };
                let changed = format!("{}{new}{}", &sql[..token.start], &sql[token.end..]);
                changes += 1;
                assert_ne!(meaning(&sql, &changed), Ok(vec![]), "{sql}\n{changed}");
            }
        }
    }
    println!("{statements} statements, {changes} changes");
    assert!(statements > 500 && changes > 5000, "{statements} statements, {changes} changes: they are not found");
}

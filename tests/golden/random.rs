//! Random schemas: trees, diamonds, circles, self-references, associations, shared tables, with random placements and scopes.
//!
//! PostgreSQL accepts their DDL, the attempts of every foreign key come out as they have to, and SQLite refuses what
//! PostgreSQL refuses. `TENANTRY_SEED` repeats a run; `TENANTRY_CASES` makes it longer.

use super::attempts::{Tally, attempt_all};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use std::fmt::Write as _;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use tenantry::cli::Project;

/// One table, by numbers that are taken modulo what there is to choose from.
#[derive(Debug, Clone)]
struct Table {
    placement: u8,
    text_key: bool,
    global_key: bool,
    references: Vec<Reference>,
    association: Option<(usize, usize)>,
    unique: Option<bool>,
}

#[derive(Debug, Clone)]
struct Reference {
    to: usize,
    not_null: bool,
    scope: u8,
    on_delete: u8,
    on_update: bool,
    deferrable: bool,
}

fn tables() -> impl Strategy<Value = (bool, Vec<Table>)> {
    let reference = (any::<usize>(), any::<bool>(), any::<u8>(), any::<u8>(), any::<bool>(), any::<bool>()).prop_map(
        |(to, not_null, scope, on_delete, on_update, deferrable)| Reference {
            to,
            not_null,
            scope,
            on_delete,
            on_update,
            deferrable,
        },
    );
    let association = proptest::option::weighted(0.2, (any::<usize>(), any::<usize>()));
    let table = (
        any::<u8>(),
        any::<bool>(),
        any::<bool>(),
        vec(reference, 0..4),
        association,
        proptest::option::of(any::<bool>()),
    );
    let table = table.prop_map(|(placement, text_key, global_key, references, association, unique)| Table {
        placement,
        text_key,
        global_key,
        references,
        association,
        unique,
    });
    (any::<bool>(), vec(table, 2..6))
}

/// Whose a table's rows are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Placement {
    Column,
    Via,
    Shared,
}

/// A schema and its spec, as text.
struct Written {
    schema: String,
    spec: String,
}

/// Writes tables whose spec has nothing left to decide.
fn write(has_root: bool, tables: &[Table]) -> Written {
    let placements: Vec<Placement> = tables
        .iter()
        .enumerate()
        .map(|(position, table)| match (position, table.placement % 4) {
            (0, _) | (_, 0) => Placement::Column,
            (_, 1 | 2) => Placement::Via,
            _ => Placement::Shared,
        })
        .collect();
    let is_tenant = |table: usize| placements[table] != Placement::Shared;
    let mut schema = String::new();
    let mut spec = String::from("version: 1\nsource: schema.sql\n");
    if has_root {
        schema.push_str("CREATE TABLE accounts (id INTEGER PRIMARY KEY, name TEXT);\n");
        spec.push_str("tenant: {column: account_id, root: accounts}\ntables:\n");
    } else {
        spec.push_str("tenant: {column: account_id, type: bigint}\ntables:\n");
    }
    for (own, table) in tables.iter().enumerate() {
        let mut lines = Vec::new();
        let mut foreign_keys = Vec::new();
        // Association tables are not referred to, and their references make up their key.
        let association = table.association.filter(|_| is_tenant(own) && own > 0);
        match association {
            Some(_) => {}
            None if table.text_key => lines.push("id TEXT NOT NULL PRIMARY KEY".to_owned()),
            None => lines.push("id INTEGER PRIMARY KEY".to_owned()),
        }
        if placements[own] == Placement::Column {
            let reference = if has_root { " REFERENCES accounts (id) ON DELETE CASCADE" } else { "" };
            lines.push(format!("account_id INTEGER NOT NULL{reference}"));
        }
        lines.push("label TEXT".to_owned());
        let key_type = |to: usize| if tables[to].text_key { "TEXT" } else { "INTEGER" };
        let parents: Vec<usize> =
            (0..tables.len()).filter(|&to| tables[to].association.is_none_or(|_| !is_tenant(to) || to == 0)).collect();
        let tenants: Vec<usize> = parents.iter().copied().filter(|&to| is_tenant(to)).collect();
        if placements[own] == Placement::Via && association.is_none() {
            // Table 0 names its tenant, so a way to it never goes round in a circle.
            lines.push(format!("owner_id {} NOT NULL REFERENCES t0 (id)", key_type(0)));
        }
        if let Some((one, other)) = association {
            let (one, other) = (tenants[one % tenants.len()], tenants[other % tenants.len()]);
            lines.push(format!("owner_id {} NOT NULL REFERENCES t{one} (id) ON DELETE CASCADE", key_type(one)));
            lines.push(format!("other_id {} NOT NULL REFERENCES t{other} (id)", key_type(other)));
        }
        for (position, reference) in table.references.iter().enumerate() {
            let to = match is_tenant(own) {
                true => parents[reference.to % parents.len()],
                // Most of what a shared row refers to is shared.
                false if reference.scope % 2 == 0 => {
                    let shared: Vec<usize> = parents.iter().copied().filter(|&to| !is_tenant(to)).collect();
                    shared[reference.to % shared.len()]
                }
                false => tenants[reference.to % tenants.len()],
            };
            let mut line = format!("r{position} {}", key_type(to));
            // A circle of columns that are never NULL could not be filled row by row.
            let not_null = reference.not_null && to < own;
            line.push_str(if not_null { " NOT NULL" } else { "" });
            write!(line, " REFERENCES t{to} (id)").unwrap();
            line.push_str(match reference.on_delete % 4 {
                0 => "",
                1 => " ON DELETE CASCADE",
                2 if !not_null => " ON DELETE SET NULL",
                _ => " ON DELETE RESTRICT",
            });
            line.push_str(if reference.on_update { " ON UPDATE CASCADE" } else { "" });
            line.push_str(if reference.deferrable { " DEFERRABLE INITIALLY DEFERRED" } else { "" });
            lines.push(line);
            match (is_tenant(own), is_tenant(to), reference.scope % 5) {
                (true, true, 0) => foreign_keys.push(format!("r{position}: {{column: r{position}_account}}")),
                (true, true, 1) => {
                    foreign_keys.push(format!("r{position}: {{column: r{position}_account, cross_tenant: allow}}"))
                }
                (true, true, 2) if tables[to].global_key => foreign_keys.push(format!("r{position}: global")),
                (false, true, _) => foreign_keys.push(format!("r{position}: {{column: r{position}_account}}")),
                _ => {}
            }
        }
        if association.is_some() {
            lines.push("PRIMARY KEY (owner_id, other_id)".to_owned());
        }
        let unique = table.unique.filter(|_| is_tenant(own));
        if unique.is_some() {
            lines.push("UNIQUE (label)".to_owned());
        }
        writeln!(schema, "CREATE TABLE t{own} (\n    {}\n);", lines.join(",\n    ")).unwrap();
        let mut entry = vec![match placements[own] {
            Placement::Column => "tenant: {column: account_id}".to_owned(),
            Placement::Via => "tenant: {via: owner_id}".to_owned(),
            Placement::Shared => "placement: shared".to_owned(),
        }];
        if is_tenant(own) && table.global_key {
            entry.push("primary_key: global".to_owned());
        }
        if let Some(global) = unique {
            entry.push(format!("unique: {{label: {}}}", if global { "global" } else { "per_tenant" }));
        }
        if !foreign_keys.is_empty() {
            entry.push(format!("foreign_keys: {{{}}}", foreign_keys.join(", ")));
        }
        writeln!(spec, "  t{own}: {{{}}}", entry.join(", ")).unwrap();
    }
    Written { schema, spec }
}

fn attempt(written: &Written, tally: &mut Tally) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("schema.sql"), &written.schema).unwrap();
    fs::write(folder.path().join("spec.yaml"), &written.spec).unwrap();
    let project =
        Project::load(&folder.path().join("spec.yaml"), true).map_err(|failure| failure.errors.to_string())?;
    attempt_all(&project.plan, tally)
}

pub fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

#[test]
fn random_schemas_isolate_their_tenants() {
    let seed = from_environment("TENANTRY_SEED").unwrap_or_else(|| RandomState::new().hash_one("seed"));
    let cases = u32::try_from(from_environment("TENANTRY_CASES").unwrap_or(12)).unwrap();
    println!("TENANTRY_SEED={seed}");
    let bytes: Vec<u8> = seed.to_le_bytes().into_iter().cycle().take(32).collect();
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let tally = std::cell::RefCell::new(Tally::default());
    let outcome = runner.run(&tables(), |(has_root, tables)| {
        attempt(&write(has_root, &tables), &mut tally.borrow_mut()).map_err(TestCaseError::fail)
    });
    println!("{cases} schemas: {:?}", tally.borrow());
    match outcome {
        Ok(()) => assert!(tally.borrow().refused > 0, "nothing was attempted"),
        Err(TestError::Fail(reason, (has_root, tables))) => {
            let Written { schema, spec } = write(has_root, &tables);
            panic!("TENANTRY_SEED={seed}: {reason}\n{schema}\n{spec}");
        }
        Err(TestError::Abort(reason)) => panic!("TENANTRY_SEED={seed}: {reason}"),
    }
}

//! Holds the direction of imports: what a module may use, read from its `use` lines and paths.

#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What each module may use of the others. The core is all up to `remap`: it touches no file, clock, environment or
/// network. The edges and what drives them come after it, the command line last.
const MAY_USE: &[(&str, &[&str])] = &[
    ("ident", &[]),
    ("diagnostic", &[]),
    ("schema", &["ident", "diagnostic"]),
    ("graph", &["ident", "diagnostic", "schema"]),
    ("spec", &["ident", "diagnostic", "schema", "graph"]),
    ("rewrite", &["ident", "diagnostic", "schema", "graph", "spec"]),
    ("plan", &["ident", "diagnostic", "schema", "graph", "spec", "rewrite"]),
    ("emit", &["ident", "diagnostic", "schema", "graph", "spec", "rewrite", "plan"]),
    ("scaffold", &["ident", "diagnostic", "schema", "graph", "spec", "rewrite", "plan"]),
    ("remap", &["ident", "diagnostic", "schema", "graph", "spec", "rewrite", "plan"]),
    ("failpoint", &[]),
    ("sqlite", &["ident", "diagnostic", "schema", "failpoint"]),
    ("postgres", &["ident", "diagnostic", "schema"]),
    (
        "copy",
        &[
            "ident",
            "diagnostic",
            "schema",
            "graph",
            "spec",
            "rewrite",
            "plan",
            "emit",
            "remap",
            "failpoint",
            "sqlite",
            "postgres",
            "verify",
        ],
    ),
    (
        "verify",
        &["ident", "diagnostic", "schema", "graph", "spec", "rewrite", "plan", "emit", "remap", "sqlite", "postgres"],
    ),
    ("leak", &["ident", "diagnostic", "schema", "graph", "spec", "rewrite", "plan", "emit", "postgres"]),
    (
        "report",
        &[
            "ident",
            "diagnostic",
            "schema",
            "graph",
            "spec",
            "rewrite",
            "plan",
            "emit",
            "remap",
            "copy",
            "verify",
            "leak",
            "postgres",
            "sqlite",
        ],
    ),
    (
        "cli",
        &[
            "ident",
            "diagnostic",
            "schema",
            "graph",
            "spec",
            "rewrite",
            "plan",
            "emit",
            "scaffold",
            "remap",
            "sqlite",
            "postgres",
            "copy",
            "verify",
            "leak",
            "report",
        ],
    ),
];

const CORE: &[&str] =
    &["ident", "diagnostic", "schema", "graph", "spec", "rewrite", "plan", "emit", "scaffold", "remap"];

/// Each of these crates has one user.
const ONE_USER: &[(&str, &str)] = &[
    ("rusqlite", "sqlite"),
    ("sqlparser", "sqlite"),
    ("::postgres", "postgres"),
    ("postgres_protocol", "postgres"),
    ("rustls", "postgres"),
    ("tokio_postgres_rustls", "postgres"),
    ("petgraph", "graph"),
    ("serde_yaml", "spec"),
    ("saphyr_parser", "spec"),
    ("schemars", "spec"),
    ("unicode_width", "report"),
    ("miette", "report"),
    ("clap", "cli"),
    ("clap_complete", "cli"),
    ("clap_mangen", "cli"),
    ("indicatif", "cli"),
    ("terminal_size", "cli"),
];

/// What the core never touches.
const OUTSIDE: &[&str] = &["std::fs", "std::env", "std::time", "std::net", "std::process", "std::io", "std::thread"];

/// The source of each module without its unit tests and comments.
fn modules() -> BTreeMap<String, Vec<(PathBuf, String)>> {
    let mut modules: BTreeMap<String, Vec<(PathBuf, String)>> = BTreeMap::new();
    for path in rust_files(Path::new("src")) {
        let below = path.strip_prefix("src").unwrap();
        let module = below.iter().next().unwrap().to_string_lossy().trim_end_matches(".rs").to_owned();
        let is_for_tests = path.file_name().is_some_and(|name| name == "testing.rs" || name == "tests.rs")
            || below.iter().any(|part| part == "tests" || part == "testing");
        if module == "lib" || module == "main" || is_for_tests {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]\nmod ").next().unwrap();
        let code = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
        modules.entry(module).or_default().push((path, code));
    }
    modules
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut entries: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// Finds the modules that follow `crate::` in a piece of code.
fn used(code: &str) -> Vec<&str> {
    let is_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
    code.split("crate::")
        .skip(1)
        .flat_map(|rest| {
            // `use crate::{ident, schema::Key}` names several.
            let list = rest.strip_prefix('{').map(|rest| rest.split('}').next().unwrap());
            list.map_or_else(|| vec![rest], |list| list.split(',').map(str::trim).collect())
        })
        .filter_map(|path| path.split(|character| !is_name(character)).next())
        .filter(|name| !name.is_empty())
        .collect()
}

/// Says whether a crate or path occurs as one of its own, not as the end of another name.
fn names(code: &str, wanted: &str) -> bool {
    code.match_indices(wanted).any(|(position, _)| {
        let before = code[..position].chars().next_back();
        let after = code[position + wanted.len()..].chars().next();
        let is_part = |character: char| character.is_ascii_alphanumeric() || character == '_';
        let inside_path = !wanted.starts_with("::") && before == Some(':');
        before.is_none_or(|before| !is_part(before)) && !inside_path && after.is_none_or(|after| !is_part(after))
    })
}

#[test]
fn imports_point_one_way() {
    let mut wrong = Vec::new();
    for (module, files) in modules() {
        let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == module) else {
            wrong.push(format!("the module {module} has no place in the layout"));
            continue;
        };
        for (path, code) in files {
            let strange = used(&code).into_iter().filter(|&other| other != module && !allowed.contains(&other));
            wrong.extend(strange.map(|other| format!("{} uses crate::{other}", path.display())));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_order_has_no_way_back() {
    for (position, (module, allowed)) in MAY_USE.iter().enumerate() {
        let earlier: Vec<&str> = MAY_USE[..position].iter().map(|(name, _)| *name).collect();
        let later = allowed.iter().filter(|name| !earlier.contains(name)).collect::<Vec<_>>();
        // Copying and proving are one run: `verify` stands below `copy` although it is listed behind it.
        assert!(later.is_empty() || (*module == "copy" && later == [&"verify"]), "{module} may use {later:?}");
    }
}

#[test]
fn each_crate_has_one_user() {
    let mut wrong = Vec::new();
    for (module, files) in modules() {
        for (path, code) in files {
            for (name, _) in ONE_USER.iter().filter(|(name, user)| *user != module && names(&code, name)) {
                wrong.push(format!("{} uses {name}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_core_touches_nothing_outside() {
    let mut wrong = Vec::new();
    for (module, files) in modules() {
        for (path, code) in files.iter().filter(|_| CORE.contains(&module.as_str())) {
            let touched = OUTSIDE.iter().filter(|name| names(code, name));
            wrong.extend(touched.map(|name| format!("{} touches {name}", path.display())));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_reading_of_imports_sees_all_forms() {
    assert_eq!(used("use crate::a::B;\nuse crate::{c, d::E};\nlet x = crate::f::g();"), ["a", "c", "d", "f"]);
    assert!(names("use ::postgres::Client;", "::postgres") && !names("use crate::postgres::Client;", "::postgres"));
    assert!(names("use rustls::X;", "rustls") && !names("tokio_postgres_rustls::X", "rustls"));
    assert!(names("std::fs::read()", "std::fs") && !names("std::fsx::read()", "std::fs"));
}

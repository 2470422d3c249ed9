//! Every CREATE statement of SQLite's own tests, as far as SQLite takes it.

use super::compare::{Verdict, compare, database};
use super::statements::{ATTACHED, Script, candidates};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

fn scripts(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut entries: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        match path.extension().and_then(|extension| extension.to_str()) {
            _ if path.is_dir() => found.extend(scripts(&path)),
            Some("test" | "tcl") => found.push(path),
            _ => {}
        }
    }
    found
}

#[test]
fn no_clause_of_the_fixtures_is_lost() {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for folder in fs::read_dir("fixtures").unwrap().map(|entry| entry.unwrap().path()) {
        let Ok(text) = fs::read_to_string(folder.join("schema.sql")) else { continue };
        let script = Script::new(&[]);
        for subject in candidates(&text).iter().filter_map(|candidate| script.run(candidate)) {
            *counts.entry(subject.kind).or_default() += 1;
            let verdict = compare(&subject);
            assert!(verdict.is_ok(), "{}: {}\n{verdict:?}", folder.display(), subject.sql);
        }
    }
    println!("{counts:?}");
    assert!(counts["table"] > 200 && counts["index"] > 50 && counts["view"] > 2 && counts["trigger"] > 2, "{counts:?}");
}

/// Reads the statements of all Tcl files below the folder that `TENANTRY_SQLITE_SUITE` names.
#[test]
#[ignore = "needs the sources of SQLite: make sqlite-suite DIR=…"]
fn no_clause_of_sqlites_own_tests_is_lost() {
    let folder = std::env::var("TENANTRY_SQLITE_SUITE").expect("TENANTRY_SQLITE_SUITE names the sources of SQLite");
    let scripts = scripts(Path::new(&folder));
    let mut counts: BTreeMap<&str, (usize, Vec<String>)> = BTreeMap::new();
    let (mut nowhere, mut elsewhere) = (0, 0);
    let mut seen = BTreeSet::new();
    for path in &scripts {
        let text = String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        let script = Script::new(ATTACHED);
        for candidate in candidates(&text) {
            let Some(subject) = script.run(&candidate) else { continue };
            // TEMP objects may look into another database; no database file holds such a one.
            if database(subject.before.iter().chain([&subject.sql])).is_err() {
                elsewhere += 1;
                continue;
            }
            // The same statement over the same table shows nothing new.
            if !seen.insert((subject.before.clone(), subject.sql.clone())) {
                continue;
            }
            let (count, failures) = counts.entry(subject.kind).or_default();
            *count += 1;
            let failure = match catch_unwind(|| compare(&subject)) {
                Ok(Ok(Verdict::Same)) => continue,
                Ok(Ok(Verdict::LeadsNowhere)) => {
                    nowhere += 1;
                    continue;
                }
                Ok(Err(error)) => error,
                Err(_) => "panics".to_owned(),
            };
            failures.push(format!("{}: {}\n  {failure}\n", path.display(), subject.sql));
        }
    }
    println!("{} files; {nowhere} tables refer to what does not exist", scripts.len());
    println!("{elsewhere} statements need a second database, which no source has");
    for (kind, (count, failures)) in &counts {
        println!("{kind}: {count} statements, {} failures", failures.len());
    }
    for failure in counts.values().flat_map(|(_, failures)| failures) {
        println!("{failure}");
    }
    for kind in ["table", "index"] {
        let (count, failures) = &counts[kind];
        assert!(failures.len() * 1000 <= *count, "{kind}: {} of {count} fail", failures.len());
    }
}

//! Which queries of an application leak, found out on a real PostgreSQL through the command line.

#![expect(clippy::unwrap_used, reason = "these are tests")]

use rusqlite::Connection as Sqlite;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Runs `leak` over a file of queries and the rows of a folder of fixtures; returns the exit code, stdout and stderr.
fn leak(system: &str, queries: &Path, spec: &str, more: &[&str]) -> (i32, String, String) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source.db");
    let sqlite = Sqlite::open(&source).unwrap();
    for file in ["schema.sql", "rows.sql"] {
        sqlite.execute_batch(&fs::read_to_string(root.join("fixtures").join(system).join(file)).unwrap()).unwrap();
    }
    drop(sqlite);
    let output = Command::new(env!("CARGO_BIN_EXE_tenantry"))
        .current_dir(root)
        .args(["leak", queries.to_str().unwrap(), spec, "--source", source.to_str().unwrap()])
        .args(more)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn queries_that_keep_to_their_account_pass() {
    let (code, text, errors) = leak("bai", Path::new("fixtures/bai/queries.sql"), "specs/bai.yaml", &[]);
    assert_eq!(code, 0, "{text}{errors}");
    assert_eq!(text.matches("\nok ").count(), 11, "{text}");
    assert!(text.ends_with("12 queries, none sees another tenant's rows\n"), "{text}");
}

#[test]
fn every_way_to_forget_the_account_is_named() {
    let expected = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/bai/expected.leak.txt");
    let (code, text, errors) = leak("bai", Path::new("fixtures/bai/leaking.sql"), "specs/bai.yaml", &[]);
    assert_eq!(code, 1, "{text}{errors}");
    if std::env::var_os("TENANTRY_BLESS").is_some_and(|value| !value.is_empty() && value != "0") {
        fs::write(&expected, &text).unwrap();
    }
    assert_eq!(text, fs::read_to_string(&expected).unwrap());
    assert!(!text.contains("\nok ") && !text.contains("\nunknown "), "{text}");
}

#[test]
fn keys_that_are_global_are_no_way_round() {
    let folder = tempfile::tempdir().unwrap();
    let queries = folder.path().join("queries.sql");
    let text = "
\\set project 11
-- name: keeps to the account, without naming it in the insert
INSERT INTO projects (account_id, name) VALUES (:tenant, 'new') RETURNING id;
-- name: by a hash that is unique everywhere
SELECT id FROM api_keys WHERE key_hash = :hash;
-- name: shared rows are nobody's
SELECT count(*) FROM users WHERE is_active;
-- name: of the account
SELECT name FROM projects WHERE account_id = :tenant AND id = :project;
-- name: an upsert over whoever has the slug
INSERT INTO accounts (id, name, slug) VALUES (:tenant, 'x', 'account-1') ON CONFLICT (slug) DO UPDATE SET name = 'x';
-- name: what is due, for a worker
-- all tenants: workers serve everybody
UPDATE jobs SET status = 'running' WHERE (account_id, id) IN (SELECT account_id, id FROM jobs WHERE status = 'queued' LIMIT 1);
";
    let text = text.replace(":hash", &format!("'{:064x}'", 104_730));
    fs::write(&queries, text).unwrap();
    // Account 1: its id is the first multiple of the generator.
    let tenant = format!("{:08x}-1111-4222-8333-{:012x}", 2_654_435_761_u64, 1);
    let (code, text, errors) =
        leak("vatevo", &queries, "specs/vatevo.yaml", &["--tenant", &tenant, "--format", "json"]);
    assert_eq!(code, 1, "{text}{errors}");
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    let verdicts: Vec<&str> =
        report["queries"].as_array().unwrap().iter().map(|query| query["verdict"].as_str().unwrap()).collect();
    assert_eq!(verdicts, ["isolated", "leaks", "isolated", "isolated", "leaks", "allowed"], "{text}");
    assert_eq!((report["findings"].as_u64(), report["tenant"].as_str()), (Some(2), Some(tenant.as_str())));
}

#[test]
fn what_cannot_be_run_is_refused_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let queries = folder.path().join("queries.sql");
    fs::write(&queries, "COMMIT;\nSELECT :id;\n").unwrap();
    let (code, _, errors) = leak("bai", &queries, "specs/bai.yaml", &[]);
    assert_eq!(code, 2);
    assert!(errors.contains("not-a-query") && errors.contains("variable-unset"), "{errors}");
    fs::write(&queries, "SELECT 1;").unwrap();
    let (code, _, errors) = leak("bai", &queries, "specs/bai.yaml", &["--tenant", "nobody"]);
    assert!(code == 2 && errors.contains("tenant-unknown"), "{errors}");
}

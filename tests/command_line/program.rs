//! What the program says of itself: version, explanations, completions, manual pages, pictures.

use super::Repository;
use std::fs;
use std::process::{Command, Stdio};

#[test]
fn the_version_names_sqlites() {
    let outcome = Repository::empty().run(&["--version"]);
    assert!(outcome.stdout.starts_with(concat!("tenantry ", env!("CARGO_PKG_VERSION"), " (")), "{outcome:?}");
    assert!(outcome.stdout.contains("SQLite 3."), "{outcome:?}");
    assert_eq!(Repository::empty().run(&["-V"]).stdout, outcome.stdout);
}

#[test]
fn a_code_is_explained_and_an_unknown_one_has_a_neighbour() {
    let repository = Repository::empty();
    let outcome = repository.run(&["explain", "unique-weakened"]);
    assert_eq!(outcome.code, Some(0));
    assert!(outcome.stdout.contains("what to do:") && outcome.stdout.contains("example:"), "{outcome:?}");
    let json: serde_json::Value =
        serde_json::from_str(&repository.run(&["explain", "tls-failed", "--format", "json"]).stdout).unwrap();
    assert_eq!((json["schema_version"].as_u64(), json["codes"][0]["kind"].as_str()), (Some(1), Some("error")));
    let outcome = repository.run(&["explain", "uniqe-weakened"]);
    assert!(outcome.code == Some(2) && outcome.stderr.contains("did you mean `unique-weakened`?"), "{outcome:?}");
    let all = repository.run(&["explain"]).stdout;
    assert!(all.lines().count() > 100 && all.contains("\nambiguous-tenant-path "), "{all}");
}

#[test]
fn a_result_that_cannot_be_written_is_a_failure_and_a_reader_that_goes_is_none() {
    let repository = Repository::of_bai();
    let run = |arguments: &[&str], stdout: Stdio| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_tenantry"));
        program.current_dir(repository.path("")).args(arguments).stdin(Stdio::null()).stdout(stdout);
        let output = program.stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for arguments in [&["emit", "specs/bai.yaml"][..], &["plan", "specs/bai.yaml", "--format", "json"], &["schema"]] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let (code, said) = run(arguments, full.into());
        assert!(code == Some(2) && said.contains("the result cannot be written"), "{arguments:?}: {code:?} {said}");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let (code, said) = run(arguments, writer.into());
        assert!(code == Some(0) && said.is_empty(), "{arguments:?}: {code:?} {said}");
    }
}

#[test]
fn the_schema_is_the_committed_one() {
    let outcome = Repository::empty().run(&["schema"]);
    assert_eq!(outcome.stdout, fs::read_to_string("docs/tenantry.schema.json").unwrap());
}

#[test]
fn a_graph_is_drawn_in_three_ways() {
    let repository = Repository::of_bai();
    for (format, start) in [("mermaid", "flowchart LR\n"), ("dot", "digraph "), ("svg", "<svg ")] {
        let outcome = repository.run(&["graph", "specs/bai.yaml", "--format", format, "--path", "invoice_items"]);
        assert!(outcome.code == Some(0) && outcome.stdout.starts_with(start), "{outcome:?}");
    }
    let outcome = repository.run(&["graph", "specs/bai.yaml", "--around", "invoce_items"]);
    assert!(outcome.code == Some(2) && outcome.stderr.contains("did you mean `invoice_items`?"), "{outcome:?}");
    for arguments in
        [["graph", "specs/bai.yaml", "--path", "nothing"], ["why", "specs/bai.yaml", "nothing", "--format=text"]]
    {
        let outcome = repository.run(&arguments);
        assert!(outcome.code == Some(2) && outcome.stderr.contains("its tables: "), "{outcome:?}");
    }
}

#[test]
fn bash_completes_verbs_flags_and_values() {
    let outcome = Repository::empty().run(&["completions", "bash"]);
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("tenantry.bash");
    fs::write(&file, outcome.stdout).unwrap();
    let complete = |words: &[&str]| {
        let script = format!(
            "set -eu; source '{}'; complete -p tenantry >/dev/null; COMP_WORDS=({}); COMP_CWORD={}; \
             _tenantry tenantry \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"; echo \"${{COMPREPLY[*]}}\"",
            file.display(),
            words.join(" "),
            words.len() - 1
        );
        let output = Command::new("bash").args(["--norc", "-c", &script]).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(complete(&["tenantry", "che"]), "check");
    assert_eq!(complete(&["tenantry", "graph", "--aro"]), "--around");
    assert_eq!(complete(&["tenantry", "check", "--format", "sa"]), "sarif");
}

#[test]
fn every_shell_has_completions() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let outcome = Repository::empty().run(&["completions", shell]);
        assert!(outcome.code == Some(0) && outcome.stdout.contains("cutover"), "{shell}");
    }
}

/// Returns what troff would stumble over: lines that begin a request that is none, escapes that are none.
fn troff_faults(page: &str) -> Vec<String> {
    const REQUESTS: &[&str] =
        &[".TH", ".SH", ".SS", ".TP", ".PP", ".br", ".ie", ".el", ".nf", ".fi", ".RS", ".RE", ".IP"];
    let mut faults = Vec::new();
    for line in page.lines() {
        let is_request = line.starts_with('.') || line.starts_with('\'');
        let request = line.split_whitespace().next().unwrap_or_default();
        faults.extend((is_request && !REQUESTS.contains(&request)).then(|| format!("no request: {line}")));
        let mut rest = line;
        while let Some((_, behind)) = rest.split_once('\\') {
            let known = ["fB", "fI", "fR", "-", "&", "(bu", "(aq", "*(Aq", "\\", "n(.g"]
                .iter()
                .find(|escape| behind.starts_with(**escape));
            match known {
                Some(escape) => rest = &behind[escape.len()..],
                None => {
                    faults.push(format!("no escape: {line}"));
                    break;
                }
            }
        }
    }
    faults
}

#[test]
fn every_verb_has_a_manual_page_that_renders() {
    let repository = Repository::empty();
    assert_eq!(repository.run(&["man", "--out-dir", "man1"]).code, Some(0));
    let help = repository.run(&["--help"]).stdout;
    let verbs = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let verbs: Vec<&str> = verbs
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|verb| *verb != "help")
        .collect();
    assert!(verbs.len() > 12, "{help}");
    for verb in verbs {
        let page = fs::read_to_string(repository.path(&format!("man1/tenantry-{verb}.1"))).unwrap();
        assert_eq!(page, repository.run(&["man", verb]).stdout);
        assert!(page.contains(".SH SYNOPSIS") && page.contains("Example"), "{page}");
        assert_eq!(troff_faults(&page), Vec::<String>::new(), "{verb}");
    }
    let page = repository.run(&["man"]).stdout;
    assert_eq!(troff_faults(&page), Vec::<String>::new());
    assert!(!troff_faults(".oops\nx \\q").is_empty());
    assert_eq!(repository.run(&["man", "nothing"]).code, Some(2));
}

#[test]
fn doctor_is_a_health_check() {
    let repository = Repository::of_bai();
    fs::write(repository.path("app.db"), "x".repeat(5000)).unwrap();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let target = format!("postgresql://u:s3cret@127.0.0.1:{nobody}/d");
    let outcome = repository.run(&["doctor", "--target", &target, "--timeout", "20", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!((outcome.code, json["findings"][0]["name"].as_str()), (Some(2), Some("connection")), "{json}");
    assert!(!format!("{outcome:?}").contains("s3cret"));

    let outcome =
        repository.run(&["doctor", "--target", "scratch", "--source", "sqlite:///app.db", "--timeout", "300"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    for name in ["version", "privileges", "limits", "room", "snapshot", "pooler"] {
        assert!(
            outcome.stdout.lines().any(|line| line.starts_with(&format!("ok      {name} "))),
            "{name}: {outcome:?}"
        );
    }
    assert_eq!(repository.run(&["doctor", "--target", "scratch", "--source", "none.db"]).code, Some(2));

    // Several files, named as for a cutover: the room for them all.
    fs::write(repository.path("other.db"), "x".repeat(7_000_000)).unwrap();
    fs::write(repository.path("as-large.sqlite"), "x".repeat(7_005_000)).unwrap();
    let several = ["doctor", "--target", "scratch", "--timeout", "300", "--source"];
    let room = |sources: &[&str]| {
        let outcome = repository.run(&[&several[..], sources].concat());
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        let line = outcome.stdout.lines().find(|line| line.starts_with("ok      room ")).unwrap();
        line.split(';').next().unwrap().to_owned()
    };
    let both = room(&["*.db"]);
    assert_eq!(both, room(&["as-large.sqlite"]));
    assert_ne!(both, room(&["app.db"]));
    assert_eq!(both, room(&["app.db", "--source", "other.db"]));
    for wrong in [&["none*.db"][..], &["*.db", "--source", "app.db"]] {
        let outcome = repository.run(&[&several[..], wrong].concat());
        assert!(outcome.code == Some(2) && outcome.stderr.contains("source-"), "{outcome:?}");
    }
}

#[test]
fn a_refused_statement_is_shown_with_its_step_and_without_values() {
    let repository = Repository::with(&[
        ("schema.sql", "CREATE TABLE items (id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL, code TEXT);\n"),
        ("extra.sql", "ALTER TABLE items\n    ADD CONSTRAINT wrong CHECK (code <> 's3' || 'cret');\n"),
        (
            "spec.yaml",
            "version: 1\nsource: schema.sql\ntenant: {column: account_id, type: bigint}\n\
             tables: {items: {tenant: {column: account_id}}}\nextra: {post-data: [extra.sql]}\n",
        ),
    ]);
    let rows = "INSERT INTO items VALUES (1, 1, 's3cret')";
    let sqlite = rusqlite::Connection::open(repository.path("app.db")).unwrap();
    sqlite.execute_batch(&fs::read_to_string(repository.path("schema.sql")).unwrap()).unwrap();
    sqlite.execute_batch(rows).unwrap();
    drop(sqlite);
    let outcome = repository.run(&["cutover", "spec.yaml", "--source", "app.db", "--target", "scratch"]);
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    for wanted in
        ["constraint-violated", "failed to make the extra extra.sql", "\"items\"", "ADD CONSTRAINT wrong CHECK"]
    {
        assert!(outcome.stderr.contains(wanted), "{wanted}: {}", outcome.stderr);
    }
    assert!(!format!("{outcome:?}").contains("s3cret"), "{outcome:?}");
}

//! Runs the commands of every page, and compares what they print with what the page says.

use super::page::{Block, Page, pages};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;
use tempfile::TempDir;
use tenantry::postgres::{Durability, Scratch};

/// Commands that are not run: page, first line of the block, and why.
pub const NOT_RUN: &[(&str, &str, &str)] = &[
    (
        "README.md",
        "make demo     # moves a whole billing system into a throwaway PostgreSQL, and watches it refuse a foreign tenant's row",
        "installs packages and builds a release; CI runs it",
    ),
    (
        "docs/benchmarks.md",
        "make bench                      # SCALE=1 RUNS=3",
        "takes an hour, and measures the machine",
    ),
    (
        "docs/exit-codes.md",
        "tenantry verify app.yaml --source app.db --target env:POSTGRES_URL",
        "a piece of a script of one's own",
    ),
    ("docs/how-to/install.md", "cargo install --locked --path .", "builds a release"),
    (
        "docs/how-to/install.md",
        "docker build -f docs/deploy/Dockerfile --build-arg COMMIT=\"$(git rev-parse --short=12 HEAD)\" -t tenantry .",
        "needs an engine; tests/deploy.rs looks at what it is built of",
    ),
    (
        "docs/how-to/install.md",
        "export POSTGRES_PASSWORD=\"$(openssl rand -hex 16)\"",
        "needs an engine; tests/deploy.rs looks at the services",
    ),
    (
        "docs/isolation.md",
        "export TENANTRY_OWNER_PASSWORD=… TENANTRY_APP_PASSWORD=… TENANTRY_VERIFIER_PASSWORD=…",
        "passwords are the reader's",
    ),
    (
        "docs/migrations.md",
        "alembic upgrade +1    # the tables",
        "needs Alembic: tests/systems/alembic.sh goes this way",
    ),
    (
        "docs/systems/README.md",
        "make demo SYSTEM=bai    # one of them, slowly, with what PostgreSQL refuses afterwards",
        "installs packages and builds a release; CI runs it",
    ),
];

/// What else a block may hold: nothing of it is run.
const SHOWN: &[&str] = &["sql", "yaml", "mermaid", "text", "python", "json", "html"];

/// How many pages are run side by side.
const WORKERS: usize = 2;

/// A command of a page, and what is said of it.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    line: usize,
    command: String,
    printed: Vec<String>,
    code: i32,
}

/// Reads a `console` block.
fn steps(block: &Block) -> Result<Vec<Step>, String> {
    let mut steps: Vec<Step> = Vec::new();
    let mut goes_on = false;
    for (offset, line) in block.text.lines().enumerate() {
        let place = block.line + offset;
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (_, Some(step)) if goes_on => step.command.push_str(&format!("\n{line}")),
            (Some(command), _) => {
                steps.push(Step { line: place, command: command.to_owned(), printed: Vec::new(), code: 0 });
            }
            (None, None) => return Err(format!("{place}: a block of commands begins with `$ `")),
            (None, Some(step)) => {
                match line.strip_prefix("(exit code ").and_then(|rest| rest.strip_suffix(')')?.parse().ok()) {
                    Some(code) => step.code = code,
                    None => step.printed.push(line.trim_end().to_owned()),
                }
                continue;
            }
        }
        goes_on = line.ends_with('\\');
    }
    for step in &mut steps {
        while step.printed.last().is_some_and(String::is_empty) {
            step.printed.pop();
        }
    }
    Ok(steps)
}

/// Says whether a line is one that a page shows, where `…` is anything.
fn fits(line: &str, shown: &str) -> bool {
    let mut parts = shown.split('…');
    let Some(rest) = line.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, between)) = parts.split_last() else { return rest.is_empty() };
    let mut rest = rest;
    for part in between {
        let Some((_, behind)) = rest.split_once(part) else { return false };
        rest = behind;
    }
    rest.ends_with(last)
}

/// Says whether lines are those that a page shows, where a line of `…` is any number of lines.
fn all_fit(lines: &[&str], shown: &[&str]) -> bool {
    match (lines, shown) {
        ([], []) => true,
        (_, ["…", shown @ ..]) => (0..=lines.len()).any(|skipped| all_fit(&lines[skipped..], shown)),
        ([line, lines @ ..], [first, shown @ ..]) => fits(line, first) && all_fit(lines, shown),
        _ => false,
    }
}

/// Returns the name in a comment that is all of a block's first line: `# app.yaml`.
fn file_name(block: &Block) -> Option<&str> {
    let first = block.text.lines().next()?;
    let name = first.strip_prefix("# ").or_else(|| first.strip_prefix("-- "))?;
    let is_path = name.chars().all(|character| character.is_ascii_alphanumeric() || "._-/".contains(character));
    let has_extension = name.rsplit_once('.').is_some_and(|(stem, end)| !stem.is_empty() && !end.is_empty());
    (is_path && has_extension && !name.contains("..")).then_some(name)
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            copy(&path, &to.join(path.file_name().unwrap()));
        }
    } else {
        fs::copy(from, to).unwrap();
    }
}

/// A page's own repository, with the systems in it and a database beside it.
struct Place {
    folder: TempDir,
    url: String,
    server: PathBuf,
    path: String,
}

impl Place {
    fn new(server: &Scratch, number: usize) -> Self {
        let folder = TempDir::new().unwrap();
        let repository = folder.path().join("repository");
        fs::create_dir_all(repository.join(".git")).unwrap();
        fs::create_dir(folder.path().join("home")).unwrap();
        copy(Path::new("specs"), &repository.join("specs"));
        for system in ["bai", "bai.citus", "docuflow", "docuflow.citus", "legal_dashboard", "armp", "vatevo"] {
            copy(&Path::new("fixtures").join(system), &repository.join("fixtures").join(system));
        }
        let name = format!("docs_{number}");
        let mut connection = server.server().connect("public", Duration::from_secs(30)).unwrap();
        connection.execute(&format!("CREATE DATABASE {name}"), "create a database").unwrap();
        let url = format!("postgresql://postgres@/{name}?host={}", server.directory().display());
        let programs = Command::new("tests/deps.sh").arg("bindir").output().unwrap();
        let path = format!(
            "{}:{}:{}",
            Path::new(env!("CARGO_BIN_EXE_tenantry")).parent().unwrap().display(),
            String::from_utf8(programs.stdout).unwrap().trim(),
            std::env::var("PATH").unwrap_or_default()
        );
        Self { folder, url, server: server.directory().to_owned(), path }
    }

    /// Runs a command, and returns what it printed and its exit code.
    fn run(&self, command: &str) -> (String, Option<i32>) {
        let output = Command::new("bash")
            .args(["--norc", "-o", "pipefail", "-c", &format!("exec 2>&1\n{command}")])
            .current_dir(self.folder.path().join("repository"))
            .env_clear()
            .env("PATH", &self.path)
            .env("HOME", self.folder.path().join("home"))
            .env("LC_ALL", "C.UTF-8")
            .env("POSTGRES_URL", &self.url)
            // For psql, pg_dump and createdb where a page leaves the server out.
            .env("PGHOST", &self.server)
            .env("PGUSER", "postgres")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code())
    }

    /// Works a page off, and returns everything that is not as it says.
    fn work_off(&self, page: &Page, talk: bool) -> Vec<String> {
        let mut faults = Vec::new();
        for block in &page.blocks {
            if let Some(name) = file_name(block) {
                let path = self.folder.path().join("repository").join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, &block.text).unwrap();
            }
            if block.language != "console" {
                continue;
            }
            let steps = match steps(block) {
                Ok(steps) => steps,
                Err(error) => {
                    faults.push(format!("{}:{error}", page.path.display()));
                    continue;
                }
            };
            for step in steps {
                let (printed, code) = self.run(&step.command);
                if talk {
                    println!("$ {}\n{printed}(exit code {code:?})", step.command);
                }
                let lines: Vec<&str> = printed.trim_end().lines().map(str::trim_end).collect();
                let shown: Vec<&str> = step.printed.iter().map(String::as_str).collect();
                let is_as_shown = shown.is_empty() || all_fit(&lines, &shown);
                if code != Some(step.code) || !is_as_shown {
                    let place = format!("{}:{}", page.path.display(), step.line);
                    faults.push(format!("{place}: {} printed, with exit code {code:?}\n{printed}", step.command));
                }
            }
        }
        faults
    }
}

#[test]
fn every_command_does_what_the_page_says() {
    let wanted = std::env::var("TENANTRY_PAGE").ok();
    let mut pages = pages();
    pages.retain(|page| {
        let is_wanted = wanted.as_ref().is_none_or(|wanted| page.path.to_string_lossy().contains(wanted));
        is_wanted && page.blocks.iter().any(|block| block.language == "console")
    });
    assert!(!pages.is_empty(), "there is no such page with commands");
    let queue = Mutex::new(pages.iter().enumerate());
    let faults = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                // Roles belong to a server: with one each, workers do not make the same ones at the same time.
                let server = Scratch::start(Durability::Off).unwrap_or_else(|error| panic!("{error:?}"));
                loop {
                    let next = queue.lock().unwrap().next();
                    let Some((number, page)) = next else { break };
                    let found = Place::new(&server, number).work_off(page, wanted.is_some());
                    faults.lock().unwrap().extend(found);
                }
            });
        }
    });
    let faults = faults.into_inner().unwrap();
    assert!(faults.is_empty(), "{} commands do something else:\n\n{}", faults.len(), faults.join("\n\n"));
}

#[test]
fn what_is_not_run_is_listed_with_its_reason() {
    let mut open: Vec<&(&str, &str, &str)> = NOT_RUN.iter().collect();
    let mut unlisted = Vec::new();
    for page in pages() {
        for block in &page.blocks {
            let first = block.text.lines().next().unwrap_or_default();
            let place = format!("{}:{}: {first}", page.path.display(), block.line);
            match block.language.as_str() {
                "console" => {}
                "sh" => {
                    let path = page.path.to_string_lossy();
                    match open.iter().position(|(page, line, _)| *page == path && *line == first) {
                        Some(position) => drop(open.remove(position)),
                        None => unlisted.push(place),
                    }
                }
                language => assert!(SHOWN.contains(&language), "{place}: {language:?} is no kind of block"),
            }
        }
    }
    assert!(unlisted.is_empty(), "not run, and not listed:\n{}", unlisted.join("\n"));
    assert!(open.is_empty(), "listed, and in no page: {open:?}");
    assert!(NOT_RUN.iter().all(|(.., reason)| !reason.is_empty()));
}

#[test]
fn an_ellipsis_is_anything_and_all_else_is_itself() {
    assert!(fits("moved 5572 rows in 0.4 s", "moved 5572 rows in … s") && fits("ab", "a…b") && fits("ab", "…"));
    assert!(!fits("moved 5573 rows in 0.4 s", "moved 5572 rows in … s") && !fits("a", "a…a") && !fits("abc", "a…b"));
    assert!(all_fit(&["a", "b", "c"], &["a", "…", "c"]) && all_fit(&["a"], &["a", "…"]));
    assert!(!all_fit(&["a", "b"], &["a"]) && !all_fit(&["a"], &["a", "b"]) && !all_fit(&["a", "b", "c"], &["…", "b"]));
}

#[test]
fn commands_are_read_with_what_they_print() {
    let block = |text: &str| Block { line: 7, language: "console".to_owned(), text: text.to_owned() };
    let read = steps(&block("$ a \\\n  b\nsays\n\n$ c\n(exit code 1)\n")).unwrap();
    let step = |line, command: &str, printed: &[&str], code| Step {
        line,
        command: command.to_owned(),
        printed: printed.iter().map(|&line| line.to_owned()).collect(),
        code,
    };
    assert_eq!(read, [step(7, "a \\\n  b", &["says"], 0), step(11, "c", &[], 1)]);
    assert!(steps(&block("tenantry plan\n")).is_err());
}

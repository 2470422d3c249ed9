//! Measures a cutover beside other ways of moving the same rows, all in one run on one scratch server, and writes
//! `docs/benchmarks.md`.
//!
//! `SCALE` (1) multiplies the number of rows, `RUNS` (3) says how often each contender is measured. Contenders take
//! turns, so that what else the machine does falls on all of them. What they have made is compared outside the times.

mod contender;
mod process;
mod readers;
mod report;
mod server;

use contender::{Contender, TENANTRY, contenders};
use process::{Measured, run};
use readers::{Reader, readers};
use server::Bench;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// What has been measured.
struct Results {
    scale: f64,
    runs: usize,
    rows: u64,
    source_bytes: u64,
    /// The machine and the server, as name and value.
    machine: Vec<(&'static str, String)>,
    settings: Vec<(String, String)>,
    contenders: Vec<Entry>,
    /// What reads all rows once.
    readers: Vec<Reader>,
    /// tenantry on a tenth of the rows, for its memory.
    tenth: Measured,
}

/// A contender and its runs, or why there are none.
struct Entry {
    contender: Contender,
    runs: Result<Vec<Measured>, String>,
}

fn main() -> ExitCode {
    match measure().and_then(|results| write(&results)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the benchmark failed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<Results, String> {
    let (scale, runs) = (variable("SCALE", 1.0)?, variable("RUNS", 3.0)?.max(1.0) as usize);
    let machine = server::machine();
    let folder = tempfile::tempdir().map_err(|error| format!("cannot make a folder for the source: {error}"))?;
    eprintln!("building the source");
    let source = build(folder.path(), "bench.db", scale)?;
    let bench = Bench::start()?;
    let mut entries =
        contenders().map(|contender| Entry { contender, runs: contender.installed().map(|()| Vec::new()) });
    let mut rows = 0;
    for round in 1..=runs {
        eprintln!("run {round} of {runs}");
        rows = take_turns(&bench, &mut entries, &source, folder.path(), round == 1)?;
    }
    eprintln!("memory on a tenth of the rows");
    let tenth = build(folder.path(), "tenth.db", scale / 10.0)?;
    let database = bench.create("tenth")?;
    let tenantry = entries[0].contender;
    let tenth = run(&tenantry, tenantry.command(&tenth, &database), bench.process()?, folder.path())?;
    database.remove()?;
    eprintln!("audit and verify beside a plain scan");
    let database = bench.create("readers")?;
    run(&tenantry, tenantry.command(&source, &database), bench.process()?, folder.path())?;
    let readers = readers(&tenantry, &source, &database, bench.process()?, folder.path())?;
    Ok(Results {
        scale,
        runs,
        rows,
        source_bytes: fs::metadata(&source).map_or(0, |metadata| metadata.len()),
        machine,
        settings: bench.settings()?,
        readers,
        tenth,
        contenders: entries.into(),
    })
}

/// Measures each contender once and holds its result against tenantry's; returns the number of rows.
fn take_turns(
    bench: &Bench,
    entries: &mut [Entry],
    source: &Path,
    folder: &Path,
    first_round: bool,
) -> Result<u64, String> {
    let (mut rows, mut content) = (0, None);
    for Entry { contender, runs } in entries {
        let Ok(runs) = runs else { continue };
        let database = bench.create(contender.name)?;
        let measured = run(contender, contender.command(source, &database), bench.process()?, folder)?;
        eprintln!("  {}: {:.2} s", contender.name, measured.seconds);
        let made = database.rows()?;
        if contender.name == TENANTRY {
            rows = made;
            // Reading all rows takes long, and what they were the first time they are every time.
            content = Some(database.content(first_round)?);
            if first_round {
                database.write_floor()?;
            }
        }
        if made != rows {
            return Err(format!("{} has moved {made} of {rows} rows", contender.name));
        }
        if contender.same_result && content != Some(database.content(first_round)?) {
            return Err(format!("{} has not made what {TENANTRY} has made", contender.name));
        }
        runs.push(measured);
        database.remove()?;
    }
    Ok(rows)
}

fn write(results: &Results) -> Result<(), String> {
    let page = report::page(results);
    print!("{page}");
    let path = root().join("docs/benchmarks.md");
    fs::write(&path, page).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// Reads a positive number from the environment.
fn variable(name: &str, default: f64) -> Result<f64, String> {
    match std::env::var(name) {
        Err(_) => Ok(default),
        Ok(text) => match text.parse::<f64>() {
            Ok(number) if number > 0.0 && number.is_finite() => Ok(number),
            _ => Err(format!("{name} has to be a number above 0, and is {text:?}")),
        },
    }
}

/// Makes a source database from the fixture.
fn build(folder: &Path, name: &str, scale: f64) -> Result<PathBuf, String> {
    let path = folder.join(name);
    let status = Command::new("sqlite3")
        .current_dir(fixture())
        .arg("-bail")
        .args(["-cmd", "PRAGMA journal_mode = OFF", "-cmd", ".read schema.sql"])
        .args(["-cmd", &format!(".parameter set :scale {scale}")])
        .arg(&path)
        .arg(".read rows.sql")
        .stdout(Stdio::null())
        .status()
        .map_err(|error| format!("cannot run sqlite3, which makes the source; install sqlite3: {error}"))?;
    if status.success() { Ok(path) } else { Err(format!("sqlite3 cannot make the source: {status}")) }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn fixture() -> PathBuf {
    root().join("fixtures/bench")
}

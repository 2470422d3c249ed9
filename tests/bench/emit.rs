//! Measures `emit` on generated schemas of 200 to 2,000 tables with three foreign keys each.
//!
//! The time and the memory are those of the whole process. Ten times the tables must not take much more than ten times
//! the time; `make bench-emit` ends with an error where the limits are not kept.

mod large_schema;

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const SIZES: [usize; 4] = [200, 500, 1000, 2000];

/// The most that the largest schema may take, in seconds and bytes.
const LIMITS: (f64, u64) = (1.0, 200 << 20);

/// How much longer a table of the largest schema may take than one of the smallest.
const STEEPEST: f64 = 1.5;

const RUNS: usize = 5;

fn main() -> ExitCode {
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let mut results = Vec::new();
    for tables in SIZES {
        let large_schema::LargeSchema { ddl, spec, foreign_keys } = large_schema::generate(tables);
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).map_err(|e| e.to_string());
        write("schema.sql", &ddl)?;
        write("spec.yaml", &spec)?;
        let runs = (0..RUNS).map(|_| emit(folder.path())).collect::<Result<Vec<_>, _>>()?;
        let seconds = runs.iter().map(|(seconds, _)| *seconds).fold(f64::MAX, f64::min);
        let memory = runs.iter().map(|(_, memory)| *memory).max().unwrap_or_default();
        println!(
            "{tables:5} tables, {foreign_keys:5} foreign keys: {seconds:.3} s, {:.3} ms a table, {} MB",
            seconds * 1000.0 / tables as f64,
            memory >> 20
        );
        results.push((tables, seconds, memory));
    }
    let [(few, quick, _), .., (many, slow, memory)] = results[..] else { return Err("nothing was measured".into()) };
    let steepness = (slow / many as f64) / (quick / few as f64);
    println!("a table of {many} takes {steepness:.2} times as long as one of {few}");
    match (slow > LIMITS.0, memory > LIMITS.1, steepness > STEEPEST) {
        (false, false, false) => Ok(()),
        (true, ..) => Err(format!("{slow:.3} s are more than {} s", LIMITS.0)),
        (_, true, _) => Err(format!("{memory} bytes are more than {}", LIMITS.1)),
        (.., true) => {
            Err(format!("the time does not grow with the number of tables, but by {steepness:.2} times that"))
        }
    }
}

/// Runs `emit` once, and returns its seconds and its greatest resident memory in bytes.
fn emit(folder: &Path) -> Result<(f64, u64), String> {
    let output = fs::File::create(folder.join("output.sql")).map_err(|error| error.to_string())?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenantry"));
    command.arg("emit").arg(folder.join("spec.yaml")).stdin(Stdio::null()).stdout(output);
    let started = Instant::now();
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let mut memory = 0;
    loop {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|text| text.trim().trim_end_matches(" kB").parse::<u64>().ok());
        memory = memory.max(peak.unwrap_or(0) * 1024);
        match child.try_wait().map_err(|error| error.to_string())? {
            Some(status) if status.success() => return Ok((started.elapsed().as_secs_f64(), memory)),
            Some(status) => return Err(format!("emit ends with {status}")),
            None => thread::sleep(Duration::from_millis(1)),
        }
    }
}

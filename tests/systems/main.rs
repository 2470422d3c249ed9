//! Takes each of the systems from SQLite into PostgreSQL as its people would, and prints one table.
//!
//! `cargo test --test systems [-- NAME …]`; a step that does not come out as it has to ends the run.

#![expect(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod dirt;
mod indexes;
mod isolation;
mod more;
mod server;
mod system;
mod tls;
mod way_back;
mod workload;

use std::time::Instant;
use system::{SYSTEMS, System};

/// What is shown of a system.
struct Line {
    name: &'static str,
    tables: usize,
    rows: u64,
    tenants: usize,
    decisions: usize,
    hazards: usize,
    rejected: u64,
    answers: usize,
    seconds: f64,
}

fn main() {
    // Arguments of cargo's own harness, such as --nocapture, mean nothing here.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    // A filter that is meant for the tests of another target leaves nothing to do.
    let chosen: Vec<&System> =
        SYSTEMS.iter().filter(|system| wanted.is_empty() || wanted.iter().any(|name| name == system.name)).collect();
    let lines: Vec<Line> = chosen.into_iter().map(run).collect();
    println!(
        "\n{:<16} {:>6} {:>8} {:>8} {:>10} {:>8} {:>9} {:>8} {:>7}  verified",
        "system", "tables", "rows", "tenants", "decisions", "hazards", "rejected", "answers", "time"
    );
    for line in &lines {
        println!(
            "{:<16} {:>6} {:>8} {:>8} {:>10} {:>8} {:>9} {:>8} {:>5.1} s  yes",
            line.name,
            line.tables,
            line.rows,
            line.tenants,
            line.decisions,
            line.hazards,
            line.rejected,
            line.answers,
            line.seconds
        );
    }
}

fn run(system: &'static System) -> Line {
    let started = Instant::now();
    let moved = system.moved();
    dirt::check(&moved);
    let answers = workload::compare(system, &moved);
    isolation::check(system, &moved);
    more::check(system, &moved);
    way_back::check(system, &moved);
    Line {
        name: system.name,
        tables: moved.tables,
        rows: moved.rows,
        tenants: moved.tenants.len(),
        decisions: moved.plan["decisions"].as_array().unwrap().len(),
        hazards: moved.plan["hazards"].as_array().unwrap().len(),
        rejected: moved.rejected,
        answers,
        seconds: started.elapsed().as_secs_f64(),
    }
}

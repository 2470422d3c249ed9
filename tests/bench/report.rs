//! The page that a benchmark writes.

use crate::contender::{FLOOR, TENANTRY};
use crate::process::Measured;
use crate::{Entry, Results};
use std::fmt::Write;

const MEGABYTE: f64 = 1_000_000.0;

/// Writes the whole page.
pub fn page(results: &Results) -> String {
    let mut page = format!(
        "# Benchmarks\n\n\
         One run of `make bench SCALE={} RUNS={}`, which writes this page: a billing database in SQLite, {} rows in {:.0} MB, \
         moved into\none scratch PostgreSQL by tenantry and by other ways. Times are medians from the start of a process to \
         its end, in\nseconds; in brackets the shortest and the longest. Contenders take turns, each with an empty database \
         after a checkpoint.\n\
         The rows, keys and indexes that the floor and the script by hand make are compared with tenantry's, and are the \
         same.\nWhat else the machine does adds to all times: with a load average near the number of cores or above it, both \
         below, they are\nnoise.\n\n",
        results.scale,
        results.runs,
        grouped(results.rows),
        results.source_bytes as f64 / MEGABYTE,
    );
    contenders(results, &mut page);
    aims(results, &mut page);
    phases(results, &mut page);
    memory(results, &mut page);
    readers(results, &mut page);
    page.push_str("## What each of them does\n\n");
    for Entry { contender, .. } in &results.contenders {
        let _ = writeln!(page, "- **{}**: {}.", contender.name, contender.does);
    }
    page.push_str("\n## Machine and server\n\n| | |\n|---|---|\n");
    let settings = results.settings.iter().map(|(name, value)| (name.as_str(), value));
    for (name, value) in results.machine.iter().map(|(name, value)| (*name, value)).chain(settings) {
        let _ = writeln!(page, "| {name} | {value} |");
    }
    page.push_str(
        "\nThe peers set `maintenance_work_mem` to 512MB for themselves.\n\n## Again\n\n```sh\n\
         make bench                      # SCALE=1 RUNS=3\nmake bench SCALE=0.1 RUNS=1     # a tenth of the rows, once\n```\n",
    );
    page
}

fn contenders(results: &Results, page: &mut String) {
    let (floor, tenantry) = (median_seconds(results, FLOOR), median_seconds(results, TENANTRY));
    page.push_str(
        "| | seconds | × floor | × tenantry | processor seconds of client + server | peak memory of the client |\n\
         |---|---|---|---|---|---|\n",
    );
    for Entry { contender, runs } in &results.contenders {
        match runs {
            Ok(runs) => {
                let seconds: Vec<f64> = runs.iter().map(|run| run.seconds).collect();
                let mut memory: Vec<String> = Vec::new();
                for program in contender.programs {
                    let peak = runs.iter().filter_map(|run| run.memory.get(*program)).max();
                    memory.extend(peak.map(|&peak| format!("{program} {:.0} MB", peak as f64 / MEGABYTE)));
                }
                let of = |part: fn(&(f64, f64)) -> f64| {
                    let taken: Option<Vec<f64>> = runs.iter().map(|run| run.processor.as_ref().map(part)).collect();
                    taken.map(|taken| format!("{:.1}", median(&taken)))
                };
                let processor = of(|both| both.0).zip(of(|both| both.1));
                let _ = writeln!(
                    page,
                    "| {} | {} | {} | {} | {} | {} |",
                    contender.name,
                    spread(&seconds),
                    ratio(Some(median(&seconds)), floor),
                    ratio(Some(median(&seconds)), tenantry),
                    processor
                        .map_or_else(|| "not measured".to_owned(), |(client, server)| format!("{client} + {server}")),
                    if memory.is_empty() { "not measured".to_owned() } else { memory.join(", ") }
                );
            }
            Err(reason) => {
                let _ = writeln!(page, "| {} | not measured: {reason} | | | | |", contender.name);
            }
        }
    }
    page.push_str(
        "\nProcessor seconds are those of all cores together, in user and in system mode. Divided by the number of cores \
         they are about\nthe time where nothing waits: what tenantry takes beyond the floor is what its own process does for \
         snapshot, audit, copy and\nproof, and what the server does to send all rows back for the proof.\n\n",
    );
}

/// Writes what the project promises of its speed and memory, and whether this run keeps it.
fn aims(results: &Results, page: &mut String) {
    let runs = runs_of(results, TENANTRY);
    let rows_and_keys = median(&runs.iter().map(|run| run.rows_and_keys).collect::<Vec<_>>());
    let total = median_seconds(results, TENANTRY);
    let memory = runs.iter().map(Measured::total_memory).max().map(|peak| peak as f64 / MEGABYTE);
    let aims = [
        ("rows and keys, against the floor", over(Some(rows_and_keys), median_seconds(results, FLOOR)), 1.25),
        ("start to exit, against the floor", over(total, median_seconds(results, FLOOR)), 2.0),
        ("start to exit, against pgloader", over(total, median_seconds(results, "pgloader")), 0.7),
        ("peak memory in MB", memory.filter(|&megabytes| megabytes > 0.0), 150.0),
    ];
    page.push_str("| aim of tenantry | at most | measured | kept |\n|---|---|---|---|\n");
    for (name, found, limit) in aims {
        let (found, kept) = match found {
            Some(found) => (format!("{found:.2}"), if found <= limit { "yes" } else { "no" }),
            None => ("not measured".to_owned(), ""),
        };
        let _ = writeln!(page, "| {name} | {limit} | {found} | {kept} |");
    }
    page.push('\n');
}

fn phases(results: &Results, page: &mut String) {
    let runs = runs_of(results, TENANTRY);
    let Some(first) = runs.first() else { return };
    let reported =
        |run: &Measured| run.rows_and_keys + run.phase("verify").max(run.phase("finish")) + run.phase("isolation");
    page.push_str(
        "## The phases of tenantry\n\nThose that move rows and make keys overlap; `finish`, the statistics, goes beside \
         `verify`.\n\n| phase | seconds |\n|---|---|\n",
    );
    let before: Vec<f64> = runs.iter().map(|run| run.seconds - reported(run)).collect();
    let _ = writeln!(page, "| start, snapshot, audit, exit | {} |", spread(&before));
    for (name, _) in &first.phases {
        let seconds: Vec<f64> = runs.iter().map(|run| run.phase(name)).collect();
        let _ = writeln!(page, "| {name} | {} |", spread(&seconds));
    }
    let rows_and_keys: Vec<f64> = runs.iter().map(|run| run.rows_and_keys).collect();
    let _ = writeln!(page, "| rows and keys together (schema, copy, constraints) | {} |\n", spread(&rows_and_keys));
}

fn memory(results: &Results, page: &mut String) {
    let whole = runs_of(results, TENANTRY).iter().map(Measured::total_memory).max().unwrap_or(0);
    let _ = writeln!(
        page,
        "## Memory and the number of rows\n\n| SCALE | rows | peak memory of tenantry |\n|---|---|---|\n\
         | {} | {} | {:.0} MB |\n| {} | {} | {:.0} MB |\n",
        results.scale / 10.0,
        grouped(results.rows / 10),
        results.tenth.total_memory() as f64 / MEGABYTE,
        results.scale,
        grouped(results.rows),
        whole as f64 / MEGABYTE,
    );
}

fn readers(results: &Results, page: &mut String) {
    page.push_str(
        "## Audit and verify alone\n\n| | seconds | rows a second | × plain scan | peak memory |\n|---|---|---|---|---|\n",
    );
    let plain = results.readers.first().map(|reader| reader.seconds);
    for reader in &results.readers {
        let memory = reader.memory.map_or(String::new(), |bytes| format!("{:.0} MB", bytes as f64 / MEGABYTE));
        let _ = writeln!(
            page,
            "| {} | {:.2} | {} | {} | {memory} |",
            reader.name,
            reader.seconds,
            grouped((results.rows as f64 / reader.seconds) as u64),
            ratio(Some(reader.seconds), plain),
        );
    }
    page.push('\n');
}

fn runs_of<'r>(results: &'r Results, name: &str) -> &'r [Measured] {
    let entry = results.contenders.iter().find(|entry| entry.contender.name == name);
    entry.and_then(|entry| entry.runs.as_deref().ok()).unwrap_or_default()
}

fn median_seconds(results: &Results, name: &str) -> Option<f64> {
    let seconds: Vec<f64> = runs_of(results, name).iter().map(|run| run.seconds).collect();
    (!seconds.is_empty()).then(|| median(&seconds))
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => sorted[odd / 2],
        even => (sorted[even / 2 - 1] + sorted[even / 2]) / 2.0,
    }
}

fn spread(values: &[f64]) -> String {
    let (least, greatest) = values.iter().fold((f64::MAX, 0.0_f64), |(a, b), &value| (a.min(value), b.max(value)));
    match values.len() {
        0 | 1 => format!("{:.2}", median(values)),
        _ => format!("{:.2} ({least:.2}–{greatest:.2})", median(values)),
    }
}

fn over(value: Option<f64>, base: Option<f64>) -> Option<f64> {
    Some(value? / base?)
}

fn ratio(value: Option<f64>, base: Option<f64>) -> String {
    over(value, base).map_or_else(String::new, |ratio| format!("{ratio:.2}"))
}

/// Writes a number with a comma every three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

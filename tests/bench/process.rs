//! Runs one contender and looks at its clock and its memory.

use crate::contender::Contender;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How often the processes are looked at. Less than this is lost of what they take last, and of the time.
const INTERVAL: Duration = Duration::from_millis(10);

/// How Linux counts the times of processes, whatever the kernel's own clock.
const TICKS_PER_SECOND: f64 = 100.0;

/// The order of a cutover's phases, which a JSON object does not keep.
const PHASES: [&str; 7] = ["schema", "copy", "constraints", "sequences", "verify", "finish", "isolation"];

/// One run of a contender.
#[derive(Debug, Clone)]
pub struct Measured {
    /// From the start of its process to its end.
    pub seconds: f64,
    /// Of all processors together, in its own processes and in the server's; `None` where the system does not tell.
    pub processor: Option<(f64, f64)>,
    /// The greatest resident memory of each of its programs in bytes; empty where the system does not tell.
    pub memory: BTreeMap<String, u64>,
    /// The times that it reports itself; phases overlap.
    pub phases: Vec<(String, f64)>,
    /// The time that it reports for schema, rows and keys together.
    pub rows_and_keys: f64,
}

impl Measured {
    /// Returns the time of a phase.
    pub fn phase(&self, name: &str) -> f64 {
        self.phases.iter().find(|(other, _)| other == name).map_or(0.0, |(_, seconds)| *seconds)
    }

    /// Returns the greatest memory of all programs together.
    pub fn total_memory(&self) -> u64 {
        self.memory.values().sum()
    }
}

/// Runs a contender's command to its end; `server` is the process of the server it works with.
pub fn run(contender: &Contender, mut command: Command, server: u32, folder: &Path) -> Result<Measured, String> {
    let (stdout, stderr) = (folder.join("stdout"), folder.join("stderr"));
    let file = |path: &Path| File::create(path).map_err(|error| format!("cannot write {}: {error}", path.display()));
    command.stdin(Stdio::null()).stdout(file(&stdout)?).stderr(file(&stderr)?);
    let before = [ended_below(std::process::id()), below(server)];
    let started = Instant::now();
    let mut child = command.spawn().map_err(|error| format!("cannot start {}: {error}", contender.name))?;
    let mut memory = BTreeMap::new();
    let status = loop {
        match child.try_wait().map_err(|error| format!("cannot wait for {}: {error}", contender.name))? {
            Some(status) => break status,
            None => look(&child, contender, &mut memory),
        }
        thread::sleep(INTERVAL);
    };
    let seconds = started.elapsed().as_secs_f64();
    let after = [ended_below(std::process::id()), below(server)];
    let read = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
    if !status.success() {
        return Err(format!("{} ends with {status}:\n{}{}", contender.name, read(&stdout), read(&stderr)));
    }
    // Only a report in JSON tells times.
    let report: serde_json::Value = serde_json::from_str(&read(&stdout)).unwrap_or_default();
    let rows_and_keys = report["rows_and_keys_seconds"].as_f64().unwrap_or(0.0);
    let taken = |which: usize| Some((after[which]? - before[which]?) as f64 / TICKS_PER_SECOND);
    let processor = taken(0).zip(taken(1));
    Ok(Measured { seconds, processor, memory, phases: phases(&report), rows_and_keys })
}

fn phases(report: &serde_json::Value) -> Vec<(String, f64)> {
    let seconds = report["seconds"].as_object().into_iter().flatten();
    let mut phases: Vec<_> = seconds.filter_map(|(name, value)| Some((name.clone(), value.as_f64()?))).collect();
    phases.sort_by_key(|(name, _)| PHASES.iter().position(|phase| phase == name));
    phases
}

/// Counts the ticks that processors have spent on what a process has started and what has ended since.
fn ended_below(process: u32) -> Option<u64> {
    times(process).map(|times| times[2] + times[3])
}

/// Counts the ticks of all that a process has started, whether it has ended or not.
fn below(process: u32) -> Option<u64> {
    let living = children(process).into_iter();
    let living = living.filter_map(|child| Some(times(child).map(|times| times[0] + times[1])? + below(child)?));
    Some(ended_below(process)? + living.sum::<u64>())
}

/// Reads a process's own times and those of its ended children, each in user and in system mode, in ticks.
fn times(process: u32) -> Option<[u64; 4]> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name, in brackets, may have spaces.
    let fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    fields.take(4).map(|field| field.parse().ok()).collect::<Option<Vec<u64>>>()?.try_into().ok()
}

fn children(process: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let lists = tasks.map(|task| fs::read_to_string(task.path().join("children")).unwrap_or_default());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|number| number.parse().ok()).collect::<Vec<_>>())
        .collect()
}

/// Notes how much memory the contender's programs have had so far: the process itself and all below it.
fn look(child: &Child, contender: &Contender, memory: &mut BTreeMap<String, u64>) {
    let mut left = vec![child.id()];
    while let Some(process) = left.pop() {
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let peak = field("VmHWM:").and_then(|text| text.trim_end_matches(" kB").parse::<u64>().ok());
        if let (Some(program), Some(peak)) = (field("Name:"), peak)
            && contender.programs.contains(&program)
        {
            let known = memory.entry(program.to_owned()).or_default();
            *known = (*known).max(peak * 1024);
        }
        left.extend(children(process));
    }
}

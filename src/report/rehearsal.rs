//! What a cutover measured, kept beside the runbook, and compared with the next one.

use super::json::SCHEMA_VERSION;
use crate::copy::{Audit, Cutover};
use crate::plan::Plan;
use crate::postgres::{Binding, Connection, tables_bytes};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The figures of one run, as they stand in a rehearsal's JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// The version of this JSON.
    pub schema_version: u32,
    /// When the run ended: RFC 3339, UTC.
    pub made_at: String,
    /// The version of tenantry.
    pub tool: String,
    /// The hash of the spec and of what it names.
    pub spec: String,
    /// The hash of the DDL.
    pub ddl: String,
    /// The hash of the snapshot.
    pub source: String,
    /// The snapshot's size in bytes.
    pub source_bytes: u64,
    /// Rows of the target.
    pub rows: u64,
    /// Their bytes of binary COPY.
    pub encoded_bytes: u64,
    /// What the target's tables took afterwards, with their keys and indexes.
    pub target_bytes: u64,
    /// How many tenants there were.
    pub tenants: usize,
    /// How many files they came from; absent where that was one database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<usize>,
    /// How many connections worked side by side.
    pub jobs: u16,
    /// The phases and their seconds; those that move rows and make keys overlap, as proof and statistics do.
    pub phases: Vec<PhaseTime>,
    /// From the start of the process to the end of its last phase.
    pub total_seconds: f64,
}

/// How long a phase took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PhaseTime {
    /// Its name.
    pub phase: String,
    /// Its seconds.
    pub seconds: f64,
}

impl Figures {
    /// Gathers the figures of a run that has ended. `before` are the phases before its first step in the target.
    pub fn new(audit: &Audit, run: &Cutover, before: &[(&'static str, Duration)], total: Duration) -> Self {
        let time = |(phase, took): (&str, Duration)| PhaseTime { phase: phase.to_owned(), seconds: took.as_secs_f64() };
        let steps = run.phases.iter().map(|(phase, took)| (phase.name(), *took));
        Self {
            schema_version: SCHEMA_VERSION,
            made_at: String::new(),
            tool: env!("CARGO_PKG_VERSION").to_owned(),
            spec: String::new(),
            ddl: String::new(),
            source: String::new(),
            source_bytes: 0,
            rows: audit.sizes.iter().map(|size| size.rows).sum(),
            encoded_bytes: encoded_bytes(audit),
            target_bytes: 0,
            tenants: audit.tenants,
            files: None,
            jobs: 0,
            phases: before.iter().copied().chain(steps).map(time).collect(),
            total_seconds: total.as_secs_f64(),
        }
    }

    /// Says what the figures are of: the run's binding, and the snapshot's bytes, the time, and the number of connections.
    pub fn bind(&mut self, binding: &Binding, (source_bytes, made_at, jobs): (u64, String, u16)) {
        self.spec.clone_from(&binding.spec);
        self.ddl.clone_from(&binding.ddl);
        self.source.clone_from(&binding.snapshot);
        self.source_bytes = source_bytes;
        self.made_at = made_at;
        self.jobs = jobs;
    }

    /// Asks the target what the tables of the run take.
    pub fn measure(&mut self, target: &mut Connection, plan: &Plan) {
        let names: Vec<&str> = plan.rewritten.target.tables.iter().map(|table| table.name.as_str()).collect();
        // The run has ended: what cannot be measured now does not undo it.
        self.target_bytes = tables_bytes(target, &plan.tenancy.target_schema, &names).unwrap_or(0);
    }

    /// Returns the seconds of a phase.
    pub fn seconds(&self, phase: &str) -> Option<f64> {
        self.phases.iter().find(|time| time.phase == phase).map(|time| time.seconds)
    }
}

/// Adds up what the rows take as binary COPY.
pub(super) fn encoded_bytes(audit: &Audit) -> u64 {
    audit.sizes.iter().map(|size| size.encoded).sum()
}

/// Writes a run's times beside those of its rehearsal.
pub fn times_text(run: &Figures, rehearsal: &Figures) -> String {
    let mut text = format!("{:<12} {:>12}   rehearsal of {}\n", "phase", "this run", rehearsal.made_at);
    let mut line = |name: &str, seconds: f64, before: Option<f64>| {
        let before = before.map_or("–".to_owned(), |before| format!("{before:.2} s"));
        text.push_str(&format!("{name:<12} {:>12}   {before:>12}\n", format!("{seconds:.2} s")));
    };
    for PhaseTime { phase, seconds } in &run.phases {
        line(phase, *seconds, rehearsal.seconds(phase));
    }
    line("in all", run.total_seconds, Some(rehearsal.total_seconds));
    text.push_str(&format!("{:<12} {:>12}   {:>12}\n", "rows", run.rows, rehearsal.rows));
    if (&run.spec, &run.ddl) != (&rehearsal.spec, &rehearsal.ddl) {
        text.push_str("the rehearsal was of another spec\n");
    }
    text
}

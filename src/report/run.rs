//! Audits, cutovers and verifications as people and machines read them.

use super::audit::accounts_json;
use super::counted::counted;
use super::json::SCHEMA_VERSION;
use super::rehearsal::Figures;
use super::verification::{verification_json, verification_text};
use crate::copy::{Account, Cutover, RolledBack};
use crate::ident::visible;
use crate::plan::Plan;
use crate::postgres::{RunRecord, bytes_text};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

/// What a report says of a cutover beside the proof.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// How many tenants were moved.
    pub tenants: usize,
    /// What became of the rows of each source table, where the spec keeps any out.
    pub accounts: Vec<Account>,
    /// An interrupted run was continued.
    pub resumed: bool,
    /// The run whose place this one has taken.
    pub replaced: Option<RolledBack>,
    /// The tenant that was added to those that are there, and how many rows went over.
    pub added: Option<(String, u64)>,
    /// How long the application could not write; `None` where it could.
    pub blocked: Option<Duration>,
    /// What became of the source meanwhile.
    pub moved_on: MovedOn,
    /// Of several sources, those that were written to after their snapshots.
    pub written: Vec<String>,
    /// Where the snapshot is kept; of several, their folder.
    pub snapshot: Option<PathBuf>,
    /// The snapshots of other runs beside it, and how many bytes each takes.
    pub older: Vec<(PathBuf, u64)>,
    /// Why the snapshot may not survive a crash of the machine.
    pub unsafe_backup: Option<String>,
    /// How to connect to the scratch server that is left running, and how to remove it.
    pub left_running: Option<(String, String)>,
}

/// Whether the source was written to after its snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MovedOn {
    /// It was not.
    No,
    /// It could not be.
    Frozen,
    /// It was: the target lacks that.
    Yes,
    /// Nobody knows, for this reason.
    Unknown(String),
}

/// Writes a cutover: the verification table, and how long each phase took.
pub fn cutover_text(run: &Cutover, around: &Surroundings) -> String {
    let mut text = verification_text(&run.verification);
    let phases: Vec<String> =
        run.phases.iter().map(|(phase, took)| format!("{} {:.2} s", phase.name(), took.as_secs_f64())).collect();
    let resumed = if around.resumed { ", continued" } else { "" };
    let what = match &around.added {
        None => {
            format!("{} copied{resumed}, {}", counted(copied_rows(run), "row"), counted(around.tenants, "tenant"))
        }
        Some((tenant, rows)) if run.verification.is_proven() => {
            format!("{} of {} added to those that were there", counted(*rows, "row"), visible(tenant))
        }
        Some((tenant, _)) => format!("nothing of {} was added: the proof found differences", visible(tenant)),
    };
    text.push_str(&format!("{what}; {}\n", phases.join(", ")));
    if let Some(replaced) = &around.replaced {
        text.push_str(&format!("the run of {} was undone for it\n", visible(&replaced.started)));
    }
    if let Some(blocked) = around.blocked {
        let seconds = blocked.as_secs_f64();
        text.push_str(&format!("the application could not write for {seconds:.2} s, while the snapshot was taken\n"));
    }
    match &around.moved_on {
        MovedOn::No => {}
        MovedOn::Frozen => text.push_str("nobody could write to the source since before the snapshot\n"),
        MovedOn::Yes if !around.written.is_empty() => text.push_str(&format!(
            "{} of the files have been written to since their snapshots, and the target does not have that: {}\n",
            around.written.len(),
            visible(&listed(&around.written))
        )),
        MovedOn::Yes => {
            text.push_str("the source has been written to since its snapshot: the target does not have that\n");
        }
        MovedOn::Unknown(reason) => text.push_str(&format!(
            "whether the source has been written to since its snapshot is not known: {}\n",
            visible(reason)
        )),
    }
    if let Some(path) = &around.snapshot {
        let path = visible(&path.to_string_lossy()).into_owned();
        text.push_str(&match path.ends_with(".db") {
            true => format!("the snapshot is kept as {path}\n"),
            false => format!("the snapshots are kept in {path}\n"),
        });
    }
    if !around.older.is_empty() {
        let bytes: u64 = around.older.iter().map(|(_, bytes)| bytes).sum();
        text.push_str(&format!(
            "snapshots of other runs take {} beside it; remove those that are neither a backup nor needed to continue a run:\n",
            bytes_text(bytes)
        ));
        for (path, bytes) in &around.older {
            text.push_str(&format!("  {} ({})\n", visible(&path.to_string_lossy()), bytes_text(*bytes)));
        }
    }
    if let Some(reason) = &around.unsafe_backup {
        text.push_str(&format!("the snapshot may not have reached the disk: {}\n", visible(reason)));
    }
    if let Some(reason) = &run.without_statistics {
        text.push_str(&format!(
            "everything is committed, without statistics for the planner ({}): run VACUUM ANALYZE\n",
            visible(&reason.message)
        ));
    }
    if let Some((connect, stop)) = &around.left_running {
        text.push_str(&format!("connect: {connect}\nstop: {stop}\n"));
    }
    text
}

/// Writes a cutover as JSON, with what was measured, and what its rehearsal had measured.
pub fn cutover_json(
    plan: &Plan,
    run: &Cutover,
    around: &Surroundings,
    figures: Option<&Figures>,
    rehearsal: Option<&Figures>,
) -> Value {
    let mut value = verification_json(&run.verification);
    value["accounts"] = json!(accounts_json(plan, &around.accounts));
    let phases: serde_json::Map<String, Value> =
        run.phases.iter().map(|(phase, took)| (phase.name().to_owned(), json!(took.as_secs_f64()))).collect();
    let (moved_on, reason) = match &around.moved_on {
        MovedOn::No => (json!(false), None),
        MovedOn::Frozen => (json!(false), None),
        MovedOn::Yes => (json!(true), None),
        MovedOn::Unknown(reason) => (Value::Null, Some(reason)),
    };
    value["rows_copied"] = json!(copied_rows(run));
    value["tenants"] = json!(around.tenants);
    value["seconds"] = Value::Object(phases);
    value["rows_and_keys_seconds"] = json!(run.rows_and_keys.as_secs_f64());
    value["without_statistics"] = json!(run.without_statistics.as_ref().map(|reason| &reason.message));
    value["resumed"] = json!(around.resumed);
    value["added"] = json!(around.added.as_ref().map(|(tenant, rows)| json!({ "tenant": tenant, "rows": rows })));
    value["replaced"] = json!(around.replaced.as_ref().map(|run| &run.started));
    value["source"] = json!({
        "blocked_seconds": around.blocked.map(|blocked| blocked.as_secs_f64()),
        "frozen": around.moved_on == MovedOn::Frozen,
        "moved_on": moved_on,
        "moved_on_unknown": reason,
        "written": around.written,
    });
    let server = around.left_running.as_ref();
    value["left_running"] = json!(server.map(|(connect, stop)| json!({ "connect": connect, "stop": stop })));
    value["figures"] = json!(figures);
    value["rehearsal"] = json!(rehearsal);
    value["older_snapshots"] = around.older.iter().map(|(path, _)| json!(path.to_string_lossy())).collect();
    value["snapshot"] = json!(around.snapshot.as_ref().map(|path| path.to_string_lossy()));
    value
}

/// Lists the first of some names.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let rest = names.len().saturating_sub(SHOWN);
    let rest = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    format!("{}{rest}", names[..names.len().min(SHOWN)].join(", "))
}

fn copied_rows(run: &Cutover) -> u64 {
    run.tables.iter().map(|table| table.rows).sum()
}

/// Writes that a cutover was finished before.
pub fn finished_text(run: &RunRecord) -> String {
    format!(
        "finished already: the run of {} ended at {}; nothing was done\n",
        run.started,
        run.finished.as_deref().unwrap_or_default()
    )
}

/// Writes the same as JSON.
pub fn finished_json(run: &RunRecord) -> Value {
    json!({ "schema_version": SCHEMA_VERSION, "finished_before": { "started": run.started, "finished": run.finished } })
}

/// Writes what a rollback did.
pub fn rollback_text(done: &RolledBack) -> String {
    let mut text = String::new();
    for (word, list) in [("dropped", &done.dropped), ("emptied", &done.emptied), ("left, not empty", &done.left)] {
        for name in list {
            text.push_str(&format!("{word}: {}\n", visible(name)));
        }
    }
    if done.discarded > 0 {
        text.push_str(&match done.discarded {
            1 => "1 row that was written after the run is gone\n".to_owned(),
            rows => format!("{rows} rows that were written after the run are gone\n"),
        });
    }
    text.push_str(&format!("undone: the run of {}\n", visible(&done.started)));
    text
}

/// Writes the same as JSON.
pub fn rollback_json(done: &RolledBack) -> Value {
    json!({
        "schema_version": SCHEMA_VERSION,
        "started": done.started,
        "dropped": done.dropped,
        "emptied": done.emptied,
        "left": done.left,
        "discarded_rows": done.discarded,
    })
}

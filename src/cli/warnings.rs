//! What reports warn of, as events for machines: `--log-format json` alone writes them, since people read the report.

use super::log::Level;
use super::output::Output;
use crate::copy::{Audit, Cutover, Finding};
use crate::plan::Plan;
use crate::report::{MovedOn, Surroundings};
use serde_json::json;

/// Tells what an audit found: what does not go through, and what may not.
pub(super) fn of_audit(output: &Output, plan: &Plan, audit: &Audit) {
    let tell = |level, finding: &Finding| {
        let more = json!({
            "code": finding.code,
            "table": plan.source.table(finding.table).name,
            "place": finding.place,
            "rows": finding.rows,
            "message": finding.reason,
        });
        output.event(level, "finding", more);
    };
    audit.findings.iter().for_each(|finding| tell(Level::Error, finding));
    audit.warnings.iter().for_each(|finding| tell(Level::Warning, finding));
}

/// Tells what is to be known of a run that has ended.
pub(super) fn of_run(output: &Output, run: &Cutover, around: &Surroundings) {
    let warn = |code: &str, message: &str| {
        output.event(Level::Warning, "warning", json!({ "code": code, "message": message }));
    };
    match &around.moved_on {
        MovedOn::No | MovedOn::Frozen => {}
        MovedOn::Yes => warn("source-moved-on", "the source has been written to since its snapshot"),
        MovedOn::Unknown(reason) => warn("source-moved-on", &format!("whether it has moved on is not known: {reason}")),
    }
    if let Some(blocked) = around.blocked {
        warn("source-blocked", &format!("the application could not write for {:.2} s", blocked.as_secs_f64()));
    }
    if let Some(reason) = &around.unsafe_backup {
        warn("backup-unsafe", &format!("the snapshot may not have reached the disk: {reason}"));
    }
    if let Some(reason) = &run.without_statistics {
        warn("without-statistics", &reason.message);
    }
}

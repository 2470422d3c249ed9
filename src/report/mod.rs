//! Results → text, JSON and HTML. Returns strings; `cli` prints them.

mod added;
mod annotations;
mod audit;
mod check;
mod counted;
mod decision;
mod diagnostics;
mod diff;
mod estimate;
mod explain;
mod html;
mod isolation;
mod json;
mod leak;
mod legend;
mod meaning;
mod picture;
mod plan;
mod receipt;
mod rehearsal;
mod run;
mod runbook;
mod sign_off;
mod verification;
mod why;
mod why_row;

pub use added::{added_before_json, added_before_text};
pub use annotations::{github_annotations, sarif};
pub use audit::{Values, audit_json, audit_text, audit_text_with, rejects_text};
pub use check::{Checked, Denied, check_json};
pub use diagnostics::{Style, render};
pub use diff::unified_diff;
pub use estimate::DryRun;
pub use explain::{Explanation, explanation, explanation_text, explanations};
pub use json::{SCHEMA_VERSION, diagnostics_json, plan_json};
pub use leak::{leak_json, leak_text};
pub use meaning::meaning;
pub use picture::{Around, Picture, Side, graph_dot, graph_mermaid, graph_svg, picture};
pub use plan::plan_text;
pub use receipt::Receipt;
pub use rehearsal::{Figures, PhaseTime, times_text};
pub use run::{
    MovedOn, Surroundings, cutover_json, cutover_text, finished_json, finished_text, rollback_json, rollback_text,
};
pub use runbook::{Commands, runbook};
pub use sign_off::SignOff;
pub use verification::{catalog_json, catalog_text, since_json, since_text, verification_json, verification_text};
pub use why::{Asked, why_json, why_text};
pub use why_row::{why_row_json, why_row_text};

//! `plan`: every decision, hazard and cycle, and the load order.

use super::Format;
use super::exit::{CLEAN, FINDINGS};
use super::output::Output;
use super::project::Project;
use crate::plan::Plan;
use crate::report::{plan_json, plan_text};
use crate::rewrite::{HAZARD_CODES, Hazard};
use clap::Args;
use clap::builder::PossibleValuesParser;
use std::path::PathBuf;

/// Shows every decision with its reason, hazards, cycles and the load order
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tenantry plan specs/bai.yaml
  tenantry plan specs/bai.yaml --deny unique-weakened     exit 1 where the plan has that hazard")]
pub(super) struct Arguments {
    /// The tenancy spec
    spec: PathBuf,
    /// Exits with 1 where the plan has this hazard; may be given several times
    #[arg(long, value_name = "CODE", value_parser = PossibleValuesParser::new(HAZARD_CODES), hide_possible_values = true)]
    deny: Vec<String>,
    /// How to report
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Lets the spec name paths outside its repository
    #[arg(long)]
    allow_outside: bool,
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> u8 {
    let project = match Project::load(&arguments.spec, arguments.allow_outside) {
        Ok(project) => project,
        Err(failure) => return output.errors(&failure.errors, &failure.sources, arguments.format),
    };
    match arguments.format {
        Format::Text => output.result(&plan_text(&project.plan, &project.sources)),
        Format::Json => output.json(&plan_json(&project.plan, &project.sources)),
    }
    match denied(&project.plan, &arguments.deny).len() {
        0 => CLEAN,
        count => {
            output.note(&format!("{count} denied hazards"));
            FINDINGS
        }
    }
}

/// Returns the hazards of a plan that have one of some codes.
pub(super) fn denied<'p>(plan: &'p Plan, codes: &[String]) -> Vec<&'p Hazard> {
    plan.hazards().iter().filter(|hazard| codes.iter().any(|code| code == hazard.code)).collect()
}

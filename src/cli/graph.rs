//! `graph`: the foreign keys before and after as a picture.

use super::Format;
use super::exit::CLEAN;
use super::output::Output;
use super::project::Project;
use crate::diagnostic::Diagnostic;
use crate::plan::Plan;
use crate::report::{Around, Side, graph_dot, graph_mermaid, graph_svg, picture};
use crate::schema::TableId;
use crate::spec::unknown_table;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Draws the foreign keys before and after, placements in colour
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tenantry graph specs/bai.yaml                                        a Mermaid flowchart
  tenantry graph specs/bai.yaml --format svg > bai.svg                 a picture; needs no other program
  tenantry graph specs/bai.yaml --after --path invoice_items           marks the way from a row to its tenant
  tenantry graph specs/bai.yaml --format dot --around invoices | dot -Tpdf -o invoices.pdf")]
pub(super) struct Arguments {
    /// The tenancy spec
    spec: PathBuf,
    /// What to write
    #[arg(long, value_enum, default_value_t)]
    format: Picture,
    /// Only what SQLite has
    #[arg(long, conflicts_with = "after")]
    before: bool,
    /// Only what PostgreSQL is to have
    #[arg(long)]
    after: bool,
    /// Marks the way from the rows of this table to their tenant
    #[arg(long, value_name = "TABLE")]
    path: Option<String>,
    /// Only this table and those that a foreign key joins it with
    #[arg(long, value_name = "TABLE")]
    around: Option<String>,
    /// Lets the spec name paths outside its repository
    #[arg(long)]
    allow_outside: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Picture {
    /// A flowchart that GitHub and many editors draw.
    #[default]
    Mermaid,
    /// For Graphviz.
    Dot,
    /// A picture of its own.
    Svg,
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> u8 {
    let project = match Project::load(&arguments.spec, arguments.allow_outside) {
        Ok(project) => project,
        Err(failure) => return output.errors(&failure.errors, &failure.sources, Format::Text),
    };
    let plan = &project.plan;
    let find = |name: &Option<String>| name.as_deref().map(|name| table(plan, name)).transpose();
    let around = match (find(&arguments.path), find(&arguments.around)) {
        (Ok(path), Ok(centre)) => Around { path, centre },
        (Err(error), _) | (_, Err(error)) => return output.error(error, &project.sources, Format::Text),
    };
    let sides: &[Side] = match (arguments.before, arguments.after) {
        (true, _) => &[Side::Before],
        (_, true) => &[Side::After],
        _ => &[Side::Before, Side::After],
    };
    let pictures: Vec<_> = sides.iter().map(|&side| picture(plan, side, around)).collect();
    output.result(&match arguments.format {
        Picture::Mermaid => graph_mermaid(&pictures),
        Picture::Dot => graph_dot(&pictures),
        Picture::Svg => graph_svg(&pictures),
    });
    CLEAN
}

fn table(plan: &Plan, name: &str) -> Result<TableId, Diagnostic> {
    plan.source.find_table(name).ok_or_else(|| unknown_table(&plan.source, name))
}

//! `check`: is the committed DDL what the spec generates?

use super::Format;
use super::exit::{CLEAN, FAILED, FINDINGS};
use super::output::Output;
use super::plan::denied;
use super::project::{Project, shown};
use crate::diagnostic::{Diagnostic, Diagnostics, Sources};
use crate::emit::postgres;
use crate::plan::Section;
use crate::report::{Checked, Denied, check_json, github_annotations, meaning, sarif, unified_diff};
use crate::rewrite::HAZARD_CODES;
use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};

/// Checks that the committed DDL is what the specs generate; needs no server
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tenantry check specs/bai.yaml
  tenantry check specs/*.yaml --format github              annotations of a GitHub workflow
  tenantry check specs/*.yaml --format sarif > check.sarif
  tenantry check specs/bai.yaml --deny unique-weakened     exit 1 where the plan has that hazard")]
pub(super) struct Arguments {
    /// The tenancy specs
    #[arg(required = true)]
    specs: Vec<PathBuf>,
    /// Exits with 1 where a plan has this hazard; may be given several times
    #[arg(long, value_name = "CODE", value_parser = PossibleValuesParser::new(HAZARD_CODES), hide_possible_values = true)]
    deny: Vec<String>,
    /// How to report
    #[arg(long, value_enum, default_value_t)]
    format: CheckFormat,
    /// Lets the specs name paths outside their repository
    #[arg(long)]
    allow_outside: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum CheckFormat {
    /// For people: the difference, and what to do.
    #[default]
    Text,
    /// For machines; carries a `schema_version`.
    Json,
    /// Annotations of a GitHub workflow.
    Github,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> u8 {
    let checked: Vec<Checked> = arguments.specs.iter().map(|spec| check(spec, arguments)).collect();
    match arguments.format {
        CheckFormat::Text => checked.iter().for_each(|one| text(one, output)),
        CheckFormat::Json => output.json(&check_json(&checked)),
        CheckFormat::Github => output.result(&github_annotations(&checked)),
        CheckFormat::Sarif => output.json(&sarif(&checked)),
    }
    let code = |one: &Checked| match one.status() {
        "clean" => CLEAN,
        "failed" => FAILED,
        _ => FINDINGS,
    };
    checked.iter().map(code).max().unwrap_or(CLEAN)
}

fn text(checked: &Checked, output: &Output) {
    for denied in &checked.denied {
        output.note(&format!("{}: {}", checked.spec, denied.message));
    }
    if !checked.errors.is_empty() {
        output.errors(&checked.errors, &checked.sources, Format::Text);
    } else if checked.diff.is_empty() {
        let path = checked.output.as_deref().unwrap_or_default();
        output.result(&format!("{}: {path} is what the spec generates\n", checked.spec));
    } else {
        output.result(&checked.diff);
        let path = checked.output.as_deref().unwrap_or_default();
        checked.changes.iter().for_each(|change| output.result(&format!("{path}: {change}\n")));
        output.note(&checked.drift_text());
    }
}

fn check(spec: &Path, arguments: &Arguments) -> Checked {
    let mut checked = Checked {
        spec: shown(spec),
        output: None,
        sources: Sources::default(),
        errors: Diagnostics::default(),
        diff: String::new(),
        changes: Vec::new(),
        denied: Vec::new(),
    };
    let project = match Project::load(spec, arguments.allow_outside) {
        Ok(project) => project,
        Err(failure) => return Checked { errors: failure.errors, sources: failure.sources, ..checked },
    };
    let denied = denied(&project.plan, &arguments.deny).into_iter();
    checked.denied = denied.map(|hazard| Denied::new(&project.plan, hazard)).collect();
    checked.sources = project.sources;
    let Some(path) = &project.output else {
        let error = Diagnostic::error("missing-key", "the spec has no `output`, so there is nothing to check")
            .help("name the committed file, as in `output: schema.postgres.sql`");
        return Checked { errors: error.into(), ..checked };
    };
    checked.output = Some(shown(path));
    match std::fs::read_to_string(path) {
        Ok(committed) => {
            let generated = postgres(&project.plan, &Section::DDL);
            checked.diff = unified_diff(&shown(path), &committed, &generated);
            if !checked.diff.is_empty() {
                checked.changes = match meaning(&committed, &generated) {
                    Ok(changes) if changes.is_empty() => {
                        vec!["nothing changes in meaning: layout, comments or order differ".to_owned()]
                    }
                    Ok(changes) => changes,
                    Err(uncut) => vec![format!("{} is no SQL: {}", shown(path), uncut.message)],
                };
            }
        }
        Err(error) => {
            let error = Diagnostic::error("output-unreadable", format!("{} cannot be read: {error}", shown(path)))
                .help(format!("write it with `tenantry emit {} --write`", shown(spec)));
            checked.errors = error.into();
        }
    }
    checked
}

//! `explain`: what a code means, and what to do about it.

use super::Format;
use super::exit::CLEAN;
use super::output::Output;
use crate::diagnostic::{Diagnostic, Sources, nearest};
use crate::report::{Explanation, SCHEMA_VERSION, explanation, explanation_text, explanations};
use clap::Args;
use serde_json::{Value, json};

/// Explains a code: what it means, and what to do about it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tenantry explain ambiguous-tenant-path
  tenantry explain unique-weakened --format json
  tenantry explain                                 lists all codes")]
pub(super) struct Arguments {
    /// The code of an error or a hazard, as messages show it
    code: Option<String>,
    /// How to report
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> u8 {
    let found = match &arguments.code {
        None => explanations(),
        Some(code) => match explanation(code) {
            Some(explanation) => vec![explanation],
            None => return output.error(unknown(code), &Sources::default(), arguments.format),
        },
    };
    match (arguments.format, &found[..]) {
        (Format::Json, _) => {
            let list: Vec<Value> = found.iter().map(as_json).collect();
            output.json(&json!({ "schema_version": SCHEMA_VERSION, "codes": list }));
        }
        (Format::Text, [only]) => output.result(&explanation_text(only)),
        (Format::Text, all) => {
            output.result(&all.iter().map(|one| format!("{:<32}{}\n", one.code, one.cause)).collect::<String>());
        }
    }
    CLEAN
}

fn as_json(explanation: &Explanation) -> Value {
    json!({
        "code": explanation.code,
        "kind": if explanation.is_hazard { "hazard" } else { "error" },
        "cause": explanation.cause,
        "cure": explanation.cure,
        "example": explanation.example,
    })
}

fn unknown(code: &str) -> Diagnostic {
    let error = Diagnostic::error("unknown-code", format!("there is no code `{code}`"));
    let all = explanations();
    match nearest(code, all.iter().map(|explanation| explanation.code)) {
        Some(near) => error.help(format!("did you mean `{near}`?")),
        None => error.help("`tenantry explain` lists all"),
    }
}

//! `schema`: the spec's JSON Schema.

use super::exit::CLEAN;
use super::output::Output;
use crate::spec::json_schema;
use clap::Args;

/// Writes the JSON Schema of a spec, for editors that complete and check YAML by it
#[derive(Debug, Args)]
#[command(after_help = "\
An editor with a YAML language server finds it by the first line of a spec:
  # yaml-language-server: $schema=tenantry.schema.json

Example:
  tenantry schema > tenantry.schema.json")]
pub(super) struct Arguments {}

pub(super) fn run(_: &Arguments, output: &Output) -> u8 {
    output.json(&json_schema());
    CLEAN
}

//! The command line: one file a verb, and the only place that prints.

mod audit;
mod check;
mod completions;
mod cutover;
mod cutover_arguments;
mod doctor;
mod emit;
mod exit;
mod explain;
mod extra;
mod fan_in;
mod graph;
mod init;
mod leak;
mod log;
mod man;
mod output;
mod pace;
mod plan;
mod private_file;
mod progress;
mod project;
mod rehearsal;
mod rollback;
mod run_files;
mod run_folder;
mod run_source;
mod schema;
mod sign_off;
mod source;
mod target;
mod tenant_files;
mod verify;
mod warnings;
mod why;

pub use exit::{CLEAN, FAILED, FINDINGS};
pub use project::{Failure, Project};

use clap::{Command, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use log::{Level, LogFormat};
use output::Output;
use std::process::ExitCode;
use std::sync::LazyLock;
use std::time::Instant;

/// Turns a single-tenant SQLite schema into a multi-tenant PostgreSQL one, and moves the rows.
#[derive(Debug, Parser)]
#[command(name = "tenantry", about, after_help = AFTER_HELP, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
    /// How to tell on stderr what happens: for people, or as JSON events, one a line
    #[arg(long, value_enum, default_value_t, global = true, value_name = "FORMAT")]
    log_format: LogFormat,
}

const AFTER_HELP: &str = "\
Exit codes: 0 clean; 1 findings (drift, violations, mismatch); 2 the work could not be done.
The result goes to stdout, everything else to stderr.

Examples:
  tenantry plan specs/bai.yaml                                     what the spec decides, and why
  tenantry check specs/*.yaml                                      is the committed DDL what the specs generate?
  tenantry cutover specs/bai.yaml --source app.db --target scratch a rehearsal that needs no server";

#[derive(Debug, Subcommand)]
enum Verb {
    Init(init::Arguments),
    Plan(plan::Arguments),
    Why(why::Arguments),
    Emit(emit::Arguments),
    Check(check::Arguments),
    Graph(graph::Arguments),
    Audit(audit::Arguments),
    Cutover(cutover_arguments::Arguments),
    Verify(verify::Arguments),
    Rollback(rollback::Arguments),
    Leak(leak::Arguments),
    Doctor(doctor::Arguments),
    Explain(explain::Arguments),
    Schema(schema::Arguments),
    Completions(completions::Arguments),
    Man(man::Arguments),
}

impl Verb {
    /// Returns the word that calls it.
    fn name(&self) -> &'static str {
        match self {
            Self::Init(_) => "init",
            Self::Plan(_) => "plan",
            Self::Why(_) => "why",
            Self::Emit(_) => "emit",
            Self::Check(_) => "check",
            Self::Graph(_) => "graph",
            Self::Audit(_) => "audit",
            Self::Cutover(_) => "cutover",
            Self::Verify(_) => "verify",
            Self::Rollback(_) => "rollback",
            Self::Leak(_) => "leak",
            Self::Doctor(_) => "doctor",
            Self::Explain(_) => "explain",
            Self::Schema(_) => "schema",
            Self::Completions(_) => "completions",
            Self::Man(_) => "man",
        }
    }
}

/// How a verb reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Format {
    /// For people.
    #[default]
    Text,
    /// For machines; carries a `schema_version`.
    Json,
}

/// What `--version` says behind the name: the commit too, where whoever built the program told it in `TENANTRY_COMMIT`.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let commit = option_env!("TENANTRY_COMMIT").filter(|commit| !commit.is_empty());
    let commit = commit.map(|commit| format!("commit {commit}, ")).unwrap_or_default();
    format!("{} ({commit}SQLite {})", env!("CARGO_PKG_VERSION"), crate::sqlite::version())
});

/// Describes the command line.
fn command() -> Command {
    Arguments::command().version(VERSION.as_str())
}

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    let parsed = command().try_get_matches().and_then(|matches| Arguments::from_arg_matches(&matches));
    let arguments = match parsed {
        Ok(arguments) => arguments,
        // clap's own code for a wrong command line is 2 as well; help and version are no failures.
        Err(error) => {
            let code = if error.use_stderr() { FAILED } else { CLEAN };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let started = Instant::now();
    let output = Output::from_environment(arguments.verb.name(), arguments.log_format);
    output.event(Level::Info, "begin", serde_json::json!({ "version": env!("CARGO_PKG_VERSION") }));
    let code = match arguments.verb {
        Verb::Init(arguments) => init::run(&arguments, &output),
        Verb::Plan(arguments) => plan::run(&arguments, &output),
        Verb::Why(arguments) => why::run(&arguments, &output),
        Verb::Emit(arguments) => emit::run(&arguments, &output),
        Verb::Check(arguments) => check::run(&arguments, &output),
        Verb::Graph(arguments) => graph::run(&arguments, &output),
        Verb::Audit(arguments) => audit::run(&arguments, &output),
        Verb::Cutover(arguments) => cutover::run(&arguments, &output),
        Verb::Verify(arguments) => verify::run(&arguments, &output),
        Verb::Rollback(arguments) => rollback::run(&arguments, &output),
        Verb::Leak(arguments) => leak::run(&arguments, &output),
        Verb::Doctor(arguments) => doctor::run(&arguments, &output),
        Verb::Explain(arguments) => explain::run(&arguments, &output),
        Verb::Schema(arguments) => schema::run(&arguments, &output),
        Verb::Completions(arguments) => completions::run(&arguments, &output),
        Verb::Man(arguments) => man::run(&arguments, &output),
    };
    let code = if output.is_lost() { FAILED } else { code };
    let level = match code {
        CLEAN => Level::Info,
        FINDINGS => Level::Warning,
        _ => Level::Error,
    };
    let seconds = (started.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
    output.event(level, "end", serde_json::json!({ "exit_code": code, "seconds": seconds }));
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound_and_every_verb_has_an_example() {
        let mut command = command();
        command.clone().debug_assert();
        command.build();
        for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
            let help = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Example"), "{} has no example", verb.get_name());
        }
    }

    #[test]
    fn every_verb_and_flag_is_in_the_reference() {
        let page = include_str!("../../docs/verbs.md");
        let mut command = command();
        command.build();
        let (introduction, _) = page.split_once("\n## ").unwrap();
        for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
            let name = verb.get_name();
            let heading = format!("\n## {name}\n");
            let (_, section) = page.split_once(&heading).unwrap_or_else(|| panic!("docs/verbs.md lacks {name}"));
            let section = section.split("\n## ").next().unwrap();
            assert!(section.contains(&format!("tenantry {name}")), "docs/verbs.md has no example of {name}");
            let flags = verb.get_arguments().filter_map(|argument| argument.get_long()).filter(|&flag| flag != "help");
            for flag in flags.map(|flag| format!("--{flag}")) {
                let is_there = section.contains(&flag) || introduction.contains(&flag);
                assert!(is_there, "docs/verbs.md lacks {name} {flag}");
            }
        }
    }
}

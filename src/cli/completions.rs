//! `completions`: what a shell completes `tenantry` by.

use super::command;
use super::exit::CLEAN;
use super::output::Output;
use clap::Args;
use clap_complete::Shell;

/// Writes the completions of a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tenantry completions bash > ~/.local/share/bash-completion/completions/tenantry
  tenantry completions zsh > ~/.zfunc/_tenantry                                      with ~/.zfunc in fpath
  tenantry completions fish > ~/.config/fish/completions/tenantry.fish")]
pub(super) struct Arguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> u8 {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut command(), "tenantry", &mut text);
    output.result(&String::from_utf8_lossy(&text));
    CLEAN
}

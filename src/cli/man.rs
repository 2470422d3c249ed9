//! `man`: the manual pages, made of what `--help` says.

use super::Format;
use super::command;
use super::exit::CLEAN;
use super::output::Output;
use super::project::shown;
use crate::diagnostic::{Diagnostic, Sources};
use clap::{Args, Command};
use clap_mangen::Man;
use std::io;
use std::path::{Path, PathBuf};

/// Writes manual pages: of the program, of one verb, or all into a folder
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tenantry man | man -l -
  tenantry man cutover | man -l -
  tenantry man --out-dir /usr/local/share/man/man1")]
pub(super) struct Arguments {
    /// The verb whose page is wanted; the program's own where absent
    #[arg(conflicts_with = "out_dir")]
    verb: Option<String>,
    /// Writes a page for the program and for each verb into this folder
    #[arg(long, value_name = "DIR")]
    out_dir: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> u8 {
    let fail = |error: Diagnostic| output.error(error, &Sources::default(), Format::Text);
    let pages = pages();
    if let Some(folder) = &arguments.out_dir {
        return match write_all(&pages, folder) {
            Ok(()) => CLEAN,
            Err(error) => {
                let message = format!("the manual pages cannot be written into {}: {error}", shown(folder));
                fail(Diagnostic::error("output-unwritable", message))
            }
        };
    }
    let wanted = arguments.verb.as_ref().map_or("tenantry".to_owned(), |verb| format!("tenantry-{verb}"));
    match pages.into_iter().find(|(name, _)| *name == wanted).map(|(_, page)| render(page)) {
        Some(Ok(text)) => {
            output.result(&text);
            CLEAN
        }
        Some(Err(error)) => fail(Diagnostic::error("output-unwritable", format!("the page cannot be made: {error}"))),
        None => {
            let message = format!("there is no verb `{}`", arguments.verb.as_deref().unwrap_or_default());
            fail(Diagnostic::error("unknown-verb", message).help("`tenantry --help` lists all"))
        }
    }
}

/// Returns the name and the command of each page.
fn pages() -> Vec<(String, Command)> {
    let mut program = command().disable_help_subcommand(true);
    program.build();
    let verbs: Vec<(String, Command)> =
        program.get_subcommands().map(|verb| (format!("tenantry-{}", verb.get_name()), verb.clone())).collect();
    [("tenantry".to_owned(), program)].into_iter().chain(verbs).collect()
}

fn render(page: Command) -> io::Result<String> {
    let examples = page.get_after_help().map(ToString::to_string).unwrap_or_default();
    let has_verbs = page.get_subcommands().next().is_some();
    // What stands behind the help is made of lines, and clap_mangen would fill them to a paragraph.
    let man = Man::new(page.after_help(None::<&'static str>)).manual("tenantry");
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if has_verbs {
        man.render_subcommands_section(&mut text)?;
    }
    let mut page = String::from_utf8_lossy(&text).into_owned();
    page.push_str(".SH EXAMPLES\n.nf\n");
    for line in examples.lines() {
        page.push_str(&format!("\\&{}\n", line.replace('\\', "\\\\").replace('-', "\\-")));
    }
    page.push_str(".fi\n");
    Ok(page)
}

fn write_all(pages: &[(String, Command)], folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for (name, page) in pages {
        std::fs::write(folder.join(format!("{name}.1")), render(page.clone())?)?;
    }
    Ok(())
}

//! Where results and messages go.

use super::Format;
use super::exit::FAILED;
use super::log::{self, Level, LogFormat};
use crate::diagnostic::{Diagnostic, Diagnostics, Sources};
use crate::report::{Style, diagnostics_json, render};
use serde_json::json;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use terminal_size::{Width, terminal_size_of};

/// The width of messages: that of the terminal, within what reads well. Off a terminal it is the wider one.
const MOST_COLUMNS: usize = 100;
const LEAST_COLUMNS: usize = 40;

/// Whether a part of the result could not be written: there is one stdout, and one exit code that tells of it.
static LOST: AtomicBool = AtomicBool::new(false);

/// Knows what stdout and stderr can show.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    style: Style,
    /// Whether stderr is a terminal, so that bars make sense.
    pub interactive: bool,
    /// How what happens is told on stderr.
    pub log: LogFormat,
    /// The verb that runs.
    verb: &'static str,
}

impl Output {
    pub fn from_environment(verb: &'static str, log: LogFormat) -> Self {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        // What miette and others go by: a screen reader makes nothing of lines that are drawn, or of a bar.
        let graphics = !set("NO_GRAPHICS");
        let is_terminal = io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let utf8 = ["LC_ALL", "LC_CTYPE", "LANG"]
            .iter()
            .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
            .is_some_and(|value| value.to_ascii_lowercase().replace('-', "").contains("utf8"));
        let terminal = terminal_size_of(io::stderr()).map_or(MOST_COLUMNS, |(Width(columns), _)| usize::from(columns));
        let width = terminal.clamp(LEAST_COLUMNS, MOST_COLUMNS);
        // As clap decides for help and usage, so that one run does not do both.
        let declined = std::env::var_os("CLICOLOR").is_some_and(|value| value == "0");
        let wanted = set("CLICOLOR_FORCE") || (is_terminal && !declined);
        let style = Style { colour: wanted && !set("NO_COLOR"), unicode: utf8, graphics, width };
        Self { style, interactive: is_terminal && graphics, log, verb }
    }

    /// Writes a result. A reader that has gone away is not an error of ours; a full disk is, see [`Output::is_lost`].
    pub fn result(&self, text: &str) {
        let mut stdout = io::stdout().lock();
        // Flushed, since what fails at the end of the process nobody is told.
        let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
        if let Err(error) = written
            && error.kind() != io::ErrorKind::BrokenPipe
            && !LOST.swap(true, Ordering::Relaxed)
        {
            self.tell(Level::Error, &format!("the result cannot be written: {error}"));
        }
    }

    /// Says whether a part of the result could not be written, so that whoever reads it has only half.
    pub fn is_lost(&self) -> bool {
        LOST.load(Ordering::Relaxed)
    }

    pub fn json(&self, value: &serde_json::Value) {
        self.result(&format!("{value:#}\n"));
    }

    /// Says something that is not the result.
    pub fn note(&self, text: &str) {
        self.tell(Level::Info, text);
    }

    /// Says something that is not the result, and how much it matters.
    pub fn tell(&self, level: Level, text: &str) {
        match self.log {
            LogFormat::Text => self.line(text),
            LogFormat::Json => self.event(level, "note", json!({ "message": text })),
        }
    }

    /// Says what has happened, for machines alone.
    pub fn event(&self, level: Level, event: &str, more: serde_json::Value) {
        if self.log == LogFormat::Json {
            self.line(&log::line(level, event, self.verb, more));
        }
    }

    fn line(&self, text: &str) {
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// Shows errors and returns the exit code for them.
    pub fn errors(&self, errors: &Diagnostics, sources: &Sources, format: Format) -> u8 {
        if self.log == LogFormat::Json {
            log::diagnostic_lines(errors, sources, self.verb).iter().for_each(|line| self.line(line));
        }
        match format {
            Format::Text if self.log == LogFormat::Json => {}
            Format::Text => self.line(render(errors, sources, self.style).trim_end()),
            Format::Json => self.json(&diagnostics_json(errors, sources)),
        }
        FAILED
    }

    pub fn error(&self, error: Diagnostic, sources: &Sources, format: Format) -> u8 {
        self.errors(&error.into(), sources, format)
    }
}

//! Progress on stderr: a bar on a terminal, a plain line every few seconds off it.

use super::output::Output;
use crate::copy::Event;
use crate::ident::visible;
use indicatif::{ProgressBar, ProgressStyle};
use std::time::{Duration, Instant};

/// How often a line is written off a terminal.
const EVERY: Duration = Duration::from_secs(5);

/// Shows how far a run is.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    output: Output,
    said: Instant,
    phase: &'static str,
}

impl Progress {
    pub fn new(output: &Output) -> Self {
        let bar = output.interactive.then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed_precise} {msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self { bar, output: *output, said: Instant::now(), phase: "" }
    }

    /// Shows what happens in a cutover.
    pub fn event(&mut self, event: Event) {
        match event {
            Event::Phase(phase) => self.phase(phase.name()),
            Event::Rows { table, rows } => self.rows(&table, rows),
            Event::Reconnected { reason } => self.note(&format!("tried again on a new connection: {reason}")),
        }
    }

    /// Says that a phase begins.
    pub fn phase(&mut self, phase: &'static str) {
        self.phase = phase;
        match &self.bar {
            Some(bar) => bar.set_message(phase),
            None => self.output.note(&format!("{phase} …")),
        }
        self.said = Instant::now();
    }

    /// Says how many rows of a table are done.
    pub fn rows(&mut self, table: &str, rows: u64) {
        let text = || format!("{}: {} {rows} rows", self.phase, visible(table));
        match &self.bar {
            Some(bar) => bar.set_message(text()),
            None if self.said.elapsed() >= EVERY => {
                self.output.note(&text());
                self.said = Instant::now();
            }
            None => {}
        }
    }

    /// Says something that happened.
    pub fn note(&mut self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => self.output.note(text),
        }
    }

    /// Clears the bar.
    pub fn end(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

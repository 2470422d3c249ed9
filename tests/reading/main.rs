//! Reading: nothing that stands in a schema is lost, whatever SQLite accepts.
//!
//! `make sqlite-suite DIR=…` runs the same over every statement of SQLite's own tests; `make fuzz MINUTES=10` tries texts
//! that nobody wrote.

#![expect(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod compare;
mod fuzz;
mod grammar;
mod render;
mod statements;
mod suite;
mod tokens;

//! Expressions: what SQLite computes, and what PostgreSQL computes from the translation, over a grid of values.
//!
//! `TENANTRY_SEED=N cargo test --test expressions` repeats a run; each prints its seed.

#![expect(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "these are tests")]

mod collations;
mod document;
mod evaluate;
mod grid;
mod random;

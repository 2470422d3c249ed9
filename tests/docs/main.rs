//! The documentation: every command in it is run, every page is in the book, every link leads somewhere, and what the
//! code knows better is compared with it.
//!
//! A page is a script. Its blocks are worked off from top to bottom in a folder of the page's own, which is a repository
//! with `specs/` and the fixtures of the systems in it:
//!
//! - a block whose first line is a comment with the name of a file (`# app.yaml`, `-- schema.sql`) is written there;
//! - each line `$ COMMAND` of a ```` ```console ```` block is run by bash. What stands below it is what it has to print,
//!   stdout and stderr as on a terminal, where `…` is anything; where nothing stands there, anything may be printed.
//!   A last line `(exit code N)` is the exit code, which is 0 otherwise;
//! - `POSTGRES_URL` names an empty database of the page's own.
//!
//! Commands that no test can run stand in ```` ```sh ```` blocks, each of which is listed in [`run::NOT_RUN`].
//! `TENANTRY_PAGE=tutorial cargo test --test docs` runs one page and prints what its commands print.

#![expect(clippy::unwrap_used, reason = "these are tests")]

mod book;
mod page;
mod reference;
mod run;

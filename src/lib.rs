//! tenantry turns a single-tenant SQLite schema into a multi-tenant PostgreSQL one, moves the rows, and proves it.
//!
//! One pipeline, in one direction:
//!
//! 1. [`sqlite`] reads DDL or a database into a [`schema`]: what SQLite itself says, with the place of every clause.
//! 2. [`graph`] knows how its tables refer to each other: paths to a tenant, cycles, the load order.
//! 3. [`spec`] reads the YAML and settles it against the schema: whose each row is, which keys hold the tenant.
//! 4. [`rewrite`] makes the target's schema of the two, one rule after the other, with a reason for each decision.
//! 5. [`plan`] puts the statements for it into sections and in order; [`emit`] writes them as text.
//! 6. [`remap`] turns a source row into target rows: its tenants, its values. It is the plan's other half.
//! 7. [`copy`] drives a snapshot of the rows through it: into an audit, or into PostgreSQL by [`postgres`].
//! 8. [`verify`] proves that the target holds the source, by another derivation than the copy's.
//! 9. [`leak`] tries an application's queries on what was loaded: which see another tenant's rows?
//! 10. [`report`] shows all of that as text, JSON, HTML and pictures, and [`cli`] is where it is asked for and printed.
//!
//! Beside it stand [`scaffold`], which writes a first spec by trying it; [`diagnostic`], findings as data; [`ident`], the
//! only code that quotes and shows names; and [`failpoint`], at which tests kill the program.
//!
//! Up to `remap` nothing touches a file, a clock, the environment or the network. `docs/architecture.md` says what else
//! always holds, and `tests/layout.rs` holds who may use whom.

pub mod cli;
pub mod copy;
pub mod diagnostic;
pub mod emit;
pub mod failpoint;
pub mod graph;
pub mod ident;
pub mod leak;
pub mod plan;
pub mod postgres;
pub mod remap;
pub mod report;
pub mod rewrite;
pub mod scaffold;
pub mod schema;
pub mod spec;
pub mod sqlite;
pub mod verify;

//! Which of an application's queries see another tenant's rows, found out by running them.
//!
//! No SQL is understood for it. A query is run for one tenant over rows that differ only in what other tenants have
//! (`states`): its answer must not. That a query sees a clone of its tenant's rows shows where the rows show; that it
//! sees rows which the tenant itself lacks shows where only their existence does, as in EXISTS, a maximum, DISTINCT or
//! LIMIT. Each table that the query names is tried alone, which tells what has no predicate.
//!
//! All of it happens in a database of its own, above row-level security: a policy would hide what the query forgot.

mod judge;
mod queries;
mod scratch;
mod states;

pub use judge::{LeakReport, QueryReport, Verdict, leaks};
pub use queries::{Query, read_queries};

//! tenantry: declarative multi-tenant schema transformer.

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

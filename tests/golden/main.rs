//! Golden cases: specs, their schemas, and the DDL or the errors that come of them, tried on a real PostgreSQL.
//!
//! `TENANTRY_BLESS=1 cargo test --test golden` writes what comes out over what is expected: read the difference then.

#![expect(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod attempts;
mod attempts_sqlite;
mod case;
mod citus;
mod corpus;
mod coverage;
mod database;
mod describe;
mod dirt;
mod expected;
mod grammar;
mod init;
mod json_schema;
mod legend;
mod meaning;
mod random;
mod rows;
mod wide;
mod world;
mod wrapped;

//! The PostgreSQL edge: everything that talks to a server, and the only user of the crates that do.
//!
//! [`Target::parse`] reads what a person wrote, [`Server::connect`] gives a [`Connection`] with every session setting
//! pinned, [`Scratch`] starts a throwaway server. Rows go in through [`CopyIn`] and come back through [`CopyOut`],
//! both in binary. Statements go one by one through the extended protocol, never in a batch; what a server answers
//! comes back as a diagnostic without its DETAIL, because that is where row values stand.

mod added;
mod attempt;
mod catalog;
mod connect;
mod conninfo;
mod copy_in;
mod copy_out;
mod doctor;
mod error;
mod files;
mod journal;
mod limits;
mod login;
mod made;
mod parameters;
mod passfile;
mod pooler;
mod privileges;
mod rejects;
mod roles;
mod row;
mod row_reader;
mod scratch;
mod service;
mod session;
mod target;
mod tls;
mod transaction;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use added::{AddedTenant, added_tenants, forget_added, record_added};
pub use attempt::{Answer, Refusal};
pub use catalog::{
    LiveFunction, LiveIsolation, LivePolicy, LiveRelation, LiveRole, Unsaid, continue_sequence, existing_tables,
    read_catalog, read_catalog_in_part, read_isolation, sequence_next,
};
pub use copy_in::{CopyColumn, CopyIn};
pub use copy_out::{CopyOut, EachRow};
pub use doctor::{Finding, Status, examine};
pub use files::{FileRecord, record_files, run_files};
pub use journal::{
    Binding, JOURNAL_SCHEMA, LockHolder, NewRun, RunRecord, StepRecord, claim_step, create_journal, done_steps,
    find_runs, finish_run, forget_run, lock_target, record_run, schema_is_empty,
};
pub use limits::{bytes_text, tables_bytes};
pub use made::{MadeObject, ObjectsBefore, made_objects, newer_rows, objects_before, record_objects, run_tables};
pub use privileges::{MissingPrivileges, missing_privileges};
pub use rejects::{RejectedRow, hand_over_rejects, record_rejects, recorded_rejects};
pub use roles::{NewRole, RoleFacts, create_role, current_role, role_facts};
pub use row::Row;
pub use row_reader::RowReader;
pub use scratch::{Durability, Kept, Scratch};
pub use session::{Connection, MINIMUM_VERSION};
pub use target::{Server, Target};
pub use transaction::Transaction;

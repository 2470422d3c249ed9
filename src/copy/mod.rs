//! Drives rows from the source through `remap` to a writer: the audit, and the cutover with its journal.
//!
//! A [`Session`] holds the lock on a target. It records a run in the target's journal, and carries out its steps
//! (`steps`) over several connections (`execute`, `worker`); a table's rows
//! are put into the order of its keys (`ranks`, `clusters`), by the audit before it already where there is one
//! (`prepared`), and cut into chunks (`chunks`). What the
//! journal knows of can be continued, and undone (`rollback`), at any moment. Rows that the spec keeps out are
//! settled before anything else reads them (`settle`). Several files, each with the rows of one tenant, go in together
//! (`tenant_files`, `file_rows`, `parts`); what they share stands in the target once (`shared_rows`). One more tenant can be added to what is
//! there (`add`).

mod add;
mod audit;
mod bootstrap;
mod chunks;
mod clusters;
mod encoded;
mod execute;
mod expect;
mod file_rows;
mod isolated;
mod parts;
mod prepared;
mod ranks;
mod replace;
mod rollback;
mod rows;
mod run;
mod sequences;
mod settle;
mod shared_rows;
mod steps;
mod tenant_files;
#[cfg(test)]
mod tests;
mod trace;
mod worker;

pub use add::{Added, Known, add, known};
pub use audit::{
    Audit, Finding, Severity, Suggestion, TableSize, audit, audit_files, audit_snapshot, suggestions_yaml,
};
pub use bootstrap::bootstrap;
pub use execute::Event;
pub use prepared::Prepared;
pub use rollback::RolledBack;
pub use run::{CopiedFiles, CopiedTable, Cutover, NewCutover, NewFiles, Session, Tables, cutover};
pub use settle::{Account, Reject, Settled, clearable, settle};
pub use steps::Phase;
pub use tenant_files::{TenantFile, accounts_of_files, hash_of_files, prove_kept_out};
pub use trace::{Hop, RowPath, trace};

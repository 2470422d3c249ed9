//! Reads what a database holds: tables with all that belongs to them, and the state of their sequences.

mod constraints;
mod indexes;
mod isolation;
mod reader;
mod sequence;
mod tables;

pub use isolation::{LiveFunction, LiveIsolation, LivePolicy, LiveRelation, LiveRole, read_isolation};
pub use reader::{Unsaid, read_catalog, read_catalog_in_part};
pub use sequence::{continue_sequence, sequence_next};
pub use tables::existing_tables;

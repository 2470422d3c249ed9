//! Reads SQLite: schemas from text and databases, and rows from a private snapshot.
//!
//! SQLite itself is the judge of what a schema is. Text is loaded into guarded in-memory databases (`guard`,
//! `load`, `spread`, `place`) and read back by pragmas (`pragmas`); what only text has is read by SQLite's own grammar (`token`, `statements`,
//! `reader`, `clauses`, `key_parts`, `index_clauses`), expressions by sqlparser (`repair`, `expr`). The two are compared statement
//! by statement (`agreement`) and put together (`assemble`, `references`).
//!
//! Rows are read from a copy (`source_file`, `snapshot`, `file_copy`) through one guarded connection a thread (`database`, `fold`),
//! and whole tables of a large one straight from its pages (`table_scan`, `page_file`, `record`).
//! A run keeps its copy in a folder of its own (`work_dir`), can keep the application from writing (`freeze`), and finds out
//! whether it has written since (`source_state`).
//! Nothing here ever writes to a source or creates a file beside it.

mod agreement;
mod assemble;
mod clauses;
mod database;
mod differences;
mod editor;
mod expr;
mod file_copy;
mod fold;
mod freeze;
mod functions;
#[cfg(test)]
mod generated;
mod guard;
mod index_clauses;
mod key_parts;
mod load;
mod page_file;
mod place;
mod pragmas;
mod private_folder;
mod read;
mod reader;
mod record;
mod references;
mod repair;
mod row_expression;
mod sample;
mod shadows;
mod snapshot;
mod source_file;
mod source_state;
mod spread;
#[cfg(test)]
mod statement_writer;
mod statements;
mod table_scan;
mod token;
mod work_dir;

pub use database::{Database, SharedValue, spill_failed, version};
pub use differences::schema_differences;
pub use editor::Editor;
pub use fold::RowValues;
pub use freeze::{Frozen, make_room_for_frozen};
pub use read::{read_schema, read_source, schema_hash};
pub use row_expression::row_expression;
pub use sample::{Agreement, UndeclaredReference, agreement, undeclared_references};
pub use snapshot::{Snapshot, Taking, open_copy};
pub use source_state::SourceState;
pub use table_scan::RowPart;
pub use work_dir::WorkDir;

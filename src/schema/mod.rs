//! The relational model that both sides share.
//!
//! One [`Schema`] holds typed ids into flat vectors. `Schema<Declared>` is what SQLite says, `Schema<PgType>` what
//! PostgreSQL is to have; expressions are the same small syntax tree on both sides, and no SQL text is kept.

mod access;
mod declared;
mod expr;
mod model;
mod pg_type;
mod sqlite_text;
mod value;

pub use declared::{Affinity, Declared};
pub use expr::{BinaryOperator, Expr, UnaryOperator, Unread};
pub use model::{
    Action, Check, CheckId, Column, ColumnId, DanglingReference, Deferral, ForeignKey, ForeignKeyId, Generated, Index,
    IndexId, IndexMethod, IndexPart, Key, KeyId, KeyKind, Other, OtherKind, Schema, SourceSchema, Table, TableId,
    TargetSchema, UnmappedClause,
};
pub use pg_type::PgType;
pub use sqlite_text::sqlite_text;
pub use value::{Value, apply_affinity};

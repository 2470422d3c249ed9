//! The tenancy spec: YAML with the place of every value, and its meaning over a schema.

mod conversion;
mod file;
mod file_isolation;
mod file_objects;
mod isolation;
mod json_schema;
mod matrix;
mod names;
mod postgres_text;
mod read;
mod resolve;
mod rows;
mod source_entry;
mod statements;
mod tenancy;
mod tenant_ids;
mod tenant_source;
mod variables;
mod yaml;
mod yaml_text;

pub use conversion::{Conversion, Read, Unstorable, time_zone};
pub use file::{
    DefaultsEntry, Names, PathList, PlacementEntry, Position, Profile, Scope, SpecFile, TableBody, TableEntry,
    TargetEntry, TenantEntry, UniqueDefault,
};
pub use file_isolation::{ExtraEntry, ObjectEntry, ObjectsEntry, RlsEntry, RolesEntry};
pub use file_objects::{
    CheckEntry, CollationEntry, ColumnBody, ColumnEntry, CrossTenant, ForeignKeyBody, ForeignKeyEntry, IndexBody,
    IndexEntry, KeyEntry, PrimaryKeyEntry,
};
pub use isolation::{
    ExtraFile, ExtraSection, Isolation, Lookup, Rls, Role, Roles, TriggerTenancy, ViewQuery, ViewTenancy,
};
pub use json_schema::json_schema;
pub use matrix::{Ends, Mean, Means, means};
pub use read::read;
pub use resolve::{resolve, unknown_table};
pub use rows::{Keep, OrphanPolicy, RowPolicies, RowPolicy, RowsBody};
pub use source_entry::{RootEntry, RootForeignKey, Several, SourceEntry, TenantIdEntry};
pub use statements::{SqlStatement, Uncut, cut, tokens};
pub use tenancy::{
    About, Actions, CheckSays, CheckTenancy, ColumnChange, ColumnTenancy, CreatedRoot, Decision, ForeignKeyTenancy,
    KeyPart, KeyTenancy, NewIndex, Order, Origin, Placement, TableTenancy, Target, Tenancy, TenantColumn,
    TenantDefault, TenantRoot, UNSAID,
};
pub use tenant_ids::{TenantIdFile, TenantIds};
pub use tenant_source::{TenantSource, copied_tables};
pub use variables::{Unfilled, fill_in};
pub use yaml::Spans;
pub use yaml_text::yaml_text;

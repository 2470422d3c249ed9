//! The grammar of isolation, and of what is neither a table nor part of one.

use super::file::word_or_map;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor, value::MapAccessDeserializer};
use std::collections::BTreeMap;
use std::fmt;

/// The `rls:` mapping at the top.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RlsEntry {
    /// The setting that holds a session's tenant; `app.` and the tenant column's name where absent.
    pub setting: Option<String>,
    /// The role that the policies are for; the app role where absent, everybody where there is none.
    pub role: Option<String>,
    /// Whether the policies bind the tables' owner too.
    #[serde(default)]
    pub force: bool,
    /// Columns by which a tenant has to be found before it is known, table by table.
    #[serde(default)]
    pub lookup: BTreeMap<String, Vec<String>>,
}

/// The `roles:` mapping.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RolesEntry {
    /// Owns the tables and runs migrations.
    pub owner: Option<String>,
    /// What the application connects as.
    pub app: Option<String>,
    /// Reads every row, to prove that none is missing.
    pub verifier: Option<String>,
}

/// The `views:` or `triggers:` mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectsEntry {
    /// All are left out.
    Omit,
    /// Each is decided by name.
    Each(BTreeMap<String, ObjectEntry>),
}

/// What becomes of one view or trigger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectEntry {
    /// It is left out.
    Omit,
    /// It is written anew, in PostgreSQL's dialect.
    Sql(String),
}

/// The `extra:` mapping.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExtraEntry {
    /// SQL files that run before the tables are created.
    #[serde(default, rename = "pre-data")]
    pub pre_data: Vec<String>,
    /// SQL files that run behind keys, indexes, foreign keys, views and triggers.
    #[serde(default, rename = "post-data")]
    pub post_data: Vec<String>,
    /// SQL files that run behind ownership, policies and grants.
    #[serde(default)]
    pub isolation: Vec<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ObjectBody {
    /// What makes it, in PostgreSQL's dialect: a view's query, a trigger's statements.
    sql: String,
}

word_or_map!(
    ObjectsEntry,
    "`omit` or a mapping of names",
    ["omit" => ObjectsEntry::Omit],
    BTreeMap<String, ObjectEntry> => |body| Ok(ObjectsEntry::Each(body))
);

word_or_map!(
    ObjectEntry,
    "`omit` or a mapping such as {sql: \"SELECT …\"}",
    ["omit" => ObjectEntry::Omit],
    ObjectBody => |body| Ok(ObjectEntry::Sql(body.sql))
);

//! The spec's grammar as serde reads it: one struct a mapping, one enum a choice.
//!
//! What may be a word or a mapping has a `Deserialize` written by hand, so that its errors name what was expected.

use super::file_isolation::{ExtraEntry, ObjectsEntry, RlsEntry, RolesEntry};
use super::file_objects::{CheckEntry, ColumnEntry, ForeignKeyEntry, IndexEntry, KeyEntry, PrimaryKeyEntry};
use super::json_schema::either;
use super::rows::RowsBody;
use super::source_entry::{RootEntry, SourceEntry, TenantIdEntry};
use super::tenant_ids::TenantIdFile;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer};
use std::collections::BTreeMap;
use std::fmt;

/// A spec file.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SpecFile {
    /// The grammar's version; 1.
    pub version: Option<u32>,
    /// DDL files, folders of migrations or a SQLite database, relative to the spec.
    pub source: Option<PathList>,
    /// Where the generated DDL is committed, relative to the spec.
    pub output: Option<String>,
    /// What the DDL is made for.
    #[serde(default)]
    pub target: TargetEntry,
    /// The tenant column and the tenant root.
    pub tenant: Option<TenantEntry>,
    /// What holds where a table says nothing.
    #[serde(default)]
    pub defaults: DefaultsEntry,
    /// PostgreSQL types for declared ones.
    #[serde(default)]
    pub types: BTreeMap<String, String>,
    /// The decisions, table by table.
    #[serde(default)]
    pub tables: BTreeMap<String, TableEntry>,
    /// The decisions about views.
    pub views: Option<ObjectsEntry>,
    /// The decisions about triggers.
    pub triggers: Option<ObjectsEntry>,
    /// SQL files that become part of the plan as they stand.
    #[serde(default)]
    pub extra: ExtraEntry,
    /// Row-level security.
    pub rls: Option<RlsEntry>,
    /// The roles that own, use and verify the tables.
    #[serde(default)]
    pub roles: RolesEntry,
    /// What the file that `tenant.id` names says, once it has been read.
    #[serde(skip)]
    pub tenant_ids: Option<TenantIdFile>,
}

/// One path or several.
#[derive(Debug, Clone, PartialEq)]
pub struct PathList(pub Vec<String>);

/// The `target:` mapping.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetEntry {
    /// What kind of server; `postgres` where absent.
    pub profile: Option<Profile>,
    /// The oldest PostgreSQL that the DDL has to work on.
    pub version: Option<u32>,
    /// The schema that the tables are created in; `public` where absent.
    pub schema: Option<String>,
    /// How names are written in the target; `keep` where absent.
    pub names: Option<Names>,
}

/// What kind of server the DDL is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// PostgreSQL.
    #[default]
    Postgres,
    /// PostgreSQL with the Citus extension: tables are distributed by the tenant column.
    Citus,
}

impl Profile {
    /// Returns the profile's name in a spec.
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Citus => "citus",
        }
    }

    /// Says whether tables are distributed.
    pub fn is_citus(self) -> bool {
        self == Self::Citus
    }
}

/// How the source's names are written in the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Names {
    /// As they are.
    #[default]
    Keep,
    /// In lower case.
    Lower,
    /// In lower case with underscores between words.
    Snake,
}

/// The `tenant:` mapping at the top.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantEntry {
    /// The tenant column's name where the tool adds it.
    pub column: Option<String>,
    /// The tenant column's type, the same everywhere.
    #[serde(rename = "type")]
    pub data_type: Option<String>,
    /// The tenant column's DEFAULT: `setting` for the session's tenant, or an expression in PostgreSQL's dialect.
    pub default: Option<String>,
    /// Where the tenant column stands in keys; first where absent.
    pub in_keys: Option<Position>,
    /// Where an added tenant column stands in its table; first where absent.
    pub in_table: Option<Position>,
    /// The ids of tenants in the target; the source's where absent.
    pub id: Option<TenantIdEntry>,
    /// The tenant root.
    pub root: Option<RootEntry>,
}

/// The first or the last place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Position {
    /// In front of all others.
    First,
    /// Behind all others.
    Last,
}

/// The `defaults:` mapping.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DefaultsEntry {
    /// Where the tenant of a table's rows comes from.
    pub tenant: Option<SourceEntry>,
    /// Primary keys.
    pub primary_key: Option<Scope>,
    /// Unique keys.
    pub unique: Option<UniqueDefault>,
    /// Foreign keys between tenant tables.
    pub foreign_keys: Option<Scope>,
    /// Indexes.
    pub indexes: Option<Scope>,
    /// Rows that do not go through, or are not to.
    pub rows: Option<RowsBody>,
}

/// Whether the tenant column is part of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// It is.
    PerTenant,
    /// It is not.
    Global,
}

/// What holds for unique keys that a table says nothing about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UniqueDefault {
    /// Each has to be decided in the spec, unless it holds the tenant already.
    Require,
    /// The tenant column becomes part of each.
    PerTenant,
    /// Each stays as it is.
    Global,
}

/// One entry of `tables:`.
#[derive(Debug, Clone)]
pub enum TableEntry {
    /// One copy for all tenants.
    Shared,
    /// Outside tenancy.
    Local,
    /// Not migrated.
    Omit,
    /// The decisions about it; each row belongs to a tenant, unless `placement` says otherwise.
    Tenant(Box<TableBody>),
}

/// The mapping of a table's decisions.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TableBody {
    /// Whose the rows are, where they are no tenant's; excludes `tenant`.
    pub placement: Option<PlacementEntry>,
    /// Where the tenant of a row comes from.
    pub tenant: Option<SourceEntry>,
    /// The primary key.
    pub primary_key: Option<PrimaryKeyEntry>,
    /// Unique keys, by name or columns.
    #[serde(default)]
    pub unique: BTreeMap<String, KeyEntry>,
    /// Foreign keys, by name or columns.
    #[serde(default)]
    pub foreign_keys: BTreeMap<String, ForeignKeyEntry>,
    /// Indexes, by name or columns.
    #[serde(default)]
    pub indexes: BTreeMap<String, IndexEntry>,
    /// Columns, by name.
    #[serde(default)]
    pub columns: BTreeMap<String, ColumnEntry>,
    /// CHECK constraints, by the name that the target gives them.
    #[serde(default)]
    pub checks: BTreeMap<String, CheckEntry>,
    /// Rows that do not go through, or are not to.
    pub rows: Option<RowsBody>,
    /// Whether row-level security guards it; it does where absent and the spec has `rls`.
    pub rls: Option<bool>,
}

/// Whose the rows of a table with a mapping are, where they are no tenant's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlacementEntry {
    /// One copy for all tenants.
    Shared,
    /// Outside tenancy.
    Local,
}

/// Implements `Deserialize` and `JsonSchema` for a type that is a word or a mapping.
macro_rules! word_or_map {
    ($type:ident, $expecting:literal, [$($word:literal => $value:expr),* $(,)?], $body:ty => $convert:expr) => {
        crate::spec::json_schema::either!($type, $expecting, [$($word),*], $body);

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct WordOrMap;
                impl<'de> Visitor<'de> for WordOrMap {
                    type Value = $type;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }
                    fn visit_str<E: de::Error>(self, word: &str) -> Result<$type, E> {
                        match word {
                            $($word => Ok($value),)*
                            other => Err(E::unknown_variant(other, &[$($word),*])),
                        }
                    }
                    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<$type, A::Error> {
                        let convert: fn($body) -> Result<$type, &'static str> = $convert;
                        convert(<$body>::deserialize(MapAccessDeserializer::new(map))?).map_err(de::Error::custom)
                    }
                }
                deserializer.deserialize_any(WordOrMap)
            }
        }
    };
}

/// Implements `Deserialize` and `JsonSchema` for a type that is a word, a list of names, or a mapping where one is given.
macro_rules! word_or_sequence {
    ($type:ident, $expecting:literal, [$($word:literal => $value:expr),* $(,)?], $list:expr
     $(, $body:ty => $convert:expr)?) => {
        crate::spec::json_schema::either!($type, $expecting, [$($word),*], Vec<String> $(, $body)?);

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct WordOrSequence;
                impl<'de> Visitor<'de> for WordOrSequence {
                    type Value = $type;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }
                    fn visit_str<E: de::Error>(self, word: &str) -> Result<$type, E> {
                        match word {
                            $($word => Ok($value),)*
                            other => Err(E::unknown_variant(other, &[$($word),*])),
                        }
                    }
                    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<$type, A::Error> {
                        Vec::deserialize(SeqAccessDeserializer::new(list)).map($list)
                    }
                    $(fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<$type, A::Error> {
                        <$body>::deserialize(MapAccessDeserializer::new(map)).map($convert)
                    })?
                }
                deserializer.deserialize_any(WordOrSequence)
            }
        }
    };
}
pub(super) use {word_or_map, word_or_sequence};

word_or_map!(
    TableEntry,
    "`shared`, `local`, `omit` or a mapping of the table's decisions",
    ["shared" => TableEntry::Shared, "local" => TableEntry::Local, "omit" => TableEntry::Omit],
    TableBody => |body| match body {
        TableBody { placement: Some(_), tenant: Some(_), .. } => {
            Err("`placement` excludes `tenant`: the rows are either no tenant's, or have one")
        }
        body => Ok(TableEntry::Tenant(Box::new(body))),
    }
);

either!(PathList, "a path or a list of paths", [], String, Vec<String>);

impl<'de> Deserialize<'de> for PathList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Paths;
        impl<'de> Visitor<'de> for Paths {
            type Value = PathList;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a path or a list of paths")
            }
            fn visit_str<E: de::Error>(self, path: &str) -> Result<PathList, E> {
                Ok(PathList(vec![path.to_owned()]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut paths: A) -> Result<PathList, A::Error> {
                let mut list = Vec::new();
                while let Some(path) = paths.next_element()? {
                    list.push(path);
                }
                Ok(PathList(list))
            }
        }
        deserializer.deserialize_any(Paths)
    }
}

//! The grammar of tenant sources, of the tenant root and of tenant ids, as serde reads it.

use super::file::word_or_map;
use super::json_schema::{Text, either};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer};
use std::collections::BTreeMap;
use std::fmt;

/// Where the tenant of a row comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceEntry {
    /// The one foreign-key path that leads to a tenant.
    Infer,
    /// The table has to say it; only as a default.
    Require,
    /// The tenant that the run is given.
    PerRun,
    /// Every tenant gets a copy of the row.
    Every,
    /// A column of the table is the tenant.
    Column(String),
    /// The tenant of the row that a foreign key refers to.
    Via(String),
    /// The tenant of the rows that refer to it.
    UsedBy {
        /// The foreign keys of other tables, as `TABLE.COLUMN`.
        references: Vec<String>,
        /// What becomes of a row that several tenants use.
        several: Several,
    },
    /// The tenant of the row that a polymorphic reference leads to.
    By {
        /// The column that says which table.
        column: String,
        /// The column with that table's key.
        key: String,
        /// The table for each value of the column.
        cases: BTreeMap<String, String>,
    },
    /// The first of several sources that finds a tenant.
    First(Vec<SourceEntry>),
    /// This tenant, for all rows.
    Constant(String),
    /// What an expression in SQLite's dialect gives for the row.
    Sql(String),
}

/// What becomes of a row that rows of several tenants refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Several {
    /// It is a fault.
    #[default]
    Fail,
    /// Each of the tenants gets a copy, with the same key.
    Copy,
}

/// The tenant root: a table's name, or a mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootEntry {
    /// The table with one row a tenant.
    pub table: String,
    /// The column with the tenant's id; the primary key where absent.
    pub key: Option<String>,
    /// The columns of a root that the tool creates, with their PostgreSQL types.
    pub create: Option<BTreeMap<String, String>>,
    /// What rows of a created root hold beside the tenant's id.
    pub rows: Vec<BTreeMap<String, String>>,
    /// What the foreign keys to the root do that the tool adds.
    pub foreign_key: Option<RootForeignKey>,
}

impl RootEntry {
    /// Says whether it is created and nothing under `create` gives its key a type.
    pub(super) fn creates_without_type(&self) -> bool {
        let Some((create, key)) = self.create.as_ref().zip(self.key.as_ref()) else { return false };
        !create.keys().any(|name| name.eq_ignore_ascii_case(key))
    }
}

/// What a foreign key to the root does when a tenant is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RootForeignKey {
    /// ON DELETE RESTRICT.
    Restrict,
    /// ON DELETE CASCADE.
    Cascade,
    /// ON DELETE NO ACTION.
    NoAction,
    /// There is no such foreign key.
    None,
}

/// Where the ids of tenants in the target come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TenantIdEntry {
    /// They are the source's.
    Keep,
    /// A UUID of version 5 in this namespace, over the source's id as text.
    Uuid5(String),
    /// A CSV file with the columns `old` and `new`, relative to the spec.
    File(String),
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SourceBody {
    /// The column that is the tenant.
    column: Option<String>,
    /// The foreign key, by name or columns, of whose row the tenant is taken.
    via: Option<String>,
    /// The foreign keys of other tables, as `TABLE.COLUMN`, whose rows' tenant is taken.
    used_by: Option<References>,
    /// What becomes of a row that several tenants use; `fail` where absent. Goes with `used_by`.
    several: Option<Several>,
    /// The column that names the table of a polymorphic reference.
    by: Option<String>,
    /// The column with the key of that table's row. Goes with `by`.
    key: Option<String>,
    /// The table for each value of the column that `by` names.
    cases: Option<BTreeMap<String, String>>,
    /// The sources that are tried one after the other.
    first: Option<Vec<SourceEntry>>,
    /// This tenant for all rows, as it is spelled.
    #[schemars(with = "Option<Text>")]
    constant: Option<String>,
    /// An expression over the row's columns, in SQLite's dialect.
    sql: Option<String>,
}

impl SourceBody {
    fn entry(self) -> Result<SourceEntry, &'static str> {
        let kinds = [
            self.column.is_some(),
            self.via.is_some(),
            self.used_by.is_some(),
            self.by.is_some(),
            self.first.is_some(),
            self.constant.is_some(),
            self.sql.is_some(),
        ];
        if kinds.into_iter().filter(|&is| is).count() != 1 {
            return Err("a tenant source is exactly one of column, via, used_by, by, first, constant, sql");
        }
        if self.several.is_some() && self.used_by.is_none() {
            return Err("`several` goes with `used_by`");
        }
        if (self.key.is_some() || self.cases.is_some()) && self.by.is_none() {
            return Err("`key` and `cases` go with `by`");
        }
        Ok(match self {
            Self { column: Some(column), .. } => SourceEntry::Column(column),
            Self { via: Some(key), .. } => SourceEntry::Via(key),
            Self { used_by: Some(names), several, .. } => {
                SourceEntry::UsedBy { references: names.0, several: several.unwrap_or_default() }
            }
            Self { by: Some(column), key: Some(key), cases: Some(cases), .. } if !cases.is_empty() => {
                SourceEntry::By { column, key, cases }
            }
            Self { by: Some(_), .. } => {
                return Err("`by` needs `key` and `cases`, as in {by: T, key: C, cases: {VALUE: TABLE}}");
            }
            Self { first: Some(list), .. } if list.len() > 1 => SourceEntry::First(list),
            Self { first: Some(_), .. } => return Err("`first` is a list of two sources or more"),
            Self { constant: Some(text), .. } => SourceEntry::Constant(text),
            Self { sql, .. } => SourceEntry::Sql(sql.unwrap_or_default()),
        })
    }
}

word_or_map!(
    SourceEntry,
    "`infer`, `per_run`, `every` or a mapping such as {column: NAME} or {via: FOREIGN_KEY}",
    [
        "infer" => SourceEntry::Infer,
        "require" => SourceEntry::Require,
        "per_run" => SourceEntry::PerRun,
        "every" => SourceEntry::Every,
    ],
    SourceBody => SourceBody::entry
);

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RootBody {
    /// The table with one row a tenant.
    table: String,
    /// The column with the tenant's id; the primary key where absent.
    key: Option<String>,
    /// The columns of a root that tenantry creates, with their PostgreSQL types.
    create: Option<BTreeMap<String, String>>,
    /// What rows of a created root hold; each names its tenant by the key.
    #[serde(default)]
    #[schemars(with = "Vec<BTreeMap<String, Text>>")]
    rows: Vec<BTreeMap<String, String>>,
    /// What the foreign keys to the root do that tenantry adds; `no_action` where absent.
    foreign_key: Option<RootForeignKey>,
}

either!(RootEntry, "a table's name or a mapping such as {table: NAME, key: COLUMN}", [], String, RootBody);

impl<'de> Deserialize<'de> for RootEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameOrMap;
        impl<'de> Visitor<'de> for NameOrMap {
            type Value = RootEntry;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table's name or a mapping such as {table: NAME, key: COLUMN}")
            }
            fn visit_str<E: de::Error>(self, name: &str) -> Result<RootEntry, E> {
                let table = name.to_owned();
                Ok(RootEntry { table, key: None, create: None, rows: Vec::new(), foreign_key: None })
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RootEntry, A::Error> {
                let RootBody { table, key, create, rows, foreign_key } =
                    RootBody::deserialize(MapAccessDeserializer::new(map))?;
                if create.is_some() && key.is_none() {
                    return Err(de::Error::custom("a root that is created needs a `key`"));
                }
                if create.is_none() && !rows.is_empty() {
                    return Err(de::Error::custom("`rows` goes with `create`"));
                }
                Ok(RootEntry { table, key, create, rows, foreign_key })
            }
        }
        deserializer.deserialize_any(NameOrMap)
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TenantIdBody {
    /// The namespace of UUIDs of version 5 over the old ids: a UUID, or `dns`, `url`, `oid`, `x500`.
    uuid5: Option<String>,
    /// A CSV file with the header `old,new`, relative to the spec.
    file: Option<String>,
}

word_or_map!(
    TenantIdEntry,
    "`keep`, {uuid5: NAMESPACE} or {file: CSV}",
    ["keep" => TenantIdEntry::Keep],
    TenantIdBody => |body| match (body.uuid5, body.file) {
        (Some(namespace), None) => Ok(TenantIdEntry::Uuid5(namespace)),
        (None, Some(path)) => Ok(TenantIdEntry::File(path)),
        _ => Err("tenant ids are exactly one of keep, uuid5, file"),
    }
);

/// One name or several.
struct References(Vec<String>);

either!(References, "TABLE.COLUMN or a list of them", [], String, Vec<String>);

impl<'de> Deserialize<'de> for References {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMore;
        impl<'de> Visitor<'de> for OneOrMore {
            type Value = References;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("TABLE.COLUMN or a list of them")
            }
            fn visit_str<E: de::Error>(self, name: &str) -> Result<References, E> {
                Ok(References(vec![name.to_owned()]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut names: A) -> Result<References, A::Error> {
                let mut list = Vec::new();
                while let Some(name) = names.next_element()? {
                    list.push(name);
                }
                if list.is_empty() {
                    return Err(de::Error::custom("an empty list names no table"));
                }
                Ok(References(list))
            }
        }
        deserializer.deserialize_any(OneOrMore)
    }
}

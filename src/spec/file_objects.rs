//! The grammar of a table's body: keys, foreign keys, indexes, columns and checks.

use super::conversion::{Read, Unstorable};
use super::file::{Scope, word_or_map, word_or_sequence};
use super::json_schema::{Text, words};
use crate::schema::{Action, IndexMethod};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// What becomes of the primary key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrimaryKeyEntry {
    /// The tenant column becomes part of it, or does not.
    Scope(Scope),
    /// It is made of exactly these columns.
    Columns(Vec<String>),
}

/// What becomes of one unique key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyEntry {
    /// The tenant column becomes part of it.
    PerTenant,
    /// It stays as it is.
    Global,
    /// It is left out.
    Omit,
    /// It is made of exactly these columns.
    Columns(Vec<String>),
}

/// What becomes of one index, or a new one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IndexEntry {
    /// The schema's index.
    Key(KeyEntry),
    /// An index that the schema does not have.
    New(IndexBody),
}

/// The mapping of a new index; it is made as it stands there.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IndexBody {
    /// Its columns in order, each with DESC, NULLS FIRST or NULLS LAST behind it where it is ordered so.
    pub columns: Vec<String>,
    /// Its condition, in PostgreSQL's dialect.
    #[serde(rename = "where")]
    pub predicate: Option<String>,
    /// Whether it refuses equal rows.
    #[serde(default)]
    pub unique: bool,
    /// Its access method; btree where absent.
    #[serde(default, deserialize_with = "index_method")]
    #[schemars(schema_with = "index_methods")]
    pub using: IndexMethod,
    /// Columns that it carries without ordering by them.
    #[serde(default)]
    pub include: Vec<String>,
}

/// What becomes of one foreign key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForeignKeyEntry {
    /// It is left out.
    Omit,
    /// It is kept, as its mapping says; a word is a mapping with that `scope`.
    Keep(ForeignKeyBody),
}

/// The mapping of a foreign key's decisions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForeignKeyBody {
    /// What it refers to, as `TABLE(COLUMN)`, where SQLite does not declare it.
    pub references: Option<String>,
    /// Whether the target is to have it; `false` makes it a path to the tenant only.
    pub enforce: Option<bool>,
    /// Whether it shares the row's own tenant column.
    pub scope: Option<Scope>,
    /// The name of a tenant column of its own.
    pub column: Option<String>,
    /// Whether that column may name another tenant than the row's.
    pub cross_tenant: Option<CrossTenant>,
    /// ON DELETE, where it is not to be the source's.
    #[serde(default, deserialize_with = "action")]
    #[schemars(schema_with = "actions")]
    pub on_delete: Option<Action>,
    /// ON UPDATE, where it is not to be the source's.
    #[serde(default, deserialize_with = "action")]
    #[schemars(schema_with = "actions")]
    pub on_update: Option<Action>,
}

/// Whether a reference may lead to another tenant's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CrossTenant {
    /// It may not.
    Deny,
    /// It may.
    Allow,
}

/// What becomes of one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnEntry {
    /// It is left out.
    Omit,
    /// It is kept, with these changes.
    Keep(ColumnBody),
}

/// The mapping of a column's decisions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ColumnBody {
    /// Its PostgreSQL type.
    #[serde(rename = "type")]
    pub data_type: Option<String>,
    /// Its name in the target.
    #[serde(rename = "as")]
    pub rename: Option<String>,
    /// What its values are in the source.
    pub read: Option<Read>,
    /// The zone of its times.
    pub zone: Option<String>,
    /// Values that mean NULL.
    #[serde(default)]
    #[schemars(with = "Vec<Text>")]
    pub null_if: Vec<String>,
    /// What becomes of NUL characters in its texts.
    pub nul: Option<Unstorable>,
    /// What becomes of bytes in its texts that are not UTF-8.
    pub utf8: Option<Unstorable>,
    /// Its DEFAULT, in PostgreSQL's dialect.
    pub default: Option<String>,
    /// What it is computed from, in PostgreSQL's dialect.
    pub generated: Option<String>,
    /// What becomes of its collation, where that is not BINARY.
    pub collation: Option<CollationEntry>,
}

/// What becomes of a collation that takes different texts for equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CollationEntry {
    /// Keys and indexes compare by it, through an expression.
    Keys,
    /// The column compares by a nondeterministic collation of ICU.
    Icu,
    /// The column compares as any text.
    Plain,
}

impl CollationEntry {
    /// Returns the word for it in a spec.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Keys => "keys",
            Self::Icu => "icu",
            Self::Plain => "plain",
        }
    }
}

/// What becomes of one CHECK constraint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckEntry {
    /// It is left out.
    Omit,
    /// It is replaced by this, in PostgreSQL's dialect.
    Sql(String),
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CheckBody {
    /// The condition, in PostgreSQL's dialect.
    sql: String,
}

fn scoped(scope: Scope) -> ForeignKeyEntry {
    ForeignKeyEntry::Keep(ForeignKeyBody { scope: Some(scope), ..ForeignKeyBody::default() })
}

word_or_map!(
    ForeignKeyEntry,
    "`per_tenant`, `global`, `omit` or a mapping such as {column: NAME}",
    [
        "per_tenant" => scoped(Scope::PerTenant),
        "global" => scoped(Scope::Global),
        "omit" => ForeignKeyEntry::Omit,
    ],
    ForeignKeyBody => |body| match &body {
        ForeignKeyBody { scope: Some(_), column: Some(_), .. } => {
            Err("`column` excludes `scope`: a tenant column of its own is neither per_tenant nor global")
        }
        ForeignKeyBody { cross_tenant: Some(_), column: None, .. } => {
            Err("`cross_tenant` needs `column`: only a tenant column of its own can name another tenant")
        }
        ForeignKeyBody { enforce: Some(false), scope, column, on_delete, on_update, .. }
            if scope.is_some() || column.is_some() || on_delete.is_some() || on_update.is_some() =>
        {
            Err("`enforce: false` excludes scope, column, on_delete and on_update: the target has no such foreign key")
        }
        body if *body == ForeignKeyBody::default() => Err("a foreign key's mapping is empty"),
        _ => Ok(ForeignKeyEntry::Keep(body)),
    }
);

word_or_map!(
    ColumnEntry,
    "`omit` or a mapping such as {type: bigint}",
    ["omit" => ColumnEntry::Omit],
    ColumnBody => |body| match body {
        ColumnBody { default: Some(_), generated: Some(_), .. } => {
            Err("`generated` excludes `default`: a generated column takes no other value")
        }
        ColumnBody { generated: Some(_), read, zone, null_if, nul, utf8, .. }
            if read.is_some() || zone.is_some() || !null_if.is_empty() || nul.is_some() || utf8.is_some() =>
        {
            Err("`generated` excludes read, zone, null_if, nul and utf8: the source's values are not copied")
        }
        body => Ok(ColumnEntry::Keep(body)),
    }
);

word_or_map!(
    CheckEntry,
    "`omit` or {sql: EXPRESSION}",
    ["omit" => CheckEntry::Omit],
    CheckBody => |body| Ok(CheckEntry::Sql(body.sql))
);

word_or_sequence!(
    PrimaryKeyEntry,
    "`per_tenant`, `global` or a list of columns",
    [
        "per_tenant" => PrimaryKeyEntry::Scope(Scope::PerTenant),
        "global" => PrimaryKeyEntry::Scope(Scope::Global),
    ],
    PrimaryKeyEntry::Columns
);

word_or_sequence!(
    KeyEntry,
    "`per_tenant`, `global`, `omit` or a list of columns",
    ["per_tenant" => KeyEntry::PerTenant, "global" => KeyEntry::Global, "omit" => KeyEntry::Omit],
    KeyEntry::Columns
);

word_or_sequence!(
    IndexEntry,
    "`per_tenant`, `global`, `omit`, a list of columns, or a new index as a mapping with columns",
    [
        "per_tenant" => IndexEntry::Key(KeyEntry::PerTenant),
        "global" => IndexEntry::Key(KeyEntry::Global),
        "omit" => IndexEntry::Key(KeyEntry::Omit),
    ],
    |columns| IndexEntry::Key(KeyEntry::Columns(columns)),
    IndexBody => IndexEntry::New
);

/// The words for ON DELETE and ON UPDATE.
const ACTIONS: &[(&str, Action)] = &[
    ("no_action", Action::NoAction),
    ("restrict", Action::Restrict),
    ("cascade", Action::Cascade),
    ("set_null", Action::SetNull),
    ("set_default", Action::SetDefault),
];

fn actions(_: &mut SchemaGenerator) -> Schema {
    words(ACTIONS.iter().map(|(word, _)| *word))
}

fn index_methods(_: &mut SchemaGenerator) -> Schema {
    words(IndexMethod::NAMES.iter().map(|(word, _)| *word))
}

fn action<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Action>, D::Error> {
    let word = String::deserialize(deserializer)?;
    let known = ACTIONS.iter().find(|(name, _)| *name == word);
    known.map(|(_, action)| Some(*action)).ok_or_else(|| {
        de::Error::unknown_variant(&word, &["no_action", "restrict", "cascade", "set_null", "set_default"])
    })
}

fn index_method<'de, D: Deserializer<'de>>(deserializer: D) -> Result<IndexMethod, D::Error> {
    let word = String::deserialize(deserializer)?;
    IndexMethod::parse(&word)
        .ok_or_else(|| de::Error::unknown_variant(&word, &["btree", "hash", "gin", "gist", "spgist", "brin"]))
}

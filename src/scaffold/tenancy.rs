//! Proposals for tenancy: what the foreign keys say is written down, what they leave open becomes a choice.

use super::sheet::{Alternative, Sheet, Value};
use crate::graph::ForeignKeyGraph;
use crate::rewrite::postgres_type;
use crate::schema::{ColumnId, SourceSchema, TableId};
use crate::spec::yaml_text;
use std::collections::{BTreeMap, BTreeSet};

/// The tenant column's name where nothing proposes one.
const UNNAMED: &str = "tenant_id";

/// How many proposals are written down.
const PROPOSALS: usize = 4;

/// One way to tell tenants apart.
struct Proposal {
    column: String,
    root: Option<TableId>,
    /// The tables whose rows it reaches.
    reaches: usize,
    yaml: String,
    means: String,
}

/// Says how tenants are told apart: by the root that is asked for, else as a choice. Returns the tenant column's name and
/// the root that the rest is to follow from.
pub(super) fn tenant(schema: &SourceSchema, sheet: &mut Sheet, root: Option<TableId>) -> (String, Option<TableId>) {
    if let Some(root) = root {
        let proposal = by_root(schema, root);
        let reason = format!("{}; {}", proposal.means, "the root was asked for with --root");
        sheet.decide(&["tenant"], Value::Yaml(proposal.yaml), &[&reason]);
        return (proposal.column, Some(root));
    }
    let mut proposals: Vec<Proposal> = schema.table_ids().map(|table| by_root(schema, table)).collect();
    proposals.retain(|proposal| proposal.reaches > 0);
    proposals.extend(by_column(schema));
    proposals.sort_by(|one, other| (other.reaches, &one.yaml).cmp(&(one.reaches, &other.yaml)));
    proposals.truncate(PROPOSALS);
    let first = proposals.first();
    let column = first.map_or_else(|| UNNAMED.to_owned(), |first| first.column.clone());
    let root = first.and_then(|first| first.root);
    let mut choices: Vec<Alternative> =
        proposals.into_iter().map(|found| alternative("tenant", &found.yaml, &found.means)).collect();
    if choices.is_empty() {
        let yaml = format!("{{column: {UNNAMED}, type: text}}");
        choices.push(alternative("tenant", &yaml, "nothing in the schema looks like a tenant"));
    }
    let reasons = vec![
        "how are tenants told apart? Names and the number of references suggest these, and prove none".to_owned(),
        "what stands below follows from the first; another one changes it: init --root TABLE".to_owned(),
    ];
    sheet.leave_open(&["tenant"], reasons, choices);
    (column, root)
}

pub(super) fn alternative(key: &str, yaml: &str, means: &str) -> Alternative {
    Alternative { key: key.to_owned(), value: Value::Yaml(yaml.to_owned()), means: means.to_owned() }
}

/// Proposes a table as the root, and the name that most references to it have.
fn by_root(schema: &SourceSchema, root: TableId) -> Proposal {
    let name = &schema.table(root).name;
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    let references = schema.foreign_keys.iter().filter(|key| key.referenced_table == root && !key.is_self_reference());
    for foreign_key in references {
        if let [column] = foreign_key.columns[..] {
            *names.entry(&schema.column(column).name).or_default() += 1;
        }
    }
    let all: usize = names.values().sum();
    let most = names.iter().max_by_key(|(name, count)| (**count, std::cmp::Reverse(**name)));
    let (column, called) = match most {
        Some((column, count)) => {
            let called = match all {
                1 => format!("the reference to it is called `{column}`"),
                _ => format!("{count} of {all} references to it are called `{column}`"),
            };
            ((*column).to_owned(), called)
        }
        None => (UNNAMED.to_owned(), "no reference to it gives the column a name".to_owned()),
    };
    let graph = ForeignKeyGraph::new(schema);
    let reaches = schema
        .table_ids()
        .filter(|&table| table != root && graph.path(table, root, &|_| false, &|_| false).is_none())
        .filter(|&table| graph.path(table, TableId(u32::MAX), &|here| here == root, &|_| false).is_some())
        .count();
    let refer = if reaches == 1 { "table refers" } else { "tables refer" };
    let has_key = schema.table(root).primary_key.is_some_and(|key| schema.key(key).columns.len() == 1);
    Proposal {
        yaml: format!("{{column: {}, root: {}}}", yaml_text(&column), yaml_text(name)),
        column,
        root: Some(root),
        reaches: if has_key { reaches } else { 0 },
        means: format!("`{name}` has one row a tenant: {reaches} {refer} to it, directly or through others; {called}"),
    }
}

/// Proposes columns of one name and type that several tables have and that refer to nothing.
fn by_column(schema: &SourceSchema) -> Vec<Proposal> {
    let mut found: BTreeMap<String, Vec<ColumnId>> = BTreeMap::new();
    for (position, column) in schema.columns.iter().enumerate() {
        let id = ColumnId(position as u32);
        let refers = schema.foreign_keys.iter().any(|foreign_key| foreign_key.columns.contains(&id));
        let lower = column.name.to_lowercase();
        if !refers && lower.ends_with("id") && lower != "id" && schema.table(column.table).rowid_alias != Some(id) {
            found.entry(lower).or_default().push(id);
        }
    }
    let graph = ForeignKeyGraph::new(schema);
    let several = found.into_values().filter(|columns| columns.len() > 1);
    several
        .filter_map(|columns| {
            let first = schema.column(columns[0]);
            let data_type = columns
                .iter()
                .filter_map(|&column| postgres_type(&schema.column(column).data_type))
                .max_by_key(|found| found.to_string().len())?;
            let holders: BTreeSet<TableId> = columns.iter().map(|&column| schema.column(column).table).collect();
            let arrives = |table: TableId| holders.contains(&table);
            let reaches = schema
                .table_ids()
                .filter(|&table| arrives(table) || graph.path(table, TableId(u32::MAX), &arrives, &|_| false).is_some())
                .count();
            let names: Vec<&str> = holders.iter().map(|&table| schema.table(table).name.as_str()).collect();
            Some(Proposal {
                column: first.name.clone(),
                root: None,
                reaches,
                yaml: format!("{{column: {}, type: {}}}", yaml_text(&first.name), yaml_text(&data_type.to_string())),
                means: format!("{} tables have it, and {reaches} are reached: {}", holders.len(), names.join(", ")),
            })
        })
        .collect()
}

/// A column of the tenant's name is no proof: each becomes a choice, unless a foreign key to the root says it.
pub(super) fn tables_with_the_column(schema: &SourceSchema, sheet: &mut Sheet, root: Option<TableId>, column: &str) {
    for table in schema.table_ids().filter(|&table| Some(table) != root) {
        let Some(found) = schema.find_column(table, column) else { continue };
        let described = schema.table(table);
        let refers = described.foreign_keys.iter().any(|&id| schema.foreign_key(id).columns.contains(&found));
        if refers {
            continue;
        }
        let own = &schema.column(found).name;
        let reasons = vec![format!("`{own}` has the tenant column's name, and nothing declares that it is the tenant")];
        let mut choices = vec![
            alternative("tenant", &format!("{{column: {}}}", yaml_text(own)), "the column is the tenant"),
            alternative("placement", "shared", "one copy of its rows for all tenants"),
            alternative("placement", "omit", "its rows are not migrated"),
        ];
        if !described.foreign_keys.is_empty() {
            let means = "the tenant is that of a row it refers to, and the column is something else";
            choices.insert(1, alternative("tenant", "infer", means));
        }
        sheet.leave_open(&["tables", &described.name, "tenant"], reasons, choices);
    }
}

/// Adds what the foreign keys to a table say about whose its rows are.
pub(super) fn users(schema: &SourceSchema, table: &str, choices: &mut Vec<Alternative>) {
    let Some(table) = schema.find_table(table) else { return };
    let mut users: Vec<String> = schema
        .foreign_keys
        .iter()
        .filter(|foreign_key| foreign_key.referenced_table == table && !foreign_key.is_self_reference())
        .map(|foreign_key| {
            let columns: Vec<&str> = schema.column_names(&foreign_key.columns).collect();
            yaml_text(&format!("{}.{}", schema.table(foreign_key.table).name, columns.join(", ")))
        })
        .collect();
    users.sort();
    users.dedup();
    if !users.is_empty() {
        let yaml = format!("{{used_by: [{}]}}", users.join(", "));
        choices.push(alternative("tenant", &yaml, "each row belongs to the tenant of the rows that refer to it"));
    }
}

/// Words in the names of columns whose values are one among all tenants.
const SECRETS: &[&str] = &[
    "token",
    "secret",
    "hash",
    "digest",
    "fingerprint",
    "api_key",
    "apikey",
    "uuid",
    "guid",
    "email",
    "subdomain",
    "idempotency",
    "session",
    "external_id",
    "webhook",
];

/// Says why a unique key should stay unique over all tenants; `None` where nothing suggests it.
pub(super) fn stays_global(schema: &SourceSchema, table: &str, key: &str) -> Option<String> {
    let table = schema.find_table(table)?;
    let described = schema.table(table);
    let text = |columns: &[ColumnId]| schema.column_names(columns).collect::<Vec<_>>().join(", ");
    let keys =
        described.unique_keys.iter().map(|&id| schema.key(id)).map(|key| (key.name.clone(), key.columns.clone()));
    let indexes = described
        .indexes
        .iter()
        .map(|&id| schema.index(id))
        .map(|index| (Some(index.name.clone()), index.plain_columns().unwrap_or_default()));
    let (_, columns) = keys
        .chain(indexes)
        .find(|(name, columns)| name.as_deref() == Some(key) || text(columns).eq_ignore_ascii_case(key))?;
    columns.iter().map(|&column| schema.column(column)).find_map(|column| {
        let (words, arguments) = column.data_type.words_and_arguments();
        if words == "UUID" || words == "GUID" || (words == "CHAR" && arguments == [36]) {
            return Some(format!("`{}` is a UUID: no two tenants have the same one", column.name));
        }
        let name = column.name.to_lowercase();
        SECRETS.iter().find(|word| name.contains(**word)).map(|word| {
            format!(
                "`{}` has `{word}` in its name: such values are looked up before the tenant is known, or must not be guessed",
                column.name
            )
        })
    })
}

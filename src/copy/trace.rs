//! One row's way to its tenant, hop by hop, by plain queries on the snapshot.

use crate::diagnostic::Diagnostic;
use crate::ident::{quote_always, visible};
use crate::plan::Plan;
use crate::schema::{ColumnId, ForeignKeyId, TableId, Value};
use crate::spec::{ForeignKeyTenancy, Placement, TenantSource, unknown_table};
use crate::sqlite::{Database, row_expression};
use std::borrow::Cow;
use std::collections::BTreeSet;

/// How many hops are followed before a way counts as endless.
const LONGEST: usize = 200;

/// How many users of a row are followed.
const USERS: usize = 5;

/// A row, what its table's source says of it, and the rows that this leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// The row's table.
    pub table: TableId,
    /// Its key, as a person would look it up.
    pub key: String,
    /// What leads on, or what was found, as a fragment.
    pub says: String,
    /// The rows that it leads to.
    pub next: Vec<Hop>,
    /// The tenants found at the end, as the source spells them.
    pub tenants: BTreeSet<String>,
}

/// One row's way to its tenant, and where its other references lead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowPath {
    /// The row itself.
    pub hop: Hop,
    /// Each foreign key scoped per tenant that is not on the way, with the row that it refers to.
    pub others: Vec<(String, Hop)>,
}

/// Finds a row's way to its tenant; `asked` is `TABLE/KEY`, the parts of a composite key separated by commas.
///
/// # Errors
/// `unknown-table`, `unknown-row`, and queries that fail.
pub fn trace(plan: &Plan, database: &Database, asked: &str) -> Result<RowPath, Diagnostic> {
    let (table, key) = split(plan, asked)?;
    let tracing = Tracing { plan, database };
    let row = tracing.find(table, key)?;
    let mut visited = BTreeSet::new();
    let hop = tracing.hop(&row, &mut visited)?;
    let mut others = Vec::new();
    let on_the_way = match &plan.tenancy.table(table).placement {
        Placement::Tenant(source) => source.alternatives().to_vec(),
        _ => Vec::new(),
    };
    for &id in &plan.source.table(table).foreign_keys {
        let is_scoped = matches!(
            plan.tenancy.table(table).foreign_keys.get(&id),
            Some(ForeignKeyTenancy::PerTenant | ForeignKeyTenancy::OwnColumn(_) | ForeignKeyTenancy::FromRoot)
        );
        if !is_scoped || on_the_way.contains(&TenantSource::Via(id)) {
            continue;
        }
        if let Some(parent) = tracing.parent(&row, id)? {
            others.push((plan.reference_text(id), tracing.hop(&parent, &mut BTreeSet::new())?));
        }
    }
    Ok(RowPath { hop, others })
}

fn split<'a>(plan: &Plan, asked: &'a str) -> Result<(TableId, &'a str), Diagnostic> {
    // A table's name may hold slashes, so the longest that is one wins.
    let splits: Vec<_> = asked.match_indices('/').map(|(at, _)| (&asked[..at], &asked[at + 1..])).collect();
    let found = splits.iter().rev().find_map(|(name, key)| Some((plan.source.find_table(name)?, *key)));
    found.ok_or_else(|| {
        let name = asked.split('/').next().unwrap_or(asked);
        let mut error = unknown_table(&plan.source, name);
        let more = error.help.map(|help| format!("{help}\n"));
        error.help = Some(format!("{}a row is named TABLE/KEY", more.unwrap_or_default()));
        error
    })
}

/// A row, by what tells it from all others of its table.
#[derive(Debug, Clone)]
struct RowRef {
    table: TableId,
    values: Vec<Value<'static>>,
    /// Its key for people.
    key: String,
}

struct Tracing<'p> {
    plan: &'p Plan,
    database: &'p Database,
}

impl Tracing<'_> {
    /// Names the columns that tell rows apart: the rowid, or the key where there is none or it is hidden.
    fn identity(&self, table: TableId) -> Vec<String> {
        let described = self.plan.source.table(table);
        let rowid =
            ["rowid", "_rowid_", "oid"].into_iter().find(|name| self.plan.source.find_column(table, name).is_none());
        match rowid {
            Some(rowid) if !described.without_rowid => vec![rowid.to_owned()],
            _ => self
                .key_columns(table)
                .into_iter()
                .map(|column| quote_always(&self.plan.source.column(column).name))
                .collect(),
        }
    }

    fn key_columns(&self, table: TableId) -> Vec<ColumnId> {
        self.plan
            .source
            .table(table)
            .primary_key
            .map(|key| self.plan.source.key(key).columns.clone())
            .unwrap_or_default()
    }

    /// Selects what tells a row apart, and its key, from `alias`.
    fn selected(&self, table: TableId, alias: &str) -> String {
        let identity = self.identity(table).into_iter();
        let key = self.key_columns(table).into_iter().map(|column| quote_always(&self.plan.source.column(column).name));
        identity.chain(key).map(|name| format!("{alias}.{name}")).collect::<Vec<_>>().join(", ")
    }

    fn row_ref(&self, table: TableId, values: &[Value<'_>]) -> RowRef {
        let identity = self.identity(table);
        let key = self.key_columns(table);
        let (told, shown) = values.split_at(identity.len().min(values.len()));
        let named = self.plan.source.column_names(&key).map(str::to_owned);
        let parts: Vec<String> = match key.is_empty() {
            true => identity.iter().zip(told).map(|(name, value)| format!("{name}={}", text(value))).collect(),
            false => named.zip(shown).map(|(name, value)| format!("{name}={}", text(value))).collect(),
        };
        RowRef { table, values: told.iter().map(owned).collect(), key: parts.join(", ") }
    }

    /// The condition under which `alias` is a row, with its parameters.
    fn is_row(&self, row: &RowRef, alias: &str) -> String {
        let parts = self.identity(row.table).into_iter().enumerate();
        parts.map(|(at, name)| format!("{alias}.{name} IS ?{}", at + 1)).collect::<Vec<_>>().join(" AND ")
    }

    fn rows(&self, table: TableId, sql: &str, parameters: &[Value<'_>]) -> Result<Vec<RowRef>, Diagnostic> {
        let mut rows = Vec::new();
        self.database.for_each_row::<Diagnostic>(sql, parameters, &mut |values| {
            rows.push(self.row_ref(table, values));
            Ok(())
        })?;
        Ok(rows)
    }

    fn find(&self, table: TableId, key: &str) -> Result<RowRef, Diagnostic> {
        let described = self.plan.source.table(table);
        let columns: Vec<String> = match &self.key_columns(table)[..] {
            [] => self.identity(table),
            columns => self.plan.source.column_names(columns).map(quote_always).collect(),
        };
        let parts: Vec<&str> = if columns.len() == 1 { vec![key] } else { key.split(',').map(str::trim).collect() };
        let unknown = |help: String| {
            let message = format!("{} has no row {}", visible(&described.name), visible(key));
            Err(Diagnostic::error("unknown-row", message).help(help))
        };
        if parts.len() != columns.len() || columns.is_empty() {
            return unknown(format!("name it by its key: {}/{}", visible(&described.name), columns.join(",")));
        }
        let matches: Vec<String> = columns
            .iter()
            .enumerate()
            .map(|(at, name)| format!("(s.{name} = ?{0} OR CAST(s.{name} AS TEXT) = ?{0})", at + 1))
            .collect();
        let sql = format!(
            "SELECT {} FROM {} AS s WHERE {} LIMIT 1",
            self.selected(table, "s"),
            quote_always(&described.name),
            matches.join(" AND ")
        );
        let parameters: Vec<Value<'_>> = parts.iter().map(|part| Value::Text(Cow::Borrowed(part.as_bytes()))).collect();
        match self.rows(table, &sql, &parameters)?.pop() {
            Some(row) => Ok(row),
            None => {
                unknown(format!("look it up: SELECT {} FROM {}", columns.join(", "), quote_always(&described.name)))
            }
        }
    }

    /// Finds the row that a foreign key refers to, as SQLite matches them.
    fn parent(&self, row: &RowRef, id: ForeignKeyId) -> Result<Option<RowRef>, Diagnostic> {
        let source = &self.plan.source;
        let foreign_key = source.foreign_key(id);
        let pairs = foreign_key.columns.iter().zip(&foreign_key.referenced_columns);
        let matches: Vec<String> = pairs
            .map(|(&child, &parent)| {
                let [child, parent] = [child, parent].map(|column| quote_always(&source.column(column).name));
                format!("p.{parent} = +s.{child}")
            })
            .collect();
        let sql = format!(
            "SELECT {} FROM {} AS s JOIN {} AS p ON {} WHERE {} LIMIT 1",
            self.selected(foreign_key.referenced_table, "p"),
            quote_always(&source.table(row.table).name),
            quote_always(&source.table(foreign_key.referenced_table).name),
            matches.join(" AND "),
            self.is_row(row, "s")
        );
        Ok(self.rows(foreign_key.referenced_table, &sql, &row.values)?.pop())
    }

    /// Reads one expression of a row; the row's own table is named by its name.
    fn value(&self, row: &RowRef, expression: &str) -> Result<Value<'static>, Diagnostic> {
        let name = quote_always(&self.plan.source.table(row.table).name);
        let sql = format!("SELECT {expression} FROM {name} WHERE {}", self.is_row(row, &name));
        let mut found = Value::Null;
        self.database.for_each_row::<Diagnostic>(&sql, &row.values, &mut |values| {
            found = values.first().map_or(Value::Null, owned);
            Ok(())
        })?;
        Ok(found)
    }

    fn hop(&self, row: &RowRef, visited: &mut BTreeSet<(TableId, String)>) -> Result<Hop, Diagnostic> {
        let mut hop = Hop {
            table: row.table,
            key: row.key.clone(),
            says: String::new(),
            next: Vec::new(),
            tenants: BTreeSet::new(),
        };
        if !visited.insert((row.table, row.key.clone())) || visited.len() > LONGEST {
            hop.says = "the way comes back to a row that it has been at: it never ends".to_owned();
            return Ok(hop);
        }
        match &self.plan.tenancy.table(row.table).placement {
            Placement::Root => match &self.plan.tenancy.root {
                Some(root) => {
                    let value = self.value(row, &quote_always(&self.plan.source.column(root.key).name))?;
                    self.found(&value, "it is the tenant", &mut hop);
                }
                None => hop.says = "it is a tenant".to_owned(),
            },
            Placement::Shared => hop.says = "its table is shared: it belongs to all tenants".to_owned(),
            Placement::Local => hop.says = "its table stands outside tenancy".to_owned(),
            Placement::Omit => hop.says = "its table is not migrated".to_owned(),
            Placement::Tenant(source) => {
                let mut tried = Vec::new();
                for source in source.alternatives() {
                    self.follow(row, source, visited, &mut hop)?;
                    if !hop.tenants.is_empty() || !hop.next.is_empty() {
                        break;
                    }
                    tried.push(std::mem::take(&mut hop.says));
                }
                if !tried.is_empty() {
                    tried.extend(Some(std::mem::take(&mut hop.says)).filter(|says| !says.is_empty()));
                    hop.says = tried.join("; then ");
                }
            }
        }
        for next in &hop.next {
            hop.tenants.extend(next.tenants.iter().cloned());
        }
        Ok(hop)
    }

    fn found(&self, value: &Value<'_>, how: &str, hop: &mut Hop) {
        match value {
            Value::Null => hop.says = format!("{how}: NULL"),
            value => {
                hop.says = format!("{how}: {}", text(value));
                hop.tenants.insert(spelled(value));
            }
        }
    }

    fn follow(
        &self,
        row: &RowRef,
        source: &TenantSource,
        visited: &mut BTreeSet<(TableId, String)>,
        hop: &mut Hop,
    ) -> Result<(), Diagnostic> {
        let schema = &self.plan.source;
        let name = |column: &ColumnId| schema.column(*column).name.clone();
        match source {
            TenantSource::Column(column) => {
                let value = self.value(row, &quote_always(&name(column)))?;
                self.found(&value, &format!("its column {}", name(column)), hop);
            }
            TenantSource::Sql(expression) => {
                let value = self.value(row, &row_expression(schema, row.table, expression)?)?;
                self.found(&value, &format!("its expression {expression}"), hop);
            }
            TenantSource::Constant(tenant) => {
                self.found(&Value::Text(Cow::Borrowed(tenant.as_bytes())), "a constant of the spec", hop);
            }
            TenantSource::PerRun => match &self.plan.tenancy.tenant.per_run {
                Some(tenant) => self.found(&Value::Text(Cow::Borrowed(tenant.as_bytes())), "the run's --tenant", hop),
                None => hop.says = "the run names its tenant with --tenant".to_owned(),
            },
            TenantSource::Every => hop.says = "every tenant has a copy".to_owned(),
            TenantSource::Via(id) => {
                let columns = &schema.foreign_key(*id).columns;
                let names = schema.column_names(columns).collect::<Vec<_>>().join(", ");
                match self.parent(row, *id)? {
                    Some(parent) => {
                        hop.says = format!("through {names}");
                        hop.next.push(self.hop(&parent, visited)?);
                    }
                    None => {
                        let mut is_null = false;
                        for column in columns {
                            is_null |= self.value(row, &quote_always(&name(column)))?.is_null();
                        }
                        hop.says = match is_null {
                            true => format!("{names} is NULL and leads nowhere"),
                            false => format!("{names} refers to a row that does not exist"),
                        };
                    }
                }
            }
            TenantSource::By { column, key, cases } => {
                let kind = spelled(&self.value(row, &quote_always(&name(column)))?);
                match cases.iter().find(|(case, _)| *case == kind) {
                    None => hop.says = format!("its column {} names no case", name(column)),
                    Some((_, case)) => {
                        hop.says = format!("through {}, by its column {}", name(key), name(column));
                        match self.key_columns(*case)[..] {
                            [parent] => {
                                let sql = format!(
                                    "SELECT {} FROM {} AS s JOIN {} AS p ON p.{} = +s.{} WHERE {} LIMIT 1",
                                    self.selected(*case, "p"),
                                    quote_always(&schema.table(row.table).name),
                                    quote_always(&schema.table(*case).name),
                                    quote_always(&name(&parent)),
                                    quote_always(&name(key)),
                                    self.is_row(row, "s")
                                );
                                match self.rows(*case, &sql, &row.values)?.pop() {
                                    Some(parent) => hop.next.push(self.hop(&parent, visited)?),
                                    None => hop.says = format!("{} refers to a row that does not exist", name(key)),
                                }
                            }
                            _ => hop.says = format!("{} has no key of one column", schema.table(*case).name),
                        }
                    }
                }
            }
            TenantSource::UsedBy { references, .. } => {
                for &id in references {
                    self.users(row, id, visited, hop)?;
                }
                hop.says = match hop.next.is_empty() {
                    true => "no row refers to it".to_owned(),
                    false => "the rows that refer to it".to_owned(),
                };
            }
            TenantSource::First(_) => {}
        }
        Ok(())
    }

    /// Follows the first rows that refer to a row by a foreign key of theirs.
    fn users(
        &self,
        row: &RowRef,
        id: ForeignKeyId,
        visited: &mut BTreeSet<(TableId, String)>,
        hop: &mut Hop,
    ) -> Result<(), Diagnostic> {
        let source = &self.plan.source;
        let foreign_key = source.foreign_key(id);
        let pairs = foreign_key.columns.iter().zip(&foreign_key.referenced_columns);
        let matches: Vec<String> = pairs
            .map(|(&child, &parent)| {
                let [child, parent] = [child, parent].map(|column| quote_always(&source.column(column).name));
                format!("p.{parent} = +s.{child}")
            })
            .collect();
        let sql = format!(
            "SELECT {} FROM {} AS p JOIN {} AS s ON {} WHERE {} LIMIT {USERS}",
            self.selected(foreign_key.table, "s"),
            quote_always(&source.table(row.table).name),
            quote_always(&source.table(foreign_key.table).name),
            matches.join(" AND "),
            self.is_row(row, "p")
        );
        for user in self.rows(foreign_key.table, &sql, &row.values)? {
            // Two users may share the rest of their ways.
            hop.next.push(self.hop(&user, &mut visited.clone())?);
        }
        Ok(())
    }
}

/// Shows a key or a tenant; text in quotes, blobs as their length.
fn text(value: &Value<'_>) -> String {
    match value {
        Value::Text(text) => format!("'{}'", visible(&String::from_utf8_lossy(text))),
        Value::Blob(bytes) => format!("a blob of {} bytes", bytes.len()),
        other => spelled(other),
    }
}

fn spelled(value: &Value<'_>) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) => String::from_utf8_lossy(text).into_owned(),
        Value::Blob(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

fn owned(value: &Value<'_>) -> Value<'static> {
    match value {
        Value::Null => Value::Null,
        Value::Integer(number) => Value::Integer(*number),
        Value::Real(number) => Value::Real(*number),
        Value::Text(text) => Value::Text(Cow::Owned(text.to_vec())),
        Value::Blob(bytes) => Value::Blob(Cow::Owned(bytes.to_vec())),
    }
}

//! The tenants of rows that no one join gives: a TEMP table row → tenant for each such table, with a line for each copy.
//!
//! Every source is one query for (row, tenant); of several, each next one adds the rows that have none yet. Trees are
//! walked down from the rows that refer to no other.

use super::tenant_sql::{Joins, TenantSql, column_of};
use crate::diagnostic::Diagnostic;
use crate::ident::quote_always;
use crate::schema::{ColumnId, ForeignKeyId, TableId};
use crate::spec::{Placement, TenantSource};
use crate::sqlite::{Database, row_expression};

impl TenantSql<'_> {
    /// Builds the TEMP table of a table's rows. Those of the tables that its source looks at are there.
    pub(super) fn assign(&self, database: &Database, table: TableId, source: &TenantSource) -> Result<(), Diagnostic> {
        let name = rows_name(table);
        database.execute_temp(&create(&name))?;
        let sources = source.alternatives();
        let Some(tree) = source.tree(&self.plan.source) else {
            sources.iter().try_for_each(|source| self.add(database, &name, table, source))?;
            return self.set_several_apart(database, table);
        };
        let at = sources.iter().position(|source| *source == TenantSource::Via(tree)).unwrap_or(0);
        let (before, after) = (format!("{name}_before"), format!("{name}_after"));
        database.execute_temp(&format!("{}{}", create(&before), create(&after)))?;
        for source in &sources[..at] {
            self.add(database, &before, table, source)?;
        }
        for source in &sources[at + 1..] {
            self.add(database, &after, table, source)?;
        }
        self.walk(database, table, tree, (&name, &before, &after))?;
        self.set_several_apart(database, table)
    }

    /// Takes out the rows that several tenants were found for and that have no copies: they are nobody's.
    fn set_several_apart(&self, database: &Database, table: TableId) -> Result<(), Diagnostic> {
        let (name, several) = (rows_name(table), several_name(table));
        let condition = if self.is_copied(table) { "FALSE" } else { "TRUE" };
        database.execute_temp(&format!(
            "CREATE TEMP TABLE {several} AS SELECT r FROM temp.{name} WHERE {condition} GROUP BY r \
             HAVING count(DISTINCT tenant) > 1; \
             DELETE FROM temp.{name} WHERE r IN (SELECT r FROM temp.{several});"
        ))
    }

    /// Adds the rows for which a source finds a tenant, and that have none yet.
    pub(super) fn add(
        &self,
        database: &Database,
        name: &str,
        table: TableId,
        source: &TenantSource,
    ) -> Result<(), Diagnostic> {
        if let TenantSource::Column(column) = source {
            let id = column_of("s", &self.plan.source, *column);
            if let Some(condition) = self.can_be_an_id(&id) {
                // What is no id is not made good by another source.
                database.execute_temp(&format!(
                    "INSERT INTO temp.{name} SELECT {row}, NULL FROM main.{} AS s \
                     WHERE {id} IS NOT NULL AND NOT ({condition}) AND {row} NOT IN (SELECT r FROM temp.{name});",
                    quote_always(&self.plan.source.table(table).name),
                    row = self.row_of("s", table)
                ))?;
            }
        }
        for query in self.queries(table, source)? {
            // The query's own rows do not hide each other: a row with several tenants keeps them all.
            database.execute_temp(&format!(
                "INSERT INTO temp.{name} SELECT DISTINCT r, {} FROM ({query}) \
                 WHERE tenant IS NOT NULL AND r NOT IN (SELECT r FROM temp.{name})",
                self.normal("tenant")
            ))?;
        }
        Ok(())
    }

    /// Writes a source as queries for r and tenant; no row is in two of them.
    pub(super) fn queries(&self, table: TableId, source: &TenantSource) -> Result<Vec<String>, Diagnostic> {
        let schema = &self.plan.source;
        let own = quote_always(&schema.table(table).name);
        let row = self.row_of("s", table);
        let from_own = |tenant: &str, joins: &Joins| {
            format!("SELECT {row} AS r, {tenant} AS tenant FROM main.{own} AS s{}", joins.sql)
        };
        let none = Joins::default();
        Ok(match source {
            TenantSource::Column(column) => vec![from_own(&column_of("s", schema, *column), &none)],
            TenantSource::Via(via) => {
                let mut joins = Joins::default();
                let tenant = self.tenant_through(*via, &mut joins, None);
                vec![from_own(&tenant, &joins)]
            }
            TenantSource::Constant(text) => vec![from_own(&self.id(text), &none)],
            TenantSource::PerRun => {
                self.plan.tenancy.tenant.per_run.iter().map(|text| from_own(&self.id(text), &none)).collect()
            }
            TenantSource::Every => {
                vec![format!(
                    "SELECT {row} AS r, e.tenant AS tenant FROM main.{own} AS s CROSS JOIN temp.{EVERYONE} AS e"
                )]
            }
            TenantSource::Sql(text) => {
                let expression = row_expression(schema, table, text)?;
                let row = self.row_of(&own, table);
                vec![format!("SELECT {row} AS r, ({expression}) AS tenant FROM main.{own}")]
            }
            TenantSource::By { column, key, cases } => cases
                .iter()
                .map(|(value, case)| {
                    let kind = column_of("s", schema, *column);
                    let parent_key = schema.table(*case).primary_key.map(|key| schema.key(key).columns.clone());
                    let (place, tenant) = self.place_of(*case, "p");
                    let matched: Vec<String> = parent_key
                        .iter()
                        .flatten()
                        .map(|&parent| {
                            format!("{} = +{}", self.key_of(*case, "p", parent), column_of("s", schema, *key))
                        })
                        .collect();
                    format!(
                        "SELECT {row} AS r, {tenant} AS tenant FROM main.{own} AS s JOIN {place} AS p ON {} \
                         WHERE typeof({kind}) IN ('text', 'integer') AND CAST({kind} AS TEXT) = {} COLLATE BINARY",
                        matched.join(" AND "),
                        text(value)
                    )
                })
                .collect(),
            TenantSource::UsedBy { references, .. } => {
                let users: Vec<String> = references.iter().map(|&id| self.users(table, id)).collect();
                vec![users.join(" UNION ALL ")]
            }
            TenantSource::First(_) => Vec::new(),
        })
    }

    /// Writes the query for the rows that a foreign key of another table refers to, with the tenants of those that refer.
    fn users(&self, table: TableId, reference: ForeignKeyId) -> String {
        let schema = &self.plan.source;
        let foreign_key = schema.foreign_key(reference);
        let mut joins = Joins::default();
        let tenant = self.tenant_of_row(foreign_key.table, &mut joins);
        let pairs = foreign_key.columns.iter().zip(&foreign_key.referenced_columns);
        let matched: Vec<String> = pairs
            .map(|(&child, &parent)| format!("{} = +{}", column_of("t", schema, parent), column_of("s", schema, child)))
            .collect();
        format!(
            "SELECT {} AS r, {tenant} AS tenant FROM main.{} AS s{} JOIN main.{} AS t ON {}",
            self.row_of("t", table),
            quote_always(&schema.table(foreign_key.table).name),
            joins.sql,
            quote_always(&schema.table(table).name),
            matched.join(" AND ")
        )
    }

    /// Walks a tree down from the rows whose tenant is known, or that refer to no row. What is never reached has none.
    fn walk(
        &self,
        database: &Database,
        table: TableId,
        tree: ForeignKeyId,
        (name, before, after): (&str, &str, &str),
    ) -> Result<(), Diagnostic> {
        let schema = &self.plan.source;
        let foreign_key = schema.foreign_key(tree);
        let own = quote_always(&schema.table(table).name);
        let pairs = foreign_key.columns.iter().zip(&foreign_key.referenced_columns);
        let matched: Vec<String> = pairs
            .map(|(&child, &parent)| format!("{} = +{}", column_of("p", schema, parent), column_of("s", schema, child)))
            .collect();
        database.execute_temp(&format!(
            "CREATE TEMP TABLE {name}_links (r, parent);\
             INSERT INTO temp.{name}_links SELECT {row}, {parent} FROM main.{own} AS s LEFT JOIN main.{own} AS p ON {matched} \
             WHERE {row} NOT IN (SELECT r FROM temp.{before});\
             CREATE INDEX temp.{name}_links_parent ON {name}_links (parent);\
             INSERT INTO temp.{name} WITH RECURSIVE settled (r, tenant) AS (\
             SELECT r, tenant FROM temp.{before} \
             UNION SELECT l.r, a.tenant FROM temp.{name}_links AS l LEFT JOIN temp.{after} AS a ON a.r = l.r WHERE l.parent IS NULL \
             UNION SELECT l.r, coalesce(settled.tenant, a.tenant) FROM settled JOIN temp.{name}_links AS l ON l.parent = settled.r \
             LEFT JOIN temp.{after} AS a ON a.r = l.r AND settled.tenant IS NULL\
             ) SELECT r, tenant FROM settled WHERE tenant IS NOT NULL;",
            row = self.row_of("s", table),
            parent = self.row_of("p", table),
            matched = matched.join(" AND "),
        ))
    }

    /// Lists the tenants: the root's, or all that rows name.
    pub(super) fn list_everyone(&self, database: &Database) -> Result<(), Diagnostic> {
        let schema = &self.plan.source;
        let tenancy = &self.plan.tenancy;
        let mut queries = Vec::new();
        match tenancy.root.as_ref().filter(|root| root.created.is_none()) {
            Some(root) => queries.push(format!(
                "SELECT {} AS tenant FROM main.{} AS s",
                column_of("s", schema, root.key),
                quote_always(&schema.table(root.table).name)
            )),
            None => {
                for table in self.naming_tables() {
                    let mut joins = Joins::default();
                    let tenant = self.tenant_of_row(table, &mut joins);
                    let own = quote_always(&schema.table(table).name);
                    queries.push(format!("SELECT {tenant} AS tenant FROM main.{own} AS s{}", joins.sql));
                }
                let rows = tenancy.root.as_ref().and_then(|root| root.created.as_ref()).map(|created| &created.rows);
                queries.extend(rows.into_iter().flatten().map(|(id, _)| format!("SELECT {} AS tenant", self.id(id))));
            }
        }
        database.execute_temp(&format!("CREATE TEMP TABLE {EVERYONE} (tenant);"))?;
        if queries.is_empty() {
            return Ok(());
        }
        database.execute_temp(&format!(
            "INSERT INTO temp.{EVERYONE} SELECT DISTINCT {} FROM ({}) WHERE tenant IS NOT NULL",
            self.normal("tenant"),
            queries.join(" UNION ALL ")
        ))
    }

    /// Lists the tables that name tenants themselves and have no copies.
    pub(super) fn naming_tables(&self) -> Vec<TableId> {
        let schema = &self.plan.source;
        let copied = self.plan.tenancy.copied_tables(schema);
        let names = |table: &TableId| match &self.plan.tenancy.table(*table).placement {
            Placement::Tenant(source) => source.alternatives().iter().any(|source| {
                matches!(
                    source,
                    TenantSource::Column(_) | TenantSource::Sql(_) | TenantSource::Constant(_) | TenantSource::PerRun
                )
            }),
            _ => false,
        };
        schema.table_ids().filter(|table| !copied[table.index()] && names(table)).collect()
    }

    /// Writes a row's rowid; `None` where it has none, or none that could be named.
    pub(super) fn rowid_of(&self, alias: &str, table: TableId) -> Option<String> {
        let schema = &self.plan.source;
        // A column of that name hides the rowid.
        let name = ["rowid", "_rowid_", "oid"].into_iter().find(|name| schema.find_column(table, name).is_none())?;
        (!schema.table(table).without_rowid).then(|| format!("{alias}.{name}"))
    }

    /// Writes what identifies a row: its rowid, or its key where it has none.
    pub(super) fn row_of(&self, alias: &str, table: TableId) -> String {
        let schema = &self.plan.source;
        match (self.rowid_of(alias, table), schema.table(table).primary_key) {
            (Some(rowid), _) => rowid,
            (None, Some(key)) => {
                let parts = schema.key(key).columns.iter();
                // Not by quote(), which ends a text at its first NUL and so takes two keys for one.
                let part = |&key: &ColumnId| {
                    let column = column_of(alias, schema, key);
                    format!("typeof({column}) || hex({column})")
                };
                parts.map(part).collect::<Vec<_>>().join(" || ',' || ")
            }
            _ => "NULL".to_owned(),
        }
    }

    /// Writes a tenant's id that the spec or the run spells out.
    pub(super) fn id(&self, id: &str) -> String {
        self.normal(&text(id))
    }
}

/// The TEMP table of all tenants.
pub(super) const EVERYONE: &str = "tenantry_everyone";

/// Names the TEMP table row → tenant of a table.
pub(super) fn rows_name(table: TableId) -> String {
    format!("tenantry_rows_{}", table.0)
}

/// Names the TEMP table of the rows of a table that several tenants were found for, and that are to be one's.
pub(super) fn several_name(table: TableId) -> String {
    format!("tenantry_rows_{}_several", table.0)
}

fn create(name: &str) -> String {
    format!("CREATE TEMP TABLE {name} (r, tenant); CREATE INDEX temp.{name}_r ON {name} (r);")
}

/// Writes a text as SQLite spells it.
pub(super) fn text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

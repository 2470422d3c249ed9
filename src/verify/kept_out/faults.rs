//! What speaks against a table's rows, in SQL; only what the spec does not leave to the audit is looked for.

use super::super::tenant_rows::{several_name, text};
use super::super::tenant_sql::{Joins, TenantSql};
use super::{clearable, is_looked_up, matches, name, values};
use crate::diagnostic::Diagnostic;
use crate::ident::quote_always;
use crate::plan::Plan;
use crate::rewrite::ColumnValue;
use crate::schema::{ColumnId, ForeignKeyId, TableId};
use crate::spec::{ForeignKeyTenancy, OrphanPolicy, Placement, RowPolicies, RowPolicy, TenantIds, TenantSource};
use crate::sqlite::Database;

/// The TEMP table of what speaks against the rows of a table: row, code, and the foreign key that is cleared for it.
pub(super) fn found(table: TableId) -> String {
    format!("tenantry_found_{}", table.0)
}

/// The rows of the table at hand with their tenants; one whose tenant is unknown stands there with NULL.
const OWN: &str = "tenantry_own";

/// The rows for which an earlier source of several has found a tenant.
const BEFORE: &str = "tenantry_found_before";

/// The ids that have a new one.
const RENAMED: &str = "tenantry_renamed";

/// Fills [`found`] of a table. The tenants of all tables have been derived.
pub(super) fn find(
    plan: &Plan,
    database: &Database,
    tenants: &TenantSql<'_>,
    table: TableId,
) -> Result<(), Diagnostic> {
    let found = found(table);
    database.execute_temp(&format!(
        "DROP TABLE IF EXISTS temp.{found}; CREATE TEMP TABLE {found} (r, code TEXT, cleared INTEGER);"
    ))?;
    let finding = Finding {
        plan,
        database,
        tenants,
        table,
        policies: &plan.tenancy.table(table).rows,
        row: tenants.row_of("s", table),
        own: format!("main.{} AS s", name(plan, table)),
        into: found,
    };
    finding.orphans()?;
    if let Placement::Root | Placement::Tenant(_) = &plan.tenancy.table(table).placement {
        finding.list_own()?;
        finding.tenantless()?;
        finding.unknown()?;
        finding.conflicts()?;
    }
    if finding.policies.unfit == RowPolicy::Reject {
        finding.unmapped()?;
        values::unfit(plan, database, table, &finding.row, &finding.into)?;
    }
    Ok(())
}

struct Finding<'f> {
    plan: &'f Plan,
    database: &'f Database,
    tenants: &'f TenantSql<'f>,
    table: TableId,
    policies: &'f RowPolicies,
    row: String,
    /// The table, as `s`.
    own: String,
    into: String,
}

impl Finding<'_> {
    /// Marks the rows of `s` for which a condition holds.
    fn mark(&self, code: &str, condition: &str) -> Result<(), Diagnostic> {
        self.mark_rows(code, &format!("SELECT {} AS r FROM {} WHERE {condition}", self.row, self.own), None)
    }

    fn mark_rows(&self, code: &str, rows: &str, cleared: Option<ForeignKeyId>) -> Result<(), Diagnostic> {
        let cleared = cleared.map_or_else(|| "NULL".to_owned(), |id| id.0.to_string());
        self.database.execute_temp(&format!(
            "INSERT INTO temp.{} SELECT DISTINCT r, '{code}', {cleared} FROM ({rows});",
            self.into
        ))
    }

    fn column(&self, column: ColumnId) -> String {
        format!("s.{}", quote_always(&self.plan.source.column(column).name))
    }

    fn source(&self) -> Option<&TenantSource> {
        match &self.plan.tenancy.table(self.table).placement {
            Placement::Tenant(source) => Some(source),
            _ => None,
        }
    }

    /// Writes whether a row of `s` refers to nothing by a foreign key that is not NULL.
    fn is_orphan(&self, id: ForeignKeyId) -> String {
        let foreign_key = self.plan.source.foreign_key(id);
        let set: Vec<String> =
            foreign_key.columns.iter().map(|&column| format!("{} IS NOT NULL", self.column(column))).collect();
        format!(
            "{} AND NOT EXISTS (SELECT 1 FROM main.{} AS p WHERE {})",
            set.join(" AND "),
            name(self.plan, foreign_key.referenced_table),
            matches(self.plan, id, "p", "s")
        )
    }

    fn orphans(&self) -> Result<(), Diagnostic> {
        for &id in &self.plan.source.table(self.table).foreign_keys {
            if !is_looked_up(self.plan, id) {
                continue;
            }
            let rows = format!("SELECT {} AS r FROM {} WHERE {}", self.row, self.own, self.is_orphan(id));
            match self.policies.orphan {
                OrphanPolicy::Fail => {}
                OrphanPolicy::Reject => self.mark_rows("orphan", &rows, None)?,
                OrphanPolicy::SetNull if clearable(self.plan, id).is_empty() => {}
                OrphanPolicy::SetNull => self.mark_rows("orphan", &rows, Some(id))?,
            }
        }
        for (position, source) in self.alternatives().iter().enumerate() {
            let TenantSource::By { column, key, cases } = source else { continue };
            let (kind, key) = (self.column(*column), self.column(*key));
            let earlier = self.found_before(position)?;
            let is = |value: &str| {
                format!(
                    "typeof({kind}) IN ('text', 'integer') AND CAST({kind} AS TEXT) = {} COLLATE BINARY",
                    text(value)
                )
            };
            if self.policies.no_tenant == RowPolicy::Reject {
                let none: Vec<String> = cases.iter().map(|(value, _)| format!("NOT ({})", is(value))).collect();
                self.mark("no-case", &format!("{kind} IS NOT NULL AND {} AND {earlier}", none.join(" AND ")))?;
            }
            for (value, case) in cases.iter().filter(|_| self.policies.orphan == OrphanPolicy::Reject) {
                self.mark(
                    "orphan",
                    &format!("{} AND {key} IS NOT NULL AND {} AND {earlier}", is(value), self.has_no_row(*case, &key)),
                )?;
            }
        }
        Ok(())
    }

    fn has_no_row(&self, case: TableId, key: &str) -> String {
        let source = &self.plan.source;
        let columns = source.table(case).primary_key.map(|key| source.key(key).columns.clone()).unwrap_or_default();
        let found: Vec<String> =
            columns.iter().map(|&column| format!("p.{} = +{key}", quote_always(&source.column(column).name))).collect();
        format!("NOT EXISTS (SELECT 1 FROM main.{} AS p WHERE {})", name(self.plan, case), found.join(" AND "))
    }

    fn alternatives(&self) -> &[TenantSource] {
        self.source().map(TenantSource::alternatives).unwrap_or_default()
    }

    /// Writes that no earlier source has found a tenant for a row of `s`.
    fn found_before(&self, position: usize) -> Result<String, Diagnostic> {
        if position == 0 {
            return Ok("TRUE".to_owned());
        }
        self.database
            .execute_temp(&format!("DROP TABLE IF EXISTS temp.{BEFORE}; CREATE TEMP TABLE {BEFORE} (r, tenant);"))?;
        for source in &self.alternatives()[..position] {
            self.tenants.add(self.database, BEFORE, self.table, source)?;
        }
        Ok(format!("{} NOT IN (SELECT r FROM temp.{BEFORE})", self.row))
    }

    fn list_own(&self) -> Result<(), Diagnostic> {
        let mut joins = Joins::default();
        let tenant = self.tenants.tenant_of_row(self.table, &mut joins);
        self.database.execute_temp(&format!(
            "DROP TABLE IF EXISTS temp.{OWN}; CREATE TEMP TABLE {OWN} (r, tenant); \
             INSERT INTO temp.{OWN} SELECT {}, {} FROM {}{}; CREATE INDEX temp.{OWN}_r ON {OWN} (r);",
            self.row,
            self.tenants.normal(&tenant),
            self.own,
            joins.sql
        ))
    }

    /// Marks rows that belong to nobody, or to several where that is not meant.
    fn tenantless(&self) -> Result<(), Diagnostic> {
        let several = self.tenants.is_assigned(self.table).then(|| several_name(self.table));
        if let (Some(several), RowPolicy::Reject) = (&several, self.policies.conflict) {
            self.mark_rows("several-tenants", &format!("SELECT r FROM temp.{several}"), None)?;
        }
        if self.policies.no_tenant != RowPolicy::Reject {
            return Ok(());
        }
        let nobodys = format!("{} IN (SELECT r FROM temp.{OWN} WHERE tenant IS NULL)", self.row);
        // What has another name is told by that.
        let otherwise = match self.source() {
            Some(TenantSource::Via(id)) => format!("NOT ({})", self.is_orphan(*id)),
            Some(TenantSource::By { column, key, cases }) => {
                let kind = self.column(*column);
                let key = self.column(*key);
                let cases = cases.iter().map(|(value, case)| {
                    format!(
                        "typeof({kind}) IN ('text', 'integer') AND CAST({kind} AS TEXT) = {} COLLATE BINARY AND ({key} IS NULL \
                         OR NOT {})",
                        text(value),
                        self.has_no_row(*case, &key)
                    )
                });
                let cases: Vec<String> = cases.map(|case| format!("({case})")).collect();
                format!("({kind} IS NULL OR {})", cases.join(" OR "))
            }
            _ => several.map_or_else(
                || "TRUE".to_owned(),
                |several| format!("{} NOT IN (SELECT r FROM temp.{several})", self.row),
            ),
        };
        self.mark("no-tenant", &format!("{nobodys} AND {otherwise}"))
    }

    /// Marks rows that name a tenant which is in no row of the root.
    fn unknown(&self) -> Result<(), Diagnostic> {
        let root = self.plan.tenancy.root.as_ref().filter(|root| root.created.is_none());
        let (Some(root), RowPolicy::Reject) = (root, self.policies.no_tenant) else { return Ok(()) };
        let key = format!("p.{}", quote_always(&self.plan.source.column(root.key).name));
        let known = format!(
            "SELECT {} FROM main.{} AS p WHERE {key} IS NOT NULL",
            self.tenants.normal(&key),
            name(self.plan, root.table)
        );
        for (position, source) in self.alternatives().iter().enumerate() {
            let names = matches!(
                source,
                TenantSource::Column(_) | TenantSource::Sql(_) | TenantSource::Constant(_) | TenantSource::PerRun
            );
            if !names {
                continue;
            }
            let earlier = if position == 0 {
                "TRUE".to_owned()
            } else {
                self.found_before(position)?;
                format!("r NOT IN (SELECT r FROM temp.{BEFORE})")
            };
            let fits = self.can_be_an_id(source)?;
            for query in self.tenants.queries(self.table, source)? {
                let rows = format!(
                    "SELECT r FROM ({query}) WHERE tenant IS NOT NULL AND {fits} AND {earlier} AND {} NOT IN ({known})",
                    self.tenants.normal("tenant")
                );
                self.mark_rows("unknown-tenant", &rows, None)?;
            }
        }
        Ok(())
    }

    /// Writes whether a value can be a tenant's id at all: what cannot is told as that.
    fn can_be_an_id(&self, source: &TenantSource) -> Result<String, Diagnostic> {
        if let TenantIds::File(_) = &self.plan.tenancy.tenant.ids {
            self.list_renamed()?;
            return Ok(format!("CAST(tenant AS TEXT) IN (SELECT id FROM temp.{RENAMED})"));
        }
        let condition = match source {
            TenantSource::Column(_) => self.tenants.can_be_an_id("tenant"),
            _ => None,
        };
        Ok(condition.unwrap_or_else(|| "TRUE".to_owned()))
    }

    fn list_renamed(&self) -> Result<(), Diagnostic> {
        let TenantIds::File(ids) = &self.plan.tenancy.tenant.ids else { return Ok(()) };
        self.database.execute_temp(&format!(
            "DROP TABLE IF EXISTS temp.{RENAMED}; CREATE TEMP TABLE {RENAMED} (id TEXT PRIMARY KEY);"
        ))?;
        let ids: Vec<String> = ids.keys().map(|id| format!("({})", text(id))).collect();
        ids.chunks(500).try_for_each(|ids| {
            self.database.execute_temp(&format!("INSERT INTO temp.{RENAMED} VALUES {};", ids.join(", ")))
        })
    }

    /// Marks rows with the id of a tenant that gets no new one.
    fn unmapped(&self) -> Result<(), Diagnostic> {
        if !matches!(self.plan.tenancy.tenant.ids, TenantIds::File(_)) {
            return Ok(());
        }
        self.list_renamed()?;
        let rewritten = &self.plan.rewritten;
        for value in &rewritten.values {
            let ColumnValue::TenantId(column) = value else { continue };
            if self.plan.source.column(*column).table == self.table {
                let id = self.column(*column);
                let condition =
                    format!("{id} IS NOT NULL AND CAST({id} AS TEXT) NOT IN (SELECT id FROM temp.{RENAMED})");
                self.mark("unmapped-tenant", &condition)?;
            }
        }
        Ok(())
    }

    /// Marks rows that refer to another tenant's row, and those whose own column names another tenant.
    fn conflicts(&self) -> Result<(), Diagnostic> {
        if self.policies.conflict != RowPolicy::Reject {
            return Ok(());
        }
        for &id in &self.plan.source.table(self.table).foreign_keys {
            let parent = self.plan.source.foreign_key(id).referenced_table;
            let decided = self.plan.tenancy.table(self.table).foreign_keys.get(&id);
            let is_own = matches!(
                decided,
                Some(ForeignKeyTenancy::PerTenant | ForeignKeyTenancy::FromRoot | ForeignKeyTenancy::OwnColumn(_))
            );
            let has_tenant =
                matches!(self.plan.tenancy.table(parent).placement, Placement::Root | Placement::Tenant(_));
            if !is_looked_up(self.plan, id) || !has_tenant || !(is_own || self.tenants.is_copied(parent)) {
                continue;
            }
            let (place, theirs) = self.tenants.place_of(parent, "p");
            let foreign_key = self.plan.source.foreign_key(id);
            let pairs = foreign_key.columns.iter().zip(&foreign_key.referenced_columns);
            let matched: Vec<String> = pairs
                .map(|(&own, &key)| format!("{} = +{}", self.tenants.key_of(parent, "p", key), self.column(own)))
                .collect();
            let matched = matched.join(" AND ");
            self.mark_rows(
                "tenant-conflict",
                &format!(
                    "SELECT o.r AS r FROM temp.{OWN} AS o JOIN {} ON {} = o.r WHERE o.tenant IS NOT NULL \
                     AND EXISTS (SELECT 1 FROM {place} AS p WHERE {matched} AND {theirs} IS NOT NULL) \
                     AND NOT EXISTS (SELECT 1 FROM {place} AS p WHERE {matched} AND {} = o.tenant)",
                    self.own,
                    self.row,
                    self.tenants.normal(&theirs)
                ),
                None,
            )?;
        }
        let column = self.plan.tenancy.tenant_column(&self.plan.source, self.table);
        if let (Some(TenantSource::First(_)), Some(column)) = (self.source(), column) {
            let named = self.column(column);
            self.mark_rows(
                "tenant-conflict",
                &format!(
                    "SELECT o.r AS r FROM temp.{OWN} AS o JOIN {} ON {} = o.r \
                     WHERE {named} IS NOT NULL AND o.tenant IS NOT NULL AND {} <> o.tenant",
                    self.own,
                    self.row,
                    self.tenants.normal(&named)
                ),
                None,
            )?;
        }
        Ok(())
    }
}

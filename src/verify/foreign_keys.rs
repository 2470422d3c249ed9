//! A foreign key by anti-join over the target's rows: what the catalog says about its validity counts for nothing.
//!
//! A proof that reads all rows anyway looks at them as they come (`references`), and asks here about those foreign keys that
//! may be broken.

use super::proof::{EXAMPLES, ForeignKeyProof, ForeignKeyViolation, ForeignKeyViolationKind, KeyPart};
use super::readable::Readable;
use super::references::same_tenant;
use crate::diagnostic::Diagnostic;
use crate::emit::qualified_table;
use crate::ident::{quote, visible};
use crate::plan::Plan;
use crate::postgres::{Connection, Row};
use crate::schema::{ColumnId, ForeignKey};

/// Checks a foreign key.
pub(super) fn check(
    plan: &Plan,
    target: &mut Connection,
    readable: &Readable,
    foreign_key: &ForeignKey,
) -> Result<ForeignKeyProof, Diagnostic> {
    let schema = &plan.rewritten.target;
    let mut proof = unbroken(plan, foreign_key);
    for table in [foreign_key.table, foreign_key.referenced_table] {
        if let Some(obstacle) = readable.obstacle(table) {
            proof.unchecked = Some(format!("{} cannot be read: {obstacle}", visible(&schema.table(table).name)));
            return Ok(proof);
        }
    }
    let broken = Broken { plan, foreign_key };
    let mut find = |kind, condition: &str| broken.find(target, kind, condition);
    if let Some(condition) = broken.half_null() {
        proof.violations.extend(find(ForeignKeyViolationKind::HalfNull, &condition)?);
    }
    let unmatched = broken.unmatched();
    // The two kinds are told apart only where there is something to tell apart: no index helps with that.
    if let Some(orphans) = find(ForeignKeyViolationKind::Orphan, &unmatched)? {
        match broken.matched_elsewhere() {
            None => proof.violations.push(orphans),
            Some(elsewhere) => {
                let nowhere = format!("{unmatched} AND NOT {elsewhere}");
                proof.violations.extend(find(ForeignKeyViolationKind::Orphan, &nowhere)?);
                let elsewhere = format!("{unmatched} AND {elsewhere}");
                proof.violations.extend(find(ForeignKeyViolationKind::OtherTenant, &elsewhere)?);
            }
        }
    }
    if let Some(condition) = broken.names_other_tenant() {
        proof.violations.extend(find(ForeignKeyViolationKind::OtherTenant, &condition)?);
    }
    Ok(proof)
}

/// Returns the proof of a foreign key that no row breaks.
pub(super) fn unbroken(plan: &Plan, foreign_key: &ForeignKey) -> ForeignKeyProof {
    ForeignKeyProof {
        table: plan.rewritten.target.table(foreign_key.table).name.clone(),
        name: foreign_key.name.clone().unwrap_or_default(),
        unchecked: None,
        violations: Vec::new(),
    }
}

/// Writes the conditions under which a row `c` breaks a foreign key.
struct Broken<'p> {
    plan: &'p Plan,
    foreign_key: &'p ForeignKey,
}

impl Broken<'_> {
    fn name(&self, column: ColumnId) -> String {
        quote(&self.plan.rewritten.target.column(column).name).into_owned()
    }

    fn each_column(&self, form: impl Fn(String) -> String, between: &str) -> String {
        self.foreign_key.columns.iter().map(|&id| form(self.name(id))).collect::<Vec<_>>().join(between)
    }

    /// Some columns are NULL and some are not: MATCH FULL refuses that.
    fn half_null(&self) -> Option<String> {
        let some_null = self.each_column(|column| format!("c.{column} IS NULL"), " OR ");
        let some_given = self.each_column(|column| format!("c.{column} IS NOT NULL"), " OR ");
        self.foreign_key.match_full.then(|| format!("({some_null}) AND ({some_given})"))
    }

    /// All columns are given, and no row has that key.
    fn unmatched(&self) -> String {
        let given = self.each_column(|column| format!("c.{column} IS NOT NULL"), " AND ");
        format!("{given} AND NOT {}", self.exists(|_| true))
    }

    /// A row of another tenant has that key; `None` where the key is nothing but the tenant, or has no tenant in it.
    fn matched_elsewhere(&self) -> Option<String> {
        let tenant = self.plan.rewritten.tenant_columns[self.foreign_key.referenced_table.index()]?;
        let referenced = &self.foreign_key.referenced_columns;
        (referenced.len() > 1 && referenced.contains(&tenant)).then(|| self.exists(|column| column != tenant))
    }

    fn exists(&self, counts: impl Fn(ColumnId) -> bool) -> String {
        let pairs = self.foreign_key.columns.iter().zip(&self.foreign_key.referenced_columns);
        let pairs = pairs.filter(|(_, referenced)| counts(**referenced));
        let matches =
            pairs.map(|(&column, &referenced)| format!("p.{} = c.{}", self.name(referenced), self.name(column)));
        let parent = qualified_table(self.plan, self.foreign_key.referenced_table);
        format!("EXISTS (SELECT FROM {parent} p WHERE {})", matches.collect::<Vec<_>>().join(" AND "))
    }

    /// The reference has a tenant column of its own, and that names another tenant than the row's; `None` where it may.
    fn names_other_tenant(&self) -> Option<String> {
        let (named, own) = same_tenant(self.plan, self.foreign_key)?;
        Some(format!("c.{} <> c.{}", self.name(named), self.name(own)))
    }

    /// Counts the rows `c` for which a condition holds, and takes the keys of the first; `None` where there are none.
    fn find(
        &self,
        target: &mut Connection,
        kind: ForeignKeyViolationKind,
        condition: &str,
    ) -> Result<Option<ForeignKeyViolation>, Diagnostic> {
        let name = self.foreign_key.name.as_deref().unwrap_or_default();
        let purpose = format!("check the foreign key {}", visible(name));
        let broken = format!("{} c WHERE {condition}", qualified_table(self.plan, self.foreign_key.table));
        // Counted by itself: with a LIMIT beside it, PostgreSQL would plan for the first rows and not for all.
        let count = target.query_one(&format!("SELECT count(*) FROM {broken}"), &[], &purpose)?.integer(0)?;
        let rows = u64::try_from(count).unwrap_or_default();
        if rows == 0 {
            return Ok(None);
        }
        let key = self.shown_columns();
        let columns: Vec<String> = key.iter().map(|&column| format!("c.{}", self.name(column))).collect();
        let shown: Vec<String> = columns.iter().map(|column| format!("{column}::text")).collect();
        let sql = format!("SELECT {} FROM {broken} ORDER BY {} LIMIT {EXAMPLES}", shown.join(", "), columns.join(", "));
        let found = target.query(&sql, &[], &purpose)?;
        let parts = |row: &Row| {
            let part = |(position, &column): (usize, &ColumnId)| KeyPart {
                column: self.plan.rewritten.target.column(column).name.clone(),
                value: visible(row.optional(position).unwrap_or("NULL")).into_owned(),
            };
            key.iter().enumerate().map(part).collect()
        };
        Ok(Some(ForeignKeyViolation { kind, rows, examples: found.iter().map(parts).collect() }))
    }

    /// The primary key, or the reference itself where the table has none.
    fn shown_columns(&self) -> &[ColumnId] {
        let schema = &self.plan.rewritten.target;
        schema
            .table(self.foreign_key.table)
            .primary_key
            .map_or(&self.foreign_key.columns, |key| &schema.key(key).columns)
    }
}

//! Checks, generated columns, defaults, predicates and expressions of indexes: the live ones against the plan's.
//!
//! The server writes an expression in its own way, so it is given the planned ones as well (`desk`), and what it writes for
//! those is compared with what it writes for the live ones. Defaults that are constants on both sides are compared by value
//! (`defaults`).

use super::defaults;
use super::desk;
use crate::diagnostic::Diagnostic;
use crate::emit;
use crate::ident::visible;
use crate::plan::Plan;
use crate::postgres::{Connection, Unsaid, existing_tables, read_catalog_in_part};
use crate::schema::{CheckId, ColumnId, Expr, IndexId, TableId, TargetSchema};

/// What a comparison of the live schema with the plan found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CatalogProof {
    /// How the live schema differs from the plan, one sentence a difference.
    pub differences: Vec<String>,
    /// What could not be compared, and why, one sentence each.
    pub uncompared: Vec<String>,
}

/// Compares the live expressions with the plan's. The planned ones are written down in temporary tables, which are rolled
/// back: it takes a connection without an open transaction, and the right to create temporary tables.
///
/// # Errors
/// Failures of the server; they prove nothing.
pub fn verify_expressions(plan: &Plan, target: &mut Connection) -> Result<CatalogProof, Diagnostic> {
    let planned = PlannedExpressions::write_down(plan, target)?;
    Ok(CatalogProof { differences: planned.differences(plan, target)?, uncompared: planned.uncompared })
}

/// What an expression is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Default(ColumnId),
    Generated(ColumnId),
    Check(CheckId),
    Predicate(IndexId),
    /// One part of an index, counted from 0.
    Part(IndexId, usize),
}

impl Use {
    /// Returns the expression that the plan has for it.
    pub fn planned(self, target: &TargetSchema) -> Option<&Expr> {
        match self {
            Self::Default(column) => target.column(column).default.as_ref(),
            Self::Generated(column) => target.column(column).generated.as_ref().map(|generated| &generated.expr),
            Self::Check(check) => Some(&target.check(check).expr),
            Self::Predicate(index) => target.index(index).predicate.as_ref(),
            Self::Part(index, part) => target.index(index).parts.get(part).map(|part| &part.expr),
        }
    }

    /// Returns the live expression in the place of the planned one, by the names of table and object.
    fn live<'l>(self, target: &TargetSchema, (live, table): (&'l TargetSchema, TableId)) -> Option<&'l Expr> {
        let found = live.table(table);
        let column = |id: ColumnId| {
            let mut columns = found.columns.iter().map(|&column| live.column(column));
            columns.find(|column| column.name == target.column(id).name)
        };
        let index = |id: IndexId| {
            let mut indexes = found.indexes.iter().map(|&index| live.index(index));
            indexes.find(|index| index.name == target.index(id).name)
        };
        match self {
            Self::Default(id) => column(id)?.default.as_ref(),
            Self::Generated(id) => column(id)?.generated.as_ref().map(|generated| &generated.expr),
            Self::Check(id) => {
                let mut checks = found.checks.iter().map(|&check| live.check(check));
                checks.find(|check| check.name == target.check(id).name).map(|check| &check.expr)
            }
            Self::Predicate(id) => index(id)?.predicate.as_ref(),
            Self::Part(id, part) => index(id)?.parts.get(part).map(|part| &part.expr),
        }
    }

    /// Returns the name of the object that it belongs to.
    fn object(self, target: &TargetSchema) -> &str {
        match self {
            Self::Default(column) | Self::Generated(column) => &target.column(column).name,
            Self::Check(check) => target.check(check).name.as_deref().unwrap_or_default(),
            Self::Predicate(index) | Self::Part(index, _) => &target.index(index).name,
        }
    }

    fn describe(self, target: &TargetSchema) -> String {
        let name = visible(self.object(target));
        match self {
            Self::Default(_) => format!("the default of {name}"),
            Self::Generated(_) => format!("the generated column {name}"),
            Self::Check(_) => format!("the CHECK {name}"),
            Self::Predicate(_) => format!("the predicate of the index {name}"),
            Self::Part(_, part) => format!("part {} of the index {name}", part + 1),
        }
    }
}

/// Lists the expressions of a planned table.
fn uses(target: &TargetSchema, table: TableId) -> Vec<Use> {
    let planned = target.table(table);
    let columns = planned.columns.iter().flat_map(|&column| [Use::Default(column), Use::Generated(column)]);
    let checks = planned.checks.iter().map(|&check| Use::Check(check));
    let indexes = planned.indexes.iter().flat_map(|&index| {
        let parts = (0..target.index(index).parts.len()).map(move |part| Use::Part(index, part));
        std::iter::once(Use::Predicate(index)).chain(parts)
    });
    let is_expression = |of: &Use| of.planned(target).is_some_and(|expr| !matches!(expr, Expr::Column(_)));
    columns.chain(checks).chain(indexes).filter(is_expression).collect()
}

/// The planned expressions as the server writes them.
pub(super) struct PlannedExpressions {
    written: Vec<(TableId, Use, Written)>,
    pub uncompared: Vec<String>,
}

/// One expression in the server's writing.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Written {
    /// Of what the plan says.
    once: String,
    /// Of its own writing: what a dump that was restored has. The two differ in casts within lists, for one.
    twice: String,
}

impl PlannedExpressions {
    /// Has the server write down every expression of the plan.
    pub fn write_down(plan: &Plan, connection: &mut Connection) -> Result<Self, Diagnostic> {
        let target = &plan.rewritten.target;
        let mut all = Self { written: Vec::new(), uncompared: Vec::new() };
        let tables = target.table_ids().map(|table| (table, uses(target, table))).filter(|(_, uses)| !uses.is_empty());
        let tables: Vec<(TableId, Vec<Use>)> = tables.collect();
        if tables.is_empty() {
            return Ok(all);
        }
        if let Some(obstacle) = desk::obstacle(connection)? {
            all.uncompared.push(format!("checks, generated columns, defaults and expressions of indexes: {obstacle}"));
            return Ok(all);
        }
        for (table, uses) in tables {
            let planned = uses.iter().filter_map(|of| of.planned(target)).map(|expr| emit::expression(target, expr));
            match write_table(target, table, &uses, planned.collect(), connection) {
                Ok(written) => all.written.extend(uses.iter().zip(written).map(|(&of, written)| (table, of, written))),
                Err(error) if matches!(error.code, "connection-lost" | "unexpected-answer") => return Err(error),
                Err(error) => {
                    let table = visible(&target.table(table).name);
                    all.uncompared.push(format!(
                        "{table}: checks, generated columns, defaults, expressions of indexes: {}",
                        error.message
                    ));
                }
            }
        }
        Ok(all)
    }

    /// Compares them with the live ones. What is missing on a side is told by the comparison of the objects.
    pub fn differences(&self, plan: &Plan, connection: &mut Connection) -> Result<Vec<String>, Diagnostic> {
        let target = &plan.rewritten.target;
        let schema = plan.tenancy.target_schema.as_str();
        let mut names: Vec<&str> = self.written.iter().map(|(table, ..)| target.table(*table).name.as_str()).collect();
        names.dedup();
        let present = existing_tables(connection, schema, &names)?;
        let present: Vec<&str> = present.iter().map(String::as_str).collect();
        let (live, unsaid) = read_catalog_in_part(connection, schema, &present)?;
        let mut differences = Vec::new();
        for (table, of, written) in &self.written {
            let name = &target.table(*table).name;
            let Some(found) = live.table_ids().find(|&found| live.table(found).name == *name) else { continue };
            if is_unsaid(&unsaid, name, of.object(target)) {
                continue;
            }
            let Some(Expr::Postgres(text)) = of.live(target, (&live, found)) else { continue };
            if !self.is_same(target, *of, text, written) {
                differences.push(format!(
                    "{}: {} is {}, and is to be {}",
                    visible(name),
                    of.describe(target),
                    visible(text),
                    visible(&written.once)
                ));
            }
        }
        Ok(differences)
    }

    fn is_same(&self, target: &TargetSchema, of: Use, live: &str, written: &Written) -> bool {
        if let Use::Default(column) = of {
            let column = target.column(column);
            // Two constants are told apart with the columns, by value.
            let by_value = column.default.as_ref().and_then(|planned| defaults::same(column.data_type, planned, live));
            if by_value.is_some() {
                return true;
            }
        }
        // The one is another word for the other.
        let is_now = |text: &str| matches!(text, "now()" | "CURRENT_TIMESTAMP");
        live == written.once || live == written.twice || (is_now(live) && is_now(&written.once))
    }
}

/// Says whether an object has been reported as one that the model cannot say: what was read of it means nothing.
fn is_unsaid(unsaid: &[Unsaid], table: &str, object: &str) -> bool {
    unsaid.iter().any(|unsaid| unsaid.table == visible(table) && unsaid.object == object)
}

/// Has the server write down the expressions of one table, and then its own writing of them.
fn write_table(
    target: &TargetSchema,
    table: TableId,
    uses: &[Use],
    planned: Vec<String>,
    connection: &mut Connection,
) -> Result<Vec<Written>, Diagnostic> {
    let mut transaction = connection.begin()?;
    // Whatever the role's transactions are by default.
    transaction.execute("SET TRANSACTION READ WRITE", "create a temporary table")?;
    let once = desk::write_down(target, table, uses, &planned, &mut transaction)?;
    let twice = desk::write_down(target, table, uses, &once, &mut transaction)?;
    transaction.rollback()?;
    Ok(once.into_iter().zip(twice).map(|(once, twice)| Written { once, twice }).collect())
}

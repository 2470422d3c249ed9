//! CHECK constraints, asked of SQLite for each row.
//!
//! SQLite does not check what was stored under `PRAGMA ignore_check_constraints`, or before the constraint was there. The
//! condition is evaluated as SQLite reads it: where PostgreSQL reads the translation differently, it does so because a value
//! has another type there, and that value is a finding of its own. A condition that the spec spells out in PostgreSQL's
//! dialect only a server can evaluate; the audit says so.

use crate::diagnostic::Diagnostic;
use crate::ident::{quote_always, visible};
use crate::plan::Plan;
use crate::schema::{TableId, Value, sqlite_text};
use crate::spec::CheckSays;
use crate::sqlite::Database;

/// A CHECK of the source that the target has, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SourceCheck {
    /// The name that the target gives it.
    pub name: String,
    /// Whether a row breaks it, in SQLite's dialect.
    pub violated: String,
}

/// Lists the checks of a target table that SQLite can evaluate; the others get a sentence in `unjudged`.
pub(super) fn of_table(
    plan: &Plan,
    target: TableId,
    database: &Database,
    unjudged: &mut Vec<String>,
) -> Result<Vec<SourceCheck>, Diagnostic> {
    let source = plan.rewritten.source_tables[target.index()];
    if plan.tenancy.is_created(source) {
        return Ok(Vec::new());
    }
    let table = &plan.source.table(source).name;
    let mut checks = Vec::new();
    for (id, decided) in &plan.tenancy.table(source).checks {
        let mut leave = |why: &str| {
            unjudged.push(format!("{}: the CHECK {} {why}", visible(table), visible(&decided.name)));
        };
        match &decided.says {
            CheckSays::Omit => continue,
            CheckSays::Sql(_) => {
                leave("is written in PostgreSQL's dialect: only the server can tell whether all rows keep it");
                continue;
            }
            CheckSays::Same => {}
        }
        let Some(text) = sqlite_text(&plan.source, &plan.source.check(*id).expr) else {
            leave("cannot be written in SQLite's dialect");
            continue;
        };
        let violated = format!("(NOT ({text}))");
        let probe = format!("SELECT {violated} FROM {} LIMIT 0", quote_always(table));
        match database.for_each_row::<Diagnostic>(&probe, &[], &mut |_| Ok(())) {
            Ok(()) => checks.push(SourceCheck { name: decided.name.clone(), violated }),
            Err(_) => leave("calls what only the application has: only the server can tell whether all rows keep it"),
        }
    }
    Ok(checks)
}

/// Returns the checks that a row breaks, by the values of their expressions; NULL breaks none.
pub(super) fn violated<'c>(
    checks: &'c [SourceCheck],
    values: &'c [Value<'_>],
) -> impl Iterator<Item = &'c SourceCheck> {
    checks.iter().zip(values).filter(|(_, value)| **value == Value::Integer(1)).map(|(check, _)| check)
}

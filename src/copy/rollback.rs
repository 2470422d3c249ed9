//! Undoes a recorded run, at any moment of it: drops what it created, and nothing else.

use super::expect;
use super::run::Session;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::emit;
use crate::failpoint::reach;
use crate::ident::visible;
use crate::plan::{Plan, Section};
use crate::postgres::{
    Connection, RunRecord, done_steps, forget_added, forget_run, made_objects, newer_rows, run_tables, schema_is_empty,
};

/// What a rollback did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolledBack {
    /// When the run had begun, for people.
    pub started: String,
    /// What was dropped, in this order.
    pub dropped: Vec<String>,
    /// The tables that were there before the run, and are empty again.
    pub emptied: Vec<String>,
    /// What the run created and others have put something into.
    pub left: Vec<String>,
    /// The rows that were written after the run, and are gone.
    pub discarded: u64,
}

impl Session<'_> {
    /// Undoes the last run that the journal has for the plan's tables, in one transaction.
    ///
    /// `discard` is the number of rows written since that may be lost; it has to be exact.
    ///
    /// # Errors
    /// `run-not-found`; `newer-rows` where rows were written after the run and `discard` does not name their number; and
    /// refusals of the server, as where somebody else's objects depend on those of the run. After any of them everything
    /// is as it was; only where the answer to the COMMIT was lost it may be undone.
    pub fn roll_back(&mut self, discard: Option<u64>) -> Result<RolledBack, Diagnostics> {
        let plan = self.plan;
        let Some(run) = self.last_run().cloned() else {
            return Err(Diagnostic::error(
                "run-not-found",
                format!(
                    "the journal of the target has no run with the plan's tables in the schema `{}`",
                    visible(&plan.tenancy.target_schema)
                ),
            )
            .help("what no run has made is not dropped; check --target and the spec's `target: {schema: …}`")
            .into());
        };
        reach("rollback: before");
        let mut transaction = self.control.begin()?;
        let done = undo(plan, &run, discard, &mut transaction)?;
        reach("rollback: before COMMIT");
        transaction.commit()?;
        reach("rollback: after COMMIT");
        self.forget_runs();
        Ok(done)
    }
}

/// Undoes a run in the transaction that `connection` is in, and takes it out of the journal.
pub(super) fn undo(
    plan: &Plan,
    run: &RunRecord,
    discard: Option<u64>,
    connection: &mut Connection,
) -> Result<RolledBack, Diagnostics> {
    // Waits for steps that dead clients still commit, and lets nobody write rows from here on.
    let objects = made_objects(connection, run.id)?;
    let tables = run_tables(connection, run.id, &plan.tenancy.target_schema)?;
    let discarded = refuse_newer_rows(plan, run, &tables, discard, connection)?;
    let mut done =
        RolledBack { started: run.started.clone(), dropped: vec![], emptied: vec![], left: vec![], discarded };
    for object in objects {
        match &object.schema {
            Some(schema) if !schema_is_empty(connection, schema)? => done.left.push(object.description),
            _ => {
                let purpose = format!("drop the {}", visible(&object.description));
                connection.execute(&object.drop, &purpose)?;
                done.dropped.push(object.description);
            }
        }
    }
    if run.expected {
        done.emptied = give_back(plan, run, &tables, connection)?;
    }
    forget_added(connection, &plan.tenancy.target_schema)?;
    forget_run(connection, run.id)?;
    Ok(done)
}

/// Counts the rows that were written after the run, and refuses to lose them unless their number is named.
fn refuse_newer_rows(
    plan: &Plan,
    run: &RunRecord,
    tables: &[String],
    discard: Option<u64>,
    connection: &mut Connection,
) -> Result<u64, Diagnostic> {
    let counted = plan.tenancy.target.profile.is_citus();
    let mut newer = Vec::new();
    for table in tables {
        let rows = newer_rows(connection, run.id, table, counted)?;
        if rows > 0 {
            newer.push((visible(table).into_owned(), rows));
        }
    }
    let total: u64 = newer.iter().map(|(_, rows)| rows).sum();
    if total == discard.unwrap_or(0) {
        return Ok(total);
    }
    let list: Vec<String> = newer.iter().map(|(table, rows)| format!("{rows} of {table}")).collect();
    let message = match total {
        0 => "no rows were written after the run".to_owned(),
        _ => {
            let rows = if total == 1 { "1 row was".to_owned() } else { format!("{total} rows were") };
            format!("{rows} written or changed after the run of {}: {}", run.started, list.join(", "))
        }
    };
    let help = match total {
        0 => "leave --discard-new-rows out".to_owned(),
        _ => format!("save them first; to lose them for good, say how many they are: --discard-new-rows {total}"),
    };
    Err(Diagnostic::error("newer-rows", message).help(help))
}

/// Empties tables that were there before the run, and makes the foreign keys again that it took away.
fn give_back(
    plan: &Plan,
    run: &RunRecord,
    tables: &[String],
    connection: &mut Connection,
) -> Result<Vec<String>, Diagnostics> {
    let ddl = blake3::hash(emit::postgres(plan, &Section::DDL).as_bytes()).to_hex().to_string();
    if run.binding.ddl != ddl {
        return Err(Diagnostic::error("run-differs", "the spec's DDL is not that of the run")
            .help("undo the run with the spec that it was begun with: its foreign keys are made again from it")
            .into());
    }
    if !tables.is_empty() {
        connection.execute(&format!("TRUNCATE {} RESTART IDENTITY", tables.join(", ")), "empty the tables")?;
    }
    for guard in plan.rewritten.guarded.iter().filter(|_| run.finished.is_some()) {
        let sql = format!("ALTER TABLE {} DISABLE ROW LEVEL SECURITY", emit::qualified_table(plan, guard.table));
        connection.execute(&sql, "switch row-level security off again")?;
    }
    let done = done_steps(connection, run.id)?;
    for (step, statement) in expect::foreign_keys(plan) {
        if done.iter().any(|done| done.step == step)
            && let Some(sql) = emit::statement(plan, statement)
        {
            let purpose = format!("make the foreign key {} again", visible(&statement.makes.describe(plan).1));
            connection.execute(&sql, &purpose)?;
        }
    }
    Ok(tables.iter().map(|table| visible(table).into_owned()).collect())
}

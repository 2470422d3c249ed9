//! Adds one more tenant to a target that holds others: the file of another installation, named by the run.
//!
//! The tables are in use, with keys, foreign keys and policies in place. So the file is moved into a schema beside them
//! first, by a run like any other, with the same proof; what is proven there then goes over in one transaction. Until that
//! commits nobody sees any of it, and an addition that was interrupted is begun anew.

use super::execute::Event;
use super::run::{Cutover, NewCutover, Session, Tables};
use super::steps::Phase;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::emit::qualified_table;
use crate::failpoint::reach;
use crate::ident::{quote, quote_always, quote_list, visible};
use crate::plan::Plan;
use crate::postgres::{
    AddedTenant, Connection, Server, continue_sequence, hand_over_rejects, record_added, sequence_next,
};
use crate::schema::{ColumnId, Deferral, ForeignKeyId, TableId};
use crate::spec::Roles;
use crate::sqlite::Snapshot;
use std::time::Instant;

/// The schema that a file is moved into before it goes over.
const BESIDE: &str = "tenantry_added";

/// What an addition did.
#[derive(Debug, Clone)]
pub struct Added {
    /// The tenant, as the run names it.
    pub tenant: String,
    /// How many rows went over; where the proof is not complete, nothing did.
    pub rows: u64,
    /// The run that moved the file beside the tables: its rows, its proof, and how long its phases and the going over took.
    pub run: Cutover,
}

/// What is to be known of a tenant before its file is added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// Nothing.
    New,
    /// This very file has been added, at that time.
    SameFile(String),
}

/// Looks up whether the run's tenant has been added before, or came with the files of the run that made the tables.
///
/// # Errors
/// `tenant-present` where it was, from another file or another state of it.
pub fn known(session: &mut Session<'_>, tenant: &str, snapshot: &Snapshot) -> Result<Known, Diagnostic> {
    if let Some(run) = session.last_run().cloned()
        && let Some(file) = session.files(&run)?.into_iter().find(|file| file.tenant == tenant)
    {
        return match file.snapshot == snapshot.hash {
            true => Ok(Known::SameFile(run.finished.unwrap_or(run.started))),
            false => {
                Err(present(tenant, &format!("it came from {}, or from another state of it", visible(&file.path))))
            }
        };
    }
    let added = session.added()?;
    match added.into_iter().find(|added| added.tenant == tenant) {
        None => Ok(Known::New),
        Some(added) if added.snapshot == snapshot.hash => Ok(Known::SameFile(added.done)),
        Some(added) => {
            Err(present(tenant, &format!("it was added at {}, from another file or state of it", added.done)))
        }
    }
}

fn present(tenant: &str, why: &str) -> Diagnostic {
    Diagnostic::error("tenant-present", format!("the tenant {} is in the target already: {why}", visible(tenant)))
        .help("nothing was changed; name another tenant, or take its rows away first")
}

/// Moves an audited snapshot beside the plan's tables, proves it there, and lets it go over.
///
/// `target` is the session that holds the lock on the plan's schema.
///
/// # Errors
/// `tenant-present`, `shared-differs` where the file has other shared rows than the target, and those of a cutover. The
/// plan's tables are then as they were.
pub fn add(
    target: &mut Session<'_>,
    server: &Server,
    new: &NewCutover<'_>,
    tenant: &str,
    jobs: usize,
    watch: &mut dyn FnMut(Event),
) -> Result<Added, Diagnostics> {
    let plan = target.plan;
    let beside = plan_beside(plan)?;
    let mut session = Session::open(&beside, server)?;
    if session.last_run().is_some() {
        // One that was interrupted: whoever had put something into it is this program.
        session.roll_back(None)?;
    }
    let run = session.begin(&NewCutover { tables: Tables::Created, ..*new })?;
    let first_run = target.last_run().map(|run| run.id);
    let done = session.execute(run, new.settled.rows(new.snapshot), None, jobs, watch)?;
    let mut added = Added { tenant: tenant.to_owned(), rows: 0, run: done };
    // The tables beside, which lack statistics, do not stay.
    added.run.without_statistics = None;
    if added.run.verification.is_proven() {
        reach("add: before");
        watch(Event::Phase(Phase::Add));
        let started = Instant::now();
        let runs = first_run.map(|first| (run, first));
        let went_over = go_over(plan, &beside, (tenant, new.snapshot), runs, target.connection(), watch);
        reach("add: after COMMIT");
        // What stands beside is of no use to anybody, whether it went over or was refused.
        session.roll_back(None)?;
        added.rows = went_over?;
        added.run.phases.push((Phase::Add, started.elapsed()));
        return Ok(added);
    }
    session.roll_back(None)?;
    Ok(added)
}

/// Makes the plan of the same tables in a schema of their own, with nothing that guards them or acts on its own.
fn plan_beside(plan: &Plan) -> Result<Plan, Diagnostics> {
    let mut tenancy = plan.tenancy.clone();
    tenancy.target_schema = BESIDE.to_owned();
    tenancy.isolation.rls = None;
    tenancy.isolation.roles = Roles::default();
    tenancy.views.iter_mut().for_each(|view| view.query = None);
    tenancy.triggers.iter_mut().for_each(|trigger| trigger.statements.clear());
    tenancy.extra.clear();
    Plan::new(plan.declared_source(), tenancy)
}

/// Lets the rows of a tenant go over. `runs` are that of the rows beside, which is undone afterwards, and that of the target,
/// whose record of rejected rows takes the other's.
fn go_over(
    plan: &Plan,
    beside: &Plan,
    (tenant, snapshot): (&str, &Snapshot),
    runs: Option<(i64, i64)>,
    connection: &mut Connection,
    watch: &mut dyn FnMut(Event),
) -> Result<u64, Diagnostic> {
    let target = &plan.rewritten.target;
    let mut transaction = connection.begin()?;
    for table in target.table_ids() {
        match plan.rewritten.tenant_columns[table.index()] {
            Some(column) => refuse_present_rows(plan, beside, (table, column), tenant, &mut transaction)?,
            None => refuse_other_rows(plan, beside, table, &mut transaction)?,
        }
    }
    let deferred = defer_foreign_keys(plan, &mut transaction)?;
    let mut rows = 0;
    for table in target.table_ids() {
        let Some(column) = plan.rewritten.tenant_columns[table.index()] else { continue };
        let (own, others) = (qualified_table(plan, table), qualified_table(beside, table));
        let columns = columns(plan, table);
        let purpose = format!("let the rows of {} go over", visible(&target.table(table).name));
        let triggers = has_triggers(&own, &mut transaction)?;
        if triggers {
            transaction.execute(&format!("ALTER TABLE {own} DISABLE TRIGGER USER"), &purpose)?;
        }
        let sql = format!("INSERT INTO {own} ({columns}) SELECT {columns} FROM {others}");
        let of_table = transaction.execute(&sql, &purpose)?;
        rows += of_table;
        if triggers {
            transaction.execute(&format!("ALTER TABLE {own} ENABLE TRIGGER USER"), &purpose)?;
        }
        prove(plan, beside, (table, column), &mut transaction)?;
        continue_identities(plan, beside, table, &mut transaction)?;
        watch(Event::Rows { table: target.table(table).name.clone(), rows: of_table });
    }
    if !deferred.is_empty() {
        transaction.execute("SET CONSTRAINTS ALL IMMEDIATE", "check the foreign keys")?;
    }
    for id in deferred {
        transaction.execute(&alter_foreign_key(plan, id, "NOT DEFERRABLE"), "make a foreign key what it was")?;
    }
    let added = AddedTenant { tenant: tenant.to_owned(), snapshot: snapshot.hash.clone(), done: String::new() };
    if let Some((from, to)) = runs {
        hand_over_rejects(&mut transaction, from, to, tenant)?;
    }
    record_added(&mut transaction, &plan.tenancy.target_schema, &added, rows)?;
    reach("add: before COMMIT");
    transaction.commit()?;
    Ok(rows)
}

/// Lists the columns that an INSERT fills.
fn columns(plan: &Plan, table: TableId) -> String {
    let target = &plan.rewritten.target;
    let filled = target.table(table).columns.iter().filter(|&&column| target.column(column).generated.is_none());
    quote_list(filled.map(|&column| target.column(column).name.as_str()))
}

fn refuse_present_rows(
    plan: &Plan,
    beside: &Plan,
    (table, column): (TableId, ColumnId),
    tenant: &str,
    connection: &mut Connection,
) -> Result<(), Diagnostic> {
    let described = plan.rewritten.target.column(column);
    let column = quote(&described.name);
    let sql = format!(
        "SELECT EXISTS (SELECT FROM {} WHERE {column} IN (SELECT {column} FROM {}))",
        qualified_table(plan, table),
        qualified_table(beside, table)
    );
    if connection.query_one(&sql, &[], "look for rows of the tenant")?.boolean(0)? {
        let table = visible(&plan.rewritten.target.table(table).name);
        return Err(present(tenant, &format!("{table} has rows of it")));
    }
    Ok(())
}

/// Refuses a file whose shared rows are not the target's: there is one copy for all.
fn refuse_other_rows(
    plan: &Plan,
    beside: &Plan,
    table: TableId,
    connection: &mut Connection,
) -> Result<(), Diagnostic> {
    let (own, others) = (qualified_table(plan, table), qualified_table(beside, table));
    // As text: not every type can be compared.
    let columns: Vec<String> = plan
        .rewritten
        .target
        .table(table)
        .columns
        .iter()
        .map(|&column| format!("{}::text", quote_always(&plan.rewritten.target.column(column).name)))
        .collect();
    let columns = columns.join(", ");
    let count = |from: &str, but: &str| {
        format!("(SELECT count(*) FROM (SELECT {columns} FROM {from} EXCEPT ALL SELECT {columns} FROM {but}) AS x)")
    };
    let sql = format!("SELECT {}, {}", count(&others, &own), count(&own, &others));
    let row = connection.query_one(&sql, &[], "compare shared rows")?;
    let (more, fewer) = (row.integer(0)?, row.integer(1)?);
    if more == 0 && fewer == 0 {
        return Ok(());
    }
    let name = visible(&plan.rewritten.target.table(table).name);
    Err(Diagnostic::error(
        "shared-differs",
        format!("the shared table {name} differs: {more} of the file's rows are not in the target, and {fewer} of the target's not in the file"),
    )
    .help("nothing was changed; bring the two into agreement, or make the table a tenant's: `tenant: per_run`"))
}

/// Lets foreign keys wait for the end where rows refer to tables that come later: those of a circle.
fn defer_foreign_keys(plan: &Plan, connection: &mut Connection) -> Result<Vec<ForeignKeyId>, Diagnostic> {
    let target = &plan.rewritten.target;
    let mut deferred = Vec::new();
    for table in target.table_ids() {
        for &id in &target.table(table).foreign_keys {
            let key = target.foreign_key(id);
            if key.referenced_table.index() <= table.index() {
                continue;
            }
            if key.deferral == Deferral::NotDeferrable {
                let sql = alter_foreign_key(plan, id, "DEFERRABLE INITIALLY DEFERRED");
                connection.execute(&sql, "let a foreign key wait")?;
                deferred.push(id);
            } else {
                connection.execute("SET CONSTRAINTS ALL DEFERRED", "let foreign keys wait")?;
            }
        }
    }
    Ok(deferred)
}

fn alter_foreign_key(plan: &Plan, id: ForeignKeyId, deferral: &str) -> String {
    let key = plan.rewritten.target.foreign_key(id);
    let name = quote(key.name.as_deref().unwrap_or_default());
    format!("ALTER TABLE {} ALTER CONSTRAINT {name} {deferral}", qualified_table(plan, key.table))
}

fn has_triggers(table: &str, connection: &mut Connection) -> Result<bool, Diagnostic> {
    let sql = "SELECT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = $1::regclass AND NOT tgisinternal)";
    connection.query_one(sql, &[Some(table)], "look for triggers")?.boolean(0)
}

/// Compares what went over with what was proven: how many rows, and a sum over all their columns.
fn prove(
    plan: &Plan,
    beside: &Plan,
    (table, column): (TableId, ColumnId),
    connection: &mut Connection,
) -> Result<(), Diagnostic> {
    let target = &plan.rewritten.target;
    let columns: Vec<String> =
        target.table(table).columns.iter().map(|&column| quote_always(&target.column(column).name)).collect();
    let sum =
        format!("count(*) || ' ' || coalesce(sum(hashtextextended(ROW({})::text, 0)::numeric), 0)", columns.join(", "));
    let (own, others) = (qualified_table(plan, table), qualified_table(beside, table));
    let tenant = quote_always(&target.column(column).name);
    let sql = format!(
        "SELECT (SELECT {sum} FROM {own} WHERE {tenant} IN (SELECT {tenant} FROM {others})) = (SELECT {sum} FROM {others})"
    );
    if connection.query_one(&sql, &[], "prove what went over")?.boolean(0)? {
        return Ok(());
    }
    let name = visible(&target.table(table).name);
    Err(Diagnostic::error("not-proven", format!("the rows of {name} are not those that were moved"))
        .help("nothing was changed; look for rules and column defaults that others have put on the table"))
}

/// Lets identities go on above what went over; never back below what they have given out.
fn continue_identities(
    plan: &Plan,
    beside: &Plan,
    table: TableId,
    connection: &mut Connection,
) -> Result<(), Diagnostic> {
    let target = &plan.rewritten.target;
    let (schema, name) = (&plan.tenancy.target_schema, &target.table(table).name);
    for column in
        target.table(table).columns.iter().map(|&column| target.column(column)).filter(|column| column.identity)
    {
        let own = sequence_next(connection, schema, name, &column.name)?.unwrap_or(1);
        let other = sequence_next(connection, &beside.tenancy.target_schema, name, &column.name)?.unwrap_or(1);
        if other > own {
            continue_sequence(connection, schema, name, &column.name, other - 1)?;
        }
    }
    Ok(())
}

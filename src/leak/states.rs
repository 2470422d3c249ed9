//! What a query is tried over, and what it answers there.

use super::queries::{Kind, Query};
use super::scratch::{Trial, TrialTable};
use crate::diagnostic::Diagnostic;
use crate::ident::literal;
use crate::plan::Plan;
use crate::postgres::{Connection, Refusal};
use crate::schema::TableId;

/// Whose rows there are. What is the tenant's and what is the clone's has the same keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// The tenant's alone.
    Alone,
    /// The tenant's and the clone's.
    Both,
    /// Nobody's.
    Nobody,
    /// The tenant's have been given to the clone.
    GivenAway,
    /// The tenant's, and in one table the clone's as well.
    BothIn(TableId),
    /// The tenant's, but for one table, which is empty.
    Without(TableId),
    /// The tenant's, but for one table, where they have been given to the clone.
    GivenAwayIn(TableId),
    /// The same, and in all other tables the clone's as well.
    GivenAwayInAmongBoth(TableId),
}

/// What a query gave over a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Rows, how many, and for one that writes a sum over each column of the tenant's rows in the tables it names.
    Answered {
        /// The rows, as their columns.
        rows: Vec<Vec<String>>,
        /// How many it gave or touched.
        count: u64,
        /// The sums.
        sums: Vec<String>,
    },
    /// The server's refusal.
    Refused(Refusal),
}

/// How long a query may take: one that forgets a join's predicate can take for ever.
const LIMIT: &str = "60s";

/// Runs queries over a state, each as if it were alone; the answers stand in the queries' order.
pub(super) fn run(
    plan: &Plan,
    trial: &Trial,
    state: State,
    queries: &[&Query],
    connection: &mut Connection,
) -> Result<Vec<Outcome>, Diagnostic> {
    let mut transaction = connection.begin()?;
    for statement in statements(trial, state) {
        transaction.execute(&statement, "prepare a trial")?;
    }
    // The application's sessions have it: a tenant column may take its DEFAULT from there.
    transaction.set(&plan.tenancy.isolation.setting, &trial.tenant)?;
    transaction.set("statement_timeout", LIMIT)?;
    transaction.execute("SAVEPOINT trial", "begin a trial")?;
    let mut outcomes = Vec::new();
    for query in queries {
        outcomes.push(attempt(trial, query, &mut transaction)?);
        transaction.execute("ROLLBACK TO SAVEPOINT trial", "end a trial")?;
    }
    transaction.rollback()?;
    Ok(outcomes)
}

fn statements(trial: &Trial, state: State) -> Vec<String> {
    let (tenant, clone) = (literal(&trial.tenant), literal(&trial.clone));
    let tables = &trial.tables;
    let one = |id: TableId| tables.iter().filter(move |table| table.id == id);
    let take = |table: &TrialTable, whose: &str| {
        format!("DELETE FROM {} WHERE {} = {whose}", table.qualified, table.tenant_name)
    };
    let no_clone = || tables.iter().map(|table| take(table, &clone)).collect::<Vec<_>>();
    let give = |table: &TrialTable| table.give_away.clone();
    match state {
        State::Both => Vec::new(),
        State::Alone => no_clone(),
        State::Nobody => no_clone().into_iter().chain(tables.iter().map(|table| take(table, &tenant))).collect(),
        State::GivenAway => no_clone().into_iter().chain(tables.iter().map(give)).collect(),
        State::BothIn(id) => tables.iter().filter(|table| table.id != id).map(|table| take(table, &clone)).collect(),
        State::Without(id) => no_clone().into_iter().chain(one(id).map(|table| take(table, &tenant))).collect(),
        State::GivenAwayIn(id) => no_clone().into_iter().chain(one(id).map(give)).collect(),
        State::GivenAwayInAmongBoth(id) => one(id).flat_map(|table| [take(table, &clone), give(table)]).collect(),
    }
}

fn attempt(trial: &Trial, query: &Query, connection: &mut Connection) -> Result<Outcome, Diagnostic> {
    if let Some(rewind) = &trial.rewind {
        connection.query(rewind, &[], "set the sequences back")?;
    }
    let sql = query.statement(&trial.tenant);
    let tried = match query.kind {
        Kind::Reads | Kind::WritesAndReads => match connection.try_query(&sql)? {
            // Something in its WITH returns rows, and it itself does not.
            Err(refusal) if refusal.state == "0A000" => {
                connection.execute("ROLLBACK TO SAVEPOINT trial", "try a query again")?;
                connection.try_statement(&sql)?
            }
            tried => tried,
        },
        Kind::Writes => connection.try_statement(&sql)?,
    };
    let answer = match tried {
        Ok(answer) => answer,
        Err(refusal) => return Ok(Outcome::Refused(refusal)),
    };
    let mut sums = Vec::new();
    if query.kind != Kind::Reads {
        for table in trial.tables.iter().filter(|table| query.names.contains(&table.name)) {
            // COPY writes numbers of any size as text.
            match connection.try_query(&table.sums)? {
                Ok(found) => sums.extend(found.rows.iter().flat_map(|row| row.split('\t').map(str::to_owned))),
                Err(refusal) => return Ok(Outcome::Refused(refusal)),
            }
        }
    }
    let rows = answer.rows.iter().map(|row| row.split('\t').map(str::to_owned).collect()).collect();
    Ok(Outcome::Answered { rows, count: answer.count, sums })
}

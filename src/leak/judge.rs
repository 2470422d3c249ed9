//! Compares what queries answer over states that differ only in what other tenants have.

use super::queries::{Kind, Query};
use super::scratch::{Trial, TrialTable};
use super::states::{Outcome, State, run};
use crate::diagnostic::Diagnostic;
use crate::plan::Plan;
use crate::postgres::{Connection, Refusal};
use std::collections::BTreeMap;

/// What was found out about an application's queries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeakReport {
    /// The tenant that they were run for, as the target spells its id.
    pub tenant: String,
    /// How many rows it has.
    pub rows: u64,
    /// One for each query, in the file's order.
    pub queries: Vec<QueryReport>,
}

impl LeakReport {
    /// Counts the queries that something is to be done about.
    pub fn findings(&self) -> usize {
        self.queries.iter().filter(|query| query.verdict.is_finding()).count()
    }
}

/// What was found out about one query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryReport {
    /// What its comment calls it.
    pub name: Option<String>,
    /// The line it begins on.
    pub line: usize,
    /// What was found out.
    pub verdict: Verdict,
}

/// Whether a query keeps to its tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Its answer does not depend on what other tenants have; so many rows it gave or touched.
    Isolated(u64),
    /// It may see all tenants, and its comment says why.
    Allowed(String),
    /// Its answer depends on what other tenants have.
    Leaks {
        /// The tables whose rows of others it sees, with the tenant column of each.
        tables: Vec<(String, String)>,
        /// No table shows others' rows by itself: nothing in the query names the tenant.
        together: bool,
        /// How many rows it gives or touches for the tenant alone.
        alone: u64,
        /// How many it gives or touches once others have rows as well; `None` where it then fails.
        among_others: Option<u64>,
    },
    /// It inserts rows without the column that says whose they are.
    TenantNotNamed {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// Its ON CONFLICT names no key of the target.
    NoSuchKey {
        /// The tables it names, each with its keys.
        tables: Vec<(String, Vec<Vec<String>>)>,
    },
    /// The server refuses it.
    Refused(String),
    /// Nothing can be said of it, for this reason.
    Unjudged(&'static str),
}

impl Verdict {
    /// Says whether something is to be done.
    pub fn is_finding(&self) -> bool {
        !matches!(self, Self::Isolated(_) | Self::Allowed(_))
    }
}

const SAW_NOTHING: &str =
    "it sees no row of the tenant, so nothing shows: give its variables values that the tenant has";
const UNSTEADY: &str = "it gives another number of rows each time";

/// Runs queries on a scratch database that holds the plan's rows, and says which leak.
///
/// The database is changed: nothing else can be done with it afterwards. `wanted` is the tenant to run them for; otherwise
/// the file's `\set tenant`, otherwise the one with the most rows.
///
/// # Errors
/// `tenant-unknown`, and every failure of the server that is not a query's own.
pub fn leaks(
    plan: &Plan,
    queries: &[Query],
    wanted: Option<&str>,
    connection: &mut Connection,
) -> Result<LeakReport, Diagnostic> {
    let wanted = wanted.or_else(|| queries.iter().find_map(Query::tenant));
    let trial = Trial::prepare(plan, wanted, connection)?;
    let tried: Vec<&Query> = queries.iter().collect();
    let first = run(plan, &trial, State::Alone, &tried, connection)?;
    let second = run(plan, &trial, State::Alone, &tried, connection)?;
    let mut reports: Vec<QueryReport> = Vec::new();
    let mut suspects = Vec::new();
    for ((position, query), (alone, again)) in queries.iter().enumerate().zip(first.into_iter().zip(second)) {
        let steady = Steady::of(&alone, &again);
        let verdict = match (&query.all_tenants, &alone, steady) {
            (_, Outcome::Refused(refusal), _) => refused(plan, &trial, query, refusal),
            (Some(reason), ..) => Verdict::Allowed(reason.clone()),
            (None, Outcome::Answered { .. }, None) => Verdict::Unjudged(UNSTEADY),
            (None, Outcome::Answered { count, .. }, Some(steady)) => {
                let count = *count;
                suspects.push(Suspect { position, query, alone, steady, sees: BTreeMap::new(), among_others: None });
                if count == 0 { Verdict::Unjudged(SAW_NOTHING) } else { Verdict::Isolated(count) }
            }
        };
        reports.push(QueryReport { name: query.name.clone(), line: query.line, verdict });
    }
    try_all(plan, &trial, &mut suspects, connection)?;
    for table in &trial.tables {
        try_table(plan, &trial, table, &mut suspects, connection)?;
    }
    for suspect in suspects.into_iter().filter(|suspect| !suspect.sees.is_empty()) {
        let position = suspect.position;
        reports[position].verdict = suspect.verdict(plan, &trial);
    }
    Ok(LeakReport { tenant: trial.tenant, rows: trial.rows, queries: reports })
}

/// A query under trial.
struct Suspect<'q> {
    position: usize,
    query: &'q Query,
    /// Its answer for the tenant alone.
    alone: Outcome,
    steady: Steady,
    /// The tables whose rows of others it has been seen to see, by name; the empty name for all together.
    sees: BTreeMap<String, String>,
    among_others: Option<Outcome>,
}

impl Suspect<'_> {
    fn names(&self, plan: &Plan, table: &TrialTable) -> bool {
        // What a view reads, only the server knows.
        self.query.names.contains(&table.name)
            || plan.rewritten.views.iter().any(|view| self.query.names.contains(&view.name))
    }

    fn verdict(mut self, plan: &Plan, trial: &Trial) -> Verdict {
        self.sees.remove("");
        let together = self.sees.is_empty();
        let tables = if together {
            let named = trial.tables.iter().filter(|table| self.names(plan, table));
            named.map(|table| (table.name.clone(), table.tenant_column.clone())).collect()
        } else {
            std::mem::take(&mut self.sees).into_iter().collect()
        };
        let count = |outcome: &Outcome| match outcome {
            Outcome::Answered { count, .. } => Some(*count),
            Outcome::Refused(_) => None,
        };
        Verdict::Leaks {
            tables,
            together,
            alone: count(&self.alone).unwrap_or_default(),
            among_others: self.among_others.as_ref().and_then(count),
        }
    }
}

/// Clones all of the tenant's rows, and gives all of them away.
fn try_all(
    plan: &Plan,
    trial: &Trial,
    suspects: &mut [Suspect<'_>],
    connection: &mut Connection,
) -> Result<(), Diagnostic> {
    let queries: Vec<&Query> = suspects.iter().map(|suspect| suspect.query).collect();
    let mut over = |state| run(plan, trial, state, &queries, connection);
    let both = over(State::Both)?;
    let (nobody, again, given) = (over(State::Nobody)?, over(State::Nobody)?, over(State::GivenAway)?);
    for (position, (suspect, both)) in suspects.iter_mut().zip(both).enumerate() {
        if suspect.steady.differs(&suspect.alone, &both)
            || Steady::of(&nobody[position], &again[position])
                .is_some_and(|steady| steady.differs(&nobody[position], &given[position]))
        {
            suspect.sees.insert(String::new(), String::new());
        }
        suspect.among_others = Some(both);
    }
    Ok(())
}

/// Clones the tenant's rows in one table, and gives them away in one table, for the queries that name it.
fn try_table(
    plan: &Plan,
    trial: &Trial,
    table: &TrialTable,
    suspects: &mut [Suspect<'_>],
    connection: &mut Connection,
) -> Result<(), Diagnostic> {
    let mut concerned: Vec<&mut Suspect<'_>> =
        suspects.iter_mut().filter(|suspect| suspect.names(plan, table)).collect();
    if concerned.is_empty() {
        return Ok(());
    }
    let queries: Vec<&Query> = concerned.iter().map(|suspect| suspect.query).collect();
    let mut over = |state| run(plan, trial, state, &queries, connection);
    let both = over(State::BothIn(table.id))?;
    let (without, again) = (over(State::Without(table.id))?, over(State::Without(table.id))?);
    let (given, among) = (over(State::GivenAwayIn(table.id))?, over(State::GivenAwayInAmongBoth(table.id))?);
    for (position, suspect) in concerned.iter_mut().enumerate() {
        let steady = Steady::of(&without[position], &again[position]);
        let differs = |other: &Outcome| steady.as_ref().is_some_and(|steady| steady.differs(&without[position], other));
        if suspect.steady.differs(&suspect.alone, &both[position]) || differs(&given[position]) {
            suspect.sees.insert(table.name.clone(), table.tenant_column.clone());
        } else if differs(&among[position]) {
            suspect.sees.insert(String::new(), String::new());
        }
    }
    Ok(())
}

/// The parts of an answer that are the same each time: not those that hold the time of day or chance.
struct Steady {
    columns: Vec<bool>,
    sums: Vec<bool>,
}

impl Steady {
    /// Compares two answers over the same state; `None` where even the number of rows is not the same.
    fn of(first: &Outcome, second: &Outcome) -> Option<Self> {
        let (rows, count, sums, rows2, count2, sums2) = match (first, second) {
            (
                Outcome::Answered { rows, count, sums },
                Outcome::Answered { rows: rows2, count: count2, sums: sums2 },
            ) => (rows, count, sums, rows2, count2, sums2),
            (Outcome::Refused(one), Outcome::Refused(other)) if one.state == other.state => {
                return Some(Self { columns: Vec::new(), sums: Vec::new() });
            }
            _ => return None,
        };
        let column = |rows: &[Vec<String>], at: usize| {
            let mut values: Vec<String> = rows.iter().filter_map(|row| row.get(at).cloned()).collect();
            values.sort_unstable();
            values
        };
        let width = rows.first().map_or(0, Vec::len);
        (count == count2).then(|| Self {
            columns: (0..width).map(|at| column(rows, at) == column(rows2, at)).collect(),
            sums: sums.iter().zip(sums2).map(|(sum, sum2)| sum == sum2).collect(),
        })
    }

    fn differs(&self, one: &Outcome, other: &Outcome) -> bool {
        match (one, other) {
            (
                Outcome::Answered { rows, count, sums },
                Outcome::Answered { rows: rows2, count: count2, sums: sums2 },
            ) => {
                // A column that gave nothing when it was watched counts.
                let steady = |list: &[bool], at: usize| list.get(at).copied().unwrap_or(true);
                let kept = |rows: &[Vec<String>]| {
                    let cut = |row: &Vec<String>| {
                        let values = row.iter().enumerate().filter(|(at, _)| steady(&self.columns, *at));
                        values.map(|(_, value)| value.clone()).collect::<Vec<_>>()
                    };
                    let mut rows: Vec<Vec<String>> = rows.iter().map(cut).collect();
                    rows.sort_unstable();
                    rows
                };
                let sums_differ =
                    sums.iter().zip(sums2).enumerate().any(|(at, (sum, sum2))| steady(&self.sums, at) && sum != sum2);
                count != count2 || sums_differ || kept(rows) != kept(rows2)
            }
            (Outcome::Refused(one), Outcome::Refused(other)) => one.state != other.state,
            _ => true,
        }
    }
}

/// Says in the tenancy's words what the server refuses a query for.
fn refused(plan: &Plan, trial: &Trial, query: &Query, refusal: &Refusal) -> Verdict {
    let named = || trial.tables.iter().filter(|table| query.names.contains(&table.name));
    match (refusal.state.as_str(), &refusal.column) {
        ("23502", Some(column)) => {
            let table = refusal.table.clone().unwrap_or_default();
            let is_tenants = trial.tables.iter().any(|known| {
                known.name == table && (known.tenant_column == *column || known.tenant_ids.contains(column))
            });
            if is_tenants {
                return Verdict::TenantNotNamed { table, column: column.clone() };
            }
        }
        ("42P10", _) if query.kind != Kind::Reads => {
            let target = &plan.rewritten.target;
            let keys = |table: &TrialTable| {
                let sets = target.unique_column_sets(table.id);
                sets.iter().map(|set| target.column_names(set).map(str::to_owned).collect()).collect()
            };
            return Verdict::NoSuchKey { tables: named().map(|table| (table.name.clone(), keys(table))).collect() };
        }
        _ => {}
    }
    Verdict::Refused(refusal.message.clone())
}

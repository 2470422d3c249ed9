//! What was derived against what a run has written down, and against the rows that it moves.

use super::{Account, KeptOut, Rejected, name};
use crate::diagnostic::Diagnostic;
use crate::ident::visible;
use crate::plan::Plan;
use crate::postgres::{Connection, find_runs, recorded_rejects};
use crate::schema::{TableId, Value};
use crate::sqlite::{Database, Snapshot};
use serde::Serialize;
use siphasher::sip128::SipHasher13;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hasher;

/// How many rows a sentence names.
const SHOWN: usize = 5;

/// A row that a run has rejected, as it is written down.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordedReject {
    /// The table's name in the source.
    pub table: String,
    /// The key that a person knows the row by.
    pub key: String,
    /// Stable kebab-case code of what was wrong.
    pub code: String,
}

/// Reads which rows the run of this source has rejected, by the target's journal; a text says why it has no word of them.
pub fn recorded(plan: &Plan, target: &mut Connection, source_hash: &str) -> Result<Vec<RecordedReject>, String> {
    let names: Vec<&str> = plan.rewritten.target.tables.iter().map(|table| table.name.as_str()).collect();
    let runs = find_runs(target, &plan.tenancy.target_schema, &names).map_err(|error| error.message)?;
    let Some(run) = runs.first() else { return Err("the target has no record of a run".to_owned()) };
    if run.binding.snapshot != source_hash {
        return Err("the target's record is of another state of the source".to_owned());
    }
    let rejects = recorded_rejects(target, run.id).map_err(|error| error.message)?;
    Ok(rejects.into_iter().map(|[table, key, code]| RecordedReject { table, key, code }).collect())
}

/// What was kept out, proven or not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct KeptOutProof {
    /// What became of the rows of each table that a spec keeps rows out of; empty where it keeps none.
    pub tables: Vec<TableKeptOut>,
    /// What does not agree, one sentence each.
    pub findings: Vec<String>,
    /// Why there was no record of rejected rows to compare with.
    pub unrecorded: Option<String>,
}

impl KeptOutProof {
    /// Says whether nothing disagrees.
    pub fn is_proven(&self) -> bool {
        self.findings.is_empty()
    }

    /// Adds what was kept out of one of several files, whose name its findings get.
    pub fn add(&mut self, file: &str, other: Self) {
        for own in other.tables {
            match self.tables.iter_mut().find(|table| table.table == own.table) {
                Some(table) => table.add(own),
                None => self.tables.push(own),
            }
        }
        self.findings.extend(other.findings.into_iter().map(|finding| format!("{}: {finding}", visible(file))));
        self.unrecorded = self.unrecorded.take().or(other.unrecorded);
    }
}

/// What became of the rows of a table of the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableKeptOut {
    /// The table's name in the source.
    pub table: String,
    /// Its rows.
    pub source_rows: u64,
    /// Those that the target has to hold, in the copies that their tenants have.
    pub moved: u64,
    /// Those that were rejected.
    pub rejected: u64,
    /// Those that `keep` leaves out, and those that refer to them.
    pub left_out: u64,
    /// References that were cleared.
    pub references_cleared: u64,
    /// Rejected rows by the code that the run has recorded; without a record by the first that speaks against them.
    pub reasons: BTreeMap<String, u64>,
}

impl TableKeptOut {
    fn add(&mut self, other: Self) {
        self.source_rows += other.source_rows;
        self.moved += other.moved;
        self.rejected += other.rejected;
        self.left_out += other.left_out;
        self.references_cleared += other.references_cleared;
        for (code, rows) in other.reasons {
            *self.reasons.entry(code).or_default() += rows;
        }
    }
}

impl KeptOut {
    /// Compares what was derived with what a run has written down; `None` for what cannot be read, for that reason.
    pub fn prove(&self, plan: &Plan, record: Result<Vec<RecordedReject>, String>) -> KeptOutProof {
        let mut proof = KeptOutProof::default();
        let Some(_) = &self.copy else { return proof };
        let (codes, differences) = match record {
            Ok(record) => self.compare(plan, record),
            Err(reason) => {
                proof.unrecorded = Some(reason);
                (self.rejected.iter().map(first_code).collect(), Vec::new())
            }
        };
        proof.tables = self.accounts.iter().map(|account| self.table(plan, account, &codes)).collect();
        for table in &proof.tables {
            if table.moved + table.rejected + table.left_out != table.source_rows {
                proof.findings.push(format!(
                    "{}: of {} rows {} are moved, {} rejected and {} left out",
                    visible(&table.table),
                    table.source_rows,
                    table.moved,
                    table.rejected,
                    table.left_out
                ));
            }
        }
        proof.findings.extend(differences);
        proof
    }

    /// Says what became of a table's rows; `codes` has one for each rejected row.
    fn table(&self, plan: &Plan, account: &Account, codes: &[String]) -> TableKeptOut {
        let mut reasons = BTreeMap::new();
        for (_, code) in self.rejected.iter().zip(codes).filter(|(row, _)| row.table == account.table) {
            *reasons.entry(code.clone()).or_default() += 1;
        }
        TableKeptOut {
            table: plan.source.table(account.table).name.clone(),
            source_rows: account.source_rows,
            moved: account.moved,
            rejected: account.rejected,
            left_out: account.left_out,
            references_cleared: account.cleared,
            reasons,
        }
    }

    /// Compares the rejected rows one by one: each has to be written down, with something that does speak against it.
    ///
    /// Returns what each row was rejected for, in their order, and the differences.
    fn compare(&self, plan: &Plan, record: Vec<RecordedReject>) -> (Vec<String>, Vec<String>) {
        let mut recorded: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
        // A record shows no control character of a name or a key.
        for RecordedReject { table, key, code } in record {
            recorded.entry((visible(&table).into_owned(), visible(&key).into_owned())).or_default().push(code);
        }
        let mut wrong: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
        let mut say = |table: &str, what: String, key: &str| {
            wrong.entry((table.to_owned(), what)).or_default().push(key.to_owned());
        };
        let mut agreed = Vec::with_capacity(self.rejected.len());
        for row @ Rejected { table, key, codes } in &self.rejected {
            let (table, key) = (&visible(&plan.source.table(*table).name), &visible(key));
            let written = recorded.get_mut(&(table.to_string(), key.to_string())).filter(|codes| !codes.is_empty());
            let Some(written) = written else {
                let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
                say(table, format!("is to be rejected ({}), and no record says that it was", codes.join(", ")), key);
                agreed.push(first_code(row));
                continue;
            };
            // Rows without a key of their own share one: any record of it will do.
            let fitting = written.iter().position(|code| codes.contains(code));
            let code = written.remove(fitting.unwrap_or(0));
            if fitting.is_none() {
                let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
                say(table, format!("was rejected as {code}, and what is wrong with it is {}", codes.join(", ")), key);
            }
            agreed.push(if fitting.is_some() { code } else { first_code(row) });
        }
        for ((table, key), codes) in &recorded {
            codes
                .iter()
                .for_each(|code| say(table, format!("was rejected as {code}, and nothing is wrong with it"), key));
        }
        let sentences = wrong
            .into_iter()
            .map(|((table, what), keys)| {
                let more = if keys.len() > SHOWN { ", …" } else { "" };
                let rows = if keys.len() == 1 { "1 row".to_owned() } else { format!("{} rows", keys.len()) };
                let keys: Vec<String> = keys.into_iter().take(SHOWN).collect();
                format!("{}: {rows} {}: {}{more}", visible(&table), visible(&what), keys.join("; "))
            })
            .collect();
        (agreed, sentences)
    }

    /// Compares the rows that were derived with those that a run is to move; an empty answer means that they are the same.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn compare_rows(&self, plan: &Plan, snapshot: &Snapshot, moved: &Snapshot) -> Result<Vec<String>, Diagnostic> {
        let (own, other) = (self.rows(snapshot), moved);
        if own.path() == other.path() {
            return Ok(Vec::new());
        }
        let (own, other) = (own.open()?, other.open()?);
        let mut sentences = Vec::new();
        for table in plan.source.table_ids().filter(|&table| plan.tenancy.is_migrated(table)) {
            if plan.tenancy.is_created(table) {
                continue;
            }
            let mut rows: HashMap<u128, i64> = HashMap::new();
            each_row(plan, &own, table, &mut |hash| *rows.entry(hash).or_default() += 1)?;
            each_row(plan, &other, table, &mut |hash| *rows.entry(hash).or_default() -= 1)?;
            let missing: i64 = rows.values().filter(|count| **count > 0).sum();
            let extra: i64 = -rows.values().filter(|count| **count < 0).sum::<i64>();
            if missing + extra > 0 {
                sentences.push(format!(
                    "{}: {missing} rows that are to be moved are not, or not as they are, and {extra} are that are not to be",
                    visible(&plan.source.table(table).name)
                ));
            }
        }
        Ok(sentences)
    }
}

fn first_code(row: &Rejected) -> String {
    row.codes.first().cloned().unwrap_or_default()
}

fn each_row(plan: &Plan, database: &Database, table: TableId, f: &mut dyn FnMut(u128)) -> Result<(), Diagnostic> {
    let columns = &plan.source.table(table).columns;
    let columns: Vec<String> = plan.source.column_names(columns).map(crate::ident::quote_always).collect();
    let sql = format!("SELECT {} FROM main.{}", columns.join(", "), name(plan, table));
    database.for_each_row::<Diagnostic>(&sql, &[], &mut |values| {
        let mut hasher = SipHasher13::new();
        for value in values {
            let mut put = |tag: u8, bytes: &[u8]| {
                hasher.write_u8(tag);
                hasher.write_usize(bytes.len());
                hasher.write(bytes);
            };
            match value {
                Value::Null => put(0, &[]),
                Value::Integer(number) => put(1, &number.to_be_bytes()),
                Value::Real(number) => put(2, &number.to_bits().to_be_bytes()),
                Value::Text(bytes) => put(3, bytes),
                Value::Blob(bytes) => put(4, bytes),
            }
        }
        f(siphasher::sip128::Hasher128::finish128(&hasher).as_u128());
        Ok(())
    })
}

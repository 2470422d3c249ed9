//! Reads all of the target over several connections: the rows of each table, what foreign keys refer to, and
//! what sequences give out next.

use super::proof::{ForeignKeyProof, SequenceProof};
use super::readable::Readable;
use super::rows::TableRows;
use super::sums::{Groups, RowHasher};
use super::{foreign_keys, sequences};
use crate::diagnostic::Diagnostic;
use crate::plan::Plan;
use crate::postgres::Connection;
use crate::schema::{ForeignKeyId, TableId};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is to be read, and how.
pub(super) struct TargetSide<'a> {
    pub plan: &'a Plan,
    pub readable: &'a Readable,
    pub hasher: RowHasher,
    /// The tables that can be read, in the order of the plan.
    pub tables: &'a [Option<TableRows>],
    /// The foreign keys, in the order of the plan.
    pub foreign_keys: &'a [ForeignKeyId],
    /// The greatest number that each table of the source ever gave out, where it promises not to give it out again.
    pub given_out: &'a [Option<i64>],
}

/// What has been read, in the order in which it was asked for.
pub(super) struct TargetFound {
    /// The rows of each table; nothing for one that cannot be read.
    pub groups: Vec<Option<Groups>>,
    pub foreign_keys: Vec<ForeignKeyProof>,
    pub sequences: Vec<SequenceProof>,
}

/// One thing to do, by its position.
#[derive(Debug, Clone, Copy)]
enum Task {
    Rows(usize),
    ForeignKey(usize),
    Sequences(usize),
}

/// What the connections share while they work.
struct Work {
    /// What is left to do, the next one last.
    left: Vec<Task>,
    groups: Vec<Option<Groups>>,
    foreign_keys: Vec<Option<ForeignKeyProof>>,
    sequences: Vec<Vec<SequenceProof>>,
    failure: Option<Diagnostic>,
}

impl TargetSide<'_> {
    /// Lists what there is to do.
    pub fn begin(&self) -> Reading<'_> {
        let readable = || (0..self.tables.len()).filter(|&table| self.tables[table].is_some());
        // Tables that refer to many others come late in a plan and tend to be the largest: begun last they would be waited
        // for alone. So they are taken from the end, and what takes less after them.
        let foreign_keys = (0..self.foreign_keys.len()).map(Task::ForeignKey);
        let left = readable().map(Task::Sequences).chain(foreign_keys).chain(readable().map(Task::Rows));
        let work = Work {
            left: left.collect(),
            groups: self.tables.iter().map(|_| None).collect(),
            foreign_keys: self.foreign_keys.iter().map(|_| None).collect(),
            sequences: self.tables.iter().map(|_| Vec::new()).collect(),
            failure: None,
        };
        Reading { side: self, work: Mutex::new(work) }
    }
}

/// The reading of a target that is under way.
pub(super) struct Reading<'a> {
    side: &'a TargetSide<'a>,
    work: Mutex<Work>,
}

impl Reading<'_> {
    /// Does what is left, as long as there is something; each connection has a thread that calls this.
    pub fn work(&self, target: &mut Connection) {
        while let Some(task) = self.take() {
            if let Err(error) = self.carry_out(task, target) {
                self.lock().failure.get_or_insert(error);
            }
        }
    }

    /// Lets the connections end with what they are at.
    pub fn stop(&self) {
        self.lock().left.clear();
    }

    /// Returns what has been found, once all threads have ended.
    pub fn end(self) -> Result<TargetFound, Diagnostic> {
        let work = self.work.into_inner().unwrap_or_else(PoisonError::into_inner);
        match work.failure {
            Some(error) => Err(error),
            None => {
                let foreign_keys = work.foreign_keys.into_iter().flatten().collect();
                let sequences = work.sequences.into_iter().flatten().collect();
                Ok(TargetFound { groups: work.groups, foreign_keys, sequences })
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<Task> {
        let mut work = self.lock();
        if work.failure.is_some() { None } else { work.left.pop() }
    }

    fn carry_out(&self, task: Task, target: &mut Connection) -> Result<(), Diagnostic> {
        let TargetSide { plan, readable, hasher, tables, foreign_keys, given_out } = self.side;
        match task {
            Task::Rows(table) => {
                let mut groups = Groups::default();
                if let Some(rows) = &tables[table] {
                    rows.for_each_in_target(target, |row| groups.add(rows.tenant_of(row), hasher.hash(row)))?;
                }
                self.lock().groups[table] = Some(groups);
            }
            Task::ForeignKey(position) => {
                let foreign_key = plan.rewritten.target.foreign_key(foreign_keys[position]);
                let proof = foreign_keys::check(plan, target, readable, foreign_key)?;
                self.lock().foreign_keys[position] = Some(proof);
            }
            Task::Sequences(table) => {
                let proofs = sequences::prove(plan, TableId(table as u32), given_out[table], target)?;
                self.lock().sequences[table] = proofs;
            }
        }
        Ok(())
    }
}

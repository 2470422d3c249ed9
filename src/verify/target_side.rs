//! Reads all of the target over several connections: the rows of each table, part by part, and with them what foreign keys
//! refer to and what identities have reached.

use super::parts::Part;
use super::proof::{ForeignKeyProof, SequenceProof};
use super::readable::Readable;
use super::references::References;
use super::rows::TableRows;
use super::sums::{Groups, RowHasher};
use super::{foreign_keys, sequences};
use crate::diagnostic::Diagnostic;
use crate::plan::Plan;
use crate::postgres::{Connection, CopyOut};
use crate::schema::{ForeignKeyId, TableId};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is to be read, and how.
pub(super) struct TargetSide<'a> {
    pub plan: &'a Plan,
    pub readable: &'a Readable,
    pub hasher: RowHasher,
    /// The tables that can be read, in the order of the plan.
    pub tables: &'a [Option<Arc<TableRows>>],
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

/// What the connections share while they work.
struct Work {
    /// The tables and parts that are left to read, the next one last.
    left: Vec<(TableId, Part)>,
    groups: Vec<Option<Groups>>,
    failure: Option<Diagnostic>,
}

impl TargetSide<'_> {
    /// Lists what there is to do; `parts` are those of each table.
    pub fn begin(&self, parts: &[Vec<Part>]) -> Reading<'_> {
        let counts: Vec<usize> = parts.iter().map(Vec::len).collect();
        let mut left = Vec::new();
        // In the order of the plan, in which most foreign keys refer to what has been read.
        for table in self.plan.rewritten.target.table_ids().filter(|table| self.tables[table.index()].is_some()) {
            left.extend(parts[table.index()].iter().map(|&part| (table, part)));
        }
        left.reverse();
        let groups = self.tables.iter().map(|table| table.as_ref().map(|_| Groups::default())).collect();
        let references = References::new(self.plan, self.foreign_keys, self.hasher, &counts);
        Reading { side: self, references, work: Mutex::new(Work { left, groups, failure: None }) }
    }
}

/// The reading of a target that is under way.
pub(super) struct Reading<'a> {
    side: &'a TargetSide<'a>,
    references: References,
    work: Mutex<Work>,
}

impl Reading<'_> {
    /// Reads what is left, as long as there is something; each connection has a thread that calls this.
    pub fn work(&self, target: &mut dyn CopyOut) {
        while let Some((table, part)) = self.take() {
            if let Err(error) = self.read(table, part, target) {
                self.lock().failure.get_or_insert(error);
            }
        }
    }

    /// Lets the connections end with what they are at.
    pub fn stop(&self) {
        self.lock().left.clear();
    }

    /// Returns what has been found, once all threads have ended, and asks the server what only it can tell.
    pub fn end(self, target: &mut Connection) -> Result<TargetFound, Diagnostic> {
        let TargetSide { plan, readable, foreign_keys, given_out, .. } = self.side;
        let work = self.work.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = work.failure {
            return Err(error);
        }
        let schema = &plan.rewritten.target;
        // Where only one tenant's rows are read, those of the others may be referred to as well, and are to be kept whole.
        let reads_all = plan.only_tenant().is_none();
        let suspects = self.references.suspects();
        let mut proofs = Vec::with_capacity(foreign_keys.len());
        for (&id, is_suspect) in foreign_keys.iter().zip(suspects) {
            let foreign_key = schema.foreign_key(id);
            let tables = [foreign_key.table, foreign_key.referenced_table];
            let are_read = reads_all && tables.iter().all(|&table| readable.obstacle(table).is_none());
            proofs.push(match are_read && !is_suspect {
                true => foreign_keys::unbroken(plan, foreign_key),
                false => foreign_keys::check(plan, target, readable, foreign_key)?,
            });
        }
        let mut sequences = Vec::new();
        for table in schema.table_ids().filter(|&table| readable.obstacle(table).is_none()) {
            let greatest = match reads_all {
                true => self.references.greatest(table),
                false => sequences::greatest(plan, table, target)?,
            };
            sequences.extend(sequences::prove(plan, table, given_out[table.index()], &greatest, target)?);
        }
        Ok(TargetFound { groups: work.groups, foreign_keys: proofs, sequences })
    }

    fn lock(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<(TableId, Part)> {
        let mut work = self.lock();
        if work.failure.is_some() { None } else { work.left.pop() }
    }

    fn read(&self, table: TableId, part: Part, target: &mut dyn CopyOut) -> Result<(), Diagnostic> {
        let TargetSide { hasher, tables, .. } = self.side;
        let Some(rows) = &tables[table.index()] else { return Ok(()) };
        let mut groups = Groups::default();
        let mut watch = self.references.watch(table);
        rows.for_each_in_part(target, part, |row| {
            groups.add(rows.tenant_of(row), hasher.hash(row));
            watch.see(row);
        })?;
        watch.end();
        if let Some(all) = &mut self.lock().groups[table.index()] {
            all.append(groups);
        }
        Ok(())
    }
}

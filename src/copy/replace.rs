//! `--replace`: a new run takes the place of a recorded one.
//!
//! Both happen in one transaction: at every moment the journal has the old run with all that it made, or the new one. A
//! client that dies in between leaves nothing that nobody knows of.

use super::execute::Moved;
use super::rollback::{RolledBack, undo};
use super::run::{Facts, NewCutover, NewFiles, Session, Tables, preflight, record};
use crate::diagnostic::Diagnostics;
use crate::failpoint::reach;
use crate::postgres::{FileRecord, RejectedRow, RunRecord};

impl Session<'_> {
    /// Finds out what would keep the last run from being undone, by undoing it and taking that back.
    ///
    /// # Errors
    /// Those of [`Session::roll_back`].
    pub fn refuse_replace(&mut self, discard: Option<u64>) -> Result<(), Diagnostics> {
        let Some(run) = self.last_run().cloned() else { return Ok(()) };
        let plan = self.plan;
        let mut transaction = self.control.begin()?;
        undo(plan, &run, discard, &mut transaction)?;
        Ok(transaction.rollback()?)
    }

    /// Undoes the last run and records a new one, and returns what was undone and the new run's number.
    ///
    /// # Errors
    /// Those of [`Session::roll_back`] and [`Session::begin`]. After any of them the old run is there as it was; only where the
    /// answer to the COMMIT was lost the new one may be recorded.
    pub fn replace(
        &mut self,
        discard: Option<u64>,
        new: &NewCutover<'_>,
    ) -> Result<(Option<RolledBack>, i64), Diagnostics> {
        let Some(old) = self.last_run().cloned() else { return Ok((None, self.begin(new)?)) };
        self.prove_kept_out(new.snapshot, new.settled)?;
        let (facts, rejects) = self.facts(new);
        let moved = Moved::Database(new.snapshot);
        let (undone, run) = self.take_place(&old, discard, (moved, new.tables), (&facts, &rejects, &[]))?;
        Ok((Some(undone), run))
    }

    /// Does the same with a run that moves several files.
    ///
    /// # Errors
    /// Those of [`Session::replace`].
    pub fn replace_files(
        &mut self,
        discard: Option<u64>,
        new: &NewFiles<'_>,
    ) -> Result<(Option<RolledBack>, i64), Diagnostics> {
        let Some(old) = self.last_run().cloned() else { return Ok((None, self.begin_files(new)?)) };
        self.prove_files_kept_out(new.files)?;
        let reasons = new.reject_reasons();
        let (facts, files) = self.facts_of_files(new);
        let rejects = new.rejects(self.plan, &reasons);
        let moved = Moved::Files(new.files);
        let (undone, run) = self.take_place(&old, discard, (moved, new.tables), (&facts, &rejects, &files))?;
        Ok((Some(undone), run))
    }

    fn take_place(
        &mut self,
        old: &RunRecord,
        discard: Option<u64>,
        (moved, tables): (Moved<'_>, Tables),
        (facts, rejects, files): (&Facts<'_>, &[RejectedRow<'_>], &[FileRecord]),
    ) -> Result<(RolledBack, i64), Diagnostics> {
        let plan = self.plan;
        let mut transaction = self.control.begin()?;
        let undone = undo(plan, old, discard, &mut transaction)?;
        preflight(plan, moved, tables, &mut transaction)?;
        let run = record(plan, facts, rejects, files, &mut transaction)?;
        reach("replace: before COMMIT");
        transaction.commit()?;
        reach("replace: after COMMIT");
        self.find_runs()?;
        Ok((undone, run))
    }
}

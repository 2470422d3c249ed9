//! What a run consists of: steps, each done in a transaction of its own, and what each of them needs.

use super::tenant_files::shared_tables;
use crate::graph::Needs;
use crate::plan::{Makes, Plan, Section, Statement};
use crate::schema::{ForeignKeyId, TableId};
use std::collections::BTreeMap;

/// A part of a cutover, for people and for the summary of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Tables.
    Schema,
    /// Rows.
    Copy,
    /// Keys, indexes and foreign keys.
    Constraints,
    /// Identity sequences.
    Sequences,
    /// The proof.
    Verify,
    /// Statistics for the planner.
    Finish,
    /// Ownership, row-level security and grants.
    Isolation,
    /// One more tenant goes over to those that are there.
    Add,
}

impl Phase {
    /// Returns the phase's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Schema => "schema",
            Self::Copy => "copy",
            Self::Constraints => "constraints",
            Self::Sequences => "sequences",
            Self::Verify => "verify",
            Self::Isolation => "isolation",
            Self::Finish => "finish",
            Self::Add => "add",
        }
    }
}

/// One step.
#[derive(Debug)]
pub(super) struct Step {
    /// What the journal calls it; unlike that of every other step.
    pub name: String,
    /// The phase that it counts to.
    pub phase: Phase,
    /// What it does.
    pub work: Work,
    /// The table whose rows it works on, where it is one.
    pub table: Option<TableId>,
}

/// What a step does.
#[derive(Debug)]
pub(super) enum Work {
    /// Runs statements that may make things which stand by themselves.
    Make(Vec<Statement>),
    /// Takes away the foreign keys of tables that somebody else has made, to make them again over the rows.
    TakeForeignKeys,
    /// Copies a table's rows, chunk by chunk, each in a transaction of its own.
    Rows(TableId),
    /// Copies the rows of one of several files, those that it shares with others left out.
    File(usize),
    /// Copies the rows that several files share, each once.
    SharedRows,
    /// Makes a key or an index of a table.
    Index(Statement),
    /// Makes a foreign key that is not validated yet.
    ForeignKey(Statement),
    /// Validates a foreign key.
    Validate(ForeignKeyId),
    /// Lets the identities of a table go on above its rows.
    Sequences(TableId),
    /// Proves that the target holds the source; done again by every run that is not finished.
    Verify,
    /// Gathers statistics of a table.
    Statistics(TableId),
    /// Isolates the tenants and ends the run.
    Isolate(Vec<Statement>),
}

/// Names the transaction that copies a chunk of a table's rows.
pub(super) fn chunk_step(number: u32, table: &str) -> String {
    format!("chunk {number} of {table}")
}

/// Names the step that copies the rows of a file, by its place.
pub(super) fn file_step(file: usize) -> String {
    format!("rows of file {}", file + 1)
}

/// The step that copies the rows which files share.
pub(super) const SHARED_STEP: &str = "rows that files share";

/// Steps, and what has to be done before what.
#[derive(Debug)]
pub(super) struct Steps {
    pub list: Vec<Step>,
    pub needs: Needs,
}

impl Steps {
    /// Lists the steps of a plan; `expected` says that the tables are there, made by somebody else, and `files` how many
    /// files are moved, where these are not the rows of one source.
    ///
    /// A table's keys and indexes come as soon as its rows are there, one after the other, because each locks the table.
    /// Foreign keys are added one by one, without a look at the rows, since two at one table would wait for each other;
    /// they are validated side by side when all are there. A cluster takes only the plain form. What the spec writes in
    /// SQL comes behind all of them. Then the proof, and beside it the statistics, or even before it while foreign keys of other
    /// tables are validated: never earlier, since a foreign key would be validated by the statistics of one side, and beside
    /// rows that others still copy VACUUM could not say that all can be seen. When the proof is complete, isolation, which ends
    /// the run; it has to lock the tables that VACUUM is at.
    pub fn new(plan: &Plan, expected: bool, files: Option<usize>) -> Self {
        let mut builder = Builder { plan, expected, files, list: Vec::new(), needs: Vec::new() };
        builder.build();
        let needs = Needs::new(builder.list.len(), builder.needs);
        debug_assert!(needs.have_an_order(), "steps wait for each other");
        Self { list: builder.list, needs }
    }
}

struct Builder<'p> {
    plan: &'p Plan,
    expected: bool,
    files: Option<usize>,
    list: Vec<Step>,
    needs: Vec<(usize, usize)>,
}

impl Builder<'_> {
    fn add(&mut self, name: String, phase: Phase, work: Work, needs: impl IntoIterator<Item = usize>) -> usize {
        let position = self.list.len();
        self.needs.extend(needs.into_iter().map(|needed| (position, needed)));
        let table = match &work {
            Work::Rows(table) | Work::Sequences(table) | Work::Statistics(table) => Some(*table),
            Work::Index(statement) => match statement.makes {
                Makes::Key(key) => Some(self.plan.rewritten.target.key(key).table),
                Makes::Index(index) => Some(self.plan.rewritten.target.index(index).table),
                _ => None,
            },
            Work::Validate(id) => Some(self.plan.rewritten.target.foreign_key(*id).table),
            Work::File(_) | Work::SharedRows => None,
            Work::Make(_) | Work::TakeForeignKeys | Work::ForeignKey(_) | Work::Verify | Work::Isolate(_) => None,
        };
        self.list.push(Step { name, phase, work, table });
        position
    }

    fn build(&mut self) {
        let plan = self.plan;
        let target = &plan.rewritten.target;
        let pre_data = match self.expected {
            true => Work::TakeForeignKeys,
            false => Work::Make(plan.section(Section::PreData).copied().collect()),
        };
        let schema = self.add("pre-data".to_owned(), Phase::Schema, pre_data, []);
        // The last step about each table: of those that may not run beside each other.
        let mut last: BTreeMap<TableId, usize> = BTreeMap::new();
        match self.files {
            None => {
                for table in target.table_ids() {
                    let name = format!("rows of {}", target.table(table).name);
                    last.insert(table, self.add(name, Phase::Copy, Work::Rows(table), [schema]));
                }
            }
            Some(files) => {
                let rows = self.rows_of_files(files, schema);
                last.extend(target.table_ids().map(|table| (table, rows)));
            }
        }
        for table in target.table_ids() {
            let column = |&column: &_| target.column(column).identity;
            if target.table(table).columns.iter().any(column) {
                let name = format!("sequences of {}", target.table(table).name);
                self.add(name, Phase::Sequences, Work::Sequences(table), last.get(&table).copied());
            }
        }
        let mut added = None;
        let mut foreign_keys = Vec::new();
        let mut verbatim = Vec::new();
        for (position, &statement) in plan.statements.iter().enumerate() {
            if statement.section != Section::PostData {
                continue;
            }
            let (kind, name) = statement.makes.describe(plan);
            let name = format!("{position} {} {name}", kind.replace('_', " "));
            match statement.makes {
                Makes::Key(key) => self.index(name, statement, target.key(key).table, &mut last),
                Makes::Index(index) => self.index(name, statement, target.index(index).table, &mut last),
                Makes::ForeignKey(id) => foreign_keys.push((name, statement, id)),
                _ => verbatim.push((name, statement)),
            }
        }
        let mut added_all = Vec::new();
        for (name, statement, id) in foreign_keys {
            let foreign_key = target.foreign_key(id);
            let tables = [foreign_key.table, foreign_key.referenced_table];
            let needs: Vec<usize> = tables.iter().filter_map(|table| last.get(table).copied()).chain(added).collect();
            added = Some(self.add(name.clone(), Phase::Constraints, Work::ForeignKey(statement), needs));
            added_all.push((name, id));
        }
        let validates = !plan.tenancy.target.profile.is_citus();
        // Two validations on one table would wait for each other as well.
        let mut validated: BTreeMap<TableId, usize> = BTreeMap::new();
        let mut validations = BTreeMap::new();
        for (name, id) in added_all.into_iter().filter(|_| validates) {
            let foreign_key = target.foreign_key(id);
            let needs: Vec<usize> = added.into_iter().chain(validated.get(&foreign_key.table).copied()).collect();
            let step = self.add(format!("{name}, validated"), Phase::Constraints, Work::Validate(id), needs);
            validated.insert(foreign_key.table, step);
            validations.insert(step, [foreign_key.table, foreign_key.referenced_table]);
        }
        for (name, statement) in verbatim {
            let everything = 0..self.list.len();
            self.add(name, Phase::Constraints, Work::Make(vec![statement]), everything);
        }
        let made = self.list.len();
        self.add("proof".to_owned(), Phase::Verify, Work::Verify, 0..made);
        for table in target.table_ids() {
            let name = format!("statistics of {}", target.table(table).name);
            let touches = |step: &usize| validations.get(step).is_none_or(|tables| tables.contains(&table));
            let needs: Vec<usize> = (0..made).filter(touches).collect();
            self.add(name, Phase::Finish, Work::Statistics(table), needs);
        }
        let isolation = plan.section(Section::Isolation).copied().collect();
        self.add("isolation".to_owned(), Phase::Isolation, Work::Isolate(isolation), made..self.list.len());
    }

    /// Adds the rows of several files, and returns the step behind them: keys and indexes are made once, over all rows.
    fn rows_of_files(&mut self, files: usize, schema: usize) -> usize {
        let mut all = Vec::with_capacity(files + 1);
        if !shared_tables(self.plan).is_empty() {
            all.push(self.add(SHARED_STEP.to_owned(), Phase::Copy, Work::SharedRows, [schema]));
        }
        for file in 0..files {
            all.push(self.add(file_step(file), Phase::Copy, Work::File(file), [schema]));
        }
        self.add("rows of all files".to_owned(), Phase::Copy, Work::Make(Vec::new()), all)
    }

    fn index(&mut self, name: String, statement: Statement, table: TableId, last: &mut BTreeMap<TableId, usize>) {
        let step = self.add(name, Phase::Constraints, Work::Index(statement), last.get(&table).copied());
        last.insert(table, step);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Sources;
    use crate::spec;
    use crate::sqlite::read_source;

    fn steps(schema: &str, spec: &str) -> Steps {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("source.db");
        rusqlite::Connection::open(&path).unwrap().execute_batch(schema).unwrap();
        let mut sources = Sources::default();
        let schema = read_source(&path, &mut sources).unwrap();
        let (file, spans) = spec::read(spec, sources.add("spec.yaml", spec)).unwrap();
        let plan = Plan::new(schema.clone(), spec::resolve(&file, &spans, &schema).unwrap()).unwrap();
        Steps::new(&plan, false, None)
    }

    #[test]
    fn statistics_come_beside_the_proof_when_all_is_made_and_before_the_tables_are_locked() {
        let steps = steps(
            "CREATE TABLE shops (id INTEGER PRIMARY KEY);
             CREATE TABLE sales (id INTEGER PRIMARY KEY, shop INTEGER NOT NULL REFERENCES shops);
             CREATE TABLE lines (id INTEGER PRIMARY KEY, sale INTEGER NOT NULL REFERENCES sales);
             CREATE TABLE words (id INTEGER PRIMARY KEY);",
            "{version: 1, source: s, tenant: {column: shop, root: shops}, tables: {words: shared}}",
        );
        let positions = |wanted: fn(&Work) -> bool| -> Vec<usize> {
            (0..steps.list.len()).filter(|&position| wanted(&steps.list[position].work)).collect()
        };
        // With the other steps done, and this one not.
        let waits = |position, missing| !steps.needs.are_met(position, &|other| other != missing);
        let proof = positions(|work| matches!(work, Work::Verify))[0];
        let isolation = positions(|work| matches!(work, Work::Isolate(_)))[0];
        let statistics = positions(|work| matches!(work, Work::Statistics(_)));
        let validations = positions(|work| matches!(work, Work::Validate(_)));
        let made = positions(|work| {
            !matches!(work, Work::Verify | Work::Isolate(_) | Work::Statistics(_) | Work::Validate(_))
        });
        for &table in &statistics {
            assert!(made.iter().all(|&step| waits(table, step)) && !waits(table, proof));
            assert!(waits(isolation, table) && !waits(proof, table));
        }
        // sales → shops, lines → sales, and lines → shops by the tenant that it has got.
        assert_eq!(validations.len(), 3);
        for (table, of_table) in [("shops", 2), ("sales", 2), ("lines", 2), ("words", 0)] {
            let name = format!("statistics of {table}");
            let position = steps.list.iter().position(|step| step.name == name).unwrap();
            assert_eq!(validations.iter().filter(|&&step| waits(position, step)).count(), of_table, "{table}");
        }
        assert!(waits(isolation, proof));
    }
}

//! Target schema → ordered statements in sections, with the decisions and hazards behind them.

mod counterpart;
mod follows;
mod isolation;
mod path;
mod run;

pub use counterpart::UniqueObject;
pub use follows::{ADDED, AS_IT_IS, FILLED_IN, KEPT};
pub use isolation::Isolate;
pub(crate) use isolation::is_tenants;

use crate::diagnostic::Diagnostics;
use crate::graph::ForeignKeyGraph;
use crate::rewrite::{Hazard, ICU_COLLATION, Rewritten, rewrite};
use crate::schema::{ForeignKeyId, IndexId, KeyId, PgType, SourceSchema, TableId};
use crate::spec::{Decision, ExtraSection, Placement, Tenancy};

/// Everything that is to happen, and why; emission, execution and review read the same plan.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What SQLite has, and the foreign keys that the spec says it should have.
    pub source: SourceSchema,
    /// What the spec decides.
    pub tenancy: Tenancy,
    /// What PostgreSQL is to have, and where each part comes from.
    pub rewritten: Rewritten,
    /// The statements in the order in which they run.
    pub statements: Vec<Statement>,
    /// Every choice, in the order of the target's tables.
    pub decisions: Vec<Decision>,
    /// The source tables that refer to each other in a circle.
    pub cycles: Vec<Vec<TableId>>,
}

/// A part of the plan, named as `pg_dump` names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// Tables and what belongs to their definition.
    PreData,
    /// The rows.
    Data,
    /// Keys, indexes and foreign keys: quicker over rows than under them.
    PostData,
    /// Ownership, row-level security and grants: after the proof.
    Isolation,
}

impl Section {
    /// The sections that are made of DDL, in the order in which they run.
    pub const DDL: [Self; 3] = [Self::PreData, Self::PostData, Self::Isolation];

    /// Returns the section's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::PreData => "pre-data",
            Self::Data => "data",
            Self::PostData => "post-data",
            Self::Isolation => "isolation",
        }
    }
}

/// One statement, as data; `emit` turns it into text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statement {
    /// The section it belongs to.
    pub section: Section,
    /// What it makes, by the target's ids.
    pub makes: Makes,
}

/// What a statement makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Makes {
    /// The schema that the tables stand in, where it is not `public`.
    Schema,
    /// The extension that has the type `citext`, where a column is of it.
    Citext,
    /// The collation of ICU that takes letters of either case for the same, where a column has it.
    Collation,
    /// A table with its columns and checks.
    Table(TableId),
    /// A table's shards, by its tenant column.
    Distribution(TableId),
    /// A copy of a table on every node.
    Replication(TableId),
    /// A table's rows.
    Rows(TableId),
    /// A primary or unique key.
    Key(KeyId),
    /// An index.
    Index(IndexId),
    /// A foreign key.
    ForeignKey(ForeignKeyId),
    /// A view, by its position in [`Rewritten::views`].
    View(usize),
    /// A part of a trigger, by the positions in [`Tenancy::triggers`] and of its statement.
    Trigger(usize, usize),
    /// A statement of a file, by the positions in [`Tenancy::extra`] and in the file.
    Extra(usize, usize),
    /// A step of isolation.
    Isolation(Isolate),
}

impl Makes {
    /// Returns what kind of thing is made, and its name in the target.
    pub fn describe(self, plan: &Plan) -> (&'static str, String) {
        let target = &plan.rewritten.target;
        let named = |name: &Option<String>| name.clone().unwrap_or_default();
        match self {
            Self::Schema => ("schema", plan.tenancy.target_schema.clone()),
            Self::Citext => ("extension", "citext".to_owned()),
            Self::Collation => ("collation", ICU_COLLATION.to_owned()),
            Self::Table(id) => ("table", target.table(id).name.clone()),
            Self::Distribution(id) => ("distribution", target.table(id).name.clone()),
            Self::Replication(id) => ("replication", target.table(id).name.clone()),
            Self::Rows(id) => ("rows", target.table(id).name.clone()),
            Self::Key(id) => ("key", named(&target.key(id).name)),
            Self::Index(id) => ("index", target.index(id).name.clone()),
            Self::ForeignKey(id) => ("foreign_key", named(&target.foreign_key(id).name)),
            Self::View(position) => ("view", plan.rewritten.views[position].name.clone()),
            Self::Trigger(position, _) => ("trigger", plan.tenancy.triggers[position].name.clone()),
            Self::Extra(position, _) => ("extra", plan.tenancy.extra[position].path.clone()),
            Self::Isolation(step) => step.describe(plan),
        }
    }
}

impl Plan {
    /// Plans the way from a source schema to the target that its tenancy asks for.
    ///
    /// # Errors
    /// Those of [`rewrite`].
    pub fn new(mut source: SourceSchema, tenancy: Tenancy) -> Result<Self, Diagnostics> {
        if let Some(created) = tenancy.root.as_ref().and_then(|root| root.created.as_ref()) {
            source = created.added_to(&source);
        }
        for foreign_key in &tenancy.undeclared {
            source.add_foreign_key(foreign_key.clone());
        }
        let rewritten = rewrite(&source, &tenancy)?;
        let statements = statements(&rewritten, &tenancy);
        let decisions: Vec<Decision> = tenancy.decisions.iter().chain(&rewritten.decisions).cloned().collect();
        let cycles = ForeignKeyGraph::new(&source).cycles();
        let mut plan = Self { source, tenancy, rewritten, statements, decisions, cycles };
        let mut decisions = plan.follows();
        decisions.splice(0..0, std::mem::take(&mut plan.decisions));
        decisions.sort_by_cached_key(|decision| {
            let target = plan.target_table(decision.table).map_or(usize::MAX, TableId::index);
            (target, plan.source.table(decision.table).name.clone(), follows::rank(decision))
        });
        plan.decisions = decisions;
        Ok(plan)
    }

    /// Returns the source without what the plan adds to it: what a database is to have.
    pub fn declared_source(&self) -> SourceSchema {
        let mut declared = self.source.clone();
        // What the plan adds comes last: see `Plan::new`.
        let foreign_keys = declared.foreign_keys.len() - self.tenancy.undeclared.len();
        declared.foreign_keys.truncate(foreign_keys);
        for table in &mut declared.tables {
            table.foreign_keys.retain(|id| id.index() < foreign_keys);
        }
        if let Some(root) = self.tenancy.root.as_ref().filter(|root| root.created.is_some()) {
            let columns = declared.table(root.table).columns.len();
            declared.columns.truncate(declared.columns.len() - columns);
            declared.keys.pop();
            declared.tables.pop();
        }
        declared
    }

    /// Returns the hazards, in the order of the target's tables.
    pub fn hazards(&self) -> &[Hazard] {
        &self.rewritten.hazards
    }

    /// Returns the statements of a section.
    pub fn section(&self, section: Section) -> impl Iterator<Item = &Statement> {
        self.statements.iter().filter(move |statement| statement.section == section)
    }

    /// Returns the decisions about one source table.
    pub fn decisions_about(&self, table: TableId) -> impl Iterator<Item = &Decision> {
        self.decisions.iter().filter(move |decision| decision.table == table)
    }
}

/// Orders the statements.
///
/// Tables come in load order, parents first. On a cluster they are distributed while they are empty and have no keys yet:
/// the rows then go straight to their shards, and keys and foreign keys are made on all nodes at once. Keys, indexes and
/// foreign keys come after the rows: building them over rows in bulk is several times quicker than maintaining them under
/// a copy. Foreign keys come last of all, because
/// only then does every key exist that they refer to, and because tables may refer to each other in a circle. Views
/// come behind keys, which a GROUP BY may lean on; triggers behind views, which they may stand on, and behind the rows,
/// which they are not to fire for. The spec's own files come first before the tables, which may need their types and
/// extensions, and last behind all that they may need. Isolation is the end: see [`isolation::steps`]. Its grants are all
/// there is at that moment, so a file that grants more, or takes some back, can only come behind them.
fn statements(rewritten: &Rewritten, tenancy: &Tenancy) -> Vec<Statement> {
    let target = &rewritten.target;
    let mut statements = Vec::new();
    let mut add = |section, makes| statements.push(Statement { section, makes });
    if tenancy.target_schema != "public" {
        add(Section::PreData, Makes::Schema);
    }
    let extra = |wanted: ExtraSection| {
        let files = tenancy.extra.iter().enumerate().filter(move |(_, file)| file.section == wanted);
        files.flat_map(|(file, extra)| (0..extra.statements.len()).map(move |at| Makes::Extra(file, at)))
    };
    extra(ExtraSection::PreData).for_each(|makes| add(Section::PreData, makes));
    if target.columns.iter().any(|column| column.data_type == PgType::Citext) {
        add(Section::PreData, Makes::Citext);
    }
    if target.columns.iter().any(|column| column.collation.as_deref() == Some(ICU_COLLATION)) {
        add(Section::PreData, Makes::Collation);
    }
    for table in target.table_ids() {
        add(Section::PreData, Makes::Table(table));
    }
    if tenancy.target.profile.is_citus() {
        for (table, &source) in target.table_ids().zip(&rewritten.source_tables) {
            match tenancy.table(source).placement {
                Placement::Root | Placement::Tenant(_) => add(Section::PreData, Makes::Distribution(table)),
                Placement::Shared => add(Section::PreData, Makes::Replication(table)),
                Placement::Local | Placement::Omit => {}
            }
        }
    }
    for table in target.table_ids() {
        add(Section::Data, Makes::Rows(table));
    }
    for table in &target.tables {
        for &key in table.primary_key.iter().chain(&table.unique_keys) {
            add(Section::PostData, Makes::Key(key));
        }
    }
    for table in &target.tables {
        let mut indexes = table.indexes.clone();
        indexes.sort_by_key(|&index| &target.index(index).name);
        for index in indexes {
            add(Section::PostData, Makes::Index(index));
        }
    }
    for table in &target.tables {
        for &foreign_key in &table.foreign_keys {
            add(Section::PostData, Makes::ForeignKey(foreign_key));
        }
    }
    for position in 0..rewritten.views.len() {
        add(Section::PostData, Makes::View(position));
    }
    for (position, trigger) in tenancy.triggers.iter().enumerate() {
        for statement in 0..trigger.statements.len() {
            add(Section::PostData, Makes::Trigger(position, statement));
        }
    }
    extra(ExtraSection::PostData).for_each(|makes| add(Section::PostData, makes));
    for step in isolation::steps(rewritten, tenancy) {
        add(Section::Isolation, Makes::Isolation(step));
    }
    extra(ExtraSection::Isolation).for_each(|makes| add(Section::Isolation, makes));
    statements
}

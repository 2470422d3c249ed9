//! Source, plan and target of a test, each from text; nothing of the copy is used.

use crate::diagnostic::Sources;
use crate::emit;
use crate::plan::{Plan, Section};
use crate::postgres::{Connection, Server, testing};
use crate::spec;
use crate::sqlite::{Database, Snapshot, read_source};
use crate::verify::{Origin, RowDifferenceKind, Verification, prove};

/// A SQLite database and the plan made from it.
pub(super) struct Fixture {
    pub plan: Plan,
    pub source: Database,
    _snapshot: Snapshot,
}

impl Fixture {
    pub fn new(sqlite: &str, yaml: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("source.db");
        let sqlite = format!("PRAGMA foreign_keys = OFF; {sqlite}");
        rusqlite::Connection::open(&path).unwrap().execute_batch(&sqlite).unwrap();
        let mut sources = Sources::default();
        let schema = read_source(&path, &mut sources).unwrap();
        let id = sources.add("spec.yaml", yaml);
        let (file, spans) = spec::read(yaml, id).unwrap();
        let tenancy = spec::resolve(&file, &spans, &schema).unwrap();
        let snapshot = Snapshot::take(&path).unwrap();
        Self { plan: Plan::new(schema, tenancy).unwrap(), source: snapshot.open().unwrap(), _snapshot: snapshot }
    }

    /// Creates the target of the plan with rows that a test gives.
    pub fn target(&self, rows: &[&str]) -> Connection {
        self.target_in(&testing::database(), rows)
    }

    /// Creates it in a database that more connections can be opened to.
    pub fn target_in(&self, database: &Server, rows: &[&str]) -> Connection {
        let mut target = testing::connect(database);
        self.run_section(&mut target, Section::PreData);
        for sql in rows {
            run(&mut target, sql);
        }
        self.run_section(&mut target, Section::PostData);
        target
    }

    pub fn run_section(&self, target: &mut Connection, section: Section) {
        for statement in self.plan.section(section) {
            run(target, &emit::statement(&self.plan, statement).unwrap());
        }
    }

    pub fn verify(&self, target: &mut Connection) -> Verification {
        prove(&self.plan, Origin::Database(&self.source, Vec::new()), target, &mut [], &mut |_, _| {}).unwrap()
    }
}

pub(super) fn run(target: &mut Connection, sql: &str) {
    target.execute(sql, "prepare a test").unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

/// Writes every finding as a line.
pub(super) fn findings(found: &Verification) -> Vec<String> {
    let keys = |key: &[crate::verify::KeyPart]| {
        key.iter().map(|part| format!("{}={}", part.column, part.value)).collect::<Vec<_>>().join(",")
    };
    let mut lines = Vec::new();
    for table in &found.tables {
        if let Some(reason) = &table.unread {
            lines.push(format!("{}: unread: {reason}", table.table));
        }
        for row in &table.row_examples {
            let kind = match &row.kind {
                RowDifferenceKind::Missing => "missing".to_owned(),
                RowDifferenceKind::Extra => "extra".to_owned(),
                RowDifferenceKind::Doubled => "doubled".to_owned(),
                RowDifferenceKind::Changed { columns } => format!("changed in {}", columns.join(", ")),
                RowDifferenceKind::WrongTenant { found_in } => format!("wrong tenant {found_in}"),
            };
            let tenant = row.tenant.as_deref().unwrap_or("shared");
            lines.push(format!("{}: {tenant} {}: {kind}", table.table, keys(&row.key)));
        }
        assert_eq!(table.differing_tenants == 0, table.row_examples.is_empty(), "{table:?}");
    }
    for foreign_key in &found.foreign_keys {
        for violation in &foreign_key.violations {
            let first = violation.examples.iter().map(|key| keys(key)).collect::<Vec<_>>().join(" ");
            lines.push(format!("{}: {:?} × {}: {first}", foreign_key.name, violation.kind, violation.rows));
        }
        if let Some(reason) = &foreign_key.unchecked {
            lines.push(format!("{}: unchecked: {reason}", foreign_key.name));
        }
    }
    for sequence in found.sequences.iter().filter(|sequence| !sequence.is_proven()) {
        lines.push(format!(
            "{}.{}: next {:?}, least {}",
            sequence.table, sequence.column, sequence.next, sequence.least
        ));
    }
    lines.extend(found.catalog.iter().cloned());
    assert_eq!(found.is_proven(), lines.is_empty(), "{lines:#?}");
    lines
}

//! Runs tenantry on a case, and looks at the target without its help.

use crate::rows::Rows;
use crate::schema::{How, Schema, Source, quoted};
use rusqlite::Connection as Sqlite;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tenantry::copy::{Audit, Cutover, NewCutover, Session, Settled, Tables, audit, cutover};
use tenantry::diagnostic::{Diagnostics, Sources};
use tenantry::plan::Plan;
use tenantry::postgres::{Connection, Durability, Scratch, Server};
use tenantry::spec;
use tenantry::sqlite::{Database, Snapshot, read_source};

fn scratch() -> &'static Scratch {
    static SCRATCH: OnceLock<Scratch> = OnceLock::new();
    SCRATCH.get_or_init(|| Scratch::start(Durability::Off).unwrap())
}

/// Creates a database, for what a schema does not keep apart: extensions. It is there as long as the server is.
pub fn own_database() -> &'static Server {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("own_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let mut connection = scratch().server().connect("public", Duration::from_secs(30)).unwrap();
    connection.execute(&format!("CREATE DATABASE {name}"), "create a database").unwrap();
    Box::leak(Box::new(scratch().server().with_database(&name)))
}

/// A case made real: a database, its plan, and a schema of its own to move it into.
pub struct Run {
    pub plan: Plan,
    pub sqlite: Sqlite,
    target_schema: String,
    source: Database,
    server: &'static Server,
    target: Connection,
    snapshot: Snapshot,
    _folder: TempDir,
}

impl Run {
    pub fn new(ddl: &str, spec: impl Fn(&str) -> String, fill: impl Fn(&Sqlite)) -> Result<Self, String> {
        Self::on(scratch().server(), ddl, spec, fill)
    }

    /// As [`Run::new`], in a database that the caller names.
    pub fn on(
        server: &'static Server,
        ddl: &str,
        spec: impl Fn(&str) -> String,
        fill: impl Fn(&Sqlite),
    ) -> Result<Self, String> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let target_schema = format!("case {}", NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("source.db");
        let sqlite = Sqlite::open(&path).unwrap();
        sqlite.execute_batch(&format!("PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF; {ddl}")).unwrap();
        sqlite.execute_batch("BEGIN").unwrap();
        fill(&sqlite);
        sqlite.execute_batch("COMMIT").unwrap();
        let plan = plan(&path, &spec(&target_schema))?;
        let snapshot = Snapshot::take(&path).unwrap();
        let source = snapshot.open().unwrap();
        let target = server.connect(&target_schema, Duration::from_secs(10)).unwrap();
        Ok(Self { plan, sqlite, target_schema, source, server, target, snapshot, _folder: folder })
    }

    pub fn audit(&self) -> Audit {
        audit(&self.plan, &self.source, &mut |_, _| {}).unwrap().0
    }

    pub fn cutover(&mut self) -> Result<Cutover, Diagnostics> {
        let (_, learnt) = audit(&self.plan, &self.source, &mut |_, _| {})?;
        let new = NewCutover {
            spec_hash: "",
            snapshot: &self.snapshot,
            settled: &Settled::default(),
            tenants: 0,
            tables: Tables::Created,
        };
        cutover(&self.plan, self.server, &new, learnt, 2, &mut |_| {})
    }

    /// Undoes what the last run has left, whole or not.
    pub fn roll_back(&mut self) -> Result<(), Diagnostics> {
        Session::open(&self.plan, self.server)?.roll_back(None).map(drop)
    }

    /// Says whether the target has nothing of the case.
    pub fn left_nothing(&mut self) -> bool {
        let sql = "SELECT (SELECT count(*) FROM pg_namespace WHERE nspname = $1) + (SELECT count(*) FROM pg_class c \
                   JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1)";
        self.target.query_one(sql, &[Some(&self.target_schema)], "count what is left").unwrap().integer(0).unwrap() == 0
    }

    /// Compares every row of the target, as text, with what the case says it has to be.
    pub fn compare(&mut self, schema: &Schema, rows: &Rows) -> Result<(), String> {
        for (table, rows) in schema.tables.iter().zip(&rows.0) {
            let own = |name: &str| ("", "::text", name.to_owned());
            let mut columns: Vec<(&str, &str, String)> = table
                .columns
                .iter()
                .map(|column| (column.kind.read.0, column.kind.read.1, column.name.clone()))
                .collect();
            let added = matches!(table.source, Source::Via(_));
            if added {
                columns.push(own(&schema.tenant_column));
            }
            let own_columns: Vec<usize> = (0..table.references.len())
                .filter(|&at| matches!(table.references[at].how, How::OwnColumn(_) | How::CrossTenant(_)))
                .collect();
            for &at in &own_columns {
                if let How::OwnColumn(name) | How::CrossTenant(name) = &table.references[at].how {
                    columns.push(own(name));
                }
            }
            let mut expected: Vec<Vec<Option<String>>> = rows
                .iter()
                .map(|row| {
                    let values = row.values.iter().map(|value| value.text.clone());
                    let tenant = added.then(|| row.tenant.as_ref().and_then(|tenant| tenant.text.clone()));
                    values.chain(tenant).chain(own_columns.iter().map(|&at| row.own[at].clone())).collect()
                })
                .collect();
            let list: Vec<String> =
                columns.iter().map(|(before, after, name)| format!("{before}{}{after}", quoted(name))).collect();
            let sql =
                format!("SELECT {} FROM {}.{}", list.join(", "), quoted(&self.target_schema), quoted(&table.name));
            let found = self.target.query(&sql, &[], "read a table").map_err(|error| format!("{sql}: {error:?}"))?;
            let mut found: Vec<Vec<Option<String>>> = found
                .iter()
                .map(|row| (0..columns.len()).map(|column| row.optional(column).map(str::to_owned)).collect())
                .collect();
            expected.sort();
            found.sort();
            if found.len() != expected.len() {
                return Err(format!("{}: {} rows, not {}", table.name, found.len(), expected.len()));
            }
            if let Some((found, expected)) = found.iter().zip(&expected).find(|(found, expected)| found != expected) {
                return Err(format!("{}: {list:?}\n   found {found:?}\nexpected {expected:?}", table.name));
            }
        }
        Ok(())
    }

    /// Says how many foreign keys, primary and unique keys the target has.
    pub fn constraints(&mut self) -> Vec<(String, i64)> {
        let sql = "SELECT contype, count(*) FROM pg_constraint c JOIN pg_namespace n ON n.oid = c.connamespace \
                   WHERE n.nspname = $1 GROUP BY 1 ORDER BY 1";
        let rows = self.target.query(sql, &[Some(&self.target_schema)], "count constraints").unwrap();
        rows.iter().map(|row| (row.text(0).unwrap().to_owned(), row.integer(1).unwrap())).collect()
    }

    /// Returns the first column of a query in the target; its tables need no schema.
    pub fn texts(&mut self, sql: &str) -> Vec<Option<String>> {
        let rows = self.target.query(sql, &[], "read what was moved").unwrap();
        rows.iter().map(|row| row.optional(0).map(str::to_owned)).collect()
    }
}

fn plan(path: &std::path::Path, yaml: &str) -> Result<Plan, String> {
    let mut sources = Sources::default();
    let shown = |errors: Diagnostics| errors.0.iter().map(|error| format!("{error:?}")).collect::<Vec<_>>().join("\n");
    let schema = read_source(path, &mut sources).map_err(shown)?;
    let id = sources.add("spec.yaml", yaml);
    let (file, spans) = spec::read(yaml, id).map_err(shown)?;
    let tenancy = spec::resolve(&file, &spans, &schema).map_err(shown)?;
    Plan::new(schema, tenancy).map_err(shown)
}

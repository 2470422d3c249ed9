//! A system, and its way into PostgreSQL.

use crate::dirt;
use crate::server::{create_database, expect, expect_json, root, url};
use rusqlite::Connection as Sqlite;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tenantry::cli::Project;
use tenantry::plan::Plan;

/// A system of `specs/` and `fixtures/`.
pub struct System {
    pub name: &'static str,
    /// A query for the tenants of a source; `None` where the run names them.
    tenants: Option<&'static str>,
    /// Where every tenant has a source of its own: its id, and the file of its rows. The last one is added to the others.
    sources: &'static [(&'static str, &'static str)],
    /// Tables of which a session sees more than its tenant's rows, by a policy of the system's own.
    pub shown_beyond: &'static [&'static str],
}

pub const SYSTEMS: &[System] = &[
    System {
        name: "bai",
        tenants: Some("SELECT DISTINCT account_id FROM organizations"),
        sources: &[],
        shown_beyond: &[],
    },
    System { name: "docuflow", tenants: Some("SELECT id FROM organizations"), sources: &[], shown_beyond: &[] },
    System {
        name: "legal_dashboard",
        tenants: None,
        sources: &[
            ("hamburg", "rows.sql"),
            ("berlin", "installations/berlin.sql"),
            ("paris", "installations/paris.sql"),
            // Added later, to three that are in use.
            ("zurich", "installations/zurich.sql"),
        ],
        shown_beyond: &[],
    },
    System {
        name: "armp",
        tenants: Some("SELECT id FROM organization"),
        sources: &[],
        // Co-authors of other organizations.
        shown_beyond: &["researcher"],
    },
    System { name: "vatevo", tenants: Some("SELECT id FROM accounts"), sources: &[], shown_beyond: &[] },
];

/// A system that has been moved.
pub struct Moved {
    pub spec: String,
    pub database: String,
    pub project: Project,
    /// The plan as `plan` reports it.
    pub plan: serde_json::Value,
    /// Each tenant, and the database it came from.
    pub tenants: Vec<(String, PathBuf)>,
    pub tables: usize,
    pub rows: u64,
    pub rejected: u64,
    /// Where runs keep their snapshots.
    pub work: PathBuf,
    /// The rows of those that were added to the others.
    pub added: u64,
    folder: TempDir,
}

impl Moved {
    pub fn plan(&self) -> &Plan {
        &self.project.plan
    }

    /// Returns the role that the application connects as; the owner of everything where the spec names none.
    pub fn app(&self) -> &str {
        self.plan().tenancy.isolation.roles.app.as_deref().unwrap_or("postgres")
    }

    pub fn url(&self) -> String {
        url(&self.database, "postgres")
    }

    /// Returns a pattern for the files that were moved together.
    pub fn together(&self) -> PathBuf {
        self.file("together/*.db")
    }

    /// Returns a path in a folder that ends with the run.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl System {
    /// Builds the sources, audits them, moves them and proves it.
    pub fn moved(&'static self) -> Moved {
        let spec = format!("specs/{}.yaml", self.name);
        let database = format!("system_{}", self.name);
        create_database(&database);
        let project =
            Project::load(&root().join(&spec), false).unwrap_or_else(|failure| panic!("{:?}", failure.errors));
        let plan = expect_json(&["plan", &spec]);
        let folder = tempfile::tempdir().unwrap();
        let work = folder.path().join("work");
        let mut moved = Moved {
            spec,
            database,
            project,
            plan,
            tenants: Vec::new(),
            tables: 0,
            rows: 0,
            rejected: 0,
            added: 0,
            work,
            folder,
        };
        match self.tenants {
            Some(query) => {
                let source = self.source(&moved, "rows.sql");
                let sqlite = Sqlite::open(&source).unwrap();
                let mut statement = sqlite.prepare(&format!("{query} ORDER BY 1")).unwrap();
                let ids = statement.query_map([], |row| row.get::<_, rusqlite::types::Value>(0)).unwrap();
                moved.tenants = ids
                    .map(|id| match id.unwrap() {
                        rusqlite::types::Value::Integer(id) => (id.to_string(), source.clone()),
                        rusqlite::types::Value::Text(id) => (id, source.clone()),
                        other => panic!("{other:?} is no tenant"),
                    })
                    .collect();
                self.take(&mut moved, &source, &[]);
            }
            None => {
                fs::create_dir(moved.file("together")).unwrap();
                for (position, (tenant, rows)) in self.sources.iter().enumerate() {
                    let mut source = self.source(&moved, rows);
                    if position + 1 < self.sources.len() {
                        let together = moved.file(&format!("together/{tenant}.db"));
                        fs::rename(&source, &together).unwrap();
                        source = together;
                    }
                    moved.tenants.push(((*tenant).to_owned(), source));
                }
                let together = moved.together();
                self.take(&mut moved, &together, &[]);
                if let Some((tenant, later)) = moved.tenants.last().cloned() {
                    let before = moved.rows;
                    self.take(&mut moved, &later, &["--tenant", &tenant]);
                    moved.added = moved.rows - before;
                }
            }
        }
        moved
    }

    fn source(&self, moved: &Moved, rows: &str) -> PathBuf {
        self.build(&moved.file(&format!("{}.db", rows.replace('/', "-"))), rows)
    }

    /// Says whether each tenant has a source of its own, which the run names it for.
    pub fn one_source_a_tenant(&self) -> bool {
        !self.sources.is_empty()
    }

    /// Builds a source with the rows of a file.
    pub fn build(&self, path: &Path, rows: &str) -> PathBuf {
        let folder = root().join("fixtures").join(self.name);
        let sqlite = Sqlite::open(path).unwrap();
        sqlite.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
        for file in ["schema.sql", rows] {
            sqlite.execute_batch(&fs::read_to_string(folder.join(file)).unwrap()).unwrap();
        }
        path.to_owned()
    }

    fn take(&self, moved: &mut Moved, source: &Path, more: &[&str]) {
        let (url, source) = (moved.url(), source.to_str().unwrap());
        let spec = moved.spec.clone();
        let audit = expect_json(&[&["audit", &spec, "--source", source], more].concat());
        assert_eq!(audit["findings"].as_array().unwrap().len(), 0);
        let work = moved.work.clone();
        let work = ["--work-dir", work.to_str().unwrap()];
        let cutover =
            [&["cutover", &spec, "--source", source, "--target", &url, "--bootstrap"], &work[..], more].concat();
        let run = expect_json(&cutover);
        assert_eq!(run["proven"], true, "{run}");
        // Of a file that is added to others, its own rows are told.
        moved.rows += run["added"]["rows"].as_u64().or(run["rows_copied"].as_u64()).unwrap();
        // A pattern names those that are there so far, but the one that is added.
        let is_together = |path: &&PathBuf| path.starts_with(moved.file("together"));
        let sources: Vec<PathBuf> = match source.contains('*') {
            true => moved.tenants.iter().map(|(_, path)| path).filter(is_together).cloned().collect(),
            false => vec![source.into()],
        };
        moved.rejected += dirt::settled(&audit["accounts"], &run["accounts"], &sources);
        // Again: nothing is done.
        let again = expect_json(&cutover);
        assert!(again["finished_before"].is_object() || again["added_before"].is_object(), "{again}");
        moved.tables = run["verification"]["tables"].as_array().unwrap().len();
        let verify = [&["verify", &spec, "--source", source, "--target", &url], more].concat();
        assert!(expect(0, &verify).contains("\nproven: "));
    }
}

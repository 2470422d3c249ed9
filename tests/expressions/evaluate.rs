//! Plans a schema with one expression in it, and evaluates both sides row by row.

use super::grid;
use rusqlite::types::Value;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tenantry::diagnostic::Sources;
use tenantry::plan::{Plan, Section};
use tenantry::postgres::{Connection, Durability, Scratch};
use tenantry::{emit, spec, sqlite};

/// Plans a schema whose only table is shared.
pub fn plan(ddl: &str) -> Result<Plan, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("schema.sql");
    std::fs::write(&path, ddl).unwrap();
    let mut sources = Sources::default();
    let text = "version: 1\nsource: schema.sql\ntenant: {column: account_id, type: bigint}\ntables: {t: shared}\n";
    let id = sources.add("spec.yaml", text);
    let message = |errors: tenantry::diagnostic::Diagnostics| errors.to_string();
    let (file, spans) = spec::read(text, id).map_err(message)?;
    let schema = sqlite::read_source(&path, &mut sources).map_err(message)?;
    let tenancy = spec::resolve(&file, &spans, &schema).map_err(message)?;
    Plan::new(schema, tenancy).map_err(message)
}

/// What an expression is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// The predicate of an index: true, false or NULL.
    Condition,
    /// What an index orders by.
    Value,
    /// A CHECK: NULL counts as true.
    Check,
}

/// Translates an expression; an empty text is a CHECK that says nothing.
pub fn translate(used: Use, expression: &str) -> Result<String, String> {
    let table = grid::create_table();
    let ddl = match used {
        Use::Condition => format!("{table}; CREATE INDEX ix ON t (id) WHERE {expression};"),
        Use::Value => format!("{table}; CREATE INDEX ix ON t (({expression}) COLLATE BINARY);"),
        Use::Check => format!("{}, CONSTRAINT ck CHECK ({expression}));", table.strip_suffix(')').unwrap()),
    };
    let plan = plan(&ddl)?;
    let ddl = emit::postgres(&plan, &[Section::PreData, Section::PostData]);
    let between = |start: &str, end: &str| {
        let from = ddl.find(start)? + start.len();
        Some(ddl[from..from + ddl[from..].find(end)?].to_owned())
    };
    Ok(match used {
        Use::Condition => between("\n    WHERE ", ";\n").unwrap(),
        Use::Value => between("\n    ON t (", ");\n").unwrap(),
        Use::Check => between("CONSTRAINT ck CHECK (", ")\n);").unwrap_or_default(),
    })
}

/// Both databases with the same rows.
pub struct Databases {
    sqlite: rusqlite::Connection,
    postgres: Connection,
    rows: usize,
}

/// What came of comparing two expressions.
#[derive(Debug, Default, Clone, Copy)]
pub struct Compared {
    /// Rows with the same value.
    pub same: usize,
    /// Rows for which one of the two databases says that a number is out of range.
    pub out_of_range: usize,
}

impl Databases {
    pub fn with(rows: &[Vec<&'static str>]) -> Self {
        let sqlite = rusqlite::Connection::open_in_memory().unwrap();
        sqlite.execute_batch(&grid::create_table()).unwrap();
        let mut postgres = database();
        let plan = plan(&format!("{};", grid::create_table())).unwrap();
        for statement in plan.section(Section::PreData) {
            postgres.execute(&emit::statement(&plan, statement).unwrap(), "create").unwrap();
        }
        // What stops one row is told as a value, so that the other rows are compared.
        postgres
            .execute(
                "CREATE FUNCTION evaluate(expression text) RETURNS TABLE (value text) LANGUAGE plpgsql AS $$
                 DECLARE row_id bigint;
                 BEGIN
                     FOR row_id IN SELECT id FROM t ORDER BY id LOOP
                         BEGIN
                             EXECUTE format('SELECT (%s)::text FROM t WHERE id = %s', expression, row_id) INTO value;
                         EXCEPTION WHEN numeric_value_out_of_range THEN value := 'out of range';
                         END;
                         RETURN NEXT;
                     END LOOP;
                 END $$",
                "create",
            )
            .unwrap();
        let names: Vec<&str> = grid::COLUMNS.iter().map(|(name, _, _)| *name).collect();
        for (position, row) in rows.iter().enumerate() {
            let insert = |values: &[String]| {
                format!("INSERT INTO t (id, {}) VALUES ({position}, {})", names.join(", "), values.join(", "))
            };
            let plain: Vec<String> = row.iter().map(|value| (*value).to_owned()).collect();
            sqlite.execute_batch(&insert(&plain)).unwrap();
            let typed: Vec<String> = row
                .iter()
                .zip(grid::COLUMNS)
                .map(|(value, (_, declared, _))| match *value {
                    "NULL" => "NULL".to_owned(),
                    value if declared.starts_with("BOOL") => format!("{}", value == "1"),
                    value if value.starts_with("x'") => format!("'\\x{}", &value[2..]),
                    value => value.to_owned(),
                })
                .collect();
            postgres.execute(&insert(&typed), "insert").unwrap();
        }
        Self { sqlite, postgres, rows: rows.len() }
    }

    /// Compares an expression with its translation on every row; the difference as a text.
    pub fn compare(&mut self, used: Use, expression: &str, translated: &str) -> Result<Compared, String> {
        self.applies(used, translated)?;
        let ours = self.in_sqlite(expression);
        let theirs = self.in_postgres(if translated.is_empty() { "true" } else { translated })?;
        assert_eq!((ours.len(), theirs.len()), (self.rows, self.rows));
        let mut compared = Compared::default();
        for (row, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
            let Ok(ours) = ours else {
                compared.out_of_range += 1;
                continue;
            };
            if theirs.as_deref() == Some("out of range") {
                compared.out_of_range += 1;
                continue;
            }
            let same = match used {
                Use::Value => same_value(ours, theirs.as_deref()),
                Use::Condition => truth(ours) == theirs.as_deref().map(|theirs| theirs == "true"),
                Use::Check => truth(ours).unwrap_or(true) == (theirs.as_deref() != Some("false")),
            };
            if !same {
                return Err(format!(
                    "{expression}\nbecomes {translated}\nSQLite says {ours:?}, PostgreSQL {theirs:?} for the row {}",
                    self.shown(row)
                ));
            }
            compared.same += 1;
        }
        Ok(compared)
    }

    /// PostgreSQL takes the translation where it is to stand: indexes ask for more than a query does.
    fn applies(&mut self, used: Use, translated: &str) -> Result<(), String> {
        let sql = match used {
            Use::Condition => format!("CREATE INDEX ON empty (id) WHERE {translated}"),
            Use::Value => format!("CREATE INDEX ON empty ({translated})"),
            Use::Check if translated.is_empty() => return Ok(()),
            Use::Check => format!("ALTER TABLE empty ADD CHECK ({translated})"),
        };
        self.postgres.execute("CREATE TABLE empty (LIKE t)", "try").map_err(|error| format!("{error:?}"))?;
        let tried = self.postgres.execute(&sql, "try").map_err(|error| format!("{sql}: {error:?}"));
        self.postgres.execute("DROP TABLE empty", "try").map_err(|error| format!("{error:?}"))?;
        tried.map(|_| ())
    }

    fn in_sqlite(&self, expression: &str) -> Vec<Result<Value, String>> {
        (0..self.rows)
            .map(|row| {
                let sql = format!("SELECT ({expression}) FROM t WHERE id = {row}");
                self.sqlite.query_row(&sql, [], |row| row.get(0)).map_err(|error| {
                    assert!(error.to_string().contains("overflow"), "{expression}: {error}");
                    error.to_string()
                })
            })
            .collect()
    }

    fn in_postgres(&mut self, translated: &str) -> Result<Vec<Option<String>>, String> {
        let rows = self.postgres.query("SELECT value FROM evaluate($1)", &[Some(translated)], "evaluate");
        let rows = rows.map_err(|error| format!("{translated}: {error:?}"))?;
        Ok(rows.iter().map(|row| row.optional(0).map(str::to_owned)).collect())
    }

    fn shown(&self, row: usize) -> String {
        let columns: Vec<String> =
            grid::COLUMNS.iter().map(|(name, _, _)| format!("'{name}=' || quote({name})")).collect();
        let sql = format!("SELECT {} FROM t WHERE id = {row}", columns.join(" || ' ' || "));
        self.sqlite.query_row(&sql, [], |row| row.get(0)).unwrap()
    }
}

fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Null => None,
        Value::Integer(number) => Some(*number != 0),
        Value::Real(number) => Some(*number != 0.0),
        other => panic!("{other:?} is no truth value"),
    }
}

fn same_value(ours: &Value, theirs: Option<&str>) -> bool {
    let Some(theirs) = theirs else { return *ours == Value::Null };
    match ours {
        Value::Null => false,
        Value::Integer(number) => {
            theirs == number.to_string()
                || matches!((number, theirs), (1, "true") | (0, "false"))
                || same_number(*number as f64, theirs)
        }
        Value::Real(number) => same_number(*number, theirs),
        Value::Text(text) => text == theirs,
        Value::Blob(bytes) => {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            theirs == format!("\\x{digits}")
        }
    }
}

/// Decimals are computed as decimals in PostgreSQL: the last digit of the double may differ.
fn same_number(ours: f64, theirs: &str) -> bool {
    let Ok(theirs) = theirs.parse::<f64>() else { return false };
    ours == theirs || (ours - theirs).abs() <= 1e-12 * ours.abs().max(1.0)
}

/// Creates an empty database on the scratch server of this process.
pub fn database() -> Connection {
    static SERVER: OnceLock<Scratch> = OnceLock::new();
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let scratch = SERVER.get_or_init(|| Scratch::start(Durability::Off).unwrap_or_else(|error| panic!("{error:?}")));
    let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
    let connect = |server: &tenantry::postgres::Server| {
        server.connect("public", Duration::from_secs(30)).unwrap_or_else(|error| panic!("{error:?}"))
    };
    connect(scratch.server())
        .execute(&format!("CREATE DATABASE {name}"), "create a database")
        .unwrap_or_else(|error| panic!("{error:?}"));
    connect(&scratch.server().with_database(&name))
}

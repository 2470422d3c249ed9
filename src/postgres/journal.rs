//! The journal of runs in the target: what each run is bound to, which steps are done, and what it has made.
//!
//! It lives in a schema of its own, which nobody else may look into. The row that says that a step is done is written
//! first in the step's own transaction: both are there or neither. Writing it again waits for a transaction of a client
//! that died and still commits, and then finds it done; a query would not have seen it.

use super::Connection;
use super::row::Row;
use crate::diagnostic::Diagnostic;
use crate::ident::visible;
use std::thread;
use std::time::{Duration, Instant};

/// Where the journal lives.
pub const JOURNAL_SCHEMA: &str = "tenantry";

/// How long the lock of a client that just died may take to go.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);

const TABLES: [&str; 4] = [
    "CREATE TABLE tenantry.runs (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        target_schema text NOT NULL,
        tables text[] NOT NULL,
        spec_hash text NOT NULL,
        ddl_hash text NOT NULL,
        snapshot_hash text NOT NULL,
        tool_version text NOT NULL,
        tables_were text NOT NULL CHECK (tables_were IN ('created', 'expected')),
        tenants bigint NOT NULL,
        snapshot_path text,
        started timestamptz NOT NULL DEFAULT now(),
        finished timestamptz
    )",
    "CREATE TABLE tenantry.steps (
        run bigint NOT NULL REFERENCES tenantry.runs ON DELETE CASCADE,
        step text NOT NULL,
        rows bigint,
        done timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (run, step)
    )",
    "CREATE TABLE tenantry.objects (
        run bigint NOT NULL REFERENCES tenantry.runs ON DELETE CASCADE,
        position bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
        class oid NOT NULL,
        object oid NOT NULL,
        description text NOT NULL,
        PRIMARY KEY (run, class, object)
    )",
    // Values may hold what jsonb refuses.
    "CREATE TABLE tenantry.rejects (
        run bigint NOT NULL REFERENCES tenantry.runs ON DELETE CASCADE,
        position bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
        table_name text NOT NULL,
        key text NOT NULL,
        code text NOT NULL,
        reason text NOT NULL,
        row json NOT NULL,
        PRIMARY KEY (run, position)
    )",
];

/// What a run is bound to: it goes on only with the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The hash of the spec and of what it names.
    pub spec: String,
    /// The hash of the DDL that the plan makes.
    pub ddl: String,
    /// The hash of the snapshot.
    pub snapshot: String,
    /// The version of the program.
    pub tool: String,
}

/// A run that is to be recorded.
#[derive(Debug, Clone)]
pub struct NewRun<'r> {
    /// The schema that its tables stand in.
    pub schema: &'r str,
    /// Its tables' names.
    pub tables: &'r [&'r str],
    /// What it is bound to.
    pub binding: &'r Binding,
    /// The tables are there already, made by somebody else.
    pub expected: bool,
    /// How many tenants it moves.
    pub tenants: usize,
    /// Where its snapshot is kept.
    pub snapshot_path: Option<&'r str>,
}

/// A run that the journal knows of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRecord {
    /// Its number in the journal.
    pub id: i64,
    /// What it is bound to.
    pub binding: Binding,
    /// The tables were there before it, made by somebody else.
    pub expected: bool,
    /// How many tenants it moves.
    pub tenants: usize,
    /// Where its snapshot is kept, on the machine it was started on.
    pub snapshot_path: Option<String>,
    /// When it began, for people.
    pub started: String,
    /// When it was finished, for people; `None` for an interrupted one.
    pub finished: Option<String>,
    /// Its tables' names.
    pub tables: Vec<String>,
}

/// A step that is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepRecord {
    /// Its name.
    pub step: String,
    /// How many rows it copied, where it copies any.
    pub rows: Option<u64>,
}

/// Who holds the lock on a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockHolder(pub String);

/// Takes the lock that keeps a second run out of the same schema, until the session ends.
///
/// Tells who holds it where somebody else does for longer than a session of a dead client takes to go.
pub fn lock_target(connection: &mut Connection, schema: &str) -> Result<Result<(), LockHolder>, Diagnostic> {
    const TRY: &str = "SELECT pg_try_advisory_lock(hashtextextended('tenantry cutover ' || $1, 0))";
    const HOLDER: &str = "
        SELECT format('process %s of %s, from %s, connected since %s', a.pid,
                      coalesce(nullif(a.application_name, ''), 'a program without a name'),
                      coalesce(host(a.client_addr), 'the server''s own machine'),
                      to_char(a.backend_start AT TIME ZONE 'utc', 'YYYY-MM-DD HH24:MI:SS \"UTC\"'))
        FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
        WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
          AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
          AND (l.classid::bigint << 32) | l.objid::bigint = hashtextextended('tenantry cutover ' || $1, 0)";
    let started = Instant::now();
    loop {
        if connection.query_one(TRY, &[Some(schema)], "take the lock on the target")?.boolean(0)? {
            return Ok(Ok(()));
        }
        if started.elapsed() > LOCK_PATIENCE {
            let holders = connection.query(HOLDER, &[Some(schema)], "ask who holds the lock on the target")?;
            let told = holders.first().and_then(|row| row.optional(0)).map(|told| visible(told).into_owned());
            return Ok(Err(LockHolder(told.unwrap_or_else(|| "a process that has just ended".to_owned()))));
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// Keeps the journal as it is, or as it is not, to the end of the transaction: it is made with the first run and goes with
/// the last, while others may be about to look.
fn hold_journal(connection: &mut Connection, function: &str) -> Result<(), Diagnostic> {
    let sql = format!("SELECT {function}(hashtextextended('tenantry journal', 0))");
    connection.query(&sql, &[], "wait for the journal of runs").map(drop)
}

/// Makes the journal where it is missing. To be called in a transaction.
pub fn create_journal(connection: &mut Connection) -> Result<(), Diagnostic> {
    let purpose = "make the journal of runs";
    hold_journal(connection, "pg_advisory_xact_lock")?;
    if !present(connection, "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'tenantry')")? {
        connection.execute("CREATE SCHEMA tenantry", purpose)?;
        connection.execute("REVOKE ALL ON SCHEMA tenantry FROM PUBLIC", purpose)?;
    }
    if !journal_exists(connection)? {
        for sql in TABLES {
            connection.execute(sql, purpose)?;
        }
    }
    Ok(())
}

fn journal_exists(connection: &mut Connection) -> Result<bool, Diagnostic> {
    // The tables themselves are asked: functions that look names up may answer from what was before the lock.
    let sql = "SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                              WHERE c.relname = 'runs' AND n.nspname = 'tenantry')";
    present(connection, sql)
}

fn present(connection: &mut Connection, sql: &str) -> Result<bool, Diagnostic> {
    connection.query_one(sql, &[], "look for the journal of runs")?.boolean(0)
}

/// Finds the runs that concern any of some tables, the last one first.
pub fn find_runs(connection: &mut Connection, schema: &str, tables: &[&str]) -> Result<Vec<RunRecord>, Diagnostic> {
    let connection = &mut connection.begin()?;
    hold_journal(connection, "pg_advisory_xact_lock_shared")?;
    if !journal_exists(connection)? {
        return Ok(Vec::new());
    }
    let names = name_list(tables);
    let sql = "
        SELECT id, spec_hash, ddl_hash, snapshot_hash, tool_version, (tables_were = 'expected')::text, tenants,
               snapshot_path, to_char(started AT TIME ZONE 'utc', 'YYYY-MM-DD HH24:MI:SS \"UTC\"'),
               to_char(finished AT TIME ZONE 'utc', 'YYYY-MM-DD HH24:MI:SS \"UTC\"'), to_json(tables)::text
        FROM tenantry.runs
        WHERE target_schema = $1 AND tables && ARRAY(SELECT jsonb_array_elements_text($2::jsonb))
        ORDER BY id DESC";
    let rows = connection.query(sql, &[Some(schema), Some(&names)], "read the journal of runs")?;
    rows.iter().map(run_record).collect()
}

fn run_record(row: &Row) -> Result<RunRecord, Diagnostic> {
    let text = |column| row.text(column).map(str::to_owned);
    Ok(RunRecord {
        id: row.integer(0)?,
        binding: Binding { spec: text(1)?, ddl: text(2)?, snapshot: text(3)?, tool: text(4)? },
        expected: row.boolean(5)?,
        tenants: usize::try_from(row.integer(6)?).unwrap_or(0),
        snapshot_path: row.optional(7).map(str::to_owned),
        started: text(8)?,
        finished: row.optional(9).map(str::to_owned),
        tables: serde_json::from_str(row.text(10)?).unwrap_or_default(),
    })
}

/// Writes a new run into the journal, and returns its number.
pub fn record_run(connection: &mut Connection, run: &NewRun<'_>) -> Result<i64, Diagnostic> {
    let (names, tenants) = (name_list(run.tables), run.tenants.to_string());
    let sql = "
        INSERT INTO tenantry.runs
            (target_schema, tables, spec_hash, ddl_hash, snapshot_hash, tool_version, tables_were, tenants, snapshot_path)
        VALUES ($1, ARRAY(SELECT jsonb_array_elements_text($2::jsonb)), $3, $4, $5, $6, $7, $8, $9)
        RETURNING id";
    let binding = run.binding;
    let parameters = [
        Some(run.schema),
        Some(&names),
        Some(&binding.spec),
        Some(&binding.ddl),
        Some(&binding.snapshot),
        Some(&binding.tool),
        Some(if run.expected { "expected" } else { "created" }),
        Some(&tenants),
        run.snapshot_path,
    ];
    connection.query_one(sql, &parameters, "write the run into the journal")?.integer(0)
}

/// Writes down that a step is done, as the first thing in the transaction that does it; `false` says that it was done
/// before, and there is nothing to do. Waits for a transaction of the same step that has not ended.
pub fn claim_step(connection: &mut Connection, run: i64, step: &str, rows: Option<u64>) -> Result<bool, Diagnostic> {
    let (run, rows) = (run.to_string(), rows.map(|rows| rows.to_string()));
    let sql = "INSERT INTO tenantry.steps (run, step, rows) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    let written = connection.execute_with(
        sql,
        &[Some(&run), Some(step), rows.as_deref()],
        &format!("write the step {} into the journal", visible(step)),
    )?;
    Ok(written == 1)
}

/// Returns the steps of a run that are done.
pub fn done_steps(connection: &mut Connection, run: i64) -> Result<Vec<StepRecord>, Diagnostic> {
    let sql = "SELECT step, rows FROM tenantry.steps WHERE run = $1";
    let rows = connection.query(sql, &[Some(&run.to_string())], "read the journal's steps")?;
    rows.iter()
        .map(|row| {
            let rows = row.optional(1).map(|_| row.integer(1)).transpose()?;
            Ok(StepRecord { step: row.text(0)?.to_owned(), rows: rows.and_then(|rows| u64::try_from(rows).ok()) })
        })
        .collect()
}

/// Marks a run as finished, in a transaction whose COMMIT brings it and all before it to the disk.
pub fn finish_run(connection: &mut Connection, run: i64) -> Result<(), Diagnostic> {
    // Whoever has switched that off gets it back: a run that was reported as finished must not be lost in a crash.
    let durable = "SELECT set_config('synchronous_commit', 'on', true)
                   WHERE current_setting('synchronous_commit') = 'off'";
    connection.query(durable, &[], "make the end of the run durable")?;
    let sql = "UPDATE tenantry.runs SET finished = clock_timestamp() WHERE id = $1";
    connection.execute_with(sql, &[Some(&run.to_string())], "mark the run as finished").map(drop)
}

/// Takes a run out of the journal, and the journal away where it was the last one.
pub fn forget_run(connection: &mut Connection, run: i64) -> Result<(), Diagnostic> {
    let purpose = "take the run out of the journal";
    hold_journal(connection, "pg_advisory_xact_lock")?;
    connection.execute_with("DELETE FROM tenantry.runs WHERE id = $1", &[Some(&run.to_string())], purpose)?;
    if present(connection, "SELECT NOT EXISTS (SELECT FROM tenantry.runs)")? {
        connection.execute("DROP TABLE IF EXISTS tenantry.files", purpose)?;
        connection.execute("DROP TABLE tenantry.rejects, tenantry.objects, tenantry.steps, tenantry.runs", purpose)?;
        // Somebody may keep something else there, or own the schema.
        let mine = "SELECT pg_has_role(nspowner, 'USAGE') FROM pg_namespace WHERE nspname = 'tenantry'";
        if present(connection, mine)? && schema_is_empty(connection, JOURNAL_SCHEMA)? {
            connection.execute("DROP SCHEMA tenantry", purpose)?;
        }
    }
    Ok(())
}

/// Says whether nothing stands in a schema.
pub fn schema_is_empty(connection: &mut Connection, schema: &str) -> Result<bool, Diagnostic> {
    let sql = "SELECT NOT EXISTS (
                   SELECT FROM pg_depend d JOIN pg_namespace n ON n.oid = d.refobjid
                   WHERE d.refclassid = 'pg_namespace'::regclass AND n.nspname = $1 AND d.classid <> 'pg_default_acl'::regclass)";
    connection.query_one(sql, &[Some(schema)], "look into a schema")?.boolean(0)
}

fn name_list(names: &[&str]) -> String {
    serde_json::Value::from(names.to_vec()).to_string()
}

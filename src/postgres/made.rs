//! What a run has made in the target, as its journal knows: the objects to be dropped, its tables, the rows written since.

use super::Connection;
use crate::diagnostic::Diagnostic;
use crate::ident::visible;

/// Everything that somebody can make in a database and drop again by itself, as (class, object).
const OBJECTS: &str = "
    SELECT o.class, o.object, o.written FROM (
        SELECT 'pg_namespace'::regclass::oid AS class, oid AS object, oid AS namespace, xmin AS written FROM pg_namespace
        UNION ALL SELECT 'pg_class'::regclass, oid, relnamespace, xmin FROM pg_class
        UNION ALL SELECT 'pg_proc'::regclass, oid, pronamespace, xmin FROM pg_proc
        UNION ALL SELECT 'pg_type'::regclass, oid, typnamespace, xmin FROM pg_type
        UNION ALL SELECT 'pg_collation'::regclass, oid, collnamespace, xmin FROM pg_collation
        UNION ALL SELECT 'pg_operator'::regclass, oid, oprnamespace, xmin FROM pg_operator
        UNION ALL SELECT 'pg_constraint'::regclass, oid, connamespace, xmin FROM pg_constraint
        UNION ALL SELECT 'pg_extension'::regclass, oid, NULL, xmin FROM pg_extension
        UNION ALL SELECT 'pg_cast'::regclass, oid, NULL, xmin FROM pg_cast WHERE oid >= 16384
        UNION ALL SELECT 'pg_trigger'::regclass, t.oid, c.relnamespace, t.xmin FROM pg_trigger t
            JOIN pg_class c ON c.oid = t.tgrelid WHERE NOT t.tgisinternal
        UNION ALL SELECT 'pg_policy'::regclass, p.oid, c.relnamespace, p.xmin FROM pg_policy p
            JOIN pg_class c ON c.oid = p.polrelid
    ) o
    LEFT JOIN pg_namespace n ON n.oid = o.namespace
    WHERE coalesce(n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'tenantry'), true)
      AND NOT EXISTS (
          SELECT FROM pg_depend d WHERE d.classid = o.class AND d.objid = o.object AND d.deptype IN ('i', 'e'))";

/// What is there before a step, so that what it makes can be told from it.
#[derive(Debug)]
pub struct ObjectsBefore(String);

/// Looks at what is there before a step makes something.
pub fn objects_before(connection: &mut Connection) -> Result<ObjectsBefore, Diagnostic> {
    let sql = format!("SELECT coalesce(json_agg(b.class || ':' || b.object), '[]')::text FROM ({OBJECTS}) b");
    let row = connection.query_one(&sql, &[], "look at what the database has")?;
    Ok(ObjectsBefore(row.text(0)?.to_owned()))
}

/// Writes down what has been made since, in the transaction that made it.
///
/// What others make meanwhile is theirs: of what can be seen only this transaction's own is still in progress. The number
/// in a row lacks the upper half, which for something that new is the present one.
pub fn record_objects(connection: &mut Connection, run: i64, before: &ObjectsBefore) -> Result<(), Diagnostic> {
    let sql = format!(
        "INSERT INTO tenantry.objects (run, class, object, description)
         SELECT $1, a.class, a.object, pg_describe_object(a.class, a.object, 0) FROM ({OBJECTS}) a
         WHERE CASE
             WHEN a.class || ':' || a.object IN (SELECT jsonb_array_elements_text($2::jsonb)) THEN false
             ELSE pg_xact_status((
                 (pg_current_xact_id()::text::bigint >> 32 << 32) | a.written::text::bigint)::text::xid8) = 'in progress'
         END
         ORDER BY a.object ON CONFLICT DO NOTHING"
    );
    let run = run.to_string();
    connection.execute_with(&sql, &[Some(&run), Some(&before.0)], "write down what was made").map(drop)
}

/// Something that a run made and that is still there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeObject {
    /// The statement that drops it.
    pub drop: String,
    /// What it is, for people.
    pub description: String,
    /// The schema's name, where it is a schema: others may have put something into it.
    pub schema: Option<String>,
}

/// Waits for what dead clients still do, and returns what a run made, in the order in which it can be dropped.
///
/// To be called in the transaction that drops it. What goes with something else that is dropped is left out; foreign
/// keys among the tables come first, since tables may refer to each other in a circle.
pub fn made_objects(connection: &mut Connection, run: i64) -> Result<Vec<MadeObject>, Diagnostic> {
    let purpose = "find out what the run made";
    // A step under way shares the run's row by its foreign key.
    let sql = "SELECT FROM tenantry.runs WHERE id = $1 FOR UPDATE";
    connection.query(sql, &[Some(&run.to_string())], "wait for steps under way")?;
    let sql = "
        WITH made AS (SELECT class, object, position, description FROM tenantry.objects WHERE run = $1),
        foreign_keys AS (
            SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', c.conrelid::regclass, c.conname) AS statement,
                   pg_describe_object('pg_constraint'::regclass, c.oid, 0) AS description
            FROM pg_constraint c
            WHERE c.contype = 'f' AND c.conparentid = 0
              AND c.conrelid IN (SELECT object FROM made WHERE class = 'pg_class'::regclass)
              AND c.confrelid IN (SELECT object FROM made WHERE class = 'pg_class'::regclass)
            UNION ALL
            -- A policy goes with its table; one that looks into another table keeps that one from going first.
            SELECT format('DROP POLICY %I ON %s', p.polname, p.polrelid::regclass),
                   pg_describe_object('pg_policy'::regclass, p.oid, 0)
            FROM pg_policy p
            WHERE p.polrelid IN (SELECT object FROM made WHERE class = 'pg_class'::regclass)
              AND EXISTS (
                  SELECT FROM pg_depend d
                  WHERE d.classid = 'pg_policy'::regclass AND d.objid = p.oid AND d.deptype = 'n'
                    AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> p.polrelid)),
        others AS (
            SELECT i.type, i.identity, m.description, m.position
            FROM made m CROSS JOIN LATERAL pg_identify_object(m.class, m.object, 0) i
            WHERE i.identity IS NOT NULL
              AND NOT EXISTS (
                  SELECT FROM pg_depend d JOIN made o ON o.class = d.refclassid AND o.object = d.refobjid
                  WHERE d.classid = m.class AND d.objid = m.object AND d.deptype IN ('a', 'i', 'e')))
        SELECT statement, description, schema FROM (
            SELECT statement, description, NULL::name AS schema, NULL::bigint AS position FROM foreign_keys
            UNION ALL
            SELECT CASE type
                       WHEN 'table constraint' THEN (
                           SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', c.conrelid::regclass, c.conname)
                           FROM made m JOIN pg_constraint c ON c.oid = m.object
                           WHERE m.class = 'pg_constraint'::regclass AND m.position = others.position)
                       ELSE format('DROP %s %s', upper(type), identity)
                   END, description,
                   CASE type WHEN 'schema' THEN (
                       SELECT n.nspname FROM made m JOIN pg_namespace n ON n.oid = m.object
                       WHERE m.class = 'pg_namespace'::regclass AND m.position = others.position) END,
                   position FROM others
        ) s ORDER BY position DESC NULLS FIRST";
    let rows = connection.query(sql, &[Some(&run.to_string())], purpose)?;
    rows.iter()
        .map(|row| {
            Ok(MadeObject {
                drop: row.text(0)?.to_owned(),
                description: row.text(1)?.to_owned(),
                schema: row.optional(2).map(str::to_owned),
            })
        })
        .collect()
}

/// Returns the tables that hold a run's rows, as SQL names them, locked so that nobody writes to them meanwhile.
///
/// For tables that the run has made these are all that it made; for others, those of its tables that are there.
pub fn run_tables(connection: &mut Connection, run: i64, schema: &str) -> Result<Vec<String>, Diagnostic> {
    let sql = "
        SELECT c.oid::regclass::text, c.relforcerowsecurity FROM tenantry.runs r
        JOIN pg_class c ON CASE r.tables_were
            WHEN 'created' THEN EXISTS (
                SELECT FROM tenantry.objects o
                WHERE o.run = r.id AND o.class = 'pg_class'::regclass AND o.object = c.oid)
            ELSE c.relname = ANY (r.tables)
                 AND c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $2) END
        WHERE r.id = $1 AND c.relkind IN ('r', 'p') ORDER BY 1";
    let rows = connection.query(sql, &[Some(&run.to_string()), Some(schema)], "find the run's tables")?;
    let mut tables = Vec::new();
    for row in &rows {
        let table = row.text(0)?.to_owned();
        connection.execute(&format!("LOCK TABLE {table}"), "lock the run's tables")?;
        // Under FORCE not even the owner could count the rows.
        if row.boolean(1)? {
            connection.execute(&format!("ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY"), "count the rows")?;
        }
        tables.push(table);
    }
    Ok(tables)
}

/// Counts the rows of a table that were written by others than the run's steps, or changed since.
///
/// `counted` goes by the number of rows alone, where the server does not tell which transaction wrote a row.
pub fn newer_rows(connection: &mut Connection, run: i64, table: &str, counted: bool) -> Result<u64, Diagnostic> {
    let sql = match counted {
        false => format!(
            "SELECT count(*) FROM {table} AS t
             WHERE t.xmin::text NOT IN (SELECT s.xmin::text FROM tenantry.steps s WHERE s.run = $1)"
        ),
        true => format!(
            "SELECT greatest((SELECT count(*) FROM {table}) - coalesce((
                 SELECT sum(s.rows) FROM tenantry.steps s
                 WHERE s.run = $1 AND s.step LIKE 'chunk %' AND s.step LIKE '% of ' || (
                     SELECT relname FROM pg_class WHERE oid = {}::regclass)), 0), 0)::bigint",
            crate::ident::literal(table)
        ),
    };
    let purpose = format!("count the rows of {} that are newer than the run", visible(table));
    let rows = connection.query_one(&sql, &[Some(&run.to_string())], &purpose)?.integer(0)?;
    Ok(u64::try_from(rows).unwrap_or(0))
}

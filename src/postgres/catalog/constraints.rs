//! Reads keys, foreign keys and checks.

use super::reader::Reading;
use crate::diagnostic::Diagnostic;
use crate::postgres::Connection;
use crate::schema::{Action, Check, Deferral, Expr, ForeignKey, Key, KeyKind};

const KEYS: &str = "
    SELECT c.relname, o.conname, o.contype::text, o.conkey::text, o.condeferrable,
           coalesce(x.indnullsnotdistinct OR x.indnkeyatts < x.indnatts, false)
    FROM pg_constraint o
    JOIN pg_class c ON c.oid = o.conrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_index x ON x.indexrelid = o.conindid
    WHERE n.nspname = $1 AND c.relname IN (SELECT jsonb_array_elements_text($2::jsonb)) AND o.contype IN ('p', 'u', 'x')
    ORDER BY c.relname, o.conname";

pub(super) fn read_keys(connection: &mut Connection, reading: &mut Reading<'_>) -> Result<(), Diagnostic> {
    for row in reading.query(connection, KEYS, "keys")? {
        let table = reading.table_of(&row)?;
        let name = row.text(1)?;
        let kind = match row.text(2)? {
            "p" => KeyKind::Primary,
            "u" => KeyKind::Unique,
            _ => {
                reading.unsaid(table, name, "is an exclusion constraint");
                continue;
            }
        };
        if row.boolean(4)? {
            reading.unsaid(table, name, "is a deferrable key");
        }
        if row.boolean(5)? {
            reading.unsaid(table, name, "has NULLS NOT DISTINCT or INCLUDE");
        }
        let columns = reading.columns(table, row.text(3)?)?;
        let name = Some(name.to_owned());
        reading.schema.add_key(Key { table, kind, name, columns, on_conflict: None, span: None });
    }
    Ok(())
}

/// Constraints with a parent belong to partitions; PostgreSQL keeps them in step with the parent's.
const FOREIGN_KEYS: &str = "
    SELECT c.relname, o.conname, o.conkey::text, rn.nspname, r.relname, o.confkey::text, o.confdeltype::text,
           o.confupdtype::text, o.confdelsetcols::text, o.confmatchtype = 'f', o.condeferrable, o.condeferred
    FROM pg_constraint o
    JOIN pg_class c ON c.oid = o.conrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_class r ON r.oid = o.confrelid
    JOIN pg_namespace rn ON rn.oid = r.relnamespace
    WHERE n.nspname = $1 AND c.relname IN (SELECT jsonb_array_elements_text($2::jsonb)) AND o.contype = 'f'
      AND o.conparentid = 0
    ORDER BY c.relname, o.conname";

pub(super) fn read_foreign_keys(connection: &mut Connection, reading: &mut Reading<'_>) -> Result<(), Diagnostic> {
    for row in reading.query(connection, FOREIGN_KEYS, "foreign keys")? {
        let table = reading.table_of(&row)?;
        let name = row.text(1)?;
        let (schema, referenced) = (row.text(3)?, row.text(4)?);
        let Some(referenced_table) = reading.table(referenced).filter(|_| schema == reading.schema_name) else {
            reading.unsaid(table, name, &format!("refers to {schema}.{referenced}, which is not one of the tables"));
            continue;
        };
        let set_columns = row.optional(8).map(|array| reading.columns(table, array)).transpose()?;
        let foreign_key = ForeignKey {
            table,
            name: Some(name.to_owned()),
            columns: reading.columns(table, row.text(2)?)?,
            referenced_table,
            referenced_columns: reading.columns(referenced_table, row.text(5)?)?,
            on_delete: action(row.text(6)?),
            on_update: action(row.text(7)?),
            set_columns,
            match_full: row.boolean(9)?,
            deferral: match (row.boolean(10)?, row.boolean(11)?) {
                (false, _) => Deferral::NotDeferrable,
                (true, false) => Deferral::InitiallyImmediate,
                (true, true) => Deferral::InitiallyDeferred,
            },
            span: None,
        };
        reading.schema.add_foreign_key(foreign_key);
    }
    Ok(())
}

fn action(letter: &str) -> Action {
    match letter {
        "r" => Action::Restrict,
        "c" => Action::Cascade,
        "n" => Action::SetNull,
        "d" => Action::SetDefault,
        _ => Action::NoAction,
    }
}

const CHECKS: &str = "
    SELECT c.relname, o.conname, pg_get_expr(o.conbin, o.conrelid)
    FROM pg_constraint o
    JOIN pg_class c ON c.oid = o.conrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = $1 AND c.relname IN (SELECT jsonb_array_elements_text($2::jsonb)) AND o.contype = 'c'
    ORDER BY c.relname, o.conname";

pub(super) fn read_checks(connection: &mut Connection, reading: &mut Reading<'_>) -> Result<(), Diagnostic> {
    for row in reading.query(connection, CHECKS, "checks")? {
        let table = reading.table_of(&row)?;
        let expr = Expr::Postgres(row.text(2)?.to_owned());
        reading.schema.add_check(Check { table, name: Some(row.text(1)?.to_owned()), expr, span: None });
    }
    Ok(())
}

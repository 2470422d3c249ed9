//! Reads indexes, without those that a constraint brings along.

use super::reader::Reading;
use crate::diagnostic::Diagnostic;
use crate::postgres::Connection;
use crate::schema::{Expr, Index, IndexId, IndexMethod, IndexPart, TableId};

/// One row for each part of each index, in order.
const PARTS: &str = "
    SELECT c.relname, i.relname, x.indisunique, pg_get_expr(x.indpred, x.indrelid),
           x.indkey[p.number - 1], pg_get_indexdef(x.indexrelid, p.number, true), x.indoption[p.number - 1],
           CASE WHEN x.indcollation[p.number - 1] <> coalesce(a.attcollation, t.typcollation) THEN k.collname END,
           concat_ws(' and ',
             CASE WHEN x.indnullsnotdistinct THEN 'has NULLS NOT DISTINCT' END,
             CASE WHEN NOT x.indisvalid THEN 'is not valid' END,
             CASE WHEN NOT o.opcdefault THEN 'uses ' || o.opcname END),
           m.amname,
           (SELECT string_agg(k.attnum::text, ',' ORDER BY k.place)
            FROM unnest(x.indkey::int2[]) WITH ORDINALITY k(attnum, place) WHERE k.place > x.indnkeyatts)
    FROM pg_index x
    JOIN pg_class i ON i.oid = x.indexrelid
    JOIN pg_class c ON c.oid = x.indrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_am m ON m.oid = i.relam
    CROSS JOIN generate_series(1, x.indnkeyatts::int) p(number)
    JOIN pg_opclass o ON o.oid = x.indclass[p.number - 1]
    LEFT JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = x.indkey[p.number - 1] AND a.attnum <> 0
    LEFT JOIN pg_attribute ia ON ia.attrelid = x.indexrelid AND ia.attnum = p.number
    LEFT JOIN pg_type t ON t.oid = ia.atttypid
    LEFT JOIN pg_collation k ON k.oid = x.indcollation[p.number - 1]
    WHERE n.nspname = $1 AND c.relname IN (SELECT jsonb_array_elements_text($2::jsonb))
      AND NOT EXISTS (SELECT FROM pg_constraint q
                      WHERE q.conindid = x.indexrelid AND q.conrelid = x.indrelid AND q.contype IN ('p', 'u', 'x'))
    ORDER BY c.relname, i.relname, p.number";

const DESC: i64 = 1;
const NULLS_FIRST: i64 = 2;

pub(super) fn read(connection: &mut Connection, reading: &mut Reading<'_>) -> Result<(), Diagnostic> {
    let mut last: Option<(TableId, IndexId)> = None;
    for row in reading.query(connection, PARTS, "indexes")? {
        let table = reading.table_of(&row)?;
        let name = row.text(1)?;
        let options = row.integer(6)?;
        let descending = options & DESC != 0;
        // DESC alone puts NULLs first, ascending order puts them last.
        let nulls_moved = (options & NULLS_FIRST != 0) != descending;
        if !row.text(8)?.is_empty() {
            reading.unsaid(table, name, row.text(8)?);
        }
        let method = IndexMethod::parse(row.text(9)?);
        if method.is_none() {
            reading.unsaid(table, name, &format!("is a {} index", row.text(9)?));
        }
        let expr = match reading.columns.get(&(table, row.integer(4)?)) {
            Some(column) => Expr::Column(*column),
            None => Expr::Postgres(row.text(5)?.to_owned()),
        };
        let part = IndexPart { expr, descending, nulls_moved, collation: row.optional(7).map(str::to_owned) };
        let same = last.filter(|&(of, id)| of == table && reading.schema.index(id).name == name);
        match same {
            Some((_, id)) => reading.schema.indexes[id.index()].parts.push(part),
            None => {
                let predicate = row.optional(3).map(|text| Expr::Postgres(text.to_owned()));
                let unique = row.boolean(2)?;
                let index = Index {
                    table,
                    name: name.to_owned(),
                    unique,
                    parts: vec![part],
                    predicate,
                    method: method.unwrap_or_default(),
                    include: row.optional(10).map_or(Ok(Vec::new()), |numbers| reading.columns(table, numbers))?,
                    span: None,
                };
                last = Some((table, reading.schema.add_index(index)));
            }
        }
    }
    Ok(())
}

//! The live schema against the plan's: every difference as a sentence.
//!
//! Both are reduced to one line of text for each object, and the lines are compared by the objects' names. Defaults that are
//! constants are compared by value (`defaults`); other expressions count by presence here, because the server writes them in
//! its own way, and a transaction that only reads cannot have it write the planned ones: `expressions` does, before it.

use super::defaults;
use crate::diagnostic::Diagnostic;
use crate::ident::visible;
use crate::plan::Plan;
use crate::postgres::{Connection, Unsaid, existing_tables, read_catalog_in_part};
use crate::schema::{
    Column, ColumnId, Deferral, Expr, ForeignKey, Index, IndexMethod, Key, KeyKind, PgType, TableId, TargetSchema,
};
use std::collections::BTreeMap;

/// Compares the live schema with the plan; an empty answer means that they are the same.
pub fn verify_catalog(plan: &Plan, target: &mut Connection) -> Result<Vec<String>, Diagnostic> {
    compare(plan, target, false)
}

/// Compares tables that somebody else has made with what rows can be copied into: all that the plan has before the rows,
/// and of keys, indexes and foreign keys as many as there are.
pub fn unfit_for_rows(plan: &Plan, target: &mut Connection) -> Result<Vec<String>, Diagnostic> {
    compare(plan, target, true)
}

/// `unfinished` says that what comes after the rows may be missing.
fn compare(plan: &Plan, target: &mut Connection, unfinished: bool) -> Result<Vec<String>, Diagnostic> {
    let planned = &plan.rewritten.target;
    let schema = plan.tenancy.target_schema.as_str();
    let names: Vec<&str> = planned.tables.iter().map(|table| table.name.as_str()).collect();
    let existing = existing_tables(target, schema, &names)?;
    let (present, missing): (Vec<&str>, Vec<&str>) =
        names.iter().partition(|name| existing.iter().any(|existing| existing == *name));
    let mut sentences: Vec<String> =
        missing.iter().map(|name| format!("the table {} is missing", visible(name))).collect();
    match read_catalog_in_part(target, schema, &present) {
        Ok((live, unsaid)) => {
            sentences.extend(
                unsaid.iter().map(|object| format!("{}: {}: tenantry does not write this", object.table, object.what)),
            );
            for table in planned.table_ids() {
                let found = live.table_ids().find(|&found| live.table(found).name == planned.table(table).name);
                if let Some(found) = found {
                    let more_expected = !plan.tenancy.extra.is_empty();
                    let allowed = Allowed { more: more_expected, less: unfinished };
                    compare_tables((planned, table), (&live, found), &unsaid, allowed, &mut sentences);
                }
            }
        }
        Err(error) if error.code == "table-missing" => sentences.push(error.message),
        Err(error) => return Err(error),
    }
    sentences.extend(not_enforced(schema, &present, target)?);
    Ok(sentences)
}

/// What may differ.
#[derive(Debug, Clone, Copy)]
struct Allowed {
    /// Files of the spec may have made more than the plan knows of.
    more: bool,
    /// Keys, indexes and foreign keys may be missing.
    less: bool,
}

/// `unsaid` lists what has been reported already.
fn compare_tables(
    planned: (&TargetSchema, TableId),
    live: (&TargetSchema, TableId),
    unsaid: &[Unsaid],
    allowed: Allowed,
    sentences: &mut Vec<String>,
) {
    let table = visible(&planned.0.table(planned.1).name).into_owned();
    sentences.extend(defaults::differences(planned, live).map(|difference| format!("{table}: {difference}")));
    let (planned, live) = (objects(planned.0, planned.1), objects(live.0, live.1));
    let is_unsaid = |name: &String| unsaid.iter().any(|object| object.table == table && object.object == *name);
    for (name, expected) in planned.iter().filter(|(name, _)| !is_unsaid(&name.1)) {
        match live.get(name) {
            None if allowed.less && comes_after_rows(name.0, expected) => {}
            None => sentences.push(format!("{table}: the {expected} is missing")),
            Some(found) if found != expected => {
                sentences.push(format!("{table}: the {found} is to be the {expected}"));
            }
            Some(_) => {}
        }
    }
    for (name, found) in live.iter().filter(|(name, _)| !is_unsaid(&name.1)) {
        if !allowed.more && !planned.contains_key(name) {
            sentences.push(format!("{table}: the {found} is not in the plan"));
        }
    }
}

fn comes_after_rows(kind: Kind, line: &str) -> bool {
    match kind {
        Kind::Column => false,
        Kind::Constraint => !line.starts_with("CHECK "),
        Kind::Index => true,
    }
}

/// Which namespace an object's name counts in, and the order in which differences are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Column,
    Constraint,
    Index,
}

/// Describes everything that belongs to a table, by name.
fn objects(schema: &TargetSchema, table: TableId) -> BTreeMap<(Kind, String), String> {
    let described = schema.table(table);
    let primary = described.primary_key.map(|key| schema.key(key).columns.as_slice()).unwrap_or_default();
    let name = |name: &Option<String>| name.clone().unwrap_or_default();
    let mut objects = BTreeMap::new();
    for &id in &described.columns {
        let column = schema.column(id);
        objects.insert((Kind::Column, column.name.clone()), column_line(column, primary.contains(&id)));
    }
    for key in described.primary_key.iter().chain(&described.unique_keys).map(|&key| schema.key(key)) {
        objects.insert((Kind::Constraint, name(&key.name)), key_line(schema, key));
    }
    for foreign_key in described.foreign_keys.iter().map(|&id| schema.foreign_key(id)) {
        objects.insert((Kind::Constraint, name(&foreign_key.name)), foreign_key_line(schema, foreign_key));
    }
    for check in described.checks.iter().map(|&id| schema.check(id)) {
        let line = format!("CHECK {}", visible(&name(&check.name)));
        objects.insert((Kind::Constraint, name(&check.name)), line);
    }
    for index in described.indexes.iter().map(|&id| schema.index(id)) {
        objects.insert((Kind::Index, index.name.clone()), index_line(schema, index));
    }
    objects
}

fn column_line(column: &Column<PgType>, in_primary_key: bool) -> String {
    let mut line = format!("column {} {}", visible(&column.name), column.data_type);
    if let Some(collation) = &column.collation {
        line.push_str(&format!(" COLLATE {}", visible(collation)));
    }
    // Either makes a column NOT NULL without the words.
    if column.not_null || column.identity || in_primary_key {
        line.push_str(" NOT NULL");
    }
    if column.identity {
        line.push_str(" as identity");
    }
    if column.default.is_some() {
        line.push_str(" with a default");
    }
    if column.generated.is_some() {
        line.push_str(" generated");
    }
    line
}

fn list(schema: &TargetSchema, columns: &[ColumnId]) -> String {
    schema.column_names(columns).map(visible).collect::<Vec<_>>().join(", ")
}

fn key_line(schema: &TargetSchema, key: &Key) -> String {
    let kind = match key.kind {
        KeyKind::Primary => "primary key",
        KeyKind::Unique => "unique key",
    };
    format!("{kind} {} ({})", visible(key.name.as_deref().unwrap_or_default()), list(schema, &key.columns))
}

fn foreign_key_line(schema: &TargetSchema, foreign_key: &ForeignKey) -> String {
    let mut line = format!(
        "foreign key {} ({}) to {} ({}){} ON UPDATE {} ON DELETE {}",
        visible(foreign_key.name.as_deref().unwrap_or_default()),
        list(schema, &foreign_key.columns),
        visible(&schema.table(foreign_key.referenced_table).name),
        list(schema, &foreign_key.referenced_columns),
        if foreign_key.match_full { " MATCH FULL" } else { "" },
        foreign_key.on_update.sql(),
        foreign_key.on_delete.sql()
    );
    if let Some(columns) = &foreign_key.set_columns {
        line.push_str(&format!(" ({})", list(schema, columns)));
    }
    line.push_str(match foreign_key.deferral {
        Deferral::NotDeferrable => "",
        Deferral::InitiallyImmediate => " DEFERRABLE",
        Deferral::InitiallyDeferred => " DEFERRABLE INITIALLY DEFERRED",
    });
    line
}

fn index_line(schema: &TargetSchema, index: &Index) -> String {
    let parts = index.parts.iter().map(|part| {
        let mut text = match (&part.expr, &part.collation) {
            (Expr::Column(column), None) => visible(&schema.column(*column).name).into_owned(),
            (Expr::Column(column), Some(collation)) => {
                format!("{} COLLATE {}", visible(&schema.column(*column).name), visible(collation))
            }
            // The server derives an expression's collation from what is in it.
            _ => "an expression".to_owned(),
        };
        text.push_str(part.order());
        text
    });
    let method = match index.method {
        IndexMethod::Btree => String::new(),
        other => format!(" using {}", other.name()),
    };
    let include = match &index.include[..] {
        [] => String::new(),
        columns => format!(" including {}", visible(&schema.column_names(columns).collect::<Vec<_>>().join(", "))),
    };
    format!(
        "{}index {}{method} ({}){include}{}",
        if index.unique { "unique " } else { "" },
        visible(&index.name),
        parts.collect::<Vec<_>>().join(", "),
        if index.predicate.is_some() { " for some rows" } else { "" }
    )
}

/// Constraints that are there and do not hold anything: not validated, or with their triggers switched off.
const NOT_ENFORCED: &str = "
    SELECT DISTINCT c.relname, o.conname,
           CASE WHEN o.convalidated THEN 'has a trigger switched off' ELSE 'is not validated' END
    FROM pg_constraint o
    JOIN pg_class c ON c.oid = o.conrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_trigger t ON t.tgconstraint = o.oid AND t.tgenabled NOT IN ('O', 'A')
    WHERE n.nspname = $1 AND c.relname IN (SELECT jsonb_array_elements_text($2::jsonb))
      AND (NOT o.convalidated OR t.oid IS NOT NULL)
    ORDER BY 1, 2, 3";

fn not_enforced(schema: &str, tables: &[&str], target: &mut Connection) -> Result<Vec<String>, Diagnostic> {
    let names = serde_json::Value::from(tables.to_vec()).to_string();
    let rows = target.query(NOT_ENFORCED, &[Some(schema), Some(&names)], "look for constraints that do not hold")?;
    rows.iter()
        .map(|row| {
            let (table, constraint) = (visible(row.text(0)?), visible(row.text(1)?));
            Ok(format!("{table}: the constraint {constraint} {}", row.text(2)?))
        })
        .collect()
}

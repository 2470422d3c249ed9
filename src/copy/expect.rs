//! `--schema expect`: tables that somebody else has made, to be filled.

use crate::diagnostic::Diagnostic;
use crate::emit::qualified_table;
use crate::ident::{quote, visible};
use crate::plan::{Makes, Plan, Section, Statement};
use crate::postgres::{Connection, claim_step, existing_tables};
use crate::schema::TableId;
use crate::verify::{unfit_for_rows, verify_expressions};

/// Triggers that would fire for every row that is copied.
const TRIGGERS: &str = "
    SELECT c.relname, t.tgname FROM pg_trigger t
    JOIN pg_class c ON c.oid = t.tgrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = $1 AND c.relname IN (SELECT jsonb_array_elements_text($2::jsonb)) AND NOT t.tgisinternal
    ORDER BY 1, 2";

/// Tables under row-level security, which COPY is refused for.
const POLICIES: &str = "
    SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = $1 AND c.relname IN (SELECT jsonb_array_elements_text($2::jsonb)) AND c.relrowsecurity
    ORDER BY 1";

/// Refuses tables that are not what the plan has before the rows, or that hold rows.
///
/// # Errors
/// `target-differs`, with every difference.
pub(super) fn refuse_unfit(plan: &Plan, connection: &mut Connection) -> Result<(), Diagnostic> {
    let target = &plan.rewritten.target;
    let schema = plan.tenancy.target_schema.as_str();
    let mut differences = unfit_for_rows(plan, connection)?;
    // What cannot be compared now is told by the proof.
    differences.extend(verify_expressions(plan, connection)?.differences);
    let names: Vec<&str> = target.tables.iter().map(|table| table.name.as_str()).collect();
    let list = serde_json::Value::from(names.clone()).to_string();
    for row in connection.query(TRIGGERS, &[Some(schema), Some(&list)], "look for triggers")? {
        let (table, trigger) = (visible(row.text(0)?), visible(row.text(1)?));
        differences.push(format!("{table}: the trigger {trigger} would fire for every row; make it afterwards"));
    }
    for row in connection.query(POLICIES, &[Some(schema), Some(&list)], "look for row-level security")? {
        differences.push(format!("{}: row-level security is on; the run switches it on last", visible(row.text(0)?)));
    }
    let present = existing_tables(connection, schema, &names)?;
    for table in target.table_ids().filter(|&table| present.contains(&target.table(table).name)) {
        let sql = format!("SELECT EXISTS (SELECT FROM {})", qualified_table(plan, table));
        if connection.query_one(&sql, &[], "see whether the table is empty")?.boolean(0)? {
            differences.push(format!("{}: it holds rows", visible(&target.table(table).name)));
        }
    }
    if differences.is_empty() {
        return Ok(());
    }
    let list: Vec<String> = differences.iter().map(|difference| format!("  {difference}")).collect();
    Err(Diagnostic::error(
        "target-differs",
        format!("the tables in the schema `{}` are not those of the plan's pre-data", visible(schema)),
    )
    .help(format!(
        "{}\nbring the tables to what `tenantry emit SPEC --section pre-data` writes; keys, indexes and foreign keys may \
         be there or not",
        list.join("\n")
    )))
}

/// Takes away the foreign keys that are there: they are made again over the rows, which is quicker and asks for no order
/// among rows that refer to each other. What was taken is written down, so that it can be given back.
pub(super) fn take_foreign_keys(plan: &Plan, run: i64, connection: &mut Connection) -> Result<(), Diagnostic> {
    for (step, statement) in foreign_keys(plan) {
        let Makes::ForeignKey(id) = statement.makes else { continue };
        if !is_there(plan, statement, connection)? {
            continue;
        }
        let foreign_key = plan.rewritten.target.foreign_key(id);
        let name = foreign_key.name.as_deref().unwrap_or_default();
        let table = qualified_table(plan, foreign_key.table);
        let purpose = format!("take the foreign key {} away for the copy", visible(name));
        connection.execute(&format!("ALTER TABLE {table} DROP CONSTRAINT {}", quote(name)), &purpose)?;
        claim_step(connection, run, &step, None)?;
    }
    Ok(())
}

/// Lists the foreign keys of a plan, each with the name by which the journal knows that it was taken away.
pub(super) fn foreign_keys(plan: &Plan) -> impl Iterator<Item = (String, &Statement)> {
    let statements = plan.section(Section::PostData);
    let keys = statements.filter(|statement| matches!(statement.makes, Makes::ForeignKey(_)));
    keys.enumerate().map(|(position, statement)| {
        (format!("taken away: {position} {}", statement.makes.describe(plan).1), statement)
    })
}

/// Says whether a key, an index, a foreign key or a view is there already.
pub(super) fn is_there(plan: &Plan, statement: &Statement, connection: &mut Connection) -> Result<bool, Diagnostic> {
    const CONSTRAINT: &str = "SELECT EXISTS (SELECT FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid \
                              JOIN pg_namespace n ON n.oid = t.relnamespace \
                              WHERE n.nspname = $1 AND c.conname = $2 AND t.relname = $3)";
    const RELATION: &str = "SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                            WHERE n.nspname = $1 AND c.relname = $2)";
    let target = &plan.rewritten.target;
    let table: Option<TableId> = match statement.makes {
        Makes::Key(key) => Some(target.key(key).table),
        Makes::ForeignKey(id) => Some(target.foreign_key(id).table),
        Makes::Index(_) | Makes::View(_) => None,
        _ => return Ok(false),
    };
    let name = statement.makes.describe(plan).1;
    let schema = Some(plan.tenancy.target_schema.as_str());
    let purpose = "see what is there already";
    let row = match table {
        Some(table) => {
            let table = target.table(table).name.as_str();
            connection.query_one(CONSTRAINT, &[schema, Some(&name), Some(table)], purpose)?
        }
        None => connection.query_one(RELATION, &[schema, Some(&name)], purpose)?,
    };
    row.boolean(0)
}

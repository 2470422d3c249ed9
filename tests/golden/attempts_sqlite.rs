//! The same attempts in SQLite's dialect of a plan: SQLite refuses what PostgreSQL refuses.

use super::attempts::{Crossing, Expected, NEW, Tally, replace};
use super::database::sqlite_database;
use super::world::{At, Dialect, World};
use tenantry::schema::{Action, ColumnId, ForeignKeyId, TableId};

/// Makes the attempts that PostgreSQL refuses in SQLite's dialect of the plan too.
pub fn sqlite(world: &World<'_>, tally: &mut Tally) -> Result<(), String> {
    let connection = sqlite_database(world.plan)?;
    let batch = |sql: &str| connection.execute_batch(sql).map_err(|error| format!("SQLite: {error}\nin {sql}"));
    batch("BEGIN; PRAGMA defer_foreign_keys = ON")?;
    for table in world.plan.rewritten.target.table_ids() {
        for at in world.rows(table) {
            batch(&world.insert(table, &world.row(table, at), Dialect::Sqlite))?;
        }
    }
    batch("COMMIT")?;
    sqlite_actions(world, &connection, tally)?;
    for position in 0..world.plan.rewritten.target.foreign_keys.len() {
        let id = ForeignKeyId(position as u32);
        let table: TableId = world.plan.rewritten.target.foreign_key(id).table;
        for (own, other) in [(0, 1), (1, 0)] {
            let crossing = Crossing { world, id, own, other };
            let own_row = world.row(table, At { tenant: own, number: 0 });
            for (_, set) in crossing.across().into_iter().filter(|(expected, _)| *expected == Expected::Refused) {
                let mut new = world.row(table, At { tenant: own, number: NEW });
                replace(&mut new, &set);
                for sql in
                    [world.update(table, &own_row, &set, Dialect::Sqlite), world.insert(table, &new, Dialect::Sqlite)]
                {
                    // A deferred foreign key is heard at the end.
                    let outcome = batch(&format!("BEGIN; {sql}; COMMIT"));
                    if !connection.is_autocommit() {
                        batch("ROLLBACK")?;
                    }
                    match outcome {
                        Err(error) if error.contains("constraint failed") => tally.sqlite += 1,
                        outcome => return Err(format!("SQLite does not refuse it: {outcome:?}\nin {sql}")),
                    }
                }
            }
        }
    }
    Ok(())
}

/// Deletes what a reference that is to be cleared refers to, where no other reference holds it.
fn sqlite_actions(world: &World<'_>, connection: &rusqlite::Connection, tally: &mut Tally) -> Result<(), String> {
    let target = &world.plan.rewritten.target;
    for foreign_key in &target.foreign_keys {
        let Some(cleared) = &foreign_key.set_columns else { continue };
        let same_parent = target
            .table(foreign_key.table)
            .foreign_keys
            .iter()
            .filter(|&&other| target.foreign_key(other).referenced_table == foreign_key.referenced_table);
        if foreign_key.is_self_reference() || same_parent.count() > 1 {
            continue;
        }
        let at = At { tenant: 0, number: 0 };
        let parent = world.row(foreign_key.referenced_table, world.parent(foreign_key, at));
        connection.execute_batch("BEGIN").map_err(|error| error.to_string())?;
        let sql = world.delete(foreign_key.referenced_table, &parent, Dialect::Sqlite);
        let outcome = connection.execute_batch(&sql);
        let mut child = world.row(foreign_key.table, at);
        let expected = |column: ColumnId| match foreign_key.on_delete {
            Action::SetDefault => target.column(column).default.is_some(),
            _ => false,
        };
        child.retain(|(column, _)| !cleared.contains(column));
        let nulls: Vec<String> = cleared
            .iter()
            .map(|&column| {
                let name = tenantry::ident::quote_always(&target.column(column).name);
                format!("{name} IS {}NULL", if expected(column) { "NOT " } else { "" })
            })
            .collect();
        let look = format!(
            "SELECT count(*) FROM {} {} AND {}",
            world.table(foreign_key.table, Dialect::Sqlite),
            world.condition(foreign_key.table, &child, Dialect::Sqlite),
            nulls.join(" AND ")
        );
        let rows: Result<i64, _> = connection.query_row(&look, [], |row| row.get(0));
        connection.execute_batch("ROLLBACK").map_err(|error| error.to_string())?;
        match (outcome, rows) {
            (Err(_), _) => {}
            (Ok(()), Ok(1)) => tally.sqlite_actions += 1,
            (Ok(()), rows) => return Err(format!("SQLite clears something else: {rows:?}\nin {sql}\n{look}")),
        }
    }
    Ok(())
}

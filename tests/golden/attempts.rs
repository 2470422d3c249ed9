//! Isolation tried, not read: for every foreign key of every plan, on a real PostgreSQL and in SQLite, one tenant's row
//! tries to refer to the other's.

use super::attempts_sqlite::sqlite;
use super::case::{Case, apply_tables};
use super::database::database;
use super::world::{At, Dialect, Value, World};
use tenantry::emit;
use tenantry::plan::{Makes, Plan};
use tenantry::postgres::Connection;
use tenantry::schema::{Action, ColumnId, ForeignKey, ForeignKeyId};
use tenantry::spec::{ForeignKeyTenancy, Placement};

/// How many attempts were made, by what had to come of them.
#[derive(Debug, Default)]
pub struct Tally {
    /// References to another tenant that were refused.
    pub refused: usize,
    /// References within the tenant that succeeded.
    pub accepted: usize,
    /// References to another tenant that the spec allows and that succeeded.
    pub allowed: usize,
    /// Actions that did what they say and left the other tenant's rows alone.
    pub actions: usize,
    /// References to another tenant that SQLite refused.
    pub sqlite: usize,
    /// Deletions in SQLite that cleared the reference and nothing else.
    pub sqlite_actions: usize,
}

type Row = Vec<(ColumnId, Value)>;

#[test]
fn no_row_refers_to_another_tenants() {
    let mut failures = Vec::new();
    let mut tally = Tally::default();
    for case in Case::all() {
        let Ok(project) = case.load() else { continue };
        if let Err(failure) = attempt_all(&project.plan, &mut tally) {
            failures.push(format!("{}:\n{failure}", case.name()));
        }
    }
    println!("{tally:?}");
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    let Tally { refused, accepted, allowed, actions, sqlite, sqlite_actions } = tally;
    let counts = [refused, accepted, allowed, actions, sqlite, sqlite_actions];
    assert!(counts.iter().all(|&count| count > 0), "a kind was never attempted");
}

/// Makes every attempt on every foreign key of a plan.
pub fn attempt_all(plan: &Plan, tally: &mut Tally) -> Result<(), String> {
    let mut connection = database();
    apply_tables(plan, &mut connection)?;
    let world = World::new(plan);
    all_rows_together(&world, &mut connection)?;
    for position in 0..plan.rewritten.target.foreign_keys.len() {
        let id = ForeignKeyId(position as u32);
        for (own, other) in [(0, 1), (1, 0)] {
            let crossing = Crossing { world: &world, id, own, other };
            Attempt { crossing, connection: &mut connection }.run(tally).map_err(|failure| {
                let name = plan.rewritten.target.foreign_key(id).name.clone().unwrap_or_default();
                format!("{name}, tenant {own}: {failure}")
            })?;
        }
    }
    sqlite(&world, tally)
}

/// Fills every table for two tenants, then adds every foreign key: what belongs together has to be accepted.
fn all_rows_together(world: &World<'_>, connection: &mut Connection) -> Result<(), String> {
    run(connection, "BEGIN")?;
    for table in world.plan.rewritten.target.table_ids() {
        for at in world.rows(table) {
            run(connection, &world.insert(table, &world.row(table, at), Dialect::Postgres))?;
        }
    }
    for statement in world.plan.statements.iter().filter(|statement| matches!(statement.makes, Makes::ForeignKey(_))) {
        run(connection, &emit::statement(world.plan, statement).unwrap_or_default())?;
    }
    run(connection, "ROLLBACK")
}

fn run(connection: &mut Connection, sql: &str) -> Result<(), String> {
    connection.execute(sql, "attempt").map(drop).map_err(|error| format!("{}: {}\nin {sql}", error.code, error.message))
}

/// What has to come of a reference to another tenant's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// It is refused.
    Refused,
    /// It succeeds, because the spec allows it.
    Allowed,
}

/// One foreign key, the tenant whose row refers, and the one whose rows it may not refer to.
#[derive(Clone, Copy)]
pub struct Crossing<'a, 'w> {
    /// The rows that there are.
    pub world: &'a World<'w>,
    /// The foreign key.
    pub id: ForeignKeyId,
    /// The tenant whose row refers.
    pub own: usize,
    /// The other tenant.
    pub other: usize,
}

/// The attempts on one foreign key, by one tenant.
struct Attempt<'a, 'w> {
    crossing: Crossing<'a, 'w>,
    connection: &'a mut Connection,
}

/// The number of the row that makes the attempts; none of those it refers to has it.
pub const NEW: usize = 5;

impl Crossing<'_, '_> {
    /// A new row of the tenant that refers to a row.
    fn row(&self, parent: At) -> Row {
        let foreign_key = self.world.plan.rewritten.target.foreign_key(self.id);
        let mut row = self.world.row(foreign_key.table, At { tenant: self.own, number: NEW });
        replace(&mut row, &self.reference(parent));
        row
    }

    /// The columns of the reference, set to a row of the parent; the row's own tenant stays what it is.
    fn reference(&self, parent: At) -> Row {
        let rewritten = &self.world.plan.rewritten;
        let foreign_key = rewritten.target.foreign_key(self.id);
        let own_tenant = rewritten.tenant_columns[foreign_key.table.index()];
        let pairs = foreign_key.columns.iter().zip(&foreign_key.referenced_columns);
        pairs
            .filter(|(own, _)| Some(**own) != own_tenant)
            .map(|(&own, &theirs)| (own, self.world.value(theirs, parent)))
            .collect()
    }

    /// The references to another tenant, and what has to come of each.
    pub fn across(&self) -> Vec<(Expected, Row)> {
        let rewritten = &self.world.plan.rewritten;
        let foreign_key = rewritten.target.foreign_key(self.id);
        let theirs = At { tenant: self.other, number: 0 };
        let placements = (self.world.placement(foreign_key.table), self.world.placement(foreign_key.referenced_table));
        let source = rewritten.source_foreign_keys[self.id.index()];
        let decided = source.map(|id| {
            let table = self.world.plan.source.foreign_key(id).table;
            &self.world.plan.tenancy.table(table).foreign_keys[&id]
        });
        // A mismatch of a tenant and another tenant's row is refused wherever the reference names a tenant.
        let mismatched = || {
            let mut set = self.reference(theirs);
            for (column, value) in &mut set {
                if self.world.is_tenant(*column) {
                    *value = self.world.value(*column, At { tenant: self.own, number: 0 });
                }
            }
            set
        };
        match (placements, decided) {
            ((_, Placement::Root), _) => {
                // The tenant itself is referred to: one that does not exist is refused.
                let nobody = At { tenant: 2, number: 0 };
                let set = foreign_key.columns.iter().map(|&column| (column, self.world.value(column, nobody)));
                vec![(Expected::Refused, set.collect())]
            }
            ((Placement::Shared | Placement::Local, Placement::Tenant(_)), Some(ForeignKeyTenancy::OwnColumn(_))) => {
                vec![(Expected::Refused, mismatched())]
            }
            ((Placement::Tenant(_) | Placement::Root, Placement::Tenant(_)), Some(decided)) => match decided {
                ForeignKeyTenancy::PerTenant | ForeignKeyTenancy::FromRoot => {
                    vec![(Expected::Refused, self.reference(theirs))]
                }
                ForeignKeyTenancy::OwnColumn(_) => {
                    vec![(Expected::Refused, self.reference(theirs)), (Expected::Refused, mismatched())]
                }
                ForeignKeyTenancy::CrossTenant(_) => {
                    vec![(Expected::Allowed, self.reference(theirs)), (Expected::Refused, mismatched())]
                }
                ForeignKeyTenancy::Global | ForeignKeyTenancy::Omit => {
                    vec![(Expected::Allowed, self.reference(theirs))]
                }
            },
            _ => Vec::new(),
        }
    }
}

impl Attempt<'_, '_> {
    /// Runs in a transaction with rows in the two tables, and with this foreign key only: no other can stand in for it.
    fn run(&mut self, tally: &mut Tally) -> Result<(), String> {
        run(self.connection, "BEGIN")?;
        let outcome = self.attempts(tally);
        run(self.connection, "ROLLBACK")?;
        outcome
    }

    fn attempts(&mut self, tally: &mut Tally) -> Result<(), String> {
        let plan = self.crossing.world.plan;
        let foreign_key = plan.rewritten.target.foreign_key(self.crossing.id);
        for at in self.crossing.world.rows(foreign_key.referenced_table) {
            let row = self.crossing.world.row(foreign_key.referenced_table, at);
            run(self.connection, &self.crossing.world.insert(foreign_key.referenced_table, &row, Dialect::Postgres))?;
        }
        let statement = plan.statements.iter().find(|statement| statement.makes == Makes::ForeignKey(self.crossing.id));
        let statement = statement.and_then(|statement| emit::statement(plan, statement));
        run(self.connection, &statement.ok_or("it is not in the plan")?)?;
        run(self.connection, "SET CONSTRAINTS ALL IMMEDIATE")?;

        let last = self.crossing.world.cap(foreign_key.referenced_table).min(2) - 1;
        let within = self.crossing.row(At { tenant: self.crossing.own, number: last });
        for (expected, set) in self.crossing.across() {
            let mut row = within.clone();
            replace(&mut row, &set);
            let sql = self.crossing.world.insert(foreign_key.table, &row, Dialect::Postgres);
            self.expect(expected, &sql, tally)?;
        }
        if *self.crossing.world.placement(foreign_key.table) == Placement::Root {
            // The rows of the root are there: they are the tenants.
            let root = self.crossing.world.row(foreign_key.table, At { tenant: self.crossing.own, number: 0 });
            let sql = self.crossing.world.delete(foreign_key.table, &root, Dialect::Postgres);
            run(self.connection, &sql)?;
        }
        run(self.connection, &self.crossing.world.insert(foreign_key.table, &within, Dialect::Postgres))?;
        tally.accepted += 1;
        for (expected, set) in self.crossing.across() {
            let sql = self.crossing.world.update(foreign_key.table, &within, &set, Dialect::Postgres);
            self.expect(expected, &sql, tally)?;
        }
        let set = self.crossing.reference(At { tenant: self.crossing.own, number: 0 });
        let mut moved = within.clone();
        replace(&mut moved, &set);
        // A reference to the tenant itself has no other row to go to.
        if !set.is_empty() {
            let sql = self.crossing.world.update(foreign_key.table, &within, &set, Dialect::Postgres);
            match self.connection.execute(&sql, "attempt") {
                Ok(1) => tally.accepted += 1,
                other => return Err(format!("{other:?} within the tenant\nin {sql}")),
            }
        }
        self.actions(foreign_key, &moved, tally)
    }

    /// Makes one attempt and undoes it.
    fn expect(&mut self, expected: Expected, sql: &str, tally: &mut Tally) -> Result<(), String> {
        run(self.connection, "SAVEPOINT attempt")?;
        let outcome = self.connection.execute(sql, "attempt");
        run(self.connection, "ROLLBACK TO attempt")?;
        match (expected, outcome) {
            (Expected::Refused, Err(error)) if error.code == "constraint-violated" => tally.refused += 1,
            (Expected::Allowed, Ok(1)) => tally.allowed += 1,
            (_, outcome) => return Err(format!("to be {expected:?}, and is {outcome:?}\nin {sql}")),
        }
        Ok(())
    }

    /// Deletes the row referred to, and changes its key: the action does what it says, and to this tenant's row only.
    fn actions(&mut self, foreign_key: &ForeignKey, child: &Row, tally: &mut Tally) -> Result<(), String> {
        let parent_at = At { tenant: self.crossing.own, number: 0 };
        let parent = self.crossing.world.row(foreign_key.referenced_table, parent_at);
        let is_its_own_parent = foreign_key.is_self_reference() && self.crossing.world.cap(foreign_key.table) == 1;
        if is_its_own_parent || !self.crossing.world.has_tenants(foreign_key.referenced_table) {
            return Ok(());
        }
        let delete = self.crossing.world.delete(foreign_key.referenced_table, &parent, Dialect::Postgres);
        self.act(foreign_key.on_delete, foreign_key, child, &delete, None, tally)?;
        // A tenant's id never changes, so only what else is referred to does.
        let others = foreign_key.referenced_columns.iter().filter(|&&column| !self.crossing.world.is_tenant(column));
        let changed: Row = others
            .map(|&column| {
                (column, self.crossing.world.value(column, At { tenant: self.crossing.own, number: NEW + 1 }))
            })
            .collect();
        if changed.is_empty() || changed.iter().any(|pair| parent.contains(pair)) {
            return Ok(());
        }
        let update = self.crossing.world.update(foreign_key.referenced_table, &parent, &changed, Dialect::Postgres);
        self.act(foreign_key.on_update, foreign_key, child, &update, Some(&changed), tally)
    }

    fn act(
        &mut self,
        action: Action,
        foreign_key: &ForeignKey,
        child: &Row,
        sql: &str,
        changed: Option<&Row>,
        tally: &mut Tally,
    ) -> Result<(), String> {
        let table = foreign_key.table;
        run(self.connection, "SAVEPOINT action")?;
        let before = self.others(foreign_key)?;
        let outcome = self.connection.execute(sql, "attempt");
        let done = outcome.is_ok();
        if !done {
            run(self.connection, "ROLLBACK TO action")?;
        }
        let after = self.others(foreign_key)?;
        let mut child = child.clone();
        let pairs: Vec<(ColumnId, ColumnId)> =
            foreign_key.columns.iter().copied().zip(foreign_key.referenced_columns.iter().copied()).collect();
        // A key of the child that the action changes is looked for by what it became.
        for &(own, theirs) in &pairs {
            if let Some((_, value)) = changed.into_iter().flatten().find(|(column, _)| *column == theirs)
                && action == Action::Cascade
            {
                replace(&mut child, &[(own, value.clone())]);
            }
        }
        let cleared = foreign_key.set_columns.as_ref().unwrap_or(&foreign_key.columns);
        let is_null: Vec<String> = cleared
            .iter()
            .map(|&column| {
                let name = &self.crossing.world.plan.rewritten.target.column(column).name;
                format!("{} IS NULL", tenantry::ident::quote_always(name))
            })
            .collect();
        let found = format!(
            "SELECT count(*), count(*) FILTER (WHERE {}) FROM {} {}",
            is_null.join(" AND "),
            self.crossing.world.table(table, Dialect::Postgres),
            self.crossing.world.condition(table, &child, Dialect::Postgres)
        );
        let row = self.connection.query_one(&found, &[], "look").map_err(|error| error.message)?;
        let counts = (row.integer(0).unwrap_or(-1), row.integer(1).unwrap_or(-1));
        run(self.connection, "ROLLBACK TO action")?;
        let as_it_says = match (action, done) {
            (Action::NoAction | Action::Restrict, false) => true,
            (Action::Cascade, true) => counts == (i64::from(changed.is_some()), 0),
            (Action::SetNull, true) => counts == (1, 1),
            // The default has to refer to a row as well; where none is there the action is refused.
            (Action::SetDefault, done) => !done || counts == (1, 1),
            // A column that is never NULL, and one that a key or another foreign key holds, cannot be cleared.
            (Action::SetNull, false) => {
                cleared.iter().any(|&column| self.crossing.world.plan.rewritten.target.column(column).not_null)
            }
            _ => false,
        };
        if !as_it_says || before != after {
            return Err(format!(
                "{action:?}: {outcome:?}, {counts:?}; the other tenant: {before:?}, {after:?}\nin {sql}"
            ));
        }
        tally.actions += 1;
        Ok(())
    }

    /// Reads all rows of the other tenant in the two tables.
    fn others(&mut self, foreign_key: &ForeignKey) -> Result<Vec<String>, String> {
        let mut rows = Vec::new();
        for table in [foreign_key.table, foreign_key.referenced_table] {
            let rewritten = &self.crossing.world.plan.rewritten;
            let Some(tenant) = rewritten.tenant_columns[table.index()] else { continue };
            let name = tenantry::ident::quote_always(&rewritten.target.column(tenant).name);
            let value =
                self.crossing.world.value(tenant, At { tenant: self.crossing.other, number: 0 }).sql(Dialect::Postgres);
            let table = self.crossing.world.table(table, Dialect::Postgres);
            let sql = format!("SELECT t::text FROM {table} AS t WHERE {name} = {value} ORDER BY 1");
            let found = self.connection.query(&sql, &[], "look").map_err(|error| error.message)?;
            rows.extend(found.iter().map(|row| row.optional(0).unwrap_or_default().to_owned()));
        }
        Ok(rows)
    }
}

/// Sets some values of a row.
pub fn replace(row: &mut Row, set: &[(ColumnId, Value)]) {
    for (column, value) in set {
        match row.iter_mut().find(|(known, _)| known == column) {
            Some(pair) => pair.1 = value.clone(),
            None => row.push((*column, value.clone())),
        }
    }
}

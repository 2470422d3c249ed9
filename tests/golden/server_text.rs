//! Expressions by what they say, not only by being there: the server writes down each planned one in its own way, and
//! that has to be what its catalog holds for the object.

use tenantry::emit::{expression, qualified_table};
use tenantry::ident::quote_always;
use tenantry::plan::Plan;
use tenantry::postgres::Connection;
use tenantry::schema::{Expr, TableId, TargetSchema};

/// Compares every default, generated column, check, predicate and expression of an index; returns how many there are.
pub fn compare_expressions(plan: &Plan, catalog: &TargetSchema, connection: &mut Connection) -> Result<usize, String> {
    let mut compared = 0;
    let mut wrong = Vec::new();
    for table in plan.rewritten.target.table_ids() {
        let name = &plan.rewritten.target.table(table).name;
        let found = catalog.table_ids().find(|&found| catalog.table(found).name == *name).ok_or("no such table")?;
        let pairs = pairs((&plan.rewritten.target, table), (catalog, found));
        if pairs.is_empty() {
            continue;
        }
        let mut desk = Desk::open(plan, table, connection)?;
        for (what, planned, kind, found) in pairs {
            let written = desk.write_down(&planned, &kind)?;
            compared += 1;
            if written != found {
                wrong.push(format!("{name}: {what} is {found}, and {written} was planned"));
            }
        }
        desk.close()?;
    }
    if wrong.is_empty() { Ok(compared) } else { Err(wrong.join("\n")) }
}

/// What an expression is for, which decides what the server makes of it.
enum Kind {
    Default { column: String },
    Generated { data_type: String },
    Condition,
    Indexed,
}

/// Pairs what was planned with what the catalog holds, by the objects' names.
fn pairs(planned: (&TargetSchema, TableId), live: (&TargetSchema, TableId)) -> Vec<(String, String, Kind, String)> {
    let (target, catalog) = (planned.0, live.0);
    let (own, theirs) = (target.table(planned.1), catalog.table(live.1));
    let text = |expr: &Expr| expression(target, expr);
    let found = |expr: &Expr| match expr {
        Expr::Postgres(text) => text.clone(),
        other => expression(catalog, other),
    };
    let mut pairs = Vec::new();
    for (&own, &theirs) in own.columns.iter().zip(&theirs.columns) {
        let (own, theirs) = (target.column(own), catalog.column(theirs));
        let what = format!("{:?}", own.name);
        if let (Some(one), Some(other)) = (&own.default, &theirs.default) {
            let kind = Kind::Default { column: own.name.clone() };
            pairs.push((format!("the default of {what}"), text(one), kind, found(other)));
        }
        if let (Some(one), Some(other)) = (&own.generated, &theirs.generated) {
            let kind = Kind::Generated { data_type: own.data_type.to_string() };
            pairs.push((format!("the expression of {what}"), text(&one.expr), kind, found(&other.expr)));
        }
    }
    for check in own.checks.iter().map(|&check| target.check(check)) {
        let other = theirs.checks.iter().map(|&other| catalog.check(other)).find(|other| other.name == check.name);
        let Some(other) = other else { continue };
        pairs.push((format!("the check {:?}", check.name), text(&check.expr), Kind::Condition, found(&other.expr)));
    }
    for index in own.indexes.iter().map(|&index| target.index(index)) {
        let other = theirs.indexes.iter().map(|&other| catalog.index(other)).find(|other| other.name == index.name);
        let Some(other) = other else { continue };
        if let (Some(one), Some(theirs)) = (&index.predicate, &other.predicate) {
            pairs.push((format!("the predicate of {:?}", index.name), text(one), Kind::Condition, found(theirs)));
        }
        for (one, theirs) in index.parts.iter().zip(&other.parts) {
            if !matches!(one.expr, Expr::Column(_)) {
                let what = format!("an expression of {:?}", index.name);
                pairs.push((what, text(&one.expr), Kind::Indexed, found(&theirs.expr)));
            }
        }
    }
    pairs
}

/// An empty table like the one concerned, that expressions are tried on.
struct Desk<'c> {
    connection: &'c mut Connection,
}

const DESK: &str = "pg_temp.desk";

impl<'c> Desk<'c> {
    fn open(plan: &Plan, table: TableId, connection: &'c mut Connection) -> Result<Self, String> {
        let mut desk = Self { connection };
        desk.run(&format!("CREATE TEMPORARY TABLE desk (LIKE {})", qualified_table(plan, table)))?;
        Ok(desk)
    }

    fn close(mut self) -> Result<(), String> {
        self.run(&format!("DROP TABLE {DESK}"))
    }

    fn run(&mut self, sql: &str) -> Result<(), String> {
        self.connection.execute(sql, "try an expression").map_err(|error| format!("{error:?}\nin {sql}")).map(drop)
    }

    fn text(&mut self, sql: &str) -> Result<String, String> {
        let row = self.connection.query_one(sql, &[], "read an expression").map_err(|error| format!("{error:?}"))?;
        row.text(0).map(str::to_owned).map_err(|error| format!("{error:?}"))
    }

    /// Has the server write an expression down.
    fn write_down(&mut self, sql: &str, kind: &Kind) -> Result<String, String> {
        let default = |column: &str| {
            format!(
                "SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid \
                 AND a.attnum = d.adnum WHERE d.adrelid = '{DESK}'::regclass AND a.attname = {}",
                tenantry::ident::literal(column)
            )
        };
        match kind {
            Kind::Default { column } => {
                self.run(&format!("ALTER TABLE {DESK} ALTER COLUMN {} SET DEFAULT {sql}", quote_always(column)))?;
                self.text(&default(column))
            }
            Kind::Generated { data_type } => {
                self.run(&format!(
                    "ALTER TABLE {DESK} ADD COLUMN \"made up\" {data_type} GENERATED ALWAYS AS ({sql}) STORED"
                ))?;
                let text = self.text(&default("made up"))?;
                self.run(&format!("ALTER TABLE {DESK} DROP COLUMN \"made up\""))?;
                Ok(text)
            }
            Kind::Condition => {
                self.run(&format!("ALTER TABLE {DESK} ADD CONSTRAINT tried CHECK ({sql})"))?;
                let text = self.text(&format!(
                    "SELECT pg_get_expr(conbin, conrelid) FROM pg_constraint WHERE conrelid = '{DESK}'::regclass \
                     AND conname = 'tried'"
                ))?;
                self.run(&format!("ALTER TABLE {DESK} DROP CONSTRAINT tried"))?;
                Ok(text)
            }
            Kind::Indexed => {
                self.run(&format!("CREATE INDEX tried ON {DESK} (({sql}))"))?;
                let text = self.text("SELECT pg_get_indexdef('pg_temp.tried'::regclass, 1, true)")?;
                self.run("DROP INDEX pg_temp.tried")?;
                Ok(text)
            }
        }
    }
}

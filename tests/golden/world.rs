//! Rows for any plan: two tenants, a few rows in each table, and every reference within its tenant.
//!
//! A column that refers takes the value of what it refers to; every other value follows from its type, the tenant and the
//! row's number. So two columns that a foreign key joins agree whatever the order in which rows are made.

use std::collections::BTreeSet;
use tenantry::ident::quote_always;
use tenantry::plan::Plan;
use tenantry::rewrite::ColumnValue;
use tenantry::schema::{BinaryOperator, ColumnId, Expr, ForeignKey, PgType, TableId, TargetSchema};
use tenantry::spec::Placement;

/// Names a row: its tenant and its number within the tenant. A shared table's rows belong to no tenant; what such a row
/// refers to belongs to the tenant of its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At {
    /// 0 and 1 are there, 2 is a tenant without rows.
    pub tenant: usize,
    /// Its number within the tenant.
    pub number: usize,
}

/// A value that both dialects can write.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Number(String),
    Text(String),
    Boolean(bool),
    Bytes(u8),
}

/// Which of the two databases a statement is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Postgres,
    Sqlite,
}

impl Value {
    /// Writes the value as a constant.
    pub fn sql(&self, dialect: Dialect) -> String {
        match (self, dialect) {
            (Self::Null, _) => "NULL".to_owned(),
            (Self::Number(number), _) => number.clone(),
            (Self::Text(text), _) => format!("'{}'", text.replace('\'', "''")),
            (Self::Boolean(value), Dialect::Postgres) => value.to_string(),
            (Self::Boolean(value), Dialect::Sqlite) => i32::from(*value).to_string(),
            (Self::Bytes(byte), Dialect::Postgres) => format!("'\\x{byte:02x}'"),
            (Self::Bytes(byte), Dialect::Sqlite) => format!("X'{byte:02x}'"),
        }
    }
}

/// Makes rows for a plan.
pub struct World<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// Columns that hold a tenant's id: tenant columns, and whatever refers to one.
    tenants: BTreeSet<ColumnId>,
    /// How many rows a tenant can have in each table.
    caps: Vec<usize>,
}

/// More rows than any table gets here.
const MANY: usize = 100;

impl<'a> World<'a> {
    pub fn new(plan: &'a Plan) -> Self {
        let target = &plan.rewritten.target;
        let mut world = Self { plan, tenants: BTreeSet::new(), caps: vec![MANY; target.tables.len()] };
        world.tenants.extend(plan.rewritten.tenant_columns.iter().flatten());
        for (position, value) in plan.rewritten.values.iter().enumerate() {
            if matches!(value, ColumnValue::ReferenceTenant(_)) {
                world.tenants.insert(ColumnId(position as u32));
            }
        }
        loop {
            let before = (world.tenants.len(), world.caps.clone());
            for foreign_key in &target.foreign_keys {
                for (&own, theirs) in foreign_key.columns.iter().zip(&foreign_key.referenced_columns) {
                    if world.tenants.contains(theirs) {
                        world.tenants.insert(own);
                    }
                }
            }
            for table in target.table_ids() {
                let is_root = matches!(world.placement(table), Placement::Root);
                if is_root || target.unique_column_sets(table).iter().any(|key| world.once_a_tenant(table, key)) {
                    world.caps[table.index()] = 1;
                }
            }
            if before == (world.tenants.len(), world.caps.clone()) {
                return world;
            }
        }
    }

    fn target(&self) -> &'a TargetSchema {
        &self.plan.rewritten.target
    }

    /// Returns a target table's placement.
    pub fn placement(&self, table: TableId) -> &'a Placement {
        &self.plan.tenancy.table(self.plan.rewritten.source_tables[table.index()]).placement
    }

    /// Says whether the rows of a table belong to tenants, or are tenants.
    pub fn has_tenants(&self, table: TableId) -> bool {
        matches!(self.placement(table), Placement::Tenant(_) | Placement::Root)
    }

    /// Says whether a column holds a tenant's id.
    pub fn is_tenant(&self, column: ColumnId) -> bool {
        self.tenants.contains(&column)
    }

    /// Says whether a key lets a tenant have one row only.
    fn once_a_tenant(&self, table: TableId, key: &[ColumnId]) -> bool {
        self.has_tenants(table)
            && key.iter().all(|&column| {
                self.tenants.contains(&column)
                    || self.reference(column).is_some_and(|(foreign_key, _)| {
                        foreign_key.referenced_table != table && self.cap(foreign_key.referenced_table) == 1
                    })
            })
    }

    /// Returns how many rows a tenant can have in a table.
    pub fn cap(&self, table: TableId) -> usize {
        self.caps[table.index()]
    }

    /// Finds what a column refers to.
    fn reference(&self, column: ColumnId) -> Option<(&'a ForeignKey, ColumnId)> {
        self.target().foreign_keys.iter().find_map(|foreign_key| {
            let position = foreign_key.columns.iter().position(|&own| own == column)?;
            let theirs = foreign_key.referenced_columns[position];
            (theirs != column).then_some((foreign_key, theirs))
        })
    }

    /// Returns the rows that each tenant has in a table when all tables are filled.
    pub fn rows(&self, table: TableId) -> Vec<At> {
        let numbers = 0..self.cap(table).min(2);
        match self.has_tenants(table) {
            true => (0..2).flat_map(|tenant| numbers.clone().map(move |number| At { tenant, number })).collect(),
            false => (0..2).map(|number| At { tenant: number, number }).collect(),
        }
    }

    /// Returns the row that a row refers to by a foreign key.
    pub fn parent(&self, foreign_key: &ForeignKey, at: At) -> At {
        let parent = foreign_key.referenced_table;
        match (self.has_tenants(foreign_key.table), self.has_tenants(parent)) {
            (false, true) => At { tenant: at.number % 2, number: 0 },
            (true, false) => At { tenant: at.number % 2, number: at.number % 2 },
            _ => At { tenant: at.tenant, number: at.number.min(self.cap(parent) - 1) },
        }
    }

    /// Returns a column's value.
    pub fn value(&self, column: ColumnId, at: At) -> Value {
        self.value_within(column, at, 0)
    }

    fn value_within(&self, column: ColumnId, at: At, depth: usize) -> Value {
        let described = self.target().column(column);
        if self.tenants.contains(&column) {
            return typed(described.data_type, 71 + at.tenant);
        }
        // Two columns can refer to each other; then any value does, as long as both have the same.
        if let Some((foreign_key, theirs)) = self.reference(column).filter(|_| depth < 20) {
            return self.value_within(theirs, self.parent(foreign_key, at), depth + 1);
        }
        let seed = if self.has_tenants(described.table) { 10 * (at.tenant + 1) + at.number } else { 90 + at.number };
        match self.target().table(described.table).checks.iter().find_map(|&check| {
            let check = self.target().check(check);
            self.mentions(&check.expr, column).then_some(&check.expr)
        }) {
            None => typed(described.data_type, seed),
            Some(_) if !described.not_null => Value::Null,
            Some(check) => allowed(check, column).unwrap_or_else(|| typed(described.data_type, seed)),
        }
    }

    fn mentions(&self, expr: &Expr, wanted: ColumnId) -> bool {
        if let Expr::Postgres(text) = expr {
            return text.contains(&self.target().column(wanted).name);
        }
        let mut found = false;
        expr.for_each_column(&mut |column| found |= column == wanted);
        found
    }

    /// Returns the columns of a row with their values; those that a check limits are left to their default.
    pub fn row(&self, table: TableId, at: At) -> Vec<(ColumnId, Value)> {
        let described = self.target().table(table);
        let limited = |column: ColumnId| {
            described.checks.iter().any(|&check| self.mentions(&self.target().check(check).expr, column))
                && self.target().column(column).default.is_some()
                && !self.tenants.contains(&column)
                && self.reference(column).is_none()
        };
        described
            .columns
            .iter()
            .filter(|&&column| self.target().column(column).generated.is_none() && !limited(column))
            .map(|&column| (column, self.value(column, at)))
            .collect()
    }

    /// Writes the INSERT of a row.
    pub fn insert(&self, table: TableId, row: &[(ColumnId, Value)], dialect: Dialect) -> String {
        let names: Vec<String> =
            row.iter().map(|(column, _)| quote_always(&self.target().column(*column).name)).collect();
        let values: Vec<String> = row.iter().map(|(_, value)| value.sql(dialect)).collect();
        format!("INSERT INTO {} ({}) VALUES ({})", self.table(table, dialect), names.join(", "), values.join(", "))
    }

    /// Writes an UPDATE of the row that has these values.
    pub fn update(
        &self,
        table: TableId,
        row: &[(ColumnId, Value)],
        set: &[(ColumnId, Value)],
        dialect: Dialect,
    ) -> String {
        let set: Vec<String> = set.iter().map(|pair| self.equation(pair, dialect)).collect();
        format!("UPDATE {} SET {} {}", self.table(table, dialect), set.join(", "), self.condition(table, row, dialect))
    }

    /// Writes a DELETE of the row that has these values.
    pub fn delete(&self, table: TableId, row: &[(ColumnId, Value)], dialect: Dialect) -> String {
        format!("DELETE FROM {} {}", self.table(table, dialect), self.condition(table, row, dialect))
    }

    fn equation(&self, (column, value): &(ColumnId, Value), dialect: Dialect) -> String {
        format!("{} = {}", quote_always(&self.target().column(*column).name), value.sql(dialect))
    }

    /// Writes the WHERE clause that finds one row: by its key, or as one of its tenant's where it has none.
    pub fn condition(&self, table: TableId, row: &[(ColumnId, Value)], dialect: Dialect) -> String {
        let described = self.target().table(table);
        let key = described.primary_key.or(described.unique_keys.first().copied());
        let columns = match key {
            Some(key) => self.target().key(key).columns.clone(),
            None => self.plan.rewritten.tenant_columns[table.index()].into_iter().collect(),
        };
        let parts: Vec<String> = row
            .iter()
            .filter(|(column, _)| columns.contains(column))
            .map(|pair| self.equation(pair, dialect))
            .collect();
        format!("WHERE {}", if parts.is_empty() { "1 = 1".to_owned() } else { parts.join(" AND ") })
    }

    /// Writes a table's name.
    pub fn table(&self, table: TableId, dialect: Dialect) -> String {
        let name = quote_always(&self.target().table(table).name);
        match dialect {
            Dialect::Postgres => format!("{}.{name}", quote_always(&self.plan.tenancy.target_schema)),
            Dialect::Sqlite => name,
        }
    }
}

/// Makes a value of a type; different seeds below 100 give different values where the type has that many.
fn typed(data_type: PgType, seed: usize) -> Value {
    let text = |text: String| Value::Text(text);
    match data_type {
        PgType::Boolean => Value::Boolean(seed.is_multiple_of(2)),
        PgType::Smallint | PgType::Integer | PgType::Bigint | PgType::Real | PgType::Double => {
            Value::Number(seed.to_string())
        }
        PgType::Numeric(Some((precision, scale))) if i32::from(precision) - i32::from(scale) < 2 => {
            Value::Number((seed % 10).to_string())
        }
        PgType::Numeric(_) => Value::Number(seed.to_string()),
        // What a check on texts most often asks for: an address.
        PgType::Text | PgType::Citext => text(format!("text{seed}@x.y")),
        PgType::Varchar(None | Some(2..)) | PgType::Char(2..) => text(seed.to_string()),
        PgType::Varchar(_) | PgType::Char(_) => text(char::from(b'!' + seed as u8).to_string()),
        PgType::Bytea => Value::Bytes(seed as u8),
        PgType::Date => text(format!("2001-{:02}-{:02}", seed / 28 + 1, seed % 28 + 1)),
        PgType::Time => text(format!("{:02}:{:02}:00", seed / 60, seed % 60)),
        PgType::Timestamp => text(format!("2001-{:02}-{:02} 00:00:00", seed / 28 + 1, seed % 28 + 1)),
        PgType::Timestamptz => text(format!("2001-{:02}-{:02} 00:00:00+00", seed / 28 + 1, seed % 28 + 1)),
        PgType::Uuid => text(format!("00000000-0000-0000-0000-0000000000{seed:02}")),
        PgType::Json | PgType::Jsonb => text(format!("{{\"seed\": {seed}}}")),
    }
}

/// Finds a value that a check allows for a column, where the check says so in plain words.
fn allowed(check: &Expr, wanted: ColumnId) -> Option<Value> {
    let is_wanted = |expr: &Expr| *expr == Expr::Column(wanted);
    match check {
        Expr::Binary { operator: BinaryOperator::And, left, right } => {
            allowed(left, wanted).or_else(|| allowed(right, wanted))
        }
        Expr::InList { operand, list, negated: false } if is_wanted(operand) => constant(list.first()?, 0),
        Expr::Between { operand, low, negated: false, .. } if is_wanted(operand) => constant(low, 0),
        Expr::Binary { operator, left, right } if is_wanted(left) => match operator {
            BinaryOperator::Equal | BinaryOperator::GreaterOrEqual | BinaryOperator::LessOrEqual => constant(right, 0),
            BinaryOperator::Greater => constant(right, 1),
            BinaryOperator::Less => constant(right, -1),
            _ => None,
        },
        _ => None,
    }
}

fn constant(expr: &Expr, offset: i64) -> Option<Value> {
    match expr {
        Expr::Integer(number) => Some(Value::Number((number + offset).to_string())),
        Expr::Text(text) => Some(Value::Text(text.clone())),
        _ => None,
    }
}

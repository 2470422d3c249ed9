//! Makes a loaded scratch database into the place of the trial: the rows of one tenant and a clone of them.

use crate::diagnostic::Diagnostic;
use crate::emit::qualified_table;
use crate::ident::{literal, quote_always, quote_list, visible};
use crate::plan::Plan;
use crate::postgres::Connection;
use crate::schema::{ColumnId, PgType, TableId};
use std::collections::BTreeSet;

/// A database that holds the rows of a tenant, those of its clone, and what belongs to no tenant.
#[derive(Debug)]
pub(super) struct Trial {
    /// The tenant.
    pub tenant: String,
    /// The clone.
    pub clone: String,
    /// How many rows the tenant has.
    pub rows: u64,
    /// The tables with a tenant.
    pub tables: Vec<TrialTable>,
    /// A query that sets every sequence back to where it stands now; `None` without sequences.
    pub rewind: Option<String>,
}

/// A table with a tenant.
#[derive(Debug)]
pub(super) struct TrialTable {
    /// The target table.
    pub id: TableId,
    /// Its name.
    pub name: String,
    /// Its name as SQL, with its schema.
    pub qualified: String,
    /// The tenant column's name.
    pub tenant_column: String,
    /// The same as SQL.
    pub tenant_name: String,
    /// The other columns that hold a tenant's id: those that references bring along.
    pub tenant_ids: Vec<String>,
    /// The statement that gives the tenant's rows to the clone.
    pub give_away: String,
    /// A query for a sum over each column of the tenant's rows.
    pub sums: String,
}

impl Trial {
    /// Takes everybody else's rows away, and clones those of a tenant; `wanted` or the one with the most rows.
    ///
    /// Foreign keys and triggers are taken out of the way: a trial has tables that are empty on their own.
    ///
    /// # Errors
    /// `tenant-unknown` where nobody, or not the one wanted, has rows; every refusal of the server.
    pub fn prepare(plan: &Plan, wanted: Option<&str>, connection: &mut Connection) -> Result<Self, Diagnostic> {
        let guarded = TenantTables::new(plan);
        let tenant = guarded.tenant(plan, wanted, connection)?;
        drop_foreign_keys(plan, connection)?;
        for &(table, _) in &guarded.tables {
            let sql = format!("ALTER TABLE {} DISABLE TRIGGER USER", qualified_table(plan, table));
            connection.execute(&sql, "switch triggers off")?;
        }
        let clone = guarded.clone_id(plan, &tenant, connection)?;
        let changed = guarded.changed_in_clone(plan, connection)?;
        let mut trial = Self { tenant, clone, rows: 0, tables: Vec::new(), rewind: None };
        for &(table, column) in &guarded.tables {
            let made = TrialTable::new(plan, (table, column), &trial, &guarded);
            let delete =
                format!("DELETE FROM {} WHERE {} <> {}", made.qualified, name(plan, column), literal(&trial.tenant));
            connection.execute(&delete, "leave one tenant")?;
            trial.rows +=
                connection.execute(&insert_clone(plan, &made, &trial, &guarded, &changed), "clone a tenant")?;
            trial.tables.push(made);
        }
        for table in &trial.tables {
            connection.execute(&format!("ANALYZE {}", table.qualified), "gather statistics")?;
        }
        trial.rewind = rewind(plan, connection)?;
        Ok(trial)
    }
}

/// What of a plan belongs to tenants.
struct TenantTables {
    tables: Vec<(TableId, ColumnId)>,
    /// Every column that holds a tenant's id as part of a key or a reference.
    ids: BTreeSet<ColumnId>,
}

impl TenantTables {
    fn new(plan: &Plan) -> Self {
        let target = &plan.rewritten.target;
        let columns = target.table_ids().zip(&plan.rewritten.tenant_columns);
        let tables: Vec<(TableId, ColumnId)> =
            columns.filter_map(|(table, column)| Some((table, (*column)?))).collect();
        let mut ids: BTreeSet<ColumnId> = tables.iter().map(|&(_, column)| column).collect();
        for foreign_key in target.foreign_keys.iter().filter(|key| key.columns.len() > 1) {
            let pairs = foreign_key.columns.iter().zip(&foreign_key.referenced_columns);
            let added: Vec<ColumnId> =
                pairs.filter(|(_, referenced)| ids.contains(referenced)).map(|(&column, _)| column).collect();
            ids.extend(added);
        }
        Self { tables, ids }
    }

    fn tenant(&self, plan: &Plan, wanted: Option<&str>, connection: &mut Connection) -> Result<String, Diagnostic> {
        let each: Vec<String> = self
            .tables
            .iter()
            .map(|&(table, column)| {
                format!("SELECT {}::text AS tenant FROM {}", name(plan, column), qualified_table(plan, table))
            })
            .collect();
        let unknown = |message: String| Diagnostic::error("tenant-unknown", message);
        if each.is_empty() {
            return Err(unknown("no table has a tenant, so no query can leak".to_owned()));
        }
        let sql = format!(
            "SELECT tenant FROM ({}) AS found WHERE tenant = $1 OR $1 IS NULL GROUP BY tenant ORDER BY count(*) DESC, tenant LIMIT 1",
            each.join(" UNION ALL ")
        );
        let found = connection.query(&sql, &[wanted], "find the tenant with the most rows")?;
        match (found.first(), wanted) {
            (Some(row), _) => Ok(row.text(0)?.to_owned()),
            (None, Some(wanted)) => Err(unknown(format!("the source has no row of the tenant {}", visible(wanted)))
                .help("name one that has rows, as the target spells its id")),
            (None, None) => Err(unknown("the source has no row of any tenant".to_owned())),
        }
    }

    /// Makes an id up that nobody has: everybody else is gone by then.
    fn clone_id(&self, plan: &Plan, tenant: &str, connection: &mut Connection) -> Result<String, Diagnostic> {
        let Some(&(_, column)) = self.tables.first() else { return Ok(String::new()) };
        let data_type = plan.rewritten.target.column(column).data_type;
        let sql = format!("SELECT ({})::text", changed("$1", data_type).unwrap_or_else(|| "$1 || '-'".to_owned()));
        let sql = sql.replace("$1", &format!("$1::{}", data_type.without_length()));
        Ok(connection.query_one(&sql, &[Some(tenant)], "make an id up for the clone")?.text(0)?.to_owned())
    }

    /// Finds the columns whose values the clone cannot share, since a key of theirs is unique across tenants; what
    /// refers to them follows. Keys that nothing can be changed in are dropped.
    fn changed_in_clone(&self, plan: &Plan, connection: &mut Connection) -> Result<BTreeSet<ColumnId>, Diagnostic> {
        let target = &plan.rewritten.target;
        let is_tenants = |table: TableId| self.tables.iter().any(|&(other, _)| other == table);
        let mut changed_columns = BTreeSet::new();
        let keys = target.keys.iter().filter(|key| is_tenants(key.table)).map(|key| Some(key.columns.clone()));
        let indexes = target.indexes.iter().filter(|index| index.unique && is_tenants(index.table));
        for (columns, index) in
            keys.map(|columns| (columns, None)).chain(indexes.map(|index| (index.plain_columns(), Some(index))))
        {
            if columns.as_ref().is_some_and(|columns| columns.iter().any(|column| self.ids.contains(column))) {
                continue;
            }
            let refers = |column: &&ColumnId| target.foreign_keys.iter().any(|key| key.columns.contains(column));
            let can = |column: &&ColumnId| changed("x", target.column(**column).data_type).is_some();
            let columns = columns.unwrap_or_default();
            let own = columns.iter().filter(can).find(|column| !refers(column));
            match (own.or_else(|| columns.iter().find(can)), index) {
                (Some(&column), _) => drop(changed_columns.insert(column)),
                (None, Some(index)) => {
                    let schema = quote_always(&plan.tenancy.target_schema);
                    let sql = format!("DROP INDEX {schema}.{}", quote_always(&index.name));
                    connection.execute(&sql, "drop a global index")?;
                }
                (None, None) => {}
            }
        }
        loop {
            let before = changed_columns.len();
            for foreign_key in target.foreign_keys.iter().filter(|key| is_tenants(key.table)) {
                for (&column, referenced) in foreign_key.columns.iter().zip(&foreign_key.referenced_columns) {
                    if changed_columns.contains(referenced) {
                        changed_columns.insert(column);
                    }
                }
            }
            if changed_columns.len() == before {
                return Ok(changed_columns);
            }
        }
    }
}

/// Writes an expression for another value than `value`, the same for the same; `None` where the type has too few.
fn changed(value: &str, data_type: PgType) -> Option<String> {
    Some(match data_type {
        PgType::Varchar(Some(length)) | PgType::Char(length) => format!("left(md5({value}), {length})"),
        PgType::Text | PgType::Citext | PgType::Varchar(None) => format!("'clone of ' || {value}"),
        PgType::Smallint | PgType::Integer | PgType::Bigint | PgType::Real | PgType::Double | PgType::Numeric(_) => {
            format!("-{value} - 1")
        }
        PgType::Uuid => format!("md5({value}::text)::uuid"),
        PgType::Bytea => format!("decode(md5({value}), 'hex')"),
        PgType::Date | PgType::Timestamp | PgType::Timestamptz => format!("{value} + interval '1000 years'"),
        PgType::Boolean | PgType::Time | PgType::Json | PgType::Jsonb => return None,
    })
}

fn name(plan: &Plan, column: ColumnId) -> String {
    quote_always(&plan.rewritten.target.column(column).name)
}

impl TrialTable {
    fn new(plan: &Plan, (id, tenant): (TableId, ColumnId), trial: &Trial, guarded: &TenantTables) -> Self {
        let target = &plan.rewritten.target;
        let qualified = qualified_table(plan, id);
        let (from, to) = (literal(&trial.tenant), literal(&trial.clone));
        let columns = &target.table(id).columns;
        let given: Vec<String> = columns
            .iter()
            .filter(|column| guarded.ids.contains(column) && target.column(**column).generated.is_none())
            .map(|&column| name(plan, column))
            .map(|name| format!("{name} = CASE WHEN {name} = {from} THEN {to} ELSE {name} END"))
            .collect();
        let own = format!("WHERE {} = {from}", name(plan, tenant));
        let sums: Vec<String> = columns
            .iter()
            .map(|&column| format!("sum(hashtextextended({}::text, 0)::numeric)", name(plan, column)))
            .collect();
        Self {
            id,
            name: target.table(id).name.clone(),
            give_away: format!("UPDATE {qualified} SET {} {own}", given.join(", ")),
            sums: format!("SELECT count(*), {} FROM {qualified} {own}", sums.join(", ")),
            qualified,
            tenant_column: target.column(tenant).name.clone(),
            tenant_name: name(plan, tenant),
            tenant_ids: columns
                .iter()
                .filter(|column| guarded.ids.contains(column))
                .map(|&column| target.column(column).name.clone())
                .collect(),
        }
    }
}

fn insert_clone(
    plan: &Plan,
    table: &TrialTable,
    trial: &Trial,
    guarded: &TenantTables,
    changed_columns: &BTreeSet<ColumnId>,
) -> String {
    let target = &plan.rewritten.target;
    let columns: Vec<ColumnId> =
        target.table(table.id).columns.iter().copied().filter(|&id| target.column(id).generated.is_none()).collect();
    let values: Vec<String> = columns
        .iter()
        .map(|&column| {
            let name = name(plan, column);
            if guarded.ids.contains(&column) {
                return format!(
                    "CASE WHEN {name} = {} THEN {} ELSE {name} END",
                    literal(&trial.tenant),
                    literal(&trial.clone)
                );
            }
            match changed(&name, target.column(column).data_type) {
                Some(other) if changed_columns.contains(&column) => other,
                _ => name,
            }
        })
        .collect();
    let names = quote_list(columns.iter().map(|&column| target.column(column).name.as_str()));
    format!("INSERT INTO {} ({names}) SELECT {} FROM {}", table.qualified, values.join(", "), table.qualified)
}

fn drop_foreign_keys(plan: &Plan, connection: &mut Connection) -> Result<(), Diagnostic> {
    let sql = "SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname) FROM pg_constraint \
               WHERE contype = 'f' AND connamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1)";
    for row in connection.query(sql, &[Some(&plan.tenancy.target_schema)], "list the foreign keys")? {
        connection.execute(row.text(0)?, "drop a foreign key")?;
    }
    Ok(())
}

/// Sequences do not roll back: without this every trial of an INSERT would get other ids.
fn rewind(plan: &Plan, connection: &mut Connection) -> Result<Option<String>, Diagnostic> {
    let sql = "SELECT format('%I.%I', schemaname, sequencename), coalesce(last_value, start_value)::text, \
               last_value IS NOT NULL FROM pg_sequences WHERE schemaname = $1";
    let rows = connection.query(sql, &[Some(&plan.tenancy.target_schema)], "list the sequences")?;
    let calls: Vec<String> = rows
        .iter()
        .map(|row| Ok(format!("setval({}, {}, {})", literal(row.text(0)?), row.text(1)?, row.boolean(2)?)))
        .collect::<Result<_, Diagnostic>>()?;
    Ok(if calls.is_empty() { None } else { Some(format!("SELECT {}", calls.join(", "))) })
}

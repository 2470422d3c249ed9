//! The tenant of each row a second time: in SQL, by SQLite itself.
//!
//! A table whose tenant is that of another row can stand many steps from the column that holds it. So each table that
//! others get their tenant through gets a TEMP table key → tenant, built once from its own parent's and joined once by
//! each child; where the key is the rowid, a function of SQL that looks up what such a query has given (`tenant_map`).
//! References match as SQLite's foreign keys do: the parent's column on the left gives affinity and collation, the plus sign
//! takes the child's away. A TEMP table's columns therefore have the parent's affinity and collation.

use super::tenant_map::TenantMap;
use super::tenant_rows::{EVERYONE, rows_name, text};
use crate::diagnostic::Diagnostic;
use crate::ident::quote_always;
use crate::plan::Plan;
use crate::rewrite::ColumnValue;
use crate::schema::{Affinity, ColumnId, ForeignKeyId, PgType, SourceSchema, TableId};
use crate::spec::{Placement, TenantIds, TenantSource};
use crate::sqlite::Database;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Knows the TEMP tables and writes the queries that use them.
pub(super) struct TenantSql<'p> {
    pub(super) plan: &'p Plan,
    /// The tables that others get their tenant through, with the column lists that those refer to.
    passed_through: BTreeMap<TableId, BTreeSet<Vec<ColumnId>>>,
    /// The tables whose rows' tenants no one join gives.
    assigned: BTreeSet<TableId>,
    /// Whether the list of all tenants is needed.
    everyone: bool,
    /// The tables whose rows several tenants can have copies of.
    copied: Vec<bool>,
    /// The tenant column's type.
    data_type: Option<PgType>,
    /// Whether what cannot be a tenant's id is nobody's, and not taken as it stands.
    sound_ids: bool,
    /// The tables that others get their tenant through by rowid alone, and that have theirs by one join: of these a function
    /// says it, and no TEMP table.
    mapped: BTreeSet<TableId>,
    /// What these functions look up, once it has been read.
    maps: Mutex<BTreeMap<TableId, Arc<TenantMap>>>,
}

impl<'p> TenantSql<'p> {
    /// Decides which TEMP tables there are to be.
    pub fn new(plan: &'p Plan) -> Self {
        let tenants = plan.source.table_ids().filter(|&table| match &plan.tenancy.table(table).placement {
            Placement::Tenant(source) => !is_one_join(plan, source),
            _ => false,
        });
        let is_every = |placement: &Placement| match placement {
            Placement::Tenant(source) => source.alternatives().contains(&TenantSource::Every),
            _ => false,
        };
        let created = plan.tenancy.root.as_ref().is_some_and(|root| root.created.is_some());
        let copied = plan.tenancy.copied_tables(&plan.source);
        let passed_through = passed_through(plan);
        let cases = case_tables(plan);
        let is_by_rowid = |(&table, keys): (&TableId, &BTreeSet<Vec<ColumnId>>)| {
            let alias = plan.source.table(table).rowid_alias.filter(|_| !copied[table.index()])?;
            let Placement::Tenant(source) = &plan.tenancy.table(table).placement else { return None };
            let is_only_looked_up = is_one_join(plan, source) && !cases.contains(&table);
            (is_only_looked_up && keys.iter().all(|key| *key == [alias])).then_some(table)
        };
        let column = plan.rewritten.tenant_columns.iter().flatten().next();
        Self {
            plan,
            mapped: passed_through.iter().filter_map(is_by_rowid).collect(),
            maps: Mutex::default(),
            passed_through,
            assigned: tenants.collect(),
            everyone: created || plan.tenancy.tables.iter().any(|table| is_every(&table.placement)),
            copied,
            data_type: column.map(|&column| plan.rewritten.target.column(column).data_type),
            sound_ids: false,
        }
    }

    /// As [`TenantSql::new`], for rows of which any may be wrong: with TEMP tables for all that foreign keys refer to, and
    /// without ids that are none.
    pub fn with_references(plan: &'p Plan) -> Self {
        let mut tenants = Self { sound_ids: true, mapped: BTreeSet::new(), ..Self::new(plan) };
        for foreign_key in &plan.source.foreign_keys {
            let parent = foreign_key.referenced_table;
            let is_tenants = |table| matches!(plan.tenancy.table(table).placement, Placement::Tenant(_));
            if plan.tenancy.is_migrated(foreign_key.table) && is_tenants(parent) {
                let keys = tenants.passed_through.entry(parent).or_default();
                keys.insert(foreign_key.referenced_columns.clone());
            }
        }
        tenants
    }

    /// Says whether rows of a table can have copies.
    pub fn is_copied(&self, table: TableId) -> bool {
        self.copied[table.index()]
    }

    /// Says whether the tenants of a table's rows stand in a TEMP table of their own.
    pub fn is_assigned(&self, table: TableId) -> bool {
        self.assigned.contains(&table)
    }

    /// Builds the TEMP tables. They end with the database's connection, or with [`TenantSql::forget`].
    pub fn derive(&self, database: &Database) -> Result<(), Diagnostic> {
        let mut made = self.begin(database)?;
        for &table in self.passed_through.keys().chain(&self.assigned) {
            self.make(database, table, &mut made)?;
        }
        Ok(())
    }

    /// Reads what the functions of [`TenantSql::begin`] look up, on any one connection.
    pub fn read_maps(&self, database: &Database) -> Result<(), Diagnostic> {
        let mut made = self.begin(database)?;
        self.mapped.iter().try_for_each(|&table| self.make(database, table, &mut made))
    }

    /// Builds the TEMP tables that all others may need, and returns the tables that have theirs. What has been read for
    /// functions can be looked up from then on.
    pub fn begin(&self, database: &Database) -> Result<BTreeSet<TableId>, Diagnostic> {
        self.forget(database)?;
        let maps = self.maps().clone();
        maps.iter().try_for_each(|(&table, map)| map.provide(database, &function_name(table)))?;
        let mut made = BTreeSet::new();
        if self.everyone {
            for table in self.naming_tables() {
                self.make(database, table, &mut made)?;
            }
            self.list_everyone(database)?;
        }
        Ok(made)
    }

    /// Builds the TEMP tables that are not `made` yet of those that [`TenantSql::needed`] has told.
    pub fn derive_needed(
        &self,
        database: &Database,
        needed: &BTreeSet<TableId>,
        made: &mut BTreeSet<TableId>,
    ) -> Result<(), Diagnostic> {
        needed.iter().try_for_each(|&table| self.make(database, table, made))
    }

    /// Returns the tables whose TEMP tables the query for all rows of a target table needs, and those that these need.
    pub fn needed(&self, target: TableId) -> BTreeSet<TableId> {
        let mut needed = BTreeSet::new();
        let mut open: Vec<TableId> = self.rows_with(target).1.joins_temp.into_iter().collect();
        while let Some(table) = open.pop() {
            if let Placement::Tenant(found) = &self.plan.tenancy.table(table).placement
                && !self.mapped.contains(&table)
                && needed.insert(table)
            {
                open.extend(found.depends_on(&self.plan.source, table));
            }
        }
        needed
    }

    fn maps(&self) -> MutexGuard<'_, BTreeMap<TableId, Arc<TenantMap>>> {
        self.maps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops the TEMP tables.
    pub fn forget(&self, database: &Database) -> Result<(), Diagnostic> {
        let keys = self.passed_through.keys().map(|&table| temp_name(table));
        let rows = self.assigned.iter().flat_map(|&table| {
            ["", "_before", "_after", "_links", "_several"].map(|part| format!("{}{part}", rows_name(table)))
        });
        let names = keys.chain(rows).chain([EVERYONE.to_owned()]);
        database.execute_temp(&names.map(|name| format!("DROP TABLE IF EXISTS temp.{name};")).collect::<String>())
    }

    /// Builds a table's key → tenant after that of the table it gets its own tenant through.
    fn make(&self, database: &Database, table: TableId, made: &mut BTreeSet<TableId>) -> Result<(), Diagnostic> {
        let Placement::Tenant(found) = &self.plan.tenancy.table(table).placement else { return Ok(()) };
        if self.maps().contains_key(&table) || !made.insert(table) {
            return Ok(());
        }
        let source = &self.plan.source;
        for other in found.depends_on(source, table) {
            self.make(database, other, made)?;
        }
        if self.assigned.contains(&table) {
            self.assign(database, table, found)?;
        }
        if let Some(rowid) = source.table(table).rowid_alias.filter(|_| self.mapped.contains(&table)) {
            let mut joins = Joins::default();
            let tenant = self.tenant_of_row(table, &mut joins);
            let key = column_of("s", source, rowid);
            let own = quote_always(&source.table(table).name);
            let sql = format!("SELECT {key}, {tenant} FROM main.{own} AS s{} ORDER BY {key}", joins.sql);
            let map = Arc::new(TenantMap::read(database, &sql)?);
            map.provide(database, &function_name(table))?;
            self.maps().insert(table, map);
            return Ok(());
        }
        let Some(key_lists) = self.passed_through.get(&table) else { return Ok(()) };
        let keys: BTreeSet<ColumnId> = key_lists.iter().flatten().copied().collect();
        let name = temp_name(table);
        let values: Vec<String> = keys.iter().map(|&key| column_of("s", source, key)).collect();
        // A key that is the rowid is the rowid here as well: it takes one search and not two, and half the memory. Rows that
        // several tenants have copies of stand here once for each.
        let rowid = source.table(table).rowid_alias.filter(|&alias| keys.iter().eq([&alias]));
        let rowid = rowid.filter(|_| !self.copied[table.index()]);
        let declared: Vec<String> = match rowid {
            Some(key) => vec![format!("{} INTEGER PRIMARY KEY", key_name(key))],
            None => keys.iter().map(|&key| key_declaration(source, key)).collect(),
        };
        let mut joins = Joins::default();
        let tenant = self.tenant_of_row(table, &mut joins);
        let mut statements = format!(
            "CREATE TEMP TABLE {name} ({}, tenant);\
             INSERT INTO temp.{name} SELECT {}, {tenant} FROM main.{} AS s{};",
            declared.join(", "),
            values.join(", "),
            quote_always(&source.table(table).name),
            joins.sql
        );
        for (number, list) in key_lists.iter().enumerate().filter(|_| rowid.is_none()) {
            let columns: Vec<String> = list.iter().map(|&key| key_name(key)).collect();
            // With the tenant in it the index answers by itself.
            let columns = columns.join(", ");
            statements.push_str(&format!("CREATE INDEX temp.{name}_{number} ON {name} ({columns}, tenant);"));
        }
        database.execute_temp(&statements)
    }

    /// Writes the query for all rows of a target table as they are to be: one value for each of its columns, in order.
    pub fn rows(&self, target: TableId) -> String {
        self.rows_with(target).0
    }

    /// As [`TenantSql::rows`], with what it joins.
    fn rows_with(&self, target: TableId) -> (String, Joins) {
        let rewritten = &self.plan.rewritten;
        let source = &self.plan.source;
        let table = rewritten.source_tables[target.index()];
        if self.plan.tenancy.is_created(table) {
            return (self.created_rows(target), Joins::default());
        }
        let mut joins = Joins::default();
        let own = self.tenant_of_row(table, &mut joins);
        let values: Vec<String> = rewritten
            .target
            .table(target)
            .columns
            .iter()
            .map(|&id| match rewritten.values[id.index()] {
                ColumnValue::Source(column) | ColumnValue::TenantId(column) => column_of("s", source, column),
                ColumnValue::ReferenceTenant(foreign_key) => {
                    self.tenant_through(foreign_key, &mut joins, Some(own.as_str()))
                }
                ColumnValue::Tenant => own.clone(),
                // What SQLite has in its place: what PostgreSQL computes has to agree.
                ColumnValue::Generated(column) => column_of("s", source, column),
            })
            .collect();
        let name = quote_always(&source.table(table).name);
        let list = if values.is_empty() { "NULL".to_owned() } else { values.join(", ") };
        (format!("SELECT {list} FROM main.{name} AS s{}", joins.sql), joins)
    }

    /// Writes what the rows of [`TenantSql::rows`] can be told apart by in ranges; `None` where they have no rowid.
    pub fn rowid(&self, target: TableId) -> Option<String> {
        let table = self.plan.rewritten.source_tables[target.index()];
        self.rowid_of("s", table).filter(|_| !self.plan.tenancy.is_created(table))
    }

    /// Writes the tenant of the row that a foreign key refers to, and joins what it stands in.
    ///
    /// Of several copies of that row, the one of the tenant `own` counts, where that is given.
    pub(super) fn tenant_through(&self, via: ForeignKeyId, joins: &mut Joins, own: Option<&str>) -> String {
        let source = &self.plan.source;
        let foreign_key = source.foreign_key(via);
        let parent = foreign_key.referenced_table;
        if matches!(self.plan.tenancy.table(parent).placement, Placement::Shared | Placement::Local | Placement::Omit) {
            return "NULL".to_owned();
        }
        if let (true, [child], &[key]) =
            (self.mapped.contains(&parent), &foreign_key.columns[..], &foreign_key.referenced_columns[..])
        {
            let (function, child) = (function_name(parent), column_of("s", source, *child));
            // What is no integer may be one to the parent's column: SQLite finds the row that it means.
            let name = quote_always(&source.table(parent).name);
            let key = column_of("k", source, key);
            return format!(
                "coalesce({function}({child}), {function}((SELECT {key} FROM main.{name} AS k WHERE {key} = +{child})))"
            );
        }
        let alias = format!("p{}", via.0);
        let (place, tenant) = self.place_of(parent, &alias);
        if self.tenant_column(parent).is_none() {
            joins.joins_temp.insert(parent);
        }
        if joins.joined.insert(via) {
            let pairs = foreign_key.columns.iter().zip(&foreign_key.referenced_columns);
            let mut matches: Vec<String> = pairs
                .map(|(&child, &key)| {
                    format!("{} = +{}", self.key_of(parent, &alias, key), column_of("s", source, child))
                })
                .collect();
            if let (Some(own), true) = (own, self.copied[parent.index()]) {
                matches.push(format!("{} = {}", self.normal(&tenant), self.normal(own)));
            }
            joins.sql.push_str(&format!(" LEFT JOIN {place} AS {alias} ON {}", matches.join(" AND ")));
        }
        tenant
    }

    /// Writes the tenant of a row of a table itself, which is `s`, and joins what it stands in.
    pub(super) fn tenant_of_row(&self, table: TableId, joins: &mut Joins) -> String {
        match &self.plan.tenancy.table(table).placement {
            Placement::Root => match &self.plan.tenancy.root {
                Some(root) => column_of("s", &self.plan.source, root.key),
                None => "NULL".to_owned(),
            },
            Placement::Tenant(TenantSource::Column(column)) => {
                let id = column_of("s", &self.plan.source, *column);
                match self.can_be_an_id(&id) {
                    Some(condition) => format!("CASE WHEN {condition} THEN {id} END"),
                    None => id,
                }
            }
            Placement::Tenant(TenantSource::Via(via)) if !self.assigned.contains(&table) => {
                self.tenant_through(*via, joins, None)
            }
            Placement::Tenant(_) => {
                let row = self.row_of("s", table);
                joins.joins_temp.insert(table);
                joins.sql.push_str(&format!(" LEFT JOIN temp.{} AS own ON own.r = {row}", rows_name(table)));
                "own.tenant".to_owned()
            }
            Placement::Shared | Placement::Local | Placement::Omit => "NULL".to_owned(),
        }
    }

    /// Returns where a table's rows are found by key with their tenants, and the tenant there.
    pub(super) fn place_of(&self, table: TableId, alias: &str) -> (String, String) {
        let source = &self.plan.source;
        match self.tenant_column(table) {
            Some(column) => {
                (format!("main.{}", quote_always(&source.table(table).name)), column_of(alias, source, column))
            }
            None => (format!("temp.{}", temp_name(table)), format!("{alias}.tenant")),
        }
    }

    /// Writes a column of a key in that place.
    pub(super) fn key_of(&self, table: TableId, alias: &str, key: ColumnId) -> String {
        match self.tenant_column(table) {
            Some(_) => column_of(alias, &self.plan.source, key),
            None => format!("{alias}.{}", key_name(key)),
        }
    }

    /// Returns the column that holds the tenant of a table which is looked at itself.
    ///
    /// That of other tables stands in a TEMP table even where they hold it in a column: rows that are looked for by key are
    /// found many times quicker in a narrow table in memory than in a wide one in a file.
    fn tenant_column(&self, table: TableId) -> Option<ColumnId> {
        match &self.plan.tenancy.table(table).placement {
            Placement::Root => self.plan.tenancy.root.as_ref().map(|root| root.key),
            _ => None,
        }
    }

    /// Brings ids of tenants to one storage class, so that those of different tables can be compared.
    pub(super) fn normal(&self, id: &str) -> String {
        match self.data_type {
            Some(_) if self.plan.tenancy.tenant.ids != TenantIds::Keep => format!("CAST({id} AS TEXT)"),
            Some(data_type) => typed(id, data_type),
            None => id.to_owned(),
        }
    }

    /// Writes whether a value that a column holds can be a tenant's id; `None` where that is not asked, or any can.
    pub(super) fn can_be_an_id(&self, id: &str) -> Option<String> {
        if !self.sound_ids || self.plan.tenancy.tenant.ids != TenantIds::Keep {
            return None;
        }
        match self.data_type? {
            PgType::Smallint | PgType::Integer | PgType::Bigint => Some(format!("typeof({id}) = 'integer'")),
            data_type if data_type.is_text() => Some(format!("typeof({id}) = 'text'")),
            _ => None,
        }
    }

    /// Writes the query for the rows of a root that the source does not have.
    fn created_rows(&self, target: TableId) -> String {
        let rewritten = &self.plan.rewritten;
        let root = self.plan.tenancy.root.as_ref();
        let rows = root.and_then(|root| root.created.as_ref()).map(|created| &created.rows[..]).unwrap_or_default();
        let value = |&id: &ColumnId| match rewritten.values[id.index()] {
            ColumnValue::Source(column) if root.is_some_and(|root| root.key != column) => {
                let data_type = rewritten.target.column(id).data_type;
                let cases: Vec<String> = rows
                    .iter()
                    .filter_map(|(tenant, values)| {
                        let (_, value) = values.iter().find(|(other, _)| *other == column)?;
                        Some(format!(" WHEN {} THEN {}", self.id(tenant), typed(&text(value), data_type)))
                    })
                    .collect();
                if cases.is_empty() { "NULL".to_owned() } else { format!("CASE e.tenant{} END", cases.concat()) }
            }
            _ => "e.tenant".to_owned(),
        };
        let values: Vec<String> = rewritten.target.table(target).columns.iter().map(value).collect();
        format!("SELECT {} FROM temp.{EVERYONE} AS e", values.join(", "))
    }
}

/// The parents that a query has joined, each foreign key's once.
#[derive(Default)]
pub(super) struct Joins {
    pub sql: String,
    joined: BTreeSet<ForeignKeyId>,
    /// The tables whose TEMP tables are joined.
    joins_temp: BTreeSet<TableId>,
}

/// Finds the tables that a value of a row can name.
fn case_tables(plan: &Plan) -> BTreeSet<TableId> {
    let placements = plan.tenancy.tables.iter().map(|table| &table.placement);
    let sources = placements.flat_map(|placement| match placement {
        Placement::Tenant(source) => source.alternatives(),
        _ => &[],
    });
    let cases = sources.flat_map(|source| match source {
        TenantSource::By { cases, .. } => &cases[..],
        _ => &[],
    });
    cases.map(|(_, table)| *table).collect()
}

/// Finds the tables that the tenant of others is found through, with the keys that these name them by.
fn passed_through(plan: &Plan) -> BTreeMap<TableId, BTreeSet<Vec<ColumnId>>> {
    let source = &plan.source;
    let mut wanted: Vec<(TableId, Vec<ColumnId>)> = Vec::new();
    let mut through = |id: ForeignKeyId| {
        let foreign_key = source.foreign_key(id);
        wanted.push((foreign_key.referenced_table, foreign_key.referenced_columns.clone()));
    };
    for value in &plan.rewritten.values {
        if let ColumnValue::ReferenceTenant(foreign_key) = value {
            through(*foreign_key);
        }
    }
    let mut cases: Vec<TableId> = Vec::new();
    for &table in &plan.rewritten.source_tables {
        let Placement::Tenant(found) = &plan.tenancy.table(table).placement else { continue };
        for found in found.alternatives() {
            match found {
                TenantSource::Via(via) if !source.foreign_key(*via).is_self_reference() => through(*via),
                TenantSource::By { cases: named, .. } => cases.extend(named.iter().map(|(_, case)| *case)),
                _ => {}
            }
        }
    }
    for case in cases {
        let key = source.table(case).primary_key.map(|key| source.key(key).columns.clone());
        wanted.extend(key.map(|key| (case, key)));
    }
    let mut tables: BTreeMap<TableId, BTreeSet<Vec<ColumnId>>> = BTreeMap::new();
    for (table, key) in wanted {
        if matches!(plan.tenancy.table(table).placement, Placement::Tenant(_)) {
            tables.entry(table).or_default().insert(key);
        }
    }
    tables
}

/// Says whether a source is a column or one reference to another table: a join of each row's own.
fn is_one_join(plan: &Plan, source: &TenantSource) -> bool {
    match source {
        TenantSource::Column(_) => true,
        TenantSource::Via(via) => !plan.source.foreign_key(*via).is_self_reference(),
        _ => false,
    }
}

/// Gives a value of SQLite's the storage class that belongs to a type.
fn typed(value: &str, data_type: PgType) -> String {
    match data_type {
        PgType::Smallint | PgType::Integer | PgType::Bigint => format!("CAST({value} AS INTEGER)"),
        PgType::Real | PgType::Double => format!("CAST({value} AS REAL)"),
        data_type if data_type.is_text() => format!("CAST({value} AS TEXT)"),
        _ => value.to_owned(),
    }
}

fn temp_name(table: TableId) -> String {
    format!("tenantry_tenant_{}", table.0)
}

/// Names the function rowid → tenant of a table.
fn function_name(table: TableId) -> String {
    format!("tenantry_tenant_of_{}", table.0)
}

fn key_name(key: ColumnId) -> String {
    format!("k{}", key.0)
}

pub(super) fn column_of(alias: &str, source: &SourceSchema, column: ColumnId) -> String {
    format!("{alias}.{}", quote_always(&source.column(column).name))
}

fn key_declaration(source: &SourceSchema, key: ColumnId) -> String {
    let column = source.column(key);
    // In a STRICT table ANY coerces nothing; elsewhere the same word is NUMERIC.
    let any = source.table(column.table).strict && column.data_type.0.eq_ignore_ascii_case("any");
    let affinity = match column.data_type.affinity() {
        _ if any => "BLOB",
        Affinity::Integer => "INTEGER",
        Affinity::Text => "TEXT",
        Affinity::Blob => "BLOB",
        Affinity::Real => "REAL",
        Affinity::Numeric => "NUMERIC",
    };
    let collation = column.collation.as_deref().map(|name| format!(" COLLATE {}", quote_always(name)));
    format!("{} {affinity}{}", key_name(key), collation.unwrap_or_default())
}

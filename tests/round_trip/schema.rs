//! A random schema with a spec for it: roots and columns that say the tenant, ways to it, trees, diamonds and cycles.

use crate::kinds::{KINDS, Kind, kind};
use crate::random::Random;
use serde_json::{Map, Value as Json, json};

/// A schema, and what the spec says of it.
#[derive(Debug)]
pub struct Schema {
    pub tables: Vec<Table>,
    /// The tenant column's name where the tool adds it.
    pub tenant_column: String,
    /// The kind of columns that hold a tenant.
    pub tenant_kind: &'static Kind,
    pub has_root: bool,
}

#[derive(Debug)]
pub struct Table {
    pub name: String,
    pub columns: Vec<Column>,
    pub keys: Vec<Key>,
    pub rowid_alias: bool,
    pub autoincrement: bool,
    pub without_rowid: bool,
    pub references: Vec<Reference>,
    pub source: Source,
    /// Leaves the tenant to be inferred.
    pub infer: bool,
    pub global_key: bool,
}

#[derive(Debug)]
pub struct Column {
    pub name: String,
    pub kind: &'static Kind,
    /// What SQLite is told, where that is not the kind's; the spec then says the type.
    pub trap: Option<(&'static str, &'static str)>,
    pub not_null: bool,
    /// Has no values of its own: part of a key, of a reference, or the tenant.
    pub special: bool,
}

#[derive(Debug)]
pub struct Key {
    pub columns: Vec<usize>,
    pub made: Made,
    pub global: bool,
}

/// How a key is declared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Made {
    Primary,
    Unique,
    Index,
}

#[derive(Debug)]
pub struct Reference {
    pub columns: Vec<usize>,
    pub parent: usize,
    pub key: usize,
    pub how: How,
}

/// What a reference means for tenants.
#[derive(Debug, Clone, PartialEq)]
pub enum How {
    /// It decides the tenant.
    Via,
    /// It is the tenant column, and refers to the root.
    Tenant,
    PerTenant,
    OwnColumn(String),
    CrossTenant(String),
    Global,
    Shared,
}

/// Where a table's tenant comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Source {
    Root,
    Column(usize),
    Via(usize),
    Shared,
}

const NAMES: &[&str] = &[
    "order",
    "select",
    "we \"ird",
    "sp ace",
    "ünï",
    "Group",
    "a.b",
    "x'y",
    "😀",
    "user",
    "TABLE",
    "per%cent",
    "back\\slash",
    "semi;colon",
    "dash--dash",
    "{brace}",
    "[br]",
    "`tick`",
    "new\nline",
    "$1",
    "123",
    "id",
    "code",
    "name",
    "plain",
    "Mixed",
    "end",
    "/* c",
    "tab\there",
    "check",
    "key",
    "a=b",
];

struct Names(Vec<&'static str>);

impl Names {
    fn new() -> Self {
        Self(NAMES.to_vec())
    }

    fn take(&mut self, random: &mut Random) -> String {
        self.0.swap_remove(random.below(self.0.len())).to_owned()
    }
}

impl Schema {
    pub fn random(seed: u64, tables: usize) -> Self {
        let random = Random::new(seed);
        let mut start = random.part(0);
        let mut names = Names::new();
        let has_root = start.chance(50);
        let tenant_kind = kind(start.pick(&["INTEGER", "TEXT"]));
        let tenant_column = start.pick(&["tenant_id", "Tenant \"Id\"", "ünant"]).to_string();
        let mut schema = Self { tables: Vec::new(), tenant_column, tenant_kind, has_root };
        for number in 0..tables {
            let mut random = random.part(number + 1);
            let name = names.take(&mut random);
            schema.add_table(name, &mut random);
        }
        for number in 0..tables {
            schema.add_references(number, &mut random.part(number + 100));
        }
        for number in 0..tables {
            schema.settle(number, &mut random.part(number + 200));
        }
        schema
    }

    fn add_table(&mut self, name: String, random: &mut Random) {
        let number = self.tables.len();
        let mut table = Table {
            name,
            columns: Vec::new(),
            keys: Vec::new(),
            rowid_alias: false,
            autoincrement: false,
            without_rowid: false,
            references: Vec::new(),
            source: Source::Shared,
            infer: false,
            global_key: false,
        };
        let mut names = Names::new();
        let is_root = number == 0 && self.has_root;
        let parents: Vec<usize> =
            (0..number).filter(|&parent| self.is_tenants(parent) && !self.tables[parent].keys.is_empty()).collect();
        let by_column = number == 0 || random.chance(30);
        if !is_root && by_column {
            let not_null = random.chance(60);
            let column = table.add(names.take(random), self.tenant_kind, not_null);
            table.source = Source::Column(column);
        }
        self.add_keys(&mut table, is_root, &mut names, random);
        if is_root {
            table.source = Source::Root;
        } else if !by_column && !parents.is_empty() && random.chance(80) {
            let parent = random.pick(&parents);
            let key = random.below(self.tables[parent].keys.len());
            self.add_reference(&mut table, parent, key, How::Via, &mut names, random);
            table.source = Source::Via(0);
        }
        for _ in 0..1 + random.below(5) {
            let kind = &KINDS[random.below(KINDS.len())];
            let not_null = random.chance(30);
            let column = table.add(names.take(random), kind, not_null);
            table.columns[column].special = false;
        }
        if self.has_root && matches!(table.source, Source::Column(_)) && random.chance(50) {
            let Source::Column(column) = table.source else { return };
            table.references.push(Reference { columns: vec![column], parent: 0, key: 0, how: How::Tenant });
        }
        self.tables.push(table);
    }

    fn add_keys(&self, table: &mut Table, is_root: bool, names: &mut Names, random: &mut Random) {
        let keyed: Vec<&'static Kind> = KINDS.iter().filter(|kind| kind.key.is_some()).collect();
        let primary = |columns| Key { columns, made: Made::Primary, global: false };
        match if is_root { 0 } else { random.below(8) } {
            0 if is_root && self.tenant_kind.declared == "TEXT" => {
                let column = table.add(names.take(random), self.tenant_kind, true);
                table.keys.push(primary(vec![column]));
            }
            0..=2 => {
                let column = table.add(names.take(random), kind("INTEGER"), false);
                table.keys.push(primary(vec![column]));
                table.rowid_alias = true;
                table.autoincrement = random.chance(50);
            }
            3 | 4 => {
                // INTEGER alone would be another alias.
                let kind = random.pick(&keyed);
                let kind = if kind.declared == "INTEGER" { crate::kinds::kind("BIGINT") } else { kind };
                let not_null = random.chance(50);
                let column = table.add(names.take(random), kind, not_null);
                table.keys.push(primary(vec![column]));
                table.without_rowid = random.chance(30);
            }
            5 | 6 => {
                let first = match table.source {
                    Source::Column(column) if random.chance(50) => column,
                    _ => table.add(names.take(random), random.pick(&keyed), random.chance(50)),
                };
                let second = table.add(names.take(random), random.pick(&keyed), random.chance(50));
                table.keys.push(primary(vec![first, second]));
                table.without_rowid = random.chance(50);
            }
            _ => {}
        }
        if random.chance(40) {
            let not_null = random.chance(50);
            let column = table.add(names.take(random), random.pick(&keyed), not_null);
            let made = random.pick(&[Made::Unique, Made::Index]);
            table.keys.push(Key { columns: vec![column], made, global: random.chance(50) });
        }
    }

    /// Adds references that decide nothing: to earlier and later tables and to the table itself.
    fn add_references(&mut self, number: usize, random: &mut Random) {
        for _ in 0..random.below(3) {
            let parent = random.below(self.tables.len());
            if self.tables[parent].keys.is_empty() {
                continue;
            }
            let name = format!("ref {}", self.tables[number].columns.len());
            // A reference that names the parent's tenant already gets no column for it.
            let key = random.below(self.tables[parent].keys.len());
            let names_tenant = match self.tables[parent].source {
                Source::Column(column) => self.tables[parent].keys[key].columns.contains(&column),
                _ => false,
            };
            let how = match (self.tables[number].source, self.tables[parent].source) {
                (_, Source::Shared) => How::Shared,
                // The spec says what a reference to the root is, and that is the tenant.
                (_, Source::Root) => continue,
                (Source::Root, _) => How::PerTenant,
                (Source::Shared, _) if names_tenant => How::Global,
                (Source::Shared, _) => How::OwnColumn(name),
                _ => match random.below(5) {
                    0 | 1 if names_tenant => How::PerTenant,
                    0 => How::OwnColumn(name),
                    1 => How::CrossTenant(name),
                    2 => How::Global,
                    _ => How::PerTenant,
                },
            };
            let used = self.tables[number].columns.iter().map(|column| column.name.clone()).collect::<Vec<_>>();
            let mut names =
                Names(NAMES.iter().filter(|name| !used.iter().any(|used| used == *name)).copied().collect());
            let mut table = std::mem::replace(&mut self.tables[number], Table::placeholder());
            if parent == number {
                self.tables[number] = table;
                // A table that refers to itself needs its own keys while it is added to.
                let keys: Vec<(Vec<usize>, Made)> =
                    self.tables[number].keys.iter().map(|key| (key.columns.clone(), key.made)).collect();
                let columns = keys[key].0.clone();
                let columns = columns
                    .into_iter()
                    .map(|of| {
                        let kind = self.tables[number].columns[of].kind;
                        self.tables[number].add(names.take(random), kind, false)
                    })
                    .collect();
                self.tables[number].references.push(Reference { columns, parent, key, how });
            } else {
                self.add_reference(&mut table, parent, key, how, &mut names, random);
                self.tables[number] = table;
            }
        }
    }

    fn add_reference(
        &self,
        table: &mut Table,
        parent: usize,
        key: usize,
        how: How,
        names: &mut Names,
        random: &mut Random,
    ) {
        let tenant_of_parent = match self.tables[parent].source {
            Source::Column(column) => Some(column),
            _ => None,
        };
        let mut columns = Vec::new();
        for &of in &self.tables[parent].keys[key].columns {
            // The classical way: a reference that carries the row's own tenant column.
            if let (Source::Column(own), true, How::PerTenant) = (table.source, tenant_of_parent == Some(of), &how) {
                columns.push(own);
                continue;
            }
            let kind = self.tables[parent].columns[of].kind;
            let not_null = how == How::Via && random.chance(50);
            let column = table.add(names.take(random), kind, not_null);
            table.columns[column].trap = trap(kind, random);
            columns.push(column);
        }
        table.references.push(Reference { columns, parent, key, how });
    }

    /// Decides what depends on all tables: which keys stay global, and which tenants can be inferred.
    fn settle(&mut self, number: usize, random: &mut Random) {
        let globally_referred: Vec<(usize, usize)> = self
            .tables
            .iter()
            .flat_map(|table| &table.references)
            .filter(|reference| reference.how == How::Global)
            .map(|reference| (reference.parent, reference.key))
            .collect();
        let infer = random.chance(50);
        let leads = |reference: &&Reference| reference.parent != number && self.is_tenants(reference.parent);
        let only = self.tables[number].references.iter().filter(leads).count() == 1;
        let by_reference = match self.tables[number].source {
            Source::Via(_) => true,
            Source::Column(_) => self.tables[number].references.iter().any(|reference| reference.how == How::Tenant),
            _ => false,
        };
        let root_key_is_named = match self.tables[number].source {
            Source::Via(way) => {
                let reference = &self.tables[number].references[way];
                self.tables[reference.parent].source == Source::Root && reference.key == 0
            }
            _ => false,
        };
        let table = &mut self.tables[number];
        table.infer = infer && only && by_reference;
        // Inferred, a reference to the root's key is no way to the tenant but the tenant itself.
        if let (true, Source::Via(way), true) = (table.infer, table.source, root_key_is_named) {
            table.source = Source::Column(table.references[way].columns[0]);
            table.references[way].how = How::Tenant;
        }
        table.global_key = random.chance(20);
        for (position, key) in table.keys.iter_mut().enumerate() {
            if globally_referred.contains(&(number, position)) {
                match key.made {
                    Made::Primary => table.global_key = true,
                    Made::Unique | Made::Index => key.global = true,
                }
            }
        }
    }

    /// Says whether each row of a table belongs to a tenant.
    pub fn is_tenants(&self, table: usize) -> bool {
        self.tables[table].source != Source::Shared
    }

    pub fn ddl(&self) -> String {
        self.tables.iter().map(|table| self.table_ddl(table)).collect()
    }

    fn table_ddl(&self, table: &Table) -> String {
        let names = |columns: &[usize]| {
            columns.iter().map(|&column| quoted(&table.columns[column].name)).collect::<Vec<_>>().join(", ")
        };
        let alias = table.rowid_alias.then(|| table.keys[0].columns[0]);
        let mut parts: Vec<String> = table
            .columns
            .iter()
            .enumerate()
            .map(|(position, column)| {
                let declared = column.trap.map_or(column.kind.declared, |(declared, _)| declared);
                let rest = match (Some(position) == alias, column.not_null) {
                    (true, _) if table.autoincrement => " PRIMARY KEY AUTOINCREMENT",
                    (true, _) => " PRIMARY KEY",
                    (false, true) => " NOT NULL",
                    (false, false) => "",
                };
                format!("{} {declared}{rest}", quoted(&column.name))
            })
            .collect();
        let mut indexes = String::new();
        for (position, key) in table.keys.iter().enumerate() {
            match key.made {
                Made::Primary if table.rowid_alias => {}
                Made::Primary => parts.push(format!("PRIMARY KEY ({})", names(&key.columns))),
                Made::Unique => parts.push(format!("UNIQUE ({})", names(&key.columns))),
                Made::Index => indexes.push_str(&format!(
                    "CREATE UNIQUE INDEX {} ON {} ({});\n",
                    quoted(&table.index_name(position)),
                    quoted(&table.name),
                    names(&key.columns)
                )),
            }
        }
        for reference in &table.references {
            let parent = &self.tables[reference.parent];
            let of = parent.keys[reference.key].columns.iter().map(|&column| quoted(&parent.columns[column].name));
            // A primary key need not be named.
            let of = match parent.keys[reference.key].made {
                Made::Primary if reference.columns.len() % 2 == 1 => String::new(),
                _ => format!(" ({})", of.collect::<Vec<_>>().join(", ")),
            };
            parts.push(format!("FOREIGN KEY ({}) REFERENCES {}{of}", names(&reference.columns), quoted(&parent.name)));
        }
        let without = if table.without_rowid { " WITHOUT ROWID" } else { "" };
        format!("CREATE TABLE {} (\n  {}\n){without};\n{indexes}", quoted(&table.name), parts.join(",\n  "))
    }

    /// Writes the spec; JSON is YAML.
    pub fn spec(&self, target_schema: &str) -> String {
        let mut tenant = json!({"column": self.tenant_column});
        match self.has_root {
            true => tenant["root"] = json!(self.tables[0].name),
            false => tenant["type"] = json!(if self.tenant_kind.declared == "TEXT" { "text" } else { "bigint" }),
        }
        let tables: Map<String, Json> =
            self.tables.iter().map(|table| (table.name.clone(), self.table_spec(table))).collect();
        let spec = json!({"version": 1, "source": "source.db", "target": {"schema": target_schema}, "tenant": tenant, "tables": tables});
        serde_json::to_string_pretty(&spec).unwrap()
    }

    fn table_spec(&self, table: &Table) -> Json {
        let names = |columns: &[usize]| {
            columns.iter().map(|&column| table.columns[column].name.as_str()).collect::<Vec<_>>().join(", ")
        };
        let mut body = Map::new();
        match table.source {
            Source::Root => {}
            Source::Shared => drop(body.insert("placement".into(), json!("shared"))),
            _ if table.infer => {}
            Source::Column(column) => drop(body.insert("tenant".into(), json!({"column": table.columns[column].name}))),
            Source::Via(reference) => {
                drop(body.insert("tenant".into(), json!({"via": names(&table.references[reference].columns)})))
            }
        }
        let is_tenants = matches!(table.source, Source::Column(_) | Source::Via(_));
        let mut unique = Map::new();
        for (position, key) in table.keys.iter().enumerate().filter(|_| is_tenants) {
            let scope = json!(if key.global { "global" } else { "per_tenant" });
            match key.made {
                Made::Primary if table.global_key => drop(body.insert("primary_key".into(), json!("global"))),
                Made::Primary => {}
                Made::Unique => drop(unique.insert(names(&key.columns), scope)),
                Made::Index => drop(unique.insert(table.index_name(position), scope)),
            }
        }
        if !unique.is_empty() {
            body.insert("unique".into(), unique.into());
        }
        let foreign_keys: Map<String, Json> = table
            .references
            .iter()
            .filter_map(|reference| {
                let decided = match &reference.how {
                    How::OwnColumn(name) => json!({"column": name}),
                    How::CrossTenant(name) => json!({"column": name, "cross_tenant": "allow"}),
                    How::Global => json!("global"),
                    How::Via | How::Tenant | How::PerTenant | How::Shared => return None,
                };
                Some((names(&reference.columns), decided))
            })
            .collect();
        if !foreign_keys.is_empty() {
            body.insert("foreign_keys".into(), foreign_keys.into());
        }
        let columns: Map<String, Json> = table
            .columns
            .iter()
            .filter_map(|column| {
                Some((
                    column.name.clone(),
                    json!({"type": column.trap.map(|(_, data_type)| data_type).or(column.kind.data_type)?}),
                ))
            })
            .collect();
        if !columns.is_empty() {
            body.insert("columns".into(), columns.into());
        }
        Json::Object(body)
    }
}

impl Table {
    fn placeholder() -> Self {
        Self {
            name: String::new(),
            columns: Vec::new(),
            keys: Vec::new(),
            rowid_alias: false,
            autoincrement: false,
            without_rowid: false,
            references: Vec::new(),
            source: Source::Shared,
            infer: false,
            global_key: false,
        }
    }

    fn add(&mut self, name: String, kind: &'static Kind, not_null: bool) -> usize {
        self.columns.push(Column { name, kind, trap: None, not_null, special: true });
        self.columns.len() - 1
    }

    pub fn index_name(&self, key: usize) -> String {
        format!("ix {key} {}", self.name)
    }
}

/// Declares the child of an integer key as something else that holds integers just as well.
fn trap(kind: &Kind, random: &mut Random) -> Option<(&'static str, &'static str)> {
    let integers = matches!(kind.declared, "INTEGER" | "BIGINT" | "UNSIGNED BIG INT");
    (integers && random.chance(30))
        .then(|| random.pick(&[("", "bigint"), ("NUMERIC", "bigint"), ("WHATEVER", "bigint")]))
}

pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

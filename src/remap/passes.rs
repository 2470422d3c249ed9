//! What has to be read, in which order: the layout of the passes depends on the plan alone.

use super::keys::{Collation, KeyColumn, KeyMap};
use super::source::TenantOf;
use crate::plan::Plan;
use crate::rewrite::ColumnValue;
use crate::schema::{ColumnId, ForeignKeyId, PgType, TableId};
use crate::spec::{Conversion, ForeignKeyTenancy, Placement, TenantSource};
use std::collections::{BTreeMap, BTreeSet};

/// What has to be read of a table before rows can be remapped: its keys, and what leads to their tenants.
#[derive(Debug, Clone)]
pub struct KeyPass {
    /// The source table.
    pub table: TableId,
    /// The source columns to read, in this order.
    pub columns: Vec<ColumnId>,
    /// Expressions in SQLite's dialect to read behind them.
    pub expressions: Vec<String>,
    pub(super) learns: Learns,
}

/// What a key pass is for.
#[derive(Debug, Clone)]
pub(super) enum Learns {
    /// The tenants of rows: by the keys that others refer to, and by the keys that these rows refer to.
    Owners { tenant: TenantOf, keys: Vec<(usize, Vec<usize>)>, uses: Vec<(usize, Vec<usize>)> },
    /// The keys of a tree, before anything is known of its rows' tenants.
    TreeKeys { map: usize, key: Vec<usize> },
    /// What each row of the tree refers to, and what its other sources say.
    TreeLinks { map: usize, key: Vec<usize>, parent: Vec<usize>, before: TenantOf, after: TenantOf },
}

/// What has to be read of a table to remap its rows.
#[derive(Debug, Clone)]
pub struct TablePass {
    /// The source table.
    pub table: TableId,
    /// The source columns to read, in this order.
    pub columns: Vec<ColumnId>,
    /// Expressions in SQLite's dialect to read behind them.
    pub expressions: Vec<String>,
    /// The target columns that a row is written to, in this order.
    pub target_columns: Vec<ColumnId>,
    pub(super) fields: Vec<Field>,
    pub(super) computed: Vec<Computed>,
    pub(super) tenant: TenantOf,
    pub(super) references: Vec<Reference>,
    /// A column that the tenant is filled into: what it holds must not be another tenant's.
    pub(super) filled: Option<usize>,
}

/// Fills one target column.
#[derive(Debug, Clone)]
pub(super) enum Field {
    Value {
        position: usize,
        data_type: PgType,
        not_null: bool,
        /// How it is read, where the spec says so.
        conversion: Option<Box<Conversion>>,
    },
    /// The new id of the tenant that a column names.
    TenantId {
        position: usize,
        not_null: bool,
    },
    Tenant,
    ReferenceTenant {
        reference: usize,
    },
}

/// Checks a value that PostgreSQL computes by itself: one that the column cannot hold is none that it comes to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Computed {
    pub position: usize,
    pub data_type: PgType,
    pub not_null: bool,
}

/// Checks one foreign key of a row.
#[derive(Debug, Clone)]
pub(super) struct Reference {
    pub foreign_key: ForeignKeyId,
    pub map: usize,
    pub positions: Vec<usize>,
    /// The parent's tenant has to be the row's own.
    pub same_tenant: bool,
}

/// Lays out the passes of a plan.
#[derive(Debug, Clone)]
pub(super) struct Layout<'p> {
    plan: &'p Plan,
    /// The keys of tables that others look at, and the maps that know the tenants of their rows.
    owners: BTreeMap<(TableId, Vec<ColumnId>), usize>,
    /// The keys of tables that get their tenants from their users, and the maps that know the tenants of those.
    users: BTreeMap<(TableId, Vec<ColumnId>), usize>,
    /// The foreign keys by which a table's rows lend their tenants to those they refer to.
    lends: BTreeMap<TableId, BTreeSet<ForeignKeyId>>,
}

impl<'p> Layout<'p> {
    /// Numbers the key maps, and returns them empty.
    pub fn new(plan: &'p Plan) -> (Self, Vec<KeyMap>) {
        let mut layout = Self { plan, owners: BTreeMap::new(), users: BTreeMap::new(), lends: BTreeMap::new() };
        let (source, tenancy) = (&plan.source, &plan.tenancy);
        let mut wanted: BTreeSet<(TableId, Vec<ColumnId>)> = BTreeSet::new();
        let mut used: BTreeSet<(TableId, Vec<ColumnId>)> = BTreeSet::new();
        for (position, foreign_key) in source.foreign_keys.iter().enumerate() {
            if is_followed(plan, ForeignKeyId(position as u32)) {
                wanted.insert((foreign_key.referenced_table, foreign_key.referenced_columns.clone()));
            }
        }
        for table in source.table_ids() {
            let Placement::Tenant(found) = &tenancy.table(table).placement else { continue };
            for found in found.alternatives() {
                match found {
                    TenantSource::By { cases, .. } => {
                        wanted.extend(cases.iter().map(|(_, case)| (*case, primary_key(plan, *case))));
                    }
                    TenantSource::UsedBy { references, .. } => {
                        for &id in references {
                            let foreign_key = source.foreign_key(id);
                            used.insert((table, foreign_key.referenced_columns.clone()));
                            layout.lends.entry(foreign_key.table).or_default().insert(id);
                        }
                    }
                    _ => {}
                }
            }
        }
        if let Some(root) = tenancy.root.as_ref().filter(|root| root.created.is_none()) {
            wanted.insert((root.table, vec![root.key]));
        }
        let mut maps = Vec::new();
        for key in wanted {
            maps.push(key_map(plan, &key.1));
            layout.owners.insert(key, maps.len() - 1);
        }
        for key in used {
            maps.push(key_map(plan, &key.1));
            layout.users.insert(key, maps.len() - 1);
        }
        (layout, maps)
    }

    /// Returns the key passes, in an order in which each finds what it needs.
    pub fn key_passes(&self) -> Vec<KeyPass> {
        let mut passes = Vec::new();
        let mut placed = BTreeSet::new();
        // The root first: what it does not know is no tenant.
        let root = self.plan.tenancy.root.as_ref().filter(|root| root.created.is_none()).map(|root| root.table);
        for table in root.into_iter().chain(self.plan.source.table_ids()) {
            self.place(table, &mut placed, &mut passes);
        }
        passes
    }

    /// Adds a table's key passes after those of the tables that its source looks at; sources never go round in a circle.
    fn place(&self, table: TableId, placed: &mut BTreeSet<TableId>, passes: &mut Vec<KeyPass>) {
        if !placed.insert(table) {
            return;
        }
        let source = match &self.plan.tenancy.table(table).placement {
            Placement::Tenant(source) => Some(source),
            Placement::Omit => return,
            Placement::Root | Placement::Shared | Placement::Local => None,
        };
        for other in source.iter().flat_map(|source| source.depends_on(&self.plan.source, table)) {
            self.place(other, placed, passes);
        }
        if self.plan.tenancy.is_created(table) {
            return;
        }
        let mut keys: Vec<(&Vec<ColumnId>, usize)> =
            self.owners.iter().filter(|((owner, _), _)| *owner == table).map(|((_, key), map)| (key, *map)).collect();
        if let Some((source, tree)) = source.and_then(|source| Some((source, source.tree(&self.plan.source)?))) {
            self.tree_passes(table, source, tree, passes);
            let referenced = &self.plan.source.foreign_key(tree).referenced_columns;
            keys.retain(|(key, _)| *key != referenced);
        }
        let names_tenants = self.needs_all_tenants() && source.is_some_and(names_tenants);
        let lends = self.lends.get(&table);
        if keys.is_empty() && lends.is_none() && !names_tenants {
            return;
        }
        let mut reads = Reads::default();
        let tenant = self.tenant_of(table, &mut reads);
        let keys = keys.into_iter().map(|(key, map)| (map, reads.positions(key))).collect();
        let uses = lends
            .into_iter()
            .flatten()
            .map(|&id| self.plan.source.foreign_key(id))
            .map(|foreign_key| {
                let users = (foreign_key.referenced_table, foreign_key.referenced_columns.clone());
                (self.users[&users], reads.positions(&foreign_key.columns))
            })
            .collect();
        passes.push(reads.key_pass(table, Learns::Owners { tenant, keys, uses }));
    }

    fn tree_passes(&self, table: TableId, source: &TenantSource, tree: ForeignKeyId, passes: &mut Vec<KeyPass>) {
        let foreign_key = self.plan.source.foreign_key(tree);
        let map = self.owners[&(table, foreign_key.referenced_columns.clone())];
        let mut reads = Reads::default();
        let key = reads.positions(&foreign_key.referenced_columns);
        passes.push(reads.key_pass(table, Learns::TreeKeys { map, key }));
        let mut reads = Reads::default();
        let key = reads.positions(&foreign_key.referenced_columns);
        let parent = reads.positions(&foreign_key.columns);
        let alternatives = source.alternatives();
        let at = alternatives.iter().position(|source| *source == TenantSource::Via(tree)).unwrap_or(0);
        let mut part = |sources: &[TenantSource]| {
            TenantOf::First(sources.iter().map(|source| self.alternative(table, source, &mut reads)).collect())
        };
        let (before, after) = (part(&alternatives[..at]), part(&alternatives[at + 1..]));
        passes.push(reads.key_pass(table, Learns::TreeLinks { map, key, parent, before, after }));
    }

    /// Says whether the tables that name tenants have to be asked for all of them: no root of the source's lists them. Before
    /// the first row goes out all tenants are known.
    fn needs_all_tenants(&self) -> bool {
        self.plan.tenancy.root.as_ref().is_none_or(|root| root.created.is_some())
    }

    fn tenant_of(&self, table: TableId, reads: &mut Reads) -> TenantOf {
        match &self.plan.tenancy.table(table).placement {
            Placement::Shared | Placement::Local | Placement::Omit => TenantOf::Shared,
            Placement::Root => match &self.plan.tenancy.root {
                Some(root) => TenantOf::Column { position: reads.position(root.key), column: root.key, root: true },
                None => TenantOf::Shared,
            },
            Placement::Tenant(TenantSource::First(list)) => {
                TenantOf::First(list.iter().map(|source| self.alternative(table, source, reads)).collect())
            }
            Placement::Tenant(source) => self.alternative(table, source, reads),
        }
    }

    fn alternative(&self, table: TableId, source: &TenantSource, reads: &mut Reads) -> TenantOf {
        match source {
            TenantSource::Column(column) => {
                TenantOf::Column { position: reads.position(*column), column: *column, root: false }
            }
            TenantSource::Via(id) => {
                let foreign_key = self.plan.source.foreign_key(*id);
                TenantOf::Parent {
                    map: self.owners[&(foreign_key.referenced_table, foreign_key.referenced_columns.clone())],
                    positions: reads.positions(&foreign_key.columns),
                    foreign_key: *id,
                    tree: foreign_key.is_self_reference(),
                }
            }
            TenantSource::UsedBy { references, several } => {
                let keys: BTreeSet<&Vec<ColumnId>> =
                    references.iter().map(|&id| &self.plan.source.foreign_key(id).referenced_columns).collect();
                let maps =
                    keys.into_iter().map(|key| (self.users[&(table, key.clone())], reads.positions(key))).collect();
                TenantOf::Users { maps, several: *several }
            }
            TenantSource::By { column, key, cases } => TenantOf::Case {
                column: reads.position(*column),
                key: [reads.position(*key)],
                key_column: *key,
                cases: cases
                    .iter()
                    .map(|(value, case)| {
                        (value.as_bytes().into(), self.owners[&(*case, primary_key(self.plan, *case))])
                    })
                    .collect(),
            },
            TenantSource::First(list) => {
                TenantOf::First(list.iter().map(|source| self.alternative(table, source, reads)).collect())
            }
            TenantSource::PerRun => TenantOf::Fixed(self.plan.tenancy.tenant.per_run.clone()),
            TenantSource::Constant(text) => TenantOf::Fixed(Some(text.clone())),
            TenantSource::Every => TenantOf::Every,
            TenantSource::Sql(text) => TenantOf::Computed { expression: reads.expression(text) },
        }
    }

    /// Lays out the reading and writing of a target table's rows.
    pub fn table_pass(&self, target: TableId) -> TablePass {
        let (plan, rewritten) = (self.plan, &self.plan.rewritten);
        let table = rewritten.source_tables[target.index()];
        let mut reads = Reads::default();
        let tenant = match &plan.tenancy.root {
            // The rows of a root that the source does not have come with the number of their tenant.
            Some(root) if plan.tenancy.is_created(table) => TenantOf::Ordinal { position: reads.position(root.key) },
            _ => self.tenant_of(table, &mut reads),
        };
        let mut references = Vec::new();
        for &id in &plan.source.table(table).foreign_keys {
            if !is_followed(plan, id) {
                continue;
            }
            let foreign_key = plan.source.foreign_key(id);
            let decided = plan.tenancy.table(table).foreign_keys.get(&id);
            references.push(Reference {
                foreign_key: id,
                map: self.owners[&(foreign_key.referenced_table, foreign_key.referenced_columns.clone())],
                positions: reads.positions(&foreign_key.columns),
                same_tenant: !matches!(tenant, TenantOf::Shared)
                    && matches!(
                        decided,
                        Some(
                            ForeignKeyTenancy::PerTenant
                                | ForeignKeyTenancy::FromRoot
                                | ForeignKeyTenancy::OwnColumn(_)
                        )
                    ),
            });
        }
        let is_own = matches!(tenant, TenantOf::Ordinal { .. });
        let (mut fields, mut computed) = (Vec::new(), Vec::new());
        let mut target_columns = Vec::new();
        for &id in &rewritten.target.table(target).columns {
            let column = rewritten.target.column(id);
            fields.push(match rewritten.values[id.index()] {
                ColumnValue::Source(from) | ColumnValue::TenantId(from)
                    if is_own && Some(from) == plan.tenancy.root.as_ref().map(|root| root.key) =>
                {
                    Field::Tenant
                }
                ColumnValue::Source(from) => Field::Value {
                    position: reads.position(from),
                    data_type: column.data_type,
                    not_null: column.not_null,
                    conversion: plan.tenancy.table(table).conversion(from).cloned().map(Box::new),
                },
                ColumnValue::TenantId(from) => {
                    Field::TenantId { position: reads.position(from), not_null: column.not_null }
                }
                ColumnValue::Tenant => Field::Tenant,
                ColumnValue::ReferenceTenant(foreign_key) => {
                    match references.iter().position(|reference| reference.foreign_key == foreign_key) {
                        Some(reference) => Field::ReferenceTenant { reference },
                        None => continue,
                    }
                }
                ColumnValue::Generated(from) => {
                    let (data_type, not_null) = (column.data_type, column.not_null);
                    computed.push(Computed { position: reads.position(from), data_type, not_null });
                    continue;
                }
            });
            target_columns.push(id);
        }
        let is_first = matches!(plan.tenancy.table(table).placement, Placement::Tenant(TenantSource::First(_)));
        let filled = plan.tenancy.tenant_column(&plan.source, table).filter(|_| is_first);
        let filled = filled.map(|column| reads.position(column));
        let Reads { columns, expressions } = reads;
        TablePass { table, columns, expressions, target_columns, fields, computed, tenant, references, filled }
    }
}

fn primary_key(plan: &Plan, table: TableId) -> Vec<ColumnId> {
    plan.source.table(table).primary_key.map(|key| plan.source.key(key).columns.clone()).unwrap_or_default()
}

/// Says whether a source names tenants itself, rather than taking them from other rows.
fn names_tenants(source: &TenantSource) -> bool {
    source.alternatives().iter().any(|source| {
        matches!(
            source,
            TenantSource::Column(_) | TenantSource::Sql(_) | TenantSource::Constant(_) | TenantSource::PerRun
        )
    })
}

fn key_map(plan: &Plan, key: &[ColumnId]) -> KeyMap {
    let columns = key.iter().map(|&column| {
        let column = plan.source.column(column);
        KeyColumn {
            affinity: column.data_type.affinity(),
            collation: match column.collation.as_deref().map(str::to_ascii_lowercase).as_deref() {
                Some("nocase") => Collation::NoCase,
                Some("rtrim") => Collation::Rtrim,
                _ => Collation::Binary,
            },
        }
    });
    KeyMap::new(columns.collect())
}

/// Says whether a foreign key is looked up in the data: it is decided, or leads to a tenant.
pub fn is_followed(plan: &Plan, id: ForeignKeyId) -> bool {
    let table = plan.tenancy.table(plan.source.foreign_key(id).table);
    let leads = match &table.placement {
        Placement::Tenant(source) => source.alternatives().contains(&TenantSource::Via(id)),
        _ => false,
    };
    leads || table.foreign_keys.get(&id).is_some_and(|decided| *decided != ForeignKeyTenancy::Omit)
}

/// What a pass reads, each once.
#[derive(Default)]
struct Reads {
    columns: Vec<ColumnId>,
    expressions: Vec<String>,
}

impl Reads {
    fn position(&mut self, column: ColumnId) -> usize {
        self.columns.iter().position(|&known| known == column).unwrap_or_else(|| {
            self.columns.push(column);
            self.columns.len() - 1
        })
    }

    fn positions(&mut self, columns: &[ColumnId]) -> Vec<usize> {
        columns.iter().map(|&column| self.position(column)).collect()
    }

    fn expression(&mut self, text: &str) -> usize {
        self.expressions.iter().position(|known| known == text).unwrap_or_else(|| {
            self.expressions.push(text.to_owned());
            self.expressions.len() - 1
        })
    }

    fn key_pass(self, table: TableId, learns: Learns) -> KeyPass {
        KeyPass { table, columns: self.columns, expressions: self.expressions, learns }
    }
}

//! Plan → what is to be seen of it.

use super::{Picture, Placed, Reference, ReferenceKind, TableBox};
use crate::ident::visible;
use crate::plan::Plan;
use crate::schema::{ColumnId, ForeignKey, ForeignKeyId, Schema, TableId};
use crate::spec::{About, ForeignKeyTenancy, Placement, TenantSource};
use std::collections::BTreeSet;

/// Which side of a plan a picture shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// What SQLite has, with the foreign keys that the spec adds.
    Before,
    /// What PostgreSQL is to have.
    After,
}

impl Side {
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Before => "before: SQLite",
            Self::After => "after: PostgreSQL",
        }
    }
}

/// What of a plan is shown.
#[derive(Debug, Clone, Copy, Default)]
pub struct Around {
    /// The source table whose way to its tenant is marked.
    pub path: Option<TableId>,
    /// The source table that is shown with its neighbours alone.
    pub centre: Option<TableId>,
}

/// The most characters of a row; longer ones are cut.
const ROW: usize = 44;

/// Makes the picture of one side of a plan.
pub fn picture(plan: &Plan, side: Side, around: Around) -> Picture {
    let way = around.path.map(|table| Way::of(plan, table)).unwrap_or_default();
    match side {
        Side::Before => {
            let tables: Vec<TableId> = plan.source.table_ids().filter(|&id| !plan.tenancy.is_created(id)).collect();
            let declared = plan.source.foreign_keys.len() - plan.tenancy.undeclared.len();
            let kind = |id: ForeignKeyId| match id.index() < declared {
                true => ReferenceKind::Plain,
                false => ReferenceKind::Undeclared,
            };
            draw(plan, side, &plan.source, &tables, around.centre, kind, &way)
        }
        Side::After => {
            let kind = |id: ForeignKeyId| match plan.rewritten.source_foreign_keys[id.index()] {
                None => ReferenceKind::ToRoot,
                Some(source) => after_kind(plan, source, plan.rewritten.target.foreign_key(id)),
            };
            draw(plan, side, &plan.rewritten.target, &plan.rewritten.source_tables, around.centre, kind, &way)
        }
    }
}

fn after_kind(plan: &Plan, source: ForeignKeyId, target: &ForeignKey) -> ReferenceKind {
    let table = plan.source.foreign_key(source).table;
    let to_root = plan.rewritten.source_tables[target.referenced_table.index()];
    let tenant = plan.rewritten.tenant_columns[target.table.index()];
    match plan.tenancy.table(table).foreign_keys.get(&source) {
        Some(ForeignKeyTenancy::OwnColumn(_) | ForeignKeyTenancy::CrossTenant(_)) => ReferenceKind::OwnColumn,
        _ if plan.tenancy.table(to_root).placement == Placement::Root
            && tenant.map(|id| vec![id]).as_ref() == Some(&target.columns) =>
        {
            ReferenceKind::ToRoot
        }
        Some(ForeignKeyTenancy::PerTenant | ForeignKeyTenancy::FromRoot) => ReferenceKind::PerTenant,
        _ => ReferenceKind::Plain,
    }
}

/// `source_tables` are the source's ids of the schema's tables that are shown, in the schema's order.
fn draw<T>(
    plan: &Plan,
    side: Side,
    schema: &Schema<T>,
    source_tables: &[TableId],
    centre: Option<TableId>,
    kind: impl Fn(ForeignKeyId) -> ReferenceKind,
    way: &Way,
) -> Picture {
    let of_source = |table: TableId| match side {
        Side::Before => table,
        Side::After => source_tables[table.index()],
    };
    let mut tables_shown: Vec<TableId> =
        schema.table_ids().filter(|&table| source_tables.contains(&of_source(table))).collect();
    if let Some(centre) = centre {
        let is_centre = |table: TableId| of_source(table) == centre;
        let near: BTreeSet<TableId> = schema
            .foreign_keys
            .iter()
            .filter(|foreign_key| is_centre(foreign_key.table) || is_centre(foreign_key.referenced_table))
            .flat_map(|foreign_key| [foreign_key.table, foreign_key.referenced_table])
            .collect();
        tables_shown.retain(|table| is_centre(*table) || near.contains(table));
    }
    tables_shown.sort_by_key(|&table| &schema.table(table).name);
    let place = |table: TableId| tables_shown.iter().position(|&other| other == table);
    let mut tables: Vec<TableBox> = tables_shown
        .iter()
        .map(|&table| {
            let source = of_source(table);
            TableBox {
                name: shown(&schema.table(table).name),
                placed: placed(&plan.tenancy.table(source).placement),
                about: shown(&about(plan, source)),
                keys: Vec::new(),
                foreign_keys: Vec::new(),
                marked: way.tables.contains(&source),
            }
        })
        .collect();
    let keys: Vec<Vec<&[ColumnId]>> = tables_shown.iter().map(|&table| keys(schema, table)).collect();
    for (position, keys) in keys.iter().enumerate() {
        for (number, columns) in keys.iter().enumerate() {
            let is_primary = schema.table(tables_shown[position]).primary_key.is_some() && number == 0;
            let word = if is_primary { "key" } else { "unique" };
            tables[position].keys.push(shown(&format!("{word} {}", columns_text(schema, columns))));
        }
    }
    let mut references = Vec::new();
    for (number, foreign_key) in schema.foreign_keys.iter().enumerate() {
        let id = ForeignKeyId(number as u32);
        let (Some(from), Some(to)) = (place(foreign_key.table), place(foreign_key.referenced_table)) else { continue };
        let to_row = keys[to].iter().position(|columns| is_same_set(columns, &foreign_key.referenced_columns));
        let source = match side {
            Side::Before => Some(id),
            Side::After => plan.rewritten.source_foreign_keys[number],
        };
        let from_source = of_source(foreign_key.table);
        let is_last_hop = way.ends.contains(&from_source)
            && plan.tenancy.table(of_source(foreign_key.referenced_table)).placement == Placement::Root
            && is_tenant_column(plan, side, from_source, &foreign_key.columns);
        references.push(Reference {
            from,
            from_row: tables[from].rows().count(),
            to,
            to_row: to_row.unwrap_or(0),
            kind: kind(id),
            marked: source.is_some_and(|id| way.references.contains(&id)) || is_last_hop,
        });
        tables[from].foreign_keys.push(shown(&columns_text(schema, &foreign_key.columns)));
    }
    Picture { side, tables, references }
}

/// Returns the primary key, and each other key that a foreign key refers to.
fn keys<T>(schema: &Schema<T>, table: TableId) -> Vec<&[ColumnId]> {
    let mut keys: Vec<&[ColumnId]> =
        schema.table(table).primary_key.iter().map(|&key| &schema.key(key).columns[..]).collect();
    for foreign_key in schema.foreign_keys.iter().filter(|foreign_key| foreign_key.referenced_table == table) {
        if !keys.iter().any(|columns| is_same_set(columns, &foreign_key.referenced_columns)) {
            keys.push(&foreign_key.referenced_columns);
        }
    }
    keys
}

fn is_same_set(one: &[ColumnId], other: &[ColumnId]) -> bool {
    one.len() == other.len() && one.iter().all(|column| other.contains(column))
}

fn columns_text<T>(schema: &Schema<T>, columns: &[ColumnId]) -> String {
    schema.column_names(columns).collect::<Vec<_>>().join(", ")
}

/// Says whether columns are the one that a row's tenant is read from, or stands in afterwards.
fn is_tenant_column(plan: &Plan, side: Side, source: TableId, columns: &[ColumnId]) -> bool {
    let tenant = match side {
        Side::Before => plan.tenancy.tenant_column(&plan.source, source),
        Side::After => plan
            .rewritten
            .source_tables
            .iter()
            .position(|&table| table == source)
            .and_then(|position| plan.rewritten.tenant_columns[position]),
    };
    tenant.is_some_and(|tenant| columns == [tenant])
}

fn placed(placement: &Placement) -> Placed {
    match placement {
        Placement::Root => Placed::Root,
        Placement::Tenant(_) => Placed::Tenant,
        Placement::Shared => Placed::Shared,
        Placement::Local => Placed::Local,
        Placement::Omit => Placed::Omitted,
    }
}

fn about(plan: &Plan, table: TableId) -> String {
    match &plan.tenancy.table(table).placement {
        Placement::Root => "the tenant root".to_owned(),
        Placement::Tenant(_) => {
            let source = plan.decisions_about(table).find(|decision| decision.about == About::Tenant);
            match source {
                Some(source) => format!("tenant: {}", source.choice),
                None => "tenant".to_owned(),
            }
        }
        Placement::Shared => "shared by all tenants".to_owned(),
        Placement::Local => "local, outside tenancy".to_owned(),
        Placement::Omit => "not migrated".to_owned(),
    }
}

/// Makes a text fit to be shown: harmless, of characters that XML has a place for, and not too long.
fn shown(text: &str) -> String {
    let text = visible(text).replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}");
    if text.chars().count() <= ROW {
        return text;
    }
    let mut cut: String = text.chars().take(ROW - 1).collect();
    cut.push('…');
    cut
}

/// The tables and foreign keys on the way from a table to its tenant, by the source's ids.
#[derive(Debug, Default)]
struct Way {
    tables: BTreeSet<TableId>,
    references: BTreeSet<ForeignKeyId>,
    /// The tables that name the tenant in a column of their own.
    ends: BTreeSet<TableId>,
}

impl Way {
    fn of(plan: &Plan, table: TableId) -> Self {
        let mut way = Self::default();
        let mut open = vec![table];
        while let Some(table) = open.pop() {
            if !way.tables.insert(table) {
                continue;
            }
            let Placement::Tenant(source) = &plan.tenancy.table(table).placement else { continue };
            for source in source.alternatives() {
                match source {
                    TenantSource::Via(id) => {
                        way.references.insert(*id);
                    }
                    TenantSource::UsedBy { references, .. } => way.references.extend(references),
                    TenantSource::Column(_) => {
                        way.ends.insert(table);
                        way.tables.extend(plan.tenancy.root.as_ref().map(|root| root.table));
                    }
                    _ => {}
                }
            }
            open.extend(source.depends_on(&plan.source, table));
        }
        way
    }
}

//! Every column gets one PostgreSQL type; columns joined by foreign keys get the same.

use super::declared_types::postgres_type;
use super::draft::Draft;
use crate::diagnostic::{Diagnostic, Span};
use crate::graph::joined;
use crate::schema::{ColumnId, ForeignKeyId, PgType};
use crate::spec::{
    About, CollationEntry, ColumnChange, ColumnTenancy, Decision, ForeignKeyTenancy, Origin, Placement, TenantIds,
};
use std::collections::{BTreeMap, BTreeSet};

/// The types of the source's columns, and the tenant's.
pub(super) struct Types {
    columns: BTreeMap<ColumnId, PgType>,
    /// The columns that hold a tenant's id, where tenants get new ones.
    new_tenant_ids: BTreeSet<ColumnId>,
    /// The columns that compare by ICU, because one of those joined with them is to.
    icu: BTreeSet<ColumnId>,
    pub tenant: Option<PgType>,
}

impl Types {
    /// Returns a column's type; `None` after an error has been reported for it.
    pub fn get(&self, column: ColumnId) -> Option<PgType> {
        self.columns.get(&column).copied()
    }

    /// Says whether a column compares by ICU's nondeterministic collation.
    pub fn is_icu(&self, column: ColumnId) -> bool {
        self.icu.contains(&column)
    }

    /// Says whether a column holds a tenant's id, and tenants get new ones.
    pub fn gets_new_tenant_id(&self, column: ColumnId) -> bool {
        self.new_tenant_ids.contains(&column)
    }
}

/// What a column's type rests on: a person's word counts for all columns joined with it.
struct Wish {
    data_type: PgType,
    explicit: Option<Span>,
    /// Declared without a type: it takes that of the columns joined with it.
    yields: bool,
}

pub(super) fn assign(draft: &mut Draft<'_>) -> Types {
    let tenant_wish = draft.tenancy.tenant.data_type;
    let wishes = wishes(draft, tenant_wish);
    let kept = draft.source.foreign_keys.iter().enumerate().filter(|(position, foreign_key)| {
        let kept = draft.tenancy.table(foreign_key.table).foreign_keys.get(&ForeignKeyId(*position as u32));
        kept.is_some_and(|kept| *kept != ForeignKeyTenancy::Omit)
    });
    let pairs = kept.flat_map(|(_, foreign_key)| {
        foreign_key
            .columns
            .iter()
            .zip(&foreign_key.referenced_columns)
            .map(|(child, parent)| (child.index(), parent.index()))
    });
    // One type everywhere: a column that holds the tenant has that of the root's key, with or without a foreign key.
    let root = draft.tenancy.root.as_ref().map(|root| root.key.index());
    let held = tenant_columns(draft);
    let tenants = held.iter().filter_map(|column| Some((column.index(), root?)));
    let pairs = pairs.chain(tenants);
    let component_of = joined(draft.source.columns.len(), pairs);
    let mut groups: BTreeMap<usize, Vec<ColumnId>> = BTreeMap::new();
    for &column in wishes.keys() {
        groups.entry(component_of[column.index()]).or_default().push(column);
    }
    let mut columns = BTreeMap::new();
    let mut new_tenant_ids = BTreeSet::new();
    let mut icu = BTreeSet::new();
    for group in groups.values() {
        // New ids have a type of their own: what the source's columns were declared as does not matter.
        let is_new = draft.tenancy.tenant.ids != TenantIds::Keep && group.iter().any(|column| held.contains(column));
        if is_new {
            new_tenant_ids.extend(group.iter().copied());
        }
        let joined = match tenant_wish {
            Some(data_type) if is_new => Some(data_type),
            _ => join(draft, group, &wishes),
        };
        let Some(joined) = joined else { continue };
        if joined.is_text() && joined != PgType::Citext && asks_for_icu(draft, group, &held) {
            icu.extend(group.iter().copied());
        }
        for &column in group {
            if wishes[&column].data_type != joined {
                draft.decisions.push(Decision {
                    table: draft.source.column(column).table,
                    about: About::Column(draft.source.column(column).name.clone()),
                    choice: format!("{{type: {joined}}}"),
                    origin: Origin::Inferred(format!(
                        "joined by foreign keys or the tenant; alone it would be {}",
                        wishes[&column].data_type
                    )),
                    alternatives: Vec::new(),
                });
            }
            columns.insert(column, joined);
        }
    }
    let tenant = match (tenant_wish, &draft.tenancy.root) {
        (Some(data_type), _) => Some(data_type),
        (None, Some(root)) => columns.get(&root.key).copied(),
        (None, None) => None,
    };
    Types { columns, new_tenant_ids, icu, tenant }
}

/// Says whether one of some joined columns is to compare by ICU; an error where they hold tenants' ids, which are the
/// same only where their bytes are.
fn asks_for_icu(draft: &mut Draft<'_>, group: &[ColumnId], held: &BTreeSet<ColumnId>) -> bool {
    let asked = group.iter().find_map(|&column| {
        let change = draft.tenancy.table(draft.source.column(column).table).change(column)?;
        change.collation.clone().filter(|(entry, _)| *entry == CollationEntry::Icu).map(|(_, span)| (column, span))
    });
    let Some((column, span)) = asked else { return false };
    if group.iter().any(|column| held.contains(column)) {
        let message =
            format!("`{}` holds tenants' ids, and they compare by their bytes", draft.source.column(column).name);
        draft.error(
            Diagnostic::error("collation-of-tenant", message)
                .label(span, "this collation")
                .help("leave `collation` out: the keys of the tenant root still refuse ids that differ in case only"),
        );
        return false;
    }
    true
}

/// Lists the columns of the source that hold a tenant's id as such: the root's key, and tenant columns.
fn tenant_columns(draft: &Draft<'_>) -> BTreeSet<ColumnId> {
    let held = draft.source.table_ids().filter_map(|table| draft.tenancy.tenant_column(draft.source, table));
    held.chain(draft.tenancy.root.as_ref().map(|root| root.key)).collect()
}

/// Collects what each migrated column would be by itself.
fn wishes(draft: &mut Draft<'_>, tenant: Option<PgType>) -> BTreeMap<ColumnId, Wish> {
    let source = draft.source;
    let mut wishes = BTreeMap::new();
    for table in source.table_ids() {
        let tenancy = draft.tenancy.table(table);
        if tenancy.placement == Placement::Omit {
            continue;
        }
        let tenant_column = match &tenancy.placement {
            Placement::Root => draft.tenancy.root.as_ref().map(|root| root.key),
            _ => draft.tenancy.tenant_column(source, table),
        };
        for &id in &source.table(table).columns {
            let column = source.column(id);
            let (data_type, explicit) = match tenancy.columns.get(&id) {
                Some(ColumnTenancy::Omit) => continue,
                Some(ColumnTenancy::Keep(ColumnChange { data_type: Some((data_type, span)), .. })) => {
                    (Some(*data_type), Some(span.clone()))
                }
                _ if Some(id) == tenant_column && tenant.is_some() => (tenant, column.span.clone()),
                _ if source.table(table).rowid_alias == Some(id) => {
                    let declared = draft.tenancy.declared_types.get(&id).copied();
                    (declared.filter(|data_type| data_type.is_integer()).or(Some(PgType::Bigint)), None)
                }
                _ => match draft.tenancy.declared_types.get(&id) {
                    Some(data_type) => (Some(*data_type), None),
                    None => (postgres_type(&column.data_type), None),
                },
            };
            let yields = explicit.is_none()
                && column.data_type.0.trim().is_empty()
                && !draft.tenancy.declared_types.contains_key(&id);
            match data_type {
                Some(data_type) => {
                    wishes.insert(id, Wish { data_type, explicit, yields });
                }
                None => draft.error(
                    Diagnostic::error(
                        "undecided-type",
                        format!("nothing says what type `{}.{}` is to have", source.table(table).name, column.name),
                    )
                    .label_opt(column.span.clone(), format!("declared `{}`", column.data_type.0))
                    .help(format!(
                        "SQLite stores text and numbers in it alike; decide under `{}:`\n  columns: {{{}: {{type: text}}}}",
                        source.table(table).name,
                        column.name
                    ))
                    .suggest(
                        &["tables", &source.table(table).name, "columns", &column.name, "type"],
                        "text",
                        "takes every value, written as text",
                    ),
                ),
            }
        }
    }
    wishes
}

/// Finds the one type for columns that are joined: a person's choice, else the widest of one family. After an error it
/// is that of one of them, so that what else is wrong shows as well.
fn join(draft: &mut Draft<'_>, group: &[ColumnId], wishes: &BTreeMap<ColumnId, Wish>) -> Option<PgType> {
    let all_yield = group.iter().all(|column| wishes[column].yields);
    let by = |explicit: bool| {
        group
            .iter()
            .filter(move |column| wishes[column].explicit.is_some() == explicit)
            .filter(move |column| all_yield || !wishes[column].yields)
            .map(|column| (*column, &wishes[column]))
    };
    let mut chosen: Option<(ColumnId, PgType)> = None;
    for (column, wish) in by(true).chain(by(false)) {
        let Some((first, data_type)) = chosen else {
            chosen = Some((column, wish.data_type));
            continue;
        };
        let first_is_explicit = wishes[&first].explicit.is_some();
        let widest = widest(data_type, wish.data_type);
        match (first_is_explicit, wish.explicit.is_some()) {
            _ if data_type == wish.data_type => {}
            // A person's choice stands for the columns joined with it, as long as values can be compared.
            (true, false) if widest.is_some() => {}
            (false, false) if widest.is_some() => chosen = widest.map(|data_type| (first, data_type)),
            _ => {
                conflict(draft, (first, data_type), (column, wish.data_type), group, wishes);
                break;
            }
        }
    }
    chosen.map(|(_, data_type)| data_type)
}

fn widest(one: PgType, other: PgType) -> Option<PgType> {
    let width = |data_type| match data_type {
        PgType::Smallint => Some(2),
        PgType::Integer => Some(4),
        PgType::Bigint => Some(8),
        _ => None,
    };
    match (one, other) {
        _ if one == other => Some(one),
        // Its equality is wider than that of the other text types, so it is the one that holds for both.
        (PgType::Citext, other) | (other, PgType::Citext) if other.is_text() => Some(PgType::Citext),
        (PgType::Text, other) | (other, PgType::Text) if other.is_text() => Some(PgType::Text),
        (PgType::Varchar(one), PgType::Varchar(other)) => Some(PgType::Varchar(one.zip(other).map(|(a, b)| a.max(b)))),
        _ => width(one).zip(width(other)).map(|(a, b)| if a >= b { one } else { other }),
    }
}

fn conflict(
    draft: &mut Draft<'_>,
    one: (ColumnId, PgType),
    other: (ColumnId, PgType),
    group: &[ColumnId],
    wishes: &BTreeMap<ColumnId, Wish>,
) {
    let source = draft.source;
    let name = |column: ColumnId| {
        let column = source.column(column);
        format!("{}.{}", source.table(column.table).name, column.name)
    };
    let place = |column: ColumnId| wishes[&column].explicit.clone().or_else(|| source.column(column).span.clone());
    let (first, second) = (name(one.0), name(other.0));
    let mut error = Diagnostic::error(
        "foreign-key-types",
        format!("`{first}` and `{second}` are joined by foreign keys, and would be {} and {}", one.1, other.1),
    )
    .label_opt(place(one.0), format!("{first}: {}", one.1))
    .label_opt(place(other.0), format!("{second}: {}", other.1))
    .help("give both the same type under `columns:`, as in `columns: {NAME: {type: bigint}}`");
    let decides = referred_to(draft, group);
    let data_type = wishes[&decides].data_type;
    for &column in group.iter().filter(|column| widest(data_type, wishes[column].data_type).is_none()) {
        let described = source.column(column);
        error = error.suggest(
            &["tables", &source.table(described.table).name, "columns", &described.name, "type"],
            data_type.to_string(),
            format!("the type of `{}`, which decides what a reference can hold", name(decides)),
        );
    }
    draft.error(error);
}

/// Picks the column that the others of a group refer to: a rowid, else one that refers to none of them.
fn referred_to(draft: &Draft<'_>, group: &[ColumnId]) -> ColumnId {
    let source = draft.source;
    let is_rowid = |column: &&ColumnId| source.table(source.column(**column).table).rowid_alias == Some(**column);
    let refers = |column: ColumnId| {
        source.foreign_keys.iter().any(|foreign_key| {
            let mut pairs = foreign_key.columns.iter().zip(&foreign_key.referenced_columns);
            pairs.any(|(&child, parent)| child == column && *parent != column && group.contains(parent))
        })
    };
    let found = group.iter().find(is_rowid).or_else(|| group.iter().find(|&&column| !refers(column)));
    found.copied().unwrap_or(group[0])
}

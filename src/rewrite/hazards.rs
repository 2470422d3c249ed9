//! Hazards that show only once the whole target is known: lookups and deletes without an index, types that lose.

use super::draft::Draft;
use super::{ColumnValue, Hazard};
use crate::schema::{Affinity, ColumnId, Expr, ForeignKey, IndexMethod, PgType, TableId};
use crate::spec::{CheckSays, ForeignKeyTenancy, KeyTenancy, Placement};

pub(super) fn note(draft: &mut Draft<'_>) {
    for (source, table, _) in draft.migrated() {
        insert_needs_tenant(draft, source, table);
        lookup_by_id_alone(draft, source, table);
        unindexed_foreign_keys(draft, source, table);
        lossy_types(draft, source);
        omitted_constraints(draft, source);
    }
}

/// Lists what the table's keys and indexes over all rows order by, up to the first part that is no column.
fn orders(draft: &Draft<'_>, table: TableId) -> Vec<Vec<ColumnId>> {
    let described = draft.target.table(table);
    let keys =
        described.primary_key.iter().chain(&described.unique_keys).map(|&key| draft.target.key(key).columns.clone());
    let indexes = described.indexes.iter().map(|&id| draft.target.index(id));
    let whole = indexes.filter(|index| index.predicate.is_none() && index.method == IndexMethod::Btree);
    let columns = whole.map(|index| {
        index
            .parts
            .iter()
            .map_while(|part| match part.expr {
                Expr::Column(column) => Some(column),
                _ => None,
            })
            .collect()
    });
    keys.chain(columns).collect()
}

/// The application's INSERTs know nothing of columns that tenancy adds.
fn insert_needs_tenant(draft: &mut Draft<'_>, source: TableId, table: TableId) {
    if !draft.is_tenant(source) && !draft.target.table(table).columns.iter().any(|&id| draft.is_reference_column(id)) {
        return;
    }
    let mut needed = Vec::new();
    for &id in &draft.target.table(table).columns {
        let column = draft.target.column(id);
        let own = match draft.value_of(id) {
            _ if column.default.is_some() => continue,
            ColumnValue::Tenant => None,
            ColumnValue::ReferenceTenant(_) if column.not_null => None,
            // A reference is whole or absent.
            ColumnValue::ReferenceTenant(foreign_key) => {
                Some(draft.source_columns_text(&draft.source.foreign_key(foreign_key).columns))
            }
            ColumnValue::Source(from) | ColumnValue::TenantId(from)
                if draft.tenant_column(table) == Some(id) && !draft.source.column(from).not_null =>
            {
                None
            }
            ColumnValue::Source(_) | ColumnValue::TenantId(_) | ColumnValue::Generated(_) => continue,
        };
        needed.push(match own {
            None => column.name.clone(),
            Some(reference) => format!("{} where it names {reference}", column.name),
        });
    }
    if needed.is_empty() {
        return;
    }
    let needed = needed.join(", ");
    draft.hazards.push(Hazard {
        code: "insert-needs-tenant",
        table: source,
        message: format!("an INSERT has to name {needed} from now on: nothing fills it in"),
        help: "write it in each INSERT, or `tenant: {default: setting}`, which fills the tenant column with the tenant that \
               the session names"
            .to_owned(),
        span: draft.source.table(source).span.clone(),
    });
}

/// A query by the key's own columns finds no index that begins with them.
fn lookup_by_id_alone(draft: &mut Draft<'_>, source: TableId, table: TableId) {
    let Some(own) = draft.source.table(source).primary_key.map(|key| &draft.source.key(key).columns[..]) else {
        return;
    };
    let Some(columns) = draft.columns_of(own) else { return };
    let Some(tenant) = draft.tenant_column(table) else { return };
    let begins = |order: &Vec<ColumnId>| order.first().is_some_and(|first| columns.contains(first));
    if columns.contains(&tenant) || orders(draft, table).iter().any(begins) {
        return;
    }
    let (shown, tenant) = (draft.source_columns_text(own), draft.target.column(tenant).name.clone());
    draft.hazards.push(Hazard {
        code: "lookup-by-id-alone",
        table: source,
        message: format!("a query by ({shown}) without {tenant} reads the whole table"),
        help: format!("let every query name {tenant}, or add `indexes: {{NAME: {{columns: [{shown}]}}}}`"),
        span: draft.source.table(source).span.clone(),
    });
}

/// PostgreSQL looks the referring rows up at every delete of a parent, and makes no index for that by itself.
fn unindexed_foreign_keys(draft: &mut Draft<'_>, source: TableId, table: TableId) {
    let orders = orders(draft, table);
    let mut found = Vec::new();
    for &id in &draft.target.table(table).foreign_keys {
        let foreign_key = draft.target.foreign_key(id);
        let serves = |order: &Vec<ColumnId>| {
            let mut begins = order.get(..foreign_key.columns.len()).unwrap_or_default().to_vec();
            let mut columns = foreign_key.columns.clone();
            begins.sort_unstable();
            columns.sort_unstable();
            // A first column that is not the tenant's narrows the search down by itself.
            let narrows = order
                .first()
                .is_some_and(|first| Some(*first) != draft.tenant_column(table) && foreign_key.columns.contains(first));
            begins == columns || (narrows && !is_reference_tenant(draft, order.first()))
        };
        if !orders.iter().any(serves) {
            let columns = draft.target.column_names(&foreign_key.columns).collect::<Vec<_>>().join(", ");
            let parent = &draft.target.table(foreign_key.referenced_table).name;
            found.push(Hazard {
                code: "unindexed-foreign-key",
                table: source,
                message: format!("deleting a row of `{parent}` reads all rows for ({columns})"),
                help: format!(
                    "add `indexes: {{NAME: {{columns: [{columns}]}}}}` if rows of `{parent}` are ever deleted"
                ),
                span: foreign_key.span.clone(),
            });
        }
    }
    draft.hazards.extend(found);
}

fn is_reference_tenant(draft: &Draft<'_>, column: Option<&ColumnId>) -> bool {
    column.is_some_and(|column| draft.is_reference_column(*column))
}

/// The values come over; not all of how they were written does.
fn lossy_types(draft: &mut Draft<'_>, source: TableId) {
    if draft.tenancy.table(source).placement == Placement::Omit {
        return;
    }
    let columns = draft.source.table(source).columns.clone();
    for id in columns {
        let Some(target) = draft.column_of(id) else { continue };
        let declared = &draft.source.column(id).data_type;
        let loses = match draft.target.column(target).data_type {
            PgType::Jsonb => "the order of keys, keys that stand twice, and how numbers are written",
            PgType::Uuid if declared.affinity() != Affinity::Blob => "the case of the digits, and braces around them",
            _ => continue,
        };
        let (name, data_type) = (draft.target.column(target).name.clone(), draft.target.column(target).data_type);
        let span = draft.source.column(id).span.clone();
        draft.hazards.push(Hazard {
            code: "lossy-type",
            table: source,
            message: format!("`{name}` as {data_type} does not keep {loses}"),
            help: format!(
                "nothing else changes; where the very bytes matter, write `columns: {{{name}: {{type: {}}}}}`",
                if data_type == PgType::Jsonb { "json" } else { "text" }
            ),
            span,
        });
    }
}

/// What a constraint refused goes through once the spec leaves it out.
fn omitted_constraints(draft: &mut Draft<'_>, source: TableId) {
    let (described, tenancy) = (draft.source.table(source), draft.tenancy.table(source));
    let mut found = Vec::new();
    let unique = described.unique_keys.iter().map(|key| (tenancy.unique.get(key), draft.source.key(*key)));
    for (_, key) in unique.filter(|(decided, _)| *decided == Some(&KeyTenancy::Omit)) {
        let columns = draft.source_columns_text(&key.columns);
        found.push((format!("unique ({columns}) is left out: two rows may have the same value"), key.span.clone()));
    }
    let indexes = described.indexes.iter().map(|index| (tenancy.indexes.get(index), draft.source.index(*index)));
    for (_, index) in indexes.filter(|(decided, index)| *decided == Some(&KeyTenancy::Omit) && index.unique) {
        let what = format!("the unique index `{}` is left out: two rows may have the same value", index.name);
        found.push((what, index.span.clone()));
    }
    // What the spec adds and does not enforce was no constraint of the source's.
    let declared = draft.source.foreign_keys.len() - draft.tenancy.undeclared.len();
    for &id in described.foreign_keys.iter().filter(|id| id.index() < declared) {
        if tenancy.foreign_keys.get(&id) == Some(&ForeignKeyTenancy::Omit) {
            let foreign_key = draft.source.foreign_key(id);
            if is_there_anyway(draft, foreign_key) {
                continue;
            }
            let columns = draft.source_columns_text(&foreign_key.columns);
            let parent = &draft.source.table(foreign_key.referenced_table).name;
            let what =
                format!("({columns}) may name a row of `{parent}` that does not exist: it is no reference any more");
            found.push((what, foreign_key.span.clone()));
        }
    }
    for id in &described.checks {
        if let Some(check) = tenancy.checks.get(id).filter(|check| check.says == CheckSays::Omit) {
            let what = format!("the check `{}` is left out: nothing refuses such rows", check.name);
            found.push((what, draft.source.check(*id).span.clone()));
        }
    }
    draft.hazards.extend(found.into_iter().map(|(message, span)| Hazard {
        code: "constraint-omitted",
        table: source,
        message,
        help:
            "leave `omit` out of the spec where the target can keep it, else let the application see to it".to_owned(),
        span,
    }));
}

/// Says whether the target has a foreign key of its own in the place of one that is left out, as it has to the root.
fn is_there_anyway(draft: &Draft<'_>, left_out: &ForeignKey) -> bool {
    let (Some(table), Some(parent)) = (draft.table_of(left_out.table), draft.table_of(left_out.referenced_table))
    else {
        return false;
    };
    let columns = draft.columns_of(&left_out.columns);
    let mut there = draft.target.table(table).foreign_keys.iter().map(|&id| draft.target.foreign_key(id));
    there.any(|other| other.referenced_table == parent && Some(&other.columns) == columns.as_ref())
}

//! Hazards that show only once the whole target is known: lookups and deletes without an index, types that lose.

use super::Hazard;
use super::draft::Draft;
use crate::schema::{Affinity, ColumnId, Expr, IndexMethod, PgType, TableId};
use crate::spec::Placement;

pub(super) fn note(draft: &mut Draft<'_>) {
    for (source, table, _) in draft.migrated() {
        lookup_by_id_alone(draft, source, table);
        unindexed_foreign_keys(draft, source, table);
        lossy_types(draft, source);
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

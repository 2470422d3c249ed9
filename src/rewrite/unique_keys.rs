//! UNIQUE constraints get the tenant column where they are per_tenant; one equal to another key is dropped.
//!
//! A key that from now on holds less than before, or more, is a hazard.

use super::Hazard;
use super::collations;
use super::draft::Draft;
use crate::diagnostic::Span;
use crate::schema::{ColumnId, ForeignKeyId, Key, KeyKind, TableId};
use crate::spec::ForeignKeyTenancy;

pub(super) fn rewrite(draft: &mut Draft<'_>) {
    for (source, table, tenancy) in draft.migrated() {
        for &id in &draft.source.table(source).unique_keys {
            let Some(decided) = tenancy.unique.get(&id) else { continue };
            let key = draft.source.key(id);
            let Some(columns) = draft.key_columns(table, decided, &key.columns) else { continue };
            compare(draft, source, &key.columns, &columns, key.span.clone());
            if has_key(draft, table, &columns) {
                let text = draft.source_columns_text(&key.columns);
                draft.hazards.push(Hazard {
                    code: "redundant-index",
                    table: source,
                    message: format!("the unique key ({text}) equals another key of the target: dropped"),
                    help: "nothing is lost: the other key enforces the same".to_owned(),
                    span: key.span.clone(),
                });
                continue;
            }
            if let Some(index) = collations::unique_index(draft, table, key, &columns) {
                draft.target.add_index(index);
                if !collations::stays_beside_index(draft, key) {
                    continue;
                }
            }
            draft.target.add_key(Key {
                table,
                kind: KeyKind::Unique,
                name: key.name.as_deref().map(|name| draft.name(name)),
                columns,
                on_conflict: None,
                span: key.span.clone(),
            });
        }
    }
}

/// Compares what a unique key was made of with what it is made of now, and notes where it holds less or more than before.
pub(super) fn compare(
    draft: &mut Draft<'_>,
    source: TableId,
    before: &[ColumnId],
    after: &[ColumnId],
    span: Option<Span>,
) {
    let Some(kept) = draft.columns_of(before) else { return };
    if !kept.iter().all(|column| after.contains(column)) {
        strengthened(draft, source, after, span);
    } else if after.iter().any(|column| !kept.contains(column)) {
        let text = draft.source_columns_text(before);
        match parent_of_one_tenant(draft, source, before, after) {
            Some(parent) => widened(draft, source, &text, &parent, after, span),
            None => weakened(draft, source, &text, after, span),
        }
    }
}

/// Compares what a primary key was made of with what it is made of now, and notes where it holds less than before.
pub(super) fn compare_primary(draft: &mut Draft<'_>, source: TableId, key: &Key, after: &[ColumnId]) {
    let Some(kept) = draft.columns_of(&key.columns) else { return };
    if after.iter().all(|column| kept.contains(column)) {
        return;
    }
    let text = draft.source_columns_text(&key.columns);
    let is_widened = kept.iter().all(|column| after.contains(column));
    if let Some(parent) = is_widened.then(|| parent_of_one_tenant(draft, source, &key.columns, after)).flatten() {
        widened(draft, source, &text, &parent, after, key.span.clone());
        return;
    }
    let names = draft.target.column_names(after).collect::<Vec<_>>().join(", ");
    let message = match is_widened {
        true => less_unique(draft, source, &text, after),
        false => format!("({text}) is the key no more, ({names}) is"),
    };
    draft.hazards.push(Hazard {
        code: "primary-key-weakened",
        table: source,
        message,
        help: format!("name ({names}) wherever ({text}) alone named a row: in queries, in URLs, in ON CONFLICT"),
        span: key.span.clone(),
    });
}

/// Returns the table that part of a key refers to with the row's own tenant, where nothing but the tenant was added.
///
/// Such a key is unique within a row of that table, and a row belongs to one tenant: it promises what it did before.
fn parent_of_one_tenant(draft: &Draft<'_>, source: TableId, before: &[ColumnId], after: &[ColumnId]) -> Option<String> {
    let tenant = draft.table_of(source).and_then(|table| draft.tenant_column(table))?;
    if after.len() != before.len() + 1 || !after.contains(&tenant) {
        return None;
    }
    let shares_tenant = |id: &ForeignKeyId| {
        matches!(
            draft.tenancy.table(source).foreign_keys.get(id),
            Some(ForeignKeyTenancy::PerTenant | ForeignKeyTenancy::OwnColumn(_))
        )
    };
    let foreign_keys = draft.source.table(source).foreign_keys.iter().filter(|id| shares_tenant(id));
    let mut foreign_keys = foreign_keys.map(|&id| draft.source.foreign_key(id));
    let found = foreign_keys.find(|key| key.columns.iter().all(|column| before.contains(column)))?;
    Some(draft.source.table(found.referenced_table).name.clone())
}

/// Notes that a key promises the same as before, and is another one to whoever names its columns.
fn widened(
    draft: &mut Draft<'_>,
    source: TableId,
    columns: &str,
    parent: &str,
    after: &[ColumnId],
    span: Option<Span>,
) {
    let names = draft.target.column_names(after).collect::<Vec<_>>().join(", ");
    draft.hazards.push(Hazard {
        code: "on-conflict-target",
        table: source,
        message: format!(
            "the key ({names}) refuses the same rows as ({columns}) did, since a row of `{parent}` is one tenant's"
        ),
        help: format!("an application's ON CONFLICT ({columns}) fails from now on: it has to name ({names})"),
        span,
    });
}

/// Notes that a value may from now on occur once a tenant, or once a value of other columns, rather than once.
pub(super) fn weakened(draft: &mut Draft<'_>, source: TableId, columns: &str, after: &[ColumnId], span: Option<Span>) {
    let names = draft.target.column_names(after).collect::<Vec<_>>().join(", ");
    let message = less_unique(draft, source, columns, after);
    draft.hazards.push(Hazard {
        code: "unique-weakened",
        table: source,
        message,
        help: format!("an application's ON CONFLICT ({columns}) fails from now on: it has to name ({names})"),
        span,
    });
}

/// Says within what a value is unique from now on.
fn less_unique(draft: &Draft<'_>, source: TableId, columns: &str, after: &[ColumnId]) -> String {
    let tenant = draft.table_of(source).and_then(|table| draft.tenant_column(table));
    if tenant.is_some_and(|tenant| after.contains(&tenant)) {
        format!("({columns}) is unique per tenant only: two tenants may have the same value")
    } else {
        let names = draft.target.column_names(after).collect::<Vec<_>>().join(", ");
        format!("({columns}) is unique together with others only, as ({names})")
    }
}

/// Notes that a key refuses rows that the source accepts.
pub(super) fn strengthened(draft: &mut Draft<'_>, source: TableId, after: &[ColumnId], span: Option<Span>) {
    let names = draft.target.column_names(after).collect::<Vec<_>>().join(", ");
    draft.hazards.push(Hazard {
        code: "unique-strengthened",
        table: source,
        message: format!("({names}) is unique in the target, and nothing in the source makes it so"),
        help: "the cutover fails on the first two rows with the same value: look for them before".to_owned(),
        span,
    });
}

/// Says whether a key of exactly these columns, in any order, is there already.
pub(super) fn has_key(draft: &Draft<'_>, table: TableId, columns: &[ColumnId]) -> bool {
    let mut wanted = columns.to_vec();
    wanted.sort_unstable();
    draft.target.unique_column_sets(table).into_iter().any(|mut set| {
        set.sort_unstable();
        set == wanted
    })
}

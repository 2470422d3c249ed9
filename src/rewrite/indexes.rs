//! Indexes get the tenant column in front, never twice; one that a key serves already is dropped.
//!
//! An index that begins with the columns of a reference with a tenant column of its own gets that column in front, not
//! the row's: PostgreSQL looks referring rows up by exactly the columns of the foreign key, and so does an application
//! that follows the reference. In front of it the row's own tenant column would serve neither.

use super::Hazard;
use super::draft::Draft;
use super::expressions::{Translator, untranslated};
use super::unique_keys::{compare, has_key, weakened};
use crate::schema::{ColumnId, Expr, Index, IndexPart, TableId};
use crate::spec::{ForeignKeyTenancy, KeyPart, KeyTenancy, NewIndex, Order};

pub(super) fn rewrite(draft: &mut Draft<'_>) {
    for (source, table, tenancy) in draft.migrated() {
        for &id in &draft.source.table(source).indexes {
            let Some(decided) = tenancy.indexes.get(&id) else { continue };
            let described = draft.source.index(id);
            if *decided == KeyTenancy::Omit {
                continue;
            }
            let Some(mut index) = translate(draft, source, table, described) else { continue };
            match decided {
                KeyTenancy::PerTenant => {
                    if let Some(tenant) = tenant_in_front(draft, source, table, &index) {
                        put_in_front(&mut index, tenant);
                    }
                }
                KeyTenancy::Columns(parts) => replace_columns(draft, table, &mut index, parts),
                KeyTenancy::Global | KeyTenancy::Omit => {}
            }
            if index.unique {
                note_uniqueness(draft, source, described, &index);
            }
            if is_redundant(draft, table, &index) {
                draft.hazards.push(Hazard {
                    code: "redundant-index",
                    table: source,
                    message: format!("the index `{}` has the same columns as a key of the target: dropped", index.name),
                    help: "nothing is lost: the key's own index serves the same queries".to_owned(),
                    span: described.span.clone(),
                });
                continue;
            }
            draft.target.add_index(index);
        }
        for index in &tenancy.new_indexes {
            add_new(draft, source, table, index);
        }
    }
}

fn translate(draft: &mut Draft<'_>, source: TableId, table: TableId, described: &Index) -> Option<Index> {
    let translator = Translator::new(draft);
    let mut problems: Vec<(Expr, String)> = Vec::new();
    let parts: Vec<IndexPart> = described
        .parts
        .iter()
        .filter_map(|part| match translator.value(&part.expr, part.collation.as_deref()) {
            Ok(expr) => Some(collated(expr, part.descending)),
            Err(reason) => {
                problems.push((part.expr.clone(), reason));
                None
            }
        })
        .collect();
    let predicate = described.predicate.as_ref().and_then(|predicate| match translator.condition(predicate) {
        Ok(expr) => Some(expr),
        Err(reason) => {
            problems.push((predicate.clone(), reason));
            None
        }
    });
    if problems.is_empty() {
        return Some(Index {
            table,
            name: draft.name(&described.name),
            unique: described.unique,
            parts,
            predicate,
            method: described.method,
            include: Vec::new(),
            span: described.span.clone(),
        });
    }
    for (expr, reason) in problems {
        let what = format!("the index `{}` of `{}`", described.name, draft.source.table(source).name);
        let kind = if described.unique { "unique" } else { "indexes" };
        let keys = format!("{kind}: {{{}: omit}}", described.name);
        let error = untranslated(draft.source, &what, &expr, &reason, &keys, described.span.clone());
        let path = ["tables", &draft.source.table(source).name, kind, &described.name];
        let means = match described.unique {
            true => "nothing keeps two such rows apart any more",
            false => "queries that it served are slower",
        };
        draft.error(error.suggest(&path, "omit", means));
    }
    None
}

/// Builds a part; the collation of a plain column is the part's, not an expression.
fn collated(expr: Expr, descending: bool) -> IndexPart {
    if let Expr::Dialects { postgres, .. } = &expr
        && let Expr::Collate { operand, collation } = &**postgres
        && matches!(**operand, Expr::Column(_))
    {
        return IndexPart {
            expr: (**operand).clone(),
            descending,
            nulls_moved: false,
            collation: Some(collation.clone()),
        };
    }
    IndexPart { expr, descending, nulls_moved: false, collation: None }
}

/// Returns the tenant column that goes in front: that of the reference which the index begins with, else the row's.
fn tenant_in_front(draft: &Draft<'_>, source: TableId, table: TableId, index: &Index) -> Option<ColumnId> {
    let own = draft.tenant_column(table);
    if index.unique {
        return own;
    }
    let references =
        draft.tenancy.table(source).foreign_keys.iter().filter(|(_, decided)| {
            matches!(decided, ForeignKeyTenancy::OwnColumn(_) | ForeignKeyTenancy::CrossTenant(_))
        });
    let of_reference = references.into_iter().find_map(|(&id, _)| {
        let mut columns = draft.columns_of(&draft.source.foreign_key(id).columns)?;
        let mut begins = index.parts.get(..columns.len())?.iter().map(plain_column).collect::<Option<Vec<_>>>()?;
        columns.sort_unstable();
        begins.sort_unstable();
        (columns == begins).then(|| draft.reference_column(id))?
    });
    of_reference.or(own)
}

fn plain_column(part: &IndexPart) -> Option<ColumnId> {
    match part.expr {
        Expr::Column(column) => Some(column),
        _ => None,
    }
}

fn put_in_front(index: &mut Index, tenant: ColumnId) {
    let is_tenant = |part: &IndexPart| part.expr == Expr::Column(tenant);
    // An index that begins with the tenant is as the rule wants it; elsewhere in the list it moves to the front.
    if index.parts.first().is_some_and(is_tenant) || (index.unique && index.parts.iter().any(is_tenant)) {
        return;
    }
    index.parts.retain(|part| !is_tenant(part));
    index
        .parts
        .insert(0, IndexPart { expr: Expr::Column(tenant), descending: false, nulls_moved: false, collation: None });
}

/// Puts the columns of a list in place of the index's own; one that it had keeps its direction and collation.
fn replace_columns(draft: &Draft<'_>, table: TableId, index: &mut Index, parts: &[KeyPart]) {
    let columns = parts.iter().filter_map(|&part| draft.part(table, part));
    index.parts = columns
        .map(|column| {
            let had = index.parts.iter().find(|part| part.expr == Expr::Column(column));
            had.cloned().unwrap_or(IndexPart {
                expr: Expr::Column(column),
                descending: false,
                nulls_moved: false,
                collation: None,
            })
        })
        .collect();
}

fn note_uniqueness(draft: &mut Draft<'_>, source: TableId, described: &Index, index: &Index) {
    let (before, after) = (described.plain_columns(), index.plain_columns());
    if let (Some(before), Some(after)) = (before, after) {
        compare(draft, source, &before, &after, described.span.clone());
        return;
    }
    // Over expressions only the tenant column can have been added.
    if index.parts.len() > described.parts.len() {
        let mut columns: Vec<ColumnId> = Vec::new();
        index.parts.iter().for_each(|part| part.expr.for_each_column(&mut |column| columns.push(column)));
        weakened(draft, source, &described.name, &columns, described.span.clone());
    }
}

fn add_new(draft: &mut Draft<'_>, source: TableId, table: TableId, new: &NewIndex) {
    let parts: Option<Vec<IndexPart>> = new
        .parts
        .iter()
        .map(|&(part, Order { descending, nulls_moved })| {
            let expr = Expr::Column(draft.part(table, part)?);
            Some(IndexPart { expr, descending, nulls_moved, collation: None })
        })
        .collect();
    let include: Option<Vec<ColumnId>> = new.include.iter().map(|&part| draft.part(table, part)).collect();
    // What is missing has been reported where it was to be made.
    let (Some(parts), Some(include)) = (parts, include) else { return };
    let index = Index {
        table,
        name: new.name.clone(),
        unique: new.unique,
        parts,
        predicate: new.predicate.clone().map(Expr::Postgres),
        method: new.method,
        include,
        span: Some(new.span.clone()),
    };
    if let (true, Some(columns)) = (new.unique, index.plain_columns())
        && !draft.target.unique_column_sets(table).iter().any(|set| set.iter().all(|column| columns.contains(column)))
    {
        super::unique_keys::strengthened(draft, source, &columns, Some(new.span.clone()));
    }
    draft.target.add_index(index);
}

/// An index over the same columns in the same order as a key, all ascending and without a condition, adds nothing.
fn is_redundant(draft: &Draft<'_>, table: TableId, index: &Index) -> bool {
    let Some(columns) = index.plain_columns() else { return false };
    if index.predicate.is_some() || index.parts.iter().any(|part| !part.order().is_empty() || part.collation.is_some())
    {
        return false;
    }
    if index.unique {
        return has_key(draft, table, &columns);
    }
    let described = draft.target.table(table);
    described.primary_key.iter().chain(&described.unique_keys).any(|&key| draft.target.key(key).columns == columns)
}

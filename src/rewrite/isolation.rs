//! Row-level security: which tables it guards, and the functions that find a tenant before it is known.

use super::Hazard;
use super::draft::Draft;
use crate::diagnostic::{Diagnostic, Span};
use crate::ident::Namespace;
use crate::schema::{ColumnId, TableId};
use crate::spec::{Lookup, Placement, Rls};

/// A table whose rows a policy guards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guard {
    /// The target table.
    pub table: TableId,
    /// The column that the policy compares with the setting.
    pub tenant: ColumnId,
}

/// A function that returns the tenant of the one row with a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookupFunction {
    /// Its name.
    pub name: String,
    /// The target table.
    pub table: TableId,
    /// The column that is searched.
    pub column: ColumnId,
    /// The column that is returned.
    pub tenant: ColumnId,
}

pub(super) fn guard(draft: &mut Draft<'_>) {
    let Some(rls) = &draft.tenancy.isolation.rls else { return };
    for (source, table, tenancy) in draft.migrated() {
        match draft.tenant_column(table) {
            Some(tenant) if tenancy.rls => draft.guarded.push(Guard { table, tenant }),
            Some(_) if matches!(tenancy.placement, Placement::Tenant(_) | Placement::Root) => unguarded(draft, source),
            _ => {}
        }
    }
    lookups(draft, rls);
    hidden_keys(draft);
}

fn unguarded(draft: &mut Draft<'_>, source: TableId) {
    draft.hazards.push(Hazard {
        code: "table-without-rls",
        table: source,
        message: "row-level security is left off: a query without the tenant sees every tenant's rows".to_owned(),
        help: "leave `rls: false` out, or take the table's rights from the app role".to_owned(),
        span: draft.source.table(source).span.clone(),
    });
}

fn lookups(draft: &mut Draft<'_>, rls: &Rls) {
    let mut names = Namespace::default();
    for lookup in &rls.lookups {
        let found = draft.table_of(lookup.table).zip(draft.column_of(lookup.column));
        let Some((table, column)) = found else { continue };
        let Some(tenant) = draft.tenant_column(table) else { continue };
        // Two rows with one value could belong to two tenants, and the function returns one.
        if !draft.target.unique_column_sets(table).contains(&vec![column]) {
            not_unique(draft, lookup);
            continue;
        }
        let (table_name, column_name) = (&draft.target.table(table).name, &draft.target.column(column).name);
        let wanted = format!("{table_name}_tenant_by_{column_name}");
        let name = names.claim(&wanted, &format!("{table_name}.{column_name}"));
        draft.lookups.push(LookupFunction { name, table, column, tenant });
    }
}

fn not_unique(draft: &mut Draft<'_>, lookup: &Lookup) {
    let (table, column) = (&draft.source.table(lookup.table).name, &draft.source.column(lookup.column).name);
    let message = format!("`{table}.{column}` cannot tell whose a row is: two tenants may have the same value");
    let error = Diagnostic::error("lookup-not-unique", message)
        .label(lookup.span.clone(), "this lookup")
        .label_opt(draft.source.column(lookup.column).span.clone(), "declared here")
        .help(format!("make it unique across tenants, as in `{table}: {{unique: {{{column}: global}}}}`"));
    draft.error(error);
}

/// A value that is unique across tenants is what applications look up before they know the tenant: a login's email,
/// a token, an external id. Under a policy that query finds nothing, and says nothing.
fn hidden_keys(draft: &mut Draft<'_>) {
    let mut hazards = Vec::new();
    for (source, table, _) in draft.migrated() {
        let Some(guard) = draft.guarded.iter().find(|guard| guard.table == table) else { continue };
        let described = draft.target.table(table);
        let keys = described.unique_keys.iter().map(|&key| {
            let key = draft.target.key(key);
            (key.columns.clone(), key.columns.clone(), None, key.span.clone())
        });
        let indexes = described.indexes.iter().map(|&index| draft.target.index(index)).filter(|index| index.unique);
        let indexes = indexes.map(|index| {
            let mut columns = Vec::new();
            index.parts.iter().for_each(|part| part.expr.for_each_column(&mut |column| columns.push(column)));
            (columns, index.plain_columns().unwrap_or_default(), Some(index.name.clone()), index.span.clone())
        });
        for (columns, plain, name, span) in keys.chain(indexes) {
            let is_found = |column| draft.lookups.iter().any(|lookup| lookup.column == column);
            if columns.contains(&guard.tenant) || matches!(plain[..], [column] if is_found(column)) {
                continue;
            }
            let shown = draft.target.column_names(&plain).collect::<Vec<_>>().join(", ");
            let shown = if plain.is_empty() { name.unwrap_or_default() } else { format!("({shown})") };
            let single = if plain.len() == 1 { Some(shown.trim_matches(['(', ')']).to_owned()) } else { None };
            hazards.push(hidden(draft, source, &shown, single, span));
        }
    }
    draft.hazards.extend(hazards);
}

fn hidden(draft: &Draft<'_>, source: TableId, shown: &str, single: Option<String>, span: Option<Span>) -> Hazard {
    let table = &draft.source.table(source).name;
    Hazard {
        code: "rls-hides-global-lookup",
        table: source,
        message: format!("{shown} is unique across tenants, and a query by it finds nothing until the tenant is set"),
        help: match single {
            Some(column) => format!(
                "where it is looked up before the tenant is known, write `rls: {{lookup: {{{table}: [{column}]}}}}` and call \
                 that function"
            ),
            None => "set the tenant first, or write a function of your own for it under `extra:`".to_owned(),
        },
        span,
    }
}

//! Ownership, row-level security and grants as PostgreSQL text.

use super::statement::qualified_table;
use crate::ident::{literal, quote};
use crate::plan::{Isolate, Plan, is_tenants};
use crate::rewrite::LookupFunction;
use crate::schema::{ColumnId, PgType, TableId};
use crate::spec::Roles;

/// Writes a step.
pub(super) fn isolate(plan: &Plan, step: Isolate) -> String {
    let roles = &plan.tenancy.isolation.roles;
    let schema = quote(&plan.tenancy.target_schema);
    let owner = role(&roles.owner);
    match step {
        Isolate::SchemaOwner => format!("ALTER SCHEMA {schema} OWNER TO {owner}"),
        Isolate::TableOwner(table) => format!("ALTER TABLE {} OWNER TO {owner}", qualified_table(plan, table)),
        Isolate::ViewOwner(position) => format!("ALTER VIEW {} OWNER TO {owner}", view_name(plan, position)),
        Isolate::Enable(table) => format!("ALTER TABLE {} ENABLE ROW LEVEL SECURITY", qualified_table(plan, table)),
        Isolate::Force(table) => format!("ALTER TABLE {} FORCE ROW LEVEL SECURITY", qualified_table(plan, table)),
        Isolate::Policy(table) => policy(plan, table),
        Isolate::LookupPolicy(table) => format!(
            "CREATE POLICY tenant_lookup ON {}\n    FOR SELECT TO {}\n    USING (true)",
            qualified_table(plan, table),
            owner_or_self(roles)
        ),
        Isolate::Lookup(position) => lookup(plan, &plan.rewritten.lookups[position]),
        Isolate::LookupOwner(position) => format!("ALTER FUNCTION {} OWNER TO {owner}", signature(plan, position)),
        Isolate::LookupRevoke(position) => format!("REVOKE ALL ON FUNCTION {} FROM PUBLIC", signature(plan, position)),
        Isolate::LookupGrant(position) => {
            let rls = plan.tenancy.isolation.rls.as_ref();
            let caller = rls.and_then(|rls| rls.role.as_deref()).unwrap_or_default();
            format!("GRANT EXECUTE ON FUNCTION {} TO {}", signature(plan, position), quote(caller))
        }
        Isolate::Revoke => {
            let mut from = vec!["PUBLIC".to_owned()];
            from.extend([&roles.app, &roles.verifier].into_iter().flatten().map(|name| quote(name).into_owned()));
            on_relations("REVOKE ALL", relations(plan, |_| true, true), &format!("FROM {}", from.join(", ")))
        }
        Isolate::SchemaUsage => {
            let to: Vec<_> = [&roles.app, &roles.verifier].into_iter().flatten().map(|name| quote(name)).collect();
            format!("GRANT USAGE ON SCHEMA {schema} TO {}", to.join(", "))
        }
        Isolate::AppRows => {
            let tables = relations(plan, |source| is_tenants(&plan.tenancy, source), false);
            on_relations("GRANT SELECT, INSERT, UPDATE, DELETE", tables, &format!("TO {}", role(&roles.app)))
        }
        Isolate::AppReads => {
            let tables = relations(plan, |source| !is_tenants(&plan.tenancy, source), true);
            on_relations("GRANT SELECT", tables, &format!("TO {}", role(&roles.app)))
        }
        Isolate::AppSequences => format!("GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {}", role(&roles.app)),
        Isolate::VerifierReads => {
            on_relations("GRANT SELECT", relations(plan, |_| true, true), &format!("TO {}", role(&roles.verifier)))
        }
        Isolate::VerifierSequences => {
            format!("GRANT SELECT ON ALL SEQUENCES IN SCHEMA {schema} TO {}", role(&roles.verifier))
        }
    }
}

/// Writes the comparison that a policy makes.
///
/// An index that begins with the tenant serves it, because the right side does not depend on the row. The setting is
/// NULL where it was never set and empty after a SET LOCAL: `nullif` makes both find nothing. The cast has no length,
/// because one with a length would cut a longer text down to another tenant's id.
fn comparison(plan: &Plan, tenant: ColumnId) -> String {
    let column = plan.rewritten.target.column(tenant);
    let setting = literal(&plan.tenancy.isolation.setting);
    let data_type = uncut(column.data_type);
    format!("{} = nullif(current_setting({setting}, true), '')::{data_type}", quote(&column.name))
}

/// Returns a type's name without its length.
fn uncut(data_type: PgType) -> String {
    match data_type {
        // As text it would not compare with the column by the column's index.
        PgType::Char(_) => "bpchar".to_owned(),
        other => other.without_length().to_string(),
    }
}

/// Writes the condition that the policy of a guarded table puts before its rows; `None` for other tables.
pub fn policy_condition(plan: &Plan, table: TableId) -> Option<String> {
    let guard = plan.rewritten.guarded.iter().find(|guard| guard.table == table)?;
    Some(comparison(plan, guard.tenant))
}

fn policy(plan: &Plan, table: TableId) -> String {
    let isolation = &plan.tenancy.isolation;
    let comparison = policy_condition(plan, table).unwrap_or_default();
    let (named, force) = isolation.rls.as_ref().map_or((None, false), |rls| (rls.role.as_deref(), rls.force));
    let to = match named {
        None => "PUBLIC".to_owned(),
        // Without a policy of its own a bound owner would see no row at all, whatever the setting.
        Some(name) if force && isolation.roles.owner.as_deref() != Some(name) => {
            format!("{}, {}", quote(name), owner_or_self(&isolation.roles))
        }
        Some(name) => quote(name).into_owned(),
    };
    format!(
        "CREATE POLICY tenant_isolation ON {}\n    FOR ALL TO {to}\n    USING ({comparison})\n    WITH CHECK ({comparison})",
        qualified_table(plan, table)
    )
}

/// Writes a function that runs with its owner's rights and tells nothing but the tenant.
///
/// Its body is bound to the table when it is created, and its search path is pinned: no object of the caller's can take
/// the place of what it names.
fn lookup(plan: &Plan, function: &LookupFunction) -> String {
    let target = &plan.rewritten.target;
    let (column, tenant) = (target.column(function.column), target.column(function.tenant));
    format!(
        "CREATE FUNCTION {}.{}({})\n    RETURNS {}\n    LANGUAGE sql STABLE STRICT SECURITY DEFINER\n    \
         SET search_path = pg_catalog, pg_temp\n    RETURN (SELECT found.{} FROM {}.{} AS found WHERE found.{} = $1)",
        quote(&plan.tenancy.target_schema),
        quote(&function.name),
        uncut(column.data_type),
        uncut(tenant.data_type),
        quote(&tenant.name),
        quote(&plan.tenancy.target_schema),
        quote(&target.table(function.table).name),
        quote(&column.name)
    )
}

pub(super) fn signature(plan: &Plan, position: usize) -> String {
    let function = &plan.rewritten.lookups[position];
    let data_type = uncut(plan.rewritten.target.column(function.column).data_type);
    format!("{}.{}({data_type})", quote(&plan.tenancy.target_schema), quote(&function.name))
}

/// Writes a view's name, with its schema where that is not `public`.
pub(super) fn view_name(plan: &Plan, position: usize) -> String {
    let name = quote(&plan.rewritten.views[position].name);
    match plan.tenancy.target_schema.as_str() {
        "public" => name.into_owned(),
        schema => format!("{}.{name}", quote(schema)),
    }
}

/// Lists tables by their source, and views.
pub(super) fn relations(plan: &Plan, wanted: impl Fn(TableId) -> bool, views: bool) -> Vec<String> {
    let sources = plan.rewritten.target.table_ids().zip(&plan.rewritten.source_tables);
    let tables = sources.filter(|(_, source)| wanted(**source)).map(|(table, _)| qualified_table(plan, table));
    let views = (0..if views { plan.rewritten.views.len() } else { 0 }).map(|position| view_name(plan, position));
    tables.chain(views).collect()
}

pub(super) fn on_relations(what: &str, relations: Vec<String>, whom: &str) -> String {
    format!("{what} ON TABLE\n    {}\n    {whom}", relations.join(",\n    "))
}

pub(super) fn role(name: &Option<String>) -> String {
    name.as_deref().map(|name| quote(name).into_owned()).unwrap_or_default()
}

/// Names the owner: the role of the spec, or whoever runs this and so owns what it creates.
fn owner_or_self(roles: &Roles) -> String {
    roles.owner.as_deref().map_or_else(|| "CURRENT_USER".to_owned(), |name| quote(name).into_owned())
}

/// Writes the statements by which an administrator makes a database ready for the roles of a spec; `database` is quoted.
pub fn bootstrap_grants(plan: &Plan, database: &str) -> Vec<String> {
    let roles = &plan.tenancy.isolation.roles;
    let schema = quote(&plan.tenancy.target_schema);
    let names: Vec<String> = roles.named().map(|(_, name)| quote(name).into_owned()).collect();
    if names.is_empty() {
        return Vec::new();
    }
    let mut statements = vec![
        format!("REVOKE ALL ON DATABASE {database} FROM PUBLIC"),
        format!("GRANT CONNECT ON DATABASE {database} TO {}", names.join(", ")),
    ];
    if roles.owner.is_some() {
        statements.push(format!("GRANT CREATE, TEMPORARY ON DATABASE {database} TO {}", role(&roles.owner)));
    }
    if plan.tenancy.target_schema != "public" {
        let owner = roles.owner.as_deref().map(|owner| format!(" AUTHORIZATION {}", quote(owner))).unwrap_or_default();
        statements.push(format!("CREATE SCHEMA IF NOT EXISTS {schema}{owner}"));
    }
    statements.push(format!("REVOKE ALL ON SCHEMA {schema} FROM PUBLIC"));
    statements.push(format!("GRANT USAGE ON SCHEMA {schema} TO {}", names.join(", ")));
    if roles.owner.is_some() {
        statements.push(format!("GRANT CREATE ON SCHEMA {schema} TO {}", role(&roles.owner)));
        statements.extend(default_privileges(plan));
    }
    statements
}

/// Lets what the owner creates later follow.
///
/// Under row-level security a later table lets everybody who may read it read every tenant's rows until it has a policy:
/// there the app role gets no right to tables in advance, and a migration that forgets the policy fails instead of leaking.
fn default_privileges(plan: &Plan) -> Vec<String> {
    let isolation = &plan.tenancy.isolation;
    let owner = role(&isolation.roles.owner);
    let later =
        format!("ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {}\n    ", quote(&plan.tenancy.target_schema));
    let mut statements =
        vec![format!("ALTER DEFAULT PRIVILEGES FOR ROLE {owner}\n    REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC")];
    if let Some(app) = &isolation.roles.app {
        if isolation.rls.is_none() {
            statements.push(format!("{later}GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {}", quote(app)));
        }
        statements.push(format!("{later}GRANT USAGE ON SEQUENCES TO {}", quote(app)));
    }
    if let Some(verifier) = &isolation.roles.verifier {
        statements.push(format!("{later}GRANT SELECT ON TABLES TO {}", quote(verifier)));
        statements.push(format!("{later}GRANT SELECT ON SEQUENCES TO {}", quote(verifier)));
    }
    statements
}

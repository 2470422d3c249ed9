//! The way back from a statement of the plan, as PostgreSQL text without its semicolon.

use super::isolation::{on_relations, relations, role, signature, view_name};
use super::statement::{qualified_collation, qualified_table};
use crate::ident::{literal, quote};
use crate::plan::{Isolate, Makes, Plan, Statement, is_tenants};
use crate::rewrite::ICU_COLLATION;
use crate::schema::TableId;

/// Writes what undoes a statement; `None` where nothing has to be undone.
///
/// Undone in the reverse order, the statements leave what was there before: schemas and extensions stay, which others
/// may use, and so do owners, who go with their tables. Only the author of verbatim SQL knows its way back: in its place
/// stands a statement that fails and says so.
pub(super) fn undo(plan: &Plan, statement: &Statement) -> Option<String> {
    let target = &plan.rewritten.target;
    let drop_constraint = |table: TableId, name: &Option<String>| {
        let name = quote(name.as_deref().unwrap_or_default()).into_owned();
        Some(format!("ALTER TABLE {}\n    DROP CONSTRAINT {name}", qualified_table(plan, table)))
    };
    match statement.makes {
        Makes::Schema | Makes::Citext | Makes::Distribution(_) | Makes::Replication(_) | Makes::Rows(_) => None,
        Makes::Collation => Some(format!("DROP COLLATION IF EXISTS {}", qualified_collation(plan, ICU_COLLATION))),
        Makes::Table(table) => Some(format!("DROP TABLE {}", qualified_table(plan, table))),
        Makes::Key(id) => drop_constraint(target.key(id).table, &target.key(id).name),
        Makes::ForeignKey(id) => drop_constraint(target.foreign_key(id).table, &target.foreign_key(id).name),
        Makes::Index(id) => Some(match plan.tenancy.target_schema.as_str() {
            "public" => format!("DROP INDEX {}", quote(&target.index(id).name)),
            schema => format!("DROP INDEX {}.{}", quote(schema), quote(&target.index(id).name)),
        }),
        Makes::View(position) => Some(format!("DROP VIEW {}", view_name(plan, position))),
        Makes::Trigger(position, 0) => Some(unknown(&format!("the trigger {}", plan.tenancy.triggers[position].name))),
        Makes::Extra(position, 0) => Some(unknown(&plan.tenancy.extra[position].path)),
        Makes::Trigger(..) | Makes::Extra(..) => None,
        Makes::Isolation(step) => undo_isolation(plan, step),
    }
}

fn unknown(what: &str) -> String {
    let message = literal(&format!("write here what undoes {what}"));
    format!("DO {}", literal(&format!("BEGIN RAISE EXCEPTION USING MESSAGE = {message}; END")))
}

fn undo_isolation(plan: &Plan, step: Isolate) -> Option<String> {
    let roles = &plan.tenancy.isolation.roles;
    let schema = quote(&plan.tenancy.target_schema);
    let table = |table| qualified_table(plan, table);
    let from = |name| format!("FROM {}", role(name));
    Some(match step {
        Isolate::Enable(id) => format!("ALTER TABLE {} DISABLE ROW LEVEL SECURITY", table(id)),
        Isolate::Force(id) => format!("ALTER TABLE {} NO FORCE ROW LEVEL SECURITY", table(id)),
        Isolate::Policy(id) => format!("DROP POLICY tenant_isolation ON {}", table(id)),
        Isolate::LookupPolicy(id) => format!("DROP POLICY tenant_lookup ON {}", table(id)),
        Isolate::Lookup(position) => format!("DROP FUNCTION {}", signature(plan, position)),
        // Without the policies, whoever may still read would read every tenant's rows.
        Isolate::AppRows => {
            let tables = relations(plan, |source| is_tenants(&plan.tenancy, source), false);
            on_relations("REVOKE ALL", tables, &from(&roles.app))
        }
        Isolate::AppReads => {
            let others = relations(plan, |source| !is_tenants(&plan.tenancy, source), true);
            on_relations("REVOKE ALL", others, &from(&roles.app))
        }
        Isolate::AppSequences => format!("REVOKE ALL ON ALL SEQUENCES IN SCHEMA {schema} {}", from(&roles.app)),
        Isolate::VerifierReads => on_relations("REVOKE ALL", relations(plan, |_| true, true), &from(&roles.verifier)),
        Isolate::VerifierSequences => {
            format!("REVOKE ALL ON ALL SEQUENCES IN SCHEMA {schema} {}", from(&roles.verifier))
        }
        Isolate::SchemaOwner
        | Isolate::TableOwner(_)
        | Isolate::ViewOwner(_)
        | Isolate::LookupOwner(_)
        | Isolate::LookupRevoke(_)
        | Isolate::LookupGrant(_)
        | Isolate::Revoke
        | Isolate::SchemaUsage => return None,
    })
}

//! Roles: made ready for a run where that is asked for, and examined before every run.

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::emit::{ROLE_ATTRIBUTES, bootstrap_grants};
use crate::ident::{quote, visible};
use crate::plan::Plan;
use crate::postgres::{Connection, NewRole, create_role, current_role, role_facts};
use crate::spec::Role;

/// Creates the roles of a plan that are missing, and gives them the database and its schema; returns those created.
///
/// `password` gives the password of a new role, or `None` for a role without one. What `emit` writes for an
/// administrator's psql does the same.
///
/// # Errors
/// Every refusal of the server, such as of a session that may not create roles. After any of them nothing has changed.
pub fn bootstrap(
    plan: &Plan,
    connection: &mut Connection,
    password: &dyn Fn(Role) -> Option<String>,
) -> Result<Vec<String>, Diagnostic> {
    let isolation = &plan.tenancy.isolation;
    let mut transaction = connection.begin()?;
    let me = current_role(&mut transaction)?;
    // Only one who is above policies can put another there.
    let may_bypass = role_facts(&mut transaction, &me)?.is_some_and(|facts| facts.bypasses_rls);
    let mut created = Vec::new();
    for (role, name) in isolation.roles.named() {
        if role_facts(&mut transaction, name)?.is_some() {
            continue;
        }
        let bypass = if role == Role::Verifier && may_bypass { " BYPASSRLS" } else { "" };
        let attributes = format!("{ROLE_ATTRIBUTES}{bypass}");
        let password = password(role);
        create_role(&mut transaction, NewRole { name, attributes: &attributes, password: password.as_deref() })?;
        created.push(name.to_owned());
    }
    // A role for the policies alone is a group: what the application connects as becomes a member of it.
    if let Some(name) = isolation.rls.as_ref().and_then(|rls| rls.role.as_deref())
        && role_facts(&mut transaction, name)?.is_none()
    {
        create_role(&mut transaction, NewRole { name, attributes: "NOLOGIN", password: None })?;
        created.push(name.to_owned());
    }
    if let Some(owner) = &isolation.roles.owner
        && role_facts(&mut transaction, owner)?.is_some_and(|facts| !facts.is_mine)
    {
        let sql = format!("GRANT {} TO {}", quote(owner), quote(&me));
        transaction.execute(&sql, &format!("become a member of {}", visible(owner)))?;
    }
    let database = transaction.query_one("SELECT current_database()", &[], "ask for the database's name")?;
    for sql in bootstrap_grants(plan, &quote(database.text(0)?)) {
        transaction.execute(&sql, "give the roles their rights in the database")?;
    }
    transaction.commit()?;
    Ok(created)
}

/// Finds out before a run what isolation would fail on at its end.
///
/// # Errors
/// All at once: `role-missing`; `role-too-strong` where no policy would bind the role that they are for; `not-a-member`
/// where the session could not give the tables to their owner.
pub(super) fn refuse_unfit_roles(plan: &Plan, connection: &mut Connection) -> Result<(), Diagnostics> {
    let isolation = &plan.tenancy.isolation;
    let bound = isolation.rls.as_ref().and_then(|rls| rls.role.as_deref());
    let named = isolation.roles.named().map(|(_, name)| name);
    let mut names: Vec<&str> = named.chain(bound).collect();
    names.sort_unstable();
    names.dedup();
    let mut errors = Diagnostics::default();
    for name in names {
        let shown = visible(name);
        let Some(facts) = role_facts(connection, name)? else {
            errors.push(
                Diagnostic::error("role-missing", format!("the server has no role {shown}")).help(
                    "run cutover with --bootstrap, or let an administrator run what `tenantry emit SPEC --section bootstrap` \
                     writes",
                ),
            );
            continue;
        };
        if facts.bypasses_rls && bound == Some(name) {
            errors.push(
                Diagnostic::error("role-too-strong", format!("no policy binds the role {shown}"))
                    .help("take SUPERUSER and BYPASSRLS from it, or name another role"),
            );
        }
        if !facts.is_mine && isolation.roles.owner.as_deref() == Some(name) {
            errors.push(
                Diagnostic::error("not-a-member", format!("the session cannot give tables to the role {shown}"))
                    .help("connect as that role or as a superuser, or make the session's role a member of it"),
            );
        }
    }
    errors.into_result(())
}

//! Ownership, row-level security and grants of the live schema against the plan's: every difference as a sentence.
//!
//! What is expected is read off the plan's own steps, so a step that the plan does not take asks for nothing. Conditions
//! of policies are compared in a form without what the server writes in its own way: parentheses, and casts to text.

use crate::diagnostic::Diagnostic;
use crate::emit;
use crate::ident::visible;
use crate::plan::{Isolate, Makes, Plan, Section, is_tenants};
use crate::postgres::{Connection, LiveIsolation, LivePolicy, LiveRelation, read_isolation};
use crate::schema::TableId;
use std::collections::BTreeSet;

/// Compares what isolates the tenants with the plan; an empty answer means that they are the same.
///
/// It is the end of a run: before that, what the plan does last is missing.
pub fn verify_isolation(plan: &Plan, target: &mut Connection) -> Result<Vec<String>, Diagnostic> {
    let planned = &plan.rewritten;
    let steps: Vec<Isolate> = plan
        .section(Section::Isolation)
        .filter_map(|statement| match statement.makes {
            Makes::Isolation(step) => Some(step),
            _ => None,
        })
        .collect();
    let tables = planned.target.tables.iter().map(|table| table.name.as_str());
    let relations: Vec<&str> = tables.chain(planned.views.iter().map(|view| view.name.as_str())).collect();
    let functions: Vec<&str> = planned.lookups.iter().map(|lookup| lookup.name.as_str()).collect();
    let isolation = &plan.tenancy.isolation;
    let bound = isolation.rls.as_ref().and_then(|rls| rls.role.as_deref());
    let roles: Vec<&str> = isolation.roles.named().map(|(_, name)| name).chain(bound).collect();
    let live = read_isolation(target, &plan.tenancy.target_schema, &relations, &functions, &roles)?;
    let mut compared = Compared { plan, steps, live: &live, sentences: Vec::new() };
    compared.owners();
    compared.guards();
    compared.policies();
    compared.lookups();
    compared.grants();
    compared.roles();
    Ok(compared.sentences)
}

struct Compared<'p> {
    plan: &'p Plan,
    steps: Vec<Isolate>,
    live: &'p LiveIsolation,
    sentences: Vec<String>,
}

impl<'p> Compared<'p> {
    fn say(&mut self, sentence: String) {
        self.sentences.push(visible(&sentence).into_owned());
    }

    fn takes(&self, step: Isolate) -> bool {
        self.steps.contains(&step)
    }

    fn name(&self, table: TableId) -> &'p str {
        &self.plan.rewritten.target.table(table).name
    }

    /// Tables that do not exist are reported with the schema.
    fn relation(&self, name: &str) -> Option<&'p LiveRelation> {
        self.live.relations.iter().find(|relation| relation.name == name && !relation.is_sequence)
    }

    fn owners(&mut self) {
        let Some(owner) = self.plan.tenancy.isolation.roles.owner.as_deref() else { return };
        let live = self.live;
        if self.takes(Isolate::SchemaOwner) && live.schema_owner != owner {
            self.say(format!("the schema belongs to {}, and is to belong to {owner}", live.schema_owner));
        }
        for relation in live.relations.iter().filter(|relation| relation.owner != owner) {
            self.say(format!("{}: it belongs to {}, and is to belong to {owner}", relation.name, relation.owner));
        }
        for function in live.functions.iter().filter(|function| function.owner != owner) {
            self.say(format!(
                "the function {} belongs to {}, and is to belong to {owner}",
                function.name, function.owner
            ));
        }
    }

    fn guards(&mut self) {
        for table in self.plan.rewritten.target.table_ids() {
            let Some(relation) = self.relation(self.name(table)) else { continue };
            let (guarded, forced) = (self.takes(Isolate::Enable(table)), self.takes(Isolate::Force(table)));
            let more_expected = !self.plan.tenancy.extra.is_empty();
            if guarded != relation.guarded && !(more_expected && relation.guarded) {
                let state = if guarded { "off, and is to be on" } else { "on, and not in the plan" };
                self.say(format!("{}: row-level security is {state}", relation.name));
            }
            if forced != relation.forced && !(more_expected && relation.forced) {
                let state =
                    if forced { "does not bind the owner, and is to" } else { "binds the owner, and is not to" };
                self.say(format!("{}: row-level security {state}", relation.name));
            }
        }
        for (position, view) in self.plan.rewritten.views.iter().enumerate() {
            let Some(relation) = self.relation(&view.name) else {
                self.say(format!("the view {} is missing", view.name));
                continue;
            };
            let statement = self.plan.statements.iter().find(|statement| statement.makes == Makes::View(position));
            let asks = statement.and_then(|statement| emit::statement(self.plan, statement));
            let invoker = relation
                .options
                .iter()
                .any(|option| matches!(option.as_str(), "security_invoker=true" | "security_invoker=on"));
            if asks.is_some_and(|sql| sql.contains("security_invoker")) && !invoker {
                self.say(format!("{}: the view reads with its owner's rights, past the policies", view.name));
            }
        }
    }

    fn policies(&mut self) {
        let isolation = &self.plan.tenancy.isolation;
        let rls = isolation.rls.as_ref();
        let mut expected: Vec<(TableId, LivePolicy)> = Vec::new();
        for &step in &self.steps {
            let (table, name, command) = match step {
                Isolate::Policy(table) => (table, "tenant_isolation", "ALL"),
                Isolate::LookupPolicy(table) => (table, "tenant_lookup", "SELECT"),
                _ => continue,
            };
            let Some(relation) = self.relation(self.name(table)) else { continue };
            let owner = isolation.roles.owner.as_ref().unwrap_or(&relation.owner);
            let roles: BTreeSet<String> = match (name, rls.and_then(|rls| rls.role.as_ref())) {
                ("tenant_lookup", _) => BTreeSet::from([owner.clone()]),
                (_, None) => BTreeSet::from(["PUBLIC".to_owned()]),
                (_, Some(role)) if rls.is_some_and(|rls| rls.force) => BTreeSet::from([role.clone(), owner.clone()]),
                (_, Some(role)) => BTreeSet::from([role.clone()]),
            };
            let condition = match name {
                "tenant_lookup" => "true".to_owned(),
                _ => emit::policy_condition(self.plan, table).unwrap_or_default(),
            };
            let check = (name != "tenant_lookup").then(|| condition.clone());
            expected.push((
                table,
                LivePolicy {
                    table: self.name(table).to_owned(),
                    name: name.to_owned(),
                    permissive: true,
                    command: command.to_owned(),
                    roles,
                    using: Some(condition),
                    check,
                },
            ));
        }
        for (_, policy) in &expected {
            let found = self.live.policies.iter().find(|live| live.table == policy.table && live.name == policy.name);
            match found.map(policy_line) {
                None => self.say(format!("{}: the policy {} is missing", policy.table, policy.name)),
                Some(line) if line != policy_line(policy) => {
                    self.say(format!("{}: the {line} is to be the {}", policy.table, policy_line(policy)));
                }
                Some(_) => {}
            }
        }
        if self.plan.tenancy.extra.is_empty() {
            let is_planned = |live: &LivePolicy| {
                expected.iter().any(|(_, policy)| policy.table == live.table && policy.name == live.name)
            };
            for live in self.live.policies.iter().filter(|live| !is_planned(live)) {
                self.say(format!("{}: the policy {} is not in the plan", live.table, live.name));
            }
        }
    }

    fn lookups(&mut self) {
        let isolation = &self.plan.tenancy.isolation;
        let caller = isolation.rls.as_ref().and_then(|rls| rls.role.clone());
        let expected: BTreeSet<String> = caller.into_iter().collect();
        for lookup in &self.plan.rewritten.lookups {
            let found: Vec<_> = self.live.functions.iter().filter(|function| function.name == lookup.name).collect();
            match found[..] {
                [] => self.say(format!("the function {} is missing", lookup.name)),
                [function] => {
                    if !function.security_definer {
                        self.say(format!(
                            "the function {} runs with its caller's rights, and finds no tenant",
                            lookup.name
                        ));
                    }
                    if function.settings != ["search_path=pg_catalog, pg_temp"] {
                        self.say(format!("the function {} runs without its search path", lookup.name));
                    }
                    if function.callers != expected {
                        let (live, planned) = (list(&function.callers), list(&expected));
                        self.say(format!(
                            "the function {} may be called by {live}, and is to be by {planned}",
                            lookup.name
                        ));
                    }
                }
                _ => self.say(format!("there are several functions {}", lookup.name)),
            }
        }
    }

    fn grants(&mut self) {
        if !self.takes(Isolate::Revoke) {
            return;
        }
        let live = self.live;
        let roles = &self.plan.tenancy.isolation.roles;
        if self.takes(Isolate::SchemaUsage) {
            for role in [&roles.app, &roles.verifier].into_iter().flatten() {
                let may = live.schema_users.contains(role)
                    || live.schema_users.contains("PUBLIC")
                    || live.schema_owner == *role;
                if !may {
                    self.say(format!("the role {role} may not see into the schema"));
                }
            }
        }
        for relation in &live.relations {
            let expected = self.expected_grants(relation);
            // Files of the spec may give and take as they like; what everybody has stays a difference.
            let more_expected = !self.plan.tenancy.extra.is_empty();
            for (role, privilege) in expected.difference(&relation.grants).filter(|_| !more_expected) {
                self.say(format!("{}: the role {role} lacks {privilege}", relation.name));
            }
            let extra = relation.grants.difference(&expected).filter(|(role, _)| role == "PUBLIC" || !more_expected);
            for (role, privilege) in extra {
                self.say(format!("{}: {role} has {privilege}, which is not in the plan", relation.name));
            }
        }
    }

    fn expected_grants(&self, relation: &LiveRelation) -> BTreeSet<(String, String)> {
        let roles = &self.plan.tenancy.isolation.roles;
        let planned = &self.plan.rewritten;
        let is_tenants = planned
            .target
            .table_ids()
            .zip(&planned.source_tables)
            .any(|(table, &source)| self.name(table) == relation.name && is_tenants(&self.plan.tenancy, source));
        let of = |role: &Option<String>, privileges: &[&str]| -> Vec<(String, String)> {
            let role = role.iter();
            role.flat_map(|role| privileges.iter().map(|&privilege| (role.clone(), privilege.to_owned()))).collect()
        };
        let app: &[&str] = match (relation.is_sequence, is_tenants) {
            (true, _) => &["USAGE"],
            (false, true) => &["SELECT", "INSERT", "UPDATE", "DELETE"],
            (false, false) => &["SELECT"],
        };
        of(&roles.app, app).into_iter().chain(of(&roles.verifier, &["SELECT"])).collect()
    }

    fn roles(&mut self) {
        let isolation = &self.plan.tenancy.isolation;
        let bound = isolation.rls.as_ref().and_then(|rls| rls.role.as_deref());
        let live = self.live;
        let named = isolation.roles.named().map(|(_, name)| name).chain(bound).collect::<BTreeSet<_>>();
        for name in named {
            match live.roles.iter().find(|role| role.name == name) {
                None => self.say(format!("the role {name} is missing")),
                Some(role) => {
                    let guarded = bound == Some(name)
                        || (isolation.rls.is_some() && isolation.roles.app.as_deref() == Some(name));
                    if role.bypasses && guarded {
                        self.say(format!("no policy binds the role {name}: it is a superuser or has BYPASSRLS"));
                    }
                }
            }
        }
    }
}

fn list(names: &BTreeSet<String>) -> String {
    if names.is_empty() { "nobody".to_owned() } else { names.iter().cloned().collect::<Vec<_>>().join(", ") }
}

fn policy_line(policy: &LivePolicy) -> String {
    let condition = |condition: &Option<String>| condition.as_deref().map_or_else(|| "nothing".to_owned(), plain);
    format!(
        "{}policy {} for {} to {} using {} with check {}",
        if policy.permissive { "" } else { "restrictive " },
        policy.name,
        policy.command,
        list(&policy.roles),
        condition(&policy.using),
        condition(&policy.check)
    )
}

/// Writes a condition without parentheses, casts to text and quoting that is not needed, in lower case outside literals.
fn plain(condition: &str) -> String {
    let mut plain = String::new();
    let mut in_literal = false;
    for character in condition.chars() {
        match character {
            '\'' => {
                in_literal = !in_literal;
                plain.push(character);
            }
            _ if in_literal => plain.push(character),
            '(' | ')' | '"' => {}
            _ if character.is_whitespace() => {}
            _ => plain.extend(character.to_lowercase()),
        }
    }
    plain
        .replace("::charactervarying", "::varchar")
        .replace("::timestampwithouttimezone", "::timestamp")
        .replace("::timestampwithtimezone", "::timestamptz")
        .replace("::text", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_writing_of_a_condition_is_ours() {
        let ours = "account_id = nullif(current_setting('app.account_id', true), '')::varchar";
        let theirs = "((account_id)::text = ((NULLIF(current_setting('app.account_id'::text, true), ''::text))::character varying)::text)";
        assert_eq!(plain(ours), plain(theirs));
        for other in [
            theirs.replace("character varying", "character varying(10)"),
            theirs.replace("app.account_id", "app.other"),
            theirs.replace("account_id)::text =", "account_id)::text <>"),
            format!("({theirs} OR true)"),
            "true".to_owned(),
        ] {
            assert_ne!(plain(ours), plain(&other), "{other}");
        }
    }
}

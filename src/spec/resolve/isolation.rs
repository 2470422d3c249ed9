//! Row-level security: which tables it guards, for whom, and what can be looked up before the tenant is known.

use super::super::isolation::{Isolation, Lookup, Rls, Roles};
use super::super::tenancy::{About, Origin, Placement};
use super::{Entries, Resolver};
use crate::diagnostic::Diagnostic;

impl<'a> Resolver<'a> {
    /// Decides which tables row-level security guards, in the order of the schema.
    pub(super) fn guarded(&mut self, entries: &Entries<'a>, placements: &[Placement]) -> Vec<bool> {
        let asked_for = self.file.rls.is_some();
        self.schema
            .table_ids()
            .map(|table| {
                let has_tenant = matches!(placements[table.index()], Placement::Root | Placement::Tenant(_));
                let asked = self.body(entries, table).and_then(|body| body.rls);
                let span = self.span(table, &["rls"]);
                match asked {
                    Some(true) if !has_tenant && !self.failed.contains(&table) => {
                        let message = format!("the rows of `{}` belong to no tenant", self.name(table));
                        self.error(
                            Diagnostic::error("impossible-rls", message)
                                .label(span, "no policy can guard them")
                                .help("leave `rls` out: the app role may read such a table and not write it"),
                        );
                    }
                    Some(true) if !asked_for => {
                        self.error(
                            Diagnostic::error("impossible-rls", "the spec has no `rls` at the top")
                                .label(span, "so there is no setting to compare the tenant with")
                                .help("write `rls: {setting: app.tenant_id}` at the top, or leave this out"),
                        );
                    }
                    Some(choice) => {
                        let other = if choice { "false" } else { "true" };
                        self.decide(table, About::Rls, &choice.to_string(), Origin::Spec(span), &[other]);
                    }
                    None => {}
                }
                asked_for && has_tenant && asked.unwrap_or(true)
            })
            .collect()
    }

    /// Reads `rls` and `roles`.
    pub(super) fn isolation(&mut self, guarded: &[bool]) -> Isolation {
        let roles = self.roles();
        let setting = self.setting();
        let Some(entry) = &self.file.rls else { return Isolation { setting, rls: None, roles } };
        if let Some(role) = &entry.role {
            self.role_name(role, &["rls", "role"]);
        }
        let role = entry.role.clone().or_else(|| roles.app.clone());
        self.refuse_bypass(role.as_deref(), entry.force, &roles);
        let mut lookups = Vec::new();
        for (name, columns) in &entry.lookup {
            for (position, column) in columns.iter().enumerate() {
                let position = position.to_string();
                lookups.extend(self.lookup(name, column, &["rls", "lookup", name, &position], guarded));
            }
        }
        if !entry.lookup.is_empty() && role.is_none() {
            self.error(
                Diagnostic::error("lookup-without-role", "nothing says which role may look tenants up")
                    .label(self.spans.key(&["rls", "lookup"]), "these functions see every tenant's rows")
                    .help("name the role that the application connects as, in `roles: {app: NAME}` or `rls: {role: NAME}`"),
            );
        }
        Isolation { setting, rls: Some(Rls { role, force: entry.force, lookups }), roles }
    }

    /// Reads the setting's name: PostgreSQL takes any with a point in it, each part as an unquoted name.
    fn setting(&mut self) -> String {
        let is_name = |part: &str| {
            part.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
                && part.chars().all(|part| part.is_ascii_alphanumeric() || part == '_')
        };
        let Some(setting) = self.file.rls.as_ref().and_then(|rls| rls.setting.as_ref()) else {
            let column = self.file.tenant.as_ref().and_then(|tenant| tenant.column.as_deref());
            return format!("app.{}", column.filter(|column| is_name(column)).unwrap_or("tenant_id"));
        };
        if !setting.contains('.') || !setting.split('.').all(is_name) {
            self.error(
                Diagnostic::error("setting-name", format!("`{setting}` cannot be a setting of one's own"))
                    .label(self.spans.value(&["rls", "setting"]), "this name")
                    .help("write two names with a point between them, as in app.account_id"),
            );
        }
        setting.clone()
    }

    /// Policies that bind nobody would look like isolation and be none.
    fn refuse_bypass(&mut self, role: Option<&str>, force: bool, roles: &Roles) {
        let Some(role) = role else { return };
        let (code, message, help) = if roles.verifier.as_deref() == Some(role) {
            ("rls-bypassed", "the verifier is above the policies, and they are to bind it", "name the app role")
        } else if roles.owner.as_deref() == Some(role) && !force {
            (
                "rls-bypassed",
                "an owner is above the policies of its tables, and they are to bind it",
                "write `force: true`, or better let the application connect as a role that owns nothing",
            )
        } else {
            return;
        };
        self.error(Diagnostic::error(code, message).label(self.spans.value(&["rls", "role"]), "this role").help(help));
    }

    fn lookup(&mut self, name: &str, column: &str, path: &[&str], guarded: &[bool]) -> Option<Lookup> {
        let span = self.spans.value(path);
        let Some(table) = self.schema.find_table(name) else {
            let error = self.unknown_table(name).label(self.spans.key(&path[..3]), "no such table");
            self.error(error);
            return None;
        };
        let column = self.find_column(table, column, span.clone())?;
        if self.failed.contains(&table) {
            return None;
        }
        if !guarded[table.index()] {
            let message = format!("`{}` is not guarded by row-level security", self.name(table));
            self.error(
                Diagnostic::error("needless-lookup", message)
                    .label(self.spans.key(&path[..3]), "can be read as it is")
                    .help("leave the lookup out"),
            );
            return None;
        }
        Some(Lookup { table, column, span })
    }
}

//! Roles: names that PostgreSQL takes, each for one purpose.

use super::super::isolation::Roles;
use super::Resolver;
use crate::diagnostic::Diagnostic;
use crate::ident::MAX_BYTES;

impl Resolver<'_> {
    /// Reads the roles that the spec names.
    pub(super) fn roles(&mut self) -> Roles {
        let entry = &self.file.roles;
        let roles = Roles { owner: entry.owner.clone(), app: entry.app.clone(), verifier: entry.verifier.clone() };
        let named: Vec<(&str, &str)> = roles.named().map(|(role, name)| (role.name(), name)).collect();
        for (position, (key, name)) in named.iter().enumerate() {
            self.role_name(name, &["roles", key]);
            if let Some((other, _)) = named[..position].iter().find(|(_, other)| other == name) {
                self.error(
                    Diagnostic::error("role-repeated", format!("`{name}` is both {other} and {key}"))
                        .label(self.spans.value(&["roles", key]), "again")
                        .label(self.spans.value(&["roles", other]), "first")
                        .help(
                            "give each its own role: the owner is above the policies, and the verifier sees every tenant",
                        ),
                );
            }
        }
        roles
    }

    /// Refuses a name that no role can have.
    pub(super) fn role_name(&mut self, name: &str, path: &[&str]) {
        let reason = if name.len() > MAX_BYTES {
            format!("PostgreSQL keeps {MAX_BYTES} bytes of a name only")
        } else if matches!(name, "public" | "none") || name.starts_with("pg_") {
            "PostgreSQL keeps this name to itself".to_owned()
        } else {
            return;
        };
        self.error(
            Diagnostic::error("role-name", format!("`{name}` cannot be a role: {reason}"))
                .label(self.spans.value(path), "this name")
                .help("choose another name"),
        );
    }
}

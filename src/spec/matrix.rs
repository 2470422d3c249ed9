//! What may refer to what, and by what means: the placements at both ends, and the profile, decide.

use super::file::Profile;
use super::tenancy::Placement;

/// A means by which a foreign key goes over to the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mean {
    /// It shares the row's own tenant column.
    PerTenant,
    /// It stays as it is.
    Global,
    /// It gets a tenant column of its own, which equals the row's where the row has one.
    OwnColumn,
    /// It gets a tenant column of its own, which may name another tenant than the row's.
    CrossTenant,
    /// The root's key goes with it.
    FromRoot,
}

impl Mean {
    /// Returns the words for it in a spec, with the name that a tenant column of its own could have.
    pub fn words_with(self, name: &str) -> String {
        self.words().replace("NAME", name)
    }

    /// Returns the words for it in a spec.
    pub fn words(self) -> &'static str {
        match self {
            Self::PerTenant => "per_tenant",
            Self::Global => "global",
            Self::OwnColumn => "{column: NAME}",
            Self::CrossTenant => "{column: NAME, cross_tenant: allow}",
            Self::FromRoot => "{on_delete: ACTION}",
        }
    }
}

/// The placements at the two ends of a foreign key, as far as they decide its means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// From a tenant's row to the row of its tenant, by the tenant column.
    TenantToOwnRoot,
    /// From a tenant's row to the row of a tenant, by another column.
    TenantToRoot,
    /// From a tenant's row to a tenant's row, both named with their tenant by the source already.
    TenantToTenantCarrying,
    /// From a tenant's row to a tenant's row.
    TenantToTenant,
    /// From a tenant's row to a shared one.
    TenantToShared,
    /// From a tenant's row to one outside tenancy.
    TenantToLocal,
    /// From the row of a tenant to a row of that tenant.
    RootToTenant,
    /// From the row of a tenant to the row of another.
    RootToRoot,
    /// From the row of a tenant to a shared one.
    RootToShared,
    /// From the row of a tenant to one outside tenancy.
    RootToLocal,
    /// From a shared row to a tenant's.
    SharedToTenant,
    /// From a shared row to the row of a tenant.
    SharedToRoot,
    /// From a shared row to a shared one.
    SharedToShared,
    /// From a shared row to one outside tenancy.
    SharedToLocal,
    /// From a row outside tenancy to a tenant's.
    LocalToTenant,
    /// From a row outside tenancy to the row of a tenant.
    LocalToRoot,
    /// From a row outside tenancy to a shared one.
    LocalToShared,
    /// From a row outside tenancy to another.
    LocalToLocal,
}

impl Ends {
    /// Every pair of ends, in the order of the reference documentation.
    pub const ALL: [Self; 18] = [
        Self::TenantToOwnRoot,
        Self::TenantToRoot,
        Self::TenantToTenantCarrying,
        Self::TenantToTenant,
        Self::TenantToShared,
        Self::TenantToLocal,
        Self::RootToTenant,
        Self::RootToRoot,
        Self::RootToShared,
        Self::RootToLocal,
        Self::SharedToTenant,
        Self::SharedToRoot,
        Self::SharedToShared,
        Self::SharedToLocal,
        Self::LocalToTenant,
        Self::LocalToRoot,
        Self::LocalToShared,
        Self::LocalToLocal,
    ];

    /// Returns the ends for two placements; `None` where one of the tables is not there. What only columns tell comes
    /// as the plain pair.
    pub(super) fn new(child: &Placement, parent: &Placement) -> Option<Self> {
        Some(match (child, parent) {
            (Placement::Omit, _) | (_, Placement::Omit) => return None,
            (Placement::Tenant(_), Placement::Tenant(_)) => Self::TenantToTenant,
            (Placement::Tenant(_), Placement::Root) => Self::TenantToRoot,
            (Placement::Tenant(_), Placement::Shared) => Self::TenantToShared,
            (Placement::Tenant(_), Placement::Local) => Self::TenantToLocal,
            (Placement::Root, Placement::Tenant(_)) => Self::RootToTenant,
            (Placement::Root, Placement::Root) => Self::RootToRoot,
            (Placement::Root, Placement::Shared) => Self::RootToShared,
            (Placement::Root, Placement::Local) => Self::RootToLocal,
            (Placement::Shared, Placement::Tenant(_)) => Self::SharedToTenant,
            (Placement::Shared, Placement::Root) => Self::SharedToRoot,
            (Placement::Shared, Placement::Shared) => Self::SharedToShared,
            (Placement::Shared, Placement::Local) => Self::SharedToLocal,
            (Placement::Local, Placement::Tenant(_)) => Self::LocalToTenant,
            (Placement::Local, Placement::Root) => Self::LocalToRoot,
            (Placement::Local, Placement::Shared) => Self::LocalToShared,
            (Placement::Local, Placement::Local) => Self::LocalToLocal,
        })
    }

    /// Returns a fragment that says what refers to what.
    pub fn text(self) -> &'static str {
        match self {
            Self::TenantToOwnRoot => "tenant → root, by the tenant column",
            Self::TenantToRoot => "tenant → root, by another column",
            Self::TenantToTenantCarrying => "tenant → tenant, the tenant among its columns",
            Self::TenantToTenant => "tenant → tenant",
            Self::TenantToShared => "tenant → shared",
            Self::TenantToLocal => "tenant → local",
            Self::RootToTenant => "root → tenant",
            Self::RootToRoot => "root → root",
            Self::RootToShared => "root → shared",
            Self::RootToLocal => "root → local",
            Self::SharedToTenant => "shared → tenant",
            Self::SharedToRoot => "shared → root",
            Self::SharedToShared => "shared → shared",
            Self::SharedToLocal => "shared → local",
            Self::LocalToTenant => "local → tenant",
            Self::LocalToRoot => "local → root",
            Self::LocalToShared => "local → shared",
            Self::LocalToLocal => "local → local",
        }
    }
}

/// The means that a foreign key may go over by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Means {
    /// The one where the spec says nothing; `None` where it has to say something.
    pub default: Option<Mean>,
    /// All that the spec may ask for; leaving the foreign key out is always one more.
    pub allowed: &'static [Mean],
}

/// Returns the means for two ends under a profile.
///
/// Under `citus` a foreign key between distributed tables holds the distribution column of both, at the same place, and
/// nothing refers to a distributed table from elsewhere. Local tables exist there only.
pub fn means(profile: Profile, ends: Ends) -> Means {
    use Mean::{CrossTenant, FromRoot, Global, OwnColumn, PerTenant};
    let of = |default, allowed| Means { default: Some(default), allowed };
    let none = Means { default: None, allowed: &[] };
    match (profile, ends) {
        (_, Ends::TenantToOwnRoot | Ends::TenantToTenantCarrying) => of(PerTenant, &[PerTenant]),
        (Profile::Postgres, Ends::TenantToRoot) => of(PerTenant, &[PerTenant, Global]),
        (Profile::Postgres, Ends::TenantToTenant) => of(PerTenant, &[PerTenant, Global, OwnColumn, CrossTenant]),
        (Profile::Citus, Ends::TenantToTenant) => of(PerTenant, &[PerTenant]),
        (Profile::Postgres, Ends::RootToTenant) => of(FromRoot, &[FromRoot, Global]),
        (Profile::Citus, Ends::RootToTenant) => of(FromRoot, &[FromRoot]),
        (_, Ends::TenantToShared | Ends::RootToShared | Ends::SharedToShared) => of(Global, &[Global]),
        (Profile::Postgres, Ends::RootToRoot | Ends::SharedToRoot) => of(Global, &[Global]),
        (Profile::Postgres, Ends::SharedToTenant) => Means { default: None, allowed: &[Global, OwnColumn] },
        (Profile::Citus, Ends::SharedToLocal | Ends::LocalToShared | Ends::LocalToLocal) => of(Global, &[Global]),
        (Profile::Citus, Ends::TenantToRoot | Ends::RootToRoot | Ends::SharedToTenant | Ends::SharedToRoot) => none,
        (_, Ends::TenantToLocal | Ends::RootToLocal | Ends::LocalToTenant | Ends::LocalToRoot) => none,
        (Profile::Postgres, Ends::SharedToLocal | Ends::LocalToShared | Ends::LocalToLocal) => none,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes the table of the reference documentation.
    fn table() -> String {
        let mut lines = vec!["| reference | `postgres` | `citus` |".to_owned(), "|---|---|---|".to_owned()];
        for ends in Ends::ALL {
            let cell = |profile| {
                let means = means(profile, ends);
                let words = means.allowed.iter().map(|&mean| {
                    let words =
                        if mean == Mean::FromRoot { "from the root".to_owned() } else { format!("`{}`", mean.words()) };
                    if means.default == Some(mean) { format!("**{words}**") } else { words }
                });
                let words = words.collect::<Vec<_>>().join(", ");
                match (words.as_str(), profile, ends.text().contains("local")) {
                    ("", Profile::Postgres, true) => "no such tables".to_owned(),
                    ("", ..) => "only `omit`".to_owned(),
                    _ => words,
                }
            };
            lines.push(format!("| {} | {} | {} |", ends.text(), cell(Profile::Postgres), cell(Profile::Citus)));
        }
        lines.join("\n") + "\n"
    }

    #[test]
    fn the_documentation_shows_this_very_matrix() {
        let page = include_str!("../../docs/tenancy-rules.md");
        let table = table();
        assert!(page.contains(&table), "docs/tenancy-rules.md lacks this table:\n{table}");
    }

    #[test]
    fn a_default_is_always_allowed() {
        for profile in [Profile::Postgres, Profile::Citus] {
            for ends in Ends::ALL {
                let means = means(profile, ends);
                assert!(means.default.is_none_or(|mean| means.allowed.contains(&mean)), "{ends:?}");
            }
        }
    }

    #[test]
    fn citus_never_allows_more_than_postgres_between_tables_that_both_have() {
        for ends in Ends::ALL.into_iter().filter(|ends| !ends.text().contains("local")) {
            let postgres = means(Profile::Postgres, ends).allowed;
            assert!(means(Profile::Citus, ends).allowed.iter().all(|mean| postgres.contains(mean)), "{ends:?}");
        }
    }
}

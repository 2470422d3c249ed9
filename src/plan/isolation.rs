//! The steps that isolate tenants, in the order in which they run.

use super::Plan;
use crate::rewrite::Rewritten;
use crate::schema::TableId;
use crate::spec::{Placement, Tenancy};

/// One step of isolation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolate {
    /// Gives the schema to the owner.
    SchemaOwner,
    /// Gives a table to the owner.
    TableOwner(TableId),
    /// Gives a view to the owner, by its position in [`Rewritten::views`].
    ViewOwner(usize),
    /// Switches row-level security on.
    Enable(TableId),
    /// Makes it bind the owner too.
    Force(TableId),
    /// Compares the tenant column with the setting, for rows read and for rows written.
    Policy(TableId),
    /// Lets the owner read a table under FORCE, since the lookup functions run as the owner.
    LookupPolicy(TableId),
    /// Creates a lookup function, by its position in [`Rewritten::lookups`].
    Lookup(usize),
    /// Gives a lookup function to the owner.
    LookupOwner(usize),
    /// Takes a lookup function from everybody, who may call every new function.
    LookupRevoke(usize),
    /// Lets the role of the policies call a lookup function.
    LookupGrant(usize),
    /// Takes all tables and views from everybody and from the roles, so that the grants that follow are all there is.
    Revoke,
    /// Lets the roles see into the schema.
    SchemaUsage,
    /// Lets the app role read and write the rows of tenants.
    AppRows,
    /// Lets the app role read what is no tenant's, and the views.
    AppReads,
    /// Lets the app role count on.
    AppSequences,
    /// Lets the verifier read everything.
    VerifierReads,
    /// Lets the verifier read the sequences.
    VerifierSequences,
}

impl Isolate {
    /// Returns the one target table that the step is about.
    pub fn table(self, plan: &Plan) -> Option<TableId> {
        match self {
            Self::TableOwner(table)
            | Self::Enable(table)
            | Self::Force(table)
            | Self::Policy(table)
            | Self::LookupPolicy(table) => Some(table),
            Self::Lookup(position)
            | Self::LookupOwner(position)
            | Self::LookupRevoke(position)
            | Self::LookupGrant(position) => Some(plan.rewritten.lookups[position].table),
            _ => None,
        }
    }

    /// Returns what kind of step it is, and the name of what it is about.
    pub fn describe(self, plan: &Plan) -> (&'static str, String) {
        let rewritten = &plan.rewritten;
        let table = |table: TableId| rewritten.target.table(table).name.clone();
        let lookup = |position: usize| rewritten.lookups[position].name.clone();
        let schema = || plan.tenancy.target_schema.clone();
        match self {
            Self::SchemaOwner => ("schema_owner", schema()),
            Self::TableOwner(id) => ("table_owner", table(id)),
            Self::ViewOwner(position) => ("view_owner", rewritten.views[position].name.clone()),
            Self::Enable(id) => ("row_level_security", table(id)),
            Self::Force(id) => ("force_row_level_security", table(id)),
            Self::Policy(id) => ("policy", table(id)),
            Self::LookupPolicy(id) => ("lookup_policy", table(id)),
            Self::Lookup(position) => ("lookup", lookup(position)),
            Self::LookupOwner(position) => ("lookup_owner", lookup(position)),
            Self::LookupRevoke(position) => ("lookup_revoke", lookup(position)),
            Self::LookupGrant(position) => ("lookup_grant", lookup(position)),
            Self::Revoke => ("revoke", schema()),
            Self::SchemaUsage => ("grant_schema", schema()),
            Self::AppRows => ("grant_rows", schema()),
            Self::AppReads => ("grant_reads", schema()),
            Self::AppSequences => ("grant_sequences", schema()),
            Self::VerifierReads => ("grant_verifier_reads", schema()),
            Self::VerifierSequences => ("grant_verifier_sequences", schema()),
        }
    }
}

/// Lists the steps.
///
/// All of them come after the rows, the foreign keys and the proof. Under FORCE ROW LEVEL SECURITY an owner that is no
/// superuser validates a foreign key over the rows that it may see, which are none: orphans pass. It counts and reads
/// back no others either, so a proof would prove nothing; and COPY is refused. Ownership comes first, because only an
/// owner may do the rest. Lookups come before the policies, because PostgreSQL reads a function's body when it creates
/// it, which a bound owner's session refuses to do. The grants come last, because they let the application in.
pub(super) fn steps(rewritten: &Rewritten, tenancy: &Tenancy) -> Vec<Isolate> {
    let roles = &tenancy.isolation.roles;
    let mut steps = Vec::new();
    if roles.owner.is_some() {
        if tenancy.target_schema != "public" {
            steps.push(Isolate::SchemaOwner);
        }
        steps.extend(rewritten.target.table_ids().map(Isolate::TableOwner));
        steps.extend((0..rewritten.views.len()).map(Isolate::ViewOwner));
    }
    if let Some(rls) = &tenancy.isolation.rls {
        for position in 0..rewritten.lookups.len() {
            steps.push(Isolate::Lookup(position));
            if roles.owner.is_some() {
                steps.push(Isolate::LookupOwner(position));
            }
            steps.extend([Isolate::LookupRevoke(position), Isolate::LookupGrant(position)]);
        }
        for guard in &rewritten.guarded {
            steps.push(Isolate::Enable(guard.table));
            if rls.force {
                steps.push(Isolate::Force(guard.table));
            }
            steps.push(Isolate::Policy(guard.table));
            if rls.force && rewritten.lookups.iter().any(|lookup| lookup.table == guard.table) {
                steps.push(Isolate::LookupPolicy(guard.table));
            }
        }
    }
    if !roles.is_empty() {
        grants(rewritten, tenancy, &mut steps);
    }
    steps
}

fn grants(rewritten: &Rewritten, tenancy: &Tenancy, steps: &mut Vec<Isolate>) {
    let roles = &tenancy.isolation.roles;
    let has_tables = !rewritten.target.tables.is_empty();
    let has_rows = rewritten.source_tables.iter().any(|&source| is_tenants(tenancy, source));
    let has_others = rewritten.source_tables.iter().any(|&source| !is_tenants(tenancy, source));
    if has_tables {
        steps.push(Isolate::Revoke);
    }
    if roles.app.is_some() || roles.verifier.is_some() {
        steps.push(Isolate::SchemaUsage);
    }
    if roles.app.is_some() {
        if has_rows {
            steps.push(Isolate::AppRows);
        }
        if has_others || !rewritten.views.is_empty() {
            steps.push(Isolate::AppReads);
        }
        steps.push(Isolate::AppSequences);
    }
    if roles.verifier.is_some() {
        if has_tables {
            steps.push(Isolate::VerifierReads);
        }
        steps.push(Isolate::VerifierSequences);
    }
}

/// Says whether a source table's rows belong to tenants, each to one.
pub(crate) fn is_tenants(tenancy: &Tenancy, source: TableId) -> bool {
    matches!(tenancy.table(source).placement, Placement::Root | Placement::Tenant(_))
}

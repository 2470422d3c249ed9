//! What Citus refuses of a table's keys and actions is an error before it is tried, with the choices.
//!
//! A key of a distributed table holds the distribution column; a foreign key that holds it takes no action that would
//! change it, with or without a column list.

use super::super::tenancy::{Actions, ForeignKeyTenancy, KeyPart, KeyTenancy, Placement, TenantRoot};
use super::foreign_keys::ForeignKeys;
use super::keys::Keys;
use super::placement::quoted_if_list;
use super::{Resolver, tenant_column};
use crate::diagnostic::{Diagnostic, Span};
use crate::schema::{Action, ColumnId, ForeignKeyId, TableId};

/// A key that is to be unique, as the spec and the DDL know it.
struct Unique<'k> {
    /// "the primary key", "the unique key", "the unique index".
    kind: &'static str,
    /// What the spec calls it.
    key: String,
    tenancy: &'k KeyTenancy,
    own: &'k [ColumnId],
    declared: Option<Span>,
}

impl Resolver<'_> {
    /// Refuses what a cluster cannot keep.
    pub(super) fn refuse_on_citus(
        &mut self,
        placements: &[Placement],
        root: Option<&TenantRoot>,
        foreign_keys: &[ForeignKeys],
        keys: &[Keys],
    ) {
        if !self.profile().is_citus() {
            return;
        }
        for table in self.schema.table_ids() {
            let placement = &placements[table.index()];
            if *placement == Placement::Shared {
                self.refuse_local_actions(table, placements, &foreign_keys[table.index()]);
            }
            if !matches!(placement, Placement::Root | Placement::Tenant(_)) {
                continue;
            }
            let tenant = match placement {
                Placement::Root => root.map(|root| root.key),
                placement => tenant_column(placement),
            };
            self.refuse_global_keys(table, placement, tenant, &keys[table.index()]);
            self.refuse_actions(table, tenant, &foreign_keys[table.index()]);
        }
    }

    fn refuse_global_keys(&mut self, table: TableId, placement: &Placement, tenant: Option<ColumnId>, keys: &Keys) {
        let schema = self.schema;
        let described = schema.table(table);
        let mut found: Vec<Unique<'_>> = Vec::new();
        let empty = Vec::new();
        if described.primary_key.is_some() || matches!(keys.primary_key, KeyTenancy::Columns(_)) {
            let key = described.primary_key.map(|key| schema.key(key));
            let own = key.map_or(&empty, |key| &key.columns);
            found.push(Unique {
                kind: "the primary key",
                key: match &keys.primary_key {
                    KeyTenancy::Columns(parts) => self.parts_text(parts),
                    _ => self.columns_text(own),
                },
                tenancy: &keys.primary_key,
                own,
                declared: key.and_then(|key| key.span.clone()),
            });
        }
        for (id, tenancy) in &keys.unique {
            let key = schema.key(*id);
            let (name, declared) = (self.columns_text(&key.columns), key.span.clone());
            found.push(Unique { kind: "the unique key", key: name, tenancy, own: &key.columns, declared });
        }
        let plain: Vec<_> = keys
            .indexes
            .iter()
            .filter(|(id, _)| schema.index(**id).unique)
            .map(|(id, tenancy)| (schema.index(*id), tenancy, schema.index(*id).plain_columns().unwrap_or_default()))
            .collect();
        for (index, tenancy, own) in &plain {
            let (key, declared) = (index.name.clone(), index.span.clone());
            found.push(Unique { kind: "the unique index", key, tenancy, own, declared });
        }
        let holds_tenant = |part: &KeyPart| match part {
            KeyPart::Tenant => true,
            KeyPart::Column(column) => Some(*column) == tenant,
            KeyPart::ReferenceTenant(_) => false,
        };
        for unique in found {
            let holds = match unique.tenancy {
                KeyTenancy::Omit => true,
                KeyTenancy::PerTenant => *placement != Placement::Root || unique.own.iter().any(|&c| Some(c) == tenant),
                KeyTenancy::Global => unique.own.iter().any(|&column| Some(column) == tenant),
                KeyTenancy::Columns(parts) => parts.iter().any(holds_tenant),
            };
            if !holds {
                self.global_unique(table, placement, tenant, unique);
            }
        }
        for index in keys.new_indexes.iter().filter(|index| index.unique) {
            if !index.parts.iter().any(|(part, _)| holds_tenant(part)) {
                let message = format!(
                    "the unique index `{}` of `{}` does not hold the tenant column",
                    index.name,
                    self.name(table)
                );
                self.error(
                    Diagnostic::error("global-unique-under-citus", message)
                        .label(index.span.clone(), "unique over all tenants")
                        .help(
                            "Citus sees a value twice only within one tenant: name the tenant column among its columns",
                        ),
                );
            }
        }
    }

    fn parts_text(&self, parts: &[KeyPart]) -> String {
        let columns = parts.iter().filter_map(|part| match part {
            KeyPart::Column(column) => Some(*column),
            KeyPart::Tenant | KeyPart::ReferenceTenant(_) => None,
        });
        self.columns_text(&columns.collect::<Vec<_>>())
    }

    fn global_unique(&mut self, table: TableId, placement: &Placement, tenant: Option<ColumnId>, unique: Unique<'_>) {
        let Unique { kind, key, declared, .. } = unique;
        let quoted = quoted_if_list(&key);
        let mut lines = vec!["Citus sees a value twice only within one tenant; decide one of".to_owned()];
        match (placement, kind) {
            (_, "the primary key") => {
                lines.push("  primary_key: per_tenant   two tenants may have the same key".to_owned())
            }
            (Placement::Root, _) => {
                let tenant = tenant.map(|tenant| self.schema.column(tenant).name.as_str()).unwrap_or_default();
                lines.push(format!("  unique: {{{quoted}: [{tenant}, {key}]}}   two tenants may have the same value"));
            }
            _ => lines.push(format!("  unique: {{{quoted}: per_tenant}}   two tenants may have the same value")),
        }
        if kind != "the primary key" {
            lines.push(format!("  unique: {{{quoted}: omit}}   nothing keeps two rows apart"));
        }
        lines.push("  a shared table of its own for what has to be unique over all tenants".to_owned());
        let message = format!("{kind} of `{}` ({key}) does not hold the tenant column", self.name(table));
        self.error(
            Diagnostic::error("global-unique-under-citus", message)
                .label(self.span(table, &[]), "distributed by the tenant column")
                .label_opt(declared, "unique over all tenants")
                .help(lines.join("\n")),
        );
    }

    fn refuse_actions(&mut self, table: TableId, tenant: Option<ColumnId>, keys: &ForeignKeys) {
        for (&id, decided) in &keys.decided {
            let holds_tenant = match decided {
                ForeignKeyTenancy::PerTenant | ForeignKeyTenancy::FromRoot => true,
                ForeignKeyTenancy::Global => {
                    self.schema.foreign_key(id).columns.iter().any(|&column| Some(column) == tenant)
                }
                ForeignKeyTenancy::OwnColumn(_) | ForeignKeyTenancy::CrossTenant(_) | ForeignKeyTenancy::Omit => false,
            };
            if holds_tenant {
                let asked = keys.actions.get(&id).copied().unwrap_or_default();
                self.refuse_action(table, id, asked);
            }
        }
    }

    /// A shared row may refer to a local one, and take no action of it: the other nodes have no such row.
    fn refuse_local_actions(&mut self, table: TableId, placements: &[Placement], keys: &ForeignKeys) {
        for (&id, decided) in &keys.decided {
            let foreign_key = self.schema.foreign_key(id);
            if *decided == ForeignKeyTenancy::Omit
                || placements[foreign_key.referenced_table.index()] != Placement::Local
            {
                continue;
            }
            let asked = keys.actions.get(&id).copied().unwrap_or_default();
            let acts = |action| !matches!(action, Action::NoAction | Action::Restrict);
            let (on_delete, on_update) =
                (asked.on_delete.unwrap_or(foreign_key.on_delete), asked.on_update.unwrap_or(foreign_key.on_update));
            if !acts(on_delete) && !acts(on_update) {
                continue;
            }
            let columns = self.columns_text(&foreign_key.columns);
            let key = quoted_if_list(&columns);
            let message = format!(
                "`{}` ({columns}) is shared, refers to the local `{}`, and has an action",
                self.name(table),
                self.name(foreign_key.referenced_table)
            );
            self.error(
                Diagnostic::error("citus-local-action", message)
                    .label(self.span(table, &["foreign_keys", &columns]), "from every node to one")
                    .label_opt(foreign_key.span.clone(), "declared here")
                    .help(format!(
                        "Citus takes NO ACTION and RESTRICT only; decide one of\n  foreign_keys: {{{key}: {{on_delete: \
                         restrict, on_update: restrict}}}}\n  foreign_keys: {{{key}: omit}}"
                    )),
            );
        }
    }

    fn refuse_action(&mut self, table: TableId, id: ForeignKeyId, asked: Actions) {
        let foreign_key = self.schema.foreign_key(id);
        let sets = |action| matches!(action, Action::SetNull | Action::SetDefault);
        let (on_delete, on_update) =
            (asked.on_delete.unwrap_or(foreign_key.on_delete), asked.on_update.unwrap_or(foreign_key.on_update));
        let columns = self.columns_text(&foreign_key.columns);
        let key = quoted_if_list(&columns);
        let place = self.span(table, &["foreign_keys", &columns]);
        let labels = |diagnostic: Diagnostic| {
            diagnostic
                .label(place.clone(), "beside the tenant column")
                .label_opt(foreign_key.span.clone(), "declared here")
        };
        if sets(on_delete) {
            let message = format!(
                "`{}` ({columns}) has ON DELETE {}, which Citus refuses beside the tenant column",
                self.name(table),
                on_delete.sql()
            );
            self.error(labels(Diagnostic::error("citus-set-null", message)).help(format!(
                "a list of columns does not help: let the application do it, and decide one of\n  foreign_keys: {{{key}: \
                 {{on_delete: restrict|cascade|no_action}}}}\n  foreign_keys: {{{key}: omit}}"
            )));
        }
        if sets(on_update) || on_update == Action::Cascade {
            let message = format!(
                "`{}` ({columns}) has ON UPDATE {}, which Citus refuses beside the tenant column",
                self.name(table),
                on_update.sql()
            );
            self.error(labels(Diagnostic::error("citus-on-update", message)).help(format!(
                "keys of a distributed table do not change: decide one of\n  foreign_keys: {{{key}: {{on_update: \
                 restrict|no_action}}}}\n  foreign_keys: {{{key}: omit}}"
            )));
        }
    }
}

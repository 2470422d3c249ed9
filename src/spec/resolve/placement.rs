//! Placements: what the spec says of each table, and what follows for those it says nothing of.

use super::super::file::{PlacementEntry, TableEntry};
use super::super::source_entry::SourceEntry;
use super::super::tenancy::{About, Decision, Origin, Placement, TenantRoot};
use super::super::tenant_source::{TenantSource, copied_tables, held_tenant_column};
use super::tenant_source::Wanted;
use super::{Entries, Resolver};
use crate::diagnostic::{Diagnostic, Span};
use crate::schema::TableId;

/// What is known of a table before tenants are inferred.
pub(super) enum Known {
    Decided(Placement),
    /// The tenant is to be inferred, where these sources find none.
    Infer(Vec<TenantSource>),
    /// An error has been reported.
    Failed,
}

const OTHER_PLACEMENTS: &[&str] = &["shared", "omit"];

impl<'a> Resolver<'a> {
    /// Decides whose each table's rows are, in the order of the schema.
    ///
    /// After an error a table counts as omitted, so that one mistake is not reported again by all that refers to it.
    pub(super) fn placements(&mut self, entries: &Entries<'a>, root: Option<&TenantRoot>) -> Vec<Placement> {
        let known: Vec<Known> =
            self.schema.table_ids().map(|table| self.known_placement(entries, root, table)).collect();
        let placements = self.infer_sources(known, root);
        self.refuse_sources_without_tenant(&placements);
        self.refuse_source_cycles(&placements);
        self.refuse_added_column_clashes(&placements);
        self.note_other_sources(&placements, root);
        placements
    }

    /// Notes beside each table's tenant source the other foreign keys that lead to a tenant.
    fn note_other_sources(&mut self, placements: &[Placement], root: Option<&TenantRoot>) {
        for table in self.schema.table_ids() {
            let mut others: Vec<String> = Vec::new();
            for &id in &self.schema.table(table).foreign_keys {
                let foreign_key = self.schema.foreign_key(id);
                let source = match (&placements[foreign_key.referenced_table.index()], &foreign_key.columns[..]) {
                    _ if foreign_key.is_self_reference() => continue,
                    (Placement::Root, &[column])
                        if root.is_some_and(|root| foreign_key.referenced_columns == [root.key]) =>
                    {
                        TenantSource::Column(column)
                    }
                    (Placement::Root | Placement::Tenant(_), _) => TenantSource::Via(id),
                    _ => continue,
                };
                others.push(self.source_text(&source));
            }
            others.extend(["shared", "omit"].map(str::to_owned));
            let about = |decision: &&mut Decision| decision.table == table && decision.about == About::Tenant;
            if let Some(decision) = self.decisions.iter_mut().find(about) {
                others.retain(|other| *other != decision.choice);
                others.dedup();
                decision.alternatives = others;
            }
        }
    }

    fn known_placement(&mut self, entries: &Entries<'a>, root: Option<&TenantRoot>, table: TableId) -> Known {
        if self.failed.contains(&table) {
            return Known::Failed;
        }
        let span = self.span(table, &[]);
        if root.is_some_and(|root| root.table == table) {
            let placed = match entries.get(&table) {
                Some(TableEntry::Shared | TableEntry::Local | TableEntry::Omit) => true,
                Some(TableEntry::Tenant(body)) => body.placement.is_some(),
                None => false,
            };
            if placed {
                self.error(
                    Diagnostic::error("root-placement", format!("`{}` is the tenant root", self.name(table)))
                        .label(span, "and cannot be placed otherwise"),
                );
            }
            let origin = Origin::Spec(self.spans.value(&["tenant", "root"]));
            self.decide(table, About::Placement, "root", origin, &["{root: TABLE}"]);
            return Known::Decided(Placement::Root);
        }
        let entry = match entries.get(&table) {
            Some(TableEntry::Shared) => return self.shared(table, span),
            Some(TableEntry::Local) => return self.local(table, span),
            Some(TableEntry::Omit) => {
                self.decide(table, About::Placement, "omit", Origin::Spec(span), &["tenant", "shared"]);
                return Known::Decided(Placement::Omit);
            }
            Some(TableEntry::Tenant(body)) => match body.placement {
                Some(PlacementEntry::Shared) => return self.shared(table, self.span(table, &["placement"])),
                Some(PlacementEntry::Local) => return self.local(table, self.span(table, &["placement"])),
                None => body.tenant.as_ref(),
            },
            None => None,
        };
        let (source, span) = match entry {
            Some(source) => (source, self.span(table, &["tenant"])),
            None => match &self.file.defaults.tenant {
                Some(source) => (source, self.spans.key(&["defaults", "tenant"])),
                None => return Known::Infer(Vec::new()),
            },
        };
        if *source == SourceEntry::Require {
            self.required(table, span);
            return Known::Failed;
        }
        let path = ["tables", self.spec_key(table), "tenant"].map(str::to_owned);
        let Some(Wanted { mut sources, infer }) = self.wanted(table, source, &path) else { return Known::Failed };
        if infer {
            return Known::Infer(sources);
        }
        let source = if sources.len() == 1 { sources.remove(0) } else { TenantSource::First(sources) };
        self.decide(table, About::Placement, "tenant", Origin::Spec(span.clone()), OTHER_PLACEMENTS);
        let choice = self.source_text(&source);
        self.decide(table, About::Tenant, &choice, Origin::Spec(span), &[]);
        Known::Decided(Placement::Tenant(source))
    }

    /// Notes the tables whose rows are copied for several tenants: their keys have to hold the tenant.
    pub(super) fn note_copied_tables(&mut self, placements: &[Placement]) {
        let copied = copied_tables(self.schema, &placements.iter().collect::<Vec<_>>());
        self.copied = self.schema.table_ids().filter(|table| copied[table.index()]).collect();
    }

    fn shared(&mut self, table: TableId, span: Span) -> Known {
        self.decide(table, About::Placement, "shared", Origin::Spec(span), &["tenant", "omit"]);
        Known::Decided(Placement::Shared)
    }

    fn local(&mut self, table: TableId, span: Span) -> Known {
        if !self.profile().is_citus() {
            self.error(
                Diagnostic::error(
                    "local-needs-citus",
                    format!("`{}` cannot be local: only a cluster has tables outside tenancy", self.name(table)),
                )
                .label(span, "this placement")
                .help("write `shared`, or `target: {profile: citus}`"),
            );
            return Known::Failed;
        }
        self.decide(table, About::Placement, "local", Origin::Spec(span), &["tenant", "shared", "omit"]);
        Known::Decided(Placement::Local)
    }

    /// A table that gets the tenant column must not have one of that name for something else.
    fn refuse_added_column_clashes(&mut self, placements: &[Placement]) {
        let Some(name) = self.file.tenant.as_ref().and_then(|tenant| tenant.column.clone()) else { return };
        for table in self.schema.table_ids() {
            let Placement::Tenant(source) = &placements[table.index()] else { continue };
            if held_tenant_column(self.schema, source, &name).is_some() {
                continue;
            }
            if let Some(column) = self.schema.find_column(table, &name) {
                let table_name = self.name(table);
                self.error(
                    Diagnostic::error(
                        "tenant-column-exists",
                        format!("`{table_name}` is to get the tenant column `{name}`, and has a column of that name"),
                    )
                    .label(self.span(table, &["tenant"]), "the tenant is found elsewhere")
                    .label_opt(self.schema.column(column).span.clone(), "the column")
                    .help(format!(
                        "if the column is the tenant, write `{table_name}: {{tenant: {{column: {name}}}}}`\nif it is something else, \
                         give the tenant column another name: `tenant: {{column: NAME, …}}`"
                    )),
                );
            }
        }
    }
}

/// Quotes a list of columns for a YAML flow mapping, where a comma would split it.
pub(super) fn quoted_if_list(text: &str) -> String {
    if text.contains(',') { format!("\"{text}\"") } else { text.to_owned() }
}

//! Tenant sources: the one foreign-key path to a tenant, or an error that lists the paths.

use super::super::tenancy::{About, Origin, Placement, TenantRoot};
use super::super::tenant_source::TenantSource;
use super::super::yaml_text::yaml_text;
use super::Resolver;
use super::lookup::Candidate;
use super::placement::{Known, quoted_if_list};
use crate::diagnostic::Diagnostic;
use crate::schema::{ColumnId, ForeignKeyId, TableId};

impl Resolver<'_> {
    pub(super) fn foreign_key_candidates(&self, table: TableId) -> Vec<Candidate<ForeignKeyId>> {
        self.schema
            .table(table)
            .foreign_keys
            .iter()
            .map(|&id| {
                let foreign_key = self.schema.foreign_key(id);
                Candidate { id, name: foreign_key.name.clone(), columns: foreign_key.columns.clone() }
            })
            .collect()
    }

    /// Walks from every table without a decided tenant towards the root and the tables whose tenant is decided.
    ///
    /// A foreign key counts when its parent reaches a tenant without coming back through the table itself: so two
    /// tables that refer to each other do not each lean on the other.
    pub(super) fn infer_sources(&mut self, known: Vec<Known>, root: Option<&TenantRoot>) -> Vec<Placement> {
        // What is in every tenant, or takes its tenant from those that use it, says nothing of who uses it.
        let says_nothing = |source: &TenantSource| {
            source
                .alternatives()
                .iter()
                .any(|source| matches!(source, TenantSource::Every | TenantSource::UsedBy { .. }))
        };
        let arrived = |table: TableId| match &known[table.index()] {
            Known::Decided(Placement::Root) => true,
            Known::Decided(Placement::Tenant(source)) => !says_nothing(source),
            _ => false,
        };
        let blocked = |table: TableId| match &known[table.index()] {
            Known::Decided(Placement::Shared | Placement::Local | Placement::Omit) | Known::Failed => true,
            Known::Decided(Placement::Tenant(source)) => says_nothing(source),
            _ => false,
        };
        // Without the root that was asked for no path leads anywhere: that is told once, of the root.
        let asked_root = self.file.tenant.as_ref().and_then(|tenant| tenant.root.as_ref());
        let is_root_lost = root.is_none() && asked_root.is_some();
        let mut placements = Vec::with_capacity(known.len());
        for table in self.schema.table_ids() {
            let before = match &known[table.index()] {
                Known::Infer(before) => before,
                Known::Decided(placement) => {
                    placements.push(placement.clone());
                    continue;
                }
                Known::Failed => {
                    self.failed.insert(table);
                    placements.push(Placement::Omit);
                    continue;
                }
            };
            let paths: Vec<Vec<ForeignKeyId>> = self
                .schema
                .table(table)
                .foreign_keys
                .iter()
                .filter_map(|&first| {
                    let parent = self.schema.foreign_key(first).referenced_table;
                    let rest = self.graph.path(parent, table, &arrived, &blocked)?;
                    Some(std::iter::once(first).chain(rest).collect())
                })
                .collect();
            placements.push(match &paths[..] {
                [path] => self.inferred(table, path, root, before),
                [] if is_root_lost => {
                    self.failed.insert(table);
                    Placement::Omit
                }
                [] => {
                    self.undecided(table, before);
                    Placement::Omit
                }
                _ => {
                    self.ambiguous(table, &paths, root);
                    Placement::Omit
                }
            });
        }
        placements
    }

    fn inferred(
        &mut self,
        table: TableId,
        path: &[ForeignKeyId],
        root: Option<&TenantRoot>,
        before: &[TenantSource],
    ) -> Placement {
        let source = match self.names_tenant(path[0], root) {
            Some(column) => TenantSource::Column(column),
            None => TenantSource::Via(path[0]),
        };
        let reason = format!("the one path to a tenant: {}", self.path_text(table, path));
        self.decide(
            table,
            About::Placement,
            "tenant",
            Origin::Inferred("it refers to a tenant's table".into()),
            &["shared", "omit"],
        );
        let source = match before {
            [] => source,
            before => TenantSource::First(before.iter().cloned().chain([source]).collect()),
        };
        let choice = self.source_text(&source);
        self.decide(table, About::Tenant, &choice, Origin::Inferred(reason), &[]);
        Placement::Tenant(source)
    }

    /// Returns the column of a reference to the root's key: it holds the tenant's id itself.
    fn names_tenant(&self, foreign_key: ForeignKeyId, root: Option<&TenantRoot>) -> Option<ColumnId> {
        let foreign_key = self.schema.foreign_key(foreign_key);
        match (root, &foreign_key.columns[..]) {
            (Some(root), &[column])
                if foreign_key.referenced_table == root.table && foreign_key.referenced_columns == [root.key] =>
            {
                Some(column)
            }
            _ => None,
        }
    }

    fn undecided(&mut self, table: TableId, before: &[TenantSource]) {
        let name = self.name(table);
        self.failed.insert(table);
        if !before.is_empty() {
            let found: Vec<String> = before.iter().map(|source| self.source_text(source)).collect();
            self.error(
                Diagnostic::error(
                    "via-self",
                    format!("nothing says whose the rows of `{name}` are that refer to no other"),
                )
                .label(self.span(table, &["tenant"]), "this alone finds no tenant")
                .label_opt(self.schema.table(table).span.clone(), "no foreign-key path leads from it to a tenant")
                .help(format!(
                    "say where the others get it, as in {{first: [{}, {{column: NAME}}]}}",
                    found.join(", ")
                )),
            );
            return;
        }
        self.error(
            Diagnostic::error("undecided-table", format!("nothing says whose the rows of `{name}` are"))
                .label(self.span(table, &[]), "no foreign-key path leads from it to a tenant")
                .label_opt(self.schema.table(table).span.clone(), "declared here")
                .help(format!(
                    "decide under `tables:` one of\n  {name}: shared\n  {name}: omit\n  {name}: {{tenant: {{column: NAME}}}}"
                ))
                .choose(&["tables", name, "placement"], "shared", "one copy of its rows for all tenants")
                .choose(&["tables", name, "placement"], "omit", "its rows are not migrated"),
        );
    }

    fn ambiguous(&mut self, table: TableId, paths: &[Vec<ForeignKeyId>], root: Option<&TenantRoot>) {
        let name = self.name(table);
        let mut lines = vec![format!("paths lead from `{name}` to a tenant:")];
        lines.extend(paths.iter().map(|path| format!("  {}", self.path_text(table, path))));
        lines.push("choose the one that decides; the others are then checked to agree:".to_owned());
        lines.extend(paths.iter().map(|path| {
            let columns = self.columns_text(&self.schema.foreign_key(path[0]).columns);
            format!("  {name}: {{tenant: {{via: {}}}}}", quoted_if_list(&columns))
        }));
        let mut diagnostic = Diagnostic::error(
            "ambiguous-tenant-path",
            format!("`{name}` reaches a tenant by {} paths, and nothing says which decides", paths.len()),
        )
        .label(self.span(table, &[]), "ambiguous");
        for path in paths {
            diagnostic = diagnostic.label_opt(self.schema.foreign_key(path[0]).span.clone(), "one path begins here");
        }
        // The row's own word for its tenant comes first: with another source the column would be something else.
        let mut by_directness: Vec<&Vec<ForeignKeyId>> = paths.iter().collect();
        by_directness.sort_by_key(|path| self.names_tenant(path[0], root).is_none());
        for path in by_directness {
            let yaml = match self.names_tenant(path[0], root) {
                Some(column) => format!("{{column: {}}}", yaml_text(&self.schema.column(column).name)),
                None => {
                    let columns = self.columns_text(&self.schema.foreign_key(path[0]).columns);
                    format!("{{via: {}}}", yaml_text(&columns))
                }
            };
            diagnostic = diagnostic.choose(&["tables", name, "tenant"], yaml, self.path_text(table, path));
        }
        self.failed.insert(table);
        self.error(diagnostic.help(lines.join("\n")));
    }

    /// Writes a path as `invoice_items.invoice_id → invoices.customer_id → customers`.
    pub(super) fn path_text(&self, table: TableId, path: &[ForeignKeyId]) -> String {
        let mut text = String::new();
        let mut here = table;
        for &step in path {
            let foreign_key = self.schema.foreign_key(step);
            text.push_str(&format!("{}.{} → ", self.name(here), self.columns_text(&foreign_key.columns)));
            here = foreign_key.referenced_table;
        }
        text.push_str(self.name(here));
        text
    }
}

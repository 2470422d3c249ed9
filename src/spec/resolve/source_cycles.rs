//! Sources that lead round in a circle, or to a table of no tenant.

use super::super::tenancy::Placement;
use super::super::tenant_source::TenantSource;
use super::Resolver;
use crate::diagnostic::Diagnostic;
use crate::schema::{SourceSchema, TableId};
use std::collections::{BTreeMap, VecDeque};

/// A step from a table to one whose tenants have to be known first.
struct Step {
    to: TableId,
    text: String,
}

impl Resolver<'_> {
    /// The tables that a source looks at have to be a tenant's themselves.
    pub(super) fn refuse_sources_without_tenant(&mut self, placements: &[Placement]) {
        for table in self.schema.table_ids() {
            let Placement::Tenant(source) = &placements[table.index()] else { continue };
            for other in source.depends_on(self.schema, table) {
                // Only the table whose own source is wrong is reported, not all that depend on it.
                let is_tenant = matches!(placements[other.index()], Placement::Tenant(_) | Placement::Root);
                if is_tenant || self.failed.contains(&other) {
                    continue;
                }
                self.error(
                    Diagnostic::error(
                        "via-no-tenant",
                        format!(
                            "`{}` belongs to no tenant, so it cannot say whose a row of `{}` is",
                            self.name(other),
                            self.name(table)
                        ),
                    )
                    .label(self.span(table, &["tenant"]), "leads to no tenant")
                    .help("name a foreign key to a table of a tenant"),
                );
            }
        }
    }

    /// Sources have to end: at a column, at the root, never at their own beginning.
    pub(super) fn refuse_source_cycles(&mut self, placements: &[Placement]) {
        let mut reported: Vec<Vec<TableId>> = Vec::new();
        for start in self.schema.table_ids() {
            let Some(circle) = self.circle(start, placements) else { continue };
            let mut tables: Vec<TableId> = circle.iter().map(|step| step.to).collect();
            let first = tables.iter().map(|&table| self.name(table)).min();
            // Each circle once, from its first table in the alphabet.
            tables.sort_unstable();
            if first != Some(self.name(start)) || reported.contains(&tables) {
                continue;
            }
            reported.push(tables);
            let mut path: String = circle.iter().map(|step| format!("{} → ", step.text)).collect();
            path.push_str(self.name(start));
            self.error(
                Diagnostic::error("tenant-source-cycle", format!("the tenant sources go round in a circle: {path}"))
                    .label(self.span(start, &["tenant"]), "the circle begins here")
                    .help("give one of these tables a source that leads out of the circle"),
            );
        }
    }

    /// Finds the shortest way from a table back to itself.
    fn circle(&self, start: TableId, placements: &[Placement]) -> Option<Vec<Step>> {
        let mut came_by: BTreeMap<TableId, (TableId, String)> = BTreeMap::new();
        let mut queue = VecDeque::from([start]);
        while let Some(table) = queue.pop_front() {
            for step in self.steps(table, placements) {
                if step.to == start {
                    let mut circle = vec![step];
                    let mut here = table;
                    while let Some((from, text)) = came_by.get(&here).filter(|_| here != start) {
                        circle.push(Step { to: here, text: text.clone() });
                        here = *from;
                    }
                    circle.reverse();
                    return Some(circle);
                }
                came_by.entry(step.to).or_insert_with(|| {
                    queue.push_back(step.to);
                    (table, step.text)
                });
            }
        }
        None
    }

    fn steps(&self, table: TableId, placements: &[Placement]) -> Vec<Step> {
        let Placement::Tenant(source) = &placements[table.index()] else { return Vec::new() };
        let schema: &SourceSchema = self.schema;
        let mut steps = Vec::new();
        for source in source.alternatives() {
            match source {
                TenantSource::Via(id) if !schema.foreign_key(*id).is_self_reference() => {
                    let foreign_key = schema.foreign_key(*id);
                    let text = format!("{}.{}", self.name(table), self.columns_text(&foreign_key.columns));
                    steps.push(Step { to: foreign_key.referenced_table, text });
                }
                TenantSource::UsedBy { references, .. } => {
                    for foreign_key in references.iter().map(|&id| schema.foreign_key(id)) {
                        let users =
                            format!("{}.{}", self.name(foreign_key.table), self.columns_text(&foreign_key.columns));
                        let text = format!("{} (used by {users})", self.name(table));
                        steps.push(Step { to: foreign_key.table, text });
                    }
                }
                TenantSource::By { key, cases, .. } => {
                    for (_, case) in cases {
                        let text = format!("{}.{}", self.name(table), schema.column(*key).name);
                        steps.push(Step { to: *case, text });
                    }
                }
                _ => {}
            }
        }
        steps
    }
}

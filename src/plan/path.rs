//! The way from a table to its tenant, in words.

use super::Plan;
use crate::schema::{ForeignKeyId, TableId};
use crate::spec::{About, Placement, TenantSource};

impl Plan {
    /// Writes a foreign key as `invoices.customer_id → customers`.
    pub fn reference_text(&self, id: ForeignKeyId) -> String {
        let foreign_key = self.source.foreign_key(id);
        format!(
            "{}.{} → {}",
            self.source.table(foreign_key.table).name,
            self.source.column_names(&foreign_key.columns).collect::<Vec<_>>().join(", "),
            self.source.table(foreign_key.referenced_table).name
        )
    }

    /// Writes the way from a table to its tenant:
    /// `invoice_items.invoice_id → invoices.customer_id → customers.account_id`.
    pub fn tenant_path(&self, table: TableId) -> String {
        self.way(self.source.table(table).name.clone(), table)
    }

    /// Writes the way to a tenant that a foreign key leads, beside the one that its table goes.
    pub fn path_through(&self, id: ForeignKeyId) -> String {
        self.way(self.reference_text(id), self.source.foreign_key(id).referenced_table)
    }

    fn way(&self, mut text: String, mut here: TableId) -> String {
        loop {
            match &self.tenancy.table(here).placement {
                Placement::Tenant(TenantSource::Column(column)) => {
                    return format!("{text}.{}", self.source.column(*column).name);
                }
                Placement::Tenant(TenantSource::Via(id)) if !self.source.foreign_key(*id).is_self_reference() => {
                    let foreign_key = self.source.foreign_key(*id);
                    here = foreign_key.referenced_table;
                    let columns = self.source.column_names(&foreign_key.columns).collect::<Vec<_>>().join(", ");
                    text = format!("{text}.{columns} → {}", self.source.table(here).name);
                }
                // What looks at more than one place has no one way: it is named as the spec does.
                Placement::Tenant(_) => {
                    let source = self.decisions_about(here).find(|decision| decision.about == About::Tenant);
                    return match source {
                        Some(source) => format!("{text} {}", source.choice),
                        None => text,
                    };
                }
                Placement::Root => {
                    return match &self.tenancy.root {
                        Some(root) => format!("{text}.{}", self.source.column(root.key).name),
                        None => text,
                    };
                }
                Placement::Shared | Placement::Local | Placement::Omit => return text,
            }
        }
    }
}

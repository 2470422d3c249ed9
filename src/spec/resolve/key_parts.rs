//! A list of columns in the spec → columns of the target.

use super::super::file_objects::ColumnEntry;
use super::super::tenancy::{ForeignKeyTenancy, KeyPart, Placement};
use super::foreign_keys::ForeignKeys;
use super::{Entries, Resolver, tenant_column};
use crate::diagnostic::{Diagnostic, Span, nearest};
use crate::schema::TableId;

/// What the names in a list can stand for, beside the table's own columns.
pub(super) struct Added<'a> {
    pub placement: &'a Placement,
    pub foreign_keys: &'a ForeignKeys,
}

impl<'a> Resolver<'a> {
    /// Looks up the columns of a list: the table's own, the tenant column that it gets, and those of `column:`.
    ///
    /// Names that lead nowhere, stand twice or are left out are reported; then the answer is `None`.
    pub(super) fn key_parts<'n>(
        &mut self,
        entries: &Entries<'a>,
        table: TableId,
        added: &Added<'_>,
        names: impl IntoIterator<Item = &'n str>,
        span: &Span,
    ) -> Option<Vec<KeyPart>> {
        let mut parts = Vec::new();
        let mut complete = true;
        for name in names {
            let Some(part) = self.key_part(entries, table, added, name, span) else {
                complete = false;
                continue;
            };
            if parts.contains(&part) {
                self.error(
                    Diagnostic::error("duplicate-column", format!("the list names `{name}` twice"))
                        .label(span.clone(), "this list"),
                );
                complete = false;
            }
            parts.push(part);
        }
        if parts.is_empty() && complete {
            self.error(
                Diagnostic::error("wrong-value", "the list of columns is empty")
                    .label(span.clone(), "this list")
                    .help("name the columns in order"),
            );
            return None;
        }
        complete.then_some(parts)
    }

    fn key_part(
        &mut self,
        entries: &Entries<'a>,
        table: TableId,
        added: &Added<'_>,
        name: &str,
        span: &Span,
    ) -> Option<KeyPart> {
        if let Some(column) = self.schema.find_column(table, name) {
            let left_out = self.body(entries, table).is_some_and(|body| {
                body.columns.iter().any(|(key, entry)| key.eq_ignore_ascii_case(name) && *entry == ColumnEntry::Omit)
            });
            if left_out {
                self.error(
                    Diagnostic::error("column-in-use", format!("`{name}` is left out, and this list names it"))
                        .label(span.clone(), "this list")
                        .help("keep the column, or take it from the list"),
                );
                return None;
            }
            return Some(KeyPart::Column(column));
        }
        let tenant = self.file.tenant.as_ref().and_then(|tenant| tenant.column.as_deref());
        let gets_tenant = matches!(added.placement, Placement::Tenant(_)) && tenant_column(added.placement).is_none();
        if gets_tenant && tenant.is_some_and(|tenant| tenant == name) {
            return Some(KeyPart::Tenant);
        }
        let references = added.foreign_keys.decided.iter().filter_map(|(id, decided)| match decided {
            ForeignKeyTenancy::OwnColumn(column) | ForeignKeyTenancy::CrossTenant(column) => {
                Some((*id, column.as_str()))
            }
            _ => None,
        });
        if let Some((id, _)) = references.clone().find(|(_, column)| *column == name) {
            return Some(KeyPart::ReferenceTenant(id));
        }
        let own = self.schema.column_names(&self.schema.table(table).columns);
        let known: Vec<&str> =
            own.chain(tenant.filter(|_| gets_tenant)).chain(references.map(|(_, column)| column)).collect();
        let help = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("it will have: {}", known.join(", ")),
        };
        let message = format!("`{}` has no column `{name}`, and gets none", self.name(table));
        self.error(Diagnostic::error("unknown-column", message).label(span.clone(), "no such column").help(help));
        None
    }
}

//! CHECK constraints: the names that the target gives them, and what the spec says of them.

use super::super::file_objects::CheckEntry;
use super::super::tenancy::{About, CheckSays, CheckTenancy, Origin, Placement};
use super::{Entries, Resolver};
use crate::diagnostic::{Diagnostic, nearest};
use crate::ident::{Namespace, check_name};
use crate::schema::{CheckId, ColumnId, TableId};
use std::collections::BTreeMap;

impl<'a> Resolver<'a> {
    /// Decides what becomes of every CHECK of every migrated table.
    pub(super) fn checks(
        &mut self,
        entries: &Entries<'a>,
        placements: &[Placement],
    ) -> Vec<BTreeMap<CheckId, CheckTenancy>> {
        let tables: Vec<TableId> = self.schema.table_ids().collect();
        let decide = |table: TableId| match placements[table.index()] {
            Placement::Omit => BTreeMap::new(),
            _ => self.table_checks(entries, table),
        };
        tables.into_iter().map(decide).collect()
    }

    fn table_checks(&mut self, entries: &Entries<'a>, table: TableId) -> BTreeMap<CheckId, CheckTenancy> {
        let mut checks: BTreeMap<CheckId, CheckTenancy> = self
            .check_names(entries, table)
            .into_iter()
            .map(|(id, name)| (id, CheckTenancy { name, says: CheckSays::Same }))
            .collect();
        let Some(body) = self.body(entries, table) else { return checks };
        for (key, entry) in &body.checks {
            let span = self.span(table, &["checks", key]);
            let found = checks.iter_mut().find(|(_, check)| check.name.eq_ignore_ascii_case(key));
            let Some((_, check)) = found else {
                let names = checks.values().map(|check| check.name.as_str());
                let message = format!("`{}` has no check `{key}`", self.name(table));
                let help = match nearest(key, names.clone()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if checks.is_empty() => format!("`{}` has no check", self.name(table)),
                    None => format!("it has: {}", names.collect::<Vec<_>>().join("; ")),
                };
                self.error(Diagnostic::error("unknown-object", message).label(span, "names nothing").help(help));
                continue;
            };
            let about = About::Check(check.name.clone());
            match entry {
                CheckEntry::Omit => {
                    check.says = CheckSays::Omit;
                    self.decide(table, about, "omit", Origin::Spec(span), &["{sql: EXPRESSION}"]);
                }
                CheckEntry::Sql(sql) => {
                    check.says = CheckSays::Sql(sql.clone());
                    self.postgres_text(sql, &["tables", self.spec_key(table), "checks", key, "sql"]);
                    self.decide(table, about, &format!("{{sql: {sql}}}"), Origin::Spec(span), &["omit"]);
                }
            }
        }
        checks
    }

    /// Names a table's checks: as the DDL does, else as PostgreSQL would.
    ///
    /// Those that are left out count, so that leaving one out renames none.
    fn check_names(&self, entries: &Entries<'a>, table: TableId) -> Vec<(CheckId, String)> {
        let names = self.file.target.names.unwrap_or_default();
        let mut taken = Namespace::default();
        let mut named = Vec::new();
        let checks = &self.schema.table(table).checks;
        for given in [true, false] {
            for &id in checks.iter().filter(|&&id| self.schema.check(id).name.is_some() == given) {
                let check = self.schema.check(id);
                let wanted = check.name.as_ref().map(|name| names.apply(name)).unwrap_or_else(|| {
                    let mut columns: Vec<String> = Vec::new();
                    check.expr.for_each_column(&mut |column| {
                        let name = self.target_name(entries, table, column);
                        if !columns.contains(&name) {
                            columns.push(name);
                        }
                    });
                    check_name(&names.apply(self.name(table)), columns.iter().map(String::as_str))
                });
                named.push((id, taken.claim_numbered(&wanted)));
            }
        }
        named
    }

    /// Returns the name that a column of the source has in the target.
    pub(super) fn target_name(&self, entries: &Entries<'a>, table: TableId, column: ColumnId) -> String {
        let name = &self.schema.column(column).name;
        self.column_body(entries, table, name)
            .and_then(|body| body.rename.clone())
            .unwrap_or_else(|| self.file.target.names.unwrap_or_default().apply(name))
    }
}

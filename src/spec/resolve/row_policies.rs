//! Rows that do not go through, or are not to.

use super::super::rows::RowPolicies;
use super::super::tenancy::{About, Origin, Placement};
use super::{Entries, Resolver};

impl<'a> Resolver<'a> {
    /// Reads what the spec says of each table's rows.
    pub(super) fn row_policies(&mut self, entries: &Entries<'a>, placements: &[Placement]) -> Vec<RowPolicies> {
        let defaults = self.file.defaults.rows.as_ref();
        self.schema
            .table_ids()
            .map(|table| {
                if placements[table.index()] == Placement::Omit {
                    return RowPolicies::default();
                }
                let body = self.body(entries, table).and_then(|body| body.rows.as_ref());
                let policies = RowPolicies::of(body, defaults);
                let words = policies.words();
                if !words.is_empty() {
                    let span = match body {
                        Some(_) => self.span(table, &["rows"]),
                        None => self.spans.key(&["defaults", "rows"]),
                    };
                    let others = policies.others();
                    let others: Vec<&str> = others.iter().map(String::as_str).collect();
                    self.decide(table, About::Rows, &format!("{{{words}}}"), Origin::Spec(span), &others);
                }
                policies
            })
            .collect()
    }
}

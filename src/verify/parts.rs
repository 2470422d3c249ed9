//! A large table in parts, so that several connections can read it side by side.

use crate::diagnostic::Diagnostic;
use crate::plan::Plan;
use crate::postgres::Connection;
use crate::schema::TableId;
use std::collections::HashMap;

/// How many pages a part has: 64 MB. In tests one, so that small tables have several parts.
const PAGES: i64 = if cfg!(test) { 1 } else { 8192 };

/// Only these lie in pages of their own by which they can be read; a partitioned table lies in others.
const SIZES: &str = "
    SELECT c.relname, pg_relation_size(c.oid) / current_setting('block_size')::bigint
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = $1 AND c.relkind = 'r'";

/// Some pages of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    first: Option<i64>,
    /// The first page behind.
    end: Option<i64>,
}

impl Part {
    /// All pages.
    pub const ALL: Self = Self { first: None, end: None };

    /// Writes the condition for rows in these pages; `None` for all.
    pub fn condition(self) -> Option<String> {
        let first = self.first.map(|page| format!("ctid >= '({page},0)'::tid"));
        let end = self.end.map(|page| format!("ctid < '({page},0)'::tid"));
        let bounds: Vec<String> = first.into_iter().chain(end).collect();
        (!bounds.is_empty()).then(|| bounds.join(" AND "))
    }
}

/// Cuts each table of a plan into parts, in order. The shards of a cluster's tables are elsewhere: these stay whole.
pub(super) fn parts(plan: &Plan, target: &mut Connection) -> Result<Vec<Vec<Part>>, Diagnostic> {
    let mut pages: HashMap<String, i64> = HashMap::new();
    if !plan.tenancy.target.profile.is_citus() {
        for row in target.query(SIZES, &[Some(&plan.tenancy.target_schema)], "look for the sizes of the tables")? {
            pages.insert(row.text(0)?.to_owned(), row.integer(1)?);
        }
    }
    let schema = &plan.rewritten.target;
    let cut_table = |table: TableId| cut(pages.get(&schema.table(table).name).copied().unwrap_or(0), PAGES);
    Ok(schema.table_ids().map(cut_table).collect())
}

/// Cuts so many pages. The last part has no end: it has what came behind since.
fn cut(pages: i64, each: i64) -> Vec<Part> {
    let count = (pages / each).max(1);
    let bound = |number: i64| (number > 0 && number < count).then_some(number * each);
    (0..count).map(|number| Part { first: bound(number), end: bound(number + 1) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_follow_each_other_without_a_gap() {
        assert_eq!(cut(0, 10), [Part::ALL]);
        assert_eq!(cut(19, 10), [Part::ALL]);
        let conditions: Vec<_> = cut(39, 10).into_iter().filter_map(Part::condition).collect();
        assert_eq!(
            conditions,
            ["ctid < '(10,0)'::tid", "ctid >= '(10,0)'::tid AND ctid < '(20,0)'::tid", "ctid >= '(20,0)'::tid"]
        );
    }
}

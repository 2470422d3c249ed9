//! The tenants of a table's rows by rowid, as SQLite has derived them, for SQL to look up.
//!
//! What a TEMP table key → tenant says, said by a function of SQL: four bytes a row where rowids are dense, one map for all
//! connections, and no tree to be searched for each row that refers to one.

use crate::diagnostic::Diagnostic;
use crate::schema::Value;
use crate::sqlite::{Database, SharedValue};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

/// Says that a row has no tenant, or that there is no such row.
const NOBODY: u32 = 0;

/// Maps rowids to tenants.
#[derive(Debug, Default)]
pub(super) struct TenantMap {
    base: i64,
    /// The tenants of the rowids from `base` on, as their numbers from 1.
    dense: Vec<u32>,
    /// How many of these are there.
    held: usize,
    /// Those of rowids that are too far from others, in order.
    sparse: Vec<(i64, u32)>,
    tenants: Vec<Value<'static>>,
}

impl TenantMap {
    /// Reads what a query gives: rowids in order, and tenants.
    pub fn read(database: &Database, sql: &str) -> Result<Self, Diagnostic> {
        let mut map = Self::default();
        let (mut known, mut spelled) = (HashMap::new(), Vec::new());
        database.for_each_row(sql, &[], &mut |values| {
            if let [Value::Integer(rowid), tenant] = values {
                let tenant = map.number(tenant, &mut known, &mut spelled);
                map.add(*rowid, tenant);
            }
            Ok::<(), Diagnostic>(())
        })?;
        map.dense.shrink_to_fit();
        map.sparse.shrink_to_fit();
        Ok(map)
    }

    /// Returns the number of a tenant, a new one where it has none.
    fn number(&mut self, tenant: &Value<'_>, known: &mut HashMap<Vec<u8>, u32>, spelled: &mut Vec<u8>) -> u32 {
        spelled.clear();
        // A text and a blob of the same bytes are two tenants.
        let held = match tenant {
            Value::Null => return NOBODY,
            Value::Integer(number) => {
                spelled.push(b'i');
                spelled.extend_from_slice(&number.to_be_bytes());
                Value::Integer(*number)
            }
            Value::Real(number) => {
                spelled.push(b'r');
                spelled.extend_from_slice(&number.to_be_bytes());
                Value::Real(*number)
            }
            Value::Text(bytes) => {
                spelled.push(b't');
                spelled.extend_from_slice(bytes);
                Value::Text(Cow::Borrowed(bytes))
            }
            Value::Blob(bytes) => {
                spelled.push(b'b');
                spelled.extend_from_slice(bytes);
                Value::Blob(Cow::Borrowed(bytes))
            }
        };
        if let Some(&number) = known.get(spelled) {
            return number;
        }
        self.tenants.push(held.into_owned());
        let number = self.tenants.len() as u32;
        known.insert(spelled.clone(), number);
        number
    }

    fn add(&mut self, rowid: i64, tenant: u32) {
        if self.dense.is_empty() && self.sparse.is_empty() {
            self.base = rowid;
        }
        // A gap costs four bytes a row that is not there; past three of them for each that is, a pair costs less.
        let room = self.held.saturating_mul(4).saturating_add(1024);
        match self.place(rowid).filter(|&place| self.sparse.is_empty() && (self.dense.len()..room).contains(&place)) {
            Some(place) => {
                self.dense.resize(place, NOBODY);
                self.dense.push(tenant);
                self.held += 1;
            }
            None => self.sparse.push((rowid, tenant)),
        }
    }

    fn place(&self, rowid: i64) -> Option<usize> {
        rowid.checked_sub(self.base).and_then(|place| usize::try_from(place).ok())
    }

    fn tenant(&self, rowid: i64) -> u32 {
        match self.place(rowid).and_then(|place| self.dense.get(place)) {
            Some(&tenant) => tenant,
            None => match self.sparse.binary_search_by_key(&rowid, |&(rowid, _)| rowid) {
                Ok(at) => self.sparse[at].1,
                Err(_) => NOBODY,
            },
        }
    }

    /// Lets a connection's SQL look rowids up, by a function of this name: NULL for anything that has no tenant here.
    pub fn provide(self: &Arc<Self>, database: &Database, name: &str) -> Result<(), Diagnostic> {
        let map = Arc::clone(self);
        // Each connection counts the uses of values of its own, so that threads do not wait for each other.
        let tenants: Vec<SharedValue> = map.tenants.iter().map(|tenant| SharedValue::new(tenant.clone())).collect();
        database.add_function(name, move |key| {
            let Value::Integer(rowid) = key else { return None };
            let number = map.tenant(*rowid).checked_sub(1)?;
            tenants.get(number as usize).cloned()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::open_copy;

    fn looked_up(rows: &str, keys: &str) -> (Arc<TenantMap>, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("empty.db");
        std::fs::File::create(&path).unwrap();
        let database = open_copy(&path).unwrap();
        let sql = format!("SELECT column1, column2 FROM (VALUES {rows}) ORDER BY 1");
        let map = Arc::new(TenantMap::read(&database, &sql).unwrap());
        map.provide(&database, "tenant_of").unwrap();
        let mut found = Vec::new();
        let mut keep = |values: &[Value<'_>]| {
            found.push(match &values[0] {
                Value::Text(text) => String::from_utf8_lossy(text).into_owned(),
                other => format!("{other:?}"),
            });
            Ok::<(), Diagnostic>(())
        };
        database.for_each_row(&format!("SELECT tenant_of(column1) FROM (VALUES {keys})"), &[], &mut keep).unwrap();
        (map, found)
    }

    #[test]
    fn rowids_near_each_other_take_four_bytes_and_far_ones_are_found_as_well() {
        let rows = "(-3, 'a'), (-2, NULL), (0, 'b'), (1, 'a'), (9223372036854775807, 'c'), (-9223372036854775808, 'd'), (900, 'b')";
        let keys = "(-3), (-2), (-1), (0), (1), (2), (900), (9223372036854775807), (-9223372036854775808), (5000)";
        let (map, found) = looked_up(rows, keys);
        assert_eq!(found, ["a", "Null", "Null", "b", "a", "Null", "b", "c", "d", "Null"]);
        assert_eq!(
            (map.dense.len(), map.sparse.len(), map.tenants.len()),
            (1, 6, 4),
            "the least is far from all others"
        );
        let (map, found) =
            looked_up("(5, 'a'), (6, 'b'), (900, 'a'), (7000, 'c'), (7001, 'c')", "(5), (900), (7000), (6999), (4)");
        assert_eq!(found, ["a", "a", "c", "Null", "Null"]);
        assert_eq!((map.dense.len(), map.sparse.len()), (896, 2));
        // Gaps that grow do not make room for themselves.
        let rows: Vec<String> = (0..25).map(|power| format!("({}, 'a')", 4_i64.pow(power))).collect();
        let (map, found) = looked_up(&rows.join(", "), "(1), (256), (281474976710656), (255)");
        assert_eq!(found, ["a", "a", "a", "Null"]);
        assert_eq!((map.dense.len(), map.sparse.len()), (1024, 19));
    }

    #[test]
    fn tenants_keep_their_storage_and_only_integers_are_rowids() {
        let (map, found) = looked_up(
            "(1, 7), (2, '7'), (3, x'37'), (4, 7.0), (5, ''), (6, '7'), (7, CAST(x'ff' AS TEXT)), (8, 'a text of thirty-one characters')",
            "(1), (2), (3), (4), (5), (6), (8), ('1'), (1.0), (NULL), (x'01')",
        );
        assert_eq!(
            found,
            [
                "Integer(7)",
                "7",
                "Blob([55])",
                "Real(7.0)",
                "",
                "7",
                "a text of thirty-one characters",
                "Null",
                "Null",
                "Null",
                "Null"
            ]
        );
        assert_eq!(map.tenants.len(), 7);
    }
}

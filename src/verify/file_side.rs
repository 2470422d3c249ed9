//! Reads what the target is to have from several files that went into it together.

use super::rows::{Row, TableRows};
use super::sequences;
use super::sums::{Groups, RowHasher};
use super::tenant_sql::TenantSql;
use crate::diagnostic::Diagnostic;
use crate::plan::Plan;
use crate::schema::TableId;
use crate::sqlite::{Database, Snapshot};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// One of several files that went into one target: all its rows are those of one tenant, or shared.
#[derive(Debug, Clone, Copy)]
pub struct FileRows<'f> {
    /// The tenant, as the source spells its id.
    pub tenant: &'f str,
    /// The file at one moment.
    pub rows: &'f Snapshot,
}

/// What several files say of the target.
pub(super) struct FileSide<'s> {
    plan: &'s Plan,
    files: &'s [FileRows<'s>],
    /// The file of each tenant that rows were read of, by its encoded id.
    owners: BTreeMap<Vec<u8>, usize>,
}

impl<'s> FileSide<'s> {
    pub fn new(plan: &'s Plan, files: &'s [FileRows<'s>]) -> Self {
        Self { plan, files, owners: BTreeMap::new() }
    }

    /// Returns for each table the greatest number that any of its files ever gave out, where it promises not to give it out
    /// again.
    pub fn given_out(&self) -> Result<Vec<Option<i64>>, Diagnostic> {
        let tables = || self.plan.rewritten.target.table_ids();
        let mut most = vec![None; tables().count()];
        let source = |table: TableId| self.plan.rewritten.source_tables[table.index()];
        if !tables().any(|table| self.plan.source.table(source(table)).autoincrement) {
            return Ok(most);
        }
        for file in self.files {
            let database = file.rows.open()?;
            for (table, most) in tables().zip(&mut most) {
                *most = sequences::given_out(self.plan, &database, table)?.max(*most);
            }
        }
        Ok(most)
    }

    /// Derives the tenants of the files' rows, and sums these up, table by table; what files share counts once.
    pub fn read(
        &mut self,
        tables: &[Option<Arc<TableRows>>],
        hasher: RowHasher,
        progress: &mut dyn FnMut(&str, u64),
    ) -> Result<Vec<Option<Groups>>, Diagnostic> {
        let mut sums: Vec<_> =
            tables.iter().map(|rows| rows.as_ref().map(|_| (Groups::default(), Once::default(), 0_u64))).collect();
        for (number, file) in self.files.iter().enumerate() {
            let owners = &mut self.owners;
            of_file(self.plan, file, &mut |table, rows, database| {
                let Some((groups, once, count)) = &mut sums[table.index()] else { return Ok(()) };
                let shared = !rows.has_tenants();
                let mut tenant: Option<Vec<u8>> = None;
                once.next_file();
                rows.for_each_in_source(database, &mut |row| {
                    let hash = hasher.hash(row);
                    if shared {
                        if once.is_new(hash, hasher) {
                            groups.add(&[], hash);
                        }
                    } else {
                        let own = rows.tenant_of(row);
                        groups.add(own, hash);
                        if tenant.as_deref() != Some(own) {
                            tenant = Some(own.to_vec());
                            owners.insert(own.to_vec(), number);
                        }
                    }
                    *count += 1;
                })?;
                progress(&rows.name, *count);
                Ok(())
            })?;
        }
        Ok(sums.into_iter().map(|sums| sums.map(|(groups, ..)| groups)).collect())
    }

    /// Calls `f` with the rows of a table once more, at least with those of some tenants, given by their encoded ids.
    pub fn again(
        &self,
        table: TableId,
        rows: &TableRows,
        hasher: RowHasher,
        tenants: &BTreeSet<Vec<u8>>,
        f: &mut dyn FnMut(&Row),
    ) -> Result<(), Diagnostic> {
        let owners: BTreeSet<usize> = tenants.iter().filter_map(|tenant| self.owners.get(tenant).copied()).collect();
        let mut once = Once::default();
        for (_, file) in
            self.files.iter().enumerate().filter(|(number, _)| !rows.has_tenants() || owners.contains(number))
        {
            once.next_file();
            of_file(self.plan, file, &mut |other, rows, database| match other == table {
                false => Ok(()),
                true => rows.for_each_in_source(database, &mut |row| {
                    if rows.has_tenants() || once.is_new(hasher.hash(row), hasher) {
                        f(row);
                    }
                }),
            })?;
        }
        Ok(())
    }
}

/// Called with each target table, the way to its rows in a file, and the file.
type EachTable<'f> = dyn FnMut(TableId, &TableRows, &Database) -> Result<(), Diagnostic> + 'f;

/// Opens a file, derives the tenants of its rows, and calls `f` with each table.
fn of_file(plan: &Plan, file: &FileRows<'_>, f: &mut EachTable<'_>) -> Result<(), Diagnostic> {
    let plan = plan.of_tenant(file.tenant)?;
    let tenants = TenantSql::new(&plan);
    let database = file.rows.open()?;
    tenants.derive(&database)?;
    plan.rewritten.target.table_ids().try_for_each(|table| f(table, &TableRows::new(&plan, &tenants, table), &database))
}

/// Takes equal rows of several files for one. Where a file has one twice, as a table without a key may, it counts twice.
#[derive(Default)]
struct Once {
    seen: HashSet<u128>,
    in_file: HashMap<u128, u64>,
}

impl Once {
    fn next_file(&mut self) {
        self.in_file.clear();
    }

    fn is_new(&mut self, hash: u128, hasher: RowHasher) -> bool {
        let count = self.in_file.entry(hash).or_default();
        *count += 1;
        self.seen.insert(match count {
            1 => hash,
            count => hasher.hash_bytes(&[&hash.to_be_bytes()[..], &count.to_be_bytes()].concat()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_several_files_counts_as_often_as_in_the_one_that_has_it_most() {
        let hasher = RowHasher::random();
        let mut once = Once::default();
        let mut new = |file: &[u128]| {
            once.next_file();
            file.iter().filter(|&&hash| once.is_new(hash, hasher)).count()
        };
        assert_eq!(new(&[1, 2]), 2);
        assert_eq!(new(&[2, 1]), 0);
        assert_eq!(new(&[1, 1, 3]), 2);
        assert_eq!(new(&[1, 1, 1]), 1);
    }
}

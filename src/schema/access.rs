//! Finding what belongs to a schema, by id or by name, and adding to it.

use super::model::{
    Check, CheckId, Column, ColumnId, ForeignKey, ForeignKeyId, Index, IndexId, IndexMethod, IndexPart, Key, KeyId,
    KeyKind, Schema, Table, TableId,
};
use crate::diagnostic::Span;

impl<T> Schema<T> {
    /// Iterates over the ids of all tables, in order.
    pub fn table_ids(&self) -> impl DoubleEndedIterator<Item = TableId> + use<T> {
        (0..self.tables.len() as u32).map(TableId)
    }

    /// Returns a table.
    pub fn table(&self, id: TableId) -> &Table {
        &self.tables[id.index()]
    }

    /// Returns a column.
    pub fn column(&self, id: ColumnId) -> &Column<T> {
        &self.columns[id.index()]
    }

    /// Returns a key.
    pub fn key(&self, id: KeyId) -> &Key {
        &self.keys[id.index()]
    }

    /// Returns a foreign key.
    pub fn foreign_key(&self, id: ForeignKeyId) -> &ForeignKey {
        &self.foreign_keys[id.index()]
    }

    /// Returns an index.
    #[expect(clippy::should_implement_trait, reason = "the field's word for what it returns, beside table and key")]
    pub fn index(&self, id: IndexId) -> &Index {
        &self.indexes[id.index()]
    }

    /// Returns a check.
    pub fn check(&self, id: CheckId) -> &Check {
        &self.checks[id.index()]
    }

    /// Returns the names of some columns.
    pub fn column_names<'a>(&'a self, columns: &'a [ColumnId]) -> impl Iterator<Item = &'a str> {
        columns.iter().map(|&column| self.column(column).name.as_str())
    }

    /// Finds a table by name, as SQLite compares names: ASCII letters of either case are the same.
    pub fn find_table(&self, name: &str) -> Option<TableId> {
        self.table_ids().find(|&id| self.table(id).name.eq_ignore_ascii_case(name))
    }

    /// Finds a column of a table by name, as SQLite compares names.
    pub fn find_column(&self, table: TableId, name: &str) -> Option<ColumnId> {
        self.table(table).columns.iter().copied().find(|&id| self.column(id).name.eq_ignore_ascii_case(name))
    }

    /// Returns every key and unique index over plain columns that a foreign key may refer to, as column lists.
    pub fn unique_column_sets(&self, table: TableId) -> Vec<Vec<ColumnId>> {
        let table = self.table(table);
        let keys = table.primary_key.iter().chain(&table.unique_keys).map(|&key| self.key(key).columns.clone());
        let indexes = table
            .indexes
            .iter()
            .map(|&index| self.index(index))
            .filter(|index| index.unique && index.predicate.is_none())
            .filter_map(Index::plain_columns);
        keys.chain(indexes).collect()
    }

    /// Says whether a key or an index over plain columns lists all rows of a table in the order of some columns.
    pub fn is_ordered_by(&self, table: TableId, columns: &[ColumnId]) -> bool {
        let table = self.table(table);
        let mut keys = table.primary_key.iter().chain(&table.unique_keys).map(|&key| &self.key(key).columns);
        let mut indexes = table.indexes.iter().map(|&index| self.index(index));
        let ascends = |part: &IndexPart| !part.descending && !part.nulls_moved && part.collation.is_none();
        keys.any(|key| key.starts_with(columns))
            || indexes.any(|index| {
                index.method == IndexMethod::Btree
                    && index.predicate.is_none()
                    && index.parts.iter().all(ascends)
                    && index.plain_columns().is_some_and(|listed| listed.starts_with(columns))
            })
    }

    /// Adds a table without columns.
    pub fn add_table(&mut self, name: impl Into<String>, span: Option<Span>) -> TableId {
        let id = TableId(self.tables.len() as u32);
        self.tables.push(Table {
            name: name.into(),
            columns: Vec::new(),
            primary_key: None,
            unique_keys: Vec::new(),
            foreign_keys: Vec::new(),
            indexes: Vec::new(),
            checks: Vec::new(),
            rowid_alias: None,
            autoincrement: false,
            without_rowid: false,
            strict: false,
            span,
        });
        id
    }

    /// Adds a column at the end of its table.
    pub fn add_column(&mut self, column: Column<T>) -> ColumnId {
        let id = ColumnId(self.columns.len() as u32);
        self.tables[column.table.index()].columns.push(id);
        self.columns.push(column);
        id
    }

    /// Adds a key; a primary key takes the place of the table's present one.
    pub fn add_key(&mut self, key: Key) -> KeyId {
        let id = KeyId(self.keys.len() as u32);
        let table = &mut self.tables[key.table.index()];
        match key.kind {
            KeyKind::Primary => table.primary_key = Some(id),
            KeyKind::Unique => table.unique_keys.push(id),
        }
        self.keys.push(key);
        id
    }

    /// Adds a foreign key.
    pub fn add_foreign_key(&mut self, foreign_key: ForeignKey) -> ForeignKeyId {
        let id = ForeignKeyId(self.foreign_keys.len() as u32);
        self.tables[foreign_key.table.index()].foreign_keys.push(id);
        self.foreign_keys.push(foreign_key);
        id
    }

    /// Adds an index.
    pub fn add_index(&mut self, index: Index) -> IndexId {
        let id = IndexId(self.indexes.len() as u32);
        self.tables[index.table.index()].indexes.push(id);
        self.indexes.push(index);
        id
    }

    /// Adds a check.
    pub fn add_check(&mut self, check: Check) -> CheckId {
        let id = CheckId(self.checks.len() as u32);
        self.tables[check.table.index()].checks.push(id);
        self.checks.push(check);
        id
    }
}

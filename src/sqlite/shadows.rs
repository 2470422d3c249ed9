//! Shadow tables of a module that SQLite does not bring along: it takes them for ordinary ones.
//!
//! With the module loaded, SQLite tells a shadow table by its name alone, that of the virtual table and a suffix which the
//! module knows (<https://sqlite.org/vtab.html#the_xshadowname_method>); so it is told here, too.

use super::place::Placed;
use super::statements::split;
use crate::schema::{Other, OtherKind};

/// The virtual tables whose shadow tables SQLite does not know.
pub(super) struct ForeignVirtualTables(Vec<String>);

impl ForeignVirtualTables {
    /// Finds those of sqlite-vec, in what SQLite could not run and in what a database holds.
    pub fn find(foreign: &[Other], placed: &[Placed]) -> Self {
        let kept = foreign.iter().filter(|other| other.kind == OtherKind::VirtualTable);
        let kept = kept.map(|other| (&other.name, &other.sql));
        let there = placed.iter().filter(|placed| placed.row.kind == "table");
        let there = there.map(|placed| (&placed.row.name, &placed.row.sql));
        let of_vec =
            kept.chain(there).filter(|(_, sql)| module(sql).is_some_and(|name| name.eq_ignore_ascii_case("vec0")));
        Self(of_vec.map(|(name, _)| name.clone()).collect())
    }

    /// Says whether a table's name is that of a shadow table of one of them.
    pub fn have_shadow(&self, table: &str) -> bool {
        self.0.iter().any(|name| {
            let own = table.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
            own && table[name.len()..].strip_prefix('_').is_some_and(is_suffix_of_vec)
        })
    }
}

/// Reads which module a virtual table is of.
fn module(sql: &str) -> Option<String> {
    let statement = split(sql).next()?;
    statement.module(sql, &statement.created(sql)?)
}

/// Says what sqlite-vec calls its tables behind the virtual table's name: some have two digits, one a vector or column.
fn is_suffix_of_vec(suffix: &str) -> bool {
    let suffix = suffix.to_ascii_lowercase();
    let numbered =
        ["vector_chunks", "metadatachunks", "metadatatext"].iter().find_map(|kind| suffix.strip_prefix(kind));
    ["info", "chunks", "rowids", "auxiliary"].contains(&suffix.as_str())
        || numbered.is_some_and(|number| number.len() == 2 && number.bytes().all(|byte| byte.is_ascii_digit()))
}

//! Spreads a large schema over several in-memory databases.
//!
//! SQLite looks through its whole schema table at every CREATE, so that loading takes time with the square of the
//! number of objects. A table does not look at others when it is created: as long as every name is given once and
//! nothing is altered or dropped, tables can be created in different databases, each with its indexes and triggers, and
//! read back the same.

use super::statements::Statement;
use super::token::Token;
use std::collections::BTreeMap;

/// The most statements that go into one database.
const PER_DATABASE: usize = 100;

/// Returns the database for each statement, or `None` where all have to share one.
pub(super) fn spread<'t>(statements: impl IntoIterator<Item = (&'t str, &'t Statement)>) -> Option<Vec<usize>> {
    let mut homes: BTreeMap<String, usize> = BTreeMap::new();
    let mut tables = 0;
    let mut spread = Vec::new();
    for (text, statement) in statements {
        let created = statement.created(text).filter(|created| !created.is_virtual)?;
        let behind = statement.tokens.get(created.name + 1..)?;
        let is_temp = ["TEMP", "TEMPORARY"].iter().any(|word| statement.tokens[1].is_word(text, word));
        let is_plain = created.kind != "table" || behind.first().is_some_and(|token| token.is_symbol(text, "("));
        if is_temp || !is_plain {
            return None;
        }
        let home = match created.kind {
            "table" | "view" => {
                tables += 1;
                (tables - 1) / (PER_DATABASE / 2)
            }
            // Without its table, SQLite refuses it in any database.
            _ => homes.get(&owner(text, behind)?).copied().unwrap_or(0),
        };
        let name = statement.tokens[created.name].name(text).to_ascii_lowercase();
        if homes.insert(name, home).is_some() {
            return None;
        }
        spread.push(home);
    }
    (spread.len() > PER_DATABASE).then_some(spread)
}

/// Returns the table that an index or trigger belongs to, in lower case.
fn owner(text: &str, behind: &[Token]) -> Option<String> {
    let on = behind.iter().position(|token| token.is_word(text, "ON"))?;
    let qualified = behind.get(on + 2).is_some_and(|token| token.is_symbol(text, "."));
    behind.get(on + 1 + 2 * usize::from(qualified)).map(|table| table.name(text).to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::super::statements::split;
    use super::*;

    fn homes(text: &str) -> Option<Vec<usize>> {
        let statements: Vec<_> = split(text).collect();
        spread(statements.iter().map(|statement| (text, statement)))
    }

    fn many(tables: usize) -> String {
        (0..tables).map(|n| format!("CREATE TABLE t{n}(a); CREATE INDEX i{n} ON main.T{n}(a);")).collect()
    }

    #[test]
    fn indexes_and_triggers_stay_with_their_table() {
        let text = format!("{} CREATE TRIGGER x UPDATE OF a ON t3 BEGIN SELECT 1; END;", many(120));
        let homes = homes(&text).unwrap();
        assert_eq!((homes[0], homes[1], homes[239], homes[238], homes[240]), (0, 0, 2, 2, 0));
    }

    #[test]
    fn what_looks_at_other_objects_keeps_all_in_one_database() {
        assert_eq!(homes(&many(20)), None, "small");
        for statement in [
            "ALTER TABLE t1 ADD COLUMN b",
            "DROP TABLE t1",
            "CREATE TABLE IF NOT EXISTS t1(b)",
            "CREATE INDEX T7 ON t1(a)",
            "CREATE TABLE x AS SELECT * FROM t1",
            "CREATE VIRTUAL TABLE x USING fts5(a)",
            "CREATE TEMP TABLE x(a)",
        ] {
            assert_eq!(homes(&format!("{}{statement};", many(120))), None, "{statement}");
        }
    }
}

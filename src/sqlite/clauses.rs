//! Reads what only the text of a CREATE TABLE has: constraint names, expressions, collations, conflict and deferral
//! clauses, and where everything stands.
//!
//! SQLite has already accepted the text, so this follows the rules of SQLite's own grammar (`parse.y`: `columnlist`,
//! `ccons`, `tcons`) and nothing else: column names in `'…'`, types of many words, constraints without commas between
//! them and bare CONSTRAINT names are read as SQLite reads them.

use super::key_parts::{KeyPart, read_column_names, read_key_parts};
use super::reader::{Reader, Unreadable};
use super::token::TokenKind;
use crate::schema::{Action, Deferral, KeyKind};
use std::ops::Range;

/// The clauses of a CREATE TABLE. All ranges are byte offsets in its text.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct TableClauses {
    /// Where the table's name stands.
    pub name: Range<usize>,
    /// Columns in order.
    pub columns: Vec<ColumnClause>,
    /// Primary and unique keys in order.
    pub keys: Vec<KeyClause>,
    /// Foreign keys in order.
    pub foreign_keys: Vec<ForeignKeyClause>,
    /// CHECK constraints in order.
    pub checks: Vec<CheckClause>,
    /// AUTOINCREMENT.
    pub autoincrement: bool,
    /// WITHOUT ROWID.
    pub without_rowid: bool,
    /// STRICT.
    pub strict: bool,
}

/// A column's clauses.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct ColumnClause {
    /// Its name.
    pub name: String,
    /// Where its name stands.
    pub range: Range<usize>,
    /// Its type as written; empty without one.
    pub declared: String,
    /// NOT NULL.
    pub not_null: bool,
    /// ON CONFLICT behind NOT NULL, in upper case, where it is not ABORT.
    pub not_null_conflict: Option<String>,
    /// The default's expression or word.
    pub default: Option<Range<usize>>,
    /// The generation expression, and whether it is STORED.
    pub generated: Option<(Range<usize>, bool)>,
    /// COLLATE.
    pub collation: Option<String>,
}

/// A PRIMARY KEY or UNIQUE constraint.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct KeyClause {
    /// Primary or unique.
    pub kind: KeyKind,
    /// Its constraint name.
    pub name: Option<String>,
    /// Its columns.
    pub columns: Vec<KeyPart>,
    /// ON CONFLICT, in upper case, where it is not ABORT.
    pub on_conflict: Option<String>,
    /// Where it stands.
    pub range: Range<usize>,
}

/// A foreign key.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct ForeignKeyClause {
    /// Its constraint name.
    pub name: Option<String>,
    /// The constrained columns.
    pub columns: Vec<String>,
    /// The table referred to.
    pub table: String,
    /// The referenced columns; empty where they are left out.
    pub referenced: Vec<String>,
    /// ON DELETE.
    pub on_delete: Action,
    /// ON UPDATE.
    pub on_update: Action,
    /// DEFERRABLE.
    pub deferral: Deferral,
    /// Where it stands.
    pub range: Range<usize>,
}

/// A CHECK constraint.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct CheckClause {
    /// Its constraint name.
    pub name: Option<String>,
    /// Where its expression stands, without the parentheses.
    pub expr: Range<usize>,
    /// Where it stands.
    pub range: Range<usize>,
}

/// Words that end a column's type: SQLite takes every other word for a part of it.
const AFTER_TYPE: &[&str] = &[
    "AS",
    "CHECK",
    "COLLATE",
    "CONSTRAINT",
    "DEFAULT",
    "DEFERRABLE",
    "NOT",
    "NULL",
    "PRIMARY",
    "REFERENCES",
    "UNIQUE",
];

/// Reads the clauses of a CREATE TABLE from its name on: `name (columns, constraints) options`.
pub(super) fn read_table(text: &str) -> Result<TableClauses, Unreadable> {
    let mut reader = Reader::new(text);
    let mut table = TableClauses { name: reader.name()?.1, ..TableClauses::default() };
    if !reader.eat_symbol("(") {
        return Err(reader.unreadable("the column list"));
    }
    loop {
        read_column(&mut reader, &mut table)?;
        if !reader.eat_symbol(",") || starts_constraint(&reader) {
            break;
        }
    }
    read_table_constraints(&mut reader, &mut table)?;
    if !reader.eat_symbol(")") {
        return Err(reader.unreadable("a constraint, a comma or the end of the column list"));
    }
    loop {
        if reader.eat(&["WITHOUT", "ROWID"]) {
            table.without_rowid = true;
        } else if reader.eat(&["STRICT"]) {
            table.strict = true;
        } else if !reader.eat_symbol(",") {
            break;
        }
    }
    if reader.peek(0).is_some() { Err(reader.unreadable("a table option")) } else { Ok(table) }
}

fn starts_constraint(reader: &Reader<'_>) -> bool {
    ["CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"].iter().any(|word| reader.is_word(0, word))
}

fn read_column(reader: &mut Reader<'_>, table: &mut TableClauses) -> Result<(), Unreadable> {
    let (name, range) = reader.name()?;
    let declared = read_type(reader)?;
    let mut column = ColumnClause { name, range, declared, ..ColumnClause::default() };
    let mut constraint: Option<(String, usize)> = None;
    let key = |kind, column: &ColumnClause, descending, (name, on_conflict), range| KeyClause {
        kind,
        name,
        columns: vec![KeyPart { column: column.name.clone(), collation: None, descending }],
        on_conflict,
        range,
    };
    loop {
        let start = constraint.as_ref().map_or(reader.offset(), |(_, start)| *start);
        let mut named = || constraint.take().map(|(name, _)| name);
        if reader.is_word(0, "CONSTRAINT") {
            let start = reader.offset();
            reader.step();
            constraint = Some((reader.name()?.0, start));
        } else if reader.eat(&["DEFAULT"]) {
            column.default = Some(read_default(reader)?);
            constraint = None;
        } else if reader.eat(&["NOT", "NULL"]) {
            column.not_null = true;
            column.not_null_conflict = read_on_conflict(reader)?;
            constraint = None;
        } else if reader.eat(&["NULL"]) {
            read_on_conflict(reader)?;
            constraint = None;
        } else if reader.eat(&["PRIMARY", "KEY"]) {
            let descending = !reader.eat(&["ASC"]) && reader.eat(&["DESC"]);
            let on_conflict = read_on_conflict(reader)?;
            table.autoincrement |= reader.eat(&["AUTOINCREMENT"]);
            table.keys.push(key(KeyKind::Primary, &column, descending, (named(), on_conflict), start..reader.end()));
        } else if reader.eat(&["UNIQUE"]) {
            let on_conflict = read_on_conflict(reader)?;
            table.keys.push(key(KeyKind::Unique, &column, false, (named(), on_conflict), start..reader.end()));
        } else if reader.eat(&["CHECK"]) {
            let expr = reader.parenthesised()?;
            table.checks.push(CheckClause { name: named(), expr, range: start..reader.end() });
        } else if reader.is_word(0, "REFERENCES") {
            let mut foreign_key = read_references(reader)?;
            foreign_key.name = named();
            foreign_key.columns = vec![column.name.clone()];
            foreign_key.range = start..reader.end();
            table.foreign_keys.push(foreign_key);
        } else if let Some(deferral) = read_deferral(reader) {
            // As a clause of its own it belongs to the foreign key declared last, wherever that stands.
            if let Some(foreign_key) = table.foreign_keys.last_mut() {
                foreign_key.deferral = deferral;
                if foreign_key.columns == [column.name.as_str()] {
                    foreign_key.range.end = reader.end();
                }
            }
        } else if reader.eat(&["COLLATE"]) {
            column.collation = Some(reader.name()?.0);
            constraint = None;
        } else if reader.eat(&["GENERATED", "ALWAYS", "AS"]) || reader.eat(&["AS"]) {
            let expr = reader.parenthesised()?;
            let stored = reader.eat(&["STORED"]);
            let _ = stored || reader.eat(&["VIRTUAL"]);
            column.generated = Some((expr, stored));
            constraint = None;
        } else {
            break;
        }
    }
    table.columns.push(column);
    Ok(())
}

/// Reads a type: every word up to one that starts a clause, and what stands in parentheses behind.
fn read_type(reader: &mut Reader<'_>) -> Result<String, Unreadable> {
    let start = reader.offset();
    let mut end = start;
    while let Some(token) = reader.peek(0) {
        let belongs = match token.kind {
            TokenKind::Word => !AFTER_TYPE.iter().any(|word| token.is_word(reader.text, word)),
            TokenKind::Quoted | TokenKind::String => true,
            _ => false,
        };
        if !belongs {
            break;
        }
        end = token.range.end;
        reader.step();
    }
    if end > start && reader.is_symbol("(") {
        reader.parenthesised()?;
        end = reader.end();
    }
    Ok(without_generated_always(reader.text.get(start..end).unwrap_or_default()).to_owned())
}

/// Cuts GENERATED ALWAYS off a type, of which SQLite first takes it for the last words; also the last of them alone,
/// where the whole is as long as both (`sqlite3AddColumn`).
fn without_generated_always(declared: &str) -> &str {
    let cut = |text: &str, word: &str| {
        let start = text.len().checked_sub(word.len())?;
        text.get(start..)?.eq_ignore_ascii_case(word).then_some(start)
    };
    let Some(always) = (declared.len() >= 16).then(|| cut(declared, "always")).flatten() else { return declared };
    let rest = declared.get(..always).unwrap_or_default().trim_end();
    match cut(rest, "generated") {
        Some(generated) => rest.get(..generated).unwrap_or_default().trim_end(),
        None => rest,
    }
}

fn read_default(reader: &mut Reader<'_>) -> Result<Range<usize>, Unreadable> {
    if reader.is_symbol("(") {
        return reader.parenthesised();
    }
    let start = reader.offset();
    let _ = reader.eat_symbol("+") || reader.eat_symbol("-");
    match reader.step() {
        Some(token) if token.kind != TokenKind::Symbol => Ok(start..token.range.end),
        _ => Err(reader.unreadable("a default value")),
    }
}

fn read_on_conflict(reader: &mut Reader<'_>) -> Result<Option<String>, Unreadable> {
    if !reader.eat(&["ON", "CONFLICT"]) {
        return Ok(None);
    }
    let action = reader.name()?.0.to_ascii_uppercase();
    Ok((action != "ABORT").then_some(action))
}

fn read_deferral(reader: &mut Reader<'_>) -> Option<Deferral> {
    let negated = reader.eat(&["NOT", "DEFERRABLE"]);
    if !negated && !reader.eat(&["DEFERRABLE"]) {
        return None;
    }
    let deferred = reader.eat(&["INITIALLY", "DEFERRED"]);
    let _ = deferred || reader.eat(&["INITIALLY", "IMMEDIATE"]);
    Some(match (negated, deferred) {
        (true, _) => Deferral::NotDeferrable,
        (false, true) => Deferral::InitiallyDeferred,
        (false, false) => Deferral::InitiallyImmediate,
    })
}

/// Reads `REFERENCES table (columns) actions`, and a deferral right behind.
fn read_references(reader: &mut Reader<'_>) -> Result<ForeignKeyClause, Unreadable> {
    reader.expect(&["REFERENCES"], "REFERENCES")?;
    let mut foreign_key = ForeignKeyClause { table: reader.name()?.0, ..ForeignKeyClause::default() };
    if reader.is_symbol("(") {
        foreign_key.referenced = read_column_names(reader)?;
    }
    loop {
        if reader.eat(&["MATCH"]) {
            // SQLite reads a MATCH and does as for MATCH SIMPLE, whatever it says.
            reader.name()?;
        } else if reader.eat(&["ON", "DELETE"]) {
            foreign_key.on_delete = read_action(reader)?;
        } else if reader.eat(&["ON", "UPDATE"]) {
            foreign_key.on_update = read_action(reader)?;
        } else if reader.eat(&["ON", "INSERT"]) {
            read_action(reader)?;
        } else {
            break;
        }
    }
    Ok(foreign_key)
}

fn read_action(reader: &mut Reader<'_>) -> Result<Action, Unreadable> {
    for (words, action) in [
        (&["SET", "NULL"][..], Action::SetNull),
        (&["SET", "DEFAULT"][..], Action::SetDefault),
        (&["CASCADE"][..], Action::Cascade),
        (&["RESTRICT"][..], Action::Restrict),
        (&["NO", "ACTION"][..], Action::NoAction),
    ] {
        if reader.eat(words) {
            return Ok(action);
        }
    }
    Err(reader.unreadable("an action"))
}

fn read_table_constraints(reader: &mut Reader<'_>, table: &mut TableClauses) -> Result<(), Unreadable> {
    let mut constraint: Option<(String, usize)> = None;
    loop {
        let start = constraint.as_ref().map_or(reader.offset(), |(_, start)| *start);
        let mut named = || constraint.take().map(|(name, _)| name);
        if reader.eat_symbol(",") {
            constraint = None;
        } else if reader.is_word(0, "CONSTRAINT") {
            let start = reader.offset();
            reader.step();
            constraint = Some((reader.name()?.0, start));
        } else if reader.is_word(0, "PRIMARY") || reader.is_word(0, "UNIQUE") {
            let kind = if reader.eat(&["PRIMARY", "KEY"]) { KeyKind::Primary } else { KeyKind::Unique };
            reader.eat(&["UNIQUE"]);
            table.autoincrement |= kind == KeyKind::Primary && holds_autoincrement(reader);
            let columns = read_key_parts(reader)?;
            let on_conflict = read_on_conflict(reader)?;
            table.keys.push(KeyClause { kind, name: named(), columns, on_conflict, range: start..reader.end() });
        } else if reader.eat(&["CHECK"]) {
            let expr = reader.parenthesised()?;
            // SQLite reads a conflict clause behind CHECK and ignores it.
            read_on_conflict(reader)?;
            table.checks.push(CheckClause { name: named(), expr, range: start..reader.end() });
        } else if reader.eat(&["FOREIGN", "KEY"]) {
            let columns = read_column_names(reader)?;
            let mut foreign_key = read_references(reader)?;
            foreign_key.deferral = read_deferral(reader).unwrap_or_default();
            foreign_key.name = named();
            foreign_key.columns = columns;
            foreign_key.range = start..reader.end();
            table.foreign_keys.push(foreign_key);
        } else {
            return Ok(());
        }
    }
}

fn holds_autoincrement(reader: &Reader<'_>) -> bool {
    let inside = reader.rest().iter().take_while(|token| !token.is_symbol(reader.text, ")"));
    inside.last().is_some_and(|token| token.is_word(reader.text, "AUTOINCREMENT"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> TableClauses {
        read_table(text).unwrap_or_else(|error| panic!("{text}: {error:?}"))
    }

    #[test]
    fn odd_spellings_are_read_as_sqlite_reads_them() {
        let text = "t('a' UNSIGNED BIG INT, [b c] TEXT AFTER description DEFAULT \"x\", `d` VARCHAR(10,20) CONSTRAINT bare,
            e CONSTRAINT n NOT NULL ON CONFLICT FAIL UNIQUE ON CONFLICT IGNORE, f INT GENERATED ALWAYS AS (a * (2)) STORED,
            g AS (a), h DEFAULT -1.5e3 COLLATE nocase, i NULL CHECK (i IN (1, 2)),
            CONSTRAINT x CONSTRAINT y CHECK (a > 1) UNIQUE (a, (\"b c\") COLLATE rtrim DESC) ON CONFLICT REPLACE CHECK (b)) STRICT, WITHOUT ROWID";
        let table = read(text);
        let shown: Vec<_> = table.columns.iter().map(|c| (c.name.as_str(), c.declared.as_str())).collect();
        assert_eq!(
            shown[..4],
            [("a", "UNSIGNED BIG INT"), ("b c", "TEXT AFTER description"), ("d", "VARCHAR(10,20)"), ("e", "")]
        );
        assert_eq!(shown[4], ("f", "INT"));
        let slice = |range: &Range<usize>| &text[range.clone()];
        assert_eq!(table.columns[1].default.as_ref().map(slice), Some("\"x\""));
        assert_eq!(table.columns[4].generated.as_ref().map(|(r, s)| (slice(r), *s)), Some(("a * (2)", true)));
        assert_eq!(table.columns[5].generated.as_ref().map(|(r, s)| (slice(r), *s)), Some(("a", false)));
        assert_eq!(table.columns[6].default.as_ref().map(slice), Some("-1.5e3"));
        assert_eq!(table.columns[6].collation.as_deref(), Some("nocase"));
        let checks: Vec<_> = table.checks.iter().map(|c| (c.name.as_deref(), slice(&c.expr))).collect();
        assert_eq!(checks, [(None, "i IN (1, 2)"), (Some("y"), "a > 1"), (None, "b")]);
        assert_eq!(table.columns[3].not_null_conflict.as_deref(), Some("FAIL"));
        assert_eq!(table.keys[0].on_conflict.as_deref(), Some("IGNORE"));
        assert_eq!(
            table.keys[1].columns[1],
            KeyPart { column: "b c".into(), collation: Some("rtrim".into()), descending: true }
        );
        assert_eq!(table.keys[1].on_conflict.as_deref(), Some("REPLACE"));
        assert!(table.strict && table.without_rowid);
    }

    #[test]
    fn foreign_keys_keep_names_actions_and_deferral() {
        let text = "t(a INT CONSTRAINT fk REFERENCES p ON DELETE CASCADE MATCH full NOT NULL DEFERRABLE INITIALLY DEFERRED,
            b, CONSTRAINT two FOREIGN KEY (a, 'b') REFERENCES \"q r\"(x, y) ON UPDATE SET NULL NOT DEFERRABLE INITIALLY DEFERRED)";
        let table = read(text);
        let [one, two] = &table.foreign_keys[..] else { panic!("{table:?}") };
        assert_eq!((one.name.as_deref(), one.table.as_str(), one.on_delete), (Some("fk"), "p", Action::Cascade));
        assert_eq!((one.referenced.len(), one.deferral), (0, Deferral::InitiallyDeferred));
        assert!(table.columns[0].not_null);
        assert_eq!((two.columns.join(","), two.referenced.join(",")), ("a,b".into(), "x,y".into()));
        assert_eq!((two.on_update, two.deferral), (Action::SetNull, Deferral::NotDeferrable));
        assert!(text[two.range.clone()].starts_with("CONSTRAINT two") && text[two.range.clone()].ends_with("DEFERRED"));
    }

    #[test]
    fn what_is_no_table_is_unreadable_where_it_stops_being_one() {
        assert_eq!(read_table("t(a INT").unwrap_err().at, 7);
        assert_eq!(read_table("t(a) NONSENSE").unwrap_err().at, 5);
        assert_eq!(read_table("").unwrap_err().expected, "a name");
    }
}

//! Is what was read what stands there? The model is written back as DDL, and SQLite compares the two.
//!
//! Both go into a database of their own. Their pragmas have to say the same, and so has the program that SQLite compiles
//! for inserts, updates, deletes and sorts over the table and over those that it refers to: CHECKs, defaults, generated
//! columns, collations, conflict clauses, actions and partial indexes are all in that. What is in neither, the names of
//! constraints and DEFERRABLE, is compared word by word.

use super::render::{Manner, render};
use super::tokens::{lost, words};
use rusqlite::Connection;
use std::collections::BTreeSet;
use std::fs;
use tenantry::diagnostic::Sources;
use tenantry::ident::quote_always;
use tenantry::schema::{OtherKind, SourceSchema, TableId};
use tenantry::sqlite::read_source;

/// A table with its indexes, or another object, as SQLite keeps it.
#[derive(Debug, Clone)]
pub struct Subject {
    /// `table`, `index`, `view`, `trigger` or `virtual table`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// The table that it belongs to; for a table its own name.
    pub table: String,
    /// The statements that have to run before it.
    pub before: Vec<String>,
    /// Its statement.
    pub sql: String,
}

/// Reads a text as the tool reads a source.
pub fn read(text: &str) -> Result<SourceSchema, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("schema.sql");
    fs::write(&path, text).unwrap();
    read_source(&path, &mut Sources::default()).map_err(|errors| errors.to_string())
}

/// How a comparison ends that finds nothing lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// All is there.
    Same,
    /// It refers to what does not exist, which is an error wherever it is used.
    LeadsNowhere,
}

/// Says what got lost between a statement and what was read of it; `Ok` where nothing did.
pub fn compare(subject: &Subject) -> Result<Verdict, String> {
    match subject.kind {
        "table" | "index" => compare_table(subject),
        _ => compare_text(subject),
    }
}

/// Views, triggers and virtual tables are kept as text.
fn compare_text(subject: &Subject) -> Result<Verdict, String> {
    let schema = read(&format!("{};\n{};\n", subject.before.join(";\n"), subject.sql))?;
    let kind = match subject.kind {
        "view" => OtherKind::View,
        "trigger" => OtherKind::Trigger,
        _ => OtherKind::VirtualTable,
    };
    let found = schema.others.iter().find(|other| other.kind == kind && other.name == subject.name);
    let found = found.ok_or_else(|| format!("is not there: {:?}", schema.others))?;
    if subject.kind == "virtual table" && schema.tables.len() != subject.before.len() {
        let tables: Vec<&String> = schema.tables.iter().map(|table| &table.name).collect();
        return Err(format!("its shadow tables are taken for tables: {tables:?}"));
    }
    match lost(&subject.sql, &found.sql, "") {
        lost if lost.is_empty() => Ok(Verdict::Same),
        lost => Err(format!("loses {lost:?}")),
    }
}

fn compare_table(subject: &Subject) -> Result<Verdict, String> {
    let mut before = stand_ins(subject);
    let parents = before.clone();
    before.extend(subject.before.iter().cloned());
    let schema = read(&format!("{};\n{};\n", before.join(";\n"), subject.sql))?;
    let id = schema.find_table(&subject.table).ok_or("is not there")?;
    if schema.dangling.iter().any(|reference| reference.table == id) {
        // Only to itself, without a key: nothing can stand in for that, and no spec leaves it undecided.
        return Ok(Verdict::LeadsNowhere);
    }
    let mut original = database(before.iter().chain([&subject.sql]))?;
    let whole = subject.before.iter().chain([&subject.sql]).cloned().collect::<Vec<_>>().join(" ");
    let rendered = render(&schema, id, Manner::ALL[0]);
    let lost = lost(&whole, &rendered.join(" "), &subject.table);
    if !lost.is_empty() {
        return Err(format!("loses {lost:?}\n{}", rendered.join("\n")));
    }
    let mut outcome = Err(String::new());
    for manner in Manner::ALL {
        let rendered = render(&schema, id, manner);
        let same = compare_rendered(subject, &schema, id, &mut original, &parents, &rendered);
        outcome = same.map_err(|error| format!("{error}\n{}", rendered.join("\n")));
        if outcome.is_ok() {
            return Ok(Verdict::Same);
        }
    }
    outcome.map(|()| Verdict::Same)
}

fn compare_rendered(
    subject: &Subject,
    schema: &SourceSchema,
    id: TableId,
    original: &mut Connection,
    parents: &[String],
    rendered: &[String],
) -> Result<(), String> {
    let mut again = database(parents.iter().chain(rendered))?;
    let alias = schema.table(id).rowid_alias.map(|column| schema.column(column).name.as_str());
    let same = |what: &str, one: Vec<String>, other: Vec<String>| match one.iter().zip(&other).find(|(a, b)| a != b) {
        _ if one == other => Ok(()),
        Some((one, other)) => Err(format!("{what}: {one} became {other}")),
        None => Err(format!("{what}: {one:?} became {other:?}")),
    };
    for pragma in PRAGMAS {
        let read = |connection: &Connection| pragma_rows(connection, pragma, &subject.table, alias);
        same(pragma.0, read(original)?, read(&again)?)?;
    }
    let referred = schema.foreign_keys.iter().filter(|key| key.table == id).map(|key| key.referenced_table);
    let tables: BTreeSet<TableId> = referred.chain([id]).collect();
    for table in tables {
        for statement in statements(original, &schema.table(table).name)? {
            let (one, other) = (program(original, &statement), program(&mut again, &statement));
            if !(has_case_with_operand(subject) && operations(&one) == operations(&other)) {
                same(&statement, one, other)?;
            }
        }
    }
    Ok(())
}

fn failed(error: rusqlite::Error) -> String {
    error.to_string()
}

/// Makes a database of some statements that checks foreign keys.
pub fn database<'s>(statements: impl IntoIterator<Item = &'s String>) -> Result<Connection, String> {
    let connection = Connection::open_in_memory().map_err(failed)?;
    connection.execute_batch("PRAGMA foreign_keys = ON").map_err(failed)?;
    for statement in statements {
        connection.execute_batch(statement).map_err(|error| format!("SQLite refuses it: {error}\n{statement}"))?;
    }
    Ok(connection)
}

/// Makes tables for the references of a statement, so that it can stand alone.
fn stand_ins(subject: &Subject) -> Vec<String> {
    let Ok(connection) = database(subject.before.iter().chain([&subject.sql])) else { return Vec::new() };
    let rows = rows(
        &connection,
        "SELECT id, \"table\", \"to\" FROM pragma_foreign_key_list(?1) ORDER BY id, seq",
        &subject.table,
    );
    let mut keys: Vec<(String, String, Vec<String>)> = Vec::new();
    for row in rows.unwrap_or_default() {
        let [id, table, to] = &row[..] else { continue };
        match keys.last_mut() {
            Some((last, _, columns)) if last == id => columns.push(to.clone()),
            _ => keys.push((id.clone(), table.clone(), vec![to.clone()])),
        }
    }
    let mut parents: Vec<String> = keys.iter().map(|(_, table, _)| table.to_lowercase()).collect();
    parents.sort();
    parents.dedup();
    parents.retain(|parent| *parent != subject.table.to_lowercase());
    let make = |parent: &String| {
        let mut columns: Vec<String> = Vec::new();
        let mut lines = Vec::new();
        let mut name = parent.clone();
        for (_, table, to) in keys.iter().filter(|(_, table, _)| table.to_lowercase() == *parent) {
            name.clone_from(table);
            let is_implied = to[0] == "NULL";
            let own: Vec<String> = match is_implied {
                true => (0..to.len()).map(|number| format!("primary key {number}")).collect(),
                false => to.iter().map(|column| column.to_lowercase()).collect(),
            };
            let list = own.iter().map(|column| quote_always(column)).collect::<Vec<_>>().join(", ");
            lines.push(format!("{} ({list})", if is_implied { "PRIMARY KEY" } else { "UNIQUE" }));
            columns.extend(own);
        }
        columns.sort();
        columns.dedup();
        lines.sort();
        lines.dedup();
        let columns = columns.iter().map(|column| quote_always(column)).chain(lines).collect::<Vec<_>>();
        format!("CREATE TABLE {}({})", quote_always(&name), columns.join(", "))
    };
    parents.iter().map(make).collect()
}

type Pragma = (&'static str, &'static str);

const PRAGMAS: &[Pragma] = &[
    ("table_list", "SELECT ncol, wr, strict FROM pragma_table_list WHERE schema = 'main' AND name = ?1 COLLATE NOCASE"),
    ("table_xinfo", "SELECT name, type, \"notnull\" OR name = ?2, pk, hidden FROM pragma_table_xinfo(?1)"),
    (
        "foreign_key_list",
        "SELECT group_concat(own || '>' || lower(referred), ','), lower(\"table\"), on_update, on_delete
         FROM (SELECT f.id, f.\"table\", f.on_update, f.on_delete, f.\"from\" AS own,
                 coalesce(f.\"to\", (SELECT name FROM pragma_table_info(f.\"table\") WHERE pk = f.seq + 1)) AS referred
             FROM pragma_foreign_key_list(?1) f ORDER BY id, seq) GROUP BY id, lower(\"table\"), on_update, on_delete",
    ),
    ("index_list", "SELECT name, \"unique\", origin, partial FROM pragma_index_list(?1)"),
    (
        "index_xinfo",
        "SELECT l.name, x.seqno, x.cid, x.name, x.\"desc\", lower(x.coll), x.key
         FROM pragma_index_list(?1) l, pragma_index_xinfo(l.name) x",
    ),
];

fn pragma_rows(
    connection: &Connection,
    (name, sql): &Pragma,
    table: &str,
    alias: Option<&str>,
) -> Result<Vec<String>, String> {
    let mut statement = connection.prepare(sql).map_err(failed)?;
    let width = statement.column_count();
    let with_alias = *name == "table_xinfo";
    if with_alias {
        statement.raw_bind_parameter(2, alias).map_err(failed)?;
    }
    statement.raw_bind_parameter(1, table).map_err(failed)?;
    let mut rows = statement.raw_query();
    let mut lines = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        lines.push((0..width).map(|at| shown(row.get_ref(at).unwrap()) + " ").collect());
    }
    if *name == "foreign_key_list" {
        // Those of columns and those of the table are numbered in another order.
        lines.sort();
    }
    Ok(lines)
}

fn rows(connection: &Connection, sql: &str, table: &str) -> Result<Vec<Vec<String>>, String> {
    let mut statement = connection.prepare(sql).map_err(failed)?;
    let width = statement.column_count();
    let found = statement.query_map([table], |row| {
        (0..width).map(|at| row.get_ref(at).map(shown)).collect::<rusqlite::Result<Vec<_>>>()
    });
    found.map_err(failed)?.collect::<rusqlite::Result<_>>().map_err(failed)
}

fn shown(value: rusqlite::types::ValueRef<'_>) -> String {
    match value {
        rusqlite::types::ValueRef::Null => "NULL".to_owned(),
        rusqlite::types::ValueRef::Integer(number) => number.to_string(),
        other => String::from_utf8_lossy(other.as_bytes().unwrap_or_default()).into_owned(),
    }
}

/// Writes statements whose programs hold all that a table does.
fn statements(connection: &Connection, table: &str) -> Result<Vec<String>, String> {
    let columns = rows(connection, "SELECT name, hidden FROM pragma_table_xinfo(?1)", table)?;
    let all: Vec<String> = columns.iter().map(|row| quote_always(&row[0])).collect();
    let plain: Vec<String> = columns.iter().filter(|row| row[1] == "0").map(|row| quote_always(&row[0])).collect();
    let table = quote_always(table);
    let compared: Vec<String> = all.iter().map(|column| format!("{column} = 'x'")).collect();
    let set: Vec<String> = plain.iter().map(|column| format!("{column} = ?")).collect();
    let sorted = &all[..all.len().min(60)];
    Ok(vec![
        format!("INSERT INTO {table} DEFAULT VALUES"),
        format!("INSERT INTO {table}({}) VALUES({})", plain.join(", "), vec!["?"; plain.len()].join(", ")),
        format!("UPDATE {table} SET {}", set.join(", ")),
        format!("DELETE FROM {table} WHERE {}", all[0]),
        format!("SELECT {} FROM {table} NOT INDEXED", compared.join(", ")),
        format!("SELECT 1 FROM {table} ORDER BY {}", sorted.join(", ")),
    ])
}

/// The model has one kind of CASE; SQLite uses other registers for the other one.
fn has_case_with_operand(subject: &Subject) -> bool {
    let words = words(&subject.sql);
    words.windows(2).any(|pair| pair[0] == "case" && pair[1] != "when")
}

/// Returns what a program does, without registers and addresses.
fn operations(program: &[String]) -> Vec<&str> {
    let mut operations: Vec<&str> = program.iter().filter_map(|line| line.split(' ').next()).collect();
    operations.sort_unstable();
    operations
}

/// Returns the program that SQLite compiles for a statement, or why it does not.
fn program(connection: &mut Connection, sql: &str) -> Vec<String> {
    let mut statement = match connection.prepare(&format!("EXPLAIN {sql}")) {
        Ok(statement) => statement,
        Err(error) => return vec![error.to_string()],
    };
    let mut rows = statement.raw_query();
    let mut lines = Vec::new();
    while let Ok(Some(row)) = rows.next() {
        let opcode: String = row.get(1).unwrap();
        // A CHECK without a name is named by its text, which may be spelled in another way.
        let is_check = opcode == "Halt" && row.get::<_, i64>(2).unwrap() == 275;
        let operands =
            (2..7).filter(|&at| !(is_check && at == 5)).map(|at| format!(" {}", shown(row.get_ref(at).unwrap())));
        // BINARY said and not said is the same.
        let operands = operands.collect::<String>().replace(",B", ",").replace("-B", "-");
        lines.push(format!("{opcode}{operands}"));
    }
    lines
}

mod tests {
    use super::*;

    #[test]
    fn whatever_is_lost_is_noticed() {
        let table = "CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, a TEXT COLLATE nocase DEFAULT 'x' NOT NULL ON CONFLICT IGNORE,
            b INT CHECK (b > 1), c TEXT AS (a || 'y') STORED, r ANY CONSTRAINT f REFERENCES p(x) ON DELETE SET NULL ON UPDATE CASCADE
            DEFERRABLE INITIALLY DEFERRED, s INT, CONSTRAINT u UNIQUE (a DESC, b COLLATE rtrim) ON CONFLICT REPLACE) STRICT";
        let index = "CREATE UNIQUE INDEX i ON t(lower(a) COLLATE nocase DESC, b) WHERE b IS NOT 2 AND s".to_owned();
        let subject =
            Subject { kind: "index", name: "i".into(), table: "t".into(), before: vec![table.into()], sql: index };
        assert_eq!(compare(&subject), Ok(Verdict::Same));
        let parents = stand_ins(&subject);
        let all = parents.iter().chain(&subject.before).chain([&subject.sql]).cloned().collect::<Vec<_>>();
        let schema = read(&all.join(";\n")).unwrap();
        let id = schema.find_table("t").unwrap();
        let rendered = render(&schema, id, Manner::ALL[0]);
        let mut original = database(&all).unwrap();
        let whole = format!("{} {}", subject.before[0], subject.sql);
        for (from, to) in [
            (" AUTOINCREMENT", ""),
            ("COLLATE \"nocase\" NOT", "NOT"),
            ("DEFAULT 'x'", "DEFAULT 'X'"),
            (" ON CONFLICT IGNORE", ""),
            ("NOT NULL ON", "NULL ON"),
            ("b > 1", "b >= 1"),
            (",\n  CHECK (b > 1)", ""),
            (" STORED", " VIRTUAL"),
            ("a || 'y'", "a || 'z'"),
            ("CONSTRAINT \"f\" ", ""),
            ("CONSTRAINT \"u\" ", "CONSTRAINT \"v\" "),
            ("\"r\" ANY", "\"r\" INT"),
            (" ON DELETE SET NULL", ""),
            (" ON UPDATE CASCADE", " ON UPDATE RESTRICT"),
            (" DEFERRABLE INITIALLY DEFERRED", " DEFERRABLE"),
            (" DEFERRABLE INITIALLY DEFERRED", ""),
            ("\"a\" DESC", "\"a\""),
            ("\"b\" COLLATE \"rtrim\"", "\"b\""),
            (" ON CONFLICT REPLACE", ""),
            (" STRICT", ""),
            ("UNIQUE INDEX", "INDEX"),
            (" DESC, \"b\") WHERE", ", \"b\") WHERE"),
            ("COLLATE \"nocase\" DESC", "DESC"),
            ("IS NOT 2", "<> 2"),
            (" AND s", ""),
        ] {
            let changed: Vec<String> = rendered.iter().map(|statement| statement.replacen(from, to, 1)).collect();
            assert_ne!(changed, rendered, "{from} is not in {rendered:?}");
            let differs = compare_rendered(&subject, &schema, id, &mut original, &parents, &changed).is_err();
            assert!(differs || !lost(&whole, &changed.join(" "), "t").is_empty(), "{from} -> {to} is not noticed");
        }
    }
}

//! CREATE TABLE as SQLite reads it: keys, foreign keys and checks stand in it, because SQLite adds none later.

use super::{is_sqlite_collation, left_out, names};
use crate::ident::{is_reserved_in_sqlite, quote_for_sqlite};
use crate::plan::Plan;
use crate::rewrite::ColumnValue;
use crate::schema::{
    Action, Affinity, ColumnId, Declared, Deferral, Expr, ForeignKey, PgType, Table, TableId, sqlite_text,
};

/// Writes a table with its keys, foreign keys and checks.
pub(super) fn create_table(plan: &Plan, id: TableId) -> String {
    let target = &plan.rewritten.target;
    let described = target.table(id);
    let source_id = plan.rewritten.source_tables[id.index()];
    let source = plan.source.table(source_id);
    let primary = described.primary_key.map(|key| &target.key(key).columns[..]).unwrap_or_default();
    // Copies of one row in several tenants share their id, so it cannot be the rowid.
    let is_copied = plan.tenancy.copied_tables(&plan.source)[source_id.index()];
    let rowid_alias = rowid_alias(plan, described, source).filter(|_| !is_copied);
    let mut comments = String::new();
    let mut lines: Vec<String> = described
        .columns
        .iter()
        .map(|&column| match rowid_alias == Some(column) {
            true => {
                let counting = if source.autoincrement { " AUTOINCREMENT" } else { "" };
                format!("{} INTEGER PRIMARY KEY{counting}", names(target, &[column]))
            }
            false => self::column(plan, source, column, &mut comments),
        })
        .collect();
    match rowid_alias {
        _ if primary.is_empty() => {}
        Some(alias) if primary == [alias] => {}
        Some(_) => lines.push(format!("UNIQUE ({})", names(target, primary))),
        None => lines.push(format!("PRIMARY KEY ({})", names(target, primary))),
    }
    for &key in &described.unique_keys {
        let key = target.key(key);
        // What a rowid alias is unique by already needs no second index.
        if rowid_alias.is_none_or(|alias| key.columns != [alias]) {
            lines.push(format!("{}UNIQUE ({})", constraint(key.name.as_deref()), names(target, &key.columns)));
        }
    }
    for &check in &described.checks {
        let check = target.check(check);
        match sqlite_text(target, &check.expr) {
            Some(text) => lines.push(format!("{}CHECK ({text})", constraint(check.name.as_deref()))),
            None => comments.push_str(&left_out("CHECK", check.name.as_deref().unwrap_or_default())),
        }
    }
    for &foreign_key in &described.foreign_keys {
        let foreign_key = target.foreign_key(foreign_key);
        lines.extend(match_full(plan, foreign_key));
        lines.push(self::foreign_key(plan, foreign_key));
    }
    let options: Vec<&str> = [(source.without_rowid, "WITHOUT ROWID"), (source.strict, "STRICT")]
        .into_iter()
        .filter_map(|(set, option)| set.then_some(option))
        .collect();
    let options = if options.is_empty() { String::new() } else { format!(" {}", options.join(", ")) };
    let name = quote_for_sqlite(&described.name);
    format!("{comments}CREATE TABLE {name} (\n    {}\n){options};\n", lines.join(",\n    "))
}

fn constraint(name: Option<&str>) -> String {
    name.map(|name| format!("CONSTRAINT {} ", quote_for_sqlite(name))).unwrap_or_default()
}

/// Returns the column that counts up by itself, where the table has one.
fn rowid_alias(plan: &Plan, described: &Table, source: &Table) -> Option<ColumnId> {
    let alias = source.rowid_alias?;
    let from = |column: &&ColumnId| plan.rewritten.values[column.index()] == ColumnValue::Source(alias);
    described.columns.iter().find(from).copied().filter(|&column| plan.rewritten.target.column(column).identity)
}

fn column(plan: &Plan, source: &Table, id: ColumnId, comments: &mut String) -> String {
    let target = &plan.rewritten.target;
    let column = target.column(id);
    let mut line = quote_for_sqlite(&column.name).into_owned();
    let data_type = declared_type(plan, source, id);
    if !data_type.is_empty() {
        line.push_str(&format!(" {data_type}"));
    }
    let collation = match plan.rewritten.values[id.index()] {
        ColumnValue::Source(from) => plan.source.column(from).collation.as_deref(),
        _ => None,
    };
    if let Some(collation) = collation.filter(|name| is_sqlite_collation(name)) {
        line.push_str(&format!(" COLLATE {collation}"));
    }
    if column.not_null {
        line.push_str(" NOT NULL");
    }
    let full_name = || format!("{}.{}", target.table(column.table).name, column.name);
    match default(plan, id) {
        None => {}
        Some(Some(default)) => line.push_str(&format!(" DEFAULT {default}")),
        Some(None) => comments.push_str(&left_out("default of", &full_name())),
    }
    if let Some(generated) = &column.generated {
        match sqlite_text(target, &generated.expr) {
            Some(text) => line.push_str(&format!(" GENERATED ALWAYS AS ({text}) STORED")),
            None => comments.push_str(&left_out("expression of", &full_name())),
        }
    }
    line
}

/// Writes a column's default: `None` where it has none, `Some(None)` where only PostgreSQL can say it.
fn default(plan: &Plan, id: ColumnId) -> Option<Option<String>> {
    let target = &plan.rewritten.target;
    let expr = target.column(id).default.as_ref()?;
    let expr = match expr {
        Expr::Dialects { sqlite, .. } => sqlite,
        expr => expr,
    };
    Some(sqlite_text(target, expr).map(|text| match expr {
        Expr::Unary { .. } | Expr::Binary { .. } | Expr::Case { .. } | Expr::Cast { .. } => format!("({text})"),
        Expr::Call { function, .. } if !function.starts_with("current_") => format!("({text})"),
        _ => text,
    }))
}

/// Returns the declared type: the source's own, or for a tenant column the one that the tenant has everywhere.
fn declared_type(plan: &Plan, source: &Table, id: ColumnId) -> String {
    let own = match plan.rewritten.values[id.index()] {
        ColumnValue::Source(from) => Some(&plan.source.column(from).data_type),
        _ => None,
    };
    let is_tenant = plan.rewritten.tenant_columns.contains(&Some(id));
    match own.filter(|_| !is_tenant) {
        // A declared type can be any quoted text; only what reads as a type is written out again.
        Some(declared) if reads_as_type(&declared.0) => declared.0.clone(),
        _ => {
            let data_type = plan.rewritten.target.column(id).data_type;
            if source.strict { strict_type(data_type).to_owned() } else { sqlite_type(data_type) }
        }
    }
}

/// Says whether a declared type is made of plain words that are no keywords, and numbers in parentheses.
fn reads_as_type(text: &str) -> bool {
    let (words, arguments) = text.split_once('(').unwrap_or((text, ")"));
    let is_word = |word: &str| {
        word.chars().all(|character| character.is_ascii_alphanumeric() || character == '_')
            && word.starts_with(|first: char| first.is_ascii_alphabetic())
            && !is_reserved_in_sqlite(word)
    };
    let is_number = |character: char| character.is_ascii_digit() || matches!(character, ',' | ' ');
    words.split_whitespace().all(is_word)
        && arguments.strip_suffix(')').is_some_and(|inside| inside.chars().all(is_number))
}

/// Returns SQLite's name for a type; its affinity keeps the values as they are.
fn sqlite_type(data_type: PgType) -> String {
    match data_type {
        PgType::Boolean => "BOOLEAN".to_owned(),
        PgType::Smallint => "SMALLINT".to_owned(),
        PgType::Integer | PgType::Bigint => "INTEGER".to_owned(),
        PgType::Real | PgType::Double => "REAL".to_owned(),
        PgType::Bytea => "BLOB".to_owned(),
        PgType::Timestamp | PgType::Timestamptz => "DATETIME".to_owned(),
        // UUID and JSON would have numeric affinity, which rewrites values that look like numbers.
        PgType::Uuid => "CHAR(36)".to_owned(),
        PgType::Json | PgType::Jsonb => "TEXT".to_owned(),
        other => other.to_string().to_ascii_uppercase(),
    }
}

/// Returns the type that a STRICT table takes.
fn strict_type(data_type: PgType) -> &'static str {
    match Declared(sqlite_type(data_type)).affinity() {
        Affinity::Integer => "INTEGER",
        Affinity::Text => "TEXT",
        Affinity::Blob => "BLOB",
        Affinity::Real => "REAL",
        Affinity::Numeric => "ANY",
    }
}

/// SQLite reads MATCH FULL and does not heed it: a reference is whole or absent by a CHECK instead.
fn match_full(plan: &Plan, foreign_key: &ForeignKey) -> Option<String> {
    let target = &plan.rewritten.target;
    let (first, others) = foreign_key.columns.split_first()?;
    if !foreign_key.match_full || foreign_key.columns.iter().all(|&column| target.column(column).not_null) {
        return None;
    }
    let equal: Vec<String> = others
        .iter()
        .map(|&other| format!("({} IS NULL) = ({} IS NULL)", names(target, &[*first]), names(target, &[other])))
        .collect();
    Some(format!("CHECK ({})", equal.join(" AND ")))
}

fn foreign_key(plan: &Plan, foreign_key: &ForeignKey) -> String {
    let target = &plan.rewritten.target;
    let mut text = format!(
        "{}FOREIGN KEY ({})\n        REFERENCES {} ({})",
        constraint(foreign_key.name.as_deref()),
        names(target, &foreign_key.columns),
        quote_for_sqlite(&target.table(foreign_key.referenced_table).name),
        names(target, &foreign_key.referenced_columns)
    );
    if foreign_key.on_update != Action::NoAction {
        text.push_str(&format!(" ON UPDATE {}", foreign_key.on_update.sql()));
    }
    // An action on some of the columns is a trigger's work.
    if foreign_key.on_delete != Action::NoAction && foreign_key.set_columns.is_none() {
        text.push_str(&format!(" ON DELETE {}", foreign_key.on_delete.sql()));
    }
    text.push_str(match foreign_key.deferral {
        Deferral::NotDeferrable => "",
        Deferral::InitiallyImmediate => " DEFERRABLE",
        Deferral::InitiallyDeferred => " DEFERRABLE INITIALLY DEFERRED",
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declared_type_is_written_out_again_only_where_it_reads_as_one() {
        for text in ["", "INTEGER", "VARCHAR(100)", "UNSIGNED BIG INT", "DECIMAL(10, 2)", "DOUBLE PRECISION"] {
            assert!(reads_as_type(text), "{text}");
        }
        for text in ["TEXT, b INTEGER", "INT)", "TEXT DEFAULT 1", "TEXT NOT NULL", "INT(a)", "INT(1) x", "a;b", "1"] {
            assert!(!reads_as_type(text), "{text}");
        }
    }

    #[test]
    fn every_type_has_a_name_whose_affinity_keeps_its_values() {
        for (data_type, name, strict) in [
            (PgType::Varchar(Some(100)), "VARCHAR(100)", "TEXT"),
            (PgType::Bigint, "INTEGER", "INTEGER"),
            (PgType::Uuid, "CHAR(36)", "TEXT"),
            (PgType::Jsonb, "TEXT", "TEXT"),
            (PgType::Double, "REAL", "REAL"),
            (PgType::Bytea, "BLOB", "BLOB"),
            (PgType::Numeric(Some((10, 2))), "NUMERIC(10,2)", "ANY"),
        ] {
            assert_eq!((sqlite_type(data_type).as_str(), strict_type(data_type)), (name, strict));
        }
    }
}

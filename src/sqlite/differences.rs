//! Says in sentences how two SQLite schemas differ.

use crate::ident::{quote_always, visible};
use crate::schema::{Column, ColumnId, Declared, Expr, ForeignKey, Index, KeyKind, SourceSchema, TableId};
use std::collections::BTreeMap;

/// Compares the schema that a spec was written for with the one that a database has.
///
/// One sentence a difference, naming table and column; none where the two mean the same. Spans, the order of tables and
/// the names of constraints do not count, and neither does how a type is spelled in upper and lower case.
pub fn schema_differences(spec: &SourceSchema, actual: &SourceSchema) -> Vec<String> {
    let mut found = Vec::new();
    for id in spec.table_ids() {
        let name = &spec.table(id).name;
        match actual.find_table(name) {
            Some(other) => table(&mut found, (spec, id), (actual, other)),
            None => found.push(format!("table {} is missing in the database", shown(name))),
        }
    }
    for id in actual.table_ids() {
        let name = &actual.table(id).name;
        if spec.find_table(name).is_none() {
            found.push(format!("table {} is only in the database", shown(name)));
        }
    }
    let others = |schema: &SourceSchema| -> BTreeMap<(u8, String), String> {
        let key =
            |other: &crate::schema::Other| ((other.kind as u8, other.name.to_ascii_lowercase()), other.name.clone());
        schema.others.iter().map(key).collect()
    };
    let word = |kind: u8| ["view", "trigger", "virtual table"][usize::from(kind)];
    let (ours, theirs) = (others(spec), others(actual));
    for ((kind, key), name) in &ours {
        if !theirs.contains_key(&(*kind, key.clone())) {
            found.push(format!("{} {} is missing in the database", word(*kind), shown(name)));
        }
    }
    for ((kind, key), name) in &theirs {
        if !ours.contains_key(&(*kind, key.clone())) {
            found.push(format!("{} {} is only in the database", word(*kind), shown(name)));
        }
    }
    found
}

type Side<'s> = (&'s SourceSchema, TableId);

fn shown(name: &str) -> String {
    format!("\"{}\"", visible(name))
}

fn table(found: &mut Vec<String>, spec: Side<'_>, actual: Side<'_>) {
    let ((ours, id), (theirs, other)) = (spec, actual);
    let (table, counterpart) = (ours.table(id), theirs.table(other));
    let name = shown(&table.name);
    for &column in &table.columns {
        let column = ours.column(column);
        match theirs.find_column(other, &column.name) {
            Some(counterpart) => column_differences(found, &name, (ours, column), (theirs, theirs.column(counterpart))),
            None => found.push(format!("table {name}: column {} is missing in the database", shown(&column.name))),
        }
    }
    for &column in &counterpart.columns {
        let column = &theirs.column(column).name;
        if ours.find_column(id, column).is_none() {
            found.push(format!("table {name}: column {} is only in the database", shown(column)));
        }
    }
    for (what, spec, database) in [
        ("AUTOINCREMENT", table.autoincrement, counterpart.autoincrement),
        ("WITHOUT ROWID", table.without_rowid, counterpart.without_rowid),
        ("STRICT", table.strict, counterpart.strict),
        ("a rowid alias", table.rowid_alias.is_some(), counterpart.rowid_alias.is_some()),
    ] {
        if spec != database {
            found.push(format!(
                "table {name}: {what} is {} in the spec's source, {} in the database",
                yes(spec),
                yes(database)
            ));
        }
    }
    listed(found, &name, "key", keys(ours, id), keys(theirs, other));
    listed(found, &name, "foreign key", foreign_keys(ours, id), foreign_keys(theirs, other));
    listed(found, &name, "index", indexes(ours, id), indexes(theirs, other));
    listed(found, &name, "check", checks(ours, id), checks(theirs, other));
    listed(found, &name, "clause", unmapped(ours, id), unmapped(theirs, other));
}

fn yes(fact: bool) -> &'static str {
    if fact { "there" } else { "not there" }
}

fn column_differences(
    found: &mut Vec<String>,
    table: &str,
    (ours, spec): (&SourceSchema, &Column<Declared>),
    (theirs, actual): (&SourceSchema, &Column<Declared>),
) {
    let name = shown(&spec.name);
    let declared = |column: &Column<Declared>| match column.data_type.0.as_str() {
        "" => "without a type".to_owned(),
        declared => visible(declared).split_whitespace().collect::<Vec<_>>().join(" "),
    };
    let mut differs = |what: &str, spec: String, actual: String| {
        if !spec.eq_ignore_ascii_case(&actual) {
            found.push(format!(
                "table {table}: column {name} has {what} {spec} in the spec's source, {actual} in the database"
            ));
        }
    };
    differs("the type", declared(spec), declared(actual));
    let nulls = |column: &Column<Declared>| if column.not_null { "NOT NULL" } else { "NULL" }.to_owned();
    differs("the constraint", nulls(spec), nulls(actual));
    let collation = |column: &Column<Declared>| column.collation.clone().unwrap_or_else(|| "BINARY".into());
    differs("the collation", collation(spec), collation(actual));
    if expr_text(ours, spec.default.as_ref()) != expr_text(theirs, actual.default.as_ref()) {
        found.push(format!("table {table}: column {name} has another default in the database"));
    }
    let generated = |schema, column: &Column<Declared>| {
        column.generated.as_ref().map(|g| (expr_text(schema, Some(&g.expr)), g.stored))
    };
    if generated(ours, spec) != generated(theirs, actual) {
        found.push(format!("table {table}: column {name} is generated in another way in the database"));
    }
}

/// Writes an expression in a form that depends on nothing but its meaning: column ids differ between schemas.
fn expr_text(schema: &SourceSchema, expr: Option<&Expr>) -> Option<String> {
    expr.map(|expr| {
        if let Expr::Unsupported(text, _) = expr {
            let tokens = super::token::tokenize(text).map(|token| token.text(text).to_owned());
            return tokens.collect::<Vec<_>>().join(" ");
        }
        let mut columns = Vec::new();
        expr.for_each_column(&mut |column| columns.push(schema.column(column).name.to_ascii_lowercase()));
        format!("{:?} over {columns:?}", expr.map_columns(&|_| ColumnId(0)))
    })
}

/// Compares lists of descriptions as multisets.
fn listed(
    found: &mut Vec<String>,
    table: &str,
    what: &str,
    spec: Vec<(String, String)>,
    actual: Vec<(String, String)>,
) {
    let count = |list: &[(String, String)]| {
        let mut counts: BTreeMap<String, (usize, String)> = BTreeMap::new();
        for (key, shown) in list {
            counts.entry(key.clone()).or_insert((0, shown.clone())).0 += 1;
        }
        counts
    };
    let (ours, theirs) = (count(&spec), count(&actual));
    for (key, (count, shown)) in &ours {
        if theirs.get(key).is_none_or(|(other, _)| other < count) {
            found.push(format!("table {table}: {what} {shown} is missing in the database"));
        }
    }
    for (key, (count, shown)) in &theirs {
        if ours.get(key).is_none_or(|(other, _)| other < count) {
            found.push(format!("table {table}: {what} {shown} is only in the database"));
        }
    }
}

fn columns(schema: &SourceSchema, columns: &[ColumnId]) -> String {
    let plain = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let names = schema.column_names(columns).map(|name| if plain(name) { name.to_owned() } else { quote_always(name) });
    visible(&names.collect::<Vec<_>>().join(", ")).into_owned()
}

fn keys(schema: &SourceSchema, table: TableId) -> Vec<(String, String)> {
    let table = schema.table(table);
    let keys = table.primary_key.iter().chain(&table.unique_keys).map(|&id| schema.key(id));
    keys.map(|key| {
        let word = if key.kind == KeyKind::Primary { "PRIMARY KEY" } else { "UNIQUE" };
        let conflict = key.on_conflict.as_deref().map(|action| format!(" ON CONFLICT {action}")).unwrap_or_default();
        folded(format!("{word} ({}){conflict}", columns(schema, &key.columns)))
    })
    .collect()
}

/// Pairs a description with the form in which it is compared.
fn folded(shown: String) -> (String, String) {
    (shown.to_ascii_lowercase(), shown)
}

fn foreign_keys(schema: &SourceSchema, table: TableId) -> Vec<(String, String)> {
    let describe = |key: &ForeignKey| {
        folded(format!(
            "({}) to {} ({}) ON DELETE {} ON UPDATE {}{}",
            columns(schema, &key.columns),
            visible(&schema.table(key.referenced_table).name),
            columns(schema, &key.referenced_columns),
            key.on_delete.sql(),
            key.on_update.sql(),
            match key.deferral {
                crate::schema::Deferral::InitiallyDeferred => " INITIALLY DEFERRED",
                _ => "",
            },
        ))
    };
    let dangling = schema.dangling.iter().filter(|reference| reference.table == table).map(|reference| {
        folded(format!(
            "({}) to {}, which leads nowhere",
            columns(schema, &reference.columns),
            visible(&reference.referenced_table)
        ))
    });
    schema.table(table).foreign_keys.iter().map(|&id| describe(schema.foreign_key(id))).chain(dangling).collect()
}

fn indexes(schema: &SourceSchema, table: TableId) -> Vec<(String, String)> {
    let describe = |index: &Index| {
        let parts: Vec<_> = index
            .parts
            .iter()
            .map(|part| {
                (
                    expr_text(schema, Some(&part.expr)),
                    part.descending,
                    part.collation.as_deref().map(str::to_ascii_lowercase),
                )
            })
            .collect();
        let key = format!(
            "{} {} {parts:?} {:?}",
            index.name.to_ascii_lowercase(),
            index.unique,
            expr_text(schema, index.predicate.as_ref())
        );
        (key, shown(&index.name))
    };
    schema.table(table).indexes.iter().map(|&id| describe(schema.index(id))).collect()
}

fn unmapped(schema: &SourceSchema, table: TableId) -> Vec<(String, String)> {
    let own = schema.unmapped.iter().filter(|clause| clause.table == table);
    own.map(|clause| folded(format!("{} on ({})", visible(&clause.clause), columns(schema, &clause.columns)))).collect()
}

fn checks(schema: &SourceSchema, table: TableId) -> Vec<(String, String)> {
    let describe = |check: &crate::schema::Check| {
        let shown = check.name.as_deref().map_or_else(|| "without a name".to_owned(), shown);
        (expr_text(schema, Some(&check.expr)).unwrap_or_default(), shown)
    };
    schema.table(table).checks.iter().map(|&id| describe(schema.check(id))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Sources;
    use std::fs;

    fn read(text: &str) -> SourceSchema {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("schema.sql");
        fs::write(&path, text).unwrap();
        super::super::read_source(&path, &mut Sources::default()).unwrap()
    }

    const BASE: &str = "CREATE TABLE a(id INTEGER PRIMARY KEY, b TEXT NOT NULL DEFAULT 'x' CHECK (b <> ''), c INT REFERENCES a UNIQUE, g AS (c + 1));
        CREATE INDEX i ON a(b, c DESC) WHERE c > 1; CREATE TABLE z(q); CREATE VIEW v AS SELECT 1;
        CREATE INDEX j ON a(abs(c)%2);";

    #[test]
    fn spelling_order_and_names_do_not_count() {
        let other = "CREATE VIEW V AS SELECT 1; CREATE TABLE Z(\"q\"); CREATE TABLE [A](ID integer PRIMARY  KEY,
            b text DEFAULT ('x') NOT NULL, c int, g GENERATED ALWAYS AS (C+1) VIRTUAL, CONSTRAINT n CHECK (B != ''),
            CONSTRAINT u UNIQUE (c), CONSTRAINT f FOREIGN KEY (C) REFERENCES A(Id));
            /* spaces */ CREATE INDEX J ON A(abs(c) /* c */  % 2);
            CREATE INDEX I ON A(B ASC, C DESC) WHERE C>1;";
        assert_eq!(schema_differences(&read(BASE), &read(other)), Vec::<String>::new());
    }

    #[test]
    fn every_change_is_a_sentence_that_names_its_place() {
        for (from, to, said) in [
            (
                "b TEXT",
                "b VARCHAR(9)",
                "table \"a\": column \"b\" has the type TEXT in the spec's source, VARCHAR(9) in the database",
            ),
            (
                "TEXT NOT NULL",
                "TEXT",
                "table \"a\": column \"b\" has the constraint NOT NULL in the spec's source, NULL in the database",
            ),
            ("DEFAULT 'x'", "DEFAULT 'y'", "table \"a\": column \"b\" has another default in the database"),
            ("b <> ''", "b <> 'q'", "table \"a\": check without a name is missing in the database"),
            ("c + 1", "c + 2", "table \"a\": column \"g\" is generated in another way in the database"),
            (" UNIQUE", "", "table \"a\": key UNIQUE (c) is missing in the database"),
            (" UNIQUE", " UNIQUE ON CONFLICT FAIL", "table \"a\": key UNIQUE (c) is missing in the database"),
            (
                "REFERENCES a",
                "REFERENCES a ON DELETE CASCADE",
                "table \"a\": foreign key (c) to a (id) ON DELETE NO ACTION ON UPDATE NO ACTION is missing in the database",
            ),
            ("c DESC", "c", "table \"a\": index \"i\" is missing in the database"),
            (
                "INTEGER PRIMARY KEY",
                "INTEGER PRIMARY KEY AUTOINCREMENT",
                "table \"a\": AUTOINCREMENT is not there in the spec's source, there in the database",
            ),
            ("CREATE TABLE z(q);", "", "table \"z\" is missing in the database"),
            ("z(q)", "z(q, r)", "table \"z\": column \"r\" is only in the database"),
            ("CREATE VIEW v AS SELECT 1;", "", "view \"v\" is missing in the database"),
            (
                "NOT NULL",
                "NOT NULL ON CONFLICT IGNORE",
                "table \"a\": clause NOT NULL ON CONFLICT IGNORE on (b) is only in the database",
            ),
        ] {
            let found = schema_differences(&read(BASE), &read(&BASE.replacen(from, to, 1)));
            assert_eq!(found.first().map(String::as_str), Some(said), "{from} -> {to}");
        }
    }
}

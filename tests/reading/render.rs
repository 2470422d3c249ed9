//! A source schema written back as SQLite DDL, every clause of the model in it.

use std::fmt::Write as _;
use tenantry::ident::{literal_for_sqlite, quote_always};
use tenantry::schema::{
    Action, ColumnId, Declared, Deferral, Expr, ForeignKey, Index, Key, KeyKind, SourceSchema, TableId, sqlite_text,
};

/// What can be written in two ways that mean the same, and from which SQLite compiles different programs.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// Writes NOT NULL where a primary key implies it.
    pub implied_not_null: bool,
    /// Writes keys of one column at that column.
    pub keys_at_columns: bool,
}

impl Manner {
    pub const ALL: [Self; 4] = [
        Self { implied_not_null: true, keys_at_columns: false },
        Self { implied_not_null: false, keys_at_columns: false },
        Self { implied_not_null: true, keys_at_columns: true },
        Self { implied_not_null: false, keys_at_columns: true },
    ];
}

/// Writes a table and its indexes as statements.
pub fn render(schema: &SourceSchema, id: TableId, manner: Manner) -> Vec<String> {
    let indexes = schema.table(id).indexes.iter().map(|&index| create_index(schema, schema.index(index)));
    std::iter::once(create_table(schema, id, manner)).chain(indexes).collect()
}

fn create_table(schema: &SourceSchema, id: TableId, manner: Manner) -> String {
    let table = schema.table(id);
    let mut lines: Vec<String> = table.columns.iter().map(|&column| column_line(schema, column, manner)).collect();
    // In the order of their declaration: SQLite numbers the indexes behind keys.
    let keys = schema.keys.iter().filter(|key| key.table == id && !stands_at_its_column(schema, key, manner));
    lines.extend(keys.map(|key| key_line(schema, key)));
    for check in schema.checks.iter().filter(|check| check.table == id) {
        lines.push(format!("{}CHECK ({})", constraint(check.name.as_deref()), expression(schema, &check.expr)));
    }
    lines.extend(schema.foreign_keys.iter().filter(|key| key.table == id).map(|key| foreign_key_line(schema, key)));
    let options: Vec<&str> = [(table.without_rowid, "WITHOUT ROWID"), (table.strict, "STRICT")]
        .into_iter()
        .filter_map(|(set, option)| set.then_some(option))
        .collect();
    format!("CREATE TABLE {}(\n  {}\n) {}", quote_always(&table.name), lines.join(",\n  "), options.join(", "))
}

fn constraint(name: Option<&str>) -> String {
    name.map(|name| format!("CONSTRAINT {} ", quote_always(name))).unwrap_or_default()
}

fn on_conflict(action: Option<&str>) -> String {
    action.map(|action| format!(" ON CONFLICT {action}")).unwrap_or_default()
}

fn column_line(schema: &SourceSchema, id: ColumnId, manner: Manner) -> String {
    let column = schema.column(id);
    let table = schema.table(column.table);
    let mut line = quote_always(&column.name);
    write!(line, " {}", declared(&column.data_type)).unwrap();
    if let Some(collation) = &column.collation {
        write!(line, " COLLATE {}", quote_always(collation)).unwrap();
    }
    let key_implies_it = (table.without_rowid || table.strict)
        && table.primary_key.is_some_and(|key| schema.key(key).columns.contains(&id));
    if column.not_null && table.rowid_alias != Some(id) && (manner.implied_not_null || !key_implies_it) {
        let own = schema
            .unmapped
            .iter()
            .find_map(|clause| clause.clause.strip_prefix("NOT NULL ON CONFLICT ").filter(|_| clause.columns == [id]));
        write!(line, " NOT NULL{}", on_conflict(own)).unwrap();
    }
    if let Some(default) = &column.default {
        line.push_str(&default_clause(schema, default));
    }
    for key in schema.keys.iter().filter(|key| key.columns == [id] && stands_at_its_column(schema, key, manner)) {
        let direction = if clause_of_key(schema, key, id, "DESC").next().is_some() { " DESC" } else { "" };
        let words = if key.kind == KeyKind::Primary { "PRIMARY KEY" } else { "UNIQUE" };
        let conflict = on_conflict(key.on_conflict.as_deref());
        let counting = if counts(schema, key) { " AUTOINCREMENT" } else { "" };
        write!(line, " {}{words}{direction}{conflict}{counting}", constraint(key.name.as_deref())).unwrap();
    }
    if let Some(generated) = &column.generated {
        let kept = if generated.stored { "STORED" } else { "VIRTUAL" };
        write!(line, " GENERATED ALWAYS AS ({}) {kept}", expression(schema, &generated.expr)).unwrap();
    }
    line
}

/// Says whether a key has to be written at its column: `INTEGER PRIMARY KEY DESC` alone is no rowid.
fn stands_at_its_column(schema: &SourceSchema, key: &Key, manner: Manner) -> bool {
    let table = schema.table(key.table);
    let [column] = key.columns[..] else { return false };
    if manner.keys_at_columns {
        return clause_of_key(schema, key, column, "COLLATE").next().is_none();
    }
    key.kind == KeyKind::Primary
        && schema.column(column).data_type.0.eq_ignore_ascii_case("INTEGER")
        && table.rowid_alias.is_none()
        && !table.without_rowid
}

/// Writes a type: as words where it is some, in quotes otherwise, which SQLite takes for the same.
fn declared(Declared(text): &Declared) -> String {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_alphabetic());
    if is_plain { text.clone() } else { quote_always(text) }
}

fn default_clause(schema: &SourceSchema, default: &Expr) -> String {
    let text = expression(schema, default);
    match default {
        Expr::Null | Expr::Boolean(_) | Expr::Integer(_) | Expr::Decimal(_) | Expr::Text(_) | Expr::Blob(_) => {
            format!(" DEFAULT {text}")
        }
        Expr::Call { function, .. } if function.starts_with("current_") => format!(" DEFAULT {text}"),
        _ => format!(" DEFAULT ({text})"),
    }
}

fn counts(schema: &SourceSchema, key: &Key) -> bool {
    key.kind == KeyKind::Primary && schema.table(key.table).autoincrement
}

/// Returns what stands behind a word of a key's clauses of one column.
fn clause_of_key<'s>(
    schema: &'s SourceSchema,
    key: &'s Key,
    column: ColumnId,
    wanted: &'static str,
) -> impl Iterator<Item = &'s str> {
    let clauses = schema.unmapped.iter().filter(move |clause| clause.span == key.span && clause.columns == [column]);
    clauses.filter_map(move |clause| clause.clause.split_once(wanted).map(|(_, rest)| rest.trim()))
}

fn key_line(schema: &SourceSchema, key: &Key) -> String {
    let words = if key.kind == KeyKind::Primary { "PRIMARY KEY" } else { "UNIQUE" };
    let parts: Vec<String> = key
        .columns
        .iter()
        .enumerate()
        .map(|(position, &column)| {
            // A column that stands there twice has its clauses in order.
            let occurrence = key.columns[..position].iter().filter(|&&earlier| earlier == column).count();
            let own = |wanted| clause_of_key(schema, key, column, wanted).nth(occurrence);
            let collation = own("COLLATE").map(|name| format!(" COLLATE {}", quote_always(name)));
            let direction = if own("DESC").is_some() { " DESC" } else { "" };
            let counting = if counts(schema, key) { " AUTOINCREMENT" } else { "" };
            let name = quote_always(&schema.column(column).name);
            format!("{name}{}{direction}{counting}", collation.unwrap_or_default())
        })
        .collect();
    let name = constraint(key.name.as_deref());
    format!("{name}{words} ({}){}", parts.join(", "), on_conflict(key.on_conflict.as_deref()))
}

fn names(schema: &SourceSchema, columns: &[ColumnId]) -> String {
    schema.column_names(columns).map(quote_always).collect::<Vec<_>>().join(", ")
}

fn foreign_key_line(schema: &SourceSchema, key: &ForeignKey) -> String {
    let mut line = format!(
        "{}FOREIGN KEY ({}) REFERENCES {} ({})",
        constraint(key.name.as_deref()),
        names(schema, &key.columns),
        quote_always(&schema.table(key.referenced_table).name),
        names(schema, &key.referenced_columns)
    );
    for (event, action) in [("DELETE", key.on_delete), ("UPDATE", key.on_update)] {
        if action != Action::NoAction {
            write!(line, " ON {event} {}", action.sql()).unwrap();
        }
    }
    line.push_str(match key.deferral {
        Deferral::NotDeferrable => "",
        Deferral::InitiallyImmediate => " DEFERRABLE",
        Deferral::InitiallyDeferred => " DEFERRABLE INITIALLY DEFERRED",
    });
    line
}

fn create_index(schema: &SourceSchema, index: &Index) -> String {
    let parts: Vec<String> = index
        .parts
        .iter()
        .map(|part| {
            let text = match &part.expr {
                Expr::Column(column) => quote_always(&schema.column(*column).name),
                // In quotes of the other kind it would name a column.
                Expr::Text(text) => quote_always(text),
                other => format!("({})", expression(schema, other)),
            };
            let collation = part.collation.as_deref().map(|name| format!(" COLLATE {}", quote_always(name)));
            format!("{text}{}{}", collation.unwrap_or_default(), if part.descending { " DESC" } else { "" })
        })
        .collect();
    let predicate = index.predicate.as_ref().map(|predicate| format!(" WHERE {}", expression(schema, predicate)));
    format!(
        "CREATE {}INDEX {} ON {} ({}){}",
        if index.unique { "UNIQUE " } else { "" },
        quote_always(&index.name),
        quote_always(&schema.table(index.table).name),
        parts.join(", "),
        predicate.unwrap_or_default()
    )
}

fn expression(schema: &SourceSchema, expr: &Expr) -> String {
    sqlite_text(schema, expr).unwrap_or_else(|| literal_for_sqlite("not SQLite's"))
}

//! Names: at most 63 bytes, unique in the namespace that PostgreSQL gives the kind of object, the same every time.

use super::draft::Draft;
use crate::diagnostic::Diagnostic;
use crate::ident::{MAX_BYTES, Namespace, check_name, sequence_name, shorten};
use crate::schema::{ColumnId, Key, KeyKind, TableId, TargetSchema};
use crate::spec::{About, Decision, Origin};

/// Names everything that has no name, as PostgreSQL would: `invoices_pkey`, `invoices_account_id_customer_id_fkey`.
///
/// Tables, their primary and unique keys, indexes and identity sequences share the schema's namespace; CHECK and foreign
/// key names share their table's. Tables claim first: their names are what an application spells out.
pub(super) fn assign(draft: &mut Draft<'_>) {
    refuse_equal_columns(draft);
    refuse_impossible_columns(draft);
    note_new_columns(draft);
    let wanted: Vec<String> = draft.target.tables.iter().map(|table| table.name.clone()).collect();
    let target = &mut draft.target;
    let mut relations = Namespace::default();
    for table in &mut target.tables {
        table.name = relations.claim(&table.name, &table.name);
    }
    for view in &mut draft.views {
        view.name = relations.claim(&view.name, &view.name);
    }
    for column in &mut target.columns {
        column.name = shorten(&column.name).into_owned();
    }
    for (position, column) in target.columns.iter().enumerate().filter(|(_, column)| column.identity) {
        let table = &target.tables[column.table.index()].name;
        let usual = sequence_name(table, &column.name);
        let claimed = relations.claim(&usual, table);
        if claimed != usual {
            draft.sequences.insert(ColumnId(position as u32), claimed);
        }
    }
    // Names that the DDL gives come before those made up here.
    for position in 0..target.indexes.len() {
        let owner = target.table(target.indexes[position].table).name.clone();
        target.indexes[position].name = relations.claim(&target.indexes[position].name, &owner);
    }
    for given in [true, false] {
        for position in 0..target.keys.len() {
            let key = &target.keys[position];
            if key.name.is_some() == given {
                let wanted = key.name.clone().unwrap_or_else(|| key_name(target, key));
                let owner = target.table(key.table).name.clone();
                target.keys[position].name = Some(relations.claim(&wanted, &owner));
            }
        }
    }
    constraints(target);
    note_new_tables(draft, &wanted);
}

/// Why a name is not the source's; `None` where it is, or is another one that the spec asks for.
fn changed_for(wanted: &str, name: &str) -> Option<&'static str> {
    match wanted.len() {
        _ if wanted == name => None,
        0 => Some("a name in PostgreSQL is never empty"),
        1..=MAX_BYTES => Some("another table has that name"),
        _ => Some("PostgreSQL keeps 63 bytes of a name"),
    }
}

/// The application spells these names: it has to be told of new ones.
fn note_new_columns(draft: &mut Draft<'_>) {
    for (source, _, _) in draft.migrated() {
        for &id in &draft.source.table(source).columns {
            let Some(column) = draft.column_of(id) else { continue };
            let wanted = &draft.target.column(column).name;
            let name = shorten(wanted).into_owned();
            let Some(reason) = changed_for(wanted, &name) else { continue };
            draft.decisions.push(Decision {
                table: source,
                about: About::Column(draft.source.column(id).name.clone()),
                choice: format!("{{as: {name}}}"),
                origin: Origin::Inferred(reason.to_owned()),
                alternatives: vec!["{as: OTHER}".to_owned()],
            });
        }
    }
}

fn note_new_tables(draft: &mut Draft<'_>, wanted: &[String]) {
    for ((source, table, _), wanted) in draft.migrated().into_iter().zip(wanted) {
        let name = draft.target.table(table).name.clone();
        let Some(reason) = changed_for(wanted, &name) else { continue };
        draft.decisions.push(Decision {
            table: source,
            about: About::Name,
            choice: name,
            origin: Origin::Inferred(reason.to_owned()),
            alternatives: Vec::new(),
        });
    }
}

fn constraints(target: &mut TargetSchema) {
    let mut namespaces = vec![Namespace::default(); target.tables.len()];
    // Keys are constraints of their table as well, so their names are taken there too.
    for key in &target.keys {
        if let Some(name) = &key.name {
            namespaces[key.table.index()].claim(name, name);
        }
    }
    for given in [true, false] {
        for position in 0..target.checks.len() {
            let check = &target.checks[position];
            if check.name.is_some() != given {
                continue;
            }
            let wanted = check.name.clone().unwrap_or_else(|| {
                let mut columns = Vec::new();
                check.expr.for_each_column(&mut |column| {
                    if !columns.contains(&column) {
                        columns.push(column);
                    }
                });
                check_name(&target.table(check.table).name, target.column_names(&columns))
            });
            let name = namespaces[check.table.index()].claim_numbered(&wanted);
            target.checks[position].name = Some(name);
        }
        for position in 0..target.foreign_keys.len() {
            let foreign_key = &target.foreign_keys[position];
            if foreign_key.name.is_some() != given {
                continue;
            }
            let wanted = foreign_key.name.clone().unwrap_or_else(|| {
                let columns: Vec<&str> = target.column_names(&foreign_key.columns).collect();
                format!("{}_{}_fkey", target.table(foreign_key.table).name, columns.join("_"))
            });
            let name = namespaces[foreign_key.table.index()].claim_numbered(&wanted);
            target.foreign_keys[position].name = Some(name);
        }
    }
}

/// Two columns of a table can come to one name: by `as`, by `names`, or cut to 63 bytes.
fn refuse_equal_columns(draft: &mut Draft<'_>) {
    for (source, table, _) in draft.migrated() {
        let columns = draft.target.table(table).columns.clone();
        for (position, &column) in columns.iter().enumerate() {
            let name = shorten(&draft.target.column(column).name).into_owned();
            let other = columns[..position].iter().find(|other| shorten(&draft.target.column(**other).name) == name);
            let Some(&other) = other else { continue };
            let diagnostic = Diagnostic::error(
                "name-collision",
                format!("two columns of `{}` would be named `{name}`", draft.source.table(source).name),
            )
            .label_opt(draft.target.column(column).span.clone(), "one")
            .label_opt(draft.target.column(other).span.clone(), "the other")
            .help("give one of them another name, as in `columns: {NAME: {as: OTHER}}`");
            draft.error(renamed(draft, source, column, &name, diagnostic));
        }
    }
}

/// What every table of PostgreSQL has besides its columns (<https://www.postgresql.org/docs/15/ddl-system-columns.html>).
const SYSTEM_COLUMNS: &[&str] = &["tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"];

/// How many columns a table of PostgreSQL may have; SQLite's limit is 2,000 (<https://www.postgresql.org/docs/15/limits.html>).
const MOST_COLUMNS: usize = 1600;

fn refuse_impossible_columns(draft: &mut Draft<'_>) {
    for (source, table, _) in draft.migrated() {
        let columns = draft.target.table(table).columns.clone();
        let (id, source) = (source, draft.source.table(source));
        if columns.len() > MOST_COLUMNS {
            draft.error(
                Diagnostic::error(
                    "too-many-columns",
                    format!(
                        "`{}` would have {} columns, and PostgreSQL takes {MOST_COLUMNS}",
                        source.name,
                        columns.len()
                    ),
                )
                .label_opt(source.span.clone(), "this table")
                .help("leave some out, as in `columns: {NAME: omit}`")
                .suggest(&["tables", &source.name], "omit", "its rows are not migrated"),
            );
        }
        for column_id in columns {
            let column = draft.target.column(column_id);
            let name = column.name.clone();
            if SYSTEM_COLUMNS.contains(&column.name.as_str()) {
                let message =
                    format!("`{}` has a column `{}`, and so has every table of PostgreSQL", source.name, column.name);
                let help = format!("give it another name: `columns: {{{}: {{as: OTHER}}}}`", column.name);
                let diagnostic =
                    Diagnostic::error("system-column", message).label_opt(column.span.clone(), "this column");
                let error = renamed(draft, id, column_id, &name, diagnostic.help(help));
                draft.error(error);
            }
        }
    }
}

/// Suggests a name that no column of the table has for a column that cannot keep its own.
fn renamed(draft: &Draft<'_>, source: TableId, column: ColumnId, name: &str, error: Diagnostic) -> Diagnostic {
    let table = draft.source.table(source);
    let Some(own) = table.columns.iter().find(|&&own| draft.column_of(own) == Some(column)) else { return error };
    let target = draft.target.column(column).table;
    let taken = |wanted: &str| {
        draft.target.table(target).columns.iter().any(|&other| draft.target.column(other).name == wanted)
    };
    let free = (1..).map(|number| format!("{name}_{number}")).find(|wanted| !taken(wanted)).unwrap_or_default();
    let path = ["tables", &table.name, "columns", &draft.source.column(*own).name, "as"];
    error.suggest(&path, free, "the application has to use the new name")
}

fn key_name(target: &TargetSchema, key: &Key) -> String {
    let table = &target.table(key.table).name;
    match key.kind {
        KeyKind::Primary => format!("{table}_pkey"),
        KeyKind::Unique => {
            let columns: Vec<&str> = target.column_names(&key.columns).collect();
            format!("{table}_{}_key", columns.join("_"))
        }
    }
}

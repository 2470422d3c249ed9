//! Puts a schema together from what pragmas say and what only the text has.

use super::agreement::{index_disagreement, table_disagreement};
use super::clauses::{TableClauses, read_table};
use super::expr::{Scope, convert, convert_default};
use super::index_clauses::{IndexPartClause, read_index};
use super::place::Placed;
use super::pragmas::{IndexOrigin, TableFacts, TableKind, table_facts, table_kinds};
use super::reader::Unreadable;
use super::references::{TablesByName, resolve};
use super::shadows::ForeignVirtualTables;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::ident::visible;
use crate::schema::{
    Check, Column, ColumnId, DanglingReference, Declared, Expr, ForeignKey, Generated, Index, IndexMethod, IndexPart,
    Key, KeyKind, Other, OtherKind, SourceSchema, TableId, UnmappedClause,
};
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::ops::Range;

/// A table half put together: its foreign keys wait for all other tables.
struct Pending<'p> {
    table: TableId,
    placed: &'p Placed,
    clauses: TableClauses,
}

/// Puts a schema together.
///
/// Fails with `unreadable-ddl` for a statement that SQLite took and this program cannot read, and with
/// `internal-disagreement` where the two read it differently; all of them at once.
pub(super) fn assemble(
    databases: &[&Connection],
    placed: &[Placed],
    foreign: Vec<Other>,
) -> Result<SourceSchema, Diagnostics> {
    let pragma_failed = |error: rusqlite::Error| {
        let message = super::guard::message(&error);
        Diagnostics::from(Diagnostic::error(
            "source-unreadable",
            format!("SQLite cannot describe it: {}", visible(&message)),
        ))
    };
    let mut kinds = BTreeMap::new();
    for (database, connection) in databases.iter().enumerate() {
        for (name, kind, without_rowid, strict) in table_kinds(connection).map_err(pragma_failed)? {
            kinds.insert((database, name), (kind, without_rowid, strict));
        }
    }
    let virtual_tables = ForeignVirtualTables::find(&foreign, placed);
    let mut schema = SourceSchema { others: foreign, ..SourceSchema::default() };
    let mut errors = Diagnostics::default();
    let mut tables = TablesByName::new();
    let mut pending = Vec::new();

    for placed in placed {
        let row = &placed.row;
        match (row.kind.as_str(), kinds.get(&(placed.database, row.name.clone()))) {
            ("table", Some((TableKind::Table, ..))) if virtual_tables.have_shadow(&row.name) => {}
            ("table", Some((TableKind::Table, without_rowid, strict))) => {
                let facts = table_facts(databases[placed.database], &row.name, *without_rowid, *strict)
                    .map_err(pragma_failed)?;
                match table(&mut schema, placed, &facts) {
                    Ok((table, clauses)) => {
                        tables.insert(row.name.to_ascii_lowercase(), (table, facts));
                        pending.push(Pending { table, placed, clauses });
                    }
                    Err(error) => errors.push(*error),
                }
            }
            ("table", Some((TableKind::Shadow, ..))) | ("index", _) => {}
            ("table", _) => other(&mut schema, placed, OtherKind::VirtualTable),
            ("view", _) => other(&mut schema, placed, OtherKind::View),
            _ => other(&mut schema, placed, OtherKind::Trigger),
        }
    }
    for placed in placed.iter().filter(|placed| placed.row.kind == "index") {
        if let Some((table, facts)) = tables.get(&placed.row.table.to_ascii_lowercase())
            && let Err(error) = index(&mut schema, *table, placed, facts)
        {
            errors.push(*error);
        }
    }
    for pending in &pending {
        foreign_keys(&mut schema, pending, &tables);
    }
    errors.into_result(schema)
}

fn other(schema: &mut SourceSchema, placed: &Placed, kind: OtherKind) {
    let name = super::token::tokenize(&placed.text).next().map(|token| placed.span(&token.range));
    schema.others.push(Other { kind, name: placed.row.name.clone(), sql: placed.row.sql.clone(), span: name });
}

fn unreadable(placed: &Placed, error: &Unreadable) -> Box<Diagnostic> {
    let end = placed.text.get(error.at..).and_then(|rest| rest.split_whitespace().next()).map_or(0, str::len);
    let (kind, name) = (&placed.row.kind, visible(&placed.row.name));
    Box::new(
        Diagnostic::error(
            "unreadable-ddl",
            format!("the {kind} \"{name}\" cannot be read: expected {}", error.expected),
        )
        .label(placed.span(&(error.at..error.at + end)), "here")
        .help("SQLite accepts the statement, so this is a gap in tenantry: please report it with the statement"),
    )
}

fn disagreement(placed: &Placed, what: &str) -> Box<Diagnostic> {
    let (kind, name) = (&placed.row.kind, visible(&placed.row.name));
    Box::new(
        Diagnostic::error(
            "internal-disagreement",
            format!("the {kind} \"{name}\" was read in two ways: {}", visible(what)),
        )
        .label(placed.span(&(0..placed.text.len())), "this statement")
        .help("this is a fault in tenantry, not in the schema: please report it with the statement"),
    )
}

fn table(
    schema: &mut SourceSchema,
    placed: &Placed,
    facts: &TableFacts,
) -> Result<(TableId, TableClauses), Box<Diagnostic>> {
    let clauses = read_table(&placed.text).map_err(|error| unreadable(placed, &error))?;
    if let Some(what) = table_disagreement(&placed.text, &clauses, facts) {
        return Err(disagreement(placed, &what));
    }
    let id = schema.add_table(&placed.row.name, Some(placed.span(&clauses.name)));
    let alias = facts.rowid_alias();
    for (position, (clause, fact)) in clauses.columns.iter().zip(&facts.columns).enumerate() {
        let declared = Declared(fact.declared.clone());
        let default = clause.default.clone().and_then(|range| placed.text.get(range)).map(convert_default);
        schema.add_column(Column {
            table: id,
            name: fact.name.clone(),
            data_type: declared,
            not_null: fact.not_null || alias == Some(position),
            default: default.filter(|_| clause.generated.is_none()),
            generated: None,
            identity: false,
            collation: clause.collation.clone(),
            span: Some(placed.span(&clause.range)),
        });
    }
    let columns = named_columns(schema, id);
    let names: Vec<(&str, ColumnId)> = columns.iter().map(|(name, id)| (name.as_str(), *id)).collect();
    let scope = Scope { table: &placed.row.name, columns: &names };
    for ((_, column), clause) in columns.iter().zip(&clauses.columns) {
        if let Some((range, stored)) = &clause.generated {
            let expr = read_expr(placed, range, &scope);
            schema.columns[column.index()].generated = Some(Generated { expr, stored: *stored });
        }
    }
    for key in &clauses.keys {
        let columns = key.columns.iter().filter_map(|part| schema.find_column(id, &part.column)).collect();
        schema.add_key(Key {
            table: id,
            kind: key.kind,
            name: key.name.clone(),
            columns,
            on_conflict: key.on_conflict.clone(),
            span: Some(placed.span(&key.range)),
        });
    }
    for check in &clauses.checks {
        let span = Some(placed.span(&check.range));
        let expr = read_expr(placed, &check.expr, &scope);
        schema.add_check(Check { table: id, name: check.name.clone(), expr, span });
    }
    unmapped(schema, id, placed, &clauses);
    let table = &mut schema.tables[id.index()];
    table.rowid_alias = alias.and_then(|position| columns.get(position)).map(|(_, column)| *column);
    table.autoincrement = clauses.autoincrement;
    table.without_rowid = facts.without_rowid;
    table.strict = facts.strict;
    Ok((id, clauses))
}

/// Keeps the clauses that keys and columns of the model have no place for.
fn unmapped(schema: &mut SourceSchema, table: TableId, placed: &Placed, clauses: &TableClauses) {
    for clause in &clauses.columns {
        let columns: Vec<ColumnId> = schema.find_column(table, &clause.name).into_iter().collect();
        if let Some(action) = &clause.not_null_conflict {
            let (clause, span) = (format!("NOT NULL ON CONFLICT {action}"), Some(placed.span(&clause.range)));
            schema.unmapped.push(UnmappedClause { table, columns, clause, span });
        }
    }
    for key in &clauses.keys {
        let word = if key.kind == KeyKind::Primary { "PRIMARY KEY" } else { "UNIQUE" };
        for part in &key.columns {
            let Some(column) = schema.find_column(table, &part.column) else { continue };
            let own = schema.column(column).collation.as_deref().unwrap_or("BINARY");
            let collation = part.collation.as_ref().filter(|collation| !collation.eq_ignore_ascii_case(own));
            let collation = collation.map(|collation| format!("{word} COLLATE {collation}"));
            let direction = part.descending.then(|| format!("{word} DESC"));
            for clause in collation.into_iter().chain(direction) {
                let (columns, span) = (vec![column], Some(placed.span(&key.range)));
                schema.unmapped.push(UnmappedClause { table, columns, clause, span });
            }
        }
    }
}

fn named_columns(schema: &SourceSchema, table: TableId) -> Vec<(String, ColumnId)> {
    schema.table(table).columns.iter().map(|&id| (schema.column(id).name.clone(), id)).collect()
}

fn index(
    schema: &mut SourceSchema,
    table: TableId,
    placed: &Placed,
    facts: &TableFacts,
) -> Result<(), Box<Diagnostic>> {
    let clauses = read_index(&placed.text).map_err(|error| unreadable(placed, &error))?;
    let of_index = |index: &&super::pragmas::IndexFacts| {
        index.origin == IndexOrigin::Created && index.name.eq_ignore_ascii_case(&placed.row.name)
    };
    let Some(facts) = facts.indexes.iter().find(of_index) else {
        return Err(disagreement(placed, "SQLite does not list it"));
    };
    let columns = named_columns(schema, table);
    let names: Vec<(&str, ColumnId)> = columns.iter().map(|(name, id)| (name.as_str(), *id)).collect();
    let table_name = schema.table(table).name.clone();
    let scope = Scope { table: &table_name, columns: &names };
    let parts: Vec<IndexPart> = clauses
        .parts
        .iter()
        .map(|part| IndexPart {
            expr: index_column(placed, part, &scope).unwrap_or_else(|| read_expr(placed, &part.expr, &scope)),
            descending: part.descending,
            nulls_moved: false,
            collation: part.collation.clone(),
        })
        .collect();
    let columns: Vec<Option<&str>> = parts
        .iter()
        .map(|part| match part.expr {
            Expr::Column(column) => Some(schema.column(column).name.as_str()),
            _ => None,
        })
        .collect();
    let collations: Vec<&str> = parts
        .iter()
        .map(|part| {
            let own = match part.expr {
                Expr::Column(column) => schema.column(column).collation.as_deref(),
                _ => None,
            };
            part.collation.as_deref().or(own).unwrap_or("BINARY")
        })
        .collect();
    if let Some(what) = index_disagreement(&clauses, &columns, &collations, facts) {
        return Err(disagreement(placed, &what));
    }
    let predicate = clauses.predicate.as_ref().map(|range| read_expr(placed, range, &scope));
    schema.add_index(Index {
        table,
        name: placed.row.name.clone(),
        unique: facts.unique,
        parts,
        predicate,
        method: IndexMethod::Btree,
        include: Vec::new(),
        span: Some(placed.span(&clauses.name)),
    });
    Ok(())
}

fn read_expr(placed: &Placed, range: &Range<usize>, scope: &Scope<'_>) -> Expr {
    convert(placed.text.get(range.clone()).unwrap_or_default(), scope)
}

/// Reads an index part that is a column's name in `'…'`.
fn index_column(placed: &Placed, part: &IndexPartClause, scope: &Scope<'_>) -> Option<Expr> {
    let text = placed.text.get(part.expr.clone())?;
    let mut tokens = super::token::tokenize(text);
    let (only, None) = (tokens.next()?, tokens.next()) else { return None };
    let is_name = part.text_is_column && only.kind == super::token::TokenKind::String;
    let name = is_name.then(|| only.name(text))?;
    scope.columns.iter().find(|(column, _)| column.eq_ignore_ascii_case(&name)).map(|(_, id)| Expr::Column(*id))
}

fn foreign_keys(schema: &mut SourceSchema, pending: &Pending<'_>, tables: &TablesByName) {
    let Pending { table, placed, clauses } = pending;
    let Some((_, facts)) = tables.get(&placed.row.name.to_ascii_lowercase()) else { return };
    for (clause, fact) in clauses.foreign_keys.iter().zip(&facts.foreign_keys) {
        let columns: Vec<ColumnId> = fact.columns.iter().filter_map(|name| schema.find_column(*table, name)).collect();
        let span = Some(placed.span(&clause.range));
        match resolve(fact, tables, schema) {
            Ok((referenced_table, referenced_columns)) => {
                schema.add_foreign_key(ForeignKey {
                    table: *table,
                    name: clause.name.clone(),
                    columns,
                    referenced_table,
                    referenced_columns,
                    on_delete: fact.on_delete,
                    on_update: fact.on_update,
                    set_columns: None,
                    match_full: false,
                    deferral: clause.deferral,
                    span,
                });
            }
            Err(reason) => schema.dangling.push(DanglingReference {
                table: *table,
                columns,
                referenced_table: fact.table.clone(),
                reason,
                span,
            }),
        }
    }
}

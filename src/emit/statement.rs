//! One statement of the plan as PostgreSQL text, without its semicolon.
//!
//! One style everywhere: four spaces, upper-case keywords, one column or constraint a line.

use super::{expr, isolation};
use crate::ident::{literal, quote, quote_list};
use crate::plan::{Makes, Plan, Statement};
use crate::rewrite::ICU_COLLATION;
use crate::schema::{
    Action, ColumnId, Deferral, Expr, ForeignKey, ForeignKeyId, IndexId, IndexMethod, KeyId, KeyKind, TableId,
};

/// Writes a statement; `None` for rows, which are copied and not written as SQL.
pub fn statement(plan: &Plan, statement: &Statement) -> Option<String> {
    Some(match statement.makes {
        Makes::Schema => format!("CREATE SCHEMA IF NOT EXISTS {}", quote(&plan.tenancy.target_schema)),
        Makes::Citext => "CREATE EXTENSION IF NOT EXISTS citext".to_owned(),
        Makes::Collation => format!(
            "CREATE COLLATION IF NOT EXISTS {} (\n    provider = icu,\n    locale = 'und-u-ks-level2',\n    \
             deterministic = false\n)",
            qualified_collation(plan, ICU_COLLATION)
        ),
        Makes::Table(table) => create_table(plan, table),
        Makes::Distribution(table) => distribute(plan, table),
        Makes::Replication(table) => {
            format!("SELECT create_reference_table({})", literal(&qualified_table(plan, table)))
        }
        Makes::Rows(_) => return None,
        Makes::Key(key) => add_key(plan, key),
        Makes::Index(index) => create_index(plan, index),
        Makes::ForeignKey(foreign_key) => add_foreign_key(plan, foreign_key),
        Makes::View(position) => create_view(plan, position),
        Makes::Trigger(position, statement) => plan.tenancy.triggers[position].statements[statement].clone(),
        Makes::Extra(file, statement) => plan.tenancy.extra[file].statements[statement].clone(),
        Makes::Isolation(step) => isolation::isolate(plan, step),
    })
}

/// Writes the statement that makes a foreign key which holds for new rows only, until it is validated.
pub fn unvalidated(plan: &Plan, foreign_key: ForeignKeyId) -> String {
    format!("{} NOT VALID", add_foreign_key(plan, foreign_key))
}

/// Writes the statement that validates a foreign key.
pub fn validate(plan: &Plan, foreign_key: ForeignKeyId) -> String {
    let foreign_key = plan.rewritten.target.foreign_key(foreign_key);
    let name = quote(foreign_key.name.as_deref().unwrap_or_default());
    format!("ALTER TABLE {} VALIDATE CONSTRAINT {name}", qualified_table(plan, foreign_key.table))
}

/// Writes a table's name, with its schema where that is not `public`.
pub fn qualified_table(plan: &Plan, table: TableId) -> String {
    let name = quote(&plan.rewritten.target.table(table).name);
    match plan.tenancy.target_schema.as_str() {
        "public" => name.into_owned(),
        schema => format!("{}.{name}", quote(schema)),
    }
}

/// All distributed tables are colocated with the first: rows of one tenant stand on one node, and may refer to each other.
fn distribute(plan: &Plan, table: TableId) -> String {
    let target = &plan.rewritten.target;
    let column = plan.rewritten.tenant_columns[table.index()].map(|column| target.column(column).name.as_str());
    let first = plan.statements.iter().find_map(|statement| match statement.makes {
        Makes::Distribution(first) => Some(first),
        _ => None,
    });
    let colocation = match first {
        Some(first) if first != table => format!(", colocate_with => {}", literal(&qualified_table(plan, first))),
        _ => String::new(),
    };
    let name = literal(&qualified_table(plan, table));
    format!("SELECT create_distributed_table({name}, {}{colocation})", literal(column.unwrap_or_default()))
}

/// Writes a view that reads with its caller's rights: with its owner's, the policies would be the owner's too.
fn create_view(plan: &Plan, position: usize) -> String {
    let query = &plan.rewritten.views[position].query;
    format!("CREATE VIEW {} WITH (security_invoker = true) AS\n{query}", isolation::view_name(plan, position))
}

pub(super) fn qualified_collation(plan: &Plan, name: &str) -> String {
    match plan.tenancy.target_schema.as_str() {
        "public" => quote(name).into_owned(),
        schema => format!("{}.{}", quote(schema), quote(name)),
    }
}

fn create_table(plan: &Plan, table: TableId) -> String {
    let target = &plan.rewritten.target;
    let described = target.table(table);
    let mut lines: Vec<String> = described.columns.iter().map(|&id| column(plan, id)).collect();
    for &check in &described.checks {
        let check = target.check(check);
        let name = check.name.as_deref().map(|name| format!("CONSTRAINT {} ", quote(name))).unwrap_or_default();
        lines.push(format!("{name}CHECK ({})", expr::postgres(target, &check.expr)));
    }
    if lines.is_empty() {
        return format!("CREATE TABLE {} ()", qualified_table(plan, table));
    }
    format!("CREATE TABLE {} (\n    {}\n)", qualified_table(plan, table), lines.join(",\n    "))
}

fn column(plan: &Plan, id: ColumnId) -> String {
    let target = &plan.rewritten.target;
    let column = target.column(id);
    let mut line = format!("{} {}", quote(&column.name), column.data_type);
    if let Some(collation) = &column.collation {
        line.push_str(&format!(" COLLATE {}", qualified_collation(plan, collation)));
    }
    if column.not_null {
        line.push_str(" NOT NULL");
    }
    if column.identity {
        line.push_str(" GENERATED BY DEFAULT AS IDENTITY");
        if let Some(name) = plan.rewritten.sequences.get(&id) {
            line.push_str(&format!(" (SEQUENCE NAME {})", quote(name)));
        }
    }
    if let Some(default) = &column.default {
        line.push_str(&format!(" DEFAULT {}", expr::default(target, default)));
    }
    if let Some(generated) = &column.generated {
        line.push_str(&format!(" GENERATED ALWAYS AS ({}) STORED", expr::postgres(target, &generated.expr)));
    }
    line
}

fn add_key(plan: &Plan, id: KeyId) -> String {
    let target = &plan.rewritten.target;
    let key = target.key(id);
    let kind = match key.kind {
        KeyKind::Primary => "PRIMARY KEY",
        KeyKind::Unique => "UNIQUE",
    };
    format!(
        "ALTER TABLE {}\n    ADD CONSTRAINT {} {kind} ({})",
        qualified_table(plan, key.table),
        quote(key.name.as_deref().unwrap_or_default()),
        quote_list(target.column_names(&key.columns))
    )
}

fn create_index(plan: &Plan, id: IndexId) -> String {
    let target = &plan.rewritten.target;
    let index = target.index(id);
    let parts: Vec<String> = index
        .parts
        .iter()
        .map(|part| {
            let mut text = match &part.expr {
                Expr::Column(column) => quote(&target.column(*column).name).into_owned(),
                other => format!("({})", expr::postgres(target, other)),
            };
            if let Some(collation) = &part.collation {
                text.push_str(&format!(" COLLATE {}", quote(collation)));
            }
            // Plain DESC, unless the spec says more: it serves the queries that say plain ORDER BY … DESC, wherever each
            // dialect puts NULLs in them.
            text.push_str(part.order());
            text
        })
        .collect();
    let unique = if index.unique { "UNIQUE " } else { "" };
    let using = match index.method {
        IndexMethod::Btree => String::new(),
        method => format!("USING {} ", method.name()),
    };
    let include = match &index.include[..] {
        [] => String::new(),
        columns => format!(" INCLUDE ({})", quote_list(target.column_names(columns))),
    };
    let predicate = match &index.predicate {
        Some(predicate) => format!("\n    WHERE {}", expr::postgres(target, predicate)),
        None => String::new(),
    };
    format!(
        "CREATE {unique}INDEX {}\n    ON {} {using}({}){include}{predicate}",
        quote(&index.name),
        qualified_table(plan, index.table),
        parts.join(", ")
    )
}

fn add_foreign_key(plan: &Plan, id: ForeignKeyId) -> String {
    let target = &plan.rewritten.target;
    let foreign_key = target.foreign_key(id);
    let mut text = format!(
        "ALTER TABLE {}\n    ADD CONSTRAINT {} FOREIGN KEY ({})\n    REFERENCES {} ({})",
        qualified_table(plan, foreign_key.table),
        quote(foreign_key.name.as_deref().unwrap_or_default()),
        quote_list(target.column_names(&foreign_key.columns)),
        qualified_table(plan, foreign_key.referenced_table),
        quote_list(target.column_names(&foreign_key.referenced_columns))
    );
    if foreign_key.match_full {
        text.push_str(" MATCH FULL");
    }
    text.push_str(&actions(plan, foreign_key));
    text.push_str(match foreign_key.deferral {
        Deferral::NotDeferrable => "",
        Deferral::InitiallyImmediate => " DEFERRABLE",
        Deferral::InitiallyDeferred => " DEFERRABLE INITIALLY DEFERRED",
    });
    text
}

fn actions(plan: &Plan, foreign_key: &ForeignKey) -> String {
    let mut text = String::new();
    if foreign_key.on_update != Action::NoAction {
        text.push_str(&format!(" ON UPDATE {}", foreign_key.on_update.sql()));
    }
    if foreign_key.on_delete != Action::NoAction {
        text.push_str(&format!(" ON DELETE {}", foreign_key.on_delete.sql()));
        if let Some(columns) = &foreign_key.set_columns {
            text.push_str(&format!(" ({})", quote_list(plan.rewritten.target.column_names(columns))));
        }
    }
    text
}
